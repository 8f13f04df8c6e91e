//! The extension "places": where the containers of a pool are, for those who choose one.

use core::ffi::CStr;

use crate::{chi_host, chi_status};

/// `chi_host.extension`: a `chi_places`.
pub const CHI_EXT_PLACES: &CStr = c"chimaera.places/1";

/// `chi_place.round_trip_ns_`: not known, or the node cannot be reached now.
pub const CHI_ROUND_TRIP_UNKNOWN: u64 = u64::MAX;

/// Where a container is, and what this node knows of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct chi_place {
    /// The id of the node that has the container; 0 if none has it now, or if the runtime is no node of a
    /// cluster.
    pub node_: u64,
    /// How many tasks are in the container. For one of another node: as that said with its last answer in the
    /// last second, if any, but at least those that this node has sent there.
    pub tasks_: u64,
    /// The round trip to its node in nanoseconds, 0 if it is this one, or `CHI_ROUND_TRIP_UNKNOWN`.
    pub round_trip_ns_: u64,
}

/// Places: a monitor looks where the containers are before it sends a task to one.
#[repr(C)]
pub struct chi_places {
    /// `sizeof(chi_places)` in the runtime. Read a later function only when it is covered.
    pub size: u32,
    /// Zero.
    pub reserved: u32,

    /// Where the container of this number is, of the pool whose code is running.
    ///
    /// * Ownership: the place is written, and not kept.
    /// * Null: `place` is not null.
    /// * Errors: `CHI_NOT_FOUND` if the pool has no such container, `CHI_INVALID` if no code of a pool is
    ///   running.
    /// * Thread: `[worker]`.
    pub find: unsafe extern "C" fn(
        host: *const chi_host,
        container: u32,
        place: *mut chi_place,
    ) -> chi_status,
}
