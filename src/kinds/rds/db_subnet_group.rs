//! `rds:db-subnet-group`: the subnets that databases are put into.
//!
//! RDS makes the group `default` by itself, in the default VPC, and lets nobody make one of that name: it is left out.
use super::{PAGE_ROWS, all, converge_tags, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Set, Tags},
        names::{ec2, rds},
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_rds::{
    operation::{
        create_db_subnet_group::builders::CreateDbSubnetGroupInputBuilder,
        modify_db_subnet_group::builders::ModifyDbSubnetGroupInputBuilder,
    },
    types as sdk,
};

mirror! {
    Spec from sdk::DbSubnetGroup;
    keep {
        db_subnet_group_name @ "DBSubnetGroupName": Option<String>,
        db_subnet_group_description @ "DBSubnetGroupDescription": Option<String>,
        subnets @ "Subnets": Set<Subnet>,
    }
    drop {
        vpc_id @ "VpcId": "follows from the subnets",
        subnet_group_status @ "SubnetGroupStatus": "runtime state; see settled()",
        db_subnet_group_arn @ "DBSubnetGroupArn": "derived from the id",
        supported_network_types @ "SupportedNetworkTypes": "follows from the subnets",
    }
    also {
        tags: Tags // ListTagsForResource
    }
}

mirror! {
    Subnet from sdk::Subnet;
    keep {
        subnet_identifier @ "SubnetIdentifier": Option<Ref<ec2::Subnet>>,
    }
    drop {
        subnet_availability_zone @ "SubnetAvailabilityZone": "follows from the subnet",
        subnet_outpost @ "SubnetOutpost": "follows from the subnet",
        subnet_status @ "SubnetStatus": "runtime state",
    }
}

input! {
    Spec => create_db_subnet_group(CreateDbSubnetGroupInputBuilder);
    set {
        set_db_subnet_group_name: db_subnet_group_name,
        set_db_subnet_group_description: db_subnet_group_description,
        set_subnet_ids: subnets[].subnet_identifier,
    }
    leave {
        tags: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    Spec => modify_db_subnet_group(ModifyDbSubnetGroupInputBuilder);
    set {
        set_db_subnet_group_name: db_subnet_group_name,
        set_db_subnet_group_description: db_subnet_group_description,
        set_subnet_ids: subnets[].subnet_identifier,
    }
}

pub struct DbSubnetGroup;

async fn groups(cx: &Cx, name: Option<String>) -> Result<Vec<sdk::DbSubnetGroup>, Failure> {
    let call = cx.rds.describe_db_subnet_groups().set_db_subnet_group_name(name).into_paginator();
    let answer = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(found(answer.map_err(failed("rds:DescribeDBSubnetGroups")))?.unwrap_or_default())
}

/// What ModifyDBSubnetGroup can say is not as it is wanted.
fn is_modified(now: &Spec, want: &Spec) -> bool {
    now.subnets != want.subnets || now.db_subnet_group_description != want.db_subnet_group_description
}

impl Kind for DbSubnetGroup {
    type Name = rds::DbSubnetGroup;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &Subnet::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateDbSubnetGroupInputBuilder>>::TABLE,
        &<Spec as Input<ModifyDbSubnetGroupInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["rds:DescribeDBSubnetGroups", "rds:ListTagsForResource"];
    const RESTORE: &'static [&'static str] =
        &["rds:CreateDBSubnetGroup", "rds:ModifyDBSubnetGroup", "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_db_subnet_group";
    const NEVER_BACK: &'static [&'static str] = &[];
    const PHASE: Phase = Phase::Rules;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBSubnetGroupName";
    const IMMUTABLE: &'static [&'static str] = &["db_subnet_group_name"];
    const GIVEN: &'static [&'static str] = &["db_subnet_group_description", "subnets"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let mut rows = groups(cx, one(which)).await?;
        rows.retain(|g| g.db_subnet_group_name().is_some_and(|n| n != "default" && is_asked(which, n)));
        super::each(rows, |g: sdk::DbSubnetGroup| async move {
            let id = g.db_subnet_group_name.clone().unwrap_or_default();
            let mut spec = Spec::from_sdk(&g);
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
        let action = "rds:CreateDBSubnetGroup";
        let id = spec.db_subnet_group_name.clone().unwrap_or_default();
        let call = spec.create_db_subnet_group().map_err(unbuildable(action))?;
        let call = call.set_tags(Some(tags_on_create(&spec.tags, step)));
        super::made::<Self, _>(cx, &id, step, call.send_with(&cx.rds).await.map_err(failed(action))).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let modify = async {
            let action = "rds:ModifyDBSubnetGroup";
            if is_modified(now, want) {
                let call = want.modify_db_subnet_group().map_err(unbuildable(action))?.db_subnet_group_name(id);
                call.send_with(&cx.rds).await.map_err(failed(action))?;
            }
            Ok(())
        };
        all(vec![Box::pin(modify), Box::pin(converge_tags::<Self>(cx, id, &now.tags, &want.tags))]).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        Ok(match groups(cx, Some(id.to_owned())).await?.pop().and_then(|g| g.subnet_group_status) {
            Some(status) if status != "Complete" => Settled::Waiting(status),
            Some(_) => Settled::Ready,
            None => Settled::Waiting("not listed yet".into()),
        })
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["rds:CreateDBSubnetGroup"] };
        let modify = is_modified(now, want).then_some("rds:ModifyDBSubnetGroup");
        modify.into_iter().chain(tag_calls(&now.tags, &want.tags)).collect()
    }
}
