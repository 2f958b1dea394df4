//! A whole production estate to lose, more than 120 resources: the environment with its three tiers in two zones, and in it what
//! runs there and all that this needs — instances with disks and second interfaces, a bastion, templates, endpoints, flow logs, a
//! prefix list — and the routes of the VPC that survives.
//!
//! Of each disk there is a snapshot. What a test compares is [`Environment::fingerprint`] and [`Workload::picture`](crate::Workload).

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types as sdk;

use crate::environment::{Environment, did, filter, id};
use crate::workload::{USER_DATA, device, import_key, offices, register_image, tags, terminated};

/// One machine: what goes with it, and what outlives it until the agent gets there.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub instance: String,
    /// Goes with the instance.
    pub root: String,
    /// Outlive the instance.
    pub disks: Vec<String>,
    /// The second one; outlives the instance.
    pub interface: String,
}

/// The ids of what `build` made.
#[derive(Clone, Debug)]
pub struct Estate {
    pub env: Environment,
    pub shared_routes: String,
    pub prefix_list: String,
    pub key_pair: String,
    pub group_bastion: String,
    pub group_endpoints: String,
    pub templates: Vec<String>,
    pub endpoints: Vec<String>,
    pub flow_logs: Vec<String>,
    pub hosts: Vec<Host>,
    pub bastion_address: String,
}

/// Machines of each tier in each zone.
const PER_SUBNET: usize = 2;

impl Estate {
    pub async fn build(client: &Client) -> Estate {
        use sdk::ResourceType as T;
        let env = Environment::build(client).await;
        let entry = |cidr: &str| sdk::AddPrefixListEntry::builder().cidr(cidr).description("office").build();
        let made = did!(
            client
                .create_managed_prefix_list()
                .prefix_list_name("offices")
                .address_family("IPv4")
                .max_entries(5)
                .entries(entry("192.0.2.0/25"))
                .entries(entry("198.51.100.0/24"))
                .tag_specifications(tags(T::PrefixList, "offices"))
        );
        let prefix_list = id(made.prefix_list().and_then(|list| list.prefix_list_id()));

        // Both sides route through the peering; the one that survives must learn of its successor.
        let made =
            did!(client.create_route_table().vpc_id(&env.shared_vpc).tag_specifications(tags(T::RouteTable, "shared")));
        let shared_routes = id(made.route_table().and_then(|table| table.route_table_id()));
        for (table, cidr) in [
            (&shared_routes, "10.40.0.0/16"),
            (&shared_routes, "10.41.0.0/16"),
            (&env.routes_private_a, "10.99.0.0/16"),
            (&env.routes_private_b, "10.99.0.0/16"),
        ] {
            let route = client.create_route().route_table_id(table).destination_cidr_block(cidr);
            did!(route.vpc_peering_connection_id(&env.peering));
        }

        let mut groups = Vec::new();
        for name in ["bastion", "endpoints"] {
            let call = client.create_security_group().vpc_id(&env.vpc).group_name(name).description(name);
            groups.push(id(did!(call.tag_specifications(tags(T::SecurityGroup, name))).group_id()));
        }
        let [group_bastion, group_endpoints]: [String; 2] = groups.try_into().expect("two");
        let allow = |group: &str| client.authorize_security_group_ingress().group_id(group);
        did!(allow(&group_bastion).ip_permissions(offices(&prefix_list, 22)));
        for (group, from, port) in [
            (&env.group_lb, &group_bastion, 22),
            (&env.group_app, &group_bastion, 22),
            (&env.group_data, &group_bastion, 22),
            (&group_endpoints, &env.group_app, 443),
            (&env.group_app, &group_endpoints, 9443),
        ] {
            did!(allow(group).ip_permissions(from_group(from, port)));
        }

        let key_pair = import_key(client).await;
        let tiers = [
            ("web", &env.group_lb, [&env.public_a, &env.public_b]),
            ("app", &env.group_app, [&env.app_a, &env.app_b]),
            ("data", &env.group_data, [&env.data_a, &env.data_b]),
        ];
        let mut templates = Vec::new();
        for (tier, group, _) in tiers {
            let data = |kind: sdk::InstanceType| {
                let data = sdk::RequestLaunchTemplateData::builder().instance_type(kind).key_name("ops");
                data.user_data(USER_DATA).security_group_ids(group).build()
            };
            let made = did!(
                client
                    .create_launch_template()
                    .launch_template_name(tier)
                    .version_description("first")
                    .launch_template_data(data(sdk::InstanceType::T3Micro))
                    .tag_specifications(tags(T::LaunchTemplate, tier))
            );
            let template = id(made.launch_template().and_then(|template| template.launch_template_id()));
            for (kind, words) in [(sdk::InstanceType::T3Small, "second"), (sdk::InstanceType::T3Large, "third")] {
                let call = client.create_launch_template_version().launch_template_id(&template);
                did!(call.version_description(words).launch_template_data(data(kind)));
            }
            did!(client.modify_launch_template().launch_template_id(&template).default_version("2"));
            templates.push(template);
        }

        let mut endpoints = Vec::new();
        let endpoint =
            |name: &str| client.create_vpc_endpoint().vpc_id(&env.vpc).tag_specifications(tags(T::VpcEndpoint, name));
        let tables = [&env.routes_private_a, &env.routes_private_b, &env.routes_data];
        let tables: Vec<String> = tables.into_iter().cloned().collect();
        let subnets = vec![env.app_a.clone(), env.app_b.clone()];
        for call in [
            endpoint("s3")
                .service_name("com.amazonaws.eu-west-1.s3")
                .vpc_endpoint_type(sdk::VpcEndpointType::Gateway)
                .set_route_table_ids(Some(tables.clone())),
            endpoint("dynamodb")
                .service_name("com.amazonaws.eu-west-1.dynamodb")
                .vpc_endpoint_type(sdk::VpcEndpointType::Gateway)
                .set_route_table_ids(Some(tables)),
            endpoint("ssm")
                .service_name("com.amazonaws.eu-west-1.ssm")
                .vpc_endpoint_type(sdk::VpcEndpointType::Interface)
                .set_subnet_ids(Some(subnets))
                .security_group_ids(&group_endpoints)
                .private_dns_enabled(true),
        ] {
            endpoints.push(id(did!(call).vpc_endpoint().and_then(|endpoint| endpoint.vpc_endpoint_id())));
        }
        let mut flow_logs = Vec::new();
        for (kind, of, name) in [
            (sdk::FlowLogsResourceType::Vpc, &env.vpc, "vpc"),
            (sdk::FlowLogsResourceType::Subnet, &env.public_a, "public-a"),
            (sdk::FlowLogsResourceType::Subnet, &env.public_b, "public-b"),
        ] {
            let made = did!(
                client
                    .create_flow_logs()
                    .resource_type(kind)
                    .resource_ids(of)
                    .traffic_type(sdk::TrafficType::Reject)
                    .log_group_name(format!("rejects-{name}"))
                    .deliver_logs_permission_arn("arn:aws:iam::123456789012:role/flow-logs")
                    .tag_specifications(tags(T::VpcFlowLog, name))
            );
            flow_logs.push(made.flow_log_ids().first().expect("a flow log").clone());
        }

        let image = register_image(client).await;
        let mut hosts = Vec::new();
        for (tier, group, subnets) in tiers {
            for (subnet, zone) in subnets.into_iter().zip(["a", "b"]) {
                for number in 1..=PER_SUBNET {
                    let name = format!("{tier}-{zone}-{number}");
                    hosts.push(host(client, &image, name, subnet, group).await);
                }
            }
        }
        let bastion = host(client, &image, "bastion".into(), &env.public_a, &group_bastion).await;
        let call = client.allocate_address().domain(sdk::DomainType::Vpc);
        let bastion_address = id(did!(call.tag_specifications(tags(T::ElasticIp, "bastion"))).allocation_id());
        // An instance with two interfaces takes an address on one of them by name.
        let found = did!(client.describe_instances().instance_ids(&bastion.instance));
        let found =
            found.reservations().iter().flat_map(|one| one.instances()).flat_map(|one| one.network_interfaces());
        let primary = found.into_iter().find(|one| one.attachment().is_some_and(|at| at.device_index() == Some(0)));
        let primary = id(primary.and_then(|one| one.network_interface_id()));
        did!(client.associate_address().allocation_id(&bastion_address).network_interface_id(primary));
        hosts.push(bastion);

        Estate {
            env,
            shared_routes,
            prefix_list,
            key_pair,
            group_bastion,
            group_endpoints,
            templates,
            endpoints,
            flow_logs,
            hosts,
            bastion_address,
        }
    }

    /// Deletes it as somebody would who knows what AWS refuses: first what names others, last what others live in. What
    /// survives is the shared VPC, the image and the snapshots.
    pub async fn teardown(&self, client: &Client) {
        let env = &self.env;
        let groups = [
            &env.group_lb,
            &env.group_app,
            &env.group_data,
            &env.group_pair,
            &self.group_bastion,
            &self.group_endpoints,
            &env.group_monitoring,
        ];
        for group in groups {
            env.revoke_naming(client, group, &groups).await;
        }
        let rule = offices(&self.prefix_list, 22);
        did!(client.revoke_security_group_ingress().group_id(&self.group_bastion).ip_permissions(rule));
        did!(client.delete_flow_logs().set_flow_log_ids(Some(self.flow_logs.clone())));

        let found = did!(client.describe_addresses().allocation_ids(&self.bastion_address));
        let association = id(found.addresses().first().and_then(|one| one.association_id()));
        did!(client.disassociate_address().association_id(association));
        did!(client.release_address().allocation_id(&self.bastion_address));
        let instances: Vec<String> = self.hosts.iter().map(|host| host.instance.clone()).collect();
        did!(client.terminate_instances().set_instance_ids(Some(instances.clone())));
        terminated(client, &instances).await;
        for host in &self.hosts {
            did!(client.delete_network_interface().network_interface_id(&host.interface));
            for disk in &host.disks {
                did!(client.delete_volume().volume_id(disk));
            }
        }
        for template in &self.templates {
            did!(client.delete_launch_template().launch_template_id(template));
        }
        did!(client.delete_key_pair().key_pair_id(&self.key_pair));
        did!(client.delete_vpc_endpoints().set_vpc_endpoint_ids(Some(self.endpoints.clone())));
        for group in [&self.group_endpoints, &self.group_bastion] {
            did!(client.delete_security_group().group_id(group));
        }
        did!(client.delete_managed_prefix_list().prefix_list_id(&self.prefix_list));
        did!(client.delete_vpc_peering_connection().vpc_peering_connection_id(&env.peering));
        env.teardown(client).await;
    }
}

fn from_group(group: &str, port: i32) -> sdk::IpPermission {
    let pair = sdk::UserIdGroupPair::builder().group_id(group).build();
    sdk::IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port).user_id_group_pairs(pair).build()
}

async fn host(client: &Client, image: &str, name: String, subnet: &str, group: &str) -> Host {
    use sdk::ResourceType as T;
    let primary = sdk::InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(subnet)
        .groups(group)
        .associate_public_ip_address(false)
        .delete_on_termination(true)
        .build();
    let devices = [device("/dev/sda1", 9, true), device("/dev/sdf", 20, false), device("/dev/sdg", 30, false)];
    let made = did!(
        client
            .run_instances()
            .min_count(1)
            .max_count(1)
            .image_id(image)
            .instance_type(sdk::InstanceType::T3Micro)
            .key_name("ops")
            .user_data(USER_DATA)
            .network_interfaces(primary)
            .set_block_device_mappings(Some(devices.to_vec()))
            .tag_specifications(tags(T::Instance, &name))
    );
    let instance = id(made.instances().first().and_then(|instance| instance.instance_id()));
    let found = did!(client.describe_volumes().filters(filter("attachment.instance-id", &instance)));
    let mut root = None;
    let mut all = Vec::new();
    for volume in found.volumes() {
        let device = volume.attachments().first().and_then(|at| at.device()).expect("it is attached");
        let words = format!("{name} {device}");
        let one = id(volume.volume_id());
        let tag = |key: &str, value: &str| sdk::Tag::builder().key(key).value(value).build();
        did!(client.create_tags().resources(&one).tags(tag("Name", &words)).tags(tag("env", "prod")));
        let call = client.create_snapshot().volume_id(&one).description(&words);
        did!(call.tag_specifications(tags(T::Snapshot, &words)));
        match device {
            "/dev/sda1" => root = Some(one),
            _ => all.push(one),
        }
    }
    let call = client.create_network_interface().subnet_id(subnet).groups(group).description("second");
    let made = did!(call.tag_specifications(tags(T::NetworkInterface, &name)));
    let interface = id(made.network_interface().and_then(|one| one.network_interface_id()));
    did!(client.attach_network_interface().network_interface_id(&interface).instance_id(&instance).device_index(1));
    Host { name, instance, root: root.expect("a root volume"), disks: all, interface }
}
