//! Without a daemon and without a configuration: credentials and a region are enough.
use crate::site::{Before, Site};

#[tokio::test(flavor = "multi_thread")]
async fn snapshot_then_deleted_then_restored_by_command() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let before = Before::build(&ec2).await;

    let sweep = site.json(&["snapshot", "--label", "golden"]).await;
    assert!(sweep["errors"].is_null() && sweep["ended"].is_string(), "{sweep:#}");
    assert!(site.json(&["snapshots"]).await["labels"]["golden"].is_string());
    assert_eq!(site.json(&["diff", "golden", "live"]).await, serde_json::json!([]), "nothing has changed yet");

    before.env.teardown(&ec2).await;
    let lost = site.json(&["diff", "golden", "live"]).await;
    let gone = |kind: &str| {
        lost.as_array()
            .unwrap()
            .iter()
            .filter(|d| d["what"] == "gone" && d["resource"].as_str().unwrap().contains(kind))
            .count()
    };
    assert_eq!(
        (gone("/ec2:subnet/"), gone("/ec2:nat-gateway/"), gone("/ec2:elastic-ip/"), gone("/ec2:vpc/")),
        (6, 2, 2, 1),
        "{lost:#}"
    );

    // Asks before it acts: without a terminal and without --yes it does nothing.
    let refused = site.run(&["restore", "--vpc", &before.env.vpc]).await;
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    assert_eq!(kit::Environment::count(&ec2).await.subnets, 0);

    let restored =
        site.run(&["restore", "--vpc", &before.env.vpc, "--at", "golden", "--yes", "--output", "json"]).await;
    assert_eq!(restored.code, 0, "{}\n{}", restored.stdout, restored.stderr);
    let receipt = restored.json();
    assert_eq!(receipt["restored"], receipt["of"], "{receipt:#}");
    before.assert_back(&ec2).await;

    // The chain of what was done holds, and a second restore finds nothing to do.
    assert!(site.json(&["audit", "verify"]).await["broken"].is_null());
    let again = site.json(&["plan", "--vpc", &before.env.vpc, "--at", "golden"]).await;
    assert_eq!(again["steps"], serde_json::json!([]), "{again:#}");
    // Its history goes on under its first id.
    let history = site.json(&["history", &before.env.vpc]).await;
    assert_eq!(history["versions"][0]["state"], "present", "{history:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_resource_is_put_back_in_place_and_what_others_did_stays() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let before = Before::build(&ec2).await;
    site.json(&["snapshot", "--label", "golden"]).await;

    ec2.create_tags()
        .resources(&before.env.group_app)
        .tags(aws_sdk_ec2::types::Tag::builder().key("Name").value("renamed").build())
        .send()
        .await
        .unwrap();
    let out = ec2.describe_security_groups().group_ids(&before.env.group_app).send().await.unwrap();
    let rules = out.security_groups()[0].ip_permissions().to_vec();
    ec2.revoke_security_group_ingress()
        .group_id(&before.env.group_app)
        .set_ip_permissions(Some(rules))
        .send()
        .await
        .unwrap();

    let plan = site.json(&["plan", &before.env.group_app, "--at", "golden"]).await;
    assert_eq!(
        (plan["steps"].as_array().unwrap().len(), &plan["steps"][0]["verb"]),
        (1, &"converge".into()),
        "{plan:#}"
    );
    let restored = site.run(&["restore", plan["digest"].as_str().unwrap(), "--yes"]).await;
    assert_eq!(restored.code, 0, "{}\n{}", restored.stdout, restored.stderr);
    before.assert_back(&ec2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_says_what_a_deletion_would_cost_today() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let zone = format!("{}a", crate::site::REGION);
    let volume =
        || async { ec2.create_volume().availability_zone(&zone).size(8).send().await.unwrap().volume_id.unwrap() };
    let (copied, bare) = (volume().await, volume().await);
    let snapshot = ec2.create_snapshot().volume_id(&copied).send().await.unwrap().snapshot_id.unwrap();
    let address = ec2.allocate_address().send().await.unwrap();
    site.run(&["snapshot"]).await.ok();

    let lines = site.json(&["readiness"]).await;
    let of =
        |id: &str| lines.as_array().unwrap().iter().find(|l| l["resource"].as_str().unwrap().ends_with(id)).unwrap();
    assert!(of(&copied)["lost"].as_str().unwrap().contains(&snapshot), "{:#}", of(&copied));
    assert_eq!(
        (&of(&bare)["cost"], of(&bare)["lost"].as_str().unwrap()),
        (&"data".into(), "all of it: it has no snapshot")
    );
    assert_eq!(of(&bare)["remedy"], format!("aws ec2 create-snapshot --volume-id {bare}"));
    let lost = of(address.allocation_id().unwrap())["lost"].as_str().unwrap();
    assert!(lost.starts_with(address.public_ip().unwrap()), "{lost}");
    // The worst first, and for people too.
    assert_eq!(lines[0]["cost"], "data");
    let page = site.run(&["readiness", &bare]).await.ok().stdout;
    assert!(page.contains("Data would be lost") && page.contains(&bare) && !page.contains(&copied), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_linked_without_something_that_failed_is_linked_again_with_it_by_resume() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let before = Before::build(&ec2).await;
    site.run(&["snapshot", "--label", "golden"]).await.ok();
    before.env.teardown(&ec2).await;
    // Both NAT gateways are refused for good: the private route tables can have all but their default route.
    site.aws.fail("CreateNatGateway", 2, "InvalidParameterValue", 400);
    let restored =
        site.run(&["restore", "--vpc", &before.env.vpc, "--at", "golden", "--yes", "--output", "json"]).await;
    assert_eq!(restored.code, 3, "{}\n{}", restored.stdout, restored.stderr);
    let receipt = restored.json();
    let items = receipt["items"].as_array().unwrap();
    let of = |kind: &str, outcome: &str| {
        let rows = items.iter().filter(|i| i["resource"].as_str().unwrap().contains(&format!("/ec2:{kind}/")));
        rows.filter(|i| i["outcome"] == outcome).collect::<Vec<_>>()
    };
    let (failed, tables) = (of("nat-gateway", "failed"), of("route-table", "differs"));
    assert_eq!((failed.len(), tables.len(), of("route-table", "blocked").len()), (2, 2, 0), "{receipt:#}");
    for table in tables {
        let differences = table["differences"].as_array().unwrap();
        assert_eq!(differences.len(), 1, "{table:#}");
        let why = differences[0]["why"].as_str().unwrap();
        assert!(why.starts_with("nat-") && why.ends_with(" did not come back: see there"), "{table:#}");
        // Its subnets are associated already.
        let id = table["new_id"].as_str().unwrap();
        let found = ec2.describe_route_tables().route_table_ids(id).send().await.unwrap();
        assert!(!found.route_tables()[0].associations().is_empty(), "{table:#}");
    }
    let resumed = site.run(&["resume", receipt["restore"].as_str().unwrap()]).await;
    assert_eq!(resumed.code, 0, "{}\n{}", resumed.stdout, resumed.stderr);
    before.assert_back(&ec2).await;
    assert!(site.json(&["audit", "verify"]).await["broken"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_table_knows_is_stored_beside_the_spec_and_counted() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let vpc = ec2.create_vpc().cidr_block("10.0.0.0/16").send().await.unwrap().vpc.unwrap().vpc_id.unwrap();
    site.json(&["snapshot"]).await;
    let known = site.json(&["show", &vpc]).await;
    assert!(known["unmapped"].is_null(), "{known:#}");
    // One day AWS describes VPCs with a member that neither the SDK nor a table has.
    site.aws.say_also("DescribeVpcs", "dhcpOptionsId", "quantumState", "entangled");
    let sweep = site.json(&["snapshot"]).await;
    let unmapped = sweep["scopes"].as_object().unwrap().values().map(|c| c["unmapped"].as_u64().unwrap()).sum::<u64>();
    let vpcs = ec2.describe_vpcs().send().await.unwrap().vpcs().len() as u64;
    assert_eq!(unmapped, vpcs, "one of each: {sweep:#}");
    let shown = site.json(&["show", &vpc]).await;
    assert_eq!(shown["unmapped"], serde_json::json!({"quantumState": "entangled"}), "{shown:#}");
    assert_eq!(shown["spec"], known["spec"]);
    let page = site.run(&["snapshot"]).await.ok().stdout;
    assert!(page.contains(&format!("{vpcs} elements of answers are new to this version")), "{page}");
}
