//! Delete and recreate: what the agent made in place of what it deleted.
use crate::site::{Before, Site};
use aws_sdk_ec2::{Client, types as sdk};
use kit::Environment;
use serde_json::Value;

fn ports(from: i32, to: i32) -> aws_sdk_ec2::types::builders::IpPermissionBuilder {
    sdk::IpPermission::builder().ip_protocol("tcp").from_port(from).to_port(to)
}
fn named(group: &str) -> sdk::UserIdGroupPair {
    sdk::UserIdGroupPair::builder().group_id(group).build()
}

/// Deletes the group `app` and what names it, and makes another of its name and description with other rules.
async fn another_group(agent: &Client, env: &kit::Environment) -> String {
    let app = env.group_app.as_str();
    let revoke = |group: &str, rule: sdk::IpPermission| {
        agent.revoke_security_group_ingress().group_id(group).ip_permissions(rule)
    };
    revoke(&env.group_data, ports(5432, 5432).user_id_group_pairs(named(app)).build()).send().await.unwrap();
    revoke(&env.group_monitoring, ports(4317, 4317).user_id_group_pairs(named(app)).build()).send().await.unwrap();
    let out = ports(9000, 9010).user_id_group_pairs(named(app)).build();
    agent.revoke_security_group_egress().group_id(&env.group_data).ip_permissions(out).send().await.unwrap();
    agent.delete_security_group().group_id(app).send().await.unwrap();
    let made = agent.create_security_group().vpc_id(&env.vpc).group_name("app").description("application servers");
    let made = made.send().await.unwrap().group_id.unwrap();
    let open = sdk::IpRange::builder().cidr_ip("0.0.0.0/0").build();
    let call = agent.authorize_security_group_ingress().group_id(&made);
    call.ip_permissions(ports(22, 22).ip_ranges(open).build()).send().await.unwrap();
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn h6_rules_of_survivors_that_were_revoked_to_delete_a_group_come_back_with_its_new_id() {
    let site = Site::new().await;
    site.configure("mode = \"approve\"");
    let ec2 = site.ec2();
    let before = Before::build(&ec2).await;
    let (env, app) = (&before.env, before.env.group_app.as_str());
    let _daemon = site.daemon().await;
    let agent = site.agent().await;
    let revoke = |group: &str, rule: sdk::IpPermission| {
        agent.revoke_security_group_ingress().group_id(group).ip_permissions(rule)
    };
    let named_app = |port| ports(port, port).user_id_group_pairs(named(app)).build();
    // AWS deletes no group that a rule names.
    assert!(agent.delete_security_group().group_id(app).send().await.is_err());
    revoke(&env.group_data, named_app(5432)).send().await.unwrap();
    revoke(&env.group_monitoring, named_app(4317)).send().await.unwrap();
    let out = ports(9000, 9010).user_id_group_pairs(named(app)).build();
    agent.revoke_security_group_egress().group_id(&env.group_data).ip_permissions(out).send().await.unwrap();
    agent.delete_security_group().group_id(app).send().await.unwrap();

    let incident = site.whole_incident_in("awaiting-approval").await;
    about(&incident["lost"], app);
    let plan = site.json(&["plan", incident["id"].as_str().unwrap()]).await;
    for survivor in [&env.group_data, &env.group_monitoring] {
        assert_eq!(about(&plan["steps"], survivor)["verb"], "rewire", "{plan:#}");
    }
    site.json(&["approve", plan["digest"].as_str().unwrap()]).await;
    site.incident_in("restored").await;
    before.assert_back(&ec2).await;
    let again = Environment::find(&ec2).await;
    assert_ne!(again.group_app, app);
    let groups = ec2.describe_security_groups().group_ids(&env.group_monitoring).send().await.unwrap();
    let rules = groups.security_groups()[0].ip_permissions().iter().flat_map(|p| p.user_id_group_pairs());
    assert_eq!(rules.filter_map(|p| p.group_id()).collect::<Vec<_>>(), [again.group_app.as_str()]);
}

/// Deletes a subnet, and makes one of its block in the other zone.
async fn another_subnet(agent: &Client, env: &kit::Environment) -> String {
    let found = agent.describe_subnets().subnet_ids(&env.data_a).subnet_ids(&env.data_b).send().await.unwrap();
    let of = |id: &str| found.subnets().iter().find(|s| s.subnet_id() == Some(id)).unwrap();
    let (block, zone) = (of(&env.data_a).cidr_block().unwrap(), of(&env.data_b).availability_zone().unwrap());
    agent.delete_subnet().subnet_id(&env.data_a).send().await.unwrap();
    let made = agent.create_subnet().vpc_id(&env.vpc).cidr_block(block).availability_zone(zone);
    made.send().await.unwrap().subnet.unwrap().subnet_id.unwrap()
}

fn about<'a>(rows: &'a Value, id: &str) -> &'a Value {
    rows.as_array()
        .unwrap()
        .iter()
        .find(|r| r["resource"].as_str().unwrap().ends_with(&format!("/{id}")))
        .unwrap_or_else(|| panic!("nothing about {id} in {rows:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_look_alike_that_can_become_it_is_adopted_and_the_other_is_refused() {
    let site = Site::new().await;
    site.configure("mode = \"approve\"");
    let ec2 = site.ec2();
    let before = Before::build(&ec2).await;
    let env = &before.env;
    let _daemon = site.daemon().await;
    let agent = site.agent().await;
    let group = another_group(&agent, env).await;
    let subnet = another_subnet(&agent, env).await;

    let incident = site.whole_incident_in("awaiting-approval").await;
    about(&incident["made"], &group);
    about(&incident["made"], &subnet);
    about(&incident["lost"], &env.group_app);
    about(&incident["lost"], &env.data_a);

    let plan = site.json(&["plan", incident["id"].as_str().unwrap()]).await;
    let conflict = about(&plan["conflicts"], &env.group_app);
    assert_eq!(conflict["resolution"], "adopt and converge", "{plan:#}");
    assert!(conflict["what"].as_str().unwrap().contains(&group), "{plan:#}");
    let conflict = about(&plan["conflicts"], &env.data_a);
    assert_eq!(conflict["resolution"], "refuse", "{plan:#}");
    assert!(conflict["what"].as_str().unwrap().contains(&subnet), "{plan:#}");
    let step = about(&plan["steps"], &env.data_a);
    assert_eq!(step["verb"], "skip");
    let why = step["why"].as_str().unwrap();
    assert!(why.contains(&subnet) && why.contains("remove or rename it, then plan again"), "{why}");
    let step = about(&plan["steps"], &env.group_app);
    assert_eq!((&step["verb"], &step["live_id"]), (&"adopt".into(), &group.as_str().into()));
    // For people too.
    let told = site.run(&["plan", incident["id"].as_str().unwrap()]).await.ok().stdout;
    assert!(told.contains("adopt and converge") && told.contains("refuse"), "{told}");

    site.json(&["approve", incident["plan"].as_str().unwrap()]).await;
    let after = site.incident_in("partly-restored").await;
    let whole = site.json(&["incidents", after["id"].as_str().unwrap()]).await;
    // The receipt of that very restore: what was skipped is not tried again, and says why.
    let receipt = site.run(&["resume", whole["restore"].as_str().unwrap(), "--output", "json"]).await;
    assert_eq!(receipt.code, 3, "{}\n{}", receipt.stdout, receipt.stderr);
    let receipt = receipt.json();
    let item = about(&receipt["items"], &env.data_a);
    assert_eq!((&item["outcome"], item["why"].as_str()), (&"skipped".into(), Some(why)), "{receipt:#}");
    assert_eq!(about(&receipt["items"], &env.group_app)["outcome"], "restored", "{receipt:#}");
    assert_eq!(about(&receipt["losses"], &env.data_a)["what"], why, "{receipt:#}");
    assert_eq!(site.incidents().await[0]["state"], "partly-restored");

    // The group is as it was, and what lives names the new one again.
    let now = env.fingerprint(&ec2).await["security groups"].clone();
    assert_eq!(lines(&now), lines(&before.fingerprint["security groups"]));
    let groups = ec2.describe_security_groups().group_ids(&env.group_monitoring).send().await.unwrap();
    let peers: Vec<_> = groups.security_groups()[0]
        .ip_permissions()
        .iter()
        .flat_map(|p| p.user_id_group_pairs())
        .filter_map(|p| p.group_id())
        .collect();
    assert_eq!(peers, [group.as_str()]);
    // The refused one was left alone.
    let left = ec2.describe_subnets().subnet_ids(&subnet).send().await.unwrap();
    assert_eq!(left.subnets().len(), 1);
    assert_eq!(kit::Environment::count(&ec2).await, before.counts, "nothing twice");

    // The same by command: what is left to do is refused, in the receipt and by the exit code.
    let again = site.run(&["restore", incident["id"].as_str().unwrap(), "--yes", "--output", "json"]).await;
    assert_eq!(again.code, 3, "{}\n{}", again.stdout, again.stderr);
    let item = about(&again.json()["items"], &env.data_a).clone();
    assert_eq!(item["outcome"], "skipped");
    assert!(item["why"].as_str().unwrap().contains("remove or rename it"), "{item:#}");

    // Told what to do, done: then it comes back.
    ec2.delete_subnet().subnet_id(&subnet).send().await.unwrap();
    site.run(&[
        "restore",
        &env.data_a,
        "--at",
        &format!("before-incident:{}", incident["id"].as_str().unwrap()),
        "--yes",
    ])
    .await
    .ok();
    before.assert_back(&ec2).await;
}

fn lines(v: &Value) -> String {
    serde_json::to_string_pretty(v).unwrap()
}
