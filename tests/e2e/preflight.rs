//! What is known before the first write: quotas, permissions, who else must act. And what Terraform is told afterwards.
use crate::site::{REGION, Site};
use aws_sdk_ec2::{Client, types as sdk};
use serde_json::{Value, json};

async fn vpc(ec2: &Client, cidr: &str, name: &str) -> String {
    let tag = sdk::Tag::builder().key("Name").value(name).build();
    let tags = sdk::TagSpecification::builder().resource_type(sdk::ResourceType::Vpc).tags(tag).build();
    let made = ec2.create_vpc().cidr_block(cidr).tag_specifications(tags).send().await.unwrap();
    made.vpc.unwrap().vpc_id.unwrap()
}
async fn subnet(ec2: &Client, vpc: &str, cidr: &str) -> String {
    let made = ec2.create_subnet().vpc_id(vpc).cidr_block(cidr).send().await.unwrap();
    made.subnet.unwrap().subnet_id.unwrap()
}
async fn delete(ec2: &Client, vpc: &str, subnet: &str) {
    ec2.delete_subnet().subnet_id(subnet).send().await.unwrap();
    ec2.delete_vpc().vpc_id(vpc).send().await.unwrap();
}
#[tokio::test(flavor = "multi_thread")]
async fn h65_a_quota_that_is_too_small_is_named_in_the_plan_and_nothing_starts() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let prod = vpc(&ec2, "10.0.0.0/16", "prod").await;
    let inner = subnet(&ec2, &prod, "10.0.1.0/24").await;
    site.run(&["snapshot", "--label", "golden"]).await.ok();
    delete(&ec2, &prod, &inner).await;
    // Meanwhile somebody fills the region: five VPCs are allowed, the default one is there.
    let mut others = vec![];
    for i in 1..=4 {
        others.push(vpc(&ec2, &format!("10.{i}.0.0/16"), "other").await);
    }
    site.run(&["snapshot"]).await.ok();

    let plan = site.json(&["plan", "--vpc", &prod, "--at", "golden"]).await;
    assert_eq!(
        plan["blockers"],
        json!([{"scope": format!("aws/{}/{REGION}", site.account), "quota": "VPCs per Region", "code": "vpc/L-F678F1CE", "value": 5, "live": 5, "needed": 1}]),
        "{plan:#}"
    );
    let told = site.run(&["plan", "--vpc", &prod, "--at", "golden"]).await.ok().stdout;
    assert!(
        told.contains("VPCs per Region (vpc/L-F678F1CE): 5 allowed, 5 there, 1 more needed")
            && told.contains("It cannot start so"),
        "{told}"
    );
    // The least time is told too.
    assert!(told.contains("at least 0") && plan["floor_ms"] == 0, "{told}");
    let refused = site.run(&["restore", "--vpc", &prod, "--at", "golden", "--yes"]).await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("vpc/L-F678F1CE") && refused.stderr.contains("plan again"), "{}", refused.stderr);
    assert_eq!(site.aws.count("CreateVpc"), 0);

    // Room is made, which no sweep has seen yet.
    ec2.delete_vpc().vpc_id(&others[0]).send().await.unwrap();
    let plan = site.json(&["plan", "--vpc", &prod, "--at", "golden"]).await;
    assert_eq!(plan["blockers"], json!([]), "{plan:#}");
    site.run(&["restore", "--vpc", &prod, "--at", "golden", "--yes"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn h65_a_default_that_was_not_read_warns_and_forbids_nothing() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let prod = vpc(&ec2, "10.0.0.0/16", "prod").await;
    let inner = subnet(&ec2, &prod, "10.0.1.0/24").await;
    site.run(&["snapshot", "--label", "golden"]).await.ok();
    delete(&ec2, &prod, &inner).await;
    for i in 1..=4 {
        vpc(&ec2, &format!("10.{i}.0.0/16"), "other").await;
    }
    site.run(&["snapshot"]).await.ok();
    site.aws.fail("GetServiceQuota", 100, "AccessDeniedException", 400);
    let plan = site.json(&["plan", "--vpc", &prod, "--at", "golden"]).await;
    let blocker = &plan["blockers"][0];
    assert_eq!((&blocker["code"], &blocker["value"]), (&json!("vpc/L-F678F1CE"), &json!(5)), "{plan:#}");
    assert!(blocker["not_read"].as_str().unwrap().contains("servicequotas:GetServiceQuota"), "{blocker:#}");
    let told = site.run(&["plan", "--vpc", &prod, "--at", "golden"]).await.ok().stdout;
    assert!(told.contains("5 allowed (default, not read") && !told.contains("It cannot start so"), "{told}");
    // A person who knows of a higher quota may go on; the emulator allows more than five.
    site.run(&["restore", "--vpc", &prod, "--at", "golden", "--yes"]).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_that_are_missing_are_all_named_before_the_first_write() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let prod = vpc(&ec2, "10.0.0.0/16", "prod").await;
    let inner = subnet(&ec2, &prod, "10.0.1.0/24").await;
    site.run(&["snapshot", "--label", "golden"]).await.ok();
    delete(&ec2, &prod, &inner).await;
    for action in ["CreateVpc?DryRun", "CreateSubnet?DryRun"] {
        site.aws.fail(action, 1, "UnauthorizedOperation", 403);
    }
    let refused = site.run(&["restore", "--vpc", &prod, "--at", "golden", "--yes"]).await;
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    for what in ["ec2:CreateVpc in aws/", "ec2:CreateSubnet in aws/", "config/iam/restore.json"] {
        assert!(refused.stderr.contains(what), "{what}: {}", refused.stderr);
    }
    let written = ["CreateVpc", "CreateSubnet", "CreateTags"].map(|op| site.aws.count(op));
    assert_eq!(written, [0, 0, 0]);
    assert!(site.aws.count("CreateVpc?DryRun") == 1 && site.aws.count("CreateTags?DryRun") == 1);
    // Once each, however many steps call it; granted, it starts.
    site.run(&["restore", "--vpc", &prod, "--at", "golden", "--yes"]).await.ok();
    assert_eq!(site.aws.count("CreateSubnet?DryRun"), 2);

    // Where policies are narrower than a dry run can tell, none is made.
    std::fs::write(site.config_path(), "[restore]\ncheck_permissions = false\n").unwrap();
    let of = sdk::Filter::builder().name("cidr-block").values("10.0.1.0/24").build();
    let found = ec2.describe_subnets().filters(of).send().await.unwrap();
    ec2.delete_subnet().subnet_id(found.subnets()[0].subnet_id().unwrap()).send().await.unwrap();
    site.run(&["restore", "--vpc", &prod, "--at", "golden", "--yes"]).await.ok();
    assert_eq!((site.aws.count("CreateSubnet?DryRun"), site.aws.count("CreateSubnet")), (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn h17_whoever_must_accept_is_named_before_and_after() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let other = site.emulator.new_account();
    let credentials = site.emulator.credentials(&other).await;
    let theirs = Client::new(&site.emulator.sdk_config(&credentials, REGION, &site.emulator.endpoint()));
    let (ours, far) = (vpc(&ec2, "10.0.0.0/16", "prod").await, vpc(&theirs, "10.1.0.0/16", "theirs").await);
    let asked = ec2.create_vpc_peering_connection().vpc_id(&ours).peer_vpc_id(&far).peer_owner_id(&other);
    let asked = asked.send().await.unwrap().vpc_peering_connection.unwrap();
    let peering = asked.vpc_peering_connection_id.unwrap();
    theirs.accept_vpc_peering_connection().vpc_peering_connection_id(&peering).send().await.unwrap();
    site.run(&["snapshot", "--label", "golden"]).await.ok();
    ec2.delete_vpc_peering_connection().vpc_peering_connection_id(&peering).send().await.unwrap();

    let plan = site.json(&["plan", &peering, "--at", "golden"]).await;
    let human = &plan["humans"][0];
    assert!(human["resource"].as_str().unwrap().ends_with(&peering), "{plan:#}");
    assert_eq!(human["who"], format!("account {other} in {REGION}"));
    let what = human["what"].as_str().unwrap();
    assert!(what.contains(&far) && what.contains("AcceptVpcPeeringConnection"), "{what}");
    let told = site.run(&["plan", &peering, "--at", "golden"]).await.ok().stdout;
    assert!(told.contains("Others must act") && told.contains(&other), "{told}");
    let ended = site.run(&["restore", &peering, "--at", "golden", "--yes", "--output", "json"]).await;
    assert_eq!(ended.json()["humans"], plan["humans"], "{}\n{}", ended.stdout, ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn h60_a_receipt_tells_terraform_the_ids_that_changed() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let prod = vpc(&ec2, "10.0.0.0/16", "Prod VPC").await;
    let inner = subnet(&ec2, &prod, "10.0.1.0/24").await;
    let table = ec2.create_route_table().vpc_id(&prod).send().await.unwrap().route_table.unwrap();
    let table = table.route_table_id.unwrap();
    ec2.associate_route_table().route_table_id(&table).subnet_id(&inner).send().await.unwrap();
    site.run(&["snapshot", "--label", "golden"]).await.ok();
    ec2.delete_subnet().subnet_id(&inner).send().await.unwrap();
    ec2.delete_route_table().route_table_id(&table).send().await.unwrap();
    ec2.delete_vpc().vpc_id(&prod).send().await.unwrap();

    let receipt =
        site.run(&["restore", "--vpc", &prod, "--at", "golden", "--yes", "--output", "json"]).await.ok().json();
    let id = |old: &str| -> String {
        let items = receipt["items"].as_array().unwrap();
        let item = items.iter().find(|i| i["resource"].as_str().unwrap().ends_with(&format!("/{old}"))).unwrap();
        item["new_id"].as_str().unwrap().to_owned()
    };
    let (new_vpc, new_subnet, new_table) = (id(&prod), id(&inner), id(&table));
    let block = |address: &str, id: &str| format!("import {{\n  to = {address}\n  id = \"{id}\"\n}}\n");
    let text = receipt["terraform"].as_str().unwrap();
    let word = |id: &str| id.replace('-', "_");
    for (address, id) in [
        ("aws_vpc.prod_vpc".to_owned(), new_vpc.clone()),
        (format!("aws_subnet.{}", word(&inner)), new_subnet.clone()),
        (format!("aws_route_table.{}", word(&table)), new_table.clone()),
        (format!("aws_route_table_association.{}", word(&table)), format!("{new_subnet}/{new_table}")),
    ] {
        assert!(text.contains(&block(&address, &id)), "{address}: {text}");
        assert!(text.contains(&format!("terraform state rm '{address}'")), "{text}");
    }
    // The main table is known by its VPC.
    assert!(text.contains(&format!("id = \"{new_vpc}\"")) && text.contains("to = aws_default_route_table."), "{text}");
    let restore = receipt["restore"].as_str().unwrap();
    assert_eq!(site.run(&["receipt", restore, "--terraform"]).await.ok().stdout, text);
    assert_eq!(site.json(&["receipt", restore]).await, receipt);
    let told = site.run(&["receipt", restore]).await.ok().stdout;
    assert!(told.contains(&format!("rollbackd receipt {restore} --terraform")), "{told}");
    let none: Value = site.json(&["plan", "--vpc", &prod, "--at", "golden"]).await;
    assert_eq!(none["steps"], json!([]), "{none:#}");
}
