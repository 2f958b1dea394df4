//! `rds:db-proxy-endpoint`: a further address of a proxy; the first comes with the proxy. Drawn anew each time, as that is.
use super::{PAGE_ROWS, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Set, Tags},
        names::{ec2, rds},
    },
    mirror,
    plan::{
        facts::Phase,
        readiness::{Copies, Cost, Ready},
    },
};
use aws_sdk_rds::{
    operation::{
        create_db_proxy_endpoint::builders::CreateDbProxyEndpointInputBuilder,
        modify_db_proxy_endpoint::builders::ModifyDbProxyEndpointInputBuilder,
    },
    types as sdk,
};

mirror! {
    Spec from sdk::DbProxyEndpoint;
    keep {
        db_proxy_endpoint_name @ "DBProxyEndpointName": Option<String>,
        db_proxy_name @ "DBProxyName": Option<Ref<rds::DbProxy>>,
        vpc_security_group_ids @ "VpcSecurityGroupIds": Set<Ref<ec2::SecurityGroup>>,
        vpc_subnet_ids @ "VpcSubnetIds": Set<Ref<ec2::Subnet>>,
        target_role @ "TargetRole": Option<String>,
        endpoint_network_type @ "EndpointNetworkType": Option<String>,
    }
    drop {
        db_proxy_endpoint_arn @ "DBProxyEndpointArn": "drawn by AWS at each create",
        status @ "Status": "runtime state; see settled()",
        vpc_id @ "VpcId": "follows from the subnets",
        endpoint @ "Endpoint": "drawn by AWS at each create",
        created_date @ "CreatedDate": "runtime: a time",
        is_default @ "IsDefault": "the default endpoint comes with the proxy and is left out",
    }
    also {
        tags: Tags // ListTagsForResource
    }
}

input! {
    Spec => create_db_proxy_endpoint(CreateDbProxyEndpointInputBuilder);
    set {
        set_db_proxy_name: db_proxy_name,
        set_db_proxy_endpoint_name: db_proxy_endpoint_name,
        set_vpc_subnet_ids: vpc_subnet_ids,
        set_vpc_security_group_ids: vpc_security_group_ids,
        set_target_role: target_role,
        set_endpoint_network_type: endpoint_network_type,
    }
    leave {
        tags: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    Spec => modify_db_proxy_endpoint(ModifyDbProxyEndpointInputBuilder);
    set {
        set_vpc_security_group_ids: vpc_security_group_ids,
    }
    leave {
        db_proxy_endpoint_name: "the resource at hand",
        new_db_proxy_endpoint_name: "a name is never changed",
    }
}

pub struct DbProxyEndpoint;

const CREATE: &str = "rds:CreateDBProxyEndpoint";
const MODIFY: &str = "rds:ModifyDBProxyEndpoint";

async fn endpoints(cx: &Cx, name: Option<String>) -> Result<Vec<sdk::DbProxyEndpoint>, Failure> {
    let call = cx.rds.describe_db_proxy_endpoints().set_db_proxy_endpoint_name(name).into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    let rows: Vec<_> = found(rows.map_err(failed("rds:DescribeDBProxyEndpoints")))?.unwrap_or_default();
    Ok(rows.into_iter().filter(|e: &sdk::DbProxyEndpoint| e.is_default() != Some(true)).collect())
}
/// The ARN of an endpoint, which does not hold its name.
pub(super) async fn arn(cx: &Cx, id: &str) -> Result<Option<String>, Failure> {
    Ok(endpoints(cx, Some(id.to_owned())).await?.pop().and_then(|e| e.db_proxy_endpoint_arn))
}

impl Kind for DbProxyEndpoint {
    type Name = rds::DbProxyEndpoint;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateDbProxyEndpointInputBuilder>>::TABLE,
        &<Spec as Input<ModifyDbProxyEndpointInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["rds:DescribeDBProxyEndpoints", "rds:ListTagsForResource"];
    const RESTORE: &'static [&'static str] = &[CREATE, MODIFY, "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_db_proxy_endpoint";
    const NEVER_BACK: &'static [&'static str] =
        &["the address of the endpoint: clients must be pointed at the new one"];
    const PHASE: Phase = Phase::LoadBalancing;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBProxyEndpointName";
    const IMMUTABLE: &'static [&'static str] =
        &["db_proxy_endpoint_name", "db_proxy_name", "vpc_subnet_ids", "target_role", "endpoint_network_type"];
    const GIVEN: &'static [&'static str] = &["vpc_security_group_ids"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let mut rows = endpoints(cx, one(which)).await?;
        rows.retain(|e| {
            let status = e.status().map(|s| s.as_str());
            super::is_alive(status) && e.db_proxy_endpoint_name().is_some_and(|n| is_asked(which, n))
        });
        super::each(rows, |e: sdk::DbProxyEndpoint| async move {
            let mut spec = Spec::from_sdk(&e);
            if let Some(arn) = &e.db_proxy_endpoint_arn {
                spec.tags = Tags::from_sdk(&super::all_tags(cx, arn).await?);
            }
            Ok(Seen { id: e.db_proxy_endpoint_name.unwrap_or_default(), spec, aliases: vec![] })
        })
        .await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(Self::look(cx, Which::Ids(&[id.to_owned()])).await?.pop())
    }
    async fn made_by(_cx: &Cx, _step: &Step) -> Result<Option<String>, Failure> {
        Ok(None) // found by its name: made_at()
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let id = spec.db_proxy_endpoint_name.clone().unwrap_or_default();
        let call = spec.create_db_proxy_endpoint().map_err(unbuildable(CREATE))?;
        let call = call.set_tags(Some(tags_on_create(&spec.tags, step)));
        let answer = call.send_with(&cx.rds).await.map_err(failed(CREATE));
        super::made_at(cx, arn(cx, &id), &id, step, answer).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        if now.vpc_security_group_ids != want.vpc_security_group_ids {
            let call = want.modify_db_proxy_endpoint().map_err(unbuildable(MODIFY))?.db_proxy_endpoint_name(id);
            call.send_with(&cx.rds).await.map_err(failed(MODIFY))?;
        }
        if now.tags != want.tags
            && let Some(arn) = arn(cx, id).await?
        {
            super::converge_tags_at(cx, arn, &now.tags, &want.tags).await?;
        }
        Ok(())
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let status = endpoints(cx, Some(id.to_owned())).await?.pop().and_then(|e| e.status);
        Ok(super::is_available(status.as_ref().map(|s| s.as_str())))
    }
    fn readiness(_id: &str, _spec: &Spec, _copies: &Copies) -> Ready {
        Ready { cost: Cost::Identity, lost: "its address: clients must be pointed at the new one".into(), remedy: None }
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec![CREATE] };
        let modify = (now.vpc_security_group_ids != want.vpc_security_group_ids).then_some(MODIFY);
        modify.into_iter().chain(tag_calls(&now.tags, &want.tags)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::ec2::shapes::foretold,
    };
    use serde_json::json;

    #[tokio::test]
    async fn the_first_address_of_a_proxy_is_the_proxys_own() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeDBProxyEndpoints" => "<DBProxyEndpoints><member><DBProxyEndpointName>default</DBProxyEndpointName><IsDefault>true</IsDefault></member><member><DBProxyEndpointName>reads</DBProxyEndpointName><DBProxyName>front</DBProxyName><TargetRole>READ_ONLY</TargetRole><DBProxyEndpointArn>arn:e</DBProxyEndpointArn></member></DBProxyEndpoints>".into(),
            _ => Answer::Ok("<TagList><Tag><Key>a</Key><Value>1</Value></Tag></TagList>".into()),
        }
        });
        let seen = DbProxyEndpoint::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["reads"]);
        assert_eq!(seen[0].spec.tags.0["a"], "1");
        let of = |group: &str| json!({"vpc_security_group_ids": [{"$ref": "ec2:security-group", "id": group}]});
        assert_eq!(
            foretold::<DbProxyEndpoint>(&canned, "reads", &of("sg-1"), &of("sg-2")).await,
            ["ModifyDBProxyEndpoint DBProxyEndpointName=reads VpcSecurityGroupIds.member.1=sg-2"]
        );
    }
}
