//! From the bytes of any transport to records in normal form.
//!
//! The input is hostile until proven otherwise: sizes and depth are bounded, a member of the wrong type counts as missing,
//! nothing panics. A record is refused only when it lacks what nothing can replace (when, what, where); a refused one is
//! given back with the reason, so that it is kept and counted instead of lost. One bad record does not take others of the
//! same delivery with it.
use crate::detect::lineage;
use crate::model::{AccountId, Actor, EventId, Hash, Record, Region, Scope, SessionId, Timestamp, limits};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// What one delivery held.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decoded {
    pub records: Vec<Record>,
    /// No CloudTrail records, for good reason: test messages, digests, insights, other events.
    pub ignored: Vec<String>,
    /// Records of accounts or regions that are not watched.
    pub foreign: Vec<Scope>,
    pub unreadable: Vec<Unreadable>,
}

/// Something that should have been a record: kept in the store, shown by `doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unreadable {
    /// Of its text: the same text is kept once.
    pub id: Hash,
    /// Where it came from, in the source's words (a message id, an object's key).
    pub origin: String,
    pub why: String,
    /// As received, as far as it is UTF-8 and no longer than the limit.
    pub text: String,
    pub received_at: Timestamp,
}

/// Which accounts and regions are watched. Empty: whatever comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    pub accounts: BTreeSet<AccountId>,
    pub regions: BTreeSet<Region>,
}
impl Watched {
    pub fn has(&self, scope: &Scope) -> bool {
        (self.accounts.is_empty() || self.accounts.contains(&scope.account))
            && (self.regions.is_empty() || self.regions.contains(&scope.region))
    }
}

/// What a delivery gives to each of its records: where it came from, when, and what its envelope says for records that
/// do not say it themselves.
#[derive(Debug, Clone, Copy)]
struct Around<'a> {
    origin: &'a str,
    received_at: Timestamp,
    watched: &'a Watched,
    time: Option<&'a str>,
    account: Option<&'a str>,
    region: Option<&'a str>,
}

/// Decodes a message body: an EventBridge event, that in an SNS notification, a bare record, a list of records, a
/// `{"Records": […]}` file, or one event of LookupEvents.
pub fn decode(body: &[u8], origin: &str, received_at: Timestamp, watched: &Watched) -> Decoded {
    let mut out = Decoded::default();
    let around = Around { origin, received_at, watched, time: None, account: None, region: None };
    match parse(body) {
        Ok(v) => value(&v, &around, 0, &mut out),
        Err(why) => out.unreadable.push(unreadable(why, String::from_utf8_lossy(body).into_owned(), &around)),
    }
    out
}

fn parse(body: &[u8]) -> Result<Value, String> {
    if body.len() > limits::MESSAGE_BYTES_MAX {
        return Err(format!("{} bytes; the limit is {}", body.len(), limits::MESSAGE_BYTES_MAX));
    }
    // serde_json itself stops at a depth of 128.
    let v = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
    match depth(&v) {
        d if d > limits::RECORD_DEPTH_MAX => Err(format!("nested {d} deep; the limit is {}", limits::RECORD_DEPTH_MAX)),
        _ => Ok(v),
    }
}
fn depth(v: &Value) -> usize {
    match v {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(m) => 1 + m.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn unreadable(why: String, mut text: String, around: &Around) -> Unreadable {
    let id = Hash::of_bytes(text.as_bytes());
    if text.len() > limits::MESSAGE_BYTES_MAX {
        let mut end = limits::MESSAGE_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    Unreadable { id, origin: around.origin.to_owned(), why, text, received_at: around.received_at }
}

/// Detail types under which EventBridge delivers CloudTrail records (cloudtrail-facts §4).
const DETAIL_TYPES: [&str; 5] = [
    "AWS API Call via CloudTrail",
    "AWS Service Event via CloudTrail",
    "AWS Console Sign In via CloudTrail",
    "AWS Console Action via CloudTrail",
    "AWS Insight via CloudTrail",
];

/// `wraps` counts the envelopes opened so far: SNS in SQS, EventBridge in that, a record in that.
fn value(v: &Value, around: &Around, wraps: usize, out: &mut Decoded) {
    let refuse = |why: &str, out: &mut Decoded| out.unreadable.push(unreadable(why.into(), v.to_string(), around));
    if wraps > 3 {
        return refuse("envelopes within envelopes; at most 3 are opened", out);
    }
    let inner = |text: &str, out: &mut Decoded| match parse(text.as_bytes()) {
        Ok(v) => value(&v, around, wraps + 1, out),
        Err(why) => out.unreadable.push(unreadable(why, text.to_owned(), around)),
    };
    match v {
        Value::Array(list) => return list.iter().for_each(|v| value(v, around, wraps + 1, out)),
        Value::Object(_) => {}
        _ => return refuse("no JSON object", out),
    }
    let text = |name: &str| v.get(name).and_then(Value::as_str);
    if let Some(kind) = text("Type")
        && v.get("TopicArn").is_some()
    {
        return match text("Message") {
            Some(message) if kind == "Notification" => inner(message, out),
            _ => out.ignored.push(format!("an SNS message of type {}", short(kind))),
        };
    }
    if let (Some(kind), Some(detail)) = (text("detail-type"), v.get("detail")) {
        if !DETAIL_TYPES.contains(&kind) {
            return out.ignored.push(format!("an event of type `{}`", short(kind)));
        }
        let around = Around { time: text("time"), account: text("account"), region: text("region"), ..*around };
        return one(detail, &around, out);
    }
    if let Some(record) = text("CloudTrailEvent") {
        return inner(record, out);
    }
    if let Some(Value::Array(list)) = v.get("Records") {
        return list.iter().for_each(|v| one(v, around, out));
    }
    one(v, around, out);
}

/// One record, or the reason why there is none.
fn one(v: &Value, around: &Around, out: &mut Decoded) {
    if let Some(why) = no_record(v) {
        return out.ignored.push(why);
    }
    match record(v, around) {
        Ok(record) if !around.watched.has(&record.scope) => out.foreign.push(record.scope),
        Ok(record) => out.records.push(record),
        Err(why) => out.unreadable.push(unreadable(why, v.to_string(), around)),
    }
}

/// Things that travel where records do and are none.
fn no_record(v: &Value) -> Option<String> {
    let text = |name: &str| v.get(name).and_then(Value::as_str);
    if text("eventSource") == Some("aws:s3") || text("Event") == Some("s3:TestEvent") {
        return Some("an S3 notification; log files are read by another source".into());
    }
    if text("eventCategory") == Some("Insight") || text("eventType") == Some("AwsCloudTrailInsight") {
        return Some("an insight, not a call".into());
    }
    v.get("digestS3Object").is_some().then(|| "a digest file".into())
}

fn record(v: &Value, around: &Around) -> Result<Record, String> {
    if !v.is_object() {
        return Err("no JSON object".into());
    }
    let text = |name: &str| bounded(v.get(name));
    let source = text("eventSource").ok_or("no eventSource")?;
    let name = text("eventName").ok_or("no eventName")?;
    // Version texts are "1.0" to "1.11" and compare as two integers; another major may mean anything.
    if let Some(version) = text("eventVersion").filter(|v| v.split('.').next() != Some("1")) {
        return Err(format!("eventVersion {}; versions 1.x are known", short(&version)));
    }
    let time = [v.get("eventTime"), v.get("@timestamp")].into_iter().flatten().find_map(time);
    let time = time.or_else(|| around.time.and_then(time_of_text)).ok_or("no eventTime, or none that can be read")?;
    let actor = actor(v);
    let account = [text("recipientAccountId"), actor.account.as_ref().map(|a| a.as_str().to_owned())]
        .into_iter()
        .flatten()
        .chain(around.account.map(str::to_owned))
        .find_map(|a| a.parse().ok())
        .ok_or("names no account (recipientAccountId, userIdentity.accountId)")?;
    let region = [text("awsRegion").as_deref(), around.region]
        .into_iter()
        .flatten()
        .find_map(|r| r.parse().ok())
        .ok_or("names no region (awsRegion)")?;
    let part = |name: &str| v.get(name).cloned().unwrap_or_default();
    let id = match text("eventID").filter(|id| !id.is_empty()) {
        Some(id) if id.len() > limits::EVENT_ID_BYTES_MAX => {
            return Err(format!("eventID of {} bytes; the limit is {}", id.len(), limits::EVENT_ID_BYTES_MAX));
        }
        Some(id) => EventId(id),
        // Some old and trimmed records lack it; the same record gets the same id.
        None => EventId(format!("none-{}", Hash::of(v).short())),
    };
    let request = part("requestParameters");
    Ok(Record {
        id,
        time,
        name: plain_name(&source, &name).to_owned(),
        scope: Scope::new(account, region),
        session: session(&actor, &source),
        actor,
        error: error(v, &request),
        read_only: flag(v.get("readOnly")),
        request,
        response: part("responseElements"),
        additional: part("additionalEventData"),
        resources: part("resources"),
        request_id: text("requestID"),
        shared_event_id: text("sharedEventID"),
        addendum_of: v
            .get("addendum")
            .and_then(|a| bounded(a.get("originalEventID")))
            .filter(|id| (1..=limits::EVENT_ID_BYTES_MAX).contains(&id.len()))
            .map(EventId),
        event_type: text("eventType"),
        received_at: around.received_at,
        source,
    })
}

/// Sessions are named by what a record says; what it says at length is named by its hash.
fn session(actor: &Actor, source: &str) -> SessionId {
    let id = lineage::session_of(actor, source);
    if id.0.len() <= 512 { id } else { SessionId(Hash::of_bytes(id.0.as_bytes()).as_str().to_owned()) }
}

/// A call fails with an error code. Sign-ins may have a message alone; RDS accepts `dryRun` and reports success.
fn error(v: &Value, request: &Value) -> Option<String> {
    let text = |name: &str| bounded(v.get(name)).filter(|s| !s.is_empty());
    if let Some(code) = text("errorCode") {
        return Some(code);
    }
    if v.get("errorCode").is_some_and(|c| !c.is_null() && c.as_str() != Some("")) {
        return Some("an error code that cannot be read".into());
    }
    if text("eventType").as_deref() == Some("AwsConsoleSignIn") {
        return text("errorMessage");
    }
    let asked = |m: &Value| ["dryRun", "DryRun"].iter().any(|name| flag(m.get(name)) == Some(true));
    let dry = asked(request) || request.as_object().is_some_and(|m| m.values().any(asked));
    dry.then(|| "DryRun".to_owned())
}

fn actor(v: &Value) -> Actor {
    let nothing = Value::Null;
    let identity = v.get("userIdentity").unwrap_or(&nothing);
    let session = &identity["sessionContext"];
    let text = |v: &Value| bounded(Some(v)).filter(|s| !s.is_empty());
    let attributes = &session["attributes"];
    Actor {
        kind: text(&identity["type"]).unwrap_or_default(),
        arn: text(&identity["arn"]),
        principal_id: text(&identity["principalId"]),
        account: text(&identity["accountId"]).and_then(|a| a.parse().ok()),
        role_arn: text(&session["sessionIssuer"]["arn"]).filter(|arn| arn.contains(":role/")),
        user_name: text(&identity["userName"]),
        source_identity: text(&session["sourceIdentity"]),
        on_behalf_of: text(&identity["onBehalfOf"]["userId"]).or_else(|| text(&session["onBehalfOf"]["userId"])),
        invoked_by: text(&identity["invokedBy"]),
        user_agent: text(&v["userAgent"]).map(|ua| unbracketed(&ua).to_owned()),
        access_key: text(&identity["accessKeyId"]).filter(|key| lineage::is_access_key(key)),
        issued_at: time(&attributes["creationDate"]),
        sign_in: text(&session["signInSessionArn"]),
        // In the record itself, or among the session's attributes.
        from_console: flag(v.get("sessionCredentialFromConsole")) == Some(true)
            || flag(attributes.get("sessionCredentialFromConsole")) == Some(true),
        session_tags: Default::default(),
    }
}

/// Text within the limit; longer is cut at it, since CloudTrail itself cuts at 1 KB and the start tells.
fn bounded(v: Option<&Value>) -> Option<String> {
    let text = v?.as_str()?;
    let mut end = text.len().min(limits::RECORD_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Some(text[..end].to_owned())
}
fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Lambda appends its API version to event names (`DeleteFunction20150331v2`), CloudFront once did (`…2014_11_06`).
fn plain_name<'a>(source: &str, name: &'a str) -> &'a str {
    let digits = |s: &str, n: usize| s.len() == n && s.bytes().all(|b| b.is_ascii_digit());
    let ends = |name: &'a str, n: usize| name.len().checked_sub(n).and_then(|at| name.split_at_checked(at));
    match source {
        "lambda.amazonaws.com" => {
            let unversioned = match name.rsplit_once('v') {
                Some((head, version)) if (1..=2).contains(&version.len()) && digits(version, version.len()) => head,
                _ => name,
            };
            match ends(unversioned, 8) {
                Some((head, date)) if digits(date, 8) => head,
                _ => name,
            }
        }
        "cloudfront.amazonaws.com" => match ends(name, 10) {
            Some((head, date)) if digits(&date.replace('_', ""), 8) => head,
            _ => name,
        },
        _ => name,
    }
}

/// S3 writes user agents in square brackets.
fn unbracketed(ua: &str) -> &str {
    ua.strip_prefix('[').and_then(|ua| ua.strip_suffix(']')).unwrap_or(ua)
}
/// `true`, `"true"`, and nothing else.
fn flag(v: Option<&Value>) -> Option<bool> {
    match v? {
        Value::Bool(b) => Some(*b),
        Value::String(s) if s.eq_ignore_ascii_case("true") => Some(true),
        Value::String(s) if s.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}
/// RFC 3339; with a space; without an offset (UTC then); or seconds of the epoch.
fn time(v: &Value) -> Option<Timestamp> {
    match v {
        Value::String(text) => time_of_text(text),
        Value::Number(n) => n.as_i64().and_then(|s| Timestamp::from_second(s).ok()),
        _ => None,
    }
}
fn time_of_text(text: &str) -> Option<Timestamp> {
    if text.len() > 64 {
        return None;
    }
    let with_offset = || text.parse::<Timestamp>().ok();
    let without = || jiff::tz::TimeZone::UTC.to_timestamp(text.parse().ok()?).ok();
    with_offset().or_else(without)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-03-01T10:01:00Z".parse().unwrap()
    }
    fn plain() -> Value {
        json!({
            "eventVersion": "1.11",
            "userIdentity": {
                "type": "AssumedRole", "principalId": "AROAEXAMPLE:run", "accountId": "111122223333",
                "arn": "arn:aws:sts::111122223333:assumed-role/ops/run", "accessKeyId": "ASIAEXAMPLEEXAMPLE01",
                "sessionContext": {
                    "sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/path/ops"},
                    "webIdFederationData": {},
                    "attributes": {"creationDate": "2026-03-01T09:00:00Z"},
                    "sourceIdentity": "claude"
                },
                "onBehalfOf": {"userId": "39d6ef71"}
            },
            "eventTime": "2026-03-01T10:00:00Z", "eventSource": "ec2.amazonaws.com", "eventName": "DeleteVpc",
            "awsRegion": "eu-west-1", "userAgent": "[aws-cli/2]", "requestParameters": {"vpcId": "vpc-0a0a0a0a"},
            "responseElements": {"_return": true}, "requestID": "r-1", "eventID": "e-1", "readOnly": false,
            "eventType": "AwsApiCall", "recipientAccountId": "111122223333", "someNewField": {"x": 1}
        })
    }
    fn decoded(v: &Value) -> Decoded {
        decode(v.to_string().as_bytes(), "m-1", now(), &Watched::default())
    }
    fn with(change: impl FnOnce(&mut Value)) -> Decoded {
        let mut v = plain();
        change(&mut v);
        decoded(&v)
    }
    fn the(decoded: Decoded) -> Record {
        assert_eq!((decoded.ignored.len(), decoded.foreign.len(), decoded.unreadable.len()), (0, 0, 0), "{decoded:?}");
        let [record] = &decoded.records[..] else { panic!("{decoded:?}") };
        record.clone()
    }

    #[test]
    fn a_record_in_normal_form() {
        let it = the(decoded(&plain()));
        assert_eq!(
            (it.id.0.as_str(), it.name.as_str(), it.session.0.as_str()),
            ("e-1", "DeleteVpc", "ASIAEXAMPLEEXAMPLE01")
        );
        assert_eq!(it.scope.to_string(), "aws/111122223333/eu-west-1");
        assert_eq!(it.actor.role_arn.as_deref(), Some("arn:aws:iam::111122223333:role/path/ops"));
        assert_eq!(it.actor.source_identity.as_deref(), Some("claude"));
        assert_eq!(it.actor.on_behalf_of.as_deref(), Some("39d6ef71"));
        assert_eq!(it.actor.user_agent.as_deref(), Some("aws-cli/2"));
        assert_eq!((it.read_only, it.succeeded(), it.received_at), (Some(false), true, now()));
    }

    #[test]
    fn every_envelope_gives_the_same_record() {
        let bare = the(decoded(&plain()));
        let bridge = json!({"version": "0", "id": "x", "detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2",
            "account": "999988887777", "time": "2026-03-01T10:00:00Z", "region": "us-east-1", "resources": [], "detail": plain()});
        let sns = |message: &Value| json!({"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Message": message.to_string()});
        for wrapped in [
            bridge.clone(),
            sns(&bridge),
            sns(&plain()),
            json!([plain()]),
            json!({"Records": [plain()]}),
            json!({"EventId": "e-1", "CloudTrailEvent": plain().to_string()}),
        ] {
            assert_eq!(the(decoded(&wrapped)), bare, "{wrapped}");
        }
        let mut trimmed = bridge;
        for member in ["eventTime", "awsRegion", "recipientAccountId", "userIdentity"] {
            trimmed["detail"].as_object_mut().unwrap().remove(member);
        }
        assert_eq!(the(decoded(&trimmed)).scope.to_string(), "aws/999988887777/us-east-1");
    }

    #[test]
    fn what_is_no_record_is_ignored_with_a_reason() {
        for (v, why) in [
            (json!({"Type": "SubscriptionConfirmation", "TopicArn": "x"}), "an SNS message of type"),
            (json!({"detail-type": "EC2 Instance State-change Notification", "detail": {}}), "an event of type"),
            (json!({"Records": [{"eventSource": "aws:s3", "s3": {}}]}), "an S3 notification"),
            (json!({"Event": "s3:TestEvent"}), "an S3 notification"),
            (json!({"eventCategory": "Insight"}), "an insight"),
            (json!({"digestS3Object": "x"}), "a digest"),
        ] {
            let got = decoded(&v);
            assert!(got.records.is_empty() && got.unreadable.is_empty());
            assert!(got.ignored[0].starts_with(why), "{got:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_given_back_and_takes_nothing_with_it() {
        let mut bad = plain();
        bad.as_object_mut().unwrap().remove("eventTime");
        let got = decoded(&json!({"Records": [bad, plain(), 7]}));
        assert_eq!((got.records.len(), got.unreadable.len()), (1, 2));
        assert_eq!(got.unreadable[0].why, "no eventTime, or none that can be read");
        assert_eq!(got.unreadable[0].origin, "m-1");
        assert!(got.unreadable[0].text.contains("DeleteVpc"));
        for (body, why) in [
            (&b"{"[..], "not JSON"),
            (b"\xff\xfe", "not JSON"),
            (b"", "not JSON"),
            (b"7", "no JSON object"),
            (b"{}", "no eventSource"),
        ] {
            let got = decode(body, "m", now(), &Watched::default());
            assert!(got.unreadable[0].why.starts_with(why), "{got:?}");
        }
        let deep = "[".repeat(100) + &"]".repeat(100);
        let got = decode(deep.as_bytes(), "m", now(), &Watched::default());
        assert_eq!(got.unreadable[0].why, "nested 100 deep; the limit is 64");
        let long = format!("\"{}\"", "é".repeat(limits::MESSAGE_BYTES_MAX));
        let got = decode(long.as_bytes(), "m", now(), &Watched::default());
        assert!(got.unreadable[0].why.ends_with("the limit is 1048576"));
        assert!(got.unreadable[0].text.len() <= limits::MESSAGE_BYTES_MAX);
        assert!(with(|v| v["eventVersion"] = json!("2.0")).unreadable[0].why.starts_with("eventVersion 2.0"));
    }

    #[test]
    fn oddities_of_real_records() {
        let name = |source: &str, name: &str| {
            the(with(|v| (v["eventSource"], v["eventName"]) = (json!(source), json!(name)))).name
        };
        assert_eq!(name("lambda.amazonaws.com", "DeleteFunction20150331"), "DeleteFunction");
        assert_eq!(name("lambda.amazonaws.com", "RemovePermission20150331v2"), "RemovePermission");
        assert_eq!(name("lambda.amazonaws.com", "DeleteFunction"), "DeleteFunction");
        assert_eq!(name("cloudfront.amazonaws.com", "DeleteDistribution2014_11_06"), "DeleteDistribution");
        assert_eq!(name("ec2.amazonaws.com", "Thing20150331"), "Thing20150331");
        for (text, expected) in [
            (json!("2026-03-01 10:00:00.000"), "2026-03-01T10:00:00Z"),
            (json!("2026-03-01T12:00:00+02:00"), "2026-03-01T10:00:00Z"),
            (json!(1772359200), "2026-03-01T10:00:00Z"),
        ] {
            assert_eq!(the(with(|v| v["eventTime"] = text)).time.to_string(), expected);
        }
        assert_eq!(the(with(|v| v["readOnly"] = json!("true"))).read_only, Some(true));
        assert_eq!(the(with(|v| v["readOnly"] = Value::Null)).read_only, None);
        for version in ["1.0", "1.01", "1.08", "1.10", "1.11"] {
            the(with(|v| v["eventVersion"] = json!(version)));
        }
        let bare = the(with(|v| v["userIdentity"] = Value::Null));
        assert_eq!((bare.session.0.as_str(), bare.actor.kind.as_str()), ("unknown", ""));
        let hidden = the(with(|v| v["userIdentity"]["accessKeyId"] = json!("[REDACTED]")));
        assert_eq!(hidden.session.0, "AROAEXAMPLE:run@2026-03-01T09:00:00Z");
        let error = |change: fn(&mut Value)| the(with(change)).error;
        assert_eq!(error(|v| v["errorCode"] = json!("")), None);
        assert_eq!(
            error(|v| v["errorCode"] = json!("Client.DryRunOperation")).as_deref(),
            Some("Client.DryRunOperation")
        );
        assert!(error(|v| v["errorCode"] = json!(7)).is_some());
        assert_eq!(error(|v| v["requestParameters"] = json!({"dryRun": true})).as_deref(), Some("DryRun"));
        assert_eq!(error(|v| v["requestParameters"] = json!({"dryRun": false})), None);
        let addendum = |v: Value| the(with(|r| r["addendum"] = v)).addendum_of.map(|id| id.0);
        let reason = "UPDATED_DATA";
        assert_eq!(addendum(json!({"reason": reason, "originalEventID": "e-0"})).as_deref(), Some("e-0"));
        assert_eq!(addendum(json!({"reason": "DELIVERY_DELAY"})), None);
        assert_eq!(addendum(json!(["originalEventID"])), None);
        let shared = the(with(|v| v["sharedEventID"] = json!("s-1"))).shared_event_id;
        assert_eq!(shared.as_deref(), Some("s-1"));
        // The same record without an id gets the same id.
        let id = |_| the(with(|v| _ = v.as_object_mut().unwrap().remove("eventID"))).id;
        assert_eq!(id(1), id(2));
    }

    #[test]
    fn strangers_are_counted_and_not_read() {
        let watched = |account: &str| Watched { accounts: [account.parse().unwrap()].into(), ..Watched::default() };
        let body = plain().to_string();
        assert_eq!(decode(body.as_bytes(), "m", now(), &watched("111122223333")).records.len(), 1);
        let got = decode(body.as_bytes(), "m", now(), &watched("999988887777"));
        assert_eq!((got.records.len(), got.foreign.len()), (0, 1));
    }

    proptest! {
        /// Broken bytes, swapped types, cut texts: always an answer, and everything accounted for.
        #[test]
        fn nothing_panics(at in 0usize..2000, byte: u8, cut in 0usize..2000) {
            let mut body = json!({"detail-type": DETAIL_TYPES[0], "detail": plain()}).to_string().into_bytes();
            let n = body.len();
            body[at % n] = byte;
            body.truncate(n - cut % 40);
            let got = decode(&body, "m", now(), &Watched::default());
            prop_assert_eq!(got.records.len() + got.ignored.len() + got.foreign.len() + got.unreadable.len(), 1);
        }

        #[test]
        fn any_member_may_be_anything(which in 0usize..20, value in any_json()) {
            let mut v = plain();
            let names: Vec<String> = v.as_object().unwrap().keys().cloned().collect();
            v[names[which % names.len()].as_str()] = value.clone();
            for part in ["accessKeyId", "principalId", "sessionContext"] {
                if which % 3 == 0 && v["userIdentity"].is_object() {
                    v["userIdentity"][part] = value.clone();
                }
            }
            for record in decoded(&v).records {
                use crate::detect::{actions, lineage, signs};
                actions::mentioned(&record);
                actions::made(&record);
                lineage::grant(&record);
                let action = actions::classify(&record);
                signs::warning(&record, &action);
                signs::blinds(&record, &action, &signs::Own::default());
                prop_assert!(actions::details(&record, &action.targets).chars().count() <= 300);
            }
        }
    }
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z0-9:/%é-]{0,12}".prop_map(Value::from),
            Just(json!("vpc-0a0a0a0a")),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("(items|content|tag|vpcId|[a-zé]{0,3})", inner, 0..4)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }
}
