//! The trait of task structs, and what they begin with.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use chimaera_abi::{
    chi_field_layout, chi_status, chi_task, CHI_TASK_COMPLETE, CHI_TASK_DEADLINE,
    CHI_TASK_FIRE_AND_FORGET, CHI_TASK_HIGH_LATENCY, CHI_TASK_IN_FLIGHT, CHI_TASK_PERIODIC,
};

use crate::archive::TaskSerializers;
use crate::ids::{DomainQuery, PoolId, TaskNode};
use crate::shm::nanoseconds;

/// A task struct: `#[repr(C)]`, beginning with [`TaskBase`]. Implemented by [`macro@crate::task`].
///
/// # Safety
///
/// The layout is C's, with a [`TaskBase`] at offset 0; every field is a
/// [`ShmElement`](crate::ShmElement); `FIELDS` lists exactly the strings and vectors in it; size and
/// alignment are within `CHI_MAX_TASK_SIZE` and `CHI_TASK_ALIGN`; it has no destructor, and safe code
/// cannot make one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a task",
    note = "add `#[chimaera::task]` to the struct"
)]
pub unsafe trait Task: Sized + 'static {
    /// Where its strings and vectors lie, from the start of the task.
    const FIELDS: &'static [chi_field_layout];

    /// How its fields go to another process; none when no field says which way it goes.
    const SERIALIZERS: Option<TaskSerializers<Self>> = None;

    /// What every task begins with.
    fn base(&self) -> &TaskBase;
}

/// What every task begins with: the C struct `chi_task`, 64 bytes.
#[repr(transparent)]
pub struct TaskBase(UnsafeCell<chi_task>);

impl TaskBase {
    /// The C struct's address.
    pub fn as_ptr(&self) -> *mut chi_task {
        self.0.get()
    }

    /// The pool that the task is for.
    pub fn pool(&self) -> PoolId {
        // SAFETY: the struct behind a `&TaskBase` is alive, and whoever lent it is the only one to
        // use it now, but for the state word.
        unsafe { (*self.0.get()).pool_ }.into()
    }

    /// Its place in the tree of tasks.
    pub fn task_node(&self) -> TaskNode {
        // SAFETY: as in `pool`.
        unsafe { (*self.0.get()).task_node_ }
    }

    /// Which containers of the pool.
    pub fn domain_query(&self) -> DomainQuery {
        // SAFETY: as in `pool`.
        unsafe { (*self.0.get()).dom_query_ }.into()
    }

    /// Sends the task elsewhere: before it is submitted, or in a monitor's global schedule.
    pub fn set_domain_query(&self, query: DomainQuery) {
        // SAFETY: as in `pool`; the field is not lent to anyone by reference.
        unsafe { (*self.0.get()).dom_query_ = query.to_raw() }
    }

    /// The method's number.
    pub fn method(&self) -> u32 {
        // SAFETY: as in `pool`.
        unsafe { (*self.0.get()).method_ }
    }

    pub(crate) fn address(&self, pool: PoolId, query: DomainQuery, method: u32) {
        // SAFETY: as in `set_domain_query`.
        unsafe {
            (*self.0.get()).pool_ = pool.to_raw();
            (*self.0.get()).dom_query_ = query.to_raw();
            (*self.0.get()).method_ = method;
        }
    }

    /// The method runs every `period`, 10 µs at least, until the task is cancelled or dropped, a run
    /// fails, its pool is destroyed or its client ends. Each run finds the task as the one before left
    /// it. Before it is submitted.
    pub fn set_period(&self, period: Duration) {
        self.set_property(CHI_TASK_PERIODIC, nanoseconds(period));
    }

    /// The task is of no use later than this long after it was submitted: it then does not start any
    /// more, or is cancelled, and ends with `CHI_DEADLINE`. Before it is submitted.
    pub fn set_deadline(&self, deadline: Duration) {
        self.set_property(CHI_TASK_DEADLINE, nanoseconds(deadline));
    }

    /// The task's latency does not matter: those that wait for an answer go before it. Before it is
    /// submitted.
    pub fn set_high_latency(&self) {
        // SAFETY: as in `set_domain_query`.
        unsafe { (*self.0.get()).task_flags_.bits_ |= CHI_TASK_HIGH_LATENCY }
    }

    fn set_property(&self, flag: u32, ns: u64) {
        // SAFETY: as in `set_domain_query`.
        unsafe {
            (*self.0.get()).task_flags_.bits_ |= flag;
            (*self.0.get()).period_ns_ = ns;
        }
    }

    /// Nobody waits for the task.
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
    // SAFETY: the caller says that the task is there, and the word is only accessed atomically once
    // the task was submitted.
    unsafe { AtomicU32::from_ptr(&raw mut (*task).state_) }.load(Ordering::Acquire)
}

/// Whether a state word says that the runtime has the task.
pub(crate) fn in_flight(state: u32) -> bool {
    state & CHI_TASK_IN_FLIGHT != 0 && state & CHI_TASK_COMPLETE == 0
}
