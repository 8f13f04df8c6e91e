//! The trait of task structs, and the header that they begin with.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chimaera_abi::{
    chi_field_layout, chi_status, chi_task, CHI_TASK_COMPLETE, CHI_TASK_DEADLINE,
    CHI_TASK_FIRE_AND_FORGET, CHI_TASK_HIGH_LATENCY, CHI_TASK_IN_FLIGHT, CHI_TASK_PERIODIC,
    CHI_TASK_TAKES_LEASES,
};

use crate::archive::TaskSerializers;
use crate::ids::{DomainQuery, PoolId, TaskNode};
use crate::shm::nanoseconds;

/// A task struct: `#[repr(C)]`, beginning with [`TaskBase`]. Implemented by [`macro@crate::task`].
///
/// # Safety
///
/// The layout is C's, with a [`TaskBase`] at offset 0; every field is a
/// [`ShmElement`](crate::ShmElement); `FIELDS` lists exactly the strings and vectors in it; size
/// and alignment are within `CHI_MAX_TASK_SIZE` and `CHI_TASK_ALIGN`; it has no destructor, and
/// safe code cannot make one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    note = "add `#[chimaera::task]` to the struct"
)]
pub unsafe trait Task: Sized + 'static {
    /// The layouts of its strings and vectors, with offsets from the start of the task.
    const FIELDS: &'static [chi_field_layout];

    /// The fingerprint of its description in `chimaera_mod.yaml`, or of its declaration; 0 when it is compared
    /// with no other.
    const DESCRIPTION: u32 = 0;

    /// Whether `DESCRIPTION` is the fingerprint of its declaration.
    const DECLARED: bool = false;

    /// Its serialisers; `None` when its fields are not marked `in`, `out` or `inout`.
    const SERIALIZERS: Option<TaskSerializers<Self>> = None;

    /// The header that every task begins with.
    fn base(&self) -> &TaskBase;
}

/// The header that every task begins with: the C struct `chi_task`, 64 bytes.
#[repr(transparent)]
pub struct TaskBase(UnsafeCell<chi_task>);

impl TaskBase {
    /// The address of the C struct.
    pub fn as_ptr(&self) -> *mut chi_task {
        self.0.get()
    }

    /// The pool that the task is for.
    pub fn pool(&self) -> PoolId {
        // SAFETY: the struct behind a `&TaskBase` is alive, and apart from the state word only this
        // thread accesses it while it is lent.
        unsafe { (*self.0.get()).pool_ }.into()
    }

    /// Its position in the tree of tasks.
    pub fn task_node(&self) -> TaskNode {
        // SAFETY: as in `pool`.
        unsafe { (*self.0.get()).task_node_ }
    }

    /// Which containers of the pool.
    pub fn domain_query(&self) -> DomainQuery {
        // SAFETY: as in `pool`.
        unsafe { (*self.0.get()).dom_query_ }.into()
    }

    /// Changes the containers that the task goes to. Call it before the task is submitted, or in a
    /// monitor for `kGlobalSchedule`.
    pub fn set_domain_query(&self, query: DomainQuery) {
        // SAFETY: as in `pool`; the field is not lent to anyone by reference.
        unsafe { (*self.0.get()).dom_query_ = query.to_raw() }
    }

    /// The method's number.
    pub fn method(&self) -> u32 {
        // SAFETY: as in `pool`.
        unsafe { (*self.0.get()).method_ }
    }

    /// Sets what a new task begins with; `layout` is for `chi_task.status_`.
    pub(crate) fn address(
        &self,
        pool: PoolId,
        query: DomainQuery,
        method: u32,
        layout: chi_status,
    ) {
        // SAFETY: as in `set_domain_query`.
        unsafe {
            (*self.0.get()).status_ = layout;
            (*self.0.get()).pool_ = pool.to_raw();
            (*self.0.get()).dom_query_ = query.to_raw();
            (*self.0.get()).method_ = method;
        }
    }

    /// Makes the method run every `period` (at least 10 µs), until the task is cancelled or
    /// dropped, a run fails, its pool is destroyed or its client exits. Each run sees the task as
    /// the previous one left it. Call it before the task is submitted.
    pub fn set_period(&self, period: Duration) {
        self.set_property(CHI_TASK_PERIODIC, nanoseconds(period));
    }

    /// Sets a deadline, `deadline` after the task's submission. When it passes, the task is not
    /// started, or is cancelled if it has started, and ends with `CHI_DEADLINE`. Call it before the
    /// task is submitted.
    pub fn set_deadline(&self, deadline: Duration) {
        self.set_property(CHI_TASK_DEADLINE, nanoseconds(deadline));
    }

    /// Declares that the task's latency does not matter: latency-sensitive tasks run first. Call it
    /// before the task is submitted.
    pub fn set_high_latency(&self) {
        // SAFETY: as in `set_domain_query`.
        unsafe { (*self.0.get()).task_flags_.bits_ |= CHI_TASK_HIGH_LATENCY }
    }

    /// Declares that the results are only read, so that the runtime may leave them in memory that a module has published,
    /// instead of copying them, until the task is dropped ([`Lease`](crate::Lease)). Otherwise such a result is copied, as
    /// any other; it is also copied when it is small, by older runtimes, and until the segment that it is in has been
    /// mapped, which happens after the first such result. Call it before the task is submitted.
    pub fn set_takes_leases(&self) {
        // SAFETY: as in `set_domain_query`.
        unsafe { (*self.0.get()).task_flags_.bits_ |= CHI_TASK_TAKES_LEASES }
    }

    fn set_property(&self, flag: u32, ns: u64) {
        // SAFETY: as in `set_domain_query`.
        unsafe {
            (*self.0.get()).task_flags_.bits_ |= flag;
            (*self.0.get()).period_ns_ = ns;
        }
    }

    /// Marks the task as fire-and-forget.
    pub(crate) fn forget(&self) {
        // SAFETY: as in `set_domain_query`.
        unsafe { (*self.0.get()).task_flags_.bits_ |= CHI_TASK_FIRE_AND_FORGET }
    }

    pub(crate) fn status(&self) -> chi_status {
        // SAFETY: as in `pool`.
        unsafe { (*self.0.get()).status_ }
    }
}

/// The completion word of a task that may be in flight.
///
/// # Safety
///
/// `task` points to a task that has not been deleted.
pub(crate) unsafe fn state(task: *mut chi_task) -> u32 {
    // SAFETY: the caller guarantees that the task is valid, and after submission the word is only
    // accessed atomically.
    unsafe { AtomicU32::from_ptr(&raw mut (*task).state_) }.load(Ordering::Acquire)
}

/// Whether a state word says that the task belongs to the runtime.
pub(crate) fn in_flight(state: u32) -> bool {
    state & CHI_TASK_IN_FLIGHT != 0 && state & CHI_TASK_COMPLETE == 0
}
