//! Where containers go: rendezvous hashing. Each member bids for each container, and the highest bid wins; a
//! member that comes wins only its share from the others, and one that goes leaves only its own to them.

use crate::ids::{ContainerId, NodeId};
use crate::mix::spread;

/// The member that a container belongs on; `None` if there are no members.
pub fn place(container: ContainerId, members: impl IntoIterator<Item = NodeId>) -> Option<NodeId> {
    let key = spread(u64::from(container.pool.0) << 32 | u64::from(container.number));
    members.into_iter().max_by_key(|node| (spread(key ^ spread(node.0)), *node))
}

#[cfg(test)]
mod tests {
    use super::place;
    use crate::ids::{ContainerId, NodeId, PoolId};

    fn all(members: &[u64]) -> Vec<NodeId> {
        (0..3_000)
            .map(|number| {
                let container = ContainerId { pool: PoolId(number % 7), number };
                place(container, members.iter().copied().map(NodeId)).unwrap()
            })
            .collect()
    }

    #[test]
    fn members_have_equal_shares() {
        let placed = all(&[3, 14, 15, 92, 65]);
        for node in [3, 14, 15, 92, 65] {
            let share = placed.iter().filter(|owner| owner.0 == node).count();
            assert!((480..720).contains(&share), "{node} has {share} of 3000");
        }
    }

    #[test]
    fn a_member_that_comes_or_goes_moves_only_its_share() {
        let (without, with) = (all(&[1, 2, 3, 4]), all(&[1, 2, 3, 4, 5]));
        let moved = without.iter().zip(&with).filter(|(before, after)| before != after);
        assert!(moved.clone().all(|(_, after)| *after == NodeId(5)));
        assert!((480..720).contains(&moved.count()));
    }

    #[test]
    fn nobody_owns_anything_without_members() {
        assert_eq!(place(ContainerId { pool: PoolId(1), number: 0 }, []), None);
    }
}
