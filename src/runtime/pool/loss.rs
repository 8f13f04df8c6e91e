//! What became of a pool, and who has to be told.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use chimaera_abi::{chi_pool_id, CHI_REASON_LOST};

use crate::sys::lock;

/// The loss of a pool, or of containers of it, or the end of one.
pub(crate) struct Loss {
    /// `CHI_REASON_LOST`, or `CHI_REASON_RECOVERED` when it is over.
    pub(crate) reason: u32,
    pub(crate) pool: chi_pool_id,
    /// The node of the cluster that was lost, or is back; 0 if the pool is, as a whole.
    pub(crate) node: u64,
    /// The containers that it had; none if the node is 0.
    pub(crate) containers: Vec<u32>,
    pub(crate) name: String,
    /// What happened, as a sentence.
    pub(crate) why: String,
    /// The names of the pools whose containers have to be told.
    pub(crate) dependants: Vec<String>,
}

impl Loss {
    /// A pool was lost on this node.
    pub(crate) fn of_pool(
        pool: chi_pool_id,
        name: String,
        why: String,
        dependants: Vec<String>,
    ) -> Loss {
        let (reason, node, containers) = (CHI_REASON_LOST, 0, Vec::new());
        Loss { reason, pool, node, containers, name, why, dependants }
    }

    /// Whether the same happened to the same.
    fn is_like(&self, other: &Loss) -> bool {
        let what = |of: &Loss| (of.reason, of.pool, of.node);
        what(self) == what(other) && self.containers == other.containers
    }
}

/// How many of what a pool is not told yet are kept one by one. Its containers may be held for long; of what
/// comes then, the last of each kind is kept.
const KEPT: usize = 64;

/// How many are kept at most: the oldest give way.
const MOST: usize = 1024;

/// What pools have still to be told, in the order in which it happened.
#[derive(Default)]
pub(crate) struct Notices(Mutex<HashMap<chi_pool_id, Waiting>>);

#[derive(Default)]
struct Waiting {
    losses: VecDeque<Arc<Loss>>,
    /// How many have given way, and nobody has said so yet.
    left_out: usize,
}

impl Notices {
    /// Adds something for a pool. True if nobody tells that pool now: the caller has to have it told, until
    /// [`next`](Notices::next) returns nothing.
    pub(crate) fn add(&self, pool: chi_pool_id, loss: Arc<Loss>) -> bool {
        let mut all = lock(&self.0);
        let Some(waiting) = all.get_mut(&pool) else {
            all.insert(pool, Waiting { losses: [loss].into(), left_out: 0 });
            return true;
        };
        if waiting.losses.len() >= KEPT {
            waiting.losses.retain(|other| !other.is_like(&loss));
        }
        if waiting.losses.len() >= MOST {
            waiting.losses.pop_front();
            waiting.left_out += 1;
        }
        waiting.losses.push_back(loss);
        false
    }

    /// Takes what comes next for a pool.
    pub(crate) fn next(&self, pool: chi_pool_id) -> Option<Arc<Loss>> {
        let mut all = lock(&self.0);
        let waiting = all.get_mut(&pool)?;
        let left_out = std::mem::take(&mut waiting.left_out);
        let next = waiting.losses.pop_front();
        if left_out > 0 {
            let pool = format!("{}.{}", pool.major_, pool.minor_);
            tracing::warn!(
                pool,
                left_out,
                "a pool is not told of its oldest losses: there were too many"
            );
        }
        if next.is_none() {
            all.remove(&pool);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use chimaera_abi::CHI_REASON_RECOVERED;

    use super::*;

    const TO: chi_pool_id = chi_pool_id { major_: 2, minor_: 1 };

    /// A loss of the pool with this number.
    fn loss(number: u32, reason: u32) -> Arc<Loss> {
        let pool = chi_pool_id { major_: number, minor_: 1 };
        let of_pool = Loss::of_pool(pool, String::new(), String::new(), Vec::new());
        Arc::new(Loss { reason, ..of_pool })
    }

    fn rest(notices: &Notices) -> Vec<(u32, u32)> {
        let next = || notices.next(TO).map(|loss| (loss.pool.major_, loss.reason));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn one_tells_a_pool_everything_in_order() {
        let notices = Notices::default();
        assert!(notices.add(TO, loss(7, CHI_REASON_LOST)));
        assert!(!notices.add(TO, loss(7, CHI_REASON_RECOVERED)));
        assert!(notices.next(TO).is_some_and(|first| first.reason == CHI_REASON_LOST));
        assert!(!notices.add(TO, loss(8, CHI_REASON_LOST)));
        assert_eq!(rest(&notices), [(7, CHI_REASON_RECOVERED), (8, CHI_REASON_LOST)]);
        assert!(notices.add(TO, loss(7, CHI_REASON_LOST)), "another one has to see to it");
    }

    #[test]
    fn of_very_many_the_last_of_each_kind_is_kept() {
        let notices = Notices::default();
        for _ in 0..10 * KEPT {
            notices.add(TO, loss(7, CHI_REASON_LOST));
            notices.add(TO, loss(7, CHI_REASON_RECOVERED));
        }
        notices.add(TO, loss(8, CHI_REASON_LOST));
        let rest = rest(&notices);
        assert!(rest.len() <= KEPT + 1, "{}", rest.len());
        let last = [(7, CHI_REASON_LOST), (7, CHI_REASON_RECOVERED), (8, CHI_REASON_LOST)];
        assert!(rest.ends_with(&last), "{rest:?}");
    }

    #[test]
    fn the_oldest_of_far_too_many_give_way() {
        let notices = Notices::default();
        for pool in 0..MOST as u32 + 10 {
            notices.add(TO, loss(pool, CHI_REASON_LOST));
        }
        let rest = rest(&notices);
        assert!(rest.len() == MOST && rest[0].0 == 10 && rest[MOST - 1].0 == MOST as u32 + 9);
    }
}
