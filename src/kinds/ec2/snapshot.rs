//! `ec2:snapshot`: of the account's own. What is in one cannot be made again, so the only way back is the recycle bin, for as
//! long as a retention rule keeps it there (H24). It comes back under its own id.
use super::{all, converge_tags, failed, found, is_not_there, only, tag_calls, unbuildable};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, LateRef, Ref, Set, Stamp, Tags},
        names::{ec2, kms, outposts},
    },
    mirror,
    plan::{
        facts::Phase,
        readiness::{Copies, Copy, Cost, Ready},
    },
};
use aws_sdk_ec2::{
    operation::{
        describe_snapshot_attribute::DescribeSnapshotAttributeOutput,
        modify_snapshot_attribute::builders::ModifySnapshotAttributeInputBuilder,
        modify_snapshot_tier::builders::ModifySnapshotTierInputBuilder,
    },
    types as sdk,
};
use futures_util::{
    future::BoxFuture,
    stream::{self, StreamExt, TryStreamExt},
};

/// H24: what nothing can make again comes back from the recycle bin alone, where a rule keeps it there.
pub(super) fn in_the_bin(resource_type: &str) -> Ready {
    Ready {
        cost: Cost::Data,
        lost: "all of it, unless a rule of the recycle bin keeps it".into(),
        remedy: Some(format!(
            "aws rbin create-rule --resource-type {resource_type} --retention-period RetentionPeriodValue=7,RetentionPeriodUnit=DAYS"
        )),
    }
}

mirror! {
    Spec from sdk::Snapshot;
    keep {
        snapshot_id @ "snapshotId": Option<LateRef<ec2::Snapshot>>,
        outpost_arn @ "outpostArn": Option<Ref<outposts::Outpost>>,
        storage_tier @ "storageTier": Option<String>,
        description @ "description": Option<String>,
        encrypted @ "encrypted": Option<bool>,
        kms_key_id @ "kmsKeyId": Option<Ref<kms::Key>>,
        tags @ "tagSet": Tags,
    }
    report {
        volume_id @ "volumeId": Option<String> = "content: of which volume it is a copy",
        volume_size @ "volumeSize": Option<i32> = "content: the least size of a volume made from it",
        start_time @ "startTime": Option<Stamp> = "content: how old the copy is",
    }
    drop {
        owner_alias @ "ownerAlias": "the account; part of the key",
        owner_id @ "ownerId": "the account; part of the key",
        restore_expiry_time @ "restoreExpiryTime": "runtime: until when an archived one is readable",
        sse_type @ "sseType": "follows from the encryption",
        availability_zone @ "availabilityZone": "follows from the Local Zone that it was made in",
        transfer_type @ "transferType": "runtime: how its copy was made",
        completion_duration_minutes @ "completionDurationMinutes": "runtime: how long its copy was to take",
        completion_time @ "completionTime": "runtime: a time",
        full_snapshot_size_in_bytes @ "fullSnapshotSizeInBytes": "runtime: a measure of its content",
        state @ "status": "runtime state; see settled()",
        state_message @ "statusMessage": "runtime state; see settled()",
        progress @ "progress": "runtime state",
        data_encryption_key_id @ "dataEncryptionKeyId": "internal to AWS: says which snapshots share a key",
    }
    gap {
        "associatedKmsKeySet": "keys that its blocks are under; this SDK cannot read them yet, kept beside the spec",
    }
    also {
        create_volume_permissions: Set<CreateVolumePermission> // DescribeSnapshotAttribute
    }
}

mirror! {
    Attribute from DescribeSnapshotAttributeOutput;
    keep {
        create_volume_permissions @ "createVolumePermission": Set<CreateVolumePermission>,
    }
    drop {
        product_codes @ "productCodes": "another attribute; only the marketplace sets it",
        snapshot_id @ "snapshotId": "the resource itself",
    }
}

mirror! {
    CreateVolumePermission from sdk::CreateVolumePermission, key [group, user_id];
    keep {
        group @ "group": Option<String>,
        user_id @ "userId": Option<String>,
    }
}

input! {
    Spec => modify_snapshot_attribute(ModifySnapshotAttributeInputBuilder);
    leave {
        create_volume_permission: "those to add or those to remove: converge()",
        attribute: "create_volume_permission says it",
        group_names: "create_volume_permission says it",
        operation_type: "create_volume_permission says it",
        user_ids: "create_volume_permission says it",
        snapshot_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_snapshot_tier(ModifySnapshotTierInputBuilder);
    set {
        set_storage_tier: storage_tier,
    }
    leave {
        snapshot_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    CreateVolumePermission => sdk::CreateVolumePermission;
    set {
        set_user_id: user_id,
        set_group: group,
    }
}

pub struct Snapshot;

/// One that failed holds nothing; one that is recoverable is in the recycle bin.
fn is_alive(s: &sdk::Snapshot) -> bool {
    !matches!(s.state, Some(sdk::SnapshotState::Error | sdk::SnapshotState::Recoverable))
}

async fn permissions(cx: &Cx, id: &str) -> Result<Option<Set<CreateVolumePermission>>, Failure> {
    let attribute = sdk::SnapshotAttributeName::CreateVolumePermission;
    let answer = cx.ec2.describe_snapshot_attribute().snapshot_id(id).attribute(attribute).send().await;
    let answer = found(answer.map_err(failed("ec2:DescribeSnapshotAttribute")))?;
    Ok(answer.map(|a| Attribute::from_sdk(&a).create_volume_permissions))
}

async fn snapshots(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::Snapshot>, Failure> {
    // Without an owner the answer is every public snapshot of the region.
    let call = cx.ec2.describe_snapshots().owner_ids("self").set_filters(filters).into_paginator();
    call.page_size(super::PAGE_ROWS).items().send().try_collect().await.map_err(failed("ec2:DescribeSnapshots"))
}

async fn whole(cx: &Cx, all: Vec<sdk::Snapshot>) -> Result<Vec<Seen<Spec>>, Failure> {
    let with_permissions = stream::iter(all.into_iter().filter(is_alive)).map(|s| async move {
        let Some(id) = s.snapshot_id.clone() else { return Ok(None) };
        // One that went while it was read is left out.
        let Some(permissions) = permissions(cx, &id).await? else { return Ok(None) };
        let mut spec = Spec::from_sdk(&s);
        spec.create_volume_permissions = permissions;
        spec.description = spec.description.filter(|d| !d.is_empty());
        Ok::<_, Failure>(Some(Seen { id, spec, aliases: vec![] }))
    });
    let all = with_permissions.buffer_unordered(super::READS_AT_ONCE).try_collect::<Vec<_>>().await?;
    Ok(all.into_iter().flatten().collect())
}

// ---- copies of a volume's data ------------------------------------------------------------------------------------

/// The newest snapshot that a volume of today's can be made from, for each of `volumes` that has one. Those that wait in the
/// recycle bin are taken out first (H24): the newest may be there.
pub async fn newest(cx: &Cx, volumes: &[String]) -> Result<Vec<(String, sdk::Snapshot)>, Failure> {
    let pages = cx.ec2.list_snapshots_in_recycle_bin().into_paginator().page_size(super::PAGE_ROWS);
    let binned: Vec<_> = pages.items().send().try_collect().await.map_err(failed("ec2:ListSnapshotsInRecycleBin"))?;
    let ours = |s: &sdk::SnapshotRecycleBinInfo| s.volume_id.as_ref().is_some_and(|v| volumes.contains(v));
    for id in binned.into_iter().filter(ours).filter_map(|s| s.snapshot_id) {
        take_out(cx, &id).await?;
    }
    let mut out: Vec<(String, sdk::Snapshot)> = vec![];
    for ids in volumes.chunks(super::FILTER_VALUES_MAX) {
        for s in snapshots(cx, Some(vec![super::filter("volume-id", ids)])).await? {
            let Some(volume) = s.volume_id.clone() else { continue };
            if s.state == Some(sdk::SnapshotState::Recovering) {
                return Err(Failure {
                    action: "ec2:RestoreSnapshotFromRecycleBin",
                    code: "IncorrectState".into(),
                    message: format!("{} of {volume} is being restored", s.snapshot_id().unwrap_or_default()),
                    request_id: None,
                    class: Class::Busy,
                });
            }
            let usable =
                s.state == Some(sdk::SnapshotState::Completed) && s.storage_tier != Some(sdk::StorageTier::Archive);
            if !usable {
                continue;
            }
            let age = |s: &sdk::Snapshot| s.start_time.map(|t| t.as_nanos());
            match out.iter_mut().find(|(v, _)| *v == volume) {
                Some((_, best)) if age(best) >= age(&s) => {}
                Some((_, best)) => *best = s,
                None => out.push((volume, s)),
            }
        }
    }
    Ok(out)
}

/// Out of the recycle bin. One that is out already is success.
async fn take_out(cx: &Cx, id: &str) -> Result<(), Failure> {
    let action = "ec2:RestoreSnapshotFromRecycleBin";
    let restored = cx.ec2.restore_snapshot_from_recycle_bin().snapshot_id(id).send().await.map_err(failed(action));
    match restored {
        Err(f) if is_not_there(&f) && is_there(cx, id).await? => Ok(()),
        answer => answer.map(drop),
    }
}
async fn is_there(cx: &Cx, id: &str) -> Result<bool, Failure> {
    Ok(snapshots(cx, Some(vec![super::filter("snapshot-id", [id])])).await?.iter().any(is_alive))
}

// ---- the kind -----------------------------------------------------------------------------------------------------

/// Permissions that `from` has and `among` lacks.
fn missing(from: &Spec, among: &Spec) -> Vec<CreateVolumePermission> {
    let rows = from.create_volume_permissions.iter();
    rows.filter(|p| !among.create_volume_permissions.contains(p)).cloned().collect()
}

/// AWS archives and takes out of the archive in the background, for hours to days.
fn tier_call(now: &Spec, want: &Spec) -> Option<&'static str> {
    match (now.storage_tier.as_deref(), want.storage_tier.as_deref()) {
        (Some("standard"), Some("archive")) => Some("ec2:ModifySnapshotTier"),
        (Some("archive"), Some("standard")) => Some("ec2:RestoreSnapshotTier"),
        _ => None,
    }
}

impl Kind for Snapshot {
    type Name = ec2::Snapshot;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] =
        &[&Spec::COVERAGE, &Attribute::COVERAGE, &CreateVolumePermission::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<ModifySnapshotAttributeInputBuilder>>::TABLE,
        &<Spec as Input<ModifySnapshotTierInputBuilder>>::TABLE,
        &<CreateVolumePermission as Input<sdk::CreateVolumePermission>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeSnapshots", "ec2:DescribeSnapshotAttribute"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:RestoreSnapshotFromRecycleBin",
        "ec2:ModifySnapshotAttribute",
        "ec2:ModifySnapshotTier",
        "ec2:RestoreSnapshotTier",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] =
        &["a snapshot that no retention rule of the recycle bin kept", "its lock and its fast snapshot restores"];
    const PHASE: Phase = Phase::Data;
    const TERRAFORM: &'static str = "aws_ebs_snapshot";
    // H24: the recycle bin empties itself.
    const PERISHABLE: bool = true;
    const IMMUTABLE: &'static [&'static str] =
        &["snapshot_id", "outpost_arn", "description", "encrypted", "kms_key_id"];
    const REPORTED: &'static [(&'static str, &'static str)] = &[
        ("volume_id", "it is part of the content"),
        ("volume_size", "it is part of the content"),
        ("start_time", "it is part of the content"),
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let all = snapshots(cx, only("snapshot-id", which)).await?;
        whole(cx, all).await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let here = snapshots(cx, Some(vec![super::filter("snapshot-id", [id])])).await?;
        Ok(whole(cx, here).await?.pop())
    }
    async fn made_by(_cx: &Cx, _step: &Step) -> Result<Option<String>, Failure> {
        // It keeps its id and carries no tag of ours: create finds it by that id.
        Ok(None)
    }
    async fn create(cx: &Cx, spec: &Spec, _step: &Step) -> Result<String, Failure> {
        let action = "ec2:RestoreSnapshotFromRecycleBin";
        let Some(id) = spec.snapshot_id.as_ref().map(|s| s.0.clone()) else {
            return Err(Failure::unbuildable(action, "the snapshot's own id was not captured"));
        };
        // H24: the recycle bin gives it back under its id; nothing else does.
        match take_out(cx, &id).await {
            Err(mut f) if is_not_there(&f) => {
                f.class = Class::Invalid; // waiting brings nothing back
                f.message = format!("{id} is not in the recycle bin, and its content is nowhere else ({})", f.message);
                Err(f)
            }
            answer => answer.map(|()| id),
        }
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let sharing = async {
            let action = "ec2:ModifySnapshotAttribute";
            // Not both in one call (EC2 API reference, ModifySnapshotAttribute).
            for (rows, adds) in [(missing(now, want), false), (missing(want, now), true)] {
                let rows: Option<Vec<sdk::CreateVolumePermission>> = rows.give().map_err(unbuildable(action))?;
                if rows.is_none() {
                    continue;
                }
                let change = sdk::CreateVolumePermissionModifications::builder();
                let change = if adds { change.set_add(rows) } else { change.set_remove(rows) };
                let call = want.modify_snapshot_attribute().map_err(unbuildable(action))?.snapshot_id(id);
                let call = call.attribute(sdk::SnapshotAttributeName::CreateVolumePermission);
                call.create_volume_permission(change.build()).send_with(&cx.ec2).await.map_err(failed(action))?;
            }
            Ok(())
        };
        let tier = async {
            match tier_call(now, want) {
                Some(action @ "ec2:ModifySnapshotTier") => {
                    let call = want.modify_snapshot_tier().map_err(unbuildable(action))?.snapshot_id(id);
                    call.send_with(&cx.ec2).await.map(drop).map_err(failed(action))
                }
                Some(action) => {
                    let call = cx.ec2.restore_snapshot_tier().snapshot_id(id).permanent_restore(true);
                    call.send().await.map(drop).map_err(failed(action))
                }
                None => Ok(()),
            }
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(sharing), Box::pin(tier)];
        all(calls).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let here = snapshots(cx, Some(vec![super::filter("snapshot-id", [id])])).await?.pop();
        let Some(s) = here else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = s.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match s.state {
            Some(sdk::SnapshotState::Completed) => Settled::Ready,
            Some(sdk::SnapshotState::Error) => Settled::Failed(s.state_message.unwrap_or(word)),
            _ => Settled::Waiting(word),
        })
    }
    fn copy_of(id: &str, spec: &Spec) -> Option<Copy> {
        let taken = spec.start_time.as_ref()?.0.parse().ok()?;
        Some(Copy { of: spec.volume_id.clone()?, taken, id: id.to_owned() })
    }
    fn readiness(_id: &str, _spec: &Spec, _copies: &Copies) -> Ready {
        in_the_bin("EBS_SNAPSHOT")
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:RestoreSnapshotFromRecycleBin"] };
        let mut out = tag_calls(&now.tags, &want.tags);
        let sharing = [missing(now, want), missing(want, now)];
        out.extend(sharing.iter().filter(|rows| !rows.is_empty()).map(|_| "ec2:ModifySnapshotAttribute"));
        out.extend(tier_call(now, want));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, spec},
        *,
    };
    use crate::aws::canned::{Answer, Canned};
    use serde_json::json;

    fn rows(rows: &[(&str, &str, &str, &str)]) -> Answer {
        let rows: String = rows
            .iter()
            .map(|(id, volume, state, day)| format!("<item><snapshotId>{id}</snapshotId><volumeId>{volume}</volumeId><status>{state}</status><startTime>2026-01-{day}T00:00:00Z</startTime></item>"))
            .collect();
        Answer::Ok(format!("<snapshotSet>{rows}</snapshotSet>"))
    }
    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }

    #[tokio::test]
    async fn only_the_accounts_own_are_read_with_whom_they_are_shared_with() {
        let canned = Canned::new(|call| match call.action.as_str() {
            "DescribeSnapshots" => rows(&[("snap-1", "vol-1", "completed", "01"), ("snap-2", "vol-1", "error", "02")]),
            _ => "<createVolumePermission><item><userId>222233334444</userId></item></createVolumePermission>".into(),
        });
        let seen = Snapshot::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(canned.asked()[0].get("Owner.1"), "self");
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].spec.create_volume_permissions[0].user_id.as_deref(), Some("222233334444"));
        assert_eq!(seen[0].spec.volume_id.as_deref(), Some("vol-1"));
    }

    #[tokio::test]
    async fn h24_it_comes_back_out_of_the_recycle_bin_under_its_id() {
        let want = spec::<Snapshot>(&json!({"snapshot_id": {"$late": "ec2:snapshot", "id": "snap-1"}}));
        let canned = Canned::new(|_| "<snapshotId>snap-1</snapshotId>".into());
        assert_eq!(Snapshot::create(&canned.cx(), &want, &step()).await.unwrap(), "snap-1");
        assert_eq!(canned.wrote(), ["RestoreSnapshotFromRecycleBin SnapshotId=snap-1"]);
        // An earlier attempt had taken it out.
        let out = |there: bool| {
            Canned::new(move |call| match call.action.as_str() {
                "DescribeSnapshots" if there => rows(&[("snap-1", "vol-1", "completed", "01")]),
                "DescribeSnapshots" => "<snapshotSet/>".into(),
                _ => Answer::Error(400, "InvalidSnapshot.NotFound", "The snapshot 'snap-1' does not exist."),
            })
        };
        assert_eq!(Snapshot::create(&out(true).cx(), &want, &step()).await.unwrap(), "snap-1");
        let f = Snapshot::create(&out(false).cx(), &want, &step()).await.unwrap_err();
        assert_eq!(f.class, Class::Invalid);
        assert!(f.message.starts_with("snap-1 is not in the recycle bin"), "{f}");
    }

    #[tokio::test]
    async fn h24_the_newest_usable_copy_of_a_volume_counts_and_the_bin_is_emptied_first() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "ListSnapshotsInRecycleBin" => "<snapshotSet><item><snapshotId>snap-3</snapshotId><volumeId>vol-1</volumeId></item><item><snapshotId>snap-9</snapshotId><volumeId>vol-9</volumeId></item></snapshotSet>".into(),
            "DescribeSnapshots" => rows(&[
                ("snap-1", "vol-1", "completed", "01"),
                ("snap-3", "vol-1", "completed", "03"),
                ("snap-2", "vol-1", "completed", "02"),
                ("snap-4", "vol-1", "pending", "04"),
            ]),
            _ => "".into(),
        }
        });
        let found = newest(&canned.cx(), &["vol-1".to_owned(), "vol-2".to_owned()]).await.unwrap();
        let found: Vec<_> = found.iter().map(|(v, s)| (v.as_str(), s.snapshot_id().unwrap())).collect();
        assert_eq!(found, [("vol-1", "snap-3")]);
        assert_eq!(canned.wrote(), ["RestoreSnapshotFromRecycleBin SnapshotId=snap-3"]);
        let canned = Canned::new(|call| match call.action.as_str() {
            "DescribeSnapshots" => rows(&[("snap-3", "vol-1", "recovering", "03")]),
            _ => "".into(),
        });
        let f = newest(&canned.cx(), &["vol-1".to_owned()]).await.unwrap_err();
        assert_eq!((f.class, f.message.as_str()), (Class::Busy, "snap-3 of vol-1 is being restored"));
    }

    #[tokio::test]
    async fn sharing_is_taken_back_and_given_in_calls_of_their_own() {
        let canned = Canned::new(|_| "<return>true</return>".into());
        let (now, want) = (
            json!({"create_volume_permissions": [{"group": "all"}], "storage_tier": "archive"}),
            json!({"create_volume_permissions": [{"user_id": "222233334444"}, {"user_id": "333344445555"}], "storage_tier": "standard"}),
        );
        assert_eq!(
            foretold::<Snapshot>(&canned, "snap-1", &now, &want).await,
            [
                "ModifySnapshotAttribute Attribute=createVolumePermission CreateVolumePermission.Remove.1.Group=all SnapshotId=snap-1",
                "ModifySnapshotAttribute Attribute=createVolumePermission CreateVolumePermission.Add.1.UserId=222233334444 CreateVolumePermission.Add.2.UserId=333344445555 SnapshotId=snap-1",
                "RestoreSnapshotTier PermanentRestore=true SnapshotId=snap-1",
            ]
        );
        assert_eq!(
            foretold::<Snapshot>(
                &canned,
                "snap-1",
                &json!({"storage_tier": "standard"}),
                &json!({"storage_tier": "archive"})
            )
            .await,
            ["ModifySnapshotTier SnapshotId=snap-1 StorageTier=archive"]
        );
    }

    #[tokio::test]
    async fn settled_says_the_state() {
        for (state, settled) in [
            ("completed", Settled::Ready),
            ("recovering", Settled::Waiting("recovering".into())),
            ("error", Settled::Failed("error".into())),
        ] {
            let canned = Canned::new(move |_| rows(&[("snap-1", "vol-1", state, "01")]));
            assert_eq!(Snapshot::settled(&canned.cx(), "snap-1").await.unwrap(), settled);
        }
    }
}
