//! One CloudTrail record in normal form: what detection needs, and the raw text as evidence.
use super::{Actor, Scope, SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// CloudTrail's `eventID`: the same in every transport.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(pub String);
impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A record, decoded. `trail::decode` makes it; `detect` reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: EventId,
    /// Whole seconds of the service host's clock.
    pub time: Timestamp,
    /// `ec2.amazonaws.com`
    pub source: String,
    /// As delivered, with Lambda's version suffix stripped: `DeleteVpc`, `DeleteFunction`.
    pub name: String,
    /// Whose resources: `recipientAccountId` and `awsRegion`.
    pub scope: Scope,
    pub actor: Actor,
    pub session: SessionId,
    /// Set on a failed call; `Client.DryRunOperation` is a dry run. Destroys nothing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// `requestParameters`, `responseElements`, `additionalEventData` and `resources`, as delivered; null where missing.
    #[serde(default)]
    pub request: Value,
    #[serde(default)]
    pub response: Value,
    #[serde(default)]
    pub additional: Value,
    #[serde(default)]
    pub resources: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_event_id: Option<String>,
    /// The event that this record, an addendum, corrects or replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addendum_of: Option<EventId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// When it reached us.
    pub received_at: Timestamp,
}
impl Record {
    /// The call took effect.
    pub fn succeeded(&self) -> bool {
        self.error.is_none()
    }
}
