//! Walks the shared corpus of public CloudTrail records: each decodes or is explained, and what its manifest counts is
//! counted again from what was decoded. The model of destructive calls beside it: each is classified and names its target.
//! Neither is part of the project; `ROLLBACKD_SHARED` says where they are, `../shared` is looked at otherwise, and without
//! them these tests say so.
use rollbackd::detect::{
    actions,
    actor::{Rule, Rules, default_rules},
    catalogue,
    incident::{QUIET_DEFAULT, State},
};
use rollbackd::model::{Record, Timestamp, incident::Class};
use rollbackd::trail::{
    decode::{Decoded, Watched, decode},
    file::decode_file,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn shared(what: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("ROLLBACKD_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = shared.join(what);
    if path.exists() {
        return Some(path);
    }
    println!("SKIPPED: there is no {}; set ROLLBACKD_SHARED to the folder that holds it", path.display());
    None
}
fn corpus() -> Option<PathBuf> {
    shared("corpus/cloudtrail")
}
fn now() -> Timestamp {
    "2026-11-25T00:00:00Z".parse().unwrap()
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| ["gz", "json", "jsonl"].iter().any(|x| e == *x)) {
            out.push(path);
        }
    }
}

fn contents(path: &Path) -> Vec<u8> {
    if path.extension().is_none_or(|e| e != "gz") {
        return std::fs::read(path).unwrap();
    }
    let out = std::process::Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(out.status.success(), "gzip cannot read {}", path.display());
    out.stdout
}

/// Bodies as a transport would carry them. Files are larger than messages: their lists are taken apart here.
fn bodies(path: &Path) -> Vec<Vec<u8>> {
    let bytes = contents(path);
    let whole: Vec<Value> = if path.extension().is_some_and(|e| e == "jsonl") {
        bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
    } else {
        vec![serde_json::from_slice(&bytes).unwrap()]
    };
    let mut out = Vec::new();
    for v in whole {
        if let Some(body) = v["Body"].as_str() {
            out.push(body.as_bytes().to_vec());
        } else if let Some(list) = v["Records"].as_array().or(v["Events"].as_array()).or(v.as_array()) {
            out.extend(list.iter().map(|v| v.to_string().into_bytes()));
        } else {
            out.push(v.to_string().into_bytes());
        }
    }
    out
}

#[test]
fn every_record_decodes_or_is_explained() {
    let Some(corpus) = corpus() else { return };
    let mut paths = Vec::new();
    files(&corpus, &mut paths);
    paths.sort();
    let now = now();
    let mut explained: BTreeMap<String, usize> = BTreeMap::new();
    let mut records: Vec<Record> = Vec::new();
    let mut bodies_seen = 0;
    for path in paths.iter().filter(|p| !p.ends_with("manifest.json")) {
        for body in bodies(path) {
            bodies_seen += 1;
            let origin = path.strip_prefix(&corpus).unwrap().display().to_string();
            let Decoded { records: found, ignored, foreign, unreadable } =
                decode(&body, &origin, now, &Watched::default());
            assert_eq!(found.len() + ignored.len() + foreign.len() + unreadable.len(), 1, "{origin}");
            ignored.into_iter().for_each(|why| *explained.entry(format!("ignored: {why}")).or_default() += 1);
            for u in unreadable {
                let set = origin.split('/').next().unwrap_or_default();
                *explained.entry(format!("unreadable: {} [{set}]", u.why)).or_default() += 1;
            }
            records.extend(found);
        }
    }
    let mut classes: BTreeMap<String, usize> = BTreeMap::new();
    let mut without_target: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_verb: BTreeMap<String, usize> = BTreeMap::new();
    let (mut takes, mut targeted) = (0, 0);
    for record in &records {
        let action = actions::classify(record);
        let class = action.class.map_or(if action.read { "read".into() } else { "unknown".into() }, |c| c.to_string());
        *classes.entry(class).or_default() += 1;
        if let Some(class) = action.class.filter(|c| *c != Class::Add) {
            let name = format!("{} {}", record.source, record.name);
            if catalogue::lookup(&record.source, &record.name).is_empty() {
                *by_verb.entry(format!("{name} {class}")).or_default() += 1;
            }
            if record.succeeded() {
                takes += 1;
                if action.targets.is_empty() {
                    *without_target.entry(name).or_default() += 1;
                } else {
                    targeted += 1;
                }
            }
        }
    }
    let worked_out = |rules: &[Rule], records: &mut dyn Iterator<Item = &Record>| {
        let mut state = State::new(Rules::new(rules, &[]).unwrap(), QUIET_DEFAULT);
        records.for_each(|r| _ = state.feed(r));
        let incidents = state.incidents(now, &[], &|_| false).changed;
        (state, incidents)
    };
    let (state, incidents) = worked_out(&default_rules(), &mut records.iter());
    let everybody =
        [Rule { name: "everybody".into(), user: vec!["*".into()], role: vec!["*".into()], ..Rule::default() }];
    // Hand-written fixtures give one event id to different records; CloudTrail does not.
    let mut of_id: BTreeMap<_, Vec<&Record>> = BTreeMap::new();
    records.iter().for_each(|r| of_id.entry(&r.id).or_default().push(r));
    let honest = |r: &&Record| of_id[&r.id].iter().all(|other| other == r);
    let (_, all) = worked_out(&everybody, &mut records.iter().filter(honest));
    let twice = records.iter().rev().chain(&records).filter(honest);
    let (_, backwards) = worked_out(&everybody, &mut { twice });
    println!("{bodies_seen} bodies, {} records; explained: {explained:#?}", records.len());
    println!("classes: {classes:?}; by verb alone: {by_verb:#?}");
    println!("{takes} successful calls took something away, {targeted} name it; not: {without_target:#?}");
    println!("{} sessions, {} agents, {} incidents", state.size().1, state.agents().count(), incidents.len());
    println!("{} incidents if everybody were an agent", all.len());
    for incident in &incidents {
        println!("{} {} {} acts by {}", incident.id, incident.first, incident.acts.len(), incident.actor);
    }
    assert!(records.len() >= 2500, "{}", records.len());
    let unreadable: usize = explained.iter().filter(|(why, _)| why.starts_with("unreadable")).map(|(_, n)| n).sum();
    // Trimmed hand-written fixtures only.
    assert!(unreadable * 20 < bodies_seen, "{explained:#?}");
    assert!(targeted * 100 >= takes * 90, "{targeted} of {takes} name a target");
    assert!(!incidents.is_empty());
    let difference = all.iter().zip(&backwards).find(|(a, b)| a != b);
    assert!(all.len() == backwards.len() && difference.is_none(), "{difference:#?}");
}

/// The record in a body, out of its envelopes: read here without the decoders, to judge them.
fn innermost(body: &[u8]) -> Value {
    let v: Value = serde_json::from_slice(body).unwrap();
    match (v.get("CloudTrailEvent").and_then(Value::as_str), v.get("detail")) {
        (Some(text), _) => innermost(text.as_bytes()),
        (None, Some(detail)) if v.get("detail-type").is_some() => detail.clone(),
        _ => v,
    }
}

/// The verbs that the manifest counts as destructive.
fn is_destructive_verb(name: &str) -> bool {
    const VERBS: [&str; 16] = [
        "Delete",
        "Terminate",
        "Purge",
        "Release",
        "Deregister",
        "Remove",
        "Revoke",
        "Detach",
        "Disassociate",
        "Stop",
        "Disable",
        "Deactivate",
        "Leave",
        "Untag",
        "Disconnect",
        "ScheduleKeyDeletion",
    ];
    VERBS.iter().any(|verb| name.starts_with(verb))
}

/// What the manifest counts in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    records: usize,
    destructive: usize,
    with_error: usize,
    destructive_with_error: usize,
    dry_run: usize,
    invoked_by: usize,
}
impl Counts {
    fn add(&mut self, name: &str, read_only: bool, error: Option<&str>, invoked_by: bool) {
        let destructive = is_destructive_verb(name) && !read_only;
        self.records += 1;
        self.destructive += usize::from(destructive);
        self.with_error += usize::from(error.is_some());
        self.destructive_with_error += usize::from(destructive && error.is_some());
        self.dry_run += usize::from(error.is_some_and(|e| e.contains("DryRun")));
        self.invoked_by += usize::from(invoked_by);
    }
    fn raw(&mut self, v: &Value) {
        let text = |v: &Value| v.as_str().filter(|s| !s.is_empty()).map(str::to_owned);
        let error = text(&v["errorCode"]);
        let invoked_by = text(&v["userIdentity"]["invokedBy"]).is_some();
        self.add(&text(&v["eventName"]).unwrap_or_default(), v["readOnly"] == true, error.as_deref(), invoked_by);
    }
}

#[test]
fn the_manifest_is_counted_again_from_what_was_decoded() {
    let Some(corpus) = corpus() else { return };
    let manifest: Value = serde_json::from_slice(&std::fs::read(corpus.join("manifest.json")).unwrap()).unwrap();
    let mut sum = Counts::default();
    let (mut sign_ins, mut text_read_only) = (0, 0);
    for (file, told) in manifest["files"].as_object().unwrap() {
        let mut counted = Counts::default();
        for body in bodies(&corpus.join(file)) {
            let raw = innermost(&body);
            let decoded = decode(&body, file, now(), &Watched::default());
            let Some(record) = decoded.records.first() else {
                counted.raw(&raw);
                continue;
            };
            // The manifest knows error codes alone; a sign-in fails with a message.
            let by_message = raw["errorCode"].is_null() && record.error.is_some();
            assert!(!by_message || record.event_type.as_deref() == Some("AwsConsoleSignIn"), "{file}: {raw}");
            sign_ins += usize::from(by_message);
            // And takes a `readOnly` that is text for no answer.
            let as_text = raw["readOnly"].is_string();
            text_read_only += usize::from(as_text);
            let error = record.error.as_deref().filter(|_| !by_message);
            let read_only = record.read_only == Some(true) && !as_text;
            counted.add(&record.name, read_only, error, record.actor.invoked_by.is_some());
        }
        let number = |name: &str| usize::try_from(told[name].as_u64().unwrap()).unwrap();
        let expected = Counts {
            records: number("records"),
            destructive: number("destructive_writes"),
            with_error: number("with_error_code"),
            destructive_with_error: number("destructive_with_error"),
            dry_run: number("dry_run"),
            invoked_by: number("invoked_by"),
        };
        assert_eq!(counted, expected, "{file}");
        sum.records += counted.records;
        sum.destructive += counted.destructive;
        sum.with_error += counted.with_error;
        sum.destructive_with_error += counted.destructive_with_error;
        sum.dry_run += counted.dry_run;
        sum.invoked_by += counted.invoked_by;
    }
    println!(
        "{sum:?}; besides {sign_ins} sign-ins that failed with a message alone, {text_read_only} textual readOnly"
    );
}

#[test]
fn every_destructive_record_of_ec2_rds_and_s3_that_names_a_target_gives_it() {
    let Some(corpus) = corpus() else { return };
    let mut paths = Vec::new();
    files(&corpus, &mut paths);
    let (mut named, mut silent) = (0, 0);
    let mut missed = vec![];
    for path in paths.iter().filter(|p| !p.ends_with("manifest.json")) {
        let decoded = decode_file(&contents(path), &path.display().to_string(), now(), &Watched::default());
        for record in decoded.records {
            let service = record.source.strip_suffix(".amazonaws.com").unwrap_or_default();
            let action = actions::classify(&record);
            if !matches!(service, "ec2" | "rds" | "s3" | "s3express") || action.class.is_none_or(|c| c == Class::Add) {
                continue;
            }
            // Parameters that are missing, null or omitted name nothing, nor does a bucket whose name an example left out.
            let request = record.request.as_object();
            let says = request.is_some_and(|m| {
                !m.is_empty() && !m.contains_key("omitted") && m.get("bucketName") != Some(&"".into())
            });
            if !says {
                silent += 1;
            } else if action.targets.is_empty() {
                missed.push(format!("{} {}: {}", record.source, record.name, record.request));
            } else {
                named += 1;
            }
        }
    }
    println!("{named} destructive records of EC2, RDS and S3 name their target, {silent} have no parameters");
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(named > 200, "{named}");
}

/// A request that has `value` at a path such as `A.items[].b` or `A.b[].content`.
fn at_path(path: &str, value: &str) -> Value {
    path.rsplit('.').fold(serde_json::json!(value), |inner, part| match part.strip_suffix("[]") {
        Some(member) => serde_json::json!({ member: [inner] }),
        None => serde_json::json!({ part: inner }),
    })
}
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, v) in from {
                merge(into.entry(name).or_insert(Value::Null), v);
            }
        }
        (Value::Array(into), Value::Array(mut from)) if !into.is_empty() => merge(&mut into[0], from.remove(0)),
        (into, from) => *into = from,
    }
}

#[test]
fn every_operation_of_the_model_is_classified_and_names_its_target() {
    let Some(path) = shared("model/destructive.json") else { return };
    let model: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let operations = model["operations"].as_array().unwrap();
    let mut services: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut tags, mut named, mut pathless) = (0, 0, vec![]);
    for op in operations {
        let text = |name: &str| op[name].as_str().unwrap();
        *services.entry(text("service")).or_default() += 1;
        let aliases = op["event_name_aliases"].as_array().map_or(&[][..], Vec::as_slice);
        for name in std::iter::once(&op["event_name"]).chain(aliases).map(|n| n.as_str().unwrap()) {
            let mut request = serde_json::json!({});
            let mut values = vec![];
            for (i, target) in op["targets"].as_array().into_iter().flatten().enumerate() {
                values.push(format!("thing-{i}"));
                merge(&mut request, at_path(target["path"].as_str().unwrap(), &values[i]));
            }
            let body = serde_json::json!({
                "eventVersion": "1.11", "eventID": name, "eventTime": "2026-03-01T10:00:00Z", "eventName": name,
                "eventSource": text("event_source"), "awsRegion": "eu-west-1", "recipientAccountId": "111122223333",
                "eventType": "AwsApiCall", "requestParameters": request,
            });
            let decoded = decode(body.to_string().as_bytes(), "model", now(), &Watched::default());
            let action = actions::classify(&decoded.records[0]);
            let what = format!("{} {name}: {action:?} of {request}", text("service"));
            // Calls that only set tags are no damage: every tool tags what it makes.
            if action.class == Some(Class::Add) {
                assert_eq!(op["tags_only"], true, "{what}");
                tags += 1;
                continue;
            }
            // Several services may share a source and a name, and differ in the class.
            let classes: Vec<String> = catalogue::lookup(text("event_source"), &decoded.records[0].name)
                .iter()
                .filter_map(|e| e.class.map(|c| c.to_string()))
                .collect();
            assert!(action.class.is_some() && classes.iter().any(|c| c == text("class")), "{what}: {classes:?}");
            if values.iter().any(|v| action.targets.iter().any(|t| actions::name_of(t) == v)) {
                named += 1;
            } else {
                pathless.push(format!("{} {name}", text("service")));
                let paths = catalogue::lookup(text("event_source"), &decoded.records[0].name)
                    .iter()
                    .any(|e| !e.paths.is_empty());
                assert!(!paths, "{what}");
            }
        }
    }
    println!(
        "{} operations of {} services; {named} names give a target, {tags} only set tags",
        operations.len(),
        services.len()
    );
    println!("{} act on the account, or name only values: {pathless:?}", pathless.len());
    assert_eq!((operations.len(), services.len()), (1183, 27));
}

#[test]
fn every_additive_operation_of_the_model_is_an_addition() {
    let Some(path) = shared("model/destructive.json") else { return };
    let model: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut sources: BTreeMap<&str, &str> = BTreeMap::new();
    for op in model["operations"].as_array().unwrap() {
        sources.entry(op["service"].as_str().unwrap()).or_insert(op["event_source"].as_str().unwrap());
    }
    let (mut adds, mut undone, mut others) = (0, 0, vec![]);
    for (service, groups) in model["not_destructive"].as_object().unwrap() {
        for name in groups["additive"].as_array().into_iter().flatten().map(|n| n.as_str().unwrap()) {
            let source = sources[service.as_str()];
            let body = serde_json::json!({
                "eventID": name, "eventTime": "2026-03-01T10:00:00Z", "eventName": name, "eventSource": source,
                "awsRegion": "eu-west-1", "recipientAccountId": "111122223333", "eventType": "AwsApiCall",
            });
            let decoded = decode(body.to_string().as_bytes(), "model", now(), &Watched::default());
            let record = &decoded.records[0];
            match actions::classify(record).class {
                Some(Class::Add) => {
                    adds += 1;
                    undone += usize::from(actions::removal(source, &record.name).is_some());
                }
                class => others.push((service.as_str(), name, class)),
            }
        }
    }
    println!("{adds} calls only add, of which {undone} have a call that takes it away again; not: {others:?}");
    // Messages that are sent leave nothing behind that could be taken away.
    let sent = |name: &str| {
        ["Send", "Publish", "Invoke", "Record", "Signal", "Submit", "ConfirmProduct", "Resend", "Report", "Checkpoint"]
            .iter()
            .any(|v| name.starts_with(v))
    };
    let unexpected: Vec<_> = others.iter().filter(|(_, name, _)| !sent(name)).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    assert!(adds > 450, "{adds}");
}
