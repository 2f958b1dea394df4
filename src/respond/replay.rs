//! A policy run over the past: what it would have done with records that are known. What detection sees and the policy
//! decides is told; what a plan would have held is not, since that was never looked at.
use crate::{
    config::{Config, Mode},
    detect::incident::State as Detection,
    kinds::registry,
    model::{
        EventId, Incident, IncidentId, Timestamp,
        actor::Verdict,
        incident::{Class, IncidentKind, Target},
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What would have become of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "would", rename_all = "kebab-case")]
pub enum Would {
    /// It was reported, and nothing else.
    Report,
    /// A plan waited for approval.
    Ask {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
    },
    /// The restore began by itself, unless the plan lost something or met a conflict.
    Restore { at: Timestamp },
}

/// One incident of the past, and what the policy would have made of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replayed {
    pub id: IncidentId,
    pub kind: IncidentKind,
    pub actor: String,
    /// Why it counts as an agent's.
    pub verdict: Option<Verdict>,
    pub first: Timestamp,
    pub last: Timestamp,
    /// Calls that took effect, by class.
    pub calls: BTreeMap<Class, usize>,
    /// Calls that did not.
    pub failed: usize,
    /// Things that destructive calls name, of kinds that rollbackd restores, and others.
    pub restorable: usize,
    pub beyond: usize,
    pub policy: String,
    #[serde(flatten)]
    pub would: Would,
}

/// A call of the past that blinded rollbackd, by whoever is no agent by these rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blinded {
    pub event: EventId,
    pub time: Timestamp,
    pub call: String,
    pub actor: String,
}

/// `rollbackd replay`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    pub from: Timestamp,
    pub to: Timestamp,
    pub records: u64,
    pub sessions: usize,
    /// Of these, agents'.
    pub agents: usize,
    pub incidents: Vec<Replayed>,
    pub alarms: Vec<Blinded>,
}

/// What these settings would have done, from a detection by them that was fed the records from `from` to `to`.
pub fn replay(config: &Config, detection: &Detection, records: u64, from: Timestamp, to: Timestamp) -> Replay {
    let found = detection.incidents(to, &[], &|scope| config.policy(scope).open_on_add).changed;
    let alarms = detection.alarms(from).into_iter().map(|alarm| Blinded {
        event: alarm.act.event,
        time: alarm.act.time,
        call: alarm.act.name,
        actor: alarm.actor.to_string(),
    });
    Replay {
        from,
        to,
        records,
        sessions: detection.size().1,
        agents: detection.agents().count(),
        incidents: found.iter().map(|incident| replayed(config, incident)).collect(),
        alarms: alarms.collect(),
    }
}

fn replayed(config: &Config, incident: &Incident) -> Replayed {
    let mut calls: BTreeMap<Class, usize> = BTreeMap::new();
    let mut lost: BTreeSet<&Target> = BTreeSet::new();
    for act in incident.acts.iter().filter(|a| a.error.is_none()) {
        *calls.entry(act.class).or_default() += 1;
        lost.extend(act.targets.iter().filter(|_| act.destroyed()));
    }
    let known = |target: &&&Target| match target {
        Target::Resource(key) => registry::kind(&key.kind).is_some(),
        Target::Named { kind, .. } => kind.as_ref().is_some_and(|kind| registry::kind(kind).is_some()),
    };
    let restorable = lost.iter().filter(known).count();
    // As the daemon does: the policy of the first act's account and region.
    let policy = incident.acts.first().map(|act| config.policy(&act.scope).into_owned()).unwrap_or_default();
    let doubt = if incident.is_suspicion() {
        Some("only the user agent calls it an agent".to_owned())
    } else if restorable > policy.resources_max {
        Some(format!("{restorable} resources are more than resources_max = {}", policy.resources_max))
    } else {
        None
    };
    let would = match policy.mode {
        Mode::Observe => Would::Report,
        // There is no restore of a trail, nor of what no kind of ours knows.
        _ if incident.kind == IncidentKind::Blinding || restorable == 0 => Would::Report,
        Mode::Approve => Would::Ask { because: None },
        Mode::Auto if doubt.is_some() => Would::Ask { because: doubt },
        Mode::Auto => Would::Restore { at: incident.last + policy.grace },
    };
    Replayed {
        id: incident.id.clone(),
        kind: incident.kind,
        actor: incident.actor.to_string(),
        verdict: incident.sessions.first().and_then(|s| s.verdict.clone()),
        first: incident.first,
        last: incident.last,
        calls,
        failed: incident.acts.iter().filter(|a| a.error.is_some()).count(),
        restorable,
        beyond: lost.len() - restorable,
        policy: policy.name,
        would,
    }
}
