//! References between resources, read from stored JSON without knowing the kind: `{"$ref": kind, "id": id}` must exist
//! before its holder, `{"$late": kind, "id": id}` may be set once both exist.
use super::key::{KindName, ResourceKey, Scope};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strength {
    /// The target must exist before the holder is created.
    Hard,
    /// The target may be set on the holder later: the planner may cut this edge to break a cycle.
    Late,
}

/// One reference: where it points, and how firmly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    pub strength: Strength,
    pub target: ResourceKey,
}

/// The kind and id of a JSON object that is a reference.
pub fn as_reference(v: &Value) -> Option<(Strength, &str, &str)> {
    let m = v.as_object()?;
    let id = m.get("id")?.as_str()?;
    let (strength, kind) =
        m.get("$ref").map(|k| (Strength::Hard, k)).or(m.get("$late").map(|k| (Strength::Late, k)))?;
    Some((strength, kind.as_str()?, id))
}

/// Every reference in a spec, each once. References stay in the holder's account and region.
pub fn references(scope: &Scope, spec: &Value) -> BTreeSet<Reference> {
    let mut out = BTreeSet::new();
    walk(spec, &mut |v| {
        if let Some((strength, kind, id)) = as_reference(v)
            && let Ok(kind) = kind.parse::<KindName>()
        {
            out.insert(Reference { strength, target: scope.key(kind, id) });
        }
    });
    out
}
fn walk<'a>(v: &'a Value, see: &mut impl FnMut(&'a Value)) {
    see(v);
    match v {
        Value::Object(m) => m.values().for_each(|v| walk(v, see)),
        Value::Array(a) => a.iter().for_each(|v| walk(v, see)),
        _ => {}
    }
}

/// A spec without the rows and members that refer late to what `is_missing`: what a holder can have while those are not
/// there.
pub fn without(v: &Value, is_missing: &dyn Fn(&str, &str) -> bool) -> Value {
    // A reference itself, or a row with one among its members or in what they hold, unless that holds rows of its own.
    fn names(v: &Value, is_missing: &dyn Fn(&str, &str) -> bool) -> bool {
        match as_reference(v) {
            Some((strength, kind, id)) => strength == Strength::Late && is_missing(kind, id),
            None => v.as_object().is_some_and(|m| m.values().any(|v| names(v, is_missing))),
        }
    }
    match v {
        Value::Object(m) if as_reference(v).is_none() => {
            let kept = m.iter().filter(|(_, v)| as_reference(v).is_none() || !names(v, is_missing));
            Value::Object(kept.map(|(k, v)| (k.clone(), without(v, is_missing))).collect())
        }
        Value::Array(rows) => {
            let kept = rows.iter().filter(|row| !names(row, is_missing));
            Value::Array(kept.map(|row| without(row, is_missing)).collect())
        }
        leaf => leaf.clone(),
    }
}

/// Old id to new id, of one account and region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remap(BTreeMap<(String, String), String>);
impl Remap {
    pub fn insert(&mut self, kind: &KindName, old: impl Into<String>, new: impl Into<String>) {
        self.0.insert((kind.as_str().to_owned(), old.into()), new.into());
    }
    pub fn get(&self, kind: &KindName, old: &str) -> Option<&str> {
        self.0.get(&(kind.as_str().to_owned(), old.to_owned())).map(String::as_str)
    }
    /// The spec with every mapped reference pointing at the new id. Chains (restored twice) are followed to the end.
    pub fn apply(&self, spec: &Value) -> Value {
        if let Some((strength, kind, id)) = as_reference(spec) {
            let tag = if strength == Strength::Hard { "$ref" } else { "$late" };
            return serde_json::json!({ tag: kind, "id": self.latest(kind, id) });
        }
        match spec {
            Value::Object(m) => Value::Object(m.iter().map(|(k, v)| (k.clone(), self.apply(v))).collect()),
            Value::Array(a) => Value::Array(a.iter().map(|v| self.apply(v)).collect()),
            leaf => leaf.clone(),
        }
    }
    /// What an id is called today.
    pub fn latest<'a>(&'a self, kind: &str, id: &'a str) -> &'a str {
        let mut id = id;
        // As many hops as there are entries: a chain longer than that is a cycle, which a journal never writes.
        for _ in 0..=self.0.len() {
            match self.0.get(&(kind.to_owned(), id.to_owned())) {
                Some(next) if next != id => id = next,
                _ => break,
            }
        }
        id
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().map(|((kind, old), new)| (kind.as_str(), old.as_str(), new.as_str()))
    }
}

/// The kind of an EC2 id by its prefix (Amazon EC2, "resource IDs"): records and texts name resources so.
/// Longest prefix first: `tgw-attach-` before `tgw-`.
pub fn kind_of_id(id: &str) -> Option<KindName> {
    const PREFIXES: &[(&str, &str)] = &[
        ("vpc-", "ec2:vpc"),
        ("subnet-", "ec2:subnet"),
        ("igw-", "ec2:internet-gateway"),
        ("eigw-", "ec2:egress-only-igw"),
        ("eipalloc-", "ec2:elastic-ip"),
        ("nat-", "ec2:nat-gateway"),
        ("rtb-", "ec2:route-table"),
        ("sg-", "ec2:security-group"),
        ("acl-", "ec2:network-acl"),
        ("dopt-", "ec2:dhcp-options"),
        ("i-", "ec2:instance"),
        ("vol-", "ec2:volume"),
        ("snap-", "ec2:snapshot"),
        ("ami-", "ec2:image"),
        ("lt-", "ec2:launch-template"),
        ("key-", "ec2:key-pair"),
        ("pg-", "ec2:placement-group"),
        ("eni-", "ec2:network-interface"),
        ("vpce-", "ec2:vpc-endpoint"),
        ("pcx-", "ec2:vpc-peering-connection"),
        ("fl-", "ec2:flow-log"),
        ("pl-", "ec2:managed-prefix-list"),
        ("tgw-attach-", "ec2:transit-gateway-attachment"),
        ("tgw-rtb-", "ec2:transit-gateway-route-table"),
        ("tgw-", "ec2:transit-gateway"),
        ("vgw-", "ec2:vpn-gateway"),
        ("cgw-", "ec2:customer-gateway"),
        ("vpn-", "ec2:vpn-connection"),
        ("eice-", "ec2:instance-connect-endpoint"),
        ("cr-", "ec2:capacity-reservation"),
    ];
    let (prefix, kind) = PREFIXES.iter().find(|(p, _)| id.starts_with(p))?;
    let rest = &id[prefix.len()..];
    let hex = (8..=17).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| kind.parse().ok()).flatten()
}

/// Ids by their token form inside any text: `kind_of_id` of each run of letters, digits and dashes.
pub fn ids_in_text(text: &str) -> impl Iterator<Item = (KindName, &str)> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter_map(|t| Some((kind_of_id(t)?, t)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn references_are_found_and_remapped_at_any_depth() {
        let scope: Scope = "aws/111122223333/eu-west-1".parse().unwrap();
        let spec = json!({"vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "rules": [{"group": {"$late": "ec2:security-group", "id": "sg-1"}}], "text": "sg-1"});
        let found: Vec<_> = references(&scope, &spec).into_iter().map(|r| (r.strength, r.target.id)).collect();
        assert_eq!(found, [(Strength::Hard, "vpc-1".to_owned()), (Strength::Late, "sg-1".to_owned())]);
        let mut map = Remap::default();
        map.insert(&"ec2:security-group".parse().unwrap(), "sg-1", "sg-2");
        map.insert(&"ec2:security-group".parse().unwrap(), "sg-2", "sg-3");
        let new = map.apply(&spec);
        assert_eq!(new["rules"][0]["group"]["id"], "sg-3");
        assert_eq!((&new["vpc_id"]["id"], &new["text"]), (&json!("vpc-1"), &json!("sg-1")));
    }

    #[test]
    fn ids_are_told_by_their_form() {
        let kinds: Vec<_> =
            ids_in_text("allow sg-0123456789abcdef0 from (tgw-attach-0a1b2c3d4e5f60718), not sg-no or i-am")
                .map(|(k, id)| format!("{k} {id}"))
                .collect();
        assert_eq!(
            kinds,
            ["ec2:security-group sg-0123456789abcdef0", "ec2:transit-gateway-attachment tgw-attach-0a1b2c3d4e5f60718"]
        );
    }

    #[test]
    fn rows_that_point_at_what_is_missing_are_left_out_whole_and_nothing_else() {
        let late = |id: &str| json!({"$late": "t:disk", "id": id});
        let spec = json!({
            "image": {"$ref": "t:disk", "id": "d1"}, "owner": late("d1"), "other": late("d2"),
            "disks": [{"name": "a", "ebs": {"volume": late("d1"), "size": 1}}, {"name": "b", "ebs": {"volume": late("d2")}}],
            "ids": [late("d1"), late("d2")],
        });
        assert_eq!(
            without(&spec, &|kind, id| (kind, id) == ("t:disk", "d1")),
            json!({
                "image": {"$ref": "t:disk", "id": "d1"}, "other": late("d2"),
                "disks": [{"name": "b", "ebs": {"volume": late("d2")}}], "ids": [late("d2")],
            })
        );
    }
}
