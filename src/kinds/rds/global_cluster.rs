//! `rds:global-cluster`: clusters of several regions that replicate the first. Every region tells of it; it belongs to the one
//! where its writer is. It comes back around that cluster; clusters of other regions are copies, which are made anew from
//! there by hand.
use super::{PAGE_ROWS, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Set, Tags},
        names::rds,
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_rds::{operation::create_global_cluster::builders::CreateGlobalClusterInputBuilder, types as sdk};

mirror! {
    Spec from sdk::GlobalCluster;
    keep {
        global_cluster_identifier @ "GlobalClusterIdentifier": Option<String>,
        engine @ "Engine": Option<String>,
        engine_version @ "EngineVersion": Option<String>,
        engine_lifecycle_support @ "EngineLifecycleSupport": Option<String>,
        database_name @ "DatabaseName": Option<String>,
        storage_encrypted @ "StorageEncrypted": Option<bool>,
        deletion_protection @ "DeletionProtection": Option<bool>,
    }
    drop {
        global_cluster_resource_id @ "GlobalClusterResourceId": "drawn by AWS at each create",
        global_cluster_arn @ "GlobalClusterArn": "derived from the id",
        status @ "Status": "runtime state; see settled()",
        storage_encryption_type @ "StorageEncryptionType": "follows from the clusters",
        global_cluster_members @ "GlobalClusterMembers": "the writer is in writer, the others in secondaries",
        endpoint @ "Endpoint": "follows from the name and the account",
        failover_state @ "FailoverState": "runtime state",
        tag_list @ "TagList": "the user's of them are in tags",
    }
    also {
        writer: Option<Ref<rds::DbCluster>>, // GlobalClusterMembers
        secondaries: Set<String>, // GlobalClusterMembers: ARNs
        tags: Tags // TagList
    }
}

input! {
    Spec => create_global_cluster(CreateGlobalClusterInputBuilder);
    set {
        set_global_cluster_identifier: global_cluster_identifier,
        set_engine: engine,
        set_engine_version: engine_version,
        set_engine_lifecycle_support: engine_lifecycle_support,
        set_deletion_protection: deletion_protection,
        set_database_name: database_name,
        set_storage_encrypted: storage_encrypted,
    }
    leave {
        source_db_cluster_identifier: "the writer, which then tells all the rest: create()",
        tags: "the spec's tags and the step's: tags_on_create",
    }
}

pub struct GlobalCluster;

const CREATE: &str = "rds:CreateGlobalCluster";
const MODIFY: &str = "rds:ModifyGlobalCluster";

async fn clusters(cx: &Cx, id: Option<String>) -> Result<Vec<sdk::GlobalCluster>, Failure> {
    let call = cx.rds.describe_global_clusters().set_global_cluster_identifier(id).into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(found(rows.map_err(failed("rds:DescribeGlobalClusters")))?.unwrap_or_default())
}
/// The ARN of a global cluster names no region.
pub(super) fn arn(cx: &Cx, id: &str) -> String {
    format!("arn:{}:rds::{}:global-cluster:{id}", cx.scope.partition, cx.scope.account)
}

/// The spec, where it belongs to this region.
fn spec(cx: &Cx, g: &sdk::GlobalCluster) -> Option<Spec> {
    let mut spec = Spec::from_sdk(g);
    spec.tags = Tags::from_sdk(&g.tag_list);
    let own = super::arn(cx, "cluster", "");
    for member in g.global_cluster_members() {
        let arn = member.db_cluster_arn()?;
        if member.is_writer() == Some(true) {
            spec.writer = Some(Ref::new(arn.strip_prefix(&own)?));
        }
    }
    let others = g.global_cluster_members().iter().filter(|m| m.is_writer() != Some(true));
    spec.secondaries = others.filter_map(|m| m.db_cluster_arn.clone()).collect::<Vec<_>>().into();
    Some(spec)
}
fn is_modified(now: &Spec, want: &Spec) -> bool {
    now.deletion_protection.unwrap_or_default() != want.deletion_protection.unwrap_or_default()
}

impl Kind for GlobalCluster {
    type Name = rds::GlobalCluster;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[&<Spec as Input<CreateGlobalClusterInputBuilder>>::TABLE];
    const OBSERVE: &'static [&'static str] = &["rds:DescribeGlobalClusters"];
    const RESTORE: &'static [&'static str] =
        &["rds:ListTagsForResource", CREATE, MODIFY, "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_rds_global_cluster";
    const NEVER_BACK: &'static [&'static str] =
        &["the clusters of other regions as its members: make them anew, each from the writer"];
    const PHASE: Phase = Phase::LoadBalancing;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "GlobalClusterIdentifier";
    const IMMUTABLE: &'static [&'static str] = &[
        "global_cluster_identifier",
        "engine",
        "engine_version",
        "engine_lifecycle_support",
        "database_name",
        "storage_encrypted",
        "writer",
    ];
    const GIVEN: &'static [&'static str] = &["deletion_protection"];
    const REPORTED: &'static [(&'static str, &'static str)] =
        &[("secondaries", "a cluster of another region joins only as a new one: make it anew from the writer")];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let rows = clusters(cx, one(which)).await?;
        let asked = rows.iter().filter(|g| super::is_alive(g.status())).filter_map(|g| {
            let id = g.global_cluster_identifier().filter(|id| is_asked(which, id))?.to_owned();
            Some(Seen { id, spec: spec(cx, g)?, aliases: vec![] })
        });
        Ok(asked.collect())
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(Self::look(cx, Which::Ids(&[id.to_owned()])).await?.pop())
    }
    async fn made_by(_cx: &Cx, _step: &Step) -> Result<Option<String>, Failure> {
        Ok(None) // found by its name: made_at()
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let id = spec.global_cluster_identifier.clone().unwrap_or_default();
        let tags = Some(tags_on_create(&spec.tags, step));
        let call = match &spec.writer {
            // Engine and content are the writer's: RDS refuses to be told them as well.
            Some(writer) => CreateGlobalClusterInputBuilder::default()
                .global_cluster_identifier(&id)
                .set_deletion_protection(spec.deletion_protection)
                .source_db_cluster_identifier(super::arn(cx, "cluster", &writer.0)),
            None => spec.create_global_cluster().map_err(unbuildable(CREATE))?,
        };
        let answer = call.set_tags(tags).send_with(&cx.rds).await.map_err(failed(CREATE));
        super::made_at(cx, async { Ok(Some(arn(cx, &id))) }, &id, step, answer).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        if is_modified(now, want) {
            let call = cx.rds.modify_global_cluster().global_cluster_identifier(id);
            let call = call.deletion_protection(want.deletion_protection.unwrap_or_default());
            call.send().await.map_err(failed(MODIFY))?;
        }
        super::converge_tags_at(cx, arn(cx, id), &now.tags, &want.tags).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let status = clusters(cx, Some(id.to_owned())).await?.pop().and_then(|g| g.status);
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
        aws::canned::Canned,
        kinds::ec2::shapes::{foretold, spec},
    };
    use serde_json::json;

    /// DescribeGlobalClusters answers alike in every region.
    #[tokio::test]
    async fn it_belongs_to_the_region_of_its_writer_and_comes_back_around_it() {
        let canned = Canned::new(|_| {
            let member = |region: &str, id: &str, writer: bool| {
                format!(
                    "<GlobalClusterMember><DBClusterArn>arn:aws:rds:{region}:111122223333:cluster:{id}</DBClusterArn><IsWriter>{writer}</IsWriter></GlobalClusterMember>"
                )
            };
            let cluster = |id: &str, home: &str, other: &str| {
                format!(
                    "<GlobalClusterMember><GlobalClusterIdentifier>{id}</GlobalClusterIdentifier><Status>available</Status><GlobalClusterMembers>{}{}</GlobalClusterMembers></GlobalClusterMember>",
                    member(home, "a", true),
                    member(other, "b", false)
                )
            };
            crate::aws::canned::Answer::Ok(format!(
                "<GlobalClusters>{}{}</GlobalClusters>",
                cluster("here", "eu-west-1", "us-east-1"),
                cluster("there", "us-east-1", "eu-west-1")
            ))
        });
        let seen = GlobalCluster::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["here"]);
        assert_eq!(seen[0].spec.secondaries[..], ["arn:aws:rds:us-east-1:111122223333:cluster:b"]);
        let canned = Canned::new(|_| "".into());
        let want = json!({
            "global_cluster_identifier": "here", "engine": "aurora-mysql", "deletion_protection": true,
            "writer": {"$ref": "rds:db-cluster", "id": "a"},
        });
        let step = Step { restore: "r1".into(), number: 3 };
        GlobalCluster::create(&canned.cx(), &spec::<GlobalCluster>(&want), &step).await.unwrap();
        assert_eq!(
            canned.wrote(),
            [
                "CreateGlobalCluster DeletionProtection=true GlobalClusterIdentifier=here SourceDBClusterIdentifier=arn:aws:rds:eu-west-1:111122223333:cluster:a Tags.Tag.1.Key=rollbackd:step Tags.Tag.1.Value=r1/3"
            ]
        );
        let mut now = want.clone();
        now["deletion_protection"] = false.into();
        assert_eq!(
            foretold::<GlobalCluster>(&canned, "here", &now, &want).await,
            ["ModifyGlobalCluster DeletionProtection=true GlobalClusterIdentifier=here"]
        );
    }
}
