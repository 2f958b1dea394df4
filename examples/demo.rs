//! The main job, live, on a machine with Rust, Python 3 and a C compiler, and without an AWS account: an emulator, an
//! environment, a daemon; an agent deletes the environment call by call; rollbackd sees it, plans, asks, restores, proves.
//!
//!     cargo run --example demo
use kit::{Daemon, Emulator, Environment, Identity, Proxy, TrailConfig, aws_env, until};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const REGION: &str = "eu-west-1";
const SOON: Duration = Duration::from_secs(60);

fn say(text: &str) {
    println!("\n\x1b[1m▌ {text}\x1b[0m");
}

/// The binary beside this example, built if it is not there or is out of date.
fn rollbackd() -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    // Together with this example, so that both share one build of every dependency.
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--example", "demo", "--bin", "rollbackd"])
        .status()
        .expect("run cargo");
    assert!(built.success(), "rollbackd does not build");
    let example = std::env::current_exe().expect("this program has a path");
    let debug = example.ancestors().nth(2).expect("examples are two folders below the target's profile");
    debug.join("rollbackd")
}

struct Shell {
    binary: PathBuf,
    env: Vec<(String, String)>,
}
impl Shell {
    /// Runs a command as a person would, and shows it.
    fn show(&self, args: &[&str]) -> i32 {
        println!("\x1b[2m$ rollbackd {}\x1b[0m", args.join(" "));
        let status = Command::new(&self.binary)
            .args(args)
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .status()
            .expect("run rollbackd");
        status.code().unwrap_or(-1)
    }
    fn json(&self, args: &[&str]) -> Option<serde_json::Value> {
        let out = Command::new(&self.binary)
            .args(args)
            .args(["--output", "json"])
            .envs(self.env.iter().cloned())
            .stdin(Stdio::null())
            .output()
            .ok()?;
        serde_json::from_slice(&out.stdout).ok()
    }
    fn incident(&self) -> Option<serde_json::Value> {
        self.json(&["incidents"])?.as_array()?.first().cloned()
    }
}

#[tokio::main]
async fn main() {
    let binary = rollbackd();
    let began = Instant::now();
    say("An AWS emulator starts (the first time it is installed into target/kit, which takes half a minute)");
    let emulator = Emulator::start().await;
    let account = emulator.new_account();
    let owner = emulator.credentials(&account).await;
    let queue = emulator.queue(&owner, REGION, "rollbackd").await;
    let trail = TrailConfig {
        queue_url: queue.clone(),
        credentials: owner.clone(),
        account: account.clone(),
        region: REGION.into(),
    };
    let trail = Proxy::to(&emulator.endpoint()).trail(trail).start().await;
    let ec2 = aws_sdk_ec2::Client::new(&emulator.sdk_config(&owner, REGION, &emulator.endpoint()));

    say(
        "A team has an environment: a VPC, six subnets in two zones, gateways, two NAT gateways, tables, groups, lists",
    );
    let environment = Environment::build(&ec2).await;
    let before = environment.fingerprint(&ec2).await;
    println!("{} with addresses {} and {}", environment.vpc, environment.public_ip_a, environment.public_ip_b);

    say("rollbackd runs beside it, and has looked in advance");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let config = dir.path().join("rollbackd.toml");
    let text = format!(
        "[[queue]]\nurl = \"{queue}\"\nregion = \"{REGION}\"\n\n[[agent]]\nname = \"ops agents\"\nrole = [\"*ops-agent*\"]\n\n[[policy]]\nname = \"production\"\nmode = \"approve\"\n"
    );
    std::fs::write(&config, &text).expect("write the configuration");
    println!("{text}");
    let mut env = aws_env(&owner, REGION, &emulator.endpoint());
    for (name, path) in [
        ("STATE_DIRECTORY", dir.path().join("state")),
        ("RUNTIME_DIRECTORY", dir.path().to_owned()),
        ("ROLLBACKD_CONFIG", config),
    ] {
        env.push((name.into(), path.display().to_string()));
    }
    let shell = Shell { binary: binary.clone(), env: env.clone() };
    let mut daemon = Daemon::spawn(Path::new(&binary), &["run"], &env);
    until("the daemon has swept", SOON, || async { shell.json(&["status"]).is_some_and(|s| s["ready"] == true) }).await;
    shell.show(&["status"]);
    // A restore point leaves a margin before the first destructive record, whose time is in whole seconds.
    let swept = Instant::now();
    until("the margin is past", SOON, || async { swept.elapsed() > Duration::from_secs(3) }).await;

    say("An agent assumes ops-agent, through that network-admin, and tears the environment down");
    let person = emulator.credentials(&account).await;
    trail.identity(&person.access_key, Identity::user(&account, "pipeline"));
    let arn = |role: &str| format!("arn:aws:iam::{account}:role/{role}");
    let first = kit::assume(&person, &trail.endpoint(), &arn("ops-agent"), "task-42").await;
    let second = kit::assume(&first, &trail.endpoint(), &arn("network-admin"), "task-42").await;
    let agent = aws_sdk_ec2::Client::new(&emulator.sdk_config(&second, REGION, &trail.endpoint()));
    environment.teardown(&agent).await;
    trail.settled().await;
    for envelope in trail.envelopes() {
        let detail = &envelope["detail"];
        println!(
            "  {} {}",
            detail["eventTime"].as_str().unwrap_or_default(),
            detail["eventName"].as_str().unwrap_or_default()
        );
    }
    println!("left: {:?}", Environment::count(&ec2).await);

    say("rollbackd has seen it: who, what was lost, and a plan that waits for a person");
    let last = trail.envelopes().last().map(|e| e["detail"]["eventID"].clone());
    until("the incident is whole and planned", SOON, || async {
        let Some(id) = shell.incident().and_then(|i| Some(i["id"].as_str()?.to_owned())) else { return false };
        let Some(whole) = shell.json(&["incidents", &id]) else { return false };
        let acts = whole["acts"].as_array().cloned().unwrap_or_default();
        whole["planned_for"] == acts.len() && acts.iter().any(|a| Some(&a["event"]) == last.as_ref())
    })
    .await;
    let incident = shell.incident().expect("an incident");
    let id = incident["id"].as_str().expect("an id").to_owned();
    shell.show(&["incidents", &id]);
    shell.show(&["plan", &id]);

    say("A person approves the plan by its digest");
    let digest = shell.incident().and_then(|i| i["plan"].as_str().map(str::to_owned)).expect("a plan");
    assert_eq!(shell.show(&["approve", &digest[..12], "--reason", "that was not meant to happen"]), 0);
    let at = Instant::now();
    until("it is restored", SOON, || async {
        shell.incident().is_some_and(|i| i["state"] == "restored" || i["state"] == "partly-restored")
    })
    .await;
    println!("restored in {:.1} s", at.elapsed().as_secs_f64());

    say("What came back, under which ids, and the record of it");
    let restore = shell.incident().and_then(|i| i["restore"].as_str().map(str::to_owned)).expect("a restore");
    shell.show(&["resume", &restore]);
    shell.show(&["audit", "verify"]);
    let after = Environment::find(&ec2).await;
    assert_eq!(after.fingerprint(&ec2).await, before, "the environment is as it was");
    println!("{} has the addresses {} and {}: the same as before", after.vpc, after.public_ip_a, after.public_ip_b);
    daemon.signal(kit::Signal::Term).await;
    daemon.wait_exit(SOON).await;
    say(&format!("Done in {:.0} s", began.elapsed().as_secs_f64()));
}
