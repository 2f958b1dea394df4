//! Sweeps and targeted reads.
use super::{look, tombstone, version};
use crate::{
    aws::{Aws, Failure},
    config::Globs,
    kinds::{AnyKind, Which, registry},
    model::{
        Cause, KindName, ResourceKey, Scope, State, Timestamp, Version,
        sweep::{Sweep, SweepCause, SweepCounts, SweepError},
    },
    store::{Batch, Store, StoreError},
};
use futures_util::{
    future::BoxFuture,
    stream::{StreamExt, TryStreamExt},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Captures into the store.
#[derive(Clone)]
pub struct Capture {
    pub store: Store,
    pub aws: Arc<Aws>,
    /// Which kinds to capture, by name.
    pub kinds: Globs,
    /// Kinds and regions read at a time.
    pub parallel: usize,
}

/// One kind in one scope, and what came of reading it.
type Pass<'a> = (&'a Scope, &'static dyn AnyKind, Result<SweepCounts, CaptureError>);

/// Why a capture did not end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Aws(#[from] Failure),
}

impl Capture {
    /// Captures everything in the scopes. What could not be read is in the sweep's errors and becomes no tombstone.
    pub async fn sweep(&self, scopes: &[Scope], cause: SweepCause) -> Result<Sweep, CaptureError> {
        let started = Timestamp::now();
        let version_cause = match &cause {
            SweepCause::Checkpoint { session, .. } => Cause::Checkpoint { session: session.clone() },
            _ => Cause::Sweep { sweep: started },
        };
        let mut sweep = Sweep {
            started,
            ended: None,
            cause,
            scopes: scopes.iter().map(|s| (s.clone(), SweepCounts::default())).collect(),
            errors: vec![],
        };
        self.store.commit(Batch::of(|b| b.sweep(sweep.clone()))).await?;
        let kinds: Vec<&'static dyn AnyKind> =
            registry::KINDS.iter().copied().filter(|k| self.kinds.is_match(k.name())).collect();
        let mut passes: Vec<BoxFuture<'_, Pass<'_>>> = vec![];
        for scope in scopes {
            for kind in &kinds {
                let (kind, cause) = (*kind, version_cause.clone());
                passes.push(Box::pin(async move { (scope, kind, self.pass(scope, kind, cause).await) }));
            }
        }
        let mut done = futures_util::stream::iter(passes).buffer_unordered(self.parallel.max(1));
        while let Some((scope, kind, result)) = done.next().await {
            match result {
                Ok(counts) => {
                    let all = sweep.scopes.entry(scope.clone()).or_default();
                    all.seen += counts.seen;
                    all.changed += counts.changed;
                    all.gone += counts.gone;
                    all.unmapped += counts.unmapped;
                }
                Err(CaptureError::Aws(f)) => {
                    if let Ok(kind) = kind.name().parse() {
                        sweep.errors.push(SweepError { scope: scope.clone(), kind, error: f.to_string() });
                    }
                }
                Err(e) => return Err(e),
            }
        }
        drop(done);
        sweep.errors.sort_by(|a, b| (&a.scope, &a.kind).cmp(&(&b.scope, &b.kind)));
        sweep.ended = Some(Timestamp::now());
        self.store.commit(Batch::of(|b| b.sweep(sweep.clone()))).await?;
        Ok(sweep)
    }

    /// One kind in one scope: a complete listing, then a direct read of each that it lacks.
    async fn pass(&self, scope: &Scope, kind: &'static dyn AnyKind, cause: Cause) -> Result<SweepCounts, CaptureError> {
        let cx = self.aws.sweep_cx(scope).await?;
        let began = Timestamp::now();
        let found = kind.look(&cx, Which::All).await?;
        let ended = Timestamp::now();
        let Ok(name) = kind.name().parse::<KindName>() else { return Ok(SweepCounts::default()) };
        let seen: BTreeSet<String> = found.iter().map(|c| c.id.clone()).collect();
        let known = self.store.current_in(scope)?;
        let missing = known
            .into_iter()
            .filter(|v| v.key.kind == name && !v.is_gone() && !seen.contains(&v.key.id))
            .map(|v| v.key);
        let mut versions: Vec<Version> = found
            .into_iter()
            .map(|c| version(scope.key(name.clone(), &c.id), c, began, ended, cause.clone()))
            .collect();
        for key in missing {
            versions.push(self.direct(&cx, kind, key, cause.clone()).await?);
        }
        self.counted(versions).await
    }
    async fn direct(
        &self,
        cx: &crate::aws::Cx,
        kind: &'static dyn AnyKind,
        key: ResourceKey,
        cause: Cause,
    ) -> Result<Version, CaptureError> {
        let began = Timestamp::now();
        let found = kind.read(cx, &key.id).await?;
        let ended = Timestamp::now();
        Ok(match found {
            Some(c) => version(key, c, began, ended, cause),
            None => tombstone(key, began, ended, cause),
        })
    }
    async fn counted(&self, versions: Vec<Version>) -> Result<SweepCounts, CaptureError> {
        let gone: BTreeSet<ResourceKey> = versions.iter().filter(|v| v.is_gone()).map(|v| v.key.clone()).collect();
        let seen = (versions.len() - gone.len()) as u64;
        let mut batch = Batch::new();
        let mut unmapped = 0;
        for v in versions {
            if let State::Present { unmapped: serde_json::Value::Object(elements), .. } = &v.state {
                unmapped += elements.len() as u64;
            }
            batch.version(v);
        }
        let committed = self.store.commit(batch).await?;
        let gone = committed.changed.iter().filter(|k| gone.contains(k)).count() as u64;
        Ok(SweepCounts { seen, changed: committed.changed.len() as u64 - gone, gone, unmapped })
    }

    /// Reads these resources now and stores what is found; a version or a tombstone for each of our kinds.
    pub async fn refresh(&self, keys: &BTreeSet<ResourceKey>, cause: &Cause) -> Result<Vec<Version>, CaptureError> {
        let mut groups: BTreeMap<(&Scope, &KindName), Vec<&ResourceKey>> = BTreeMap::new();
        for key in keys {
            groups.entry((&key.scope, &key.kind)).or_default().push(key);
        }
        let mut reads: Vec<BoxFuture<'_, Result<Vec<Version>, CaptureError>>> = vec![];
        for ((scope, kind), keys) in groups {
            if let Some(kind) = registry::kind(kind) {
                reads.push(Box::pin(self.read_again(scope, kind, keys, cause)));
            }
        }
        let versions: Vec<Version> = futures_util::future::try_join_all(reads).await?.into_iter().flatten().collect();
        let mut batch = Batch::new();
        for v in &versions {
            batch.version(v.clone());
        }
        self.store.commit(batch).await?;
        Ok(versions)
    }

    /// These of one kind: by a filter first, then each that the filter lacks by a direct read.
    async fn read_again(
        &self,
        scope: &Scope,
        kind: &'static dyn AnyKind,
        keys: Vec<&ResourceKey>,
        cause: &Cause,
    ) -> Result<Vec<Version>, CaptureError> {
        let cx = self.aws.respond_cx(scope).await?;
        let ids: Vec<String> = keys.iter().map(|k| k.id.clone()).collect();
        let began = Timestamp::now();
        let found = look(&cx, kind.name(), &ids).await?;
        let ended = Timestamp::now();
        let mut versions = vec![];
        let mut direct: Vec<BoxFuture<'_, Result<Version, CaptureError>>> = vec![];
        for key in keys {
            match found.iter().find(|c| c.id == key.id) {
                Some(c) => versions.push(version(key.clone(), c.clone(), began, ended, cause.clone())),
                None => direct.push(Box::pin(self.direct(&cx, kind, key.clone(), cause.clone()))),
            }
        }
        let direct: Vec<Version> =
            futures_util::stream::iter(direct).buffer_unordered(self.parallel.max(1)).try_collect().await?;
        versions.extend(direct);
        Ok(versions)
    }
}
