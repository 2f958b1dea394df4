//! `rds:db-cluster-parameter-group`: engine settings of clusters, as `db_parameter_group` is of instances.
use super::{
    PAGE_ROWS, converge_tags,
    db_parameter_group::{Changes, Parameter},
    failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Set, Tags},
        names::rds,
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_rds::{
    operation::create_db_cluster_parameter_group::builders::CreateDbClusterParameterGroupInputBuilder, types as sdk,
};

mirror! {
    Spec from sdk::DbClusterParameterGroup;
    keep {
        db_cluster_parameter_group_name @ "DBClusterParameterGroupName": Option<String>,
        db_parameter_group_family @ "DBParameterGroupFamily": Option<String>,
        description @ "Description": Option<String>,
    }
    drop {
        db_cluster_parameter_group_arn @ "DBClusterParameterGroupArn": "derived from the id",
    }
    also {
        parameters: Set<Parameter>, // DescribeDBClusterParameters, of the user's
        tags: Tags // ListTagsForResource
    }
}

input! {
    Spec => create_db_cluster_parameter_group(CreateDbClusterParameterGroupInputBuilder);
    set {
        set_db_cluster_parameter_group_name: db_cluster_parameter_group_name,
        set_db_parameter_group_family: db_parameter_group_family,
        set_description: description,
    }
    leave {
        tags: "the spec's tags and the step's: tags_on_create",
    }
}

pub struct DbClusterParameterGroup;

const MODIFY: &str = "rds:ModifyDBClusterParameterGroup";
const RESET: &str = "rds:ResetDBClusterParameterGroup";

async fn parameters(cx: &Cx, group: &str) -> Result<Set<Parameter>, Failure> {
    let call =
        cx.rds.describe_db_cluster_parameters().db_cluster_parameter_group_name(group).source("user").into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(Set::from_sdk(&rows.map_err(failed("rds:DescribeDBClusterParameters"))?))
}

impl Kind for DbClusterParameterGroup {
    type Name = rds::DbClusterParameterGroup;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &Parameter::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[&<Spec as Input<CreateDbClusterParameterGroupInputBuilder>>::TABLE];
    const OBSERVE: &'static [&'static str] =
        &["rds:DescribeDBClusterParameterGroups", "rds:DescribeDBClusterParameters", "rds:ListTagsForResource"];
    const RESTORE: &'static [&'static str] =
        &["rds:CreateDBClusterParameterGroup", MODIFY, RESET, "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_rds_cluster_parameter_group";
    const NEVER_BACK: &'static [&'static str] = &[];
    const PHASE: Phase = Phase::Rules;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBClusterParameterGroupName";
    const IMMUTABLE: &'static [&'static str] =
        &["db_cluster_parameter_group_name", "db_parameter_group_family", "description"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let call = cx
            .rds
            .describe_db_cluster_parameter_groups()
            .set_db_cluster_parameter_group_name(one(which))
            .into_paginator();
        let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
        let mut rows: Vec<sdk::DbClusterParameterGroup> =
            found(rows.map_err(failed("rds:DescribeDBClusterParameterGroups")))?.unwrap_or_default();
        rows.retain(|g| {
            g.db_cluster_parameter_group_name().is_some_and(|n| !n.starts_with("default.") && is_asked(which, n))
        });
        super::each(rows, |g: sdk::DbClusterParameterGroup| async move {
            let id = g.db_cluster_parameter_group_name.clone().unwrap_or_default();
            let mut spec = Spec::from_sdk(&g);
            (spec.parameters, spec.tags) =
                futures_util::future::try_join(parameters(cx, &id), super::tags::<Self>(cx, &id)).await?;
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
        let action = "rds:CreateDBClusterParameterGroup";
        let id = spec.db_cluster_parameter_group_name.clone().unwrap_or_default();
        let call = spec.create_db_cluster_parameter_group().map_err(unbuildable(action))?;
        let call = call.set_tags(Some(tags_on_create(&spec.tags, step)));
        super::made::<Self, _>(cx, &id, step, call.send_with(&cx.rds).await.map_err(failed(action))).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let changes = Changes::new(&now.parameters, &want.parameters).map_err(unbuildable(MODIFY))?;
        for rows in changes.reset {
            let call = cx
                .rds
                .reset_db_cluster_parameter_group()
                .db_cluster_parameter_group_name(id)
                .set_parameters(Some(rows));
            call.send().await.map_err(failed(RESET))?;
        }
        for rows in changes.set {
            let call = cx
                .rds
                .modify_db_cluster_parameter_group()
                .db_cluster_parameter_group_name(id)
                .set_parameters(Some(rows));
            call.send().await.map_err(failed(MODIFY))?;
        }
        converge_tags::<Self>(cx, id, &now.tags, &want.tags).await
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["rds:CreateDBClusterParameterGroup"] };
        let mut calls =
            Changes::new(&now.parameters, &want.parameters).map_or(vec![], |changes| changes.calls(MODIFY, RESET));
        calls.extend(tag_calls(&now.tags, &want.tags));
        calls
    }
}
