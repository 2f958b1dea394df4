//! Records in, incidents out. `State` keeps what later records may still give a meaning to: sessions, how they hang
//! together, and every call that changed something, by whoever (a late AssumeRole may make an agent of its session).
//!
//! Nothing is decided when a record is fed. Incidents are worked out from the set of records known, so their order and
//! their repetition change nothing. What others wrote into an incident (state, plan, losses) is never touched here.
//!
//! An incident belongs to the tree of sessions under one agent session, and to a stretch of time: it opens with the first
//! call that took something away, goes on while such calls follow each other within the quiet time, and takes in what the
//! tree added or failed to do from then until the quiet time has passed. Two things open none: calls that failed, and
//! calls on what the tree itself had made within the quiet time (an agent that cleans up after itself does no harm).
use super::{
    actions,
    actor::{Rank, Rules},
    lineage::{self, Lineage},
};
use crate::model::{
    Actor, EventId, Incident, IncidentId, IncidentState, Record, SessionId, Timestamp,
    actor::{Session, Verdict},
    incident::{Act, Class, Involved, Target, Touched},
    limits,
};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How long a session tree must be quiet for its incident to be over, unless configured otherwise. CloudTrail is at most
/// about 15 minutes late.
pub const QUIET_DEFAULT: SignedDuration = SignedDuration::from_mins(30);

type Order = (Timestamp, EventId);

/// A session as its records show it.
#[derive(Debug, Clone)]
struct Known {
    first: Order,
    last: Timestamp,
    /// As in the first record.
    actor: Actor,
    verdict: Option<(Rank, Order, Verdict)>,
    /// rollbackd's own.
    own: bool,
}

/// What an STS call told of the session that it opened.
#[derive(Debug, Clone)]
struct Granted {
    event: EventId,
    actor: Actor,
    verdict: Option<(Rank, Verdict)>,
}

/// One call that changed something, or tried to.
#[derive(Debug, Clone)]
struct Kept {
    act: Act,
    made: Vec<Target>,
    request: Option<String>,
    /// A service made the call for the session.
    forwarded: bool,
}

/// What feeding a record showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    /// No record of this session was known.
    pub first_of_session: bool,
    /// The session is an agent's, as far as is known now.
    pub agent: Option<Verdict>,
    /// The call changes something, or tried to.
    pub class: Option<Class>,
}

/// Incidents that are new or differ from those given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub changed: Vec<Incident>,
    /// Given incidents that turned out to be part of another, which holds all their acts: the older id stays.
    pub merged: Vec<Merged>,
}
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    pub gone: IncidentId,
    pub into: IncidentId,
}

/// All that detection remembers. In memory: rebuilt from the stored records at start, then fed each new one.
#[derive(Debug, Clone)]
pub struct State {
    rules: Rules,
    quiet: SignedDuration,
    lineage: Lineage,
    sessions: HashMap<SessionId, Known>,
    /// What STS calls told of the sessions that they opened, and what the rules say to it.
    granted: HashMap<SessionId, Granted>,
    acts: HashMap<SessionId, BTreeMap<Order, Kept>>,
    /// Every act's event, and where it is.
    events: HashMap<EventId, (SessionId, Timestamp)>,
    /// Request ids that tool calls of managed MCP servers named, and their session.
    downstream: HashMap<String, SessionId>,
    shed: u64,
    acts_max: usize,
    /// How many acts there may be before some are let go: more than `acts_max` when agents alone have that many.
    shed_at: usize,
}

/// The agent behind a session.
#[derive(Debug, Clone)]
struct Judged {
    root: SessionId,
    verdict: Verdict,
}

impl State {
    pub fn new(rules: Rules, quiet: SignedDuration) -> Self {
        Self {
            rules,
            quiet,
            lineage: Lineage::default(),
            sessions: HashMap::new(),
            granted: HashMap::new(),
            acts: HashMap::new(),
            events: HashMap::new(),
            downstream: HashMap::new(),
            shed: 0,
            acts_max: limits::ACTS_KEPT_MAX,
            shed_at: limits::ACTS_KEPT_MAX,
        }
    }

    /// Takes in one record. Any order, any number of times.
    pub fn feed(&mut self, record: &Record) -> Fed {
        let grant = lineage::grant(record);
        self.lineage.feed(record, grant.as_ref());
        if let Some((key, actor)) = grant.and_then(|g| Some((g.key?, g.actor))) {
            let verdict = self.rules.ranked(&actor);
            let granted = Granted { event: record.id.clone(), actor, verdict };
            let known = self.granted.entry(key).or_insert_with(|| granted.clone());
            if granted.event < known.event {
                *known = granted;
            }
        }
        for request in lineage::downstream(record) {
            self.downstream.insert(request.to_owned(), record.session.clone());
        }
        let first_of_session = self.see(record);
        let action = actions::classify(record);
        if let Some(class) = action.class {
            self.keep(record, class, action.targets);
        }
        Fed { first_of_session, agent: self.judge(&record.session).map(|j| j.verdict), class: action.class }
    }

    fn see(&mut self, record: &Record) -> bool {
        let order = (record.time, record.id.clone());
        let own = self.rules.is_own(&record.actor);
        let verdict = self.rules.ranked(&record.actor).map(|(rank, verdict)| (rank, order.clone(), verdict));
        let Some(known) = self.sessions.get_mut(&record.session) else {
            let known = Known { first: order, last: record.time, actor: record.actor.clone(), verdict, own };
            self.sessions.insert(record.session.clone(), known);
            return true;
        };
        known.own |= own;
        known.last = known.last.max(record.time);
        if order < known.first {
            known.first = order;
            known.actor = record.actor.clone();
        }
        if let Some(new) = verdict
            && known.verdict.as_ref().is_none_or(|old| (new.0, &new.1) < (old.0, &old.1))
        {
            known.verdict = Some(new);
        }
        false
    }

    fn keep(&mut self, record: &Record, class: Class, targets: Vec<Target>) {
        if self.events.contains_key(&record.id) {
            return;
        }
        self.events.insert(record.id.clone(), (record.session.clone(), record.time));
        let kept = Kept {
            made: if class == Class::Add { actions::made(record) } else { Vec::new() },
            request: record.request_id.clone(),
            forwarded: record.actor.invoked_by.is_some() && !lineage::is_mcp(&record.actor, &record.source),
            act: Act {
                event: record.id.clone(),
                time: record.time,
                session: record.session.clone(),
                scope: record.scope.clone(),
                source: record.source.clone(),
                name: record.name.clone(),
                class,
                targets,
                error: record.error.clone(),
            },
        };
        let acts = self.acts.entry(record.session.clone()).or_default();
        acts.insert((record.time, record.id.clone()), kept);
        if self.events.len() > self.shed_at {
            self.shed();
        }
    }

    /// The session as known now, with its place in the lineage.
    pub fn session(&self, id: &SessionId) -> Option<Session> {
        let known = self.sessions.get(id)?;
        Some(Session {
            id: id.clone(),
            actor: self.actor(id),
            parent: self.lineage.parent(id).cloned(),
            first_seen: known.first.0,
            last_seen: known.last,
            agent: self.judge(id).map(|j| j.verdict),
        })
    }
    /// All sessions of agents.
    pub fn agents(&self) -> impl Iterator<Item = Session> {
        self.sessions.keys().filter_map(|id| self.session(id)).filter(|s| s.agent.is_some())
    }

    fn actor(&self, id: &SessionId) -> Actor {
        let granted = self.granted.get(id).map(|g| &g.actor);
        match (self.sessions.get(id), granted) {
            (Some(known), Some(granted)) => {
                let mut actor = known.actor.clone();
                lineage::complete(&mut actor, granted);
                actor
            }
            (Some(known), None) => known.actor.clone(),
            (None, granted) => granted.cloned().unwrap_or_default(),
        }
    }

    /// What the rules say of a session itself: of its records, and of the call that opened it.
    fn own_verdict(&self, id: &SessionId) -> Option<(Rank, &Verdict)> {
        let seen = self.sessions.get(id).and_then(|k| k.verdict.as_ref()).map(|(rank, _, v)| (*rank, v));
        let told = self.granted.get(id).and_then(|g| g.verdict.as_ref()).map(|(rank, v)| (*rank, v));
        seen.into_iter().chain(told).min_by_key(|(rank, _)| *rank)
    }

    /// The highest agent above a session, and the best reason on the way there. An agent's child is an agent.
    fn judge(&self, id: &SessionId) -> Option<Judged> {
        let mut judged: Option<(Rank, Judged)> = None;
        for at in self.lineage.chain(id) {
            if self.sessions.get(at).is_some_and(|k| k.own) {
                break;
            }
            let Some((rank, verdict)) = self.own_verdict(at) else { continue };
            let mut verdict = verdict.clone();
            verdict.inherited_from = (at != id).then(|| at.clone());
            judged = Some(match judged {
                Some((best, known)) if best <= rank => (best, Judged { root: at.clone(), verdict: known.verdict }),
                _ => (rank, Judged { root: at.clone(), verdict }),
            });
        }
        judged.map(|(_, judged)| judged)
    }

    /// The session that an act belongs to: a managed MCP server's where that server's own records say so.
    fn owner<'a>(&'a self, session: &'a SessionId, kept: &Kept) -> &'a SessionId {
        let told = kept.request.as_ref().and_then(|r| self.downstream.get(r));
        let signed = || self.lineage.of_request_key(session).filter(|_| kept.forwarded);
        told.or_else(signed).unwrap_or(session)
    }

    /// Incidents as known now. `existing`: all that were stored, as others may have filled them in meanwhile.
    pub fn incidents(&self, now: Timestamp, existing: &[Incident]) -> Found {
        let clusters = self.clusters();
        // Which stored incident goes on in which cluster: the one that holds most of its losses, the earliest of equals.
        let mut of_event: HashMap<&EventId, usize> = HashMap::new();
        for (i, incident) in existing.iter().enumerate() {
            of_event.extend(incident.losses().map(|act| (&act.event, i)));
        }
        let mut shared: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
        for (c, cluster) in clusters.iter().enumerate() {
            for kept in cluster.acts.iter().filter(|k| k.act.destroyed()) {
                if let Some(i) = of_event.get(&kept.act.event) {
                    *shared.entry(*i).or_default().entry(c).or_default() += 1;
                }
            }
        }
        let mut continued: BTreeMap<usize, Vec<&Incident>> = BTreeMap::new();
        for (i, counts) in shared {
            if let Some((c, _)) = counts.into_iter().max_by_key(|(c, n)| (*n, std::cmp::Reverse(*c))) {
                continued.entry(c).or_default().push(&existing[i]);
            }
        }
        let mut ids: BTreeSet<IncidentId> = existing.iter().map(|i| i.id.clone()).collect();
        let mut found = Found::default();
        for (c, cluster) in clusters.iter().enumerate() {
            let mut before = continued.remove(&c).unwrap_or_default();
            before.sort_by_key(|i| (i.first, i.id.clone()));
            let incident = self.describe(cluster, now, &before, &mut ids);
            found
                .merged
                .extend(before.iter().skip(1).map(|i| Merged { gone: i.id.clone(), into: incident.id.clone() }));
            if before.first() != Some(&&incident) {
                found.changed.push(incident);
            }
        }
        found
    }

    /// Acts of agents' trees, cut where the quiet time passed. In order of time.
    fn clusters(&self) -> Vec<Cluster> {
        let mut judged: HashMap<&SessionId, Option<Judged>> = HashMap::new();
        let mut trees: BTreeMap<SessionId, BTreeMap<Order, (&SessionId, &Kept)>> = BTreeMap::new();
        for (session, acts) in &self.acts {
            let plain = self.downstream.is_empty() && self.lineage.of_request_key(session).is_none();
            if plain && judged.entry(session).or_insert_with(|| self.judge(session)).is_none() {
                continue;
            }
            for (order, kept) in acts {
                let owner = self.owner(session, kept);
                if let Some(judged) = judged.entry(owner).or_insert_with(|| self.judge(owner)) {
                    trees.entry(judged.root.clone()).or_default().insert(order.clone(), (owner, kept));
                }
            }
        }
        let mut clusters: Vec<Cluster> = Vec::new();
        for (root, acts) in trees {
            let acts: Vec<(&SessionId, &Kept)> = acts.into_values().collect();
            let mut spans: Vec<(Timestamp, Timestamp)> = Vec::new();
            for time in openers(&acts, self.quiet) {
                match spans.last_mut() {
                    Some((_, last)) if time.duration_since(*last) <= self.quiet => *last = time,
                    _ => spans.push((time, time)),
                }
            }
            for (first, last) in spans {
                let inside = |t: Timestamp| t >= first && t.duration_since(last) <= self.quiet;
                let acts = acts.iter().filter(|(_, k)| inside(k.act.time)).map(|(owner, kept)| Kept {
                    act: Act { session: (*owner).clone(), ..kept.act.clone() },
                    ..(*kept).clone()
                });
                clusters.push(Cluster { root: root.clone(), first, last, acts: acts.collect() });
            }
        }
        clusters.sort_by(|a, b| (a.first, &a.root).cmp(&(b.first, &b.root)));
        clusters
    }

    /// The incident of a cluster, going on from `before`: the first keeps its id, and what others filled in.
    fn describe(
        &self,
        cluster: &Cluster,
        now: Timestamp,
        before: &[&Incident],
        ids: &mut BTreeSet<IncidentId>,
    ) -> Incident {
        let mut acts: BTreeMap<Order, Act> =
            cluster.acts.iter().map(|k| ((k.act.time, k.act.event.clone()), k.act.clone())).collect();
        let mut involved: Vec<SessionId> = vec![cluster.root.clone()];
        for kept in &cluster.acts {
            for at in self.lineage.chain(&kept.act.session).into_iter().take_while(|s| **s != cluster.root) {
                if !involved.contains(at) {
                    involved.push(at.clone());
                }
            }
        }
        involved[1..].sort_by_key(|s| (self.sessions.get(s).map(|k| k.first.clone()), s.clone()));
        let mut sessions: Vec<Involved> = involved.into_iter().map(|id| self.involved(id)).collect();
        let mut made: BTreeMap<_, Option<String>> = BTreeMap::new();
        for target in cluster.acts.iter().flat_map(|k| &k.made) {
            if let Target::Resource(key) = target {
                made.insert(key.clone(), None);
            }
        }
        let (mut first, last) = (cluster.first, cluster.last);
        // What was let go here, or had expired when this was rebuilt, is still in the stored incident.
        for act in before.iter().flat_map(|i| &i.acts).filter(|a| !self.events.contains_key(&a.event)) {
            acts.insert((act.time, act.event.clone()), act.clone());
            if act.destroyed() {
                first = first.min(act.time);
            }
        }
        for incident in before {
            for touched in &incident.made {
                let known = made.contains_key(&touched.resource);
                let dropped = incident.acts.iter().any(|a| !self.events.contains_key(&a.event));
                if known || dropped {
                    made.entry(touched.resource.clone()).or_default().clone_from(&touched.name);
                }
            }
            for old in &incident.sessions {
                let named = acts.values().any(|a| a.session == old.session);
                if named && sessions.iter().all(|s| s.session != old.session) {
                    sessions.push(old.clone());
                }
            }
        }
        let acts: Vec<Act> = acts.into_values().collect();
        let fresh = Incident {
            planned_for: None,
            settled: None,
            id: new_id(&acts, cluster, if before.is_empty() { Some(ids) } else { None }),
            state: IncidentState::Open,
            actor: self.actor(&cluster.root),
            sessions,
            acts,
            first,
            last,
            closed: now.duration_since(last) > self.quiet,
            lost: Vec::new(),
            changed: Vec::new(),
            made: made.into_iter().map(|(resource, name)| Touched { resource, name }).collect(),
            beyond: Vec::new(),
            plan: None,
            restore: None,
            trouble: None,
        };
        match before.first() {
            None => fresh,
            // What others wrote into it stays as it is.
            Some(&old) => Incident {
                actor: fresh.actor,
                sessions: fresh.sessions,
                acts: fresh.acts,
                first: fresh.first,
                last: fresh.last,
                closed: fresh.closed,
                made: fresh.made,
                ..old.clone()
            },
        }
    }

    fn involved(&self, session: SessionId) -> Involved {
        Involved {
            parent: self.lineage.parent(&session).cloned(),
            actor: self.actor(&session),
            verdict: self.judge(&session).map(|j| j.verdict),
            session,
        }
    }

    /// Forgets calls and sessions of agents that are older than the one, of everybody else older than the other time.
    pub fn prune(&mut self, agents_before: Timestamp, others_before: Timestamp) {
        let agents: BTreeSet<SessionId> = self.acts.keys().filter(|s| self.judge(s).is_some()).cloned().collect();
        let events = &mut self.events;
        for (session, acts) in &mut self.acts {
            let before = if agents.contains(session) { agents_before } else { others_before };
            acts.retain(|(time, event), _| {
                let stays = *time >= before;
                if !stays {
                    events.remove(event);
                }
                stays
            });
        }
        self.acts.retain(|_, acts| !acts.is_empty());
        let oldest = agents_before.min(others_before);
        let acts = &self.acts;
        self.sessions.retain(|session, known| known.last >= oldest || acts.contains_key(session));
        let sessions = &self.sessions;
        self.granted.retain(|session, granted| {
            sessions.contains_key(session) || granted.actor.issued_at.is_some_and(|t| t >= oldest)
        });
        self.downstream.retain(|_, session| sessions.contains_key(session));
        self.lineage.prune(oldest, |session| !sessions.contains_key(session));
    }

    /// Lets go the older half of what nobody suspects.
    fn shed(&mut self) {
        let mut times: Vec<Timestamp> = Vec::new();
        let others: BTreeSet<SessionId> = self.acts.keys().filter(|s| self.judge(s).is_none()).cloned().collect();
        for session in &others {
            times.extend(self.acts[session].keys().map(|(time, _)| *time));
        }
        let middle = times.len() / 2;
        // Agents' acts are never let go; room is made for them rather than looked for with every record.
        self.shed_at = self.acts_max.max((self.events.len() - middle) / 2 * 3);
        if times.is_empty() {
            return;
        }
        let (_, cut, _) = times.select_nth_unstable(middle);
        let cut = *cut;
        for session in &others {
            let Some(acts) = self.acts.get_mut(session) else { continue };
            let before = acts.len();
            let events = &mut self.events;
            acts.retain(|(time, event), _| {
                let stays = *time > cut;
                if !stays {
                    events.remove(event);
                }
                stays
            });
            self.shed += (before - acts.len()) as u64;
        }
        self.acts.retain(|_, acts| !acts.is_empty());
    }

    /// Calls let go because there were too many, since the start. A late AssumeRole finds nothing of these.
    pub fn shed_count(&self) -> u64 {
        self.shed
    }
    /// Calls and sessions in memory.
    pub fn size(&self) -> (usize, usize) {
        (self.events.len(), self.sessions.len())
    }
}

/// Acts that belong together.
struct Cluster {
    root: SessionId,
    /// First and last act that took something away.
    first: Timestamp,
    last: Timestamp,
    acts: Vec<Kept>,
}

/// The times of acts that took away what was not the tree's own fresh work. `acts` in order of time.
fn openers(acts: &[(&SessionId, &Kept)], quiet: SignedDuration) -> Vec<Timestamp> {
    let mut made: HashMap<&Target, Vec<Timestamp>> = HashMap::new();
    for (_, kept) in acts {
        // Names do not count: making what exists already succeeds in some services (CreateBucket, CreateQueue).
        for target in kept.made.iter().filter(|t| matches!(t, Target::Resource(_))) {
            made.entry(target).or_default().push(kept.act.time);
        }
    }
    let fresh = |target: &Target, at: Timestamp| {
        let recent = |t: &Timestamp| *t <= at && at.duration_since(*t) <= quiet;
        made.get(target).is_some_and(|times| times.iter().any(recent))
    };
    let opens = |act: &&Act| {
        act.destroyed() && (act.targets.is_empty() || !act.targets.iter().all(|target| fresh(target, act.time)))
    };
    acts.iter().map(|(_, k)| &k.act).filter(opens).map(|act| act.time).collect()
}

/// The id of a new incident, from its first loss; `taken` is `None` where the id will not be used.
fn new_id(acts: &[Act], cluster: &Cluster, taken: Option<&mut BTreeSet<IncidentId>>) -> IncidentId {
    let opener = acts.iter().find(|a| a.destroyed() && a.time >= cluster.first).map(|a| a.event.0.as_str());
    let opener = opener.unwrap_or_default();
    let mut id = IncidentId::of(&EventId(opener.to_owned()));
    if let Some(taken) = taken {
        // Eight digits may fall together; the next try differs.
        let mut n = 1;
        while !taken.insert(id.clone()) {
            id = IncidentId::of(&EventId(format!("{opener}#{n}")));
            n += 1;
        }
    }
    id
}

#[cfg(test)]
mod tests {
    use super::super::{actions::tests::record, actor::Rule, lineage::session_of};
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const AGENT: &str = "ASIAAGENTAGENTAGENT1";
    const CHILD: &str = "ASIACHILDCHILDCHILD1";
    const HUMAN: &str = "AKIAHUMANHUMANHUMAN1";

    fn rules() -> Rules {
        let rule = Rule { name: "ops-agent".into(), role: vec!["agent-*".into()], ..Rule::default() };
        let rule2 = Rule { name: "mcp".into(), invoked_by: vec!["*-mcp.amazonaws.com".into()], ..Rule::default() };
        Rules::new(&[rule, rule2], &["rollbackd".to_owned()]).unwrap()
    }
    fn state() -> State {
        State::new(rules(), QUIET_DEFAULT)
    }
    fn at(minute: i64) -> Timestamp {
        "2026-03-01T10:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minute)
    }
    fn actor(role: &str, key: &str) -> Actor {
        Actor {
            kind: "AssumedRole".into(),
            principal_id: Some(format!("AROA{role}:run")),
            role_arn: Some(format!("arn:aws:iam::111122223333:role/{role}")),
            access_key: Some(key.into()),
            issued_at: Some(at(-10)),
            ..Actor::default()
        }
    }
    fn call(id: &str, minute: i64, actor: Actor, name: &str, request: Value, response: Value) -> Record {
        let mut it = record("ec2", name, request, response);
        it.id = EventId(id.into());
        it.time = at(minute);
        it.session = session_of(&actor, &it.source);
        it.actor = actor;
        it
    }
    fn delete(id: &str, minute: i64, actor: Actor) -> Record {
        call(
            id,
            minute,
            actor,
            "DeleteVpc",
            json!({"vpcId": format!("vpc-0000000{}", minute.rem_euclid(10))}),
            Value::Null,
        )
    }
    fn assume(id: &str, minute: i64, caller: Actor, key: &str) -> Record {
        let mut it = call(
            id,
            minute,
            caller,
            "AssumeRole",
            json!({"roleArn": "arn:aws:iam::111122223333:role/deploy", "roleSessionName": "run"}),
            json!({"credentials": {"accessKeyId": key}}),
        );
        it.source = "sts.amazonaws.com".into();
        it.read_only = Some(true);
        it
    }
    fn incidents(records: &[Record]) -> Vec<Incident> {
        let mut state = state();
        records.iter().for_each(|r| _ = state.feed(r));
        let found = state.incidents(at(600), &[]);
        assert!(found.merged.is_empty());
        found.changed
    }
    fn events(incident: &Incident) -> Vec<&str> {
        incident.acts.iter().map(|a| a.event.0.as_str()).collect()
    }
    /// An agent destroys, tries, adds; its child destroys; a human does too.
    fn story() -> Vec<Record> {
        let agent = || actor("agent-ops", AGENT);
        let mut denied = delete("c-denied", 3, agent());
        denied.error = Some("Client.UnauthorizedOperation".into());
        let made = json!({"vpc": {"vpcId": "vpc-0000000f"}});
        vec![
            assume("a-assume", 0, agent(), CHILD),
            delete("b-first", 1, agent()),
            denied,
            delete("d-child", 4, actor("deploy", CHILD)),
            delete("e-human", 5, actor("human", HUMAN)),
            call("f-made", 6, agent(), "CreateVpc", json!({"cidrBlock": "10.0.0.0/16"}), made),
            call("g-look", 7, agent(), "DescribeVpcs", json!({}), Value::Null),
        ]
    }

    #[test]
    fn an_incident_is_the_tree_of_one_agent_session() {
        let found = incidents(&story());
        let [incident] = &found[..] else { panic!("{found:#?}") };
        assert_eq!(events(incident), ["b-first", "c-denied", "d-child", "f-made"]);
        assert_eq!(incident.id, IncidentId::of(&EventId("b-first".into())));
        assert_eq!((incident.first, incident.last, incident.closed), (at(1), at(4), true));
        assert_eq!(incident.losses().count(), 2);
        let [root, child] = &incident.sessions[..] else { panic!("{:#?}", incident.sessions) };
        assert_eq!((root.session.0.as_str(), child.session.0.as_str()), (AGENT, CHILD));
        assert_eq!(child.parent.as_ref(), Some(&root.session));
        assert_eq!(child.verdict.as_ref().unwrap().inherited_from.as_ref(), Some(&root.session));
        assert_eq!(root.verdict.as_ref().unwrap().rule, "ops-agent");
        let made: Vec<_> = incident.made.iter().map(|t| t.resource.id.as_str()).collect();
        assert_eq!(made, ["vpc-0000000f"]);
        assert_eq!(incident.actor.role_arn.as_deref(), Some("arn:aws:iam::111122223333:role/agent-ops"));
    }

    #[test]
    fn people_and_rollbackd_and_failures_open_none() {
        let mut failed = delete("x", 1, actor("agent-ops", AGENT));
        failed.error = Some("Client.DryRunOperation".into());
        assert!(incidents(&[failed]).is_empty());
        assert!(incidents(&[delete("x", 1, actor("human", HUMAN))]).is_empty());
        let ours = actor("rollbackd", CHILD);
        assert!(incidents(&[assume("a", 0, actor("agent-ops", AGENT), CHILD), delete("x", 1, ours)]).is_empty());
    }

    #[test]
    fn a_quiet_time_ends_it_and_a_late_record_joins_what_it_parted() {
        let agent = || actor("agent-ops", AGENT);
        let mut state = state();
        state.feed(&delete("a", 0, agent()));
        state.feed(&delete("c", 50, agent()));
        let two = state.incidents(at(60), &[]).changed;
        assert_eq!(two.len(), 2);
        assert_eq!((two[0].closed, two[1].closed), (true, false));
        assert_eq!(state.incidents(at(60), &two), Found::default());
        state.feed(&delete("b", 25, agent()));
        let mut stored = two.clone();
        stored[0].state = IncidentState::Planned;
        let found = state.incidents(at(60), &stored);
        let [one] = &found.changed[..] else { panic!("{found:#?}") };
        assert_eq!((one.id.clone(), one.state, one.closed), (two[0].id.clone(), IncidentState::Planned, false));
        assert_eq!(events(one), ["a", "b", "c"]);
        assert_eq!(found.merged, [Merged { gone: two[1].id.clone(), into: two[0].id.clone() }]);
        // Only the clock moves on.
        let closed = state.incidents(at(81), &found.changed).changed;
        assert!(closed[0].closed && closed[0].id == one.id);
    }

    #[test]
    fn an_earlier_record_changes_neither_id_nor_what_others_wrote() {
        let mut state = state();
        state.feed(&delete("late", 5, actor("agent-ops", AGENT)));
        let mut stored = state.incidents(at(6), &[]).changed;
        stored[0].trouble = Some("no snapshot".into());
        state.feed(&delete("early", 1, actor("agent-ops", AGENT)));
        let [now] = &state.incidents(at(6), &stored).changed[..] else { panic!() };
        assert_eq!((&now.id, now.first, now.trouble.as_deref()), (&stored[0].id, at(1), Some("no snapshot")));
        // What was let go stays in the stored incident.
        let stored = vec![now.clone()];
        state.prune(at(3), at(3));
        assert_eq!(state.size().0, 1);
        state.feed(&delete("later", 7, actor("agent-ops", AGENT)));
        let [now] = &state.incidents(at(8), &stored).changed[..] else { panic!() };
        assert_eq!((events(now), now.first), (vec!["early", "late", "later"], at(1)));
    }

    #[test]
    fn an_agent_that_cleans_up_its_own_fresh_work_does_no_harm() {
        let agent = || actor("agent-ops", AGENT);
        let made = json!({"vpc": {"vpcId": "vpc-00000001"}});
        let create = call("a", 0, agent(), "CreateVpc", json!({}), made);
        assert!(incidents(&[create.clone(), delete("b", 1, agent())]).is_empty());
        // Long after, it is part of the environment.
        assert_eq!(incidents(&[create, delete("b", 31, agent())]).len(), 1);
        let mut bucket = call("a", 0, agent(), "CreateBucket", json!({"bucketName": "logs"}), Value::Null);
        bucket.source = "s3.amazonaws.com".into();
        let mut gone = call("b", 1, agent(), "DeleteBucket", json!({"bucketName": "logs"}), Value::Null);
        gone.source = "s3.amazonaws.com".into();
        assert_eq!(incidents(&[bucket, gone]).len(), 1, "CreateBucket of a bucket that exists succeeds");
    }

    #[test]
    fn tool_calls_claim_their_requests_and_what_services_do_on_with_their_keys() {
        let person = |key: &str, by: Option<&str>| Actor { invoked_by: by.map(str::to_owned), ..actor("human", key) };
        let key = "ASIAREQUESTREQUEST01";
        let through = call("a", 0, person(key, Some("aws-mcp.amazonaws.com")), "DeleteStack", json!({}), Value::Null);
        let onward = delete("b", 1, person(key, Some("cloudformation.amazonaws.com")));
        let mut tool = call("t", 0, person("ASIATOOLTOOLTOOLTO01", None), "CallReadWriteTool", json!({}), Value::Null);
        tool.source = "aws-mcp.amazonaws.com".into();
        tool.session = session_of(&tool.actor, &tool.source);
        tool.event_type = Some("AwsMcpEvent".into());
        tool.additional = json!({"downstreamRequests": [{"apiName": "ec2:DeleteVpc", "requestId": "r-1"}]});
        let mut named = delete("c", 2, person(HUMAN, None));
        named.request_id = Some("r-1".into());
        let own = delete("d", 3, person(HUMAN, None));
        for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]] {
            let all = [&through, &onward, &tool, &named, &own];
            let records: Vec<Record> = order.iter().map(|i| all[*i].clone()).collect();
            let found = incidents(&records);
            let [incident] = &found[..] else { panic!("{found:#?}") };
            assert_eq!(events(incident), ["a", "b", "c"]);
            assert_eq!(incident.sessions.len(), 1);
        }
    }

    #[test]
    fn the_grants_of_a_session_judge_it_before_its_own_records_do() {
        let rule = Rule { name: "tagged".into(), session_tag: vec!["purpose=agent".into()], ..Rule::default() };
        let mut state = State::new(Rules::new(&[rule], &[]).unwrap(), QUIET_DEFAULT);
        let child = delete("b", 1, actor("deploy", CHILD));
        assert_eq!(state.feed(&child).agent, None);
        let mut grant = assume("a", 0, actor("human", HUMAN), CHILD);
        grant.request["tags"] = json!([{"key": "purpose", "value": "agent"}]);
        assert_eq!(state.feed(&grant).agent, None);
        let session = state.session(&child.session).unwrap();
        assert_eq!(session.agent.unwrap().field, "session_tag");
        assert_eq!(session.actor.session_tags["purpose"], "agent");
        assert_eq!(state.incidents(at(9), &[]).changed.len(), 1);
        assert_eq!(state.agents().count(), 1);
    }

    #[test]
    fn memory_is_bounded_and_agents_are_not_forgotten() {
        let max = 2000;
        let mut state = State { acts_max: max, shed_at: max, ..state() };
        for i in 0..5 * max as i64 {
            state.feed(&delete(&format!("h{i}"), i / 100, actor("human", &format!("ASIA{:016}", i % 500))));
        }
        state.feed(&delete("mine", 0, actor("agent-ops", AGENT)));
        assert!(state.shed_count() >= 4 * max as u64 && state.size().0 <= max, "{:?}", state.size());
        assert_eq!(state.incidents(at(1), &[]).changed.len(), 1);
    }

    proptest! {
        /// Any order, any repetition: the same incidents.
        #[test]
        fn order_and_repetition_change_nothing(order in Just((0..21).collect::<Vec<usize>>()).prop_shuffle()) {
            let story = story();
            let shuffled: Vec<Record> = order.iter().map(|i| story[i % story.len()].clone()).collect();
            prop_assert_eq!(incidents(&shuffled), incidents(&story));
        }

        /// Incidents worked out and stored after every record end as one, with all acts and a stable id.
        #[test]
        fn storing_on_the_way_changes_nothing_but_the_id(order in Just((0..14).collect::<Vec<usize>>()).prop_shuffle()) {
            let story = story();
            let mut state = state();
            let mut stored: BTreeMap<IncidentId, Incident> = BTreeMap::new();
            for i in order {
                state.feed(&story[i % story.len()]);
                let all: Vec<Incident> = stored.values().cloned().collect();
                let found = state.incidents(at(600), &all);
                found.merged.iter().for_each(|m| _ = stored.remove(&m.gone));
                stored.extend(found.changed.into_iter().map(|i| (i.id.clone(), i)));
            }
            let expected = incidents(&story).remove(0);
            prop_assert_eq!(stored.len(), 1);
            let (id, incident) = stored.pop_first().unwrap();
            prop_assert_eq!(incident, Incident { id, ..expected });
        }
    }
}
