//! Kinds of EC2 against the emulator: made with every option that it keeps, read, deleted, made again by the kind, read
//! back equal through the remap; and a second converge finds nothing to do.
use aws_sdk_ec2::{Client, types as sdk};
use kit::Emulator;
use rollbackd::{
    aws::Cx,
    kinds::{AnyKind, Step, Which, registry},
    model::{KindName, reference::Remap},
};
use serde_json::Value;
use std::time::Duration;

struct World {
    cx: Cx,
    remap: Remap,
    steps: u32,
}

fn kind(name: &str) -> &'static dyn AnyKind {
    registry::kind(&name.parse().unwrap()).unwrap()
}

impl World {
    async fn new() -> World {
        let emulator = Emulator::shared().await;
        let account = emulator.new_account();
        let credentials = emulator.credentials(&account).await;
        let config = emulator.sdk_config(&credentials, "eu-west-1", &emulator.endpoint());
        let ec2 = Client::new(&config);
        let rds = aws_sdk_rds::Client::new(&config);
        let scope = format!("aws/{account}/eu-west-1").parse().unwrap();
        World { cx: Cx { scope, ec2: ec2.clone(), ec2_once: ec2, rds }, remap: Remap::default(), steps: 0 }
    }
    async fn read(&self, name: &str, id: &str) -> Option<Value> {
        kind(name).read(&self.cx, id).await.unwrap().map(|c| c.spec)
    }
    /// Makes it again from a spec: twice asked, once made.
    async fn restore(&mut self, name: &str, old: &str, spec: &Value) -> String {
        let want = self.remap.apply(spec);
        self.steps += 1;
        let step = Step { restore: "r-1".into(), number: self.steps };
        let kind = kind(name);
        let id = match kind.facts().is_implicit {
            is_implicit if is_implicit(&want) => kind.implicit(&self.cx, &want).await.unwrap().unwrap(),
            _ => {
                let id = kind.create(&self.cx, &want, &step).await.unwrap();
                // H64: a retry finds what the first attempt made. What keeps its id needs no tag.
                if id != old {
                    assert_eq!(kind.made_by(&self.cx, &step).await.unwrap(), Some(id.clone()), "{name}");
                }
                id
            }
        };
        let name: KindName = name.parse().unwrap();
        self.remap.insert(&name, old, &id);
        id
    }
    /// Brings it to the spec, and shows that it is there.
    async fn link(&self, name: &str, id: &str, spec: &Value) {
        let want = self.remap.apply(spec);
        let now = self.read(name, id).await.unwrap();
        kind(name).converge(&self.cx, id, &now, &want).await.unwrap();
        let now = self.read(name, id).await.unwrap();
        let differs = differing(kind(name), &now, &want);
        assert!(differs.is_empty(), "{name} {id} differs in {differs:?}\nnow  {now:#}\nwant {want:#}");
        kind(name).converge(&self.cx, id, &now, &want).await.unwrap();
    }
}

/// Members that differ and are not said to be reported only.
fn differing(kind: &dyn AnyKind, now: &Value, want: &Value) -> Vec<String> {
    let facts = kind.facts();
    let names = now.as_object().unwrap().keys().chain(want.as_object().unwrap().keys());
    let mut out: Vec<String> =
        names.filter(|k| now.get(*k) != want.get(*k) && !facts.reported.iter().any(|(m, _)| m == k)).cloned().collect();
    out.dedup();
    out
}

fn tags(kind: sdk::ResourceType, name: &str) -> sdk::TagSpecification {
    let tag = sdk::Tag::builder().key("Name").value(name).build();
    sdk::TagSpecification::builder().resource_type(kind).tags(tag).build()
}

const PUBLIC_KEY: &[u8] =
    b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUV2qHMqYJRZ3qqQGC0vBYOzNrfvR/cGzNSkYqYs ops@example.com";

#[tokio::test]
async fn h25_a_key_pair_comes_back() {
    let mut w = World::new().await;
    let ec2 = w.cx.ec2.clone();
    let made = ec2
        .import_key_pair()
        .key_name("ops")
        .public_key_material(aws_sdk_ec2::primitives::Blob::new(PUBLIC_KEY))
        .tag_specifications(tags(sdk::ResourceType::KeyPair, "ops"))
        .send()
        .await
        .unwrap();
    let id = made.key_pair_id.unwrap();
    let spec = w.read("ec2:key-pair", &id).await.unwrap();
    ec2.delete_key_pair().key_name("ops").send().await.unwrap();
    assert_eq!(w.read("ec2:key-pair", &id).await, None);
    let new = w.restore("ec2:key-pair", &id, &spec).await;
    w.link("ec2:key-pair", &new, &spec).await;
}

#[tokio::test]
async fn h23_a_launch_template_comes_back_with_its_versions() {
    let mut w = World::new().await;
    let ec2 = w.cx.ec2.clone();
    let data = |kind: &str| {
        sdk::RequestLaunchTemplateData::builder()
            .instance_type(kind.into())
            .user_data("IyEvYmluL3No")
            .security_group_ids("sg-0123456789abcdef0")
            .build()
    };
    let made = ec2.create_launch_template().launch_template_name("web").launch_template_data(data("t3.micro"));
    let made = made.tag_specifications(tags(sdk::ResourceType::LaunchTemplate, "web")).send().await.unwrap();
    let id = made.launch_template.unwrap().launch_template_id.unwrap();
    for (kind, text) in [("t3.small", "second"), ("t3.large", "third")] {
        let call = ec2.create_launch_template_version().launch_template_id(&id).version_description(text);
        call.launch_template_data(data(kind)).send().await.unwrap();
    }
    ec2.modify_launch_template().launch_template_id(&id).default_version("2").send().await.unwrap();
    let spec = w.read("ec2:launch-template", &id).await.unwrap();
    assert_eq!(spec["versions"].as_array().unwrap().len(), 3);
    ec2.delete_launch_template().launch_template_id(&id).send().await.unwrap();
    assert_eq!(w.read("ec2:launch-template", &id).await, None);
    let new = w.restore("ec2:launch-template", &id, &spec).await;
    w.link("ec2:launch-template", &new, &spec).await;
    // The agent turns the default away.
    ec2.modify_launch_template().launch_template_id(&new).default_version("1").send().await.unwrap();
    w.link("ec2:launch-template", &new, &spec).await;
}

async fn volume_of(w: &World, kind: sdk::VolumeType) -> String {
    let ec2 = &w.cx.ec2;
    let call = ec2.create_volume().availability_zone("eu-west-1a").size(12).volume_type(kind);
    let made = call.tag_specifications(tags(sdk::ResourceType::Volume, "data")).send().await.unwrap();
    made.volume_id.unwrap()
}

#[tokio::test]
async fn h24_a_volume_comes_back_from_its_newest_snapshot_or_not_at_all() {
    let mut w = World::new().await;
    let ec2 = w.cx.ec2.clone();
    let id = volume_of(&w, sdk::VolumeType::Gp3).await;
    let spec = w.read("ec2:volume", &id).await.unwrap();
    let lost = volume_of(&w, sdk::VolumeType::Gp2).await;
    let lost_spec = w.read("ec2:volume", &lost).await.unwrap();
    ec2.create_snapshot().volume_id(&id).send().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await; // start times are whole seconds here
    let newest = ec2.create_snapshot().volume_id(&id).description("newest").send().await.unwrap().snapshot_id.unwrap();
    for id in [&id, &lost] {
        ec2.delete_volume().volume_id(id).send().await.unwrap();
    }
    let new = w.restore("ec2:volume", &id, &spec).await;
    w.link("ec2:volume", &new, &spec).await;
    assert_eq!(w.read("ec2:volume", &new).await.unwrap()["snapshot_id"], newest.as_str());
    let step = Step { restore: "r-1".into(), number: 99 };
    let f = kind("ec2:volume").create(&w.cx, &lost_spec, &step).await.unwrap_err();
    assert!(f.message.contains("an empty volume is not made silently"), "{f}");
}

#[tokio::test]
async fn a_snapshots_sharing_is_taken_back() {
    let w = World::new().await;
    let ec2 = &w.cx.ec2;
    let volume = volume_of(&w, sdk::VolumeType::Gp3).await;
    let id = ec2.create_snapshot().volume_id(&volume).description("d").send().await.unwrap().snapshot_id.unwrap();
    let all = kind("ec2:snapshot").look(&w.cx, Which::All).await.unwrap();
    assert_eq!(all.iter().map(|c| &c.id).collect::<Vec<_>>(), [&id]); // none of the public ones
    let spec = w.read("ec2:snapshot", &id).await.unwrap();
    let all = sdk::CreateVolumePermission::builder().group(sdk::PermissionGroup::All).build();
    let change = sdk::CreateVolumePermissionModifications::builder().add(all).build();
    let call = ec2.modify_snapshot_attribute().snapshot_id(&id).create_volume_permission(change);
    call.attribute(sdk::SnapshotAttributeName::CreateVolumePermission)
        .operation_type(sdk::OperationType::Add)
        .group_names("all")
        .send()
        .await
        .unwrap();
    let shared = w.read("ec2:snapshot", &id).await.unwrap();
    assert_eq!(shared["create_volume_permissions"][0]["group"], "all");
    w.link("ec2:snapshot", &id, &spec).await;
}

#[tokio::test]
async fn h15_h21_an_instance_comes_back_with_its_address_its_options_and_its_disks() {
    let mut w = World::new().await;
    let ec2 = w.cx.ec2.clone();
    let vpc = ec2.create_vpc().cidr_block("10.7.0.0/16").send().await.unwrap().vpc.unwrap().vpc_id.unwrap();
    let subnet = ec2.create_subnet().vpc_id(&vpc).cidr_block("10.7.1.0/24").availability_zone("eu-west-1a");
    let subnet = subnet.send().await.unwrap().subnet.unwrap().subnet_id.unwrap();
    let group = ec2.create_security_group().vpc_id(&vpc).group_name("web").description("web");
    let group = group.send().await.unwrap().group_id.unwrap();
    let key = ec2.import_key_pair().key_name("ops").public_key_material(aws_sdk_ec2::primitives::Blob::new(PUBLIC_KEY));
    let key = key.send().await.unwrap().key_pair_id.unwrap();
    let ebs = |size: i32| {
        let ebs = sdk::EbsBlockDevice::builder().volume_size(size).volume_type(sdk::VolumeType::Gp3);
        ebs.delete_on_termination(true).build()
    };
    let device = |name: &str, size| sdk::BlockDeviceMapping::builder().device_name(name).ebs(ebs(size)).build();
    let interface = sdk::InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(&subnet)
        .private_ip_address("10.7.1.50")
        .groups(&group)
        .delete_on_termination(true)
        .build();
    let made = ec2
        .run_instances()
        .min_count(1)
        .max_count(1)
        .image_id("ami-12c6146b")
        .instance_type(sdk::InstanceType::T3Micro)
        .key_name("ops")
        .user_data("IyEvYmluL3No")
        .block_device_mappings(device("/dev/sda1", 9))
        .block_device_mappings(device("/dev/sdf", 20))
        .network_interfaces(interface)
        .disable_api_termination(false)
        .metadata_options(
            sdk::InstanceMetadataOptionsRequest::builder()
                .http_tokens(sdk::HttpTokensState::Required)
                .http_put_response_hop_limit(2)
                .build(),
        )
        .tag_specifications(tags(sdk::ResourceType::Instance, "web"))
        .send()
        .await
        .unwrap();
    let id = made.instances.unwrap().pop().unwrap().instance_id.unwrap();
    let spec = w.read("ec2:instance", &id).await.unwrap();
    assert_eq!((&spec["user_data"], &spec["key_pair"]["id"]), (&"IyEvYmluL3No".into(), &key.as_str().into()));
    let volumes = kind("ec2:volume").look(&w.cx, Which::All).await.unwrap();
    let data = volumes.iter().find(|v| v.spec["attachments"][0]["device"] == "/dev/sdf").unwrap();
    let snapshot = ec2.create_snapshot().volume_id(&data.id).send().await.unwrap().snapshot_id.unwrap();
    ec2.terminate_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!(w.read("ec2:instance", &id).await, None);
    let new = w.restore("ec2:instance", &id, &spec).await;
    for v in &volumes {
        if ec2.describe_volumes().volume_ids(&v.id).send().await.is_ok() {
            continue;
        }
        let made = w.restore("ec2:volume", &v.id, &v.spec).await;
        w.link("ec2:volume", &made, &v.spec).await;
        if v.id == data.id {
            assert_eq!(w.read("ec2:volume", &made).await.unwrap()["snapshot_id"], snapshot.as_str());
        }
    }
    // The interface's own kind maps it.
    let old = spec["network_interfaces"][0]["network_interface_id"]["id"].as_str().unwrap().to_owned();
    let live = w.read("ec2:instance", &new).await.unwrap();
    let now = live["network_interfaces"][0]["network_interface_id"]["id"].as_str().unwrap();
    w.remap.insert(&"ec2:network-interface".parse().unwrap(), old, now);
    w.link("ec2:instance", &new, &spec).await;
}

#[tokio::test]
async fn an_images_sharing_is_taken_back() {
    let w = World::new().await;
    let ec2 = &w.cx.ec2;
    let id = ec2.register_image().name("web").description("web servers").send().await.unwrap().image_id.unwrap();
    let spec = w.read("ec2:image", &id).await.unwrap();
    let user = sdk::LaunchPermission::builder().user_id("222233334444").build();
    let change = sdk::LaunchPermissionModifications::builder().add(user).build();
    ec2.modify_image_attribute().image_id(&id).launch_permission(change).send().await.unwrap();
    let shared = w.read("ec2:image", &id).await.unwrap();
    assert_eq!(shared["launch_permissions"][0]["user_id"], "222233334444", "{shared:#}");
    w.link("ec2:image", &id, &spec).await;
    ec2.deregister_image().image_id(&id).send().await.unwrap();
    assert_eq!(w.read("ec2:image", &id).await, None);
}

#[tokio::test]
async fn every_kind_can_be_looked_at() {
    let w = World::new().await;
    for kind in registry::KINDS {
        kind.look(&w.cx, Which::All).await.unwrap_or_else(|f| panic!("{}: {f}", kind.name()));
    }
}
