//! The trait that a module implements.

use std::ffi::CStr;

use chimaera_task::Result;

use crate::{Init, MethodEntry, ParamsForm, RunContext};

/// A pool's part on one node: the object that runs methods.
///
/// The attribute [`macro@crate::container`] implements it and exports the module; by hand it is
///
/// ```
/// use std::ffi::CStr;
/// use chimaera::module::{Container, Init, MethodEntry, RunContext};
/// use chimaera::Result;
///
/// #[chimaera::task]
/// pub struct EmptyTask;
///
/// struct Runtime;
///
/// impl Runtime {
///     fn empty(&self, _task: &EmptyTask, _ctx: &RunContext<'_>) {}
/// }
///
/// impl Container for Runtime {
///     const NAME: &'static CStr = c"example:empty";
///     const VERSION: &'static CStr = c"1.0.0";
///     const METHODS: &'static [MethodEntry<Self>] =
///         &[MethodEntry::new(10, c"kEmpty", Runtime::empty)];
///
///     fn create(_init: &Init<'_>) -> Result<Self> {
///         Ok(Runtime)
///     }
/// }
///
/// chimaera::export_container!(Runtime);
/// # fn main() {}
/// ```
pub trait Container: Send + Sync + Sized + 'static {
    /// The module's name, `"repo:module"`.
    const NAME: &'static CStr;

    /// The module's own version.
    const VERSION: &'static CStr;

    /// Its methods but `kCreate` and `kDestroy`, which every container has.
    const METHODS: &'static [MethodEntry<Self>];
    /// What its pools are created with, when that is a struct: [`ParamsForm::of`] it. Without, any
    /// bytes are parameters.
    const PARAMS: Option<ParamsForm> = None;

    /// Makes the container of a new pool: method `kCreate`. It may create queues, wait for tasks of
    /// other modules, and fail.
    fn create(init: &Init<'_>) -> Result<Self>;

    /// Says goodbye while tasks can still be sent: method `kDestroy`. The container is dropped later,
    /// when no task is in it.
    fn destroy(&self, ctx: &RunContext<'_>) -> Result<()> {
        let _ = ctx;
        Ok(())
    }
}
