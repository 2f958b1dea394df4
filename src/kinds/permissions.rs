//! Whether writing calls are allowed, asked with `DryRun` before the first real one.
//!
//! AWS answers a dry run with `DryRunOperation` where the caller may, and with `UnauthorizedOperation` where not (Amazon
//! EC2 API, "Common parameters"). Whether it looks at permissions or at parameters first is not documented for every action;
//! any other answer counts as not checked. The flag must never lead to a write where something stands in for AWS and does
//! not know it. So nothing is tried before several reads have answered a dry run as AWS does, and each call names a resource
//! that cannot exist or a value that cannot be: actions that would take neither are not tried. Nor are those of endpoints,
//! whose bucket of four calls (H16) the restore itself needs.
use super::ec2::failed;
use crate::aws::{Class, Cx, Failure};
use aws_sdk_ec2::types as sdk;
use futures_util::{
    future::BoxFuture,
    stream::{self, StreamExt},
};
use std::collections::BTreeSet;

/// Dry runs under way at once.
const AT_ONCE: usize = 32;

/// What came of a look at some actions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Actions that AWS says no to.
    pub missing: BTreeSet<String>,
    /// Those of which it says neither.
    pub not_checked: BTreeSet<String>,
}

/// Tries these actions (`ec2:CreateVpc`). No failure is an error: what cannot be told is not checked.
pub async fn check(cx: &Cx, actions: &BTreeSet<&str>) -> Found {
    let mut found = Found::default();
    if !knows_dry_runs(cx).await {
        found.not_checked = actions.iter().map(ToString::to_string).collect();
        return found;
    }
    let tried = actions.iter().map(|action| dry_run(cx, action));
    let mut tried = stream::iter(tried.collect::<Vec<_>>()).buffer_unordered(AT_ONCE);
    while let Some((action, answer)) = tried.next().await {
        match answer {
            Some(Err(f)) if f.code == ALLOWED => {}
            Some(Err(f)) if f.class == Class::Denied => {
                found.missing.insert(f.denied_action().to_owned());
            }
            _ => {
                found.not_checked.insert(action.to_owned());
            }
        }
    }
    found
}

const ALLOWED: &str = "DryRunOperation";

/// Reads that do no harm where the flag is not known. An emulator may know it of some operations only: all must answer.
async fn knows_dry_runs(cx: &Cx) -> bool {
    let (tables, options, gateways) = (
        cx.ec2.describe_route_tables().dry_run(true).max_results(5).send(),
        cx.ec2.describe_dhcp_options().dry_run(true).max_results(5).send(),
        cx.ec2.describe_internet_gateways().dry_run(true).max_results(5).send(),
    );
    let told = futures_util::join!(
        async { tables.await.map(drop).map_err(failed("ec2:DescribeRouteTables")) },
        async { options.await.map(drop).map_err(failed("ec2:DescribeDhcpOptions")) },
        async { gateways.await.map(drop).map_err(failed("ec2:DescribeInternetGateways")) },
    );
    let known = |r: &Result<(), Failure>| matches!(r, Err(f) if f.code == ALLOWED);
    known(&told.0) && known(&told.1) && known(&told.2)
}

/// An id that AWS never gives out.
fn no(prefix: &str) -> String {
    format!("{prefix}-00000000000000000")
}
fn rule() -> sdk::IpPermission {
    let range = sdk::IpRange::builder().cidr_ip("192.0.2.0/32").build();
    sdk::IpPermission::builder().ip_protocol("tcp").from_port(9).to_port(9).ip_ranges(range).build()
}
fn text(value: &str) -> sdk::AttributeValue {
    sdk::AttributeValue::builder().value(value).build()
}

macro_rules! dry_runs { ($($action:literal => $op:ident { $($member:ident: $value:expr),* };)*) => {
    /// Actions that are tried.
    #[cfg(test)]
    const TRIED: &[&str] = &[$($action),*];

    /// The action, and the answer to a dry run; nothing where none is made.
    fn dry_run<'a>(cx: &'a Cx, action: &'a str) -> BoxFuture<'a, (&'a str, Option<Result<(), Failure>>)> {
        match action {
            $($action => Box::pin(async move {
                let call = cx.ec2_once.$op().dry_run(true)$(.$member($value))*;
                (action, Some(call.send().await.map(drop).map_err(failed($action))))
            }),)*
            _ => Box::pin(async move { (action, None) }),
        }
    }
} }
dry_runs! {
    "ec2:AcceptVpcPeeringConnection" => accept_vpc_peering_connection { vpc_peering_connection_id: no("pcx") };
    "ec2:AllocateAddress" => allocate_address { domain: sdk::DomainType::Vpc, public_ipv4_pool: no("ipv4pool-ec2") };
    "ec2:AssociateAddress" => associate_address { allocation_id: no("eipalloc"), network_interface_id: no("eni") };
    "ec2:AssociateDhcpOptions" => associate_dhcp_options { dhcp_options_id: no("dopt"), vpc_id: no("vpc") };
    "ec2:AssociateRouteTable" => associate_route_table { route_table_id: no("rtb"), subnet_id: no("subnet") };
    "ec2:AttachInternetGateway" => attach_internet_gateway { internet_gateway_id: no("igw"), vpc_id: no("vpc") };
    "ec2:AttachNetworkInterface" => attach_network_interface { network_interface_id: no("eni"), instance_id: no("i"), device_index: 1 };
    "ec2:AttachVolume" => attach_volume { volume_id: no("vol"), instance_id: no("i"), device: "/dev/sdf" };
    "ec2:AttachVpnGateway" => attach_vpn_gateway { vpn_gateway_id: no("vgw"), vpc_id: no("vpc") };
    "ec2:AuthorizeSecurityGroupEgress" => authorize_security_group_egress { group_id: no("sg"), ip_permissions: rule() };
    "ec2:AuthorizeSecurityGroupIngress" => authorize_security_group_ingress { group_id: no("sg"), ip_permissions: rule() };
    "ec2:CreateEgressOnlyInternetGateway" => create_egress_only_internet_gateway { vpc_id: no("vpc") };
    "ec2:CreateNatGateway" => create_nat_gateway { subnet_id: no("subnet"), allocation_id: no("eipalloc") };
    "ec2:CreateNetworkAcl" => create_network_acl { vpc_id: no("vpc") };
    "ec2:CreateNetworkAclEntry" => create_network_acl_entry { network_acl_id: no("acl"), rule_number: 1, protocol: "6", rule_action: sdk::RuleAction::Deny, egress: false, cidr_block: "192.0.2.0/32", port_range: sdk::PortRange::builder().from(9).to(9).build() };
    "ec2:CreateNetworkInterface" => create_network_interface { subnet_id: no("subnet") };
    "ec2:CreateRoute" => create_route { route_table_id: no("rtb"), destination_cidr_block: "192.0.2.0/24", gateway_id: no("igw") };
    "ec2:CreateRouteTable" => create_route_table { vpc_id: no("vpc") };
    "ec2:CreateSecurityGroup" => create_security_group { group_name: "rollbackd", description: "rollbackd", vpc_id: no("vpc") };
    "ec2:CreateSubnet" => create_subnet { vpc_id: no("vpc"), cidr_block: "192.0.2.0/28" };
    "ec2:CreateTags" => create_tags { resources: no("vpc"), tags: sdk::Tag::builder().key("rollbackd:step").value("").build() };
    "ec2:CreateTransitGatewayRouteTable" => create_transit_gateway_route_table { transit_gateway_id: no("tgw") };
    "ec2:CreateTransitGatewayVpcAttachment" => create_transit_gateway_vpc_attachment { transit_gateway_id: no("tgw"), vpc_id: no("vpc"), subnet_ids: no("subnet") };
    "ec2:CreateVolume" => create_volume { snapshot_id: no("snap"), availability_zone: "none" };
    // Larger than a VPC can be.
    "ec2:CreateVpc" => create_vpc { cidr_block: "10.0.0.0/8" };
    "ec2:CreateVpcPeeringConnection" => create_vpc_peering_connection { vpc_id: no("vpc"), peer_vpc_id: no("vpc") };
    "ec2:CreateVpnConnection" => create_vpn_connection { r#type: "ipsec.1", customer_gateway_id: no("cgw"), vpn_gateway_id: no("vgw") };
    "ec2:ModifyInstanceAttribute" => modify_instance_attribute { instance_id: no("i"), instance_initiated_shutdown_behavior: text("stop") };
    "ec2:ModifyNetworkInterfaceAttribute" => modify_network_interface_attribute { network_interface_id: no("eni"), description: text("") };
    "ec2:ReplaceNetworkAclAssociation" => replace_network_acl_association { association_id: no("aclassoc"), network_acl_id: no("acl") };
    "ec2:ReplaceRoute" => replace_route { route_table_id: no("rtb"), destination_cidr_block: "192.0.2.0/24", gateway_id: no("igw") };
    "ec2:ReplaceRouteTableAssociation" => replace_route_table_association { association_id: no("rtbassoc"), route_table_id: no("rtb") };
    "ec2:RevokeSecurityGroupEgress" => revoke_security_group_egress { group_id: no("sg"), ip_permissions: rule() };
    "ec2:RevokeSecurityGroupIngress" => revoke_security_group_ingress { group_id: no("sg"), ip_permissions: rule() };
    "ec2:RunInstances" => run_instances { image_id: no("ami"), min_count: 1, max_count: 1, subnet_id: no("subnet") };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Call, Canned},
        kinds::registry::KINDS,
    };

    fn all() -> BTreeSet<&'static str> {
        KINDS.iter().flat_map(|k| k.restore()).copied().filter(|a| !a.contains(":Describe")).collect()
    }
    const YES: Answer = Answer::Error(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.");
    fn reads(c: &Call) -> bool {
        c.action.starts_with("Describe")
    }

    #[test]
    fn what_is_tried_is_what_a_restore_calls() {
        let all = all();
        assert!(TRIED.iter().all(|a| all.contains(a)), "{TRIED:?}");
        assert!(TRIED.is_sorted());
    }

    #[tokio::test]
    async fn every_dry_run_says_so_and_can_come_to_nothing() {
        let canned = Canned::new(|_| YES);
        let found = check(&canned.cx(), &all()).await;
        assert_eq!(found.missing, BTreeSet::new());
        assert!(TRIED.iter().all(|a| !found.not_checked.contains(*a)), "{found:?}");
        let asked = canned.asked();
        assert_eq!(asked.len(), TRIED.len() + 3);
        for call in asked {
            assert_eq!(call.get("DryRun"), "true", "{}", call.text());
            let impossible = call.params.values().any(|v| v.ends_with("-00000000000000000") || v == "10.0.0.0/8");
            assert!(reads(&call) || impossible, "{} could be carried out", call.text());
        }
    }

    #[tokio::test]
    async fn where_a_dry_run_of_a_read_reads_nothing_is_tried() {
        // moto knows the flag of some operations and carries out the others.
        for odd in ["DescribeRouteTables", "DescribeDhcpOptions", "DescribeInternetGateways"] {
            let canned = Canned::new(move |c| if c.action == odd { "".into() } else { YES });
            let found = check(&canned.cx(), &all()).await;
            assert_eq!((found.missing.len(), found.not_checked.len()), (0, all().len()));
            assert!(canned.asked().iter().all(reads), "{odd}");
        }
    }

    #[tokio::test]
    async fn a_refusal_is_missing_and_any_other_answer_is_not_checked() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "CreateVpc" => {
                Answer::Error(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
            }
            "CreateSubnet" => Answer::Error(
                403,
                "UnauthorizedOperation",
                "User: x is not authorized to perform: ec2:CreateTags on resource: y",
            ),
            "CreateRoute" => Answer::Error(400, "InvalidRouteTableID.NotFound", "The routeTable ID does not exist"),
            "AttachVolume" => "".into(),
            _ => YES,
        });
        let asked = [
            "ec2:AttachVolume",
            "ec2:CreateNetworkAcl",
            "ec2:CreateRoute",
            "ec2:CreateSubnet",
            "ec2:CreateVpc",
            "ec2:CreateDhcpOptions",
        ];
        let found = check(&canned.cx(), &asked.into()).await;
        let of = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>();
        assert_eq!(of(found.missing), ["ec2:CreateTags", "ec2:CreateVpc"]);
        assert_eq!(of(found.not_checked), ["ec2:AttachVolume", "ec2:CreateDhcpOptions", "ec2:CreateRoute"]);
    }
}
