//! Values in words: times, ages, numbers, members of specs, resources.
use super::page::{Mark, Page};
use crate::{
    model::{ResourceKey, Scope, Timestamp, reference::as_reference},
    plan::Change,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// To the second.
pub fn clock(t: Timestamp) -> String {
    Timestamp::from_second(t.as_second()).unwrap_or(t).to_string()
}
/// To the millisecond, never before it: typed back into `--at`, it finds what was captured then.
pub fn exact(t: Timestamp) -> String {
    let ms = t.as_nanosecond().div_euclid(1_000_000);
    let up = i64::from(t.as_nanosecond().rem_euclid(1_000_000) > 0);
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms + up).ok()).unwrap_or(t).to_string()
}
/// `3 min ago`, `in 40 s`.
pub fn age(now: Timestamp, t: Timestamp) -> String {
    let s = now.as_second() - t.as_second();
    match s {
        0 => "now".to_owned(),
        1.. => format!("{} ago", seconds(s.unsigned_abs())),
        _ => format!("in {}", seconds(s.unsigned_abs())),
    }
}
/// Coarsely, in the largest unit that says enough.
pub fn seconds(s: u64) -> String {
    match s {
        0..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h", s / 3_600),
        _ => format!("{} days", s / 86_400),
    }
}
/// Finely, for how long a thing takes.
pub fn milliseconds(ms: u64) -> String {
    let s = ms.div_ceil(1_000);
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..60_000 => format!("{s} s"),
        60_000..3_600_000 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
    }
}
pub fn between(from: Timestamp, to: Timestamp) -> String {
    milliseconds(u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0))
}
pub fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n} B"),
        1_024..1_048_576 => format!("{} KiB", n >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", n >> 20),
        _ => format!("{}.{} GiB", n >> 30, ((n & 0x3fff_ffff) * 10) >> 30),
    }
}
/// `1 call`, `2 calls`.
pub fn count(n: usize, what: &str) -> String {
    let plural = match what.strip_suffix('y') {
        _ if n == 1 => what.to_owned(),
        Some(stem) => format!("{stem}ies"),
        None => format!("{what}s"),
    };
    format!("{n} {plural}")
}

/// A member's value on one line; a reference is the id that it names.
pub fn value(v: &Value) -> String {
    value_with(v, &|id| id.to_owned())
}
/// The same, with ids as `name` names them.
pub fn value_with(v: &Value, name: &impl Fn(&str) -> String) -> String {
    if let Some((_, _, id)) = as_reference(v) {
        return name(id);
    }
    match v {
        Value::Null => "nothing".to_owned(),
        Value::Array(a) => {
            format!("[{}]", a.iter().map(|v| value_with(v, name)).collect::<Vec<_>>().join(", "))
        }
        Value::Object(m) => {
            let members: Vec<String> = m.iter().map(|(k, v)| format!("{k}: {}", value_with(v, name))).collect();
            format!("{{{}}}", members.join(", "))
        }
        leaf => leaf.to_string(),
    }
}

/// Members that change, one a line.
pub fn changes(page: &mut Page<'_>, indent: usize, changes: &[Change], to_name: &impl Fn(&str) -> String) {
    for c in changes {
        let path = if c.path.is_empty() { "(all of it)" } else { &c.path };
        let (from, to) = (value(&c.from), value_with(&c.to, to_name));
        match (&c.from, &c.to) {
            (Value::Null, _) => page.mark(indent, Mark::Add, format_args!("{path}: {to}")),
            (_, Value::Null) => page.mark(indent, Mark::Gone, format_args!("{path}: {from}")),
            _ => page.mark(indent, Mark::Change, format_args!("{path}: {from} → {to}")),
        }
    }
}

/// A spec as lines: members with their values, deeper ones indented.
pub fn tree(page: &mut Page<'_>, indent: usize, v: &Value) {
    let Some(members) = v.as_object() else { return page.line(indent, value(v)) };
    for (name, v) in members {
        branch(page, indent, &format!("{name}:"), v);
    }
}
fn branch(page: &mut Page<'_>, indent: usize, label: &str, v: &Value) {
    let nested = |v: &Value| (v.is_object() || v.is_array()) && as_reference(v).is_none();
    match v {
        Value::Object(m) if nested(v) && !m.is_empty() => {
            page.line(indent, label);
            tree(page, indent + 2, v);
        }
        Value::Array(rows) if rows.iter().any(nested) => {
            page.line(indent, label);
            for row in rows {
                // A row that fits on a line stays on it.
                let text = value(row);
                if !nested(row) || text.chars().count() <= 100 {
                    page.line(indent + 2, format_args!("- {text}"));
                } else {
                    page.line(indent + 2, "-");
                    tree(page, indent + 4, row);
                }
            }
        }
        leaf => page.line(indent, format_args!("{label} {}", value(leaf))),
    }
}

/// Resources in words; with account and region only where there are several.
pub struct Things {
    scopes: BTreeSet<Scope>,
}
impl Things {
    pub fn of<'k>(keys: impl IntoIterator<Item = &'k ResourceKey>) -> Self {
        Self { scopes: keys.into_iter().map(|k| k.scope.clone()).collect() }
    }
    /// `aws/111122223333/eu-west-1, …`
    pub fn scopes(&self) -> String {
        self.scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(", ")
    }
    /// `ec2:vpc vpc-0a (prod)`
    pub fn say(&self, key: &ResourceKey, name: Option<&str>) -> String {
        let name = name.filter(|n| !n.is_empty() && *n != key.id).map(|n| format!(" ({n})")).unwrap_or_default();
        let place = if self.scopes.len() > 1 {
            format!(" in {}/{}", key.scope.account, key.scope.region)
        } else {
            String::new()
        };
        format!("{} {}{name}{place}", key.kind, key.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_and_numbers_read_well() {
        let t: Timestamp = "2026-03-01T10:00:00.1234567Z".parse().unwrap();
        assert_eq!((clock(t).as_str(), exact(t).as_str()), ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00.124Z"));
        assert!(exact(t).parse::<Timestamp>().unwrap() >= t);
        let later = Timestamp::from_second(t.as_second() + 200).unwrap();
        assert_eq!([age(later, t), age(t, later), age(t, t)], ["3 min ago", "in 3 min", "now"]);
        assert_eq!([850, 1_250, 12_001, 61_000].map(milliseconds), ["850 ms", "1.2 s", "13 s", "1 min 1 s"]);
        assert_eq!([count(1, "entry"), count(2, "entry"), count(0, "call")], ["1 entry", "2 entries", "0 calls"]);
        assert_eq!([bytes(5), bytes(3 << 20), bytes(3 << 29)], ["5 B", "3 MiB", "1.5 GiB"]);
    }

    #[test]
    fn values_are_one_line_and_references_are_ids() {
        let v = json!({"vpc": {"$ref": "ec2:vpc", "id": "vpc-1"}, "n": [1, "a\n", null], "o": {}});
        assert_eq!(value(&v), r#"{n: [1, "a\n", nothing], o: {}, vpc: vpc-1}"#);
    }
}
