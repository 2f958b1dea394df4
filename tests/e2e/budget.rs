//! What a sweep asks of AWS: counted, not timed.
use crate::site::{REGION, Site};
use kit::{Script, fleet};
use rollbackd::plan::budget;
use std::{collections::BTreeMap, time::Duration};

/// The default of `[capture] every`.
const EVERY: Duration = Duration::from_secs(15 * 60);

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_of_2000_resources_fits_in_half_of_the_published_buckets() {
    let site = Site::new().await;
    // The emulator's own: a default VPC and what is in it.
    let sweep = |sweep: serde_json::Value| {
        assert!(sweep["errors"].is_null(), "{sweep:#}");
        sweep["scopes"].as_object().unwrap().values().map(|c| c["seen"].as_u64().unwrap()).sum::<u64>()
    };
    let without = sweep(site.json(&["snapshot"]).await);
    fleet::build(&mut Script::new(&site.owner, REGION, &site.emulator.endpoint())).await;
    let before = site.aws.calls().len();
    let seen = sweep(site.json(&["snapshot"]).await);
    assert_eq!(seen - without, fleet::SIZE as u64);

    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for call in site.aws.calls().into_iter().skip(before) {
        *calls.entry(format!("{}:{}", call.service, call.operation)).or_default() += 1;
    }
    let counted: Vec<(&str, usize)> = calls.iter().map(|(action, n)| (action.as_str(), *n)).collect();
    let floor = budget::floor(&counted);
    let all: usize = calls.values().sum();
    println!("a sweep of {seen} resources: {all} calls, at least {floor:?} at half of the buckets: {calls:#?}");
    // It ends before the next one begins, with room for ten times as many; so it does at the half of this that sweeps take.
    assert!(floor * 10 < EVERY, "{floor:?}: {calls:#?}");
    // Paged reads grow with pages, not with resources; what has to be asked one by one is known, and named here.
    let one_by_one: Vec<&str> = calls.iter().filter(|(_, n)| **n > 50).map(|(action, _)| action.as_str()).collect();
    assert_eq!(
        one_by_one,
        ["ec2:DescribeInstanceAttribute", "ec2:DescribeSnapshotAttribute", "ec2:DescribeVpcAttribute"]
    );
    assert!(all < fleet::SIZE, "fewer calls than resources: {calls:#?}");
}
