"""The reads of a sweep, as a plain script does them: page by page, one after another; what is asked resource by resource too.

Keeps all that it read as JSON in memory, and writes it to the file that is named."""
import json
import sys

import boto3

ec2 = boto3.client("ec2")
OWNED = {"describe_images": {"Owners": ["self"]}, "describe_snapshots": {"OwnerIds": ["self"]}}
LISTS = [
    "describe_vpcs", "describe_dhcp_options", "describe_subnets", "describe_internet_gateways", "describe_egress_only_internet_gateways",
    "describe_nat_gateways", "describe_route_tables", "describe_security_groups", "describe_security_group_rules", "describe_network_acls",
    "describe_network_interfaces", "describe_addresses", "describe_instances", "describe_volumes", "describe_snapshots", "describe_images",
    "describe_key_pairs", "describe_launch_templates", "describe_managed_prefix_lists", "describe_vpc_endpoints",
    "describe_vpc_peering_connections", "describe_flow_logs", "describe_customer_gateways", "describe_vpn_gateways",
    "describe_vpn_connections", "describe_transit_gateways", "describe_transit_gateway_vpc_attachments",
    "describe_transit_gateway_route_tables",
]
seen = {}
for name in LISTS:
    more = OWNED.get(name, {})
    if ec2.can_paginate(name):
        pages = ec2.get_paginator(name).paginate(**more, PaginationConfig={"PageSize": 500})
    else:
        pages = [getattr(ec2, name)(**more)]
    seen[name] = [page for page in pages]

rows = lambda name, key: [row for page in seen[name] for row in page[key]]
seen["vpc attributes"] = [
    ec2.describe_vpc_attribute(VpcId=vpc["VpcId"], Attribute=name)
    for vpc in rows("describe_vpcs", "Vpcs")
    for name in ("enableDnsSupport", "enableDnsHostnames", "enableNetworkAddressUsageMetrics")
]
instances = [one for row in rows("describe_instances", "Reservations") for one in row["Instances"]]
seen["instance attributes"] = [
    ec2.describe_instance_attribute(InstanceId=one["InstanceId"], Attribute=name)
    for one in instances
    for name in ("userData", "disableApiTermination", "instanceInitiatedShutdownBehavior")
]
seen["sharing"] = [
    ec2.describe_snapshot_attribute(SnapshotId=one["SnapshotId"], Attribute="createVolumePermission")
    for one in rows("describe_snapshots", "Snapshots")
]
seen["sharing of images"] = [
    ec2.describe_image_attribute(ImageId=one["ImageId"], Attribute="launchPermission") for one in rows("describe_images", "Images")
]
seen["entries"] = [
    ec2.get_managed_prefix_list_entries(PrefixListId=one["PrefixListId"])
    for one in rows("describe_managed_prefix_lists", "PrefixLists")
    if one["OwnerId"] != "AWS"
]
seen["versions"] = [
    ec2.describe_launch_template_versions(LaunchTemplateId=one["LaunchTemplateId"])
    for one in rows("describe_launch_templates", "LaunchTemplates")
]
with open(sys.argv[1], "w") as out:
    json.dump(seen, out, default=str)
