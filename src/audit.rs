//! The audit: who did what when, as a chain that shows every change to it (`model::audit`), kept in the store. An act is
//! on it, on the disk, before it is done.
use crate::{
    model::{
        Hash, Timestamp,
        audit::{Break, Entry, How, Walk, What},
    },
    store::{Batch, Store, StoreError},
};
use std::ops::ControlFlow;

/// A chain that holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Verified {
    pub entries: u64,
    /// The hash of the last entry; none when there is no entry. Kept elsewhere, it proves later that nothing before it was
    /// rewritten.
    pub head: Option<Hash>,
}

/// Why a chain is not verified.
#[derive(Debug, thiserror::Error)]
pub enum NotVerified {
    #[error(transparent)]
    Broken(#[from] Break),
    /// It could not be read at all.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Appends an entry; it is on the disk when this returns. To write it together with other changes, use [`Batch::audit`].
pub async fn append(store: &Store, at: Timestamp, who: &str, what: What) -> Result<Entry, StoreError> {
    let committed = store.commit(Batch::of(|b| b.audit(at, who, what))).await?;
    let missing = || StoreError::Invalid { what: "an audit entry".into(), why: "the writer gave none back".into() };
    committed.audit.into_iter().next().ok_or_else(missing)
}

/// Walks the whole chain, from the first entry to the head that the store noted. The first break, or what holds.
pub fn verify(store: &Store) -> Result<Verified, NotVerified> {
    // Read first: entries that are appended meanwhile come after it, and the walk ends at it.
    let head = match store.audit_head() {
        Err(StoreError::Corrupt { .. }) => {
            let last = last_seq(store)?;
            return Err(Break { seq: last, how: How::Truncated }.into());
        }
        other => other?,
    };
    let mut walk = Walk::default();
    let mut broken = None;
    let end = head.as_ref().map_or(0, |h| h.seq);
    store.each_audit(0, |at, entry| {
        // Appended since: for the next walk. Past the head of now as well, it is no part of the chain, and shows below.
        if at > end && store.audit_head()?.is_some_and(|h| h.seq >= at) {
            return Ok(ControlFlow::Break(()));
        }
        let entry = match entry {
            Ok(entry) => Some(entry),
            Err(StoreError::Corrupt { .. }) => None,
            Err(e) => return Err(e),
        };
        if let Err(b) = walk.step(at, entry.as_ref()) {
            broken = Some(b);
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(broken) = broken {
        return Err(broken.into());
    }
    let entries = walk.end(head.as_ref())?;
    Ok(Verified { entries, head: head.map(|h| h.hash) })
}
fn last_seq(store: &Store) -> Result<u64, StoreError> {
    let mut last = 0;
    store.each_audit(0, |at, _| {
        last = at;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(s).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn entries_that_are_appended_at_once_make_one_chain() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(verify(&store).unwrap(), Verified { entries: 0, head: None });
        let tasks: Vec<_> = (0..40)
            .map(|i| {
                let store = store.clone();
                tokio::spawn(async move {
                    append(&store, at(i), "daemon", What::new("approved", i).with(json!({"ratio": 0.1}))).await.unwrap()
                })
            })
            .collect();
        let mut seqs = Vec::new();
        for task in tasks {
            let entry = task.await.unwrap();
            assert!(entry.is_whole());
            seqs.push(entry.seq);
        }
        seqs.sort();
        assert_eq!(seqs, (1..=40).collect::<Vec<_>>());
        let held = verify(&store).unwrap();
        assert_eq!(held.entries, 40);
        assert_eq!(store.audit_range(39, 9).unwrap().last().map(|e| e.hash.clone()), held.head);
        assert_eq!(store.audit_range(1, 3).unwrap().len(), 3);
        drop(store);
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(append(&store, at(41), "alice (1000)", What::new("halted", "all")).await.unwrap().seq, 41);
        assert_eq!(verify(&store).unwrap().entries, 41);
    }

    #[tokio::test]
    async fn a_refused_batch_takes_no_number() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        append(&store, at(1), "daemon", What::new("started", "")).await.unwrap();
        let refused = Batch::of(|b| b.audit(at(2), "daemon", What::new("stopped", "")).restore("", &1));
        assert!(store.commit(refused).await.is_err());
        assert_eq!(append(&store, at(3), "daemon", What::new("stopped", "")).await.unwrap().seq, 2);
        assert_eq!(verify(&store).unwrap().entries, 2);
    }

    /// One chain of six, made once a case: what is done to it must show, at the right place.
    #[tokio::test]
    async fn what_is_done_to_the_chain_behind_our_back_shows() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        for i in 1..=6 {
            append(&store, at(i), "daemon", What::new("approved", i)).await.unwrap();
        }
        let all = store.audit_range(1, 9).unwrap();
        let first_break = |store: &Store| match verify(store) {
            Err(NotVerified::Broken(b)) => Some((b.seq, b.how)),
            other => {
                assert!(other.is_ok(), "{other:?}");
                None
            }
        };
        for (i, entry) in all.iter().enumerate() {
            let seq = entry.seq;
            store.forge_audit(seq, None);
            let how = if i == 5 { How::Truncated } else { How::Dropped };
            assert_eq!(first_break(&store), Some((seq, how)));
            store.forge_audit(seq, Some(&Entry { who: "nobody".into(), ..entry.clone() }));
            assert_eq!(first_break(&store), Some((seq, How::Changed)));
            // Hashed anew by who knows how: the next one does not follow it, or the head does not name it.
            let before = i.checked_sub(1).map(|i| all[i].head());
            store
                .forge_audit(seq, Some(&Entry::follow(before.as_ref(), entry.at, "nobody".into(), entry.what.clone())));
            let expected = if i == 5 { (6, How::Truncated) } else { (seq + 1, How::Reordered) };
            assert_eq!(first_break(&store), Some(expected));
            store.forge_audit(seq, Some(&all[(i + 1) % 6]));
            assert_eq!(first_break(&store), Some((seq, How::Reordered)));
            store.forge_audit(seq, Some(entry));
            assert_eq!(first_break(&store), None);
        }
        let seventh = Entry::follow(Some(&all[5].head()), at(7), "nobody".into(), What::new("approved", 7));
        store.forge_audit(7, Some(&seventh));
        assert_eq!(first_break(&store), Some((7, How::Truncated)), "past the head");
    }
}
