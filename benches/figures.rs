//! The figures that README quotes, measured in one run beside what they are compared with:
//!
//!     cargo bench --bench figures --profile dev
//!
//! (`dev`, so that the AWS crates are not built a second time; what is measured waits for the network and the disk.)
use kit::{
    Daemon, Emulator, Environment, Estate, Identity, Proxy, Script, TrailConfig, aws_env, fleet, proxy::Call, until,
};
use rollbackd::{
    config::Config,
    control::{
        Client, Service,
        api::{Answer, IncidentLine, Request, Selector},
    },
    model::{Cause, ResourceKey, State, Timestamp, Version, version::spec_hash},
    plan::Plan,
    respond::Hub,
    restore::{Progress, journal::StepState},
    store::{Batch, Store},
};
use std::{
    collections::BTreeMap,
    os::unix::net::UnixDatagram,
    path::Path,
    time::{Duration, Instant},
};

const REGION: &str = "eu-west-1";
const SOON: Duration = Duration::from_secs(120);
/// What each AWS call takes in the restore that is measured.
const LATENCY: Duration = Duration::from_millis(100);

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rollbackd"))
}
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

struct Site {
    emulator: &'static Emulator,
    account: String,
    owner: kit::Credentials,
    trail: Proxy,
    aws: Proxy,
    dir: tempfile::TempDir,
}
impl Site {
    async fn new() -> Self {
        let emulator = Emulator::shared().await;
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
        let aws = Proxy::to(&emulator.endpoint()).start().await;
        let dir = tempfile::tempdir().expect("a temporary folder");
        let config = format!(
            "[[queue]]\nurl = \"{queue}\"\nregion = \"{REGION}\"\n[[agent]]\nname = \"agents\"\nrole = [\"*ops-agent*\"]\n[[policy]]\nname = \"all\"\nmode = \"observe\"\n[restore]\nmargin = \"0s\"\n"
        );
        std::fs::write(dir.path().join("rollbackd.toml"), config).expect("write the configuration");
        Self { emulator, account, owner, trail, aws, dir }
    }
    fn ec2(&self) -> aws_sdk_ec2::Client {
        aws_sdk_ec2::Client::new(&self.emulator.sdk_config(&self.owner, REGION, &self.emulator.endpoint()))
    }
    async fn agent(&self) -> aws_sdk_ec2::Client {
        let person = self.emulator.credentials(&self.account).await;
        self.trail.identity(&person.access_key, Identity::user(&self.account, "pipeline"));
        let role = format!("arn:aws:iam::{}:role/ops-agent", self.account);
        let creds = kit::assume(&person, &self.trail.endpoint(), &role, "task").await;
        aws_sdk_ec2::Client::new(&self.emulator.sdk_config(&creds, REGION, &self.trail.endpoint()))
    }
    fn env(&self) -> Vec<(String, String)> {
        let mut env = aws_env(&self.owner, REGION, &self.aws.endpoint());
        for (name, path) in [
            ("STATE_DIRECTORY", self.dir.path().join("state")),
            ("RUNTIME_DIRECTORY", self.dir.path().to_owned()),
            ("ROLLBACKD_CONFIG", self.dir.path().join("rollbackd.toml")),
        ] {
            env.push((name.into(), path.display().to_string()));
        }
        env
    }
    async fn ask(&self, request: Request) -> Option<Answer> {
        let mut client = Client::connect(&self.dir.path().join("rollbackd.sock")).await.ok()?;
        client.call(&request, |_| {}).await.ok()
    }
    async fn incidents(&self) -> Vec<IncidentLine> {
        match self.ask(Request::Incidents).await {
            Some(Answer::Incidents(all)) => all,
            _ => vec![],
        }
    }
    async fn swept(&self) {
        until("the daemon has swept", SOON, || async {
            matches!(self.ask(Request::Status).await, Some(Answer::Status(s)) if s.ready)
        })
        .await;
        let at = Instant::now();
        until("record times are past the sweep", SOON, || async { at.elapsed() > Duration::from_millis(1100) }).await;
    }
}

/// From a record in the queue to its plan in the store, the emulator's own answers included.
async fn record_to_plan() {
    let site = Site::new().await;
    let environment = Environment::build(&site.ec2()).await;
    let _daemon = Daemon::spawn(binary(), &["run"], &site.env());
    site.swept().await;
    let mut times = vec![];
    for n in 0..15 {
        let agent = site.agent().await;
        site.trail.settled().await;
        let known = site.incidents().await.len();
        let key = format!("bench-{n}");
        site.ec2()
            .create_tags()
            .resources(&environment.group_lb)
            .tags(aws_sdk_ec2::types::Tag::builder().key(&key).value("x").build())
            .send()
            .await
            .expect("tag");
        agent
            .delete_tags()
            .resources(&environment.group_lb)
            .tags(aws_sdk_ec2::types::Tag::builder().key(&key).build())
            .send()
            .await
            .expect("untag");
        site.trail.settled().await;
        let sent = Instant::now();
        until("the plan is stored", SOON, || async {
            let all = site.incidents().await;
            all.len() > known && all.iter().all(|i| i.plan.is_some())
        })
        .await;
        times.push(sent.elapsed());
    }
    let one = median(times);
    println!(
        "record in the queue → plan stored: {:.0} ms at the median of 15, the emulator's answers included; limit 1000 ms: {:.2} of it",
        one.as_secs_f64() * 1e3,
        one.as_secs_f64()
    );
}

/// One restore of the environment, with all that the proxy and the progress told of it.
struct Restored {
    plan: Plan,
    began: Timestamp,
    ended: Timestamp,
    wall: Duration,
    told: Vec<(Timestamp, u32, StepState)>,
    calls: Vec<Call>,
}

async fn restore(parallel: usize, latency: Duration) -> Restored {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let environment = Environment::build(&ec2).await;
    for (name, value) in site.env() {
        // SAFETY: no other thread of this program reads the environment at this point.
        unsafe { std::env::set_var(name, value) };
    }
    let mut config = Config::load(None).expect("a configuration");
    config.restore.parallel = parallel;
    let service = Service::alone(Hub::new(Store::open(&config.state_directory).expect("a store"), config));
    let (progress, mut news) = tokio::sync::mpsc::unbounded_channel::<Progress>();
    let ask = async |request| Box::pin(service.call(request, "bench", &progress)).await.expect("an answer");
    ask(Request::Snapshot { label: Some("golden".into()) }).await;
    environment.teardown(&ec2).await;
    let selector = Selector::Vpc(environment.vpc.clone());
    let Answer::Plan(plan) =
        ask(Request::Plan { selector, at: "golden".parse().ok(), overwrite: vec![], into: None }).await
    else {
        panic!("no plan")
    };
    site.aws.set_latency(latency);
    let told = tokio::spawn(async move {
        let mut all = vec![];
        while let Some(p) = news.recv().await {
            all.push((Timestamp::now(), p.step, p.state));
        }
        all
    });
    let (began, clock) = (Timestamp::now(), Instant::now());
    let digest = plan.digest.as_str().parse().expect("a digest");
    let Answer::Receipt(receipt) = ask(Request::Restore { digest, reason: None }).await else { panic!("no receipt") };
    let (ended, wall) = (Timestamp::now(), clock.elapsed());
    assert_eq!(receipt.restored, receipt.of);
    drop(progress);
    Restored { plan: *plan, began, ended, wall, told: told.await.expect("progress"), calls: site.aws.calls() }
}

impl Restored {
    /// The most calls that were made one after another between two instants.
    fn one_by_one(&self, from: Timestamp, to: Timestamp) -> u32 {
        let mut calls: Vec<(Timestamp, Timestamp)> = self
            .calls
            .iter()
            .filter_map(|c| Some((c.ended?, c.time)))
            .filter(|(end, start)| from <= *start && *end <= to)
            .collect();
        calls.sort_unstable();
        let mut last = from;
        let mut count = 0;
        for (end, start) in calls {
            if start >= last {
                (last, count) = (end, count + 1);
            }
        }
        count
    }
    /// The longest chain of calls that need each other: the calls of each step, counted while no other step ran, along the
    /// plan's dependencies; and the look before the first step and the reading back after the last.
    fn chain(&self) -> u32 {
        let at = |n: u32, state: StepState| {
            self.told
                .iter()
                .find(|(_, step, s)| *step == n && *s == state)
                .map(|(at, ..)| *at)
                .expect("every step was done")
        };
        let spans: Vec<(Timestamp, Timestamp)> =
            self.plan.steps.iter().map(|s| (at(s.number, StepState::Intent), at(s.number, StepState::Done))).collect();
        let mut sorted = spans.clone();
        sorted.sort_unstable();
        assert!(sorted.windows(2).all(|pair| pair[0].1 <= pair[1].0), "one step at a time");
        let mut until: BTreeMap<u32, u32> = BTreeMap::new();
        for (step, (from, to)) in self.plan.steps.iter().zip(&spans) {
            let before = step.after.iter().filter_map(|n| until.get(n)).max().copied().unwrap_or(0);
            until.insert(step.number, before + self.one_by_one(*from, *to));
        }
        let (first, last) = (sorted.first().expect("steps").0, sorted.last().expect("steps").1);
        let around = self.one_by_one(self.began, first) + self.one_by_one(last, self.ended);
        until.values().max().copied().unwrap_or(0) + around
    }
}

/// The wall time of a restore against its longest chain of calls, each of which takes `LATENCY`. The chain is counted in a
/// restore of the same that does one step at a time, so that each call belongs to one step.
async fn restore_against_its_chain() {
    let counted = restore(1, Duration::from_millis(20)).await;
    let timed = restore(16, LATENCY).await;
    assert_eq!(counted.plan.steps.len(), timed.plan.steps.len());
    let chain = counted.chain();
    let least = LATENCY * chain;
    println!(
        "restore of {} resources: {:.2} s against {:.2} s, its longest chain of {chain} calls at {} ms each: ratio {:.2}; limit 1.3",
        timed.plan.resources().len(),
        timed.wall.as_secs_f64(),
        least.as_secs_f64(),
        LATENCY.as_millis(),
        timed.wall.as_secs_f64() / least.as_secs_f64()
    );
}

/// What a process took, by `benches/peers/measure.py`.
#[derive(serde::Deserialize)]
struct Used {
    wall_s: f64,
    cpu_s: f64,
    rss_kb: f64,
}
fn peers(file: &str) -> String {
    format!("{}/benches/peers/{file}", env!("CARGO_MANIFEST_DIR"))
}
/// Runs a program to its end and measures it; or what it said.
async fn measure(env: &[(String, String)], command: &[&str]) -> Result<Used, String> {
    let script = peers("measure.py");
    let args: Vec<&str> = std::iter::once(script.as_str()).chain(command.iter().copied()).collect();
    let mut process = Daemon::spawn(Path::new("python3"), &args, env);
    let ended = process.wait_exit(Duration::from_secs(900)).await;
    if !ended.success() {
        return Err(process.stderr());
    }
    serde_json::from_str(&process.stdout()).map_err(|e| format!("{e}: {}", process.output()))
}
/// A Python that has the peers, installed once; or why there is none.
fn python_with_peers() -> Result<String, String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let python = home.join("bin/python").display().to_string();
    let run = |program: &str, args: &[&str]| {
        let ended = std::process::Command::new(program).args(args).output().map_err(|e| format!("{program}: {e}"))?;
        ended.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&ended.stderr).trim().to_owned())
    };
    run("python3", &["-m", "venv", &home.display().to_string()])?;
    run(&python, &["-m", "pip", "install", "--quiet", "--requirement", &peers("requirements.txt")])?;
    Ok(python)
}

/// One sweep beside other tools that read the same from the same emulator.
async fn sweep_beside_peers() {
    let site = Site::new().await;
    fleet::build(&mut Script::new(&site.owner, REGION, &site.emulator.endpoint())).await;
    let mut env = site.env();
    env.push(("AWS_DEFAULT_REGION".into(), REGION.into()));
    let out = site.dir.path().join("custodian");
    std::fs::create_dir_all(&out).expect("a folder");
    let (out, json) = (out.display().to_string(), site.dir.path().join("boto3.json").display().to_string());
    let told = |name: &str, used: &Used, calls: usize| {
        println!(
            "sweep of {}: {name}: {:.1} s, {:.2} s of CPU ({:.2} ms a resource), {:.0} MB resident ({:.0} KB a resource), {calls} calls",
            fleet::SIZE,
            used.wall_s,
            used.cpu_s,
            used.cpu_s * 1e3 / fleet::SIZE as f64,
            used.rss_kb / 1024.0,
            used.rss_kb / fleet::SIZE as f64,
        );
    };
    let ours = measure(&env, &[binary().to_str().expect("a path in UTF-8"), "snapshot"]).await.expect("a sweep");
    let mut calls = site.aws.calls().len();
    told("rollbackd", &ours, calls);
    let python = match python_with_peers() {
        Ok(python) => python,
        Err(why) => {
            return println!("left out: Cloud Custodian and the boto3 script, which could not be installed: {why}");
        }
    };
    for (name, script, to) in
        [("a boto3 script", "with_boto3.py", &json), ("Cloud Custodian", "with_custodian.py", &out)]
    {
        match measure(&env, &[&python, &peers(script), to]).await {
            Ok(theirs) => {
                let now = site.aws.calls().len();
                told(name, &theirs, now - calls);
                calls = now;
                println!(
                    "rollbackd against {name}: {:.2} of its time, {:.2} of its CPU, {:.2} of its memory",
                    ours.wall_s / theirs.wall_s,
                    ours.cpu_s / theirs.cpu_s,
                    ours.rss_kb / theirs.rss_kb
                );
            }
            Err(why) => println!("left out: {name}: {}", why.lines().rfind(|l| !l.is_empty()).unwrap_or_default()),
        }
    }
}

/// A restore of more than 120 resources, as a process of its own: no other tool does this.
async fn restore_of_120() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let estate = Estate::build(&ec2).await;
    let env = site.env();
    let rollbackd = binary().to_str().expect("a path in UTF-8");
    measure(&env, &[rollbackd, "snapshot", "--label", "golden"]).await.expect("a snapshot");
    estate.teardown(&ec2).await;
    let mut plan = Daemon::spawn(binary(), &["plan", "--tag", "env=prod", "--at", "golden", "--output", "json"], &env);
    plan.wait_exit(SOON).await;
    let plan: Plan = serde_json::from_str(&plan.stdout()).expect("a plan");
    let used = measure(&env, &[rollbackd, "restore", "--tag", "env=prod", "--at", "golden", "--yes"]).await;
    let used = used.expect("a restore");
    let resources = plan.resources().len();
    println!(
        "restore of {resources} resources: {:.1} s, of which AWS's request budgets alone ask {:.1} s; {:.2} s of CPU ({:.1} ms a resource), {:.0} MB resident ({:.0} KB a resource)",
        used.wall_s,
        Duration::from_millis(plan.floor_ms).as_secs_f64(),
        used.cpu_s,
        used.cpu_s * 1e3 / resources as f64,
        used.rss_kb / 1024.0,
        used.rss_kb / resources as f64,
    );
}

/// Start to ready with 10,000 versions in the store, then memory and CPU at rest.
async fn idle() {
    let site = Site::new().await;
    let store = Store::open(&site.dir.path().join("state")).expect("a store");
    let mut batch = Batch::new();
    for n in 0..10_000 {
        let key: ResourceKey =
            format!("aws/{}/{REGION}/ec2:subnet/subnet-{n:017x}", site.account).parse().expect("a key");
        let spec = serde_json::json!({"cidr_block": format!("10.{}.{}.0/24", n / 256, n % 256), "tags": {"Name": format!("subnet {n}"), "team": "platform"}, "vpc_id": {"$ref": "ec2:vpc", "id": "vpc-00000000000000000"}});
        let at = Timestamp::now();
        let state = State::Present {
            hash: spec_hash(&key.kind, 1, &spec),
            spec_version: 1,
            spec,
            unmapped: serde_json::Value::Null,
            aliases: vec![],
        };
        batch.version(Version { key, read_began: at, captured_at: at, seen_at: at, cause: Cause::Plan, state });
    }
    store.commit(batch).await.expect("10,000 versions are stored");
    drop(store);
    let config = std::fs::read_to_string(site.dir.path().join("rollbackd.toml")).expect("the configuration")
        + "[capture]\non_start = false\n";
    std::fs::write(site.dir.path().join("rollbackd.toml"), config).expect("write the configuration");

    let notify = site.dir.path().join("notify");
    let told = UnixDatagram::bind(&notify).expect("a socket");
    told.set_read_timeout(Some(SOON)).expect("a time limit");
    let mut env = site.env();
    env.push(("NOTIFY_SOCKET".into(), notify.display().to_string()));
    let began = Instant::now();
    let daemon = Daemon::spawn(binary(), &["run"], &env);
    let ready = tokio::task::spawn_blocking(move || {
        let mut text = [0; 256];
        loop {
            let n = told.recv(&mut text).expect("a word of the daemon");
            if text[..n].starts_with(b"READY=1") {
                return began.elapsed();
            }
        }
    })
    .await
    .expect("the daemon is ready");
    println!(
        "start to ready with 10,000 versions: {:.0} ms; limit 1000 ms: {:.2} of it",
        ready.as_secs_f64() * 1e3,
        ready.as_secs_f64()
    );

    let settled = Instant::now();
    until("it has come to rest", SOON, || async { settled.elapsed() > Duration::from_secs(15) }).await;
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.id())).expect("its figures");
        let fields: Vec<u64> =
            stat.rsplit(')').next().unwrap_or_default().split_whitespace().filter_map(|f| f.parse().ok()).collect();
        // Fields 14 and 15 of proc(5); the state, which is no number, is left out here.
        fields[10] + fields[11]
    };
    let (from, before) = (Instant::now(), ticks());
    until("a while at rest", SOON, || async { from.elapsed() > Duration::from_secs(20) }).await;
    let busy = (ticks() - before) as f64 / 100.0 / from.elapsed().as_secs_f64() * 100.0;
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("its figures");
    let rss: f64 = status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|v| v.trim().trim_end_matches(" kB").parse().ok())
        .expect("resident memory");
    println!(
        "at rest: {:.0} MB resident; limit 60 MB: {:.2} of it; {busy:.2} % of one CPU over 20 s",
        rss / 1024.0,
        rss / 1024.0 / 60.0
    );
}

#[tokio::main]
async fn main() {
    idle().await;
    record_to_plan().await;
    restore_against_its_chain().await;
    restore_of_120().await;
    sweep_beside_peers().await;
}
