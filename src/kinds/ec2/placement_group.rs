//! `ec2:placement-group`: where instances are put relative to each other. Nothing of it changes but its tags.
use super::{converge_tags, failed, held, is_managed, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Tags},
        names::ec2,
    },
    mirror,
    model::Alias,
    plan::facts::Phase,
};
use aws_sdk_ec2::{operation::create_placement_group::builders::CreatePlacementGroupInputBuilder, types as sdk};
use std::collections::BTreeMap;

mirror! {
    Spec from sdk::PlacementGroup;
    keep {
        group_name @ "groupName": Option<String>,
        strategy @ "strategy": Option<String>,
        partition_count @ "partitionCount": Option<i32>,
        spread_level @ "spreadLevel": Option<String>,
        linked_group_id @ "linkedGroupId": Option<Ref<ec2::PlacementGroup>>,
        parent_group_id @ "parentGroupId": Option<Ref<ec2::PlacementGroup>>,
        tags @ "tagSet": Tags,
    }
    drop {
        state @ "state": "runtime state; see settled()",
        group_id @ "groupId": "the id itself; remapped",
        group_arn @ "groupArn": "derived from the name; an alias",
        operator @ "operator": "what a service of AWS manages is left out of look(): that service makes it",
    }
}

input! {
    Spec => create_placement_group(CreatePlacementGroupInputBuilder);
    set {
        set_group_name: group_name,
        set_strategy: strategy,
        set_partition_count: partition_count,
        set_spread_level: spread_level,
        set_linked_group_id: linked_group_id,
        set_parent_group_id: parent_group_id,
    }
    leave {
        operator: "what a service of AWS manages is left out of look(): that service makes it",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

pub struct PlacementGroup;

/// All of the account's and region's, in any state. The call has no pages and no filter on ids, and an unknown id in its list
/// fails it (with a code of its own); a region holds 500 at most.
async fn groups(cx: &Cx) -> Result<Vec<sdk::PlacementGroup>, Failure> {
    let answer = cx.ec2.describe_placement_groups().send().await.map_err(failed("ec2:DescribePlacementGroups"))?;
    Ok(answer.placement_groups.unwrap_or_default())
}

fn is_alive(group: &sdk::PlacementGroup) -> bool {
    use sdk::PlacementGroupState::{Deleted, Deleting};
    !matches!(group.state, Some(Deleting | Deleted)) && !is_managed(group.operator())
}

fn seen(group: sdk::PlacementGroup) -> Option<Seen<Spec>> {
    let id = group.group_id.clone().filter(|_| is_alive(&group))?;
    let aliases = [group.group_name.clone(), group.group_arn.clone()];
    Some(Seen { id, spec: Spec::from_sdk(&group), aliases: aliases.into_iter().flatten().map(Alias).collect() })
}

/// The groups that are there by name, for what names them so. No call for no names.
pub async fn by_name(cx: &Cx, names: &[String]) -> Result<BTreeMap<String, Ref<ec2::PlacementGroup>>, Failure> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let alive = groups(cx).await?.into_iter().filter(is_alive);
    let named = alive.filter_map(|g| Some((g.group_name?, Ref::new(g.group_id?))));
    Ok(named.filter(|(name, _)| names.contains(name)).collect())
}

impl Kind for PlacementGroup {
    type Name = ec2::PlacementGroup;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[&<Spec as Input<CreatePlacementGroupInputBuilder>>::TABLE];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribePlacementGroups"];
    const RESTORE: &'static [&'static str] =
        &["ec2:DescribeTags", "ec2:CreatePlacementGroup", "ec2:CreateTags", "ec2:DeleteTags"];
    const NEVER_BACK: &'static [&'static str] = &["the id of the placement group"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_placement_group";
    const IMMUTABLE: &'static [&'static str] =
        &["group_name", "strategy", "partition_count", "spread_level", "linked_group_id", "parent_group_id"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let all = groups(cx).await?.into_iter().filter_map(seen);
        Ok(match which {
            Which::All => all.collect(),
            Which::Ids(ids) => all.filter(|s| ids.contains(&s.id)).collect(),
        })
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(groups(cx).await?.into_iter().filter_map(seen).find(|s| s.id == id))
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "placement-group", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreatePlacementGroup";
        let tags = tags_on_create(sdk::ResourceType::PlacementGroup, &spec.tags, step)?;
        let call = spec.create_placement_group().map_err(unbuildable(action))?.tag_specifications(tags);
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "groupId", made.placement_group.and_then(|g| g.group_id))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        converge_tags(cx, id, &now.tags, &want.tags).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(group) = groups(cx).await?.into_iter().find(|g| g.group_id() == Some(id)) else {
            return Ok(Settled::Waiting("not listed yet".into()));
        };
        let word = group.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match group.state {
            Some(sdk::PlacementGroupState::Available) => Settled::Ready,
            Some(sdk::PlacementGroupState::Deleting | sdk::PlacementGroupState::Deleted) => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }
    fn natural_key(spec: &Spec) -> Option<String> {
        spec.group_name.clone()
    }
    fn terraform(_id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        spec.group_name.iter().map(|name| (Self::TERRAFORM, name.clone())).collect()
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        now.map_or_else(|| vec!["ec2:CreatePlacementGroup"], |now| tag_calls(&now.tags, &want.tags))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, spec},
        *,
    };
    use crate::aws::canned::Canned;
    use serde_json::json;

    const GROUPS: &str = "<placementGroupSet>\
        <item><groupId>pg-1</groupId><groupName>db</groupName><strategy>partition</strategy><partitionCount>3</partitionCount><state>available</state></item>\
        <item><groupId>pg-2</groupId><groupName>old</groupName><state>deleting</state></item>\
        <item><groupId>pg-3</groupId><groupName>service</groupName><state>available</state><operator><managed>true</managed></operator></item>\
        <item><groupId>pg-4</groupId><groupName>new</groupName><state>pending</state></item></placementGroupSet>";

    #[tokio::test]
    async fn dying_and_managed_ones_are_not_there() {
        let canned = Canned::new(|_| GROUPS.into());
        let seen = PlacementGroup::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["pg-1", "pg-4"]);
        let some = ["pg-1".to_owned(), "pg-2".to_owned()];
        assert_eq!(PlacementGroup::look(&canned.cx(), Which::Ids(&some)).await.unwrap().len(), 1);
        assert!(PlacementGroup::read(&canned.cx(), "pg-2").await.unwrap().is_none());
        let names = ["db".to_owned(), "old".to_owned()];
        assert_eq!(by_name(&canned.cx(), &names).await.unwrap().keys().collect::<Vec<_>>(), ["db"]);
        assert_eq!(PlacementGroup::settled(&canned.cx(), "pg-1").await.unwrap(), Settled::Ready);
        assert_eq!(PlacementGroup::settled(&canned.cx(), "pg-4").await.unwrap(), Settled::Waiting("pending".into()));
        assert_eq!(PlacementGroup::settled(&canned.cx(), "pg-2").await.unwrap(), Settled::Failed("deleting".into()));
    }

    #[tokio::test]
    async fn it_is_made_with_all_that_only_create_can_say() {
        let canned = Canned::new(|_| "<placementGroup><groupId>pg-9</groupId></placementGroup>".into());
        let want = json!({"group_name": "db", "strategy": "partition", "partition_count": 3, "parent_group_id": {"$ref": "ec2:placement-group", "id": "pg-0"}, "tags": {"a": "1"}});
        let step = Step { restore: "r1".into(), number: 3 };
        let id = PlacementGroup::create(&canned.cx(), &spec::<PlacementGroup>(&want), &step).await.unwrap();
        assert_eq!(id, "pg-9");
        assert_eq!(
            canned.wrote(),
            [
                "CreatePlacementGroup GroupName=db ParentGroupId=pg-0 PartitionCount=3 Strategy=partition TagSpecification.1.ResourceType=placement-group TagSpecification.1.Tag.1.Key=a TagSpecification.1.Tag.1.Value=1 TagSpecification.1.Tag.2.Key=rollbackd:step TagSpecification.1.Tag.2.Value=r1/3"
            ]
        );
        let mut now = want.clone();
        now["tags"] = json!({});
        assert_eq!(
            foretold::<PlacementGroup>(&canned, "pg-9", &now, &want).await,
            ["CreateTags ResourceId.1=pg-9 Tag.1.Key=a Tag.1.Value=1"]
        );
    }
}
