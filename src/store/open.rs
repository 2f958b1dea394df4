//! Opening: our lock first, then the leftovers that make sled unopenable, then sled; a store that will not open is set
//! aside, never deleted.
//!
//! In the store's directory stand `lock`, `store-key` unless another key is given, `sled/`, `mark`, `lost` if writes are, and `sled.bad-<time>/` for each store that
//! was set aside, with a file `reason` in it.
//!
//! sled opens a file with damaged segments by leaving out all that comes after them, without a word; one that is all garbage
//! opens as an empty store (tests show it). So each transaction has a number, in the store and after its barrier in `mark`,
//! and a store that knows fewer than its mark has lost what was acknowledged.
use super::{
    StoreError, documents,
    engine::{Engine, NotOpen},
    envelope,
    error::Result,
    keys::{NameKey, Tree},
    secret::{Secret, random},
};
use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// What this rollbackd writes, and the newest that it reads.
pub(super) const SCHEMA: u64 = 2;
/// sled writes in segments of 512 KiB and a snapshot when it opens: with less than this it fails in the middle.
const FREE_BYTES_MIN: usize = 2 << 20;

pub(super) struct Opened {
    pub engine: Engine,
    pub lock: File,
    pub mark: Mark,
    pub trouble: Option<String>,
}

pub(super) fn open(dir: &Path, key_file: &Path) -> Result<Opened> {
    if make_dir(dir)? {
        dir.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync)?;
    }
    let lock = take_lock(dir)?;
    check_space(dir)?;
    let path = dir.join("sled");
    finish_rekey(dir, &path)?;
    let secret = Arc::new(Secret::read(key_file, dir)?);
    make_dir(&path)?;
    set_mode(&path, 0o700)?;
    remove_torn_snapshots(&path)?;
    let mut mark = Mark::open(dir)?;
    let opened = open_engine(dir, &path, &secret, key_file).and_then(|engine| {
        let marked = mark.read();
        let known = commits(&engine, marked).map_err(NotOpen::Refused)?;
        if known == 0 && marked > 0 {
            return Err(NotOpen::Damaged(format!("nothing is left of its {marked} transactions")));
        }
        if known < marked {
            note_loss(dir, known, marked).map_err(NotOpen::Refused)?;
        }
        Ok(engine)
    });
    let engine = match opened {
        Ok(engine) => engine,
        Err(NotOpen::Refused(e)) => return Err(e),
        Err(NotOpen::Damaged(why)) => {
            let aside = set_aside(dir, &path, &why)?;
            tracing::error!(%why, aside = %aside.display(), "the store did not open; it was set aside and a new one made");
            make_dir(&path)?;
            open_engine(dir, &path, &secret, key_file).map_err(|e| match e {
                NotOpen::Refused(e) => e,
                NotOpen::Damaged(why) => StoreError::Engine(why),
            })?
        }
    };
    settle(dir, &path)?;
    mark.set(commits(&engine, mark.read())?);
    Ok(Opened { engine, lock, mark, trouble: trouble(dir)? })
}

fn open_engine(dir: &Path, path: &Path, secret: &Arc<Secret>, key_file: &Path) -> std::result::Result<Engine, NotOpen> {
    let engine = Engine::open(path, secret.clone())?;
    match engine.schema() {
        Err(StoreError::Engine(why)) | Ok(Err(why)) => Err(NotOpen::Damaged(why)),
        Err(e) => Err(NotOpen::Refused(e)),
        Ok(Ok(Some(found))) if found > SCHEMA => {
            Err(NotOpen::Refused(StoreError::Newer { dir: dir.into(), found, known: SCHEMA }))
        }
        Ok(Ok(Some(found))) if found < SCHEMA => {
            Err(NotOpen::Refused(StoreError::Older { dir: dir.into(), found, known: SCHEMA }))
        }
        Ok(Ok(Some(_))) => match engine.key_id().map_err(NotOpen::Refused)? {
            Some(id) if id != secret.id().to_string() => Err(NotOpen::Refused(StoreError::WrongKey {
                dir: dir.into(),
                file: key_file.into(),
                found: secret.id().to_string(),
                wanted: id,
            })),
            Some(_) => with_name_key(engine).map_err(NotOpen::Refused),
            None => Err(NotOpen::Damaged("it does not say which key it is encrypted with".into())),
        },
        // The schema last: what has one has all.
        Ok(Ok(None)) => {
            let begun = engine.set_key_id().and_then(|()| engine.set_schema(SCHEMA));
            begun.and_then(|()| with_name_key(engine)).map_err(NotOpen::Refused)
        }
    }
}

/// The engine with what names are hashed with, made when it is not there. One that cannot be read costs what it is for, and
/// no more: what is captured from now on is found by name again.
fn with_name_key(engine: Engine) -> Result<Engine> {
    let at = documents::meta_own("name-key");
    let known = match engine.get(Tree::Meta, &at) {
        Ok(found) => found.and_then(|plain| NameKey::try_from(plain).ok()),
        Err(e @ StoreError::Corrupt { .. }) => {
            tracing::error!(error = %e, "resources are not found by names of before");
            None
        }
        Err(e) => return Err(e),
    };
    let key = match known {
        Some(key) => key,
        None => {
            let key = random()?;
            let chunks = envelope::seal(engine.secret(), Tree::Meta, &at, &key)?;
            engine.write(&[((Tree::Meta, at), Some(chunks))].into())?;
            engine.barrier()?;
            key
        }
    };
    engine.set_name_key(key);
    Ok(engine)
}

/// A store that is encrypted anew is written beside the old one and takes its place when it is whole (`rekey`). Without the
/// old one it is whole.
const REKEYED: &str = "sled.rekeyed";
fn finish_rekey(dir: &Path, path: &Path) -> Result<()> {
    let new = dir.join(REKEYED);
    if !path.exists() && new.exists() {
        fs::rename(&new, path).map_err(at("put in its place", &new))?;
        sync(dir)?;
    }
    Ok(())
}

/// Writes the whole store anew under another key, and puts it in the place of the old one, which goes: what a lost key could
/// read is not there any more. Killed at any moment, the store is whole under one of the two keys.
pub(super) fn rekey(dir: &Path, key_file: &Path, to: &Path) -> Result<u64> {
    let Opened { engine, lock: _lock, .. } = open(dir, key_file)?;
    let secret = Arc::new(Secret::read(to, dir)?);
    let (path, new, old) = (dir.join("sled"), dir.join(REKEYED), dir.join("sled.replaced"));
    for left in [&new, &old].into_iter().filter(|p| p.exists()) {
        fs::remove_dir_all(left).map_err(at("remove", left))?;
    }
    make_dir(&new)?;
    let fresh = open_engine(dir, &new, &secret, to).map_err(|e| match e {
        NotOpen::Refused(e) => e,
        NotOpen::Damaged(why) => StoreError::Engine(why),
    })?;
    let values = engine.copy_into(&fresh)?;
    drop(fresh);
    settle(dir, &new)?;
    drop(engine);
    fs::rename(&path, &old).map_err(at("move away", &path))?;
    fs::rename(&new, &path).map_err(at("put in its place", &new))?;
    sync(dir)?;
    fs::remove_dir_all(&old).map_err(at("remove", &old))?;
    Ok(values)
}

fn at<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + use<'a> {
    move |source| StoreError::Io { doing, path: path.into(), source }
}

/// Whether it had to be made.
fn make_dir(dir: &Path) -> Result<bool> {
    if dir.is_dir() {
        return Ok(false);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at("make the directory", dir))?;
    Ok(true)
}
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at("set the mode of", path))
}

fn take_lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let mut lock = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(at("open", &path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Without a number the message only lacks it.
            let by = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(StoreError::Held { dir: dir.into(), by });
        }
        Err(TryLockError::Error(e)) => return Err(at("lock", &path)(e)),
    }
    lock.set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{}", std::process::id()))
        .map_err(at("write", &path))?;
    Ok(lock)
}

/// sled panics when the disk fills up while it opens; here it is an error with a name.
fn check_space(dir: &Path) -> Result<()> {
    let path = dir.join("space");
    let tried = fs::write(&path, vec![0; FREE_BYTES_MIN]);
    let removed = fs::remove_file(&path);
    tried.and(removed).map_err(at("write to the store in", dir))
}

/// A snapshot whose writing was cut short: sled reads it as if it were whole, and then does not open. The one before it is
/// only deleted once the new one has its name, so nothing is lost.
fn remove_torn_snapshots(path: &Path) -> Result<()> {
    for file in entries(path)? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            tracing::warn!(file = %file.display(), "removed a snapshot whose writing was cut short");
            fs::remove_file(&file).map_err(at("remove", &file))?;
        }
    }
    Ok(())
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> io::Result<Vec<PathBuf>> { fs::read_dir(dir)?.map(|e| Ok(e?.path())).collect() };
    read().map_err(at("list", dir))
}

fn set_aside(dir: &Path, path: &Path, why: &str) -> Result<PathBuf> {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let mut aside = dir.join(format!("sled.bad-{now}"));
    let mut n = 1;
    while aside.exists() {
        n += 1;
        aside = dir.join(format!("sled.bad-{now}-{n}"));
    }
    fs::rename(path, &aside).map_err(at("set aside", path))?;
    let reason = aside.join("reason");
    fs::write(&reason, why).map_err(at("write", &reason))?;
    Ok(aside)
}

/// The number of the last transaction whose barrier returned. Written without a sync of its own: after a kill it is exact,
/// after a loss of power it may be an earlier one, and then less is found missing than is.
pub(super) struct Mark {
    file: File,
    last: u64,
}
impl Mark {
    fn open(dir: &Path) -> Result<Self> {
        let path = dir.join("mark");
        let options = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).clone();
        options.open(&path).map(|file| Self { file, last: 0 }).map_err(at("open", &path))
    }
    /// 0 when there is none.
    fn read(&self) -> u64 {
        let mut text = [0; MARK_DIGITS];
        let read = self.file.read_exact_at(&mut text, 0);
        read.ok().and_then(|()| std::str::from_utf8(&text).ok()?.parse().ok()).unwrap_or(0)
    }
    /// The number of the last transaction.
    pub fn last(&self) -> u64 {
        self.last
    }
    /// A mark that cannot be written finds no loss, and does no other harm: the barrier has already returned.
    pub fn set(&mut self, n: u64) {
        self.last = n;
        if let Err(error) = self.file.write_all_at(format!("{n:0MARK_DIGITS$}").as_bytes(), 0) {
            tracing::warn!(%error, "the store's mark could not be written");
        }
    }
}
/// As many as u64 has.
const MARK_DIGITS: usize = 20;

/// How many transactions the store knows of. One corrupt value is no loss of all others: then as many as are marked.
fn commits(engine: &Engine, marked: u64) -> Result<u64> {
    let key = documents::meta_own(COMMITS);
    let read = engine.get(Tree::Meta, &key).and_then(|found| match found {
        None => Ok(0),
        Some(plain) => documents::from_json(Tree::Meta, &key, &plain),
    });
    match read {
        Err(StoreError::Corrupt { .. }) => Ok(marked),
        other => other,
    }
}
pub(super) const COMMITS: &str = "commits";

fn note_loss(dir: &Path, known: u64, marked: u64) -> Result<()> {
    let path = dir.join("lost");
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
    let line = format!("found at {now}: transactions {} to {marked} were on the disk and are gone\n", known + 1);
    tracing::error!(loss = %line.trim(), "the store lost writes");
    let mut file = File::options().append(true).create(true).mode(0o600).open(&path).map_err(at("open", &path))?;
    file.write_all(line.as_bytes()).and_then(|()| file.sync_all()).map_err(at("write", &path))
}

/// What was set aside and is still there, now or by an earlier start.
fn trouble(dir: &Path) -> Result<Option<String>> {
    let mut bad: Vec<PathBuf> = entries(dir)?;
    bad.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("sled.bad-")));
    bad.sort();
    let said: Vec<String> = bad
        .iter()
        .map(|p| {
            let why = fs::read_to_string(p.join("reason")).unwrap_or_else(|_| "no reason is noted".into());
            format!("{} ({})", p.display(), why.trim())
        })
        .collect();
    let mut out = Vec::new();
    if !said.is_empty() {
        out.push(format!(
            "a damaged store was set aside and a new one begun, which lacks what that one knew: {}; \
             rebuild from the archive or take a snapshot now, then remove what was set aside",
            said.join(", ")
        ));
    }
    let lost = dir.join("lost");
    if lost.exists() {
        let lines = fs::read_to_string(&lost).map_err(at("read", &lost))?;
        out.push(format!(
            "the disk lost writes of the store ({}); rebuild from the archive or take a snapshot now, then remove {}",
            lines.trim().replace('\n', ", "),
            lost.display()
        ));
    }
    Ok((!out.is_empty()).then(|| out.join("; ")))
}

/// Modes of the files that sled made, and their names on the disk: a new file's name needs a sync of its directory.
fn settle(dir: &Path, path: &Path) -> Result<()> {
    for file in entries(path)? {
        let is_dir = file.is_dir();
        set_mode(&file, if is_dir { 0o700 } else { 0o600 })?;
        sync(&file)?;
    }
    sync(path)?;
    sync(dir)
}
fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|f| f.sync_all()).map_err(at("sync", path))
}
