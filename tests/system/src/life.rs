//! Calls of the module `test:life`, in either language.

use chimaera::{DomainQuery, Done, Ipc, NewTask, Pending, PoolId};
use chimaera_test_life_client::{self as life, CheckTask, KeyTask, ValueTask};

use crate::{process, Call, Site};

/// A pool of the module.
#[derive(Clone, Copy)]
pub struct LifePool {
    /// The connection through which it is called.
    pub ipc: Ipc,
    /// The pool.
    pub id: PoolId,
}

impl LifePool {
    /// Creates the pool `life`.
    #[track_caller]
    pub fn new(ipc: Ipc, params: &str) -> LifePool {
        LifePool { ipc, id: ipc.create_pool(life::MODULE, "life", params.as_bytes()).unwrap() }
    }

    /// A task about an entry.
    pub fn key(self, method: u32, key: &str, value: u64, ms: u64) -> NewTask<KeyTask> {
        let task: NewTask<KeyTask> = self.ipc.task(self.id, method);
        task.key.set(key).unwrap();
        task.value.set(value);
        task.ms.set(ms);
        task
    }

    /// A task with a number.
    pub fn value(self, method: u32, value: u64, ms: u64) -> NewTask<ValueTask> {
        let task: NewTask<ValueTask> = self.ipc.task(self.id, method);
        task.value.set(value);
        task.ms.set(ms);
        task
    }

    /// Adds to an entry. Returns the sum of all additions.
    #[track_caller]
    pub fn add(self, key: &str, value: u64) -> u64 {
        self.try_add(key, value).unwrap()
    }

    /// The same, for a task that may fail.
    pub fn try_add(self, key: &str, value: u64) -> Result<u64, chimaera::Status> {
        self.key(life::ADD, key, value, 0).call().map(|task| task.count.get())
    }

    /// Gives the container a blob of this size.
    #[track_caller]
    pub fn grow(self, bytes: u64) {
        self.value(life::GROW, bytes, 0).call().unwrap();
    }

    /// Makes the container fail in this way: a [`life::Fail`].
    #[track_caller]
    pub fn fail(self, fail: u64) {
        self.value(life::FAIL, fail, 0).call().unwrap();
    }

    /// Submits a task that sleeps. The pool has it when this returns: what is asked of the runtime on
    /// another way does not overtake it.
    #[track_caller]
    pub fn submit_slow(self, site: &Site, ms: u64) -> Pending<KeyTask> {
        let slow = self.key(life::SLOW, "slow", 1, ms).submit().unwrap();
        process::until("the pool has the task", || {
            (site.pool("life")["tasks"].as_u64()? > 0).then_some(())
        });
        slow
    }

    /// What `kCheck` of a container says.
    #[track_caller]
    pub fn check(self, container: u32) -> Done<CheckTask> {
        let query = DomainQuery::local_id(container);
        let task: NewTask<CheckTask> = self.ipc.new_task(self.id, query, life::CHECK).unwrap();
        task.call().unwrap()
    }
}
