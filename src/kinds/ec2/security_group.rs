//! `ec2:security-group`: who may speak to whom. Rules are kept one row a source, which is what AWS calls a rule, however
//! the answer had put them together.
//!
//! Groups are made without rules, so that they may name each other and themselves (H5); what AWS puts into a new one is
//! taken out before the rules go in (H4). A VPC's `default` group comes with it and is adopted (H3).
use super::{about, all, converge_tags, failed, filter, found, held, only, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, LateRef, Ref, Set, Tags},
        names::ec2,
    },
    mirror,
    model::Alias,
    plan::facts::Phase,
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
use std::collections::{BTreeMap, HashMap};

mirror! {
    Spec from sdk::SecurityGroup;
    keep {
        ip_permissions_egress @ "ipPermissionsEgress": Set<IpPermission>,
        tags @ "tagSet": Tags,
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
        group_name @ "groupName": Option<String>,
        description @ "groupDescription": Option<String>,
        ip_permissions @ "ipPermissions": Set<IpPermission>,
    }
    drop {
        group_id @ "groupId": "the id itself; remapped",
        security_group_arn @ "securityGroupArn": "derived from the id",
        owner_id @ "ownerId": "the account; part of the key",
    }
}

mirror! {
    IpPermission from sdk::IpPermission, key [ip_protocol, from_port, to_port];
    keep {
        ip_protocol @ "ipProtocol": Option<String>,
        from_port @ "fromPort": Option<i32>,
        to_port @ "toPort": Option<i32>,
        user_id_group_pairs @ "groups": Set<UserIdGroupPair>,
        ip_ranges @ "ipRanges": Set<IpRange>,
        ipv6_ranges @ "ipv6Ranges": Set<Ipv6Range>,
        prefix_list_ids @ "prefixListIds": Set<PrefixListId>,
    }
    also {
        tags: Tags, // DescribeSecurityGroupRules
    }
}

mirror! {
    UserIdGroupPair from sdk::UserIdGroupPair, key [group_id];
    keep {
        description @ "description": Option<String>,
        user_id @ "userId": Option<String>,
        group_id @ "groupId": Option<LateRef<ec2::SecurityGroup>>,
        vpc_id @ "vpcId": Option<LateRef<ec2::Vpc>>,
        vpc_peering_connection_id @ "vpcPeeringConnectionId": Option<LateRef<ec2::VpcPeeringConnection>>,
    }
    drop {
        group_name @ "groupName": "the form of EC2-Classic; the id is enough",
        peering_status @ "peeringStatus": "runtime state",
    }
}

mirror! {
    IpRange from sdk::IpRange, key [cidr_ip];
    keep {
        description @ "description": Option<String>,
        cidr_ip @ "cidrIp": Option<String>,
    }
}

mirror! {
    Ipv6Range from sdk::Ipv6Range, key [cidr_ipv6];
    keep {
        description @ "description": Option<String>,
        cidr_ipv6 @ "cidrIpv6": Option<String>,
    }
}

mirror! {
    PrefixListId from sdk::PrefixListId, key [prefix_list_id];
    keep {
        description @ "description": Option<String>,
        prefix_list_id @ "prefixListId": Option<LateRef<ec2::ManagedPrefixList>>,
    }
}

mirror! {
    /** What a rule has beyond what the group tells of it. */
    Rule from sdk::SecurityGroupRule;
    keep {
        tags @ "tagSet": Tags,
    }
    drop {
        security_group_rule_id @ "securityGroupRuleId": "assigned by AWS at each authorisation; an alias",
        group_id @ "groupId": "the resource itself",
        group_owner_id @ "groupOwnerId": "the account; part of the key",
        is_egress @ "isEgress": "the group tells it",
        ip_protocol @ "ipProtocol": "the group tells it",
        from_port @ "fromPort": "the group tells it",
        to_port @ "toPort": "the group tells it",
        cidr_ipv4 @ "cidrIpv4": "the group tells it",
        cidr_ipv6 @ "cidrIpv6": "the group tells it",
        prefix_list_id @ "prefixListId": "the group tells it",
        referenced_group_info @ "referencedGroupInfo": "the group tells it",
        description @ "description": "the group tells it",
        security_group_rule_arn @ "securityGroupRuleArn": "derived from the id",
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
    Spec => authorize_security_group_ingress(AuthorizeSecurityGroupIngressInputBuilder);
    set {
        set_ip_permissions: ip_permissions,
    }
    leave {
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
    Spec => authorize_security_group_egress(AuthorizeSecurityGroupEgressInputBuilder);
    set {
        set_ip_permissions: ip_permissions_egress,
    }
    leave {
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
    Spec => update_security_group_rule_descriptions_ingress(UpdateSecurityGroupRuleDescriptionsIngressInputBuilder);
    set {
        set_ip_permissions: ip_permissions,
    }
    leave {
        dry_run: "the engine's",
        group_id: "the resource at hand",
        security_group_rule_descriptions: "ip_permissions says it",
        group_name: "group_id says it; AWS refuses both",
    }
}

input! {
    Spec => update_security_group_rule_descriptions_egress(UpdateSecurityGroupRuleDescriptionsEgressInputBuilder);
    set {
        set_ip_permissions: ip_permissions_egress,
    }
    leave {
        dry_run: "the engine's",
        group_id: "the resource at hand",
        security_group_rule_descriptions: "ip_permissions says it",
        group_name: "group_id says it; AWS refuses both",
    }
}

input! {
    IpPermission => sdk::IpPermission;
    set {
        set_ip_protocol: ip_protocol,
        set_from_port: from_port,
        set_to_port: to_port,
        set_user_id_group_pairs: user_id_group_pairs,
        set_ip_ranges: ip_ranges,
        set_ipv6_ranges: ipv6_ranges,
        set_prefix_list_ids: prefix_list_ids,
    }
}

input! {
    UserIdGroupPair => sdk::UserIdGroupPair;
    set {
        set_description: description,
        set_user_id: user_id,
        set_group_id: group_id,
    }
    leave {
        vpc_id: "the group says it; kept so that the peer's VPC comes first",
        vpc_peering_connection_id: "AWS finds it; kept so that the peering comes first",
        group_name: "dropped: the id is enough",
        peering_status: "dropped: runtime state",
    }
}

input! {
    IpRange => sdk::IpRange;
    set {
        set_description: description,
        set_cidr_ip: cidr_ip,
    }
}

input! {
    Ipv6Range => sdk::Ipv6Range;
    set {
        set_description: description,
        set_cidr_ipv6: cidr_ipv6,
    }
}

input! {
    PrefixListId => sdk::PrefixListId;
    set {
        set_description: description,
        set_prefix_list_id: prefix_list_id,
    }
}

pub struct SecurityGroup;

// ---- rules --------------------------------------------------------------------------------------------------------

/// What makes a rule another rule: protocol, ports, source. The description and the tags do not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct RuleKey {
    protocol: String,
    from: i32,
    to: i32,
    source: String,
}
impl RuleKey {
    /// A rule that has no ports is told without them in one answer and with -1 in another.
    fn new(protocol: Option<&String>, from: Option<i32>, to: Option<i32>, source: String) -> Self {
        let protocol = protocol.cloned().unwrap_or_default();
        let (from, to) = if protocol == "-1" { (-1, -1) } else { (from.unwrap_or(-1), to.unwrap_or(-1)) };
        Self { protocol, from, to, source }
    }
    fn of(rule: &sdk::SecurityGroupRule) -> Option<Self> {
        let group = rule.referenced_group_info.as_ref().and_then(|g| g.group_id.as_ref());
        let source = rule.cidr_ipv4.as_ref().or(rule.cidr_ipv6.as_ref()).or(rule.prefix_list_id.as_ref()).or(group)?;
        Some(Self::new(rule.ip_protocol.as_ref(), rule.from_port, rule.to_port, source.clone()))
    }
}

impl IpPermission {
    /// A row has one source.
    fn key(&self) -> RuleKey {
        let group = self.user_id_group_pairs.first().and_then(|p| p.group_id.as_ref()).map(|g| &g.0);
        let list = self.prefix_list_ids.first().and_then(|p| p.prefix_list_id.as_ref()).map(|l| &l.0);
        let v4 = self.ip_ranges.first().and_then(|r| r.cidr_ip.as_ref());
        let v6 = self.ipv6_ranges.first().and_then(|r| r.cidr_ipv6.as_ref());
        let source = group.or(list).or(v4).or(v6).cloned().unwrap_or_default();
        RuleKey::new(self.ip_protocol.as_ref(), self.from_port, self.to_port, source)
    }
    fn description(&self) -> Option<&String> {
        let group = self.user_id_group_pairs.first().and_then(|p| p.description.as_ref());
        let list = self.prefix_list_ids.first().and_then(|p| p.description.as_ref());
        let v4 = self.ip_ranges.first().and_then(|r| r.description.as_ref());
        group.or(list).or(v4).or(self.ipv6_ranges.first().and_then(|r| r.description.as_ref()))
    }
    fn bare(&self) -> Self {
        Self {
            user_id_group_pairs: Set::default(),
            ip_ranges: Set::default(),
            ipv6_ranges: Set::default(),
            prefix_list_ids: Set::default(),
            tags: Tags::default(),
            ..self.clone()
        }
    }
}

/// One row a source, however the answer had put them together. `own` is the account, which pairs of its own groups name
/// in some answers and not in others.
fn rows(merged: Option<&Vec<sdk::IpPermission>>, own: &str) -> Vec<IpPermission> {
    let mut out = vec![];
    for p in merged.into_iter().flatten().map(IpPermission::from_sdk) {
        let bare = p.bare();
        let pairs = p.user_id_group_pairs.iter().cloned().map(|mut pair| {
            pair.user_id = pair.user_id.filter(|u| u != own);
            // H5: only of a peer's group do they say anything.
            if pair.user_id.is_none() && pair.vpc_peering_connection_id.is_none() {
                pair.vpc_id = None;
            }
            pair
        });
        out.extend(pairs.map(|s| IpPermission { user_id_group_pairs: vec![s].into(), ..bare.clone() }));
        let one = p.ip_ranges.iter().cloned();
        out.extend(one.map(|s| IpPermission { ip_ranges: vec![s].into(), ..bare.clone() }));
        let one = p.ipv6_ranges.iter().cloned();
        out.extend(one.map(|s| IpPermission { ipv6_ranges: vec![s].into(), ..bare.clone() }));
        let one = p.prefix_list_ids.iter().cloned();
        out.extend(one.map(|s| IpPermission { prefix_list_ids: vec![s].into(), ..bare.clone() }));
    }
    out
}

/// The rows in the fewest permissions: those of one protocol and one range of ports go together.
fn packed(rows: &[&IpPermission], with_descriptions: bool) -> Vec<IpPermission> {
    let mut groups: BTreeMap<RuleKey, Vec<&IpPermission>> = BTreeMap::new();
    for row in rows {
        groups.entry(RuleKey { source: String::new(), ..row.key() }).or_default().push(row);
    }
    groups
        .into_values()
        .filter_map(|rows| {
            let mut all = rows.first()?.bare();
            let mut pairs: Vec<_> = rows.iter().flat_map(|r| r.user_id_group_pairs.iter().cloned()).collect();
            let mut v4: Vec<_> = rows.iter().flat_map(|r| r.ip_ranges.iter().cloned()).collect();
            let mut v6: Vec<_> = rows.iter().flat_map(|r| r.ipv6_ranges.iter().cloned()).collect();
            let mut lists: Vec<_> = rows.iter().flat_map(|r| r.prefix_list_ids.iter().cloned()).collect();
            if !with_descriptions {
                pairs.iter_mut().for_each(|s| s.description = None);
                v4.iter_mut().for_each(|s| s.description = None);
                v6.iter_mut().for_each(|s| s.description = None);
                lists.iter_mut().for_each(|s| s.description = None);
            }
            (all.user_id_group_pairs, all.ip_ranges) = (pairs.into(), v4.into());
            (all.ipv6_ranges, all.prefix_list_ids) = (v6.into(), lists.into());
            Some(all)
        })
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    In,
    Out,
}
impl Way {
    fn of(self, spec: &Spec) -> &Set<IpPermission> {
        match self {
            Self::In => &spec.ip_permissions,
            Self::Out => &spec.ip_permissions_egress,
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
    revoke: Vec<&'a IpPermission>,
    authorize: Vec<&'a IpPermission>,
    describe: Vec<&'a IpPermission>,
    /// Rules whose tags will differ once the rest is done: tags then, and tags to be.
    retag: Vec<(RuleKey, Tags, &'a Tags)>,
}
impl<'a> Todo<'a> {
    fn new(way: Way, now: &'a Spec, want: &'a Spec) -> Self {
        let have: HashMap<RuleKey, &IpPermission> = way.of(now).iter().map(|r| (r.key(), r)).collect();
        let should: HashMap<RuleKey, &IpPermission> = way.of(want).iter().map(|r| (r.key(), r)).collect();
        let mut todo = Self { way, revoke: vec![], authorize: vec![], describe: vec![], retag: vec![] };
        todo.revoke.extend(way.of(now).iter().filter(|r| !should.contains_key(&r.key())));
        for row in way.of(want).iter() {
            let there = have.get(&row.key());
            match there {
                None => todo.authorize.push(row),
                Some(there) if there.description() != row.description() => todo.describe.push(row),
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
                let Some(live) = rules_of(cx, id).await? else { return Err(f) };
                let left: Vec<_> =
                    self.revoke.iter().copied().filter(|r| live.contains(&(self.way, r.key()))).collect();
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
                    let Some(live) = rules_of(cx, id).await? else { return Err(f) };
                    left.retain(|r| !live.contains(&(self.way, r.key())));
                    if left.len() == before {
                        return Err(f);
                    }
                }
                Err(f) if f.class == Class::NotFound => {
                    left.retain(|r| !f.message.contains(&r.key().source));
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
        let spec = only_rules(self.way, packed(&self.describe, true));
        match self.way {
            Way::In => {
                let call = spec.update_security_group_rule_descriptions_ingress().map_err(unbuildable(action))?;
                call.group_id(id).send_with(&cx.ec2).await.map(drop).map_err(failed(action))
            }
            Way::Out => {
                let call = spec.update_security_group_rule_descriptions_egress().map_err(unbuildable(action))?;
                call.group_id(id).send_with(&cx.ec2).await.map(drop).map_err(failed(action))
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

/// A spec that holds rules of one way only, for the inputs that take nothing else.
fn only_rules(way: Way, rules: Vec<IpPermission>) -> Spec {
    let (ingress, egress) = if way == Way::In { (rules, vec![]) } else { (vec![], rules) };
    Spec {
        ip_permissions: ingress.into(),
        ip_permissions_egress: egress.into(),
        tags: Tags::default(),
        vpc_id: None,
        group_name: None,
        description: None,
    }
}
async fn revoke(cx: &Cx, id: &str, way: Way, rows: &[&IpPermission]) -> Result<(), Failure> {
    let action = way.revoke();
    let rules = Set::from(packed(rows, false)).give().map_err(unbuildable(action))?;
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
async fn authorize(cx: &Cx, id: &str, way: Way, rows: &[&IpPermission]) -> Result<(), Failure> {
    let action = way.authorize();
    let spec = only_rules(way, packed(rows, true));
    match way {
        Way::In => {
            let call = spec.authorize_security_group_ingress().map_err(unbuildable(action))?;
            call.group_id(id).send_with(&cx.ec2).await.map(drop).map_err(failed(action))
        }
        Way::Out => {
            let call = spec.authorize_security_group_egress().map_err(unbuildable(action))?;
            call.group_id(id).send_with(&cx.ec2).await.map(drop).map_err(failed(action))
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
async fn group(cx: &Cx, id: &str) -> Result<Option<sdk::SecurityGroup>, Failure> {
    let answer = cx.ec2.describe_security_groups().group_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeSecurityGroups")))?.and_then(|a| a.security_groups);
    Ok(here.unwrap_or_default().pop())
}
fn way_of(rule: &sdk::SecurityGroupRule) -> Way {
    if rule.is_egress == Some(true) { Way::Out } else { Way::In }
}

fn seen(cx: &Cx, group: &sdk::SecurityGroup, rules: &[sdk::SecurityGroupRule]) -> Option<Seen<Spec>> {
    let of_key: HashMap<(Way, RuleKey), &sdk::SecurityGroupRule> =
        rules.iter().filter_map(|r| Some(((way_of(r), RuleKey::of(r)?), r))).collect();
    let tagged = |way: Way, merged: Option<&Vec<sdk::IpPermission>>| -> Set<IpPermission> {
        let mut out = rows(merged, cx.scope.account.as_str());
        for row in &mut out {
            let rule = of_key.get(&(way, row.key()));
            row.tags = rule.map(|r| Rule::from_sdk(*r).tags).unwrap_or_default();
        }
        out.into()
    };
    let mut spec = Spec::from_sdk(group);
    spec.ip_permissions = tagged(Way::In, group.ip_permissions.as_ref());
    spec.ip_permissions_egress = tagged(Way::Out, group.ip_permissions_egress.as_ref());
    let aliases = rules.iter().filter_map(|r| r.security_group_rule_id.clone()).map(Alias).collect();
    Some(Seen { id: group.group_id.clone()?, spec, aliases })
}

/// The rules that a group has at this moment, if it is there.
async fn rules_of(cx: &Cx, id: &str) -> Result<Option<Vec<(Way, RuleKey)>>, Failure> {
    let Some(group) = group(cx, id).await? else { return Ok(None) };
    let own = cx.scope.account.as_str();
    let ingress = rows(group.ip_permissions.as_ref(), own).into_iter().map(|r| (Way::In, r.key()));
    let egress = rows(group.ip_permissions_egress.as_ref(), own).into_iter().map(|r| (Way::Out, r.key()));
    Ok(Some(ingress.chain(egress).collect()))
}

/// The tags of rules, which have ids of their own, new at each authorisation: looked up once all rules are there.
async fn retag(cx: &Cx, id: &str, todos: &[Todo<'_>]) -> Result<(), Failure> {
    if todos.iter().all(|t| t.retag.is_empty()) {
        return Ok(());
    }
    let live: HashMap<(Way, RuleKey), String> = rules(cx, Some(vec![filter("group-id", [id])]))
        .await?
        .into_iter()
        .filter_map(|r| Some(((way_of(&r), RuleKey::of(&r)?), r.security_group_rule_id?)))
        .collect();
    let mut calls: Vec<BoxFuture<'_, Result<(), Failure>>> = vec![];
    for todo in todos {
        for (key, now, want) in &todo.retag {
            // A rule that is not there has failed to be authorised, or somebody took it out: the read-back tells.
            let Some(rule) = live.get(&(todo.way, key.clone())) else { continue };
            calls.push(Box::pin(async move { converge_tags(cx, rule, now, want).await.map_err(about(rule)) }));
        }
    }
    all(calls).await
}

impl Kind for SecurityGroup {
    type Name = ec2::SecurityGroup;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &IpPermission::COVERAGE,
        &UserIdGroupPair::COVERAGE,
        &IpRange::COVERAGE,
        &Ipv6Range::COVERAGE,
        &PrefixListId::COVERAGE,
        &Rule::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateSecurityGroupInputBuilder>>::TABLE,
        &<Spec as Input<AuthorizeSecurityGroupIngressInputBuilder>>::TABLE,
        &<Spec as Input<AuthorizeSecurityGroupEgressInputBuilder>>::TABLE,
        &<Spec as Input<UpdateSecurityGroupRuleDescriptionsIngressInputBuilder>>::TABLE,
        &<Spec as Input<UpdateSecurityGroupRuleDescriptionsEgressInputBuilder>>::TABLE,
        &<IpPermission as Input<sdk::IpPermission>>::TABLE,
        &<UserIdGroupPair as Input<sdk::UserIdGroupPair>>::TABLE,
        &<IpRange as Input<sdk::IpRange>>::TABLE,
        &<Ipv6Range as Input<sdk::Ipv6Range>>::TABLE,
        &<PrefixListId as Input<sdk::PrefixListId>>::TABLE,
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
    const IMMUTABLE: &'static [&'static str] = &["vpc_id", "group_name", "description"];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        let filters = only("group-id", which);
        let (groups, rules) = try_join(groups(cx, filters.clone()), rules(cx, filters)).await?;
        let mut of_group: HashMap<String, Vec<sdk::SecurityGroupRule>> = HashMap::new();
        for rule in rules {
            of_group.entry(rule.group_id.clone().unwrap_or_default()).or_default().push(rule);
        }
        let rules = |g: &sdk::SecurityGroup| of_group.get(g.group_id.as_deref().unwrap_or_default());
        Ok(groups.iter().filter_map(|g| seen(cx, g, rules(g).map_or(&[], Vec::as_slice))).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let (groups, rules) = try_join(group(cx, id), rules(cx, Some(vec![filter("group-id", [id])]))).await?;
        Ok(groups.and_then(|g| seen(cx, &g, &rules)))
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

    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateSecurityGroup"] };
        let todos = [Todo::new(Way::In, now, want), Todo::new(Way::Out, now, want)];
        let tags = tag_calls(&now.tags, &want.tags).into_iter();
        let rules = todos.iter().flat_map(Todo::actions);
        let retag = todos.iter().flat_map(|t| &t.retag).flat_map(|(_, now, want)| tag_calls(now, want));
        tags.chain(rules).chain(retag).collect()
    }
}
