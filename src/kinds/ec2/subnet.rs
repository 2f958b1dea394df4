//! `ec2:subnet`: placed by the id of its zone (H10); its attributes take a call each.
//!
//! An IPv6 block that Amazon provides has another prefix in a VPC that was made anew, so a subnet takes the same part of
//! the new one (H1).
use super::{failed, filter, found, held, only, tags_on_create, unbuildable};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Set, Tags},
        names::{ec2, outposts},
    },
    mirror,
    model::Alias,
    plan::{
        facts::Phase,
        preflight::{Blocks, Per, Quota},
    },
};
use aws_sdk_ec2::operation::{
    associate_subnet_cidr_block::builders::AssociateSubnetCidrBlockInputBuilder,
    create_default_subnet::builders::CreateDefaultSubnetInputBuilder,
    create_subnet::builders::CreateSubnetInputBuilder,
    modify_subnet_attribute::builders::ModifySubnetAttributeInputBuilder,
};
use aws_sdk_ec2::types as sdk;
use std::net::Ipv6Addr;

mirror! {
    Spec from sdk::Subnet;
    keep {
        availability_zone_id @ "availabilityZoneId": Option<String>,
        enable_lni_at_device_index @ "enableLniAtDeviceIndex": Option<i32>,
        map_customer_owned_ip_on_launch @ "mapCustomerOwnedIpOnLaunch": Option<bool>,
        customer_owned_ipv4_pool @ "customerOwnedIpv4Pool": Option<String>,
        assign_ipv6_address_on_creation @ "assignIpv6AddressOnCreation": Option<bool>,
        ipv6_cidr_block_association_set @ "ipv6CidrBlockAssociationSet": Set<SubnetIpv6CidrBlockAssociation>,
        tags @ "tagSet": Tags,
        outpost_arn @ "outpostArn": Option<Ref<outposts::Outpost>>,
        enable_dns64 @ "enableDns64": Option<bool>,
        ipv6_native @ "ipv6Native": Option<bool>,
        private_dns_name_options_on_launch @ "privateDnsNameOptionsOnLaunch": Option<PrivateDnsNameOptionsOnLaunch>,
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
        cidr_block @ "cidrBlock": Option<String>,
        availability_zone @ "availabilityZone": Option<String>,
        map_public_ip_on_launch @ "mapPublicIpOnLaunch": Option<bool>,
    }
    report {
        default_for_az @ "defaultForAz": Option<bool> = "only CreateDefaultSubnet makes one, with a block that AWS picks",
    }
    drop {
        owner_id @ "ownerId": "the account; part of the key",
        subnet_arn @ "subnetArn": "derived from the id",
        block_public_access_states @ "blockPublicAccessStates": "follows from the account's setting and its exclusions",
        r#type @ "type": "follows from the outpost or zone that it is in",
        subnet_id @ "subnetId": "the id itself; remapped",
        state @ "state": "runtime state; see `settled`",
        available_ip_address_count @ "availableIpAddressCount": "runtime state",
    }
    gap {
        "networkFirewallConnectivityType": "the SDK does not parse it yet; runtime state",
    }
}

mirror! {
    SubnetIpv6CidrBlockAssociation from sdk::SubnetIpv6CidrBlockAssociation, key [ipv6_cidr_block];
    keep {
        ipv6_cidr_block @ "ipv6CidrBlock": Option<String>,
    }
    drop {
        association_id @ "associationId": "assigned by AWS at each create",
        ipv6_cidr_block_state @ "ipv6CidrBlockState": "runtime state; blocks on their way out are left out",
        ipv6_address_attribute @ "ipv6AddressAttribute": "follows from the VPC's block",
        ip_source @ "ipSource": "follows from the VPC's block",
    }
}

mirror! {
    PrivateDnsNameOptionsOnLaunch from sdk::PrivateDnsNameOptionsOnLaunch;
    keep {
        hostname_type @ "hostnameType": Option<String>,
        enable_resource_name_dns_a_record @ "enableResourceNameDnsARecord": Option<bool>,
        enable_resource_name_dns_aaaa_record @ "enableResourceNameDnsAAAARecord": Option<bool>,
    }
}

input! {
    Spec => create_subnet(CreateSubnetInputBuilder);
    set {
        set_availability_zone_id: availability_zone_id,
        set_cidr_block: cidr_block,
        set_outpost_arn: outpost_arn,
        set_vpc_id: vpc_id,
        set_ipv6_native: ipv6_native,
        set_ipv6_cidr_block: ipv6_cidr_block_association_set[0].ipv6_cidr_block,
    }
    leave {
        tag_specifications: "the engine's: the spec's tags and the step's",
        ipv4_ipam_pool_id: "the block is given outright",
        ipv4_netmask_length: "the block is given outright",
        ipv6_ipam_pool_id: "the block is given outright",
        ipv6_netmask_length: "the block is given outright",
        dry_run: "the engine's",
        availability_zone: "the zone's id says it, and AWS refuses both; only where the id is unknown",
    }
}

input! {
    Spec => create_default_subnet(CreateDefaultSubnetInputBuilder);
    set {
        set_availability_zone: availability_zone,
        set_ipv6_native: ipv6_native,
    }
    leave {
        availability_zone_id: "the zone's name says it, and AWS refuses both; only where the name is unknown",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_subnet_attribute(ModifySubnetAttributeInputBuilder);
    set {
        set_assign_ipv6_address_on_creation: assign_ipv6_address_on_creation,
        set_map_public_ip_on_launch: map_public_ip_on_launch,
        set_map_customer_owned_ip_on_launch: map_customer_owned_ip_on_launch,
        set_customer_owned_ipv4_pool: customer_owned_ipv4_pool,
        set_enable_dns64: enable_dns64,
        set_private_dns_hostname_type_on_launch: private_dns_name_options_on_launch.hostname_type,
        set_enable_resource_name_dns_a_record_on_launch: private_dns_name_options_on_launch.enable_resource_name_dns_a_record,
        set_enable_resource_name_dns_aaaa_record_on_launch: private_dns_name_options_on_launch.enable_resource_name_dns_aaaa_record,
        set_enable_lni_at_device_index: enable_lni_at_device_index,
    }
    leave {
        subnet_id: "the resource at hand",
        disable_lni_at_device_index: "given where the spec has no index and the subnet has one",
    }
}

input! {
    SubnetIpv6CidrBlockAssociation => associate_subnet_cidr_block(AssociateSubnetCidrBlockInputBuilder);
    set {
        set_ipv6_cidr_block: ipv6_cidr_block,
    }
    leave {
        ipv6_ipam_pool_id: "the block is given outright",
        ipv6_netmask_length: "the block is given outright",
        subnet_id: "the resource at hand",
    }
}

/// A subnet of a VPC.
pub struct Subnet;

/// A block that is there or coming. A state that this SDK does not know is no reason to forget one.
pub(super) fn alive(b: &sdk::SubnetIpv6CidrBlockAssociation) -> bool {
    use sdk::SubnetCidrBlockStateCode::{Disassociated, Disassociating, Failed, Failing};
    let state = b.ipv6_cidr_block_state.as_ref().and_then(|s| s.state.as_ref());
    !matches!(state, Some(Disassociated | Disassociating | Failed | Failing))
}
fn seen(mut subnet: sdk::Subnet) -> Option<Seen<Spec>> {
    let blocks = subnet.ipv6_cidr_block_association_set.iter().flatten();
    let aliases = blocks.filter_map(|b| b.association_id.clone()).map(Alias).collect();
    if let Some(blocks) = &mut subnet.ipv6_cidr_block_association_set {
        blocks.retain(alive);
    }
    let spec = Spec::from_sdk(&subnet);
    Some(Seen { id: subnet.subnet_id?, spec, aliases })
}

/// An IPv6 block as address and length.
fn block(text: &str) -> Option<(u128, u32)> {
    let (address, length) = text.split_once('/')?;
    let length = length.parse().ok().filter(|n| *n <= 128)?;
    Some((address.parse::<Ipv6Addr>().ok()?.to_bits(), length))
}
/// `wanted` where one of the VPC's blocks holds it; else the same part of the first of them that can hold one so large;
/// else `wanted`, for AWS to refuse.
pub(super) fn within(wanted: &str, vpc: &[String]) -> String {
    let Some((address, length)) = block(wanted) else { return wanted.to_owned() };
    let mask = |n: u32| u128::MAX.checked_shl(128 - n).unwrap_or(0);
    let blocks: Vec<_> = vpc.iter().filter_map(|b| block(b)).filter(|(_, n)| *n <= length).collect();
    if blocks.iter().any(|(a, n)| a & mask(*n) == address & mask(*n)) {
        return wanted.to_owned();
    }
    match blocks.first() {
        Some((a, n)) => format!("{}/{length}", Ipv6Addr::from_bits((a & mask(*n)) | (address & !mask(*n)))),
        None => wanted.to_owned(),
    }
}

type Modify = ModifySubnetAttributeInputBuilder;
/// The attributes that differ, one a call (H10): those to switch off, which may need a block that is about to go, and
/// those to set, which may need one that is about to come.
fn attributes(now: &Spec, want: &Spec) -> Result<(Vec<Modify>, Vec<Modify>), Failure> {
    use crate::kinds::mirror::Plain;
    let action = "ec2:ModifySubnetAttribute";
    let empty = Spec::from_json(&serde_json::json!({})).map_err(|e| Failure::unbuildable(action, e))?;
    let (mut off, mut on) = (vec![], vec![]);
    let mut call = |is_off: bool, one: Spec| {
        let input = one.modify_subnet_attribute().map_err(unbuildable(action))?;
        if is_off {
            off.push(input)
        } else {
            on.push(input)
        }
        Ok(())
    };
    let differs = |now: Option<bool>, want: Option<bool>| want.filter(|_| want != now);
    if let Some(v) = differs(now.assign_ipv6_address_on_creation, want.assign_ipv6_address_on_creation) {
        call(!v, Spec { assign_ipv6_address_on_creation: Some(v), ..empty.clone() })?;
    }
    if let Some(v) = differs(now.enable_dns64, want.enable_dns64) {
        call(!v, Spec { enable_dns64: Some(v), ..empty.clone() })?;
    }
    if let Some(v) = differs(now.map_public_ip_on_launch, want.map_public_ip_on_launch) {
        call(!v, Spec { map_public_ip_on_launch: Some(v), ..empty.clone() })?;
    }
    // The pool is a part of this attribute: AWS wants both in one call when it is switched on.
    let owned = |s: &Spec| (s.map_customer_owned_ip_on_launch, s.customer_owned_ipv4_pool.clone());
    if let (Some(v), pool) = owned(want)
        && owned(now) != owned(want)
    {
        let customer_owned_ipv4_pool = pool.filter(|_| v);
        call(!v, Spec { map_customer_owned_ip_on_launch: Some(v), customer_owned_ipv4_pool, ..empty.clone() })?;
    }
    let none = PrivateDnsNameOptionsOnLaunch {
        hostname_type: None,
        enable_resource_name_dns_a_record: None,
        enable_resource_name_dns_aaaa_record: None,
    };
    let names = |s: &Spec| s.private_dns_name_options_on_launch.clone().unwrap_or(none.clone());
    let (had, wanted) = (names(now), names(want));
    let option = |o| Spec { private_dns_name_options_on_launch: Some(o), ..empty.clone() };
    if wanted.hostname_type.is_some() && wanted.hostname_type != had.hostname_type {
        call(false, option(PrivateDnsNameOptionsOnLaunch { hostname_type: wanted.hostname_type, ..none.clone() }))?;
    }
    if let v @ Some(on) = differs(had.enable_resource_name_dns_a_record, wanted.enable_resource_name_dns_a_record) {
        call(!on, option(PrivateDnsNameOptionsOnLaunch { enable_resource_name_dns_a_record: v, ..none.clone() }))?;
    }
    if let v @ Some(on) = differs(had.enable_resource_name_dns_aaaa_record, wanted.enable_resource_name_dns_aaaa_record)
    {
        call(!on, option(PrivateDnsNameOptionsOnLaunch { enable_resource_name_dns_aaaa_record: v, ..none.clone() }))?;
    }
    match (now.enable_lni_at_device_index, want.enable_lni_at_device_index) {
        (now, Some(index)) if now != Some(index) => {
            call(false, Spec { enable_lni_at_device_index: Some(index), ..empty.clone() })?
        }
        (Some(_), None) => off.push(
            Modify::default().disable_lni_at_device_index(sdk::AttributeBooleanValue::builder().value(true).build()),
        ),
        _ => {}
    }
    Ok((off, on))
}

/// The IPv6 blocks to take away and to associate. `want` holds what `within` made of it.
fn blocks<'a>(now: &'a Spec, want: &'a Spec) -> (Vec<&'a str>, Vec<&'a SubnetIpv6CidrBlockAssociation>) {
    let rows = |s: &'a Spec| s.ipv6_cidr_block_association_set.iter();
    let leave = rows(now).filter(|b| !rows(want).any(|w| w == *b)).filter_map(|b| b.ipv6_cidr_block.as_deref());
    let join = rows(want).filter(|b| b.ipv6_cidr_block.is_some() && !rows(now).any(|n| n == *b));
    (leave.collect(), join.collect())
}

impl Subnet {
    async fn describe(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::Subnet>, Failure> {
        let pages = cx.ec2.describe_subnets().set_filters(filters).into_paginator().page_size(super::PAGE_ROWS);
        pages.items().send().try_collect().await.map_err(failed("ec2:DescribeSubnets"))
    }
    async fn one(cx: &Cx, id: &str) -> Result<Option<sdk::Subnet>, Failure> {
        let answer = cx.ec2.describe_subnets().subnet_ids(id).send().await.map_err(failed("ec2:DescribeSubnets"));
        Ok(found(answer)?.and_then(|a| a.subnets?.into_iter().next()))
    }
    /// `want` with its IPv6 blocks where the VPC's blocks are today; asks AWS only if there are any that differ.
    async fn placed(cx: &Cx, now: Option<&Spec>, want: &Spec) -> Result<Spec, Failure> {
        let mut placed = want.clone();
        let same = now.is_some_and(|n| n.ipv6_cidr_block_association_set == want.ipv6_cidr_block_association_set);
        let (Some(vpc), false, false) = (&want.vpc_id, same, want.ipv6_cidr_block_association_set.is_empty()) else {
            return Ok(placed);
        };
        let call = cx.ec2.describe_vpcs().vpc_ids(&vpc.0).send().await.map_err(failed("ec2:DescribeVpcs"))?;
        let mut theirs: Vec<String> = call
            .vpcs()
            .iter()
            .flat_map(|v| v.ipv6_cidr_block_association_set())
            .filter(|b| super::vpc::alive(&b.ipv6_cidr_block_state))
            .filter_map(|b| b.ipv6_cidr_block.clone())
            .collect();
        theirs.sort_unstable();
        let rows = want.ipv6_cidr_block_association_set.iter().map(|b| SubnetIpv6CidrBlockAssociation {
            ipv6_cidr_block: b.ipv6_cidr_block.as_deref().map(|b| within(b, &theirs)),
        });
        placed.ipv6_cidr_block_association_set = rows.collect::<Vec<_>>().into();
        Ok(placed)
    }
    /// The default subnet of a zone, if there is one.
    async fn default(cx: &Cx, spec: &Spec) -> Result<Option<String>, Failure> {
        let of_vpc = spec.vpc_id.as_ref().map(|v| filter("vpc-id", [&v.0]));
        let zone = match (&spec.availability_zone_id, &spec.availability_zone) {
            (Some(id), _) => filter("availability-zone-id", [id]),
            (None, Some(name)) => filter("availability-zone", [name]),
            (None, None) => return Ok(None),
        };
        let filters = [filter("default-for-az", ["true"]), zone].into_iter().chain(of_vpc);
        let there = Self::describe(cx, Some(filters.collect())).await?;
        Ok(there.into_iter().find_map(|s| s.subnet_id))
    }
    /// CreateDefaultSubnet takes neither a token nor tags, and CreateDefaultVpc has made one a zone (H2, H64): look first.
    async fn make_default(cx: &Cx, spec: &Spec) -> Result<String, Failure> {
        let action = "ec2:CreateDefaultSubnet";
        if let Some(id) = Self::default(cx, spec).await? {
            return Ok(id);
        }
        let mut input = spec.create_default_subnet().map_err(unbuildable(action))?;
        if spec.availability_zone.is_none() {
            input = input.set_availability_zone_id(spec.availability_zone_id.clone());
        }
        match input.send_with(&cx.ec2_once).await.map_err(failed(action)) {
            Ok(made) => held(action, "subnetId", made.subnet.and_then(|s| s.subnet_id)),
            Err(f) if f.class == Class::Exists => Self::default(cx, spec).await?.ok_or(f),
            Err(f) => Err(f),
        }
    }
}

impl Kind for Subnet {
    type Name = ec2::Subnet;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] =
        &[&Spec::COVERAGE, &SubnetIpv6CidrBlockAssociation::COVERAGE, &PrivateDnsNameOptionsOnLaunch::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateSubnetInputBuilder>>::TABLE,
        &<Spec as Input<CreateDefaultSubnetInputBuilder>>::TABLE,
        &<Spec as Input<ModifySubnetAttributeInputBuilder>>::TABLE,
        &<SubnetIpv6CidrBlockAssociation as Input<AssociateSubnetCidrBlockInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeSubnets"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:DescribeVpcs",
        "ec2:CreateSubnet",
        "ec2:CreateDefaultSubnet",
        "ec2:ModifySubnetAttribute",
        "ec2:AssociateSubnetCidrBlock",
        "ec2:DisassociateSubnetCidrBlock",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] =
        &["the subnet's id", "the prefix of an IPv6 block that Amazon provided", "the block of a default subnet"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_subnet";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "vpc",
        code: "L-407747CB",
        name: "Subnets per VPC",
        default: 200,
        per: Per::Owner("vpc_id"),
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] =
        &["vpc_id", "cidr_block", "availability_zone", "availability_zone_id", "outpost_arn", "ipv6_native"];
    const REPORTED: &'static [(&'static str, &'static str)] =
        &[("default_for_az", "only CreateDefaultSubnet makes a default subnet, with a block that AWS picks")];
    /// Its block may lie in one that the VPC gets after its create (H1).
    const AFTER: &'static [&'static str] = &["ec2:vpc"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        Ok(Self::describe(cx, only("subnet-id", which)).await?.into_iter().filter_map(seen).collect())
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(Self::one(cx, id).await?.and_then(seen))
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "subnet", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        if spec.default_for_az == Some(true) {
            return Self::make_default(cx, spec).await;
        }
        let action = "ec2:CreateSubnet";
        let placed = Self::placed(cx, None, spec).await?;
        let mut input = placed.create_subnet().map_err(unbuildable(action))?;
        if placed.availability_zone_id.is_none() {
            input = input.set_availability_zone(placed.availability_zone.clone());
        }
        // H64: no client token, so the step's tag goes with the create.
        let input = input.tag_specifications(tags_on_create(sdk::ResourceType::Subnet, &spec.tags, step)?);
        let made = input.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "subnetId", made.subnet.and_then(|s| s.subnet_id))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let want = Self::placed(cx, Some(now), want).await?;
        let (off, on) = attributes(now, &want)?;
        let (leave, join) = blocks(now, &want);
        let modify = async |input: Modify| {
            let call = input.subnet_id(id).send_with(&cx.ec2).await;
            call.map(drop).map_err(failed("ec2:ModifySubnetAttribute"))
        };
        for input in off {
            modify(input).await?;
        }
        if !leave.is_empty() {
            let live = Self::one(cx, id).await?.and_then(|s| s.ipv6_cidr_block_association_set).unwrap_or_default();
            let there = |b: &&sdk::SubnetIpv6CidrBlockAssociation| {
                alive(b) && b.ipv6_cidr_block.as_deref().is_some_and(|b| leave.contains(&b))
            };
            for association in live.iter().filter(there).filter_map(|b| b.association_id.as_ref()) {
                let call = cx.ec2.disassociate_subnet_cidr_block().association_id(association).send().await;
                super::gone_already(call.map_err(failed("ec2:DisassociateSubnetCidrBlock")))?;
            }
        }
        for row in join {
            let action = "ec2:AssociateSubnetCidrBlock";
            let input = row.associate_subnet_cidr_block().map_err(unbuildable(action))?;
            // A second attempt after a lost answer would be a conflict with the first: one attempt, then the engine reads.
            input.subnet_id(id).send_with(&cx.ec2_once).await.map_err(failed(action))?;
        }
        for input in on {
            modify(input).await?;
        }
        super::converge_tags(cx, id, &now.tags, &want.tags).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(subnet) = Self::one(cx, id).await? else { return Ok(Settled::Waiting("not visible yet".into())) };
        use sdk::{SubnetCidrBlockStateCode as Block, SubnetState as State};
        match subnet.state {
            Some(ref s @ (State::Failed | State::FailedInsufficientCapacity)) => {
                return Ok(Settled::Failed(s.as_str().to_owned()));
            }
            Some(ref s) if *s != State::Available => return Ok(Settled::Waiting(s.as_str().to_owned())),
            _ => {}
        }
        let states = subnet.ipv6_cidr_block_association_set();
        let busy = states.iter().find_map(|b| {
            let state = b.ipv6_cidr_block_state()?.state()?;
            matches!(state, Block::Associating | Block::Disassociating)
                .then(|| format!("{} is {}", b.ipv6_cidr_block().unwrap_or("a block"), state.as_str()))
        });
        Ok(busy.map_or(Settled::Ready, Settled::Waiting))
    }
    /// Blocks of a VPC's subnets never overlap; a zone has one default subnet, whose block AWS picks (H2).
    fn natural_key(spec: &Spec) -> Option<String> {
        if spec.default_for_az == Some(true) {
            let zone = spec.availability_zone_id.as_deref().or(spec.availability_zone.as_deref())?;
            return Some(format!("default|{zone}"));
        }
        let v6 = spec.ipv6_cidr_block_association_set.first().and_then(|b| b.ipv6_cidr_block.as_deref());
        Some(format!("{}|{}", spec.vpc_id.as_ref()?.0, spec.cidr_block.as_deref().or(v6)?))
    }
    fn blocks(spec: &Spec) -> Option<Blocks> {
        let v6 = spec.ipv6_cidr_block_association_set.iter().filter_map(|b| b.ipv6_cidr_block.clone());
        Some(Blocks {
            of: Some(spec.vpc_id.as_ref()?.0.clone()),
            blocks: spec.cidr_block.clone().into_iter().chain(v6).collect(),
        })
    }
    fn terraform(id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        vec![(if spec.default_for_az == Some(true) { "aws_default_subnet" } else { Self::TERRAFORM }, id.to_owned())]
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else {
            return vec![if want.default_for_az == Some(true) {
                "ec2:CreateDefaultSubnet"
            } else {
                "ec2:CreateSubnet"
            }];
        };
        let (off, on) = attributes(now, want).unwrap_or_default();
        let (leave, join) = blocks(now, want);
        let mut calls = vec!["ec2:ModifySubnetAttribute"; off.len()];
        calls.extend(leave.iter().map(|_| "ec2:DisassociateSubnetCidrBlock"));
        calls.extend(join.iter().map(|_| "ec2:AssociateSubnetCidrBlock"));
        calls.extend(on.iter().map(|_| "ec2:ModifySubnetAttribute"));
        calls.extend(super::tag_calls(&now.tags, &want.tags));
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::mirror::Plain,
    };
    use serde_json::{Value, json};

    fn step() -> Step {
        Step { restore: "r-1".into(), number: 7 }
    }
    fn spec(v: Value) -> Spec {
        Spec::from_json(&v).unwrap()
    }
    fn aws() -> Canned {
        Canned::new(|call| {
            match call.action.as_str() {
            "CreateSubnet" => "<subnet><subnetId>subnet-9</subnetId></subnet>".into(),
            "CreateDefaultSubnet" => "<subnet><subnetId>subnet-8</subnetId></subnet>".into(),
            "DescribeSubnets" if call.get("SubnetId.1") == "subnet-1" => "<subnetSet><item><subnetId>subnet-1</subnetId><state>available</state><ipv6CidrBlockAssociationSet><item><associationId>s-1</associationId><ipv6CidrBlock>2600:1f18:2:a07::/64</ipv6CidrBlock><ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState></item></ipv6CidrBlockAssociationSet></item></subnetSet>".into(),
            "DescribeSubnets" => "<subnetSet/>".into(),
            "DescribeVpcs" => "<vpcSet><item><vpcId>vpc-1</vpcId><ipv6CidrBlockAssociationSet><item><ipv6CidrBlock>2600:1f18:2:a00::/56</ipv6CidrBlock><ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState></item></ipv6CidrBlockAssociationSet></item></vpcSet>".into(),
            _ => "<return>true</return>".into(),
        }
        })
    }

    #[test]
    fn h1_a_block_moves_to_the_same_place_of_the_new_prefix() {
        let vpc = ["2600:1f18:2:a00::/56".to_owned(), "2600:1f18:3:b00::/56".to_owned()];
        for (wanted, placed) in [
            ("2600:1f18:1:507::/64", "2600:1f18:2:a07::/64"), // of the VPC that is gone
            ("2600:1f18:3:b01::/64", "2600:1f18:3:b01::/64"), // there: the subnet's VPC survived
            ("2600:1f18:1:500::/44", "2600:1f18:1:500::/44"), // larger than any: for AWS to refuse
            ("no block", "no block"),
        ] {
            assert_eq!(within(wanted, &vpc), placed);
        }
        assert_eq!(within("2600:1f18:1:507::/64", &[]), "2600:1f18:1:507::/64");
        assert_eq!(within("::1/128", &["::/0".into()]), "::1/128");
    }

    #[tokio::test]
    async fn h10_create_names_the_zone_by_its_id_alone() {
        let aws = aws();
        let want = json!({"vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "cidr_block": "10.0.1.0/24", "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az3", "map_public_ip_on_launch": true});
        assert_eq!(Subnet::create(&aws.cx(), &spec(want.clone()), &step()).await.unwrap(), "subnet-9");
        let tag = "TagSpecification.1.ResourceType=subnet TagSpecification.1.Tag.1.Key=rollbackd:step TagSpecification.1.Tag.1.Value=r-1/7";
        assert_eq!(
            aws.wrote(),
            [format!("CreateSubnet AvailabilityZoneId=euw1-az3 CidrBlock=10.0.1.0/24 {tag} VpcId=vpc-1")]
        );
        let mut by_name = want.clone();
        by_name.as_object_mut().unwrap().remove("availability_zone_id");
        by_name["ipv6_cidr_block_association_set"] = json!([{"ipv6_cidr_block": "2600:1f18:1:507::/64"}]);
        Subnet::create(&aws.cx(), &spec(by_name), &step()).await.unwrap();
        assert_eq!(
            aws.wrote(),
            [format!(
                "CreateSubnet AvailabilityZone=eu-west-1a CidrBlock=10.0.1.0/24 Ipv6CidrBlock=2600:1f18:2:a07::/64 {tag} VpcId=vpc-1"
            )]
        );
        assert_eq!(Subnet::natural_key(&spec(want)).as_deref(), Some("vpc-1|10.0.1.0/24"));
    }

    #[tokio::test]
    async fn h10_attributes_go_one_a_call() {
        let aws = aws();
        let now = spec(
            json!({"map_public_ip_on_launch": false, "assign_ipv6_address_on_creation": false, "enable_dns64": false, "enable_lni_at_device_index": 1,
            "private_dns_name_options_on_launch": {"hostname_type": "ip-name", "enable_resource_name_dns_a_record": false, "enable_resource_name_dns_aaaa_record": true}}),
        );
        let want = spec(
            json!({"map_public_ip_on_launch": true, "assign_ipv6_address_on_creation": true, "enable_dns64": true, "map_customer_owned_ip_on_launch": true, "customer_owned_ipv4_pool": "ipv4pool-coip-1",
            "private_dns_name_options_on_launch": {"hostname_type": "resource-name", "enable_resource_name_dns_a_record": true, "enable_resource_name_dns_aaaa_record": false}}),
        );
        Subnet::converge(&aws.cx(), "subnet-1", &now, &want).await.unwrap();
        let wrote = aws.wrote();
        assert_eq!(
            wrote,
            [
                "ModifySubnetAttribute EnableResourceNameDnsAAAARecordOnLaunch.Value=false SubnetId=subnet-1",
                "ModifySubnetAttribute DisableLniAtDeviceIndex.Value=true SubnetId=subnet-1",
                "ModifySubnetAttribute AssignIpv6AddressOnCreation.Value=true SubnetId=subnet-1",
                "ModifySubnetAttribute EnableDns64.Value=true SubnetId=subnet-1",
                "ModifySubnetAttribute MapPublicIpOnLaunch.Value=true SubnetId=subnet-1",
                "ModifySubnetAttribute CustomerOwnedIpv4Pool=ipv4pool-coip-1 MapCustomerOwnedIpOnLaunch.Value=true SubnetId=subnet-1",
                "ModifySubnetAttribute PrivateDnsHostnameTypeOnLaunch=resource-name SubnetId=subnet-1",
                "ModifySubnetAttribute EnableResourceNameDnsARecordOnLaunch.Value=true SubnetId=subnet-1",
            ]
        );
        assert_eq!(Subnet::calls(Some(&now), &want), vec!["ec2:ModifySubnetAttribute"; wrote.len()]);
        Subnet::converge(&aws.cx(), "subnet-1", &want, &want).await.unwrap();
        assert_eq!(aws.asked(), []);
    }

    #[tokio::test]
    async fn h1_a_block_is_associated_before_the_attribute_that_needs_it_and_taken_after_it() {
        let aws = aws();
        let with = |block: &str| json!({"vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "assign_ipv6_address_on_creation": true, "ipv6_cidr_block_association_set": [{"ipv6_cidr_block": block}]});
        let without =
            spec(json!({"vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "assign_ipv6_address_on_creation": false}));
        Subnet::converge(&aws.cx(), "subnet-2", &without, &spec(with("2600:1f18:1:507::/64"))).await.unwrap();
        assert_eq!(
            aws.wrote(),
            [
                "AssociateSubnetCidrBlock Ipv6CidrBlock=2600:1f18:2:a07::/64 SubnetId=subnet-2",
                "ModifySubnetAttribute AssignIpv6AddressOnCreation.Value=true SubnetId=subnet-2",
            ]
        );
        // What was placed is what is wanted: nothing more to do.
        Subnet::converge(
            &aws.cx(),
            "subnet-1",
            &spec(with("2600:1f18:2:a07::/64")),
            &spec(with("2600:1f18:1:507::/64")),
        )
        .await
        .unwrap();
        assert_eq!(aws.wrote(), [] as [String; 0]);
        Subnet::converge(&aws.cx(), "subnet-1", &spec(with("2600:1f18:2:a07::/64")), &without).await.unwrap();
        assert_eq!(
            aws.wrote(),
            [
                "ModifySubnetAttribute AssignIpv6AddressOnCreation.Value=false SubnetId=subnet-1",
                "DisassociateSubnetCidrBlock AssociationId=s-1",
            ]
        );
    }

    #[tokio::test]
    async fn h2_a_default_subnet_is_looked_up_by_zone_before_one_is_made() {
        let want = spec(
            json!({"default_for_az": true, "vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "cidr_block": "172.31.16.0/20", "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az3"}),
        );
        let aws = aws();
        assert_eq!(Subnet::create(&aws.cx(), &want, &step()).await.unwrap(), "subnet-8");
        let asked: Vec<_> = aws.asked().iter().map(|c| c.text()).collect();
        assert_eq!(
            asked,
            [
                "DescribeSubnets Filter.1.Name=default-for-az Filter.1.Value.1=true Filter.2.Name=availability-zone-id Filter.2.Value.1=euw1-az3 Filter.3.Name=vpc-id Filter.3.Value.1=vpc-1 MaxResults=500",
                "CreateDefaultSubnet AvailabilityZone=eu-west-1a",
            ]
        );
        let there = Canned::new(|_| "<subnetSet><item><subnetId>subnet-7</subnetId></item></subnetSet>".into());
        assert_eq!(Subnet::create(&there.cx(), &want, &step()).await.unwrap(), "subnet-7");
        assert_eq!(there.wrote(), [] as [String; 0]);
        assert_eq!(Subnet::natural_key(&want).as_deref(), Some("default|euw1-az3"));
    }

    #[tokio::test]
    async fn readiness_is_one_look() {
        let aws = |state: &'static str| {
            Canned::new(move |_| {
                Answer::Ok(format!(
                    "<subnetSet><item><subnetId>subnet-1</subnetId><state>{state}</state></item></subnetSet>"
                ))
            })
        };
        for (state, settled) in [
            ("available", Settled::Ready),
            ("pending", Settled::Waiting("pending".into())),
            ("failed-insufficient-capacity", Settled::Failed("failed-insufficient-capacity".into())),
        ] {
            assert_eq!(Subnet::settled(&aws(state).cx(), "subnet-1").await.unwrap(), settled);
        }
        let gone = Canned::new(|_| Answer::Error(400, "InvalidSubnetID.NotFound", "no"));
        assert!(matches!(Subnet::settled(&gone.cx(), "subnet-1").await.unwrap(), Settled::Waiting(_)));
    }
}
