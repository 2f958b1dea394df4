//! Looks at AWS and stores what it sees: everything on schedule, what a record named, an agent's scope before it acts.
//!
//! The rule that must never break: a resource becomes a tombstone only after a complete listing (or a filtered one) went
//! without it *and* a direct read said not found. A listing that failed says nothing of anything.
pub mod copies;
mod follow;
mod sweep;

pub use follow::Follower;
pub use sweep::{Capture, CaptureError};

use crate::{
    aws::{Cx, Failure},
    kinds::{Captured, Which, registry},
    model::{Cause, KindName, ResourceKey, State, Timestamp, Version, version::spec_hash},
};

/// A filter takes at most 200 values (Amazon EC2 API, "Filter").
const IDS_PER_LOOK: usize = 200;

/// Those of the ids that are there, in any order.
pub(crate) async fn look(cx: &Cx, kind: &str, ids: &[String]) -> Result<Vec<Captured>, Failure> {
    let Some(kind) = kind.parse::<KindName>().ok().as_ref().and_then(registry::kind) else { return Ok(vec![]) };
    let parts = ids.chunks(IDS_PER_LOOK).map(|ids| kind.look(cx, Which::Ids(ids)));
    Ok(futures_util::future::try_join_all(parts).await?.into_iter().flatten().collect())
}

/// What a read found, as a version.
pub(crate) fn version(
    key: ResourceKey,
    found: Captured,
    read_began: Timestamp,
    read_ended: Timestamp,
    cause: Cause,
) -> Version {
    let spec_version = registry::kind(&key.kind).map_or(1, |k| k.spec_version());
    let hash = spec_hash(&key.kind, spec_version, &found.spec);
    let state =
        State::Present { hash, spec_version, spec: found.spec, unmapped: found.unmapped, aliases: found.aliases };
    Version { key, read_began, captured_at: read_ended, seen_at: read_ended, cause, state }
}
/// What a read did not find.
pub(crate) fn tombstone(key: ResourceKey, read_began: Timestamp, read_ended: Timestamp, cause: Cause) -> Version {
    Version { key, read_began, captured_at: read_ended, seen_at: read_ended, cause, state: State::Gone }
}
