"""Cloud Custodian reading the same kinds: a policy without filters and actions for each that it knows, into a folder."""
import os
import sys

from c7n.resources.resource_map import ResourceMap

KINDS = [
    "vpc", "subnet", "security-group", "route-table", "network-acl", "eni", "ebs", "ebs-snapshot", "ec2", "elastic-ip", "internet-gateway",
    "nat-gateway", "key-pair", "launch-template-version", "vpc-endpoint", "peering-connection", "prefix-list", "customer-gateway",
    "vpn-gateway", "vpn-connection", "transit-gateway", "transit-attachment", "ami",
]
folder = sys.argv[1]
policies = "\n".join(f"  - name: {kind}\n    resource: aws.{kind}" for kind in KINDS if f"aws.{kind}" in ResourceMap)
with open(os.path.join(folder, "policies.yml"), "w") as out:
    out.write(f"policies:\n{policies}\n")
custodian = os.path.join(os.path.dirname(sys.executable), "custodian")
os.execv(custodian, [custodian, "run", "--cache-period=0", "--output-dir", folder, os.path.join(folder, "policies.yml")])
