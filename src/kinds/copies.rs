//! Copies of data that the settings ask for: snapshots of tagged EBS volumes. The calls alone; when one is made and when one
//! expires is `capture::copies`'s.
use super::{
    ec2::{FILTER_VALUES_MAX, PAGE_ROWS, TAGS_MAX, failed, filter, gone_already, held, unbuildable},
    mirror::{BuildError, Tag as _, is_users_tag},
};
use crate::{
    aws::{Cx, Failure},
    model::Timestamp,
};
use aws_sdk_ec2::types as sdk;
use std::collections::{BTreeMap, BTreeSet};

/// The tag of each copy: its value names the rule that it was made for.
pub const TAG: &str = "rollbackd:copy";

/// IAM actions of the role that copies: to read what belongs together and what forbids a deletion, to make, to delete. What a
/// rule's tag is on is read as all else is.
pub const READS: &[&str] = &["ec2:DescribeImages", "ec2:DescribeInstances", "ec2:DescribeLockedSnapshots"];
pub const MAKES: [&str; 2] = ["ec2:CreateSnapshot", "ec2:CreateSnapshots"];
pub const DELETES: &[&str] = &["ec2:DeleteSnapshot"];

/// A volume that a rule's tag is on.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub volume: String,
    /// The instances that it is attached to.
    pub instances: Vec<String>,
    tags: Vec<sdk::Tag>,
}

#[cfg(test)]
impl Source {
    pub fn new(volume: &str, instances: &[&str]) -> Self {
        let instances = instances.iter().map(|i| (*i).to_owned()).collect();
        Self { volume: volume.to_owned(), instances, tags: vec![] }
    }
}

/// A copy that is there, whoever made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub id: String,
    pub volume: String,
    pub taken: Timestamp,
    /// Whole, so that a volume can be made of it.
    pub completed: bool,
    /// It never will be whole: why.
    pub failed: Option<String>,
    pub description: String,
}

/// The volumes with a tag that can be copied.
pub async fn sources(cx: &Cx, key: &str, value: &str) -> Result<Vec<Source>, Failure> {
    let call = cx.ec2.describe_volumes().filters(filter(format!("tag:{key}"), [value]));
    let call = call.filters(filter("status", ["available", "in-use"])).into_paginator().page_size(PAGE_ROWS);
    let rows: Vec<sdk::Volume> = call.items().send().try_collect().await.map_err(failed("ec2:DescribeVolumes"))?;
    let source = |v: sdk::Volume| {
        let instances = v.attachments().iter().filter_map(|a| a.instance_id.clone()).collect();
        Some(Source { volume: v.volume_id?, instances, tags: v.tags.unwrap_or_default() })
    };
    Ok(rows.into_iter().filter_map(source).collect())
}

/// The copies with a rule's tag, newest first.
pub async fn made(cx: &Cx, rule: &str) -> Result<Vec<Made>, Failure> {
    let call = cx.ec2.describe_snapshots().owner_ids("self").filters(filter(format!("tag:{TAG}"), [rule]));
    let rows: Vec<sdk::Snapshot> = call
        .into_paginator()
        .page_size(PAGE_ROWS)
        .items()
        .send()
        .try_collect()
        .await
        .map_err(failed("ec2:DescribeSnapshots"))?;
    let copy = |s: sdk::Snapshot| {
        let taken = s.start_time?;
        Some(Made {
            id: s.snapshot_id?,
            volume: s.volume_id?,
            taken: Timestamp::new(taken.secs(), i32::try_from(taken.subsec_nanos()).ok()?).ok()?,
            completed: s.state == Some(sdk::SnapshotState::Completed),
            failed: (s.state == Some(sdk::SnapshotState::Error)).then(|| s.state_message.unwrap_or_default()),
            description: s.description.unwrap_or_default(),
        })
    };
    let mut all: Vec<Made> = rows.into_iter().filter_map(copy).collect();
    all.sort_by(|a, b| b.taken.cmp(&a.taken).then_with(|| a.id.cmp(&b.id)));
    Ok(all)
}

/// Copies one volume, with its tags. Gives the snapshot and the volume, as do copies of several. One attempt, because a lost
/// answer may hide a copy that was made.
pub async fn copy_one(
    cx: &Cx,
    source: &Source,
    rule: &str,
    description: &str,
) -> Result<Vec<(String, String)>, Failure> {
    let action = "ec2:CreateSnapshot";
    let users = source.tags.iter().filter(|t| t.key().is_some_and(is_users_tag)).take(TAGS_MAX - 1).cloned();
    let tags = tagged(users.collect(), rule).map_err(unbuildable(action))?;
    let call = cx.ec2_once.create_snapshot().volume_id(&source.volume).description(description);
    let made = call.tag_specifications(tags).send().await.map_err(failed(action))?;
    Ok(vec![(held(action, "snapshotId", made.snapshot_id)?, source.volume.clone())])
}

/// Copies several volumes of one instance at one instant, each with its tags: what was written across them fits together.
pub async fn copy_together(
    cx: &Cx,
    instance: &str,
    sources: &[&Source],
    rule: &str,
    description: &str,
) -> Result<Vec<(String, String)>, Failure> {
    let action = "ec2:CreateSnapshots";
    let call = cx.ec2.describe_instances().filters(filter("instance-id", [instance]));
    let found = call.send().await.map_err(failed("ec2:DescribeInstances"))?.reservations.unwrap_or_default();
    let found = found.into_iter().flat_map(|r| r.instances.unwrap_or_default()).next();
    let devices: BTreeMap<String, String> = found
        .iter()
        .flat_map(|i| i.block_device_mappings())
        .filter_map(|d| Some((d.ebs()?.volume_id.clone()?, d.device_name.clone()?)))
        .collect();
    // The call takes all volumes of the instance but those that it is told to leave out: the root in one way, others in
    // another.
    let root = found.as_ref().and_then(|i| i.root_device_name());
    let (left_root, left): (Vec<_>, Vec<_>) = devices
        .into_iter()
        .filter(|(volume, _)| !sources.iter().any(|s| s.volume == *volume))
        .partition(|(_, device)| Some(device.as_str()) == root);
    let left: Vec<String> = left.into_iter().map(|(volume, _)| volume).collect();
    let which = sdk::InstanceSpecification::builder()
        .instance_id(instance)
        .exclude_boot_volume(!left_root.is_empty())
        .set_exclude_data_volume_ids(Some(left).filter(|l| !l.is_empty()))
        .build();
    // AWS would refuse a copy with more tags than there can be.
    let room = sources.iter().all(|s| s.tags.len() < TAGS_MAX);
    let made = cx
        .ec2_once
        .create_snapshots()
        .instance_specification(which)
        .description(description)
        .set_copy_tags_from_source(room.then_some(sdk::CopyTagsFromSource::Volume))
        .tag_specifications(tagged(vec![], rule).map_err(unbuildable(action))?)
        .send()
        .await
        .map_err(failed(action))?;
    Ok(made.snapshots.unwrap_or_default().into_iter().filter_map(|s| Some((s.snapshot_id?, s.volume_id?))).collect())
}
fn tagged(mut tags: Vec<sdk::Tag>, rule: &str) -> Result<sdk::TagSpecification, BuildError> {
    tags.push(sdk::Tag::make(TAG, rule)?);
    Ok(sdk::TagSpecification::builder().resource_type(sdk::ResourceType::Snapshot).set_tags(Some(tags)).build())
}

/// Those of the snapshots that may not be deleted: an image is made of them, or a lock is on them.
pub async fn in_use(cx: &Cx, ids: &[String]) -> Result<BTreeSet<String>, Failure> {
    use sdk::LockState::{Compliance, ComplianceCooloff, Governance};
    let mut out = BTreeSet::new();
    for ids in ids.chunks(FILTER_VALUES_MAX) {
        let call = cx.ec2.describe_images().owners("self").include_deprecated(true).include_disabled(true);
        let call = call.filters(filter("block-device-mapping.snapshot-id", ids)).into_paginator();
        let images: Vec<sdk::Image> = call.items().send().try_collect().await.map_err(failed("ec2:DescribeImages"))?;
        let disks = images.iter().flat_map(|i| i.block_device_mappings());
        out.extend(disks.filter_map(|d| d.ebs()?.snapshot_id.clone()));
    }
    let mut next = None;
    loop {
        let states = [Compliance, ComplianceCooloff, Governance].map(|s| s.as_str().to_owned());
        let call = cx.ec2.describe_locked_snapshots().filters(filter("lock-state", states)).set_next_token(next);
        let page = call.send().await.map_err(failed("ec2:DescribeLockedSnapshots"))?;
        out.extend(page.snapshots.unwrap_or_default().into_iter().filter_map(|s| s.snapshot_id));
        next = page.next_token.filter(|t| !t.is_empty());
        if next.is_none() {
            return Ok(out);
        }
    }
}

/// Deletes a copy. One that is gone already is success.
pub async fn delete(cx: &Cx, id: &str) -> Result<(), Failure> {
    let answer = cx.ec2.delete_snapshot().snapshot_id(id).send().await;
    gone_already(answer.map_err(failed("ec2:DeleteSnapshot")))
}
