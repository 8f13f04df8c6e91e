//! Chimaera: a task runtime over shared memory.
pub use chimaera_abi as abi;
#[cfg(feature = "module")]
pub use chimaera_module as module;
#[cfg(feature = "module")]
pub use chimaera_module::{
    container, export_container, log_debug, log_error, log_info, log_warn,
};
pub use chimaera_task as task;
pub use chimaera_task::*;
