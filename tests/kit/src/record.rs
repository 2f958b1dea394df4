//! From an EC2 or STS call, as it passes the proxy, to the parameters and elements that CloudTrail writes of it.
//!
//! Classic EC2 operations are lower camel case, with lists as `xxxSet.items[]`. Newer ones keep a wrapper named after the
//! operation, in Pascal case, and come from an XML-to-JSON conversion that makes one list member an object, several an
//! array, and an empty element "".

use serde_json::{Map, Value, json};

use crate::xml::Node;

/// The operations that CloudTrail writes with a wrapper.
const WRAPPED: [&str; 18] = [
    "AssociateVpcCidrBlock",
    "CreateEgressOnlyInternetGateway",
    "CreateFlowLogs",
    "CreateLaunchTemplate",
    "CreateNatGateway",
    "CreateVpcEndpoint",
    "DeleteEgressOnlyInternetGateway",
    "DeleteFlowLogs",
    "DeleteLaunchTemplate",
    "DeleteNatGateway",
    "DeleteTransitGateway",
    "DeleteTransitGatewayRouteTable",
    "DeleteTransitGatewayVpcAttachment",
    "DeleteVpcEndpoints",
    "DisassociateVpcCidrBlock",
    "ModifySecurityGroupRules",
    "ModifyVpcEndpoint",
    "ModifyVpcTenancy",
];

/// Members that are numbers in classic records. Everything else that looks like one (account ids, CIDRs) is text.
const NUMBERS: [&str; 14] = [
    "availableIpAddressCount",
    "code",
    "durationSeconds",
    "from",
    "fromPort",
    "maxCount",
    "minCount",
    "packedPolicySize",
    "prefixLength",
    "ruleNumber",
    "to",
    "toPort",
    "type",
    "volumeSize",
];

pub fn mutating(service: &str, operation: &str) -> bool {
    let reads = ["Describe", "Get", "List", "Search", "Lookup", "BatchGet"];
    let data = ["SendMessage", "ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility"];
    let read = reads.iter().any(|verb| operation.starts_with(verb));
    let message = service == "sqs" && data.iter().any(|name| operation.starts_with(name));
    !read && !message
}

/// What a query request says, nested along its dotted names.
fn nest(pairs: &[(String, String)]) -> Map<String, Value> {
    let mut root = Map::new();
    for (name, value) in pairs {
        if name == "Action" || name == "Version" {
            continue;
        }
        let parts: Vec<&str> = name.split('.').collect();
        let mut at = &mut root;
        for part in &parts[..parts.len() - 1] {
            let next = at.entry((*part).to_owned()).or_insert_with(|| json!({}));
            if !next.is_object() {
                *next = json!({});
            }
            at = next.as_object_mut().expect("it was made one");
        }
        at.insert(parts[parts.len() - 1].to_owned(), json!(value));
    }
    root
}

/// The members of a list, in order of their numbers, when this is one.
fn list(value: &Value) -> Option<Vec<&Value>> {
    let object = value.as_object()?;
    let mut numbered: Vec<(usize, &Value)> =
        object.iter().map(|(key, value)| key.parse().ok().map(|n: usize| (n, value))).collect::<Option<_>>()?;
    numbered.sort_by_key(|(number, _)| *number);
    (!numbered.is_empty()).then(|| numbered.into_iter().map(|(_, value)| value).collect())
}

pub fn request(service: &str, operation: &str, pairs: &[(String, String)]) -> Value {
    let nested = nest(pairs);
    if service != "ec2" {
        return plain(&Value::Object(nested));
    }
    if WRAPPED.contains(&operation) {
        return json!({ format!("{operation}Request"): wrapped_request(&Value::Object(nested)) });
    }
    let mut written = Map::new();
    for (name, value) in &nested {
        let (name, value) = classic_member(operation, name, value);
        written.insert(name, value);
    }
    for (wanted, name, value) in [
        ("CreateVpc", "instanceTenancy", json!("default")),
        ("CreateVpc", "amazonProvidedIpv6CidrBlock", json!(false)),
        ("CreateNetworkAclEntry", "icmpTypeCode", json!({})),
        ("CreateNetworkAclEntry", "portRange", json!({})),
        ("AuthorizeSecurityGroupIngress", "ipPermissions", json!({})),
        ("AuthorizeSecurityGroupEgress", "ipPermissions", json!({})),
        ("RevokeSecurityGroupIngress", "ipPermissions", json!({})),
        ("RevokeSecurityGroupEgress", "ipPermissions", json!({})),
    ] {
        if wanted == operation {
            written.entry(name).or_insert(value);
        }
    }
    Value::Object(written)
}

/// One parameter of a classic EC2 operation: its name in the record, and its value there.
fn classic_member(operation: &str, name: &str, value: &Value) -> (String, Value) {
    let tags = |value: &Value| list(value).unwrap_or_default().into_iter().map(object).collect::<Vec<_>>();
    match (name, list(value)) {
        ("TagSpecification", Some(specifications)) => {
            let items: Vec<Value> = specifications
                .into_iter()
                .map(|one| json!({ "resourceType": one["ResourceType"], "tags": tags(&one["Tag"]) }))
                .collect();
            ("tagSpecificationSet".into(), items_of(items))
        }
        ("ResourceId", Some(ids)) if operation.ends_with("Tags") => {
            ("resourcesSet".into(), items_of(ids.into_iter().map(|id| json!({ "resourceId": id })).collect()))
        }
        ("InstanceId", Some(ids)) => {
            ("instancesSet".into(), items_of(ids.into_iter().map(|id| json!({ "instanceId": id })).collect()))
        }
        ("SecurityGroupRuleId", Some(ids)) => {
            let items = ids.into_iter().map(|id| json!({ "securityGroupRuleId": id })).collect();
            ("securityGroupRuleIds".into(), items_of(items))
        }
        ("DhcpConfiguration", Some(options)) => {
            let items = options
                .into_iter()
                .map(|one| {
                    let values = list(&one["Value"]).unwrap_or_default();
                    let values = values.into_iter().map(|value| json!({ "value": value })).collect();
                    json!({ "key": one["Key"], "valueSet": items_of(values) })
                })
                .collect();
            ("dhcpConfigurationSet".into(), items_of(items))
        }
        ("IpPermissions", Some(permissions)) => {
            let items = permissions
                .into_iter()
                .map(|permission| {
                    let mut written = Map::new();
                    for name in ["Groups", "IpRanges", "Ipv6Ranges", "PrefixListIds"] {
                        let members = list(&permission[name]).unwrap_or_default();
                        written.insert(lower(name), items_of(members.into_iter().map(object).collect()));
                    }
                    for name in ["IpProtocol", "FromPort", "ToPort"] {
                        if let Some(value) = permission[name].as_str() {
                            written.insert(lower(name), typed(&lower(name), value));
                        }
                    }
                    Value::Object(written)
                })
                .collect();
            ("ipPermissions".into(), items_of(items))
        }
        ("Tag", Some(_)) => ("tagSet".into(), items_of(tags(value))),
        ("Icmp", None) => ("icmpTypeCode".into(), object(value)),
        ("Protocol", None) if operation.contains("NetworkAclEntry") => ("aclProtocol".into(), value.clone()),
        (_, Some(members)) => {
            let member = lower(name);
            let items = members.into_iter().map(|one| match one {
                Value::Object(_) => object(one),
                text => json!({ member.as_str(): text }),
            });
            (format!("{member}Set"), items_of(items.collect()))
        }
        (_, None) => (lower(name), object_named(&lower(name), value)),
    }
}

fn items_of(items: Vec<Value>) -> Value {
    if items.is_empty() { json!({}) } else { json!({ "items": items }) }
}

fn object(value: &Value) -> Value {
    object_named("", value)
}

fn object_named(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (lower(name), object_named(&lower(name), value))).collect()
        }
        Value::String(text) if name == "key" => json!(text),
        Value::String(text) if name == "value" && !matches!(text.as_str(), "true" | "false") => json!(text),
        Value::String(text) => typed(name, text),
        other => other.clone(),
    }
}

/// Lower camel case, lists as arrays: STS, IAM and everything that is not EC2.
fn plain(value: &Value) -> Value {
    if let Some(members) = list(value) {
        return members.into_iter().map(plain).collect();
    }
    match value {
        Value::Object(members) => {
            if let (1, Some(member)) = (members.len(), members.get("member")) {
                return plain(member);
            }
            members.iter().map(|(name, value)| (lower(name), plain_named(&lower(name), value))).collect()
        }
        other => other.clone(),
    }
}

fn plain_named(name: &str, value: &Value) -> Value {
    match value {
        Value::String(text) => typed(name, text),
        other => plain(other),
    }
}

/// The request of a wrapped operation: the names of the wire, members of lists numbered by `tag`.
fn wrapped_request(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| {
                let written = match list(value) {
                    Some(members) => collapse(members.into_iter().enumerate().map(|(at, member)| {
                        let mut member = match wrapped_request(member) {
                            Value::Object(members) => members,
                            scalar => Map::from_iter([("content".to_owned(), scalar)]),
                        };
                        member.insert("tag".into(), json!(at + 1));
                        Value::Object(member)
                    })),
                    None => wrapped_request(value),
                };
                (name.clone(), written)
            })
            .collect(),
        Value::String(text) => guessed(text),
        other => other.clone(),
    }
}

fn collapse(members: impl Iterator<Item = Value>) -> Value {
    let mut members: Vec<Value> = members.collect();
    if members.len() == 1 { members.remove(0) } else { Value::Array(members) }
}

/// The type that the XML-to-JSON conversion gives a text: anything that reads as a truth value or a number becomes one.
fn guessed(text: &str) -> Value {
    match text {
        "true" => json!(true),
        "false" => json!(false),
        _ if text.len() < 10 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
        }
        _ => json!(text),
    }
}

fn typed(name: &str, text: &str) -> Value {
    match text {
        "true" => json!(true),
        "false" => json!(false),
        _ if NUMBERS.contains(&name) => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        _ => json!(text),
    }
}

fn lower(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

pub fn response(service: &str, operation: &str, root: &Node) -> Value {
    if service != "ec2" {
        let result = root.child(&format!("{operation}Result"));
        return result.map_or(Value::Null, plain_response);
    }
    if WRAPPED.contains(&operation) {
        let Value::Object(mut written) = wrapped_response(root) else { return Value::Null };
        if let Some((_, namespace)) = root.attributes.iter().find(|(name, _)| name == "xmlns") {
            // AWS's namespace ends with a slash; the emulator's does not.
            written.insert("xmlns".into(), json!(format!("{}/", namespace.trim_end_matches('/'))));
        }
        return json!({ root.name.as_str(): written });
    }
    let mut written = Map::new();
    for child in &root.children {
        let name = if child.name == "return" { "_return" } else { child.name.as_str() };
        written.insert(name.to_owned(), classic_response(child));
    }
    if written.keys().all(|name| name == "requestId") {
        written.insert("_return".into(), json!(true));
    }
    Value::Object(written)
}

fn classic_response(node: &Node) -> Value {
    if node.children.is_empty() {
        return match node.text.as_str() {
            "" if node.name.ends_with("Set") || node.name.ends_with("Ranges") || node.name == "groups" => json!({}),
            text if node.name == "value" || node.name == "key" => json!(text),
            text => typed(&node.name, text),
        };
    }
    if node.children.iter().all(|child| child.name == "item") {
        return json!({ "items": node.children.iter().map(classic_response).collect::<Vec<_>>() });
    }
    node.children.iter().map(|child| (child.name.clone(), classic_response(child))).collect()
}

fn wrapped_response(node: &Node) -> Value {
    if node.children.is_empty() {
        return guessed(&node.text);
    }
    let mut written: Vec<(&str, Vec<Value>)> = Vec::new();
    for child in &node.children {
        let value = wrapped_response(child);
        match written.iter_mut().find(|(name, _)| *name == child.name) {
            Some((_, values)) => values.push(value),
            None => written.push((&child.name, vec![value])),
        }
    }
    written.into_iter().map(|(name, values)| (name.to_owned(), collapse(values.into_iter()))).collect()
}

fn plain_response(node: &Node) -> Value {
    if node.children.is_empty() {
        return typed(&lower(&node.name), &node.text);
    }
    if node.children.iter().all(|child| child.name == "member") {
        return node.children.iter().map(plain_response).collect();
    }
    let visible = node.children.iter().filter(|child| child.name != "SecretAccessKey");
    visible.map(|child| (lower(&child.name), plain_response(child))).collect()
}
