//! sled, and nothing else: get, page, write, barrier. The only file that names it.
//!
//! One gate stands before it: a write takes it alone, a read of one value or one page shares it, so that no reader sees
//! half of a value or of a transaction. sled may panic where it finds its own pages damaged; a panic becomes an error.
use super::{
    StoreError, envelope,
    error::Result,
    keys::{self, NameKey, Tree},
    secret::Secret,
};
use std::{
    collections::BTreeMap,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

/// Above this sled keeps far more than it says (libraries.md §2).
const CACHE_BYTES: u64 = 32 << 20;
/// sled's background thread: it alone gives back space of rewritten pages. Durability never depends on it: on an I/O error
/// it stops for ever without a word.
const FLUSH_EVERY_MS: u64 = 500;
/// What one page of a range holds at most; a single value may be larger.
const PAGE_BYTES: usize = 4 << 20;
const CHUNK_SUFFIX: usize = 2;

pub(super) struct Engine {
    trees: Vec<sled::Tree>,
    db: sled::Db,
    /// sled's data file, opened a second time to sync it: sled's flush does not.
    file: File,
    path: PathBuf,
    secret: Arc<Secret>,
    name_key: OnceLock<NameKey>,
    gate: RwLock<()>,
    #[cfg(test)]
    pub barrier_fails: std::sync::atomic::AtomicBool,
}

/// Why sled did not open.
pub(super) enum NotOpen {
    /// Its files are damaged.
    Damaged(String),
    /// Its files may be whole, but cannot be read or written now.
    Refused(StoreError),
}

/// A value as sled holds it, not yet looked into.
pub(super) struct Item {
    pub key: Vec<u8>,
    chunks: Vec<sled::IVec>,
    secret: Arc<Secret>,
    /// A chunk that is missing or too many.
    gap: bool,
}
impl Item {
    pub fn plain(&self, tree: Tree) -> Result<Vec<u8>> {
        self.check(tree).map_err(|why| envelope::corrupt(tree, &self.key, why))
    }
    fn check(&self, tree: Tree) -> std::result::Result<Vec<u8>, String> {
        if self.gap {
            return Err("a chunk of it is missing, or there is one too many".into());
        }
        envelope::open(&self.secret, tree, &self.key, &self.chunks)
    }
}

/// All that one transaction writes: for each tree and key the chunks of its new value, or none.
pub(super) type Writes = BTreeMap<(Tree, Vec<u8>), Option<Vec<Vec<u8>>>>;

impl Engine {
    pub fn open(path: &Path, secret: Arc<Secret>) -> std::result::Result<Self, NotOpen> {
        let config = sled::Config::new()
            .path(path)
            .mode(sled::Mode::HighThroughput)
            .cache_capacity(CACHE_BYTES)
            .use_compression(false)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let db = open_unlocked(&config)?;
            let trees = Tree::ALL.iter().map(|t| db.open_tree(t.name())).collect::<sled::Result<Vec<_>>>()?;
            Ok((db, trees))
        }));
        let (db, trees) = match opened {
            Err(panic) => return Err(NotOpen::Damaged(said(&*panic))),
            Ok(Err(sled::Error::Io(e))) if !is_damage(&e) => {
                return Err(NotOpen::Refused(StoreError::Io {
                    doing: "open the store in",
                    path: path.into(),
                    source: e,
                }));
            }
            Ok(Err(sled::Error::Unsupported(why))) => return Err(NotOpen::Refused(StoreError::Engine(why))),
            Ok(Err(e)) => return Err(NotOpen::Damaged(e.to_string())),
            Ok(Ok(opened)) => opened,
        };
        let data = path.join("db");
        let file = File::options()
            .read(true)
            .write(true)
            .open(&data)
            .map_err(|source| NotOpen::Refused(StoreError::Io { doing: "open", path: data, source }))?;
        Ok(Self {
            trees,
            db,
            file,
            path: path.into(),
            secret,
            name_key: OnceLock::new(),
            gate: RwLock::new(()),
            #[cfg(test)]
            barrier_fails: false.into(),
        })
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        &self.trees[tree as usize]
    }
    fn read<T>(&self, f: impl FnOnce() -> sled::Result<T>) -> Result<T> {
        // A panic while the gate was held leaves nothing behind it half done: sled's transaction is sealed or not.
        let _shared = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        guarded(f)
    }

    /// One value, checked.
    pub fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.item(tree, key)?.map(|i| i.plain(tree)).transpose()
    }
    pub fn has(&self, tree: Tree, key: &[u8]) -> Result<bool> {
        self.read(|| self.tree(tree).contains_key(chunk_key(key, 0)))
    }
    fn item(&self, tree: Tree, key: &[u8]) -> Result<Option<Item>> {
        self.read(|| self.item_inside(tree, key))
    }
    fn make_item(&self, key: &[u8], chunks: Vec<sled::IVec>, gap: bool) -> Item {
        Item { key: key.to_vec(), chunks, secret: self.secret.clone(), gap }
    }
    fn item_inside(&self, tree: Tree, key: &[u8]) -> sled::Result<Option<Item>> {
        let sled = self.tree(tree);
        let Some(first) = sled.get(chunk_key(key, 0))? else { return Ok(None) };
        let count = envelope::chunk_count(&first).unwrap_or(1);
        let mut chunks = vec![first];
        for i in 1..count {
            match sled.get(chunk_key(key, i))? {
                Some(chunk) => chunks.push(chunk),
                None => break,
            }
        }
        Ok(Some(self.make_item(key, chunks, false)))
    }

    /// The last value under `prefix` whose key is at most `key`.
    pub fn last_up_to(&self, tree: Tree, prefix: &[u8], key: &[u8]) -> Result<Option<Item>> {
        self.read(|| match self.tree(tree).range(prefix.to_vec()..=chunk_key(key, u16::MAX)).next_back() {
            Some(last) => {
                let (raw, _) = last?;
                let key = raw.get(..raw.len().saturating_sub(CHUNK_SUFFIX)).unwrap_or_default();
                // Without its first chunk it is corrupt, not absent.
                let torn = self.make_item(key, Vec::new(), true);
                Ok(Some(self.item_inside(tree, key)?.unwrap_or(torn)))
            }
            None => Ok(None),
        })
    }

    /// Calls `f` with each value whose key begins with `prefix` and is at least `from`, in order of keys, until it breaks.
    /// Takes the gate page by page: what is written meanwhile may or may not be seen, but never in part.
    pub fn scan<B>(
        &self,
        tree: Tree,
        prefix: &[u8],
        from: &[u8],
        mut f: impl FnMut(Item) -> Result<std::ops::ControlFlow<B>>,
    ) -> Result<Option<B>> {
        let end = keys::after(prefix);
        let mut start = prefix.max(from).to_vec();
        loop {
            let page = self.page(tree, &start, end.as_deref())?;
            let Some(last) = page.last() else { return Ok(None) };
            start = keys::past(&last.key);
            for item in page {
                if let std::ops::ControlFlow::Break(b) = f(item)? {
                    return Ok(Some(b));
                }
            }
        }
    }
    fn page(&self, tree: Tree, start: &[u8], end: Option<&[u8]>) -> Result<Vec<Item>> {
        const ITEMS: usize = 512;
        self.read(|| {
            let mut out: Vec<Item> = Vec::new();
            let mut bytes = 0;
            for raw in self.tree(tree).range::<&[u8], _>(start..) {
                let (raw, chunk) = raw?;
                if end.is_some_and(|e| &*raw >= e) {
                    break;
                }
                let (key, number) = raw.split_at(raw.len().saturating_sub(CHUNK_SUFFIX));
                let number = number.try_into().map_or(0, u16::from_be_bytes);
                if let Some(last) = out.last_mut().filter(|l| l.key == key) {
                    last.gap |= usize::from(number) != last.chunks.len();
                    bytes += chunk.len();
                    last.chunks.push(chunk);
                    continue;
                }
                if out.len() >= ITEMS || bytes >= PAGE_BYTES {
                    break;
                }
                bytes += chunk.len();
                out.push(self.make_item(key, vec![chunk], number != 0));
            }
            Ok(out)
        })
    }

    /// Writes all or nothing. Not durable before the next barrier.
    pub fn write(&self, writes: &Writes) -> Result<()> {
        let mut batches: BTreeMap<Tree, sled::Batch> = BTreeMap::new();
        for ((tree, key), chunks) in writes {
            let batch = batches.entry(*tree).or_default();
            let chunks = chunks.as_deref().unwrap_or_default();
            for (i, chunk) in chunks.iter().enumerate() {
                batch.insert(chunk_key(key, i as u16), chunk.as_slice());
            }
            // The tail of a longer value before it. This thread is the only writer, so what is read here holds.
            let tail = chunk_key(key, chunks.len() as u16)..=chunk_key(key, u16::MAX);
            guarded(|| {
                for old in self.tree(*tree).range(tail).keys() {
                    batch.remove(old?);
                }
                Ok(())
            })?;
        }
        let (trees, batches): (Vec<&sled::Tree>, Vec<sled::Batch>) =
            batches.into_iter().map(|(t, b)| (self.tree(t), b)).unzip();
        if trees.is_empty() {
            return Ok(());
        }
        let _alone = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        guarded(|| {
            use sled::transaction::{TransactionError, Transactional};
            let done = trees.as_slice().transaction(|trees| {
                for (tree, batch) in trees.iter().zip(&batches) {
                    tree.apply_batch(batch)?;
                }
                Ok(())
            });
            done.map_err(|e| match e {
                TransactionError::Storage(e) => e,
                TransactionError::Abort(()) => sled::Error::ReportableBug("a transaction aborted itself".into()),
            })
        })
    }

    /// Returns once all that was written is on the disk: sled's flush writes, the sync makes it stay.
    pub fn barrier(&self) -> Result<()> {
        #[cfg(test)]
        if self.barrier_fails.load(std::sync::atomic::Ordering::Relaxed) {
            let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(StoreError::Io { doing: "sync", path: self.path.join("db"), source });
        }
        guarded(|| self.db.flush())?;
        self.file.sync_all().map_err(|source| StoreError::Io { doing: "sync", path: self.path.join("db"), source })
    }

    /// Bytes of sled's files.
    pub fn size_on_disk(&self) -> Result<u64> {
        guarded(|| self.db.size_on_disk())
    }

    /// The schema version, which is kept plain so that every rollbackd can read it: decimal digits. `Err` is damage.
    pub fn schema(&self) -> Result<std::result::Result<Option<u64>, String>> {
        let found = self.read(|| self.tree(Tree::Meta).get(SCHEMA_KEY))?;
        Ok(found.map_or(Ok(None), |v| {
            let number = std::str::from_utf8(&v).ok().and_then(|s| s.parse().ok());
            number.map(Some).ok_or_else(|| "its schema version cannot be read".to_owned())
        }))
    }
    pub fn set_schema(&self, version: u64) -> Result<()> {
        guarded(|| self.tree(Tree::Meta).insert(SCHEMA_KEY, version.to_string().as_bytes()))?;
        self.barrier()
    }

    /// Writes every value into another, empty engine, under that one's key. How many.
    pub fn copy_into(&self, other: &Self) -> Result<u64> {
        const VALUES: usize = 512;
        let mut values = 0;
        for tree in Tree::ALL {
            let mut writes = Writes::new();
            self.scan(tree, &[], &[], |item| {
                if is_clear(tree, &item.key) {
                    return Ok(std::ops::ControlFlow::<()>::Continue(()));
                }
                let plain = item.plain(tree)?;
                let sealed = envelope::seal(&other.secret, tree, &item.key, &plain)?;
                writes.insert((tree, item.key), Some(sealed));
                values += 1;
                if writes.len() >= VALUES {
                    other.write(&std::mem::take(&mut writes))?;
                }
                Ok(std::ops::ControlFlow::Continue(()))
            })?;
            other.write(&writes)?;
        }
        other.barrier()?;
        Ok(values)
    }

    /// What values are encrypted with.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }
    /// What names are hashed with. Zeroes before [`Engine::set_name_key`], which opening calls.
    pub fn name_key(&self) -> &NameKey {
        self.name_key.get_or_init(NameKey::default)
    }
    pub fn set_name_key(&self, key: NameKey) {
        // Set once, by who opens; a second one would find nothing that the first wrote.
        let _ = self.name_key.set(key);
    }
    /// The id of the key with which the store was begun, in the clear, so that a wrong key is told from damage.
    pub fn key_id(&self) -> Result<Option<String>> {
        let found = self.read(|| self.tree(Tree::Meta).get(KEY_ID_KEY))?;
        Ok(found.map(|v| String::from_utf8_lossy(&v).into_owned()))
    }
    pub fn set_key_id(&self) -> Result<()> {
        guarded(|| self.tree(Tree::Meta).insert(KEY_ID_KEY, self.secret.id().to_string().as_bytes()))?;
        self.barrier()
    }

    /// Raw access for tests that damage a store.
    #[cfg(test)]
    pub fn raw(&self, tree: Tree) -> &sled::Tree {
        self.tree(tree)
    }
}
/// Version byte 0: no key of a tree begins so.
const SCHEMA_KEY: &[u8] = b"\0schema";
const KEY_ID_KEY: &[u8] = b"\0key-id";
/// Whether a raw key of `meta` is one that stands in the clear, which is no value in an envelope.
pub(super) fn is_clear(tree: Tree, key: &[u8]) -> bool {
    let is = |clear: &[u8]| clear.strip_prefix(key).is_some_and(|rest| rest.len() == CHUNK_SUFFIX);
    tree == Tree::Meta && (is(SCHEMA_KEY) || is(KEY_ID_KEY))
}

fn chunk_key(key: &[u8], chunk: u16) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 3);
    out.extend_from_slice(key);
    out.extend(chunk.to_be_bytes());
    out
}

/// sled's own lock is let go by its threads a moment after a store of this process was closed. Ours is held by now, so
/// nobody else has it for long.
fn open_unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    const TRIES: u32 = 200;
    for _ in 0..TRIES {
        match config.open() {
            Err(sled::Error::Io(e)) if is_locked(&e) => std::thread::sleep(std::time::Duration::from_millis(10)),
            done => return done,
        }
    }
    config.open()
}
fn is_locked(e: &std::io::Error) -> bool {
    e.to_string().contains("could not acquire lock")
}
fn is_damage(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(e.kind(), UnexpectedEof | InvalidData | InvalidInput)
}

fn guarded<T>(f: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(done) => done.map_err(|e| StoreError::Engine(e.to_string())),
        Err(panic) => Err(StoreError::Engine(said(&*panic))),
    }
}
/// What a panic said.
pub(super) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("it panicked: {}", text.unwrap_or("without a word"))
}
