//! A container: an object that runs a pool's methods, and the runtime's state for it.

use std::cell::UnsafeCell;
use std::ffi::{c_void, CStr};
use std::mem::offset_of;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use chimaera_abi::*;

use super::admission::Admission;
use super::hold::Hold;
use super::lane::ContainerLane;
use crate::config::OnCrash;
use crate::failure::Failure;
use crate::module::Module;
use crate::published::Area;
use crate::sys::{lock, Budget, Charge, Use};

/// How many lanes are checked for an empty one.
const NEAR: usize = 8;

struct Queue {
    id: u32,
    lanes: Box<[ContainerLane]>,
    /// The charge for the lanes; `None` for lanes that every container has.
    _charge: Option<Charge>,
}

/// The queues of a container, fixed once the container has been created.
struct Routes {
    queues: Vec<Queue>,
    /// The index of the queue for tasks that no monitor has placed.
    normal: usize,
    /// The destination of high-latency tasks that no monitor has placed.
    high_latency: HighLatency,
}

impl Routes {
    /// Returns the lanes of an existing queue if a new object, replacing the one that created it,
    /// asks for the same queue again.
    fn existing(
        &self,
        id: u32,
        n_lanes: u32,
        flags: u32,
        is_new_object: bool,
    ) -> Result<Vec<*mut chi_lane>, Failure> {
        if !is_new_object {
            let why = "queues can only be created while their container is being created";
            return Err(Failure::new(CHI_INVALID, why));
        }
        let high_latency = flags & CHI_QUEUE_HIGH_LATENCY != 0;
        let is_same = |queue: &&Queue| {
            let lanes = &queue.lanes;
            queue.id == id
                && lanes.len() == n_lanes as usize
                && lanes[0].high_latency == high_latency
        };
        match self.queues.iter().find(is_same) {
            Some(queue) => {
                let lanes = queue.lanes.iter();
                Ok(lanes.map(|lane| ptr::from_ref(lane).cast_mut().cast()).collect())
            }
            None => Err(Failure::new(
                CHI_INVALID,
                "a container that is reset must create the queues that it had before",
            )),
        }
    }
}

/// The destination of high-latency tasks that no monitor has placed.
enum HighLatency {
    /// The container's high-latency queue, which has this index.
    Queue(usize),
    /// A lane that the runtime added, because the container has no such queue.
    Lane(Box<ContainerLane>),
}

/// The function that frees what a module attached to a task.
pub(crate) type Del = unsafe extern "C" fn(*mut chi_container, u32, *mut chi_task);

/// The functions of a container, read once from its table.
#[derive(Clone, Copy)]
pub(crate) struct Ops {
    pub(crate) run: unsafe extern "C" fn(
        *mut chi_container,
        u32,
        *mut chi_task,
        *mut chi_run_context,
    ) -> chi_status,
    pub(crate) monitor: unsafe extern "C" fn(
        *mut chi_container,
        u32,
        u32,
        *mut chi_task,
        *mut chi_run_context,
    ) -> chi_status,
    pub(crate) del: Option<Del>,
    pub(crate) destroy: unsafe extern "C" fn(*mut chi_container),
    pub(crate) aggregate: Option<
        unsafe extern "C" fn(
            *mut chi_container,
            u32,
            *mut chi_task,
            *mut chi_task,
            *mut chi_run_context,
        ) -> chi_status,
    >,
    pub(crate) save: Option<StateFn>,
    pub(crate) load: Option<StateFn>,
    pub(crate) resume: Option<unsafe extern "C" fn(*mut chi_container) -> chi_status>,
}

/// Saves or loads the state of a container.
pub(crate) type StateFn = unsafe extern "C" fn(*mut chi_container, *mut chi_state) -> chi_status;

impl Ops {
    /// Reads a container's table; `None` if there is none or it is too short.
    ///
    /// # Safety
    /// `object` must be a container of a loaded module.
    unsafe fn read(object: *mut chi_container) -> Option<Ops> {
        // SAFETY: a container begins with a pointer to its table, which begins with its size. The
        // table may be shorter than ours, so its fields are read one by one, and only those that
        // its size covers.
        unsafe {
            let ops = (*object).ops;
            if ops.is_null() || ((*ops).size as usize) < since_1_0::CONTAINER_OPS {
                return None;
            }
            let size = (*ops).size as usize;
            let reaches = |offset: usize| size >= offset + size_of::<*const c_void>();
            Some(Ops {
                run: (*ops).run,
                monitor: (*ops).monitor,
                del: (*ops).del,
                destroy: (*ops).destroy,
                aggregate: match reaches(offset_of!(chi_container_ops, aggregate)) {
                    true => (*ops).aggregate,
                    false => None,
                },
                save: match reaches(offset_of!(chi_container_ops, save)) {
                    true => (*ops).save,
                    false => None,
                },
                load: match reaches(offset_of!(chi_container_ops, load)) {
                    true => (*ops).load,
                    false => None,
                },
                resume: match reaches(offset_of!(chi_container_ops, resume)) {
                    true => (*ops).resume,
                    false => None,
                },
            })
        }
    }
}

/// A pool's policy for crashes of its methods. It may be changed at any time.
#[derive(Debug, Default)]
pub(crate) struct CrashPolicy {
    aborts: AtomicBool,
}

impl CrashPolicy {
    pub(crate) fn set(&self, on_crash: OnCrash) {
        self.aborts.store(on_crash == OnCrash::Abort, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> OnCrash {
        match self.aborts.load(Ordering::Relaxed) {
            true => OnCrash::Abort,
            false => OnCrash::Quarantine,
        }
    }
}

/// A container, with the runtime's state for it.
pub(crate) struct Container {
    /// The pool's id.
    pub(crate) id: chi_pool_id,
    /// The container's number in the pool.
    pub(crate) number: u32,
    /// How many containers the pool has.
    pub(crate) count: u32,
    /// The pool's name.
    pub(crate) name: Arc<CStr>,
    pub(crate) module: Arc<Module>,
    /// The module's object; null until it is constructed.
    object: AtomicPtr<chi_container>,
    /// Written together with the object.
    ops: UnsafeCell<Option<Ops>>,
    pub(crate) admission: Admission,
    /// The policy of the pool.
    pub(crate) on_crash: Arc<CrashPolicy>,
    /// Why the container is in quarantine, if it is.
    quarantine: Mutex<Option<String>>,
    /// Why its tasks are held, if they are.
    hold: Mutex<Option<Arc<Hold>>>,
    queues: Mutex<Vec<Queue>>,
    routes: OnceLock<Routes>,
    only_lane: AtomicPtr<ContainerLane>,
    /// What it stores is on this node.
    pub(crate) stores_here: AtomicBool,
    published: OnceLock<Area>,
}

// SAFETY: the object is only used through its module's functions, which the contract lets any
// worker call; `ops` is written only while nothing else uses the container.
unsafe impl Send for Container {}
// SAFETY: as above.
unsafe impl Sync for Container {}

impl Container {
    pub(super) fn new(
        id: chi_pool_id,
        number: u32,
        count: u32,
        name: Arc<CStr>,
        module: Arc<Module>,
        on_crash: Arc<CrashPolicy>,
    ) -> Container {
        Container {
            id,
            number,
            count,
            name,
            module,
            object: AtomicPtr::new(std::ptr::null_mut()),
            ops: UnsafeCell::new(None),
            admission: Admission::new(),
            on_crash,
            quarantine: Mutex::default(),
            hold: Mutex::default(),
            queues: Mutex::default(),
            routes: OnceLock::new(),
            only_lane: AtomicPtr::new(ptr::null_mut()),
            stores_here: AtomicBool::new(false),
            published: OnceLock::new(),
        }
    }

    /// Its published memory; makes it if it has none yet.
    pub(crate) fn published(&self, budget: &'static Budget) -> &Area {
        self.published.get_or_init(|| Area::new(budget))
    }

    /// Gives published memory that no block uses back to the operating system, because the object that used it is gone.
    /// What clients have on lease stays until they release it.
    pub(crate) fn retire_published(&self) {
        if let Some(published) = self.published.get() {
            published.retire();
        }
    }

    /// The pool's name.
    pub(crate) fn name(&self) -> &str {
        self.name.to_str().expect("pool names are UTF-8")
    }

    pub(crate) fn object(&self) -> *mut chi_container {
        self.object.load(Ordering::Relaxed)
    }

    /// Sets the module's object and reads its functions. False if its table is not valid.
    ///
    /// # Safety
    /// `object` must be a container of the module, and nothing else may be using this container.
    #[must_use]
    pub(crate) unsafe fn set_object(&self, object: *mut chi_container) -> bool {
        // SAFETY: by the caller's promise.
        let ops = unsafe { Ops::read(object) };
        // SAFETY: by the caller's promise, nothing else is using the container.
        unsafe { *self.ops.get() = ops };
        if ops.is_some() {
            self.object.store(object, Ordering::Release);
        }
        ops.is_some()
    }

    /// Records that the object has been destroyed.
    pub(crate) fn clear_object(&self) {
        self.object.store(ptr::null_mut(), Ordering::Release);
    }

    /// The module's functions. May only be called once the object is constructed.
    #[inline]
    pub(crate) fn ops(&self) -> &Ops {
        // SAFETY: `ops` is written before the container is published, and by a reset only while no
        // task is in the container.
        unsafe { (*self.ops.get()).as_ref() }.expect("a container is constructed before it is used")
    }

    /// Opens the container for tasks.
    pub(crate) fn publish(&self) {
        self.fix_queues();
        self.admission.open();
    }

    /// Opens the container for the tasks that were held for its predecessor, and then for all.
    pub(super) fn publish_releasing(&self) {
        self.fix_queues();
        self.admission.open_releasing();
    }

    pub(super) fn set_hold(&self, hold: Option<Arc<Hold>>) {
        *lock(&self.hold) = hold;
    }

    /// Why its tasks are held, if they are.
    pub(crate) fn hold(&self) -> Option<Arc<Hold>> {
        lock(&self.hold).clone()
    }

    fn fix_queues(&self) {
        let mut queues = std::mem::take(&mut *lock(&self.queues));
        if queues.is_empty() {
            queues.push(Queue {
                id: 0,
                lanes: Box::new([ContainerLane::new(false)]),
                _charge: None,
            });
        }
        let is_high = |queue: &Queue| queue.lanes[0].high_latency;
        let routes = Routes {
            normal: queues.iter().position(|queue| !is_high(queue)).unwrap_or(0),
            high_latency: match queues.iter().position(is_high) {
                Some(queue) => HighLatency::Queue(queue),
                None => HighLatency::Lane(Box::new(ContainerLane::new(true))),
            },
            queues,
        };
        assert!(self.routes.set(routes).is_ok(), "a container is published once");
        let routes = self.routes.get().expect("set just now");
        if let [lane] = &*routes.queues[routes.normal].lanes {
            self.only_lane.store(ptr::from_ref(lane).cast_mut(), Ordering::Release);
        }
    }

    /// Puts the container in quarantine, because code of its object was abandoned. The first reason
    /// is kept. True if it was not in quarantine before.
    pub(crate) fn quarantine(&self, why: &str) -> bool {
        let mut reason = lock(&self.quarantine);
        let is_first = reason.is_none();
        reason.get_or_insert_with(|| why.to_owned());
        self.admission.quarantine();
        is_first
    }

    /// Why the container is in quarantine; `None` if it is not.
    pub(crate) fn quarantined(&self) -> Option<String> {
        match self.admission.is_abandoned() {
            true => lock(&self.quarantine).clone(),
            false => None,
        }
    }

    /// The container's name in messages: the pool's name, with the container's number if there are
    /// several.
    pub(crate) fn shown(&self) -> String {
        match self.count {
            1 => format!("pool '{}'", self.name()),
            _ => format!("container {} of pool '{}'", self.number, self.name()),
        }
    }

    /// Begins to give it an object that has to do without the state of the one before it.
    pub(crate) fn begin_recovery(&self) {
        self.admission.begin_recovery();
    }

    /// Records that it has not got the object.
    pub(crate) fn fail_recovery(&self) {
        self.admission.fail_recovery();
    }

    /// Ends the quarantine of a container that has a new object, and opens it.
    pub(crate) fn end_quarantine(&self) {
        self.admission.end_quarantine();
        *lock(&self.quarantine) = None;
        self.admission.open();
    }

    /// The lane of all low-latency tasks that no monitor has placed, if there is only one;
    /// otherwise null.
    #[inline]
    pub(crate) fn only_lane(&self) -> *const ContainerLane {
        self.only_lane.load(Ordering::Relaxed)
    }

    /// Adds a queue while the container is being created, and returns the addresses of its lanes.
    pub(crate) fn add_queue(
        &self,
        id: u32,
        n_lanes: u32,
        flags: u32,
        budget: &'static Budget,
    ) -> Result<Vec<*mut chi_lane>, Failure> {
        if n_lanes == 0 || n_lanes > 65536 {
            return Err(Failure::new(
                CHI_INVALID,
                format!("a queue has 1 to 65536 lanes, not {n_lanes}"),
            ));
        }
        if let Some(routes) = self.routes.get() {
            return routes.existing(id, n_lanes, flags, self.admission.is_abandoned());
        }
        let mut queues = lock(&self.queues);
        if queues.iter().any(|queue| queue.id == id) {
            return Err(Failure::new(CHI_EXISTS, format!("queue {id} already exists")));
        }
        let bytes = n_lanes as usize * size_of::<ContainerLane>();
        let charge = budget.charge(Use::Pools, bytes as u64);
        let charge = charge.map_err(|why| Failure::new(CHI_NO_SPACE, why.to_string()))?;
        let lanes: Box<[ContainerLane]> =
            (0..n_lanes).map(|_| ContainerLane::new(flags & CHI_QUEUE_HIGH_LATENCY != 0)).collect();
        let addresses = lanes.iter().map(|lane| std::ptr::from_ref(lane).cast_mut().cast());
        let addresses = addresses.collect();
        queues.push(Queue { id, lanes, _charge: Some(charge) });
        Ok(addresses)
    }

    /// The lane that a monitor chose, if it is one of this container's.
    #[inline]
    pub(crate) fn own_lane(&self, chosen: *mut chi_lane) -> Option<&ContainerLane> {
        let size = std::mem::size_of::<ContainerLane>();
        self.routes.get()?.queues.iter().find_map(|queue| {
            let first = queue.lanes.as_ptr() as usize;
            let distance = (chosen as usize).wrapping_sub(first);
            distance.is_multiple_of(size).then(|| queue.lanes.get(distance / size)).flatten()
        })
    }

    /// A lane for a task that no monitor has placed: one of the first queue for its latency, round
    /// robin but preferring an empty lane nearby.
    #[inline]
    pub(crate) fn any_lane(&self, next: usize, high_latency: bool) -> &ContainerLane {
        let routes = self.routes.get().expect("tasks go to published containers");
        let queue = match (high_latency, &routes.high_latency) {
            (true, HighLatency::Lane(lane)) => return lane,
            (true, HighLatency::Queue(queue)) => *queue,
            (false, _) => routes.normal,
        };
        let lanes = &routes.queues[queue].lanes;
        if lanes.len() == 1 {
            return &lanes[0];
        }
        // Prefer an empty lane among the next few: in any other the task would have to queue.
        let near = (next..next + lanes.len().min(NEAR)).map(|index| &lanes[index % lanes.len()]);
        near.clone().find(|lane| lane.state.is_empty()).unwrap_or(&lanes[next % lanes.len()])
    }

    /// The first lane for tasks that no monitor has placed, whatever is in it.
    pub(crate) fn first_lane(&self) -> &ContainerLane {
        let routes = self.routes.get().expect("tasks go to published containers");
        &routes.queues[routes.normal].lanes[0]
    }

    /// The lane for this number in the first queue, which the runtime has made for its own pool.
    pub(crate) fn lane_for(&self, number: u64) -> *mut chi_lane {
        let routes = self.routes.get().expect("tasks go to published containers");
        let lanes = &routes.queues[routes.normal].lanes;
        let index = (number % lanes.len() as u64) as usize;
        ptr::from_ref(&lanes[index]).cast_mut().cast()
    }

    /// Calls `f` with each lane in which tasks may be.
    pub(crate) fn each_lane(&self, mut f: impl FnMut(&ContainerLane)) {
        let Some(routes) = self.routes.get() else { return };
        routes.queues.iter().flat_map(|queue| &queue.lanes).for_each(&mut f);
        if let HighLatency::Lane(lane) = &routes.high_latency {
            f(lane);
        }
    }

    /// The number of queues, and the total number of lanes in them.
    pub(crate) fn shape(&self) -> (usize, usize) {
        let queues = self.routes.get().map_or(&[][..], |routes| &routes.queues);
        (queues.len(), queues.iter().map(|queue| queue.lanes.len()).sum())
    }
}
