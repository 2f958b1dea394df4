//! `ec2:network-acl`: the stateless filter of subnets. Every subnet has exactly one: the VPC's default, unless another was
//! put in its place (H9).
//!
//! The default one comes with its VPC and is adopted (H3); what falls to it by default is not in its spec. Nor are the last
//! entries of every list, which deny the rest and cannot be made.
use super::{
    about, all, converge_tags, failed, filter, found, gone_already, held, only, tag_calls, tags_on_create, unbuildable,
};
use crate::{
    aws::{Class, Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Step, Which,
        mirror::{Coverage, FromSdk, Input, Inputs, LateRef, Ref, Set, Tags},
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
        create_network_acl::builders::CreateNetworkAclInputBuilder,
        create_network_acl_entry::builders::CreateNetworkAclEntryInputBuilder,
        replace_network_acl_entry::builders::ReplaceNetworkAclEntryInputBuilder,
    },
    types as sdk,
};
use futures_util::future::BoxFuture;

mirror! {
    Spec from sdk::NetworkAcl;
    keep {
        associations @ "associationSet": Set<NetworkAclAssociation>,
        entries @ "entrySet": Set<NetworkAclEntry>,
        tags @ "tagSet": Tags,
        vpc_id @ "vpcId": Option<Ref<ec2::Vpc>>,
    }
    report {
        is_default @ "default": Option<bool> = "the default NACL comes only with its VPC; its entries can be rewritten",
    }
    drop {
        network_acl_id @ "networkAclId": "the id itself; remapped",
        owner_id @ "ownerId": "the account; part of the key",
    }
}

mirror! {
    NetworkAclAssociation from sdk::NetworkAclAssociation, key [subnet_id];
    keep {
        subnet_id @ "subnetId": Option<LateRef<ec2::Subnet>>,
    }
    drop {
        network_acl_association_id @ "networkAclAssociationId": "assigned by AWS at each association; an alias",
        network_acl_id @ "networkAclId": "the resource itself",
    }
}

mirror! {
    NetworkAclEntry from sdk::NetworkAclEntry, key [rule_number, egress];
    keep {
        cidr_block @ "cidrBlock": Option<String>,
        egress @ "egress": Option<bool>,
        icmp_type_code @ "icmpTypeCode": Option<IcmpTypeCode>,
        ipv6_cidr_block @ "ipv6CidrBlock": Option<String>,
        port_range @ "portRange": Option<PortRange>,
        protocol @ "protocol": Option<String>,
        rule_action @ "ruleAction": Option<String>,
        rule_number @ "ruleNumber": Option<i32>,
    }
}

mirror! {
    IcmpTypeCode from sdk::IcmpTypeCode;
    keep {
        code @ "code": Option<i32>,
        r#type @ "type": Option<i32>,
    }
}

mirror! {
    PortRange from sdk::PortRange;
    keep {
        from @ "from": Option<i32>,
        to @ "to": Option<i32>,
    }
}

input! {
    Spec => create_network_acl(CreateNetworkAclInputBuilder);
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
    NetworkAclEntry => create_network_acl_entry(CreateNetworkAclEntryInputBuilder);
    set {
        set_rule_number: rule_number,
        set_protocol: protocol,
        set_rule_action: rule_action,
        set_egress: egress,
        set_cidr_block: cidr_block,
        set_ipv6_cidr_block: ipv6_cidr_block,
        set_icmp_type_code: icmp_type_code,
        set_port_range: port_range,
    }
    leave {
        dry_run: "the engine's",
        network_acl_id: "the resource at hand",
    }
}

input! {
    NetworkAclEntry => replace_network_acl_entry(ReplaceNetworkAclEntryInputBuilder);
    set {
        set_rule_number: rule_number,
        set_protocol: protocol,
        set_rule_action: rule_action,
        set_egress: egress,
        set_cidr_block: cidr_block,
        set_ipv6_cidr_block: ipv6_cidr_block,
        set_icmp_type_code: icmp_type_code,
        set_port_range: port_range,
    }
    leave {
        dry_run: "the engine's",
        network_acl_id: "the resource at hand",
    }
}

input! {
    IcmpTypeCode => sdk::IcmpTypeCode;
    set {
        set_code: code,
        set_type: r#type,
    }
}

input! {
    PortRange => sdk::PortRange;
    set {
        set_from: from,
        set_to: to,
    }
}

pub struct NetworkAcl;

/// The last number that an entry of a user's can have. Above it are the entries that deny the rest: 32767 and, of a VPC
/// with IPv6, 32768 (Amazon VPC User Guide, "Network ACL rules").
const RULE_NUMBER_MAX: i32 = 32766;
/// Subnets of one look-up: the most values of a filter.
const SUBNETS_AT_ONCE: usize = 200;

impl Spec {
    fn is_default(&self) -> bool {
        self.is_default == Some(true)
    }
    fn entry(&self, like: &NetworkAclEntry) -> Option<&NetworkAclEntry> {
        self.entries.iter().find(|e| (e.rule_number, e.egress) == (like.rule_number, like.egress))
    }
    fn subnets_not_in<'a>(&'a self, other: &Self) -> Vec<&'a str> {
        let missing = self.associations.iter().filter(|a| !other.associations.contains(a));
        missing.filter_map(|a| a.subnet_id.as_ref()).map(|s| s.0.as_str()).collect()
    }
}

impl NetworkAclEntry {
    async fn create(&self, cx: &Cx, acl: &str) -> Result<(), Failure> {
        let action = "ec2:CreateNetworkAclEntry";
        let call = self.create_network_acl_entry().map_err(unbuildable(action))?.network_acl_id(acl);
        match call.send_with(&cx.ec2).await.map_err(failed(action)) {
            // There already, though perhaps with other words.
            Err(f) if f.class == Class::Exists => self.replace(cx, acl).await,
            answer => answer.map(drop),
        }
    }
    async fn replace(&self, cx: &Cx, acl: &str) -> Result<(), Failure> {
        let action = "ec2:ReplaceNetworkAclEntry";
        let call = self.replace_network_acl_entry().map_err(unbuildable(action))?.network_acl_id(acl);
        call.send_with(&cx.ec2).await.map(drop).map_err(failed(action))
    }
    async fn delete(&self, cx: &Cx, acl: &str) -> Result<(), Failure> {
        let call = cx.ec2.delete_network_acl_entry().network_acl_id(acl);
        let call = call.set_rule_number(self.rule_number).set_egress(self.egress);
        gone_already(call.send().await.map_err(failed("ec2:DeleteNetworkAclEntry")))
    }
}

/// What is to be done to the entries, each one call.
enum Todo<'a> {
    Create(&'a NetworkAclEntry),
    Replace(&'a NetworkAclEntry),
    Delete(&'a NetworkAclEntry),
}
impl Todo<'_> {
    fn action(&self) -> &'static str {
        match self {
            Self::Create(_) => "ec2:CreateNetworkAclEntry",
            Self::Replace(_) => "ec2:ReplaceNetworkAclEntry",
            Self::Delete(_) => "ec2:DeleteNetworkAclEntry",
        }
    }
    fn send<'b>(&'b self, cx: &'b Cx, id: &'b str) -> BoxFuture<'b, Result<(), Failure>> {
        Box::pin(async move {
            let (Self::Create(entry) | Self::Replace(entry) | Self::Delete(entry)) = self;
            let sent = match self {
                Self::Create(_) => entry.create(cx, id).await,
                Self::Replace(_) => entry.replace(cx, id).await,
                Self::Delete(_) => entry.delete(cx, id).await,
            };
            sent.map_err(about(format_args!("entry {}", entry.rule_number.unwrap_or_default())))
        })
    }
}
fn todo<'a>(now: &'a Spec, want: &'a Spec) -> Vec<Todo<'a>> {
    let mut out = vec![];
    for entry in want.entries.iter() {
        match now.entry(entry) {
            Some(there) if there == entry => {}
            Some(_) => out.push(Todo::Replace(entry)),
            None => out.push(Todo::Create(entry)),
        }
    }
    out.extend(now.entries.iter().filter(|e| want.entry(e).is_none()).map(Todo::Delete));
    out
}

async fn acls(cx: &Cx, filters: Option<Vec<sdk::Filter>>) -> Result<Vec<sdk::NetworkAcl>, Failure> {
    let call = cx.ec2.describe_network_acls().set_filters(filters).into_paginator().page_size(super::PAGE_ROWS);
    call.items().send().try_collect().await.map_err(failed("ec2:DescribeNetworkAcls"))
}
async fn default_acl(cx: &Cx, vpc: &str) -> Result<Option<String>, Failure> {
    let acls = acls(cx, Some(vec![filter("vpc-id", [vpc]), filter("default", ["true"])])).await?;
    Ok(acls.into_iter().find_map(|a| a.network_acl_id))
}

fn seen(mut a: sdk::NetworkAcl) -> Option<Seen<Spec>> {
    let id = a.network_acl_id.clone()?;
    let ids = a.associations.iter().flatten().filter_map(|a| a.network_acl_association_id.clone());
    let aliases = ids.map(Alias).collect();
    if let Some(entries) = &mut a.entries {
        entries.retain(|e| e.rule_number.is_some_and(|n| n <= RULE_NUMBER_MAX));
    }
    let mut spec = Spec::from_sdk(&a);
    if spec.is_default() {
        // H9: subnets fall to it; nobody put them there.
        spec.associations = Set::default();
    }
    Some(Seen { id, spec, aliases })
}

/// H9: an association cannot be made or undone, only replaced, by the id that it has at this moment. `add` goes to this
/// one; `release`, where still here, to the VPC's default.
async fn associate(cx: &Cx, id: &str, vpc: Option<&str>, add: &[&str], release: &[&str]) -> Result<(), Failure> {
    let action = "ec2:ReplaceNetworkAclAssociation";
    let subnets: Vec<&str> = add.iter().chain(release).copied().collect();
    let mut live: Vec<sdk::NetworkAclAssociation> = vec![];
    for some in subnets.chunks(SUBNETS_AT_ONCE) {
        let acls = acls(cx, Some(vec![filter("association.subnet-id", some.iter().copied())])).await?;
        live.extend(acls.into_iter().flat_map(|a| a.associations.unwrap_or_default()));
    }
    let of = |subnet: &str| live.iter().find(|a| a.subnet_id.as_deref() == Some(subnet));
    let is_here = |subnet: &str| of(subnet).is_some_and(|a| a.network_acl_id.as_deref() == Some(id));
    let fallback = match vpc.filter(|_| release.iter().any(|s| is_here(s))) {
        Some(vpc) => default_acl(cx, vpc).await?,
        None => None,
    };
    let mut calls: Vec<BoxFuture<'_, Result<(), Failure>>> = vec![];
    let mut replace = |subnet: &str, to: &str| {
        let association = of(subnet).and_then(|a| a.network_acl_association_id.clone());
        let (subnet, to) = (subnet.to_owned(), to.to_owned());
        calls.push(Box::pin(async move {
            let Some(association) = association else {
                let why = format!("{subnet} has no network ACL: it is not there");
                return Err(Failure::unbuildable(action, why));
            };
            let call = cx.ec2.replace_network_acl_association().association_id(association).network_acl_id(to);
            call.send().await.map(drop).map_err(failed(action)).map_err(about(subnet))
        }));
    };
    add.iter().filter(|s| !is_here(s)).for_each(|s| replace(s, id));
    if let Some(fallback) = &fallback {
        release.iter().filter(|s| is_here(s)).for_each(|s| replace(s, fallback));
    }
    all(calls).await
}

impl Kind for NetworkAcl {
    type Name = ec2::NetworkAcl;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[
        &Spec::COVERAGE,
        &NetworkAclAssociation::COVERAGE,
        &NetworkAclEntry::COVERAGE,
        &IcmpTypeCode::COVERAGE,
        &PortRange::COVERAGE,
    ];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateNetworkAclInputBuilder>>::TABLE,
        &<NetworkAclEntry as Input<CreateNetworkAclEntryInputBuilder>>::TABLE,
        &<NetworkAclEntry as Input<ReplaceNetworkAclEntryInputBuilder>>::TABLE,
        &<IcmpTypeCode as Input<sdk::IcmpTypeCode>>::TABLE,
        &<PortRange as Input<sdk::PortRange>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeNetworkAcls"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateNetworkAcl",
        "ec2:CreateNetworkAclEntry",
        "ec2:ReplaceNetworkAclEntry",
        "ec2:DeleteNetworkAclEntry",
        "ec2:ReplaceNetworkAclAssociation",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] = &["its id and the ids of its associations"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_network_acl";
    const QUOTAS: &'static [Quota] = &[Quota {
        service: "vpc",
        code: "L-B4A6D682",
        name: "Network ACLs per VPC",
        default: 200,
        per: Per::Owner("vpc_id"),
        uses: Quota::EACH,
    }];
    const IMMUTABLE: &'static [&'static str] = &["vpc_id"];
    const REPORTED: &'static [(&'static str, &'static str)] =
        &[("is_default", "the default NACL comes only with its VPC; its entries can be rewritten")];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        Ok(acls(cx, only("network-acl-id", which)).await?.into_iter().filter_map(seen).collect())
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        let answer = cx.ec2.describe_network_acls().network_acl_ids(id).send().await;
        let here = found(answer.map_err(failed("ec2:DescribeNetworkAcls")))?.and_then(|a| a.network_acls);
        Ok(here.unwrap_or_default().pop().and_then(seen))
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "network-acl", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateNetworkAcl";
        let tags = tags_on_create(sdk::ResourceType::NetworkAcl, &spec.tags, step)?;
        let call = spec.create_network_acl().map_err(unbuildable(action))?;
        let call = call.tag_specifications(tags).client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "network ACL id", made.network_acl.and_then(|a| a.network_acl_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let (add, release) = (want.subnets_not_in(now), now.subnets_not_in(want));
        let vpc = want.vpc_id.as_ref().map(|v| v.0.as_str());
        let todos = todo(now, want);
        let mut calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags))];
        calls.push(Box::pin(async {
            match all(todos.iter().map(|t| t.send(cx, id)).collect()).await {
                // A list may be full until what leaves it has left, which it has by now.
                Err(f) if f.class == Class::Quota && todos.iter().any(|t| matches!(t, Todo::Delete(_))) => {
                    let creates = todos.iter().filter(|t| matches!(t, Todo::Create(_)));
                    all(creates.map(|t| t.send(cx, id)).collect()).await
                }
                answer => answer,
            }
        }));
        if !add.is_empty() || !release.is_empty() {
            calls.push(Box::pin(async {
                match associate(cx, id, vpc, &add, &release).await {
                    // One moved between the look and the call, as ACLs that swap subnets do: look once more.
                    Err(f) if f.class == Class::NotFound => associate(cx, id, vpc, &add, &release).await,
                    answer => answer,
                }
            }));
        }
        all(calls).await
    }

    /// H3: the default one comes with its VPC.
    fn is_implicit(spec: &Spec) -> bool {
        spec.is_default()
    }
    async fn implicit(cx: &Cx, want: &Spec) -> Result<Option<String>, Failure> {
        match &want.vpc_id {
            Some(vpc) => default_acl(cx, &vpc.0).await,
            None => Ok(None),
        }
    }

    fn terraform(id: &str, spec: &Spec) -> Vec<(&'static str, String)> {
        vec![(if spec.is_default() { "aws_default_network_acl" } else { Self::TERRAFORM }, id.to_owned())]
    }
    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateNetworkAcl"] };
        let tags = tag_calls(&now.tags, &want.tags);
        let entries = todo(now, want);
        let moves = want.subnets_not_in(now).len() + now.subnets_not_in(want).len();
        let associations = std::iter::repeat_n("ec2:ReplaceNetworkAclAssociation", moves);
        tags.into_iter().chain(entries.iter().map(Todo::action)).chain(associations).collect()
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

    fn acl(subnets: &[&str], entries: Value) -> Value {
        let associations: Vec<_> =
            subnets.iter().map(|s| json!({"subnet_id": {"$late": "ec2:subnet", "id": s}})).collect();
        json!({"vpc_id": {"$ref": "ec2:vpc", "id": "vpc-1"}, "is_default": false, "associations": associations, "entries": entries})
    }
    fn entry(number: i32, action: &str) -> Value {
        json!({"rule_number": number, "egress": false, "protocol": "6", "rule_action": action, "cidr_block": "0.0.0.0/0", "port_range": {"from": 443, "to": 443}})
    }
    /// ACLs as DescribeNetworkAcls answers: id, then its associations as (id, subnet).
    fn acls(all: &[(&str, &[(&str, &str)])]) -> Answer {
        let items = all.iter().map(|(id, associations)| {
            let rows = associations.iter().map(|(a, subnet)| {
                format!("<item><networkAclAssociationId>{a}</networkAclAssociationId><networkAclId>{id}</networkAclId><subnetId>{subnet}</subnetId></item>")
            });
            format!("<item><networkAclId>{id}</networkAclId><associationSet>{}</associationSet></item>", rows.collect::<String>())
        });
        Answer::Ok(format!("<networkAclSet>{}</networkAclSet>", items.collect::<String>()))
    }

    #[tokio::test]
    async fn h9_the_last_entries_and_what_falls_to_the_default_one_are_left_out() {
        let entry =
            |n: i32| format!("<item><ruleNumber>{n}</ruleNumber><egress>true</egress><protocol>-1</protocol></item>");
        let one = |id: &str, default: bool| {
            format!(
                "<item><networkAclId>{id}</networkAclId><default>{default}</default><entrySet>{}</entrySet><associationSet><item><networkAclAssociationId>aclassoc-{id}</networkAclAssociationId><subnetId>subnet-1</subnetId></item></associationSet></item>",
                [100, 32766, 32767, 32768].map(entry).concat()
            )
        };
        let all = [one("acl-1", false), one("acl-d", true)].concat();
        let canned = Canned::new(move |_| Answer::Ok(format!("<networkAclSet>{all}</networkAclSet>")));
        let seen = NetworkAcl::look(&canned.cx(), Which::All).await.unwrap();
        let numbers: Vec<_> = seen[0].spec.entries.iter().map(|e| e.rule_number.unwrap()).collect();
        assert_eq!((numbers, seen[0].spec.associations.len()), (vec![100, 32766], 1));
        assert!(seen[1].spec.associations.is_empty() && NetworkAcl::is_implicit(&seen[1].spec));
        assert_eq!(seen[1].aliases, [Alias("aclassoc-acl-d".into())]);
    }

    #[tokio::test]
    async fn h9_entries_are_made_replaced_and_deleted_one_by_one() {
        let canned = Canned::new(|_| "".into());
        let icmp = json!({"rule_number": 120, "egress": true, "protocol": "1", "rule_action": "allow", "cidr_block": "0.0.0.0/0", "icmp_type_code": {"code": -1, "type": 8}});
        let now = acl(&[], json!([entry(100, "allow"), entry(110, "deny"), entry(130, "deny")]));
        let want = acl(&[], json!([entry(100, "allow"), entry(110, "allow"), icmp]));
        assert_eq!(
            foretold::<NetworkAcl>(&canned, "acl-1", &now, &want).await,
            [
                "ReplaceNetworkAclEntry CidrBlock=0.0.0.0/0 Egress=false NetworkAclId=acl-1 PortRange.From=443 PortRange.To=443 Protocol=6 RuleAction=allow RuleNumber=110",
                "CreateNetworkAclEntry CidrBlock=0.0.0.0/0 Egress=true Icmp.Code=-1 Icmp.Type=8 NetworkAclId=acl-1 Protocol=1 RuleAction=allow RuleNumber=120",
                "DeleteNetworkAclEntry Egress=false NetworkAclId=acl-1 RuleNumber=130",
            ]
        );
    }

    #[tokio::test]
    async fn h9_subnets_are_taken_by_the_association_they_have_now() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "DescribeNetworkAcls" if c.params.values().any(|v| v == "default") => acls(&[("acl-d", &[])]),
            "DescribeNetworkAcls" => acls(&[
                ("acl-d", &[("aclassoc-1", "subnet-1")]),
                ("acl-1", &[("aclassoc-2", "subnet-2"), ("aclassoc-3", "subnet-3")]),
                ("acl-x", &[("aclassoc-4", "subnet-4")]),
            ]),
            _ => "".into(),
        });
        // subnet-2 is to leave; subnet-3 is here already; subnet-4 has left by itself.
        let now = acl(&["subnet-2", "subnet-4"], json!([]));
        let want = acl(&["subnet-1", "subnet-3"], json!([]));
        assert_eq!(
            sent::<NetworkAcl>(&canned, "acl-1", &now, &want).await.unwrap(),
            [
                "ReplaceNetworkAclAssociation AssociationId=aclassoc-1 NetworkAclId=acl-1",
                "ReplaceNetworkAclAssociation AssociationId=aclassoc-2 NetworkAclId=acl-d",
            ]
        );
        let (now, want) = (acl(&[], json!([])), acl(&["subnet-1"], json!([])));
        assert_eq!(foretold::<NetworkAcl>(&canned, "acl-1", &now, &want).await.len(), 1);
        let asked = |c: &Canned| c.asked().into_iter().filter(|c| c.action == "DescribeNetworkAcls").count();
        NetworkAcl::converge(&canned.cx(), "acl-1", &spec::<NetworkAcl>(&now), &spec::<NetworkAcl>(&want))
            .await
            .unwrap();
        assert_eq!(asked(&canned), 1);
        let dead = acl(&["subnet-dead"], json!([]));
        let f = sent::<NetworkAcl>(&canned, "acl-1", &now, &dead).await.unwrap_err();
        assert!(f.message.contains("subnet-dead has no network ACL"), "{f}");
    }

    #[tokio::test]
    async fn h64_an_entry_that_is_there_already_is_replaced() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "CreateNetworkAclEntry" => Answer::Error(
                400,
                "NetworkAclEntryAlreadyExists",
                "The network acl entry identified by 100 already exists.",
            ),
            _ => "".into(),
        });
        let sent =
            sent::<NetworkAcl>(&canned, "acl-1", &acl(&[], json!([])), &acl(&[], json!([entry(100, "allow")]))).await;
        assert!(sent.unwrap()[1].starts_with("ReplaceNetworkAclEntry "));
    }

    #[tokio::test]
    async fn a_full_list_takes_the_new_entries_once_the_old_have_left() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let tries = AtomicUsize::new(0);
        let canned = Canned::new(move |c| match c.action.as_str() {
            "CreateNetworkAclEntry" if tries.fetch_add(1, Ordering::Relaxed) == 0 => {
                Answer::Error(400, "NetworkAclEntryLimitExceeded", "The maximum number of entries has been reached.")
            }
            _ => "".into(),
        });
        let (now, want) = (acl(&[], json!([entry(130, "deny")])), acl(&[], json!([entry(100, "allow")])));
        assert_eq!(sent::<NetworkAcl>(&canned, "acl-1", &now, &want).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn h3_the_default_one_is_found_and_h9_others_are_made_with_a_token() {
        let canned = Canned::new(|c| match c.action.as_str() {
            "CreateNetworkAcl" => "<networkAcl><networkAclId>acl-2</networkAclId></networkAcl>".into(),
            _ => acls(&[("acl-d", &[])]),
        });
        let want = spec::<NetworkAcl>(&acl(&["subnet-1"], json!([entry(100, "allow")])));
        let step = Step { restore: "r1".into(), number: 3 };
        assert_eq!(NetworkAcl::create(&canned.cx(), &want, &step).await.unwrap(), "acl-2");
        assert_eq!(
            canned.wrote(),
            [
                "CreateNetworkAcl ClientToken=rollbackd-r1-3 TagSpecification.1.ResourceType=network-acl TagSpecification.1.Tag.1.Key=rollbackd:step TagSpecification.1.Tag.1.Value=r1/3 VpcId=vpc-1"
            ]
        );
        assert_eq!(NetworkAcl::implicit(&canned.cx(), &want).await.unwrap().as_deref(), Some("acl-d"));
        assert_eq!(NetworkAcl::calls(None, &want), ["ec2:CreateNetworkAcl"]);
        assert!(want.to_json()["associations"].is_array());
    }
}
