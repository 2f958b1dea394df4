//! A receipt: N of N restored, what differs and why, what did not come back, the new ids. And the lines before it.
use super::{
    page::{Look, Mark, Page},
    plan::{conflicts, humans, losses},
    values::{Things, between, clock, value},
};
use crate::restore::{
    Progress, Receipt,
    journal::StepState,
    receipt::{Item, Outcome},
};

pub fn receipt(page: &mut Page<'_>, r: &Receipt) {
    let keys = r.items.iter().map(|i| &i.resource).chain(r.losses.iter().map(|l| &l.resource));
    let things = Things::of(keys.chain(r.conflicts.iter().map(|c| &c.resource)));
    let took = between(r.started, r.ended);
    let mark = if r.is_whole() { Mark::Good } else { Mark::Trouble };
    page.mark(0, mark, format_args!("{} of {} restored in {took}: {}", r.restored, r.of, r.subject));
    page.field("To", &r.point);
    if !things.scopes().is_empty() {
        page.field("In", things.scopes());
    }
    if let Some(into) = &r.into {
        page.field("Into", into);
    }
    page.field("Restore", format_args!("{} of plan {}, ended {}", r.restore, r.plan.short(), clock(r.ended)));

    for (outcome, heading) in [
        (Outcome::Failed, "Failed"),
        (Outcome::Blocked, "Not tried, because what they need failed"),
        (Outcome::Skipped, "Not restored, as the plan said"),
        (Outcome::Differs, "There, but not as they were"),
        (Outcome::Restored, "Restored another way"),
    ] {
        let said = |i: &&Item| i.outcome == outcome && (outcome != Outcome::Restored || !i.differences.is_empty());
        let items: Vec<&Item> = r.items.iter().filter(said).collect();
        if items.is_empty() {
            continue;
        }
        page.heading(heading);
        for i in items {
            item(page, i, &things);
        }
    }
    losses(page, &r.losses, &things);
    conflicts(page, &r.conflicts, &things);
    humans(page, &r.humans, &things);
    new_ids(page, r);
    if r.terraform.is_some() {
        page.gap();
        page.next("For Terraform's state", format_args!("receipt {} --terraform", r.restore));
    }
    if r.items.iter().any(|i| matches!(i.outcome, Outcome::Failed | Outcome::Blocked)) {
        page.gap();
        page.next("To try again what failed", format_args!("resume {}", r.restore));
    }
}

fn item(page: &mut Page<'_>, i: &Item, things: &Things) {
    let thing = things.say(&i.resource, i.name.as_deref());
    let now = match &i.new_id {
        Some(id) if *id != i.resource.id => format!(", now {id}"),
        _ => String::new(),
    };
    let why = i.why.as_ref().map(|w| format!(": {w}")).unwrap_or_default();
    let mark = if i.outcome == Outcome::Restored { Mark::Good } else { Mark::Trouble };
    page.mark(2, mark, format_args!("{thing}{now}{why}"));
    for d in &i.differences {
        let c = &d.change;
        page.line(6, format_args!("{}: {} → {} ({})", c.path, value(&c.from), value(&c.to), d.why));
    }
}

fn new_ids(page: &mut Page<'_>, r: &Receipt) {
    let rows: Vec<Vec<String>> = r
        .items
        .iter()
        .filter_map(|i| Some((i, i.new_id.as_ref().filter(|id| **id != i.resource.id)?)))
        .map(|(i, id)| {
            vec![
                i.resource.kind.to_string(),
                i.resource.id.clone(),
                id.clone(),
                i.name.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        })
        .collect();
    if !rows.is_empty() {
        page.heading("New ids");
        page.table(2, &["KIND", "WAS", "IS", "NAME"], 3, rows);
    }
}

/// The line of one step: how it ended; when `all` is set, every change of state.
pub fn progress(p: &Progress, name: Option<&str>, all: bool, look: &Look) -> Option<String> {
    let ended = matches!(p.state, StepState::Done | StepState::Failed | StepState::Blocked | StepState::Skipped);
    if !ended && !all {
        return None;
    }
    let digits = p.of.to_string().len();
    let thing = Things::of([]).say(&p.resource, name);
    let to = match &p.new_id {
        Some(id) if *id != p.resource.id => format!(" → {id}"),
        _ => String::new(),
    };
    let state = if p.state == StepState::Done { String::new() } else { format!(": {}", p.state) };
    let why = p.why.as_ref().map(|w| format!(", {w}")).unwrap_or_default();
    let mark = match p.state {
        StepState::Failed | StepState::Blocked => Mark::Trouble,
        _ => p.verb.mark(),
    };
    let mut page = Page::new(look);
    let text = format!("{:<8}  {thing}{to}{state}{why}", p.verb);
    page.marked(&format!("[{:>digits$}/{}] ", p.step, p.of), 0, mark, &text);
    Some(page.text())
}
