//! Records out of a file that a person hands over: whatever tool wrote it, each record is read on its own, so that one that
//! is too large or no record at all takes no other with it.
use super::decode::{Decoded, Watched, decode};
use crate::model::Timestamp;
use serde_json::Value;

/// Decodes a CloudTrail log file, an answer of LookupEvents, messages of a queue, lists or single ones of what `decode`
/// takes; one JSON value, or one on each line. A record's origin is the file's with its number.
pub fn decode_file(bytes: &[u8], origin: &str, received_at: Timestamp, watched: &Watched) -> Decoded {
    let mut out = Decoded::default();
    let mut number = 0;
    let mut one = |body: &[u8], out: &mut Decoded| {
        number += 1;
        let mut found = decode(body, &format!("{origin}:{number}"), received_at, watched);
        out.records.append(&mut found.records);
        out.ignored.append(&mut found.ignored);
        out.foreign.append(&mut found.foreign);
        out.unreadable.append(&mut found.unreadable);
    };
    if let Ok(v) = serde_json::from_slice::<Value>(bytes) {
        each(&v, &mut |body| one(body, &mut out));
        return out;
    }
    for line in bytes.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<Value>(line) {
            Ok(v) => each(&v, &mut |body| one(body, &mut out)),
            Err(_) => one(line, &mut out),
        }
    }
    out
}

/// Lists are taken apart; a message of a queue is its body.
fn each(v: &Value, see: &mut impl FnMut(&[u8])) {
    let list = ["Records", "Events", "Messages"].iter().find_map(|name| v.get(name)).unwrap_or(v);
    match (list, v.get("Body").and_then(Value::as_str)) {
        (Value::Array(list), _) => list.iter().for_each(|v| each(v, see)),
        (_, Some(body)) => see(body.as_bytes()),
        _ => see(v.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_file_gives_its_records_and_loses_none() {
        let record = |id: &str| {
            json!({"eventID": id, "eventTime": "2026-03-01T10:00:00Z", "eventSource": "ec2.amazonaws.com", "eventName": "DeleteVpc",
                "awsRegion": "eu-west-1", "recipientAccountId": "111122223333"})
        };
        let bridge = |id: &str| json!({"detail-type": "AWS API Call via CloudTrail", "detail": record(id)});
        let text = |v: Value| v.to_string();
        let files = [
            text(json!({"Records": [record("a"), 7, record("b")]})),
            text(json!([record("a"), {"eventName": "DeleteVpc"}, record("b")])),
            text(
                json!({"Events": [{"CloudTrailEvent": text(record("a"))}, {"CloudTrailEvent": "{"}, {"CloudTrailEvent": text(record("b"))}]}),
            ),
            text(json!({"Messages": [{"Body": text(bridge("a"))}, {"Body": "x"}, {"Body": text(bridge("b"))}]})),
            format!("{}\nnonsense\n\n{}\n", record("a"), bridge("b")),
            format!("{{\n  \"Records\": [{}, null, {}]\n}}\n", record("a"), record("b")),
        ];
        for file in files {
            let got = decode_file(file.as_bytes(), "f.json", Timestamp::UNIX_EPOCH, &Watched::default());
            let ids: Vec<&str> = got.records.iter().map(|r| r.id.0.as_str()).collect();
            assert_eq!((ids, got.unreadable.len()), (vec!["a", "b"], 1), "{file}");
            assert_eq!(got.unreadable[0].origin, "f.json:2");
        }
    }
}
