//! `ec2:transit-gateway-attachment`: what joins a VPC, or a VPN connection, to a transit gateway.
//!
//! H18: a VPN's comes with its connection and is adopted. Those of peerings, Connect and Direct Connect are made by other
//! calls, mostly on two sides; they are not listed, and what a route table says of them is told as it fails. A VPC's owner
//! makes its attachment; where the gateway is another account's, its owner may have to accept it.
use super::{all, converge_tags, failed, filter, found, held, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, Ref, Set, Tags, change},
        names::ec2,
    },
    mirror,
    model::Scope,
    plan::{
        facts::Phase,
        preflight::{Ask, IsKnown},
    },
};
use aws_sdk_ec2::{
    operation::{
        create_transit_gateway_vpc_attachment::builders::CreateTransitGatewayVpcAttachmentInputBuilder,
        modify_transit_gateway_vpc_attachment::builders::ModifyTransitGatewayVpcAttachmentInputBuilder,
    },
    types as sdk,
};
use futures_util::future::{BoxFuture, try_join};

mirror! {
    Spec from sdk::TransitGatewayVpcAttachment;
    keep {
        transit_gateway_id @ "transitGatewayId": Option<Ref<ec2::TransitGateway>>,
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
        subnet_ids @ "subnetIds": Set<Ref<ec2::Subnet>>,
        options @ "options": Option<Options>,
        tags @ "tagSet": Tags,
    }
    drop {
        transit_gateway_attachment_id @ "transitGatewayAttachmentId": "the id itself; remapped",
        vpc_owner_id @ "vpcOwnerId": "the account; part of the key",
        state @ "state": "runtime state; see settled()",
        creation_time @ "creationTime": "runtime: a time",
    }
    also {
        vpn_connection_id: Option<Ref<ec2::VpnConnection>> // the connection that it came with
    }
}

mirror! {
    Options from sdk::TransitGatewayVpcAttachmentOptions;
    keep {
        dns_support @ "dnsSupport": Option<String>,
        security_group_referencing_support @ "securityGroupReferencingSupport": Option<String>,
        ipv6_support @ "ipv6Support": Option<String>,
        appliance_mode_support @ "applianceModeSupport": Option<String>,
    }
}

mirror! {
    /** One of a VPN connection. */
    OfVpn from sdk::TransitGatewayAttachment;
    keep {
        transit_gateway_id @ "transitGatewayId": Option<Ref<ec2::TransitGateway>>,
        resource_id @ "resourceId": Option<Ref<ec2::VpnConnection>>,
        tags @ "tagSet": Tags,
    }
    drop {
        transit_gateway_attachment_id @ "transitGatewayAttachmentId": "the id itself; remapped",
        transit_gateway_owner_id @ "transitGatewayOwnerId": "follows from the gateway",
        resource_owner_id @ "resourceOwnerId": "the account; part of the key",
        resource_type @ "resourceType": "which of the two forms it is",
        state @ "state": "runtime state; see settled()",
        association @ "association": "the route table's spec says it",
        creation_time @ "creationTime": "runtime: a time",
        nat_gateway_support @ "natGatewaySupport": "follows from the NAT gateway that it belongs to",
    }
}

input! {
    Spec => create_transit_gateway_vpc_attachment(CreateTransitGatewayVpcAttachmentInputBuilder);
    set {
        set_transit_gateway_id: transit_gateway_id,
        set_vpc_id: vpc_id,
        set_subnet_ids: subnet_ids,
        set_options: options,
    }
    leave {
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_transit_gateway_vpc_attachment(ModifyTransitGatewayVpcAttachmentInputBuilder);
    leave {
        options: "those that differ: changed()",
        transit_gateway_attachment_id: "the resource at hand",
        add_subnet_ids: "what is missing: changed()",
        remove_subnet_ids: "what is too much: changed()",
        dry_run: "the engine's",
    }
}

input! {
    Options => sdk::CreateTransitGatewayVpcAttachmentRequestOptions;
    set {
        set_dns_support: dns_support,
        set_security_group_referencing_support: security_group_referencing_support,
        set_ipv6_support: ipv6_support,
        set_appliance_mode_support: appliance_mode_support,
    }
}

input! {
    Options => sdk::ModifyTransitGatewayVpcAttachmentRequestOptions;
    set {
        set_dns_support: dns_support,
        set_security_group_referencing_support: security_group_referencing_support,
        set_ipv6_support: ipv6_support,
        set_appliance_mode_support: appliance_mode_support,
    }
}

/// What joins a VPC or a VPN connection to a transit gateway.
pub struct TransitGatewayAttachment;

const ACTION: &str = "ec2:ModifyTransitGatewayVpcAttachment";

pub(super) fn is_alive(state: Option<&sdk::TransitGatewayAttachmentState>) -> bool {
    use sdk::TransitGatewayAttachmentState::{Deleted, Deleting, Failed, Failing, Rejected, Rejecting, RollingBack};
    !matches!(state, Some(Deleted | Deleting | Failed | Failing | Rejected | Rejecting | RollingBack))
}
fn is_ours(cx: &Cx, owner: Option<&str>) -> bool {
    owner.is_none_or(|o| o == cx.scope.account.as_str())
}
fn seen_of_vpc(cx: &Cx, a: &sdk::TransitGatewayVpcAttachment) -> Option<Seen<Spec>> {
    let here = is_alive(a.state.as_ref()) && is_ours(cx, a.vpc_owner_id.as_deref());
    Some(Seen {
        id: a.transit_gateway_attachment_id.clone().filter(|_| here)?,
        spec: Spec::from_sdk(a),
        aliases: vec![],
    })
}
fn seen_of_vpn(cx: &Cx, a: &sdk::TransitGatewayAttachment) -> Option<Seen<Spec>> {
    let here = is_alive(a.state.as_ref())
        && is_ours(cx, a.resource_owner_id.as_deref())
        && a.resource_type == Some(sdk::TransitGatewayAttachmentResourceType::Vpn);
    let id = a.transit_gateway_attachment_id.clone().filter(|_| here)?;
    let OfVpn { transit_gateway_id, resource_id, tags } = OfVpn::from_sdk(a);
    let spec = Spec {
        transit_gateway_id,
        vpc_id: None,
        subnet_ids: Set::default(),
        options: None,
        tags,
        vpn_connection_id: resource_id,
    };
    Some(Seen { id, spec, aliases: vec![] })
}

async fn of_vpcs(cx: &Cx, filters: Vec<sdk::Filter>) -> Result<Vec<sdk::TransitGatewayVpcAttachment>, Failure> {
    let pages = cx.ec2.describe_transit_gateway_vpc_attachments().set_filters(Some(filters)).into_paginator();
    let pages = pages.page_size(super::PAGE_ROWS).items().send();
    pages.try_collect().await.map_err(failed("ec2:DescribeTransitGatewayVpcAttachments"))
}
async fn of_any(cx: &Cx, filters: Vec<sdk::Filter>) -> Result<Vec<sdk::TransitGatewayAttachment>, Failure> {
    let pages = cx.ec2.describe_transit_gateway_attachments().set_filters(Some(filters)).into_paginator();
    let pages = pages.page_size(super::PAGE_ROWS).items().send();
    pages.try_collect().await.map_err(failed("ec2:DescribeTransitGatewayAttachments"))
}
fn living() -> sdk::Filter {
    filter("state", ["available", "initiatingRequest", "modifying", "pending", "pendingAcceptance"])
}

/// One in any state, of any resource.
async fn attachment(cx: &Cx, id: &str) -> Result<Option<sdk::TransitGatewayAttachment>, Failure> {
    let answer = cx.ec2.describe_transit_gateway_attachments().transit_gateway_attachment_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeTransitGatewayAttachments")))?;
    Ok(here.and_then(|a| a.transit_gateway_attachments).unwrap_or_default().pop())
}

/// The one call that brings `now` to `want`, if there is anything to do.
fn changed(now: &Spec, want: &Spec) -> Result<Option<ModifyTransitGatewayVpcAttachmentInputBuilder>, Failure> {
    let less = |a: &Spec, b: &Spec| {
        let rows: Vec<String> =
            a.subnet_ids.iter().filter(|x| !b.subnet_ids.contains(x)).map(|s| s.0.clone()).collect();
        (!rows.is_empty()).then_some(rows)
    };
    let options: Option<sdk::ModifyTransitGatewayVpcAttachmentRequestOptions> = match (&now.options, &want.options) {
        (Some(a), Some(b)) if a != b => {
            let set = change(a, b).map_err(|e| Failure::unbuildable(ACTION, e))?.set;
            set.give().map_err(unbuildable(ACTION))?
        }
        (None, Some(b)) => b.give().map_err(unbuildable(ACTION))?,
        _ => None,
    };
    let call = ModifyTransitGatewayVpcAttachmentInputBuilder::default()
        .set_options(options)
        .set_add_subnet_ids(less(want, now))
        .set_remove_subnet_ids(less(now, want));
    Ok((call != ModifyTransitGatewayVpcAttachmentInputBuilder::default()).then_some(call))
}

impl Kind for TransitGatewayAttachment {
    type Name = ec2::TransitGatewayAttachment;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &Options::COVERAGE, &OfVpn::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateTransitGatewayVpcAttachmentInputBuilder>>::TABLE,
        &<Spec as Input<ModifyTransitGatewayVpcAttachmentInputBuilder>>::TABLE,
        &<Options as Input<sdk::CreateTransitGatewayVpcAttachmentRequestOptions>>::TABLE,
        &<Options as Input<sdk::ModifyTransitGatewayVpcAttachmentRequestOptions>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] =
        &["ec2:DescribeTransitGatewayAttachments", "ec2:DescribeTransitGatewayVpcAttachments"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateTransitGatewayVpcAttachment",
        "ec2:ModifyTransitGatewayVpcAttachment",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id",
        "its acceptance, association and propagation in another account's gateway: that gateway's owner must accept the new attachment (AcceptTransitGatewayVpcAttachment) and put it into its route tables",
        "attachments of peerings, Connect, Direct Connect, and of other accounts' VPCs",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_ec2_transit_gateway_vpc_attachment";
    const IMMUTABLE: &'static [&'static str] = &["transit_gateway_id", "vpc_id", "vpn_connection_id"];
    const GIVEN: &'static [&'static str] = &["subnet_ids", "options"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let narrow = match which {
            Which::All => living(),
            Which::Ids(ids) => filter("transit-gateway-attachment-id", ids),
        };
        let of_vpn = vec![narrow.clone(), filter("resource-type", ["vpn"])];
        let (vpcs, vpns) = try_join(of_vpcs(cx, vec![narrow]), of_any(cx, of_vpn)).await?;
        let vpcs = vpcs.iter().filter_map(|a| seen_of_vpc(cx, a));
        Ok(vpcs.chain(vpns.iter().filter_map(|a| seen_of_vpn(cx, a))).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let call = cx.ec2.describe_transit_gateway_vpc_attachments().transit_gateway_attachment_ids(id);
        let answer = found(call.send().await.map_err(failed("ec2:DescribeTransitGatewayVpcAttachments")))?;
        match answer.and_then(|a| a.transit_gateway_vpc_attachments).unwrap_or_default().pop() {
            Some(a) => Ok(seen_of_vpc(cx, &a)),
            None => Ok(attachment(cx, id).await?.and_then(|a| seen_of_vpn(cx, &a))),
        }
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "transit-gateway-attachment", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateTransitGatewayVpcAttachment";
        if let Some(vpn) = &spec.vpn_connection_id {
            return Err(Failure::unbuildable(action, format!("it comes with {} and is never made", vpn.0)));
        }
        let tags = tags_on_create(sdk::ResourceType::TransitGatewayAttachment, &spec.tags, step)?;
        let call = spec.create_transit_gateway_vpc_attachment().map_err(unbuildable(action))?.tag_specifications(tags);
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        let made = made.transit_gateway_vpc_attachment.and_then(|a| a.transit_gateway_attachment_id);
        held(action, "attachment id", made)
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let modify = async {
            let Some(call) = changed(now, want)? else { return Ok(()) };
            call.transit_gateway_attachment_id(id).send_with(&cx.ec2).await.map(drop).map_err(failed(ACTION))
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(modify)];
        all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        use sdk::TransitGatewayAttachmentState::{Available, PendingAcceptance};
        let Some(a) = attachment(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = a.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match &a.state {
            // H18: the owner of the gateway has to accept, which may take days: the plan says so, and nothing waits.
            Some(Available | PendingAcceptance) => Settled::Ready,
            state if !is_alive(state.as_ref()) => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }

    /// H18: a VPN's attachment comes with the connection.
    fn is_implicit(spec: &Spec) -> bool {
        spec.vpn_connection_id.is_some()
    }
    async fn implicit(cx: &Cx, want: &Spec) -> Result<Option<String>, Failure> {
        let Some(vpn) = &want.vpn_connection_id else { return Ok(None) };
        let all = of_any(cx, vec![living(), filter("resource-id", [&vpn.0])]).await?;
        Ok(all.iter().find_map(|a| seen_of_vpn(cx, a)).map(|s| s.id))
    }

    /// A gateway has one attachment of a VPC.
    fn natural_key(spec: &Spec) -> Option<String> {
        Some(format!("{} to {}", spec.vpc_id.as_ref()?.0, spec.transit_gateway_id.as_ref()?.0))
    }

    /// H18: a gateway that is not captured here is another account's, shared with this one.
    fn human(_scope: &Scope, spec: &Spec, is_known: IsKnown<'_>) -> Option<Ask> {
        let gateway = &spec.transit_gateway_id.as_ref()?.0;
        if is_known("ec2:transit-gateway", gateway) {
            return None;
        }
        Some(Ask {
            who: format!("the owner of {gateway}"),
            what: "accept the new attachment (AcceptTransitGatewayVpcAttachment) unless the gateway accepts by itself, then associate it with its route table and enable its propagation".into(),
        })
    }
    fn terraform(id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        // A VPN's is part of its connection.
        let own = spec.vpn_connection_id.is_none();
        own.then(|| (Self::TERRAFORM, id.to_owned())).into_iter().collect()
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateTransitGatewayVpcAttachment"] };
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
        aws::{
            Class,
            canned::{Answer, Canned},
        },
        kinds::mirror::Plain,
    };
    use serde_json::{Value, json};

    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }
    fn of(subnet: &str, appliance: &str) -> Value {
        json!({
            "transit_gateway_id": {"$ref": "ec2:transit-gateway", "id": "tgw-1"}, "vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"},
            "subnet_ids": [{"$ref": "ec2:subnet", "id": subnet}], "options": {"dns_support": "enable", "appliance_mode_support": appliance},
        })
    }
    fn aws() -> Canned {
        Canned::new(|c| {
            let vpc = |id: &str, owner: &str, state: &str| {
                format!(
                    "<item><transitGatewayAttachmentId>{id}</transitGatewayAttachmentId><vpcOwnerId>{owner}</vpcOwnerId><state>{state}</state></item>"
                )
            };
            let any = |id: &str, kind: &str, of: &str| {
                format!(
                    "<item><transitGatewayAttachmentId>{id}</transitGatewayAttachmentId><resourceType>{kind}</resourceType><resourceId>{of}</resourceId><state>available</state></item>"
                )
            };
            Answer::Ok(match c.action.as_str() {
                "DescribeTransitGatewayVpcAttachments" => format!("<transitGatewayVpcAttachments>{}</transitGatewayVpcAttachments>", [
                    vpc("tgw-attach-1", "111122223333", "available"), vpc("tgw-attach-2", "999988887777", "available"), vpc("tgw-attach-3", "111122223333", "deleting"), vpc("tgw-attach-4", "111122223333", "rejected"),
                ].concat()),
                "DescribeTransitGatewayAttachments" => format!("<transitGatewayAttachments>{}{}</transitGatewayAttachments>", any("tgw-attach-p", "peering", "tgw-9"), any("tgw-attach-v", "vpn", "vpn-1")),
                _ => "<transitGatewayVpcAttachment><transitGatewayAttachmentId>tgw-attach-1</transitGatewayAttachmentId></transitGatewayVpcAttachment>".into(),
            })
        })
    }

    #[tokio::test]
    async fn h18_it_is_made_whole_and_changed_in_one_call() {
        let canned = aws();
        let want = of("subnet-1", "enable");
        assert_eq!(
            TransitGatewayAttachment::create(&canned.cx(), &spec::<TransitGatewayAttachment>(&want), &step())
                .await
                .unwrap(),
            "tgw-attach-1"
        );
        let text = canned.wrote().concat();
        assert!(
            text.starts_with("CreateTransitGatewayVpcAttachment Options.ApplianceModeSupport=enable Options.DnsSupport=enable SubnetIds.1=subnet-1 TagSpecifications.1.ResourceType=transit-gateway-attachment") && text.ends_with("TransitGatewayId=tgw-1 VpcId=vpc-1"),
            "{text}"
        );
        assert_eq!(
            foretold::<TransitGatewayAttachment>(&canned, "tgw-attach-1", &of("subnet-2", "disable"), &want).await,
            [
                "ModifyTransitGatewayVpcAttachment AddSubnetIds.1=subnet-1 Options.ApplianceModeSupport=enable RemoveSubnetIds.1=subnet-2 TransitGatewayAttachmentId=tgw-attach-1"
            ]
        );
    }

    #[tokio::test]
    async fn h18_only_those_that_this_account_can_make_are_seen() {
        let seen = TransitGatewayAttachment::look(&aws().cx(), Which::All).await.unwrap();
        assert_eq!(
            seen.iter().map(|s| (s.id.as_str(), s.spec.to_json())).collect::<Vec<_>>(),
            [
                ("tgw-attach-1", json!({})),
                ("tgw-attach-v", json!({"vpn_connection_id": {"$ref": "ec2:vpn-connection", "id": "vpn-1"}}))
            ]
        );
    }

    #[tokio::test]
    async fn h18_a_vpns_attachment_is_found_and_never_made() {
        let canned = aws();
        let want = spec::<TransitGatewayAttachment>(
            &json!({"vpn_connection_id": {"$ref": "ec2:vpn-connection", "id": "vpn-1"}}),
        );
        assert!(TransitGatewayAttachment::is_implicit(&want));
        assert_eq!(
            TransitGatewayAttachment::implicit(&canned.cx(), &want).await.unwrap().as_deref(),
            Some("tgw-attach-v")
        );
        assert_eq!(canned.asked()[0].get("Filter.2.Value.1"), "vpn-1");
        assert_eq!(
            TransitGatewayAttachment::create(&canned.cx(), &want, &step()).await.unwrap_err().class,
            Class::Invalid
        );
    }

    #[tokio::test]
    async fn h18_nobody_waits_for_another_accounts_acceptance() {
        async fn settled(state: &'static str) -> Settled {
            let canned = Canned::new(move |_| {
                Answer::Ok(format!(
                    "<transitGatewayAttachments><item><state>{state}</state></item></transitGatewayAttachments>"
                ))
            });
            TransitGatewayAttachment::settled(&canned.cx(), "tgw-attach-1").await.unwrap()
        }
        assert_eq!(settled("pending").await, Settled::Waiting("pending".into()));
        assert_eq!(settled("pendingAcceptance").await, Settled::Ready);
        assert_eq!(settled("failed").await, Settled::Failed("failed".into()));
    }
}
