//! The key of the store: who takes the disk, a backup of the state directory or the archive reads nothing without it.
//!
//! A key file holds any 16 to 4096 bytes (`head -c 32 /dev/urandom`); what encrypts is derived from them. Values are sealed
//! with AES-256-GCM-SIV, which does no harm should a random nonce ever repeat, with the tree and the key of the value as
//! associated data. Hashes that stand in the clear are keyed, so that nobody confirms a guess by them.
//!
//! In the clear stay: kinds and ids of resources, times, and hashes of specs without a key (`blobs` are found by them).
use super::{StoreError, error::Result};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Fewer bytes can be guessed; more are no key but some other file.
const FILE_BYTES: std::ops::RangeInclusive<usize> = 16..=4096;
/// The name of a key that is made beside the store, when no other is given.
pub(super) const OWN_FILE: &str = "store-key";
pub(super) const TAG_BYTES: usize = 16;
/// What sealing adds to a body: the key's id, the nonce, the tag.
pub(super) const SEAL_BYTES: usize = ID_BYTES + NONCE_LEN + TAG_BYTES;
const ID_BYTES: usize = 8;

/// Tells keys apart without telling anything of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyId([u8; ID_BYTES]);
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}
impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One key, ready for use.
pub(super) struct Secret {
    id: KeyId,
    seal: RandomizedNonceKey,
    mac: [u8; 32],
}
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.id)
    }
}

impl Secret {
    /// From the bytes of a key file. White space at their end does not count, so that a text editor does no harm.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.trim_ascii_end();
        if !FILE_BYTES.contains(&bytes.len()) {
            return None;
        }
        let derive = |context: &str| blake3::derive_key(context, bytes);
        let id = derive("rollbackd 2026-11 store: id of the key");
        let id = KeyId(*id.first_chunk()?);
        let seal = RandomizedNonceKey::new(&AES_256_GCM_SIV, &derive("rollbackd 2026-11 store: values")).ok()?;
        Some(Self { id, seal, mac: derive("rollbackd 2026-11 store: hashes") })
    }

    /// From a file. One that is not there is made, when it is the store's own in `dir` and nothing was ever encrypted.
    pub fn read(file: &Path, dir: &Path) -> Result<Self> {
        let fails = |doing, source| StoreError::Io { doing, path: file.into(), source };
        let mut bytes = Vec::new();
        match File::open(file) {
            Ok(f) => {
                f.take(*FILE_BYTES.end() as u64 + 2).read_to_end(&mut bytes).map_err(|e| fails("read the key", e))?
            }
            Err(e)
                if e.kind() == io::ErrorKind::NotFound && file == dir.join(OWN_FILE) && !dir.join("sled").exists() =>
            {
                bytes = make(file).map_err(|e| fails("write the key", e))?;
                tracing::info!(
                    file = %file.display(),
                    "made a key for the store; keep a copy of it elsewhere: without it the store cannot be read"
                );
                bytes.len()
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(StoreError::NoKey { file: file.into() }),
            Err(e) => return Err(fails("read the key", e)),
        };
        Self::from_bytes(&bytes).ok_or_else(|| StoreError::NoKeyIn { file: file.into() })
    }

    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Key id, nonce, cipher text and tag of a body.
    pub fn seal(&self, about: &[u8], body: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let mut cipher = Vec::with_capacity(body.len() + TAG_BYTES);
        cipher.extend_from_slice(body);
        let nonce = self.seal.seal_in_place_append_tag(Aad::from(about), &mut cipher);
        let nonce = nonce.map_err(|_| "it could not be encrypted".to_owned())?;
        Ok([self.id.0.as_slice(), nonce.as_ref(), &cipher].concat())
    }
    /// The body again, or why not.
    pub fn open(&self, about: &[u8], sealed: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let cut = || "its cipher text is cut off".to_owned();
        let (id, rest) = sealed.split_first_chunk::<ID_BYTES>().ok_or_else(cut)?;
        if *id != self.id.0 {
            return Err(format!("it is encrypted with key {}, and this is key {}", KeyId(*id), self.id));
        }
        let (nonce, cipher) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(cut)?;
        let mut cipher = cipher.to_vec();
        let plain = self.seal.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(about), &mut cipher);
        let length = plain.map_err(|_| "it does not decrypt: its bytes were changed".to_owned())?.len();
        cipher.truncate(length);
        Ok(cipher)
    }
    /// A hash that nobody makes without the key.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.mac);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        *hasher.finalize().as_bytes()
    }
}

/// Random bytes of the system's own source.
pub(super) fn random() -> Result<[u8; 32]> {
    let mut out = [0; 32];
    let filled = aws_lc_rs::rand::fill(&mut out);
    filled.map(|()| out).map_err(|_| StoreError::Engine("the system gives no random bytes".into()))
}

/// 32 random bytes as hexadecimal digits, in a new file that only its owner reads, on the disk before anything needs it.
fn make(file: &Path) -> io::Result<Vec<u8>> {
    let random = random().map_err(io::Error::other)?;
    let text: String = random.iter().map(|b| format!("{b:02x}")).collect();
    let mut f = File::options().write(true).create_new(true).mode(0o600).open(file)?;
    f.write_all(text.as_bytes())?;
    f.sync_all()?;
    if let Some(dir) = file.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_about_the_same_thing_opens_and_no_changed_byte() {
        let key = Secret::from_bytes(b"correct horse battery\n").unwrap();
        let same = Secret::from_bytes(b"correct horse battery").unwrap();
        let other = Secret::from_bytes(b"correct horse battery staple").unwrap();
        let sealed = key.seal(b"here", b"a value").unwrap();
        assert_eq!(same.open(b"here", &sealed).unwrap(), b"a value");
        assert!(key.open(b"there", &sealed).unwrap_err().contains("does not decrypt"));
        assert!(other.open(b"here", &sealed).unwrap_err().contains(&format!("with key {}", key.id())));
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert!(key.open(b"here", &changed).is_err(), "byte {i}");
            assert!(key.open(b"here", &sealed[..i]).is_err(), "cut at {i}");
        }
        assert_ne!(key.seal(b"here", b"a value").unwrap(), sealed, "every sealing has a nonce of its own");
        assert_ne!(key.hash(&[b"ab", b"c"]), key.hash(&[b"a", b"bc"]));
        assert_ne!(key.hash(&[b"a"]), other.hash(&[b"a"]));
    }

    #[test]
    fn a_key_that_can_be_guessed_or_is_some_other_file_is_refused() {
        assert!(Secret::from_bytes(b"fifteen letters").is_none());
        assert!(Secret::from_bytes(&[7; 5000]).is_none());
        assert!(Secret::from_bytes(&[7; 16]).is_some());
    }
}
