//! Reads back what a restore touched and compares it with what was wanted, through the new ids.
use super::{
    journal::{Entry, StepState},
    receipt::{Difference, Item, Outcome},
};
use crate::{
    aws::Cx,
    capture,
    kinds::{Captured, registry},
    model::{
        ResourceKey, Scope,
        reference::{Remap, references},
    },
    plan::{Plan, Step, Verb, diff, facts::Facts},
};
use std::collections::{BTreeMap, BTreeSet};

/// One item per resource of the plan, and what was read of each.
pub(super) async fn items(
    plan: &Plan,
    entries: &BTreeMap<u32, Entry>,
    remap: &BTreeMap<Scope, Remap>,
    cx: &BTreeMap<Scope, Cx>,
) -> (Vec<Item>, Vec<(ResourceKey, Captured)>) {
    let mut by_resource: BTreeMap<&ResourceKey, Vec<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        by_resource.entry(&step.resource).or_default().push(step);
    }
    let none = Remap::default();
    let id_now = |key: &ResourceKey, steps: &[&Step]| {
        let made = steps.iter().find_map(|s| entries.get(&s.number)?.new_id.clone());
        made.or_else(|| steps.iter().find_map(|s| s.live_id.clone())).unwrap_or_else(|| {
            remap.get(plan.place(key)).unwrap_or(&none).latest(key.kind.as_str(), &key.id).to_owned()
        })
    };
    // Made by no step, though one was to.
    let lost: BTreeSet<&ResourceKey> = plan
        .steps
        .iter()
        .filter(|s| s.verb.makes() && entries.get(&s.number).is_some_and(|e| e.state.is_undone()))
        .map(|s| &s.resource)
        .collect();
    let mut asked: BTreeMap<(&Scope, &'static str), Vec<String>> = BTreeMap::new();
    for (key, steps) in &by_resource {
        if let Some(kind) = registry::kind(&key.kind) {
            asked.entry((plan.place(key), kind.name())).or_default().push(id_now(key, steps));
        }
    }
    let looks = asked.iter().map(|((scope, kind), ids)| async move {
        let seen = match cx.get(*scope) {
            Some(cx) => capture::look(cx, kind, ids).await.map_err(|f| f.to_string()),
            None => Err("no client for its account and region".to_owned()),
        };
        ((*scope, *kind), seen)
    });
    let seen: BTreeMap<_, _> = futures_util::future::join_all(looks).await.into_iter().collect();
    let mut out = vec![];
    let mut found = vec![];
    for (key, steps) in &by_resource {
        let states: Vec<(&Step, Option<&Entry>)> = steps.iter().map(|s| (*s, entries.get(&s.number))).collect();
        let worst = states
            .iter()
            .filter_map(|(s, e)| Some((*s, (*e)?)))
            .find(|(_, e)| matches!(e.state, StepState::Failed | StepState::Blocked | StepState::Skipped));
        let id = id_now(key, steps);
        let made = states.iter().any(|(s, e)| s.verb.makes() && e.is_some_and(|e| e.new_id.is_some()));
        let mut item = Item {
            resource: (*key).clone(),
            name: steps[0].name.clone(),
            new_id: (made || !steps.iter().any(|s| s.verb.makes() || s.verb == Verb::Skip)).then(|| id.clone()),
            verbs: steps.iter().map(|s| s.verb).collect(),
            outcome: Outcome::Restored,
            differences: vec![],
            why: None,
        };
        if let Some((_, entry)) = worst {
            item.outcome = match entry.state {
                StepState::Failed => Outcome::Failed,
                StepState::Blocked => Outcome::Blocked,
                _ => Outcome::Skipped,
            };
            item.why = entry.why.clone();
        }
        let facts = registry::kind(&key.kind).map(|k| k.facts());
        if let (Some(facts), Some(want), true) = (facts, steps.last().map(|s| &s.want), item.new_id.is_some()) {
            let want = remap.get(plan.place(key)).unwrap_or(&none).apply(want);
            match seen.get(&(plan.place(key), facts.kind)) {
                Some(Ok(all)) => match all.iter().find(|c| c.id == id) {
                    Some(c) => {
                        let rows = (facts.row_keys)();
                        // What is only reported of a survivor was no part of its plan.
                        let survived = steps.iter().all(|s| matches!(s.verb, Verb::Converge | Verb::Rewire));
                        let open = &steps[0].open;
                        let reported = |c: &diff::Change| facts.reported.iter().any(|(m, _)| within(&c.path, m));
                        item.differences = diff::changes(&rows, &c.spec, &want)
                            .into_iter()
                            .filter(|change| !(survived && reported(change)))
                            .filter(|change| !open.iter().any(|m| within(&change.path, m)))
                            .map(|change| explained(&facts, &key.scope, &lost, change))
                            .collect();
                        found.push((key.scope.key(key.kind.clone(), &id), c.clone()));
                    }
                    None => fail(&mut item, format!("{id} was not there when read back")),
                },
                Some(Err(why)) => fail(&mut item, format!("could not be read back: {why}")),
                None => {}
            }
            let harmless = |d: &Difference| facts.harmless.iter().any(|m| within(&d.change.path, m));
            if item.outcome == Outcome::Restored && !item.differences.iter().all(harmless) {
                item.outcome = Outcome::Differs;
            }
        }
        out.push(item);
    }
    (out, found)
}

fn fail(item: &mut Item, why: String) {
    if item.outcome == Outcome::Restored {
        item.outcome = Outcome::Failed;
        item.why = Some(why);
    }
}

/// A path is the member, or lies within it.
fn within(path: &str, member: &str) -> bool {
    path.strip_prefix(member).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn explained(facts: &Facts, scope: &Scope, lost: &BTreeSet<&ResourceKey>, change: diff::Change) -> Difference {
    let points_at = || references(scope, &change.to).into_iter().find(|r| lost.contains(&r.target));
    let why = facts
        .reported
        .iter()
        .find(|(m, _)| within(&change.path, m))
        .map(|(_, why)| (*why).to_owned())
        .or_else(|| {
            facts
                .immutable
                .iter()
                .any(|m| within(&change.path, m))
                .then(|| "AWS gave another one when it was made, and it cannot be changed afterwards".to_owned())
        })
        .or_else(|| points_at().map(|r| format!("{} did not come back: see there", r.target.id)))
        .unwrap_or_else(|| "not explained: look at the step's error above, or report a defect".to_owned());
    Difference { change, why }
}
