//! All kinds. Adding one is its file and its line here.
use super::{AnyKind, ec2, kind::Erased, rds};
use crate::model::KindName;

pub static KINDS: &[&dyn AnyKind] = &[
    &Erased::<ec2::capacity_reservation::CapacityReservation>::NEW,
    &Erased::<ec2::customer_gateway::CustomerGateway>::NEW,
    &Erased::<ec2::dhcp_options::DhcpOptions>::NEW,
    &Erased::<ec2::egress_only_igw::EgressOnlyIgw>::NEW,
    &Erased::<ec2::elastic_ip::ElasticIp>::NEW,
    &Erased::<ec2::flow_log::FlowLog>::NEW,
    &Erased::<ec2::image::Image>::NEW,
    &Erased::<ec2::instance::Instance>::NEW,
    &Erased::<ec2::instance_connect_endpoint::InstanceConnectEndpoint>::NEW,
    &Erased::<ec2::internet_gateway::InternetGateway>::NEW,
    &Erased::<ec2::key_pair::KeyPair>::NEW,
    &Erased::<ec2::launch_template::LaunchTemplate>::NEW,
    &Erased::<ec2::managed_prefix_list::ManagedPrefixList>::NEW,
    &Erased::<ec2::nat_gateway::NatGateway>::NEW,
    &Erased::<ec2::network_acl::NetworkAcl>::NEW,
    &Erased::<ec2::network_interface::NetworkInterface>::NEW,
    &Erased::<ec2::placement_group::PlacementGroup>::NEW,
    &Erased::<ec2::route_table::RouteTable>::NEW,
    &Erased::<ec2::security_group::SecurityGroup>::NEW,
    &Erased::<ec2::snapshot::Snapshot>::NEW,
    &Erased::<ec2::subnet::Subnet>::NEW,
    &Erased::<ec2::transit_gateway::TransitGateway>::NEW,
    &Erased::<ec2::transit_gateway_attachment::TransitGatewayAttachment>::NEW,
    &Erased::<ec2::transit_gateway_route_table::TransitGatewayRouteTable>::NEW,
    &Erased::<ec2::volume::Volume>::NEW,
    &Erased::<ec2::vpc::Vpc>::NEW,
    &Erased::<ec2::vpc_endpoint::VpcEndpoint>::NEW,
    &Erased::<ec2::vpc_peering_connection::VpcPeeringConnection>::NEW,
    &Erased::<ec2::vpn_connection::VpnConnection>::NEW,
    &Erased::<ec2::vpn_gateway::VpnGateway>::NEW,
    &Erased::<rds::db_cluster::DbCluster>::NEW,
    &Erased::<rds::db_cluster_endpoint::DbClusterEndpoint>::NEW,
    &Erased::<rds::db_cluster_parameter_group::DbClusterParameterGroup>::NEW,
    &Erased::<rds::db_cluster_snapshot::DbClusterSnapshot>::NEW,
    &Erased::<rds::db_instance::DbInstance>::NEW,
    &Erased::<rds::db_parameter_group::DbParameterGroup>::NEW,
    &Erased::<rds::db_proxy::DbProxy>::NEW,
    &Erased::<rds::db_proxy_endpoint::DbProxyEndpoint>::NEW,
    &Erased::<rds::db_snapshot::DbSnapshot>::NEW,
    &Erased::<rds::db_subnet_group::DbSubnetGroup>::NEW,
    &Erased::<rds::event_subscription::EventSubscription>::NEW,
    &Erased::<rds::global_cluster::GlobalCluster>::NEW,
    &Erased::<rds::option_group::OptionGroup>::NEW,
];

/// The kind of that name, if it is one of ours.
pub fn kind(name: &KindName) -> Option<&'static dyn AnyKind> {
    KINDS.iter().copied().find(|k| k.name() == name.as_str())
}
