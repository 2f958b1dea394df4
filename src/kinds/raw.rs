//! The evidence layer: what of a raw answer no table of the kind knows.
//!
//! The SDK drops an element that it does not parse, without a word, and it lags the service. So each resource's element is
//! found in the raw answers by the resource's id, and every element below it that no table names is kept beside the spec:
//! its path, without the `item` wrappers of lists, and its text. What a table drops, it drops with all that is below.
//! Never fails a read: an answer that the SDK could read and this cannot is reported in the log.
use super::mirror::{Coverage, Fate};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use xmlparser::{ElementEnd, Token, Tokenizer};

/// Elements that no table has, since they are of the protocol or of types without a table (tags, attribute values).
const OF_THE_PROTOCOL: &[&str] = &["requestId", "nextToken", "key", "value", "Key", "Value"];
/// Wrappers of list members: EC2's, the query protocol's, and those of RDS, which names them after what they hold.
const WRAPPERS: &[&str] = &[
    "item",
    "member",
    "AttributeValue",
    "AvailabilityZone",
    "DBClusterMember",
    "DBClusterOptionGroup",
    "DBClusterParameterGroup",
    "DBClusterRole",
    "DBInstanceAutomatedBackupsReplication",
    "DBInstanceRole",
    "DBParameterGroup",
    "DomainMembership",
    "EventCategory",
    "GlobalClusterMember",
    "Option",
    "OptionGroupMembership",
    "OptionSetting",
    "Parameter",
    "ProcessorFeature",
    "SourceId",
    "Subnet",
    "Tag",
    "VpcSecurityGroupMembership",
];
/// An answer nests as deep as the deepest known shape, some 12; more is no answer of AWS's.
const DEPTH_MAX: usize = 64;

#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

/// The answer as a tree; nothing if it is no XML.
fn parse(text: &str) -> Result<Element, String> {
    let mut open = vec![Element::default()];
    for token in Tokenizer::from(text) {
        match token.map_err(|e| e.to_string())? {
            Token::ElementStart { local, .. } => {
                if open.len() > DEPTH_MAX {
                    return Err(format!("more than {DEPTH_MAX} elements deep"));
                }
                open.push(Element { name: local.to_string(), ..Element::default() });
            }
            Token::ElementEnd { end: ElementEnd::Close(..) | ElementEnd::Empty, .. } => {
                let (Some(closed), Some(parent)) = (open.pop(), open.last_mut()) else {
                    return Err("an end without a start".into());
                };
                parent.children.push(closed);
            }
            Token::Text { text } => {
                if let Some(e) = open.last_mut() {
                    e.text.push_str(&decoded(text.trim()));
                }
            }
            Token::Cdata { text, .. } => {
                if let Some(e) = open.last_mut() {
                    e.text.push_str(&text);
                }
            }
            _ => {}
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err("it ends within an element".into()),
    }
}
/// Text without XML's five entities. `&amp;` last, or `&amp;lt;` would be taken for two.
fn decoded(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |t, (entity, c)| if t.contains('&') { t.replace(entity, c) } else { t })
}

/// What becomes of an element by its name.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    /// A table has it: look below it.
    Kept,
    /// Every table that has it drops it, with all that is below.
    Dropped,
}

fn known(tables: &[&Coverage]) -> HashMap<&'static str, Known> {
    let mut names: HashMap<_, _> = OF_THE_PROTOCOL.iter().map(|n| (*n, Known::Kept)).collect();
    for field in tables.iter().flat_map(|t| t.fields) {
        match field.fate {
            Fate::Keep | Fate::Report(_) => {
                names.insert(field.wire, Known::Kept);
            }
            Fate::Drop(_) => {
                names.entry(field.wire).or_insert(Known::Dropped);
            }
            // The SDK does not parse it: this is where it is kept.
            Fate::Gap(_) => {}
        }
    }
    names
}

type Found = BTreeMap<String, Vec<String>>;

/// The unknown elements below `e`, each by the path to its leaves.
fn unknown(e: &Element, path: &str, inside_unknown: bool, names: &HashMap<&'static str, Known>, found: &mut Found) {
    for child in &e.children {
        let is = names.get(child.name.as_str()).copied();
        // Some wrapper's name is also that of a member: of a cluster's parameter group, or a list of such groups.
        if is.is_none() && WRAPPERS.contains(&child.name.as_str()) {
            if inside_unknown && child.children.is_empty() {
                found.entry(path.to_owned()).or_default().push(child.text.clone());
            }
            unknown(child, path, inside_unknown, names, found);
            continue;
        }
        if !inside_unknown && is == Some(Known::Dropped) {
            continue;
        }
        let path = if path.is_empty() { child.name.clone() } else { format!("{path}/{}", child.name) };
        let inside_unknown = inside_unknown || is.is_none();
        if inside_unknown && child.children.is_empty() {
            found.entry(path.clone()).or_default().push(child.text.clone());
        }
        unknown(child, &path, inside_unknown, names, found);
    }
}

/// Elements with a leaf of their own, of the name `at` unless that is empty, that holds one of the ids; with their depth.
fn holders<'a>(
    e: &'a Element,
    depth: usize,
    at: &str,
    ids: &HashSet<&str>,
    out: &mut Vec<(usize, &'a str, &'a Element)>,
) {
    for child in &e.children {
        let is_id = child.children.is_empty() && (at.is_empty() || child.name == at);
        if is_id && !child.text.is_empty() && ids.contains(child.text.as_str()) {
            out.push((depth, &child.text, e));
        }
        holders(child, depth + 1, at, ids, out);
    }
}

/// For each of `ids` whose elements hold something that no table knows: path to text, or to all texts where the path
/// comes more than once. `bodies` are the raw answers of one look; `at` is `Kind::ID_ELEMENT`.
pub fn unmapped(tables: &[&Coverage], at: &str, ids: &[&str], bodies: &[Vec<u8>]) -> HashMap<String, Value> {
    let names = known(tables);
    let ids: HashSet<&str> = ids.iter().copied().collect();
    let mut per_id: HashMap<String, Found> = HashMap::new();
    for body in bodies {
        let root = match std::str::from_utf8(body).map_err(|e| e.to_string()).and_then(parse) {
            Ok(root) => root,
            Err(why) => {
                tracing::warn!(why, bytes = body.len(), "a raw answer cannot be read; its unknown elements are lost");
                continue;
            }
        };
        let mut all = vec![];
        holders(&root, 0, at, &ids, &mut all);
        // A group's id also stands in other groups' rules: resources are the shallowest elements that hold an id.
        let Some(level) = all.iter().map(|(depth, ..)| *depth).min() else { continue };
        for (_, id, element) in all.into_iter().filter(|(depth, ..)| *depth == level) {
            let mut found = Found::new();
            unknown(element, "", false, &names, &mut found);
            if !found.is_empty() {
                let known_so_far = per_id.entry(id.to_owned()).or_default();
                for (path, texts) in found {
                    known_so_far.entry(path).or_default().extend(texts);
                }
            }
        }
    }
    per_id.into_iter().map(|(id, found)| (id, as_json(found))).collect()
}
fn as_json(found: Found) -> Value {
    let rows = found.into_iter().map(|(path, mut texts)| {
        // Lists come in any order, and equal answers shall be equal here.
        texts.sort_unstable();
        let v = match texts.as_slice() {
            [one] => Value::from(one.as_str()),
            _ => Value::from(texts),
        };
        (path, v)
    });
    Value::Object(rows.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::{Which, registry::kind},
    };
    use serde_json::json;

    const GROUPS: &str = "<R><requestId>r</requestId><set>\
        <item><groupId>sg-1</groupId><new>1</new><rules><item><groupId>sg-2</groupId><newer>x</newer></item></rules></item>\
        <item><groupId>sg-2</groupId><rules><item><groupId>sg-1</groupId></item></rules><state><deep>7</deep></state></item>\
        <item><groupId>sg-3</groupId><list><item>b</item><item>a &amp; c</item></list></item></set></R>";
    fn row(wire: &'static str, fate: Fate) -> crate::kinds::mirror::Field {
        crate::kinds::mirror::Field { name: "", wire, fate, refers: false, judge: &[] }
    }
    fn table() -> Coverage {
        let rows = vec![row("groupId", Fate::Keep), row("rules", Fate::Keep), row("state", Fate::Drop("why"))];
        Coverage { sdk: "T", fields: rows.leak(), probe: String::new }
    }

    #[test]
    fn each_resource_gets_what_is_unknown_in_its_own_element() {
        let found = unmapped(&[&table()], "", &["sg-1", "sg-2", "sg-3"], &[GROUPS.into()]);
        assert_eq!(found["sg-1"], json!({"new": "1", "rules/newer": "x"}));
        assert_eq!(found.get("sg-2"), None); // what is below a dropped element is dropped
        assert_eq!(found["sg-3"], json!({"list": ["a & c", "b"]}));
    }

    #[test]
    fn a_reference_on_another_page_is_not_the_resource() {
        let page = "<R><set><item><groupId>sg-2</groupId><rules><item><groupId>sg-1</groupId><newer>x</newer></item></rules></item></set></R>";
        let found = unmapped(&[&table()], "", &["sg-1", "sg-2"], &[page.into()]);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("sg-2".to_owned(), json!({"rules/newer": "x"}))]);
    }

    #[test]
    fn what_is_no_xml_stops_nothing() {
        for body in ["", "{}", "<a><b></a>", "<a>", "</a>", "\u{0}", &"<a>".repeat(1000)] {
            assert!(unmapped(&[&table()], "", &["sg-1"], &[body.into(), GROUPS.into()]).contains_key("sg-1"), "{body}");
        }
    }

    #[tokio::test]
    async fn an_element_that_the_sdk_drops_is_stored_beside_the_spec() {
        let vpc = |id: &str, more: &str| {
            format!(
                "<item><vpcId>{id}</vpcId><state>available</state><cidrBlock>10.0.0.0/16</cidrBlock><tagSet><item><key>a</key><value>1</value></item></tagSet><blockPublicAccessStates><internetGatewayBlockMode>off</internetGatewayBlockMode></blockPublicAccessStates>{more}</item>"
            )
        };
        let canned = Canned::new(move |call| match call.action.as_str() {
            "DescribeVpcs" => Answer::Ok(format!(
                "<vpcSet>{}{}</vpcSet>",
                vpc(
                    "vpc-1",
                    "<networkFirewallAssociationSet><item><firewallArn>arn:f</firewallArn></item></networkFirewallAssociationSet><brandNew>yes</brandNew>"
                ),
                vpc("vpc-2", "")
            )),
            _ => Answer::Ok(format!(
                "<vpcId>{}</vpcId><enableDnsSupport><value>true</value></enableDnsSupport>",
                call.get("VpcId")
            )),
        });
        let vpcs = kind(&"ec2:vpc".parse().unwrap()).unwrap();
        let seen = vpcs.look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["vpc-1", "vpc-2"]);
        assert_eq!(seen[0].unmapped, json!({"brandNew": "yes", "networkFirewallAssociationSet/firewallArn": "arn:f"}));
        assert_eq!(seen[1].unmapped, Value::Null);
        let one = vpcs.read(&canned.cx(), "vpc-1").await.unwrap().unwrap();
        assert_eq!((one.unmapped, &one.spec), (seen[0].unmapped.clone(), &seen[0].spec));
    }
}
