//! Plans: the ordered steps from what is live to a restore point, and all that cannot be brought back. Pure: a plan is a
//! function of versions, live state and settings.
//!
//! `make` decides; `select` says what belongs to a restore; `diff` compares and merges; `order` sorts the steps; `elsewhere`
//! puts a restore into the words of another account or region;
//! `aftermath` says what a loss meant for what survived.
pub mod aftermath;
pub mod budget;
pub mod diff;
pub mod elsewhere;
pub mod facts;
mod make;
mod order;
pub mod preflight;
pub mod readiness;
mod select;
#[cfg(test)]
mod tests;

pub use diff::{Change, Clash};
pub use make::{Input, Live, make};
pub use preflight::{Blocker, Human};
pub use select::{Reach, select};

use crate::model::{Hash, IncidentId, ResourceKey, Scope, Timestamp, key::serde_as_text};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Get back what a deadline threatens: an address that anybody may take (H14).
    Claim,
    Create,
    /// AWS made it with its owner: find it.
    Adopt,
    /// Bring what was made or adopted to its spec, references included.
    Link,
    /// Put back members of a survivor.
    Converge,
    /// Point a survivor at the new ids of what was made again.
    Rewire,
    /// Cannot be done; `why` says why.
    Skip,
}
impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Claim => "claim",
            Self::Create => "create",
            Self::Adopt => "adopt",
            Self::Link => "link",
            Self::Converge => "converge",
            Self::Rewire => "rewire",
            Self::Skip => "skip",
        })
    }
}
impl Verb {
    /// It makes or finds the resource, which gets a new id.
    pub fn makes(self) -> bool {
        matches!(self, Self::Claim | Self::Create | Self::Adopt)
    }
}

/// One step. Specs and references are in the ids of the restore point; apply maps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// From 1; a step depends on lower numbers only.
    pub number: u32,
    pub verb: Verb,
    pub resource: ResourceKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<u32>,
    /// What it is brought to.
    pub want: Value,
    /// When that was captured.
    pub as_of: Timestamp,
    /// For survivors: the id it has today, which differs from the key's after an earlier restore. For what is adopted from
    /// the incident: the id of the one that was made instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_id: Option<String>,
    /// Of a survivor's live spec when the plan was made; apply refuses when it has changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Hash>,
    /// What changes on a survivor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Members of `want` that are chosen anew where it is built elsewhere: left out of it, and compared with nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<String>,
    /// Writing calls it is expected to make, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A member or a resource that others changed or took meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conflict {
    pub resource: ResourceKey,
    pub what: String,
    /// `kept as it is`, `adopt and converge`, `refuse`.
    pub resolution: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clashes: Vec<Clash>,
}

/// Something that does not come back, or not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Loss {
    pub resource: ResourceKey,
    pub what: String,
    /// What the loss is no more than; `None` where nothing bounds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<Bound>,
}

impl Loss {
    /// Whether it takes no more than what was accepted beforehand: content since a copy that was at most `age_max` old when the
    /// loss began, and memory where any age is. What nothing bounds is never accepted.
    pub fn is_within(&self, age_max: SignedDuration, began: Timestamp) -> bool {
        match self.bound {
            Some(Bound::Since(taken)) => began.duration_since(taken) <= age_max,
            Some(Bound::Memory) => !age_max.is_zero(),
            None => false,
        }
    }
}

/// The most that a loss takes: what a policy can accept beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// What was written after this instant, at which the copy was taken that the content comes back from.
    Since(Timestamp),
    /// Memory and instance stores, which every stop takes too.
    Memory,
}

/// What a plan restores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "of", content = "what", rename_all = "kebab-case")]
pub enum Subject {
    Incident(IncidentId),
    Resources(Vec<ResourceKey>),
    Vpc(ResourceKey),
    Tag { key: String, value: String },
    Scope(Scope),
}
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incident(id) => write!(f, "incident {id}"),
            Self::Resources(keys) => write!(f, "{}", keys.iter().map(|k| k.id.as_str()).collect::<Vec<_>>().join(", ")),
            Self::Vpc(key) => write!(f, "everything in {}", key.id),
            Self::Tag { key, value } => write!(f, "everything tagged {key}={value}"),
            Self::Scope(s) => write!(f, "everything in {s}"),
        }
    }
}

/// A plan's digest, or enough of its beginning to tell it from others (8 digits at least).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestPrefix(String);
impl DigestPrefix {
    pub fn matches(&self, digest: &Hash) -> bool {
        digest.as_str().starts_with(&self.0)
    }
}
impl FromStr for DigestPrefix {
    type Err = crate::model::key::NotAKey;
    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let ok = (8..=64).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if ok {
            return Ok(Self(s.to_owned()));
        }
        Err(crate::model::key::NotAKey {
            text: s.into(),
            what: "a plan's digest",
            form: "at least 8 hexadecimal digits of it",
        })
    }
}
impl fmt::Display for DigestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
serde_as_text!(DigestPrefix);

/// A plan. Approval binds to its digest, which covers all but the time it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub digest: Hash,
    pub made_at: Timestamp,
    pub subject: Subject,
    /// The restore point, in words.
    pub point: String,
    /// The account and region where it is all built anew, beside what is there: a fire drill. None: where it was. The
    /// steps name the resources that they are built after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<Scope>,
    pub steps: Vec<Step>,
    pub conflicts: Vec<Conflict>,
    /// What cannot come back.
    pub losses: Vec<Loss>,
    /// Quotas that stand in the way.
    #[serde(default)]
    pub blockers: Vec<Blocker>,
    /// What somebody else must do for it to work again.
    #[serde(default)]
    pub humans: Vec<Human>,
    /// Ids of what is made again, found in texts that are not rewritten; rows of the incident that stay; what never
    /// comes back of a kind.
    pub notes: std::collections::BTreeSet<String>,
    /// Writing calls on the longest chain of steps.
    pub chain_calls: u32,
    /// The least time that AWS's request budgets allow, in milliseconds.
    pub floor_ms: u64,
}
impl Plan {
    /// Resources that come back or are changed: what the receipt counts.
    pub fn resources(&self) -> std::collections::BTreeSet<&ResourceKey> {
        self.steps.iter().map(|s| &s.resource).collect()
    }
    /// The account and region in which a step acts on the resource.
    pub fn place<'a>(&'a self, key: &'a ResourceKey) -> &'a Scope {
        self.into.as_ref().unwrap_or(&key.scope)
    }
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
    /// Nothing is in conflict, skipped or beyond a quota: what `auto` may do unasked.
    pub fn is_clean(&self) -> bool {
        self.conflicts.is_empty() && self.blockers.is_empty() && self.steps.iter().all(|s| s.verb != Verb::Skip)
    }
    /// The same with what stands in its way.
    pub fn blocked_by(mut self, blockers: Vec<Blocker>) -> Self {
        self.blockers = blockers;
        self.seal()
    }
    fn seal(mut self) -> Self {
        let mut body = serde_json::json!({
            "subject": self.subject, "point": self.point, "steps": self.steps, "conflicts": self.conflicts, "losses": self.losses, "notes": self.notes,
        });
        body["format"] = 1.into();
        // Left out where empty, so that plans of before these members were there keep their digest.
        if !self.blockers.is_empty() {
            body["blockers"] = serde_json::json!(self.blockers);
        }
        if !self.humans.is_empty() {
            body["humans"] = serde_json::json!(self.humans);
        }
        if let Some(into) = &self.into {
            body["into"] = serde_json::json!(into);
        }
        self.digest = Hash::of(&body);
        self
    }
    /// Whether the digest is that of the content: a plan that was altered on the disk is not what was approved.
    pub fn is_intact(&self) -> bool {
        self.clone().seal().digest == self.digest
    }
}
