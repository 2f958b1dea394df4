//! Incidents: the list, and one with who, what, and what to do next.
use super::{
    page::{Mark, Page},
    values::{Things, age, clock, count},
};
use crate::{
    control::api::IncidentLine,
    detect::actions::name_of,
    model::{
        Incident, IncidentState, SessionId,
        incident::{Act, Addition, IncidentKind, Involved, Reached, Recreated, Touched},
    },
};
use std::collections::BTreeSet;

/// Calls that the page of one incident lists; all are in the JSON.
const CALLS_SHOWN_MAX: usize = 200;

pub fn list(page: &mut Page<'_>, lines: &[IncidentLine]) {
    if lines.is_empty() {
        return page.line(0, "No incidents.");
    }
    table(page, 0, lines);
    page.gap();
    page.line(0, "`rollbackd incidents ID` shows one whole, with what to do next.");
}

/// After approve or reject: what the incident is now, and how to go on.
pub fn decided(page: &mut Page<'_>, line: &IncidentLine) {
    page.line(0, format_args!("Incident {} is {} now.", line.id, line.state));
    page.line(0, format_args!("`rollbackd incidents {}` shows it.", line.id));
    if line.state == IncidentState::Restoring {
        page.line(0, "`rollbackd halt` stops it between two steps.");
    }
}

pub fn table(page: &mut Page<'_>, indent: usize, lines: &[IncidentLine]) {
    let now = page.look().now;
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|l| {
            let starts = l.starts_at.map(|t| format!(", starts {}", age(now, t))).unwrap_or_default();
            vec![
                l.id.to_string(),
                l.plan.as_ref().map_or("-".to_owned(), |p| p.short().to_owned()),
                clock(l.last),
                format!("{}{starts}", l.state),
                l.destroyed.to_string(),
                l.lost.len().to_string(),
                l.changed.len().to_string(),
                l.made.len().to_string(),
                short_actor(&l.actor).to_owned(),
            ]
        })
        .collect();
    let header = ["ID", "PLAN", "LAST CALL", "STATE", "CALLS", "LOST", "CHANGED", "MADE", "ACTOR"];
    page.table(indent, &header, 3, rows);
    for l in lines {
        if l.kind == IncidentKind::Blinding {
            page.mark(
                indent,
                Mark::Trouble,
                format_args!("{}: an agent blinds rollbackd; look at this one first", l.id),
            );
        }
        if let Some(trouble) = &l.trouble {
            said(page, indent, &format!("{}: {trouble}", l.id));
        }
    }
}

/// An ARN without what all ARNs of an account share.
pub fn short_actor(arn: &str) -> &str {
    if arn.starts_with("arn:") { arn.splitn(6, ':').nth(5).unwrap_or(arn) } else { arn }
}

/// A message that may have several lines.
pub fn said(page: &mut Page<'_>, indent: usize, text: &str) {
    let mut lines = text.lines();
    page.mark(indent, Mark::Trouble, lines.next().unwrap_or_default());
    lines.for_each(|l| page.lines(indent + 2, l));
}

pub fn one(page: &mut Page<'_>, i: &Incident) {
    let all = i.lost.iter().chain(&i.changed).chain(&i.made).map(|t| &t.resource);
    let things = Things::of(all);
    let blinding = if i.kind == IncidentKind::Blinding { ", rollbackd is blinded" } else { "" };
    page.title(format_args!("Incident {}: {}{blinding}", i.id, i.state));
    page.field("Actor", &i.actor);
    let now = page.look().now;
    page.field("First call", format_args!("{} ({})", clock(i.first), age(now, i.first)));
    let open = if i.closed { "no more are expected" } else { "more may come" };
    page.field("Last call", format_args!("{} ({}; {open})", clock(i.last), age(now, i.last)));
    if !things.scopes().is_empty() {
        page.field("In", things.scopes());
    }
    if let Some(plan) = &i.plan {
        page.field("Plan", plan.short());
    }
    if let Some(restore) = &i.restore {
        page.field("Restore", restore);
    }

    page.heading("Sessions");
    lineage(page, &i.sessions);
    touched(page, "Lost", Mark::Gone, &i.lost, &things);
    touched(page, "Changed", Mark::Change, &i.changed, &things);
    touched(page, "Made meanwhile (a restore leaves it alone)", Mark::Add, &i.made, &things);
    pairs(page, &i.recreated, &things);
    additions(page, &i.added);
    reached(page, &i.reached, &things);
    if !i.beyond.is_empty() {
        page.heading("Beyond: no snapshot knows it, or no kind can restore it");
        i.beyond.iter().for_each(|b| page.mark(2, Mark::Skip, b));
    }
    calls(page, &i.acts);
    if let Some(trouble) = &i.trouble {
        page.heading("Trouble");
        said(page, 2, trouble);
    }
    next(page, i);
}

fn lineage(page: &mut Page<'_>, sessions: &[Involved]) {
    let known: BTreeSet<&SessionId> = sessions.iter().map(|s| &s.session).collect();
    let mut shown = BTreeSet::new();
    let is_root = |s: &&Involved| !s.parent.as_ref().is_some_and(|p| known.contains(p) && *p != s.session);
    for root in sessions.iter().filter(is_root) {
        branch(page, root, sessions, 0, &mut shown);
    }
    // Sessions whose parents form a ring have no root; none may be lost.
    for rest in sessions {
        branch(page, rest, sessions, 0, &mut shown);
    }
}
fn branch<'i>(
    page: &mut Page<'_>,
    s: &'i Involved,
    all: &'i [Involved],
    depth: usize,
    shown: &mut BTreeSet<&'i SessionId>,
) {
    if !shown.insert(&s.session) {
        return;
    }
    let arrow = if depth == 0 { "" } else { "└ " };
    page.line(2 + 2 * depth, format_args!("{arrow}{}  {}", s.session, s.actor));
    if let Some(v) = &s.verdict {
        let from = v.inherited_from.as_ref().map(|f| format!(", inherited from {f}")).unwrap_or_default();
        // Any client may set its user agent: people judge, and nothing is restored unasked.
        let says = if v.is_suspicion() { "perhaps an agent" } else { "agent" };
        page.faint(6 + 2 * depth, format_args!("{says} by rule `{}`: {} is `{}`{from}", v.rule, v.field, v.value));
    }
    for child in all.iter().filter(|c| c.parent.as_ref() == Some(&s.session)) {
        branch(page, child, all, depth + 1, shown);
    }
}

fn touched(page: &mut Page<'_>, heading: &str, mark: Mark, all: &[Touched], things: &Things) {
    if all.is_empty() {
        return;
    }
    page.heading(format_args!("{heading}: {}", all.len()));
    for t in all {
        page.mark(2, mark, things.say(&t.resource, t.name.as_deref()));
    }
}

/// What was deleted and made again, as the agent sees it: another id, and not what was there.
fn pairs(page: &mut Page<'_>, pairs: &[Recreated], things: &Things) {
    if pairs.is_empty() {
        return;
    }
    page.heading(format_args!("Lost and made again by the agent: {}", pairs.len()));
    for pair in pairs {
        page.mark(2, Mark::Change, format_args!("{} → {}", things.say(&pair.lost, None), pair.made.id));
    }
}

fn additions(page: &mut Page<'_>, added: &[Addition]) {
    if added.is_empty() {
        return;
    }
    page.heading(format_args!("Added to what exists (a restore leaves it): {}", added.len()));
    for a in added.iter().take(CALLS_SHOWN_MAX) {
        let to: Vec<&str> = a.to.iter().map(name_of).collect();
        let what = if a.what.is_empty() { String::new() } else { format!(": {}", a.what) };
        page.mark(2, Mark::Add, format_args!("{} {} {}{what}", clock(a.time), a.call, to.join(" ")));
        if let Some(undo) = &a.undo {
            page.faint(6, format_args!("{undo} takes it away again"));
        }
    }
    if added.len() > CALLS_SHOWN_MAX {
        page.line(2, format_args!("… and {} more; `--output json` has all", added.len() - CALLS_SHOWN_MAX));
    }
}

fn reached(page: &mut Page<'_>, all: &[Reached], things: &Things) {
    if all.is_empty() {
        return;
    }
    page.heading(format_args!("Survived, and depended on what was lost: {}", all.len()));
    for r in all.iter().take(CALLS_SHOWN_MAX) {
        let thing = things.say(&r.resource, r.name.as_deref());
        page.mark(2, Mark::Trouble, format_args!("{thing}, through {}", r.through.id));
    }
    if all.len() > CALLS_SHOWN_MAX {
        page.line(2, format_args!("… and {} more; `--output json` has all", all.len() - CALLS_SHOWN_MAX));
    }
}

fn calls(page: &mut Page<'_>, acts: &[Act]) {
    let failed = acts.iter().filter(|a| a.error.is_some()).count();
    let failed = if failed == 0 { String::new() } else { format!(", {failed} of them without effect") };
    page.heading(format_args!("{}{failed}", count(acts.len(), "call")));
    let rows = acts.iter().take(CALLS_SHOWN_MAX).map(|a| {
        let mut targets: Vec<&str> = a.targets.iter().map(name_of).collect();
        targets.dedup();
        vec![
            clock(a.time),
            a.name.clone(),
            a.class.to_string(),
            targets.join(" "),
            a.error.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    });
    page.table(2, &["TIME", "CALL", "CLASS", "TARGETS", "ERROR"], 3, rows);
    for a in acts.iter().take(CALLS_SHOWN_MAX) {
        if let Some(warning) = a.warning {
            page.mark(2, Mark::Trouble, format_args!("Early warning at {}: {} {warning}", clock(a.time), a.name));
        }
    }
    if acts.len() > CALLS_SHOWN_MAX {
        page.line(2, format_args!("… and {} more; `--output json` has all", acts.len() - CALLS_SHOWN_MAX));
    }
}

fn next(page: &mut Page<'_>, i: &Incident) {
    let plan = i.plan.as_ref().map(|p| p.short());
    page.gap();
    match (i.state, plan) {
        (IncidentState::AwaitingApproval, Some(plan)) => {
            page.next("To look at it", format_args!("plan {plan}"));
            page.next("To approve", format_args!("approve {plan}"));
            page.next("To reject", format_args!("reject {plan}"));
        }
        (IncidentState::Planned | IncidentState::Observed, Some(plan)) if i.kind == IncidentKind::Blinding => {
            page.next("To settle it, once it is undone", format_args!("reject {plan}"));
        }
        (IncidentState::Restoring, _) => page.next("To stop it", "halt"),
        (IncidentState::Restored, _) => page.line(2, "Nothing is left to do."),
        (IncidentState::PartlyRestored, _) => {
            if let Some(restore) = &i.restore {
                page.next("To try again what failed", format_args!("resume {restore}"));
            }
            page.next("To plan what is left", format_args!("plan {}", i.id));
        }
        (IncidentState::Planned, Some(plan)) => {
            page.next("To look at it", format_args!("plan {plan}"));
            page.next("To restore", format_args!("restore {plan}"));
        }
        _ => page.next("To plan a restore", format_args!("plan {}", i.id)),
    }
}
