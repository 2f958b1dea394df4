//! The receipt of a restore: what came back, each remaining difference and why, and what did not. JSON contract.
use crate::{
    model::{Hash, IncidentId, ResourceKey, Scope, Timestamp},
    plan::{Change, Conflict, Human, Loss, Subject, Verb},
};
use serde::{Deserialize, Serialize};

/// How a resource ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Read back equal, but for what only tells how it was put back.
    Restored,
    /// There, with differences.
    Differs,
    Failed,
    /// A step that it needs did not succeed.
    Blocked,
    Skipped,
}

/// One member that is not as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// `from` is what is there, `to` what was wanted.
    #[serde(flatten)]
    pub change: Change,
    pub why: String,
}

/// One resource of a receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub resource: ResourceKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The id it has now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_id: Option<String>,
    pub verbs: Vec<Verb>,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What a restore ends in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub restore: String,
    pub plan: Hash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    pub subject: Subject,
    pub point: String,
    /// Where it was built, if elsewhere than the resources are: the new ids are of this account and region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<Scope>,
    pub started: Timestamp,
    pub ended: Timestamp,
    /// Read back equal, of all that the plan named.
    pub restored: usize,
    pub of: usize,
    pub items: Vec<Item>,
    pub losses: Vec<Loss>,
    pub conflicts: Vec<Conflict>,
    /// What somebody else must do for it to work again.
    #[serde(default)]
    pub humans: Vec<Human>,
    /// Blocks that tell Terraform the new ids; none where no id changed that it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform: Option<String>,
}
impl Receipt {
    /// Everything is as it was: exit code 0; else 3.
    pub fn is_whole(&self) -> bool {
        self.restored == self.of && self.losses.is_empty() && self.conflicts.is_empty()
    }
}
