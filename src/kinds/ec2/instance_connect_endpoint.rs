//! `ec2:instance-connect-endpoint`: a way to instances without public addresses.
use super::{converge_tags, failed, found, held, only, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Set, Tags},
        names::ec2,
    },
    mirror,
    model::Alias,
    plan::facts::Phase,
};
use aws_sdk_ec2::{
    operation::{
        create_instance_connect_endpoint::builders::CreateInstanceConnectEndpointInputBuilder,
        modify_instance_connect_endpoint::builders::ModifyInstanceConnectEndpointInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;

mirror! {
    Spec from sdk::Ec2InstanceConnectEndpoint;
    keep {
        subnet_id @ "subnetId": Option<Ref<ec2::Subnet>>,
        preserve_client_ip @ "preserveClientIp": Option<bool>,
        security_group_ids @ "securityGroupIdSet": Set<Ref<ec2::SecurityGroup>>,
        tags @ "tagSet": Tags,
        ip_address_type @ "ipAddressType": Option<String>,
    }
    drop {
        owner_id @ "ownerId": "the account; part of the key",
        instance_connect_endpoint_id @ "instanceConnectEndpointId": "the id itself; remapped",
        instance_connect_endpoint_arn @ "instanceConnectEndpointArn": "derived from the id",
        state @ "state": "runtime state; see settled()",
        state_message @ "stateMessage": "runtime state; see settled()",
        dns_name @ "dnsName": "assigned by AWS at each create",
        fips_dns_name @ "fipsDnsName": "assigned by AWS at each create",
        network_interface_ids @ "networkInterfaceIdSet": "AWS's own interfaces, new at each create; aliases",
        vpc_id @ "vpcId": "follows from the subnet",
        availability_zone @ "availabilityZone": "follows from the subnet",
        availability_zone_id @ "availabilityZoneId": "follows from the subnet",
        created_at @ "createdAt": "runtime: a time",
        public_dns_names @ "publicDnsNames": "assigned by AWS at each create",
    }
}

input! {
    Spec => create_instance_connect_endpoint(CreateInstanceConnectEndpointInputBuilder);
    set {
        set_subnet_id: subnet_id,
        set_security_group_ids: security_group_ids,
        set_preserve_client_ip: preserve_client_ip,
        set_ip_address_type: ip_address_type,
    }
    leave {
        dry_run: "the engine's",
        client_token: "the step's token",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    Spec => modify_instance_connect_endpoint(ModifyInstanceConnectEndpointInputBuilder);
    set {
        set_ip_address_type: ip_address_type,
        set_security_group_ids: security_group_ids,
        set_preserve_client_ip: preserve_client_ip,
    }
    leave {
        dry_run: "the engine's",
        instance_connect_endpoint_id: "the resource at hand",
    }
}

/// An EC2 Instance Connect endpoint.
pub struct InstanceConnectEndpoint;

const ACTION: &str = "ec2:ModifyInstanceConnectEndpoint";
/// The page of this call is smaller than that of others.
const PAGE_ROWS: i32 = 50;

fn seen(mut e: sdk::Ec2InstanceConnectEndpoint) -> Option<Seen<Spec>> {
    use sdk::Ec2InstanceConnectEndpointState::{CreateFailed, DeleteComplete, DeleteInProgress};
    let alive = !matches!(e.state, Some(CreateFailed | DeleteComplete | DeleteInProgress));
    let id = e.instance_connect_endpoint_id.clone().filter(|_| alive)?;
    let aliases = e.network_interface_ids.take().unwrap_or_default().into_iter().map(Alias).collect();
    Some(Seen { id, spec: Spec::from_sdk(&e), aliases })
}

async fn endpoint(cx: &Cx, id: &str) -> Result<Option<sdk::Ec2InstanceConnectEndpoint>, Failure> {
    let answer = cx.ec2.describe_instance_connect_endpoints().instance_connect_endpoint_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeInstanceConnectEndpoints")))?;
    Ok(here.and_then(|a| a.instance_connect_endpoints).unwrap_or_default().pop())
}

/// What differs and a call can change.
fn changed(now: &Spec, want: &Spec) -> Option<Spec> {
    let groups = !want.security_group_ids.is_empty() && want.security_group_ids != now.security_group_ids;
    let set = Spec {
        subnet_id: None,
        tags: Tags::default(),
        preserve_client_ip: want.preserve_client_ip.filter(|_| want.preserve_client_ip != now.preserve_client_ip),
        security_group_ids: if groups { want.security_group_ids.clone() } else { Set::default() },
        ip_address_type: want.ip_address_type.clone().filter(|_| want.ip_address_type != now.ip_address_type),
    };
    let nothing = set.preserve_client_ip.is_none() && set.ip_address_type.is_none() && !groups;
    (!nothing).then_some(set)
}

impl Kind for InstanceConnectEndpoint {
    type Name = ec2::InstanceConnectEndpoint;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateInstanceConnectEndpointInputBuilder>>::TABLE,
        &<Spec as Input<ModifyInstanceConnectEndpointInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeInstanceConnectEndpoints"];
    // It makes its interface in the caller's name.
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateInstanceConnectEndpoint",
        "ec2:CreateNetworkInterface",
        "ec2:ModifyInstanceConnectEndpoint",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] =
        &["its id, its DNS names and the address of its network interface", "open connections through it"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_ec2_instance_connect_endpoint";
    const IMMUTABLE: &'static [&'static str] = &["subnet_id"];
    const GIVEN: &'static [&'static str] = &["preserve_client_ip", "security_group_ids", "ip_address_type"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let filters = only("instance-connect-endpoint-id", which);
        let pages = cx.ec2.describe_instance_connect_endpoints().set_filters(filters).into_paginator();
        let all: Vec<sdk::Ec2InstanceConnectEndpoint> = pages
            .page_size(PAGE_ROWS)
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("ec2:DescribeInstanceConnectEndpoints"))?;
        Ok(all.into_iter().filter_map(seen).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(endpoint(cx, id).await?.and_then(seen))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "instance-connect-endpoint", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateInstanceConnectEndpoint";
        let tags = tags_on_create(sdk::ResourceType::InstanceConnectEndpoint, &spec.tags, step)?;
        let call = spec.create_instance_connect_endpoint().map_err(unbuildable(action))?;
        let call = call.tag_specifications(tags).client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        let made = made.instance_connect_endpoint.and_then(|e| e.instance_connect_endpoint_id);
        held(action, "instance connect endpoint id", made)
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let modify = async {
            let Some(set) = changed(now, want) else { return Ok(()) };
            let call = set.modify_instance_connect_endpoint().map_err(unbuildable(ACTION))?;
            let sent = call.instance_connect_endpoint_id(id).send_with(&cx.ec2).await;
            sent.map(drop).map_err(failed(ACTION))
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(modify)];
        super::all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        use sdk::Ec2InstanceConnectEndpointState::{
            CreateFailed, CreateInProgress, DeleteComplete, DeleteInProgress, UpdateInProgress,
        };
        let Some(e) = endpoint(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = e.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match e.state {
            Some(CreateInProgress | UpdateInProgress) => Settled::Waiting(word),
            Some(CreateFailed | DeleteComplete | DeleteInProgress) => {
                Settled::Failed(format!("{word}: {}", e.state_message.unwrap_or_default()))
            }
            // One whose last change failed goes on as it was: the read-back tells.
            _ => Settled::Ready,
        })
    }

    /// A subnet has one at most.
    fn natural_key(spec: &Spec) -> Option<String> {
        Some(spec.subnet_id.as_ref()?.0.clone())
    }

    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateInstanceConnectEndpoint"] };
        tag_calls(&now.tags, &want.tags).into_iter().chain(changed(now, want).map(|_| ACTION)).collect()
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

    fn of(group: &str, preserve: bool) -> Value {
        json!({"subnet_id": {"$ref": "ec2:subnet", "id": "subnet-1"}, "security_group_ids": [{"$ref": "ec2:security-group", "id": group}], "preserve_client_ip": preserve, "ip_address_type": "ipv4"})
    }

    #[tokio::test]
    async fn it_is_made_whole_and_changed_in_one_call() {
        let canned = Canned::new(|_| {
            "<instanceConnectEndpoint><instanceConnectEndpointId>eice-1</instanceConnectEndpointId></instanceConnectEndpoint>".into()
        });
        let step = Step { restore: "r1".into(), number: 3 };
        let want = of("sg-1", true);
        let made = InstanceConnectEndpoint::create(&canned.cx(), &spec::<InstanceConnectEndpoint>(&want), &step).await;
        assert_eq!(made.unwrap(), "eice-1");
        let text = canned.wrote().concat();
        assert!(
            text.starts_with("CreateInstanceConnectEndpoint ClientToken=rollbackd-r1-3 IpAddressType=ipv4 PreserveClientIp=true SecurityGroupId.1=sg-1 SubnetId=subnet-1 TagSpecification"),
            "{text}"
        );
        assert_eq!(
            foretold::<InstanceConnectEndpoint>(&canned, "eice-1", &of("sg-2", false), &want).await,
            [
                "ModifyInstanceConnectEndpoint InstanceConnectEndpointId=eice-1 PreserveClientIp=true SecurityGroupId.1=sg-1"
            ]
        );
    }

    #[tokio::test]
    async fn h62_one_that_is_deleted_or_failed_is_not_there() {
        let all = [
            "create-in-progress",
            "create-failed",
            "update-failed",
            "delete-in-progress",
            "delete-complete",
            "delete-failed",
        ];
        let canned = Canned::new(move |_| {
            let rows = all.map(|s| {
                format!("<item><instanceConnectEndpointId>{s}</instanceConnectEndpointId><state>{s}</state></item>")
            });
            Answer::Ok(format!("<instanceConnectEndpointSet>{}</instanceConnectEndpointSet>", rows.concat()))
        });
        let seen = InstanceConnectEndpoint::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(
            seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
            ["create-in-progress", "update-failed", "delete-failed"]
        );
        let canned = Canned::new(|_| {
            "<instanceConnectEndpointSet><item><state>create-failed</state><stateMessage>no addresses left</stateMessage></item></instanceConnectEndpointSet>".into()
        });
        assert_eq!(
            InstanceConnectEndpoint::settled(&canned.cx(), "eice-1").await.unwrap(),
            Settled::Failed("create-failed: no addresses left".into())
        );
    }
}
