//! Estimates of how long a task will run, from the measured run times of others.

use chimaera::submit_all;
use chimaera_tests::tasks::model;
use chimaera_tests::{connect, in_client, Options, ValuePool};

const MS: u64 = 1_000_000;

/// Whether a short task of the pool overtakes one that was submitted before it and computes for 20
/// ms. It does if that one is expected to take long.
fn overtakes(pool: ValuePool) -> bool {
    let tasks = [pool.task(model::COMPUTE, 20 * MS, 0), pool.task(model::TICKS, 0, 0)];
    let mut tasks = submit_all(tasks.into()).unwrap().into_iter();
    let (long, short) = (tasks.next().unwrap(), tasks.next().unwrap());
    short.wait().unwrap();
    let is_over = long.is_complete();
    long.wait().unwrap();
    !is_over
}

/// The run times of a method are measured for each pool: pools of one module have different data.
#[test]
fn pools_of_one_module_have_estimates_of_their_own() {
    let config = "workers: {low_latency: {count: 1}, standby: 0}\n";
    in_client!(Options::new().model().config(config), |_| {
        let ipc = connect();
        let slow = ValuePool::new(ipc, model::MODULE, "slow");
        (0..50).for_each(|_| _ = slow.call(model::COMPUTE, MS, 0));
        // A pool without measurements knows nothing of the slow one's, so its tasks run in order.
        for round in 0..20 {
            let new = ValuePool::new(ipc, model::MODULE, &format!("new {round}"));
            assert!(!overtakes(new), "round {round}: a new pool expects its task to take long");
        }
        // However short the tasks of another pool are, the slow one expects its own to take long.
        let fast = ValuePool::new(ipc, model::MODULE, "fast");
        let overtaken = (0..20).filter(|_| {
            (0..2000).for_each(|_| _ = fast.call(model::COMPUTE, 0, 0));
            overtakes(slow)
        });
        assert!(overtaken.count() > 0, "the slow pool expects its tasks to be short");
    });
}
