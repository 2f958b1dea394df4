//! What belongs to a restore (design §8): what is named; what went with it; what those need and is missing too.
use super::make::Live;
use crate::model::{
    ResourceKey, Version,
    reference::{Strength, references},
};
use std::collections::{BTreeMap, BTreeSet};

/// How a selection grows from its seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The seeds, what they need that is missing, and the survivors that point at what is made again.
    Needed,
    /// And all that referred or belonged to what is gone, and is missing or changed itself.
    WentAlong,
    /// And all that belongs to a seed, missing or not: everything in a VPC.
    Belonging,
}

/// The resources of a restore, out of the world at the restore point.
pub fn select(
    world: &BTreeMap<ResourceKey, Version>,
    live: &BTreeMap<ResourceKey, Live>,
    seeds: impl IntoIterator<Item = ResourceKey>,
    reach: Reach,
) -> BTreeSet<ResourceKey> {
    let gone = |key: &ResourceKey| matches!(live.get(key), Some(Live::Gone | Live::Replaced { .. }));
    let mut holders: BTreeMap<&ResourceKey, Vec<(Strength, &ResourceKey)>> = BTreeMap::new();
    let mut needs: BTreeMap<&ResourceKey, BTreeSet<ResourceKey>> = BTreeMap::new();
    for (key, version) in world {
        let Some(spec) = version.spec() else { continue };
        let targets = references(&key.scope, spec);
        for r in &targets {
            if let Some((target, _)) = world.get_key_value(&r.target) {
                holders.entry(target).or_default().push((r.strength, key));
            }
        }
        needs.insert(key, targets.into_iter().map(|r| r.target).collect());
    }
    let mut chosen: BTreeSet<ResourceKey> = seeds.into_iter().filter(|k| world.contains_key(k)).collect();
    let mut todo: Vec<ResourceKey> = chosen.iter().cloned().collect();
    while let Some(key) = todo.pop() {
        let mut add = |k: &ResourceKey| {
            if chosen.insert(k.clone()) {
                todo.push(k.clone());
            }
        };
        // What it needs and is missing too.
        for target in needs.get(&key).into_iter().flatten() {
            if world.contains_key(target) && gone(target) {
                add(target);
            }
        }
        for (strength, holder) in holders.get(&key).into_iter().flatten() {
            // A survivor that points at what is made again must be pointed at the new one.
            let points_at_dead = gone(&key);
            let belongs = reach == Reach::Belonging && (*strength == Strength::Hard || gone(holder));
            let went_along = reach != Reach::Needed && gone(&key) && gone(holder);
            if belongs || went_along || (points_at_dead && !gone(holder)) {
                add(holder);
            }
        }
    }
    chosen
}
