//! The envelope of every value: what is in it, how long it is, and a hash that is checked before a write and after a read.
//!
//! | bytes | what |
//! | --- | --- |
//! | 2 | `rb` |
//! | 1 | envelope version, 2 |
//! | 1 | flags: 1 what is encrypted is zstd |
//! | 2 | number of chunks |
//! | 4 | length of the plain value in bytes |
//! | 32 | keyed BLAKE3 over the tree's name, the key and the plain value, each after its length |
//! | … | the body, encrypted: key id, nonce, cipher text, tag (see `secret`) |
//!
//! The whole is cut into chunks of at most 4 KiB, because sled puts larger pages into files of their own that it never
//! syncs (libraries.md §2). The hash takes in the key, so a value that turns up under another's key is found too.
use super::{
    StoreError,
    error::Result,
    keys::{self, Tree},
    secret::{SEAL_BYTES, Secret},
};
use crate::model::limits::VALUE_BYTES_MAX;
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

/// The most that one value of sled holds.
pub(super) const CHUNK_BYTES: usize = 4096;
const MAGIC: [u8; 2] = *b"rb";
const VERSION: u8 = 2;
const ZSTD: u8 = 1;
const HEAD_BYTES: usize = 42;
/// zstd's own default: higher levels cost the writer more time than the few kilobytes of a value are worth.
const LEVEL: i32 = 3;

thread_local! {
    // A zstd context is some hundred kilobytes to set up, most values are a few hundred bytes.
    static PACK: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static UNPACK: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// The chunks of a value.
pub(super) fn seal(secret: &Secret, tree: Tree, key: &[u8], plain: &[u8]) -> Result<Vec<Vec<u8>>> {
    if plain.len() > VALUE_BYTES_MAX {
        let (bytes, max) = (plain.len(), VALUE_BYTES_MAX);
        return Err(StoreError::TooLarge { tree: tree.name(), key: keys::show(tree, key), bytes, max });
    }
    let packed = pack(plain).filter(|p| p.len() < plain.len());
    let (flags, body) = packed.as_deref().map_or((0, plain), |p| (ZSTD, p));
    let count = (HEAD_BYTES + SEAL_BYTES + body.len()).div_ceil(CHUNK_BYTES);
    let mut all = Vec::with_capacity(HEAD_BYTES + SEAL_BYTES + body.len());
    all.extend(MAGIC);
    all.extend([VERSION, flags]);
    // VALUE_BYTES_MAX is 16 MiB: 4097 chunks, and its length fits four bytes.
    all.extend((count as u16).to_be_bytes());
    all.extend((plain.len() as u32).to_be_bytes());
    all.extend(digest(secret, tree, key, plain));
    let sealed = secret.seal(&about(&all, tree, key), body).map_err(|why| corrupt(tree, key, why))?;
    all.extend(sealed);
    let chunks: Vec<Vec<u8>> = all.chunks(CHUNK_BYTES).map(<[u8]>::to_vec).collect();
    match open(secret, tree, key, &chunks) {
        Ok(back) if back == plain => Ok(chunks),
        Ok(_) => Err(corrupt(tree, key, "it did not read back as it was written".into())),
        Err(why) => Err(corrupt(tree, key, format!("it did not read back: {why}"))),
    }
}

/// How many chunks a value has, from its first one.
pub(super) fn chunk_count(first: &[u8]) -> Option<u16> {
    let count = u16::from_be_bytes([*first.get(4)?, *first.get(5)?]);
    (first.starts_with(&MAGIC) && count > 0).then_some(count)
}

/// The plain value, or why its chunks are not what was written.
pub(super) fn open<C: AsRef<[u8]>>(
    secret: &Secret,
    tree: Tree,
    key: &[u8],
    chunks: &[C],
) -> std::result::Result<Vec<u8>, String> {
    let Some(first) = chunks.first().map(C::as_ref) else { return Err("it has no first chunk".into()) };
    let Some((head, _)) = first.split_first_chunk::<HEAD_BYTES>() else { return Err("its head is cut off".into()) };
    if head[..2] != MAGIC {
        return Err("it does not begin with the mark of an envelope".into());
    }
    if head[2] != VERSION {
        return Err(format!("its envelope has version {}, and {VERSION} is known", head[2]));
    }
    let flags = head[3];
    if flags & !ZSTD != 0 {
        return Err(format!("its flags {flags:#04x} are not known"));
    }
    let count = usize::from(u16::from_be_bytes([head[4], head[5]]));
    if count != chunks.len() {
        return Err(format!("it has {} of {count} chunks", chunks.len()));
    }
    let length = u32::from_be_bytes([head[6], head[7], head[8], head[9]]) as usize;
    if length > VALUE_BYTES_MAX {
        return Err(format!("its length {length} is over {VALUE_BYTES_MAX}"));
    }
    let mut body = Vec::with_capacity(chunks.len() * CHUNK_BYTES);
    chunks.iter().for_each(|c| body.extend_from_slice(c.as_ref()));
    let (head, sealed) = body.split_at(HEAD_BYTES);
    let body = secret.open(&about(head, tree, key), sealed)?;
    let plain = if flags & ZSTD == 0 { body } else { unpack(&body, length)? };
    if plain.len() != length {
        return Err(format!("it is {} bytes long instead of {length}", plain.len()));
    }
    if head[10..] != digest(secret, tree, key, &plain) {
        return Err("its hash differs".into());
    }
    Ok(plain)
}

pub(super) fn corrupt(tree: Tree, key: &[u8], why: String) -> StoreError {
    StoreError::Corrupt { tree: tree.name(), key: keys::show(tree, key), why }
}

fn digest(secret: &Secret, tree: Tree, key: &[u8], plain: &[u8]) -> [u8; 32] {
    secret.hash(&[tree.name().as_bytes(), key, plain])
}
/// What an encrypted body is tied to: its head and its place. The head is of a fixed length and a tree's name has no zero
/// byte, so no two places look the same.
fn about(head: &[u8], tree: Tree, key: &[u8]) -> Vec<u8> {
    [head, tree.name().as_bytes(), &[0], key].concat()
}

/// None when zstd cannot: the value is then kept as it is.
fn pack(plain: &[u8]) -> Option<Vec<u8>> {
    PACK.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Compressor::new(LEVEL).ok();
        }
        slot.as_mut()?.compress(plain).ok()
    })
}
fn unpack(body: &[u8], length: usize) -> std::result::Result<Vec<u8>, String> {
    UNPACK.with_borrow_mut(|slot| {
        if slot.is_none() {
            *slot = Some(Decompressor::new().map_err(|e| e.to_string())?);
        }
        let Some(zstd) = slot.as_mut() else { return Err("zstd is not there".into()) };
        zstd.decompress(body, length).map_err(|e| format!("zstd: {e}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> Secret {
        Secret::from_bytes(b"a key for tests alone").unwrap()
    }
    /// Bytes that do not compress.
    pub fn noise(n: usize) -> Vec<u8> {
        let mut out = vec![0; n];
        blake3::Hasher::new().finalize_xof().fill(&mut out);
        out
    }

    #[test]
    fn every_length_round_trips_in_chunks_of_4_kib() {
        for n in [0, 1, CHUNK_BYTES - HEAD_BYTES, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 1 << 20] {
            for plain in [vec![b'x'; n], noise(n)] {
                let chunks = seal(&key(), Tree::Plans, b"k", &plain).unwrap();
                assert!(chunks.iter().all(|c| c.len() <= CHUNK_BYTES));
                assert_eq!(chunk_count(&chunks[0]), Some(chunks.len() as u16));
                assert_eq!(open(&key(), Tree::Plans, b"k", &chunks).unwrap(), plain);
            }
        }
        assert_eq!(seal(&key(), Tree::Plans, b"k", &noise(1 << 20)).unwrap().len(), 257);
        let over = seal(&key(), Tree::Plans, &keys::text("p"), &vec![0; VALUE_BYTES_MAX + 1]).unwrap_err();
        assert_eq!(
            over.to_string(),
            "refused to store `plans` value p: 16777217 bytes, and at most 16777216 are allowed"
        );
    }

    #[test]
    fn a_value_under_another_key_or_tree_is_not_taken_for_its_own() {
        let chunks = seal(&key(), Tree::Plans, b"a", b"value").unwrap();
        assert!(open(&key(), Tree::Plans, b"b", &chunks).is_err());
        assert!(open(&key(), Tree::Restores, b"a", &chunks).is_err());
    }

    proptest! {
        #[test]
        fn a_flipped_bit_never_gives_another_value(plain in prop::collection::vec(any::<u8>(), 0..300), repeat in 1usize..60, at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let plain = plain.repeat(repeat);
            let mut chunks = seal(&key(), Tree::Blobs, b"key", &plain).unwrap();
            let i = at.index(chunks.len());
            let j = at.index(chunks[i].len());
            chunks[i][j] ^= 1 << bit;
            prop_assert!(open(&key(), Tree::Blobs, b"key", &chunks).is_err());
        }
    }
}
