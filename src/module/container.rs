//! The trait that a module implements.

use std::ffi::CStr;

use chimaera_task::Result;

use crate::{Init, MethodEntry, ParamsForm, RunContext, StateForm};

/// A container: the object that holds a share of a pool's state and runs its methods.
///
/// The attribute [`macro@crate::container`] implements this trait and exports the module. The same
/// by hand:
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

    /// Its methods except `kCreate` and `kDestroy`, which every container has.
    const METHODS: &'static [MethodEntry<Self>];

    /// The pool parameters, when they are a struct: [`ParamsForm::of`] that struct. `None` means
    /// that the parameters are arbitrary bytes.
    const PARAMS: Option<ParamsForm> = None;

    /// How its state is saved and loaded: [`StateForm::new`] for a container that is a
    /// [`State`](crate::State). `None` means that it cannot have a successor.
    const STATE: Option<StateForm<Self>> = None;

    /// Creates the container for a new pool: the method `kCreate`. It may create queues, wait for
    /// tasks of other modules, and fail.
    fn create(init: &Init<'_>) -> Result<Self>;

    /// Cleans up while tasks can still be sent: the method `kDestroy`. The container is dropped
    /// later, when none of its tasks are left.
    fn destroy(&self, ctx: &RunContext<'_>) -> Result<()> {
        let _ = ctx;
        Ok(())
    }

    /// Gives up what a successor could not have at the same time, such as a file that is locked.
    /// Called after the state has been saved for a successor, but not when it is a copy
    /// ([`StateWriter::is_copy`](crate::StateWriter::is_copy)).
    fn release(&self) -> Result<()> {
        Ok(())
    }

    /// Takes back what [`release`](Self::release) gave up, because the container goes on after all.
    /// It is also called when saving failed, before anything was given up. An error leaves the
    /// container in quarantine.
    fn resume(&self) -> Result<()> {
        Ok(())
    }
}
