//! Request budgets: how fast AWS lets an account call, how much of that rollbackd takes, and the least time that a number
//! of calls needs.
//!
//! AWS counts per account, region and action in token buckets: so many at once, then so many a second. rollbackd takes
//! half of each, so that the tools and people of the account are never starved by a sweep or a restore. Sources: Amazon
//! EC2 "Request throttling for the Amazon EC2 API" and Amazon RDS "API throttling", as of 2026-08; an account may have
//! other values (Service Quotas). The services without published figures are not paced.
use std::{collections::BTreeMap, time::Duration};

/// A token bucket: `burst` calls at once, refilled with `per_second` calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    pub burst: u32,
    pub per_second: f64,
}
impl Bucket {
    /// What rollbackd takes of it: half. Of a bucket that holds one call it takes that one, at half the rate.
    pub fn half(self) -> Self {
        Self { burst: (self.burst / 2).max(1), per_second: self.per_second / 2.0 }
    }
    /// The least time to make `calls` calls, starting with a full bucket.
    pub fn time_for(self, calls: usize) -> Duration {
        let waiting = u32::try_from(calls).unwrap_or(u32::MAX).saturating_sub(self.burst);
        Duration::from_secs_f64(f64::from(waiting) / self.per_second)
    }
}

/// AWS's bucket for an action such as `ec2:CreateVpc`, and the name under which calls share it; nothing where AWS
/// publishes no figure.
pub fn bucket(action: &str) -> Option<(&str, Bucket)> {
    let (service, name) = action.split_once(':')?;
    match service {
        "ec2" => {
            let own = EC2_OWN.binary_search_by_key(&name, |row| row.0).ok().and_then(|i| EC2_OWN.get(i));
            let (burst, per_second) = match own {
                Some((_, burst, per_second)) => (*burst, *per_second),
                None if READS.iter().any(|verb| name.starts_with(verb)) => (100, 20.0),
                None => (50, 5.0),
            };
            Some((action, Bucket { burst, per_second }))
        }
        // One bucket for the whole API.
        "rds" => Some(("rds:", Bucket { burst: 300, per_second: 12.0 })),
        // LookupEvents: two a second, not raisable.
        "cloudtrail" if name == "LookupEvents" => Some((action, Bucket { burst: 2, per_second: 2.0 })),
        _ => None,
    }
}

/// The least time that these calls need at rollbackd's half of the buckets, however much runs at once: the longest of the
/// actions' own times, since each action has a bucket of its own. In calls, not in the minutes that AWS then works.
pub fn floor(calls: &[(&str, usize)]) -> Duration {
    let mut per_bucket: BTreeMap<&str, (Bucket, usize)> = BTreeMap::new();
    for (action, count) in calls {
        if let Some((name, bucket)) = bucket(action) {
            let sum = &mut per_bucket.entry(name).or_insert((bucket, 0)).1;
            *sum = sum.saturating_add(*count);
        }
    }
    per_bucket.values().map(|(bucket, count)| bucket.half().time_for(*count)).max().unwrap_or_default()
}

/// Non-mutating actions of EC2. Those with neither a filter nor a page size draw from a smaller bucket; rollbackd makes
/// no such call.
const READS: &[&str] = &["Describe", "Get", "List", "Search"];
/// Actions of EC2 with a bucket of their own: burst, calls a second. Sorted.
#[rustfmt::skip]
const EC2_OWN: &[(&str, u32, f64)] = &[
    ("AcceptVpcEndpointConnections", 10, 1.0),
    ("AdvertiseByoipCidr", 1, 0.1),
    ("AssignIpv6Addresses", 100, 5.0),
    ("AssignPrivateIpAddresses", 100, 5.0),
    ("AssignPrivateNatGatewayAddress", 10, 1.0),
    ("AssociateCapacityReservationBillingOwner", 1, 0.5),
    ("AssociateEnclaveCertificateIamRole", 10, 1.0),
    ("AssociateIamInstanceProfile", 100, 5.0),
    ("AssociateNatGatewayAddress", 10, 1.0),
    ("AttachVerifiedAccessTrustProvider", 10, 2.0),
    ("AuthorizeClientVpnIngress", 5, 2.0),
    ("CancelDeclarativePoliciesReport", 1, 1.0),
    ("CopyImage", 100, 1.0),
    ("CreateClientVpnRoute", 5, 2.0),
    ("CreateCoipCidr", 5, 1.0),
    ("CreateCoipPool", 5, 1.0),
    ("CreateDefaultSubnet", 1, 1.0),
    ("CreateDefaultVpc", 1, 1.0),
    ("CreateLaunchTemplateVersion", 100, 5.0),
    ("CreateNatGateway", 10, 1.0),
    ("CreateNetworkInterface", 100, 5.0),
    ("CreateRestoreImageTask", 50, 0.1),
    ("CreateSnapshot", 100, 5.0),
    ("CreateSnapshots", 100, 5.0),
    ("CreateSpotDatafeedSubscription", 50, 3.0),
    ("CreateStoreImageTask", 50, 0.1),
    ("CreateSubnetCidrReservation", 5, 1.0),
    ("CreateTags", 100, 10.0),
    ("CreateVerifiedAccessEndpoint", 20, 4.0),
    ("CreateVerifiedAccessGroup", 10, 2.0),
    ("CreateVerifiedAccessInstance", 10, 2.0),
    ("CreateVerifiedAccessTrustProvider", 10, 2.0),
    ("CreateVolume", 100, 5.0),
    ("CreateVpcEndpoint", 4, 0.3),
    ("CreateVpcEndpointServiceConfiguration", 10, 1.0),
    ("DeleteClientVpnRoute", 5, 2.0),
    ("DeleteCoipCidr", 5, 1.0),
    ("DeleteCoipPool", 5, 1.0),
    ("DeleteCoipPoolPermission", 5, 1.0),
    ("DeleteNatGateway", 10, 1.0),
    ("DeleteNetworkInterface", 100, 5.0),
    ("DeleteQueuedReservedInstances", 5, 5.0),
    ("DeleteSnapshot", 100, 5.0),
    ("DeleteSpotDatafeedSubscription", 50, 3.0),
    ("DeleteSubnetCidrReservation", 5, 1.0),
    ("DeleteTags", 100, 10.0),
    ("DeleteVerifiedAccessEndpoint", 20, 4.0),
    ("DeleteVerifiedAccessGroup", 10, 2.0),
    ("DeleteVerifiedAccessInstance", 10, 2.0),
    ("DeleteVerifiedAccessTrustProvider", 10, 2.0),
    ("DeleteVolume", 100, 5.0),
    ("DeleteVpcEndpointServiceConfigurations", 10, 1.0),
    ("DeleteVpcEndpoints", 4, 0.3),
    ("DeprovisionByoipCidr", 1, 0.1),
    ("DeregisterImage", 100, 5.0),
    ("DescribeAggregateIdFormat", 10, 10.0),
    ("DescribeByoipCidrs", 1, 0.5),
    ("DescribeCapacityBlockExtensionOfferings", 10, 0.15),
    ("DescribeCapacityBlockOfferings", 10, 0.15),
    ("DescribeDeclarativePoliciesReports", 5, 5.0),
    ("DescribeHostReservationOfferings", 5, 2.0),
    ("DescribeHostReservations", 5, 2.0),
    ("DescribeIdFormat", 10, 10.0),
    ("DescribeIdentityIdFormat", 10, 10.0),
    ("DescribeInstanceTopology", 1, 1.0),
    ("DescribeMovingAddresses", 1, 1.0),
    ("DescribePrincipalIdFormat", 10, 10.0),
    ("DescribeReservedInstancesOfferings", 10, 10.0),
    ("DescribeSecurityGroupReferences", 20, 5.0),
    ("DescribeSpotDatafeedSubscription", 100, 13.0),
    ("DescribeSpotFleetInstances", 100, 5.0),
    ("DescribeSpotFleetRequestHistory", 100, 5.0),
    ("DescribeSpotFleetRequests", 50, 3.0),
    ("DescribeStaleSecurityGroups", 20, 5.0),
    ("DescribeStoreImageTasks", 50, 0.5),
    ("DescribeVerifiedAccessInstanceLoggingConfigurations", 10, 2.0),
    ("DetachVerifiedAccessTrustProvider", 10, 2.0),
    ("DisableFastLaunch", 5, 2.0),
    ("DisableImageBlockPublicAccess", 1, 0.1),
    ("DisableSnapshotBlockPublicAccess", 1, 0.1),
    ("DisassociateCapacityReservationBillingOwner", 1, 0.5),
    ("DisassociateEnclaveCertificateIamRole", 10, 1.0),
    ("DisassociateIamInstanceProfile", 100, 5.0),
    ("DisassociateNatGatewayAddress", 10, 1.0),
    ("EnableFastLaunch", 5, 2.0),
    ("EnableImageBlockPublicAccess", 1, 0.1),
    ("EnableSnapshotBlockPublicAccess", 1, 0.1),
    ("GetAssociatedEnclaveCertificateIamRoles", 10, 1.0),
    ("GetDeclarativePoliciesReportSummary", 5, 5.0),
    ("GetHostReservationPurchasePreview", 5, 2.0),
    ("ModifyImageAttribute", 100, 5.0),
    ("ModifyInstanceMetadataDefaults", 2, 2.0),
    ("ModifyInstanceMetadataOptions", 100, 5.0),
    ("ModifyLaunchTemplate", 100, 5.0),
    ("ModifyNetworkInterfaceAttribute", 100, 5.0),
    ("ModifySnapshotAttribute", 100, 5.0),
    ("ModifyVerifiedAccessEndpoint", 20, 4.0),
    ("ModifyVerifiedAccessEndpointPolicy", 20, 4.0),
    ("ModifyVerifiedAccessGroup", 10, 2.0),
    ("ModifyVerifiedAccessGroupPolicy", 20, 4.0),
    ("ModifyVerifiedAccessInstance", 10, 2.0),
    ("ModifyVerifiedAccessInstanceLoggingConfiguration", 10, 2.0),
    ("ModifyVerifiedAccessTrustProvider", 10, 2.0),
    ("ModifyVpcEndpoint", 4, 0.3),
    ("ModifyVpcEndpointServiceConfiguration", 10, 1.0),
    ("MoveAddressToVpc", 1, 1.0),
    ("ProvisionByoipCidr", 1, 0.1),
    ("PurchaseCapacityBlock", 10, 0.15),
    ("PurchaseCapacityBlockExtension", 10, 0.15),
    ("PurchaseHostReservation", 5, 2.0),
    ("PurchaseReservedInstancesOffering", 5, 5.0),
    ("RejectVpcEndpointConnections", 10, 1.0),
    ("RestoreAddressToClassic", 1, 1.0),
    ("RevokeClientVpnIngress", 5, 2.0),
    ("RunInstances", 5, 2.0),
    ("StartDeclarativePoliciesReport", 1, 1.0),
    ("StartInstances", 5, 2.0),
    ("TerminateInstances", 100, 5.0),
    ("UnassignPrivateIpAddresses", 100, 5.0),
    ("UnassignPrivateNatGatewayAddress", 10, 1.0),
    ("WithdrawByoipCidr", 1, 0.1),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(calls: &[(&str, usize)]) -> f64 {
        floor(calls).as_secs_f64()
    }

    #[test]
    fn half_is_left_to_others() {
        let ours = |action: &str| bucket(action).unwrap().1.half();
        assert_eq!(ours("ec2:CreateVpc"), Bucket { burst: 25, per_second: 2.5 });
        assert_eq!(ours("ec2:DescribeVpcs"), Bucket { burst: 50, per_second: 10.0 });
        assert_eq!(ours("ec2:CreateDefaultVpc"), Bucket { burst: 1, per_second: 0.5 });
        assert_eq!(ours("ec2:CreateTags"), Bucket { burst: 50, per_second: 5.0 });
        assert_eq!(bucket("sts:GetCallerIdentity"), None);
    }

    #[test]
    fn the_floor_is_the_slowest_action() {
        assert_eq!(seconds(&[]), 0.0);
        assert_eq!(seconds(&[("ec2:CreateSubnet", 25)]), 0.0);
        assert_eq!(seconds(&[("ec2:CreateSubnet", 30), ("ec2:CreateVpc", 26)]), 2.0);
        // The same action twice is one sum, and one bucket serves all of RDS.
        assert_eq!(seconds(&[("ec2:CreateSubnet", 20), ("ec2:CreateSubnet", 10)]), 2.0);
        assert_eq!(seconds(&[("rds:CreateDBInstance", 100), ("rds:ModifyDBInstance", 56)]), 1.0);
        // Twenty interface endpoints: burst 2, then 0.15 a second.
        assert_eq!(seconds(&[("ec2:CreateVpcEndpoint", 20)]), 120.0);
        assert_eq!(seconds(&[("sts:AssumeRole", 1_000_000)]), 0.0);
    }

    #[test]
    fn the_table_is_sorted_and_as_published() {
        assert!(EC2_OWN.is_sorted_by_key(|r| r.0));
        let Some(text) = crate::testing::shared("model/throttle.json") else { return };
        let model: serde_json::Value = serde_json::from_str(&text).unwrap();
        let ec2 = &model["ec2"];
        let theirs = ec2["own_buckets"].as_object().unwrap();
        assert_eq!(theirs.len(), EC2_OWN.len());
        let as_bucket = |v: &serde_json::Value| Bucket {
            burst: v["bucket"].as_u64().unwrap() as u32,
            per_second: v["refill_per_s"].as_f64().unwrap(),
        };
        for (name, v) in theirs {
            assert_eq!(bucket(&format!("ec2:{name}")).unwrap().1, as_bucket(v), "{name}");
        }
        for name in ec2["request_buckets"]["resource_intensive"]["actions"].as_array().unwrap() {
            let ours = bucket(&format!("ec2:{}", name.as_str().unwrap())).unwrap().1;
            assert_eq!(ours, as_bucket(&ec2["request_buckets"]["resource_intensive"]), "{name}");
        }
        assert_eq!(bucket("ec2:DescribeVpcs").unwrap().1, as_bucket(&ec2["request_buckets"]["non_mutating"]));
        assert_eq!(bucket("ec2:CreateVpc").unwrap().1, as_bucket(&ec2["request_buckets"]["mutating"]));
        assert_eq!(bucket("rds:X").unwrap().1, as_bucket(&model["rds"]["all"]));
    }
}
