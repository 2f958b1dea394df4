//! What is checked of every kind of the registry: that its tables are complete against the compiled SDK and the service
//! model, and that its specs keep the promises of the store.
use super::{
    AnyKind,
    mirror::{Coverage, kind_of},
    registry::KINDS,
};
use crate::{
    model::{KindName, canonical, reference::as_reference},
    plan::{elsewhere, preflight::Per},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"))
}
fn of_each<'a, T: 'a>(of: impl Fn(&'static dyn AnyKind) -> Vec<T>, text: impl Fn(T) -> String) -> Vec<String> {
    KINDS
        .iter()
        .flat_map(|k| of(*k).into_iter().map(|p| format!("{}: {}", k.name(), text(p))).collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_output_field_has_a_fate() {
    none(of_each(|k| k.tables().iter().flat_map(|t| t.against_sdk()).collect(), |p| p))
}

#[test]
fn every_input_field_is_given_or_left() {
    none(of_each(|k| k.inputs().iter().flat_map(|t| t.against_sdk()).collect(), |p| p))
}

#[test]
fn no_row_waits_for_a_judgment() {
    let open = |t: &&Coverage| t.fields.iter().filter(|f| !f.judge.is_empty()).map(|f| f.name).collect::<Vec<_>>();
    none(of_each(|k| k.tables().iter().flat_map(open).collect(), str::to_owned))
}

#[test]
fn every_reason_is_a_reason() {
    use super::mirror::Fate::{Drop, Gap, Keep, Report};
    let short = |why: &str| why.len() < 8 || why.contains("TODO");
    let bad = |t: &&Coverage| {
        let rows = t.fields.iter().filter(|f| match f.fate {
            Keep => false,
            Report(why) | Drop(why) | Gap(why) => short(why),
        });
        rows.map(|f| f.wire).collect::<Vec<_>>()
    };
    let mut problems = of_each(|k| k.tables().iter().flat_map(bad).collect(), str::to_owned);
    let left = |k: &'static dyn AnyKind| k.inputs().iter().flat_map(|t| t.left).filter(|l| short(l.1)).collect();
    problems.extend(of_each(left, |l| l.0.to_owned()));
    none(problems)
}

/// Wire names of each shape of the model, by service and lower-case name.
fn shapes(wire: &Value) -> BTreeMap<(String, String), Vec<String>> {
    let mut shapes = BTreeMap::new();
    for (service, w) in wire.as_object().unwrap() {
        let wires = |shape: &str| {
            let members = w["shapes"][shape].as_object().unwrap();
            members.values().map(|m| m[0].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        for shape in w["shapes"].as_object().unwrap().keys() {
            shapes.insert((service.clone(), shape.to_lowercase()), wires(shape));
        }
        // The SDK names an operation's output after the operation; the model may call the shape anything.
        for (op, shape) in w["ops"].as_object().unwrap() {
            shapes.insert((service.clone(), format!("{op}Output").to_lowercase()), wires(shape.as_str().unwrap()));
        }
    }
    shapes
}

#[test]
fn every_wire_name_of_the_model_has_a_row() {
    let Some(text) = crate::testing::shared("model/wire.json") else { return };
    let shapes = shapes(&serde_json::from_str(&text).unwrap());
    let mut problems = vec![];
    for k in KINDS {
        let service = k.name().split(':').next().unwrap();
        for t in k.tables() {
            match shapes.get(&(service.to_owned(), t.shape().to_lowercase())) {
                Some(wires) => problems.extend(t.against_model(wires).into_iter().map(|p| format!("{} {p}", k.name()))),
                None => problems.push(format!("{} {}: no such shape in the model", k.name(), t.sdk)),
            }
        }
    }
    none(problems)
}

#[test]
fn specs_survive_json() {
    for k in KINDS {
        let spec = k.sample(false);
        let text = canonical(&spec);
        assert_eq!(canonical(&k.again(&serde_json::from_str(&text).unwrap()).unwrap()), text, "{}", k.name());
        let mut newer = spec;
        newer.as_object_mut().unwrap().insert("from_a_newer_version".into(), 1.into());
        assert!(k.again(&newer).unwrap_err().why.contains("from_a_newer_version"), "{}", k.name());
    }
}

#[test]
fn the_order_of_sets_changes_no_hash() {
    for k in KINDS {
        assert_eq!(canonical(&k.sample(false)), canonical(&k.sample(true)), "{}", k.name());
    }
}

#[test]
fn members_that_facts_name_exist() {
    for k in KINDS {
        let (facts, sample) = (k.facts(), k.sample(false));
        for member in facts.immutable.iter().chain(facts.given).chain(facts.reported.iter().map(|(m, _)| m)) {
            assert!(sample.get(*member).is_some(), "{}: no member {member}", k.name());
        }
        for member in facts.harmless {
            assert!(facts.reported.iter().any(|(m, _)| m == member), "{}: {member} is to be explained", k.name());
        }
        for other in facts.after {
            assert!(other.parse::<KindName>().is_ok(), "{}: {other} is no kind", k.name());
        }
    }
}

/// A restore elsewhere maps the members that say a place by their names, and whatever is a reference by its kind.
#[test]
fn members_that_say_a_place_are_known_to_a_restore_elsewhere() {
    const NO_PLACE: &[(&str, &str)] = &[
        (
            "service_region",
            "a service of another region, which stays the same; dropped where that is the region itself",
        ),
        ("auto_provision_zones", "whether it spreads by itself: a word, not a zone"),
        ("peer_account", "of a group of another account: its row names what is no part of the restore"),
        ("unused_reservation_billing_owner_id", "whoever pays for it"),
    ];
    fn texts(v: &Value, member: &str, out: &mut BTreeSet<String>) {
        match v {
            Value::Object(m) if m.contains_key("$ref") || m.contains_key("$late") => {}
            Value::Object(m) => m.iter().filter(|(k, _)| *k != "tags").for_each(|(k, v)| texts(v, k, out)),
            Value::Array(a) => a.iter().for_each(|v| texts(v, member, out)),
            Value::String(_) => drop(out.insert(member.to_owned())),
            _ => {}
        }
    }
    for k in KINDS {
        let mut members = BTreeSet::new();
        texts(&k.sample(false), "", &mut members);
        for member in members {
            let sounds =
                ["zone", "region", "border", "account", "owner", "service_name"].iter().any(|w| member.contains(w));
            let known = elsewhere::knows_member(k.name(), &member) || NO_PLACE.iter().any(|(m, _)| *m == member);
            assert!(!sounds || known, "{}: {member}", k.name());
        }
    }
}

/// A floor time and a policy are made of these: a call that restores must be allowed, and the other way around.
#[test]
fn actions_are_those_of_the_service() {
    for k in KINDS {
        for action in k.observe().iter().chain(k.restore()) {
            let (service, name) = action.split_once(':').unwrap_or_default();
            let words = service.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && name.bytes().all(|b| b.is_ascii_alphanumeric());
            assert!(words && !service.is_empty() && !name.is_empty(), "{}: `{action}`", k.name());
        }
        let create = (k.facts().calls)(None, &k.sample(false));
        let converge = (k.facts().calls)(Some(&Value::Object(Default::default())), &k.sample(false));
        for call in create.iter().chain(&converge) {
            assert!(k.restore().contains(call), "{}: `{call}` is not among its actions", k.name());
        }
    }
}

/// H65: what is live is counted in the kind that a quota stands in; codes have the form that Service Quotas gives them.
#[test]
fn h65_a_quota_belongs_to_one_kind_and_counts_something() {
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for k in KINDS {
        for quota in k.facts().quotas {
            let digits = quota.code.strip_prefix("L-").unwrap_or_default();
            assert!(digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{}", quota.code);
            assert!(["ec2", "vpc"].contains(&quota.service) && quota.default > 0, "{}", quota.code);
            assert_eq!(*owners.entry(quota.code).or_insert(k.name()), k.name(), "{}", quota.code);
            if let Per::Owner(member) | Per::ZoneOf(member) = quota.per {
                assert!(as_reference(&k.sample(false)[member]).is_some(), "{}: {member} is no reference", k.name());
            }
        }
    }
    let uses = |kind: &str, code: &str, spec: Value| {
        let kind = KINDS.iter().find(|k| k.name() == kind).unwrap();
        let quota = kind.facts().quotas.iter().find(|q| q.code == code).unwrap();
        (quota.uses)(&spec)
    };
    let cpu = json!({"core_count": 4, "threads_per_core": 2});
    let instance = |more: Value| {
        let mut spec = json!({"instance_type": "m5.2xlarge", "cpu_options": cpu});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        uses("ec2:instance", "L-1216C47A", spec)
    };
    assert_eq!(instance(json!({})), 8);
    for more in [
        json!({"instance_type": "inf2.xlarge"}),
        json!({"instance_type": "hpc7a.12xlarge"}),
        json!({"instance_lifecycle": "spot"}),
        json!({"stopped": true}),
        json!({"cpu_options": null}),
    ] {
        assert_eq!(instance(more.clone()), 0, "{more}");
    }
    assert_eq!(instance(json!({"instance_type": "is4gen.large"})), 8);
    let rules = json!([{"cidr_ipv4": "192.0.2.0/24"}, {"cidr_ipv6": "2001:db8::/32"}, {"cidr_ipv6": "2001:db8:1::/48"}, {"peer_group_id": {"$late": "ec2:security-group", "id": "sg-1"}}]);
    assert_eq!(uses("ec2:security-group", "L-0EA8095F", json!({"ingress": rules})), 3);
    assert_eq!(uses("ec2:elastic-ip", "L-0263D0A3", json!({"public_ipv4_pool": "ipv4pool-ec2-1"})), 0);
    assert_eq!(uses("ec2:elastic-ip", "L-0263D0A3", json!({"public_ipv4_pool": "amazon"})), 1);
    for (kind, gateway, interface) in
        [("Gateway", 1, 0), ("Interface", 0, 1), ("GatewayLoadBalancer", 0, 1), ("Resource", 0, 0)]
    {
        let of = |code| uses("ec2:vpc-endpoint", code, json!({"vpc_endpoint_type": kind}));
        assert_eq!((of("L-1B52E74A"), of("L-29B6F2EB")), (gateway, interface), "{kind}");
    }
}

/// H17, H18, H19: who else must act, as the kinds say it.
#[test]
fn h17_h18_h19_counterparties_are_named_and_nobody_where_all_is_ours() {
    let scope = "aws/111122223333/eu-west-1".parse().unwrap();
    let ask = |kind: &str, spec: Value| {
        let kind = KINDS.iter().find(|k| k.name() == kind).unwrap();
        (kind.facts().human)(&scope, &spec, &|kind, id| (kind, id) == ("ec2:transit-gateway", "tgw-ours"))
    };
    let side = |owner: &str, region: &str| json!({"owner_id": owner, "region": region, "vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}});
    let peering = |other: Value, by_peer: Option<bool>| {
        let ours = side("111122223333", "eu-west-1");
        ask(
            "ec2:vpc-peering-connection",
            json!({"requester_vpc_info": ours, "accepter_vpc_info": other, "accepted_by_peer": by_peer}),
        )
    };
    let who = |a: Option<crate::plan::preflight::Ask>| a.map(|a| a.who);
    assert_eq!(
        who(peering(side("444455556666", "eu-west-1"), Some(true))).unwrap(),
        "account 444455556666 in eu-west-1"
    );
    assert_eq!(
        who(peering(side("111122223333", "us-east-1"), Some(true))).unwrap(),
        "account 111122223333 in us-east-1"
    );
    assert_eq!(who(peering(side("111122223333", "eu-west-1"), None)), None);
    let attachment = |id: &str| json!({"transit_gateway_id": {"$ref": "ec2:transit-gateway", "id": id}});
    assert_eq!(
        who(ask("ec2:transit-gateway-attachment", attachment("tgw-theirs"))).unwrap(),
        "the owner of tgw-theirs"
    );
    assert_eq!(who(ask("ec2:transit-gateway-attachment", attachment("tgw-ours"))), None);
    let endpoint = |service: &str| ask("ec2:vpc-endpoint", json!({"service_name": service}));
    assert!(who(endpoint("com.amazonaws.vpce.eu-west-1.vpce-svc-1")).unwrap().contains("vpce-svc-1"));
    assert_eq!(who(endpoint("com.amazonaws.eu-west-1.s3")), None);
    let vpn = json!({"customer_gateway_id": {"$ref": "ec2:customer-gateway", "id": "cgw-1"}});
    assert!(who(ask("ec2:vpn-connection", vpn)).unwrap().contains("cgw-1"));
}

#[test]
fn names_are_unique_and_parse() {
    let names: BTreeSet<_> = KINDS.iter().map(|k| k.name()).collect();
    assert_eq!(names.len(), KINDS.len());
    for name in names {
        assert_eq!(name.parse::<KindName>().unwrap().as_str(), name);
    }
}

#[test]
fn every_file_of_a_kind_is_registered() {
    let kinds = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kinds");
    let registry = std::fs::read_to_string(kinds.join("registry.rs")).unwrap();
    let folders = std::fs::read_dir(kinds).unwrap().map(|e| e.unwrap().path());
    let mut problems = vec![];
    for folder in folders.filter(|p| p.is_dir() && !p.ends_with("mirror")) {
        for file in std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()) {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let service = folder.file_name().unwrap().to_str().unwrap();
            if stem != "mod" && !registry.contains(&format!("<{service}::{stem}::")) {
                problems.push(format!("{} is not in the registry", file.display()));
            }
        }
    }
    none(problems)
}

/// The model tells kinds by the form of an id, the mirror too: they must agree.
#[test]
fn both_tables_of_id_prefixes_agree() {
    for id in [
        "vpc-0123456789abcdef0",
        "subnet-0123456789abcdef0",
        "dopt-0123456789abcdef0",
        "igw-0123456789abcdef0",
        "eigw-0123456789abcdef0",
    ] {
        let model = crate::model::reference::kind_of_id(id).unwrap();
        assert_eq!(kind_of(id), Some(model.as_str()));
    }
}
