//! Many resources, to sweep: 2,000 of the kinds that real accounts have most of, in the proportions of a middling one.

use crate::query::Script;

/// How many resources [`build`] makes, those included that AWS makes along with them.
pub const SIZE: usize = 2000;

/// Makes [`SIZE`] resources. Panics when AWS refuses one.
pub async fn build(script: &mut Script) {
    let image =
        "image=imageId RegisterImage Name=fleet Architecture=x86_64 VirtualizationType=hvm RootDeviceName=/dev/sda1";
    script.run(image).await;
    // Of each VPC 4 with its own table, group and list, 40 around its subnets, 15 of its instances, 34 disks and snapshots, and 3:
    // 20 × 96; and the image with its snapshot, 64 addresses and 14 lists.
    for n in 0..20 {
        script.run(&format!("vpc=vpcId CreateVpc CidrBlock=10.{n}.0.0/16 @vpc")).await;
        for m in 0..10 {
            let zone = ["a", "b"][m % 2];
            script
                .run(&format!(
                    "subnet=subnetId CreateSubnet VpcId=$vpc CidrBlock=10.{n}.{m}.0/24 AvailabilityZone=eu-west-1{zone} @subnet
                    group=groupId CreateSecurityGroup VpcId=$vpc GroupName=g{m} GroupDescription=fleet @security-group
                    AuthorizeSecurityGroupIngress GroupId=$group IpPermissions.1.IpProtocol=tcp IpPermissions.1.FromPort=443
                        IpPermissions.1.ToPort=443 IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0
                    table=routeTableId CreateRouteTable VpcId=$vpc @route-table
                    AssociateRouteTable RouteTableId=$table SubnetId=$subnet
                    CreateNetworkInterface SubnetId=$subnet SecurityGroupId.1=$group @network-interface"
                ))
                .await;
        }
        for _ in 0..5 {
            // Its disk and its interface come along.
            script
                .run(
                    "RunInstances MinCount=1 MaxCount=1 ImageId=$image InstanceType=t3.micro UserData=IyEvYmluL3No
                        BlockDeviceMapping.1.DeviceName=/dev/sda1 BlockDeviceMapping.1.Ebs.VolumeSize=8
                        NetworkInterface.1.DeviceIndex=0 NetworkInterface.1.SubnetId=$subnet
                        NetworkInterface.1.SecurityGroupId.1=$group @instance",
                )
                .await;
        }
        for _ in 0..17 {
            script
                .run(
                    "volume=volumeId CreateVolume AvailabilityZone=eu-west-1a Size=8 @volume
                    CreateSnapshot VolumeId=$volume @snapshot",
                )
                .await;
        }
        script
            .run(&format!(
                "gateway=internetGatewayId CreateInternetGateway @internet-gateway
                AttachInternetGateway InternetGatewayId=$gateway VpcId=$vpc
                CreateLaunchTemplate LaunchTemplateName=t{n} LaunchTemplateData.InstanceType=t3.micro
                CreateVpcEndpoint VpcId=$vpc ServiceName=com.amazonaws.eu-west-1.s3 VpcEndpointType=Gateway"
            ))
            .await;
    }
    for n in 0..64 {
        script.run("AllocateAddress Domain=vpc @elastic-ip").await;
        if n < 14 {
            let list = format!(
                "CreateManagedPrefixList PrefixListName=l{n} MaxEntries=2 AddressFamily=IPv4 Entry.1.Cidr=192.0.2.{n}/32"
            );
            script.run(&list).await;
        }
    }
}
