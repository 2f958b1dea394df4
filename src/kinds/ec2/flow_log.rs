//! `ec2:flow-log`: a record of the traffic of a VPC, a subnet, an interface, or a transit gateway. Nothing of it but its
//! tags can be changed, so one that differs is only told.
use super::{converge_tags, failed, found, held, only, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{AnyRef, Coverage, FromSdk, Input, Inputs, Ref, Set, Tags},
        names::{ec2, iam, logs},
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_ec2::{operation::create_flow_logs::builders::CreateFlowLogsInputBuilder, types as sdk};

mirror! {
    Spec from sdk::FlowLog;
    keep {
        deliver_logs_permission_arn @ "deliverLogsPermissionArn": Option<Ref<iam::Role>>,
        deliver_cross_account_role @ "deliverCrossAccountRole": Option<Ref<iam::Role>>,
        log_group_name @ "logGroupName": Option<Ref<logs::LogGroup>>,
        resource_id @ "resourceId": Option<AnyRef>,
        traffic_type @ "trafficType": Option<String>,
        log_destination_type @ "logDestinationType": Option<String>,
        log_destination @ "logDestination": Option<AnyRef>,
        log_format @ "logFormat": Option<String>,
        tags @ "tagSet": Tags,
        max_aggregation_interval @ "maxAggregationInterval": Option<i32>,
        destination_options @ "destinationOptions": Option<DestinationOptions>,
        tag_field_specifications @ "tagFieldSpecificationSet": Set<TagFields>,
    }
    drop {
        creation_time @ "creationTime": "runtime: a time",
        deliver_logs_error_message @ "deliverLogsErrorMessage": "runtime state of the delivery",
        deliver_logs_status @ "deliverLogsStatus": "runtime state of the delivery",
        flow_log_id @ "flowLogId": "the id itself; remapped",
        flow_log_status @ "flowLogStatus": "always ACTIVE; one that is deleted is gone at once",
    }
}

mirror! {
    DestinationOptions from sdk::DestinationOptionsResponse;
    keep {
        file_format @ "fileFormat": Option<String>,
        hive_compatible_partitions @ "hiveCompatiblePartitions": Option<bool>,
        per_hour_partition @ "perHourPartition": Option<bool>,
    }
}

mirror! {
    TagFields from sdk::TagFieldSpecificationResponse, key [resource_type];
    keep {
        resource_type @ "resourceType": Option<String>,
        tag_keys @ "tagKeySet": Set<String>,
    }
}

input! {
    Spec => create_flow_logs(CreateFlowLogsInputBuilder);
    set {
        set_deliver_logs_permission_arn: deliver_logs_permission_arn,
        set_deliver_cross_account_role: deliver_cross_account_role,
        set_log_group_name: log_group_name,
        set_traffic_type: traffic_type,
        set_log_destination_type: log_destination_type,
        set_log_destination: log_destination,
        set_log_format: log_format,
        set_max_aggregation_interval: max_aggregation_interval,
        set_destination_options: destination_options,
        set_tag_field_specifications: tag_field_specifications,
    }
    leave {
        resource_ids: "resource_id alone: one of several would get the others' tags: create()",
        resource_type: "by the form of resource_id: resource_type()",
        dry_run: "the engine's",
        client_token: "the step's token",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    DestinationOptions => sdk::DestinationOptionsRequest;
    set {
        set_file_format: file_format,
        set_hive_compatible_partitions: hive_compatible_partitions,
        set_per_hour_partition: per_hour_partition,
    }
}

input! {
    TagFields => sdk::TagFieldSpecificationRequest;
    set {
        set_resource_type: resource_type,
        set_tag_keys: tag_keys,
    }
}

/// A flow log.
pub struct FlowLog;

/// EC2's word for what is watched.
fn resource_type(id: &str) -> Option<sdk::FlowLogsResourceType> {
    use sdk::FlowLogsResourceType as Type;
    const BY_PREFIX: &[(&str, Type)] = &[
        ("vpc-", Type::Vpc),
        ("subnet-", Type::Subnet),
        ("eni-", Type::NetworkInterface),
        ("tgw-attach-", Type::TransitGatewayAttachment),
        ("tgw-", Type::TransitGateway),
        ("nat-", Type::RegionalNatGateway),
    ];
    BY_PREFIX.iter().find(|(p, _)| id.starts_with(p)).map(|(_, t)| t.clone())
}

fn seen(log: &sdk::FlowLog) -> Option<Seen<Spec>> {
    let mut spec = Spec::from_sdk(log);
    // The group's name says it; AWS refuses both.
    if spec.log_group_name.is_some() {
        spec.log_destination = None;
    }
    Some(Seen { id: log.flow_log_id.clone()?, spec, aliases: vec![] })
}

impl Kind for FlowLog {
    type Name = ec2::FlowLog;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] =
        &[&Spec::COVERAGE, &DestinationOptions::COVERAGE, &TagFields::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateFlowLogsInputBuilder>>::TABLE,
        &<DestinationOptions as Input<sdk::DestinationOptionsRequest>>::TABLE,
        &<TagFields as Input<sdk::TagFieldSpecificationRequest>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeFlowLogs"];
    // EC2 passes the role on for logs that go to CloudWatch, and asks for a delivery for those that go elsewhere.
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateFlowLogs",
        "ec2:CreateTags",
        "ec2:DeleteTags",
        "iam:PassRole",
        "logs:CreateLogDelivery",
    ];
    const NEVER_BACK: &'static [&'static str] = &["its id", "the traffic between its deletion and its restore"];
    const PHASE: Phase = Phase::Rules;
    const TERRAFORM: &'static str = "aws_flow_log";
    const IMMUTABLE: &'static [&'static str] = &[
        "deliver_logs_permission_arn",
        "deliver_cross_account_role",
        "log_group_name",
        "resource_id",
        "traffic_type",
        "log_destination_type",
        "log_destination",
        "log_format",
        "max_aggregation_interval",
        "destination_options",
        "tag_field_specifications",
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let pages = cx.ec2.describe_flow_logs().set_filter(only("flow-log-id", which)).into_paginator();
        let all: Vec<sdk::FlowLog> = pages
            .page_size(super::PAGE_ROWS)
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("ec2:DescribeFlowLogs"))?;
        Ok(all.iter().filter_map(seen).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let answer = cx.ec2.describe_flow_logs().flow_log_ids(id).send().await;
        let here = found(answer.map_err(failed("ec2:DescribeFlowLogs")))?.and_then(|a| a.flow_logs);
        Ok(here.unwrap_or_default().first().and_then(seen))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "vpc-flow-log", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateFlowLogs";
        let tags = tags_on_create(sdk::ResourceType::VpcFlowLog, &spec.tags, step)?;
        let watched = spec.resource_id.as_ref().map(|r| r.0.as_str()).unwrap_or_default();
        let Some(kind) = resource_type(watched) else {
            return Err(Failure::unbuildable(action, format!("`{watched}` is nothing that a flow log watches")));
        };
        let call = spec.create_flow_logs().map_err(unbuildable(action))?;
        let call = call.resource_ids(watched).resource_type(kind).tag_specifications(tags).client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        // What AWS will not have is told in an answer that succeeded.
        if let Some(e) = made.unsuccessful().iter().find_map(|u| u.error()) {
            return Err(Failure::of_item(action, e.code().unwrap_or_default(), e.message().unwrap_or_default()));
        }
        held(action, "flow log id", made.flow_log_ids.unwrap_or_default().pop())
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        converge_tags(cx, id, &now.tags, &want.tags).await
    }

    /// AWS takes no second one of the same traffic to the same place.
    fn natural_key(spec: &Spec) -> Option<String> {
        let group = spec.log_group_name.as_ref().map(|g| g.0.as_str());
        let to = group.or(spec.log_destination.as_ref().map(|d| d.0.as_str()))?;
        let traffic = spec.traffic_type.as_deref().unwrap_or_default();
        Some(format!("{traffic} of {} to {to}", spec.resource_id.as_ref()?.0))
    }

    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateFlowLogs"] };
        tag_calls(&now.tags, &want.tags)
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

    fn to_bucket() -> Value {
        json!({
            "resource_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "traffic_type": "REJECT", "log_destination_type": "s3",
            "log_destination": {"$ref": "s3:bucket", "id": "arn:aws:s3:::logs/flow"}, "log_format": "${srcaddr}", "max_aggregation_interval": 60,
            "destination_options": {"file_format": "parquet", "hive_compatible_partitions": true, "per_hour_partition": true},
        })
    }
    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }

    #[tokio::test]
    async fn it_is_made_for_what_it_watched() {
        let canned = Canned::new(|_| "<flowLogIdSet><item>fl-1</item></flowLogIdSet>".into());
        assert_eq!(FlowLog::create(&canned.cx(), &spec::<FlowLog>(&to_bucket()), &step()).await.unwrap(), "fl-1");
        let text = canned.wrote().concat();
        assert!(
            text.starts_with("CreateFlowLogs ClientToken=rollbackd-r1-3 DestinationOptions.FileFormat=parquet DestinationOptions.HiveCompatiblePartitions=true DestinationOptions.PerHourPartition=true LogDestination=arn:aws:s3:::logs/flow LogDestinationType=s3 LogFormat=${srcaddr} MaxAggregationInterval=60 ResourceId.1=vpc-1 ResourceType=VPC TagSpecification"),
            "{text}"
        );
        for (id, kind) in
            [("tgw-attach-1", "TransitGatewayAttachment"), ("tgw-1", "TransitGateway"), ("eni-1", "NetworkInterface")]
        {
            assert_eq!(resource_type(id).unwrap().as_str(), kind);
        }
    }

    #[tokio::test]
    async fn a_refusal_within_a_success_is_a_failure() {
        let canned = Canned::new(|_| {
            "<unsuccessful><item><resourceId>vpc-1</resourceId><error><code>FlowLogAlreadyExists</code><message>There is an existing Flow Log</message></error></item></unsuccessful>".into()
        });
        let f = FlowLog::create(&canned.cx(), &spec::<FlowLog>(&to_bucket()), &step()).await.unwrap_err();
        assert_eq!((f.class, f.message.as_str()), (Class::Exists, "There is an existing Flow Log"));
    }

    #[tokio::test]
    async fn only_tags_change_and_a_log_group_is_named_once() {
        let canned = Canned::new(|_| {
            Answer::Ok("<flowLogSet><item><flowLogId>fl-1</flowLogId><resourceId>subnet-1</resourceId><logGroupName>flow</logGroupName><logDestination>arn:aws:logs:eu-west-1:111122223333:log-group:flow</logDestination></item></flowLogSet>".into())
        });
        let seen = FlowLog::read(&canned.cx(), "fl-1").await.unwrap().unwrap().spec.to_json();
        let watched = json!({"$ref": "ec2:subnet", "id": "subnet-1"});
        assert_eq!(seen, json!({"resource_id": watched, "log_group_name": {"$ref": "logs:log-group", "id": "flow"}}));
        let mut want = seen.clone();
        want["tags"] = json!({"Name": "a"});
        want["traffic_type"] = "ALL".into();
        let sent = foretold::<FlowLog>(&canned, "fl-1", &seen, &want).await;
        assert_eq!(sent, ["CreateTags ResourceId.1=fl-1 Tag.1.Key=Name Tag.1.Value=a"]);
    }
}
