//! The life of a container: its state while it is saved or loaded, and why it has a successor.

use core::ffi::c_char;

use crate::{chi_archive, chi_pool_id, chi_status, chi_task};

/// The state of a container while it is saved or loaded: an archive that is divided into fields, each
/// with a number. The runtime creates it; a module only calls its functions, during
/// `chi_container_ops.save` or `load` and on the same thread. docs/wire-format.md specifies the bytes.
/// Since ABI 1.1.
#[repr(C)]
pub struct chi_state {
    /// `sizeof(chi_state)` in the runtime. Call a later function only when it is covered.
    pub size: u32,
    /// What a state that is being saved is for: `CHI_SAVED_FOR_SUCCESSOR` or `CHI_SAVED_AS_COPY`. Zero in
    /// one that is being loaded.
    pub purpose: u32,

    /// Writes and reads the bytes of the current field. `write` fails before `begin_field` and `read`
    /// before `next_field`; a read does not go beyond the end of a field. `remaining` is at least the
    /// number of bytes that the field still has, and at most that of the whole state. A read
    /// that fails for that reason consumes nothing, so a module may try to read one byte more to see
    /// whether a field has ended.
    pub archive: *mut chi_archive,

    /// Begins a field, and ends the one before it. `number` is greater than that of every field before.
    ///
    /// * Ownership: the state stays the runtime's.
    /// * Null: the state is not null.
    /// * Errors: `CHI_INVALID` when the number is not greater, or the state is being loaded;
    ///   `CHI_NO_SPACE`.
    /// * Thread: `[worker]`, the one that was passed the state.
    pub begin_field: unsafe extern "C" fn(state: *mut chi_state, number: u32) -> chi_status,

    /// Goes to the next field, skipping what is left of the current one, and stores its number, which
    /// is greater than that of every field before; 0 when there are no more.
    ///
    /// * Ownership: `*number` is written; the pointer is not kept.
    /// * Null: `number` is not null.
    /// * Errors: `CHI_INVALID` when the state is malformed, or is being saved.
    /// * Thread: `[worker]`, the one that was passed the state.
    pub next_field: unsafe extern "C" fn(state: *mut chi_state, number: *mut u32) -> chi_status,
}

/// `chi_state.purpose`: the state is for a successor, which finds everything outside the container as it
/// is: the same files, and the pools that the container uses under the same ids. The container gives up
/// what only one of the two can have, such as a file that is locked.
pub const CHI_SAVED_FOR_SUCCESSOR: u32 = 0;
/// `chi_state.purpose`: the state is a copy, which may be loaded at any time, on another machine too. It has
/// all that belongs to the container, also what is in files of its own or in other pools. The container
/// goes on and gives up nothing; `chi_container_ops.resume` is called nevertheless.
pub const CHI_SAVED_AS_COPY: u32 = 1;

/// `chi_life_task.reason_`: the container's pool is migrated.
pub const CHI_REASON_MIGRATED: u32 = 1;
/// `chi_life_task.reason_`: the module has a new version.
pub const CHI_REASON_UPGRADED: u32 = 2;
/// `chi_life_task.reason_`: a method of the container crashed, and the pool is reset.
pub const CHI_REASON_CRASHED: u32 = 3;
/// `chi_life_task.reason_`: the runtime was restarted, and another process has made the container.
pub const CHI_REASON_RESTARTED: u32 = 4;
/// `chi_life_task.reason_`: the runtime ended without saving the container.
pub const CHI_REASON_KILLED: u32 = 5;
/// `chi_life_task.reason_`, of `kNodeFailure`: a pool that the container's pool depends on was lost: a
/// container of it is in quarantine, it was destroyed, or the process that ran it has ended. Or a node of the
/// cluster was lost, with containers of such a pool or of the container's own.
pub const CHI_REASON_LOST: u32 = 6;
/// `chi_life_task.reason_`, of `kNodeFailure`: a pool that was lost takes tasks again, or containers that were
/// lost with a node have owners again.
pub const CHI_REASON_RECOVERED: u32 = 7;

/// The task of `kNodeFailure`, `kRecover`, `kMigrate` and `kUpgrade`, which only the runtime itself
/// sends. Since ABI 1.1.
///
/// `kCreate` has made the container before, with the parameters of its pool. Before `kMigrate` and
/// `kUpgrade`, `chi_container_ops.load` has loaded what its predecessor saved; if they fail, the
/// container is destroyed without `kDestroy`, and its predecessor goes on. If `kRecover` fails, the
/// container stays in quarantine. `kNodeFailure` runs on a container that is in use, beside its tasks, when
/// a pool that its pool depends on is lost or recovered, and when another node is, with containers of such a
/// pool or of its own. If it fails, that is logged, and the container
/// goes on.
#[repr(C)]
pub struct chi_life_task {
    /// The task.
    pub task: chi_task,
    /// In: `CHI_REASON_*`.
    pub reason_: u32,
    /// Zero.
    pub reserved_: u32,
    /// In: the reason in words, for messages and the log. Lives as long as the call.
    pub message_text_: *const c_char,
    /// In: the version of the module that saved the state; empty if no state was loaded. Lives as long
    /// as the call.
    pub old_version_: *const c_char,
    /// In: the directory for the container's own files, which exists; empty if the pool has none. Lives
    /// as long as the call.
    pub directory_: *const c_char,
    /// In, of `kNodeFailure`: the pool that was lost or recovered; otherwise zero.
    pub lost_pool_: chi_pool_id,
    /// In: the name of that pool; otherwise empty. Lives as long as the call.
    pub lost_name_: *const c_char,
    /// In: the number of the node that was lost, or is back, with containers of that pool. 0 if it was lost
    /// on this one, as a whole.
    pub lost_node_: u64,
    /// In: the numbers of those containers, `lost_count_` of them, in order. Lives as long as the call.
    pub lost_containers_: *const u32,
    /// In: how many containers; 0 if `lost_node_` is.
    pub lost_count_: u32,
    /// Zero.
    pub reserved2_: u32,
}
