//! The scrub: every value read, hashed and parsed, and what must belong together looked up.
use super::{
    Store, documents,
    engine::{Engine, is_clear},
    error::Result,
    keys::{self, NameKey, Parts, Tree},
    records, versions,
};
use crate::model::{
    Hash, Incident, ResourceKey, Sweep, Timestamp,
    actor::Session,
    audit::{Entry, Head},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub tree: &'static str,
    pub key: String,
    pub why: String,
}

/// What a scrub found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Values read.
    pub values: u64,
    /// Their plain length in bytes.
    pub bytes: u64,
    /// In order of tree and key; empty when the store is sound.
    pub problems: Vec<Problem>,
}
impl Report {
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

impl Store {
    /// Reads everything: re-hashes each value, parses it, and checks that what it names is there. Takes as long as it takes
    /// to read the store; writes go on meanwhile. The audit chain has its own check, `audit::verify`.
    pub fn verify(&self) -> Result<Report> {
        let mut report = Report::default();
        for tree in Tree::ALL {
            self.engine().scan(tree, &[], &[], |item| {
                if is_clear(tree, &item.key) {
                    return Ok(versions::go_on());
                }
                report.values += 1;
                let why = match item.plain(tree) {
                    Err(super::StoreError::Corrupt { why, .. }) => Some(why),
                    Err(e) => return Err(e),
                    Ok(plain) => {
                        report.bytes += plain.len() as u64;
                        fault(self.engine(), tree, &item.key, &plain)?
                    }
                };
                if let Some(why) = why {
                    report.problems.push(Problem { tree: tree.name(), key: keys::show(tree, &item.key), why });
                }
                Ok(versions::go_on())
            })?;
        }
        Ok(report)
    }

    /// How many values each tree holds, by its name. Walks their keys: seconds for millions.
    pub fn counts(&self) -> Result<BTreeMap<&'static str, u64>> {
        Tree::ALL.iter().map(|t| Ok((t.name(), self.count(*t)?))).collect()
    }
    pub(super) fn count(&self, tree: Tree) -> Result<u64> {
        let mut n = 0;
        self.engine().scan(tree, &[], &[], |item| {
            n += u64::from(!is_clear(tree, &item.key));
            Ok(versions::go_on())
        })?;
        Ok(n)
    }
    /// What the store takes on the disk, in bytes.
    pub fn size_on_disk(&self) -> Result<u64> {
        self.engine().size_on_disk()
    }
}

/// What is wrong with a value whose envelope is whole.
fn fault(engine: &Engine, tree: Tree, key: &[u8], plain: &[u8]) -> Result<Option<String>> {
    fn parsed<T: serde::de::DeserializeOwned>(tree: Tree, key: &[u8], plain: &[u8]) -> Option<String> {
        match documents::from_json::<T>(tree, key, plain) {
            Err(super::StoreError::Corrupt { why, .. }) => Some(why),
            _ => None,
        }
    }
    Ok(match tree {
        Tree::Blobs => (keys::blob(&Hash::of_bytes(plain)) != key).then(|| "its hash is not its key".to_owned()),
        Tree::Versions | Tree::Current => versions::fault(engine, tree, key, plain)?,
        Tree::Names => (!plain.is_empty()).then(|| "it holds something".to_owned()),
        Tree::Records | Tree::RecordIds | Tree::Arrivals | Tree::Unreadable => {
            records::fault(engine, tree, key, plain)?
        }
        Tree::Sweeps => parsed::<Sweep>(tree, key, plain),
        Tree::Sessions => parsed::<Session>(tree, key, plain),
        Tree::Incidents => parsed::<Incident>(tree, key, plain),
        Tree::Remap => parsed::<ResourceKey>(tree, key, plain),
        Tree::Labels => parsed::<Timestamp>(tree, key, plain),
        Tree::Cursors => parsed::<super::Cursor>(tree, key, plain),
        Tree::Audit => parsed::<Entry>(tree, key, plain),
        Tree::Plans | Tree::Restores | Tree::Journal => parsed::<serde::de::IgnoredAny>(tree, key, plain),
        Tree::Meta => match Parts::of(key).and_then(|mut p| p.text()).as_deref() {
            Some(".audit-head") => parsed::<Head>(tree, key, plain),
            Some(".next-arrival" | ".commits") => parsed::<u64>(tree, key, plain),
            Some(".name-key") => (plain.len() != size_of::<NameKey>()).then(|| "it is no key".to_owned()),
            _ => parsed::<serde::de::IgnoredAny>(tree, key, plain),
        },
    })
}
