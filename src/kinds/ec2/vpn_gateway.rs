//! `ec2:vpn-gateway`: AWS's end of VPN connections to one VPC.
//!
//! H12: its attachment takes minutes, and one that is leaving keeps the place of the next.
use super::{
    all, converge_tags, failed, filter, found, gone_already, held, only, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, LateRef, Set, Tags},
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
        attach_vpn_gateway::builders::AttachVpnGatewayInputBuilder,
        create_vpn_gateway::builders::CreateVpnGatewayInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;

mirror! {
    Spec from sdk::VpnGateway;
    keep {
        amazon_side_asn @ "amazonSideAsn": Option<i64>,
        tags @ "tagSet": Tags,
        r#type @ "type": Option<String>,
        availability_zone @ "availabilityZone": Option<String>,
        vpc_attachments @ "attachments": Set<VpcAttachment>,
    }
    drop {
        vpn_gateway_id @ "vpnGatewayId": "the id itself; remapped",
        state @ "state": "runtime state; see settled()",
    }
}

mirror! {
    VpcAttachment from sdk::VpcAttachment, key [vpc_id];
    keep {
        vpc_id @ "vpcId": Option<LateRef<ec2::Vpc>>,
    }
    drop {
        state @ "state": "runtime state; see settled()",
    }
}

input! {
    Spec => create_vpn_gateway(CreateVpnGatewayInputBuilder);
    set {
        set_availability_zone: availability_zone,
        set_type: r#type,
        set_amazon_side_asn: amazon_side_asn,
    }
    leave {
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

input! {
    VpcAttachment => attach_vpn_gateway(AttachVpnGatewayInputBuilder);
    set {
        set_vpc_id: vpc_id,
    }
    leave {
        vpn_gateway_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

/// A virtual private gateway.
pub struct VpnGateway;

fn is_alive(g: &sdk::VpnGateway) -> bool {
    !matches!(g.state, Some(sdk::VpnState::Deleted | sdk::VpnState::Deleting))
}
fn is_attached(a: &sdk::VpcAttachment) -> bool {
    !matches!(a.state, Some(sdk::AttachmentStatus::Detached | sdk::AttachmentStatus::Detaching))
}

fn seen(mut g: sdk::VpnGateway) -> Option<Seen<Spec>> {
    let id = g.vpn_gateway_id.clone().filter(|_| is_alive(&g))?;
    if let Some(rows) = &mut g.vpc_attachments {
        rows.retain(is_attached);
    }
    Some(Seen { id, spec: Spec::from_sdk(&g), aliases: vec![] })
}

async fn gateway(cx: &Cx, id: &str) -> Result<Option<sdk::VpnGateway>, Failure> {
    let answer = cx.ec2.describe_vpn_gateways().vpn_gateway_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeVpnGateways")))?.and_then(|a| a.vpn_gateways);
    Ok(here.unwrap_or_default().pop())
}

/// VPCs to leave and to join.
fn moves<'a>(now: &'a Spec, want: &'a Spec) -> (Vec<&'a VpcAttachment>, Vec<&'a VpcAttachment>) {
    let less = |a: &'a Spec, b: &'a Spec| a.vpc_attachments.iter().filter(|x| !b.vpc_attachments.contains(x)).collect();
    (less(now, want), less(want, now))
}

impl Kind for VpnGateway {
    type Name = ec2::VpnGateway;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &VpcAttachment::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateVpnGatewayInputBuilder>>::TABLE,
        &<VpcAttachment as Input<AttachVpnGatewayInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeVpnGateways"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateVpnGateway",
        "ec2:AttachVpnGateway",
        "ec2:DetachVpnGateway",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &["its id", "its association with a Direct Connect gateway"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_vpn_gateway";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "ec2",
        code: "L-7029FAB6",
        name: "Virtual private gateways per region",
        default: 5,
        per: Per::Region,
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] = &["amazon_side_asn", "type", "availability_zone"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        // It has no pages; a filter keeps it in the larger bucket.
        let living = vec![filter("state", ["pending", "available"])];
        let filters = only("vpn-gateway-id", which).unwrap_or(living);
        let answer = cx.ec2.describe_vpn_gateways().set_filters(Some(filters)).send().await;
        let all = answer.map_err(failed("ec2:DescribeVpnGateways"))?.vpn_gateways.unwrap_or_default();
        Ok(all.into_iter().filter_map(seen).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(gateway(cx, id).await?.and_then(seen))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "vpn-gateway", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateVpnGateway";
        let tags = tags_on_create(sdk::ResourceType::VpnGateway, &spec.tags, step)?;
        let call = spec.create_vpn_gateway().map_err(unbuildable(action))?.tag_specifications(tags);
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "VPN gateway id", made.vpn_gateway.and_then(|g| g.vpn_gateway_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let attachments = async {
            let action = "ec2:AttachVpnGateway";
            let (leave, join) = moves(now, want);
            // H12: a gateway has one VPC, and the one that leaves takes minutes.
            if !join.is_empty() {
                let rows = gateway(cx, id).await?.and_then(|g| g.vpc_attachments).unwrap_or_default();
                if rows.iter().any(|a| a.state == Some(sdk::AttachmentStatus::Detaching)) {
                    return Err(Failure::busy(action, format!("{id} is still being detached")));
                }
            }
            for vpc in &leave {
                let vpc = vpc.vpc_id.as_ref().map(|v| v.0.clone());
                let call = cx.ec2.detach_vpn_gateway().vpn_gateway_id(id).set_vpc_id(vpc);
                gone_already(call.send().await.map_err(failed("ec2:DetachVpnGateway")))?;
            }
            if !leave.is_empty() && !join.is_empty() {
                return Err(Failure::busy(action, format!("{id} is being detached from where it was")));
            }
            for vpc in join {
                let call = vpc.attach_vpn_gateway().map_err(unbuildable(action))?.vpn_gateway_id(id);
                call.send_with(&cx.ec2).await.map_err(failed(action))?;
            }
            Ok(())
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(attachments)];
        all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(g) = gateway(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = g.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        // H12: attached is more than asked to attach.
        let mut rows = g.vpc_attachments.iter().flatten();
        Ok(match g.state {
            Some(sdk::VpnState::Available) if rows.any(|a| a.state == Some(sdk::AttachmentStatus::Attaching)) => {
                Settled::Waiting("attaching".into())
            }
            Some(sdk::VpnState::Available) => Settled::Ready,
            Some(sdk::VpnState::Deleted | sdk::VpnState::Deleting) => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }

    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateVpnGateway"] };
        let (leave, join) = moves(now, want);
        let leave = leave.into_iter().map(|_| "ec2:DetachVpnGateway");
        let join = join.into_iter().map(|_| "ec2:AttachVpnGateway");
        tag_calls(&now.tags, &want.tags).into_iter().chain(leave).chain(join).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, sent, spec},
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

    fn of(vpcs: &[&str]) -> Value {
        let rows: Vec<Value> = vpcs.iter().map(|v| json!({"vpc_id": {"$late": "ec2:vpc", "id": v}})).collect();
        json!({"type": "ipsec.1", "amazon_side_asn": 64512, "vpc_attachments": rows})
    }
    fn live(state: &'static str, attachments: &'static [(&'static str, &'static str)]) -> Canned {
        Canned::new(move |c| {
            let rows = attachments.iter().map(|(v, s)| format!("<item><vpcId>{v}</vpcId><state>{s}</state></item>"));
            Answer::Ok(match c.action.as_str() {
                "DescribeVpnGateways" => format!(
                    "<vpnGatewaySet><item><vpnGatewayId>vgw-1</vpnGatewayId><state>{state}</state><attachments>{}</attachments></item></vpnGatewaySet>",
                    rows.collect::<String>()
                ),
                _ => "<vpnGateway><vpnGatewayId>vgw-1</vpnGatewayId></vpnGateway>".into(),
            })
        })
    }

    #[tokio::test]
    async fn h12_it_is_made_bare_and_attached_then() {
        let canned = live("available", &[]);
        let step = Step { restore: "r1".into(), number: 3 };
        let want = of(&["vpc-1"]);
        assert_eq!(VpnGateway::create(&canned.cx(), &spec::<VpnGateway>(&want), &step).await.unwrap(), "vgw-1");
        assert_eq!(
            canned.wrote(),
            [
                "CreateVpnGateway AmazonSideAsn=64512 TagSpecification.1.ResourceType=vpn-gateway TagSpecification.1.Tag.1.Key=rollbackd:step TagSpecification.1.Tag.1.Value=r1/3 Type=ipsec.1"
            ]
        );
        assert_eq!(
            foretold::<VpnGateway>(&canned, "vgw-1", &of(&[]), &want).await,
            ["AttachVpnGateway VpcId=vpc-1 VpnGatewayId=vgw-1"]
        );
        assert_eq!(
            foretold::<VpnGateway>(&canned, "vgw-1", &want, &of(&[])).await,
            ["DetachVpnGateway VpcId=vpc-1 VpnGatewayId=vgw-1"]
        );
    }

    #[tokio::test]
    async fn h12_one_that_is_leaving_is_waited_for() {
        let canned = live("available", &[("vpc-2", "attached")]);
        let f = sent::<VpnGateway>(&canned, "vgw-1", &of(&["vpc-2"]), &of(&["vpc-1"])).await.unwrap_err();
        assert_eq!(
            (f.class, canned.wrote()),
            (Class::Busy, vec!["DetachVpnGateway VpcId=vpc-2 VpnGatewayId=vgw-1".to_owned()])
        );
        let canned = live("available", &[("vpc-2", "detaching")]);
        let f = sent::<VpnGateway>(&canned, "vgw-1", &of(&[]), &of(&["vpc-1"])).await.unwrap_err();
        assert_eq!((f.class, canned.wrote().len()), (Class::Busy, 0));
    }

    #[tokio::test]
    async fn h12_attaching_is_there_but_not_ready() {
        let canned = live("available", &[("vpc-1", "attaching"), ("vpc-2", "detaching")]);
        let seen = VpnGateway::read(&canned.cx(), "vgw-1").await.unwrap().unwrap();
        assert_eq!(seen.spec.to_json(), json!({"vpc_attachments": [{"vpc_id": {"$late": "ec2:vpc", "id": "vpc-1"}}]}));
        assert_eq!(VpnGateway::settled(&canned.cx(), "vgw-1").await.unwrap(), Settled::Waiting("attaching".into()));
        let canned = live("available", &[("vpc-1", "attached")]);
        assert_eq!(VpnGateway::settled(&canned.cx(), "vgw-1").await.unwrap(), Settled::Ready);
        let canned = live("deleting", &[]);
        assert!(VpnGateway::look(&canned.cx(), Which::All).await.unwrap().is_empty());
        assert_eq!(canned.asked()[0].get("Filter.1.Name"), "state");
    }
}
