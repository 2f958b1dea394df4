//! The service itself on one screen; sweeps, labels, halts.
use super::{
    incident,
    page::{Mark, Page},
    values::{age, between, bytes, clock, count, exact, seconds},
};
use crate::{
    control::api::{Halted, Snapshots, Status},
    model::{Scope, Sweep, sweep::SweepCause},
    restore::RestoreState,
};

pub fn status(page: &mut Page<'_>, s: &Status) {
    let now = page.look().now;
    match (s.daemon, s.ready) {
        (_, true) => page.mark(0, Mark::Good, format_args!("rollbackd {}: ready", s.version)),
        (true, false) => page.mark(0, Mark::Trouble, format_args!("rollbackd {}: not ready yet", s.version)),
        (false, false) => page.mark(
            0,
            Mark::Trouble,
            format_args!("rollbackd {}: no daemon runs; this is what the store says", s.version),
        ),
    }
    if let Some(halted) = &s.halted {
        page.mark(0, Mark::Trouble, halt_text(halted));
    }
    for trouble in &s.troubles {
        incident::said(page, 0, trouble);
    }
    page.gap();
    let scopes: Vec<String> = s.scopes.iter().map(Scope::to_string).collect();
    page.field("Watching", if scopes.is_empty() { "nothing yet".to_owned() } else { scopes.join(", ") });
    match &s.last_sweep {
        None => page.field("Last sweep", "none"),
        Some(sweep) => {
            let when = sweep.ended.map_or_else(
                || format!("began {}, not ended", age(now, sweep.started)),
                |ended| format!("{} ({})", clock(ended), age(now, ended)),
            );
            page.field("Last sweep", format_args!("{when}: {}", sweep_counts(sweep)));
        }
    }
    let counts: Vec<String> = s.store.counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
    let unreadable = match s.store.unreadable_messages {
        0 => String::new(),
        n => format!("; {n} unreadable messages kept"),
    };
    let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    page.field("Store", format_args!("{}, {}{counts}{unreadable}", s.store.path, bytes(s.store.bytes)));

    if let Some(sweep) = s.last_sweep.as_ref().filter(|sweep| !sweep.errors.is_empty()) {
        sweep_errors(page, sweep);
    }
    if !s.sources.is_empty() {
        page.heading("Sources");
        let ago = |t: Option<_>| t.map_or("never".to_owned(), |t| age(now, t));
        let rows = s.sources.iter().map(|source| {
            vec![
                source.name.clone(),
                ago(source.last_poll),
                ago(source.last_record),
                source.lag_s.map_or("-".to_owned(), lag),
                source.error.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        });
        page.table(2, &["SOURCE", "POLLED", "LAST RECORD", "LAG", "ERROR"], 0, rows);
    }
    if !s.copies.is_empty() {
        page.heading("Copies of volumes");
        let rows = s.copies.iter().map(|c| {
            let newest = c.newest.map_or("none".to_owned(), |t| age(now, t));
            vec![c.rule.clone(), c.scope.to_string(), c.volumes.to_string(), newest]
        });
        page.table(2, &["TAG", "IN", "VOLUMES", "NEWEST COPY"], 0, rows);
    }
    if !s.incidents.is_empty() {
        page.heading("Incidents");
        incident::table(page, 2, &s.incidents);
    }
    if !s.restores.is_empty() {
        page.heading("Restores");
        let rows = s.restores.iter().map(|r| {
            let state = match r.state {
                RestoreState::Running => "running",
                RestoreState::Stopped => "stopped",
                RestoreState::Done => "done",
            };
            vec![
                r.id.clone(),
                r.plan.short().to_owned(),
                r.incident.as_ref().map_or("-".to_owned(), ToString::to_string),
                clock(r.started),
                state.to_owned(),
                r.by.to_string(),
            ]
        });
        page.table(2, &["RESTORE", "PLAN", "INCIDENT", "BEGAN", "STATE", "BY"], 4, rows);
        for r in s.restores.iter().filter(|r| r.state == RestoreState::Stopped) {
            page.next("To go on", format_args!("resume {}", r.id));
        }
    }
}
fn lag(s: f64) -> String {
    if s < 120.0 { format!("{s:.1} s") } else { seconds(s as u64) }
}

fn halt_text(h: &Halted) -> String {
    format!("Halted since {} by {}. Nothing starts by itself until `rollbackd unhalt`.", clock(h.at), h.by)
}
pub fn halted(page: &mut Page<'_>, h: &Halted) {
    page.line(0, halt_text(h));
}

fn sweep_counts(sweep: &Sweep) -> String {
    let sum = |of: fn(&crate::model::sweep::SweepCounts) -> u64| sweep.scopes.values().map(of).sum::<u64>();
    let errors = match sweep.errors.len() {
        0 => String::new(),
        n => format!("; {} could not be read", count(n, "kind")),
    };
    let unmapped = match sum(|c| c.unmapped) {
        0 => String::new(),
        n => format!("; {n} elements of answers are new to this version: kept, not restored"),
    };
    format!(
        "{} seen, {} changed, {} gone{errors}{unmapped}",
        count(usize::try_from(sum(|c| c.seen)).unwrap_or(usize::MAX), "resource"),
        sum(|c| c.changed),
        sum(|c| c.gone)
    )
}
fn sweep_errors(page: &mut Page<'_>, sweep: &Sweep) {
    page.heading("Could not be read (older versions stay)");
    for e in &sweep.errors {
        page.mark(2, Mark::Trouble, format_args!("{} in {}: {}", e.kind, e.scope, e.error));
    }
}
fn cause(cause: &SweepCause) -> String {
    match cause {
        SweepCause::Schedule => "schedule".to_owned(),
        SweepCause::Command => "command".to_owned(),
        SweepCause::Checkpoint { session, warning } => {
            let why = warning.map(|w| format!(", which {w}")).unwrap_or_default();
            format!("checkpoint of session {session}{why}")
        }
    }
}

/// What `snapshot` answers.
pub fn sweep(page: &mut Page<'_>, s: &Sweep) {
    match s.ended {
        Some(ended) => {
            let mark = if s.errors.is_empty() { Mark::Good } else { Mark::Trouble };
            page.mark(
                0,
                mark,
                format_args!("Snapshot {} in {}: {}", exact(ended), between(s.started, ended), sweep_counts(s)),
            );
        }
        None => page.mark(0, Mark::Trouble, format_args!("Snapshot cut short: {}", sweep_counts(s))),
    }
    if s.scopes.len() > 1 {
        page.gap();
        let rows = s
            .scopes
            .iter()
            .map(|(scope, c)| vec![scope.to_string(), c.seen.to_string(), c.changed.to_string(), c.gone.to_string()]);
        page.table(2, &["ACCOUNT AND REGION", "SEEN", "CHANGED", "GONE"], 1, rows);
    } else {
        for scope in s.scopes.keys() {
            page.field("In", scope);
        }
    }
    if !s.errors.is_empty() {
        sweep_errors(page, s);
    }
}

pub fn snapshots(page: &mut Page<'_>, s: &Snapshots) {
    if s.sweeps.is_empty() && s.labels.is_empty() {
        return page.line(0, "No snapshots yet; `rollbackd snapshot` takes one.");
    }
    let mut elsewhere = s.labels.clone();
    let mut rows = vec![];
    for sweep in &s.sweeps {
        let labels: Vec<&str> = s
            .labels
            .iter()
            .filter(|(_, t)| sweep.ended.is_some_and(|ended| ended == **t))
            .map(|(label, _)| label.as_str())
            .collect();
        elsewhere.retain(|label, _| !labels.contains(&label.as_str()));
        let sum = |of: fn(&crate::model::sweep::SweepCounts) -> u64| sweep.scopes.values().map(of).sum::<u64>();
        rows.push(vec![
            sweep.ended.map_or_else(|| format!("{} (not ended)", exact(sweep.started)), exact),
            sum(|c| c.seen).to_string(),
            sum(|c| c.changed).to_string(),
            sum(|c| c.gone).to_string(),
            sweep.errors.len().to_string(),
            cause(&sweep.cause),
            if labels.is_empty() { "-".to_owned() } else { labels.join(" ") },
        ]);
    }
    if !rows.is_empty() {
        page.table(0, &["ENDED", "SEEN", "CHANGED", "GONE", "ERRORS", "CAUSE", "LABELS"], 1, rows);
    }
    if !elsewhere.is_empty() {
        page.heading("Other labels");
        page.table(2, &["LABEL", "INSTANT"], 2, elsewhere.iter().map(|(l, t)| vec![l.clone(), exact(*t)]));
    }
}
