//! The kit holds what it promises: the emulator answers as AWS does where the kinds need it, the environment can be lost and
//! compared, and the trail tells who did it.

use std::path::Path;
use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::ProvideErrorMetadata;
use aws_sdk_ec2::types::{AttributeBooleanValue, Filter, IpPermission, ResourceType, Tag, TagSpecification};
use kit::{
    Counts, Credentials, Daemon, Emulator, Environment, Identity, Moment, Order, Proxy, Signal, TrailConfig, Wrap,
    assume, aws_env, until,
};
use serde_json::{Value, json};

const REGION: &str = "eu-west-1";

async fn account() -> (&'static Emulator, String, Credentials, Client) {
    let emulator = Emulator::shared().await;
    let account = emulator.new_account();
    let credentials = emulator.credentials(&account).await;
    let client = Client::new(&emulator.sdk_config(&credentials, REGION, &emulator.endpoint()));
    (emulator, account, credentials, client)
}

async fn proxy(emulator: &Emulator, account: &str, credentials: &Credentials) -> (Proxy, String) {
    let queue_url = emulator.queue(credentials, REGION, "trail").await;
    let trail = TrailConfig {
        queue_url: queue_url.clone(),
        credentials: credentials.clone(),
        account: account.into(),
        region: REGION.into(),
    };
    (Proxy::to(&emulator.endpoint()).trail(trail).start().await, queue_url)
}

/// Takes every message out of a queue.
async fn drain(emulator: &Emulator, credentials: &Credentials, queue_url: &str) -> Vec<String> {
    let client = aws_sdk_sqs::Client::new(&emulator.sdk_config(credentials, REGION, &emulator.endpoint()));
    let mut bodies = Vec::new();
    loop {
        let batch = client.receive_message().queue_url(queue_url).max_number_of_messages(10).send().await.unwrap();
        if batch.messages().is_empty() {
            return bodies;
        }
        bodies.extend(batch.messages().iter().map(|message| message.body().unwrap().to_owned()));
    }
}

fn only_survivors() -> Counts {
    Counts { vpcs: 1, route_tables: 1, security_groups: 2, network_acls: 1, ..Counts::default() }
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

fn yes() -> AttributeBooleanValue {
    AttributeBooleanValue::builder().value(true).build()
}

fn named(kind: ResourceType) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).tags(Tag::builder().key("step").value("one").build()).build()
}

macro_rules! ok {
    ($call:expr) => {
        $call.send().await.unwrap()
    };
}

macro_rules! refused {
    ($call:expr, $code:literal) => {
        let problem = $call.send().await.expect_err(stringify!($call));
        assert_eq!(problem.code(), Some($code), "{}: {problem:?}", stringify!($call));
    };
}

#[tokio::test]
async fn an_environment_is_built_compared_and_lost() {
    let (emulator, account, _, client) = account().await;
    assert_eq!(Environment::count(&client).await, Counts::default());
    let environment = Environment::build(&client).await;
    let before = environment.fingerprint(&client).await;
    let full = Environment::count(&client).await;
    let wanted = Counts {
        vpcs: 2,
        dhcp_options: 1,
        subnets: 6,
        internet_gateways: 1,
        egress_only_gateways: 1,
        addresses: 2,
        nat_gateways: 2,
        route_tables: 6,
        security_groups: 7,
        network_acls: 4,
    };
    assert_eq!(full, wanted);
    assert!(!before.to_string().contains("gone or unknown"), "{before:#}");
    assert!(!before.to_string().contains("blackhole"), "{before:#}");
    assert_eq!(emulator.count(&account, "CreateNatGateway"), 2);
    let found = Environment::find(&client).await;
    assert_eq!(Environment { peering: environment.peering.clone(), ..found }, environment);

    environment.teardown(&client).await;
    assert_eq!(Environment::count(&client).await, only_survivors());
    let after = environment.fingerprint(&client).await;
    assert_eq!(after["vpcs"], json!([]));
    assert_ne!(after["security groups"], before["security groups"], "the survivor has lost a rule");

    // The same again, with other ids, is the same environment but for its addresses.
    let hide = |value: &Value, environment: &Environment| {
        let text = value.to_string().replace(&environment.public_ip_a, "a").replace(&environment.public_ip_b, "b");
        text.parse::<Value>().unwrap()
    };
    let (_, _, _, other) = self::account().await;
    let second = Environment::build(&other).await;
    let again = second.fingerprint(&other).await;
    assert_eq!(hide(&again, &second)["route tables"], before["route tables"]);
    assert_eq!(hide(&again, &second)["security groups"], before["security groups"]);
    assert_ne!(second.vpc, environment.vpc);

    let (vpc, _) = Environment::lookalike(&other).await;
    assert_ne!(vpc, second.vpc);
    assert_eq!(second.fingerprint(&other).await, again, "a lookalike is no part of the environment");
}

#[tokio::test]
async fn the_trail_tells_of_a_teardown_through_two_roles() {
    let (emulator, account, credentials, client) = account().await;
    let environment = Environment::build(&client).await;
    let (proxy, queue_url) = proxy(emulator, &account, &credentials).await;

    let user =
        Credentials { access_key: "AKIAALICEALICEALICE0".into(), secret: "x".into(), session_token: String::new() };
    proxy.identity(&user.access_key, Identity::user(&account, "alice"));
    let first = assume(&user, &proxy.endpoint(), &format!("arn:aws:iam::{account}:role/hop"), "alice").await;
    let second = assume(&first, &proxy.endpoint(), &format!("arn:aws:iam::{account}:role/ops/agent"), "claude").await;
    let agent = Client::new(&emulator.sdk_config(&second, REGION, &proxy.endpoint()));
    environment.teardown(&agent).await;
    proxy.settled().await;
    assert_eq!(Environment::count(&client).await, only_survivors());

    let sent = proxy.envelopes();
    let mut bodies = drain(emulator, &credentials, &queue_url).await;
    let mut expected: Vec<String> = sent.iter().map(Value::to_string).collect();
    bodies.sort();
    expected.sort();
    assert_eq!(bodies, expected);

    let details: Vec<&Value> = sent.iter().map(|envelope| &envelope["detail"]).collect();
    assert_eq!(details[0]["eventName"], "AssumeRole");
    assert_eq!(details[0]["userIdentity"]["userName"], "alice");
    assert_eq!(details[1]["userIdentity"]["type"], "AssumedRole");
    assert_eq!(details[0]["responseElements"]["credentials"]["accessKeyId"], details[1]["userIdentity"]["accessKeyId"]);
    assert_eq!(details[0]["resources"][0]["type"], "AWS::IAM::Role");
    for detail in &details[2..] {
        let who = &detail["userIdentity"];
        assert_eq!(who["arn"], format!("arn:aws:sts::{account}:assumed-role/agent/claude"), "{detail:#}");
        assert_eq!(who["sessionContext"]["sessionIssuer"]["arn"], format!("arn:aws:iam::{account}:role/ops/agent"));
        assert_eq!(who["accessKeyId"], details[1]["responseElements"]["credentials"]["accessKeyId"]);
        assert_eq!(who["principalId"], details[1]["responseElements"]["assumedRoleUser"]["assumedRoleId"]);
        assert_eq!(detail["eventTime"].as_str().unwrap().len(), "2026-11-25T02:00:00Z".len());
        assert_eq!(detail["recipientAccountId"], account);
        assert!(detail["userAgent"].as_str().unwrap().contains("aws-sdk-rust"));
        assert!(!detail["eventName"].as_str().unwrap().starts_with("Describe"));
        assert!(detail.get("errorCode").is_none(), "{detail:#}");
    }
    let of = |name: &str| details.iter().filter(|detail| detail["eventName"] == name).collect::<Vec<_>>();
    assert_eq!(of("DeleteVpc")[0]["requestParameters"], json!({ "vpcId": environment.vpc }));
    assert_eq!(of("DeleteVpc")[0]["responseElements"]["_return"], true);
    assert_eq!(of("DeleteSubnet").len(), 6);
    let nat = of("DeleteNatGateway")[0];
    assert_eq!(nat["requestParameters"]["DeleteNatGatewayRequest"]["NatGatewayId"], environment.nat_a);
    assert_eq!(nat["responseElements"]["DeleteNatGatewayResponse"]["natGatewayId"], environment.nat_a);
    let revoked = of("RevokeSecurityGroupIngress")[0];
    assert_eq!(revoked["requestParameters"]["groupId"], environment.group_monitoring);
    let permission = &revoked["requestParameters"]["ipPermissions"]["items"][0];
    assert_eq!(permission["groups"]["items"][0]["groupId"], environment.group_app);
    assert_eq!(permission["fromPort"], 4317);
    assert_eq!(permission["ipRanges"], json!({}));
    let gateway = of("DeleteEgressOnlyInternetGateway")[0];
    let request = &gateway["requestParameters"]["DeleteEgressOnlyInternetGatewayRequest"];
    assert_eq!(request["EgressOnlyInternetGatewayId"], environment.egress_only_gateway);
}

#[tokio::test]
async fn records_have_the_shapes_of_cloudtrail() {
    let (emulator, account, credentials, _) = account().await;
    let (proxy, _) = proxy(emulator, &account, &credentials).await;
    let client = Client::new(&emulator.sdk_config(&credentials, REGION, &proxy.endpoint()));
    let made = ok!(client.create_vpc().cidr_block("10.0.0.0/16").tag_specifications(named(ResourceType::Vpc)));
    let vpc = made.vpc().unwrap().vpc_id().unwrap().to_owned();
    let subnet = ok!(client.create_subnet().vpc_id(&vpc).cidr_block("10.0.0.0/24"));
    let subnet = subnet.subnet().unwrap().subnet_id().unwrap().to_owned();
    let nat = client.create_nat_gateway().subnet_id(&subnet).connectivity_type("private".into());
    ok!(nat.tag_specifications(named(ResourceType::Natgateway)));
    ok!(client.modify_vpc_attribute().vpc_id(&vpc).enable_dns_hostnames(yes()));
    refused!(client.delete_vpc().vpc_id(&vpc), "DependencyViolation");
    refused!(client.delete_vpc().vpc_id(&vpc).dry_run(true), "DryRunOperation");
    proxy.settled().await;

    let sent = proxy.envelopes();
    let detail = |at: usize| &sent[at]["detail"];
    assert_eq!(sent[0]["detail-type"], "AWS API Call via CloudTrail");
    assert_eq!(sent[0]["source"], "aws.ec2");
    assert_eq!(sent[0]["time"], detail(0)["eventTime"]);
    assert_eq!(
        detail(0)["requestParameters"],
        json!({
            "cidrBlock": "10.0.0.0/16",
            "instanceTenancy": "default",
            "amazonProvidedIpv6CidrBlock": false,
            "tagSpecificationSet": { "items": [{ "resourceType": "vpc", "tags": [{ "key": "step", "value": "one" }] }] },
        })
    );
    let made = &detail(0)["responseElements"]["vpc"];
    assert_eq!(made["vpcId"], vpc);
    assert_eq!(made["isDefault"], false);
    assert_eq!(made["tagSet"]["items"], json!([{ "key": "step", "value": "one" }]));
    assert_eq!(made["ipv6CidrBlockAssociationSet"], json!({}));
    assert_eq!(detail(1)["responseElements"]["subnet"]["availableIpAddressCount"], 251);
    let request = &detail(2)["requestParameters"]["CreateNatGatewayRequest"];
    assert_eq!(request["SubnetId"], subnet);
    let specification =
        json!({ "ResourceType": "natgateway", "tag": 1, "Tag": { "Key": "step", "Value": "one", "tag": 1 } });
    assert_eq!(request["TagSpecification"], specification);
    let answer = &detail(2)["responseElements"]["CreateNatGatewayResponse"];
    assert_eq!(answer["xmlns"], "http://ec2.amazonaws.com/doc/2016-11-15/");
    assert_eq!(answer["natGateway"]["tagSet"]["item"], json!({ "key": "step", "value": "one" }));
    assert_eq!(detail(3)["requestParameters"], json!({ "vpcId": vpc, "enableDnsHostnames": { "value": true } }));
    assert_eq!(detail(4)["errorCode"], "Client.DependencyViolation");
    assert_eq!(detail(4)["responseElements"], Value::Null);
    assert_eq!(detail(5)["errorCode"], "Client.DryRunOperation");
}

#[tokio::test]
async fn envelopes_are_held_reversed_copied_and_wrapped() {
    let (emulator, account, credentials, _) = account().await;
    let queue_url = emulator.queue(&credentials, REGION, "trail").await;
    let trail = TrailConfig {
        queue_url: queue_url.clone(),
        credentials: credentials.clone(),
        account: account.clone(),
        region: REGION.into(),
    };
    let proxy = Proxy::to(&emulator.endpoint()).trail(trail).shape(Wrap::Sns).start().await;
    let client = Client::new(&emulator.sdk_config(&credentials, REGION, &proxy.endpoint()));
    proxy.hold();
    ok!(client.create_vpc().cidr_block("10.0.0.0/16"));
    ok!(client.create_internet_gateway());
    proxy.settled().await;
    assert!(proxy.envelopes().is_empty());
    proxy.release(Order::Reverse, 2);
    proxy.settled().await;
    let names: Vec<Value> = proxy.envelopes().iter().map(|one| one["detail"]["eventName"].clone()).collect();
    assert_eq!(names, ["CreateInternetGateway", "CreateInternetGateway", "CreateVpc", "CreateVpc"]);
    let bodies = drain(emulator, &credentials, &queue_url).await;
    assert_eq!(bodies.len(), 4);
    let body: Value = bodies[0].parse().unwrap();
    assert_eq!(body["Type"], "Notification");
    let inner: Value = body["Message"].as_str().unwrap().parse().unwrap();
    assert_eq!(inner["detail-type"], "AWS API Call via CloudTrail");
}

#[tokio::test]
async fn a_long_poll_gets_an_envelope_at_once() {
    let (emulator, account, credentials, _) = account().await;
    let (proxy, queue_url) = proxy(emulator, &account, &credentials).await;
    let queue = aws_sdk_sqs::Client::new(&emulator.sdk_config(&credentials, REGION, &proxy.endpoint()));
    let poll = tokio::spawn(async move {
        let start = std::time::Instant::now();
        let batch = ok!(queue.receive_message().queue_url(queue_url).wait_time_seconds(20));
        (batch.messages().len(), start.elapsed())
    });
    until("the poll is waiting", Duration::from_secs(10), || async { proxy.count("ReceiveMessage") == 1 }).await;
    let client = Client::new(&emulator.sdk_config(&credentials, REGION, &proxy.endpoint()));
    ok!(client.create_internet_gateway());
    let (messages, waited) = poll.await.unwrap();
    assert_eq!(messages, 1);
    assert!(waited < Duration::from_secs(5), "{waited:?}");
}

#[tokio::test]
async fn the_proxy_refuses_loses_and_delays() {
    let (emulator, account, credentials, direct) = account().await;
    let proxy = Proxy::to(&emulator.endpoint()).pending("CreateNatGateway", 2).start().await;
    let client = Client::new(&emulator.sdk_config(&credentials, REGION, &proxy.endpoint()));

    proxy.fail("CreateVpc", 1, "UnauthorizedOperation", 403);
    refused!(client.create_vpc().cidr_block("10.0.0.0/16"), "UnauthorizedOperation");
    assert_eq!(emulator.count(&account, "CreateVpc"), 0);
    let made = ok!(client.create_vpc().cidr_block("10.0.0.0/16"));
    let vpc = made.vpc().unwrap().vpc_id().unwrap().to_owned();

    // The SDK tries again after a lost answer, so a call without a token makes two.
    proxy.lose_answer("CreateInternetGateway", 1);
    ok!(client.create_internet_gateway());
    assert_eq!(emulator.count(&account, "CreateInternetGateway"), 2);
    assert_eq!(proxy.count("CreateInternetGateway"), 2);
    assert_eq!(Environment::count(&direct).await.internet_gateways, 2);

    let subnet = ok!(client.create_subnet().vpc_id(&vpc).cidr_block("10.0.0.0/24"));
    let subnet = subnet.subnet().unwrap().subnet_id().unwrap().to_owned();
    // With a token it makes one.
    proxy.lose_answer("CreateNatGateway", 1);
    ok!(client.create_nat_gateway().subnet_id(&subnet).connectivity_type("private".into()));
    assert_eq!(emulator.count(&account, "CreateNatGateway"), 2);
    let mut states = Vec::new();
    for _ in 0..3 {
        let found = ok!(client.describe_nat_gateways());
        assert_eq!(found.nat_gateways().len(), 1);
        states.push(found.nat_gateways()[0].state().unwrap().to_string());
    }
    assert_eq!(states, ["pending", "pending", "available"]);

    proxy.set_latency(Duration::from_millis(200));
    let start = std::time::Instant::now();
    ok!(client.describe_vpcs());
    assert!(start.elapsed() >= Duration::from_millis(200));
    let last = proxy.calls().pop().unwrap();
    assert_eq!((last.service.as_str(), last.operation.as_str()), ("ec2", "DescribeVpcs"));
    assert_eq!(last.access_key, credentials.access_key);
}

#[tokio::test]
async fn a_call_stands_still_at_the_moment_that_was_asked_for() {
    let (emulator, account, credentials, direct) = account().await;
    let proxy = Proxy::to(&emulator.endpoint()).start().await;
    let client = Client::new(&emulator.sdk_config(&credentials, REGION, &proxy.endpoint()));
    for (moment, made) in [(Moment::Before, 0), (Moment::After, 2)] {
        proxy.freeze("*", 1, moment);
        let client = client.clone();
        let call = tokio::spawn(async move {
            ok!(client.allocate_address());
            ok!(client.describe_vpcs());
            ok!(client.create_internet_gateway());
        });
        proxy.frozen(Duration::from_secs(10)).await;
        assert!(!call.is_finished());
        assert_eq!(emulator.count(&account, "CreateInternetGateway"), made);
        assert_eq!(Environment::count(&direct).await.internet_gateways, made);
        proxy.thaw();
        call.await.unwrap();
    }
    assert_eq!(Environment::count(&direct).await.internet_gateways, 2);
}

#[tokio::test]
async fn the_fingerprint_sees_every_change() {
    let (_, _, _, client) = account().await;
    let environment = Environment::build(&client).await;
    let mut last = environment.fingerprint(&client).await;
    let e = &environment;
    macro_rules! changes {
        ($call:expr) => {
            ok!($call);
            let now = environment.fingerprint(&client).await;
            assert_ne!(now, last, "{}", stringify!($call));
            last = now;
        };
    }
    let no = || AttributeBooleanValue::builder().value(false).build();
    let anew = || Tag::builder().key("env").value("test").build();
    changes!(client.modify_vpc_attribute().vpc_id(&e.vpc).enable_dns_hostnames(no()));
    changes!(client.modify_subnet_attribute().subnet_id(&e.public_a).map_public_ip_on_launch(no()));
    changes!(client.associate_dhcp_options().vpc_id(&e.vpc).dhcp_options_id("default"));
    changes!(client.delete_tags().resources(&e.data_b).tags(Tag::builder().key("team").build()));
    for id in [&e.routes_data, &e.routes_original, &e.acl_data, &e.group_app, &e.nat_a, &e.address_b] {
        changes!(client.create_tags().resources(id).tags(anew()));
    }
    let route = || client.create_route().route_table_id(&e.routes_original).destination_cidr_block("0.0.0.0/0");
    changes!(route().nat_gateway_id(&e.nat_a));
    changes!(client.delete_nat_gateway().nat_gateway_id(&e.nat_a));
    let rule = |group: &str, peer: &str| {
        let pair = aws_sdk_ec2::types::UserIdGroupPair::builder().group_id(peer).build();
        let rule = IpPermission::builder().ip_protocol("tcp").from_port(4317).to_port(4317).user_id_group_pairs(pair);
        client.revoke_security_group_ingress().group_id(group).ip_permissions(rule.build())
    };
    changes!(rule(&e.group_monitoring, &e.group_app));
    changes!(client.delete_network_acl_entry().network_acl_id(&e.acl_public).rule_number(120).egress(false));
    let gateway = client.delete_egress_only_internet_gateway();
    changes!(gateway.egress_only_internet_gateway_id(&e.egress_only_gateway));
    let _ = last;
}

#[tokio::test]
async fn accounts_are_apart_and_own_emulators_end() {
    let (emulator, account, _, client) = account().await;
    ok!(client.create_vpc().cidr_block("10.0.0.0/16"));
    let (_, other, _, elsewhere) = self::account().await;
    assert_ne!(account, other);
    assert_eq!(Environment::count(&elsewhere).await.vpcs, 0);
    assert_eq!(emulator.count(&account, "CreateVpc"), 1);
    assert_eq!(emulator.count(&other, "CreateVpc"), 0);

    let own = Emulator::start().await;
    let endpoint = own.endpoint();
    drop(own);
    let address: std::net::SocketAddr = endpoint.trim_start_matches("http://").parse().unwrap();
    until("the port is closed", Duration::from_secs(10), || async { std::net::TcpStream::connect(address).is_err() })
        .await;
}

#[tokio::test]
async fn vpcs_and_subnets_change_one_attribute_a_call() {
    let (_, _, _, client) = account().await;
    let vpc = ok!(client.create_vpc().cidr_block("10.0.0.0/16").tag_specifications(named(ResourceType::Vpc)));
    let vpc = vpc.vpc().unwrap().vpc_id().unwrap().to_owned();
    let both = client.modify_vpc_attribute().vpc_id(&vpc).enable_dns_hostnames(yes()).enable_dns_support(yes());
    refused!(both, "InvalidParameterCombination");
    let usage = yes();
    ok!(client.modify_vpc_attribute().vpc_id(&vpc).enable_network_address_usage_metrics(usage));
    let found = ok!(client.describe_vpc_attribute().vpc_id(&vpc).attribute("enableNetworkAddressUsageMetrics".into()));
    assert_eq!(found.enable_network_address_usage_metrics().unwrap().value(), Some(true));

    let made = ok!(client.associate_vpc_cidr_block().vpc_id(&vpc).cidr_block("10.1.0.0/16"));
    let association = made.cidr_block_association().unwrap().association_id().unwrap().to_owned();
    let zones = ok!(client.describe_availability_zones());
    let zone = zones.availability_zones()[1].zone_id().unwrap();
    let subnet = ok!(client.create_subnet().vpc_id(&vpc).cidr_block("10.1.0.0/24").availability_zone_id(zone));
    let subnet = subnet.subnet().unwrap();
    assert_eq!((subnet.availability_zone_id(), subnet.map_public_ip_on_launch()), (Some(zone), Some(false)));
    let id = subnet.subnet_id().unwrap();
    let both = client.modify_subnet_attribute().subnet_id(id).map_public_ip_on_launch(yes()).enable_dns64(yes());
    refused!(both, "InvalidParameterCombination");
    refused!(client.disassociate_vpc_cidr_block().association_id(&association), "InvalidCidrBlock.InUse");

    let pages = ok!(client.describe_subnets().max_results(5));
    assert_eq!((pages.subnets().len() <= 5, pages.next_token().is_some()), (true, pages.subnets().len() == 5));
    let tags = ok!(client.describe_tags().filters(filter("key", "step")).filters(filter("value", "one")));
    assert_eq!(tags.tags().len(), 1);
    assert_eq!(tags.tags()[0].resource_id(), Some(vpc.as_str()));
    ok!(client.delete_subnet().subnet_id(id));
    ok!(client.delete_vpc().vpc_id(&vpc));
    let tags = ok!(client.describe_tags().filters(filter("key", "step")));
    assert!(tags.tags().is_empty(), "what is gone has no tags");
}

#[tokio::test]
async fn gateways_and_routes_follow_aws() {
    let (_, _, _, client) = account().await;
    let vpc = ok!(client.create_vpc().cidr_block("10.0.0.0/16"));
    let vpc = vpc.vpc().unwrap().vpc_id().unwrap().to_owned();
    let subnet = ok!(client.create_subnet().vpc_id(&vpc).cidr_block("10.0.0.0/24"));
    let subnet = subnet.subnet().unwrap().subnet_id().unwrap().to_owned();
    let address = ok!(client.allocate_address());
    let (allocation, ip) = (address.allocation_id().unwrap().to_owned(), address.public_ip().unwrap().to_owned());

    let failed = ok!(client.create_nat_gateway().subnet_id(&subnet).allocation_id(&allocation));
    let failed = failed.nat_gateway().unwrap().nat_gateway_id().unwrap().to_owned();
    let found = ok!(client.describe_nat_gateways().nat_gateway_ids(&failed));
    assert_eq!(found.nat_gateways()[0].failure_code(), Some("Gateway.NotAttached"));

    let gateway = ok!(client.create_internet_gateway());
    let gateway = gateway.internet_gateway().unwrap().internet_gateway_id().unwrap().to_owned();
    ok!(client.attach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc));
    let make = || client.create_nat_gateway().subnet_id(&subnet).allocation_id(&allocation).client_token("one");
    let nat = ok!(make()).nat_gateway().unwrap().nat_gateway_id().unwrap().to_owned();
    assert_eq!(ok!(make()).nat_gateway().unwrap().nat_gateway_id(), Some(nat.as_str()));
    refused!(make().subnet_id("subnet-0123456789abcdef0"), "IdempotentParameterMismatch");
    let held = ok!(client.describe_addresses().allocation_ids(&allocation));
    let held = &held.addresses()[0];
    assert!(held.association_id().is_some() && held.network_interface_id().is_some_and(|id| id.starts_with("eni-")));
    refused!(client.release_address().allocation_id(&allocation), "InvalidIPAddress.InUse");
    refused!(client.detach_internet_gateway().internet_gateway_id(&gateway).vpc_id(&vpc), "DependencyViolation");
    refused!(client.describe_nat_gateways().nat_gateway_ids("nat-0123456789abcdef0"), "NatGatewayNotFound");
    refused!(client.describe_addresses().allocation_ids("eipalloc-0123456789abcdef0"), "InvalidAllocationID.NotFound");

    let egress = || client.create_egress_only_internet_gateway().vpc_id(&vpc).client_token("two");
    let first = ok!(egress());
    let first = first.egress_only_internet_gateway().unwrap().egress_only_internet_gateway_id().unwrap();
    let second = ok!(egress());
    assert_eq!(second.egress_only_internet_gateway().unwrap().egress_only_internet_gateway_id(), Some(first));

    let make = || client.create_route_table().vpc_id(&vpc).client_token("three");
    let table = ok!(make()).route_table().unwrap().route_table_id().unwrap().to_owned();
    assert_eq!(ok!(make()).route_table().unwrap().route_table_id(), Some(table.as_str()));
    let everywhere = || client.create_route().route_table_id(&table).destination_cidr_block("0.0.0.0/0");
    ok!(everywhere().nat_gateway_id(&nat));
    refused!(everywhere().nat_gateway_id(&nat), "RouteAlreadyExists");
    let v6 = || client.create_route().route_table_id(&table).destination_ipv6_cidr_block("::/0");
    ok!(v6().egress_only_internet_gateway_id(first));
    refused!(v6().egress_only_internet_gateway_id(first), "RouteAlreadyExists");
    ok!(client.associate_route_table().route_table_id(&table).gateway_id(&gateway));
    ok!(client.associate_route_table().route_table_id(&table).subnet_id(&subnet));
    let other = ok!(client.create_route_table().vpc_id(&vpc));
    let other = other.route_table().unwrap().route_table_id().unwrap();
    refused!(client.associate_route_table().route_table_id(other).subnet_id(&subnet), "Resource.AlreadyAssociated");

    let main =
        client.describe_route_tables().filters(filter("vpc-id", &vpc)).filters(filter("association.main", "true"));
    let main = ok!(main).route_tables()[0].clone();
    let association = main.associations()[0].route_table_association_id().unwrap();
    refused!(client.delete_route_table().route_table_id(main.route_table_id().unwrap()), "DependencyViolation");
    refused!(client.disassociate_route_table().association_id(association), "InvalidParameterValue");
    ok!(client.replace_route_table_association().association_id(association).route_table_id(&table));
    ok!(client.delete_route_table().route_table_id(main.route_table_id().unwrap()));

    ok!(client.delete_nat_gateway().nat_gateway_id(&nat));
    ok!(client.delete_egress_only_internet_gateway().egress_only_internet_gateway_id(first));
    let found = ok!(client.describe_route_tables().route_table_ids(&table));
    let states: Vec<String> =
        found.route_tables()[0].routes().iter().map(|one| one.state().unwrap().to_string()).collect();
    assert_eq!(states, ["active", "blackhole", "blackhole"]);
    let target = found.route_tables()[0].associations().iter().find_map(|one| one.gateway_id());
    assert_eq!(target, Some(gateway.as_str()));
    let found = ok!(client.describe_nat_gateways().nat_gateway_ids(&nat));
    assert_eq!(found.nat_gateways()[0].state().unwrap().as_str(), "deleted");

    ok!(client.release_address().allocation_id(&allocation));
    let again = ok!(client.allocate_address().address(&ip));
    assert_eq!(again.public_ip(), Some(ip.as_str()));
    assert_ne!(again.allocation_id(), Some(allocation.as_str()));
    refused!(client.allocate_address().address(&ip), "InvalidAddress.NotFound");
}

#[tokio::test]
async fn groups_acls_and_options_follow_aws() {
    let (_, _, _, client) = account().await;
    let vpc = ok!(client.create_vpc().cidr_block("10.0.0.0/16"));
    let vpc = vpc.vpc().unwrap().vpc_id().unwrap().to_owned();

    let found =
        client.describe_security_groups().filters(filter("vpc-id", &vpc)).filters(filter("group-name", "default"));
    let default = ok!(found).security_groups()[0].clone();
    let itself = &default.ip_permissions()[0];
    assert_eq!(itself.user_id_group_pairs()[0].group_id(), default.group_id());
    refused!(client.delete_security_group().group_id(default.group_id().unwrap()), "CannotDelete");
    let group = async |name: &str| {
        let made = client.create_security_group().vpc_id(&vpc).group_name(name).description("x");
        let made = ok!(made.tag_specifications(named(ResourceType::SecurityGroup)));
        made.group_id().unwrap().to_owned()
    };
    let (a, b) = (group("a").await, group("b").await);
    let pair = aws_sdk_ec2::types::UserIdGroupPair::builder().group_id(&b).description("why").build();
    let rule = IpPermission::builder().ip_protocol("tcp").from_port(1).to_port(2).user_id_group_pairs(pair).build();
    let range = aws_sdk_ec2::types::IpRange::builder().cidr_ip("10.0.0.0/8").build();
    let fresh = IpPermission::builder().ip_protocol("udp").from_port(1).to_port(2).ip_ranges(range).build();
    let allow = || client.authorize_security_group_ingress().group_id(&a).ip_permissions(rule.clone());
    ok!(allow().tag_specifications(named(ResourceType::SecurityGroupRule)));
    let twice =
        client.authorize_security_group_ingress().group_id(&a).ip_permissions(fresh).ip_permissions(rule.clone());
    refused!(twice, "InvalidPermission.Duplicate");
    let rules = ok!(client.describe_security_group_rules().filters(filter("group-id", &a)));
    let rules = rules.security_group_rules();
    assert_eq!(rules.len(), 2, "a refused call adds nothing, and every group may call anywhere");
    let ingress = rules.iter().find(|rule| rule.is_egress() == Some(false)).unwrap();
    assert_eq!((ingress.description(), ingress.tags().len()), (Some("why"), 1));
    refused!(client.delete_security_group().group_id(&b), "DependencyViolation");
    ok!(client
        .revoke_security_group_ingress()
        .group_id(&a)
        .security_group_rule_ids(ingress.security_group_rule_id().unwrap()));
    ok!(client.delete_security_group().group_id(&b));

    let make = || client.create_network_acl().vpc_id(&vpc).client_token("one");
    let acl = ok!(make()).network_acl().unwrap().clone();
    assert_eq!(ok!(make()).network_acl().unwrap().network_acl_id(), acl.network_acl_id());
    let id = acl.network_acl_id().unwrap();
    assert_eq!(acl.entries().len(), 2);
    assert!(acl.entries().iter().all(|entry| entry.rule_number() == Some(32767)));
    let entry = client.create_network_acl_entry().network_acl_id(id).rule_number(10).egress(false).protocol("1");
    let icmp = aws_sdk_ec2::types::IcmpTypeCode::builder().r#type(8).code(-1).build();
    ok!(entry.clone().rule_action("allow".into()).cidr_block("0.0.0.0/0").icmp_type_code(icmp.clone()));
    let last = entry.rule_number(32767).rule_action("allow".into()).cidr_block("0.0.0.0/0");
    refused!(last, "InvalidParameterValue");
    let found = ok!(client.describe_network_acls().network_acl_ids(id));
    assert!(found.network_acls()[0].entries().iter().any(|entry| entry.icmp_type_code() == Some(&icmp)));
    refused!(client.describe_network_acls().network_acl_ids("acl-0123456789abcdef0"), "InvalidNetworkAclID.NotFound");

    let option = aws_sdk_ec2::types::NewDhcpConfiguration::builder().key("domain-name").values("a.example").build();
    let options = client.create_dhcp_options().dhcp_configurations(option);
    let options = ok!(options.tag_specifications(named(ResourceType::DhcpOptions)));
    let options = options.dhcp_options().unwrap().dhcp_options_id().unwrap().to_owned();
    ok!(client.associate_dhcp_options().dhcp_options_id(&options).vpc_id(&vpc));
    refused!(client.delete_dhcp_options().dhcp_options_id(&options), "DependencyViolation");
    let found = ok!(client.describe_dhcp_options().filters(filter("tag:step", "one")));
    assert_eq!(found.dhcp_options()[0].dhcp_options_id(), Some(options.as_str()));
    let tags = ok!(client.describe_tags().filters(filter("key", "step")));
    let mut kinds: Vec<&str> = tags.tags().iter().map(|tag| tag.resource_type().unwrap().as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["dhcp-options", "security-group"]);
    refused!(client.describe_capacity_blocks(), "InvalidAction");
}

#[tokio::test]
async fn a_process_is_watched_signalled_and_killed() {
    let keys = Credentials { access_key: "AKIAX".into(), secret: "s".into(), session_token: String::new() };
    let mut env = aws_env(&keys, REGION, "http://127.0.0.1:1");
    env.push(("GREETING".into(), "hello".into()));
    let script =
        "echo $GREETING $AWS_REGION; echo talk >&2; trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done";
    let mut daemon = Daemon::spawn(Path::new("/bin/sh"), &["-c", script], &env);
    until("it greets", Duration::from_secs(10), || async { daemon.stdout().contains("hello eu-west-1") }).await;
    daemon.signal(Signal::Term).await;
    let status = daemon.wait_exit(Duration::from_secs(10)).await;
    assert_eq!(status.code(), Some(3), "{}", daemon.output());
    assert!(daemon.stdout().ends_with("bye\n") && daemon.stderr().contains("talk"));

    let mut daemon = Daemon::spawn(Path::new("/bin/sleep"), &["100"], &[]);
    assert!(daemon.running());
    daemon.kill9().await;
    assert!(!daemon.running());
}
