//! What the command line and the daemon say to each other. The inner value of each answer is the JSON contract of
//! `--output json`: members are added, never renamed or removed.
pub use crate::respond::Halted;
use crate::{
    config::Config,
    model::{
        At, By, Hash, Incident, IncidentId, ResourceKey, Scope, SessionId, State, Timestamp, Version, audit,
        incident::IncidentKind,
        redact::{redact, redact_at},
        sweep::Sweep,
    },
    plan::{Change, Conflict, DigestPrefix, Plan, elsewhere::Destination, readiness::Readiness},
    respond::replay::Replay,
    restore::{Progress, Receipt, RestoreState},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A resource as people type it: a whole key, or an id, alias or name that only one resource has.
pub type ResourceText = String;

/// One side of `diff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    At(At),
    Live,
}

/// What `plan` and `restore` select.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    Incident(IncidentId),
    Resources(Vec<ResourceText>),
    Vpc(ResourceText),
    Tag { key: String, value: String },
    Scope(Scope),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "call", content = "with", rename_all = "kebab-case")]
pub enum Request {
    Status,
    /// Sweep now; the label names the sweep's end.
    Snapshot {
        label: Option<String>,
    },
    Snapshots {
        limit: usize,
    },
    History {
        resource: ResourceText,
    },
    Show {
        resource: ResourceText,
        at: Option<At>,
    },
    /// Everything, or the resources named, between two instants, or an instant and now.
    Diff {
        a: Side,
        b: Side,
        resources: Vec<ResourceText>,
    },
    /// What deleting each resource would cost today; all of them where none is named.
    Readiness {
        resources: Vec<ResourceText>,
    },
    Incidents,
    Incident {
        id: IncidentId,
    },
    /// What agent rules and policies would have done with the records of the last days; those that hold now where none
    /// are given.
    Replay {
        days: u32,
        config: Option<Box<Config>>,
    },
    /// Make a plan and store it. `overwrite`: survivors whose conflicts are to be overwritten.
    Plan {
        selector: Selector,
        at: Option<At>,
        overwrite: Vec<ResourceText>,
        /// Where to build it, if elsewhere than it was.
        #[serde(default)]
        into: Option<Destination>,
    },
    /// A stored plan.
    StoredPlan {
        digest: DigestPrefix,
    },
    /// Execute a stored plan; progress is streamed, the answer is the receipt.
    Restore {
        digest: DigestPrefix,
        reason: Option<String>,
    },
    /// The receipt that a restore ended in.
    Receipt {
        restore: String,
    },
    Resume {
        restore: Option<String>,
        reason: Option<String>,
    },
    Approve {
        digest: DigestPrefix,
        reason: Option<String>,
    },
    Reject {
        digest: DigestPrefix,
        reason: Option<String>,
    },
    Halt {
        reason: Option<String>,
    },
    Unhalt {
        reason: Option<String>,
    },
    Audit {
        limit: usize,
    },
    AuditVerify,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "value", rename_all = "kebab-case")]
pub enum Answer {
    Status(Box<Status>),
    Sweep(Sweep),
    Snapshots(Snapshots),
    History(History),
    Show(Box<Version>),
    Diff(Vec<Difference>),
    Readiness(Vec<Readiness>),
    Incidents(Vec<IncidentLine>),
    Incident(Box<Incident>),
    /// What approve or reject made of an incident.
    Decided(Box<IncidentLine>),
    Plan(Box<Plan>),
    Receipt(Box<Receipt>),
    Halted(Halted),
    Unhalted,
    Audit(Vec<audit::Entry>),
    AuditVerified(AuditVerified),
    Replay(Box<Replay>),
}

/// `rollbackd status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// The daemon answers, has an open store and has swept. Without a daemon: false.
    pub ready: bool,
    /// Whether a daemon answered at all.
    pub daemon: bool,
    pub halted: Option<Halted>,
    pub scopes: Vec<Scope>,
    pub last_sweep: Option<Sweep>,
    pub sources: Vec<Source>,
    pub store: StoreStatus,
    /// Incidents that wait for somebody or something.
    pub incidents: Vec<IncidentLine>,
    pub restores: Vec<RestoreLine>,
    /// Copies of data on a schedule, a line for each rule and scope.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<CopiesLine>,
    /// What is wrong, each with what to do.
    pub troubles: Vec<String>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopiesLine {
    /// The rule's tag, `key=value`.
    pub rule: String,
    pub scope: Scope,
    /// How many volumes had the tag at the last look.
    pub volumes: usize,
    /// When the newest copy of any of them was taken.
    pub newest: Option<Timestamp>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// `queue` and its URL.
    pub name: String,
    pub last_poll: Option<Timestamp>,
    pub last_record: Option<Timestamp>,
    /// Between a record's time and its arrival, of the newest record, in seconds.
    pub lag_s: Option<f64>,
    pub error: Option<String>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoreStatus {
    pub path: String,
    pub bytes: u64,
    /// Entries of each tree that people care about.
    pub counts: BTreeMap<String, u64>,
    pub unreadable_messages: u64,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestoreLine {
    pub id: String,
    pub state: RestoreState,
    pub plan: Hash,
    pub incident: Option<IncidentId>,
    pub started: Timestamp,
    pub by: By,
}
/// `rollbackd snapshots`: newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshots {
    pub sweeps: Vec<Sweep>,
    pub labels: BTreeMap<String, Timestamp>,
}
/// `rollbackd history`: newest first; under the first id, whatever it is called today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    pub resource: ResourceKey,
    pub versions: Vec<HistoryLine>,
}
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryLine {
    #[serde(flatten)]
    pub version: Version,
    /// Against the version before it.
    pub changes: Vec<Change>,
}
/// One resource that differs between the two sides of `diff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    pub resource: ResourceKey,
    pub name: Option<String>,
    pub what: DifferenceKind,
    pub changes: Vec<Change>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    Added,
    Gone,
    Changed,
}
/// An incident in lists: the contract that scripts rely on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentLine {
    pub id: IncidentId,
    #[serde(default)]
    pub kind: IncidentKind,
    pub state: crate::model::IncidentState,
    pub actor: String,
    pub sessions: Vec<SessionId>,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Destructive calls that took effect.
    pub destroyed: usize,
    pub lost: Vec<ResourceKey>,
    pub changed: Vec<ResourceKey>,
    pub made: Vec<ResourceKey>,
    pub plan: Option<Hash>,
    pub restore: Option<String>,
    /// When the policy starts the restore by itself.
    pub starts_at: Option<Timestamp>,
    pub trouble: Option<String>,
}
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerified {
    pub entries: u64,
    pub head: Option<Hash>,
    /// Where the chain breaks first, and how.
    pub broken: Option<String>,
}

/// What a caller is told instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub kind: FaultKind,
    pub message: String,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// What was asked for does not fit: exit code 2.
    Usage,
    /// It failed: exit code 1.
    Failed,
}
impl Fault {
    pub fn usage(message: impl std::fmt::Display) -> Self {
        Self { kind: FaultKind::Usage, message: message.to_string() }
    }
    pub fn failed(message: impl std::fmt::Display) -> Self {
        Self { kind: FaultKind::Failed, message: message.to_string() }
    }
}

/// One line of a reply: any number of steps, then the answer or the fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    Progress(Progress),
    Answer(Answer),
    Fault(Fault),
}

impl Answer {
    /// Without the secrets that specs hold: what may leave the service.
    pub fn redacted(mut self) -> Self {
        let changes = |all: &mut Vec<Change>| {
            for c in all {
                redact_at(&c.path, &mut c.from);
                redact_at(&c.path, &mut c.to);
            }
        };
        let version = |v: &mut Version| {
            if let State::Present { spec, unmapped, .. } = &mut v.state {
                redact(spec);
                redact(unmapped);
            }
        };
        match &mut self {
            Self::Show(v) => version(v),
            Self::History(history) => {
                for line in &mut history.versions {
                    version(&mut line.version);
                    changes(&mut line.changes);
                }
            }
            Self::Diff(all) => all.iter_mut().for_each(|d| changes(&mut d.changes)),
            Self::Plan(plan) => {
                for step in &mut plan.steps {
                    redact(&mut step.want);
                    changes(&mut step.changes);
                }
                clashes(&mut plan.conflicts);
            }
            Self::Receipt(receipt) => {
                for difference in receipt.items.iter_mut().flat_map(|i| &mut i.differences) {
                    let path = difference.change.path.clone();
                    redact_at(&path, &mut difference.change.from);
                    redact_at(&path, &mut difference.change.to);
                }
                clashes(&mut receipt.conflicts);
            }
            Self::Status(_)
            | Self::Sweep(_)
            | Self::Snapshots(_)
            | Self::Readiness(_)
            | Self::Incidents(_)
            | Self::Incident(_)
            | Self::Decided(_)
            | Self::Halted(_)
            | Self::Unhalted
            | Self::Audit(_)
            | Self::AuditVerified(_)
            | Self::Replay(_) => {}
        }
        self
    }
}
fn clashes(conflicts: &mut [Conflict]) {
    for clash in conflicts.iter_mut().flat_map(|c| &mut c.clashes) {
        for value in [&mut clash.want, &mut clash.left, &mut clash.live] {
            redact_at(&clash.path, value);
        }
    }
}
