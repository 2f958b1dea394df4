//! `ec2:network-interface`: an interface of the user's, with its addresses, and what it is attached to.
//!
//! H15: those that a service made (load balancers, NAT, Lambda, endpoints) belong to that service and are not listed. The
//! primary one of an instance comes with the instance, so it is adopted and never made. Those of a member of an Auto Scaling
//! group are the group's business (H22). An Elastic IP says itself which interface it is on.
use super::{
    Host, all, converge_tags, failed, filter, found, gone_already, held, hosts, only, tag_calls, tags_on_create,
    unbuildable,
};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, LateRef, Ref, Set, Tags},
        names::ec2,
    },
    mirror,
    model::Alias,
    plan::{
        facts::Phase,
        preflight::{Blocks, Per, Quota},
    },
};
use aws_sdk_ec2::{
    operation::{
        attach_network_interface::builders::AttachNetworkInterfaceInputBuilder,
        create_network_interface::builders::CreateNetworkInterfaceInputBuilder,
        modify_network_interface_attribute::builders::ModifyNetworkInterfaceAttributeInputBuilder,
        modify_public_ip_dns_name_options::builders::ModifyPublicIpDnsNameOptionsInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;

mirror! {
    Spec from sdk::NetworkInterface;
    keep {
        attachment @ "attachment": Option<Attachment>,
        connection_tracking_configuration @ "connectionTrackingConfiguration": Option<ConnectionTracking>,
        description @ "description": Option<String>,
        groups @ "groupSet": Set<Group>,
        interface_type @ "interfaceType": Option<String>,
        ipv6_addresses @ "ipv6AddressesSet": Set<Ipv6Address>,
        public_ip_dns_name_options @ "publicIpDnsNameOptions": Option<PublicDnsName>,
        private_ip_address @ "privateIpAddress": Option<String>,
        private_ip_addresses @ "privateIpAddressesSet": Set<PrivateAddress>,
        ipv4_prefixes @ "ipv4PrefixSet": Set<Ipv4Prefix>,
        ipv6_prefixes @ "ipv6PrefixSet": Set<Ipv6Prefix>,
        source_dest_check @ "sourceDestCheck": Option<bool>,
        subnet_id @ "subnetId": Option<Ref<ec2::Subnet>>,
        associated_subnets @ "associatedSubnetSet": Set<LateRef<ec2::Subnet>>,
    }
    drop {
        association @ "association": "the address's own spec says where it is; one that AWS assigned never returns",
        availability_zone @ "availabilityZone": "follows from the subnet",
        availability_zone_id @ "availabilityZoneId": "follows from the subnet",
        deny_all_igw_traffic @ "denyAllIgwTraffic": "follows from what blocks public access to the VPC",
        ipv6_address @ "ipv6Address": "`ipv6_addresses` has it",
        ipv6_native @ "ipv6Native": "follows from the subnet",
        mac_address @ "macAddress": "assigned by AWS at each create",
        network_interface_id @ "networkInterfaceId": "the id itself; remapped",
        operator @ "operator": "tells a service's interface from the user's: is_users()",
        outpost_arn @ "outpostArn": "follows from the subnet",
        owner_id @ "ownerId": "the account; part of the key",
        private_dns_name @ "privateDnsName": "derived from the addresses",
        public_dns_name @ "publicDnsName": "derived from the addresses",
        requester_id @ "requesterId": "the caller that made it",
        requester_managed @ "requesterManaged": "tells a service's interface from the user's: is_users()",
        status @ "status": "runtime state; see settled()",
        tag_set @ "tagSet": "kept as `tags`, as of every kind",
        vpc_id @ "vpcId": "follows from the subnet",
    }
    also {
        tags: Tags,
        primary_of: Option<Ref<ec2::Instance>> // the instance that it came with
    }
}

mirror! {
    Attachment from sdk::NetworkInterfaceAttachment;
    keep {
        delete_on_termination @ "deleteOnTermination": Option<bool>,
        device_index @ "deviceIndex": Option<i32>,
        network_card_index @ "networkCardIndex": Option<i32>,
        instance_id @ "instanceId": Option<LateRef<ec2::Instance>>,
        ena_srd_specification @ "enaSrdSpecification": Option<EnaSrd>,
        ena_queue_count @ "enaQueueCount": Option<i32>,
    }
    drop {
        attach_time @ "attachTime": "runtime: a time",
        attachment_id @ "attachmentId": "assigned by AWS at each attachment; an alias",
        instance_owner_id @ "instanceOwnerId": "follows from the instance",
        status @ "status": "runtime state; one that is ending is none",
    }
}

mirror! {
    EnaSrd from sdk::AttachmentEnaSrdSpecification;
    keep {
        ena_srd_enabled @ "enaSrdEnabled": Option<bool>,
        ena_srd_udp_specification @ "enaSrdUdpSpecification": Option<EnaSrdUdp>,
    }
}

mirror! {
    EnaSrdUdp from sdk::AttachmentEnaSrdUdpSpecification;
    keep {
        ena_srd_udp_enabled @ "enaSrdUdpEnabled": Option<bool>,
    }
}

mirror! {
    ConnectionTracking from sdk::ConnectionTrackingConfiguration;
    keep {
        tcp_established_timeout @ "tcpEstablishedTimeout": Option<i32>,
        udp_stream_timeout @ "udpStreamTimeout": Option<i32>,
        udp_timeout @ "udpTimeout": Option<i32>,
    }
}

mirror! {
    /** Hard: an interface that is made without its groups would stand in the VPC's default group. */
    Group from sdk::GroupIdentifier, key [group_id];
    keep {
        group_id @ "groupId": Option<Ref<ec2::SecurityGroup>>,
    }
    drop {
        group_name @ "groupName": "follows from the group",
    }
}

mirror! {
    Ipv6Address from sdk::NetworkInterfaceIpv6Address, key [ipv6_address];
    keep {
        ipv6_address @ "ipv6Address": Option<String>,
        is_primary_ipv6 @ "isPrimaryIpv6": Option<bool>,
    }
    drop {
        public_ipv6_dns_name @ "publicIpv6DnsName": "derived from the addresses",
    }
}

mirror! {
    PublicDnsName from sdk::PublicIpDnsNameOptions;
    keep {
        dns_hostname_type @ "dnsHostnameType": Option<String>,
    }
    drop {
        public_ipv4_dns_name @ "publicIpv4DnsName": "derived from the addresses",
        public_ipv6_dns_name @ "publicIpv6DnsName": "derived from the addresses",
        public_dual_stack_dns_name @ "publicDualStackDnsName": "derived from the addresses",
    }
}

mirror! {
    PrivateAddress from sdk::NetworkInterfacePrivateIpAddress, key [private_ip_address];
    keep {
        primary @ "primary": Option<bool>,
        private_ip_address @ "privateIpAddress": Option<String>,
    }
    drop {
        association @ "association": "the address's own spec says where it is; one that AWS assigned never returns",
        private_dns_name @ "privateDnsName": "derived from the addresses",
    }
}

mirror! {
    Ipv4Prefix from sdk::Ipv4PrefixSpecification;
    keep {
        ipv4_prefix @ "ipv4Prefix": Option<String>,
    }
}

mirror! {
    Ipv6Prefix from sdk::Ipv6PrefixSpecification;
    keep {
        ipv6_prefix @ "ipv6Prefix": Option<String>,
    }
}

input! {
    Spec => create_network_interface(CreateNetworkInterfaceInputBuilder);
    set {
        set_interface_type: interface_type,
        set_connection_tracking_specification: connection_tracking_configuration,
        set_subnet_id: subnet_id,
        set_description: description,
        set_groups: groups[].group_id,
        set_private_ip_addresses: private_ip_addresses,
        set_ipv6_addresses: ipv6_addresses,
    }
    leave {
        private_ip_address: "the primary row of private_ip_addresses says it; AWS refuses both",
        ipv4_prefixes: "AWS refuses them together with addresses: converge() assigns them",
        ipv6_prefixes: "AWS refuses them together with addresses: converge() assigns them",
        ipv4_prefix_count: "the prefixes themselves are given",
        ipv6_prefix_count: "the prefixes themselves are given",
        secondary_private_ip_address_count: "the addresses themselves are given",
        ipv6_address_count: "the addresses themselves are given",
        enable_primary_ipv6: "where a row is primary: create()",
        operator: "a service's interfaces are left to it",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        client_token: "the step's token",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_network_interface_attribute(ModifyNetworkInterfaceAttributeInputBuilder);
    set {
        set_ena_srd_specification: attachment.ena_srd_specification,
        set_connection_tracking_specification: connection_tracking_configuration,
        set_associated_subnet_ids: associated_subnets,
        set_source_dest_check: source_dest_check,
        set_groups: groups[].group_id,
    }
    leave {
        description: "takes a type of its own: converge()",
        attachment: "with the id of the attachment of the moment: converge()",
        enable_primary_ipv6: "only ever switched on, with the first address: create()",
        associate_public_ip_address: "an address that AWS assigns never returns",
        dry_run: "the engine's",
        network_interface_id: "the resource at hand",
    }
}

input! {
    Spec => attach_network_interface(AttachNetworkInterfaceInputBuilder);
    set {
        set_network_card_index: attachment.network_card_index,
        set_ena_srd_specification: attachment.ena_srd_specification,
        set_ena_queue_count: attachment.ena_queue_count,
        set_instance_id: attachment.instance_id,
        set_device_index: attachment.device_index,
    }
    leave {
        dry_run: "the engine's",
        network_interface_id: "the resource at hand",
    }
}

input! {
    Spec => modify_public_ip_dns_name_options(ModifyPublicIpDnsNameOptionsInputBuilder);
    set {
        set_hostname_type: public_ip_dns_name_options.dns_hostname_type,
    }
    leave {
        network_interface_id: "the resource at hand",
        dry_run: "the engine's",
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
    PrivateAddress => sdk::PrivateIpAddressSpecification;
    set {
        set_primary: primary,
        set_private_ip_address: private_ip_address,
    }
}

input! {
    Ipv6Address => sdk::InstanceIpv6Address;
    set {
        set_ipv6_address: ipv6_address,
    }
    leave {
        is_primary_ipv6: "enable_primary_ipv6 of the interface says it",
    }
}

input! {
    EnaSrd => sdk::EnaSrdSpecification;
    set {
        set_ena_srd_enabled: ena_srd_enabled,
        set_ena_srd_udp_specification: ena_srd_udp_specification,
    }
}

input! {
    EnaSrdUdp => sdk::EnaSrdUdpSpecification;
    set {
        set_ena_srd_udp_enabled: ena_srd_udp_enabled,
    }
}

input! {
    Attachment => sdk::NetworkInterfaceAttachmentChanges;
    set {
        set_ena_queue_count: ena_queue_count,
        set_delete_on_termination: delete_on_termination,
    }
    leave {
        default_ena_queue_count: "the count itself is given",
        attachment_id: "the attachment of the moment: converge()",
    }
}

/// A network interface.
pub struct NetworkInterface;

impl Spec {
    fn instance(&self) -> Option<&str> {
        self.attachment.as_ref()?.instance_id.as_ref().map(|i| i.0.as_str())
    }
    /// Where it is attached: instance, device, card.
    fn place(&self) -> Option<(&str, i32, i32)> {
        let a = self.attachment.as_ref()?;
        Some((self.instance()?, a.device_index.unwrap_or_default(), a.network_card_index.unwrap_or_default()))
    }
    fn secondary(&self) -> impl Iterator<Item = &str> {
        self.private_ip_addresses
            .iter()
            .filter(|a| a.primary != Some(true))
            .filter_map(|a| a.private_ip_address.as_deref())
    }
    /// With its IPv6 addresses and prefixes where the subnet's blocks are today: Amazon gives a new VPC another prefix.
    async fn placed(&self, cx: &Cx) -> Result<Self, Failure> {
        let action = "ec2:DescribeSubnets";
        let mut placed = self.clone();
        let Some(subnet) = &self.subnet_id else { return Ok(placed) };
        if self.ipv6_addresses.is_empty() && self.ipv6_prefixes.is_empty() {
            return Ok(placed);
        }
        let answer = cx.ec2.describe_subnets().subnet_ids(&subnet.0).send().await.map_err(failed(action))?;
        let blocks: Vec<String> = answer
            .subnets()
            .iter()
            .flat_map(|s| s.ipv6_cidr_block_association_set())
            .filter(|b| super::subnet::alive(b))
            .filter_map(|b| b.ipv6_cidr_block.clone())
            .collect();
        let address =
            |a: &String| super::subnet::within(&format!("{a}/128"), &blocks).trim_end_matches("/128").to_owned();
        let rows = self.ipv6_addresses.iter().map(|a| Ipv6Address {
            ipv6_address: a.ipv6_address.as_ref().map(address),
            is_primary_ipv6: a.is_primary_ipv6,
        });
        placed.ipv6_addresses = rows.collect::<Vec<_>>().into();
        let prefix = |p: &String| super::subnet::within(p, &blocks);
        let rows = self.ipv6_prefixes.iter().map(|p| Ipv6Prefix { ipv6_prefix: p.ipv6_prefix.as_ref().map(prefix) });
        placed.ipv6_prefixes = rows.collect::<Vec<_>>().into();
        Ok(placed)
    }
}

/// Texts to take away and to add.
#[derive(Debug, Default, PartialEq)]
struct Moves {
    leave: Vec<String>,
    join: Vec<String>,
}
impl Moves {
    fn of<'a>(now: impl Iterator<Item = &'a str>, want: impl Iterator<Item = &'a str>) -> Self {
        let (now, want): (Vec<&str>, Vec<&str>) = (now.collect(), want.collect());
        let less = |a: &[&str], b: &[&str]| a.iter().filter(|x| !b.contains(x)).map(|x| (*x).to_owned()).collect();
        Self { leave: less(&now, &want), join: less(&want, &now) }
    }
}

/// What `converge` has to do, beside the tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Todo {
    Groups,
    Description,
    SourceDestCheck,
    Tracking,
    Subnets,
    EnaSrd,
    /// Members of the attachment that is there.
    Attachment,
    DnsName,
    Detach,
    Attach,
    /// What an attach call cannot say.
    AfterAttach,
}
impl Todo {
    fn action(self) -> &'static str {
        match self {
            Self::DnsName => "ec2:ModifyPublicIpDnsNameOptions",
            Self::Detach => "ec2:DetachNetworkInterface",
            Self::Attach => "ec2:AttachNetworkInterface",
            _ => "ec2:ModifyNetworkInterfaceAttribute",
        }
    }
    fn is_attachment(self) -> bool {
        matches!(self, Self::Attachment | Self::Detach | Self::Attach | Self::AfterAttach | Self::EnaSrd)
    }
}
fn todo(now: &Spec, want: &Spec) -> Vec<Todo> {
    let mut out = vec![];
    let mut when = |differs: bool, todo| {
        if differs {
            out.push(todo)
        }
    };
    when(want.groups != now.groups && !want.groups.is_empty(), Todo::Groups);
    when(want.description != now.description, Todo::Description);
    when(want.source_dest_check.is_some() && want.source_dest_check != now.source_dest_check, Todo::SourceDestCheck);
    let tracking = &want.connection_tracking_configuration;
    when(tracking.is_some() && *tracking != now.connection_tracking_configuration, Todo::Tracking);
    when(want.associated_subnets != now.associated_subnets && !want.associated_subnets.is_empty(), Todo::Subnets);
    let dns = &want.public_ip_dns_name_options;
    when(dns.is_some() && *dns != now.public_ip_dns_name_options, Todo::DnsName);
    // H15: the primary interface never moves.
    let stays = want.primary_of.is_some() || now.place() == want.place();
    if !stays {
        when(now.place().is_some(), Todo::Detach);
        when(want.place().is_some(), Todo::Attach);
        // An attach call makes one that stays when the instance ends.
        let ends = want.attachment.as_ref().is_some_and(|a| a.delete_on_termination == Some(true));
        when(ends && want.place().is_some(), Todo::AfterAttach);
    } else if let (Some(a), Some(b)) = (&now.attachment, &want.attachment) {
        let differs = a.delete_on_termination != b.delete_on_termination || a.ena_queue_count != b.ena_queue_count;
        when(differs && b.delete_on_termination.is_some(), Todo::Attachment);
        when(b.ena_srd_specification.is_some() && a.ena_srd_specification != b.ena_srd_specification, Todo::EnaSrd);
    }
    out
}

/// Addresses and prefixes, each list one call.
struct Addresses {
    v4: Moves,
    v4_prefixes: Moves,
    v6: Moves,
    v6_prefixes: Moves,
}
impl Addresses {
    fn new(now: &Spec, want: &Spec) -> Self {
        let v6 = |s: &Spec| s.ipv6_addresses.iter().filter_map(|a| a.ipv6_address.clone()).collect::<Vec<_>>();
        let p4 = |s: &Spec| s.ipv4_prefixes.iter().filter_map(|a| a.ipv4_prefix.clone()).collect::<Vec<_>>();
        let p6 = |s: &Spec| s.ipv6_prefixes.iter().filter_map(|a| a.ipv6_prefix.clone()).collect::<Vec<_>>();
        let moves = |f: &dyn Fn(&Spec) -> Vec<String>| {
            let (now, want) = (f(now), f(want));
            Moves::of(now.iter().map(String::as_str), want.iter().map(String::as_str))
        };
        Self {
            v4: Moves::of(now.secondary(), want.secondary()),
            v4_prefixes: moves(&p4),
            v6: moves(&v6),
            v6_prefixes: moves(&p6),
        }
    }
    /// Addresses and prefixes of one family leave in one call; AWS wants them assigned apart.
    fn actions(&self) -> Vec<&'static str> {
        let calls = [
            (self.v4.leave.is_empty() && self.v4_prefixes.leave.is_empty(), "ec2:UnassignPrivateIpAddresses"),
            (self.v4.join.is_empty(), "ec2:AssignPrivateIpAddresses"),
            (self.v4_prefixes.join.is_empty(), "ec2:AssignPrivateIpAddresses"),
            (self.v6.leave.is_empty() && self.v6_prefixes.leave.is_empty(), "ec2:UnassignIpv6Addresses"),
            (self.v6.join.is_empty(), "ec2:AssignIpv6Addresses"),
            (self.v6_prefixes.join.is_empty(), "ec2:AssignIpv6Addresses"),
        ];
        calls.into_iter().filter(|(nothing, _)| !nothing).map(|(_, action)| action).collect()
    }
    async fn send_v4(&self, cx: &Cx, id: &str) -> Result<(), Failure> {
        if !self.v4.leave.is_empty() || !self.v4_prefixes.leave.is_empty() {
            let call = cx.ec2.unassign_private_ip_addresses().network_interface_id(id);
            let call =
                call.set_private_ip_addresses(some(&self.v4.leave)).set_ipv4_prefixes(some(&self.v4_prefixes.leave));
            gone_already(call.send().await.map_err(failed("ec2:UnassignPrivateIpAddresses")))?;
        }
        let assign = || cx.ec2.assign_private_ip_addresses().network_interface_id(id);
        for call in [
            some(&self.v4.join).map(|a| assign().set_private_ip_addresses(Some(a))),
            some(&self.v4_prefixes.join).map(|p| assign().set_ipv4_prefixes(Some(p))),
        ] {
            let Some(call) = call else { continue };
            call.send().await.map_err(failed("ec2:AssignPrivateIpAddresses"))?;
        }
        Ok(())
    }
    async fn send_v6(&self, cx: &Cx, id: &str) -> Result<(), Failure> {
        if !self.v6.leave.is_empty() || !self.v6_prefixes.leave.is_empty() {
            let call = cx.ec2.unassign_ipv6_addresses().network_interface_id(id);
            let call = call.set_ipv6_addresses(some(&self.v6.leave)).set_ipv6_prefixes(some(&self.v6_prefixes.leave));
            gone_already(call.send().await.map_err(failed("ec2:UnassignIpv6Addresses")))?;
        }
        let assign = || cx.ec2.assign_ipv6_addresses().network_interface_id(id);
        for call in [
            some(&self.v6.join).map(|a| assign().set_ipv6_addresses(Some(a))),
            some(&self.v6_prefixes.join).map(|p| assign().set_ipv6_prefixes(Some(p))),
        ] {
            let Some(call) = call else { continue };
            call.send().await.map_err(failed("ec2:AssignIpv6Addresses"))?;
        }
        Ok(())
    }
}
fn some(list: &[String]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.to_vec())
}

/// H15: made by the user, or with the user's instance. A type that a service makes, a service as the requester or as the
/// operator, another account's in a shared subnet: none of them can be made by us.
fn is_users(cx: &Cx, i: &sdk::NetworkInterface) -> bool {
    use sdk::NetworkInterfaceType::{Efa, EfaOnly, Interface};
    i.requester_managed != Some(true)
        && matches!(i.interface_type, None | Some(Interface | Efa | EfaOnly))
        && i.operator.as_ref().is_none_or(|o| o.managed != Some(true))
        && i.owner_id.as_deref().is_none_or(|o| o == cx.scope.account.as_str())
}
fn is_ending(a: &sdk::NetworkInterfaceAttachment) -> bool {
    matches!(a.status, Some(sdk::AttachmentStatus::Detached | sdk::AttachmentStatus::Detaching))
}

/// H22: what is launched and terminated with a member of an Auto Scaling group, the group makes; what survives one is the
/// user's, and where the group's next member has it is for whoever attached it.
fn without_groups(i: &mut sdk::NetworkInterface, hosts: &BTreeMap<String, Host>) -> bool {
    let in_a_group = |a: &sdk::NetworkInterfaceAttachment| {
        a.instance_id().and_then(|id| hosts.get(id)).is_some_and(|h| h.is_in_a_group)
    };
    let Some(attachment) = i.attachment.take_if(|a| in_a_group(a)) else { return true };
    attachment.delete_on_termination() != Some(true) && attachment.device_index() != Some(0)
}

async fn all_seen(cx: &Cx, all: Vec<sdk::NetworkInterface>) -> Result<Vec<Seen<Spec>>, Failure> {
    let mut all: Vec<_> = all.into_iter().filter(|i| is_users(cx, i)).collect();
    all.iter_mut().for_each(|i| i.attachment = i.attachment.take().filter(|a| !is_ending(a)));
    let ids = all.iter().filter_map(|i| i.attachment.as_ref()?.instance_id.clone()).collect();
    let hosts = hosts(cx, ids).await?;
    all.retain_mut(|i| without_groups(i, &hosts));
    Ok(all.into_iter().filter_map(seen).collect())
}
fn seen(i: sdk::NetworkInterface) -> Option<Seen<Spec>> {
    let id = i.network_interface_id.clone()?;
    let aliases = i.attachment.iter().filter_map(|a| a.attachment_id.clone()).map(Alias).collect();
    let mut spec = Spec::from_sdk(&i);
    spec.tags = Tags::from_sdk(&i.tag_set);
    // What every interface is, and no create call takes.
    spec.interface_type = spec.interface_type.filter(|t| t != "interface");
    spec.description = spec.description.filter(|d| !d.is_empty());
    if let Some(a) = &mut spec.attachment {
        a.network_card_index = a.network_card_index.filter(|n| *n != 0);
        if a.device_index == Some(0) && a.network_card_index.is_none() {
            spec.primary_of = a.instance_id.take().map(|i| Ref::new(i.0));
        }
    }
    Some(Seen { id, spec, aliases })
}

async fn interfaces(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::NetworkInterface>, Failure> {
    let call = cx.ec2.describe_network_interfaces().set_filters(filters).into_paginator().page_size(super::PAGE_ROWS);
    call.items().send().try_collect().await.map_err(failed("ec2:DescribeNetworkInterfaces"))
}
async fn interface(cx: &Cx, id: &str) -> Result<Option<sdk::NetworkInterface>, Failure> {
    let answer = cx.ec2.describe_network_interfaces().network_interface_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeNetworkInterfaces")))?.and_then(|a| a.network_interfaces);
    Ok(here.unwrap_or_default().pop())
}

/// Attaches, detaches, and changes what an attachment has, by the attachment of this moment.
async fn attach(cx: &Cx, id: &str, want: &Spec, todos: &[Todo]) -> Result<(), Failure> {
    let there = interface(cx, id).await?.and_then(|i| i.attachment);
    let ending = there.as_ref().is_some_and(is_ending);
    let mut attachment = there.filter(|a| !is_ending(a)).and_then(|a| a.attachment_id);
    let action = "ec2:ModifyNetworkInterfaceAttribute";
    for todo in todos {
        match todo {
            Todo::Detach => {
                if let Some(attachment) = attachment.take() {
                    let call = cx.ec2.detach_network_interface().attachment_id(attachment);
                    gone_already(call.send().await.map_err(failed(todo.action())))?;
                }
                if todos.contains(&Todo::Attach) {
                    return Err(Failure::busy(todo.action(), "it is being detached from where it was"));
                }
            }
            // H62: from a dying instance it goes by itself.
            Todo::Attach if ending => return Err(Failure::busy(todo.action(), "it is still being detached")),
            Todo::Attach => {
                let call = want.attach_network_interface().map_err(unbuildable(todo.action()))?;
                let made = call.network_interface_id(id).send_with(&cx.ec2).await.map_err(failed(todo.action()))?;
                attachment = made.attachment_id;
            }
            Todo::EnaSrd => {
                let call = cx.ec2.modify_network_interface_attribute().network_interface_id(id);
                let srd = want.attachment.as_ref().and_then(|a| a.ena_srd_specification.as_ref());
                let srd = srd.map_or(Ok(None), Give::give).map_err(unbuildable(action))?;
                call.set_ena_srd_specification(srd).send().await.map_err(failed(action))?;
            }
            _ => {
                let changes: Option<sdk::NetworkInterfaceAttachmentChanges> =
                    want.attachment.as_ref().map_or(Ok(None), Give::give).map_err(unbuildable(action))?;
                let changes = changes.map(|mut c| {
                    c.attachment_id = attachment.clone();
                    // The attach call has said it.
                    c.ena_queue_count = c.ena_queue_count.filter(|_| *todo == Todo::Attachment);
                    c
                });
                let call = cx.ec2.modify_network_interface_attribute().network_interface_id(id);
                call.set_attachment(changes).send().await.map_err(failed(action))?;
            }
        }
    }
    Ok(())
}

impl Kind for NetworkInterface {
    type Name = ec2::NetworkInterface;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &Attachment::COVERAGE,
        &EnaSrd::COVERAGE,
        &EnaSrdUdp::COVERAGE,
        &ConnectionTracking::COVERAGE,
        &Group::COVERAGE,
        &Ipv6Address::COVERAGE,
        &PublicDnsName::COVERAGE,
        &PrivateAddress::COVERAGE,
        &Ipv4Prefix::COVERAGE,
        &Ipv6Prefix::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateNetworkInterfaceInputBuilder>>::TABLE,
        &<Spec as Input<ModifyNetworkInterfaceAttributeInputBuilder>>::TABLE,
        &<Spec as Input<AttachNetworkInterfaceInputBuilder>>::TABLE,
        &<Spec as Input<ModifyPublicIpDnsNameOptionsInputBuilder>>::TABLE,
        &<ConnectionTracking as Input<sdk::ConnectionTrackingSpecificationRequest>>::TABLE,
        &<PrivateAddress as Input<sdk::PrivateIpAddressSpecification>>::TABLE,
        &<Ipv6Address as Input<sdk::InstanceIpv6Address>>::TABLE,
        &<EnaSrd as Input<sdk::EnaSrdSpecification>>::TABLE,
        &<EnaSrdUdp as Input<sdk::EnaSrdUdpSpecification>>::TABLE,
        &<Attachment as Input<sdk::NetworkInterfaceAttachmentChanges>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeNetworkInterfaces", "ec2:DescribeInstances"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:DescribeSubnets",
        "ec2:CreateNetworkInterface",
        "ec2:ModifyNetworkInterfaceAttribute",
        "ec2:ModifyPublicIpDnsNameOptions",
        "ec2:AttachNetworkInterface",
        "ec2:DetachNetworkInterface",
        "ec2:AssignPrivateIpAddresses",
        "ec2:UnassignPrivateIpAddresses",
        "ec2:AssignIpv6Addresses",
        "ec2:UnassignIpv6Addresses",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id, its MAC address and the id of its attachment",
        "a public address that AWS assigned to it by itself",
        "IPv6 addresses of a block that Amazon provided, once the VPC has another one: their last part is kept",
        "permissions on it for other accounts",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_network_interface";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "vpc",
        code: "L-DF5E4CA3",
        name: "Network interfaces per Region",
        default: 5000,
        per: Per::Region,
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] = &["subnet_id", "private_ip_address", "interface_type", "primary_of"];
    const GIVEN: &'static [&'static str] =
        &["description", "groups", "private_ip_addresses", "ipv6_addresses", "connection_tracking_configuration"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        all_seen(cx, interfaces(cx, only("network-interface-id", which)).await?).await
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(all_seen(cx, interface(cx, id).await?.into_iter().collect()).await?.pop())
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "network-interface", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateNetworkInterface";
        // H15: one made beside it would take the address that the instance is to have.
        if let Some(instance) = &spec.primary_of {
            return Err(Failure::unbuildable(action, format!("it comes with {} and is never made", instance.0)));
        }
        let tags = tags_on_create(sdk::ResourceType::NetworkInterface, &spec.tags, step)?;
        let spec = spec.placed(cx).await?;
        let is_primary = spec.ipv6_addresses.iter().any(|a| a.is_primary_ipv6 == Some(true)).then_some(true);
        let mut call = spec.create_network_interface().map_err(unbuildable(action))?;
        if spec.private_ip_addresses.is_empty() {
            call = call.set_private_ip_address(spec.private_ip_address.clone());
        }
        let call = call.set_enable_primary_ipv6(is_primary).tag_specifications(tags).client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "network interface id", made.network_interface.and_then(|i| i.network_interface_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let v6 = |s: &Spec| (s.ipv6_addresses.clone(), s.ipv6_prefixes.clone());
        let placed = if v6(now) == v6(want) { None } else { Some(want.placed(cx).await?) };
        let want = placed.as_ref().unwrap_or(want);
        let addresses = Addresses::new(now, want);
        let (attachment, others): (Vec<_>, Vec<_>) = todo(now, want).into_iter().partition(|t| t.is_attachment());
        let mut calls: Vec<BoxFuture<'_, Result<(), Failure>>> = vec![
            Box::pin(converge_tags(cx, id, &now.tags, &want.tags)),
            Box::pin(addresses.send_v4(cx, id)),
            Box::pin(addresses.send_v6(cx, id)),
        ];
        if !attachment.is_empty() {
            calls.push(Box::pin(async move { attach(cx, id, want, &attachment).await }));
        }
        for todo in others {
            calls.push(Box::pin(async move {
                let action = todo.action();
                if todo == Todo::DnsName {
                    let call = want.modify_public_ip_dns_name_options().map_err(unbuildable(action))?;
                    let sent = call.network_interface_id(id).send_with(&cx.ec2).await;
                    return sent.map(drop).map_err(failed(action));
                }
                // One attribute a call.
                let one = want.modify_network_interface_attribute().map_err(unbuildable(action))?;
                let call = cx.ec2.modify_network_interface_attribute().network_interface_id(id);
                let call = match todo {
                    Todo::Groups => call.set_groups(one.get_groups().clone()),
                    Todo::SourceDestCheck => call.set_source_dest_check(one.get_source_dest_check().clone()),
                    Todo::Subnets => call.set_associated_subnet_ids(one.get_associated_subnet_ids().clone()),
                    Todo::Tracking => {
                        call.set_connection_tracking_specification(one.get_connection_tracking_specification().clone())
                    }
                    _ => {
                        let text = want.description.clone().unwrap_or_default();
                        call.description(sdk::AttributeValue::builder().value(text).build())
                    }
                };
                call.send().await.map(drop).map_err(failed(action))
            }));
        }
        all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        use sdk::NetworkInterfaceStatus::{Associated, Available, InUse};
        let Some(i) = interface(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = i.status.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        let ready = matches!(i.status, Some(Available | InUse | Associated));
        Ok(if ready { Settled::Ready } else { Settled::Waiting(word) })
    }

    /// H15: the primary interface comes with its instance.
    fn is_implicit(spec: &Spec) -> bool {
        spec.primary_of.is_some()
    }
    async fn implicit(cx: &Cx, want: &Spec) -> Result<Option<String>, Failure> {
        let Some(instance) = &want.primary_of else { return Ok(None) };
        let first = vec![filter("attachment.instance-id", [&instance.0]), filter("attachment.device-index", ["0"])];
        let on_first_card = |i: &sdk::NetworkInterface| {
            i.attachment.as_ref().is_some_and(|a| a.network_card_index.unwrap_or_default() == 0)
        };
        Ok(interfaces(cx, Some(first)).await?.into_iter().find(on_first_card).and_then(|i| i.network_interface_id))
    }

    fn natural_key(spec: &Spec) -> Option<String> {
        Some(format!("{} in {}", spec.private_ip_address.as_ref()?, spec.subnet_id.as_ref()?.0))
    }

    /// Every address and prefix that it has in its subnet.
    fn blocks(spec: &Spec) -> Option<Blocks> {
        let one = |a: &String, bits: u8| format!("{a}/{bits}");
        let first = spec.private_ip_address.iter().map(|a| one(a, 32));
        let rows = spec.private_ip_addresses.iter().filter(|r| r.primary != Some(true));
        let more = rows.filter_map(|r| r.private_ip_address.as_ref()).map(|a| one(a, 32));
        let v6 = spec.ipv6_addresses.iter().filter_map(|r| r.ipv6_address.as_ref()).map(|a| one(a, 128));
        let prefixes = spec.ipv4_prefixes.iter().filter_map(|p| p.ipv4_prefix.clone());
        let v6_prefixes = spec.ipv6_prefixes.iter().filter_map(|p| p.ipv6_prefix.clone());
        let blocks = first.chain(more).chain(v6).chain(prefixes).chain(v6_prefixes).collect();
        Some(Blocks { of: Some(spec.subnet_id.as_ref()?.0.clone()), blocks })
    }
    fn terraform(id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        // A primary one is part of its instance.
        let own = spec.primary_of.is_none();
        own.then(|| (Self::TERRAFORM, id.to_owned())).into_iter().collect()
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateNetworkInterface"] };
        let tags = tag_calls(&now.tags, &want.tags);
        let todos = todo(now, want).into_iter().map(Todo::action);
        tags.into_iter().chain(Addresses::new(now, want).actions()).chain(todos).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, sent, spec},
        *,
    };
    use crate::{
        aws::{
            Class,
            canned::{Answer, Canned},
        },
        kinds::mirror::Plain,
    };
    use serde_json::{Value, json};

    fn step() -> Step {
        Step { restore: "r1".into(), number: 3 }
    }
    fn group(id: &str) -> Value {
        json!({"group_id": {"$ref": "ec2:security-group", "id": id}})
    }
    fn eni() -> Value {
        json!({
            "subnet_id": {"$ref": "ec2:subnet", "id": "subnet-1"}, "private_ip_address": "10.0.0.5", "description": "floating",
            "private_ip_addresses": [{"primary": true, "private_ip_address": "10.0.0.5"}, {"primary": false, "private_ip_address": "10.0.0.6"}],
            "groups": [group("sg-1")], "source_dest_check": true,
        })
    }
    fn attached(to: &str, ends: bool) -> Value {
        json!({"instance_id": {"$late": "ec2:instance", "id": to}, "device_index": 1, "delete_on_termination": ends})
    }
    fn with(mut v: Value, member: &str, to: Value) -> Value {
        v[member] = to;
        v
    }
    fn live(rows: &str) -> Answer {
        Answer::Ok(format!("<networkInterfaceSet>{rows}</networkInterfaceSet>"))
    }
    async fn created(want: &Value, say: impl Fn() -> Answer + Send + Sync + 'static) -> String {
        let canned = Canned::new(move |c| match c.action.as_str() {
            "CreateNetworkInterface" => {
                "<networkInterface><networkInterfaceId>eni-1</networkInterfaceId></networkInterface>".into()
            }
            _ => say(),
        });
        assert_eq!(
            NetworkInterface::create(&canned.cx(), &spec::<NetworkInterface>(want), &step()).await.unwrap(),
            "eni-1"
        );
        let text = canned.wrote().concat();
        text.split(' ').filter(|p| !p.starts_with("TagSpecification")).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn h22_what_goes_with_a_member_of_a_group_is_the_groups() {
        let canned = Canned::new(|c| {
            if c.action == "DescribeInstances" {
                return "<reservationSet><item><instancesSet><item><instanceId>i-member</instanceId><tagSet><item><key>aws:autoscaling:groupName</key><value>web</value></item></tagSet></item><item><instanceId>i-own</instanceId></item></instancesSet></item></reservationSet>".into();
            }
            let row = |id: &str, host: &str, index: u8, ends: bool| {
                format!(
                    "<item><networkInterfaceId>{id}</networkInterfaceId><interfaceType>interface</interfaceType><attachment><attachmentId>a-{id}</attachmentId><instanceId>{host}</instanceId><deviceIndex>{index}</deviceIndex><status>attached</status><deleteOnTermination>{ends}</deleteOnTermination></attachment></item>"
                )
            };
            live(
                &[
                    row("eni-primary", "i-member", 0, true),
                    row("eni-second", "i-member", 1, true),
                    // Attached by a person, and outlives the member.
                    row("eni-floating", "i-member", 1, false),
                    row("eni-own", "i-own", 1, true),
                ]
                .concat(),
            )
        });
        let seen = NetworkInterface::look(&canned.cx(), Which::All).await.unwrap();
        let seen: Vec<_> = seen.into_iter().map(|s| (s.id, s.spec.attachment.is_some())).collect();
        assert_eq!(seen, [("eni-floating".to_owned(), false), ("eni-own".to_owned(), true)]);
    }

    #[tokio::test]
    async fn h15_what_services_made_is_not_seen_and_a_primary_one_belongs_to_its_instance() {
        let canned = Canned::new(|_| {
            let on = |i: u8| {
                format!(
                    "<attachment><attachmentId>eni-attach-{i}</attachmentId><instanceId>i-1</instanceId><deviceIndex>{i}</deviceIndex><status>attached</status></attachment>"
                )
            };
            live(&[
                "<item><networkInterfaceId>eni-nat</networkInterfaceId><interfaceType>nat_gateway</interfaceType></item>".to_owned(),
                "<item><networkInterfaceId>eni-lambda</networkInterfaceId><interfaceType>lambda</interfaceType></item>".to_owned(),
                "<item><networkInterfaceId>eni-elb</networkInterfaceId><requesterManaged>true</requesterManaged><interfaceType>interface</interfaceType></item>".to_owned(),
                "<item><networkInterfaceId>eni-eks</networkInterfaceId><operator><managed>true</managed></operator></item>".to_owned(),
                "<item><networkInterfaceId>eni-shared</networkInterfaceId><ownerId>999988887777</ownerId></item>".to_owned(),
                format!("<item><networkInterfaceId>eni-0</networkInterfaceId><interfaceType>interface</interfaceType>{}</item>", on(0)),
                format!("<item><networkInterfaceId>eni-1</networkInterfaceId><interfaceType>efa</interfaceType>{}</item>", on(1)),
                "<item><networkInterfaceId>eni-2</networkInterfaceId><attachment><instanceId>i-1</instanceId><status>detaching</status></attachment></item>".to_owned(),
            ].concat())
        });
        let seen = NetworkInterface::look(&canned.cx(), Which::All).await.unwrap();
        let seen: Vec<_> =
            seen.into_iter().map(|s| (s.id, s.spec.to_json(), NetworkInterface::is_implicit(&s.spec))).collect();
        assert_eq!(
            seen,
            [
                (
                    "eni-0".into(),
                    json!({"attachment": {"device_index": 0}, "primary_of": {"$ref": "ec2:instance", "id": "i-1"}}),
                    true
                ),
                (
                    "eni-1".into(),
                    json!({"attachment": {"device_index": 1, "instance_id": {"$late": "ec2:instance", "id": "i-1"}}, "interface_type": "efa"}),
                    false
                ),
                ("eni-2".into(), json!({}), false),
            ]
        );
    }

    #[tokio::test]
    async fn h15_it_is_made_with_its_addresses_and_groups() {
        assert_eq!(
            created(&eni(), || "".into()).await,
            "CreateNetworkInterface ClientToken=rollbackd-r1-3 Description=floating PrivateIpAddresses.1.Primary=true PrivateIpAddresses.1.PrivateIpAddress=10.0.0.5 PrivateIpAddresses.2.Primary=false PrivateIpAddresses.2.PrivateIpAddress=10.0.0.6 SecurityGroupId.1=sg-1 SubnetId=subnet-1"
        );
    }

    #[tokio::test]
    async fn h15_the_primary_one_is_found_and_never_made_nor_moved() {
        let want = json!({"primary_of": {"$ref": "ec2:instance", "id": "i-1"}, "attachment": {"device_index": 0, "delete_on_termination": true}, "source_dest_check": false});
        let canned = Canned::new(|_| {
            live(
                "<item><networkInterfaceId>eni-card</networkInterfaceId><attachment><networkCardIndex>1</networkCardIndex></attachment></item><item><networkInterfaceId>eni-0</networkInterfaceId><attachment><attachmentId>eni-attach-0</attachmentId></attachment></item>",
            )
        });
        let primary = spec::<NetworkInterface>(&want);
        assert_eq!(NetworkInterface::create(&canned.cx(), &primary, &step()).await.unwrap_err().class, Class::Invalid);
        assert_eq!(canned.wrote(), [] as [String; 0]);
        assert_eq!(NetworkInterface::implicit(&canned.cx(), &primary).await.unwrap().as_deref(), Some("eni-0"));
        let now = with(
            with(want.clone(), "attachment", json!({"device_index": 0, "delete_on_termination": false})),
            "source_dest_check",
            true.into(),
        );
        let canned =
            Canned::new(|_| live("<item><attachment><attachmentId>eni-attach-0</attachmentId></attachment></item>"));
        assert_eq!(
            foretold::<NetworkInterface>(&canned, "eni-0", &now, &want).await,
            [
                "ModifyNetworkInterfaceAttribute Attachment.AttachmentId=eni-attach-0 Attachment.DeleteOnTermination=true NetworkInterfaceId=eni-0",
                "ModifyNetworkInterfaceAttribute NetworkInterfaceId=eni-0 SourceDestCheck.Value=false",
            ]
        );
    }

    #[tokio::test]
    async fn h15_it_is_attached_and_then_told_to_end_with_the_instance() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "AttachNetworkInterface" => "<attachmentId>eni-attach-9</attachmentId>".into(),
            _ => live("<item><networkInterfaceId>eni-1</networkInterfaceId></item>"),
        });
        let want = with(eni(), "attachment", attached("i-1", true));
        assert_eq!(
            foretold::<NetworkInterface>(&canned, "eni-1", &eni(), &want).await,
            [
                "AttachNetworkInterface DeviceIndex=1 InstanceId=i-1 NetworkInterfaceId=eni-1",
                "ModifyNetworkInterfaceAttribute Attachment.AttachmentId=eni-attach-9 Attachment.DeleteOnTermination=true NetworkInterfaceId=eni-1",
            ]
        );
        assert_eq!(
            foretold::<NetworkInterface>(&canned, "eni-1", &eni(), &with(eni(), "attachment", attached("i-1", false)))
                .await
                .len(),
            1
        );
    }

    #[tokio::test]
    async fn h62_one_that_is_still_elsewhere_is_detached_and_waited_for() {
        let status = |s: &'static str| {
            Canned::new(move |_| {
                live(&format!(
                    "<item><attachment><attachmentId>eni-attach-1</attachmentId><status>{s}</status></attachment></item>"
                ))
            })
        };
        let (now, want) =
            (with(eni(), "attachment", attached("i-1", false)), with(eni(), "attachment", attached("i-2", false)));
        let canned = status("attached");
        assert_eq!(sent::<NetworkInterface>(&canned, "eni-1", &now, &want).await.unwrap_err().class, Class::Busy);
        assert_eq!(canned.wrote(), ["DetachNetworkInterface AttachmentId=eni-attach-1"]);
        let canned = status("detaching");
        assert_eq!(sent::<NetworkInterface>(&canned, "eni-1", &eni(), &want).await.unwrap_err().class, Class::Busy);
        assert_eq!(canned.wrote(), [] as [String; 0]);
    }

    #[tokio::test]
    async fn addresses_and_attributes_change_in_the_fewest_calls() {
        let canned = Canned::new(|_| "".into());
        let mut now = eni();
        now["private_ip_addresses"][1]["private_ip_address"] = "10.0.0.9".into();
        now["ipv4_prefixes"] = json!([{"ipv4_prefix": "10.0.0.32/28"}]);
        now["description"] = "old".into();
        let mut want = eni();
        want["ipv4_prefixes"] = json!([{"ipv4_prefix": "10.0.0.16/28"}]);
        want["groups"] = json!([group("sg-2")]);
        want["public_ip_dns_name_options"] = json!({"dns_hostname_type": "public-ipv4-dns-name"});
        want["connection_tracking_configuration"] = json!({"udp_timeout": 60});
        let mut sent = foretold::<NetworkInterface>(&canned, "eni-1", &now, &want).await;
        sent.sort();
        assert_eq!(
            sent,
            [
                "AssignPrivateIpAddresses Ipv4Prefix.1=10.0.0.16/28 NetworkInterfaceId=eni-1",
                "AssignPrivateIpAddresses NetworkInterfaceId=eni-1 PrivateIpAddress.1=10.0.0.6",
                "ModifyNetworkInterfaceAttribute ConnectionTrackingSpecification.UdpTimeout=60 NetworkInterfaceId=eni-1",
                "ModifyNetworkInterfaceAttribute Description.Value=floating NetworkInterfaceId=eni-1",
                "ModifyNetworkInterfaceAttribute NetworkInterfaceId=eni-1 SecurityGroupId.1=sg-2",
                "ModifyPublicIpDnsNameOptions HostnameType=public-ipv4-dns-name NetworkInterfaceId=eni-1",
                "UnassignPrivateIpAddresses Ipv4Prefix.1=10.0.0.32/28 NetworkInterfaceId=eni-1 PrivateIpAddress.1=10.0.0.9",
            ]
        );
    }

    #[tokio::test]
    async fn ipv6_addresses_follow_the_subnet_to_its_new_block() {
        let want = with(eni(), "ipv6_addresses", json!([{"ipv6_address": "2600:1::5", "is_primary_ipv6": true}]));
        let sent = created(&want, || "<subnetSet><item><subnetId>subnet-1</subnetId><ipv6CidrBlockAssociationSet><item><ipv6CidrBlock>2600:2::/64</ipv6CidrBlock><ipv6CidrBlockState><state>associated</state></ipv6CidrBlockState></item></ipv6CidrBlockAssociationSet></item></subnetSet>".into()).await;
        assert!(sent.contains("EnablePrimaryIpv6=true Ipv6Addresses.1.Ipv6Address=2600:2::5 "), "{sent}");
    }
}
