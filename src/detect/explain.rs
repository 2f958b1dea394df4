//! What was made of each record, and why: for people who want to know what rules do before they rely on them.
use super::{
    actions,
    incident::{AddsOpen, Alarm, State},
    signs,
};
use crate::model::{
    EventId, Incident, IncidentId, Record, Scope, SessionId, Timestamp,
    actor::Verdict,
    incident::{Class, Target, Warning},
};
use serde::Serialize;

/// One record, as detection sees it with all the others known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    pub event: EventId,
    pub time: Timestamp,
    pub source: String,
    pub call: String,
    pub scope: Scope,
    /// Who: ARN, or the next best that the record has.
    pub actor: String,
    /// The session that the call counts for; another than the record's own where a service called for it.
    pub session: SessionId,
    /// The session that assumed this one's role.
    pub parent: Option<SessionId>,
    /// Why it counts as an agent's; `None`: no rule matches it, nor any session that it came from.
    pub agent: Option<Verdict>,
    /// rollbackd's own session, which never counts as an agent's.
    pub own: bool,
    /// `None`: it neither takes away nor adds.
    pub class: Option<Class>,
    pub targets: Vec<Target>,
    /// What it made.
    pub made: Vec<Target>,
    /// Why it took no effect.
    pub error: Option<String>,
    /// It often comes before a fatal call: a checkpoint is taken.
    pub warning: Option<Warning>,
    /// rollbackd may see or do less because of it.
    pub blinds: bool,
    /// The incident that it is part of.
    pub incident: Option<IncidentId>,
}

/// All that detection makes of some records.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// In the order given.
    pub records: Vec<Explained>,
    pub incidents: Vec<Incident>,
    /// Calls that blind rollbackd, by whoever is no agent.
    #[serde(serialize_with = "acts")]
    pub alarms: Vec<Alarm>,
}
fn acts<S: serde::Serializer>(alarms: &[Alarm], s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(alarms.iter().map(|a| serde_json::json!({ "act": a.act, "actor": a.actor })))
}

/// Feeds the records to `state`, which is new, and says what it makes of each.
pub fn explain(mut state: State, records: &[Record], now: Timestamp, adds_open: AddsOpen<'_>) -> Explanation {
    records.iter().for_each(|record| _ = state.feed(record));
    let incidents = state.incidents(now, &[], adds_open).changed;
    let one = |record: &Record| {
        let action = actions::classify(record);
        let event = record.addendum_of.as_ref().unwrap_or(&record.id);
        let found = incidents.iter().find_map(|i| Some((i, i.acts.iter().find(|a| a.event == *event)?)));
        let id = found.map_or(&record.session, |(_, act)| &act.session);
        let session = state.session(id);
        Explained {
            event: record.id.clone(),
            time: record.time,
            source: record.source.clone(),
            call: record.name.clone(),
            scope: record.scope.clone(),
            actor: record.actor.to_string(),
            session: id.clone(),
            parent: session.as_ref().and_then(|s| s.parent.clone()),
            agent: session.and_then(|s| s.agent),
            own: state.rules().is_own(&record.actor),
            class: action.class,
            made: actions::made(record),
            error: record.error.clone().or_else(|| action.refused.then(|| super::incident::NOTHING_DONE.to_owned())),
            warning: signs::warning(record, &action),
            blinds: signs::blinds(record, &action, state.own()),
            incident: found.map(|(i, _)| i.id.clone()),
            targets: action.targets,
        }
    };
    let explained = records.iter().map(one).collect();
    let first = records.iter().map(|r| r.time).min().unwrap_or(now);
    Explanation { records: explained, alarms: state.alarms(first), incidents }
}
