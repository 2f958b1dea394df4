//! Which session a record belongs to, and which session that one came from. Records arrive in any order and some never do,
//! so nothing is decided when a record is seen: links are collected, and parents are looked up when they are asked for.
//!
//! What ties sessions (cloudtrail-facts §3):
//! - an STS call returns credentials: their key belongs to a child of the caller's session;
//! - a record of an STS call without the key still tells role id, session name and time, and the child's own records have
//!   the same three (`principalId`, `creationDate`);
//! - a service that acts for a caller may leave out the caller's key, and keeps principal and creation date;
//! - a cross-account call has one record per account: only one of them has the caller's key.
//!
//! Keys that an agent creates for a user (CreateAccessKey) tie nothing: they are made to be handed to somebody else.
use crate::model::{Actor, EventId, Record, SessionId, Timestamp, limits};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// The time of an STS call and the creation date of its session are two clocks' whole seconds.
const ISSUE_SLACK_SECONDS: i64 = 5;

/// The session of a record with this actor and event source. One access key is one session, except where AWS signs every
/// request with a key of its own (console, managed MCP): those group by principal and issue time; and where keys are
/// renewed under one sign-in (`aws login`, OAuth clients).
pub fn session_of(actor: &Actor, source: &str) -> SessionId {
    let principal = || {
        let who = actor.principal_id.as_deref().or(actor.arn.as_deref()).filter(|p| !p.is_empty())?;
        // A user's issue time is that of each request; only a role's or a console session's names the session.
        let session = who.contains(':') || actor.from_console;
        Some(match actor.issued_at.filter(|_| session) {
            Some(issued) => format!("{who}@{issued}"),
            None => who.to_owned(),
        })
    };
    if is_mcp(actor, source) {
        return SessionId(format!("{}/mcp", principal().unwrap_or_else(|| "unknown".into())));
    }
    if let Some(sign_in) = &actor.sign_in {
        return SessionId(sign_in.clone());
    }
    if let Some(key) = actor.access_key.as_deref().filter(|_| !actor.from_console) {
        return SessionId(key.to_owned());
    }
    let unnamed = || match (&actor.invoked_by, &actor.account) {
        (Some(service), _) => service.clone(),
        (None, Some(account)) => format!("account:{account}"),
        (None, None) => "unknown".to_owned(),
    };
    SessionId(principal().unwrap_or_else(unnamed))
}

/// The call came through an MCP server that AWS runs, or is that server's own record of a tool call.
pub fn is_mcp(actor: &Actor, source: &str) -> bool {
    let mcp = |name: &str| name.strip_suffix("mcp.amazonaws.com").is_some_and(|rest| rest.ends_with('-'));
    mcp(source) || actor.invoked_by.as_deref().is_some_and(mcp)
}

/// What an STS call handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The access key of the new credentials.
    pub key: Option<SessionId>,
    /// The new session's identity as far as the call tells it, with its tags and source identity.
    pub actor: Actor,
}

/// The new credentials in a record, if it is of an STS call that worked.
pub fn grant(record: &Record) -> Option<Grant> {
    if record.source != "sts.amazonaws.com" || !record.succeeded() {
        return None;
    }
    let text = |v: &Value| v.as_str().filter(|s| s.len() <= limits::RECORD_TEXT_BYTES_MAX).map(str::to_owned);
    let assumed = &record.response["assumedRoleUser"];
    let key = text(&record.response["credentials"]["accessKeyId"]).filter(|k| is_access_key(k));
    let principal_id =
        text(&assumed["assumedRoleId"]).or_else(|| text(&record.response["federatedUser"]["federatedUserId"]));
    if key.is_none() && principal_id.is_none() {
        return None;
    }
    let mut actor = Actor {
        kind: if assumed.is_object() { "AssumedRole".into() } else { String::new() },
        arn: text(&assumed["arn"]),
        principal_id,
        role_arn: text(&record.request["roleArn"]),
        source_identity: text(&record.request["sourceIdentity"]).or_else(|| text(&record.response["sourceIdentity"])),
        access_key: key.clone(),
        issued_at: Some(record.time),
        ..Actor::default()
    };
    if !assumed.is_object() {
        // GetSessionToken: the same user under another key.
        actor.kind.clone_from(&record.actor.kind);
        actor.user_name.clone_from(&record.actor.user_name);
    }
    // Passed with this call, passed with an earlier one of the chain, or by the identity provider.
    for tags in ["incomingTransitiveTags", "principalTags", "tags"] {
        match &record.request[tags] {
            Value::Object(m) => {
                for (name, value) in m.iter().take(limits::SESSION_TAGS_MAX) {
                    actor.session_tags.extend(text(value).map(|value| (name.clone(), value)));
                }
            }
            Value::Array(list) => {
                for tag in list.iter().take(limits::SESSION_TAGS_MAX) {
                    actor.session_tags.extend(text(&tag["key"]).zip(text(&tag["value"])));
                }
            }
            _ => {}
        }
    }
    Some(Grant { key: key.map(SessionId), actor })
}

/// A whole access key id; samples and old records have `[REDACTED]`, `REDACTED`, `AKIA****` and empty text in its place.
pub fn is_access_key(text: &str) -> bool {
    let form = (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    form && (text.starts_with("AKIA") || text.starts_with("ASIA"))
}

/// One tie to a parent. Ordered by trust: a record that lacks the caller's key (the other account's copy) comes last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Tie {
    other_account: bool,
    time: Timestamp,
    parent: SessionId,
    event: EventId,
}

/// The identity of one set of credentials apart from its key.
type Issue = (String, Timestamp);

/// All ties known, and the lookups over them. Feeding is idempotent and its order does not matter.
#[derive(Debug, Clone, Default)]
pub struct Lineage {
    by_key: HashMap<SessionId, BTreeSet<Tie>>,
    by_principal: HashMap<String, BTreeSet<Tie>>,
    /// Sessions that are one access key, by whose they are and when they were issued.
    keys: HashMap<Issue, BTreeSet<SessionId>>,
    /// The identity of each session that has one.
    issues: HashMap<SessionId, (String, Option<Timestamp>)>,
    /// All sessions of a principal.
    principals: HashMap<String, BTreeSet<SessionId>>,
    /// Keys that AWS made for one request of a managed MCP server, and the session behind them.
    request_keys: HashMap<SessionId, SessionId>,
}

impl Lineage {
    /// Takes in what a record tells about sessions.
    pub fn feed(&mut self, record: &Record, grant: Option<&Grant>) {
        if let Some(principal) = &record.actor.principal_id {
            let issued = record.actor.issued_at;
            // A user's requests through MCP differ in their issue time: the least of all is the same in any order.
            let identity = (principal.clone(), issued);
            let known = self.issues.entry(record.session.clone()).or_insert_with(|| identity.clone());
            *known = std::mem::take(known).min(identity);
            self.principals.entry(principal.clone()).or_default().insert(record.session.clone());
            let is_key = record.actor.access_key.as_deref() == Some(record.session.0.as_str());
            if let Some(issued) = issued.filter(|_| is_key && principal.contains(':')) {
                self.keys.entry((principal.clone(), issued)).or_default().insert(record.session.clone());
            }
        }
        // A long-lived key is the user's own as well; only a key of one request stands for the tool.
        if let Some(key) = record.actor.access_key.as_deref().filter(|k| k.starts_with("ASIA"))
            && is_mcp(&record.actor, &record.source)
        {
            self.request_keys.insert(SessionId(key.to_owned()), record.session.clone());
        }
        let Some(grant) = grant else { return };
        let tie = Tie {
            other_account: record.actor.kind == "AWSAccount",
            time: record.time,
            parent: record.session.clone(),
            event: record.id.clone(),
        };
        if let Some(key) = &grant.key {
            self.by_key.entry(key.clone()).or_default().insert(tie.clone());
        }
        if let Some(principal) = &grant.actor.principal_id {
            self.by_principal.entry(principal.clone()).or_default().insert(tie);
        }
    }

    /// The session that this one came from.
    pub fn parent(&self, session: &SessionId) -> Option<&SessionId> {
        let other = |parent: &SessionId| parent != session;
        if let Some(tie) = self.by_key.get(session).and_then(|ties| ties.iter().find(|t| other(&t.parent))) {
            return Some(&tie.parent);
        }
        let (principal, issued) = self.issues.get(session)?;
        let Some(issued) = issued else {
            // The other account's view of a caller: only its principal is known. One session of that name is the one.
            let mut same = self.principals.get(principal)?.iter().filter(|s| other(s));
            return same.next().filter(|_| same.next().is_none());
        };
        if let Some(keys) = self.keys.get(&(principal.clone(), *issued))
            && !keys.contains(session)
        {
            return keys.first();
        }
        let ties = self.by_principal.get(principal)?;
        let gap = |tie: &Tie| tie.time.duration_since(*issued).as_secs().abs();
        let near = ties.iter().filter(|t| gap(t) <= ISSUE_SLACK_SECONDS && other(&t.parent));
        near.min_by_key(|t| (t.other_account, gap(t), *t)).map(|t| &t.parent)
    }

    /// From a session up to the first without a known parent; ends at the depth limit and where a chain bites its tail.
    pub fn chain<'a>(&'a self, session: &'a SessionId) -> Vec<&'a SessionId> {
        let mut chain = vec![session];
        let mut at = session;
        while let Some(parent) = self.parent(at).filter(|p| !chain.contains(p)) {
            if chain.len() >= limits::LINEAGE_DEPTH_MAX {
                break;
            }
            chain.push(parent);
            at = parent;
        }
        chain
    }

    /// The managed MCP session whose request this key signed. Holds only for calls that a service made on with it: the
    /// calls of the tool itself carry the mark themselves.
    pub fn of_request_key(&self, key: &SessionId) -> Option<&SessionId> {
        self.request_keys.get(key)
    }

    /// Forgets ties older than that, and the identity of sessions for which `gone` holds.
    pub(crate) fn prune(&mut self, before: Timestamp, gone: impl Fn(&SessionId) -> bool) {
        for ties in self.by_key.values_mut().chain(self.by_principal.values_mut()) {
            ties.retain(|t| t.time >= before);
        }
        self.by_key.retain(|_, ties| !ties.is_empty());
        self.by_principal.retain(|_, ties| !ties.is_empty());
        self.issues.retain(|session, _| !gone(session));
        for sessions in self.principals.values_mut().chain(self.keys.values_mut()) {
            sessions.retain(|s| !gone(s));
        }
        self.principals.retain(|_, s| !s.is_empty());
        self.keys.retain(|_, s| !s.is_empty());
        self.request_keys.retain(|_, session| !gone(session));
    }
}

/// Request ids of the API calls that a tool call of a managed MCP server made.
pub fn downstream(record: &Record) -> impl Iterator<Item = &str> {
    let mcp = record.event_type.as_deref() == Some("AwsMcpEvent");
    let list = record.additional["downstreamRequests"].as_array().filter(|_| mcp).map_or(&[][..], Vec::as_slice);
    list.iter().take(limits::RECORD_TARGETS_MAX).filter_map(|r| r["requestId"].as_str())
}

/// Tags and source identity that an STS call set and that the session's own records lack.
pub fn complete(actor: &mut Actor, granted: &Actor) {
    actor.session_tags.extend(granted.session_tags.clone());
    if actor.source_identity.is_none() {
        actor.source_identity.clone_from(&granted.source_identity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::actions::tests::record;
    use serde_json::json;

    const ISSUED: &str = "2026-03-01T10:00:00Z";

    fn role(key: Option<&str>, name: &str) -> Actor {
        Actor {
            kind: "AssumedRole".into(),
            principal_id: Some(format!("AROAEXAMPLEEXAMPLE001:{name}")),
            issued_at: Some(ISSUED.parse().unwrap()),
            access_key: key.map(str::to_owned),
            ..Actor::default()
        }
    }
    fn by(actor: Actor, name: &str) -> Record {
        let mut it = record("ec2", name, Value::Null, Value::Null);
        it.session = session_of(&actor, &it.source);
        it.actor = actor;
        it
    }
    fn assume(caller: &str, key: Option<&str>, name: &str) -> Record {
        let mut it = record(
            "sts",
            "AssumeRole",
            json!({"roleArn": "arn:aws:iam::111122223333:role/ops", "roleSessionName": name, "sourceIdentity": "claude",
                "tags": [{"key": "purpose", "value": "agent"}]}),
            json!({"credentials": {"accessKeyId": key}, "assumedRoleUser": {"assumedRoleId": format!("AROAEXAMPLEEXAMPLE001:{name}")}}),
        );
        it.id = EventId(format!("assume-{caller}-{name}"));
        it.session = SessionId(caller.into());
        it.actor.access_key = Some(caller.into());
        it
    }
    fn fed(records: &[Record]) -> Lineage {
        let mut lineage = Lineage::default();
        records.iter().for_each(|r| lineage.feed(r, grant(r).as_ref()));
        lineage
    }
    fn chain(lineage: &Lineage, of: &SessionId) -> Vec<String> {
        lineage.chain(of).into_iter().map(|s| s.0.clone()).collect()
    }
    const A: &str = "ASIAAAAAAAAAAAAAAAAA";
    const B: &str = "ASIABBBBBBBBBBBBBBBB";

    #[test]
    fn a_key_ties_child_to_parent_in_any_order() {
        let records = [by(role(Some(B), "run"), "DeleteVpc"), assume(A, Some(B), "run")];
        for records in [&records[..], &[records[1].clone(), records[0].clone()]] {
            assert_eq!(chain(&fed(records), &SessionId(B.into())), [B, A]);
        }
    }

    #[test]
    fn without_a_key_role_id_name_and_time_tie() {
        let child = by(role(Some(B), "run"), "DeleteVpc");
        assert_eq!(chain(&fed(&[child.clone(), assume(A, None, "run")]), &child.session), [B, A]);
        assert_eq!(chain(&fed(&[child.clone(), assume(A, None, "other")]), &child.session), [B]);
        let mut late = assume(A, None, "run");
        late.time = "2026-03-01T11:00:00Z".parse().unwrap();
        assert_eq!(chain(&fed(&[child.clone(), late]), &child.session), [B]);
    }

    #[test]
    fn console_and_mcp_requests_group_by_principal_and_issue() {
        let console = Actor { from_console: true, ..role(Some(A), "alice") };
        let other = Actor { access_key: Some(B.into()), ..console.clone() };
        assert_eq!(session_of(&console, "ec2.amazonaws.com"), session_of(&other, "ec2.amazonaws.com"));
        let mcp = Actor { invoked_by: Some("aws-mcp.amazonaws.com".into()), ..role(Some(A), "alice") };
        assert_eq!(session_of(&mcp, "s3.amazonaws.com").0, format!("AROAEXAMPLEEXAMPLE001:alice@{ISSUED}/mcp"));
        let tool = role(Some(B), "alice");
        assert_eq!(session_of(&tool, "aws-mcp.amazonaws.com"), session_of(&mcp, "s3.amazonaws.com"));
        // A user's requests through MCP have an issue time each.
        let user = Actor { principal_id: Some("AIDAEXAMPLE".into()), ..mcp };
        assert_eq!(session_of(&user, "s3.amazonaws.com").0, "AIDAEXAMPLE/mcp");
        assert_eq!(session_of(&Actor::default(), "x").0, "unknown");
    }

    #[test]
    fn keys_that_are_renewed_under_one_sign_in_are_one_session() {
        let sign_in = "arn:aws:signin:eu-west-1:111122223333:session/0a0a0a0a";
        let with_key = |key: &str| Actor { sign_in: Some(sign_in.into()), ..role(Some(key), "alice") };
        assert_eq!(session_of(&with_key(A), "ec2.amazonaws.com").0, sign_in);
        assert_eq!(session_of(&with_key(B), "ec2.amazonaws.com").0, sign_in);
        // Through a managed MCP server it is the tool's session, as without a sign-in.
        let mcp = Actor { invoked_by: Some("aws-mcp.amazonaws.com".into()), ..with_key(A) };
        assert!(session_of(&mcp, "ec2.amazonaws.com").0.ends_with("/mcp"));
        // A role that it assumes is its child.
        let call = Record { session: SessionId(sign_in.into()), ..assume(A, Some(B), "run") };
        assert_eq!(fed(&[call]).parent(&SessionId(B.into())), Some(&SessionId(sign_in.into())));
    }

    #[test]
    fn what_a_service_does_for_a_session_without_its_key_is_its_childs() {
        let own = by(role(Some(A), "run"), "DeleteStack");
        let forwarded = by(role(None, "run"), "DeleteVpc");
        assert_eq!(forwarded.session.0, format!("AROAEXAMPLEEXAMPLE001:run@{ISSUED}"));
        assert_eq!(fed(&[forwarded.clone(), own]).parent(&forwarded.session), Some(&SessionId(A.into())));
    }

    #[test]
    fn the_other_accounts_copy_gives_way_and_circles_end() {
        let mut copy = assume("AIDAEXAMPLE", Some(B), "run");
        copy.actor = Actor { kind: "AWSAccount".into(), ..Actor::default() };
        let lineage = fed(&[copy, assume(A, Some(B), "run")]);
        assert_eq!(chain(&lineage, &SessionId(B.into())), [B, A]);
        let circle = fed(&[assume(A, Some(B), "x"), assume(B, Some(A), "y"), assume(B, Some(B), "z")]);
        assert_eq!(chain(&circle, &SessionId(B.into())), [B, A]);
        let long: Vec<_> =
            (0..100).map(|i| assume(&format!("ASIA{i:016}"), Some(&format!("ASIA{:016}", i + 1)), "x")).collect();
        assert_eq!(fed(&long).chain(&SessionId(format!("ASIA{:016}", 100))).len(), limits::LINEAGE_DEPTH_MAX);
    }

    #[test]
    fn tags_and_source_identity_come_with_the_grant() {
        let granted = grant(&assume(A, Some(B), "run")).unwrap();
        assert_eq!(granted.actor.session_tags["purpose"], "agent");
        let mut actor = role(Some(B), "run");
        complete(&mut actor, &granted.actor);
        assert_eq!((actor.source_identity.as_deref(), actor.session_tags.len()), (Some("claude"), 1));
        let mut failed = assume(A, Some(B), "run");
        failed.error = Some("AccessDenied".into());
        assert_eq!(grant(&failed), None);
    }

    #[test]
    fn only_whole_keys_are_keys() {
        for bad in ["", "[REDACTED]", "REDACTED", "AKIA****************", "SAMPLE_ACCESS_KEY", "ASIASHORT", "1"] {
            assert!(!is_access_key(bad), "{bad}");
        }
        assert!(is_access_key(A) && is_access_key("AKIAIOSFODNN7EXAMPLE"));
    }
}
