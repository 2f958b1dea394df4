//! What systemd is told: ready, stopping, and that the daemon still works (not merely that it runs).
use crate::{model::Timestamp, respond::Hub};
use sd_notify::NotifyState;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

fn tell(state: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(state) {
        tracing::warn!("systemd was not told: {e}");
    }
}
/// `Type=notify` with a reload by signal: systemd waits for the next `ready`.
pub(super) fn reloading() {
    tell(&[NotifyState::Reloading]);
}
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Writes to the store and reads back before each sign of life: a daemon that cannot is restarted.
pub(super) async fn watchdog(hub: Arc<Hub>, stop: CancellationToken) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    loop {
        match hub.store.probe(Timestamp::now()).await {
            Ok(()) => {
                tell(&[NotifyState::Watchdog]);
                hub.trouble("store", None);
            }
            Err(e) => hub.trouble("store", Some(e.to_string())),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(limit / 3) => {}
        }
    }
}
