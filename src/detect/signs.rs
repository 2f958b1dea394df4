//! Calls that say more than their class: those that often come before a fatal one, and those that blind rollbackd.
//!
//! Both are read from one record alone. A warning is worth a checkpoint, because what the fatal call takes away can still be
//! looked at. A call that blinds is worth an incident of its own, before all others: what comes after it may never be seen.
use super::{
    actions::{Action, each_leaf},
    actor::{BadRule, globs},
};
use crate::model::{
    Record,
    incident::{Class, Target, Warning},
};
use globset::GlobMatcher;
use serde_json::Value;

/// What the call announces, if it took effect and changed something that existed.
pub fn warning(record: &Record, action: &Action) -> Option<Warning> {
    if !action.destroyed(record) {
        return None;
    }
    match (record.source.as_str(), record.name.as_str()) {
        ("s3.amazonaws.com", "DeleteObject" | "DeleteObjects") => return Some(Warning::EmptiesBucket),
        // A rule that lets objects expire empties the bucket too, and slowly.
        ("s3.amazonaws.com", "PutBucketLifecycle" | "PutBucketLifecycleConfiguration") => {
            let mut expires = false;
            each_leaf(&record.request, &mut |name, _| expires |= same(name, "days") || same(name, "date"));
            return expires.then_some(Warning::EmptiesBucket);
        }
        ("ec2.amazonaws.com", "DetachInternetGateway" | "DetachVpnGateway") => return Some(Warning::DetachesGateway),
        ("ec2.amazonaws.com", "RevokeSecurityGroupIngress" | "RevokeSecurityGroupEgress") => {
            return names_another_group(record).then_some(Warning::RevokesGroupReference);
        }
        ("ec2.amazonaws.com", "DisableImageDeregistrationProtection" | "UnlockSnapshot")
        | ("rbin.amazonaws.com", "UnlockRule" | "DeleteRule")
        | ("backup.amazonaws.com", "DeleteBackupVaultLockConfiguration") => return Some(Warning::ProtectionOff),
        _ => {}
    }
    let mut found = None;
    each_leaf(&record.request, &mut |name, value| {
        const CAPACITIES: [&str; 5] =
            ["desiredCapacity", "desiredCount", "desiredSize", "maxSize", "reservedConcurrentExecutions"];
        const PROTECTIONS: [&str; 8] = [
            "deletionProtection",
            "deletionProtectionEnabled",
            "disableApiTermination",
            "disableApiStop",
            "enableTerminationProtection",
            "newInstancesProtectedFromScaleIn",
            "protectedFromScaleIn",
            "pointInTimeRecoveryEnabled",
        ];
        let zero = value.as_i64() == Some(0) || value.as_str() == Some("0");
        let off = value.as_bool() == Some(false) || value.as_str().is_some_and(|s| s.eq_ignore_ascii_case("false"));
        let suspended = value.as_str() == Some("Suspended") && record.name == "PutBucketVersioning";
        if zero && CAPACITIES.iter().any(|c| same(name, c)) {
            found = Some(Warning::CapacityToZero);
        } else if (off && PROTECTIONS.iter().any(|p| same(name, p)))
            || (zero && same(name, "backupRetentionPeriod"))
            || suspended
        {
            found = Some(Warning::ProtectionOff);
        }
    });
    // Load balancers have attributes: one member holds the name, another the value.
    found.or_else(|| attribute_off(&record.request).then_some(Warning::ProtectionOff))
}

fn same(name: &str, member: &str) -> bool {
    name.eq_ignore_ascii_case(member)
}

/// A rule that refers to another group, or one that is named by its id alone and may.
fn names_another_group(record: &Record) -> bool {
    let mut groups = 0;
    let mut by_id = false;
    each_leaf(&record.request, &mut |name, _| {
        groups += usize::from(same(name, "groupId") || same(name, "groupName"));
        by_id |= same(name, "securityGroupRuleId") || same(name, "sourceSecurityGroupName");
    });
    by_id || groups > 1
}

/// `{key: "deletion_protection.enabled", value: "false"}` anywhere.
fn attribute_off(v: &Value) -> bool {
    match v {
        Value::Array(list) => list.iter().any(attribute_off),
        Value::Object(m) => {
            let is = |name: &str, text: &str| m.get(name).and_then(Value::as_str) == Some(text);
            (is("key", "deletion_protection.enabled") && is("value", "false")) || m.values().any(attribute_off)
        }
        _ => false,
    }
}

/// What rollbackd sees with and acts with, by name: the rule and the queue that bring records, its roles, its stack.
#[derive(Debug, Clone, Default)]
pub struct Own(Vec<GlobMatcher>);

impl Own {
    /// Globs over names and ids, as `detect::actor` has them.
    pub fn new(patterns: &[String]) -> Result<Self, BadRule> {
        globs("rollbackd's own", "own", patterns).map(Self)
    }
    fn has(&self, target: &Target) -> bool {
        let name = match target {
            Target::Resource(key) => &key.id,
            Target::Named { name, .. } => name,
        };
        // The name stands at the end of an ARN or of a queue's URL, before the id in a stack's ARN.
        let parts = name.rsplit(['/', ':']).take(2);
        parts.chain([name.as_str()]).any(|part| self.0.iter().any(|glob| glob.is_match(part)))
    }
}

/// The call took effect, and rollbackd may see or do less because of it.
pub fn blinds(record: &Record, action: &Action, own: &Own) -> bool {
    if !record.succeeded() || action.refused || action.class.is_none() {
        return false;
    }
    // Which trail feeds the rule, no record says: any may.
    if record.source == "cloudtrail.amazonaws.com" {
        return matches!(record.name.as_str(), "StopLogging" | "DeleteTrail" | "PutEventSelectors" | "UpdateTrail");
    }
    // A policy that is attached to a role may deny all that another allows; what else is added takes nothing away.
    let denies = record.name.starts_with("Attach") || record.name == "CreatePolicyVersion";
    let takes = action.class != Some(Class::Add) || (record.source == "iam.amazonaws.com" && denies);
    takes && action.targets.iter().any(|target| own.has(target))
}

/// What undoes a call that blinds, in words.
pub fn cure(call: &str) -> &'static str {
    match call {
        "StopLogging" => "StartLogging",
        "DisableRule" => "EnableRule",
        "DeleteTrail" => "make the trail again, with logging on",
        "PutEventSelectors" | "UpdateTrail" => "look at what the trail logs now",
        "PurgeQueue" => "nothing brings the messages back; the trail's log files still have the records",
        _ => "deploy config/cloudformation/rollbackd.yaml again",
    }
}

#[cfg(test)]
mod tests {
    use super::super::actions::{classify, tests::record};
    use super::*;
    use serde_json::json;

    fn warned(source: &str, name: &str, request: Value) -> Option<Warning> {
        let record = record(source, name, request, Value::Null);
        warning(&record, &classify(&record))
    }

    #[test]
    fn what_often_comes_before_a_fatal_call_is_told() {
        let group = json!({"items": [{"groups": {"items": [{"groupId": "sg-0b0b0b0b"}]}}]});
        let cidr = json!({"items": [{"groups": {}, "ipRanges": {"items": [{"cidrIp": "10.0.0.0/8"}]}}]});
        let attribute = json!({"loadBalancerArn": "arn:aws:x", "attributes": [{"key": "deletion_protection.enabled", "value": "false"}]});
        let expiry = json!({"bucketName": "b", "LifecycleConfiguration": {"Rule": {"Expiration": {"Days": 1}}}});
        let versioning =
            |status: &str| json!({"bucketName": "b", "VersioningConfiguration": {"Status": status, "MfaDelete": "x"}});
        for (source, name, request, expected) in [
            ("s3", "DeleteObjects", json!({"bucketName": "b", "delete": ""}), Some(Warning::EmptiesBucket)),
            ("s3", "PutBucketLifecycle", expiry, Some(Warning::EmptiesBucket)),
            ("s3", "PutBucketVersioning", versioning("Suspended"), Some(Warning::ProtectionOff)),
            ("s3", "PutBucketVersioning", versioning("Enabled"), None),
            (
                "ec2",
                "RevokeSecurityGroupIngress",
                json!({"groupId": "sg-0a0a0a0a", "ipPermissions": group}),
                Some(Warning::RevokesGroupReference),
            ),
            ("ec2", "RevokeSecurityGroupIngress", json!({"groupId": "sg-0a0a0a0a", "ipPermissions": cidr}), None),
            (
                "ec2",
                "DetachInternetGateway",
                json!({"internetGatewayId": "igw-0a0a0a0a", "vpcId": "vpc-0a0a0a0a"}),
                Some(Warning::DetachesGateway),
            ),
            (
                "ec2",
                "ModifyInstanceAttribute",
                json!({"instanceId": "i-0a0a0a0a", "disableApiTermination": {"value": false}}),
                Some(Warning::ProtectionOff),
            ),
            (
                "ec2",
                "ModifyInstanceAttribute",
                json!({"instanceId": "i-0a0a0a0a", "disableApiTermination": {"value": true}}),
                None,
            ),
            (
                "rds",
                "ModifyDBInstance",
                json!({"dBInstanceIdentifier": "orders", "deletionProtection": false}),
                Some(Warning::ProtectionOff),
            ),
            (
                "rds",
                "ModifyDBInstance",
                json!({"dBInstanceIdentifier": "orders", "backupRetentionPeriod": 0}),
                Some(Warning::ProtectionOff),
            ),
            // Made without a protection: nothing was taken away.
            ("rds", "CreateDBInstance", json!({"dBInstanceIdentifier": "new", "deletionProtection": false}), None),
            ("elasticloadbalancing", "ModifyLoadBalancerAttributes", attribute, Some(Warning::ProtectionOff)),
            (
                "autoscaling",
                "SetDesiredCapacity",
                json!({"autoScalingGroupName": "web", "desiredCapacity": 0}),
                Some(Warning::CapacityToZero),
            ),
            ("autoscaling", "SetDesiredCapacity", json!({"autoScalingGroupName": "web", "desiredCapacity": 2}), None),
            ("ecs", "UpdateService", json!({"service": "web", "desiredCount": 0}), Some(Warning::CapacityToZero)),
        ] {
            assert_eq!(warned(source, name, request.clone()), expected, "{name} {request}");
        }
        let mut failed = record("s3", "DeleteObjects", json!({"bucketName": "b"}), Value::Null);
        failed.error = Some("AccessDenied".into());
        assert_eq!(warning(&failed, &classify(&failed)), None);
    }

    #[test]
    fn what_rollbackd_sees_and_acts_with_is_its_own() {
        let own = Own::new(&["rollbackd*".into(), "trail-queue".into()]).unwrap();
        let blind = |source: &str, name: &str, request: Value| {
            let record = record(source, name, request, Value::Null);
            blinds(&record, &classify(&record), &own)
        };
        let queue =
            |name: &str| json!({"queueUrl": format!("https://sqs.eu-west-1.amazonaws.com/111122223333/{name}")});
        for (source, name, request) in [
            ("cloudtrail", "StopLogging", json!({"name": "management-events"})),
            ("cloudtrail", "DeleteTrail", json!({"name": "arn:aws:cloudtrail:eu-west-1:111122223333:trail/all"})),
            ("cloudtrail", "PutEventSelectors", json!({"trailName": "all"})),
            ("cloudtrail", "UpdateTrail", json!({"name": "all"})),
            ("events", "DeleteRule", json!({"name": "rollbackd"})),
            ("events", "DisableRule", json!({"name": "rollbackd", "eventBusName": "default"})),
            ("events", "RemoveTargets", json!({"rule": "rollbackd", "ids": ["queue"]})),
            ("events", "PutRule", json!({"name": "rollbackd", "eventPattern": "{}"})),
            ("sqs", "PurgeQueue", queue("trail-queue")),
            ("sqs", "DeleteQueue", queue("rollbackd-dead")),
            ("sqs", "SetQueueAttributes", queue("rollbackd")),
            ("iam", "DeleteRole", json!({"roleName": "rollbackd-observe"})),
            (
                "iam",
                "DetachRolePolicy",
                json!({"roleName": "rollbackd-restore", "policyArn": "arn:aws:iam::aws:policy/x"}),
            ),
            ("iam", "DeleteRolePolicy", json!({"roleName": "rollbackd-restore", "policyName": "restore"})),
            (
                "iam",
                "AttachRolePolicy",
                json!({"roleName": "rollbackd-restore", "policyArn": "arn:aws:iam::aws:policy/AWSDenyAll"}),
            ),
            (
                "cloudformation",
                "DeleteStack",
                json!({"stackName": "arn:aws:cloudformation:eu-west-1:111122223333:stack/rollbackd/0a"}),
            ),
        ] {
            assert!(blind(source, name, request.clone()), "{name} {request}");
        }
        for (source, name, request) in [
            ("cloudtrail", "StartLogging", json!({"name": "all"})),
            ("cloudtrail", "LookupEvents", Value::Null),
            ("events", "DeleteRule", json!({"name": "nightly"})),
            ("sqs", "PurgeQueue", queue("orders")),
            ("sqs", "TagQueue", queue("rollbackd")),
            ("iam", "DeleteRole", json!({"roleName": "web"})),
            ("iam", "CreateRole", json!({"roleName": "rollbackd-observe"})),
        ] {
            assert!(!blind(source, name, request.clone()), "{name} {request}");
        }
        let mut failed = record("cloudtrail", "StopLogging", json!({"name": "all"}), Value::Null);
        failed.error = Some("AccessDenied".into());
        assert!(!blinds(&failed, &classify(&failed), &own));
    }
}
