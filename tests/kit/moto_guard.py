"""moto, corrected towards AWS where the kinds of rollbackd need it.  Run: python moto_guard.py -H 127.0.0.1 -p PORT

Each block names the AWS behaviour that it stands for and that moto 5.2.5 lacks. The server ends when its standard input ends,
so it never outlives the test that started it. `GET /kit/calls/ACCOUNT` answers with one line `SERVICE OPERATION` for each
call that the account has made.
"""
import contextlib
import copy
import datetime
import fnmatch
import hashlib
import ipaddress
import json
import os
import sys
import threading
import traceback
from xml.sax.saxutils import escape

HERE = os.path.dirname(os.path.abspath(__file__))
if __name__ == "__main__":
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != HERE]  # moto must not see modules beside this file
os.environ.setdefault("MOTO_AMIS_PATH", os.path.join(HERE, "amis.json"))  # no images instead of 600: new accounts are made faster

import moto.ec2.utils as utils
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.ec2.exceptions import DependencyViolationError, EC2ClientError, InvalidAssociationIdError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.amis import Ami
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.dhcp_options import DHCPOptionsSet
from moto.ec2.models.elastic_ip_addresses import ElasticAddress
from moto.ec2.models.elastic_block_store import VolumeAttachment
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.internet_gateways import EgressOnlyInternetGateway
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.models.nat_gateways import NatGateway
from moto.ec2.models.network_acls import NetworkAcl
from moto.ec2.models.route_tables import Route, RouteTable
from moto.ec2.models.security_groups import SecurityGroup, SecurityGroupRule
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.transit_gateway_attachments import TransitGatewayAttachment
from moto.ec2.models.vpc_peering_connections import VPCPeeringConnection
from moto.ec2.models.vpcs import VPCEndPoint
from moto.ec2.models.vpn_connections import VPNConnection
from moto.ec2.models.vpn_gateway import VpnGateway
from moto.ec2.responses import EC2Response


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def wrap(cls, name, pre=None, post=None):
    """`pre` may refuse; what it returns is handed to `post`, which sees the result."""
    original = getattr(cls, name)

    def wrapped(self, *args, **kwargs):
        note = pre(self, *args, **kwargs) if pre else None
        result = original(self, *args, **kwargs)
        if post:
            post(self, result, note, *args, **kwargs)
        return result

    wrapped.__name__ = name
    setattr(cls, name, wrapped)


def replace(cls, name=None):
    """Puts the decorated function in the place of a method of `cls`."""

    def place(function):
        setattr(cls, name or function.__name__, function)
        return function

    return place


def error(code, message):
    return EC2ClientError(code, message)


def groups_of(backend):
    return [group for groups in list(backend.groups.values()) for group in list(groups.values())]


def dying(eni):
    return bool(eni.instance) and str(getattr(eni.instance, "state", "")) in ("shutting-down", "terminated", "deleted", "deleting")


def live_enis(backend):
    return [eni for eni in backend.enis.values() if not dying(eni)]


def live_nats(backend):
    return [nat for nat in backend.nat_gateways.values() if nat.state in ("available", "pending")]


def is_default(acl):
    return acl.default in (True, "true")


# --- tags ---
# AWS: DescribeTags takes the filters key, value, resource-id, resource-type and tag:KEY, each with wildcards, for every type of
# resource, and knows nothing of resources that are gone (a deleted NAT gateway stays visible for an hour, and so do its tags).
TYPES = {
    "vpc": "vpc", "dopt": "dhcp-options", "subnet": "subnet", "igw": "internet-gateway", "eigw": "egress-only-internet-gateway",
    "eipalloc": "elastic-ip", "nat": "natgateway", "rtb": "route-table", "sg": "security-group", "sgr": "security-group-rule",
    "acl": "network-acl", "pcx": "vpc-peering-connection", "eni": "network-interface", "i": "instance", "vol": "volume",
    "snap": "snapshot", "ami": "image", "lt": "launch-template", "vpce": "vpc-endpoint", "key": "key-pair",
    "pl": "prefix-list", "fl": "vpc-flow-log", "vgw": "vpn-gateway", "cgw": "customer-gateway", "vpn": "vpn-connection",
    "tgw": "transit-gateway", "tgw-attach": "transit-gateway-attachment", "tgw-rtb": "transit-gateway-route-table",
}


def prefix_of(resource_id):
    return str(resource_id).rsplit("-", 1)[0]


def living(backend):
    """The ids that exist, by prefix, of the types that this file knows."""
    return {
        "vpc": backend.vpcs, "dopt": backend.dhcp_options_sets, "igw": backend.internet_gateways,
        "eigw": backend.egress_only_internet_gateways, "nat": backend.nat_gateways, "rtb": backend.route_tables,
        "acl": backend.network_acls, "eni": backend.enis,
        "subnet": {i for subnets in backend.subnets.values() for i in subnets},
        "eipalloc": {address.allocation_id for address in backend.addresses},
        "sg": {group.id for group in groups_of(backend)},
        "sgr": {rule.id for group in groups_of(backend) for rule in group.ingress_rules + group.egress_rules},
    }


@replace(TaggedEC2Resource)
def get_tags(self):
    kind = TYPES.get(prefix_of(self.id), "")
    tags = self.ec2_backend.tags.get(self.id) or {}
    return [{"resource_id": self.id, "key": key, "value": value, "resource_type": kind} for key, value in tags.items()]


@replace(EC2Backend)
def describe_tags(self, filters=None):
    alive = living(self)
    found = []
    for resource_id, tags in list(self.tags.items()):
        prefix = prefix_of(resource_id)
        if prefix in alive and resource_id not in alive[prefix]:
            continue
        for key, value in list(tags.items()):
            fields = {"key": key, "value": value, "resource-id": resource_id, "resource-type": TYPES.get(prefix, ""), f"tag:{key}": value}
            if all(name in fields and any(fnmatch.fnmatchcase(fields[name], pattern) for pattern in patterns) for name, patterns in (filters or {}).items()):
                found.append({"resource_id": resource_id, "key": key, "value": value, "resource_type": fields["resource-type"]})
    return found


# AWS: a tag cannot be put on what does not exist, and the keys that start with aws: are AWS's own. A set-up that plays AWS
# says so with a tag of this key, which is not kept.
PLAYS_AWS = "kit:plays-aws"
MISSING = {
    "acl": ("InvalidNetworkAclID.NotFound", "The networkAcl ID '{}' does not exist"),
    "nat": ("NatGatewayNotFound", "The Nat Gateway {} was not found"),
    "eigw": ("InvalidGatewayID.NotFound", "The eigw ID '{}' does not exist"),
    "eipalloc": ("InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist"),
    "sgr": ("InvalidSecurityGroupRuleId.NotFound", "The security group rule ID '{}' does not exist"),
}


def before_tags(backend, resource_ids, tags):
    if PLAYS_AWS in tags:
        tags.pop(PLAYS_AWS)
    elif any(str(key).lower().startswith("aws:") for key in tags):
        raise error("InvalidParameterValue", "Value ( aws: ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use")


def before_exist(backend, resource_ids):
    for resource_id in resource_ids:
        prefix = prefix_of(resource_id)
        if prefix in MISSING and resource_id not in living(backend)[prefix]:
            code, message = MISSING[prefix]
            raise error(code, message.format(resource_id))


wrap(EC2Backend, "create_tags", before_tags)
wrap(EC2Backend, "do_resources_exist", before_exist)

# --- filters ---
# AWS: a filter with several values matches when any value does, also where the resource has several of the thing.


@replace(utils)
def is_filter_matching(obj, name, patterns):
    value = obj.get_filter_value(name)
    if value is None or patterns is None:
        return False
    patterns = patterns if isinstance(patterns, (list, tuple, set)) else [patterns]
    values = [value] if isinstance(value, (str, bool, int)) else list(value)
    texts = [str(item).lower() if isinstance(item, bool) else str(item) for item in values if item is not None]
    return any(fnmatch.fnmatchcase(text, str(pattern)) for text in texts for pattern in patterns)


def rules_filter(egress, field):
    def matches(self, patterns):
        rules = self.egress_rules if egress else self.ingress_rules
        found = [str(field(rule)) for rule in rules if field(rule) is not None]
        return any(fnmatch.fnmatchcase(text, str(pattern)) for text in found for pattern in patterns)

    return matches


_group_filter = SecurityGroup.matches_filter
RULE_FILTERS = {
    f"{side}ip-permission.{name}": rules_filter(bool(side), field)
    for side in ("", "egress.")
    for name, field in {
        "cidr": lambda rule: rule.ip_range.get("CidrIp"),
        "ipv6-cidr": lambda rule: rule.ip_range.get("CidrIpv6"),
        "group-id": lambda rule: rule.source_group.get("GroupId"),
        "user-id": lambda rule: rule.source_group.get("UserId"),
        "prefix-list-id": lambda rule: rule.prefix_list_id,
        "protocol": lambda rule: rule.ip_protocol,
        "from-port": lambda rule: rule.from_port,
        "to-port": lambda rule: rule.to_port,
    }.items()
}


@replace(SecurityGroup, "matches_filter")
def group_filter(self, key, patterns):
    if key in RULE_FILTERS:
        return RULE_FILTERS[key](self, patterns)
    if not key.startswith("tag") and key not in self.filters:
        raise error("InvalidParameterValue", f"The filter '{key}' is invalid")
    return _group_filter(self, key, patterns)


_route_table_filter = RouteTable.get_filter_value


@replace(RouteTable, "get_filter_value")
def route_table_filter(self, name, method_name=None):
    if name == "association.gateway-id":
        return [target for target in self._associations.values() if not target.startswith("subnet-")]
    if name == "association.subnet-id":
        return [target for target in self._associations.values() if target.startswith("subnet-")]
    if name == "owner-id":
        return self.owner_id
    return _route_table_filter(self, name, method_name)


# AWS: DescribeEgressOnlyInternetGateways takes filters.
EgressOnlyInternetGateway.egress_only_internet_gateway_id = property(lambda self: self.id)


@replace(EC2Response)
def describe_egress_only_internet_gateways(self):
    found = self.ec2_backend.describe_egress_only_internet_gateways(self._get_param("EgressOnlyInternetGatewayIds", []))
    return ActionResult({"EgressOnlyInternetGateways": utils.generic_filter(self._filters_from_querystring(), found)})


# AWS: an account without any answers an empty list. moto has none of these to list.
@replace(EC2Response)
def describe_instance_connect_endpoints(self):
    return ActionResult({"InstanceConnectEndpoints": []})


# --- prefix lists ---
# AWS: a call that does not name the list leaves its name alone; entries change from the version that it is at, within its size.
def before_modify_list(self, add_entry, remove_entry, prefix_list_id=None, current_version=None, prefix_list_name=None):
    there = self.managed_prefix_lists[prefix_list_id]
    if add_entry or remove_entry:
        if str(current_version) != str(there.version):
            raise error("PrefixListVersionMismatch", f"The prefix list has version {there.version}, not {current_version}")
        both = {e["Cidr"] for e in add_entry} & {e["Cidr"] for e in remove_entry}
        if both:
            raise error("InvalidParameterValue", f"Request cannot contain Cidr {both.pop()} in both AddPrefixListEntries and RemovePrefixListEntries")
        left = {e["Cidr"] for e in there.entries[there.version]} - {e["Cidr"] for e in remove_entry} | {e["Cidr"] for e in add_entry}
        if len(left) > int(there.max_entries):
            raise error("PrefixListMaxEntriesExceeded", "You've reached the maximum number of entries for the prefix list")
    return there.prefix_list_name


def after_modify_list(self, result, name, add_entry, remove_entry, prefix_list_id=None, current_version=None, prefix_list_name=None):
    result.prefix_list_name = prefix_list_name or name


wrap(EC2Backend, "modify_managed_prefix_list", pre=before_modify_list, post=after_modify_list)


# --- VPN, endpoints, peerings ---
# AWS: each is found by a filter on its ids and on its state. The interfaces of an endpoint are made by the service, and end with it.
def found_by(cls, prefix):
    inner = cls.get_filter_value

    def get_filter_value(self, filter_name, method_name=None):
        if filter_name == f"{prefix}-id":
            return self.id
        if filter_name == "state":
            return getattr(self, "state", "available")
        return inner(self, filter_name, method_name)

    cls.get_filter_value = get_filter_value


for cls, prefix in ((VPNConnection, "vpn-connection"), (VpnGateway, "vpn-gateway"), (VPCEndPoint, "vpc-endpoint"), (VPCPeeringConnection, "vpc-peering-connection")):
    found_by(cls, prefix)


def after_create_endpoint(self, endpoint, note, *args, **kwargs):
    for eni in endpoint.network_interface_ids or []:
        self.enis[eni].requester_managed, self.enis[eni].interface_type = True, "vpc_endpoint"


wrap(EC2Backend, "create_vpc_endpoint", post=after_create_endpoint)


# --- transit gateways ---
# AWS: a search of routes takes MaxResults; DescribeTransitGatewayVpcAttachments lists those of VPCs alone; attachments are
# filtered by state and id too; an attachment is associated with the table that it was associated with, and with none before.
_search_routes = EC2Backend.search_transit_gateway_routes


@replace(EC2Backend)
def search_transit_gateway_routes(self, transit_gateway_route_table_id, filters, max_results=None):
    return _search_routes(self, transit_gateway_route_table_id, filters)[: int(max_results or 1000)]


@replace(EC2Response)
def get_transit_gateway_prefix_list_references(self):
    return ActionResult({"TransitGatewayPrefixListReferences": []})


def attachments_of(backend, ids, filters, of):
    pairs = {"resource-id": "resource_id", "vpc-id": "resource_id", "resource-type": "resource_type", "transit-gateway-id": "transit_gateway_id", "state": "state", "transit-gateway-attachment-id": "id"}
    found = [a for a in backend.transit_gateway_attachments.values() if (not ids or a.id in ids) and of(a)]
    for name, values in (filters or {}).items():
        found = [a for a in found if getattr(a, pairs[name]) in values]
    return found


@replace(EC2Backend)
def describe_transit_gateway_attachments(self, transit_gateways_attachment_ids=None, filters=None):
    return attachments_of(self, transit_gateways_attachment_ids, filters, lambda a: True)


@replace(EC2Backend)
def describe_transit_gateway_vpc_attachments(self, transit_gateways_attachment_ids=None, filters=None):
    return attachments_of(self, transit_gateways_attachment_ids, filters, lambda a: a.resource_type == "vpc")


def association(self):
    data = self._association_data or {}
    table = data.get("transitGatewayRouteTableId")
    return {"State": data.get("state", "associated"), "TransitGatewayRouteTableId": table} if table else None


TransitGatewayAttachment.association = property(association)


# AWS: a gateway has a default table where its options say so, and none else; the table ends with the gateway. A new attachment
# goes into the default table.
_associate = EC2Backend.set_route_table_association


@replace(EC2Backend)
def set_route_table_association(self, transit_gateway_attachment_id, transit_gateway_route_table_id):
    if transit_gateway_route_table_id in self.transit_gateways_route_tables:
        _associate(self, transit_gateway_attachment_id, transit_gateway_route_table_id)


def after_create_gateway(self, gateway, note, *args, **kwargs):
    table, options = gateway.default_route_table, gateway.options
    table.default_association_route_table = options["DefaultRouteTableAssociation"] == "enable"
    table.default_propagation_route_table = options["DefaultRouteTablePropagation"] == "enable"
    if not table.default_association_route_table:
        del options["AssociationDefaultRouteTableId"]
    if not table.default_propagation_route_table:
        del options["PropagationDefaultRouteTableId"]
    if not (table.default_association_route_table or table.default_propagation_route_table):
        del self.transit_gateways_route_tables[table.id]


def after_create_attachment(self, attachment, note, *args, **kwargs):
    options = self.transit_gateways[attachment.transit_gateway_id].options
    for table in list(self.transit_gateways_route_tables.values()):
        table.route_table_associations.pop(attachment.id, None)
    if options.get("DefaultRouteTableAssociation") == "enable":
        self.associate_transit_gateway_route_table(attachment.id, options["AssociationDefaultRouteTableId"])
    if options.get("DefaultRouteTablePropagation") == "enable":
        self.enable_transit_gateway_route_table_propagation(attachment.id, options["PropagationDefaultRouteTableId"])


def after_delete_gateway(self, gateway, note, *args, **kwargs):
    for table in [t for t in self.transit_gateways_route_tables.values() if t.transit_gateway_id == gateway.id]:
        del self.transit_gateways_route_tables[table.id]


# AWS: an attachment has the tags that it was made with.
def tag_attachment(self, made, note):
    made.result["TransitGatewayVpcAttachment"].add_tags(self._parse_tag_specification().get("transit-gateway-attachment", {}))


wrap(EC2Response, "create_transit_gateway_vpc_attachment", post=tag_attachment)


# AWS: a route lists its attachments.
def after_create_gateway_route(self, route, note, *args, **kwargs):
    if isinstance(route.get("transitGatewayAttachments"), dict):
        route["transitGatewayAttachments"] = [route["transitGatewayAttachments"]]


wrap(EC2Backend, "create_transit_gateway_route", post=after_create_gateway_route)
wrap(EC2Backend, "create_transit_gateway", post=after_create_gateway)
wrap(EC2Backend, "create_transit_gateway_vpc_attachment", post=after_create_attachment)
wrap(EC2Backend, "create_transit_gateway_vpn_attachment", post=after_create_attachment)
wrap(EC2Backend, "delete_transit_gateway", post=after_delete_gateway)


# --- client tokens ---
# AWS: a repeated create with the same ClientToken answers with the resource of the first call and makes nothing; with other
# parameters it is refused.
TOKENS = {}


def once(name):
    original = getattr(EC2Response, name)

    def wrapped(self):
        token = self._get_param("ClientToken")
        if not token:
            return original(self)
        key = (self.current_account, self.region, name, token)
        wanted = json.dumps(self._get_params(), sort_keys=True, default=str)
        if key in TOKENS:
            given, result = TOKENS[key]
            if given != wanted:
                raise error("IdempotentParameterMismatch", "The client token you have provided is already in use with other parameters.")
            return result
        result = original(self)
        if isinstance(getattr(result, "result", None), dict):
            result.result.setdefault("ClientToken", token)
        TOKENS[key] = (wanted, result)
        return result

    wrapped.__name__ = name
    setattr(EC2Response, name, wrapped)


# --- VPC ---
# AWS: ModifyVpcAttribute and ModifySubnetAttribute change one attribute a call.
VPC_ATTRIBUTES = ("EnableDnsSupport", "EnableDnsHostnames", "EnableNetworkAddressUsageMetrics")
SUBNET_ATTRIBUTES = (
    "MapPublicIpOnLaunch", "AssignIpv6AddressOnCreation", "EnableDns64", "PrivateDnsHostnameTypeOnLaunch",
    "EnableResourceNameDnsARecordOnLaunch", "EnableResourceNameDnsAAAARecordOnLaunch", "MapCustomerOwnedIpOnLaunch",
    "EnableLniAtDeviceIndex", "DisableLniAtDeviceIndex", "CustomerOwnedIpv4Pool",
)


def single_attribute(response, names):
    given = [name for name in names if response._get_param(name) is not None]
    if len(given) != 1:
        code = "InvalidParameterCombination" if given else "MissingParameter"
        raise error(code, "The request must contain exactly one attribute to modify: " + ", ".join(given))
    value = response._get_param(given[0])
    return given[0], value.get("Value") if isinstance(value, dict) else value


wrap(EC2Response, "modify_vpc_attribute", lambda self: single_attribute(self, VPC_ATTRIBUTES) and None)


@replace(EC2Response)
def modify_subnet_attribute(self):
    name, value = single_attribute(self, SUBNET_ATTRIBUTES)
    subnet = self.ec2_backend.get_subnet(self._get_param("SubnetId"))
    if name == "MapPublicIpOnLaunch":
        subnet.map_public_ip_on_launch = value
    elif name == "AssignIpv6AddressOnCreation":
        subnet.assign_ipv6_address_on_creation = value
    elif name == "EnableDns64":
        subnet.enable_dns64 = value
    elif name == "PrivateDnsHostnameTypeOnLaunch":
        subnet.private_dns_name_options_on_launch["HostnameType"] = value
    elif name == "EnableResourceNameDnsARecordOnLaunch":
        subnet.private_dns_name_options_on_launch["EnableResourceNameDnsARecord"] = value
    elif name == "EnableResourceNameDnsAAAARecordOnLaunch":
        subnet.private_dns_name_options_on_launch["EnableResourceNameDnsAAAARecord"] = value
    else:
        raise error("UnsupportedOperation", f"{name} is not kept by the emulator")
    return EmptyResult()


# AWS: a CIDR of a VPC that still has subnets cannot be disassociated.
def before_cidr(backend, association_id):
    for vpc in backend.vpcs.values():
        block = vpc._cidr_block_association_set.get(association_id)
        if block and ":" not in block["cidr_block"]:
            network = ipaddress.ip_network(block["cidr_block"])
            if any(s.vpc_id == vpc.id and s.cidr_block and s.cidr.subnet_of(network) for subnets in backend.subnets.values() for s in subnets.values()):
                raise error("InvalidCidrBlock.InUse", f"The vpc {vpc.id} currently has a subnet within CIDR block {block['cidr_block']}")


wrap(EC2Backend, "disassociate_vpc_cidr_block", before_cidr)

# AWS: DeleteVpc is refused while anything of the user's is left in it. It takes along what AWS had made with the VPC, ends its
# peering connections, and leaves the DHCP options alone.
implicit = threading.local()


def vpc_in_use(backend, vpc_id):
    return (
        [g for g in groups_of(backend) if g.vpc_id == vpc_id and g.name != "default"]
        or [a for a in backend.network_acls.values() if a.vpc_id == vpc_id and not is_default(a)]
        or [e for e in live_enis(backend) if e.subnet.vpc_id == vpc_id]
        or [e for e in backend.vpc_end_points.values() if e.vpc_id == vpc_id and e.state != "deleted"]
        or [g for g in backend.internet_gateways.values() if g.vpc and g.vpc.id == vpc_id]
        or [g for g in backend.egress_only_internet_gateways.values() if g.vpc_id == vpc_id]
        or [t for t in backend.route_tables.values() if t.vpc_id == vpc_id and not t.main_association_id]
    )


_delete_vpc = EC2Backend.delete_vpc


@replace(EC2Backend)
def delete_vpc(self, vpc_id):
    vpc = self.get_vpc(vpc_id)
    if vpc_in_use(self, vpc_id):
        raise DependencyViolationError(f"The vpc '{vpc_id}' has dependencies and cannot be deleted.")
    options, vpc.dhcp_options = vpc.dhcp_options, None
    implicit.on = True
    try:
        result = _delete_vpc(self, vpc_id)
    except Exception:
        vpc.dhcp_options = options
        raise
    finally:
        implicit.on = False
    for acl_id, acl in list(self.network_acls.items()):
        if acl.vpc_id == vpc_id:
            self.network_acls.pop(acl_id)
    for peering in self.vpc_pcxs.values():
        if vpc_id in (peering.vpc.id, peering.peer_vpc.id):
            peering._status.deleted(deleter_id=self.account_id)
    return result


# --- DHCP options ---
# AWS: keeps the tags and every option, also ipv6-address-preferred-lease-time; a set can serve several VPCs and cannot be deleted
# while it serves one. A Region has a set of its own, which new VPCs get; `default` in AssociateDhcpOptions takes any set away.


def after_create_vpc(backend, vpc, note, *args, **kwargs):
    own = getattr(backend, "own_dhcp_options", None)
    if own is None or own.id not in backend.dhcp_options_sets:
        domain = "ec2.internal" if backend.region_name == "us-east-1" else f"{backend.region_name}.compute.internal"
        own = backend.create_dhcp_options(["AmazonProvidedDNS"], [domain])
        own._options = {"domain-name": [domain], "domain-name-servers": ["AmazonProvidedDNS"]}
        backend.own_dhcp_options = own
    vpc.dhcp_options = own


wrap(EC2Backend, "create_vpc", None, after_create_vpc)


@replace(EC2Response)
def create_dhcp_options(self):
    given = {item["Key"]: item.get("Values", []) for item in self._get_param("DhcpConfigurations", [])}
    known = ("domain-name-servers", "domain-name", "ntp-servers", "netbios-name-servers", "netbios-node-type")
    options = self.ec2_backend.create_dhcp_options(*(given.get(key) for key in known))
    options._options = given
    options.add_tags(utils.add_tag_specification(self._get_param("TagSpecifications", [])))
    return ActionResult({"DhcpOptions": options})


def before_delete_options(backend, options_id):
    options = backend.dhcp_options_sets.get(options_id)
    if options is None:
        return
    if any(vpc.dhcp_options is options for vpc in backend.vpcs.values()):
        raise DependencyViolationError(f"The dhcpOptions '{options_id}' has dependencies and cannot be deleted.")
    options.vpc = None


wrap(EC2Backend, "delete_dhcp_options_set", before_delete_options)
DHCPOptionsSet.owner_id = property(lambda self: self.ec2_backend.account_id)

# --- subnets ---
# AWS: a subnet named by zone id is like one named by zone; it is a default subnet only when CreateDefaultSubnet made it; a subnet
# with interfaces cannot be deleted; a deleted one leaves its associations.
Subnet.enable_dns64 = False
Subnet.map_customer_owned_ip_on_launch = False
_create_subnet = EC2Backend.create_subnet


@replace(EC2Backend)
def create_subnet(self, vpc_id, cidr_block, ipv6_cidr_block=None, availability_zone=None, availability_zone_id=None, **more):
    zones = self.describe_availability_zones()
    if availability_zone_id and not availability_zone:
        availability_zone = next((zone.name for zone in zones if zone.zone_id == availability_zone_id), None)
        if availability_zone is None:
            raise error("InvalidParameterValue", f"Value ({availability_zone_id}) for parameter availabilityZoneId is invalid.")
    elif availability_zone and availability_zone not in [zone.name for zone in zones]:
        raise error("InvalidParameterValue", f"Value ({availability_zone}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: " + ", ".join(z.name for z in zones))
    subnet = _create_subnet(self, vpc_id, cidr_block, ipv6_cidr_block, availability_zone, None, **more)
    if not self.get_vpc(vpc_id).is_default:
        subnet.default_for_az = subnet.map_public_ip_on_launch = False
    return subnet


def before_delete_subnet(backend, subnet_id):
    if any(eni.subnet.id == subnet_id for eni in live_enis(backend)):
        raise DependencyViolationError(f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")


def after_delete_subnet(backend, result, note, subnet_id):
    for acl in backend.network_acls.values():
        for i, association in list(acl._associations.items()):
            if association.subnet_id == subnet_id:
                acl._associations.pop(i)
    for table in backend.route_tables.values():
        for i, target in list(table._associations.items()):
            if target == subnet_id:
                table._associations.pop(i)


wrap(EC2Backend, "delete_subnet", before_delete_subnet, after_delete_subnet)

# --- gateways ---
# AWS: one internet gateway a VPC; it cannot be detached while public addresses are mapped through it.


def before_attach(backend, internet_gateway_id, vpc_id):
    for gateway in backend.internet_gateways.values():
        if gateway.id != internet_gateway_id and gateway.vpc and gateway.vpc.id == vpc_id:
            raise error("InvalidParameterValue", f"Network {vpc_id} already has an internet gateway attached")


def before_detach(backend, internet_gateway_id, vpc_id):
    held = {a.get("AllocationId") for nat in live_nats(backend) if nat.vpc_id == vpc_id for a in nat.address_set}
    for address in backend.addresses:
        eni = address.eni
        if address.allocation_id in held or (eni and eni.id in backend.enis and eni.subnet.vpc_id == vpc_id and not dying(eni)):
            raise DependencyViolationError(f"Network {vpc_id} has some mapped public address(es). Please unmap those public address(es) before detaching the gateway.")


wrap(EC2Backend, "attach_internet_gateway", before_attach)
wrap(EC2Backend, "detach_internet_gateway", before_detach)

# --- Elastic IP addresses ---
# AWS: an address shows its pool and border group; one in use cannot be released; one that a NAT gateway holds cannot be disassociated
# by the user; one that anybody holds cannot be acquired by number; one on an interface of an instance is on the instance.
ElasticAddress.public_ipv4_pool = property(lambda self: "amazon")
ElasticAddress.network_interface_id = property(lambda self: self.eni.id if self.eni else None)
ElasticAddress.network_border_group = property(lambda self: self.ec2_backend.region_name)


def after_allocate(self, result, note):
    result.result.update(PublicIpv4Pool="amazon", NetworkBorderGroup=self.region)


wrap(EC2Response, "allocate_address", None, after_allocate)


def before_allocate(backend, domain, address=None, *args, **kwargs):
    if address and any(x.public_ip == address for regions in list(ec2_backends.values()) for b in list(regions.values()) for x in b.addresses):
        raise error("InvalidAddress.NotFound", f"Address '{address}' not found.")


def held_by_nat(backend, address):
    return any(address.allocation_id and a.get("AllocationId") == address.allocation_id for nat in live_nats(backend) for a in nat.address_set)


def before_release(backend, address=None, allocation_id=None):
    for held in backend.addresses:
        if (allocation_id and held.allocation_id == allocation_id) or (address and held.public_ip == address):
            if held_by_nat(backend, held) or (held.eni and held.eni.id in backend.enis and not dying(held.eni)):
                raise error("InvalidIPAddress.InUse", f"The address with allocation id [{held.allocation_id}] cannot be released because it is in use.")
            backend.tags.pop(held.allocation_id, None)
            held.association_id = held.eni = held.instance = None


def before_disassociate(backend, address=None, association_id=None):
    for held in backend.addresses:
        if (association_id and held.association_id == association_id) or (address and held.public_ip == address):
            if held_by_nat(backend, held):
                raise error("AuthFailure", "You do not have permission to access the specified resource.")


def after_associate(backend, address, note, *args, **kwargs):
    if address.eni and address.eni.instance:
        address.instance = address.eni.instance


wrap(EC2Backend, "allocate_address", before_allocate)
wrap(EC2Backend, "associate_address", None, after_associate)
wrap(EC2Backend, "release_address", before_release)
wrap(EC2Backend, "disassociate_address", before_disassociate)

# --- NAT gateways ---
# AWS: the private address is one of the subnet's; the answer to the create says `pending`; without an attached internet gateway, or
# with an address in use, a public one ends `failed`; an unknown id is an error; deleting one frees its address and interface.
NatGateway.nat_gateway_id = property(lambda self: self.id)


@replace(EC2Response)
def create_nat_gateway(self):
    backend = self.ec2_backend
    subnet = backend.get_subnet(self._get_param("SubnetId"))
    kind = self._get_param("ConnectivityType") or "public"
    allocation_id = self._get_param("AllocationId")
    address = None
    if kind == "public":
        if not allocation_id:
            raise error("MissingParameter", "The request must contain the parameter AllocationId")
        address = backend.address_by_allocation([allocation_id])[0]
    elif allocation_id:
        raise error("InvalidParameterCombination", "AllocationId cannot be used with ConnectivityType private")
    nat = NatGateway.__new__(NatGateway)
    nat.id = utils.random_nat_gateway_id()
    nat.ec2_backend = backend
    nat.subnet_id, nat.vpc_id = subnet.id, subnet.vpc_id
    nat.connectivity_type = kind
    nat.address_set = []
    nat.state = "available"
    nat._created_at = datetime.datetime.now(datetime.timezone.utc)
    nat._eni = None
    nat.failure_code = nat.failure_message = nat.delete_time = None
    if kind == "public" and not any(g.vpc and g.vpc.id == subnet.vpc_id for g in backend.internet_gateways.values()):
        nat.failure_code, nat.failure_message = "Gateway.NotAttached", f"Network {subnet.vpc_id} has no Internet gateway attached"
    elif address is not None and (address.association_id or held_by_nat(backend, address)):
        nat.failure_code, nat.failure_message = "Resource.AlreadyAssociated", f"Elastic IP address [{allocation_id}] is already associated"
    if nat.failure_code:
        nat.state, nat.delete_time = "failed", now()
        nat.address_set = [{"AllocationId": allocation_id, "IsPrimary": True, "Status": "failed"}]
    else:
        nat._eni = backend.create_network_interface(subnet, self._get_param("PrivateIpAddress"), description=f"Interface for NAT Gateway {nat.id}")
        nat._eni.requester_managed, nat._eni.interface_type, nat._eni.status = True, "nat_gateway", "in-use"
        entry = {"NetworkInterfaceId": nat._eni.id, "PrivateIp": nat._eni.private_ip_address, "IsPrimary": True, "Status": "succeeded"}
        if address is not None:
            backend.associate_address(eni=nat._eni, allocation_id=allocation_id)
            entry.update(AllocationId=allocation_id, PublicIp=address.public_ip, AssociationId=address.association_id)
        nat.address_set = [entry]
    backend.nat_gateways[nat.id] = nat
    nat.add_tags(utils.add_tag_specification(self._get_param("TagSpecifications", [])))
    answer = copy.copy(nat)
    answer.state = "pending"
    answer.failure_code = answer.failure_message = answer.delete_time = None
    return ActionResult({"NatGateway": answer})


@replace(EC2Backend)
def describe_nat_gateways(self, filters, nat_gateway_ids):
    for nat_id in nat_gateway_ids or []:
        if nat_id not in self.nat_gateways:
            raise error("NatGatewayNotFound", f"The Nat Gateway {nat_id} was not found")
    found = [nat for nat in self.nat_gateways.values() if not nat_gateway_ids or nat.id in nat_gateway_ids]
    return utils.generic_filter(filters, found)


@replace(EC2Backend)
def delete_nat_gateway(self, nat_gateway_id):
    nat = self.nat_gateways.get(nat_gateway_id)
    if nat is None or nat.state == "deleted":
        raise error("NatGatewayNotFound", f"The Nat Gateway {nat_gateway_id} was not found")
    nat.state, nat.delete_time = "deleted", now()
    for address in self.addresses:
        if any(a.get("AllocationId") == address.allocation_id for a in nat.address_set):
            address.association_id = address.eni = None
    if nat._eni is not None:
        self.enis.pop(nat._eni.id, None)
    return nat


# --- route tables ---
# AWS: a route whose target is gone is a `blackhole`; a target must exist and belong to the VPC; a destination is unique, also for
# IPv6; `local` routes stay; the main table and one with associations cannot be deleted; a subnet has one association, and the
# main association can only be replaced.


def route_state(self):
    backend = self.route_table.ec2_backend
    vpc_id = self.route_table.vpc_id
    if self.nat_gateway is not None:
        return "active" if self.nat_gateway.state in ("available", "pending") else "blackhole"
    if self.egress_only_igw is not None:
        return "active" if self.egress_only_igw.id in backend.egress_only_internet_gateways else "blackhole"
    if self.vpc_pcx is not None:
        return "active" if self.vpc_pcx._status.code == "active" else "blackhole"
    if self.interface is not None:
        return "active" if self.interface.id in backend.enis else "blackhole"
    if self.gateway is not None and self.gateway.id.startswith("igw-"):
        gateway = backend.internet_gateways.get(self.gateway.id)
        return "active" if gateway and gateway.vpc and gateway.vpc.id == vpc_id else "blackhole"
    return "active"


Route.state = property(route_state)


def check_target(backend, table, gateway_id=None, nat_gateway_id=None, egress_only_igw_id=None, **other):
    if gateway_id and gateway_id.startswith("igw-"):
        gateway = backend.get_internet_gateway(gateway_id)
        if not gateway.vpc or gateway.vpc.id != table.vpc_id:
            raise error("InvalidParameterValue", f"route table {table.id} and network gateway {gateway_id} belong to different networks")
    if nat_gateway_id:
        nat = backend.nat_gateways.get(nat_gateway_id)
        if nat is None or nat.state in ("deleted", "failed"):
            raise error("InvalidNatGatewayID.NotFound", f"The natGateway ID '{nat_gateway_id}' does not exist")
        if nat.vpc_id != table.vpc_id:
            raise error("InvalidParameterValue", f"route table {table.id} and network gateway {nat_gateway_id} belong to different networks")
    if egress_only_igw_id:
        gateway = backend.get_egress_only_igw(egress_only_igw_id)
        if gateway.vpc_id != table.vpc_id:
            raise error("InvalidParameterValue", f"route table {table.id} and network gateway {egress_only_igw_id} belong to different networks")


def before_create_route(backend, route_table_id, destination_cidr_block, destination_ipv6_cidr_block=None, destination_prefix_list_id=None, local=False, **target):
    if local:
        return
    table = backend.get_route_table(route_table_id)
    wanted = destination_cidr_block or destination_ipv6_cidr_block or destination_prefix_list_id
    for route in table._routes.values():
        if wanted in (route.destination_cidr_block, route.destination_ipv6_cidr_block, route.destination_prefix_list_id):
            raise error("RouteAlreadyExists", f"The route identified by {wanted} already exists.")
    check_target(backend, table, **target)


def before_replace_route(backend, route_table_id, cidr, v6=None, prefix=None, nat_gateway_id=None, egress_only_igw_id=None, transit_gateway_id=None, **target):
    check_target(backend, backend.get_route_table(route_table_id), nat_gateway_id=nat_gateway_id, egress_only_igw_id=egress_only_igw_id, **target)


def before_delete_route(backend, route_table_id, cidr, v6=None, prefix=None):
    if getattr(implicit, "cidr", False):
        return
    for route in backend.get_route_table(route_table_id)._routes.values():
        if not prefix and route.local and (v6 or cidr) in (route.destination_cidr_block, route.destination_ipv6_cidr_block):
            raise error("InvalidParameterValue", f"cannot remove local route {v6 or cidr} in route table {route_table_id}")


wrap(EC2Backend, "create_route", before_create_route)
wrap(EC2Backend, "replace_route", before_replace_route)
wrap(EC2Backend, "delete_route", before_delete_route)
_disassociate_cidr = EC2Backend.disassociate_vpc_cidr_block


@replace(EC2Backend)
def disassociate_vpc_cidr_block(self, association_id):
    implicit.cidr = True
    try:
        return _disassociate_cidr(self, association_id)
    finally:
        implicit.cidr = False


def before_delete_table(backend, route_table_id):
    table = backend.route_tables.get(route_table_id)
    if table is not None and table.main_association_id and not getattr(implicit, "on", False):
        raise DependencyViolationError(f"The routeTable '{route_table_id}' has dependencies and cannot be deleted.")


wrap(EC2Backend, "delete_route_table", before_delete_table)


@replace(EC2Backend)
def associate_route_table(self, route_table_id, gateway_id=None, subnet_id=None):
    table = self.get_route_table(route_table_id)
    if subnet_id:
        owner = self.get_subnet(subnet_id).vpc_id
    elif gateway_id and gateway_id.startswith("igw-"):
        gateway = self.get_internet_gateway(gateway_id)
        owner = gateway.vpc.id if gateway.vpc else None
    elif gateway_id:
        owner = table.vpc_id
    else:
        raise error("MissingParameter", "The request must contain the parameter subnetId or gatewayId")
    target = subnet_id or gateway_id
    if owner != table.vpc_id:
        raise error("InvalidParameterValue", f"route table {route_table_id} and {target} belong to different networks")
    for other in self.route_tables.values():
        for association_id, associated in other._associations.items():
            if associated == target:
                if other is table:
                    return association_id
                raise error("Resource.AlreadyAssociated", f"the specified association for route table {route_table_id} conflicts with an existing association")
    association_id = utils.random_subnet_association_id()
    table._associations[association_id] = target
    return association_id


def before_disassociate_table(backend, association_id):
    if any(table.main_association_id == association_id for table in backend.route_tables.values()):
        raise error("InvalidParameterValue", f"cannot disassociate the main route table association {association_id}")


wrap(EC2Backend, "disassociate_route_table", before_disassociate_table)


def table_associations(self):
    found = []
    if self.main_association_id is not None:
        found.append({"RouteTableAssociationId": self.main_association_id, "RouteTableId": self.id, "Main": True, "AssociationState": {"State": "associated"}})
    for association_id, target in self._associations.items():
        found.append({
            "RouteTableAssociationId": association_id, "RouteTableId": self.id, "Main": False, "AssociationState": {"State": "associated"},
            "SubnetId" if target.startswith("subnet-") else "GatewayId": target,
        })
    return found


RouteTable.associations = property(table_associations)

# --- security groups ---
# AWS: a VPC's default group lets itself in and cannot be deleted; a group that another one names, or that an interface uses, cannot
# be deleted; a rule is the same rule whatever its description; a call changes all of its rules or none, and answers with all;
# a rule of a group or prefix list has a description too; ports are optional for protocols that have none.
_rule = SecurityGroupRule.__init__


@replace(SecurityGroupRule, "__init__")
def rule_init(self, backend, ip_protocol, group_id, from_port, to_port, ip_range, source_group=None, prefix_list_id=None, **more):
    portless = ip_protocol not in (None, "-1") and from_port is None
    _rule(self, backend, ip_protocol, group_id, 0 if portless else from_port, 0 if portless else to_port, ip_range, source_group, prefix_list_id, **more)
    if portless:
        self.from_port = self.to_port = None
    self.prefix_list = prefix_list_id or {}


BARE = ("Description", "OwnerId", "UserId", "GroupName", "VpcId", "PeeringStatus", "VpcPeeringConnectionId")


def bare(part):
    return {key: value for key, value in (part or {}).items() if key not in BARE} if isinstance(part, dict) else part


@replace(SecurityGroupRule, "__eq__")
def rule_eq(self, other):
    return all(str(getattr(self, name)) == str(getattr(other, name)) for name in ("ip_protocol", "from_port", "to_port")) and all(
        bare(getattr(self, name)) == bare(getattr(other, name)) for name in ("ip_range", "source_group", "prefix_list_id")
    )


SecurityGroupRule.__hash__ = None
SecurityGroupRule.group_owner_id = property(lambda self: self.ec2_backend.account_id)
SecurityGroupRule.description = property(
    lambda self: self.ip_range.get("Description") or self.source_group.get("Description") or self.prefix_list.get("Description")
)
# The view that groups rules into IpPermissions knows prefix lists by id only; it is given the description with it.
_flattened = SecurityGroup._flattened_rules


@replace(SecurityGroup)
def _flattened_rules(self, rules):
    views = _flattened(self, rules)
    described = {rule.prefix_list_id: rule.prefix_list["Description"] for rule in rules if rule.prefix_list_id and rule.prefix_list.get("Description")}
    for view in views:
        for entry in view.prefix_list_ids:
            if entry["PrefixListId"] in described:
                entry["Description"] = described[entry["PrefixListId"]]
    return views


def after_create_group(backend, group, note, *args, **kwargs):
    if group.is_default:
        itself = {"GroupId": group.id, "UserId": backend.account_id, "OwnerId": backend.account_id}
        group.ingress_rules.append(SecurityGroupRule(backend, "-1", group.id, None, None, None, itself, is_egress=False))


def before_delete_group(backend, name=None, group_id=None):
    if getattr(implicit, "on", False):
        return
    group = next((g for g in groups_of(backend) if g.id == group_id or (group_id is None and g.name == name)), None)
    if group is None:
        return
    if group.name == "default":
        raise error("CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user')
    if any(x.id == group.id for eni in live_enis(backend) for x in (eni.group_set or [])):
        raise DependencyViolationError(f"resource {group.id} has a dependent object")
    for other in groups_of(backend):
        if other.id != group.id and any(r.source_group.get("GroupId") == group.id for r in other.ingress_rules + other.egress_rules):
            raise DependencyViolationError(f"resource {group.id} has a dependent object")


wrap(EC2Backend, "create_security_group", None, after_create_group)
wrap(EC2Backend, "delete_security_group", before_delete_group)


def after_create_group_answer(self, result, note):
    group = self.ec2_backend.get_security_group_from_id(result.result["GroupId"])
    result.result["Tags"] = group.tag_list


wrap(EC2Response, "create_security_group", None, after_create_group_answer)


def whole(name, authorize):
    def change(self):
        backend = self.ec2_backend
        calls = list(self._process_rules_from_querystring())
        group = backend.get_security_group_by_name_or_id(calls[0]["group_name_or_id"])
        before = (list(group.ingress_rules), list(group.egress_rules)) if group else None
        rules = []
        try:
            for arguments in calls:
                if authorize:
                    rules += getattr(backend, name)(**arguments)[0]
                else:
                    del arguments["sgrule_tags"]
                    getattr(backend, name)(**arguments)
        except Exception:
            if group:
                group.ingress_rules, group.egress_rules = before
            raise
        return ActionResult({"Return": True, "SecurityGroupRules": rules} if authorize else {"Return": True})

    change.__name__ = name
    setattr(EC2Response, name, change)


for direction in ("ingress", "egress"):
    whole(f"authorize_security_group_{direction}", True)
    whole(f"revoke_security_group_{direction}", False)

# --- network ACLs ---
# AWS: a new one denies everything by the entries 32767, which nobody can make or remove; ICMP type and code are kept; an unknown
# ACL, entry or association is an error of its own name; the default one cannot be deleted.
LAST = 32767


def after_create_acl(backend, acl, note, vpc_id, tags=None, default=False):
    if not default:
        for egress in (True, False):
            _create_entry(backend, acl.id, LAST, "-1", "deny", egress, "0.0.0.0/0", None, None, None, None, None)


def entry_arguments(self):
    number = int(self._get_param("RuleNumber"))
    if not 1 <= number < LAST:
        raise error("InvalidParameterValue", f"Value ({number}) for parameter ruleNumber is invalid. Must be between 1 and 32766")
    icmp = self._get_param("IcmpTypeCode") or {}
    ports = self._get_param("PortRange") or {}
    return {
        "network_acl_id": self._get_param("NetworkAclId"), "rule_number": number, "protocol": self._get_param("Protocol"),
        "rule_action": self._get_param("RuleAction"), "egress": self._get_param("Egress"), "cidr_block": self._get_param("CidrBlock"),
        "icmp_code": icmp.get("Code"), "icmp_type": icmp.get("Type"), "port_range_from": ports.get("From"),
        "port_range_to": ports.get("To"), "ipv6_cidr_block": self._get_param("Ipv6CidrBlock"),
    }


@replace(EC2Response)
def create_network_acl_entry(self):
    self.ec2_backend.create_network_acl_entry(**entry_arguments(self))
    return EmptyResult()


@replace(EC2Response)
def replace_network_acl_entry(self):
    self.ec2_backend.replace_network_acl_entry(**entry_arguments(self))
    return EmptyResult()


def before_delete_entry(backend, network_acl_id, rule_number, egress):
    acl = backend.get_network_acl(network_acl_id)
    if int(rule_number) >= LAST or not any(e.egress == egress and e.rule_number == rule_number for e in acl.network_acl_entries):
        side = "egress" if egress else "ingress"
        raise error("InvalidNetworkAclEntry.NotFound", f"The {side} network acl entry for rule number '{rule_number}' is not found in network acl '{network_acl_id}'")


def before_delete_acl(backend, network_acl_id):
    acl = backend.get_network_acl(network_acl_id)
    if is_default(acl):
        raise error("InvalidParameterValue", f"cannot delete default network ACL {network_acl_id}")


def before_replace_acl(backend, association_id, network_acl_id):
    acl = backend.get_network_acl(network_acl_id)
    holder = next((a for a in backend.network_acls.values() if association_id in a._associations), None)
    if holder is None:
        raise InvalidAssociationIdError(association_id)
    if holder.vpc_id != acl.vpc_id:
        raise error("InvalidParameterValue", f"network acl {network_acl_id} and the association belong to different networks")


def before_describe_acls(backend, network_acl_ids=None, filters=None):
    for acl_id in network_acl_ids or []:
        backend.get_network_acl(acl_id)


_create_entry = EC2Backend.create_network_acl_entry
wrap(EC2Backend, "create_network_acl", None, after_create_acl)
wrap(EC2Backend, "delete_network_acl_entry", before_delete_entry)
wrap(EC2Backend, "delete_network_acl", before_delete_acl)
wrap(EC2Backend, "replace_network_acl_association", before_replace_acl)
wrap(EC2Backend, "describe_network_acls", before_describe_acls)
NetworkAcl.network_acl_id = property(lambda self: self.id)

for name in ("create_nat_gateway", "create_route_table", "create_network_acl", "create_egress_only_internet_gateway"):
    once(name)

# --- pages ---
# AWS: MaxResults (5 to 1000) cuts the answer and gives a NextToken; it cannot be used with ids.
PAGED = {
    "describe_vpcs": "Vpcs", "describe_dhcp_options": "DhcpOptions", "describe_subnets": "Subnets",
    "describe_internet_gateways": "InternetGateways", "describe_egress_only_internet_gateways": "EgressOnlyInternetGateways",
    "describe_nat_gateways": "NatGateways", "describe_route_tables": "RouteTables", "describe_security_groups": "SecurityGroups",
    "describe_security_group_rules": "SecurityGroupRules", "describe_network_acls": "NetworkAcls", "describe_tags": "Tags",
}


def paged(name, key):
    original = getattr(EC2Response, name)

    def page(self):
        size = self._get_param("MaxResults")
        start = self._get_param("NextToken")
        if size is not None and not 5 <= int(size) <= 1000:
            raise error("InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000.")
        if size is not None and any(k.endswith("Ids") for k in self._get_params()):
            raise error("InvalidParameterCombination", "The parameter maxResults cannot be used with ids in the same request")
        answer = original(self)
        items = list(answer.result[key])
        first = int(start or 0)
        last = first + int(size) if size is not None else len(items)
        answer.result[key] = items[first:last]
        if last < len(items):
            answer.result["NextToken"] = str(last)
        return answer

    page.__name__ = name
    setattr(EC2Response, name, page)


for name, key in PAGED.items():
    paged(name, key)

# --- roles ---
# AWS: the id of a role is the same in each of its sessions.
from moto.iam.models import iam_backends
from moto.sts.models import AssumedRole


def user_id(self):
    try:
        role = iam_backends[self.account_id][self.partition].get_role_by_arn(arn=self.role_arn).id
    except Exception:
        role = "AROA" + hashlib.sha256(self.role_arn.encode()).hexdigest().upper()[:17]
    return f"{role}:{self.session_name}"


AssumedRole.user_id = property(user_id)

# --- calls ---
# AWS: an operation that does not exist is InvalidAction, not a page of HTML, and a dry run changes nothing, whatever the operation.
# EC2 calls run one after the other: moto's models are not made for threads. SQS must not wait in line behind a long poll.
CALLS = []
IN_LINE = {"ec2": threading.RLock(), "iam": threading.RLock(), "sts": threading.RLock()}


# --- recycle bins ---
# AWS: where no retention rule matched, nothing is in them.
@replace(EC2Response)
def list_snapshots_in_recycle_bin(self):
    return ActionResult({"Snapshots": []})


@replace(EC2Response)
def list_volumes_in_recycle_bin(self):
    return ActionResult({"Volumes": []})


@replace(EC2Response)
def restore_snapshot_from_recycle_bin(self):
    wanted = self._get_param("SnapshotId")
    raise error("InvalidSnapshot.NotFound", f"The snapshot '{wanted}' does not exist.")


@replace(EC2Response)
def restore_image_from_recycle_bin(self):
    wanted = self._get_param("ImageId")
    raise error("InvalidAMIID.NotFound", f"The image id '[{wanted}]' does not exist")


# --- sharing of snapshots ---
# AWS: ModifySnapshotAttribute also takes the members CreateVolumePermission.Add and .Remove.
modify_snapshot_by_lists = EC2Response.modify_snapshot_attribute


@replace(EC2Response)
def modify_snapshot_attribute(self):
    changes = self._get_param("CreateVolumePermission", {}) or {}
    snapshot_id = self._get_param("SnapshotId")
    calls = {"Add": self.ec2_backend.add_create_volume_permission, "Remove": self.ec2_backend.remove_create_volume_permission}
    for name, call in calls.items():
        rows = changes.get(name) or []
        if rows:
            call(snapshot_id, user_ids=[r["UserId"] for r in rows if "UserId" in r], groups=[r["Group"] for r in rows if "Group" in r])
    return EmptyResult() if changes else modify_snapshot_by_lists(self)


# --- snapshots of an instance's volumes ---
# AWS: CreateSnapshots leaves out the root, or the other volumes, that it is told to, and copies the volumes' tags when asked.
@replace(EC2Response)
def create_snapshots(self):
    which = self._get_param("InstanceSpecification", {})
    instance = self.ec2_backend.get_instance(which["InstanceId"])
    left = which.get("ExcludeDataVolumeIds") or []
    tags = self._parse_tag_specification().get("snapshot", {})
    made = []
    for device, volume in instance.get_block_device_mapping:
        is_root = device == instance.root_device_name
        if volume.volume_id in left:
            if is_root:
                raise error("InvalidParameterValue", f"'{volume.volume_id}' is the boot volume.")
            continue
        if is_root and str(which.get("ExcludeBootVolume")).lower() == "true":
            continue
        snapshot = self.ec2_backend.create_snapshot(volume.volume_id, self._get_param("Description", ""))
        if self._get_param("CopyTagsFromSource") == "volume":
            snapshot.add_tags({t["key"]: t["value"] for t in self.ec2_backend.get_volume(volume.volume_id).get_tags()})
        snapshot.add_tags(tags)
        made.append(snapshot)
    return ActionResult({"Snapshots": made})


# --- locked snapshots ---
# AWS: a snapshot can be locked, and is then not deleted.
@replace(EC2Response)
def lock_snapshot(self):
    snapshot = self.ec2_backend.get_snapshot(self._get_param("SnapshotId"))
    snapshot.lock_state = self._get_param("LockMode")
    return ActionResult({"SnapshotId": snapshot.id, "LockState": snapshot.lock_state})


@replace(EC2Response)
def describe_locked_snapshots(self):
    wanted = self._filters_from_querystring().get("lock-state")
    locked = [s for s in self.ec2_backend.snapshots.values() if getattr(s, "lock_state", None)]
    rows = [{"SnapshotId": s.id, "LockState": s.lock_state} for s in locked if wanted is None or s.lock_state in wanted]
    return ActionResult({"Snapshots": rows})


def refuse_deleting_a_locked_snapshot(self, snapshot_id, *args, **kwargs):
    if getattr(self.snapshots.get(snapshot_id), "lock_state", None):
        raise error("OperationNotPermitted", f"The snapshot '{snapshot_id}' is locked.")


wrap(EC2Backend, "delete_snapshot", pre=refuse_deleting_a_locked_snapshot)


# AWS: images are found by the snapshots that they are made of.
image_filter_value = Ami.get_filter_value


@replace(Ami)
def get_filter_value(self, filter_name, method_name=None):
    if filter_name == "block-device-mapping.snapshot-id":
        return [disk.get("Ebs", {}).get("SnapshotId") for disk in self.block_device_mappings]
    return image_filter_value(self, filter_name, method_name)


# --- launch templates ---
# AWS: the tags of a template are its own; they are not in the data of its first version.
def template_without_its_tags(template, result, note, *args, **kwargs):
    for version in template.versions:
        data = version.data
        kept = [row for row in data.get("TagSpecifications", []) if row.get("ResourceType") != "launch-template"]
        data.pop("TagSpecifications", None)
        if kept:
            data["TagSpecifications"] = kept


wrap(LaunchTemplate, "__init__", post=template_without_its_tags)
# AWS: a template's tags can be changed afterwards.
LaunchTemplate.tags = property(lambda self: self.get_tags(), lambda self, value: None)


# --- endpoints ---
# AWS: DescribeVpcEndpoints filters by vpc-endpoint-id too.
_endpoint_filter = VPCEndPoint.get_filter_value


@replace(VPCEndPoint, "get_filter_value")
def endpoint_filter(self, name, method_name=None):
    return self.id if name == "vpc-endpoint-id" else _endpoint_filter(self, name, method_name)


# AWS: a gateway endpoint's route is in its route tables, and in no other, also after they were changed.
def after_modify_endpoint(endpoint, result, note, *args, **kwargs):
    listed = endpoint.destination_prefix_list_id
    if not listed:
        return
    for table in endpoint.ec2_backend.route_tables.values():
        held = next((r for r in table._routes.values() if r.destination_prefix_list_id == listed and r.gateway_id == endpoint.id), None)
        if table.id in endpoint.route_table_ids and not held:
            endpoint.ec2_backend.create_route(table.id, None, gateway_id=endpoint.id, destination_prefix_list_id=listed)
        elif held and table.id not in endpoint.route_table_ids:
            table._routes.pop(held.id)


wrap(VPCEndPoint, "modify", None, after_modify_endpoint)


# --- what moto does not know at all ---
# AWS: there are none until somebody makes one.
@replace(EC2Response)
def describe_placement_groups(self):
    return ActionResult({"PlacementGroups": []})


@replace(EC2Response)
def describe_capacity_reservations(self):
    return ActionResult({"CapacityReservations": []})


# --- images ---
# AWS: an image without variables of UEFI answers with none of them.
Ami.uefi = Ami.uefi if hasattr(Ami, "uefi") else None


# AWS: a registered image keeps what it was registered with, and what is launched from it has that.
@replace(EC2Response)
def register_image(self):
    image = self.ec2_backend.register_image(self._get_param("Name"), self._get_param("Description", ""))
    image.architecture = self._get_param("Architecture") or "i386"
    image.virtualization_type = self._get_param("VirtualizationType") or "paravirtual"
    image.root_device_name = self._get_param("RootDeviceName") or image.root_device_name
    image.boot_mode = self._get_param("BootMode")
    disks = self._get_param("BlockDeviceMappings", []) or []
    root = next((d for d in disks if d.get("DeviceName") == image.root_device_name), {})
    if root.get("Ebs", {}).get("SnapshotId"):
        self.ec2_backend.snapshots.pop(image.ebs_snapshot.id)
        image.ebs_snapshot = self.ec2_backend.get_snapshot(root["Ebs"]["SnapshotId"])
    return ActionResult({"ImageId": image.id})


# --- attached interfaces ---
# AWS: DescribeNetworkInterfaces filters by attachment.device-index too.
_interface_filter = NetworkInterface.get_filter_value


@replace(NetworkInterface, "get_filter_value")
def interface_filter(self, name, method_name=None):
    if name == "attachment.device-index":
        return str(self.device_index) if self.instance else None
    return _interface_filter(self, name, method_name)


# --- attached volumes ---
# AWS: DescribeVolumes tells whether a volume goes with its instance; a device that is taken and a volume that is attached
# are refused.
def goes_with_its_instance(attachment):
    device = attachment.instance.block_device_mapping.get(attachment.device)
    return bool(device and device.delete_on_termination)


VolumeAttachment.delete_on_termination = property(goes_with_its_instance)


def before_attach(backend, volume_id, instance_id, device_path, *args, **kwargs):
    if backend.get_volume(volume_id).attachment:
        raise error("VolumeInUse", f"{volume_id} is already attached to an instance")
    if device_path in backend.get_instance(instance_id).block_device_mapping:
        raise error("InvalidParameterValue", f"Invalid value '{device_path}' for unixDevice. Attachment point {device_path} is already in use")


wrap(EC2Backend, "attach_volume", before_attach)


# --- terminated instances ---
# AWS: the interfaces that go with an instance are deleted and their addresses are free again; others are detached; an Elastic
# IP is no longer associated. A volume that goes with it is deleted.
def before_terminate(backend, instance_ids, *args, **kwargs):
    own = [eni for eni in backend.enis.values() if eni.instance and eni.instance.id in instance_ids]
    for eni in own:
        if not (eni.delete_on_termination or eni.device_index == 0):
            eni.instance.detach_eni(eni)
    return [eni for eni in own if eni.instance]


def after_terminate(backend, result, enis, instance_ids, *args, **kwargs):
    for eni in enis:
        for address in backend.addresses:
            if address.eni is eni:
                address.eni = address.instance = address.association_id = None
        for ip in {row.get("PrivateIpAddress") for row in eni.private_ip_addresses} | {eni.private_ip_address}:
            with contextlib.suppress(Exception):
                eni.subnet.del_subnet_ip(ip)
        backend.enis.pop(eni.id, None)


wrap(EC2Backend, "terminate_instances", before_terminate, after_terminate)


def refusal(response, status, code, message):
    headers = {"server": "amazon.com", "x-amzn-requestid": "00000000-0000-0000-0000-000000000000"}
    if response.service_name in ("ec2", "sts", "iam"):
        body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
        if response.service_name == "ec2":
            body = f'<?xml version="1.0" encoding="UTF-8"?><Response><Errors>{body}</Errors><RequestID>kit</RequestID></Response>'
        else:
            body = f"<ErrorResponse>{body.replace('<Error>', '<Error><Type>Sender</Type>')}<RequestId>kit</RequestId></ErrorResponse>"
        headers["content-type"] = "text/xml"
    else:
        body = json.dumps({"__type": code, "message": message})
        headers["content-type"] = "application/x-amz-json-1.0"
    return status, headers, body


_call = BaseResponse.call_action


def dispatch(self, request, full_url=None, headers=None):
    try:
        with IN_LINE.get(self.service_name) or contextlib.nullcontext():
            self.setup_class(request, full_url, headers)
            action = self._get_action()
            dry_run = self.service_name == "ec2" and str(self.querystring.get("DryRun", [""])[0]).lower() == "true"
            CALLS.append((self.current_account, self.service_name, f"{action}?DryRun" if dry_run else action))
            if dry_run:
                return refusal(self, 412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
            return _call(self)
    except NotImplementedError as problem:
        filtered = "filter" in str(problem).lower()
        return refusal(self, 400, "InvalidParameterValue" if filtered else "InvalidAction", str(problem) or "not implemented")
    except Exception as problem:
        traceback.print_exc()
        if type(problem).__name__ == "OperationNotFoundError":
            return refusal(self, 400, "InvalidAction", f"The action is not valid for this web service: {problem}")
        return refusal(self, 500, "InternalError", f"{type(problem).__name__}: {problem}")


BaseResponse._dispatch = dispatch


def with_calls(application):
    def serve(environ, start):
        path = environ.get("PATH_INFO", "")
        if not path.startswith("/kit/calls/"):
            return application(environ, start)
        account = path.rsplit("/", 1)[1]
        body = "".join(f"{service} {action}\n" for who, service, action in list(CALLS) if who == account).encode()
        start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    return serve


def end_with_parent():
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    import moto.server
    from moto.moto_server.werkzeug_app import MotoRequestHandler

    threading.Thread(target=end_with_parent, daemon=True).start()
    MotoRequestHandler.disable_nagle_algorithm = True  # headers and body are two writes; without this each answer costs 40 ms
    MotoRequestHandler.log_request = lambda self, *args, **kwargs: None
    run = moto.server.run_simple
    moto.server.run_simple = lambda host, port, application, **options: run(host, port, with_calls(application), **options)
    moto.server.main(sys.argv[1:])
