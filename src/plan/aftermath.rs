//! What a loss meant: which survivors depended on it, and what was made in its place. Read from specs, as graph and remap
//! are, without knowing any kind.
use crate::model::{
    KindName, ResourceKey, Version,
    incident::{Reached, Recreated},
    reference::{Remap, references},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Survivors that refer to what was lost, directly or through each other, the nearest first. `world`: as it was before.
pub fn reached(world: &BTreeMap<ResourceKey, Version>, lost: &BTreeSet<ResourceKey>) -> Vec<Reached> {
    let mut holders: BTreeMap<ResourceKey, BTreeSet<&ResourceKey>> = BTreeMap::new();
    for (key, version) in world {
        for r in version.spec().map(|spec| references(&key.scope, spec)).unwrap_or_default() {
            holders.entry(r.target).or_default().insert(key);
        }
    }
    let mut out: Vec<Reached> = vec![];
    let mut known: BTreeSet<&ResourceKey> = lost.iter().collect();
    let mut from: BTreeSet<&ResourceKey> = known.clone();
    let mut hops = 0;
    while !from.is_empty() {
        hops += 1;
        let mut next = BTreeSet::new();
        for through in from {
            for holder in holders.get(through).into_iter().flatten().filter(|h| !lost.contains(h)) {
                if known.insert(holder) {
                    next.insert(*holder);
                    let name = world.get(*holder).and_then(Version::name).map(str::to_owned);
                    out.push(Reached { resource: (*holder).clone(), name, through: through.clone(), hops });
                }
            }
        }
        from = next;
    }
    out
}

/// Something that was lost or made, as far as it was ever captured.
#[derive(Debug, Clone, Copy)]
pub struct Thing<'a> {
    pub key: &'a ResourceKey,
    pub name: Option<&'a str>,
    pub spec: Option<&'a Value>,
}

/// What was made instead of what: of the same kind, with the same name or the same natural key (`natural`), which may name
/// what was itself made again. Each is in one pair at most.
pub fn recreated(
    lost: &[Thing<'_>],
    made: &[Thing<'_>],
    natural: impl Fn(&KindName, &Value) -> Option<String>,
) -> Vec<Recreated> {
    let mut pairs: BTreeMap<&ResourceKey, &ResourceKey> = BTreeMap::new();
    let mut remap = Remap::default();
    loop {
        let mut found = vec![];
        for old in lost.iter().filter(|old| !pairs.contains_key(old.key)) {
            let same = |new: &&Thing<'_>| {
                let key = |thing: &Thing<'_>| natural(&thing.key.kind, &remap.apply(thing.spec?));
                let taken = pairs.values().any(|k| *k == new.key) || found.iter().any(|(_, k)| *k == new.key);
                let named = old.name.is_some_and(|n| !n.is_empty() && new.name == Some(n));
                !taken
                    && new.key.kind == old.key.kind
                    && new.key.scope == old.key.scope
                    && new.key != old.key
                    && (named || key(old).is_some_and(|k| key(new) == Some(k)))
            };
            if let Some(new) = made.iter().find(same) {
                found.push((old.key, new.key));
            }
        }
        if found.is_empty() {
            break;
        }
        for (old, new) in found {
            remap.insert(&old.kind, old.id.clone(), new.id.clone());
            pairs.insert(old, new);
        }
    }
    pairs.into_iter().map(|(lost, made)| Recreated { lost: lost.clone(), made: made.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, Scope, State, Timestamp};
    use serde_json::json;

    fn key(kind: &str, id: &str) -> ResourceKey {
        let scope: Scope = "aws/111122223333/eu-west-1".parse().unwrap();
        scope.key(kind.parse().unwrap(), id)
    }
    fn version(key: &ResourceKey, spec: Value) -> Version {
        let at = Timestamp::UNIX_EPOCH;
        let state = State::Present {
            hash: crate::model::Hash::of(&spec),
            spec_version: 1,
            spec,
            unmapped: Value::Null,
            aliases: vec![],
        };
        Version { key: key.clone(), read_began: at, captured_at: at, seen_at: at, cause: Cause::Plan, state }
    }

    #[test]
    fn the_blast_is_every_survivor_that_depended_on_what_was_lost() {
        let (vpc, subnet, group, other) = (
            key("ec2:vpc", "vpc-1"),
            key("ec2:subnet", "subnet-1"),
            key("ec2:security-group", "sg-1"),
            key("ec2:vpc", "vpc-2"),
        );
        let instance = key("ec2:instance", "i-1");
        let volume = key("ec2:volume", "vol-1");
        let world: BTreeMap<_, _> = [
            (&vpc, json!({})),
            (&other, json!({})),
            (&subnet, json!({"vpc": {"$ref": "ec2:vpc", "id": "vpc-1"}})),
            (&group, json!({"vpc": {"$ref": "ec2:vpc", "id": "vpc-2"}, "rules": [{"$late": "ec2:subnet", "id": "subnet-1"}]})),
            (&instance, json!({"groups": [{"$late": "ec2:security-group", "id": "sg-1"}]})),
            (&volume, json!({})),
        ]
        .into_iter()
        .map(|(key, spec)| (key.clone(), version(key, spec)))
        .collect();
        let lost = [vpc, subnet.clone()].into();
        let found: Vec<_> = reached(&world, &lost).into_iter().map(|r| (r.resource, r.through, r.hops)).collect();
        assert_eq!(found, [(group.clone(), subnet, 1), (instance, group, 2)]);
    }

    #[test]
    fn pairs_are_found_by_name_and_by_what_they_hang_on() {
        let subnet = |vpc: &str, cidr: &str| json!({"vpc": {"$ref": "ec2:vpc", "id": vpc}, "cidr": cidr});
        let lost = [
            (key("ec2:vpc", "vpc-1"), Some("prod"), json!({})),
            (key("ec2:subnet", "subnet-1"), None, subnet("vpc-1", "10.0.1.0/24")),
            (key("ec2:subnet", "subnet-2"), None, subnet("vpc-1", "10.0.2.0/24")),
        ];
        let made = [
            (key("ec2:vpc", "vpc-8"), Some("else"), json!({})),
            (key("ec2:vpc", "vpc-9"), Some("prod"), json!({})),
            (key("ec2:subnet", "subnet-9"), Some("renamed"), subnet("vpc-9", "10.0.1.0/24")),
        ];
        fn things<'a>(all: &'a [(ResourceKey, Option<&'a str>, Value); 3]) -> Vec<Thing<'a>> {
            all.iter().map(|(key, name, spec)| Thing { key, name: *name, spec: Some(spec) }).collect()
        }
        let natural =
            |_: &KindName, spec: &Value| Some(format!("{} {}", spec["vpc"]["id"].as_str()?, spec["cidr"].as_str()?));
        let pairs = recreated(&things(&lost), &things(&made), natural);
        let pairs: Vec<_> = pairs.into_iter().map(|p| (p.lost.id, p.made.id)).collect();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(pairs, [pair("subnet-1", "subnet-9"), pair("vpc-1", "vpc-9")]);
    }
}
