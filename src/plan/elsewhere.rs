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

/// Whether a member is mapped or chosen anew: for the test of the kinds.
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

/// Puts the chosen of a world, all of one account and region, into the words of `into`.
pub fn map(world: &World, chosen: BTreeSet<ResourceKey>, copies: &[Copy], places: &Places, into: &Scope) -> Elsewhere {
    let mut zones = BTreeMap::new();
    // Each account has names of its own for zones, so only of the source's.
    let source = |key: &ResourceKey| chosen.first().is_some_and(|c| c.scope == key.scope);
    for spec in world.iter().filter(|(key, _)| source(key)).filter_map(|(_, v)| v.spec()) {
        pairs(spec, &mut zones);
    }
    let mut mapper = Mapper {
        world,
        chosen: &chosen,
        copies,
        places,
        into,
        zones,
        here: into,
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
        mapper.here = &key.scope;
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
    for key in world.keys() {
        mapper.here = &key.scope;
        // What was shared has the same id there.
        if !stays(key) || mapper.counterpart(key).is_err() {
            out.live.insert(key.clone(), Live::Gone);
        }
    }
    out.live.extend(mapper.absent.into_iter().map(|k| (k, Live::Gone)));
    out.notes = mapper.notes;
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
    here: &'a Scope,
    holder: String,
    /// Late targets that are not there.
    absent: BTreeSet<ResourceKey>,
    notes: BTreeSet<String>,
}

impl<'a> Mapper<'a> {
    fn same_region(&self) -> bool {
        self.here.region == self.into.region
    }

    fn spec(&mut self, key: &ResourceKey, spec: &Value, open: &mut Vec<String>) -> Result<Value, String> {
        let mut spec = spec.clone();
        for (_, member, why) in OPEN.iter().filter(|(kind, ..)| *kind == key.kind.as_str()) {
            // False, and Amazon's own pool, are the same everywhere.
            if spec[*member].is_null() || spec[*member] == false || spec[*member] == "amazon" {
                continue;
            }
            let Some(was) = spec.as_object_mut().and_then(|m| m.remove(*member)) else { continue };
            open.push((*member).to_owned());
            let was = was.as_str().map_or_else(|| was.to_string(), str::to_owned);
            self.notes.insert(format!("{member} of {} ({was}) differs there: {why}", key.id));
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
        let (here, there) = (self.here, self.into);
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
        let (region, other) = (self.here.region.as_str(), self.zones.get(text).map(String::as_str));
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
        let target = self.here.key(name, id);
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
        let (here, there) = (self.here, self.into);
        let (kind, id) = (target.kind.as_str(), target.id.as_str());
        let not_there = || format!("it names {kind} {id} of {here}, which is not part of this restore");
        // A parameter of AWS's, which holds the image of each region.
        if kind == IMAGE && id.starts_with("resolve:ssm:") {
            self.notes.insert(format!("{}: {id} is taken to be there", self.holder));
            return Ok(id.to_owned());
        }
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
        let (here, there) = (self.here, self.into);
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
        if self.here.account == self.into.account {
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
        let (here, there) = (&self.here.region, &self.into.region);
        format!(
            "no copy of snapshot {id} is in {}: `aws ec2 copy-snapshot --region {there} --source-region {here} --source-snapshot-id {id} --description '[Copied {id} from {here}]'` {}",
            self.into,
            self.who_copies("snapshot is"),
        )
    }
    /// AWS's own prefix lists go by their names (H20); an own one comes along.
    fn list(&self, id: &str) -> Result<String, String> {
        let here = self.here;
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
        let (here, there) = (self.here, self.into);
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
        let (here, there) = (self.here, self.into);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Alias, Cause, Timestamp};
    use serde_json::json;

    const HERE: &str = "aws/111122223333/eu-west-1";
    const REGION: &str = "aws/111122223333/eu-central-1";
    const ACCOUNT: &str = "aws/222233334444/eu-west-1";

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }
    fn key(kind: &str, id: &str) -> ResourceKey {
        scope(HERE).key(kind.parse().unwrap(), id)
    }
    fn hard(kind: &str, id: &str) -> Value {
        json!({ "$ref": kind, "id": id })
    }
    fn late(kind: &str, id: &str) -> Value {
        json!({ "$late": kind, "id": id })
    }
    fn world(all: &[(&str, &str, Value)]) -> World {
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let version = |kind: &str, id: &str, spec: &Value| Version {
            key: key(kind, id),
            read_began: at,
            captured_at: at,
            seen_at: at,
            cause: Cause::Plan,
            state: State::Present {
                hash: crate::model::Hash::of(spec),
                spec_version: 1,
                spec: spec.clone(),
                unmapped: Value::Null,
                aliases: vec![Alias(format!("arn:aws:ec2:eu-west-1:111122223333:{kind}/{id}"))],
            },
        };
        all.iter().map(|(kind, id, spec)| (key(kind, id), version(kind, id, spec))).collect()
    }
    fn places() -> Places {
        let zone = |name: &str, id: &str| Zone { name: name.into(), id: id.into() };
        let image = |id: &str, name: &str, owner: &str| Image {
            id: id.into(),
            name: name.into(),
            owner: owner.into(),
            devices: vec![],
        };
        let list = |id: &str, name: &str| PrefixList { id: id.into(), name: name.into(), owner: "AWS".into() };
        let snapshot = |id: &str, description: &str| Snapshot { id: id.into(), description: description.into() };
        Places {
            images: vec![image("ami-public", "linux", "137112412989"), image("ami-only", "rare", "137112412989")],
            lists: vec![list("pl-s3", "com.amazonaws.eu-west-1.s3")],
            zones_there: vec![zone("eu-central-1a", "euc1-az2"), zone("eu-central-1b", "euc1-az3")],
            images_there: vec![
                image("ami-public-there", "linux", "137112412989"),
                image("ami-faked", "shop", "999999999999"),
                image("ami-shop-there", "web", "111122223333"),
            ],
            lists_there: vec![list("pl-s3-there", "com.amazonaws.eu-central-1.s3")],
            snapshots_there: vec![
                snapshot("snap-c2", "[Copied snap-0a from eu-west-1]"),
                snapshot(
                    "snap-c1",
                    "Copied for DestinationAmi ami-9 from SourceAmi ami-8 for SourceSnapshot snap-0b. Task created",
                ),
                snapshot("snap-c0", "taken before snap-0c was made"),
            ],
            networks_there: vec![Network { id: "vpc-old".into(), cidr: "10.0.0.0/16".into() }],
        }
    }
    /// All of a world in the words of another place.
    fn mapped_to(all: &[(&str, &str, Value)], copies: &[Copy], places: &Places, into: &str) -> Elsewhere {
        let world = world(all);
        let chosen = world.keys().cloned().collect();
        map(&world, chosen, copies, places, &scope(into))
    }
    fn spec_of(e: &Elsewhere, kind: &str, id: &str) -> Value {
        assert_eq!(e.refused.get(&key(kind, id)), None);
        e.world[&key(kind, id)].spec().unwrap().clone()
    }

    #[test]
    fn h10_zones_go_by_their_letter_in_another_region_and_by_their_id_in_another_account() {
        let subnet = |name: &str, id: &str| json!({"availability_zone": name, "availability_zone_id": id});
        let all = [
            ("ec2:subnet", "a", subnet("eu-west-1a", "euw1-az3")),
            ("ec2:subnet", "c", subnet("eu-west-1c", "euw1-az1")),
            // Only the name: the subnets say its id.
            ("ec2:instance", "i", json!({"placement": {"availability_zone": "eu-west-1a"}})),
        ];
        let there = mapped_to(&all, &[], &places(), REGION);
        assert_eq!(spec_of(&there, "ec2:subnet", "a"), subnet("eu-central-1a", "euc1-az2"));
        assert_eq!(spec_of(&there, "ec2:instance", "i")["placement"]["availability_zone"], "eu-central-1a");
        let why = &there.refused[&key("ec2:subnet", "c")];
        assert!(
            why.contains("zone eu-west-1c has no counterpart") && why.contains("eu-central-1b (euc1-az3)"),
            "{why}"
        );

        let zones_there = vec![Zone { name: "eu-west-1b".into(), id: "euw1-az3".into() }];
        let there = mapped_to(&all, &[], &Places { zones_there, ..Places::default() }, ACCOUNT);
        assert_eq!(spec_of(&there, "ec2:subnet", "a"), subnet("eu-west-1b", "euw1-az3"));
        assert_eq!(spec_of(&there, "ec2:instance", "i")["placement"]["availability_zone"], "eu-west-1b");
        assert!(there.refused.contains_key(&key("ec2:subnet", "c")));
    }

    #[test]
    fn images_go_by_name_and_owner_and_an_own_one_that_is_not_there_is_refused_with_the_call() {
        let image = |id: &str| json!({"image_id": hard("ec2:image", id)});
        let all = [
            ("ec2:image", "ami-web", json!({"name": "web"})),
            ("ec2:image", "ami-shop", json!({"name": "shop"})),
            ("ec2:instance", "public", image("ami-public")),
            ("ec2:instance", "web", image("ami-web")),
            ("ec2:instance", "shop", image("ami-shop")),
            ("ec2:instance", "only", image("ami-only")),
            ("ec2:instance", "lost", image("ami-lost")),
            ("ec2:launch-template", "named", image("resolve:ssm:/aws/service/linux")),
        ];
        let there = mapped_to(&all, &[], &places(), REGION);
        assert_eq!(spec_of(&there, "ec2:instance", "public"), image("ami-public-there"));
        assert_eq!(spec_of(&there, "ec2:instance", "web"), image("ami-shop-there"));
        assert_eq!(spec_of(&there, "ec2:launch-template", "named"), all[7].2);
        assert!(!there.chosen.contains(&key("ec2:image", "ami-web")), "it is there and nothing is made for it");
        let why = |kind: &str, id: &str| there.refused[&key(kind, id)].as_str();
        let call = "`aws ec2 copy-image --region eu-central-1 --source-region eu-west-1 --source-image-id ami-shop --name 'shop'`";
        assert!(why("ec2:image", "ami-shop").contains(call), "{}", why("ec2:image", "ami-shop"));
        // The planner takes its instance along, since it needs the image.
        assert!(!there.refused.contains_key(&key("ec2:instance", "shop")));
        assert!(why("ec2:instance", "only").contains("no image `rare` of 137112412989"));
        assert!(why("ec2:instance", "lost").contains("ami-lost is not to be seen"));
        let mut shared = places();
        shared.images_there.push(Image {
            id: "ami-web".into(),
            name: "web".into(),
            owner: "111122223333".into(),
            devices: vec![],
        });
        let there = mapped_to(&all, &[], &shared, ACCOUNT);
        assert_eq!(spec_of(&there, "ec2:instance", "web"), image("ami-web"), "shared: the same id");
        assert!(!there.live.contains_key(&key("ec2:image", "ami-web")));
        let why = &there.refused[&key("ec2:image", "ami-shop")];
        assert!(
            why.contains("run in account 222233334444 once the image and its snapshots are shared with it"),
            "{why}"
        );
    }

    #[test]
    fn h20_prefix_lists_of_aws_and_services_go_by_their_names() {
        let all = [
            (
                "ec2:security-group",
                "g",
                json!({"egress": [{"list": late("ec2:managed-prefix-list", "pl-s3")}, {"list": late("ec2:managed-prefix-list", "pl-else")}]}),
            ),
            ("ec2:vpc-endpoint", "e", json!({"service_name": "com.amazonaws.eu-west-1.s3"})),
            ("ec2:vpc-endpoint", "own", json!({"service_name": "com.amazonaws.vpce.eu-west-1.vpce-svc-0a"})),
        ];
        let there = mapped_to(&all, &[], &places(), REGION);
        let group = spec_of(&there, "ec2:security-group", "g");
        assert_eq!(group["egress"][0]["list"], late("ec2:managed-prefix-list", "pl-s3-there"));
        // Dropped by the planner, which takes it to be dead; the note says why.
        assert!(matches!(there.live[&key("ec2:managed-prefix-list", "pl-else")], Live::Gone));
        assert!(there.notes.iter().any(|n| n.contains("pl-else is not to be seen")), "{:?}", there.notes);
        assert_eq!(spec_of(&there, "ec2:vpc-endpoint", "e")["service_name"], "com.amazonaws.eu-central-1.s3");
        assert!(there.refused[&key("ec2:vpc-endpoint", "own")].contains("of eu-west-1 only"));
    }

    #[test]
    fn a_volume_is_made_from_the_newest_copy_that_is_certain_and_from_nothing_else() {
        let copy =
            |of: &str, taken: &str, id: &str| Copy { of: of.into(), taken: taken.parse().unwrap(), id: id.into() };
        let copies = [
            copy("vol-1", "2026-01-01T00:00:00Z", "snap-0a"),
            copy("vol-1", "2026-02-01T00:00:00Z", "snap-0b"),
            copy("vol-1", "2026-03-01T00:00:00Z", "snap-0c"),
            copy("vol-2", "2026-03-01T00:00:00Z", "snap-0c"),
        ];
        let with = |host: &str, device: &str| json!({"made_with": hard("ec2:instance", host), "attachments": [{"device": device}]});
        let all = [
            ("ec2:instance", "i", json!({"root_device_name": "/dev/xvda"})),
            ("ec2:volume", "vol-root", with("i", "/dev/xvda")),
            ("ec2:volume", "vol-1", with("i", "/dev/sdf")),
            ("ec2:volume", "vol-2", json!({})),
            ("ec2:volume", "vol-3", json!({})),
        ];
        let there = mapped_to(&all, &copies, &places(), REGION);
        assert_eq!(spec_of(&there, "ec2:volume", "vol-root"), with("i", "/dev/xvda"), "its launch makes it");
        // Of its newest snapshot nobody can be sure that there is a copy.
        assert_eq!(
            spec_of(&there, "ec2:volume", "vol-1"),
            json!({"attachments": [{"device": "/dev/sdf"}], "snapshot_id": "snap-c1"})
        );
        let why = |id: &str| there.refused[&key("ec2:volume", id)].as_str();
        let call = "`aws ec2 copy-snapshot --region eu-central-1 --source-region eu-west-1 --source-snapshot-id snap-0c --description '[Copied snap-0c from eu-west-1]'`";
        assert!(why("vol-2").contains(call), "{}", why("vol-2"));
        assert!(why("vol-3").contains("aws ec2 create-snapshot --volume-id vol-3"));
    }

    #[test]
    fn keys_have_a_counterpart_only_as_the_default_or_in_several_regions() {
        let with = |id: &str| json!({"kms_key_id": hard("kms:key", id)});
        let arn = |id: &str| format!("arn:aws:kms:eu-west-1:111122223333:{id}");
        let all = [
            ("ec2:network-interface", "default", with(&arn("alias/aws/ebs"))),
            ("ec2:network-interface", "multi", with(&arn("key/mrk-0a"))),
            ("ec2:network-interface", "own", with(&arn("key/0a"))),
        ];
        let there = mapped_to(&all, &[], &places(), REGION);
        assert_eq!(spec_of(&there, "ec2:network-interface", "default"), with("alias/aws/ebs"));
        assert_eq!(
            spec_of(&there, "ec2:network-interface", "multi"),
            with("arn:aws:kms:eu-central-1:111122223333:key/mrk-0a")
        );
        assert!(there.refused[&key("ec2:network-interface", "own")].contains("multi-Region key"));
        let there = mapped_to(&all, &[], &places(), ACCOUNT);
        assert!(there.refused.contains_key(&key("ec2:network-interface", "multi")));
    }

    #[test]
    fn arns_that_name_what_is_built_are_rewritten_and_others_are_reported() {
        let role = |account: &str| hard("iam:role", &format!("arn:aws:iam::{account}:role/logs"));
        let group = |scope: &str| format!("arn:aws:ec2:{scope}:ec2:placement-group/pg");
        let all = [
            ("ec2:placement-group", "pg", json!({"tags": {"availability_zone": "eu-west-1z"}})),
            (
                "ec2:capacity-reservation",
                "cr",
                json!({"group": group("eu-west-1:111122223333"), "other": "arn:aws:sns:eu-west-1:111122223333:t"}),
            ),
            ("ec2:flow-log", "fl", json!({"role": role("111122223333"), "group": hard("logs:log-group", "flow")})),
            (
                "ec2:customer-gateway",
                "cgw",
                json!({"certificate": hard("acm-pca:certificate", "arn:aws:acm-pca:eu-west-1:111122223333:c/1")}),
            ),
        ];
        let there = mapped_to(&all, &[], &places(), ACCOUNT);
        let reservation = spec_of(&there, "ec2:capacity-reservation", "cr");
        assert_eq!(reservation["group"], group("eu-west-1:222233334444"));
        assert_eq!(reservation["other"], "arn:aws:sns:eu-west-1:111122223333:t");
        assert!(
            there.notes.iter().any(|n| n.starts_with("other of cr names aws/111122223333/eu-west-1 in an ARN")),
            "{:?}",
            there.notes
        );
        assert_eq!(
            spec_of(&there, "ec2:flow-log", "fl"),
            json!({"role": role("222233334444"), "group": hard("logs:log-group", "flow")})
        );
        assert!(there.refused[&key("ec2:customer-gateway", "cgw")].contains("not part of this restore"));
        // What people write in tags is theirs.
        assert_eq!(spec_of(&there, "ec2:placement-group", "pg")["tags"]["availability_zone"], "eu-west-1z");
    }

    #[test]
    fn h2_h14_what_cannot_be_the_same_is_left_open_and_said() {
        let all = [
            ("ec2:vpc", "vpc-1", json!({"cidr_block": "10.0.0.0/16", "is_default": true})),
            ("ec2:vpc", "vpc-2", json!({"cidr_block": "10.1.0.0/16", "is_default": false})),
            (
                "ec2:elastic-ip",
                "eip",
                json!({"public_ip": "203.0.113.7", "public_ipv4_pool": "amazon", "network_border_group": "eu-west-1"}),
            ),
        ];
        let there = mapped_to(&all, &[], &places(), REGION);
        assert_eq!(spec_of(&there, "ec2:vpc", "vpc-1"), json!({"cidr_block": "10.0.0.0/16"}));
        assert_eq!(spec_of(&there, "ec2:vpc", "vpc-2"), all[1].2);
        assert_eq!(
            spec_of(&there, "ec2:elastic-ip", "eip"),
            json!({"public_ipv4_pool": "amazon", "network_border_group": "eu-central-1"})
        );
        let open: Vec<_> = there.open.iter().map(|(k, m)| (k.id.as_str(), m.join(" "))).collect();
        assert_eq!(open, [("eip", "public_ip".to_owned()), ("vpc-1", "is_default".to_owned())]);
        let said = there.notes.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        assert!(
            said.contains("public_ip of eip (203.0.113.7) differs there")
                && said.contains("it becomes an ordinary VPC"),
            "{said}"
        );
        assert!(
            said.contains(
                "vpc-old in aws/111122223333/eu-central-1 has the block 10.0.0.0/16 too, which vpc-1 will have"
            ),
            "{said}"
        );
    }

    #[test]
    fn a_choice_takes_along_what_it_needs_and_not_the_network_next_door() {
        let vpc = |id: &str| hard("ec2:vpc", id);
        let all = world(&[
            ("ec2:vpc", "shop", json!({"options": late("ec2:dhcp-options", "dopt")})),
            ("ec2:vpc", "hub", json!({})),
            ("ec2:dhcp-options", "dopt", json!({})),
            ("ec2:internet-gateway", "igw", json!({"vpc": late("ec2:vpc", "shop")})),
            ("ec2:managed-prefix-list", "pl", json!({})),
            (
                "ec2:security-group",
                "g",
                json!({"vpc": vpc("shop"), "rules": [late("ec2:managed-prefix-list", "pl"), late("ec2:security-group", "hub-g")]}),
            ),
            ("ec2:security-group", "hub-g", json!({"vpc": vpc("hub"), "rules": [late("ec2:security-group", "g")]})),
            ("ec2:image", "ami", json!({"snapshot": hard("ec2:snapshot", "snap")})),
            ("ec2:snapshot", "snap", json!({})),
            ("ec2:subnet", "s", json!({"vpc": vpc("shop")})),
            ("ec2:subnet", "hub-s", json!({"vpc": vpc("hub")})),
            ("ec2:instance", "i", json!({"subnet": hard("ec2:subnet", "s"), "image": hard("ec2:image", "ami")})),
        ]);
        let ids = |seeds: &[ResourceKey], reach| -> Vec<String> {
            select(&all, seeds.to_vec(), reach).into_iter().map(|k| k.id).collect()
        };
        let sorted = |mut v: Vec<String>| {
            v.sort();
            v
        };
        let of_vpc = sorted(ids(&[key("ec2:vpc", "shop")], Reach::Belonging));
        assert_eq!(of_vpc, ["ami", "dopt", "g", "i", "igw", "pl", "s", "shop"]);
        // A resource takes along what it needs, and nothing that only belongs to that.
        let of_group = sorted(ids(&[key("ec2:security-group", "g")], Reach::Needed));
        assert_eq!(of_group, ["dopt", "g", "pl", "shop"]);
    }
}
