//! Kinds of EC2 and RDS against the emulator: made with every option that it keeps, read, deleted, made again by the kind, read
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

/// What a database is made from, as a plan says it, and what tells the new one from the old.
impl World {
    async fn restore_database(&mut self, name: &str, id: &str, spec: &Value) {
        let sources = kind(name).sources(&self.cx, id, spec).await.unwrap();
        let mut want = spec.clone();
        if let Some(source) = sources.first() {
            want["restore_from"] = source.from.clone();
        }
        self.restore(name, id, &want).await;
        let member = kind(name).facts().identity.unwrap();
        let made = self.read(name, id).await.unwrap();
        let (was, is) = (&spec[member], &made[member]);
        assert_ne!(was, is, "another resource under the same name");
        let of = was["$late"].as_str().unwrap().parse().unwrap();
        self.remap.insert(&of, was["id"].as_str().unwrap(), is["id"].as_str().unwrap());
        self.link(name, id, spec).await;
    }
}

fn rds_tag(value: &str) -> aws_sdk_rds::types::Tag {
    aws_sdk_rds::types::Tag::builder().key("Name").value(value).build()
}
async fn two_subnets(ec2: &Client) -> (String, String, String) {
    let vpc = ec2.create_vpc().cidr_block("10.8.0.0/16").send().await.unwrap().vpc.unwrap().vpc_id.unwrap();
    let mut subnets = vec![];
    for (zone, block) in [("eu-west-1a", "10.8.1.0/24"), ("eu-west-1b", "10.8.2.0/24")] {
        let made = ec2.create_subnet().vpc_id(&vpc).cidr_block(block).availability_zone(zone).send().await.unwrap();
        subnets.push(made.subnet.unwrap().subnet_id.unwrap());
    }
    let b = subnets.pop().unwrap();
    (vpc, subnets.pop().unwrap(), b)
}

/// H32: groups come back before what needs them, under their own names, each with what a user set.
#[tokio::test]
async fn h32_groups_of_rds_come_back_under_their_names() {
    use aws_sdk_rds::types::{ApplyMethod, OptionConfiguration, OptionSetting, Parameter};
    let mut w = World::new().await;
    let (rds, ec2) = (w.cx.rds.clone(), w.cx.ec2.clone());
    let (_, a, b) = two_subnets(&ec2).await;
    let call = rds.create_db_subnet_group().db_subnet_group_name("data").db_subnet_group_description("d");
    call.subnet_ids(&a).subnet_ids(&b).tags(rds_tag("data")).send().await.unwrap();
    let parameters = |n: usize| {
        let row = |i| Parameter::builder().parameter_name(format!("p{i}")).parameter_value("1");
        Some((0..n).map(|i| row(i).apply_method(ApplyMethod::Immediate).build()).collect::<Vec<_>>())
    };
    let call = rds.create_db_parameter_group().db_parameter_group_name("app").db_parameter_group_family("mysql8.0");
    call.description("d").tags(rds_tag("app")).send().await.unwrap();
    rds.modify_db_parameter_group().db_parameter_group_name("app").set_parameters(parameters(25)).send().await.unwrap();
    let call = rds.create_db_cluster_parameter_group().db_cluster_parameter_group_name("aurora");
    call.db_parameter_group_family("aurora-mysql8.0").description("d").tags(rds_tag("a")).send().await.unwrap();
    let call = rds.modify_db_cluster_parameter_group().db_cluster_parameter_group_name("aurora");
    call.set_parameters(parameters(3)).send().await.unwrap();
    let call = rds.create_option_group().option_group_name("opts").engine_name("mysql").major_engine_version("8.0");
    call.option_group_description("d").tags(rds_tag("o")).send().await.unwrap();
    let setting = OptionSetting::builder().name("SERVER_AUDIT_EVENTS").value("CONNECT").build();
    let option = OptionConfiguration::builder().option_name("MARIADB_AUDIT_PLUGIN").option_settings(setting).build();
    rds.modify_option_group().option_group_name("opts").options_to_include(option).send().await.unwrap();

    let all = [
        ("rds:db-subnet-group", "data"),
        ("rds:db-parameter-group", "app"),
        ("rds:db-cluster-parameter-group", "aurora"),
        ("rds:option-group", "opts"),
    ];
    let mut specs = vec![];
    for (name, id) in all {
        let listed = kind(name).look(&w.cx, Which::All).await.unwrap();
        assert_eq!(listed.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), [id], "{name}: the defaults are nobody's");
        specs.push(w.read(name, id).await.unwrap());
        assert!(specs.last().unwrap()["tags"]["Name"].is_string(), "{name}");
    }
    rds.delete_db_subnet_group().db_subnet_group_name("data").send().await.unwrap();
    rds.delete_db_parameter_group().db_parameter_group_name("app").send().await.unwrap();
    rds.delete_db_cluster_parameter_group().db_cluster_parameter_group_name("aurora").send().await.unwrap();
    rds.delete_option_group().option_group_name("opts").send().await.unwrap();
    for ((name, id), spec) in all.into_iter().zip(&specs) {
        assert_eq!(w.read(name, id).await, None, "{name}");
        assert_eq!(w.restore(name, id, spec).await, id);
        w.link(name, id, spec).await;
        // H64: asked twice, made once, by the step that made it; another step's is not taken for it.
        let same = Step { restore: "r-1".into(), number: w.steps };
        assert_eq!(kind(name).create(&w.cx, spec, &same).await.unwrap(), id, "{name}");
        let other = Step { restore: "r-2".into(), number: w.steps };
        kind(name).create(&w.cx, spec, &other).await.unwrap_err();
    }
    // What an agent changes in place is converged.
    let call = rds.modify_db_parameter_group().db_parameter_group_name("app");
    let row = Parameter::builder().parameter_name("extra").parameter_value("9").apply_method(ApplyMethod::Immediate);
    call.parameters(row.build()).send().await.unwrap();
    w.link("rds:db-parameter-group", "app", &specs[1]).await;
}

#[tokio::test]
async fn h28_h30_an_instance_comes_back_from_its_final_snapshot_or_its_retained_backup() {
    let mut w = World::new().await;
    let (rds, ec2) = (w.cx.rds.clone(), w.cx.ec2.clone());
    let (vpc, a, b) = two_subnets(&ec2).await;
    let group = ec2.create_security_group().vpc_id(&vpc).group_name("db").description("db");
    let group = group.send().await.unwrap().group_id.unwrap();
    let call = rds.create_db_subnet_group().db_subnet_group_name("data").db_subnet_group_description("d");
    call.subnet_ids(&a).subnet_ids(&b).send().await.unwrap();
    let call = rds.create_db_instance().db_instance_identifier("orders").db_instance_class("db.t3.medium");
    let call = call.engine("mysql").engine_version("8.0.35").allocated_storage(30).storage_type("gp3").port(3307);
    let call = call.master_username("admin").master_user_password("not-kept-anywhere").backup_retention_period(3);
    let call =
        call.db_subnet_group_name("data").vpc_security_group_ids(&group).enable_iam_database_authentication(true);
    let call = call.enable_cloudwatch_logs_exports("error").copy_tags_to_snapshot(true).tags(rds_tag("orders"));
    call.preferred_maintenance_window("sun:05:00-sun:06:00").send().await.unwrap();
    let call =
        rds.modify_db_instance().db_instance_identifier("orders").monitoring_interval(60).apply_immediately(true);
    call.send().await.unwrap();
    let role = "arn:aws:iam::111122223333:role/s3-import";
    let call = rds.add_role_to_db_instance().db_instance_identifier("orders").feature_name("s3Import");
    call.role_arn(role).send().await.unwrap();
    let spec = w.read("rds:db-instance", "orders").await.unwrap();
    assert!(!spec.to_string().contains("not-kept"), "no password is ever stored");
    assert_eq!(spec["monitoring_interval"], 60);

    let call = rds.delete_db_instance().db_instance_identifier("orders").final_db_snapshot_identifier("orders-final");
    call.send().await.unwrap();
    assert_eq!(w.read("rds:db-instance", "orders").await, None);
    w.restore_database("rds:db-instance", "orders", &spec).await;

    // From its retained backup, which comes before any snapshot.
    let again = w.remap.apply(&spec);
    let call = rds.delete_db_instance().db_instance_identifier("orders").skip_final_snapshot(true);
    call.delete_automated_backups(false).send().await.unwrap();
    let sources = kind("rds:db-instance").sources(&w.cx, "orders", &again).await.unwrap();
    assert_eq!(sources[0].what, "its retained automated backup", "{sources:?}");
    w.restore_database("rds:db-instance", "orders", &again).await;

    // A replica is made again from what it replicates.
    let call = rds.create_db_instance_read_replica().db_instance_identifier("orders-ro");
    call.source_db_instance_identifier("orders").send().await.unwrap();
    let replica = w.read("rds:db-instance", "orders-ro").await.unwrap();
    assert_eq!(replica["read_replica_source_db_instance_identifier"]["id"], "orders");
    rds.delete_db_instance().db_instance_identifier("orders-ro").skip_final_snapshot(true).send().await.unwrap();
    w.restore_database("rds:db-instance", "orders-ro", &replica).await;
}

#[tokio::test]
async fn h31_an_aurora_cluster_comes_back_with_its_members() {
    let mut w = World::new().await;
    let rds = w.cx.rds.clone();
    let call = rds.create_db_cluster().db_cluster_identifier("ledger").engine("aurora-mysql").port(3310);
    let call = call.engine_version("8.0.mysql_aurora.3.04.0").master_username("admin").backup_retention_period(5);
    let call = call.master_user_password("not-kept-anywhere").copy_tags_to_snapshot(true).tags(rds_tag("ledger"));
    call.preferred_maintenance_window("sun:05:00-sun:06:00").send().await.unwrap();
    for (id, tier) in [("ledger-1", 1), ("ledger-2", 5)] {
        let call = rds.create_db_instance().db_instance_identifier(id).db_instance_class("db.r6g.large");
        let call = call.engine("aurora-mysql").db_cluster_identifier("ledger").promotion_tier(tier);
        call.tags(rds_tag(id)).send().await.unwrap();
    }
    let call = rds.create_db_cluster_snapshot().db_cluster_identifier("ledger");
    call.db_cluster_snapshot_identifier("nightly").send().await.unwrap();
    let cluster = w.read("rds:db-cluster", "ledger").await.unwrap();
    let mut members = vec![];
    for id in ["ledger-1", "ledger-2"] {
        members.push((id, w.read("rds:db-instance", id).await.unwrap()));
        rds.delete_db_instance().db_instance_identifier(id).skip_final_snapshot(true).send().await.unwrap();
    }
    rds.delete_db_cluster().db_cluster_identifier("ledger").skip_final_snapshot(true).send().await.unwrap();
    assert_eq!(w.read("rds:db-cluster", "ledger").await, None);
    w.restore_database("rds:db-cluster", "ledger", &cluster).await;
    for (id, spec) in &members {
        assert_eq!(spec["db_cluster_identifier"]["id"], "ledger");
        w.restore_database("rds:db-instance", id, spec).await;
    }
    let found = rds.describe_db_clusters().db_cluster_identifier("ledger").send().await.unwrap();
    assert_eq!(found.db_clusters()[0].db_cluster_members().len(), 2);

    // With whom a snapshot is shared is put right; a deleted one is gone for good.
    let snapshot = w.read("rds:db-cluster-snapshot", "nightly").await.unwrap();
    let call = rds.modify_db_cluster_snapshot_attribute().db_cluster_snapshot_identifier("nightly");
    call.attribute_name("restore").values_to_add("222233334444").send().await.unwrap();
    let shared = w.read("rds:db-cluster-snapshot", "nightly").await.unwrap();
    assert_eq!(shared["shared_with"], serde_json::json!(["222233334444"]));
    w.link("rds:db-cluster-snapshot", "nightly", &snapshot).await;
    rds.delete_db_cluster_snapshot().db_cluster_snapshot_identifier("nightly").send().await.unwrap();
    assert_eq!(w.read("rds:db-cluster-snapshot", "nightly").await, None);
    let step = Step { restore: "r-1".into(), number: 99 };
    let f = kind("rds:db-cluster-snapshot").create(&w.cx, &snapshot, &step).await.unwrap_err();
    assert!(f.message.contains("RDS keeps nothing"), "{f}");
}

#[tokio::test]
async fn a_subscription_and_a_proxy_come_back_with_what_they_are_tied_to() {
    use aws_sdk_rds::types as db;
    let mut w = World::new().await;
    let (rds, ec2) = (w.cx.rds.clone(), w.cx.ec2.clone());
    let (_, a, b) = two_subnets(&ec2).await;
    let call = rds.create_db_instance().db_instance_identifier("orders").db_instance_class("db.t3.medium");
    let call = call.engine("mysql").engine_version("8.0.35").allocated_storage(20).master_username("admin");
    call.master_user_password("not-kept-anywhere").send().await.unwrap();
    let call = rds.create_event_subscription().subscription_name("alerts").sns_topic_arn("arn:aws:sns:eu-west-1:1:t");
    let call = call.source_type("db-instance").event_categories("failover").enabled(true);
    call.tags(rds_tag("alerts")).send().await.unwrap();
    let auth = db::UserAuthConfig::builder().auth_scheme(db::AuthScheme::Secrets).iam_auth(db::IamAuthMode::Required);
    let auth = auth.secret_arn("arn:aws:secretsmanager:eu-west-1:1:secret:s").build();
    let call = rds.create_db_proxy().db_proxy_name("front").engine_family(db::EngineFamily::Mysql).auth(auth);
    let call = call.role_arn("arn:aws:iam::111122223333:role/proxy").vpc_subnet_ids(&a).vpc_subnet_ids(&b);
    call.require_tls(true).tags(rds_tag("front")).send().await.unwrap();
    let pool = db::ConnectionPoolConfiguration::builder().max_connections_percent(70).build();
    let call = rds.modify_db_proxy_target_group().db_proxy_name("front").target_group_name("default");
    call.connection_pool_config(pool).send().await.unwrap();
    let call = rds.register_db_proxy_targets().db_proxy_name("front").target_group_name("default");
    call.db_instance_identifiers("orders").send().await.unwrap();

    let all = [("rds:event-subscription", "alerts"), ("rds:db-proxy", "front")];
    let mut specs = vec![];
    for (name, id) in all {
        specs.push(w.read(name, id).await.unwrap());
    }
    assert_eq!(specs[1]["instances"][0]["id"], "orders");
    rds.delete_event_subscription().subscription_name("alerts").send().await.unwrap();
    rds.delete_db_proxy().db_proxy_name("front").send().await.unwrap();
    for ((name, id), spec) in all.into_iter().zip(&specs) {
        assert_eq!(w.read(name, id).await, None, "{name}");
        w.restore(name, id, spec).await;
        w.link(name, id, spec).await;
        let same = Step { restore: "r-1".into(), number: w.steps };
        assert_eq!(kind(name).create(&w.cx, spec, &same).await.unwrap(), id, "{name}");
    }
    let call = rds.deregister_db_proxy_targets().db_proxy_name("front").target_group_name("default");
    call.db_instance_identifiers("orders").send().await.unwrap();
    w.link("rds:db-proxy", "front", &specs[1]).await;
}

#[tokio::test]
async fn every_kind_can_be_looked_at() {
    let w = World::new().await;
    for kind in registry::KINDS {
        kind.look(&w.cx, Which::All).await.unwrap_or_else(|f| panic!("{}: {f}", kind.name()));
    }
}
