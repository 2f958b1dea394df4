//! Targeted capture: every successful write by anyone re-captures what its record names, in order of arrival.
use super::{Capture, sweep::CaptureError};
use crate::{
    detect::actions,
    kinds::registry,
    model::{Cause, Record, ResourceKey, Version, incident::Target},
    store::{Batch, Cursor},
};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};

/// The name of our place in the arrivals.
const CURSOR: &str = "capture";
/// Arrivals taken at a time: one round of reads for all that they name.
const RECORDS_PER_ROUND: usize = 500;

/// Reads the arrivals after its cursor and captures what they touched. Takes no input: a lost wake-up loses nothing.
#[derive(Clone)]
pub struct Follower {
    pub capture: Capture,
}
impl Follower {
    /// Captures all that is new; `true` when something was.
    pub async fn catch_up(&self) -> Result<bool, CaptureError> {
        let store = &self.capture.store;
        let mut any = false;
        loop {
            let from = match store.cursor(CURSOR)? {
                Some(Cursor::Number(n)) => n,
                _ => 0,
            };
            let arrivals = store.arrivals_after(from, RECORDS_PER_ROUND)?;
            let Some((last, _)) = arrivals.last() else { return Ok(any) };
            let last = *last;
            // The newest record that names a resource is the cause of its version.
            let mut causes: BTreeMap<ResourceKey, Cause> = BTreeMap::new();
            for (_, record) in &arrivals {
                for key in self.touched(record)? {
                    causes.insert(key, Cause::Record { event: record.id.clone() });
                }
            }
            let mut by_cause: BTreeMap<String, (Cause, BTreeSet<ResourceKey>)> = BTreeMap::new();
            for (key, cause) in causes {
                let Cause::Record { event } = &cause else { continue };
                by_cause.entry(event.0.clone()).or_insert_with(|| (cause.clone(), BTreeSet::new())).1.insert(key);
            }
            let by_cause: Vec<(Cause, BTreeSet<ResourceKey>)> = by_cause.into_values().collect();
            let mut rounds: Vec<BoxFuture<'_, Result<Vec<Version>, CaptureError>>> = vec![];
            for (cause, keys) in &by_cause {
                rounds.push(Box::pin(self.capture.refresh(keys, cause)));
            }
            futures_util::future::try_join_all(rounds).await?;
            store.commit(Batch::of(|b| b.cursor(CURSOR, last))).await?;
            any = true;
        }
    }

    /// Resources of our kinds that a record of a successful write names, by id or by another name that the store knows.
    pub fn touched(&self, record: &Record) -> Result<BTreeSet<ResourceKey>, CaptureError> {
        let mut out = BTreeSet::new();
        if !record.succeeded() || !actions::is_write(record) {
            return Ok(out);
        }
        for target in actions::mentioned(record) {
            match target {
                Target::Resource(key) if registry::kind(&key.kind).is_some() => {
                    out.insert(key);
                }
                Target::Resource(_) => {}
                Target::Named { kind, name } => {
                    // What is known by its name needs no look-up, and may have been made just now.
                    let by_name = kind.filter(|k| registry::kind(k).is_some_and(|k| k.facts().keeps_id));
                    out.extend(by_name.map(|kind| record.scope.key(kind, &name)));
                    out.extend(
                        self.capture
                            .store
                            .find(&name)?
                            .into_iter()
                            .filter(|k| k.scope == record.scope && registry::kind(&k.kind).is_some()),
                    );
                }
            }
        }
        Ok(out)
    }
}
