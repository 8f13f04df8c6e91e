//! A task and what it is addressed with.

use crate::{chi_shm_ptr, chi_status};

/// The name of a pool as a number: unique among all pools of a runtime's life, never reused.
/// All zero names no pool.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct chi_pool_id {
    /// Slot in the pool table. The admin pool has slot 1.
    pub major_: u32,
    /// Which of the pools that have had this slot.
    pub minor_: u32,
}

/// The admin pool, which every runtime has from its start to its end.
pub const CHI_ADMIN_POOL_MAJOR: u32 = 1;

/// Where a task stands in the tree of tasks that one call from an application started.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct chi_task_node {
    /// The root task's number, unique in its session.
    pub root_: u64,
    /// 0 for the root, 1 for its subtasks, and so on.
    pub depth_: u32,
    /// The node on which the root was made. 0 on a single node.
    pub node_: u32,
}

/// `chi_domain_query.kind_`: the runtime chooses (it asks the module's `kGlobalSchedule` monitor).
pub const CHI_DOMAIN_DYNAMIC: u32 = 0;
/// `chi_domain_query.kind_`: the container of this id on this node.
pub const CHI_DOMAIN_LOCAL_ID: u32 = 1;
/// `chi_domain_query.kind_`: the container on this node that the hash falls to.
pub const CHI_DOMAIN_LOCAL_HASH: u32 = 2;
/// `chi_domain_query.kind_`: the container of this id, on whichever node.
pub const CHI_DOMAIN_GLOBAL_ID: u32 = 3;
/// `chi_domain_query.kind_`: the container that the hash falls to, on whichever node.
pub const CHI_DOMAIN_GLOBAL_HASH: u32 = 4;
/// `chi_domain_query.kind_`: every container of the pool.
pub const CHI_DOMAIN_GLOBAL_BCAST: u32 = 5;

/// Which containers of a pool a task is for.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct chi_domain_query {
    /// One of `CHI_DOMAIN_*`.
    pub kind_: u32,
    /// The container id or the hash; 0 where the kind has neither.
    pub value_: u32,
}

/// A set of flags in 32 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct chi_bitfield {
    /// The flags.
    pub bits_: u32,
}

/// `chi_task.state_`: made, not submitted.
pub const CHI_TASK_IDLE: u32 = 0;
/// `chi_task.state_`, bit: submitted, and not complete.
pub const CHI_TASK_IN_FLIGHT: u32 = 1;
/// `chi_task.state_`, bit: complete; body, status and message are final.
pub const CHI_TASK_COMPLETE: u32 = 2;
/// `chi_task.state_`, bit: a thread of the client sleeps on this word.
pub const CHI_TASK_PARKED: u32 = 4;
/// `chi_task.state_`, bit, with complete: the runtime holds blocks for this task until its release.
pub const CHI_TASK_HAS_BLOCKS: u32 = 8;
/// `chi_task.state_`, with `CHI_TASK_HAS_BLOCKS`: from this bit up stands the number under which the
/// runtime holds the blocks.
pub const CHI_TASK_HOLD_SHIFT: u32 = 8;

/// `chi_task.state_`, bit, with in flight: the client asks for the task's cancellation
/// (`chi_ipc.cancel`).
pub const CHI_TASK_CANCEL: u32 = 16;

/// `chi_task.task_flags_`: the method runs every `period_ns_` nanoseconds, from now on, until the task
/// is cancelled or deleted, a run fails, its pool is destroyed or its client ends. Each run finds the
/// task as the one before left it. Runs do not drift: the n-th is due n periods after the first. When
/// one takes longer than the period, those that it misses are left out. The task completes, for
/// whoever waits for it, when it stops.
pub const CHI_TASK_PERIODIC: u32 = 1;
/// `chi_task.task_flags_`: nobody waits for the task: once submitted it is no longer the caller's, and
/// is freed at its completion. When it fails, the runtime's log says so.
pub const CHI_TASK_FIRE_AND_FORGET: u32 = 2;
/// `chi_task.task_flags_`: throughput matters for this task, its latency does not. It goes to the
/// container's lanes and to the workers for such tasks, where there are any, and otherwise runs after
/// those that wait for an answer.
pub const CHI_TASK_HIGH_LATENCY: u32 = 4;
/// `chi_task.task_flags_`: the task is of no use later than `period_ns_` nanoseconds after its
/// submission: it then does not start any more, or is cancelled, and ends with `CHI_DEADLINE`. Not
/// together with `CHI_TASK_PERIODIC`.
pub const CHI_TASK_DEADLINE: u32 = 8;

/// The shortest period of a periodic task in nanoseconds.
pub const CHI_MIN_PERIOD_NS: u64 = 10_000;

/// What every task begins with. A task's own fields follow at once: this struct is 64 bytes, one
/// cache line, and has no padding.
///
/// Made by `chi_ipc.new_task`, deleted by `chi_ipc.del_task`. From enqueue to completion it belongs
/// to the runtime: the client neither reads nor writes it, apart from the state word.
#[repr(C)]
#[derive(Debug)]
pub struct chi_task {
    /// The pool that the task is for.
    pub pool_: chi_pool_id,
    /// Its place in the tree of tasks.
    pub task_node_: chi_task_node,
    /// Which containers of the pool.
    pub dom_query_: chi_domain_query,
    /// The method's number.
    pub method_: u32,
    /// Properties of the task: `CHI_TASK_PERIODIC`, `CHI_TASK_FIRE_AND_FORGET`,
    /// `CHI_TASK_HIGH_LATENCY`, `CHI_TASK_DEADLINE`.
    pub task_flags_: chi_bitfield,
    /// For a periodic task, the period; for one with a deadline, the time that it has. In nanoseconds.
    pub period_ns_: u64,
    /// While a task with a deadline is on its way: when the deadline passes, in nanoseconds of
    /// `CLOCK_MONOTONIC`. When the task failed: a block of a `u32` length and so many bytes of UTF-8, or
    /// `CHI_SHM_NULL`. Read it with `chi_ipc.task_message`.
    pub message_: chi_shm_ptr,
    /// The outcome, valid once the task is complete.
    pub status_: chi_status,
    /// The completion word: `CHI_TASK_*`. Only ever accessed atomically.
    pub state_: u32,
}

/// Alignment of every task in bytes.
pub const CHI_TASK_ALIGN: u32 = 64;

/// The largest task in bytes, its strings and vectors not counted.
pub const CHI_MAX_TASK_SIZE: u32 = 16384;

const _: () = assert!(core::mem::size_of::<chi_task>() == 64);

impl chi_task {
    /// A task that names nothing yet.
    pub const fn new() -> Self {
        chi_task {
            pool_: chi_pool_id { major_: 0, minor_: 0 },
            task_node_: chi_task_node { root_: 0, depth_: 0, node_: 0 },
            dom_query_: chi_domain_query { kind_: CHI_DOMAIN_DYNAMIC, value_: 0 },
            method_: 0,
            task_flags_: chi_bitfield { bits_: 0 },
            period_ns_: 0,
            message_: 0,
            status_: 0,
            state_: CHI_TASK_IDLE,
        }
    }
}

impl Default for chi_task {
    fn default() -> Self {
        Self::new()
    }
}
