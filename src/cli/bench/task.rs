//! An empty task, sent as an application sends it.

use std::ffi::{CStr, CString};

use chimaera::PoolId;
use chimaera_abi::*;
use chimaera_bench_client as bench;
use chimaera_client_rs as client;

use crate::context::{complain, Failed};

/// The C++ module whose method does nothing.
pub(super) const CPP: &str = "example:empty";
/// The Rust module whose method does nothing.
pub(super) const RUST: &str = "chimaera:empty";

const EMPTY: u32 = 10;

/// A pool whose method `kEmpty` does nothing.
#[derive(Clone, Copy)]
pub(super) struct Pool {
    ipc: *const chi_ipc,
    id: chi_pool_id,
    query: chi_domain_query,
}

/// The module decides which container a task is for.
const ANY: chi_domain_query = chi_domain_query { kind_: CHI_DOMAIN_DYNAMIC, value_: 0 };

impl Pool {
    /// Creates or finds the pool `name` of `module`.
    pub(super) fn open(module: &str, name: &str) -> Result<Pool, Failed> {
        let (id, _) = client::create_pool(module, name, &[], 1)
            .map_err(|failure| no_pool(module, failure.status, &failure.message))?;
        Ok(Pool { ipc: client::ipc_manager(), id, query: ANY })
    }

    /// Creates the pool `name` of `module` with this policy, `CHI_POOL_*`.
    pub(super) fn open_with(module: &str, name: &str, policy: u32) -> Result<Pool, Failed> {
        let (id, _) = client::create_pool_with(module, name, &[], (1, 0), policy, &[])
            .map_err(|failure| no_pool(module, failure.status, &failure.message))?;
        Ok(Pool { ipc: client::ipc_manager(), id, query: ANY })
    }

    /// Creates or finds the pool `name` of [`CPP`], or reports that the module is missing: it is a
    /// sample, which an installation may lack.
    pub(super) fn open_sample(name: &str) -> Result<Option<Pool>, Failed> {
        match client::create_pool(CPP, name, &[], 1) {
            Err(failure) if failure.status == CHI_NO_MODULE => {
                let note = format!(
                    "chimaera: there is no module {CPP}, so tasks in C++ are not measured: \
                     build/modules of a checkout has it (--modules), and an installation with \
                     -DCHIMAERA_INSTALL_EXAMPLE=ON"
                );
                complain(&note);
                Ok(None)
            }
            _ => Pool::open(CPP, name).map(Some),
        }
    }

    /// The same pool, whose tasks go to one container, on whichever node it is.
    pub(super) fn to_container(self, number: u32) -> Pool {
        Pool { query: chi_domain_query { kind_: CHI_DOMAIN_GLOBAL_ID, value_: number }, ..self }
    }

    /// The id of the pool.
    pub(super) fn id(&self) -> PoolId {
        self.id.into()
    }

    /// Creates a task and submits it.
    #[inline]
    pub(super) fn submit(&self) -> Result<*mut chi_task, Failed> {
        let mut task = std::ptr::null_mut();
        // SAFETY: the table is valid; this function owns the task until it is submitted.
        unsafe {
            check(((*self.ipc).new_task)(self.ipc, 64, &mut task))?;
            (*task).pool_ = self.id;
            (*task).method_ = EMPTY;
            (*task).dom_query_ = self.query;
            check(((*self.ipc).enqueue)(self.ipc, task))?;
        }
        Ok(task)
    }

    /// Waits for a task from `submit` and deletes it.
    #[inline]
    pub(super) fn finish(&self, task: *mut chi_task) -> Result<(), Failed> {
        // SAFETY: the task was submitted and not deleted; after the wait it is complete.
        unsafe {
            check(((*self.ipc).wait)(self.ipc, task, CHI_WAIT_FOREVER))?;
            let status = (*task).status_;
            ((*self.ipc).del_task)(self.ipc, task);
            if status != CHI_OK {
                return Err(Failed::Message(format!("an empty task failed with status {status}")));
            }
        }
        Ok(())
    }
}

/// Creates a pool of the module whose methods compute or call other methods.
pub(super) fn open_bench(name: &str, containers: u32, lanes: u32) -> Result<bench::Client, Failed> {
    bench::Client::create(name, containers, bench::Params { lanes })
        .map_err(|status| no_pool(bench::MODULE, status.code(), status.message()))
}

/// Explains why the pool could not be created. The runtime's own hint does not apply, because the
/// runtime is private.
pub(super) fn no_pool(module: &str, code: chi_status, message: &str) -> Failed {
    Failed::Message(match code {
        CHI_NO_MODULE => format!(
            "this measurement needs the module {module}: name its directory with --modules, or \
             list it in CHI_REPO_PATH"
        ),
        _ => message.to_owned(),
    })
}

fn check(status: chi_status) -> Result<(), Failed> {
    if status == CHI_OK {
        return Ok(());
    }
    // SAFETY: `last_error` returns a C string that is valid until the next call.
    let text: CString = unsafe { CStr::from_ptr(client::last_error()) }.to_owned();
    Err(Failed::Message(text.to_string_lossy().into_owned()))
}
