//! A rollbackd process under test.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::emulator::Credentials;

const POLL_MS: u64 = 20;

/// The signals that tests send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Term,
    Int,
    Hup,
    Kill,
    Stop,
    Cont,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Term => "TERM",
            Signal::Int => "INT",
            Signal::Hup => "HUP",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Cont => "CONT",
        })
    }
}

/// A child process whose output is kept. It is killed when this is dropped.
pub struct Daemon {
    child: Child,
    id: u32,
    stdout: Arc<Mutex<String>>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// The variables that make an AWS client of any kind, and so rollbackd, use `endpoint` and nothing of this machine.
pub fn aws_env(credentials: &Credentials, region: &str, endpoint: &str) -> Vec<(String, String)> {
    let mut env = vec![
        ("AWS_ACCESS_KEY_ID", credentials.access_key.as_str()),
        ("AWS_SECRET_ACCESS_KEY", credentials.secret.as_str()),
        ("AWS_REGION", region),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/dev/null"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
    ];
    if !credentials.session_token.is_empty() {
        env.push(("AWS_SESSION_TOKEN", credentials.session_token.as_str()));
    }
    env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

impl Daemon {
    /// Starts `binary` with these arguments. Of this process's environment it sees only PATH and HOME; `env` is the rest.
    pub fn spawn(binary: &Path, args: &[&str], env: &[(String, String)]) -> Daemon {
        let inherited =
            ["PATH", "HOME"].into_iter().filter_map(|name| std::env::var(name).ok().map(|value| (name, value)));
        let mut child = Command::new(binary)
            .args(args)
            .env_clear()
            .envs(inherited)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|problem| panic!("start {}: {problem}", binary.display()));
        let (stdout, stderr) = (Arc::default(), Arc::default());
        let readers = vec![
            keep(child.stdout.take().expect("it is piped"), Arc::clone(&stdout)),
            keep(child.stderr.take().expect("it is piped"), Arc::clone(&stderr)),
        ];
        let id = child.id().expect("it has not been waited for");
        Daemon { child, id, stdout, stderr, readers }
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    pub fn stdout(&self) -> String {
        self.stdout.lock().expect("no holder panics").clone()
    }

    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no holder panics").clone()
    }

    /// Everything it wrote, for messages of failed tests.
    pub fn output(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr())
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub async fn signal(&mut self, signal: Signal) {
        assert!(self.running(), "the process has ended before SIG{signal}\n{}", self.output());
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.id.to_string()).status().await;
        assert!(status.as_ref().is_ok_and(ExitStatus::success), "send SIG{signal} to {}: {status:?}", self.id);
    }

    /// Ends it as a power cut would, and waits until it is gone.
    pub async fn kill9(&mut self) {
        self.child.kill().await.unwrap_or_else(|problem| panic!("kill {}: {problem}", self.id));
    }

    /// Waits for its end, and until its whole output is read.
    pub async fn wait_exit(&mut self, deadline: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(deadline, self.child.wait()).await;
        let Ok(ended) = ended else { panic!("process {} still runs after {deadline:?}\n{}", self.id, self.output()) };
        for reader in self.readers.drain(..) {
            // A grandchild may hold the pipes open; what was read by then has to do.
            tokio::time::timeout(Duration::from_secs(5), reader).await.ok();
        }
        ended.unwrap_or_else(|problem| panic!("wait for process {}: {problem}", self.id))
    }
}

impl Drop for Daemon {
    /// A test that fails shows what the process said.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- process {}\n{}", self.id, self.output());
        }
    }
}

fn keep(pipe: impl AsyncRead + Unpin + Send + 'static, text: Arc<Mutex<String>>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).await.is_ok_and(|read| read > 0) {
            text.lock().expect("no holder panics").push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// Waits until `condition` is true. Panics, naming `what`, when it is not by the deadline.
pub async fn until<F: Future<Output = bool>>(what: &str, deadline: Duration, mut condition: impl FnMut() -> F) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < deadline, "not after {deadline:?}: {what}");
        tokio::time::sleep(Duration::from_millis(POLL_MS)).await;
    }
}
