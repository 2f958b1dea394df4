//! Runs a plan: steps as parallel as their dependencies allow, each journaled before and after.
//!
//! A step never fails another that does not need it, and a link does without what could not be made. A stop (signal, halt,
//! expired credentials) lets running steps end and starts no more; `resume` goes on from the journal, looking first for
//! what a lost answer may have made (H64).
use super::{
    Progress, Receipt, Restore, RestoreState,
    journal::{Entry, Event, Illegal, StepState},
    preflight, terraform, verify,
};
use crate::{
    aws::{Aws, Class, Cx, Failure},
    capture,
    kinds::{self, AnyKind, Settled, Step as KindStep, registry},
    model::{
        By, Hash, IncidentId, ResourceKey, Scope, Timestamp,
        audit::What,
        reference::{Reference, Remap, Strength, references, without},
    },
    plan::{Blocker, Plan, Step, Verb},
    store::{Batch, Store, StoreError},
};
use futures_util::stream::{FuturesUnordered, StreamExt};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

/// How long a thing that was just made may stay invisible to other calls: EC2 is eventually consistent (Amazon EC2 API,
/// "Eventual consistency").
const VISIBLE_AFTER_MAX: Duration = Duration::from_secs(60);
/// Between looks at something that is not ready.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(100);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(5);

/// Why a restore did not start, or did not end.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Journal(#[from] Illegal),
    #[error(transparent)]
    Aws(#[from] Failure),
    #[error("what is live has changed since plan {} was made:\n{}\nplan again, look at the new plan, and approve its digest", plan.short(), .drift.iter().map(|d| format!("  {d}")).collect::<Vec<_>>().join("\n"))]
    Drifted { plan: Hash, drift: Vec<String> },
    #[error("plan {} needs more than AWS allows:\n{}\nraise that in Service Quotas or make room, then plan again", plan.short(), .blockers.iter().map(|b| format!("  {b}")).collect::<Vec<_>>().join("\n"))]
    Blocked { plan: Hash, blockers: Vec<Blocker> },
    #[error("nothing was done, because the identity that restores may not do all that plan {} needs:\n{}\nallow these to it (config/iam/restore.json grants them, `rollbackd iam-policy restore` prints it), then restore again; where a policy says yes only to some resources, set `check_permissions = false` in [restore]", plan.short(), .missing.iter().map(|m| format!("  {m}")).collect::<Vec<_>>().join("\n"))]
    NotAllowed { plan: Hash, missing: Vec<String> },
    #[error("plan {} does not have the content that its digest says; it was altered in the store: plan again", .0.short())]
    Altered(Hash),
    #[error("restore {id} stopped between steps: {why}; `rollbackd resume {id}` goes on")]
    Stopped { id: String, why: String },
}

/// Executes plans.
#[derive(Clone)]
pub struct Engine {
    pub store: Store,
    pub aws: Arc<Aws>,
    /// Steps at a time.
    pub parallel: usize,
    /// How long one step may take, waiting included.
    pub step_deadline: Duration,
    /// Whether dry runs of the writing calls come before the first real one.
    pub check_permissions: bool,
}

/// What a plan takes to be live, by id: the hash of a survivor, or nothing of what it makes.
type Expected<'a> = BTreeMap<String, (&'a ResourceKey, Option<&'a Hash>)>;

/// One run of a restore.
struct Run<'a> {
    engine: &'a Engine,
    plan: &'a Plan,
    restore: &'a Restore,
    remap: Mutex<BTreeMap<Scope, Remap>>,
    cx: BTreeMap<Scope, Cx>,
    progress: &'a mpsc::UnboundedSender<Progress>,
}

impl Engine {
    /// Begins a restore: refuses when the plan was altered or when what is live has drifted from it. `run` goes on.
    pub async fn begin(&self, plan: &Plan, incident: Option<IncidentId>, by: By) -> Result<Restore, ApplyError> {
        if !plan.is_intact() {
            return Err(ApplyError::Altered(plan.digest.clone()));
        }
        // H65: half a restore is worse than one that waits. A default that was not read may be wrong, and forbids nothing.
        let blockers: Vec<Blocker> = plan.blockers.iter().filter(|b| b.is_certain()).cloned().collect();
        if !blockers.is_empty() {
            return Err(ApplyError::Blocked { plan: plan.digest.clone(), blockers });
        }
        let allowed =
            async { if self.check_permissions { Ok(preflight::missing(&self.aws, plan).await?) } else { Ok(vec![]) } };
        let (drift, missing) = futures_util::future::try_join(self.drift(plan), allowed).await?;
        if !drift.is_empty() {
            return Err(ApplyError::Drifted { plan: plan.digest.clone(), drift });
        }
        if !missing.is_empty() {
            return Err(ApplyError::NotAllowed { plan: plan.digest.clone(), missing });
        }
        let started = Timestamp::now();
        // Unique for ever and short: client tokens hold at most 64 characters.
        let id = Hash::of(&serde_json::json!([plan.digest, started])).short().to_owned();
        let restore = Restore {
            id,
            plan: plan.digest.clone(),
            incident,
            into: plan.into.clone(),
            by,
            started,
            state: RestoreState::Running,
            receipt: None,
        };
        let mut batch = Batch::default();
        batch.restore(&restore.id, &restore);
        batch.audit(
            started,
            &restore.by.to_string(),
            What::new("restore-started", &restore.id)
                .with(serde_json::json!({ "plan": plan.digest, "incident": restore.incident, "into": restore.into })),
        );
        self.store.commit(batch).await?;
        Ok(restore)
    }

    /// Takes up a restore that stopped or died, to try once more what failed. `run` goes on.
    pub async fn take_up(&self, plan: &Plan, restore: &Restore, by: By) -> Result<Restore, ApplyError> {
        if !plan.is_intact() {
            return Err(ApplyError::Altered(plan.digest.clone()));
        }
        let now = Timestamp::now();
        let restore = Restore { state: RestoreState::Running, receipt: None, ..restore.clone() };
        let mut batch = Batch::default();
        batch.restore(&restore.id, &restore);
        batch.audit(
            now,
            &by.to_string(),
            What::new("restore-resumed", &restore.id).with(serde_json::json!({ "plan": plan.digest })),
        );
        let entries: BTreeMap<u32, Entry> = self.store.journal::<Entry>(&restore.id)?.into_iter().collect();
        let tried_again =
            |n: &u32| entries.get(n).is_some_and(|e| matches!(e.state, StepState::Failed | StepState::Blocked));
        for (number, entry) in &entries {
            // What was linked without something that is tried again is linked again, with it.
            let was_linked_without = entry.state == StepState::Done
                && plan
                    .steps
                    .iter()
                    .any(|s| s.number == *number && s.verb == Verb::Link && s.after.iter().any(tried_again));
            if tried_again(number) || was_linked_without {
                batch.journal(&restore.id, *number, &entry.after(Event::Retry, now)?);
            }
        }
        self.store.commit(batch).await?;
        Ok(restore)
    }

    /// What differs between what the plan was made from and what is live now.
    async fn drift(&self, plan: &Plan) -> Result<Vec<String>, ApplyError> {
        let mut expected: BTreeMap<(Scope, &'static str), Expected<'_>> = BTreeMap::new();
        // What is built elsewhere is there in its own place, as it should be.
        let matters = |s: &&Step| s.live.is_some() || (s.verb.makes() && plan.into.is_none());
        for step in plan.steps.iter().filter(matters) {
            let Some(kind) = registry::kind(&step.resource.kind) else { continue };
            let id = step.live_id.clone().unwrap_or_else(|| step.resource.id.clone());
            expected
                .entry((plan.place(&step.resource).clone(), kind.name()))
                .or_default()
                .insert(id, (&step.resource, step.live.as_ref()));
        }
        let looks = expected.into_iter().map(|((scope, kind), ids)| async move {
            let cx = self.aws.restore_cx(&scope, &plan.digest).await?;
            let names: Vec<String> = ids.keys().cloned().collect();
            let seen = capture::look(&cx, kind, &names).await?;
            let mut drift = vec![];
            for (id, (key, live)) in ids {
                match (seen.iter().find(|c| c.id == id), live) {
                    (Some(c), Some(hash)) if Hash::of(&c.spec) != *hash => {
                        drift.push(format!("{} {id} was changed", key.kind))
                    }
                    (Some(_), None) => drift.push(format!("{} {id} is there again", key.kind)),
                    (None, Some(_)) => drift.push(format!("{} {id} is gone", key.kind)),
                    _ => {}
                }
            }
            Ok::<_, ApplyError>(drift)
        });
        let all = futures_util::future::try_join_all(looks).await?;
        Ok(all.into_iter().flatten().collect())
    }

    /// What a restore elsewhere has built so far: known to its journal alone, since its sources live on under their own ids.
    fn built(&self, plan: &Plan, restore: &Restore) -> Result<Remap, ApplyError> {
        let journal: BTreeMap<u32, Entry> = self.store.journal::<Entry>(&restore.id)?.into_iter().collect();
        let mut remap = Remap::default();
        for step in &plan.steps {
            if let Some(id) = journal.get(&step.number).and_then(|e| e.new_id.as_ref()) {
                remap.insert(&step.resource.kind, &step.resource.id, id);
            }
        }
        Ok(remap)
    }

    /// Executes a restore that was begun or taken up, and reads back what came of it.
    pub async fn run(
        &self,
        plan: &Plan,
        restore: &Restore,
        progress: &mpsc::UnboundedSender<Progress>,
        stop: &CancellationToken,
    ) -> Result<Receipt, ApplyError> {
        let scopes: BTreeSet<Scope> = plan.steps.iter().map(|s| plan.place(&s.resource).clone()).collect();
        let mut cx = BTreeMap::new();
        let mut remap = BTreeMap::new();
        for scope in scopes {
            cx.insert(scope.clone(), self.aws.restore_cx(&scope, &plan.digest).await?);
            let known = if plan.into.is_none() { self.store.remaps(&scope)? } else { self.built(plan, restore)? };
            remap.insert(scope.clone(), known);
        }
        let run = Run { engine: self, plan, restore, remap: Mutex::new(remap), cx, progress };
        let entries = run.steps(stop).await?;
        let receipt = run.verified(&entries).await?;
        let mut batch = Batch::default();
        let done = Restore { state: RestoreState::Done, receipt: Some(receipt.clone()), ..restore.clone() };
        batch.restore(&done.id, &done);
        batch.audit(
            receipt.ended,
            &restore.by.to_string(),
            What::new("restore-ended", &restore.id)
                .with(serde_json::json!({ "restored": receipt.restored, "of": receipt.of })),
        );
        self.store.commit(batch).await?;
        self.aws.leave(&plan.digest);
        Ok(receipt)
    }
}

impl Run<'_> {
    /// Runs every step that can be run. An error is one of our own disk or of the credentials, not of a step.
    async fn steps(&self, stop: &CancellationToken) -> Result<BTreeMap<u32, Entry>, ApplyError> {
        let now = Timestamp::now();
        let mut entries: BTreeMap<u32, Entry> =
            self.plan.steps.iter().map(|s| (s.number, Entry::new(s.number, now))).collect();
        entries.extend(self.engine.store.journal::<Entry>(&self.restore.id)?);
        let mut running = FuturesUnordered::new();
        let mut started: BTreeSet<u32> = BTreeSet::new();
        let mut why_stopped: Option<String> = None;
        loop {
            if stop.is_cancelled() && why_stopped.is_none() {
                why_stopped = Some("it was asked to stop".into());
            }
            for step in &self.plan.steps {
                let entry = &entries[&step.number];
                if started.contains(&step.number)
                    || matches!(
                        entry.state,
                        StepState::Done | StepState::Failed | StepState::Blocked | StepState::Skipped
                    )
                {
                    continue;
                }
                if step.verb == Verb::Skip {
                    let skipped = self.note(step, entry, Event::Skip(step.why.clone().unwrap_or_default())).await?;
                    entries.insert(step.number, skipped);
                    continue;
                }
                let states: Vec<(u32, StepState)> =
                    step.after.iter().filter_map(|n| Some((*n, entries.get(n)?.state))).collect();
                // A link does without what could not be made: the rest of it is as it was.
                let missing = self.missing(step, &entries);
                let is_missing =
                    |n: &u32| self.plan.steps.iter().any(|s| s.number == *n && missing.contains(&s.resource));
                if let Some((needed, state)) = states.iter().find(|(n, s)| s.is_undone() && !is_missing(n)) {
                    // Only what was never started can be blocked; a step from an earlier run goes on.
                    if entry.state == StepState::Pending {
                        let blocked = self
                            .note(
                                step,
                                entry,
                                Event::Block(format!(
                                    "needs step {needed}, which {}",
                                    if *state == StepState::Failed { "failed" } else { "was not done" }
                                )),
                            )
                            .await?;
                        entries.insert(step.number, blocked);
                        continue;
                    }
                }
                let ready = states.iter().all(|(n, s)| *s == StepState::Done || (s.is_undone() && is_missing(n)));
                if ready && why_stopped.is_none() && running.len() < self.engine.parallel {
                    started.insert(step.number);
                    running.push(self.step(step, entry.clone(), missing));
                }
            }
            let Some(ended) = running.next().await else { break };
            let (entry, fatal) = ended?;
            if let Some(why) = fatal {
                why_stopped.get_or_insert(why);
            }
            entries.insert(entry.step, entry);
        }
        if let Some(why) = why_stopped
            && entries.values().any(|e| matches!(e.state, StepState::Pending | StepState::Intent | StepState::Made))
        {
            let stopped = Restore { state: RestoreState::Stopped, ..self.restore.clone() };
            let mut batch = Batch::default();
            batch.restore(&stopped.id, &stopped);
            batch.audit(
                Timestamp::now(),
                &self.restore.by.to_string(),
                What::new("restore-stopped", &stopped.id).with(serde_json::json!({ "why": why })),
            );
            self.engine.store.commit(batch).await?;
            return Err(ApplyError::Stopped { id: stopped.id, why });
        }
        Ok(entries)
    }

    /// What a link refers to that could not be made, where the link can do without.
    fn missing(&self, step: &Step, entries: &BTreeMap<u32, Entry>) -> BTreeSet<ResourceKey> {
        if step.verb != Verb::Link {
            return BTreeSet::new();
        }
        let refs = references(&step.resource.scope, &step.want);
        let undone = |s: &&Step| {
            let late = Reference { strength: Strength::Late, target: s.resource.clone() };
            let hard = Reference { strength: Strength::Hard, target: s.resource.clone() };
            s.verb.makes()
                && s.resource != step.resource
                && entries.get(&s.number).is_some_and(|e| e.state.is_undone())
                && refs.contains(&late)
                && !refs.contains(&hard)
        };
        self.plan.steps.iter().filter(undone).map(|s| s.resource.clone()).collect()
    }

    /// One step to its end, without what is missing. The second value says why the whole restore must stop.
    async fn step(
        &self,
        step: &Step,
        entry: Entry,
        missing: BTreeSet<ResourceKey>,
    ) -> Result<(Entry, Option<String>), ApplyError> {
        let Some(kind) = registry::kind(&step.resource.kind) else {
            let entry =
                self.note(step, &entry, Event::Block(format!("this version knows no {}", step.resource.kind))).await?;
            return Ok((entry, None));
        };
        let looked_before = entry.tried;
        let mut entry = entry;
        if entry.state != StepState::Made {
            entry = self.note(step, &entry, Event::Start).await?;
        }
        let deadline = Instant::now() + self.engine.step_deadline;
        let result = if step.verb.makes() {
            self.make(step, kind, &mut entry, looked_before, deadline).await
        } else {
            self.bring(step, kind, &missing, deadline).await
        };
        match result {
            Ok(()) => Ok((self.note(step, &entry, Event::Finish).await?, None)),
            Err(Trouble::Ours(e)) => Err(*e),
            // The step stays as it was begun: `resume` looks for what it made and goes on.
            Err(Trouble::Credentials(f)) => Ok((entry, Some(f.to_string()))),
            Err(Trouble::Step(why)) => Ok((self.note(step, &entry, Event::Fail(why)).await?, None)),
        }
    }

    /// Journals an event, behind a barrier; with the intent goes the line of the audit chain.
    async fn note(&self, step: &Step, entry: &Entry, event: Event) -> Result<Entry, ApplyError> {
        let now = Timestamp::now();
        let mut batch = Batch::default();
        if event == Event::Start {
            let mut about = serde_json::json!({ "step": step.number, "verb": step.verb, "resource": step.resource });
            if let Some(into) = &self.plan.into {
                about["into"] = serde_json::json!(into);
            }
            batch.audit(now, &self.restore.by.to_string(), What::new("step", &self.restore.id).with(about));
        }
        let made = match &event {
            Event::Made(id) => Some(id.clone()),
            _ => None,
        };
        let next = entry.after(event, now)?;
        batch.journal(&self.restore.id, step.number, &next);
        if let Some(id) = made {
            let new = step.resource.scope.key(step.resource.kind.clone(), &id);
            // History goes on under the new id; elsewhere nothing of the source has a new one.
            if new != step.resource && self.plan.into.is_none() {
                batch.remap(step.resource.clone(), new);
            }
            let mut remap = self.remap.lock().unwrap_or_else(PoisonError::into_inner);
            remap.entry(self.place(step).clone()).or_default().insert(&step.resource.kind, &step.resource.id, id);
        }
        self.engine.store.commit(batch).await?;
        let _ = self.progress.send(Progress {
            step: step.number,
            of: self.plan.steps.len() as u32,
            verb: step.verb,
            resource: step.resource.clone(),
            state: next.state,
            new_id: next.new_id.clone(),
            why: next.why.clone(),
        });
        Ok(next)
    }

    fn place<'s>(&'s self, step: &'s Step) -> &'s Scope {
        self.plan.place(&step.resource)
    }
    fn mapped(&self, scope: &Scope, want: &Value) -> Value {
        let remap = self.remap.lock().unwrap_or_else(PoisonError::into_inner);
        remap.get(scope).map_or_else(|| want.clone(), |m| m.apply(want))
    }
    fn latest_id(&self, step: &Step) -> String {
        let remap = self.remap.lock().unwrap_or_else(PoisonError::into_inner);
        let id =
            remap.get(self.place(step)).map(|m| m.latest(step.resource.kind.as_str(), &step.resource.id).to_owned());
        id.unwrap_or_else(|| step.resource.id.clone())
    }

    /// Makes or finds the resource, and waits until it is ready.
    async fn make(
        &self,
        step: &Step,
        kind: &'static dyn AnyKind,
        entry: &mut Entry,
        looked_before: bool,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let cx = &self.cx[self.place(step)];
        if entry.state != StepState::Made {
            let id = if let Some(id) = &step.live_id {
                id.clone()
            } else if step.verb == Verb::Adopt {
                self.adopt(step, kind, cx, deadline).await?
            } else {
                self.create(step, kind, cx, looked_before, deadline).await?
            };
            *entry = self.note(step, entry, Event::Made(id)).await?;
        }
        let id = entry.new_id.clone().unwrap_or_else(|| self.latest_id(step));
        self.settle(kind, cx, &id, "made", deadline).await
    }

    /// Waits until it is ready for those that need it.
    async fn settle(
        &self,
        kind: &'static dyn AnyKind,
        cx: &Cx,
        id: &str,
        what: &str,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let mut pace = Pace::new(deadline);
        loop {
            let state = match kind.settled(cx, id).await {
                Ok(Settled::Ready) => return Ok(()),
                Ok(Settled::Failed(why)) => {
                    return Err(Trouble::Step(format!("{id} was {what} and then failed: {why}")));
                }
                Ok(Settled::Waiting(state)) => state,
                Err(f) => pace.or_fail(f)?,
            };
            pace.wait(|| format!("{id} was {what} but is not ready: {state}")).await?;
        }
    }

    async fn create(
        &self,
        step: &Step,
        kind: &'static dyn AnyKind,
        cx: &Cx,
        mut look_first: bool,
        deadline: Instant,
    ) -> Result<String, Trouble> {
        let want = self.mapped(self.place(step), &step.want);
        let by = KindStep { restore: self.restore.id.clone(), number: step.number };
        let mut pace = Pace::new(deadline);
        loop {
            let tried = if look_first { kind.made_by(cx, &by).await } else { Ok(None) };
            let tried = match tried {
                Ok(Some(id)) => return Ok(id),
                Ok(None) => kind.create(cx, &want, &by).await,
                Err(f) => Err(f),
            };
            let why = match tried {
                Ok(id) => return Ok(id),
                // The answer of the attempt before may have been lost: look once more.
                Err(f) if f.class == Class::Exists && !look_first => f.to_string(),
                Err(f) => pace.or_fail(f)?,
            };
            look_first = true;
            pace.wait(|| why).await?;
        }
    }

    /// The implicit one of an owner that was just made (H3).
    async fn adopt(
        &self,
        step: &Step,
        kind: &'static dyn AnyKind,
        cx: &Cx,
        deadline: Instant,
    ) -> Result<String, Trouble> {
        let want = self.mapped(self.place(step), &step.want);
        let mut pace = Pace::new(deadline);
        loop {
            let why = match kind.implicit(cx, &want).await {
                Ok(Some(id)) => return Ok(id),
                Ok(None) if pace.began.elapsed() > VISIBLE_AFTER_MAX => {
                    return Err(Trouble::Step("AWS made none with its owner".into()));
                }
                Ok(None) => "AWS has not made it yet".to_owned(),
                Err(f) => pace.or_fail(f)?,
            };
            pace.wait(|| why).await?;
        }
    }

    /// Brings what exists to its spec, but for the rows that point at what is missing.
    async fn bring(
        &self,
        step: &Step,
        kind: &'static dyn AnyKind,
        missing: &BTreeSet<ResourceKey>,
        deadline: Instant,
    ) -> Result<(), Trouble> {
        let cx = &self.cx[self.place(step)];
        let id = match &step.live_id {
            Some(id) => id.clone(),
            None => self.latest_id(step),
        };
        let is_missing = |kind: &str, id: &str| missing.iter().any(|k| k.kind.as_str() == kind && k.id == id);
        let want = self.mapped(self.place(step), &without(&step.want, &is_missing));
        let mut pace = Pace::new(deadline);
        loop {
            let why = match kind.read(cx, &id).await {
                Ok(Some(now)) => match kind.converge(cx, &id, &now.spec, &want).await {
                    // H12: an attachment takes minutes, and what is linked next needs it.
                    Ok(()) => return self.settle(kind, cx, &id, "changed", deadline).await,
                    // Somebody was faster, or the read was stale: the next read shows it.
                    Err(f) if f.class == Class::Exists && pace.looks < 5 => f.to_string(),
                    Err(f) => pace.or_fail(f)?,
                },
                Ok(None) if pace.began.elapsed() > VISIBLE_AFTER_MAX => {
                    return Err(Trouble::Step(format!("{id} is not there")));
                }
                Ok(None) => format!("{id} is not visible yet"),
                Err(f) => pace.or_fail(f)?,
            };
            pace.wait(|| why).await?;
        }
    }

    /// Reads everything back, stores what is there, takes the step tags off, and says what came of it.
    async fn verified(&self, entries: &BTreeMap<u32, Entry>) -> Result<Receipt, ApplyError> {
        let remap = self.remap.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let read_began = Timestamp::now();
        let (items, seen) = verify::items(self.plan, entries, &remap, &self.cx).await;
        let ended = Timestamp::now();
        let mut batch = Batch::default();
        let cause = crate::model::Cause::Restore { restore: self.restore.id.clone() };
        // A place that is watched is captured by its sweeps; of one that is not, nothing would ever say that it is gone.
        for (key, found) in seen.into_iter().filter(|_| self.plan.into.is_none()) {
            batch.version(capture::version(key, found, read_began, ended, cause.clone()));
        }
        self.engine.store.commit(batch).await?;
        let mut made: BTreeMap<&Scope, Vec<String>> = BTreeMap::new();
        for step in self.plan.steps.iter().filter(|s| matches!(s.verb, Verb::Claim | Verb::Create)) {
            made.entry(self.place(step)).or_default().extend(entries.get(&step.number).and_then(|e| e.new_id.clone()));
        }
        for (scope, ids) in made.iter().filter(|(_, ids)| !ids.is_empty()) {
            // A tag that stays harms nothing: it says which restore made the resource.
            if let Err(e) = kinds::remove_step_tags(&self.cx[*scope], ids).await {
                tracing::warn!(restore = self.restore.id, error = %e, "the `{}` tags of this restore stay on what it made", KindStep::TAG);
            }
        }
        Ok(Receipt {
            restore: self.restore.id.clone(),
            plan: self.plan.digest.clone(),
            incident: self.restore.incident.clone(),
            subject: self.plan.subject.clone(),
            point: self.plan.point.clone(),
            into: self.plan.into.clone(),
            started: self.restore.started,
            ended,
            restored: items.iter().filter(|i| i.outcome == super::receipt::Outcome::Restored).count(),
            of: items.len(),
            terraform: terraform::blocks(self.plan, &items, &remap),
            items,
            losses: self.plan.losses.clone(),
            conflicts: self.plan.conflicts.clone(),
            humans: self.plan.humans.clone(),
        })
    }
}

/// What went wrong in a step.
enum Trouble {
    /// Our own disk or journal: the whole restore ends here.
    Ours(Box<ApplyError>),
    /// No call can succeed any more.
    Credentials(Failure),
    /// This step alone.
    Step(String),
}
impl From<ApplyError> for Trouble {
    fn from(e: ApplyError) -> Self {
        Self::Ours(Box::new(e))
    }
}

/// Looks that grow apart, until a deadline.
struct Pace {
    began: Instant,
    deadline: Instant,
    next: Duration,
    looks: u32,
}
impl Pace {
    fn new(deadline: Instant) -> Self {
        Self { began: Instant::now(), deadline, next: LOOK_EVERY_MIN, looks: 0 }
    }
    /// The failure in words where waiting may help; an error where it cannot.
    fn or_fail(&self, f: Failure) -> Result<String, Trouble> {
        match f.class {
            Class::Credentials => Err(Trouble::Credentials(f)),
            // What was made a moment ago may not be visible to this call yet.
            Class::NotFound if self.began.elapsed() < VISIBLE_AFTER_MAX => Ok(f.to_string()),
            _ if f.is_passing() => Ok(f.to_string()),
            _ => Err(Trouble::Step(f.to_string())),
        }
    }
    async fn wait(&mut self, why: impl FnOnce() -> String) -> Result<(), Trouble> {
        if Instant::now() + self.next > self.deadline {
            return Err(Trouble::Step(format!("{}; gave up after {} s", why(), self.began.elapsed().as_secs())));
        }
        tokio::time::sleep(self.next).await;
        self.looks += 1;
        self.next = (self.next * 2).min(LOOK_EVERY_MAX);
        Ok(())
    }
}
