//! Where containers are, for monitors: who has which, and how far each node is. Kept beside the node, which is busy
//! with calls.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use chimaera_abi::{chi_place, CHI_ROUND_TRIP_UNKNOWN};
use chimaera_cluster::{Agreed, ContainerId, NodeId};

use super::clock::now;

/// How many tasks were in a container when its node last answered, and when that was, in milliseconds.
#[derive(Default)]
pub(super) struct Told(AtomicU64);

/// How long that is worth anything: nobody would send a task to a container that was full long ago, and learn better.
const TOLD_FOR: u32 = 1000;

impl Told {
    /// Notes what the node has just said.
    pub(super) fn note(&self, tasks: u32) {
        self.note_at(tasks, milliseconds());
    }

    fn note_at(&self, tasks: u32, at: u32) {
        self.0.store(u64::from(at) << 32 | u64::from(tasks), Ordering::Relaxed);
    }

    fn tasks(&self, now: u32) -> u64 {
        let told = self.0.load(Ordering::Relaxed);
        let is_fresh = now.wrapping_sub((told >> 32) as u32) <= TOLD_FOR;
        if is_fresh {
            told & u64::from(u32::MAX)
        } else {
            0
        }
    }
}

/// The time in milliseconds, which begins again after 49 days.
fn milliseconds() -> u32 {
    (now().0 / 1_000_000) as u32
}

/// What is known of places.
#[derive(Default)]
pub(super) struct Places {
    owners: RwLock<HashMap<ContainerId, NodeId>>,
    round_trips: RwLock<HashMap<NodeId, Duration>>,
    told: RwLock<HashMap<ContainerId, Arc<Told>>>,
}

fn with<T, R>(table: &RwLock<T>, f: impl FnOnce(&mut T) -> R) -> R {
    f(&mut table.write().unwrap_or_else(PoisonError::into_inner))
}

fn get<K: Hash + Eq, V: Clone>(table: &RwLock<HashMap<K, V>>, key: &K) -> Option<V> {
    table.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
}

impl Places {
    /// Takes over who owns what, as it was agreed on.
    pub(super) fn follow(&self, agreed: &Agreed) {
        let owned = agreed.containers().iter();
        let owners = owned.filter_map(|(id, owned)| Some((*id, owned.owner?.node))).collect();
        with(&self.owners, |own| *own = owners);
        with(&self.told, |told| told.retain(|id, _| agreed.containers().contains_key(id)));
    }

    /// Where it is noted what the node says that has this container.
    pub(super) fn told(&self, container: ContainerId) -> Arc<Told> {
        with(&self.told, |told| told.entry(container).or_default().clone())
    }

    /// Takes over how far the nodes are that can be reached.
    pub(super) fn set_round_trips(&self, round_trips: HashMap<NodeId, Duration>) {
        with(&self.round_trips, |own| *own = round_trips);
    }

    /// Where a container is, for the node `own`, with the tasks that another node has told of.
    pub(super) fn of(&self, own: NodeId, container: ContainerId) -> chi_place {
        let owner = get(&self.owners, &container);
        let round_trip = match owner {
            Some(node) if node == own => Some(Duration::ZERO),
            // No other node is at no distance.
            Some(node) => get(&self.round_trips, &node).map(|it| it.max(Duration::from_nanos(1))),
            None => None,
        };
        chi_place {
            node_: owner.map_or(0, |node| node.0),
            tasks_: get(&self.told, &container).map_or(0, |told| told.tasks(milliseconds())),
            round_trip_ns_: round_trip.map_or(CHI_ROUND_TRIP_UNKNOWN, |it| it.as_nanos() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_long_ago_counts_no_more() {
        let told = Told::default();
        told.note_at(7, u32::MAX - 10);
        assert_eq!(told.tasks(u32::MAX - 10), 7);
        assert_eq!(told.tasks(TOLD_FOR - 11), 7, "the time has begun again");
        assert_eq!(told.tasks(TOLD_FOR), 0);
    }
}
