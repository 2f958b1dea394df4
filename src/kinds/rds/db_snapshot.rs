//! `rds:db-snapshot`: a copy of an instance's content that somebody took. What is in one cannot be made again: a deleted one
//! does not come back. With whom it is shared and its tags can be put right. Those that RDS takes by itself go with their
//! instance and are nobody's configuration.
use super::{PAGE_ROWS, converge_tags, failed, found, is_asked, one, sharing, tag_calls};
use crate::{
    aws::{Cx, Failure},
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Inputs, Ref, Set, Stamp, Tags},
        names::{kms, rds},
    },
    mirror,
    plan::{
        facts::{Content, Phase},
        readiness::{Copies, Copy, Ready},
    },
};
use aws_sdk_rds::types as sdk;

mirror! {
    Spec from sdk::DbSnapshot;
    keep {
        db_snapshot_identifier @ "DBSnapshotIdentifier": Option<String>,
        kms_key_id @ "KmsKeyId": Option<Ref<kms::Key>>,
    }
    report {
        db_instance_identifier @ "DBInstanceIdentifier": Option<String> = "content: of which instance it is a copy",
        dbi_resource_id @ "DbiResourceId": Option<String> = "content: of which instance it is a copy",
        snapshot_create_time @ "SnapshotCreateTime": Option<Stamp> = "content: how old the copy is",
        engine @ "Engine": Option<String> = "content: of which engine it is",
        engine_version @ "EngineVersion": Option<String> = "content: of which engine it is",
        allocated_storage @ "AllocatedStorage": Option<i32> = "content: how large the instance was",
        option_group_name @ "OptionGroupName": Option<String> = "content: what the instance had",
    }
    drop {
        status @ "Status": "runtime state; see settled()",
        tag_list @ "TagList": "the user's of them are in tags",
        port @ "Port": "content: what the instance had",
        availability_zone @ "AvailabilityZone": "content: where the instance was",
        vpc_id @ "VpcId": "content: where the instance was",
        instance_create_time @ "InstanceCreateTime": "runtime: a time",
        master_username @ "MasterUsername": "content: what the instance had",
        license_model @ "LicenseModel": "content: what the instance had",
        snapshot_type @ "SnapshotType": "only those that somebody took are asked for",
        iops @ "Iops": "content: what the instance had",
        storage_throughput @ "StorageThroughput": "content: what the instance had",
        percent_progress @ "PercentProgress": "runtime state",
        source_region @ "SourceRegion": "what it was copied from",
        source_db_snapshot_identifier @ "SourceDBSnapshotIdentifier": "what it was copied from",
        storage_type @ "StorageType": "content: what the instance had",
        tde_credential_arn @ "TdeCredentialArn": "content: what the instance had",
        encrypted @ "Encrypted": "follows from the key",
        storage_encryption_type @ "StorageEncryptionType": "follows from the key",
        backup_retention_period @ "BackupRetentionPeriod": "content: what the instance had",
        preferred_backup_window @ "PreferredBackupWindow": "content: what the instance had",
        db_snapshot_arn @ "DBSnapshotArn": "derived from the id",
        timezone @ "Timezone": "content: what the instance had",
        iam_database_authentication_enabled @ "IAMDatabaseAuthenticationEnabled": "content: what the instance had",
        processor_features @ "ProcessorFeatures": "content: what the instance had",
        snapshot_target @ "SnapshotTarget": "content: where it is kept",
        original_snapshot_create_time @ "OriginalSnapshotCreateTime": "runtime: a time",
        snapshot_database_time @ "SnapshotDatabaseTime": "runtime: a time",
        db_system_id @ "DBSystemId": "content: what the instance had",
        multi_tenant @ "MultiTenant": "content: what the instance had",
        dedicated_log_volume @ "DedicatedLogVolume": "content: what the instance had",
        additional_storage_volumes @ "AdditionalStorageVolumes": "content: what the instance had",
        snapshot_availability_zone @ "SnapshotAvailabilityZone": "content: where it is kept",
        full_snapshot_size_in_bytes @ "FullSnapshotSizeInBytes": "content: how large it is",
    }
    also {
        tags: Tags, // TagList
        shared_with: Set<String> // DescribeDBSnapshotAttributes, "restore": accounts, or "all"
    }
}

pub struct DbSnapshot;

const SHARE: &str = "rds:ModifyDBSnapshotAttribute";

async fn snapshots(cx: &Cx, id: Option<String>) -> Result<Vec<sdk::DbSnapshot>, Failure> {
    let call = cx.rds.describe_db_snapshots().set_db_snapshot_identifier(id).snapshot_type("manual").into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(found(rows.map_err(failed("rds:DescribeDBSnapshots")))?.unwrap_or_default())
}

async fn shared_with(cx: &Cx, id: &str) -> Result<Set<String>, Failure> {
    let answer = cx.rds.describe_db_snapshot_attributes().db_snapshot_identifier(id).send().await;
    let answer = answer.map_err(failed("rds:DescribeDBSnapshotAttributes"))?.db_snapshot_attributes_result;
    let rows = answer.and_then(|r| r.db_snapshot_attributes).unwrap_or_default();
    let restore = rows.into_iter().filter(|a| a.attribute_name() == Some(super::SHARED_TO_RESTORE));
    Ok(restore.flat_map(|a| a.attribute_values.unwrap_or_default()).collect::<Vec<_>>().into())
}

impl Kind for DbSnapshot {
    type Name = rds::DbSnapshot;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[];
    const OBSERVE: &'static [&'static str] = &["rds:DescribeDBSnapshots", "rds:DescribeDBSnapshotAttributes"];
    const RESTORE: &'static [&'static str] = &[SHARE, "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_db_snapshot";
    const NEVER_BACK: &'static [&'static str] = &["a snapshot that was deleted: RDS keeps nothing of it"];
    const PHASE: Phase = Phase::Data;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBSnapshotIdentifier";
    const IMMUTABLE: &'static [&'static str] = &["db_snapshot_identifier", "kms_key_id"];
    const REPORTED: &'static [(&'static str, &'static str)] = &[
        ("db_instance_identifier", "it is what the snapshot holds"),
        ("dbi_resource_id", "it is what the snapshot holds"),
        ("snapshot_create_time", "it is what the snapshot holds"),
        ("engine", "it is what the snapshot holds"),
        ("engine_version", "it is what the snapshot holds"),
        ("allocated_storage", "it is what the snapshot holds"),
        ("option_group_name", "it is what the snapshot holds"),
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let mut rows = snapshots(cx, one(which)).await?;
        rows.retain(|s| {
            super::is_alive(s.status()) && s.db_snapshot_identifier().is_some_and(|id| is_asked(which, id))
        });
        super::each(rows, |s: sdk::DbSnapshot| async move {
            let id = s.db_snapshot_identifier.clone().unwrap_or_default();
            let mut spec = Spec::from_sdk(&s);
            spec.tags = Tags::from_sdk(&s.tag_list);
            spec.shared_with = shared_with(cx, &id).await?;
            Ok(Seen { id, spec, aliases: vec![] })
        })
        .await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(Self::look(cx, Which::Ids(&[id.to_owned()])).await?.pop())
    }
    async fn made_by(_cx: &Cx, _step: &Step) -> Result<Option<String>, Failure> {
        Ok(None)
    }
    async fn create(_cx: &Cx, spec: &Spec, _step: &Step) -> Result<String, Failure> {
        Err(super::gone_for_good("rds:CreateDBSnapshot", spec.db_snapshot_identifier.as_deref()))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let (add, remove) = sharing(&now.shared_with, &want.shared_with);
        if add.is_some() || remove.is_some() {
            let call = cx.rds.modify_db_snapshot_attribute().db_snapshot_identifier(id);
            let call =
                call.attribute_name(super::SHARED_TO_RESTORE).set_values_to_add(add).set_values_to_remove(remove);
            call.send().await.map_err(failed(SHARE))?;
        }
        converge_tags::<Self>(cx, id, &now.tags, &want.tags).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let status = snapshots(cx, Some(id.to_owned())).await?.pop().and_then(|s| s.status);
        Ok(super::is_available(status.as_deref()))
    }
    fn content(_spec: &Spec) -> Content {
        Content::Copied
    }
    fn copy_of(id: &str, spec: &Spec) -> Option<Copy> {
        let taken = spec.snapshot_create_time.as_ref()?.0.parse().ok()?;
        Some(Copy { of: spec.dbi_resource_id.clone()?, taken, id: id.to_owned() })
    }
    fn readiness(id: &str, _spec: &Spec, _copies: &Copies) -> Ready {
        super::lost_with_the_snapshot(format!(
            "aws rds copy-db-snapshot --source-db-snapshot-identifier {id} --target-db-snapshot-identifier {id}-copy --copy-tags"
        ))
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec![] };
        let share = (now.shared_with != want.shared_with).then_some(SHARE);
        share.into_iter().chain(tag_calls(&now.tags, &want.tags)).collect()
    }
}
