//! What can go wrong with the store, each with what it concerns and what to do.
use std::{io, path::PathBuf};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it open.
    #[error("the store in {} is in use{}; ask that process (a running daemon answers every command over its socket), or stop it first", dir.display(), by.map(|p| format!(" by process {p}")).unwrap_or_default())]
    Held { dir: PathBuf, by: Option<u32> },
    /// A newer rollbackd wrote it. Nothing was changed.
    #[error("the store in {} has schema version {found}, and this rollbackd knows up to {known}; use the newer rollbackd that wrote it", dir.display())]
    Newer { dir: PathBuf, found: u64, known: u64 },
    /// A rollbackd from before the first release wrote it. Nothing was changed.
    #[error("the store in {} has schema version {found}, which was never released, and this rollbackd knows {known}; move the directory away and take a snapshot", dir.display())]
    Older { dir: PathBuf, found: u64, known: u64 },
    /// There is no key where it should be.
    #[error("the key of the store is not at {}; restore that file, or name another with `key_file` under [store] or as the systemd credential `store-key`", file.display())]
    NoKey { file: PathBuf },
    /// A file that holds no key.
    #[error("{} is no key: 16 to 4096 bytes are; `head -c 32 /dev/urandom > FILE` makes one", file.display())]
    NoKeyIn { file: PathBuf },
    /// Another key than the store's. Nothing was changed.
    #[error("the store in {} is encrypted with key {wanted}, and {} holds key {found}; name the right file with `key_file` under [store]", dir.display(), file.display())]
    WrongKey { dir: PathBuf, file: PathBuf, found: String, wanted: String },
    /// The file system refused.
    #[error("cannot {doing} {}: {source}{}", path.display(), hint(source))]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    /// A value is not what was written.
    #[error("the store's `{tree}` value {key} is corrupt: {why}")]
    Corrupt { tree: &'static str, key: String, why: String },
    /// The caller's change breaks a rule of the store; its batch was not written, others were.
    #[error("refused to store {what}: {why}")]
    Invalid { what: String, why: String },
    /// Over a limit; its batch was not written, others were.
    #[error("refused to store `{tree}` value {key}: {bytes} bytes, and at most {max} are allowed")]
    TooLarge { tree: &'static str, key: String, bytes: usize, max: usize },
    /// A write did not reach the disk for certain, now or before. Nothing is accepted until the process starts again.
    #[error("the store stopped taking writes: {why}; free space or repair the disk, then start rollbackd again")]
    Failed { why: String },
    /// sled gave an error or panicked while reading.
    #[error("the store's engine failed: {0}")]
    Engine(String),
}

fn hint(e: &io::Error) -> &'static str {
    match e.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; free space on that disk",
        io::ErrorKind::ReadOnlyFilesystem => "; choose a writable directory for the store",
        io::ErrorKind::PermissionDenied => "; run as the user that owns the store, or choose another directory",
        _ => "",
    }
}

pub(super) type Result<T> = std::result::Result<T, StoreError>;
