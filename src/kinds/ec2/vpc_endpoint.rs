//! `ec2:vpc-endpoint`: a private way to a service: gateway, interface, Gateway Load Balancer, and those of VPC Lattice.
//!
//! H16: private DNS needs both DNS attributes of the VPC, so the VPC is linked first. Endpoints that a service requested
//! for itself are left to it. Subnets and groups are given at creation: an endpoint that is made without them would stand
//! in the VPC's default group, and a Gateway Load Balancer's can get its subnet no other way. Route tables come late.
use super::{converge_tags, failed, filter, found, held, only, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, LateRef, Policy, Ref, Set, Tags},
        names::{ec2, vpc_lattice},
    },
    mirror,
    model::{Alias, Scope},
    plan::{
        facts::Phase,
        preflight::{Ask, IsKnown, Per, Quota},
    },
};
use aws_sdk_ec2::{
    operation::{
        create_vpc_endpoint::builders::CreateVpcEndpointInputBuilder,
        modify_vpc_endpoint::builders::ModifyVpcEndpointInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;
use serde_json::Value;

mirror! {
    Spec from sdk::VpcEndpoint;
    keep {
        vpc_endpoint_type @ "vpcEndpointType": Option<String>,
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
        service_name @ "serviceName": Option<String>,
        policy_document @ "policyDocument": Option<Policy>,
        route_table_ids @ "routeTableIdSet": Set<LateRef<ec2::RouteTable>>,
        subnet_ids @ "subnetIdSet": Set<Ref<ec2::Subnet>>,
        groups @ "groupSet": Set<Group>,
        ip_address_type @ "ipAddressType": Option<String>,
        dns_options @ "dnsOptions": Option<DnsOptions>,
        private_dns_enabled @ "privateDnsEnabled": Option<bool>,
        tags @ "tagSet": Tags,
        service_network_arn @ "serviceNetworkArn": Option<Ref<vpc_lattice::ServiceNetwork>>,
        resource_configuration_arn @ "resourceConfigurationArn": Option<Ref<vpc_lattice::ResourceConfiguration>>,
        service_region @ "serviceRegion": Option<String>,
    }
    drop {
        vpc_endpoint_id @ "vpcEndpointId": "the id itself; remapped",
        state @ "state": "runtime state; see settled()",
        requester_managed @ "requesterManaged": "tells a service's endpoint from the user's: seen()",
        network_interface_ids @ "networkInterfaceIdSet": "AWS's own interfaces, new at each create; aliases",
        dns_entries @ "dnsEntrySet": "assigned by AWS at each create",
        creation_timestamp @ "creationTimestamp": "runtime: a time",
        owner_id @ "ownerId": "the account; part of the key",
        last_error @ "lastError": "runtime state; see settled()",
        ipv4_prefixes @ "ipv4PrefixSet": "follow from the subnets of the service network",
        ipv6_prefixes @ "ipv6PrefixSet": "follow from the subnets of the service network",
        failure_reason @ "failureReason": "runtime state; see settled()",
        payer_responsibilities @ "payerResponsibilitySet": "set by the owner of the service, for all its endpoints",
    }
    also {
        gateway: Option<Ref<ec2::VpcEndpoint>> // the gateway endpoint that must be there before this one: behind()
    }
}

mirror! {
    Group from sdk::SecurityGroupIdentifier, key [group_id];
    keep {
        group_id @ "groupId": Option<Ref<ec2::SecurityGroup>>,
    }
    drop {
        group_name @ "groupName": "follows from the group",
    }
}

mirror! {
    DnsOptions from sdk::DnsOptions;
    keep {
        dns_record_ip_type @ "dnsRecordIpType": Option<String>,
        private_dns_only_for_inbound_resolver_endpoint @ "privateDnsOnlyForInboundResolverEndpoint": Option<bool>,
        private_dns_preference @ "privateDnsPreference": Option<String>,
        private_dns_specified_domains @ "privateDnsSpecifiedDomainSet": Set<String>,
    }
}

input! {
    Spec => create_vpc_endpoint(CreateVpcEndpointInputBuilder);
    set {
        set_vpc_endpoint_type: vpc_endpoint_type,
        set_vpc_id: vpc_id,
        set_service_name: service_name,
        set_policy_document: policy_document,
        set_subnet_ids: subnet_ids,
        set_security_group_ids: groups[].group_id,
        set_ip_address_type: ip_address_type,
        set_dns_options: dns_options,
        set_private_dns_enabled: private_dns_enabled,
        set_service_network_arn: service_network_arn,
        set_resource_configuration_arn: resource_configuration_arn,
        set_service_region: service_region,
    }
    leave {
        route_table_ids: "tables may be there only later: converge()",
        dry_run: "the engine's",
        client_token: "the step's token",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        subnet_configurations: "fixes the addresses of AWS's interfaces, which DescribeVpcEndpoints does not say",
    }
}

input! {
    Spec => modify_vpc_endpoint(ModifyVpcEndpointInputBuilder);
    leave {
        policy_document: "where it differs: changed()",
        ip_address_type: "where it differs: changed()",
        dns_options: "where they differ: changed()",
        private_dns_enabled: "where it differs: changed()",
        dry_run: "the engine's",
        vpc_endpoint_id: "the resource at hand",
        reset_policy: "where the policy is the default again: changed()",
        add_route_table_ids: "what is missing: changed()",
        remove_route_table_ids: "what is too much: changed()",
        add_subnet_ids: "what is missing: changed()",
        remove_subnet_ids: "what is too much: changed()",
        add_security_group_ids: "what is missing: changed()",
        remove_security_group_ids: "what is too much: changed()",
        subnet_configurations: "fixes the addresses of AWS's interfaces, which DescribeVpcEndpoints does not say",
    }
}

input! {
    DnsOptions => sdk::DnsOptionsSpecification;
    set {
        set_dns_record_ip_type: dns_record_ip_type,
        set_private_dns_only_for_inbound_resolver_endpoint: private_dns_only_for_inbound_resolver_endpoint,
        set_private_dns_preference: private_dns_preference,
        set_private_dns_specified_domains: private_dns_specified_domains,
    }
}

/// An endpoint of a VPC.
pub struct VpcEndpoint;

const ACTION: &str = "ec2:ModifyVpcEndpoint";

/// A state in lower case: EC2 answers `available` where its own model says `Available`.
fn state(e: &sdk::VpcEndpoint) -> String {
    e.state.as_ref().map_or("unknown", |s| s.as_str()).to_ascii_lowercase()
}
/// The policy that every endpoint starts with: everything, to everyone. Given outright it would be refused by services
/// that take no policy, whose endpoints show it nevertheless.
fn is_default(policy: &Policy) -> bool {
    let Some([Value::Object(only)]) = policy.0["Statement"].as_array().map(Vec::as_slice) else { return false };
    only.len() == 4
        && only.get("Effect").is_some_and(|v| v == "Allow")
        && ["Action", "Principal", "Resource"].iter().all(|m| only.get(*m).is_some_and(|v| v == "*"))
}

fn seen(cx: &Cx, mut e: sdk::VpcEndpoint) -> Option<Seen<Spec>> {
    // H16: what a service requested for itself it makes again itself.
    let ours =
        e.requester_managed != Some(true) && e.owner_id.as_deref().is_none_or(|o| o == cx.scope.account.as_str());
    let alive = !["deleting", "deleted", "rejected", "failed", "expired"].contains(&state(&e).as_str());
    let id = e.vpc_endpoint_id.clone().filter(|_| ours && alive)?;
    let aliases = e.network_interface_ids.take().unwrap_or_default().into_iter().map(Alias).collect();
    let mut spec = Spec::from_sdk(&e);
    spec.policy_document = spec.policy_document.filter(|p| !is_default(p));
    spec.service_region = spec.service_region.filter(|r| r != cx.scope.region.as_str());
    // Of a gateway, what it has in common with every other is no configuration, and its create call takes none of it.
    if matches!(spec.vpc_endpoint_type.as_deref(), Some("Gateway" | "GatewayLoadBalancer")) {
        spec.private_dns_enabled = None;
    }
    if spec.vpc_endpoint_type.as_deref() == Some("Gateway") {
        spec.ip_address_type = spec.ip_address_type.filter(|t| t != "ipv4");
        let is_default =
            |o: &DnsOptions| o.dns_record_ip_type.as_deref().is_none_or(|t| ["service-defined", "ipv4"].contains(&t));
        spec.dns_options = spec.dns_options.filter(|o| !is_default(o));
    }
    if spec.private_dns_enabled == Some(false)
        && let Some(o) = &mut spec.dns_options
    {
        o.private_dns_only_for_inbound_resolver_endpoint = None;
    }
    Some(Seen { id, spec, aliases })
}

/// Private names for inbound resolvers alone are refused while the VPC has no gateway endpoint of the same service (S3's),
/// which answers to everybody else: those that need one are told which it is, so that it is made first.
async fn behind(cx: &Cx, mut all: Vec<Seen<Spec>>) -> Result<Vec<Seen<Spec>>, Failure> {
    let needs = |s: &Spec| {
        let only = s.dns_options.as_ref().and_then(|o| o.private_dns_only_for_inbound_resolver_endpoint);
        s.vpc_endpoint_type.as_deref() == Some("Interface") && only == Some(true)
    };
    if !all.iter().any(|e| needs(&e.spec)) {
        return Ok(all);
    }
    let call = cx.ec2.describe_vpc_endpoints().filters(filter("vpc-endpoint-type", ["Gateway"])).into_paginator();
    let rows: Vec<sdk::VpcEndpoint> = call
        .page_size(super::PAGE_ROWS)
        .items()
        .send()
        .try_collect()
        .await
        .map_err(failed("ec2:DescribeVpcEndpoints"))?;
    let gateways: Vec<Seen<Spec>> = rows.into_iter().filter_map(|e| seen(cx, e)).collect();
    for spec in all.iter_mut().map(|e| &mut e.spec).filter(|s| needs(s)) {
        let same = |g: &&Seen<Spec>| g.spec.vpc_id == spec.vpc_id && g.spec.service_name == spec.service_name;
        spec.gateway = gateways.iter().find(same).map(|g| Ref::new(&g.id));
    }
    Ok(all)
}

/// The one call that brings `now` to `want`, if there is anything to do.
fn changed(now: &Spec, want: &Spec) -> Result<Option<ModifyVpcEndpointInputBuilder>, Failure> {
    let less = |a: &[String], b: &[String]| {
        let rows: Vec<String> = a.iter().filter(|x| !b.contains(x)).cloned().collect();
        (!rows.is_empty()).then_some(rows)
    };
    let tables = |s: &Spec| s.route_table_ids.iter().map(|r| r.0.clone()).collect::<Vec<_>>();
    let subnets = |s: &Spec| s.subnet_ids.iter().map(|r| r.0.clone()).collect::<Vec<_>>();
    let groups = |s: &Spec| s.groups.iter().filter_map(|g| Some(g.group_id.as_ref()?.0.clone())).collect::<Vec<_>>();
    let policy = want.policy_document.as_ref().filter(|_| now.policy_document != want.policy_document);
    let reset = (want.policy_document.is_none() && now.policy_document.is_some()).then_some(true);
    let dns = want.dns_options.as_ref().filter(|_| now.dns_options != want.dns_options);
    let input = ModifyVpcEndpointInputBuilder::default()
        .set_policy_document(policy.map_or(Ok(None), Give::give).map_err(unbuildable(ACTION))?)
        .set_reset_policy(reset)
        .set_add_route_table_ids(less(&tables(want), &tables(now)))
        .set_remove_route_table_ids(less(&tables(now), &tables(want)))
        .set_add_subnet_ids(less(&subnets(want), &subnets(now)))
        .set_remove_subnet_ids(less(&subnets(now), &subnets(want)))
        .set_add_security_group_ids(less(&groups(want), &groups(now)))
        .set_remove_security_group_ids(less(&groups(now), &groups(want)))
        .set_dns_options(dns.map_or(Ok(None), Give::give).map_err(unbuildable(ACTION))?)
        .set_private_dns_enabled(
            want.private_dns_enabled.filter(|_| now.private_dns_enabled != want.private_dns_enabled),
        );
    let ip = want.ip_address_type.as_ref().filter(|_| now.ip_address_type != want.ip_address_type);
    let input = input.set_ip_address_type(ip.map(|t| t.as_str().into()));
    Ok((input != ModifyVpcEndpointInputBuilder::default()).then_some(input))
}

async fn endpoint(cx: &Cx, id: &str) -> Result<Option<sdk::VpcEndpoint>, Failure> {
    let answer = cx.ec2.describe_vpc_endpoints().vpc_endpoint_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeVpcEndpoints")))?.and_then(|a| a.vpc_endpoints);
    Ok(here.unwrap_or_default().pop())
}

impl Kind for VpcEndpoint {
    type Name = ec2::VpcEndpoint;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &Group::COVERAGE, &DnsOptions::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateVpcEndpointInputBuilder>>::TABLE,
        &<Spec as Input<ModifyVpcEndpointInputBuilder>>::TABLE,
        &<DnsOptions as Input<sdk::DnsOptionsSpecification>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeVpcEndpoints"];
    const RESTORE: &'static [&'static str] =
        &["ec2:DescribeTags", "ec2:CreateVpcEndpoint", "ec2:ModifyVpcEndpoint", "ec2:CreateTags", "ec2:DeleteTags"];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id, the DNS names of its own, and the addresses of its network interfaces",
        "its acceptance by a service that asks for one: the service's owner must accept the new endpoint (AcceptVpcEndpointConnections)",
        "what policies elsewhere allow to it by its id (aws:sourceVpce)",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_vpc_endpoint";
    const QUOTAS: &'static [Quota] = &[
        Quota {
            service: "vpc",
            code: "L-1B52E74A",
            name: "Gateway VPC endpoints per Region",
            default: 20,
            per: Per::Region,
            uses: |s| u32::from(s["vpc_endpoint_type"] == "Gateway"),
        },
        Quota {
            service: "vpc",
            code: "L-29B6F2EB",
            name: "Interface VPC endpoints per VPC",
            default: 50,
            per: Per::Owner("vpc_id"),
            uses: |s| {
                u32::from(s["vpc_endpoint_type"] == "Interface" || s["vpc_endpoint_type"] == "GatewayLoadBalancer")
            },
        },
    ];
    const IMMUTABLE: &'static [&'static str] = &[
        "vpc_endpoint_type",
        "vpc_id",
        "service_name",
        "service_region",
        "service_network_arn",
        "resource_configuration_arn",
    ];
    const GIVEN: &'static [&'static str] = &[
        "policy_document",
        "subnet_ids",
        "groups",
        "ip_address_type",
        "dns_options",
        "private_dns_enabled",
        "gateway",
    ];
    const AFTER: &'static [&'static str] = &["ec2:vpc"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let call = cx.ec2.describe_vpc_endpoints().set_filters(only("vpc-endpoint-id", which)).into_paginator();
        let all: Vec<sdk::VpcEndpoint> = call
            .page_size(super::PAGE_ROWS)
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("ec2:DescribeVpcEndpoints"))?;
        behind(cx, all.into_iter().filter_map(|e| seen(cx, e)).collect()).await
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let here = endpoint(cx, id).await?.and_then(|e| seen(cx, e));
        Ok(behind(cx, here.into_iter().collect()).await?.pop())
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "vpc-endpoint", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateVpcEndpoint";
        let tags = tags_on_create(sdk::ResourceType::VpcEndpoint, &spec.tags, step)?;
        let call = spec.create_vpc_endpoint().map_err(unbuildable(action))?;
        let call = call.tag_specifications(tags).client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "endpoint id", made.vpc_endpoint.and_then(|e| e.vpc_endpoint_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let modify = async {
            let Some(call) = changed(now, want)? else { return Ok(()) };
            call.vpc_endpoint_id(id).send_with(&cx.ec2).await.map(drop).map_err(failed(ACTION))
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(modify)];
        super::all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(e) = endpoint(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = state(&e);
        Ok(match word.as_str() {
            // H16: whoever owns the service has to accept, which may take days: the plan says so, and nothing waits.
            "available" | "pendingacceptance" => Settled::Ready,
            "failed" | "rejected" | "expired" | "deleting" | "deleted" => {
                let why = e.last_error.and_then(|l| l.message).or(e.failure_reason);
                Settled::Failed(why.map_or(word.clone(), |w| format!("{word}: {w}")))
            }
            _ => Settled::Waiting(word),
        })
    }

    /// Only one endpoint of a VPC can answer to a service's private names.
    fn natural_key(spec: &Spec) -> Option<String> {
        let private = spec.private_dns_enabled == Some(true);
        Some(format!("{} in {}", spec.service_name.as_ref()?, spec.vpc_id.as_ref()?.0)).filter(|_| private)
    }

    /// H16: the owner of a service that is not AWS's own may have to accept.
    fn human(_scope: &Scope, spec: &Spec, _is_known: IsKnown<'_>) -> Option<Ask> {
        let service = spec.service_name.as_ref().filter(|s| s.contains(".vpce-svc-"))?;
        let what = "accept the new endpoint (AcceptVpcEndpointConnections), if the service asks for that";
        Some(Ask { who: format!("the owner of {service}"), what: what.into() })
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateVpcEndpoint"] };
        let modify = changed(now, want).ok().flatten().map(|_| ACTION);
        tag_calls(&now.tags, &want.tags).into_iter().chain(modify).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, spec},
        *,
    };
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::mirror::Plain,
    };
    use serde_json::json;

    fn interface() -> Value {
        json!({
            "vpc_endpoint_type": "Interface", "vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "service_name": "com.amazonaws.eu-west-1.ssm",
            "subnet_ids": [{"$ref": "ec2:subnet", "id": "subnet-1"}], "groups": [{"group_id": {"$ref": "ec2:security-group", "id": "sg-1"}}],
            "private_dns_enabled": true, "ip_address_type": "ipv4", "dns_options": {"dns_record_ip_type": "ipv4"},
        })
    }
    fn gateway(tables: &[&str], policy: Value) -> Value {
        let tables: Vec<Value> = tables.iter().map(|t| json!({"$late": "ec2:route-table", "id": t})).collect();
        json!({"vpc_endpoint_type": "Gateway", "vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "service_name": "com.amazonaws.eu-west-1.s3", "route_table_ids": tables, "policy_document": policy})
    }
    async fn created(want: &Value) -> String {
        let canned = Canned::new(|_| "<vpcEndpoint><vpcEndpointId>vpce-1</vpcEndpointId></vpcEndpoint>".into());
        let step = Step { restore: "r1".into(), number: 3 };
        assert_eq!(VpcEndpoint::create(&canned.cx(), &spec::<VpcEndpoint>(want), &step).await.unwrap(), "vpce-1");
        let text = canned.wrote().concat();
        text.split(' ').filter(|p| !p.starts_with("TagSpecification")).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn h16_an_interface_endpoint_is_made_whole_and_after_its_vpcs_dns_attributes() {
        assert_eq!(VpcEndpoint::AFTER, ["ec2:vpc"]);
        assert_eq!(
            created(&interface()).await,
            "CreateVpcEndpoint ClientToken=rollbackd-r1-3 DnsOptions.DnsRecordIpType=ipv4 IpAddressType=ipv4 PrivateDnsEnabled=true SecurityGroupId.1=sg-1 ServiceName=com.amazonaws.eu-west-1.ssm SubnetId.1=subnet-1 VpcEndpointType=Interface VpcId=vpc-1"
        );
    }

    #[tokio::test]
    async fn h16_a_gateway_endpoint_gets_its_route_tables_late() {
        let policy = json!({"Statement": [{"Effect": "Deny", "Action": "*", "Principal": "*", "Resource": "*"}]});
        let want = gateway(&["rtb-1", "rtb-2"], policy);
        assert_eq!(
            created(&want).await,
            r#"CreateVpcEndpoint ClientToken=rollbackd-r1-3 PolicyDocument={"Statement":[{"Action":"*","Effect":"Deny","Principal":"*","Resource":"*"}]} ServiceName=com.amazonaws.eu-west-1.s3 VpcEndpointType=Gateway VpcId=vpc-1"#
        );
        let canned = Canned::new(|_| "".into());
        let mut now = want.clone();
        now["route_table_ids"] = json!([{"$late": "ec2:route-table", "id": "rtb-old"}]);
        assert_eq!(
            foretold::<VpcEndpoint>(&canned, "vpce-1", &now, &want).await,
            [
                "ModifyVpcEndpoint AddRouteTableId.1=rtb-1 AddRouteTableId.2=rtb-2 RemoveRouteTableId.1=rtb-old VpcEndpointId=vpce-1"
            ]
        );
    }

    #[tokio::test]
    async fn h16_everything_that_differs_goes_in_one_call() {
        let canned = Canned::new(|_| "".into());
        let mut now = interface();
        now["subnet_ids"] = json!([{"$ref": "ec2:subnet", "id": "subnet-2"}]);
        now["groups"] = json!([{"group_id": {"$ref": "ec2:security-group", "id": "sg-default"}}]);
        now["private_dns_enabled"] = false.into();
        now["policy_document"] = json!({"Statement": []});
        assert_eq!(
            foretold::<VpcEndpoint>(&canned, "vpce-1", &now, &interface()).await,
            [
                "ModifyVpcEndpoint AddSecurityGroupId.1=sg-1 AddSubnetId.1=subnet-1 PrivateDnsEnabled=true RemoveSecurityGroupId.1=sg-default RemoveSubnetId.1=subnet-2 ResetPolicy=true VpcEndpointId=vpce-1"
            ]
        );
    }

    #[tokio::test]
    async fn h16_services_own_endpoints_and_dying_ones_are_not_seen() {
        let canned = Canned::new(|_| {
            let one = |id: &str, more: &str| {
                format!(
                    "<item><vpcEndpointId>{id}</vpcEndpointId><vpcEndpointType>Gateway</vpcEndpointType>{more}</item>"
                )
            };
            let rows = [
                one("vpce-rds", "<requesterManaged>true</requesterManaged><state>available</state>"),
                one("vpce-shared", "<ownerId>999988887777</ownerId><state>available</state>"),
                one("vpce-going", "<state>deleting</state>"),
                one("vpce-gone", "<state>Deleted</state>"),
                one(
                    "vpce-1",
                    "<state>available</state><privateDnsEnabled>false</privateDnsEnabled><ipAddressType>ipv4</ipAddressType><dnsOptions><dnsRecordIpType>service-defined</dnsRecordIpType></dnsOptions><policyDocument>{\"Version\":\"2008-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":\"*\"}]}</policyDocument><networkInterfaceIdSet><item>eni-1</item></networkInterfaceIdSet>",
                ),
            ];
            Answer::Ok(format!("<vpcEndpointSet>{}</vpcEndpointSet>", rows.concat()))
        });
        let seen = VpcEndpoint::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].id.as_str(), seen[0].spec.to_json()), ("vpce-1", json!({"vpc_endpoint_type": "Gateway"})));
        assert_eq!(seen[0].aliases, [Alias("eni-1".into())]);
    }

    #[tokio::test]
    async fn h16_private_names_for_inbound_resolvers_alone_come_after_the_gateway_endpoint_of_the_service() {
        let canned = Canned::new(|call| {
            let row = |id: &str, kind: &str, vpc: &str, service: &str| {
                format!(
                    "<item><vpcEndpointId>{id}</vpcEndpointId><vpcEndpointType>{kind}</vpcEndpointType><vpcId>{vpc}</vpcId><serviceName>com.amazonaws.eu-west-1.{service}</serviceName><state>available</state>{}</item>",
                    if kind == "Interface" {
                        "<privateDnsEnabled>true</privateDnsEnabled><dnsOptions><privateDnsOnlyForInboundResolverEndpoint>true</privateDnsOnlyForInboundResolverEndpoint></dnsOptions>"
                    } else {
                        ""
                    }
                )
            };
            let rows = match call.get("Filter.1.Name") {
                "vpc-endpoint-type" => [
                    row("vpce-other", "Gateway", "vpc-2", "s3"),
                    row("vpce-db", "Gateway", "vpc-1", "dynamodb"),
                    row("vpce-gw", "Gateway", "vpc-1", "s3"),
                ]
                .concat(),
                _ => row("vpce-1", "Interface", "vpc-1", "s3"),
            };
            Answer::Ok(format!("<vpcEndpointSet>{rows}</vpcEndpointSet>"))
        });
        let seen = VpcEndpoint::read(&canned.cx(), "vpce-1").await.unwrap().unwrap();
        assert_eq!(seen.spec.gateway.as_ref().map(|g| g.0.as_str()), Some("vpce-gw"));
        // A reference that must exist first: the plan makes the gateway before it, and writes nothing of it to the call.
        let scope = canned.cx().scope;
        let refs = crate::model::reference::references(&scope, &seen.spec.to_json());
        let gateway = scope.key("ec2:vpc-endpoint".parse().unwrap(), "vpce-gw");
        let strength = refs.into_iter().find(|r| r.target == gateway).map(|r| r.strength);
        assert_eq!(strength, Some(crate::model::reference::Strength::Hard));
        assert!(!created(&seen.spec.to_json()).await.contains("vpce-gw"));
    }

    #[tokio::test]
    async fn h16_pending_waits_a_failure_tells_why_and_nobody_waits_for_an_acceptance() {
        async fn settled(state: &'static str) -> Settled {
            let canned = Canned::new(move |_| {
                Answer::Ok(format!(
                    "<vpcEndpointSet><item><state>{state}</state><lastError><message>no such zone</message></lastError></item></vpcEndpointSet>"
                ))
            });
            VpcEndpoint::settled(&canned.cx(), "vpce-1").await.unwrap()
        }
        assert_eq!(settled("pending").await, Settled::Waiting("pending".into()));
        assert_eq!(settled("available").await, Settled::Ready);
        assert_eq!(settled("pendingAcceptance").await, Settled::Ready);
        assert_eq!(settled("failed").await, Settled::Failed("failed: no such zone".into()));
    }

    #[test]
    fn h16_only_one_endpoint_of_a_vpc_has_a_services_private_names() {
        let key = |v: &Value| VpcEndpoint::natural_key(&spec::<VpcEndpoint>(v));
        assert_eq!(key(&interface()).as_deref(), Some("com.amazonaws.eu-west-1.ssm in vpc-1"));
        assert_eq!(key(&gateway(&[], Value::Null)), None);
    }
}
