//! Plans over a toy world: a network, a subnet in it, two groups that name each other, a survivor that names one.
use super::{
    facts::*,
    preflight::{Per, Quota},
    *,
};
use crate::model::{Cause, KindName, State, Version, reference::Remap, version::spec_hash};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const fn quota(code: &'static str, per: Per, uses: fn(&Value) -> u32) -> Quota {
    Quota { service: "t", code, name: "how many", default: 1, per, uses }
}
static OF_SUBS: &[Quota] = &[quota("L-1", Per::Region, Quota::EACH), quota("L-2", Per::Owner("net"), Quota::EACH)];
static OF_NATS: &[Quota] = &[quota("L-3", Per::ZoneOf("sub"), |s| s["size"].as_u64().unwrap_or(0) as u32)];
static OF_GROUPS: &[Quota] =
    &[quota("L-4", Per::Itself, |s| s["rules"].as_array().map_or(0, |rules| rules.len() as u32))];

fn facts(kind: &KindName) -> Option<Facts> {
    let base = Facts {
        kind: "t:net",
        phase: Phase::Network,
        perishable: false,
        immutable: &["cidr"],
        given: &[],
        reported: &[],
        harmless: &[],
        after: &[],
        link_after: &[],
        never_back: &[],
        quotas: &[],
        blocks: |s| {
            let blocks = s["blocks"]
                .as_array()?
                .iter()
                .filter_map(|b| b.as_str().or(b["block"].as_str()))
                .map(str::to_owned)
                .collect();
            Some(preflight::Blocks { of: s["net"]["id"].as_str().map(str::to_owned), blocks })
        },
        human: |scope, s, is_known| {
            let ask = preflight::Ask { who: format!("not {}", scope.account), what: "accept".into() };
            s["peer"].as_str().filter(|p| !is_known("t:net", p)).map(|_| ask)
        },
        terraform: |_, _| vec![],
        row_keys: BTreeMap::new,
        copy_of: |_, _| None,
        readiness: |_, _, _| readiness::Ready::id_only(),
        is_implicit: |_| false,
        natural_key: |_| None,
        calls: |now, _| if now.is_none() { vec!["t:Make"] } else { vec!["t:Change"] },
    };
    Some(match kind.as_str() {
        "t:net" => base,
        "ec2:vpc" => Facts { kind: "ec2:vpc", ..base },
        "t:sub" => Facts {
            kind: "t:sub",
            quotas: OF_SUBS,
            after: &["t:net"],
            natural_key: |s| Some(format!("{} {}", s["net"]["id"], s["cidr"])),
            ..base
        },
        "t:wide" => Facts { kind: "t:wide", row_keys: || [("blocks".to_owned(), &["block"][..])].into(), ..base },
        "t:nat" => Facts { kind: "t:nat", quotas: OF_NATS, ..base },
        "t:gate" => Facts { kind: "t:gate", after: &["t:sub"], ..base },
        "t:address" => Facts { kind: "t:address", perishable: true, never_back: &["its tags"], ..base },
        "t:group" => Facts {
            kind: "t:group",
            quotas: OF_GROUPS,
            immutable: &["name", "net"],
            is_implicit: |s| s["name"] == "default",
            row_keys: || [("rules".to_owned(), &["group"][..])].into(),
            ..base
        },
        _ => return None,
    })
}

#[derive(Default)]
struct World {
    then: BTreeMap<ResourceKey, Version>,
    live: BTreeMap<ResourceKey, Live>,
    newcomers: BTreeMap<ResourceKey, Value>,
    made: BTreeSet<ResourceKey>,
    left: BTreeMap<ResourceKey, Value>,
    remap: Remap,
    overwrite: BTreeSet<ResourceKey>,
}
fn key(kind: &str, id: &str) -> ResourceKey {
    format!("aws/111122223333/eu-west-1/t:{kind}/{id}").parse().unwrap()
}
fn hard(kind: &str, id: &str) -> Value {
    json!({ "$ref": format!("t:{kind}"), "id": id })
}
fn late(kind: &str, id: &str) -> Value {
    json!({ "$late": format!("t:{kind}"), "id": id })
}
fn group(name: &str, names: &[&str]) -> Value {
    let rules: Vec<_> = names.iter().map(|g| json!({ "group": late("group", g), "port": 443 })).collect();
    json!({ "name": name, "net": hard("net", "n"), "rules": rules })
}
impl World {
    fn then(&mut self, kind: &str, id: &str, spec: Value) {
        let k = key(kind, id);
        let at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let state = State::Present {
            hash: spec_hash(&k.kind, 1, &spec),
            spec_version: 1,
            spec,
            unmapped: Value::Null,
            aliases: vec![],
        };
        self.then.insert(
            k.clone(),
            Version { key: k, read_began: at, captured_at: at, seen_at: at, cause: Cause::Plan, state },
        );
    }
    fn gone(&mut self, kind: &str, id: &str) {
        self.live.insert(key(kind, id), Live::Gone);
    }
    fn now(&mut self, kind: &str, id: &str, spec: Value) {
        self.live.insert(key(kind, id), Live::Present { id: id.into(), spec });
    }
    /// Everything but the survivor is gone.
    fn torn_down() -> Self {
        let mut w = Self::default();
        w.then("net", "n", json!({"cidr": "10"}));
        w.then("sub", "s", json!({"cidr": "10.1", "net": hard("net", "n")}));
        w.then("group", "a", group("app", &["d", "a"]));
        w.then("group", "d", group("data", &["a"]));
        w.then("group", "def", group("default", &[]));
        w.then("group", "out", json!({"name": "out", "rules": [{"group": late("group", "a"), "port": 9}]}));
        for (k, id) in [("net", "n"), ("sub", "s"), ("group", "a"), ("group", "d"), ("group", "def")] {
            w.gone(k, id);
        }
        w.now("group", "out", json!({"name": "out", "rules": []}));
        w
    }
    fn plan(&self, seeds: &[ResourceKey], reach: Reach) -> Plan {
        make(&Input {
            now: "2026-01-02T00:00:00Z".parse().unwrap(),
            subject: Subject::Resources(seeds.to_vec()),
            point: "then".into(),
            facts: &facts,
            world: &self.then,
            live: &self.live,
            newcomers: &self.newcomers,
            copies: &readiness::Copies::default(),
            made: &self.made,
            left: &self.left,
            chosen: select(&self.then, &self.live, seeds.to_vec(), reach),
            remap: &self.remap,
            overwrite: &self.overwrite,
            elsewhere: None,
            floor: &|calls| Duration::from_secs(calls.values().sum::<u32>().into()),
        })
    }
}
fn said(plan: &Plan) -> Vec<String> {
    plan.steps.iter().map(|s| format!("{} {}", s.verb, s.resource.id)).collect()
}
fn position(plan: &Plan, what: &str) -> usize {
    said(plan).iter().position(|s| s == what).unwrap_or_else(|| panic!("no `{what}` in {:?}", said(plan)))
}

#[test]
fn one_named_loss_brings_all_that_went_along_and_rewires_the_survivor() {
    let plan = World::torn_down().plan(&[key("net", "n")], Reach::WentAlong);
    assert_eq!(plan.steps.len(), 11, "{:?}", said(&plan));
    for (first, then) in [
        ("create n", "link n"),
        ("link n", "create s"), // t:sub waits for its net to be linked
        ("create n", "create a"),
        ("create d", "link a"),
        ("create a", "link d"),
        ("create n", "adopt def"),
        ("adopt def", "link def"),
        ("create a", "rewire out"),
    ] {
        assert!(position(&plan, first) < position(&plan, then), "{first} before {then}: {:?}", said(&plan));
    }
    for step in &plan.steps {
        assert!(step.after.iter().all(|a| *a < step.number));
    }
    let rewire = &plan.steps[position(&plan, "rewire out")];
    assert_eq!(rewire.changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["rules[a]"]);
    assert_eq!(rewire.want["rules"][0]["group"]["id"], "a");
    assert!(plan.is_clean() && plan.is_intact());
}

/// The rule is back, and its reference is one that apply maps to the new id.
#[test]
fn h6_a_rule_of_a_survivor_that_the_session_revoked_first_is_put_back_with_the_new_id() {
    let mut w = World::torn_down();
    let other = json!({"group": late("group", "z"), "port": 5});
    let (named, spared) = (json!({"group": late("group", "a"), "port": 9}), json!({"name": "out", "rules": [other]}));
    w.then("group", "out", json!({"name": "out", "rules": [named, other]}));
    // The incident left it without the rule; since then somebody else added one, which stays.
    let added = json!({"group": late("group", "y"), "port": 7});
    w.left.insert(key("group", "out"), spared);
    w.now("group", "out", json!({"name": "out", "rules": [other, added]}));
    let plan = w.plan(&[key("group", "a")], Reach::WentAlong);
    let step = &plan.steps[position(&plan, "rewire out")];
    assert_eq!(step.changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["rules[a]"]);
    assert!(step.after.contains(&(position(&plan, "create a") as u32 + 1)), "{step:?}");
    let mut remap = Remap::default();
    remap.insert(&"t:group".parse().unwrap(), "a", "a2");
    let rules = remap.apply(&step.want)["rules"].clone();
    let rules: BTreeSet<_> = rules.as_array().unwrap().iter().map(|r| r["group"]["id"].as_str().unwrap()).collect();
    assert_eq!(rules, ["a2", "y", "z"].into());
    assert!(plan.conflicts.is_empty());
}

#[test]
fn a_live_row_that_names_the_dead_is_rewired_too() {
    let mut w = World::torn_down();
    w.now("group", "out", w.then[&key("group", "out")].spec().unwrap().clone());
    let plan = w.plan(&[key("group", "a")], Reach::Needed);
    let rewire = &plan.steps[position(&plan, "rewire out")];
    assert_eq!(rewire.changes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["rules[a].group"]);
}

#[test]
fn nothing_to_do_is_an_empty_plan() {
    let mut w = World::torn_down();
    for (k, v) in w.then.clone() {
        w.live.insert(k.clone(), Live::Present { id: k.id.clone(), spec: v.spec().unwrap().clone() });
    }
    let plan = w.plan(&[key("net", "n")], Reach::Belonging);
    assert!(plan.is_empty() && plan.losses.is_empty() && plan.floor_ms == 0, "{plan:?}");
}

#[test]
fn the_digest_covers_the_content_and_not_the_hour() {
    let w = World::torn_down();
    let a = w.plan(&[key("net", "n")], Reach::WentAlong);
    let mut b = a.clone();
    b.made_at = "2027-01-01T00:00:00Z".parse().unwrap();
    assert!(b.is_intact());
    b.steps[0].want = json!({"cidr": "11"});
    assert!(!b.is_intact());
    let mut other = World::torn_down();
    other.now("group", "out", json!({"name": "out", "rules": [], "more": 1}));
    assert_ne!(
        other.plan(&[key("net", "n")], Reach::WentAlong).digest,
        a.digest,
        "live state is part of what is approved"
    );
}

#[test]
fn what_nothing_can_make_is_skipped_with_all_that_needs_it() {
    let mut w = World::torn_down();
    w.then("alien", "x", json!({}));
    w.gone("alien", "x");
    w.then("sub", "s", json!({"cidr": "10.1", "net": hard("net", "n"), "alien": hard("alien", "x")}));
    let plan = w.plan(&[key("net", "n"), key("alien", "x")], Reach::WentAlong);
    assert!(position(&plan, "skip x") > 0 && position(&plan, "skip s") > 0);
    assert!(!plan.is_clean());
    assert!(plan.steps[position(&plan, "skip s")].why.as_deref().unwrap().contains("needs t:alien x"));
}

#[test]
fn late_references_to_what_stays_dead_are_left_out_and_named() {
    let mut w = World::torn_down();
    w.then("alien", "x", json!({}));
    w.gone("alien", "x");
    w.then("group", "d", json!({"name": "data", "net": hard("net", "n"), "rules": [{"group": late("alien", "x"), "port": 1}, {"group": late("group", "a"), "port": 2}]}));
    let plan = w.plan(&[key("net", "n")], Reach::WentAlong);
    let link = &plan.steps[position(&plan, "link d")];
    assert_eq!(link.want["rules"].as_array().unwrap().len(), 1);
    assert!(
        plan.losses.iter().any(|l| l.resource.id == "d" && l.what.contains("x, which does not come back")),
        "{:?}",
        plan.losses
    );
}

#[test]
fn claims_come_first_and_an_implicit_of_a_survivor_is_created() {
    let mut w = World::torn_down();
    w.then("address", "ip", json!({"cidr": "192.0.2.7"}));
    w.gone("address", "ip");
    let plan = w.plan(&[key("net", "n"), key("address", "ip")], Reach::WentAlong);
    assert_eq!(position(&plan, "claim ip"), 0);
    assert!(plan.notes.contains("t:address: never comes back: its tags"));
    w.now("net", "n", json!({"cidr": "10"}));
    assert!(said(&w.plan(&[key("group", "def")], Reach::Needed)).contains(&"create def".to_owned()));
}

#[test]
fn what_is_made_before_waits_for_the_links_of_what_it_shares_an_owner_with() {
    let mut w = World::torn_down();
    w.then("gate", "g", json!({"net": late("net", "n")}));
    w.gone("gate", "g");
    let plan = w.plan(&[key("net", "n"), key("gate", "g")], Reach::WentAlong);
    assert!(position(&plan, "link s") < position(&plan, "create g"), "{:?}", said(&plan));
}

#[test]
fn a_natural_key_that_a_newcomer_holds_is_a_conflict() {
    let mut w = World::torn_down();
    w.now("net", "n", json!({"cidr": "10"}));
    w.newcomers.insert(key("sub", "impostor"), json!({"cidr": "10.1", "net": hard("net", "n")}));
    let plan = w.plan(&[key("sub", "s")], Reach::Needed);
    assert_eq!((said(&plan), plan.conflicts.len()), (vec!["skip s".to_owned()], 1));
    assert!(plan.conflicts[0].what.contains("impostor") && plan.conflicts[0].resolution == "refuse");

    // The incident's own sessions made it: it takes the place of what they deleted, if it can become that.
    w.made.insert(key("sub", "impostor"));
    let plan = w.plan(&[key("sub", "s")], Reach::Needed);
    assert_eq!((said(&plan), plan.is_clean()), (vec!["adopt s".to_owned(), "link s".to_owned()], false));
    assert_eq!(
        (plan.steps[0].live_id.as_deref(), &*plan.conflicts[0].resolution),
        (Some("impostor"), "adopt and converge")
    );
    w.newcomers.insert(key("sub", "impostor"), json!({"cidr": "10.1", "zone": "b", "net": hard("net", "n")}));
    let again = w.plan(&[key("sub", "s")], Reach::Needed);
    assert_ne!(again.digest, plan.digest, "what it is now is part of what is approved");
}

#[test]
fn what_others_changed_since_stays_unless_named() {
    let mut w = World::torn_down();
    let out = key("group", "out");
    w.left.insert(out.clone(), json!({"name": "out", "rules": []}));
    w.now("group", "out", json!({"name": "renamed by people", "rules": []}));
    let plan = w.plan(&[key("group", "a")], Reach::Needed);
    let step = &plan.steps[position(&plan, "rewire out")];
    assert_eq!((step.want["name"].as_str(), plan.conflicts.len()), (Some("renamed by people"), 0));
    // Changed by both: a conflict, and theirs until it is asked for by name.
    w.left.insert(out.clone(), json!({"name": "by the agent", "rules": []}));
    w.then("group", "out", json!({"name": "out", "size": 1, "rules": [{"group": late("group", "a"), "port": 9}]}));
    w.left.get_mut(&out).unwrap()["size"] = 2.into();
    w.now("group", "out", json!({"name": "out", "size": 3, "rules": []}));
    let plan = w.plan(&[key("group", "a")], Reach::Needed);
    assert_eq!(plan.conflicts[0].clashes.iter().map(|c| c.path.as_str()).collect::<Vec<_>>(), ["size"]);
    w.overwrite.insert(out);
    let plan = w.plan(&[key("group", "a")], Reach::Needed);
    assert_eq!((plan.steps[position(&plan, "converge out")].want["size"].clone(), plan.conflicts.len()), (json!(1), 0));
}

#[test]
fn an_earlier_restore_is_no_difference_and_its_ids_are_followed() {
    let mut w = World::torn_down();
    w.remap.insert(&"t:net".parse().unwrap(), "n", "n2");
    w.live.insert(key("net", "n"), Live::Present { id: "n2".into(), spec: json!({"cidr": "10"}) });
    w.live.insert(
        key("sub", "s"),
        Live::Present { id: "s2".into(), spec: json!({"cidr": "10.1", "net": hard("net", "n2")}) },
    );
    w.remap.insert(&"t:sub".parse().unwrap(), "s", "s2");
    let plan = w.plan(&[key("sub", "s"), key("group", "d")], Reach::Needed);
    assert!(!said(&plan).iter().any(|s| s.ends_with(" s") || s.ends_with(" n")), "{:?}", said(&plan));
    assert!(said(&plan).contains(&"create d".to_owned()));
}

#[test]
fn ids_in_texts_are_named_and_not_touched() {
    let mut w = World::default();
    let id = "vpc-0123456789abcdef0";
    let vpc: ResourceKey = format!("aws/111122223333/eu-west-1/ec2:vpc/{id}").parse().unwrap();
    w.then("net", "n", json!({"cidr": "10", "text": format!("see {id}")}));
    w.gone("net", "n");
    let mut v = w.then[&key("net", "n")].clone();
    v.key = vpc.clone();
    w.then.insert(vpc.clone(), v);
    w.live.insert(vpc.clone(), Live::Gone);
    let plan = w.plan(&[vpc.clone(), key("net", "n")], Reach::Needed);
    assert!(plan.notes.iter().any(|n| n.starts_with("text of n names vpc-0123456789abcdef0")), "{:?}", plan.notes);
    assert_eq!(plan.steps[position(&plan, "create n")].want["text"], format!("see {id}"));
}

#[test]
fn content_that_is_lost_is_said_before() {
    fn with_data(kind: &KindName) -> Option<Facts> {
        facts(kind).map(|f| Facts {
            readiness: |id, _, copies| readiness::Ready {
                cost: readiness::Cost::Data,
                lost: copies.of(id).map_or("all of it".into(), |c| format!("what was written since {}", c.id)),
                remedy: None,
            },
            ..f
        })
    }
    let mut w = World::default();
    w.then("net", "n", json!({"cidr": "10"}));
    w.then("net", "m", json!({"cidr": "11"}));
    w.then("address", "ip", json!({"cidr": "192.0.2.7"}));
    for (kind, id) in [("net", "n"), ("net", "m"), ("address", "ip")] {
        w.gone(kind, id);
    }
    let seeds = [key("net", "n"), key("net", "m"), key("address", "ip")];
    let copy = readiness::Copy { of: "n".into(), taken: "2026-01-01T00:00:00Z".parse().unwrap(), id: "copy-1".into() };
    let plan = make(&Input {
        now: "2026-01-02T00:00:00Z".parse().unwrap(),
        subject: Subject::Resources(seeds.to_vec()),
        point: "then".into(),
        facts: &with_data,
        world: &w.then,
        live: &w.live,
        newcomers: &w.newcomers,
        copies: &readiness::Copies::newest([copy]),
        made: &w.made,
        left: &w.left,
        chosen: seeds.into(),
        remap: &w.remap,
        overwrite: &w.overwrite,
        elsewhere: None,
        floor: &|_| Duration::ZERO,
    });
    let lost: Vec<_> = plan.losses.iter().map(|l| (l.resource.id.as_str(), l.what.as_str(), l.bound)).collect();
    // What is claimed comes whole or not at all. Only a copy bounds what is lost.
    let since = Some(Bound::Since("2026-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(lost, [("m", "all of it", None), ("n", "what was written since copy-1", since)]);
}

#[test]
fn a_policy_accepts_only_what_is_bounded() {
    let began: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let hours = jiff::SignedDuration::from_hours;
    let loss = |bound| Loss { resource: key("net", "n"), what: "it".into(), bound };
    let since = |at: &str| loss(Some(Bound::Since(at.parse().unwrap())));
    let cases = [
        (since("2026-01-01T11:00:00Z"), [false, true, true]),
        (since("2026-01-01T10:59:59Z"), [false, false, true]),
        (loss(Some(Bound::Memory)), [false, true, true]),
        (loss(None), [false, false, false]),
    ];
    for (loss, accepted) in cases {
        let within = [hours(0), hours(1), hours(24)].map(|max| loss.is_within(max, began));
        assert_eq!(within, accepted, "{loss:?}");
    }
}

#[test]
fn h65_what_a_quota_is_asked_for_is_counted_where_it_applies() {
    let mut w = World::torn_down();
    w.then("sub", "s", json!({"cidr": "10.1", "net": hard("net", "n"), "availability_zone_id": "z1"}));
    w.then("nat", "x", json!({"sub": hard("sub", "s"), "size": 2}));
    w.gone("nat", "x");
    w.now("net", "n", json!({"cidr": "10"}));
    let plan = w.plan(
        &["a", "d"].map(|g| key("group", g)).into_iter().chain([key("sub", "s"), key("nat", "x")]).collect::<Vec<_>>(),
        Reach::WentAlong,
    );
    let live: BTreeMap<ResourceKey, Value> = [
        (key("net", "n2"), json!({})),
        (key("sub", "s2"), json!({"net": hard("net", "n2"), "availability_zone_id": "z1"})),
        (key("sub", "s3"), json!({"net": hard("net", "other"), "availability_zone_id": "z2"})),
        (key("nat", "y"), json!({"sub": hard("sub", "s2"), "size": 3})),
        (key("nat", "z"), json!({"sub": hard("sub", "s3"), "size": 5})),
        (key("group", "out"), json!({"rules": []})),
    ]
    .into();
    // The net was made anew by an earlier restore.
    let today = |k: &ResourceKey| if k.id == "n" { key("net", "n2") } else { k.clone() };
    let demands = preflight::demands(&plan, &facts, &live, &today);
    let of = |code: &str, of: Option<&str>| {
        let all: Vec<_> = demands.iter().filter(|d| d.quota.code == code && d.of.as_deref() == of).collect();
        all.iter().map(|d| (d.live, d.needed)).collect::<Vec<_>>()
    };
    assert_eq!((of("L-1", None), of("L-2", Some("n2"))), (vec![(2, 1)], vec![(1, 1)]), "{demands:?}");
    assert_eq!(of("L-3", Some("z1")), [(3, 2)]);
    assert_eq!(of("L-4", Some("a")), [(0, 2)]);
    assert_eq!(of("L-4", Some("out")), [(0, 1)], "a survivor asks for what it lacks");
}

#[test]
fn h65_what_stands_in_the_way_is_part_of_what_is_approved() {
    let plan = World::torn_down().plan(&[key("net", "n")], Reach::WentAlong);
    let blocker = Blocker {
        scope: "aws/111122223333/eu-west-1".parse().unwrap(),
        quota: "all".into(),
        code: "t/L-1".into(),
        of: Some("n".into()),
        value: 5,
        not_read: Some("denied".into()),
        live: 4,
        needed: 2,
    };
    assert_eq!(blocker.to_string(), "all (t/L-1) of n: 5 allowed (default, not read: denied), 4 there, 2 more needed");
    assert!(plan.is_clean() && !blocker.is_certain());
    let blocked = plan.clone().blocked_by(vec![blocker]);
    assert!(!blocked.is_clean() && blocked.is_intact() && blocked.digest != plan.digest);
    assert_eq!(plan.clone().blocked_by(vec![]).digest, plan.digest, "as before there were any");
}

#[test]
fn h17_who_else_must_act_is_in_the_plan() {
    let mut w = World::torn_down();
    w.then("sub", "s", json!({"cidr": "10.1", "net": hard("net", "n"), "peer": "theirs"}));
    w.then("gate", "g", json!({"net": late("net", "n"), "peer": "n"}));
    w.gone("gate", "g");
    let plan = w.plan(&[key("net", "n"), key("gate", "g")], Reach::WentAlong);
    let human = Human { resource: key("sub", "s"), who: "not 111122223333".into(), what: "accept".into() };
    assert_eq!(plan.humans, [human]);
    assert!(plan.is_intact());
}

#[test]
fn addresses_that_a_newcomer_overlaps_are_a_conflict() {
    let mut w = World::torn_down();
    w.then("sub", "s", json!({"cidr": "10.1", "net": hard("net", "n"), "blocks": ["10.1.0.0/24"]}));
    w.now("net", "n", json!({"cidr": "10"}));
    let there = |net: &str| json!({"cidr": "10.1.0", "net": hard("net", net), "blocks": ["10.1.0.0/16"]});
    w.newcomers.insert(key("sub", "elsewhere"), there("m"));
    assert_eq!(w.plan(&[key("sub", "s")], Reach::Needed).conflicts, []);
    w.newcomers.insert(key("sub", "impostor"), there("n"));
    let plan = w.plan(&[key("sub", "s")], Reach::Needed);
    assert_eq!((said(&plan), plan.conflicts.len()), (vec!["skip s".to_owned()], 1));
    assert_eq!(plan.conflicts[0].what, "t:sub `10.1.0.0/24` overlaps 10.1.0.0/16 of impostor");
    assert!(plan.steps[0].why.as_deref().unwrap().contains("remove or rename it, then plan again"));
}

#[test]
fn a_block_of_a_survivor_that_another_took_the_place_of_is_a_conflict() {
    let mut w = World::default();
    let wide = |blocks: &[&str]| json!({"blocks": blocks.iter().map(|b| json!({"block": b})).collect::<Vec<_>>()});
    w.then("wide", "n", wide(&["10.0.0.0/16", "10.1.0.0/16"]));
    w.left.insert(key("wide", "n"), wide(&["10.0.0.0/16"]));
    w.now("wide", "n", wide(&["10.0.0.0/16", "10.1.128.0/17"]));
    let plan = w.plan(&[key("wide", "n")], Reach::Needed);
    let said: Vec<_> = plan.conflicts.iter().map(|c| c.what.as_str()).collect();
    assert!(matches!(said[..], [one] if one.starts_with("10.1.0.0/16 and 10.1.128.0/17 overlap")), "{plan:?}");
    w.now("wide", "n", wide(&["10.0.0.0/16", "10.2.0.0/16"]));
    assert_eq!(w.plan(&[key("wide", "n")], Reach::Needed).conflicts, []);
}

#[test]
fn the_least_time_is_that_of_the_calls_of_the_plan() {
    let plan = World::torn_down().plan(&[key("net", "n")], Reach::WentAlong);
    let calls: usize = plan.steps.iter().map(|s| s.calls.len()).sum();
    assert!(calls > 0);
    assert_eq!(plan.floor_ms, calls as u64 * 1000, "a second for each, says this test's budget");
}
