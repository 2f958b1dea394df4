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

    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateSecurityGroup"] };
        let todos = [Todo::new(Way::In, now, want), Todo::new(Way::Out, now, want)];
        let tags = tag_calls(&now.tags, &want.tags).into_iter();
        let rules = todos.iter().flat_map(Todo::actions);
        let retag = retags(&todos).into_iter().flat_map(|(now, want, _)| tag_calls(&now, &want));
        tags.chain(rules).chain(retag).collect()
    }
}
