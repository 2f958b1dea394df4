//! The seam to the service: where requests are sent, and what runs in its place. The only file of `cli` that knows
//! whether a daemon answers or this process does.
use super::{Global, talk};
use crate::{
    config::{Config, Environment},
    control::{
        self, Client, NoDaemon, Service,
        api::{Answer, Fault, Request},
    },
    daemon,
    respond::Hub,
    restore::Progress,
    store::Store,
};
use futures_util::StreamExt;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// How long another command may hold the store before this one gives up.
const STORE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Who answers: the daemon over its socket, or the service in this process.
pub enum Backend {
    Daemon(Client),
    Here(Service),
}
impl Backend {
    /// The daemon of the configured socket, when one runs; else the store and AWS from here.
    pub async fn open(global: &Global) -> Result<Self, Fault> {
        let config = Config::load(global.config.as_deref()).map_err(Fault::failed)?;
        match Client::connect(&config.control.socket).await {
            Ok(client) => Ok(Self::Daemon(client)),
            Err(e @ NoDaemon::Denied { .. }) => Err(Fault::failed(e)),
            Err(NoDaemon::Absent(_)) => {
                let store = Store::open_within(&config.state_directory, &config.store.key_file, STORE_WAIT_MAX).await?;
                let hub = Hub::new(store, config);
                stop_on_signal(hub.clone())?;
                Ok(Self::Here(Service::alone(hub)))
            }
        }
    }
}

/// Sends one request and waits for its answer; `progress` hears of each step meanwhile.
pub async fn call(
    backend: &mut Backend,
    request: Request,
    mut progress: impl FnMut(&Progress),
) -> Result<Answer, Fault> {
    match backend {
        Backend::Daemon(client) => client.call(&request, progress).await,
        Backend::Here(service) => {
            let (steps, mut told) = mpsc::unbounded_channel();
            let who = control::caller();
            let work = async {
                // On the heap: with all that it may do, it is a large future.
                let answer = Box::pin(service.call(request, &who, &steps)).await;
                drop(steps);
                answer
            };
            let tell = async {
                while let Some(p) = told.recv().await {
                    progress(&p);
                }
            };
            let (answer, ()) = tokio::join!(work, tell);
            answer
        }
    }
}

/// The first signal lets the steps under way end and be journaled; a second one leaves at once.
fn stop_on_signal(hub: Arc<Hub>) -> Result<(), Fault> {
    let mut signals = signal_hook_tokio::Signals::new([SIGINT, SIGTERM])
        .map_err(|e| Fault::failed(format!("signals cannot be handled: {e}")))?;
    tokio::spawn(async move {
        let mut asked = false;
        while let Some(signal) = signals.next().await {
            if asked || !hub.restores.any() {
                // As a shell expects of a program that a signal ended.
                std::process::exit(128 + signal);
            }
            asked = true;
            talk("stopping after the steps under way; once more to leave at once");
            hub.restores.stop_all();
        }
    });
    Ok(())
}

/// `rollbackd run`: until a signal ends it.
pub async fn daemon(global: &Global) -> Result<u8, Fault> {
    let path = Config::locate(global.config.as_deref(), &Environment::of_process());
    // A configuration that does not fit is no reason to start again (RestartPreventExitStatus in the unit).
    let config = Config::load(global.config.as_deref()).map_err(Fault::usage)?;
    Box::pin(daemon::run(config, path)).await.map_err(Fault::failed)?;
    Ok(0)
}
