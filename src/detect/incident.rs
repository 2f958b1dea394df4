//! Records in, incidents out. `State` keeps what later records may still give a meaning to: sessions, how they hang
//! together, and every call that changed something, by whoever (a late AssumeRole may make an agent of its session).
//!
//! Nothing is decided when a record is fed. Incidents are worked out from the set of records known, so their order and
//! their repetition change nothing. What others wrote into an incident (state, plan, losses) is never touched here.
//!
//! An incident belongs to the tree of sessions under one agent session, and to a stretch of time: it opens with the first
//! call that took something away, goes on while such calls follow each other within the quiet time, and takes in what the
//! tree failed to do from then until the quiet time has passed, and what it added, also within the quiet time before. Two
//! things open none: calls that failed, and calls on what the tree itself had made within the quiet time (an agent that
//! cleans up after itself does no harm). What was added to things that exist opens one only where a policy says so.
//!
//! Calls that blind rollbackd make incidents of their own, beside that of the same tree's losses: they must not be one line
//! among hundreds. By a session that no rule calls an agent they are an alarm (`State::alarms`) and no incident, since
//! people keep trails and queues, and rollbackd acts on agents alone.
use super::{
    actions,
    actor::{Rank, Rules},
    lineage::{self, Lineage},
    signs::{self, Own},
};
use crate::model::{
    AccountId, Actor, EventId, Incident, IncidentId, IncidentState, Record, Scope, SessionId, Timestamp,
    actor::{Session, Verdict},
    incident::{Act, Addition, Class, IncidentKind, Involved, Target, Touched, Warning},
    limits,
};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How long a session tree must be quiet for its incident to be over, unless configured otherwise. CloudTrail is at most
/// about 15 minutes late.
pub const QUIET_DEFAULT: SignedDuration = SignedDuration::from_mins(30);

/// The error of a batch call that came through and did nothing of what it was asked to.
pub(super) const NOTHING_DONE: &str = "NothingDone";

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
    /// CloudFormation made it with a role of the stack's own, so that its caller is named nowhere in it.
    of_stack: bool,
    /// What an adding call added, in its own words.
    details: String,
    /// rollbackd may see or do less because of it.
    blinds: bool,
    /// The same act has a record in another account, with the same id.
    shared: Option<String>,
    /// The resource owner's record of a call from another account.
    of_owner: bool,
    /// The record that it is from, where that corrects another one.
    addendum: Option<EventId>,
}
impl Kept {
    /// A call that opens an incident and keeps it open.
    fn opens(&self, adds_open: AddsOpen<'_>) -> bool {
        let adds = || self.act.class == Class::Add && self.made.is_empty() && adds_open(&self.act.scope);
        self.act.destroyed() || (self.act.error.is_none() && (self.blinds || adds()))
    }
    /// Of the records of one act, the least is the one that counts: that of the account whose resource it is.
    fn rank(&self) -> (bool, &EventId) {
        (!self.of_owner, &self.act.event)
    }
}

/// Whether what an agent adds in an account and region opens an incident by itself: the policy's word.
pub type AddsOpen<'a> = &'a dyn Fn(&Scope) -> bool;

/// A call that blinds rollbackd, by a session that no rule calls an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub act: Act,
    pub actor: Actor,
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
    /// It often comes before a fatal call.
    pub warning: Option<Warning>,
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
    own: Own,
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
    /// Who called CloudFormation for a stack, by account.
    stack_calls: HashMap<AccountId, BTreeMap<Order, SessionId>>,
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
            own: Own::default(),
            quiet,
            lineage: Lineage::default(),
            sessions: HashMap::new(),
            granted: HashMap::new(),
            acts: HashMap::new(),
            events: HashMap::new(),
            downstream: HashMap::new(),
            stack_calls: HashMap::new(),
            shed: 0,
            acts_max: limits::ACTS_KEPT_MAX,
            shed_at: limits::ACTS_KEPT_MAX,
        }
    }

    /// With what rollbackd sees and acts with: calls on these blind it.
    #[must_use]
    pub fn watching(mut self, own: Own) -> Self {
        self.own = own;
        self
    }

    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }
    pub(super) fn own(&self) -> &Own {
        &self.own
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
        let warning = signs::warning(record, &action);
        if let Some(class) = action.class {
            self.keep(record, class, &action, warning);
        }
        Fed { first_of_session, agent: self.judge(&record.session).map(|j| j.verdict), class: action.class, warning }
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

    fn keep(&mut self, record: &Record, class: Class, action: &actions::Action, warning: Option<Warning>) {
        let event = record.addendum_of.as_ref().unwrap_or(&record.id);
        let addendum = record.addendum_of.is_some().then(|| record.id.clone());
        if let Some((session, time)) = self.events.get(event) {
            let known = self.acts.get_mut(session).and_then(|acts| acts.remove(&(*time, event.clone())));
            // What corrects a record counts instead of it; of several that do, always the same one.
            if let Some(known) = known
                && addendum <= known.addendum
            {
                let order = (known.act.time, known.act.event.clone());
                self.acts.entry(session.clone()).or_default().insert(order, known);
                return;
            }
        }
        self.events.insert(event.clone(), (record.session.clone(), record.time));
        let made = if class == Class::Add { actions::made(record) } else { Vec::new() };
        let service = record.actor.invoked_by.as_deref();
        let of_stack =
            service == Some("cloudformation.amazonaws.com") && record.actor.session_name() == Some("AWSCloudFormation");
        if record.source == "cloudformation.amazonaws.com" && record.succeeded() && !of_stack {
            let calls = self.stack_calls.entry(record.scope.account.clone()).or_default();
            calls.insert((record.time, event.clone()), record.session.clone());
        }
        let kept = Kept {
            details: if class == Class::Add && made.is_empty() {
                actions::details(record, &action.targets)
            } else {
                String::new()
            },
            made,
            request: record.request_id.clone(),
            forwarded: service.is_some() && !lineage::is_mcp(&record.actor, &record.source),
            of_stack,
            blinds: signs::blinds(record, action, &self.own),
            shared: record.shared_event_id.clone(),
            of_owner: record.actor.kind == "AWSAccount",
            addendum,
            act: Act {
                event: event.clone(),
                time: record.time,
                session: record.session.clone(),
                scope: record.scope.clone(),
                source: record.source.clone(),
                name: record.name.clone(),
                class,
                targets: action.targets.clone(),
                error: record.error.clone().or_else(|| action.refused.then(|| NOTHING_DONE.to_owned())),
                warning,
            },
        };
        let acts = self.acts.entry(record.session.clone()).or_default();
        acts.insert((record.time, event.clone()), kept);
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
        told.or_else(signed).or_else(|| self.stack_caller(kept)).unwrap_or(session)
    }
    /// A stack with a role of its own hides who asked for it: the last call to CloudFormation in the account, if the quiet
    /// time has not passed since.
    fn stack_caller(&self, kept: &Kept) -> Option<&SessionId> {
        let calls = self.stack_calls.get(&kept.act.scope.account).filter(|_| kept.of_stack)?;
        let until = (kept.act.time + SignedDuration::from_secs(1), EventId(String::new()));
        let ((time, _), caller) = calls.range(..until).next_back()?;
        (kept.act.time.duration_since(*time) <= self.quiet).then_some(caller)
    }

    /// Calls since then that blind rollbackd, by whoever is no agent as far as is known, in order of time.
    pub fn alarms(&self, since: Timestamp) -> Vec<Alarm> {
        let mut out: Vec<Alarm> = vec![];
        for (session, acts) in &self.acts {
            let blinding = acts.values().filter(|k| k.blinds && k.act.time >= since);
            for kept in blinding {
                let owner = self.owner(session, kept);
                if self.judge(owner).is_none() && !self.sessions.get(owner).is_some_and(|k| k.own) {
                    out.push(Alarm { act: kept.act.clone(), actor: self.actor(owner) });
                }
            }
        }
        out.sort_by(|a, b| (a.act.time, &a.act.event).cmp(&(b.act.time, &b.act.event)));
        out
    }

    /// Incidents as known now. `existing`: all that were stored, as others may have filled them in meanwhile.
    pub fn incidents(&self, now: Timestamp, existing: &[Incident], adds_open: AddsOpen<'_>) -> Found {
        let clusters = self.clusters(adds_open);
        // Which stored incident goes on in which cluster: the one that holds most of what opened it, the earliest of equals.
        let mut of_event: HashMap<&EventId, usize> = HashMap::new();
        for (i, incident) in existing.iter().enumerate() {
            of_event.extend(incident.acts.iter().filter(|a| a.error.is_none()).map(|act| (&act.event, i)));
        }
        let mut shared: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
        for (c, cluster) in clusters.iter().enumerate() {
            for kept in cluster.acts.iter().filter(|k| k.opens(adds_open)) {
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
    fn clusters(&self, adds_open: AddsOpen<'_>) -> Vec<Cluster> {
        let mut judged: HashMap<&SessionId, Option<Judged>> = HashMap::new();
        let mut trees: BTreeMap<(SessionId, IncidentKind), Tree<'_>> = BTreeMap::new();
        for (session, acts) in &self.acts {
            let plain = self.downstream.is_empty()
                && self.lineage.of_request_key(session).is_none()
                && !acts.values().any(|k| k.of_stack);
            if plain && judged.entry(session).or_insert_with(|| self.judge(session)).is_none() {
                continue;
            }
            for (order, kept) in acts {
                let owner = self.owner(session, kept);
                if let Some(judged) = judged.entry(owner).or_insert_with(|| self.judge(owner)) {
                    let kind = if kept.blinds { IncidentKind::Blinding } else { IncidentKind::Loss };
                    trees.entry((judged.root.clone(), kind)).or_default().insert(order.clone(), (owner, kept));
                }
            }
        }
        let mut clusters: Vec<Cluster> = Vec::new();
        for ((root, kind), acts) in trees {
            let acts = once_each(acts.into_values().collect());
            let mut spans: Vec<(Timestamp, Timestamp)> = Vec::new();
            for time in openers(&acts, self.quiet, adds_open) {
                match spans.last_mut() {
                    Some((_, last)) if time.duration_since(*last) <= self.quiet => *last = time,
                    _ => spans.push((time, time)),
                }
            }
            let mut before: Option<Timestamp> = None;
            for (first, last) in spans {
                let inside = |kept: &Kept| {
                    let t = kept.act.time;
                    // What was added before belongs to it, unless it belongs to an earlier one.
                    let added = kept.act.class == Class::Add && kept.act.error.is_none();
                    let early = t < first && first.duration_since(t) <= self.quiet;
                    let earlier = before.is_some_and(|b| t.duration_since(b) <= self.quiet);
                    (t >= first && t.duration_since(last) <= self.quiet) || (added && early && !earlier)
                };
                let acts = acts.iter().filter(|(_, k)| inside(k)).map(|(owner, kept)| Kept {
                    act: Act { session: (*owner).clone(), ..kept.act.clone() },
                    ..(*kept).clone()
                });
                clusters.push(Cluster { root: root.clone(), kind, first, last, acts: acts.collect() });
                before = Some(last);
            }
        }
        clusters.sort_by(|a, b| (a.first, &a.root, a.kind).cmp(&(b.first, &b.root, b.kind)));
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
        let mut added: Vec<Addition> = cluster.acts.iter().filter_map(addition).collect();
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
            added.extend(incident.added.iter().filter(|a| !self.events.contains_key(&a.event)).cloned());
            for old in &incident.sessions {
                let named = acts.values().any(|a| a.session == old.session);
                if named && sessions.iter().all(|s| s.session != old.session) {
                    sessions.push(old.clone());
                }
            }
        }
        added.sort_by(|a, b| (a.time, &a.event).cmp(&(b.time, &b.event)));
        let acts: Vec<Act> = acts.into_values().collect();
        let fresh = Incident {
            kind: cluster.kind,
            added,
            reached: Vec::new(),
            recreated: Vec::new(),
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
                kind: fresh.kind,
                added: fresh.added,
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
        for calls in self.stack_calls.values_mut() {
            calls.retain(|(time, _), _| *time >= oldest);
        }
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

/// The acts of a tree, each with the session that it counts for.
type Tree<'a> = BTreeMap<Order, (&'a SessionId, &'a Kept)>;

/// Acts that belong together.
struct Cluster {
    root: SessionId,
    kind: IncidentKind,
    /// First and last act that opens an incident.
    first: Timestamp,
    last: Timestamp,
    acts: Vec<Kept>,
}

/// One of the records that several accounts have of one act (`sharedEventID`).
fn once_each<'a>(acts: Vec<(&'a SessionId, &'a Kept)>) -> Vec<(&'a SessionId, &'a Kept)> {
    let mut best: HashMap<&str, &Kept> = HashMap::new();
    for (_, kept) in &acts {
        if let Some(shared) = &kept.shared {
            let known = best.entry(shared).or_insert(kept);
            if kept.rank() < known.rank() {
                *known = kept;
            }
        }
    }
    let counts = |kept: &Kept| {
        let best = kept.shared.as_deref().and_then(|shared| best.get(shared));
        best.is_none_or(|best| best.act.event == kept.act.event)
    };
    acts.into_iter().filter(|(_, kept)| counts(kept)).collect()
}

/// What a call added to something that existed.
fn addition(kept: &Kept) -> Option<Addition> {
    let act = &kept.act;
    (act.class == Class::Add && act.error.is_none() && kept.made.is_empty()).then(|| Addition {
        event: act.event.clone(),
        time: act.time,
        call: act.name.clone(),
        to: act.targets.clone(),
        what: kept.details.clone(),
        undo: actions::removal(&act.source, &act.name),
    })
}

/// The times of acts that open an incident, but for those on the tree's own fresh work. `acts` in order of time.
fn openers(acts: &[(&SessionId, &Kept)], quiet: SignedDuration, adds_open: AddsOpen<'_>) -> Vec<Timestamp> {
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
    let opens = |kept: &&Kept| {
        let act = &kept.act;
        let own_work = !act.targets.is_empty() && act.targets.iter().all(|target| fresh(target, act.time));
        kept.opens(adds_open) && !own_work
    };
    acts.iter().map(|(_, k)| *k).filter(opens).map(|kept| kept.act.time).collect()
}

/// The id of a new incident, from its first loss; `taken` is `None` where the id will not be used.
fn new_id(acts: &[Act], cluster: &Cluster, taken: Option<&mut BTreeSet<IncidentId>>) -> IncidentId {
    let since = || acts.iter().filter(|a| a.error.is_none() && a.time >= cluster.first);
    let opener = since().find(|a| a.destroyed()).or_else(|| since().next()).map(|a| a.event.0.as_str());
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

    const NEVER: fn(&Scope) -> bool = |_| false;
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
        let found = state.incidents(at(600), &[], &NEVER);
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
        let two = state.incidents(at(60), &[], &NEVER).changed;
        assert_eq!(two.len(), 2);
        assert_eq!((two[0].closed, two[1].closed), (true, false));
        assert_eq!(state.incidents(at(60), &two, &NEVER), Found::default());
        state.feed(&delete("b", 25, agent()));
        let mut stored = two.clone();
        stored[0].state = IncidentState::Planned;
        let found = state.incidents(at(60), &stored, &NEVER);
        let [one] = &found.changed[..] else { panic!("{found:#?}") };
        assert_eq!((one.id.clone(), one.state, one.closed), (two[0].id.clone(), IncidentState::Planned, false));
        assert_eq!(events(one), ["a", "b", "c"]);
        assert_eq!(found.merged, [Merged { gone: two[1].id.clone(), into: two[0].id.clone() }]);
        // Only the clock moves on.
        let closed = state.incidents(at(81), &found.changed, &NEVER).changed;
        assert!(closed[0].closed && closed[0].id == one.id);
    }

    #[test]
    fn an_earlier_record_changes_neither_id_nor_what_others_wrote() {
        let mut state = state();
        state.feed(&delete("late", 5, actor("agent-ops", AGENT)));
        let mut stored = state.incidents(at(6), &[], &NEVER).changed;
        stored[0].trouble = Some("no snapshot".into());
        state.feed(&delete("early", 1, actor("agent-ops", AGENT)));
        let [now] = &state.incidents(at(6), &stored, &NEVER).changed[..] else { panic!() };
        assert_eq!((&now.id, now.first, now.trouble.as_deref()), (&stored[0].id, at(1), Some("no snapshot")));
        // What was let go stays in the stored incident.
        let stored = vec![now.clone()];
        state.prune(at(3), at(3));
        assert_eq!(state.size().0, 1);
        state.feed(&delete("later", 7, actor("agent-ops", AGENT)));
        let [now] = &state.incidents(at(8), &stored, &NEVER).changed[..] else { panic!() };
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

    fn with(mut record: Record, change: impl FnOnce(&mut Record)) -> Record {
        change(&mut record);
        record
    }
    fn opens_port(id: &str, minute: i64) -> Record {
        let rule = json!({"groupId": "sg-0000000a", "ipPermissions": {"items": [{"ipProtocol": "tcp", "fromPort": 22,
            "toPort": 22, "ipRanges": {"items": [{"cidrIp": "0.0.0.0/0"}]}}]}});
        call(id, minute, actor("agent-ops", AGENT), "AuthorizeSecurityGroupIngress", rule, json!({"_return": true}))
    }

    #[test]
    fn what_is_added_to_what_exists_is_named_with_its_undoing_and_opens_nothing_by_itself() {
        let added = opens_port("a", 0);
        assert!(incidents(std::slice::from_ref(&added)).is_empty());
        // Before the first loss, within the quiet time: part of the incident.
        let found = incidents(&[added.clone(), delete("b", 20, actor("agent-ops", AGENT))]);
        let [incident] = &found[..] else { panic!("{found:#?}") };
        assert_eq!((events(incident), incident.first), (vec!["a", "b"], at(20)));
        let [addition] = &incident.added[..] else { panic!("{:#?}", incident.added) };
        assert_eq!(addition.undo.as_deref(), Some("RevokeSecurityGroupIngress"));
        assert_eq!(addition.what, "fromPort=22 ipProtocol=tcp cidrIp=0.0.0.0/0 toPort=22");
        assert_eq!(actions::name_of(&addition.to[0]), "sg-0000000a");
        // Longer before, it is none of it; between two incidents it is the first one's.
        assert_eq!(events(&incidents(&[added.clone(), delete("b", 31, actor("agent-ops", AGENT))])[0]), ["b"]);
        let agent = || actor("agent-ops", AGENT);
        let two = incidents(&[delete("b", -20, agent()), added.clone(), delete("c", 15, agent())]);
        assert_eq!(two.iter().map(events).collect::<Vec<_>>(), [vec!["b", "a"], vec!["c"]]);
        // Where the policy says so, it opens one; what was made opens none even then.
        let mut state = state();
        state.feed(&added);
        state.feed(&call("v", 0, agent(), "CreateVpc", json!({}), json!({"vpc": {"vpcId": "vpc-0000000f"}})));
        let open = state.incidents(at(1), &[], &|scope| scope.region.as_str() == "eu-west-1").changed;
        assert_eq!((open.len(), open[0].losses().count(), open[0].first), (1, 0, at(0)));
        assert_eq!(open[0].id, IncidentId::of(&EventId("a".into())));
        assert_eq!(state.incidents(at(1), &open, &|_| true), Found::default());
    }

    #[test]
    fn who_blinds_rollbackd_has_an_incident_of_its_own_and_people_are_an_alarm() {
        let blinding = |id: &str, actor: Actor, source: &str, name: &str, request: Value| {
            with(call(id, 2, actor, name, request, Value::Null), |r| r.source = source.into())
        };
        let stop = |id: &str, actor: Actor| {
            blinding(id, actor, "cloudtrail.amazonaws.com", "StopLogging", json!({"name": "all"}))
        };
        let agent = || actor("agent-ops", AGENT);
        let rule = blinding("r", agent(), "events.amazonaws.com", "DisableRule", json!({"name": "rollbackd"}));
        let theirs = blinding("n", agent(), "events.amazonaws.com", "DisableRule", json!({"name": "nightly"}));
        let denied = with(stop("d", agent()), |r| r.error = Some("AccessDenied".into()));
        let own = || Own::new(&["rollbackd*".into()]).unwrap();
        let mut state = state().watching(own());
        for record in [delete("b", 1, agent()), stop("s", agent()), rule, theirs, denied] {
            state.feed(&record);
        }
        let found = state.incidents(at(9), &[], &NEVER).changed;
        let of = |kind| found.iter().filter(|i| i.kind == kind).map(events).collect::<Vec<_>>();
        assert_eq!(of(IncidentKind::Blinding), [vec!["r", "s"]]);
        assert_eq!(of(IncidentKind::Loss), [vec!["b", "d", "n"]]);
        assert_eq!(state.alarms(at(0)), []);
        assert_eq!(state.incidents(at(9), &found, &NEVER), Found::default());

        let mut state = super::tests::state().watching(own());
        state.feed(&stop("h", actor("human", HUMAN)));
        state.feed(&stop("o", actor("rollbackd", CHILD)));
        assert!(state.incidents(at(9), &[], &NEVER).changed.is_empty());
        let alarms = state.alarms(at(0));
        assert_eq!(alarms.iter().map(|a| a.act.event.0.as_str()).collect::<Vec<_>>(), ["h"]);
        assert_eq!(alarms[0].actor.access_key.as_deref(), Some(HUMAN));
        assert_eq!(state.alarms(at(3)), [], "longer ago");
    }

    #[test]
    fn an_addendum_counts_instead_of_what_it_corrects_in_any_order() {
        let original = with(delete("a", 1, actor("agent-ops", AGENT)), |r| r.request = Value::Null);
        let corrected = with(delete("a2", 1, actor("agent-ops", AGENT)), |r| r.addendum_of = Some(EventId("a".into())));
        for order in [[&original, &corrected], [&corrected, &original]] {
            let records: Vec<Record> = order.into_iter().cloned().chain([original.clone()]).collect();
            let found = incidents(&records);
            assert_eq!((found.len(), events(&found[0])), (1, vec!["a"]));
            assert_eq!(found[0].acts[0].targets.len(), 1, "the corrected record names the target");
        }
    }

    #[test]
    fn one_act_with_a_record_in_each_account_counts_once() {
        let shared = |mut record: Record| {
            record.shared_event_id = Some("shared".into());
            record
        };
        let caller = shared(delete("a-callers", 1, actor("agent-ops", AGENT)));
        let mut owner = shared(delete("b-owners", 1, actor("agent-ops", AGENT)));
        owner.scope = "aws/444455556666/eu-west-1".parse().unwrap();
        owner.actor = Actor {
            kind: "AWSAccount".into(),
            principal_id: caller.actor.principal_id.clone(),
            account: Some("111122223333".parse().unwrap()),
            ..Actor::default()
        };
        owner.session = session_of(&owner.actor, &owner.source);
        for records in [[caller.clone(), owner.clone()], [owner, caller]] {
            let found = incidents(&records);
            assert_eq!(found.len(), 1, "{found:#?}");
            // The thing is where its owner is.
            assert_eq!(events(&found[0]), ["b-owners"]);
            assert_eq!(found[0].acts[0].scope.account.as_str(), "444455556666");
        }
    }

    #[test]
    fn a_stack_with_a_role_of_its_own_acts_for_its_caller() {
        let deploy = |id: &str, minute| {
            let role = Actor {
                invoked_by: Some("cloudformation.amazonaws.com".into()),
                principal_id: Some("AROAstack:AWSCloudFormation".into()),
                ..actor("stack", "ASIASTACKSTACKSTACK1")
            };
            delete(id, minute, role)
        };
        let stack = |id: &str, minute, caller: Actor| {
            let it = call(id, minute, caller, "DeleteStack", json!({"stackName": "web"}), Value::Null);
            with(it, |r| r.source = "cloudformation.amazonaws.com".into())
        };
        let agent = || actor("agent-ops", AGENT);
        let found = incidents(&[deploy("c", 2), stack("s", 1, agent())]);
        assert_eq!(events(&found[0]), ["s", "c"]);
        assert_eq!(found[0].sessions.len(), 1);
        // A person called last, or the call is long past: nobody knows that it was for the agent.
        let human = stack("h", 2, actor("human", HUMAN));
        assert_eq!(events(&incidents(&[stack("s", 1, agent()), human, deploy("c", 3)])[0]), ["s"]);
        assert_eq!(events(&incidents(&[stack("s", 1, agent()), deploy("c", 32)])[0]), ["s"]);
    }

    #[test]
    fn a_batch_call_of_which_nothing_was_done_opens_nothing() {
        let flows = |failed: Value| {
            let request = json!({"DeleteFlowLogsRequest": {"FlowLogId": {"tag": 1, "content": "fl-0000000a"}}});
            let response = json!({"DeleteFlowLogsResponse": {"unsuccessful": failed}});
            call("a", 1, actor("agent-ops", AGENT), "DeleteFlowLogs", request, response)
        };
        assert_eq!(incidents(&[flows(json!(""))]).len(), 1);
        let failed =
            flows(json!({"item": {"resourceId": "fl-0000000a", "error": {"code": "InvalidFlowLogId.NotFound"}}}));
        assert!(incidents(std::slice::from_ref(&failed)).is_empty());
        let with_loss = incidents(&[failed, delete("b", 0, actor("agent-ops", AGENT))]);
        assert_eq!(with_loss[0].acts[1].error.as_deref(), Some(NOTHING_DONE));
    }

    #[test]
    fn a_services_name_never_clears_an_agent() {
        for service in ["cloudformation.amazonaws.com", "bedrock-agentcore.amazonaws.com", "AWS Internal"] {
            let actor = Actor { invoked_by: Some(service.into()), ..actor("agent-ops", AGENT) };
            assert_eq!(incidents(&[delete("a", 1, actor)]).len(), 1, "{service}");
        }
    }

    #[test]
    fn an_early_warning_is_told_at_once_and_kept() {
        let mut state = state();
        let detach = call(
            "a",
            1,
            actor("agent-ops", AGENT),
            "DetachInternetGateway",
            json!({"internetGatewayId": "igw-0000000a", "vpcId": "vpc-0000000a"}),
            Value::Null,
        );
        let fed = state.feed(&detach);
        assert_eq!(fed.warning, Some(Warning::DetachesGateway));
        assert_eq!(state.incidents(at(2), &[], &NEVER).changed[0].acts[0].warning, fed.warning);
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
        assert_eq!(state.incidents(at(9), &[], &NEVER).changed.len(), 1);
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
        assert_eq!(state.incidents(at(1), &[], &NEVER).changed.len(), 1);
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
                let found = state.incidents(at(600), &all, &NEVER);
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
