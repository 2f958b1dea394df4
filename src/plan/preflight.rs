//! What can be known to go wrong, or to need somebody else, before the first write: quotas and counterparties. Pure.
use super::{Plan, Step, Verb, facts::Facts};
use crate::model::{KindName, ResourceKey, Scope, reference::as_reference};
use core::net::IpAddr;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, fmt};

/// A limit of AWS on how many there may be (H65). Codes and defaults: AWS General Reference, "Amazon VPC endpoints and
/// quotas" and "Amazon EC2 endpoints and quotas", as of 2026-08.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Service Quotas' codes of the service and of the quota.
    pub service: &'static str,
    pub code: &'static str,
    pub name: &'static str,
    /// What an account has that never asked for more.
    pub default: u32,
    pub per: Per,
    /// How much of it a resource of this spec takes.
    pub uses: fn(&Value) -> u32,
}
/// What a quota is counted over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// The account and region.
    Region,
    /// What this member refers to.
    Owner(&'static str),
    /// The zone of the subnet that this member refers to.
    ZoneOf(&'static str),
    /// The resource: its rows are counted.
    Itself,
}
impl Quota {
    /// One of each resource, whatever its spec.
    pub const EACH: fn(&Value) -> u32 = |_| 1;
}

/// A quota that the plan draws on.
#[derive(Debug, Clone)]
pub struct Demand {
    pub scope: Scope,
    pub quota: &'static Quota,
    /// The owner, zone or resource that it is counted over; none for the region.
    pub of: Option<String>,
    pub live: u32,
    pub needed: u32,
}

/// Why the plan cannot be carried out whole: a quota that what is live and what is to come exceed together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    pub scope: Scope,
    /// `VPCs per Region`
    pub quota: String,
    /// `vpc/L-F678F1CE`: the codes of Service Quotas.
    pub code: String,
    /// The owner, zone or resource that it is counted over; none for the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    pub value: u32,
    /// Why the value is AWS's default and not the account's own; then it warns and does not forbid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_read: Option<String>,
    /// Those that snapshots know: what services make for themselves is not among them.
    pub live: u32,
    pub needed: u32,
}
impl Blocker {
    /// The account's own value is exceeded: nothing may start.
    pub fn is_certain(&self) -> bool {
        self.not_read.is_none()
    }
}
impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.of.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
        write!(f, "{} ({}){of}: {} allowed", self.quota, self.code, self.value)?;
        if let Some(why) = &self.not_read {
            write!(f, " (default, not read: {why})")?;
        }
        write!(f, ", {} there, {} more needed", self.live, self.needed)
    }
}

/// What a kind says of the others that must act: who, and what they must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub who: String,
    pub what: String,
}
/// Whether a kind and id were captured in the account and region at hand.
pub type IsKnown<'a> = &'a dyn Fn(&str, &str) -> bool;

/// Blocks of addresses that may not overlap each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocks {
    /// The id of the owner under which no other resource of the kind may overlap them; none where others may.
    pub of: Option<String>,
    /// `10.0.1.0/24`, `2001:db8::/64`
    pub blocks: Vec<String>,
}
impl Blocks {
    /// A block of these and one of another resource under the same owner that overlap.
    pub fn clash<'a>(&'a self, other: &'a Self) -> Option<(&'a str, &'a str)> {
        let all = || self.blocks.iter().flat_map(|a| other.blocks.iter().map(move |b| (a.as_str(), b.as_str())));
        all().find(|(a, b)| overlap(a, b)).filter(|_| self.of.is_some() && self.of == other.of)
    }
    /// Two of these that overlap each other.
    pub fn own_clash(&self) -> Option<(&str, &str)> {
        let all = || self.blocks.iter().enumerate();
        all()
            .flat_map(|(i, a)| self.blocks.iter().skip(i + 1).map(move |b| (a.as_str(), b.as_str())))
            .find(|(a, b)| overlap(a, b))
    }
}
/// Whether two blocks have an address in common. What is no block has none.
fn overlap(a: &str, b: &str) -> bool {
    let (Some(a), Some(b)) = (block(a), block(b)) else { return false };
    let bits = a.1.min(b.1);
    let host = a.2 - bits;
    a.2 == b.2 && a.0.checked_shr(host) == b.0.checked_shr(host)
}
/// The first address, the bits that are fixed, and all bits.
fn block(text: &str) -> Option<(u128, u32, u32)> {
    let (address, bits) = text.split_once('/')?;
    let (first, all) = match address.parse().ok()? {
        IpAddr::V4(a) => (u128::from(a.to_bits()), 32),
        IpAddr::V6(a) => (a.to_bits(), 128),
    };
    Some((first, bits.parse().ok().filter(|b| *b <= all)?, all))
}

/// A step that rollbackd cannot take: somebody else must act (H17, H18, H19).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Human {
    pub resource: ResourceKey,
    pub who: String,
    pub what: String,
}

/// The quotas that the plan draws on (H65). `live` is everything that is there, `today` a key of the restore point as it
/// is called now.
pub fn demands(
    plan: &Plan,
    facts: &dyn Fn(&KindName) -> Option<Facts>,
    live: &BTreeMap<ResourceKey, Value>,
    today: &dyn Fn(&ResourceKey) -> ResourceKey,
) -> Vec<Demand> {
    let wanted: BTreeMap<&ResourceKey, &Value> =
        plan.steps.iter().filter(|s| s.verb.makes()).map(|s| (&s.resource, &s.want)).collect();
    let then = |key: &ResourceKey| wanted.get(key).copied().or_else(|| live.get(&today(key)));
    let now = |key: &ResourceKey| live.get(key);
    let is_new = |s: &Step| s.verb.makes() && s.live_id.is_none();
    // What one quota is asked for over one owner or zone.
    type Group<'p> = (&'p Scope, &'static str, Option<String>);
    let mut sums: BTreeMap<Group<'_>, (&KindName, &'static Quota, u32)> = BTreeMap::new();
    let mut out = vec![];
    for step in plan.steps.iter().filter(|s| is_new(s) || matches!(s.verb, Verb::Converge | Verb::Rewire)) {
        let key = &step.resource;
        for quota in facts(&key.kind).map(|f| f.quotas).unwrap_or_default() {
            let uses = (quota.uses)(&step.want);
            if quota.per == Per::Itself {
                let live = if is_new(step) { None } else { live.get(&today(key)) }.map_or(0, quota.uses);
                let needed = uses.saturating_sub(live);
                out.push(Demand { scope: key.scope.clone(), quota, of: Some(key.id.clone()), live, needed });
            } else if is_new(step)
                && let Some(of) = quota.group(key, &step.want, &then, today)
            {
                sums.entry((&key.scope, quota.code, of)).or_insert((&key.kind, quota, 0)).2 += uses;
            }
        }
    }
    for ((scope, _, of), (kind, quota, needed)) in sums {
        let same = live.iter().filter(|(k, _)| k.scope == *scope && k.kind == *kind);
        let same = same.filter(|(k, spec)| quota.group(k, spec, &now, &ResourceKey::clone).as_ref() == Some(&of));
        let live = same.map(|(_, spec)| (quota.uses)(spec)).sum();
        out.push(Demand { scope: scope.clone(), quota, of, live, needed });
    }
    out.retain(|d| d.needed > 0);
    out
}

impl Quota {
    /// Over what a resource is counted; nothing where its spec does not say.
    fn group<'v>(
        &self,
        key: &ResourceKey,
        spec: &Value,
        find: &dyn Fn(&ResourceKey) -> Option<&'v Value>,
        today: &dyn Fn(&ResourceKey) -> ResourceKey,
    ) -> Option<Option<String>> {
        let target = |member: &str| {
            let (_, kind, id) = as_reference(&spec[member])?;
            Some(key.scope.key(kind.parse().ok()?, id))
        };
        match self.per {
            Per::Region => Some(None),
            Per::Owner(member) => Some(Some(today(&target(member)?).id)),
            Per::ZoneOf(member) => Some(Some(find(&target(member)?)?["availability_zone_id"].as_str()?.to_owned())),
            Per::Itself => Some(Some(key.id.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_overlap_when_one_holds_the_other() {
        for (a, b, expected) in [
            ("10.0.1.0/24", "10.0.1.0/24", true),
            ("10.0.0.0/23", "10.0.1.0/24", true),
            ("10.0.1.128/25", "10.0.1.0/24", true),
            ("10.0.2.0/24", "10.0.1.0/24", false),
            ("0.0.0.0/0", "10.0.1.0/24", true),
            ("2001:db8::/64", "2001:db8:0:1::/64", false),
            ("2001:db8::/56", "2001:db8:0:1::/64", true),
            ("::/0", "2001:db8::/64", true),
            ("::/0", "10.0.1.0/24", false),
            ("10.0.1.0/33", "10.0.1.0/24", false),
            ("10.0.1.0", "10.0.1.0/24", false),
        ] {
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{a} {b}");
        }
        let of = |owner: Option<&str>, blocks: &[&str]| Blocks {
            of: owner.map(str::to_owned),
            blocks: blocks.iter().map(ToString::to_string).collect(),
        };
        let (one, other) = (of(Some("vpc-1"), &["10.0.0.0/23"]), of(Some("vpc-1"), &["192.0.2.0/24", "10.0.1.0/24"]));
        assert_eq!(one.clash(&other), Some(("10.0.0.0/23", "10.0.1.0/24")));
        assert_eq!(one.clash(&of(Some("vpc-2"), &["10.0.1.0/24"])), None);
        let free = of(None, &["10.0.0.0/16", "10.1.0.0/16", "10.1.128.0/17"]);
        assert_eq!((free.clash(&free), free.own_clash()), (None, Some(("10.1.0.0/16", "10.1.128.0/17"))));
    }
}
