//! `rds:db-cluster-endpoint`: an address of a cluster that somebody made for some of its members. The writer's and the
//! readers' come with the cluster.
use super::{PAGE_ROWS, converge_tags, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, LateRef, Ref, Set, Tags},
        names::rds,
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_rds::{
    operation::{
        create_db_cluster_endpoint::builders::CreateDbClusterEndpointInputBuilder,
        modify_db_cluster_endpoint::builders::ModifyDbClusterEndpointInputBuilder,
    },
    types as sdk,
};

mirror! {
    Spec from sdk::DbClusterEndpoint;
    keep {
        db_cluster_endpoint_identifier @ "DBClusterEndpointIdentifier": Option<String>,
        db_cluster_identifier @ "DBClusterIdentifier": Option<Ref<rds::DbCluster>>,
        custom_endpoint_type @ "CustomEndpointType": Option<String>,
        static_members @ "StaticMembers": Set<LateRef<rds::DbInstance>>,
        excluded_members @ "ExcludedMembers": Set<LateRef<rds::DbInstance>>,
    }
    drop {
        db_cluster_endpoint_resource_identifier @ "DBClusterEndpointResourceIdentifier": "drawn by AWS at each create",
        endpoint @ "Endpoint": "follows from the name, the account and the region",
        status @ "Status": "runtime state; see settled()",
        endpoint_type @ "EndpointType": "only those that somebody made are kept: CUSTOM",
        db_cluster_endpoint_arn @ "DBClusterEndpointArn": "derived from the id",
    }
    also {
        tags: Tags // ListTagsForResource
    }
}

input! {
    Spec => create_db_cluster_endpoint(CreateDbClusterEndpointInputBuilder);
    set {
        set_db_cluster_identifier: db_cluster_identifier,
        set_db_cluster_endpoint_identifier: db_cluster_endpoint_identifier,
        set_endpoint_type: custom_endpoint_type,
    }
    leave {
        static_members: "members are named once they are there: converge()",
        excluded_members: "members are named once they are there: converge()",
        tags: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    Spec => modify_db_cluster_endpoint(ModifyDbClusterEndpointInputBuilder);
    set {
        set_endpoint_type: custom_endpoint_type,
        set_static_members: static_members,
        set_excluded_members: excluded_members,
    }
    leave {
        db_cluster_endpoint_identifier: "the resource at hand",
    }
}

pub struct DbClusterEndpoint;

const CREATE: &str = "rds:CreateDBClusterEndpoint";
const MODIFY: &str = "rds:ModifyDBClusterEndpoint";

async fn endpoints(cx: &Cx, id: Option<String>) -> Result<Vec<sdk::DbClusterEndpoint>, Failure> {
    let call = cx.rds.describe_db_cluster_endpoints().set_db_cluster_endpoint_identifier(id).into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    let rows: Vec<_> = found(rows.map_err(failed("rds:DescribeDBClusterEndpoints")))?.unwrap_or_default();
    Ok(rows.into_iter().filter(|e: &sdk::DbClusterEndpoint| e.endpoint_type() == Some("CUSTOM")).collect())
}

fn is_modified(now: &Spec, want: &Spec) -> bool {
    let said = |s: &Spec| (s.custom_endpoint_type.clone(), s.static_members.clone(), s.excluded_members.clone());
    said(now) != said(want)
}

impl Kind for DbClusterEndpoint {
    type Name = rds::DbClusterEndpoint;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateDbClusterEndpointInputBuilder>>::TABLE,
        &<Spec as Input<ModifyDbClusterEndpointInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["rds:DescribeDBClusterEndpoints", "rds:ListTagsForResource"];
    const RESTORE: &'static [&'static str] = &[CREATE, MODIFY, "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_rds_cluster_endpoint";
    const NEVER_BACK: &'static [&'static str] = &[];
    const PHASE: Phase = Phase::LoadBalancing;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBClusterEndpointIdentifier";
    const IMMUTABLE: &'static [&'static str] = &["db_cluster_endpoint_identifier", "db_cluster_identifier"];
    const GIVEN: &'static [&'static str] = &["custom_endpoint_type"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let mut rows = endpoints(cx, one(which)).await?;
        rows.retain(|e| {
            super::is_alive(e.status()) && e.db_cluster_endpoint_identifier().is_some_and(|id| is_asked(which, id))
        });
        super::each(rows, |e: sdk::DbClusterEndpoint| async move {
            let id = e.db_cluster_endpoint_identifier.clone().unwrap_or_default();
            let mut spec = Spec::from_sdk(&e);
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
        let id = spec.db_cluster_endpoint_identifier.clone().unwrap_or_default();
        let call = spec.create_db_cluster_endpoint().map_err(unbuildable(CREATE))?;
        let call = call.set_tags(Some(tags_on_create(&spec.tags, step)));
        super::made::<Self, _>(cx, &id, step, call.send_with(&cx.rds).await.map_err(failed(CREATE))).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        if is_modified(now, want) {
            let call = want.modify_db_cluster_endpoint().map_err(unbuildable(MODIFY))?;
            call.db_cluster_endpoint_identifier(id).send_with(&cx.rds).await.map_err(failed(MODIFY))?;
        }
        converge_tags::<Self>(cx, id, &now.tags, &want.tags).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let status = endpoints(cx, Some(id.to_owned())).await?.pop().and_then(|e| e.status);
        Ok(super::is_available(status.as_deref()))
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec![CREATE] };
        let modify = is_modified(now, want).then_some(MODIFY);
        modify.into_iter().chain(tag_calls(&now.tags, &want.tags)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::ec2::shapes::{foretold, spec},
    };
    use serde_json::json;

    /// RDS lists the writer's and the readers' endpoints of each cluster too.
    #[tokio::test]
    async fn only_what_somebody_made_is_kept_and_made_again() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeDBClusterEndpoints" => "<DBClusterEndpoints><DBClusterEndpointList><DBClusterIdentifier>ledger</DBClusterIdentifier><EndpointType>WRITER</EndpointType><Status>available</Status></DBClusterEndpointList><DBClusterEndpointList><DBClusterEndpointIdentifier>reports</DBClusterEndpointIdentifier><DBClusterIdentifier>ledger</DBClusterIdentifier><EndpointType>CUSTOM</EndpointType><CustomEndpointType>ANY</CustomEndpointType><StaticMembers><member>ledger-2</member></StaticMembers><Status>available</Status><New>1</New></DBClusterEndpointList></DBClusterEndpoints>".into(),
            "ListTagsForResource" => Answer::Ok("<TagList/>".into()),
            _ => "".into(),
        }
        });
        let kind = crate::kinds::registry::kind(&"rds:db-cluster-endpoint".parse().unwrap()).unwrap();
        let seen = kind.look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["reports"]);
        assert_eq!(seen[0].unmapped, json!({"New": "1"}));
        let step = Step { restore: "r1".into(), number: 3 };
        let want = spec::<DbClusterEndpoint>(&seen[0].spec);
        canned.asked();
        DbClusterEndpoint::create(&canned.cx(), &want, &step).await.unwrap();
        assert_eq!(
            canned.wrote(),
            [
                "CreateDBClusterEndpoint DBClusterEndpointIdentifier=reports DBClusterIdentifier=ledger EndpointType=ANY Tags.Tag.1.Key=rollbackd:step Tags.Tag.1.Value=r1/3"
            ]
        );
        let mut now = seen[0].spec.clone();
        now.as_object_mut().unwrap().remove("static_members");
        assert_eq!(
            foretold::<DbClusterEndpoint>(&canned, "reports", &now, &seen[0].spec).await,
            [
                "ModifyDBClusterEndpoint DBClusterEndpointIdentifier=reports EndpointType=ANY StaticMembers.member.1=ledger-2"
            ]
        );
    }
}
