//! Chimaera: a task runtime over shared memory.
pub use chimaera_abi as abi;
pub use chimaera_task as task;
pub use chimaera_task::*;
