//! Sweeps on their schedule.
use crate::{
    model::{Timestamp, sweep::SweepCause},
    respond::Hub,
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Sweeps at start when the settings say so, then each time one is due. A failed sweep is tried again soon.
pub(super) async fn sweeps(hub: Arc<Hub>, stop: CancellationToken) {
    let mut due = hub.config().capture.on_start;
    loop {
        if due {
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = sweep(&hub) => swept,
            };
            hub.trouble("sweep", swept.as_ref().err().cloned());
            hub.bell.notify_one();
            if swept.is_err() {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(super::RETRY_AFTER) => continue,
                }
            }
        }
        // Looked at again every few seconds, so that new settings take effect and a clock that jumps does no harm.
        let wait = until_due(&hub);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait.min(Duration::from_secs(10))) => {}
        }
        due = until_due(&hub).is_zero();
    }
}

async fn sweep(hub: &Hub) -> Result<(), String> {
    let core = hub.core().await.map_err(|e| e.to_string())?;
    let sweep = core.capture.sweep(&core.scopes, SweepCause::Schedule).await.map_err(|e| e.to_string())?;
    let (seen, changed): (u64, u64) = sweep.scopes.values().fold((0, 0), |(s, c), n| (s + n.seen, c + n.changed));
    tracing::info!(seen, changed, errors = sweep.errors.len(), "swept");
    for e in &sweep.errors {
        tracing::warn!(scope = %e.scope, kind = %e.kind, "not captured: {}", e.error);
    }
    Ok(())
}

/// How long until the next sweep: the interval and a part of the jitter after the last one began.
fn until_due(hub: &Hub) -> Duration {
    let settings = &hub.config().capture;
    let last = match hub.store.sweeps(1) {
        Ok(sweeps) => sweeps.first().map(|s| s.started),
        Err(_) => return super::RETRY_AFTER,
    };
    let Some(last) = last else { return Duration::from_secs(10) };
    // Spread by the time itself: the same on every look, different from sweep to sweep.
    let part = last.subsec_nanosecond().unsigned_abs() % 1000;
    let jitter = settings.jitter.unsigned_abs() * part / 1000;
    let due = last + settings.every + jiff::SignedDuration::try_from(jitter).unwrap_or_default();
    Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default()
}
