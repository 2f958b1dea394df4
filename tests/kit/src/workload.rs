//! What runs in a VPC, to lose: an instance with its disks, addresses and interfaces, the template and the key that it is launched
//! with, an endpoint, a flow log, a prefix list, and a peering with a second VPC that survives and routes to it.
//!
//! The picture is what a test compares before and after: against the SDK alone, by names, and only of what is alive. An id of
//! something dead shows as such.

use std::collections::BTreeMap;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types as sdk;
use serde_json::{Value, json};

use crate::environment::{did, filter, id, value_of};

const PUBLIC_KEY: &[u8] =
    b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUV2qHMqYJRZ3qqQGC0vBYOzNrfvR/cGzNSkYqYs ops@example.com";
/// What the instance's user data holds as base64: a secret that no answer may show.
pub const CANARY: &str = "CANARY-5f0c2b";
/// `#!/bin/sh\nexport TOKEN=CANARY-5f0c2b\n`.
pub const USER_DATA: &str = "IyEvYmluL3NoCmV4cG9ydCBUT0tFTj1DQU5BUlktNWYwYzJiCg==";
pub const PRIVATE_IP: &str = "10.60.1.50";

/// What of the data is there when the agent is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// The data volume outlives the instance; of every other there is a snapshot.
    Kept,
    /// The data volume dies too, and of the root and of one volume more there is no snapshot.
    Lost,
}

/// The ids of what `build` made.
#[derive(Clone, Debug)]
pub struct Workload {
    pub data: Data,
    pub vpc: String,
    pub hub: String,
    pub subnet_a: String,
    pub subnet_b: String,
    pub gateway: String,
    pub routes: String,
    pub hub_routes: String,
    pub group: String,
    pub hub_group: String,
    pub prefix_list: String,
    pub key_pair: String,
    pub template: String,
    pub instance: String,
    pub root_volume: String,
    pub data_volume: String,
    /// Goes with the instance and has no snapshot; where data is to be lost.
    pub scratch_volume: Option<String>,
    pub archive_volume: String,
    /// The newest snapshot of the data volume.
    pub data_snapshot: String,
    pub archive_snapshot: String,
    pub interface: String,
    pub address: String,
    pub public_ip: String,
    pub endpoint: String,
    pub flow_log: String,
    pub peering: String,
}

pub(crate) fn tags(kind: sdk::ResourceType, name: &str) -> sdk::TagSpecification {
    let tag = |key: &str, value: &str| sdk::Tag::builder().key(key).value(value).build();
    sdk::TagSpecification::builder().resource_type(kind).tags(tag("Name", name)).tags(tag("env", "prod")).build()
}

impl Workload {
    pub async fn build(client: &Client, data: Data) -> Workload {
        use sdk::ResourceType as T;
        let zones = did!(client.describe_availability_zones());
        let zones: Vec<String> = zones.availability_zones().iter().take(2).map(|zone| id(zone.zone_name())).collect();
        let mut vpcs = Vec::new();
        for (name, cidr) in [("shop", "10.60.0.0/16"), ("hub", "10.61.0.0/16")] {
            let made = did!(client.create_vpc().cidr_block(cidr).tag_specifications(tags(T::Vpc, name)));
            vpcs.push(id(made.vpc().and_then(|vpc| vpc.vpc_id())));
        }
        let [vpc, hub]: [String; 2] = vpcs.try_into().expect("two");
        let mut subnets = Vec::new();
        for (name, zone, cidr) in [("a", 0, "10.60.1.0/24"), ("b", 1, "10.60.2.0/24")] {
            let call = client.create_subnet().vpc_id(&vpc).cidr_block(cidr).availability_zone(&zones[zone]);
            let made = did!(call.tag_specifications(tags(T::Subnet, name)));
            subnets.push(id(made.subnet().and_then(|subnet| subnet.subnet_id())));
        }
        let [subnet_a, subnet_b]: [String; 2] = subnets.try_into().expect("two");

        let made = did!(client.create_internet_gateway().tag_specifications(tags(T::InternetGateway, "igw")));
        let gateway = id(made.internet_gateway().and_then(|gateway| gateway.internet_gateway_id()));
        did!(client.attach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc));
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
        let made = did!(
            client
                .create_vpc_peering_connection()
                .vpc_id(&vpc)
                .peer_vpc_id(&hub)
                .tag_specifications(tags(T::VpcPeeringConnection, "shop to hub"))
        );
        let peering = id(made.vpc_peering_connection().and_then(|peering| peering.vpc_peering_connection_id()));
        did!(client.accept_vpc_peering_connection().vpc_peering_connection_id(&peering));
        let made = did!(client.create_route_table().vpc_id(&vpc).tag_specifications(tags(T::RouteTable, "shop")));
        let routes = id(made.route_table().and_then(|table| table.route_table_id()));
        let made = did!(client.create_route_table().vpc_id(&hub).tag_specifications(tags(T::RouteTable, "hub")));
        let hub_routes = id(made.route_table().and_then(|table| table.route_table_id()));
        let route = |table: &str| client.create_route().route_table_id(table);
        did!(route(&routes).destination_cidr_block("0.0.0.0/0").gateway_id(&gateway));
        did!(route(&routes).destination_prefix_list_id(&prefix_list).gateway_id(&gateway));
        did!(route(&routes).destination_cidr_block("10.61.0.0/16").vpc_peering_connection_id(&peering));
        did!(route(&hub_routes).destination_cidr_block("10.60.0.0/16").vpc_peering_connection_id(&peering));
        for subnet in [&subnet_a, &subnet_b] {
            did!(client.associate_route_table().route_table_id(&routes).subnet_id(subnet));
        }

        let mut groups = Vec::new();
        for (vpc, name) in [(&vpc, "shop"), (&hub, "hub")] {
            let call = client.create_security_group().vpc_id(vpc).group_name(name).description(name);
            groups.push(id(did!(call.tag_specifications(tags(T::SecurityGroup, name))).group_id()));
        }
        let [group, hub_group]: [String; 2] = groups.try_into().expect("two");
        for (one, port) in [(&group, 443), (&hub_group, 22)] {
            did!(client.authorize_security_group_ingress().group_id(one).ip_permissions(offices(&prefix_list, port)));
        }

        let key_pair = import_key(client).await;
        let template_data = |kind: sdk::InstanceType| {
            sdk::RequestLaunchTemplateData::builder()
                .instance_type(kind)
                .user_data(USER_DATA)
                .security_group_ids(&group)
                .build()
        };
        let made = did!(
            client
                .create_launch_template()
                .launch_template_name("shop")
                .version_description("first")
                .launch_template_data(template_data(sdk::InstanceType::T3Micro))
                .tag_specifications(tags(T::LaunchTemplate, "shop"))
        );
        let template = id(made.launch_template().and_then(|template| template.launch_template_id()));
        did!(
            client
                .create_launch_template_version()
                .launch_template_id(&template)
                .version_description("second")
                .launch_template_data(template_data(sdk::InstanceType::T3Large))
        );

        let image = register_image(client).await;
        let lost = data == Data::Lost;
        let interface = sdk::InstanceNetworkInterfaceSpecification::builder()
            .device_index(0)
            .subnet_id(&subnet_a)
            .private_ip_address(PRIVATE_IP)
            .groups(&group)
            .delete_on_termination(true)
            .build();
        let mut launch = client
            .run_instances()
            .min_count(1)
            .max_count(1)
            .image_id(&image)
            .instance_type(sdk::InstanceType::T3Micro)
            .key_name("ops")
            .user_data(USER_DATA)
            .block_device_mappings(device("/dev/sda1", 9, true))
            .block_device_mappings(device("/dev/sdf", 20, false))
            .network_interfaces(interface)
            .metadata_options(
                sdk::InstanceMetadataOptionsRequest::builder()
                    .http_tokens(sdk::HttpTokensState::Required)
                    .http_put_response_hop_limit(2)
                    .build(),
            )
            .tag_specifications(tags(T::Instance, "shop"));
        if lost {
            launch = launch.block_device_mappings(device("/dev/sdg", 30, true));
        }
        let made = did!(launch);
        let instance = id(made.instances().first().and_then(|instance| instance.instance_id()));
        let volumes = did!(client.describe_volumes().filters(filter("attachment.instance-id", &instance)));
        let volume = |device: &str| {
            let at = |v: &&sdk::Volume| v.attachments().iter().any(|a| a.device() == Some(device));
            volumes.volumes().iter().find(at).map(|v| id(v.volume_id()))
        };
        let root_volume = volume("/dev/sda1").expect("a root volume");
        let data_volume = volume("/dev/sdf").expect("a data volume");
        let scratch_volume = volume("/dev/sdg");
        let call = client.create_volume().availability_zone(&zones[1]).size(12).volume_type(sdk::VolumeType::Gp3);
        let archive_volume = id(did!(call.tag_specifications(tags(T::Volume, "archive"))).volume_id());
        for (volume, name) in
            [(Some(&root_volume), "root"), (Some(&data_volume), "data"), (scratch_volume.as_ref(), "scratch")]
        {
            let Some(volume) = volume else { continue };
            let tag = |key: &str, value: &str| sdk::Tag::builder().key(key).value(value).build();
            did!(client.create_tags().resources(volume).tags(tag("Name", name)).tags(tag("env", "prod")));
        }
        let data_snapshot = id(did!(client.create_snapshot().volume_id(&data_volume)).snapshot_id());
        let archive_snapshot = id(did!(client.create_snapshot().volume_id(&archive_volume)).snapshot_id());
        if !lost {
            did!(client.create_snapshot().volume_id(&root_volume));
        }

        let made = did!(
            client
                .create_network_interface()
                .subnet_id(&subnet_a)
                .private_ip_address("10.60.1.60")
                .groups(&group)
                .description("admin")
                .tag_specifications(tags(T::NetworkInterface, "admin"))
        );
        let interface = id(made.network_interface().and_then(|one| one.network_interface_id()));
        did!(client.attach_network_interface().network_interface_id(&interface).instance_id(&instance).device_index(1));
        let call = client.allocate_address().domain(sdk::DomainType::Vpc);
        let made = did!(call.tag_specifications(tags(T::ElasticIp, "shop")));
        let (address, public_ip) = (id(made.allocation_id()), id(made.public_ip()));
        did!(client.associate_address().allocation_id(&address).instance_id(&instance));

        let made = did!(
            client
                .create_vpc_endpoint()
                .vpc_id(&vpc)
                .service_name("com.amazonaws.eu-west-1.s3")
                .vpc_endpoint_type(sdk::VpcEndpointType::Gateway)
                .route_table_ids(&routes)
                .tag_specifications(tags(T::VpcEndpoint, "s3"))
        );
        let endpoint = id(made.vpc_endpoint().and_then(|endpoint| endpoint.vpc_endpoint_id()));
        let made = did!(
            client
                .create_flow_logs()
                .resource_type(sdk::FlowLogsResourceType::Vpc)
                .resource_ids(&vpc)
                .traffic_type(sdk::TrafficType::Reject)
                .log_group_name("shop-rejects")
                .deliver_logs_permission_arn("arn:aws:iam::123456789012:role/flow-logs")
                .tag_specifications(tags(T::VpcFlowLog, "rejects"))
        );
        let flow_log = made.flow_log_ids().first().expect("a flow log").clone();

        Workload {
            data,
            vpc,
            hub,
            subnet_a,
            subnet_b,
            gateway,
            routes,
            hub_routes,
            group,
            hub_group,
            prefix_list,
            key_pair,
            template,
            instance,
            root_volume,
            data_volume,
            scratch_volume,
            archive_volume,
            data_snapshot,
            archive_snapshot,
            interface,
            address,
            public_ip,
            endpoint,
            flow_log,
            peering,
        }
    }

    /// Deletes all but the second VPC and the snapshots, in the order that AWS forces.
    pub async fn teardown(&self, client: &Client) {
        did!(client.delete_flow_logs().flow_log_ids(&self.flow_log));
        did!(client.delete_vpc_endpoints().vpc_endpoint_ids(&self.endpoint));
        did!(client.delete_launch_template().launch_template_id(&self.template));
        let found = did!(client.describe_addresses().allocation_ids(&self.address));
        let association = id(found.addresses().first().and_then(|one| one.association_id()));
        did!(client.disassociate_address().association_id(association));
        did!(client.release_address().allocation_id(&self.address));
        let found = did!(client.describe_network_interfaces().network_interface_ids(&self.interface));
        let attachment = found.network_interfaces().first().and_then(|one| one.attachment());
        let attachment = id(attachment.and_then(|one| one.attachment_id()));
        did!(client.detach_network_interface().attachment_id(attachment).force(true));
        did!(client.terminate_instances().instance_ids(&self.instance));
        terminated(client, std::slice::from_ref(&self.instance)).await;
        did!(client.delete_network_interface().network_interface_id(&self.interface));
        if self.data == Data::Lost {
            did!(client.delete_volume().volume_id(&self.data_volume));
        }
        did!(client.delete_volume().volume_id(&self.archive_volume));
        did!(client.delete_key_pair().key_pair_id(&self.key_pair));
        // No prefix list goes while a rule or a route names it.
        for (group, port) in [(&self.group, 443), (&self.hub_group, 22)] {
            let rule = offices(&self.prefix_list, port);
            did!(client.revoke_security_group_ingress().group_id(group).ip_permissions(rule));
        }
        did!(client.delete_route().route_table_id(&self.routes).destination_prefix_list_id(&self.prefix_list));
        did!(client.delete_managed_prefix_list().prefix_list_id(&self.prefix_list));
        did!(client.delete_vpc_peering_connection().vpc_peering_connection_id(&self.peering));
        let found = did!(client.describe_route_tables().route_table_ids(&self.routes));
        for one in found.route_tables().iter().flat_map(|table| table.associations()) {
            did!(client.disassociate_route_table().association_id(id(one.route_table_association_id())));
        }
        did!(client.delete_route_table().route_table_id(&self.routes));
        did!(client.detach_internet_gateway().internet_gateway_id(&self.gateway).vpc_id(&self.vpc));
        did!(client.delete_internet_gateway().internet_gateway_id(&self.gateway));
        did!(client.delete_security_group().group_id(&self.group));
        for subnet in [&self.subnet_a, &self.subnet_b] {
            did!(client.delete_subnet().subnet_id(subnet));
        }
        did!(client.delete_vpc().vpc_id(&self.vpc));
    }

    /// All that is alive of the kinds above, by names; the default VPC's own left out.
    pub async fn picture(client: &Client) -> Value {
        let live = Live::read(client).await;
        live.picture(client).await
    }

    /// The user data of the one instance that is alive, as AWS keeps it.
    pub async fn user_data(client: &Client, instance: &str) -> Option<String> {
        let call = client.describe_instance_attribute().instance_id(instance);
        let found = did!(call.attribute(sdk::InstanceAttributeName::UserData));
        found.user_data().and_then(|value| value.value()).map(str::to_owned)
    }
}

/// Imports the one public key as `ops`; its id.
pub(crate) async fn import_key(client: &Client) -> String {
    let call = client.import_key_pair().key_name("ops").public_key_material(Blob::new(PUBLIC_KEY));
    id(did!(call.tag_specifications(tags(sdk::ResourceType::KeyPair, "ops"))).key_pair_id())
}

/// An image to launch from; its id.
pub(crate) async fn register_image(client: &Client) -> String {
    let call = client.register_image().name("shop").architecture(sdk::ArchitectureValues::X8664);
    id(did!(call.virtualization_type("hvm").root_device_name("/dev/sda1")).image_id())
}

pub(crate) fn device(name: &str, size: i32, dies: bool) -> sdk::BlockDeviceMapping {
    let ebs = sdk::EbsBlockDevice::builder().volume_size(size).volume_type(sdk::VolumeType::Gp3);
    let ebs = ebs.delete_on_termination(dies).build();
    sdk::BlockDeviceMapping::builder().device_name(name).ebs(ebs).build()
}

/// Waits until these are gone for good.
pub(crate) async fn terminated(client: &Client, instances: &[String]) {
    crate::until("the instances are terminated", std::time::Duration::from_secs(60), || async {
        let found = did!(client.describe_instances().set_instance_ids(Some(instances.to_vec())));
        let all = found.reservations().iter().flat_map(|one| one.instances());
        let states = all.filter_map(|one| one.state().and_then(|state| state.name()));
        states.into_iter().all(|state| *state == sdk::InstanceStateName::Terminated)
    })
    .await;
}

pub(crate) fn offices(prefix_list: &str, port: i32) -> sdk::IpPermission {
    let list = sdk::PrefixListId::builder().prefix_list_id(prefix_list).description("the offices").build();
    sdk::IpPermission::builder().ip_protocol("tcp").from_port(port).to_port(port).prefix_list_ids(list).build()
}

#[derive(Default)]
struct Live {
    names: BTreeMap<String, String>,
    subnets: Vec<sdk::Subnet>,
    gateways: Vec<sdk::InternetGateway>,
    tables: Vec<sdk::RouteTable>,
    groups: Vec<sdk::SecurityGroup>,
    lists: Vec<sdk::ManagedPrefixList>,
    keys: Vec<sdk::KeyPairInfo>,
    templates: Vec<sdk::LaunchTemplate>,
    instances: Vec<sdk::Instance>,
    volumes: Vec<sdk::Volume>,
    interfaces: Vec<sdk::NetworkInterface>,
    addresses: Vec<sdk::Address>,
    endpoints: Vec<sdk::VpcEndpoint>,
    flow_logs: Vec<sdk::FlowLog>,
    peerings: Vec<sdk::VpcPeeringConnection>,
}

fn text(value: Option<&impl ToString>) -> Option<String> {
    value.map(ToString::to_string)
}
fn all_tags(tags: &[sdk::Tag]) -> Value {
    let kept = tags.iter().filter(|tag| !tag.key().unwrap_or_default().starts_with("rollbackd:"));
    kept.map(|tag| (tag.key().unwrap_or_default().to_owned(), json!(tag.value()))).collect()
}
fn sorted(values: impl IntoIterator<Item = Value>) -> Value {
    let mut values: Vec<Value> = values.into_iter().collect();
    values.sort_by_cached_key(Value::to_string);
    Value::Array(values)
}

impl Live {
    async fn read(client: &Client) -> Live {
        let mut live = Live::default();
        let mut names = BTreeMap::new();
        let mut know = |kind: &str, id: Option<&str>, tags: &[sdk::Tag]| {
            let name = value_of(tags, "Name").unwrap_or("(unnamed)");
            names.insert(id.unwrap_or_default().to_owned(), format!("{kind} {name}"));
        };
        let vpcs = did!(client.describe_vpcs()).vpcs.unwrap_or_default();
        let ours: Vec<String> =
            vpcs.iter().filter(|vpc| vpc.is_default() != Some(true)).map(|vpc| id(vpc.vpc_id())).collect();
        let inside = |vpc: Option<&str>| ours.iter().any(|one| Some(one.as_str()) == vpc);
        vpcs.iter().filter(|vpc| inside(vpc.vpc_id())).for_each(|vpc| know("vpc", vpc.vpc_id(), vpc.tags()));
        live.subnets = did!(client.describe_subnets()).subnets.unwrap_or_default();
        live.subnets.retain(|one| inside(one.vpc_id()));
        live.subnets.iter().for_each(|one| know("subnet", one.subnet_id(), one.tags()));
        live.gateways = did!(client.describe_internet_gateways()).internet_gateways.unwrap_or_default();
        live.gateways.retain(|one| !one.tags().is_empty());
        live.gateways.iter().for_each(|one| know("gateway", one.internet_gateway_id(), one.tags()));
        live.tables = did!(client.describe_route_tables()).route_tables.unwrap_or_default();
        live.tables.retain(|one| inside(one.vpc_id()));
        live.tables.iter().for_each(|one| know("table", one.route_table_id(), one.tags()));
        live.groups = did!(client.describe_security_groups()).security_groups.unwrap_or_default();
        live.groups.retain(|one| inside(one.vpc_id()));
        live.groups.iter().for_each(|one| know("group", one.group_id(), one.tags()));
        live.lists = did!(client.describe_managed_prefix_lists()).prefix_lists.unwrap_or_default();
        live.lists.retain(|one| one.state() != Some(&sdk::PrefixListState::DeleteComplete));
        for one in &live.lists {
            match one.owner_id() {
                Some("AWS") => {
                    know(&format!("AWS's {}", one.prefix_list_name().unwrap_or_default()), one.prefix_list_id(), &[])
                }
                _ => know("list", one.prefix_list_id(), one.tags()),
            }
        }
        live.lists.retain(|one| one.owner_id() != Some("AWS"));
        live.keys = did!(client.describe_key_pairs()).key_pairs.unwrap_or_default();
        live.templates = did!(client.describe_launch_templates()).launch_templates.unwrap_or_default();
        let found = did!(client.describe_instances()).reservations.unwrap_or_default();
        live.instances = found.into_iter().flat_map(|one| one.instances.unwrap_or_default()).collect();
        let dead = |one: &sdk::Instance| {
            one.state().and_then(|state| state.name()) == Some(&sdk::InstanceStateName::Terminated)
        };
        live.instances.retain(|one| !dead(one));
        live.instances.iter().for_each(|one| know("instance", one.instance_id(), one.tags()));
        live.volumes = did!(client.describe_volumes()).volumes.unwrap_or_default();
        live.volumes.iter().for_each(|one| know("volume", one.volume_id(), one.tags()));
        live.interfaces = did!(client.describe_network_interfaces()).network_interfaces.unwrap_or_default();
        // The addresses of an endpoint's are AWS's choice.
        live.interfaces.retain(|one| one.requester_managed() != Some(true));
        for one in &live.interfaces {
            know("interface", one.network_interface_id(), one.tag_set());
        }
        live.addresses = did!(client.describe_addresses()).addresses.unwrap_or_default();
        live.endpoints = did!(client.describe_vpc_endpoints()).vpc_endpoints.unwrap_or_default();
        live.endpoints.retain(|one| one.state().is_none_or(|state| !state.as_str().eq_ignore_ascii_case("deleted")));
        live.endpoints.iter().for_each(|one| know("endpoint", one.vpc_endpoint_id(), one.tags()));
        live.flow_logs = did!(client.describe_flow_logs()).flow_logs.unwrap_or_default();
        live.peerings = did!(client.describe_vpc_peering_connections()).vpc_peering_connections.unwrap_or_default();
        live.peerings.retain(|one| {
            one.status().and_then(|status| status.code()) == Some(&sdk::VpcPeeringConnectionStateReasonCode::Active)
        });
        live.peerings.iter().for_each(|one| know("peering", one.vpc_peering_connection_id(), one.tags()));
        live.names = names;
        live
    }

    fn name(&self, id: Option<&str>) -> Value {
        match id {
            None => Value::Null,
            Some("local") => json!("local"),
            Some(id) => self.names.get(id).map_or_else(
                || json!(format!("dead {}", id.rsplit_once('-').map_or(id, |(prefix, _)| prefix))),
                |name| json!(name),
            ),
        }
    }
    fn all(&self, ids: impl IntoIterator<Item = impl AsRef<str>>) -> Value {
        sorted(ids.into_iter().map(|id| self.name(Some(id.as_ref()))))
    }

    async fn picture(&self, client: &Client) -> Value {
        let subnets = self.subnets.iter().map(|one| {
            json!([
                self.name(one.subnet_id()),
                self.name(one.vpc_id()),
                one.cidr_block(),
                one.availability_zone(),
                all_tags(one.tags())
            ])
        });
        let gateways = self.gateways.iter().map(|one| {
            json!([self.name(one.internet_gateway_id()), self.all(one.attachments().iter().filter_map(|a| a.vpc_id()))])
        });
        let tables = self.tables.iter().map(|one| {
            let routes = one.routes().iter().map(|route| {
                let list = route.destination_prefix_list_id();
                json!([
                    route.destination_cidr_block().map_or_else(|| self.name(list), |cidr| json!(cidr)),
                    self.name(route.gateway_id().or(route.vpc_peering_connection_id()).or(route.nat_gateway_id())),
                    text(route.state()),
                ])
            });
            json!({
                "name": self.name(one.route_table_id()),
                "vpc": self.name(one.vpc_id()),
                "routes": sorted(routes),
                "subnets": self.all(one.associations().iter().filter_map(|one| one.subnet_id())),
            })
        });
        let groups = self.groups.iter().map(|one| {
            let rules = |rows: &[sdk::IpPermission]| {
                sorted(rows.iter().map(|row| {
                    let lists = row
                        .prefix_list_ids()
                        .iter()
                        .map(|list| json!([self.name(list.prefix_list_id()), list.description()]));
                    let ranges = row.ip_ranges().iter().map(|range| json!(range.cidr_ip()));
                    json!([row.ip_protocol(), row.from_port(), row.to_port(), sorted(lists), sorted(ranges)])
                }))
            };
            json!({
                "name": [json!(one.group_name()), self.name(one.vpc_id())],
                "in": rules(one.ip_permissions()),
                "out": rules(one.ip_permissions_egress()),
                "tags": all_tags(one.tags()),
            })
        });
        let mut lists = Vec::new();
        for one in &self.lists {
            let found = did!(client.get_managed_prefix_list_entries().prefix_list_id(id(one.prefix_list_id())));
            let entries = found.entries().iter().map(|entry| json!([entry.cidr(), entry.description()]));
            lists.push(json!([one.prefix_list_name(), one.max_entries(), sorted(entries), all_tags(one.tags())]));
        }
        let keys = self.keys.iter().map(|one| json!([one.key_name(), one.key_fingerprint(), all_tags(one.tags())]));
        let mut templates = Vec::new();
        for one in &self.templates {
            let found =
                did!(client.describe_launch_template_versions().launch_template_id(id(one.launch_template_id())));
            let versions = found.launch_template_versions().iter().map(|version| {
                let data = version.launch_template_data();
                json!([
                    version.version_number(),
                    version.version_description(),
                    version.default_version(),
                    data.and_then(|data| text(data.instance_type())),
                    data.and_then(|data| data.user_data()),
                    self.all(data.map(|data| data.security_group_ids()).unwrap_or_default()),
                ])
            });
            templates.push(json!({
                "name": one.launch_template_name(),
                "default": one.default_version_number(),
                "latest": one.latest_version_number(),
                "versions": sorted(versions),
                "tags": all_tags(one.tags()),
            }));
        }
        let mut instances = Vec::new();
        for one in &self.instances {
            let devices = one.block_device_mappings().iter().map(|device| {
                let ebs = device.ebs();
                json!([
                    device.device_name(),
                    self.name(ebs.and_then(|ebs| ebs.volume_id())),
                    ebs.and_then(|ebs| ebs.delete_on_termination()),
                ])
            });
            let interfaces = one.network_interfaces().iter().map(|row| {
                let at = row.attachment();
                json!([
                    at.and_then(|at| at.device_index()),
                    at.and_then(|at| at.delete_on_termination()),
                    self.name(row.network_interface_id()),
                    self.name(row.subnet_id()),
                    sorted(row.private_ip_addresses().iter().map(|ip| json!(ip.private_ip_address()))),
                    self.all(row.groups().iter().filter_map(|group| group.group_id())),
                ])
            });
            let metadata = one.metadata_options();
            instances.push(json!({
                "name": self.name(one.instance_id()),
                "type": text(one.instance_type()),
                "key": one.key_name(),
                "private IP": one.private_ip_address(),
                "public IP": one.public_ip_address(),
                "subnet": self.name(one.subnet_id()),
                "devices": sorted(devices),
                "interfaces": sorted(interfaces),
                "tokens": metadata.and_then(|options| text(options.http_tokens())),
                "hops": metadata.and_then(|options| options.http_put_response_hop_limit()),
                "user data": Workload::user_data(client, &id(one.instance_id())).await,
                "tags": all_tags(one.tags()),
            }));
        }
        let volumes = self.volumes.iter().map(|one| {
            let attachments = one
                .attachments()
                .iter()
                .map(|at| json!([self.name(at.instance_id()), at.device(), at.delete_on_termination()]));
            json!([
                self.name(one.volume_id()),
                one.size(),
                text(one.volume_type()),
                one.availability_zone(),
                sorted(attachments),
                all_tags(one.tags()),
            ])
        });
        let interfaces = self.interfaces.iter().map(|one| {
            json!([
                self.name(one.network_interface_id()),
                self.name(one.subnet_id()),
                one.private_ip_address(),
                one.description(),
                self.all(one.groups().iter().filter_map(|group| group.group_id())),
                self.name(one.attachment().and_then(|at| at.instance_id())),
                one.attachment().and_then(|at| at.device_index()),
                all_tags(one.tag_set()),
            ])
        });
        let addresses = self.addresses.iter().map(|one| {
            json!([one.public_ip(), self.name(one.instance_id()), one.private_ip_address(), all_tags(one.tags()),])
        });
        let endpoints = self.endpoints.iter().map(|one| {
            json!([
                self.name(one.vpc_endpoint_id()),
                one.service_name(),
                text(one.vpc_endpoint_type()),
                self.all(one.route_table_ids()),
                one.policy_document(),
            ])
        });
        let flow_logs = self.flow_logs.iter().map(|one| {
            json!([self.name(one.resource_id()), text(one.traffic_type()), one.log_group_name(), all_tags(one.tags())])
        });
        let peerings = self.peerings.iter().map(|one| {
            json!([
                self.name(one.vpc_peering_connection_id()),
                self.name(one.requester_vpc_info().and_then(|side| side.vpc_id())),
                self.name(one.accepter_vpc_info().and_then(|side| side.vpc_id())),
            ])
        });
        json!({
            "subnets": sorted(subnets),
            "gateways": sorted(gateways),
            "tables": sorted(tables),
            "groups": sorted(groups),
            "prefix lists": sorted(lists),
            "key pairs": sorted(keys),
            "templates": sorted(templates),
            "instances": sorted(instances),
            "volumes": sorted(volumes),
            "interfaces": sorted(interfaces),
            "addresses": sorted(addresses),
            "endpoints": sorted(endpoints),
            "flow logs": sorted(flow_logs),
            "peerings": sorted(peerings),
        })
    }
}
