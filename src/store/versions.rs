//! Versions: what a resource was when. A spec is stored once under its hash; what else a version holds stands in
//! `versions`, and for the last one in `current`, where `seen_at` moves with every read that finds the same. When the next
//! version comes, the last state of `current` is written over its entry in `versions`.
use super::{
    Store, StoreError,
    documents::from_json,
    engine::Engine,
    envelope,
    error::Result,
    keys::{self, Parts, Role, Tree},
    writer::View,
};
use crate::model::{
    Alias, Cause, Hash, KindName, ResourceKey, Scope, State, Timestamp, Version, canonical, limits::ID_BYTES_MAX,
    reference::Remap, version::spec_hash,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    ops::ControlFlow::{self, Break, Continue},
};

/// A version without its key and its spec.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Stored {
    read_began: Timestamp,
    pub captured_at: Timestamp,
    seen_at: Timestamp,
    cause: Cause,
    /// None in a tombstone.
    pub spec: Option<Spec>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    unmapped: Value,
    /// In a tombstone those that the resource had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<Alias>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}
/// Where a spec stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spec {
    pub hash: Hash,
    version: u16,
}
/// A blob, as read.
#[derive(Deserialize)]
struct Blob {
    kind: KindName,
    spec_version: u16,
    spec: Value,
}

impl Stored {
    fn of(v: &Version, before: Option<&Self>) -> Self {
        let (spec, unmapped) = match &v.state {
            State::Present { hash, spec_version, unmapped, .. } => {
                (Some(Spec { hash: hash.clone(), version: *spec_version }), unmapped.clone())
            }
            State::Gone => (None, Value::Null),
        };
        let last = before.filter(|_| v.is_gone());
        Self {
            read_began: v.read_began,
            captured_at: v.captured_at,
            seen_at: v.seen_at,
            cause: v.cause.clone(),
            spec,
            unmapped,
            aliases: last.map_or_else(|| v.aliases().to_vec(), |b| b.aliases.clone()),
            name: last.map_or_else(|| v.name().map(str::to_owned), |b| b.name.clone()),
        }
    }
    fn same_state(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
    /// This version, also seen by the read `again`. False when that says nothing new.
    fn see_again(&mut self, again: Self) -> bool {
        let before = self.clone();
        if again.seen_at >= self.seen_at {
            (self.seen_at, self.aliases, self.unmapped) = (again.seen_at, again.aliases, again.unmapped);
        }
        *self != before
    }
    /// A read that ended at `instant` found something else, and this was seen before and after it: what was after it, as a
    /// version of its own. Nothing is known of when that one began but that it was not before `instant`.
    fn cut(&mut self, instant: Timestamp) -> Option<Self> {
        if self.seen_at <= instant {
            return None;
        }
        let after = Self { read_began: instant, captured_at: self.seen_at, ..self.clone() };
        self.seen_at = self.captured_at;
        Some(after)
    }
}

/// The resource, if it got a new version.
pub(super) fn put(view: &mut View<'_>, v: Version) -> Result<Option<ResourceKey>> {
    keys::checked("a version", &v.key.id)?;
    if let State::Present { hash, spec_version, spec, .. } = &v.state
        && spec_hash(&v.key.kind, *spec_version, spec) != *hash
    {
        let why = format!("its hash {} is not that of its spec", hash.short());
        return Err(StoreError::Invalid { what: format!("a version of {}", v.key), why });
    }
    let key = keys::resource(&v.key);
    let last: Option<Stored> = view.get_or_heal(Tree::Current, &key)?;
    let is_late = last.as_ref().is_some_and(|l| l.captured_at > v.captured_at);
    let before = if is_late { before(view, &key, &keys::version(&v.key, v.captured_at))? } else { last };
    let new = Stored::of(&v, before.as_ref());
    let entry = |s: &Stored| keys::version(&v.key, s.captured_at);
    let mut after = None;
    match before {
        None if v.is_gone() => return Ok(None),
        None => {}
        Some(mut before) if before.same_state(&new) => {
            if before.see_again(new) {
                put_names(view, &v.key, &before)?;
                let (tree, at) = if is_late { (Tree::Versions, entry(&before)) } else { (Tree::Current, key) };
                view.put_json(tree, at, &before)?;
            }
            return Ok(None);
        }
        Some(mut before) => {
            after = before.cut(v.captured_at);
            if !is_late || after.is_some() {
                view.put_json(Tree::Versions, entry(&before), &before)?;
            }
        }
    }
    let Some(new) = at_free_instant(view, &v.key, new)? else { return Ok(None) };
    put_names(view, &v.key, &new)?;
    if let State::Present { hash, spec_version, spec, .. } = &v.state {
        put_blob(view, hash, &v.key.kind, *spec_version, spec)?;
    }
    view.put_json(Tree::Versions, entry(&new), &new)?;
    let mut newest = new;
    if let Some(after) = after.map(|a| at_free_instant(view, &v.key, a)).transpose()?.flatten() {
        view.put_json(Tree::Versions, entry(&after), &after)?;
        newest = after;
    }
    if !is_late {
        view.put_json(Tree::Current, key, &newest)?;
    }
    Ok(Some(v.key))
}

fn before(view: &View<'_>, resource: &[u8], at: &[u8]) -> Result<Option<Stored>> {
    match view.last_up_to(Tree::Versions, resource, at) {
        Ok(Some((key, plain))) => from_json(Tree::Versions, &key, &plain).map(Some),
        Ok(None) => Ok(None),
        // Not comparable: the read is kept, whatever it says.
        Err(StoreError::Corrupt { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// History is never overwritten: of two different reads that ended in the same nanosecond the second moves on by one.
/// None when it is there already.
fn at_free_instant(view: &View<'_>, key: &ResourceKey, mut new: Stored) -> Result<Option<Stored>> {
    while let Some(there) = view.get_or_heal::<Stored>(Tree::Versions, &keys::version(key, new.captured_at))? {
        if there.same_state(&new) {
            return Ok(None);
        }
        let next = Timestamp::from_nanosecond(new.captured_at.as_nanosecond() + 1);
        new.captured_at =
            next.map_err(|e| StoreError::Invalid { what: format!("a version of {key}"), why: e.to_string() })?;
    }
    Ok(Some(new))
}

fn put_blob(view: &mut View<'_>, hash: &Hash, kind: &KindName, spec_version: u16, spec: &Value) -> Result<()> {
    let key = keys::blob(hash);
    // Read, not only looked for: a corrupt one is written again.
    match view.get(Tree::Blobs, &key) {
        Ok(Some(_)) => return Ok(()),
        Ok(None) | Err(StoreError::Corrupt { .. }) => {}
        Err(e) => return Err(e),
    }
    let text = canonical(&json!({ "kind": kind, "spec_version": spec_version, "spec": spec }));
    view.put(Tree::Blobs, key, text.into_bytes());
    Ok(())
}

/// What people and records call it. Entries stay when an alias goes: a record of then still finds its resource.
fn put_names(view: &mut View<'_>, key: &ResourceKey, s: &Stored) -> Result<()> {
    let id = [(Role::Id, key.id.as_str())];
    let aliases = s.aliases.iter().map(|a| (Role::Alias, a.0.as_str()));
    let name = s.name.iter().map(|n| (Role::Name, n.as_str()));
    for (role, text) in id.into_iter().chain(aliases).chain(name) {
        let at = keys::name(view.engine().name_key(), role, text, key);
        // AWS has no such long names; one that came all the same is in the version, and only not found by it.
        if !text.is_empty() && text.len() <= ID_BYTES_MAX && !view.has(Tree::Names, &at)? {
            view.put(Tree::Names, at, Vec::new());
        }
    }
    Ok(())
}

/// The blob of a hash, checked against it.
fn blob(engine: &Engine, hash: &Hash) -> Result<Option<Blob>> {
    let key = keys::blob(hash);
    let Some(plain) = engine.get(Tree::Blobs, &key)? else { return Ok(None) };
    if Hash::of_bytes(&plain) != *hash {
        return Err(envelope::corrupt(Tree::Blobs, &key, "its hash is not its key".into()));
    }
    from_json(Tree::Blobs, &key, &plain).map(Some)
}

/// A stored version made whole again.
fn whole(engine: &Engine, key: ResourceKey, s: Stored) -> Result<Version> {
    let state = match s.spec {
        None => State::Gone,
        Some(Spec { hash, version }) => {
            let why =
                |why: &str| envelope::corrupt(Tree::Blobs, &keys::blob(&hash), format!("{why} (a version of {key})"));
            let blob = blob(engine, &hash)?.ok_or_else(|| why("it is missing"))?;
            if blob.kind != key.kind || blob.spec_version != version {
                return Err(why("it is of another kind or spec version"));
            }
            State::Present { hash, spec_version: version, spec: blob.spec, unmapped: s.unmapped, aliases: s.aliases }
        }
    };
    Ok(Version { key, read_began: s.read_began, captured_at: s.captured_at, seen_at: s.seen_at, cause: s.cause, state })
}

/// What is wrong with a value of `versions` or `current`, beyond its envelope; for the scrub.
pub(super) fn fault(engine: &Engine, tree: Tree, key: &[u8], plain: &[u8]) -> Result<Option<String>> {
    let stored: Stored = match from_json(tree, key, plain) {
        Ok(s) => s,
        Err(e) => return Ok(Some(e.to_string())),
    };
    let mut parts = Parts::of(key);
    let Some(resource) = parts.as_mut().and_then(Parts::resource) else {
        return Ok(Some("its key is no resource".into()));
    };
    if tree == Tree::Versions && parts.as_mut().and_then(Parts::time) != Some(stored.captured_at) {
        return Ok(Some("its instant is not its key's".into()));
    }
    if tree == Tree::Current && !engine.has(Tree::Versions, &keys::version(&resource, stored.captured_at))? {
        return Ok(Some("its entry in `versions` is missing".into()));
    }
    match stored.spec {
        Some(spec) if !engine.has(Tree::Blobs, &keys::blob(&spec.hash))? => {
            Ok(Some(format!("its blob {} is missing", spec.hash.short())))
        }
        _ => Ok(None),
    }
}

/// Reads of versions.
impl Store {
    /// The last version of a resource; a tombstone if it is gone, none if it was never seen.
    pub fn current(&self, key: &ResourceKey) -> Result<Option<Version>> {
        self.last(key)?.map(|s| whole(self.engine(), key.clone(), s)).transpose()
    }
    /// The last version of every resource of a scope, tombstones included, in order of kind and id.
    pub fn current_in(&self, scope: &Scope) -> Result<Vec<Version>> {
        let mut out = Vec::new();
        self.each_current(scope, |key, s| {
            out.push(whole(self.engine(), key, s)?);
            Ok(())
        })?;
        Ok(out)
    }
    /// All versions of a resource, newest first.
    pub fn history(&self, key: &ResourceKey) -> Result<Vec<Version>> {
        let last = self.last(key)?;
        let mut out = Vec::new();
        self.engine().scan(Tree::Versions, &keys::resource(key), &[], |item| {
            let s: Stored = from_json(Tree::Versions, &item.key, &item.plain(Tree::Versions)?)?;
            // Only `current` knows when it was last seen.
            let s = last.clone().filter(|l| l.captured_at == s.captured_at).unwrap_or(s);
            out.push(whole(self.engine(), key.clone(), s)?);
            Ok(go_on())
        })?;
        out.reverse();
        Ok(out)
    }
    /// The last version captured at or before an instant; may be a tombstone.
    pub fn at(&self, key: &ResourceKey, instant: Timestamp) -> Result<Option<Version>> {
        let Some(last) = self.last(key)? else { return Ok(None) };
        self.as_of(key, last, instant)?.map(|s| whole(self.engine(), key.clone(), s)).transpose()
    }
    /// What a scope held at an instant: each resource's last version captured at or before it, without those that were gone.
    pub fn world_at(&self, scope: &Scope, instant: Timestamp) -> Result<Vec<Version>> {
        let mut out = Vec::new();
        self.each_current(scope, |key, last| {
            if let Some(s) = self.as_of(&key, last, instant)?.filter(|s| s.spec.is_some()) {
                out.push(whole(self.engine(), key, s)?);
            }
            Ok(())
        })?;
        Ok(out)
    }
    /// Every scope that has a resource, or had one.
    pub fn scopes(&self) -> Result<Vec<Scope>> {
        let mut out = Vec::new();
        let mut from = Vec::new();
        loop {
            let next = self.engine().scan(Tree::Current, &[], &from, |item| {
                let scope = Parts::of(&item.key).and_then(|mut p| p.scope());
                Ok(Break(scope.ok_or_else(|| not_a_resource(Tree::Current, &item.key))?))
            })?;
            let Some(scope) = next else { return Ok(out) };
            let past = keys::after(&keys::scope(&scope));
            out.push(scope);
            let Some(past) = past else { return Ok(out) };
            from = past;
        }
    }
    /// Every resource of a scope, gone ones included, in order of kind and id.
    pub fn resources(&self, scope: &Scope) -> Result<Vec<ResourceKey>> {
        let mut out = Vec::new();
        self.engine().scan(Tree::Current, &keys::scope(scope), &[], |item| {
            out.push(resource_of(Tree::Current, &item.key)?);
            Ok(go_on())
        })?;
        Ok(out)
    }
    /// Resources by what people type and records say: a whole key, a bare id, an alias that it has or ever had, or the name
    /// that it has now or had when it went. Gone ones are found too. Each once, in order.
    pub fn find(&self, text: &str) -> Result<Vec<ResourceKey>> {
        let mut out = BTreeSet::new();
        if let Ok(key) = text.parse::<ResourceKey>()
            && self.engine().has(Tree::Current, &keys::resource(&key))?
        {
            out.insert(key);
        }
        for role in [Role::Id, Role::Alias, Role::Name] {
            let prefix = keys::names(self.engine().name_key(), role, text);
            self.engine().scan(Tree::Names, &prefix, &[], |item| {
                let rest = keys::Key::new().bytes(item.key.get(prefix.len()..).unwrap_or_default()).done();
                let key = resource_of(Tree::Names, &rest)?;
                if role != Role::Name || self.last(&key)?.is_some_and(|s| s.name.as_deref() == Some(text)) {
                    out.insert(key);
                }
                Ok(go_on())
            })?;
        }
        Ok(out.into_iter().collect())
    }
    /// What the resources of a scope are called since they were put back.
    pub fn remaps(&self, scope: &Scope) -> Result<Remap> {
        let mut out = Remap::default();
        self.engine().scan(Tree::Remap, &keys::scope(scope), &[], |item| {
            let old = resource_of(Tree::Remap, &item.key)?;
            let new: ResourceKey = from_json(Tree::Remap, &item.key, &item.plain(Tree::Remap)?)?;
            if new.scope == *scope {
                out.insert(&old.kind, old.id, new.id);
            }
            Ok(go_on())
        })?;
        Ok(out)
    }

    fn last(&self, key: &ResourceKey) -> Result<Option<Stored>> {
        let at = keys::resource(key);
        self.engine().get(Tree::Current, &at)?.map(|plain| from_json(Tree::Current, &at, &plain)).transpose()
    }
    fn as_of(&self, key: &ResourceKey, last: Stored, instant: Timestamp) -> Result<Option<Stored>> {
        if last.captured_at <= instant {
            return Ok(Some(last));
        }
        let item = self.engine().last_up_to(Tree::Versions, &keys::resource(key), &keys::version(key, instant))?;
        item.map(|i| from_json(Tree::Versions, &i.key, &i.plain(Tree::Versions)?)).transpose()
    }
    fn each_current(&self, scope: &Scope, mut f: impl FnMut(ResourceKey, Stored) -> Result<()>) -> Result<()> {
        self.engine().scan(Tree::Current, &keys::scope(scope), &[], |item| {
            let key = resource_of(Tree::Current, &item.key)?;
            f(key, from_json(Tree::Current, &item.key, &item.plain(Tree::Current)?)?)?;
            Ok(go_on())
        })?;
        Ok(())
    }
}

/// For scans that never stop early.
pub(super) fn go_on() -> ControlFlow<()> {
    Continue(())
}
fn resource_of(tree: Tree, key: &[u8]) -> Result<ResourceKey> {
    Parts::of(key).and_then(|mut p| p.resource()).ok_or_else(|| not_a_resource(tree, key))
}
fn not_a_resource(tree: Tree, key: &[u8]) -> StoreError {
    envelope::corrupt(tree, key, "its key is no resource".into())
}
