//! `ec2:launch-template`: with all of its versions, since a version is nothing without its template.
//!
//! Versions never change, and those of a new template begin at 1 (H23). Other resources name a version by its number, so
//! the numbers are kept: where some were deleted, placeholders are made in their place and taken away again. What has to be
//! different in a template that is still there becomes a new version; the default is then set to it, and `$Latest` is as before.
use super::{
    converge_tags, failed, found, gone_already, held, is_managed, key_pair, placement_group, tag_calls, tags_on_create,
    unbuildable,
};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, Ref, Set, Stamp, Tags},
        names::{ec2, iam, kms, resource_groups},
    },
    mirror,
    model::Alias,
    plan::facts::Phase,
};
use aws_sdk_ec2::{
    operation::{
        create_launch_template::builders::CreateLaunchTemplateInputBuilder,
        create_launch_template_version::builders::CreateLaunchTemplateVersionInputBuilder,
        modify_launch_template::builders::ModifyLaunchTemplateInputBuilder,
    },
    types as sdk,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};

mirror! {
    Spec from sdk::LaunchTemplate;
    keep {
        launch_template_name @ "launchTemplateName": Option<String>,
        default_version_number @ "defaultVersionNumber": Option<i64>,
        tags @ "tagSet": Tags,
    }
    drop {
        launch_template_id @ "launchTemplateId": "the id itself; remapped",
        create_time @ "createTime": "runtime: a time",
        created_by @ "createdBy": "runtime: who made it",
        latest_version_number @ "latestVersionNumber": "follows from the versions",
        operator @ "operator": "what a service of AWS manages is left out of look(): that service makes it",
    }
    also {
        versions: Set<Version>, // DescribeLaunchTemplateVersions
        key_pairs: Set<Ref<ec2::KeyPair>>, // DescribeKeyPairs: what versions name by name comes first
        placement_groups: Set<Ref<ec2::PlacementGroup>> // DescribePlacementGroups: likewise
    }
}

mirror! {
    Version from sdk::LaunchTemplateVersion, key [version_number];
    keep {
        version_number @ "versionNumber": Option<i64>,
        version_description @ "versionDescription": Option<String>,
        launch_template_data @ "launchTemplateData": Option<Data>,
    }
    drop {
        launch_template_id @ "launchTemplateId": "the resource itself",
        launch_template_name @ "launchTemplateName": "the template's: Spec.launch_template_name",
        create_time @ "createTime": "runtime: a time",
        created_by @ "createdBy": "runtime: who made it",
        default_version @ "defaultVersion": "the template's: Spec.default_version_number",
        operator @ "operator": "the template's; what a service of AWS manages is left out of look()",
    }
}

mirror! {
    Data from sdk::ResponseLaunchTemplateData;
    keep {
        kernel_id @ "kernelId": Option<String>,
        ebs_optimized @ "ebsOptimized": Option<bool>,
        iam_instance_profile @ "iamInstanceProfile": Option<LaunchTemplateIamInstanceProfileSpecification>,
        block_device_mappings @ "blockDeviceMappingSet": Set<LaunchTemplateBlockDeviceMapping>,
        network_interfaces @ "networkInterfaceSet": Set<LaunchTemplateInstanceNetworkInterfaceSpecification>,
        image_id @ "imageId": Option<Ref<ec2::Image>>,
        instance_type @ "instanceType": Option<String>,
        key_name @ "keyName": Option<String>,
        monitoring @ "monitoring": Option<LaunchTemplatesMonitoring>,
        placement @ "placement": Option<LaunchTemplatePlacement>,
        ram_disk_id @ "ramDiskId": Option<String>,
        disable_api_termination @ "disableApiTermination": Option<bool>,
        instance_initiated_shutdown_behavior @ "instanceInitiatedShutdownBehavior": Option<String>,
        user_data @ "userData": Option<String>,
        tag_specifications @ "tagSpecificationSet": Set<LaunchTemplateTagSpecification>,
        elastic_gpu_specifications @ "elasticGpuSpecificationSet": Set<ElasticGpuSpecificationResponse>,
        elastic_inference_accelerators @ "elasticInferenceAcceleratorSet": Set<LaunchTemplateElasticInferenceAcceleratorResponse>,
        security_group_ids @ "securityGroupIdSet": Set<Ref<ec2::SecurityGroup>>,
        security_groups @ "securityGroupSet": Set<String>,
        instance_market_options @ "instanceMarketOptions": Option<LaunchTemplateInstanceMarketOptions>,
        credit_specification @ "creditSpecification": Option<CreditSpecification>,
        cpu_options @ "cpuOptions": Option<LaunchTemplateCpuOptions>,
        capacity_reservation_specification @ "capacityReservationSpecification": Option<LaunchTemplateCapacityReservationSpecificationResponse>,
        license_specifications @ "licenseSet": Set<LaunchTemplateLicenseConfiguration>,
        hibernation_options @ "hibernationOptions": Option<LaunchTemplateHibernationOptions>,
        metadata_options @ "metadataOptions": Option<LaunchTemplateInstanceMetadataOptions>,
        enclave_options @ "enclaveOptions": Option<LaunchTemplateEnclaveOptions>,
        instance_requirements @ "instanceRequirements": Option<InstanceRequirements>,
        private_dns_name_options @ "privateDnsNameOptions": Option<LaunchTemplatePrivateDnsNameOptions>,
        maintenance_options @ "maintenanceOptions": Option<LaunchTemplateInstanceMaintenanceOptions>,
        disable_api_stop @ "disableApiStop": Option<bool>,
        operator @ "operator": Option<OperatorResponse>,
        network_performance_options @ "networkPerformanceOptions": Option<LaunchTemplateNetworkPerformanceOptions>,
        secondary_interfaces @ "secondaryInterfaceSet": Set<LaunchTemplateInstanceSecondaryInterfaceSpecification>,
    }
}

mirror! {
    LaunchTemplateIamInstanceProfileSpecification from sdk::LaunchTemplateIamInstanceProfileSpecification;
    keep {
        arn @ "arn": Option<Ref<iam::InstanceProfile>>,
        name @ "name": Option<Ref<iam::InstanceProfile>>,
    }
}

mirror! {
    LaunchTemplateBlockDeviceMapping from sdk::LaunchTemplateBlockDeviceMapping, key [device_name];
    keep {
        device_name @ "deviceName": Option<String>,
        virtual_name @ "virtualName": Option<String>,
        ebs @ "ebs": Option<LaunchTemplateEbsBlockDevice>,
        no_device @ "noDevice": Option<String>,
    }
}

mirror! {
    LaunchTemplateEbsBlockDevice from sdk::LaunchTemplateEbsBlockDevice;
    keep {
        encrypted @ "encrypted": Option<bool>,
        delete_on_termination @ "deleteOnTermination": Option<bool>,
        iops @ "iops": Option<i32>,
        kms_key_id @ "kmsKeyId": Option<Ref<kms::Key>>,
        snapshot_id @ "snapshotId": Option<Ref<ec2::Snapshot>>,
        volume_size @ "volumeSize": Option<i32>,
        volume_type @ "volumeType": Option<String>,
        throughput @ "throughput": Option<i32>,
        volume_initialization_rate @ "volumeInitializationRate": Option<i32>,
        ebs_card_index @ "ebsCardIndex": Option<i32>,
    }
}

mirror! {
    LaunchTemplateInstanceNetworkInterfaceSpecification from sdk::LaunchTemplateInstanceNetworkInterfaceSpecification, key [network_card_index, device_index];
    keep {
        associate_carrier_ip_address @ "associateCarrierIpAddress": Option<bool>,
        associate_public_ip_address @ "associatePublicIpAddress": Option<bool>,
        delete_on_termination @ "deleteOnTermination": Option<bool>,
        description @ "description": Option<String>,
        device_index @ "deviceIndex": Option<i32>,
        groups @ "groupSet": Set<Ref<ec2::SecurityGroup>>,
        interface_type @ "interfaceType": Option<String>,
        ipv6_address_count @ "ipv6AddressCount": Option<i32>,
        ipv6_addresses @ "ipv6AddressesSet": Set<InstanceIpv6Address>,
        network_interface_id @ "networkInterfaceId": Option<Ref<ec2::NetworkInterface>>,
        private_ip_address @ "privateIpAddress": Option<String>,
        private_ip_addresses @ "privateIpAddressesSet": Set<PrivateIpAddressSpecification>,
        secondary_private_ip_address_count @ "secondaryPrivateIpAddressCount": Option<i32>,
        subnet_id @ "subnetId": Option<Ref<ec2::Subnet>>,
        network_card_index @ "networkCardIndex": Option<i32>,
        ipv4_prefixes @ "ipv4PrefixSet": Set<Ipv4PrefixSpecificationResponse>,
        ipv4_prefix_count @ "ipv4PrefixCount": Option<i32>,
        ipv6_prefixes @ "ipv6PrefixSet": Set<Ipv6PrefixSpecificationResponse>,
        ipv6_prefix_count @ "ipv6PrefixCount": Option<i32>,
        primary_ipv6 @ "primaryIpv6": Option<bool>,
        ena_srd_specification @ "enaSrdSpecification": Option<LaunchTemplateEnaSrdSpecification>,
        connection_tracking_specification @ "connectionTrackingSpecification": Option<ConnectionTrackingSpecification>,
        ena_queue_count @ "enaQueueCount": Option<i32>,
    }
}

mirror! {
    InstanceIpv6Address from sdk::InstanceIpv6Address, key [ipv6_address];
    keep {
        ipv6_address @ "ipv6Address": Option<String>,
        is_primary_ipv6 @ "isPrimaryIpv6": Option<bool>,
    }
}

mirror! {
    PrivateIpAddressSpecification from sdk::PrivateIpAddressSpecification, key [private_ip_address];
    keep {
        primary @ "primary": Option<bool>,
        private_ip_address @ "privateIpAddress": Option<String>,
    }
}

mirror! {
    Ipv4PrefixSpecificationResponse from sdk::Ipv4PrefixSpecificationResponse;
    keep {
        ipv4_prefix @ "ipv4Prefix": Option<String>,
    }
}

mirror! {
    Ipv6PrefixSpecificationResponse from sdk::Ipv6PrefixSpecificationResponse;
    keep {
        ipv6_prefix @ "ipv6Prefix": Option<String>,
    }
}

mirror! {
    LaunchTemplateEnaSrdSpecification from sdk::LaunchTemplateEnaSrdSpecification;
    keep {
        ena_srd_enabled @ "enaSrdEnabled": Option<bool>,
        ena_srd_udp_specification @ "enaSrdUdpSpecification": Option<LaunchTemplateEnaSrdUdpSpecification>,
    }
}

mirror! {
    LaunchTemplateEnaSrdUdpSpecification from sdk::LaunchTemplateEnaSrdUdpSpecification;
    keep {
        ena_srd_udp_enabled @ "enaSrdUdpEnabled": Option<bool>,
    }
}

mirror! {
    ConnectionTrackingSpecification from sdk::ConnectionTrackingSpecification;
    keep {
        tcp_established_timeout @ "tcpEstablishedTimeout": Option<i32>,
        udp_timeout @ "udpTimeout": Option<i32>,
        udp_stream_timeout @ "udpStreamTimeout": Option<i32>,
    }
}

mirror! {
    LaunchTemplatesMonitoring from sdk::LaunchTemplatesMonitoring;
    keep {
        enabled @ "enabled": Option<bool>,
    }
    gap {
        "metricCategoryIdSet": "configuration that this SDK cannot say yet; kept beside the spec",
    }
}

mirror! {
    LaunchTemplatePlacement from sdk::LaunchTemplatePlacement;
    keep {
        availability_zone @ "availabilityZone": Option<String>,
        availability_zone_id @ "availabilityZoneId": Option<String>,
        affinity @ "affinity": Option<String>,
        group_name @ "groupName": Option<String>,
        host_id @ "hostId": Option<Ref<ec2::DedicatedHost>>,
        tenancy @ "tenancy": Option<String>,
        spread_domain @ "spreadDomain": Option<String>,
        host_resource_group_arn @ "hostResourceGroupArn": Option<Ref<resource_groups::Group>>,
        partition_number @ "partitionNumber": Option<i32>,
        group_id @ "groupId": Option<Ref<ec2::PlacementGroup>>,
    }
}

mirror! {
    LaunchTemplateTagSpecification from sdk::LaunchTemplateTagSpecification;
    keep {
        resource_type @ "resourceType": Option<String>,
        tags @ "tagSet": Tags,
    }
}

mirror! {
    ElasticGpuSpecificationResponse from sdk::ElasticGpuSpecificationResponse;
    keep {
        r#type @ "type": Option<String>,
    }
}

mirror! {
    LaunchTemplateElasticInferenceAcceleratorResponse from sdk::LaunchTemplateElasticInferenceAcceleratorResponse;
    keep {
        r#type @ "type": Option<String>,
        count @ "count": Option<i32>,
    }
}

mirror! {
    LaunchTemplateInstanceMarketOptions from sdk::LaunchTemplateInstanceMarketOptions;
    keep {
        market_type @ "marketType": Option<String>,
        spot_options @ "spotOptions": Option<LaunchTemplateSpotMarketOptions>,
    }
}

mirror! {
    LaunchTemplateSpotMarketOptions from sdk::LaunchTemplateSpotMarketOptions;
    keep {
        max_price @ "maxPrice": Option<String>,
        spot_instance_type @ "spotInstanceType": Option<String>,
        block_duration_minutes @ "blockDurationMinutes": Option<i32>,
        valid_until @ "validUntil": Option<Stamp>,
        instance_interruption_behavior @ "instanceInterruptionBehavior": Option<String>,
    }
}

mirror! {
    CreditSpecification from sdk::CreditSpecification;
    keep {
        cpu_credits @ "cpuCredits": Option<String>,
    }
}

mirror! {
    LaunchTemplateCpuOptions from sdk::LaunchTemplateCpuOptions;
    keep {
        core_count @ "coreCount": Option<i32>,
        threads_per_core @ "threadsPerCore": Option<i32>,
        amd_sev_snp @ "amdSevSnp": Option<String>,
        nested_virtualization @ "nestedVirtualization": Option<String>,
    }
}

mirror! {
    LaunchTemplateCapacityReservationSpecificationResponse from sdk::LaunchTemplateCapacityReservationSpecificationResponse;
    keep {
        capacity_reservation_preference @ "capacityReservationPreference": Option<String>,
        capacity_reservation_target @ "capacityReservationTarget": Option<CapacityReservationTargetResponse>,
    }
}

mirror! {
    CapacityReservationTargetResponse from sdk::CapacityReservationTargetResponse;
    keep {
        capacity_reservation_id @ "capacityReservationId": Option<Ref<ec2::CapacityReservation>>,
        capacity_reservation_resource_group_arn @ "capacityReservationResourceGroupArn": Option<Ref<resource_groups::Group>>,
    }
}

mirror! {
    LaunchTemplateLicenseConfiguration from sdk::LaunchTemplateLicenseConfiguration;
    keep {
        license_configuration_arn @ "licenseConfigurationArn": Option<String>,
    }
}

mirror! {
    LaunchTemplateHibernationOptions from sdk::LaunchTemplateHibernationOptions;
    keep {
        configured @ "configured": Option<bool>,
    }
}

mirror! {
    LaunchTemplateInstanceMetadataOptions from sdk::LaunchTemplateInstanceMetadataOptions;
    keep {
        http_tokens @ "httpTokens": Option<String>,
        http_put_response_hop_limit @ "httpPutResponseHopLimit": Option<i32>,
        http_endpoint @ "httpEndpoint": Option<String>,
        http_protocol_ipv6 @ "httpProtocolIpv6": Option<String>,
        instance_metadata_tags @ "instanceMetadataTags": Option<String>,
    }
    drop {
        state @ "state": "runtime state: whether the options have been applied",
    }
}

mirror! {
    LaunchTemplateEnclaveOptions from sdk::LaunchTemplateEnclaveOptions;
    keep {
        enabled @ "enabled": Option<bool>,
    }
}

mirror! {
    InstanceRequirements from sdk::InstanceRequirements;
    keep {
        v_cpu_count @ "vCpuCount": Option<VCpuCountRange>,
        memory_mib @ "memoryMiB": Option<MemoryMiB>,
        cpu_manufacturers @ "cpuManufacturerSet": Set<String>,
        memory_gib_per_v_cpu @ "memoryGiBPerVCpu": Option<MemoryGiBPerVCpu>,
        excluded_instance_types @ "excludedInstanceTypeSet": Set<String>,
        instance_generations @ "instanceGenerationSet": Set<String>,
        spot_max_price_percentage_over_lowest_price @ "spotMaxPricePercentageOverLowestPrice": Option<i32>,
        on_demand_max_price_percentage_over_lowest_price @ "onDemandMaxPricePercentageOverLowestPrice": Option<i32>,
        bare_metal @ "bareMetal": Option<String>,
        burstable_performance @ "burstablePerformance": Option<String>,
        require_hibernate_support @ "requireHibernateSupport": Option<bool>,
        network_interface_count @ "networkInterfaceCount": Option<NetworkInterfaceCount>,
        local_storage @ "localStorage": Option<String>,
        local_storage_types @ "localStorageTypeSet": Set<String>,
        total_local_storage_gb @ "totalLocalStorageGB": Option<TotalLocalStorageGb>,
        baseline_ebs_bandwidth_mbps @ "baselineEbsBandwidthMbps": Option<BaselineEbsBandwidthMbps>,
        accelerator_types @ "acceleratorTypeSet": Set<String>,
        accelerator_count @ "acceleratorCount": Option<AcceleratorCount>,
        accelerator_manufacturers @ "acceleratorManufacturerSet": Set<String>,
        accelerator_names @ "acceleratorNameSet": Set<String>,
        accelerator_total_memory_mib @ "acceleratorTotalMemoryMiB": Option<AcceleratorTotalMemoryMiB>,
        network_bandwidth_gbps @ "networkBandwidthGbps": Option<NetworkBandwidthGbps>,
        allowed_instance_types @ "allowedInstanceTypeSet": Set<String>,
        max_spot_price_as_percentage_of_optimal_on_demand_price @ "maxSpotPriceAsPercentageOfOptimalOnDemandPrice": Option<i32>,
        baseline_performance_factors @ "baselinePerformanceFactors": Option<BaselinePerformanceFactors>,
        require_encryption_in_transit @ "requireEncryptionInTransit": Option<bool>,
    }
}

mirror! {
    VCpuCountRange from sdk::VCpuCountRange;
    keep {
        min @ "min": Option<i32>,
        max @ "max": Option<i32>,
    }
}

mirror! {
    MemoryMiB from sdk::MemoryMiB;
    keep {
        min @ "min": Option<i32>,
        max @ "max": Option<i32>,
    }
}

mirror! {
    MemoryGiBPerVCpu from sdk::MemoryGiBPerVCpu;
    keep {
        min @ "min": Option<f64>,
        max @ "max": Option<f64>,
    }
}

mirror! {
    NetworkInterfaceCount from sdk::NetworkInterfaceCount;
    keep {
        min @ "min": Option<i32>,
        max @ "max": Option<i32>,
    }
}

mirror! {
    TotalLocalStorageGb from sdk::TotalLocalStorageGb;
    keep {
        min @ "min": Option<f64>,
        max @ "max": Option<f64>,
    }
}

mirror! {
    BaselineEbsBandwidthMbps from sdk::BaselineEbsBandwidthMbps;
    keep {
        min @ "min": Option<i32>,
        max @ "max": Option<i32>,
    }
}

mirror! {
    AcceleratorCount from sdk::AcceleratorCount;
    keep {
        min @ "min": Option<i32>,
        max @ "max": Option<i32>,
    }
}

mirror! {
    AcceleratorTotalMemoryMiB from sdk::AcceleratorTotalMemoryMiB;
    keep {
        min @ "min": Option<i32>,
        max @ "max": Option<i32>,
    }
}

mirror! {
    NetworkBandwidthGbps from sdk::NetworkBandwidthGbps;
    keep {
        min @ "min": Option<f64>,
        max @ "max": Option<f64>,
    }
}

mirror! {
    BaselinePerformanceFactors from sdk::BaselinePerformanceFactors;
    keep {
        cpu @ "cpu": Option<CpuPerformanceFactor>,
    }
}

mirror! {
    CpuPerformanceFactor from sdk::CpuPerformanceFactor;
    keep {
        references @ "referenceSet": Set<PerformanceFactorReference>,
    }
}

mirror! {
    PerformanceFactorReference from sdk::PerformanceFactorReference;
    keep {
        instance_family @ "instanceFamily": Option<String>,
    }
}

mirror! {
    LaunchTemplatePrivateDnsNameOptions from sdk::LaunchTemplatePrivateDnsNameOptions;
    keep {
        hostname_type @ "hostnameType": Option<String>,
        enable_resource_name_dns_a_record @ "enableResourceNameDnsARecord": Option<bool>,
        enable_resource_name_dns_aaaa_record @ "enableResourceNameDnsAAAARecord": Option<bool>,
    }
}

mirror! {
    LaunchTemplateInstanceMaintenanceOptions from sdk::LaunchTemplateInstanceMaintenanceOptions;
    keep {
        auto_recovery @ "autoRecovery": Option<String>,
    }
}

mirror! {
    OperatorResponse from sdk::OperatorResponse;
    keep {
        principal @ "principal": Option<String>,
    }
    drop {
        managed @ "managed": "follows from the principal",
        hidden_by_default @ "hiddenByDefault": "follows from the principal",
    }
}

mirror! {
    LaunchTemplateNetworkPerformanceOptions from sdk::LaunchTemplateNetworkPerformanceOptions;
    keep {
        bandwidth_weighting @ "bandwidthWeighting": Option<String>,
    }
}

mirror! {
    LaunchTemplateInstanceSecondaryInterfaceSpecification from sdk::LaunchTemplateInstanceSecondaryInterfaceSpecification, key [device_index];
    keep {
        delete_on_termination @ "deleteOnTermination": Option<bool>,
        device_index @ "deviceIndex": Option<i32>,
        private_ip_addresses @ "privateIpAddressesSet": Set<SecondaryInterfacePrivateIpAddressSpecification>,
        private_ip_address_count @ "privateIpAddressCount": Option<i32>,
        secondary_subnet_id @ "secondarySubnetId": Option<String>,
        interface_type @ "interfaceType": Option<String>,
        network_card_index @ "networkCardIndex": Option<i32>,
    }
}

mirror! {
    SecondaryInterfacePrivateIpAddressSpecification from sdk::SecondaryInterfacePrivateIpAddressSpecification, key [private_ip_address];
    keep {
        private_ip_address @ "privateIpAddress": Option<String>,
    }
}

input! {
    Spec => create_launch_template(CreateLaunchTemplateInputBuilder);
    set {
        set_launch_template_name: launch_template_name,
    }
    leave {
        launch_template_data: "the first version's: create()",
        version_description: "the first version's: create()",
        operator: "what a service of AWS manages is left out of look(): that service makes it",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        client_token: "the step's token",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_launch_template(ModifyLaunchTemplateInputBuilder);
    leave {
        default_version: "the number that the default's content has now: converge()",
        launch_template_id: "the resource at hand",
        launch_template_name: "launch_template_id says it, and AWS refuses both",
        client_token: "the SDK's own; the call may be made twice",
        dry_run: "the engine's",
    }
}

input! {
    Version => create_launch_template_version(CreateLaunchTemplateVersionInputBuilder);
    set {
        set_version_description: version_description,
        set_launch_template_data: launch_template_data,
    }
    leave {
        launch_template_id: "the resource at hand",
        launch_template_name: "launch_template_id says it, and AWS refuses both",
        source_version: "the data is whole: nothing is taken from another version",
        client_token: "the SDK's own, for all attempts of one call; a later call finds the version by its content",
        resolve_alias: "says what the answer shows; a parameter of Systems Manager is kept as such",
        dry_run: "the engine's",
    }
}

input! {
    Data => sdk::RequestLaunchTemplateData;
    set {
        set_kernel_id: kernel_id,
        set_ebs_optimized: ebs_optimized,
        set_iam_instance_profile: iam_instance_profile,
        set_block_device_mappings: block_device_mappings,
        set_network_interfaces: network_interfaces,
        set_image_id: image_id,
        set_instance_type: instance_type,
        set_key_name: key_name,
        set_monitoring: monitoring,
        set_placement: placement,
        set_ram_disk_id: ram_disk_id,
        set_disable_api_termination: disable_api_termination,
        set_instance_initiated_shutdown_behavior: instance_initiated_shutdown_behavior,
        set_user_data: user_data,
        set_tag_specifications: tag_specifications,
        set_elastic_gpu_specifications: elastic_gpu_specifications,
        set_elastic_inference_accelerators: elastic_inference_accelerators,
        set_security_group_ids: security_group_ids,
        set_security_groups: security_groups,
        set_instance_market_options: instance_market_options,
        set_credit_specification: credit_specification,
        set_cpu_options: cpu_options,
        set_capacity_reservation_specification: capacity_reservation_specification,
        set_license_specifications: license_specifications,
        set_hibernation_options: hibernation_options,
        set_metadata_options: metadata_options,
        set_enclave_options: enclave_options,
        set_instance_requirements: instance_requirements,
        set_private_dns_name_options: private_dns_name_options,
        set_maintenance_options: maintenance_options,
        set_disable_api_stop: disable_api_stop,
        set_operator: operator,
        set_network_performance_options: network_performance_options,
        set_secondary_interfaces: secondary_interfaces,
    }
}

input! {
    LaunchTemplateIamInstanceProfileSpecification => sdk::LaunchTemplateIamInstanceProfileSpecificationRequest;
    set {
        set_arn: arn,
        set_name: name,
    }
}

input! {
    LaunchTemplateBlockDeviceMapping => sdk::LaunchTemplateBlockDeviceMappingRequest;
    set {
        set_device_name: device_name,
        set_virtual_name: virtual_name,
        set_ebs: ebs,
        set_no_device: no_device,
    }
}

input! {
    LaunchTemplateEbsBlockDevice => sdk::LaunchTemplateEbsBlockDeviceRequest;
    set {
        set_encrypted: encrypted,
        set_delete_on_termination: delete_on_termination,
        set_iops: iops,
        set_kms_key_id: kms_key_id,
        set_snapshot_id: snapshot_id,
        set_volume_size: volume_size,
        set_volume_type: volume_type,
        set_throughput: throughput,
        set_volume_initialization_rate: volume_initialization_rate,
        set_ebs_card_index: ebs_card_index,
    }
}

input! {
    LaunchTemplateInstanceNetworkInterfaceSpecification => sdk::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest;
    set {
        set_associate_carrier_ip_address: associate_carrier_ip_address,
        set_associate_public_ip_address: associate_public_ip_address,
        set_delete_on_termination: delete_on_termination,
        set_description: description,
        set_device_index: device_index,
        set_groups: groups,
        set_interface_type: interface_type,
        set_ipv6_address_count: ipv6_address_count,
        set_ipv6_addresses: ipv6_addresses,
        set_network_interface_id: network_interface_id,
        set_private_ip_address: private_ip_address,
        set_private_ip_addresses: private_ip_addresses,
        set_secondary_private_ip_address_count: secondary_private_ip_address_count,
        set_subnet_id: subnet_id,
        set_network_card_index: network_card_index,
        set_ipv4_prefixes: ipv4_prefixes,
        set_ipv4_prefix_count: ipv4_prefix_count,
        set_ipv6_prefixes: ipv6_prefixes,
        set_ipv6_prefix_count: ipv6_prefix_count,
        set_primary_ipv6: primary_ipv6,
        set_ena_srd_specification: ena_srd_specification,
        set_connection_tracking_specification: connection_tracking_specification,
        set_ena_queue_count: ena_queue_count,
    }
}

input! {
    InstanceIpv6Address => sdk::InstanceIpv6AddressRequest;
    set {
        set_ipv6_address: ipv6_address,
    }
}

input! {
    PrivateIpAddressSpecification => sdk::PrivateIpAddressSpecification;
    set {
        set_primary: primary,
        set_private_ip_address: private_ip_address,
    }
}

input! {
    Ipv4PrefixSpecificationResponse => sdk::Ipv4PrefixSpecificationRequest;
    set {
        set_ipv4_prefix: ipv4_prefix,
    }
}

input! {
    Ipv6PrefixSpecificationResponse => sdk::Ipv6PrefixSpecificationRequest;
    set {
        set_ipv6_prefix: ipv6_prefix,
    }
}

input! {
    LaunchTemplateEnaSrdSpecification => sdk::EnaSrdSpecificationRequest;
    set {
        set_ena_srd_enabled: ena_srd_enabled,
        set_ena_srd_udp_specification: ena_srd_udp_specification,
    }
}

input! {
    LaunchTemplateEnaSrdUdpSpecification => sdk::EnaSrdUdpSpecificationRequest;
    set {
        set_ena_srd_udp_enabled: ena_srd_udp_enabled,
    }
}

input! {
    ConnectionTrackingSpecification => sdk::ConnectionTrackingSpecificationRequest;
    set {
        set_tcp_established_timeout: tcp_established_timeout,
        set_udp_stream_timeout: udp_stream_timeout,
        set_udp_timeout: udp_timeout,
    }
}

input! {
    LaunchTemplatesMonitoring => sdk::LaunchTemplatesMonitoringRequest;
    set {
        set_enabled: enabled,
    }
}

input! {
    LaunchTemplatePlacement => sdk::LaunchTemplatePlacementRequest;
    set {
        set_availability_zone: availability_zone,
        set_affinity: affinity,
        set_host_id: host_id,
        set_tenancy: tenancy,
        set_spread_domain: spread_domain,
        set_host_resource_group_arn: host_resource_group_arn,
        set_partition_number: partition_number,
        set_group_id: group_id,
        set_group_name: group_name,
        set_availability_zone_id: availability_zone_id,
    }
}

input! {
    LaunchTemplateTagSpecification => sdk::LaunchTemplateTagSpecificationRequest;
    set {
        set_resource_type: resource_type,
        set_tags: tags,
    }
}

input! {
    ElasticGpuSpecificationResponse => sdk::ElasticGpuSpecification;
    set {
        set_type: r#type,
    }
}

input! {
    LaunchTemplateElasticInferenceAcceleratorResponse => sdk::LaunchTemplateElasticInferenceAccelerator;
    set {
        set_type: r#type,
        set_count: count,
    }
}

input! {
    LaunchTemplateInstanceMarketOptions => sdk::LaunchTemplateInstanceMarketOptionsRequest;
    set {
        set_market_type: market_type,
        set_spot_options: spot_options,
    }
}

input! {
    LaunchTemplateSpotMarketOptions => sdk::LaunchTemplateSpotMarketOptionsRequest;
    set {
        set_max_price: max_price,
        set_spot_instance_type: spot_instance_type,
        set_block_duration_minutes: block_duration_minutes,
        set_valid_until: valid_until,
        set_instance_interruption_behavior: instance_interruption_behavior,
    }
}

input! {
    CreditSpecification => sdk::CreditSpecificationRequest;
    set {
        set_cpu_credits: cpu_credits,
    }
}

input! {
    LaunchTemplateCpuOptions => sdk::LaunchTemplateCpuOptionsRequest;
    set {
        set_core_count: core_count,
        set_threads_per_core: threads_per_core,
        set_amd_sev_snp: amd_sev_snp,
        set_nested_virtualization: nested_virtualization,
    }
}

input! {
    LaunchTemplateCapacityReservationSpecificationResponse => sdk::LaunchTemplateCapacityReservationSpecificationRequest;
    set {
        set_capacity_reservation_preference: capacity_reservation_preference,
        set_capacity_reservation_target: capacity_reservation_target,
    }
}

input! {
    CapacityReservationTargetResponse => sdk::CapacityReservationTarget;
    set {
        set_capacity_reservation_id: capacity_reservation_id,
        set_capacity_reservation_resource_group_arn: capacity_reservation_resource_group_arn,
    }
}

input! {
    LaunchTemplateLicenseConfiguration => sdk::LaunchTemplateLicenseConfigurationRequest;
    set {
        set_license_configuration_arn: license_configuration_arn,
    }
}

input! {
    LaunchTemplateHibernationOptions => sdk::LaunchTemplateHibernationOptionsRequest;
    set {
        set_configured: configured,
    }
}

input! {
    LaunchTemplateInstanceMetadataOptions => sdk::LaunchTemplateInstanceMetadataOptionsRequest;
    set {
        set_http_tokens: http_tokens,
        set_http_put_response_hop_limit: http_put_response_hop_limit,
        set_http_endpoint: http_endpoint,
        set_http_protocol_ipv6: http_protocol_ipv6,
        set_instance_metadata_tags: instance_metadata_tags,
    }
}

input! {
    LaunchTemplateEnclaveOptions => sdk::LaunchTemplateEnclaveOptionsRequest;
    set {
        set_enabled: enabled,
    }
}

input! {
    InstanceRequirements => sdk::InstanceRequirementsRequest;
    set {
        set_v_cpu_count: v_cpu_count,
        set_memory_mib: memory_mib,
        set_cpu_manufacturers: cpu_manufacturers,
        set_memory_gib_per_v_cpu: memory_gib_per_v_cpu,
        set_excluded_instance_types: excluded_instance_types,
        set_instance_generations: instance_generations,
        set_spot_max_price_percentage_over_lowest_price: spot_max_price_percentage_over_lowest_price,
        set_on_demand_max_price_percentage_over_lowest_price: on_demand_max_price_percentage_over_lowest_price,
        set_bare_metal: bare_metal,
        set_burstable_performance: burstable_performance,
        set_require_hibernate_support: require_hibernate_support,
        set_network_interface_count: network_interface_count,
        set_local_storage: local_storage,
        set_local_storage_types: local_storage_types,
        set_total_local_storage_gb: total_local_storage_gb,
        set_baseline_ebs_bandwidth_mbps: baseline_ebs_bandwidth_mbps,
        set_accelerator_types: accelerator_types,
        set_accelerator_count: accelerator_count,
        set_accelerator_manufacturers: accelerator_manufacturers,
        set_accelerator_names: accelerator_names,
        set_accelerator_total_memory_mib: accelerator_total_memory_mib,
        set_network_bandwidth_gbps: network_bandwidth_gbps,
        set_allowed_instance_types: allowed_instance_types,
        set_max_spot_price_as_percentage_of_optimal_on_demand_price: max_spot_price_as_percentage_of_optimal_on_demand_price,
        set_baseline_performance_factors: baseline_performance_factors,
        set_require_encryption_in_transit: require_encryption_in_transit,
    }
}

input! {
    VCpuCountRange => sdk::VCpuCountRangeRequest;
    set {
        set_min: min,
        set_max: max,
    }
}

input! {
    MemoryMiB => sdk::MemoryMiBRequest;
    set {
        set_min: min,
        set_max: max,
    }
}

input! {
    MemoryGiBPerVCpu => sdk::MemoryGiBPerVCpuRequest;
    set {
        set_min: min,
        set_max: max,
    }
}

input! {
    NetworkInterfaceCount => sdk::NetworkInterfaceCountRequest;
    set {
        set_min: min,
        set_max: max,
    }
}

input! {
    TotalLocalStorageGb => sdk::TotalLocalStorageGbRequest;
    set {
        set_min: min,
        set_max: max,
    }
}

input! {
    BaselineEbsBandwidthMbps => sdk::BaselineEbsBandwidthMbpsRequest;
    set {
        set_min: min,
        set_max: max,
    }
}

input! {
    AcceleratorCount => sdk::AcceleratorCountRequest;
    set {
        set_min: min,
        set_max: max,
    }
}

input! {
    AcceleratorTotalMemoryMiB => sdk::AcceleratorTotalMemoryMiBRequest;
    set {
        set_min: min,
        set_max: max,
    }
}

input! {
    NetworkBandwidthGbps => sdk::NetworkBandwidthGbpsRequest;
    set {
        set_min: min,
        set_max: max,
    }
}

input! {
    BaselinePerformanceFactors => sdk::BaselinePerformanceFactorsRequest;
    set {
        set_cpu: cpu,
    }
}

input! {
    CpuPerformanceFactor => sdk::CpuPerformanceFactorRequest;
    set {
        set_references: references,
    }
}

input! {
    PerformanceFactorReference => sdk::PerformanceFactorReferenceRequest;
    set {
        set_instance_family: instance_family,
    }
}

input! {
    LaunchTemplatePrivateDnsNameOptions => sdk::LaunchTemplatePrivateDnsNameOptionsRequest;
    set {
        set_hostname_type: hostname_type,
        set_enable_resource_name_dns_a_record: enable_resource_name_dns_a_record,
        set_enable_resource_name_dns_aaaa_record: enable_resource_name_dns_aaaa_record,
    }
}

input! {
    LaunchTemplateInstanceMaintenanceOptions => sdk::LaunchTemplateInstanceMaintenanceOptionsRequest;
    set {
        set_auto_recovery: auto_recovery,
    }
}

input! {
    OperatorResponse => sdk::OperatorRequest;
    set {
        set_principal: principal,
    }
}

input! {
    LaunchTemplateNetworkPerformanceOptions => sdk::LaunchTemplateNetworkPerformanceOptionsRequest;
    set {
        set_bandwidth_weighting: bandwidth_weighting,
    }
}

input! {
    LaunchTemplateInstanceSecondaryInterfaceSpecification => sdk::LaunchTemplateInstanceSecondaryInterfaceSpecificationRequest;
    set {
        set_delete_on_termination: delete_on_termination,
        set_device_index: device_index,
        set_private_ip_addresses: private_ip_addresses,
        set_private_ip_address_count: private_ip_address_count,
        set_secondary_subnet_id: secondary_subnet_id,
        set_interface_type: interface_type,
        set_network_card_index: network_card_index,
    }
}

input! {
    SecondaryInterfacePrivateIpAddressSpecification => sdk::SecondaryInterfacePrivateIpAddressSpecificationRequest;
    set {
        set_private_ip_address: private_ip_address,
    }
}

pub struct LaunchTemplate;

/// DescribeLaunchTemplates and DescribeLaunchTemplateVersions allow 200 rows a page.
const PAGE_ROWS: i32 = 200;
/// Versions of one DeleteLaunchTemplateVersions call (EC2 API reference): so many placeholders are made at most.
const PLACEHOLDERS_MAX: i64 = 200;
/// What tells a placeholder.
const PLACEHOLDER: &str = "rollbackd: stands for a version that was deleted";

impl Version {
    fn number(&self) -> i64 {
        self.version_number.unwrap_or_default()
    }
    fn is_placeholder(&self) -> bool {
        self.version_description.as_deref() == Some(PLACEHOLDER)
    }
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.version_description, &self.launch_template_data)
            == (&other.version_description, &other.launch_template_data)
    }
    /// A version that only takes up a number. AWS wants data in it, so it has this one's.
    fn placeholder(&self) -> Self {
        Self { version_description: Some(PLACEHOLDER.into()), ..self.clone() }
    }
}

/// The version that a new template begins with.
fn first(want: &Spec) -> Option<Version> {
    let lowest = want.versions.iter().min_by_key(|v| v.number())?;
    let first = if lowest.number() > 1 { lowest.placeholder() } else { lowest.clone() };
    Some(Version { version_number: Some(1), ..first })
}

/// Where a version is found that has the content of the wanted default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Number(i64),
    /// The n-th of those to be made.
    Made(usize),
}
struct Todo {
    /// Versions to make, in order.
    make: Vec<Version>,
    /// What the default must be set to.
    default: Option<At>,
    /// Placeholders that are there.
    placeholders: Vec<i64>,
}
impl Todo {
    fn new(now: &Spec, want: &Spec) -> Self {
        let mut have: Vec<&Version> = now.versions.iter().collect();
        let mut wanted: Vec<&Version> = want.versions.iter().filter(|v| !v.is_placeholder()).collect();
        have.sort_by_key(|v| v.number());
        wanted.sort_by_key(|v| v.number());
        let newest = wanted.last().copied();
        // Each version stands for one wanted: first the one with its number, then any other that says the same, and of
        // those that are wanted the ones in use before the others.
        let is_used = |w: &Version| Some(w.number()) == want.default_version_number || Some(w) == newest;
        let mut found: Vec<Option<At>> = vec![None; wanted.len()];
        let mut taken = vec![false; have.len()];
        for (by_number, in_use) in [(true, true), (true, false), (false, true), (false, false)] {
            for (w, at) in wanted.iter().zip(&mut found).filter(|(w, at)| at.is_none() && is_used(w) == in_use) {
                let fits = |h: &Version| h.says_the_same(w) && (!by_number || h.number() == w.number());
                let free = have.iter().zip(&mut taken).find(|(h, taken)| !**taken && fits(h));
                if let Some((h, taken)) = free {
                    (*taken, *at) = (true, Some(At::Number(h.number())));
                }
            }
        }
        let mut last = have.last().map_or(0, |v| v.number());
        let mut newest_there = have.iter().rev().find(|h| !h.is_placeholder()).copied();
        let (mut make, mut padded) = (vec![], 0);
        for (w, at) in wanted.iter().zip(&mut found).filter(|(_, at)| at.is_none()) {
            // H23: a version never changes. One that says something else now is made anew only where it is in use: as
            // the default or as `$Latest`.
            if have.iter().any(|h| h.number() == w.number()) && !is_used(w) {
                continue;
            }
            let gap = w.number() - last - 1;
            if gap > 0 && padded + gap <= PLACEHOLDERS_MAX {
                make.extend((0..gap).map(|_| w.placeholder()));
                (last, padded) = (last + gap, padded + gap);
            }
            *at = Some(At::Made(make.len()));
            make.push((*w).clone());
            last += 1;
            newest_there = Some(w);
        }
        // `$Latest` is what the newest version says: it must say that again where something was put behind it.
        if let (Some(newest), Some(there)) = (newest, newest_there)
            && !newest.says_the_same(there)
        {
            make.push(newest.clone());
        }
        let default = wanted.iter().zip(&found).find(|(w, _)| Some(w.number()) == want.default_version_number);
        let default = default.and_then(|(_, at)| *at).filter(|at| match at {
            At::Number(n) => now.default_version_number != Some(*n),
            At::Made(_) => true,
        });
        let placeholders = have.iter().filter(|h| h.is_placeholder()).map(|h| h.number()).collect();
        Self { make, default, placeholders }
    }
    fn calls(&self) -> Vec<&'static str> {
        let made = self.make.iter().map(|_| "ec2:CreateLaunchTemplateVersion");
        let default = self.default.map(|_| "ec2:ModifyLaunchTemplate");
        let padded = !self.placeholders.is_empty() || self.make.iter().any(Version::is_placeholder);
        made.chain(default).chain(padded.then_some("ec2:DeleteLaunchTemplateVersions")).collect()
    }
    async fn send(self, cx: &Cx, id: &str) -> Result<(), Failure> {
        let action = "ec2:CreateLaunchTemplateVersion";
        let (mut numbers, mut placeholders) = (vec![], self.placeholders);
        // One after the other: the order gives the numbers.
        for version in &self.make {
            let call = version.create_launch_template_version().map_err(unbuildable(action))?.launch_template_id(id);
            let made = call.send_with(&cx.ec2).await.map_err(failed(action))?;
            let number = made.launch_template_version.and_then(|v| v.version_number);
            let number = number.ok_or_else(|| Failure::incomplete(action, "version number"))?;
            numbers.push(number);
            if version.is_placeholder() {
                placeholders.push(number);
            }
        }
        let default = self.default.and_then(|at| match at {
            At::Number(n) => Some(n),
            At::Made(i) => numbers.get(i).copied(),
        });
        if let Some(number) = default {
            // H23: set by its number, never by `$Latest`.
            let call = cx.ec2.modify_launch_template().launch_template_id(id).default_version(number.to_string());
            call.send().await.map_err(failed("ec2:ModifyLaunchTemplate"))?;
        }
        // After the default has been set: AWS refuses to delete the default.
        if !placeholders.is_empty() {
            let versions = placeholders.iter().map(ToString::to_string).collect();
            let call = cx.ec2.delete_launch_template_versions().launch_template_id(id).set_versions(Some(versions));
            gone_already(call.send().await.map_err(failed("ec2:DeleteLaunchTemplateVersions")))?;
        }
        Ok(())
    }
}

async fn versions(cx: &Cx, id: &str) -> Result<Option<Vec<sdk::LaunchTemplateVersion>>, Failure> {
    let call = cx.ec2.describe_launch_template_versions().launch_template_id(id).into_paginator();
    let rows = call.page_size(PAGE_ROWS).items().send().try_collect().await;
    found(rows.map_err(failed("ec2:DescribeLaunchTemplateVersions")))
}

/// The templates with their versions, and with the ids of what those name by name.
async fn whole(cx: &Cx, templates: Vec<sdk::LaunchTemplate>) -> Result<Vec<Seen<Spec>>, Failure> {
    let ours = templates.into_iter().filter(|t| !is_managed(t.operator()));
    let with_versions = stream::iter(ours).map(|t| async move {
        let Some(id) = t.launch_template_id.clone() else { return Ok(None) };
        // One that went while it was read is left out.
        let Some(rows) = versions(cx, &id).await? else { return Ok(None) };
        let mut spec = Spec::from_sdk(&t);
        spec.versions = Set::from_sdk(&rows);
        Ok::<_, Failure>(Some((id, spec)))
    });
    let found = with_versions.buffer_unordered(super::READS_AT_ONCE).try_collect::<Vec<_>>().await?;
    let mut found: Vec<(String, Spec)> = found.into_iter().flatten().collect();
    let keys = |spec: &Spec| datas(spec).filter_map(|d| d.key_name.clone()).collect::<Vec<_>>();
    let groups = |spec: &Spec| datas(spec).filter_map(|d| d.placement.as_ref()?.group_name.clone()).collect::<Vec<_>>();
    let names: Vec<_> = found.iter().flat_map(|(_, s)| keys(s)).collect();
    let pairs = key_pair::by_name(cx, &names).await?;
    let names: Vec<_> = found.iter().flat_map(|(_, s)| groups(s)).collect();
    let placed = placement_group::by_name(cx, &names).await?;
    for (_, spec) in &mut found {
        spec.key_pairs = distinct(keys(spec), &pairs);
        spec.placement_groups = distinct(groups(spec), &placed);
    }
    Ok(found
        .into_iter()
        .map(|(id, spec)| {
            let aliases = spec.launch_template_name.clone().map(Alias).into_iter().collect();
            Seen { id, spec, aliases }
        })
        .collect())
}
fn datas(spec: &Spec) -> impl Iterator<Item = &Data> {
    spec.versions.iter().filter_map(|v| v.launch_template_data.as_ref())
}
/// The references behind the names that are there, each once.
fn distinct<K: crate::kinds::mirror::Named>(names: Vec<String>, refs: &BTreeMap<String, Ref<K>>) -> Set<Ref<K>> {
    let names: BTreeSet<String> = names.into_iter().collect();
    names.iter().filter_map(|n| refs.get(n).cloned()).collect::<Vec<_>>().into()
}

impl Kind for LaunchTemplate {
    type Name = ec2::LaunchTemplate;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &Version::COVERAGE,
        &Data::COVERAGE,
        &LaunchTemplateIamInstanceProfileSpecification::COVERAGE,
        &LaunchTemplateBlockDeviceMapping::COVERAGE,
        &LaunchTemplateEbsBlockDevice::COVERAGE,
        &LaunchTemplateInstanceNetworkInterfaceSpecification::COVERAGE,
        &InstanceIpv6Address::COVERAGE,
        &PrivateIpAddressSpecification::COVERAGE,
        &Ipv4PrefixSpecificationResponse::COVERAGE,
        &Ipv6PrefixSpecificationResponse::COVERAGE,
        &LaunchTemplateEnaSrdSpecification::COVERAGE,
        &LaunchTemplateEnaSrdUdpSpecification::COVERAGE,
        &ConnectionTrackingSpecification::COVERAGE,
        &LaunchTemplatesMonitoring::COVERAGE,
        &LaunchTemplatePlacement::COVERAGE,
        &LaunchTemplateTagSpecification::COVERAGE,
        &ElasticGpuSpecificationResponse::COVERAGE,
        &LaunchTemplateElasticInferenceAcceleratorResponse::COVERAGE,
        &LaunchTemplateInstanceMarketOptions::COVERAGE,
        &LaunchTemplateSpotMarketOptions::COVERAGE,
        &CreditSpecification::COVERAGE,
        &LaunchTemplateCpuOptions::COVERAGE,
        &LaunchTemplateCapacityReservationSpecificationResponse::COVERAGE,
        &CapacityReservationTargetResponse::COVERAGE,
        &LaunchTemplateLicenseConfiguration::COVERAGE,
        &LaunchTemplateHibernationOptions::COVERAGE,
        &LaunchTemplateInstanceMetadataOptions::COVERAGE,
        &LaunchTemplateEnclaveOptions::COVERAGE,
        &InstanceRequirements::COVERAGE,
        &VCpuCountRange::COVERAGE,
        &MemoryMiB::COVERAGE,
        &MemoryGiBPerVCpu::COVERAGE,
        &NetworkInterfaceCount::COVERAGE,
        &TotalLocalStorageGb::COVERAGE,
        &BaselineEbsBandwidthMbps::COVERAGE,
        &AcceleratorCount::COVERAGE,
        &AcceleratorTotalMemoryMiB::COVERAGE,
        &NetworkBandwidthGbps::COVERAGE,
        &BaselinePerformanceFactors::COVERAGE,
        &CpuPerformanceFactor::COVERAGE,
        &PerformanceFactorReference::COVERAGE,
        &LaunchTemplatePrivateDnsNameOptions::COVERAGE,
        &LaunchTemplateInstanceMaintenanceOptions::COVERAGE,
        &OperatorResponse::COVERAGE,
        &LaunchTemplateNetworkPerformanceOptions::COVERAGE,
        &LaunchTemplateInstanceSecondaryInterfaceSpecification::COVERAGE,
        &SecondaryInterfacePrivateIpAddressSpecification::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
    &<Spec as Input<CreateLaunchTemplateInputBuilder>>::TABLE,
    &<Spec as Input<ModifyLaunchTemplateInputBuilder>>::TABLE,
    &<Version as Input<CreateLaunchTemplateVersionInputBuilder>>::TABLE,
    &<Data as Input<sdk::RequestLaunchTemplateData>>::TABLE,
    &<LaunchTemplateIamInstanceProfileSpecification as Input<sdk::LaunchTemplateIamInstanceProfileSpecificationRequest>>::TABLE,
    &<LaunchTemplateBlockDeviceMapping as Input<sdk::LaunchTemplateBlockDeviceMappingRequest>>::TABLE,
    &<LaunchTemplateEbsBlockDevice as Input<sdk::LaunchTemplateEbsBlockDeviceRequest>>::TABLE,
    &<LaunchTemplateInstanceNetworkInterfaceSpecification as Input<sdk::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest>>::TABLE,
    &<InstanceIpv6Address as Input<sdk::InstanceIpv6AddressRequest>>::TABLE,
    &<PrivateIpAddressSpecification as Input<sdk::PrivateIpAddressSpecification>>::TABLE,
    &<Ipv4PrefixSpecificationResponse as Input<sdk::Ipv4PrefixSpecificationRequest>>::TABLE,
    &<Ipv6PrefixSpecificationResponse as Input<sdk::Ipv6PrefixSpecificationRequest>>::TABLE,
    &<LaunchTemplateEnaSrdSpecification as Input<sdk::EnaSrdSpecificationRequest>>::TABLE,
    &<LaunchTemplateEnaSrdUdpSpecification as Input<sdk::EnaSrdUdpSpecificationRequest>>::TABLE,
    &<ConnectionTrackingSpecification as Input<sdk::ConnectionTrackingSpecificationRequest>>::TABLE,
    &<LaunchTemplatesMonitoring as Input<sdk::LaunchTemplatesMonitoringRequest>>::TABLE,
    &<LaunchTemplatePlacement as Input<sdk::LaunchTemplatePlacementRequest>>::TABLE,
    &<LaunchTemplateTagSpecification as Input<sdk::LaunchTemplateTagSpecificationRequest>>::TABLE,
    &<ElasticGpuSpecificationResponse as Input<sdk::ElasticGpuSpecification>>::TABLE,
    &<LaunchTemplateElasticInferenceAcceleratorResponse as Input<sdk::LaunchTemplateElasticInferenceAccelerator>>::TABLE,
    &<LaunchTemplateInstanceMarketOptions as Input<sdk::LaunchTemplateInstanceMarketOptionsRequest>>::TABLE,
    &<LaunchTemplateSpotMarketOptions as Input<sdk::LaunchTemplateSpotMarketOptionsRequest>>::TABLE,
    &<CreditSpecification as Input<sdk::CreditSpecificationRequest>>::TABLE,
    &<LaunchTemplateCpuOptions as Input<sdk::LaunchTemplateCpuOptionsRequest>>::TABLE,
    &<LaunchTemplateCapacityReservationSpecificationResponse as Input<sdk::LaunchTemplateCapacityReservationSpecificationRequest>>::TABLE,
    &<CapacityReservationTargetResponse as Input<sdk::CapacityReservationTarget>>::TABLE,
    &<LaunchTemplateLicenseConfiguration as Input<sdk::LaunchTemplateLicenseConfigurationRequest>>::TABLE,
    &<LaunchTemplateHibernationOptions as Input<sdk::LaunchTemplateHibernationOptionsRequest>>::TABLE,
    &<LaunchTemplateInstanceMetadataOptions as Input<sdk::LaunchTemplateInstanceMetadataOptionsRequest>>::TABLE,
    &<LaunchTemplateEnclaveOptions as Input<sdk::LaunchTemplateEnclaveOptionsRequest>>::TABLE,
    &<InstanceRequirements as Input<sdk::InstanceRequirementsRequest>>::TABLE,
    &<VCpuCountRange as Input<sdk::VCpuCountRangeRequest>>::TABLE,
    &<MemoryMiB as Input<sdk::MemoryMiBRequest>>::TABLE,
    &<MemoryGiBPerVCpu as Input<sdk::MemoryGiBPerVCpuRequest>>::TABLE,
    &<NetworkInterfaceCount as Input<sdk::NetworkInterfaceCountRequest>>::TABLE,
    &<TotalLocalStorageGb as Input<sdk::TotalLocalStorageGbRequest>>::TABLE,
    &<BaselineEbsBandwidthMbps as Input<sdk::BaselineEbsBandwidthMbpsRequest>>::TABLE,
    &<AcceleratorCount as Input<sdk::AcceleratorCountRequest>>::TABLE,
    &<AcceleratorTotalMemoryMiB as Input<sdk::AcceleratorTotalMemoryMiBRequest>>::TABLE,
    &<NetworkBandwidthGbps as Input<sdk::NetworkBandwidthGbpsRequest>>::TABLE,
    &<BaselinePerformanceFactors as Input<sdk::BaselinePerformanceFactorsRequest>>::TABLE,
    &<CpuPerformanceFactor as Input<sdk::CpuPerformanceFactorRequest>>::TABLE,
    &<PerformanceFactorReference as Input<sdk::PerformanceFactorReferenceRequest>>::TABLE,
    &<LaunchTemplatePrivateDnsNameOptions as Input<sdk::LaunchTemplatePrivateDnsNameOptionsRequest>>::TABLE,
    &<LaunchTemplateInstanceMaintenanceOptions as Input<sdk::LaunchTemplateInstanceMaintenanceOptionsRequest>>::TABLE,
    &<OperatorResponse as Input<sdk::OperatorRequest>>::TABLE,
    &<LaunchTemplateNetworkPerformanceOptions as Input<sdk::LaunchTemplateNetworkPerformanceOptionsRequest>>::TABLE,
    &<LaunchTemplateInstanceSecondaryInterfaceSpecification as Input<sdk::LaunchTemplateInstanceSecondaryInterfaceSpecificationRequest>>::TABLE,
    &<SecondaryInterfacePrivateIpAddressSpecification as Input<sdk::SecondaryInterfacePrivateIpAddressSpecificationRequest>>::TABLE,
];
    const OBSERVE: &'static [&'static str] = &[
        "ec2:DescribeLaunchTemplates",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeKeyPairs",
        "ec2:DescribePlacementGroups",
    ];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateLaunchTemplate",
        "ec2:CreateLaunchTemplateVersion",
        "ec2:ModifyLaunchTemplate",
        "ec2:DeleteLaunchTemplateVersions",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "the id of the launch template",
        "the number of a version that was deleted alone, or that follows on more than 200 deleted ones: it comes back as a new version",
    ];
    const PHASE: Phase = Phase::Compute;
    const TERRAFORM: &'static str = "aws_launch_template";
    const IMMUTABLE: &'static [&'static str] = &["launch_template_name"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        // No filter on ids; an unknown one in the list of ids fails the call.
        let pages = cx.ec2.describe_launch_templates().into_paginator().page_size(PAGE_ROWS);
        let all: Vec<_> = pages.items().send().try_collect().await.map_err(failed("ec2:DescribeLaunchTemplates"))?;
        let asked = |t: &sdk::LaunchTemplate| match which {
            Which::All => true,
            Which::Ids(ids) => t.launch_template_id.as_ref().is_some_and(|id| ids.contains(id)),
        };
        whole(cx, all.into_iter().filter(asked).collect()).await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let answer = cx.ec2.describe_launch_templates().launch_template_ids(id).send().await;
        let here = found(answer.map_err(failed("ec2:DescribeLaunchTemplates")))?.and_then(|a| a.launch_templates);
        Ok(whole(cx, here.unwrap_or_default()).await?.pop())
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "launch-template", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateLaunchTemplate";
        let Some(version) = first(spec) else {
            return Err(Failure::unbuildable(action, "no version of the template was captured"));
        };
        // The data is given as a version of its own would be.
        let version = version.create_launch_template_version().map_err(unbuildable(action))?;
        let tags = tags_on_create(sdk::ResourceType::LaunchTemplate, &spec.tags, step)?;
        let call = spec
            .create_launch_template()
            .map_err(unbuildable(action))?
            .set_launch_template_data(version.get_launch_template_data().clone())
            .set_version_description(version.get_version_description().clone())
            .tag_specifications(tags)
            .client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "launchTemplateId", made.launch_template.and_then(|t| t.launch_template_id))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        Todo::new(now, want).send(cx, id).await?;
        converge_tags(cx, id, &now.tags, &want.tags).await
    }
    fn natural_key(spec: &Spec) -> Option<String> {
        spec.launch_template_name.clone()
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateLaunchTemplate"] };
        // A template without a version is one that a plan foresees: create gives it the first.
        let mut fresh = now.clone();
        if fresh.versions.is_empty() {
            fresh.versions = first(want).into_iter().collect::<Vec<_>>().into();
            fresh.default_version_number = Some(1);
        }
        let versions = Todo::new(&fresh, want).calls();
        versions.into_iter().chain(tag_calls(&now.tags, &want.tags)).collect()
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

    fn version(number: i64, data: Value) -> Value {
        json!({"version_number": number, "version_description": "v", "launch_template_data": data})
    }
    fn template(default: i64, versions: &[(i64, &str)]) -> Value {
        let rows: Vec<_> = versions.iter().map(|(n, t)| version(*n, json!({"instance_type": t}))).collect();
        json!({"launch_template_name": "web", "default_version_number": default, "versions": rows})
    }
    /// Gives each new version the next number.
    fn numbering(last: i64) -> Canned {
        let last = std::sync::atomic::AtomicI64::new(last);
        Canned::new(move |call| match call.action.as_str() {
            "CreateLaunchTemplateVersion" => {
                let n = last.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                Answer::Ok(format!("<launchTemplateVersion><versionNumber>{n}</versionNumber></launchTemplateVersion>"))
            }
            "CreateLaunchTemplate" => {
                "<launchTemplate><launchTemplateId>lt-9</launchTemplateId></launchTemplate>".into()
            }
            _ => "<return>true</return>".into(),
        })
    }
    fn short(calls: Vec<String>) -> Vec<String> {
        let drop = ["ClientToken=", "LaunchTemplateId=", "VersionDescription=v"];
        calls
            .iter()
            .map(|c| c.split(' ').filter(|p| !drop.iter().any(|d| p.starts_with(d))).collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[tokio::test]
    async fn h23_versions_get_the_numbers_that_they_had() {
        let want = template(4, &[(2, "a"), (4, "b"), (5, "c")]);
        let canned = numbering(1);
        let step = Step { restore: "r1".into(), number: 3 };
        let id = LaunchTemplate::create(&canned.cx(), &spec::<LaunchTemplate>(&want), &step).await.unwrap();
        assert_eq!(id, "lt-9");
        assert_eq!(
            canned.wrote(),
            [
                "CreateLaunchTemplate ClientToken=rollbackd-r1-3 LaunchTemplateData.InstanceType=a LaunchTemplateName=web TagSpecification.1.ResourceType=launch-template TagSpecification.1.Tag.1.Key=rollbackd:step TagSpecification.1.Tag.1.Value=r1/3 VersionDescription=rollbackd: stands for a version that was deleted"
            ]
        );
        let mut now = template(1, &[(1, "a")]);
        now["versions"][0]["version_description"] = PLACEHOLDER.into();
        let calls = short(foretold::<LaunchTemplate>(&canned, "lt-9", &now, &want).await);
        assert_eq!(
            calls,
            [
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=a",
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=b VersionDescription=rollbackd: stands for a version that was deleted",
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=b",
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=c",
                "ModifyLaunchTemplate SetDefaultVersion=4",
                "DeleteLaunchTemplateVersions LaunchTemplateVersion.1=1 LaunchTemplateVersion.2=3",
            ]
        );
        // The plan foretells the same from what create will have made.
        let fresh = spec::<LaunchTemplate>(&json!({"launch_template_name": "web"}));
        assert_eq!(LaunchTemplate::calls(Some(&fresh), &spec::<LaunchTemplate>(&want)).len(), calls.len());
    }

    #[tokio::test]
    async fn h23_equal_versions_are_each_made_and_a_long_gap_is_not_filled() {
        let want = template(2, &[(1, "a"), (2, "a"), (900, "b")]);
        let now = template(1, &[(1, "a")]);
        assert_eq!(
            short(foretold::<LaunchTemplate>(&numbering(1), "lt-9", &now, &want).await),
            [
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=a",
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=b",
                "ModifyLaunchTemplate SetDefaultVersion=2",
            ]
        );
        // What came of it needs nothing more, although a number differs.
        let then = template(2, &[(1, "a"), (2, "a"), (3, "b")]);
        let calls = sent::<LaunchTemplate>(&numbering(3), "lt-9", &then, &want).await.unwrap();
        assert_eq!(calls, [] as [String; 0]);
    }

    #[tokio::test]
    async fn h23_a_default_that_must_say_something_else_becomes_a_new_version() {
        // As when a group that it names was made again.
        let (now, want) = (template(2, &[(1, "x"), (2, "x"), (3, "z")]), template(2, &[(1, "y"), (2, "y"), (3, "z")]));
        let calls = short(sent::<LaunchTemplate>(&numbering(3), "lt-1", &now, &want).await.unwrap());
        assert_eq!(
            calls,
            [
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=y",
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=z", // `$Latest`, as before
                "ModifyLaunchTemplate SetDefaultVersion=4",
            ]
        );
        let then = template(4, &[(1, "x"), (2, "x"), (3, "z"), (4, "y"), (5, "z")]);
        assert_eq!(sent::<LaunchTemplate>(&numbering(5), "lt-1", &then, &want).await.unwrap(), [] as [String; 0]);
    }

    #[tokio::test]
    async fn h23_a_default_that_was_turned_away_is_set_again_and_a_deleted_version_follows_on() {
        let want = template(1, &[(1, "a"), (2, "b"), (3, "c")]);
        let calls =
            sent::<LaunchTemplate>(&numbering(3), "lt-1", &template(3, &[(1, "a"), (2, "b"), (3, "c")]), &want).await;
        assert_eq!(short(calls.unwrap()), ["ModifyLaunchTemplate SetDefaultVersion=1"]);
        let calls = sent::<LaunchTemplate>(&numbering(3), "lt-1", &template(1, &[(1, "a"), (3, "c")]), &want).await;
        assert_eq!(
            short(calls.unwrap()),
            [
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=b",
                "CreateLaunchTemplateVersion LaunchTemplateData.InstanceType=c",
            ]
        );
    }

    #[tokio::test]
    async fn data_is_read_whole_and_given_back_with_its_references() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeLaunchTemplates" => "<launchTemplates><item><launchTemplateId>lt-1</launchTemplateId><launchTemplateName>web</launchTemplateName><defaultVersionNumber>1</defaultVersionNumber></item><item><launchTemplateId>lt-2</launchTemplateId><operator><managed>true</managed></operator></item></launchTemplates>".into(),
            "DescribeLaunchTemplateVersions" => "<launchTemplateVersionSet><item><launchTemplateId>lt-1</launchTemplateId><versionNumber>1</versionNumber><launchTemplateData><userData>IyEvYmluL3No</userData><keyName>ops</keyName><imageId>ami-1</imageId><placement><groupName>db</groupName></placement><blockDeviceMappingSet><item><deviceName>/dev/sdb</deviceName><noDevice></noDevice></item></blockDeviceMappingSet><networkInterfaceSet><item><deviceIndex>0</deviceIndex><groupSet><groupId>sg-1</groupId></groupSet></item></networkInterfaceSet><metadataOptions><httpTokens>required</httpTokens><state>applied</state></metadataOptions></launchTemplateData></item></launchTemplateVersionSet>".into(),
            "DescribeKeyPairs" => "<keySet><item><keyPairId>key-1</keyPairId><keyName>ops</keyName></item></keySet>".into(),
            "DescribePlacementGroups" => "<placementGroupSet><item><groupId>pg-1</groupId><groupName>db</groupName></item></placementGroupSet>".into(),
            _ => "<launchTemplate><launchTemplateId>lt-9</launchTemplateId></launchTemplate>".into(),
        }
        });
        let seen = LaunchTemplate::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.len(), 1);
        let found = &seen[0].spec;
        assert_eq!((found.key_pairs[0].0.as_str(), found.placement_groups[0].0.as_str()), ("key-1", "pg-1"));
        canned.asked();
        let step = Step { restore: "r1".into(), number: 3 };
        LaunchTemplate::create(&canned.cx(), found, &step).await.unwrap();
        let text = canned.wrote().concat();
        for part in [
            "LaunchTemplateData.BlockDeviceMapping.1.NoDevice=",
            "LaunchTemplateData.ImageId=ami-1",
            "LaunchTemplateData.KeyName=ops",
            "LaunchTemplateData.MetadataOptions.HttpTokens=required",
            "LaunchTemplateData.Placement.GroupName=db",
            "LaunchTemplateData.UserData=IyEvYmluL3No",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
    }
}
