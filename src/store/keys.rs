//! Trees and their keys.
//!
//! Every key begins with a version byte. Text ends with `00 01`, a zero byte inside it is written `00 ff`: no key is the
//! beginning of another, and keys sort as their parts do. Numbers are big-endian. What sled sees has two more bytes at the
//! end, the number of the chunk (see `envelope`).
//!
//! | tree | key | value |
//! | --- | --- | --- |
//! | `blobs` | 32 bytes of BLAKE3 | canonical JSON of kind, spec version and spec |
//! | `versions` | resource, captured at | a version without its spec |
//! | `current` | resource | its last version without its spec |
//! | `names` | role, keyed hash of a text, resource | nothing: finds a resource by bare id, alias or Name |
//! | `sweeps` | began at | sweep |
//! | `records` | event time, event id | record |
//! | `record-ids` | event id | time and arrival number of the record |
//! | `arrivals` | arrival number | time and event id of the record |
//! | `unreadable` | BLAKE3 of the message | where it came from, why it could not be read, its bytes |
//! | `sessions` `incidents` `plans` `restores` | id | document |
//! | `journal` | restore, step | document |
//! | `remap` | old resource | new resource |
//! | `labels` | label | instant |
//! | `cursors` | source | position |
//! | `audit` | sequence number | entry |
//! | `meta` | name | counters and heads of the store itself (`.…`), and what others keep (`x.…`) |
//!
//! A resource is partition, account, region, kind and id, each as text. An instant is its nanoseconds since the earliest
//! that can be written, in 12 bytes.
use super::{StoreError, error::Result};
use crate::model::{Hash, ResourceKey, Scope, Timestamp, limits::ID_BYTES_MAX};

/// The trees, in the order in which the engine holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Tree {
    Blobs,
    Versions,
    Current,
    Names,
    Sweeps,
    Records,
    RecordIds,
    Arrivals,
    Unreadable,
    Sessions,
    Incidents,
    Plans,
    Restores,
    Journal,
    Remap,
    Labels,
    Cursors,
    Audit,
    Meta,
}
impl Tree {
    pub const ALL: [Self; 19] = [
        Self::Blobs,
        Self::Versions,
        Self::Current,
        Self::Names,
        Self::Sweeps,
        Self::Records,
        Self::RecordIds,
        Self::Arrivals,
        Self::Unreadable,
        Self::Sessions,
        Self::Incidents,
        Self::Plans,
        Self::Restores,
        Self::Journal,
        Self::Remap,
        Self::Labels,
        Self::Cursors,
        Self::Audit,
        Self::Meta,
    ];
    /// Its name on disk: never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::Versions => "versions",
            Self::Current => "current",
            Self::Names => "names",
            Self::Sweeps => "sweeps",
            Self::Records => "records",
            Self::RecordIds => "record-ids",
            Self::Arrivals => "arrivals",
            Self::Unreadable => "unreadable",
            Self::Sessions => "sessions",
            Self::Incidents => "incidents",
            Self::Plans => "plans",
            Self::Restores => "restores",
            Self::Journal => "journal",
            Self::Remap => "remap",
            Self::Labels => "labels",
            Self::Cursors => "cursors",
            Self::Audit => "audit",
            Self::Meta => "meta",
        }
    }
}

/// The first byte of every key.
const KEY_VERSION: u8 = 1;

/// A key in the making.
#[derive(Debug, Clone)]
pub(super) struct Key(Vec<u8>);
impl Key {
    pub fn new() -> Self {
        Self(vec![KEY_VERSION])
    }
    pub fn text(mut self, s: &str) -> Self {
        for b in s.bytes() {
            self.0.push(b);
            if b == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend([0, 1]);
        self
    }
    pub fn byte(mut self, b: u8) -> Self {
        self.0.push(b);
        self
    }
    pub fn bytes(mut self, b: &[u8]) -> Self {
        self.0.extend(b);
        self
    }
    pub fn number(self, n: u64) -> Self {
        self.bytes(&n.to_be_bytes())
    }
    pub fn time(self, t: Timestamp) -> Self {
        self.bytes(&time_bytes(t))
    }
    pub fn scope(self, s: &Scope) -> Self {
        self.text(s.partition.as_str()).text(s.account.as_str()).text(s.region.as_str())
    }
    pub fn resource(self, r: &ResourceKey) -> Self {
        self.scope(&r.scope).text(r.kind.as_str()).text(&r.id)
    }
    pub fn done(self) -> Vec<u8> {
        self.0
    }
}

pub(super) fn text(s: &str) -> Vec<u8> {
    Key::new().text(s).done()
}
pub(super) fn number(n: u64) -> Vec<u8> {
    Key::new().number(n).done()
}
pub(super) fn scope(s: &Scope) -> Vec<u8> {
    Key::new().scope(s).done()
}
pub(super) fn resource(r: &ResourceKey) -> Vec<u8> {
    Key::new().resource(r).done()
}
pub(super) fn version(r: &ResourceKey, at: Timestamp) -> Vec<u8> {
    Key::new().resource(r).time(at).done()
}
pub(super) fn record(time: Timestamp, id: &str) -> Vec<u8> {
    Key::new().time(time).text(id).done()
}
pub(super) fn blob(hash: &Hash) -> Vec<u8> {
    Key::new().bytes(&hash_bytes(hash)).done()
}
pub(super) fn journal(restore: &str, step: u32) -> Vec<u8> {
    Key::new().text(restore).bytes(&step.to_be_bytes()).done()
}

/// By what a text names a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Id = 1,
    Alias = 2,
    Name = 3,
}
/// All names under which a resource is found by a text: names may be secret, so only a hash of them is on the disk.
pub(super) fn names(by: &NameKey, role: Role, text: &str) -> Vec<u8> {
    Key::new().byte(role as u8).bytes(blake3::keyed_hash(by, text.as_bytes()).as_bytes()).done()
}
pub(super) fn name(by: &NameKey, role: Role, text: &str, r: &ResourceKey) -> Vec<u8> {
    Key(names(by, role, text)).resource(r).done()
}
/// Made at random with the store and kept in it, encrypted: the hashes of names outlive a change of the store's key.
pub(super) type NameKey = [u8; 32];

fn time_bytes(t: Timestamp) -> [u8; 12] {
    // jiff keeps a timestamp between its MIN and MAX, some 6·10²⁰ ns apart: 70 bits.
    let since = t.as_nanosecond() - Timestamp::MIN.as_nanosecond();
    let mut out = [0; 12];
    out.copy_from_slice(&since.to_be_bytes()[4..]);
    out
}

fn hash_bytes(h: &Hash) -> [u8; 32] {
    let mut out = [0; 32];
    let digit = |b: u8| if b.is_ascii_digit() { b - b'0' } else { b - b'a' + 10 };
    // A Hash is 64 lower-case hexadecimal digits by its type.
    for (o, pair) in out.iter_mut().zip(h.as_str().as_bytes().chunks_exact(2)) {
        *o = digit(pair[0]) << 4 | digit(pair[1]);
    }
    out
}

/// A text that becomes part of a key must be there and not be endless.
pub(super) fn checked<'a>(what: &str, id: &'a str) -> Result<&'a str> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        let why = format!("its id has {} bytes, and 1 to {ID_BYTES_MAX} are allowed", id.len());
        return Err(StoreError::Invalid { what: what.to_owned(), why });
    }
    Ok(id)
}

/// Reads the parts of a key in order; None where the key is not so made.
pub(super) struct Parts<'a>(&'a [u8]);
impl<'a> Parts<'a> {
    pub fn of(key: &'a [u8]) -> Option<Self> {
        let (version, rest) = key.split_first()?;
        (*version == KEY_VERSION).then_some(Self(rest))
    }
    pub fn text(&mut self) -> Option<String> {
        let mut out = Vec::new();
        loop {
            let (b, rest) = self.0.split_first()?;
            self.0 = rest;
            if *b == 0 {
                let (mark, rest) = self.0.split_first()?;
                self.0 = rest;
                match mark {
                    1 => return String::from_utf8(out).ok(),
                    0xff => out.push(0),
                    _ => return None,
                }
            } else {
                out.push(*b);
            }
        }
    }
    pub fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }
    pub fn time(&mut self) -> Option<Timestamp> {
        let mut wide = [0; 16];
        wide[4..].copy_from_slice(&self.take::<12>()?);
        Timestamp::from_nanosecond(i128::from_be_bytes(wide) + Timestamp::MIN.as_nanosecond()).ok()
    }
    pub fn scope(&mut self) -> Option<Scope> {
        Some(Scope {
            partition: self.text()?.parse().ok()?,
            account: self.text()?.parse().ok()?,
            region: self.text()?.parse().ok()?,
        })
    }
    pub fn resource(&mut self) -> Option<ResourceKey> {
        Some(ResourceKey { scope: self.scope()?, kind: self.text()?.parse().ok()?, id: self.text()? })
    }
}

/// The first key after all that begin with `prefix`; None when there can be none.
pub(super) fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut out = prefix.to_vec();
    while let Some(last) = out.pop() {
        if last < 0xff {
            out.push(last + 1);
            return Some(out);
        }
    }
    None
}

/// Where a range goes on after a key and all its chunks.
pub(super) fn past(key: &[u8]) -> Vec<u8> {
    [key, &[0xff; 3]].concat()
}

/// A key for people: its text where it is text, the rest in hexadecimal.
pub(super) fn show(tree: Tree, key: &[u8]) -> String {
    let parts = || Parts::of(key);
    let shown = match tree {
        Tree::Current | Tree::Remap => parts().and_then(|mut p| Some(p.resource()?.to_string())),
        Tree::Versions => parts().and_then(|mut p| Some(format!("{} at {}", p.resource()?, p.time()?))),
        Tree::Records => parts().and_then(|mut p| Some(format!("{1} of {0}", p.time()?, p.text()?))),
        Tree::Sweeps => parts().and_then(|mut p| Some(p.time()?.to_string())),
        Tree::Arrivals | Tree::Audit => parts().and_then(|mut p| Some(u64::from_be_bytes(p.take()?).to_string())),
        Tree::Journal => {
            parts().and_then(|mut p| Some(format!("{} step {}", p.text()?, u32::from_be_bytes(p.take()?))))
        }
        Tree::Blobs | Tree::Unreadable | Tree::Names => None,
        _ => parts().and_then(|mut p| p.text()),
    };
    shown.unwrap_or_else(|| key.iter().skip(1).map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_tree_has_its_place_and_its_own_name() {
        for (i, tree) in Tree::ALL.iter().enumerate() {
            assert_eq!(*tree as usize, i);
        }
        let names: std::collections::BTreeSet<_> = Tree::ALL.iter().map(|t| t.name()).collect();
        assert_eq!(names.len(), Tree::ALL.len());
    }

    #[test]
    fn hashes_and_the_ends_of_time_keep() {
        let h = Hash::of_bytes(b"x");
        assert_eq!(hash_bytes(&h), *blake3::hash(b"x").as_bytes());
        for t in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            assert_eq!(Parts::of(&Key::new().time(t).done()).unwrap().time(), Some(t));
        }
        assert_eq!(after(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(after(&[0xff]), None);
    }

    proptest! {
        #[test]
        fn resources_read_back_and_sort_as_they_are(a in "[a-c\0/]{1,4}", b in "[a-c\0/]{1,4}", s in 0i64..1000, t in 0i64..1000) {
            let scope: Scope = "aws/111122223333/eu-west-1".parse().unwrap();
            let (ra, rb) = (scope.key("ec2:vpc".parse().unwrap(), a.clone()), scope.key("ec2:vpc".parse().unwrap(), b.clone()));
            let (ka, kb) = (resource(&ra), resource(&rb));
            prop_assert_eq!(Parts::of(&ka).unwrap().resource().unwrap(), ra.clone());
            prop_assert_eq!(ka.cmp(&kb), a.cmp(&b));
            prop_assert!(a == b || !ka.starts_with(&kb), "no key is the beginning of another");
            let (s, t) = (Timestamp::from_second(s).unwrap(), Timestamp::from_second(t).unwrap());
            prop_assert_eq!(version(&ra, s).cmp(&version(&ra, t)), s.cmp(&t));
        }
    }
}
