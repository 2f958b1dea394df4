//! `rds:db-instance`: a database, alone, as a member of a cluster, or as a replica of another.
//!
//! Its content is no configuration and no call makes it: a deleted one is restored from its retained backup or from a
//! snapshot, under the same name and so at the same address (H28). What a restore call cannot say is put back by one
//! ModifyDBInstance afterwards (H29, H30). A member of a cluster has what the cluster has; a member of a Multi-AZ cluster is
//! made with it. No password is ever known: it is in the copy, or in a secret that RDS manages.
use super::{
    PAGE_ROWS, RestoreFrom, converge_tags, failed, found, is_asked, one, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Change, Coverage, FromSdk, Input, Inputs, LateRef, Plain, Ref, Set, Tags, change},
        names::{ec2, iam, kms, rds, secretsmanager},
    },
    mirror,
    plan::{
        facts::{Content, Phase},
        readiness::{Copies, DataSource, Ready},
    },
};
use aws_sdk_rds::{
    operation::{
        add_role_to_db_instance::builders::AddRoleToDbInstanceInputBuilder,
        create_db_instance::builders::CreateDbInstanceInputBuilder,
        create_db_instance_read_replica::builders::CreateDbInstanceReadReplicaInputBuilder,
        modify_db_instance::builders::ModifyDbInstanceInputBuilder,
        restore_db_instance_from_db_snapshot::builders::RestoreDbInstanceFromDbSnapshotInputBuilder,
        restore_db_instance_to_point_in_time::builders::RestoreDbInstanceToPointInTimeInputBuilder,
    },
    types as sdk,
};
use std::time::Duration;

mirror! {
    Spec from sdk::DbInstance;
    keep {
        dbi_resource_id @ "DbiResourceId": Option<LateRef<rds::DbInstanceResource>>,
        db_instance_identifier @ "DBInstanceIdentifier": Option<String>,
        db_instance_class @ "DBInstanceClass": Option<String>,
        engine @ "Engine": Option<String>,
        master_username @ "MasterUsername": Option<String>,
        db_name @ "DBName": Option<String>,
        endpoint @ "Endpoint": Option<Endpoint>,
        allocated_storage @ "AllocatedStorage": Option<i32>,
        preferred_backup_window @ "PreferredBackupWindow": Option<String>,
        backup_retention_period @ "BackupRetentionPeriod": Option<i32>,
        vpc_security_groups @ "VpcSecurityGroups": Set<VpcSecurityGroupMembership>,
        db_parameter_groups @ "DBParameterGroups": Set<DbParameterGroupStatus>,
        availability_zone @ "AvailabilityZone": Option<String>,
        db_subnet_group @ "DBSubnetGroup": Option<DbSubnetGroup>,
        preferred_maintenance_window @ "PreferredMaintenanceWindow": Option<String>,
        multi_az @ "MultiAZ": Option<bool>,
        engine_version @ "EngineVersion": Option<String>,
        auto_minor_version_upgrade @ "AutoMinorVersionUpgrade": Option<bool>,
        read_replica_source_db_instance_identifier @ "ReadReplicaSourceDBInstanceIdentifier": Option<Ref<rds::DbInstance>>,
        replica_mode @ "ReplicaMode": Option<String>,
        license_model @ "LicenseModel": Option<String>,
        iops @ "Iops": Option<i32>,
        storage_throughput @ "StorageThroughput": Option<i32>,
        option_group_memberships @ "OptionGroupMemberships": Set<OptionGroupMembership>,
        character_set_name @ "CharacterSetName": Option<String>,
        nchar_character_set_name @ "NcharCharacterSetName": Option<String>,
        publicly_accessible @ "PubliclyAccessible": Option<bool>,
        storage_type @ "StorageType": Option<String>,
        db_cluster_identifier @ "DBClusterIdentifier": Option<Ref<rds::DbCluster>>,
        storage_encrypted @ "StorageEncrypted": Option<bool>,
        kms_key_id @ "KmsKeyId": Option<Ref<kms::Key>>,
        ca_certificate_identifier @ "CACertificateIdentifier": Option<String>,
        domain_memberships @ "DomainMemberships": Set<DomainMembership>,
        copy_tags_to_snapshot @ "CopyTagsToSnapshot": Option<bool>,
        monitoring_interval @ "MonitoringInterval": Option<i32>,
        monitoring_role_arn @ "MonitoringRoleArn": Option<LateRef<iam::Role>>,
        promotion_tier @ "PromotionTier": Option<i32>,
        timezone @ "Timezone": Option<String>,
        iam_database_authentication_enabled @ "IAMDatabaseAuthenticationEnabled": Option<bool>,
        database_insights_mode @ "DatabaseInsightsMode": Option<String>,
        performance_insights_enabled @ "PerformanceInsightsEnabled": Option<bool>,
        performance_insights_kms_key_id @ "PerformanceInsightsKMSKeyId": Option<LateRef<kms::Key>>,
        performance_insights_retention_period @ "PerformanceInsightsRetentionPeriod": Option<i32>,
        enabled_cloudwatch_logs_exports @ "EnabledCloudwatchLogsExports": Set<String>,
        processor_features @ "ProcessorFeatures": Set<ProcessorFeature>,
        deletion_protection @ "DeletionProtection": Option<bool>,
        associated_roles @ "AssociatedRoles": Set<DbInstanceRole>,
        max_allocated_storage @ "MaxAllocatedStorage": Option<i32>,
        customer_owned_ip_enabled @ "CustomerOwnedIpEnabled": Option<bool>,
        network_type @ "NetworkType": Option<String>,
        backup_target @ "BackupTarget": Option<String>,
        custom_iam_instance_profile @ "CustomIamInstanceProfile": Option<Ref<iam::InstanceProfile>>,
        db_system_id @ "DBSystemId": Option<String>,
        master_user_secret @ "MasterUserSecret": Option<MasterUserSecret>,
        read_replica_source_db_cluster_identifier @ "ReadReplicaSourceDBClusterIdentifier": Option<Ref<rds::DbCluster>>,
        multi_tenant @ "MultiTenant": Option<bool>,
        dedicated_log_volume @ "DedicatedLogVolume": Option<bool>,
        engine_lifecycle_support @ "EngineLifecycleSupport": Option<String>,
        additional_storage_volumes @ "AdditionalStorageVolumes": Set<AdditionalStorageVolumeOutput>,
    }
    report {
        activity_stream_mode @ "ActivityStreamMode": Option<String> = "a stream starts under another name: start it by hand",
        db_instance_automated_backups_replications @ "DBInstanceAutomatedBackupsReplications": Set<DbInstanceAutomatedBackupsReplication> = "copies of its backups in other regions are made from there",
    }
    drop {
        db_capacity_reservation_identifier @ "DBCapacityReservationIdentifier": "a reservation takes in what fits it",
        tde_credential_arn @ "TdeCredentialArn": "the password that goes with it is not readable",
        tag_list @ "TagList": "the user's of them are in tags",
        automation_mode @ "AutomationMode": "RDS Custom: runtime state",
        secondary_availability_zone @ "SecondaryAvailabilityZone": "chosen by RDS",
        aws_backup_recovery_point_arn @ "AwsBackupRecoveryPointArn": "AWS Backup's: its plan takes the instance in",
        activity_stream_engine_native_audit_fields_included @ "ActivityStreamEngineNativeAuditFieldsIncluded": "the mode tells that there is a stream",
        activity_stream_kms_key_id @ "ActivityStreamKmsKeyId": "the mode tells that there is a stream",
        db_instance_status @ "DBInstanceStatus": "runtime state of the instance",
        instance_create_time @ "InstanceCreateTime": "runtime: a time",
        db_security_groups @ "DBSecurityGroups": "EC2-Classic, retired",
        upgrade_rollout_order @ "UpgradeRolloutOrder": "follows from the account's rollout policy/tags",
        pending_modified_values @ "PendingModifiedValues": "not applied yet; the final values are the ones requested",
        latest_restorable_time @ "LatestRestorableTime": "runtime: a time",
        read_replica_db_instance_identifiers @ "ReadReplicaDBInstanceIdentifiers": "set on the replica's side",
        read_replica_db_cluster_identifiers @ "ReadReplicaDBClusterIdentifiers": "set on the replica's side",
        status_infos @ "StatusInfos": "runtime state of the instance",
        storage_encryption_type @ "StorageEncryptionType": "runtime state of the instance",
        db_instance_port @ "DbInstancePort": "always 0; the endpoint says the port",
        enhanced_monitoring_resource_arn @ "EnhancedMonitoringResourceArn": "runtime state of the instance",
        db_instance_arn @ "DBInstanceArn": "derived from the id",
        listener_endpoint @ "ListenerEndpoint": "follows from the name, the account and the region",
        resume_full_automation_mode_time @ "ResumeFullAutomationModeTime": "runtime: a time",
        activity_stream_status @ "ActivityStreamStatus": "runtime state of the instance",
        activity_stream_kinesis_stream_name @ "ActivityStreamKinesisStreamName": "runtime state of the instance",
        automatic_restart_time @ "AutomaticRestartTime": "runtime: a time",
        activity_stream_policy_status @ "ActivityStreamPolicyStatus": "runtime state of the instance",
        certificate_details @ "CertificateDetails": "runtime state of the instance",
        percent_progress @ "PercentProgress": "runtime state of the instance",
        is_storage_config_upgrade_available @ "IsStorageConfigUpgradeAvailable": "runtime state of the instance",
        storage_volume_status @ "StorageVolumeStatus": "runtime state of the instance",
        storage_operation_status @ "StorageOperationStatus": "runtime state of the instance",
        storage_operation_percent_progress @ "StorageOperationPercentProgress": "runtime state of the instance",
    }
    gap {
        "PrimaryEndpoint": "the SDK does not parse it yet; identity",
        "VPCNetworkingEnabled": "the SDK does not parse it yet; runtime",
    }
    also {
        tags: Tags, // TagList
        pending_reboot: Option<bool>, // DBParameterGroups: a static parameter waits for one
        restore_from: Option<RestoreFrom> // of a plan only
    }
}

mirror! {
    Endpoint from sdk::Endpoint;
    keep {
        port @ "Port": Option<i32>,
    }
    drop {
        address @ "Address": "follows from the name, the account and the region",
        hosted_zone_id @ "HostedZoneId": "runtime state of the instance",
    }
}

mirror! {
    VpcSecurityGroupMembership from sdk::VpcSecurityGroupMembership;
    keep {
        vpc_security_group_id @ "VpcSecurityGroupId": Option<Ref<ec2::SecurityGroup>>,
    }
    drop {
        status @ "Status": "runtime state of the instance",
    }
}

mirror! {
    DbParameterGroupStatus from sdk::DbParameterGroupStatus;
    keep {
        db_parameter_group_name @ "DBParameterGroupName": Option<Ref<rds::DbParameterGroup>>,
    }
    drop {
        parameter_apply_status @ "ParameterApplyStatus": "runtime state of the instance",
    }
}

mirror! {
    DbSubnetGroup from sdk::DbSubnetGroup;
    keep {
        db_subnet_group_name @ "DBSubnetGroupName": Option<Ref<rds::DbSubnetGroup>>,
    }
    drop {
        db_subnet_group_description @ "DBSubnetGroupDescription": "belongs to the subnet group",
        vpc_id @ "VpcId": "belongs to the subnet group",
        subnet_group_status @ "SubnetGroupStatus": "belongs to the subnet group",
        subnets @ "Subnets": "belongs to the subnet group",
        db_subnet_group_arn @ "DBSubnetGroupArn": "belongs to the subnet group",
        supported_network_types @ "SupportedNetworkTypes": "belongs to the subnet group",
    }
}

mirror! {
    OptionGroupMembership from sdk::OptionGroupMembership;
    keep {
        option_group_name @ "OptionGroupName": Option<Ref<rds::OptionGroup>>,
    }
    drop {
        status @ "Status": "runtime state of the instance",
    }
}

mirror! {
    DomainMembership from sdk::DomainMembership;
    keep {
        domain @ "Domain": Option<String>,
        fqdn @ "FQDN": Option<String>,
        iam_role_name @ "IAMRoleName": Option<Ref<iam::Role>>,
        ou @ "OU": Option<String>,
        auth_secret_arn @ "AuthSecretArn": Option<Ref<secretsmanager::Secret>>,
        dns_ips @ "DnsIps": Set<String>,
    }
    drop {
        status @ "Status": "runtime state of the instance",
    }
}

mirror! {
    ProcessorFeature from sdk::ProcessorFeature, key [name];
    keep {
        name @ "Name": Option<String>,
        value @ "Value": Option<String>,
    }
}

mirror! {
    DbInstanceRole from sdk::DbInstanceRole;
    keep {
        role_arn @ "RoleArn": Option<LateRef<iam::Role>>,
        feature_name @ "FeatureName": Option<String>,
    }
    drop {
        status @ "Status": "runtime state of the instance",
    }
}

mirror! {
    DbInstanceAutomatedBackupsReplication from sdk::DbInstanceAutomatedBackupsReplication;
    keep {
        db_instance_automated_backups_arn @ "DBInstanceAutomatedBackupsArn": Option<String>,
    }
}

mirror! {
    MasterUserSecret from sdk::MasterUserSecret;
    keep {
        kms_key_id @ "KmsKeyId": Option<Ref<kms::Key>>,
    }
    drop {
        secret_arn @ "SecretArn": "ManageMasterUserPassword=true makes a new secret",
        secret_status @ "SecretStatus": "runtime state of the instance",
    }
}

mirror! {
    AdditionalStorageVolumeOutput from sdk::AdditionalStorageVolumeOutput;
    keep {
        volume_name @ "VolumeName": Option<String>,
        allocated_storage @ "AllocatedStorage": Option<i32>,
        iops @ "IOPS": Option<i32>,
        max_allocated_storage @ "MaxAllocatedStorage": Option<i32>,
        storage_throughput @ "StorageThroughput": Option<i32>,
        storage_type @ "StorageType": Option<String>,
    }
    drop {
        storage_volume_status @ "StorageVolumeStatus": "runtime state of the instance",
        storage_operation_status @ "StorageOperationStatus": "runtime state of the instance",
        storage_operation_percent_progress @ "StorageOperationPercentProgress": "runtime state of the instance",
    }
}

input! {
    Spec => create_db_instance(CreateDbInstanceInputBuilder);
    set {
        set_db_name: db_name,
        set_db_instance_identifier: db_instance_identifier,
        set_allocated_storage: allocated_storage,
        set_db_instance_class: db_instance_class,
        set_engine: engine,
        set_master_username: master_username,
        set_vpc_security_group_ids: vpc_security_groups[].vpc_security_group_id,
        set_availability_zone: availability_zone,
        set_db_subnet_group_name: db_subnet_group.db_subnet_group_name,
        set_preferred_maintenance_window: preferred_maintenance_window,
        set_db_parameter_group_name: db_parameter_groups[0].db_parameter_group_name,
        set_backup_retention_period: backup_retention_period,
        set_preferred_backup_window: preferred_backup_window,
        set_port: endpoint.port,
        set_multi_az: multi_az,
        set_engine_version: engine_version,
        set_auto_minor_version_upgrade: auto_minor_version_upgrade,
        set_license_model: license_model,
        set_iops: iops,
        set_storage_throughput: storage_throughput,
        set_option_group_name: option_group_memberships[0].option_group_name,
        set_character_set_name: character_set_name,
        set_nchar_character_set_name: nchar_character_set_name,
        set_publicly_accessible: publicly_accessible,
        set_db_cluster_identifier: db_cluster_identifier,
        set_storage_type: storage_type,
        set_storage_encrypted: storage_encrypted,
        set_kms_key_id: kms_key_id,
        set_domain: domain_memberships[0].domain,
        set_domain_fqdn: domain_memberships[0].fqdn,
        set_domain_ou: domain_memberships[0].ou,
        set_domain_auth_secret_arn: domain_memberships[0].auth_secret_arn,
        set_domain_dns_ips: domain_memberships[0].dns_ips,
        set_copy_tags_to_snapshot: copy_tags_to_snapshot,
        set_monitoring_interval: monitoring_interval,
        set_monitoring_role_arn: monitoring_role_arn,
        set_domain_iam_role_name: domain_memberships[0].iam_role_name,
        set_promotion_tier: promotion_tier,
        set_timezone: timezone,
        set_enable_iam_database_authentication: iam_database_authentication_enabled,
        set_database_insights_mode: database_insights_mode,
        set_enable_performance_insights: performance_insights_enabled,
        set_performance_insights_kms_key_id: performance_insights_kms_key_id,
        set_performance_insights_retention_period: performance_insights_retention_period,
        set_enable_cloudwatch_logs_exports: enabled_cloudwatch_logs_exports,
        set_processor_features: processor_features,
        set_deletion_protection: deletion_protection,
        set_max_allocated_storage: max_allocated_storage,
        set_enable_customer_owned_ip: customer_owned_ip_enabled,
        set_network_type: network_type,
        set_backup_target: backup_target,
        set_custom_iam_instance_profile: custom_iam_instance_profile,
        set_db_system_id: db_system_id,
        set_ca_certificate_identifier: ca_certificate_identifier,
        set_master_user_secret_kms_key_id: master_user_secret.kms_key_id,
        set_multi_tenant: multi_tenant,
        set_dedicated_log_volume: dedicated_log_volume,
        set_engine_lifecycle_support: engine_lifecycle_support,
        set_additional_storage_volumes: additional_storage_volumes,
    }
    leave {
        db_capacity_reservation_identifier: "a reservation takes in what fits it",
        tde_credential_arn: "the password that goes with it is not readable",
        tags: "the spec's tags and the step's: tags_on_create",
        master_user_password: "write-only: no read returns it",
        db_security_groups: "EC2-Classic, retired",
        tde_credential_password: "write-only: no read returns it",
        manage_master_user_password: "whether there is a secret: managed()",
        tag_specifications: "the tags of the instance are its own",
        master_user_authentication_type: "no read returns it",
    }
}

input! {
    Spec => restore_db_instance_from_db_snapshot(RestoreDbInstanceFromDbSnapshotInputBuilder);
    set {
        set_db_instance_identifier: db_instance_identifier,
        set_db_instance_class: db_instance_class,
        set_port: endpoint.port,
        set_availability_zone: availability_zone,
        set_db_subnet_group_name: db_subnet_group.db_subnet_group_name,
        set_multi_az: multi_az,
        set_publicly_accessible: publicly_accessible,
        set_auto_minor_version_upgrade: auto_minor_version_upgrade,
        set_license_model: license_model,
        set_engine: engine,
        set_iops: iops,
        set_storage_throughput: storage_throughput,
        set_option_group_name: option_group_memberships[0].option_group_name,
        set_storage_type: storage_type,
        set_vpc_security_group_ids: vpc_security_groups[].vpc_security_group_id,
        set_domain: domain_memberships[0].domain,
        set_domain_fqdn: domain_memberships[0].fqdn,
        set_domain_ou: domain_memberships[0].ou,
        set_domain_auth_secret_arn: domain_memberships[0].auth_secret_arn,
        set_domain_dns_ips: domain_memberships[0].dns_ips,
        set_copy_tags_to_snapshot: copy_tags_to_snapshot,
        set_domain_iam_role_name: domain_memberships[0].iam_role_name,
        set_enable_iam_database_authentication: iam_database_authentication_enabled,
        set_enable_cloudwatch_logs_exports: enabled_cloudwatch_logs_exports,
        set_processor_features: processor_features,
        set_db_parameter_group_name: db_parameter_groups[0].db_parameter_group_name,
        set_deletion_protection: deletion_protection,
        set_enable_customer_owned_ip: customer_owned_ip_enabled,
        set_network_type: network_type,
        set_backup_target: backup_target,
        set_custom_iam_instance_profile: custom_iam_instance_profile,
        set_allocated_storage: allocated_storage,
        set_backup_retention_period: backup_retention_period,
        set_preferred_backup_window: preferred_backup_window,
        set_dedicated_log_volume: dedicated_log_volume,
        set_ca_certificate_identifier: ca_certificate_identifier,
        set_engine_lifecycle_support: engine_lifecycle_support,
        set_additional_storage_volumes: additional_storage_volumes,
        set_master_user_secret_kms_key_id: master_user_secret.kms_key_id,
    }
    leave {
        db_name: "the snapshot's; MySQL, MariaDB and PostgreSQL refuse it",
        db_capacity_reservation_identifier: "a reservation takes in what fits it",
        tde_credential_arn: "the password that goes with it is not readable",
        tags: "the spec's tags and the step's: tags_on_create",
        db_snapshot_identifier: "where its content comes from: restored()",
        tde_credential_password: "write-only: no read returns it",
        use_default_processor_features: "the features say it",
        db_cluster_snapshot_identifier: "of a Multi-AZ cluster: its own kind",
        tag_specifications: "for what is made beside it: the tags of the instance are its own",
        manage_master_user_password: "whether there is a secret: managed()",
    }
}

input! {
    Spec => restore_db_instance_to_point_in_time(RestoreDbInstanceToPointInTimeInputBuilder);
    set {
        set_db_instance_class: db_instance_class,
        set_port: endpoint.port,
        set_availability_zone: availability_zone,
        set_db_subnet_group_name: db_subnet_group.db_subnet_group_name,
        set_multi_az: multi_az,
        set_publicly_accessible: publicly_accessible,
        set_auto_minor_version_upgrade: auto_minor_version_upgrade,
        set_license_model: license_model,
        set_engine: engine,
        set_iops: iops,
        set_storage_throughput: storage_throughput,
        set_option_group_name: option_group_memberships[0].option_group_name,
        set_copy_tags_to_snapshot: copy_tags_to_snapshot,
        set_storage_type: storage_type,
        set_vpc_security_group_ids: vpc_security_groups[].vpc_security_group_id,
        set_domain: domain_memberships[0].domain,
        set_domain_iam_role_name: domain_memberships[0].iam_role_name,
        set_domain_fqdn: domain_memberships[0].fqdn,
        set_domain_ou: domain_memberships[0].ou,
        set_domain_auth_secret_arn: domain_memberships[0].auth_secret_arn,
        set_domain_dns_ips: domain_memberships[0].dns_ips,
        set_enable_iam_database_authentication: iam_database_authentication_enabled,
        set_enable_cloudwatch_logs_exports: enabled_cloudwatch_logs_exports,
        set_processor_features: processor_features,
        set_db_parameter_group_name: db_parameter_groups[0].db_parameter_group_name,
        set_deletion_protection: deletion_protection,
        set_max_allocated_storage: max_allocated_storage,
        set_enable_customer_owned_ip: customer_owned_ip_enabled,
        set_network_type: network_type,
        set_backup_target: backup_target,
        set_custom_iam_instance_profile: custom_iam_instance_profile,
        set_allocated_storage: allocated_storage,
        set_backup_retention_period: backup_retention_period,
        set_preferred_backup_window: preferred_backup_window,
        set_dedicated_log_volume: dedicated_log_volume,
        set_ca_certificate_identifier: ca_certificate_identifier,
        set_engine_lifecycle_support: engine_lifecycle_support,
        set_additional_storage_volumes: additional_storage_volumes,
        set_master_user_secret_kms_key_id: master_user_secret.kms_key_id,
    }
    leave {
        db_name: "the source's; MySQL, MariaDB and PostgreSQL refuse it",
        db_capacity_reservation_identifier: "a reservation takes in what fits it",
        tde_credential_arn: "the password that goes with it is not readable",
        tags: "the spec's tags and the step's: tags_on_create",
        source_db_instance_identifier: "it is gone: its resource id is given",
        target_db_instance_identifier: "the name: restored()",
        restore_time: "the latest: the least is lost",
        use_latest_restorable_time: "always: restored()",
        tde_credential_password: "write-only: no read returns it",
        use_default_processor_features: "the features say it",
        source_dbi_resource_id: "where its content comes from: restored()",
        source_db_instance_automated_backups_arn: "the resource id says it",
        tag_specifications: "for what is made beside it: the tags of the instance are its own",
        manage_master_user_password: "whether there is a secret: managed()",
    }
}

input! {
    Spec => create_db_instance_read_replica(CreateDbInstanceReadReplicaInputBuilder);
    set {
        set_db_instance_identifier: db_instance_identifier,
        set_source_db_instance_identifier: read_replica_source_db_instance_identifier,
        set_db_instance_class: db_instance_class,
        set_availability_zone: availability_zone,
        set_port: endpoint.port,
        set_multi_az: multi_az,
        set_auto_minor_version_upgrade: auto_minor_version_upgrade,
        set_iops: iops,
        set_storage_throughput: storage_throughput,
        set_option_group_name: option_group_memberships[0].option_group_name,
        set_db_parameter_group_name: db_parameter_groups[0].db_parameter_group_name,
        set_publicly_accessible: publicly_accessible,
        set_db_subnet_group_name: db_subnet_group.db_subnet_group_name,
        set_vpc_security_group_ids: vpc_security_groups[].vpc_security_group_id,
        set_storage_type: storage_type,
        set_copy_tags_to_snapshot: copy_tags_to_snapshot,
        set_monitoring_interval: monitoring_interval,
        set_monitoring_role_arn: monitoring_role_arn,
        set_kms_key_id: kms_key_id,
        set_enable_iam_database_authentication: iam_database_authentication_enabled,
        set_database_insights_mode: database_insights_mode,
        set_enable_performance_insights: performance_insights_enabled,
        set_performance_insights_kms_key_id: performance_insights_kms_key_id,
        set_performance_insights_retention_period: performance_insights_retention_period,
        set_enable_cloudwatch_logs_exports: enabled_cloudwatch_logs_exports,
        set_processor_features: processor_features,
        set_deletion_protection: deletion_protection,
        set_domain: domain_memberships[0].domain,
        set_domain_iam_role_name: domain_memberships[0].iam_role_name,
        set_domain_fqdn: domain_memberships[0].fqdn,
        set_domain_ou: domain_memberships[0].ou,
        set_domain_auth_secret_arn: domain_memberships[0].auth_secret_arn,
        set_domain_dns_ips: domain_memberships[0].dns_ips,
        set_replica_mode: replica_mode,
        set_enable_customer_owned_ip: customer_owned_ip_enabled,
        set_network_type: network_type,
        set_max_allocated_storage: max_allocated_storage,
        set_backup_target: backup_target,
        set_custom_iam_instance_profile: custom_iam_instance_profile,
        set_allocated_storage: allocated_storage,
        set_source_db_cluster_identifier: read_replica_source_db_cluster_identifier,
        set_dedicated_log_volume: dedicated_log_volume,
        set_ca_certificate_identifier: ca_certificate_identifier,
        set_additional_storage_volumes: additional_storage_volumes,
    }
    leave {
        db_capacity_reservation_identifier: "a reservation takes in what fits it",
        tags: "the spec's tags and the step's: tags_on_create",
        pre_signed_url: "the SDK's",
        use_default_processor_features: "the features say it",
        upgrade_storage_config: "runtime state of the source",
        tag_specifications: "for what is made beside it: the tags of the instance are its own",
    }
}

input! {
    Spec => modify_db_instance(ModifyDbInstanceInputBuilder);
    set {
        set_allocated_storage: allocated_storage,
        set_db_instance_class: db_instance_class,
        set_db_subnet_group_name: db_subnet_group.db_subnet_group_name,
        set_vpc_security_group_ids: vpc_security_groups[].vpc_security_group_id,
        set_db_parameter_group_name: db_parameter_groups[0].db_parameter_group_name,
        set_backup_retention_period: backup_retention_period,
        set_preferred_backup_window: preferred_backup_window,
        set_preferred_maintenance_window: preferred_maintenance_window,
        set_multi_az: multi_az,
        set_auto_minor_version_upgrade: auto_minor_version_upgrade,
        set_license_model: license_model,
        set_iops: iops,
        set_storage_throughput: storage_throughput,
        set_option_group_name: option_group_memberships[0].option_group_name,
        set_storage_type: storage_type,
        set_ca_certificate_identifier: ca_certificate_identifier,
        set_domain: domain_memberships[0].domain,
        set_domain_fqdn: domain_memberships[0].fqdn,
        set_domain_ou: domain_memberships[0].ou,
        set_domain_auth_secret_arn: domain_memberships[0].auth_secret_arn,
        set_domain_dns_ips: domain_memberships[0].dns_ips,
        set_copy_tags_to_snapshot: copy_tags_to_snapshot,
        set_monitoring_interval: monitoring_interval,
        set_publicly_accessible: publicly_accessible,
        set_monitoring_role_arn: monitoring_role_arn,
        set_domain_iam_role_name: domain_memberships[0].iam_role_name,
        set_promotion_tier: promotion_tier,
        set_database_insights_mode: database_insights_mode,
        set_performance_insights_kms_key_id: performance_insights_kms_key_id,
        set_performance_insights_retention_period: performance_insights_retention_period,
        set_processor_features: processor_features,
        set_deletion_protection: deletion_protection,
        set_max_allocated_storage: max_allocated_storage,
        set_replica_mode: replica_mode,
        set_network_type: network_type,
        set_multi_tenant: multi_tenant,
        set_dedicated_log_volume: dedicated_log_volume,
        set_additional_storage_volumes: additional_storage_volumes,
        set_engine_lifecycle_support: engine_lifecycle_support,
    }
    leave {
        aws_backup_recovery_point_arn: "AWS Backup's: its plan takes the instance in",
        automation_mode: "RDS Custom: runtime state",
        engine: "an engine is never changed",
        engine_version: "a version is never changed",
        db_instance_identifier: "the resource at hand",
        db_capacity_reservation_identifier: "a reservation takes in what fits it",
        tde_credential_arn: "the password that goes with it is not readable",
        db_security_groups: "EC2-Classic, retired",
        apply_immediately: "always: converge()",
        master_user_password: "write-only: no read returns it",
        allow_major_version_upgrade: "a version is never changed",
        new_db_instance_identifier: "only for what is in the way: set_aside()",
        tde_credential_password: "write-only: no read returns it",
        disable_domain: "where no domain is wanted: converge()",
        db_port_number: "endpoint.port: converge()",
        enable_iam_database_authentication: "iam_database_authentication_enabled: converge()",
        enable_performance_insights: "performance_insights_enabled: converge()",
        cloudwatch_logs_export_configuration: "the difference of the lists: converge()",
        use_default_processor_features: "the features say it",
        certificate_rotation_restart: "RDS's choice by the engine",
        resume_full_automation_mode_minutes: "RDS Custom: runtime state",
        enable_customer_owned_ip: "customer_owned_ip_enabled: converge()",
        manage_master_user_password: "whether there is a secret: managed()",
        rotate_master_user_password: "a managed password is new anyway",
        master_user_secret_kms_key_id: "with manage_master_user_password: converge()",
        tag_specifications: "for what is made beside it: the tags of the instance are its own",
        master_user_authentication_type: "no read returns it",
    }
}

input! {
    DbInstanceRole => add_role_to_db_instance(AddRoleToDbInstanceInputBuilder);
    set {
        set_role_arn: role_arn,
        set_feature_name: feature_name,
    }
    leave {
        db_instance_identifier: "the resource at hand",
    }
}

input! {
    ProcessorFeature => sdk::ProcessorFeature;
    set {
        set_name: name,
        set_value: value,
    }
}

input! {
    AdditionalStorageVolumeOutput => sdk::AdditionalStorageVolume;
    set {
        set_volume_name: volume_name,
        set_allocated_storage: allocated_storage,
        set_iops: iops,
        set_max_allocated_storage: max_allocated_storage,
        set_storage_throughput: storage_throughput,
        set_storage_type: storage_type,
    }
}

input! {
    AdditionalStorageVolumeOutput => sdk::ModifyAdditionalStorageVolume;
    set {
        set_volume_name: volume_name,
        set_allocated_storage: allocated_storage,
        set_iops: iops,
        set_max_allocated_storage: max_allocated_storage,
        set_storage_throughput: storage_throughput,
        set_storage_type: storage_type,
    }
    leave {
        set_for_delete: "volumes are added, never taken away",
    }
}

pub struct DbInstance;

const CREATE: &str = "rds:CreateDBInstance";
const REPLICA: &str = "rds:CreateDBInstanceReadReplica";
const FROM_SNAPSHOT: &str = "rds:RestoreDBInstanceFromDBSnapshot";
const TO_POINT_IN_TIME: &str = "rds:RestoreDBInstanceToPointInTime";
const MODIFY: &str = "rds:ModifyDBInstance";
const REBOOT: &str = "rds:RebootDBInstance";

// ---- reading ------------------------------------------------------------------------------------------------------

async fn instances(cx: &Cx, id: Option<String>) -> Result<Vec<sdk::DbInstance>, Failure> {
    let call = cx.rds.describe_db_instances().set_db_instance_identifier(id).into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    Ok(found(rows.map_err(failed("rds:DescribeDBInstances")))?.unwrap_or_default())
}
async fn instance(cx: &Cx, id: &str) -> Result<Option<sdk::DbInstance>, Failure> {
    Ok(instances(cx, Some(id.to_owned())).await?.into_iter().find(|i| i.db_instance_identifier() == Some(id)))
}

fn is_aurora(engine: Option<&str>) -> bool {
    engine.is_some_and(|e| e.starts_with("aurora"))
}

fn spec(i: &sdk::DbInstance) -> Spec {
    let mut spec = Spec::from_sdk(i);
    spec.tags = Tags::from_sdk(&i.tag_list);
    let pending = i.db_parameter_groups().iter().any(|g| g.parameter_apply_status() == Some("pending-reboot"));
    spec.pending_reboot = pending.then_some(true);
    // RDS moves a Multi-AZ instance between its zones by itself, and refuses a zone for one.
    spec.availability_zone = spec.availability_zone.filter(|_| spec.multi_az != Some(true));
    spec.kms_key_id = spec.kms_key_id.filter(|_| spec.storage_encrypted == Some(true));
    if spec.storage_type.as_deref() != Some("gp3") {
        spec.storage_throughput = None;
    }
    if !matches!(spec.storage_type.as_deref(), Some("gp3" | "io1" | "io2")) {
        spec.iops = None;
    }
    // What small gp3 volumes have anyway RDS refuses to be told.
    if spec.storage_type.as_deref() == Some("gp3") && spec.iops == Some(3000) {
        (spec.iops, spec.storage_throughput) = (None, spec.storage_throughput.filter(|t| *t != 125));
    }
    if spec.db_cluster_identifier.is_some() {
        of_the_cluster(&mut spec);
    }
    spec
}
/// What a member shows and its cluster has: no call on the member takes it.
fn of_the_cluster(spec: &mut Spec) {
    *spec = Spec {
        master_username: None,
        db_name: None,
        endpoint: None,
        allocated_storage: None,
        preferred_backup_window: None,
        backup_retention_period: None,
        vpc_security_groups: Set::default(),
        db_subnet_group: None,
        multi_az: None,
        engine_version: None,
        license_model: None,
        iops: None,
        storage_throughput: None,
        option_group_memberships: Set::default(),
        character_set_name: None,
        nchar_character_set_name: None,
        storage_type: None,
        storage_encrypted: None,
        kms_key_id: None,
        domain_memberships: Set::default(),
        copy_tags_to_snapshot: None,
        iam_database_authentication_enabled: None,
        database_insights_mode: None,
        enabled_cloudwatch_logs_exports: Set::default(),
        deletion_protection: None,
        max_allocated_storage: None,
        network_type: None,
        backup_target: None,
        master_user_secret: None,
        engine_lifecycle_support: None,
        ..spec.clone()
    };
}

// ---- making -------------------------------------------------------------------------------------------------------

/// The spec as a call takes it: without what RDS says of every instance and refuses to be told.
fn told(spec: &Spec) -> Spec {
    let only_true = |flag: Option<bool>| flag.filter(|f| *f);
    let mut spec = spec.clone();
    spec.backup_target = spec.backup_target.filter(|t| t != "region");
    spec.customer_owned_ip_enabled = only_true(spec.customer_owned_ip_enabled);
    spec.dedicated_log_volume = only_true(spec.dedicated_log_volume);
    spec.multi_tenant = only_true(spec.multi_tenant);
    spec
}
/// RDS keeps the password in a secret: a new one is made.
fn managed(spec: &Spec) -> Option<bool> {
    spec.master_user_secret.is_some().then_some(true)
}

/// The one make call: which depends on what it is, and on where its content comes from.
async fn make(cx: &Cx, id: &str, spec: &Spec, step: &Step) -> Result<(), Failure> {
    let tags = Some(tags_on_create(&spec.tags, step));
    let spec = told(spec);
    let source = spec.read_replica_source_db_instance_identifier.as_ref().map(|s| s.0.as_str());
    if let Some(source) = source.or(spec.read_replica_source_db_cluster_identifier.as_ref().map(|s| s.0.as_str())) {
        let action = REPLICA;
        // Within a region a replica has the key of its source, and RDS refuses to be told one.
        let key = spec.kms_key_id.as_ref().filter(|_| source.starts_with("arn:")).map(|k| k.0.clone());
        let call = spec.create_db_instance_read_replica().map_err(unbuildable(action))?.set_kms_key_id(key);
        return call.set_tags(tags).send_with(&cx.rds).await.map_err(failed(action)).map(drop);
    }
    if spec.db_cluster_identifier.is_some() {
        let call = spec.create_db_instance().map_err(unbuildable(CREATE))?.set_tags(tags);
        return call.send_with(&cx.rds).await.map_err(failed(CREATE)).map(drop);
    }
    match &spec.restore_from {
        Some(RestoreFrom::Backup(resource)) => {
            let call = spec.restore_db_instance_to_point_in_time().map_err(unbuildable(TO_POINT_IN_TIME))?;
            let call = call
                .source_dbi_resource_id(resource)
                .target_db_instance_identifier(id)
                .use_latest_restorable_time(true)
                .set_manage_master_user_password(managed(&spec))
                .set_tags(tags);
            call.send_with(&cx.rds).await.map_err(failed(TO_POINT_IN_TIME)).map(drop)
        }
        Some(RestoreFrom::Snapshot(snapshot)) => {
            let call = spec.restore_db_instance_from_db_snapshot().map_err(unbuildable(FROM_SNAPSHOT))?;
            let call =
                call.db_snapshot_identifier(snapshot).set_manage_master_user_password(managed(&spec)).set_tags(tags);
            call.send_with(&cx.rds).await.map_err(failed(FROM_SNAPSHOT)).map(drop)
        }
        Some(RestoreFrom::Empty) => {
            let call = spec.create_db_instance().map_err(unbuildable(CREATE))?;
            // Somebody must be able to log in, and nobody has the old password.
            let call = call.manage_master_user_password(true).set_tags(tags);
            call.send_with(&cx.rds).await.map_err(failed(CREATE)).map(drop)
        }
        None => Err(super::no_source(CREATE, id)),
    }
}

// ---- changing -----------------------------------------------------------------------------------------------------

/// Whether ModifyDBInstance has something to say, and what.
fn modification(id: &str, now: &Spec, want: &Spec) -> Result<Option<ModifyDbInstanceInputBuilder>, Failure> {
    let Change { mut set, unset } = change(now, want).map_err(|e| Failure::unbuildable(MODIFY, e))?;
    // Of these a call knows nothing, or they have calls of their own.
    let others = ["tags", "associated_roles", "pending_reboot", "restore_from", "activity_stream_mode"];
    let is_ours = |member: &String| {
        !others.contains(&member.as_str())
            && !DbInstance::IMMUTABLE.contains(&member.as_str())
            && !DbInstance::REPORTED.iter().any(|(m, _)| m == member)
    };
    let members = set.to_json().as_object().map(|m| m.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let changed: Vec<String> = members.into_iter().chain(unset).filter(is_ours).collect();
    // It is never taken back here: that takes a password.
    if changed.is_empty() || changed == ["master_user_secret"] && want.master_user_secret.is_none() {
        return Ok(None);
    }
    let changes = |member: &str| changed.iter().any(|c| c == member);
    // What belongs together is said together.
    if changes("storage_type") || changes("iops") || changes("storage_throughput") {
        (set.storage_type, set.iops) = (want.storage_type.clone(), want.iops);
        (set.storage_throughput, set.allocated_storage) = (want.storage_throughput, want.allocated_storage);
    }
    if changes("monitoring_interval") || changes("monitoring_role_arn") {
        set.monitoring_interval = want.monitoring_interval.or(Some(0));
        set.monitoring_role_arn = want.monitoring_role_arn.clone();
    }
    // RDS's way to say that storage does not grow by itself.
    if changes("max_allocated_storage") && want.max_allocated_storage.is_none() {
        set.max_allocated_storage = want.allocated_storage;
    }
    let exports = super::log_exports(&now.enabled_cloudwatch_logs_exports, &want.enabled_cloudwatch_logs_exports);
    let said = |member: &str, flag: Option<bool>| changes(member).then(|| flag.unwrap_or_default());
    let secret = changes("master_user_secret").then_some(want.master_user_secret.as_ref()).flatten();
    let call = set.modify_db_instance().map_err(unbuildable(MODIFY))?;
    Ok(Some(
        call.db_instance_identifier(id)
            .apply_immediately(true)
            .set_db_port_number(changes("endpoint").then(|| want.endpoint.as_ref().and_then(|e| e.port)).flatten())
            .set_enable_iam_database_authentication(said(
                "iam_database_authentication_enabled",
                want.iam_database_authentication_enabled,
            ))
            .set_enable_performance_insights(said("performance_insights_enabled", want.performance_insights_enabled))
            .set_enable_customer_owned_ip(said("customer_owned_ip_enabled", want.customer_owned_ip_enabled))
            .set_deletion_protection(said("deletion_protection", want.deletion_protection))
            .set_disable_domain((changes("domain_memberships") && want.domain_memberships.is_empty()).then_some(true))
            .set_cloudwatch_logs_export_configuration(exports)
            .set_manage_master_user_password(secret.map(|_| true))
            .set_master_user_secret_kms_key_id(secret.and_then(|s| s.kms_key_id.as_ref()).map(|k| k.0.clone())),
    ))
}

fn must_reboot(now: &Spec, want: &Spec) -> bool {
    now.pending_reboot == Some(true) && want.pending_reboot != Some(true)
}

impl Kind for DbInstance {
    type Name = rds::DbInstance;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &Endpoint::COVERAGE,
        &VpcSecurityGroupMembership::COVERAGE,
        &DbParameterGroupStatus::COVERAGE,
        &DbSubnetGroup::COVERAGE,
        &OptionGroupMembership::COVERAGE,
        &DomainMembership::COVERAGE,
        &ProcessorFeature::COVERAGE,
        &DbInstanceRole::COVERAGE,
        &DbInstanceAutomatedBackupsReplication::COVERAGE,
        &MasterUserSecret::COVERAGE,
        &AdditionalStorageVolumeOutput::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateDbInstanceInputBuilder>>::TABLE,
        &<Spec as Input<RestoreDbInstanceFromDbSnapshotInputBuilder>>::TABLE,
        &<Spec as Input<RestoreDbInstanceToPointInTimeInputBuilder>>::TABLE,
        &<Spec as Input<CreateDbInstanceReadReplicaInputBuilder>>::TABLE,
        &<Spec as Input<ModifyDbInstanceInputBuilder>>::TABLE,
        &<DbInstanceRole as Input<AddRoleToDbInstanceInputBuilder>>::TABLE,
        &<ProcessorFeature as Input<sdk::ProcessorFeature>>::TABLE,
        &<AdditionalStorageVolumeOutput as Input<sdk::AdditionalStorageVolume>>::TABLE,
        &<AdditionalStorageVolumeOutput as Input<sdk::ModifyAdditionalStorageVolume>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] =
        &["rds:DescribeDBInstances", "rds:DescribeDBInstanceAutomatedBackups", "rds:DescribeDBSnapshots"];
    const RESTORE: &'static [&'static str] = &[
        "rds:ListTagsForResource",
        CREATE,
        REPLICA,
        FROM_SNAPSHOT,
        TO_POINT_IN_TIME,
        MODIFY,
        REBOOT,
        "rds:AddRoleToDBInstance",
        "rds:RemoveRoleFromDBInstance",
        "rds:AddTagsToResource",
        "rds:RemoveTagsFromResource",
        "iam:PassRole",
    ];
    const TERRAFORM: &'static str = "aws_db_instance";
    const NEVER_BACK: &'static [&'static str] = &[
        "what was written since the copy that it is restored from",
        "its automated backups, unless they were retained",
        "a managed master password: a new secret is made",
        "its speed at first: blocks are loaded from the copy as they are read",
    ];
    const PHASE: Phase = Phase::Data;
    const TAKES: Duration = super::TAKES;
    const KEEPS_ID: bool = true;
    const ID_ELEMENT: &'static str = "DBInstanceIdentifier";
    const IDENTITY: Option<&'static str> = Some("dbi_resource_id");
    const IMMUTABLE: &'static [&'static str] = &[
        "dbi_resource_id",
        "db_instance_identifier",
        "engine",
        "engine_version",
        "master_username",
        "db_name",
        "availability_zone",
        "read_replica_source_db_instance_identifier",
        "read_replica_source_db_cluster_identifier",
        "character_set_name",
        "nchar_character_set_name",
        "db_cluster_identifier",
        "storage_encrypted",
        "kms_key_id",
        "timezone",
        "custom_iam_instance_profile",
        "db_system_id",
        "backup_target",
    ];
    const GIVEN: &'static [&'static str] = &[
        "db_instance_class",
        "endpoint",
        "allocated_storage",
        "preferred_backup_window",
        "backup_retention_period",
        "vpc_security_groups",
        "db_parameter_groups",
        "db_subnet_group",
        "multi_az",
        "auto_minor_version_upgrade",
        "license_model",
        "iops",
        "storage_throughput",
        "option_group_memberships",
        "publicly_accessible",
        "storage_type",
        "ca_certificate_identifier",
        "domain_memberships",
        "copy_tags_to_snapshot",
        "iam_database_authentication_enabled",
        "enabled_cloudwatch_logs_exports",
        "processor_features",
        "deletion_protection",
        "customer_owned_ip_enabled",
        "network_type",
        "dedicated_log_volume",
        "multi_tenant",
        "engine_lifecycle_support",
        "additional_storage_volumes",
        "master_user_secret",
    ];
    const REPORTED: &'static [(&'static str, &'static str)] = &[
        ("pending_reboot", "a parameter that waits for a reboot"),
        ("activity_stream_mode", "a stream starts under another name: start it by hand"),
        ("db_instance_automated_backups_replications", "they are started again from the other region"),
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let rows = instances(cx, one(which)).await?;
        let alive = rows.iter().filter(|i| super::is_alive(i.db_instance_status()));
        let asked = alive.filter_map(|i| {
            let id = i.db_instance_identifier().filter(|id| is_asked(which, id))?.to_owned();
            // Neptune and DocumentDB answer here too, and are no databases of RDS.
            let ours = !matches!(i.engine(), Some("neptune" | "docdb"));
            // Proxies and records name it by its resource id as well.
            let aliases = i.dbi_resource_id.clone().map(crate::model::Alias).into_iter().collect();
            ours.then(|| Seen { id, spec: spec(i), aliases })
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
        let id = spec.db_instance_identifier.clone().unwrap_or_default();
        let answer = make(cx, &id, spec, step).await;
        // H28, H62: the one that was deleted has the name until it is wholly gone.
        if answer.as_ref().is_err_and(|f| f.class == Class::Exists)
            && let Some(there) = instance(cx, &id).await?
            && !super::is_alive(there.db_instance_status())
        {
            return Err(Failure::busy(CREATE, format!("the deleted {id} still has the name")));
        }
        super::made::<Self, _>(cx, &id, step, answer).await
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        // H30: all that a restore call cannot say, in one call.
        let modify = modification(id, now, want)?;
        if let Some(call) = modify {
            call.send_with(&cx.rds).await.map_err(failed(MODIFY))?;
        }
        let (take, give) = super::apart(&now.associated_roles, &want.associated_roles);
        for role in take {
            let action = "rds:RemoveRoleFromDBInstance";
            let call = cx.rds.remove_role_from_db_instance().db_instance_identifier(id);
            let call = call
                .set_role_arn(role.role_arn.as_ref().map(|r| r.0.clone()))
                .set_feature_name(role.feature_name.clone());
            super::gone_already(call.send().await.map_err(failed(action)))?;
        }
        for role in give {
            let action = "rds:AddRoleToDBInstance";
            let call = role.add_role_to_db_instance().map_err(unbuildable(action))?.db_instance_identifier(id);
            super::already(call.send_with(&cx.rds).await.map_err(failed(action)))?;
        }
        converge_tags::<Self>(cx, id, &now.tags, &want.tags).await?;
        if now.db_parameter_groups != want.db_parameter_groups {
            // Only once it is applied does it show whether it waits for a reboot.
            return Err(Failure::busy(MODIFY, format!("{id} takes on its parameter group")));
        }
        if must_reboot(now, want) {
            cx.rds.reboot_db_instance().db_instance_identifier(id).send().await.map_err(failed(REBOOT))?;
        }
        if now.master_user_secret.is_some() && want.master_user_secret.is_none() {
            return Err(super::takes_a_password(MODIFY, "instance", id));
        }
        Ok(())
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let here = instance(cx, id).await?;
        let state = super::is_available(here.as_ref().and_then(|i| i.db_instance_status()));
        let pending = here
            .and_then(|i| i.pending_modified_values)
            .is_some_and(|p| p != sdk::PendingModifiedValues::builder().build());
        Ok(match state {
            Settled::Ready if pending => Settled::Waiting("available, with changes under way".into()),
            state => state,
        })
    }
    fn is_implicit(spec: &Spec) -> bool {
        // RDS makes the members of a Multi-AZ cluster itself (H31 is of Aurora alone).
        spec.db_cluster_identifier.is_some() && !is_aurora(spec.engine.as_deref())
    }
    async fn implicit(cx: &Cx, want: &Spec) -> Result<Option<String>, Failure> {
        let Some(id) = &want.db_instance_identifier else { return Ok(None) };
        Ok(instance(cx, id).await?.filter(|i| super::is_alive(i.db_instance_status())).map(|_| id.clone()))
    }
    fn content(spec: &Spec) -> Content {
        let from_another = spec.db_cluster_identifier.is_some()
            || spec.read_replica_source_db_instance_identifier.is_some()
            || spec.read_replica_source_db_cluster_identifier.is_some();
        if from_another { Content::None } else { Content::CopiedOrEmpty }
    }
    async fn sources(cx: &Cx, _id: &str, spec: &Spec) -> Result<Vec<DataSource>, Failure> {
        let Some(resource) = spec.dbi_resource_id.as_ref().map(|r| r.0.clone()) else { return Ok(vec![]) };
        let action = "rds:DescribeDBInstanceAutomatedBackups";
        let call = cx.rds.describe_db_instance_automated_backups().dbi_resource_id(&resource);
        let backups = found(call.send().await.map_err(failed(action)))?.and_then(|a| a.db_instance_automated_backups);
        let mut out: Vec<DataSource> = backups
            .unwrap_or_default()
            .into_iter()
            .filter(|b| b.dbi_resource_id() == Some(&resource) && b.status() == Some("retained"))
            .filter_map(|b| super::backup(&resource, b.restore_window?.latest_time.as_ref()?))
            .collect();
        let filter = sdk::Filter::builder().name("dbi-resource-id").values(&resource).build();
        let mut snapshots = vec![];
        // Those that AWS Backup takes are told only when asked for.
        for kind in [None, Some("awsbackup".to_owned())] {
            let call = cx.rds.describe_db_snapshots().filters(filter.clone()).set_snapshot_type(kind).into_paginator();
            let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
            let rows: Vec<sdk::DbSnapshot> =
                found(rows.map_err(failed("rds:DescribeDBSnapshots")))?.unwrap_or_default();
            snapshots.extend(rows.into_iter().filter(|s| s.status() == Some("available")).filter_map(|s| {
                super::snapshot(s.db_snapshot_identifier?, s.snapshot_type.as_deref(), s.snapshot_create_time.as_ref()?)
            }));
        }
        snapshots.sort_by_key(|s| std::cmp::Reverse(s.until));
        out.extend(snapshots);
        Ok(out)
    }
    fn aside_name(id: &str, in_the_way: &Spec) -> Option<String> {
        Some(super::aside_name(id, &in_the_way.dbi_resource_id.as_ref()?.0))
    }
    async fn set_aside(cx: &Cx, id: &str, in_the_way: &Spec, name: &str) -> Result<Settled, Failure> {
        let resource = in_the_way.dbi_resource_id.as_ref().map(|r| r.0.as_str());
        let is_it = |i: &sdk::DbInstance| i.dbi_resource_id() == resource;
        if let Some(renamed) = instance(cx, name).await?.filter(is_it) {
            return Ok(super::is_available(renamed.db_instance_status()));
        }
        let Some(there) = instance(cx, id).await?.filter(is_it) else {
            return Ok(Settled::Ready); // whoever it belonged to has removed it
        };
        let state = super::is_available(there.db_instance_status());
        if state == Settled::Ready {
            let call = cx.rds.modify_db_instance().db_instance_identifier(id).new_db_instance_identifier(name);
            call.apply_immediately(true).send().await.map_err(failed(MODIFY))?;
            return Ok(Settled::Waiting("asked to take its new name".into()));
        }
        Ok(state)
    }
    fn readiness(id: &str, spec: &Spec, copies: &Copies) -> Ready {
        if Self::content(spec) == Content::None {
            return Ready::by_name();
        }
        super::readiness_of_data(
            spec.deletion_protection,
            spec.dbi_resource_id.as_ref().and_then(|r| copies.of(&r.0)),
            format!(
                "aws rds modify-db-instance --db-instance-identifier {id} --deletion-protection --apply-immediately"
            ),
        )
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else {
            return vec![if Self::content(want) == Content::CopiedOrEmpty {
                match want.restore_from {
                    Some(RestoreFrom::Backup(_)) => TO_POINT_IN_TIME,
                    Some(RestoreFrom::Snapshot(_)) => FROM_SNAPSHOT,
                    Some(RestoreFrom::Empty) | None => CREATE,
                }
            } else if want.db_cluster_identifier.is_some() {
                CREATE
            } else {
                REPLICA
            }];
        };
        let modify = modification("", now, want).ok().flatten().map(|_| MODIFY);
        let (take, give) = super::apart(&now.associated_roles, &want.associated_roles);
        modify
            .into_iter()
            .chain(take.iter().map(|_| "rds:RemoveRoleFromDBInstance"))
            .chain(give.iter().map(|_| "rds:AddRoleToDBInstance"))
            .chain(tag_calls(&now.tags, &want.tags))
            .chain(must_reboot(now, want).then_some(REBOOT))
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
            "db_instance_identifier": "orders",
            "dbi_resource_id": {"$late": "rds:dbi-resource", "id": "db-OLD"},
            "db_instance_class": "db.t3.medium",
            "engine": "mysql",
            "endpoint": {"port": 3307},
            "allocated_storage": 20,
            "vpc_security_groups": [{"vpc_security_group_id": {"$ref": "ec2:security-group", "id": "sg-1"}}],
            "db_parameter_groups": [{"db_parameter_group_name": {"$ref": "rds:db-parameter-group", "id": "app"}}],
            "db_subnet_group": {"db_subnet_group_name": {"$ref": "rds:db-subnet-group", "id": "data"}},
            "deletion_protection": true,
            "monitoring_interval": 60,
            "monitoring_role_arn": {"$late": "iam:role", "id": "arn:aws:iam::111122223333:role/mon"},
            "performance_insights_enabled": true,
            "performance_insights_retention_period": 7,
            "enabled_cloudwatch_logs_exports": ["error"],
        })
    }
    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }
    fn with(mut v: Value, member: &str, to: Value) -> Value {
        v[member] = to;
        v
    }

    #[tokio::test]
    async fn h28_a_deleted_instance_is_restored_from_its_retained_backup_to_the_last_instant() {
        let canned = Canned::new(|_| "<DBInstance/>".into());
        let from = with(want(), "restore_from", json!({"backup": "db-OLD"}));
        DbInstance::create(&canned.cx(), &spec::<DbInstance>(&from), &step()).await.unwrap();
        let asked = canned.asked();
        let call = &asked[0];
        assert_eq!((asked.len(), call.action.as_str()), (1, "RestoreDBInstanceToPointInTime"));
        for (name, value) in [
            ("SourceDbiResourceId", "db-OLD"),
            ("TargetDBInstanceIdentifier", "orders"),
            ("UseLatestRestorableTime", "true"),
            // H29: what a restore would else take from its defaults.
            ("DBSubnetGroupName", "data"),
            ("VpcSecurityGroupIds.VpcSecurityGroupId.1", "sg-1"),
            ("DBParameterGroupName", "app"),
            ("Port", "3307"),
            ("DeletionProtection", "true"),
            ("Tags.Tag.1.Key", "rollbackd:step"),
        ] {
            assert_eq!(call.get(name), value, "{name}");
        }
    }

    #[tokio::test]
    async fn h28_without_a_source_nothing_is_made() {
        let canned = Canned::new(|_| "<DBInstance/>".into());
        let f = DbInstance::create(&canned.cx(), &spec::<DbInstance>(&want()), &step()).await.unwrap_err();
        assert!(f.message.contains("orders") && canned.asked().is_empty(), "{f}");
        let empty = with(want(), "restore_from", json!({"empty": true}));
        DbInstance::create(&canned.cx(), &spec::<DbInstance>(&empty), &step()).await.unwrap();
        let call = canned.asked().pop().unwrap();
        // No password is stored, so RDS must make one.
        assert_eq!((call.action.as_str(), call.get("ManageMasterUserPassword")), ("CreateDBInstance", "true"));
    }

    /// RDS keeps the name of an instance until its deletion has ended, minutes later.
    #[tokio::test]
    async fn h62_a_name_that_is_still_being_deleted_is_waited_for() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeDBInstances" => "<DBInstances><DBInstance><DBInstanceIdentifier>orders</DBInstanceIdentifier><DBInstanceStatus>deleting</DBInstanceStatus></DBInstance></DBInstances>".into(),
            _ => Answer::Error(400, "DBInstanceAlreadyExists", "DB instance already exists"),
        }
        });
        let from = with(want(), "restore_from", json!({"snapshot": "final"}));
        let f = DbInstance::create(&canned.cx(), &spec::<DbInstance>(&from), &step()).await.unwrap_err();
        assert!(f.class == Class::Busy && f.message.contains("still has the name"), "{f}");
        assert!(DbInstance::read(&canned.cx(), "orders").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn h30_what_a_restore_cannot_say_is_modified_in_one_call() {
        let canned = Canned::new(|_| "<DBInstance/>".into());
        let mut now = want();
        for member in [
            "monitoring_interval",
            "monitoring_role_arn",
            "performance_insights_enabled",
            "performance_insights_retention_period",
            "enabled_cloudwatch_logs_exports",
        ] {
            now.as_object_mut().unwrap().remove(member);
        }
        now["deletion_protection"] = false.into();
        assert_eq!(
            foretold::<DbInstance>(&canned, "orders", &now, &want()).await,
            [
                "ModifyDBInstance ApplyImmediately=true CloudwatchLogsExportConfiguration.EnableLogTypes.member.1=error DBInstanceIdentifier=orders DeletionProtection=true EnablePerformanceInsights=true MonitoringInterval=60 MonitoringRoleArn=arn:aws:iam::111122223333:role/mon PerformanceInsightsRetentionPeriod=7"
            ]
        );
        let pending = with(want(), "pending_reboot", true.into());
        assert_eq!(
            foretold::<DbInstance>(&canned, "orders", &pending, &want()).await,
            ["RebootDBInstance DBInstanceIdentifier=orders"]
        );
    }

    #[tokio::test]
    async fn sources_are_the_retained_backup_then_the_newest_snapshot() {
        let canned = Canned::new(|call| {
            match (call.action.as_str(), call.get("SnapshotType")) {
            ("DescribeDBInstanceAutomatedBackups", _) => "<DBInstanceAutomatedBackups><DBInstanceAutomatedBackup><DbiResourceId>db-OLD</DbiResourceId><Status>retained</Status><RestoreWindow><LatestTime>2026-03-01T10:00:00Z</LatestTime></RestoreWindow></DBInstanceAutomatedBackup></DBInstanceAutomatedBackups>".into(),
            (_, "awsbackup") => "<DBSnapshots><DBSnapshot><DBSnapshotIdentifier>awsbackup:1</DBSnapshotIdentifier><SnapshotType>awsbackup</SnapshotType><Status>available</Status><SnapshotCreateTime>2026-02-27T00:00:00Z</SnapshotCreateTime></DBSnapshot></DBSnapshots>".into(),
            _ => "<DBSnapshots><DBSnapshot><DBSnapshotIdentifier>old</DBSnapshotIdentifier><SnapshotType>manual</SnapshotType><Status>available</Status><SnapshotCreateTime>2026-01-01T00:00:00Z</SnapshotCreateTime></DBSnapshot><DBSnapshot><DBSnapshotIdentifier>final</DBSnapshotIdentifier><SnapshotType>manual</SnapshotType><Status>available</Status><SnapshotCreateTime>2026-03-01T10:03:00Z</SnapshotCreateTime></DBSnapshot><DBSnapshot><DBSnapshotIdentifier>broken</DBSnapshotIdentifier><Status>failed</Status><SnapshotCreateTime>2026-03-02T10:03:00Z</SnapshotCreateTime></DBSnapshot></DBSnapshots>".into(),
        }
        });
        let found = DbInstance::sources(&canned.cx(), "orders", &spec::<DbInstance>(&want())).await.unwrap();
        let from: Vec<Value> = found.into_iter().map(|s| s.from).collect();
        assert_eq!(
            from,
            [
                json!({"backup": "db-OLD"}),
                json!({"snapshot": "final"}),
                json!({"snapshot": "awsbackup:1"}),
                json!({"snapshot": "old"})
            ]
        );
    }

    /// RDS renames in its own time, and the name is free only when it has.
    #[tokio::test]
    async fn what_is_in_the_way_is_renamed_once_and_waited_for() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        let round = std::sync::Arc::new(AtomicUsize::new(0));
        let at = round.clone();
        let canned = Canned::new(move |call| {
            let row = |id: &str, status: &str| {
                Answer::Ok(format!(
                    "<DBInstances><DBInstance><DBInstanceIdentifier>{id}</DBInstanceIdentifier><DbiResourceId>db-NEW</DbiResourceId><DBInstanceStatus>{status}</DBInstanceStatus></DBInstance></DBInstances>"
                ))
            };
            match (call.action.as_str(), call.get("DBInstanceIdentifier"), at.load(SeqCst)) {
                ("ModifyDBInstance", ..) => "<DBInstance/>".into(),
                (_, "orders", 0) => row("orders", "available"),
                (_, "orders", 1) => row("orders", "renaming"),
                (_, "aside", 2) => row("aside", "available"),
                _ => Answer::Error(404, "DBInstanceNotFound", "not found"),
            }
        });
        let other = spec::<DbInstance>(&json!({"dbi_resource_id": {"$late": "rds:dbi-resource", "id": "db-NEW"}}));
        let mut states = vec![];
        for r in 0..3 {
            round.store(r, SeqCst);
            states.push(DbInstance::set_aside(&canned.cx(), "orders", &other, "aside").await.unwrap());
        }
        assert_eq!(states[1..], [Settled::Waiting("renaming".into()), Settled::Ready]);
        assert_eq!(
            canned.wrote(),
            ["ModifyDBInstance ApplyImmediately=true DBInstanceIdentifier=orders NewDBInstanceIdentifier=aside"]
        );
        let name = DbInstance::aside_name(&"a".repeat(63), &other).unwrap();
        assert!(name.len() <= 63 && !name.contains("--") && name.starts_with("aaa"), "{name}");
    }

    /// Names are ids here, and the name of one may stand anywhere in another.
    #[tokio::test]
    async fn an_element_that_the_sdk_drops_is_kept_beside_the_instance_that_has_it() {
        let canned = Canned::new(|_| {
            let row = |id: &str, db: &str, new: &str| {
                format!(
                    "<DBInstance><DBInstanceIdentifier>{id}</DBInstanceIdentifier><DBInstanceStatus>available</DBInstanceStatus><DBName>{db}</DBName><DBSubnetGroup><DBSubnetGroupName>{id}</DBSubnetGroupName><VpcId>vpc-1</VpcId></DBSubnetGroup><VpcSecurityGroups><VpcSecurityGroupMembership><VpcSecurityGroupId>sg-1</VpcSecurityGroupId><Status>active</Status></VpcSecurityGroupMembership></VpcSecurityGroups><TagList><Tag><Key>a</Key><Value>1</Value></Tag></TagList>{new}</DBInstance>"
                )
            };
            Answer::Ok(format!(
                "<DBInstances>{}{}</DBInstances>",
                row("a", "b", "<BrandNew><Deep>7</Deep></BrandNew>"),
                row("b", "a", "")
            ))
        });
        let kind = crate::kinds::registry::kind(&"rds:db-instance".parse().unwrap()).unwrap();
        let seen = kind.look(&canned.cx(), Which::All).await.unwrap();
        let unmapped: Vec<_> = seen.iter().map(|s| (s.id.as_str(), s.unmapped.clone())).collect();
        assert_eq!(unmapped, [("a", json!({"BrandNew/Deep": "7"})), ("b", Value::Null)]);
    }

    #[tokio::test]
    async fn creating_is_waited_for_and_what_never_ends_well_is_told() {
        for (status, settled) in [
            ("available", Settled::Ready),
            ("creating", Settled::Waiting("creating".into())),
            ("incompatible-restore", Settled::Failed("incompatible-restore".into())),
        ] {
            let canned = Canned::new(move |_| {
                Answer::Ok(format!(
                    "<DBInstances><DBInstance><DBInstanceIdentifier>orders</DBInstanceIdentifier><DBInstanceStatus>{status}</DBInstanceStatus></DBInstance></DBInstances>"
                ))
            });
            assert_eq!(DbInstance::settled(&canned.cx(), "orders").await.unwrap(), settled);
        }
    }
}
