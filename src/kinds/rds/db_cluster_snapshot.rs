//! `rds:db-cluster-snapshot`: a copy of a cluster's content that somebody took, as `db_snapshot` is of an instance's.
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
    Spec from sdk::DbClusterSnapshot;
    keep {
        db_cluster_snapshot_identifier @ "DBClusterSnapshotIdentifier": Option<String>,
        kms_key_id @ "KmsKeyId": Option<Ref<kms::Key>>,
    }
    report {
        db_cluster_identifier @ "DBClusterIdentifier": Option<String> = "content: of which cluster it is a copy",
        db_cluster_resource_id @ "DbClusterResourceId": Option<String> = "content: of which cluster it is a copy",
        snapshot_create_time @ "SnapshotCreateTime": Option<Stamp> = "content: how old the copy is",
        engine @ "Engine": Option<String> = "content: of which engine it is",
        engine_version @ "EngineVersion": Option<String> = "content: of which engine it is",
    }
    drop {
        availability_zones @ "AvailabilityZones": "content: where the cluster was",
        engine_mode @ "EngineMode": "content: what the cluster had",
        allocated_storage @ "AllocatedStorage": "content: how large the cluster was",
        status @ "Status": "runtime state; see settled()",
        tag_list @ "TagList": "the user's of them are in tags",
        port @ "Port": "content: what the cluster had",
        vpc_id @ "VpcId": "content: where the cluster was",
        cluster_create_time @ "ClusterCreateTime": "runtime: a time",
        master_username @ "MasterUsername": "content: what the cluster had",
        license_model @ "LicenseModel": "content: what the cluster had",
        snapshot_type @ "SnapshotType": "only those that somebody took are asked for",
        percent_progress @ "PercentProgress": "runtime state",
        storage_encrypted @ "StorageEncrypted": "follows from the key",
        storage_encryption_type @ "StorageEncryptionType": "follows from the key",
        backup_retention_period @ "BackupRetentionPeriod": "content: what the cluster had",
        preferred_backup_window @ "PreferredBackupWindow": "content: what the cluster had",
        db_cluster_snapshot_arn @ "DBClusterSnapshotArn": "derived from the id",
        source_db_cluster_snapshot_arn @ "SourceDBClusterSnapshotArn": "what it was copied from",
        iam_database_authentication_enabled @ "IAMDatabaseAuthenticationEnabled": "content: what the cluster had",
        storage_type @ "StorageType": "content: what the cluster had",
        storage_throughput @ "StorageThroughput": "content: what the cluster had",
        db_system_id @ "DBSystemId": "content: what the cluster had",
    }
    also {
        tags: Tags, // TagList
        shared_with: Set<String> // DescribeDBClusterSnapshotAttributes, "restore": accounts, or "all"
    }
}

pub struct DbClusterSnapshot;

const SHARE: &str = "rds:ModifyDBClusterSnapshotAttribute";

async fn snapshots(cx: &Cx, id: Option<String>) -> Result<Vec<sdk::DbClusterSnapshot>, Failure> {
    let call = cx
        .rds
        .describe_db_cluster_snapshots()
        .set_db_cluster_snapshot_identifier(id)
        .snapshot_type("manual")
        .into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(found(rows.map_err(failed("rds:DescribeDBClusterSnapshots")))?.unwrap_or_default())
}

async fn shared_with(cx: &Cx, id: &str) -> Result<Set<String>, Failure> {
    let answer = cx.rds.describe_db_cluster_snapshot_attributes().db_cluster_snapshot_identifier(id).send().await;
    let answer =
        answer.map_err(failed("rds:DescribeDBClusterSnapshotAttributes"))?.db_cluster_snapshot_attributes_result;
    let rows = answer.and_then(|r| r.db_cluster_snapshot_attributes).unwrap_or_default();
    let restore = rows.into_iter().filter(|a| a.attribute_name() == Some(super::SHARED_TO_RESTORE));
    Ok(restore.flat_map(|a| a.attribute_values.unwrap_or_default()).collect::<Vec<_>>().into())
}

impl Kind for DbClusterSnapshot {
    type Name = rds::DbClusterSnapshot;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[];
    const OBSERVE: &'static [&'static str] =
        &["rds:DescribeDBClusterSnapshots", "rds:DescribeDBClusterSnapshotAttributes"];
    const RESTORE: &'static [&'static str] = &[SHARE, "rds:AddTagsToResource", "rds:RemoveTagsFromResource"];
    const TERRAFORM: &'static str = "aws_db_cluster_snapshot";
    const NEVER_BACK: &'static [&'static str] = &["a snapshot that was deleted: RDS keeps nothing of it"];
    const PHASE: Phase = Phase::Data;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBClusterSnapshotIdentifier";
    const IMMUTABLE: &'static [&'static str] = &["db_cluster_snapshot_identifier", "kms_key_id"];
    const REPORTED: &'static [(&'static str, &'static str)] = &[
        ("db_cluster_identifier", "it is what the snapshot holds"),
        ("db_cluster_resource_id", "it is what the snapshot holds"),
        ("snapshot_create_time", "it is what the snapshot holds"),
        ("engine", "it is what the snapshot holds"),
        ("engine_version", "it is what the snapshot holds"),
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let mut rows = snapshots(cx, one(which)).await?;
        rows.retain(|s| {
            super::is_alive(s.status()) && s.db_cluster_snapshot_identifier().is_some_and(|id| is_asked(which, id))
        });
        super::each(rows, |s: sdk::DbClusterSnapshot| async move {
            let id = s.db_cluster_snapshot_identifier.clone().unwrap_or_default();
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
        Err(super::gone_for_good("rds:CreateDBClusterSnapshot", spec.db_cluster_snapshot_identifier.as_deref()))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let (add, remove) = sharing(&now.shared_with, &want.shared_with);
        if add.is_some() || remove.is_some() {
            let call = cx.rds.modify_db_cluster_snapshot_attribute().db_cluster_snapshot_identifier(id);
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
        Some(Copy { of: spec.db_cluster_resource_id.clone()?, taken, id: id.to_owned() })
    }
    fn readiness(id: &str, _spec: &Spec, _copies: &Copies) -> Ready {
        super::lost_with_the_snapshot(format!(
            "aws rds copy-db-cluster-snapshot --source-db-cluster-snapshot-identifier {id} --target-db-cluster-snapshot-identifier {id}-copy --copy-tags"
        ))
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec![] };
        let share = (now.shared_with != want.shared_with).then_some(SHARE);
        share.into_iter().chain(tag_calls(&now.tags, &want.tags)).collect()
    }
}
