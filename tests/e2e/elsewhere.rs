//! Fire drills: what was captured is built in another region and in another account, beside what lives on.
use crate::site::{Ended, REGION, SOON, Site, binary};
use aws_sdk_ec2::{Client, types as sdk};
use kit::{Daemon, Workload, proxy::Moment, workload::Data};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ELSEWHERE: &str = "eu-central-1";

macro_rules! ok {
    ($call:expr) => {
        $call.send().await.unwrap()
    };
}

/// What lives, and goes on living.
struct Alive {
    site: Site,
    work: Workload,
    aws_list: String,
    picture: Value,
}

impl Alive {
    async fn new() -> Self {
        let site = Site::new().await;
        let ec2 = site.ec2();
        let work = Workload::build(&ec2, Data::Kept).await;
        let tags = |kind: sdk::ResourceType, name: &str| {
            let tag = |k: &str, v: &str| sdk::Tag::builder().key(k).value(v).build();
            sdk::TagSpecification::builder()
                .resource_type(kind)
                .tags(tag("Name", name))
                .tags(tag("env", "prod"))
                .build()
        };
        let address = ec2.allocate_address().domain(sdk::DomainType::Vpc);
        let address = ok!(address.tag_specifications(tags(sdk::ResourceType::ElasticIp, "nat")));
        let nat = ec2.create_nat_gateway().subnet_id(&work.subnet_b).allocation_id(address.allocation_id().unwrap());
        let nat = ok!(nat.tag_specifications(tags(sdk::ResourceType::Natgateway, "nat"))).nat_gateway.unwrap();
        let route = ec2.create_route().route_table_id(&work.routes).destination_cidr_block("198.51.100.0/24");
        ok!(route.nat_gateway_id(nat.nat_gateway_id().unwrap()));
        // AWS's own list, which has another id in each region (H20).
        let s3 = sdk::Filter::builder().name("prefix-list-name").values(format!("com.amazonaws.{REGION}.s3")).build();
        let lists = ok!(ec2.describe_managed_prefix_lists().filters(s3));
        let aws_list = lists.prefix_lists()[0].prefix_list_id().unwrap().to_owned();
        let from = sdk::PrefixListId::builder().prefix_list_id(&aws_list).build();
        let rule = sdk::IpPermission::builder().ip_protocol("tcp").from_port(8443).to_port(8443).prefix_list_ids(from);
        ok!(ec2.authorize_security_group_ingress().group_id(&work.group).ip_permissions(rule.build()));
        let picture = Workload::picture(&ec2).await;
        let sweep = site.json(&["snapshot", "--label", "golden"]).await;
        assert!(sweep["errors"].is_null(), "{sweep:#}");
        Self { site, work, aws_list, picture }
    }

    fn client(&self, credentials: &kit::Credentials, region: &str) -> Client {
        Client::new(&self.site.emulator.sdk_config(credentials, region, &self.site.emulator.endpoint()))
    }

    /// An account that the configuration has a role of, with the copies there.
    async fn other_account(&self, region: &str) -> (String, Client) {
        let other = self.site.emulator.new_account();
        let there = self.client(&self.site.emulator.credentials(&other).await, region);
        self.bring_copies(&there).await;
        let role = format!("arn:aws:iam::{other}:role/rollbackd-restore-drill");
        std::fs::write(self.site.config_path(), format!("[aws]\ninto_roles = [\"{role}\"]\n")).unwrap();
        (other, there)
    }

    /// What somebody must have brought there: the image, and copies of the snapshots. As CopySnapshot leaves them: another id, a
    /// description in which the console says of which each is a copy. The emulator copies within one account only.
    async fn bring_copies(&self, there: &Client) {
        let image = there.register_image().name("shop").architecture(sdk::ArchitectureValues::X8664);
        ok!(image.virtualization_type("hvm").root_device_name("/dev/sda1"));
        let zones = ok!(there.describe_availability_zones());
        let zone = zones.availability_zones()[0].zone_name().unwrap();
        for id in [&self.work.data_snapshot, &self.work.archive_snapshot] {
            let volume = ok!(there.create_volume().availability_zone(zone).size(10)).volume_id.unwrap();
            let copy = there.create_snapshot().volume_id(&volume);
            ok!(copy.description(format!("[Copied {id} from {REGION}]")));
            ok!(there.delete_volume().volume_id(&volume));
        }
    }

    /// Everything is built there as it was here, by names; and here nothing has changed.
    async fn assert_same(&self, there: &Client, region: &str) {
        let addresses = ok!(there.describe_addresses()).addresses.unwrap();
        assert!(addresses.iter().all(|a| a.public_ip() != Some(&self.work.public_ip)), "it is still in use here");
        let here = portrait(&self.site.ec2(), REGION).await;
        assert_eq!(lines(&portrait(there, region).await), lines(&here));
        let nats = ok!(there.describe_nat_gateways()).nat_gateways.unwrap();
        assert_eq!(nats.len(), 1);
        let subnet = ok!(there.describe_subnets().subnet_ids(nats[0].subnet_id().unwrap())).subnets.unwrap();
        assert_eq!(subnet[0].cidr_block(), Some("10.60.2.0/24"));

        assert_eq!(lines(&Workload::picture(&self.site.ec2()).await), lines(&self.picture));
        let here = self.site.json(&["plan", "--tag", "env=prod", "--at", "golden"]).await;
        assert_eq!(here["steps"], json!([]), "what lives on is no one else now: {here:#}");
        let history = self.site.json(&["history", &self.work.vpc]).await;
        assert_eq!(history["versions"].as_array().unwrap().len(), 1, "{history:#}");
    }
}

/// All that is alive, with names for what must differ: the region, addresses, the gateway in the description of its interface.
async fn portrait(ec2: &Client, region: &str) -> Value {
    let mut text = lines(&Workload::picture(ec2).await).replace(region, "the region");
    for address in ok!(ec2.describe_addresses()).addresses() {
        let name = address.tags().iter().find(|t| t.key() == Some("Name")).and_then(|t| t.value());
        text = text.replace(address.public_ip().unwrap(), &format!("the address {}", name.unwrap()));
    }
    for nat in ok!(ec2.describe_nat_gateways()).nat_gateways() {
        text = text.replace(nat.nat_gateway_id().unwrap(), "the gateway");
    }
    let mut picture: Value = serde_json::from_str(&text).unwrap();
    picture["addresses"].as_array_mut().unwrap().sort_by_cached_key(Value::to_string);
    picture
}
fn lines(v: &Value) -> String {
    serde_json::to_string_pretty(v).unwrap()
}
fn whole(ended: Ended, scope: &str) -> Value {
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
    let receipt = ended.json();
    assert_eq!((&receipt["restored"], receipt["into"].as_str()), (&receipt["of"], Some(scope)), "{receipt:#}");
    receipt
}
fn is_write(operation: &str) -> bool {
    !["Describe", "Get", "List", "Search", "AssumeRole"].iter().any(|verb| operation.starts_with(verb))
}
/// The plan's skipped steps: id and why.
fn skipped(plan: &Value) -> Vec<(String, String)> {
    let steps = plan["steps"].as_array().unwrap().iter().filter(|s| s["verb"] == "skip");
    let id = |s: &Value| s["resource"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    steps.map(|s| (id(s), s["why"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn h10_h14_h20_a_drill_in_another_region_builds_it_all_and_touches_nothing_here() {
    let alive = Alive::new().await;
    let (site, work) = (&alive.site, &alive.work);
    let there = alive.client(&site.owner, ELSEWHERE);
    let drill = ["--tag", "env=prod", "--at", "golden", "--into-region", ELSEWHERE];

    // Before anything was brought there: each is refused with the call that changes it, and takes along what needs it.
    let plan = site.json(&[&["plan"], &drill[..]].concat()).await;
    let why: std::collections::BTreeMap<_, _> = skipped(&plan).into_iter().collect();
    let images: Vec<_> = why.iter().filter(|(id, _)| id.starts_with("ami-")).collect();
    let call = "(`shop`) is not in aws/";
    assert!(
        images.len() == 1
            && images[0].1.contains(call)
            && images[0].1.contains("aws ec2 copy-image --region eu-central-1 --source-region eu-west-1"),
        "{why:#?}"
    );
    assert!(why[&work.instance].contains(&format!("needs ec2:image {}", images[0].0)), "{why:#?}");
    let copy = format!(
        "aws ec2 copy-snapshot --region eu-central-1 --source-region eu-west-1 --source-snapshot-id {}",
        work.data_snapshot
    );
    assert!(why[&work.data_volume].contains(&copy), "{why:#?}");
    assert!(!why.contains_key(&work.vpc) && !why.contains_key(&work.subnet_a), "{why:#?}");

    alive.bring_copies(&there).await;
    let before = site.aws.calls().len();
    let plan = site.json(&[&["plan"], &drill[..]].concat()).await;
    assert_eq!(skipped(&plan), [], "{plan:#}");
    let notes = plan["notes"].to_string();
    assert!(notes.contains(&format!("({}) differs there", work.public_ip)), "{notes}");
    let restored = site.run(&["restore", plan["digest"].as_str().unwrap(), "--yes", "--output", "json"]).await;
    let receipt = whole(restored, &format!("aws/{}/{ELSEWHERE}", site.account));
    let items = receipt["items"].as_array().unwrap();
    assert!(
        items.iter().all(|i| i["resource"].as_str().unwrap().contains(REGION)),
        "named by what they are built after"
    );
    let writes: BTreeSet<String> =
        site.aws.calls()[before..].iter().filter(|c| is_write(&c.operation)).map(|c| c.region.clone()).collect();
    assert_eq!(writes, [ELSEWHERE.to_owned()].into());
    alive.assert_same(&there, ELSEWHERE).await;
    let groups = ok!(there.describe_security_groups()).security_groups.unwrap();
    let shop = groups.iter().find(|g| g.group_name() == Some("shop")).unwrap();
    let lists: Vec<_> =
        shop.ip_permissions().iter().flat_map(|p| p.prefix_list_ids()).filter_map(|l| l.prefix_list_id()).collect();
    assert!(lists.len() == 2 && !lists.contains(&alive.aws_list.as_str()), "{lists:?}");

    // Once more: what only one can have is held by the first, and the plan says so.
    let again = site.json(&[&["plan"], &drill[..]].concat()).await;
    let held: BTreeSet<String> =
        skipped(&again).into_iter().filter(|(_, why)| why.contains("is held by")).map(|(id, _)| id).collect();
    assert_eq!(held, [work.key_pair.clone(), work.template.clone()].into(), "{again:#}");
    let same = again["notes"].to_string();
    assert!(same.contains("has the block 10.60.0.0/16 too"), "{same}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_in_another_account_goes_through_its_role() {
    let alive = Alive::new().await;
    let site = &alive.site;
    let nobody = site.emulator.new_account();
    let refused = site.run(&["plan", "--tag", "env=prod", "--at", "golden", "--into-account", &nobody]).await;
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains(&nobody) && refused.stderr.contains("`into_roles`"), "{}", refused.stderr);

    let (other, there) = alive.other_account(REGION).await;
    let drill = ["--tag", "env=prod", "--at", "golden", "--into-account", &other];
    let before = site.aws.calls().len();
    let restored = site.run(&[&["restore"], &drill[..], &["--yes", "--output", "json"]].concat()).await;
    whole(restored, &format!("aws/{other}/{REGION}"));
    let ours = site.aws.calls()[before..]
        .iter()
        .filter(|c| c.access_key == site.owner.access_key)
        .map(|c| c.operation.clone())
        .collect::<BTreeSet<_>>();
    assert!(ours.iter().all(|o| !is_write(o)), "{ours:?}");
    assert!(ours.contains("AssumeRole"));
    alive.assert_same(&there, REGION).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_in_another_account_and_region_that_was_killed_is_resumed_to_one_of_each() {
    let alive = Alive::new().await;
    let site = &alive.site;
    let (other, there) = alive.other_account(ELSEWHERE).await;
    let drill = ["plan", "--tag", "env=prod", "--at", "golden", "--into-region", ELSEWHERE, "--into-account", &other];
    let plan = site.json(&drill).await;
    let digest = plan["digest"].as_str().unwrap();
    for (args, operation, nth) in
        [(&["restore", digest, "--yes"][..], "CreateSubnet", 1), (&["resume"], "RunInstances", 0)]
    {
        site.aws.freeze(operation, nth, Moment::After);
        let mut restore = Daemon::spawn(binary(), args, &site.env());
        site.aws.frozen(SOON).await;
        restore.kill9().await;
        site.aws.thaw();
    }
    let resumed = site.run(&["resume", "--output", "json"]).await;
    whole(resumed, &format!("aws/{other}/{ELSEWHERE}"));
    alive.assert_same(&there, ELSEWHERE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_drill_cannot_be_of_is_said() {
    let site = Site::new().await;
    let vpc = ok!(site.ec2().create_vpc().cidr_block("10.9.0.0/16")).vpc.unwrap().vpc_id.unwrap();
    site.run(&["snapshot"]).await.ok();
    for (args, code, want) in [
        (&["plan", "inc-0a1b2c3d", "--into-region", ELSEWHERE][..], 2, "is restored where it happened"),
        (&["plan", "3f2a9c0d", "--into-region", ELSEWHERE], 2, "says where it builds"),
        (&["plan", &vpc, "--into-region", REGION], 1, "is where it is already"),
    ] {
        let ended = site.run(args).await;
        assert!(ended.code == code && ended.stderr.contains(want), "{args:?}: {} {}", ended.code, ended.stderr);
    }
}
