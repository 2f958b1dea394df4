//! `ec2:transit-gateway`: the hub of VPCs and VPNs.
//!
//! H18: it is made without default route tables, or AWS would add one of its own to those that come back: tables are made
//! as they were, and then named as the defaults. One that another account shares is not listed.
use super::{all, converge_tags, failed, filter, found, held, only, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, LateRef, Set, Tags},
        names::ec2,
    },
    mirror,
    plan::{
        facts::Phase,
        preflight::{Per, Quota},
    },
};
use aws_sdk_ec2::{
    operation::{
        create_transit_gateway::builders::CreateTransitGatewayInputBuilder,
        modify_transit_gateway::builders::ModifyTransitGatewayInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;

mirror! {
    Spec from sdk::TransitGateway;
    keep {
        description @ "description": Option<String>,
        options @ "options": Option<Options>,
        tags @ "tagSet": Tags,
    }
    drop {
        transit_gateway_id @ "transitGatewayId": "the id itself; remapped",
        transit_gateway_arn @ "transitGatewayArn": "derived from the id",
        state @ "state": "runtime state; see settled()",
        owner_id @ "ownerId": "the account; part of the key",
        creation_time @ "creationTime": "runtime: a time",
    }
    also {
        fixed_options: Option<FixedOptions>, // apart from those that can be changed
        encryption_support: Option<String> // as a call takes it
    }
}

mirror! {
    /** What of the options can be changed. */
    Options from sdk::TransitGatewayOptions;
    keep {
        amazon_side_asn @ "amazonSideAsn": Option<i64>,
        transit_gateway_cidr_blocks @ "transitGatewayCidrBlocks": Set<String>,
        auto_accept_shared_attachments @ "autoAcceptSharedAttachments": Option<String>,
        default_route_table_association @ "defaultRouteTableAssociation": Option<String>,
        association_default_route_table_id @ "associationDefaultRouteTableId": Option<LateRef<ec2::TransitGatewayRouteTable>>,
        default_route_table_propagation @ "defaultRouteTablePropagation": Option<String>,
        propagation_default_route_table_id @ "propagationDefaultRouteTableId": Option<LateRef<ec2::TransitGatewayRouteTable>>,
        vpn_ecmp_support @ "vpnEcmpSupport": Option<String>,
        dns_support @ "dnsSupport": Option<String>,
        security_group_referencing_support @ "securityGroupReferencingSupport": Option<String>,
    }
    drop {
        multicast_support @ "multicastSupport": "one of `fixed_options`",
        encryption_support @ "encryptionSupport": "`encryption_support` of the gateway, without its runtime state",
    }
}

mirror! {
    /** What of the options only a create call takes. */
    FixedOptions from sdk::TransitGatewayOptions;
    keep {
        multicast_support @ "multicastSupport": Option<String>,
    }
    drop {
        amazon_side_asn @ "amazonSideAsn": "one of `options`",
        transit_gateway_cidr_blocks @ "transitGatewayCidrBlocks": "one of `options`",
        auto_accept_shared_attachments @ "autoAcceptSharedAttachments": "one of `options`",
        default_route_table_association @ "defaultRouteTableAssociation": "one of `options`",
        association_default_route_table_id @ "associationDefaultRouteTableId": "one of `options`",
        default_route_table_propagation @ "defaultRouteTablePropagation": "one of `options`",
        propagation_default_route_table_id @ "propagationDefaultRouteTableId": "one of `options`",
        vpn_ecmp_support @ "vpnEcmpSupport": "one of `options`",
        dns_support @ "dnsSupport": "one of `options`",
        security_group_referencing_support @ "securityGroupReferencingSupport": "one of `options`",
        encryption_support @ "encryptionSupport": "`encryption_support` of the gateway, without its runtime state",
    }
}

input! {
    Spec => create_transit_gateway(CreateTransitGatewayInputBuilder);
    set {
        set_description: description,
        set_options: options,
    }
    leave {
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_transit_gateway(ModifyTransitGatewayInputBuilder);
    leave {
        description: "where it differs: changed()",
        options: "those that differ: changed()",
        transit_gateway_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    Options => sdk::TransitGatewayRequestOptions;
    set {
        set_amazon_side_asn: amazon_side_asn,
        set_auto_accept_shared_attachments: auto_accept_shared_attachments,
        set_vpn_ecmp_support: vpn_ecmp_support,
        set_dns_support: dns_support,
        set_security_group_referencing_support: security_group_referencing_support,
        set_transit_gateway_cidr_blocks: transit_gateway_cidr_blocks,
    }
    leave {
        default_route_table_association: "disabled until the table is there: create()",
        default_route_table_propagation: "disabled until the table is there: create()",
        multicast_support: "one of the fixed options: create()",
    }
}

input! {
    Options => sdk::ModifyTransitGatewayOptions;
    set {
        set_vpn_ecmp_support: vpn_ecmp_support,
        set_dns_support: dns_support,
        set_security_group_referencing_support: security_group_referencing_support,
        set_auto_accept_shared_attachments: auto_accept_shared_attachments,
        set_default_route_table_association: default_route_table_association,
        set_association_default_route_table_id: association_default_route_table_id,
        set_default_route_table_propagation: default_route_table_propagation,
        set_propagation_default_route_table_id: propagation_default_route_table_id,
        set_amazon_side_asn: amazon_side_asn,
    }
    leave {
        add_transit_gateway_cidr_blocks: "what is missing: changed()",
        remove_transit_gateway_cidr_blocks: "what is too much: changed()",
        encryption_support: "where it differs: changed()",
    }
}

/// A transit gateway.
pub struct TransitGateway;

const ACTION: &str = "ec2:ModifyTransitGateway";

fn seen(cx: &Cx, g: &sdk::TransitGateway) -> Option<Seen<Spec>> {
    let alive = !matches!(g.state, Some(sdk::TransitGatewayState::Deleted | sdk::TransitGatewayState::Deleting));
    let ours = g.owner_id.as_deref().is_none_or(|o| o == cx.scope.account.as_str());
    let id = g.transit_gateway_id.clone().filter(|_| alive && ours)?;
    let mut spec = Spec::from_sdk(g);
    spec.description = spec.description.filter(|d| !d.is_empty());
    if let Some(o) = &g.options {
        use sdk::EncryptionStateValue::{Enabled, Enabling};
        spec.fixed_options = Some(FixedOptions::from_sdk(o)).filter(|f| f.multicast_support.is_some());
        let on = o.encryption_support.as_ref().is_some_and(|e| matches!(e.encryption_state, Some(Enabled | Enabling)));
        spec.encryption_support = on.then(|| "enable".to_owned());
    }
    Some(Seen { id, spec, aliases: vec![] })
}

/// The one call that brings `now` to `want`, if there is anything to do.
fn changed(now: &Spec, want: &Spec) -> Result<Option<ModifyTransitGatewayInputBuilder>, Failure> {
    let none = Options {
        amazon_side_asn: None,
        transit_gateway_cidr_blocks: Set::default(),
        auto_accept_shared_attachments: None,
        default_route_table_association: None,
        association_default_route_table_id: None,
        default_route_table_propagation: None,
        propagation_default_route_table_id: None,
        vpn_ecmp_support: None,
        dns_support: None,
        security_group_referencing_support: None,
    };
    let of = |s: &Spec| s.options.clone().unwrap_or(none.clone());
    let (a, b) = (of(now), of(want));
    fn differs<T: Clone + PartialEq>(a: &Option<T>, b: &Option<T>) -> Option<T> {
        b.clone().filter(|_| a != b)
    }
    let mut set = Options {
        amazon_side_asn: differs(&a.amazon_side_asn, &b.amazon_side_asn),
        auto_accept_shared_attachments: differs(&a.auto_accept_shared_attachments, &b.auto_accept_shared_attachments),
        vpn_ecmp_support: differs(&a.vpn_ecmp_support, &b.vpn_ecmp_support),
        dns_support: differs(&a.dns_support, &b.dns_support),
        security_group_referencing_support: differs(
            &a.security_group_referencing_support,
            &b.security_group_referencing_support,
        ),
        ..none.clone()
    };
    // H18: a default is switched on together with its table.
    let association =
        |o: &Options| (o.default_route_table_association.clone(), o.association_default_route_table_id.clone());
    if association(&a) != association(&b) {
        (set.default_route_table_association, set.association_default_route_table_id) = association(&b);
    }
    let propagation =
        |o: &Options| (o.default_route_table_propagation.clone(), o.propagation_default_route_table_id.clone());
    if propagation(&a) != propagation(&b) {
        (set.default_route_table_propagation, set.propagation_default_route_table_id) = propagation(&b);
    }
    let less = |a: &[String], b: &[String]| {
        let rows: Vec<String> = a.iter().filter(|x| !b.contains(x)).cloned().collect();
        (!rows.is_empty()).then_some(rows)
    };
    let given: Option<sdk::ModifyTransitGatewayOptions> = set.give().map_err(unbuildable(ACTION))?;
    let options = given.map(|mut o| {
        o.add_transit_gateway_cidr_blocks = less(&b.transit_gateway_cidr_blocks, &a.transit_gateway_cidr_blocks);
        o.remove_transit_gateway_cidr_blocks = less(&a.transit_gateway_cidr_blocks, &b.transit_gateway_cidr_blocks);
        let encryption = want.encryption_support.as_deref().unwrap_or("disable");
        o.encryption_support = (now.encryption_support != want.encryption_support).then(|| encryption.into());
        o
    });
    let nothing = sdk::ModifyTransitGatewayOptions::builder().build();
    let description = (now.description != want.description).then(|| want.description.clone().unwrap_or_default());
    let call = ModifyTransitGatewayInputBuilder::default()
        .set_description(description)
        .set_options(options.filter(|o| *o != nothing));
    Ok((call != ModifyTransitGatewayInputBuilder::default()).then_some(call))
}

async fn gateway(cx: &Cx, id: &str) -> Result<Option<sdk::TransitGateway>, Failure> {
    let answer = cx.ec2.describe_transit_gateways().transit_gateway_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeTransitGateways")))?.and_then(|a| a.transit_gateways);
    Ok(here.unwrap_or_default().pop())
}

impl Kind for TransitGateway {
    type Name = ec2::TransitGateway;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &Options::COVERAGE, &FixedOptions::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateTransitGatewayInputBuilder>>::TABLE,
        &<Spec as Input<ModifyTransitGatewayInputBuilder>>::TABLE,
        &<Options as Input<sdk::TransitGatewayRequestOptions>>::TABLE,
        &<Options as Input<sdk::ModifyTransitGatewayOptions>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeTransitGateways"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateTransitGateway",
        "ec2:ModifyTransitGateway",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id, which attachments of other accounts name",
        "its sharing with other accounts (RAM), and their attachments: they must attach to the new one",
        "its peering, Connect and Direct Connect attachments, its policy tables and multicast domains",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_ec2_transit_gateway";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "ec2",
        code: "L-A2478D36",
        name: "Transit gateways per account",
        default: 5,
        per: Per::Region,
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] = &["fixed_options"];
    const GIVEN: &'static [&'static str] = &["description"];
    // Once the defaults are on, AWS puts every new attachment into them: those of this restore come before.
    const LINK_AFTER: &'static [&'static str] = &["ec2:transit-gateway-route-table"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let ours = Some(vec![filter("owner-id", [cx.scope.account.as_str()])]);
        let filters = only("transit-gateway-id", which).or(ours);
        let pages = cx.ec2.describe_transit_gateways().set_filters(filters).into_paginator();
        let all: Vec<sdk::TransitGateway> = pages
            .page_size(super::PAGE_ROWS)
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("ec2:DescribeTransitGateways"))?;
        Ok(all.iter().filter_map(|g| seen(cx, g)).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(gateway(cx, id).await?.and_then(|g| seen(cx, &g)))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "transit-gateway", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateTransitGateway";
        let tags = tags_on_create(sdk::ResourceType::TransitGateway, &spec.tags, step)?;
        let mut call = spec.create_transit_gateway().map_err(unbuildable(action))?;
        let mut options =
            call.get_options().clone().unwrap_or_else(|| sdk::TransitGatewayRequestOptions::builder().build());
        // H18: no table but those that come back.
        options.default_route_table_association = Some(sdk::DefaultRouteTableAssociationValue::Disable);
        options.default_route_table_propagation = Some(sdk::DefaultRouteTablePropagationValue::Disable);
        let multicast = spec.fixed_options.as_ref().and_then(|f| f.multicast_support.as_deref());
        options.multicast_support = multicast.map(Into::into);
        call = call.options(options).tag_specifications(tags);
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "transit gateway id", made.transit_gateway.and_then(|g| g.transit_gateway_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let modify = async {
            let Some(call) = changed(now, want)? else { return Ok(()) };
            call.transit_gateway_id(id).send_with(&cx.ec2).await.map(drop).map_err(failed(ACTION))
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(modify)];
        all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(g) = gateway(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = g.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match g.state {
            Some(sdk::TransitGatewayState::Available) => Settled::Ready,
            Some(sdk::TransitGatewayState::Deleted | sdk::TransitGatewayState::Deleting) => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }

    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateTransitGateway"] };
        let modify = changed(now, want).ok().flatten().map(|_| ACTION);
        tag_calls(&now.tags, &want.tags).into_iter().chain(modify).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, spec},
        *,
    };
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::mirror::Plain,
    };
    use serde_json::{Value, json};

    fn of(defaults: Option<&str>) -> Value {
        let mut v = json!({
            "description": "hub", "fixed_options": {"multicast_support": "disable"},
            "options": {"amazon_side_asn": 64512, "dns_support": "enable", "transit_gateway_cidr_blocks": ["10.99.0.0/24"],
                "default_route_table_association": "disable", "default_route_table_propagation": "disable"},
        });
        if let Some(table) = defaults {
            for (member, which) in
                [("association", "default_route_table_association"), ("propagation", "default_route_table_propagation")]
            {
                v["options"][which] = "enable".into();
                v["options"][format!("{member}_default_route_table_id")] =
                    json!({"$late": "ec2:transit-gateway-route-table", "id": table});
            }
        }
        v
    }

    #[tokio::test]
    async fn h18_it_is_made_without_default_tables_and_gets_its_own_as_defaults() {
        let canned =
            Canned::new(|_| "<transitGateway><transitGatewayId>tgw-1</transitGatewayId></transitGateway>".into());
        let step = Step { restore: "r1".into(), number: 3 };
        let want = of(Some("tgw-rtb-1"));
        assert_eq!(TransitGateway::create(&canned.cx(), &spec::<TransitGateway>(&want), &step).await.unwrap(), "tgw-1");
        let text = canned.wrote().concat();
        assert!(
            text.starts_with("CreateTransitGateway Description=hub Options.AmazonSideAsn=64512 Options.DefaultRouteTableAssociation=disable Options.DefaultRouteTablePropagation=disable Options.DnsSupport=enable Options.MulticastSupport=disable Options.TransitGatewayCidrBlocks.1=10.99.0.0/24 TagSpecification"),
            "{text}"
        );
        assert_eq!(
            foretold::<TransitGateway>(&canned, "tgw-1", &of(None), &want).await,
            [
                "ModifyTransitGateway Options.AssociationDefaultRouteTableId=tgw-rtb-1 Options.DefaultRouteTableAssociation=enable Options.DefaultRouteTablePropagation=enable Options.PropagationDefaultRouteTableId=tgw-rtb-1 TransitGatewayId=tgw-1"
            ]
        );
    }

    #[tokio::test]
    async fn only_what_differs_is_sent() {
        let canned = Canned::new(|_| "".into());
        let mut now = of(None);
        now["description"] = "old".into();
        now["options"]["transit_gateway_cidr_blocks"] = json!(["10.98.0.0/24"]);
        now["encryption_support"] = "enable".into();
        assert_eq!(
            foretold::<TransitGateway>(&canned, "tgw-1", &now, &of(None)).await,
            [
                "ModifyTransitGateway Description=hub Options.AddTransitGatewayCidrBlocks.1=10.99.0.0/24 Options.EncryptionSupport=disable Options.RemoveTransitGatewayCidrBlocks.1=10.98.0.0/24 TransitGatewayId=tgw-1"
            ]
        );
    }

    #[tokio::test]
    async fn h18_shared_and_dying_ones_are_not_seen() {
        let canned = Canned::new(|_| {
            let one = |id: &str, owner: &str, state: &str| {
                format!(
                    "<item><transitGatewayId>{id}</transitGatewayId><ownerId>{owner}</ownerId><state>{state}</state><options><encryptionSupport><encryptionState>enabling</encryptionState></encryptionSupport></options></item>"
                )
            };
            let rows = [
                one("tgw-1", "111122223333", "modifying"),
                one("tgw-2", "999988887777", "available"),
                one("tgw-3", "111122223333", "deleting"),
                one("tgw-4", "111122223333", "deleted"),
            ];
            Answer::Ok(format!("<transitGatewaySet>{}</transitGatewaySet>", rows.concat()))
        });
        let seen = TransitGateway::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(
            seen.iter().map(|s| (s.id.as_str(), s.spec.to_json())).collect::<Vec<_>>(),
            [("tgw-1", json!({"encryption_support": "enable"}))]
        );
        let canned =
            Canned::new(|_| "<transitGatewaySet><item><state>modifying</state></item></transitGatewaySet>".into());
        assert_eq!(TransitGateway::settled(&canned.cx(), "tgw-1").await.unwrap(), Settled::Waiting("modifying".into()));
    }
}
