//! Copies of data on a schedule, where the settings ask for them: snapshots of the EBS volumes that carry a rule's tag.
//!
//! What AWS lists decides whether a copy is due, so a restart makes none twice. What the store has on record as made decides
//! whether a copy may expire: a tag can be set by anybody, and a copy that somebody else made is not ours to delete. Each act
//! is audited, and in the ledger of its rule, before the call.
//!
//! The rule that must never break: nothing is deleted but what rollbackd made, beyond the newest `keep` whole copies of a
//! volume that is there.
use super::CaptureError;
use crate::{
    aws::{Aws, Cx, Failure},
    config::EbsSnapshots,
    kinds::copies::{self, Made, Source},
    model::{Hash, Incident, IncidentState, Scope, Timestamp, audit::What, incident::Target},
    store::{Batch, Store, StoreError},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Who the audit names.
const WHO: &str = "daemon";

/// What is on record of one rule in one scope.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Made by rollbackd and not deleted by it: snapshot to volume. What somebody else deleted stays, since the recycle bin
    /// may give it back.
    made: BTreeMap<String, String>,
    /// Calls whose answer is not known.
    under_way: Vec<UnderWay>,
    /// Volumes with the tag when they were last looked at.
    pub volumes: usize,
    /// When the newest copy of any of them was taken.
    pub newest: Option<Timestamp>,
}
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UnderWay {
    /// In the description of what it makes, which only the call that makes a snapshot can give.
    description: String,
    volumes: Vec<String>,
}
impl Ledger {
    fn key(scope: &Scope, rule: &EbsSnapshots) -> String {
        format!("copies {} {scope}", rule.tag)
    }
    /// What is on record of a rule; empty before its first round.
    pub fn load(store: &Store, scope: &Scope, rule: &EbsSnapshots) -> Result<Self, StoreError> {
        Ok(store.meta(&Self::key(scope, rule))?.unwrap_or_default())
    }
    /// Takes in what calls made whose answers were lost, and gives it.
    fn take_in(&mut self, live: &[Made]) -> Vec<String> {
        let found: Vec<&Made> = live
            .iter()
            .filter(|m| self.under_way.iter().any(|u| u.description == m.description && u.volumes.contains(&m.volume)))
            .collect();
        self.made.extend(found.iter().map(|m| (m.id.clone(), m.volume.clone())));
        self.under_way.clear();
        found.into_iter().map(|m| m.id.clone()).collect()
    }
    /// The copies that have expired: on record, of a volume that is there, and older than its newest `keep` whole ones on
    /// record. `live` is newest first.
    fn expired(&self, sources: &[Source], live: &[Made], keep: usize) -> Vec<Made> {
        let mut out = vec![];
        for source in sources {
            let own = live.iter().filter(|m| m.volume == source.volume && self.made.contains_key(&m.id));
            let mut kept = 0;
            for copy in own {
                if kept >= keep {
                    out.push(copy.clone());
                } else if copy.completed {
                    kept += 1;
                }
            }
        }
        out
    }
}

/// Volumes that are copied by one call: those of one instance together.
fn groups(sources: &[Source]) -> Vec<Vec<&Source>> {
    let mut of: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources {
        // A volume that several instances share belongs to none of them.
        let group = match &source.instances[..] {
            [instance] => instance,
            _ => &source.volume,
        };
        of.entry(group).or_default().push(source);
    }
    of.into_values().collect()
}

/// When a group is due: the interval after the newest copy of that of its volumes which waits longest, at once where one has
/// none. `live` is newest first.
fn due(group: &[&Source], live: &[Made], every: jiff::SignedDuration) -> Timestamp {
    let newest = group.iter().map(|s| live.iter().find(|m| m.volume == s.volume).map(|m| m.taken));
    newest.min().flatten().map_or(Timestamp::MIN, |taken| taken + every)
}

/// Something of a volume is in an incident that waits for somebody: its copies may be what brings it back.
fn concerns(incident: &Incident, ids: &BTreeSet<&str>) -> bool {
    let open = match incident.state {
        // Dealt with, once no more records are expected.
        IncidentState::Restored | IncidentState::PartlyRestored | IncidentState::Rejected => !incident.closed,
        IncidentState::Open
        | IncidentState::Planned
        | IncidentState::AwaitingApproval
        | IncidentState::Restoring
        | IncidentState::Observed => true,
    };
    let named = incident.acts.iter().flat_map(|a| &a.targets).map(|t| match t {
        Target::Resource(key) => key.id.as_str(),
        Target::Named { name, .. } => name.as_str(),
    });
    let touched = incident.lost.iter().chain(&incident.changed).map(|t| t.resource.id.as_str());
    open && named.chain(touched).any(|id| ids.contains(id))
}

/// What came of a round.
#[derive(Debug)]
pub struct Round {
    /// When the next copy is due; `None` while no volume has the tag.
    pub due: Option<Timestamp>,
    /// What could not be done, each for people.
    pub failures: Vec<String>,
}

/// Makes and deletes copies.
#[derive(Clone)]
pub struct Copier {
    pub store: Store,
    pub aws: Arc<Aws>,
}

/// One round's hold on things.
struct Acts<'a> {
    copier: &'a Copier,
    scope: &'a Scope,
    rule: &'a EbsSnapshots,
    /// Tags the session of the role that copies, and stands in the audit.
    digest: &'a Hash,
    may_act: &'a (dyn Fn() -> Result<bool, StoreError> + Sync),
    ledger: Ledger,
    failures: Vec<String>,
}

impl Copier {
    /// Makes the copies of a rule that are due in a scope, and deletes those that have expired. Before each of these acts
    /// `may_act` is asked.
    pub async fn round(
        &self,
        scope: &Scope,
        rule: &EbsSnapshots,
        may_act: &(dyn Fn() -> Result<bool, StoreError> + Sync),
    ) -> Result<Round, CaptureError> {
        let now = Timestamp::now();
        let digest = Hash::of(&json!({ "copies": rule.tag, "scope": scope, "at": now }));
        let ledger = Ledger::load(&self.store, scope, rule)?;
        let mut acts = Acts { copier: self, scope, rule, digest: &digest, may_act, ledger, failures: vec![] };
        let due = acts.run(now).await;
        self.aws.leave(&digest);
        Ok(Round { due: due?, failures: acts.failures })
    }
}

impl Acts<'_> {
    async fn run(&mut self, now: Timestamp) -> Result<Option<Timestamp>, CaptureError> {
        let cx = self.copier.aws.sweep_cx(self.scope).await?;
        let sources = copies::sources(&cx, self.rule.tag.key(), self.rule.tag.value()).await?;
        let live = copies::made(&cx, self.rule.tag.as_str()).await?;
        let before = self.ledger.clone();
        let found = self.ledger.take_in(&live);
        self.ledger.volumes = sources.len();
        self.ledger.newest = live.iter().find(|m| sources.iter().any(|s| s.volume == m.volume)).map(|m| m.taken);
        if self.ledger != before {
            let found = (!found.is_empty()).then(|| self.what("copied", "after a lost answer", &found));
            self.note(found).await?;
        }
        for source in &sources {
            let newest = live.iter().find(|m| m.volume == source.volume);
            if let Some((copy, why)) = newest.and_then(|m| Some((m, m.failed.as_ref()?))) {
                self.failures.push(format!("{}, the newest copy of {}, failed: {why}", copy.id, copy.volume));
            }
        }
        let mut next: Option<Timestamp> = None;
        for group in groups(&sources) {
            let mut at = due(&group, &live, self.rule.every);
            if at <= now {
                if !(self.may_act)()? {
                    return Ok(None);
                }
                self.copy(&group, now).await?;
                at = now + self.rule.every;
            }
            next = Some(next.map_or(at, |n| n.min(at)));
        }
        self.expire(&sources, &live).await?;
        Ok(next)
    }

    /// Copies a group, its intent on the disk first.
    async fn copy(&mut self, group: &[&Source], now: Timestamp) -> Result<(), CaptureError> {
        let volumes: Vec<String> = group.iter().map(|s| s.volume.clone()).collect();
        let mark = Hash::of(&json!({ "digest": self.digest, "volumes": volumes }));
        let description = format!("rollbackd copy {}", mark.short());
        self.ledger.under_way.push(UnderWay { description: description.clone(), volumes: volumes.clone() });
        self.note(Some(self.what("copy-began", &description, &volumes))).await?;
        let rule = self.rule.tag.as_str();
        let made = async {
            let cx = self.cx().await?;
            match group {
                [one] => copies::copy_one(&cx, one, rule, &description).await,
                [first, ..] => {
                    let instance = first.instances.first().map_or("", String::as_str);
                    copies::copy_together(&cx, instance, group, rule, &description).await
                }
                [] => Ok(vec![]),
            }
        };
        match made.await {
            Ok(made) => {
                self.ledger.under_way.retain(|u| u.description != description);
                let ids: Vec<String> = made.iter().map(|(snapshot, _)| snapshot.clone()).collect();
                tracing::info!(rule, volumes = volumes.join(" "), snapshots = ids.join(" "), "copied");
                self.ledger.made.extend(made);
                self.ledger.newest = Some(now);
                self.note(Some(self.what("copied", &description, &ids))).await
            }
            Err(f) => {
                // Whether it was made all the same, the next round's list says.
                self.failures.push(format!("{} was not copied: {f}", volumes.join(", ")));
                Ok(())
            }
        }
    }

    /// Deletes what has expired, one by one, its intent on the disk first.
    async fn expire(&mut self, sources: &[Source], live: &[Made]) -> Result<(), CaptureError> {
        let expired = self.ledger.expired(sources, live, self.rule.keep);
        let incidents = self.copier.store.incidents()?;
        let concerned = |volume: &str| {
            let mut ids: BTreeSet<&str> = live.iter().filter(|m| m.volume == volume).map(|m| m.id.as_str()).collect();
            ids.extend(self.ledger.made.iter().filter(|(_, v)| *v == volume).map(|(id, _)| id.as_str()));
            ids.extend(sources.iter().filter(|s| s.volume == volume).flat_map(|s| &s.instances).map(String::as_str));
            ids.insert(volume);
            incidents.iter().any(|i| concerns(i, &ids))
        };
        let expired: Vec<&Made> = expired.iter().filter(|c| !concerned(&c.volume)).collect();
        let ids: Vec<String> = expired.iter().map(|c| c.id.clone()).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let in_use = async { copies::in_use(&self.cx().await?, &ids).await };
        let in_use = match in_use.await {
            Ok(in_use) => in_use,
            Err(f) => {
                self.failures.push(format!("expired copies stay: {f}"));
                return Ok(());
            }
        };
        for copy in expired.into_iter().filter(|c| !in_use.contains(&c.id)) {
            if !(self.may_act)()? {
                return Ok(());
            }
            self.note(Some(self.what("copy-expired", &copy.id, std::slice::from_ref(&copy.volume)))).await?;
            let deleted = async { copies::delete(&self.cx().await?, &copy.id).await };
            match deleted.await {
                Ok(()) => {
                    self.ledger.made.remove(&copy.id);
                    tracing::info!(rule = %self.rule.tag, volume = copy.volume, snapshot = copy.id, "expired");
                    self.note(None).await?;
                }
                Err(f) => self.failures.push(format!("{} has expired and was not deleted: {f}", copy.id)),
            }
        }
        Ok(())
    }

    /// With the rights to copy, assumed when the first act needs them.
    async fn cx(&self) -> Result<Cx, Failure> {
        self.copier.aws.copy_cx(self.scope, self.digest).await
    }
    fn what(&self, verb: &str, subject: &str, of: &[String]) -> What {
        What::new(verb, subject).with(json!({
            "rule": self.rule.tag, "scope": self.scope, "of": of, "digest": self.digest,
        }))
    }
    /// The ledger, and an entry of the audit, on the disk.
    async fn note(&self, what: Option<What>) -> Result<(), CaptureError> {
        let mut batch = Batch::of(|b| b.meta(&Ledger::key(self.scope, self.rule), &self.ledger));
        if let Some(what) = what {
            batch.audit(Timestamp::now(), WHO, what);
        }
        self.copier.store.commit(batch).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(s).unwrap()
    }
    fn source(volume: &str, instances: &[&str]) -> Source {
        Source::new(volume, instances)
    }
    fn copy(id: &str, volume: &str, taken: i64) -> Made {
        Made {
            id: id.into(),
            volume: volume.into(),
            taken: at(taken),
            completed: true,
            failed: None,
            description: String::new(),
        }
    }
    fn ledger(ids: &[&str]) -> Ledger {
        Ledger { made: ids.iter().map(|id| ((*id).to_owned(), "vol-1".to_owned())).collect(), ..Ledger::default() }
    }
    fn expired(ledger: &Ledger, live: &[Made], keep: usize) -> Vec<String> {
        ledger.expired(&[source("vol-1", &[])], live, keep).into_iter().map(|m| m.id).collect()
    }

    #[test]
    fn only_whole_copies_on_record_count_and_only_they_expire() {
        let live = [copy("c4", "vol-1", 4), copy("x", "vol-1", 3), copy("c2", "vol-1", 2), copy("c1", "vol-1", 1)];
        assert_eq!(expired(&ledger(&["c1", "c2", "c4"]), &live, 2), ["c1"]);
        assert_eq!(expired(&ledger(&["c1", "c2", "c4"]), &live, 1), ["c2", "c1"], "never the newest");
        // With tags alone somebody could push the true copies out.
        assert_eq!(expired(&ledger(&["c1"]), &live, 1), [] as [&str; 0]);
        // One that is not whole yet takes no place.
        let mut pending = live.clone();
        pending[0].completed = false;
        assert_eq!(expired(&ledger(&["c1", "c2", "c4"]), &pending, 1), ["c1"]);
        // Those of a volume that is gone, or has lost the tag, stay.
        assert!(ledger(&["c1", "c2", "c4"]).expired(&[source("vol-2", &[])], &live, 1).is_empty());
    }

    #[test]
    fn a_group_is_due_with_the_volume_that_waits_longest() {
        let day = jiff::SignedDuration::from_secs(86_400);
        let (one, two) = (source("vol-1", &["i-1"]), source("vol-2", &["i-1"]));
        let live = [copy("c3", "vol-1", 300), copy("c2", "vol-2", 200), copy("c1", "vol-1", 100)];
        assert_eq!(due(&[&one], &live, day), at(86_700));
        assert_eq!(due(&[&one, &two], &live, day), at(86_600));
        assert_eq!(due(&[&one, &source("vol-3", &["i-1"])], &live, day), Timestamp::MIN);
        let shared = source("vol-4", &["i-1", "i-2"]);
        let all = [one, two, shared, source("vol-5", &[])];
        let sizes: Vec<usize> = groups(&all).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }

    #[test]
    fn a_lost_answer_is_told_by_the_description_that_only_our_call_gave() {
        let mut ledger = Ledger::default();
        ledger.under_way.push(UnderWay { description: "rollbackd copy 1".into(), volumes: vec!["vol-1".into()] });
        let mut live = [copy("c1", "vol-1", 1), copy("c2", "vol-1", 2), copy("c3", "vol-9", 3)];
        live[1].description = "rollbackd copy 1".into();
        live[2].description = "rollbackd copy 1".into();
        assert_eq!(ledger.take_in(&live), ["c2"]);
        assert!(ledger.under_way.is_empty() && ledger.made.len() == 1);
    }
}
