//! Databases lost and restored by hand: with and without a copy, with another one under the name.
use crate::site::{REGION, Site};
use aws_sdk_rds::{Client, types as sdk};
use serde_json::{Value, json};

fn tag() -> sdk::Tag {
    sdk::Tag::builder().key("app").value("shop").build()
}
fn rds(site: &Site) -> Client {
    Client::new(&site.emulator.sdk_config(&site.owner, REGION, &site.emulator.endpoint()))
}

/// The network under the databases.
struct Network {
    subnets: [String; 2],
    group: String,
}
async fn network(ec2: &aws_sdk_ec2::Client) -> Network {
    use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
    let tags =
        |kind| TagSpecification::builder().resource_type(kind).tags(Tag::builder().key("app").value("shop").build());
    let vpc = ec2.create_vpc().cidr_block("10.9.0.0/16").send().await.unwrap().vpc.unwrap().vpc_id.unwrap();
    let subnet = async |zone: &str, block: &str| {
        let call = ec2.create_subnet().vpc_id(&vpc).cidr_block(block).availability_zone(zone);
        let made = call.tag_specifications(tags(ResourceType::Subnet).build()).send().await.unwrap();
        made.subnet.unwrap().subnet_id.unwrap()
    };
    let subnets = [subnet("eu-west-1a", "10.9.1.0/24").await, subnet("eu-west-1b", "10.9.2.0/24").await];
    let call = ec2.create_security_group().vpc_id(&vpc).group_name("db").description("databases");
    let made = call.tag_specifications(tags(ResourceType::SecurityGroup).build()).send().await.unwrap();
    Network { subnets, group: made.group_id.unwrap() }
}

/// `orders` with groups of its own, `scratch` without any copy, and the cluster `ledger` with two members.
async fn build(rds: &Client, net: &Network) {
    let call = rds.create_db_subnet_group().db_subnet_group_name("data").db_subnet_group_description("d").tags(tag());
    call.set_subnet_ids(Some(net.subnets.to_vec())).send().await.unwrap();
    let call = rds.create_db_parameter_group().db_parameter_group_name("orders").db_parameter_group_family("mysql8.0");
    call.description("d").tags(tag()).send().await.unwrap();
    let row = sdk::Parameter::builder().parameter_name("max_connections").parameter_value("200");
    let row = row.apply_method(sdk::ApplyMethod::Immediate).build();
    rds.modify_db_parameter_group().db_parameter_group_name("orders").parameters(row).send().await.unwrap();
    let call = rds.create_option_group().option_group_name("orders").engine_name("mysql").major_engine_version("8.0");
    call.option_group_description("d").tags(tag()).send().await.unwrap();
    for (id, backups) in [("orders", 7), ("scratch", 1)] {
        instance(rds, id, backups)
            .db_subnet_group_name("data")
            .vpc_security_group_ids(&net.group)
            .send()
            .await
            .unwrap();
    }
    let call = rds.modify_db_instance().db_instance_identifier("orders").apply_immediately(true);
    let call = call.db_parameter_group_name("orders").option_group_name("orders").monitoring_interval(30);
    call.monitoring_role_arn("arn:aws:iam::111122223333:role/monitoring").send().await.unwrap();
    let call = rds.create_db_cluster().db_cluster_identifier("ledger").engine("aurora-mysql").port(3310);
    let call = call.engine_version("8.0.mysql_aurora.3.04.0").master_username("admin").db_subnet_group_name("data");
    let call = call.master_user_password("never-to-be-seen").vpc_security_group_ids(&net.group).tags(tag());
    call.send().await.unwrap();
    for (id, tier) in [("ledger-1", 1), ("ledger-2", 3)] {
        let call = rds.create_db_instance().db_instance_identifier(id).db_instance_class("db.r6g.large");
        let call = call.engine("aurora-mysql").db_cluster_identifier("ledger").promotion_tier(tier).tags(tag());
        call.send().await.unwrap();
    }
    let call = rds.create_db_cluster_snapshot().db_cluster_identifier("ledger");
    call.db_cluster_snapshot_identifier("ledger-nightly").send().await.unwrap();
}
fn instance(
    rds: &Client,
    id: &str,
    backups: i32,
) -> aws_sdk_rds::operation::create_db_instance::builders::CreateDBInstanceFluentBuilder {
    let call = rds.create_db_instance().db_instance_identifier(id).db_instance_class("db.t3.medium").engine("mysql");
    let call = call.engine_version("8.0.35").allocated_storage(20).master_username("admin").tags(tag());
    call.master_user_password("never-to-be-seen").backup_retention_period(backups)
}

/// Deletes all of it; `orders` leaves a final snapshot, and another database takes its name.
async fn destroy(site: &Site, net: &Network) {
    let (rds, ec2) = (rds(site), site.ec2());
    let gone = |id: &str| rds.delete_db_instance().db_instance_identifier(id);
    gone("orders").final_db_snapshot_identifier("orders-final").send().await.unwrap();
    for id in ["scratch", "ledger-1", "ledger-2"] {
        gone(id).skip_final_snapshot(true).send().await.unwrap();
    }
    rds.delete_db_cluster().db_cluster_identifier("ledger").skip_final_snapshot(true).send().await.unwrap();
    rds.delete_db_subnet_group().db_subnet_group_name("data").send().await.unwrap();
    rds.delete_db_parameter_group().db_parameter_group_name("orders").send().await.unwrap();
    rds.delete_option_group().option_group_name("orders").send().await.unwrap();
    for subnet in &net.subnets {
        ec2.delete_subnet().subnet_id(subnet).send().await.unwrap();
    }
    ec2.delete_security_group().group_id(&net.group).send().await.unwrap();
    instance(&rds, "orders", 1).db_name("imposter").send().await.unwrap();
}

async fn find(rds: &Client, id: &str) -> Option<sdk::DbInstance> {
    rds.describe_db_instances().db_instance_identifier(id).send().await.ok()?.db_instances?.pop()
}
fn about<'a>(rows: &'a Value, key: &str) -> &'a Value {
    rows.as_array()
        .unwrap()
        .iter()
        .find(|r| r["resource"].as_str().unwrap().ends_with(key))
        .unwrap_or_else(|| panic!("nothing about {key} in {rows:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn h28_h31_databases_come_back_from_their_copies_and_what_took_a_name_is_renamed() {
    let site = Site::new().await;
    let (rds, ec2) = (rds(&site), site.ec2());
    let net = network(&ec2).await;
    build(&rds, &net).await;
    let was = find(&rds, "orders").await.unwrap();
    let sweep = site.json(&["snapshot", "--label", "golden"]).await;
    assert!(sweep["errors"].is_null(), "{sweep:#}");
    // What a deletion would cost, and the one call that changes that, before it happens.
    let ready = site.json(&["readiness", "scratch", "ledger"]).await;
    for (key, call) in [("db-instance/scratch", "modify-db-instance"), ("db-cluster/ledger", "modify-db-cluster")] {
        let line = about(&ready, key);
        assert_eq!(line["cost"], "data", "{line:#}");
        assert!(line["remedy"].as_str().is_some_and(|r| r.contains(call) && r.contains("--deletion-protection")));
    }
    assert!(about(&ready, "ledger")["lost"].as_str().unwrap().contains("ledger-nightly"), "{ready:#}");
    destroy(&site, &net).await;
    let impostor = find(&rds, "orders").await.unwrap();

    let plan = site.run(&["plan", "--tag", "app=shop", "--at", "golden"]).await.ok().stdout;
    assert!(
        plan.contains("from manual snapshot orders-final") && plan.contains("from manual snapshot ledger-nightly"),
        "{plan}"
    );
    assert!(plan.contains("rename aside, to orders-aside-"), "{plan}");
    let (first, steps) = plan.split_once("Steps").unwrap();
    assert!(first.contains("scratch") && first.contains("--allow-empty-data scratch"), "before all else: {plan}");
    assert!(steps.contains("aside"), "{plan}");

    // Whoever wants the other one instead says so.
    let key = format!("aws/{}/{REGION}/rds:db-instance/orders", site.account);
    let kept = site.json(&["plan", &key, "--at", "golden", "--overwrite", &key]).await;
    let verbs: Vec<_> = kept["steps"].as_array().unwrap().iter().map(|s| s["verb"].as_str().unwrap()).collect();
    assert!(verbs.contains(&"converge") && !verbs.contains(&"aside"), "{kept:#}");

    // The answer of the restore is lost: the retry finds what it made by its name and tag (H64).
    site.aws.lose_answer("RestoreDBInstanceFromDBSnapshot", 1);
    let restored = site.run(&["restore", "--tag", "app=shop", "--at", "golden", "--yes", "--output", "json"]).await;
    assert_eq!(restored.code, 3, "{}\n{}", restored.stdout, restored.stderr);
    let receipt = restored.json();
    let not_whole: Vec<_> =
        receipt["items"].as_array().unwrap().iter().filter(|i| i["outcome"] != "restored").collect();
    assert_eq!(not_whole.len(), 1, "{not_whole:#?}");
    let scratch = about(&receipt["items"], "db-instance/scratch");
    assert_eq!(scratch["outcome"], "skipped", "{scratch:#}");
    // The source, and both under the name, are on the receipt.
    let orders = about(&receipt["items"], "db-instance/orders");
    assert_eq!(
        (&orders["source"]["what"], &orders["verbs"]),
        (&json!("manual snapshot orders-final"), &json!(["aside", "create", "link"]))
    );
    assert_eq!(about(&receipt["items"], "db-cluster/ledger")["source"]["what"], "manual snapshot ledger-nightly");
    let conflict = about(&receipt["conflicts"], "db-instance/orders")["resolution"].as_str().unwrap();
    let aside = conflict.strip_prefix("rename aside, to ").unwrap();

    // Said again in plain words: nothing was deleted, and the endpoint is the first one's.
    let set_aside = find(&rds, aside).await.expect("the impostor is there under its new name");
    assert_eq!((set_aside.dbi_resource_id(), set_aside.db_name()), (impostor.dbi_resource_id(), Some("imposter")));
    let is = find(&rds, "orders").await.unwrap();
    assert_eq!(is.endpoint().and_then(|e| e.address()), was.endpoint().and_then(|e| e.address()));
    assert_eq!(is.db_name(), None);
    let settings = |i: &sdk::DbInstance| {
        (
            i.db_parameter_groups()[0].db_parameter_group_name().map(str::to_owned),
            i.option_group_memberships()[0].option_group_name().map(str::to_owned),
            (i.monitoring_interval(), i.backup_retention_period(), i.allocated_storage()),
            i.preferred_backup_window().map(str::to_owned),
            i.tag_list().iter().filter_map(|t| t.key().map(str::to_owned)).collect::<Vec<_>>(),
        )
    };
    assert_eq!(settings(&is), settings(&was));
    // In today's network.
    let group = is.vpc_security_groups()[0].vpc_security_group_id().unwrap();
    assert_ne!(group, net.group);
    let found = ec2.describe_security_groups().group_ids(group).send().await.unwrap();
    assert_eq!(found.security_groups()[0].group_name(), Some("db"));
    let ledger = rds.describe_db_clusters().db_cluster_identifier("ledger").send().await.unwrap();
    // They are made at the same time, so either may be first.
    let members: std::collections::BTreeSet<_> =
        ledger.db_clusters()[0].db_cluster_members().iter().filter_map(|m| m.db_instance_identifier()).collect();
    assert_eq!(members, ["ledger-1", "ledger-2"].into());
    assert_eq!(site.emulator.count(&site.account, "RestoreDBInstanceFromDBSnapshot"), 2, "one lost, one refused");
    let seen = format!("{}{}{plan}", restored.stdout, restored.stderr);
    assert!(!seen.contains("never-to-be-seen"));

    // Once more finds nothing but what has no copy: what was made is known for the same.
    let again = site.json(&["plan", "--tag", "app=shop", "--at", "golden"]).await;
    let left: Vec<_> = again["steps"].as_array().unwrap().iter().map(|s| s["verb"].as_str().unwrap()).collect();
    assert_eq!((left, &again["conflicts"]), (vec!["skip"], &json!([])), "{again:#}");

    // An empty one is made only for whom that was said, and what its password takes is told.
    let args = ["restore", "scratch", "--at", "golden", "--allow-empty-data", "scratch", "--yes", "--output", "json"];
    let empty = site.run(&args).await;
    assert_eq!(empty.code, 3, "{}\n{}", empty.stdout, empty.stderr);
    let receipt = empty.json();
    assert!(
        about(&receipt["losses"], "scratch")["what"].as_str().unwrap().contains("all of its content"),
        "{receipt:#}"
    );
    let why = about(&receipt["items"], "scratch")["why"].as_str().unwrap();
    assert!(why.contains("--no-manage-master-user-password"), "{why}");
    assert!(find(&rds, "scratch").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn h28_what_an_agent_made_in_place_of_a_database_that_it_deleted_is_renamed_on_approval() {
    let site = Site::new().await;
    site.configure("mode = \"approve\"");
    let own = rds(&site);
    instance(&own, "orders", 7).send().await.unwrap();
    let was = find(&own, "orders").await.unwrap();
    let _daemon = site.daemon().await;
    let agent = site.agent_at_databases().await;
    let gone = agent.delete_db_instance().db_instance_identifier("orders");
    gone.final_db_snapshot_identifier("orders-final").send().await.unwrap();
    instance(&agent, "orders", 1).db_name("imposter").send().await.unwrap();

    let incident = site.whole_incident_in("awaiting-approval").await;
    about(&incident["lost"], "rds:db-instance/orders");
    let plan = site.json(&["plan", incident["id"].as_str().unwrap()]).await;
    let step = plan["steps"].as_array().unwrap().iter().find(|s| s["verb"] == "create").unwrap();
    assert_eq!(step["source"]["what"], "manual snapshot orders-final", "{plan:#}");
    site.json(&["approve", incident["plan"].as_str().unwrap()]).await;
    site.incident_in("partly-restored").await; // a conflict was settled, and that is said
    let is = find(&own, "orders").await.unwrap();
    assert_eq!((is.db_name(), is.backup_retention_period()), (None, was.backup_retention_period()));
    let all = own.describe_db_instances().send().await.unwrap();
    let aside: Vec<_> = all.db_instances().iter().filter(|i| i.db_name() == Some("imposter")).collect();
    assert!(aside.len() == 1 && aside[0].db_instance_identifier().unwrap().starts_with("orders-aside-"));
}
