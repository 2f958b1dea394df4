//! `ec2:egress-only-igw`: made for one VPC and attached to it for as long as it lives (H12).
use super::{failed, found, held, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Set, Tags},
        names::ec2,
    },
    mirror,
    plan::{
        facts::Phase,
        preflight::{Per, Quota},
    },
};
use aws_sdk_ec2::operation::create_egress_only_internet_gateway::builders::CreateEgressOnlyInternetGatewayInputBuilder;
use aws_sdk_ec2::types as sdk;

mirror! {
    Spec from sdk::EgressOnlyInternetGateway;
    keep {
        attachments @ "attachmentSet": Set<InternetGatewayAttachment>,
        tags @ "tagSet": Tags,
    }
    drop {
        egress_only_internet_gateway_id @ "egressOnlyInternetGatewayId": "the id itself; remapped",
    }
}

mirror! {
    InternetGatewayAttachment from sdk::InternetGatewayAttachment;
    keep {
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
    }
    drop {
        state @ "state": "runtime state; one that is no longer attached is gone",
    }
}

input! {
    Spec => create_egress_only_internet_gateway(CreateEgressOnlyInternetGatewayInputBuilder);
    set {
        set_vpc_id: attachments[0].vpc_id,
    }
    leave {
        client_token: "the step's token",
        dry_run: "the engine's",
        tag_specifications: "the engine's: the spec's tags and the step's",
    }
}

/// An egress-only internet gateway.
pub struct EgressOnlyIgw;

/// Nothing for one on its way out: it is detached as it is deleted, and never otherwise.
fn seen(gateway: sdk::EgressOnlyInternetGateway) -> Option<Seen<Spec>> {
    use sdk::AttachmentStatus::{Detached, Detaching};
    if gateway.attachments.iter().flatten().any(|a| matches!(a.state, Some(Detaching | Detached))) {
        return None;
    }
    let spec = Spec::from_sdk(&gateway);
    Some(Seen { id: gateway.egress_only_internet_gateway_id?, spec, aliases: vec![] })
}

impl EgressOnlyIgw {
    /// DescribeEgressOnlyInternetGateways allows 255 rows a page.
    const PAGE_ROWS: i32 = 255;

    async fn one(cx: &Cx, id: &str) -> Result<Option<sdk::EgressOnlyInternetGateway>, Failure> {
        let call = cx.ec2.describe_egress_only_internet_gateways().egress_only_internet_gateway_ids(id).send().await;
        let answer = found(call.map_err(failed("ec2:DescribeEgressOnlyInternetGateways")))?;
        Ok(answer.and_then(|a| a.egress_only_internet_gateways?.into_iter().next()))
    }
}

impl Kind for EgressOnlyIgw {
    type Name = ec2::EgressOnlyIgw;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &InternetGatewayAttachment::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[&<Spec as Input<CreateEgressOnlyInternetGatewayInputBuilder>>::TABLE];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeEgressOnlyInternetGateways"];
    const RESTORE: &'static [&'static str] =
        &["ec2:DescribeTags", "ec2:CreateEgressOnlyInternetGateway", "ec2:CreateTags", "ec2:DeleteTags"];
    const NEVER_BACK: &'static [&'static str] = &["the id of the egress-only internet gateway"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_egress_only_internet_gateway";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "vpc",
        code: "L-45FE3B85",
        name: "Egress-only internet gateways per Region",
        default: 5,
        per: Per::Region,
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] = &["attachments"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        // The call filters by tag only, and an unknown id in its list of ids fails it; a region holds a handful.
        let pages = cx.ec2.describe_egress_only_internet_gateways().into_paginator();
        let all = pages.page_size(Self::PAGE_ROWS).items().send().try_collect().await;
        let all = all.map_err(failed("ec2:DescribeEgressOnlyInternetGateways"))?.into_iter().filter_map(seen);
        Ok(match which {
            Which::All => all.collect(),
            Which::Ids(ids) => all.filter(|s| ids.contains(&s.id)).collect(),
        })
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(Self::one(cx, id).await?.and_then(seen))
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "egress-only-internet-gateway", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateEgressOnlyInternetGateway";
        let tags = tags_on_create(sdk::ResourceType::EgressOnlyInternetGateway, &spec.tags, step)?;
        let input = spec.create_egress_only_internet_gateway().map_err(unbuildable(action))?;
        // H12, H64: this one takes a token, the same for every attempt of the step.
        let input = input.client_token(step.token()).tag_specifications(tags);
        let made = input.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        let made = made.egress_only_internet_gateway.and_then(|g| g.egress_only_internet_gateway_id);
        held(action, "egressOnlyInternetGatewayId", made)
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        super::converge_tags(cx, id, &now.tags, &want.tags).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(gateway) = Self::one(cx, id).await? else { return Ok(Settled::Waiting("not visible yet".into())) };
        let attaching = |a: &sdk::InternetGatewayAttachment| a.state == Some(sdk::AttachmentStatus::Attaching);
        let waiting = gateway.attachments.iter().flatten().any(attaching);
        Ok(if waiting { Settled::Waiting("attaching".into()) } else { Settled::Ready })
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        now.map_or(vec!["ec2:CreateEgressOnlyInternetGateway"], |now| super::tag_calls(&now.tags, &want.tags))
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

    fn gateways(rows: &[(&str, &str)]) -> Answer {
        let rows: String = rows.iter().map(|(id, state)| format!("<item><egressOnlyInternetGatewayId>{id}</egressOnlyInternetGatewayId><attachmentSet><item><vpcId>vpc-1</vpcId><state>{state}</state></item></attachmentSet></item>")).collect();
        Answer::Ok(format!("<egressOnlyInternetGatewaySet>{rows}</egressOnlyInternetGatewaySet>"))
    }

    #[tokio::test]
    async fn h12_its_create_carries_the_same_token_at_every_attempt() {
        let aws = Canned::new(|_| {
            "<egressOnlyInternetGateway><egressOnlyInternetGatewayId>eigw-9</egressOnlyInternetGatewayId></egressOnlyInternetGateway>".into()
        });
        let want = Spec::from_json(&json!({"attachments": [{"vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}}]})).unwrap();
        for _ in 0..2 {
            let step = Step { restore: "r-1".into(), number: 7 };
            assert_eq!(EgressOnlyIgw::create(&aws.cx(), &want, &step).await.unwrap(), "eigw-9");
        }
        let wrote = aws.wrote();
        assert_eq!(
            wrote[0],
            "CreateEgressOnlyInternetGateway ClientToken=rollbackd-r-1-7 TagSpecification.1.ResourceType=egress-only-internet-gateway TagSpecification.1.Tag.1.Key=rollbackd:step TagSpecification.1.Tag.1.Value=r-1/7 VpcId=vpc-1"
        );
        assert_eq!(wrote[0], wrote[1]);
    }

    #[tokio::test]
    async fn the_dying_are_gone_and_ids_are_picked_from_the_list() {
        let aws = Canned::new(|_| gateways(&[("eigw-1", "attached"), ("eigw-2", "detaching"), ("eigw-3", "attached")]));
        let ids = |seen: Vec<Seen<Spec>>| seen.into_iter().map(|s| s.id).collect::<Vec<_>>();
        assert_eq!(ids(EgressOnlyIgw::look(&aws.cx(), Which::All).await.unwrap()), ["eigw-1", "eigw-3"]);
        let some = ["eigw-2".to_owned(), "eigw-3".to_owned(), "eigw-4".to_owned()];
        assert_eq!(ids(EgressOnlyIgw::look(&aws.cx(), Which::Ids(&some)).await.unwrap()), ["eigw-3"]);
        let aws = Canned::new(|_| gateways(&[("eigw-2", "detached")]));
        assert!(EgressOnlyIgw::read(&aws.cx(), "eigw-2").await.unwrap().is_none());
    }
}
