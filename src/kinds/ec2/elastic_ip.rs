//! `ec2:elastic-ip`: a public address of the account, and what it points at. Its id is the allocation's.
//!
//! A released address is to be had again only until somebody else gets it (H14), so it is claimed before all else.
use super::{
    about, all, converge_tags, failed, filter, found, gone_already, held, only, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, LateRef, Tags},
        names::ec2,
    },
    mirror,
    model::Alias,
    plan::{
        facts::Phase,
        preflight::{Per, Quota},
        readiness::{Copies, Cost, Ready},
    },
};
use aws_sdk_ec2::{
    operation::{
        allocate_address::builders::AllocateAddressInputBuilder,
        associate_address::builders::AssociateAddressInputBuilder,
        modify_address_attribute::builders::ModifyAddressAttributeInputBuilder,
    },
    types as sdk,
};
use futures_util::future::{BoxFuture, try_join};
use std::collections::{BTreeMap, BTreeSet};

mirror! {
    Spec from sdk::Address;
    keep {
        network_interface_id @ "networkInterfaceId": Option<LateRef<ec2::NetworkInterface>>,
        private_ip_address @ "privateIpAddress": Option<String>,
        tags @ "tagSet": Tags,
        public_ipv4_pool @ "publicIpv4Pool": Option<String>,
        network_border_group @ "networkBorderGroup": Option<String>,
        customer_owned_ip @ "customerOwnedIp": Option<String>,
        customer_owned_ipv4_pool @ "customerOwnedIpv4Pool": Option<String>,
        instance_id @ "instanceId": Option<LateRef<ec2::Instance>>,
        public_ip @ "publicIp": Option<String>,
    }
    report {
        carrier_ip @ "carrierIp": Option<String> = "the carrier's zone picks it at each allocation",
        service_managed @ "serviceManaged": Option<String> = "the service that made the address makes and releases it",
    }
    drop {
        allocation_id @ "allocationId": "the id itself; remapped",
        association_id @ "associationId": "assigned by AWS at each association",
        domain @ "domain": "always vpc",
        network_interface_owner_id @ "networkInterfaceOwnerId": "follows from the interface; tells a service's from the user's",
        subnet_id @ "subnetId": "follows from the interface",
    }
    also {
        reverse_dns: Option<ReverseDns>, // DescribeAddressesAttribute
    }
}

mirror! {
    ReverseDns from sdk::AddressAttribute;
    keep {
        ptr_record @ "ptrRecord": Option<String>,
    }
    drop {
        public_ip @ "publicIp": "the address itself",
        allocation_id @ "allocationId": "the resource itself",
        ptr_record_update @ "ptrRecordUpdate": "how far a change of the record has come",
    }
}

mirror! {
    /** What a NAT gateway holds. */
    NatHeld from sdk::NatGatewayAddress;
    keep {
        network_interface_id @ "networkInterfaceId": Option<String>,
    }
    drop {
        allocation_id @ "allocationId": "the address itself",
        private_ip @ "privateIp": "the gateway's spec has it",
        public_ip @ "publicIp": "the address itself",
        association_id @ "associationId": "assigned by AWS at each association",
        is_primary @ "isPrimary": "the gateway's spec has it",
        failure_message @ "failureMessage": "runtime state of the gateway",
        status @ "status": "runtime state of the gateway",
        availability_zone @ "availabilityZone": "the gateway's spec has it",
        availability_zone_id @ "availabilityZoneId": "the gateway's spec has it",
    }
}

input! {
    Spec => allocate_address(AllocateAddressInputBuilder);
    set {
        set_address: public_ip,
        set_public_ipv4_pool: public_ipv4_pool,
        set_network_border_group: network_border_group,
        set_customer_owned_ipv4_pool: customer_owned_ipv4_pool,
    }
    leave {
        domain: "always vpc",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        ipam_pool_id: "public_ipv4_pool, where it names an IPAM pool: at()",
        dry_run: "the engine's",
    }
}

input! {
    Spec => associate_address(AssociateAddressInputBuilder);
    set {
        set_instance_id: instance_id,
        set_network_interface_id: network_interface_id,
        set_private_ip_address: private_ip_address,
    }
    leave {
        public_ip: "allocation_id says it; AWS refuses both",
        allocation_id: "the resource at hand",
        dry_run: "the engine's",
        allow_reassociation: "the default: a change of association is what is asked for",
    }
}

input! {
    ReverseDns => modify_address_attribute(ModifyAddressAttributeInputBuilder);
    set {
        set_domain_name: ptr_record,
    }
    leave {
        allocation_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

pub struct ElasticIp;

/// What `converge` has to do, each one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Todo {
    Associate,
    Disassociate,
    SetReverseDns,
    ResetReverseDns,
}
impl Todo {
    fn action(self) -> &'static str {
        match self {
            Self::Associate => "ec2:AssociateAddress",
            Self::Disassociate => "ec2:DisassociateAddress",
            Self::SetReverseDns => "ec2:ModifyAddressAttribute",
            Self::ResetReverseDns => "ec2:ResetAddressAttribute",
        }
    }
}
fn todo(now: &Spec, want: &Spec) -> Vec<Todo> {
    let mut out = vec![];
    // An interface says all: the instance follows from it.
    let same = match &want.network_interface_id {
        Some(eni) => {
            now.network_interface_id.as_ref() == Some(eni)
                && (want.private_ip_address.is_none() || want.private_ip_address == now.private_ip_address)
        }
        None => {
            now.instance_id == want.instance_id && (want.instance_id.is_some() || now.network_interface_id.is_none())
        }
    };
    if !same {
        let nowhere = want.network_interface_id.is_none() && want.instance_id.is_none();
        out.push(if nowhere { Todo::Disassociate } else { Todo::Associate });
    }
    // A name that points at the old address is refused for another one: the difference shows on read-back.
    if now.reverse_dns != want.reverse_dns && (want.reverse_dns.is_none() || now.public_ip == want.public_ip) {
        out.push(if want.reverse_dns.is_some() { Todo::SetReverseDns } else { Todo::ResetReverseDns });
    }
    out
}

impl Spec {
    /// AllocateAddress with the place that the address comes from, without the address.
    fn at(&self, cx: &Cx) -> Result<AllocateAddressInputBuilder, Failure> {
        let call = self
            .allocate_address()
            .map_err(unbuildable("ec2:AllocateAddress"))?
            .domain(sdk::DomainType::Vpc)
            .set_address(None)
            .set_public_ipv4_pool(None)
            // The region's own group is the default; only Local Zones and Wavelength Zones need naming.
            .set_network_border_group(
                self.network_border_group.clone().filter(|g| g.as_str() != cx.scope.region.as_str()),
            );
        Ok(match self.public_ipv4_pool.as_deref() {
            Some(pool) if pool.starts_with("ipam-pool-") => call.ipam_pool_id(pool),
            _ => call,
        })
    }
    fn allocated_address(&self) -> Option<&String> {
        self.public_ip.as_ref().or(self.customer_owned_ip.as_ref())
    }
}

/// The address is not to be had: somebody else has it, or AWS took it back (H14). Those that this account holds already are
/// not lost, and a used-up quota is no reason to take another one.
fn lost(f: &Failure, address: &str) -> bool {
    match f.code.as_str() {
        "AuthFailure" => true,
        "InvalidParameterValue" => f.message.contains(address),
        code => code.starts_with("InvalidAddress") && !code.ends_with("InUse"),
    }
}

async fn allocate(cx: &Cx, call: AllocateAddressInputBuilder) -> Result<String, Failure> {
    let action = "ec2:AllocateAddress";
    let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
    held(action, "allocation id", made.allocation_id)
}

/// The interfaces of NAT gateways, of those too that are on their way out (H62) and still hold their addresses. By
/// interface, since a dead gateway goes on listing an allocation that may long be somewhere else.
async fn nat_interfaces(cx: &Cx) -> Result<BTreeSet<String>, Failure> {
    let gateways = cx
        .ec2
        .describe_nat_gateways()
        .filter(filter("state", ["pending", "available", "deleting", "failed"]))
        .into_paginator()
        .page_size(super::PAGE_ROWS)
        .items()
        .send()
        .try_collect()
        .await
        .map_err(failed("ec2:DescribeNatGateways"))?;
    let held = gateways.iter().flat_map(|g| g.nat_gateway_addresses()).map(NatHeld::from_sdk);
    Ok(held.filter_map(|a| a.network_interface_id).collect())
}

async fn addresses(cx: &Cx, which: Which<'_>) -> Result<Vec<sdk::Address>, Failure> {
    let answer = cx
        .ec2
        .describe_addresses()
        .set_filters(only("allocation-id", which))
        .send()
        .await
        .map_err(failed("ec2:DescribeAddresses"))?;
    Ok(answer.addresses.unwrap_or_default())
}

async fn address(cx: &Cx, id: &str) -> Result<Option<sdk::Address>, Failure> {
    let answer = cx.ec2.describe_addresses().allocation_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeAddresses")))?.and_then(|a| a.addresses);
    Ok(here.unwrap_or_default().pop())
}

/// Reverse DNS by allocation id, of one address or all: the call takes no filter, and an id that is gone fails it.
async fn reverse_dns(cx: &Cx, id: Option<&str>) -> Result<BTreeMap<String, ReverseDns>, Failure> {
    let call = cx.ec2.describe_addresses_attribute().attribute(sdk::AddressAttributeName::DomainName);
    let pages = call.set_allocation_ids(id.map(|id| vec![id.to_owned()])).into_paginator();
    let pages = if id.is_none() { pages.page_size(super::PAGE_ROWS) } else { pages };
    let rows = found(pages.items().send().try_collect().await.map_err(failed("ec2:DescribeAddressesAttribute")))?;
    let bare = |name: String| name.trim_end_matches('.').to_owned();
    Ok(rows
        .into_iter()
        .flatten()
        .filter_map(|a| Some((a.allocation_id.clone()?, a.ptr_record.clone()?)))
        .map(|(id, name)| (id, ReverseDns { ptr_record: Some(bare(name)) }))
        .collect())
}

async fn seen(
    cx: &Cx,
    addresses: Vec<sdk::Address>,
    mut reverse: BTreeMap<String, ReverseDns>,
) -> Result<Vec<Seen<Spec>>, Failure> {
    // Only an association with no instance behind it can be a NAT gateway's.
    let maybe_nat =
        addresses.iter().any(|a| a.association_id.is_some() && a.instance_id.as_deref().unwrap_or_default().is_empty());
    let nat = if maybe_nat { nat_interfaces(cx).await? } else { BTreeSet::new() };
    Ok(addresses
        .into_iter()
        .filter_map(|a| {
            let id = a.allocation_id.clone()?;
            let mut spec = Spec::from_sdk(&a);
            // An address that has no instance behind it may be told with an empty id.
            spec.instance_id = spec.instance_id.filter(|i| !i.0.is_empty());
            spec.network_interface_id = spec.network_interface_id.filter(|e| !e.0.is_empty());
            spec.private_ip_address = spec.private_ip_address.filter(|p| !p.is_empty());
            spec.reverse_dns = reverse.remove(&id);
            let foreign = a
                .network_interface_owner_id
                .as_deref()
                .is_some_and(|o| !o.is_empty() && o != cx.scope.account.as_str());
            let nat = a.network_interface_id.as_ref().is_some_and(|e| nat.contains(e));
            // H14: what a NAT gateway or a service's interface holds, its own spec says, and no call of ours may give.
            if nat || foreign || spec.service_managed.is_some() {
                (spec.network_interface_id, spec.private_ip_address, spec.instance_id) = (None, None, None);
            }
            let aliases = [a.public_ip, a.customer_owned_ip, a.association_id];
            Some(Seen {
                id,
                spec,
                aliases: aliases.into_iter().flatten().filter(|a| !a.is_empty()).map(Alias).collect(),
            })
        })
        .collect())
}

impl Kind for ElasticIp {
    type Name = ec2::ElasticIp;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &ReverseDns::COVERAGE, &NatHeld::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<AllocateAddressInputBuilder>>::TABLE,
        &<Spec as Input<AssociateAddressInputBuilder>>::TABLE,
        &<ReverseDns as Input<ModifyAddressAttributeInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] =
        &["ec2:DescribeAddresses", "ec2:DescribeAddressesAttribute", "ec2:DescribeNatGateways"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:AllocateAddress",
        "ec2:AssociateAddress",
        "ec2:DisassociateAddress",
        "ec2:ModifyAddressAttribute",
        "ec2:ResetAddressAttribute",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] =
        &["its allocation id and association id", "the address itself, once another account has it"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_eip";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "ec2",
        code: "L-0263D0A3",
        name: "EC2-VPC Elastic IPs",
        default: 5,
        per: Per::Region,
        uses: |s| u32::from(s["public_ipv4_pool"].as_str().is_none_or(|pool| pool == "amazon")),
    }];
    const PERISHABLE: bool = true;
    const IMMUTABLE: &'static [&'static str] =
        &["public_ip", "public_ipv4_pool", "network_border_group", "customer_owned_ip", "customer_owned_ipv4_pool"];
    const REPORTED: &'static [(&'static str, &'static str)] = &[
        ("carrier_ip", "the carrier's zone picks it at each allocation"),
        ("service_managed", "the service that made the address makes and releases it"),
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let (addresses, reverse) = try_join(addresses(cx, which), reverse_dns(cx, None)).await?;
        seen(cx, addresses, reverse).await
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let (address, reverse) = try_join(address(cx, id), reverse_dns(cx, Some(id))).await?;
        Ok(seen(cx, address.into_iter().collect(), reverse).await?.pop())
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "elastic-ip", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        if let Some(service) = &spec.service_managed {
            let why = format!("the service `{service}` allocates this address itself, when what it serves is back");
            return Err(Failure::unbuildable("ec2:AllocateAddress", why));
        }
        let tags = tags_on_create(sdk::ResourceType::ElasticIp, &spec.tags, step)?;
        let call = spec.at(cx)?.tag_specifications(tags);
        if let Some(address) = spec.allocated_address() {
            match allocate(cx, call.clone().address(address)).await {
                // H14: gone to somebody else; another one of the same pool keeps the rest of the environment whole. The
                // answer was an error, so nothing was allocated.
                Err(f) if lost(&f, address) => {}
                answer => return answer.map_err(about(address)),
            }
        }
        let pool = spec.public_ipv4_pool.clone().filter(|p| p != "amazon" && !p.starts_with("ipam-pool-"));
        allocate(cx, call.set_public_ipv4_pool(pool)).await
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let mut calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags))];
        for todo in todo(now, want) {
            calls.push(Box::pin(async move {
                let action = todo.action();
                match todo {
                    Todo::Associate => {
                        let call = want.associate_address().map_err(unbuildable(action))?.allocation_id(id);
                        // AWS refuses both; an instance with several interfaces can only be told by the interface.
                        let call = if want.network_interface_id.is_some() { call.set_instance_id(None) } else { call };
                        call.send_with(&cx.ec2).await.map(drop).map_err(failed(action))
                    }
                    Todo::Disassociate => {
                        let here = address(cx, id).await?;
                        let Some(association) = here.and_then(|a| a.association_id) else { return Ok(()) };
                        let call = cx.ec2.disassociate_address().association_id(association);
                        gone_already(call.send().await.map_err(failed(action)))
                    }
                    Todo::SetReverseDns => {
                        let Some(reverse) = &want.reverse_dns else { return Ok(()) };
                        let call = reverse.modify_address_attribute().map_err(unbuildable(action))?.allocation_id(id);
                        call.send_with(&cx.ec2).await.map(drop).map_err(failed(action))
                    }
                    Todo::ResetReverseDns => {
                        let call = cx.ec2.reset_address_attribute().allocation_id(id);
                        let call = call.attribute(sdk::AddressAttributeName::DomainName);
                        call.send().await.map(drop).map_err(failed(action))
                    }
                }
            }));
        }
        all(calls).await
    }

    fn natural_key(spec: &Spec) -> Option<String> {
        spec.allocated_address().or(spec.carrier_ip.as_ref()).cloned()
    }

    fn readiness(_id: &str, spec: &Spec, _copies: &Copies) -> Ready {
        let address = spec.public_ip.as_deref().unwrap_or("the address");
        Ready { cost: Cost::Identity, lost: format!("{address}, once another account takes it"), remedy: None }
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:AllocateAddress"] };
        let tags = tag_calls(&now.tags, &want.tags);
        tags.into_iter().chain(todo(now, want).into_iter().map(Todo::action)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, spec},
        *,
    };
    use crate::aws::canned::{Answer, Call, Canned};
    use serde_json::{Value, json};

    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }
    const WANT: &str = "203.0.113.7";
    fn want() -> Value {
        json!({"public_ip": WANT, "public_ipv4_pool": "ipv4pool-ec2-0a", "network_border_group": "eu-west-1-lhr-1a", "tags": {"Name": "nat"}})
    }
    /// Answers AllocateAddress with the address by this error, and without it with a new one.
    fn aws(error: (&'static str, &'static str)) -> Canned {
        Canned::new(move |c: &Call| match (c.action.as_str(), c.get("Address")) {
            ("AllocateAddress", "") => {
                "<publicIp>203.0.113.99</publicIp><allocationId>eipalloc-new</allocationId>".into()
            }
            ("AllocateAddress", _) => Answer::Error(400, error.0, error.1),
            (other, _) => panic!("{other} is not expected"),
        })
    }

    #[tokio::test]
    async fn h14_an_address_that_is_free_is_taken_back_by_its_number() {
        let canned = Canned::new(|_| "<allocationId>eipalloc-1</allocationId>".into());
        let id = ElasticIp::create(&canned.cx(), &spec::<ElasticIp>(&want()), &step()).await.unwrap();
        assert_eq!(id, "eipalloc-1");
        assert_eq!(
            canned.wrote(),
            [
                "AllocateAddress Address=203.0.113.7 Domain=vpc NetworkBorderGroup=eu-west-1-lhr-1a TagSpecification.1.ResourceType=elastic-ip TagSpecification.1.Tag.1.Key=Name TagSpecification.1.Tag.1.Value=nat TagSpecification.1.Tag.2.Key=rollbackd:step TagSpecification.1.Tag.2.Value=r1/3"
            ]
        );
    }

    #[tokio::test]
    async fn h14_an_address_lost_to_others_is_replaced_from_the_same_pool() {
        for error in [
            ("InvalidAddress.NotFound", "Address '203.0.113.7' not found."),
            ("AuthFailure", "The address '203.0.113.7' does not belong to you."),
            ("InvalidParameterValue", "Address 203.0.113.7 is not valid."),
        ] {
            let canned = aws(error);
            let id = ElasticIp::create(&canned.cx(), &spec::<ElasticIp>(&want()), &step()).await.unwrap();
            let second = canned.wrote().pop().unwrap();
            assert_eq!(id, "eipalloc-new");
            assert!(
                second.contains("PublicIpv4Pool=ipv4pool-ec2-0a")
                    && second.contains("NetworkBorderGroup=eu-west-1-lhr-1a"),
                "{second}"
            );
        }
    }

    #[tokio::test]
    async fn h14_what_another_address_would_not_mend_stays_an_error() {
        for error in [
            ("AddressLimitExceeded", "The maximum number of addresses has been reached."),
            ("InvalidAddress.InUse", "203.0.113.7 is in use"),
            ("UnauthorizedOperation", "You are not authorized to perform this operation."),
            ("InvalidParameterValue", "NetworkBorderGroup is not valid"),
        ] {
            let canned = aws(error);
            let f = ElasticIp::create(&canned.cx(), &spec::<ElasticIp>(&want()), &step()).await.unwrap_err();
            assert_eq!((f.code.as_str(), canned.wrote().len()), (error.0, 1));
        }
        let managed = json!({"public_ip": WANT, "service_managed": "alb"});
        let f = ElasticIp::create(&aws(("", "")).cx(), &spec::<ElasticIp>(&managed), &step()).await.unwrap_err();
        assert!(f.message.contains("`alb` allocates this address itself"), "{f}");
    }

    #[tokio::test]
    async fn h14_an_association_that_is_not_the_users_is_left_out() {
        let address = |id: &str, eni: &str, more: &str| {
            format!(
                "<item><publicIp>203.0.113.7</publicIp><allocationId>{id}</allocationId><associationId>eipassoc-{id}</associationId><networkInterfaceId>{eni}</networkInterfaceId><privateIpAddress>10.0.0.5</privateIpAddress><instanceId></instanceId>{more}</item>"
            )
        };
        let all = [
            address("eipalloc-nat", "eni-nat", "<networkInterfaceOwnerId>111122223333</networkInterfaceOwnerId>"),
            address("eipalloc-nlb", "eni-nlb", "<networkInterfaceOwnerId>amazon-elb</networkInterfaceOwnerId>"),
            address("eipalloc-alb", "eni-alb", "<serviceManaged>alb</serviceManaged>"),
            address("eipalloc-own", "eni-own", "<networkInterfaceOwnerId>111122223333</networkInterfaceOwnerId>"),
        ]
        .concat();
        let canned = Canned::new(move |c| {
            match c.action.as_str() {
            "DescribeAddresses" => Answer::Ok(format!("<addressesSet>{all}</addressesSet>")),
            "DescribeAddressesAttribute" => "<addressSet><item><publicIp>203.0.113.7</publicIp><allocationId>eipalloc-own</allocationId><ptrRecord>mail.example.com.</ptrRecord></item></addressSet>".into(),
            _ => "<natGatewaySet><item><natGatewayId>nat-1</natGatewayId><state>available</state><natGatewayAddressSet><item><allocationId>eipalloc-nat</allocationId><networkInterfaceId>eni-nat</networkInterfaceId><isPrimary>true</isPrimary><status>succeeded</status></item></natGatewayAddressSet></item></natGatewaySet>".into(),
        }
        });
        let seen = ElasticIp::look(&canned.cx(), Which::All).await.unwrap();
        let held: Vec<_> =
            seen.iter().filter(|s| s.spec.network_interface_id.is_some()).map(|s| s.id.as_str()).collect();
        assert_eq!(held, ["eipalloc-own"]);
        assert!(seen.iter().all(|s| s.spec.instance_id.is_none()));
        assert_eq!(seen[3].spec.reverse_dns, Some(ReverseDns { ptr_record: Some("mail.example.com".into()) }));
        assert_eq!(seen[0].aliases, [Alias("203.0.113.7".into()), Alias("eipassoc-eipalloc-nat".into())]);
        assert_eq!(canned.asked().iter().filter(|c| c.action == "DescribeNatGateways").count(), 1);
        let kind = crate::kinds::registry::kind(&"ec2:elastic-ip".parse().unwrap()).unwrap();
        assert!(kind.look(&canned.cx(), Which::All).await.unwrap().iter().all(|c| c.unmapped.is_null()));
    }

    #[tokio::test]
    async fn an_interface_says_all_and_a_free_address_is_let_go_of() {
        let canned = Canned::new(|c| {
            match c.action.as_str() {
            "DescribeAddresses" => "<addressesSet><item><allocationId>eipalloc-1</allocationId><associationId>eipassoc-9</associationId></item></addressesSet>".into(),
            _ => "".into(),
        }
        });
        let free = json!({"public_ip": WANT});
        let held = json!({"public_ip": WANT, "network_interface_id": {"$late": "ec2:network-interface", "id": "eni-1"}, "instance_id": {"$late": "ec2:instance", "id": "i-1"}, "private_ip_address": "10.0.0.5"});
        assert_eq!(
            foretold::<ElasticIp>(&canned, "eipalloc-1", &free, &held).await,
            ["AssociateAddress AllocationId=eipalloc-1 NetworkInterfaceId=eni-1 PrivateIpAddress=10.0.0.5"]
        );
        assert_eq!(
            foretold::<ElasticIp>(&canned, "eipalloc-1", &held, &free).await,
            ["DisassociateAddress AssociationId=eipassoc-9"]
        );
    }

    #[tokio::test]
    async fn reverse_dns_is_given_back_to_the_same_address_only() {
        let canned = Canned::new(|_| "".into());
        let named = json!({"public_ip": WANT, "reverse_dns": {"ptr_record": "mail.example.com"}});
        assert_eq!(
            foretold::<ElasticIp>(&canned, "eipalloc-1", &json!({"public_ip": WANT}), &named).await,
            ["ModifyAddressAttribute AllocationId=eipalloc-1 DomainName=mail.example.com"]
        );
        let other = json!({"public_ip": "203.0.113.99"});
        assert_eq!(foretold::<ElasticIp>(&canned, "eipalloc-1", &other, &named).await, [] as [String; 0]);
        assert_eq!(
            foretold::<ElasticIp>(&canned, "eipalloc-1", &named, &json!({"public_ip": WANT})).await,
            ["ResetAddressAttribute AllocationId=eipalloc-1 Attribute=domain-name"]
        );
    }
}
