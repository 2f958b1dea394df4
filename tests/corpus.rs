//! Walks the shared corpus of public CloudTrail records: each decodes or is explained. The corpus is no part of the
//! project; `ROLLBACKD_SHARED` says where it is, `../shared` is looked at otherwise, and without it this test says so.
use rollbackd::detect::{
    actions,
    actor::{Rule, Rules, default_rules},
    catalogue,
    incident::{QUIET_DEFAULT, State},
};
use rollbackd::model::{Record, Timestamp, incident::Class};
use rollbackd::trail::decode::{Decoded, Watched, decode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("ROLLBACKD_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let corpus = shared.join("corpus/cloudtrail");
    if corpus.is_dir() {
        return Some(corpus);
    }
    println!("SKIPPED: no corpus at {}; set ROLLBACKD_SHARED to the folder that holds it", corpus.display());
    None
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

/// Bodies as a transport would carry them. Files are larger than messages: their lists are taken apart here.
fn bodies(path: &Path) -> Vec<Vec<u8>> {
    let bytes = if path.extension().is_some_and(|e| e == "gz") {
        let out = std::process::Command::new("gzip").arg("-dc").arg(path).output().unwrap();
        assert!(out.status.success(), "gzip cannot read {}", path.display());
        out.stdout
    } else {
        std::fs::read(path).unwrap()
    };
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
    let now: Timestamp = "2026-11-25T00:00:00Z".parse().unwrap();
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
