//! What runs in a VPC: instances with their disks, addresses and secrets, and all that stands around them.
use crate::site::{Ended, Site};
use kit::{
    Workload,
    workload::{CANARY, Data, PRIVATE_IP, USER_DATA},
};
use serde_json::{Value, json};

/// A site that was captured as `golden`, and then lost.
async fn lost(data: Data) -> (Site, Workload, Value) {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let work = Workload::build(&ec2, data).await;
    let before = Workload::picture(&ec2).await;
    let sweep = site.json(&["snapshot", "--label", "golden"]).await;
    assert!(sweep["errors"].is_null(), "{sweep:#}");
    assert_eq!(site.json(&["diff", "golden", "live"]).await, json!([]), "nothing has changed yet");
    work.teardown(&ec2).await;
    (site, work, before)
}

fn lines(v: &Value) -> String {
    serde_json::to_string_pretty(v).unwrap()
}
/// What a receipt does not call restored: the id, the outcome, and what differs.
fn rest(receipt: &Value) -> Vec<(String, String, Vec<String>)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let rows = receipt["items"].as_array().unwrap().iter().filter(|i| i["outcome"] != "restored");
    rows.map(|i| {
        let id = text(&i["resource"]).rsplit('/').next().unwrap().to_owned();
        let paths = i["differences"].as_array().into_iter().flatten().map(|d| text(&d["path"])).collect();
        (id, text(&i["outcome"]), paths)
    })
    .collect()
}
/// What a receipt says of one resource.
fn item<'a>(receipt: &'a Value, id: &str) -> &'a Value {
    let mut items = receipt["items"].as_array().unwrap().iter();
    let found = items.find(|i| i["resource"].as_str().unwrap().ends_with(id));
    found.unwrap_or_else(|| panic!("{id} is not on the receipt: {receipt:#}"))
}
fn differs(id: &str, path: &str) -> (String, String, Vec<String>) {
    (id.to_owned(), "differs".to_owned(), vec![path.to_owned()])
}
/// What a receipt says was lost, without the keys' scopes.
fn losses(receipt: &Value) -> Vec<(String, String)> {
    let rows = receipt["losses"].as_array().unwrap().iter();
    let id = |l: &Value| l["resource"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    rows.map(|l| (id(l), l["what"].as_str().unwrap().to_owned())).collect()
}
fn silent(ended: &Ended, what: &str) {
    for (stream, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        assert!(!text.contains(CANARY) && !text.contains(USER_DATA), "{what} shows the user data on {stream}: {text}");
    }
}
/// All volumes that are alive under a name.
async fn volume(ec2: &aws_sdk_ec2::Client, name: &str) -> Vec<aws_sdk_ec2::types::Volume> {
    let named = aws_sdk_ec2::types::Filter::builder().name("tag:Name").values(name).build();
    ec2.describe_volumes().filters(named).send().await.unwrap().volumes.unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn h15_h16_h21_h23_all_that_runs_in_a_vpc_comes_back_and_what_lives_is_pointed_at_it() {
    let (site, work, before) = lost(Data::Kept).await;
    let ec2 = site.ec2();
    // The answer of the launch is lost: the retry finds what it made (H64).
    site.aws.lose_answer("RunInstances", 1);
    let vpc = site.run(&["restore", "--vpc", &work.vpc, "--at", "golden", "--yes", "--output", "json"]).await;
    // All is as it was; what was written since the newest snapshot is lost.
    assert_eq!(vpc.code, 3, "{}\n{}", vpc.stdout, vpc.stderr);
    let receipt = vpc.json();
    assert_eq!(rest(&receipt), [], "{receipt:#}");
    // The root is made from its newest snapshot through an image of that, which the receipt names with what removes it.
    let root = &item(&receipt, &work.instance)["differences"][0];
    let images = ec2.describe_images().owners("self").send().await.unwrap().images.unwrap_or_default();
    let left: Vec<_> = images.iter().filter(|i| i.name().unwrap().starts_with("rollbackd root snap-")).collect();
    assert_eq!(left.len(), 1, "{images:?}");
    assert_eq!((root["path"].as_str(), root["from"].as_str()), (Some("root_image"), left[0].image_id()), "{root:#}");
    assert!(root["why"].as_str().unwrap().contains("aws ec2 deregister-image --image-id"), "{root:#}");
    // What was in memory, and what was written to the root since its snapshot; the data volume survived and lost nothing.
    let lost: std::collections::BTreeMap<_, _> = losses(&receipt).into_iter().collect();
    assert_eq!(
        lost.keys().collect::<std::collections::BTreeSet<_>>(),
        [&work.instance, &work.root_volume].into(),
        "{lost:#?}"
    );
    assert!(lost[&work.root_volume].starts_with("what was written since"), "{lost:#?}");
    // What does not belong to the VPC: by its tag.
    let rest_of = site.run(&["restore", "--tag", "env=prod", "--at", "golden", "--yes", "--output", "json"]).await;
    assert_eq!(rest_of.code, 3, "{}\n{}", rest_of.stdout, rest_of.stderr);
    let receipt = rest_of.json();
    assert_eq!(rest(&receipt), [], "{receipt:#}");
    let archive = &item(&receipt, &work.archive_volume)["differences"][0];
    assert_eq!(archive["path"], "snapshot_id", "it comes from its newest snapshot: {receipt:#}");

    assert_eq!(lines(&Workload::picture(&ec2).await), lines(&before));
    // Said once more in plain words, since a picture could be wrong twice in the same way.
    let data = volume(&ec2, "data").await;
    let ids: Vec<_> = data.iter().filter_map(|v| v.volume_id()).collect();
    assert_eq!(ids, [work.data_volume.as_str()], "it survived: attached again, not made again");
    let instance = data[0].attachments()[0].instance_id().unwrap().to_owned();
    assert_ne!(instance, work.instance);
    assert_eq!(Workload::user_data(&ec2, &instance).await.as_deref(), Some(USER_DATA));
    let found = ec2.describe_instances().instance_ids(&instance).send().await.unwrap();
    let found = &found.reservations()[0].instances()[0];
    assert_eq!(
        (found.private_ip_address(), found.public_ip_address()),
        (Some(PRIVATE_IP), Some(work.public_ip.as_str()))
    );
    let archive = volume(&ec2, "archive").await;
    assert_eq!(
        archive.iter().map(|v| v.snapshot_id().unwrap()).collect::<Vec<_>>(),
        [work.archive_snapshot.as_str()],
        "from its newest snapshot"
    );
    let hub = ec2.describe_route_tables().route_table_ids(&work.hub_routes).send().await.unwrap();
    let peerings: Vec<_> =
        hub.route_tables()[0].routes().iter().filter_map(|r| r.vpc_peering_connection_id()).collect();
    assert_eq!(peerings.len(), 1);
    assert_ne!(peerings[0], work.peering, "the survivor's route goes through the new peering");

    // Once more finds nothing to do, and makes nothing twice.
    let again = site.json(&["plan", "--vpc", &work.vpc, "--at", "golden"]).await;
    assert_eq!(again["steps"], json!([]), "{again:#}");
    for what in [["--vpc", work.vpc.as_str()], ["--tag", "env=prod"]] {
        let args = [&["restore"], &what[..], &["--at", "golden", "--yes", "--output", "json"]].concat();
        let again = site.run(&args).await;
        assert_eq!((again.code, losses(&again.json())), (0, vec![]), "{}\n{}", again.stdout, again.stderr);
    }
    // Nor once the image is removed, as the receipt said.
    ec2.deregister_image().image_id(left[0].image_id().unwrap()).send().await.unwrap();
    let again = site.run(&["restore", &work.instance, "--at", "golden", "--yes", "--output", "json"]).await;
    assert_eq!((again.code, losses(&again.json())), (0, vec![]), "{}\n{}", again.stdout, again.stderr);
    assert_eq!(lines(&Workload::picture(&ec2).await), lines(&before));
    assert!(site.json(&["audit", "verify"]).await["broken"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn h24_data_that_died_comes_from_its_newest_copy_and_what_has_none_is_named() {
    let (site, work, _) = lost(Data::Lost).await;
    let ec2 = site.ec2();
    let restored = site.run(&["restore", "--vpc", &work.vpc, "--at", "golden", "--yes", "--output", "json"]).await;
    assert_eq!(restored.code, 3, "{}\n{}", restored.stdout, restored.stderr);
    let receipt = restored.json();
    let scratch = work.scratch_volume.as_deref().unwrap();
    assert!(
        item(&receipt, scratch)["why"].as_str().is_some_and(|w| w.contains("an empty volume is not made silently")),
        "{receipt:#}"
    );
    // The root begins as its image, since it had no copy: there again, and its content is lost all the same.
    assert_eq!(item(&receipt, &work.root_volume)["outcome"], "restored");
    let lost: std::collections::BTreeMap<_, _> = losses(&receipt).into_iter().collect();
    assert!(lost.get(&work.root_volume).is_some_and(|what| what.contains("it has no snapshot")), "{lost:#?}");
    assert!(lost.get(&work.data_volume).is_some_and(|what| what.contains(&work.data_snapshot)), "{lost:#?}");
    let data = volume(&ec2, "data").await;
    assert_eq!(data.len(), 1);
    assert_eq!(data[0].snapshot_id(), Some(work.data_snapshot.as_str()));
    assert_eq!(data[0].attachments().len(), 1);
    assert!(volume(&ec2, "scratch").await.is_empty());
    // Nothing else is amiss; the instance runs, linked as far as it can be, without the disk that has no copy.
    assert!(lost.contains_key(scratch), "{lost:#?}");
    let without = &item(&receipt, &work.instance)["differences"][0]["why"];
    assert_eq!(*without, format!("{scratch} did not come back: see there"), "{receipt:#}");
    let mut expected =
        [differs(&work.instance, "block_device_mappings[/dev/sdg]"), (scratch.to_owned(), "failed".to_owned(), vec![])];
    expected.sort();
    let mut named = rest(&receipt);
    named.sort();
    assert_eq!(named, expected, "{receipt:#}");
    let host = data[0].attachments()[0].instance_id().unwrap();
    assert_eq!(Workload::user_data(&ec2, host).await.as_deref(), Some(USER_DATA));
    // Once more makes nothing twice.
    let again = site.run(&["restore", "--vpc", &work.vpc, "--at", "golden", "--yes"]).await;
    assert_eq!(again.code, 3, "{}\n{}", again.stdout, again.stderr);
    assert_eq!((volume(&ec2, "data").await.len(), volume(&ec2, "root").await.len()), (1, 1));
    assert_eq!(site.emulator.count(&site.account, "RunInstances"), 2, "at the start, and once since");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_a_launch_and_a_resume_make_no_second_instance() {
    let (site, work, before) = lost(Data::Kept).await;
    let plan = site.json(&["plan", "--vpc", &work.vpc, "--at", "golden"]).await;
    site.aws.freeze("RunInstances", 0, kit::Moment::After);
    let args = ["restore", plan["digest"].as_str().unwrap(), "--yes"];
    let mut restore = kit::Daemon::spawn(crate::site::binary(), &args, &site.env());
    site.aws.frozen(crate::site::SOON).await;
    restore.kill9().await;
    site.aws.thaw();
    site.aws.lose_answer("AttachVolume", 1);
    let resumed = site.run(&["resume", "--output", "json"]).await;
    assert_eq!(resumed.code, 3, "{}\n{}", resumed.stdout, resumed.stderr);
    assert_eq!(rest(&resumed.json()), [], "{}", resumed.stdout);
    let images = site.ec2().describe_images().owners("self").send().await.unwrap().images.unwrap_or_default();
    let left = images.iter().filter(|i| i.name().unwrap().starts_with("rollbackd root snap-")).count();
    assert_eq!(left, 1, "the image of the first attempt is used again");
    let archive = site.run(&["restore", &work.archive_volume, "--at", "golden", "--yes", "--output", "json"]).await;
    assert_eq!(rest(&archive.json()), [], "{}", archive.stdout);
    assert_eq!(lines(&Workload::picture(&site.ec2()).await), lines(&before));
    assert_eq!(site.emulator.count(&site.account, "RunInstances"), 2, "at the start, and once since");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_shows_user_data() {
    let (site, work, _) = lost(Data::Kept).await;
    let at = format!("{}@golden", work.instance);
    let template = format!("{}@golden", work.template);
    let commands: &[&[&str]] = &[
        &["show", &at],
        &["show", &template],
        &["history", &work.instance],
        &["history", &work.template],
        &["diff", "golden", "live"],
        &["plan", "--vpc", &work.vpc, "--at", "golden"],
        &["restore", "--vpc", &work.vpc, "--at", "golden", "--yes", "--verbose"],
        &["history", &work.instance],
        &["diff", "golden", "live"],
        &["audit", "--limit", "500"],
    ];
    for command in commands {
        for format in ["table", "json"] {
            let mut args = command.to_vec();
            args.extend(["--output", format]);
            let ended = site.run(&args).await;
            silent(&ended, &args.join(" "));
            // The second time nothing is left to restore.
            let code = if command[0] == "restore" && format == "table" { 3 } else { 0 };
            assert_eq!(ended.code, code, "{}: {}\n{}", args.join(" "), ended.stdout, ended.stderr);
        }
    }
    // It was captured all the same, since it came back.
    let data = volume(&site.ec2(), "data").await;
    let instance = data[0].attachments()[0].instance_id().unwrap();
    assert_eq!(Workload::user_data(&site.ec2(), instance).await.as_deref(), Some(USER_DATA));
}
