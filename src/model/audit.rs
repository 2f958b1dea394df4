//! The audit chain: entries that each hold the hash of the one before, so that what was done cannot be changed, dropped
//! or put in another order without a break that shows. Pure: the store keeps the entries and hands out the numbers.
use super::{Hash, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// What was done: a verb, what it was done to, and what else matters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct What {
    /// In lower case with dashes: `restore-began`, `approved`, `halted`. Never changes its meaning.
    pub verb: String,
    /// The plan's digest, the restore, the identity: what the verb is about.
    pub subject: String,
    /// Anything else that a reader needs to judge it; null when there is nothing.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
}
impl What {
    /// Without details.
    pub fn new(verb: &str, subject: impl fmt::Display) -> Self {
        Self { verb: verb.to_owned(), subject: subject.to_string(), details: Value::Null }
    }
    /// With these details instead.
    pub fn with(mut self, details: Value) -> Self {
        self.details = details;
        self
    }
}

/// One entry of the chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// 1 for the first, then without a gap.
    pub seq: u64,
    pub at: Timestamp,
    /// Who did it: a user of the host with its number, or `daemon`.
    pub who: String,
    pub what: What,
    /// Hash of the entry before; [`Entry::first_previous`] for the first.
    pub previous: Hash,
    /// BLAKE3 over the canonical JSON of all of the above.
    pub hash: Hash,
}
impl Entry {
    /// What the first entry follows: the hash over nothing.
    pub fn first_previous() -> Hash {
        Hash::of_bytes(&[])
    }
    /// The entry that follows `after`; the first one if there is none.
    pub fn follow(after: Option<&Head>, at: Timestamp, who: String, mut what: What) -> Self {
        steady(&mut what.details);
        let (seq, previous) = after.map_or((1, Self::first_previous()), |h| (h.seq + 1, h.hash.clone()));
        let hash = digest(seq, at, &who, &what, &previous);
        Self { seq, at, who, what, previous, hash }
    }
    /// Whether the entry still is what was hashed.
    pub fn is_whole(&self) -> bool {
        self.hash == digest(self.seq, self.at, &self.who, &self.what, &self.previous)
    }
    /// What the next entry follows.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash.clone() }
    }
}
fn digest(seq: u64, at: Timestamp, who: &str, what: &What, previous: &Hash) -> Hash {
    Hash::of(&json!({ "seq": seq, "at": at, "who": who, "what": what, "previous": previous }))
}

/// Numbers with a fraction become text: they need not read back as they were written, and then the hash would not hold.
fn steady(v: &mut Value) {
    match v {
        Value::Number(n) if n.is_f64() => *v = Value::from(n.to_string()),
        Value::Array(a) => a.iter_mut().for_each(steady),
        Value::Object(m) => m.values_mut().for_each(steady),
        _ => {}
    }
}

/// The last entry, by number and hash: kept apart from the entries, so that cutting off the end shows too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub seq: u64,
    pub hash: Hash,
}

/// How a chain is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The entry is not what was hashed, or cannot be read.
    Changed,
    /// There is no entry of this number, but there are later ones.
    Dropped,
    /// The entry stands at another's place, or follows another than the one before it.
    Reordered,
    /// The end is missing: the head names a later entry, or another one.
    Truncated,
}
impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Changed => "is not what was written",
            Self::Dropped => "is missing",
            Self::Reordered => "does not follow the one before it",
            Self::Truncated => "is not the end that the head names",
        })
    }
}

/// Where a chain breaks first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("audit entry {seq} {how}")]
pub struct Break {
    pub seq: u64,
    pub how: How,
}

/// Walks a chain from its first entry.
#[derive(Debug, Default)]
pub struct Walk {
    last: Option<Head>,
}
impl Walk {
    /// Takes the next entry, found at place `at`; None when it could not be read.
    pub fn step(&mut self, at: u64, entry: Option<&Entry>) -> Result<(), Break> {
        let (next, previous) = self.last.as_ref().map_or((1, Entry::first_previous()), |l| (l.seq + 1, l.hash.clone()));
        let broken = |seq, how| Err(Break { seq, how });
        let Some(entry) = entry else { return broken(at, How::Changed) };
        if at > next {
            return broken(next, How::Dropped);
        }
        if !entry.is_whole() {
            return broken(at, How::Changed);
        }
        if at != next || entry.seq != at || entry.previous != previous {
            return broken(at, How::Reordered);
        }
        self.last = Some(entry.head());
        Ok(())
    }
    /// After the last entry: compares with the head, and gives the number of entries.
    pub fn end(self, head: Option<&Head>) -> Result<u64, Break> {
        if self.last.as_ref() != head {
            let seq = self.last.as_ref().map_or(0, |l| l.seq).max(head.map_or(0, |h| h.seq));
            return Err(Break { seq, how: How::Truncated });
        }
        Ok(self.last.map_or(0, |l| l.seq))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chain(n: u64) -> Vec<Entry> {
        let mut out: Vec<Entry> = Vec::new();
        for i in 0..n {
            let head = out.last().map(Entry::head);
            let what = What::new("approved", format!("plan-{i}")).with(json!({ "grace_s": i, "ratio": 0.1 }));
            let at = Timestamp::from_second(1_700_000_000 + i as i64).unwrap();
            out.push(Entry::follow(head.as_ref(), at, "alice (1000)".into(), what));
        }
        out
    }
    fn check<'a>(
        entries: impl IntoIterator<Item = (u64, Option<&'a Entry>)>,
        head: Option<&Head>,
    ) -> Result<u64, Break> {
        let mut walk = Walk::default();
        for (at, entry) in entries {
            walk.step(at, entry)?;
        }
        walk.end(head)
    }
    /// As the store keeps it: numbered by place.
    fn placed(entries: &[Entry]) -> impl Iterator<Item = (u64, Option<&Entry>)> {
        entries.iter().enumerate().map(|(i, e)| (i as u64 + 1, Some(e)))
    }

    #[test]
    fn a_whole_chain_holds_and_so_does_an_empty_one() {
        let entries = chain(5);
        assert_eq!(check(placed(&entries), Some(&entries[4].head())), Ok(5));
        assert_eq!(check([], None), Ok(0));
        let text = serde_json::to_string(&entries[3]).unwrap();
        assert!(serde_json::from_str::<Entry>(&text).unwrap().is_whole(), "what is read back hashes the same");
    }

    #[test]
    fn the_first_broken_number_is_named() {
        let entries = chain(4);
        let head = entries[3].head();
        let without_2 = placed(&entries).filter(|(at, _)| *at != 2);
        assert_eq!(check(without_2, Some(&head)), Err(Break { seq: 2, how: How::Dropped }));
        assert_eq!(check(placed(&entries[..3]), Some(&head)), Err(Break { seq: 4, how: How::Truncated }));
        assert_eq!(check(placed(&entries), None), Err(Break { seq: 4, how: How::Truncated }));
        assert_eq!(check([(1, None)], Some(&head)), Err(Break { seq: 1, how: How::Changed }));
    }

    proptest! {
        #[test]
        fn no_entry_can_be_changed_dropped_or_moved(n in 2u64..12, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>(), bit in 0u8..7, byte in any::<prop::sample::Index>()) {
            let entries = chain(n);
            let head = entries[n as usize - 1].head();
            let i = a.index(n as usize);

            // Changed: one bit of its JSON. A text that is not an entry any more counts as unreadable.
            let mut text = serde_json::to_vec(&entries[i]).unwrap();
            let at = byte.index(text.len());
            text[at] ^= 1 << bit;
            let changed: Option<Entry> = serde_json::from_slice(&text).ok();
            if changed.as_ref() != Some(&entries[i]) {
                let all = placed(&entries).map(|(at, e)| if at == i as u64 + 1 { (at, changed.as_ref()) } else { (at, e) });
                prop_assert_eq!(check(all, Some(&head)).unwrap_err().seq, i as u64 + 1);
            }

            // Dropped, with its number left free or closed up.
            prop_assert!(check(placed(&entries).filter(|(at, _)| *at != i as u64 + 1), Some(&head)).is_err());
            let mut fewer = entries.clone();
            fewer.remove(i);
            prop_assert!(check(placed(&fewer), Some(&head)).is_err());

            // Two in each other's place.
            let j = b.index(n as usize);
            if i != j {
                let mut moved = entries.clone();
                moved.swap(i, j);
                prop_assert_eq!(check(placed(&moved), Some(&head)), Err(Break { seq: i.min(j) as u64 + 1, how: How::Reordered }));
            }
        }
    }
}
