//! One moto server per test binary, corrected by `moto_guard.py`. Each account of it is a world of its own, which is how
//! tests that run side by side stay apart: take credentials for an account number that no other test uses.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

const GUARD: &str = include_str!("../moto_guard.py");
const REQUIREMENTS: &str = include_str!("../requirements.txt");
const START_WAIT_S_MAX: u64 = 60;
const INSTALL_WAIT_S_MAX: u64 = 300;
const LOG_LINES_MAX: usize = 400;

/// Keys for one account of the emulator.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub access_key: String,
    pub secret: String,
    pub session_token: String,
}

/// A running moto server. It ends when this is dropped, and also when the test process is killed: the guard watches its
/// standard input, whose other end only this process holds.
pub struct Emulator {
    address: SocketAddr,
    child: Mutex<Child>,
    log: Arc<Mutex<VecDeque<String>>>,
}

static SHARED: OnceCell<Emulator> = OnceCell::const_new();
static ACCOUNTS: AtomicU64 = AtomicU64::new(0);

impl Emulator {
    /// The emulator of this test binary, started by the first call.
    pub async fn shared() -> &'static Emulator {
        SHARED.get_or_init(Emulator::start).await
    }

    /// An emulator of one's own.
    pub async fn start() -> Emulator {
        tokio::task::spawn_blocking(start).await.expect("the emulator starts")
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An account number that this process has not given out before.
    pub fn new_account(&self) -> String {
        let number = ACCOUNTS.fetch_add(1, Ordering::Relaxed);
        format!("{:06}{number:06}", 100_000 + u64::from(std::process::id()) % 900_000)
    }

    /// Credentials of a role session in `account`, which need not have been named before.
    pub async fn credentials(&self, account: &str) -> Credentials {
        let base = Credentials {
            access_key: "AKIAKITKITKITKITKIT0".into(),
            secret: "kit".into(),
            session_token: String::new(),
        };
        assume(&base, &self.endpoint(), &format!("arn:aws:iam::{account}:role/kit"), "kit").await
    }

    /// Makes a queue in the account of `credentials` and returns its URL.
    pub async fn queue(&self, credentials: &Credentials, region: &str, name: &str) -> String {
        let client = aws_sdk_sqs::Client::new(&sdk_config(credentials, region, &self.endpoint()));
        let answer = client.create_queue().queue_name(name).send().await;
        let answer = answer.unwrap_or_else(|problem| panic!("CreateQueue {name}: {problem:?}"));
        answer.queue_url().expect("CreateQueue answers with a URL").to_owned()
    }

    /// A configuration for any SDK client. `endpoint` is this emulator's or that of a proxy in front of it.
    pub fn sdk_config(&self, credentials: &Credentials, region: &str, endpoint: &str) -> aws_config::SdkConfig {
        sdk_config(credentials, region, endpoint)
    }

    /// The calls that `account` has made so far, as (service, operation), in order.
    pub fn calls(&self, account: &str) -> Vec<(String, String)> {
        let text = get(self.address, &format!("/kit/calls/{account}"))
            .unwrap_or_else(|problem| panic!("the emulator tells its calls: {problem}\n{}", self.log()));
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(service, operation)| (service.to_owned(), operation.to_owned()))
            .collect()
    }

    /// How often `account` has called `operation`, whatever the service.
    pub fn count(&self, account: &str, operation: &str) -> usize {
        self.calls(account).iter().filter(|(_, name)| name == operation).count()
    }

    /// The last lines that the emulator wrote, for messages of failed tests.
    pub fn log(&self) -> String {
        let log = self.log.lock().expect("no holder panics");
        log.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        if let Ok(mut child) = self.child.lock() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A configuration for any SDK client, with the given keys, Region and endpoint.
pub fn sdk_config(credentials: &Credentials, region: &str, endpoint: &str) -> aws_config::SdkConfig {
    let token = (!credentials.session_token.is_empty()).then(|| credentials.session_token.clone());
    let keys = aws_sdk_sts::config::Credentials::new(&credentials.access_key, &credentials.secret, token, None, "kit");
    aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new(region.to_owned()))
        .credentials_provider(aws_sdk_sts::config::SharedCredentialsProvider::new(keys))
        .endpoint_url(endpoint)
        .retry_config(aws_config::retry::RetryConfig::standard())
        .build()
}

/// Credentials of a session of `role_arn`, assumed with `base` through `endpoint`.
pub async fn assume(base: &Credentials, endpoint: &str, role_arn: &str, session: &str) -> Credentials {
    let client = aws_sdk_sts::Client::new(&sdk_config(base, "us-east-1", endpoint));
    let answer = client.assume_role().role_arn(role_arn).role_session_name(session).send().await;
    let answer = answer.unwrap_or_else(|problem| panic!("AssumeRole {role_arn} at {endpoint}: {problem:?}"));
    let given = answer.credentials().expect("AssumeRole answers with credentials");
    Credentials {
        access_key: given.access_key_id().to_owned(),
        secret: given.secret_access_key().to_owned(),
        session_token: given.session_token().to_owned(),
    }
}

fn start() -> Emulator {
    let home = target_dir().join("kit");
    fs::create_dir_all(&home).unwrap_or_else(|problem| panic!("create {}: {problem}", home.display()));
    let python = venv(&home);
    let guard = guard(&home);
    for attempt in 1.. {
        // Between finding a free port and moto's binding it, somebody else may take it: then moto ends at once.
        match try_start(&python, &guard) {
            Ok(emulator) => return emulator,
            Err(problem) if attempt == 5 => panic!("the emulator does not start: {problem}"),
            Err(_) => {}
        }
    }
    unreachable!("the loop returns or panics")
}

fn try_start(python: &Path, guard: &Path) -> Result<Emulator, String> {
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .map_err(|problem| format!("no free port: {problem}"))?;
    let mut child = Command::new(python)
        .arg(guard)
        .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("MOTO_ACCOUNT_ID")
        .spawn()
        .map_err(|problem| format!("{}: {problem}", python.display()))?;
    let log = Arc::new(Mutex::new(VecDeque::new()));
    let stderr = child.stderr.take().expect("it is piped");
    std::thread::spawn({
        let log = Arc::clone(&log);
        move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut log = log.lock().expect("no holder panics");
                if log.len() == LOG_LINES_MAX {
                    log.pop_front();
                }
                log.push_back(line);
            }
        }
    });
    let emulator = Emulator { address, child: Mutex::new(child), log };
    let deadline = Instant::now() + Duration::from_secs(START_WAIT_S_MAX);
    loop {
        if get(address, "/kit/calls/none").is_ok() {
            return Ok(emulator);
        }
        let ended = emulator.child.lock().expect("no holder panics").try_wait();
        if let Ok(Some(status)) = ended {
            return Err(format!("it ended with {status}\n{}", emulator.log()));
        }
        if Instant::now() > deadline {
            return Err(format!("no answer after {START_WAIT_S_MAX} s\n{}", emulator.log()));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The body of a GET.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(format!("GET {path}: {text}"))),
    }
}

/// Cargo's target folder: the one above this executable that cargo has marked as a cache.
fn target_dir() -> PathBuf {
    let executable = std::env::current_exe().unwrap_or_default();
    let marked = executable.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), Path::to_path_buf)
}

/// Writes the guard into a folder named after its content, so that processes built from different sources do not meet.
fn guard(home: &Path) -> PathBuf {
    let folder = home.join(format!("guard-{:016x}", fingerprint(GUARD)));
    fs::create_dir_all(&folder).unwrap_or_else(|problem| panic!("create {}: {problem}", folder.display()));
    for (name, text) in [("moto_guard.py", GUARD), ("amis.json", "[]")] {
        let path = folder.join(name);
        if !path.is_file() {
            let fresh = folder.join(format!("{name}.{}", std::process::id()));
            fs::write(&fresh, text)
                .and_then(|()| fs::rename(&fresh, &path))
                .unwrap_or_else(|problem| panic!("write {}: {problem}", path.display()));
        }
    }
    folder.join("moto_guard.py")
}

/// The Python of a virtual environment that holds what `requirements.txt` names. Made once for a target folder; processes that
/// come at the same time wait for the first one.
fn venv(home: &Path) -> PathBuf {
    let folder = home.join("venv");
    let python = folder.join("bin/python");
    let marker = folder.join("ready");
    let ready = || fs::read_to_string(&marker).is_ok_and(|text| text == REQUIREMENTS);
    if ready() {
        return python;
    }
    let lock = fs::File::create(home.join("venv.lock"))
        .unwrap_or_else(|problem| panic!("create the lock of {}: {problem}", folder.display()));
    let deadline = Instant::now() + Duration::from_secs(INSTALL_WAIT_S_MAX);
    while lock.try_lock().is_err() {
        assert!(
            Instant::now() < deadline,
            "another process has been making {} for {INSTALL_WAIT_S_MAX} s",
            folder.display()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    if ready() {
        return python;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap_or_else(|problem| panic!("remove {}: {problem}", folder.display()));
    }
    let requirements = home.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)
        .unwrap_or_else(|problem| panic!("write {}: {problem}", requirements.display()));
    let base = std::env::var("KIT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    run(Command::new(base).args(["-m", "venv"]).arg(&folder));
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements));
    fs::write(&marker, REQUIREMENTS).unwrap_or_else(|problem| panic!("write {}: {problem}", marker.display()));
    python
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|problem| panic!("{command:?}: {problem}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
}

fn fingerprint(text: &str) -> u64 {
    // FNV-1a: the same in every process, which std's hasher does not promise.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
