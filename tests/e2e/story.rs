//! The main job: an agent deletes an environment, and it comes back; in each mode, and unless somebody says halt.
use crate::site::{Before, SOON, Site};
use kit::{Daemon, Environment, until};
use serde_json::Value;

/// A running daemon that has swept the environment, which the agent then tore down and began to make again.
async fn torn_down(policy: &str) -> (Site, Daemon, Before, Agent) {
    let site = Site::new().await;
    site.configure(policy);
    let before = Before::build(&site.ec2()).await;
    let daemon = site.daemon().await;
    let agent = site.agent().await;
    before.env.teardown(&agent).await;
    (site, daemon, before, agent)
}
/// Calls of one session: another one would be another incident.
type Agent = aws_sdk_ec2::Client;
fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|t| t["resource"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn approved_by_its_digest_it_comes_back() {
    let (site, mut daemon, before, agent) = torn_down("mode = \"approve\"").await;
    let (impostor, _) = Environment::lookalike(&agent).await;
    let incident = site.whole_incident_in("awaiting-approval").await;

    // Who: by rule and by lineage.
    let deleting = incident["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["actor"]["arn"].as_str().is_some_and(|a| a.contains("network-admin")))
        .unwrap();
    assert_eq!(deleting["verdict"]["rule"], "ops agents", "{deleting:#}");
    assert!(
        deleting["verdict"]["inherited_from"].is_string() && deleting["parent"].is_string(),
        "an agent by its lineage: {deleting:#}"
    );
    // What was lost, the survivor that was changed, and what was made instead.
    let env = &before.env;
    for id in [
        &env.vpc,
        &env.dhcp_options,
        &env.public_a,
        &env.data_b,
        &env.internet_gateway,
        &env.egress_only_gateway,
        &env.address_a,
        &env.nat_b,
        &env.routes_data,
        &env.group_app,
        &env.acl_public,
    ] {
        assert!(ids(&incident["lost"]).contains(&id.as_str()), "{id} was lost: {:#}", incident["lost"]);
    }
    assert_eq!(ids(&incident["changed"]), [env.group_monitoring.as_str()]);
    assert!(ids(&incident["made"]).contains(&impostor.as_str()), "{:#}", incident["made"]);

    // The plan shows what will be done, how long it takes at least, and has a digest.
    let plan = site.json(&["plan", incident["id"].as_str().unwrap()]).await;
    assert_eq!(plan["conflicts"], serde_json::json!([]));
    assert!(plan["floor_ms"].as_u64().unwrap() > 0 && plan["chain_calls"].as_u64().unwrap() > 5);
    let digest = plan["digest"].as_str().unwrap();

    let approved = site.json(&["approve", digest, "--reason", "yes please"]).await;
    assert_eq!(approved["state"], "restoring");
    site.incident_in("restored").await;
    before_is_back_beside_the_impostor(&site, &before).await;

    // On the record, in order, and the chain holds.
    let audit = site.json(&["audit", "--limit", "500"]).await;
    let verbs: Vec<&str> = audit.as_array().unwrap().iter().map(|e| e["what"]["verb"].as_str().unwrap()).collect();
    let at = |verb: &str| verbs.iter().position(|v| *v == verb).unwrap_or_else(|| panic!("no {verb} in {verbs:?}"));
    assert!(
        at("incident-opened") < at("approved")
            && at("approved") < at("restore-started")
            && at("restore-started") < at("step")
            && at("step") < at("restore-ended")
    );
    assert!(audit.as_array().unwrap().iter().any(|e| e["who"].as_str().unwrap().contains("yes please")));
    assert!(daemon.running());
}

/// One of each again; what the agent made meanwhile stays, since nobody asked for its removal.
async fn before_is_back_beside_the_impostor(site: &Site, before: &Before) {
    let ec2 = site.ec2();
    let mut counts = Environment::count(&ec2).await;
    assert_eq!((counts.vpcs, counts.subnets), (before.counts.vpcs + 1, before.counts.subnets + 1));
    // The look-alike VPC brought its own table, group and list.
    counts.vpcs -= 1;
    counts.subnets -= 1;
    counts.route_tables -= 1;
    counts.security_groups -= 1;
    counts.network_acls -= 1;
    assert_eq!(counts, before.counts);
    let now = Environment::find(&ec2).await.fingerprint(&ec2).await;
    assert_eq!(serde_json::to_string_pretty(&now).unwrap(), serde_json::to_string_pretty(&before.fingerprint).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn observing_reports_and_touches_nothing() {
    let (site, _daemon, before, _) = torn_down("mode = \"observe\"").await;
    let incident = site.whole_incident_in("observed").await;
    assert!(incident["plan"].is_string() && ids(&incident["lost"]).contains(&before.env.vpc.as_str()));
    assert_eq!(Environment::count(&site.ec2()).await.vpcs, 1, "only the survivor");
    let written = ["CreateVpc", "CreateSubnet", "AllocateAddress"].map(|op| site.aws.count(op));
    assert_eq!(written, [0, 0, 0]);
    // It can still be undone by hand.
    let restored = site.run(&["restore", incident["plan"].as_str().unwrap(), "--yes", "--output", "json"]).await.ok();
    assert_eq!(restored.json()["restored"], restored.json()["of"]);
    before.assert_back(&site.ec2()).await;
    site.incident_in("restored").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn automatic_after_the_grace_period() {
    let (site, _daemon, before, _) = torn_down("mode = \"auto\"\ngrace = \"2s\"").await;
    site.incident_in("restored").await;
    before.assert_back(&site.ec2()).await;
    let audit = site.json(&["audit", "--limit", "500"]).await;
    assert!(
        audit.as_array().unwrap().iter().any(|e| e["what"]["verb"] == "restore-started" && e["who"] == "policy test"),
        "{audit:#}"
    );
    // The same addresses, and nothing twice.
    assert_eq!(site.emulator.count(&site.account, "AllocateAddress"), 4, "two at the start, two claimed");
}

#[tokio::test(flavor = "multi_thread")]
async fn halt_in_the_grace_period_stops_it_and_survives_a_restart() {
    let (site, mut daemon, before, _) = torn_down("mode = \"auto\"\ngrace = \"6s\"").await;
    let planned = site.whole_incident_in("planned").await;
    let halted = site.json(&["halt", "--reason", "not now"]).await;
    assert!(halted["by"]["reason"] == "not now");
    let line = &site.incidents().await[0];
    let starts_at: jiff::Timestamp = line["starts_at"].as_str().expect("when it would have started").parse().unwrap();
    daemon.signal(kit::Signal::Term).await;
    assert!(daemon.wait_exit(SOON).await.success());

    let _daemon = site.daemon().await;
    until("the grace period is over", SOON, || async {
        jiff::Timestamp::now() > starts_at + jiff::SignedDuration::from_secs(2)
    })
    .await;
    assert!(site.status().await.unwrap()["halted"]["at"].is_string());
    assert_eq!(site.incidents().await[0]["state"], "planned");
    assert_eq!(site.aws.count("CreateVpc"), 0, "nothing was made while halted");

    site.run(&["unhalt"]).await.ok();
    site.incident_in("restored").await;
    before.assert_back(&site.ec2()).await;
    assert_eq!(site.incidents().await[0]["id"], planned["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_that_no_longer_fits_is_refused() {
    let (site, _daemon, before, agent) = torn_down("mode = \"approve\"").await;
    let first = site.whole_incident_in("awaiting-approval").await;
    let stale = first["plan"].as_str().unwrap().to_owned();
    // The agent goes on: it removes a tag of the survivor, and the plan changes.
    let tag = aws_sdk_ec2::types::Tag::builder().key("team").build();
    agent.delete_tags().resources(&before.env.group_monitoring).tags(tag).send().await.unwrap();
    let second = site.whole_incident_in("awaiting-approval").await;
    assert_ne!(second["plan"], first["plan"]);
    let refused = site.run(&["approve", &stale]).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("is not the plan of incident")
            && refused.stderr.contains(&second["plan"].as_str().unwrap()[..12]),
        "{}",
        refused.stderr
    );

    // Somebody changes what the plan would change, after it was made: the restore refuses and shows what.
    let tag = aws_sdk_ec2::types::Tag::builder().key("by").value("hand").build();
    site.ec2().create_tags().resources(&before.env.group_monitoring).tags(tag).send().await.unwrap();
    let drifted = site.run(&["restore", second["plan"].as_str().unwrap(), "--yes"]).await;
    assert_eq!(drifted.code, 1);
    assert!(
        drifted.stderr.contains("has changed since plan") && drifted.stderr.contains(&before.env.group_monitoring),
        "{}",
        drifted.stderr
    );
    assert_eq!(site.aws.count("CreateVpc"), 0, "nothing was made for a plan that does not fit");
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_stays_rejected_until_the_agent_goes_on() {
    let (site, _daemon, before, agent) = torn_down("mode = \"approve\"").await;
    let incident = site.whole_incident_in("awaiting-approval").await;
    site.run(&["reject", incident["plan"].as_str().unwrap(), "--reason", "meant so"]).await.ok();
    assert_eq!(site.incidents().await[0]["state"], "rejected");
    let tag = aws_sdk_ec2::types::Tag::builder().key("team").build();
    agent.delete_tags().resources(&before.env.group_monitoring).tags(tag).send().await.unwrap();
    site.whole_incident_in("awaiting-approval").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_again_after_a_restore_a_person_is_asked() {
    let (site, _daemon, before, agent) = torn_down("mode = \"auto\"\ngrace = \"1s\"").await;
    site.incident_in("restored").await;
    before.assert_back(&site.ec2()).await;
    // The same agent takes it away again: no machine fights another over production.
    let now = Environment::find(&site.ec2()).await;
    agent.delete_network_acl_entry().network_acl_id(&now.acl_data).rule_number(100).egress(false).send().await.unwrap();
    let again = site.whole_incident_in("awaiting-approval").await;
    assert!(again["trouble"].as_str().unwrap().contains("restored before"), "{again:#}");
    site.run(&["restore", again["plan"].as_str().unwrap(), "--yes"]).await.ok();
    before.assert_back(&site.ec2()).await;
}
