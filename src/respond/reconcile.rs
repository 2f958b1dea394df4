//! One round of what the daemon does: capture what records named, detect, plan, start what may start.
use super::{Hub, restores::Start};
use crate::{
    aws::Failure,
    capture::{CaptureError, Follower},
    config::{Mode, Policy},
    detect::{incident::State as Detection, signs},
    model::{
        By, Incident, IncidentState, SessionId, Timestamp,
        audit::What,
        incident::{IncidentKind, Warning},
        sweep::SweepCause,
    },
    plan::Plan,
    restore::{Restore, RestoreState, prepare::PrepareError},
    store::{Batch, StoreError},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};

/// Arrivals taken at a time.
const ARRIVALS_PER_ROUND: usize = 1000;

/// A sweep that began this shortly before is as good as one now: what was changed since has records of its own.
const CHECKPOINT_FRESH: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// How long a call that blinds rollbackd, by somebody who is no agent, stays in `status`.
const ALARM_KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Why a round did not end.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Aws(#[from] Failure),
}

/// Detection's memory and what was planned for. Rebuilt from the store at start.
pub struct Reconciler {
    hub: Arc<Hub>,
    detection: Detection,
    /// The last arrival that detection took in.
    fed: u64,
    /// Agents' sessions that got their checkpoint, or need none because they were known at start.
    checkpointed: BTreeSet<SessionId>,
    /// Agents' calls since the last checkpoint that often come before a fatal one.
    warnings: Vec<(SessionId, Warning)>,
}

impl Reconciler {
    /// `detection` is new; the store's records are fed to it first.
    pub fn new(hub: Arc<Hub>, detection: Detection) -> Result<Self, StoreError> {
        let mut this = Self { hub, detection, fed: 0, checkpointed: BTreeSet::new(), warnings: vec![] };
        while !this.feed()?.is_empty() {}
        this.warnings.clear();
        this.checkpointed = this.detection.agents().map(|s| s.id).collect();
        Ok(this)
    }
    /// Rules changed: everything is judged again by the new ones.
    pub fn rejudge(&mut self, detection: Detection) -> Result<(), StoreError> {
        *self = Self::new(self.hub.clone(), detection)?;
        Ok(())
    }

    /// Feeds what has arrived; the sessions it belongs to.
    fn feed(&mut self) -> Result<BTreeSet<SessionId>, StoreError> {
        let arrivals = self.hub.store.arrivals_after(self.fed, ARRIVALS_PER_ROUND)?;
        let mut sessions = BTreeSet::new();
        for (seq, record) in &arrivals {
            let fed = self.detection.feed(record);
            if let (Some(_), Some(warning)) = (fed.agent, fed.warning) {
                self.warnings.push((record.session.clone(), warning));
            }
            sessions.insert(record.session.clone());
            self.fed = *seq;
        }
        Ok(sessions)
    }

    /// One round. Returns how long nothing will need doing by itself.
    pub async fn round(&mut self) -> Result<Duration, RoundError> {
        let now = Timestamp::now();
        self.detect(now).await?;
        let core = self.hub.core().await?;
        Follower { capture: core.capture.clone() }.catch_up().await?;
        let mut wait = Duration::from_secs(60);
        let mut incidents = self.hub.store.incidents()?;
        // Whatever blinds rollbackd comes first.
        incidents.sort_by_key(|i| (i.kind, i.first));
        for incident in incidents {
            if let Some(starts_in) = self.attend(&incident, now).await? {
                wait = wait.min(starts_in);
            }
        }
        Ok(wait)
    }

    /// Records to sessions and incidents, in the store.
    async fn detect(&mut self, now: Timestamp) -> Result<(), RoundError> {
        loop {
            let sessions = self.feed()?;
            let hub = self.hub.clone();
            let _one_at_a_time = hub.incidents_lock().await;
            let existing = self.hub.store.incidents()?;
            let config = self.hub.config();
            let found = self.detection.incidents(now, &existing, &|scope| config.policy(scope).open_on_add);
            let mut batch = Batch::new();
            for session in sessions.iter().filter_map(|id| self.detection.session(id)) {
                batch.session(session);
            }
            for incident in &found.changed {
                if !existing.iter().any(|e| e.id == incident.id) {
                    match incident.kind {
                        IncidentKind::Blinding => {
                            tracing::error!(incident = %incident.id, actor = %incident.actor, "an agent blinds rollbackd: incident opened");
                        }
                        IncidentKind::Loss => {
                            tracing::warn!(incident = %incident.id, actor = %incident.actor, calls = incident.losses().count(), "an agent destroys: incident opened");
                        }
                    }
                    let what = What::new("incident-opened", &incident.id);
                    batch.audit(
                        now,
                        "daemon",
                        what.with(serde_json::json!({ "kind": incident.kind, "actor": incident.actor.arn, "first": incident.first })),
                    );
                }
                batch.incident(incident.clone());
            }
            for merged in &found.merged {
                if let Some(mut gone) =
                    existing.iter().find(|e| e.id == merged.gone && e.state != IncidentState::Rejected).cloned()
                {
                    gone.state = IncidentState::Rejected;
                    gone.settled = Some(usize::MAX);
                    gone.trouble = Some(format!("is part of incident {}", merged.into));
                    batch.incident(gone);
                }
            }
            if !batch.is_empty() {
                self.hub.store.commit(batch).await?;
            }
            self.alarm(now);
            if sessions.is_empty() {
                break;
            }
            self.checkpoint();
        }
        Ok(())
    }

    /// People may look after trails and queues, and rollbackd acts on agents alone: but somebody has to know.
    fn alarm(&self, now: Timestamp) {
        let alarms = self.detection.alarms(now - ALARM_KEPT);
        let says = alarms.last().map(|last| {
            let act = &last.act;
            let others =
                if alarms.len() > 1 { format!(", the last of {} such calls", alarms.len()) } else { String::new() };
            format!(
                "{} called {} at {}{others}: rollbackd may see or do less because of it. If that was not meant: {}",
                last.actor,
                act.name,
                act.time,
                signs::cure(&act.name)
            )
        });
        self.hub.trouble("blinding", says);
    }

    /// An agent's session was first seen, or did what often comes before a fatal call: capture its scope at once, beside
    /// everything else. One sweep serves all that began or warned since the last one.
    fn checkpoint(&mut self) {
        let fresh: Vec<SessionId> =
            self.detection.agents().map(|s| s.id).filter(|id| !self.checkpointed.contains(id)).collect();
        let warned = std::mem::take(&mut self.warnings).into_iter().next();
        let first = || Some((fresh.first()?.clone(), None));
        let Some((session, warning)) = warned.map(|(s, w)| (s, Some(w))).or_else(first) else { return };
        self.checkpointed.extend(fresh);
        let why = warning.map_or_else(|| "it is new".to_owned(), |w| format!("it {w}"));
        let hub = self.hub.clone();
        self.hub.restores.tasks.spawn(async move {
            let swept = async {
                let last = hub.store.sweeps(1).map_err(|e| e.to_string())?;
                let age = last.first().map(|s| Timestamp::now().duration_since(s.started));
                if age.is_some_and(|age| age < CHECKPOINT_FRESH) {
                    return Ok(None);
                }
                let core = hub.core().await.map_err(|e| e.to_string())?;
                let sweep = core
                    .capture
                    .sweep(&core.scopes, SweepCause::Checkpoint { session: session.clone(), warning })
                    .await;
                sweep.map(Some).map_err(|e| e.to_string())
            };
            match swept.await {
                Ok(Some(sweep)) => {
                    tracing::info!(%session, why, errors = sweep.errors.len(), "checkpoint of an agent's session");
                }
                Ok(None) => {
                    tracing::info!(%session, why, "an agent's session, right after a sweep: that is its checkpoint");
                }
                Err(e) => tracing::error!(%session, why, "no checkpoint of an agent's session: {e}"),
            }
        });
    }

    /// Plans for an incident and starts what may start; how long until it may, if the policy will.
    async fn attend(&self, incident: &Incident, now: Timestamp) -> Result<Option<Duration>, RoundError> {
        let waiting = matches!(
            incident.state,
            IncidentState::Open | IncidentState::Planned | IncidentState::AwaitingApproval | IncidentState::Observed
        );
        let settled = incident.settled.unwrap_or(0);
        let again = !waiting
            && incident.state != IncidentState::Restoring
            && incident.acts.iter().skip(settled).any(|a| a.destroyed());
        if !waiting && !again {
            return Ok(None);
        }
        let policy = self.policy(incident);
        if again || incident.plan.is_none() || incident.planned_for != Some(incident.acts.len()) {
            self.plan(incident, &policy, again).await?;
        }
        let Some(incident) = self.hub.store.incident(&incident.id)? else { return Ok(None) };
        if incident.state != IncidentState::Planned || policy.mode != Mode::Auto {
            return Ok(None);
        }
        let Some(plan) = incident.plan.as_ref().map(|d| self.hub.store.plan::<Plan>(d)).transpose()?.flatten() else {
            return Ok(None);
        };
        if plan.is_empty() || self.hub.halted()?.is_some() || self.hub.restores.is_running(&plan.digest) {
            return Ok(None);
        }
        let starts_at = starts_at(&plan, &policy);
        if now < starts_at {
            return Ok(Some(Duration::try_from(starts_at.duration_since(now)).unwrap_or_default()));
        }
        tracing::warn!(incident = %incident.id, plan = plan.digest.short(), policy = policy.name, "the grace period is over: restoring");
        self.hub.change_incident(&incident.id, |i| i.state = IncidentState::Restoring).await?;
        self.hub.restore_in_background(
            plan,
            Start::Fresh { incident: Some(incident.id.clone()) },
            By::policy(&policy.name),
        );
        Ok(None)
    }

    fn policy(&self, incident: &Incident) -> Policy {
        let config = self.hub.config();
        match incident.acts.first() {
            Some(act) => config.policy(&act.scope).into_owned(),
            None => Policy::fallback(),
        }
    }

    async fn plan(&self, incident: &Incident, policy: &Policy, again: bool) -> Result<(), RoundError> {
        let core = self.hub.core().await?;
        let told = match core.preparer.incident(incident).await {
            Ok(told) => told,
            Err(e) => {
                self.hub.change_incident(&incident.id, |i| i.trouble = Some(format!("no plan: {e}"))).await?;
                return Err(e.into());
            }
        };
        let digest = told.plan.digest.clone();
        self.hub.store.commit(Batch::of(|b| b.plan(&digest, &told.plan))).await?;
        let doubt = self.doubt(incident, policy, &told.plan, again);
        self.hub
            .change_incident(&incident.id, |i| {
                if again && told.plan.is_empty() {
                    // Records of what was dealt with that came late: nothing is missing because of them.
                    i.settled = Some(incident.acts.len());
                    return;
                }
                i.plan = Some(digest.clone());
                i.planned_for = Some(incident.acts.len());
                i.lost = told.lost;
                i.changed = told.changed;
                // Detection knows what was made, the store what it is called.
                for made in i.made.iter_mut().filter(|m| m.name.is_none()) {
                    let known = self.hub.store.current(&made.resource).ok().flatten();
                    made.name = known.and_then(|v| v.name().map(str::to_owned));
                }
                i.reached = told.reached;
                i.recreated = told.recreated;
                i.beyond = told.beyond;
                i.trouble = blind(i);
                i.state = match policy.mode {
                    Mode::Observe => IncidentState::Observed,
                    _ if told.plan.is_empty() => IncidentState::Planned,
                    Mode::Approve => IncidentState::AwaitingApproval,
                    Mode::Auto => match doubt {
                        None => IncidentState::Planned,
                        Some(doubt) => {
                            i.trouble = Some(format!("waits for approval although the policy is auto: {doubt}"));
                            IncidentState::AwaitingApproval
                        }
                    },
                };
            })
            .await?;
        tracing::info!(incident = %incident.id, plan = digest.short(), steps = told.plan.steps.len(), mode = ?policy.mode, "planned");
        Ok(())
    }

    /// Why this plan may not start by itself, although the policy says auto.
    fn doubt(&self, incident: &Incident, policy: &Policy, plan: &Plan, again: bool) -> Option<String> {
        let resources = plan.resources().len();
        if again || incident.restore.is_some() {
            return Some("it was restored before, and the agent destroys again".into());
        }
        if resources > policy.resources_max {
            return Some(format!("{resources} resources are more than resources_max = {}", policy.resources_max));
        }
        if let Some(blocker) = plan.blockers.first() {
            return Some(format!("a quota stands in the way: {blocker}"));
        }
        if !plan.is_clean() {
            return Some("the plan has conflicts or steps that cannot be done".into());
        }
        if let Some(loss) = plan.losses.iter().find(|loss| !loss.is_within(policy.data_age_max, incident.first)) {
            return Some(format!("the plan loses something: of {}, {}", loss.resource.id, loss.what));
        }
        let only_suspected = incident.sessions.iter().filter_map(|s| s.verdict.as_ref()).all(|v| v.is_suspicion());
        only_suspected.then(|| "only the user agent calls it an agent".into())
    }

    /// Restores that a crash cut short: those that a policy started go on by themselves.
    pub async fn take_up_interrupted(&self) -> Result<(), StoreError> {
        let restores: Vec<Restore> = self.hub.store.restores::<Restore>()?.into_iter().map(|(_, r)| r).collect();
        // Approved, and the process died before the restore began: asked for again.
        for incident in self.hub.store.incidents()?.iter().filter(|i| i.state == IncidentState::Restoring) {
            let open =
                restores.iter().any(|r| Some(&r.id) == incident.restore.as_ref() && r.state != RestoreState::Done);
            if !open {
                let asked = self.hub.change_incident(&incident.id, |i| {
                    i.state = IncidentState::AwaitingApproval;
                    i.trouble = Some("it was allowed, and the daemon ended before the restore began".into());
                });
                asked.await?;
            }
        }
        if self.hub.halted()?.is_some() {
            return Ok(());
        }
        for restore in restores {
            if restore.state == RestoreState::Done {
                continue;
            }
            if !restore.by.is_policy() {
                tracing::warn!(
                    restore = restore.id,
                    "a restore was cut short; `rollbackd resume {}` goes on",
                    restore.id
                );
                continue;
            }
            if let Some(plan) = self.hub.store.plan::<Plan>(&restore.plan)? {
                let by = restore.by.clone();
                self.hub.restore_in_background(plan, Start::Again(Box::new(restore)), by);
            }
        }
        Ok(())
    }
}

/// What people must do about an incident that blinds rollbackd: it cannot restore what it sees and acts with.
fn blind(incident: &Incident) -> Option<String> {
    let calls: BTreeSet<&str> = incident.acts.iter().filter(|a| a.error.is_none()).map(|a| a.name.as_str()).collect();
    (incident.kind == IncidentKind::Blinding).then(|| {
        let cures: Vec<String> = calls.iter().map(|call| format!("\n{call}: {}", signs::cure(call))).collect();
        format!("rollbackd may see or do less because of this, and cannot undo it. By hand:{}", cures.concat())
    })
}

/// When an automatic restore of this plan starts: each new act of the agent makes a new plan, and so a new wait.
pub fn starts_at(plan: &Plan, policy: &Policy) -> Timestamp {
    plan.made_at + policy.grace
}
