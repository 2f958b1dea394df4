//! Kinds of Amazon EC2, and what they share: filters, tags, the look-up by a step's tag, "not found" as an answer.
//!
//! Reads page with the SDK's paginators and always give a page size or a filter: a describe call with neither draws from
//! a smaller bucket (EC2 API throttling). Creates go through `cx.ec2_once`, everything else through `cx.ec2`.
use super::{
    Kind, Step, Which,
    mirror::{BuildError, FromSdk, Give, Given, Tag as _, Tags, is_users_tag},
};
use crate::aws::{Class, Cx, Failure};
use aws_sdk_ec2::{error::ProvideErrorMetadata, types as sdk};
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use futures_util::future::{BoxFuture, join_all};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

pub mod capacity_reservation;
pub mod customer_gateway;
pub mod dhcp_options;
pub mod egress_only_igw;
pub mod elastic_ip;
pub mod flow_log;
pub mod image;
pub mod instance;
pub mod instance_connect_endpoint;
pub mod internet_gateway;
pub mod key_pair;
pub mod launch_template;
pub mod managed_prefix_list;
pub mod nat_gateway;
pub mod network_acl;
pub mod network_interface;
pub mod placement_group;
pub mod route_table;
pub mod security_group;
pub mod snapshot;
pub mod subnet;
pub mod transit_gateway;
pub mod transit_gateway_attachment;
pub mod transit_gateway_route_table;
pub mod volume;
pub mod vpc;
pub mod vpc_endpoint;
pub mod vpc_peering_connection;
pub mod vpn_connection;
pub mod vpn_gateway;

crate::tag!(aws_sdk_ec2::types::Tag);

// EC2 boxes a flag when "not given" must differ from false. A spec needs no box.
impl FromSdk<sdk::AttributeBooleanValue> for bool {
    fn from_sdk(v: &sdk::AttributeBooleanValue) -> Self {
        v.value.unwrap_or_default()
    }
}
impl Give<sdk::AttributeBooleanValue> for bool {
    fn give(&self) -> Given<sdk::AttributeBooleanValue> {
        Ok(Some(sdk::AttributeBooleanValue::builder().value(*self).build()))
    }
}

/// Rows of one page of a describe call: the most that most of EC2's describe calls allow is 1000, the least 5.
pub const PAGE_ROWS: i32 = 500;
/// Tags that one resource can have; those under `aws:` do not count (EC2 "Tag restrictions").
pub const TAGS_MAX: usize = 50;
/// Values of one filter of a describe call (EC2 API, "Filter").
pub const FILTER_VALUES_MAX: usize = 200;
/// Resources of one CreateTags or DeleteTags call (EC2 API reference).
const TAGGED_MAX: usize = 1000;
/// Describe calls of one `look` that are under way at once, where a kind needs a call per resource.
pub const READS_AT_ONCE: usize = 8;

/// The error of a call as a `Failure`: `.map_err(failed("ec2:DescribeVpcs"))`.
pub fn failed<E>(action: &'static str) -> impl FnOnce(SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    move |e| Failure::new(action, e)
}

/// An input that a spec cannot fill: `.map_err(unbuildable("ec2:CreateVpc"))`.
pub fn unbuildable(action: &'static str) -> impl FnOnce(BuildError) -> Failure {
    move |e| Failure::unbuildable(action, e)
}

/// What an answer must hold, such as the id of what was made.
pub fn held(action: &'static str, what: &str, value: Option<impl Into<String>>) -> Result<String, Failure> {
    value.map(Into::into).ok_or_else(|| Failure::incomplete(action, what))
}

/// "Not found" is an answer, not an error.
pub fn found<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Ok(v) => Ok(Some(v)),
        Err(f) if f.class == Class::NotFound => Ok(None),
        Err(f) => Err(f),
    }
}

/// What is so already is success: a duplicate rule, route or association.
pub fn already<T>(answer: Result<T, Failure>) -> Result<(), Failure> {
    match answer {
        Err(f) if f.class != Class::Exists => Err(f),
        _ => Ok(()),
    }
}

/// What is gone already is success, for calls that take something away.
pub fn gone_already<T>(answer: Result<T, Failure>) -> Result<(), Failure> {
    found(answer).map(|_| ())
}

/// A filter of a describe call; at most 200 values.
pub fn filter(name: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> sdk::Filter {
    sdk::Filter::builder().name(name).set_values(Some(values.into_iter().map(Into::into).collect())).build()
}

/// The filters that narrow a describe call to `which`: none for all. `name` is the filter on ids, such as `vpc-id`.
/// A filter, since an unknown id in a list of ids would fail the whole call.
pub fn only(name: &str, which: Which<'_>) -> Option<Vec<sdk::Filter>> {
    match which {
        Which::All => None,
        Which::Ids(ids) => Some(vec![filter(name, ids)]),
    }
}

/// Tags to set as the resource is made: the spec's and the step's (H1, H64). With all 50 tags taken by the spec, one of
/// them is left for `converge_tags`, which takes the step's place.
pub fn tags_on_create(kind: sdk::ResourceType, tags: &Tags, step: &Step) -> Result<sdk::TagSpecification, Failure> {
    let users = tags.0.iter().filter(|(k, _)| is_users_tag(k)).take(TAGS_MAX - 1);
    let made = users
        .map(|(k, v)| sdk::Tag::make(k, v))
        .chain([sdk::Tag::make(Step::TAG, &step.tag())])
        .collect::<Result<Vec<_>, _>>()
        .map_err(unbuildable("ec2:CreateTags"))?;
    Ok(sdk::TagSpecification::builder().resource_type(kind).set_tags(Some(made)).build())
}

/// The one alive resource of `K` that an earlier attempt of this step made (H64). `resource_type` is EC2's word, such as
/// `vpc`. DescribeTags lags behind a create by up to seconds and also names what is gone, so each is read.
pub async fn made_by<K: Kind>(cx: &Cx, resource_type: &str, step: &Step) -> Result<Option<String>, Failure> {
    let action = "ec2:DescribeTags";
    let mut ids: Vec<String> = cx
        .ec2
        .describe_tags()
        .filters(filter("key", [Step::TAG]))
        .filters(filter("value", [step.tag()]))
        .filters(filter("resource-type", [resource_type]))
        .into_paginator()
        .page_size(PAGE_ROWS)
        .items()
        .send()
        .try_collect()
        .await
        .map_err(failed(action))?
        .into_iter()
        .filter_map(|t| t.resource_id)
        .collect();
    ids.sort_unstable();
    for id in ids {
        if K::read(cx, &id).await?.is_some() {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// What CreateTags must set and DeleteTags must remove to get from `now` to `want`. Keys under `aws:` and `rollbackd:`
/// are in neither, whatever the specs hold.
fn tag_changes<'a>(now: &'a Tags, want: &'a Tags) -> (Vec<(&'a str, &'a str)>, Vec<&'a str>) {
    let users = |t: &'a Tags| t.0.iter().filter(|(k, _)| is_users_tag(k));
    let mut set: Vec<_> = users(want).filter(|(k, v)| now.0.get(*k) != Some(*v)).collect();
    let mut unset: Vec<_> = users(now).map(|(k, _)| k.as_str()).filter(|k| !want.0.contains_key(*k)).collect();
    set.sort_unstable();
    unset.sort_unstable();
    // The step's own tag takes the fiftieth place; the id is in the journal by now, so it can go.
    if !set.is_empty() && users(want).count() >= TAGS_MAX {
        unset.push(Step::TAG);
    }
    (set.into_iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(), unset)
}

/// Brings the user's tags of a resource from `now` to `want`: at most one DeleteTags and one CreateTags.
pub async fn converge_tags(cx: &Cx, id: &str, now: &Tags, want: &Tags) -> Result<(), Failure> {
    converge_tags_of_all(cx, &[id.to_owned()], now, want).await
}
/// The same for several resources that all have the tags `now`.
pub async fn converge_tags_of_all(cx: &Cx, ids: &[String], now: &Tags, want: &Tags) -> Result<(), Failure> {
    let (set, unset) = tag_changes(now, want);
    for ids in ids.chunks(TAGGED_MAX) {
        let ids = Some(ids.to_vec());
        if !unset.is_empty() {
            let keys = unset.iter().map(|k| sdk::Tag::builder().key(*k).build()).collect();
            let call = cx.ec2.delete_tags().set_resources(ids.clone()).set_tags(Some(keys));
            call.send().await.map_err(failed("ec2:DeleteTags"))?;
        }
        if !set.is_empty() {
            let tags = set.iter().map(|(k, v)| sdk::Tag::builder().key(*k).value(*v).build()).collect();
            let call = cx.ec2.create_tags().set_resources(ids).set_tags(Some(tags));
            call.send().await.map_err(failed("ec2:CreateTags"))?;
        }
    }
    Ok(())
}
/// The calls of `converge_tags`, for `Kind::calls`.
pub fn tag_calls(now: &Tags, want: &Tags) -> Vec<&'static str> {
    let (set, unset) = tag_changes(now, want);
    let calls = [(!unset.is_empty(), "ec2:DeleteTags"), (!set.is_empty(), "ec2:CreateTags")];
    calls.into_iter().filter(|(sent, _)| *sent).map(|(_, call)| call).collect()
}

/// Takes the step's tag off everything that a restore made, so that infrastructure as code sees no drift. The engine calls
/// it when a restore has ended. What is gone meanwhile is passed over.
pub async fn untag_steps(cx: &Cx, ids: &[String]) -> Result<(), Failure> {
    let mut batches: Vec<&[String]> = ids.chunks(TAGGED_MAX).collect();
    while let Some(batch) = batches.pop() {
        let sent = cx
            .ec2
            .delete_tags()
            .set_resources(Some(batch.to_vec()))
            .tags(sdk::Tag::builder().key(Step::TAG).build())
            .send()
            .await
            .map_err(failed("ec2:DeleteTags"));
        // One id that is gone fails the call for all: halve until it stands alone.
        if found(sent)?.is_none() && batch.len() > 1 {
            let (left, right) = batch.split_at(batch.len() / 2);
            batches.extend([left, right]);
        }
    }
    Ok(())
}

/// Independent calls, all at once, since a restore lasts as long as its longest chain of calls. Every one is tried, whatever
/// becomes of the others. Of several failures one that may pass is given first: the next attempt then leaves only those
/// that stay.
pub async fn all(calls: Vec<BoxFuture<'_, Result<(), Failure>>>) -> Result<(), Failure> {
    let mut failures: Vec<Failure> = join_all(calls).await.into_iter().filter_map(Result::err).collect();
    failures.sort_by_key(|f| !f.is_passing());
    let mut failures = failures.into_iter();
    let Some(mut first) = failures.next() else { return Ok(()) };
    for other in failures {
        first.message = format!("{}; also {}: {}: {}", first.message, other.action, other.code, other.message);
    }
    Err(first)
}

/// A service of AWS manages it and makes it itself: such a resource is left out of every `look`.
pub fn is_managed(operator: Option<&sdk::OperatorResponse>) -> bool {
    operator.and_then(sdk::OperatorResponse::managed).unwrap_or_default()
}

/// A member of an Auto Scaling group: the group makes it, and never this restore (H22).
pub fn is_group_member(tags: &[sdk::Tag]) -> bool {
    tags.iter().any(|t| t.key() == Some("aws:autoscaling:groupName"))
}

/// What of an instance says whose business its volumes and interfaces are.
pub struct Host {
    pub root_device: Option<String>,
    pub is_in_a_group: bool,
}
/// The instances that are there, by id.
pub async fn hosts(cx: &Cx, ids: BTreeSet<String>) -> Result<BTreeMap<String, Host>, Failure> {
    let ids: Vec<String> = ids.into_iter().collect();
    let mut out = BTreeMap::new();
    for ids in ids.chunks(FILTER_VALUES_MAX) {
        let call = cx.ec2.describe_instances().filters(filter("instance-id", ids)).into_paginator();
        let found = call.page_size(PAGE_ROWS).items().send().try_collect().await;
        let reservations: Vec<sdk::Reservation> = found.map_err(failed("ec2:DescribeInstances"))?;
        for i in reservations.into_iter().flat_map(|r| r.instances.unwrap_or_default()) {
            let is_in_a_group = is_group_member(i.tags());
            if let Some(id) = i.instance_id {
                out.insert(id, Host { root_device: i.root_device_name, is_in_a_group });
            }
        }
    }
    Ok(out)
}

/// Rows that count against a quota that AWS applies to IPv4 and IPv6 apart: the larger of the two. A row that names
/// neither is in both.
fn per_family(rows: &Value, v4: &str, v6: &str) -> u32 {
    let without = |other: &str| rows.as_array().into_iter().flatten().filter(|r| r[other].is_null()).count();
    u32::try_from(without(v6).max(without(v4))).unwrap_or(u32::MAX)
}

/// What the call names is not in the recycle bin. EC2 says so with a code of "not found", or of a wrong state or value.
fn is_not_there(f: &Failure) -> bool {
    f.class == Class::NotFound || f.code.starts_with("Invalid") || f.code == "IncorrectState"
}

/// Says in a failure what the call was about.
pub fn about(what: impl std::fmt::Display) -> impl FnOnce(Failure) -> Failure {
    move |mut f| {
        f.message = format!("{what}: {}", f.message);
        f
    }
}

/// For the kinds' tests: what a converge sends.
#[cfg(test)]
pub(crate) mod shapes {
    use crate::{
        aws::{Failure, canned::Canned},
        kinds::{Kind, mirror::Plain},
    };
    use serde_json::Value;

    pub fn spec<K: Kind>(v: &Value) -> K::Spec {
        K::Spec::from_json(v).unwrap()
    }
    /// The writing calls of a converge, as text and in order; those with a tie are sent as they were found.
    pub async fn sent<K: Kind>(canned: &Canned, id: &str, now: &Value, want: &Value) -> Result<Vec<String>, Failure> {
        canned.asked();
        K::converge(&canned.cx(), id, &spec::<K>(now), &spec::<K>(want)).await?;
        Ok(canned.wrote())
    }
    /// The same where all goes as foretold: `calls` names what is sent, and from there a second converge sends nothing.
    pub async fn foretold<K: Kind>(canned: &Canned, id: &str, now: &Value, want: &Value) -> Vec<String> {
        let sent = sent::<K>(canned, id, now, want).await.unwrap();
        let mut actions: Vec<String> = sent.iter().map(|s| format!("ec2:{}", s.split(' ').next().unwrap())).collect();
        let mut calls = K::calls(Some(&spec::<K>(now)), &spec::<K>(want));
        actions.sort_unstable();
        calls.sort_unstable();
        assert_eq!(actions, calls, "calls() and what is sent differ");
        assert!(K::calls(Some(&spec::<K>(want)), &spec::<K>(want)).is_empty());
        assert_eq!(self::sent::<K>(canned, id, want, want).await.unwrap(), [] as [String; 0]);
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::canned::{Answer, Canned};

    fn step() -> Step {
        Step { restore: "r-1".into(), number: 7 }
    }

    #[tokio::test]
    async fn steps_are_untagged_in_one_call_and_what_is_gone_is_passed_over() {
        let aws = Canned::new(|call| match call.params.values().any(|v| v == "vpc-gone") {
            true => Answer::Error(400, "InvalidID", "The ID 'vpc-gone' is not valid"),
            false => "<return>true</return>".into(),
        });
        let ids = |n: usize| (0..n).map(|i| format!("vpc-{i}")).collect::<Vec<_>>();
        untag_steps(&aws.cx(), &ids(1000)).await.unwrap();
        let asked = aws.asked();
        assert_eq!(
            (asked.len(), asked[0].get("Tag.1.Key"), asked[0].get("ResourceId.1000")),
            (1, "rollbackd:step", "vpc-999")
        );
        assert!(!asked[0].params.contains_key("Tag.1.Value")); // whatever step it was
        untag_steps(&aws.cx(), &[]).await.unwrap();
        assert_eq!(aws.asked(), []);
        let aws = Canned::new(|call| match call.params.values().any(|v| v == "vpc-2") {
            true => Answer::Error(400, "InvalidVpcID.NotFound", "The vpc ID 'vpc-2' does not exist"),
            false => "<return>true</return>".into(),
        });
        untag_steps(&aws.cx(), &ids(4)).await.unwrap();
        let ok: Vec<_> = aws.wrote().into_iter().filter(|c| !c.contains("vpc-2")).collect();
        assert_eq!(ok.len(), 2, "{ok:?}"); // vpc-3 alone, vpc-0 with vpc-1
    }

    #[tokio::test]
    async fn h64_a_resource_with_fifty_tags_still_gets_the_steps() {
        let tags = Tags((0..50).map(|i| (format!("k{i:02}"), "v".to_owned())).collect());
        let made = tags_on_create(sdk::ResourceType::Vpc, &tags, &step()).unwrap();
        assert_eq!((made.tags().len(), made.tags()[49].key()), (50, Some(Step::TAG)));
        let now = Tags(tags.0.iter().take(49).map(|(k, v)| (k.clone(), v.clone())).collect());
        let aws = Canned::new(|_| "<return>true</return>".into());
        converge_tags(&aws.cx(), "vpc-1", &now, &tags).await.unwrap();
        assert_eq!(
            aws.wrote(),
            [
                "DeleteTags ResourceId.1=vpc-1 Tag.1.Key=rollbackd:step",
                "CreateTags ResourceId.1=vpc-1 Tag.1.Key=k49 Tag.1.Value=v",
            ]
        );
    }

    #[test]
    fn h26_tags_of_aws_and_of_ours_are_no_configuration() {
        let tag = |k: &str| sdk::Tag::builder().key(k).value("1").build();
        let tags = Tags::from_sdk(&vec![tag("aws:cloudformation:stack-name"), tag("Name"), tag(Step::TAG)]);
        assert_eq!(tags.0.keys().collect::<Vec<_>>(), ["Name"]);
    }
}
