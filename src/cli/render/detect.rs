//! What detection makes of records, and what policies would have made of the past.
use super::{
    incident::short_actor,
    page::{Mark, Page},
    values::{clock, count},
};
use crate::{
    detect::{
        actions::name_of,
        explain::{Explained, Explanation},
        signs,
    },
    model::{
        Incident,
        actor::Verdict,
        incident::{IncidentKind, Target},
    },
    respond::replay::{Replay, Replayed, Would},
    trail::decode::Unreadable,
};

pub fn explanation(page: &mut Page<'_>, all: &Explanation, unreadable: &[Unreadable], ignored: &[String]) {
    for record in &all.records {
        one(page, record, &all.incidents);
        page.gap();
    }
    for u in unreadable {
        page.mark(0, Mark::Trouble, format_args!("{}: {}", u.origin, u.why));
    }
    for why in ignored {
        page.mark(0, Mark::Skip, why);
    }
    for incident in &all.incidents {
        let what = match incident.kind {
            IncidentKind::Blinding => "rollbackd is blinded",
            IncidentKind::Loss => "things are lost or changed",
        };
        let calls = count(incident.acts.len(), "call");
        page.mark(0, Mark::Trouble, format_args!("Incident {}: {what}, {calls}, by {}", incident.id, incident.actor));
    }
    for alarm in &all.alarms {
        let says = format!("Alarm: {} by {}, who is no agent by these rules", alarm.act.name, alarm.actor);
        page.mark(0, Mark::Trouble, says);
    }
    let not = if unreadable.is_empty() { String::new() } else { format!("; {} cannot be read", unreadable.len()) };
    page.line(
        0,
        format_args!("{}, {}{not}.", count(all.records.len(), "record"), count(all.incidents.len(), "incident")),
    );
}

fn one(page: &mut Page<'_>, r: &Explained, incidents: &[Incident]) {
    let service = r.source.strip_suffix(".amazonaws.com").unwrap_or(&r.source);
    page.title(format_args!("{} {service}:{} in {}", clock(r.time), r.call, r.scope));
    page.field("Event", &r.event);
    let parent = r.parent.as_ref().map(|p| format!(", opened by {p}")).unwrap_or_default();
    page.field("Actor", format_args!("{}, session {}{parent}", r.actor, r.session));
    page.field("Agent", agent(r));
    let effect = match &r.error {
        Some(error) => format!(", without effect: {error}"),
        None => String::new(),
    };
    page.field("Class", r.class.map_or_else(|| "none".to_owned(), |class| format!("{class}{effect}")));
    if r.class.is_some() {
        let none = "none named: the record does not say".to_owned();
        page.field("Targets", if r.targets.is_empty() { none } else { targets(&r.targets) });
    }
    if !r.made.is_empty() {
        page.field("Made", targets(&r.made));
    }
    if let Some(warning) = r.warning {
        page.field("Warns", format_args!("it {warning}: an agent's session gets a checkpoint"));
    }
    if r.blinds {
        page.field("Blinds", format_args!("rollbackd may see or do less; by hand: {}", signs::cure(&r.call)));
    }
    if let Some(id) = &r.incident {
        let kind = incidents.iter().find(|i| i.id == *id).map(|i| i.kind);
        let blinding = if kind == Some(IncidentKind::Blinding) { ", before all others" } else { "" };
        page.field("Incident", format_args!("{id}{blinding}"));
    }
}

fn agent(r: &Explained) -> String {
    match &r.agent {
        Some(verdict) => because(verdict),
        None if r.own => "no: it is rollbackd itself".to_owned(),
        None => "no: no rule matches it".to_owned(),
    }
}
fn because(v: &Verdict) -> String {
    let from = v.inherited_from.as_ref().map(|f| format!(", inherited from {f}")).unwrap_or_default();
    let says = if v.is_suspicion() { "perhaps" } else { "yes" };
    format!("{says}, by rule `{}`: {} is `{}`{from}", v.rule, v.field, v.value)
}

/// Targets with their kinds, as far as these are known.
fn targets(all: &[Target]) -> String {
    let say = |t: &Target| match t {
        Target::Resource(key) => format!("{} {}", key.kind, key.id),
        Target::Named { kind: Some(kind), name } => format!("{kind} {name}"),
        Target::Named { kind: None, .. } => name_of(t).to_owned(),
    };
    all.iter().map(say).collect::<Vec<_>>().join(", ")
}

pub fn replay(page: &mut Page<'_>, r: &Replay) {
    page.title(format_args!("Replay from {} to {}", clock(r.from), clock(r.to)));
    page.field("Records", r.records);
    page.field("Sessions", format_args!("{}, {} of agents", r.sessions, r.agents));
    page.gap();
    for alarm in &r.alarms {
        let says = format!("{} {} by {}: an alarm, no incident", clock(alarm.time), alarm.call, alarm.actor);
        page.mark(0, Mark::Trouble, says);
    }
    if r.incidents.is_empty() {
        return page.line(0, "No incident: nothing would have been done.");
    }
    let rows = r.incidents.iter().map(|i| {
        let calls: Vec<String> = i.calls.iter().map(|(class, n)| format!("{n} {class}")).collect();
        let verdict = i.verdict.as_ref().map_or("-".to_owned(), |v| format!("{} ({})", v.rule, v.field));
        vec![
            i.id.to_string(),
            clock(i.first),
            short_actor(&i.actor).to_owned(),
            verdict,
            calls.join(", "),
            format!("{} + {}", i.restorable, i.beyond),
            i.policy.clone(),
            would(i),
        ]
    });
    page.table(0, &["ID", "FIRST CALL", "ACTOR", "RULE", "CALLS", "NAMED", "POLICY", "WOULD"], 2, rows);
    page.gap();
    page.line(0, "NAMED: things that its calls name, of kinds that can be restored + others.");
}

fn would(i: &Replayed) -> String {
    match &i.would {
        Would::Report if i.kind == IncidentKind::Blinding => "tell first: rollbackd is blinded".to_owned(),
        Would::Report => "report".to_owned(),
        Would::Ask { because: None } => "plan and wait for approval".to_owned(),
        Would::Ask { because: Some(why) } => format!("plan and wait for approval: {why}"),
        Would::Restore { at } => {
            format!("restore by itself from {}, if nothing is lost and nothing conflicts", clock(*at))
        }
    }
}
