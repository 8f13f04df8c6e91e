//! The header of every task, and what addresses it: pool, domain query and task node.

use crate::{chi_shm_ptr, chi_status};

/// A pool's number. Never reused while the runtime lives. All zeros is no pool.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct chi_pool_id {
    /// Slot in the pool table. The admin pool has slot 1.
    pub major_: u32,
    /// Generation of the slot: tells apart the pools that have used it.
    pub minor_: u32,
}

/// Slot of the admin pool, which exists as long as the runtime does.
pub const CHI_ADMIN_POOL_MAJOR: u32 = 1;

/// A task's position in the tree of tasks: the root is a task from an application, and subtasks
/// descend from it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct chi_task_node {
    /// The root task's number, unique within its session.
    pub root_: u64,
    /// 0 for the root, 1 for its subtasks, and so on.
    pub depth_: u32,
    /// The node on which the root was made. 0 on a single node.
    pub node_: u32,
}

/// `chi_domain_query.kind_`: the runtime chooses (it asks the module's `kGlobalSchedule` monitor).
pub const CHI_DOMAIN_DYNAMIC: u32 = 0;
/// `chi_domain_query.kind_`: the container with this id, on this node.
pub const CHI_DOMAIN_LOCAL_ID: u32 = 1;
/// `chi_domain_query.kind_`: the container on this node that the hash selects.
pub const CHI_DOMAIN_LOCAL_HASH: u32 = 2;
/// `chi_domain_query.kind_`: the container with this id, on any node.
pub const CHI_DOMAIN_GLOBAL_ID: u32 = 3;
/// `chi_domain_query.kind_`: the container that the hash selects, on any node.
pub const CHI_DOMAIN_GLOBAL_HASH: u32 = 4;
/// `chi_domain_query.kind_`: every container of the pool.
pub const CHI_DOMAIN_GLOBAL_BCAST: u32 = 5;

/// Selects the containers of a pool that a task goes to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct chi_domain_query {
    /// One of `CHI_DOMAIN_*`.
    pub kind_: u32,
    /// The container id or the hash; 0 for the kinds that use neither.
    pub value_: u32,
}

/// A set of flags in 32 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct chi_bitfield {
    /// The flags.
    pub bits_: u32,
}

/// `chi_task.state_`: not submitted yet.
pub const CHI_TASK_IDLE: u32 = 0;
/// `chi_task.state_`, bit: submitted and not yet complete.
pub const CHI_TASK_IN_FLIGHT: u32 = 1;
/// `chi_task.state_`, bit: complete; body, status and message are final.
pub const CHI_TASK_COMPLETE: u32 = 2;
/// `chi_task.state_`, bit: a thread of the client is sleeping on this word.
pub const CHI_TASK_PARKED: u32 = 4;
/// `chi_task.state_`, bit, with `CHI_TASK_COMPLETE`: the runtime holds blocks for this task until
/// the client releases them.
pub const CHI_TASK_HAS_BLOCKS: u32 = 8;
/// `chi_task.state_`, with `CHI_TASK_HAS_BLOCKS`: the bits from this one up are the number under
/// which the runtime holds the blocks.
pub const CHI_TASK_HOLD_SHIFT: u32 = 8;

/// `chi_task.state_`, bit, with `CHI_TASK_IN_FLIGHT`: the client has requested the task's
/// cancellation (`chi_ipc.cancel`).
pub const CHI_TASK_CANCEL: u32 = 16;
/// `chi_task.state_`, bit, with `CHI_TASK_IN_FLIGHT`: the task is in a completion queue. The bits from
/// `CHI_TASK_PLACE_SHIFT` up say where. Since ABI 1.2.
pub const CHI_TASK_QUEUED: u32 = 32;
/// `chi_task.state_`, with `CHI_TASK_QUEUED`: the bits from this one up are the place of the task in a completion queue,
/// and those from `CHI_TASK_PLACE_SHIFT + CHI_COMPLETIONS_PLACE_BITS` up the number of the queue.
pub const CHI_TASK_PLACE_SHIFT: u32 = 8;
/// `chi_task.state_`, bit, with `CHI_TASK_COMPLETE`: the runtime has published memory that the session has not mapped, so
/// that results were copied. Since ABI 1.2.
pub const CHI_TASK_PUBLISHED: u32 = 64;
/// `chi_task.state_`, bit, with `CHI_TASK_COMPLETE`: some of the results are leases on published memory. Since ABI 1.2.
pub const CHI_TASK_ON_LEASE: u32 = 128;
/// How many bits of `chi_task.state_` are the place of a task in a completion queue.
pub const CHI_COMPLETIONS_PLACE_BITS: u32 = 20;
/// The most completion queues of a session.
pub const CHI_MAX_COMPLETIONS: u32 = 16;

/// `chi_task.task_flags_`: the method runs at once and then every `period_ns_` nanoseconds, until
/// the task is cancelled or deleted, a run fails, its pool is destroyed or its client exits. Each
/// run sees the task as the previous one left it. Runs do not drift: run n is due n periods after
/// the first. Runs that are missed because an earlier one took longer than the period are skipped.
/// The task completes when it stops.
pub const CHI_TASK_PERIODIC: u32 = 1;
/// `chi_task.task_flags_`: the caller will not wait for the task. From its submission it belongs to
/// the runtime, which frees it at completion and logs a failure.
pub const CHI_TASK_FIRE_AND_FORGET: u32 = 2;
/// `chi_task.task_flags_`: throughput matters for this task, latency does not. It goes to the lanes
/// and workers for high-latency tasks where there are any; elsewhere it runs after the
/// latency-sensitive tasks.
pub const CHI_TASK_HIGH_LATENCY: u32 = 4;
/// `chi_task.task_flags_`: the task has a deadline, `period_ns_` nanoseconds after its submission.
/// When the deadline passes, the task is not started, or is cancelled if it has started; it ends
/// with `CHI_DEADLINE`. Cannot be combined with `CHI_TASK_PERIODIC`.
pub const CHI_TASK_DEADLINE: u32 = 8;
/// `chi_task.task_flags_`: the caller only reads the strings and vectors of the result, so they may be leases on
/// published memory instead of copies (`chi_publishing`). A lease ends with the task: when it is deleted, or submitted
/// again and has ended. Runtimes before ABI 1.2 copy. Since ABI 1.2.
pub const CHI_TASK_TAKES_LEASES: u32 = 16;

/// The shortest period of a periodic task, in nanoseconds.
pub const CHI_MIN_PERIOD_NS: u64 = 10_000;

/// The header that every task begins with. The task's own fields follow directly: the header is 64
/// bytes, one cache line, without padding.
///
/// Made by `chi_ipc.new_task` and deleted by `chi_ipc.del_task`. From submission to completion the
/// task belongs to the runtime: the client must neither read nor write it, apart from the state
/// word.
#[repr(C)]
#[derive(Debug)]
pub struct chi_task {
    /// The pool that the task is for.
    pub pool_: chi_pool_id,
    /// Its position in the tree of tasks.
    pub task_node_: chi_task_node,
    /// Which containers of the pool.
    pub dom_query_: chi_domain_query,
    /// The method's number.
    pub method_: u32,
    /// Properties of the task: `CHI_TASK_PERIODIC`, `CHI_TASK_FIRE_AND_FORGET`,
    /// `CHI_TASK_HIGH_LATENCY`, `CHI_TASK_DEADLINE`.
    pub task_flags_: chi_bitfield,
    /// In nanoseconds: the period of a periodic task; for a task with a deadline, the time from its
    /// submission to the deadline.
    pub period_ns_: u64,
    /// While a task with a deadline is in flight: the deadline, in nanoseconds of
    /// `CLOCK_MONOTONIC`. After a failure: a block with a `u32` length and that many bytes of
    /// UTF-8, or `CHI_SHM_NULL`; read it with `chi_ipc.task_message`.
    pub message_: chi_shm_ptr,
    /// The task's outcome. Valid once the task is complete. Until its first submission: 0, or the
    /// layout that its client was built with, `CHI_TASK_LAYOUT`.
    pub status_: chi_status,
    /// The completion word: `CHI_TASK_*`. Access it only atomically.
    pub state_: u32,
}

/// `chi_task.status_`, before a task is first submitted, bit: the rest is the layout of the task as its
/// client was built with it. The runtime compares it with the module's before it reads the body, and
/// a task with another layout ends with `CHI_VERSION`. Clients that leave 0 there are not checked.
pub const CHI_TASK_LAYOUT: u32 = 0x8000_0000;
/// `chi_task.status_`, with `CHI_TASK_LAYOUT`: the bits from this one up are the size of the task in
/// units of 8 bytes. Those below are the fingerprint of its description in `chimaera_mod.yaml`, or of
/// its declaration (`CHI_METHOD_DECLARED`); 0 when its client does not know it.
pub const CHI_TASK_LAYOUT_SIZE_SHIFT: u32 = 19;

/// Alignment of every task in bytes.
pub const CHI_TASK_ALIGN: u32 = 64;

/// The maximum size of a task in bytes, not counting the blocks of its strings and vectors.
pub const CHI_MAX_TASK_SIZE: u32 = 16384;

const _: () = assert!(core::mem::size_of::<chi_task>() == 64);

/// The layout of a task, for `chi_task.status_`, from its size and the fingerprint of its
/// description.
pub const fn task_layout(size: usize, description: u32) -> chi_status {
    let size = (size as u32 / 8) << CHI_TASK_LAYOUT_SIZE_SHIFT;
    (CHI_TASK_LAYOUT | size | description) as chi_status
}

impl chi_task {
    /// A task with every field zero.
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
