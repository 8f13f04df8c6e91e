//! Where containers go: rendezvous hashing. Each member bids for each pool, and those with the highest bids keep it:
//! a member that goes leaves only its own to others, and a pool leaves its other members in peace.

use std::cmp::Reverse;

use super::Agreed;
use crate::ids::{ContainerId, NodeId, PoolId};
use crate::mix::spread;

/// The members in the order of their bids for a pool.
fn order(pool: PoolId, members: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let key = spread(u64::from(pool.0));
    let mut order: Vec<NodeId> = members.into_iter().collect();
    order.sort_unstable_by_key(|node| Reverse((spread(key ^ spread(node.0)), *node)));
    order
}

/// The members on which a pool is kept, in their order, and how many of its containers each has or is to get.
pub(crate) struct Places(Vec<(NodeId, u32)>);

impl Places {
    /// Where one more container goes: to the first of those that have the fewest. `None` if no member can have it.
    pub(crate) fn next(&mut self) -> Option<NodeId> {
        let (node, count) = self.0.iter_mut().min_by_key(|(_, count)| *count)?;
        *count += 1;
        Some(*node)
    }
}

impl Agreed {
    /// Where containers of a pool that have to go somewhere go.
    pub(crate) fn places(&self, id: PoolId) -> Places {
        let Some(pool) = self.pools.get(&id) else { return Places(Vec::new()) };
        let able = self.members.keys().copied();
        let able = able.filter(|node| self.can_own(*node) && !pool.refused.contains_key(node));
        let mut chosen = order(id, able);
        if pool.nodes != 0 {
            chosen.truncate(usize::try_from(pool.nodes).unwrap_or(usize::MAX));
        }
        let mut places: Vec<(NodeId, u32)> = chosen.into_iter().map(|node| (node, 0)).collect();
        for (_, owned) in self.containers.range(ContainerId::all_of(id)) {
            let at = owned.moving_to.or(owned.owner.map(|owner| owner.node));
            if let Some((_, count)) = places.iter_mut().find(|(node, _)| Some(*node) == at) {
                *count += 1;
            }
        }
        Places(places)
    }
}

#[cfg(test)]
mod tests {
    use super::order;
    use crate::ids::{NodeId, PoolId};

    fn first(members: &[u64]) -> Vec<NodeId> {
        let of = |pool| order(PoolId(pool), members.iter().copied().map(NodeId))[0];
        (0..3_000).map(of).collect()
    }

    #[test]
    fn members_have_equal_shares_of_the_pools() {
        let firsts = first(&[3, 14, 15, 92, 65]);
        for node in [3, 14, 15, 92, 65] {
            let share = firsts.iter().filter(|owner| owner.0 == node).count();
            assert!((480..720).contains(&share), "{node} is first for {share} of 3000");
        }
    }

    #[test]
    fn a_member_that_comes_changes_no_order_among_the_others() {
        for pool in 0..100 {
            let before = order(PoolId(pool), [1, 2, 3, 4].map(NodeId));
            let mut after = order(PoolId(pool), [5, 4, 3, 2, 1].map(NodeId));
            after.retain(|node| node.0 != 5);
            assert_eq!(before, after);
        }
    }
}
