//! Chimaera: a task runtime over shared memory.
//!
//! An application connects to the runtime of this node with [`client::init`], creates a pool of a
//! module, and calls its methods as tasks:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! chimaera::client::init(chimaera::client::Options::default())?;
//! let pool = chimaera::ipc()?.create_pool("chimaera:kv", "my_store", b"")?;
//! println!("pool {pool}");
//! # Ok(())
//! # }
//! ```
//!
//! Features: `client` (default) connects applications to a runtime; `module` is the SDK for ChiMods
//! in Rust; `runtime` starts a runtime inside the calling process, for tests and first experiments.

pub use chimaera_abi as abi;

/// The directory of the C and C++ headers, for build scripts that compile C++ against them.
pub const INCLUDE_DIR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/include");

#[cfg(feature = "module")]
pub use chimaera_module as module;
#[cfg(feature = "module")]
pub use chimaera_module::{
    container, export_container, log_debug, log_error, log_info, log_warn, State,
};
#[cfg(feature = "runtime")]
pub use chimaera_runtime as runtime;
pub use chimaera_task as task;
pub use chimaera_task::*;

/// The process's session with a runtime.
#[cfg(feature = "client")]
pub mod client {
    pub use chimaera_client_rs::{is_initialized, shutdown, Options};

    use chimaera_task::{Result, Status};

    /// Connects this process to a runtime. Does nothing if the process is already connected. If the
    /// runtime ends and another takes its place, the next new task connects to it automatically;
    /// pools must then be created again. Errors: `CHI_UNAVAILABLE` (no runtime), `CHI_DENIED`
    /// (another user's runtime), `CHI_VERSION`, `CHI_FORKED`, `CHI_INVALID`, `CHI_IO`. `[any
    /// thread]`
    pub fn init(options: Options) -> Result<()> {
        // SAFETY: the client's table is valid for the life of the process, on every thread.
        unsafe { chimaera_task::set_resolver(chimaera_client_rs::ipc_manager) };
        chimaera_client_rs::init(options).map_err(status)
    }

    /// Asks the runtime for a JSON document about `subject`, one of `CHI_DESCRIBE_*`.
    pub fn describe(subject: u32) -> Result<String> {
        chimaera_client_rs::describe(subject).map_err(status)
    }

    /// Asks the runtime to stop. It finishes the tasks that are running first.
    pub fn stop_runtime() -> Result<()> {
        chimaera_client_rs::stop_runtime().map_err(status)
    }

    /// Converts a failure to the error type of tasks, so that a program needs only one type.
    fn status(failure: chimaera_client_rs::Failure) -> Status {
        Status::new(failure.status, failure.message)
    }
}
