//! The daemon: the task tree, signals, systemd.
//!
//! Trail tasks append to the store and ring the bell. One reconciler takes rounds on the bell and on a timer; sweeps run
//! on their schedule. What fails is said, retried and shown in `status`; nothing that comes from outside ends the daemon.
//!
//! The end: SIGTERM lets the steps under way end and be journaled, then leaves; a second one leaves at once.
mod schedule;
mod systemd;

use crate::{
    config::{Config, ConfigError},
    control::{Server, ServerError, Service, service::Sources},
    detect::incident::State as Detection,
    model::Timestamp,
    respond::{Hub, Reconciler},
    store::{Batch, Store, StoreError},
    trail::{
        decode::{Unreadable, Watched},
        queue::{Queue, Settings},
    },
};
use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long steps under way may take to end once asked to. systemd's `TimeoutStopSec` is longer.
const DRAIN_MAX: Duration = Duration::from_secs(45);
/// How long a command that was started without a daemon may hold the store.
const STORE_WAIT_MAX: Duration = Duration::from_secs(60);
/// After a round that failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why the daemon could not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("agent rules: {0}")]
    Rules(#[from] crate::detect::actor::BadRule),
    #[error("signals cannot be handled: {0}")]
    Signals(std::io::Error),
    #[error("the control socket failed: {0}")]
    Socket(std::io::Error),
}

/// Runs until told to stop. `path` is the file that SIGHUP reads again.
pub async fn run(config: Config, path: Option<PathBuf>) -> Result<(), DaemonError> {
    // The socket first: another daemon is told apart at once from a command that holds the store for a moment.
    let server = Server::bind(&config.control).await?;
    let store = Store::open_within(&config.state_directory, &config.store.key_file, STORE_WAIT_MAX).await?;
    let hub = Hub::new(store, config);
    let mut signals = signal_hook_tokio::Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(DaemonError::Signals)?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let sources = Arc::new(Sources::new(Timestamp::now()));
    // Rung by SIGHUP: whoever depends on settings looks again.
    let reloaded = Arc::new(Notify::new());

    let service = Service::of_daemon(hub.clone(), sources.clone());
    let served = tokio::spawn(server.run(service, stop.clone()));
    let detection = detection(&hub).await?;
    let reconciler = Reconciler::new(hub.clone(), detection)?;
    reconciler.take_up_interrupted().await?;
    tasks.spawn(reconcile(hub.clone(), reconciler, reloaded.clone(), stop.clone()));
    tasks.spawn(schedule::sweeps(hub.clone(), stop.clone()));
    tasks.spawn(schedule::copies(hub.clone(), stop.clone()));
    tasks.spawn(queues(hub.clone(), sources, stop.clone()));
    tasks.spawn(expire(hub.clone(), stop.clone()));
    tasks.spawn(systemd::watchdog(hub.clone(), stop.clone()));
    systemd::ready();
    tracing::info!(socket = %hub.config().control.socket.display(), store = %hub.store.dir().display(), "ready");

    while let Some(signal) = signals.next().await {
        match signal {
            SIGHUP => {
                systemd::reloading();
                reload(&hub, path.as_deref(), &reloaded).await;
                systemd::ready();
            }
            _ => {
                tracing::info!(signal, "stopping: steps under way end first; a second signal leaves at once");
                break;
            }
        }
    }
    systemd::stopping();
    stop.cancel();
    hub.restores.close();
    tasks.close();
    let drained = async {
        hub.restores.tasks.wait().await;
        tasks.wait().await;
    };
    tokio::select! {
        () = drained => {}
        () = tokio::time::sleep(DRAIN_MAX) => tracing::warn!("steps did not end within {} s; `rollbackd resume` goes on with them", DRAIN_MAX.as_secs()),
        Some(_) = signals.next() => tracing::warn!("second signal: leaving at once; `rollbackd resume` goes on with what was under way"),
    }
    served.abort();
    Ok(())
}

/// Detection by the rules of the settings, and by who this process is, once that is known.
async fn detection(hub: &Hub) -> Result<Detection, DaemonError> {
    let core = hub.connected().await;
    Ok(hub.config().detection(core.as_ref().map(|core| core.aws.caller().arn.as_str()))?)
}

async fn reload(hub: &Arc<Hub>, path: Option<&std::path::Path>, reloaded: &Notify) {
    match Config::load(path) {
        Ok(config) => {
            let now = hub.config();
            let kept = now.needs_restart(&config);
            if !kept.is_empty() {
                tracing::warn!("these settings take effect after a restart: {}", kept.join(", "));
            }
            hub.reconfigure(Config {
                state_directory: now.state_directory.clone(),
                control: now.control.clone(),
                ..config
            })
            .await;
            hub.trouble("configuration", None);
            reloaded.notify_one();
            tracing::info!("the configuration is read again");
        }
        Err(e) => refuse(hub, &e),
    }
}
fn refuse(hub: &Hub, e: &ConfigError) {
    hub.trouble("configuration", Some(format!("the file was not taken up, and the old settings stay: {e}")));
}

/// Rounds on the bell and on a timer.
async fn reconcile(hub: Arc<Hub>, mut reconciler: Reconciler, reloaded: Arc<Notify>, stop: CancellationToken) {
    let mut knows_itself = false;
    loop {
        if !knows_itself && hub.connected().await.is_some() {
            rejudge(&hub, &mut reconciler).await;
            knows_itself = true;
        }
        let round = tokio::select! {
            () = stop.cancelled() => return,
            round = reconciler.round() => round,
        };
        let wait = match round {
            Ok(wait) => {
                hub.trouble("reconciler", None);
                wait
            }
            Err(e) => {
                hub.trouble("reconciler", Some(e.to_string()));
                RETRY_AFTER
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = hub.bell.notified() => {}
            () = tokio::time::sleep(wait) => {}
            () = reloaded.notified() => knows_itself = false,
        }
    }
}

/// Who is an agent, by the settings and the credentials of now.
async fn rejudge(hub: &Hub, reconciler: &mut Reconciler) {
    let judged = match detection(hub).await {
        Ok(detection) => reconciler.rejudge(detection).map_err(DaemonError::from),
        Err(e) => Err(e),
    };
    hub.trouble("agent rules", judged.err().map(|e| e.to_string()));
}

/// One task for each configured queue; when settings change, those that are gone stop and new ones start.
async fn queues(hub: Arc<Hub>, sources: Arc<Sources>, stop: CancellationToken) {
    let mut running: Vec<(String, CancellationToken)> = vec![];
    loop {
        let config = hub.config();
        if !config.queues.is_empty() {
            match hub.core().await {
                Ok(core) => {
                    hub.trouble("queues", None);
                    let wanted: Vec<String> = config.queues.iter().map(|q| q.url.as_str().to_owned()).collect();
                    running.retain(|(url, cancel)| {
                        let stays = wanted.contains(url);
                        if !stays {
                            cancel.cancel();
                        }
                        stays
                    });
                    for queue in &config.queues {
                        let url = queue.url.as_str().to_owned();
                        if running.iter().any(|(u, _)| *u == url) {
                            continue;
                        }
                        let mut accounts: std::collections::BTreeSet<_> =
                            config.trail.accounts.iter().cloned().collect();
                        if accounts.is_empty() {
                            accounts.insert(core.aws.caller().account.clone());
                        }
                        let client = core.aws.sqs(queue.region().as_ref());
                        let (source, health) =
                            Queue::new(client, Settings::new(&url, Watched { accounts, ..Watched::default() }));
                        let cancel = stop.child_token();
                        running.push((url.clone(), cancel.clone()));
                        sources.set(&format!("queue {url}"), health);
                        let hub = hub.clone();
                        tokio::spawn(async move {
                            let bell = hub.bell.clone();
                            let sink = |records, unreadable: Vec<Unreadable>| {
                                let hub = hub.clone();
                                async move { take_in(&hub, records, &unreadable).await }
                            };
                            source.run(sink, bell, cancel).await;
                        });
                    }
                    sources.retain(|name| running.iter().any(|(url, _)| name.ends_with(url.as_str())));
                }
                Err(e) => hub.trouble("queues", Some(e.to_string())),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY_AFTER) => {}
        }
    }
}

/// Records into the store, behind a barrier.
async fn take_in(hub: &Hub, records: Vec<crate::model::Record>, unreadable: &[Unreadable]) -> Result<(), StoreError> {
    let mut batch = Batch::new();
    for record in records {
        batch.record(record);
    }
    for u in unreadable {
        batch.unreadable(u.text.as_bytes(), &u.why, &u.origin);
    }
    hub.store.commit(batch).await.map(drop)
}

/// Once an hour: records older than their keeping time go.
async fn expire(hub: Arc<Hub>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(3600)) => {}
        }
        let before = Timestamp::now() - hub.config().trail.records_kept;
        let expired = hub.store.expire_records(before).await;
        hub.trouble("expiry of records", expired.err().map(|e| e.to_string()));
    }
}
