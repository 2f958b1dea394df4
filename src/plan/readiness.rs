//! What a deletion would cost today, and the one call that would make it cost less. Pure: read from what was captured.
use crate::model::{ResourceKey, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The worst that a deletion takes for good, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cost {
    /// AWS refuses the deletion, or undoes it.
    Nothing,
    /// It comes back under another id.
    Id,
    /// Something that others know it by or rely on: an address, a key, a connection.
    Identity,
    /// What ran: memory and instance stores, which every stop takes too.
    Memory,
    /// Content.
    Data,
}

/// What a kind says of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    pub cost: Cost,
    /// What would be lost, in words.
    pub lost: String,
    /// The call that would change that, as a command.
    pub remedy: Option<String>,
}
impl Ready {
    /// Nothing but the id, which every restore changes and rewires.
    pub fn id_only() -> Self {
        Self { cost: Cost::Id, lost: "its id: what refers to it is rewired".into(), remedy: None }
    }
}

/// A copy of another resource's content: of which, and from when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Copy {
    pub of: String,
    pub taken: Timestamp,
    pub id: String,
}

/// The newest copy of each resource's content, by its id.
#[derive(Debug, Clone, Default)]
pub struct Copies(BTreeMap<String, Copy>);
impl Copies {
    pub fn newest(copies: impl IntoIterator<Item = Copy>) -> Self {
        let mut all: BTreeMap<String, Copy> = BTreeMap::new();
        for copy in copies {
            match all.get(&copy.of) {
                Some(known) if known.taken >= copy.taken => {}
                _ => {
                    all.insert(copy.of.clone(), copy);
                }
            }
        }
        Self(all)
    }
    pub fn of(&self, id: &str) -> Option<&Copy> {
        self.0.get(id)
    }
}

/// One line of `rollbackd readiness`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Readiness {
    pub resource: ResourceKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub cost: Cost,
    pub lost: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_copy_counts_whatever_the_order() {
        let copy = |id: &str, at: &str| Copy { of: "vol-1".into(), taken: at.parse().unwrap(), id: id.into() };
        let (old, new) = (copy("snap-1", "2026-01-01T00:00:00Z"), copy("snap-2", "2026-02-01T00:00:00Z"));
        for all in [[old.clone(), new.clone()], [new.clone(), old]] {
            assert_eq!(Copies::newest(all).of("vol-1"), Some(&new));
        }
        assert!(Copies::default().of("vol-1").is_none() && Cost::Data > Cost::Identity);
    }
}
