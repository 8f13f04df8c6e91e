//! The container of `test:rust_model`, a module whose methods wait, compute, call themselves and fail, to
//! see what the runtime makes of tasks that do.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_CANCELLED, CHI_FAILED};
use chimaera::module::{CoMutex, Init, Lane, MonitorContext, MonitorMode, Queue, RunContext};
use chimaera::{submit_all, wait_all, DomainQuery, NewTask, PoolId, Result, Status};
use chimaera_test_model_client::{self as model, ValueTask, LANES, LATE_LANES};

/// The container.
pub struct Runtime {
    queue: Queue,
    ticks: AtomicU64,
    lock: CoMutex<()>,
}

/// A lane of each pool there ever was.
static LANES_OF_ALL: Mutex<Vec<Lane>> = Mutex::new(Vec::new());

/// Deeper than any stack; not to be made a loop by the compiler.
#[inline(never)]
fn recurse(above: &[u64; 64]) -> u64 {
    let here = black_box([above[0] + 1; 64]);
    match here[0] < 1 << 30 {
        true => recurse(&here) + here[0],
        false => 0,
    }
}

/// A task that does not exist yet, for a method of a pool.
fn task(pool: PoolId, method: u32, value: u64) -> Result<NewTask<ValueTask>> {
    let task: NewTask<ValueTask> =
        chimaera::ipc()?.new_task(pool, DomainQuery::dynamic(), method)?;
    task.value.set(value);
    Ok(task)
}

impl Runtime {
    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn choose_lane(&self, mode: MonitorMode, task: &ValueTask, ctx: &mut MonitorContext<'_>) {
        let width = task.width.get();
        if mode == MonitorMode::LocalSchedule && width != 0 {
            ctx.set_lane(self.queue.lane_by_hash(width as u32 - 1));
        }
    }
}

#[chimaera::container(name = "test:rust_model")]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>) -> Result<Self> {
        let queue = init.create_queue(0, LANES)?;
        init.create_high_latency_queue(1, LATE_LANES)?;
        LANES_OF_ALL.lock().map_err(|_| Status::failed("poisoned"))?.push(queue.lane(0));
        Ok(Runtime { queue, ticks: AtomicU64::new(0), lock: CoMutex::default() })
    }

    #[method(model::SLEEP, name = "kSleep")]
    fn sleep(&self, task: &ValueTask, ctx: &RunContext<'_>) -> Result<()> {
        ctx.sleep(Duration::from_nanos(task.value.get()))
    }

    #[method(model::COMPUTE, name = "kCompute")]
    fn compute(&self, task: &ValueTask, ctx: &RunContext<'_>) {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_nanos(task.value.get()) {
            std::hint::spin_loop();
        }
        task.result.set(ctx.worker_id().into());
    }

    #[method(model::TICK, name = "kTick")]
    fn count_tick(&self, task: &ValueTask, ctx: &RunContext<'_>) -> Result<()> {
        if task.value.get() != 0 {
            ctx.sleep(Duration::from_nanos(task.value.get()))?;
        }
        task.result.set(self.tick());
        Ok(())
    }

    #[method(model::TICKS, name = "kTicks")]
    fn ticks(&self, task: &ValueTask) {
        task.result.set(self.ticks.load(Ordering::Relaxed));
    }

    #[method(model::TREE, name = "kTree")]
    fn tree(&self, call: &ValueTask, ctx: &RunContext<'_>) -> Result<()> {
        if call.value.get() == 0 {
            call.result.set(1);
            return Ok(());
        }
        let subtasks: Result<Vec<_>> = (0..call.width.get())
            .map(|_| {
                let sub = task(ctx.pool_id(), model::TREE, call.value.get() - 1)?;
                sub.width.set(call.width.get());
                Ok(sub)
            })
            .collect();
        for subtask in wait_all(submit_all(subtasks?)?) {
            call.result.set(call.result.get() + subtask?.result.get());
        }
        Ok(())
    }

    #[method(model::ASK, name = "kAsk")]
    fn ask(&self, _: &ValueTask, ctx: &RunContext<'_>) -> Result<()> {
        while !ctx.is_cancelled() {
            std::hint::spin_loop();
        }
        Err(Status::new(CHI_CANCELLED, "it asked"))
    }

    #[method(model::OVERFLOW, name = "kOverflow")]
    fn overflow(&self, task: &ValueTask) {
        task.result.set(recurse(&[0; 64]));
    }

    #[method(model::CALL, name = "kCall")]
    fn call(&self, call: &ValueTask) -> Result<()> {
        let method = match call.width.get() {
            0 => model::SLEEP,
            method => method as u32,
        };
        task(call.other.get(), method, call.value.get())?.call().map(drop)
    }

    #[method(model::MONITORED, name = "kMonitored")]
    fn monitored(&self, _: &ValueTask) {}

    #[method(model::FAIL, name = "kFail")]
    fn fail(&self, task: &ValueTask) -> Result<()> {
        match self.tick() >= task.value.get() {
            true => Err(Status::new(CHI_FAILED, "the last tick")),
            false => Ok(()),
        }
    }

    #[method(model::YIELD, name = "kYield")]
    fn yield_often(&self, task: &ValueTask, ctx: &RunContext<'_>) -> Result<()> {
        (0..task.value.get()).try_for_each(|_| ctx.yield_now())
    }

    #[method(model::LOCK, name = "kLock")]
    fn hold(&self, task: &ValueTask, ctx: &RunContext<'_>) -> Result<()> {
        let _guard = self.lock.lock()?;
        task.result.set(self.tick());
        ctx.sleep(Duration::from_nanos(task.value.get()))
    }

    #[method(model::LOG, name = "kLog")]
    fn log(&self, _: &ValueTask) {
        chimaera::log_info!("a line");
    }

    #[method(model::SPREAD, name = "kSpread")]
    fn spread(&self, call: &ValueTask) -> Result<()> {
        let ipc = chimaera::ipc()?;
        let subtasks: Result<Vec<_>> = (1..=call.width.get())
            .map(|number| task(ipc.find_pool(&model::numbered(number))?, model::YIELD, u64::MAX))
            .collect();
        wait_all(submit_all(subtasks?)?).into_iter().try_for_each(|done| done.map(drop))
    }

    #[monitor(model::MONITORED)]
    fn judge(&self, mode: MonitorMode, task: &ValueTask, ctx: &mut MonitorContext<'_>) {
        match mode {
            MonitorMode::EstimateLoad => {
                ctx.set_estimate(Duration::from_nanos(task.width.get()));
            }
            MonitorMode::LocalSchedule if task.value.get() == 3 => {
                ctx.set_lane(self.queue.lane_by_hash(task.width.get() as u32));
            }
            MonitorMode::LocalSchedule if task.value.get() == 2 => {
                let all = LANES_OF_ALL.lock().expect("nothing panics with it");
                let other = all.iter().find(|lane| **lane != self.queue.lane(0)).copied();
                drop(all);
                ctx.set_lane(other.expect("another pool has been made"));
            }
            MonitorMode::LocalSchedule if task.value.get() == 4 => {
                task.result.set(recurse(&[0; 64]));
            }
            MonitorMode::LocalSchedule if task.value.get() == 5 => {
                let slept = chimaera::ipc().and_then(|ipc| ipc.sleep(Duration::from_micros(1)));
                slept.expect("it waits");
            }
            MonitorMode::LocalSchedule if task.value.get() == 6 => {
                ctx.set_lane(self.queue.lane(99_999));
            }
            MonitorMode::LocalSchedule => assert!(task.value.get() != 1, "the monitor throws"),
            _ => {}
        }
    }

    #[monitor(model::SLEEP)]
    fn place_sleep(&self, mode: MonitorMode, task: &ValueTask, ctx: &mut MonitorContext<'_>) {
        self.choose_lane(mode, task, ctx);
    }

    #[monitor(model::COMPUTE)]
    fn place_compute(&self, mode: MonitorMode, task: &ValueTask, ctx: &mut MonitorContext<'_>) {
        self.choose_lane(mode, task, ctx);
    }

    #[monitor(model::TICK)]
    fn place_tick(&self, mode: MonitorMode, task: &ValueTask, ctx: &mut MonitorContext<'_>) {
        self.choose_lane(mode, task, ctx);
    }

    #[monitor(model::ASK)]
    fn place_ask(&self, mode: MonitorMode, task: &ValueTask, ctx: &mut MonitorContext<'_>) {
        self.choose_lane(mode, task, ctx);
    }
}
