//! Sweeps and copies of data on their schedule.
use crate::{
    capture::copies::Copier,
    config::EbsSnapshots,
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

/// The longest until AWS is asked again which volumes a rule's tag is on, and after a round that failed.
const COPIES_LOOK: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);
const COPIES_RETRY: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);

/// Copies of data, each time one is due. Nothing is due while halted.
pub(super) async fn copies(hub: Arc<Hub>, stop: CancellationToken) {
    let mut known: Vec<EbsSnapshots> = vec![];
    let mut due = Timestamp::MAX;
    loop {
        let rules = hub.config().ebs_snapshots.clone();
        if rules != known {
            due = if rules.is_empty() { Timestamp::MAX } else { Timestamp::MIN };
            known = rules;
            hub.trouble("copies", None);
        }
        if due <= Timestamp::now() && matches!(hub.halted(), Ok(None)) {
            // A call under way is not cut off: what it made is to be on record.
            let (next, failures) = match copy_round(&hub, &known, &stop).await {
                Ok(round) => round,
                Err(e) => (None, vec![e]),
            };
            let latest = Timestamp::now() + if failures.is_empty() { COPIES_LOOK } else { COPIES_RETRY };
            due = next.filter(|_| failures.is_empty()).map_or(latest, |next| next.min(latest));
            hub.trouble("copies", (!failures.is_empty()).then(|| failures.join("; ")));
        }
        let wait = Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait.clamp(Duration::from_secs(1), Duration::from_secs(10))) => {}
        }
    }
}

/// When the next copy of any rule is due, and what could not be done.
async fn copy_round(
    hub: &Hub,
    rules: &[EbsSnapshots],
    stop: &CancellationToken,
) -> Result<(Option<Timestamp>, Vec<String>), String> {
    let core = hub.core().await.map_err(|e| e.to_string())?;
    let copier = Copier { store: hub.store.clone(), aws: core.aws.clone() };
    let may_act = || Ok(!stop.is_cancelled() && hub.halted()?.is_none());
    let (mut next, mut failures): (Option<Timestamp>, _) = (None, vec![]);
    for scope in &core.scopes {
        for rule in rules {
            match copier.round(scope, rule, &may_act).await {
                Ok(round) => {
                    next = [next, round.due].into_iter().flatten().min();
                    failures.extend(round.failures);
                }
                Err(e) => failures.push(format!("{} in {scope}: {e}", rule.tag)),
            }
        }
    }
    Ok((next, failures))
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
