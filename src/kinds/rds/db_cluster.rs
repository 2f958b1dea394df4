//! `rds:db-cluster`: Aurora's, or a Multi-AZ cluster: what its members share, and their content.
//!
//! A restore call brings back the cluster alone: the members of an Aurora cluster are made one by one once it is there
//! (H31), those of a Multi-AZ cluster RDS makes itself. What `db_instance` says of content, names and passwords holds here.
use super::{
    PAGE_ROWS, RestoreFrom, converge_tags, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Change, Coverage, FromSdk, Input, Inputs, LateRef, Plain, Ref, Set, Tags, change},
        names::{ec2, iam, kms, rds},
    },
    mirror,
    plan::{
        facts::{Content, Phase},
        readiness::{Copies, DataSource, Ready},
    },
};
use aws_sdk_rds::{
    operation::{
        add_role_to_db_cluster::builders::AddRoleToDbClusterInputBuilder,
        create_db_cluster::builders::CreateDbClusterInputBuilder,
        modify_db_cluster::builders::ModifyDbClusterInputBuilder,
        restore_db_cluster_from_snapshot::builders::RestoreDbClusterFromSnapshotInputBuilder,
        restore_db_cluster_to_point_in_time::builders::RestoreDbClusterToPointInTimeInputBuilder,
    },
    types as sdk,
};
use std::time::Duration;

mirror! {
    Spec from sdk::DbCluster;
    keep {
        db_cluster_resource_id @ "DbClusterResourceId": Option<LateRef<rds::DbClusterResource>>,
        allocated_storage @ "AllocatedStorage": Option<i32>,
        availability_zones @ "AvailabilityZones": Set<String>,
        backup_retention_period @ "BackupRetentionPeriod": Option<i32>,
        character_set_name @ "CharacterSetName": Option<String>,
        database_name @ "DatabaseName": Option<String>,
        db_cluster_identifier @ "DBClusterIdentifier": Option<String>,
        db_cluster_parameter_group @ "DBClusterParameterGroup": Option<Ref<rds::DbClusterParameterGroup>>,
        db_subnet_group @ "DBSubnetGroup": Option<Ref<rds::DbSubnetGroup>>,
        engine @ "Engine": Option<String>,
        engine_version @ "EngineVersion": Option<String>,
        port @ "Port": Option<i32>,
        master_username @ "MasterUsername": Option<String>,
        db_cluster_option_group_memberships @ "DBClusterOptionGroupMemberships": Set<DbClusterOptionGroupStatus>,
        preferred_backup_window @ "PreferredBackupWindow": Option<String>,
        preferred_maintenance_window @ "PreferredMaintenanceWindow": Option<String>,
        vpc_security_groups @ "VpcSecurityGroups": Set<VpcSecurityGroupMembership>,
        storage_encrypted @ "StorageEncrypted": Option<bool>,
        kms_key_id @ "KmsKeyId": Option<Ref<kms::Key>>,
        associated_roles @ "AssociatedRoles": Set<DbClusterRole>,
        iam_database_authentication_enabled @ "IAMDatabaseAuthenticationEnabled": Option<bool>,
        backtrack_window @ "BacktrackWindow": Option<i64>,
        enabled_cloudwatch_logs_exports @ "EnabledCloudwatchLogsExports": Set<String>,
        engine_mode @ "EngineMode": Option<String>,
        scaling_configuration_info @ "ScalingConfigurationInfo": Option<ScalingConfigurationInfo>,
        rds_custom_cluster_configuration @ "RdsCustomClusterConfiguration": Option<RdsCustomClusterConfiguration>,
        db_cluster_instance_class @ "DBClusterInstanceClass": Option<String>,
        storage_type @ "StorageType": Option<String>,
        iops @ "Iops": Option<i32>,
        publicly_accessible @ "PubliclyAccessible": Option<bool>,
        auto_minor_version_upgrade @ "AutoMinorVersionUpgrade": Option<bool>,
        deletion_protection @ "DeletionProtection": Option<bool>,
        http_endpoint_enabled @ "HttpEndpointEnabled": Option<bool>,
        copy_tags_to_snapshot @ "CopyTagsToSnapshot": Option<bool>,
        domain_memberships @ "DomainMemberships": Set<DomainMembership>,
        network_type @ "NetworkType": Option<String>,
        serverless_v2_scaling_configuration @ "ServerlessV2ScalingConfiguration": Option<ServerlessV2ScalingConfigurationInfo>,
        monitoring_interval @ "MonitoringInterval": Option<i32>,
        monitoring_role_arn @ "MonitoringRoleArn": Option<LateRef<iam::Role>>,
        database_insights_mode @ "DatabaseInsightsMode": Option<String>,
        performance_insights_enabled @ "PerformanceInsightsEnabled": Option<bool>,
        performance_insights_kms_key_id @ "PerformanceInsightsKMSKeyId": Option<LateRef<kms::Key>>,
        performance_insights_retention_period @ "PerformanceInsightsRetentionPeriod": Option<i32>,
        db_system_id @ "DBSystemId": Option<String>,
        master_user_secret @ "MasterUserSecret": Option<MasterUserSecret>,
        cluster_scalability_type @ "ClusterScalabilityType": Option<String>,
        engine_lifecycle_support @ "EngineLifecycleSupport": Option<String>,
    }
    report {
        replication_source_identifier @ "ReplicationSourceIdentifier": Option<String> = "a restored cluster replicates from none: it stands alone",
        global_cluster_identifier @ "GlobalClusterIdentifier": Option<String> = "a restored cluster joins no global cluster: add it by hand",
        global_write_forwarding_requested @ "GlobalWriteForwardingRequested": Option<bool> = "it is switched on again by hand, once the cluster is in its global cluster",
        local_write_forwarding_status @ "LocalWriteForwardingStatus": Option<String> = "it is switched on again by hand",
        activity_stream_mode @ "ActivityStreamMode": Option<String> = "a stream starts under another name: start it by hand",
    }
    drop {
        serverless_v2_platform_version @ "ServerlessV2PlatformVersion": "chosen by RDS",
        storage_throughput @ "StorageThroughput": "follows from storage type and IOPS",
        db_cluster_members @ "DBClusterMembers": "each member is a resource of its own, which names its cluster",
        tag_list @ "TagList": "the user's of them are in tags",
        aws_backup_recovery_point_arn @ "AwsBackupRecoveryPointArn": "AWS Backup's: its plan takes the cluster in",
        activity_stream_kms_key_id @ "ActivityStreamKmsKeyId": "the mode tells that there is a stream",
        status @ "Status": "runtime state of the cluster",
        percent_progress @ "PercentProgress": "runtime state of the cluster",
        earliest_restorable_time @ "EarliestRestorableTime": "runtime: a time",
        endpoint @ "Endpoint": "follows from the name, the account and the region",
        reader_endpoint @ "ReaderEndpoint": "follows from the name, the account and the region",
        custom_endpoints @ "CustomEndpoints": "each is a resource of its own",
        multi_az @ "MultiAZ": "follows from the members",
        latest_restorable_time @ "LatestRestorableTime": "runtime: a time",
        upgrade_rollout_order @ "UpgradeRolloutOrder": "runtime state of the cluster",
        read_replica_identifiers @ "ReadReplicaIdentifiers": "each says it itself",
        status_infos @ "StatusInfos": "runtime state of the cluster",
        hosted_zone_id @ "HostedZoneId": "follows from the name, the account and the region",
        storage_encryption_type @ "StorageEncryptionType": "runtime state of the cluster",
        db_cluster_arn @ "DBClusterArn": "derived from the id",
        clone_group_id @ "CloneGroupId": "runtime state of the cluster",
        cluster_create_time @ "ClusterCreateTime": "runtime: a time",
        earliest_backtrack_time @ "EarliestBacktrackTime": "runtime: a time",
        backtrack_consumed_change_records @ "BacktrackConsumedChangeRecords": "runtime state of the cluster",
        capacity @ "Capacity": "runtime state of the cluster",
        pending_modified_values @ "PendingModifiedValues": "not applied yet; the final values are the ones requested",
        io_optimized_next_allowed_modification_time @ "IOOptimizedNextAllowedModificationTime": "runtime: a time",
        activity_stream_status @ "ActivityStreamStatus": "runtime state of the cluster",
        activity_stream_kinesis_stream_name @ "ActivityStreamKinesisStreamName": "runtime state of the cluster",
        cross_account_clone @ "CrossAccountClone": "runtime state of the cluster",
        global_write_forwarding_status @ "GlobalWriteForwardingStatus": "runtime state of the cluster",
        automatic_restart_time @ "AutomaticRestartTime": "runtime: a time",
        limitless_database @ "LimitlessDatabase": "runtime state of the cluster",
        certificate_details @ "CertificateDetails": "runtime state of the cluster",
        vpc_networking_enabled @ "VPCNetworkingEnabled": "runtime state of the cluster",
        internet_access_gateway_enabled @ "InternetAccessGatewayEnabled": "runtime state of the cluster",
    }
    also {
        tags: Tags, // TagList
        restore_from: Option<RestoreFrom> // of a plan only
    }
}

mirror! {
    DbClusterOptionGroupStatus from sdk::DbClusterOptionGroupStatus;
    keep {
        db_cluster_option_group_name @ "DBClusterOptionGroupName": Option<Ref<rds::OptionGroup>>,
    }
    drop {
        status @ "Status": "runtime state of the cluster",
    }
}

mirror! {
    VpcSecurityGroupMembership from sdk::VpcSecurityGroupMembership;
    keep {
        vpc_security_group_id @ "VpcSecurityGroupId": Option<Ref<ec2::SecurityGroup>>,
    }
    drop {
        status @ "Status": "runtime state of the cluster",
    }
}

mirror! {
    DbClusterRole from sdk::DbClusterRole;
    keep {
        role_arn @ "RoleArn": Option<LateRef<iam::Role>>,
        feature_name @ "FeatureName": Option<String>,
    }
    drop {
        status @ "Status": "runtime state of the cluster",
    }
}

mirror! {
    ScalingConfigurationInfo from sdk::ScalingConfigurationInfo;
    keep {
        min_capacity @ "MinCapacity": Option<i32>,
        max_capacity @ "MaxCapacity": Option<i32>,
        auto_pause @ "AutoPause": Option<bool>,
        seconds_until_auto_pause @ "SecondsUntilAutoPause": Option<i32>,
        timeout_action @ "TimeoutAction": Option<String>,
        seconds_before_timeout @ "SecondsBeforeTimeout": Option<i32>,
    }
}

mirror! {
    RdsCustomClusterConfiguration from sdk::RdsCustomClusterConfiguration;
    keep {
        interconnect_subnet_id @ "InterconnectSubnetId": Option<String>,
        transit_gateway_multicast_domain_id @ "TransitGatewayMulticastDomainId": Option<String>,
        replica_mode @ "ReplicaMode": Option<String>,
    }
}

mirror! {
    DomainMembership from sdk::DomainMembership;
    keep {
        domain @ "Domain": Option<String>,
        iam_role_name @ "IAMRoleName": Option<Ref<iam::Role>>,
    }
    drop {
        status @ "Status": "runtime state of the cluster",
        fqdn @ "FQDN": "self-managed AD: not offered for clusters",
        ou @ "OU": "self-managed AD: not offered for clusters",
        auth_secret_arn @ "AuthSecretArn": "self-managed AD: not offered for clusters",
        dns_ips @ "DnsIps": "self-managed AD: not offered for clusters",
    }
}

mirror! {
    ServerlessV2ScalingConfigurationInfo from sdk::ServerlessV2ScalingConfigurationInfo;
    keep {
        min_capacity @ "MinCapacity": Option<f64>,
        max_capacity @ "MaxCapacity": Option<f64>,
        seconds_until_auto_pause @ "SecondsUntilAutoPause": Option<i32>,
    }
}

mirror! {
    MasterUserSecret from sdk::MasterUserSecret;
    keep {
        kms_key_id @ "KmsKeyId": Option<Ref<kms::Key>>,
    }
    drop {
        secret_arn @ "SecretArn": "a new secret is made",
        secret_status @ "SecretStatus": "runtime state of the cluster",
    }
}

input! {
    Spec => create_db_cluster(CreateDbClusterInputBuilder);
    set {
        set_availability_zones: availability_zones,
        set_backup_retention_period: backup_retention_period,
        set_character_set_name: character_set_name,
        set_database_name: database_name,
        set_db_cluster_identifier: db_cluster_identifier,
        set_db_cluster_parameter_group_name: db_cluster_parameter_group,
        set_vpc_security_group_ids: vpc_security_groups[].vpc_security_group_id,
        set_db_subnet_group_name: db_subnet_group,
        set_engine: engine,
        set_engine_version: engine_version,
        set_port: port,
        set_master_username: master_username,
        set_option_group_name: db_cluster_option_group_memberships[0].db_cluster_option_group_name,
        set_preferred_backup_window: preferred_backup_window,
        set_preferred_maintenance_window: preferred_maintenance_window,
        set_storage_encrypted: storage_encrypted,
        set_kms_key_id: kms_key_id,
        set_enable_iam_database_authentication: iam_database_authentication_enabled,
        set_backtrack_window: backtrack_window,
        set_enable_cloudwatch_logs_exports: enabled_cloudwatch_logs_exports,
        set_engine_mode: engine_mode,
        set_scaling_configuration: scaling_configuration_info,
        set_rds_custom_cluster_configuration: rds_custom_cluster_configuration,
        set_db_cluster_instance_class: db_cluster_instance_class,
        set_allocated_storage: allocated_storage,
        set_storage_type: storage_type,
        set_iops: iops,
        set_publicly_accessible: publicly_accessible,
        set_auto_minor_version_upgrade: auto_minor_version_upgrade,
        set_deletion_protection: deletion_protection,
        set_enable_http_endpoint: http_endpoint_enabled,
        set_copy_tags_to_snapshot: copy_tags_to_snapshot,
        set_domain: domain_memberships[0].domain,
        set_domain_iam_role_name: domain_memberships[0].iam_role_name,
        set_network_type: network_type,
        set_serverless_v2_scaling_configuration: serverless_v2_scaling_configuration,
        set_monitoring_interval: monitoring_interval,
        set_monitoring_role_arn: monitoring_role_arn,
        set_database_insights_mode: database_insights_mode,
        set_enable_performance_insights: performance_insights_enabled,
        set_performance_insights_kms_key_id: performance_insights_kms_key_id,
        set_performance_insights_retention_period: performance_insights_retention_period,
        set_cluster_scalability_type: cluster_scalability_type,
        set_db_system_id: db_system_id,
        set_master_user_secret_kms_key_id: master_user_secret.kms_key_id,
        set_engine_lifecycle_support: engine_lifecycle_support,
    }
    leave {
        associated_roles: "add_role_to_db_cluster: converge()",
        replication_source_identifier: "it is reported",
        global_cluster_identifier: "it is reported",
        enable_global_write_forwarding: "global_write_forwarding_requested is reported",
        tags: "the spec's tags and the step's: tags_on_create",
        master_user_password: "write-only: no read returns it",
        pre_signed_url: "the SDK's",
        enable_limitless_database: "runtime state of the cluster",
        manage_master_user_password: "whether there is a secret: make()",
        enable_local_write_forwarding: "local_write_forwarding_status is reported",
        ca_certificate_identifier: "of Multi-AZ clusters; runtime state",
        tag_specifications: "the tags of the cluster are its own",
        master_user_authentication_type: "no read returns it",
        with_express_configuration: "every setting is said",
    }
}

input! {
    Spec => restore_db_cluster_from_snapshot(RestoreDbClusterFromSnapshotInputBuilder);
    set {
        set_availability_zones: availability_zones,
        set_db_cluster_identifier: db_cluster_identifier,
        set_engine: engine,
        set_engine_version: engine_version,
        set_port: port,
        set_db_subnet_group_name: db_subnet_group,
        set_database_name: database_name,
        set_option_group_name: db_cluster_option_group_memberships[0].db_cluster_option_group_name,
        set_vpc_security_group_ids: vpc_security_groups[].vpc_security_group_id,
        set_kms_key_id: kms_key_id,
        set_enable_iam_database_authentication: iam_database_authentication_enabled,
        set_backtrack_window: backtrack_window,
        set_enable_cloudwatch_logs_exports: enabled_cloudwatch_logs_exports,
        set_engine_mode: engine_mode,
        set_scaling_configuration: scaling_configuration_info,
        set_db_cluster_parameter_group_name: db_cluster_parameter_group,
        set_deletion_protection: deletion_protection,
        set_copy_tags_to_snapshot: copy_tags_to_snapshot,
        set_domain: domain_memberships[0].domain,
        set_domain_iam_role_name: domain_memberships[0].iam_role_name,
        set_db_cluster_instance_class: db_cluster_instance_class,
        set_storage_type: storage_type,
        set_iops: iops,
        set_publicly_accessible: publicly_accessible,
        set_network_type: network_type,
        set_serverless_v2_scaling_configuration: serverless_v2_scaling_configuration,
        set_rds_custom_cluster_configuration: rds_custom_cluster_configuration,
        set_monitoring_interval: monitoring_interval,
        set_monitoring_role_arn: monitoring_role_arn,
        set_enable_performance_insights: performance_insights_enabled,
        set_performance_insights_kms_key_id: performance_insights_kms_key_id,
        set_performance_insights_retention_period: performance_insights_retention_period,
        set_backup_retention_period: backup_retention_period,
        set_preferred_backup_window: preferred_backup_window,
        set_engine_lifecycle_support: engine_lifecycle_support,
    }
    leave {
        associated_roles: "add_role_to_db_cluster: converge()",
        tags: "the spec's tags and the step's: tags_on_create",
        snapshot_identifier: "where its content comes from: make()",
        tag_specifications: "the tags of the cluster are its own",
        enable_vpc_networking: "runtime state of the cluster",
        enable_internet_access_gateway: "runtime state of the cluster",
    }
}

input! {
    Spec => restore_db_cluster_to_point_in_time(RestoreDbClusterToPointInTimeInputBuilder);
    set {
        set_db_cluster_identifier: db_cluster_identifier,
        set_port: port,
        set_db_subnet_group_name: db_subnet_group,
        set_option_group_name: db_cluster_option_group_memberships[0].db_cluster_option_group_name,
        set_vpc_security_group_ids: vpc_security_groups[].vpc_security_group_id,
        set_kms_key_id: kms_key_id,
        set_enable_iam_database_authentication: iam_database_authentication_enabled,
        set_backtrack_window: backtrack_window,
        set_enable_cloudwatch_logs_exports: enabled_cloudwatch_logs_exports,
        set_db_cluster_parameter_group_name: db_cluster_parameter_group,
        set_deletion_protection: deletion_protection,
        set_copy_tags_to_snapshot: copy_tags_to_snapshot,
        set_domain: domain_memberships[0].domain,
        set_domain_iam_role_name: domain_memberships[0].iam_role_name,
        set_db_cluster_instance_class: db_cluster_instance_class,
        set_storage_type: storage_type,
        set_publicly_accessible: publicly_accessible,
        set_iops: iops,
        set_network_type: network_type,
        set_serverless_v2_scaling_configuration: serverless_v2_scaling_configuration,
        set_scaling_configuration: scaling_configuration_info,
        set_engine_mode: engine_mode,
        set_rds_custom_cluster_configuration: rds_custom_cluster_configuration,
        set_monitoring_interval: monitoring_interval,
        set_monitoring_role_arn: monitoring_role_arn,
        set_enable_performance_insights: performance_insights_enabled,
        set_performance_insights_kms_key_id: performance_insights_kms_key_id,
        set_performance_insights_retention_period: performance_insights_retention_period,
        set_backup_retention_period: backup_retention_period,
        set_preferred_backup_window: preferred_backup_window,
        set_engine_lifecycle_support: engine_lifecycle_support,
    }
    leave {
        associated_roles: "add_role_to_db_cluster: converge()",
        tags: "the spec's tags and the step's: tags_on_create",
        restore_type: "a full copy, which is what it is",
        source_db_cluster_identifier: "it is gone: its resource id is given",
        restore_to_time: "the latest: the least is lost",
        use_latest_restorable_time: "always: make()",
        source_db_cluster_resource_id: "where its content comes from: make()",
        tag_specifications: "the tags of the cluster are its own",
        enable_vpc_networking: "runtime state of the cluster",
        enable_internet_access_gateway: "runtime state of the cluster",
    }
}

input! {
    Spec => modify_db_cluster(ModifyDbClusterInputBuilder);
    set {
        set_backup_retention_period: backup_retention_period,
        set_vpc_security_group_ids: vpc_security_groups[].vpc_security_group_id,
        set_port: port,
        set_option_group_name: db_cluster_option_group_memberships[0].db_cluster_option_group_name,
        set_preferred_backup_window: preferred_backup_window,
        set_preferred_maintenance_window: preferred_maintenance_window,
        set_backtrack_window: backtrack_window,
        set_domain: domain_memberships[0].domain,
        set_domain_iam_role_name: domain_memberships[0].iam_role_name,
        set_scaling_configuration: scaling_configuration_info,
        set_deletion_protection: deletion_protection,
        set_copy_tags_to_snapshot: copy_tags_to_snapshot,
        set_db_cluster_instance_class: db_cluster_instance_class,
        set_allocated_storage: allocated_storage,
        set_storage_type: storage_type,
        set_iops: iops,
        set_auto_minor_version_upgrade: auto_minor_version_upgrade,
        set_network_type: network_type,
        set_serverless_v2_scaling_configuration: serverless_v2_scaling_configuration,
        set_monitoring_interval: monitoring_interval,
        set_monitoring_role_arn: monitoring_role_arn,
        set_database_insights_mode: database_insights_mode,
        set_performance_insights_kms_key_id: performance_insights_kms_key_id,
        set_performance_insights_retention_period: performance_insights_retention_period,
        set_engine_lifecycle_support: engine_lifecycle_support,
    }
    leave {
        aws_backup_recovery_point_arn: "AWS Backup's: its plan takes the cluster in",
        engine_version: "a version is never changed",
        engine_mode: "a mode is never changed",
        db_cluster_identifier: "the resource at hand",
        new_db_cluster_identifier: "only for what is in the way: set_aside()",
        apply_immediately: "always: converge()",
        db_cluster_parameter_group_name: "db_cluster_parameter_group: converge()",
        master_user_password: "write-only: no read returns it",
        enable_iam_database_authentication: "iam_database_authentication_enabled: converge()",
        cloudwatch_logs_export_configuration: "the difference of the lists: converge()",
        allow_major_version_upgrade: "a version is never changed",
        db_instance_parameter_group_name: "only for a major version",
        enable_http_endpoint: "http_endpoint_enabled: converge()",
        enable_global_write_forwarding: "global_write_forwarding_requested is reported",
        enable_performance_insights: "performance_insights_enabled: converge()",
        manage_master_user_password: "whether there is a secret: make()",
        rotate_master_user_password: "a managed password is new anyway",
        enable_local_write_forwarding: "local_write_forwarding_status is reported",
        master_user_secret_kms_key_id: "with manage_master_user_password: converge()",
        allow_engine_mode_change: "a mode is never changed",
        enable_limitless_database: "runtime state of the cluster",
        ca_certificate_identifier: "of Multi-AZ clusters; runtime state",
        master_user_authentication_type: "no read returns it",
    }
}

input! {
    DbClusterRole => add_role_to_db_cluster(AddRoleToDbClusterInputBuilder);
    set {
        set_role_arn: role_arn,
        set_feature_name: feature_name,
    }
    leave {
        db_cluster_identifier: "the resource at hand",
    }
}

input! {
    ScalingConfigurationInfo => sdk::ScalingConfiguration;
    set {
        set_min_capacity: min_capacity,
        set_max_capacity: max_capacity,
        set_auto_pause: auto_pause,
        set_seconds_until_auto_pause: seconds_until_auto_pause,
        set_timeout_action: timeout_action,
        set_seconds_before_timeout: seconds_before_timeout,
    }
}

input! {
    RdsCustomClusterConfiguration => sdk::RdsCustomClusterConfiguration;
    set {
        set_interconnect_subnet_id: interconnect_subnet_id,
        set_transit_gateway_multicast_domain_id: transit_gateway_multicast_domain_id,
        set_replica_mode: replica_mode,
    }
}

input! {
    ServerlessV2ScalingConfigurationInfo => sdk::ServerlessV2ScalingConfiguration;
    set {
        set_min_capacity: min_capacity,
        set_max_capacity: max_capacity,
        set_seconds_until_auto_pause: seconds_until_auto_pause,
    }
}

pub struct DbCluster;

const CREATE: &str = "rds:CreateDBCluster";
const FROM_SNAPSHOT: &str = "rds:RestoreDBClusterFromSnapshot";
const TO_POINT_IN_TIME: &str = "rds:RestoreDBClusterToPointInTime";
const MODIFY: &str = "rds:ModifyDBCluster";

// ---- reading ------------------------------------------------------------------------------------------------------

async fn clusters(cx: &Cx, id: Option<String>) -> Result<Vec<sdk::DbCluster>, Failure> {
    let call = cx.rds.describe_db_clusters().set_db_cluster_identifier(id).into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(found(rows.map_err(failed("rds:DescribeDBClusters")))?.unwrap_or_default())
}
async fn cluster(cx: &Cx, id: &str) -> Result<Option<sdk::DbCluster>, Failure> {
    Ok(clusters(cx, Some(id.to_owned())).await?.into_iter().find(|c| c.db_cluster_identifier() == Some(id)))
}

fn spec(c: &sdk::DbCluster) -> Spec {
    let mut spec = Spec::from_sdk(c);
    spec.tags = Tags::from_sdk(&c.tag_list);
    // Aurora's storage grows by itself and its class is its members'; what RDS says there no call takes.
    if spec.engine.as_deref().is_some_and(|e| e.starts_with("aurora")) {
        spec.allocated_storage = None;
        spec.iops = None;
        spec.publicly_accessible = None;
        spec.db_cluster_option_group_memberships = Set::default();
        spec.storage_type = spec.storage_type.filter(|t| t.starts_with("aurora-"));
    }
    // Told with an unencrypted snapshot, a key would encrypt what comes of it.
    spec.kms_key_id = spec.kms_key_id.filter(|_| spec.storage_encrypted == Some(true));
    let is_serverless = spec.engine_mode.as_deref() == Some("serverless");
    spec.scaling_configuration_info = spec.scaling_configuration_info.filter(|_| is_serverless);
    spec.performance_insights_enabled = spec.performance_insights_enabled.filter(|on| *on);
    spec.backtrack_window = spec.backtrack_window.filter(|w| *w != 0);
    spec.monitoring_interval = spec.monitoring_interval.filter(|i| *i != 0);
    spec
}

// ---- making -------------------------------------------------------------------------------------------------------

async fn make(cx: &Cx, id: &str, spec: &Spec, step: &Step) -> Result<(), Failure> {
    let tags = Some(tags_on_create(&spec.tags, step));
    match &spec.restore_from {
        Some(RestoreFrom::Backup(resource)) => {
            let call = spec.restore_db_cluster_to_point_in_time().map_err(unbuildable(TO_POINT_IN_TIME))?;
            let call = call.source_db_cluster_resource_id(resource).use_latest_restorable_time(true).set_tags(tags);
            call.send_with(&cx.rds).await.map_err(failed(TO_POINT_IN_TIME)).map(drop)
        }
        Some(RestoreFrom::Snapshot(snapshot)) => {
            let call = spec.restore_db_cluster_from_snapshot().map_err(unbuildable(FROM_SNAPSHOT))?;
            let call = call.snapshot_identifier(snapshot).set_tags(tags);
            call.send_with(&cx.rds).await.map_err(failed(FROM_SNAPSHOT)).map(drop)
        }
        Some(RestoreFrom::Empty) => {
            let call = spec.create_db_cluster().map_err(unbuildable(CREATE))?;
            // Somebody must be able to log in, and nobody has the old password.
            let call = call.manage_master_user_password(true).set_tags(tags);
            call.send_with(&cx.rds).await.map_err(failed(CREATE)).map(drop)
        }
        None => Err(super::no_source(CREATE, id)),
    }
}

// ---- changing -----------------------------------------------------------------------------------------------------

/// What ModifyDBCluster has to say, if anything.
fn modification(id: &str, now: &Spec, want: &Spec) -> Result<Option<ModifyDbClusterInputBuilder>, Failure> {
    let Change { mut set, unset } = change(now, want).map_err(|e| Failure::unbuildable(MODIFY, e))?;
    let others =
        ["tags", "associated_roles", "restore_from", "http_endpoint_enabled", "availability_zones", "database_name"];
    let is_ours = |member: &String| {
        !others.contains(&member.as_str())
            && !DbCluster::IMMUTABLE.contains(&member.as_str())
            && !DbCluster::REPORTED.iter().any(|(m, _)| m == member)
    };
    let members = set.to_json().as_object().map(|m| m.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let changed: Vec<String> = members.into_iter().chain(unset).filter(is_ours).collect();
    // It is never taken back here: that takes a password.
    if changed.is_empty() || changed == ["master_user_secret"] && want.master_user_secret.is_none() {
        return Ok(None);
    }
    let changes = |member: &str| changed.iter().any(|c| c == member);
    if changes("monitoring_interval") || changes("monitoring_role_arn") {
        set.monitoring_interval = want.monitoring_interval.or(Some(0));
        set.monitoring_role_arn = want.monitoring_role_arn.clone();
    }
    if changes("backtrack_window") {
        set.backtrack_window = want.backtrack_window.or(Some(0));
    }
    let exports = super::log_exports(&now.enabled_cloudwatch_logs_exports, &want.enabled_cloudwatch_logs_exports);
    let said = |member: &str, flag: Option<bool>| changes(member).then(|| flag.unwrap_or_default());
    let secret = changes("master_user_secret").then_some(want.master_user_secret.as_ref()).flatten();
    let group = want.db_cluster_parameter_group.as_ref().filter(|_| changes("db_cluster_parameter_group"));
    let call = set.modify_db_cluster().map_err(unbuildable(MODIFY))?;
    Ok(Some(
        call.db_cluster_identifier(id)
            .apply_immediately(true)
            .set_db_cluster_parameter_group_name(group.map(|g| g.0.clone()))
            .set_enable_iam_database_authentication(said(
                "iam_database_authentication_enabled",
                want.iam_database_authentication_enabled,
            ))
            .set_enable_performance_insights(said("performance_insights_enabled", want.performance_insights_enabled))
            .set_deletion_protection(said("deletion_protection", want.deletion_protection))
            .set_cloudwatch_logs_export_configuration(exports)
            .set_manage_master_user_password(secret.map(|_| true))
            .set_master_user_secret_kms_key_id(secret.and_then(|s| s.kms_key_id.as_ref()).map(|k| k.0.clone())),
    ))
}

/// The call that switches the data API on or off, where it is not as it is wanted.
fn http_endpoint(now: &Spec, want: &Spec) -> Option<(&'static str, bool)> {
    let flag = |s: &Spec| s.http_endpoint_enabled.unwrap_or_default();
    let action = if flag(want) { "rds:EnableHttpEndpoint" } else { "rds:DisableHttpEndpoint" };
    (flag(now) != flag(want)).then_some((action, flag(want)))
}

impl Kind for DbCluster {
    type Name = rds::DbCluster;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &DbClusterOptionGroupStatus::COVERAGE,
        &VpcSecurityGroupMembership::COVERAGE,
        &DbClusterRole::COVERAGE,
        &ScalingConfigurationInfo::COVERAGE,
        &RdsCustomClusterConfiguration::COVERAGE,
        &DomainMembership::COVERAGE,
        &ServerlessV2ScalingConfigurationInfo::COVERAGE,
        &MasterUserSecret::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateDbClusterInputBuilder>>::TABLE,
        &<Spec as Input<RestoreDbClusterFromSnapshotInputBuilder>>::TABLE,
        &<Spec as Input<RestoreDbClusterToPointInTimeInputBuilder>>::TABLE,
        &<Spec as Input<ModifyDbClusterInputBuilder>>::TABLE,
        &<DbClusterRole as Input<AddRoleToDbClusterInputBuilder>>::TABLE,
        &<ScalingConfigurationInfo as Input<sdk::ScalingConfiguration>>::TABLE,
        &<RdsCustomClusterConfiguration as Input<sdk::RdsCustomClusterConfiguration>>::TABLE,
        &<ServerlessV2ScalingConfigurationInfo as Input<sdk::ServerlessV2ScalingConfiguration>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] =
        &["rds:DescribeDBClusters", "rds:DescribeDBClusterAutomatedBackups", "rds:DescribeDBClusterSnapshots"];
    const RESTORE: &'static [&'static str] = &[
        "rds:ListTagsForResource",
        CREATE,
        FROM_SNAPSHOT,
        TO_POINT_IN_TIME,
        MODIFY,
        "rds:EnableHttpEndpoint",
        "rds:DisableHttpEndpoint",
        "rds:AddRoleToDBCluster",
        "rds:RemoveRoleFromDBCluster",
        "rds:AddTagsToResource",
        "rds:RemoveTagsFromResource",
        "iam:PassRole",
    ];
    const TERRAFORM: &'static str = "aws_rds_cluster";
    const NEVER_BACK: &'static [&'static str] = &[
        "what was written since the copy that it is restored from",
        "its automated backups, unless they were retained",
        "a managed master password: a new secret is made",
        "which member writes: RDS takes the first that is made",
    ];
    const PHASE: Phase = Phase::Data;
    const TAKES: Duration = super::TAKES;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBClusterIdentifier";
    const IDENTITY: Option<&'static str> = Some("db_cluster_resource_id");
    const IMMUTABLE: &'static [&'static str] = &[
        "db_cluster_resource_id",
        "db_cluster_identifier",
        "availability_zones",
        "character_set_name",
        "database_name",
        "db_subnet_group",
        "engine",
        "engine_version",
        "engine_mode",
        "master_username",
        "storage_encrypted",
        "kms_key_id",
        "rds_custom_cluster_configuration",
        "publicly_accessible",
        "db_system_id",
        "cluster_scalability_type",
    ];
    const GIVEN: &'static [&'static str] = &[
        "backup_retention_period",
        "db_cluster_parameter_group",
        "port",
        "db_cluster_option_group_memberships",
        "preferred_backup_window",
        "vpc_security_groups",
        "iam_database_authentication_enabled",
        "backtrack_window",
        "enabled_cloudwatch_logs_exports",
        "scaling_configuration_info",
        "db_cluster_instance_class",
        "storage_type",
        "iops",
        "deletion_protection",
        "copy_tags_to_snapshot",
        "domain_memberships",
        "network_type",
        "serverless_v2_scaling_configuration",
        "monitoring_interval",
        "monitoring_role_arn",
        "performance_insights_enabled",
        "performance_insights_kms_key_id",
        "performance_insights_retention_period",
        "engine_lifecycle_support",
    ];
    const REPORTED: &'static [(&'static str, &'static str)] = &[
        ("activity_stream_mode", "a stream starts under another name: start it by hand"),
        ("local_write_forwarding_status", "switch it on again by hand"),
        ("global_write_forwarding_requested", "switch it on again by hand, once the cluster is in its global cluster"),
        ("global_cluster_identifier", "a restored cluster joins none: add it by hand"),
        ("replication_source_identifier", "a restored cluster replicates from none"),
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let rows = clusters(cx, one(which)).await?;
        let alive = rows.iter().filter(|c| super::is_alive(c.status()));
        let asked = alive.filter_map(|c| {
            let id = c.db_cluster_identifier().filter(|id| is_asked(which, id))?.to_owned();
            // Neptune and DocumentDB answer here too, and are no databases of RDS.
            let ours = !matches!(c.engine(), Some("neptune" | "docdb"));
            let aliases = c.db_cluster_resource_id.clone().map(crate::model::Alias).into_iter().collect();
            ours.then(|| Seen { id, spec: spec(c), aliases })
        });
        Ok(asked.collect())
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(Self::look(cx, Which::Ids(&[id.to_owned()])).await?.pop())
    }
    async fn made_by(_cx: &Cx, _step: &Step) -> Result<Option<String>, Failure> {
        Ok(None) // found by its name: made()
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let id = spec.db_cluster_identifier.clone().unwrap_or_default();
        let answer = make(cx, &id, spec, step).await;
        // H28, H62: the one that was deleted has the name until it is wholly gone.
        if answer.as_ref().is_err_and(|f| f.class == Class::Exists)
            && let Some(there) = cluster(cx, &id).await?
            && !super::is_alive(there.status())
        {
            return Err(Failure::busy(CREATE, format!("the deleted {id} still has the name")));
        }
        super::made::<Self, _>(cx, &id, step, answer).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        if let Some(call) = modification(id, now, want)? {
            call.send_with(&cx.rds).await.map_err(failed(MODIFY))?;
        }
        let arn = super::arn(cx, "cluster", id);
        match http_endpoint(now, want) {
            Some((action, true)) => {
                cx.rds.enable_http_endpoint().resource_arn(arn).send().await.map_err(failed(action)).map(drop)?;
            }
            Some((action, false)) => {
                cx.rds.disable_http_endpoint().resource_arn(arn).send().await.map_err(failed(action)).map(drop)?;
            }
            None => {}
        }
        let (take, give) = super::apart(&now.associated_roles, &want.associated_roles);
        for role in take {
            let action = "rds:RemoveRoleFromDBCluster";
            let call = cx.rds.remove_role_from_db_cluster().db_cluster_identifier(id);
            let call = call
                .set_role_arn(role.role_arn.as_ref().map(|r| r.0.clone()))
                .set_feature_name(role.feature_name.clone());
            super::gone_already(call.send().await.map_err(failed(action)))?;
        }
        for role in give {
            let action = "rds:AddRoleToDBCluster";
            let call = role.add_role_to_db_cluster().map_err(unbuildable(action))?.db_cluster_identifier(id);
            super::already(call.send_with(&cx.rds).await.map_err(failed(action)))?;
        }
        converge_tags::<Self>(cx, id, &now.tags, &want.tags).await?;
        if now.master_user_secret.is_some() && want.master_user_secret.is_none() {
            return Err(super::takes_a_password(MODIFY, "cluster", id));
        }
        Ok(())
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        Ok(super::is_available(cluster(cx, id).await?.as_ref().and_then(|c| c.status())))
    }
    fn content(_spec: &Spec) -> Content {
        Content::CopiedOrEmpty
    }
    async fn sources(cx: &Cx, id: &str, spec: &Spec) -> Result<Vec<DataSource>, Failure> {
        let Some(resource) = spec.db_cluster_resource_id.as_ref().map(|r| r.0.clone()) else { return Ok(vec![]) };
        let action = "rds:DescribeDBClusterAutomatedBackups";
        let call = cx.rds.describe_db_cluster_automated_backups().db_cluster_resource_id(&resource);
        let backups = found(call.send().await.map_err(failed(action)))?.and_then(|a| a.db_cluster_automated_backups);
        let mut out: Vec<DataSource> = backups
            .unwrap_or_default()
            .into_iter()
            .filter(|b| b.db_cluster_resource_id() == Some(&resource) && b.status() == Some("retained"))
            .filter_map(|b| super::backup(&resource, b.restore_window?.latest_time.as_ref()?))
            .collect();
        let mut snapshots = vec![];
        // Those that AWS Backup takes are told only when asked for; by the name, since there is no filter on the resource.
        for kind in [None, Some("awsbackup".to_owned())] {
            let call = cx.rds.describe_db_cluster_snapshots().db_cluster_identifier(id).set_snapshot_type(kind);
            let rows = call.into_paginator().page_size(PAGE_ROWS).items().send().try_collect().await;
            let rows: Vec<sdk::DbClusterSnapshot> =
                found(rows.map_err(failed("rds:DescribeDBClusterSnapshots")))?.unwrap_or_default();
            let own = |s: &sdk::DbClusterSnapshot| {
                s.status() == Some("available") && s.db_cluster_resource_id() == Some(&resource)
            };
            snapshots.extend(rows.into_iter().filter(own).filter_map(|s| {
                let taken = s.snapshot_create_time.as_ref()?;
                super::snapshot(s.db_cluster_snapshot_identifier?, s.snapshot_type.as_deref(), taken)
            }));
        }
        snapshots.sort_by_key(|s| std::cmp::Reverse(s.until));
        out.extend(snapshots);
        Ok(out)
    }
    fn aside_name(id: &str, in_the_way: &Spec) -> Option<String> {
        Some(super::aside_name(id, &in_the_way.db_cluster_resource_id.as_ref()?.0))
    }
    async fn set_aside(cx: &Cx, id: &str, in_the_way: &Spec, name: &str) -> Result<Settled, Failure> {
        let resource = in_the_way.db_cluster_resource_id.as_ref().map(|r| r.0.as_str());
        let is_it = |c: &sdk::DbCluster| c.db_cluster_resource_id() == resource;
        if let Some(renamed) = cluster(cx, name).await?.filter(is_it) {
            return Ok(super::is_available(renamed.status()));
        }
        let Some(there) = cluster(cx, id).await?.filter(is_it) else {
            return Ok(Settled::Ready); // whoever it belonged to has removed it
        };
        let state = super::is_available(there.status());
        if state == Settled::Ready {
            let call = cx.rds.modify_db_cluster().db_cluster_identifier(id).new_db_cluster_identifier(name);
            call.apply_immediately(true).send().await.map_err(failed(MODIFY))?;
            return Ok(Settled::Waiting("asked to take its new name".into()));
        }
        Ok(state)
    }
    fn readiness(id: &str, spec: &Spec, copies: &Copies) -> Ready {
        super::readiness_of_data(
            spec.deletion_protection,
            spec.db_cluster_resource_id.as_ref().and_then(|r| copies.of(&r.0)),
            format!("aws rds modify-db-cluster --db-cluster-identifier {id} --deletion-protection --apply-immediately"),
        )
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else {
            return vec![match want.restore_from {
                Some(RestoreFrom::Backup(_)) => TO_POINT_IN_TIME,
                Some(RestoreFrom::Snapshot(_)) => FROM_SNAPSHOT,
                Some(RestoreFrom::Empty) | None => CREATE,
            }];
        };
        let modify = modification("", now, want).ok().flatten().map(|_| MODIFY);
        let (take, give) = super::apart(&now.associated_roles, &want.associated_roles);
        modify
            .into_iter()
            .chain(http_endpoint(now, want).map(|(action, _)| action))
            .chain(take.iter().map(|_| "rds:RemoveRoleFromDBCluster"))
            .chain(give.iter().map(|_| "rds:AddRoleToDBCluster"))
            .chain(tag_calls(&now.tags, &want.tags))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::ec2::shapes::{foretold, spec},
    };
    use serde_json::{Value, json};

    fn want() -> Value {
        json!({
            "db_cluster_identifier": "ledger",
            "db_cluster_resource_id": {"$late": "rds:db-cluster-resource", "id": "cluster-OLD"},
            "engine": "aurora-mysql",
            "port": 3306,
            "db_subnet_group": {"$ref": "rds:db-subnet-group", "id": "data"},
            "vpc_security_groups": [{"vpc_security_group_id": {"$ref": "ec2:security-group", "id": "sg-1"}}],
            "db_cluster_parameter_group": {"$ref": "rds:db-cluster-parameter-group", "id": "app"},
            "preferred_maintenance_window": "sun:05:00-sun:06:00",
            "deletion_protection": true,
        })
    }

    #[tokio::test]
    async fn h31_a_cluster_is_restored_with_its_own_network_and_parameters() {
        let step = Step { restore: "r1".into(), number: 3 };
        for (from, action, name, value) in [
            (json!({"snapshot": "final"}), "RestoreDBClusterFromSnapshot", "SnapshotIdentifier", "final"),
            (
                json!({"backup": "cluster-OLD"}),
                "RestoreDBClusterToPointInTime",
                "SourceDbClusterResourceId",
                "cluster-OLD",
            ),
        ] {
            let canned = Canned::new(|_| "<DBCluster/>".into());
            let mut v = want();
            v["restore_from"] = from;
            DbCluster::create(&canned.cx(), &spec::<DbCluster>(&v), &step).await.unwrap();
            let call = canned.asked().pop().unwrap();
            assert_eq!((call.action.as_str(), call.get(name)), (action, value));
            assert_eq!(
                (
                    call.get("DBSubnetGroupName"),
                    call.get("VpcSecurityGroupIds.VpcSecurityGroupId.1"),
                    call.get("DBClusterParameterGroupName")
                ),
                ("data", "sg-1", "app")
            );
        }
    }

    #[tokio::test]
    async fn h30_the_rest_is_modified_in_one_call() {
        let canned = Canned::new(|_| "<DBCluster/>".into());
        let mut now = want();
        (now["preferred_maintenance_window"], now["deletion_protection"]) =
            ("mon:01:00-mon:02:00".into(), false.into());
        assert_eq!(
            foretold::<DbCluster>(&canned, "ledger", &now, &want()).await,
            [
                "ModifyDBCluster ApplyImmediately=true DBClusterIdentifier=ledger DeletionProtection=true PreferredMaintenanceWindow=sun:05:00-sun:06:00"
            ]
        );
    }

    #[tokio::test]
    async fn snapshots_of_another_cluster_of_the_name_are_no_source() {
        let canned = Canned::new(|call| match (call.action.as_str(), call.get("SnapshotType")) {
            ("DescribeDBClusterSnapshots", "") => {
                let row = |id: &str, of: &str| {
                    format!(
                        "<DBClusterSnapshot><DBClusterSnapshotIdentifier>{id}</DBClusterSnapshotIdentifier><DbClusterResourceId>{of}</DbClusterResourceId><SnapshotType>manual</SnapshotType><Status>available</Status><SnapshotCreateTime>2026-03-01T10:03:00Z</SnapshotCreateTime></DBClusterSnapshot>"
                    )
                };
                Answer::Ok(format!(
                    "<DBClusterSnapshots>{}{}</DBClusterSnapshots>",
                    row("theirs", "cluster-NEW"),
                    row("ours", "cluster-OLD")
                ))
            }
            _ => "".into(),
        });
        let found = DbCluster::sources(&canned.cx(), "ledger", &spec::<DbCluster>(&want())).await.unwrap();
        assert_eq!(found.iter().map(|s| s.what.as_str()).collect::<Vec<_>>(), ["manual snapshot ours"]);
    }
}
