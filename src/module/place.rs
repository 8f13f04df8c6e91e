//! Where the containers of a pool are.

use std::sync::OnceLock;
use std::time::Duration;

use chimaera_abi::{
    chi_place, chi_places, CHI_EXT_PLACES, CHI_OK, CHI_ROUND_TRIP_UNKNOWN, CHI_UNSUPPORTED,
};
use chimaera_task::{Result, Status};

use crate::host::{extension_table, host};

fn places() -> Result<&'static chi_places> {
    static PLACES: OnceLock<Option<chi_places>> = OnceLock::new();
    // SAFETY: the extension with this id is a `chi_places`.
    let places = PLACES.get_or_init(|| unsafe { extension_table(CHI_EXT_PLACES) });
    places.as_ref().ok_or_else(|| {
        Status::new(CHI_UNSUPPORTED, "this runtime does not tell where containers are")
    })
}

/// Where a container of the pool is whose code is running, and what this node knows of it. A monitor in the mode
/// `kGlobalSchedule` chooses by it:
///
/// ```
/// use chimaera::module::Place;
///
/// /// The container with the fewest tasks; of several, one that is not far.
/// fn idlest(count: u32) -> chimaera::Result<u32> {
///     let mut places = Vec::new();
///     for container in 0..count {
///         let place = Place::of(container)?;
///         // None that cannot be reached.
///         if let Some(round_trip) = place.round_trip {
///             places.push((place.tasks, round_trip, container));
///         }
///     }
///     Ok(places.into_iter().min().map_or(0, |(_, _, container)| container))
/// }
/// # assert_eq!(idlest(1).err().unwrap().code(), chimaera::abi::CHI_UNSUPPORTED);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The id of the node that has the container; none if no node has it now, or if the runtime is no node of a
    /// cluster.
    pub node: Option<u64>,
    /// How many tasks are in the container. For one of another node: as that said with its last answer in the last
    /// second, if any, but at least those that this node has sent there.
    pub tasks: u64,
    /// The round trip to its node, zero if it is this one; none if it is not known, or the node cannot be reached
    /// now.
    pub round_trip: Option<Duration>,
}

impl Place {
    /// Where the container of this number is. Errors: `CHI_NOT_FOUND` if the pool has no such container,
    /// `CHI_UNSUPPORTED` in a runtime that does not tell. `[worker]`
    pub fn of(container: u32) -> Result<Place> {
        let find = places()?.find;
        let mut found = chi_place::default();
        let host = host().map_or(std::ptr::null(), |host| host);
        // SAFETY: the function may be called on any worker, and finds out by itself whether this is one; there is
        // room for a place.
        match unsafe { find(host, container, &mut found) } {
            CHI_OK => {}
            status => {
                return Err(Status::new(status, format!("where container {container} is")));
            }
        }
        let known = found.round_trip_ns_ != CHI_ROUND_TRIP_UNKNOWN;
        Ok(Place {
            node: Some(found.node_).filter(|node| *node != 0),
            tasks: found.tasks_,
            round_trip: known.then(|| Duration::from_nanos(found.round_trip_ns_)),
        })
    }

    /// Whether the container is on this node.
    pub fn is_here(&self) -> bool {
        self.round_trip == Some(Duration::ZERO)
    }
}
