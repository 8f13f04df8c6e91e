//! A container: one of the objects that run a pool's methods.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use chimaera_abi::*;

use crate::lane::Lane;
use crate::lock;
use crate::module::Module;
use crate::record::Record;
use crate::Failure;

/// A lane of a container, whose entries are records.
pub(crate) type ContainerLane = Lane<RecordPtr>;

/// A record on its way through a queue.
pub(crate) struct RecordPtr(pub(crate) *mut Record);

// SAFETY: whoever takes a record out of a queue is its only user.
unsafe impl Send for RecordPtr {}

/// Lanes that are looked at for an empty one.
const NEAR: usize = 8;

const LIVE: u32 = 1;
const CREATING: u32 = 0;
const DESTROYING: u32 = 2;

struct Queue {
    id: u32,
    lanes: Box<[ContainerLane]>,
}

/// The queues of a container, once its creation is over.
struct Routes {
    queues: Vec<Queue>,
    /// The queue for tasks without a monitor, by its index.
    normal: usize,
    /// Where those of high latency go.
    late: Late,
}

/// Where tasks of high latency go that no monitor has placed.
enum Late {
    /// To the container's queue for them, of this index.
    Queue(usize),
    /// To a lane of the runtime's own: the container has no such queue.
    Lane(Box<ContainerLane>),
}

/// A container and what the runtime keeps about it.
pub(crate) struct Container {
    /// The pool's id.
    pub(crate) id: chi_pool_id,
    /// Which container of the pool.
    pub(crate) number: u32,
    /// How many containers the pool has.
    pub(crate) count: u32,
    /// The pool's name.
    pub(crate) name: Arc<CStr>,
    pub(crate) module: Arc<Module>,
    /// The module's object; null until it is constructed.
    object: AtomicPtr<chi_container>,
    state: AtomicU32,
    /// Tasks that have been admitted and have not ended.
    in_flight: AtomicU64,
    queues: Mutex<Vec<Queue>>,
    routes: OnceLock<Routes>,
    only_lane: AtomicPtr<ContainerLane>,
}

// SAFETY: the object is used only through its module's functions, which may run on any worker.
unsafe impl Send for Container {}
// SAFETY: as above.
unsafe impl Sync for Container {}

impl Container {
    pub(crate) fn new(
        id: chi_pool_id,
        number: u32,
        count: u32,
        name: Arc<CStr>,
        module: Arc<Module>,
    ) -> Container {
        Container {
            id,
            number,
            count,
            name,
            module,
            object: AtomicPtr::new(std::ptr::null_mut()),
            state: AtomicU32::new(CREATING),
            in_flight: AtomicU64::new(0),
            queues: Mutex::default(),
            routes: OnceLock::new(),
            only_lane: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The pool's name.
    pub(crate) fn name(&self) -> &str {
        self.name.to_str().expect("pool names are UTF-8")
    }

    pub(crate) fn object(&self) -> *mut chi_container {
        self.object.load(Ordering::Relaxed)
    }

    pub(crate) fn set_object(&self, object: *mut chi_container) {
        self.object.store(object, Ordering::Release);
    }

    /// The module's functions. Only after construction.
    #[inline]
    pub(crate) fn ops(&self) -> &chi_container_ops {
        // SAFETY: the object is set before a container is published, and its table lives as long as
        // the process.
        unsafe { &*(*self.object()).ops }
    }

    /// Opens the container for tasks.
    pub(crate) fn publish(&self) {
        let mut queues = std::mem::take(&mut *lock(&self.queues));
        if queues.is_empty() {
            queues.push(Queue { id: 0, lanes: Box::new([ContainerLane::new(false)]) });
        }
        let is_late = |queue: &Queue| queue.lanes[0].high_latency;
        let routes = Routes {
            normal: queues.iter().position(|queue| !is_late(queue)).unwrap_or(0),
            late: match queues.iter().position(is_late) {
                Some(queue) => Late::Queue(queue),
                None => Late::Lane(Box::new(ContainerLane::new(true))),
            },
            queues,
        };
        assert!(self.routes.set(routes).is_ok(), "a container is published once");
        let routes = self.routes.get().expect("set just now");
        if let [lane] = &*routes.queues[routes.normal].lanes {
            self.only_lane.store(ptr::from_ref(lane).cast_mut(), Ordering::Release);
        }
        self.state.store(LIVE, Ordering::SeqCst);
    }

    /// The lane of all tasks without a monitor whose latency matters, when there is but one; else null.
    #[inline]
    pub(crate) fn only_lane(&self) -> *const ContainerLane {
        self.only_lane.load(Ordering::Relaxed)
    }

    /// Counts a task in, unless the container is not live.
    #[inline]
    pub(crate) fn admit(&self) -> bool {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        // Pairs with `close`: either it sees the task, or the task sees that it is too late.
        if self.state.load(Ordering::SeqCst) == LIVE {
            return true;
        }
        self.leave();
        false
    }

    /// Counts a task out. The container may be gone right after.
    #[inline]
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Release);
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.state.load(Ordering::Relaxed) == LIVE
    }

    /// Closes the container for new tasks.
    pub(crate) fn close(&self) {
        self.state.store(DESTROYING, Ordering::SeqCst);
    }

    /// Opens it again after a destruction that could not be.
    pub(crate) fn reopen(&self) {
        self.state.store(LIVE, Ordering::SeqCst);
    }

    /// Adds a queue while the container is being created, and gives its lanes' addresses.
    pub(crate) fn add_queue(
        &self,
        id: u32,
        n_lanes: u32,
        flags: u32,
    ) -> Result<Vec<*mut chi_lane>, Failure> {
        if n_lanes == 0 || n_lanes > 65536 {
            return Err(Failure::new(
                CHI_INVALID,
                format!("a queue has 1 to 65536 lanes, not {n_lanes}"),
            ));
        }
        if self.routes.get().is_some() {
            return Err(Failure::new(
                CHI_INVALID,
                "queues are made while the container is created, not later",
            ));
        }
        let mut queues = lock(&self.queues);
        if queues.iter().any(|queue| queue.id == id) {
            return Err(Failure::new(CHI_EXISTS, format!("queue {id} exists already")));
        }
        let lanes: Box<[ContainerLane]> =
            (0..n_lanes).map(|_| ContainerLane::new(flags & CHI_QUEUE_HIGH_LATENCY != 0)).collect();
        let addresses = lanes.iter().map(|lane| std::ptr::from_ref(lane).cast_mut().cast());
        let addresses = addresses.collect();
        queues.push(Queue { id, lanes });
        Ok(addresses)
    }

    /// The lane that a monitor chose, when it is one of this container's.
    #[inline]
    pub(crate) fn own_lane(&self, chosen: *mut chi_lane) -> Option<&ContainerLane> {
        let size = std::mem::size_of::<ContainerLane>();
        self.routes.get()?.queues.iter().find_map(|queue| {
            let first = queue.lanes.as_ptr() as usize;
            let distance = (chosen as usize).wrapping_sub(first);
            distance.is_multiple_of(size).then(|| queue.lanes.get(distance / size)).flatten()
        })
    }

    /// A lane for a task without a monitor: the lanes of the first queue for its latency in turn.
    #[inline]
    pub(crate) fn any_lane(&self, turn: usize, high_latency: bool) -> &ContainerLane {
        let routes = self.routes.get().expect("tasks go to published containers");
        let queue = match (high_latency, &routes.late) {
            (true, Late::Lane(lane)) => return lane,
            (true, Late::Queue(queue)) => *queue,
            (false, _) => routes.normal,
        };
        let lanes = &routes.queues[queue].lanes;
        if lanes.len() == 1 {
            return &lanes[0];
        }
        // One without tasks, if there is one near: in another it would wait for its turn.
        let near = (turn..turn + lanes.len().min(NEAR)).map(|turn| &lanes[turn % lanes.len()]);
        near.clone().find(|lane| lane.turn.is_empty()).unwrap_or(&lanes[turn % lanes.len()])
    }

    /// Queues, and lanes in all.
    pub(crate) fn shape(&self) -> (usize, usize) {
        let queues = self.routes.get().map_or(&[][..], |routes| &routes.queues);
        (queues.len(), queues.iter().map(|queue| queue.lanes.len()).sum())
    }
}
