//! The task of the methods of a container's life.

use std::ffi::{c_char, CStr, OsStr};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use chimaera_abi::{
    chi_life_task, chi_pool_id, chi_task, CHI_REASON_CRASHED, CHI_REASON_KILLED, CHI_REASON_LOST,
    CHI_REASON_MIGRATED, CHI_REASON_RECOVERED, CHI_REASON_RESTARTED, CHI_REASON_UPGRADED,
};
use chimaera_task::{PoolId, TaskBase};

/// The task of `kNodeFailure`, `kRecover`, `kMigrate` and `kUpgrade`, which only the runtime itself
/// sends: the C struct `chi_life_task`. Before the latter three, the container has been created, and
/// if its predecessor saved its state, that has been loaded.
///
/// ```
/// use chimaera::module::{Init, LifeReason, LifeTask, RunContext};
/// use chimaera::Result;
///
/// pub struct Runtime;
///
/// #[chimaera::container(name = "example:counter")]
/// impl Runtime {
///     #[create]
///     fn create(_init: &Init<'_>) -> Result<Self> {
///         Ok(Runtime)
///     }
///
///     #[upgrade]
///     fn upgrade(&self, task: &LifeTask, _ctx: &RunContext<'_>) {
///         chimaera::log_info!("version {} has left its state", task.old_version());
///     }
///
///     #[recover]
///     fn recover(&self, task: &LifeTask) {
///         if task.reason() == LifeReason::Killed {
///             chimaera::log_warn!("nothing was saved: {}", task.message());
///         }
///     }
/// }
/// # fn main() {}
/// ```
#[repr(C)]
pub struct LifeTask {
    base: TaskBase,
    reason: u32,
    reserved: u32,
    message: *const c_char,
    old_version: *const c_char,
    directory: *const c_char,
    lost_pool: chi_pool_id,
    lost_name: *const c_char,
    lost_node: u64,
    lost_containers: *const u32,
    lost_count: u32,
    reserved2: u32,
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<LifeTask>() == size_of::<chi_life_task>());
    assert!(offset_of!(LifeTask, reason) == offset_of!(chi_life_task, reason_));
    assert!(offset_of!(LifeTask, message) == offset_of!(chi_life_task, message_text_));
    assert!(offset_of!(LifeTask, old_version) == offset_of!(chi_life_task, old_version_));
    assert!(offset_of!(LifeTask, directory) == offset_of!(chi_life_task, directory_));
    assert!(offset_of!(LifeTask, lost_pool) == offset_of!(chi_life_task, lost_pool_));
    assert!(offset_of!(LifeTask, lost_name) == offset_of!(chi_life_task, lost_name_));
    assert!(offset_of!(LifeTask, lost_node) == offset_of!(chi_life_task, lost_node_));
    assert!(offset_of!(LifeTask, lost_containers) == offset_of!(chi_life_task, lost_containers_));
    assert!(offset_of!(LifeTask, lost_count) == offset_of!(chi_life_task, lost_count_));
};

/// Why a method of a container's life is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LifeReason {
    /// The container's pool is migrated.
    Migrated,
    /// The module has a new version.
    Upgraded,
    /// A method of the container crashed, and the pool is reset.
    Crashed,
    /// The runtime was restarted, and another process has made the container.
    Restarted,
    /// The runtime ended without saving the container.
    Killed,
    /// A pool that the container's pool depends on was lost.
    Lost,
    /// A pool that was lost takes tasks again.
    Recovered,
    /// A reason that only newer runtimes have: its number in the C contract.
    Other(u32),
}

impl LifeTask {
    /// # Safety
    ///
    /// For `'a`, `task` is a `chi_life_task` whose texts are null or valid, and apart from its state
    /// word only this thread accesses it.
    pub(crate) unsafe fn lend<'a>(task: *mut chi_task) -> &'a Self {
        // SAFETY: the layout is that of a `chi_life_task`, as asserted above; the rest is guaranteed
        // by the caller.
        unsafe { &*task.cast::<LifeTask>() }
    }

    /// The header that every task begins with.
    pub fn base(&self) -> &TaskBase {
        &self.base
    }

    /// Why the method is called.
    pub fn reason(&self) -> LifeReason {
        match self.reason {
            CHI_REASON_MIGRATED => LifeReason::Migrated,
            CHI_REASON_UPGRADED => LifeReason::Upgraded,
            CHI_REASON_CRASHED => LifeReason::Crashed,
            CHI_REASON_RESTARTED => LifeReason::Restarted,
            CHI_REASON_KILLED => LifeReason::Killed,
            CHI_REASON_LOST => LifeReason::Lost,
            CHI_REASON_RECOVERED => LifeReason::Recovered,
            number => LifeReason::Other(number),
        }
    }

    /// The reason in words.
    pub fn message(&self) -> &str {
        self.text(self.message)
    }

    /// The version of the module that saved the state; empty if no state was loaded.
    pub fn old_version(&self) -> &str {
        self.text(self.old_version)
    }

    /// The directory for the container's own files, which exists; none if the pool has none.
    pub fn directory(&self) -> Option<&Path> {
        match self.bytes(self.directory) {
            [] => None,
            bytes => Some(Path::new(OsStr::from_bytes(bytes))),
        }
    }

    /// In `kNodeFailure`, the pool that was lost or recovered.
    pub fn lost_pool(&self) -> PoolId {
        self.lost_pool.into()
    }

    /// The name of that pool; empty in other methods.
    pub fn lost_name(&self) -> &str {
        self.text(self.lost_name)
    }

    /// In `kNodeFailure`, the number of the node that was lost, or is back, with containers of that pool. 0 if it was
    /// lost on this one, as a whole.
    pub fn lost_node(&self) -> u64 {
        self.lost_node
    }

    /// The numbers of those containers, in order; none if it was lost as a whole.
    pub fn lost_containers(&self) -> &[u32] {
        match self.lost_containers.is_null() {
            true => &[],
            // SAFETY: if it is not null, there are so many, for as long as the task is lent.
            false => unsafe {
                std::slice::from_raw_parts(self.lost_containers, self.lost_count as usize)
            },
        }
    }

    fn text(&self, text: *const c_char) -> &str {
        let bytes = self.bytes(text);
        std::str::from_utf8(bytes).unwrap_or_else(|error| {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        })
    }

    fn bytes(&self, text: *const c_char) -> &[u8] {
        match text.is_null() {
            true => &[],
            // SAFETY: a text that is not null is valid for as long as the task is lent.
            false => unsafe { CStr::from_ptr(text) }.to_bytes(),
        }
    }
}

impl fmt::Debug for LifeTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LifeTask")
            .field("reason", &self.reason())
            .field("message", &self.message())
            .field("old_version", &self.old_version())
            .field("directory", &self.directory())
            .field("lost_name", &self.lost_name())
            .finish_non_exhaustive()
    }
}
