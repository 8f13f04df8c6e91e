//! The C contract of Chimaera.
//!
//! Everything that crosses between an application, the runtime and a ChiMod is declared here, once,
//! with C layout. `include/chimaera/abi.h` is generated from this crate, so the names are the C
//! names: a type is called the same in Rust, C++ and C.
//!
//! This crate depends on nothing and allocates nothing.
//!
//! Every function of every table says which thread may call it:
//!
//! * `[any thread]`: any thread of the process that owns the table.
//! * `[worker]`: only a thread of the runtime that is running a method or a monitor.
//! * `[loader]`: only the thread that is loading the module or building the container.
#![allow(non_camel_case_types)]
#![no_std]

mod admin;
mod host;
mod ipc;
mod module;
mod shm;
mod status;
mod task;

pub use admin::*;
pub use host::*;
pub use ipc::*;
pub use module::*;
pub use shm::*;
pub use status::*;
pub use task::*;

/// Major version of the contract. A module loads only into a runtime of the same major version.
pub const CHI_ABI_MAJOR: u32 = 1;

/// Minor version of the contract. It rises when a table or a struct that begins with its size grows;
/// a module and a runtime of different minors use what both know.
pub const CHI_ABI_MINOR: u32 = 0;
