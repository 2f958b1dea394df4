//! The one writer. Batches that wait together become one transaction and one barrier, then each gets its answer.
//!
//! A batch is worked out against what the disk and the batches before it in the group say, without writing; one that is
//! refused leaves no trace in the group. A write or barrier that fails ends all writing until the process starts again:
//! what the disk then holds is not known, and sled's own state neither.
use super::{
    StoreError,
    batch::{Batch, Change, Committed, to_json},
    documents,
    engine::{Engine, Writes, said},
    envelope,
    error::Result,
    keys::{self, Tree},
    open::{COMMITS, Mark},
    records, versions,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
};
use tokio::sync::{mpsc, oneshot};

/// Batches that may wait before a caller does.
pub(super) const QUEUE_BATCHES: usize = 1024;
/// A group is closed at so many changes: what a reader waits for the gate stays short, and so does the answer.
const GROUP_CHANGES: usize = 4096;

pub(super) struct Job {
    pub batch: Batch,
    pub answer: oneshot::Sender<Result<Committed>>,
}

/// Why the store takes no more writes; set once.
pub(super) type Failure = Arc<OnceLock<String>>;

pub(super) fn run(engine: &Engine, mut mark: Mark, failure: &Failure, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut changes = first.batch.len();
        let mut jobs = vec![first];
        while changes < GROUP_CHANGES
            && let Ok(next) = queue.try_recv()
        {
            changes += next.batch.len();
            jobs.push(next);
        }
        let (batches, answers): (Vec<Batch>, Vec<_>) = jobs.into_iter().map(|j| (j.batch, j.answer)).unzip();
        let results = commit(engine, &mut mark, failure, batches);
        for (answer, result) in answers.into_iter().zip(results) {
            // Whoever asked may have gone; the batch is written all the same.
            drop(answer.send(result));
        }
    }
}

/// As many answers as batches, in their order.
fn commit(engine: &Engine, mark: &mut Mark, failure: &Failure, batches: Vec<Batch>) -> Vec<Result<Committed>> {
    let failed = |why: &str| StoreError::Failed { why: why.to_owned() };
    let count = batches.len();
    if let Some(why) = failure.get() {
        return (0..count).map(|_| Err(failed(why))).collect();
    }
    let done = catch_unwind(AssertUnwindSafe(|| {
        let mut group = Group::default();
        let results: Vec<Result<Committed>> = batches.into_iter().map(|b| group.add(engine, b)).collect();
        if results.iter().any(Result::is_ok) {
            let number = group.number(engine, mark.last())?;
            engine.write(&group.writes)?;
            engine.barrier()?;
            mark.set(number);
        }
        Ok::<_, StoreError>(results)
    }));
    let why = match done {
        Ok(Ok(results)) => return results,
        Ok(Err(e)) => e.to_string(),
        Err(panic) => said(&*panic),
    };
    tracing::error!(%why, "the store stopped taking writes");
    let why = failure.get_or_init(|| why);
    (0..count).map(|_| Err(failed(why))).collect()
}

/// New values, none for what is to be removed.
type Overlay = BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>;

#[derive(Default)]
struct Group {
    plain: Overlay,
    writes: Writes,
}
impl Group {
    /// Gives the transaction its number; an empty one has that of the one before.
    fn number(&mut self, engine: &Engine, last: u64) -> Result<u64> {
        if self.writes.is_empty() {
            return Ok(last);
        }
        let (key, number) = (documents::meta_own(COMMITS), last + 1);
        let chunks = envelope::seal(engine.secret(), Tree::Meta, &key, number.to_string().as_bytes())?;
        self.writes.insert((Tree::Meta, key), Some(chunks));
        Ok(number)
    }
    fn add(&mut self, engine: &Engine, batch: Batch) -> Result<Committed> {
        if let Some(e) = batch.broken {
            return Err(e);
        }
        let mut view = View { engine, group: &self.plain, mine: Overlay::new() };
        let mut committed = Committed::default();
        for change in batch.changes {
            view.apply(change, &mut committed)?;
        }
        let mine = view.mine;
        let sealed = mine
            .iter()
            .map(|((tree, key), value)| {
                let chunks = match value {
                    // What stands in a key-only tree is in its keys.
                    Some(plain) => Some(envelope::seal(engine.secret(), *tree, key, plain)?),
                    None => None,
                };
                Ok(((*tree, key.clone()), chunks))
            })
            .collect::<Result<Writes>>()?;
        self.plain.extend(mine);
        self.writes.extend(sealed);
        Ok(committed)
    }
}

/// What one batch sees: its own changes, those before it in the group, then the disk.
pub(super) struct View<'a> {
    engine: &'a Engine,
    group: &'a Overlay,
    mine: Overlay,
}
impl View<'_> {
    fn apply(&mut self, change: Change, committed: &mut Committed) -> Result<()> {
        match change {
            Change::Version(version) => {
                if let Some(key) = versions::put(self, *version)? {
                    committed.changed.push(key);
                }
            }
            Change::Record(record) => {
                let new = records::put(self, &record)?;
                committed.records_new += usize::from(new);
                committed.records_known += usize::from(!new);
            }
            Change::Forget(old) => committed.forgotten += records::forget(self, &old)?,
            Change::Unreadable { raw, why, source } => records::put_unreadable(self, &raw, &why, &source)?,
            Change::Session(s) => {
                let key = keys::text(keys::checked("a session", &s.id.0)?);
                self.put_json(Tree::Sessions, key, &s)?;
            }
            Change::Incident(i) => self.put_json(Tree::Incidents, keys::text(i.id.as_str()), &i)?,
            Change::Sweep(s) => self.put_json(Tree::Sweeps, keys::Key::new().time(s.started).done(), &s)?,
            Change::Plan { id, json } => self.put(Tree::Plans, keys::text(id.as_str()), json.into_bytes()),
            Change::Restore { id, json } => {
                self.put(Tree::Restores, keys::text(keys::checked("a restore", &id)?), json.into_bytes());
            }
            Change::Journal { restore, step, json } => {
                let key = keys::journal(keys::checked("a journal entry", &restore)?, step);
                self.put(Tree::Journal, key, json.into_bytes());
            }
            Change::Remap { old, new } => {
                keys::checked("a remap", &new.id)?;
                keys::checked("a remap", &old.id)?;
                self.put_json(Tree::Remap, keys::resource(&old), &new)?;
            }
            Change::Label { name, at } => {
                self.put_json(Tree::Labels, keys::text(keys::checked("a label", &name)?), &at)?;
            }
            Change::Cursor { name, to } => {
                self.put_json(Tree::Cursors, keys::text(keys::checked("a cursor", &name)?), &to)?;
            }
            Change::Audit { at, who, what } => committed.audit.push(documents::put_audit(self, at, who, what)?),
            Change::Meta { key, json } => {
                self.put(Tree::Meta, documents::meta_key(keys::checked("a meta value", &key)?), json.into_bytes());
            }
        }
        Ok(())
    }

    pub fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let at = (tree, key.to_vec());
        match self.mine.get(&at).or_else(|| self.group.get(&at)) {
            Some(pending) => Ok(pending.clone()),
            None => self.engine.get(tree, key),
        }
    }
    pub fn get_json<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>> {
        self.get(tree, key)?.map(|plain| documents::from_json(tree, key, &plain)).transpose()
    }
    /// As `get_json`, but a corrupt value counts as none: what replaces it must not be kept off the disk by it.
    pub fn get_or_heal<T: DeserializeOwned>(&self, tree: Tree, key: &[u8]) -> Result<Option<T>> {
        match self.get_json(tree, key) {
            Err(e @ StoreError::Corrupt { .. }) => {
                tracing::warn!(error = %e, "writing over a corrupt value");
                Ok(None)
            }
            other => other,
        }
    }
    pub fn has(&self, tree: Tree, key: &[u8]) -> Result<bool> {
        let at = (tree, key.to_vec());
        match self.mine.get(&at).or_else(|| self.group.get(&at)) {
            Some(pending) => Ok(pending.is_some()),
            None => self.engine.has(tree, key),
        }
    }
    /// The last key and value under `prefix` whose key is at most `key`. For trees from which nothing is removed.
    pub fn last_up_to(&self, tree: Tree, prefix: &[u8], key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        let range = (tree, prefix.to_vec())..=(tree, key.to_vec());
        let pending = |o: &Overlay| {
            let ((_, key), value) = o.range(range.clone()).next_back()?;
            Some((key.clone(), value.clone()?))
        };
        let on_disk = self.engine.last_up_to(tree, prefix, key)?;
        let best = [pending(&self.mine), pending(self.group)].into_iter().flatten().rev().max_by(|a, b| a.0.cmp(&b.0));
        match (best, on_disk) {
            (Some(b), Some(d)) if d.key > b.0 => Ok(Some((d.key.clone(), d.plain(tree)?))),
            (None, Some(d)) => Ok(Some((d.key.clone(), d.plain(tree)?))),
            (best, _) => Ok(best),
        }
    }
    pub fn put(&mut self, tree: Tree, key: Vec<u8>, plain: Vec<u8>) {
        self.mine.insert((tree, key), Some(plain));
    }
    pub fn put_json(&mut self, tree: Tree, key: Vec<u8>, value: &impl Serialize) -> Result<()> {
        let json = to_json(tree.name(), value)?;
        self.put(tree, key, json.into_bytes());
        Ok(())
    }
    pub fn remove(&mut self, tree: Tree, key: Vec<u8>) {
        self.mine.insert((tree, key), None);
    }
    pub fn engine(&self) -> &Engine {
        self.engine
    }
    /// Incidents of this group, newer than what the disk has.
    pub fn incidents_pending(&self) -> impl Iterator<Item = &Vec<u8>> {
        let all = self.group.iter().chain(&self.mine);
        all.filter(|((tree, _), _)| *tree == Tree::Incidents).filter_map(|(_, value)| value.as_ref())
    }
}
