//! Opening: our lock first, then the leftovers that make sled unopenable, then sled; a store that will not open is set
//! aside, never deleted.
//!
//! In the store's directory stand `lock`, `sled/`, and `sled.bad-<time>/` for each that was set aside, with a file `reason`
//! in it.
use super::{
    StoreError,
    engine::{Engine, NotOpen},
    error::Result,
};
use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What this rollbackd writes, and the newest that it reads.
pub(super) const SCHEMA: u64 = 1;
/// sled writes in segments of 512 KiB and a snapshot when it opens: with less than this it fails in the middle.
const FREE_BYTES_MIN: usize = 2 << 20;

pub(super) struct Opened {
    pub engine: Engine,
    pub lock: File,
    pub trouble: Option<String>,
}

pub(super) fn open(dir: &Path) -> Result<Opened> {
    if make_dir(dir)? {
        dir.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync)?;
    }
    let lock = take_lock(dir)?;
    check_space(dir)?;
    let path = dir.join("sled");
    make_dir(&path)?;
    set_mode(&path, 0o700)?;
    remove_torn_snapshots(&path)?;
    let engine = match open_engine(dir, &path) {
        Ok(engine) => engine,
        Err(NotOpen::Refused(e)) => return Err(e),
        Err(NotOpen::Damaged(why)) => {
            let aside = set_aside(dir, &path, &why)?;
            tracing::error!(%why, aside = %aside.display(), "the store did not open; it was set aside and a new one made");
            make_dir(&path)?;
            open_engine(dir, &path).map_err(|e| match e {
                NotOpen::Refused(e) => e,
                NotOpen::Damaged(why) => StoreError::Engine(why),
            })?
        }
    };
    settle(dir, &path)?;
    Ok(Opened { engine, lock, trouble: trouble(dir)? })
}

fn open_engine(dir: &Path, path: &Path) -> std::result::Result<Engine, NotOpen> {
    let engine = Engine::open(path)?;
    match engine.schema() {
        Err(StoreError::Engine(why)) | Ok(Err(why)) => Err(NotOpen::Damaged(why)),
        Err(e) => Err(NotOpen::Refused(e)),
        Ok(Ok(Some(found))) if found > SCHEMA => {
            Err(NotOpen::Refused(StoreError::Newer { dir: dir.into(), found, known: SCHEMA }))
        }
        Ok(Ok(Some(_))) => Ok(engine),
        Ok(Ok(None)) => engine.set_schema(SCHEMA).map(|()| engine).map_err(NotOpen::Refused),
    }
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
    Ok((!said.is_empty()).then(|| {
        format!(
            "a damaged store was set aside and a new one begun, which lacks what that one knew: {}; \
             rebuild from the archive or take a snapshot now, then remove what was set aside",
            said.join(", ")
        )
    }))
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
