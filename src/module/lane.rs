//! Queues and lanes.

use std::panic::panic_any;
use std::ptr;

use chimaera_abi::chi_lane;
use chimaera_task::{PoolId, Status};

/// A queue of a container: a number of lanes. Made by [`Init::create_queue`](crate::Init::create_queue);
/// the container keeps it, for its monitors.
#[derive(Debug)]
pub struct Queue {
    pool: PoolId,
    id: u32,
    lanes: Vec<*mut chi_lane>,
}

// SAFETY: the addresses are only handed to the runtime, which may be told of a lane on any worker.
unsafe impl Send for Queue {}
// SAFETY: as above; nothing changes after it is made.
unsafe impl Sync for Queue {}

impl Queue {
    pub(crate) fn with_room(pool: PoolId, id: u32, n_lanes: u32) -> Self {
        Queue { pool, id, lanes: vec![ptr::null_mut(); n_lanes as usize] }
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut *mut chi_lane {
        self.lanes.as_mut_ptr()
    }

    /// How many lanes; at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Lane `id`, from 0.
    ///
    /// # Panics
    ///
    /// When there is none of this number: with a [`Status`], by which the method or monitor ends with
    /// `CHI_NOT_FOUND`.
    pub fn lane(&self, id: usize) -> Lane {
        match self.lanes.get(id) {
            Some(&raw) => Lane { pool: self.pool, raw },
            None => self.no_lane(id),
        }
    }

    #[cold]
    fn no_lane(&self, id: usize) -> ! {
        panic_any(Status::not_found(format!("queue {} has no lane {id}", self.id)))
    }

    /// The lane that a hash falls to: the same for the same hash.
    pub fn lane_by_hash(&self, hash: u32) -> Lane {
        self.lane(hash as usize % self.lanes.len())
    }
}

/// A lane: a private queue of a container, served by one worker at a time.
///
/// It remembers its pool, and the runtime is told of it only on behalf of that pool's container, which
/// has the lane for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub(crate) pool: PoolId,
    pub(crate) raw: *mut chi_lane,
}

// SAFETY: as for `Queue`.
unsafe impl Send for Lane {}
// SAFETY: as for `Queue`.
unsafe impl Sync for Lane {}
