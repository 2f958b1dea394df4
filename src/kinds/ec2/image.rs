//! `ec2:image`: of the account's own. The recycle bin gives it back under its id (H24); else it is registered again from its
//! snapshots, under the same name and a new id. Both need the snapshots, so those come first.
use super::{
    all, converge_tags, failed, filter, found, held, is_not_there, only, tag_calls, tags_on_create, unbuildable, volume,
};
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
        readiness::{Copies, Cost, Ready},
    },
};
use aws_sdk_ec2::{
    operation::{
        describe_image_attribute::DescribeImageAttributeOutput,
        modify_image_attribute::builders::ModifyImageAttributeInputBuilder,
        register_image::builders::RegisterImageInputBuilder,
    },
    types as sdk,
};
use futures_util::{
    future::BoxFuture,
    stream::{self, StreamExt, TryStreamExt},
};

mirror! {
    Spec from sdk::Image;
    keep {
        image_id @ "imageId": Option<LateRef<ec2::Image>>,
        name @ "name": Option<String>,
        description @ "description": Option<String>,
        architecture @ "architecture": Option<String>,
        virtualization_type @ "virtualizationType": Option<String>,
        image_location @ "imageLocation": Option<String>,
        root_device_name @ "rootDeviceName": Option<String>,
        block_device_mappings @ "blockDeviceMapping": Set<BlockDeviceMapping>,
        ena_support @ "enaSupport": Option<bool>,
        sriov_net_support @ "sriovNetSupport": Option<String>,
        boot_mode @ "bootMode": Option<String>,
        tpm_support @ "tpmSupport": Option<String>,
        imds_support @ "imdsSupport": Option<String>,
        kernel_id @ "kernelId": Option<String>,
        ramdisk_id @ "ramdiskId": Option<String>,
        deprecation_time @ "deprecationTime": Option<String>,
        deregistration_protection @ "deregistrationProtection": Option<String>,
        tags @ "tagSet": Tags,
    }
    report {
        platform_details @ "platformDetails": Option<String> = "its licence: the recycle bin and CopyImage keep it, no registration gives it",
        image_watermarks @ "imageWatermarkSet": Set<ImageWatermark> = "says which images it was made from: a person attaches it",
        instance_type_specification @ "instanceTypeSpecification": Option<InstanceTypeSpecification> = "which types it is meant for: nothing is enforced by it",
    }
    drop {
        public @ "isPublic": "the launch permission of the group `all` says it",
        usage_operation @ "usageOperation": "its licence as a code: platform_details",
        platform @ "platform": "its licence: platform_details",
        product_codes @ "productCodes": "only the marketplace sets it",
        source_instance_id @ "sourceInstanceId": "what it was made from; its content is in its snapshots",
        source_image_id @ "sourceImageId": "what it was copied from; its content is in its snapshots",
        source_image_region @ "sourceImageRegion": "what it was copied from; its content is in its snapshots",
        hypervisor @ "hypervisor": "follows from the virtualization type",
        image_owner_alias @ "imageOwnerAlias": "the account; part of the key",
        owner_id @ "imageOwnerId": "the account; part of the key",
        root_device_type @ "rootDeviceType": "follows from the block devices",
        state @ "imageState": "`disabled` has what of it is configuration; see settled()",
        state_reason @ "stateReason": "runtime state; see settled()",
        last_launched_time @ "lastLaunchedTime": "runtime: a time",
        creation_date @ "creationDate": "runtime: a time",
        image_allowed @ "imageAllowed": "follows from the account's settings",
        free_tier_eligible @ "freeTierEligible": "follows from the account's plan",
        public_ssm_parameter_name @ "publicSsmParameterName": "of AWS's own images",
        scan_results @ "scanResults": "runtime state of a scanner",
        image_type @ "imageType": "a machine image, unless it is a kernel of old",
    }
    also {
        disabled: Option<bool>, // only true is written
        launch_permissions: Set<LaunchPermission>, // DescribeImageAttribute
        uefi_data: Option<String> // DescribeImageAttribute
    }
}

mirror! {
    BlockDeviceMapping from sdk::BlockDeviceMapping, key [device_name];
    keep {
        device_name @ "deviceName": Option<String>,
        virtual_name @ "virtualName": Option<String>,
        no_device @ "noDevice": Option<String>,
        ebs @ "ebs": Option<EbsBlockDevice>,
    }
}

mirror! {
    EbsBlockDevice from sdk::EbsBlockDevice;
    keep {
        snapshot_id @ "snapshotId": Option<Ref<ec2::Snapshot>>,
        delete_on_termination @ "deleteOnTermination": Option<bool>,
        volume_size @ "volumeSize": Option<i32>,
        volume_type @ "volumeType": Option<String>,
        iops @ "iops": Option<i32>,
        throughput @ "throughput": Option<i32>,
        encrypted @ "encrypted": Option<bool>,
        kms_key_id @ "kmsKeyId": Option<Ref<kms::Key>>,
        outpost_arn @ "outpostArn": Option<Ref<outposts::Outpost>>,
        availability_zone @ "availabilityZone": Option<String>,
        availability_zone_id @ "AvailabilityZoneId": Option<String>,
        volume_initialization_rate @ "VolumeInitializationRate": Option<i32>,
        ebs_card_index @ "EbsCardIndex": Option<i32>,
    }
}

mirror! {
    ImageWatermark from sdk::ImageWatermark;
    keep {
        watermark_key @ "watermarkKey": Option<String>,
    }
    drop {
        source_image_region @ "sourceImageRegion": "runtime: where the mark was first attached",
        source_image_id @ "sourceImageId": "runtime: where the mark was first attached",
        source_image_creation_time @ "sourceImageCreationTime": "runtime: a time",
        watermark_creation_time @ "watermarkCreationTime": "runtime: a time",
    }
}

mirror! {
    InstanceTypeSpecification from sdk::InstanceTypeSpecification;
    keep {
        supported_instance_types @ "supportedInstanceTypeSet": Set<InstanceTypeItem>,
        unsupported_instance_types @ "unsupportedInstanceTypeSet": Set<InstanceTypeItem>,
    }
}

mirror! {
    InstanceTypeItem from sdk::InstanceTypeItem;
    keep {
        instance_type @ "instanceType": Option<String>,
    }
}

mirror! {
    Attribute from DescribeImageAttributeOutput;
    keep {
        launch_permissions @ "launchPermission": Set<LaunchPermission>,
        uefi_data @ "uefiData": Option<AttributeValue>,
    }
    drop {
        product_codes @ "productCodes": "only the marketplace sets it",
        description @ "description": "repeats the main read",
        kernel_id @ "kernel": "repeats the main read",
        ramdisk_id @ "ramdisk": "repeats the main read",
        sriov_net_support @ "sriovNetSupport": "repeats the main read",
        boot_mode @ "bootMode": "repeats the main read",
        tpm_support @ "tpmSupport": "repeats the main read",
        last_launched_time @ "lastLaunchedTime": "runtime: a time",
        imds_support @ "imdsSupport": "repeats the main read",
        deregistration_protection @ "deregistrationProtection": "repeats the main read",
        image_id @ "imageId": "the resource itself",
        block_device_mappings @ "blockDeviceMapping": "repeats the main read",
    }
}

mirror! {
    AttributeValue from sdk::AttributeValue;
    keep {
        value @ "value": Option<String>,
    }
}

mirror! {
    LaunchPermission from sdk::LaunchPermission, key [group, user_id, organization_arn, organizational_unit_arn];
    keep {
        group @ "group": Option<String>,
        user_id @ "userId": Option<String>,
        organization_arn @ "organizationArn": Option<String>,
        organizational_unit_arn @ "organizationalUnitArn": Option<String>,
    }
}

input! {
    Spec => register_image(RegisterImageInputBuilder);
    set {
        set_name: name,
        set_description: description,
        set_architecture: architecture,
        set_virtualization_type: virtualization_type,
        set_image_location: image_location,
        set_root_device_name: root_device_name,
        set_ena_support: ena_support,
        set_sriov_net_support: sriov_net_support,
        set_boot_mode: boot_mode,
        set_tpm_support: tpm_support,
        set_imds_support: imds_support,
        set_kernel_id: kernel_id,
        set_ramdisk_id: ramdisk_id,
        set_uefi_data: uefi_data,
    }
    leave {
        block_device_mappings: "without what a snapshot says itself: registered()",
        billing_products: "for accounts that AWS has allowed to set licences",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_image_attribute(ModifyImageAttributeInputBuilder);
    leave {
        description: "one attribute a call: converge()",
        launch_permission: "one attribute a call: converge()",
        imds_support: "one attribute a call: converge()",
        attribute: "the members of the call say it",
        operation_type: "launch_permission says it",
        user_groups: "launch_permission says it",
        user_ids: "launch_permission says it",
        organization_arns: "launch_permission says it",
        organizational_unit_arns: "launch_permission says it",
        product_codes: "only the marketplace sets it",
        value: "the members of the call say it",
        image_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    BlockDeviceMapping => sdk::BlockDeviceMapping;
    set {
        set_device_name: device_name,
        set_virtual_name: virtual_name,
        set_no_device: no_device,
        set_ebs: ebs,
    }
}

input! {
    EbsBlockDevice => sdk::EbsBlockDevice;
    set {
        set_snapshot_id: snapshot_id,
        set_delete_on_termination: delete_on_termination,
        set_volume_size: volume_size,
        set_volume_type: volume_type,
        set_iops: iops,
        set_throughput: throughput,
        set_encrypted: encrypted,
        set_outpost_arn: outpost_arn,
        set_availability_zone: availability_zone,
        set_volume_initialization_rate: volume_initialization_rate,
        set_ebs_card_index: ebs_card_index,
    }
    leave {
        kms_key_id: "no registration takes it: the snapshot says it",
        availability_zone_id: "availability_zone says it, and AWS refuses both",
    }
}

input! {
    LaunchPermission => sdk::LaunchPermission;
    set {
        set_group: group,
        set_user_id: user_id,
        set_organization_arn: organization_arn,
        set_organizational_unit_arn: organizational_unit_arn,
    }
}

pub struct Image;

fn is_alive(i: &sdk::Image) -> bool {
    use sdk::ImageState::{Deregistered, Error, Failed, Invalid};
    !matches!(i.state, Some(Deregistered | Error | Failed | Invalid))
}

async fn images(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::Image>, Failure> {
    // Deprecated and disabled ones too: to leave them out would make them look deleted.
    let call = cx.ec2.describe_images().owners("self").include_deprecated(true).include_disabled(true);
    let pages = call.set_filters(filters).into_paginator().page_size(super::PAGE_ROWS);
    pages.items().send().try_collect().await.map_err(failed("ec2:DescribeImages"))
}

async fn attribute(cx: &Cx, id: &str, name: sdk::ImageAttributeName) -> Result<Option<Attribute>, Failure> {
    let answer = cx.ec2.describe_image_attribute().image_id(id).attribute(name).send().await;
    Ok(found(answer.map_err(failed("ec2:DescribeImageAttribute")))?.map(|a| Attribute::from_sdk(&a)))
}

async fn one(cx: &Cx, i: sdk::Image) -> Result<Option<Seen<Spec>>, Failure> {
    let Some(id) = i.image_id.clone().filter(|_| is_alive(&i)) else { return Ok(None) };
    let mut spec = Spec::from_sdk(&i);
    let Some(sharing) = attribute(cx, &id, sdk::ImageAttributeName::LaunchPermission).await? else { return Ok(None) };
    spec.launch_permissions = sharing.launch_permissions;
    // Only those that boot by UEFI can hold its variables.
    if spec.boot_mode.as_deref().is_some_and(|b| b.starts_with("uefi")) {
        let variables = attribute(cx, &id, sdk::ImageAttributeName::UefiData).await?;
        spec.uefi_data = variables.and_then(|a| a.uefi_data?.value).filter(|v| !v.is_empty());
    }
    spec.disabled = (i.state == Some(sdk::ImageState::Disabled)).then_some(true);
    spec.description = spec.description.filter(|d| !d.is_empty());
    // Elsewhere it is OWNER/NAME, which no call takes.
    spec.image_location = spec.image_location.filter(|_| i.root_device_type == Some(sdk::DeviceType::InstanceStore));
    spec.deregistration_protection = spec.deregistration_protection.filter(|p| p != "disabled");
    let mut rows = spec.block_device_mappings.to_vec();
    for ebs in rows.iter_mut().filter_map(|r| r.ebs.as_mut()) {
        let kind = ebs.volume_type.as_deref();
        ebs.iops = ebs.iops.filter(|_| volume::takes_iops(kind));
        ebs.throughput = ebs.throughput.filter(|_| volume::takes_throughput(kind));
    }
    spec.block_device_mappings = rows.into();
    Ok(Some(Seen { id, spec, aliases: vec![] }))
}

async fn whole(cx: &Cx, all: Vec<sdk::Image>) -> Result<Vec<Seen<Spec>>, Failure> {
    let seen = stream::iter(all).map(|i| one(cx, i)).buffer_unordered(super::READS_AT_ONCE);
    Ok(seen.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
}

/// RegisterImage with all that it takes.
fn registered(spec: &Spec) -> Result<RegisterImageInputBuilder, Failure> {
    let action = "ec2:RegisterImage";
    if let Some(licence) = spec.platform_details.as_deref().filter(|p| *p != "Linux/UNIX") {
        let why =
            format!("it is not in the recycle bin, and an image with the licence `{licence}` cannot be registered");
        return Err(Failure::unbuildable(action, why));
    }
    let mut rows = spec.block_device_mappings.to_vec();
    for ebs in rows.iter_mut().filter_map(|r| r.ebs.as_mut()) {
        // Refused beside a snapshot, which says it itself (EC2 API reference, EbsBlockDevice).
        ebs.encrypted = ebs.encrypted.filter(|_| ebs.snapshot_id.is_none());
    }
    let call = spec.register_image().map_err(unbuildable(action))?;
    Ok(call.set_block_device_mappings(rows.give().map_err(unbuildable(action))?))
}

// ---- changing -----------------------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Todo {
    Enable,
    Unshare,
    Share,
    Describe,
    Imds,
    Deprecate,
    Undeprecate,
    Protect,
    Unprotect,
    Disable,
}
impl Todo {
    fn action(self) -> &'static str {
        match self {
            Self::Enable => "ec2:EnableImage",
            Self::Unshare | Self::Share | Self::Describe | Self::Imds => "ec2:ModifyImageAttribute",
            Self::Deprecate => "ec2:EnableImageDeprecation",
            Self::Undeprecate => "ec2:DisableImageDeprecation",
            Self::Protect => "ec2:EnableImageDeregistrationProtection",
            Self::Unprotect => "ec2:DisableImageDeregistrationProtection",
            Self::Disable => "ec2:DisableImage",
        }
    }
    fn all(now: &Spec, want: &Spec) -> Vec<Self> {
        let disabled = |s: &Spec| s.disabled.unwrap_or_default();
        let mut out = vec![];
        // A disabled image can be shared with nobody, so it is enabled first and disabled last.
        let mut add = |cond: bool, todo: Self| out.extend(cond.then_some(todo));
        add(disabled(now) && !disabled(want), Self::Enable);
        add(!missing(now, want).is_empty(), Self::Unshare);
        add(!missing(want, now).is_empty(), Self::Share);
        add(now.description != want.description, Self::Describe);
        // It can be set and never taken back.
        add(now.imds_support.is_none() && want.imds_support.is_some(), Self::Imds);
        let deprecation = (&now.deprecation_time, &want.deprecation_time);
        add(deprecation.0 != deprecation.1 && deprecation.1.is_some(), Self::Deprecate);
        add(deprecation.0.is_some() && deprecation.1.is_none(), Self::Undeprecate);
        let protection = (&now.deregistration_protection, &want.deregistration_protection);
        add(protection.0 != protection.1 && protection.1.is_some(), Self::Protect);
        add(protection.0.is_some() && protection.1.is_none(), Self::Unprotect);
        add(disabled(want) && !disabled(now), Self::Disable);
        out
    }
    async fn send(self, cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let (action, ec2) = (self.action(), &cx.ec2);
        let modify = || want.modify_image_attribute().map(|c| c.image_id(id)).map_err(unbuildable(action));
        let sharing = |rows: Vec<LaunchPermission>| rows.give().map_err(unbuildable(action));
        match self {
            Self::Enable => ec2.enable_image().image_id(id).send().await.map(drop).map_err(failed(action)),
            Self::Disable => ec2.disable_image().image_id(id).send().await.map(drop).map_err(failed(action)),
            Self::Unshare => {
                let change = sdk::LaunchPermissionModifications::builder().set_remove(sharing(missing(now, want))?);
                modify()?.launch_permission(change.build()).send_with(ec2).await.map(drop).map_err(failed(action))
            }
            Self::Share => {
                let change = sdk::LaunchPermissionModifications::builder().set_add(sharing(missing(want, now))?);
                modify()?.launch_permission(change.build()).send_with(ec2).await.map(drop).map_err(failed(action))
            }
            Self::Describe => {
                let text = sdk::AttributeValue::builder().value(want.description.clone().unwrap_or_default()).build();
                modify()?.description(text).send_with(ec2).await.map(drop).map_err(failed(action))
            }
            Self::Imds => {
                let value = sdk::AttributeValue::builder().set_value(want.imds_support.clone()).build();
                modify()?.imds_support(value).send_with(ec2).await.map(drop).map_err(failed(action))
            }
            Self::Deprecate => {
                let at = want.deprecation_time.clone().map(Stamp).give().map_err(unbuildable(action))?;
                let call = ec2.enable_image_deprecation().image_id(id).set_deprecate_at(at);
                call.send().await.map(drop).map_err(failed(action))
            }
            Self::Undeprecate => {
                ec2.disable_image_deprecation().image_id(id).send().await.map(drop).map_err(failed(action))
            }
            Self::Protect => {
                let cooldown = want.deregistration_protection.as_deref() == Some("enabled-with-cooldown");
                let call = ec2.enable_image_deregistration_protection().image_id(id).with_cooldown(cooldown);
                call.send().await.map(drop).map_err(failed(action))
            }
            Self::Unprotect => {
                let call = ec2.disable_image_deregistration_protection().image_id(id);
                call.send().await.map(drop).map_err(failed(action))
            }
        }
    }
}
/// Permissions that `from` has and `among` lacks.
fn missing(from: &Spec, among: &Spec) -> Vec<LaunchPermission> {
    from.launch_permissions.iter().filter(|p| !among.launch_permissions.contains(p)).cloned().collect()
}

impl Kind for Image {
    type Name = ec2::Image;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &BlockDeviceMapping::COVERAGE,
        &EbsBlockDevice::COVERAGE,
        &ImageWatermark::COVERAGE,
        &InstanceTypeSpecification::COVERAGE,
        &InstanceTypeItem::COVERAGE,
        &Attribute::COVERAGE,
        &AttributeValue::COVERAGE,
        &LaunchPermission::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<RegisterImageInputBuilder>>::TABLE,
        &<Spec as Input<ModifyImageAttributeInputBuilder>>::TABLE,
        &<BlockDeviceMapping as Input<sdk::BlockDeviceMapping>>::TABLE,
        &<EbsBlockDevice as Input<sdk::EbsBlockDevice>>::TABLE,
        &<LaunchPermission as Input<sdk::LaunchPermission>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeImages", "ec2:DescribeImageAttribute"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:RestoreImageFromRecycleBin",
        "ec2:RegisterImage",
        "ec2:ModifyImageAttribute",
        "ec2:EnableImage",
        "ec2:DisableImage",
        "ec2:EnableImageDeprecation",
        "ec2:DisableImageDeprecation",
        "ec2:EnableImageDeregistrationProtection",
        "ec2:DisableImageDeregistrationProtection",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "the id of the image, unless the recycle bin has it",
        "an image whose snapshots are gone, or that carries a licence (such as Windows), unless the recycle bin has it",
        "its watermarks, its fast launch settings, and which instance types it is meant for",
    ];
    const PHASE: Phase = Phase::Data;
    const TERRAFORM: &'static str = "aws_ami";
    // H24: the recycle bin empties itself.
    const PERISHABLE: bool = true;
    const IMMUTABLE: &'static [&'static str] = &[
        "image_id",
        "name",
        "architecture",
        "virtualization_type",
        "image_location",
        "root_device_name",
        "block_device_mappings",
        "ena_support",
        "sriov_net_support",
        "boot_mode",
        "tpm_support",
        "kernel_id",
        "ramdisk_id",
        "uefi_data",
    ];
    const GIVEN: &'static [&'static str] = &["description", "imds_support"];
    const REPORTED: &'static [(&'static str, &'static str)] = &[
        ("platform_details", "a licence comes back with the recycle bin alone"),
        ("image_watermarks", "a person attaches them"),
        ("instance_type_specification", "nothing is enforced by it"),
    ];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let all = images(cx, only("image-id", which)).await?;
        whole(cx, all).await
    }
    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let here = images(cx, Some(vec![filter("image-id", [id])])).await?;
        Ok(whole(cx, here).await?.pop())
    }
    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "image", step).await
    }
    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        if let Some(id) = spec.image_id.as_ref().map(|i| i.0.clone()) {
            // H24: under its own id where the recycle bin has it; an earlier attempt may have taken it out.
            let action = "ec2:RestoreImageFromRecycleBin";
            match cx.ec2.restore_image_from_recycle_bin().image_id(&id).send().await.map_err(failed(action)) {
                Ok(_) => return Ok(id),
                Err(f) if is_not_there(&f) => {
                    let here = images(cx, Some(vec![filter("image-id", [&id])])).await?;
                    if here.iter().any(is_alive) {
                        return Ok(id);
                    }
                }
                Err(f) => return Err(f),
            }
        }
        let action = "ec2:RegisterImage";
        let tags = tags_on_create(sdk::ResourceType::Image, &spec.tags, step)?;
        let call = registered(spec)?.tag_specifications(tags);
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action)).map_err(|mut f| {
            if f.class == Class::NotFound && f.code.starts_with("InvalidSnapshot") {
                f.class = Class::Invalid; // no wait brings a snapshot back
            }
            f
        })?;
        held(action, "imageId", made.image_id)
    }
    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let changes = async {
            let mut failures = vec![];
            for todo in Todo::all(now, want) {
                failures.extend(todo.send(cx, id, now, want).await.err());
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
        use sdk::ImageState::{Available, Disabled, Pending, Transient};
        let here = images(cx, Some(vec![filter("image-id", [id])])).await?.pop();
        let Some(i) = here else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = i.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match i.state {
            Some(Available | Disabled) => Settled::Ready,
            None | Some(Pending | Transient) => Settled::Waiting(word),
            _ => Settled::Failed(i.state_reason.and_then(|r| r.message).unwrap_or(word)),
        })
    }
    fn natural_key(spec: &Spec) -> Option<String> {
        spec.name.clone()
    }
    fn readiness(_id: &str, _spec: &Spec, _copies: &Copies) -> Ready {
        // Deregistered, it is registered again from its snapshots, for as long as those are there.
        let lost = "its id, and all of it once its snapshots are deleted too".to_owned();
        Ready { cost: Cost::Identity, lost, ..super::snapshot::in_the_bin("EC2_IMAGE") }
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        // One of the two: the other finds nothing to do.
        let Some(now) = now else { return vec!["ec2:RestoreImageFromRecycleBin", "ec2:RegisterImage"] };
        let mut out = tag_calls(&now.tags, &want.tags);
        out.extend(Todo::all(now, want).into_iter().map(Todo::action));
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
    use serde_json::{Value, json};

    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }
    fn want() -> Value {
        json!({"image_id": {"$late": "ec2:image", "id": "ami-1"}, "name": "web", "architecture": "x86_64", "virtualization_type": "hvm", "root_device_name": "/dev/xvda", "ena_support": true, "platform_details": "Linux/UNIX",
            "block_device_mappings": [{"device_name": "/dev/xvda", "ebs": {"snapshot_id": {"$ref": "ec2:snapshot", "id": "snap-1"}, "volume_size": 8, "volume_type": "gp3", "encrypted": true, "kms_key_id": {"$ref": "kms:key", "id": "k"}}}]})
    }
    fn aws(in_the_bin: bool) -> Canned {
        Canned::new(move |call| match call.action.as_str() {
            "RestoreImageFromRecycleBin" if in_the_bin => "<return>true</return>".into(),
            "RestoreImageFromRecycleBin" => Answer::Error(400, "InvalidAMIID.NotFound", "not in the recycle bin"),
            "RegisterImage" => "<imageId>ami-9</imageId>".into(),
            _ => "".into(),
        })
    }

    #[tokio::test]
    async fn h24_the_recycle_bin_first_then_registered_from_its_snapshots() {
        let canned = aws(true);
        assert_eq!(Image::create(&canned.cx(), &spec::<Image>(&want()), &step()).await.unwrap(), "ami-1");
        assert_eq!(canned.wrote(), ["RestoreImageFromRecycleBin ImageId=ami-1"]);
        let canned = aws(false);
        assert_eq!(Image::create(&canned.cx(), &spec::<Image>(&want()), &step()).await.unwrap(), "ami-9");
        let text = canned.wrote().pop().unwrap();
        let text = text.split(' ').filter(|p| !p.starts_with("TagSpecification")).collect::<Vec<_>>().join(" ");
        assert_eq!(
            text,
            "RegisterImage Architecture=x86_64 BlockDeviceMapping.1.DeviceName=/dev/xvda BlockDeviceMapping.1.Ebs.SnapshotId=snap-1 BlockDeviceMapping.1.Ebs.VolumeSize=8 BlockDeviceMapping.1.Ebs.VolumeType=gp3 EnaSupport=true Name=web RootDeviceName=/dev/xvda VirtualizationType=hvm"
        );
    }

    #[tokio::test]
    async fn h24_a_licence_is_never_lost_silently() {
        let mut windows = want();
        windows["platform_details"] = "Windows".into();
        let canned = aws(false);
        let f = Image::create(&canned.cx(), &spec::<Image>(&windows), &step()).await.unwrap_err();
        assert!(f.message.contains("licence `Windows`"), "{f}");
        assert!(!canned.wrote().concat().contains("RegisterImage"));
    }

    #[tokio::test]
    async fn deprecated_and_disabled_ones_are_there_and_deregistered_ones_are_not() {
        let canned = Canned::new(|call| {
            match call.action.as_str() {
            "DescribeImages" => "<imagesSet><item><imageId>ami-1</imageId><imageState>disabled</imageState><rootDeviceType>ebs</rootDeviceType><imageLocation>1/web</imageLocation><deregistrationProtection>disabled</deregistrationProtection></item><item><imageId>ami-2</imageId><imageState>deregistered</imageState></item></imagesSet>".into(),
            _ => "<launchPermission><item><userId>222233334444</userId></item></launchPermission>".into(),
        }
        });
        let seen = Image::look(&canned.cx(), Which::All).await.unwrap();
        let asked = canned.asked();
        assert_eq!(
            (asked[0].get("Owner.1"), asked[0].get("IncludeDeprecated"), asked[0].get("IncludeDisabled")),
            ("self", "true", "true")
        );
        assert_eq!(seen.len(), 1);
        let s = &seen[0].spec;
        assert_eq!((s.disabled, &s.image_location, &s.deregistration_protection), (Some(true), &None, &None));
        assert_eq!(s.launch_permissions[0].user_id.as_deref(), Some("222233334444"));
    }

    #[tokio::test]
    async fn attributes_go_one_a_call() {
        let canned = Canned::new(|_| "<return>true</return>".into());
        let now = json!({"disabled": true, "launch_permissions": [{"group": "all"}]});
        let want = json!({"description": "d", "imds_support": "v2.0", "deprecation_time": "2027-01-01T00:00:00Z", "deregistration_protection": "enabled-with-cooldown", "launch_permissions": [{"user_id": "222233334444"}]});
        assert_eq!(
            foretold::<Image>(&canned, "ami-1", &now, &want).await,
            [
                "EnableImage ImageId=ami-1",
                "ModifyImageAttribute ImageId=ami-1 LaunchPermission.Remove.1.Group=all",
                "ModifyImageAttribute ImageId=ami-1 LaunchPermission.Add.1.UserId=222233334444",
                "ModifyImageAttribute Description.Value=d ImageId=ami-1",
                "ModifyImageAttribute ImageId=ami-1 ImdsSupport.Value=v2.0",
                "EnableImageDeprecation DeprecateAt=2027-01-01T00:00:00Z ImageId=ami-1",
                "EnableImageDeregistrationProtection ImageId=ami-1 WithCooldown=true",
            ]
        );
        let back = foretold::<Image>(
            &canned,
            "ami-1",
            &want,
            &json!({"disabled": true, "imds_support": "v2.0", "description": "d"}),
        )
        .await;
        assert_eq!(
            back,
            [
                "ModifyImageAttribute ImageId=ami-1 LaunchPermission.Remove.1.UserId=222233334444",
                "DisableImageDeprecation ImageId=ami-1",
                "DisableImageDeregistrationProtection ImageId=ami-1",
                "DisableImage ImageId=ami-1",
            ]
        );
    }

    #[tokio::test]
    async fn settled_says_the_state() {
        for (state, settled) in [
            ("available", Settled::Ready),
            ("pending", Settled::Waiting("pending".into())),
            ("failed", Settled::Failed("failed".into())),
        ] {
            let canned = Canned::new(move |_| {
                Answer::Ok(format!("<imagesSet><item><imageState>{state}</imageState></item></imagesSet>"))
            });
            assert_eq!(Image::settled(&canned.cx(), "ami-1").await.unwrap(), settled);
        }
    }
}
