//! The kinds around a VPC: prefix list, interface, endpoints, peering, flow log, VPN, transit gateway. Deleted and made again,
//! each once although every answer to a create is lost; changed and put back in place.
use crate::site::Site;
use aws_sdk_ec2::{Client, types as sdk};
use serde_json::Value;

macro_rules! ok {
    ($call:expr) => {
        $call.send().await.unwrap()
    };
}

fn named(kind: &str, name: &str) -> sdk::TagSpecification {
    let tag = sdk::Tag::builder().key("Name").value(name).build();
    sdk::TagSpecification::builder().resource_type(kind.into()).tags(tag).build()
}

struct Network {
    vpc: String,
    subnet: String,
    group: String,
    default_group: String,
    table: String,
    list: String,
    interface: String,
    gateway_endpoint: String,
    endpoint: String,
    peering: String,
    log: String,
    vgw: String,
    cgw: String,
    vpn: String,
    tgw: String,
    attachment: String,
    tgw_table: String,
}

impl Network {
    async fn build(ec2: &Client) -> Self {
        let vpc =
            |cidr: &'static str| async move { ok!(ec2.create_vpc().cidr_block(cidr)).vpc.unwrap().vpc_id.unwrap() };
        let (vpc, peer) = (vpc("10.0.0.0/16").await, vpc("10.1.0.0/16").await);
        let yes = sdk::AttributeBooleanValue::builder().value(true).build();
        ok!(ec2.modify_vpc_attribute().vpc_id(&vpc).enable_dns_hostnames(yes));
        let subnet = ok!(ec2.create_subnet().vpc_id(&vpc).cidr_block("10.0.1.0/24")).subnet.unwrap().subnet_id.unwrap();
        let group = ok!(ec2.create_security_group().vpc_id(&vpc).group_name("app").description("d")).group_id.unwrap();
        let of_vpc = sdk::Filter::builder().name("vpc-id").values(&vpc).build();
        let default = sdk::Filter::builder().name("group-name").values("default").build();
        let groups = ok!(ec2.describe_security_groups().filters(of_vpc).filters(default));
        let default_group = groups.security_groups()[0].group_id().unwrap().to_owned();
        let table = ok!(ec2.create_route_table().vpc_id(&vpc)).route_table.unwrap().route_table_id.unwrap();

        let entry = |cidr: &str, d: &str| sdk::AddPrefixListEntry::builder().cidr(cidr).description(d).build();
        let list = ec2.create_managed_prefix_list().prefix_list_name("offices").max_entries(5).address_family("IPv4");
        let list = list.entries(entry("192.0.2.0/24", "hq")).entries(entry("198.51.100.0/24", "branch"));
        let list = ok!(list.tag_specifications(named("prefix-list", "offices"))).prefix_list.unwrap();
        let list = list.prefix_list_id.unwrap();
        let from_list = sdk::PrefixListId::builder().prefix_list_id(&list).build();
        let rule =
            sdk::IpPermission::builder().ip_protocol("tcp").from_port(443).to_port(443).prefix_list_ids(from_list);
        ok!(ec2.authorize_security_group_ingress().group_id(&group).ip_permissions(rule.build()));

        let address = |a: &str, primary| {
            sdk::PrivateIpAddressSpecification::builder().private_ip_address(a).primary(primary).build()
        };
        let eni = ec2.create_network_interface().subnet_id(&subnet).description("floating").groups(&group);
        let eni =
            eni.private_ip_addresses(address("10.0.1.50", true)).private_ip_addresses(address("10.0.1.51", false));
        let eni = ok!(eni.tag_specifications(named("network-interface", "floating"))).network_interface.unwrap();
        let interface = eni.network_interface_id.unwrap();
        let no = sdk::AttributeBooleanValue::builder().value(false).build();
        ok!(ec2.modify_network_interface_attribute().network_interface_id(&interface).source_dest_check(no));

        let policy = r#"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:Get*","Resource":"*"}]}"#;
        let s3 =
            ec2.create_vpc_endpoint().vpc_id(&vpc).service_name("com.amazonaws.eu-west-1.s3").policy_document(policy);
        let s3 = s3.vpc_endpoint_type(sdk::VpcEndpointType::Gateway).route_table_ids(&table);
        let s3 = ok!(s3.tag_specifications(named("vpc-endpoint", "s3"))).vpc_endpoint.unwrap();
        let ssm = ec2.create_vpc_endpoint().vpc_id(&vpc).service_name("com.amazonaws.eu-west-1.ssm");
        let ssm = ssm.vpc_endpoint_type(sdk::VpcEndpointType::Interface).subnet_ids(&subnet).security_group_ids(&group);
        let ssm = ok!(ssm.private_dns_enabled(true).tag_specifications(named("vpc-endpoint", "ssm")));

        let pcx = ec2.create_vpc_peering_connection().vpc_id(&vpc).peer_vpc_id(&peer);
        let pcx = ok!(pcx.tag_specifications(named("vpc-peering-connection", "p"))).vpc_peering_connection.unwrap();
        let peering = pcx.vpc_peering_connection_id.unwrap();
        ok!(ec2.accept_vpc_peering_connection().vpc_peering_connection_id(&peering));
        remote_dns(ec2, &peering, true).await;

        // Where logs go is no business of this test; the emulator wants a group to be there only for other destinations.
        let log = ec2.create_flow_logs().resource_ids(&vpc).resource_type(sdk::FlowLogsResourceType::Vpc);
        let log = log.traffic_type(sdk::TrafficType::Reject).log_group_name("flow").max_aggregation_interval(60);
        let role = "arn:aws:iam::123456789012:role/flow";
        let log = ok!(log.deliver_logs_permission_arn(role).tag_specifications(named("vpc-flow-log", "fl")));
        assert_eq!(log.unsuccessful(), []);

        let vgw = ec2.create_vpn_gateway().r#type(sdk::GatewayType::Ipsec1).amazon_side_asn(64555);
        let vgw = ok!(vgw.tag_specifications(named("vpn-gateway", "vgw"))).vpn_gateway.unwrap().vpn_gateway_id.unwrap();
        ok!(ec2.attach_vpn_gateway().vpc_id(&vpc).vpn_gateway_id(&vgw));
        let cgw =
            ec2.create_customer_gateway().r#type(sdk::GatewayType::Ipsec1).ip_address("203.0.113.7").bgp_asn(65010);
        let cgw = ok!(cgw.tag_specifications(named("customer-gateway", "cgw"))).customer_gateway.unwrap();
        let cgw = cgw.customer_gateway_id.unwrap();
        let options = sdk::VpnConnectionOptionsSpecification::builder().static_routes_only(true).build();
        let vpn = ec2.create_vpn_connection().r#type("ipsec.1").customer_gateway_id(&cgw).vpn_gateway_id(&vgw);
        let vpn = ok!(vpn.options(options).tag_specifications(named("vpn-connection", "vpn"))).vpn_connection.unwrap();

        let options = sdk::TransitGatewayRequestOptions::builder()
            .amazon_side_asn(64600)
            .default_route_table_association(sdk::DefaultRouteTableAssociationValue::Disable)
            .default_route_table_propagation(sdk::DefaultRouteTablePropagationValue::Disable)
            .build();
        let tgw = ec2.create_transit_gateway().description("hub").options(options);
        let tgw = ok!(tgw.tag_specifications(named("transit-gateway", "tgw"))).transit_gateway.unwrap();
        let tgw = tgw.transit_gateway_id.unwrap();
        let attachment = ec2.create_transit_gateway_vpc_attachment().transit_gateway_id(&tgw).vpc_id(&vpc);
        let attachment = attachment.subnet_ids(&subnet).tag_specifications(named("transit-gateway-attachment", "att"));
        let attachment = ok!(attachment).transit_gateway_vpc_attachment.unwrap().transit_gateway_attachment_id.unwrap();
        let tgw_table = ec2.create_transit_gateway_route_table().transit_gateway_id(&tgw);
        let tgw_table = ok!(tgw_table.tag_specifications(named("transit-gateway-route-table", "rt")));
        let tgw_table = tgw_table.transit_gateway_route_table.unwrap().transit_gateway_route_table_id.unwrap();
        let of = (&tgw_table, &attachment);
        ok!(ec2
            .associate_transit_gateway_route_table()
            .transit_gateway_route_table_id(of.0)
            .transit_gateway_attachment_id(of.1));
        let propagation = ec2.enable_transit_gateway_route_table_propagation().transit_gateway_route_table_id(of.0);
        ok!(propagation.transit_gateway_attachment_id(of.1));
        let route = ec2
            .create_transit_gateway_route()
            .transit_gateway_route_table_id(of.0)
            .destination_cidr_block("10.77.0.0/16");
        ok!(route.transit_gateway_attachment_id(of.1));

        let route = |to: &str| ec2.create_route().route_table_id(&table).destination_cidr_block(to);
        ok!(route("10.50.0.0/16").network_interface_id(&interface));
        ok!(route("10.1.0.0/16").vpc_peering_connection_id(&peering));
        ok!(route("10.99.0.0/16").transit_gateway_id(&tgw));
        Self {
            gateway_endpoint: s3.vpc_endpoint_id.unwrap(),
            endpoint: ssm.vpc_endpoint.unwrap().vpc_endpoint_id.unwrap(),
            log: log.flow_log_ids()[0].clone(),
            vpn: vpn.vpn_connection_id.unwrap(),
            vpc,
            subnet,
            group,
            default_group,
            table,
            list,
            interface,
            peering,
            vgw,
            cgw,
            tgw,
            attachment,
            tgw_table,
        }
    }

    /// In the order in which AWS lets go of them.
    async fn teardown(&self, ec2: &Client) {
        for to in ["10.50.0.0/16", "10.1.0.0/16", "10.99.0.0/16"] {
            ok!(ec2.delete_route().route_table_id(&self.table).destination_cidr_block(to));
        }
        self.leave_table(ec2).await;
        ok!(ec2.delete_transit_gateway_route_table().transit_gateway_route_table_id(&self.tgw_table));
        ok!(ec2.delete_transit_gateway_vpc_attachment().transit_gateway_attachment_id(&self.attachment));
        ok!(ec2.delete_transit_gateway().transit_gateway_id(&self.tgw));
        ok!(ec2.delete_vpn_connection().vpn_connection_id(&self.vpn));
        ok!(ec2.delete_customer_gateway().customer_gateway_id(&self.cgw));
        ok!(ec2.detach_vpn_gateway().vpc_id(&self.vpc).vpn_gateway_id(&self.vgw));
        ok!(ec2.delete_vpn_gateway().vpn_gateway_id(&self.vgw));
        ok!(ec2.delete_flow_logs().flow_log_ids(&self.log));
        ok!(ec2.delete_vpc_peering_connection().vpc_peering_connection_id(&self.peering));
        ok!(ec2.delete_vpc_endpoints().vpc_endpoint_ids(&self.gateway_endpoint).vpc_endpoint_ids(&self.endpoint));
        ok!(ec2.delete_network_interface().network_interface_id(&self.interface));
        let rules =
            ok!(ec2.describe_security_groups().group_ids(&self.group)).security_groups()[0].ip_permissions().to_vec();
        ok!(ec2.revoke_security_group_ingress().group_id(&self.group).set_ip_permissions(Some(rules)));
        ok!(ec2.delete_managed_prefix_list().prefix_list_id(&self.list));
    }
    async fn leave_table(&self, ec2: &Client) {
        let call = ec2.disassociate_transit_gateway_route_table().transit_gateway_route_table_id(&self.tgw_table);
        ok!(call.transit_gateway_attachment_id(&self.attachment));
    }

    /// What an agent could do to each without deleting it.
    async fn deface(&self, ec2: &Client) {
        let list = ok!(ec2.describe_managed_prefix_lists().prefix_list_ids(&self.list));
        let gone = sdk::RemovePrefixListEntry::builder().cidr("192.0.2.0/24").build();
        let call = ec2.modify_managed_prefix_list().prefix_list_id(&self.list).prefix_list_name("renamed");
        ok!(call.set_current_version(list.prefix_lists()[0].version()).remove_entries(gone));
        let eni = || ec2.modify_network_interface_attribute().network_interface_id(&self.interface);
        ok!(eni().source_dest_check(sdk::AttributeBooleanValue::builder().value(true).build()));
        ok!(eni().description(sdk::AttributeValue::builder().value("x").build()));
        ok!(eni().groups(&self.default_group));
        let call = ec2.unassign_private_ip_addresses().network_interface_id(&self.interface);
        ok!(call.private_ip_addresses("10.0.1.51"));
        let call =
            ec2.modify_vpc_endpoint().vpc_endpoint_id(&self.gateway_endpoint).remove_route_table_ids(&self.table);
        ok!(call.policy_document(r#"{"Statement":[]}"#));
        let call = ec2.modify_vpc_endpoint().vpc_endpoint_id(&self.endpoint).remove_security_group_ids(&self.group);
        ok!(call.add_security_group_ids(&self.default_group));
        remote_dns(ec2, &self.peering, false).await;
        ok!(ec2.detach_vpn_gateway().vpc_id(&self.vpc).vpn_gateway_id(&self.vgw));
        let options = sdk::ModifyTransitGatewayOptions::builder().dns_support(sdk::DnsSupportValue::Disable).build();
        ok!(ec2.modify_transit_gateway().transit_gateway_id(&self.tgw).description("x").options(options));
        let options = sdk::ModifyTransitGatewayVpcAttachmentRequestOptions::builder()
            .appliance_mode_support(sdk::ApplianceModeSupportValue::Enable)
            .build();
        let call = ec2.modify_transit_gateway_vpc_attachment().transit_gateway_attachment_id(&self.attachment);
        ok!(call.options(options));
        self.leave_table(ec2).await;
        let call =
            ec2.disable_transit_gateway_route_table_propagation().transit_gateway_attachment_id(&self.attachment);
        ok!(call.transit_gateway_route_table_id(&self.tgw_table));
        let call = ec2.delete_transit_gateway_route().transit_gateway_route_table_id(&self.tgw_table);
        ok!(call.destination_cidr_block("10.77.0.0/16"));
        let defaced = sdk::Tag::builder().key("Name").value("defaced").build();
        let all = [&self.log, &self.cgw, &self.vpn].map(String::to_owned).to_vec();
        ok!(ec2.create_tags().set_resources(Some(all)).tags(defaced));
    }
}

async fn remote_dns(ec2: &Client, peering: &str, on: bool) {
    let options = sdk::PeeringConnectionOptionsRequest::builder().allow_dns_resolution_from_remote_vpc(on).build();
    let call = ec2.modify_vpc_peering_connection_options().vpc_peering_connection_id(peering);
    ok!(call.requester_peering_connection_options(options));
}

/// What differs from the snapshot: (what, resource).
async fn lost(site: &Site) -> Vec<(String, String)> {
    let diff = site.json(&["diff", "golden", "live"]).await;
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    diff.as_array().unwrap().iter().map(|d| (text(&d["what"]), text(&d["resource"]))).collect()
}

async fn restored(site: &Site, resources: &[(String, String)]) -> Value {
    let mut args = vec!["restore"];
    args.extend(resources.iter().map(|(_, r)| r.as_str()));
    args.extend(["--at", "golden", "--yes", "--output", "json"]);
    let ended = site.run(&args).await;
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
    let receipt = ended.json();
    assert_eq!(receipt["restored"], receipt["of"], "{receipt:#}");
    for item in receipt["items"].as_array().unwrap() {
        assert!(item["differences"].as_array().is_none_or(Vec::is_empty), "{item:#}");
    }
    receipt
}

#[tokio::test(flavor = "multi_thread")]
async fn what_surrounds_a_vpc_is_made_again_once_although_answers_are_lost() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let net = Network::build(&ec2).await;
    let sweep = site.json(&["snapshot", "--label", "golden"]).await;
    assert!(sweep["errors"].is_null(), "{sweep:#}");
    assert_eq!(lost(&site).await, []);
    net.teardown(&ec2).await;
    let gone = lost(&site).await;
    assert_eq!(gone.iter().filter(|(what, _)| what == "gone").count(), 12, "{gone:#?}");
    // H64: by its token, or by its step's tag.
    let creates = [
        "CreateCustomerGateway",
        "CreateFlowLogs",
        "CreateManagedPrefixList",
        "CreateNetworkInterface",
        "CreateTransitGateway",
        "CreateTransitGatewayRouteTable",
        "CreateTransitGatewayVpcAttachment",
        "CreateVpcEndpoint",
        "CreateVpcPeeringConnection",
        "CreateVpnConnection",
        "CreateVpnGateway",
    ];
    creates.iter().for_each(|c| site.aws.lose_answer(c, 1));
    let receipt = restored(&site, &gone).await;
    assert_eq!(receipt["of"], 14, "{receipt:#}");
    let living = sdk::Filter::builder().name("state").values("available").build();
    assert_eq!(ok!(ec2.describe_vpn_gateways().filters(living.clone())).vpn_gateways().len(), 1);
    assert_eq!(ok!(ec2.describe_vpn_connections().filters(living)).vpn_connections().len(), 1);
    assert_eq!(ok!(ec2.describe_transit_gateways()).transit_gateways().len(), 1);
    let endpoints = ok!(ec2.describe_vpc_endpoints());
    let living = |e: &&sdk::VpcEndpoint| e.state().is_some_and(|s| s.as_str().eq_ignore_ascii_case("available"));
    assert_eq!(endpoints.vpc_endpoints().iter().filter(living).count(), 2);
    assert_eq!(ok!(ec2.describe_flow_logs()).flow_logs().len(), 1);
    assert_eq!(ok!(ec2.describe_transit_gateway_vpc_attachments()).transit_gateway_vpc_attachments().len(), 1);
    // What it names is there: the subnet stayed, the route leads on.
    let eni = ok!(ec2
        .describe_network_interfaces()
        .filters(sdk::Filter::builder().name("private-ip-address").values("10.0.1.50").build()));
    assert_eq!(eni.network_interfaces()[0].subnet_id(), Some(net.subnet.as_str()));
    let again = site.json(&["plan", "--vpc", &net.vpc, "--at", "golden"]).await;
    assert_eq!(again["steps"], serde_json::json!([]), "{again:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_surrounds_a_vpc_is_put_back_in_place() {
    let site = Site::new().await;
    let ec2 = site.ec2();
    let net = Network::build(&ec2).await;
    site.json(&["snapshot", "--label", "golden"]).await;
    net.deface(&ec2).await;
    let changed = lost(&site).await;
    assert!(changed.len() == 12 && changed.iter().all(|(what, _)| what == "changed"), "{changed:#?}");
    let receipt = restored(&site, &changed).await;
    assert_eq!(receipt["of"], 12, "{receipt:#}");
    let again = site.json(&["plan", "--vpc", &net.vpc, "--at", "golden"]).await;
    assert_eq!(again["steps"], serde_json::json!([]), "{again:#}");
}
