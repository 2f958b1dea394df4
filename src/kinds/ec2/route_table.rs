//! `ec2:route-table`: routes, and the subnets and gateways that use them.
//!
//! Routes that AWS or another resource puts in are never in the spec: local ones, those that gateways and route servers
//! propagate, those that gateway endpoints bring (H8). The main table comes with its VPC and is adopted (H3).
use super::{
    about, all, converge_tags, failed, filter, found, gone_already, held, only, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{AnyLateRef, Coverage, FromSdk, Input, Inputs, LateRef, Ref, Set, Tags},
        names::{ec2, networkmanager, odb},
    },
    mirror,
    model::Alias,
    plan::{
        facts::Phase,
        preflight::{Per, Quota},
    },
};
use aws_sdk_ec2::{
    operation::{
        associate_route_table::builders::AssociateRouteTableInputBuilder,
        create_route::builders::CreateRouteInputBuilder, create_route_table::builders::CreateRouteTableInputBuilder,
        enable_vgw_route_propagation::builders::EnableVgwRoutePropagationInputBuilder,
        replace_route::builders::ReplaceRouteInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;

mirror! {
    Spec from sdk::RouteTable;
    keep {
        associations @ "associationSet": Set<RouteTableAssociation>,
        propagating_vgws @ "propagatingVgwSet": Set<PropagatingVgw>,
        routes @ "routeSet": Set<Route>,
        tags @ "tagSet": Tags,
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
    }
    drop {
        route_table_id @ "routeTableId": "the id itself; remapped",
        owner_id @ "ownerId": "the account; part of the key",
    }
    also {
        blackholes: Set<String>, // destinations of `routes` whose target was gone or down
    }
}

mirror! {
    RouteTableAssociation from sdk::RouteTableAssociation, key [subnet_id, gateway_id, public_ipv4_pool];
    keep {
        main @ "main": Option<bool>,
        subnet_id @ "subnetId": Option<LateRef<ec2::Subnet>>,
        gateway_id @ "gatewayId": Option<AnyLateRef>,
        public_ipv4_pool @ "publicIpv4Pool": Option<String>,
    }
    drop {
        route_table_association_id @ "routeTableAssociationId": "assigned by AWS at each association; an alias",
        route_table_id @ "routeTableId": "the resource itself",
        association_state @ "associationState": "runtime state",
    }
}

mirror! {
    PropagatingVgw from sdk::PropagatingVgw, key [gateway_id];
    keep {
        gateway_id @ "gatewayId": Option<LateRef<ec2::VpnGateway>>,
    }
}

mirror! {
    Route from sdk::Route, key [destination_cidr_block, destination_ipv6_cidr_block, destination_prefix_list_id];
    keep {
        destination_cidr_block @ "destinationCidrBlock": Option<String>,
        destination_ipv6_cidr_block @ "destinationIpv6CidrBlock": Option<String>,
        destination_prefix_list_id @ "destinationPrefixListId": Option<LateRef<ec2::ManagedPrefixList>>,
        egress_only_internet_gateway_id @ "egressOnlyInternetGatewayId": Option<LateRef<ec2::EgressOnlyIgw>>,
        gateway_id @ "gatewayId": Option<AnyLateRef>,
        instance_id @ "instanceId": Option<LateRef<ec2::Instance>>,
        nat_gateway_id @ "natGatewayId": Option<LateRef<ec2::NatGateway>>,
        transit_gateway_id @ "transitGatewayId": Option<LateRef<ec2::TransitGateway>>,
        local_gateway_id @ "localGatewayId": Option<LateRef<ec2::LocalGateway>>,
        carrier_gateway_id @ "carrierGatewayId": Option<LateRef<ec2::CarrierGateway>>,
        network_interface_id @ "networkInterfaceId": Option<LateRef<ec2::NetworkInterface>>,
        origin @ "origin": Option<String>,
        vpc_peering_connection_id @ "vpcPeeringConnectionId": Option<LateRef<ec2::VpcPeeringConnection>>,
        core_network_arn @ "coreNetworkArn": Option<LateRef<networkmanager::CoreNetwork>>,
        odb_network_arn @ "odbNetworkArn": Option<LateRef<odb::Network>>,
    }
    drop {
        instance_owner_id @ "instanceOwnerId": "follows from the instance",
        state @ "state": "kept as `blackholes` of the table",
        ip_address @ "ipAddress": "only of routes that a route server puts in",
    }
    gap {
        "igwFirewall": "the SDK does not parse it yet; reference",
    }
}

input! {
    Spec => create_route_table(CreateRouteTableInputBuilder);
    set {
        set_vpc_id: vpc_id,
    }
    leave {
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        client_token: "the step's token",
        dry_run: "the engine's",
    }
}

input! {
    Route => create_route(CreateRouteInputBuilder);
    set {
        set_destination_prefix_list_id: destination_prefix_list_id,
        set_transit_gateway_id: transit_gateway_id,
        set_local_gateway_id: local_gateway_id,
        set_carrier_gateway_id: carrier_gateway_id,
        set_core_network_arn: core_network_arn,
        set_odb_network_arn: odb_network_arn,
        set_destination_cidr_block: destination_cidr_block,
        set_gateway_id: gateway_id,
        set_destination_ipv6_cidr_block: destination_ipv6_cidr_block,
        set_egress_only_internet_gateway_id: egress_only_internet_gateway_id,
        set_instance_id: instance_id,
        set_network_interface_id: network_interface_id,
        set_vpc_peering_connection_id: vpc_peering_connection_id,
        set_nat_gateway_id: nat_gateway_id,
    }
    leave {
        vpc_endpoint_id: "gateway_id, where it names an endpoint: endpoint()",
        dry_run: "the engine's",
        route_table_id: "the resource at hand",
    }
}

input! {
    Route => replace_route(ReplaceRouteInputBuilder);
    set {
        set_destination_prefix_list_id: destination_prefix_list_id,
        set_transit_gateway_id: transit_gateway_id,
        set_local_gateway_id: local_gateway_id,
        set_carrier_gateway_id: carrier_gateway_id,
        set_core_network_arn: core_network_arn,
        set_odb_network_arn: odb_network_arn,
        set_destination_cidr_block: destination_cidr_block,
        set_gateway_id: gateway_id,
        set_destination_ipv6_cidr_block: destination_ipv6_cidr_block,
        set_egress_only_internet_gateway_id: egress_only_internet_gateway_id,
        set_instance_id: instance_id,
        set_network_interface_id: network_interface_id,
        set_vpc_peering_connection_id: vpc_peering_connection_id,
        set_nat_gateway_id: nat_gateway_id,
    }
    leave {
        vpc_endpoint_id: "gateway_id, where it names an endpoint: endpoint()",
        local_target: "a local route whose target was replaced and is not to be: Todo::Localise",
        dry_run: "the engine's",
        route_table_id: "the resource at hand",
    }
}

input! {
    RouteTableAssociation => associate_route_table(AssociateRouteTableInputBuilder);
    set {
        set_gateway_id: gateway_id,
        set_public_ipv4_pool: public_ipv4_pool,
        set_subnet_id: subnet_id,
    }
    leave {
        dry_run: "the engine's",
        route_table_id: "the resource at hand",
    }
}

input! {
    PropagatingVgw => enable_vgw_route_propagation(EnableVgwRoutePropagationInputBuilder);
    set {
        set_gateway_id: gateway_id,
    }
    leave {
        route_table_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

pub struct RouteTable;

/// AWS's word for a route that came with the table. One with another target than `local` is a local route replaced.
const WITH_THE_TABLE: &str = "CreateRouteTable";

/// H8: local routes come with the table, propagated ones with their gateway or route server, a gateway endpoint's with the
/// endpoint.
fn is_users(r: &sdk::Route) -> bool {
    use sdk::RouteOrigin::{Advertisement, EnableVgwRoutePropagation};
    let gateway = r.gateway_id.as_deref().unwrap_or_default();
    let made_by_endpoint = r.destination_prefix_list_id.is_some() && gateway.starts_with("vpce-");
    gateway != "local" && !made_by_endpoint && !matches!(r.origin, Some(EnableVgwRoutePropagation | Advertisement))
}
fn is_leaving(a: &sdk::RouteTableAssociation) -> bool {
    use sdk::RouteTableAssociationStateCode::{Disassociated, Disassociating, Failed};
    let state = a.association_state.as_ref().and_then(|s| s.state.as_ref());
    matches!(state, Some(Disassociated | Disassociating | Failed))
}

impl Route {
    fn destination(&self) -> &str {
        let list = self.destination_prefix_list_id.as_ref().map(|l| l.0.as_str());
        let cidr = self.destination_cidr_block.as_deref().or(self.destination_ipv6_cidr_block.as_deref());
        cidr.or(list).unwrap_or_default()
    }
    /// As a call takes it: one target. AWS tells an instance's interface too, which is always the more exact one, and an
    /// endpoint as a gateway.
    fn target(&self) -> Self {
        let mut r = self.clone();
        r.origin = None;
        if r.network_interface_id.is_some() {
            r.instance_id = None;
        }
        r
    }
    fn endpoint(&self) -> Option<String> {
        self.gateway_id.as_ref().map(|g| g.0.clone()).filter(|g| g.starts_with("vpce-"))
    }
    async fn create(&self, cx: &Cx, table: &str) -> Result<(), Failure> {
        let action = "ec2:CreateRoute";
        let mut call = self.target().create_route().map_err(unbuildable(action))?.route_table_id(table);
        if let Some(endpoint) = self.endpoint() {
            call = call.set_gateway_id(None).vpc_endpoint_id(endpoint);
        }
        match call.send_with(&cx.ec2).await.map_err(failed(action)) {
            // It may lead elsewhere: a local route, or one that came back by itself.
            Err(f) if f.class == Class::Exists => self.replace(cx, table).await,
            answer => answer.map(drop),
        }
    }
    async fn replace(&self, cx: &Cx, table: &str) -> Result<(), Failure> {
        let action = "ec2:ReplaceRoute";
        let mut call = self.target().replace_route().map_err(unbuildable(action))?.route_table_id(table);
        if let Some(endpoint) = self.endpoint() {
            call = call.set_gateway_id(None).vpc_endpoint_id(endpoint);
        }
        call.send_with(&cx.ec2).await.map(drop).map_err(failed(action))
    }
    async fn localise(&self, cx: &Cx, table: &str) -> Result<(), Failure> {
        let call = cx.ec2.replace_route().route_table_id(table).local_target(true);
        let call = call.set_destination_cidr_block(self.destination_cidr_block.clone());
        let call = call.set_destination_ipv6_cidr_block(self.destination_ipv6_cidr_block.clone());
        call.send().await.map(drop).map_err(failed("ec2:ReplaceRoute"))
    }
    async fn delete(&self, cx: &Cx, table: &str) -> Result<(), Failure> {
        let call = cx.ec2.delete_route().route_table_id(table);
        let call = call.set_destination_cidr_block(self.destination_cidr_block.clone());
        let call = call.set_destination_ipv6_cidr_block(self.destination_ipv6_cidr_block.clone());
        let call = call.set_destination_prefix_list_id(self.destination_prefix_list_id.as_ref().map(|l| l.0.clone()));
        gone_already(call.send().await.map_err(failed("ec2:DeleteRoute")))
    }
}

impl Spec {
    fn is_main(&self) -> bool {
        self.associations.iter().any(|a| a.main == Some(true))
    }
    fn route(&self, destination: &str) -> Option<&Route> {
        self.routes.iter().find(|r| r.destination() == destination)
    }
}

/// What `converge` has to do, each one call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Todo<'a> {
    Create(&'a Route),
    Replace(&'a Route),
    /// Give a local route its target back.
    Localise(&'a Route),
    Delete(&'a Route),
    Associate(&'a RouteTableAssociation),
    Disassociate(&'a RouteTableAssociation),
    MakeMain,
    Propagate(&'a PropagatingVgw),
    StopPropagating(&'a PropagatingVgw),
}
impl Todo<'_> {
    fn action(&self) -> &'static str {
        match self {
            Self::Create(_) => "ec2:CreateRoute",
            Self::Replace(_) | Self::Localise(_) => "ec2:ReplaceRoute",
            Self::Delete(_) => "ec2:DeleteRoute",
            Self::Associate(_) => "ec2:AssociateRouteTable",
            Self::Disassociate(_) => "ec2:DisassociateRouteTable",
            Self::MakeMain => "ec2:ReplaceRouteTableAssociation",
            Self::Propagate(_) => "ec2:EnableVgwRoutePropagation",
            Self::StopPropagating(_) => "ec2:DisableVgwRoutePropagation",
        }
    }
    fn is_association(&self) -> bool {
        matches!(self, Self::Associate(_) | Self::Disassociate(_) | Self::MakeMain)
    }
}
fn todo<'a>(now: &'a Spec, want: &'a Spec) -> Vec<Todo<'a>> {
    let mut out = vec![];
    for r in want.routes.iter() {
        match now.route(r.destination()) {
            Some(there) if there.target() == r.target() => {}
            Some(_) => out.push(Todo::Replace(r)),
            None if r.origin.as_deref() == Some(WITH_THE_TABLE) => out.push(Todo::Replace(r)),
            None => out.push(Todo::Create(r)),
        }
    }
    for r in now.routes.iter().filter(|r| want.route(r.destination()).is_none()) {
        out.push(if r.origin.as_deref() == Some(WITH_THE_TABLE) { Todo::Localise(r) } else { Todo::Delete(r) });
    }
    let explicit = |s: &'a Spec| s.associations.iter().filter(|a| a.main != Some(true));
    out.extend(explicit(want).filter(|a| !now.associations.contains(a)).map(Todo::Associate));
    out.extend(explicit(now).filter(|a| !want.associations.contains(a)).map(Todo::Disassociate));
    // H7. The other way round is the doing of the table that becomes the main one.
    if want.is_main() && !now.is_main() {
        out.push(Todo::MakeMain);
    }
    out.extend(want.propagating_vgws.iter().filter(|v| !now.propagating_vgws.contains(v)).map(Todo::Propagate));
    out.extend(now.propagating_vgws.iter().filter(|v| !want.propagating_vgws.contains(v)).map(Todo::StopPropagating));
    out
}

async fn tables(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::RouteTable>, Failure> {
    // The page of this call is smaller than that of others: at most 100.
    let call = cx.ec2.describe_route_tables().set_filters(filters).into_paginator().page_size(100);
    call.items().send().try_collect().await.map_err(failed("ec2:DescribeRouteTables"))
}

fn seen(mut t: sdk::RouteTable) -> Option<Seen<Spec>> {
    let id = t.route_table_id.clone()?;
    let ids = t.associations.iter().flatten().filter_map(|a| a.route_table_association_id.clone());
    let aliases = ids.map(Alias).collect();
    if let Some(rows) = &mut t.associations {
        rows.retain(|a| !is_leaving(a));
        rows.iter_mut().for_each(|a| a.main = a.main.filter(|m| *m));
    }
    let mut blackholes = vec![];
    if let Some(rows) = &mut t.routes {
        rows.retain(is_users);
        for r in rows {
            // Only of a replaced local route does it matter how it came to be.
            r.origin = r.origin.take().filter(|o| o.as_str() == WITH_THE_TABLE);
            if r.state == Some(sdk::RouteState::Blackhole) {
                blackholes.push(Route::from_sdk(r).destination().to_owned());
            }
        }
    }
    let mut spec = Spec::from_sdk(&t);
    spec.blackholes = blackholes.into();
    Some(Seen { id, spec, aliases })
}

/// Puts subnets, gateways and the main association on this table, or takes them off it, by what is associated at this
/// moment: ids of associations change whenever one moves, and another table may be at the same subnet right now.
async fn associate(cx: &Cx, id: &str, vpc: Option<&Ref<ec2::Vpc>>, todos: &[Todo<'_>]) -> Result<(), Failure> {
    let all_of_vpc = tables(cx, Some(vec![filter("vpc-id", vpc.map(|v| &v.0))])).await?;
    let live: Vec<sdk::RouteTableAssociation> =
        all_of_vpc.into_iter().flat_map(|t| t.associations.unwrap_or_default()).filter(|a| !is_leaving(a)).collect();
    let calls = todos.iter().map(|todo| {
        let live = &live;
        let call: BoxFuture<'_, Result<(), Failure>> = Box::pin(async move {
            let there = live.iter().find(|a| match todo {
                Todo::Associate(w) | Todo::Disassociate(w) => {
                    let mut a = RouteTableAssociation::from_sdk(a);
                    a.main = a.main.filter(|m| *m);
                    a == **w
                }
                _ => a.main == Some(true),
            });
            let is_ours = there.is_some_and(|a| a.route_table_id.as_deref() == Some(id));
            let association = there.and_then(|a| a.route_table_association_id.as_ref());
            match (todo, association) {
                (Todo::Disassociate(_), Some(association)) if is_ours => {
                    let call = cx.ec2.disassociate_route_table().association_id(association);
                    gone_already(call.send().await.map_err(failed("ec2:DisassociateRouteTable")))
                }
                (Todo::Disassociate(_), _) => Ok(()),
                _ if is_ours => Ok(()),
                // H7: the main association can only move; and so can a subnet that another table has.
                (_, Some(association)) => {
                    let call = cx.ec2.replace_route_table_association().association_id(association).route_table_id(id);
                    call.send().await.map(drop).map_err(failed("ec2:ReplaceRouteTableAssociation"))
                }
                (Todo::Associate(row), None) => {
                    let action = "ec2:AssociateRouteTable";
                    let call = row.associate_route_table().map_err(unbuildable(action))?.route_table_id(id);
                    call.send_with(&cx.ec2).await.map(drop).map_err(failed(action))
                }
                _ => Err(Failure::incomplete("ec2:DescribeRouteTables", "main route table of the VPC")),
            }
        });
        call
    });
    all(calls.collect()).await
}

impl Kind for RouteTable {
    type Name = ec2::RouteTable;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] =
        &[&Spec::COVERAGE, &RouteTableAssociation::COVERAGE, &PropagatingVgw::COVERAGE, &Route::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateRouteTableInputBuilder>>::TABLE,
        &<Route as Input<CreateRouteInputBuilder>>::TABLE,
        &<Route as Input<ReplaceRouteInputBuilder>>::TABLE,
        &<RouteTableAssociation as Input<AssociateRouteTableInputBuilder>>::TABLE,
        &<PropagatingVgw as Input<EnableVgwRoutePropagationInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeRouteTables"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateRouteTable",
        "ec2:CreateRoute",
        "ec2:ReplaceRoute",
        "ec2:DeleteRoute",
        "ec2:AssociateRouteTable",
        "ec2:ReplaceRouteTableAssociation",
        "ec2:DisassociateRouteTable",
        "ec2:EnableVgwRoutePropagation",
        "ec2:DisableVgwRoutePropagation",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id and the ids of its associations",
        "a route from a prefix list to a Gateway Load Balancer endpoint, which looks like a gateway endpoint's own",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_route_table";
    const QUOTAS: &'static [Quota] = &[
        Quota {
            service: "vpc",
            code: "L-589F43AA",
            name: "Route tables per VPC",
            default: 200,
            per: Per::Owner("vpc_id"),
            uses: Quota::EACH,
        },
        Quota {
            service: "vpc",
            code: "L-93826ACB",
            name: "Routes per route table",
            default: 50,
            per: Per::Itself,
            uses: |s| super::per_family(&s["routes"], "destination_cidr_block", "destination_ipv6_cidr_block"),
        },
    ];
    const IMMUTABLE: &'static [&'static str] = &["vpc_id"];
    // A route to a transit gateway needs the attachment of its VPC, which it does not name (H18).
    const AFTER: &'static [&'static str] = &["ec2:transit-gateway-attachment"];
    // A route takes a gateway that is attached, and a peering that is accepted.
    const LINK_AFTER: &'static [&'static str] =
        &["ec2:internet-gateway", "ec2:vpn-gateway", "ec2:vpc-peering-connection", "ec2:transit-gateway"];
    const REPORTED: &'static [(&'static str, &'static str)] =
        &[("blackholes", "a route whose target was gone or down already comes back only if the target takes it")];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        Ok(tables(cx, only("route-table-id", which)).await?.into_iter().filter_map(seen).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let answer = cx.ec2.describe_route_tables().route_table_ids(id).send().await;
        let here = found(answer.map_err(failed("ec2:DescribeRouteTables")))?.and_then(|a| a.route_tables);
        Ok(here.unwrap_or_default().pop().and_then(seen))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "route-table", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateRouteTable";
        let tags = tags_on_create(sdk::ResourceType::RouteTable, &spec.tags, step)?;
        let call = spec.create_route_table().map_err(unbuildable(action))?;
        let call = call.tag_specifications(tags).client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "route table id", made.route_table.and_then(|t| t.route_table_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let (associations, others): (Vec<_>, Vec<_>) = todo(now, want).into_iter().partition(Todo::is_association);
        let mut calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags))];
        if !associations.is_empty() {
            calls.push(Box::pin(async move {
                match associate(cx, id, want.vpc_id.as_ref(), &associations).await {
                    // One moved between the look and the call, as tables that swap subnets do: look once more.
                    Err(f) if matches!(f.class, Class::Exists | Class::NotFound) => {
                        associate(cx, id, want.vpc_id.as_ref(), &associations).await
                    }
                    answer => answer,
                }
            }));
        }
        for todo in others {
            calls.push(Box::pin(async move {
                match todo {
                    Todo::Create(r) | Todo::Replace(r) => {
                        let is_new = matches!(todo, Todo::Create(_));
                        match if is_new { r.create(cx, id).await } else { r.replace(cx, id).await } {
                            // H8: dead before the incident, dead now. The difference shows on read-back.
                            Err(f) if is_refused(&f) && want.blackholes.iter().any(|b| b == r.destination()) => Ok(()),
                            answer => answer.map_err(about(format_args!("route to {}", r.destination()))),
                        }
                    }
                    Todo::Localise(r) => r.localise(cx, id).await,
                    Todo::Delete(r) => r.delete(cx, id).await,
                    Todo::Propagate(vgw) => {
                        let action = todo.action();
                        let call = vgw.enable_vgw_route_propagation().map_err(unbuildable(action))?.route_table_id(id);
                        call.send_with(&cx.ec2).await.map(drop).map_err(failed(action))
                    }
                    Todo::StopPropagating(vgw) => {
                        let gateway = vgw.gateway_id.as_ref().map(|g| g.0.clone());
                        let call = cx.ec2.disable_vgw_route_propagation().route_table_id(id).set_gateway_id(gateway);
                        gone_already(call.send().await.map_err(failed(todo.action())))
                    }
                    Todo::Associate(_) | Todo::Disassociate(_) | Todo::MakeMain => Ok(()),
                }
            }));
        }
        all(calls).await
    }

    /// H3: the main table comes with its VPC.
    fn is_implicit(spec: &Spec) -> bool {
        spec.is_main()
    }
    async fn implicit(cx: &Cx, want: &Spec) -> Result<Option<String>, Failure> {
        let Some(vpc) = &want.vpc_id else { return Ok(None) };
        let main = vec![filter("vpc-id", [&vpc.0]), filter("association.main", ["true"])];
        Ok(tables(cx, Some(main)).await?.pop().and_then(|t| t.route_table_id))
    }

    fn terraform(id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        // The provider finds a main table by its VPC.
        let table = match &spec.vpc_id {
            Some(vpc) if spec.is_main() => ("aws_default_route_table", vpc.0.clone()),
            _ => (Self::TERRAFORM, id.to_owned()),
        };
        let of = |a: &RouteTableAssociation| {
            a.subnet_id.as_ref().map(|s| s.0.clone()).or(a.gateway_id.as_ref().map(|g| g.0.clone()))
        };
        let associated = spec.associations.iter().filter_map(of);
        let rows = associated.map(|target| ("aws_route_table_association", format!("{target}/{id}")));
        [table].into_iter().chain(rows).collect()
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateRouteTable"] };
        let tags = tag_calls(&now.tags, &want.tags);
        tags.into_iter().chain(todo(now, want).iter().map(Todo::action)).collect()
    }
}

/// AWS will not have the target: it is gone, or in no state to be routed to.
fn is_refused(f: &Failure) -> bool {
    matches!(f.class, Class::NotFound | Class::Invalid)
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, sent, spec},
        *,
    };
    use crate::{
        aws::canned::{Answer, Canned},
        kinds::mirror::Plain,
    };
    use serde_json::{Value, json};
    use std::sync::atomic::{AtomicBool, Ordering};

    const VPC: &str = r#"{"$ref": "ec2:vpc", "id": "vpc-1"}"#;
    fn table(associations: Value, routes: Value) -> Value {
        let vpc: Value = serde_json::from_str(VPC).unwrap();
        json!({"vpc_id": vpc, "associations": associations, "routes": routes})
    }
    fn subnet(id: &str) -> Value {
        json!({"subnet_id": {"$late": "ec2:subnet", "id": id}})
    }
    fn route(to: &str, by: &str, kind: &str, id: &str) -> Value {
        json!({"destination_cidr_block": to, by: {"$late": kind, "id": id}})
    }
    fn to_nat(id: &str) -> Value {
        route("0.0.0.0/0", "nat_gateway_id", "ec2:nat-gateway", id)
    }
    /// Tables as DescribeRouteTables answers: id, then its associations as (id, what).
    fn tables(all: &[(&str, &[(&str, &str)])]) -> String {
        let items = all.iter().map(|(id, associations)| {
            let rows = associations.iter().map(|(a, what)| {
                format!("<item><routeTableAssociationId>{a}</routeTableAssociationId><routeTableId>{id}</routeTableId>{what}</item>")
            });
            format!("<item><routeTableId>{id}</routeTableId><associationSet>{}</associationSet></item>", rows.collect::<String>())
        });
        format!("<routeTableSet>{}</routeTableSet>", items.collect::<String>())
    }
    const MAIN: &str = "<main>true</main>";
    const SUBNET_1: &str = "<main>false</main><subnetId>subnet-1</subnetId>";

    #[tokio::test]
    async fn h8_routes_that_others_make_are_not_in_the_spec() {
        let routes = [
            "<destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId><origin>CreateRouteTable</origin>",
            "<destinationCidrBlock>192.168.0.0/16</destinationCidrBlock><gatewayId>vgw-1</gatewayId><origin>EnableVgwRoutePropagation</origin>",
            "<destinationCidrBlock>192.169.0.0/16</destinationCidrBlock><networkInterfaceId>eni-1</networkInterfaceId><origin>Advertisement</origin>",
            "<destinationPrefixListId>pl-s3</destinationPrefixListId><gatewayId>vpce-s3</gatewayId><origin>CreateRoute</origin>",
            "<destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><natGatewayId>nat-1</natGatewayId><state>blackhole</state><origin>CreateRoute</origin>",
            "<destinationCidrBlock>10.0.1.0/24</destinationCidrBlock><networkInterfaceId>eni-2</networkInterfaceId><origin>CreateRouteTable</origin>",
            "<destinationCidrBlock>10.9.0.0/16</destinationCidrBlock><gatewayId>vpce-gwlb</gatewayId><origin>CreateRoute</origin>",
        ];
        let rows: String = routes.iter().map(|r| format!("<item>{r}</item>")).collect();
        let canned = Canned::new(move |_| {
            Answer::Ok(format!(
                "<routeTableSet><item><routeTableId>rtb-1</routeTableId><routeSet>{rows}</routeSet></item></routeTableSet>"
            ))
        });
        let seen = RouteTable::read(&canned.cx(), "rtb-1").await.unwrap().unwrap();
        assert_eq!(
            seen.spec.to_json(),
            json!({"blackholes": ["0.0.0.0/0"], "routes": [
                to_nat("nat-1"),
                {"destination_cidr_block": "10.0.1.0/24", "network_interface_id": {"$late": "ec2:network-interface", "id": "eni-2"}, "origin": "CreateRouteTable"},
                route("10.9.0.0/16", "gateway_id", "ec2:vpc-endpoint", "vpce-gwlb"),
            ]})
        );
    }

    #[tokio::test]
    async fn h8_each_route_goes_by_the_call_that_it_needs() {
        let canned = Canned::new(|_| "".into());
        let now = table(
            json!([]),
            json!([
                to_nat("nat-old"),
                route("172.16.0.0/12", "gateway_id", "ec2:internet-gateway", "igw-1"),
                {"destination_cidr_block": "10.0.2.0/24", "network_interface_id": {"$late": "ec2:network-interface", "id": "eni-2"}, "origin": "CreateRouteTable"},
            ]),
        );
        let want = table(
            json!([]),
            json!([
                to_nat("nat-new"),
                route("10.9.0.0/16", "gateway_id", "ec2:vpc-endpoint", "vpce-1"),
                {"destination_cidr_block": "10.0.1.0/24", "network_interface_id": {"$late": "ec2:network-interface", "id": "eni-2"}, "origin": "CreateRouteTable"},
                {"destination_cidr_block": "10.8.0.0/16", "network_interface_id": {"$late": "ec2:network-interface", "id": "eni-1"}, "instance_id": {"$late": "ec2:instance", "id": "i-1"}},
            ]),
        );
        assert_eq!(
            foretold::<RouteTable>(&canned, "rtb-1", &now, &want).await,
            [
                "ReplaceRoute DestinationCidrBlock=0.0.0.0/0 NatGatewayId=nat-new RouteTableId=rtb-1",
                "ReplaceRoute DestinationCidrBlock=10.0.1.0/24 NetworkInterfaceId=eni-2 RouteTableId=rtb-1",
                "CreateRoute DestinationCidrBlock=10.8.0.0/16 NetworkInterfaceId=eni-1 RouteTableId=rtb-1",
                "CreateRoute DestinationCidrBlock=10.9.0.0/16 RouteTableId=rtb-1 VpcEndpointId=vpce-1",
                "ReplaceRoute DestinationCidrBlock=10.0.2.0/24 LocalTarget=true RouteTableId=rtb-1",
                "DeleteRoute DestinationCidrBlock=172.16.0.0/12 RouteTableId=rtb-1",
            ]
        );
    }

    #[tokio::test]
    async fn h8_h64_a_route_that_is_there_already_is_replaced() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "CreateRoute" => {
                Answer::Error(400, "RouteAlreadyExists", "The route identified by 0.0.0.0/0 already exists.")
            }
            _ => "".into(),
        });
        let want = table(json!([]), json!([to_nat("nat-1")]));
        let sent = sent::<RouteTable>(&canned, "rtb-1", &table(json!([]), json!([])), &want).await.unwrap();
        assert_eq!(sent[1], "ReplaceRoute DestinationCidrBlock=0.0.0.0/0 NatGatewayId=nat-1 RouteTableId=rtb-1");
    }

    #[tokio::test]
    async fn h8_a_dead_target_stops_no_other_route_and_is_told_unless_it_was_dead_before() {
        let canned = Canned::new(|c| match c.get("NatGatewayId") {
            "nat-dead" => {
                Answer::Error(400, "InvalidNatGatewayID.NotFound", "The natGateway ID 'nat-dead' does not exist")
            }
            _ => "".into(),
        });
        let now = table(json!([]), json!([]));
        let mut want = table(
            json!([]),
            json!([to_nat("nat-dead"), route("10.8.0.0/16", "gateway_id", "ec2:internet-gateway", "igw-1")]),
        );
        let f = sent::<RouteTable>(&canned, "rtb-1", &now, &want).await.unwrap_err();
        assert_eq!((f.class, canned.wrote().len()), (Class::NotFound, 2));
        assert!(f.message.starts_with("route to 0.0.0.0/0: "), "{f}");
        want["blackholes"] = json!(["0.0.0.0/0"]);
        assert_eq!(sent::<RouteTable>(&canned, "rtb-1", &now, &want).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn h7_the_main_association_moves_from_the_table_that_has_it() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "DescribeRouteTables" => {
                assert_eq!((c.get("Filter.1.Name"), c.get("Filter.1.Value.1")), ("vpc-id", "vpc-1"));
                Answer::Ok(tables(&[("rtb-other", &[("rtbassoc-m", MAIN)]), ("rtb-1", &[])]))
            }
            _ => "".into(),
        });
        let (now, want) = (table(json!([]), json!([])), table(json!([{"main": true}]), json!([])));
        assert_eq!(
            foretold::<RouteTable>(&canned, "rtb-1", &now, &want).await,
            ["ReplaceRouteTableAssociation AssociationId=rtbassoc-m RouteTableId=rtb-1"]
        );
        // The other table cannot give it up; the one that is to have it takes it.
        assert_eq!(sent::<RouteTable>(&canned, "rtb-other", &want, &now).await.unwrap(), [] as [String; 0]);
    }

    #[tokio::test]
    async fn h7_a_subnet_is_taken_over_from_the_table_that_has_it_now() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "DescribeRouteTables" => Answer::Ok(tables(&[
                ("rtb-m", &[("rtbassoc-m", MAIN), ("rtbassoc-1", SUBNET_1)]),
                ("rtb-1", &[("rtbassoc-9", "<subnetId>subnet-9</subnetId>")]),
            ])),
            _ => "".into(),
        });
        let gateway = json!({"gateway_id": {"$late": "ec2:internet-gateway", "id": "igw-1"}});
        let now = table(json!([subnet("subnet-9"), subnet("subnet-8")]), json!([]));
        let want = table(json!([subnet("subnet-1"), subnet("subnet-2"), gateway]), json!([]));
        assert_eq!(
            sent::<RouteTable>(&canned, "rtb-1", &now, &want).await.unwrap(),
            [
                "AssociateRouteTable GatewayId=igw-1 RouteTableId=rtb-1",
                "ReplaceRouteTableAssociation AssociationId=rtbassoc-1 RouteTableId=rtb-1",
                "AssociateRouteTable RouteTableId=rtb-1 SubnetId=subnet-2",
                // subnet-8 has left by itself.
                "DisassociateRouteTable AssociationId=rtbassoc-9",
            ]
        );
    }

    #[tokio::test]
    async fn an_association_that_moved_meanwhile_is_looked_up_once_more() {
        let moved = AtomicBool::new(false);
        let canned = Canned::new(move |c| match c.action.as_str() {
            "DescribeRouteTables" if moved.load(Ordering::Relaxed) => {
                Answer::Ok(tables(&[("rtb-2", &[("rtbassoc-new", SUBNET_1)])]))
            }
            "DescribeRouteTables" => Answer::Ok(tables(&[("rtb-3", &[("rtbassoc-old", SUBNET_1)])])),
            _ if c.get("AssociationId") == "rtbassoc-old" => {
                moved.store(true, Ordering::Relaxed);
                Answer::Error(400, "InvalidAssociationID.NotFound", "The association ID 'rtbassoc-old' does not exist")
            }
            _ => "".into(),
        });
        let (now, want) = (table(json!([]), json!([])), table(json!([subnet("subnet-1")]), json!([])));
        let sent = sent::<RouteTable>(&canned, "rtb-1", &now, &want).await.unwrap();
        assert_eq!(sent[1], "ReplaceRouteTableAssociation AssociationId=rtbassoc-new RouteTableId=rtb-1");
    }

    #[tokio::test]
    async fn h3_the_main_table_is_found_and_never_made() {
        assert!(RouteTable::is_implicit(&spec::<RouteTable>(&table(json!([{"main": true}]), json!([])))));
        assert!(!RouteTable::is_implicit(&spec::<RouteTable>(&table(json!([subnet("subnet-1")]), json!([])))));
        let canned = Canned::new(|_| Answer::Ok(tables(&[("rtb-m", &[("rtbassoc-m", MAIN)])])));
        let found =
            RouteTable::implicit(&canned.cx(), &spec::<RouteTable>(&table(json!([]), json!([])))).await.unwrap();
        let asked = canned.asked();
        assert_eq!((found.as_deref(), asked[0].get("Filter.2.Name")), (Some("rtb-m"), "association.main"));
    }

    #[tokio::test]
    async fn propagation_is_switched_and_associations_are_aliases() {
        let canned = Canned::new(|_| "".into());
        let vgw = |id: &str| {
            let mut t = table(json!([]), json!([]));
            t["propagating_vgws"] = json!([{"gateway_id": {"$late": "ec2:vpn-gateway", "id": id}}]);
            t
        };
        assert_eq!(
            foretold::<RouteTable>(&canned, "rtb-1", &vgw("vgw-1"), &vgw("vgw-2")).await,
            [
                "EnableVgwRoutePropagation GatewayId=vgw-2 RouteTableId=rtb-1",
                "DisableVgwRoutePropagation GatewayId=vgw-1 RouteTableId=rtb-1"
            ]
        );
        let canned =
            Canned::new(|_| Answer::Ok(tables(&[("rtb-m", &[("rtbassoc-m", MAIN), ("rtbassoc-1", SUBNET_1)])])));
        let seen = RouteTable::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen[0].aliases, [Alias("rtbassoc-m".into()), Alias("rtbassoc-1".into())]);
        assert_eq!(seen[0].spec.to_json()["associations"], json!([{"main": true}, subnet("subnet-1")]));
    }
}
