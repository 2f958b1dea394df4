//! What is asked of AWS before a plan may start: its quotas, and whether the writing calls are allowed.
use super::prepare::PrepareError;
use crate::{
    aws::{Aws, Failure, quotas},
    capture::Capture,
    kinds::{Which, permissions, registry},
    model::{Cause, KindName, ResourceKey, Scope, reference::Remap},
    plan::{
        Blocker, Plan,
        preflight::{self, Demand},
    },
    store::StoreError,
};
use futures_util::future::{BoxFuture, join_all, try_join_all};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// H65: the quotas that what is live and what the plan makes exceed together. One call for each quota that the plan draws
/// on; what is live is what the store knows, and read again where that seems too much.
pub async fn blockers(capture: &Capture, plan: &Plan) -> Result<Vec<Blocker>, PrepareError> {
    if let Some(into) = &plan.into {
        let demands = demands_elsewhere(capture, plan, into).await?;
        return Ok(exceeded(&demands, &values(capture, &demands).await));
    }
    let scopes: BTreeSet<&Scope> = plan.steps.iter().map(|s| &s.resource.scope).collect();
    let demands = demands(capture, plan, &scopes)?;
    let values = values(capture, &demands).await;
    if exceeded(&demands, &values).is_empty() {
        return Ok(vec![]);
    }
    // Somebody may have made room since the last sweep.
    let kinds: BTreeSet<&KindName> = plan.steps.iter().map(|s| &s.resource.kind).collect();
    let mut known = BTreeSet::new();
    for scope in &scopes {
        let there = capture.store.current_in(scope)?.into_iter().filter(|v| !v.is_gone());
        known.extend(there.map(|v| v.key).filter(|k| kinds.contains(&k.kind)));
    }
    capture.refresh(&known, &Cause::Plan).await?;
    Ok(exceeded(&self::demands(capture, plan, &scopes)?, &values))
}

fn exceeded(demands: &[Demand], values: &Values<'_>) -> Vec<Blocker> {
    demands.iter().filter_map(|d| blocker(d, values.get(&(&d.scope, d.quota.code))?)).collect()
}

/// What a plan draws on in another account or region: no snapshot need know it, so what is there is read.
async fn demands_elsewhere(capture: &Capture, plan: &Plan, into: &Scope) -> Result<Vec<Demand>, PrepareError> {
    let cx = capture.aws.respond_cx(into).await?;
    let mut live = BTreeMap::new();
    let kinds: BTreeMap<&KindName, &Scope> = plan.steps.iter().map(|s| (&s.resource.kind, &s.resource.scope)).collect();
    for (name, source) in kinds {
        let Some(kind) = registry::kind(name).filter(|k| !k.facts().quotas.is_empty()) else { continue };
        // Under the scope of the plan's own keys, so that they are counted together.
        let there = kind.look(&cx, Which::All).await?.into_iter().map(|c| (source.key(name.clone(), c.id), c.spec));
        live.extend(there);
    }
    let facts = |kind: &KindName| registry::kind(kind).map(|k| k.facts());
    let mut demands = preflight::demands(plan, &facts, &live, &ResourceKey::clone);
    demands.iter_mut().for_each(|d| d.scope = into.clone());
    Ok(demands)
}

fn demands(capture: &Capture, plan: &Plan, scopes: &BTreeSet<&Scope>) -> Result<Vec<Demand>, StoreError> {
    let mut live: BTreeMap<ResourceKey, Value> = BTreeMap::new();
    let mut remaps: BTreeMap<&Scope, Remap> = BTreeMap::new();
    for scope in scopes {
        let there = capture.store.current_in(scope)?;
        live.extend(there.into_iter().filter_map(|v| Some((v.key.clone(), v.spec()?.clone()))));
        remaps.insert(scope, capture.store.remaps(scope)?);
    }
    let today = |key: &ResourceKey| match remaps.get(&key.scope) {
        Some(remap) => key.scope.key(key.kind.clone(), remap.latest(key.kind.as_str(), &key.id)),
        None => key.clone(),
    };
    Ok(preflight::demands(plan, &|kind| registry::kind(kind).map(|k| k.facts()), &live, &today))
}

fn blocker(d: &Demand, value: &Result<u32, Failure>) -> Option<Blocker> {
    let (value, not_read) = match value {
        Ok(value) => (*value, None),
        Err(f) => (d.quota.default, Some(f.to_string())),
    };
    (d.live.saturating_add(d.needed) > value).then(|| Blocker {
        scope: d.scope.clone(),
        quota: d.quota.name.to_owned(),
        code: format!("{}/{}", d.quota.service, d.quota.code),
        of: d.of.clone(),
        value,
        not_read,
        live: d.live,
        needed: d.needed,
    })
}

type Read<'a> = ((&'a Scope, &'static str), Result<u32, Failure>);
type Values<'a> = BTreeMap<(&'a Scope, &'static str), Result<u32, Failure>>;
async fn values<'a>(capture: &'a Capture, demands: &'a [Demand]) -> Values<'a> {
    let asked: BTreeMap<(&Scope, &str), &Demand> = demands.iter().map(|d| ((&d.scope, d.quota.code), d)).collect();
    let reads: Vec<_> = asked.into_values().map(|demand| value(capture, demand)).collect();
    join_all(reads).await.into_iter().collect()
}
fn value<'a>(capture: &'a Capture, demand: &'a Demand) -> BoxFuture<'a, Read<'a>> {
    Box::pin(async move {
        let value = match capture.aws.respond_cx(&demand.scope).await {
            Ok(cx) => quotas::value(&cx, demand.quota.service, demand.quota.code).await,
            Err(f) => Err(f),
        };
        ((&demand.scope, demand.quota.code), value)
    })
}

/// The actions that the plan needs and that the identity that restores may not do, with their accounts and regions.
pub async fn missing(aws: &Aws, plan: &Plan) -> Result<Vec<String>, Failure> {
    let mut actions: BTreeMap<&Scope, BTreeSet<&str>> = BTreeMap::new();
    for step in &plan.steps {
        let of = actions.entry(plan.place(&step.resource)).or_default();
        of.extend(step.calls.iter().map(String::as_str));
        // What is made carries tags from the start.
        if !step.calls.is_empty() && step.verb.makes() {
            of.insert("ec2:CreateTags");
        }
    }
    let looks = actions.iter().filter(|(_, actions)| !actions.is_empty());
    let looks: Vec<_> = looks.map(|(scope, actions)| missing_in(aws, plan, scope, actions)).collect();
    Ok(try_join_all(looks).await?.into_iter().flatten().collect())
}
fn missing_in<'a>(
    aws: &'a Aws,
    plan: &'a Plan,
    scope: &'a Scope,
    actions: &'a BTreeSet<&'a str>,
) -> BoxFuture<'a, Result<Vec<String>, Failure>> {
    Box::pin(async move {
        let cx = aws.restore_cx(scope, &plan.digest).await?;
        let found = permissions::check(&cx, actions).await;
        if !found.not_checked.is_empty() {
            tracing::info!(%scope, actions = ?found.not_checked, "whether these are allowed shows when they are called");
        }
        Ok(found.missing.into_iter().map(|action| format!("{action} in {scope}")).collect())
    })
}
