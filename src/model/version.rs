//! Versions: one spec of one resource from its capture until the next, or a tombstone; with its cause.
use super::{EventId, Hash, ResourceKey, SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Why a version was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// A pass over everything, on schedule or on command.
    Sweep { sweep: Timestamp },
    /// A record named the resource.
    Record { event: EventId },
    /// An agent's session was first seen.
    Checkpoint { session: SessionId },
    /// rollbackd put it back.
    Restore { restore: String },
    /// Read to make or to check a plan.
    Plan,
}

/// Another name that records and other services use for a resource: the association of a route table, an ARN, an
/// address. `rtbassoc-…` alone is all that DisassociateRouteTable tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alias(pub String);

/// What a version says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    Present {
        /// Of `{"kind", "spec_version", "spec"}`: equal configuration of equal kind is stored once.
        hash: Hash,
        spec_version: u16,
        spec: Value,
        /// Elements of the raw answer that no table knows: path and text.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        unmapped: Value,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        aliases: Vec<Alias>,
    },
    /// A complete listing lacked it and a direct read said not found.
    Gone,
}

/// One version of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    pub key: ResourceKey,
    /// When its read began; what changed between this and `captured_at` may or may not be in it.
    pub read_began: Timestamp,
    /// When its read ended. A restore point takes the last version captured before it.
    pub captured_at: Timestamp,
    /// When a read last found the same; equals `captured_at` until then.
    pub seen_at: Timestamp,
    #[serde(flatten)]
    pub cause: Cause,
    #[serde(flatten)]
    pub state: State,
}
impl Version {
    pub fn spec(&self) -> Option<&Value> {
        match &self.state {
            State::Present { spec, .. } => Some(spec),
            State::Gone => None,
        }
    }
    pub fn hash(&self) -> Option<&Hash> {
        match &self.state {
            State::Present { hash, .. } => Some(hash),
            State::Gone => None,
        }
    }
    pub fn aliases(&self) -> &[Alias] {
        match &self.state {
            State::Present { aliases, .. } => aliases,
            State::Gone => &[],
        }
    }
    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }
    /// What people call it: its Name tag, or a name of its own.
    pub fn name(&self) -> Option<&str> {
        let spec = self.spec()?;
        spec["tags"]["Name"].as_str().or(spec["group_name"].as_str())
    }
}

/// The hash under which a spec is stored.
pub fn spec_hash(kind: &super::KindName, spec_version: u16, spec: &Value) -> Hash {
    Hash::of(&serde_json::json!({ "kind": kind, "spec_version": spec_version, "spec": spec }))
}
