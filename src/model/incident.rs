//! Incidents: destructive records of one session and its children that belong together.
use super::{Actor, EventId, Hash, ResourceKey, Scope, SessionId, Timestamp, actor::Verdict, key::checked_text};
use serde::{Deserialize, Serialize, de::Error as _};
use std::{fmt, str::FromStr};

use super::key::NotAKey;
checked_text!(
    /// `inc-` and eight hexadecimal digits, from the first record that opened it.
    IncidentId, "an incident", "`inc-` and eight hexadecimal digits", |s| {
        s.strip_prefix("inc-").is_some_and(|h| h.len() == 8 && h.bytes().all(|b| b.is_ascii_hexdigit()))
    }
);
impl IncidentId {
    pub fn of(event: &EventId) -> Self {
        let hash = Hash::of_bytes(event.0.as_bytes());
        Self(format!("inc-{}", &hash.as_str()[..8]))
    }
}

/// Where an incident stands. Part of the JSON contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentState {
    /// Seen; no plan yet.
    Open,
    /// A plan exists; nothing waits for anybody.
    Planned,
    AwaitingApproval,
    Restoring,
    Restored,
    PartlyRestored,
    Rejected,
    /// Policy says to report only.
    Observed,
}
impl fmt::Display for IncidentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "open",
            Self::Planned => "planned",
            Self::AwaitingApproval => "awaiting-approval",
            Self::Restoring => "restoring",
            Self::Restored => "restored",
            Self::PartlyRestored => "partly-restored",
            Self::Rejected => "rejected",
            Self::Observed => "observed",
        })
    }
}

/// What an incident is about, the most urgent first. Part of the JSON contract.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IncidentKind {
    /// What rollbackd sees with or acts with was cut: a trail, its rule, its queue, its roles.
    Blinding,
    #[default]
    Loss,
}

/// A call that often comes before a fatal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warning {
    EmptiesBucket,
    RevokesGroupReference,
    DetachesGateway,
    CapacityToZero,
    ProtectionOff,
}
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::EmptiesBucket => "empties a bucket",
            Self::RevokesGroupReference => "revokes what one group allows another",
            Self::DetachesGateway => "detaches a gateway",
            Self::CapacityToZero => "sets a capacity to zero",
            Self::ProtectionOff => "takes a protection away",
        })
    }
}

/// What a call does to what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Delete,
    Detach,
    Modify,
    Stop,
    Data,
    /// Makes something, or adds to something that exists: no loss, shown beside what was lost.
    Add,
}
impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Delete => "delete",
            Self::Detach => "detach",
            Self::Modify => "modify",
            Self::Stop => "stop",
            Self::Data => "data",
            Self::Add => "add",
        })
    }
}

/// A thing that a record names: a resource whose kind is known, or the words of the record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Target {
    Resource(ResourceKey),
    /// An id, name or ARN that only the store can resolve (`rtbassoc-…`), or whose kind we do not restore.
    Named {
        kind: Option<super::KindName>,
        name: String,
    },
}

/// One call of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    pub event: EventId,
    pub time: Timestamp,
    pub session: SessionId,
    pub scope: Scope,
    pub source: String,
    pub name: String,
    pub class: Class,
    pub targets: Vec<Target>,
    /// The call failed or was a dry run: it destroyed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<Warning>,
}
impl Act {
    /// It took effect and took something away.
    pub fn destroyed(&self) -> bool {
        self.error.is_none() && self.class != Class::Add
    }
}

/// Something that was lost, or made instead.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Touched {
    pub resource: ResourceKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Something added to what existed. Undoing it takes something away, so it is done only when it is asked for by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addition {
    pub event: EventId,
    pub time: Timestamp,
    /// The call that added it.
    pub call: String,
    /// What it was added to.
    pub to: Vec<Target>,
    /// What was added: members and values of the call's parameters.
    pub what: String,
    /// The call that takes it away again, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
}

/// Something that survived and depended on what was lost.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reached {
    pub resource: ResourceKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it refers to: lost itself, or reached.
    pub through: ResourceKey,
    /// References between it and what was lost: 1 for one that names it.
    pub hops: u32,
}

/// Something that was lost, and what the agent made in its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Recreated {
    pub lost: ResourceKey,
    pub made: ResourceKey,
}

/// A session of an incident, with why it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Involved {
    pub session: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<SessionId>,
    pub actor: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// One incident. The JSON contract of `rollbackd incidents --output json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub id: IncidentId,
    #[serde(default)]
    pub kind: IncidentKind,
    pub state: IncidentState,
    /// The agent at the root of the lineage.
    pub actor: Actor,
    /// The root session first, then its children.
    pub sessions: Vec<Involved>,
    /// In order of time: destructive calls, failed ones, and what was added.
    pub acts: Vec<Act>,
    /// First and last destructive record.
    pub first: Timestamp,
    pub last: Timestamp,
    /// No more records are expected: the quiet time has passed.
    pub closed: bool,
    /// What is gone, by name; filled from the store.
    #[serde(default)]
    pub lost: Vec<Touched>,
    /// What survived but was changed.
    #[serde(default)]
    pub changed: Vec<Touched>,
    /// What the agent made meanwhile.
    #[serde(default)]
    pub made: Vec<Touched>,
    /// What the agent added to things that existed, from the quiet time before its first loss on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<Addition>,
    /// What survived and depended on what was lost, when it was lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reached: Vec<Reached>,
    /// What was lost and made again by the agent, pair by pair.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recreated: Vec<Recreated>,
    /// Targets that no snapshot knows or no kind can restore, in the record's words.
    #[serde(default)]
    pub beyond: Vec<String>,
    /// The newest plan for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Hash>,
    /// How many acts that plan knows of: when there are more, a new one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_for: Option<usize>,
    /// The newest restore of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<String>,
    /// How many acts there were when it was last dealt with (restored, rejected): more of them make it open again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<usize>,
    /// What went wrong last (planning, starting), for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
impl Incident {
    /// Whether a session took part.
    pub fn involves(&self, session: &SessionId) -> bool {
        self.sessions.iter().any(|s| s.session == *session)
    }
    /// Nothing but user agents, which any client may set, speaks for an agent: for people to judge, never for `auto`.
    pub fn is_suspicion(&self) -> bool {
        self.sessions.iter().filter_map(|s| s.verdict.as_ref()).all(Verdict::is_suspicion)
    }
    /// Acts that took effect and took something away.
    pub fn losses(&self) -> impl Iterator<Item = &Act> {
        self.acts.iter().filter(|a| a.destroyed())
    }
    /// Resources that a successful call of the incident named, with the first time it did.
    pub fn touched(&self) -> std::collections::BTreeMap<&ResourceKey, Timestamp> {
        let mut out = std::collections::BTreeMap::new();
        for act in self.acts.iter().filter(|a| a.error.is_none()) {
            for target in &act.targets {
                if let Target::Resource(key) = target {
                    let first = out.entry(key).or_insert(act.time);
                    *first = (*first).min(act.time);
                }
            }
        }
        out
    }
}
