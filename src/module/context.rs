//! The contexts that the functions of a container get.

use std::ffi::CStr;
use std::marker::PhantomData;
use std::time::Duration;

use chimaera_abi::{
    chi_host, chi_run_context, covers, read_field, since_1_0, CHI_CANCELLED, CHI_MONITOR_EST_LOAD,
    CHI_MONITOR_GLOBAL_SCHEDULE, CHI_MONITOR_LOCAL_SCHEDULE, CHI_OK, CHI_QUEUE_HIGH_LATENCY,
    CHI_VERSION,
};
use chimaera_task::archive::params_from_bytes;
use chimaera_task::{PoolId, Result, Serialize, Status};

use crate::host::host;
use crate::{Lane, Queue};

/// Identifies a container and its pool.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) pool_id: PoolId,
    pub(crate) pool_name: String,
    pub(crate) container_id: u32,
    pub(crate) container_count: u32,
}

/// The context of [`Container::create`](crate::Container::create): the new pool and its parameters.
pub struct Init<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) params: Vec<u8>,
    pub(crate) ctx: RunContext<'a>,
}

impl Init<'_> {
    /// The pool's id.
    pub fn pool_id(&self) -> PoolId {
        self.identity.pool_id
    }

    /// The pool's name.
    pub fn pool_name(&self) -> &str {
        &self.identity.pool_name
    }

    /// Which container of the pool this is, from 0.
    pub fn container_id(&self) -> u32 {
        self.identity.container_id
    }

    /// How many containers the pool has.
    pub fn container_count(&self) -> u32 {
        self.identity.container_count
    }

    /// The parameters that the pool was created with, opaque to the runtime. A private copy.
    pub fn params(&self) -> &[u8] {
        &self.params
    }

    /// The parameters that the pool was created with, as the module's struct; its default when
    /// there are none. Errors: `CHI_INVALID`; the message says what is wrong and where.
    ///
    /// ```
    /// use chimaera::module::Init;
    /// use chimaera::{Result, Serialize};
    ///
    /// #[derive(Default, Serialize)]
    /// struct Params {
    ///     lanes: u32,
    /// }
    ///
    /// fn lanes(init: &Init<'_>) -> Result<u32> {
    ///     Ok(init.params_as::<Params>()?.lanes.max(1))
    /// }
    /// ```
    pub fn params_as<P: Serialize + Default>(&self) -> Result<P> {
        params_from_bytes(&self.params)
    }

    /// The context of the method `kCreate`.
    pub fn ctx(&self) -> &RunContext<'_> {
        &self.ctx
    }

    /// Creates a queue with `n_lanes` lanes (1 to 65536) in the container. `queue_id` is the
    /// caller's choice. Errors: `CHI_INVALID`, `CHI_EXISTS`.
    pub fn create_queue(&self, queue_id: u32, n_lanes: u32) -> Result<Queue> {
        self.add_queue(queue_id, n_lanes, 0)
    }

    /// Like [`create_queue`](Self::create_queue), for tasks whose latency does not matter.
    pub fn create_high_latency_queue(&self, queue_id: u32, n_lanes: u32) -> Result<Queue> {
        self.add_queue(queue_id, n_lanes, CHI_QUEUE_HIGH_LATENCY)
    }

    fn add_queue(&self, queue_id: u32, n_lanes: u32, flags: u32) -> Result<Queue> {
        if !(1..=65536).contains(&n_lanes) {
            return Err(Status::invalid(format!(
                "cannot create a queue of {n_lanes} lanes: use 1 to 65536"
            )));
        }
        let host = host().ok_or_else(no_host)?;
        let mut queue = Queue::with_room(self.identity.pool_id, queue_id, n_lanes);
        let pool_id = self.identity.pool_id.to_raw();
        // SAFETY: `kCreate` runs, on its worker; the array has room for `n_lanes` addresses.
        let status = unsafe {
            ((*host).create_queue)(host, &pool_id, queue_id, n_lanes, flags, queue.as_mut_ptr())
        };
        match status {
            CHI_OK => Ok(queue),
            _ => {
                let why = format!("cannot create queue {queue_id} with {n_lanes} lanes: ");
                // SAFETY: this is a worker, and nothing was called since.
                Err(Status::new(status, why + &unsafe { reason(host) }))
            }
        }
    }
}

/// The context of one run of a method. It cannot leave its worker.
pub struct RunContext<'a> {
    pub(crate) identity: &'a Identity,
    raw: *mut chi_run_context,
}

impl<'a> RunContext<'a> {
    /// # Safety
    ///
    /// `raw` points to a context that is as long as its size says, for `'a`.
    pub(crate) unsafe fn new(identity: &'a Identity, raw: *mut chi_run_context) -> Result<Self> {
        // SAFETY: a context begins with its size.
        check(unsafe { (*raw).size })?;
        Ok(RunContext { identity, raw })
    }

    /// The worker's number, from 0.
    pub fn worker_id(&self) -> u32 {
        // SAFETY: valid until the method returns, and long enough, as `new` has checked.
        unsafe { (*self.raw).worker_id_ }
    }

    /// The pool's id.
    pub fn pool_id(&self) -> PoolId {
        self.identity.pool_id
    }

    /// The pool's name.
    pub fn pool_name(&self) -> &str {
        &self.identity.pool_name
    }

    /// Which container of the pool this is, from 0.
    pub fn container_id(&self) -> u32 {
        self.identity.container_id
    }

    /// How many containers the pool has.
    pub fn container_count(&self) -> u32 {
        self.identity.container_count
    }

    /// True when the task has been cancelled and the method should return soon. For methods that
    /// compute for a long time without waiting.
    pub fn is_cancelled(&self) -> bool {
        host().is_some_and(|host| {
            // SAFETY: the table is as long as its size says.
            let function = unsafe { read_field!(host, chi_host, is_cancelled) };
            // SAFETY: the table is valid; a context stays on its worker.
            function.is_some_and(|is_cancelled| unsafe { is_cancelled(host) })
        })
    }

    /// Suspends the task for `duration`. Errors: `CHI_CANCELLED` as soon as the task is cancelled.
    pub fn sleep(&self, duration: Duration) -> Result<()> {
        chimaera_task::ipc()?.sleep(duration)
    }

    /// Lets other tasks of this worker run, then returns. Errors: `CHI_CANCELLED` when the task is
    /// cancelled, its client has gone, its pool is being destroyed or the runtime is stopping.
    pub fn yield_now(&self) -> Result<()> {
        let host = host().ok_or_else(no_host)?;
        // SAFETY: a context stays on its worker (it is not `Send`), and a method is running there.
        match unsafe { ((*host).yield_now)(host) } {
            CHI_OK => Ok(()),
            CHI_CANCELLED => {
                Err(Status::new(CHI_CANCELLED, "the task is cancelled: it should end"))
            }
            status => Err(Status::new(status, "the task cannot yield here")),
        }
    }
}

/// What a monitor is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MonitorMode {
    /// `kLocalSchedule`: choose a lane on this node for the task, with
    /// [`MonitorContext::set_lane`]. If the monitor does not, the runtime picks one.
    LocalSchedule,
    /// `kGlobalSchedule`: choose the containers for the task, with
    /// `task.base().set_domain_query(..)`.
    GlobalSchedule,
    /// `kEstLoad`: estimate the task's run time, with [`MonitorContext::set_estimate`]. If the
    /// monitor does not, the runtime uses the run times that it has measured.
    EstimateLoad,
}

impl MonitorMode {
    /// The mode with this number in the C contract; `None` for one that this SDK does not know.
    pub(crate) fn from_raw(mode: u32) -> Option<Self> {
        match mode {
            CHI_MONITOR_LOCAL_SCHEDULE => Some(MonitorMode::LocalSchedule),
            CHI_MONITOR_GLOBAL_SCHEDULE => Some(MonitorMode::GlobalSchedule),
            CHI_MONITOR_EST_LOAD => Some(MonitorMode::EstimateLoad),
            _ => None,
        }
    }
}

/// The context of one run of a monitor, with which it returns its choice. It cannot leave its
/// worker.
pub struct MonitorContext<'a> {
    identity: &'a Identity,
    raw: *mut chi_run_context,
    owned: PhantomData<&'a mut chi_run_context>,
}

impl<'a> MonitorContext<'a> {
    /// # Safety
    ///
    /// For `'a`, `raw` points to a context that is as long as its size says and that nothing else
    /// uses.
    pub(crate) unsafe fn new(identity: &'a Identity, raw: *mut chi_run_context) -> Result<Self> {
        // SAFETY: a context begins with its size.
        check(unsafe { (*raw).size })?;
        Ok(MonitorContext { identity, raw, owned: PhantomData })
    }

    /// The worker's number, from 0.
    pub fn worker_id(&self) -> u32 {
        // SAFETY: valid until the monitor returns, and long enough, as `new` has checked.
        unsafe { (*self.raw).worker_id_ }
    }

    /// Which container of the pool this is, from 0.
    pub fn container_id(&self) -> u32 {
        self.identity.container_id
    }

    /// How many containers the pool has.
    pub fn container_count(&self) -> u32 {
        self.identity.container_count
    }

    /// Sends the task to a lane of this container.
    ///
    /// # Panics
    ///
    /// When the lane belongs to another pool.
    pub fn set_lane(&mut self, lane: Lane) {
        assert!(lane.pool == self.identity.pool_id, "a lane of pool {}", lane.pool);
        // SAFETY: valid until the monitor returns, and long enough, as `new` has checked.
        unsafe { (*self.raw).lane_ = lane.raw }
    }
}

impl MonitorContext<'_> {
    /// Sets the estimated run time of the task. A runtime with ABI 1.0 ignores it.
    pub fn set_estimate(&mut self, estimate: Duration) {
        let ns = u64::try_from(estimate.as_nanos()).unwrap_or(u64::MAX).max(1);
        // SAFETY: valid until the monitor returns; written only where the context is long enough.
        unsafe {
            if covers!(*self.raw, chi_run_context, est_ns_) {
                (*self.raw).est_ns_ = ns;
            }
        }
    }
}

/// Why the last call has failed.
///
/// # Safety
/// `host` is the runtime's, and module code runs on this thread, which has called nothing since.
unsafe fn reason(host: *const chi_host) -> String {
    // SAFETY: by the caller's promise; `last_error` returns a C string that lives until the next call.
    unsafe {
        let ipc = ((*host).ipc)(host);
        match ipc.is_null() {
            true => String::new(),
            false => CStr::from_ptr(((*ipc).last_error)(ipc)).to_string_lossy().into_owned(),
        }
    }
}

fn check(size: u32) -> Result<()> {
    match size as usize >= since_1_0::RUN_CONTEXT {
        true => Ok(()),
        false => Err(Status::new(CHI_VERSION, format!("a run context of only {size} bytes"))),
    }
}

fn no_host() -> Status {
    Status::new(chimaera_abi::CHI_NOT_INITIALIZED, "not inside a runtime")
}
