//! `ec2:transit-gateway-route-table`: where a transit gateway sends what comes in through the attachments that are
//! associated with the table.
//!
//! H18: associations, propagations and static routes are made again one by one; propagated routes come by themselves. An
//! attachment is in one table at most, and leaves it slowly.
use super::{
    about, all, converge_tags, failed, filter, found, gone_already, held, only, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, LateRef, Ref, Set, Tags},
        names::ec2,
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_ec2::{
    operation::{
        associate_transit_gateway_route_table::builders::AssociateTransitGatewayRouteTableInputBuilder,
        create_transit_gateway_prefix_list_reference::builders::CreateTransitGatewayPrefixListReferenceInputBuilder,
        create_transit_gateway_route::builders::CreateTransitGatewayRouteInputBuilder,
        create_transit_gateway_route_table::builders::CreateTransitGatewayRouteTableInputBuilder,
        enable_transit_gateway_route_table_propagation::builders::EnableTransitGatewayRouteTablePropagationInputBuilder,
        modify_transit_gateway_prefix_list_reference::builders::ModifyTransitGatewayPrefixListReferenceInputBuilder,
        replace_transit_gateway_route::builders::ReplaceTransitGatewayRouteInputBuilder,
    },
    types as sdk,
};
use futures_util::{
    future::{BoxFuture, try_join4},
    stream::{self, StreamExt, TryStreamExt},
};

mirror! {
    Spec from sdk::TransitGatewayRouteTable;
    keep {
        transit_gateway_id @ "transitGatewayId": Option<Ref<ec2::TransitGateway>>,
        tags @ "tagSet": Tags,
    }
    drop {
        transit_gateway_route_table_id @ "transitGatewayRouteTableId": "the id itself; remapped",
        state @ "state": "runtime state; see settled()",
        default_association_route_table @ "defaultAssociationRouteTable": "the gateway's options name the table",
        default_propagation_route_table @ "defaultPropagationRouteTable": "the gateway's options name the table",
        creation_time @ "creationTime": "runtime: a time",
    }
    also {
        routes: Set<Route>, // SearchTransitGatewayRoutes
        associations: Set<Association>, // GetTransitGatewayRouteTableAssociations
        propagations: Set<Propagation>, // GetTransitGatewayRouteTablePropagations
        prefix_list_references: Set<ListReference> // GetTransitGatewayPrefixListReferences
    }
}

mirror! {
    Route from sdk::TransitGatewayRoute, key [destination_cidr_block];
    keep {
        destination_cidr_block @ "destinationCidrBlock": Option<String>,
    }
    drop {
        prefix_list_id @ "prefixListId": "those that come with a reference to a list are its own",
        transit_gateway_route_table_announcement_id @ "transitGatewayRouteTableAnnouncementId": "only of routes that a peer announces",
        transit_gateway_attachments @ "transitGatewayAttachments": "flat: `attachment_id`; a static route has one",
        r#type @ "type": "static ones alone are here; propagated ones come by themselves",
        state @ "state": "one without an attachment is a blackhole",
    }
    also {
        attachment_id: Option<LateRef<ec2::TransitGatewayAttachment>>,
        blackhole: Option<bool>
    }
}

mirror! {
    RouteTarget from sdk::TransitGatewayRouteAttachment;
    keep {
        transit_gateway_attachment_id @ "transitGatewayAttachmentId": Option<LateRef<ec2::TransitGatewayAttachment>>,
    }
    drop {
        resource_id @ "resourceId": "of the attachment",
        resource_type @ "resourceType": "of the attachment",
    }
}

mirror! {
    Association from sdk::TransitGatewayRouteTableAssociation, key [transit_gateway_attachment_id];
    keep {
        transit_gateway_attachment_id @ "transitGatewayAttachmentId": Option<LateRef<ec2::TransitGatewayAttachment>>,
    }
    drop {
        resource_id @ "resourceId": "of the attachment",
        resource_type @ "resourceType": "of the attachment",
        state @ "state": "runtime state; one that is leaving is none",
    }
}

mirror! {
    Propagation from sdk::TransitGatewayRouteTablePropagation, key [transit_gateway_attachment_id];
    keep {
        transit_gateway_attachment_id @ "transitGatewayAttachmentId": Option<LateRef<ec2::TransitGatewayAttachment>>,
    }
    drop {
        resource_id @ "resourceId": "of the attachment",
        resource_type @ "resourceType": "of the attachment",
        state @ "state": "runtime state; one that is leaving is none",
        transit_gateway_route_table_announcement_id @ "transitGatewayRouteTableAnnouncementId": "names an announcement to a peer, which is made on both sides",
    }
}

mirror! {
    ListReference from sdk::TransitGatewayPrefixListReference, key [prefix_list_id];
    keep {
        prefix_list_id @ "prefixListId": Option<LateRef<ec2::ManagedPrefixList>>,
        blackhole @ "blackhole": Option<bool>,
    }
    drop {
        transit_gateway_attachment @ "transitGatewayAttachment": "flat: `attachment_id`",
        transit_gateway_route_table_id @ "transitGatewayRouteTableId": "the resource itself",
        prefix_list_owner_id @ "prefixListOwnerId": "follows from the list",
        state @ "state": "runtime state; one that is leaving is none",
    }
    also {
        attachment_id: Option<LateRef<ec2::TransitGatewayAttachment>>
    }
}

mirror! {
    ListTarget from sdk::TransitGatewayPrefixListAttachment;
    keep {
        transit_gateway_attachment_id @ "transitGatewayAttachmentId": Option<LateRef<ec2::TransitGatewayAttachment>>,
    }
    drop {
        resource_type @ "resourceType": "of the attachment",
        resource_id @ "resourceId": "of the attachment",
    }
}

input! {
    Spec => create_transit_gateway_route_table(CreateTransitGatewayRouteTableInputBuilder);
    set {
        set_transit_gateway_id: transit_gateway_id,
    }
    leave {
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

input! {
    Route => create_transit_gateway_route(CreateTransitGatewayRouteInputBuilder);
    set {
        set_destination_cidr_block: destination_cidr_block,
        set_transit_gateway_attachment_id: attachment_id,
        set_blackhole: blackhole,
    }
    leave {
        transit_gateway_route_table_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    Route => replace_transit_gateway_route(ReplaceTransitGatewayRouteInputBuilder);
    set {
        set_destination_cidr_block: destination_cidr_block,
        set_transit_gateway_attachment_id: attachment_id,
        set_blackhole: blackhole,
    }
    leave {
        transit_gateway_route_table_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    Association => associate_transit_gateway_route_table(AssociateTransitGatewayRouteTableInputBuilder);
    set {
        set_transit_gateway_attachment_id: transit_gateway_attachment_id,
    }
    leave {
        transit_gateway_route_table_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    Propagation => enable_transit_gateway_route_table_propagation(EnableTransitGatewayRouteTablePropagationInputBuilder);
    set {
        set_transit_gateway_attachment_id: transit_gateway_attachment_id,
    }
    leave {
        transit_gateway_route_table_id: "the resource at hand",
        transit_gateway_route_table_announcement_id: "names an announcement to a peer, which is made on both sides",
        dry_run: "the engine's",
    }
}

input! {
    ListReference => create_transit_gateway_prefix_list_reference(CreateTransitGatewayPrefixListReferenceInputBuilder);
    set {
        set_prefix_list_id: prefix_list_id,
        set_transit_gateway_attachment_id: attachment_id,
        set_blackhole: blackhole,
    }
    leave {
        transit_gateway_route_table_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    ListReference => modify_transit_gateway_prefix_list_reference(ModifyTransitGatewayPrefixListReferenceInputBuilder);
    set {
        set_prefix_list_id: prefix_list_id,
        set_transit_gateway_attachment_id: attachment_id,
        set_blackhole: blackhole,
    }
    leave {
        transit_gateway_route_table_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

/// A route table of a transit gateway.
pub struct TransitGatewayRouteTable;

type Attachment = Option<LateRef<ec2::TransitGatewayAttachment>>;
fn text(id: &Attachment) -> &str {
    id.as_ref().map(|a| a.0.as_str()).unwrap_or_default()
}

/// What `converge` has to do, each one call.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Todo<'a> {
    CreateRoute(&'a Route),
    ReplaceRoute(&'a Route),
    DeleteRoute(&'a Route),
    Associate(&'a Association),
    Disassociate(&'a Association),
    Propagate(&'a Propagation),
    StopPropagating(&'a Propagation),
    Refer(&'a ListReference),
    ReferElsewhere(&'a ListReference),
    StopReferring(&'a ListReference),
}
impl Todo<'_> {
    fn action(&self) -> &'static str {
        match self {
            Self::CreateRoute(_) => "ec2:CreateTransitGatewayRoute",
            Self::ReplaceRoute(_) => "ec2:ReplaceTransitGatewayRoute",
            Self::DeleteRoute(_) => "ec2:DeleteTransitGatewayRoute",
            Self::Associate(_) => "ec2:AssociateTransitGatewayRouteTable",
            Self::Disassociate(_) => "ec2:DisassociateTransitGatewayRouteTable",
            Self::Propagate(_) => "ec2:EnableTransitGatewayRouteTablePropagation",
            Self::StopPropagating(_) => "ec2:DisableTransitGatewayRouteTablePropagation",
            Self::Refer(_) => "ec2:CreateTransitGatewayPrefixListReference",
            Self::ReferElsewhere(_) => "ec2:ModifyTransitGatewayPrefixListReference",
            Self::StopReferring(_) => "ec2:DeleteTransitGatewayPrefixListReference",
        }
    }
    /// What the call is about, for the message of its failure.
    fn about(&self) -> String {
        match self {
            Self::CreateRoute(r) | Self::ReplaceRoute(r) | Self::DeleteRoute(r) => {
                format!(
                    "route to {} by {}",
                    r.destination_cidr_block.as_deref().unwrap_or_default(),
                    text(&r.attachment_id)
                )
            }
            Self::Associate(a) | Self::Disassociate(a) => {
                format!("association of {}", text(&a.transit_gateway_attachment_id))
            }
            Self::Propagate(p) | Self::StopPropagating(p) => {
                format!("propagation from {}", text(&p.transit_gateway_attachment_id))
            }
            Self::Refer(l) | Self::ReferElsewhere(l) | Self::StopReferring(l) => {
                format!("prefix list {}", l.prefix_list_id.as_ref().map(|l| l.0.as_str()).unwrap_or_default())
            }
        }
    }
    async fn send(&self, cx: &Cx, table: &str) -> Result<(), Failure> {
        let action = self.action();
        match self {
            Self::CreateRoute(r) => {
                let call = r.create_transit_gateway_route().map_err(unbuildable(action))?;
                match call.transit_gateway_route_table_id(table).send_with(&cx.ec2).await.map_err(failed(action)) {
                    Err(f) if f.class == Class::Exists => Box::pin(Todo::ReplaceRoute(r).send(cx, table)).await,
                    answer => answer.map(drop),
                }
            }
            Self::ReplaceRoute(r) => {
                let call = r.replace_transit_gateway_route().map_err(unbuildable(action))?;
                call.transit_gateway_route_table_id(table).send_with(&cx.ec2).await.map(drop).map_err(failed(action))
            }
            Self::DeleteRoute(r) => {
                let call = cx.ec2.delete_transit_gateway_route().transit_gateway_route_table_id(table);
                let sent = call.set_destination_cidr_block(r.destination_cidr_block.clone()).send().await;
                gone_already(sent.map_err(failed(action)))
            }
            Self::Associate(a) => associate(cx, table, a).await,
            Self::Disassociate(a) => leave(cx, table, text(&a.transit_gateway_attachment_id)).await,
            Self::Propagate(p) => {
                let call = p.enable_transit_gateway_route_table_propagation().map_err(unbuildable(action))?;
                let sent = call.transit_gateway_route_table_id(table).send_with(&cx.ec2).await;
                match sent.map_err(failed(action)) {
                    // AWS's word where the gateway's default has done it already.
                    Err(f) if f.code.contains("Duplicate") || f.class == Class::Exists => Ok(()),
                    answer => answer.map(drop),
                }
            }
            Self::StopPropagating(p) => {
                let call =
                    cx.ec2.disable_transit_gateway_route_table_propagation().transit_gateway_route_table_id(table);
                let sent = call.transit_gateway_attachment_id(text(&p.transit_gateway_attachment_id)).send().await;
                gone_already(sent.map_err(failed(action)))
            }
            Self::Refer(l) => {
                let call = l.create_transit_gateway_prefix_list_reference().map_err(unbuildable(action))?;
                call.transit_gateway_route_table_id(table).send_with(&cx.ec2).await.map(drop).map_err(failed(action))
            }
            Self::ReferElsewhere(l) => {
                let call = l.modify_transit_gateway_prefix_list_reference().map_err(unbuildable(action))?;
                call.transit_gateway_route_table_id(table).send_with(&cx.ec2).await.map(drop).map_err(failed(action))
            }
            Self::StopReferring(l) => {
                let list = l.prefix_list_id.as_ref().map(|l| l.0.clone());
                let call = cx.ec2.delete_transit_gateway_prefix_list_reference().transit_gateway_route_table_id(table);
                gone_already(call.set_prefix_list_id(list).send().await.map_err(failed(action)))
            }
        }
    }
}

fn todo<'a>(now: &'a Spec, want: &'a Spec) -> Vec<Todo<'a>> {
    fn less<'a, T: PartialEq>(a: &'a [T], b: &[T]) -> impl Iterator<Item = &'a T> {
        a.iter().filter(|x| !b.contains(x)).collect::<Vec<_>>().into_iter()
    }
    let mut out: Vec<Todo<'_>> = vec![];
    let route = |s: &'a Spec, r: &Route| s.routes.iter().any(|o| o.destination_cidr_block == r.destination_cidr_block);
    out.extend(
        less(&want.routes, &now.routes)
            .map(|r| if route(now, r) { Todo::ReplaceRoute(r) } else { Todo::CreateRoute(r) }),
    );
    out.extend(now.routes.iter().filter(|r| !route(want, r)).map(Todo::DeleteRoute));
    out.extend(less(&want.associations, &now.associations).map(Todo::Associate));
    out.extend(less(&now.associations, &want.associations).map(Todo::Disassociate));
    out.extend(less(&want.propagations, &now.propagations).map(Todo::Propagate));
    out.extend(less(&now.propagations, &want.propagations).map(Todo::StopPropagating));
    let list =
        |s: &'a Spec, l: &ListReference| s.prefix_list_references.iter().any(|o| o.prefix_list_id == l.prefix_list_id);
    out.extend(
        less(&want.prefix_list_references, &now.prefix_list_references)
            .map(|l| if list(now, l) { Todo::ReferElsewhere(l) } else { Todo::Refer(l) }),
    );
    out.extend(now.prefix_list_references.iter().filter(|l| !list(want, l)).map(Todo::StopReferring));
    out
}

async fn leave(cx: &Cx, table: &str, attachment: &str) -> Result<(), Failure> {
    let call = cx.ec2.disassociate_transit_gateway_route_table().transit_gateway_route_table_id(table);
    let sent = call.transit_gateway_attachment_id(attachment).send().await;
    gone_already(sent.map_err(failed("ec2:DisassociateTransitGatewayRouteTable")))
}

/// H18: an attachment is in one table, and may be in another one at this moment: the gateway's default, or where somebody
/// put it. It leaves that first, which takes a while.
async fn associate(cx: &Cx, table: &str, row: &Association) -> Result<(), Failure> {
    let (action, look) = ("ec2:AssociateTransitGatewayRouteTable", "ec2:DescribeTransitGatewayAttachments");
    let id = text(&row.transit_gateway_attachment_id);
    let answer = cx.ec2.describe_transit_gateway_attachments().transit_gateway_attachment_ids(id).send().await;
    let live = answer.map_err(failed(look))?.transit_gateway_attachments.unwrap_or_default().pop();
    if let Some(there) = live.and_then(|a| a.association) {
        use sdk::TransitGatewayAssociationState::{Disassociated, Disassociating};
        let of = there.transit_gateway_route_table_id.unwrap_or_default();
        match there.state {
            Some(Disassociating) => return Err(Failure::busy(action, format!("{id} is still leaving {of}"))),
            Some(Disassociated) => {}
            _ if of == table => return Ok(()),
            _ if of.is_empty() => {}
            _ => {
                leave(cx, &of, id).await?;
                return Err(Failure::busy(action, format!("{id} is leaving {of}")));
            }
        }
    }
    let call = row.associate_transit_gateway_route_table().map_err(unbuildable(action))?;
    call.transit_gateway_route_table_id(table).send_with(&cx.ec2).await.map(drop).map_err(failed(action))
}

fn is_alive(t: &sdk::TransitGatewayRouteTable) -> bool {
    use sdk::TransitGatewayRouteTableState::{Deleted, Deleting};
    !matches!(t.state, Some(Deleted | Deleting))
}

async fn table(cx: &Cx, id: &str) -> Result<Option<sdk::TransitGatewayRouteTable>, Failure> {
    let answer = cx.ec2.describe_transit_gateway_route_tables().transit_gateway_route_table_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeTransitGatewayRouteTables")))?;
    Ok(here.and_then(|a| a.transit_gateway_route_tables).unwrap_or_default().pop())
}

/// With what four further calls say of it; nothing if it went meanwhile.
async fn whole(cx: &Cx, t: sdk::TransitGatewayRouteTable) -> Result<Option<Seen<Spec>>, Failure> {
    let Some(id) = t.transit_gateway_route_table_id.clone().filter(|_| is_alive(&t)) else { return Ok(None) };
    let routes = async {
        // Only a search with a filter is one. Propagated routes would be the most, and are no configuration.
        let call = cx.ec2.search_transit_gateway_routes().transit_gateway_route_table_id(&id);
        let pages =
            call.filters(filter("type", ["static"])).into_paginator().page_size(super::PAGE_ROWS).items().send();
        let rows: Vec<sdk::TransitGatewayRoute> =
            pages.try_collect().await.map_err(failed("ec2:SearchTransitGatewayRoutes"))?;
        Ok(rows)
    };
    let associations = async {
        let call = cx.ec2.get_transit_gateway_route_table_associations().transit_gateway_route_table_id(&id);
        let pages = call.into_paginator().page_size(super::PAGE_ROWS).items().send();
        let rows: Vec<sdk::TransitGatewayRouteTableAssociation> =
            pages.try_collect().await.map_err(failed("ec2:GetTransitGatewayRouteTableAssociations"))?;
        Ok(rows)
    };
    let propagations = async {
        let call = cx.ec2.get_transit_gateway_route_table_propagations().transit_gateway_route_table_id(&id);
        let pages = call.into_paginator().page_size(super::PAGE_ROWS).items().send();
        let rows: Vec<sdk::TransitGatewayRouteTablePropagation> =
            pages.try_collect().await.map_err(failed("ec2:GetTransitGatewayRouteTablePropagations"))?;
        Ok(rows)
    };
    let lists = async {
        let call = cx.ec2.get_transit_gateway_prefix_list_references().transit_gateway_route_table_id(&id);
        let pages = call.into_paginator().page_size(super::PAGE_ROWS).items().send();
        let rows: Vec<sdk::TransitGatewayPrefixListReference> =
            pages.try_collect().await.map_err(failed("ec2:GetTransitGatewayPrefixListReferences"))?;
        Ok(rows)
    };
    let all = found(try_join4(routes, associations, propagations, lists).await)?;
    let Some((routes, associations, propagations, lists)) = all else { return Ok(None) };

    let mut spec = Spec::from_sdk(&t);
    let rows = routes.iter().filter(|r| is_users(r)).map(|r| {
        let target = r.transit_gateway_attachments.iter().flatten().next().map(RouteTarget::from_sdk);
        let attachment_id = target.and_then(|t| t.transit_gateway_attachment_id);
        // One whose attachment is gone is a blackhole too, and goes on naming it.
        let blackhole = attachment_id.is_none() && r.state == Some(sdk::TransitGatewayRouteState::Blackhole);
        Route { blackhole: blackhole.then_some(true), attachment_id, ..Route::from_sdk(r) }
    });
    spec.routes = rows.collect::<Vec<_>>().into();
    use sdk::TransitGatewayAssociationState::{Disassociated, Disassociating};
    let rows = associations.iter().filter(|a| !matches!(a.state, Some(Disassociated | Disassociating)));
    spec.associations = rows.map(Association::from_sdk).collect::<Vec<_>>().into();
    use sdk::TransitGatewayPropagationState::{Disabled, Disabling};
    let rows = propagations.iter().filter(|p| {
        !matches!(p.state, Some(Disabled | Disabling)) && p.transit_gateway_route_table_announcement_id.is_none()
    });
    spec.propagations = rows.map(Propagation::from_sdk).collect::<Vec<_>>().into();
    let rows =
        lists.iter().filter(|l| l.state != Some(sdk::TransitGatewayPrefixListReferenceState::Deleting)).map(|l| {
            let target = l.transit_gateway_attachment.as_ref().map(ListTarget::from_sdk);
            let row = ListReference::from_sdk(l);
            ListReference {
                attachment_id: target.and_then(|t| t.transit_gateway_attachment_id),
                blackhole: row.blackhole.filter(|b| *b),
                ..row
            }
        });
    spec.prefix_list_references = rows.collect::<Vec<_>>().into();
    Ok(Some(Seen { id, spec, aliases: vec![] }))
}
/// A static route that stands for itself: not one of a prefix list's, and not on its way out.
fn is_users(r: &sdk::TransitGatewayRoute) -> bool {
    use sdk::TransitGatewayRouteState::{Deleted, Deleting};
    r.prefix_list_id.as_deref().unwrap_or_default().is_empty()
        && r.r#type != Some(sdk::TransitGatewayRouteType::Propagated)
        && !matches!(r.state, Some(Deleted | Deleting))
}

impl Kind for TransitGatewayRouteTable {
    type Name = ec2::TransitGatewayRouteTable;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &Route::COVERAGE,
        &RouteTarget::COVERAGE,
        &Association::COVERAGE,
        &Propagation::COVERAGE,
        &ListReference::COVERAGE,
        &ListTarget::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateTransitGatewayRouteTableInputBuilder>>::TABLE,
        &<Route as Input<CreateTransitGatewayRouteInputBuilder>>::TABLE,
        &<Route as Input<ReplaceTransitGatewayRouteInputBuilder>>::TABLE,
        &<Association as Input<AssociateTransitGatewayRouteTableInputBuilder>>::TABLE,
        &<Propagation as Input<EnableTransitGatewayRouteTablePropagationInputBuilder>>::TABLE,
        &<ListReference as Input<CreateTransitGatewayPrefixListReferenceInputBuilder>>::TABLE,
        &<ListReference as Input<ModifyTransitGatewayPrefixListReferenceInputBuilder>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &[
        "ec2:DescribeTransitGatewayRouteTables",
        "ec2:GetTransitGatewayPrefixListReferences",
        "ec2:GetTransitGatewayRouteTableAssociations",
        "ec2:GetTransitGatewayRouteTablePropagations",
        "ec2:SearchTransitGatewayRoutes",
    ];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:DescribeTransitGatewayAttachments",
        "ec2:CreateTransitGatewayRouteTable",
        "ec2:CreateTransitGatewayRoute",
        "ec2:ReplaceTransitGatewayRoute",
        "ec2:DeleteTransitGatewayRoute",
        "ec2:AssociateTransitGatewayRouteTable",
        "ec2:DisassociateTransitGatewayRouteTable",
        "ec2:EnableTransitGatewayRouteTablePropagation",
        "ec2:DisableTransitGatewayRouteTablePropagation",
        "ec2:CreateTransitGatewayPrefixListReference",
        "ec2:ModifyTransitGatewayPrefixListReference",
        "ec2:DeleteTransitGatewayPrefixListReference",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id",
        "what it said of attachments that are not made again: peerings, Connect, Direct Connect, other accounts' VPCs",
        "its announcements to peers",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_ec2_transit_gateway_route_table";
    const IMMUTABLE: &'static [&'static str] = &["transit_gateway_id"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let filters = only("transit-gateway-route-table-id", which);
        let pages = cx.ec2.describe_transit_gateway_route_tables().set_filters(filters).into_paginator();
        let tables: Vec<sdk::TransitGatewayRouteTable> = pages
            .page_size(super::PAGE_ROWS)
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("ec2:DescribeTransitGatewayRouteTables"))?;
        let whole = stream::iter(tables).map(|t| whole(cx, t)).buffer_unordered(super::READS_AT_ONCE);
        whole.try_filter_map(|seen| async { Ok(seen) }).try_collect().await
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        match table(cx, id).await? {
            Some(t) => whole(cx, t).await,
            None => Ok(None),
        }
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "transit-gateway-route-table", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateTransitGatewayRouteTable";
        let tags = tags_on_create(sdk::ResourceType::TransitGatewayRouteTable, &spec.tags, step)?;
        let call = spec.create_transit_gateway_route_table().map_err(unbuildable(action))?.tag_specifications(tags);
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        let made = made.transit_gateway_route_table.and_then(|t| t.transit_gateway_route_table_id);
        held(action, "route table id", made)
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let todos = todo(now, want);
        let mut calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags))];
        // Each by itself: one whose attachment is gone for good stops none of the others.
        calls.extend(todos.iter().map(|t| -> BoxFuture<'_, Result<(), Failure>> {
            Box::pin(async move { t.send(cx, id).await.map_err(about(t.about())) })
        }));
        all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        use sdk::TransitGatewayRouteTableState::Available;
        let Some(t) = table(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = t.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match t.state {
            Some(Available) => Settled::Ready,
            _ if !is_alive(&t) => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }

    fn terraform(id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        let of = |kind: &'static str, a: &Option<LateRef<ec2::TransitGatewayAttachment>>| {
            Some((kind, format!("{id}_{}", a.as_ref()?.0)))
        };
        let (associated, propagated) =
            ("aws_ec2_transit_gateway_route_table_association", "aws_ec2_transit_gateway_route_table_propagation");
        let associations = spec.associations.iter().filter_map(|a| of(associated, &a.transit_gateway_attachment_id));
        let propagations = spec.propagations.iter().filter_map(|a| of(propagated, &a.transit_gateway_attachment_id));
        [(Self::TERRAFORM, id.to_owned())].into_iter().chain(associations).chain(propagations).collect()
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateTransitGatewayRouteTable"] };
        tag_calls(&now.tags, &want.tags).into_iter().chain(todo(now, want).iter().map(Todo::action)).collect()
    }
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

    const ID: &str = "tgw-rtb-1";
    fn by(id: &str) -> Value {
        json!({"$late": "ec2:transit-gateway-attachment", "id": id})
    }
    fn row(id: &str) -> Value {
        json!({"transit_gateway_attachment_id": by(id)})
    }
    fn route(to: &str, id: &str) -> Value {
        json!({"destination_cidr_block": to, "attachment_id": by(id)})
    }
    fn blackhole(to: &str) -> Value {
        json!({"destination_cidr_block": to, "blackhole": true})
    }
    fn list(id: &str, attachment: &str) -> Value {
        json!({"prefix_list_id": {"$late": "ec2:managed-prefix-list", "id": id}, "attachment_id": by(attachment)})
    }
    fn of(routes: Value, associations: Value, propagations: Value, lists: Value) -> Value {
        json!({"transit_gateway_id": {"$ref": "ec2:transit-gateway", "id": "tgw-1"}, "routes": routes, "associations": associations, "propagations": propagations, "prefix_list_references": lists})
    }
    fn empty() -> Value {
        of(json!([]), json!([]), json!([]), json!([]))
    }

    #[tokio::test]
    async fn h18_associations_propagations_routes_and_lists_each_take_their_call() {
        let canned = Canned::new(|_| "".into());
        let now = of(
            json!([route("10.0.0.0/8", "tgw-attach-old"), blackhole("10.9.0.0/16")]),
            json!([row("tgw-attach-8")]),
            json!([row("tgw-attach-8")]),
            json!([list("pl-1", "tgw-attach-old"), list("pl-8", "tgw-attach-8")]),
        );
        let want = of(
            json!([route("10.0.0.0/8", "tgw-attach-1"), blackhole("10.1.0.0/16"), route("0.0.0.0/0", "tgw-attach-2")]),
            json!([row("tgw-attach-1")]),
            json!([row("tgw-attach-1")]),
            json!([list("pl-1", "tgw-attach-1"), list("pl-2", "tgw-attach-1")]),
        );
        let mut sent = foretold::<TransitGatewayRouteTable>(&canned, ID, &now, &want).await;
        sent.sort();
        assert_eq!(
            sent,
            [
                "AssociateTransitGatewayRouteTable TransitGatewayAttachmentId=tgw-attach-1 TransitGatewayRouteTableId=tgw-rtb-1",
                "CreateTransitGatewayPrefixListReference PrefixListId=pl-2 TransitGatewayAttachmentId=tgw-attach-1 TransitGatewayRouteTableId=tgw-rtb-1",
                "CreateTransitGatewayRoute Blackhole=true DestinationCidrBlock=10.1.0.0/16 TransitGatewayRouteTableId=tgw-rtb-1",
                "CreateTransitGatewayRoute DestinationCidrBlock=0.0.0.0/0 TransitGatewayAttachmentId=tgw-attach-2 TransitGatewayRouteTableId=tgw-rtb-1",
                "DeleteTransitGatewayPrefixListReference PrefixListId=pl-8 TransitGatewayRouteTableId=tgw-rtb-1",
                "DeleteTransitGatewayRoute DestinationCidrBlock=10.9.0.0/16 TransitGatewayRouteTableId=tgw-rtb-1",
                "DisableTransitGatewayRouteTablePropagation TransitGatewayAttachmentId=tgw-attach-8 TransitGatewayRouteTableId=tgw-rtb-1",
                "DisassociateTransitGatewayRouteTable TransitGatewayAttachmentId=tgw-attach-8 TransitGatewayRouteTableId=tgw-rtb-1",
                "EnableTransitGatewayRouteTablePropagation TransitGatewayAttachmentId=tgw-attach-1 TransitGatewayRouteTableId=tgw-rtb-1",
                "ModifyTransitGatewayPrefixListReference PrefixListId=pl-1 TransitGatewayAttachmentId=tgw-attach-1 TransitGatewayRouteTableId=tgw-rtb-1",
                "ReplaceTransitGatewayRoute DestinationCidrBlock=10.0.0.0/8 TransitGatewayAttachmentId=tgw-attach-1 TransitGatewayRouteTableId=tgw-rtb-1",
            ]
        );
    }

    #[tokio::test]
    async fn h18_an_attachment_leaves_the_table_that_it_is_in_first() {
        let in_table = |table: &'static str, state: &'static str| {
            Canned::new(move |c| match c.action.as_str() {
                "DescribeTransitGatewayAttachments" => Answer::Ok(format!(
                    "<transitGatewayAttachments><item><association><transitGatewayRouteTableId>{table}</transitGatewayRouteTableId><state>{state}</state></association></item></transitGatewayAttachments>"
                )),
                _ => "".into(),
            })
        };
        let want = of(json!([]), json!([row("tgw-attach-1")]), json!([]), json!([]));
        let canned = in_table("tgw-rtb-default", "associated");
        let f = sent::<TransitGatewayRouteTable>(&canned, ID, &empty(), &want).await.unwrap_err();
        assert_eq!(f.class, Class::Busy);
        assert!(f.message.contains("association of tgw-attach-1"), "{f}");
        assert_eq!(
            canned.wrote(),
            [
                "DisassociateTransitGatewayRouteTable TransitGatewayAttachmentId=tgw-attach-1 TransitGatewayRouteTableId=tgw-rtb-default"
            ]
        );
        let canned = in_table("tgw-rtb-default", "disassociating");
        assert_eq!(
            sent::<TransitGatewayRouteTable>(&canned, ID, &empty(), &want).await.unwrap_err().class,
            Class::Busy
        );
        assert_eq!(canned.wrote(), [] as [String; 0]);
        // Here already.
        assert_eq!(
            sent::<TransitGatewayRouteTable>(&in_table(ID, "associating"), ID, &empty(), &want).await.unwrap(),
            [] as [String; 0]
        );
    }

    #[tokio::test]
    async fn h18_what_comes_by_itself_or_leaves_is_not_in_the_spec() {
        let canned = Canned::new(|c| {
            let item = |rows: &[&str]| rows.iter().map(|r| format!("<item>{r}</item>")).collect::<String>();
            let attachment = |id: &str| format!("<transitGatewayAttachmentId>{id}</transitGatewayAttachmentId>");
            Answer::Ok(match c.action.as_str() {
                "DescribeTransitGatewayRouteTables" => format!(
                    "<transitGatewayRouteTables>{}</transitGatewayRouteTables>",
                    item(&[
                        "<transitGatewayRouteTableId>tgw-rtb-1</transitGatewayRouteTableId><state>available</state><defaultAssociationRouteTable>true</defaultAssociationRouteTable>",
                        "<transitGatewayRouteTableId>tgw-rtb-2</transitGatewayRouteTableId><state>deleting</state>",
                    ])
                ),
                "SearchTransitGatewayRoutes" => {
                    assert_eq!((c.get("Filter.1.Name"), c.get("Filter.1.Value.1")), ("type", "static"));
                    format!(
                        "<routeSet>{}</routeSet>",
                        item(&[
                            &format!(
                                "<destinationCidrBlock>10.0.0.0/8</destinationCidrBlock><type>static</type><state>active</state><transitGatewayAttachments><item>{}</item></transitGatewayAttachments>",
                                attachment("tgw-attach-1")
                            ),
                            "<destinationCidrBlock>10.1.0.0/16</destinationCidrBlock><type>static</type><state>blackhole</state>",
                            "<destinationCidrBlock>10.2.0.0/16</destinationCidrBlock><prefixListId>pl-1</prefixListId><type>static</type>",
                            "<destinationCidrBlock>10.3.0.0/16</destinationCidrBlock><type>propagated</type>",
                            "<destinationCidrBlock>10.4.0.0/16</destinationCidrBlock><type>static</type><state>deleted</state>",
                        ])
                    )
                }
                "GetTransitGatewayRouteTableAssociations" => format!(
                    "<associations>{}</associations>",
                    item(&[
                        &attachment("tgw-attach-1"),
                        &(attachment("tgw-attach-2") + "<state>disassociating</state>")
                    ])
                ),
                "GetTransitGatewayRouteTablePropagations" => format!(
                    "<transitGatewayRouteTablePropagations>{}</transitGatewayRouteTablePropagations>",
                    item(&[&attachment("tgw-attach-1"), &(attachment("tgw-attach-2") + "<state>disabled</state>")])
                ),
                _ => format!(
                    "<transitGatewayPrefixListReferenceSet>{}</transitGatewayPrefixListReferenceSet>",
                    item(&[&format!(
                        "<prefixListId>pl-1</prefixListId><blackhole>false</blackhole><transitGatewayAttachment>{}</transitGatewayAttachment>",
                        attachment("tgw-attach-1")
                    )])
                ),
            })
        });
        let seen = TransitGatewayRouteTable::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.len(), 1);
        let mut expected = of(
            json!([route("10.0.0.0/8", "tgw-attach-1"), blackhole("10.1.0.0/16")]),
            json!([row("tgw-attach-1")]),
            json!([row("tgw-attach-1")]),
            json!([list("pl-1", "tgw-attach-1")]),
        );
        expected.as_object_mut().unwrap().remove("transit_gateway_id");
        assert_eq!(seen[0].spec.to_json(), expected);
    }

    #[tokio::test]
    async fn h18_it_is_made_empty_and_a_dead_attachment_stops_no_other_row() {
        let canned = Canned::new(|_| {
            "<transitGatewayRouteTable><transitGatewayRouteTableId>tgw-rtb-1</transitGatewayRouteTableId></transitGatewayRouteTable>".into()
        });
        let step = Step { restore: "r1".into(), number: 3 };
        assert_eq!(
            TransitGatewayRouteTable::create(&canned.cx(), &spec::<TransitGatewayRouteTable>(&empty()), &step)
                .await
                .unwrap(),
            ID
        );
        assert!(canned.wrote().concat().starts_with(
            "CreateTransitGatewayRouteTable TagSpecifications.1.ResourceType=transit-gateway-route-table"
        ));
        let canned = Canned::new(|c| match c.get("TransitGatewayAttachmentId") {
            "tgw-attach-dead" => Answer::Error(400, "InvalidTransitGatewayAttachmentID.NotFound", "no such attachment"),
            _ => "".into(),
        });
        let want = of(
            json!([route("10.0.0.0/8", "tgw-attach-dead"), route("10.1.0.0/16", "tgw-attach-1")]),
            json!([]),
            json!([]),
            json!([]),
        );
        let f = sent::<TransitGatewayRouteTable>(&canned, ID, &empty(), &want).await.unwrap_err();
        assert_eq!(
            (f.message.as_str(), canned.wrote().len()),
            ("route to 10.0.0.0/8 by tgw-attach-dead: no such attachment", 2)
        );
    }
}
