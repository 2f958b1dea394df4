//! The least that rollbackd must be allowed, as IAM policies made from what the kinds say they call.
//!
//! Identities (design §9): the daemon's own only reads; the restore role is assumed for one restore; one more for copies of
//! data, where the settings ask for those. What they need is split by service, because IAM refuses a managed policy above
//! 6,144 characters, and because whoever keeps rollbackd away from a service leaves out that service's policies. Partitions
//! are left open, so that the same policies hold in all of them. `sts:GetCallerIdentity` needs no permission.
use super::{AnyKind, copies};
use crate::aws::{places, quotas};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the names of queues begin with, unless an operator chooses others and their policies with them.
const QUEUES: &str = "arn:*:sqs:*:*:rollbackd*";
/// The same for the roles that it assumes.
const ROLES: [&str; 2] = ["arn:*:iam::*:role/rollbackd-restore*", "arn:*:iam::*:role/rollbackd-copies*"];

const PASS_ROLE: &str = "iam:PassRole";
/// To which services the kinds of each service hand roles over: those of instance profiles, flow logs, monitoring,
/// replication. In China EC2 goes by a name of its own.
const PASSED_TO: &[(&str, &[&str])] = &[
    ("ec2", &["ec2.amazonaws.com", "ec2.amazonaws.com.cn", "vpc-flow-logs.amazonaws.com"]),
    ("rds", &["monitoring.rds.amazonaws.com", "rds.amazonaws.com"]),
    ("s3", &["s3.amazonaws.com"]),
];

/// One policy: a file in `config/iam`, and one of the managed policies in the CloudFormation template.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// `daemon`; `observe-ec2`, and likewise for each service; `restore-ec2`, likewise; `copies`.
    pub name: String,
    pub document: Value,
}
impl Policy {
    fn new(name: impl Into<String>, statements: Vec<Value>) -> Self {
        Self { name: name.into(), document: json!({ "Version": "2012-10-17", "Statement": statements }) }
    }
    /// As it stands in its file and is printed.
    pub fn text(&self) -> String {
        format!("{:#}\n", self.document)
    }
}

/// All policies. The daemon's identity needs `daemon` and each `observe-…`; the restore role each `observe-…`, because
/// every step is read back, and each `restore-…`, which adds what that service's kinds need to be put back; the role for
/// copies `copies` alone.
pub fn policies(kinds: &[&dyn AnyKind]) -> Vec<Policy> {
    let mut services: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    for kind in kinds {
        let service = kind.name().split(':').next().unwrap_or_default();
        let (observe, restore) = services.entry(service).or_default();
        observe.extend(kind.observe());
        restore.extend(kind.restore());
    }
    // What plans ask for beside the kinds: what a place has, and its quotas.
    if let Some((observe, _)) = services.get_mut("ec2") {
        observe.extend(places::ACTIONS);
        observe.insert(quotas::ACTION);
    }
    let mut out = vec![daemon()];
    for (service, (observe, _)) in &services {
        out.push(Policy::new(format!("observe-{service}"), statements(service, observe.iter().copied())));
    }
    for (service, (observe, restore)) in &services {
        out.push(Policy::new(format!("restore-{service}"), statements(service, restore.difference(observe).copied())));
    }
    out.push(scheduled_copies());
    out
}

/// Taking records from the queue, and assuming the other roles.
fn daemon() -> Policy {
    let queue = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];
    Policy::new(
        "daemon",
        vec![
            statement("TakeRecords", &queue, QUEUES),
            // The session carries the digest of the plan as a tag.
            statement("AssumeRoles", &["sts:AssumeRole", "sts:TagSession"], ROLES),
        ],
    )
}

/// Snapshots of volumes that the settings ask for: any volume may be copied, but only into snapshots that carry the tag of
/// copies, and only those may be tagged, as they are made, and deleted.
fn scheduled_copies() -> Policy {
    const SNAPSHOTS: &str = "arn:*:ec2:*::snapshot/*";
    let under = |mut statement: Value, condition: Value| {
        statement["Condition"] = condition;
        statement
    };
    let key = |of: &str| json!({ "Null": { format!("aws:{of}/{}", copies::TAG): "false" } });
    let making = json!({ "StringEquals": { "ec2:CreateAction": copies::MAKES.map(|a| a.trim_start_matches("ec2:")) } });
    Policy::new(
        "copies",
        vec![
            statement("Read", copies::READS, "*"),
            statement("CopyFrom", &copies::MAKES, ["arn:*:ec2:*:*:volume/*", "arn:*:ec2:*:*:instance/*"]),
            under(statement("CopyTo", &copies::MAKES, SNAPSHOTS), key("RequestTag")),
            under(statement("TagCopies", &["ec2:CreateTags"], SNAPSHOTS), making),
            under(statement("DeleteCopies", copies::DELETES, SNAPSHOTS), key("ResourceTag")),
        ],
    )
}

fn statement(sid: &str, actions: &[&str], resource: impl Serialize) -> Value {
    json!({ "Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource })
}

/// One statement for the reads, one for the writes, sorted, and one for roles that are handed over. Most reads of EC2 know
/// no resource, and what a restore makes has no id yet, so `*` is the only resource that fits.
fn statements<'a>(service: &str, actions: impl Iterator<Item = &'a str>) -> Vec<Value> {
    let mut of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for action in actions {
        let call = action.split_once(':').map_or(action, |(_, call)| call);
        let reads = ["Describe", "Get", "List", "Search"].iter().any(|verb| call.starts_with(verb));
        let sid = if action == PASS_ROLE {
            "PassRoles"
        } else if reads {
            "Read"
        } else {
            "Write"
        };
        of.entry(sid).or_default().push(action);
    }
    // PassRoles, Read, Write: what is narrowed stands first.
    of.into_iter()
        .map(|(sid, mut actions)| {
            actions.sort_unstable();
            let mut made = statement(sid, &actions, "*");
            if sid == "PassRoles" {
                let to = PASSED_TO.iter().find(|(s, _)| *s == service).map_or(&[] as &[&str], |(_, to)| to);
                made["Condition"] = json!({ "StringEquals": { "iam:PassedToService": to } });
            }
            made
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::registry::KINDS;
    use std::{fs, path::Path};

    /// A managed policy's limit, white space not counted, and that of policies attached to a role (IAM and AWS STS quotas).
    const POLICY_CHARACTERS_MAX: usize = 6144;
    const ROLE_POLICIES_MAX: usize = 10;

    /// Refuses, with what to do, what AWS would refuse.
    fn fits(policy: &Policy) {
        let size = policy.document.to_string().chars().filter(|c| !c.is_whitespace()).count();
        assert!(
            size <= POLICY_CHARACTERS_MAX,
            "the policy {} has {size} characters, and IAM takes {POLICY_CHARACTERS_MAX}: give some kinds of this service \
             a policy of their own in `policies`",
            policy.name
        );
    }
    fn all() -> Vec<Policy> {
        let all = policies(KINDS);
        all.iter().for_each(fits);
        all
    }
    fn rows(policy: &Policy) -> &Vec<Value> {
        policy.document["Statement"].as_array().unwrap()
    }
    fn actions(statement: &Value) -> impl Iterator<Item = &str> {
        statement["Action"].as_array().unwrap().iter().map(|a| a.as_str().unwrap())
    }

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
             ROLLBACKD_BLESS=1 cargo test --lib kinds::policy"
        );
    }

    #[test]
    fn the_policies_in_config_are_those_of_the_kinds() {
        let all = all();
        for policy in &all {
            check(&format!("iam/{}.json", policy.name), &policy.text());
        }
        for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/iam")).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert!(all.iter().any(|p| p.name == name), "config/iam/{name}.json is of no policy any more: remove it");
        }
    }

    /// A value as the YAML that follows a key or a dash; what people look for in a statement stands first.
    fn yaml(value: &Value, indent: usize) -> String {
        let pad = " ".repeat(indent);
        let place = |key: &str| ["Sid", "Effect", "Action", "Resource"].iter().position(|k| *k == key).unwrap_or(4);
        // What YAML would take for something else than text.
        let text =
            |s: &str| if s.contains('*') || s == "false" || s == "Null" { format!("'{s}'") } else { s.to_owned() };
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by_key(|(key, _)| place(key));
                members.into_iter().map(|(k, v)| format!("\n{pad}{}:{}", text(k), yaml(v, indent + 2))).collect()
            }
            Value::Array(rows) => {
                rows.iter().map(|v| format!("\n{pad}- {}", yaml(v, indent + 2).trim_start())).collect()
            }
            other => format!(" {}", text(other.as_str().unwrap())),
        }
    }
    /// A managed policy of the template.
    fn resource(policy: &Policy, condition: &str, roles: &str) -> String {
        let title = policy.name.split('-').map(|w| w[..1].to_ascii_uppercase() + &w[1..]).collect::<String>();
        let mut statements = policy.document["Statement"].clone();
        for statement in statements.as_array_mut().unwrap().iter_mut().filter(|s| s["Sid"] == "PassRoles") {
            statement["Resource"] = "!Ref PassableRoles".into();
        }
        format!(
            "  {title}Policy:\n    Type: AWS::IAM::ManagedPolicy\n    Condition: {condition}\n    Properties:\n      \
             ManagedPolicyName: rollbackd-{}\n      Roles: [{roles}]\n      PolicyDocument:\n        \
             Version: '2012-10-17'\n        Statement:{}\n",
            policy.name,
            yaml(&statements, 10)
        )
    }

    #[test]
    fn the_roles_of_the_template_have_the_policies_of_the_kinds() {
        let file = "cloudformation/rollbackd.yaml";
        let mut wanted = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file)).unwrap();
        let (mut observe, mut restore) = (1, 0); // `daemon` stands in the template by hand, since it names the queue
        let mut generated = vec![];
        for policy in all() {
            if policy.name.starts_with("observe-") {
                (observe, restore) = (observe + 1, restore + 1);
                generated.push(resource(&policy, "MakeRoles", "!Ref ObserveRole, !Ref RestoreRole"));
            } else if policy.name.starts_with("restore-") {
                restore += 1;
                generated.push(resource(&policy, "MakeRoles", "!Ref RestoreRole"));
            } else if policy.name == "copies" {
                generated.push(resource(&policy, "MakeCopiesRole", "!Ref CopiesRole"));
            }
        }
        assert!(
            observe <= ROLE_POLICIES_MAX && restore <= ROLE_POLICIES_MAX,
            "a role takes {ROLE_POLICIES_MAX} managed policies (the quota can be raised), and {observe} are to be attached \
             to rollbackd-observe and {restore} to rollbackd-restore: let small services share a policy"
        );
        let (begin, end) = ("  # generated: policies of the kinds\n", "  # end of generated\n");
        let from = wanted.find(begin).expect("the mark where generated policies begin") + begin.len();
        let to = wanted.find(end).expect("the mark where they end");
        wanted.replace_range(from..to, &generated.join("\n"));
        check(file, &wanted);
    }

    #[test]
    fn a_policy_is_well_formed() {
        for policy in all() {
            let mut sids = BTreeSet::new();
            for statement in rows(&policy) {
                let sid = statement["Sid"].as_str().unwrap();
                assert!(sid.chars().all(|c| c.is_ascii_alphanumeric()) && sids.insert(sid), "{sid}");
                for action in actions(statement) {
                    let (service, call) = action.split_once(':').unwrap();
                    assert!(!service.is_empty() && call.starts_with(|c: char| c.is_ascii_uppercase()), "{action}");
                    assert!(!action.contains('*'), "{action}: least privilege knows no wildcards");
                }
                assert!(!statement["Resource"].to_string().contains("arn:aws:"), "a partition is named");
            }
        }
    }

    #[test]
    #[should_panic(expected = "IAM takes 6144: give some kinds of this service a policy of their own")]
    fn what_iam_would_refuse_is_said_with_what_to_do() {
        let actions: Vec<String> = (0..300).map(|i| format!("ec2:DescribeThingOfNumber{i}")).collect();
        fits(&Policy::new("observe-ec2", statements("ec2", actions.iter().map(String::as_str))));
    }

    #[test]
    fn actions_are_grouped_and_sorted() {
        let made = statements(
            "ec2",
            ["logs:CreateLogDelivery", "ec2:DescribeVpcs", "ec2:CreateVpc", "iam:PassRole", "ec2:DescribeSubnets"]
                .into_iter(),
        );
        let sids: Vec<_> = made.iter().map(|s| s["Sid"].as_str().unwrap()).collect();
        assert_eq!(sids, ["PassRoles", "Read", "Write"]);
        assert_eq!(made[1]["Action"], json!(["ec2:DescribeSubnets", "ec2:DescribeVpcs"]));
        assert_eq!(made[2]["Action"], json!(["ec2:CreateVpc", "logs:CreateLogDelivery"]));
    }

    #[test]
    fn each_restore_policy_adds_to_what_its_kinds_read_all_that_they_call() {
        let all = all();
        for kind in KINDS {
            let service = kind.name().split(':').next().unwrap();
            let of = |what: &str| {
                let policy = all.iter().find(|p| p.name == format!("{what}-{service}")).unwrap();
                rows(policy).iter().flat_map(actions).collect::<BTreeSet<_>>()
            };
            let (observe, restore) = (of("observe"), of("restore"));
            assert!(observe.is_disjoint(&restore), "said twice");
            assert!(kind.observe().iter().all(|a| observe.contains(a)), "{}", kind.name());
            assert!(kind.restore().iter().all(|a| observe.contains(a) || restore.contains(a)), "{}", kind.name());
        }
    }

    #[test]
    fn roles_are_handed_over_only_to_services_that_are_named() {
        let all = all();
        let passing = all.iter().flat_map(|p| rows(p).iter().map(move |s| (p, s)));
        let mut passing = passing.filter(|(_, s)| actions(s).any(|a| a == PASS_ROLE)).peekable();
        assert!(passing.peek().is_some());
        for (policy, statement) in passing {
            assert_eq!(actions(statement).collect::<Vec<_>>(), [PASS_ROLE]);
            let to = statement["Condition"]["StringEquals"]["iam:PassedToService"].as_array().unwrap();
            assert!(
                !to.is_empty(),
                "{}: its kinds hand roles over, and PASSED_TO does not say to which services",
                policy.name
            );
        }
    }

    #[test]
    fn what_is_no_copy_cannot_be_made_tagged_or_deleted_by_the_role_for_copies() {
        let all = all();
        for statement in rows(all.iter().find(|p| p.name == "copies").unwrap()) {
            let writes = actions(statement).any(|a| !a.starts_with("ec2:Describe"));
            let of_snapshots = statement["Resource"].to_string().contains("snapshot");
            assert_eq!(statement["Condition"].is_object(), writes && of_snapshots, "{statement}");
        }
    }

    #[test]
    fn the_daemon_itself_changes_nothing() {
        let allowed = [
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:ReceiveMessage",
            "sts:AssumeRole",
            "sts:TagSession",
        ];
        let all = all();
        let own = all.iter().filter(|p| p.name == "daemon" || p.name.starts_with("observe-"));
        for call in own.flat_map(rows).flat_map(actions) {
            let reads = call.contains(":Describe")
                || call.contains(":Get")
                || call.contains(":List")
                || call.contains(":Search");
            assert!(reads || allowed.contains(&call), "{call} in a policy that only reads");
        }
    }
}
