//! Snapshots of tagged volumes on a schedule, through the daemon.
use crate::site::{SOON, Site};
use aws_sdk_ec2::types as sdk;
use kit::until;
use std::collections::{BTreeMap, BTreeSet};

/// A day: one round makes the first copy, and no later one makes another.
const DAILY: &str = "[[ebs_snapshots]]\ntag = \"backup=daily\"\nevery = \"24h\"\nkeep = 7\n";
/// As often as AWS tells instants apart, and few kept.
const OFTEN: &str = "[[ebs_snapshots]]\ntag = \"tier=db\"\nevery = \"1s\"\nkeep = 2\n";

fn configure(site: &Site, rules: &str) {
    site.configure("mode = \"approve\"");
    let text = std::fs::read_to_string(site.config_path()).unwrap();
    std::fs::write(site.config_path(), format!("{text}\n{rules}")).unwrap();
}
fn tag(key: &str, value: &str) -> sdk::Tag {
    sdk::Tag::builder().key(key).value(value).build()
}
async fn volume(ec2: &aws_sdk_ec2::Client, tags: &[(&str, &str)]) -> String {
    let tags = tags.iter().map(|(k, v)| tag(k, v)).collect();
    let tags = sdk::TagSpecification::builder().resource_type(sdk::ResourceType::Volume).set_tags(Some(tags)).build();
    let made = ec2.create_volume().availability_zone("eu-west-1a").size(1).tag_specifications(tags).send().await;
    made.unwrap().volume_id.unwrap()
}
/// The copies of a rule, newest first.
async fn copies(ec2: &aws_sdk_ec2::Client, rule: &str) -> Vec<sdk::Snapshot> {
    let of = sdk::Filter::builder().name("tag:rollbackd:copy").values(rule).build();
    let found = ec2.describe_snapshots().owner_ids("self").filters(of).send().await.unwrap();
    let mut all = found.snapshots.unwrap_or_default();
    all.sort_by_key(|s| std::cmp::Reverse(s.start_time.map(|t| t.as_nanos())));
    all
}
fn ids(copies: &[sdk::Snapshot]) -> BTreeSet<String> {
    copies.iter().filter_map(|s| s.snapshot_id.clone()).collect()
}
fn volumes(copies: &[sdk::Snapshot]) -> Vec<String> {
    let mut all: Vec<String> = copies.iter().filter_map(|s| s.volume_id.clone()).collect();
    all.sort();
    all
}
fn tags(copy: &sdk::Snapshot) -> BTreeMap<&str, &str> {
    copy.tags().iter().filter_map(|t| Some((t.key()?, t.value()?))).collect()
}
/// The subjects of the audit's entries with a verb.
async fn audited(site: &Site, verb: &str) -> Vec<String> {
    let entries = site.json(&["audit", "--limit", "500"]).await;
    let rows = entries.as_array().unwrap().iter().filter(|e| e["what"]["verb"] == verb);
    rows.map(|e| e["what"]["subject"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_copies_its_volumes_once_and_a_restart_copies_none_twice() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let image = ec2.register_image().name("base").root_device_name("/dev/xvda").send().await.unwrap().image_id.unwrap();
    let run = ec2.run_instances().image_id(image).min_count(1).max_count(1).send().await.unwrap();
    let instance = run.instances()[0].instance_id().unwrap().to_owned();
    let (one, two, other) = (
        volume(&ec2, &[("backup", "daily"), ("Name", "one")]).await,
        volume(&ec2, &[("backup", "daily"), ("Name", "two")]).await,
        volume(&ec2, &[("Name", "scratch")]).await,
    );
    for (device, id) in [("/dev/sdf", &one), ("/dev/sdg", &two), ("/dev/sdh", &other)] {
        ec2.attach_volume().device(device).instance_id(&instance).volume_id(id).send().await.unwrap();
    }
    let alone = volume(&ec2, &[("backup", "daily"), ("Name", "alone"), ("team", "data")]).await;
    let db = volume(&ec2, &[("tier", "db")]).await;
    configure(&site, &format!("{DAILY}{}", OFTEN.replace("1s", "12h")));

    // The answer of one call is lost: the list tells what it made, and no second one is made.
    site.aws.lose_answer("CreateSnapshots", 1);
    let mut daemon = site.daemon().await;
    until("all are copied", SOON, || async {
        copies(&ec2, "backup=daily").await.len() == 3 && copies(&ec2, "tier=db").await.len() == 1
    })
    .await;
    let daily = copies(&ec2, "backup=daily").await;
    let mut expected = vec![one.clone(), two.clone(), alone.clone()];
    expected.sort();
    assert_eq!(volumes(&daily), expected, "the root and the scratch disk have no tag");
    let starts: BTreeSet<_> = daily.iter().filter_map(|s| s.description.clone()).collect();
    assert_eq!(starts.len(), 2, "one call for the two of the instance: {starts:?}");
    assert_eq!((site.aws.count("CreateSnapshots"), site.aws.count("CreateSnapshot")), (1, 2));
    for copy in &daily {
        let name = BTreeMap::from([(&one, "one"), (&two, "two"), (&alone, "alone")])[&copy.volume_id.clone().unwrap()];
        let tags = tags(copy);
        assert_eq!((tags["Name"], tags["backup"], tags["rollbackd:copy"]), (name, "daily", "backup=daily"));
    }
    assert_eq!(volumes(&copies(&ec2, "tier=db").await), [db]);
    let status = site.status().await.unwrap();
    let rules: BTreeMap<_, _> = status["copies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| (c["rule"].as_str().unwrap(), (c["volumes"].as_u64().unwrap(), c["newest"].is_string())))
        .collect();
    assert_eq!(rules, [("backup=daily", (3, true)), ("tier=db", (1, true))].into());
    let shown = site.run(&["status"]).await.ok().stdout;
    assert!(shown.contains("Copies of volumes") && shown.contains("backup=daily"), "{shown}");

    // Killed and started again: the copies are looked up, and none is due.
    daemon.kill9().await;
    let daemon = site.daemon().await;
    until("the lost answer is on record", SOON, || async { audited(&site, "copied").await.len() == 3 }).await;
    site.settle().await;
    assert_eq!((site.aws.count("CreateSnapshots"), site.aws.count("CreateSnapshot")), (1, 2), "{}", daemon.output());
    assert_eq!(audited(&site, "copy-began").await.len(), 3, "before each call");

    // What readiness says of a volume with such a copy is what it says of any.
    site.json(&["snapshot"]).await;
    let ready = site.json(&["readiness"]).await;
    let line = ready.as_array().unwrap().iter().find(|l| l["resource"].as_str().unwrap().ends_with(&alone)).unwrap();
    assert!(line["lost"].as_str().unwrap().contains("snap-"), "{line:#}");
    assert!(site.json(&["audit", "verify"]).await["broken"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_rollbackd_made_expires_and_nothing_while_halted() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let (db, other) = (volume(&ec2, &[("tier", "db")]).await, volume(&ec2, &[("tier", "db")]).await);
    // Somebody else's: the tag alone makes it no copy of ours. And the user's own.
    let foreign = sdk::TagSpecification::builder()
        .resource_type(sdk::ResourceType::Snapshot)
        .tags(tag("rollbackd:copy", "tier=db"))
        .build();
    let foreign = ec2.create_snapshot().volume_id(&db).tag_specifications(foreign).send().await.unwrap();
    let foreign = foreign.snapshot_id.unwrap();
    let own = ec2.create_snapshot().volume_id(&db).send().await.unwrap().snapshot_id.unwrap();
    configure(&site, OFTEN);
    let daemon = site.daemon().await;
    // One of ours is of an image, one is locked: both stay, whatever their age.
    let first = async |of: &str| {
        let all = copies(&ec2, "tier=db").await;
        let mut ours = all.into_iter().filter(|s| s.snapshot_id.as_ref() != Some(&foreign)).rev();
        ours.find(|s| s.volume_id() == Some(of)).and_then(|s| s.snapshot_id)
    };
    until("both have a copy", SOON, || async { first(&db).await.is_some() && first(&other).await.is_some() }).await;
    site.run(&["halt"]).await.ok();
    let (imaged, locked) = (first(&db).await.unwrap(), first(&other).await.unwrap());
    let disk = sdk::EbsBlockDevice::builder().snapshot_id(&imaged).build();
    let disk = sdk::BlockDeviceMapping::builder().device_name("/dev/xvda").ebs(disk).build();
    ec2.register_image().name("golden").root_device_name("/dev/xvda").block_device_mappings(disk).send().await.unwrap();
    ec2.lock_snapshot()
        .snapshot_id(&locked)
        .lock_mode(sdk::LockMode::Governance)
        .lock_duration(1)
        .send()
        .await
        .unwrap();
    site.run(&["unhalt"]).await.ok();
    until("some have expired", SOON, || async { site.aws.count("DeleteSnapshot") >= 3 }).await;

    site.run(&["halt"]).await.ok();
    site.settle().await; // what was under way has ended
    let left = ids(&copies(&ec2, "tier=db").await);
    for stays in [&imaged, &locked, &foreign] {
        assert!(left.contains(stays), "{stays} stays: {left:?}\n{}", daemon.output());
    }
    let users = ec2.describe_snapshots().snapshot_ids(&own).send().await.unwrap();
    assert_eq!(users.snapshots().len(), 1);
    // Of each volume the newest two and the one that is held; the foreign one; what would have been next to expire.
    assert!((7..=9).contains(&left.len()), "{left:?}");
    let expired: BTreeSet<String> = audited(&site, "copy-expired").await.into_iter().collect();
    assert!(expired.len() >= 3 && expired.is_disjoint(&left), "each on the audit, and gone: {expired:?} {left:?}");

    // Halted, nothing is made and nothing deleted, though copies have been due for as long as one is kept.
    site.settle().await;
    assert_eq!(ids(&copies(&ec2, "tier=db").await), left, "{}", daemon.output());
    site.run(&["unhalt"]).await.ok();
    until("it goes on", SOON, || async { !ids(&copies(&ec2, "tier=db").await).is_subset(&left) }).await;
    assert!(site.json(&["audit", "verify"]).await["broken"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_of_a_volume_that_an_open_incident_concerns_stay() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let image = ec2.register_image().name("base").root_device_name("/dev/xvda").send().await.unwrap().image_id.unwrap();
    let run = ec2.run_instances().image_id(image).min_count(1).max_count(1).send().await.unwrap();
    let instance = run.instances()[0].instance_id().unwrap().to_owned();
    let (hit, other) = (volume(&ec2, &[("tier", "db")]).await, volume(&ec2, &[("tier", "db")]).await);
    ec2.attach_volume().device("/dev/sdf").instance_id(&instance).volume_id(&hit).send().await.unwrap();
    configure(&site, OFTEN);
    let daemon = site.daemon().await;
    let agent = site.agent().await;
    agent.detach_volume().volume_id(&hit).instance_id(&instance).send().await.unwrap();
    site.incident_in("awaiting-approval").await;
    site.settle().await; // what was under way before has ended
    let of = async |volume: &str| {
        let all = copies(&ec2, "tier=db").await;
        ids(&all.into_iter().filter(|s| s.volume_id() == Some(volume)).collect::<Vec<_>>())
    };
    let held = of(&hit).await;
    let others = of(&other).await;
    until("what is not concerned expires", SOON, || async { of(&other).await.is_disjoint(&others) }).await;
    assert!(!held.is_empty() && held.is_subset(&of(&hit).await), "{}", daemon.output());
}
