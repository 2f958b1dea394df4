//! One test's world: an account on the emulator, a queue that its trail fills, a state folder, the binary.
use kit::{Credentials, Daemon, Emulator, Environment, Identity, Proxy, TrailConfig, aws_env, until};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub const REGION: &str = "eu-west-1";
/// What nothing here takes on a slow machine.
pub const SOON: Duration = Duration::from_secs(60);
/// Record times are whole seconds, so what was captured in the second before an act may count as after it. The margin
/// makes up for it; tests wait it out instead of the default of two seconds.
const MARGIN_MS: u64 = 1000;

pub struct Site {
    pub emulator: &'static Emulator,
    pub account: String,
    pub owner: Credentials,
    pub queue: String,
    /// Between the agent and AWS: writes the trail.
    pub trail: Proxy,
    /// Between rollbackd and AWS.
    pub aws: Proxy,
    pub dir: tempfile::TempDir,
}

/// What a command ended with.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}
impl Ended {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("no JSON ({e}): {}\n{}", self.stdout, self.stderr))
    }
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        self
    }
}

impl Site {
    pub async fn new() -> Self {
        Self::with(|proxy| proxy).await
    }
    /// `shape` adds to the proxy that writes the trail.
    pub async fn with(shape: impl FnOnce(kit::proxy::ProxyBuilder) -> kit::proxy::ProxyBuilder) -> Self {
        let emulator = Emulator::shared().await;
        let account = emulator.new_account();
        let owner = emulator.credentials(&account).await;
        let queue = emulator.queue(&owner, REGION, "rollbackd").await;
        let config = TrailConfig {
            queue_url: queue.clone(),
            credentials: owner.clone(),
            account: account.clone(),
            region: REGION.into(),
        };
        let trail = shape(Proxy::to(&emulator.endpoint()).trail(config)).start().await;
        let aws = Proxy::to(&emulator.endpoint()).start().await;
        Self { emulator, account, owner, queue, trail, aws, dir: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A client of the account's owner, past every proxy.
    pub fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.emulator.sdk_config(&self.owner, REGION, &self.emulator.endpoint()))
    }
    /// A client of a person whose calls are on the trail, and whom no rule calls an agent.
    pub async fn person(&self) -> aws_sdk_ec2::Client {
        let creds = self.emulator.credentials(&self.account).await;
        self.trail.identity(&creds.access_key, Identity::user(&self.account, "alice"));
        aws_sdk_ec2::Client::new(&self.emulator.sdk_config(&creds, REGION, &self.trail.endpoint()))
    }
    /// A client of an agent: a user that assumed `ops-agent` (which the rules name), and through that `network-admin`.
    pub async fn agent(&self) -> aws_sdk_ec2::Client {
        self.through(&["ops-agent", "network-admin"]).await
    }
    /// A client that came to its rights through these roles, one assumed by the other.
    pub async fn through(&self, roles: &[&str]) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.config_through(roles).await)
    }
    /// The same agent, at databases.
    pub async fn agent_at_databases(&self) -> aws_sdk_rds::Client {
        aws_sdk_rds::Client::new(&self.config_through(&["ops-agent", "network-admin"]).await)
    }
    async fn config_through(&self, roles: &[&str]) -> aws_config::SdkConfig {
        let mut creds = self.emulator.credentials(&self.account).await;
        self.trail.identity(&creds.access_key, Identity::user(&self.account, "pipeline"));
        for role in roles {
            let arn = format!("arn:aws:iam::{}:role/{role}", self.account);
            creds = kit::assume(&creds, &self.trail.endpoint(), &arn, "session-1").await;
        }
        self.emulator.sdk_config(&creds, REGION, &self.trail.endpoint())
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("rollbackd.toml")
    }
    /// Writes the configuration: the queue, the agent rule, this policy.
    pub fn configure(&self, policy: &str) {
        let text = format!(
            "[[queue]]\nurl = \"{}\"\nregion = \"{REGION}\"\n\n[[agent]]\nname = \"ops agents\"\nrole = [\"*ops-agent*\"]\n\n[restore]\nmargin = \"{MARGIN_MS}ms\"\n\n[[policy]]\nname = \"test\"\n{policy}\n",
            self.queue
        );
        std::fs::write(self.config_path(), text).expect("write the configuration");
    }

    pub fn env(&self) -> Vec<(String, String)> {
        let mut env = aws_env(&self.owner, REGION, &self.aws.endpoint());
        env.push(("STATE_DIRECTORY".into(), self.state().display().to_string()));
        env.push(("RUNTIME_DIRECTORY".into(), self.dir.path().display().to_string()));
        if self.config_path().exists() {
            env.push(("ROLLBACKD_CONFIG".into(), self.config_path().display().to_string()));
        }
        env
    }
    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, &self.env()).await
    }
    pub async fn run_with(&self, args: &[&str], env: &[(String, String)]) -> Ended {
        let mut process = Daemon::spawn(binary(), args, env);
        let status = process.wait_exit(Duration::from_secs(180)).await;
        Ended { code: status.code().unwrap_or(-1), stdout: process.stdout(), stderr: process.stderr() }
    }
    /// The same with `--output json`.
    pub async fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.extend(["--output", "json"]);
        self.run(&all).await.ok().json()
    }

    /// Starts the daemon and waits until it has swept and the clock has left the second and the margin behind.
    pub async fn daemon(&self) -> Daemon {
        let daemon = Daemon::spawn(binary(), &["run"], &self.env());
        until("the daemon is ready", SOON, || async { self.status().await.is_some_and(|s| s["ready"] == true) }).await;
        self.settle().await;
        daemon
    }
    /// `status`, once a daemon answers.
    pub async fn status(&self) -> Option<Value> {
        // The socket alone: a configuration that does not load is the daemon's to tell.
        let mut env = self.env();
        env.retain(|(name, _)| name != "ROLLBACKD_CONFIG");
        let ended = self.run_with(&["status", "--output", "json"], &env).await;
        let status: Value = serde_json::from_str(&ended.stdout).ok()?;
        (status["daemon"] == true).then_some(status)
    }
    /// Waits until what happens from now on is after the last sweep, by the margin and whole seconds.
    pub async fn settle(&self) {
        let swept = jiff::Timestamp::now();
        let clear = Duration::from_millis(MARGIN_MS + 1000);
        until("the clock has passed the margin", SOON, || async {
            jiff::Timestamp::now().duration_since(swept).unsigned_abs() > clear
        })
        .await;
    }

    /// What a test that waits in vain needs to see.
    async fn dump(&self) -> String {
        let incidents = self.json(&["incidents"]).await;
        format!("{incidents:#}\n{:#}", self.status().await.unwrap_or_default())
    }
    pub async fn incidents(&self) -> Vec<Value> {
        self.json(&["incidents"]).await.as_array().cloned().unwrap_or_default()
    }
    /// The one incident, once it is in a state.
    pub async fn incident_in(&self, state: &str) -> Value {
        let began = std::time::Instant::now();
        while !self.incidents().await.iter().any(|i| i["state"] == state) {
            assert!(began.elapsed() < SOON, "no incident is {state}: {}", self.dump().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let all = self.incidents().await;
        assert_eq!(all.len(), 1, "one incident: {all:#?}");
        all[0].clone()
    }
    /// The same, once it knows of every call on the trail and was planned with them: the whole document.
    pub async fn whole_incident_in(&self, state: &str) -> Value {
        self.trail.settled().await;
        let calls: Vec<Value> = self
            .trail
            .envelopes()
            .into_iter()
            .map(|e| e["detail"].clone())
            .filter(|d| d["eventName"] != "AssumeRole")
            .map(|d| d["eventID"].clone())
            .collect();
        until(&format!("an incident that holds every call is {state}"), SOON, || async {
            let line = self.incident_in(state).await;
            let whole = self.json(&["incidents", line["id"].as_str().unwrap()]).await;
            let acts = whole["acts"].as_array().unwrap();
            calls.iter().all(|c| acts.iter().any(|a| a["event"] == *c))
                && whole["planned_for"] == acts.len()
                && whole["state"] == state
        })
        .await;
        let line = self.incident_in(state).await;
        self.json(&["incidents", line["id"].as_str().unwrap()]).await
    }
}

pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rollbackd"))
}

/// The environment before, to compare with what came back.
pub struct Before {
    pub env: Environment,
    pub fingerprint: Value,
    pub counts: kit::Counts,
}
impl Before {
    pub async fn build(ec2: &aws_sdk_ec2::Client) -> Self {
        let env = Environment::build(ec2).await;
        Self { fingerprint: env.fingerprint(ec2).await, counts: Environment::count(ec2).await, env }
    }
    /// Exactly one of each exists, and it is configured as before.
    pub async fn assert_back(&self, ec2: &aws_sdk_ec2::Client) {
        assert_eq!(Environment::count(ec2).await, self.counts, "as many of each as before");
        let now = Environment::find(ec2).await.fingerprint(ec2).await;
        assert_eq!(
            serde_json::to_string_pretty(&now).unwrap(),
            serde_json::to_string_pretty(&self.fingerprint).unwrap()
        );
    }
}
