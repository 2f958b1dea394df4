//! `rds:option-group`: features of an engine that are switched on for instances. The groups `default:*` are RDS's (H32).
use super::{PAGE_ROWS, converge_tags, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{BuildError, Coverage, FromSdk, Give, Input, Inputs, LateRef, Set, Tags},
        names::{ec2, rds},
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_rds::{operation::create_option_group::builders::CreateOptionGroupInputBuilder, types as sdk};

mirror! {
    Spec from sdk::OptionGroup;
    keep {
        option_group_name @ "OptionGroupName": Option<String>,
        option_group_description @ "OptionGroupDescription": Option<String>,
        engine_name @ "EngineName": Option<String>,
        major_engine_version @ "MajorEngineVersion": Option<String>,
        options @ "Options": Set<EngineOption>,
    }
    drop {
        allows_vpc_and_non_vpc_instance_memberships @ "AllowsVpcAndNonVpcInstanceMemberships": "follows from the options",
        vpc_id @ "VpcId": "follows from the options",
        option_group_arn @ "OptionGroupArn": "derived from the id",
        source_option_group @ "SourceOptionGroup": "what it was copied from; its options say what it is",
        source_account_id @ "SourceAccountId": "what it was copied from; its options say what it is",
        copy_timestamp @ "CopyTimestamp": "runtime: a time",
    }
    gap {
        "SourceRegion": "what it was copied from; the SDK does not parse it",
    }
    also {
        tags: Tags // ListTagsForResource
    }
}

mirror! {
    EngineOption from sdk::Option, key [option_name];
    keep {
        option_name @ "OptionName": Option<String>,
        port @ "Port": Option<i32>,
        option_version @ "OptionVersion": Option<String>,
        option_settings @ "OptionSettings": Set<OptionSetting>,
        vpc_security_group_memberships @ "VpcSecurityGroupMemberships": Set<VpcSecurityGroupMembership>,
    }
    drop {
        option_description @ "OptionDescription": "the engine's: what the option is for",
        persistent @ "Persistent": "the engine's: whether it can be taken away",
        permanent @ "Permanent": "the engine's: whether it can be taken away",
        db_security_group_memberships @ "DBSecurityGroupMemberships": "EC2-Classic, retired",
    }
}

mirror! {
    OptionSetting from sdk::OptionSetting, key [name];
    keep {
        name @ "Name": Option<String>,
        value @ "Value": Option<String>,
    }
    drop {
        default_value @ "DefaultValue": "the engine's: what it is when nobody sets it",
        description @ "Description": "the engine's: what the setting is for",
        apply_type @ "ApplyType": "the engine's: whether a restart is needed",
        data_type @ "DataType": "the engine's: what values look like",
        allowed_values @ "AllowedValues": "the engine's: what values there are",
        is_modifiable @ "IsModifiable": "the engine's; what is not modifiable is left out",
        is_collection @ "IsCollection": "the engine's: what values look like",
    }
}

mirror! {
    VpcSecurityGroupMembership from sdk::VpcSecurityGroupMembership;
    keep {
        vpc_security_group_id @ "VpcSecurityGroupId": Option<LateRef<ec2::SecurityGroup>>,
    }
    drop {
        status @ "Status": "runtime state",
    }
}

input! {
    Spec => create_option_group(CreateOptionGroupInputBuilder);
    set {
        set_option_group_name: option_group_name,
        set_engine_name: engine_name,
        set_major_engine_version: major_engine_version,
        set_option_group_description: option_group_description,
    }
    leave {
        tags: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    EngineOption => sdk::OptionConfiguration;
    set {
        set_option_name: option_name,
        set_port: port,
        set_option_version: option_version,
        set_vpc_security_group_memberships: vpc_security_group_memberships[].vpc_security_group_id,
        set_option_settings: option_settings,
    }
    leave {
        db_security_group_memberships: "EC2-Classic, retired",
    }
}

input! {
    OptionSetting => sdk::OptionSetting;
    set {
        set_name: name,
        set_value: value,
    }
    leave {
        default_value: "the engine's",
        description: "the engine's",
        apply_type: "the engine's",
        data_type: "the engine's",
        allowed_values: "the engine's",
        is_modifiable: "the engine's",
        is_collection: "the engine's",
    }
}

pub struct OptionGroup;

const MODIFY: &str = "rds:ModifyOptionGroup";

fn spec(mut g: sdk::OptionGroup) -> Spec {
    for option in g.options.iter_mut().flatten() {
        for setting in option.option_settings.iter_mut().flatten() {
            // AWS fills in what nobody set. Said again as a setting of one's own, it would be the same.
            if setting.value.is_none() {
                setting.value = setting.default_value.take();
            }
        }
        if let Some(settings) = &mut option.option_settings {
            settings.retain(|s| s.is_modifiable != Some(false) && s.value.is_some());
        }
    }
    Spec::from_sdk(&g)
}

/// The options that ModifyOptionGroup is to include and those that it is to remove.
fn changes(now: &Spec, want: &Spec) -> Result<(Vec<sdk::OptionConfiguration>, Vec<String>), BuildError> {
    let include = want.options.iter().filter(|o| !now.options.contains(o));
    let include = include.filter_map(|o| o.give().transpose()).collect::<Result<_, _>>()?;
    let wanted: Vec<_> = want.options.iter().map(|o| &o.option_name).collect();
    let remove =
        now.options.iter().map(|o| &o.option_name).filter(|n| !wanted.contains(n)).flatten().cloned().collect();
    Ok((include, remove))
}

impl Kind for OptionGroup {
    type Name = rds::OptionGroup;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] =
        &[&Spec::COVERAGE, &EngineOption::COVERAGE, &OptionSetting::COVERAGE, &VpcSecurityGroupMembership::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateOptionGroupInputBuilder>>::TABLE,
        &<EngineOption as Input<sdk::OptionConfiguration>>::TABLE,
        &<OptionSetting as Input<sdk::OptionSetting>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["rds:DescribeOptionGroups", "rds:ListTagsForResource"];
    const RESTORE: &'static [&'static str] =
        &["rds:CreateOptionGroup", MODIFY, "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_db_option_group";
    const NEVER_BACK: &'static [&'static str] = &["passwords among the settings of options: no read tells them"];
    const PHASE: Phase = Phase::Rules;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "OptionGroupName";
    const IMMUTABLE: &'static [&'static str] =
        &["option_group_name", "option_group_description", "engine_name", "major_engine_version"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let call = cx.rds.describe_option_groups().set_option_group_name(one(which)).into_paginator();
        let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
        let mut rows: Vec<sdk::OptionGroup> =
            found(rows.map_err(failed("rds:DescribeOptionGroups")))?.unwrap_or_default();
        rows.retain(|g| g.option_group_name().is_some_and(|n| !n.starts_with("default:") && is_asked(which, n)));
        super::each(rows, |g: sdk::OptionGroup| async move {
            let id = g.option_group_name.clone().unwrap_or_default();
            let mut spec = spec(g);
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
        let action = "rds:CreateOptionGroup";
        let id = spec.option_group_name.clone().unwrap_or_default();
        let call = spec.create_option_group().map_err(unbuildable(action))?;
        let call = call.set_tags(Some(tags_on_create(&spec.tags, step)));
        super::made::<Self, _>(cx, &id, step, call.send_with(&cx.rds).await.map_err(failed(action))).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let (include, remove) = changes(now, want).map_err(unbuildable(MODIFY))?;
        if !include.is_empty() || !remove.is_empty() {
            let call = cx.rds.modify_option_group().option_group_name(id).apply_immediately(true);
            let call = call
                .set_options_to_include((!include.is_empty()).then_some(include))
                .set_options_to_remove((!remove.is_empty()).then_some(remove));
            call.send().await.map_err(failed(MODIFY))?;
        }
        converge_tags::<Self>(cx, id, &now.tags, &want.tags).await
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["rds:CreateOptionGroup"] };
        let modify = (now.options != want.options).then_some(MODIFY);
        modify.into_iter().chain(tag_calls(&now.tags, &want.tags)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{aws::canned::Canned, kinds::ec2::shapes::foretold};
    use serde_json::json;

    #[tokio::test]
    async fn options_are_included_and_removed_in_one_call() {
        let canned = Canned::new(|_| "".into());
        let option = |name: &str, port: i32| json!({"option_name": name, "port": port, "vpc_security_group_memberships": [{"vpc_security_group_id": {"$late": "ec2:security-group", "id": "sg-1"}}]});
        let group = |options| json!({"option_group_name": "o", "options": options});
        let now = group(json!([option("A", 1), option("B", 2)]));
        let want = group(json!([option("B", 3)]));
        assert_eq!(
            foretold::<OptionGroup>(&canned, "o", &now, &want).await,
            [
                "ModifyOptionGroup ApplyImmediately=true OptionGroupName=o OptionsToInclude.OptionConfiguration.1.OptionName=B OptionsToInclude.OptionConfiguration.1.Port=3 OptionsToInclude.OptionConfiguration.1.VpcSecurityGroupMemberships.VpcSecurityGroupId.1=sg-1 OptionsToRemove.member.1=A"
            ]
        );
    }
}
