//! Chimaera: a task runtime over shared memory.
pub use chimaera_abi as abi;
