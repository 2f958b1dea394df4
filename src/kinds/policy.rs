//! The least that rollbackd must be allowed, as IAM policies made from what the kinds say they call.
//!
//! Two identities (design §9): the daemon's own only reads; the restore role is assumed for one restore. Partitions are left
//! open, so that the same policy holds in all of them. `sts:GetCallerIdentity` needs no permission.
use super::AnyKind;
use crate::aws::places;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the names of queues begin with, unless an operator chooses others and their policies with them.
const QUEUES: &str = "arn:*:sqs:*:*:rollbackd*";
/// The same for restore roles.
const RESTORE_ROLES: &str = "arn:*:iam::*:role/rollbackd-restore*";

/// For the daemon: reading all kinds, taking records from the queue, assuming the restore role.
pub fn observe_policy(kinds: &[&dyn AnyKind]) -> Value {
    let others = places::ACTIONS.iter().copied().chain([crate::aws::quotas::ACTION]);
    let mut statements = by_service(kinds.iter().flat_map(|k| k.observe()).copied().chain(others));
    statements.push(statement(
        "TakeRecords",
        &["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
        QUEUES,
    ));
    // The session carries the digest of the plan as a tag.
    statements.push(statement("AssumeRestoreRole", &["sts:AssumeRole", "sts:TagSession"], RESTORE_ROLES));
    policy(statements)
}

/// For the restore role: putting all kinds back, and reading them, because every step is read back.
pub fn restore_policy(kinds: &[&dyn AnyKind]) -> Value {
    let of_kinds = kinds.iter().flat_map(|k| k.observe().iter().chain(k.restore()));
    policy(by_service(of_kinds.chain(places::ACTIONS).copied()))
}

/// The text of a policy as it stands in files and is printed.
pub fn text(policy: &Value) -> String {
    format!("{policy:#}\n")
}

fn policy(statements: Vec<Value>) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn statement(sid: &str, actions: &[&str], resource: &str) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource })
}

/// One statement for the reads and one for the writes of each service, sorted. Most reads of EC2 know no resource, and
/// what a restore makes has no id yet, so `*` is the only resource that fits.
fn by_service<'a>(actions: impl Iterator<Item = &'a str>) -> Vec<Value> {
    let mut found: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for action in actions {
        let (service, call) = action.split_once(':').unwrap_or((action, ""));
        let reads = ["Describe", "Get", "List", "Search"].iter().any(|verb| call.starts_with(verb));
        found.entry((service, if reads { "Read" } else { "Write" })).or_default().insert(action);
    }
    let sid = |service: &str, purpose: &str| {
        // A Sid holds letters and digits only.
        let words = service.split(|c: char| !c.is_ascii_alphanumeric());
        let title = words.map(|w| w.get(..1).unwrap_or("").to_ascii_uppercase() + w.get(1..).unwrap_or(""));
        format!("{purpose}{}", title.collect::<String>())
    };
    found
        .into_iter()
        .map(|((service, purpose), actions)| {
            statement(&sid(service, purpose), &actions.into_iter().collect::<Vec<_>>(), "*")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::registry::KINDS;
    use std::{fs, path::Path};

    /// A managed policy's limit, white space not counted (IAM and AWS STS quotas).
    const POLICY_CHARACTERS_MAX: usize = 6144;

    /// The file in `config/` as it must be; written instead when ROLLBACKD_BLESS is set.
    fn check(file: &str, wanted: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file);
        if std::env::var_os("ROLLBACKD_BLESS").is_some() {
            fs::write(&path, wanted).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == wanted,
            "config/{file} is not what the kinds need any more. Write it again:\n\
             ROLLBACKD_BLESS=1 cargo test --lib kinds::policy\n\
             (`cargo run -- iam-policy observe > config/iam/observe.json` writes the same, one file at a time)"
        );
    }

    #[test]
    fn the_policies_in_config_are_those_of_the_kinds() {
        check("iam/observe.json", &text(&observe_policy(KINDS)));
        check("iam/restore.json", &text(&restore_policy(KINDS)));
    }

    /// A policy's statements for all resources, as YAML. The template names the queue and the role by reference.
    fn yaml(policy: &Value, indent: &str) -> String {
        let mut out = String::new();
        for statement in policy["Statement"].as_array().unwrap().iter().filter(|s| s["Resource"] == "*") {
            out += &format!("{indent}- Sid: {}\n", statement["Sid"].as_str().unwrap());
            out += &format!("{indent}  Effect: Allow\n{indent}  Action:\n");
            for action in statement["Action"].as_array().unwrap() {
                out += &format!("{indent}    - {}\n", action.as_str().unwrap());
            }
            out += &format!("{indent}  Resource: '*'\n");
        }
        out
    }

    #[test]
    fn the_roles_of_the_template_are_those_of_the_kinds() {
        let file = "cloudformation/rollbackd.yaml";
        let mut wanted = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file)).unwrap();
        for (name, policy) in [("observe", observe_policy(KINDS)), ("restore", restore_policy(KINDS))] {
            let (begin, end) = (format!("# generated: {name}"), format!("# end of generated: {name}"));
            let from = wanted.find(&begin).expect("the mark where generated statements begin");
            let indent = " ".repeat(from - wanted[..from].rfind('\n').unwrap() - 1);
            let from = from + wanted[from..].find('\n').unwrap() + 1;
            let to = wanted[from..].find(&end).expect("the mark where they end") + from - indent.len();
            wanted.replace_range(from..to, &yaml(&policy, &indent));
        }
        check(file, &wanted);
    }

    #[test]
    fn a_policy_is_small_enough_for_iam_and_well_formed() {
        for policy in [observe_policy(KINDS), restore_policy(KINDS)] {
            let size = policy.to_string().chars().filter(|c| !c.is_whitespace()).count();
            assert!(size <= POLICY_CHARACTERS_MAX, "{size} characters: split it by service");
            let mut sids = BTreeSet::new();
            for statement in policy["Statement"].as_array().unwrap() {
                let sid = statement["Sid"].as_str().unwrap();
                assert!(sid.chars().all(|c| c.is_ascii_alphanumeric()) && sids.insert(sid), "{sid}");
                for action in statement["Action"].as_array().unwrap() {
                    let action = action.as_str().unwrap();
                    let (service, call) = action.split_once(':').unwrap();
                    assert!(!service.is_empty() && call.starts_with(|c: char| c.is_ascii_uppercase()), "{action}");
                    assert!(!action.contains('*'), "{action}: least privilege knows no wildcards");
                }
                assert!(!statement["Resource"].as_str().unwrap().contains("arn:aws:"), "a partition is named");
            }
        }
    }

    #[test]
    fn actions_are_grouped_sorted_and_named() {
        let statements = by_service(
            ["rds:ModifyDBInstance", "ec2:DescribeVpcs", "ec2:CreateVpc", "ec2:DescribeSubnets", "ec2:DescribeVpcs"]
                .into_iter(),
        );
        let sids: Vec<_> = statements.iter().map(|s| s["Sid"].as_str().unwrap()).collect();
        assert_eq!(sids, ["ReadEc2", "WriteEc2", "WriteRds"]);
        assert_eq!(statements[0]["Action"], json!(["ec2:DescribeSubnets", "ec2:DescribeVpcs"]));
        let odd = by_service(["resource-groups:GetGroup"].into_iter());
        assert_eq!(odd[0]["Sid"], "ReadResourceGroups");
    }

    #[test]
    fn the_daemon_itself_changes_nothing() {
        let policy = observe_policy(KINDS);
        let allowed = [
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:ReceiveMessage",
            "sts:AssumeRole",
            "sts:TagSession",
        ];
        for action in policy["Statement"].as_array().unwrap().iter().flat_map(|s| s["Action"].as_array().unwrap()) {
            let call = action.as_str().unwrap();
            let reads = call.contains(":Describe")
                || call.contains(":Get")
                || call.contains(":List")
                || call.contains(":Search");
            assert!(reads || allowed.contains(&call), "{call} in the policy that only reads");
        }
    }
}
