//! Versions of resources: one, all of one, and what differs between two instants.
use super::{
    page::{Mark, Page},
    values::{Things, changes, clock, count, exact, tree},
};
use crate::{
    control::api::{Difference, DifferenceKind, History},
    model::{Cause, State, Version},
};
use serde_json::Value;

fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Sweep { sweep } => format!("sweep of {}", clock(*sweep)),
        Cause::Record { event } => format!("record {event}"),
        Cause::Checkpoint { session } => format!("checkpoint of session {session}"),
        Cause::Restore { restore } => format!("restore {restore}"),
        Cause::Plan => "read for a plan".to_owned(),
    }
}

pub fn history(page: &mut Page<'_>, h: &History) {
    let name = h.versions.iter().find_map(|l| l.version.name());
    page.title(Things::of([&h.resource]).say(&h.resource, name));
    page.field("In", &h.resource.scope);
    if h.versions.is_empty() {
        page.gap();
        return page.line(0, "No versions.");
    }
    let oldest = h.versions.len() - 1;
    for (i, line) in h.versions.iter().enumerate() {
        let v = &line.version;
        let id = if v.key.id == h.resource.id { String::new() } else { format!(" as {}", v.key.id) };
        let (mark, what) = match (&v.state, i == oldest) {
            (State::Gone, _) => (Mark::Gone, "gone"),
            (_, true) => (Mark::Add, "first seen"),
            _ if line.changes.is_empty() => (Mark::Same, "unchanged"),
            _ => (Mark::Change, "changed"),
        };
        page.gap();
        page.mark(0, mark, format_args!("{}  {what}{id}, by {}", exact(v.captured_at), cause(&v.cause)));
        if v.seen_at > v.captured_at {
            page.faint(2, format_args!("seen so until {}", exact(v.seen_at)));
        }
        // The first version's changes are all of it, and so are those of what is gone: `show` has them.
        if i != oldest && !v.is_gone() {
            changes(page, 4, &line.changes, &str::to_owned);
        }
    }
    page.gap();
    page.line(0, format_args!("`rollbackd show {}@INSTANT` shows one whole.", h.resource.id));
}

pub fn show(page: &mut Page<'_>, v: &Version) {
    page.title(Things::of([&v.key]).say(&v.key, v.name()));
    page.field("In", &v.key.scope);
    page.field("Captured", format_args!("{}, by {}", exact(v.captured_at), cause(&v.cause)));
    if v.seen_at > v.captured_at {
        page.field("Seen until", exact(v.seen_at));
    }
    let State::Present { spec, unmapped, aliases, .. } = &v.state else {
        page.gap();
        return page.mark(
            0,
            Mark::Gone,
            "It is gone: a complete listing lacked it, and a direct read did not find it.",
        );
    };
    if !aliases.is_empty() {
        page.field("Aliases", aliases.iter().map(|a| a.0.as_str()).collect::<Vec<_>>().join(", "));
    }
    page.gap();
    tree(page, 2, spec);
    if *unmapped != Value::Null {
        page.heading("Kept, but not understood by this version, and not put back");
        tree(page, 2, unmapped);
    }
}

pub fn diff(page: &mut Page<'_>, differences: &[Difference]) {
    if differences.is_empty() {
        return page.line(0, "No differences.");
    }
    let things = Things::of(differences.iter().map(|d| &d.resource));
    let mut counts = [0; 3];
    for d in differences {
        let (mark, n) = match d.what {
            DifferenceKind::Added => (Mark::Add, 0),
            DifferenceKind::Changed => (Mark::Change, 1),
            DifferenceKind::Gone => (Mark::Gone, 2),
        };
        counts[n] += 1;
        page.mark(0, mark, things.say(&d.resource, d.name.as_deref()));
        if d.what == DifferenceKind::Changed {
            changes(page, 4, &d.changes, &str::to_owned);
        }
    }
    let [added, changed, gone] = counts;
    page.gap();
    page.line(
        0,
        format_args!(
            "{} in {}: {added} added, {changed} changed, {gone} gone.",
            count(differences.len(), "difference"),
            things.scopes()
        ),
    );
}
