//! What arrives in the queue: late, twice, backwards, wrapped, by the wrong actor, or as nonsense.
use crate::site::{Before, SOON, Site};
use kit::{proxy::Wrap, until};

#[tokio::test(flavor = "multi_thread")]
async fn three_times_and_backwards_is_one_incident() {
    let site = Site::new().await;
    site.configure("mode = \"approve\"");
    let before = Before::build(&site.ec2()).await;
    let _daemon = site.daemon().await;
    let agent = {
        site.trail.hold(); // the AssumeRole records are held back too: lineage comes last
        site.agent().await
    };
    before.env.teardown(&agent).await;
    site.trail.release(kit::proxy::Order::Reverse, 3);
    let incident = site.whole_incident_in("awaiting-approval").await;
    let mut events: Vec<&str> =
        incident["acts"].as_array().unwrap().iter().map(|a| a["event"].as_str().unwrap()).collect();
    let all = events.len();
    events.sort_unstable();
    events.dedup();
    assert_eq!(events.len(), all, "each call once");
    let plan = site.json(&["plan", incident["id"].as_str().unwrap()]).await;
    site.run(&["restore", plan["digest"].as_str().unwrap(), "--yes"]).await.ok();
    before.assert_back(&site.ec2()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_no_rule_matches_makes_no_incident() {
    let site = Site::with(|proxy| proxy.shape(Wrap::Sns)).await;
    site.configure("mode = \"auto\"\ngrace = \"0s\"");
    let before = Before::build(&site.ec2()).await;
    let _daemon = site.daemon().await;
    let person = site.person().await;
    before.env.teardown(&person).await;
    site.trail.settled().await;
    // Its records arrived, and what they touched was captured: the VPC is known to be gone.
    until("the deletion is captured", SOON, || async {
        let history = site.run(&["history", &before.env.vpc, "--output", "json"]).await;
        history.code == 0 && history.json()["versions"][0]["state"] == "gone"
    })
    .await;
    assert_eq!(site.incidents().await.len(), 0);
    assert_eq!(site.aws.count("CreateVpc"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_in_the_queue_is_kept_counted_and_stops_nothing() {
    let site = Site::new().await;
    site.configure("mode = \"approve\"");
    let before = Before::build(&site.ec2()).await;
    let mut daemon = site.daemon().await;
    let sqs = aws_sdk_sqs::Client::new(&site.emulator.sdk_config(
        &site.owner,
        crate::site::REGION,
        &site.emulator.endpoint(),
    ));
    let foreign = serde_json::json!({"version": "0", "detail-type": "AWS API Call via CloudTrail", "account": "999988887777", "region": "eu-west-1", "detail": {
        "eventVersion": "1.11", "eventID": "00000000-0000-4000-8000-000000000001", "eventTime": "2026-01-01T00:00:00Z", "eventSource": "ec2.amazonaws.com", "eventName": "DeleteVpc", "awsRegion": "eu-west-1",
        "recipientAccountId": "999988887777", "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::999988887777:assumed-role/ops-agent/x", "principalId": "AROAEXAMPLE:x", "accountId": "999988887777"}, "requestParameters": {"vpcId": "vpc-0123456789abcdef0"}}}).to_string();
    let bodies = [
        "not json",
        "{\"detail-type\": \"AWS API Call via CloudTrail\", \"detail\": {",
        "{\"detail-type\":\"AWS API Call via CloudTrail\",\"detail\":{\"eventName\":7}}",
        &foreign,
        &"[".repeat(5000),
        &"x".repeat(200_000),
    ];
    for body in bodies {
        sqs.send_message().queue_url(&site.queue).message_body(body).send().await.unwrap();
    }
    until("the unreadable ones are counted", SOON, || async {
        site.status().await.is_some_and(|s| s["store"]["unreadable_messages"].as_u64() >= Some(4))
    })
    .await;
    until("nothing is left in the queue", SOON, || async {
        let out = sqs.get_queue_attributes().queue_url(&site.queue).attribute_names("All".into()).send().await.unwrap();
        let of = |name: &str| {
            out.attributes().and_then(|a| a.get(&name.into())).and_then(|n| n.parse::<u32>().ok()).unwrap_or(0)
        };
        of("ApproximateNumberOfMessages") + of("ApproximateNumberOfMessagesNotVisible") == 0
    })
    .await;
    assert_eq!(site.incidents().await.len(), 0, "another account's record opens none");
    // And it goes on: a real one is still seen.
    site.agent()
        .await
        .delete_network_acl_entry()
        .network_acl_id(&before.env.acl_data)
        .rule_number(100)
        .egress(false)
        .send()
        .await
        .unwrap();
    site.whole_incident_in("awaiting-approval").await;
    assert!(daemon.running());
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_an_alarm() {
    let site = Site::new().await;
    site.configure("mode = \"observe\"\n[trail]\nsilence = \"1s\"");
    let _daemon = site.daemon().await;
    let status = site.status().await.unwrap();
    assert!(status["troubles"].to_string().contains("no record came through queue"), "{status:#}");
}
