//! `ec2:capacity-reservation`: room for instances of one type in one zone, paid for whether used or not.
//!
//! Capacity Blocks are bought and interruptible ones are split off another's: no call makes them again, so `look` leaves
//! them out. What a fleet made, the fleet makes again. Another account's are that account's.
use super::{converge_tags, failed, found, held, placement_group, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Stamp, Tags},
        names::{ec2, outposts},
    },
    mirror,
    model::Alias,
    plan::facts::Phase,
};
use aws_sdk_ec2::{
    operation::{
        create_capacity_reservation::builders::CreateCapacityReservationInputBuilder,
        modify_capacity_reservation::builders::ModifyCapacityReservationInputBuilder,
    },
    types as sdk,
};

mirror! {
    Spec from sdk::CapacityReservation;
    keep {
        instance_type @ "instanceType": Option<String>,
        instance_platform @ "instancePlatform": Option<String>,
        availability_zone @ "availabilityZone": Option<String>,
        availability_zone_id @ "availabilityZoneId": Option<String>,
        tenancy @ "tenancy": Option<String>,
        total_instance_count @ "totalInstanceCount": Option<i32>,
        ebs_optimized @ "ebsOptimized": Option<bool>,
        ephemeral_storage @ "ephemeralStorage": Option<bool>,
        start_date @ "startDate": Option<Stamp>,
        end_date @ "endDate": Option<Stamp>,
        end_date_type @ "endDateType": Option<String>,
        instance_match_criteria @ "instanceMatchCriteria": Option<String>,
        outpost_arn @ "outpostArn": Option<Ref<outposts::Outpost>>,
        placement_group_arn @ "placementGroupArn": Option<String>,
        unused_reservation_billing_owner_id @ "unusedReservationBillingOwnerId": Option<String>,
        commitment_info @ "commitmentInfo": Option<CommitmentInfo>,
        delivery_preference @ "deliveryPreference": Option<String>,
        tags @ "tagSet": Tags,
    }
    drop {
        capacity_reservation_id @ "capacityReservationId": "the id itself; remapped",
        owner_id @ "ownerId": "the account; part of the key",
        capacity_reservation_arn @ "capacityReservationArn": "derived from the id; an alias",
        available_instance_count @ "availableInstanceCount": "runtime state",
        state @ "state": "runtime state; see settled()",
        create_date @ "createDate": "runtime: a time",
        capacity_reservation_fleet_id @ "capacityReservationFleetId": "what a fleet made is left out of look(): the fleet makes it",
        capacity_allocations @ "capacityAllocationSet": "runtime state: who uses it",
        reservation_type @ "reservationType": "Capacity Blocks are left out of look(): they are bought",
        capacity_block_id @ "capacityBlockId": "Capacity Blocks are left out of look(): they are bought",
        interruptible @ "interruptible": "left out of look(): split off another reservation",
        interruptible_capacity_allocation @ "interruptibleCapacityAllocation": "runtime state: how much of it is lent out",
        interruption_info @ "interruptionInfo": "left out of look(): split off another reservation",
        adjustment_status @ "adjustmentStatus": "runtime state",
        adjustment_details @ "adjustmentDetails": "runtime state of a negotiation with AWS",
        original_start_date @ "originalStartDate": "runtime: the history of a negotiation with AWS",
        zero_size_preference @ "zeroSizePreference": "says what becomes of a reservation that was emptied; no call of this SDK sets it",
        launch_status @ "launchStatus": "runtime state",
    }
    also {
        placement_group: Option<Ref<ec2::PlacementGroup>> // DescribePlacementGroups: the group comes first
    }
}

mirror! {
    CommitmentInfo from sdk::CapacityReservationCommitmentInfo;
    keep {
        commitment_duration @ "commitmentDuration": Option<i64>,
    }
    drop {
        committed_instance_count @ "committedInstanceCount": "follows from the count that was asked for",
        commitment_end_date @ "commitmentEndDate": "runtime: a time",
    }
}

input! {
    Spec => create_capacity_reservation(CreateCapacityReservationInputBuilder);
    set {
        set_instance_type: instance_type,
        set_instance_platform: instance_platform,
        set_availability_zone: availability_zone,
        set_tenancy: tenancy,
        set_instance_count: total_instance_count,
        set_ebs_optimized: ebs_optimized,
        set_ephemeral_storage: ephemeral_storage,
        set_end_date: end_date,
        set_end_date_type: end_date_type,
        set_instance_match_criteria: instance_match_criteria,
        set_outpost_arn: outpost_arn,
        set_placement_group_arn: placement_group_arn,
        set_start_date: start_date,
        set_commitment_duration: commitment_info.commitment_duration,
        set_delivery_preference: delivery_preference,
    }
    leave {
        availability_zone_id: "availability_zone says it, and AWS refuses both",
        client_token: "the step's token",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_capacity_reservation(ModifyCapacityReservationInputBuilder);
    set {
        set_instance_count: total_instance_count,
        set_end_date: end_date,
        set_end_date_type: end_date_type,
        set_instance_match_criteria: instance_match_criteria,
    }
    leave {
        capacity_reservation_id: "the resource at hand",
        start_date: "when it began is over; a future one is negotiated with AWS",
        accept: "the answer in a negotiation with AWS",
        additional_info: "reserved by AWS",
        accept_modification_terms: "the answer in a negotiation with AWS: a person's",
        quote_id: "the answer in a negotiation with AWS: a person's",
        dry_run: "the engine's",
    }
}

pub struct CapacityReservation;

fn is_ours(r: &sdk::CapacityReservation, cx: &Cx) -> bool {
    use sdk::CapacityReservationState::{Cancelled, Expired, Failed, PaymentFailed, Unsupported};
    !matches!(r.state, Some(Cancelled | Expired | Failed | PaymentFailed | Unsupported))
        && r.owner_id().is_none_or(|o| o == cx.scope.account.as_str())
        && r.reservation_type() != Some(&sdk::CapacityReservationType::CapacityBlock)
        && r.capacity_reservation_fleet_id().is_none()
        && r.interruptible() != Some(true)
}

async fn seen(cx: &Cx, rows: Vec<sdk::CapacityReservation>) -> Result<Vec<Seen<Spec>>, Failure> {
    use sdk::CapacityReservationState::{Assessing, Delayed, Scheduled};
    let rows: Vec<_> = rows.into_iter().filter(|r| is_ours(r, cx)).collect();
    // arn:aws:ec2:REGION:ACCOUNT:placement-group/NAME: the name comes back, so the ARN is the same again.
    let name = |arn: &str| arn.rsplit_once('/').map(|(_, name)| name.to_owned());
    let names: Vec<_> = rows.iter().filter_map(|r| name(r.placement_group_arn()?)).collect();
    let groups = placement_group::by_name(cx, &names).await?;
    Ok(rows
        .into_iter()
        .filter_map(|r| {
            let mut spec = Spec::from_sdk(&r);
            // Of one that began at once this is when it did, and AWS refuses a date that has passed.
            if !matches!(r.state, Some(Scheduled | Assessing | Delayed)) {
                (spec.start_date, spec.commitment_info, spec.delivery_preference) = (None, None, None);
            }
            spec.placement_group = r.placement_group_arn().and_then(name).and_then(|n| groups.get(&n).cloned());
            let aliases = r.capacity_reservation_arn.map(Alias).into_iter().collect();
            Some(Seen { id: r.capacity_reservation_id?, spec, aliases })
        })
        .collect())
}

async fn one(cx: &Cx, id: &str) -> Result<Option<sdk::CapacityReservation>, Failure> {
    let answer = cx.ec2.describe_capacity_reservations().capacity_reservation_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeCapacityReservations")))?.and_then(|a| a.capacity_reservations);
    Ok(here.unwrap_or_default().pop())
}

/// What ModifyCapacityReservation is to say, if anything.
fn modified(now: &Spec, want: &Spec) -> Result<Option<ModifyCapacityReservationInputBuilder>, Failure> {
    let what = |s: &Spec| {
        (s.total_instance_count, s.end_date.clone(), s.end_date_type.clone(), s.instance_match_criteria.clone())
    };
    if what(now) == what(want) {
        return Ok(None);
    }
    let all = want.modify_capacity_reservation().map_err(unbuildable("ec2:ModifyCapacityReservation"))?;
    let ends = (&now.end_date, &now.end_date_type) != (&want.end_date, &want.end_date_type);
    let call = ModifyCapacityReservationInputBuilder::default()
        .set_instance_count(all.get_instance_count().filter(|_| now.total_instance_count != want.total_instance_count))
        // The date needs its type beside it; `unlimited` takes a date away.
        .set_end_date((*all.get_end_date()).filter(|_| ends))
        .set_end_date_type(all.get_end_date_type().clone().filter(|_| ends))
        .set_instance_match_criteria(
            all.get_instance_match_criteria()
                .clone()
                .filter(|_| now.instance_match_criteria != want.instance_match_criteria),
        );
    Ok(Some(call))
}

impl Kind for CapacityReservation {
    type Name = ec2::CapacityReservation;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &CommitmentInfo::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateCapacityReservationInputBuilder>>::TABLE,
        &<Spec as Input<ModifyCapacityReservationInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeCapacityReservations", "ec2:DescribePlacementGroups"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateCapacityReservation",
        "ec2:ModifyCapacityReservation",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "the id of the capacity reservation",
        "the capacity itself, where AWS has none left of that type in that zone",
        "Capacity Blocks (bought) and interruptible reservations (split off another): neither is made again",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_ec2_capacity_reservation";
    const IMMUTABLE: &'static [&'static str] = &[
        "instance_type",
        "instance_platform",
        "availability_zone",
        "availability_zone_id",
        "tenancy",
        "ebs_optimized",
        "ephemeral_storage",
        "start_date",
        "outpost_arn",
        "placement_group_arn",
        "placement_group",
        "commitment_info",
        "delivery_preference",
    ];
    const REPORTED: &'static [(&'static str, &'static str)] = &[(
        "unused_reservation_billing_owner_id",
        "the other account has to accept it: ask it again with AssociateCapacityReservationBillingOwner",
    )];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        // No filter on ids; an unknown one in the list of ids fails the call.
        let pages = cx.ec2.describe_capacity_reservations().into_paginator().page_size(super::PAGE_ROWS);
        let all: Vec<_> =
            pages.items().send().try_collect().await.map_err(failed("ec2:DescribeCapacityReservations"))?;
        let asked = |r: &sdk::CapacityReservation| match which {
            Which::All => true,
            Which::Ids(ids) => r.capacity_reservation_id.as_ref().is_some_and(|id| ids.contains(id)),
        };
        seen(cx, all.into_iter().filter(asked).collect()).await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let row = one(cx, id).await?;
        Ok(seen(cx, row.into_iter().collect()).await?.pop())
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "capacity-reservation", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateCapacityReservation";
        let tags = tags_on_create(sdk::ResourceType::CapacityReservation, &spec.tags, step)?;
        let call = spec.create_capacity_reservation().map_err(unbuildable(action))?;
        let made = call.tag_specifications(tags).client_token(step.token()).send_with(&cx.ec2_once).await;
        let made = made.map_err(failed(action))?.capacity_reservation;
        held(action, "capacityReservationId", made.and_then(|r| r.capacity_reservation_id))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        if let Some(call) = modified(now, want)? {
            let sent = call.capacity_reservation_id(id).send_with(&cx.ec2).await;
            sent.map_err(failed("ec2:ModifyCapacityReservation"))?;
        }
        converge_tags(cx, id, &now.tags, &want.tags).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        use sdk::CapacityReservationState::{Active, Cancelled, Delayed, Expired, Failed, Scheduled, Unsupported};
        let Some(r) = one(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = r.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match r.state {
            // A future one is as it was once AWS has taken it on.
            Some(Active | Scheduled | Delayed) => Settled::Ready,
            Some(Failed | Unsupported | Cancelled | Expired) => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateCapacityReservation"] };
        let modify = matches!(modified(now, want), Ok(Some(_))).then_some("ec2:ModifyCapacityReservation");
        modify.into_iter().chain(tag_calls(&now.tags, &want.tags)).collect()
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

    fn want() -> Value {
        json!({"instance_type": "m5.large", "instance_platform": "Linux/UNIX", "availability_zone": "eu-west-1a", "availability_zone_id": "euw1-az1", "tenancy": "default", "total_instance_count": 4, "ebs_optimized": true, "end_date_type": "unlimited", "instance_match_criteria": "open"})
    }

    #[tokio::test]
    async fn what_no_call_can_make_again_is_left_out_and_so_is_what_is_over() {
        let row = |id: &str, state: &str, more: &str| {
            format!(
                "<item><capacityReservationId>{id}</capacityReservationId><ownerId>111122223333</ownerId><state>{state}</state><startDate>2026-01-01T00:00:00Z</startDate>{more}</item>"
            )
        };
        let rows = [
            row(
                "cr-1",
                "active",
                "<placementGroupArn>arn:aws:ec2:eu-west-1:111122223333:placement-group/db</placementGroupArn>",
            ),
            row("cr-2", "cancelled", ""),
            row("cr-3", "expired", ""),
            row("cr-4", "active", "<reservationType>capacity-block</reservationType>"),
            row("cr-5", "active", "<capacityReservationFleetId>crf-1</capacityReservationFleetId>"),
            row("cr-6", "active", "").replace("111122223333", "999999999999"),
            row(
                "cr-7",
                "scheduled",
                "<commitmentInfo><commitmentDuration>1209600</commitmentDuration></commitmentInfo>",
            ),
            row("cr-8", "active", "<interruptible>true</interruptible>"),
        ]
        .concat();
        let canned = Canned::new(move |call| {
            match call.action.as_str() {
            "DescribePlacementGroups" => "<placementGroupSet><item><groupId>pg-1</groupId><groupName>db</groupName><state>available</state></item></placementGroupSet>".into(),
            _ => Answer::Ok(format!("<capacityReservationSet>{rows}</capacityReservationSet>")),
        }
        });
        let seen = CapacityReservation::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["cr-1", "cr-7"]);
        assert_eq!(
            (&seen[0].spec.start_date, seen[0].spec.placement_group.as_ref().unwrap().0.as_str()),
            (&None, "pg-1")
        );
        assert_eq!(seen[1].spec.start_date, Some(Stamp("2026-01-01T00:00:00Z".into())));
        assert_eq!(seen[1].spec.commitment_info.as_ref().unwrap().commitment_duration, Some(1_209_600));
    }

    #[tokio::test]
    async fn it_is_made_with_the_steps_token_and_the_zones_name_alone() {
        let canned = Canned::new(|_| {
            "<capacityReservation><capacityReservationId>cr-9</capacityReservationId></capacityReservation>".into()
        });
        let step = Step { restore: "r1".into(), number: 3 };
        let id = CapacityReservation::create(&canned.cx(), &spec::<CapacityReservation>(&want()), &step).await.unwrap();
        assert_eq!(id, "cr-9");
        let text = canned.wrote().concat();
        let text = text.split(' ').filter(|p| !p.starts_with("TagSpecification")).collect::<Vec<_>>().join(" ");
        assert_eq!(
            text,
            "CreateCapacityReservation AvailabilityZone=eu-west-1a ClientToken=rollbackd-r1-3 EbsOptimized=true EndDateType=unlimited InstanceCount=4 InstanceMatchCriteria=open InstancePlatform=Linux/UNIX InstanceType=m5.large Tenancy=default"
        );
    }

    #[tokio::test]
    async fn count_and_end_change_in_one_call_that_says_no_more() {
        let canned = Canned::new(|_| "<return>true</return>".into());
        let mut now = want();
        now["total_instance_count"] = 1.into();
        assert_eq!(
            foretold::<CapacityReservation>(&canned, "cr-1", &now, &want()).await,
            ["ModifyCapacityReservation CapacityReservationId=cr-1 InstanceCount=4"]
        );
        now["end_date_type"] = "limited".into();
        now["end_date"] = "2026-12-31T00:00:00Z".into();
        assert_eq!(
            foretold::<CapacityReservation>(&canned, "cr-1", &now, &want()).await,
            ["ModifyCapacityReservation CapacityReservationId=cr-1 EndDateType=unlimited InstanceCount=4"]
        );
    }

    #[tokio::test]
    async fn pending_waits_and_failed_says_so() {
        async fn settled(state: &str) -> Settled {
            let row = format!(
                "<capacityReservationSet><item><capacityReservationId>cr-1</capacityReservationId><state>{state}</state></item></capacityReservationSet>"
            );
            let canned = Canned::new(move |_| Answer::Ok(row.clone()));
            CapacityReservation::settled(&canned.cx(), "cr-1").await.unwrap()
        }
        assert_eq!(settled("active").await, Settled::Ready);
        assert_eq!(settled("pending").await, Settled::Waiting("pending".into()));
        assert_eq!(settled("failed").await, Settled::Failed("failed".into()));
    }
}
