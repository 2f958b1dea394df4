//! `ec2:vpc-peering-connection`: two VPCs joined.
//!
//! H17: a peering is asked for by one side and accepted by the other. Where both are in this account and region, we accept
//! it ourselves; else its owner must, in its own account and region, and the plan says so.
use super::{all, converge_tags, failed, found, held, only, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, Ref, Tags},
        names::ec2,
    },
    mirror,
    model::Scope,
    plan::{
        facts::Phase,
        preflight::{Ask, IsKnown},
    },
};
use aws_sdk_ec2::{
    operation::create_vpc_peering_connection::builders::CreateVpcPeeringConnectionInputBuilder, types as sdk,
};
use futures_util::future::BoxFuture;

mirror! {
    Spec from sdk::VpcPeeringConnection;
    keep {
        accepter_vpc_info @ "accepterVpcInfo": Option<Side>,
        requester_vpc_info @ "requesterVpcInfo": Option<Side>,
        tags @ "tagSet": Tags,
    }
    drop {
        expiration_time @ "expirationTime": "runtime: a time",
        status @ "status": "runtime state; `accepted` says what of it matters",
        vpc_peering_connection_id @ "vpcPeeringConnectionId": "the id itself; remapped",
    }
    gap {
        "multipathResilienceStatus": "the SDK does not parse it yet; runtime",
    }
    also {
        accepted: Option<bool>, // both sides are ours, and it works
        accepted_by_peer: Option<bool>, // the other side is not ours, and it works
        accepter_options: Option<Options>, // apart from the sides, which never change
        requester_options: Option<Options>
    }
}

mirror! {
    Side from sdk::VpcPeeringConnectionVpcInfo;
    keep {
        owner_id @ "ownerId": Option<String>,
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
        region @ "region": Option<String>,
    }
    drop {
        peering_options @ "peeringOptions": "kept beside the sides, which never change",
        cidr_block @ "cidrBlock": "follows from the VPCs",
        ipv6_cidr_block_set @ "ipv6CidrBlockSet": "follows from the VPCs",
        cidr_block_set @ "cidrBlockSet": "follows from the VPCs",
    }
}

mirror! {
    Options from sdk::VpcPeeringConnectionOptionsDescription;
    keep {
        allow_dns_resolution_from_remote_vpc @ "allowDnsResolutionFromRemoteVpc": Option<bool>,
    }
    drop {
        allow_egress_from_local_classic_link_to_remote_vpc @ "allowEgressFromLocalClassicLinkToRemoteVpc": "EC2-Classic is retired",
        allow_egress_from_local_vpc_to_remote_classic_link @ "allowEgressFromLocalVpcToRemoteClassicLink": "EC2-Classic is retired",
    }
    gap {
        "allowMultipathResilience": "the SDK does not parse it yet; configuration",
        "multipathResilienceMode": "the SDK does not parse it yet; configuration",
    }
}

input! {
    Spec => create_vpc_peering_connection(CreateVpcPeeringConnectionInputBuilder);
    set {
        set_vpc_id: requester_vpc_info.vpc_id,
        set_peer_vpc_id: accepter_vpc_info.vpc_id,
        set_peer_owner_id: accepter_vpc_info.owner_id,
        set_peer_region: accepter_vpc_info.region,
    }
    leave {
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

input! {
    Options => sdk::PeeringConnectionOptionsRequest;
    set {
        set_allow_dns_resolution_from_remote_vpc: allow_dns_resolution_from_remote_vpc,
    }
    leave {
        allow_egress_from_local_classic_link_to_remote_vpc: "EC2-Classic is retired",
        allow_egress_from_local_vpc_to_remote_classic_link: "EC2-Classic is retired",
    }
}

/// A peering of two VPCs.
pub struct VpcPeeringConnection;

const ACCEPT: &str = "ec2:AcceptVpcPeeringConnection";
const OPTIONS: &str = "ec2:ModifyVpcPeeringConnectionOptions";

fn is_ours(cx: &Cx, side: Option<&Side>) -> bool {
    side.is_some_and(|s| {
        s.owner_id.as_deref().is_none_or(|o| o == cx.scope.account.as_str())
            && s.region.as_deref().is_none_or(|r| r == cx.scope.region.as_str())
    })
}

impl Spec {
    /// The side that AWS knows by this VPC: asked for from the other end, the roles are swapped.
    fn is_swapped(&self, now: &Self) -> bool {
        let vpc = |s: &Option<Side>| s.as_ref().and_then(|s| s.vpc_id.clone());
        vpc(&self.requester_vpc_info).is_some() && vpc(&self.requester_vpc_info) == vpc(&now.accepter_vpc_info)
    }
    /// What to ask for on each side of the peering that is there: accepter's, then requester's.
    fn options(&self, now: &Self) -> (Option<&Options>, Option<&Options>) {
        let (a, r) = match self.is_swapped(now) {
            true => (&self.requester_options, &self.accepter_options),
            false => (&self.accepter_options, &self.requester_options),
        };
        let differs = |want: &Option<Options>, now: &Option<Options>| {
            // False is what every peering starts with, and what a side that says nothing has.
            let on =
                |o: &Option<Options>| o.as_ref().is_some_and(|o| o.allow_dns_resolution_from_remote_vpc == Some(true));
            on(want) != on(now) && want.is_some()
        };
        (
            a.as_ref().filter(|_| differs(a, &now.accepter_options)),
            r.as_ref().filter(|_| differs(r, &now.requester_options)),
        )
    }
}

fn code(p: &sdk::VpcPeeringConnection) -> Option<&sdk::VpcPeeringConnectionStateReasonCode> {
    p.status.as_ref()?.code.as_ref()
}
fn is_alive(p: &sdk::VpcPeeringConnection) -> bool {
    use sdk::VpcPeeringConnectionStateReasonCode::{Deleted, Deleting, Expired, Failed, Rejected};
    !matches!(code(p), Some(Deleted | Deleting | Expired | Failed | Rejected))
}
fn is_active(p: &sdk::VpcPeeringConnection) -> bool {
    code(p) == Some(&sdk::VpcPeeringConnectionStateReasonCode::Active)
}

fn seen(cx: &Cx, p: &sdk::VpcPeeringConnection) -> Option<Seen<Spec>> {
    let id = p.vpc_peering_connection_id.clone().filter(|_| is_alive(p))?;
    let mut spec = Spec::from_sdk(p);
    let both = is_ours(cx, spec.accepter_vpc_info.as_ref()) && is_ours(cx, spec.requester_vpc_info.as_ref());
    let active = is_active(p).then_some(true);
    (spec.accepted, spec.accepted_by_peer) = if both { (active, None) } else { (None, active) };
    // Each side's owner sets its own options, and only it sees them surely.
    let options = |side: &Option<sdk::VpcPeeringConnectionVpcInfo>, kept: &Option<Side>| {
        let options = side.as_ref().and_then(|s| s.peering_options.as_ref()).map(Options::from_sdk);
        options.filter(|o| o.allow_dns_resolution_from_remote_vpc.is_some() && is_ours(cx, kept.as_ref()))
    };
    spec.accepter_options = options(&p.accepter_vpc_info, &spec.accepter_vpc_info);
    spec.requester_options = options(&p.requester_vpc_info, &spec.requester_vpc_info);
    Some(Seen { id, spec, aliases: vec![] })
}

async fn peering(cx: &Cx, id: &str) -> Result<Option<sdk::VpcPeeringConnection>, Failure> {
    let answer = cx.ec2.describe_vpc_peering_connections().vpc_peering_connection_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeVpcPeeringConnections")))?;
    Ok(here.and_then(|a| a.vpc_peering_connections).unwrap_or_default().pop())
}

/// Accepts it if it still waits for that, and tells whether it works by now.
async fn accept(cx: &Cx, id: &str) -> Result<(), Failure> {
    use sdk::VpcPeeringConnectionStateReasonCode::PendingAcceptance;
    let mut live = peering(cx, id).await?;
    if live.as_ref().is_none_or(|p| code(p) == Some(&PendingAcceptance)) {
        let call = cx.ec2.accept_vpc_peering_connection().vpc_peering_connection_id(id);
        live = call.send().await.map_err(failed(ACCEPT))?.vpc_peering_connection;
    }
    match live {
        Some(p) if is_active(&p) => Ok(()),
        p => {
            let state = p.as_ref().and_then(code).map_or("unknown", |c| c.as_str()).to_owned();
            Err(Failure::busy(ACCEPT, format!("{id} is {state}")))
        }
    }
}

impl Kind for VpcPeeringConnection {
    type Name = ec2::VpcPeeringConnection;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &Side::COVERAGE, &Options::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateVpcPeeringConnectionInputBuilder>>::TABLE,
        &<Options as Input<sdk::PeeringConnectionOptionsRequest>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeVpcPeeringConnections"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateVpcPeeringConnection",
        "ec2:AcceptVpcPeeringConnection",
        "ec2:ModifyVpcPeeringConnectionOptions",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id, which routes and groups of the other VPC's owner name too",
        "who asked and who accepted, where the other account had asked: this side asks now",
        "options that the SDK does not know yet (multipath resilience)",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_vpc_peering_connection";
    const IMMUTABLE: &'static [&'static str] = &["accepter_vpc_info", "requester_vpc_info"];
    const REPORTED: &'static [(&'static str, &'static str)] = &[(
        "accepted_by_peer",
        "the owner of the other VPC must accept the new peering with AcceptVpcPeeringConnection, in its own account and region, and point its routes and groups at it",
    )];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let filters = only("vpc-peering-connection-id", which);
        let pages = cx.ec2.describe_vpc_peering_connections().set_filters(filters).into_paginator();
        let all: Vec<sdk::VpcPeeringConnection> = pages
            .page_size(super::PAGE_ROWS)
            .items()
            .send()
            .try_collect()
            .await
            .map_err(failed("ec2:DescribeVpcPeeringConnections"))?;
        Ok(all.iter().filter_map(|p| seen(cx, p)).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        Ok(peering(cx, id).await?.and_then(|p| seen(cx, &p)))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "vpc-peering-connection", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateVpcPeeringConnection";
        let tags = tags_on_create(sdk::ResourceType::VpcPeeringConnection, &spec.tags, step)?;
        // Only the owner of a VPC can ask for it: where the other side had asked, this one does now.
        let asks = match is_ours(cx, spec.requester_vpc_info.as_ref()) {
            true => spec.clone(),
            false => Spec {
                requester_vpc_info: spec.accepter_vpc_info.clone(),
                accepter_vpc_info: spec.requester_vpc_info.clone(),
                ..spec.clone()
            },
        };
        let call = asks.create_vpc_peering_connection().map_err(unbuildable(action))?.tag_specifications(tags);
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "peering connection id", made.vpc_peering_connection.and_then(|p| p.vpc_peering_connection_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let peer = async {
            if want.accepted == Some(true) && now.accepted != Some(true) {
                accept(cx, id).await?;
            }
            let (accepter, requester) = want.options(now);
            if accepter.is_none() && requester.is_none() {
                return Ok(());
            }
            // H17: a peering that its other side has not accepted takes no options. That it is missing is told already.
            if want.accepted.is_none() && now.accepted_by_peer.is_none() {
                return Ok(());
            }
            let give = |o: Option<&Options>| o.map_or(Ok(None), Give::give).map_err(unbuildable(OPTIONS));
            let call = cx.ec2.modify_vpc_peering_connection_options().vpc_peering_connection_id(id);
            let call = call
                .set_accepter_peering_connection_options(give(accepter)?)
                .set_requester_peering_connection_options(give(requester)?);
            call.send().await.map(drop).map_err(failed(OPTIONS))
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(peer)];
        all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        use sdk::VpcPeeringConnectionStateReasonCode::{InitiatingRequest, Provisioning};
        let Some(p) = peering(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = code(&p).map_or("unknown", |c| c.as_str()).to_owned();
        Ok(match code(&p) {
            // AWS says here that the blocks overlap, or that there is no such VPC.
            _ if !is_alive(&p) => {
                let why = p.status.as_ref().and_then(|s| s.message.clone()).unwrap_or_default();
                Settled::Failed(format!("{word}: {why}"))
            }
            Some(InitiatingRequest | Provisioning) => Settled::Waiting(word),
            // One that waits to be accepted is linked next, by us, or by its other side whenever that may be.
            _ => Settled::Ready,
        })
    }

    /// Two VPCs have one peering at most, whoever asked for it.
    fn natural_key(spec: &Spec) -> Option<String> {
        let vpc = |s: &Option<Side>| Some(s.as_ref()?.vpc_id.as_ref()?.0.clone());
        let mut both = [vpc(&spec.accepter_vpc_info)?, vpc(&spec.requester_vpc_info)?];
        both.sort_unstable();
        Some(both.join(" with "))
    }

    /// H17: the other side accepts in its own account and region.
    fn human(scope: &Scope, spec: &Spec, _is_known: IsKnown<'_>) -> Option<Ask> {
        let ours = |s: &&Side| {
            s.owner_id.as_deref() == Some(scope.account.as_str()) && s.region.as_deref() == Some(scope.region.as_str())
        };
        let sides = [&spec.accepter_vpc_info, &spec.requester_vpc_info];
        let other = sides.into_iter().flatten().find(|s| !ours(s)).filter(|_| spec.accepted_by_peer == Some(true))?;
        let text = |v: &Option<String>| v.clone().unwrap_or_else(|| "unknown".to_owned());
        let vpc = other.vpc_id.as_ref().map_or("its VPC", |v| &v.0);
        Some(Ask {
            who: format!("account {} in {}", text(&other.owner_id), text(&other.region)),
            what: format!(
                "accept the new peering with {vpc} (AcceptVpcPeeringConnection), and point its routes and groups at its new id"
            ),
        })
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateVpcPeeringConnection"] };
        let mut out = tag_calls(&now.tags, &want.tags);
        if want.accepted == Some(true) && now.accepted != Some(true) {
            out.push(ACCEPT);
        }
        let takes_options = want.accepted.is_some() || now.accepted_by_peer.is_some();
        if takes_options && want.options(now) != (None, None) {
            out.push(OPTIONS);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::shapes::{foretold, sent, spec},
        *,
    };
    use crate::{
        aws::{
            Class,
            canned::{Answer, Canned},
        },
        kinds::mirror::Plain,
    };
    use serde_json::{Value, json};

    const OURS: &str = "111122223333";
    fn side(vpc: &str, owner: &str) -> Value {
        json!({"owner_id": owner, "vpc_id": {"$ref": "ec2:vpc", "id": vpc}, "region": "eu-west-1"})
    }
    fn of(requester: Value, accepter: Value) -> Value {
        json!({"requester_vpc_info": requester, "accepter_vpc_info": accepter})
    }
    fn both() -> Value {
        of(side("vpc-1", OURS), side("vpc-2", OURS))
    }
    fn with(mut v: Value, member: &str, to: Value) -> Value {
        v[member] = to;
        v
    }
    fn info(name: &str, vpc: &str, owner: &str, dns: bool) -> String {
        format!(
            "<{name}><ownerId>{owner}</ownerId><vpcId>{vpc}</vpcId><region>eu-west-1</region><peeringOptions><allowDnsResolutionFromRemoteVpc>{dns}</allowDnsResolutionFromRemoteVpc></peeringOptions></{name}>"
        )
    }
    fn status(code: &str) -> String {
        format!("<status><code>{code}</code><message>why</message></status>")
    }
    async fn created(want: &Value) -> String {
        let canned = Canned::new(|_| {
            "<vpcPeeringConnection><vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId></vpcPeeringConnection>".into()
        });
        let step = Step { restore: "r1".into(), number: 3 };
        assert_eq!(
            VpcPeeringConnection::create(&canned.cx(), &spec::<VpcPeeringConnection>(want), &step).await.unwrap(),
            "pcx-1"
        );
        let text = canned.wrote().concat();
        text.split(' ').filter(|p| !p.starts_with("TagSpecification")).collect::<Vec<_>>().join(" ")
    }

    #[tokio::test]
    async fn h17_our_side_asks_whoever_asked_before() {
        let asked =
            "CreateVpcPeeringConnection PeerOwnerId=999988887777 PeerRegion=eu-west-1 PeerVpcId=vpc-9 VpcId=vpc-1";
        assert_eq!(created(&of(side("vpc-1", OURS), side("vpc-9", "999988887777"))).await, asked);
        assert_eq!(created(&of(side("vpc-9", "999988887777"), side("vpc-1", OURS))).await, asked);
    }

    #[tokio::test]
    async fn h17_where_both_sides_are_ours_we_accept_and_then_set_the_options() {
        let canned = Canned::new(|c| {
            let state = if c.action == "AcceptVpcPeeringConnection" { "active" } else { "pending-acceptance" };
            let body = status(state);
            Answer::Ok(match c.action.as_str() {
                "DescribeVpcPeeringConnections" => {
                    format!("<vpcPeeringConnectionSet><item>{body}</item></vpcPeeringConnectionSet>")
                }
                _ => format!("<vpcPeeringConnection>{body}</vpcPeeringConnection>"),
            })
        });
        let on = json!({"allow_dns_resolution_from_remote_vpc": true});
        let want = with(with(both(), "accepted", true.into()), "accepter_options", on);
        assert_eq!(
            foretold::<VpcPeeringConnection>(&canned, "pcx-1", &both(), &want).await,
            [
                "AcceptVpcPeeringConnection VpcPeeringConnectionId=pcx-1",
                "ModifyVpcPeeringConnectionOptions AccepterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc=true VpcPeeringConnectionId=pcx-1",
            ]
        );
        // Accepted already by an earlier attempt: only waited for.
        let canned = Canned::new(|_| {
            Answer::Ok(format!(
                "<vpcPeeringConnectionSet><item>{}</item></vpcPeeringConnectionSet>",
                status("provisioning")
            ))
        });
        assert_eq!(
            sent::<VpcPeeringConnection>(&canned, "pcx-1", &both(), &want).await.unwrap_err().class,
            Class::Busy
        );
        assert_eq!(canned.wrote(), [] as [String; 0]);
    }

    #[tokio::test]
    async fn h17_another_owner_must_accept_and_until_then_nothing_is_sent() {
        let canned = Canned::new(|_| "".into());
        let now = of(side("vpc-1", OURS), side("vpc-9", "999988887777"));
        let on = json!({"allow_dns_resolution_from_remote_vpc": true});
        let want = with(with(now.clone(), "accepted_by_peer", true.into()), "requester_options", on.clone());
        assert_eq!(foretold::<VpcPeeringConnection>(&canned, "pcx-1", &now, &want).await, [] as [String; 0]);
        let accepted = with(now, "accepted_by_peer", true.into());
        let options = "ModifyVpcPeeringConnectionOptions RequesterPeeringConnectionOptions.AllowDnsResolutionFromRemoteVpc=true VpcPeeringConnectionId=pcx-1";
        assert_eq!(foretold::<VpcPeeringConnection>(&canned, "pcx-1", &accepted, &want).await, [options]);
        // Asked for from the other end, our side is the requester by now.
        let before = with(of(side("vpc-9", "999988887777"), side("vpc-1", OURS)), "accepter_options", on);
        assert_eq!(sent::<VpcPeeringConnection>(&canned, "pcx-1", &accepted, &before).await.unwrap(), [options]);
        assert!(VpcPeeringConnection::REPORTED[0].1.contains("must accept"));
    }

    #[tokio::test]
    async fn h17_what_was_refused_or_deleted_is_not_there_and_ours_is_told_from_others() {
        let canned = Canned::new(|_| {
            let one = |id: &str, code: &str, peer: &str| {
                format!(
                    "<item><vpcPeeringConnectionId>{id}</vpcPeeringConnectionId>{}{}{}</item>",
                    status(code),
                    info("requesterVpcInfo", "vpc-1", OURS, true),
                    info("accepterVpcInfo", "vpc-2", peer, true)
                )
            };
            let dead = ["deleted", "deleting", "rejected", "expired", "failed"].map(|s| one("pcx-dead", s, OURS));
            let rows = [
                one("pcx-1", "active", OURS),
                one("pcx-2", "pending-acceptance", OURS),
                one("pcx-3", "active", "999988887777"),
            ];
            Answer::Ok(format!("<vpcPeeringConnectionSet>{}{}</vpcPeeringConnectionSet>", dead.concat(), rows.concat()))
        });
        let seen = VpcPeeringConnection::look(&canned.cx(), Which::All).await.unwrap();
        let seen: Vec<_> = seen
            .into_iter()
            .map(|s| {
                let options = (s.spec.requester_options.is_some(), s.spec.accepter_options.is_some());
                (s.id, s.spec.accepted, s.spec.accepted_by_peer, options)
            })
            .collect();
        let expected = [
            ("pcx-1", Some(true), None, (true, true)),
            ("pcx-2", None, None, (true, true)),
            ("pcx-3", None, Some(true), (true, false)),
        ];
        assert_eq!(seen, expected.map(|(id, a, b, c)| (id.to_owned(), a, b, c)));
    }

    #[tokio::test]
    async fn h17_settled_tells_why_aws_would_not_have_it() {
        async fn settled(code: &'static str) -> Settled {
            let canned = Canned::new(move |_| {
                Answer::Ok(format!("<vpcPeeringConnectionSet><item>{}</item></vpcPeeringConnectionSet>", status(code)))
            });
            VpcPeeringConnection::settled(&canned.cx(), "pcx-1").await.unwrap()
        }
        assert_eq!(settled("initiating-request").await, Settled::Waiting("initiating-request".into()));
        assert_eq!(settled("pending-acceptance").await, Settled::Ready);
        assert_eq!(settled("active").await, Settled::Ready);
        assert_eq!(settled("failed").await, Settled::Failed("failed: why".into()));
    }

    #[test]
    fn h17_two_vpcs_have_one_peering_whoever_asked() {
        let swapped = of(side("vpc-2", OURS), side("vpc-1", OURS));
        let key = |v: &Value| VpcPeeringConnection::natural_key(&spec::<VpcPeeringConnection>(v));
        assert_eq!((key(&both()), key(&both())), (key(&swapped), Some("vpc-1 with vpc-2".into())));
        assert_eq!(spec::<VpcPeeringConnection>(&both()).to_json(), both());
    }
}
