//! kill -9 at many moments of a restore, then `resume`: exactly one of each resource, configured as before.
use crate::site::{Before, SOON, Site, binary};
use kit::{Daemon, proxy::Moment};
use std::time::Duration;

/// The call that stands still when the process is killed, which of its kind, and whether AWS has already done it.
const MOMENTS: &[(&str, usize, Moment)] = &[
    ("AllocateAddress", 1, Moment::Before),
    ("AllocateAddress", 2, Moment::After),
    ("CreateVpc", 1, Moment::Before),
    ("CreateVpc", 1, Moment::After),
    ("CreateSubnet", 4, Moment::After),
    ("CreateSecurityGroup", 2, Moment::After),
    ("CreateNatGateway", 1, Moment::After),
    ("CreateRouteTable", 2, Moment::After),
    ("CreateNetworkAcl", 1, Moment::After),
    ("CreateInternetGateway", 1, Moment::After),
    ("AuthorizeSecurityGroupIngress", 2, Moment::After),
    ("CreateRoute", 1, Moment::After),
    ("AssociateRouteTable", 2, Moment::Before),
    ("CreateDhcpOptions", 1, Moment::After),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_many_moments_and_resumed_there_is_one_of_each() {
    let site = Site::new().await;
    site.configure("mode = \"approve\"");
    let ec2 = site.ec2();
    let mut before = Before::build(&ec2).await;
    for (operation, nth, moment) in MOMENTS {
        let what = format!("killed at {operation} number {nth}, {moment:?} AWS does it");
        site.run(&["snapshot", "--label", "golden"]).await.ok();
        before.env.teardown(&ec2).await;
        let plan = site.json(&["plan", "--vpc", &before.env.vpc, "--at", "golden"]).await;

        let mut daemon = site.daemon().await;
        site.aws.freeze(operation, *nth - 1, *moment);
        let mut restore = Daemon::spawn(binary(), &["restore", plan["digest"].as_str().unwrap(), "--yes"], &site.env());
        site.aws.frozen(SOON).await;
        daemon.kill9().await;
        site.aws.thaw();
        assert!(!restore.wait_exit(SOON).await.success(), "{what}: the command says that the daemon broke off");

        let resumed = site.run(&["resume", "--output", "json"]).await;
        assert_eq!(resumed.code, 0, "{what}: {}\n{}", resumed.stdout, resumed.stderr);
        assert_eq!(resumed.json()["restored"], resumed.json()["of"], "{what}: {}", resumed.stdout);
        before.assert_back(&ec2).await;
        before.env = kit::Environment::find(&ec2).await;
        assert!(site.json(&["audit", "verify"]).await["broken"].is_null(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_killed_in_a_restore_says_so_and_resumes() {
    let site = Site::new().await;
    site.configure("mode = \"approve\"");
    let ec2 = site.ec2();
    let before = Before::build(&ec2).await;
    let mut daemon = site.daemon().await;
    before.env.teardown(&site.agent().await).await;
    let incident = site.whole_incident_in("awaiting-approval").await;
    site.aws.freeze("CreateSubnet", 2, Moment::After);
    site.json(&["approve", incident["plan"].as_str().unwrap()]).await;
    site.aws.frozen(SOON).await;
    daemon.kill9().await;
    site.aws.thaw();

    let _daemon = site.daemon().await;
    let status = site.status().await.unwrap();
    let restore = status["restores"][0]["id"].as_str().unwrap().to_owned();
    assert!(
        status["troubles"]
            .as_array()
            .unwrap()
            .iter()
            .any(|t| t.as_str().unwrap().contains(&format!("rollbackd resume {restore}"))),
        "{status:#}"
    );
    let receipt = site.run(&["resume", &restore, "--output", "json"]).await.ok().json();
    assert_eq!(receipt["restored"], receipt["of"], "{receipt:#}");
    before.assert_back(&ec2).await;
    site.incident_in("restored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_it_ends_the_step_and_resume_goes_on() {
    let site = Site::new().await;
    site.configure("mode = \"approve\"");
    let ec2 = site.ec2();
    let before = Before::build(&ec2).await;
    let mut daemon = site.daemon().await;
    before.env.teardown(&site.agent().await).await;
    let incident = site.whole_incident_in("awaiting-approval").await;
    site.aws.freeze("CreateVpc", 0, Moment::After);
    site.json(&["approve", incident["plan"].as_str().unwrap()]).await;
    site.aws.frozen(SOON).await;
    daemon.signal(kit::Signal::Term).await;
    site.aws.thaw();
    assert!(daemon.wait_exit(SOON).await.success(), "{}", daemon.output());
    assert_eq!(site.emulator.count(&site.account, "CreateVpc"), 3, "the two of the set-up, and the one under way");

    let receipt = site.run(&["resume", "--output", "json"]).await.ok().json();
    assert_eq!(receipt["restored"], receipt["of"], "{receipt:#}");
    before.assert_back(&ec2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_get_lost_and_throttling_make_nothing_twice() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let before = Before::build(&ec2).await;
    site.run(&["snapshot", "--label", "golden"]).await.ok();
    before.env.teardown(&ec2).await;
    for operation in [
        "CreateVpc",
        "CreateSubnet",
        "AllocateAddress",
        "CreateSecurityGroup",
        "CreateRouteTable",
        "CreateNatGateway",
        "CreateRoute",
        "AuthorizeSecurityGroupIngress",
    ] {
        site.aws.lose_answer(operation, 1);
    }
    site.aws.fail("CreateInternetGateway", 2, "RequestLimitExceeded", 503);
    site.aws.fail("CreateNetworkAcl", 1, "InternalError", 500);
    site.aws.pending("CreateNatGateway", 3);
    // Eventual consistency: what was just made is not found by the next call.
    site.aws.fail("AssociateRouteTable", 2, "InvalidSubnetID.NotFound", 400);
    site.aws.set_latency(Duration::from_millis(5));
    let receipt = site
        .run(&["restore", "--vpc", &before.env.vpc, "--at", "golden", "--yes", "--output", "json"])
        .await
        .ok()
        .json();
    assert_eq!(receipt["restored"], receipt["of"], "{receipt:#}");
    before.assert_back(&ec2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_began_goes_on_by_itself_after_a_crash() {
    let site = Site::new().await;
    site.configure("mode = \"auto\"\ngrace = \"1s\"");
    let ec2 = site.ec2();
    let before = Before::build(&ec2).await;
    let mut daemon = site.daemon().await;
    site.aws.freeze("CreateSubnet", 3, Moment::After);
    before.env.teardown(&site.agent().await).await;
    site.aws.frozen(SOON).await;
    daemon.kill9().await;
    site.aws.thaw();
    let _daemon = site.daemon().await;
    site.incident_in("restored").await;
    before.assert_back(&ec2).await;
}
