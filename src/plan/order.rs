//! The order of steps: dependencies first, then phase, so that equal input gives an equal plan.
use super::facts::Phase;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

/// A step to be ordered: what decides between steps that are free.
pub type Rank = (Phase, u8, String);

/// The indices in an order in which every one comes after those it waits for, lowest rank first among the free. What
/// sits on a cycle is left out and returned second.
pub fn sort(ranks: &[Rank], after: &[BTreeSet<usize>]) -> (Vec<usize>, Vec<usize>) {
    let mut waiting: Vec<usize> = after.iter().map(BTreeSet::len).collect();
    let mut holders: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, targets) in after.iter().enumerate() {
        for t in targets {
            holders.entry(*t).or_default().push(i);
        }
    }
    let mut free: BinaryHeap<Reverse<(&Rank, usize)>> =
        (0..ranks.len()).filter(|i| waiting[*i] == 0).map(|i| Reverse((&ranks[i], i))).collect();
    let mut order = Vec::with_capacity(ranks.len());
    while let Some(Reverse((_, i))) = free.pop() {
        order.push(i);
        for h in holders.get(&i).into_iter().flatten() {
            waiting[*h] -= 1;
            if waiting[*h] == 0 {
                free.push(Reverse((&ranks[*h], *h)));
            }
        }
    }
    let placed: BTreeSet<usize> = order.iter().copied().collect();
    let cyclic = (0..ranks.len()).filter(|i| !placed.contains(i)).collect();
    (order, cyclic)
}

/// The weight of the heaviest chain, given indices in order.
pub fn longest_chain(order: &[usize], after: &[BTreeSet<usize>], weight: impl Fn(usize) -> u32) -> u32 {
    let mut until: BTreeMap<usize, u32> = BTreeMap::new();
    for i in order {
        let before = after[*i].iter().filter_map(|t| until.get(t)).max().copied().unwrap_or(0);
        until.insert(*i, before + weight(*i));
    }
    until.values().max().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_come_first_and_cycles_are_named() {
        let rank = |n: u8| (Phase::Network, n, String::new());
        let after =
            [BTreeSet::from([2]), BTreeSet::new(), BTreeSet::from([1]), BTreeSet::from([4]), BTreeSet::from([3])];
        let (order, cyclic) = sort(&[rank(0), rank(9), rank(5), rank(0), rank(0)], &after);
        assert_eq!((order.as_slice(), cyclic.as_slice()), (&[1, 2, 0][..], &[3, 4][..]));
        assert_eq!(longest_chain(&order, &after, |i| i as u32 + 1), 2 + 3 + 1);
    }
}
