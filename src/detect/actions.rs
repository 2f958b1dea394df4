//! One record on its own: what the call did, to what, what it made, and all that it mentions. Knows nothing of who called.
//!
//! Records are untrusted: every list is bounded, nothing is assumed to have its documented type, and a target that cannot
//! be read is simply absent (the inventory finds out later what is gone).
use super::catalogue::{self, Entry};
use crate::model::{
    KindName, Record, Scope,
    incident::{Class, Target},
    limits,
    reference::kind_of_id,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// What one call is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// `None`: it neither takes away nor adds, or nobody knows.
    pub class: Option<Class>,
    /// What it acts on; what it made, for a call that makes things. In the order of the record, each once.
    pub targets: Vec<Target>,
    /// It only looks.
    pub read: bool,
    /// The call came through, and the answer says that nothing of what it names was done.
    pub refused: bool,
}
impl Action {
    /// It took effect and took something away.
    pub fn destroyed(&self, record: &Record) -> bool {
        record.succeeded() && !self.refused && self.class.is_some_and(|c| c != Class::Add)
    }
}

/// The meaning of a record's call. Failed calls and dry runs keep their class and targets: whoever counts losses looks at
/// `Record::error`.
pub fn classify(record: &Record) -> Action {
    let entries = catalogue::lookup(&record.source, &record.name);
    let class = match entries.first() {
        Some(entry) => entry.class,
        None if ours_to_judge(record) => class_of_verb(&record.name),
        None => None,
    };
    // `readOnly` is missing or wrong on some records (cloudtrail-facts §5.9): the catalogue's word counts more.
    let read_only = record.read_only == Some(true);
    let class = class.filter(|_| !entries.is_empty() || !read_only);
    let read = class.is_none() && (read_only || is_read_verb(&record.name) || !entries.is_empty() || !acts(record));
    let mut targets = match class {
        None => Vec::new(),
        Some(Class::Add) => match made(record) {
            made if made.is_empty() => added_to(record),
            made => made,
        },
        Some(_) => targets(record, entries),
    };
    let named = targets.len();
    let failures = failures(&record.response);
    targets.retain(|t| !failures.contains(name_of(t)));
    Action { class, refused: named > 0 && targets.is_empty(), targets, read }
}

/// The id of a target, or what the record calls it.
pub fn name_of(target: &Target) -> &str {
    match target {
        Target::Resource(key) => &key.id,
        Target::Named { name, .. } => name,
    }
}

/// What the answer of a batch call says was not done (`unsuccessful`, `failedEntries`): such a call has no error code
/// (cloudtrail-facts §5.6). Texts of all kinds, of which only those count that name a target.
fn failures(response: &Value) -> BTreeSet<String> {
    const MEMBERS: [&str; 5] = ["unsuccessful", "failedEntries", "failed", "failures", "errors"];
    let mut out = BTreeSet::new();
    // At the top, or in the wrapper that is named after the call.
    let inner = response.as_object().into_iter().flat_map(|m| m.values());
    for part in std::iter::once(response).chain(inner).filter_map(Value::as_object) {
        for (_, list) in part.iter().filter(|(name, _)| MEMBERS.iter().any(|m| same_member(name, m))) {
            each_text(list, &mut |_, text| _ = out.insert(tidy(text)));
        }
    }
    out
}

/// The call that takes away what an adding call adds: its counterpart by name, where the catalogue has one.
pub fn removal(source: &str, name: &str) -> Option<String> {
    const PAIRS: &[(&str, &[&str])] = &[
        ("Authorize", &["Revoke"]),
        ("Attach", &["Detach"]),
        ("Associate", &["Disassociate"]),
        ("Assign", &["Unassign"]),
        ("Allocate", &["Release"]),
        ("Add", &["Remove"]),
        ("Register", &["Deregister"]),
        ("Create", &["Delete", "Revoke"]),
        ("Run", &["Terminate"]),
        ("Put", &["Delete"]),
        ("Enable", &["Disable"]),
        ("Start", &["Stop"]),
        ("Tag", &["Untag"]),
        ("Subscribe", &["Unsubscribe"]),
        ("Accept", &["Delete"]),
        ("Import", &["Delete"]),
        ("Copy", &["Delete"]),
    ];
    let (verb, opposites) = PAIRS.iter().find(|(verb, _)| starts_with_word(name, verb))?;
    let rest = &name[verb.len()..];
    // AddRoleToInstanceProfile and RemoveRoleFromInstanceProfile.
    let from = rest.replacen("To", "From", 1);
    let names = opposites.iter().flat_map(|o| [format!("{o}{rest}"), format!("{o}{from}")]);
    names
        .into_iter()
        .find(|name| catalogue::lookup(source, name).iter().any(|e| e.class.is_some_and(|c| c != Class::Add)))
}

/// What an adding call added, in its own words: members of the request with their values, but for those that name
/// `targets`. No longer than a line.
pub fn details(record: &Record, targets: &[Target]) -> String {
    const CHARS_MAX: usize = 300;
    const VALUE_CHARS_MAX: usize = 60;
    const NOISE: [&str; 5] = ["clientToken", "dryRun", "tag", "xmlns", "Host"];
    let names: BTreeSet<&str> = targets.iter().map(name_of).collect();
    let mut parts: Vec<String> = vec![];
    each_leaf(&record.request, &mut |member, value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let noise = NOISE.iter().any(|n| same_member(member, n)) || text.is_empty() || value.is_null();
        if !noise && !names.contains(tidy(&text).as_str()) && !is_hidden(&text) {
            let text: String = text.chars().take(VALUE_CHARS_MAX).collect();
            parts.push(format!("{member}={text}"));
        }
    });
    let mut out: String = parts.join(" ").chars().take(CHARS_MAX).collect();
    out.truncate(out.trim_end().len());
    out
}

/// Whether the call changes anything: the reason to capture again what it mentions.
pub fn is_write(record: &Record) -> bool {
    !classify(record).read
}

/// Calls by people and programs. Sign-ins, tool calls (their API calls have records of their own) and insights are not;
/// service events count only where the catalogue knows them.
fn acts(record: &Record) -> bool {
    !matches!(
        record.event_type.as_deref(),
        Some("AwsConsoleSignIn" | "AwsMcpEvent" | "AwsCloudTrailInsight" | "AwsVpceEvent")
    )
}
fn ours_to_judge(record: &Record) -> bool {
    acts(record) && record.event_type.as_deref() != Some("AwsServiceEvent")
}

/// A word of a name in camel case at its start: `Delete` is in `DeleteVpc` and not in `Deleterious`.
fn starts_with_word(name: &str, word: &str) -> bool {
    name.strip_prefix(word).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_lowercase()))
}

fn is_read_verb(name: &str) -> bool {
    const READS: &[&str] = &[
        "Get", "List", "Describe", "Head", "BatchGet", "Search", "Scan", "Query", "Lookup", "Select", "Test",
        "Validate", "Estimate", "Check", "Simulate", "Download", "View", "Filter", "Preview", "Generate", "Verify",
        "Decrypt", "Encrypt", "Detect", "Discover", "Assume",
    ];
    READS.iter().any(|verb| starts_with_word(name, verb))
}

/// The class by the verb, for calls that the catalogue lacks: new operations and services without a model here.
fn class_of_verb(name: &str) -> Option<Class> {
    const VERBS: &[(&str, Class)] = &[
        ("BatchDelete", Class::Delete),
        ("Delete", Class::Delete),
        ("Terminate", Class::Delete),
        ("Purge", Class::Delete),
        ("Release", Class::Delete),
        ("Destroy", Class::Delete),
        ("Deregister", Class::Delete),
        ("Schedule", Class::Modify),
        ("Remove", Class::Detach),
        ("Revoke", Class::Detach),
        ("Detach", Class::Detach),
        ("Disassociate", Class::Detach),
        ("BatchDisassociate", Class::Detach),
        ("Unassign", Class::Detach),
        ("Unsubscribe", Class::Detach),
        ("Untag", Class::Modify),
        ("Leave", Class::Detach),
        ("Reject", Class::Detach),
        ("Stop", Class::Stop),
        ("Disable", Class::Stop),
        ("Deactivate", Class::Stop),
        ("Suspend", Class::Stop),
        ("Pause", Class::Stop),
        ("Cancel", Class::Stop),
        ("Abort", Class::Stop),
        ("Reboot", Class::Stop),
        ("Reset", Class::Modify),
        ("Modify", Class::Modify),
        ("Update", Class::Modify),
        ("BatchUpdate", Class::Modify),
        ("Put", Class::Modify),
        ("Set", Class::Modify),
        ("Change", Class::Modify),
        ("Replace", Class::Modify),
        ("Restore", Class::Add),
        ("Create", Class::Add),
        ("BatchCreate", Class::Add),
        ("Run", Class::Add),
        ("Allocate", Class::Add),
        ("Copy", Class::Add),
        ("Import", Class::Add),
        ("Attach", Class::Add),
        ("Associate", Class::Add),
        ("Authorize", Class::Add),
        ("Add", Class::Add),
        ("Register", Class::Add),
        ("Enable", Class::Add),
        ("Start", Class::Add),
        ("Assign", Class::Add),
        ("Accept", Class::Add),
        ("Tag", Class::Add),
        ("Provision", Class::Add),
        ("Launch", Class::Add),
        ("Upload", Class::Add),
    ];
    VERBS.iter().find(|(verb, _)| starts_with_word(name, verb)).map(|(_, class)| *class)
}

/// What a call is named after: `Repository` of `DeleteRepository`.
fn noun(name: &str) -> &str {
    let second = name.char_indices().skip(1).find(|(_, c)| c.is_ascii_uppercase());
    second.map_or("", |(at, _)| &name[at..])
}

/// Targets of a call that takes away.
fn targets(record: &Record, entries: &[Entry]) -> Vec<Target> {
    let mut out = Targets::of(record);
    // Services that share a source differ in where they name the target: the entry that fits the record is the right one.
    for entry in entries {
        for path in &entry.paths {
            let mut found = Vec::new();
            at_path(&record.request, path, &mut found);
            if found.is_empty()
                && let Some(leaf) = path.last().filter(|leaf| tells(leaf))
            {
                // Behind a wrapper of another name, or only the response was not too large to be kept.
                at_any_depth(&record.request, leaf, &mut found);
                if found.is_empty() && is_absent(&record.request) {
                    at_any_depth(&record.response, leaf, &mut found);
                }
            }
            found.into_iter().for_each(|name| out.name(name, entry.kind.as_ref()));
        }
        if !out.list.is_empty() {
            return out.list;
        }
    }
    if entries.is_empty() {
        shallow(&record.request, &mut |leaf, name| {
            // At the top of a request that nobody described, `name`, `id` and what the call is named after are its own.
            let own =
                matches!(leaf, "name" | "id" | "arn" | "names" | "identifier") || same_member(leaf, noun(&record.name));
            if own || kind_of_id(&tidy(name)).is_some() || tells(leaf) {
                out.name(name, None);
            }
        });
    }
    if out.list.is_empty() {
        arns(&record.resources).for_each(|arn| out.name(arn, entries.first().and_then(|e| e.kind.as_ref())));
    }
    out.list
}

/// What an adding call adds to, when it makes nothing of its own: what its counterpart takes away from, and the ids at the
/// top of its request.
fn added_to(record: &Record) -> Vec<Target> {
    let mut out = Targets::of(record);
    for entry in removal(&record.source, &record.name).iter().flat_map(|name| catalogue::lookup(&record.source, name)) {
        if let Some(path) = entry.paths.first() {
            let mut found = Vec::new();
            at_path(&record.request, path, &mut found);
            found.into_iter().for_each(|name| out.name(name, entry.kind.as_ref()));
        }
    }
    shallow(&record.request, &mut |_, name| {
        if kind_of_id(&tidy(name)).is_some() {
            out.name(name, None);
        }
    });
    if out.list.is_empty() {
        arns(&record.resources).for_each(|arn| out.name(arn, None));
    }
    out.list
}

/// What a successful adding call brought into being: the ids of the call's kind in its response that the request did not
/// already name. CreateVpc makes `vpc.vpcId`, not the `dhcpOptionsId` beside it.
pub fn made(record: &Record) -> Vec<Target> {
    if !record.succeeded() {
        return Vec::new();
    }
    let entries = catalogue::lookup(&record.source, &record.name);
    let Some(entry) = entries.iter().find(|e| e.class == Some(Class::Add)) else { return Vec::new() };
    let Some(kind) = &entry.kind else {
        return if starts_with_word(&record.name, "Create") {
            sibling_names(record, &record.request)
        } else {
            Vec::new()
        };
    };
    let mut before = BTreeSet::new();
    each_text(&record.request, &mut |_, text| _ = before.insert(tidy(text)));
    let mut out = Targets::of(record);
    each_text(&record.response, &mut |_, text| {
        let id = tidy(text);
        if kind_of_id(&id).as_ref() == Some(kind) && !before.contains(&id) {
            out.name(text, Some(kind));
        }
    });
    out.list
}

/// Where DeleteX names its target, CreateX names what it makes: for services whose things have names, not ids.
fn sibling_names(record: &Record, from: &Value) -> Vec<Target> {
    let Some(noun) = record.name.strip_prefix("Create") else { return Vec::new() };
    let mut out = Targets::of(record);
    for entry in catalogue::lookup(&record.source, &format!("Delete{noun}")) {
        if let Some(path) = entry.paths.first() {
            let mut found = Vec::new();
            at_path(from, path, &mut found);
            found.into_iter().for_each(|name| out.name(name, entry.kind.as_ref()));
        }
    }
    out.list
}

/// Everything that a successful writing call names, in request, response and `resources`: what to capture again. More
/// than its targets: CreateRoute mentions the gateway too.
pub fn mentioned(record: &Record) -> Vec<Target> {
    let action = classify(record);
    if action.read || !record.succeeded() {
        return Vec::new();
    }
    let mut out = Targets::of(record);
    for target in action.targets {
        out.push(target);
    }
    for part in [&record.request, &record.response] {
        each_text(part, &mut |_, text| {
            if kind_of_id(&tidy(text)).is_some() {
                out.name(text, None);
            }
        });
    }
    arns(&record.resources).for_each(|arn| out.name(arn, None));
    out.list
}

/// Targets found so far: each once, in order, no more than the limit.
struct Targets<'a> {
    scope: &'a Scope,
    list: Vec<Target>,
    seen: BTreeSet<Target>,
}
impl<'a> Targets<'a> {
    fn of(record: &'a Record) -> Self {
        Self { scope: &record.scope, list: Vec::new(), seen: BTreeSet::new() }
    }
    fn push(&mut self, target: Target) {
        if self.list.len() < limits::RECORD_TARGETS_MAX && self.seen.insert(target.clone()) {
            self.list.push(target);
        }
    }
    /// A name, id or ARN as the record has it. `kind` is what the call is about, for names that do not tell.
    fn name(&mut self, text: &str, kind: Option<&KindName>) {
        let is_of_rds = kind.is_some_and(|k| k.as_str().starts_with("rds:"));
        let name = if is_of_rds { rds_name(text) } else { tidy(text) };
        if name.is_empty() || name.len() > limits::ID_BYTES_MAX || is_hidden(&name) {
            return;
        }
        match kind_of_id(&name) {
            Some(kind) => self.push(Target::Resource(scope_of(text, self.scope).key(kind, name))),
            None => self.push(Target::Named { kind: kind.cloned(), name }),
        }
    }
}

/// An ARN of EC2 becomes the id at its end; an ARN that was URL-encoded is decoded; all else stays as it is.
fn tidy(text: &str) -> String {
    let text = text.trim();
    if text.starts_with("arn%3A") {
        return text.replace("%3A", ":").replace("%3a", ":").replace("%2F", "/").replace("%2f", "/");
    }
    match ec2_arn(text) {
        Some((_, _, id)) => id.to_owned(),
        None => text.to_owned(),
    }
}
/// RDS keeps names in lower case, however a call writes them, and takes ARNs in their place: the name is the rest of it.
fn rds_name(text: &str) -> String {
    let name = text.trim().strip_prefix("arn:").and_then(|arn| arn.splitn(6, ':').nth(5));
    name.unwrap_or(text.trim()).to_ascii_lowercase()
}
/// Region, account and id of an EC2 ARN.
fn ec2_arn(text: &str) -> Option<(&str, &str, &str)> {
    let mut parts = text.strip_prefix("arn:")?.splitn(5, ':').skip(1);
    if parts.next()? != "ec2" {
        return None;
    }
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let (_, id) = resource.split_once('/')?;
    Some((region, account, id))
}
/// An ARN may name another account or region than the record's.
fn scope_of(text: &str, record: &Scope) -> Scope {
    let told =
        ec2_arn(text.trim()).and_then(|(region, account, _)| Some((region.parse().ok()?, account.parse().ok()?)));
    told.map_or_else(|| record.clone(), |(region, account)| Scope::new(account, region))
}

/// CloudTrail's words for values that it does not show.
fn is_hidden(text: &str) -> bool {
    text == "HIDDEN_DUE_TO_SECURITY_REASONS" || text.bytes().all(|b| b == b'*')
}
/// The parameters are null, or CloudTrail left them out because they were too large.
fn is_absent(v: &Value) -> bool {
    v.is_null() || v.get("omitted").is_some_and(|o| o.as_bool() == Some(true) || o.as_str() == Some("true"))
}
/// A member whose name says whose id it is, so that it may be looked for anywhere: `natGatewayId`, not `id` or `name`.
fn tells(leaf: &str) -> bool {
    let ends = ["Id", "Ids", "ID", "Arn", "ARN", "Arns", "Name", "Names", "Identifier", "Url"];
    leaf.len() > 4 && ends.iter().any(|end| leaf.ends_with(end))
}

/// Texts at a path. Lists and `{tag, content}` members may stand at every step; the first letter's case differs between
/// request and response.
fn at_path<'a>(v: &'a Value, path: &[&str], out: &mut Vec<&'a str>) {
    match (v, path) {
        (Value::Array(list), _) => list.iter().take(limits::RECORD_TARGETS_MAX).for_each(|v| at_path(v, path, out)),
        (Value::String(text), []) => out.push(text),
        (Value::Object(m), []) => {
            if let Some(content) = m.get("content") {
                at_path(content, path, out);
            } else if let Some(items) = m.get("items") {
                at_path(items, path, out);
            }
        }
        (Value::Object(m), [first, rest @ ..]) => match m.iter().find(|(name, _)| same_member(name, first)) {
            Some((_, v)) => at_path(v, rest, out),
            // A list without its `items` member.
            None if *first == "items" => at_path(v, rest, out),
            None => {}
        },
        _ => {}
    }
}
/// Texts of a member of that name at any depth.
fn at_any_depth<'a>(v: &'a Value, leaf: &str, out: &mut Vec<&'a str>) {
    match v {
        Value::Array(list) => list.iter().take(limits::RECORD_TARGETS_MAX).for_each(|v| at_any_depth(v, leaf, out)),
        Value::Object(m) => {
            for (name, v) in m {
                if same_member(name, leaf) {
                    at_path(v, &[], out);
                } else {
                    at_any_depth(v, leaf, out);
                }
            }
        }
        _ => {}
    }
}
fn same_member(a: &str, b: &str) -> bool {
    let (Some(first_a), Some(first_b)) = (a.chars().next(), b.chars().next()) else { return false };
    first_a.eq_ignore_ascii_case(&first_b) && a[first_a.len_utf8()..] == b[first_b.len_utf8()..]
}
/// Every text with the name of the member that holds it.
fn each_text<'a>(v: &'a Value, see: &mut impl FnMut(&'a str, &'a str)) {
    each_leaf(v, &mut |name, v| {
        if let Value::String(text) = v {
            see(name, text);
        }
    });
}
/// Every value that holds no other, with the name of the member that holds it; wrappers of lists and texts do not count.
pub(super) fn each_leaf<'a>(v: &'a Value, see: &mut impl FnMut(&'a str, &'a Value)) {
    fn walk<'a>(name: &'a str, v: &'a Value, see: &mut impl FnMut(&'a str, &'a Value)) {
        match v {
            Value::Array(list) => list.iter().for_each(|v| walk(name, v, see)),
            Value::Object(m) => m.iter().for_each(|(member, v)| {
                // `{tag, content}` in lists, `{value}` around an attribute of EC2.
                let wrapper = member == "content" || (member == "value" && m.len() == 1);
                walk(if wrapper || member == "items" { name } else { member }, v, see);
            }),
            leaf => see(name, leaf),
        }
    }
    walk("", v, see);
}
/// The texts of the level nearest the top on which anything is named, wrappers and lists not counted: the groups that a
/// rule refers to stand deeper than the group it is added to.
fn shallow<'a>(v: &'a Value, see: &mut impl FnMut(&'a str, &'a str)) {
    let mut level = vec![("", v)];
    let mut found = false;
    while !level.is_empty() && !found {
        let mut next = Vec::new();
        for (name, v) in level {
            match v {
                Value::String(text) => {
                    found |= kind_of_id(&tidy(text)).is_some() || tells(name) || name == "name" || name == "id";
                    see(name, text);
                }
                Value::Array(list) => next.extend(list.iter().map(|v| (name, v))),
                Value::Object(m) => next.extend(m.iter().map(|(member, v)| {
                    let transparent = matches!(member.as_str(), "content" | "items");
                    (if transparent { name } else { member.as_str() }, v)
                })),
                _ => {}
            }
        }
        level = next;
    }
}
/// `resources[].ARN` of a record; data events have `ARNPrefix` for what they do not list.
fn arns(resources: &Value) -> impl Iterator<Item = &str> {
    let list = resources.as_array().map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(|r| r.get("ARN").or(r.get("arn")).and_then(Value::as_str))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::detect::lineage;
    use crate::model::{Actor, EventId};
    use serde_json::json;

    pub(crate) fn record(source: &str, name: &str, request: Value, response: Value) -> Record {
        let actor = Actor { access_key: Some("ASIAEXAMPLEEXAMPLE01".into()), ..Actor::default() };
        Record {
            id: EventId(format!("{source}-{name}")),
            time: "2026-03-01T10:00:00Z".parse().unwrap(),
            source: format!("{source}.amazonaws.com"),
            name: name.into(),
            scope: "aws/111122223333/eu-west-1".parse().unwrap(),
            session: lineage::session_of(&actor, source),
            actor,
            error: None,
            read_only: None,
            request,
            response,
            additional: Value::Null,
            resources: Value::Null,
            request_id: None,
            shared_event_id: None,
            addendum_of: None,
            event_type: Some("AwsApiCall".into()),
            received_at: "2026-03-01T10:00:05Z".parse().unwrap(),
        }
    }
    fn said(targets: &[Target]) -> Vec<String> {
        targets
            .iter()
            .map(|t| match t {
                Target::Resource(key) => format!("{} {}", key.kind, key.id),
                Target::Named { kind, name } => {
                    format!("({}) {name}", kind.as_ref().map_or("?", KindName::as_str))
                }
            })
            .collect()
    }
    fn classified(source: &str, name: &str, request: Value) -> (Option<Class>, Vec<String>) {
        let action = classify(&record(source, name, request, Value::Null));
        (action.class, said(&action.targets))
    }

    #[test]
    fn targets_are_found_in_every_shape() {
        let nat = "nat-0123456789abcdef0";
        for request in [
            json!({"DeleteNatGatewayRequest": {"NatGatewayId": nat}}),
            json!({"natGatewayId": nat}),
            json!({"Other": {"natGatewayId": {"tag": 1, "content": nat}}}),
        ] {
            let expected = (Some(Class::Delete), vec![format!("ec2:nat-gateway {nat}")]);
            assert_eq!(classified("ec2", "DeleteNatGateway", request.clone()), expected, "{request}");
        }
        let one = json!({"DeleteVpcEndpointsRequest": {"VpcEndpointId": {"tag": 1, "content": "vpce-0a0a0a0a"}}});
        assert_eq!(classified("ec2", "DeleteVpcEndpoints", one).1, ["ec2:vpc-endpoint vpce-0a0a0a0a"]);
        let two = json!({"DeleteVpcEndpointsRequest": {"VpcEndpointId": [
            {"tag": 1, "content": "vpce-0a0a0a0a"}, {"tag": 2, "content": "vpce-0b0b0b0b"}, {"tag": 3, "content": "vpce-0a0a0a0a"}]}});
        assert_eq!(
            classified("ec2", "DeleteVpcEndpoints", two).1,
            ["ec2:vpc-endpoint vpce-0a0a0a0a", "ec2:vpc-endpoint vpce-0b0b0b0b"]
        );
        let many = json!({"instancesSet": {"items": [{"instanceId": "i-0a0a0a0a"}, {"instanceId": "i-0b0b0b0b"}]}});
        assert_eq!(
            classified("ec2", "TerminateInstances", many).1,
            ["ec2:instance i-0a0a0a0a", "ec2:instance i-0b0b0b0b"]
        );
        let abbreviated = json!({"DelTGwVpcAttachReq": {"TransitGatewayAttachmentId": "tgw-attach-0a0a0a0a"}});
        assert_eq!(
            classified("ec2", "DeleteTransitGatewayVpcAttachment", abbreviated).1,
            ["ec2:transit-gateway-attachment tgw-attach-0a0a0a0a"]
        );
    }

    #[test]
    fn names_and_associations_stay_as_the_record_has_them() {
        let of = |name, request| classified("ec2", name, request).1;
        assert_eq!(
            of("DisassociateRouteTable", json!({"associationId": "rtbassoc-0a0a0a0a"})),
            ["(ec2:route-table) rtbassoc-0a0a0a0a"]
        );
        assert_eq!(of("DeleteSecurityGroup", json!({"groupName": "web"})), ["(ec2:security-group) web"]);
        assert_eq!(of("ReleaseAddress", json!({"publicIp": "203.0.113.7"})), ["(ec2:elastic-ip) 203.0.113.7"]);
        let revoke = json!({"groupId": "sg-0a0a0a0a", "ipPermissions": {"items": [{"groups": {"items": [{"groupId": "sg-0b0b0b0b"}]}}]}});
        assert_eq!(of("RevokeSecurityGroupIngress", revoke), ["ec2:security-group sg-0a0a0a0a"]);
        assert_eq!(
            classified("rds", "DeleteDBInstance", json!({"dBInstanceIdentifier": "orders"})).1,
            ["(rds:db-instance) orders"]
        );
        for written in ["Orders", "arn:aws:rds:eu-west-1:111122223333:db:orders"] {
            assert_eq!(
                classified("rds", "ModifyDBInstance", json!({"dBInstanceIdentifier": written})).1,
                ["(rds:db-instance) orders"]
            );
        }
        let arn = json!({"roleName": "arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fops"});
        assert_eq!(classified("iam", "DeleteRole", arn).1, ["(iam:role) arn:aws:iam::111122223333:role/ops"]);
        let other = json!({"vpcId": "arn:aws:ec2:us-east-1:999988887777:vpc/vpc-0a0a0a0a"});
        let action = classify(&record("ec2", "DeleteVpc", other, Value::Null));
        let [Target::Resource(key)] = &action.targets[..] else { panic!() };
        assert_eq!(key.to_string(), "aws/999988887777/us-east-1/ec2:vpc/vpc-0a0a0a0a");
    }

    #[test]
    fn without_parameters_the_response_and_resources_tell() {
        let omitted = json!({"reason": "requestParameters too large", "omitted": "true", "originalSize": 149893});
        let answer = json!({"DeleteNatGatewayResponse": {"natGatewayId": "nat-0a0a0a0a"}});
        let action = classify(&record("ec2", "DeleteNatGateway", omitted, answer));
        assert_eq!(said(&action.targets), ["ec2:nat-gateway nat-0a0a0a0a"]);
        let mut table = record("dynamodb", "DeleteTable", Value::Null, Value::Null);
        let nothing = Action { class: Some(Class::Delete), targets: vec![], read: false, refused: false };
        assert_eq!(classify(&table), nothing);
        table.resources = json!([{"ARN": "arn:aws:dynamodb:eu-west-1:111122223333:table/orders"}]);
        assert_eq!(
            said(&classify(&table).targets),
            ["(dynamodb:table) arn:aws:dynamodb:eu-west-1:111122223333:table/orders"]
        );
    }

    #[test]
    fn load_balancers_of_both_generations_are_told_apart() {
        let old = classified("elasticloadbalancing", "DeleteLoadBalancer", json!({"loadBalancerName": "web"}));
        assert_eq!(old.1, ["(elb:load-balancer) web"]);
        let new = classified("elasticloadbalancing", "DeleteLoadBalancer", json!({"loadBalancerArn": "arn:aws:x"}));
        assert_eq!(new.1, ["(elbv2:load-balancer) arn:aws:x"]);
    }

    #[test]
    fn verbs_speak_where_the_catalogue_is_silent() {
        let class = |name| classified("newthing", name, Value::Null).0;
        for (name, expected) in [
            ("DeleteWidget", Some(Class::Delete)),
            ("DisassociateWidget", Some(Class::Detach)),
            ("StopWidget", Some(Class::Stop)),
            ("ResetWidget", Some(Class::Modify)),
            ("CancelWidget", Some(Class::Stop)),
            ("CreateWidget", Some(Class::Add)),
            ("GetWidget", None),
            ("DescribeWidgets", None),
            ("Deleterious", None),
            ("InvokeWidget", None),
        ] {
            assert_eq!(class(name), expected, "{name}");
        }
        let mut read = record("newthing", "StopwatchList", Value::Null, Value::Null);
        assert!(is_write(&read));
        read.read_only = Some(true);
        assert!(!is_write(&read));
        let mut tool = record("aws-mcp", "CallReadWriteTool", Value::Null, Value::Null);
        tool.event_type = Some("AwsMcpEvent".into());
        assert!(classify(&tool).read);
    }

    #[test]
    fn what_was_made_is_the_new_thing_alone() {
        let of = |name, request, response| said(&made(&record("ec2", name, request, response)));
        assert_eq!(
            of(
                "CreateVpc",
                json!({"cidrBlock": "10.0.0.0/16"}),
                json!({"vpc": {"vpcId": "vpc-0a0a0a0a", "dhcpOptionsId": "dopt-0a0a0a0a"}})
            ),
            ["ec2:vpc vpc-0a0a0a0a"]
        );
        assert_eq!(
            of(
                "CreateNatGateway",
                json!({"CreateNatGatewayRequest": {"SubnetId": "subnet-0a0a0a0a"}}),
                json!({"CreateNatGatewayResponse": {"natGateway": {"natGatewayId": "nat-0a0a0a0a", "subnetId": "subnet-0a0a0a0a"}}})
            ),
            ["ec2:nat-gateway nat-0a0a0a0a"]
        );
        assert_eq!(
            of(
                "CreateSecurityGroup",
                json!({"vpcId": "vpc-0a0a0a0a"}),
                json!({"_return": true, "groupId": "sg-0a0a0a0a"})
            ),
            ["ec2:security-group sg-0a0a0a0a"]
        );
        assert_eq!(
            of("AllocateAddress", json!({"domain": "vpc"}), json!({"allocationId": "eipalloc-0a0a0a0a"})),
            ["ec2:elastic-ip eipalloc-0a0a0a0a"]
        );
        assert_eq!(
            of("RunInstances", json!({}), json!({"instancesSet": {"items": [{"instanceId": "i-0a0a0a0a"}]}})),
            ["ec2:instance i-0a0a0a0a"]
        );
        let acl = json!({"networkAclId": "acl-0a0a0a0a", "ruleNumber": 1});
        assert!(of("CreateNetworkAclEntry", acl.clone(), acl.clone()).is_empty());
        assert_eq!(classified("ec2", "CreateNetworkAclEntry", acl).1, ["ec2:network-acl acl-0a0a0a0a"]);
        let rule = json!({"groupId": "sg-0a0a0a0a", "ipPermissions": {"items": [{"groups": {"items": [{"groupId": "sg-0b0b0b0b"}]}}]}});
        assert_eq!(
            classified("ec2", "AuthorizeSecurityGroupIngress", rule),
            (Some(Class::Add), vec!["ec2:security-group sg-0a0a0a0a".to_owned()])
        );
        let bucket = record("s3", "CreateBucket", json!({"bucketName": "logs"}), Value::Null);
        assert_eq!(said(&made(&bucket)), ["(s3:bucket) logs"]);
    }

    #[test]
    fn read_only_is_believed_less_than_the_call_and_effects_are_no_calls() {
        // Missing, or wrong: DeleteVpc deletes.
        for read_only in [None, Some(true), Some(false)] {
            let mut it = record("ec2", "DeleteVpc", json!({"vpcId": "vpc-0a0a0a0a"}), Value::Null);
            it.read_only = read_only;
            assert_eq!(classify(&it).class, Some(Class::Delete), "{read_only:?}");
        }
        // What DeleteSecret sets off is no second deletion, and no person's or program's call.
        for name in ["StartSecretVersionDelete", "EndSecretVersionDelete", "DeleteSecretVersions"] {
            let mut it = record("secretsmanager", name, Value::Null, Value::Null);
            it.event_type = Some("AwsServiceEvent".into());
            assert_eq!(classify(&it).class, None, "{name}");
        }
    }

    #[test]
    fn services_without_a_model_name_their_things_too() {
        for (service, name, request, expected) in [
            ("rbin", "DeleteRule", json!({"identifier": "0a0a"}), "(?) 0a0a"),
            ("appsync", "DeleteGraphqlApi", json!({"apiId": "0b0b"}), "(?) 0b0b"),
            ("codeartifact", "DeleteRepository", json!({"domain": "d", "repository": "r"}), "(?) r"),
            ("ssm", "DeleteParameter", json!({"name": "/app/key"}), "(?) /app/key"),
        ] {
            assert_eq!(classified(service, name, request).1, [expected], "{name}");
        }
    }

    #[test]
    fn of_a_batch_only_what_was_done_counts() {
        let ids = json!({"DeleteVpcEndpointsRequest": {"VpcEndpointId": [
            {"tag": 1, "content": "vpce-0a0a0a0a"}, {"tag": 2, "content": "vpce-0b0b0b0b"}]}});
        let one = json!({"item": {"error": {"code": "InvalidVpcEndpoint.NotFound"}, "resourceId": "vpce-0b0b0b0b"}});
        let answer = json!({"DeleteVpcEndpointsResponse": {"unsuccessful": one}});
        let action = classify(&record("ec2", "DeleteVpcEndpoints", ids, answer));
        assert_eq!((said(&action.targets), action.refused), (vec!["ec2:vpc-endpoint vpce-0a0a0a0a".to_owned()], false));
        let request = json!({"rule": "nightly", "ids": ["a", "b"]});
        let answer = json!({"failedEntryCount": 1, "failedEntries": [{"targetId": "b", "errorCode": "x"}]});
        let action = classify(&record("events", "RemoveTargets", request, answer));
        assert_eq!(said(&action.targets), ["(events:rule) nightly", "(events:rule) a"]);
    }

    #[test]
    fn what_is_added_is_told_with_its_undoing() {
        let undo = |service: &str, name: &str| removal(&format!("{service}.amazonaws.com"), name);
        for (service, name, expected) in [
            ("ec2", "AuthorizeSecurityGroupEgress", "RevokeSecurityGroupEgress"),
            ("ec2", "CreateRoute", "DeleteRoute"),
            ("ec2", "AttachVolume", "DetachVolume"),
            ("ec2", "CreateTags", "DeleteTags"),
            ("iam", "AttachRolePolicy", "DetachRolePolicy"),
            ("iam", "AddRoleToInstanceProfile", "RemoveRoleFromInstanceProfile"),
            ("kms", "CreateGrant", "RevokeGrant"),
            ("lambda", "AddPermission", "RemovePermission"),
            ("sns", "Subscribe", "Unsubscribe"),
        ] {
            assert_eq!(undo(service, name).as_deref(), Some(expected), "{name}");
        }
        assert_eq!(undo("ec2", "DescribeVpcs"), None);
        let policy = "arn:aws:iam::aws:policy/AdministratorAccess";
        let it = record("iam", "AttachRolePolicy", json!({"roleName": "web", "policyArn": policy}), Value::Null);
        let action = classify(&it);
        assert_eq!((action.class, said(&action.targets)), (Some(Class::Add), vec!["(iam:role) web".to_owned()]));
        assert_eq!(details(&it, &action.targets), format!("policyArn={policy}"));
        let long = record(
            "iam",
            "TagRole",
            json!({"roleName": "web", "tags": vec![json!({"key": "k", "value": "v".repeat(90)}); 90]}),
            Value::Null,
        );
        assert!(details(&long, &[]).len() <= 300);
    }

    proptest::proptest! {
        /// However deep the wrappers and however the list is written, the same targets come out.
        #[test]
        fn shape_does_not_matter(n in 1usize..5, wraps in proptest::collection::vec("[A-Z][a-z]{2,8}Request", 0..3), form in 0usize..4) {
            let ids: Vec<String> = (0..n).map(|i| format!("vpce-0000000{i}")).collect();
            let tagged = |(i, id): (usize, &String)| json!({"tag": i + 1, "content": id});
            let all: Vec<Value> = ids.iter().enumerate().map(tagged).collect();
            let list = match form {
                0 if n == 1 => all[0].clone(),
                0 | 1 => Value::from(all),
                2 => json!({"items": ids.iter().map(|id| json!({"vpcEndpointId": id})).collect::<Vec<_>>()}),
                _ => Value::from(ids.clone()),
            };
            let member = if form == 2 { "vpcEndpointIdSet" } else { "VpcEndpointId" };
            let request = wraps.iter().fold(json!({member: list}), |inner, wrap| json!({wrap.as_str(): inner}));
            let expected: Vec<String> = ids.iter().map(|id| format!("ec2:vpc-endpoint {id}")).collect();
            proptest::prop_assert_eq!(classified("ec2", "DeleteVpcEndpoints", request).1, expected);
        }
    }

    #[test]
    fn a_write_mentions_more_than_its_targets_and_a_failure_nothing() {
        let route =
            json!({"routeTableId": "rtb-0a0a0a0a", "gatewayId": "igw-0a0a0a0a", "destinationCidrBlock": "0.0.0.0/0"});
        let mut it = record("ec2", "ReplaceRoute", route, json!({"_return": true}));
        assert_eq!(said(&mentioned(&it)), ["ec2:route-table rtb-0a0a0a0a", "ec2:internet-gateway igw-0a0a0a0a"]);
        it.error = Some("Client.DryRunOperation".into());
        assert!(mentioned(&it).is_empty());
        assert_eq!(said(&classify(&it).targets), ["ec2:route-table rtb-0a0a0a0a"]);
    }
}
