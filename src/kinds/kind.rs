//! The contract between the engine and one kind of resource.
//!
//! A kind says how to read it, make it, bring it to a spec, and what is special about it. It never loops, waits or
//! retries: paging is the SDK's, everything else the engine's.
use super::{
    mirror::{Coverage, Inputs, Named, Plain, RowKeys},
    raw,
};
use crate::{
    aws::{Cx, Failure, tap::tapped},
    model::{Alias, Scope},
    plan::{
        facts::{Facts, Phase},
        preflight::{Ask, Blocks, IsKnown, Quota},
        readiness::{Copies, Copy, Ready},
    },
};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::{fmt, marker::PhantomData};

/// One resource as a read found it.
#[derive(Debug, Clone)]
pub struct Seen<S> {
    pub id: String,
    pub spec: S,
    /// Other names that records and other services use for it: association ids, rule ids, addresses.
    pub aliases: Vec<Alias>,
}

/// Which resources to read.
#[derive(Debug, Clone, Copy)]
pub enum Which<'a> {
    All,
    /// By a filter on ids, so that one that is gone does not fail the rest. At most 200, the limit of a filter.
    Ids(&'a [String]),
}

/// The step of a restore on whose behalf a resource is made.
#[derive(Debug, Clone)]
pub struct Step {
    pub restore: String,
    pub number: u32,
}
impl Step {
    /// The key of the tag by which a retry finds what an earlier attempt made (H64).
    pub const TAG: &'static str = "rollbackd:step";
    pub fn tag(&self) -> String {
        format!("{}/{}", self.restore, self.number)
    }
    /// For APIs that take a client token: the same for every attempt of this step.
    pub fn token(&self) -> String {
        format!("rollbackd-{}-{}", self.restore, self.number)
    }
}

/// One look at readiness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    Ready,
    /// Not yet: AWS's word for the state.
    Waiting(String),
    /// It never will be: AWS's words for why.
    Failed(String),
}

/// One kind of resource.
pub trait Kind: Sized + Send + Sync + 'static {
    /// Its name as a type (`names::ec2::Vpc`), for references.
    type Name: Named;
    /// What can be put back.
    #[cfg(not(test))]
    type Spec: Plain + Clone + PartialEq + fmt::Debug + Send + Sync + 'static;
    #[cfg(test)]
    type Spec: Plain + super::mirror::Sample + Clone + PartialEq + fmt::Debug + Send + Sync + 'static;
    /// Grows when `Spec` changes its shape; `upgrade` reads the older ones.
    const SPEC_VERSION: u16 = 1;
    /// The tables of its output and input types.
    const TABLES: &'static [&'static Coverage];
    const INPUTS: &'static [&'static Inputs];
    /// IAM actions of its reads, and of putting it back.
    const OBSERVE: &'static [&'static str];
    const RESTORE: &'static [&'static str];
    /// What of it never comes back, each a phrase for people.
    const NEVER_BACK: &'static [&'static str];
    /// Where in a restore it belongs.
    const PHASE: Phase;
    /// A deletion can be undone only while something lasts: done before all else (H14).
    const PERISHABLE: bool = false;
    /// Members that only a create call can give: a difference there cannot be converged.
    const IMMUTABLE: &'static [&'static str] = &[];
    /// Members that create gives and a later call can change: the link that follows has nothing to do for them.
    const GIVEN: &'static [&'static str] = &[];
    /// Members in the spec that no call can give back, with why: shown, never planned.
    const REPORTED: &'static [(&'static str, &'static str)] = &[];
    /// Those of `REPORTED` that tell how it was put back and nothing of what it is: a difference there is shown, and it counts
    /// as restored all the same.
    const HARMLESS: &'static [&'static str] = &[];
    /// Kinds that must be fully linked before this one is created, when both belong to the same owner: a NAT gateway
    /// needs its VPC's internet gateway attached.
    const AFTER: &'static [&'static str] = &[];
    /// Kinds that must be fully linked before this one is linked, when it refers to them: a route to an internet
    /// gateway needs the gateway attached.
    const LINK_AFTER: &'static [&'static str] = &[];

    /// Its type in Terraform's AWS provider (H60).
    const TERRAFORM: &'static str;
    /// What AWS allows only so many of (H65).
    const QUOTAS: &'static [Quota] = &[];

    /// Every resource of the kind in the context's account and region, or those asked for. Resources that are on their
    /// way out count as gone.
    fn look(cx: &Cx, which: Which<'_>) -> impl Future<Output = Result<Vec<Seen<Self::Spec>>, Failure>> + Send;
    /// One resource by its id. Not found, an empty answer and a dying state are all `None`.
    fn read(cx: &Cx, id: &str) -> impl Future<Output = Result<Option<Seen<Self::Spec>>, Failure>> + Send;
    /// The id of what an earlier attempt of this step made, if it is there and alive.
    fn made_by(cx: &Cx, step: &Step) -> impl Future<Output = Result<Option<String>, Failure>> + Send;
    /// Makes it with what only a create call can say and with the spec's tags and the step's. Every reference is
    /// already mapped. One attempt: the engine looks for `made_by` before another.
    fn create(cx: &Cx, spec: &Self::Spec, step: &Step) -> impl Future<Output = Result<String, Failure>> + Send;
    /// Brings an existing one from `now` to `want`: late references, rules, attributes, tags; in the fewest calls.
    /// Idempotent: what is already so is success. Tags under `aws:` and `rollbackd:` are left alone.
    fn converge(
        cx: &Cx,
        id: &str,
        now: &Self::Spec,
        want: &Self::Spec,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
    /// One look at whether it is ready to be used.
    fn settled(_cx: &Cx, _id: &str) -> impl Future<Output = Result<Settled, Failure>> + Send {
        async { Ok(Settled::Ready) }
    }
    /// AWS makes this one together with its owner: never created, but adopted (H3).
    fn is_implicit(_spec: &Self::Spec) -> bool {
        false
    }
    /// The implicit one of the owner that `want` names (already mapped).
    fn implicit(_cx: &Cx, _want: &Self::Spec) -> impl Future<Output = Result<Option<String>, Failure>> + Send {
        async { Ok(None) }
    }
    /// What only one live resource can have, such as a group's name in its VPC. Same text, same claim.
    fn natural_key(_spec: &Self::Spec) -> Option<String> {
        None
    }
    /// Blocks of addresses that may not overlap each other, nor those of others under the same owner.
    fn blocks(_spec: &Self::Spec) -> Option<Blocks> {
        None
    }
    /// Who else must act when it is made again.
    fn human(_scope: &Scope, _spec: &Self::Spec, _is_known: IsKnown<'_>) -> Option<Ask> {
        None
    }
    /// The resource and its associations as Terraform knows them: type and import id (H60). Where that is no id, what is
    /// made again under the same name needs no import.
    fn terraform(id: &str, _spec: &Self::Spec) -> Vec<(&'static str, String)> {
        vec![(Self::TERRAFORM, id.to_owned())]
    }
    /// Of whose content the resource is a copy: a snapshot says its volume.
    fn copy_of(_id: &str, _spec: &Self::Spec) -> Option<Copy> {
        None
    }
    /// What deleting it would cost today, beyond what every restore changes.
    fn readiness(_id: &str, _spec: &Self::Spec, _copies: &Copies) -> Ready {
        Ready::id_only()
    }
    /// The writing calls, in order, that `create` (`now` is `None`) or `converge` will make; for the plan's floor time.
    fn calls(now: Option<&Self::Spec>, want: &Self::Spec) -> Vec<&'static str>;
    /// An older spec in today's shape.
    fn upgrade(_from: u16, spec: Value) -> Result<Value, String> {
        Ok(spec)
    }
}

/// One resource as the engine stores it.
#[derive(Debug, Clone)]
pub struct Captured {
    pub id: String,
    pub spec: Value,
    pub aliases: Vec<Alias>,
    /// Elements of the raw answer that no table knows: path to text. Null where there are none.
    pub unmapped: Value,
}

/// The same contract with the types rubbed out, so that the engine can hold all kinds in one table.
pub trait AnyKind: Send + Sync {
    fn name(&self) -> &'static str;
    fn spec_version(&self) -> u16;
    fn tables(&self) -> &'static [&'static Coverage];
    fn inputs(&self) -> &'static [&'static Inputs];
    fn observe(&self) -> &'static [&'static str];
    fn restore(&self) -> &'static [&'static str];
    fn never_back(&self) -> &'static [&'static str];
    /// What the planner must know.
    fn facts(&self) -> Facts;
    fn look<'a>(&'a self, cx: &'a Cx, which: Which<'a>) -> BoxFuture<'a, Result<Vec<Captured>, Failure>>;
    fn read<'a>(&'a self, cx: &'a Cx, id: &'a str) -> BoxFuture<'a, Result<Option<Captured>, Failure>>;
    fn made_by<'a>(&'a self, cx: &'a Cx, step: &'a Step) -> BoxFuture<'a, Result<Option<String>, Failure>>;
    fn create<'a>(&'a self, cx: &'a Cx, spec: &'a Value, step: &'a Step) -> BoxFuture<'a, Result<String, Failure>>;
    fn converge<'a>(
        &'a self,
        cx: &'a Cx,
        id: &'a str,
        now: &'a Value,
        want: &'a Value,
    ) -> BoxFuture<'a, Result<(), Failure>>;
    fn settled<'a>(&'a self, cx: &'a Cx, id: &'a str) -> BoxFuture<'a, Result<Settled, Failure>>;
    fn implicit<'a>(&'a self, cx: &'a Cx, want: &'a Value) -> BoxFuture<'a, Result<Option<String>, Failure>>;
    /// A stored spec in today's shape, or why it cannot be read.
    fn upgraded(&self, from: u16, spec: Value) -> Result<Value, String>;
    /// A spec with every member filled, its sets in either order.
    #[cfg(test)]
    fn sample(&self, backwards: bool) -> Value;
    /// A spec read into its type and written again.
    #[cfg(test)]
    fn again(&self, spec: &Value) -> Result<Value, super::mirror::Misfit>;
}

/// A kind behind `AnyKind`.
pub struct Erased<K>(PhantomData<fn() -> K>);
impl<K> Erased<K> {
    pub const NEW: Self = Self(PhantomData);
}

fn typed<K: Kind>(spec: &Value) -> Result<K::Spec, Failure> {
    K::Spec::from_json(spec)
        .map_err(|e| Failure::unbuildable("decode", format!("a stored {} does not fit its type: {e}", K::Name::NAME)))
}
/// What a read found, with what its raw answers hold beside it.
fn captured<K: Kind>(seen: Vec<Seen<K::Spec>>, answers: &[Vec<u8>]) -> Vec<Captured> {
    let ids: Vec<&str> = seen.iter().map(|s| s.id.as_str()).collect();
    let mut unmapped = raw::unmapped(K::TABLES, &ids, answers);
    seen.into_iter()
        .map(|s| {
            let unmapped = unmapped.remove(&s.id).unwrap_or_default();
            Captured { id: s.id, spec: s.spec.to_json(), aliases: s.aliases, unmapped }
        })
        .collect()
}

impl<K: Kind> AnyKind for Erased<K> {
    fn name(&self) -> &'static str {
        K::Name::NAME
    }
    fn spec_version(&self) -> u16 {
        K::SPEC_VERSION
    }
    fn tables(&self) -> &'static [&'static Coverage] {
        K::TABLES
    }
    fn inputs(&self) -> &'static [&'static Inputs] {
        K::INPUTS
    }
    fn observe(&self) -> &'static [&'static str] {
        K::OBSERVE
    }
    fn restore(&self) -> &'static [&'static str] {
        K::RESTORE
    }
    fn never_back(&self) -> &'static [&'static str] {
        K::NEVER_BACK
    }
    fn facts(&self) -> Facts {
        Facts {
            kind: K::Name::NAME,
            phase: K::PHASE,
            perishable: K::PERISHABLE,
            immutable: K::IMMUTABLE,
            given: K::GIVEN,
            reported: K::REPORTED,
            harmless: K::HARMLESS,
            after: K::AFTER,
            link_after: K::LINK_AFTER,
            never_back: K::NEVER_BACK,
            quotas: K::QUOTAS,
            blocks: |spec| K::blocks(&K::Spec::from_json(spec).ok()?),
            human: |scope, spec, is_known| K::human(scope, &K::Spec::from_json(spec).ok()?, is_known),
            terraform: |id, spec| K::Spec::from_json(spec).map(|s| K::terraform(id, &s)).unwrap_or_default(),
            row_keys: || {
                let mut keys = RowKeys::new();
                K::Spec::row_keys("", &mut keys);
                keys
            },
            is_implicit: |spec| K::Spec::from_json(spec).is_ok_and(|s| K::is_implicit(&s)),
            natural_key: |spec| K::natural_key(&K::Spec::from_json(spec).ok()?),
            copy_of: |id, spec| K::copy_of(id, &K::Spec::from_json(spec).ok()?),
            readiness: |id, spec, copies| match K::Spec::from_json(spec) {
                Ok(spec) => K::readiness(id, &spec, copies),
                Err(_) => Ready::id_only(),
            },
            calls: |now, want| {
                let (Ok(now), Ok(want)) = (now.map(K::Spec::from_json).transpose(), K::Spec::from_json(want)) else {
                    return vec![];
                };
                K::calls(now.as_ref(), &want)
            },
        }
    }
    fn look<'a>(&'a self, cx: &'a Cx, which: Which<'a>) -> BoxFuture<'a, Result<Vec<Captured>, Failure>> {
        Box::pin(async move {
            // A filter without values is an error to AWS; none asked for is none found.
            if matches!(which, Which::Ids([])) {
                return Ok(vec![]);
            }
            let (seen, answers) = tapped(K::look(cx, which)).await;
            let mut all = captured::<K>(seen?, &answers);
            all.sort_by(|a, b| a.id.cmp(&b.id));
            Ok(all)
        })
    }
    fn read<'a>(&'a self, cx: &'a Cx, id: &'a str) -> BoxFuture<'a, Result<Option<Captured>, Failure>> {
        Box::pin(async move {
            let (seen, answers) = tapped(K::read(cx, id)).await;
            Ok(captured::<K>(seen?.into_iter().collect(), &answers).pop())
        })
    }
    fn made_by<'a>(&'a self, cx: &'a Cx, step: &'a Step) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(K::made_by(cx, step))
    }
    fn create<'a>(&'a self, cx: &'a Cx, spec: &'a Value, step: &'a Step) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { K::create(cx, &typed::<K>(spec)?, step).await })
    }
    fn converge<'a>(
        &'a self,
        cx: &'a Cx,
        id: &'a str,
        now: &'a Value,
        want: &'a Value,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let (now, want) = (typed::<K>(now)?, typed::<K>(want)?);
            if now == want { Ok(()) } else { K::converge(cx, id, &now, &want).await }
        })
    }
    fn settled<'a>(&'a self, cx: &'a Cx, id: &'a str) -> BoxFuture<'a, Result<Settled, Failure>> {
        Box::pin(K::settled(cx, id))
    }
    fn implicit<'a>(&'a self, cx: &'a Cx, want: &'a Value) -> BoxFuture<'a, Result<Option<String>, Failure>> {
        Box::pin(async move { K::implicit(cx, &typed::<K>(want)?).await })
    }
    fn upgraded(&self, from: u16, spec: Value) -> Result<Value, String> {
        if from > K::SPEC_VERSION {
            return Err(format!(
                "a {} of spec version {from} was written by a newer rollbackd (this one knows {})",
                K::Name::NAME,
                K::SPEC_VERSION
            ));
        }
        if from == K::SPEC_VERSION { Ok(spec) } else { K::upgrade(from, spec) }
    }
    #[cfg(test)]
    fn sample(&self, backwards: bool) -> Value {
        use super::mirror::{Sample, Seed};
        K::Spec::sample(&mut Seed::new(backwards)).to_json()
    }
    #[cfg(test)]
    fn again(&self, spec: &Value) -> Result<Value, super::mirror::Misfit> {
        K::Spec::from_json(spec).map(|s| s.to_json())
    }
}
