//! Secrets in specs: what an answer may never show. They stay in the store, where a restore needs them.
use serde_json::Value;

/// Members that hold secrets or often do, wherever they sit in a spec.
const SECRETS: &[&str] = &["user_data"];

/// The value without its secrets: each becomes a text that says how much there was.
pub fn redact(v: &mut Value) {
    match v {
        Value::Object(m) => {
            for (name, v) in m {
                if SECRETS.contains(&name.as_str()) { hide(v) } else { redact(v) }
            }
        }
        Value::Array(a) => a.iter_mut().for_each(redact),
        _ => {}
    }
}

/// The same for a value that sits at a path, such as `versions[1].data.user_data`.
pub fn redact_at(path: &str, v: &mut Value) {
    let last = path.rsplit('.').next().unwrap_or(path);
    if SECRETS.contains(&last) { hide(v) } else { redact(v) }
}

fn hide(v: &mut Value) {
    let length = match &*v {
        Value::Null => return,
        Value::String(s) => s.len(),
        other => other.to_string().len(),
    };
    *v = Value::from(format!("(not shown: {length} bytes)"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_hidden_at_any_depth_and_the_rest_stays() {
        let mut v = json!({"versions": [{"data": {"user_data": "aGVsbG8=", "image_id": "ami-1"}}], "user_data": null});
        redact(&mut v);
        assert_eq!(
            v,
            json!({"versions": [{"data": {"user_data": "(not shown: 8 bytes)", "image_id": "ami-1"}}], "user_data": null})
        );
        let mut v = json!("aGVsbG8=");
        redact_at("versions[1].data.user_data", &mut v);
        assert_eq!(v, json!("(not shown: 8 bytes)"));
        let mut v = json!("aGVsbG8=");
        redact_at("name", &mut v);
        assert_eq!(v, json!("aGVsbG8="));
    }
}
