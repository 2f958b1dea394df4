//! What is kept whole under its id: sweeps, sessions, incidents, plans, restores and their journals, labels, cursors, the
//! audit chain, and what others keep in `meta`.
use super::{
    Cursor, Store, StoreError, envelope,
    error::Result,
    keys::{self, Key, Parts, Tree},
    versions::go_on,
    writer::View,
};
use crate::model::{
    Hash, Incident, IncidentId, Scope, SessionId, Sweep, Timestamp,
    actor::Session,
    audit::{Entry, Head, What},
};
use serde::de::DeserializeOwned;
use std::ops::ControlFlow::{self, Break, Continue};

pub(super) fn from_json<T: DeserializeOwned>(tree: Tree, key: &[u8], plain: &[u8]) -> Result<T> {
    serde_json::from_slice(plain).map_err(|e| envelope::corrupt(tree, key, format!("it is not what was expected: {e}")))
}
/// A name in `meta` that the store keeps for itself.
pub(super) fn meta_own(name: &str) -> Vec<u8> {
    keys::text(&format!(".{name}"))
}
/// A name in `meta` that somebody else chose.
pub(super) fn meta_key(name: &str) -> Vec<u8> {
    keys::text(&format!("x.{name}"))
}

const AUDIT_HEAD: &str = "audit-head";
/// The next entry of the chain.
pub(super) fn put_audit(view: &mut View<'_>, at: Timestamp, who: String, what: What) -> Result<Entry> {
    let head = match view.get_json::<Head>(Tree::Meta, &meta_own(AUDIT_HEAD)) {
        Ok(head) => head,
        // The last entry says the same. Without it the chain is broken, and that must show rather than be papered over.
        Err(StoreError::Corrupt { .. }) => {
            let last = view.last_up_to(Tree::Audit, &Key::new().done(), &keys::number(u64::MAX))?;
            last.map(|(key, plain)| from_json::<Entry>(Tree::Audit, &key, &plain)).transpose()?.map(|e| e.head())
        }
        Err(e) => return Err(e),
    };
    let entry = Entry::follow(head.as_ref(), at, who, what);
    view.put_json(Tree::Audit, keys::number(entry.seq), &entry)?;
    view.put_json(Tree::Meta, meta_own(AUDIT_HEAD), &entry.head())?;
    Ok(entry)
}

/// Reads of documents.
impl Store {
    /// Up to `limit` sweeps, newest first, unfinished ones too.
    pub fn sweeps(&self, limit: usize) -> Result<Vec<Sweep>> {
        let mut out = Vec::new();
        self.each_sweep(|s| {
            if out.len() < limit {
                out.push(s);
            }
            if out.len() < limit { Continue(()) } else { Break(()) }
        })?;
        Ok(out)
    }
    /// The newest sweep of a scope that ran to its end; it may have errors.
    pub fn last_sweep(&self, scope: &Scope) -> Result<Option<Sweep>> {
        let mut found = None;
        self.each_sweep(|s| {
            if s.ended.is_none() || !s.scopes.contains_key(scope) {
                return Continue(());
            }
            found = Some(s);
            Break(())
        })?;
        Ok(found)
    }
    /// Newest first.
    fn each_sweep(&self, mut f: impl FnMut(Sweep) -> ControlFlow<()>) -> Result<()> {
        let prefix = Key::new().done();
        let mut up_to = Key::new().time(Timestamp::MAX).done();
        while let Some(item) = self.engine().last_up_to(Tree::Sweeps, &prefix, &up_to)? {
            let sweep: Sweep = from_json(Tree::Sweeps, &item.key, &item.plain(Tree::Sweeps)?)?;
            let before = Timestamp::from_nanosecond(sweep.started.as_nanosecond() - 1);
            if f(sweep).is_break() {
                break;
            }
            // The earliest instant that there is has none before it.
            let Ok(before) = before else { break };
            up_to = Key::new().time(before).done();
        }
        Ok(())
    }

    /// Every session, in order of id.
    pub fn sessions(&self) -> Result<Vec<Session>> {
        Ok(self.all(Tree::Sessions, &[])?.into_iter().map(|(_, s)| s).collect())
    }
    /// What is known of a session.
    pub fn session(&self, id: &SessionId) -> Result<Option<Session>> {
        self.one(Tree::Sessions, &keys::text(&id.0))
    }
    /// An incident as it was last written.
    pub fn incident(&self, id: &IncidentId) -> Result<Option<Incident>> {
        self.one(Tree::Incidents, &keys::text(id.as_str()))
    }
    /// Every incident, newest first by its first destructive record.
    pub fn incidents(&self) -> Result<Vec<Incident>> {
        let mut out: Vec<Incident> = self.all(Tree::Incidents, &[])?.into_iter().map(|(_, i)| i).collect();
        out.sort_by(|a, b| b.first.cmp(&a.first).then_with(|| a.id.cmp(&b.id)));
        Ok(out)
    }
    /// The plan of a digest, as the caller's type.
    pub fn plan<T: DeserializeOwned>(&self, id: &Hash) -> Result<Option<T>> {
        self.one(Tree::Plans, &keys::text(id.as_str()))
    }
    /// Digests of plans that begin with what somebody typed, in order.
    pub fn plans(&self, prefix: &str) -> Result<Vec<Hash>> {
        let mut out = Vec::new();
        // Without the end mark of a text: a digest has no zero byte to escape, and what else was typed finds nothing.
        self.engine().scan(Tree::Plans, &Key::new().bytes(prefix.as_bytes()).done(), &[], |item| {
            out.extend(Parts::of(&item.key).and_then(|mut p| p.text()).and_then(|t| t.parse::<Hash>().ok()));
            Ok(go_on())
        })?;
        Ok(out)
    }
    /// A restore as it was last written, as the caller's type.
    pub fn restore<T: DeserializeOwned>(&self, id: &str) -> Result<Option<T>> {
        self.one(Tree::Restores, &keys::text(id))
    }
    /// Every restore with its id, in order of id.
    pub fn restores<T: DeserializeOwned>(&self) -> Result<Vec<(String, T)>> {
        self.named(Tree::Restores)
    }
    /// The steps of a restore, in order.
    pub fn journal<T: DeserializeOwned>(&self, restore: &str) -> Result<Vec<(u32, T)>> {
        let prefix = keys::text(restore);
        let all = self.all(Tree::Journal, &prefix)?;
        all.into_iter()
            .map(|(key, entry)| {
                let step = Parts::of(&key).and_then(|mut p| p.text().and_then(|_| p.take::<4>()));
                let step = step.ok_or_else(|| envelope::corrupt(Tree::Journal, &key, "its key is no step".into()))?;
                Ok((u32::from_be_bytes(step), entry))
            })
            .collect()
    }
    /// The instant that a label names.
    pub fn label(&self, name: &str) -> Result<Option<Timestamp>> {
        self.one(Tree::Labels, &keys::text(name))
    }
    /// Every label with its instant, in order of name.
    pub fn labels(&self) -> Result<Vec<(String, Timestamp)>> {
        self.named(Tree::Labels)
    }
    /// How far a source was read.
    pub fn cursor(&self, name: &str) -> Result<Option<Cursor>> {
        self.one(Tree::Cursors, &keys::text(name))
    }
    /// Every cursor with its name.
    pub fn cursors(&self) -> Result<Vec<(String, Cursor)>> {
        self.named(Tree::Cursors)
    }
    /// What [`Batch::meta`](super::Batch::meta) put there. A null reads as `None::<T>` only for a `T` that knows null.
    pub fn meta<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        self.one(Tree::Meta, &meta_key(key))
    }

    /// Up to `limit` entries of the audit chain from number `from` on (the first is 1), in order. Does not verify the chain.
    pub fn audit_range(&self, from: u64, limit: usize) -> Result<Vec<Entry>> {
        let mut out = Vec::new();
        self.each_audit(from, |_, entry| {
            if out.len() >= limit {
                return Ok(Break(()));
            }
            out.push(entry?);
            Ok(go_on())
        })?;
        Ok(out)
    }
    /// Calls `f` with each entry of the audit chain from `from` on and the number under which it stands.
    pub fn each_audit(
        &self,
        from: u64,
        mut f: impl FnMut(u64, Result<Entry>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        self.engine().scan(Tree::Audit, &Key::new().done(), &keys::number(from), |item| {
            let Some(at) = Parts::of(&item.key).and_then(|mut p| p.take()).map(u64::from_be_bytes) else {
                return Err(envelope::corrupt(Tree::Audit, &item.key, "its key is no number".into()));
            };
            f(at, item.plain(Tree::Audit).and_then(|plain| from_json(Tree::Audit, &item.key, &plain)))
        })?;
        Ok(())
    }
    /// The last entry of the audit chain, as the store noted it when it was written.
    pub fn audit_head(&self) -> Result<Option<Head>> {
        self.one(Tree::Meta, &meta_own(AUDIT_HEAD))
    }

    fn one<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>> {
        self.engine().get(tree, key)?.map(|plain| from_json(tree, key, &plain)).transpose()
    }
    fn all<T: DeserializeOwned>(&self, tree: Tree, prefix: &[u8]) -> Result<Vec<(Vec<u8>, T)>> {
        let mut out = Vec::new();
        self.engine().scan(tree, prefix, &[], |item| {
            let value = from_json(tree, &item.key, &item.plain(tree)?)?;
            out.push((item.key, value));
            Ok(go_on())
        })?;
        Ok(out)
    }
    fn named<T: DeserializeOwned>(&self, tree: Tree) -> Result<Vec<(String, T)>> {
        let name = |key: &[u8]| Parts::of(key).and_then(|mut p| p.text());
        self.all(tree, &[])?
            .into_iter()
            .map(|(key, value)| {
                let name = name(&key).ok_or_else(|| envelope::corrupt(tree, &key, "its key is no text".into()))?;
                Ok((name, value))
            })
            .collect()
    }
}
