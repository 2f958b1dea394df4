//! `rds:event-subscription`: which events of RDS go to a topic.
use super::{PAGE_ROWS, converge_tags, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Set, Tags},
        names::{rds, sns},
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_rds::{
    operation::{
        create_event_subscription::builders::CreateEventSubscriptionInputBuilder,
        modify_event_subscription::builders::ModifyEventSubscriptionInputBuilder,
    },
    types as sdk,
};

mirror! {
    Spec from sdk::EventSubscription;
    keep {
        cust_subscription_id @ "CustSubscriptionId": Option<String>,
        sns_topic_arn @ "SnsTopicArn": Option<Ref<sns::Topic>>,
        source_type @ "SourceType": Option<String>,
        source_ids_list @ "SourceIdsList": Set<String>,
        event_categories_list @ "EventCategoriesList": Set<String>,
        enabled @ "Enabled": Option<bool>,
    }
    drop {
        customer_aws_id @ "CustomerAwsId": "the account; part of the key",
        status @ "Status": "runtime state; see settled()",
        subscription_creation_time @ "SubscriptionCreationTime": "runtime: a time",
        event_subscription_arn @ "EventSubscriptionArn": "derived from the id",
    }
    also {
        tags: Tags // ListTagsForResource
    }
}

input! {
    Spec => create_event_subscription(CreateEventSubscriptionInputBuilder);
    set {
        set_subscription_name: cust_subscription_id,
        set_sns_topic_arn: sns_topic_arn,
        set_source_type: source_type,
        set_event_categories: event_categories_list,
        set_enabled: enabled,
    }
    leave {
        source_ids: "each must be there, so they are added afterwards: converge()",
        tags: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    Spec => modify_event_subscription(ModifyEventSubscriptionInputBuilder);
    set {
        set_subscription_name: cust_subscription_id,
        set_sns_topic_arn: sns_topic_arn,
        set_source_type: source_type,
        set_event_categories: event_categories_list,
        set_enabled: enabled,
    }
}

pub struct EventSubscription;

const MODIFY: &str = "rds:ModifyEventSubscription";
const ADD: &str = "rds:AddSourceIdentifierToSubscription";
const REMOVE: &str = "rds:RemoveSourceIdentifierFromSubscription";

async fn subscriptions(cx: &Cx, name: Option<String>) -> Result<Vec<sdk::EventSubscription>, Failure> {
    let call = cx.rds.describe_event_subscriptions().set_subscription_name(name).into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(found(rows.map_err(failed("rds:DescribeEventSubscriptions")))?.unwrap_or_default())
}

/// What ModifyEventSubscription can say is not as it is wanted.
fn is_modified(now: &Spec, want: &Spec) -> bool {
    let said = |s: &Spec| (s.sns_topic_arn.clone(), s.source_type.clone(), s.event_categories_list.clone(), s.enabled);
    said(now) != said(want)
}

impl Kind for EventSubscription {
    type Name = rds::EventSubscription;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateEventSubscriptionInputBuilder>>::TABLE,
        &<Spec as Input<ModifyEventSubscriptionInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["rds:DescribeEventSubscriptions", "rds:ListTagsForResource"];
    const RESTORE: &'static [&'static str] =
        &["rds:CreateEventSubscription", MODIFY, ADD, REMOVE, "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_db_event_subscription";
    const NEVER_BACK: &'static [&'static str] = &[];
    const PHASE: Phase = Phase::Compute;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "CustSubscriptionId";
    const IMMUTABLE: &'static [&'static str] = &["cust_subscription_id"];
    const GIVEN: &'static [&'static str] = &["sns_topic_arn", "source_type", "event_categories_list", "enabled"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let mut rows = subscriptions(cx, one(which)).await?;
        rows.retain(|s| super::is_alive(s.status()) && s.cust_subscription_id().is_some_and(|id| is_asked(which, id)));
        super::each(rows, |s: sdk::EventSubscription| async move {
            let id = s.cust_subscription_id.clone().unwrap_or_default();
            let mut spec = Spec::from_sdk(&s);
            spec.tags = super::tags::<Self>(cx, &id).await?;
            Ok(Seen { id, spec, aliases: vec![] })
        })
        .await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(Self::look(cx, Which::Ids(&[id.to_owned()])).await?.pop())
    }
    async fn made_by(_cx: &Cx, _step: &Step) -> Result<Option<String>, Failure> {
        Ok(None) // found by its name: made()
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "rds:CreateEventSubscription";
        let id = spec.cust_subscription_id.clone().unwrap_or_default();
        let call = spec.create_event_subscription().map_err(unbuildable(action))?;
        let call = call.set_tags(Some(tags_on_create(&spec.tags, step)));
        super::made::<Self, _>(cx, &id, step, call.send_with(&cx.rds).await.map_err(failed(action))).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        if is_modified(now, want) {
            let call = want.modify_event_subscription().map_err(unbuildable(MODIFY))?;
            call.send_with(&cx.rds).await.map_err(failed(MODIFY))?;
        }
        let (remove, add) = super::apart(&now.source_ids_list, &want.source_ids_list);
        for source in remove {
            let call = cx.rds.remove_source_identifier_from_subscription().subscription_name(id);
            super::gone_already(call.source_identifier(source).send().await.map_err(failed(REMOVE)))?;
        }
        for source in add {
            let call = cx.rds.add_source_identifier_to_subscription().subscription_name(id);
            super::already(call.source_identifier(source).send().await.map_err(failed(ADD)))?;
        }
        converge_tags::<Self>(cx, id, &now.tags, &want.tags).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        Ok(match subscriptions(cx, Some(id.to_owned())).await?.pop().and_then(|s| s.status) {
            Some(status) if status == "active" => Settled::Ready,
            // The topic is gone, or RDS may not publish to it.
            Some(status) if status == "topic-not-exist" || status == "no-permission" => Settled::Failed(status),
            Some(status) => Settled::Waiting(status),
            None => Settled::Waiting("not listed yet".into()),
        })
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["rds:CreateEventSubscription"] };
        let (remove, add) = super::apart(&now.source_ids_list, &want.source_ids_list);
        let modify = is_modified(now, want).then_some(MODIFY);
        let moved = remove.iter().map(|_| REMOVE).chain(add.iter().map(|_| ADD));
        modify.into_iter().chain(moved).chain(tag_calls(&now.tags, &want.tags)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{aws::canned::Canned, kinds::ec2::shapes::foretold};
    use serde_json::json;

    #[tokio::test]
    async fn sources_are_added_and_removed_one_by_one_and_the_rest_in_one_call() {
        let canned = Canned::new(|_| "".into());
        let subscription = |sources: &[&str], enabled: bool| {
            json!({
                "cust_subscription_id": "alerts", "source_type": "db-instance", "source_ids_list": sources,
                "sns_topic_arn": {"$ref": "sns:topic", "id": "arn:t"}, "enabled": enabled,
            })
        };
        let (now, want) = (subscription(&["a", "b"], false), subscription(&["b", "c"], true));
        assert_eq!(
            foretold::<EventSubscription>(&canned, "alerts", &now, &want).await,
            [
                "ModifyEventSubscription Enabled=true SnsTopicArn=arn:t SourceType=db-instance SubscriptionName=alerts",
                "RemoveSourceIdentifierFromSubscription SourceIdentifier=a SubscriptionName=alerts",
                "AddSourceIdentifierToSubscription SourceIdentifier=c SubscriptionName=alerts",
            ]
        );
    }
}
