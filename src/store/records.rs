//! Records: once each by event id, found by time, by id and in order of arrival; and messages that were none.
use super::{
    Batch, Store, StoreError,
    documents::{from_json, meta_own},
    engine::Engine,
    envelope,
    error::Result,
    keys::{self, Parts, Tree},
    versions::go_on,
    writer::View,
};
use crate::model::{EventId, Hash, Incident, Record, Timestamp, limits::MESSAGE_BYTES_MAX};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    ops::ControlFlow::{Break, Continue},
};

/// What `record-ids` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    time: Timestamp,
    arrival: u64,
}
/// What `arrivals` holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Arrival {
    time: Timestamp,
    id: EventId,
}
/// What `unreadable` holds before the bytes, after their length in four bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    why: String,
    source: String,
}

/// A message that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The queue or file that it came from.
    pub source: String,
    pub why: String,
    /// As it came, or its first part when it was over the limit of a message.
    pub raw: Vec<u8>,
}

/// Whether it is new.
pub(super) fn put(view: &mut View<'_>, record: &Record) -> Result<bool> {
    let id = keys::checked("a record", &record.id.0)?;
    let place = keys::text(id);
    if let Some(known) = view.get_or_heal::<Place>(Tree::RecordIds, &place)? {
        let at = keys::record(known.time, id);
        // Delivered again, it may take the place of one that has become corrupt.
        if view.get_or_heal::<Record>(Tree::Records, &at)?.is_none() && known.time == record.time {
            view.put_json(Tree::Records, at, record)?;
        }
        return Ok(false);
    }
    let arrival = next_arrival(view)?;
    view.put_json(Tree::Meta, meta_own(NEXT_ARRIVAL), &(arrival + 1))?;
    view.put_json(Tree::Records, keys::record(record.time, id), record)?;
    view.put_json(Tree::RecordIds, place, &Place { time: record.time, arrival })?;
    view.put_json(Tree::Arrivals, keys::number(arrival), &Arrival { time: record.time, id: record.id.clone() })?;
    Ok(true)
}

const NEXT_ARRIVAL: &str = "next-arrival";
/// Numbers begin at 1 and are not used again when records expire: readers keep the last one they have seen.
fn next_arrival(view: &View<'_>) -> Result<u64> {
    if let Some(n) = view.get_or_heal(Tree::Meta, &meta_own(NEXT_ARRIVAL))? {
        return Ok(n);
    }
    let last = view.last_up_to(Tree::Arrivals, &keys::Key::new().done(), &keys::number(u64::MAX));
    let last = match last {
        Ok(last) => last.and_then(|(key, _)| arrival_of(&key)),
        Err(StoreError::Corrupt { .. }) => None,
        Err(e) => return Err(e),
    };
    Ok(last.map_or(1, |n| n + 1))
}
fn arrival_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(Parts::of(key)?.take()?))
}

/// How many were removed.
pub(super) fn forget(view: &mut View<'_>, old: &[EventId]) -> Result<usize> {
    let mut kept = BTreeSet::new();
    for plain in view.incidents_pending() {
        kept.extend(events(&from_json(Tree::Incidents, &[], plain)?));
    }
    in_incidents(view.engine(), &mut kept)?;
    let mut removed = 0;
    for id in old.iter().filter(|id| !kept.contains(id)) {
        let place = keys::text(&id.0);
        if let Some(Place { time, arrival }) = view.get_json(Tree::RecordIds, &place)? {
            view.remove(Tree::Records, keys::record(time, &id.0));
            view.remove(Tree::Arrivals, keys::number(arrival));
            view.remove(Tree::RecordIds, place);
            removed += 1;
        }
    }
    Ok(removed)
}
fn in_incidents(engine: &Engine, into: &mut BTreeSet<EventId>) -> Result<()> {
    engine.scan(Tree::Incidents, &[], &[], |item| {
        into.extend(events(&from_json(Tree::Incidents, &item.key, &item.plain(Tree::Incidents)?)?));
        Ok(go_on())
    })?;
    Ok(())
}
fn events(incident: &Incident) -> impl Iterator<Item = EventId> {
    incident.acts.iter().map(|a| a.event.clone())
}

pub(super) fn put_unreadable(view: &mut View<'_>, raw: &[u8], why: &str, source: &str) -> Result<()> {
    let key = keys::blob(&Hash::of_bytes(raw));
    if view.has(Tree::Unreadable, &key)? {
        return Ok(());
    }
    let head = Head { why: why.to_owned(), source: source.to_owned() };
    let json = super::batch::to_json("an unreadable message", &head)?;
    let mut value = (json.len() as u32).to_be_bytes().to_vec();
    value.extend(json.as_bytes());
    value.extend(&raw[..raw.len().min(MESSAGE_BYTES_MAX)]);
    view.put(Tree::Unreadable, key, value);
    Ok(())
}
fn unreadable_of(value: &[u8]) -> Option<Unreadable> {
    let (length, rest) = value.split_first_chunk::<4>()?;
    let (head, raw) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let Head { why, source } = serde_json::from_slice(head).ok()?;
    Some(Unreadable { source, why, raw: raw.to_vec() })
}

/// Reads of records.
impl Store {
    /// The record of an event.
    pub fn record(&self, id: &EventId) -> Result<Option<Record>> {
        let key = keys::text(&id.0);
        let Some(place) = self.engine().get(Tree::RecordIds, &key)? else { return Ok(None) };
        let place: Place = from_json(Tree::RecordIds, &key, &place)?;
        self.record_at(place.time, id)
    }
    /// Records whose event time is at least `from` and before `to`, in order of time.
    pub fn records_between(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Record>> {
        let mut out = Vec::new();
        let end = keys::Key::new().time(to).done();
        self.engine().scan(Tree::Records, &keys::Key::new().done(), &keys::Key::new().time(from).done(), |item| {
            if item.key >= end {
                return Ok(Break(()));
            }
            out.push(from_json(Tree::Records, &item.key, &item.plain(Tree::Records)?)?);
            Ok(go_on())
        })?;
        Ok(out)
    }
    /// Up to `limit` records that arrived after the one of number `after` (0 for all), with their numbers, in order of
    /// arrival. Numbers of expired records are missing.
    pub fn arrivals_after(&self, after: u64, limit: usize) -> Result<Vec<(u64, Record)>> {
        let mut out = Vec::new();
        let Some(from) = after.checked_add(1).filter(|_| limit > 0) else { return Ok(out) };
        self.engine().scan(Tree::Arrivals, &keys::Key::new().done(), &keys::number(from), |item| {
            let bad = |why: &str| envelope::corrupt(Tree::Arrivals, &item.key, why.into());
            let number = arrival_of(&item.key).ok_or_else(|| bad("its key is no number"))?;
            let Arrival { time, id } = from_json(Tree::Arrivals, &item.key, &item.plain(Tree::Arrivals)?)?;
            match self.record_at(time, &id)? {
                Some(record) => out.push((number, record)),
                // It expired between the two reads.
                None if !self.engine().has(Tree::Arrivals, &item.key)? => {}
                None => return Err(bad("its record is missing")),
            }
            Ok(if out.len() < limit { Continue(()) } else { Break(()) })
        })?;
        Ok(out)
    }
    fn record_at(&self, time: Timestamp, id: &EventId) -> Result<Option<Record>> {
        let key = keys::record(time, &id.0);
        self.engine().get(Tree::Records, &key)?.map(|plain| from_json(Tree::Records, &key, &plain)).transpose()
    }
    /// The number of the last record that arrived; 0 when none ever did.
    pub fn last_arrival(&self) -> Result<u64> {
        let key = meta_own(NEXT_ARRIVAL);
        let next = self.engine().get(Tree::Meta, &key)?;
        Ok(next.map(|plain| from_json::<u64>(Tree::Meta, &key, &plain)).transpose()?.map_or(0, |n| n.saturating_sub(1)))
    }
    /// Removes records whose event time is before an instant, but for those that an incident names. How many went.
    /// Whoever reads arrivals must have read them: what detection has not seen yet is lost to it.
    pub async fn expire_records(&self, before: Timestamp) -> Result<usize> {
        const PAGE: usize = 512;
        let end = keys::Key::new().time(before).done();
        let mut from = Vec::new();
        let mut removed = 0;
        loop {
            let mut old = Vec::new();
            let start = std::mem::take(&mut from);
            self.engine().scan(Tree::Records, &keys::Key::new().done(), &start, |item| {
                if item.key >= end || old.len() == PAGE {
                    return Ok(Break(()));
                }
                let id = Parts::of(&item.key).and_then(|mut p| p.time().and_then(|_| p.text()));
                old.push(EventId(
                    id.ok_or_else(|| envelope::corrupt(Tree::Records, &item.key, "its key is no record".into()))?,
                ));
                from = keys::past(&item.key);
                Ok(go_on())
            })?;
            if old.is_empty() {
                return Ok(removed);
            }
            removed += self.commit(Batch::of(|b| b.forget(old))).await?.forgotten;
        }
    }
    /// How many messages could not be decoded, each counted once.
    pub fn unreadable_count(&self) -> Result<u64> {
        self.count(Tree::Unreadable)
    }
    /// Up to `limit` of them, in no order.
    pub fn unreadable(&self, limit: usize) -> Result<Vec<Unreadable>> {
        let mut out = Vec::new();
        self.engine().scan(Tree::Unreadable, &[], &[], |item| {
            if out.len() >= limit {
                return Ok(Break(()));
            }
            let message = unreadable_of(&item.plain(Tree::Unreadable)?);
            out.push(
                message.ok_or_else(|| envelope::corrupt(Tree::Unreadable, &item.key, "its head is cut off".into()))?,
            );
            Ok(go_on())
        })?;
        Ok(out)
    }
}

/// What is wrong with a value of these trees, beyond its envelope; for the scrub.
pub(super) fn fault(engine: &Engine, tree: Tree, key: &[u8], plain: &[u8]) -> Result<Option<String>> {
    let found = match tree {
        Tree::Records => match from_json::<Record>(tree, key, plain) {
            Ok(r) if keys::record(r.time, &r.id.0) != key => Err("its key is another record's".to_owned()),
            Ok(r) => Ok((Tree::RecordIds, keys::text(&r.id.0))),
            Err(e) => Err(e.to_string()),
        },
        Tree::RecordIds => match (from_json::<Place>(tree, key, plain), Parts::of(key).and_then(|mut p| p.text())) {
            (Ok(p), Some(id)) => Ok((Tree::Records, keys::record(p.time, &id))),
            _ => Err("it is no place of a record".to_owned()),
        },
        Tree::Arrivals => match from_json::<Arrival>(tree, key, plain) {
            Ok(a) => Ok((Tree::Records, keys::record(a.time, &a.id.0))),
            Err(e) => Err(e.to_string()),
        },
        _ => match unreadable_of(plain) {
            Some(_) => return Ok(None),
            None => Err("its head is cut off".to_owned()),
        },
    };
    match found {
        // Looked up twice: records may expire while the scrub walks.
        Ok((other, at)) if !engine.has(other, &at)? && engine.has(tree, key)? => {
            Ok(Some(format!("its entry in `{}` is missing", other.name())))
        }
        Ok(_) => Ok(None),
        Err(why) => Ok(Some(why)),
    }
}
