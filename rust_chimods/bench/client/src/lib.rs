//! The client of `chimaera:bench`, the module that `chimaera bench` measures with: methods that call
//! other methods, and methods that keep a worker busy.

#[path = "../../autogen/bench_methods.rs"]
mod methods;

use std::cell::Cell;

pub use methods::Method;

use chimaera::archive::params_to_bytes;
use chimaera::{DomainQuery, NewTask, Pending, PoolId, PoolOptions, PoolParams, Result, Serialize};

/// The module's name.
pub const MODULE: &str = "chimaera:bench";

/// The parameters of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, PoolParams)]
pub struct Params {
    /// Number of lanes of each container.
    pub lanes: u32,
}

impl Default for Params {
    fn default() -> Self {
        Params { lanes: 1 }
    }
}

/// `kCall`: calls the method `kEmpty` of another pool.
#[chimaera::task]
pub struct CallTask {
    /// In: the first part of the pool's id. Its module is `chimaera:empty` or `example:empty`.
    pub major: Cell<u32>,
    /// In: the second part of the pool's id.
    pub minor: Cell<u32>,
    /// In: number of calls, one after the other.
    pub count: Cell<u64>,
    /// Out: nanoseconds for all of them.
    pub ns: Cell<u64>,
}

/// `kCompute`: computes.
#[chimaera::task]
pub struct ComputeTask {
    /// In: the lane, modulo the container's lanes.
    pub lane: Cell<u32>,
    reserved: u32,
    /// In: number of steps of [`compute`].
    pub steps: Cell<u64>,
    /// Out: the result.
    pub result: Cell<u64>,
}

/// Computes `steps` steps of a few cycles each, which depend on each other and use no memory: two
/// workers on two cores do this work in half the time of one.
///
/// ```
/// use chimaera_bench_client::compute;
///
/// assert_eq!(compute(0), 0);
/// assert_ne!(compute(1), compute(2));
/// ```
#[inline(never)]
pub fn compute(steps: u64) -> u64 {
    let step = |state: u64, n: u64| (state ^ n).wrapping_mul(0x5851_f42d_4c95_7f2d).rotate_left(17);
    (1..=steps).fold(0, step)
}

/// A pool of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
}

impl Client {
    /// Creates a pool with `containers` containers, or finds it if it exists. Errors: those of
    /// `Ipc::create_pool_with`.
    pub fn create(name: &str, containers: u32, params: Params) -> Result<Self> {
        let params = params_to_bytes(&params)?;
        let options = PoolOptions::default().containers(containers);
        let pool_id = chimaera::ipc()?.create_pool_with(MODULE, name, &params, options)?;
        Ok(Client { pool_id })
    }

    /// A client for an existing pool with this id.
    pub fn from_pool(pool_id: PoolId) -> Self {
        Client { pool_id }
    }

    /// The id of the pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }

    /// Has a method call `count` empty tasks of the pool `callee`. Returns the nanoseconds.
    pub fn call(&self, callee: PoolId, count: u64) -> Result<u64> {
        let task: NewTask<CallTask> =
            chimaera::ipc()?.new_task(self.pool_id, DomainQuery::dynamic(), Method::CALL)?;
        task.major.set(callee.major());
        task.minor.set(callee.minor());
        task.count.set(count);
        Ok(task.call()?.ns.get())
    }

    /// Submits a computation to a lane of a container.
    pub fn compute_async(
        &self,
        container: u32,
        lane: u32,
        steps: u64,
    ) -> Result<Pending<ComputeTask>> {
        let query = DomainQuery::local_id(container);
        let task: NewTask<ComputeTask> =
            chimaera::ipc()?.new_task(self.pool_id, query, Method::COMPUTE)?;
        task.lane.set(lane);
        task.steps.set(steps);
        task.submit()
    }
}
