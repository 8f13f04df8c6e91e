//! The container of `chimaera:empty`.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../../autogen/empty_lib_exec.rs"]
mod lib_exec;

use chimaera::module::Init;
use chimaera::Result;
use chimaera_empty_client::{EmptyTask, Method};

/// The container, which has no state.
pub struct Runtime;

#[chimaera::container(name = "chimaera:empty")]
impl Runtime {
    #[create]
    fn create(_init: &Init<'_>) -> Result<Self> {
        Ok(Runtime)
    }

    #[method(Method::EMPTY, name = "kEmpty")]
    fn empty(&self, _task: &EmptyTask) {}
}
