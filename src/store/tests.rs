use super::{keys::Tree, *};
use crate::model::{
    Actor, Alias, Cause, EventId, Hash, Incident, IncidentId, IncidentState, Record, ResourceKey, Scope, SessionId,
    State, Sweep, Version,
    actor::Session,
    incident::{Act, Class},
    sweep::{SweepCause, SweepCounts},
    version::spec_hash,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, os::unix::fs::PermissionsExt};

pub fn t(s: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + s).unwrap()
}
pub fn scope() -> Scope {
    "aws/111122223333/eu-west-1".parse().unwrap()
}
fn vpc(id: &str) -> ResourceKey {
    scope().key("ec2:vpc".parse().unwrap(), id)
}
fn version(key: &ResourceKey, at: i64, spec: Value) -> Version {
    let hash = spec_hash(&key.kind, 1, &spec);
    let state = State::Present { hash, spec_version: 1, spec, unmapped: Value::Null, aliases: vec![] };
    let cause = Cause::Sweep { sweep: t(0) };
    Version { key: key.clone(), read_began: t(at), captured_at: t(at), seen_at: t(at), cause, state }
}
fn gone(key: &ResourceKey, at: i64) -> Version {
    let cause = Cause::Record { event: EventId(format!("e-{at}")) };
    Version { key: key.clone(), read_began: t(at), captured_at: t(at), seen_at: t(at), cause, state: State::Gone }
}
fn with_aliases(mut v: Version, names: &[&str]) -> Version {
    if let State::Present { aliases, .. } = &mut v.state {
        *aliases = names.iter().map(|n| Alias((*n).into())).collect();
    }
    v
}
fn record(id: &str, at: i64) -> Record {
    Record {
        id: EventId(id.into()),
        time: t(at),
        source: "ec2.amazonaws.com".into(),
        name: "DeleteVpc".into(),
        scope: scope(),
        actor: Actor::default(),
        session: SessionId("ASIAEXAMPLE".into()),
        error: None,
        read_only: None,
        request: json!({"vpcId": "vpc-1"}),
        response: Value::Null,
        additional: Value::Null,
        resources: Value::Null,
        request_id: None,
        shared_event_id: None,
        addendum_of: None,
        event_type: None,
        received_at: t(at + 5),
    }
}
fn incident_of(event: &str) -> Incident {
    let act = Act {
        event: EventId(event.into()),
        time: t(1),
        session: SessionId("s".into()),
        scope: scope(),
        source: "ec2.amazonaws.com".into(),
        name: "DeleteVpc".into(),
        class: Class::Delete,
        targets: vec![],
        error: None,
        warning: None,
    };
    Incident {
        kind: crate::model::incident::IncidentKind::Loss,
        added: vec![],
        reached: vec![],
        recreated: vec![],
        planned_for: None,
        settled: None,
        id: IncidentId::of(&EventId(event.into())),
        state: IncidentState::Open,
        actor: Actor::default(),
        sessions: vec![],
        acts: vec![act],
        first: t(1),
        last: t(1),
        closed: false,
        lost: vec![],
        changed: vec![],
        made: vec![],
        beyond: vec![],
        plan: None,
        restore: None,
        trouble: None,
    }
}
fn open(dir: &tempfile::TempDir) -> Store {
    Store::open(&dir.path().join("store")).unwrap()
}
fn fresh() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    (dir, store)
}
/// Commits one version, and says whether the resource changed.
fn put(store: &Store, v: Version) -> bool {
    !store.commit_blocking(Batch::of(|b| b.version(v))).unwrap().changed.is_empty()
}
fn noise(n: usize) -> String {
    let mut bytes = vec![0; n / 2];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
fn sound(store: &Store) {
    assert_eq!(store.verify().unwrap().problems, []);
}

#[test]
fn values_of_any_length_outlive_the_process_and_replace_each_other() {
    let (dir, store) = fresh();
    let id = Hash::of_bytes(b"plan");
    for n in [1 << 20, 0, 4095, 4096, 4097, 1 << 20, 10] {
        let text = noise(n);
        store.commit_blocking(Batch::of(|b| b.plan(&id, &text).restore("r-1", &"x".repeat(n)))).unwrap();
        assert!(store.plan::<String>(&id).unwrap().unwrap() == text, "{n}");
    }
    let chunks = store.engine().raw(Tree::Plans).len();
    assert_eq!(chunks, 1, "the tail of the longer value is gone");
    drop(store);
    let store = open(&dir);
    assert_eq!(store.plan::<String>(&id).unwrap().unwrap(), noise(10));
    assert_eq!(store.restores::<String>().unwrap(), [("r-1".to_owned(), "x".repeat(10))]);
    assert_eq!(store.plans(&id.as_str()[..12]).unwrap(), [id]);
    assert_eq!(store.plans("f00").unwrap(), []);
    sound(&store);
}

#[test]
fn only_its_owner_reads_it() {
    let (dir, _store) = fresh();
    let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
    let root = dir.path().join("store");
    assert_eq!((mode(&root), mode(&root.join("sled")), mode(&root.join("lock"))), (0o700, 0o700, 0o600));
    for file in fs::read_dir(root.join("sled")).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    }
}

#[test]
fn a_second_opener_is_told_who_holds_it() {
    let (dir, store) = fresh();
    let path = dir.path().join("store");
    let err = Store::open(&path).unwrap_err();
    assert!(matches!(&err, StoreError::Held { by: Some(pid), .. } if *pid == std::process::id()), "{err}");
    assert!(err.to_string().contains("stop it first"));
    drop(store.clone());
    assert!(matches!(Store::open(&path), Err(StoreError::Held { .. })), "a clone that goes closes nothing");
    drop(store);
    Store::open(&path).unwrap();
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (dir, store) = fresh();
    store.engine().set_schema(3).unwrap();
    drop(store);
    let path = dir.path().join("store");
    let err = Store::open(&path).unwrap_err();
    assert!(matches!(err, StoreError::Newer { found: 3, known: 2, .. }), "{err}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 4, "lock, key, mark and sled: nothing was set aside");
}

/// Every byte of every file below a directory but the key's.
fn bytes_below(dir: &Path) -> Vec<u8> {
    let mut out = vec![];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            out.extend(bytes_below(&path));
        } else if path.file_name().unwrap() != secret::OWN_FILE {
            out.extend(fs::read(path).unwrap());
        }
    }
    out
}
fn key_file(dir: &tempfile::TempDir, name: &str, text: &str) -> std::path::PathBuf {
    let file = dir.path().join(name);
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn nothing_of_a_spec_or_a_document_is_on_the_disk_in_the_clear() {
    let (dir, store) = fresh();
    // Long runs would be packed away before they could be found.
    let words = ["canary-in-user-data", "canary-in-a-tag", "canary-in-a-plan", "canary-in-a-message"];
    let spec = json!({ "user_data": words[0], "tags": { "Name": words[1] } });
    assert!(put(&store, version(&vpc("vpc-1"), 1, spec)));
    let id = Hash::of_bytes(b"plan");
    store
        .commit_blocking(Batch::of(|b| b.plan(&id, &words[2]).unreadable(words[3].as_bytes(), "why", "queue")))
        .unwrap();
    assert_eq!(store.find(words[1]).unwrap(), [vpc("vpc-1")], "it is found by its name all the same");
    drop(store);
    let disk = bytes_below(dir.path());
    let has = |word: &str| disk.windows(word.len()).any(|w| w == word.as_bytes());
    assert!(has("vpc-1"), "ids are in the clear, so this test can find something");
    for word in words {
        assert!(!has(word), "{word}");
    }
}

#[test]
fn a_store_opens_with_its_own_key_only_and_says_which_that_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (right, wrong) =
        (key_file(&dir, "right", "a key of sixteen bytes"), key_file(&dir, "wrong", "some other key of bytes"));
    let store = Store::open_with(&path, &right).unwrap();
    assert!(put(&store, version(&vpc("vpc-1"), 1, json!({}))));
    drop(store);
    let err = Store::open_with(&path, &wrong).unwrap_err();
    let says = err.to_string();
    assert!(matches!(err, StoreError::WrongKey { .. }) && says.contains("wrong holds key"), "{says}");
    let err = Store::open(&path).unwrap_err();
    assert!(matches!(err, StoreError::NoKey { .. }), "no new key is made for an old store: {err}");
    let err = Store::open_with(&path, &key_file(&dir, "short", "short")).unwrap_err();
    assert!(matches!(err, StoreError::NoKeyIn { .. }), "{err}");
    let store = Store::open_with(&path, &right).unwrap();
    assert!(store.trouble().is_none() && store.current(&vpc("vpc-1")).unwrap().is_some(), "nothing was set aside");
}

#[test]
fn rekey_leaves_everything_readable_with_the_new_key_and_nothing_with_the_old() {
    let (dir, store) = fresh();
    let path = dir.path().join("store");
    let text = noise(1 << 16);
    store.commit_blocking(Batch::of(|b| b.plan(&Hash::of_bytes(b"plan"), &text))).unwrap();
    let spec = json!({ "tags": { "Name": "web" } });
    assert!(put(&store, version(&vpc("vpc-1"), 1, spec)));
    let counts = store.counts().unwrap();
    drop(store);
    let (old, new) = (path.join(secret::OWN_FILE), key_file(&dir, "new", "a new key of the store"));
    // What a rekey that was killed while it wrote leaves behind.
    fs::create_dir(path.join("sled.rekeyed")).unwrap();
    fs::write(path.join("sled.rekeyed/db"), b"half").unwrap();
    assert_eq!(Store::rekey(&path, &old, &new).unwrap(), counts.values().sum::<u64>());
    assert!(matches!(Store::open(&path), Err(StoreError::WrongKey { .. })));
    let store = Store::open_with(&path, &new).unwrap();
    assert_eq!(store.counts().unwrap(), counts);
    assert_eq!(store.plan::<String>(&Hash::of_bytes(b"plan")).unwrap().unwrap(), text);
    assert_eq!(store.find("web").unwrap(), [vpc("vpc-1")]);
    assert!(store.trouble().is_none());
    sound(&store);
    drop(store);
    let names: BTreeSet<String> =
        fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, ["lock", "mark", "sled", "store-key"].map(String::from).into());
    // Killed between the two renames: the new one is whole, and takes its place.
    fs::rename(path.join("sled"), path.join("sled.rekeyed")).unwrap();
    let store = Store::open_with(&path, &new).unwrap();
    assert_eq!(store.counts().unwrap(), counts);
    assert!(store.trouble().is_none());
}

#[test]
fn a_torn_snapshot_is_removed() {
    let (dir, store) = fresh();
    assert!(put(&store, version(&vpc("vpc-1"), 1, json!({}))));
    drop(store);
    let torn = dir.path().join("store/sled/snap.FFFFFFFFFFFFFFFF.generating");
    fs::write(&torn, b"").unwrap();
    let store = open(&dir);
    assert!(!torn.exists() && store.trouble().is_none());
    assert!(store.current(&vpc("vpc-1")).unwrap().is_some());
}

#[test]
fn a_store_that_does_not_open_is_set_aside_and_said_so_until_it_is_removed() {
    let (dir, store) = fresh();
    assert!(put(&store, version(&vpc("vpc-1"), 1, json!({}))));
    drop(store);
    let path = dir.path().join("store");
    fs::write(path.join("sled/db"), noise(1 << 20)).unwrap();
    for _ in 0..2 {
        let store = open(&dir);
        let trouble = store.trouble().unwrap();
        assert!(trouble.contains("sled.bad-"), "{trouble}");
        assert!(store.current(&vpc("vpc-1")).unwrap().is_none());
    }
    let bad: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.to_string_lossy().contains("bad"))
        .collect();
    assert_eq!(bad.len(), 1);
    assert!(bad[0].join("db").exists() && bad[0].join("reason").exists());
    fs::remove_dir_all(&bad[0]).unwrap();
    assert!(open(&dir).trouble().is_none());
}

/// Whatever is wrong with sled's files: an error or a store, and never a panic or a loss without a word.
#[test]
fn no_damage_to_a_file_makes_open_panic_or_loses_without_a_word() {
    for (name, cut) in
        [("db", 0), ("db", 700_000), ("db", 1_400_000), ("conf", 0), ("conf", 9), ("snap", 0), ("snap", 50)]
    {
        let (dir, store) = fresh();
        let ids: Vec<Hash> = (0..40).map(|i: u32| Hash::of_bytes(&i.to_be_bytes())).collect();
        for id in &ids {
            store.commit_blocking(Batch::of(|b| b.plan(id, &noise(50_000)))).unwrap();
        }
        drop(store);
        drop(open(&dir)); // the second start writes a snapshot
        let sled = dir.path().join("store/sled");
        let mut files = fs::read_dir(&sled).unwrap().map(|e| e.unwrap().path());
        let file = files.find(|f| f.file_name().unwrap().to_string_lossy().starts_with(name)).unwrap();
        let whole = fs::read(&file).unwrap();
        assert!(cut < whole.len());
        let mut damaged = whole[..cut].to_vec();
        damaged.extend(noise(64).bytes());
        fs::write(&file, damaged).unwrap();
        let store = open(&dir);
        let there = ids.iter().filter(|id| matches!(store.plan::<String>(id), Ok(Some(_)))).count();
        eprintln!("{name} cut to {cut} of {}: {there} of 40 there; {:?}", whole.len(), store.trouble());
        assert!(there == 40 || store.trouble().is_some(), "{name} {cut}: lost without a word");
        store.commit_blocking(Batch::of(|b| b.label("a", t(1)))).unwrap();
        drop(store);
        assert!(there == 40 || open(&dir).trouble().is_some(), "said until somebody acts");
    }
}

#[test]
fn writes_that_were_acknowledged_and_are_gone_are_missed() {
    let (dir, store) = fresh();
    store.commit_blocking(Batch::of(|b| b.label("a", t(1)))).unwrap();
    drop(store);
    let path = dir.path().join("store");
    assert_eq!(fs::read_to_string(path.join("mark")).unwrap(), "00000000000000000001");
    fs::write(path.join("mark"), "00000000000000000003").unwrap();
    let store = open(&dir);
    let trouble = store.trouble().unwrap();
    assert!(trouble.contains("transactions 2 to 3 were on the disk and are gone"), "{trouble}");
    assert_eq!(store.label("a").unwrap(), Some(t(1)), "what is left is used");
    drop(store);
    assert!(open(&dir).trouble().is_some());
    fs::remove_file(path.join("lost")).unwrap();
    assert!(open(&dir).trouble().is_none());
    // A corrupt count alone is no loss.
    let store = open(&dir);
    let key = [documents::meta_own("commits"), vec![0, 0]].concat();
    store.engine().raw(Tree::Meta).insert(key, b"rubbish").unwrap();
    drop(store);
    let store = open(&dir);
    assert!(store.trouble().is_none());
    store.commit_blocking(Batch::of(|b| b.label("b", t(1)))).unwrap();
    sound(&store);
}

#[test]
fn a_place_where_no_store_can_be_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let err = Store::open(&file.join("store")).unwrap_err().to_string();
    assert!(err.starts_with("cannot make the directory ") && err.contains("file/store"), "{err}");
    let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let full = StoreError::Io { doing: "sync", path: "/x/db".into(), source }.to_string();
    assert!(full.ends_with("free space on that disk"), "{full}");
}

#[test]
fn a_flipped_byte_on_disk_is_an_error_and_found_by_the_scrub() {
    let (_dir, store) = fresh();
    let id = Hash::of_bytes(b"plan");
    store.commit_blocking(Batch::of(|b| b.plan(&id, &noise(20_000)).label("a", t(1)))).unwrap();
    assert!(put(&store, version(&vpc("vpc-1"), 1, json!({"cidr": "10.0.0.0/16"}))));
    sound(&store);
    let raw = store.engine().raw(Tree::Plans);
    let (key, chunk) = raw.iter().nth(2).unwrap().unwrap();
    let mut damaged = chunk.to_vec();
    damaged[100] ^= 1;
    raw.insert(&key, damaged).unwrap();
    let err = store.plan::<String>(&id).unwrap_err();
    assert!(matches!(&err, StoreError::Corrupt { tree: "plans", key, .. } if *key == id.as_str()), "{err}");
    // Others are not touched by it.
    assert_eq!(store.label("a").unwrap(), Some(t(1)));
    raw.remove(&key).unwrap();
    assert!(matches!(store.plan::<String>(&id), Err(StoreError::Corrupt { .. })));
    let blob = store.engine().raw(Tree::Blobs);
    blob.remove(blob.first().unwrap().unwrap().0).unwrap();
    assert!(matches!(store.current(&vpc("vpc-1")), Err(StoreError::Corrupt { tree: "blobs", .. })));
    let found: Vec<_> = store.verify().unwrap().problems.into_iter().map(|p| (p.tree, p.why)).collect();
    let trees: Vec<_> = found.iter().map(|(tree, _)| *tree).collect();
    assert_eq!(trees, ["versions", "current", "plans"], "{found:?}");
    // What was read again is written again, and the store is whole.
    store.commit_blocking(Batch::of(|b| b.plan(&id, &"x"))).unwrap();
    assert!(put(&store, version(&vpc("vpc-2"), 2, json!({"cidr": "10.0.0.0/16"}))));
    sound(&store);
}

#[test]
fn many_batches_at_once_are_all_answered_and_all_there() {
    let (dir, store) = fresh();
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    rt.block_on(async {
        let tasks: Vec<_> = (0..200i64)
            .map(|i| {
                let store = store.clone();
                tokio::spawn(async move {
                    let v = version(&vpc(&format!("vpc-{i}")), i, json!({ "n": i }));
                    let batch = Batch::of(|b| b.version(v).record(record(&format!("e-{i}"), i)));
                    store.commit(batch).await.unwrap()
                })
            })
            .collect();
        for task in tasks {
            let done = task.await.unwrap();
            assert_eq!((done.records_new, done.changed.len()), (1, 1));
        }
    });
    drop(rt);
    drop(store);
    let store = open(&dir);
    assert_eq!(store.current_in(&scope()).unwrap().len(), 200);
    let numbers: Vec<u64> = store.arrivals_after(0, 1000).unwrap().into_iter().map(|(n, _)| n).collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    sound(&store);
}

#[test]
fn batches_of_one_group_see_each_other_and_a_refused_one_leaves_no_trace() {
    let (_dir, store) = fresh();
    let key = vpc("vpc-1");
    let rt = tokio::runtime::Builder::new_current_thread().build().unwrap();
    rt.block_on(async {
        let mut wrong = version(&key, 3, json!({"n": 9}));
        if let State::Present { hash, .. } = &mut wrong.state {
            *hash = Hash::of_bytes(b"other");
        }
        let (a, b, c, d) = tokio::join!(
            store.commit(Batch::of(|b| b.version(version(&key, 1, json!({"n": 1}))))),
            store.commit(Batch::of(|b| b.label("never", t(1)).version(wrong))),
            store.commit(Batch::of(|b| b.version(version(&key, 2, json!({"n": 1}))))),
            store.commit(Batch::of(|b| b.version(version(&key, 3, json!({"n": 2}))).version(gone(&key, 4)))),
        );
        assert_eq!(a.unwrap().changed.len(), 1);
        assert!(matches!(b, Err(StoreError::Invalid { .. })));
        assert_eq!((c.unwrap().changed.len(), d.unwrap().changed.len()), (0, 2));
    });
    assert_eq!(store.label("never").unwrap(), None);
    let history: Vec<_> = store.history(&key).unwrap().iter().map(|v| (v.captured_at, v.seen_at)).collect();
    assert_eq!(history, [(t(4), t(4)), (t(3), t(3)), (t(1), t(2))]);
    sound(&store);
}

#[test]
fn a_document_that_is_no_json_refuses_its_batch() {
    let (_dir, store) = fresh();
    let odd = std::collections::BTreeMap::from([(vec![1], 2)]);
    let batch = Batch::of(|b| b.label("a", t(1)).restore("r", &odd));
    assert!(matches!(store.commit_blocking(batch), Err(StoreError::Invalid { .. })));
    assert_eq!(store.label("a").unwrap(), None);
    assert!(matches!(store.commit_blocking(Batch::of(|b| b.restore("", &1))), Err(StoreError::Invalid { .. })));
    let big = "x".repeat(crate::model::limits::VALUE_BYTES_MAX);
    assert!(matches!(store.commit_blocking(Batch::of(|b| b.restore("r", &big))), Err(StoreError::TooLarge { .. })));
    assert_eq!(store.failure(), None);
}

#[test]
fn after_a_barrier_that_failed_nothing_is_accepted() {
    let (_dir, store) = fresh();
    store.engine().barrier_fails.store(true, std::sync::atomic::Ordering::Relaxed);
    let first = store.commit_blocking(Batch::of(|b| b.label("a", t(1)))).unwrap_err();
    assert!(matches!(first, StoreError::Failed { .. }), "{first}");
    store.engine().barrier_fails.store(false, std::sync::atomic::Ordering::Relaxed);
    let second = store.commit_blocking(Batch::new()).unwrap_err().to_string();
    assert!(second.starts_with("the store stopped taking writes: cannot sync ") && second.contains("db"), "{second}");
    assert!(store.failure().is_some());
}

#[test]
fn the_same_again_moves_seen_at_and_nothing_else() {
    let (_dir, store) = fresh();
    let key = vpc("vpc-1");
    let a = || json!({"cidr": "10.0.0.0/16", "tags": {"Name": "main"}});
    assert!(put(&store, with_aliases(version(&key, 1, a()), &["old"])));
    assert!(!put(&store, with_aliases(version(&key, 5, a()), &["new"])));
    let now = store.current(&key).unwrap().unwrap();
    assert_eq!((now.captured_at, now.seen_at, now.aliases()), (t(1), t(5), &[Alias("new".into())][..]));
    assert_eq!(store.history(&key).unwrap(), [now]);
    assert!(put(&store, version(&key, 9, json!({"cidr": "10.1.0.0/16"}))));
    let history = store.history(&key).unwrap();
    assert_eq!(history.iter().map(|v| (v.captured_at, v.seen_at)).collect::<Vec<_>>(), [(t(9), t(9)), (t(1), t(5))]);
    assert_eq!(history[1].spec(), Some(&a()));
    assert!(put(&store, version(&vpc("vpc-2"), 9, a())));
    assert_eq!(store.counts().unwrap()["blobs"], 2, "the same spec is stored once");
}

#[test]
fn tombstones_end_a_version_once_and_what_comes_again_is_new() {
    let (_dir, store) = fresh();
    let key = vpc("vpc-1");
    assert!(!put(&store, gone(&key, 1)), "over nothing");
    assert_eq!(store.resources(&scope()).unwrap(), []);
    assert!(put(&store, version(&key, 2, json!({}))));
    assert!(put(&store, gone(&key, 3)));
    assert!(!put(&store, gone(&key, 4)), "over a tombstone");
    assert!(store.current(&key).unwrap().unwrap().is_gone());
    assert!(put(&store, version(&key, 5, json!({}))), "the same spec after a tombstone is a new version");
    assert!(!put(&store, gone(&key, 4)), "late, and says nothing new");
    let at = |s| store.at(&key, t(s)).unwrap().map(|v| v.is_gone());
    assert_eq!(
        [at(1), at(2), at(3), at(4), at(5), at(9)],
        [None, Some(false), Some(true), Some(true), Some(false), Some(false)]
    );
    let world = |s| store.world_at(&scope(), t(s)).unwrap().len();
    assert_eq!([world(1), world(2), world(4), world(6)], [0, 1, 0, 1]);
    sound(&store);
}

#[test]
fn late_reads_join_the_history_and_leave_current_alone() {
    let (_dir, store) = fresh();
    let key = vpc("vpc-1");
    let n = |n: i64| json!({ "n": n });
    assert!(put(&store, version(&key, 10, n(10))));
    assert!(put(&store, version(&key, 4, n(4))));
    assert!(put(&store, version(&key, 7, n(7))));
    assert!(!put(&store, version(&key, 8, n(7))), "the same as the one before it");
    assert!(!put(&store, gone(&key, 2)), "over nothing at that time");
    assert!(put(&store, gone(&key, 9)));
    assert_eq!(store.current(&key).unwrap().unwrap().captured_at, t(10));
    let history: Vec<_> = store.history(&key).unwrap().iter().map(|v| (v.captured_at, v.seen_at)).collect();
    assert_eq!(history, [(t(10), t(10)), (t(9), t(9)), (t(7), t(8)), (t(4), t(4))]);
    let spec = |s| store.at(&key, t(s)).unwrap().and_then(|v| v.spec().cloned());
    assert_eq!([spec(3), spec(6), spec(8), spec(9), spec(11)], [None, Some(n(4)), Some(n(7)), None, Some(n(10))]);
    // Two reads of one instant: neither is lost, and saying it again changes nothing.
    assert!(put(&store, version(&key, 10, n(11))));
    for again in [n(10), n(11)] {
        assert!(!put(&store, version(&key, 10, again)));
    }
    assert_eq!(store.history(&key).unwrap().len(), 5);
    assert_eq!(store.current(&key).unwrap().unwrap().spec(), Some(&n(11)));
    sound(&store);
}

#[test]
fn resources_are_found_by_what_people_type() {
    let (_dir, store) = fresh();
    let (a, b) = (vpc("vpc-a"), scope().key("ec2:route-table".parse().unwrap(), "rtb-b"));
    let other = ResourceKey { scope: "aws/111122223333/us-east-1".parse().unwrap(), ..a.clone() };
    let named = |name: &str| json!({"tags": {"Name": name}});
    put(&store, version(&a, 1, named("main")));
    put(&store, with_aliases(version(&b, 1, named("main")), &["rtbassoc-1"]));
    put(&store, version(&other, 1, named("far")));
    assert_eq!(store.find("main").unwrap(), [b.clone(), a.clone()]);
    assert_eq!(store.find("vpc-a").unwrap(), [a.clone(), other.clone()]);
    assert_eq!(store.find(&a.to_string()).unwrap(), std::slice::from_ref(&a));
    assert_eq!(store.find("vpc").unwrap(), [], "whole words only");
    put(&store, version(&a, 2, named("renamed")));
    put(&store, with_aliases(version(&b, 2, named("main")), &["rtbassoc-2"]));
    put(&store, gone(&b, 3));
    assert_eq!(store.find("main").unwrap(), std::slice::from_ref(&b), "gone ones by their last name");
    assert_eq!(store.find("rtbassoc-1").unwrap(), std::slice::from_ref(&b), "aliases of before too");
    assert_eq!(store.find("rtbassoc-2").unwrap(), [b]);
    assert_eq!(store.scopes().unwrap(), [scope(), other.scope.clone()]);
    assert_eq!(store.resources(&other.scope).unwrap(), [other]);
}

#[test]
fn a_record_that_comes_three_times_is_kept_once() {
    let (dir, store) = fresh();
    let done = store.commit_blocking(Batch::of(|b| b.record(record("e-1", 1)).record(record("e-1", 1)))).unwrap();
    assert_eq!((done.records_new, done.records_known), (1, 1));
    let done = store.commit_blocking(Batch::of(|b| b.record(record("e-1", 1)).record(record("e-2", 0)))).unwrap();
    assert_eq!((done.records_new, done.records_known), (1, 1));
    assert_eq!(store.record(&EventId("e-1".into())).unwrap().unwrap(), record("e-1", 1));
    assert_eq!(store.record(&EventId("e-9".into())).unwrap(), None);
    let ids = |v: Vec<(u64, Record)>| v.into_iter().map(|(n, r)| (n, r.id.0)).collect::<Vec<_>>();
    // By arrival, not by time.
    assert_eq!(ids(store.arrivals_after(0, 9).unwrap()), [(1, "e-1".into()), (2, "e-2".into())]);
    assert_eq!(ids(store.arrivals_after(0, 1).unwrap()), [(1, "e-1".into())]);
    assert_eq!(ids(store.arrivals_after(2, 9).unwrap()), []);
    assert_eq!(store.arrivals_after(u64::MAX, 9).unwrap(), []);
    let between = |a, b| store.records_between(t(a), t(b)).unwrap().len();
    assert_eq!([between(0, 1), between(0, 2), between(1, 2), between(2, 9)], [1, 2, 1, 0]);
    let raw = store.engine().raw(Tree::Records);
    raw.insert(raw.first().unwrap().unwrap().0, b"rubbish").unwrap();
    assert!(store.arrivals_after(0, 9).is_err());
    store.commit_blocking(Batch::of(|b| b.record(record("e-2", 0)))).unwrap();
    assert_eq!(store.arrivals_after(0, 9).unwrap().len(), 2, "a corrupt record is healed by its next delivery");
    drop(store);
    let store = open(&dir);
    store.commit_blocking(Batch::of(|b| b.record(record("e-3", 2)))).unwrap();
    assert_eq!(store.last_arrival().unwrap(), 3);
    sound(&store);
}

#[tokio::test]
async fn records_expire_but_for_those_of_incidents_and_numbers_are_not_used_again() {
    let (_dir, store) = fresh();
    let mut batch = Batch::new();
    (0..1200).for_each(|i| {
        batch.record(record(&format!("e-{i:04}"), i));
    });
    batch.incident(incident_of("e-0007"));
    store.commit(batch).await.unwrap();
    assert_eq!(store.expire_records(t(1199)).await.unwrap(), 1198);
    assert_eq!(store.expire_records(t(1199)).await.unwrap(), 0);
    let left: Vec<_> = store.arrivals_after(0, 99).unwrap().into_iter().map(|(n, r)| (n, r.id.0)).collect();
    assert_eq!(left, [(8, "e-0007".to_owned()), (1200, "e-1199".to_owned())]);
    store.commit(Batch::of(|b| b.incident(Incident { acts: vec![], ..incident_of("e-0007") }))).await.unwrap();
    assert_eq!(store.expire_records(t(9999)).await.unwrap(), 2);
    store.commit(Batch::of(|b| b.record(record("e-new", 1)))).await.unwrap();
    assert_eq!(store.last_arrival().unwrap(), 1201);
    sound(&store);
}

#[test]
fn unreadable_messages_are_kept_once_with_their_bytes() {
    let (_dir, store) = fresh();
    let raw = [0xff, 0, 1];
    let batch = || Batch::of(|b| b.unreadable(&raw, "not JSON", "queue"));
    store.commit_blocking(batch()).unwrap();
    store.commit_blocking(batch()).unwrap();
    store.commit_blocking(Batch::of(|b| b.unreadable(b"", "empty", "file"))).unwrap();
    assert_eq!(store.unreadable_count().unwrap(), 2);
    let all = store.unreadable(9).unwrap();
    assert!(all.contains(&Unreadable { source: "queue".into(), why: "not JSON".into(), raw: raw.to_vec() }), "{all:?}");
    assert_eq!(store.unreadable(1).unwrap().len(), 1);
    sound(&store);
}

#[test]
fn documents_read_back_by_id_and_in_order() {
    let (_dir, store) = fresh();
    let sweep = |at: i64, ended: bool, of: &[Scope]| Sweep {
        started: t(at),
        ended: ended.then(|| t(at + 1)),
        cause: SweepCause::Schedule,
        scopes: of.iter().map(|s| (s.clone(), SweepCounts::default())).collect(),
        errors: vec![],
    };
    let far: Scope = "aws/111122223333/us-east-1".parse().unwrap();
    let session = Session {
        id: SessionId("ASIA1".into()),
        actor: Actor::default(),
        parent: None,
        first_seen: t(1),
        last_seen: t(2),
        agent: None,
    };
    let mut batch = Batch::new();
    batch.sweep(sweep(1, true, &[scope(), far.clone()])).sweep(sweep(2, true, std::slice::from_ref(&far)));
    batch.sweep(sweep(3, false, &[scope()])).session(session.clone()).incident(incident_of("e-1"));
    batch.label("b", t(2)).label("a", t(1)).label("b", t(3));
    batch.cursor("queue", 7).cursor("logs", "2026/11/25").meta("halt", &json!({"by": "alice"}));
    for step in [10u32, 2, 300] {
        batch.journal("r-1", step, &step);
    }
    batch.journal("r-10", 1, &1u32);
    batch.remap(vpc("vpc-1"), vpc("vpc-2")).remap(vpc("vpc-2"), vpc("vpc-3"));
    store.commit_blocking(batch).unwrap();
    assert_eq!(store.sweeps(2).unwrap().iter().map(|s| s.started).collect::<Vec<_>>(), [t(3), t(2)]);
    assert_eq!(store.sweeps(0).unwrap(), []);
    assert_eq!(store.last_sweep(&scope()).unwrap().unwrap().started, t(1));
    assert_eq!(store.last_sweep(&far).unwrap().unwrap().started, t(2));
    assert_eq!(store.session(&session.id).unwrap().as_ref(), Some(&session));
    assert_eq!(store.sessions().unwrap(), [session]);
    let incident = incident_of("e-1");
    assert_eq!(store.incident(&incident.id).unwrap().as_ref(), Some(&incident));
    assert_eq!(store.incidents().unwrap(), [incident]);
    assert_eq!(store.labels().unwrap(), [("a".to_owned(), t(1)), ("b".to_owned(), t(3))]);
    assert_eq!(store.label("c").unwrap(), None);
    assert_eq!(store.cursor("queue").unwrap(), Some(Cursor::Number(7)));
    assert_eq!(store.cursor("logs").unwrap(), Some(Cursor::Text("2026/11/25".into())));
    assert_eq!(store.cursors().unwrap().len(), 2);
    assert_eq!(store.meta::<Value>("halt").unwrap(), Some(json!({"by": "alice"})));
    assert_eq!(store.meta::<Value>("next-arrival").unwrap(), None, "the store's own names are its own");
    assert_eq!(store.journal::<u32>("r-1").unwrap(), [(2, 2), (10, 10), (300, 300)]);
    assert_eq!(store.remaps(&scope()).unwrap().latest("ec2:vpc", "vpc-1"), "vpc-3");
    assert!(store.remaps(&far).unwrap().is_empty());
    assert!(store.size_on_disk().unwrap() > 0);
    sound(&store);
}

#[tokio::test]
async fn the_probe_writes_and_reads() {
    let (_dir, store) = fresh();
    store.probe(t(1)).await.unwrap();
    store.engine().barrier_fails.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(store.probe(t(2)).await.is_err());
}

#[test]
fn a_late_read_parts_a_version_that_was_seen_before_and_after_it() {
    let (_dir, store) = fresh();
    let key = vpc("vpc-1");
    let n = |n: i64| json!({ "n": n });
    for at in [1, 10] {
        put(&store, version(&key, at, n(1)));
    }
    assert!(put(&store, version(&key, 5, n(2))));
    let at = |s| store.at(&key, t(s)).unwrap().and_then(|v| v.spec().cloned());
    assert_eq!([at(1), at(5), at(9), at(10)], [Some(n(1)), Some(n(2)), Some(n(2)), Some(n(1))]);
    let now = store.current(&key).unwrap().unwrap();
    assert_eq!((now.read_began, now.captured_at, now.seen_at), (t(5), t(10), t(10)));
    sound(&store);
}

/// What a read found: nothing (0), or one of some specs.
fn read(key: &ResourceKey, at: i64, what: u8) -> Version {
    if what == 0 { gone(key, at) } else { version(key, at, json!({ "n": what })) }
}
fn what(v: Option<&Version>) -> u8 {
    v.and_then(Version::spec).and_then(|s| s["n"].as_u64()).unwrap_or(0) as u8
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]
    /// The plain rule: what held at an instant is what the last read that ended by then found.
    #[test]
    fn an_instant_gives_what_the_last_read_before_it_found(
        reads in proptest::collection::btree_map(0i64..40, 0u8..3, 1..14),
        late in 0i64..40,
        found in 1u8..3,
    ) {
        let (_dir, store) = fresh();
        let key = vpc("vpc-1");
        // A tombstone over nothing is not kept, so it cannot end what a late read brings.
        let reads: std::collections::BTreeMap<_, _> = reads.into_iter().skip_while(|(_, what)| *what == 0).collect();
        // Of reads that found the same one after the other, the first and the last are kept.
        let list: Vec<_> = reads.iter().collect();
        let inner = |i: usize| i > 0 && i + 1 < list.len() && list[i - 1].1 == list[i].1 && list[i].1 == list[i + 1].1;
        let ends = list.iter().enumerate().filter(|(i, _)| !inner(*i));
        let mut model: std::collections::BTreeMap<i64, u8> = ends.map(|(_, (at, what))| (**at, **what)).collect();
        let mut batch = Batch::new();
        for (at, what) in &reads {
            batch.version(read(&key, *at, *what));
        }
        if !reads.contains_key(&late) {
            model.insert(late, found);
            batch.version(read(&key, late, found));
        }
        store.commit_blocking(batch).unwrap();
        for instant in -1..45 {
            let expected = model.range(..=instant).next_back().map_or(0, |(_, w)| *w);
            proptest::prop_assert_eq!(what(store.at(&key, t(instant)).unwrap().as_ref()), expected, "at {}", instant);
            let world = store.world_at(&scope(), t(instant)).unwrap();
            proptest::prop_assert_eq!(what(world.first()), expected);
        }
        let last = model.values().next_back().copied().unwrap_or(0);
        proptest::prop_assert_eq!(what(store.current(&key).unwrap().as_ref()), last);
        let history = store.history(&key).unwrap();
        proptest::prop_assert!(history.is_sorted_by(|a, b| a.captured_at > b.captured_at));
        proptest::prop_assert!(history.iter().all(|v| v.read_began <= v.captured_at && v.captured_at <= v.seen_at));
        sound(&store);
    }
}

/// For the tests of what stands on the store: an audit entry changed or taken away behind the store's back.
impl Store {
    pub(crate) fn forge_audit(&self, seq: u64, entry: Option<&crate::model::audit::Entry>) {
        let key = keys::number(seq);
        let chunks = entry.map(|e| {
            envelope::seal(self.engine().secret(), Tree::Audit, &key, &serde_json::to_vec(e).unwrap()).unwrap()
        });
        self.engine().write(&[((Tree::Audit, key), chunks)].into()).unwrap();
    }
}
