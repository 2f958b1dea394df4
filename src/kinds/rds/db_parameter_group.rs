//! `rds:db-parameter-group`: engine settings of instances. Only what a user set is kept: the rest is the engine's own and
//! changes with it. The groups `default.*` are RDS's: nobody can make or change them (H32).
use super::{
    PAGE_ROWS, PARAMETERS_MAX, converge_tags, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{BuildError, Coverage, FromSdk, Give, Input, Inputs, Set, Tags},
        names::rds,
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_rds::{operation::create_db_parameter_group::builders::CreateDbParameterGroupInputBuilder, types as sdk};

mirror! {
    Spec from sdk::DbParameterGroup;
    keep {
        db_parameter_group_name @ "DBParameterGroupName": Option<String>,
        db_parameter_group_family @ "DBParameterGroupFamily": Option<String>,
        description @ "Description": Option<String>,
    }
    drop {
        db_parameter_group_arn @ "DBParameterGroupArn": "derived from the id",
    }
    also {
        parameters: Set<Parameter>, // DescribeDBParameters, of the user's
        tags: Tags // ListTagsForResource
    }
}

mirror! {
    /// A parameter that a user set, of an instance's group or a cluster's.
    Parameter from sdk::Parameter, key [parameter_name];
    keep {
        parameter_name @ "ParameterName": Option<String>,
        parameter_value @ "ParameterValue": Option<String>,
        apply_method @ "ApplyMethod": Option<String>,
    }
    drop {
        description @ "Description": "the engine's: what the parameter is for",
        source @ "Source": "only what a user set is asked for",
        apply_type @ "ApplyType": "the engine's: whether a reboot is needed",
        data_type @ "DataType": "the engine's: what values look like",
        allowed_values @ "AllowedValues": "the engine's: what values there are",
        is_modifiable @ "IsModifiable": "the engine's: only what can be set was set",
        minimum_engine_version @ "MinimumEngineVersion": "the engine's: since when there is one",
        supported_engine_modes @ "SupportedEngineModes": "the engine's: where there is one",
    }
}

input! {
    Spec => create_db_parameter_group(CreateDbParameterGroupInputBuilder);
    set {
        set_db_parameter_group_name: db_parameter_group_name,
        set_db_parameter_group_family: db_parameter_group_family,
        set_description: description,
    }
    leave {
        tags: "the spec's tags and the step's: tags_on_create",
    }
}

input! {
    Parameter => sdk::Parameter;
    set {
        set_parameter_name: parameter_name,
        set_parameter_value: parameter_value,
        set_apply_method: apply_method,
    }
    leave {
        description: "the engine's",
        source: "the engine's",
        apply_type: "the engine's",
        data_type: "the engine's",
        allowed_values: "the engine's",
        is_modifiable: "the engine's",
        minimum_engine_version: "the engine's",
        supported_engine_modes: "the engine's",
    }
}

pub struct DbParameterGroup;

/// What gets a group's parameters from `now` to `want`, in calls of 20: those to set, and those to take back to the
/// engine's own value.
pub(super) struct Changes {
    pub set: Vec<Vec<sdk::Parameter>>,
    pub reset: Vec<Vec<sdk::Parameter>>,
}
impl Changes {
    pub fn new(now: &[Parameter], want: &[Parameter]) -> Result<Self, BuildError> {
        let named = |all: &[Parameter], p: &Parameter| all.iter().any(|o| o.parameter_name == p.parameter_name);
        let calls = |rows: Vec<&Parameter>| -> Result<Vec<Vec<sdk::Parameter>>, BuildError> {
            let given =
                rows.into_iter().filter_map(|p| p.give().transpose()).collect::<Result<Vec<sdk::Parameter>, _>>()?;
            Ok(given.chunks(PARAMETERS_MAX).map(<[_]>::to_vec).collect())
        };
        Ok(Self {
            set: calls(want.iter().filter(|p| !now.contains(p)).collect())?,
            reset: calls(now.iter().filter(|p| !named(want, p)).collect())?,
        })
    }
    /// The names of the calls, given those of the two operations.
    pub fn calls(&self, modify: &'static str, reset: &'static str) -> Vec<&'static str> {
        self.reset.iter().map(|_| reset).chain(self.set.iter().map(|_| modify)).collect()
    }
}

const MODIFY: &str = "rds:ModifyDBParameterGroup";
const RESET: &str = "rds:ResetDBParameterGroup";

async fn parameters(cx: &Cx, group: &str) -> Result<Set<Parameter>, Failure> {
    let call = cx.rds.describe_db_parameters().db_parameter_group_name(group).source("user").into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(Set::from_sdk(&rows.map_err(failed("rds:DescribeDBParameters"))?))
}

impl Kind for DbParameterGroup {
    type Name = rds::DbParameterGroup;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &Parameter::COVERAGE];
    const INPUTS: &'static [&'static Inputs] =
        &[&<Spec as Input<CreateDbParameterGroupInputBuilder>>::TABLE, &<Parameter as Input<sdk::Parameter>>::TABLE];
    const OBSERVE: &'static [&'static str] =
        &["rds:DescribeDBParameterGroups", "rds:DescribeDBParameters", "rds:ListTagsForResource"];
    const RESTORE: &'static [&'static str] =
        &["rds:CreateDBParameterGroup", MODIFY, RESET, "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_db_parameter_group";
    const NEVER_BACK: &'static [&'static str] = &[];
    const PHASE: Phase = Phase::Rules;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBParameterGroupName";
    const IMMUTABLE: &'static [&'static str] = &["db_parameter_group_name", "db_parameter_group_family", "description"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let call = cx.rds.describe_db_parameter_groups().set_db_parameter_group_name(one(which)).into_paginator();
        let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
        let mut rows: Vec<sdk::DbParameterGroup> =
            found(rows.map_err(failed("rds:DescribeDBParameterGroups")))?.unwrap_or_default();
        rows.retain(|g| g.db_parameter_group_name().is_some_and(|n| !n.starts_with("default.") && is_asked(which, n)));
        super::each(rows, |g: sdk::DbParameterGroup| async move {
            let id = g.db_parameter_group_name.clone().unwrap_or_default();
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
        let action = "rds:CreateDBParameterGroup";
        let id = spec.db_parameter_group_name.clone().unwrap_or_default();
        let call = spec.create_db_parameter_group().map_err(unbuildable(action))?;
        let call = call.set_tags(Some(tags_on_create(&spec.tags, step)));
        super::made::<Self, _>(cx, &id, step, call.send_with(&cx.rds).await.map_err(failed(action))).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let changes = Changes::new(&now.parameters, &want.parameters).map_err(unbuildable(MODIFY))?;
        for rows in changes.reset {
            let call = cx.rds.reset_db_parameter_group().db_parameter_group_name(id).set_parameters(Some(rows));
            call.send().await.map_err(failed(RESET))?;
        }
        for rows in changes.set {
            let call = cx.rds.modify_db_parameter_group().db_parameter_group_name(id).set_parameters(Some(rows));
            call.send().await.map_err(failed(MODIFY))?;
        }
        converge_tags::<Self>(cx, id, &now.tags, &want.tags).await
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["rds:CreateDBParameterGroup"] };
        let mut calls =
            Changes::new(&now.parameters, &want.parameters).map_or(vec![], |changes| changes.calls(MODIFY, RESET));
        calls.extend(tag_calls(&now.tags, &want.tags));
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::ec2::shapes::foretold,
    };
    use serde_json::{Value, json};

    fn group(parameters: impl IntoIterator<Item = (String, &'static str)>) -> Value {
        let rows = parameters.into_iter().map(
            |(name, value)| json!({"parameter_name": name, "parameter_value": value, "apply_method": "immediate"}),
        );
        json!({
            "db_parameter_group_name": "app", "db_parameter_group_family": "mysql8.0", "description": "d",
            "parameters": rows.collect::<Vec<_>>(),
        })
    }

    /// DescribeDBParameters answers in pages of at most 100 and marks where the next begins.
    #[tokio::test]
    async fn parameters_are_read_page_by_page_and_only_what_a_user_set() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeDBParameterGroups" => "<DBParameterGroups><DBParameterGroup><DBParameterGroupName>default.mysql8.0</DBParameterGroupName></DBParameterGroup><DBParameterGroup><DBParameterGroupName>app</DBParameterGroupName><New>1</New></DBParameterGroup></DBParameterGroups>".into(),
            "DescribeDBParameters" => {
                let from: usize = call.get("Marker").parse().unwrap_or(0);
                let row = |n| format!("<Parameter><ParameterName>p{n:03}</ParameterName><ParameterValue>{n}</ParameterValue><ApplyMethod>immediate</ApplyMethod><Source>user</Source></Parameter>");
                let rows: String = (from..from + 100).map(row).collect();
                let marker = if from < 200 { format!("<Marker>{}</Marker>", from + 100) } else { String::new() };
                Answer::Ok(format!("{marker}<Parameters>{rows}</Parameters>"))
            }
            _ => "<TagList><Tag><Key>a</Key><Value>1</Value></Tag></TagList>".into(),
        }
        });
        let groups = crate::kinds::registry::kind(&"rds:db-parameter-group".parse().unwrap()).unwrap();
        let seen = groups.look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.len(), 1, "H32: the groups of RDS are nobody's");
        assert_eq!(seen[0].spec["parameters"].as_array().unwrap().len(), 300);
        assert_eq!((&seen[0].spec["tags"]["a"], &seen[0].unmapped), (&json!("1"), &json!({"New": "1"})));
        let asked = canned.asked();
        let pages: Vec<_> = asked.iter().filter(|c| c.action == "DescribeDBParameters").collect();
        assert_eq!(pages.iter().map(|c| c.get("Marker")).collect::<Vec<_>>(), ["", "100", "200"]);
        assert!(pages.iter().all(|c| c.get("Source") == "user" && c.get("DBParameterGroupName") == "app"));
    }

    #[tokio::test]
    async fn parameters_are_set_and_taken_back_twenty_at_a_time() {
        let canned = Canned::new(|_| "<DBParameterGroupName>app</DBParameterGroupName>".into());
        let named = |prefix: &'static str, n: usize| (0..n).map(move |i| (format!("{prefix}{i:02}"), "1"));
        let (now, want) = (group(named("old", 21)), group(named("new", 41)));
        let sent = foretold::<DbParameterGroup>(&canned, "app", &now, &want).await;
        let words: Vec<&str> = sent.iter().filter_map(|s| s.split(' ').next()).collect();
        assert_eq!(
            words,
            [
                "ResetDBParameterGroup",
                "ResetDBParameterGroup",
                "ModifyDBParameterGroup",
                "ModifyDBParameterGroup",
                "ModifyDBParameterGroup"
            ]
        );
    }

    /// H64: no token is taken, so the answer of an attempt may be lost: the step's tag tells whose the name is.
    #[tokio::test]
    async fn h64_a_name_that_is_taken_by_an_earlier_attempt_is_success() {
        for (tag, succeeds) in [("r1/3", true), ("r1/4", false)] {
            let canned = Canned::new(move |call| match call.action.as_str() {
                "CreateDBParameterGroup" => Answer::Error(400, "DBParameterGroupAlreadyExists", "it is there"),
                _ => Answer::Ok(format!("<TagList><Tag><Key>rollbackd:step</Key><Value>{tag}</Value></Tag></TagList>")),
            });
            let spec = crate::kinds::ec2::shapes::spec::<DbParameterGroup>(&group([]));
            let step = Step { restore: "r1".into(), number: 3 };
            let made = DbParameterGroup::create(&canned.cx(), &spec, &step).await;
            assert_eq!(made.is_ok(), succeeds, "{made:?}");
            assert!(
                canned.asked().iter().any(|c| c.get("ResourceName") == "arn:aws:rds:eu-west-1:111122223333:pg:app")
            );
        }
    }
}
