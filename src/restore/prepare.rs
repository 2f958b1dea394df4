//! Gathers what a plan is a function of: the world at the restore point, what is live now, what others did since.
use crate::{
    aws::{self, Failure},
    capture::{Capture, CaptureError, Follower},
    kinds::{Which, registry},
    model::{
        At, Cause, Incident, IncidentId, KindName, PointName, ResourceKey, Scope, Timestamp, Version,
        incident::{Reached, Recreated, Target, Touched},
        reference::{Remap, references},
    },
    plan::{
        self, Input, Live, Plan, Reach, Subject, Verb, aftermath,
        elsewhere::{self, Destination},
        readiness::{Copies, Copy},
    },
    store::{Store, StoreError},
};
use jiff::SignedDuration;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Why no plan could be made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no snapshot knows {what} {when}; `rollbackd snapshots` lists what there is, `--at` chooses another time")]
    Unknown { what: String, when: String },
    #[error("{0} is there: say with `--at` which state of it to go back to (`rollbackd history {0}` lists them)")]
    StillThere(String),
    #[error("`--at` is needed to restore {0}: an RFC 3339 time, a time ago such as `2h`, or a named point")]
    NeedsPoint(String),
    #[error(
        "incident {0} is restored where it happened, since what survived must be rewired there; to build elsewhere what it destroyed, name resources, a VPC, a tag or a scope at `before-incident:{0}`"
    )]
    IncidentElsewhere(IncidentId),
    #[error("what is selected is in {}: a restore elsewhere takes one account and region at a time", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))]
    SeveralPlaces(BTreeSet<Scope>),
    #[error("{0} is where it is already; leave --into-region and --into-account out to restore it there")]
    SamePlace(Scope),
    #[error(transparent)]
    Aws(#[from] Failure),
    #[error("there is no restore point `{0}`; `rollbackd snapshots` lists labels, `rollbackd incidents` incidents")]
    NoSuchPoint(PointName),
}

/// What to plan.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Wanted {
    pub subject: Subject,
    #[serde(default)]
    pub at: Option<At>,
    /// Survivors whose conflicts are to be overwritten.
    #[serde(default)]
    pub overwrite: BTreeSet<ResourceKey>,
    /// Where to build it, if elsewhere than it was.
    #[serde(default)]
    pub into: Option<Destination>,
}

/// An incident's plan, and what the plan says of the incident.
pub struct Told {
    pub plan: Plan,
    pub lost: Vec<Touched>,
    pub changed: Vec<Touched>,
    pub reached: Vec<Reached>,
    pub recreated: Vec<Recreated>,
    pub beyond: Vec<String>,
}

/// Makes plans from the store and AWS.
#[derive(Clone)]
pub struct Preparer {
    pub capture: Capture,
    /// Clocks of AWS's hosts and whole seconds in records: what was captured this shortly before an act may be after it.
    pub margin: SignedDuration,
}

type World = BTreeMap<ResourceKey, Version>;

impl Preparer {
    fn store(&self) -> &Store {
        &self.capture.store
    }

    /// A plan for what somebody asked for.
    pub async fn plan(&self, wanted: &Wanted) -> Result<Plan, PrepareError> {
        if let (Subject::Incident(id), Some(_)) = (&wanted.subject, &wanted.into) {
            return Err(PrepareError::IncidentElsewhere(id.clone()));
        }
        if let Subject::Incident(id) = &wanted.subject
            && wanted.at.is_none()
        {
            let incident = self
                .store()
                .incident(id)?
                .ok_or_else(|| PrepareError::NoSuchPoint(PointName::BeforeIncident(id.clone())))?;
            return Ok(self.incident_over(&incident, &wanted.overwrite).await?.plan);
        }
        let at = self.instant(wanted)?;
        let point = match &wanted.at {
            Some(At::Named(name)) => format!("{name} ({at})"),
            _ => at.to_string(),
        };
        let world = self.world(self.scopes_of(&wanted.subject)?, at)?;
        let seeds: BTreeSet<ResourceKey> = match &wanted.subject {
            Subject::Incident(id) => self
                .store()
                .incident(id)?
                .map(|i| self.touched(&i))
                .transpose()?
                .unwrap_or_default()
                .into_keys()
                .collect(),
            Subject::Resources(keys) => keys.iter().cloned().collect(),
            Subject::Vpc(key) => [key.clone()].into(),
            Subject::Tag { key, value } => world
                .values()
                .filter(|v| v.spec().is_some_and(|s| s["tags"][key] == **value))
                .map(|v| v.key.clone())
                .collect(),
            Subject::Scope(_) => world.keys().cloned().collect(),
        };
        let unknown = || PrepareError::Unknown { what: wanted.subject.to_string(), when: format!("at {at}") };
        if !seeds.iter().any(|k| world.contains_key(k)) {
            return Err(unknown());
        }
        let reach = match &wanted.subject {
            Subject::Resources(_) => Reach::Needed,
            Subject::Incident(_) => Reach::WentAlong,
            _ => Reach::Belonging,
        };
        if let Some(into) = &wanted.into {
            return self.elsewhere(wanted, into, point, world, seeds, reach).await;
        }
        self.make(wanted.subject.clone(), point, world, seeds, reach, None, &wanted.overwrite).await
    }

    /// The plan of an incident, to what was there before it, and what it says was lost.
    pub async fn incident(&self, incident: &Incident) -> Result<Told, PrepareError> {
        self.incident_over(incident, &BTreeSet::new()).await
    }
    async fn incident_over(
        &self,
        incident: &Incident,
        overwrite: &BTreeSet<ResourceKey>,
    ) -> Result<Told, PrepareError> {
        let before = incident.first - self.margin;
        let scopes: BTreeSet<Scope> = incident.acts.iter().map(|a| a.scope.clone()).collect();
        let mut world = self.world(scopes, before)?;
        let touched = self.touched(incident)?;
        for (key, first) in &touched {
            // Touched before the first destructive record: its own point is earlier (design §8).
            if *first < incident.first
                && let Some(v) = self.store().at(key, *first - self.margin)?.filter(|v| !v.is_gone())
            {
                world.insert(key.clone(), v);
            }
        }
        let seeds: BTreeSet<ResourceKey> = touched.keys().filter(|k| world.contains_key(*k)).cloned().collect();
        let point = format!("before incident {} ({before})", incident.id);
        let plan = self
            .make(
                Subject::Incident(incident.id.clone()),
                point,
                world.clone(),
                seeds,
                Reach::WentAlong,
                Some(incident),
                overwrite,
            )
            .await?;
        let mut lost = BTreeSet::new();
        let mut changed = BTreeSet::new();
        for step in &plan.steps {
            let one = Touched { resource: step.resource.clone(), name: step.name.clone() };
            match step.verb {
                Verb::Claim | Verb::Create | Verb::Adopt | Verb::Skip => lost.insert(one),
                Verb::Converge | Verb::Rewire => changed.insert(one),
                Verb::Link => false,
            };
        }
        let mut beyond = BTreeSet::new();
        for act in incident.acts.iter().filter(|a| a.error.is_none()) {
            for target in &act.targets {
                match target {
                    Target::Resource(key) if act.destroyed() => {
                        if registry::kind(&key.kind).is_none() {
                            beyond.insert(format!("{} {} ({})", key.kind, key.id, act.name));
                        } else if !world.contains_key(key) && self.store().history(key)?.is_empty() {
                            beyond.insert(format!("{} {} ({}): no snapshot knows it", key.kind, key.id, act.name));
                        }
                    }
                    Target::Resource(_) => {}
                    Target::Named { kind, name } if act.destroyed() && self.store().find(name)?.is_empty() => {
                        let kind = kind.as_ref().map_or(act.source.as_str(), |k| k.as_str());
                        beyond.insert(format!("{kind} {name} ({})", act.name));
                    }
                    Target::Named { .. } => {}
                }
            }
        }
        let gone: BTreeSet<ResourceKey> = lost.iter().map(|t| t.resource.clone()).collect();
        Ok(Told {
            reached: aftermath::reached(&world, &gone),
            recreated: self.recreated(incident, &gone, &world)?,
            plan,
            lost: lost.into_iter().collect(),
            changed: changed.into_iter().collect(),
            beyond: beyond.into_iter().collect(),
        })
    }

    /// What of the losses the agent made again.
    fn recreated(
        &self,
        incident: &Incident,
        lost: &BTreeSet<ResourceKey>,
        world: &World,
    ) -> Result<Vec<Recreated>, PrepareError> {
        let mut made: Vec<Version> = vec![];
        for touched in &incident.made {
            // It may be gone by now; what it was when it was there is what counts.
            let history = self.store().history(&touched.resource)?;
            made.extend(history.into_iter().find(|v| !v.is_gone()));
        }
        fn thing(v: &Version) -> aftermath::Thing<'_> {
            aftermath::Thing { key: &v.key, name: v.name(), spec: v.spec() }
        }
        let lost: Vec<_> = lost.iter().filter_map(|key| world.get(key)).map(thing).collect();
        let made: Vec<_> = made.iter().map(thing).collect();
        let natural = |kind: &KindName, spec: &Value| (registry::kind(kind)?.facts().natural_key)(spec);
        Ok(aftermath::recreated(&lost, &made, natural))
    }

    /// Resources that the incident's successful calls named, with the first time, associations resolved by the store.
    fn touched(&self, incident: &Incident) -> Result<BTreeMap<ResourceKey, Timestamp>, PrepareError> {
        let mut out: BTreeMap<ResourceKey, Timestamp> = BTreeMap::new();
        let mut add = |key: ResourceKey, at: Timestamp| {
            let first = out.entry(key).or_insert(at);
            *first = (*first).min(at);
        };
        for act in incident.acts.iter().filter(|a| a.error.is_none()) {
            for target in &act.targets {
                match target {
                    Target::Resource(key) => add(key.clone(), act.time),
                    Target::Named { kind, name } => {
                        let here = self.store().find(name)?.into_iter().filter(|k| k.scope == act.scope);
                        // A name is not an id: others of other kinds may have it too.
                        let (of_kind, others): (Vec<_>, Vec<_>) = here.partition(|k| Some(&k.kind) == kind.as_ref());
                        let found = if of_kind.is_empty() { others } else { of_kind };
                        found.into_iter().for_each(|key| add(key, act.time));
                    }
                }
            }
        }
        Ok(out)
    }

    fn scopes_of(&self, subject: &Subject) -> Result<BTreeSet<Scope>, PrepareError> {
        Ok(match subject {
            Subject::Incident(id) => {
                self.store().incident(id)?.into_iter().flat_map(|i| i.acts).map(|a| a.scope).collect()
            }
            Subject::Resources(keys) => keys.iter().map(|k| k.scope.clone()).collect(),
            Subject::Vpc(key) => [key.scope.clone()].into(),
            Subject::Tag { .. } => self.store().scopes()?.into_iter().collect(),
            Subject::Scope(scope) => [scope.clone()].into(),
        })
    }
    fn world(&self, scopes: impl IntoIterator<Item = Scope>, at: Timestamp) -> Result<World, PrepareError> {
        let mut world = World::new();
        for scope in scopes {
            world.extend(self.store().world_at(&scope, at)?.into_iter().map(|v| (v.key.clone(), v)));
        }
        Ok(world)
    }

    /// The instant of a restore point; where none is given, when the resource was last seen.
    fn instant(&self, wanted: &Wanted) -> Result<Timestamp, PrepareError> {
        match &wanted.at {
            Some(at) => resolve(self.store(), self.margin, at),
            // What is there may be built elsewhere as it is.
            None if wanted.into.is_some() => Ok(Timestamp::now()),
            None => {
                let keys = match &wanted.subject {
                    Subject::Resources(keys) => keys.clone(),
                    Subject::Vpc(key) => vec![key.clone()],
                    other => return Err(PrepareError::NeedsPoint(other.to_string())),
                };
                let mut at: Option<Timestamp> = None;
                for key in keys {
                    let history = self.store().history(&key)?;
                    let newest = history
                        .first()
                        .ok_or_else(|| PrepareError::Unknown { what: key.id.clone(), when: "at any time".into() })?;
                    if !newest.is_gone() {
                        return Err(PrepareError::StillThere(key.id.clone()));
                    }
                    let Some(last) = history.iter().find(|v| !v.is_gone()) else { continue };
                    let seen = self.whole_sweep(last.seen_at)?;
                    at = Some(at.map_or(seen, |t| t.min(seen)));
                }
                at.ok_or_else(|| PrepareError::NeedsPoint(wanted.subject.to_string()))
            }
        }
    }
    /// Kinds of one sweep are read at slightly different times: an instant within a sweep means its end.
    fn whole_sweep(&self, at: Timestamp) -> Result<Timestamp, PrepareError> {
        let sweeps = self.store().sweeps(1000)?;
        Ok(sweeps.iter().find_map(|s| s.ended.filter(|end| s.started <= at && at <= *end)).unwrap_or(at))
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where a plan's inputs come together")]
    async fn make(
        &self,
        subject: Subject,
        point: String,
        world: World,
        seeds: BTreeSet<ResourceKey>,
        reach: Reach,
        incident: Option<&Incident>,
        overwrite: &BTreeSet<ResourceKey>,
    ) -> Result<Plan, PrepareError> {
        let scopes: BTreeSet<Scope> = world.keys().map(|k| k.scope.clone()).collect();
        let mut remap = Remap::default();
        for scope in &scopes {
            remap.extend(self.store().remaps(scope)?);
        }
        let today = |key: &ResourceKey| key.scope.key(key.kind.clone(), remap.latest(key.kind.as_str(), &key.id));
        let near: BTreeSet<ResourceKey> =
            connected(&world, &seeds).into_iter().filter(|k| registry::kind(&k.kind).is_some()).collect();
        let read = self.capture.refresh(&near.iter().map(today).collect(), &Cause::Plan).await?;
        let read: BTreeMap<&ResourceKey, &Version> = read.iter().map(|v| (&v.key, v)).collect();
        let mut live: BTreeMap<ResourceKey, Live> = BTreeMap::new();
        for key in &near {
            let now = today(key);
            match read.get(&now).map(|v| v.spec()) {
                Some(Some(spec)) => live.insert(key.clone(), Live::Present { id: now.id, spec: spec.clone() }),
                Some(None) => live.insert(key.clone(), Live::Gone),
                None => None,
            };
        }
        // What no kind of ours can read is gone when a record said so: the plan must name it, not forget it.
        for key in incident.map(|i| self.touched(i)).transpose()?.unwrap_or_default().into_keys() {
            if world.contains_key(&key) && registry::kind(&key.kind).is_none() {
                live.insert(key, Live::Gone);
            }
        }
        let known_now: BTreeSet<ResourceKey> = world.keys().map(today).collect();
        let mut newcomers: BTreeMap<ResourceKey, Value> = BTreeMap::new();
        let mut copies = vec![];
        for scope in &scopes {
            for v in self.store().current_in(scope)? {
                if let (Some(kind), Some(spec)) = (registry::kind(&v.key.kind), v.spec()) {
                    copies.extend((kind.facts().copy_of)(&v.key.id, spec));
                }
                if let Some(spec) = v.spec().filter(|_| !known_now.contains(&v.key)) {
                    newcomers.insert(v.key.clone(), spec.clone());
                }
            }
        }
        let copies = Copies::newest(copies);
        // Who was told that one of them is in the way may have removed or renamed it since.
        let wanted: BTreeSet<(&Scope, &KindName, String)> = live
            .iter()
            .filter(|(_, now)| matches!(now, Live::Gone))
            .filter_map(|(key, _)| {
                let natural = registry::kind(&key.kind)?.facts().natural_key;
                Some((&key.scope, &key.kind, natural(&remap.apply(world.get(key)?.spec()?))?))
            })
            .collect();
        let blocks: Vec<(&Scope, &KindName, plan::preflight::Blocks)> = live
            .iter()
            .filter(|(_, now)| matches!(now, Live::Gone))
            .filter_map(|(key, _)| {
                let blocks = registry::kind(&key.kind)?.facts().blocks;
                Some((&key.scope, &key.kind, blocks(&remap.apply(world.get(key)?.spec()?))?))
            })
            .collect();
        let in_the_way = newcomers.iter().filter(|(key, spec)| {
            let Some(facts) = registry::kind(&key.kind).map(|k| k.facts()) else { return false };
            let natural = (facts.natural_key)(spec);
            let theirs = (facts.blocks)(spec);
            let of_kind = |(scope, kind, _): &&(&Scope, &KindName, plan::preflight::Blocks)| {
                **scope == key.scope && **kind == key.kind
            };
            natural.is_some_and(|natural| wanted.contains(&(&key.scope, &key.kind, natural)))
                || theirs.is_some_and(|t| blocks.iter().filter(of_kind).any(|(.., b)| b.clash(&t).is_some()))
        });
        let in_the_way: BTreeSet<ResourceKey> = in_the_way.map(|(key, _)| key.clone()).collect();
        for v in self.capture.refresh(&in_the_way, &Cause::Plan).await? {
            match v.spec() {
                Some(spec) => newcomers.insert(v.key.clone(), spec.clone()),
                None => newcomers.remove(&v.key),
            };
        }
        let left = match incident {
            Some(incident) => self.left(incident, &near, &remap)?,
            None => BTreeMap::new(),
        };
        let chosen = plan::select(&world, &live, seeds, reach);
        let plan = plan::make(&Input {
            now: Timestamp::now(),
            subject,
            point,
            facts: &|kind| registry::kind(kind).map(|k| k.facts()),
            world: &world,
            live: &live,
            newcomers: &newcomers,
            copies: &copies,
            made: &incident.map(|i| i.made.iter().map(|t| t.resource.clone()).collect()).unwrap_or_default(),
            left: &left,
            chosen,
            remap: &remap,
            overwrite,
            elsewhere: None,
            floor: &floor,
        });
        let blockers = super::preflight::blockers(&self.capture, &plan).await?;
        Ok(plan.blocked_by(blockers))
    }

    /// A plan that builds the choice in another account or region, as if all of it were missing there.
    async fn elsewhere(
        &self,
        wanted: &Wanted,
        into: &Destination,
        point: String,
        world: World,
        seeds: BTreeSet<ResourceKey>,
        reach: Reach,
    ) -> Result<Plan, PrepareError> {
        let mut chosen = elsewhere::select(&world, seeds, reach);
        let scopes: BTreeSet<Scope> = chosen.iter().map(|k| k.scope.clone()).collect();
        // What is there already, such as an earlier drill with the same tags, is no source.
        let sources: Vec<&Scope> = scopes.iter().filter(|s| into.of(s) != **s).collect();
        let source = match (&sources[..], scopes.first()) {
            ([one], _) => (*one).clone(),
            ([], Some(there)) => return Err(PrepareError::SamePlace(there.clone())),
            _ => return Err(PrepareError::SeveralPlaces(scopes)),
        };
        chosen.retain(|k| k.scope == source);
        let target = into.of(&source);
        let (here, there) = (self.capture.aws.respond_cx(&source).await?, self.capture.aws.respond_cx(&target).await?);
        let known = self.store().current_in(&source)?;
        let copies: Vec<Copy> =
            known.iter().filter_map(|v| (registry::kind(&v.key.kind)?.facts().copy_of)(&v.key.id, v.spec()?)).collect();
        let asked = elsewhere::asks(&world, &chosen, &copies);
        let places = aws::places::read(&here, &there, &asked).await?;
        let mapped = elsewhere::map(&world, chosen, &copies, &places, &target);
        // Only what names nothing that is built anew can be in the way of it.
        let claims = |v: &Version| {
            let (Some(spec), Some(kind)) = (v.spec(), registry::kind(&v.key.kind)) else { return false };
            let anew = |natural: &String| {
                let built = |target: &ResourceKey| mapped.chosen.contains(target) && natural.contains(&target.id);
                references(&source, spec).iter().any(|r| built(&r.target))
            };
            (kind.facts().natural_key)(spec).is_some_and(|natural| !anew(&natural))
        };
        let kinds: BTreeSet<&KindName> = mapped.world.values().filter(|v| claims(v)).map(|v| &v.key.kind).collect();
        let mut newcomers = BTreeMap::new();
        for name in kinds {
            let Some(kind) = registry::kind(name) else { continue };
            let found = kind.look(&there, Which::All).await?;
            newcomers.extend(found.into_iter().map(|c| (target.key(name.clone(), c.id), c.spec)));
        }
        let plan = plan::make(&Input {
            now: Timestamp::now(),
            subject: wanted.subject.clone(),
            point,
            facts: &|kind| registry::kind(kind).map(|k| k.facts()),
            world: &mapped.world,
            live: &mapped.live,
            newcomers: &newcomers,
            copies: &Copies::default(),
            made: &BTreeSet::new(),
            left: &BTreeMap::new(),
            chosen: mapped.chosen.clone(),
            remap: &Remap::default(),
            overwrite: &wanted.overwrite,
            elsewhere: Some(&mapped),
            floor: &floor,
        });
        let blockers = super::preflight::blockers(&self.capture, &plan).await?;
        Ok(plan.blocked_by(blockers))
    }

    /// For each survivor that somebody else wrote to after the incident last did: what the incident had left. Unknown
    /// (null) where no capture fell between; then every difference is a conflict.
    fn left(
        &self,
        incident: &Incident,
        near: &BTreeSet<ResourceKey>,
        remap: &Remap,
    ) -> Result<BTreeMap<ResourceKey, Value>, PrepareError> {
        let mut last_touch: BTreeMap<ResourceKey, Timestamp> = BTreeMap::new();
        let mut theirs: BTreeMap<ResourceKey, Timestamp> = BTreeMap::new();
        let follower = Follower { capture: self.capture.clone() };
        for record in self.store().records_between(incident.first - self.margin, Timestamp::now())? {
            let keys = follower.touched(&record)?;
            if incident.involves(&record.session) {
                for key in keys {
                    let at = last_touch.entry(key).or_insert(record.time);
                    *at = (*at).max(record.time);
                }
            } else {
                for key in keys {
                    let at = theirs.entry(key).or_insert(record.time);
                    *at = (*at).max(record.time);
                }
            }
        }
        let mut out = BTreeMap::new();
        for key in near {
            let now = key.scope.key(key.kind.clone(), remap.latest(key.kind.as_str(), &key.id));
            let (Some(foreign), touch) = (theirs.get(&now), last_touch.get(&now)) else { continue };
            if touch.is_some_and(|t| t >= foreign) {
                continue;
            }
            let between = self.store().at(&now, *foreign)?.filter(|v| touch.is_none_or(|t| v.captured_at > *t));
            out.insert(key.clone(), between.and_then(|v| v.spec().cloned()).unwrap_or(Value::Null));
        }
        Ok(out)
    }
}

/// The least time for these calls, by AWS's budgets.
fn floor(calls: &BTreeMap<String, u32>) -> std::time::Duration {
    let calls: Vec<(&str, usize)> = calls.iter().map(|(action, n)| (action.as_str(), *n as usize)).collect();
    plan::budget::floor(&calls)
}

/// The instant that a restore point stands for.
pub fn resolve(store: &Store, margin: SignedDuration, at: &At) -> Result<Timestamp, PrepareError> {
    Ok(match at {
        At::Time(t) => *t,
        At::Ago(ago) => Timestamp::now() - *ago,
        At::Named(name) => match name {
            PointName::BeforeIncident(id) => store.incident(id)?.map(|i| i.first - margin),
            PointName::BeforeSession(id) => store.session(id)?.map(|s| s.first_seen - margin),
            PointName::Label(label) => store.label(label)?,
        }
        .ok_or_else(|| PrepareError::NoSuchPoint(name.clone()))?,
    })
}

/// The seeds and all that is tied to them by references, in either direction.
fn connected(world: &World, seeds: &BTreeSet<ResourceKey>) -> BTreeSet<ResourceKey> {
    let mut ties: BTreeMap<&ResourceKey, BTreeSet<&ResourceKey>> = BTreeMap::new();
    for (key, version) in world {
        for r in version.spec().map(|s| references(&key.scope, s)).unwrap_or_default() {
            if let Some((target, _)) = world.get_key_value(&r.target) {
                ties.entry(key).or_default().insert(target);
                ties.entry(target).or_default().insert(key);
            }
        }
    }
    let mut out: BTreeSet<ResourceKey> = BTreeSet::new();
    let mut todo: Vec<&ResourceKey> = seeds.iter().filter_map(|k| world.get_key_value(k).map(|(k, _)| k)).collect();
    while let Some(key) = todo.pop() {
        if out.insert(key.clone()) {
            todo.extend(ties.get(key).into_iter().flatten().copied());
        }
    }
    out
}
