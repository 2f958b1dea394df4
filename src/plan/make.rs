//! From a world at a restore point and what is live now to a plan.
use super::{
    Bound, Conflict, Human, Loss, Plan, Step, Subject, Verb,
    diff::{self, MARK, Merged, RowKeys},
    elsewhere::Elsewhere,
    facts::{Facts, Phase},
    order,
    preflight::{Ask, Blocks},
    readiness::{Copies, Cost},
};
use crate::model::{
    Hash, KindName, ResourceKey, Timestamp, Version, canonical,
    reference::{Reference, Remap, Strength, as_reference, ids_in_text, references},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a resource now, under the key of the restore point.
#[derive(Debug, Clone, PartialEq)]
pub enum Live {
    Present {
        /// The id it has today: another one after an earlier restore.
        id: String,
        spec: Value,
    },
    Gone,
}

/// All that a plan is a function of.
pub struct Input<'a> {
    pub now: Timestamp,
    pub subject: Subject,
    /// The restore point, in words.
    pub point: String,
    /// The kinds that can be restored.
    pub facts: &'a dyn Fn(&KindName) -> Option<Facts>,
    /// The world at the restore point: the last good version of each resource.
    pub world: &'a BTreeMap<ResourceKey, Version>,
    /// What is there now, under the keys of the world. A resource that is in neither state is unknown.
    pub live: &'a BTreeMap<ResourceKey, Live>,
    /// What is live and was not there at the restore point: may hold a natural key.
    pub newcomers: &'a BTreeMap<ResourceKey, Value>,
    /// Of these, what the incident's own sessions made: may be adopted in place of what they deleted.
    pub made: &'a BTreeSet<ResourceKey>,
    /// What the incident left of a survivor, where others changed it since. Else what is live counts as left.
    pub left: &'a BTreeMap<ResourceKey, Value>,
    /// The newest copies of content that are there now.
    pub copies: &'a Copies,
    /// What to restore, from `select`.
    pub chosen: BTreeSet<ResourceKey>,
    /// Earlier restores: references to old ids mean today's.
    pub remap: &'a Remap,
    /// Survivors whose conflicts are to be overwritten, and newcomers that are to be adopted.
    pub overwrite: &'a BTreeSet<ResourceKey>,
    /// Where `world`, `chosen` and `live` are those of another place than the resources are in.
    pub elsewhere: Option<&'a Elsewhere>,
    /// Least time for these calls, by AWS's budgets.
    pub floor: &'a dyn Fn(&BTreeMap<String, u32>) -> std::time::Duration,
}

/// A step before it has a number.
struct Draft {
    verb: Verb,
    key: ResourceKey,
    want: Value,
    as_of: Timestamp,
    live_id: Option<String>,
    live: Option<Hash>,
    changes: Vec<diff::Change>,
    calls: Vec<&'static str>,
    why: Option<String>,
    phase: Phase,
    /// What it refers to, in the keys of the world.
    refs: BTreeSet<Reference>,
}

/// Makes the plan. Deterministic: equal input gives an equal digest.
pub fn make(input: &Input<'_>) -> Plan {
    let mut maker = Maker {
        input,
        drafts: vec![],
        conflicts: vec![],
        losses: BTreeSet::new(),
        humans: BTreeSet::new(),
        notes: input.elsewhere.map(|e| e.notes.clone()).unwrap_or_default(),
        rows: BTreeMap::new(),
        remade: BTreeSet::new(),
        adopted: BTreeMap::new(),
        skipped: BTreeMap::new(),
    };
    maker.decide();
    maker.finish()
}

struct Maker<'a> {
    input: &'a Input<'a>,
    drafts: Vec<Draft>,
    conflicts: Vec<Conflict>,
    losses: BTreeSet<Loss>,
    humans: BTreeSet<Human>,
    notes: BTreeSet<String>,
    rows: BTreeMap<&'static str, RowKeys>,
    /// Missing, and made again by this plan.
    remade: BTreeSet<ResourceKey>,
    /// Missing, and to be found again in a newcomer that holds its natural key.
    adopted: BTreeMap<ResourceKey, &'a ResourceKey>,
    /// Missing, and not made again: why.
    skipped: BTreeMap<ResourceKey, String>,
}

impl<'a> Maker<'a> {
    fn facts(&self, key: &ResourceKey) -> Option<Facts> {
        (self.input.facts)(&key.kind)
    }
    fn gone(&self, key: &ResourceKey) -> bool {
        matches!(self.input.live.get(key), Some(Live::Gone))
    }
    fn rows(&mut self, facts: &Facts) -> RowKeys {
        self.rows.entry(facts.kind).or_insert_with(facts.row_keys).clone()
    }

    fn decide(&mut self) {
        let chosen: Vec<(&ResourceKey, &Version)> =
            self.input.chosen.iter().filter_map(|k| self.input.world.get_key_value(k)).collect();
        self.settle_missing(&chosen);
        for (key, version) in &chosen {
            let Some(spec) = version.spec() else { continue };
            if self.remade.contains(*key) {
                self.remake(key, version, spec);
            } else if let Some(Live::Present { id, spec: live }) = self.input.live.get(*key) {
                self.survivor(key, version, spec, id, live);
            } else if let Some(why) = self.skipped.get(*key).cloned() {
                let phase = self.facts(key).map_or(Phase::Compute, |f| f.phase);
                self.losses.insert(Loss { resource: (*key).clone(), what: why.clone(), bound: None });
                self.drafts.push(Draft {
                    verb: Verb::Skip,
                    key: (*key).clone(),
                    want: Value::Null,
                    as_of: version.captured_at,
                    live_id: None,
                    live: None,
                    changes: vec![],
                    calls: vec![],
                    why: Some(why),
                    phase,
                    refs: BTreeSet::new(),
                });
            }
        }
    }

    /// Which of the missing can be made again: all that are of our kinds, whose hard needs are there or made again.
    fn settle_missing(&mut self, chosen: &[(&ResourceKey, &Version)]) {
        for (key, _) in chosen {
            if !self.gone(key) {
                continue;
            }
            if self.facts(key).is_some() {
                self.remade.insert((*key).clone());
            } else {
                self.skipped.insert((*key).clone(), format!("{} cannot be restored by this version", key.kind));
            }
        }
        for (key, why) in self.input.elsewhere.iter().flat_map(|e| &e.refused) {
            self.remade.remove(key);
            self.skipped.insert(key.clone(), why.clone());
        }
        for (key, version) in chosen {
            let (Some(facts), Some(spec)) = (self.facts(key), version.spec()) else { continue };
            if !self.remade.contains(*key) {
                continue;
            }
            let held = self.holder_of_natural_key(&facts, key, spec).map(|holder| {
                let natural = (facts.natural_key)(spec).unwrap_or_default();
                (holder, format!("{} `{natural}` is held by {}", facts.kind, holder.id))
            });
            if let Some((holder, what)) = held.or_else(|| self.holder_of_addresses(&facts, key, spec)) {
                let fits = self.input.newcomers.get(holder).is_some_and(|found| self.can_become(&facts, found, spec));
                let asked = [holder, *key].into_iter().any(|k| self.input.overwrite.contains(k));
                let adopt = fits && (asked || self.input.made.contains(holder));
                let resolution = if adopt { "adopt and converge" } else { "refuse" };
                self.conflicts.push(Conflict {
                    resource: (*key).clone(),
                    what: what.clone(),
                    resolution: resolution.into(),
                    clashes: vec![],
                });
                if adopt {
                    self.adopted.insert((*key).clone(), holder);
                } else {
                    let way_out = if fits {
                        "adopt it with `--overwrite`, or remove or rename it"
                    } else {
                        "remove or rename it"
                    };
                    self.remade.remove(*key);
                    self.skipped.insert((*key).clone(), format!("{what}: {way_out}, then plan again"));
                }
            }
        }
        // A hard need that cannot be met takes its holders along, until nothing changes.
        loop {
            let lost: Vec<(ResourceKey, String)> = self
                .remade
                .iter()
                .filter_map(|key| {
                    let spec = self.input.world.get(key)?.spec()?;
                    let dead = references(&key.scope, spec)
                        .into_iter()
                        .find(|r| r.strength == Strength::Hard && self.is_dead(&r.target))?;
                    Some((
                        key.clone(),
                        format!("needs {} {}, which {}", dead.target.kind, dead.target.id, self.is_missing()),
                    ))
                })
                .collect();
            if lost.is_empty() {
                break;
            }
            for (key, why) in lost {
                self.remade.remove(&key);
                self.skipped.insert(key, why);
            }
        }
    }
    /// Missing now, and this plan does not make it again. What was never captured is taken to be there: AWS answers for it.
    fn is_dead(&self, key: &ResourceKey) -> bool {
        self.gone(key) && !self.remade.contains(key)
    }
    /// What is said of what is dead.
    fn is_missing(&self) -> &'static str {
        if self.input.elsewhere.is_some() { "is not built there" } else { "does not come back" }
    }
    /// Who holds, among the newcomers, what only one can have. Only where the owner survives: in a new VPC all is free.
    fn holder_of_natural_key(&self, facts: &Facts, key: &ResourceKey, spec: &Value) -> Option<&'a ResourceKey> {
        let wanted = (facts.natural_key)(&self.input.remap.apply(spec))?;
        let place = self.input.elsewhere.map_or(&key.scope, |e| &e.into);
        self.input
            .newcomers
            .iter()
            .find(|(k, v)| k.scope == *place && k.kind == key.kind && (facts.natural_key)(v).as_ref() == Some(&wanted))
            .map(|(k, _)| k)
    }

    /// Which newcomer has addresses that it needs, under the same surviving owner.
    fn holder_of_addresses(&self, facts: &Facts, key: &ResourceKey, spec: &Value) -> Option<(&'a ResourceKey, String)> {
        let mine = (facts.blocks)(&self.input.remap.apply(spec))?;
        let others = self.input.newcomers.iter().filter(|(k, _)| k.scope == key.scope && k.kind == key.kind);
        others.into_iter().find_map(|(holder, found)| {
            let theirs = (facts.blocks)(found)?;
            let (ours, other) = mine.clash(&theirs)?;
            Some((holder, format!("{} `{ours}` overlaps {other} of {}", facts.kind, holder.id)))
        })
    }

    /// Whether calls that change it in place can make the one that is there what is wanted.
    fn can_become(&mut self, facts: &Facts, found: &Value, spec: &Value) -> bool {
        let rows = self.rows(facts);
        let changes = diff::changes(&rows, found, &self.input.remap.apply(spec));
        changes.iter().all(|c| !facts.immutable.iter().any(|m| is_within(&c.path, m)))
    }

    /// Make, find or claim it, then link it.
    fn remake(&mut self, key: &ResourceKey, version: &Version, spec: &Value) {
        let Some(facts) = self.facts(key) else { return };
        let (want, dropped) = self.without_dead_rows(key, spec);
        for what in dropped {
            self.losses.insert(Loss { resource: key.clone(), what, bound: None });
        }
        let owner_is_remade = references(&key.scope, spec)
            .iter()
            .any(|r| r.strength == Strength::Hard && self.remade.contains(&r.target));
        let implicit = (facts.is_implicit)(spec) && owner_is_remade;
        let adopted =
            self.adopted.get(key).and_then(|holder| Some((holder.id.clone(), self.input.newcomers.get(holder)?)));
        let found = implicit || adopted.is_some();
        let verb = if found {
            Verb::Adopt
        } else if facts.perishable && self.input.elsewhere.is_none() {
            Verb::Claim
        } else {
            Verb::Create
        };
        let calls = if found { vec![] } else { (facts.calls)(None, &want) };
        let draft = |verb, calls| Draft {
            verb,
            key: key.clone(),
            want: want.clone(),
            as_of: version.captured_at,
            live_id: None,
            live: None,
            changes: vec![],
            calls,
            why: None,
            phase: facts.phase,
            refs: references(&key.scope, &want),
        };
        let before = adopted.as_ref().map_or_else(|| self.fresh(&facts, &want), |(_, found)| (*found).clone());
        let link = draft(Verb::Link, (facts.calls)(Some(&before), &want));
        let mut make = draft(verb, calls);
        if let Some((id, found)) = adopted {
            make.live_id = Some(id);
            make.live = Some(Hash::of(found));
        }
        self.drafts.push(make);
        self.drafts.push(link);
        // What a deadline threatens is claimed whole or not at all; the rest comes from its newest copy, made or adopted.
        let ready = (facts.readiness)(&key.id, spec, self.input.copies);
        if ready.cost >= Cost::Memory && !facts.perishable && self.input.elsewhere.is_none() {
            let bound = match ready.cost {
                Cost::Memory => Some(Bound::Memory),
                _ => self.input.copies.of(&key.id).map(|copy| Bound::Since(copy.taken)),
            };
            self.losses.insert(Loss { resource: key.clone(), what: ready.lost, bound });
        }
        // H17, H18, H19: who else must act is told before the start.
        let is_known = |kind: &str, id: &str| {
            kind.parse().is_ok_and(|kind| self.input.world.contains_key(&key.scope.key(kind, id)))
        };
        if let Some(Ask { who, what }) = (facts.human)(&key.scope, spec, &is_known) {
            self.humans.insert(Human { resource: key.clone(), who, what });
        }
        for what in facts.never_back {
            self.notes.insert(format!("{}: never comes back: {what}", facts.kind));
        }
        // Whether it comes back by itself shows when it is read back; false is what everything starts with.
        for (member, why) in facts.reported {
            if !found && self.input.elsewhere.is_none() && !matches!(want[*member], Value::Null | Value::Bool(false)) {
                self.notes.insert(format!("{member} of {} is not given back: {why}", key.id));
            }
        }
        self.note_texts(key, &want);
    }
    /// About what create alone makes: the members that it gives, and the tags.
    fn fresh(&self, facts: &Facts, want: &Value) -> Value {
        let is_given = |k: &str| facts.immutable.contains(&k) || facts.given.contains(&k) || k == "tags";
        let kept = want.as_object().into_iter().flatten().filter(|(k, _)| is_given(k));
        Value::Object(kept.map(|(k, v)| (k.clone(), v.clone())).collect())
    }
    /// The spec without rows and members that point at what stays dead: AWS would refuse them.
    fn without_dead_rows(&self, key: &ResourceKey, spec: &Value) -> (Value, Vec<String>) {
        let mut dropped = vec![];
        let v = self.prune(key, spec, &mut dropped).unwrap_or(Value::Null);
        (v, dropped)
    }
    fn prune(&self, key: &ResourceKey, v: &Value, dropped: &mut Vec<String>) -> Option<Value> {
        if let Some((Strength::Late, kind, id)) = as_reference(v)
            && let Ok(kind) = kind.parse()
            && self.is_dead(&key.scope.key(kind, id))
        {
            return None;
        }
        match v {
            Value::Object(m) if as_reference(v).is_none() => Some(Value::Object(
                m.iter()
                    .filter_map(|(k, v)| {
                        let kept = self.prune(key, v, dropped);
                        if kept.is_none() {
                            dropped.push(format!(
                                "{k} pointed at {}, which {}",
                                as_reference(v).map_or("something", |(_, _, id)| id),
                                self.is_missing()
                            ));
                        }
                        Some((k.clone(), kept?))
                    })
                    .collect(),
            )),
            Value::Array(rows) => Some(Value::Array(
                rows.iter()
                    .filter_map(|row| {
                        let direct = row.as_object().and_then(|m| {
                            m.values().find_map(|v| match as_reference(v) {
                                Some((Strength::Late, kind, id))
                                    if kind.parse().is_ok_and(|k| self.is_dead(&key.scope.key(k, id))) =>
                                {
                                    Some(id.to_owned())
                                }
                                _ => None,
                            })
                        });
                        if let Some(id) = direct {
                            let missing = self.is_missing();
                            dropped.push(format!("a row pointed at {id}, which {missing}: {}", canonical(row)));
                            return None;
                        }
                        self.prune(key, row, dropped)
                    })
                    .collect(),
            )),
            leaf => Some(leaf.clone()),
        }
    }
    fn note_texts(&mut self, key: &ResourceKey, spec: &Value) {
        let mut texts = vec![];
        strings(spec, "", &mut texts);
        for (path, text) in texts {
            for (kind, id) in ids_in_text(text) {
                if self.remade.contains(&key.scope.key(kind, id)) {
                    self.notes.insert(format!("{} of {} names {id} as text; it is not rewritten", path, key.id));
                }
            }
        }
    }

    /// Put back what the incident changed on it, and point it at what is made again. H6: AWS deletes no group that a rule
    /// names, so whoever deleted one had revoked such rules of survivors before; they come back with the new id.
    fn survivor(&mut self, key: &ResourceKey, version: &Version, spec: &Value, id: &str, live: &Value) {
        let Some(facts) = self.facts(key) else { return };
        let rows = self.rows(&facts);
        // Marked first, so that a reference to what is made again differs from the same id in the live spec, which names
        // the dead; then in today's ids, so that what earlier restores renamed is no difference.
        let (want, _) = self.without_dead_rows(key, spec);
        let want = self.input.remap.apply(&marked(&want, &|kind, id| self.remade.contains(&key.scope.key(kind, id))));
        let left = self.input.left.get(key).unwrap_or(live);
        let Merged { spec: merged, clashes, added } =
            diff::merge(&rows, &want, left, live, self.input.overwrite.contains(key));
        for path in added {
            self.notes.insert(format!("{path} of {} was added since and stays", key.id));
        }
        let clashes: Vec<diff::Clash> =
            clashes.into_iter().map(|c| diff::Clash { want: unmark(&c.want), ..c }).collect();
        if !clashes.is_empty() {
            let paths: Vec<&str> = clashes.iter().map(|c| c.path.as_str()).collect();
            self.conflicts.push(Conflict {
                resource: key.clone(),
                what: format!("changed since by others: {}", paths.join(", ")),
                resolution: "kept as it is".into(),
                clashes,
            });
        }
        if let Some((one, other)) = (facts.blocks)(&merged).as_ref().and_then(Blocks::own_clash) {
            self.conflicts.push(Conflict {
                resource: key.clone(),
                what: format!("{one} and {other} overlap: one was there, the other was added since"),
                resolution: "AWS refuses it until one of them is removed".into(),
                clashes: vec![],
            });
        }
        let mut changes = diff::changes(&rows, live, &merged);
        let immutable: Vec<String> = changes
            .iter()
            .filter(|c| facts.immutable.iter().any(|m| is_within(&c.path, m)))
            .map(|c| c.path.clone())
            .collect();
        changes.retain(|c| !immutable.contains(&c.path) && !facts.reported.iter().any(|(m, _)| is_within(&c.path, m)));
        for path in immutable {
            let what = format!("{path} cannot be changed in place");
            self.losses.insert(Loss { resource: key.clone(), what, bound: None });
        }
        if changes.is_empty() {
            return;
        }
        let rewires = changes.iter().all(|c| has_mark(&c.to) || has_mark(&c.from));
        let verb = if rewires { Verb::Rewire } else { Verb::Converge };
        let want = unmark(&merged);
        let changes = changes
            .into_iter()
            .map(|c| diff::Change { path: c.path, from: unmark(&c.from), to: unmark(&c.to) })
            .collect();
        self.drafts.push(Draft {
            verb,
            key: key.clone(),
            calls: (facts.calls)(Some(live), &want),
            want,
            as_of: version.captured_at,
            live_id: Some(id.to_owned()),
            live: Some(Hash::of(live)),
            changes,
            why: None,
            phase: facts.phase,
            refs: references(&key.scope, spec),
        });
    }

    fn finish(self) -> Plan {
        let Maker { input, drafts, conflicts, losses, humans, notes, .. } = &self;
        let after = self.dependencies();
        let ranks: Vec<order::Rank> = drafts.iter().map(|d| (d.phase, rank(d.verb), d.key.to_string())).collect();
        let (sorted, cyclic) = order::sort(&ranks, &after);
        let number: BTreeMap<usize, u32> = sorted.iter().zip(1..).map(|(i, n)| (*i, n)).collect();
        let mut steps: Vec<Step> = sorted
            .iter()
            .map(|i| self.step(&drafts[*i], number[i], after[*i].iter().map(|a| number[a]).collect()))
            .collect();
        for (i, n) in cyclic.iter().zip(steps.len() as u32 + 1..) {
            let mut step = self.step(&drafts[*i], n, vec![]);
            step.verb = Verb::Skip;
            step.why = Some("needs something that needs it: no order exists".into());
            steps.push(step);
        }
        let mut calls: BTreeMap<String, u32> = BTreeMap::new();
        for c in steps.iter().flat_map(|s| &s.calls) {
            *calls.entry(c.clone()).or_default() += 1;
        }
        let chain_calls = order::longest_chain(&sorted, &after, |i| drafts[i].calls.len() as u32);
        let floor_ms = u64::try_from((input.floor)(&calls).as_millis()).unwrap_or(u64::MAX);
        Plan {
            digest: Hash::of_bytes(b""),
            made_at: input.now,
            subject: input.subject.clone(),
            point: input.point.clone(),
            into: input.elsewhere.map(|e| e.into.clone()),
            steps,
            conflicts: conflicts.clone(),
            losses: losses.iter().cloned().collect(),
            blockers: vec![],
            humans: humans.iter().cloned().collect(),
            notes: notes.clone(),
            chain_calls,
            floor_ms,
        }
        .seal()
    }
    fn step(&self, d: &Draft, number: u32, mut after: Vec<u32>) -> Step {
        after.sort_unstable();
        let name = self.input.world.get(&d.key).and_then(|v| v.name()).map(str::to_owned);
        Step {
            number,
            verb: d.verb,
            resource: d.key.clone(),
            name,
            after,
            want: d.want.clone(),
            as_of: d.as_of,
            live_id: d.live_id.clone(),
            live: d.live.clone(),
            changes: d.changes.clone(),
            open: self.input.elsewhere.and_then(|e| e.open.get(&d.key)).cloned().unwrap_or_default(),
            calls: d.calls.iter().map(|c| (*c).to_owned()).collect(),
            why: d.why.clone(),
        }
    }

    /// For each draft, the drafts it waits for.
    fn dependencies(&self) -> Vec<BTreeSet<usize>> {
        let mut made: BTreeMap<&ResourceKey, usize> = BTreeMap::new();
        let mut linked: BTreeMap<&ResourceKey, usize> = BTreeMap::new();
        for (i, d) in self.drafts.iter().enumerate() {
            if d.verb.makes() {
                made.insert(&d.key, i);
            } else if d.verb != Verb::Skip {
                linked.insert(&d.key, i);
            }
        }
        let targets: Vec<BTreeSet<&ResourceKey>> =
            self.drafts.iter().map(|d| d.refs.iter().map(|r| &r.target).collect()).collect();
        self.drafts
            .iter()
            .enumerate()
            .map(|(i, d)| {
                let mut after = BTreeSet::new();
                let Some(facts) = self.facts(&d.key) else { return after };
                if d.verb == Verb::Skip {
                    return after;
                }
                if d.verb.makes() {
                    let hard = d.refs.iter().filter(|r| r.strength == Strength::Hard);
                    after.extend(hard.filter_map(|r| made.get(&r.target)).copied());
                    // Linked first: what it refers to, or what shares an owner with it.
                    for (key, l) in &linked {
                        let shares = || targets[i].contains(key) || !targets[i].is_disjoint(&targets[*l]);
                        if facts.after.contains(&key.kind.as_str()) && **key != d.key && shares() {
                            after.insert(*l);
                        }
                    }
                } else {
                    after.extend(made.get(&d.key).copied());
                    for t in &targets[i] {
                        after.extend(made.get(*t).copied());
                        if facts.link_after.contains(&t.kind.as_str()) {
                            after.extend(linked.get(*t).copied());
                        }
                    }
                }
                after.remove(&i);
                after
            })
            .collect()
    }
}

/// Among free steps of a phase: what a deadline threatens first, survivors last.
fn rank(verb: Verb) -> u8 {
    match verb {
        Verb::Claim => 0,
        Verb::Create | Verb::Adopt => 1,
        Verb::Link => 2,
        Verb::Converge => 3,
        Verb::Rewire => 4,
        Verb::Skip => 5,
    }
}

/// A path is the member, or lies within it.
fn is_within(path: &str, member: &str) -> bool {
    path.strip_prefix(member).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn strings<'v>(v: &'v Value, path: &str, out: &mut Vec<(String, &'v str)>) {
    match v {
        Value::String(s) => out.push((path.to_owned(), s)),
        Value::Object(m) if as_reference(v).is_none() => {
            for (k, v) in m {
                strings(v, &if path.is_empty() { k.clone() } else { format!("{path}.{k}") }, out);
            }
        }
        Value::Array(a) => a.iter().for_each(|v| strings(v, path, out)),
        _ => {}
    }
}

/// References to what is made again carry a mark.
fn marked(v: &Value, is_remade: &dyn Fn(KindName, &str) -> bool) -> Value {
    if let Some((strength, kind, id)) = as_reference(v)
        && let Ok(name) = kind.parse()
        && is_remade(name, id)
    {
        let tag = if strength == Strength::Hard { "$ref" } else { "$late" };
        return serde_json::json!({ tag: kind, "id": format!("{id}{MARK}") });
    }
    match v {
        Value::Object(m) => Value::Object(m.iter().map(|(k, v)| (k.clone(), marked(v, is_remade))).collect()),
        Value::Array(a) => Value::Array(a.iter().map(|v| marked(v, is_remade)).collect()),
        leaf => leaf.clone(),
    }
}
fn has_mark(v: &Value) -> bool {
    match v {
        Value::String(s) => s.ends_with(MARK),
        Value::Object(m) => m.values().any(has_mark),
        Value::Array(a) => a.iter().any(has_mark),
        _ => false,
    }
}
fn unmark(v: &Value) -> Value {
    match v {
        Value::String(s) => Value::String(s.trim_end_matches(MARK).to_owned()),
        Value::Object(m) => Value::Object(m.iter().map(|(k, v)| (k.clone(), unmark(v))).collect()),
        Value::Array(a) => Value::Array(a.iter().map(unmark).collect()),
        leaf => leaf.clone(),
    }
}
