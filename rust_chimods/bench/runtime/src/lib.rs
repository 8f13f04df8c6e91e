//! The container of `chimaera:bench`.

#![warn(clippy::dbg_macro, clippy::print_stderr, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../../autogen/bench_lib_exec.rs"]
mod lib_exec;

use std::time::Instant;

use chimaera::module::{Init, MonitorContext, MonitorMode, Queue};
use chimaera::{PoolId, Result};
use chimaera_bench_client::{compute, CallTask, ComputeTask, Method, Params};

/// The container: its lanes.
pub struct Runtime {
    lanes: Queue,
}

#[chimaera::container(name = "chimaera:bench")]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>, params: Params) -> Result<Self> {
        Ok(Runtime { lanes: init.create_queue(0, params.lanes)? })
    }

    #[method(Method::CALL, name = "kCall")]
    fn call(&self, task: &CallTask) -> Result<()> {
        let callee = PoolId::new(task.major.get(), task.minor.get());
        let callee = chimaera_empty_client::Client::from_pool(callee);
        let begin = Instant::now();
        for _ in 0..task.count.get() {
            callee.empty()?;
        }
        task.ns.set(begin.elapsed().as_nanos() as u64);
        Ok(())
    }

    #[method(Method::COMPUTE, name = "kCompute")]
    fn compute(&self, task: &ComputeTask) {
        task.result.set(compute(task.steps.get()));
    }

    #[monitor(Method::COMPUTE)]
    fn place_compute(&self, mode: MonitorMode, task: &ComputeTask, ctx: &mut MonitorContext<'_>) {
        if mode == MonitorMode::LocalSchedule {
            let lane = task.lane.get() as usize % self.lanes.len();
            ctx.set_lane(self.lanes.lane(lane));
        }
    }
}
