//! What is written together: all of a batch, or none of it.
use super::{StoreError, error::Result};
use crate::model::{
    EventId, Hash, Incident, Record, ResourceKey, Sweep, Timestamp, Version,
    actor::Session,
    audit::{Entry, What},
    canonical,
};
use serde::{Deserialize, Serialize};

/// How far a source was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cursor {
    Number(u64),
    Text(String),
}
impl From<u64> for Cursor {
    fn from(n: u64) -> Self {
        Self::Number(n)
    }
}
impl From<String> for Cursor {
    fn from(s: String) -> Self {
        Self::Text(s)
    }
}
impl From<&str> for Cursor {
    fn from(s: &str) -> Self {
        Self::Text(s.to_owned())
    }
}

/// One change. Documents are JSON by now, so that a value that cannot be written fails its own batch, early.
#[derive(Debug)]
pub(super) enum Change {
    Version(Box<Version>),
    Record(Box<Record>),
    Forget(Vec<EventId>),
    Unreadable { raw: Vec<u8>, why: String, source: String },
    Session(Box<Session>),
    Incident(Box<Incident>),
    Sweep(Sweep),
    Plan { id: Hash, json: String },
    Restore { id: String, json: String },
    Journal { restore: String, step: u32, json: String },
    Remap { old: ResourceKey, new: ResourceKey },
    Label { name: String, at: Timestamp },
    Cursor { name: String, to: Cursor },
    Audit { at: Timestamp, who: String, what: What },
    Meta { key: String, json: String },
}

/// Changes that become durable together or not at all. Each method adds one; what it replaces is said there.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) changes: Vec<Change>,
    /// The first document that could not be written as JSON: the whole batch is refused.
    pub(super) broken: Option<StoreError>,
}
impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }
    /// A batch in one expression: `Batch::of(|b| b.label("friday", now).cursor("queue", 7))`.
    pub fn of(fill: impl FnOnce(&mut Self) -> &mut Self) -> Self {
        let mut batch = Self::new();
        fill(&mut batch);
        batch
    }
    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.broken.is_none()
    }
    /// How many changes were added.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// One read of a resource. The same spec as its last version only moves that one's `seen_at` (and its aliases and
    /// unmapped elements, should they differ), and so does a tombstone over a tombstone; one over nothing changes nothing.
    /// A read that is older than the last version joins the history and leaves `current` alone. One that found something
    /// else while the version before it was seen both earlier and later parts that one in two. Refused when `hash` is not
    /// that of the spec.
    pub fn version(&mut self, version: Version) -> &mut Self {
        self.add(Change::Version(Box::new(version)))
    }
    /// A record; one whose event id is known already changes nothing. A new one gets the next arrival number.
    pub fn record(&mut self, record: Record) -> &mut Self {
        self.add(Change::Record(Box::new(record)))
    }
    /// A message that could not be decoded, as it came; the same bytes are kept once. `source` is the queue or file.
    pub fn unreadable(&mut self, raw: &[u8], why: &str, source: &str) -> &mut Self {
        self.add(Change::Unreadable { raw: raw.to_vec(), why: why.to_owned(), source: source.to_owned() })
    }
    /// A session in place of what was known of it.
    pub fn session(&mut self, session: Session) -> &mut Self {
        self.add(Change::Session(Box::new(session)))
    }
    /// An incident in place of what was known of it.
    pub fn incident(&mut self, incident: Incident) -> &mut Self {
        self.add(Change::Incident(Box::new(incident)))
    }
    /// A sweep by its start, in place of what was known of it.
    pub fn sweep(&mut self, sweep: Sweep) -> &mut Self {
        self.add(Change::Sweep(sweep))
    }
    /// A plan under its digest.
    pub fn plan(&mut self, id: &Hash, plan: &impl Serialize) -> &mut Self {
        let id = id.clone();
        self.document("a plan", plan, |json| Change::Plan { id, json })
    }
    /// A restore in place of what was known of it.
    pub fn restore(&mut self, id: &str, restore: &impl Serialize) -> &mut Self {
        let id = id.to_owned();
        self.document("a restore", restore, |json| Change::Restore { id, json })
    }
    /// The state of one step of a restore, in place of the one before.
    pub fn journal(&mut self, restore: &str, step: u32, entry: &impl Serialize) -> &mut Self {
        let restore = restore.to_owned();
        self.document("a journal entry", entry, |json| Change::Journal { restore, step, json })
    }
    /// A resource was put back under a new id.
    pub fn remap(&mut self, old: ResourceKey, new: ResourceKey) -> &mut Self {
        self.add(Change::Remap { old, new })
    }
    /// A name for an instant; an earlier use of the name is replaced.
    pub fn label(&mut self, name: &str, at: Timestamp) -> &mut Self {
        self.add(Change::Label { name: name.to_owned(), at })
    }
    /// How far a source was read.
    pub fn cursor(&mut self, name: &str, to: impl Into<Cursor>) -> &mut Self {
        self.add(Change::Cursor { name: name.to_owned(), to: to.into() })
    }
    /// An entry of the audit chain. Its number and hash are made where it is written, so concurrent ones cannot fork the
    /// chain; [`Committed::audit`] gives it back.
    pub fn audit(&mut self, at: Timestamp, who: &str, what: What) -> &mut Self {
        self.add(Change::Audit { at, who: who.to_owned(), what })
    }
    /// A document under a name of the caller's; null where it is to be empty. Halts are kept so.
    pub fn meta(&mut self, key: &str, value: &impl Serialize) -> &mut Self {
        let key = key.to_owned();
        self.document("a meta value", value, |json| Change::Meta { key, json })
    }

    /// Records to remove, but for those that an incident names.
    pub(super) fn forget(&mut self, records: Vec<EventId>) -> &mut Self {
        self.add(Change::Forget(records))
    }
    fn add(&mut self, change: Change) -> &mut Self {
        self.changes.push(change);
        self
    }
    fn document(&mut self, what: &str, value: &impl Serialize, f: impl FnOnce(String) -> Change) -> &mut Self {
        match to_json(what, value) {
            Ok(json) => self.changes.push(f(json)),
            Err(e) => {
                self.broken.get_or_insert(e);
            }
        }
        self
    }
}

/// Canonical: the same document is the same bytes.
pub(super) fn to_json(what: &str, value: &impl Serialize) -> Result<String> {
    let value = serde_json::to_value(value)
        .map_err(|e| StoreError::Invalid { what: what.to_owned(), why: format!("it is no JSON: {e}") })?;
    Ok(canonical(&value))
}

/// What a batch did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Committed {
    /// How many of its records were new.
    pub records_new: usize,
    /// How many of its records were known already.
    pub records_known: usize,
    /// Resources that got a new version or became tombstones, in the order of the batch.
    pub changed: Vec<ResourceKey>,
    /// Its audit entries as written.
    pub audit: Vec<Entry>,
    /// Records removed.
    pub(super) forgotten: usize,
}
