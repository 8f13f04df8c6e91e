//! The container of `test:rust_conformance`: what the conformance suite of the contract calls, and the
//! suite itself, over the table that a method has.

use std::time::Duration;

use chimaera::abi::{
    chi_events, chi_locks, chi_pollers, CHI_EXT_EVENTS, CHI_EXT_LOCKS, CHI_EXT_POLLERS,
};
use chimaera::module::{extension, Init, RunContext};
use chimaera::{Result, Status};
use chimaera_front::conformance::{check, Subject};

/// A task of no more than its header.
#[chimaera::task]
pub struct PlainTask;

/// The container.
pub struct Runtime;

const QUICK: u32 = 10;
const FAILING: u32 = 11;
const ENDLESS: u32 = 12;
const CHECK: u32 = 13;
const EXTENSIONS: u32 = 14;

#[chimaera::container(name = "test:rust_conformance")]
impl Runtime {
    #[create]
    fn create(_: &Init<'_>) -> Result<Self> {
        Ok(Runtime)
    }

    #[method(QUICK, name = "kQuick")]
    fn quick(&self, _: &PlainTask) {}

    #[method(FAILING, name = "kFailing")]
    fn fail(&self, _: &PlainTask) -> Result<()> {
        Err(Status::failed("told to fail"))
    }

    #[method(ENDLESS, name = "kEndless")]
    fn never_end(&self, _: &PlainTask, ctx: &RunContext<'_>) -> Result<()> {
        loop {
            ctx.sleep(Duration::from_secs(3600))?;
        }
    }

    /// Fails with the first answer that is not the contract's.
    #[method(CHECK, name = "kCheck")]
    fn check(&self, _: &PlainTask, ctx: &RunContext<'_>) -> Result<()> {
        let subject = Subject {
            ipc: chimaera::ipc()?.as_raw(),
            pool: ctx.pool_id().to_raw(),
            quick: QUICK,
            failing: FAILING,
            endless: ENDLESS,
        };
        // SAFETY: the table is the worker's, and a method may use all of it.
        unsafe { check(subject) };
        Ok(())
    }

    /// Fails unless the runtime has the extensions of this version of the contract, each a whole table.
    #[method(EXTENSIONS, name = "kExtensions")]
    fn check_extensions(&self, _: &PlainTask) {
        let size = |id| {
            // SAFETY: an extension of these ids begins with its size.
            extension(id).map(|table| unsafe { table.cast::<u32>().read() } as usize)
        };
        assert_eq!(size(CHI_EXT_LOCKS), Some(size_of::<chi_locks>()));
        assert_eq!(size(CHI_EXT_EVENTS), Some(size_of::<chi_events>()));
        assert_eq!(size(CHI_EXT_POLLERS), Some(size_of::<chi_pollers>()));
        for unknown in [c"", c"chimaera.locks", c"chimaera.locks/2", c"chimaera.lock/1"] {
            assert_eq!(extension(unknown), None);
        }
    }
}
