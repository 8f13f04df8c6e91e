//! The contract means the same everywhere: the tables of an application and of a module's method
//! pass the same conformance suite. The fake table of the SDK's tests runs it, too.

use chimaera::{DomainQuery, NewTask, PoolId};
use chimaera_front::conformance::{check, Subject};
use chimaera_tests::{artefacts, connect, in_client, Options};

const MODULE: &str = "test:rust_conformance";
const QUICK: u32 = 10;
const FAILING: u32 = 11;
const ENDLESS: u32 = 12;
const CHECK: u32 = 13;
const EXTENSIONS: u32 = 14;

/// A task with only a header.
#[chimaera::task]
struct PlainTask;

/// Runs a method of the module in its own daemon, from its own process.
macro_rules! call {
    ($method:expr) => {
        in_client!(Options::new().file(artefacts::rust_conformance()), |_| {
            let ipc = connect();
            let pool = ipc.create_pool(MODULE, "conformance", b"").unwrap();
            let task: NewTask<PlainTask> =
                ipc.new_task(pool, DomainQuery::dynamic(), $method).unwrap();
            task.call().unwrap();
        })
    };
}

#[test]
fn an_applications_table_conforms() {
    in_client!(Options::new().file(artefacts::rust_conformance()), |_| {
        let ipc = connect();
        let pool: PoolId = ipc.create_pool(MODULE, "conformance", b"").unwrap();
        let subject = Subject {
            ipc: ipc.as_raw(),
            pool: pool.to_raw(),
            quick: QUICK,
            failing: FAILING,
            endless: ENDLESS,
        };
        // SAFETY: the table belongs to the process, and any thread may use it.
        unsafe { check(subject) };
    });
}

#[test]
fn the_runtime_has_the_extensions() {
    call!(EXTENSIONS);
}

#[test]
fn a_methods_table_conforms() {
    call!(CHECK);
}
