//! `ec2:instance`: launched anew, since one that was terminated never comes back (H21).
//!
//! A launch makes the primary interface with the addresses that it had (H15), the root volume, and the volumes that go with
//! the instance, each from the newest copy of what it held. Everything else that was attached has a kind of its own that attaches
//! it. AWS lets no launch choose the snapshot of the root, so a root whose newest copy is to come back is registered as an image
//! first. The instance then has that image's id for good; a tag of ours says which image it stands for, and that is what its
//! spec holds. Members of an Auto Scaling group are the group's business (H22).
use super::{
    FILTER_VALUES_MAX, all, converge_tags, failed, filter, found, held, is_group_member, is_managed, key_pair, only,
    snapshot, tag_calls, tags_on_create, unbuildable, volume,
};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, LateRef, Ref, Set, Tag as _, Tags, merged},
        names::{ec2, iam, kms, license_manager, resource_groups},
    },
    mirror,
    model::Alias,
    plan::{
        facts::Phase,
        preflight::{Per, Quota},
        readiness::{Copies, Cost, Ready},
    },
};
use aws_sdk_ec2::{
    operation::{
        describe_instance_attribute::DescribeInstanceAttributeOutput,
        modify_instance_maintenance_options::builders::ModifyInstanceMaintenanceOptionsInputBuilder,
        modify_instance_metadata_options::builders::ModifyInstanceMetadataOptionsInputBuilder,
        run_instances::builders::RunInstancesInputBuilder,
    },
    types as sdk,
};
use futures_util::{
    future::{BoxFuture, try_join_all},
    stream::{self, StreamExt, TryStreamExt},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

mirror! {
    Spec from sdk::Instance;
    keep {
        image_id @ "imageId": Option<Ref<ec2::Image>>,
        instance_type @ "instanceType": Option<String>,
        key_name @ "keyName": Option<String>,
        placement @ "placement": Option<Placement>,
        kernel_id @ "kernelId": Option<String>,
        ramdisk_id @ "ramdiskId": Option<String>,
        root_device_name @ "rootDeviceName": Option<String>,
        block_device_mappings @ "blockDeviceMapping": Set<BlockDevice>,
        network_interfaces @ "networkInterfaceSet": Set<Interface>,
        secondary_interfaces @ "secondaryInterfaceSet": Set<SecondaryInterface>,
        iam_instance_profile @ "iamInstanceProfile": Option<IamInstanceProfile>,
        ebs_optimized @ "ebsOptimized": Option<bool>,
        cpu_options @ "cpuOptions": Option<CpuOptions>,
        capacity_reservation_specification @ "capacityReservationSpecification": Option<CapacityReservationSpecification>,
        hibernation_options @ "hibernationOptions": Option<HibernationOptions>,
        enclave_options @ "enclaveOptions": Option<EnclaveOptions>,
        licenses @ "licenseSet": Set<LicenseConfiguration>,
        metadata_options @ "metadataOptions": Option<MetadataOptions>,
        private_dns_name_options @ "privateDnsNameOptions": Option<PrivateDnsNameOptions>,
        maintenance_options @ "maintenanceOptions": Option<MaintenanceOptions>,
        network_performance_options @ "networkPerformanceOptions": Option<NetworkPerformanceOptions>,
        instance_lifecycle @ "instanceLifecycle": Option<String>,
        tags @ "tagSet": Tags,
    }
    report {
        architecture @ "architecture": Option<String> = "the image's; wanted again where the root is registered from its snapshot",
        virtualization_type @ "virtualizationType": Option<String> = "the image's; wanted again where the root is registered from its snapshot",
        boot_mode @ "bootMode": Option<String> = "the image's; wanted again where the root is registered from its snapshot",
        ena_support @ "enaSupport": Option<bool> = "the image's; wanted again where the root is registered from its snapshot",
        platform_details @ "platformDetails": Option<String> = "the image's licence, which no registration can give",
    }
    drop {
        instance_id @ "instanceId": "the id itself; remapped",
        state @ "instanceState": "`stopped` has what of it is configuration; see settled()",
        client_token @ "clientToken": "never reused: AWS would answer with the dead instance",
        hypervisor @ "hypervisor": "follows from the instance type",
        elastic_gpu_associations @ "elasticGpuAssociationSet": "a service that AWS has ended",
        elastic_inference_accelerator_associations @ "elasticInferenceAcceleratorAssociationSet": "a service that AWS has ended",
        outpost_arn @ "outpostArn": "follows from the subnet",
        root_device_type @ "rootDeviceType": "follows from the image",
        security_groups @ "groupSet": "the primary interface's: network_interfaces",
        subnet_id @ "subnetId": "the primary interface's: network_interfaces",
        private_ip_address @ "privateIpAddress": "the primary interface's: network_interfaces",
        ipv6_address @ "ipv6Address": "the interface's own kind gives it",
        source_dest_check @ "sourceDestCheck": "the interface's own kind sets it",
        spot_instance_request_id @ "spotInstanceRequestId": "assigned by AWS at each request",
        sriov_net_support @ "sriovNetSupport": "follows from the image",
        state_reason @ "stateReason": "runtime state; see settled()",
        state_transition_reason @ "reason": "runtime state",
        usage_operation @ "usageOperation": "the image's licence as a code: platform_details",
        usage_operation_update_time @ "usageOperationUpdateTime": "runtime: a time",
        tpm_support @ "tpmSupport": "follows from the image",
        current_instance_boot_mode @ "currentInstanceBootMode": "runtime: follows from the image and the type",
        private_dns_name @ "privateDnsName": "derived from the addresses",
        public_dns_name @ "dnsName": "derived from the addresses",
        public_ip_address @ "ipAddress": "an Elastic IP's own kind associates it; one of AWS's choice never returns",
        ami_launch_index @ "amiLaunchIndex": "runtime: its place in the launch that made it",
        launch_time @ "launchTime": "runtime: a time",
        platform @ "platform": "the image's licence: platform_details",
        vpc_id @ "vpcId": "follows from the subnet",
        capacity_reservation_id @ "capacityReservationId": "runtime: which one it runs in; the specification says which it may",
        capacity_block_id @ "capacityBlockId": "runtime: bought capacity that it runs in",
        monitoring @ "monitoring": "flat: detailed_monitoring",
        operator @ "operator": "what a service of AWS manages is left out of look(): that service makes it",
        product_codes @ "productCodes": "follows from the image; only the marketplace sets it",
    }
    also {
        stopped: Option<bool>, // only true is written
        root_image: Option<String>, // the image that stands for image_id, where the root was registered from its snapshot
        detailed_monitoring: Option<bool>,
        user_data: Option<String>, // DescribeInstanceAttribute
        disable_api_termination: Option<bool>, // DescribeInstanceAttribute
        disable_api_stop: Option<bool>, // DescribeInstanceAttribute
        instance_initiated_shutdown_behavior: Option<String>, // DescribeInstanceAttribute
        cpu_credits: Option<String>, // DescribeInstanceCreditSpecifications
        key_pair: Option<Ref<ec2::KeyPair>> // DescribeKeyPairs: what key_name names comes first
    }
}

mirror! {
    BlockDevice from sdk::InstanceBlockDeviceMapping, key [device_name];
    keep {
        device_name @ "deviceName": Option<String>,
        ebs @ "ebs": Option<Ebs>,
    }
}

mirror! {
    Ebs from sdk::EbsInstanceBlockDevice;
    keep {
        volume_id @ "volumeId": Option<LateRef<ec2::Volume>>,
        delete_on_termination @ "deleteOnTermination": Option<bool>,
        ebs_card_index @ "ebsCardIndex": Option<i32>,
    }
    drop {
        attach_time @ "attachTime": "runtime: a time",
        status @ "status": "runtime state",
        associated_resource @ "associatedResource": "attached by a service: that service attaches it",
        volume_owner_id @ "volumeOwnerId": "attached by a service: that service attaches it",
        operator @ "operator": "attached by a service: that service attaches it",
    }
    also {
        size: Option<i32>, // DescribeVolumes, as all that follow: a dead volume can no longer be asked
        volume_type: Option<String>,
        iops: Option<i32>,
        throughput: Option<i32>,
        encrypted: Option<bool>,
        kms_key_id: Option<Ref<kms::Key>>
    }
}

mirror! {
    Placement from sdk::Placement;
    keep {
        availability_zone @ "availabilityZone": Option<String>,
        affinity @ "affinity": Option<String>,
        partition_number @ "partitionNumber": Option<i32>,
        host_id @ "hostId": Option<Ref<ec2::DedicatedHost>>,
        tenancy @ "tenancy": Option<String>,
        spread_domain @ "spreadDomain": Option<String>,
        host_resource_group_arn @ "hostResourceGroupArn": Option<Ref<resource_groups::Group>>,
        group_id @ "groupId": Option<Ref<ec2::PlacementGroup>>,
    }
    drop {
        availability_zone_id @ "availabilityZoneId": "the zone's name says it",
        group_name @ "groupName": "the group's id says it, and AWS refuses both",
    }
}

mirror! {
    Attribute from DescribeInstanceAttributeOutput;
    keep {
        user_data @ "userData": Option<AttributeValue>,
        disable_api_termination @ "disableApiTermination": Option<bool>,
        disable_api_stop @ "disableApiStop": Option<bool>,
        instance_initiated_shutdown_behavior @ "instanceInitiatedShutdownBehavior": Option<AttributeValue>,
    }
    drop {
        block_device_mappings @ "blockDeviceMapping": "repeats the main read",
        ena_support @ "enaSupport": "repeats the main read",
        enclave_options @ "enclaveOptions": "repeats the main read",
        ebs_optimized @ "ebsOptimized": "repeats the main read",
        instance_id @ "instanceId": "the resource itself",
        instance_type @ "instanceType": "repeats the main read",
        kernel_id @ "kernel": "repeats the main read",
        product_codes @ "productCodes": "repeats the main read",
        ramdisk_id @ "ramdisk": "repeats the main read",
        root_device_name @ "rootDeviceName": "repeats the main read",
        source_dest_check @ "sourceDestCheck": "repeats the main read",
        sriov_net_support @ "sriovNetSupport": "repeats the main read",
        groups @ "groupSet": "repeats the main read",
    }
}

mirror! {
    AttributeValue from sdk::AttributeValue;
    keep {
        value @ "value": Option<String>,
    }
}

mirror! {
    CreditSpecification from sdk::InstanceCreditSpecification;
    keep {
        cpu_credits @ "cpuCredits": Option<String>,
    }
    drop {
        instance_id @ "instanceId": "the resource itself",
    }
}

mirror! {
    Interface from sdk::InstanceNetworkInterface, key [subnet_id];
    keep {
        attachment @ "attachment": Option<InterfaceAttachment>,
        description @ "description": Option<String>,
        groups @ "groupSet": Set<GroupIdentifier>,
        network_interface_id @ "networkInterfaceId": Option<LateRef<ec2::NetworkInterface>>,
        private_ip_address @ "privateIpAddress": Option<String>,
        private_ip_addresses @ "privateIpAddressesSet": Set<PrivateIpAddress>,
        subnet_id @ "subnetId": Option<Ref<ec2::Subnet>>,
        interface_type @ "interfaceType": Option<String>,
        ipv4_prefixes @ "ipv4PrefixSet": Set<Ipv4Prefix>,
        connection_tracking_configuration @ "connectionTrackingConfiguration": Option<ConnectionTracking>,
    }
    drop {
        ipv6_addresses @ "ipv6AddressesSet": "the interface's own kind gives them, in the prefix that the subnet has then",
        source_dest_check @ "sourceDestCheck": "no launch takes it; the interface's own kind sets it",
        ipv6_prefixes @ "ipv6PrefixSet": "the interface's own kind gives them, in the prefix that the subnet has then",
        operator @ "operator": "an interface that a service manages is that service's",
        association @ "association": "an Elastic IP's own kind associates it; an address of AWS's choice: associate_public_ip_address",
        mac_address @ "macAddress": "derived from the addresses",
        owner_id @ "ownerId": "runtime state: no call gives it",
        private_dns_name @ "privateDnsName": "derived from the addresses",
        status @ "status": "runtime state: no call gives it",
        vpc_id @ "vpcId": "follows from the subnet",
    }
    also {
        associate_public_ip_address: Option<bool> // whether AWS gave it an address of its choice
    }
}

mirror! {
    InterfaceAttachment from sdk::InstanceNetworkInterfaceAttachment;
    keep {
        delete_on_termination @ "deleteOnTermination": Option<bool>,
        device_index @ "deviceIndex": Option<i32>,
        network_card_index @ "networkCardIndex": Option<i32>,
        ena_srd_specification @ "enaSrdSpecification": Option<EnaSrd>,
        ena_queue_count @ "enaQueueCount": Option<i32>,
    }
    drop {
        attach_time @ "attachTime": "runtime: a time",
        attachment_id @ "attachmentId": "assigned by AWS at each create",
        status @ "status": "runtime state: no call gives it",
    }
}

mirror! {
    EnaSrd from sdk::InstanceAttachmentEnaSrdSpecification;
    keep {
        ena_srd_enabled @ "enaSrdEnabled": Option<bool>,
        ena_srd_udp_specification @ "enaSrdUdpSpecification": Option<EnaSrdUdp>,
    }
}

mirror! {
    EnaSrdUdp from sdk::InstanceAttachmentEnaSrdUdpSpecification;
    keep {
        ena_srd_udp_enabled @ "enaSrdUdpEnabled": Option<bool>,
    }
}

mirror! {
    GroupIdentifier from sdk::GroupIdentifier, key [group_id];
    keep {
        group_id @ "groupId": Option<Ref<ec2::SecurityGroup>>,
    }
    drop {
        group_name @ "groupName": "runtime state: no call gives it",
    }
}

mirror! {
    PrivateIpAddress from sdk::InstancePrivateIpAddress, key [private_ip_address];
    keep {
        primary @ "primary": Option<bool>,
        private_ip_address @ "privateIpAddress": Option<String>,
    }
    drop {
        association @ "association": "an Elastic IP's own kind associates it",
        private_dns_name @ "privateDnsName": "derived from the addresses",
    }
}

mirror! {
    Ipv4Prefix from sdk::InstanceIpv4Prefix;
    keep {
        ipv4_prefix @ "ipv4Prefix": Option<String>,
    }
}

mirror! {
    ConnectionTracking from sdk::ConnectionTrackingSpecificationResponse;
    keep {
        tcp_established_timeout @ "tcpEstablishedTimeout": Option<i32>,
        udp_stream_timeout @ "udpStreamTimeout": Option<i32>,
        udp_timeout @ "udpTimeout": Option<i32>,
    }
}

mirror! {
    CpuOptions from sdk::CpuOptions;
    keep {
        core_count @ "coreCount": Option<i32>,
        threads_per_core @ "threadsPerCore": Option<i32>,
        amd_sev_snp @ "amdSevSnp": Option<String>,
        nested_virtualization @ "nestedVirtualization": Option<String>,
    }
}

mirror! {
    CapacityReservationSpecification from sdk::CapacityReservationSpecificationResponse;
    keep {
        capacity_reservation_preference @ "capacityReservationPreference": Option<String>,
        capacity_reservation_target @ "capacityReservationTarget": Option<CapacityReservationTarget>,
    }
}

mirror! {
    CapacityReservationTarget from sdk::CapacityReservationTargetResponse;
    keep {
        capacity_reservation_id @ "capacityReservationId": Option<Ref<ec2::CapacityReservation>>,
        capacity_reservation_resource_group_arn @ "capacityReservationResourceGroupArn": Option<Ref<resource_groups::Group>>,
    }
}

mirror! {
    HibernationOptions from sdk::HibernationOptions;
    keep {
        configured @ "configured": Option<bool>,
    }
}

mirror! {
    LicenseConfiguration from sdk::LicenseConfiguration;
    keep {
        license_configuration_arn @ "licenseConfigurationArn": Option<Ref<license_manager::Configuration>>,
    }
}

mirror! {
    MetadataOptions from sdk::InstanceMetadataOptionsResponse;
    keep {
        http_tokens @ "httpTokens": Option<String>,
        http_put_response_hop_limit @ "httpPutResponseHopLimit": Option<i32>,
        http_endpoint @ "httpEndpoint": Option<String>,
        http_protocol_ipv6 @ "httpProtocolIpv6": Option<String>,
        instance_metadata_tags @ "instanceMetadataTags": Option<String>,
    }
    drop {
        state @ "state": "runtime state: no call gives it",
    }
}

mirror! {
    EnclaveOptions from sdk::EnclaveOptions;
    keep {
        enabled @ "enabled": Option<bool>,
    }
}

mirror! {
    PrivateDnsNameOptions from sdk::PrivateDnsNameOptionsResponse;
    keep {
        hostname_type @ "hostnameType": Option<String>,
        enable_resource_name_dns_a_record @ "enableResourceNameDnsARecord": Option<bool>,
        enable_resource_name_dns_aaaa_record @ "enableResourceNameDnsAAAARecord": Option<bool>,
    }
}

mirror! {
    MaintenanceOptions from sdk::InstanceMaintenanceOptions;
    keep {
        auto_recovery @ "autoRecovery": Option<String>,
        reboot_migration @ "rebootMigration": Option<String>,
    }
}

mirror! {
    NetworkPerformanceOptions from sdk::InstanceNetworkPerformanceOptions;
    keep {
        bandwidth_weighting @ "bandwidthWeighting": Option<String>,
    }
}

mirror! {
    SecondaryInterface from sdk::InstanceSecondaryInterface;
    keep {
        attachment @ "attachment": Option<SecondaryInterfaceAttachment>,
        private_ip_addresses @ "privateIpAddressSet": Set<SecondaryPrivateIpAddress>,
        secondary_subnet_id @ "secondarySubnetId": Option<String>,
        interface_type @ "interfaceType": Option<String>,
    }
    report {
        source_dest_check @ "sourceDestCheck": Option<bool> = "no call sets it",
    }
    drop {
        mac_address @ "macAddress": "derived from the addresses",
        secondary_interface_id @ "secondaryInterfaceId": "assigned by AWS at each create",
        owner_id @ "ownerId": "runtime state: no call gives it",
        status @ "status": "runtime state: no call gives it",
        secondary_network_id @ "secondaryNetworkId": "follows from ec2:secondary-network",
    }
}

mirror! {
    SecondaryInterfaceAttachment from sdk::InstanceSecondaryInterfaceAttachment;
    keep {
        delete_on_termination @ "deleteOnTermination": Option<bool>,
        device_index @ "deviceIndex": Option<i32>,
        network_card_index @ "networkCardIndex": Option<i32>,
    }
    drop {
        attach_time @ "attachTime": "runtime: a time",
        attachment_id @ "attachmentId": "assigned by AWS at each create",
        status @ "status": "runtime state: no call gives it",
    }
}

mirror! {
    SecondaryPrivateIpAddress from sdk::InstanceSecondaryInterfacePrivateIpAddress, key [private_ip_address];
    keep {
        private_ip_address @ "privateIpAddress": Option<String>,
    }
}

mirror! {
    IamInstanceProfile from sdk::IamInstanceProfile;
    keep {
        arn @ "arn": Option<Ref<iam::InstanceProfile>>,
    }
    drop {
        id @ "id": "runtime state: no call gives it",
    }
}

input! {
    CpuOptions => sdk::CpuOptionsRequest;
    set {
        set_core_count: core_count,
        set_threads_per_core: threads_per_core,
        set_amd_sev_snp: amd_sev_snp,
        set_nested_virtualization: nested_virtualization,
    }
}

input! {
    CapacityReservationSpecification => sdk::CapacityReservationSpecification;
    set {
        set_capacity_reservation_preference: capacity_reservation_preference,
        set_capacity_reservation_target: capacity_reservation_target,
    }
}

input! {
    CapacityReservationTarget => sdk::CapacityReservationTarget;
    set {
        set_capacity_reservation_id: capacity_reservation_id,
        set_capacity_reservation_resource_group_arn: capacity_reservation_resource_group_arn,
    }
}

input! {
    HibernationOptions => sdk::HibernationOptionsRequest;
    set {
        set_configured: configured,
    }
}

input! {
    LicenseConfiguration => sdk::LicenseConfigurationRequest;
    set {
        set_license_configuration_arn: license_configuration_arn,
    }
}

input! {
    MetadataOptions => sdk::InstanceMetadataOptionsRequest;
    set {
        set_http_tokens: http_tokens,
        set_http_put_response_hop_limit: http_put_response_hop_limit,
        set_http_endpoint: http_endpoint,
        set_http_protocol_ipv6: http_protocol_ipv6,
        set_instance_metadata_tags: instance_metadata_tags,
    }
}

input! {
    EnclaveOptions => sdk::EnclaveOptionsRequest;
    set {
        set_enabled: enabled,
    }
}

input! {
    PrivateDnsNameOptions => sdk::PrivateDnsNameOptionsRequest;
    set {
        set_hostname_type: hostname_type,
        set_enable_resource_name_dns_a_record: enable_resource_name_dns_a_record,
        set_enable_resource_name_dns_aaaa_record: enable_resource_name_dns_aaaa_record,
    }
}

input! {
    MaintenanceOptions => sdk::InstanceMaintenanceOptionsRequest;
    set {
        set_auto_recovery: auto_recovery,
    }
}

input! {
    NetworkPerformanceOptions => sdk::InstanceNetworkPerformanceOptionsRequest;
    set {
        set_bandwidth_weighting: bandwidth_weighting,
    }
}

input! {
    SecondaryInterface => sdk::InstanceSecondaryInterfaceSpecificationRequest;
    set {
        set_delete_on_termination: attachment.delete_on_termination,
        set_device_index: attachment.device_index,
        set_private_ip_addresses: private_ip_addresses,
        set_secondary_subnet_id: secondary_subnet_id,
        set_interface_type: interface_type,
        set_network_card_index: attachment.network_card_index,
    }
    leave {
        private_ip_address_count: "the addresses themselves are given",
    }
}

input! {
    SecondaryPrivateIpAddress => sdk::InstanceSecondaryInterfacePrivateIpAddressRequest;
    set {
        set_private_ip_address: private_ip_address,
    }
}

input! {
    Interface => sdk::InstanceNetworkInterfaceSpecification;
    set {
        set_delete_on_termination: attachment.delete_on_termination,
        set_description: description,
        set_device_index: attachment.device_index,
        set_groups: groups[].group_id,
        set_private_ip_addresses: private_ip_addresses,
        set_subnet_id: subnet_id,
        set_interface_type: interface_type,
        set_network_card_index: attachment.network_card_index,
        set_ipv4_prefixes: ipv4_prefixes,
        set_ena_srd_specification: attachment.ena_srd_specification,
        set_connection_tracking_specification: connection_tracking_configuration,
        set_ena_queue_count: attachment.ena_queue_count,
        set_associate_public_ip_address: associate_public_ip_address,
    }
    leave {
        network_interface_id: "only of one that survived, and then nothing else is said: interface()",
        private_ip_address: "private_ip_addresses has the primary one; AWS refuses it twice",
        ipv6_addresses: "the interface's own kind gives them",
        ipv6_address_count: "the interface's own kind gives them",
        ipv6_prefixes: "the interface's own kind gives them",
        ipv6_prefix_count: "the interface's own kind gives them",
        primary_ipv6: "the interface's own kind gives it",
        ipv4_prefix_count: "the prefixes themselves are given",
        secondary_private_ip_address_count: "the addresses themselves are given",
        associate_carrier_ip_address: "a Wavelength Zone's; its Elastic IP says the address",
    }
}

input! {
    PrivateIpAddress => sdk::PrivateIpAddressSpecification;
    set {
        set_primary: primary,
        set_private_ip_address: private_ip_address,
    }
}

input! {
    Ipv4Prefix => sdk::Ipv4PrefixSpecificationRequest;
    set {
        set_ipv4_prefix: ipv4_prefix,
    }
}

input! {
    EnaSrd => sdk::EnaSrdSpecificationRequest;
    set {
        set_ena_srd_enabled: ena_srd_enabled,
        set_ena_srd_udp_specification: ena_srd_udp_specification,
    }
}

input! {
    EnaSrdUdp => sdk::EnaSrdUdpSpecificationRequest;
    set {
        set_ena_srd_udp_enabled: ena_srd_udp_enabled,
    }
}

input! {
    ConnectionTracking => sdk::ConnectionTrackingSpecificationRequest;
    set {
        set_tcp_established_timeout: tcp_established_timeout,
        set_udp_stream_timeout: udp_stream_timeout,
        set_udp_timeout: udp_timeout,
    }
}

input! {
    IamInstanceProfile => sdk::IamInstanceProfileSpecification;
    set {
        set_arn: arn,
    }
    leave {
        name: "the ARN says it, and AWS refuses both",
    }
}

input! {
    Spec => run_instances(RunInstancesInputBuilder);
    set {
        set_image_id: image_id,
        set_instance_type: instance_type,
        set_key_name: key_name,
        set_placement: placement,
        set_kernel_id: kernel_id,
        set_ramdisk_id: ramdisk_id,
        set_secondary_interfaces: secondary_interfaces,
        set_iam_instance_profile: iam_instance_profile,
        set_capacity_reservation_specification: capacity_reservation_specification,
        set_license_specifications: licenses,
        set_metadata_options: metadata_options,
        set_private_dns_name_options: private_dns_name_options,
        set_maintenance_options: maintenance_options,
        set_user_data: user_data,
        set_instance_initiated_shutdown_behavior: instance_initiated_shutdown_behavior,
    }
    leave {
        block_device_mappings: "with the newest copies of what the volumes held: disks()",
        network_interfaces: "the primary one: interface()",
        cpu_options: "only what is not the type's own, since some types refuse any: launched()",
        hibernation_options: "only true: it and an enclave exclude each other: launched()",
        enclave_options: "only true: it and hibernation exclude each other: launched()",
        network_performance_options: "only what is not the default, since most types refuse any: launched()",
        ebs_optimized: "only true: many types cannot be without it: launched()",
        monitoring: "detailed_monitoring says it: launched()",
        credit_specification: "cpu_credits says it: launched()",
        disable_api_termination: "only true: launched()",
        disable_api_stop: "only true, and not of one that is to be stopped first: launched()",
        instance_market_options: "a spot instance asks for spot capacity again: launched()",
        min_count: "one: launched()",
        max_count: "one: launched()",
        subnet_id: "the interface says it, and AWS refuses both",
        security_group_ids: "the interface says it, and AWS refuses both",
        security_groups: "the interface says it, and AWS refuses both",
        private_ip_address: "the interface says it, and AWS refuses both",
        ipv6_addresses: "the interface's own kind gives them",
        ipv6_address_count: "the interface's own kind gives them",
        enable_primary_ipv6: "the interface's own kind gives it",
        launch_template: "the captured configuration says it all: a template may have changed",
        operator: "what a service of AWS manages is left out of look(): that service makes it",
        elastic_gpu_specification: "a service that AWS has ended",
        elastic_inference_accelerators: "a service that AWS has ended",
        additional_info: "reserved by AWS",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        client_token: "the step's token",
        dry_run: "the engine's",
    }
}

input! {
    MetadataOptions => modify_instance_metadata_options(ModifyInstanceMetadataOptionsInputBuilder);
    set {
        set_http_tokens: http_tokens,
        set_http_put_response_hop_limit: http_put_response_hop_limit,
        set_http_endpoint: http_endpoint,
        set_http_protocol_ipv6: http_protocol_ipv6,
        set_instance_metadata_tags: instance_metadata_tags,
    }
    leave {
        instance_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    MaintenanceOptions => modify_instance_maintenance_options(ModifyInstanceMaintenanceOptionsInputBuilder);
    set {
        set_auto_recovery: auto_recovery,
        set_reboot_migration: reboot_migration,
    }
    leave {
        instance_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    Ebs => sdk::EbsBlockDevice;
    set {
        set_delete_on_termination: delete_on_termination,
        set_volume_size: size,
        set_volume_type: volume_type,
        set_iops: iops,
        set_throughput: throughput,
        set_kms_key_id: kms_key_id,
        set_ebs_card_index: ebs_card_index,
    }
    leave {
        encrypted: "only true: false is refused for an encrypted snapshot: disks()",
        snapshot_id: "the newest copy of what the volume held: disks()",
        volume_initialization_rate: "how fast the first blocks are read is no configuration of the instance",
        outpost_arn: "follows from the subnet",
        availability_zone: "follows from the subnet",
        availability_zone_id: "follows from the subnet",
    }
}

input! {
    Placement => sdk::Placement;
    set {
        set_availability_zone: availability_zone,
        set_affinity: affinity,
        set_partition_number: partition_number,
        set_host_id: host_id,
        set_tenancy: tenancy,
        set_spread_domain: spread_domain,
        set_host_resource_group_arn: host_resource_group_arn,
        set_group_id: group_id,
    }
    leave {
        availability_zone_id: "availability_zone says it, and AWS refuses both",
        group_name: "group_id says it, and AWS refuses both",
    }
}

pub struct Instance;

/// The tag of an instance that was launched from an image of its root's copy: the image that it had before. It stays for as
/// long as the instance does, also where the image itself is deregistered.
const IMAGE_TAG: &str = "rollbackd:image";

// ---- reading ------------------------------------------------------------------------------------------------------

fn is_ours(i: &sdk::Instance) -> bool {
    use sdk::InstanceStateName::{ShuttingDown, Terminated};
    // H21: a terminated one is listed for an hour and is gone all the same. H22: a group makes its members.
    let name = i.state.as_ref().and_then(|s| s.name.as_ref());
    !matches!(name, Some(ShuttingDown | Terminated)) && !is_group_member(i.tags()) && !is_managed(i.operator())
}

async fn instances(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::Instance>, Failure> {
    let pages = cx.ec2.describe_instances().set_filters(filters).into_paginator().page_size(super::PAGE_ROWS);
    let found = pages.items().send().try_collect().await.map_err(failed("ec2:DescribeInstances"))?;
    Ok(found.into_iter().flat_map(|r: sdk::Reservation| r.instances.unwrap_or_default()).collect())
}

/// What no describe call tells of more than one at a time. Nothing for one that went meanwhile.
async fn attributes(cx: &Cx, id: &str) -> Result<Option<Attribute>, Failure> {
    use sdk::InstanceAttributeName::{
        DisableApiStop, DisableApiTermination, InstanceInitiatedShutdownBehavior, UserData,
    };
    let action = "ec2:DescribeInstanceAttribute";
    let one = |attribute| async move {
        let answer = cx.ec2.describe_instance_attribute().instance_id(id).attribute(attribute).send().await;
        let answer = found(answer.map_err(failed(action)))?;
        Ok::<_, Failure>(answer.map(|a| Attribute::from_sdk(&a)))
    };
    let parts =
        try_join_all([UserData, DisableApiTermination, DisableApiStop, InstanceInitiatedShutdownBehavior].map(one))
            .await?;
    let Some(parts) = parts.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    merged(parts).map_err(|e| Failure::unbuildable(action, e))
}

/// The vCPUs that an instance takes of the quota of standard families while it runs on demand (EC2 user guide, "On-Demand
/// Instance quotas"). An instance says its cores itself; one that says none, or stands still, counts nothing.
fn standard_vcpus(spec: &Value) -> u32 {
    let family = spec["instance_type"].as_str().and_then(|t| t.split('.').next()).unwrap_or_default();
    let letters = family.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
    let standard = matches!(letters, "a" | "c" | "d" | "h" | "i" | "im" | "is" | "m" | "r" | "t" | "z");
    let counted = standard && spec["instance_lifecycle"].is_null() && spec["stopped"] != true;
    let number = |member: &str| spec["cpu_options"][member].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    if counted { number("core_count") * number("threads_per_core") } else { 0 }
}

/// Only these families have CPU credits (EC2 user guide, "Burstable performance instances").
fn is_burstable(instance_type: Option<&str>) -> bool {
    let family = instance_type.and_then(|t| t.split('.').next());
    matches!(family, Some("t2" | "t3" | "t3a" | "t4g"))
}
/// The instances whose credits are unlimited: without ids the call names just those.
async fn unlimited(cx: &Cx) -> Result<BTreeMap<String, String>, Failure> {
    let pages = cx.ec2.describe_instance_credit_specifications().into_paginator().page_size(super::PAGE_ROWS);
    let rows = pages.items().send().try_collect().await;
    let rows: Vec<_> = rows.map_err(failed("ec2:DescribeInstanceCreditSpecifications"))?;
    Ok(rows
        .iter()
        .filter_map(|r| Some((r.instance_id.clone()?, CreditSpecification::from_sdk(r).cpu_credits?)))
        .collect())
}

/// The volumes of these instances, by id.
async fn disks_of(cx: &Cx, ids: &[String]) -> Result<BTreeMap<String, sdk::Volume>, Failure> {
    let mut out = BTreeMap::new();
    for ids in ids.chunks(FILTER_VALUES_MAX) {
        let call = cx.ec2.describe_volumes().filters(filter("attachment.instance-id", ids)).into_paginator();
        let rows = call.page_size(super::PAGE_ROWS).items().send().try_collect().await;
        let rows: Vec<sdk::Volume> = rows.map_err(failed("ec2:DescribeVolumes"))?;
        out.extend(rows.into_iter().filter_map(|v| Some((v.volume_id.clone()?, v))));
    }
    Ok(out)
}

/// What a whole look needs beside the instances themselves.
struct Beside {
    volumes: BTreeMap<String, sdk::Volume>,
    credits: BTreeMap<String, String>,
    pairs: BTreeMap<String, Ref<ec2::KeyPair>>,
}

async fn whole(cx: &Cx, all: Vec<sdk::Instance>) -> Result<Vec<Seen<Spec>>, Failure> {
    let ours: Vec<_> = all.into_iter().filter(is_ours).collect();
    if ours.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<String> = ours.iter().filter_map(|i| i.instance_id.clone()).collect();
    let names: BTreeSet<String> = ours.iter().filter_map(|i| i.key_name.clone()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let burstable = ours.iter().any(|i| is_burstable(i.instance_type.as_ref().map(|t| t.as_str())));
    let beside = Beside {
        volumes: disks_of(cx, &ids).await?,
        credits: if burstable { unlimited(cx).await? } else { BTreeMap::new() },
        pairs: key_pair::by_name(cx, &names).await?,
    };
    let beside = &beside;
    let specs = stream::iter(ours).map(|i| async move {
        let Some(id) = i.instance_id.clone() else { return Ok(None) };
        let Some(attributes) = attributes(cx, &id).await? else { return Ok(None) };
        Ok::<_, Failure>(Some(Seen { spec: spec(&id, &i, attributes, beside), aliases: aliases(&i), id }))
    });
    let seen = specs.buffer_unordered(super::READS_AT_ONCE).try_collect::<Vec<_>>().await?;
    Ok(seen.into_iter().flatten().collect())
}
fn aliases(i: &sdk::Instance) -> Vec<Alias> {
    [&i.private_dns_name, &i.private_ip_address]
        .into_iter()
        .flatten()
        .filter(|a| !a.is_empty())
        .cloned()
        .map(Alias)
        .collect()
}

fn spec(id: &str, i: &sdk::Instance, attributes: Attribute, beside: &Beside) -> Spec {
    use sdk::{InstanceStateName, MonitoringState};
    let mut spec = Spec::from_sdk(i);
    let state = i.state.as_ref().and_then(|s| s.name.as_ref());
    spec.stopped = matches!(state, Some(InstanceStateName::Stopped | InstanceStateName::Stopping)).then_some(true);
    let monitoring = i.monitoring.as_ref().and_then(|m| m.state.as_ref());
    spec.detailed_monitoring =
        matches!(monitoring, Some(MonitoringState::Enabled | MonitoringState::Pending)).then_some(true);
    let stands_for = i.tags().iter().find(|t| t.key() == Some(IMAGE_TAG)).and_then(|t| t.value());
    if let Some(original) = stands_for.filter(|v| v.starts_with("ami-")) {
        spec.root_image = spec.image_id.replace(Ref::new(original)).map(|image| image.0);
    }
    let text = |v: Option<AttributeValue>| v.and_then(|v| v.value).filter(|v| !v.is_empty());
    spec.user_data = text(attributes.user_data);
    // What is not protected is what everything starts as.
    spec.disable_api_termination = attributes.disable_api_termination.filter(|d| *d);
    spec.disable_api_stop = attributes.disable_api_stop.filter(|d| *d);
    spec.instance_initiated_shutdown_behavior = text(attributes.instance_initiated_shutdown_behavior);
    if is_burstable(spec.instance_type.as_deref()) {
        spec.cpu_credits = Some(beside.credits.get(id).cloned().unwrap_or_else(|| "standard".into()));
    }
    spec.key_name = spec.key_name.filter(|k| !k.is_empty());
    spec.key_pair = spec.key_name.as_ref().and_then(|k| beside.pairs.get(k).cloned());
    let mut rows = spec.block_device_mappings.to_vec();
    for ebs in rows.iter_mut().filter_map(|r| r.ebs.as_mut()) {
        let Some(v) = ebs.volume_id.as_ref().and_then(|v| beside.volumes.get(&v.0)) else { continue };
        let kind = v.volume_type.as_ref().map(|t| t.as_str());
        ebs.size = v.size;
        ebs.volume_type = kind.map(str::to_owned);
        ebs.iops = v.iops.filter(|_| volume::takes_iops(kind));
        ebs.throughput = v.throughput.filter(|_| volume::takes_throughput(kind));
        ebs.encrypted = v.encrypted.filter(|e| *e);
        ebs.kms_key_id = v.kms_key_id.as_ref().filter(|_| v.encrypted == Some(true)).map(Ref::new);
    }
    spec.block_device_mappings = rows.into();
    // The primary alone: each other interface has a kind that makes and attaches it.
    let is_primary = |a: Option<&sdk::InstanceNetworkInterfaceAttachment>| {
        a.is_some_and(|a| a.device_index == Some(0) && a.network_card_index.unwrap_or_default() == 0)
    };
    let primary = i.network_interfaces().iter().find(|n| is_primary(n.attachment.as_ref()));
    let rows = primary.map(|n| {
        let mut row = Interface::from_sdk(n);
        let owner = n.association.as_ref().and_then(|a| a.ip_owner_id.as_deref());
        row.associate_public_ip_address = (owner == Some("amazon")).then_some(true);
        row.description = row.description.filter(|d| !d.is_empty());
        row.interface_type = row.interface_type.filter(|t| t != "interface");
        row
    });
    spec.network_interfaces = rows.into_iter().collect::<Vec<_>>().into();
    spec
}

// ---- launching ----------------------------------------------------------------------------------------------------

impl Spec {
    fn root(&self) -> Option<&BlockDevice> {
        self.block_device_mappings.iter().find(|d| d.device_name == self.root_device_name)
    }
}
impl BlockDevice {
    fn volume(&self) -> Option<&str> {
        self.ebs.as_ref()?.volume_id.as_ref().map(|v| v.0.as_str())
    }
    fn goes_with_it(&self) -> bool {
        self.ebs.as_ref().and_then(|e| e.delete_on_termination).unwrap_or_default()
    }
}

async fn image(cx: &Cx, filters: Vec<sdk::Filter>) -> Result<Option<sdk::Image>, Failure> {
    let call = cx.ec2.describe_images().set_filters(Some(filters)).include_deprecated(true);
    Ok(call.send().await.map_err(failed("ec2:DescribeImages"))?.images.unwrap_or_default().pop())
}

/// The volumes of these that are alive still: they are attached again, not made again.
async fn alive(cx: &Cx, ids: &[String]) -> Result<BTreeSet<String>, Failure> {
    let mut out = BTreeSet::new();
    for ids in ids.chunks(FILTER_VALUES_MAX) {
        let answer = cx.ec2.describe_volumes().filters(filter("volume-id", ids)).send().await;
        let rows = answer.map_err(failed("ec2:DescribeVolumes"))?.volumes.unwrap_or_default();
        use sdk::VolumeState::{Available, InUse};
        let alive = rows.into_iter().filter(|v| matches!(v.state, Some(Available | InUse)));
        out.extend(alive.filter_map(|v| v.volume_id));
    }
    Ok(out)
}

/// H21: the block devices of the launch. The root, and each volume that went with the instance, is made from its newest
/// snapshot, else from the image's own; one that has neither is left out, since an empty disk would be taken for it: its own
/// step then says so. What has a step of its own is left out too, also where the image would make another in its place.
fn disks(
    spec: &Spec,
    image: Option<&sdk::Image>,
    alive: &BTreeSet<String>,
    copies: &BTreeMap<String, String>,
) -> Result<Vec<sdk::BlockDeviceMapping>, Failure> {
    let of_the_image = |name: Option<&str>| {
        let rows = image.map(|i| i.block_device_mappings()).unwrap_or_default();
        rows.iter().find(|r| r.device_name() == name).and_then(|r| r.ebs()).is_some_and(|e| e.snapshot_id().is_some())
    };
    let mut out = vec![];
    for row in spec.block_device_mappings.iter() {
        let is_root = row.device_name == spec.root_device_name;
        let survives = row.volume().is_some_and(|v| alive.contains(v));
        let copy = row.volume().and_then(|v| copies.get(v)).filter(|_| !is_root);
        let has_content = is_root || copy.is_some() || of_the_image(row.device_name.as_deref());
        let Some(ebs) = row.ebs.as_ref().filter(|_| is_root || (row.goes_with_it() && !survives && has_content)) else {
            continue;
        };
        let given: Option<sdk::EbsBlockDevice> = ebs.give().map_err(unbuildable("ec2:RunInstances"))?;
        let mut given = given.unwrap_or_else(|| sdk::EbsBlockDevice::builder().build());
        given.encrypted = ebs.encrypted.filter(|e| *e);
        given.snapshot_id = copy.cloned();
        out.push(sdk::BlockDeviceMapping::builder().set_device_name(row.device_name.clone()).ebs(given).build());
    }
    let launched = |name: Option<&str>| out.iter().any(|d| d.device_name() == name);
    let suppressed: Vec<_> = image
        .map(|i| i.block_device_mappings())
        .unwrap_or_default()
        .iter()
        .filter(|d| {
            d.ebs().is_some() && d.device_name() != spec.root_device_name.as_deref() && !launched(d.device_name())
        })
        .map(|d| sdk::BlockDeviceMapping::builder().set_device_name(d.device_name.clone()).no_device("").build())
        .collect();
    out.extend(suppressed);
    Ok(out)
}

/// An image of the root's newest copy. Its name says of which, so that it is made once; it stays, as the image of the new
/// instance. Only for Linux: no registration gives a licence.
async fn root_image(cx: &Cx, spec: &Spec, source: Option<&sdk::Image>, copy: &str) -> Result<String, Failure> {
    let action = "ec2:RegisterImage";
    let name = format!("rollbackd root {copy}");
    // Of the account's own: anybody may give a public image any name.
    if let Some(made) =
        image(cx, vec![filter("name", [&name]), filter("owner-id", [cx.scope.account.as_str()])]).await?
    {
        return held("ec2:DescribeImages", "imageId", made.image_id);
    }
    let root = spec.root_device_name.clone();
    let ebs = sdk::EbsBlockDevice::builder().snapshot_id(copy).delete_on_termination(true).build();
    let of_source = |f: fn(&sdk::Image) -> Option<String>| source.and_then(f);
    let call = cx
        .ec2_once
        .register_image()
        .name(name)
        .description("The root volume of an instance that rollbackd launched anew")
        .set_architecture(spec.architecture.as_deref().map(Into::into))
        .set_virtualization_type(spec.virtualization_type.clone())
        .set_ena_support(spec.ena_support)
        .set_boot_mode(spec.boot_mode.as_deref().map(Into::into))
        .set_imds_support(
            of_source(|i| i.imds_support.as_ref().map(|v| v.as_str().to_owned())).as_deref().map(Into::into),
        )
        .set_tpm_support(
            of_source(|i| i.tpm_support.as_ref().map(|v| v.as_str().to_owned())).as_deref().map(Into::into),
        )
        .set_root_device_name(root.clone())
        .block_device_mappings(sdk::BlockDeviceMapping::builder().set_device_name(root).ebs(ebs).build());
    held(action, "imageId", call.send().await.map_err(failed(action))?.image_id)
}

/// H15: the primary interface with the addresses that it had; or the one that survived, which has them still.
async fn interface(cx: &Cx, spec: &Spec) -> Result<Option<sdk::InstanceNetworkInterfaceSpecification>, Failure> {
    let Some(row) = spec.network_interfaces.first() else { return Ok(None) };
    if let Some(id) = row.network_interface_id.as_ref().map(|i| &i.0) {
        let action = "ec2:DescribeNetworkInterfaces";
        let answer = cx.ec2.describe_network_interfaces().filters(filter("network-interface-id", [id])).send().await;
        let here = answer.map_err(failed(action))?.network_interfaces.unwrap_or_default().pop();
        if here.is_some_and(|i| i.status == Some(sdk::NetworkInterfaceStatus::Available)) {
            let row = sdk::InstanceNetworkInterfaceSpecification::builder().device_index(0).network_interface_id(id);
            return Ok(Some(row.build()));
        }
    }
    let mut given: Option<sdk::InstanceNetworkInterfaceSpecification> =
        row.give().map_err(unbuildable("ec2:RunInstances"))?;
    if let Some(given) = &mut given
        && row.private_ip_addresses.len() <= 1
    {
        given.private_ip_addresses = None;
        given.private_ip_address = row.private_ip_address.clone();
    }
    // One that ran without a public address shall have none, whatever its subnet gives; of a stopped one nothing can be told.
    if let Some(given) = given.as_mut().filter(|_| spec.stopped != Some(true)) {
        given.associate_public_ip_address.get_or_insert(false);
    }
    Ok(given)
}

/// The CPU options that are not the type's own.
async fn cpu_options(cx: &Cx, spec: &Spec) -> Result<Option<sdk::CpuOptionsRequest>, Failure> {
    let Some(options) = &spec.cpu_options else { return Ok(None) };
    let kind = spec.instance_type.as_deref().unwrap_or_default();
    let answer = cx.ec2.describe_instance_types().instance_types(kind.into()).send().await;
    let own = answer.map_err(failed("ec2:DescribeInstanceTypes"))?.instance_types.unwrap_or_default().pop();
    let own = own.and_then(|t| t.v_cpu_info);
    let mut options = options.clone();
    let is_own = own.is_none_or(|o| {
        (options.core_count.is_none() || options.core_count == o.default_cores)
            && (options.threads_per_core.is_none() || options.threads_per_core == o.default_threads_per_core)
    });
    if is_own {
        (options.core_count, options.threads_per_core) = (None, None);
    }
    let on = |v: Option<String>| v.filter(|v| v != "disabled");
    options.amd_sev_snp = on(options.amd_sev_snp.take());
    options.nested_virtualization = on(options.nested_virtualization.take());
    if is_own && options.amd_sev_snp.is_none() && options.nested_virtualization.is_none() {
        return Ok(None);
    }
    options.give().map_err(unbuildable("ec2:RunInstances"))
}

async fn launched(cx: &Cx, spec: &Spec) -> Result<RunInstancesInputBuilder, Failure> {
    let action = "ec2:RunInstances";
    let source = match &spec.image_id {
        Some(id) => image(cx, vec![filter("image-id", [&id.0])]).await?,
        None => None,
    };
    let ids: Vec<String> = spec.block_device_mappings.iter().filter_map(|d| d.volume().map(str::to_owned)).collect();
    let alive = alive(cx, &ids).await?;
    let lost: Vec<String> = ids.iter().filter(|id| !alive.contains(*id)).cloned().collect();
    let root = spec.root().and_then(|r| r.volume());
    let wanted: Vec<String> = ids.into_iter().filter(|id| lost.contains(id) || Some(id.as_str()) == root).collect();
    let mut copies = BTreeMap::new();
    if !wanted.is_empty() {
        let newest = snapshot::newest(cx, &wanted).await?;
        copies.extend(newest.into_iter().filter_map(|(volume, s)| Some((volume, s.snapshot_id?))));
    }
    let mut call = spec.run_instances().map_err(unbuildable(action))?;
    let is_linux = spec.platform_details.as_deref().is_none_or(|p| p == "Linux/UNIX");
    if let Some(copy) = root.and_then(|r| copies.get(r)).filter(|_| is_linux) {
        call = call.image_id(root_image(cx, spec, source.as_ref(), copy).await?);
    }
    let on = |v: Option<bool>| v.filter(|v| *v);
    let hibernation = spec.hibernation_options.as_ref().filter(|h| h.configured == Some(true));
    let enclave = spec.enclave_options.as_ref().filter(|e| e.enabled == Some(true));
    let weighting = spec.network_performance_options.as_ref();
    let weighting = weighting.filter(|n| n.bandwidth_weighting.as_deref().is_some_and(|w| w != "default"));
    let credits = spec.cpu_credits.as_ref().map(|c| sdk::CreditSpecificationRequest::builder().cpu_credits(c).build());
    let spot = spec.instance_lifecycle.as_deref() == Some("spot");
    let spot = spot.then(|| sdk::InstanceMarketOptionsRequest::builder().market_type(sdk::MarketType::Spot).build());
    let monitoring =
        on(spec.detailed_monitoring).map(|m| sdk::RunInstancesMonitoringEnabled::builder().enabled(m).build());
    Ok(call
        .min_count(1)
        .max_count(1)
        .set_block_device_mappings(Some(disks(spec, source.as_ref(), &alive, &copies)?).filter(|d| !d.is_empty()))
        .set_network_interfaces(interface(cx, spec).await?.map(|i| vec![i]))
        .set_cpu_options(cpu_options(cx, spec).await?)
        .set_hibernation_options(hibernation.map_or(Ok(None), Give::give).map_err(unbuildable(action))?)
        .set_enclave_options(enclave.map_or(Ok(None), Give::give).map_err(unbuildable(action))?)
        .set_network_performance_options(weighting.map_or(Ok(None), Give::give).map_err(unbuildable(action))?)
        .set_ebs_optimized(on(spec.ebs_optimized))
        .set_credit_specification(credits)
        .set_instance_market_options(spot)
        .set_monitoring(monitoring)
        .set_disable_api_termination(on(spec.disable_api_termination))
        .set_disable_api_stop(on(spec.disable_api_stop).filter(|_| spec.stopped != Some(true))))
}

// ---- changing -----------------------------------------------------------------------------------------------------

/// One call of a converge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Todo {
    Stop,
    Start,
    Termination,
    StopProtection,
    Shutdown,
    Metadata,
    Credits,
    Maintenance,
    Monitor(bool),
    AssociateProfile,
    ReplaceProfile,
    DisassociateProfile,
}
impl Todo {
    fn action(self) -> &'static str {
        match self {
            Self::Stop => "ec2:StopInstances",
            Self::Start => "ec2:StartInstances",
            Self::Termination | Self::StopProtection | Self::Shutdown => "ec2:ModifyInstanceAttribute",
            Self::Metadata => "ec2:ModifyInstanceMetadataOptions",
            Self::Credits => "ec2:ModifyInstanceCreditSpecification",
            Self::Maintenance => "ec2:ModifyInstanceMaintenanceOptions",
            Self::Monitor(true) => "ec2:MonitorInstances",
            Self::Monitor(false) => "ec2:UnmonitorInstances",
            Self::AssociateProfile => "ec2:AssociateIamInstanceProfile",
            Self::ReplaceProfile => "ec2:ReplaceIamInstanceProfileAssociation",
            Self::DisassociateProfile => "ec2:DisassociateIamInstanceProfile",
        }
    }
    fn all(now: &Spec, want: &Spec) -> Vec<Self> {
        let on = |v: Option<bool>| v.unwrap_or_default();
        let profile = |s: &Spec| s.iam_instance_profile.as_ref().and_then(|p| p.arn.as_ref()).map(|a| a.0.clone());
        let mut out = vec![];
        // Protection from being stopped comes after the stop.
        if on(now.stopped) != on(want.stopped) {
            out.push(if on(want.stopped) { Self::Stop } else { Self::Start });
        }
        if on(now.disable_api_stop) != on(want.disable_api_stop) {
            out.push(Self::StopProtection);
        }
        if on(now.disable_api_termination) != on(want.disable_api_termination) {
            out.push(Self::Termination);
        }
        let differs = |a: bool, b: bool| a && b;
        if differs(
            want.instance_initiated_shutdown_behavior.is_some(),
            now.instance_initiated_shutdown_behavior != want.instance_initiated_shutdown_behavior,
        ) {
            out.push(Self::Shutdown);
        }
        if differs(want.metadata_options.is_some(), now.metadata_options != want.metadata_options) {
            out.push(Self::Metadata);
        }
        if differs(want.cpu_credits.is_some(), now.cpu_credits != want.cpu_credits) {
            out.push(Self::Credits);
        }
        if differs(want.maintenance_options.is_some(), now.maintenance_options != want.maintenance_options) {
            out.push(Self::Maintenance);
        }
        if on(now.detailed_monitoring) != on(want.detailed_monitoring) {
            out.push(Self::Monitor(on(want.detailed_monitoring)));
        }
        match (profile(now), profile(want)) {
            (a, b) if a == b => {}
            (None, _) => out.push(Self::AssociateProfile),
            (Some(_), Some(_)) => out.push(Self::ReplaceProfile),
            (Some(_), None) => out.push(Self::DisassociateProfile),
        }
        out
    }
    async fn send(self, cx: &Cx, id: &str, want: &Spec) -> Result<(), Failure> {
        let action = self.action();
        let ec2 = &cx.ec2;
        let flag = |v: Option<bool>| sdk::AttributeBooleanValue::builder().value(v.unwrap_or_default()).build();
        match self {
            Self::Stop => ec2.stop_instances().instance_ids(id).send().await.map(drop).map_err(failed(action)),
            Self::Start => ec2.start_instances().instance_ids(id).send().await.map(drop).map_err(failed(action)),
            Self::Termination => {
                let call = ec2.modify_instance_attribute().instance_id(id);
                let call = call.disable_api_termination(flag(want.disable_api_termination));
                call.send().await.map(drop).map_err(failed(action))
            }
            Self::StopProtection => {
                let call = ec2.modify_instance_attribute().instance_id(id);
                let call = call.disable_api_stop(flag(want.disable_api_stop));
                call.send().await.map(drop).map_err(failed(action))
            }
            Self::Shutdown => {
                let value = want.instance_initiated_shutdown_behavior.clone();
                let value = sdk::AttributeValue::builder().set_value(value).build();
                let call = ec2.modify_instance_attribute().instance_id(id);
                let call = call.instance_initiated_shutdown_behavior(value);
                call.send().await.map(drop).map_err(failed(action))
            }
            Self::Metadata => {
                let Some(options) = &want.metadata_options else { return Ok(()) };
                let call = options.modify_instance_metadata_options().map_err(unbuildable(action))?.instance_id(id);
                call.send_with(ec2).await.map(drop).map_err(failed(action))
            }
            Self::Maintenance => {
                let Some(options) = &want.maintenance_options else { return Ok(()) };
                let call = options.modify_instance_maintenance_options().map_err(unbuildable(action))?.instance_id(id);
                call.send_with(ec2).await.map(drop).map_err(failed(action))
            }
            Self::Credits => {
                let row = sdk::InstanceCreditSpecificationRequest::builder().instance_id(id);
                let row = row.set_cpu_credits(want.cpu_credits.clone()).build();
                let call = ec2.modify_instance_credit_specification().instance_credit_specifications(row);
                let refused = call.send().await.map_err(failed(action))?.unsuccessful_instance_credit_specifications;
                // The call succeeds and names those that it left as they were.
                refused.unwrap_or_default().pop().map_or(Ok(()), |r| {
                    let why = r.error.and_then(|e| e.message).unwrap_or_else(|| "no reason given".into());
                    Err(Failure::unbuildable(action, why))
                })
            }
            Self::Monitor(true) => {
                ec2.monitor_instances().instance_ids(id).send().await.map(drop).map_err(failed(action))
            }
            Self::Monitor(false) => {
                ec2.unmonitor_instances().instance_ids(id).send().await.map(drop).map_err(failed(action))
            }
            Self::AssociateProfile | Self::ReplaceProfile | Self::DisassociateProfile => {
                self.profile(cx, id, want).await
            }
        }
    }
    async fn profile(self, cx: &Cx, id: &str, want: &Spec) -> Result<(), Failure> {
        let action = self.action();
        let profile = want.iam_instance_profile.as_ref().map_or(Ok(None), Give::give).map_err(unbuildable(action))?;
        if self == Self::AssociateProfile {
            let call = cx.ec2.associate_iam_instance_profile().instance_id(id).set_iam_instance_profile(profile);
            return call.send().await.map(drop).map_err(failed(action)).map_err(profile_is_new);
        }
        let reads = "ec2:DescribeIamInstanceProfileAssociations";
        let call = cx.ec2.describe_iam_instance_profile_associations().filters(filter("instance-id", [id]));
        let rows = call.send().await.map_err(failed(reads))?.iam_instance_profile_associations.unwrap_or_default();
        use sdk::IamInstanceProfileAssociationState::{Associated, Associating};
        let live = rows.into_iter().find(|a| matches!(a.state, Some(Associated | Associating)));
        let association = held(reads, "association id", live.and_then(|a| a.association_id))?;
        if self == Self::ReplaceProfile {
            let call = cx.ec2.replace_iam_instance_profile_association().association_id(association);
            let call = call.set_iam_instance_profile(profile);
            return call.send().await.map(drop).map_err(failed(action)).map_err(profile_is_new);
        }
        let call = cx.ec2.disassociate_iam_instance_profile().association_id(association);
        call.send().await.map(drop).map_err(failed(action))
    }
}

/// H46: IAM takes a while to tell EC2 of a profile that was made a moment ago.
fn profile_is_new(mut f: Failure) -> Failure {
    if f.code == "InvalidParameterValue" && f.message.to_ascii_lowercase().contains("instance profile") {
        f.class = Class::Busy;
    }
    f
}

impl Kind for Instance {
    type Name = ec2::Instance;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &BlockDevice::COVERAGE,
        &Ebs::COVERAGE,
        &Placement::COVERAGE,
        &AttributeValue::COVERAGE,
        &CreditSpecification::COVERAGE,
        &Attribute::COVERAGE,
        &Interface::COVERAGE,
        &InterfaceAttachment::COVERAGE,
        &EnaSrd::COVERAGE,
        &EnaSrdUdp::COVERAGE,
        &GroupIdentifier::COVERAGE,
        &PrivateIpAddress::COVERAGE,
        &Ipv4Prefix::COVERAGE,
        &ConnectionTracking::COVERAGE,
        &CpuOptions::COVERAGE,
        &CapacityReservationSpecification::COVERAGE,
        &CapacityReservationTarget::COVERAGE,
        &HibernationOptions::COVERAGE,
        &LicenseConfiguration::COVERAGE,
        &MetadataOptions::COVERAGE,
        &EnclaveOptions::COVERAGE,
        &PrivateDnsNameOptions::COVERAGE,
        &MaintenanceOptions::COVERAGE,
        &NetworkPerformanceOptions::COVERAGE,
        &SecondaryInterface::COVERAGE,
        &SecondaryInterfaceAttachment::COVERAGE,
        &SecondaryPrivateIpAddress::COVERAGE,
        &IamInstanceProfile::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<CpuOptions as Input<sdk::CpuOptionsRequest>>::TABLE,
        &<CapacityReservationSpecification as Input<sdk::CapacityReservationSpecification>>::TABLE,
        &<CapacityReservationTarget as Input<sdk::CapacityReservationTarget>>::TABLE,
        &<HibernationOptions as Input<sdk::HibernationOptionsRequest>>::TABLE,
        &<LicenseConfiguration as Input<sdk::LicenseConfigurationRequest>>::TABLE,
        &<MetadataOptions as Input<sdk::InstanceMetadataOptionsRequest>>::TABLE,
        &<EnclaveOptions as Input<sdk::EnclaveOptionsRequest>>::TABLE,
        &<PrivateDnsNameOptions as Input<sdk::PrivateDnsNameOptionsRequest>>::TABLE,
        &<MaintenanceOptions as Input<sdk::InstanceMaintenanceOptionsRequest>>::TABLE,
        &<NetworkPerformanceOptions as Input<sdk::InstanceNetworkPerformanceOptionsRequest>>::TABLE,
        &<SecondaryInterface as Input<sdk::InstanceSecondaryInterfaceSpecificationRequest>>::TABLE,
        &<SecondaryPrivateIpAddress as Input<sdk::InstanceSecondaryInterfacePrivateIpAddressRequest>>::TABLE,
        &<Interface as Input<sdk::InstanceNetworkInterfaceSpecification>>::TABLE,
        &<PrivateIpAddress as Input<sdk::PrivateIpAddressSpecification>>::TABLE,
        &<Ipv4Prefix as Input<sdk::Ipv4PrefixSpecificationRequest>>::TABLE,
        &<EnaSrd as Input<sdk::EnaSrdSpecificationRequest>>::TABLE,
        &<EnaSrdUdp as Input<sdk::EnaSrdUdpSpecificationRequest>>::TABLE,
        &<ConnectionTracking as Input<sdk::ConnectionTrackingSpecificationRequest>>::TABLE,
        &<IamInstanceProfile as Input<sdk::IamInstanceProfileSpecification>>::TABLE,
        &<Spec as Input<RunInstancesInputBuilder>>::TABLE,
        &<MetadataOptions as Input<ModifyInstanceMetadataOptionsInputBuilder>>::TABLE,
        &<MaintenanceOptions as Input<ModifyInstanceMaintenanceOptionsInputBuilder>>::TABLE,
        &<Ebs as Input<sdk::EbsBlockDevice>>::TABLE,
        &<Placement as Input<sdk::Placement>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &[
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceAttribute",
        "ec2:DescribeInstanceCreditSpecifications",
        "ec2:DescribeVolumes",
        "ec2:DescribeKeyPairs",
    ];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSnapshots",
        "ec2:DescribeIamInstanceProfileAssociations",
        "ec2:ListSnapshotsInRecycleBin",
        "ec2:RestoreSnapshotFromRecycleBin",
        "ec2:RegisterImage",
        "ec2:RunInstances",
        "iam:PassRole",
        "ec2:StopInstances",
        "ec2:StartInstances",
        "ec2:ModifyInstanceAttribute",
        "ec2:ModifyInstanceMetadataOptions",
        "ec2:ModifyInstanceCreditSpecification",
        "ec2:ModifyInstanceMaintenanceOptions",
        "ec2:MonitorInstances",
        "ec2:UnmonitorInstances",
        "ec2:AssociateIamInstanceProfile",
        "ec2:ReplaceIamInstanceProfileAssociation",
        "ec2:DisassociateIamInstanceProfile",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "the id of the instance, what was in its memory and on its instance store",
        "what was written to its volumes since their newest snapshots; a root without one begins as its image",
        "what was written to the root where its image carries a licence (such as Windows): the image's own is taken",
        "a volume that went with it and has no snapshot: it is left out, and its own step says so",
        "a public address that AWS chose, and its host name",
        "the place in an Auto Scaling group: the group launches its members",
    ];
    const PHASE: Phase = Phase::Compute;
    const TERRAFORM: &'static str = "aws_instance";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "ec2",
        code: "L-1216C47A",
        name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances, in vCPUs",
        default: 5,
        per: Per::Region,
        uses: standard_vcpus,
    }];
    const IMMUTABLE: &'static [&'static str] = &[
        "image_id",
        "instance_type",
        "key_name",
        "placement",
        "kernel_id",
        "ramdisk_id",
        "root_device_name",
        "secondary_interfaces",
        "ebs_optimized",
        "cpu_options",
        "capacity_reservation_specification",
        "hibernation_options",
        "enclave_options",
        "licenses",
        "private_dns_name_options",
        "network_performance_options",
        "instance_lifecycle",
        "user_data",
    ];
    const GIVEN: &'static [&'static str] = &[
        "block_device_mappings",
        "network_interfaces",
        "iam_instance_profile",
        "metadata_options",
        "maintenance_options",
        "detailed_monitoring",
        "disable_api_termination",
        "instance_initiated_shutdown_behavior",
        "cpu_credits",
        "key_pair",
    ];
    const HARMLESS: &'static [&'static str] = &["root_image"];
    const REPORTED: &'static [(&'static str, &'static str)] = &[
        (
            "root_image",
            "the root comes from its newest snapshot through this image, which rollbackd registered for that and left; \
             `aws ec2 deregister-image --image-id` with its id removes it, and the instance stays",
        ),
        ("architecture", "it follows from the image"),
        ("virtualization_type", "it follows from the image"),
        ("boot_mode", "it follows from the image"),
        ("ena_support", "it follows from the image"),
        ("platform_details", "it follows from the image"),
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let all = instances(cx, only("instance-id", which)).await?;
        whole(cx, all).await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let here = instances(cx, Some(vec![filter("instance-id", [id])])).await?;
        Ok(whole(cx, here).await?.pop())
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "instance", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:RunInstances";
        let mut tags = tags_on_create(sdk::ResourceType::Instance, &spec.tags, step)?;
        let call = launched(cx, spec).await?;
        let original = spec.image_id.as_ref().filter(|image| call.get_image_id().as_ref() != Some(&image.0));
        if let Some(original) = original {
            // With all tags taken by the spec there is no room to say it, and the image shows as another one.
            let tag = sdk::Tag::make(IMAGE_TAG, &original.0).map_err(unbuildable(action))?;
            if let Some(tags) = tags.tags.as_mut().filter(|t| t.len() < super::TAGS_MAX) {
                tags.push(tag);
            }
        }
        let call = call.tag_specifications(tags).client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action)).map_err(profile_is_new);
        let made = made.map_err(|mut f| {
            // An image that was registered a moment ago.
            if f.code == "InvalidAMIID.Unavailable" {
                f.class = Class::Busy;
            }
            f
        })?;
        held(action, "instanceId", made.instances.unwrap_or_default().pop().and_then(|i| i.instance_id))
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let changes = async {
            // In order: a protection from being stopped would refuse the stop.
            let mut failures = vec![];
            for todo in Todo::all(now, want) {
                failures.extend(todo.send(cx, id, want).await.err());
            }
            // One that may pass first, so that the next attempt leaves those that stay.
            failures.sort_by_key(|f| !f.is_passing());
            failures.into_iter().next().map_or(Ok(()), Err)
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(changes)];
        all(calls).await
    }
    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        use sdk::InstanceStateName::{Running, ShuttingDown, Stopped, Terminated};
        let here = instances(cx, Some(vec![filter("instance-id", [id])])).await?.pop();
        let Some(i) = here else { return Ok(Settled::Waiting("not listed yet".into())) };
        let state = i.state.and_then(|s| s.name);
        let word = state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match state {
            Some(Running | Stopped) => Settled::Ready,
            // Such as a key that may not be used for its volumes, or no room: said only here.
            Some(ShuttingDown | Terminated) => Settled::Failed(i.state_reason.and_then(|r| r.message).unwrap_or(word)),
            _ => Settled::Waiting(word),
        })
    }
    fn readiness(id: &str, spec: &Spec, _copies: &Copies) -> Ready {
        if spec.disable_api_termination == Some(true) {
            let lost = "nothing: AWS refuses to terminate it while its protection is on".to_owned();
            return Ready { cost: Cost::Nothing, lost, remedy: None };
        }
        Ready {
            cost: Cost::Memory,
            lost: "its memory, its instance store, and the volumes that go with it: see those".into(),
            remedy: Some(format!("aws ec2 modify-instance-attribute --instance-id {id} --disable-api-termination")),
        }
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:RunInstances"] };
        let mut out = tag_calls(&now.tags, &want.tags);
        out.extend(Todo::all(now, want).into_iter().map(Todo::action));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, spec as typed},
        *,
    };
    use crate::aws::canned::{Answer, Call, Canned};
    use serde_json::{Value, json};

    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }
    fn device(name: &str, volume: &str, goes: bool) -> Value {
        json!({"device_name": name, "ebs": {"volume_id": {"$late": "ec2:volume", "id": volume}, "delete_on_termination": goes, "size": 8, "volume_type": "gp3", "iops": 3000}})
    }
    fn want() -> Value {
        json!({
            "image_id": {"$ref": "ec2:image", "id": "ami-1"}, "instance_type": "m5.large", "root_device_name": "/dev/xvda", "architecture": "x86_64", "virtualization_type": "hvm", "ena_support": true,
            "block_device_mappings": [device("/dev/xvda", "vol-root", true), device("/dev/sdf", "vol-data", true), device("/dev/sdg", "vol-own", false), device("/dev/sdh", "vol-none", true)],
            "network_interfaces": [{"network_interface_id": {"$late": "ec2:network-interface", "id": "eni-1"}, "subnet_id": {"$ref": "ec2:subnet", "id": "subnet-1"}, "private_ip_address": "10.0.0.7", "private_ip_addresses": [{"primary": true, "private_ip_address": "10.0.0.7"}], "groups": [{"group_id": {"$ref": "ec2:security-group", "id": "sg-1"}}], "attachment": {"device_index": 0, "delete_on_termination": true}}],
        })
    }
    const IMAGE: &str = "<imagesSet><item><imageId>ami-1</imageId><blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-i</snapshotId></ebs></item><item><deviceName>/dev/sdz</deviceName><ebs><snapshotId>snap-z</snapshotId></ebs></item></blockDeviceMapping></item></imagesSet>";
    fn aws(snapshots: &'static str) -> Canned {
        Canned::new(move |call| match call.action.as_str() {
            "DescribeImages" if call.get("Filter.1.Name") == "image-id" => IMAGE.into(),
            "DescribeSnapshots" => Answer::Ok(format!("<snapshotSet>{snapshots}</snapshotSet>")),
            "RegisterImage" => "<imageId>ami-root</imageId>".into(),
            "RunInstances" => "<instancesSet><item><instanceId>i-9</instanceId></item></instancesSet>".into(),
            _ => "".into(),
        })
    }
    fn snapshot_of(volume: &str, id: &str) -> String {
        format!(
            "<item><snapshotId>{id}</snapshotId><volumeId>{volume}</volumeId><status>completed</status><startTime>2026-01-01T00:00:00Z</startTime></item>"
        )
    }
    /// The launch alone, without its tags.
    fn launch(calls: Vec<Call>) -> Vec<String> {
        let run = calls.iter().find(|c| c.action == "RunInstances").unwrap().text();
        run.split(' ').skip(1).filter(|p| !p.starts_with("TagSpecification")).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn h15_h21_a_launch_has_the_address_and_the_newest_copies_and_nothing_that_has_its_own_step() {
        let snapshots: &'static str = snapshot_of("vol-data", "snap-d").leak();
        let canned = aws(snapshots);
        assert_eq!(Instance::create(&canned.cx(), &typed::<Instance>(&want()), &step()).await.unwrap(), "i-9");
        assert_eq!(
            launch(canned.asked()),
            [
                "BlockDeviceMapping.1.DeviceName=/dev/sdf",
                "BlockDeviceMapping.1.Ebs.DeleteOnTermination=true",
                "BlockDeviceMapping.1.Ebs.Iops=3000",
                "BlockDeviceMapping.1.Ebs.SnapshotId=snap-d",
                "BlockDeviceMapping.1.Ebs.VolumeSize=8",
                "BlockDeviceMapping.1.Ebs.VolumeType=gp3",
                "BlockDeviceMapping.2.DeviceName=/dev/xvda",
                "BlockDeviceMapping.2.Ebs.DeleteOnTermination=true",
                "BlockDeviceMapping.2.Ebs.Iops=3000",
                "BlockDeviceMapping.2.Ebs.VolumeSize=8",
                "BlockDeviceMapping.2.Ebs.VolumeType=gp3",
                "BlockDeviceMapping.3.DeviceName=/dev/sdz",
                "BlockDeviceMapping.3.NoDevice=",
                "ClientToken=rollbackd-r1-3",
                "ImageId=ami-1",
                "InstanceType=m5.large",
                "MaxCount=1",
                "MinCount=1",
                "NetworkInterface.1.AssociatePublicIpAddress=false",
                "NetworkInterface.1.DeleteOnTermination=true",
                "NetworkInterface.1.DeviceIndex=0",
                "NetworkInterface.1.PrivateIpAddress=10.0.0.7",
                "NetworkInterface.1.SecurityGroupId.1=sg-1",
                "NetworkInterface.1.SubnetId=subnet-1",
            ]
        );
    }

    #[tokio::test]
    async fn h21_the_root_comes_from_its_newest_copy_through_an_image_of_it() {
        let snapshots: &'static str = snapshot_of("vol-root", "snap-r").leak();
        let canned = aws(snapshots);
        Instance::create(&canned.cx(), &typed::<Instance>(&want()), &step()).await.unwrap();
        let calls = canned.asked();
        let register = calls.iter().find(|c| c.action == "RegisterImage").unwrap();
        assert_eq!(
            (register.get("Name"), register.get("BlockDeviceMapping.1.Ebs.SnapshotId"), register.get("Architecture")),
            ("rollbackd root snap-r", "snap-r", "x86_64")
        );
        let run = calls.iter().find(|c| c.action == "RunInstances").unwrap().text();
        assert!(run.contains("Key=rollbackd:image") && run.contains("Value=ami-1"), "{run}");
        assert!(launch(calls).contains(&"ImageId=ami-root".to_owned()));
        // A licence cannot be registered: such a root begins as its image.
        let mut windows = want();
        windows["platform_details"] = "Windows".into();
        Instance::create(&canned.cx(), &typed::<Instance>(&windows), &step()).await.unwrap();
        assert!(launch(canned.asked()).contains(&"ImageId=ami-1".to_owned()));
    }

    #[tokio::test]
    async fn h21_an_image_of_the_same_copy_is_used_again_and_none_of_somebody_else() {
        let snapshots: &'static str = snapshot_of("vol-root", "snap-r").leak();
        let canned = Canned::new(move |call| match call.action.as_str() {
            // Images of a name, where the owner is not said, are anybody's public ones too.
            "DescribeImages" if call.get("Filter.1.Name") == "name" => {
                let ours = call.get("Filter.2.Name") == "owner-id" && call.get("Filter.2.Value.1") == "111122223333";
                let image = if ours { "ami-earlier" } else { "ami-foreign" };
                Answer::Ok(format!("<imagesSet><item><imageId>{image}</imageId></item></imagesSet>"))
            }
            "DescribeImages" => IMAGE.into(),
            "DescribeSnapshots" => Answer::Ok(format!("<snapshotSet>{snapshots}</snapshotSet>")),
            "RunInstances" => "<instancesSet><item><instanceId>i-9</instanceId></item></instancesSet>".into(),
            _ => "".into(),
        });
        Instance::create(&canned.cx(), &typed::<Instance>(&want()), &step()).await.unwrap();
        let calls = canned.asked();
        assert!(calls.iter().all(|c| c.action != "RegisterImage"));
        assert!(launch(calls).contains(&"ImageId=ami-earlier".to_owned()));
    }

    #[tokio::test]
    async fn h21_an_image_that_stands_for_another_is_read_as_that_one() {
        let row = |tag: &str| {
            format!(
                "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><imageId>ami-root</imageId><instanceState><name>running</name></instanceState><tagSet><item><key>{tag}</key><value>ami-1</value></item></tagSet></item></instancesSet></item></reservationSet>"
            )
        };
        for (tag, image, root) in [(IMAGE_TAG, "ami-1", Some("ami-root")), ("image", "ami-root", None)] {
            let row = row(tag);
            let canned = Canned::new(move |call| match call.action.as_str() {
                "DescribeInstances" => Answer::Ok(row.clone()),
                _ => "".into(),
            });
            let spec = Instance::read(&canned.cx(), "i-1").await.unwrap().unwrap().spec;
            assert_eq!((spec.image_id.unwrap().0.as_str(), spec.root_image.as_deref()), (image, root));
        }
    }

    #[tokio::test]
    async fn h15_h21_what_survived_is_used_again() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeVolumes" => "<volumeSet><item><volumeId>vol-data</volumeId><status>available</status></item></volumeSet>".into(),
            "DescribeNetworkInterfaces" => "<networkInterfaceSet><item><networkInterfaceId>eni-1</networkInterfaceId><status>available</status></item></networkInterfaceSet>".into(),
            "RunInstances" => "<instancesSet><item><instanceId>i-9</instanceId></item></instancesSet>".into(),
            _ => "".into(),
        }
        });
        Instance::create(&canned.cx(), &typed::<Instance>(&want()), &step()).await.unwrap();
        let launch = launch(canned.asked());
        assert!(!launch.iter().any(|p| p.ends_with("=/dev/sdf")), "{launch:?}");
        let interface: Vec<_> = launch.iter().filter(|p| p.starts_with("NetworkInterface.")).collect();
        assert_eq!(interface, ["NetworkInterface.1.DeviceIndex=0", "NetworkInterface.1.NetworkInterfaceId=eni-1"]);
    }

    #[tokio::test]
    async fn h46_a_profile_that_ec2_does_not_know_yet_is_waited_for() {
        let canned = Canned::new(|call| match call.action.as_str() {
            "RunInstances" => Answer::Error(
                400,
                "InvalidParameterValue",
                "Value (arn) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN",
            ),
            _ => "".into(),
        });
        let f = Instance::create(&canned.cx(), &typed::<Instance>(&want()), &step()).await.unwrap_err();
        assert_eq!(f.class, Class::Busy);
    }

    #[tokio::test]
    async fn options_that_a_type_may_refuse_are_said_only_where_they_are_not_its_own() {
        let types = "<instanceTypeSet><item><vCpuInfo><defaultCores>1</defaultCores><defaultThreadsPerCore>2</defaultThreadsPerCore></vCpuInfo></item></instanceTypeSet>";
        let canned = Canned::new(move |call| match call.action.as_str() {
            "DescribeInstanceTypes" => types.into(),
            "RunInstances" => "<instancesSet><item><instanceId>i-9</instanceId></item></instancesSet>".into(),
            _ => "".into(),
        });
        let mut want = want();
        want["cpu_options"] = json!({"core_count": 1, "threads_per_core": 2, "amd_sev_snp": "disabled"});
        want["ebs_optimized"] = false.into();
        want["enclave_options"] = json!({"enabled": false});
        want["hibernation_options"] = json!({"configured": false});
        (want["stopped"], want["disable_api_stop"], want["disable_api_termination"]) =
            (true.into(), true.into(), true.into());
        Instance::create(&canned.cx(), &typed::<Instance>(&want), &step()).await.unwrap();
        let sent = launch(canned.asked()).join(" ");
        for word in ["Cpu", "Ebs.Optimized", "EbsOptimized", "Enclave", "Hibernation", "DisableApiStop"] {
            assert!(!sent.contains(word), "{word}: {sent}");
        }
        assert!(sent.contains("DisableApiTermination=true"));
        want["cpu_options"]["threads_per_core"] = 1.into();
        Instance::create(&canned.cx(), &typed::<Instance>(&want), &step()).await.unwrap();
        assert!(launch(canned.asked()).contains(&"CpuOptions.ThreadsPerCore=1".to_owned()));
    }

    #[tokio::test]
    async fn h21_h22_terminated_ones_and_members_of_groups_are_not_there() {
        let row = |id: &str, state: &str, tag: &str| {
            format!(
                "<item><instanceId>{id}</instanceId><instanceState><name>{state}</name></instanceState><instanceType>t3.micro</instanceType><keyName>ops</keyName><tagSet><item><key>{tag}</key><value>x</value></item></tagSet><blockDeviceMapping><item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId></ebs></item></blockDeviceMapping><networkInterfaceSet><item><networkInterfaceId>eni-2</networkInterfaceId><attachment><deviceIndex>1</deviceIndex></attachment></item><item><networkInterfaceId>eni-1</networkInterfaceId><attachment><deviceIndex>0</deviceIndex></attachment><association><ipOwnerId>amazon</ipOwnerId></association></item></networkInterfaceSet></item>"
            )
        };
        let rows = [
            row("i-1", "stopped", "Name"),
            row("i-2", "terminated", "Name"),
            row("i-3", "shutting-down", "Name"),
            row("i-4", "running", "aws:autoscaling:groupName"),
        ]
        .concat();
        let canned = Canned::new(move |call| {
            match (call.action.as_str(), call.get("Attribute")) {
            ("DescribeInstances", _) => Answer::Ok(format!("<reservationSet><item><instancesSet>{rows}</instancesSet></item></reservationSet>")),
            ("DescribeInstanceAttribute", "userData") => "<instanceId>i-1</instanceId><userData><value>IyEvYmluL3No</value></userData>".into(),
            ("DescribeInstanceAttribute", "disableApiTermination") => "<disableApiTermination><value>true</value></disableApiTermination>".into(),
            ("DescribeInstanceCreditSpecifications", _) => "<instanceCreditSpecificationSet><item><instanceId>i-1</instanceId><cpuCredits>unlimited</cpuCredits></item></instanceCreditSpecificationSet>".into(),
            ("DescribeVolumes", _) => "<volumeSet><item><volumeId>vol-1</volumeId><size>8</size><volumeType>gp2</volumeType><iops>100</iops></item></volumeSet>".into(),
            ("DescribeKeyPairs", _) => "<keySet><item><keyPairId>key-1</keyPairId><keyName>ops</keyName></item></keySet>".into(),
            _ => "".into(),
        }
        });
        let seen = Instance::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["i-1"]);
        let s = &seen[0].spec;
        assert_eq!((s.stopped, s.disable_api_termination, s.disable_api_stop), (Some(true), Some(true), None));
        assert_eq!((s.user_data.as_deref(), s.cpu_credits.as_deref()), (Some("IyEvYmluL3No"), Some("unlimited")));
        assert_eq!(s.key_pair.as_ref().unwrap().0, "key-1");
        let ebs = s.block_device_mappings[0].ebs.as_ref().unwrap();
        assert_eq!((ebs.size, ebs.iops), (Some(8), None));
        assert_eq!(s.network_interfaces.len(), 1);
        assert_eq!(s.network_interfaces[0].associate_public_ip_address, Some(true));
    }

    #[tokio::test]
    async fn options_change_in_place_and_a_stopped_one_is_stopped_again() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeIamInstanceProfileAssociations" => "<iamInstanceProfileAssociationSet><item><associationId>iip-assoc-1</associationId><state>associated</state></item></iamInstanceProfileAssociationSet>".into(),
            _ => "<return>true</return>".into(),
        }
        });
        let profile = |name: &str| json!({"arn": {"$ref": "iam:instance-profile", "id": name}});
        let now = json!({"iam_instance_profile": profile("arn:a"), "metadata_options": {"http_tokens": "optional"}, "cpu_credits": "standard"});
        let want = json!({"iam_instance_profile": profile("arn:b"), "metadata_options": {"http_tokens": "required", "http_put_response_hop_limit": 1}, "cpu_credits": "unlimited", "maintenance_options": {"auto_recovery": "disabled"}, "stopped": true, "disable_api_stop": true, "disable_api_termination": true, "instance_initiated_shutdown_behavior": "terminate", "detailed_monitoring": true});
        assert_eq!(
            foretold::<Instance>(&canned, "i-1", &now, &want).await,
            [
                "StopInstances InstanceId.1=i-1",
                "ModifyInstanceAttribute DisableApiStop.Value=true InstanceId=i-1",
                "ModifyInstanceAttribute DisableApiTermination.Value=true InstanceId=i-1",
                "ModifyInstanceAttribute InstanceId=i-1 InstanceInitiatedShutdownBehavior.Value=terminate",
                "ModifyInstanceMetadataOptions HttpPutResponseHopLimit=1 HttpTokens=required InstanceId=i-1",
                "ModifyInstanceCreditSpecification InstanceCreditSpecification.1.CpuCredits=unlimited InstanceCreditSpecification.1.InstanceId=i-1",
                "ModifyInstanceMaintenanceOptions AutoRecovery=disabled InstanceId=i-1",
                "MonitorInstances InstanceId.1=i-1",
                "ReplaceIamInstanceProfileAssociation AssociationId=iip-assoc-1 IamInstanceProfile.Arn=arn:b",
            ]
        );
        let calls = foretold::<Instance>(&canned, "i-1", &want, &json!({})).await;
        assert_eq!(calls[0], "StartInstances InstanceId.1=i-1");
        assert!(calls.iter().any(|c| c == "DisassociateIamInstanceProfile AssociationId=iip-assoc-1"), "{calls:?}");
    }

    #[tokio::test]
    async fn a_launch_that_fails_says_why() {
        let row = |state: &str| {
            format!(
                "<reservationSet><item><instancesSet><item><instanceId>i-1</instanceId><instanceState><name>{state}</name></instanceState><stateReason><message>Client.InternalError: Client error on launch</message></stateReason></item></instancesSet></item></reservationSet>"
            )
        };
        for (state, settled) in [
            ("running", Settled::Ready),
            ("stopped", Settled::Ready),
            ("pending", Settled::Waiting("pending".into())),
            ("terminated", Settled::Failed("Client.InternalError: Client error on launch".into())),
        ] {
            let row = row(state);
            let canned = Canned::new(move |_| Answer::Ok(row.clone()));
            assert_eq!(Instance::settled(&canned.cx(), "i-1").await.unwrap(), settled);
        }
    }
}
