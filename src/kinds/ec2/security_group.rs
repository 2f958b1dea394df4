//! `ec2:security-group`: who may speak to whom. Rules are kept one row a source, which is what AWS calls a rule and gives
//! an id and tags.
//!
//! Groups are made without rules, so that they may name each other and themselves (H5); what AWS puts into a new one is
//! taken out before the rules go in (H4). A VPC's `default` group comes with it and is adopted (H3).
use super::{
    about, all, converge_tags, converge_tags_of_all, failed, filter, found, held, only, tag_calls, tags_on_create,
    unbuildable,
};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{BuildError, Coverage, FromSdk, Give, Input, Inputs, LateRef, Ref, Set, Tags},
        names::ec2,
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
        authorize_security_group_egress::builders::AuthorizeSecurityGroupEgressInputBuilder,
        authorize_security_group_ingress::builders::AuthorizeSecurityGroupIngressInputBuilder,
        create_security_group::builders::CreateSecurityGroupInputBuilder,
        update_security_group_rule_descriptions_egress::builders::UpdateSecurityGroupRuleDescriptionsEgressInputBuilder,
        update_security_group_rule_descriptions_ingress::builders::UpdateSecurityGroupRuleDescriptionsIngressInputBuilder,
    },
    types as sdk,
};
use futures_util::future::{BoxFuture, try_join};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

mirror! {
    Spec from sdk::SecurityGroup;
    keep {
        tags @ "tagSet": Tags,
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
        group_name @ "groupName": Option<String>,
        description @ "groupDescription": Option<String>,
    }
    drop {
        ip_permissions @ "ipPermissions": "`ingress` has them rule by rule, with their tags",
        ip_permissions_egress @ "ipPermissionsEgress": "`egress` has them rule by rule, with their tags",
        group_id @ "groupId": "the id itself; remapped",
        security_group_arn @ "securityGroupArn": "derived from the id",
        owner_id @ "ownerId": "the account; part of the key",
    }
    also {
        ingress: Set<Rule>, // DescribeSecurityGroupRules
        egress: Set<Rule>   // DescribeSecurityGroupRules
    }
}

mirror! {
    /** One rule, flat: a row that names a dead group is then dropped whole, and a row has a name of its own in a merge. */
    Rule from sdk::SecurityGroupRule, key [ip_protocol, from_port, to_port, cidr_ipv4, cidr_ipv6, prefix_list_id, peer_group_id];
    keep {
        ip_protocol @ "ipProtocol": Option<String>,
        from_port @ "fromPort": Option<i32>,
        to_port @ "toPort": Option<i32>,
        cidr_ipv4 @ "cidrIpv4": Option<String>,
        cidr_ipv6 @ "cidrIpv6": Option<String>,
        prefix_list_id @ "prefixListId": Option<LateRef<ec2::ManagedPrefixList>>,
        description @ "description": Option<String>,
        tags @ "tagSet": Tags,
    }
    drop {
        referenced_group_info @ "referencedGroupInfo": "flat: the members that begin with peer_",
        security_group_rule_id @ "securityGroupRuleId": "assigned by AWS at each authorisation; an alias",
        group_id @ "groupId": "the resource itself",
        group_owner_id @ "groupOwnerId": "the account; part of the key",
        is_egress @ "isEgress": "`ingress` and `egress` are apart",
        security_group_rule_arn @ "securityGroupRuleArn": "derived from the id",
    }
    also {
        peer_group_id: Option<LateRef<ec2::SecurityGroup>>,
        peer_account: Option<String>, // only another one than the group's own
        peer_vpc_id: Option<LateRef<ec2::Vpc>>, // only of a peering
        peering_connection_id: Option<LateRef<ec2::VpcPeeringConnection>>
    }
}

mirror! {
    Peer from sdk::ReferencedSecurityGroup;
    keep {
        group_id @ "groupId": Option<LateRef<ec2::SecurityGroup>>,
        user_id @ "userId": Option<String>,
        vpc_id @ "vpcId": Option<LateRef<ec2::Vpc>>,
        vpc_peering_connection_id @ "vpcPeeringConnectionId": Option<LateRef<ec2::VpcPeeringConnection>>,
    }
    drop {
        peering_status @ "peeringStatus": "runtime state",
    }
}

input! {
    Spec => create_security_group(CreateSecurityGroupInputBuilder);
    set {
        set_description: description,
        set_group_name: group_name,
        set_vpc_id: vpc_id,
    }
    leave {
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        dry_run: "the engine's",
    }
}

input! {
    Rule => authorize_security_group_ingress(AuthorizeSecurityGroupIngressInputBuilder);
    leave {
        ip_permissions: "all rules of a call together: packed()",
        cidr_ip: "ip_permissions says it",
        from_port: "ip_permissions says it",
        group_id: "the resource at hand",
        ip_protocol: "ip_permissions says it",
        source_security_group_name: "ip_permissions says it",
        source_security_group_owner_id: "ip_permissions says it",
        to_port: "ip_permissions says it",
        tag_specifications: "gives every rule of the call the same tags: retag() gives each its own",
        dry_run: "the engine's",
        group_name: "group_id says it; AWS refuses both",
    }
}

input! {
    Rule => authorize_security_group_egress(AuthorizeSecurityGroupEgressInputBuilder);
    leave {
        ip_permissions: "all rules of a call together: packed()",
        tag_specifications: "gives every rule of the call the same tags: retag() gives each its own",
        dry_run: "the engine's",
        group_id: "the resource at hand",
        source_security_group_name: "ip_permissions says it",
        source_security_group_owner_id: "ip_permissions says it",
        ip_protocol: "ip_permissions says it",
        from_port: "ip_permissions says it",
        to_port: "ip_permissions says it",
        cidr_ip: "ip_permissions says it",
    }
}

input! {
    Rule => update_security_group_rule_descriptions_ingress(UpdateSecurityGroupRuleDescriptionsIngressInputBuilder);
    leave {
        ip_permissions: "all rules of a call together: packed()",
        dry_run: "the engine's",
        group_id: "the resource at hand",
        security_group_rule_descriptions: "ip_permissions says it",
        group_name: "group_id says it; AWS refuses both",
    }
}

input! {
    Rule => update_security_group_rule_descriptions_egress(UpdateSecurityGroupRuleDescriptionsEgressInputBuilder);
    leave {
        ip_permissions: "all rules of a call together: packed()",
        dry_run: "the engine's",
        group_id: "the resource at hand",
        security_group_rule_descriptions: "ip_permissions says it",
        group_name: "group_id says it; AWS refuses both",
    }
}

input! {
    Rule => sdk::IpPermission;
    set {
        set_ip_protocol: ip_protocol,
        set_from_port: from_port,
        set_to_port: to_port,
    }
    leave {
        user_id_group_pairs: "of all rules of these ports: packed()",
        ip_ranges: "of all rules of these ports: packed()",
        ipv6_ranges: "of all rules of these ports: packed()",
        prefix_list_ids: "of all rules of these ports: packed()",
    }
}

input! {
    Rule => sdk::UserIdGroupPair;
    set {
        set_description: description,
        set_user_id: peer_account,
        set_group_id: peer_group_id,
    }
    leave {
        vpc_id: "the group says it; kept so that the peer's VPC comes first",
        vpc_peering_connection_id: "AWS finds it; kept so that the peering comes first",
        group_name: "the form of EC2-Classic; the id is enough",
        peering_status: "runtime state",
    }
}

input! {
    Rule => sdk::IpRange;
    set {
        set_description: description,
        set_cidr_ip: cidr_ipv4,
    }
}

input! {
    Rule => sdk::Ipv6Range;
    set {
        set_description: description,
        set_cidr_ipv6: cidr_ipv6,
    }
}

input! {
    Rule => sdk::PrefixListId;
    set {
        set_description: description,
        set_prefix_list_id: prefix_list_id,
    }
}

/// What counts against the quota of one direction: rules of IPv4 and of IPv6 apart; a group or a list is in both. A list
/// counts as its size, which is not known here: as one.
fn counted(rows: &Value) -> u32 {
    super::per_family(rows, "cidr_ipv4", "cidr_ipv6")
}

pub struct SecurityGroup;

// ---- rules --------------------------------------------------------------------------------------------------------

/// What makes a rule another rule: protocol, ports, source. The description and the tags do not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct RuleKey {
    protocol: String,
    ports: (Option<i32>, Option<i32>),
    source: String,
}

impl Rule {
    /// `own` is the account, which AWS names for a group of the account's own too.
    fn seen(sdk: &sdk::SecurityGroupRule, own: &str) -> Self {
        let mut rule = Self::from_sdk(sdk);
        if rule.ip_protocol.as_deref() == Some("-1") {
            // All protocols have no ports; -1 says so here, and nothing at all elsewhere.
            (rule.from_port, rule.to_port) = (None, None);
        }
        rule.description = rule.description.filter(|d| !d.is_empty());
        if let Some(peer) = sdk.referenced_group_info.as_ref().map(Peer::from_sdk) {
            rule.peer_group_id = peer.group_id;
            rule.peer_account = peer.user_id.filter(|u| !u.is_empty() && u != own);
            rule.peering_connection_id = peer.vpc_peering_connection_id.filter(|p| !p.0.is_empty());
            // H5: only across a peering does the VPC say anything.
            rule.peer_vpc_id = peer.vpc_id.filter(|v| !v.0.is_empty() && rule.peering_connection_id.is_some());
        }
        rule
    }
    fn source(&self) -> &str {
        let group = self.peer_group_id.as_ref().map(|g| g.0.as_str());
        let list = self.prefix_list_id.as_ref().map(|l| l.0.as_str());
        group.or(list).or(self.cidr_ipv4.as_deref()).or(self.cidr_ipv6.as_deref()).unwrap_or_default()
    }
    fn key(&self) -> RuleKey {
        RuleKey { source: self.source().to_owned(), ..self.ports() }
    }
    fn ports(&self) -> RuleKey {
        RuleKey {
            protocol: self.ip_protocol.clone().unwrap_or_default(),
            ports: (self.from_port, self.to_port),
            source: String::new(),
        }
    }
}

/// The rules in the fewest permissions: those of one protocol and one range of ports go together.
fn packed(rules: &[&Rule], with_descriptions: bool) -> Result<Vec<sdk::IpPermission>, BuildError> {
    let mut groups: BTreeMap<RuleKey, Vec<Rule>> = BTreeMap::new();
    for rule in rules {
        let description = rule.description.clone().filter(|_| with_descriptions);
        groups.entry(rule.ports()).or_default().push(Rule { description, ..(*rule).clone() });
    }
    let mut out = vec![];
    for rules in groups.into_values() {
        let Some(first) = rules.first() else { continue };
        let Some(mut all): Option<sdk::IpPermission> = first.give()? else { continue };
        for rule in &rules {
            if rule.peer_group_id.is_some() {
                all.user_id_group_pairs.get_or_insert_default().extend(rule.give()?);
            } else if rule.prefix_list_id.is_some() {
                all.prefix_list_ids.get_or_insert_default().extend(rule.give()?);
            } else if rule.cidr_ipv6.is_some() {
                all.ipv6_ranges.get_or_insert_default().extend(rule.give()?);
            } else {
                all.ip_ranges.get_or_insert_default().extend(rule.give()?);
            }
        }
        out.push(all);
    }
    Ok(out)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    In,
    Out,
}
impl Way {
    fn of(self, spec: &Spec) -> &Set<Rule> {
        match self {
            Self::In => &spec.ingress,
            Self::Out => &spec.egress,
        }
    }
    fn revoke(self) -> &'static str {
        match self {
            Self::In => "ec2:RevokeSecurityGroupIngress",
            Self::Out => "ec2:RevokeSecurityGroupEgress",
        }
    }
    fn authorize(self) -> &'static str {
        match self {
            Self::In => "ec2:AuthorizeSecurityGroupIngress",
            Self::Out => "ec2:AuthorizeSecurityGroupEgress",
        }
    }
    fn describe(self) -> &'static str {
        match self {
            Self::In => "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
            Self::Out => "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        }
    }
}

/// What is to be done to the rules of one way, each list one call.
struct Todo<'a> {
    way: Way,
    revoke: Vec<&'a Rule>,
    authorize: Vec<&'a Rule>,
    describe: Vec<&'a Rule>,
    /// Rules whose tags will differ once the rest is done: tags then, and tags to be.
    retag: Vec<(RuleKey, Tags, &'a Tags)>,
}
impl<'a> Todo<'a> {
    fn new(way: Way, now: &'a Spec, want: &'a Spec) -> Self {
        let have: HashMap<RuleKey, &Rule> = way.of(now).iter().map(|r| (r.key(), r)).collect();
        let should: HashMap<RuleKey, &Rule> = way.of(want).iter().map(|r| (r.key(), r)).collect();
        let mut todo = Self { way, revoke: vec![], authorize: vec![], describe: vec![], retag: vec![] };
        todo.revoke.extend(way.of(now).iter().filter(|r| !should.contains_key(&r.key())));
        for row in way.of(want).iter() {
            let there = have.get(&row.key());
            match there {
                None => todo.authorize.push(row),
                Some(there) if there.description != row.description => todo.describe.push(row),
                Some(_) => {}
            }
            let tags = there.map(|r| r.tags.clone()).unwrap_or_default();
            if !tag_calls(&tags, &row.tags).is_empty() {
                todo.retag.push((row.key(), tags, &row.tags));
            }
        }
        todo
    }
    /// First what is too much (H4), then what is missing; a new text at any time.
    async fn send(&self, cx: &Cx, id: &str) -> Result<(), Failure> {
        let rules: BoxFuture<'_, Result<(), Failure>> = Box::pin(async {
            if !self.revoke.is_empty() {
                self.take_out(cx, id).await?;
            }
            if !self.authorize.is_empty() {
                self.put_in(cx, id).await?;
            }
            Ok(())
        });
        let mut calls = vec![rules];
        if !self.describe.is_empty() {
            calls.push(Box::pin(self.describe(cx, id)));
        }
        all(calls).await
    }
    async fn take_out(&self, cx: &Cx, id: &str) -> Result<(), Failure> {
        match revoke(cx, id, self.way, &self.revoke).await {
            // One rule that is gone already keeps all of the call's in place.
            Err(f) if f.class == Class::NotFound => {
                let live = live(cx, id).await?;
                let there = |r: &&Rule| live.contains_key(&(self.way, r.key()));
                let left: Vec<_> = self.revoke.iter().copied().filter(there).collect();
                if left.len() == self.revoke.len() {
                    return Err(f);
                }
                if left.is_empty() { Ok(()) } else { revoke(cx, id, self.way, &left).await }
            }
            answer => answer,
        }
    }
    /// A call is taken whole or not at all, so what AWS objects to is left out and the rest sent again: one that is there
    /// already (success), and one that names what is gone (told at the end).
    async fn put_in(&self, cx: &Cx, id: &str) -> Result<(), Failure> {
        let (mut left, mut refused) = (self.authorize.clone(), None);
        while !left.is_empty() {
            let before = left.len();
            match authorize(cx, id, self.way, &left).await {
                Ok(()) => break,
                Err(f) if f.class == Class::Exists => {
                    let live = live(cx, id).await?;
                    left.retain(|r| !live.contains_key(&(self.way, r.key())));
                    if left.len() == before {
                        return Err(f);
                    }
                }
                Err(f) if f.class == Class::NotFound => {
                    left.retain(|r| !f.message.contains(r.source()));
                    if left.len() == before {
                        return Err(f);
                    }
                    refused = Some(f);
                }
                Err(f) => return Err(f),
            }
        }
        refused.map_or(Ok(()), Err)
    }
    async fn describe(&self, cx: &Cx, id: &str) -> Result<(), Failure> {
        let action = self.way.describe();
        let rules = Some(packed(&self.describe, true).map_err(unbuildable(action))?);
        match self.way {
            Way::In => {
                let call = cx.ec2.update_security_group_rule_descriptions_ingress().group_id(id);
                call.set_ip_permissions(rules).send().await.map(drop).map_err(failed(action))
            }
            Way::Out => {
                let call = cx.ec2.update_security_group_rule_descriptions_egress().group_id(id);
                call.set_ip_permissions(rules).send().await.map(drop).map_err(failed(action))
            }
        }
    }
    fn actions(&self) -> Vec<&'static str> {
        let lists = [
            (self.revoke.is_empty(), self.way.revoke()),
            (self.authorize.is_empty(), self.way.authorize()),
            (self.describe.is_empty(), self.way.describe()),
        ];
        lists.into_iter().filter(|(nothing, _)| !nothing).map(|(_, action)| action).collect()
    }
}

async fn revoke(cx: &Cx, id: &str, way: Way, rules: &[&Rule]) -> Result<(), Failure> {
    let action = way.revoke();
    let rules = Some(packed(rules, false).map_err(unbuildable(action))?);
    match way {
        Way::In => {
            let call = cx.ec2.revoke_security_group_ingress().group_id(id).set_ip_permissions(rules);
            call.send().await.map(drop).map_err(failed(action))
        }
        Way::Out => {
            let call = cx.ec2.revoke_security_group_egress().group_id(id).set_ip_permissions(rules);
            call.send().await.map(drop).map_err(failed(action))
        }
    }
}
async fn authorize(cx: &Cx, id: &str, way: Way, rules: &[&Rule]) -> Result<(), Failure> {
    let action = way.authorize();
    let rules = Some(packed(rules, true).map_err(unbuildable(action))?);
    match way {
        Way::In => {
            let call = cx.ec2.authorize_security_group_ingress().group_id(id).set_ip_permissions(rules);
            call.send().await.map(drop).map_err(failed(action))
        }
        Way::Out => {
            let call = cx.ec2.authorize_security_group_egress().group_id(id).set_ip_permissions(rules);
            call.send().await.map(drop).map_err(failed(action))
        }
    }
}

// ---- reads --------------------------------------------------------------------------------------------------------

async fn groups(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::SecurityGroup>, Failure> {
    let call = cx.ec2.describe_security_groups().set_filters(filters).into_paginator().page_size(super::PAGE_ROWS);
    call.items().send().try_collect().await.map_err(failed("ec2:DescribeSecurityGroups"))
}
async fn rules(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::SecurityGroupRule>, Failure> {
    let call = cx.ec2.describe_security_group_rules().set_filters(filters).into_paginator().page_size(super::PAGE_ROWS);
    call.items().send().try_collect().await.map_err(failed("ec2:DescribeSecurityGroupRules"))
}
async fn rules_of(cx: &Cx, id: &str) -> Result<Vec<sdk::SecurityGroupRule>, Failure> {
    Ok(found(rules(cx, Some(vec![filter("group-id", [id])])).await)?.unwrap_or_default())
}
async fn group(cx: &Cx, id: &str) -> Result<Option<sdk::SecurityGroup>, Failure> {
    let answer = cx.ec2.describe_security_groups().group_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeSecurityGroups")))?.and_then(|a| a.security_groups);
    Ok(here.unwrap_or_default().pop())
}
fn way_of(rule: &sdk::SecurityGroupRule) -> Way {
    if rule.is_egress == Some(true) { Way::Out } else { Way::In }
}

fn seen(cx: &Cx, group: &sdk::SecurityGroup, rules: &[sdk::SecurityGroupRule]) -> Option<Seen<Spec>> {
    let own = cx.scope.account.as_str();
    let of = |way| rules.iter().filter(|r| way_of(r) == way).map(|r| Rule::seen(r, own)).collect::<Vec<_>>().into();
    let mut spec = Spec::from_sdk(group);
    (spec.ingress, spec.egress) = (of(Way::In), of(Way::Out));
    let aliases = rules.iter().filter_map(|r| r.security_group_rule_id.clone()).map(Alias).collect();
    Some(Seen { id: group.group_id.clone()?, spec, aliases })
}

/// The rules that a group has at this moment, with their ids.
async fn live(cx: &Cx, id: &str) -> Result<HashMap<(Way, RuleKey), String>, Failure> {
    let own = cx.scope.account.as_str();
    let rules = rules_of(cx, id).await?.into_iter();
    Ok(rules.map(|r| ((way_of(&r), Rule::seen(&r, own).key()), r.security_group_rule_id.unwrap_or_default())).collect())
}

/// The tags of rules, which have ids of their own, new at each authorisation: looked up once all rules are there. Rules
/// that change their tags alike share a call.
async fn retag(cx: &Cx, id: &str, todos: &[Todo<'_>]) -> Result<(), Failure> {
    let changes = retags(todos);
    if changes.is_empty() {
        return Ok(());
    }
    let live = live(cx, id).await?;
    let calls = changes.into_iter().map(|(now, want, rules)| {
        // One that is not there has failed to be authorised, or somebody took it out: the read-back tells.
        let ids: Vec<String> = rules.into_iter().filter_map(|r| live.get(&r).cloned()).collect();
        let call: BoxFuture<'_, Result<(), Failure>> =
            Box::pin(async move { converge_tags_of_all(cx, &ids, &now, &want).await.map_err(about("tags of rules")) });
        call
    });
    all(calls.collect()).await
}
type Retag = (Tags, Tags, Vec<(Way, RuleKey)>);
fn retags(todos: &[Todo<'_>]) -> Vec<Retag> {
    let mut out: Vec<Retag> = vec![];
    for todo in todos {
        for (rule, now, want) in &todo.retag {
            let rule = (todo.way, rule.clone());
            match out.iter_mut().find(|(n, w, _)| n == now && w == *want) {
                Some((_, _, rules)) => rules.push(rule),
                None => out.push((now.clone(), (*want).clone(), vec![rule])),
            }
        }
    }
    out
}

impl Kind for SecurityGroup {
    type Name = ec2::SecurityGroup;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &Rule::COVERAGE, &Peer::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateSecurityGroupInputBuilder>>::TABLE,
        &<Rule as Input<AuthorizeSecurityGroupIngressInputBuilder>>::TABLE,
        &<Rule as Input<AuthorizeSecurityGroupEgressInputBuilder>>::TABLE,
        &<Rule as Input<UpdateSecurityGroupRuleDescriptionsIngressInputBuilder>>::TABLE,
        &<Rule as Input<UpdateSecurityGroupRuleDescriptionsEgressInputBuilder>>::TABLE,
        &<Rule as Input<sdk::IpPermission>>::TABLE,
        &<Rule as Input<sdk::UserIdGroupPair>>::TABLE,
        &<Rule as Input<sdk::IpRange>>::TABLE,
        &<Rule as Input<sdk::Ipv6Range>>::TABLE,
        &<Rule as Input<sdk::PrefixListId>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeSecurityGroups", "ec2:DescribeSecurityGroupRules"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateSecurityGroup",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:RevokeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupEgress",
        "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
        "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &[
        "its id and the ids of its rules",
        "its place in rules of other accounts' groups, which name it by its id",
        "its associations with further VPCs, and its sharing with other accounts",
    ];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_security_group";
    const QUOTAS: &'static [Quota] = &[
        Quota {
            service: "vpc",
            code: "L-E79EC296",
            name: "VPC security groups per Region",
            default: 2500,
            per: Per::Region,
            uses: Quota::EACH,
        },
        Quota {
            service: "vpc",
            code: "L-0EA8095F",
            name: "Inbound or outbound rules per security group",
            default: 60,
            per: Per::Itself,
            uses: |s| counted(&s["ingress"]).max(counted(&s["egress"])),
        },
    ];
    const IMMUTABLE: &'static [&'static str] = &["vpc_id", "group_name", "description"];
    const LINK_AFTER: &'static [&'static str] = &["ec2:vpc-peering-connection"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let (groups, rules) = match which {
            Which::All => try_join(groups(cx, None), rules(cx, None)).await?,
            Which::Ids(_) => {
                // A group that is gone could fail the call for rules, whose filter is checked against groups.
                let groups = groups(cx, only("group-id", which)).await?;
                let ids: Vec<&str> = groups.iter().filter_map(|g| g.group_id.as_deref()).collect();
                let rules =
                    if ids.is_empty() { vec![] } else { rules(cx, Some(vec![filter("group-id", ids)])).await? };
                (groups, rules)
            }
        };
        let mut of_group: HashMap<String, Vec<sdk::SecurityGroupRule>> = HashMap::new();
        for rule in rules {
            of_group.entry(rule.group_id.clone().unwrap_or_default()).or_default().push(rule);
        }
        let rules = |g: &sdk::SecurityGroup| of_group.get(g.group_id.as_deref().unwrap_or_default());
        Ok(groups.iter().filter_map(|g| seen(cx, g, rules(g).map_or(&[], Vec::as_slice))).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let (group, rules) = try_join(group(cx, id), rules_of(cx, id)).await?;
        Ok(group.and_then(|g| seen(cx, &g, &rules)))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "security-group", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateSecurityGroup";
        let tags = tags_on_create(sdk::ResourceType::SecurityGroup, &spec.tags, step)?;
        // H5: without rules, which may name groups that are not there yet, and this one.
        let call = spec.create_security_group().map_err(unbuildable(action))?.tag_specifications(tags);
        held(action, "group id", call.send_with(&cx.ec2_once).await.map_err(failed(action))?.group_id)
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let todos = [Todo::new(Way::In, now, want), Todo::new(Way::Out, now, want)];
        let mut calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags))];
        calls.extend(todos.iter().map(|t| -> BoxFuture<'_, Result<(), Failure>> { Box::pin(t.send(cx, id)) }));
        all(calls).await?;
        retag(cx, id, &todos).await
    }

    /// H3: the default group comes with its VPC. No other may have that name.
    fn is_implicit(spec: &Spec) -> bool {
        spec.group_name.as_deref() == Some("default")
    }
    async fn implicit(cx: &Cx, want: &Spec) -> Result<Option<String>, Failure> {
        let Some(vpc) = &want.vpc_id else { return Ok(None) };
        let default = vec![filter("vpc-id", [&vpc.0]), filter("group-name", ["default"])];
        Ok(groups(cx, Some(default)).await?.pop().and_then(|g| g.group_id))
    }

    fn natural_key(spec: &Spec) -> Option<String> {
        Some(format!("{}|{}", spec.vpc_id.as_ref()?.0, spec.group_name.as_ref()?))
    }

    fn terraform(id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        vec![(if Self::is_implicit(spec) { "aws_default_security_group" } else { Self::TERRAFORM }, id.to_owned())]
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateSecurityGroup"] };
        let todos = [Todo::new(Way::In, now, want), Todo::new(Way::Out, now, want)];
        let tags = tag_calls(&now.tags, &want.tags).into_iter();
        let rules = todos.iter().flat_map(Todo::actions);
        let retag = retags(&todos).into_iter().flat_map(|(now, want, _)| tag_calls(&now, &want));
        tags.chain(rules).chain(retag).collect()
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

    fn group(ingress: Value, egress: Value) -> Value {
        json!({"vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "group_name": "web", "description": "d", "ingress": ingress, "egress": egress})
    }
    fn tcp(port: i32, cidr: &str) -> Value {
        json!({"ip_protocol": "tcp", "from_port": port, "to_port": port, "cidr_ipv4": cidr})
    }
    fn from_group(port: i32, id: &str) -> Value {
        json!({"ip_protocol": "tcp", "from_port": port, "to_port": port, "peer_group_id": {"$late": "ec2:security-group", "id": id}})
    }
    fn with(mut row: Value, member: &str, v: Value) -> Value {
        row[member] = v;
        row
    }
    fn all_out() -> Value {
        json!({"ip_protocol": "-1", "cidr_ipv4": "0.0.0.0/0"})
    }
    /// A row of DescribeSecurityGroupRules.
    fn rule(id: &str, egress: bool, port: i32, source: &str) -> String {
        format!(
            "<item><securityGroupRuleId>{id}</securityGroupRuleId><groupId>sg-1</groupId><isEgress>{egress}</isEgress><ipProtocol>tcp</ipProtocol><fromPort>{port}</fromPort><toPort>{port}</toPort>{source}</item>"
        )
    }
    fn rules(rows: &[String]) -> Answer {
        Answer::Ok(format!("<securityGroupRuleSet>{}</securityGroupRuleSet>", rows.concat()))
    }

    #[tokio::test]
    async fn h4_what_aws_put_in_goes_before_the_rules_come() {
        let canned = Canned::new(|_| "".into());
        let now = group(json!([from_group(0, "sg-1")]), json!([all_out(), {"ip_protocol": "-1", "cidr_ipv6": "::/0"}]));
        let want = group(
            json!([
                tcp(443, "10.0.0.0/8"),
                with(tcp(443, "10.1.0.0/16"), "description", json!("office")),
                from_group(443, "sg-2")
            ]),
            json!([tcp(5432, "10.0.0.0/8")]),
        );
        assert_eq!(
            foretold::<SecurityGroup>(&canned, "sg-1", &now, &want).await,
            [
                "RevokeSecurityGroupIngress GroupId=sg-1 IpPermissions.1.FromPort=0 IpPermissions.1.Groups.1.GroupId=sg-1 IpPermissions.1.IpProtocol=tcp IpPermissions.1.ToPort=0",
                // One call a way, however many rules.
                "AuthorizeSecurityGroupIngress GroupId=sg-1 IpPermissions.1.FromPort=443 IpPermissions.1.Groups.1.GroupId=sg-2 IpPermissions.1.IpProtocol=tcp IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8 IpPermissions.1.IpRanges.2.CidrIp=10.1.0.0/16 IpPermissions.1.IpRanges.2.Description=office IpPermissions.1.ToPort=443",
                "RevokeSecurityGroupEgress GroupId=sg-1 IpPermissions.1.IpProtocol=-1 IpPermissions.1.IpRanges.1.CidrIp=0.0.0.0/0 IpPermissions.1.Ipv6Ranges.1.CidrIpv6=::/0",
                "AuthorizeSecurityGroupEgress GroupId=sg-1 IpPermissions.1.FromPort=5432 IpPermissions.1.IpProtocol=tcp IpPermissions.1.IpRanges.1.CidrIp=10.0.0.0/8 IpPermissions.1.ToPort=5432",
            ]
        );
    }

    #[tokio::test]
    async fn only_the_range_that_differs_is_sent_and_a_description_alone_is_rewritten() {
        let canned = Canned::new(|_| "".into());
        let both = |a: Value, b: Value| group(json!([a, b]), json!([all_out()]));
        let described = |text: &str| with(tcp(443, "10.1.0.0/16"), "description", json!(text));
        let (now, want) =
            (both(tcp(443, "10.9.0.0/16"), described("old")), both(tcp(443, "10.2.0.0/16"), described("new")));
        assert_eq!(
            foretold::<SecurityGroup>(&canned, "sg-1", &now, &want).await,
            [
                "RevokeSecurityGroupIngress GroupId=sg-1 IpPermissions.1.FromPort=443 IpPermissions.1.IpProtocol=tcp IpPermissions.1.IpRanges.1.CidrIp=10.9.0.0/16 IpPermissions.1.ToPort=443",
                "AuthorizeSecurityGroupIngress GroupId=sg-1 IpPermissions.1.FromPort=443 IpPermissions.1.IpProtocol=tcp IpPermissions.1.IpRanges.1.CidrIp=10.2.0.0/16 IpPermissions.1.ToPort=443",
                "UpdateSecurityGroupRuleDescriptionsIngress GroupId=sg-1 IpPermissions.1.FromPort=443 IpPermissions.1.IpProtocol=tcp IpPermissions.1.IpRanges.1.CidrIp=10.1.0.0/16 IpPermissions.1.IpRanges.1.Description=new IpPermissions.1.ToPort=443",
            ]
        );
    }

    #[tokio::test]
    async fn h5_a_pair_of_the_own_account_has_no_account_and_a_peers_has() {
        let peer = |group: &str, user: &str, more: &str| {
            format!(
                "<referencedGroupInfo><groupId>{group}</groupId><userId>{user}</userId>{more}</referencedGroupInfo>"
            )
        };
        let rows = [
            rule("sgr-1", false, 1, &peer("sg-1", "111122223333", "<vpcId>vpc-1</vpcId>")),
            rule("sgr-2", false, 2, &peer("sg-far", "444455556666", "<vpcId>vpc-far</vpcId><vpcPeeringConnectionId>pcx-1</vpcPeeringConnectionId>")),
            "<item><securityGroupRuleId>sgr-3</securityGroupRuleId><groupId>sg-1</groupId><isEgress>true</isEgress><ipProtocol>-1</ipProtocol><fromPort>-1</fromPort><toPort>-1</toPort><cidrIpv4>0.0.0.0/0</cidrIpv4><tagSet><item><key>why</key><value>all</value></item></tagSet></item>".to_owned(),
        ];
        let canned = Canned::new(move |c| match c.action.as_str() {
            "DescribeSecurityGroupRules" => rules(&rows),
            _ => {
                "<securityGroupInfo><item><groupId>sg-1</groupId><groupName>web</groupName></item></securityGroupInfo>"
                    .into()
            }
        });
        let seen = SecurityGroup::read(&canned.cx(), "sg-1").await.unwrap().unwrap();
        assert_eq!(
            seen.spec.to_json(),
            json!({"group_name": "web", "egress": [with(all_out(), "tags", json!({"why": "all"}))], "ingress": [
                from_group(1, "sg-1"),
                {"ip_protocol": "tcp", "from_port": 2, "to_port": 2, "peer_account": "444455556666",
                 "peer_group_id": {"$late": "ec2:security-group", "id": "sg-far"}, "peer_vpc_id": {"$late": "ec2:vpc", "id": "vpc-far"},
                 "peering_connection_id": {"$late": "ec2:vpc-peering-connection", "id": "pcx-1"}},
            ]})
        );
        assert_eq!(seen.aliases, ["sgr-1", "sgr-2", "sgr-3"].map(|a| Alias(a.into())));
        let canned = Canned::new(|_| "".into());
        let want = seen.spec.to_json();
        let text =
            sent::<SecurityGroup>(&canned, "sg-1", &json!({"group_name": "web"}), &want).await.unwrap().remove(0);
        assert!(text.contains("Groups.1.GroupId=sg-far") && text.contains("Groups.1.UserId=444455556666"), "{text}");
        assert!(!text.contains("111122223333"), "{text}");
    }

    #[tokio::test]
    async fn h64_a_duplicate_leaves_the_rest_to_be_sent() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "DescribeSecurityGroupRules" => rules(&[rule("sgr-1", false, 443, "<cidrIpv4>10.0.0.0/8</cidrIpv4>")]),
            _ if c.params.values().any(|v| v == "10.0.0.0/8") => Answer::Error(
                400,
                "InvalidPermission.Duplicate",
                "the specified rule \"peer: 10.0.0.0/8\" already exists",
            ),
            _ => "".into(),
        });
        let now = group(json!([]), json!([]));
        let alone = group(json!([tcp(443, "10.0.0.0/8")]), json!([]));
        assert_eq!(sent::<SecurityGroup>(&canned, "sg-1", &now, &alone).await.unwrap().len(), 1);
        let both = group(json!([tcp(443, "10.0.0.0/8"), tcp(22, "10.2.0.0/16")]), json!([]));
        let last = sent::<SecurityGroup>(&canned, "sg-1", &now, &both).await.unwrap().pop().unwrap();
        assert!(last.contains("10.2.0.0/16") && !last.contains("10.0.0.0/8"), "{last}");
    }

    #[tokio::test]
    async fn a_rule_that_is_gone_already_leaves_the_rest_to_be_revoked() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "DescribeSecurityGroupRules" => rules(&[rule("sgr-1", false, 22, "<cidrIpv4>10.2.0.0/16</cidrIpv4>")]),
            _ if c.params.values().any(|v| v == "10.0.0.0/8") => Answer::Error(
                400,
                "InvalidPermission.NotFound",
                "The specified rule does not exist in this security group.",
            ),
            _ => "".into(),
        });
        let now = group(json!([tcp(443, "10.0.0.0/8"), tcp(22, "10.2.0.0/16")]), json!([]));
        let last =
            sent::<SecurityGroup>(&canned, "sg-1", &now, &group(json!([]), json!([]))).await.unwrap().pop().unwrap();
        assert!(last.contains("10.2.0.0/16") && !last.contains("10.0.0.0/8"), "{last}");
    }

    #[tokio::test]
    async fn h5_a_rule_that_names_a_dead_group_keeps_none_of_the_others_out() {
        let canned = Canned::new(|c| match c.params.values().any(|v| v == "sg-dead") {
            true => Answer::Error(
                400,
                "InvalidGroup.NotFound",
                "You have specified two resources that belong to different networks or 'sg-dead' does not exist",
            ),
            false => "".into(),
        });
        let want = group(json!([from_group(443, "sg-dead"), tcp(443, "10.0.0.0/8")]), json!([]));
        let f = sent::<SecurityGroup>(&canned, "sg-1", &group(json!([]), json!([])), &want).await.unwrap_err();
        assert_eq!(f.code, "InvalidGroup.NotFound");
        assert!(canned.wrote().pop().unwrap().contains("10.0.0.0/8"));
    }

    #[tokio::test]
    async fn tags_of_new_rules_share_a_call() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "DescribeSecurityGroupRules" => rules(&[
                rule("sgr-1", false, 443, "<cidrIpv4>10.0.0.0/8</cidrIpv4>"),
                rule("sgr-2", false, 22, "<cidrIpv4>10.0.0.0/8</cidrIpv4>"),
                rule("sgr-3", true, 22, "<cidrIpv4>10.0.0.0/8</cidrIpv4>"),
            ]),
            _ => "".into(),
        });
        let tagged = |row| with(row, "tags", json!({"team": "net"}));
        let want = group(json!([tagged(tcp(443, "10.0.0.0/8")), tagged(tcp(22, "10.0.0.0/8"))]), json!([]));
        let sent = foretold::<SecurityGroup>(&canned, "sg-1", &group(json!([]), json!([])), &want).await;
        let last = sent.last().unwrap();
        assert!(last.starts_with("CreateTags") && last.ends_with("Tag.1.Key=team Tag.1.Value=net"), "{last}");
        assert!(last.contains("=sgr-1 ") && last.contains("=sgr-2 ") && !last.contains("sgr-3"), "{last}");
    }

    #[tokio::test]
    async fn h5_it_is_made_bare_and_h3_the_default_one_is_found() {
        let canned = Canned::new(|c| {
            match c.action.as_str() {
            "CreateSecurityGroup" => "<groupId>sg-2</groupId>".into(),
            _ => "<securityGroupInfo><item><groupId>sg-d</groupId><groupName>default</groupName></item></securityGroupInfo>".into(),
        }
        });
        let want = group(json!([from_group(443, "sg-1")]), json!([]));
        let step = Step { restore: "r1".into(), number: 3 };
        SecurityGroup::create(&canned.cx(), &spec::<SecurityGroup>(&want), &step).await.unwrap();
        assert_eq!(
            canned.wrote(),
            [
                "CreateSecurityGroup GroupDescription=d GroupName=web TagSpecification.1.ResourceType=security-group TagSpecification.1.Tag.1.Key=rollbackd:step TagSpecification.1.Tag.1.Value=r1/3 VpcId=vpc-1"
            ]
        );
        let default = with(want, "group_name", json!("default"));
        let default = spec::<SecurityGroup>(&default);
        assert!(SecurityGroup::is_implicit(&default));
        assert_eq!(SecurityGroup::implicit(&canned.cx(), &default).await.unwrap().as_deref(), Some("sg-d"));
        assert_eq!(SecurityGroup::natural_key(&default).as_deref(), Some("vpc-1|default"));
    }
}
