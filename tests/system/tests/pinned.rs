//! Methods that do not give up their worker: whatever they do, clients are served and the program is
//! answered.

use chimaera::NewTask;
use chimaera_tests::tasks::throws::{self, NumberTask};
use chimaera_tests::{connect, in_client, Call, Options};

/// Nanoseconds for which a method blocks its worker. Long against anything else in these tests.
const BLOCK: u64 = 4_000_000_000;

/// A task that blocks its worker, in a pool of its own.
fn blocking(pool: &str) -> NewTask<NumberTask> {
    let ipc = connect();
    let pool = ipc.create_pool(throws::MODULE, pool, b"").unwrap();
    let task: NewTask<NumberTask> = ipc.task(pool, throws::SLEEP);
    task.value.set(BLOCK);
    task
}

#[test]
fn the_program_is_answered_while_every_worker_is_blocked() {
    in_client!(Options::new().throws().workers(1), |site| {
        let blocked = blocking("blocked").submit().unwrap();
        let pools = site.cli(&["pool", "list", "--json"]).ok().json();
        assert_eq!(pools[1]["name"], "blocked", "{pools}");
        let modules = site.cli(&["modules", "--json"]).ok().json();
        assert_eq!(modules["loaded"][0]["name"], throws::MODULE);
        assert_eq!(site.status()["running"], true);
        assert!(!blocked.is_complete(), "the worker was not blocked all the time");
        drop(blocked.wait().unwrap());
    });
}
