//! `ec2:internet-gateway`: made bare, then attached to its VPC (H12). A VPC has one at most, and CreateDefaultVpc brings
//! one along (H2), so one that is attached already is taken over rather than doubled.
use super::{failed, filter, found, held, only, tags_on_create, unbuildable};
use crate::{
    aws::{Class, Cx, Failure},
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
use aws_sdk_ec2::operation::{
    attach_internet_gateway::builders::AttachInternetGatewayInputBuilder,
    create_internet_gateway::builders::CreateInternetGatewayInputBuilder,
};
use aws_sdk_ec2::types as sdk;

mirror! {
    Spec from sdk::InternetGateway;
    keep {
        attachments @ "attachmentSet": Set<InternetGatewayAttachment>,
        tags @ "tagSet": Tags,
    }
    drop {
        internet_gateway_id @ "internetGatewayId": "the id itself; remapped",
        owner_id @ "ownerId": "the account; part of the key",
    }
}

mirror! {
    InternetGatewayAttachment from sdk::InternetGatewayAttachment;
    keep {
        vpc_id @ "vpcId": Option<LateRef<ec2::Vpc>>,
    }
    drop {
        state @ "state": "runtime state; attachments on their way out are left out",
    }
}

input! {
    Spec => create_internet_gateway(CreateInternetGatewayInputBuilder);
    leave {
        tag_specifications: "the engine's: the spec's tags and the step's",
        dry_run: "the engine's",
    }
}

input! {
    InternetGatewayAttachment => attach_internet_gateway(AttachInternetGatewayInputBuilder);
    set {
        set_vpc_id: vpc_id,
    }
    leave {
        dry_run: "the engine's",
        internet_gateway_id: "the resource at hand",
    }
}

/// An internet gateway.
pub struct InternetGateway;

/// An attachment that is there or coming: EC2 says `available` where the SDK's enum has `attached`.
fn alive(state: &Option<sdk::AttachmentStatus>) -> bool {
    !matches!(state, Some(sdk::AttachmentStatus::Detaching | sdk::AttachmentStatus::Detached))
}
fn seen(mut gateway: sdk::InternetGateway) -> Option<Seen<Spec>> {
    if let Some(attachments) = &mut gateway.attachments {
        attachments.retain(|a| alive(&a.state));
    }
    let spec = Spec::from_sdk(&gateway);
    Some(Seen { id: gateway.internet_gateway_id?, spec, aliases: vec![] })
}

impl Spec {
    fn vpcs(&self) -> impl Iterator<Item = &str> {
        self.attachments.iter().filter_map(|a| Some(a.vpc_id.as_ref()?.0.as_str()))
    }
}
/// The VPCs to leave, then those to join.
fn moves<'a>(now: &'a Spec, want: &'a Spec) -> (Vec<&'a str>, Vec<&'a InternetGatewayAttachment>) {
    let leave = now.vpcs().filter(|v| !want.vpcs().any(|w| w == *v)).collect();
    let join = want.attachments.iter().filter(|a| a.vpc_id.is_some() && !now.attachments.contains(a)).collect();
    (leave, join)
}

impl InternetGateway {
    async fn describe(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::InternetGateway>, Failure> {
        let pages = cx.ec2.describe_internet_gateways().set_filters(filters).into_paginator();
        let all = pages.page_size(super::PAGE_ROWS).items().send().try_collect().await;
        all.map_err(failed("ec2:DescribeInternetGateways"))
    }
    async fn one(cx: &Cx, id: &str) -> Result<Option<sdk::InternetGateway>, Failure> {
        let call = cx.ec2.describe_internet_gateways().internet_gateway_ids(id).send().await;
        let answer = found(call.map_err(failed("ec2:DescribeInternetGateways")))?;
        Ok(answer.and_then(|a| a.internet_gateways?.into_iter().next()))
    }
    async fn attached_to(cx: &Cx, vpc: &str) -> Result<Option<String>, Failure> {
        let there = Self::describe(cx, Some(vec![filter("attachment.vpc-id", [vpc])])).await?;
        Ok(there.into_iter().filter_map(seen).find(|s| s.spec.vpcs().any(|v| v == vpc)).map(|s| s.id))
    }
}

impl Kind for InternetGateway {
    type Name = ec2::InternetGateway;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &InternetGatewayAttachment::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateInternetGatewayInputBuilder>>::TABLE,
        &<InternetGatewayAttachment as Input<AttachInternetGatewayInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeInternetGateways"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateInternetGateway",
        "ec2:AttachInternetGateway",
        "ec2:DetachInternetGateway",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &["the id of the internet gateway"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_internet_gateway";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "vpc",
        code: "L-A4707A72",
        name: "Internet gateways per Region",
        default: 5,
        per: Per::Region,
        uses: Quota::EACH,
    }];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        Ok(Self::describe(cx, only("internet-gateway-id", which)).await?.into_iter().filter_map(seen).collect())
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(Self::one(cx, id).await?.and_then(seen))
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "internet-gateway", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateInternetGateway";
        // H2: CreateDefaultVpc has made and attached one.
        for vpc in spec.vpcs() {
            if let Some(id) = Self::attached_to(cx, vpc).await? {
                return Ok(id);
            }
        }
        // H12, H64: no client token, so the step's tag goes with the create.
        let tags = tags_on_create(sdk::ResourceType::InternetGateway, &spec.tags, step)?;
        let input = spec.create_internet_gateway().map_err(unbuildable(action))?.tag_specifications(tags);
        let made = input.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "internetGatewayId", made.internet_gateway.and_then(|g| g.internet_gateway_id))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let (leave, join) = moves(now, want);
        for vpc in leave {
            let action = "ec2:DetachInternetGateway";
            let call = cx.ec2.detach_internet_gateway().internet_gateway_id(id).vpc_id(vpc).send().await;
            match call.map_err(failed(action)) {
                Err(f) if f.code == "Gateway.NotAttached" => {}
                other => super::gone_already(other)?,
            }
        }
        for attachment in join {
            let action = "ec2:AttachInternetGateway";
            let input = attachment.attach_internet_gateway().map_err(unbuildable(action))?;
            let call = input.internet_gateway_id(id).send_with(&cx.ec2).await.map_err(failed(action));
            // "Already associated" is success only when it is this gateway that is: a VPC has one.
            match call {
                Err(f) if f.class == Class::Exists => match Self::read(cx, id).await? {
                    Some(now) if now.spec.attachments.contains(attachment) => {}
                    _ => return Err(f),
                },
                other => drop(other?),
            }
        }
        super::converge_tags(cx, id, &now.tags, &want.tags).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(gateway) = Self::one(cx, id).await? else { return Ok(Settled::Waiting("not visible yet".into())) };
        let busy = gateway
            .attachments
            .iter()
            .flatten()
            .filter_map(|a| a.state.as_ref())
            .find(|s| matches!(s, sdk::AttachmentStatus::Attaching | sdk::AttachmentStatus::Detaching));
        Ok(busy.map_or(Settled::Ready, |s| Settled::Waiting(s.as_str().to_owned())))
    }
    /// A VPC has one internet gateway at most.
    fn natural_key(spec: &Spec) -> Option<String> {
        spec.vpcs().next().map(str::to_owned)
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateInternetGateway"] };
        let (leave, join) = moves(now, want);
        let leave = leave.iter().map(|_| "ec2:DetachInternetGateway");
        let join = join.iter().map(|_| "ec2:AttachInternetGateway");
        leave.chain(join).chain(super::tag_calls(&now.tags, &want.tags)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::mirror::Plain,
    };
    use serde_json::json;

    fn attached(vpcs: &[&str]) -> Spec {
        let rows: Vec<_> = vpcs.iter().map(|v| json!({"vpc_id": {"$late": "ec2:vpc", "id": v}})).collect();
        Spec::from_json(&json!({ "attachments": rows })).unwrap()
    }
    fn gateways(rows: &[(&str, &str, &str)]) -> Answer {
        let rows: String = rows.iter().map(|(id, vpc, state)| format!("<item><internetGatewayId>{id}</internetGatewayId><attachmentSet><item><vpcId>{vpc}</vpcId><state>{state}</state></item></attachmentSet></item>")).collect();
        Answer::Ok(format!("<internetGatewaySet>{rows}</internetGatewaySet>"))
    }
    fn step() -> Step {
        Step { restore: "r-1".into(), number: 7 }
    }

    #[tokio::test]
    async fn h2_the_gateway_that_came_with_a_default_vpc_is_taken_over() {
        let aws = Canned::new(|call| match call.get("Filter.1.Value.1") {
            "vpc-1" => gateways(&[("igw-1", "vpc-1", "available")]),
            _ if call.action == "DescribeInternetGateways" => "<internetGatewaySet/>".into(),
            _ => "<internetGateway><internetGatewayId>igw-9</internetGatewayId></internetGateway>".into(),
        });
        assert_eq!(InternetGateway::create(&aws.cx(), &attached(&["vpc-1"]), &step()).await.unwrap(), "igw-1");
        assert_eq!(aws.wrote(), [] as [String; 0]);
        assert_eq!(InternetGateway::create(&aws.cx(), &attached(&["vpc-2"]), &step()).await.unwrap(), "igw-9");
        assert_eq!(
            aws.wrote(),
            [
                "CreateInternetGateway TagSpecification.1.ResourceType=internet-gateway TagSpecification.1.Tag.1.Key=rollbackd:step TagSpecification.1.Tag.1.Value=r-1/7"
            ]
        );
        assert_eq!(InternetGateway::natural_key(&attached(&["vpc-1"])).as_deref(), Some("vpc-1"));
    }

    #[tokio::test]
    async fn h12_it_is_attached_again_and_a_second_time_sends_nothing() {
        let aws = Canned::new(|_| "<return>true</return>".into());
        let (none, one, two) = (attached(&[]), attached(&["vpc-1"]), attached(&["vpc-2"]));
        InternetGateway::converge(&aws.cx(), "igw-1", &none, &one).await.unwrap();
        InternetGateway::converge(&aws.cx(), "igw-1", &one, &two).await.unwrap();
        InternetGateway::converge(&aws.cx(), "igw-1", &two, &two).await.unwrap();
        assert_eq!(
            aws.wrote(),
            [
                "AttachInternetGateway InternetGatewayId=igw-1 VpcId=vpc-1",
                "DetachInternetGateway InternetGatewayId=igw-1 VpcId=vpc-1",
                "AttachInternetGateway InternetGatewayId=igw-1 VpcId=vpc-2",
            ]
        );
        assert_eq!(
            InternetGateway::calls(Some(&one), &two),
            ["ec2:DetachInternetGateway", "ec2:AttachInternetGateway"]
        );
    }

    #[tokio::test]
    async fn h12_already_associated_is_success_only_for_this_gateway() {
        let aws = |vpc: &'static str| {
            Canned::new(move |call| match call.action.as_str() {
                "AttachInternetGateway" => {
                    Answer::Error(400, "Resource.AlreadyAssociated", "resource igw-1 is already attached")
                }
                _ => gateways(&[("igw-1", vpc, "available")]),
            })
        };
        let (none, one) = (attached(&[]), attached(&["vpc-1"]));
        InternetGateway::converge(&aws("vpc-1").cx(), "igw-1", &none, &one).await.unwrap();
        let refused = InternetGateway::converge(&aws("vpc-2").cx(), "igw-1", &none, &one).await.unwrap_err();
        assert_eq!(refused.class, Class::Exists);
    }

    #[tokio::test]
    async fn an_attachment_on_its_way_out_is_none() {
        let aws = Canned::new(|_| gateways(&[("igw-1", "vpc-1", "detaching"), ("igw-2", "vpc-2", "available")]));
        let seen = InternetGateway::look(&aws.cx(), Which::All).await.unwrap();
        assert_eq!(
            seen.iter().map(|s| s.spec.to_json()).collect::<Vec<_>>(),
            [json!({}), attached(&["vpc-2"]).to_json()]
        );
        assert_eq!(InternetGateway::settled(&aws.cx(), "igw-1").await.unwrap(), Settled::Waiting("detaching".into()));
    }
}
