//! `ec2:volume`: a disk, and where it is attached.
//!
//! A deleted one comes back out of the recycle bin whole, or as a new volume from the newest copy of its data (H24). Without
//! any copy it does not come back: an empty disk in its place would be taken for it.
//!
//! Who makes it: the root volume of an instance and those that go with it are made as the instance is launched, so they are
//! adopted. All others are made here and attached here, to whatever instance is there under the name. Those of a member of an
//! Auto Scaling group are the group's business (H22).
use super::{
    Host, all, converge_tags, failed, filter, found, gone_already, held, hosts, is_managed, is_not_there, only,
    snapshot, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, LateRef, Ref, Set, Tags},
        names::{ec2, kms, outposts},
    },
    mirror,
    plan::{
        facts::Phase,
        readiness::{Copies, Cost, Ready},
    },
};
use aws_sdk_ec2::{
    operation::{
        attach_volume::builders::AttachVolumeInputBuilder, create_volume::builders::CreateVolumeInputBuilder,
        modify_volume::builders::ModifyVolumeInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};

mirror! {
    Spec from sdk::Volume;
    keep {
        volume_id @ "volumeId": Option<LateRef<ec2::Volume>>,
        availability_zone @ "availabilityZone": Option<String>,
        availability_zone_id @ "availabilityZoneId": Option<String>,
        outpost_arn @ "outpostArn": Option<Ref<outposts::Outpost>>,
        size @ "size": Option<i32>,
        volume_type @ "volumeType": Option<String>,
        iops @ "iops": Option<i32>,
        throughput @ "throughput": Option<i32>,
        multi_attach_enabled @ "multiAttachEnabled": Option<bool>,
        volume_initialization_rate @ "volumeInitializationRate": Option<i32>,
        encrypted @ "encrypted": Option<bool>,
        kms_key_id @ "kmsKeyId": Option<Ref<kms::Key>>,
        attachments @ "attachmentSet": Set<VolumeAttachment>,
        tags @ "tagSet": Tags,
    }
    report {
        snapshot_id @ "snapshotId": Option<String> = "what it was first made from; its content is newer",
    }
    drop {
        source_volume_id @ "sourceVolumeId": "what it was first copied from; its content is newer",
        fast_restored @ "fastRestored": "runtime: how its first blocks were read",
        sse_type @ "sseType": "follows from the encryption",
        volume_arn @ "volumeArn": "derived from the id",
        owner_id @ "ownerId": "the account; part of the key",
        state @ "status": "runtime state; see settled()",
        create_time @ "createTime": "runtime: a time",
        operator @ "operator": "what a service of AWS manages is left out of look(): that service makes it",
    }
    also {
        made_with: Option<Ref<ec2::Instance>> // the instance whose launch makes this volume: made_with()
    }
}

mirror! {
    VolumeAttachment from sdk::VolumeAttachment, key [instance_id];
    keep {
        instance_id @ "instanceId": Option<LateRef<ec2::Instance>>,
        device @ "device": Option<String>,
        delete_on_termination @ "deleteOnTermination": Option<bool>,
        ebs_card_index @ "ebsCardIndex": Option<i32>,
    }
    drop {
        associated_resource @ "associatedResource": "attached by a service: that service attaches it",
        instance_owning_service @ "instanceOwningService": "attached by a service: that service attaches it",
        volume_id @ "volumeId": "the resource itself",
        state @ "status": "runtime state; one on its way out is left out",
        attach_time @ "attachTime": "runtime: a time",
    }
}

input! {
    Spec => create_volume(CreateVolumeInputBuilder);
    set {
        set_availability_zone: availability_zone,
        set_iops: iops,
        set_kms_key_id: kms_key_id,
        set_outpost_arn: outpost_arn,
        set_size: size,
        set_volume_type: volume_type,
        set_throughput: throughput,
        set_volume_initialization_rate: volume_initialization_rate,
    }
    leave {
        availability_zone_id: "availability_zone says it, and AWS refuses both",
        encrypted: "only true: false is refused for an encrypted snapshot: create()",
        multi_attach_enabled: "only true: false is refused for most types: create()",
        snapshot_id: "the newest copy of its data: source()",
        operator: "what a service of AWS manages is left out of look(): that service makes it",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        client_token: "the step's token",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_volume(ModifyVolumeInputBuilder);
    set {
        set_size: size,
        set_volume_type: volume_type,
        set_iops: iops,
        set_throughput: throughput,
        set_multi_attach_enabled: multi_attach_enabled,
    }
    leave {
        volume_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    VolumeAttachment => attach_volume(AttachVolumeInputBuilder);
    set {
        set_device: device,
        set_instance_id: instance_id,
        set_ebs_card_index: ebs_card_index,
    }
    leave {
        volume_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

pub struct Volume;

// ---- reading ------------------------------------------------------------------------------------------------------

/// The fields of a volume that its type takes from its maker. Of the others AWS tells what follows from the size.
pub fn takes_iops(volume_type: Option<&str>) -> bool {
    matches!(volume_type, Some("gp3" | "io1" | "io2"))
}
pub fn takes_throughput(volume_type: Option<&str>) -> bool {
    volume_type == Some("gp3")
}

fn is_alive(v: &sdk::Volume) -> bool {
    use sdk::VolumeState::{Deleted, Deleting, Error};
    !matches!(v.state, Some(Deleted | Deleting | Error)) && !is_managed(v.operator())
}
fn is_attached(a: &sdk::VolumeAttachment) -> bool {
    use sdk::VolumeAttachmentState::{Detached, Detaching};
    // One without an instance is a service's, such as Fargate's.
    !matches!(a.state, Some(Detached | Detaching)) && a.instance_id().is_some_and(|i| !i.is_empty())
}

async fn volumes(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::Volume>, Failure> {
    let call = cx.ec2.describe_volumes().set_filters(filters).into_paginator();
    call.page_size(super::PAGE_ROWS).items().send().try_collect().await.map_err(failed("ec2:DescribeVolumes"))
}

async fn seen(cx: &Cx, all: Vec<sdk::Volume>) -> Result<Vec<Seen<Spec>>, Failure> {
    let alive: Vec<_> = all.into_iter().filter(is_alive).collect();
    let ids: BTreeSet<String> = alive
        .iter()
        .flat_map(|v| v.attachments())
        .filter(|a| is_attached(a))
        .filter_map(|a| a.instance_id.clone())
        .collect();
    let hosts = hosts(cx, ids).await?;
    Ok(alive.into_iter().filter_map(|v| one(v, &hosts)).collect())
}

fn one(mut v: sdk::Volume, hosts: &BTreeMap<String, Host>) -> Option<Seen<Spec>> {
    let in_a_group = |id: &str| hosts.get(id).is_some_and(|h| h.is_in_a_group);
    let mut rows = v.attachments.take().unwrap_or_default();
    rows.retain(is_attached);
    // H22: what is launched and terminated with a member of a group, the group makes.
    let goes_with_a_member =
        |a: &sdk::VolumeAttachment| a.delete_on_termination() == Some(true) && a.instance_id().is_some_and(in_a_group);
    if rows.iter().any(goes_with_a_member) {
        return None;
    }
    rows.retain(|a| !a.instance_id().is_some_and(in_a_group));
    let made_with = rows.iter().find_map(|a| {
        let host = a.instance_id()?;
        let is_root = hosts.get(host).is_some_and(|h| h.root_device.is_some() && h.root_device == a.device);
        (is_root || a.delete_on_termination() == Some(true)).then(|| Ref::new(host))
    });
    v.attachments = Some(rows);
    let mut spec = Spec::from_sdk(&v);
    spec.made_with = made_with;
    let kind = spec.volume_type.as_deref();
    spec.iops = spec.iops.filter(|_| takes_iops(kind));
    spec.throughput = spec.throughput.filter(|_| takes_throughput(kind));
    spec.snapshot_id = spec.snapshot_id.filter(|s| !s.is_empty());
    Some(Seen { id: v.volume_id?, spec, aliases: vec![] })
}

// ---- making -------------------------------------------------------------------------------------------------------

/// The snapshot to make it from: the newest of its own, else the one that it was first made from. None is no answer.
async fn source(cx: &Cx, id: &str, spec: &Spec) -> Result<String, Failure> {
    let own = snapshot::newest(cx, &[id.to_owned()]).await?.pop().and_then(|(_, s)| s.snapshot_id);
    if let Some(own) = own {
        return Ok(own);
    }
    if let Some(first) = &spec.snapshot_id {
        // It may be another account's, so it is asked for by its id alone.
        let answer = cx.ec2.describe_snapshots().snapshot_ids(first).send().await;
        let answer = found(answer.map_err(failed("ec2:DescribeSnapshots")))?.and_then(|a| a.snapshots);
        if answer.unwrap_or_default().iter().any(|s| s.state == Some(sdk::SnapshotState::Completed)) {
            return Ok(first.clone());
        }
    }
    let why = format!(
        "no usable snapshot of {id} is there, nor is {id} in the recycle bin: its content is lost, and an empty volume is not made silently in its place"
    );
    Err(Failure::unbuildable("ec2:CreateVolume", why))
}

/// The volume itself, whole, if the recycle bin has it.
async fn out_of_the_bin(cx: &Cx, id: &str) -> Result<bool, Failure> {
    let answer = cx.ec2.list_volumes_in_recycle_bin().volume_ids(id).send().await;
    let answer = match answer.map_err(failed("ec2:ListVolumesInRecycleBin")) {
        Err(f) if is_not_there(&f) => return Ok(false),
        answer => answer?,
    };
    if !answer.volumes().iter().any(|v| v.volume_id() == Some(id)) {
        return Ok(false);
    }
    let action = "ec2:RestoreVolumeFromRecycleBin";
    match cx.ec2.restore_volume_from_recycle_bin().volume_id(id).send().await.map_err(failed(action)) {
        Ok(_) => Ok(true),
        // Its time had run out meanwhile.
        Err(f) if is_not_there(&f) => Ok(false),
        Err(f) => Err(f),
    }
}

// ---- changing -----------------------------------------------------------------------------------------------------

/// What ModifyVolume is to say, if anything.
fn modified(now: &Spec, want: &Spec) -> Option<Spec> {
    let mut to = want.clone();
    let kind_changes = now.volume_type != want.volume_type;
    to.volume_type = to.volume_type.filter(|_| kind_changes);
    // A new type brings its own figures along, so it is told all of them.
    to.iops = to.iops.filter(|_| kind_changes || now.iops != want.iops);
    to.throughput = to.throughput.filter(|_| kind_changes || now.throughput != want.throughput);
    // It grows and never shrinks.
    to.size = to.size.filter(|size| now.size.is_none_or(|n| n < *size));
    // Multi-Attach can be taken away too, so false must be said.
    let flag = |s: &Spec| s.multi_attach_enabled.unwrap_or_default();
    to.multi_attach_enabled = (flag(now) != flag(want)).then(|| flag(want));
    let says = to.volume_type.is_some()
        || to.iops.is_some()
        || to.throughput.is_some()
        || to.size.is_some()
        || to.multi_attach_enabled.is_some();
    says.then_some(to)
}

struct Attachments<'a> {
    detach: Vec<&'a VolumeAttachment>,
    attach: Vec<&'a VolumeAttachment>,
    /// Whether they go with their instance, where that is not as it will be.
    flag: Vec<&'a VolumeAttachment>,
}
impl<'a> Attachments<'a> {
    fn new(now: &'a Spec, want: &'a Spec) -> Self {
        let place = |a: &VolumeAttachment| (a.instance_id.as_ref().map(|i| i.0.clone()), a.device.clone());
        let same = |rows: &'a Set<VolumeAttachment>, a: &VolumeAttachment| rows.iter().find(|b| place(b) == place(a));
        let detach = now.attachments.iter().filter(|a| same(&want.attachments, a).is_none()).collect();
        let attach: Vec<_> = want.attachments.iter().filter(|a| same(&now.attachments, a).is_none()).collect();
        let goes = |a: &VolumeAttachment| a.delete_on_termination.unwrap_or_default();
        let flag = want
            .attachments
            .iter()
            // One that is attached by a call does not go with its instance at first.
            .filter(|a| goes(a) != same(&now.attachments, a).is_some_and(goes))
            .collect();
        Self { detach, attach, flag }
    }
    async fn send(&self, cx: &Cx, id: &str) -> Result<(), Failure> {
        for a in &self.detach {
            let call =
                cx.ec2.detach_volume().volume_id(id).set_instance_id(a.instance_id.as_ref().map(|i| i.0.clone()));
            let sent = call.send().await.map_err(failed("ec2:DetachVolume"));
            // "IncorrectState" of a volume that is available: it was detached already.
            gone_already(sent)?;
        }
        for a in &self.attach {
            let action = "ec2:AttachVolume";
            let call = a.attach_volume().map_err(unbuildable(action))?.volume_id(id);
            let sent = call.send_with(&cx.ec2).await.map_err(failed(action)).map_err(|mut f| {
                // It is still on its way out of where it was; another one at the device stays there.
                if f.code == "VolumeInUse" {
                    f.class = Class::Busy;
                }
                f
            });
            sent?;
        }
        for a in &self.flag {
            let goes = a.delete_on_termination.unwrap_or_default();
            let ebs = sdk::EbsInstanceBlockDeviceSpecification::builder().delete_on_termination(goes).build();
            let row = sdk::InstanceBlockDeviceMappingSpecification::builder();
            let row = row.set_device_name(a.device.clone()).ebs(ebs).build();
            let call = cx.ec2.modify_instance_attribute().block_device_mappings(row);
            let sent = call.set_instance_id(a.instance_id.as_ref().map(|i| i.0.clone())).send().await;
            sent.map_err(failed("ec2:ModifyInstanceAttribute"))?;
        }
        Ok(())
    }
}

impl Kind for Volume {
    type Name = ec2::Volume;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &VolumeAttachment::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateVolumeInputBuilder>>::TABLE,
        &<Spec as Input<ModifyVolumeInputBuilder>>::TABLE,
        &<VolumeAttachment as Input<AttachVolumeInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeVolumes", "ec2:DescribeInstances"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:DescribeSnapshots",
        "ec2:ListSnapshotsInRecycleBin",
        "ec2:ListVolumesInRecycleBin",
        "ec2:RestoreSnapshotFromRecycleBin",
        "ec2:RestoreVolumeFromRecycleBin",
        "ec2:CreateVolume",
        "ec2:ModifyVolume",
        "ec2:AttachVolume",
        "ec2:DetachVolume",
        "ec2:ModifyInstanceAttribute",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "the id of the volume, unless the recycle bin has it",
        "what was written to it since the snapshot that it is made from: its newest, else the one it was first made from",
        "its place as the root of an instance that was launched anew, where the volume itself survived: swap it by hand",
        "I/O that is enabled again by itself after an impairment (AutoEnableIO)",
    ];
    const PHASE: Phase = Phase::Data;
    const TERRAFORM: &'static str = "aws_ebs_volume";
    const IMMUTABLE: &'static [&'static str] = &[
        "availability_zone",
        "availability_zone_id",
        "outpost_arn",
        "encrypted",
        "kms_key_id",
        "volume_initialization_rate",
    ];
    const GIVEN: &'static [&'static str] =
        &["volume_id", "made_with", "size", "volume_type", "iops", "throughput", "multi_attach_enabled"];
    const HARMLESS: &'static [&'static str] = &["snapshot_id"];
    const REPORTED: &'static [(&'static str, &'static str)] =
        &[("snapshot_id", "it says what a volume was first made from: now its newest copy")];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let all = volumes(cx, only("volume-id", which)).await?;
        seen(cx, all).await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let here = volumes(cx, Some(vec![filter("volume-id", [id])])).await?;
        Ok(seen(cx, here).await?.pop())
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "volume", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateVolume";
        let Some(id) = spec.volume_id.as_ref().map(|v| v.0.clone()) else {
            return Err(Failure::unbuildable(
                action,
                "the volume's own id was not captured, so no copy of it is found",
            ));
        };
        // H24: the recycle bin first: there it is whole. An earlier attempt may have taken it out.
        if Self::read(cx, &id).await?.is_some() || out_of_the_bin(cx, &id).await? {
            return Ok(id);
        }
        let from = source(cx, &id, spec).await?;
        let tags = tags_on_create(sdk::ResourceType::Volume, &spec.tags, step)?;
        let call = spec
            .create_volume()
            .map_err(unbuildable(action))?
            .snapshot_id(from)
            .set_encrypted(spec.encrypted.filter(|e| *e))
            .set_kms_key_id(spec.kms_key_id.as_ref().filter(|_| spec.encrypted == Some(true)).map(|k| k.0.clone()))
            .set_multi_attach_enabled(spec.multi_attach_enabled.filter(|m| *m))
            .tag_specifications(tags)
            .client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "volumeId", made.volume_id)
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let modify = async {
            let action = "ec2:ModifyVolume";
            if let Some(to) = modified(now, want) {
                let call = to.modify_volume().map_err(unbuildable(action))?.volume_id(id);
                call.send_with(&cx.ec2).await.map_err(failed(action))?;
            }
            Ok(())
        };
        let attachments = Attachments::new(now, want);
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> = vec![
            Box::pin(converge_tags(cx, id, &now.tags, &want.tags)),
            Box::pin(modify),
            Box::pin(attachments.send(cx, id)),
        ];
        all(calls).await?;
        match (now.size, want.size) {
            (Some(is), Some(was)) if is > was => {
                let why = format!("{id} has grown from {was} to {is} GiB since, and a volume never shrinks");
                Err(Failure::unbuildable("ec2:ModifyVolume", why))
            }
            _ => Ok(()),
        }
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        use sdk::VolumeState::{Available, Deleted, Deleting, Error, InUse};
        let here = volumes(cx, Some(vec![filter("volume-id", [id])])).await?.pop();
        let Some(v) = here else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = v.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        let is_arriving = |a: &sdk::VolumeAttachment| a.state == Some(sdk::VolumeAttachmentState::Attaching);
        Ok(match v.state {
            Some(InUse) if v.attachments().iter().any(is_arriving) => Settled::Waiting("attaching".into()),
            Some(Available | InUse) => Settled::Ready,
            // Such as a key that may not be used: AWS gives no reason.
            Some(Error | Deleting | Deleted) => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }
    fn is_implicit(spec: &Spec) -> bool {
        spec.made_with.is_some()
    }
    async fn implicit(cx: &Cx, want: &Spec) -> Result<Option<String>, Failure> {
        let Some(host) = want.made_with.as_ref().map(|i| &i.0) else { return Ok(None) };
        let row = want.attachments.iter().find(|a| a.instance_id.as_ref().is_some_and(|i| &i.0 == host));
        let Some(device) = row.and_then(|a| a.device.as_deref()) else { return Ok(None) };
        let here = volumes(cx, Some(vec![filter("attachment.instance-id", [host])])).await?;
        let at_the_device = |v: &sdk::Volume| {
            let mut rows = v.attachments().iter().filter(|a| is_attached(a));
            rows.any(|a| a.instance_id() == Some(host) && a.device() == Some(device))
        };
        let made = here.iter().filter(|v| is_alive(v)).find(|v| at_the_device(v)).and_then(|v| v.volume_id.clone());
        if made.is_some() || here.is_empty() {
            return Ok(made);
        }
        // H24: the launch leaves out what has no copy. Others of the instance are there, so this one does not come.
        let hosts = hosts(cx, [host.clone()].into()).await?;
        let is_root = hosts.get(host).is_none_or(|h| h.root_device.as_deref() == Some(device));
        if let (Some(id), false) = (&want.volume_id, is_root) {
            source(cx, &id.0, want).await?;
        }
        Ok(None)
    }
    fn readiness(id: &str, spec: &Spec, copies: &Copies) -> Ready {
        let lost = match (copies.of(id), &spec.snapshot_id) {
            (Some(copy), _) => format!("what was written since {} ({})", copy.taken, copy.id),
            (None, Some(first)) => {
                format!("what was written since it was made from {first}: it has no snapshot of its own")
            }
            (None, None) => "all of it: it has no snapshot".to_owned(),
        };
        Ready { cost: Cost::Data, lost, remedy: Some(format!("aws ec2 create-snapshot --volume-id {id}")) }
    }
    fn terraform(id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        // What is made with an instance is part of it.
        if spec.made_with.is_some() {
            return vec![];
        }
        let attached = spec.attachments.iter().filter_map(|a| {
            Some(("aws_volume_attachment", format!("{}:{id}:{}", a.device.as_ref()?, a.instance_id.as_ref()?.0)))
        });
        [(Self::TERRAFORM, id.to_owned())].into_iter().chain(attached).collect()
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateVolume"] };
        let mut out = tag_calls(&now.tags, &want.tags);
        out.extend(modified(now, want).map(|_| "ec2:ModifyVolume"));
        let todo = Attachments::new(now, want);
        out.extend(todo.detach.iter().map(|_| "ec2:DetachVolume"));
        out.extend(todo.attach.iter().map(|_| "ec2:AttachVolume"));
        out.extend(todo.flag.iter().map(|_| "ec2:ModifyInstanceAttribute"));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, sent, spec},
        *,
    };
    use crate::aws::canned::{Answer, Canned};
    use serde_json::{Value, json};

    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }
    fn want() -> Value {
        json!({"volume_id": {"$late": "ec2:volume", "id": "vol-1"}, "availability_zone": "eu-west-1a", "size": 20, "volume_type": "gp3", "iops": 3500, "throughput": 200, "encrypted": true, "kms_key_id": {"$ref": "kms:key", "id": "arn:aws:kms:eu-west-1:111122223333:key/k"}})
    }
    fn instance(id: &str) -> Value {
        json!({"$late": "ec2:instance", "id": id})
    }
    /// Answers about snapshots and the recycle bins.
    fn aws(snapshots: &'static str, binned: &'static str) -> Canned {
        Canned::new(move |call| match call.action.as_str() {
            "DescribeSnapshots" => Answer::Ok(format!("<snapshotSet>{snapshots}</snapshotSet>")),
            "ListVolumesInRecycleBin" => Answer::Ok(format!("<volumeSet>{binned}</volumeSet>")),
            "DescribeVolumes" => "<volumeSet/>".into(),
            _ => "<volumeId>vol-9</volumeId>".into(),
        })
    }
    const SNAPSHOT: &str = "<item><snapshotId>snap-7</snapshotId><volumeId>vol-1</volumeId><status>completed</status><startTime>2026-01-01T00:00:00Z</startTime></item>";

    #[tokio::test]
    async fn h24_the_recycle_bin_has_it_whole_else_its_newest_snapshot_is_the_source() {
        let canned = aws(SNAPSHOT, "<item><volumeId>vol-1</volumeId></item>");
        assert_eq!(Volume::create(&canned.cx(), &spec::<Volume>(&want()), &step()).await.unwrap(), "vol-1");
        assert_eq!(canned.wrote(), ["RestoreVolumeFromRecycleBin VolumeId=vol-1"]);
        let canned = aws(SNAPSHOT, "");
        assert_eq!(Volume::create(&canned.cx(), &spec::<Volume>(&want()), &step()).await.unwrap(), "vol-9");
        let text = canned.wrote().concat();
        let text = text.split(' ').filter(|p| !p.starts_with("TagSpecification")).collect::<Vec<_>>().join(" ");
        assert_eq!(
            text,
            "CreateVolume AvailabilityZone=eu-west-1a ClientToken=rollbackd-r1-3 Encrypted=true Iops=3500 KmsKeyId=arn:aws:kms:eu-west-1:111122223333:key/k Size=20 SnapshotId=snap-7 Throughput=200 VolumeType=gp3"
        );
    }

    #[tokio::test]
    async fn h24_without_any_copy_no_empty_volume_is_made() {
        let canned = aws("", "");
        let f = Volume::create(&canned.cx(), &spec::<Volume>(&want()), &step()).await.unwrap_err();
        assert!(f.message.contains("an empty volume is not made silently"), "{f}");
        assert_eq!((f.class, canned.wrote()), (Class::Invalid, vec![]));
    }

    #[tokio::test]
    async fn h24_the_snapshot_that_it_was_first_made_from_is_better_than_nothing() {
        let canned = Canned::new(|call| match (call.action.as_str(), call.get("SnapshotId.1")) {
            ("DescribeSnapshots", "snap-0") => {
                "<snapshotSet><item><snapshotId>snap-0</snapshotId><status>completed</status></item></snapshotSet>"
                    .into()
            }
            ("CreateVolume", _) => "<volumeId>vol-9</volumeId>".into(),
            _ => "".into(),
        });
        let mut want = want();
        want["snapshot_id"] = "snap-0".into();
        Volume::create(&canned.cx(), &spec::<Volume>(&want), &step()).await.unwrap();
        assert!(canned.wrote().concat().contains("SnapshotId=snap-0"));
    }

    #[tokio::test]
    async fn figures_that_follow_from_the_type_are_not_configuration_and_false_is_not_said() {
        let canned = Canned::new(|_| {
            "<volumeSet><item><volumeId>vol-1</volumeId><volumeType>gp2</volumeType><iops>100</iops><throughput>125</throughput><encrypted>false</encrypted><status>available</status></item><item><volumeId>vol-2</volumeId><status>deleting</status></item><item><volumeId>vol-3</volumeId><status>in-use</status><operator><managed>true</managed></operator></item></volumeSet>".into()
        });
        let seen = Volume::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["vol-1"]);
        assert_eq!((seen[0].spec.iops, seen[0].spec.throughput), (None, None));
        let canned = aws(SNAPSHOT, "");
        Volume::create(&canned.cx(), &seen[0].spec, &step()).await.unwrap();
        let text = canned.wrote().concat();
        assert!(!text.contains("Encrypted") && !text.contains("Iops"), "{text}");
    }

    const HOSTS: &str = "<reservationSet><item><instancesSet>\
        <item><instanceId>i-1</instanceId><rootDeviceName>/dev/xvda</rootDeviceName></item>\
        <item><instanceId>i-asg</instanceId><rootDeviceName>/dev/xvda</rootDeviceName><tagSet><item><key>aws:autoscaling:groupName</key><value>g</value></item></tagSet></item>\
        </instancesSet></item></reservationSet>";
    fn volume(id: &str, host: &str, device: &str, goes: bool) -> String {
        format!(
            "<item><volumeId>{id}</volumeId><status>in-use</status><attachmentSet><item><instanceId>{host}</instanceId><device>{device}</device><status>attached</status><deleteOnTermination>{goes}</deleteOnTermination></item></attachmentSet></item>"
        )
    }

    #[tokio::test]
    async fn h22_what_goes_with_a_member_of_a_group_is_the_groups() {
        let rows = [
            volume("vol-1", "i-1", "/dev/xvda", false),
            volume("vol-2", "i-1", "/dev/sdf", true),
            volume("vol-3", "i-1", "/dev/sdg", false),
            volume("vol-4", "i-asg", "/dev/xvda", true),
            volume("vol-5", "i-asg", "/dev/sdf", false),
        ]
        .concat();
        let canned = Canned::new(move |call| match call.action.as_str() {
            "DescribeInstances" => HOSTS.into(),
            _ => Answer::Ok(format!("<volumeSet>{rows}</volumeSet>")),
        });
        let seen = Volume::look(&canned.cx(), Which::All).await.unwrap();
        let with = |id: &str| seen.iter().find(|s| s.id == id).map(|s| &s.spec);
        assert!(with("vol-4").is_none());
        assert!(with("vol-5").unwrap().attachments.is_empty());
        // The root comes with its instance whatever becomes of it afterwards; so does what goes with the instance.
        let made_with = |id: &str| with(id).unwrap().made_with.as_ref().map(|i| i.0.as_str());
        assert_eq!((made_with("vol-1"), made_with("vol-2"), made_with("vol-3")), (Some("i-1"), Some("i-1"), None));
        assert!(Volume::is_implicit(with("vol-2").unwrap()));
        assert_eq!(Volume::implicit(&canned.cx(), with("vol-2").unwrap()).await.unwrap().as_deref(), Some("vol-2"));
        assert_eq!(Volume::implicit(&canned.cx(), with("vol-3").unwrap()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn h21_a_volume_that_survived_is_attached_to_the_instance_that_came_after() {
        let canned = Canned::new(|_| "<return>true</return>".into());
        let at =
            |host: &str| json!([{"instance_id": instance(host), "device": "/dev/sdf", "delete_on_termination": true}]);
        let (mut now, mut want) = (want(), want());
        want["attachments"] = at("i-new");
        assert_eq!(
            foretold::<Volume>(&canned, "vol-1", &now, &want).await,
            [
                "AttachVolume Device=/dev/sdf InstanceId=i-new VolumeId=vol-1",
                "ModifyInstanceAttribute BlockDeviceMapping.1.DeviceName=/dev/sdf BlockDeviceMapping.1.Ebs.DeleteOnTermination=true InstanceId=i-new",
            ]
        );
        now["attachments"] = at("i-other");
        let calls = foretold::<Volume>(&canned, "vol-1", &now, &want).await;
        assert_eq!(calls[0], "DetachVolume InstanceId=i-other VolumeId=vol-1");
        let canned = Canned::new(|call| match call.action.as_str() {
            "AttachVolume" => Answer::Error(400, "VolumeInUse", "vol-1 is already attached to an instance"),
            _ => "".into(),
        });
        let f = sent::<Volume>(&canned, "vol-1", &now, &want).await.unwrap_err();
        assert_eq!(f.class, Class::Busy);
    }

    #[tokio::test]
    async fn it_is_modified_in_one_call_and_never_shrinks() {
        let canned = Canned::new(|_| "<return>true</return>".into());
        let mut now = want();
        (now["size"], now["volume_type"], now["multi_attach_enabled"]) = (10.into(), "gp2".into(), true.into());
        now.as_object_mut().unwrap().retain(|k, _| k != "iops" && k != "throughput");
        assert_eq!(
            foretold::<Volume>(&canned, "vol-1", &now, &want()).await,
            ["ModifyVolume Iops=3500 MultiAttachEnabled=false Size=20 Throughput=200 VolumeId=vol-1 VolumeType=gp3"]
        );
        let mut now = want();
        now["size"] = 30.into();
        let f = sent::<Volume>(&canned, "vol-1", &now, &want()).await.unwrap_err();
        assert!(f.message.contains("grown from 20 to 30 GiB"), "{f}");
        assert_eq!(canned.wrote(), [] as [String; 0]);
    }

    #[tokio::test]
    async fn settled_says_the_state() {
        for (state, settled) in [
            ("available", Settled::Ready),
            ("in-use", Settled::Ready),
            ("creating", Settled::Waiting("creating".into())),
            ("error", Settled::Failed("error".into())),
        ] {
            let canned = Canned::new(move |_| {
                Answer::Ok(format!("<volumeSet><item><status>{state}</status></item></volumeSet>"))
            });
            assert_eq!(Volume::settled(&canned.cx(), "vol-1").await.unwrap(), settled);
        }
    }
}
