//! Sweeps and targeted reads.
use super::{look, tombstone, version};
use crate::{
    aws::{Aws, Failure, Purpose},
    kinds::{AnyKind, Which, registry},
    model::{
        Cause, KindName, ResourceKey, Scope, Timestamp, Version,
        sweep::{Sweep, SweepCause, SweepCounts, SweepError},
    },
    store::{Batch, Store, StoreError},
};
use futures_util::stream::{StreamExt, TryStreamExt};
use globset::GlobSet;
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
    pub kinds: GlobSet,
    /// Kinds and regions read at a time.
    pub parallel: usize,
}

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
            SweepCause::Checkpoint { session } => Cause::Checkpoint { session: session.clone() },
            _ => Cause::Sweep { sweep: started },
        };
        let mut sweep = Sweep { started, ended: None, cause, scopes: scopes.iter().map(|s| (s.clone(), SweepCounts::default())).collect(), errors: vec![] };
        self.store.commit(Batch::of(|b| { b.sweep(sweep.clone()); })).await?;
        let kinds: Vec<&'static dyn AnyKind> = registry::KINDS.iter().copied().filter(|k| self.kinds.is_match(k.name())).collect();
        let passes = scopes.iter().flat_map(|scope| kinds.iter().map(move |kind| (scope, *kind)));
        let mut done = futures_util::stream::iter(passes.map(|(scope, kind)| {
            let cause = version_cause.clone();
            async move { (scope, kind, self.pass(scope, kind, cause).await) }
        }))
        .buffer_unordered(self.parallel.max(1));
        while let Some((scope, kind, result)) = done.next().await {
            match result {
                Ok(counts) => {
                    let all = sweep.scopes.entry(scope.clone()).or_default();
                    all.seen += counts.seen;
                    all.changed += counts.changed;
                    all.gone += counts.gone;
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
        self.store.commit(Batch::of(|b| { b.sweep(sweep.clone()); })).await?;
        Ok(sweep)
    }

    /// One kind in one scope: a complete listing, then a direct read of each that it lacks.
    async fn pass(&self, scope: &Scope, kind: &'static dyn AnyKind, cause: Cause) -> Result<SweepCounts, CaptureError> {
        let cx = self.aws.cx(scope, Purpose::Sweep).await?;
        let began = Timestamp::now();
        let found = kind.look(&cx, Which::All).await?;
        let ended = Timestamp::now();
        let Ok(name) = kind.name().parse::<KindName>() else { return Ok(SweepCounts::default()) };
        let seen: BTreeSet<String> = found.iter().map(|c| c.id.clone()).collect();
        let known = self.store.current_in(scope)?;
        let missing = known.into_iter().filter(|v| v.key.kind == name && !v.is_gone() && !seen.contains(&v.key.id)).map(|v| v.key);
        let mut versions: Vec<Version> = found.into_iter().map(|c| version(scope.key(name.clone(), &c.id), c, began, ended, cause.clone())).collect();
        for key in missing {
            versions.push(self.direct(&cx, kind, key, cause.clone()).await?);
        }
        self.counted(versions).await
    }
    async fn direct(&self, cx: &crate::aws::Cx, kind: &'static dyn AnyKind, key: ResourceKey, cause: Cause) -> Result<Version, CaptureError> {
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
        let committed = self.store.commit(Batch::of(|b| versions.into_iter().for_each(|v| { b.version(v); }))).await?;
        let gone = committed.changed.iter().filter(|k| gone.contains(k)).count() as u64;
        Ok(SweepCounts { seen, changed: committed.changed.len() as u64 - gone, gone })
    }

    /// Reads these resources now and stores what is found; a version or a tombstone for each of our kinds.
    pub async fn refresh(&self, keys: &BTreeSet<ResourceKey>, cause: &Cause) -> Result<Vec<Version>, CaptureError> {
        let mut groups: BTreeMap<(&Scope, &KindName), Vec<&ResourceKey>> = BTreeMap::new();
        for key in keys {
            groups.entry((&key.scope, &key.kind)).or_default().push(key);
        }
        let reads = groups.into_iter().filter_map(|((scope, kind), keys)| Some((scope, registry::kind(kind)?, keys))).map(|(scope, kind, keys)| async move {
            let cx = self.aws.cx(scope, Purpose::Sweep).await?;
            let ids: Vec<String> = keys.iter().map(|k| k.id.clone()).collect();
            let began = Timestamp::now();
            let found = look(&cx, kind.name(), &ids).await?;
            let ended = Timestamp::now();
            let mut versions = vec![];
            let mut missing = vec![];
            for key in keys {
                match found.iter().find(|c| c.id == key.id) {
                    Some(c) => versions.push(version(key.clone(), c.clone(), began, ended, cause.clone())),
                    None => missing.push(key.clone()),
                }
            }
            let direct = futures_util::stream::iter(missing.into_iter().map(|key| self.direct(&cx, kind, key, cause.clone())))
                .buffer_unordered(self.parallel.max(1))
                .try_collect::<Vec<_>>()
                .await?;
            versions.extend(direct);
            Ok::<_, CaptureError>(versions)
        });
        let versions: Vec<Version> = futures_util::future::try_join_all(reads).await?.into_iter().flatten().collect();
        let mut batch = Batch::new();
        for v in &versions {
            batch.version(v.clone());
        }
        self.store.commit(batch).await?;
        Ok(versions)
    }
}
