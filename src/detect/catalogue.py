#!/usr/bin/env python3
"""Writes catalogue.tsv: which AWS calls destroy or add, and where their records name the target.

    python3 src/detect/catalogue.py PATH/TO/destructive.json

destructive.json is made from AWS's public service models (botocore, Apache-2.0; names and structure only). catalogue.tsv is
compiled into rollbackd and is edited only through this script.

Lines: `@SOURCE` opens a service; below it `NAME[,ALIAS…] CLASS KIND PATH[,PATH…]`, separated by tabs. CLASS is delete, detach,
modify, stop, data, add, or none (a read or a call without a lasting effect, which the verb rule of actions.rs would take for
a write). `-` stands for nothing.

Where this departs from destructive.json:
- calls that only set tags are `add`: every tool tags what it makes, and that must not look like damage. Removing tags is not.
- paths that lead to values, not to things (tags, rule numbers, CIDRs, passwords), are left out.
- data-plane sends (SendMessage, Publish, Invoke) are `none`.
- a few calls of services that destructive.json lacks are added (EXTRA): agents of AWS report about themselves with verbs
  that would pass for changes, every few minutes.
"""
import json
import re
import sys
from pathlib import Path

NOT_A_TARGET = {
    "AllowReassociation", "AttributeName", "CpuCredits", "DefaultVisibility", "Egress", "Engine", "EngineVersion",
    "FeatureName", "IdempotencyToken", "InstanceFamily", "IpPermissions", "Label", "NewPassword", "OldPassword", "Priority",
    "ReceiptHandle", "ResourceIdType", "RuleNumber", "Statement", "State", "TagKeys", "Tags", "UseLongIds", "VersionId",
    "AllowedImagesSettingsState", "ImageBlockPublicAccessState", "InternetGatewayBlockMode", "GlobalEndpointTokenVersion",
    "Cidr", "DestinationCidrBlock", "DestinationIpv6CidrBlock", "DestinationPrefixListId", "Ipv6Addresses",
    "PrivateIpAddresses", "storageTier", "expectedRevisionId", "tagKeys", "tags", "Version", "Versions", "RevocationIds",
    "SecurityGroupIds", "KmsKeyId", "KmsKeyIdentifier", "roleArn", "executionRoleArn", "infrastructureRoleArn", "Priority",
    "PhoneNumber", "TaskHandle",
}
# Values too, but for calls that name nothing else.
LAST_RESORT = {"Cidr", "Engine", "KmsKeyId", "PhoneNumber"}
SENDS = re.compile(r"^(Send|Publish(Batch)?$|Invoke|Checkpoint|Record|Signal|Submit|Resend|Report|Confirm(?!Subscription)|Poll)")
READS = re.compile(r"^(Get|List|Describe|Head|BatchGet|Search|Scan|Query|Lookup)")
MAKES = re.compile(r"^(Create(Default)?|Run|Allocate|Copy|Import|Register|Request|Purchase)(?=[A-Z])")
# EC2 nouns that are not the kind's own name.
MADE = {
    "AllocateAddress": "ec2:elastic-ip",
    "AllocateHosts": "ec2:dedicated-host",
    "CreateEgressOnlyInternetGateway": "ec2:egress-only-igw",
    "CreateTransitGatewayConnect": "ec2:transit-gateway-attachment",
    "CreateTransitGatewayPeeringAttachment": "ec2:transit-gateway-attachment",
    "CreateTransitGatewayVpcAttachment": "ec2:transit-gateway-attachment",
    "RequestSpotInstances": "ec2:spot-instance-request",
}
EXTRA = {
    "ssm.amazonaws.com": {"none": ["PutComplianceItems", "PutInventory", "UpdateInstanceAssociationStatus",
                                   "UpdateInstanceInformation", "UpdateInstanceCustomInventory"]},
    "ssmmessages.amazonaws.com": {"none": ["CreateControlChannel", "CreateDataChannel"]},
    "ebs.amazonaws.com": {"none": ["PutSnapshotBlock", "StartSnapshot"]},
    "ecr.amazonaws.com": {"add": ["PutImage"]},
    "xray.amazonaws.com": {"none": ["PutTelemetryRecords", "PutTraceSegments"]},
    "kinesis.amazonaws.com": {"none": ["PutRecord", "PutRecords"]},
    "firehose.amazonaws.com": {"none": ["PutRecord", "PutRecordBatch"]},
    "securityhub.amazonaws.com": {"none": ["BatchUpdateFindings", "UpdateFindings"]},
    "config.amazonaws.com": {"none": ["PutEvaluations"]},
}
NAMESPACES = {"cloudwatch": "monitoring", "elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing",
              "efs": "elasticfilesystem", "s3control": "s3", "apigatewayv2": "apigateway"}


def plain(name):
    """The name without the API version that Lambda (and once CloudFront) append."""
    return re.sub(r"(\d{8}(v\d+)?|\d{4}_\d{2}_\d{2})$", "", name)


def main(path):
    data = json.loads(Path(path).read_text())
    lines = {}
    sources = {}
    kinds = {}
    for op in data["operations"]:
        kind = op["kind"]
        if kind == "ec2:security-group-rule":
            kind = "ec2:security-group"  # a rule is part of its group's configuration
        sources[op["service"]] = op["event_source"] if op["service"] != "s3control" else "s3.amazonaws.com"
        if op["service"] == "ec2" and kind != "*":
            local = kind.split(":")[1].split(".")[0]
            kinds["".join(w.capitalize() for w in local.split("-"))] = kind
        paths = []
        # Tags of Auto Scaling name their group in each tag.
        things = [t for t in op["targets"] if t["member"] not in NOT_A_TARGET or t["path"].endswith("].resourceId")]
        for target in things or [t for t in op["targets"] if t["member"] in LAST_RESORT]:
            where = re.sub(r"\.content$", "", target["path"]).replace("[]", "")
            if where not in paths:
                paths.append(where)
        cls = op["class"]
        if op.get("tags_only") and not re.match(r"(Delete|Untag|Remove)", op["operation"]):
            cls = "add"
        names = []
        for name in [op["event_name"], *op.get("event_name_aliases", [])]:
            if plain(name) not in names:
                names.append(plain(name))
        lines.setdefault(op["event_source"], set()).add(
            (",".join(names), cls, "-" if kind == "*" else kind, ",".join(paths) or "-"))
    kinds["Instance"] = "ec2:instance"
    for service, groups in data["not_destructive"].items():
        source = sources.get(service, NAMESPACES.get(service, service) + ".amazonaws.com")
        known = {n for names, *_ in lines[source] for n in names.split(",")}
        for name in groups.get("additive", []):
            kind = "-"
            if service == "ec2" and (verb := MAKES.match(name)):
                noun = name[verb.end():]
                fits = [k for k in kinds if noun.startswith(k)]
                kind = MADE.get(name) or (kinds[max(fits, key=len)] if fits else "-")
            if plain(name) not in known:
                lines[source].add((plain(name), "none" if SENDS.match(name) else "add", kind, "-"))
        for name in groups.get("read", []) + groups.get("override", []):
            if plain(name) not in known and not READS.match(name):
                lines[source].add((plain(name), "none", "-", "-"))
    for source, classes in EXTRA.items():
        for cls, names in classes.items():
            lines.setdefault(source, set()).update((name, cls, "-", "-") for name in names)
    with open(Path(__file__).with_name("catalogue.tsv"), "w") as out:
        for source in sorted(lines):
            print(f"@{source}", file=out)
            for line in sorted(lines[source]):
                print("\t".join(line), file=out)


if __name__ == "__main__":
    main(sys.argv[1])
