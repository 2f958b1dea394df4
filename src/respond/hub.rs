//! What a process of rollbackd holds: the store, the settings, the connection to AWS once there is one.
use super::Restores;
use crate::{
    aws::{Aws, Failure, Role, Settings},
    capture::Capture,
    config::{Config, RoleArn},
    model::{By, Incident, IncidentId, Region, Scope, Timestamp},
    restore::{Engine, Preparer},
    store::{Batch, Store, StoreError},
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Notify;

/// Every automatic act is stopped, by whom and when. Survives restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halted {
    pub at: Timestamp,
    pub by: By,
}
const HALT: &str = "halt";

/// Everything that needs AWS, made once credentials work.
pub struct Core {
    pub aws: Arc<Aws>,
    pub capture: Capture,
    pub preparer: Preparer,
    pub engine: Engine,
    /// What is watched and captured.
    pub scopes: Vec<Scope>,
}

/// One process's hold on things.
pub struct Hub {
    pub store: Store,
    config: RwLock<Arc<Config>>,
    core: tokio::sync::Mutex<Option<Arc<Core>>>,
    pub restores: Restores,
    /// Rung when there may be something to do.
    pub bell: Arc<Notify>,
    /// One change of incidents at a time: detection, planning and restores write to the same documents.
    incidents: tokio::sync::Mutex<()>,
    troubles: Mutex<std::collections::BTreeMap<&'static str, String>>,
}

impl Hub {
    pub fn new(store: Store, config: Config) -> Arc<Self> {
        Arc::new(Self {
            store,
            config: RwLock::new(Arc::new(config)),
            core: tokio::sync::Mutex::default(),
            restores: Restores::default(),
            bell: Arc::new(Notify::new()),
            incidents: tokio::sync::Mutex::default(),
            troubles: Mutex::default(),
        })
    }

    pub fn config(&self) -> Arc<Config> {
        self.config.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Takes up new settings; clients are made anew on their next use. Restores that run go on with the old ones.
    pub async fn reconfigure(&self, config: Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        *self.core.lock().await = None;
        self.bell.notify_one();
    }

    /// The connection to AWS, made on first use. A failure is not kept: the next call tries again.
    pub async fn core(&self) -> Result<Arc<Core>, Failure> {
        let mut core = self.core.lock().await;
        if let Some(core) = &*core {
            return Ok(core.clone());
        }
        let config = self.config();
        let mut settings = Settings { region: config.aws.regions.first().cloned(), ..Settings::default() };
        let role = |arn: &RoleArn| Role {
            arn: arn.as_str().to_owned(),
            external_id: config.aws.external_id.clone(),
            session_policy: None,
        };
        let mut aws = Aws::connect(settings.clone()).await?;
        let own = aws.caller().account.clone();
        // A plan for another account is made from what is there, so its role reads, too.
        for arn in config.aws.into_roles.iter().filter(|arn| *arn.account() != own) {
            settings.observe.insert(arn.account().clone(), role(arn));
            settings.restore.insert(arn.account().clone(), role(arn));
        }
        if let Some(arn) = &config.aws.restore_role {
            settings.restore.insert(own.clone(), role(arn));
        }
        if let Some(arn) = &config.aws.copies_role {
            settings.copy.insert(own, role(arn));
        }
        if !settings.restore.is_empty() || !settings.copy.is_empty() {
            aws = Aws::connect(settings).await?;
        }
        let aws = Arc::new(aws);
        let regions: Vec<Region> =
            if config.aws.regions.is_empty() { vec![aws.region().clone()] } else { config.aws.regions.clone() };
        let scopes = regions.into_iter().map(|region| Scope { region, ..aws.scope() }).collect();
        let capture = Capture {
            store: self.store.clone(),
            aws: aws.clone(),
            kinds: config.capture.kinds.clone(),
            parallel: config.capture.parallel,
        };
        let made = Arc::new(Core {
            preparer: Preparer { capture: capture.clone(), margin: config.restore.margin },
            engine: Engine {
                store: self.store.clone(),
                aws: aws.clone(),
                parallel: config.restore.parallel,
                step_deadline: config.restore.step_deadline.unsigned_abs(),
                check_permissions: config.restore.check_permissions,
            },
            capture,
            scopes,
            aws,
        });
        *core = Some(made.clone());
        Ok(made)
    }

    /// The connection to AWS, if there is one already.
    pub async fn connected(&self) -> Option<Arc<Core>> {
        self.core.lock().await.clone()
    }

    pub fn halted(&self) -> Result<Option<Halted>, StoreError> {
        Ok(self.store.meta::<Option<Halted>>(HALT)?.flatten())
    }
    /// Stops every automatic act, running restores included, or allows them again. `batch` holds the audit of it.
    pub async fn set_halt(&self, halted: Option<Halted>, mut batch: Batch) -> Result<(), StoreError> {
        batch.meta(HALT, &halted);
        self.store.commit(batch).await?;
        if halted.is_some() {
            self.restores.stop_all();
        }
        self.bell.notify_one();
        Ok(())
    }

    /// Changes one incident as it is stored now. `None` when there is none of that id.
    pub async fn change_incident(
        &self,
        id: &IncidentId,
        change: impl FnOnce(&mut Incident),
    ) -> Result<Option<Incident>, StoreError> {
        let _one_at_a_time = self.incidents.lock().await;
        let Some(mut incident) = self.store.incident(id)? else { return Ok(None) };
        change(&mut incident);
        let stored = incident.clone();
        self.store.commit(Batch::of(|b| b.incident(stored))).await?;
        Ok(Some(incident))
    }
    /// Held while detection compares all incidents with what it knows.
    pub(super) async fn incidents_lock(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.incidents.lock().await
    }

    /// What is wrong with a part of the daemon; `None` when it is well again. Said in the log when it changes.
    pub fn trouble(&self, part: &'static str, what: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match what {
            Some(what) => {
                if troubles.get(part) != Some(&what) {
                    tracing::error!(part, "{what}");
                }
                troubles.insert(part, what);
            }
            None => {
                if troubles.remove(part).is_some() {
                    tracing::info!(part, "well again");
                }
            }
        }
    }
    pub fn troubles(&self) -> Vec<String> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.iter().map(|(part, what)| format!("{part}: {what}")).collect()
    }
}
