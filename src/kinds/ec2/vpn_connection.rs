//! `ec2:vpn-connection`: two tunnels between AWS and a customer's device.
//!
//! H19: a new one has new outside addresses and new pre-shared keys, so a person has to configure the device anew. The
//! keys are secrets of both ends: they are neither kept nor given.
use super::{
    all, converge_tags, failed, filter, found, gone_already, held, only, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, Ref, Set, Tags, change},
        names::{ec2, logs},
    },
    mirror,
    model::Scope,
    plan::{
        facts::Phase,
        preflight::{Ask, IsKnown, Per, Quota},
        readiness::{Copies, Cost, Ready},
    },
};
use aws_sdk_ec2::{
    operation::{
        create_vpn_connection::builders::CreateVpnConnectionInputBuilder,
        create_vpn_connection_route::builders::CreateVpnConnectionRouteInputBuilder,
        modify_vpn_connection::builders::ModifyVpnConnectionInputBuilder,
        modify_vpn_connection_options::builders::ModifyVpnConnectionOptionsInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;

mirror! {
    Spec from sdk::VpnConnection;
    keep {
        transit_gateway_id @ "transitGatewayId": Option<Ref<ec2::TransitGateway>>,
        vpn_concentrator_id @ "vpnConcentratorId": Option<Ref<ec2::VpnConcentrator>>,
        options @ "options": Option<Options>,
        routes @ "routes": Set<StaticRoute>,
        tags @ "tagSet": Tags,
        r#type @ "type": Option<String>,
        customer_gateway_id @ "customerGatewayId": Option<Ref<ec2::CustomerGateway>>,
        vpn_gateway_id @ "vpnGatewayId": Option<Ref<ec2::VpnGateway>>,
    }
    drop {
        category @ "category": "always VPN; the other was EC2-Classic's",
        core_network_arn @ "coreNetworkArn": "set by the core network that attaches it",
        core_network_attachment_arn @ "coreNetworkAttachmentArn": "set by the core network that attaches it",
        gateway_association_state @ "gatewayAssociationState": "runtime state",
        pre_shared_key_arn @ "preSharedKeyArn": "AWS makes a new secret; `pre_shared_key_storage` says that there is one",
        vpn_connection_id @ "vpnConnectionId": "the id itself; remapped",
        state @ "state": "runtime state; see settled()",
        customer_gateway_configuration @ "customerGatewayConfiguration": "generated, and holds the pre-shared keys",
        vgw_telemetry @ "vgwTelemetry": "runtime state; the certificates of tunnels are issued with them",
    }
    also {
        fixed_options: Option<FixedOptions>, // apart from those that can be changed
        pre_shared_key_storage: Option<String>
    }
}

mirror! {
    /** What of the options can be changed. */
    Options from sdk::VpnConnectionOptions;
    keep {
        local_ipv4_network_cidr @ "localIpv4NetworkCidr": Option<String>,
        remote_ipv4_network_cidr @ "remoteIpv4NetworkCidr": Option<String>,
        local_ipv6_network_cidr @ "localIpv6NetworkCidr": Option<String>,
        remote_ipv6_network_cidr @ "remoteIpv6NetworkCidr": Option<String>,
        tunnel_bandwidth @ "tunnelBandwidth": Option<String>,
        tunnel_options @ "tunnelOptionSet": Set<Tunnel>,
    }
    drop {
        enable_acceleration @ "enableAcceleration": "one of `fixed_options`",
        static_routes_only @ "staticRoutesOnly": "one of `fixed_options`",
        outside_ip_address_type @ "outsideIpAddressType": "one of `fixed_options`",
        transport_transit_gateway_attachment_id @ "transportTransitGatewayAttachmentId": "one of `fixed_options`",
        tunnel_inside_ip_version @ "tunnelInsideIpVersion": "one of `fixed_options`",
    }
}

mirror! {
    /** What of the options only a create call takes. */
    FixedOptions from sdk::VpnConnectionOptions;
    keep {
        enable_acceleration @ "enableAcceleration": Option<bool>,
        static_routes_only @ "staticRoutesOnly": Option<bool>,
        outside_ip_address_type @ "outsideIpAddressType": Option<String>,
        transport_transit_gateway_attachment_id @ "transportTransitGatewayAttachmentId": Option<Ref<ec2::TransitGatewayAttachment>>,
        tunnel_inside_ip_version @ "tunnelInsideIpVersion": Option<String>,
    }
    drop {
        local_ipv4_network_cidr @ "localIpv4NetworkCidr": "one of `options`",
        remote_ipv4_network_cidr @ "remoteIpv4NetworkCidr": "one of `options`",
        local_ipv6_network_cidr @ "localIpv6NetworkCidr": "one of `options`",
        remote_ipv6_network_cidr @ "remoteIpv6NetworkCidr": "one of `options`",
        tunnel_bandwidth @ "tunnelBandwidth": "one of `options`",
        tunnel_options @ "tunnelOptionSet": "one of `options`",
    }
}

mirror! {
    /** A set: which of the two is which is said by their inside addresses. */
    Tunnel from sdk::TunnelOption, key [tunnel_inside_cidr, tunnel_inside_ipv6_cidr];
    keep {
        tunnel_inside_cidr @ "tunnelInsideCidr": Option<String>,
        tunnel_inside_ipv6_cidr @ "tunnelInsideIpv6Cidr": Option<String>,
        phase1_lifetime_seconds @ "phase1LifetimeSeconds": Option<i32>,
        phase2_lifetime_seconds @ "phase2LifetimeSeconds": Option<i32>,
        rekey_margin_time_seconds @ "rekeyMarginTimeSeconds": Option<i32>,
        rekey_fuzz_percentage @ "rekeyFuzzPercentage": Option<i32>,
        replay_window_size @ "replayWindowSize": Option<i32>,
        dpd_timeout_seconds @ "dpdTimeoutSeconds": Option<i32>,
        dpd_timeout_action @ "dpdTimeoutAction": Option<String>,
        phase1_encryption_algorithms @ "phase1EncryptionAlgorithmSet": Set<Phase1Encryption>,
        phase2_encryption_algorithms @ "phase2EncryptionAlgorithmSet": Set<Phase2Encryption>,
        phase1_integrity_algorithms @ "phase1IntegrityAlgorithmSet": Set<Phase1Integrity>,
        phase2_integrity_algorithms @ "phase2IntegrityAlgorithmSet": Set<Phase2Integrity>,
        phase1_dh_group_numbers @ "phase1DHGroupNumberSet": Set<Phase1DhGroup>,
        phase2_dh_group_numbers @ "phase2DHGroupNumberSet": Set<Phase2DhGroup>,
        ike_versions @ "ikeVersionSet": Set<IkeVersion>,
        startup_action @ "startupAction": Option<String>,
        log_options @ "logOptions": Option<LogOptions>,
        enable_tunnel_lifecycle_control @ "enableTunnelLifecycleControl": Option<bool>,
    }
    drop {
        outside_ip_address @ "outsideIpAddress": "AWS's end of the tunnel: always new",
        pre_shared_key @ "preSharedKey": "a secret of both ends, never stored: AWS makes a new one",
    }
    gap {
        "phase1AdditionalKeyExchangeSet": "the SDK does not parse it yet; configuration",
        "phase2AdditionalKeyExchangeSet": "the SDK does not parse it yet; configuration",
    }
}

/// AWS wraps each value of a tunnel's lists in a type of its own, once for answers and once for requests.
macro_rules! listed {
    ($($name:ident, $t:ty, $answer:ty, $request:ty;)*) => { $(
        mirror! { $name from $answer; keep { value @ "value": Option<$t> } }
        input! { $name => $request; set { set_value: value } }
    )* };
}
listed! {
    Phase1Encryption, String, sdk::Phase1EncryptionAlgorithmsListValue, sdk::Phase1EncryptionAlgorithmsRequestListValue;
    Phase2Encryption, String, sdk::Phase2EncryptionAlgorithmsListValue, sdk::Phase2EncryptionAlgorithmsRequestListValue;
    Phase1Integrity, String, sdk::Phase1IntegrityAlgorithmsListValue, sdk::Phase1IntegrityAlgorithmsRequestListValue;
    Phase2Integrity, String, sdk::Phase2IntegrityAlgorithmsListValue, sdk::Phase2IntegrityAlgorithmsRequestListValue;
    Phase1DhGroup, i32, sdk::Phase1DhGroupNumbersListValue, sdk::Phase1DhGroupNumbersRequestListValue;
    Phase2DhGroup, i32, sdk::Phase2DhGroupNumbersListValue, sdk::Phase2DhGroupNumbersRequestListValue;
    IkeVersion, String, sdk::IkeVersionsListValue, sdk::IkeVersionsRequestListValue;
}

mirror! {
    LogOptions from sdk::VpnTunnelLogOptions;
    keep {
        cloud_watch_log_options @ "cloudWatchLogOptions": Option<CloudWatchLog>,
    }
}

mirror! {
    CloudWatchLog from sdk::CloudWatchLogOptions;
    keep {
        log_enabled @ "logEnabled": Option<bool>,
        log_group_arn @ "logGroupArn": Option<Ref<logs::LogGroup>>,
        log_output_format @ "logOutputFormat": Option<String>,
        bgp_log_enabled @ "bgpLogEnabled": Option<bool>,
        bgp_log_group_arn @ "bgpLogGroupArn": Option<Ref<logs::LogGroup>>,
        bgp_log_output_format @ "bgpLogOutputFormat": Option<String>,
    }
}

mirror! {
    StaticRoute from sdk::VpnStaticRoute, key [destination_cidr_block];
    keep {
        destination_cidr_block @ "destinationCidrBlock": Option<String>,
    }
    drop {
        source @ "source": "always Static",
        state @ "state": "runtime state; one that is leaving is none",
    }
}

input! {
    Spec => create_vpn_connection(CreateVpnConnectionInputBuilder);
    set {
        set_customer_gateway_id: customer_gateway_id,
        set_type: r#type,
        set_vpn_gateway_id: vpn_gateway_id,
        set_transit_gateway_id: transit_gateway_id,
        set_vpn_concentrator_id: vpn_concentrator_id,
        set_pre_shared_key_storage: pre_shared_key_storage,
    }
    leave {
        options: "those that can be changed and the fixed ones together: create()",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

input! {
    Spec => modify_vpn_connection(ModifyVpnConnectionInputBuilder);
    leave {
        transit_gateway_id: "where it differs: changes()",
        customer_gateway_id: "where it differs: changes()",
        vpn_gateway_id: "where it differs: changes()",
        vpn_connection_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    Options => modify_vpn_connection_options(ModifyVpnConnectionOptionsInputBuilder);
    set {
        set_local_ipv4_network_cidr: local_ipv4_network_cidr,
        set_remote_ipv4_network_cidr: remote_ipv4_network_cidr,
        set_local_ipv6_network_cidr: local_ipv6_network_cidr,
        set_remote_ipv6_network_cidr: remote_ipv6_network_cidr,
        set_tunnel_bandwidth: tunnel_bandwidth,
    }
    leave {
        vpn_connection_id: "the resource at hand",
        dry_run: "the engine's",
    }
}

input! {
    StaticRoute => create_vpn_connection_route(CreateVpnConnectionRouteInputBuilder);
    set {
        set_destination_cidr_block: destination_cidr_block,
    }
    leave {
        vpn_connection_id: "the resource at hand",
    }
}

input! {
    Options => sdk::VpnConnectionOptionsSpecification;
    set {
        set_tunnel_options: tunnel_options,
        set_local_ipv4_network_cidr: local_ipv4_network_cidr,
        set_remote_ipv4_network_cidr: remote_ipv4_network_cidr,
        set_local_ipv6_network_cidr: local_ipv6_network_cidr,
        set_remote_ipv6_network_cidr: remote_ipv6_network_cidr,
        set_tunnel_bandwidth: tunnel_bandwidth,
    }
    leave {
        enable_acceleration: "one of the fixed options",
        tunnel_inside_ip_version: "one of the fixed options",
        outside_ip_address_type: "one of the fixed options",
        transport_transit_gateway_attachment_id: "one of the fixed options",
        static_routes_only: "one of the fixed options",
    }
}

input! {
    FixedOptions => sdk::VpnConnectionOptionsSpecification;
    set {
        set_enable_acceleration: enable_acceleration,
        set_tunnel_inside_ip_version: tunnel_inside_ip_version,
        set_outside_ip_address_type: outside_ip_address_type,
        set_transport_transit_gateway_attachment_id: transport_transit_gateway_attachment_id,
        set_static_routes_only: static_routes_only,
    }
    leave {
        tunnel_options: "one of those that can be changed",
        local_ipv4_network_cidr: "one of those that can be changed",
        remote_ipv4_network_cidr: "one of those that can be changed",
        local_ipv6_network_cidr: "one of those that can be changed",
        remote_ipv6_network_cidr: "one of those that can be changed",
        tunnel_bandwidth: "one of those that can be changed",
    }
}

/// The same rows, for a tunnel that is made and for one that is changed.
macro_rules! tunnel {
    ($($request:ty),*) => { $(
        input! {
            Tunnel => $request;
            set {
                set_tunnel_inside_cidr: tunnel_inside_cidr,
                set_tunnel_inside_ipv6_cidr: tunnel_inside_ipv6_cidr,
                set_phase1_lifetime_seconds: phase1_lifetime_seconds,
                set_phase2_lifetime_seconds: phase2_lifetime_seconds,
                set_rekey_margin_time_seconds: rekey_margin_time_seconds,
                set_rekey_fuzz_percentage: rekey_fuzz_percentage,
                set_replay_window_size: replay_window_size,
                set_dpd_timeout_seconds: dpd_timeout_seconds,
                set_dpd_timeout_action: dpd_timeout_action,
                set_phase1_encryption_algorithms: phase1_encryption_algorithms,
                set_phase2_encryption_algorithms: phase2_encryption_algorithms,
                set_phase1_integrity_algorithms: phase1_integrity_algorithms,
                set_phase2_integrity_algorithms: phase2_integrity_algorithms,
                set_phase1_dh_group_numbers: phase1_dh_group_numbers,
                set_phase2_dh_group_numbers: phase2_dh_group_numbers,
                set_ike_versions: ike_versions,
                set_startup_action: startup_action,
                set_log_options: log_options,
                set_enable_tunnel_lifecycle_control: enable_tunnel_lifecycle_control,
            }
            leave {
                pre_shared_key: "a secret of both ends, never stored: AWS makes a new one",
            }
        }
    )* };
}
tunnel!(sdk::VpnTunnelOptionsSpecification, sdk::ModifyVpnTunnelOptionsSpecification);

input! {
    LogOptions => sdk::VpnTunnelLogOptionsSpecification;
    set {
        set_cloud_watch_log_options: cloud_watch_log_options,
    }
}

input! {
    CloudWatchLog => sdk::CloudWatchLogOptionsSpecification;
    set {
        set_log_enabled: log_enabled,
        set_log_group_arn: log_group_arn,
        set_log_output_format: log_output_format,
        set_bgp_log_enabled: bgp_log_enabled,
        set_bgp_log_group_arn: bgp_log_group_arn,
        set_bgp_log_output_format: bgp_log_output_format,
    }
}

/// A site-to-site VPN connection.
pub struct VpnConnection;

/// What `converge` has to do beside the tags, each one call. AWS makes one change of a connection at a time: the next is
/// refused as busy until the one before is through, and then tried again.
#[derive(Debug, Clone)]
enum Change<'a> {
    Gateways(ModifyVpnConnectionInputBuilder),
    Options(ModifyVpnConnectionOptionsInputBuilder),
    /// The tunnel that is there, and what differs of it.
    Tunnel(&'a Tunnel, Box<Tunnel>),
    AddRoute(&'a StaticRoute),
    RemoveRoute(&'a StaticRoute),
}
impl Change<'_> {
    fn action(&self) -> &'static str {
        match self {
            Self::Gateways(_) => "ec2:ModifyVpnConnection",
            Self::Options(_) => "ec2:ModifyVpnConnectionOptions",
            Self::Tunnel(..) => "ec2:ModifyVpnTunnelOptions",
            Self::AddRoute(_) => "ec2:CreateVpnConnectionRoute",
            Self::RemoveRoute(_) => "ec2:DeleteVpnConnectionRoute",
        }
    }
    fn is_route(&self) -> bool {
        matches!(self, Self::AddRoute(_) | Self::RemoveRoute(_))
    }
}

fn changes<'a>(now: &'a Spec, want: &'a Spec) -> Result<Vec<Change<'a>>, Failure> {
    let mut out = vec![];
    let differs = |a: Option<&String>, b: Option<&String>| b.filter(|_| a != b).cloned();
    let id = |s: &'a Spec| s.customer_gateway_id.as_ref().map(|g| &g.0);
    let vgw = |s: &'a Spec| s.vpn_gateway_id.as_ref().map(|g| &g.0);
    let tgw = |s: &'a Spec| s.transit_gateway_id.as_ref().map(|g| &g.0);
    let gateways = ModifyVpnConnectionInputBuilder::default()
        .set_customer_gateway_id(differs(id(now), id(want)))
        .set_vpn_gateway_id(differs(vgw(now), vgw(want)))
        .set_transit_gateway_id(differs(tgw(now), tgw(want)));
    if gateways != ModifyVpnConnectionInputBuilder::default() {
        out.push(Change::Gateways(gateways));
    }
    if let (Some(a), Some(b)) = (&now.options, &want.options) {
        let action = "ec2:ModifyVpnConnectionOptions";
        let set = change(a, b).map_err(|e| Failure::unbuildable(action, e))?.set;
        let call = set.modify_vpn_connection_options().map_err(unbuildable(action))?;
        if call != ModifyVpnConnectionOptionsInputBuilder::default() {
            out.push(Change::Options(call));
        }
        for (there, to_be) in pairs(&a.tunnel_options, &b.tunnel_options) {
            let set = change(there, to_be).map_err(|e| Failure::unbuildable("ec2:ModifyVpnTunnelOptions", e))?.set;
            let says: Option<sdk::ModifyVpnTunnelOptionsSpecification> =
                set.give().map_err(unbuildable("ec2:ModifyVpnTunnelOptions"))?;
            if says.is_some_and(|s| s != sdk::ModifyVpnTunnelOptionsSpecification::builder().build()) {
                out.push(Change::Tunnel(there, Box::new(set)));
            }
        }
    }
    let less = |a: &'a Spec, b: &'a Spec| a.routes.iter().filter(|r| !b.routes.contains(r)).collect::<Vec<_>>();
    out.extend(less(want, now).into_iter().map(Change::AddRoute));
    out.extend(less(now, want).into_iter().map(Change::RemoveRoute));
    Ok(out)
}

/// Tunnels of the same inside addresses, then the others as they come.
fn pairs<'a>(now: &'a [Tunnel], want: &'a [Tunnel]) -> Vec<(&'a Tunnel, &'a Tunnel)> {
    let inside = |t: &'a Tunnel| (&t.tunnel_inside_cidr, &t.tunnel_inside_ipv6_cidr);
    let (same, other): (Vec<&Tunnel>, Vec<&Tunnel>) =
        want.iter().partition(|w| now.iter().any(|n| inside(n) == inside(w)));
    let left = now.iter().filter(|n| !want.iter().any(|w| inside(n) == inside(w)));
    let same = same.into_iter().filter_map(|w| Some((now.iter().find(|n| inside(n) == inside(w))?, w)));
    same.chain(left.zip(other)).collect()
}

fn is_alive(c: &sdk::VpnConnection) -> bool {
    !matches!(c.state, Some(sdk::VpnState::Deleted | sdk::VpnState::Deleting))
}

fn seen(mut c: sdk::VpnConnection) -> Option<Seen<Spec>> {
    let id = c.vpn_connection_id.clone().filter(|_| is_alive(&c))?;
    if let Some(rows) = &mut c.routes {
        rows.retain(|r| !matches!(r.state, Some(sdk::VpnState::Deleted | sdk::VpnState::Deleting)));
    }
    let mut spec = Spec::from_sdk(&c);
    spec.fixed_options = c.options.as_ref().map(FixedOptions::from_sdk);
    spec.pre_shared_key_storage =
        c.pre_shared_key_arn.as_ref().filter(|a| !a.is_empty()).map(|_| "SecretsManager".to_owned());
    // What every tunnel is, and only a transit gateway's connection may say.
    if let Some(o) = &mut spec.options {
        o.tunnel_bandwidth = o.tunnel_bandwidth.take().filter(|b| b != "standard");
    }
    Some(Seen { id, spec, aliases: vec![] })
}

async fn connection(cx: &Cx, id: &str) -> Result<Option<sdk::VpnConnection>, Failure> {
    let answer = cx.ec2.describe_vpn_connections().vpn_connection_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeVpnConnections")))?.and_then(|a| a.vpn_connections);
    Ok(here.unwrap_or_default().pop())
}

/// AWS's end of a tunnel, by which a call names it.
async fn outside(cx: &Cx, id: &str, tunnel: &Tunnel) -> Result<Option<String>, Failure> {
    let live = connection(cx, id).await?.and_then(|c| c.options?.tunnel_options).unwrap_or_default();
    let is_it = |t: &sdk::TunnelOption| {
        t.tunnel_inside_cidr == tunnel.tunnel_inside_cidr && t.tunnel_inside_ipv6_cidr == tunnel.tunnel_inside_ipv6_cidr
    };
    Ok(live.into_iter().find(is_it).and_then(|t| t.outside_ip_address))
}

impl Kind for VpnConnection {
    type Name = ec2::VpnConnection;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &Options::COVERAGE,
        &FixedOptions::COVERAGE,
        &Tunnel::COVERAGE,
        &Phase1Encryption::COVERAGE,
        &Phase2Encryption::COVERAGE,
        &Phase1Integrity::COVERAGE,
        &Phase2Integrity::COVERAGE,
        &Phase1DhGroup::COVERAGE,
        &Phase2DhGroup::COVERAGE,
        &IkeVersion::COVERAGE,
        &LogOptions::COVERAGE,
        &CloudWatchLog::COVERAGE,
        &StaticRoute::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateVpnConnectionInputBuilder>>::TABLE,
        &<Spec as Input<ModifyVpnConnectionInputBuilder>>::TABLE,
        &<Options as Input<ModifyVpnConnectionOptionsInputBuilder>>::TABLE,
        &<StaticRoute as Input<CreateVpnConnectionRouteInputBuilder>>::TABLE,
        &<Options as Input<sdk::VpnConnectionOptionsSpecification>>::TABLE,
        &<FixedOptions as Input<sdk::VpnConnectionOptionsSpecification>>::TABLE,
        &<Tunnel as Input<sdk::VpnTunnelOptionsSpecification>>::TABLE,
        &<Tunnel as Input<sdk::ModifyVpnTunnelOptionsSpecification>>::TABLE,
        &<Phase1Encryption as Input<sdk::Phase1EncryptionAlgorithmsRequestListValue>>::TABLE,
        &<Phase2Encryption as Input<sdk::Phase2EncryptionAlgorithmsRequestListValue>>::TABLE,
        &<Phase1Integrity as Input<sdk::Phase1IntegrityAlgorithmsRequestListValue>>::TABLE,
        &<Phase2Integrity as Input<sdk::Phase2IntegrityAlgorithmsRequestListValue>>::TABLE,
        &<Phase1DhGroup as Input<sdk::Phase1DhGroupNumbersRequestListValue>>::TABLE,
        &<Phase2DhGroup as Input<sdk::Phase2DhGroupNumbersRequestListValue>>::TABLE,
        &<IkeVersion as Input<sdk::IkeVersionsRequestListValue>>::TABLE,
        &<LogOptions as Input<sdk::VpnTunnelLogOptionsSpecification>>::TABLE,
        &<CloudWatchLog as Input<sdk::CloudWatchLogOptionsSpecification>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeVpnConnections"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateVpnConnection",
        "ec2:CreateVpnConnectionRoute",
        "ec2:DeleteVpnConnectionRoute",
        "ec2:ModifyVpnConnection",
        "ec2:ModifyVpnConnectionOptions",
        "ec2:ModifyVpnTunnelOptions",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id",
        "the outside addresses and pre-shared keys of its tunnels: configure the customer's device anew (GetVpnConnectionDeviceSampleConfiguration has both)",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_vpn_connection";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "ec2",
        code: "L-3E6EC3A3",
        name: "VPN connections per region",
        default: 50,
        per: Per::Region,
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] =
        &["type", "fixed_options", "vpn_concentrator_id", "pre_shared_key_storage"];
    const GIVEN: &'static [&'static str] = &["options", "customer_gateway_id", "vpn_gateway_id", "transit_gateway_id"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        // It has no pages; a filter keeps it in the larger bucket.
        let living = vec![filter("state", ["pending", "available", "modifying"])];
        let filters = only("vpn-connection-id", which).unwrap_or(living);
        let answer = cx.ec2.describe_vpn_connections().set_filters(Some(filters)).send().await;
        let all = answer.map_err(failed("ec2:DescribeVpnConnections"))?.vpn_connections.unwrap_or_default();
        Ok(all.into_iter().filter_map(seen).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(connection(cx, id).await?.and_then(seen))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "vpn-connection", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateVpnConnection";
        let tags = tags_on_create(sdk::ResourceType::VpnConnection, &spec.tags, step)?;
        let mut options: Option<sdk::VpnConnectionOptionsSpecification> =
            spec.options.as_ref().map_or(Ok(None), Give::give).map_err(unbuildable(action))?;
        let fixed: Option<sdk::VpnConnectionOptionsSpecification> =
            spec.fixed_options.as_ref().map_or(Ok(None), Give::give).map_err(unbuildable(action))?;
        if let Some(f) = fixed {
            let o = options.get_or_insert_with(|| sdk::VpnConnectionOptionsSpecification::builder().build());
            o.enable_acceleration = f.enable_acceleration;
            o.static_routes_only = f.static_routes_only;
            o.tunnel_inside_ip_version = f.tunnel_inside_ip_version;
            o.outside_ip_address_type = f.outside_ip_address_type;
            o.transport_transit_gateway_attachment_id = f.transport_transit_gateway_attachment_id;
        }
        let call = spec.create_vpn_connection().map_err(unbuildable(action))?;
        let call = call.set_options(options).tag_specifications(tags);
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "VPN connection id", made.vpn_connection.and_then(|c| c.vpn_connection_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let (routes, others): (Vec<_>, Vec<_>) = changes(now, want)?.into_iter().partition(Change::is_route);
        let modify = async {
            for todo in others {
                let action = todo.action();
                match todo {
                    Change::Gateways(call) => {
                        call.vpn_connection_id(id).send_with(&cx.ec2).await.map_err(failed(action))?;
                    }
                    Change::Options(call) => {
                        call.vpn_connection_id(id).send_with(&cx.ec2).await.map_err(failed(action))?;
                    }
                    Change::Tunnel(there, set) => {
                        let call = cx.ec2.modify_vpn_tunnel_options().vpn_connection_id(id);
                        let call = call
                            .set_vpn_tunnel_outside_ip_address(outside(cx, id, there).await?)
                            .set_tunnel_options(set.give().map_err(unbuildable(action))?);
                        call.send().await.map_err(failed(action))?;
                    }
                    Change::AddRoute(_) | Change::RemoveRoute(_) => {}
                }
            }
            Ok(())
        };
        let mut calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(modify)];
        for todo in routes {
            calls.push(Box::pin(async move {
                let action = todo.action();
                match todo {
                    Change::AddRoute(r) => {
                        let call = r.create_vpn_connection_route().map_err(unbuildable(action))?;
                        call.vpn_connection_id(id).send_with(&cx.ec2).await.map(drop).map_err(failed(action))
                    }
                    Change::RemoveRoute(r) => {
                        let call = cx.ec2.delete_vpn_connection_route().vpn_connection_id(id);
                        let sent = call.set_destination_cidr_block(r.destination_cidr_block.clone()).send().await;
                        gone_already(sent.map_err(failed(action)))
                    }
                    _ => Ok(()),
                }
            }));
        }
        all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        let Some(c) = connection(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = c.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match c.state {
            Some(sdk::VpnState::Available) => Settled::Ready,
            Some(sdk::VpnState::Deleted | sdk::VpnState::Deleting) => Settled::Failed(word),
            _ => Settled::Waiting(word),
        })
    }

    fn readiness(_id: &str, _spec: &Spec, _copies: &Copies) -> Ready {
        let lost = "its outside addresses and keys: the other end must be set up anew".to_owned();
        Ready { cost: Cost::Identity, lost, remedy: None }
    }
    /// H19: the other end has to be set up anew.
    fn human(_scope: &Scope, spec: &Spec, _is_known: IsKnown<'_>) -> Option<Ask> {
        let device = spec.customer_gateway_id.as_ref().map_or("the customer gateway", |g| &g.0);
        Some(Ask {
            who: format!("whoever runs the device behind {device}"),
            what: "set its tunnels up anew: outside addresses and pre-shared keys are new (GetVpnConnectionDeviceSampleConfiguration has both)".into(),
        })
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateVpnConnection"] };
        let others = changes(now, want).unwrap_or_default();
        tag_calls(&now.tags, &want.tags).into_iter().chain(others.iter().map(Change::action)).collect()
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
        kinds::{AnyKind, kind::Erased, mirror::Plain},
    };
    use serde_json::{Value, json};

    fn tunnel(inside: &str, phase1: i32) -> Value {
        json!({"tunnel_inside_cidr": inside, "phase1_lifetime_seconds": phase1, "ike_versions": [{"value": "ikev2"}]})
    }
    fn vpn() -> Value {
        json!({
            "type": "ipsec.1", "customer_gateway_id": {"$ref": "ec2:customer-gateway", "id": "cgw-1"}, "vpn_gateway_id": {"$ref": "ec2:vpn-gateway", "id": "vgw-1"},
            "options": {"local_ipv4_network_cidr": "0.0.0.0/0", "tunnel_options": [tunnel("169.254.1.0/30", 3600), tunnel("169.254.2.0/30", 3600)]},
            "fixed_options": {"static_routes_only": true}, "routes": [{"destination_cidr_block": "192.168.0.0/16"}],
        })
    }
    const LIVE: &str = "<vpnConnectionSet><item><vpnConnectionId>vpn-1</vpnConnectionId><state>available</state><preSharedKeyArn>arn:aws:secretsmanager:eu-west-1:1:secret:k</preSharedKeyArn><customerGatewayConfiguration>&lt;pre_shared_key&gt;SECRET&lt;/pre_shared_key&gt;</customerGatewayConfiguration><options><tunnelOptionSet><item><outsideIpAddress>198.51.100.1</outsideIpAddress><tunnelInsideCidr>169.254.1.0/30</tunnelInsideCidr><preSharedKey>SECRET</preSharedKey></item><item><outsideIpAddress>198.51.100.2</outsideIpAddress><tunnelInsideCidr>169.254.2.0/30</tunnelInsideCidr><preSharedKey>SECRET</preSharedKey></item></tunnelOptionSet></options></item></vpnConnectionSet>";

    #[tokio::test]
    async fn h19_keys_are_never_stored_not_even_as_evidence() {
        let canned = Canned::new(|_| LIVE.into());
        let seen = Erased::<VpnConnection>::NEW.read(&canned.cx(), "vpn-1").await.unwrap().unwrap();
        assert_eq!(seen.spec["options"]["tunnel_options"].as_array().unwrap().len(), 2);
        assert_eq!(seen.spec["pre_shared_key_storage"], "SecretsManager");
        assert!(!format!("{seen:?}").contains("SECRET"), "{seen:?}");
    }

    #[tokio::test]
    async fn h19_it_is_made_with_its_inside_addresses_and_without_keys() {
        let canned = Canned::new(|_| "<vpnConnection><vpnConnectionId>vpn-2</vpnConnectionId></vpnConnection>".into());
        let step = Step { restore: "r1".into(), number: 3 };
        assert_eq!(VpnConnection::create(&canned.cx(), &spec::<VpnConnection>(&vpn()), &step).await.unwrap(), "vpn-2");
        let text = canned.wrote().concat();
        let text = text.split(' ').filter(|p| !p.starts_with("TagSpecification")).collect::<Vec<_>>().join(" ");
        assert_eq!(
            text,
            "CreateVpnConnection CustomerGatewayId=cgw-1 Options.LocalIpv4NetworkCidr=0.0.0.0/0 Options.StaticRoutesOnly=true Options.TunnelOptions.1.IKEVersion.1.Value=ikev2 Options.TunnelOptions.1.Phase1LifetimeSeconds=3600 Options.TunnelOptions.1.TunnelInsideCidr=169.254.1.0/30 Options.TunnelOptions.2.IKEVersion.1.Value=ikev2 Options.TunnelOptions.2.Phase1LifetimeSeconds=3600 Options.TunnelOptions.2.TunnelInsideCidr=169.254.2.0/30 Type=ipsec.1 VpnGatewayId=vgw-1"
        );
        assert!(VpnConnection::NEVER_BACK[1].contains("configure the customer's device anew"));
    }

    #[tokio::test]
    async fn h19_only_what_differs_is_changed_and_a_tunnel_by_its_outside_address() {
        let canned = Canned::new(|c| if c.action.starts_with("Describe") { LIVE.into() } else { "".into() });
        let mut now = vpn();
        now["options"]["local_ipv4_network_cidr"] = "10.0.0.0/8".into();
        now["options"]["tunnel_options"][1]["phase1_lifetime_seconds"] = 900.into();
        now["customer_gateway_id"]["id"] = "cgw-old".into();
        now["routes"] = json!([{"destination_cidr_block": "192.169.0.0/16"}]);
        assert_eq!(
            foretold::<VpnConnection>(&canned, "vpn-1", &now, &vpn()).await,
            [
                "ModifyVpnConnection CustomerGatewayId=cgw-1 VpnConnectionId=vpn-1",
                "ModifyVpnConnectionOptions LocalIpv4NetworkCidr=0.0.0.0/0 VpnConnectionId=vpn-1",
                "ModifyVpnTunnelOptions TunnelOptions.Phase1LifetimeSeconds=3600 VpnConnectionId=vpn-1 VpnTunnelOutsideIpAddress=198.51.100.2",
                "CreateVpnConnectionRoute DestinationCidrBlock=192.168.0.0/16 VpnConnectionId=vpn-1",
                "DeleteVpnConnectionRoute DestinationCidrBlock=192.169.0.0/16 VpnConnectionId=vpn-1",
            ]
        );
    }

    #[tokio::test]
    async fn h62_a_deleted_one_stays_listed_and_is_gone() {
        let of = |s: &'static str| {
            Canned::new(move |_| {
                Answer::Ok(format!(
                    "<vpnConnectionSet><item><vpnConnectionId>vpn-1</vpnConnectionId><state>{s}</state></item></vpnConnectionSet>"
                ))
            })
        };
        assert!(VpnConnection::read(&of("deleted").cx(), "vpn-1").await.unwrap().is_none());
        assert!(VpnConnection::look(&of("deleting").cx(), Which::All).await.unwrap().is_empty());
        assert_eq!(
            VpnConnection::settled(&of("pending").cx(), "vpn-1").await.unwrap(),
            Settled::Waiting("pending".into())
        );
        assert_eq!(VpnConnection::settled(&of("available").cx(), "vpn-1").await.unwrap(), Settled::Ready);
        assert_eq!(spec::<VpnConnection>(&vpn()).to_json(), vpn());
    }
}
