//! A production environment to lose: one VPC with all that belongs to it, and a second VPC that survives and names it.
//!
//! The fingerprint is what a test compares before and after. It is written against the SDK alone, and knows resources by their
//! names, so that an environment with other ids and the same configuration has the same fingerprint.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    AttributeBooleanValue, DomainType, Filter, IcmpTypeCode, IpPermission, IpRange, Ipv6Range, NatGatewayState,
    NewDhcpConfiguration, PortRange, ResourceType, RuleAction, Tag, TagSpecification, UserIdGroupPair,
    VpcAttributeName,
};
use serde_json::{Value, json};

use crate::daemon::until;

const SETTLE_WAIT: Duration = Duration::from_secs(120);
const VPC_NAME: &str = "prod";
const CIDR: &str = "10.40.0.0/16";

/// Every name that `build` gives, and the zone index and network of each subnet.
const SUBNETS: [(&str, usize, &str); 6] = [
    ("public-a", 0, "10.40.0.0/24"),
    ("public-b", 1, "10.40.1.0/24"),
    ("app-a", 0, "10.40.10.0/24"),
    ("app-b", 1, "10.40.11.0/24"),
    ("data-a", 0, "10.41.20.0/24"),
    ("data-b", 1, "10.41.21.0/24"),
];

/// Sends a call and panics, naming it, when it fails.
macro_rules! did {
    ($call:expr) => {{
        let call = $call;
        call.send().await.unwrap_or_else(|problem| panic!("{}: {problem:?}", stringify!($call)))
    }};
}
pub(crate) use did;

/// The ids of what `build` made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub vpc: String,
    pub dhcp_options: String,
    pub public_a: String,
    pub public_b: String,
    pub app_a: String,
    pub app_b: String,
    pub data_a: String,
    pub data_b: String,
    pub internet_gateway: String,
    pub egress_only_gateway: String,
    pub address_a: String,
    pub address_b: String,
    pub public_ip_a: String,
    pub public_ip_b: String,
    pub nat_a: String,
    pub nat_b: String,
    pub routes_public: String,
    pub routes_private_a: String,
    pub routes_private_b: String,
    /// The custom main table.
    pub routes_data: String,
    /// The table that came with the VPC; not the main one any more.
    pub routes_original: String,
    pub group_lb: String,
    pub group_app: String,
    pub group_data: String,
    pub group_pair: String,
    pub acl_public: String,
    pub acl_data: String,
    /// The VPC that survives, and the group in it that names `group_app`.
    pub shared_vpc: String,
    pub group_monitoring: String,
    /// Between the two VPCs. Deleting one of them ends it, and nothing in the environment routes through it.
    pub peering: String,
}

/// How many resources of each kind an account has, without its default VPC, without the Region's own DHCP options and without
/// NAT gateways that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub vpcs: usize,
    pub dhcp_options: usize,
    pub subnets: usize,
    pub internet_gateways: usize,
    pub egress_only_gateways: usize,
    pub addresses: usize,
    pub nat_gateways: usize,
    pub route_tables: usize,
    pub security_groups: usize,
    pub network_acls: usize,
}

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build()
}

fn tags(kind: ResourceType, name: &str) -> TagSpecification {
    TagSpecification::builder()
        .resource_type(kind)
        .tags(tag("Name", name))
        .tags(tag("env", "prod"))
        .tags(tag("team", "web"))
        .build()
}

pub(crate) fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

fn yes() -> AttributeBooleanValue {
    AttributeBooleanValue::builder().value(true).build()
}

pub(crate) fn id(given: Option<&str>) -> String {
    given.expect("the answer has an id").to_owned()
}

fn ports(protocol: &str, from: i32, to: i32) -> aws_sdk_ec2::types::builders::IpPermissionBuilder {
    IpPermission::builder().ip_protocol(protocol).from_port(from).to_port(to)
}

fn from_group(group: &str, description: &str) -> UserIdGroupPair {
    UserIdGroupPair::builder().group_id(group).description(description).build()
}

fn from_range(cidr: &str, description: &str) -> IpRange {
    IpRange::builder().cidr_ip(cidr).description(description).build()
}

impl Environment {
    pub async fn build(client: &Client) -> Environment {
        let zones = did!(client.describe_availability_zones());
        let zones: Vec<String> = zones.availability_zones().iter().take(2).map(|zone| id(zone.zone_name())).collect();

        let made = did!(client.create_vpc().cidr_block(CIDR).tag_specifications(tags(ResourceType::Vpc, VPC_NAME)));
        let vpc = id(made.vpc().and_then(|vpc| vpc.vpc_id()));
        did!(client.modify_vpc_attribute().vpc_id(&vpc).enable_dns_support(yes()));
        did!(client.modify_vpc_attribute().vpc_id(&vpc).enable_dns_hostnames(yes()));
        did!(client.associate_vpc_cidr_block().vpc_id(&vpc).cidr_block("10.41.0.0/16"));

        let option = |key: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            NewDhcpConfiguration::builder().key(key).set_values(Some(values)).build()
        };
        let made = did!(
            client
                .create_dhcp_options()
                .dhcp_configurations(option("domain-name", &["prod.example.internal"]))
                .dhcp_configurations(option("domain-name-servers", &["10.40.0.2", "10.99.0.53"]))
                .dhcp_configurations(option("ntp-servers", &["169.254.169.123"]))
                .tag_specifications(tags(ResourceType::DhcpOptions, "prod-dhcp"))
        );
        let dhcp_options = id(made.dhcp_options().and_then(|options| options.dhcp_options_id()));
        did!(client.associate_dhcp_options().dhcp_options_id(&dhcp_options).vpc_id(&vpc));

        let mut subnets = Vec::new();
        for (name, zone, cidr) in SUBNETS {
            let made = did!(
                client
                    .create_subnet()
                    .vpc_id(&vpc)
                    .cidr_block(cidr)
                    .availability_zone(&zones[zone])
                    .tag_specifications(tags(ResourceType::Subnet, name))
            );
            let subnet = id(made.subnet().and_then(|subnet| subnet.subnet_id()));
            if name.starts_with("public") {
                did!(client.modify_subnet_attribute().subnet_id(&subnet).map_public_ip_on_launch(yes()));
            }
            subnets.push(subnet);
        }
        let [public_a, public_b, app_a, app_b, data_a, data_b]: [String; 6] = subnets.try_into().expect("six subnets");

        let gateway_tags = tags(ResourceType::InternetGateway, "prod-igw");
        let made = did!(client.create_internet_gateway().tag_specifications(gateway_tags));
        let internet_gateway = id(made.internet_gateway().and_then(|gateway| gateway.internet_gateway_id()));
        did!(client.attach_internet_gateway().internet_gateway_id(&internet_gateway).vpc_id(&vpc));
        let made = did!(
            client
                .create_egress_only_internet_gateway()
                .vpc_id(&vpc)
                .tag_specifications(tags(ResourceType::EgressOnlyInternetGateway, "prod-eigw"))
        );
        let made = made.egress_only_internet_gateway();
        let egress_only_gateway = id(made.and_then(|gateway| gateway.egress_only_internet_gateway_id()));

        let (address_a, public_ip_a) = address(client, "nat-a").await;
        let (address_b, public_ip_b) = address(client, "nat-b").await;
        let nat_a = nat(client, "nat-a", &public_a, &address_a).await;
        let nat_b = nat(client, "nat-b", &public_b, &address_b).await;
        for gateway in [&nat_a, &nat_b] {
            until("a new NAT gateway is available", SETTLE_WAIT, || {
                nat_is(client, gateway, NatGatewayState::Available)
            })
            .await;
        }

        let (routes_original, main_association) = main_table(client, &vpc).await;
        let routes_public = table(client, &vpc, "public").await;
        let routes_private_a = table(client, &vpc, "private-a").await;
        let routes_private_b = table(client, &vpc, "private-b").await;
        let routes_data = table(client, &vpc, "data").await;
        let default_route =
            |table: &str| client.create_route().route_table_id(table).destination_cidr_block("0.0.0.0/0");
        did!(default_route(&routes_public).gateway_id(&internet_gateway));
        did!(default_route(&routes_private_a).nat_gateway_id(&nat_a));
        did!(default_route(&routes_private_b).nat_gateway_id(&nat_b));
        for table in [&routes_private_a, &routes_private_b] {
            did!(
                client
                    .create_route()
                    .route_table_id(table)
                    .destination_ipv6_cidr_block("::/0")
                    .egress_only_internet_gateway_id(&egress_only_gateway)
            );
        }
        for (table, subnet) in [
            (&routes_public, &public_a),
            (&routes_public, &public_b),
            (&routes_private_a, &app_a),
            (&routes_private_b, &app_b),
        ] {
            did!(client.associate_route_table().route_table_id(table).subnet_id(subnet));
        }
        // The data subnets are in no association: they follow whatever table is the main one.
        did!(client.replace_route_table_association().association_id(main_association).route_table_id(&routes_data));

        let group_lb = group(client, &vpc, "lb", "load balancers").await;
        let group_app = group(client, &vpc, "app", "application servers").await;
        let group_data = group(client, &vpc, "data", "databases").await;
        let group_pair = group(client, &vpc, "pair", "members of a cluster").await;
        let allow = |group: &str, permission: IpPermission| {
            client.authorize_security_group_ingress().group_id(group).ip_permissions(permission)
        };
        let public = ports("tcp", 443, 443).ip_ranges(from_range("0.0.0.0/0", "https from anywhere"));
        let public =
            public.ipv6_ranges(Ipv6Range::builder().cidr_ipv6("::/0").description("https from anywhere").build());
        let rule_tags = TagSpecification::builder().resource_type(ResourceType::SecurityGroupRule);
        let rule_tags = rule_tags.tags(tag("ticket", "NET-101")).build();
        did!(allow(&group_lb, public.build()).tag_specifications(rule_tags));
        did!(allow(&group_app, ports("tcp", 8080, 8080).user_id_group_pairs(from_group(&group_lb, "from lb")).build()));
        did!(allow(
            &group_app,
            ports("tcp", 9000, 9010).user_id_group_pairs(from_group(&group_data, "change feed")).build()
        ));
        did!(allow(&group_app, ports("icmp", 3, 4).ip_ranges(from_range("10.40.0.0/15", "path MTU")).build()));
        did!(allow(&group_data, ports("tcp", 5432, 5432).user_id_group_pairs(from_group(&group_app, "sql")).build()));
        did!(allow(
            &group_pair,
            ports("udp", 7946, 7946).user_id_group_pairs(from_group(&group_pair, "gossip")).build()
        ));
        did!(allow(&group_pair, ports("tcp", 7946, 7946).user_id_group_pairs(from_group(&group_lb, "health")).build()));
        // The databases may not call out: the rule that every new group has goes, a narrower one comes.
        let anywhere =
            IpPermission::builder().ip_protocol("-1").ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build());
        did!(client.revoke_security_group_egress().group_id(&group_data).ip_permissions(anywhere.build()));
        let answers = ports("tcp", 9000, 9010).user_id_group_pairs(from_group(&group_app, "change feed"));
        did!(client.authorize_security_group_egress().group_id(&group_data).ip_permissions(answers.build()));

        let acl_public = acl(client, &vpc, "public").await;
        let acl_data = acl(client, &vpc, "data").await;
        let entry = |acl: &str, number: i32, egress: bool, protocol: &str, cidr: &str| {
            client
                .create_network_acl_entry()
                .network_acl_id(acl)
                .rule_number(number)
                .egress(egress)
                .protocol(protocol)
                .rule_action(RuleAction::Allow)
                .cidr_block(cidr)
        };
        let range = |from: i32, to: i32| PortRange::builder().from(from).to(to).build();
        did!(entry(&acl_public, 100, false, "6", "0.0.0.0/0").port_range(range(443, 443)));
        did!(entry(&acl_public, 110, false, "6", "0.0.0.0/0").port_range(range(1024, 65535)));
        let unreachable = IcmpTypeCode::builder().r#type(3).code(4).build();
        did!(entry(&acl_public, 120, false, "1", "0.0.0.0/0").icmp_type_code(unreachable));
        did!(entry(&acl_public, 90, false, "-1", "192.0.2.0/24").rule_action(RuleAction::Deny));
        did!(entry(&acl_public, 100, true, "-1", "0.0.0.0/0"));
        did!(entry(&acl_data, 100, false, "6", "10.40.0.0/16").port_range(range(5432, 5432)));
        did!(entry(&acl_data, 100, true, "6", "10.40.0.0/16").port_range(range(1024, 65535)));
        associate_acl(client, &acl_public, &[&public_a, &public_b]).await;
        associate_acl(client, &acl_data, &[&data_a, &data_b]).await;

        let made =
            did!(client.create_vpc().cidr_block("10.99.0.0/16").tag_specifications(tags(ResourceType::Vpc, "shared")));
        let shared_vpc = id(made.vpc().and_then(|vpc| vpc.vpc_id()));
        let made = did!(client.create_vpc_peering_connection().vpc_id(&vpc).peer_vpc_id(&shared_vpc));
        let peering = id(made.vpc_peering_connection().and_then(|peering| peering.vpc_peering_connection_id()));
        did!(client.accept_vpc_peering_connection().vpc_peering_connection_id(&peering));
        let group_monitoring = group(client, &shared_vpc, "monitoring", "metrics").await;
        did!(allow(
            &group_monitoring,
            ports("tcp", 4317, 4317).user_id_group_pairs(from_group(&group_app, "traces")).build()
        ));
        did!(allow(&group_monitoring, ports("tcp", 22, 22).ip_ranges(from_range("10.99.0.0/16", "ssh")).build()));

        Environment {
            vpc,
            dhcp_options,
            public_a,
            public_b,
            app_a,
            app_b,
            data_a,
            data_b,
            internet_gateway,
            egress_only_gateway,
            address_a,
            address_b,
            public_ip_a,
            public_ip_b,
            nat_a,
            nat_b,
            routes_public,
            routes_private_a,
            routes_private_b,
            routes_data,
            routes_original,
            group_lb,
            group_app,
            group_data,
            group_pair,
            acl_public,
            acl_data,
            shared_vpc,
            group_monitoring,
            peering,
        }
    }

    /// Deletes the environment call by call, in an order that AWS accepts. What survives is the shared VPC, and in it the
    /// group `monitoring`, which has lost its rule that named the application.
    pub async fn teardown(&self, client: &Client) {
        self.revoke_naming(client, &self.group_monitoring, &[&self.group_app]).await;

        let tables = [&self.routes_public, &self.routes_private_a, &self.routes_private_b];
        for table in tables {
            let found = did!(client.describe_route_tables().route_table_ids(table));
            for table in found.route_tables() {
                for association in table.associations().iter().filter(|one| one.main() != Some(true)) {
                    did!(
                        client.disassociate_route_table().association_id(id(association.route_table_association_id()))
                    );
                }
                for route in table.routes().iter().filter(|one| one.gateway_id() != Some("local")) {
                    did!(
                        client
                            .delete_route()
                            .route_table_id(id(table.route_table_id()))
                            .set_destination_cidr_block(route.destination_cidr_block().map(str::to_owned))
                            .set_destination_ipv6_cidr_block(route.destination_ipv6_cidr_block().map(str::to_owned))
                    );
                }
            }
        }
        for gateway in [&self.nat_a, &self.nat_b] {
            did!(client.delete_nat_gateway().nat_gateway_id(gateway));
        }
        for gateway in [&self.nat_a, &self.nat_b] {
            until("a NAT gateway is deleted", SETTLE_WAIT, || nat_is(client, gateway, NatGatewayState::Deleted)).await;
        }
        for address in [&self.address_a, &self.address_b] {
            did!(client.release_address().allocation_id(address));
        }
        did!(client.detach_internet_gateway().internet_gateway_id(&self.internet_gateway).vpc_id(&self.vpc));
        did!(client.delete_internet_gateway().internet_gateway_id(&self.internet_gateway));
        let gateway = &self.egress_only_gateway;
        did!(client.delete_egress_only_internet_gateway().egress_only_internet_gateway_id(gateway));

        let found = did!(
            client.describe_network_acls().filters(filter("vpc-id", &self.vpc)).filters(filter("default", "true"))
        );
        let default_acl = id(found.network_acls().first().and_then(|acl| acl.network_acl_id()));
        associate_acl(client, &default_acl, &[&self.public_a, &self.public_b, &self.data_a, &self.data_b]).await;
        for acl in [&self.acl_public, &self.acl_data] {
            did!(client.delete_network_acl().network_acl_id(acl));
        }
        for subnet in [&self.public_a, &self.public_b, &self.app_a, &self.app_b, &self.data_a, &self.data_b] {
            did!(client.delete_subnet().subnet_id(subnet));
        }

        let (_, association) = main_table(client, &self.vpc).await;
        let original = &self.routes_original;
        did!(client.replace_route_table_association().association_id(association).route_table_id(original));
        for table in tables.into_iter().chain([&self.routes_data]) {
            did!(client.delete_route_table().route_table_id(table));
        }

        let groups = [&self.group_lb, &self.group_app, &self.group_data, &self.group_pair];
        for group in groups {
            self.revoke_naming(client, group, &groups).await;
        }
        for group in groups {
            did!(client.delete_security_group().group_id(group));
        }
        did!(client.delete_vpc().vpc_id(&self.vpc));
        did!(client.delete_dhcp_options().dhcp_options_id(&self.dhcp_options));
    }

    /// Revokes the rules of `group` that name another one of `named`.
    pub(crate) async fn revoke_naming(&self, client: &Client, group: &str, named: &[&String]) {
        let found = did!(client.describe_security_groups().group_ids(group));
        let found = found.security_groups().first().expect("the group is there");
        for (permissions, egress) in [(found.ip_permissions(), false), (found.ip_permissions_egress(), true)] {
            for permission in permissions {
                let pairs: Vec<UserIdGroupPair> = permission
                    .user_id_group_pairs()
                    .iter()
                    .filter(|pair| {
                        pair.group_id() != Some(group) && named.iter().any(|id| pair.group_id() == Some(id.as_str()))
                    })
                    .cloned()
                    .collect();
                if pairs.is_empty() {
                    continue;
                }
                let rule = IpPermission::builder()
                    .set_ip_protocol(permission.ip_protocol().map(str::to_owned))
                    .set_from_port(permission.from_port())
                    .set_to_port(permission.to_port())
                    .set_user_id_group_pairs(Some(pairs))
                    .build();
                if egress {
                    did!(client.revoke_security_group_egress().group_id(group).ip_permissions(rule));
                } else {
                    did!(client.revoke_security_group_ingress().group_id(group).ip_permissions(rule));
                }
            }
        }
    }

    /// What an agent makes in place of what it deleted: a VPC of the same network and name with one subnet, without the other
    /// tags. Returns the ids of the two.
    pub async fn lookalike(client: &Client) -> (String, String) {
        let name = TagSpecification::builder().resource_type(ResourceType::Vpc).tags(tag("Name", VPC_NAME)).build();
        let made = did!(client.create_vpc().cidr_block(CIDR).tag_specifications(name));
        let vpc = id(made.vpc().and_then(|vpc| vpc.vpc_id()));
        let name =
            TagSpecification::builder().resource_type(ResourceType::Subnet).tags(tag("Name", "public-a")).build();
        let made = did!(client.create_subnet().vpc_id(&vpc).cidr_block("10.40.0.0/24").tag_specifications(name));
        let subnet = id(made.subnet().and_then(|subnet| subnet.subnet_id()));
        (vpc, subnet)
    }

    /// The ids of an environment that was restored, found by its names and tags. Panics when a part is missing or there twice.
    pub async fn find(client: &Client) -> Environment {
        let seen = Seen::read(client).await;
        let one = |kind: &str, name: &str| -> String {
            let found: Vec<&String> = seen
                .named
                .iter()
                .filter(|(_, known)| known.kind == kind && known.name == name && known.ours)
                .map(|(id, _)| id)
                .collect();
            assert!(found.len() == 1, "{} of {kind} {name}: {found:?}", found.len());
            found[0].clone()
        };
        let vpc = one("vpc", VPC_NAME);
        let unnamed: Vec<&String> = seen
            .named
            .iter()
            .filter(|(_, known)| known.kind == "route-table" && known.name == "(unnamed)" && known.vpc == vpc)
            .map(|(id, _)| id)
            .collect();
        assert!(unnamed.len() == 1, "route tables without a name in {vpc}: {unnamed:?}");
        let address_a = one("address", "nat-a");
        let address_b = one("address", "nat-b");
        Environment {
            dhcp_options: one("dhcp-options", "prod-dhcp"),
            public_a: one("subnet", "public-a"),
            public_b: one("subnet", "public-b"),
            app_a: one("subnet", "app-a"),
            app_b: one("subnet", "app-b"),
            data_a: one("subnet", "data-a"),
            data_b: one("subnet", "data-b"),
            internet_gateway: one("internet-gateway", "prod-igw"),
            egress_only_gateway: one("egress-only-gateway", "prod-eigw"),
            public_ip_a: seen.public_ips[&address_a].clone(),
            public_ip_b: seen.public_ips[&address_b].clone(),
            address_a,
            address_b,
            nat_a: one("nat-gateway", "nat-a"),
            nat_b: one("nat-gateway", "nat-b"),
            routes_public: one("route-table", "public"),
            routes_private_a: one("route-table", "private-a"),
            routes_private_b: one("route-table", "private-b"),
            routes_data: one("route-table", "data"),
            routes_original: unnamed[0].clone(),
            group_lb: one("security-group", "lb"),
            group_app: one("security-group", "app"),
            group_data: one("security-group", "data"),
            group_pair: one("security-group", "pair"),
            acl_public: one("network-acl", "public"),
            acl_data: one("network-acl", "data"),
            shared_vpc: one("vpc", "shared"),
            group_monitoring: one("security-group", "monitoring"),
            peering: String::new(),
            vpc,
        }
    }

    /// The configuration of the environment, whatever its ids are now. A part that is not there is an empty list; one that
    /// is there twice is in its list twice. Tags that start with `rollbackd:` are left out.
    pub async fn fingerprint(&self, client: &Client) -> Value {
        Seen::read(client).await.fingerprint(client).await
    }

    pub async fn count(client: &Client) -> Counts {
        let seen = Seen::read(client).await;
        let of = |kind: &str| seen.named.values().filter(|known| known.kind == kind).count();
        Counts {
            vpcs: of("vpc"),
            dhcp_options: of("dhcp-options"),
            subnets: of("subnet"),
            internet_gateways: of("internet-gateway"),
            egress_only_gateways: of("egress-only-gateway"),
            addresses: of("address"),
            nat_gateways: of("nat-gateway"),
            route_tables: of("route-table"),
            security_groups: of("security-group"),
            network_acls: of("network-acl"),
        }
    }
}

async fn address(client: &Client, name: &str) -> (String, String) {
    let specification = tags(ResourceType::ElasticIp, name);
    let made = did!(client.allocate_address().domain(DomainType::Vpc).tag_specifications(specification));
    (id(made.allocation_id()), id(made.public_ip()))
}

async fn nat(client: &Client, name: &str, subnet: &str, address: &str) -> String {
    let made = did!(
        client
            .create_nat_gateway()
            .subnet_id(subnet)
            .allocation_id(address)
            .tag_specifications(tags(ResourceType::Natgateway, name))
    );
    id(made.nat_gateway().and_then(|gateway| gateway.nat_gateway_id()))
}

async fn nat_is(client: &Client, gateway: &str, wanted: NatGatewayState) -> bool {
    let found = did!(client.describe_nat_gateways().nat_gateway_ids(gateway));
    let state = found.nat_gateways().first().and_then(|gateway| gateway.state()).cloned();
    assert!(state != Some(NatGatewayState::Failed), "NAT gateway {gateway} failed");
    state == Some(wanted)
}

async fn table(client: &Client, vpc: &str, name: &str) -> String {
    let made = did!(client.create_route_table().vpc_id(vpc).tag_specifications(tags(ResourceType::RouteTable, name)));
    id(made.route_table().and_then(|table| table.route_table_id()))
}

/// The main table of a VPC, and the association that makes it so.
async fn main_table(client: &Client, vpc: &str) -> (String, String) {
    let call =
        client.describe_route_tables().filters(filter("vpc-id", vpc)).filters(filter("association.main", "true"));
    let found = did!(call);
    let table = found.route_tables().first().expect("a VPC has a main table");
    let association = table.associations().iter().find(|one| one.main() == Some(true));
    (id(table.route_table_id()), id(association.and_then(|one| one.route_table_association_id())))
}

async fn group(client: &Client, vpc: &str, name: &str, description: &str) -> String {
    let made = did!(
        client
            .create_security_group()
            .vpc_id(vpc)
            .group_name(name)
            .description(description)
            .tag_specifications(tags(ResourceType::SecurityGroup, name))
    );
    id(made.group_id())
}

async fn acl(client: &Client, vpc: &str, name: &str) -> String {
    let made = did!(client.create_network_acl().vpc_id(vpc).tag_specifications(tags(ResourceType::NetworkAcl, name)));
    id(made.network_acl().and_then(|acl| acl.network_acl_id()))
}

async fn associate_acl(client: &Client, acl: &str, subnets: &[&String]) {
    for subnet in subnets {
        let found = did!(client.describe_network_acls().filters(filter("association.subnet-id", subnet)));
        let associations = found.network_acls().iter().flat_map(|acl| acl.associations());
        let association = associations.into_iter().find(|one| one.subnet_id() == Some(subnet.as_str()));
        let association = id(association.and_then(|one| one.network_acl_association_id()));
        did!(client.replace_network_acl_association().association_id(association).network_acl_id(acl));
    }
}

/// What is known of an id.
struct Known {
    kind: &'static str,
    name: String,
    vpc: String,
    /// It has the tags that `build` gives.
    ours: bool,
}

/// All that an account has of the ten kinds, but for what [`Counts`] leaves out.
#[derive(Default)]
struct Seen {
    named: BTreeMap<String, Known>,
    public_ips: HashMap<String, String>,
    vpcs: Vec<aws_sdk_ec2::types::Vpc>,
    dhcp_options: Vec<aws_sdk_ec2::types::DhcpOptions>,
    subnets: Vec<aws_sdk_ec2::types::Subnet>,
    internet_gateways: Vec<aws_sdk_ec2::types::InternetGateway>,
    egress_only_gateways: Vec<aws_sdk_ec2::types::EgressOnlyInternetGateway>,
    addresses: Vec<aws_sdk_ec2::types::Address>,
    nat_gateways: Vec<aws_sdk_ec2::types::NatGateway>,
    route_tables: Vec<aws_sdk_ec2::types::RouteTable>,
    security_groups: Vec<aws_sdk_ec2::types::SecurityGroup>,
    network_acls: Vec<aws_sdk_ec2::types::NetworkAcl>,
}

pub(crate) fn value_of<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key() == Some(key)).and_then(|tag| tag.value())
}

fn tag_map(tags: &[Tag]) -> Value {
    tags.iter()
        .filter(|tag| !tag.key().unwrap_or_default().starts_with("rollbackd:"))
        .map(|tag| (tag.key().unwrap_or_default().to_owned(), json!(tag.value())))
        .collect()
}

/// Sorted by what is written, so that the order of AWS's lists and the ids do not matter.
fn sorted(mut values: Vec<Value>) -> Value {
    values.sort_by_cached_key(Value::to_string);
    Value::Array(values)
}

impl Seen {
    async fn read(client: &Client) -> Seen {
        let mut seen = Seen::default();
        let vpcs = did!(client.describe_vpcs()).vpcs.unwrap_or_default();
        let (default, vpcs): (Vec<_>, Vec<_>) = vpcs.into_iter().partition(|vpc| vpc.is_default() == Some(true));
        let default: HashSet<String> = default.iter().map(|vpc| id(vpc.vpc_id())).collect();
        let other = |vpc: Option<&str>| !default.contains(vpc.unwrap_or_default());
        seen.vpcs = vpcs;
        seen.dhcp_options = did!(client.describe_dhcp_options()).dhcp_options.unwrap_or_default();
        seen.dhcp_options.retain(|one| {
            let values = one.dhcp_configurations().iter().flat_map(|option| option.values());
            one.tags().iter().any(|tag| tag.key() == Some("Name"))
                || !values.into_iter().any(|value| value.value() == Some("AmazonProvidedDNS"))
        });
        seen.subnets = did!(client.describe_subnets()).subnets.unwrap_or_default();
        seen.subnets.retain(|one| other(one.vpc_id()));
        seen.internet_gateways = did!(client.describe_internet_gateways()).internet_gateways.unwrap_or_default();
        seen.internet_gateways.retain(|one| one.attachments().iter().all(|attachment| other(attachment.vpc_id())));
        let found = did!(client.describe_egress_only_internet_gateways());
        seen.egress_only_gateways = found.egress_only_internet_gateways.unwrap_or_default();
        seen.addresses = did!(client.describe_addresses()).addresses.unwrap_or_default();
        seen.nat_gateways = did!(client.describe_nat_gateways()).nat_gateways.unwrap_or_default();
        seen.nat_gateways
            .retain(|one| matches!(one.state(), Some(NatGatewayState::Available | NatGatewayState::Pending)));
        seen.route_tables = did!(client.describe_route_tables()).route_tables.unwrap_or_default();
        seen.route_tables.retain(|one| other(one.vpc_id()));
        seen.security_groups = did!(client.describe_security_groups()).security_groups.unwrap_or_default();
        seen.security_groups.retain(|one| other(one.vpc_id()));
        seen.network_acls = did!(client.describe_network_acls()).network_acls.unwrap_or_default();
        seen.network_acls.retain(|one| other(one.vpc_id()));

        let mut named = BTreeMap::new();
        let mut know = |kind: &'static str, id: Option<&str>, tags: &[Tag], vpc: Option<&str>, role: Option<String>| {
            let name = role.or_else(|| value_of(tags, "Name").map(str::to_owned)).unwrap_or_else(|| "(unnamed)".into());
            let ours = value_of(tags, "env") == Some("prod") && value_of(tags, "team") == Some("web");
            let vpc = vpc.unwrap_or_default().to_owned();
            named.insert(id.unwrap_or_default().to_owned(), Known { kind, name, vpc, ours });
        };
        seen.vpcs.iter().for_each(|one| know("vpc", one.vpc_id(), one.tags(), one.vpc_id(), None));
        seen.dhcp_options.iter().for_each(|one| know("dhcp-options", one.dhcp_options_id(), one.tags(), None, None));
        seen.subnets.iter().for_each(|one| know("subnet", one.subnet_id(), one.tags(), one.vpc_id(), None));
        for one in &seen.internet_gateways {
            let vpc = one.attachments().first().and_then(|attachment| attachment.vpc_id());
            know("internet-gateway", one.internet_gateway_id(), one.tags(), vpc, None);
        }
        for one in &seen.egress_only_gateways {
            let vpc = one.attachments().first().and_then(|attachment| attachment.vpc_id());
            know("egress-only-gateway", one.egress_only_internet_gateway_id(), one.tags(), vpc, None);
        }
        seen.addresses.iter().for_each(|one| know("address", one.allocation_id(), one.tags(), None, None));
        seen.nat_gateways
            .iter()
            .for_each(|one| know("nat-gateway", one.nat_gateway_id(), one.tags(), one.vpc_id(), None));
        seen.route_tables
            .iter()
            .for_each(|one| know("route-table", one.route_table_id(), one.tags(), one.vpc_id(), None));
        for one in &seen.security_groups {
            know("security-group", one.group_id(), one.tags(), one.vpc_id(), one.group_name().map(str::to_owned));
        }
        for one in &seen.network_acls {
            let role = (one.is_default() == Some(true)).then(|| "(default)".to_owned());
            know("network-acl", one.network_acl_id(), one.tags(), one.vpc_id(), role);
        }
        let ips = seen.addresses.iter().map(|one| (id(one.allocation_id()), id(one.public_ip())));
        seen.public_ips = ips.collect();
        seen.named = named;
        seen
    }

    /// The name that stands for an id: of the resource, and of its VPC where names are unique in that only.
    fn name(&self, id: Option<&str>) -> Value {
        let Some(id) = id else { return Value::Null };
        let Some(known) = self.named.get(id) else {
            return match id {
                "local" | "default" => json!(id),
                _ => json!(format!("gone or unknown: {}", id.rsplit_once('-').map_or(id, |(prefix, _)| prefix))),
            };
        };
        match self.named.get(&known.vpc) {
            Some(vpc) if known.kind == "security-group" || known.kind == "network-acl" => {
                json!(format!("{} {} of {}", known.kind, known.name, vpc.name))
            }
            _ => json!(format!("{} {}", known.kind, known.name)),
        }
    }

    async fn fingerprint(&self, client: &Client) -> Value {
        let ours = |id: Option<&str>| self.named.get(id.unwrap_or_default()).is_some_and(|known| known.ours);
        // Parts are chosen by the VPC that they are in; the shared one is not part of what is lost, but for its groups.
        let main: HashSet<&str> = self
            .named
            .iter()
            .filter(|(_, known)| known.kind == "vpc" && known.ours && known.name == VPC_NAME)
            .map(|(id, _)| id.as_str())
            .collect();
        let inside = |vpc: Option<&str>| main.contains(vpc.unwrap_or_default());

        let mut vpcs = Vec::new();
        for one in self.vpcs.iter().filter(|one| inside(one.vpc_id())) {
            let mut attributes = BTreeMap::new();
            for name in [
                VpcAttributeName::EnableDnsSupport,
                VpcAttributeName::EnableDnsHostnames,
                VpcAttributeName::EnableNetworkAddressUsageMetrics,
            ] {
                let found = did!(client.describe_vpc_attribute().vpc_id(id(one.vpc_id())).attribute(name.clone()));
                let values = [
                    found.enable_dns_support(),
                    found.enable_dns_hostnames(),
                    found.enable_network_address_usage_metrics(),
                ];
                attributes
                    .insert(name.to_string(), values.into_iter().flatten().next().and_then(|value| value.value()));
            }
            let blocks = one.cidr_block_association_set().iter();
            let blocks = blocks.map(|block| {
                let state = block.cidr_block_state().and_then(|state| state.state()).map(|state| state.to_string());
                json!([block.cidr_block(), state])
            });
            vpcs.push(json!({
                "name": self.name(one.vpc_id()),
                "cidr": one.cidr_block(),
                "cidrs": sorted(blocks.collect()),
                "ipv6 blocks": one.ipv6_cidr_block_association_set().len(),
                "tenancy": one.instance_tenancy().map(|tenancy| tenancy.to_string()),
                "dhcp options": self.name(one.dhcp_options_id()),
                "attributes": attributes,
                "tags": tag_map(one.tags()),
            }));
        }

        let dhcp_options = self.dhcp_options.iter().filter(|one| ours(one.dhcp_options_id())).map(|one| {
            // The order of name servers is the order in which hosts ask them.
            let options = one.dhcp_configurations().iter().map(|option| {
                let values: Vec<_> = option.values().iter().map(|value| value.value()).collect();
                json!([option.key(), values])
            });
            json!({ "options": sorted(options.collect()), "tags": tag_map(one.tags()) })
        });

        let subnets = self.subnets.iter().filter(|one| inside(one.vpc_id())).map(|one| {
            let dns = one.private_dns_name_options_on_launch();
            json!({
                "vpc": self.name(one.vpc_id()),
                "cidr": one.cidr_block(),
                "zone": one.availability_zone_id(),
                "public addresses": one.map_public_ip_on_launch(),
                "IPv6 addresses": one.assign_ipv6_address_on_creation(),
                "DNS64": one.enable_dns64().unwrap_or(false),
                "host names": dns.and_then(|dns| dns.hostname_type()).map(|kind| kind.to_string()),
                "A records": dns.and_then(|dns| dns.enable_resource_name_dns_a_record()),
                "AAAA records": dns.and_then(|dns| dns.enable_resource_name_dns_aaaa_record()),
                "tags": tag_map(one.tags()),
            })
        });

        let attached = |attachments: &[aws_sdk_ec2::types::InternetGatewayAttachment]| {
            sorted(attachments.iter().map(|one| self.name(one.vpc_id())).collect())
        };
        let internet_gateways = self.internet_gateways.iter().filter(|one| ours(one.internet_gateway_id()));
        let internet_gateways =
            internet_gateways.map(|one| json!({ "vpcs": attached(one.attachments()), "tags": tag_map(one.tags()) }));
        let egress_only = self.egress_only_gateways.iter().filter(|one| ours(one.egress_only_internet_gateway_id()));
        let egress_only =
            egress_only.map(|one| json!({ "vpcs": attached(one.attachments()), "tags": tag_map(one.tags()) }));

        let holder = |allocation: Option<&str>| {
            let holds = |nat: &&aws_sdk_ec2::types::NatGateway| {
                nat.nat_gateway_addresses().iter().any(|one| one.allocation_id() == allocation)
            };
            self.nat_gateways.iter().find(holds).map_or(Value::Null, |nat| self.name(nat.nat_gateway_id()))
        };
        let addresses = self.addresses.iter().filter(|one| ours(one.allocation_id())).map(|one| {
            json!({
                "public IP": one.public_ip(),
                "associated": one.association_id().is_some(),
                "held by": holder(one.allocation_id()),
                "tags": tag_map(one.tags()),
            })
        });
        let nat_gateways = self.nat_gateways.iter().filter(|one| inside(one.vpc_id())).map(|one| {
            let addresses = one.nat_gateway_addresses().iter().map(|address| json!(address.public_ip()));
            json!({
                "subnet": self.name(one.subnet_id()),
                "type": one.connectivity_type().map(|kind| kind.to_string()),
                "state": one.state().map(|state| state.to_string()),
                "public IPs": sorted(addresses.collect()),
                "tags": tag_map(one.tags()),
            })
        });

        let route_tables = self.route_tables.iter().filter(|one| inside(one.vpc_id())).map(|one| {
            let routes = one.routes().iter().map(|route| {
                let target = [
                    route.gateway_id(),
                    route.nat_gateway_id(),
                    route.egress_only_internet_gateway_id(),
                    route.vpc_peering_connection_id(),
                    route.network_interface_id(),
                    route.transit_gateway_id(),
                ];
                let destination = [
                    route.destination_cidr_block(),
                    route.destination_ipv6_cidr_block(),
                    route.destination_prefix_list_id(),
                ];
                json!([
                    destination.into_iter().flatten().next(),
                    self.name(target.into_iter().flatten().next()),
                    route.state().map(|state| state.to_string()),
                    route.origin().map(|origin| origin.to_string()),
                ])
            });
            let associations = one.associations().iter().filter(|one| one.main() != Some(true));
            let associations = associations.map(|one| self.name(one.subnet_id().or(one.gateway_id())));
            json!({
                "name": self.name(one.route_table_id()),
                "main": one.associations().iter().any(|one| one.main() == Some(true)),
                "routes": sorted(routes.collect()),
                "associations": sorted(associations.collect()),
                "propagating": one.propagating_vgws().len(),
                "tags": tag_map(one.tags()),
            })
        });

        let mut security_groups = Vec::new();
        for one in self.security_groups.iter().filter(|one| inside(one.vpc_id()) || ours(one.group_id())) {
            let call = client.describe_security_group_rules().filters(filter("group-id", &id(one.group_id())));
            let rules = did!(call);
            let rules = rules.security_group_rules().iter().map(|rule| {
                let peer = rule.referenced_group_info().and_then(|info| info.group_id());
                let peer = peer.or(rule.prefix_list_id());
                let plain = rule.cidr_ipv4().or(rule.cidr_ipv6());
                json!({
                    "egress": rule.is_egress(),
                    "protocol": rule.ip_protocol(),
                    "from": rule.from_port(),
                    "to": rule.to_port(),
                    "peer": if peer.is_some() { self.name(peer) } else { json!(plain) },
                    "description": rule.description(),
                    "tags": tag_map(rule.tags()),
                })
            });
            security_groups.push(json!({
                "name": self.name(one.group_id()),
                "description": one.description(),
                "rules": sorted(rules.collect()),
                "tags": tag_map(one.tags()),
            }));
        }

        let network_acls = self.network_acls.iter().filter(|one| inside(one.vpc_id())).map(|one| {
            let entries = one.entries().iter().map(|entry| {
                json!({
                    "egress": entry.egress(),
                    "number": entry.rule_number(),
                    "protocol": entry.protocol(),
                    "action": entry.rule_action().map(|action| action.to_string()),
                    "peer": entry.cidr_block().or(entry.ipv6_cidr_block()),
                    "ports": entry.port_range().map(|range| (range.from(), range.to())),
                    "ICMP": entry.icmp_type_code().map(|icmp| (icmp.r#type(), icmp.code())),
                })
            });
            let subnets = one.associations().iter().map(|one| self.name(one.subnet_id()));
            json!({
                "name": self.name(one.network_acl_id()),
                "default": one.is_default(),
                "entries": sorted(entries.collect()),
                "subnets": sorted(subnets.collect()),
                "tags": tag_map(one.tags()),
            })
        });

        json!({
            "vpcs": sorted(vpcs),
            "dhcp options": sorted(dhcp_options.collect()),
            "subnets": sorted(subnets.collect()),
            "internet gateways": sorted(internet_gateways.collect()),
            "egress-only gateways": sorted(egress_only.collect()),
            "addresses": sorted(addresses.collect()),
            "NAT gateways": sorted(nat_gateways.collect()),
            "route tables": sorted(route_tables.collect()),
            "security groups": sorted(security_groups),
            "network ACLs": sorted(network_acls.collect()),
        })
    }
}
