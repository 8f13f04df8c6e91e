//! Queues and lanes.

use std::panic::panic_any;
use std::ptr;

use chimaera_abi::chi_lane;
use chimaera_task::{PoolId, Status};

/// A container's queue: a fixed number of lanes. Created with
/// [`Init::create_queue`](crate::Init::create_queue). The container keeps it for its monitors.
#[derive(Debug)]
pub struct Queue {
    pool: PoolId,
    id: u32,
    lanes: Vec<*mut chi_lane>,
}

// SAFETY: the addresses are only passed to the runtime, which accepts a lane on any worker.
unsafe impl Send for Queue {}
// SAFETY: as above; the queue is immutable.
unsafe impl Sync for Queue {}

impl Queue {
    pub(crate) fn with_room(pool: PoolId, id: u32, n_lanes: u32) -> Self {
        Queue { pool, id, lanes: vec![ptr::null_mut(); n_lanes as usize] }
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut *mut chi_lane {
        self.lanes.as_mut_ptr()
    }

    /// The number of lanes; at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.lanes.len()
    }

    /// Lane `id`, from 0.
    ///
    /// # Panics
    ///
    /// When there is no such lane. The payload is a [`Status`]: the method or monitor ends with
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

    /// The lane that `hash` selects: always the same one for the same hash.
    pub fn lane_by_hash(&self, hash: u32) -> Lane {
        self.lane(hash as usize % self.lanes.len())
    }
}

/// A lane of a container's queue, served by one worker at a time.
///
/// It remembers its pool, and is passed to the runtime only on behalf of that pool's container,
/// which owns the lane as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub(crate) pool: PoolId,
    pub(crate) raw: *mut chi_lane,
}

// SAFETY: as for `Queue`.
unsafe impl Send for Lane {}
// SAFETY: as for `Queue`.
unsafe impl Sync for Lane {}
