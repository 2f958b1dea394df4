//! Sweeps: passes that capture all resources of a scope, with what they found and what they could not read.
use super::{KindName, Scope, SessionId, Timestamp, incident::Warning};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Why a sweep was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum SweepCause {
    /// Its time had come.
    Schedule,
    /// Somebody asked for it.
    Command,
    /// An agent's session was first seen, or did what often comes before a fatal call.
    Checkpoint {
        session: SessionId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warning: Option<Warning>,
    },
}

/// What a sweep found in one scope, as numbers of resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepCounts {
    pub seen: u64,
    /// Of these, new or with another spec than before.
    pub changed: u64,
    /// Became tombstones.
    pub gone: u64,
    /// Elements of the answers that no table knows: kept beside the specs, and never restored.
    #[serde(default)]
    pub unmapped: u64,
}

/// A kind that could not be read in a scope: nothing of it becomes a tombstone by this sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepError {
    pub scope: Scope,
    pub kind: KindName,
    pub error: String,
}

/// One sweep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// When it began; also its id: versions that it captured say so in their cause.
    pub started: Timestamp,
    /// None while it runs, and for ever when it was cut short.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    #[serde(flatten)]
    pub cause: SweepCause,
    /// Every scope that it set out to read.
    pub scopes: BTreeMap<Scope, SweepCounts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<SweepError>,
}
impl Sweep {
    /// It read all of a kind in a scope: what it did not find there may be looked at as gone.
    pub fn complete(&self, scope: &Scope, kind: &KindName) -> bool {
        self.ended.is_some()
            && self.scopes.contains_key(scope)
            && !self.errors.iter().any(|e| e.scope == *scope && e.kind == *kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_complete_only_for_what_it_could_read() {
        let scope: Scope = "aws/111122223333/eu-west-1".parse().unwrap();
        let other: Scope = "aws/111122223333/eu-west-2".parse().unwrap();
        let (vpc, subnet): (KindName, KindName) = ("ec2:vpc".parse().unwrap(), "ec2:subnet".parse().unwrap());
        let mut sweep = Sweep {
            started: Timestamp::UNIX_EPOCH,
            ended: None,
            cause: SweepCause::Schedule,
            scopes: [(scope.clone(), SweepCounts { seen: 2, changed: 1, gone: 0, unmapped: 0 })].into(),
            errors: vec![SweepError { scope: scope.clone(), kind: subnet.clone(), error: "denied".into() }],
        };
        assert!(!sweep.complete(&scope, &vpc));
        sweep.ended = Some(Timestamp::UNIX_EPOCH);
        assert!(sweep.complete(&scope, &vpc));
        assert!(!sweep.complete(&scope, &subnet) && !sweep.complete(&other, &vpc));
        let text = serde_json::to_string(&sweep).unwrap();
        assert_eq!(serde_json::from_str::<Sweep>(&text).unwrap(), sweep);
    }
}
