//! Differences between specs, and the three-way merge that puts back what an incident took and leaves what others did.
//!
//! Lists without an order are compared row by row, by the members that name a row (`Facts::row_keys`); other lists as
//! one value. Paths are for people and for `--overwrite`: `ip_permissions[tcp 443].ip_ranges[10.0.0.0/8]`.
use crate::model::{canonical, reference::as_reference};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What ends the id of a reference to something that is made again. It does not count in the name of a row, so that the
/// live row, which names the dead, is the same row.
pub(super) const MARK: char = '\u{1}';

pub type RowKeys = BTreeMap<String, &'static [&'static str]>;

/// One member that differs. A missing member is null.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub from: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub to: Value,
}

/// Every member in which `to` differs from `from`, in order of path.
pub fn changes(keys: &RowKeys, from: &Value, to: &Value) -> Vec<Change> {
    let mut out = vec![];
    compare(keys, "", "", from, to, &mut out);
    out
}

fn compare(keys: &RowKeys, shape: &str, path: &str, from: &Value, to: &Value, out: &mut Vec<Change>) {
    if canonical(from) == canonical(to) {
        return;
    }
    if let (Some(a), Some(b)) = (parts(keys, shape, from), parts(keys, shape, to)) {
        for name in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
            let (a, b) = (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
            compare(keys, &name.shape(shape), &name.path(path), a, b, out);
        }
        return;
    }
    out.push(Change { path: path.to_owned(), from: from.clone(), to: to.clone() });
}

/// The name of a part of a value: a member, or a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Member(String),
    Row(String),
}
impl Part {
    fn shape(&self, of: &str) -> String {
        match self {
            // Not the set's own shape: a row that is missing is no empty set.
            Part::Row(_) => format!("{of}[]"),
            Part::Member(m) if of.is_empty() => m.clone(),
            Part::Member(m) => format!("{}.{m}", of.trim_end_matches("[]")),
        }
    }
    fn path(&self, of: &str) -> String {
        match self {
            Part::Row(r) => format!("{of}[{r}]"),
            Part::Member(m) if of.is_empty() => m.clone(),
            Part::Member(m) => format!("{of}.{m}"),
        }
    }
}

/// The parts of an object or of a set; `None` for what is one value: scalars, references, ordered lists. Null has no
/// parts where it stands for an empty set or object.
fn parts(keys: &RowKeys, shape: &str, v: &Value) -> Option<BTreeMap<Part, Value>> {
    match v {
        Value::Null if keys.contains_key(shape) => Some(BTreeMap::new()),
        Value::Object(m) if as_reference(v).is_none() => {
            Some(m.iter().map(|(k, v)| (Part::Member(k.clone()), v.clone())).collect())
        }
        Value::Array(rows) => {
            let key = keys.get(shape)?;
            let mut out = BTreeMap::new();
            for row in rows {
                let mut name = row_name(key, row);
                while out.contains_key(&Part::Row(name.clone())) {
                    name.push('\''); // two rows of one name: neither may be lost
                }
                out.insert(Part::Row(name), row.clone());
            }
            Some(out)
        }
        _ => None,
    }
}
fn row_name(key: &[&str], row: &Value) -> String {
    let text = |v: &Value| match v {
        Value::String(s) => s.clone(),
        v => as_reference(v).map_or_else(|| canonical(v), |(_, _, id)| id.trim_end_matches(MARK).to_owned()),
    };
    if key.is_empty() || !row.is_object() {
        return match row.as_object() {
            Some(m) if as_reference(row).is_none() => m.values().map(text).collect::<Vec<_>>().join(" "),
            _ => text(row),
        };
    }
    let named: Vec<String> = key.iter().filter_map(|k| row.get(k)).map(text).collect();
    if named.is_empty() { canonical(row) } else { named.join(" ") }
}
fn whole(template: &Value, parts: BTreeMap<Part, Value>) -> Value {
    if template.is_array() {
        return Value::Array(parts.into_values().collect());
    }
    let mut m = Map::new();
    for (part, v) in parts {
        if let Part::Member(name) = part {
            m.insert(name, v);
        }
    }
    Value::Object(m)
}

/// A member that the incident changed and somebody else changed since: it stays as it is unless asked for by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Clash {
    pub path: String,
    /// At the restore point.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub want: Value,
    /// What the incident left.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub left: Value,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub live: Value,
}

/// What a merge came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Merged {
    /// Its sets are in no particular order: compare with `changes`, not as text.
    pub spec: Value,
    pub clashes: Vec<Clash>,
    /// Paths of what the incident added: it stays, since removing it must be asked for.
    pub added: Vec<String>,
}

/// `want` put back wherever `live` still has what the incident `left`; what others changed since stays.
pub fn merge(keys: &RowKeys, want: &Value, left: &Value, live: &Value, overwrite: bool) -> Merged {
    let mut out = Merged::default();
    let spec = three_way(keys, "", "", want, left, live, overwrite, &mut out);
    out.spec = spec;
    out
}

#[expect(clippy::too_many_arguments, reason = "three values, where they are, and where to say what was found")]
fn three_way(
    keys: &RowKeys,
    shape: &str,
    path: &str,
    want: &Value,
    left: &Value,
    live: &Value,
    overwrite: bool,
    out: &mut Merged,
) -> Value {
    let same = |a: &Value, b: &Value| canonical(a) == canonical(b);
    if same(want, live) {
        return live.clone();
    }
    let split = |v: &Value| parts(keys, shape, v).or(v.is_null().then(BTreeMap::new));
    // At least one real object or set among them, and nothing that is one value.
    let composite = [want, left, live].iter().any(|v| parts(keys, shape, v).is_some());
    if composite
        && (!want.is_null() && !live.is_null() || keys.contains_key(shape))
        && let (Some(w), Some(l), Some(v)) = (split(want), split(left), split(live))
    {
        let null = Value::Null;
        let mut merged = BTreeMap::new();
        for name in w.keys().chain(l.keys()).chain(v.keys()).cloned().collect::<BTreeSet<_>>() {
            let get = |m: &BTreeMap<Part, Value>| m.get(&name).unwrap_or(&null).clone();
            let one =
                three_way(keys, &name.shape(shape), &name.path(path), &get(&w), &get(&l), &get(&v), overwrite, out);
            if !one.is_null() {
                merged.insert(name, one);
            }
        }
        let template = if want.is_null() { live } else { want };
        return whole(template, merged);
    }
    if same(left, live) || overwrite {
        if want.is_null() {
            // Nothing of it at the restore point: the incident added it.
            out.added.push(path.to_owned());
            return live.clone();
        }
        return want.clone();
    }
    if !same(want, left) {
        out.clashes.push(Clash { path: path.to_owned(), want: want.clone(), left: left.clone(), live: live.clone() });
    }
    live.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys() -> RowKeys {
        [("rules".to_owned(), &["proto", "port"][..]), ("rules.ranges".to_owned(), &["cidr"][..])].into()
    }
    fn rule(port: u32, cidrs: &[&str]) -> Value {
        json!({"proto": "tcp", "port": port, "ranges": cidrs.iter().map(|c| json!({"cidr": c})).collect::<Vec<_>>()})
    }

    #[test]
    fn differences_name_their_row() {
        let (a, b) = (
            json!({"rules": [rule(443, &["a", "b"])], "name": "x"}),
            json!({"rules": [rule(443, &["b", "c"])], "name": "y"}),
        );
        let paths: Vec<_> = changes(&keys(), &a, &b).into_iter().map(|c| c.path).collect();
        assert_eq!(paths, ["name", "rules[tcp 443].ranges[a]", "rules[tcp 443].ranges[c]"]);
        assert_eq!(changes(&keys(), &json!({"rules": [1, 2]}), &json!({"rules": [2, 1]})), []);
    }

    #[test]
    fn what_the_incident_removed_comes_back_and_what_others_added_stays() {
        let want = json!({"rules": [rule(443, &["a", "b"]), rule(22, &["z"])]});
        let left = json!({"rules": [rule(443, &["b"])]});
        let live = json!({"rules": [rule(443, &["b", "people"])]});
        let m = merge(&keys(), &want, &left, &live, false);
        assert_eq!(
            changes(&keys(), &m.spec, &json!({"rules": [rule(443, &["a", "b", "people"]), rule(22, &["z"])]})),
            []
        );
        assert!(m.clashes.is_empty() && m.added.is_empty(), "{m:?}");
    }

    #[test]
    fn what_the_incident_added_stays_and_is_named() {
        let (want, left) =
            (json!({"rules": [rule(443, &["a"])]}), json!({"rules": [rule(443, &["a"]), rule(1, &["evil"])]}));
        let m = merge(&keys(), &want, &left, &left, false);
        assert_eq!(changes(&keys(), &m.spec, &left), []);
        assert_eq!(m.added, ["rules[tcp 1]"]);
    }

    #[test]
    fn changed_by_both_is_a_clash_unless_overwritten() {
        let (want, left, live) = (json!({"n": 1}), json!({"n": 2}), json!({"n": 3}));
        let m = merge(&keys(), &want, &left, &live, false);
        assert_eq!((m.spec, m.clashes.len(), m.clashes[0].path.as_str()), (live.clone(), 1, "n"));
        assert_eq!(merge(&keys(), &want, &left, &live, true).spec, want);
        // Changed by others alone: theirs.
        assert_eq!(merge(&keys(), &want, &want, &live, false), Merged { spec: live, ..Default::default() });
    }

    #[test]
    fn a_member_that_was_removed_whole_comes_back_whole() {
        let (want, left) = (json!({"rules": [rule(443, &["a"])], "opt": {"a": 1}}), json!({}));
        assert_eq!(merge(&keys(), &want, &left, &left, false).spec, want);
    }
}
