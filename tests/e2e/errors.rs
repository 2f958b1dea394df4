//! Bad input: one clear error each, with what to do next; nothing is lost, and the daemon goes on.
use crate::site::{Before, SOON, Site};
use kit::{Signal, until};

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_has_one_clear_error() {
    let site = Site::new().await;
    let says = |ended: &crate::site::Ended, code: i32, words: &[&str]| {
        assert_eq!(ended.code, code, "{}\n{}", ended.stdout, ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "`{word}` in: {}", ended.stderr);
        }
    };
    // Configuration.
    for (text, words) in [
        ("[capture]\nevry = \"5m\"\n", &["evry", "every", ":2:"][..]),
        ("[[agent]]\nname = \"x\"\nrole = [\"[\"]\n", &["role", "["][..]),
        ("[capture]\nevery = \"-5m\"\n", &["every"][..]),
    ] {
        std::fs::write(site.config_path(), text).unwrap();
        says(&site.run(&["config", "check"]).await, 1, words);
    }
    std::fs::remove_file(site.config_path()).unwrap();
    // What is not there.
    says(&site.run(&["show", "vpc-0123456789abcdef0"]).await, 1, &["no snapshot knows", "rollbackd snapshot"]);
    says(&site.run(&["incidents", "inc-00000000"]).await, 1, &["no incident inc-00000000"]);
    says(&site.run(&["restore", "0123456789ab", "--yes"]).await, 1, &["no plan 0123456789ab"]);
    says(&site.run(&["approve", "0123456789ab"]).await, 1, &["no daemon runs"]);
    says(&site.run(&["resume"]).await, 1, &["no restore waits"]);
    says(&site.run(&["plan"]).await, 2, &["--vpc"]);
    says(&site.run(&["plan", "vpc-0123456789abcdef0", "--at", "yesterday evening"]).await, 2, &["RFC 3339"]);
    says(&site.run(&["frobnicate"]).await, 2, &["frobnicate"]);

    // Credentials and region.
    let without =
        |names: &[&str]| site.env().into_iter().filter(|(k, _)| !names.contains(&k.as_str())).collect::<Vec<_>>();
    says(&site.run_with(&["snapshot"], &without(&["AWS_REGION"])).await, 1, &["region", "AWS_REGION"]);
    says(
        &site
            .run_with(&["snapshot"], &without(&["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]))
            .await,
        1,
        &["credentials"],
    );

    site.aws.fail("GetCallerIdentity", 1, "ExpiredToken", 403);
    says(&site.run(&["snapshot"]).await, 1, &["ExpiredToken", "renew the AWS credentials"]);

    // Missing permission: which action to allow.
    site.aws.fail("DescribeVpcs", 1, "UnauthorizedOperation", 403);
    let swept = site.run(&["snapshot"]).await;
    assert!(
        format!("{}{}", swept.stdout, swept.stderr).contains("ec2:DescribeVpcs"),
        "{}\n{}",
        swept.stdout,
        swept.stderr
    );
    // A sweep that failed for a kind is no reason to think that all of the kind is gone.
    let before = Before::build(&site.ec2()).await;
    site.run(&["snapshot"]).await.ok();
    site.aws.fail("DescribeSubnets", 1, "UnauthorizedOperation", 403);
    site.run(&["snapshot"]).await;
    let shown = site.json(&["show", &before.env.app_a]).await;
    assert_eq!(shown["state"], "present");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_held_and_a_second_daemon_are_refused() {
    let site = Site::new().await;
    site.configure("mode = \"observe\"");
    let mut daemon = site.daemon().await;
    let second = site.run(&["run"]).await;
    assert_eq!(second.code, 1);
    assert!(
        second.stderr.contains(&daemon.id().to_string()) || second.stderr.contains("another daemon"),
        "{}",
        second.stderr
    );
    // Without its socket, the command says who holds the store.
    let mut env = site.env();
    env.retain(|(k, _)| k != "RUNTIME_DIRECTORY");
    env.push(("RUNTIME_DIRECTORY".into(), site.dir.path().join("elsewhere").display().to_string()));
    let held = site.run_with(&["snapshots"], &env).await;
    assert_eq!(held.code, 1);
    assert!(held.stderr.contains(&daemon.id().to_string()), "{}", held.stderr);
    assert!(daemon.running());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_configuration_is_refused_on_reload_and_a_missing_queue_is_said() {
    let site = Site::new().await;
    site.configure("mode = \"observe\"");
    let mut daemon = site.daemon().await;
    let good = std::fs::read_to_string(site.config_path()).unwrap();
    std::fs::write(site.config_path(), "[capture]\nevry = \"5m\"\n").unwrap();
    daemon.signal(Signal::Hup).await;
    until("the bad file is said", SOON, || async {
        site.status().await.is_some_and(|s| s["troubles"].to_string().contains("evry"))
    })
    .await;

    std::fs::write(site.config_path(), good.replace("/rollbackd\"", "/no-such-queue\"")).unwrap();
    daemon.signal(Signal::Hup).await;
    until("the missing queue is said", SOON, || async {
        site.status()
            .await
            .is_some_and(|s| s["sources"].to_string().contains("no-such-queue") && !s["sources"][0]["error"].is_null())
    })
    .await;
    assert!(!site.status().await.unwrap()["troubles"].to_string().contains("evry"), "the good file took its place");
    assert!(daemon.running());
}
