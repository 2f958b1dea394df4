//! Canonical JSON and the hash over it: equal configuration is equal bytes and an equal hash.
use super::key::{NotAKey, checked_text};
use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// Sorted members, no white space. Does not rely on the map's own order: any crate of the build may switch on
/// `serde_json/preserve_order`.
pub fn canonical(v: &Value) -> String {
    let mut out = String::new();
    write(v, &mut out);
    out
}
fn write(v: &Value, out: &mut String) {
    match v {
        Value::Object(m) => {
            let mut names: Vec<&String> = m.keys().collect();
            names.sort_unstable();
            out.push('{');
            for (i, name) in names.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write(&m[name], out);
            }
            out.push('}');
        }
        Value::Array(a) => {
            out.push('[');
            for (i, v) in a.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(v, out);
            }
            out.push(']');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
}

checked_text!(
    /// BLAKE3 over canonical JSON, as 64 hexadecimal digits.
    Hash, "a digest", "64 hexadecimal digits", |s| s.len() == 64 && s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
);
impl Hash {
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).to_hex().to_string())
    }
    pub fn of(v: &Value) -> Self {
        Self::of_bytes(canonical(v).as_bytes())
    }
    /// Enough to tell one from another by eye.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn member_order_changes_nothing_and_values_do() {
        let a: Value = serde_json::from_str(r#"{"b":[1,{"y":null,"x":"\u00e9\""}],"a":true}"#).unwrap();
        assert_eq!(canonical(&a), "{\"a\":true,\"b\":[1,{\"x\":\"é\\\"\",\"y\":null}]}");
        assert_eq!(serde_json::from_str::<Value>(&canonical(&a)).unwrap(), a);
        assert_ne!(Hash::of(&json!({"a": 1})), Hash::of(&json!({"a": 2})));
    }
}
