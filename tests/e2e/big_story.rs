//! The big story: a production estate of three tiers in two zones, taken away by an agent that knows what AWS refuses, and put
//! back by the daemon alone under its policy.
use crate::site::Site;
use kit::{Environment, Estate, Workload, until};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// A restore of this size at the pace that the published request budgets allow, on a slow machine.
const RESTORED: Duration = Duration::from_secs(300);

/// What cannot be as it was, and why: a disk comes from its newest snapshot, and a root through an image of that.
const EXPLAINED: [(&str, &str); 2] = [("ec2:instance", "image_id"), ("ec2:volume", "snapshot_id")];

fn text<'v>(v: &'v Value, member: &str) -> &'v str {
    v[member].as_str().unwrap_or_else(|| panic!("no {member} in {v:#}"))
}
fn id_of(resource: &str) -> &str {
    resource.rsplit('/').next().unwrap()
}
fn kind_of(resource: &str) -> &str {
    resource.split('/').nth(3).unwrap()
}
fn pretty(v: &Value) -> String {
    serde_json::to_string_pretty(v).unwrap()
}

/// A spec in the ids of today, without its step's tag, sets in one order.
fn today(v: &Value, ids: &BTreeMap<String, String>) -> Value {
    match v {
        Value::String(s) => json!(ids.get(s).unwrap_or(s)),
        Value::Array(rows) => {
            let mut rows: Vec<Value> = rows.iter().map(|row| today(row, ids)).collect();
            rows.sort_by_cached_key(Value::to_string);
            Value::Array(rows)
        }
        Value::Object(m) => m.iter().map(|(k, v)| (k.clone(), today(v, ids))).collect(),
        leaf => leaf.clone(),
    }
}

async fn stored(site: &Site) -> u64 {
    site.status().await.expect("the daemon answers")["store"]["counts"]["resources"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estate_of_more_than_120_resources_comes_back_by_itself() {
    let site = Site::new().await;
    site.configure("mode = \"auto\"\ngrace = \"5s\"\ndata_age_max = \"1h\"");
    let ec2 = site.ec2();
    let daemon = site.daemon().await;
    let before_it = stored(&site).await;
    let estate = Estate::build(&ec2).await;
    let sweep = site.json(&["snapshot", "--label", "golden"]).await;
    assert!(sweep["errors"].is_null(), "{sweep:#}");
    let resources = stored(&site).await - before_it;
    assert!(resources >= 120, "{resources} resources");
    let (fingerprint, picture) = (estate.env.fingerprint(&ec2).await, Workload::picture(&ec2).await);
    let counts = Environment::count(&ec2).await;
    site.settle().await;

    estate.teardown(&site.agent().await).await;
    let left = ec2.describe_vpcs().vpc_ids(&estate.env.vpc).send().await;
    assert!(left.is_err(), "the agent is done: {left:?}");
    until("the daemon has restored it", RESTORED, || async {
        let all = site.incidents().await;
        assert!(
            all.iter().all(|i| i["state"] != "awaiting-approval" && i["state"] != "failed"),
            "{all:#?}\n{}",
            daemon.output()
        );
        all.iter().any(|i| i["state"] == "restored" || i["state"] == "partly-restored")
    })
    .await;
    let all = site.incidents().await;
    assert_eq!(all.len(), 1, "one session, one incident: {all:#?}");
    let audit = site.json(&["audit", "--limit", "2000"]).await;
    let started = audit.as_array().unwrap().iter().find(|e| e["what"]["verb"] == "restore-started");
    assert_eq!(started.map(|e| &e["who"]), Some(&json!("policy test")), "nobody approved it");

    // The receipt: nothing failed, and what differs is what a new disk cannot be.
    let restore = text(&all[0], "restore");
    let ended = site.run(&["resume", restore, "--output", "json"]).await;
    let receipt = ended.json();
    let items = receipt["items"].as_array().unwrap();
    assert!(items.len() >= 120, "{} resources on the receipt", items.len());
    for item in items {
        let kind = kind_of(text(item, "resource"));
        assert!(["restored", "differs"].contains(&text(item, "outcome")), "{item:#}");
        for difference in item["differences"].as_array().into_iter().flatten() {
            assert!(EXPLAINED.contains(&(kind, text(difference, "path"))), "{item:#}");
            assert!(!text(difference, "why").starts_with("not explained"), "{item:#}");
        }
    }
    // Only what was written since the snapshots and what was in memory is lost: what the policy accepts.
    for loss in receipt["losses"].as_array().unwrap() {
        assert!(loss["bound"] == "memory" || loss["bound"]["since"].is_string(), "{loss:#}");
    }
    assert_eq!(receipt["conflicts"], json!([]));

    // Exactly one of each, configured as before, whatever its id; the survivor's routes and rules too.
    assert_eq!(Environment::count(&ec2).await, counts);
    let now = Environment::find(&ec2).await;
    assert_eq!(pretty(&now.fingerprint(&ec2).await), pretty(&fingerprint));
    assert_eq!(pretty(&Workload::picture(&ec2).await), pretty(&picture));
    let made = ["RunInstances", "CreateNatGateway", "CreateVpcEndpoint", "CreateSubnet", "CreateNetworkInterface"];
    for operation in made {
        let calls = site.emulator.calls(&site.account).into_iter().filter(|(_, name)| name == operation).count();
        assert_eq!(calls, 2 * site.aws.count(operation), "{operation}: as often by the restore as at the start");
    }
    // Said once more in plain words: what lives points at what was made.
    let shared = ec2.describe_route_tables().route_table_ids(&estate.shared_routes).send().await.unwrap();
    let routes = shared.route_tables()[0].routes().iter().filter_map(|r| r.vpc_peering_connection_id());
    let routes: Vec<&str> = routes.collect();
    assert!(routes.len() == 2 && routes.iter().all(|r| *r != estate.env.peering), "{routes:?}");
    let monitoring = ec2.describe_security_groups().group_ids(&estate.env.group_monitoring).send().await.unwrap();
    let pairs = monitoring.security_groups()[0].ip_permissions().iter().flat_map(|p| p.user_id_group_pairs());
    let pairs: Vec<_> = pairs.filter_map(|p| p.group_id()).collect();
    assert_eq!(pairs, [now.group_app.as_str()]);

    // The stored specs are equal too, once old ids are read as new ones.
    site.run(&["snapshot"]).await.ok();
    let ids: BTreeMap<String, String> = items
        .iter()
        .filter_map(|i| Some((id_of(text(i, "resource")).to_owned(), i["new_id"].as_str()?.to_owned())))
        .collect();
    for item in items {
        let old = id_of(text(item, "resource"));
        let Some(new) = ids.get(old) else { panic!("no id on the receipt: {item:#}") };
        let spec = async |id: String| site.json(&["show", &id]).await["spec"].clone();
        let (mut then, mut now) =
            (today(&spec(format!("{old}@golden")).await, &ids), today(&spec(new.clone()).await, &ids));
        for (_, path) in EXPLAINED.iter().filter(|(kind, _)| *kind == kind_of(text(item, "resource"))) {
            for spec in [&mut then, &mut now] {
                spec.as_object_mut().unwrap().remove(*path);
            }
        }
        assert_eq!(pretty(&now), pretty(&then), "{} is {new} now", text(item, "resource"));
    }
    let again = site.json(&["plan", "--vpc", &estate.env.vpc, "--at", "golden"]).await;
    assert_eq!(again["steps"], json!([]), "{again:#}");
    assert!(site.json(&["audit", "verify"]).await["broken"].is_null());
}
