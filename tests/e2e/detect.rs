//! What the rules see: quirks of records explained, an agent that blinds rollbackd, what it adds, a policy over the past.
use crate::site::{Before, Ended, REGION, SOON, Site, binary};
use kit::{Daemon, Environment, until};
use serde_json::{Value, json};
use std::path::Path;

/// A record by a session of a role.
fn record(id: &str, role: &str, source: &str, name: &str, request: Value) -> Value {
    json!({
        "eventVersion": "1.11", "eventID": id, "eventTime": "2026-03-01T10:00:00Z", "eventName": name,
        "eventSource": format!("{source}.amazonaws.com"), "awsRegion": REGION, "recipientAccountId": "111122223333",
        "eventType": "AwsApiCall", "readOnly": false, "requestParameters": request,
        "userIdentity": {
            "type": "AssumedRole", "principalId": format!("AROAEXAMPLE{}:run-7", role.len()), "accountId": "111122223333",
            "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/run-7"),
            "accessKeyId": format!("ASIAEXAMPLEEXAMPL{:03}", role.len()),
            "sessionContext": {
                "sessionIssuer": {"arn": format!("arn:aws:iam::111122223333:role/{role}")},
                "attributes": {"creationDate": "2026-03-01T09:59:00Z"},
            },
        },
    })
}
fn with(mut v: Value, change: impl FnOnce(&mut Value)) -> Value {
    change(&mut v);
    v
}

/// The program alone, with settings that name a role as an agent's.
async fn alone(folder: &Path, args: &[&str]) -> Ended {
    let config = folder.join("rollbackd.toml");
    std::fs::write(
        &config,
        "[[agent]]\nname = \"ops\"\nrole = [\"ops-agent\"]\n\n[[policy]]\nname = \"all\"\nmode = \"auto\"\n",
    )
    .unwrap();
    let env = [
        ("ROLLBACKD_CONFIG".to_owned(), config.display().to_string()),
        ("STATE_DIRECTORY".to_owned(), folder.join("state").display().to_string()),
    ];
    let mut process = Daemon::spawn(binary(), args, &env);
    let status = process.wait_exit(SOON).await;
    Ended { code: status.code().unwrap_or(-1), stdout: process.stdout(), stderr: process.stderr() }
}

fn quirks() -> Vec<Value> {
    let endpoints = json!({"DeleteVpcEndpointsRequest": {"VpcEndpointId": [
        {"tag": 1, "content": "vpce-0a0a0a0a"}, {"tag": 2, "content": "vpce-0b0b0b0b"}]}});
    let unsuccessful =
        json!({"DeleteVpcEndpointsResponse": {"unsuccessful": {"item": {"resourceId": "vpce-0b0b0b0b"}}}});
    let function = json!({"functionName": "arn:aws:lambda:eu-west-1:111122223333:function:orders"});
    vec![
        with(record("batch", "ops-agent", "ec2", "DeleteVpcEndpoints", endpoints), |v| {
            v["responseElements"] = unsuccessful
        }),
        record("dated", "ops-agent", "lambda", "DeleteFunction20150331", function),
        with(record("dry", "ops-agent", "ec2", "DeleteVolume", json!({"volumeId": "vol-0a0a0a0a"})), |v| {
            v["errorCode"] = json!("Client.DryRunOperation");
        }),
        with(record("denied", "ops-agent", "iam", "DeleteRole", Value::Null), |v| {
            v["errorCode"] = json!("AccessDenied")
        }),
        with(record("mcp", "person", "s3", "DeleteBucket", json!({"bucketName": "logs", "Host": "x"})), |v| {
            v["userIdentity"]["invokedBy"] = json!("aws-mcp.amazonaws.com");
            v["userAgent"] = json!("aws-mcp.amazonaws.com");
        }),
        with(record("through", "ops-agent", "ec2", "DeleteVpc", json!({"vpcId": "vpc-0a0a0a0a"})), |v| {
            v["userIdentity"]["invokedBy"] = json!("cloudformation.amazonaws.com");
            v.as_object_mut().unwrap().remove("readOnly");
        }),
        record("blind", "ops-agent", "cloudtrail", "StopLogging", json!({"name": "all"})),
        record(
            "detach",
            "ops-agent",
            "ec2",
            "DetachInternetGateway",
            json!({"internetGatewayId": "igw-0a0a0a0a", "vpcId": "vpc-0a0a0a0a"}),
        ),
        record(
            "add",
            "ops-agent",
            "iam",
            "AttachRolePolicy",
            json!({"roleName": "web", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}),
        ),
        record("human", "person", "ec2", "DeleteSubnet", json!({"subnetId": "subnet-0a0a0a0a"})),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.jsonl");
    let lines: Vec<String> = quirks().iter().map(Value::to_string).chain(["not json".to_owned()]).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let file = file.display().to_string();
    let ended = alone(folder.path(), &["detect", "test", &file, "--output", "json"]).await;
    assert_eq!(ended.code, 3, "one is no record: {}", ended.stderr);
    let all = ended.json();
    assert_eq!(all["unreadable"].as_array().unwrap().len(), 1, "{}", all["unreadable"]);
    let of = |id: &str| all["records"].as_array().unwrap().iter().find(|r| r["event"] == id).unwrap().clone();
    assert_eq!(of("batch")["targets"], json!(["aws/111122223333/eu-west-1/ec2:vpc-endpoint/vpce-0a0a0a0a"]));
    assert_eq!(of("dated")["call"], "DeleteFunction");
    assert_eq!((&of("dry")["class"], &of("dry")["error"]), (&json!("delete"), &json!("Client.DryRunOperation")));
    assert_eq!((&of("denied")["targets"], &of("denied")["error"]), (&json!([]), &json!("AccessDenied")));
    let agent = |id: &str| (of(id)["agent"]["rule"].clone(), of(id)["agent"]["field"].clone());
    assert_eq!(agent("through"), (json!("ops"), json!("role")), "a service's name clears nobody");
    assert_eq!(of("human")["agent"], Value::Null);
    assert_eq!(of("mcp")["agent"], Value::Null, "own rules replace the defaults");
    assert_eq!(of("detach")["warning"], "detaches-gateway");
    assert_eq!(of("add")["class"], "add");
    // The blinding is an incident of its own; all else of the agent is another one, and the person's in none.
    let incident = |id: &str| of(id)["incident"].as_str().map(str::to_owned);
    assert!(incident("blind").is_some() && incident("blind") != incident("batch"));
    for id in ["dated", "dry", "denied", "through", "detach", "add"] {
        assert_eq!(incident(id), incident("batch"), "{id}");
    }
    assert_eq!(incident("human"), None);
    let kinds: Vec<&Value> = all["incidents"].as_array().unwrap().iter().map(|i| &i["kind"]).collect();
    assert!(kinds.len() == 2 && kinds.contains(&&json!("blinding")) && kinds.contains(&&json!("loss")), "{kinds:?}");

    let page = alone(folder.path(), &["detect", "test", &file]).await.stdout;
    for words in [
        "yes, by rule `ops`: role is `",
        "delete, without effect: Client.DryRunOperation",
        "it detaches a gateway",
        "by hand: StartLogging",
        "no: no rule matches it",
        "records.jsonl:11: not JSON",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }

    // The same records under a policy.
    let replayed = alone(folder.path(), &["replay", &file, "--output", "json"]).await.ok().json();
    assert_eq!((&replayed["records"], &replayed["agents"]), (&json!(10), &json!(1)), "{replayed:#}");
    let loss = replayed["incidents"].as_array().unwrap().iter().find(|i| i["kind"] == "loss").unwrap();
    assert_eq!(
        (&loss["would"], &loss["policy"], &loss["verdict"]["rule"]),
        (&json!("restore"), &json!("all"), &json!("ops"))
    );
    assert_eq!((&loss["calls"]["delete"], &loss["failed"]), (&json!(3), &json!(2)), "{loss:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_blinds_comes_first_and_a_person_is_an_alarm() {
    let site = Site::new().await;
    site.configure("mode = \"auto\"\ngrace = \"0s\"");
    let daemon = site.daemon().await;
    let sqs = aws_sdk_sqs::Client::new(&site.emulator.sdk_config(&site.owner, REGION, &site.emulator.endpoint()));
    let send = async |id: &str, role: &str, source: &str, name: &str, request: Value| {
        let now = jiff::Timestamp::now().to_string();
        let detail = with(record(id, role, source, name, request), |v| {
            v["eventTime"] = json!(now);
            v["recipientAccountId"] = json!(site.account);
        });
        let body = json!({"detail-type": "AWS API Call via CloudTrail", "detail": detail}).to_string();
        sqs.send_message().queue_url(&site.queue).message_body(body).send().await.unwrap();
    };
    send("loss", "ops-agent", "ec2", "DeleteVpc", json!({"vpcId": "vpc-0a0a0a0a"})).await;
    send("blind", "ops-agent", "cloudtrail", "StopLogging", json!({"name": "all"})).await;
    // Our queue, by the name in its URL.
    send("purge", "person", "sqs", "PurgeQueue", json!({"queueUrl": site.queue})).await;
    send("theirs", "person", "sqs", "PurgeQueue", json!({"queueUrl": "https://sqs.eu-west-1.amazonaws.com/1/orders"}))
        .await;
    until("both incidents are dealt with and the alarm is up", SOON, || async {
        let all = site.incidents().await;
        let status = site.status().await.unwrap_or_default();
        all.len() == 2
            && all.iter().all(|i| i["state"] != "open")
            && status["troubles"].to_string().contains("PurgeQueue")
    })
    .await;
    let all = site.incidents().await;
    assert_eq!((&all[0]["kind"], &all[1]["kind"]), (&json!("blinding"), &json!("loss")), "{all:#?}");
    assert!(all[0]["trouble"].as_str().unwrap().contains("StopLogging: StartLogging"), "{}", all[0]);
    let troubles = site.status().await.unwrap()["troubles"].to_string();
    assert!(troubles.contains("person/run-7 called PurgeQueue"), "{troubles}");
    assert!(!troubles.contains("of 2 such calls"), "another queue is none of ours: {troubles}");
    let page = site.run(&["status"]).await.ok().stdout;
    assert!(page.contains("an agent blinds rollbackd; look at this one first"), "{page}");
    // What often comes before a fatal call asks for a checkpoint, in a session that had its first one too.
    let gateway = json!({"internetGatewayId": "igw-0a0a0a0a", "vpcId": "vpc-0a0a0a0a"});
    send("detach", "ops-agent", "ec2", "DetachInternetGateway", gateway).await;
    until("the warning asks for a checkpoint", SOON, || async { daemon.stderr().contains("it detaches a gateway") })
        .await;
    // A person settles it.
    let whole = site.json(&["incidents", all[0]["id"].as_str().unwrap()]).await;
    site.run(&["reject", whole["plan"].as_str().unwrap(), "--reason", "logging is on again"]).await.ok();
    assert_eq!(site.json(&["incidents", all[0]["id"].as_str().unwrap()]).await["state"], "rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_adds_is_shown_and_stays_and_a_policy_tells_what_it_would_have_done() {
    let site = Site::new().await;
    site.configure("mode = \"observe\"");
    let before = Before::build(&site.ec2()).await;
    let _daemon = site.daemon().await;
    let agent = site.agent().await;
    let group = &before.env.group_monitoring;
    let open = agent.authorize_security_group_ingress().group_id(group).ip_protocol("tcp");
    open.from_port(22).to_port(22).cidr_ip("198.51.100.0/24").send().await.unwrap();
    site.trail.settled().await;
    assert_eq!(site.incidents().await.len(), 0, "adding opens none");
    let acl = agent.delete_network_acl_entry().network_acl_id(&before.env.acl_data);
    acl.rule_number(100).egress(false).send().await.unwrap();
    let incident = site.whole_incident_in("observed").await;
    let added = &incident["added"][0];
    assert_eq!(
        (&added["call"], &added["undo"]),
        (&json!("AuthorizeSecurityGroupIngress"), &json!("RevokeSecurityGroupIngress"))
    );
    assert!(
        added["to"].to_string().contains(group.as_str()) && added["what"].to_string().contains("198.51.100.0/24"),
        "{added}"
    );
    let page = site.run(&["incidents", incident["id"].as_str().unwrap()]).await.ok().stdout;
    assert!(page.contains("Added to what exists (a restore leaves it): 1"), "{page}");
    assert!(page.contains("RevokeSecurityGroupIngress takes it away again"), "{page}");

    // Another policy over the same days, from the daemon's own records.
    let policy = site.dir.path().join("auto.toml");
    std::fs::write(
        &policy,
        "[[agent]]\nname = \"anybody\"\nrole = [\"*\"]\n\n[[policy]]\nname = \"bold\"\nmode = \"auto\"\ngrace = \"1m\"\n",
    )
    .unwrap();
    let replayed = site.json(&["replay", "--days", "1", "--policy", policy.to_str().unwrap()]).await;
    let [one] = &replayed["incidents"].as_array().unwrap()[..] else { panic!("{replayed:#}") };
    assert_eq!(
        (&one["would"], &one["policy"], &one["verdict"]["rule"]),
        (&json!("restore"), &json!("bold"), &json!("anybody"))
    );
    assert_eq!(one["id"], incident["id"]);
    let now = site.json(&["replay"]).await;
    assert_eq!((&now["incidents"][0]["would"], &now["incidents"][0]["policy"]), (&json!("report"), &json!("test")));
    assert_eq!(site.incidents().await.len(), 1, "a replay changes nothing");
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|t| t["resource"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_loss_reached_and_what_was_made_instead_are_named() {
    let site = Site::new().await;
    site.configure("mode = \"observe\"");
    let before = Before::build(&site.ec2()).await;
    let _daemon = site.daemon().await;
    let agent = site.agent().await;
    before.env.teardown(&agent).await;
    let (impostor, _) = Environment::lookalike(&agent).await;
    let incident = site.whole_incident_in("observed").await;
    let pair = incident["recreated"]
        .as_array()
        .unwrap()
        .iter()
        .find(|p| p["lost"].as_str().unwrap().ends_with(&before.env.vpc));
    assert!(pair.is_some_and(|p| p["made"].as_str().unwrap().ends_with(&impostor)), "{:#}", incident["recreated"]);
    // The group in the other VPC survived, and named a group that did not.
    let reached = incident["reached"].as_array().unwrap();
    let monitoring =
        reached.iter().find(|r| r["resource"].as_str().unwrap().ends_with(&before.env.group_monitoring)).unwrap();
    assert!(
        monitoring["through"].as_str().unwrap().ends_with(&before.env.group_app) && monitoring["hops"] == 1,
        "{monitoring}"
    );
    let page = site.run(&["incidents", incident["id"].as_str().unwrap()]).await.ok().stdout;
    for words in
        ["Lost and made again by the agent", "Survived, and depended on what was lost", "└ ", "Early warning at "]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_record_lacks_comes_from_the_store() {
    let site = Site::new().await;
    site.configure("mode = \"observe\"");
    let before = Before::build(&site.ec2()).await;
    let _daemon = site.daemon().await;
    let env = &before.env;
    let tables = site.ec2().describe_route_tables().route_table_ids(&env.routes_private_a).send().await.unwrap();
    let association = tables.route_tables()[0].associations()[0].route_table_association_id().unwrap();
    let agent = site.agent().await;
    // The record names neither the table nor the subnet; the other names no next hop.
    agent.disassociate_route_table().association_id(association).send().await.unwrap();
    agent.delete_route().route_table_id(&env.routes_public).destination_cidr_block("0.0.0.0/0").send().await.unwrap();
    let incident = site.whole_incident_in("observed").await;
    let changed = ids(&incident["changed"]);
    assert!(
        changed.contains(&env.routes_private_a.as_str()) && changed.contains(&env.routes_public.as_str()),
        "{changed:?}"
    );
    assert_eq!(incident["beyond"], json!([]), "{:#}", incident["beyond"]);
    let plan = site.json(&["plan", incident["plan"].as_str().unwrap()]).await;
    let step = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["resource"].as_str().unwrap().ends_with(&env.routes_public));
    assert!(step.unwrap()["changes"].to_string().contains(&env.internet_gateway), "the lost next hop: {step:?}");
}
