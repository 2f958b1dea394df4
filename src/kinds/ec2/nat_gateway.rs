//! `ec2:nat-gateway`: lets a subnet, or with the regional kind a whole VPC, reach out through Elastic IPs.
//!
//! It is made in the background and may still fail (H13). One that failed or is deleted stays listed for an hour and is
//! never taken for a live one (H62).
use super::{
    all, converge_tags, failed, filter, found, gone_already, held, only, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Set, Tags},
        names::ec2,
    },
    mirror,
    model::Alias,
    plan::{
        facts::Phase,
        preflight::{Per, Quota},
    },
};
use aws_sdk_ec2::{
    operation::{
        associate_nat_gateway_address::builders::AssociateNatGatewayAddressInputBuilder,
        create_nat_gateway::builders::CreateNatGatewayInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;

mirror! {
    Spec from sdk::NatGateway;
    keep {
        nat_gateway_addresses @ "natGatewayAddressSet": Set<NatGatewayAddress>,
        subnet_id @ "subnetId": Option<Ref<ec2::Subnet>>,
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
        tags @ "tagSet": Tags,
        connectivity_type @ "connectivityType": Option<String>,
        availability_mode @ "availabilityMode": Option<String>,
        auto_provision_zones @ "autoProvisionZones": Option<String>,
    }
    drop {
        create_time @ "createTime": "runtime: a time",
        delete_time @ "deleteTime": "runtime: a time",
        failure_code @ "failureCode": "runtime state; see settled()",
        failure_message @ "failureMessage": "runtime state; see settled()",
        nat_gateway_id @ "natGatewayId": "the id itself; remapped",
        provisioned_bandwidth @ "provisionedBandwidth": "reserved by AWS",
        state @ "state": "runtime state; see settled()",
        auto_scaling_ips @ "autoScalingIps": "regional: follows from whether create was given addresses, as auto_provision_zones does",
        attached_appliances @ "attachedApplianceSet": "follows from the firewall that is attached",
        route_table_id @ "routeTableId": "regional: a table that AWS makes with the gateway",
    }
}

mirror! {
    NatGatewayAddress from sdk::NatGatewayAddress, key [allocation_id];
    keep {
        allocation_id @ "allocationId": Option<Ref<ec2::ElasticIp>>,
        private_ip @ "privateIp": Option<String>,
        is_primary @ "isPrimary": Option<bool>,
        availability_zone @ "availabilityZone": Option<String>,
        availability_zone_id @ "availabilityZoneId": Option<String>,
    }
    drop {
        network_interface_id @ "networkInterfaceId": "the interface is the gateway's own",
        public_ip @ "publicIp": "comes with the allocation",
        association_id @ "associationId": "assigned by AWS at each association",
        failure_message @ "failureMessage": "runtime state; see settled()",
        status @ "status": "runtime state; see settled()",
    }
}

input! {
    Spec => create_nat_gateway(CreateNatGatewayInputBuilder);
    set {
        set_availability_mode: availability_mode,
        set_subnet_id: subnet_id,
        set_connectivity_type: connectivity_type,
    }
    leave {
        allocation_id: "the primary row's: placed()",
        private_ip_address: "the primary row's: placed()",
        secondary_allocation_ids: "the other rows': placed()",
        secondary_private_ip_addresses: "the other rows': placed()",
        secondary_private_ip_address_count: "the addresses themselves are given",
        vpc_id: "only a regional one is given its VPC; of others the subnet says it: placed()",
        availability_zone_addresses: "regional, the rows of each zone together: placed()",
        client_token: "the step's token",
        dry_run: "the engine's",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    NatGatewayAddress => associate_nat_gateway_address(AssociateNatGatewayAddressInputBuilder);
    set {
        set_availability_zone_id: availability_zone_id,
    }
    leave {
        nat_gateway_id: "the resource at hand",
        allocation_ids: "all missing rows at once: converge()",
        private_ip_addresses: "all missing rows at once: converge()",
        availability_zone: "availability_zone_id says it; AWS refuses both",
        dry_run: "the engine's",
    }
}

pub struct NatGateway;

impl Spec {
    fn is_regional(&self) -> bool {
        self.availability_mode.as_deref() == Some("regional")
    }
    fn is_private(&self) -> bool {
        self.connectivity_type.as_deref() == Some("private")
    }
    /// The address that the gateway was made with; it can never be changed. A regional one has none.
    fn primary(&self) -> Option<&NatGatewayAddress> {
        let rows = &self.nat_gateway_addresses;
        let first = || rows.first().filter(|_| rows.len() == 1);
        rows.iter().find(|a| a.is_primary == Some(true)).or_else(first).filter(|_| !self.is_regional())
    }
    fn others(&self) -> Vec<&NatGatewayAddress> {
        let primary = self.primary();
        self.nat_gateway_addresses.iter().filter(|a| primary != Some(*a)).collect()
    }
    /// CreateNatGateway with all addresses where they were.
    fn placed(&self) -> Result<CreateNatGatewayInputBuilder, Failure> {
        let call = self.create_nat_gateway().map_err(unbuildable("ec2:CreateNatGateway"))?;
        if self.is_regional() {
            let zones: Vec<_> = by_zone(self.nat_gateway_addresses.iter())
                .into_iter()
                .map(|((zone_id, zone), rows)| {
                    sdk::AvailabilityZoneAddress::builder()
                        .set_availability_zone(zone.filter(|_| zone_id.is_none()))
                        .set_availability_zone_id(zone_id)
                        .set_allocation_ids(Some(rows.into_iter().filter_map(allocation).collect()))
                        .build()
                })
                .collect();
            return Ok(call
                .set_subnet_id(None)
                .set_vpc_id(self.vpc_id.as_ref().map(|v| v.0.clone()))
                .set_availability_zone_addresses(Some(zones).filter(|z| !z.is_empty())));
        }
        let primary = self.primary();
        let others = self.others();
        Ok(call
            .set_allocation_id(primary.and_then(allocation))
            .set_private_ip_address(primary.and_then(|a| a.private_ip.clone()))
            .set_secondary_allocation_ids(every(&others, allocation))
            .set_secondary_private_ip_addresses(every(&others, |a| a.private_ip.clone())))
    }
}

fn allocation(row: &NatGatewayAddress) -> Option<String> {
    row.allocation_id.as_ref().map(|a| a.0.clone())
}
/// One value of each row: AWS pairs the lists by place, so a list with gaps would put addresses together that never were.
fn every(rows: &[&NatGatewayAddress], one: impl Fn(&NatGatewayAddress) -> Option<String>) -> Option<Vec<String>> {
    rows.iter().map(|r| one(r)).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())
}
type Zone = (Option<String>, Option<String>);
fn by_zone<'a>(rows: impl Iterator<Item = &'a NatGatewayAddress>) -> BTreeMap<Zone, Vec<&'a NatGatewayAddress>> {
    let mut out: BTreeMap<Zone, Vec<_>> = BTreeMap::new();
    for row in rows {
        out.entry((row.availability_zone_id.clone(), row.availability_zone.clone())).or_default().push(row);
    }
    out
}

/// Secondary addresses to add and to take away: by allocation, or by private address where there are no allocations.
fn differences<'a>(now: &'a Spec, want: &'a Spec) -> (Vec<&'a NatGatewayAddress>, Vec<&'a NatGatewayAddress>) {
    let key = |a: &NatGatewayAddress| allocation(a).or_else(|| a.private_ip.clone());
    let missing = |from: &'a Spec, among: &'a Spec| -> Vec<&'a NatGatewayAddress> {
        let have = |a: &&NatGatewayAddress| among.nat_gateway_addresses.iter().any(|b| key(b) == key(a));
        from.others().into_iter().filter(|a| !have(a)).collect()
    };
    (missing(want, now), missing(now, want))
}

fn is_alive(g: &sdk::NatGateway) -> bool {
    use sdk::NatGatewayState::{Deleted, Deleting, Failed};
    !matches!(g.state, Some(Deleted | Deleting | Failed))
}
fn is_leaving(a: &sdk::NatGatewayAddress) -> bool {
    use sdk::NatGatewayAddressStatus::{Disassociating, Failed, Unassigning};
    matches!(a.status, Some(Disassociating | Failed | Unassigning))
}

async fn gateways(cx: &Cx, which: Which<'_>) -> Result<Vec<sdk::NatGateway>, Failure> {
    let call = cx.ec2.describe_nat_gateways().set_filter(only("nat-gateway-id", which)).into_paginator();
    call.page_size(super::PAGE_ROWS).items().send().try_collect().await.map_err(failed("ec2:DescribeNatGateways"))
}
/// One in any state.
async fn gateway(cx: &Cx, id: &str) -> Result<Option<sdk::NatGateway>, Failure> {
    let answer = cx.ec2.describe_nat_gateways().nat_gateway_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeNatGateways")))?.and_then(|a| a.nat_gateways);
    Ok(here.unwrap_or_default().pop())
}

fn seen(mut g: sdk::NatGateway) -> Option<Seen<Spec>> {
    let id = g.nat_gateway_id.clone().filter(|_| is_alive(&g))?;
    let interfaces: Vec<_> =
        g.nat_gateway_addresses.iter().flatten().filter_map(|a| a.network_interface_id.clone()).collect();
    if let Some(rows) = &mut g.nat_gateway_addresses {
        rows.retain(|a| !is_leaving(a));
    }
    let mut spec = Spec::from_sdk(&g);
    if spec.is_regional() {
        // AWS chooses the zones and their addresses, and goes on changing them.
        if spec.auto_provision_zones.as_deref() == Some("enabled") {
            spec.nat_gateway_addresses = Set::default();
        }
    } else {
        // The subnet says the zone.
        let mut rows = spec.nat_gateway_addresses.to_vec();
        rows.iter_mut().for_each(|a| (a.availability_zone, a.availability_zone_id) = (None, None));
        spec.nat_gateway_addresses = rows.into();
    }
    Some(Seen { id, spec, aliases: interfaces.into_iter().map(Alias).collect() })
}

/// H62: a gateway that is being deleted holds its addresses for minutes, and one that is made with them meanwhile fails in
/// the background. So that is told before: busy, to be tried again.
async fn addresses_are_free(cx: &Cx, spec: &Spec) -> Result<(), Failure> {
    let action = "ec2:DescribeAddresses";
    let ids: Vec<String> = spec.nat_gateway_addresses.iter().filter_map(allocation).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let answer = cx.ec2.describe_addresses().filters(filter("allocation-id", ids)).send().await;
    let addresses = answer.map_err(failed(action))?.addresses.unwrap_or_default();
    let held = addresses.iter().find(|a| a.association_id().is_some_and(|i| !i.is_empty()));
    held.map_or(Ok(()), |a| {
        let by = a.network_interface_id().or(a.instance_id()).unwrap_or("something");
        let message = format!("{} is still held by {by}", a.allocation_id().unwrap_or("an address"));
        let code = "Resource.AlreadyAssociated".into();
        Err(Failure { action: "ec2:CreateNatGateway", code, message, request_id: None, class: Class::Busy })
    })
}

impl Kind for NatGateway {
    type Name = ec2::NatGateway;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &NatGatewayAddress::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateNatGatewayInputBuilder>>::TABLE,
        &<NatGatewayAddress as Input<AssociateNatGatewayAddressInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeNatGateways"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:DescribeAddresses",
        "ec2:CreateNatGateway",
        "ec2:AssociateNatGatewayAddress",
        "ec2:DisassociateNatGatewayAddress",
        "ec2:AssignPrivateNatGatewayAddress",
        "ec2:UnassignPrivateNatGatewayAddress",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id and its network interface",
        "open connections through it",
        "the addresses and zones of a regional gateway that AWS provisions itself",
        "firewalls attached to it as a proxy",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_nat_gateway";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "vpc",
        code: "L-FE5A380F",
        name: "NAT gateways per Availability Zone",
        default: 5,
        per: Per::ZoneOf("subnet_id"),
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] =
        &["subnet_id", "vpc_id", "connectivity_type", "availability_mode", "auto_provision_zones"];
    const AFTER: &'static [&'static str] = &["ec2:internet-gateway"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        Ok(gateways(cx, which).await?.into_iter().filter_map(seen).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(gateway(cx, id).await?.and_then(seen))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        // EC2's word, without the dash that its id and its API have.
        super::made_by::<Self>(cx, "natgateway", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateNatGateway";
        let tags = tags_on_create(sdk::ResourceType::Natgateway, &spec.tags, step)?;
        let call = spec.placed()?.tag_specifications(tags).client_token(step.token());
        addresses_are_free(cx, spec).await?;
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "NAT gateway id", made.nat_gateway.and_then(|g| g.nat_gateway_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let (add, remove) = differences(now, want);
        let addresses = async {
            // Those that leave go first: the number of addresses of a gateway is limited.
            if !remove.is_empty() && want.is_private() {
                let ips = remove.iter().filter_map(|a| a.private_ip.clone()).collect();
                let call = cx.ec2.unassign_private_nat_gateway_address().nat_gateway_id(id);
                let sent = call.set_private_ip_addresses(Some(ips)).send().await;
                gone_already(sent.map_err(failed("ec2:UnassignPrivateNatGatewayAddress")))?;
            } else if !remove.is_empty() {
                let live = gateway(cx, id).await?.and_then(|g| g.nat_gateway_addresses).unwrap_or_default();
                let leaves = |a: &sdk::NatGatewayAddress| {
                    !is_leaving(a)
                        && remove.iter().any(|r| a.allocation_id.is_some() && allocation(r) == a.allocation_id)
                };
                let ids: Vec<_> = live.into_iter().filter(leaves).filter_map(|a| a.association_id).collect();
                if !ids.is_empty() {
                    let call = cx.ec2.disassociate_nat_gateway_address().nat_gateway_id(id);
                    let sent = call.set_association_ids(Some(ids)).send().await;
                    gone_already(sent.map_err(failed("ec2:DisassociateNatGatewayAddress")))?;
                }
            }
            if !add.is_empty() && want.is_private() {
                let call = cx.ec2.assign_private_nat_gateway_address().nat_gateway_id(id);
                let call = call.set_private_ip_addresses(every(&add, |a| a.private_ip.clone()));
                return call.send().await.map(drop).map_err(failed("ec2:AssignPrivateNatGatewayAddress"));
            }
            for rows in by_zone(add.iter().copied()).into_values() {
                let action = "ec2:AssociateNatGatewayAddress";
                let Some(first) = rows.first() else { continue };
                let mut call = first.associate_nat_gateway_address().map_err(unbuildable(action))?.nat_gateway_id(id);
                call = call.set_allocation_ids(every(&rows, allocation));
                if want.is_regional() {
                    if first.availability_zone_id.is_none() {
                        call = call.set_availability_zone(first.availability_zone.clone());
                    }
                } else {
                    call = call.set_private_ip_addresses(every(&rows, |a| a.private_ip.clone()));
                }
                call.send_with(&cx.ec2).await.map_err(failed(action))?;
            }
            Ok(())
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(addresses)];
        all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        // H13: made in the background; the reason of a failure is told for an hour.
        let Some(g) = gateway(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = g.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match g.state {
            Some(sdk::NatGatewayState::Available) => addresses_settled(&g),
            Some(sdk::NatGatewayState::Failed) => {
                let code = g.failure_code.unwrap_or(word);
                Settled::Failed(format!("{code}: {}", g.failure_message.unwrap_or_default()))
            }
            Some(sdk::NatGatewayState::Deleted | sdk::NatGatewayState::Deleting) => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }

    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateNatGateway"] };
        let (add, remove) = differences(now, want);
        let mut out = tag_calls(&now.tags, &want.tags);
        match (remove.is_empty(), want.is_private()) {
            (true, _) => {}
            (false, true) => out.push("ec2:UnassignPrivateNatGatewayAddress"),
            (false, false) => out.push("ec2:DisassociateNatGatewayAddress"),
        }
        match (add.is_empty(), want.is_private()) {
            (true, _) => {}
            (false, true) => out.push("ec2:AssignPrivateNatGatewayAddress"),
            (false, false) => {
                out.extend(by_zone(add.into_iter()).into_keys().map(|_| "ec2:AssociateNatGatewayAddress"));
            }
        }
        out
    }
}

/// An available gateway may still be taking an address on, or have failed to.
fn addresses_settled(g: &sdk::NatGateway) -> Settled {
    use sdk::NatGatewayAddressStatus::{Assigning, Associating, Failed};
    let rows = || g.nat_gateway_addresses.iter().flatten();
    if let Some(bad) = rows().find(|a| a.status == Some(Failed)) {
        let address = bad.allocation_id.as_ref().or(bad.private_ip.as_ref()).map_or("an address", |a| a.as_str());
        return Settled::Failed(format!("{address}: {}", bad.failure_message.as_deref().unwrap_or("failed")));
    }
    match rows().find_map(|a| a.status.as_ref().filter(|s| matches!(s, Associating | Assigning))) {
        Some(status) => Settled::Waiting(status.as_str().to_owned()),
        None => Settled::Ready,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, spec},
        *,
    };
    use crate::aws::canned::{Answer, Canned};
    use serde_json::{Value, json};

    fn eip(id: &str) -> Value {
        json!({"$ref": "ec2:elastic-ip", "id": id})
    }
    fn zonal(addresses: Value) -> Value {
        json!({"connectivity_type": "public", "subnet_id": {"$ref": "ec2:subnet", "id": "subnet-1"}, "vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "nat_gateway_addresses": addresses})
    }
    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }
    async fn created(want: &Value) -> String {
        let canned = Canned::new(|_| "<natGateway><natGatewayId>nat-1</natGatewayId></natGateway>".into());
        let id = NatGateway::create(&canned.cx(), &spec::<NatGateway>(want), &step()).await.unwrap();
        assert_eq!(id, "nat-1");
        let text = canned.wrote().concat();
        text.split(' ').filter(|p| !p.starts_with("TagSpecification")).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn h13_it_is_made_with_all_its_addresses_and_the_steps_token() {
        let want = zonal(json!([
            {"allocation_id": eip("eipalloc-a"), "private_ip": "10.0.0.7"},
            {"allocation_id": eip("eipalloc-b"), "private_ip": "10.0.0.5", "is_primary": true},
            {"allocation_id": eip("eipalloc-c"), "private_ip": "10.0.0.6"},
        ]));
        assert_eq!(
            created(&want).await,
            "CreateNatGateway AllocationId=eipalloc-b ClientToken=rollbackd-r1-3 ConnectivityType=public PrivateIpAddress=10.0.0.5 SecondaryAllocationId.1=eipalloc-a SecondaryAllocationId.2=eipalloc-c SecondaryPrivateIpAddress.1=10.0.0.7 SecondaryPrivateIpAddress.2=10.0.0.6 SubnetId=subnet-1"
        );
    }

    #[tokio::test]
    async fn h62_an_address_that_a_dying_gateway_still_holds_is_waited_for() {
        let canned = Canned::new(|_| {
            "<addressesSet><item><allocationId>eipalloc-a</allocationId><associationId>eipassoc-1</associationId><networkInterfaceId>eni-old</networkInterfaceId></item></addressesSet>".into()
        });
        let want = zonal(json!([{"allocation_id": eip("eipalloc-a"), "private_ip": "10.0.0.5"}]));
        let f = NatGateway::create(&canned.cx(), &spec::<NatGateway>(&want), &step()).await.unwrap_err();
        assert_eq!((f.class, f.message.as_str()), (Class::Busy, "eipalloc-a is still held by eni-old"));
        assert_eq!(canned.wrote(), [] as [String; 0]);
    }

    #[tokio::test]
    async fn a_private_one_has_no_allocations() {
        let mut want = zonal(json!([{"private_ip": "10.0.0.5", "is_primary": true}, {"private_ip": "10.0.0.6"}]));
        want["connectivity_type"] = "private".into();
        assert_eq!(
            created(&want).await,
            "CreateNatGateway ClientToken=rollbackd-r1-3 ConnectivityType=private PrivateIpAddress=10.0.0.5 SecondaryPrivateIpAddress.1=10.0.0.6 SubnetId=subnet-1"
        );
        let canned = Canned::new(|_| "".into());
        let mut now = want.clone();
        now["nat_gateway_addresses"][1]["private_ip"] = "10.0.0.9".into();
        assert_eq!(
            foretold::<NatGateway>(&canned, "nat-1", &now, &want).await,
            [
                "UnassignPrivateNatGatewayAddress NatGatewayId=nat-1 PrivateIpAddress.1=10.0.0.9",
                "AssignPrivateNatGatewayAddress NatGatewayId=nat-1 PrivateIpAddress.1=10.0.0.6"
            ]
        );
    }

    #[tokio::test]
    async fn a_regional_one_is_given_its_vpc_and_the_addresses_of_each_zone() {
        let want = json!({"availability_mode": "regional", "auto_provision_zones": "disabled", "vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "nat_gateway_addresses": [
            {"allocation_id": eip("eipalloc-a"), "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az1"},
            {"allocation_id": eip("eipalloc-b"), "availability_zone": "eu-west-1b", "availability_zone_id": "euw1-az2"},
            {"allocation_id": eip("eipalloc-c"), "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az1"},
        ]});
        assert_eq!(
            created(&want).await,
            "CreateNatGateway AvailabilityMode=regional AvailabilityZoneAddress.1.AllocationId.1=eipalloc-a AvailabilityZoneAddress.1.AllocationId.2=eipalloc-c AvailabilityZoneAddress.1.AvailabilityZoneId=euw1-az1 AvailabilityZoneAddress.2.AllocationId.1=eipalloc-b AvailabilityZoneAddress.2.AvailabilityZoneId=euw1-az2 ClientToken=rollbackd-r1-3 VpcId=vpc-1"
        );
        let canned = Canned::new(|_| "".into());
        let mut now = want.clone();
        now["nat_gateway_addresses"].as_array_mut().unwrap().truncate(1);
        assert_eq!(
            foretold::<NatGateway>(&canned, "nat-1", &now, &want).await,
            [
                "AssociateNatGatewayAddress AllocationId.1=eipalloc-c AvailabilityZoneId=euw1-az1 NatGatewayId=nat-1",
                "AssociateNatGatewayAddress AllocationId.1=eipalloc-b AvailabilityZoneId=euw1-az2 NatGatewayId=nat-1"
            ]
        );
    }

    #[tokio::test]
    async fn secondary_addresses_change_in_place_and_the_primary_never() {
        let canned = Canned::new(|_| {
            "<natGatewaySet><item><natGatewayId>nat-1</natGatewayId><state>available</state><natGatewayAddressSet><item><allocationId>eipalloc-b</allocationId><associationId>eipassoc-b</associationId></item></natGatewayAddressSet></item></natGatewaySet>".into()
        });
        let primary = |a: &str| json!({"allocation_id": eip(a), "private_ip": "10.0.0.5", "is_primary": true});
        let other = |a: &str| json!({"allocation_id": eip(a), "private_ip": "10.0.0.6"});
        let (now, want) = (
            zonal(json!([primary("eipalloc-a"), other("eipalloc-b")])),
            zonal(json!([primary("eipalloc-z"), other("eipalloc-c")])),
        );
        assert_eq!(
            foretold::<NatGateway>(&canned, "nat-1", &now, &want).await,
            [
                "DisassociateNatGatewayAddress AssociationId.1=eipassoc-b NatGatewayId=nat-1",
                "AssociateNatGatewayAddress AllocationId.1=eipalloc-c NatGatewayId=nat-1 PrivateIpAddress.1=10.0.0.6"
            ]
        );
    }

    #[tokio::test]
    async fn h13_pending_waits_and_a_failure_tells_why() {
        async fn settled(gateway: &'static str) -> Settled {
            let canned = Canned::new(move |_| Answer::Ok(format!("<natGatewaySet>{gateway}</natGatewaySet>")));
            NatGateway::settled(&canned.cx(), "nat-1").await.unwrap()
        }
        assert_eq!(settled("").await, Settled::Waiting("not listed yet".into()));
        assert_eq!(settled("<item><state>pending</state></item>").await, Settled::Waiting("pending".into()));
        assert_eq!(settled("<item><state>available</state></item>").await, Settled::Ready);
        assert_eq!(
            settled("<item><state>failed</state><failureCode>Gateway.NotAttached</failureCode><failureMessage>Network vpc-1 has no Internet gateway attached</failureMessage></item>").await,
            Settled::Failed("Gateway.NotAttached: Network vpc-1 has no Internet gateway attached".into())
        );
        assert_eq!(settled("<item><state>deleting</state></item>").await, Settled::Failed("deleting".into()));
        assert_eq!(
            settled("<item><state>available</state><natGatewayAddressSet><item><status>associating</status></item></natGatewayAddressSet></item>").await,
            Settled::Waiting("associating".into())
        );
    }

    #[tokio::test]
    async fn h13_h62_what_failed_or_is_deleted_is_not_there() {
        let canned = Canned::new(|_| {
            let one =
                |id: &str, state: &str| format!("<item><natGatewayId>{id}</natGatewayId><state>{state}</state></item>");
            let all = ["pending", "available", "deleting", "deleted", "failed"].map(|s| one(&format!("nat-{s}"), s));
            Answer::Ok(format!("<natGatewaySet>{}</natGatewaySet>", all.concat()))
        });
        let seen = NatGateway::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["nat-pending", "nat-available"]);
    }
}
