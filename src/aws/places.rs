//! What a restore elsewhere must know of the two places: zones, and what goes by its name there.
use super::{Cx, Failure};
use crate::plan::elsewhere::{Asked, Image, Network, Places, PrefixList, Snapshot, Zone, named_there};
use aws_sdk_ec2::types as sdk;
use std::collections::BTreeSet;

/// What reading it takes, in both places.
pub const ACTIONS: &[&str] = &[
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeManagedPrefixLists",
    "ec2:DescribeSnapshots",
    "ec2:DescribeVpcs",
];
/// Rows of a page: every call has a page size or a filter, as in the kinds.
const PAGE_ROWS: i32 = 100;
/// Values of one filter (EC2 API, "Filter").
const FILTER_VALUES_MAX: usize = 200;

/// Reads what was asked for.
pub async fn read(here: &Cx, there: &Cx, asked: &Asked) -> Result<Places, Failure> {
    let mut places = Places {
        images: images(here, "image-id", &asked.images).await?,
        lists: lists(here, "prefix-list-id", &asked.lists).await?,
        ..Places::default()
    };
    let mut names = asked.image_names.clone();
    names.extend(places.images.iter().map(|i| i.name.clone()));
    places.images_there = images(there, "name", &names).await?;
    let (from, to) = (&here.scope.region, &there.scope.region);
    let names = places.lists.iter().map(|l| named_there(&l.name, from, to)).collect();
    places.lists_there = lists(there, "prefix-list-name", &names).await?;
    let action = "ec2:DescribeAvailabilityZones";
    let zones = there.ec2.describe_availability_zones().filters(filter("state", ["available"])).send().await;
    let zones = zones.map_err(|e| Failure::new(action, e))?.availability_zones.unwrap_or_default();
    places.zones_there = zones.into_iter().filter_map(|z| Some(Zone { name: z.zone_name?, id: z.zone_id? })).collect();
    if !asked.snapshots.is_empty() {
        places.snapshots_there = snapshots(there, &asked.snapshots).await?;
    }
    let vpcs = there.ec2.describe_vpcs().into_paginator().page_size(PAGE_ROWS).items().send().try_collect().await;
    let vpcs: Vec<sdk::Vpc> = vpcs.map_err(|e| Failure::new("ec2:DescribeVpcs", e))?;
    places.networks_there =
        vpcs.into_iter().filter_map(|v| Some(Network { id: v.vpc_id?, cidr: v.cidr_block? })).collect();
    Ok(places)
}

fn filter<S: Into<String>>(name: &str, values: impl IntoIterator<Item = S>) -> sdk::Filter {
    sdk::Filter::builder().name(name).set_values(Some(values.into_iter().map(Into::into).collect())).build()
}
/// The filters that find all of `values`.
fn filters(name: &str, values: &BTreeSet<String>) -> Vec<sdk::Filter> {
    let values: Vec<&String> = values.iter().collect();
    values.chunks(FILTER_VALUES_MAX).map(|part| filter(name, part.iter().copied())).collect()
}

async fn images(cx: &Cx, by: &str, values: &BTreeSet<String>) -> Result<Vec<Image>, Failure> {
    let mut out = vec![];
    for filter in filters(by, values) {
        // A deprecated one still launches, and an old snapshot may name it.
        let call = cx.ec2.describe_images().include_deprecated(true).filters(filter);
        let found = call.into_paginator().page_size(PAGE_ROWS).items().send().try_collect().await;
        let found: Vec<sdk::Image> = found.map_err(|e| Failure::new("ec2:DescribeImages", e))?;
        out.extend(found.into_iter().filter_map(|i| {
            let held = i.block_device_mappings().iter().filter(|d| d.ebs().is_some_and(|e| e.snapshot_id().is_some()));
            let devices = held.filter_map(|d| d.device_name.clone()).collect();
            Some(Image { id: i.image_id?, name: i.name?, owner: i.owner_id?, devices })
        }));
    }
    Ok(out)
}

async fn lists(cx: &Cx, by: &str, values: &BTreeSet<String>) -> Result<Vec<PrefixList>, Failure> {
    let mut out = vec![];
    for filter in filters(by, values) {
        let call = cx.ec2.describe_managed_prefix_lists().filters(filter);
        let found = call.into_paginator().page_size(PAGE_ROWS).items().send().try_collect().await;
        let found: Vec<sdk::ManagedPrefixList> =
            found.map_err(|e| Failure::new("ec2:DescribeManagedPrefixLists", e))?;
        out.extend(
            found.into_iter().filter_map(|l| {
                Some(PrefixList { id: l.prefix_list_id?, name: l.prefix_list_name?, owner: l.owner_id? })
            }),
        );
    }
    Ok(out)
}

/// The account's own, whose descriptions say of what they are copies; and those asked for, where they can be used as they
/// are: in the same region, when their owner has shared them.
async fn snapshots(cx: &Cx, ids: &BTreeSet<String>) -> Result<Vec<Snapshot>, Failure> {
    let own = cx.ec2.describe_snapshots().owner_ids("self");
    let shared = filters("snapshot-id", ids).into_iter().map(|f| cx.ec2.describe_snapshots().filters(f));
    let mut out: Vec<Snapshot> = vec![];
    for call in [own].into_iter().chain(shared) {
        let found = call.into_paginator().page_size(PAGE_ROWS).items().send().try_collect().await;
        let found: Vec<sdk::Snapshot> = found.map_err(|e| Failure::new("ec2:DescribeSnapshots", e))?;
        let done = found.into_iter().filter(|s| s.state == Some(sdk::SnapshotState::Completed));
        out.extend(
            done.filter_map(|s| Some(Snapshot { id: s.snapshot_id?, description: s.description.unwrap_or_default() })),
        );
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::canned::Canned;

    #[tokio::test]
    async fn names_are_read_here_and_looked_for_there() {
        let here = Canned::new(|c| {
            match c.action.as_str() {
            "DescribeImages" => "<imagesSet><item><imageId>ami-1</imageId><name>linux</name><imageOwnerId>137112412989</imageOwnerId></item></imagesSet>".into(),
            _ => "<prefixListSet><item><prefixListId>pl-1</prefixListId><prefixListName>com.amazonaws.eu-west-1.s3</prefixListName><ownerId>AWS</ownerId></item></prefixListSet>".into(),
        }
        });
        let there = Canned::new(|c| {
            match c.action.as_str() {
            "DescribeImages" => "<imagesSet/>".into(),
            "DescribeManagedPrefixLists" => "<prefixListSet/>".into(),
            "DescribeAvailabilityZones" => "<availabilityZoneInfo><item><zoneName>eu-central-1a</zoneName><zoneId>euc1-az2</zoneId></item></availabilityZoneInfo>".into(),
            "DescribeSnapshots" => "<snapshotSet><item><snapshotId>snap-2</snapshotId><status>completed</status><description>d</description></item><item><snapshotId>snap-3</snapshotId><status>pending</status></item></snapshotSet>".into(),
            "DescribeVpcs" => "<vpcSet/>".into(),
            other => panic!("{other} is not expected"),
        }
        });
        let mut cx = there.cx();
        cx.scope = "aws/111122223333/eu-central-1".parse().unwrap();
        let asked = Asked {
            images: ["ami-1".into()].into(),
            image_names: ["shop".into()].into(),
            lists: ["pl-1".into()].into(),
            snapshots: ["snap-1".into()].into(),
        };
        let places = read(&here.cx(), &cx, &asked).await.unwrap();
        assert_eq!(places.images[0].name, "linux");
        assert_eq!(places.zones_there, [Zone { name: "eu-central-1a".into(), id: "euc1-az2".into() }]);
        assert!(places.snapshots_there.iter().all(|s| s.id == "snap-2"), "one that is not whole yet is of no use");
        let calls = there.asked();
        let values = |action: &str| -> Vec<String> {
            let of = calls.iter().filter(|c| c.action == action);
            of.flat_map(|c| ["Filter.1.Value.1", "Filter.1.Value.2"].map(|v| c.get(v).to_owned())).collect()
        };
        assert_eq!(values("DescribeImages"), ["linux", "shop"]);
        assert_eq!(values("DescribeManagedPrefixLists")[0], "com.amazonaws.eu-central-1.s3");
        // What can be used as it is, beside the account's own.
        assert_eq!(values("DescribeSnapshots"), ["", "", "snap-1", ""]);
    }
}
