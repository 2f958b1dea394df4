//! The store: what was when, what happened, what was done about it. sled behind domain methods.
//!
//! - One process holds it; a second one is told which (`open`).
//! - All writing goes through one writer; [`Store::commit`] returns once its batch is on the disk, and nothing may be
//!   acknowledged to anybody before (`writer`, `engine`). A reader may see what is not on the disk yet; whoever acts on it
//!   commits first, and a barrier covers all that was written before it.
//! - Every value is checked before it is written and after it is read (`envelope`). What does not check is
//!   [`StoreError::Corrupt`], never a panic and never a value left out.
//! - Every read is synchronous and may give [`StoreError::Corrupt`], which names the value, or [`StoreError::Engine`].
//! - Every value is encrypted with the key of a file (`secret`).
//! - Keys and trees are in `keys`. Nothing in them means something on one host only.
//! - Only `engine` names sled. No clock here but for the name of a store that is set aside.
mod batch;
mod documents;
mod engine;
mod envelope;
mod error;
mod keys;
mod open;
mod records;
mod secret;
#[cfg(test)]
mod tests;
mod verify;
mod versions;
mod writer;

pub use batch::{Batch, Committed, Cursor};
pub use error::StoreError;
pub use records::Unreadable;
pub use verify::{Problem, Report};

use crate::model::Timestamp;
use engine::Engine;
use error::Result;
use std::time::Duration;
use std::{fs::File, path::Path, path::PathBuf, sync::Arc, thread::JoinHandle};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use writer::{Failure, Job};

/// Between attempts at a store that another process holds.
const HELD_LOOK_EVERY: Duration = Duration::from_millis(50);

/// The open store. Clones share it; it closes when the last one goes, which waits for the writer to finish.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}
impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

struct Inner {
    dir: PathBuf,
    trouble: Option<String>,
    failure: Failure,
    /// None only while it closes.
    queue: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    engine: Arc<Engine>,
    /// Last, so that it is let go last.
    _lock: File,
}
impl Drop for Inner {
    fn drop(&mut self) {
        // The writer ends when its queue has no sender; until then it holds the engine.
        self.queue = None;
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
    }
}

impl Store {
    /// Opens the store in a directory, or makes one there (mode 0700, its files 0600). One that is damaged beyond opening is
    /// set aside, a new one is made, and [`Store::trouble`] says so; it also says when the disk lost writes.
    ///
    /// # Errors
    /// [`StoreError::Held`] by another opener, [`StoreError::Newer`] schema, [`StoreError::Io`] for a disk that is full,
    /// read-only or not ours.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::open_with(dir, &dir.join(secret::OWN_FILE))
    }

    /// The same with the key of a file. When that is the store's own, `store-key` in its directory, it is made with the store.
    ///
    /// # Errors
    /// As above, and [`StoreError::NoKey`], [`StoreError::NoKeyIn`] and [`StoreError::WrongKey`].
    pub fn open_with(dir: &Path, key_file: &Path) -> Result<Self> {
        let open::Opened { engine, lock, mark, trouble } = open::open(dir, key_file)?;
        let engine = Arc::new(engine);
        let failure = Failure::default();
        let (queue, jobs) = mpsc::channel(writer::QUEUE_BATCHES);
        let (its_engine, its_failure) = (engine.clone(), failure.clone());
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer::run(&its_engine, mark, &its_failure, jobs))
            .map_err(|source| StoreError::Io { doing: "start the writer of", path: dir.into(), source })?;
        let inner =
            Inner { dir: dir.into(), trouble, failure, queue: Some(queue), writer: Some(writer), engine, _lock: lock };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same; another process may hold the store for up to `wait` first.
    pub async fn open_within(dir: &Path, key_file: &Path, wait: Duration) -> Result<Self> {
        let give_up = Instant::now() + wait;
        loop {
            match Self::open_with(dir, key_file) {
                Err(StoreError::Held { .. }) if Instant::now() < give_up => tokio::time::sleep(HELD_LOOK_EVERY).await,
                opened => return opened,
            }
        }
    }
    /// Encrypts the whole store anew with the key of the file `to`; how many values it holds. Killed at any moment, the
    /// store is whole under one of the two keys. Takes the store's size on the disk once more while it works.
    ///
    /// # Errors
    /// As [`Store::open_with`]; [`StoreError::Corrupt`] for a value that cannot be read, with nothing changed.
    pub fn rekey(dir: &Path, key_file: &Path, to: &Path) -> Result<u64> {
        open::rekey(dir, key_file, to)
    }
    /// The directory that it was opened in.
    pub fn dir(&self) -> &Path {
        &self.inner.dir
    }
    /// What is wrong with the store for people to act on: a damaged one that was set aside, writes that were on the disk and
    /// are gone. Stays until what it names is removed.
    pub fn trouble(&self) -> Option<&str> {
        self.inner.trouble.as_deref()
    }
    /// Why no more writes are taken, once one did not reach the disk for certain.
    pub fn failure(&self) -> Option<&str> {
        self.inner.failure.get().map(String::as_str)
    }

    /// Writes a batch, all or nothing, and returns once it is on the disk. An empty one returns once all before it is.
    /// Waits while the queue is full. When the caller stops waiting, the batch may be written all the same.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] and [`StoreError::TooLarge`] refuse this batch alone; [`StoreError::Corrupt`] when it builds
    /// on a value that is; [`StoreError::Failed`] when the disk failed, now or before.
    pub async fn commit(&self, batch: Batch) -> Result<Committed> {
        let (answer, result) = oneshot::channel();
        let Some(queue) = &self.inner.queue else { return Err(self.gone()) };
        queue.send(Job { batch, answer }).await.map_err(|_| self.gone())?;
        result.await.map_err(|_| self.gone())?
    }
    /// [`Store::commit`] for a thread outside the async runtime.
    ///
    /// # Panics
    /// Inside an async task: tokio refuses to block there.
    pub fn commit_blocking(&self, batch: Batch) -> Result<Committed> {
        let (answer, result) = oneshot::channel();
        let Some(queue) = &self.inner.queue else { return Err(self.gone()) };
        queue.blocking_send(Job { batch, answer }).map_err(|_| self.gone())?;
        result.blocking_recv().map_err(|_| self.gone())?
    }
    fn gone(&self) -> StoreError {
        StoreError::Failed { why: self.failure().unwrap_or("its writer is gone").to_owned() }
    }

    /// Writes a value, and reads it back from behind the barrier: the store is alive. For the watchdog.
    pub async fn probe(&self, now: Timestamp) -> Result<()> {
        self.commit(Batch::of(|b| b.meta(PROBE, &now))).await?;
        match self.meta::<Timestamp>(PROBE)? {
            Some(back) if back >= now => Ok(()),
            _ => Err(StoreError::Engine("a value that was written is not there".into())),
        }
    }

    fn engine(&self) -> &Engine {
        &self.inner.engine
    }
}
const PROBE: &str = "store.probe";
