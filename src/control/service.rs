//! What the commands do, in the daemon or without one.
use super::api::{
    Answer, AuditVerified, CopiesLine, Difference, DifferenceKind, Fault, History, HistoryLine, IncidentLine, Request,
    RestoreLine, Selector, Side, Snapshots, Source, Status, StoreStatus,
};
use crate::{
    audit,
    capture::copies::Ledger,
    config::Config,
    kinds::registry,
    model::{By, Incident, IncidentState, ResourceKey, Timestamp, Version, audit::What, sweep::SweepCause},
    plan::{
        DigestPrefix, Plan, Subject, diff,
        readiness::{Copies, Readiness},
    },
    respond::{Halted, Hub, hub::Core, replay, restores::Start},
    restore::{Progress, Restore, RestoreState, prepare::Wanted},
    store::{Batch, StoreError},
    trail::Health,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{mpsc, watch};

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    hub: Arc<Hub>,
    /// In a daemon: its sources, for `status`.
    sources: Option<Arc<Sources>>,
}
/// The health of each source of a daemon, by name.
pub struct Sources {
    since: Timestamp,
    all: Mutex<Vec<(String, watch::Receiver<Health>)>>,
}

impl Sources {
    /// `since`: when the daemon began to listen.
    pub fn new(since: Timestamp) -> Self {
        Self { since, all: Mutex::default() }
    }
    /// Sources that have brought nothing for longer than `silence`: whoever blinds the trail is not heard any more.
    fn silent(&self, now: Timestamp, silence: jiff::SignedDuration) -> Vec<String> {
        let silent = |h: &Health| now.duration_since(h.last_message.unwrap_or(self.since)) > silence;
        let all = self.lock();
        let names = all.iter().filter(|(_, h)| silent(&h.borrow())).map(|(name, _)| name);
        names
            .map(|name| format!("no record came through {name} for over {silence:#}: look whether the trail is logging and the rule is enabled"))
            .collect()
    }
    pub fn set(&self, name: &str, health: watch::Receiver<Health>) {
        self.lock().push((name.to_owned(), health));
    }
    pub fn retain(&self, stays: impl Fn(&str) -> bool) {
        self.lock().retain(|(name, _)| stays(name));
    }
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(String, watch::Receiver<Health>)>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<StoreError> for Fault {
    fn from(e: StoreError) -> Self {
        Self::failed(e)
    }
}
impl From<crate::aws::Failure> for Fault {
    fn from(e: crate::aws::Failure) -> Self {
        Self::failed(e)
    }
}
impl From<crate::restore::prepare::PrepareError> for Fault {
    fn from(e: crate::restore::prepare::PrepareError) -> Self {
        Self::failed(e)
    }
}
impl From<crate::capture::CaptureError> for Fault {
    fn from(e: crate::capture::CaptureError) -> Self {
        Self::failed(e)
    }
}

impl Service {
    /// In a command without a daemon.
    pub fn alone(hub: Arc<Hub>) -> Self {
        Self { hub, sources: None }
    }
    /// In the daemon.
    pub fn of_daemon(hub: Arc<Hub>, sources: Arc<Sources>) -> Self {
        Self { hub, sources: Some(sources) }
    }

    /// Does what is asked. `who` is the peer of the socket or the caller of the command. No answer shows a secret.
    pub async fn call(
        &self,
        request: Request,
        who: &str,
        progress: &mpsc::UnboundedSender<Progress>,
    ) -> Result<Answer, Fault> {
        self.answer(request, who, progress).await.map(Answer::redacted)
    }
    async fn answer(
        &self,
        request: Request,
        who: &str,
        progress: &mpsc::UnboundedSender<Progress>,
    ) -> Result<Answer, Fault> {
        let by = |reason: Option<String>| By { who: who.to_owned(), reason };
        match request {
            Request::Status => self.status().await.map(|s| Answer::Status(Box::new(s))),
            Request::Snapshot { label } => self.snapshot(label).await,
            Request::Snapshots { limit } => {
                let labels = self.hub.store.labels()?.into_iter().collect();
                Ok(Answer::Snapshots(Snapshots { sweeps: self.hub.store.sweeps(limit)?, labels }))
            }
            Request::History { resource } => self.history(&resource),
            Request::Show { resource, at } => {
                let key = self.resolve(&resource)?;
                let found = match &at {
                    Some(at) => self.hub.store.at(&key, self.instant(at).await?)?,
                    None => self.hub.store.current(&key)?,
                };
                found.map(|v| Answer::Show(Box::new(v))).ok_or_else(|| {
                    let when = at.map_or("now".to_owned(), |at| format!("at {at}"));
                    Fault::failed(format!(
                        "no snapshot knows {} {when}; `rollbackd history {}` lists its versions",
                        key.id, key.id
                    ))
                })
            }
            Request::Diff { a, b, resources } => self.diff(&a, &b, &resources).await,
            Request::Readiness { resources } => self.readiness(&resources),
            Request::Incidents => {
                let mut all: Vec<IncidentLine> =
                    self.hub.store.incidents()?.iter().map(|i| self.line(i)).collect::<Result<_, _>>()?;
                // What blinds rollbackd first, then the newest.
                all.sort_by_key(|i| (i.kind, std::cmp::Reverse(i.first)));
                Ok(Answer::Incidents(all))
            }
            Request::Incident { id } => {
                self.hub.store.incident(&id)?.map(|i| Answer::Incident(Box::new(i))).ok_or_else(|| {
                    Fault::failed(format!("there is no incident {id}; `rollbackd incidents` lists them"))
                })
            }
            Request::Replay { days, config } => self.replay(days, config.map(|c| *c)).await,
            Request::Plan { selector, at, overwrite, into } => {
                let wanted = Wanted {
                    subject: self.subject(&selector)?,
                    at,
                    into,
                    overwrite: overwrite.iter().map(|r| self.resolve(r)).collect::<Result<_, _>>()?,
                };
                let core = self.hub.core().await?;
                let plan = core.preparer.plan(&wanted).await?;
                self.hub.store.commit(Batch::of(|b| b.plan(&plan.digest, &plan))).await?;
                self.note_plan(&plan).await?;
                Ok(Answer::Plan(Box::new(plan)))
            }
            Request::StoredPlan { digest } => Ok(Answer::Plan(Box::new(self.stored_plan(&digest)?))),
            Request::Restore { digest, reason } => {
                let plan = self.stored_plan(&digest)?;
                let incident = self.incident_of(&plan)?.map(|i| i.id);
                self.run(plan, Start::Fresh { incident }, by(reason), progress).await
            }
            Request::Receipt { restore } => {
                let restore = self.resumable(Some(&restore))?;
                let receipt = restore.receipt.ok_or_else(|| {
                    Fault::failed(format!(
                        "restore {} has not ended, so it has no receipt; `rollbackd resume {}` goes on",
                        restore.id, restore.id
                    ))
                })?;
                Ok(Answer::Receipt(Box::new(receipt)))
            }
            Request::Resume { restore, reason } => {
                let restore = self.resumable(restore.as_deref())?;
                // Nothing is left to do: the receipt says what came of it.
                if let Some(receipt) =
                    restore.receipt.as_ref().filter(|r| restore.state == RestoreState::Done && r.is_whole())
                {
                    return Ok(Answer::Receipt(Box::new(receipt.clone())));
                }
                let plan: Plan = self.hub.store.plan(&restore.plan)?.ok_or_else(|| {
                    Fault::failed(format!(
                        "the plan {} of restore {} is not in the store",
                        restore.plan.short(),
                        restore.id
                    ))
                })?;
                self.run(plan, Start::Again(Box::new(restore)), by(reason), progress).await
            }
            Request::Approve { digest, reason } => self.approve(&digest, by(reason)).await,
            Request::Reject { digest, reason } => {
                let plan = self.stored_plan(&digest)?;
                let incident = self.current_incident_of(&plan)?;
                let by = by(reason);
                audit::append(&self.hub.store, Timestamp::now(), &by.to_string(), What::new("rejected", &plan.digest))
                    .await?;
                let changed = self.hub.change_incident(&incident.id, |i| {
                    i.state = IncidentState::Rejected;
                    i.settled = i.planned_for;
                });
                self.decided(changed.await?)
            }
            Request::Halt { reason } => {
                let halted = Halted { at: Timestamp::now(), by: by(reason) };
                let mut batch = Batch::new();
                batch.audit(halted.at, &halted.by.to_string(), What::new("halted", "every automatic act"));
                self.hub.set_halt(Some(halted.clone()), batch).await?;
                Ok(Answer::Halted(halted))
            }
            Request::Unhalt { reason } => {
                let mut batch = Batch::new();
                batch.audit(Timestamp::now(), &by(reason).to_string(), What::new("unhalted", "every automatic act"));
                self.hub.set_halt(None, batch).await?;
                Ok(Answer::Unhalted)
            }
            Request::Audit { limit } => {
                let head = self.hub.store.audit_head()?.map_or(0, |h| h.seq);
                Ok(Answer::Audit(self.hub.store.audit_range(head.saturating_sub(limit as u64) + 1, limit)?))
            }
            Request::AuditVerify => Ok(Answer::AuditVerified(match audit::verify(&self.hub.store) {
                Ok(v) => AuditVerified { entries: v.entries, head: v.head, broken: None },
                Err(audit::NotVerified::Broken(b)) => {
                    AuditVerified { entries: b.seq.saturating_sub(1), head: None, broken: Some(b.to_string()) }
                }
                Err(audit::NotVerified::Store(e)) => return Err(e.into()),
            })),
        }
    }

    /// The one resource that a text means.
    fn resolve(&self, text: &str) -> Result<ResourceKey, Fault> {
        if let Ok(key) = text.parse::<ResourceKey>() {
            return Ok(key);
        }
        let found = self.hub.store.find(text)?;
        match &found[..] {
            [one] => Ok(one.clone()),
            [] => Err(Fault::failed(format!(
                "no snapshot knows `{text}`; `rollbackd snapshot` takes one, `rollbackd snapshots` lists them"
            ))),
            many => {
                let list: Vec<String> = many.iter().map(|k| format!("  {k}")).collect();
                Err(Fault::usage(format!("`{text}` may mean {} resources; name one:\n{}", many.len(), list.join("\n"))))
            }
        }
    }
    fn subject(&self, selector: &Selector) -> Result<Subject, Fault> {
        Ok(match selector {
            Selector::Incident(id) => {
                if self.hub.store.incident(id)?.is_none() {
                    return Err(Fault::failed(format!("there is no incident {id}; `rollbackd incidents` lists them")));
                }
                Subject::Incident(id.clone())
            }
            Selector::Resources(texts) => {
                Subject::Resources(texts.iter().map(|t| self.resolve(t)).collect::<Result<_, _>>()?)
            }
            Selector::Vpc(text) => Subject::Vpc(self.resolve(text)?),
            Selector::Tag { key, value } => Subject::Tag { key: key.clone(), value: value.clone() },
            Selector::Scope(scope) => Subject::Scope(scope.clone()),
        })
    }
    /// A restore point; names are looked up in the store, so no AWS is needed.
    async fn instant(&self, at: &crate::model::At) -> Result<Timestamp, Fault> {
        let margin = self.hub.config().restore.margin;
        Ok(crate::restore::prepare::resolve(&self.hub.store, margin, at)?)
    }

    async fn snapshot(&self, label: Option<String>) -> Result<Answer, Fault> {
        if let Some(label) = &label
            && !matches!(label.parse(), Ok(crate::model::At::Named(crate::model::PointName::Label(_))))
        {
            return Err(Fault::usage(format!(
                "`{label}` cannot be a label: a letter first, then letters, digits, `-`, `_`, `.`; and no time"
            )));
        }
        let core = self.hub.core().await?;
        let sweep = core.capture.sweep(&core.scopes, SweepCause::Command).await?;
        if let (Some(label), Some(ended)) = (label, sweep.ended) {
            self.hub.store.commit(Batch::of(|b| b.label(&label, ended))).await?;
        }
        Ok(Answer::Sweep(sweep))
    }

    fn history(&self, resource: &str) -> Result<Answer, Fault> {
        let mut key = self.resolve(resource)?;
        let remap = self.hub.store.remaps(&key.scope)?;
        // History goes on under the first id: what it was called before comes along.
        while let Some((_, old, _)) = remap.iter().find(|(kind, _, new)| *kind == key.kind.as_str() && *new == key.id) {
            key = key.scope.key(key.kind.clone(), old);
        }
        let mut versions = vec![];
        let mut at = key.clone();
        loop {
            versions.extend(self.hub.store.history(&at)?);
            match remap.get(&at.kind, &at.id) {
                Some(next) if next != at.id => at = at.scope.key(at.kind.clone(), next),
                _ => break,
            }
        }
        versions.sort_by_key(|v| v.captured_at);
        let rows = registry::kind(&key.kind).map(|k| (k.facts().row_keys)()).unwrap_or_default();
        let mut lines: Vec<HistoryLine> = vec![];
        let mut before: Option<serde_json::Value> = None;
        for version in versions {
            let changes = match (&before, version.spec()) {
                (Some(a), Some(b)) => diff::changes(&rows, a, b),
                _ => vec![],
            };
            before = version.spec().cloned().or(before);
            lines.push(HistoryLine { version, changes });
        }
        lines.reverse();
        if lines.is_empty() {
            return Err(Fault::failed(format!(
                "no snapshot knows {}; `rollbackd snapshots` lists what there is",
                key.id
            )));
        }
        Ok(Answer::History(History { resource: key, versions: lines }))
    }

    async fn side(&self, side: &Side, core: &mut Option<Arc<Core>>) -> Result<BTreeMap<ResourceKey, Version>, Fault> {
        let (scopes, at) = match side {
            Side::At(at) => (self.hub.store.scopes()?, self.instant(at).await?),
            Side::Live => {
                let core = match core {
                    Some(core) => core.clone(),
                    None => core.insert(self.hub.core().await?).clone(),
                };
                let sweep = core.capture.sweep(&core.scopes, SweepCause::Command).await?;
                if let Some(e) = sweep.errors.first() {
                    return Err(Fault::failed(format!("{} of {} could not be read: {}", e.kind, e.scope, e.error)));
                }
                (core.scopes.clone(), Timestamp::now())
            }
        };
        let mut world = BTreeMap::new();
        for scope in scopes {
            world.extend(self.hub.store.world_at(&scope, at)?.into_iter().map(|v| (v.key.clone(), v)));
        }
        Ok(world)
    }
    async fn diff(&self, a: &Side, b: &Side, resources: &[String]) -> Result<Answer, Fault> {
        let only: BTreeSet<ResourceKey> = resources.iter().map(|r| self.resolve(r)).collect::<Result<_, _>>()?;
        let mut core = None;
        let (a, b) = (self.side(a, &mut core).await?, self.side(b, &mut core).await?);
        let mut out = vec![];
        for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
            if !only.is_empty() && !only.contains(key) {
                continue;
            }
            let rows = registry::kind(&key.kind).map(|k| (k.facts().row_keys)()).unwrap_or_default();
            let name = |v: Option<&Version>| v.and_then(|v| v.name()).map(str::to_owned);
            let (before, after) = (a.get(key), b.get(key));
            let (what, changes) = match (before.and_then(|v| v.spec()), after.and_then(|v| v.spec())) {
                (Some(a), Some(b)) => (DifferenceKind::Changed, diff::changes(&rows, a, b)),
                (Some(_), None) => (DifferenceKind::Gone, vec![]),
                (None, Some(_)) => (DifferenceKind::Added, vec![]),
                (None, None) => continue,
            };
            if what == DifferenceKind::Changed && changes.is_empty() {
                continue;
            }
            out.push(Difference { resource: key.clone(), name: name(after).or(name(before)), what, changes });
        }
        Ok(Answer::Diff(out))
    }

    /// A policy over the records of the last days, a day at a time.
    async fn replay(&self, days: u32, config: Option<Config>) -> Result<Answer, Fault> {
        const DAY: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
        let config = config.unwrap_or_else(|| (*self.hub.config()).clone());
        let core = self.hub.connected().await;
        let us = core.as_ref().map(|core| core.aws.caller().arn.as_str());
        let mut detection = config.detection(us).map_err(Fault::failed)?;
        let to = Timestamp::now();
        let from = to - DAY * i32::try_from(days).unwrap_or(i32::MAX);
        let (mut records, mut day) = (0, from);
        while day < to {
            let end = (day + DAY).min(to);
            for record in self.hub.store.records_between(day, end)? {
                detection.feed(&record);
                records += 1;
            }
            day = end;
        }
        Ok(Answer::Replay(Box::new(replay::replay(&config, &detection, records, from, to))))
    }

    /// What deleting each resource would cost today, the worst first.
    fn readiness(&self, resources: &[String]) -> Result<Answer, Fault> {
        let only: BTreeSet<ResourceKey> = resources.iter().map(|r| self.resolve(r)).collect::<Result<_, _>>()?;
        let mut lines: Vec<Readiness> = vec![];
        for scope in self.hub.store.scopes()? {
            let all = self.hub.store.current_in(&scope)?;
            let known = || all.iter().filter_map(|v| Some((v, v.spec()?, registry::kind(&v.key.kind)?.facts())));
            let copies = Copies::newest(known().filter_map(|(v, spec, facts)| (facts.copy_of)(&v.key.id, spec)));
            for (v, spec, facts) in known().filter(|(v, ..)| only.is_empty() || only.contains(&v.key)) {
                let ready = (facts.readiness)(&v.key.id, spec, &copies);
                let name = v.name().map(str::to_owned);
                lines.push(Readiness {
                    resource: v.key.clone(),
                    name,
                    cost: ready.cost,
                    lost: ready.lost,
                    remedy: ready.remedy,
                });
            }
        }
        lines.sort_by(|a, b| b.cost.cmp(&a.cost).then_with(|| a.resource.cmp(&b.resource)));
        Ok(Answer::Readiness(lines))
    }

    fn stored_plan(&self, digest: &DigestPrefix) -> Result<Plan, Fault> {
        let found = self.hub.store.plans(&digest.to_string())?;
        match &found[..] {
            [one] => self
                .hub
                .store
                .plan(one)?
                .ok_or_else(|| Fault::failed(format!("plan {digest} is not in the store any more: plan again"))),
            [] => Err(Fault::failed(format!(
                "there is no plan {digest}; `rollbackd plan` makes one, `rollbackd incidents` names those of incidents"
            ))),
            many => Err(Fault::usage(format!("{digest} begins the digests of {} plans; give more of it", many.len()))),
        }
    }
    /// The incident that a plan restores, if it is one.
    fn incident_of(&self, plan: &Plan) -> Result<Option<Incident>, Fault> {
        match &plan.subject {
            Subject::Incident(id) => Ok(self.hub.store.incident(id)?),
            _ => Ok(None),
        }
    }
    /// The same, when the plan is still the newest one of that incident.
    fn current_incident_of(&self, plan: &Plan) -> Result<Incident, Fault> {
        let incident = self.incident_of(plan)?.ok_or_else(|| {
            Fault::usage(format!(
                "plan {} is of {}, not of an incident; `rollbackd restore {}` executes it",
                plan.digest.short(),
                plan.subject,
                plan.digest.short()
            ))
        })?;
        if incident.plan.as_ref() != Some(&plan.digest) {
            let now = incident.plan.as_ref().map_or("none".to_owned(), |d| d.short().to_owned());
            return Err(Fault::failed(format!(
                "plan {} is not the plan of incident {} any more (that is {now} now): look at `rollbackd plan {}`, then approve its digest",
                plan.digest.short(),
                incident.id,
                incident.id
            )));
        }
        Ok(incident)
    }
    /// A plan that somebody asked for is the incident's newest from now on.
    async fn note_plan(&self, plan: &Plan) -> Result<(), Fault> {
        if let Subject::Incident(id) = &plan.subject {
            self.hub
                .change_incident(id, |i| {
                    if matches!(
                        i.state,
                        IncidentState::Open
                            | IncidentState::Planned
                            | IncidentState::AwaitingApproval
                            | IncidentState::Observed
                    ) {
                        i.plan = Some(plan.digest.clone());
                        i.planned_for = Some(i.acts.len());
                        if i.state == IncidentState::Open {
                            i.state = IncidentState::Planned;
                        }
                    }
                })
                .await?;
        }
        Ok(())
    }

    async fn approve(&self, digest: &DigestPrefix, by: By) -> Result<Answer, Fault> {
        if self.sources.is_none() {
            return Err(Fault::failed(format!(
                "no daemon runs that could act on an approval; `rollbackd restore {digest}` executes the plan here and now"
            )));
        }
        let plan = self.stored_plan(digest)?;
        let incident = self.current_incident_of(&plan)?;
        match incident.state {
            IncidentState::AwaitingApproval
            | IncidentState::Planned
            | IncidentState::Observed
            | IncidentState::Open => {}
            state => {
                return Err(Fault::failed(format!("incident {} is {state}: there is nothing to approve", incident.id)));
            }
        }
        if plan.is_empty() {
            return Err(Fault::failed(format!(
                "plan {} has no steps: there is nothing to restore",
                plan.digest.short()
            )));
        }
        let config = self.hub.config();
        let expires = incident.acts.first().map(|a| plan.made_at + config.policy(&a.scope).approval_expires);
        if expires.is_some_and(|t| t < Timestamp::now()) {
            return Err(Fault::failed(format!(
                "plan {} was made {} and is too old to be approved: `rollbackd plan {}` makes a new one",
                plan.digest.short(),
                plan.made_at,
                incident.id
            )));
        }
        audit::append(
            &self.hub.store,
            Timestamp::now(),
            &by.to_string(),
            What::new("approved", &plan.digest).with(serde_json::json!({ "incident": incident.id })),
        )
        .await?;
        let changed = self.hub.change_incident(&incident.id, |i| i.state = IncidentState::Restoring).await?;
        self.hub.restore_in_background(plan, Start::Fresh { incident: Some(incident.id) }, by);
        self.decided(changed)
    }
    fn decided(&self, incident: Option<Incident>) -> Result<Answer, Fault> {
        let incident = incident.ok_or_else(|| Fault::failed("the incident is not in the store any more"))?;
        Ok(Answer::Decided(Box::new(self.line(&incident)?)))
    }

    async fn run(
        &self,
        plan: Plan,
        start: Start,
        by: By,
        progress: &mpsc::UnboundedSender<Progress>,
    ) -> Result<Answer, Fault> {
        let receipt = self.hub.restore(&plan, start, by, progress).await.map_err(Fault::failed)?;
        self.hub.bell.notify_one();
        Ok(Answer::Receipt(Box::new(receipt)))
    }
    fn resumable(&self, id: Option<&str>) -> Result<Restore, Fault> {
        if let Some(id) = id {
            return self.hub.store.restore::<Restore>(id)?.ok_or_else(|| {
                Fault::failed(format!("there is no restore {id}; `rollbackd status` lists those that can be resumed"))
            });
        }
        let mut open: Vec<Restore> = self
            .hub
            .store
            .restores::<Restore>()?
            .into_iter()
            .map(|(_, r)| r)
            .filter(|r| r.state != RestoreState::Done && !self.hub.restores.is_running(&r.plan))
            .collect();
        match open.len() {
            1 => Ok(open.remove(0)),
            0 => Err(Fault::failed("no restore waits to be resumed")),
            n => Err(Fault::usage(format!(
                "{n} restores wait to be resumed; name one: {}",
                open.iter().map(|r| r.id.as_str()).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    fn line(&self, i: &Incident) -> Result<IncidentLine, Fault> {
        let config = self.hub.config();
        let starts_at = match (&i.plan, i.acts.first()) {
            (Some(digest), Some(act)) if i.state == IncidentState::Planned => {
                let policy = config.policy(&act.scope);
                let plan: Option<Plan> = self.hub.store.plan(digest)?;
                plan.filter(|p| policy.mode == crate::config::Mode::Auto && !p.is_empty())
                    .map(|p| crate::respond::starts_at(&p, &policy))
            }
            _ => None,
        };
        let keys = |all: &[crate::model::incident::Touched]| all.iter().map(|t| t.resource.clone()).collect();
        Ok(IncidentLine {
            id: i.id.clone(),
            kind: i.kind,
            state: i.state,
            actor: i.actor.to_string(),
            sessions: i.sessions.iter().map(|s| s.session.clone()).collect(),
            first: i.first,
            last: i.last,
            destroyed: i.losses().count(),
            lost: keys(&i.lost),
            changed: keys(&i.changed),
            made: keys(&i.made),
            plan: i.plan.clone(),
            restore: i.restore.clone(),
            starts_at,
            trouble: i.trouble.clone(),
        })
    }

    async fn status(&self) -> Result<Status, Fault> {
        let store = &self.hub.store;
        let mut troubles = self.hub.troubles();
        troubles.extend(store.trouble().map(str::to_owned));
        troubles.extend(store.failure().map(|f| format!("the store does not write any more: {f}; restart the daemon")));
        let mut scopes = store.scopes()?;
        if self.sources.is_some() {
            match self.hub.core().await {
                Ok(core) => scopes = core.scopes.clone(),
                Err(e) => troubles.push(format!("AWS: {e}")),
            }
        }
        let last_sweep = store.sweeps(20)?.into_iter().find(|s| s.ended.is_some());
        if let Some(sweep) = &last_sweep {
            troubles.extend(
                sweep
                    .errors
                    .iter()
                    .map(|e| format!("the last sweep could not read {} of {}: {}", e.kind, e.scope, e.error)),
            );
        }
        let sources: Vec<Source> = match &self.sources {
            Some(sources) => sources.lock().iter().map(|(name, health)| source(name, health)).collect(),
            None => vec![],
        };
        if let Some(sources) = &self.sources {
            troubles.extend(sources.silent(Timestamp::now(), self.hub.config().trail.silence));
        }
        let restores: Vec<RestoreLine> = store
            .restores::<Restore>()?
            .into_iter()
            .filter(|(_, r)| r.state != RestoreState::Done)
            .map(|(_, r)| RestoreLine {
                id: r.id,
                state: r.state,
                plan: r.plan,
                incident: r.incident,
                started: r.started,
                by: r.by,
            })
            .collect();
        for r in restores.iter().filter(|r| !self.hub.restores.is_running(&r.plan)) {
            troubles.push(format!("restore {} did not end; `rollbackd resume {}` goes on", r.id, r.id));
        }
        let mut incidents = store.incidents()?;
        incidents.sort_by_key(|i| i.kind);
        let incidents = incidents
            .iter()
            .filter(|i| !matches!(i.state, IncidentState::Restored | IncidentState::Rejected))
            .map(|i| self.line(i))
            .collect::<Result<_, _>>()?;
        let mut copies = vec![];
        for rule in &self.hub.config().ebs_snapshots {
            for scope in &scopes {
                let Ledger { volumes, newest, .. } = Ledger::load(store, scope, rule)?;
                copies.push(CopiesLine { rule: rule.tag.to_string(), scope: scope.clone(), volumes, newest });
            }
        }
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: self.sources.is_some() && last_sweep.is_some() && store.failure().is_none(),
            daemon: self.sources.is_some(),
            halted: self.hub.halted()?,
            scopes,
            last_sweep,
            sources,
            store: StoreStatus {
                path: store.dir().display().to_string(),
                bytes: store.size_on_disk()?,
                counts: counts(store.counts()?),
                unreadable_messages: store.unreadable_count()?,
            },
            incidents,
            restores,
            copies,
            troubles,
        })
    }
}

/// What people care about, in their words.
fn counts(all: BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    let words = [
        ("current", "resources"),
        ("versions", "versions"),
        ("records", "records"),
        ("incidents", "incidents"),
        ("plans", "plans"),
        ("restores", "restores"),
    ];
    words.into_iter().filter_map(|(tree, word)| Some((word.to_owned(), *all.get(tree)?))).collect()
}

fn source(name: &str, health: &watch::Receiver<Health>) -> Source {
    let health = health.borrow();
    Source {
        name: name.to_owned(),
        last_poll: health.last_poll,
        last_record: health.last_message,
        lag_s: health.lag.map(|d| d.as_secs_f64()),
        error: health.error.clone(),
    }
}
