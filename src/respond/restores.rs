//! The restores that this process runs: one at a time for a plan, each with its stop.
use super::Hub;
use crate::{
    model::{By, Hash, IncidentId, IncidentState, ResourceKey},
    plan::Plan,
    restore::{Progress, Receipt, Restore, apply::ApplyError},
    store::StoreError,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Something that the plan would restore is being restored already: two at once could make it twice.
#[derive(Debug, thiserror::Error)]
#[error("plan {plan} is being restored right now, {resource} with it; `rollbackd status` shows it")]
pub struct Busy {
    pub plan: String,
    /// The first that both have.
    pub resource: String,
}

#[derive(Default)]
pub struct Restores {
    running: Mutex<BTreeMap<Hash, Running>>,
    /// Restores in the background, for a graceful end.
    pub tasks: TaskTracker,
    stopping: CancellationToken,
}
struct Running {
    resources: BTreeSet<ResourceKey>,
    stop: CancellationToken,
}
/// Holds a plan's place among the running.
struct Place<'a> {
    restores: &'a Restores,
    plan: Hash,
    stop: CancellationToken,
}
impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.restores.lock().remove(&self.plan);
    }
}

/// What to do with a plan.
pub enum Start {
    Fresh { incident: Option<IncidentId> },
    Again(Box<Restore>),
}

/// Why a restore did not come to a receipt.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Busy(#[from] Busy),
    /// Nothing was written to AWS, and there is nothing to resume.
    #[error(transparent)]
    NotBegun(ApplyError),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Restores {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Hash, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn place(&self, plan: &Plan) -> Result<Place<'_>, Busy> {
        // By where they are made: a drill elsewhere never keeps what is lost from coming back.
        let there = |k: &ResourceKey| plan.place(k).key(k.kind.clone(), &k.id);
        let resources: BTreeSet<ResourceKey> = plan.resources().into_iter().map(there).collect();
        let mut all = self.lock();
        for (other, running) in all.iter() {
            if let Some(resource) = running.resources.intersection(&resources).next() {
                return Err(Busy { plan: other.short().to_owned(), resource: resource.id.clone() });
            }
        }
        let stop = self.stopping.child_token();
        all.insert(plan.digest.clone(), Running { resources, stop: stop.clone() });
        Ok(Place { restores: self, plan: plan.digest.clone(), stop })
    }
    pub fn is_running(&self, plan: &Hash) -> bool {
        self.lock().contains_key(plan)
    }
    pub fn any(&self) -> bool {
        !self.lock().is_empty()
    }
    /// Running restores end their running steps and start no more.
    pub fn stop_all(&self) {
        for running in self.lock().values() {
            running.stop.cancel();
        }
    }
    /// As `stop_all`, and nothing starts any more: the process ends.
    pub fn close(&self) {
        self.stopping.cancel();
        self.tasks.close();
    }
}

impl Hub {
    /// Executes a plan to its receipt, and writes into its incident what came of it.
    pub async fn restore(
        &self,
        plan: &Plan,
        start: Start,
        by: By,
        progress: &mpsc::UnboundedSender<Progress>,
    ) -> Result<Receipt, RestoreError> {
        let place = self.restores.place(plan)?;
        let core = self.core().await.map_err(|f| RestoreError::NotBegun(f.into()))?;
        let restore = match start {
            Start::Fresh { incident } => core.engine.begin(plan, incident, by).await.map_err(RestoreError::NotBegun)?,
            Start::Again(restore) => core.engine.take_up(plan, &restore, by).await?,
        };
        if let Some(id) = &restore.incident {
            self.change_incident(id, |i| {
                i.state = IncidentState::Restoring;
                i.restore = Some(restore.id.clone());
                i.trouble = None;
            })
            .await?;
        }
        let result = core.engine.run(plan, &restore, progress, &place.stop).await;
        if let Some(id) = &restore.incident {
            self.change_incident(id, |i| match &result {
                Ok(receipt) => {
                    i.state = if receipt.is_whole() { IncidentState::Restored } else { IncidentState::PartlyRestored };
                    // What the plan knew of is dealt with; acts that came meanwhile are not.
                    i.settled = i.planned_for;
                    i.trouble = None;
                }
                Err(e) => i.trouble = Some(e.to_string()),
            })
            .await?;
        }
        Ok(result?)
    }

    /// The same in the background; what it comes to is in the incident, the store and the log.
    pub fn restore_in_background(self: &Arc<Self>, plan: Plan, start: Start, by: By) {
        let hub = self.clone();
        self.restores.tasks.spawn(async move {
            let (progress, mut steps) = mpsc::unbounded_channel::<Progress>();
            let log = async {
                while let Some(p) = steps.recv().await {
                    tracing::info!(step = p.step, of = p.of, verb = %p.verb, resource = %p.resource, state = %p.state, new_id = p.new_id, why = p.why, "restore");
                }
            };
            let incident = match &start {
                Start::Fresh { incident } => incident.clone(),
                Start::Again(restore) => restore.incident.clone(),
            };
            let run = async {
                let result = hub.restore(&plan, start, by, &progress).await;
                drop(progress);
                result
            };
            let (result, ()) = tokio::join!(run, log);
            match result {
                Ok(receipt) => tracing::info!(restore = receipt.restore, restored = receipt.restored, of = receipt.of, "restore ended"),
                Err(e) => {
                    tracing::error!(plan = plan.digest.short(), "restore: {e}");
                    if let Some(id) = incident {
                        let noted = hub.change_incident(&id, |i| {
                            i.trouble = Some(e.to_string());
                            match e {
                                // The next plan shows what has changed, and asks again.
                                RestoreError::NotBegun(ApplyError::Drifted { .. }) => {
                                    i.state = IncidentState::Open;
                                    i.plan = None;
                                }
                                RestoreError::NotBegun(_) => i.state = IncidentState::AwaitingApproval,
                                _ => {}
                            }
                        });
                        if let Err(e) = noted.await {
                            tracing::error!("{e}");
                        }
                    }
                }
            }
            hub.bell.notify_one();
        });
    }
}
