//! Modules: finding, judging and loading them, and the runtime's copy of their method tables. It
//! owns the table of names and libraries. It imports `sys`.

mod cxx_runtime;
mod described;
mod detach;
pub(crate) mod elf;
pub(crate) mod error;
mod libraries;
mod manager;
mod method_table;
mod trust;

pub(crate) use self::elf::{exported, judge, Verdict, SYMBOLS};
pub(crate) use self::manager::{Canonicalize, ExceptionGlobals, Module, Modules, Services};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::method_table::Transfer;
pub(crate) use self::method_table::{Field, Method, Methods, TaskShape};
pub use self::trust::{
    check_directory as check_module_directory, check_file as check_module_file,
    library_path_warning,
};
