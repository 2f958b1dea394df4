//! A plan: steps in order, what changes on survivors, conflicts, what does not come back, what to type next.
use super::{
    page::{Mark, Page},
    values::{Things, changes, clock, count, milliseconds, value},
};
use crate::{
    model::ResourceKey,
    plan::{Blocker, Conflict, Human, Loss, Plan, Step, Verb},
};
use std::collections::{BTreeMap, BTreeSet};

impl Verb {
    pub(super) fn mark(self) -> Mark {
        match self {
            Self::Claim => Mark::Claim,
            Self::Create => Mark::Add,
            Self::Adopt => Mark::Same,
            Self::Link | Self::Converge | Self::Rewire => Mark::Change,
            Self::Skip => Mark::Skip,
        }
    }
}

pub fn plan(page: &mut Page<'_>, plan: &Plan) {
    let things = Things::of(plan.steps.iter().map(|s| &s.resource).chain(plan.conflicts.iter().map(|c| &c.resource)));
    page.title(format_args!("Plan {} of {}", plan.digest.short(), clock(plan.made_at)));
    page.field("Restores", &plan.subject);
    page.field("To", &plan.point);
    if !things.scopes().is_empty() {
        page.field("In", things.scopes());
    }
    if let Some(into) = &plan.into {
        page.field("Into", format_args!("{into}; nothing is changed where it was"));
    }
    page.field("Digest", &plan.digest);

    if plan.is_empty() {
        page.gap();
        page.line(0, "Nothing to do: what is live is what was there, apart from what is said here.");
    } else {
        page.heading("Steps");
        steps(page, plan, &things);
    }
    conflicts(page, &plan.conflicts, &things);
    if plan.conflicts.iter().any(|c| !c.clashes.is_empty()) {
        page.line(2, "What others changed since is kept; to put it back too, plan again with --overwrite and the id.");
    }
    losses(page, &plan.losses, &things);
    blockers(page, &plan.blockers);
    humans(page, &plan.humans, &things);
    if !plan.notes.is_empty() {
        page.heading("Notes");
        plan.notes.iter().for_each(|n| page.line(2, n));
    }

    if plan.is_empty() {
        return;
    }
    page.gap();
    page.line(0, summary(plan));
    page.next("To restore", format_args!("restore {}", plan.digest.short()));
}

/// A link step that follows what makes the resource is not shown: everybody expects that what is made is also set up.
fn steps(page: &mut Page<'_>, plan: &Plan, things: &Things) {
    let made: BTreeSet<&ResourceKey> = plan.steps.iter().filter(|s| s.verb.makes()).map(|s| &s.resource).collect();
    let made_ids: BTreeSet<&str> = made.iter().map(|k| k.id.as_str()).collect();
    let to_name = |id: &str| if made_ids.contains(id) { format!("the new id of {id}") } else { id.to_owned() };
    let shown = |s: &&Step| s.verb != Verb::Link || !made.contains(&s.resource);
    let digits = plan.steps.last().map_or(1, |s| s.number.to_string().len());
    for step in plan.steps.iter().filter(shown) {
        let thing = things.say(&step.resource, step.name.as_deref());
        let live = match &step.live_id {
            Some(id) if *id != step.resource.id => format!(", today {id}"),
            _ => String::new(),
        };
        let why = step.why.as_ref().map(|w| format!(": {w}")).unwrap_or_default();
        let text = format!("{:<8}  {thing}{live}{why}", step.verb);
        page.marked(&format!("{:>digits$} ", step.number), 2, step.verb.mark(), &text);
        changes(page, 2 + digits + 3 + 10, &step.changes, &to_name);
    }
}

fn summary(plan: &Plan) -> String {
    let mut verbs: BTreeMap<Verb, BTreeSet<&ResourceKey>> = BTreeMap::new();
    for step in &plan.steps {
        verbs.entry(step.verb).or_default().insert(&step.resource);
    }
    let parts: Vec<String> = verbs
        .iter()
        .filter(|(verb, _)| **verb != Verb::Link)
        .map(|(verb, of)| format!("{} to {verb}", of.len()))
        .collect();
    let calls: usize = plan.steps.iter().map(|s| s.calls.len()).sum();
    format!(
        "{}: {}. {} writing to AWS, at most {} of them one after another; at least {} by AWS's request limits.",
        count(plan.resources().len(), "resource"),
        parts.join(", "),
        count(calls, "call"),
        plan.chain_calls,
        milliseconds(plan.floor_ms),
    )
}

pub fn conflicts(page: &mut Page<'_>, conflicts: &[Conflict], things: &Things) {
    if conflicts.is_empty() {
        return;
    }
    page.heading("Conflicts");
    for c in conflicts {
        let text = format!("{}: {} ({})", things.say(&c.resource, None), c.what, c.resolution);
        page.mark(2, Mark::Trouble, text);
        for clash in &c.clashes {
            page.line(
                8,
                format_args!(
                    "{}: was {}, the incident left {}, now {}",
                    clash.path,
                    value(&clash.want),
                    value(&clash.left),
                    value(&clash.live)
                ),
            );
        }
    }
}

fn blockers(page: &mut Page<'_>, blockers: &[Blocker]) {
    if blockers.is_empty() {
        return;
    }
    page.heading("Beyond quotas");
    for blocker in blockers {
        page.mark(2, Mark::Trouble, blocker);
    }
    if blockers.iter().any(Blocker::is_certain) {
        page.line(2, "It cannot start so: raise that in Service Quotas or make room, then plan again.");
    }
}

pub fn humans(page: &mut Page<'_>, humans: &[Human], things: &Things) {
    if humans.is_empty() {
        return;
    }
    page.heading("Others must act");
    for h in humans {
        page.mark(2, Mark::Trouble, format_args!("{}: {} must {}", things.say(&h.resource, None), h.who, h.what));
    }
}

pub fn losses(page: &mut Page<'_>, losses: &[Loss], things: &Things) {
    if losses.is_empty() {
        return;
    }
    page.heading("Does not come back");
    for loss in losses {
        page.mark(2, Mark::Gone, format_args!("{}: {}", things.say(&loss.resource, None), loss.what));
    }
}
