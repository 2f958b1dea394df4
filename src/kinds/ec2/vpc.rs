//! `ec2:vpc`: read with DescribeVpcs and, for three attributes, DescribeVpcAttribute once each.
//!
//! CreateVpc also makes a main route table, a default network ACL and a default security group (H3): those are kinds of
//! their own. Blocks of addresses beyond the primary one are associated after the create, so that an exhausted pool does
//! not keep the VPC from coming back.
use super::{failed, filter, found, held, only, tags_on_create, unbuildable};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{AnyLateRef, Coverage, FromSdk, Input, Inputs, Misfit, Set, Tags, change, merged},
        names::ec2,
    },
    mirror,
    model::Alias,
    plan::{
        facts::Phase,
        preflight::{Blocks, Per, Quota},
    },
};
use aws_sdk_ec2::operation::{
    associate_dhcp_options::builders::AssociateDhcpOptionsInputBuilder,
    associate_vpc_cidr_block::builders::AssociateVpcCidrBlockInputBuilder, create_vpc::builders::CreateVpcInputBuilder,
    describe_vpc_attribute::DescribeVpcAttributeOutput, modify_vpc_attribute::builders::ModifyVpcAttributeInputBuilder,
    modify_vpc_tenancy::builders::ModifyVpcTenancyInputBuilder,
};
use aws_sdk_ec2::types as sdk;
use futures_util::{StreamExt, TryStreamExt, stream};

mirror! {
    Spec from sdk::Vpc;
    keep {
        instance_tenancy @ "instanceTenancy": Option<String>,
        ipv6_cidr_block_association_set @ "ipv6CidrBlockAssociationSet": Set<VpcIpv6CidrBlockAssociation>,
        cidr_block_association_set @ "cidrBlockAssociationSet": Set<VpcCidrBlockAssociation>,
        tags @ "tagSet": Tags,
        cidr_block @ "cidrBlock": Option<String>,
        dhcp_options_id @ "dhcpOptionsId": Option<AnyLateRef>,
    }
    report {
        is_default @ "isDefault": Option<bool> = "only CreateDefaultVpc makes one, with AWS's own 172.31.0.0/16",
        encryption_control @ "encryptionControl": Option<VpcEncryptionControl> = "made by CreateVpcEncryptionControl, which rollbackd does not call",
    }
    drop {
        owner_id @ "ownerId": "the account; part of the key",
        block_public_access_states @ "blockPublicAccessStates": "follows from the account's setting and its exclusions",
        vpc_id @ "vpcId": "the id itself; remapped",
        state @ "state": "runtime state; see `settled`",
    }
    gap {
        "networkFirewallAssociationSet": "the SDK does not parse it yet; made by the firewall, which names the VPC",
    }
    also {
        attribute: Option<VpcAttribute>, // DescribeVpcAttribute
        // The border group of each block that Amazon provides: that there is one comes back, its prefix does not (H1).
        amazon_ipv6_border_groups: Set<String>,
        // The prefixes that a call cannot ask for: Amazon's, and those that IPAM manages without saying in which pool.
        assigned_ipv6_cidr_blocks: Set<String>
    }
}

mirror! {
    VpcIpv6CidrBlockAssociation from sdk::VpcIpv6CidrBlockAssociation, key [ipv6_cidr_block];
    keep {
        ipv6_cidr_block @ "ipv6CidrBlock": Option<String>,
        network_border_group @ "networkBorderGroup": Option<String>,
        ipv6_pool @ "ipv6Pool": Option<String>,
    }
    drop {
        association_id @ "associationId": "assigned by AWS at each create",
        ipv6_cidr_block_state @ "ipv6CidrBlockState": "runtime state; blocks on their way out are left out",
        ipv6_address_attribute @ "ipv6AddressAttribute": "follows from how the block was got",
        ip_source @ "ipSource": "follows from how the block was got",
    }
}

mirror! {
    VpcCidrBlockAssociation from sdk::VpcCidrBlockAssociation, key [cidr_block];
    keep {
        cidr_block @ "cidrBlock": Option<String>,
    }
    drop {
        association_id @ "associationId": "assigned by AWS at each create",
        cidr_block_state @ "cidrBlockState": "runtime state; blocks on their way out are left out",
    }
}

mirror! {
    VpcEncryptionControl from sdk::VpcEncryptionControl;
    keep {
        mode @ "mode": Option<String>,
        tags @ "tagSet": Tags,
    }
    drop {
        vpc_id @ "vpcId": "the VPC itself",
        vpc_encryption_control_id @ "vpcEncryptionControlId": "assigned by AWS at each create",
        state @ "state": "runtime state",
        state_message @ "stateMessage": "runtime state",
        resource_exclusions @ "resourceExclusions": "states of ten services; the whole control is reported, not given",
    }
}

mirror! {
    VpcAttribute from DescribeVpcAttributeOutput;
    keep {
        enable_dns_hostnames @ "enableDnsHostnames": Option<bool>,
        enable_dns_support @ "enableDnsSupport": Option<bool>,
        enable_network_address_usage_metrics @ "enableNetworkAddressUsageMetrics": Option<bool>,
    }
    drop {
        vpc_id @ "vpcId": "the resource itself",
    }
}

input! {
    Spec => create_vpc(CreateVpcInputBuilder);
    set {
        set_cidr_block: cidr_block,
        set_instance_tenancy: instance_tenancy,
    }
    leave {
        ipv6_pool: "associated after the create",
        ipv6_cidr_block: "associated after the create",
        ipv6_cidr_block_network_border_group: "associated after the create",
        amazon_provided_ipv6_cidr_block: "associated after the create",
        ipv4_ipam_pool_id: "DescribeVpcs does not say the pool; the block is given outright",
        ipv4_netmask_length: "the block is given outright",
        ipv6_ipam_pool_id: "associated after the create",
        ipv6_netmask_length: "the block is given outright",
        vpc_encryption_control: "reported: enforcing it before the VPC is whole would refuse what it has to hold",
        tag_specifications: "the engine's: the spec's tags and the step's",
        dry_run: "the engine's",
    }
}

input! {
    VpcAttribute => modify_vpc_attribute(ModifyVpcAttributeInputBuilder);
    set {
        set_enable_dns_hostnames: enable_dns_hostnames,
        set_enable_dns_support: enable_dns_support,
        set_enable_network_address_usage_metrics: enable_network_address_usage_metrics,
    }
    leave {
        vpc_id: "the resource at hand",
    }
}

input! {
    Spec => modify_vpc_tenancy(ModifyVpcTenancyInputBuilder);
    set {
        set_instance_tenancy: instance_tenancy,
    }
    leave {
        vpc_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    Spec => associate_dhcp_options(AssociateDhcpOptionsInputBuilder);
    set {
        set_dhcp_options_id: dhcp_options_id,
    }
    leave {
        vpc_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    VpcCidrBlockAssociation => associate_vpc_cidr_block(AssociateVpcCidrBlockInputBuilder);
    set {
        set_cidr_block: cidr_block,
    }
    leave {
        ipv6_cidr_block_network_border_group: "an IPv4 block has none",
        ipv6_pool: "an IPv4 block has none",
        ipv6_cidr_block: "an IPv4 block has none",
        ipv4_ipam_pool_id: "DescribeVpcs does not say the pool; the block is given outright",
        ipv4_netmask_length: "the block is given outright",
        ipv6_ipam_pool_id: "an IPv4 block has none",
        ipv6_netmask_length: "an IPv4 block has none",
        vpc_id: "the resource at hand",
        amazon_provided_ipv6_cidr_block: "an IPv4 block has none",
    }
}

input! {
    VpcIpv6CidrBlockAssociation => associate_ipv6_cidr_block(AssociateVpcCidrBlockInputBuilder);
    set {
        set_ipv6_cidr_block: ipv6_cidr_block,
        set_ipv6_pool: ipv6_pool,
        set_ipv6_cidr_block_network_border_group: network_border_group,
    }
    leave {
        cidr_block: "an IPv6 block has none",
        ipv4_ipam_pool_id: "an IPv6 block has none",
        ipv4_netmask_length: "an IPv6 block has none",
        ipv6_ipam_pool_id: "takes the place of ipv6_pool where the pool is IPAM's",
        ipv6_netmask_length: "the block is given outright",
        vpc_id: "the resource at hand",
        amazon_provided_ipv6_cidr_block: "given for Amazon's blocks, which have no row here",
    }
}

impl VpcIpv6CidrBlockAssociation {
    /// How AWS names the pool of a block that it provides.
    const AMAZON: &'static str = "Amazon";
    /// A call can ask for this very block: the user brought its pool, or it is an IPAM pool whose id is known.
    fn can_be_asked_for(&self) -> bool {
        self.ipv6_pool.as_deref().is_some_and(|p| p.starts_with("ipv6pool-") || p.starts_with(Self::IPAM))
    }
    const IPAM: &'static str = "ipam-pool-";
    fn associate(&self) -> Result<AssociateVpcCidrBlockInputBuilder, Failure> {
        let input = self.associate_ipv6_cidr_block().map_err(unbuildable("ec2:AssociateVpcCidrBlock"))?;
        Ok(match &self.ipv6_pool {
            Some(pool) if pool.starts_with(Self::IPAM) => input.set_ipv6_pool(None).ipv6_ipam_pool_id(pool),
            _ => input,
        })
    }
}

/// A block that is there or coming. A state that this SDK does not know is no reason to forget one.
pub(super) fn alive(state: &Option<sdk::VpcCidrBlockState>) -> bool {
    use sdk::VpcCidrBlockStateCode::{Disassociated, Disassociating, Failed, Failing};
    !matches!(state.as_ref().and_then(|s| s.state.as_ref()), Some(Disassociated | Disassociating | Failed | Failing))
}

impl Spec {
    /// From an answer, without the blocks that are on their way out, and with Amazon's blocks apart.
    fn seen(mut vpc: sdk::Vpc, attribute: Option<VpcAttribute>) -> Self {
        if let Some(blocks) = &mut vpc.cidr_block_association_set {
            blocks.retain(|b| alive(&b.cidr_block_state));
        }
        if let Some(blocks) = &mut vpc.ipv6_cidr_block_association_set {
            blocks.retain(|b| alive(&b.ipv6_cidr_block_state));
        }
        let mut spec = Self::from_sdk(&vpc);
        let (own, assigned): (Vec<_>, Vec<_>) =
            spec.ipv6_cidr_block_association_set.iter().cloned().partition(|b| b.can_be_asked_for());
        // An association that has no block yet is Amazon's too, and counts.
        let amazon = assigned.iter().filter(|b| b.ipv6_pool.as_deref() == Some(VpcIpv6CidrBlockAssociation::AMAZON));
        spec.amazon_ipv6_border_groups =
            amazon.map(|b| b.network_border_group.clone().unwrap_or_default()).collect::<Vec<_>>().into();
        spec.assigned_ipv6_cidr_blocks =
            assigned.into_iter().filter_map(|b| b.ipv6_cidr_block).collect::<Vec<_>>().into();
        spec.ipv6_cidr_block_association_set = own.into();
        spec.attribute = attribute;
        spec
    }
    /// The blocks beside the primary one.
    fn secondary(&self) -> impl Iterator<Item = &VpcCidrBlockAssociation> {
        self.cidr_block_association_set.iter().filter(|b| b.cidr_block.is_some() && b.cidr_block != self.cidr_block)
    }
}

/// One call of `converge`.
enum Act<'a> {
    Disassociate(&'a str),
    DisassociateAmazon(&'a str),
    Associate(AssociateVpcCidrBlockInputBuilder),
    Tenancy,
    Dhcp,
    Attribute(VpcAttribute),
}
impl Act<'_> {
    fn call(&self) -> &'static str {
        match self {
            Self::Disassociate(_) | Self::DisassociateAmazon(_) => "ec2:DisassociateVpcCidrBlock",
            Self::Associate(_) => "ec2:AssociateVpcCidrBlock",
            Self::Tenancy => "ec2:ModifyVpcTenancy",
            Self::Dhcp => "ec2:AssociateDhcpOptions",
            Self::Attribute(_) => "ec2:ModifyVpcAttribute",
        }
    }
}

/// What `converge` does beside the tags, in order. Blocks go before others come: they may overlap.
fn acts<'a>(now: &'a Spec, want: &'a Spec) -> Result<Vec<Act<'a>>, Failure> {
    let mut out = vec![];
    out.extend(
        now.secondary()
            .filter(|b| b.cidr_block != want.cidr_block && !want.secondary().any(|w| w == *b))
            .filter_map(|b| b.cidr_block.as_deref())
            .map(Act::Disassociate),
    );
    let own = |s: &'a Spec| s.ipv6_cidr_block_association_set.iter();
    let has = |s: &'a Spec, b: &VpcIpv6CidrBlockAssociation| own(s).any(|o| o.ipv6_cidr_block == b.ipv6_cidr_block);
    out.extend(own(now).filter(|b| !has(want, b)).filter_map(|b| b.ipv6_cidr_block.as_deref()).map(Act::Disassociate));
    let (too_many, too_few) = surplus(&now.amazon_ipv6_border_groups, &want.amazon_ipv6_border_groups);
    out.extend(too_many.into_iter().map(Act::DisassociateAmazon));

    let is_primary_now = |b: &VpcCidrBlockAssociation| b.cidr_block == now.cidr_block;
    for b in want.secondary().filter(|b| !is_primary_now(b) && !now.secondary().any(|n| n == *b)) {
        out.push(Act::Associate(b.associate_vpc_cidr_block().map_err(unbuildable("ec2:AssociateVpcCidrBlock"))?));
    }
    for b in own(want).filter(|b| !has(now, b)) {
        out.push(Act::Associate(b.associate()?));
    }
    for group in too_few {
        let amazon = AssociateVpcCidrBlockInputBuilder::default().amazon_provided_ipv6_cidr_block(true);
        let group = (!group.is_empty()).then(|| group.to_owned());
        out.push(Act::Associate(amazon.set_ipv6_cidr_block_network_border_group(group)));
    }
    if want.instance_tenancy != now.instance_tenancy && want.instance_tenancy.as_deref() == Some("default") {
        out.push(Act::Tenancy);
    }
    // H11: `default` is a value too, and takes the options away.
    if want.dhcp_options_id.is_some() && want.dhcp_options_id != now.dhcp_options_id {
        out.push(Act::Dhcp);
    }
    out.extend(
        attributes(now, want).map_err(|e| Failure::unbuildable("ec2:ModifyVpcAttribute", e))?.map(Act::Attribute),
    );
    Ok(out)
}

/// The attributes that differ, one a call, and DNS support before host names, which need it; the other way around when
/// they are switched off (H1).
fn attributes(now: &Spec, want: &Spec) -> Result<impl Iterator<Item = VpcAttribute>, Misfit> {
    let none = VpcAttribute {
        enable_dns_hostnames: None,
        enable_dns_support: None,
        enable_network_address_usage_metrics: None,
    };
    let of = |s: &Spec| s.attribute.clone().unwrap_or(none.clone());
    let set = change(&of(now), &of(want))?.set;
    let one = |support, hostnames, metrics| VpcAttribute {
        enable_dns_support: support,
        enable_dns_hostnames: hostnames,
        enable_network_address_usage_metrics: metrics,
    };
    let calls = [
        one(set.enable_dns_support.filter(|on| *on), None, None),
        one(None, set.enable_dns_hostnames, None),
        one(set.enable_dns_support.filter(|on| !*on), None, None),
        one(None, None, set.enable_network_address_usage_metrics),
    ];
    Ok(calls.into_iter().filter(move |a| *a != none))
}

/// What `now` has more often than `want`, and the reverse.
fn surplus<'a>(now: &'a [String], want: &'a [String]) -> (Vec<&'a str>, Vec<&'a str>) {
    let mut extra: Vec<&str> = now.iter().map(String::as_str).collect();
    let mut missing = vec![];
    for w in want {
        match extra.iter().position(|n| n == w) {
            Some(i) => drop(extra.swap_remove(i)),
            None => missing.push(w.as_str()),
        }
    }
    (extra, missing)
}

/// A virtual private cloud.
pub struct Vpc;
impl Vpc {
    async fn describe(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::Vpc>, Failure> {
        let pages = cx.ec2.describe_vpcs().set_filters(filters).into_paginator().page_size(super::PAGE_ROWS);
        pages.items().send().try_collect().await.map_err(failed("ec2:DescribeVpcs"))
    }
    async fn one(cx: &Cx, id: &str) -> Result<Option<sdk::Vpc>, Failure> {
        let answer = cx.ec2.describe_vpcs().vpc_ids(id).send().await.map_err(failed("ec2:DescribeVpcs"));
        Ok(found(answer)?.and_then(|a| a.vpcs?.into_iter().next()))
    }
    /// With its attributes, which DescribeVpcs leaves out; nothing if it went meanwhile.
    async fn whole(cx: &Cx, vpc: sdk::Vpc) -> Result<Option<Seen<Spec>>, Failure> {
        use sdk::VpcAttributeName::{EnableDnsHostnames, EnableDnsSupport, EnableNetworkAddressUsageMetrics};
        let action = "ec2:DescribeVpcAttribute";
        let Some(id) = vpc.vpc_id.clone() else { return Err(Failure::incomplete("ec2:DescribeVpcs", "vpcId")) };
        let read = |name| async {
            let call = cx.ec2.describe_vpc_attribute().vpc_id(&id).attribute(name).send().await;
            found(call.map_err(failed(action)))
        };
        let answers = futures_util::future::try_join_all(
            [EnableDnsHostnames, EnableDnsSupport, EnableNetworkAddressUsageMetrics].map(read),
        );
        let Some(answers) = answers.await?.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
        let attribute =
            merged(answers.iter().map(VpcAttribute::from_sdk)).map_err(|e| Failure::unbuildable(action, e))?;
        let of_v4 = vpc.cidr_block_association_set.iter().flatten().filter_map(|b| b.association_id.clone());
        let of_v6 = vpc.ipv6_cidr_block_association_set.iter().flatten().filter_map(|b| b.association_id.clone());
        let aliases = of_v4.chain(of_v6).map(Alias).collect();
        Ok(Some(Seen { id, spec: Spec::seen(vpc, attribute), aliases }))
    }
    /// The region's default VPC, if it has one.
    async fn default(cx: &Cx) -> Result<Option<String>, Failure> {
        Ok(Self::describe(cx, Some(vec![filter("is-default", ["true"])])).await?.into_iter().find_map(|v| v.vpc_id))
    }
    /// CreateDefaultVpc takes neither a token nor tags, so what is there is looked up first (H2, H64).
    async fn make_default(cx: &Cx) -> Result<String, Failure> {
        let action = "ec2:CreateDefaultVpc";
        if let Some(id) = Self::default(cx).await? {
            return Ok(id);
        }
        match cx.ec2_once.create_default_vpc().send().await.map_err(failed(action)) {
            Ok(made) => held(action, "vpcId", made.vpc.and_then(|v| v.vpc_id)),
            // Somebody was faster, or an earlier attempt of ours was.
            Err(f) if f.class == Class::Exists => Self::default(cx).await?.ok_or(f),
            Err(f) => Err(f),
        }
    }
    async fn disassociate(cx: &Cx, id: &str, which: impl Fn(&sdk::Vpc) -> Option<String>) -> Result<(), Failure> {
        let Some(association) = Self::one(cx, id).await?.as_ref().and_then(which) else { return Ok(()) };
        let call = cx.ec2.disassociate_vpc_cidr_block().association_id(association).send().await;
        super::gone_already(call.map_err(failed("ec2:DisassociateVpcCidrBlock")))
    }
}

impl Kind for Vpc {
    type Name = ec2::Vpc;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &VpcIpv6CidrBlockAssociation::COVERAGE,
        &VpcCidrBlockAssociation::COVERAGE,
        &VpcEncryptionControl::COVERAGE,
        &VpcAttribute::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateVpcInputBuilder>>::TABLE,
        &<VpcAttribute as Input<ModifyVpcAttributeInputBuilder>>::TABLE,
        &<Spec as Input<ModifyVpcTenancyInputBuilder>>::TABLE,
        &<Spec as Input<AssociateDhcpOptionsInputBuilder>>::TABLE,
        &<VpcCidrBlockAssociation as Input<AssociateVpcCidrBlockInputBuilder>>::TABLE,
        &<VpcIpv6CidrBlockAssociation as Input<AssociateVpcCidrBlockInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeVpcs", "ec2:DescribeVpcAttribute"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateVpc",
        "ec2:CreateDefaultVpc",
        "ec2:ModifyVpcAttribute",
        "ec2:ModifyVpcTenancy",
        "ec2:AssociateVpcCidrBlock",
        "ec2:DisassociateVpcCidrBlock",
        "ec2:AssociateDhcpOptions",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "the VPC's id",
        "the ids of its main route table, default network ACL and default security group",
        "the prefix of an IPv6 block that Amazon provided",
        "the VPC encryption control",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_vpc";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "vpc",
        code: "L-F678F1CE",
        name: "VPCs per Region",
        default: 5,
        per: Per::Region,
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] = &["cidr_block"];
    const REPORTED: &'static [(&'static str, &'static str)] = &[
        ("is_default", "only CreateDefaultVpc makes a default VPC, with AWS's own 172.31.0.0/16"),
        ("encryption_control", "rollbackd does not make VPC encryption controls"),
        (
            "assigned_ipv6_cidr_blocks",
            "a block that Amazon provides comes back with another prefix; one that IPAM manages is allocated from its pool by hand",
        ),
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let vpcs = Self::describe(cx, only("vpc-id", which)).await?;
        let whole = stream::iter(vpcs).map(|v| Self::whole(cx, v)).buffer_unordered(super::READS_AT_ONCE);
        whole.try_filter_map(|seen| async { Ok(seen) }).try_collect().await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        match Self::one(cx, id).await? {
            Some(vpc) => Self::whole(cx, vpc).await,
            None => Ok(None),
        }
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "vpc", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        if spec.is_default == Some(true) {
            return Self::make_default(cx).await;
        }
        let action = "ec2:CreateVpc";
        // H1: no client token, so the step's tag goes with the create.
        let input = spec.create_vpc().map_err(unbuildable(action))?.tag_specifications(tags_on_create(
            sdk::ResourceType::Vpc,
            &spec.tags,
            step,
        )?);
        let made = input.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "vpcId", made.vpc.and_then(|v| v.vpc_id))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        for act in acts(now, want)? {
            let call = act.call();
            match act {
                Act::Disassociate(block) => {
                    Self::disassociate(cx, id, |vpc| {
                        let v4 = vpc.cidr_block_association_set.iter().flatten();
                        let v6 = vpc.ipv6_cidr_block_association_set.iter().flatten();
                        let v4 = v4.filter(|b| alive(&b.cidr_block_state)).map(|b| (&b.cidr_block, &b.association_id));
                        let v6 = v6
                            .filter(|b| alive(&b.ipv6_cidr_block_state))
                            .map(|b| (&b.ipv6_cidr_block, &b.association_id));
                        v4.chain(v6).find(|(b, _)| b.as_deref() == Some(block)).and_then(|(_, a)| a.clone())
                    })
                    .await?
                }
                Act::DisassociateAmazon(group) => {
                    Self::disassociate(cx, id, |vpc| {
                        let amazon = |b: &&sdk::VpcIpv6CidrBlockAssociation| {
                            alive(&b.ipv6_cidr_block_state)
                                && b.ipv6_pool.as_deref() == Some(VpcIpv6CidrBlockAssociation::AMAZON)
                                && b.network_border_group.as_deref().unwrap_or_default() == group
                        };
                        vpc.ipv6_cidr_block_association_set.iter().flatten().find(amazon)?.association_id.clone()
                    })
                    .await?
                }
                // Associating is no create with a token: a second attempt after a lost answer would fail or, for Amazon's
                // blocks, take a second one. One attempt; the engine reads before another.
                Act::Associate(input) => drop(input.vpc_id(id).send_with(&cx.ec2_once).await.map_err(failed(call))?),
                Act::Tenancy => {
                    let input = want.modify_vpc_tenancy().map_err(unbuildable(call))?;
                    drop(input.vpc_id(id).send_with(&cx.ec2).await.map_err(failed(call))?)
                }
                Act::Dhcp => {
                    let input = want.associate_dhcp_options().map_err(unbuildable(call))?;
                    drop(input.vpc_id(id).send_with(&cx.ec2).await.map_err(failed(call))?)
                }
                Act::Attribute(one) => {
                    let input = one.modify_vpc_attribute().map_err(unbuildable(call))?;
                    drop(input.vpc_id(id).send_with(&cx.ec2).await.map_err(failed(call))?)
                }
            }
        }
        super::converge_tags(cx, id, &now.tags, &want.tags).await?;
        match &want.instance_tenancy {
            Some(t)
                if now.instance_tenancy.is_some()
                    && now.instance_tenancy != want.instance_tenancy
                    && t != "default" =>
            {
                Err(Failure::unbuildable(
                    "ec2:ModifyVpcTenancy",
                    format!("the tenancy of an existing VPC can only be set to default, not to {t}; all else is done"),
                ))
            }
            _ => Ok(()),
        }
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(vpc) = Self::one(cx, id).await? else { return Ok(Settled::Waiting("not visible yet".into())) };
        if vpc.state == Some(sdk::VpcState::Pending) {
            return Ok(Settled::Waiting("pending".into()));
        }
        let v4 = vpc.cidr_block_association_set.iter().flatten().map(|b| (&b.cidr_block, &b.cidr_block_state));
        let v6 = vpc
            .ipv6_cidr_block_association_set
            .iter()
            .flatten()
            .map(|b| (&b.ipv6_cidr_block, &b.ipv6_cidr_block_state));
        for (block, state) in v4.chain(v6) {
            let block = block.as_deref().unwrap_or("a block");
            match state.as_ref().and_then(|s| s.state.as_ref()) {
                Some(sdk::VpcCidrBlockStateCode::Associating) => {
                    return Ok(Settled::Waiting(format!("{block} is associating")));
                }
                Some(sdk::VpcCidrBlockStateCode::Disassociating) => {
                    return Ok(Settled::Waiting(format!("{block} is disassociating")));
                }
                _ => {}
            }
        }
        Ok(Settled::Ready)
    }
    /// A region has one default VPC at most (H2); other VPCs may share names and blocks.
    fn natural_key(spec: &Spec) -> Option<String> {
        (spec.is_default == Some(true)).then(|| "default".to_owned())
    }
    fn blocks(spec: &Spec) -> Option<Blocks> {
        // Other VPCs may overlap it.
        Some(Blocks {
            of: None,
            blocks: spec.cidr_block_association_set.iter().filter_map(|b| b.cidr_block.clone()).collect(),
        })
    }
    fn terraform(id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        let kind = if spec.is_default == Some(true) { "aws_default_vpc" } else { Self::TERRAFORM };
        let options = spec.dhcp_options_id.as_ref().filter(|o| o.kind().is_some());
        let options = options.map(|_| ("aws_vpc_dhcp_options_association", id.to_owned()));
        [(kind, id.to_owned())].into_iter().chain(options).collect()
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        match now {
            None if want.is_default == Some(true) => vec!["ec2:CreateDefaultVpc"],
            None => vec!["ec2:CreateVpc"],
            Some(now) => {
                let acts = acts(now, want).unwrap_or_default();
                acts.iter().map(Act::call).chain(super::tag_calls(&now.tags, &want.tags)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Call, Canned},
        kinds::mirror::Plain,
    };
    use serde_json::{Value, json};

    const STEP: &str = "r-1/7";
    fn step() -> Step {
        Step { restore: "r-1".into(), number: 7 }
    }
    fn spec(v: Value) -> Spec {
        Spec::from_json(&v).unwrap()
    }
    /// A VPC of an answer: its blocks as (id, block, state), those of version 6 with pool and border group.
    fn vpc(id: &str, v4: &[(&str, &str, &str)], v6: &[(&str, &str, &str, &str, &str)]) -> String {
        let v4: String = v4.iter().map(|(id, block, state)| format!("<item><associationId>{id}</associationId><cidrBlock>{block}</cidrBlock><cidrBlockState><state>{state}</state></cidrBlockState></item>")).collect();
        let v6: String = v6.iter().map(|(id, block, state, pool, group)| format!("<item><associationId>{id}</associationId><ipv6CidrBlock>{block}</ipv6CidrBlock><ipv6CidrBlockState><state>{state}</state></ipv6CidrBlockState><ipv6Pool>{pool}</ipv6Pool><networkBorderGroup>{group}</networkBorderGroup></item>")).collect();
        format!(
            "<item><vpcId>{id}</vpcId><state>available</state><cidrBlock>10.0.0.0/16</cidrBlock><dhcpOptionsId>default</dhcpOptionsId><instanceTenancy>default</instanceTenancy><isDefault>false</isDefault><cidrBlockAssociationSet>{v4}</cidrBlockAssociationSet><ipv6CidrBlockAssociationSet>{v6}</ipv6CidrBlockAssociationSet></item>"
        )
    }
    fn attribute(call: &Call) -> Answer {
        let name = call.get("Attribute");
        Answer::Ok(format!(
            "<vpcId>{}</vpcId><{name}><value>{}</value></{name}>",
            call.get("VpcId"),
            name == "enableDnsSupport"
        ))
    }
    fn aws(vpcs: String) -> Canned {
        Canned::new(move |call| match call.action.as_str() {
            "DescribeVpcs" => Answer::Ok(format!("<vpcSet>{vpcs}</vpcSet>")),
            "DescribeVpcAttribute" => attribute(call),
            "CreateVpc" => "<vpc><vpcId>vpc-9</vpcId></vpc>".into(),
            _ => "<return>true</return>".into(),
        })
    }

    #[tokio::test]
    async fn h1_create_carries_the_steps_tag_and_neither_token_nor_aws_tags() {
        let aws = aws(String::new());
        let want = spec(json!({"cidr_block": "10.0.0.0/16", "instance_tenancy": "default", "tags": {"Name": "prod"},
            "cidr_block_association_set": [{"cidr_block": "10.0.0.0/16"}, {"cidr_block": "10.1.0.0/16"}]}));
        assert_eq!(Vpc::create(&aws.cx(), &want, &step()).await.unwrap(), "vpc-9");
        let wrote = aws.wrote();
        assert_eq!(
            wrote,
            [format!(
                "CreateVpc CidrBlock=10.0.0.0/16 InstanceTenancy=default TagSpecification.1.ResourceType=vpc TagSpecification.1.Tag.1.Key=Name TagSpecification.1.Tag.1.Value=prod TagSpecification.1.Tag.2.Key=rollbackd:step TagSpecification.1.Tag.2.Value={STEP}"
            )]
        );
        assert_eq!(Vpc::calls(None, &want), ["ec2:CreateVpc"]);
    }

    #[tokio::test]
    async fn h1_attributes_go_one_a_call_with_dns_support_before_host_names() {
        let aws = aws(String::new());
        let of = |support, names, metrics| {
            spec(
                json!({"attribute": {"enable_dns_support": support, "enable_dns_hostnames": names, "enable_network_address_usage_metrics": metrics}}),
            )
        };
        let (off, on) = (of(false, false, false), of(true, true, true));
        Vpc::converge(&aws.cx(), "vpc-1", &off, &on).await.unwrap();
        assert_eq!(
            aws.wrote(),
            [
                "ModifyVpcAttribute EnableDnsSupport.Value=true VpcId=vpc-1",
                "ModifyVpcAttribute EnableDnsHostnames.Value=true VpcId=vpc-1",
                "ModifyVpcAttribute EnableNetworkAddressUsageMetrics.Value=true VpcId=vpc-1",
            ]
        );
        Vpc::converge(&aws.cx(), "vpc-1", &on, &of(false, false, true)).await.unwrap();
        assert_eq!(
            aws.wrote(),
            [
                "ModifyVpcAttribute EnableDnsHostnames.Value=false VpcId=vpc-1",
                "ModifyVpcAttribute EnableDnsSupport.Value=false VpcId=vpc-1",
            ]
        );
        assert_eq!(Vpc::calls(Some(&off), &on), ["ec2:ModifyVpcAttribute"; 3]);
        Vpc::converge(&aws.cx(), "vpc-1", &on, &on).await.unwrap();
        assert_eq!(aws.asked(), []); // the same again sends nothing
    }

    #[tokio::test]
    async fn h1_blocks_beside_the_primary_are_associated_and_those_of_amazon_counted() {
        let there = vpc(
            "vpc-1",
            &[
                ("a-1", "10.0.0.0/16", "associated"),
                ("a-2", "10.9.0.0/16", "associated"),
                ("a-3", "10.8.0.0/16", "disassociated"),
            ],
            &[
                ("a-4", "2600:1f18:1::/56", "associated", "Amazon", "eu-west-1"),
                ("a-5", "2001:db8::/56", "disassociating", "ipv6pool-ec2-1", "eu-west-1"),
            ],
        );
        let aws = aws(there);
        let now = Vpc::read(&aws.cx(), "vpc-1").await.unwrap().unwrap().spec;
        assert_eq!(
            now.to_json(),
            json!({"cidr_block": "10.0.0.0/16", "instance_tenancy": "default", "is_default": false, "dhcp_options_id": "default",
            "cidr_block_association_set": [{"cidr_block": "10.0.0.0/16"}, {"cidr_block": "10.9.0.0/16"}],
            "amazon_ipv6_border_groups": ["eu-west-1"], "assigned_ipv6_cidr_blocks": ["2600:1f18:1::/56"],
            "attribute": {"enable_dns_support": true, "enable_dns_hostnames": false, "enable_network_address_usage_metrics": false}})
        );
        aws.asked();
        let mut want = now.clone();
        want.cidr_block_association_set =
            spec(json!({"cidr_block_association_set": [{"cidr_block": "10.0.0.0/16"}, {"cidr_block": "10.1.0.0/16"}]}))
                .cidr_block_association_set;
        want.ipv6_cidr_block_association_set = spec(json!({"ipv6_cidr_block_association_set": [
            {"ipv6_cidr_block": "2001:db8::/56", "ipv6_pool": "ipv6pool-ec2-1", "network_border_group": "eu-west-1"},
            {"ipv6_cidr_block": "2001:db8:1::/56", "ipv6_pool": "ipam-pool-1", "network_border_group": "eu-west-1"}]}))
        .ipv6_cidr_block_association_set;
        // Another prefix of Amazon's is the same configuration.
        want.assigned_ipv6_cidr_blocks = vec!["2600:1f18:2::/56".to_owned()].into();
        let calls = Vpc::calls(Some(&now), &want);
        Vpc::converge(&aws.cx(), "vpc-1", &now, &want).await.unwrap();
        let wrote = aws.wrote();
        assert_eq!(
            wrote,
            [
                "DisassociateVpcCidrBlock AssociationId=a-2",
                "AssociateVpcCidrBlock CidrBlock=10.1.0.0/16 VpcId=vpc-1",
                "AssociateVpcCidrBlock Ipv6CidrBlock=2001:db8:1::/56 Ipv6CidrBlockNetworkBorderGroup=eu-west-1 Ipv6IpamPoolId=ipam-pool-1 VpcId=vpc-1",
                "AssociateVpcCidrBlock Ipv6CidrBlock=2001:db8::/56 Ipv6CidrBlockNetworkBorderGroup=eu-west-1 Ipv6Pool=ipv6pool-ec2-1 VpcId=vpc-1",
            ]
        );
        assert_eq!(calls.len(), wrote.len());
        want.amazon_ipv6_border_groups = vec!["eu-west-1".to_owned(), "eu-west-1-wl1".to_owned()].into();
        Vpc::converge(
            &aws.cx(),
            "vpc-1",
            &Spec { amazon_ipv6_border_groups: now.amazon_ipv6_border_groups.clone(), ..want.clone() },
            &want,
        )
        .await
        .unwrap();
        assert_eq!(
            aws.wrote(),
            [
                "AssociateVpcCidrBlock AmazonProvidedIpv6CidrBlock=true Ipv6CidrBlockNetworkBorderGroup=eu-west-1-wl1 VpcId=vpc-1"
            ]
        );
        Vpc::converge(&aws.cx(), "vpc-1", &now, &Spec { amazon_ipv6_border_groups: Set::default(), ..now.clone() })
            .await
            .unwrap();
        assert_eq!(aws.wrote(), ["DisassociateVpcCidrBlock AssociationId=a-4"]);
    }

    #[tokio::test]
    async fn h2_a_default_vpc_is_looked_up_before_one_is_made() {
        use std::sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        };
        let want = spec(json!({"is_default": true, "cidr_block": "172.31.0.0/16"}));
        let aws = aws(vpc("vpc-5", &[], &[]));
        assert_eq!(Vpc::create(&aws.cx(), &want, &step()).await.unwrap(), "vpc-5");
        assert_eq!(
            aws.asked().iter().map(Call::text).collect::<Vec<_>>(),
            ["DescribeVpcs Filter.1.Name=is-default Filter.1.Value.1=true MaxResults=500"]
        );
        // None there, and somebody is faster.
        let made = Arc::new(AtomicBool::new(false));
        let aws = Canned::new(move |call| match call.action.as_str() {
            "DescribeVpcs" if made.load(Ordering::SeqCst) => {
                Answer::Ok(format!("<vpcSet>{}</vpcSet>", vpc("vpc-6", &[], &[])))
            }
            "DescribeVpcs" => "<vpcSet/>".into(),
            _ => {
                made.store(true, Ordering::SeqCst);
                Answer::Error(400, "DefaultVpcAlreadyExists", "there is one")
            }
        });
        assert_eq!(Vpc::create(&aws.cx(), &want, &step()).await.unwrap(), "vpc-6");
        assert_eq!(aws.wrote(), ["CreateDefaultVpc"]);
        assert_eq!(Vpc::natural_key(&want).as_deref(), Some("default"));
        assert_eq!(Vpc::calls(None, &want), ["ec2:CreateDefaultVpc"]);
    }

    #[tokio::test]
    async fn h11_dhcp_options_are_associated_and_default_takes_them_away() {
        let aws = aws(String::new());
        let with = |v: Value| spec(json!({"dhcp_options_id": v}));
        let dopt = with(json!({"$late": "ec2:dhcp-options", "id": "dopt-1"}));
        Vpc::converge(&aws.cx(), "vpc-1", &with("default".into()), &dopt).await.unwrap();
        Vpc::converge(&aws.cx(), "vpc-1", &dopt, &with("default".into())).await.unwrap();
        Vpc::converge(&aws.cx(), "vpc-1", &dopt, &spec(json!({}))).await.unwrap();
        assert_eq!(
            aws.wrote(),
            [
                "AssociateDhcpOptions DhcpOptionsId=dopt-1 VpcId=vpc-1",
                "AssociateDhcpOptions DhcpOptionsId=default VpcId=vpc-1"
            ]
        );
        assert_eq!(dopt.to_json()["dhcp_options_id"]["$late"], "ec2:dhcp-options");
    }

    #[tokio::test]
    async fn h26_tags_of_aws_and_of_ours_are_left_alone() {
        let aws = aws(String::new());
        let tags = |v: Value| spec(json!({ "tags": v }));
        let (now, want) = (
            tags(json!({"a": "1", "b": "2", "aws:x": "1"})),
            tags(json!({"a": "2", "c": "", "aws:y": "1", "rollbackd:step": "x"})),
        );
        Vpc::converge(&aws.cx(), "vpc-1", &now, &want).await.unwrap();
        assert_eq!(
            aws.wrote(),
            [
                "DeleteTags ResourceId.1=vpc-1 Tag.1.Key=b",
                "CreateTags ResourceId.1=vpc-1 Tag.1.Key=a Tag.1.Value=2 Tag.2.Key=c Tag.2.Value=",
            ]
        );
        assert_eq!(Vpc::calls(Some(&now), &want), ["ec2:DeleteTags", "ec2:CreateTags"]);
    }

    #[tokio::test]
    async fn h64_a_retry_finds_what_an_earlier_attempt_made_if_it_is_alive() {
        let aws = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeTags" => "<tagSet><item><resourceId>vpc-1</resourceId><key>rollbackd:step</key></item><item><resourceId>vpc-2</resourceId></item></tagSet>".into(),
            "DescribeVpcs" if call.get("VpcId.1") == "vpc-1" => Answer::Error(400, "InvalidVpcID.NotFound", "no"),
            "DescribeVpcs" => Answer::Ok(format!("<vpcSet>{}</vpcSet>", vpc("vpc-2", &[], &[]))),
            _ => attribute(call),
        }
        });
        assert_eq!(Vpc::made_by(&aws.cx(), &step()).await.unwrap().as_deref(), Some("vpc-2"));
        let asked = aws.asked();
        assert_eq!(
            asked[0].text(),
            format!(
                "DescribeTags Filter.1.Name=key Filter.1.Value.1=rollbackd:step Filter.2.Name=value Filter.2.Value.1={STEP} Filter.3.Name=resource-type Filter.3.Value.1=vpc MaxResults=500"
            )
        );
    }

    #[tokio::test]
    async fn gone_is_none_and_a_vpc_that_goes_while_it_is_read_is_left_out() {
        let gone = |_: &Call| Answer::Error(400, "InvalidVpcID.NotFound", "no");
        assert!(Vpc::read(&Canned::new(gone).cx(), "vpc-1").await.unwrap().is_none());
        let aws = Canned::new(move |call| match call.action.as_str() {
            "DescribeVpcs" => {
                Answer::Ok(format!("<vpcSet>{}{}</vpcSet>", vpc("vpc-1", &[], &[]), vpc("vpc-2", &[], &[])))
            }
            _ if call.get("VpcId") == "vpc-1" => gone(call),
            _ => attribute(call),
        });
        let seen = Vpc::look(&aws.cx(), Which::Ids(&["vpc-1".into(), "vpc-2".into()])).await.unwrap();
        assert_eq!(seen.into_iter().map(|s| s.id).collect::<Vec<_>>(), ["vpc-2"]);
        assert_eq!(
            aws.asked()[0].text(),
            "DescribeVpcs Filter.1.Name=vpc-id Filter.1.Value.1=vpc-1 Filter.1.Value.2=vpc-2 MaxResults=500"
        );
    }

    #[tokio::test]
    async fn a_tenancy_that_cannot_be_set_is_said_after_all_else_is_done() {
        let aws = aws(String::new());
        let (dedicated, default) = (
            spec(json!({"instance_tenancy": "dedicated", "tags": {"a": "1"}})),
            spec(json!({"instance_tenancy": "default"})),
        );
        Vpc::converge(&aws.cx(), "vpc-1", &dedicated, &default).await.unwrap();
        assert_eq!(aws.wrote()[0], "ModifyVpcTenancy InstanceTenancy=default VpcId=vpc-1");
        let refused = Vpc::converge(&aws.cx(), "vpc-1", &default, &dedicated).await.unwrap_err();
        assert_eq!((refused.class, aws.wrote().len()), (Class::Invalid, 1), "{refused}");
    }
}
