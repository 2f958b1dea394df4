//! A restore into another account or region: the fire drill that proves a snapshot.
//!
//! All that is chosen is planned as if it were missing there, and its specs are put into the words of that place: zones,
//! images, prefix lists, snapshots, services and keys go by other names or ids in it. What has no counterpart is refused
//! with the reason and the call that would change that; nothing is guessed. This is the one part of the planner that
//! names kinds and members: which of them say a place is the same for all kinds, and a test of the kinds holds them to it.
use super::{Live, Reach, readiness::Copy};
use crate::model::{
    AccountId, Region, ResourceKey, Scope, State, Version,
    reference::{Strength, as_reference, references},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where to build: what is left open stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Region>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
}
impl Destination {
    /// The account and region that this means for what is in `scope`.
    pub fn of(&self, scope: &Scope) -> Scope {
        let account = self.account.as_ref().unwrap_or(&scope.account);
        Scope::new(account.clone(), self.region.as_ref().unwrap_or(&scope.region).clone())
    }
}

/// An availability zone, as one account sees it: what has this id is the same zone for everybody (H10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    pub name: String,
    pub id: String,
}
/// An image that can be launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub id: String,
    pub name: String,
    pub owner: String,
    /// The devices for which it holds content.
    pub devices: Vec<String>,
}
/// A prefix list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixList {
    pub id: String,
    pub name: String,
    pub owner: String,
}
/// A snapshot that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub id: String,
    pub description: String,
}
/// A VPC and its first block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub id: String,
    pub cidr: String,
}

/// What there is in the two places, of what was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Images and prefix lists of the source that no snapshot of ours holds.
    pub images: Vec<Image>,
    pub lists: Vec<PrefixList>,
    pub zones_there: Vec<Zone>,
    pub images_there: Vec<Image>,
    pub lists_there: Vec<PrefixList>,
    pub snapshots_there: Vec<Snapshot>,
    pub networks_there: Vec<Network>,
}

/// What must be looked up for a choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Ids of the source that no snapshot of ours holds.
    pub images: BTreeSet<String>,
    pub lists: BTreeSet<String>,
    /// Names of images that a snapshot of ours holds.
    pub image_names: BTreeSet<String>,
    /// Ids of snapshots of the source of which copies are of use.
    pub snapshots: BTreeSet<String>,
}

/// The chosen, in the words of the other place.
#[derive(Debug, Clone)]
pub struct Elsewhere {
    pub into: Scope,
    pub world: BTreeMap<ResourceKey, Version>,
    pub chosen: BTreeSet<ResourceKey>,
    /// Nothing is there before it is built.
    pub live: BTreeMap<ResourceKey, Live>,
    /// Cannot be built there: why.
    pub refused: BTreeMap<ResourceKey, String>,
    /// Members that are chosen anew there, and so compare with nothing.
    pub open: BTreeMap<ResourceKey, Vec<String>>,
    pub notes: BTreeSet<String>,
}

/// How a member says a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    ZoneName,
    ZoneId,
    /// Begins with the region.
    RegionFirst,
    /// `com.amazonaws.eu-west-1.s3`.
    Service,
    Account,
    Region,
}
/// Members of any kind that say a place as plain text.
const PLACES: &[(&str, Says)] = &[
    ("availability_zone", Says::ZoneName),
    ("availability_zone_id", Says::ZoneId),
    ("network_border_group", Says::RegionFirst),
    ("amazon_ipv6_border_groups", Says::RegionFirst),
    ("service_name", Says::Service),
    ("owner_id", Says::Account),
    ("region", Says::Region),
];
/// Members that are chosen anew: kind, member, why.
const OPEN: &[(&str, &str, &str)] = &[
    ("ec2:elastic-ip", "public_ip", "it stays where it is, and a new address is allocated"),
    ("ec2:elastic-ip", "carrier_ip", "it stays where it is, and a new address is allocated"),
    ("ec2:elastic-ip", "customer_owned_ip", "it stays where it is, and a new address is allocated"),
    ("ec2:elastic-ip", "public_ipv4_pool", "an address of Amazon's pool is allocated"),
    ("ec2:elastic-ip", "reverse_dns", "the name is of the address that stays"),
    ("ec2:vpc", "is_default", "it becomes an ordinary VPC with the same block"),
    ("ec2:subnet", "default_for_az", "it becomes an ordinary subnet with the same block"),
];
const IMAGE: &str = "ec2:image";
const SNAPSHOT: &str = "ec2:snapshot";
const PREFIX_LIST: &str = "ec2:managed-prefix-list";
const VOLUME: &str = "ec2:volume";
const EBS_ALIAS: &str = "alias/aws/ebs";

/// Whether a member says a place, or is known to say none although its name sounds so. For the test of the kinds.
#[cfg(test)]
pub(crate) fn knows_member(kind: &str, member: &str) -> bool {
    PLACES.iter().any(|(m, _)| *m == member) || OPEN.iter().any(|(k, m, _)| *k == kind && *m == member)
}

/// Content that lives in its region: found there, never made.
fn stays(key: &ResourceKey) -> bool {
    matches!(key.kind.as_str(), IMAGE | SNAPSHOT)
}

type World = BTreeMap<ResourceKey, Version>;

/// The chosen of a world: the seeds; all that belongs to them, if they reach so far; what those need. What is tied to them by a
/// reference that can be set later comes along where all that it needs is there already, so that a prefix list does and
/// a second VPC does not.
pub fn select(world: &World, seeds: impl IntoIterator<Item = ResourceKey>, reach: Reach) -> BTreeSet<ResourceKey> {
    let mut needs: BTreeMap<&ResourceKey, BTreeSet<&ResourceKey>> = BTreeMap::new();
    let mut names: BTreeMap<&ResourceKey, BTreeSet<&ResourceKey>> = BTreeMap::new();
    let mut holders: BTreeMap<&ResourceKey, BTreeSet<(Strength, &ResourceKey)>> = BTreeMap::new();
    for (key, version) in world.iter().filter(|(k, _)| !stays(k)) {
        for r in version.spec().map(|s| references(&key.scope, s)).unwrap_or_default() {
            let Some((target, _)) = world.get_key_value(&r.target) else { continue };
            let of = if r.strength == Strength::Hard { &mut needs } else { &mut names };
            of.entry(key).or_default().insert(target);
            holders.entry(target).or_default().insert((r.strength, key));
        }
    }
    let all = |map: &BTreeMap<&ResourceKey, BTreeSet<&ResourceKey>>, key: &ResourceKey| -> Vec<ResourceKey> {
        map.get(key).into_iter().flatten().map(|k| (*k).clone()).collect()
    };
    let mut chosen: BTreeSet<ResourceKey> = seeds.into_iter().filter(|k| world.contains_key(k)).collect();
    let mut own = if reach == Reach::Needed { BTreeSet::new() } else { chosen.clone() };
    let mut todo: Vec<ResourceKey> = own.iter().cloned().collect();
    while let Some(key) = todo.pop() {
        for (_, holder) in holders.get(&key).into_iter().flatten().filter(|(s, _)| *s == Strength::Hard) {
            if own.insert((*holder).clone()) {
                todo.push((*holder).clone());
            }
        }
    }
    chosen.extend(own.iter().cloned());
    loop {
        let before = chosen.len();
        let mut todo: Vec<ResourceKey> = chosen.iter().cloned().collect();
        while let Some(key) = todo.pop() {
            for need in all(&needs, &key) {
                if chosen.insert(need.clone()) {
                    todo.push(need);
                }
            }
        }
        let named = chosen.iter().flat_map(|k| all(&names, k));
        let tied = own.iter().flat_map(|k| holders.get(k).into_iter().flatten().map(|(_, holder)| (*holder).clone()));
        let neighbours: Vec<ResourceKey> = named.chain(tied).filter(|k| !stays(k)).collect();
        let complete = |k: &ResourceKey| all(&needs, k).iter().all(|n| chosen.contains(n));
        let joining: Vec<ResourceKey> = neighbours.into_iter().filter(complete).collect();
        chosen.extend(joining);
        if chosen.len() == before {
            return chosen;
        }
    }
}

/// What must be looked up to map the chosen. `copies`: of the source's content, by what they are a copy of.
pub fn asks(world: &World, chosen: &BTreeSet<ResourceKey>, copies: &[Copy]) -> Asked {
    let mut asked = Asked::default();
    let name = |key: &ResourceKey| world.get(key)?.spec()?["name"].as_str().map(str::to_owned);
    for key in chosen {
        if key.kind.as_str() == SNAPSHOT {
            asked.snapshots.insert(key.id.clone());
        }
        if key.kind.as_str() == IMAGE {
            asked.image_names.extend(name(key));
        }
        let Some(spec) = world.get(key).and_then(|v| v.spec()) else { continue };
        if key.kind.as_str() == VOLUME {
            asked.snapshots.extend(copies.iter().filter(|c| c.of == key.id).map(|c| c.id.clone()));
            asked.snapshots.extend(spec["snapshot_id"].as_str().map(str::to_owned));
        }
        for r in references(&key.scope, spec) {
            match r.target.kind.as_str() {
                IMAGE => match name(&r.target) {
                    Some(name) => asked.image_names.insert(name),
                    None => asked.images.insert(r.target.id),
                },
                PREFIX_LIST if !world.contains_key(&r.target) => asked.lists.insert(r.target.id),
                SNAPSHOT => asked.snapshots.insert(r.target.id),
                _ => continue,
            };
        }
    }
    asked
}

/// A name of AWS's own that holds the region, as it is in another one: `com.amazonaws.eu-west-1.s3`.
pub fn named_there(name: &str, here: &Region, there: &Region) -> String {
    let parts = name.split('.').map(|part| if part == here.as_str() { there.as_str() } else { part });
    parts.collect::<Vec<_>>().join(".")
}

/// Puts the chosen of a world into the words of `into`.
pub fn map(world: &World, chosen: BTreeSet<ResourceKey>, copies: &[Copy], places: &Places, into: &Scope) -> Elsewhere {
    let mut zones = BTreeMap::new();
    for version in world.values() {
        if let Some(spec) = version.spec() {
            pairs(spec, &mut zones);
        }
    }
    let mut mapper = Mapper {
        world,
        chosen: &chosen,
        copies,
        places,
        into,
        zones,
        here: None,
        holder: String::new(),
        absent: BTreeSet::new(),
        notes: BTreeSet::new(),
    };
    let mut out = Elsewhere {
        into: into.clone(),
        world: World::new(),
        chosen: BTreeSet::new(),
        live: BTreeMap::new(),
        refused: BTreeMap::new(),
        open: BTreeMap::new(),
        notes: BTreeSet::new(),
    };
    for key in &chosen {
        let Some(version) = world.get(key) else { continue };
        let Some(spec) = version.spec() else { continue };
        let mut open = vec![];
        let mut version = version.clone();
        mapper.here = Some(&key.scope);
        mapper.holder = key.id.clone();
        let result = if stays(key) {
            match mapper.counterpart(key) {
                // What refers to it names the one that is there.
                Ok(id) => {
                    mapper.notes.insert(format!("{} is not built: {id} is there for it", key.id));
                    continue;
                }
                Err(why) => Err(why),
            }
        } else {
            mapper.spec(key, spec, &mut open)
        };
        match result {
            Ok(mapped) => {
                if let State::Present { spec, .. } = &mut version.state {
                    *spec = mapped;
                }
            }
            Err(why) => {
                out.refused.insert(key.clone(), why);
            }
        }
        if !open.is_empty() {
            out.open.insert(key.clone(), open);
        }
        out.chosen.insert(key.clone());
        out.world.insert(key.clone(), version);
    }
    out.notes = mapper.notes;
    let gone = world.keys().chain(&mapper.absent);
    out.live = gone.map(|k| (k.clone(), Live::Gone)).collect();
    out
}

/// Names and ids of zones that stand side by side in a spec, both ways.
fn pairs(v: &Value, out: &mut BTreeMap<String, String>) {
    if let (Some(name), Some(id)) = (v["availability_zone"].as_str(), v["availability_zone_id"].as_str()) {
        out.insert(name.to_owned(), id.to_owned());
        out.insert(id.to_owned(), name.to_owned());
    }
    match v {
        Value::Object(m) => m.values().for_each(|v| pairs(v, out)),
        Value::Array(a) => a.iter().for_each(|v| pairs(v, out)),
        _ => {}
    }
}

struct Mapper<'a> {
    world: &'a World,
    chosen: &'a BTreeSet<ResourceKey>,
    copies: &'a [Copy],
    places: &'a Places,
    into: &'a Scope,
    /// Of the source: name to id and id to name.
    zones: BTreeMap<String, String>,
    /// Where the one at hand is, and its id.
    here: Option<&'a Scope>,
    holder: String,
    /// Late targets that are not there.
    absent: BTreeSet<ResourceKey>,
    notes: BTreeSet<String>,
}

impl<'a> Mapper<'a> {
    fn here(&self) -> &'a Scope {
        self.here.unwrap_or(self.into)
    }
    fn same_region(&self) -> bool {
        self.here().region == self.into.region
    }

    fn spec(&mut self, key: &ResourceKey, spec: &Value, open: &mut Vec<String>) -> Result<Value, String> {
        let mut spec = spec.clone();
        for (_, member, why) in OPEN.iter().filter(|(kind, ..)| *kind == key.kind.as_str()) {
            let was = spec.as_object_mut().and_then(|m| m.remove(*member));
            match was {
                None | Some(Value::Null | Value::Bool(false)) => continue,
                Some(Value::String(pool)) if pool == "amazon" => continue,
                Some(was) => {
                    open.push((*member).to_owned());
                    let was = was.as_str().map_or_else(|| was.to_string(), str::to_owned);
                    self.notes.insert(format!("{member} of {} ({was}) differs there: {why}", key.id));
                }
            }
        }
        // A service of the region itself needs no word for it.
        if spec["service_region"].as_str() == Some(self.into.region.as_str()) {
            spec.as_object_mut().and_then(|m| m.remove("service_region"));
        }
        if key.kind.as_str() == VOLUME {
            self.content(key, &mut spec)?;
        }
        self.look_alikes(key, &spec);
        self.value("", &spec)
    }

    fn value(&mut self, member: &str, v: &Value) -> Result<Value, String> {
        if let Some((strength, kind, id)) = as_reference(v) {
            let id = self.reference(strength, kind, id)?;
            let tag = if strength == Strength::Hard { "$ref" } else { "$late" };
            return Ok(serde_json::json!({ tag: kind, "id": id }));
        }
        Ok(match v {
            // What people write there is theirs.
            Value::Object(_) if member == "tags" => v.clone(),
            Value::Object(m) => {
                Value::Object(m.iter().map(|(k, v)| Ok((k.clone(), self.value(k, v)?))).collect::<Result<_, String>>()?)
            }
            Value::Array(a) => Value::Array(a.iter().map(|v| self.value(member, v)).collect::<Result<_, String>>()?),
            Value::String(s) => Value::String(self.text(member, s)?),
            leaf => leaf.clone(),
        })
    }

    fn text(&mut self, member: &str, text: &str) -> Result<String, String> {
        let (here, there) = (self.here(), self.into);
        let Some((_, says)) = PLACES.iter().find(|(m, _)| *m == member) else { return Ok(self.arn(member, text)) };
        Ok(match says {
            Says::ZoneName => self.zone(text)?.name.clone(),
            Says::ZoneId => self.zone(text)?.id.clone(),
            Says::RegionFirst => match text.strip_prefix(here.region.as_str()) {
                Some(rest) => format!("{}{rest}", there.region),
                None => text.to_owned(),
            },
            // A service of somebody's own, in its region only.
            Says::Service if text.contains(".vpce-svc-") && !self.same_region() => {
                return Err(format!("the endpoint service {text} is of {} only", here.region));
            }
            Says::Service => named_there(text, &here.region, &there.region),
            Says::Account if text == here.account.as_str() => there.account.to_string(),
            Says::Region if text == here.region.as_str() => there.region.to_string(),
            Says::Account | Says::Region => text.to_owned(),
        })
    }

    /// The zone there that stands for one of the source: in the same region the same zone, by its id, since each account has
    /// names of its own (H10); in another region the one with the same letters at its end.
    fn zone(&self, text: &str) -> Result<&'a Zone, String> {
        let (region, other) = (self.here().region.as_str(), self.zones.get(text).map(String::as_str));
        let (name, id) = if text.starts_with(region) { (Some(text), other) } else { (other, Some(text)) };
        let zones = &self.places.zones_there;
        let found = if self.same_region() {
            id.and_then(|id| zones.iter().find(|z| z.id == id))
        } else if let Some(letters) = name.and_then(|n| n.strip_prefix(region)) {
            zones.iter().find(|z| z.name.strip_prefix(self.into.region.as_str()) == Some(letters))
        } else {
            let number = |id: &str| id.rsplit_once("-az").map(|(_, n)| n.to_owned());
            let wanted = id.and_then(number);
            zones.iter().find(|z| wanted.is_some() && number(&z.id) == wanted)
        };
        found.ok_or_else(|| {
            let there: Vec<String> = zones.iter().map(|z| format!("{} ({})", z.name, z.id)).collect();
            format!("its zone {text} has no counterpart in {}, which has {}", self.into, there.join(", "))
        })
    }

    /// What a reference names there.
    fn reference(&mut self, strength: Strength, kind: &str, id: &str) -> Result<String, String> {
        let Ok(name) = kind.parse() else { return Ok(id.to_owned()) };
        let target = self.here().key(name, id);
        if self.chosen.contains(&target) {
            // Found there, or refused itself with its reason: then what needs it goes along.
            return Ok(if stays(&target) {
                self.counterpart(&target).unwrap_or_else(|_| id.to_owned())
            } else {
                id.into()
            });
        }
        match self.outside(&target) {
            Ok(id) => Ok(id),
            Err(why) if strength == Strength::Hard => Err(why),
            // The planner drops the row or the member, and names it.
            Err(why) => {
                self.notes.insert(format!("{}: {why}", self.holder));
                self.absent.insert(target);
                Ok(id.to_owned())
            }
        }
    }
    /// What is no part of the restore and was referred to.
    fn outside(&mut self, target: &ResourceKey) -> Result<String, String> {
        let (here, there) = (self.here(), self.into);
        let (kind, id) = (target.kind.as_str(), target.id.as_str());
        let not_there = || format!("it names {kind} {id} of {here}, which is not part of this restore");
        if matches!(kind, IMAGE | SNAPSHOT) {
            return self.counterpart(target);
        }
        if kind == PREFIX_LIST {
            return self.list(id);
        }
        if kind == "kms:key" {
            return self.key(id);
        }
        if kind.starts_with("iam:") && here.account == there.account {
            return Ok(id.to_owned());
        }
        let parts: Vec<&str> = id.splitn(6, ':').collect();
        if let ["arn", _, service, region, account, rest] = parts[..] {
            // Roles and profiles hold in all regions; in another account one of the same name.
            if kind.starts_with("iam:") && account == here.account.as_str() {
                let mapped = format!("arn:{}:{service}:{region}:{}:{rest}", there.partition, there.account);
                if mapped != id {
                    self.notes.insert(format!("{}: {mapped} is taken to be there", self.holder));
                }
                return Ok(mapped);
            }
            if region == here.region.as_str() || (account == here.account.as_str() && here.account != there.account) {
                return Err(not_there());
            }
            return Ok(id.to_owned());
        }
        if kind.starts_with("ec2:") && id.contains('-') {
            return Err(not_there());
        }
        self.notes.insert(format!("{}: {kind} `{id}` is taken to be there", self.holder));
        Ok(id.to_owned())
    }

    /// The image or snapshot there that stands for one of the source.
    fn counterpart(&self, key: &ResourceKey) -> Result<String, String> {
        if key.kind.as_str() == IMAGE {
            return self.image(&key.id).map(|i| i.id.clone());
        }
        self.snapshot(&key.id).map(str::to_owned).ok_or_else(|| self.copy_call(&key.id))
    }
    fn image(&self, id: &str) -> Result<&'a Image, String> {
        let (here, there) = (self.here(), self.into);
        // Public, or shared with the account: an id holds for everybody in its region.
        if let Some(same) = self.places.images_there.iter().find(|i| self.same_region() && i.id == id) {
            return Ok(same);
        }
        let kind = IMAGE.parse().ok();
        let ours = kind.and_then(|k| self.world.get(&here.key(k, id))?.spec()?["name"].as_str());
        let known = || self.places.images.iter().find(|i| i.id == id).map(|i| (i.name.as_str(), i.owner.as_str()));
        let Some((name, owner)) = ours.map(|n| (n, here.account.as_str())).or_else(known) else {
            return Err(format!("image {id} is not to be seen in {here} any more, so nobody knows its name"));
        };
        let own = owner == here.account.as_str();
        let owner_there = if own { there.account.as_str() } else { owner };
        let found = self.places.images_there.iter().find(|i| i.name == name && i.owner == owner_there);
        found.ok_or_else(|| {
            if !own {
                return format!("no image `{name}` of {owner} is in {there} ({id} in {here})");
            }
            format!(
                "image {id} (`{name}`) is not in {there}: `aws ec2 copy-image --region {} --source-region {} --source-image-id {id} --name '{name}'` {}",
                there.region,
                here.region,
                self.who_copies("image and its snapshots are"),
            )
        })
    }
    fn who_copies(&self, what: &str) -> String {
        if self.here().account == self.into.account {
            return "brings it there".to_owned();
        }
        format!("brings it there, run in account {} once the {what} shared with it", self.into.account)
    }
    /// A copy of a snapshot, only where AWS's own words say of which.
    fn snapshot(&self, id: &str) -> Option<&'a str> {
        let copied = [format!("[Copied {id} from "), format!("SourceSnapshot {id}.")];
        let is_copy = |s: &&Snapshot| copied.iter().any(|c| s.description.contains(c));
        let all = &self.places.snapshots_there;
        let same = all.iter().find(|s| self.same_region() && s.id == id);
        same.or_else(|| all.iter().filter(is_copy).min_by_key(|s| &s.id)).map(|s| s.id.as_str())
    }
    fn copy_call(&self, id: &str) -> String {
        let (here, there) = (&self.here().region, &self.into.region);
        format!(
            "no copy of snapshot {id} is in {}: `aws ec2 copy-snapshot --region {there} --source-region {here} --source-snapshot-id {id} --description '[Copied {id} from {here}]'` {}",
            self.into,
            self.who_copies("snapshot is"),
        )
    }
    /// AWS's own prefix lists go by their names (H20); an own one comes along.
    fn list(&self, id: &str) -> Result<String, String> {
        let here = self.here();
        let Some(list) = self.places.lists.iter().find(|l| l.id == id) else {
            return Err(format!("prefix list {id} is not to be seen in {here}, so nobody knows its name"));
        };
        let name = named_there(&list.name, &here.region, &self.into.region);
        let found = self.places.lists_there.iter().find(|l| l.name == name && l.owner == list.owner);
        found
            .map(|l| l.id.clone())
            .ok_or_else(|| format!("no prefix list `{name}` of {} is in {} ({id} in {here})", list.owner, self.into))
    }
    fn key(&mut self, id: &str) -> Result<String, String> {
        let (here, there) = (self.here(), self.into);
        if id == EBS_ALIAS || id.ends_with(&format!(":{EBS_ALIAS}")) {
            return Ok(EBS_ALIAS.to_owned());
        }
        if id.contains("key/mrk-") && here.account == there.account {
            let mapped = id.replacen(here.region.as_str(), there.region.as_str(), 1);
            self.notes.insert(format!("{}: the multi-Region key {mapped} is taken to be there", self.holder));
            return Ok(mapped);
        }
        Err(format!(
            "it is encrypted with {id}, a key of {here}: only {EBS_ALIAS} and a multi-Region key (mrk-) of the same account have a counterpart in {there}"
        ))
    }

    /// A volume is made from a copy of its newest snapshot that has one there. What comes with the launch of its instance
    /// from the image itself stays so: the root, and the devices for which the image holds content.
    fn content(&mut self, key: &ResourceKey, spec: &mut Value) -> Result<(), String> {
        let world = self.world;
        let host = as_reference(&spec["made_with"])
            .and_then(|(_, kind, id)| world.get(&key.scope.key(kind.parse().ok()?, id))?.spec());
        if let Some(host) = host {
            let rows = spec["attachments"].as_array().into_iter().flatten();
            let devices: Vec<&str> = rows.filter_map(|r| r["device"].as_str()).collect();
            let image = as_reference(&host["image_id"]).and_then(|(_, _, id)| self.image(id).ok());
            let is_root = host["root_device_name"].as_str().is_some_and(|d| devices.contains(&d));
            if is_root || image.is_some_and(|i| i.devices.iter().any(|d| devices.contains(&d.as_str()))) {
                self.notes.insert(format!("{} begins with the content of its instance's image", key.id));
                return Ok(());
            }
        }
        let mut copies: Vec<&Copy> = self.copies.iter().filter(|c| c.of == key.id).collect();
        copies.sort_by(|a, b| b.taken.cmp(&a.taken).then_with(|| a.id.cmp(&b.id)));
        let of_it = copies.iter().find_map(|c| Some((c.id.clone(), self.snapshot(&c.id)?)));
        let first = || {
            let first = spec["snapshot_id"].as_str()?;
            Some((first.to_owned(), self.snapshot(first)?))
        };
        match of_it.or_else(first) {
            Some((of, there)) => {
                self.notes.insert(format!("{} begins with the content of {of}, from its copy {there}", key.id));
                spec["snapshot_id"] = there.into();
                // On its own: the launch would look for a snapshot of the volume itself.
                spec.as_object_mut().and_then(|m| m.remove("made_with"));
                Ok(())
            }
            None => Err(match copies.first() {
                Some(newest) => self.copy_call(&newest.id),
                None => {
                    format!("it has no snapshot to copy: `aws ec2 create-snapshot --volume-id {}` makes one", key.id)
                }
            }),
        }
    }

    /// A name in an ARN of the source holds there when it is of something that is built; all else is reported.
    fn arn(&mut self, member: &str, text: &str) -> String {
        let (here, there) = (self.here(), self.into);
        let says_place = |s: &str| s == here.region.as_str() || s == here.account.as_str();
        if !text.contains("arn:") || !text.split([':', '/', '"', ',']).any(says_place) {
            return text.to_owned();
        }
        let is_alias = |k: &ResourceKey| self.world.get(k).is_some_and(|v| v.aliases().iter().any(|a| a.0 == text));
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        if let ([arn, partition, service, _, _, rest], true) = (&parts[..], self.chosen.iter().any(is_alias)) {
            return format!("{arn}:{partition}:{service}:{}:{}:{rest}", there.region, there.account);
        }
        self.notes.insert(format!("{member} of {} names {here} in an ARN; it is not rewritten", self.holder));
        text.to_owned()
    }

    fn look_alikes(&mut self, key: &ResourceKey, spec: &Value) {
        if key.kind.as_str() != "ec2:vpc" {
            return;
        }
        let Some(cidr) = spec["cidr_block"].as_str() else { return };
        for same in self.places.networks_there.iter().filter(|n| n.cidr == cidr) {
            self.notes.insert(format!(
                "{} in {} has the block {cidr} too, which {} will have: AWS allows that, as long as nothing connects the two",
                same.id, self.into, key.id
            ));
        }
    }
}
