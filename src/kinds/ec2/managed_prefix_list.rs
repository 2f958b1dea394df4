//! `ec2:managed-prefix-list`: a customer's list of CIDR blocks that group rules and routes name.
//!
//! H20: AWS's own lists, and those that another account shares, are never made, so they are not listed either; what names
//! one keeps its id. Entries change by difference: one call for up to 100, where RestoreManagedPrefixListVersion would
//! first have to find the version that held the same.
use super::{all, converge_tags, failed, filter, found, held, only, tag_calls, tags_on_create, unbuildable};
use crate::{
    aws::{Cx, Failure},
    input,
    kinds::{
        Kind, Seen, Settled, Step, Which,
        mirror::{Coverage, FromSdk, Give, Input, Inputs, Set, Tags},
        names::ec2,
    },
    mirror,
    plan::facts::Phase,
};
use aws_sdk_ec2::{
    operation::{
        create_managed_prefix_list::builders::CreateManagedPrefixListInputBuilder,
        modify_managed_prefix_list::builders::ModifyManagedPrefixListInputBuilder,
    },
    types as sdk,
};
use futures_util::{
    future::BoxFuture,
    stream::{self, StreamExt, TryStreamExt},
};

mirror! {
    Spec from sdk::ManagedPrefixList;
    keep {
        address_family @ "addressFamily": Option<String>,
        prefix_list_name @ "prefixListName": Option<String>,
        max_entries @ "maxEntries": Option<i32>,
        tags @ "tagSet": Tags,
    }
    report {
        ipam_prefix_list_resolver_sync_enabled @ "ipamPrefixListResolverSyncEnabled": Option<bool> = "an IPAM resolver target fills the list; rollbackd does not make those",
    }
    drop {
        prefix_list_id @ "prefixListId": "the id itself; remapped",
        state @ "state": "runtime state; see settled()",
        state_message @ "stateMessage": "runtime state; see settled()",
        prefix_list_arn @ "prefixListArn": "derived from the id",
        version @ "version": "counts the changes of this very list; asked for where a call needs it",
        owner_id @ "ownerId": "the account; part of the key",
        ipam_prefix_list_resolver_target_id @ "ipamPrefixListResolverTargetId": "the target names the list, and is made anew by hand",
    }
    also {
        entries: Set<Entry> // GetManagedPrefixListEntries
    }
}

mirror! {
    Entry from sdk::PrefixListEntry, key [cidr];
    keep {
        cidr @ "cidr": Option<String>,
        description @ "description": Option<String>,
    }
}

input! {
    Spec => create_managed_prefix_list(CreateManagedPrefixListInputBuilder);
    set {
        set_prefix_list_name: prefix_list_name,
        set_max_entries: max_entries,
        set_address_family: address_family,
    }
    leave {
        entries: "the first of them, as many as a call takes: create()",
        dry_run: "the engine's",
        tag_specifications: "the spec's tags and the step's: tags_on_create",
        client_token: "the step's token",
    }
}

input! {
    Spec => modify_managed_prefix_list(ModifyManagedPrefixListInputBuilder);
    leave {
        prefix_list_name: "where it differs: changes()",
        max_entries: "where it differs, in a call of its own: changes()",
        ipam_prefix_list_resolver_sync_enabled: "only with a resolver target, which names the list",
        dry_run: "the engine's",
        prefix_list_id: "the resource at hand",
        current_version: "asked for at the moment of the call: converge()",
        add_entries: "what is missing: changes()",
        remove_entries: "what is too much: changes()",
    }
}

input! {
    Entry => sdk::AddPrefixListEntry;
    set {
        set_cidr: cidr,
        set_description: description,
    }
}

input! {
    Entry => sdk::RemovePrefixListEntry;
    set {
        set_cidr: cidr,
    }
}

/// A customer's prefix list.
pub struct ManagedPrefixList;

/// Entries that one call may add, and that it may remove (EC2 API reference).
const ENTRIES_PER_CALL: usize = 100;
/// The page of both reads is smaller than that of others.
const PAGE_ROWS: i32 = 100;

/// One ModifyManagedPrefixList. Each makes a version of its own, so the next has to wait until it is there.
#[derive(Debug, Clone, PartialEq)]
enum Change<'a> {
    Rename(&'a str),
    Resize(i32),
    Entries { remove: Vec<&'a Entry>, add: Vec<&'a Entry> },
}

fn changes<'a>(now: &'a Spec, want: &'a Spec) -> Vec<Change<'a>> {
    let of = |s: &'a Spec, cidr: &Option<String>| s.entries.iter().find(|e| e.cidr == *cidr);
    let remove: Vec<&Entry> = now.entries.iter().filter(|e| of(want, &e.cidr) != Some(e)).collect();
    // A block may not be in both lists of a call: one with a new description goes first and comes after.
    let (anew, add): (Vec<&Entry>, Vec<&Entry>) =
        want.entries.iter().filter(|e| of(now, &e.cidr) != Some(e)).partition(|e| of(now, &e.cidr).is_some());
    let mut out = vec![];
    if let Some(name) = want.prefix_list_name.as_deref().filter(|n| now.prefix_list_name.as_deref() != Some(n)) {
        out.push(Change::Rename(name));
    }
    // The size and the entries cannot change in one call. A list grows before its entries come, and shrinks after they
    // went.
    let resize = want.max_entries.filter(|n| now.max_entries.is_some_and(|m| m != *n));
    let grows = resize.is_some_and(|n| now.max_entries < Some(n));
    out.extend(resize.filter(|_| grows).map(Change::Resize));
    let (mut remove, mut add, mut anew) = (remove.as_slice(), add.as_slice(), anew.as_slice());
    let take = |from: &mut &[&'a Entry]| -> Vec<&'a Entry> {
        let (head, tail) = from.split_at(from.len().min(ENTRIES_PER_CALL));
        *from = tail;
        head.to_vec()
    };
    while !remove.is_empty() || !add.is_empty() {
        out.push(Change::Entries { remove: take(&mut remove), add: take(&mut add) });
    }
    while !anew.is_empty() {
        out.push(Change::Entries { remove: vec![], add: take(&mut anew) });
    }
    out.extend(resize.filter(|_| !grows).map(Change::Resize));
    out
}

fn is_alive(l: &sdk::ManagedPrefixList) -> bool {
    use sdk::PrefixListState::{CreateFailed, DeleteComplete, DeleteInProgress};
    !matches!(l.state, Some(CreateFailed | DeleteComplete | DeleteInProgress))
}
/// H20: AWS's lists belong to `AWS`, shared ones to their account.
fn is_ours(cx: &Cx, l: &sdk::ManagedPrefixList) -> bool {
    l.owner_id.as_deref().is_none_or(|o| o == cx.scope.account.as_str())
}

async fn list(cx: &Cx, id: &str) -> Result<Option<sdk::ManagedPrefixList>, Failure> {
    let answer = cx.ec2.describe_managed_prefix_lists().prefix_list_ids(id).send().await;
    let here = found(answer.map_err(failed("ec2:DescribeManagedPrefixLists")))?.and_then(|a| a.prefix_lists);
    Ok(here.unwrap_or_default().pop())
}

/// With its entries; nothing if it is not ours, or went meanwhile.
async fn whole(cx: &Cx, list: sdk::ManagedPrefixList) -> Result<Option<Seen<Spec>>, Failure> {
    let Some(id) = list.prefix_list_id.clone().filter(|_| is_alive(&list) && is_ours(cx, &list)) else {
        return Ok(None);
    };
    let pages = cx.ec2.get_managed_prefix_list_entries().prefix_list_id(&id).into_paginator().page_size(PAGE_ROWS);
    let rows = pages.items().send().try_collect().await.map_err(failed("ec2:GetManagedPrefixListEntries"));
    let Some(rows) = found(rows)? else { return Ok(None) };
    let mut spec = Spec::from_sdk(&list);
    let entry = |e| {
        let Entry { cidr, description } = Entry::from_sdk(e);
        Entry { cidr, description: description.filter(|d| !d.is_empty()) }
    };
    spec.entries = rows.iter().map(entry).collect::<Vec<_>>().into();
    // Only lists that a target fills have it, and false is what every other has.
    spec.ipam_prefix_list_resolver_sync_enabled = spec.ipam_prefix_list_resolver_sync_enabled.filter(|on| *on);
    Ok(Some(Seen { id, spec, aliases: vec![] }))
}

impl Kind for ManagedPrefixList {
    type Name = ec2::ManagedPrefixList;
    type Spec = Spec;
    const TABLES: &'static [&'static Coverage] = &[&Spec::COVERAGE, &Entry::COVERAGE];
    const INPUTS: &'static [&'static Inputs] = &[
        &<Spec as Input<CreateManagedPrefixListInputBuilder>>::TABLE,
        &<Spec as Input<ModifyManagedPrefixListInputBuilder>>::TABLE,
        &<Entry as Input<sdk::AddPrefixListEntry>>::TABLE,
        &<Entry as Input<sdk::RemovePrefixListEntry>>::TABLE,
    ];
    const OBSERVE: &'static [&'static str] = &["ec2:DescribeManagedPrefixLists", "ec2:GetManagedPrefixListEntries"];
    const RESTORE: &'static [&'static str] = &[
        "ec2:DescribeTags",
        "ec2:CreateManagedPrefixList",
        "ec2:ModifyManagedPrefixList",
        "ec2:CreateTags",
        "ec2:DeleteTags",
    ];
    const NEVER_BACK: &'static [&'static str] =
        &["its id and its earlier versions", "its sharing with other accounts, and what they name it by"];
    const PHASE: Phase = Phase::Network;
    const TERRAFORM: &'static str = "aws_ec2_managed_prefix_list";
    const IMMUTABLE: &'static [&'static str] = &["address_family"];
    const GIVEN: &'static [&'static str] = &["prefix_list_name", "max_entries", "entries"];
    const REPORTED: &'static [(&'static str, &'static str)] = &[(
        "ipam_prefix_list_resolver_sync_enabled",
        "an IPAM resolver target filled the list; make it anew with CreateIpamPrefixListResolverTarget",
    )];

    async fn look(cx: &Cx, which: Which<'_>) -> Result<Vec<Seen<Spec>>, Failure> {
        // Asked for by owner, or every list of AWS's would come along and be thrown away.
        let ours = Some(vec![filter("owner-id", [cx.scope.account.as_str()])]);
        let filters = only("prefix-list-id", which).or(ours);
        let pages = cx.ec2.describe_managed_prefix_lists().set_filters(filters).into_paginator().page_size(PAGE_ROWS);
        let lists: Vec<sdk::ManagedPrefixList> =
            pages.items().send().try_collect().await.map_err(failed("ec2:DescribeManagedPrefixLists"))?;
        let whole = stream::iter(lists).map(|l| whole(cx, l)).buffer_unordered(super::READS_AT_ONCE);
        whole.try_filter_map(|seen| async { Ok(seen) }).try_collect().await
    }

    async fn read(cx: &Cx, id: &str) -> Result<Option<Seen<Spec>>, Failure> {
        match list(cx, id).await? {
            Some(l) => whole(cx, l).await,
            None => Ok(None),
        }
    }

    async fn made_by(cx: &Cx, step: &Step) -> Result<Option<String>, Failure> {
        super::made_by::<Self>(cx, "prefix-list", step).await
    }

    async fn create(cx: &Cx, spec: &Spec, step: &Step) -> Result<String, Failure> {
        let action = "ec2:CreateManagedPrefixList";
        let tags = tags_on_create(sdk::ResourceType::PrefixList, &spec.tags, step)?;
        let first: Vec<&Entry> = spec.entries.iter().take(ENTRIES_PER_CALL).collect();
        let call = spec
            .create_managed_prefix_list()
            .map_err(unbuildable(action))?
            .set_entries(given(&first, action)?)
            .tag_specifications(tags)
            .client_token(step.token());
        let made = call.send_with(&cx.ec2_once).await.map_err(failed(action))?;
        held(action, "prefix list id", made.prefix_list.and_then(|l| l.prefix_list_id))
    }

    async fn converge(cx: &Cx, id: &str, now: &Spec, want: &Spec) -> Result<(), Failure> {
        let todo = changes(now, want);
        let modify = async {
            let action = "ec2:ModifyManagedPrefixList";
            let Some(first) = todo.first() else { return Ok(()) };
            let mut call = cx.ec2.modify_managed_prefix_list().prefix_list_id(id);
            call = match first {
                Change::Rename(name) => call.prefix_list_name(*name),
                Change::Resize(max) => call.max_entries(*max),
                Change::Entries { remove, add } => {
                    let version = list(cx, id).await?.and_then(|l| l.version);
                    call.set_current_version(version)
                        .set_remove_entries(given(remove, action)?)
                        .set_add_entries(given(add, action)?)
                }
            };
            call.send().await.map_err(failed(action))?;
            match todo.len() - 1 {
                0 => Ok(()),
                left => Err(Failure::busy(action, format!("{left} more changes follow this one's version"))),
            }
        };
        let calls: Vec<BoxFuture<'_, Result<(), Failure>>> =
            vec![Box::pin(converge_tags(cx, id, &now.tags, &want.tags)), Box::pin(modify)];
        all(calls).await
    }

    async fn settled(cx: &Cx, id: &str) -> Result<Settled, Failure> {
        use sdk::PrefixListState::{CreateFailed, CreateInProgress, ModifyInProgress, RestoreInProgress};
        let Some(l) = list(cx, id).await? else { return Ok(Settled::Waiting("not listed yet".into())) };
        let word = l.state.as_ref().map_or("unknown", |s| s.as_str()).to_owned();
        Ok(match l.state {
            Some(CreateInProgress | ModifyInProgress | RestoreInProgress) => Settled::Waiting(word),
            Some(CreateFailed) => Settled::Failed(format!("{word}: {}", l.state_message.unwrap_or_default())),
            // One whose last change failed goes on with the entries it had: the read-back tells.
            _ => Settled::Ready,
        })
    }

    fn calls(now: Option<&Spec>, want: &Spec) -> Vec<&'static str> {
        let Some(now) = now else { return vec!["ec2:CreateManagedPrefixList"] };
        let modify = changes(now, want).into_iter().map(|_| "ec2:ModifyManagedPrefixList");
        tag_calls(&now.tags, &want.tags).into_iter().chain(modify).collect()
    }
}

fn given<T>(entries: &[&Entry], action: &'static str) -> Result<Option<Vec<T>>, Failure>
where
    Entry: Give<T>,
{
    let rows: Vec<T> =
        entries.iter().filter_map(|e| e.give().transpose()).collect::<Result<_, _>>().map_err(unbuildable(action))?;
    Ok(Some(rows).filter(|r| !r.is_empty()))
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

    fn of(max: i32, entries: Value) -> Value {
        json!({"address_family": "IPv4", "prefix_list_name": "offices", "max_entries": max, "entries": entries})
    }
    fn entry(cidr: &str) -> Value {
        json!({"cidr": cidr})
    }
    fn many(from: usize, to: usize) -> Value {
        (from..to).map(|i| entry(&format!("10.{}.{}.0/24", i / 256, i % 256))).collect()
    }
    fn row(id: &str, owner: &str, state: &str) -> String {
        format!(
            "<item><prefixListId>{id}</prefixListId><ownerId>{owner}</ownerId><state>{state}</state><version>4</version><maxEntries>5</maxEntries></item>"
        )
    }
    fn aws() -> Canned {
        Canned::new(|c| match c.action.as_str() {
            "DescribeManagedPrefixLists" => Answer::Ok(format!(
                "<prefixListSet>{}</prefixListSet>",
                [
                    row("pl-s3", "AWS", "create-complete"),
                    row("pl-shared", "999988887777", "create-complete"),
                    row("pl-going", "111122223333", "delete-in-progress"),
                    row("pl-1", "111122223333", "modify-complete"),
                ]
                .concat()
            )),
            "GetManagedPrefixListEntries" => {
                "<entrySet><item><cidr>10.0.0.0/8</cidr><description/></item></entrySet>".into()
            }
            _ => "<prefixList><prefixListId>pl-1</prefixListId></prefixList>".into(),
        })
    }

    #[tokio::test]
    async fn h20_only_living_lists_of_this_account_are_seen() {
        let canned = aws();
        let seen = ManagedPrefixList::look(&canned.cx(), Which::All).await.unwrap();
        assert_eq!(seen.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["pl-1"]);
        assert_eq!(seen[0].spec.to_json(), json!({"max_entries": 5, "entries": [entry("10.0.0.0/8")]}));
        let asked = canned.asked();
        assert_eq!((asked[0].get("Filter.1.Name"), asked[0].get("Filter.1.Value.1")), ("owner-id", "111122223333"));
    }

    #[tokio::test]
    async fn h20_it_is_made_with_its_size_and_entries() {
        let canned = aws();
        let step = Step { restore: "r1".into(), number: 3 };
        let want = of(5, json!([{"cidr": "10.0.0.0/8", "description": "office"}, entry("10.1.0.0/16")]));
        assert_eq!(
            ManagedPrefixList::create(&canned.cx(), &spec::<ManagedPrefixList>(&want), &step).await.unwrap(),
            "pl-1"
        );
        let asked = canned.asked().remove(0);
        assert_eq!(
            [
                asked.get("ClientToken"),
                asked.get("MaxEntries"),
                asked.get("AddressFamily"),
                asked.get("PrefixListName")
            ],
            ["rollbackd-r1-3", "5", "IPv4", "offices"]
        );
        assert_eq!(
            [asked.get("Entry.1.Cidr"), asked.get("Entry.1.Description"), asked.get("Entry.2.Cidr")],
            ["10.0.0.0/8", "office", "10.1.0.0/16"]
        );
    }

    #[tokio::test]
    async fn entries_change_by_difference_from_the_version_of_the_moment() {
        let canned = aws();
        let (now, want) = (
            of(5, json!([entry("10.0.0.0/8"), entry("10.9.0.0/16")])),
            of(5, json!([entry("10.0.0.0/8"), {"cidr": "10.1.0.0/16", "description": "new"}])),
        );
        assert_eq!(
            foretold::<ManagedPrefixList>(&canned, "pl-1", &now, &want).await,
            [
                "ModifyManagedPrefixList AddEntry.1.Cidr=10.1.0.0/16 AddEntry.1.Description=new CurrentVersion=4 PrefixListId=pl-1 RemoveEntry.1.Cidr=10.9.0.0/16"
            ]
        );
        let (mut now, want) = (of(5, json!([])), of(5, json!([])));
        now["prefix_list_name"] = "x".into();
        assert_eq!(
            foretold::<ManagedPrefixList>(&canned, "pl-1", &now, &want).await,
            ["ModifyManagedPrefixList PrefixListId=pl-1 PrefixListName=offices"]
        );
    }

    /// A call for each version, and the next only once that version is there: busy until none is left.
    async fn one_by_one(mut now: Value, want: &Value) -> Vec<String> {
        let canned = aws();
        let mut all = vec![];
        for left in
            (0..ManagedPrefixList::calls(Some(&spec::<ManagedPrefixList>(&now)), &spec::<ManagedPrefixList>(want))
                .len())
                .rev()
        {
            let sent = sent::<ManagedPrefixList>(&canned, "pl-1", &now, want).await;
            let sent = match (left, sent) {
                (0, sent) => sent.unwrap(),
                (_, f) => {
                    assert_eq!(f.unwrap_err().class, Class::Busy);
                    canned.wrote()
                }
            };
            assert_eq!(sent.len(), 1);
            let (n, w) = (spec::<ManagedPrefixList>(&now), spec::<ManagedPrefixList>(want));
            let mut next = n.clone();
            match changes(&n, &w).remove(0) {
                Change::Rename(name) => next.prefix_list_name = Some(name.to_owned()),
                Change::Resize(max) => next.max_entries = Some(max),
                Change::Entries { remove, add } => {
                    let mut rows = next.entries.to_vec();
                    rows.retain(|e| !remove.contains(&e));
                    rows.extend(add.into_iter().cloned());
                    assert!(rows.len() as i32 <= next.max_entries.unwrap());
                    next.entries = rows.into();
                }
            }
            now = next.to_json();
            all.extend(sent);
        }
        assert_eq!(spec::<ManagedPrefixList>(&now), spec::<ManagedPrefixList>(want));
        all
    }

    #[tokio::test]
    async fn a_list_grows_before_and_shrinks_after_its_entries_and_takes_a_hundred_a_call() {
        let sizes = |sent: Vec<String>| sent.into_iter().map(|s| s.contains("MaxEntries")).collect::<Vec<_>>();
        assert_eq!(sizes(one_by_one(of(5, many(0, 5)), &of(250, many(0, 250))).await), [true, false, false, false]);
        assert_eq!(sizes(one_by_one(of(250, many(0, 250)), &of(5, many(0, 5))).await), [false, false, false, true]);
    }

    #[tokio::test]
    async fn a_description_alone_takes_two_calls() {
        let described = |d: &str| of(5, json!([{"cidr": "10.0.0.0/8", "description": d}]));
        let sent = one_by_one(described("old"), &described("new")).await;
        assert!(sent[0].contains("RemoveEntry.1.Cidr=10.0.0.0/8") && !sent[0].contains("AddEntry"), "{sent:?}");
        assert!(sent[1].contains("AddEntry.1.Description=new"), "{sent:?}");
    }

    #[tokio::test]
    async fn a_version_that_is_still_being_made_is_waited_for() {
        async fn settled(state: &'static str) -> Settled {
            let canned = Canned::new(move |_| {
                Answer::Ok(format!("<prefixListSet>{}</prefixListSet>", row("pl-1", "111122223333", state)))
            });
            ManagedPrefixList::settled(&canned.cx(), "pl-1").await.unwrap()
        }
        assert_eq!(settled("modify-in-progress").await, Settled::Waiting("modify-in-progress".into()));
        assert_eq!(settled("create-failed").await, Settled::Failed("create-failed: ".into()));
        assert_eq!(settled("create-complete").await, Settled::Ready);
    }
}
