//! Every kind of EC2 against the emulator, by one table: made with every option that it keeps, read, deleted, made again by the
//! kind, read back equal through the remap; changed and put back; each step twice, and still there once. Beside the table, what is
//! special about single kinds.
use aws_sdk_ec2::{Client, types as sdk};
use kit::{Emulator, Script, until};
use rollbackd::{
    aws::Cx,
    kinds::{AnyKind, Settled, Step, Which, registry},
    model::{
        KindName,
        reference::{Remap, as_reference},
    },
};
use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};

/// One kind: how to make one, change it and delete it, in lines of [`kit::query`]. `$id` is the one that it is about.
struct Row {
    kind: &'static str,
    /// With every option that the emulator keeps; sets `id`.
    make: &'static str,
    /// What somebody could do to it without deleting it, beside its tags.
    change: &'static str,
    /// Empty for what no call can make again.
    delete: &'static str,
}

/// Kinds that the emulator lacks, with a call that it does not know. Their own tests show them against canned answers.
const LACKS: [(&str, &str); 3] = [
    (
        "ec2:capacity-reservation",
        "CreateCapacityReservation InstanceType=t3.micro InstancePlatform=Linux/UNIX InstanceCount=1",
    ),
    ("ec2:instance-connect-endpoint", "CreateInstanceConnectEndpoint SubnetId=$a"),
    ("ec2:placement-group", "CreatePlacementGroup GroupName=one Strategy=spread"),
];

/// What the rows stand on.
const GROUND: &str = "
    vpc=vpcId CreateVpc CidrBlock=10.0.0.0/16 @vpc
    ModifyVpcAttribute VpcId=$vpc EnableDnsHostnames.Value=true
    peer=vpcId CreateVpc CidrBlock=10.1.0.0/16
    bare=vpcId CreateVpc CidrBlock=10.2.0.0/16
    a=subnetId CreateSubnet VpcId=$vpc CidrBlock=10.0.1.0/24 AvailabilityZone=eu-west-1a
    b=subnetId CreateSubnet VpcId=$vpc CidrBlock=10.0.2.0/24 AvailabilityZone=eu-west-1b
    c=subnetId CreateSubnet VpcId=$peer CidrBlock=10.1.1.0/24 AvailabilityZone=eu-west-1a
    igw=internetGatewayId CreateInternetGateway
    AttachInternetGateway VpcId=$vpc InternetGatewayId=$igw
    group=groupId CreateSecurityGroup VpcId=$vpc GroupName=ground GroupDescription=ground
    table=routeTableId CreateRouteTable VpcId=$vpc
    eni=networkInterfaceId CreateNetworkInterface SubnetId=$a PrivateIpAddress=10.0.1.9
    eip=allocationId AllocateAddress Domain=vpc
    image=imageId RegisterImage Name=ground Architecture=x86_64 VirtualizationType=hvm RootDeviceName=/dev/sda1
    ImportKeyPair KeyName=ground PublicKeyMaterial=c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUdQS1NVVjJxSE1xWUpSWjNxcVFHQzB2QllPek5yZnZSL2NHek5Ta1lxWXMgb3BzQGV4YW1wbGUuY29t
    cgw=customerGatewayId CreateCustomerGateway Type=ipsec.1 IpAddress=203.0.113.9 BgpAsn=65009
    vgw=vpnGatewayId CreateVpnGateway Type=ipsec.1
    tgw=transitGatewayId CreateTransitGateway Options.DefaultRouteTableAssociation=disable Options.DefaultRouteTablePropagation=disable
    att=transitGatewayAttachmentId CreateTransitGatewayVpcAttachment TransitGatewayId=$tgw VpcId=$vpc SubnetIds.1=$a
";

/// Any resource's tags changed: one with another value, one gone, one more.
const RETAG: &str = "
    CreateTags ResourceId.1=$id Tag.1.Key=Name Tag.1.Value=two Tag.2.Key=more Tag.2.Value=x
    DeleteTags ResourceId.1=$id Tag.1.Key=env
";

const ROWS: &[Row] = &[
    Row {
        kind: "ec2:customer-gateway",
        make: "id=customerGatewayId CreateCustomerGateway Type=ipsec.1 IpAddress=203.0.113.7 BgpAsn=65010 @customer-gateway",
        change: "",
        delete: "DeleteCustomerGateway CustomerGatewayId=$id",
    },
    Row {
        kind: "ec2:dhcp-options",
        make: "id=dhcpOptionsId CreateDhcpOptions @dhcp-options
            DhcpConfiguration.1.Key=domain-name DhcpConfiguration.1.Value.1=one.example.internal
            DhcpConfiguration.2.Key=domain-name-servers DhcpConfiguration.2.Value.1=10.0.0.2 DhcpConfiguration.2.Value.2=10.0.0.53
            DhcpConfiguration.3.Key=ntp-servers DhcpConfiguration.3.Value.1=169.254.169.123
            DhcpConfiguration.4.Key=netbios-name-servers DhcpConfiguration.4.Value.1=10.0.0.4
            DhcpConfiguration.5.Key=netbios-node-type DhcpConfiguration.5.Value.1=2
            DhcpConfiguration.6.Key=ipv6-address-preferred-lease-time DhcpConfiguration.6.Value.1=200",
        change: "",
        delete: "DeleteDhcpOptions DhcpOptionsId=$id",
    },
    Row {
        kind: "ec2:egress-only-igw",
        make: "id=egressOnlyInternetGatewayId CreateEgressOnlyInternetGateway VpcId=$vpc @egress-only-internet-gateway",
        change: "",
        delete: "DeleteEgressOnlyInternetGateway EgressOnlyInternetGatewayId=$id",
    },
    Row {
        kind: "ec2:elastic-ip",
        make: "
            id=allocationId AllocateAddress Domain=vpc @elastic-ip
            AssociateAddress AllocationId=$id NetworkInterfaceId=$eni",
        change: "
            association=associationId DescribeAddresses AllocationId.1=$id
            DisassociateAddress AssociationId=$association",
        delete: "
            association=associationId DescribeAddresses AllocationId.1=$id
            DisassociateAddress AssociationId=$association
            ReleaseAddress AllocationId=$id",
    },
    Row {
        kind: "ec2:flow-log",
        make: "id=item CreateFlowLogs ResourceId.1=$vpc ResourceType=VPC TrafficType=REJECT LogGroupName=one
            MaxAggregationInterval=60 DeliverLogsPermissionArn=arn:aws:iam::123456789012:role/flow
            LogFormat=${version}-${srcaddr} @vpc-flow-log",
        change: "",
        delete: "DeleteFlowLogs FlowLogId.1=$id",
    },
    Row {
        kind: "ec2:image",
        make: "id=imageId RegisterImage Name=one Description=one Architecture=x86_64 VirtualizationType=hvm",
        change: "ModifyImageAttribute ImageId=$id LaunchPermission.Add.1.UserId=222233334444",
        delete: "",
    },
    Row {
        kind: "ec2:instance",
        make: "
            id=instanceId RunInstances MinCount=1 MaxCount=1 ImageId=$image InstanceType=t3.micro KeyName=ground
                UserData=IyEvYmluL3No EbsOptimized=true Monitoring.Enabled=true MetadataOptions.HttpTokens=required
                MetadataOptions.HttpPutResponseHopLimit=2 InstanceInitiatedShutdownBehavior=terminate
                BlockDeviceMapping.1.DeviceName=/dev/sda1 BlockDeviceMapping.1.Ebs.VolumeSize=9
                BlockDeviceMapping.1.Ebs.VolumeType=gp3 BlockDeviceMapping.1.Ebs.DeleteOnTermination=true
                NetworkInterface.1.DeviceIndex=0 NetworkInterface.1.SubnetId=$a NetworkInterface.1.SecurityGroupId.1=$group
                NetworkInterface.1.PrivateIpAddress=10.0.1.50 NetworkInterface.1.DeleteOnTermination=true @instance
            ModifyInstanceAttribute InstanceId=$id SourceDestCheck.Value=false",
        change: "
            ModifyInstanceAttribute InstanceId=$id SourceDestCheck.Value=true
            ModifyInstanceMetadataOptions InstanceId=$id HttpTokens=optional HttpPutResponseHopLimit=1",
        delete: "TerminateInstances InstanceId.1=$id",
    },
    Row {
        kind: "ec2:internet-gateway",
        make: "
            id=internetGatewayId CreateInternetGateway @internet-gateway
            AttachInternetGateway InternetGatewayId=$id VpcId=$peer",
        change: "DetachInternetGateway InternetGatewayId=$id VpcId=$peer",
        delete: "
            DetachInternetGateway InternetGatewayId=$id VpcId=$peer
            DeleteInternetGateway InternetGatewayId=$id",
    },
    Row {
        kind: "ec2:key-pair",
        make: "id=keyPairId ImportKeyPair KeyName=one @key-pair PublicKeyMaterial=c3NoLWVkMjU1MTkgQUFBQUMzTnphQzFsWkRJMU5URTVBQUFBSUdQS1NVVjJxSE1xWUpSWjNxcVFHQzB2QllPek5yZnZSL2NHek5Ta1lxWXMgb3BzQGV4YW1wbGUuY29t",
        change: "",
        delete: "DeleteKeyPair KeyName=one",
    },
    Row {
        kind: "ec2:launch-template",
        make: "
            id=launchTemplateId CreateLaunchTemplate LaunchTemplateName=one VersionDescription=first @launch-template
                LaunchTemplateData.InstanceType=t3.micro LaunchTemplateData.UserData=IyEvYmluL3No
                LaunchTemplateData.SecurityGroupId.1=$group LaunchTemplateData.KeyName=ground
            CreateLaunchTemplateVersion LaunchTemplateId=$id VersionDescription=second
                LaunchTemplateData.InstanceType=t3.small LaunchTemplateData.EbsOptimized=true
            CreateLaunchTemplateVersion LaunchTemplateId=$id VersionDescription=third LaunchTemplateData.InstanceType=t3.large
            ModifyLaunchTemplate LaunchTemplateId=$id SetDefaultVersion=2",
        change: "ModifyLaunchTemplate LaunchTemplateId=$id SetDefaultVersion=1",
        delete: "DeleteLaunchTemplate LaunchTemplateId=$id",
    },
    Row {
        kind: "ec2:managed-prefix-list",
        make: "id=prefixListId CreateManagedPrefixList PrefixListName=one MaxEntries=5 AddressFamily=IPv4 @prefix-list
            Entry.1.Cidr=192.0.2.0/24 Entry.1.Description=hq Entry.2.Cidr=198.51.100.0/24 Entry.2.Description=branch",
        change: "ModifyManagedPrefixList PrefixListId=$id CurrentVersion=1 RemoveEntry.1.Cidr=192.0.2.0/24
            AddEntry.1.Cidr=203.0.113.0/24",
        delete: "DeleteManagedPrefixList PrefixListId=$id",
    },
    Row {
        kind: "ec2:nat-gateway",
        make: "id=natGatewayId CreateNatGateway SubnetId=$a AllocationId=$eip ConnectivityType=public @natgateway",
        change: "",
        delete: "DeleteNatGateway NatGatewayId=$id",
    },
    Row {
        kind: "ec2:network-acl",
        make: "
            id=networkAclId CreateNetworkAcl VpcId=$vpc @network-acl
            CreateNetworkAclEntry NetworkAclId=$id RuleNumber=100 Egress=false Protocol=6 RuleAction=allow
                CidrBlock=0.0.0.0/0 PortRange.From=443 PortRange.To=443
            CreateNetworkAclEntry NetworkAclId=$id RuleNumber=110 Egress=false Protocol=1 RuleAction=allow
                CidrBlock=0.0.0.0/0 Icmp.Type=3 Icmp.Code=4
            CreateNetworkAclEntry NetworkAclId=$id RuleNumber=90 Egress=false Protocol=-1 RuleAction=deny Ipv6CidrBlock=::/0
            CreateNetworkAclEntry NetworkAclId=$id RuleNumber=100 Egress=true Protocol=-1 RuleAction=allow CidrBlock=0.0.0.0/0",
        change: "
            DeleteNetworkAclEntry NetworkAclId=$id RuleNumber=90 Egress=false
            ReplaceNetworkAclEntry NetworkAclId=$id RuleNumber=100 Egress=false Protocol=6 RuleAction=deny
                CidrBlock=0.0.0.0/0 PortRange.From=443 PortRange.To=443
            CreateNetworkAclEntry NetworkAclId=$id RuleNumber=300 Egress=true Protocol=-1 RuleAction=deny CidrBlock=192.0.2.0/24",
        delete: "DeleteNetworkAcl NetworkAclId=$id",
    },
    Row {
        kind: "ec2:network-interface",
        make: "
            id=networkInterfaceId CreateNetworkInterface SubnetId=$a Description=one SecurityGroupId.1=$group @network-interface
                PrivateIpAddresses.1.PrivateIpAddress=10.0.1.60 PrivateIpAddresses.1.Primary=true
                PrivateIpAddresses.2.PrivateIpAddress=10.0.1.61 PrivateIpAddresses.2.Primary=false
            ModifyNetworkInterfaceAttribute NetworkInterfaceId=$id SourceDestCheck.Value=false",
        change: "
            ModifyNetworkInterfaceAttribute NetworkInterfaceId=$id SourceDestCheck.Value=true
            ModifyNetworkInterfaceAttribute NetworkInterfaceId=$id Description.Value=two
            UnassignPrivateIpAddresses NetworkInterfaceId=$id PrivateIpAddress.1=10.0.1.61",
        delete: "DeleteNetworkInterface NetworkInterfaceId=$id",
    },
    Row {
        kind: "ec2:route-table",
        make: "
            id=routeTableId CreateRouteTable VpcId=$vpc @route-table
            CreateRoute RouteTableId=$id DestinationCidrBlock=0.0.0.0/0 GatewayId=$igw
            CreateRoute RouteTableId=$id DestinationCidrBlock=10.50.0.0/16 NetworkInterfaceId=$eni
            CreateRoute RouteTableId=$id DestinationCidrBlock=10.99.0.0/16 TransitGatewayId=$tgw
            AssociateRouteTable RouteTableId=$id SubnetId=$b",
        change: "
            DeleteRoute RouteTableId=$id DestinationCidrBlock=10.50.0.0/16
            ReplaceRoute RouteTableId=$id DestinationCidrBlock=10.99.0.0/16 NetworkInterfaceId=$eni
            association=routeTableAssociationId DescribeRouteTables RouteTableId.1=$id
            DisassociateRouteTable AssociationId=$association",
        delete: "
            association=routeTableAssociationId DescribeRouteTables RouteTableId.1=$id
            DisassociateRouteTable AssociationId=$association
            DeleteRouteTable RouteTableId=$id",
    },
    Row {
        kind: "ec2:security-group",
        make: "
            id=groupId CreateSecurityGroup VpcId=$vpc GroupName=one GroupDescription=one @security-group
            AuthorizeSecurityGroupIngress GroupId=$id IpPermissions.1.IpProtocol=tcp IpPermissions.1.FromPort=443
                IpPermissions.1.ToPort=443 IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0
                IpPermissions.1.IpRanges.1.Description=https IpPermissions.1.Ipv6Ranges.1.CidrIpv6=::/0
            AuthorizeSecurityGroupIngress GroupId=$id IpPermissions.1.IpProtocol=udp IpPermissions.1.FromPort=7946
                IpPermissions.1.ToPort=7946 IpPermissions.1.Groups.1.GroupId=$id
            AuthorizeSecurityGroupIngress GroupId=$id IpPermissions.1.IpProtocol=icmp IpPermissions.1.FromPort=3
                IpPermissions.1.ToPort=4 IpPermissions.1.Groups.1.GroupId=$group IpPermissions.1.Groups.1.Description=mtu
            RevokeSecurityGroupEgress GroupId=$id IpPermissions.1.IpProtocol=-1 IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0",
        change: "
            RevokeSecurityGroupIngress GroupId=$id IpPermissions.1.IpProtocol=tcp IpPermissions.1.FromPort=443
                IpPermissions.1.ToPort=443 IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0
            AuthorizeSecurityGroupEgress GroupId=$id IpPermissions.1.IpProtocol=-1 IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0",
        delete: "DeleteSecurityGroup GroupId=$id",
    },
    Row {
        kind: "ec2:snapshot",
        make: "
            volume=volumeId CreateVolume AvailabilityZone=eu-west-1a Size=8
            id=snapshotId CreateSnapshot VolumeId=$volume Description=one @snapshot",
        change: "ModifySnapshotAttribute SnapshotId=$id Attribute=createVolumePermission OperationType=add UserGroup.1=all
            CreateVolumePermission.Add.1.Group=all",
        delete: "",
    },
    Row {
        kind: "ec2:subnet",
        make: "
            id=subnetId CreateSubnet VpcId=$vpc CidrBlock=10.0.7.0/24 AvailabilityZone=eu-west-1b @subnet
            ModifySubnetAttribute SubnetId=$id MapPublicIpOnLaunch.Value=true",
        change: "ModifySubnetAttribute SubnetId=$id MapPublicIpOnLaunch.Value=false",
        delete: "DeleteSubnet SubnetId=$id",
    },
    Row {
        kind: "ec2:transit-gateway",
        make: "id=transitGatewayId CreateTransitGateway Description=one Options.AmazonSideAsn=64600
            Options.DefaultRouteTableAssociation=disable Options.DefaultRouteTablePropagation=disable
            Options.VpnEcmpSupport=disable Options.DnsSupport=enable Options.AutoAcceptSharedAttachments=enable @transit-gateway",
        change: "ModifyTransitGateway TransitGatewayId=$id Description=two Options.DnsSupport=disable",
        delete: "DeleteTransitGateway TransitGatewayId=$id",
    },
    Row {
        kind: "ec2:transit-gateway-attachment",
        make: "id=transitGatewayAttachmentId CreateTransitGatewayVpcAttachment TransitGatewayId=$tgw VpcId=$peer
            SubnetIds.1=$c Options.DnsSupport=enable Options.Ipv6Support=disable Options.ApplianceModeSupport=disable",
        change: "ModifyTransitGatewayVpcAttachment TransitGatewayAttachmentId=$id Options.ApplianceModeSupport=enable",
        delete: "DeleteTransitGatewayVpcAttachment TransitGatewayAttachmentId=$id",
    },
    Row {
        kind: "ec2:transit-gateway-route-table",
        make: "
            id=transitGatewayRouteTableId CreateTransitGatewayRouteTable TransitGatewayId=$tgw
            AssociateTransitGatewayRouteTable TransitGatewayRouteTableId=$id TransitGatewayAttachmentId=$att
            EnableTransitGatewayRouteTablePropagation TransitGatewayRouteTableId=$id TransitGatewayAttachmentId=$att
            CreateTransitGatewayRoute TransitGatewayRouteTableId=$id DestinationCidrBlock=10.77.0.0/16
                TransitGatewayAttachmentId=$att
            CreateTransitGatewayRoute TransitGatewayRouteTableId=$id DestinationCidrBlock=10.78.0.0/16 Blackhole=true",
        change: "
            DeleteTransitGatewayRoute TransitGatewayRouteTableId=$id DestinationCidrBlock=10.77.0.0/16
            DisableTransitGatewayRouteTablePropagation TransitGatewayRouteTableId=$id TransitGatewayAttachmentId=$att",
        delete: "
            DisassociateTransitGatewayRouteTable TransitGatewayRouteTableId=$id TransitGatewayAttachmentId=$att
            DeleteTransitGatewayRouteTable TransitGatewayRouteTableId=$id",
    },
    Row {
        kind: "ec2:volume",
        make: "
            id=volumeId CreateVolume AvailabilityZone=eu-west-1a Size=12 VolumeType=gp3 Iops=4000 Throughput=250 @volume
            CreateSnapshot VolumeId=$id",
        change: "ModifyVolume VolumeId=$id Iops=3000",
        delete: "DeleteVolume VolumeId=$id",
    },
    Row {
        kind: "ec2:vpc",
        make: "
            id=vpcId CreateVpc CidrBlock=10.9.0.0/16 InstanceTenancy=default @vpc
            ModifyVpcAttribute VpcId=$id EnableDnsHostnames.Value=true
            ModifyVpcAttribute VpcId=$id EnableNetworkAddressUsageMetrics.Value=true
            AssociateVpcCidrBlock VpcId=$id CidrBlock=10.10.0.0/16",
        change: "
            ModifyVpcAttribute VpcId=$id EnableDnsHostnames.Value=false
            ModifyVpcAttribute VpcId=$id EnableDnsSupport.Value=false",
        delete: "DeleteVpc VpcId=$id",
    },
    Row {
        kind: "ec2:vpc-endpoint",
        make: "id=vpcEndpointId CreateVpcEndpoint VpcId=$vpc ServiceName=com.amazonaws.eu-west-1.ssm VpcEndpointType=Interface
            SubnetId.1=$a SubnetId.2=$b SecurityGroupId.1=$group PrivateDnsEnabled=true @vpc-endpoint
            PolicyDocument={\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"ssm:Get*\",\"Resource\":\"*\"}]}",
        change: "ModifyVpcEndpoint VpcEndpointId=$id RemoveSubnetId.1=$b PolicyDocument={\"Statement\":[]}",
        delete: "DeleteVpcEndpoints VpcEndpointId.1=$id",
    },
    Row {
        kind: "ec2:vpc-peering-connection",
        make: "
            id=vpcPeeringConnectionId CreateVpcPeeringConnection VpcId=$vpc PeerVpcId=$peer @vpc-peering-connection
            AcceptVpcPeeringConnection VpcPeeringConnectionId=$id
            ModifyVpcPeeringConnectionOptions VpcPeeringConnectionId=$id
                RequesterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc=true",
        change: "ModifyVpcPeeringConnectionOptions VpcPeeringConnectionId=$id
            RequesterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc=false",
        delete: "DeleteVpcPeeringConnection VpcPeeringConnectionId=$id",
    },
    Row {
        kind: "ec2:vpn-connection",
        make: "id=vpnConnectionId CreateVpnConnection Type=ipsec.1 CustomerGatewayId=$cgw VpnGatewayId=$vgw
            Options.StaticRoutesOnly=true @vpn-connection",
        change: "",
        delete: "DeleteVpnConnection VpnConnectionId=$id",
    },
    Row {
        kind: "ec2:vpn-gateway",
        make: "
            id=vpnGatewayId CreateVpnGateway Type=ipsec.1 AmazonSideAsn=64555 @vpn-gateway
            AttachVpnGateway VpnGatewayId=$id VpcId=$bare",
        change: "DetachVpnGateway VpnGatewayId=$id VpcId=$bare",
        delete: "
            DetachVpnGateway VpnGatewayId=$id VpcId=$bare
            DeleteVpnGateway VpnGatewayId=$id",
    },
];

/// What no state change of the emulator takes.
const READY: Duration = Duration::from_secs(30);

struct World {
    cx: Cx,
    script: Script,
    remap: Remap,
    steps: u32,
}

fn kind(name: &str) -> &'static dyn AnyKind {
    registry::kind(&name.parse().unwrap()).unwrap()
}

impl World {
    async fn new() -> World {
        let emulator = Emulator::shared().await;
        let account = emulator.new_account();
        let credentials = emulator.credentials(&account).await;
        let config = emulator.sdk_config(&credentials, "eu-west-1", &emulator.endpoint());
        let ec2 = Client::new(&config);
        let scope = format!("aws/{account}/eu-west-1").parse().unwrap();
        let quotas = aws_sdk_servicequotas::Client::new(&config);
        let script = Script::new(&credentials, "eu-west-1", &emulator.endpoint());
        World { cx: Cx { scope, ec2: ec2.clone(), ec2_once: ec2, quotas }, script, remap: Remap::default(), steps: 0 }
    }
    async fn read(&self, name: &str, id: &str) -> Option<Value> {
        kind(name).read(&self.cx, id).await.unwrap().map(|c| c.spec)
    }
    /// Makes it again from a spec: twice asked, once made.
    async fn restore(&mut self, name: &str, old: &str, spec: &Value) -> String {
        let want = self.remap.apply(spec);
        self.steps += 1;
        let step = Step { restore: "r-1".into(), number: self.steps };
        let kind = kind(name);
        let id = match kind.facts().is_implicit {
            is_implicit if is_implicit(&want) => kind.implicit(&self.cx, &want).await.unwrap().unwrap(),
            _ => {
                let id = kind.create(&self.cx, &want, &step).await.unwrap();
                // H64: a retry finds what the first attempt made. What keeps its id needs no tag.
                if id != old {
                    assert_eq!(kind.made_by(&self.cx, &step).await.unwrap(), Some(id.clone()), "{name}");
                }
                id
            }
        };
        until("what was made is ready", READY, || async {
            match kind.settled(&self.cx, &id).await.unwrap() {
                Settled::Ready => true,
                Settled::Waiting(_) => false,
                Settled::Failed(why) => panic!("{name} {id}: {why}"),
            }
        })
        .await;
        let name: KindName = name.parse().unwrap();
        self.remap.insert(&name, old, &id);
        id
    }
    async fn ids(&self, name: &str) -> BTreeSet<String> {
        kind(name).look(&self.cx, Which::All).await.unwrap().into_iter().map(|c| c.id).collect()
    }
    /// One row of the table.
    async fn round_trip(&mut self, row: &Row) {
        let name = row.kind;
        self.script.run(row.make).await;
        let mut id = self.script.vars["id"].clone();
        let spec = self.read(name, &id).await.unwrap_or_else(|| panic!("{name} {id} is there"));
        let before = self.ids(name).await;
        if !row.delete.is_empty() {
            self.script.run(row.delete).await;
            assert_eq!(self.read(name, &id).await, None, "{name} {id} is gone");
            let new = self.restore(name, &id, &spec).await;
            let live = self.read(name, &new).await.unwrap();
            // What AWS makes along with it has new ids too, which their own kinds find.
            let mut along = vec![];
            made_along(&spec, &live, &mut along);
            for (kind, old, new) in along {
                self.remap.insert(&kind.parse().unwrap(), &old, &new);
            }
            self.link(name, &new, &spec).await;
            self.script.vars.insert("id".into(), new.clone());
            let once: BTreeSet<String> =
                before.iter().map(|b| if *b == id { new.clone() } else { b.clone() }).collect();
            assert_eq!(self.ids(name).await, once, "{name} is there once");
            id = new;
        }
        self.script.run(row.change).await;
        self.script.run(RETAG).await;
        let changed = differing(kind(name), &self.read(name, &id).await.unwrap(), &self.remap.apply(&spec));
        assert!(changed.contains(&"tags".to_owned()), "{name} {id}: {changed:?}");
        assert!(row.change.is_empty() || changed.len() > 1, "{name} {id} was changed: {changed:?}");
        self.link(name, &id, &spec).await;
        assert_eq!(self.ids(name).await.len(), before.len(), "{name} is there once");
    }
    /// Brings it to the spec, and shows that it is there.
    async fn link(&self, name: &str, id: &str, spec: &Value) {
        let want = self.remap.apply(spec);
        let now = self.read(name, id).await.unwrap();
        kind(name).converge(&self.cx, id, &now, &want).await.unwrap();
        let now = self.read(name, id).await.unwrap();
        let differs = differing(kind(name), &now, &want);
        assert!(differs.is_empty(), "{name} {id} differs in {differs:?}\nnow  {now:#}\nwant {want:#}");
        kind(name).converge(&self.cx, id, &now, &want).await.unwrap();
    }
}

/// Disks and interfaces that a spec names, and what the same places name now.
fn made_along(then: &Value, now: &Value, out: &mut Vec<(String, String, String)>) {
    match (as_reference(then), as_reference(now)) {
        (Some((_, kind, old)), Some((_, _, new))) => {
            if ["ec2:volume", "ec2:network-interface"].contains(&kind) && old != new {
                out.push((kind.to_owned(), old.to_owned(), new.to_owned()));
            }
        }
        _ => match (then, now) {
            (Value::Object(a), Value::Object(b)) => {
                a.iter().filter_map(|(k, v)| Some((v, b.get(k)?))).for_each(|(a, b)| made_along(a, b, out));
            }
            (Value::Array(a), Value::Array(b)) => a.iter().zip(b).for_each(|(a, b)| made_along(a, b, out)),
            _ => {}
        },
    }
}

/// Members that differ and are not said to be reported only.
fn differing(kind: &dyn AnyKind, now: &Value, want: &Value) -> Vec<String> {
    let facts = kind.facts();
    let names = now.as_object().unwrap().keys().chain(want.as_object().unwrap().keys());
    let mut out: Vec<String> =
        names.filter(|k| now.get(*k) != want.get(*k) && !facts.reported.iter().any(|(m, _)| m == k)).cloned().collect();
    out.dedup();
    out
}

fn tags(kind: sdk::ResourceType, name: &str) -> sdk::TagSpecification {
    let tag = sdk::Tag::builder().key("Name").value(name).build();
    sdk::TagSpecification::builder().resource_type(kind).tags(tag).build()
}

const PUBLIC_KEY: &[u8] =
    b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUV2qHMqYJRZ3qqQGC0vBYOzNrfvR/cGzNSkYqYs ops@example.com";

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_made_again_and_put_back_by_one_table() {
    // Each in an account of its own, so that all that fail are named.
    let rows = ROWS.iter().map(|row| {
        let done = tokio::spawn(async move {
            let mut w = World::new().await;
            w.script.run(GROUND).await;
            w.round_trip(row).await;
        });
        (row, done)
    });
    let rows: Vec<_> = rows.collect();
    let mut failed = vec![];
    for (row, done) in rows {
        failed.extend(done.await.is_err().then_some(row.kind));
        if row.delete.is_empty() {
            println!("{}: changed and put back only, since no call makes its content again", row.kind);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    let mut w = World::new().await;
    w.script.run(GROUND).await;
    for (kind, call) in LACKS {
        let refused = w.script.refusal(call).await.unwrap_or_default();
        assert!(refused.starts_with("InvalidAction"), "the emulator knows {kind} by now: {refused}");
        println!("{kind}: not here, since the emulator lacks it: {refused}");
    }
    let covered: BTreeSet<&str> = ROWS.iter().map(|r| r.kind).chain(LACKS.map(|(kind, _)| kind)).collect();
    let ours: BTreeSet<&str> = registry::KINDS.iter().map(|k| k.name()).filter(|k| k.starts_with("ec2:")).collect();
    assert_eq!(covered, ours);
}

async fn volume_of(w: &World, kind: sdk::VolumeType) -> String {
    let ec2 = &w.cx.ec2;
    let call = ec2.create_volume().availability_zone("eu-west-1a").size(12).volume_type(kind);
    let made = call.tag_specifications(tags(sdk::ResourceType::Volume, "data")).send().await.unwrap();
    made.volume_id.unwrap()
}

#[tokio::test]
async fn h24_a_volume_comes_back_from_its_newest_snapshot_or_not_at_all() {
    let mut w = World::new().await;
    let ec2 = w.cx.ec2.clone();
    let id = volume_of(&w, sdk::VolumeType::Gp3).await;
    let spec = w.read("ec2:volume", &id).await.unwrap();
    let lost = volume_of(&w, sdk::VolumeType::Gp2).await;
    let lost_spec = w.read("ec2:volume", &lost).await.unwrap();
    ec2.create_snapshot().volume_id(&id).send().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await; // start times are whole seconds here
    let newest = ec2.create_snapshot().volume_id(&id).description("newest").send().await.unwrap().snapshot_id.unwrap();
    for id in [&id, &lost] {
        ec2.delete_volume().volume_id(id).send().await.unwrap();
    }
    let new = w.restore("ec2:volume", &id, &spec).await;
    w.link("ec2:volume", &new, &spec).await;
    assert_eq!(w.read("ec2:volume", &new).await.unwrap()["snapshot_id"], newest.as_str());
    let step = Step { restore: "r-1".into(), number: 99 };
    let f = kind("ec2:volume").create(&w.cx, &lost_spec, &step).await.unwrap_err();
    assert!(f.message.contains("an empty volume is not made silently"), "{f}");
}

#[tokio::test]
async fn a_snapshots_sharing_is_taken_back() {
    let w = World::new().await;
    let ec2 = &w.cx.ec2;
    let volume = volume_of(&w, sdk::VolumeType::Gp3).await;
    let id = ec2.create_snapshot().volume_id(&volume).description("d").send().await.unwrap().snapshot_id.unwrap();
    let all = kind("ec2:snapshot").look(&w.cx, Which::All).await.unwrap();
    assert_eq!(all.iter().map(|c| &c.id).collect::<Vec<_>>(), [&id]); // none of the public ones
    let spec = w.read("ec2:snapshot", &id).await.unwrap();
    let all = sdk::CreateVolumePermission::builder().group(sdk::PermissionGroup::All).build();
    let change = sdk::CreateVolumePermissionModifications::builder().add(all).build();
    let call = ec2.modify_snapshot_attribute().snapshot_id(&id).create_volume_permission(change);
    call.attribute(sdk::SnapshotAttributeName::CreateVolumePermission)
        .operation_type(sdk::OperationType::Add)
        .group_names("all")
        .send()
        .await
        .unwrap();
    let shared = w.read("ec2:snapshot", &id).await.unwrap();
    assert_eq!(shared["create_volume_permissions"][0]["group"], "all");
    w.link("ec2:snapshot", &id, &spec).await;
}

#[tokio::test]
async fn h15_h21_an_instance_comes_back_with_its_address_its_options_and_its_disks() {
    let mut w = World::new().await;
    let ec2 = w.cx.ec2.clone();
    let vpc = ec2.create_vpc().cidr_block("10.7.0.0/16").send().await.unwrap().vpc.unwrap().vpc_id.unwrap();
    let subnet = ec2.create_subnet().vpc_id(&vpc).cidr_block("10.7.1.0/24").availability_zone("eu-west-1a");
    let subnet = subnet.send().await.unwrap().subnet.unwrap().subnet_id.unwrap();
    let group = ec2.create_security_group().vpc_id(&vpc).group_name("web").description("web");
    let group = group.send().await.unwrap().group_id.unwrap();
    let key = ec2.import_key_pair().key_name("ops").public_key_material(aws_sdk_ec2::primitives::Blob::new(PUBLIC_KEY));
    let key = key.send().await.unwrap().key_pair_id.unwrap();
    let ebs = |size: i32| {
        let ebs = sdk::EbsBlockDevice::builder().volume_size(size).volume_type(sdk::VolumeType::Gp3);
        ebs.delete_on_termination(true).build()
    };
    let device = |name: &str, size| sdk::BlockDeviceMapping::builder().device_name(name).ebs(ebs(size)).build();
    let interface = sdk::InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(&subnet)
        .private_ip_address("10.7.1.50")
        .groups(&group)
        .delete_on_termination(true)
        .build();
    let made = ec2
        .run_instances()
        .min_count(1)
        .max_count(1)
        .image_id("ami-12c6146b")
        .instance_type(sdk::InstanceType::T3Micro)
        .key_name("ops")
        .user_data("IyEvYmluL3No")
        .block_device_mappings(device("/dev/sda1", 9))
        .block_device_mappings(device("/dev/sdf", 20))
        .network_interfaces(interface)
        .disable_api_termination(false)
        .metadata_options(
            sdk::InstanceMetadataOptionsRequest::builder()
                .http_tokens(sdk::HttpTokensState::Required)
                .http_put_response_hop_limit(2)
                .build(),
        )
        .tag_specifications(tags(sdk::ResourceType::Instance, "web"))
        .send()
        .await
        .unwrap();
    let id = made.instances.unwrap().pop().unwrap().instance_id.unwrap();
    let spec = w.read("ec2:instance", &id).await.unwrap();
    assert_eq!((&spec["user_data"], &spec["key_pair"]["id"]), (&"IyEvYmluL3No".into(), &key.as_str().into()));
    let volumes = kind("ec2:volume").look(&w.cx, Which::All).await.unwrap();
    let data = volumes.iter().find(|v| v.spec["attachments"][0]["device"] == "/dev/sdf").unwrap();
    let snapshot = ec2.create_snapshot().volume_id(&data.id).send().await.unwrap().snapshot_id.unwrap();
    ec2.terminate_instances().instance_ids(&id).send().await.unwrap();
    assert_eq!(w.read("ec2:instance", &id).await, None);
    let new = w.restore("ec2:instance", &id, &spec).await;
    for v in &volumes {
        if ec2.describe_volumes().volume_ids(&v.id).send().await.is_ok() {
            continue;
        }
        let made = w.restore("ec2:volume", &v.id, &v.spec).await;
        w.link("ec2:volume", &made, &v.spec).await;
        if v.id == data.id {
            assert_eq!(w.read("ec2:volume", &made).await.unwrap()["snapshot_id"], snapshot.as_str());
        }
    }
    // The interface's own kind maps it.
    let old = spec["network_interfaces"][0]["network_interface_id"]["id"].as_str().unwrap().to_owned();
    let live = w.read("ec2:instance", &new).await.unwrap();
    let now = live["network_interfaces"][0]["network_interface_id"]["id"].as_str().unwrap();
    w.remap.insert(&"ec2:network-interface".parse().unwrap(), old, now);
    w.link("ec2:instance", &new, &spec).await;
}

#[tokio::test]
async fn every_kind_can_be_looked_at() {
    let w = World::new().await;
    for kind in registry::KINDS {
        kind.look(&w.cx, Which::All).await.unwrap_or_else(|f| panic!("{}: {f}", kind.name()));
    }
}
