//! `chimaera bench subtask`.

use std::time::{Duration, Instant};

use corosensei::{Coroutine, CoroutineResult};
use serde_json::{json, Value};

use super::daemon::Daemon;
use super::setup::{bind, progress, Setup};
use super::task::{open_bench, Pool, RUST};
use super::times::{self, Kind};
use crate::context::{Context, Failed, Outcome};
use crate::number::number;

/// Subtasks and switches are timed in batches of this many, because a single one hardly takes
/// longer than reading the clock.
const BATCH: u64 = 50;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of rounds; the kinds alternate in each
    #[arg(long, default_value_t = 40, value_parser = number::<u32>(1..=u32::MAX))]
    rounds: u32,
    /// Samples of each kind in a round; a sample of subtasks is the mean of 50
    #[arg(long, default_value_t = 500, value_parser = number::<u32>(1..=u32::MAX))]
    count: u32,
    #[command(flatten)]
    setup: Setup,
}

/// A coroutine to switch to and back from.
struct Fiber(Coroutine<(), (), ()>);

impl Fiber {
    fn new() -> Fiber {
        let body = |yielder: &corosensei::Yielder<(), ()>, ()| loop {
            yielder.suspend(());
        };
        Fiber(Coroutine::new(body))
    }

    /// Switches there and back `BATCH` times. Returns the nanoseconds.
    fn switch(&mut self) -> Result<u64, Failed> {
        let begin = Instant::now();
        for _ in 0..BATCH {
            match self.0.resume(()) {
                CoroutineResult::Yield(()) => {}
                CoroutineResult::Return(()) => unreachable!("its body is a loop"),
            }
        }
        Ok(begin.elapsed().as_nanos() as u64)
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let cores = args.setup.cores()?;
    let daemon = Daemon::start(&args.setup.modules, 1, Some(cores.worker))?;
    bind([cores.client])?;
    daemon.connect()?;
    let rust = Pool::open(RUST, "bench_rust")?;
    let mut subtasks = vec![("rust", rust, Kind::new("subtask_rust_ns", "subtask, Rust to Rust")?)];
    if let Some(pool) = Pool::open_sample("bench_cpp")? {
        subtasks.insert(0, ("cpp", pool, Kind::new("subtask_cpp_ns", "subtask, Rust to C++")?));
    }
    let caller = open_bench("bench_caller", 1, 1)?;
    let mut fiber = Fiber::new();
    let mut switch = Kind::new("fiber_ns", "coroutine switch and back")?;
    let mut task = Kind::new("task_rust_ns", "empty task from a client")?;
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        switch.measure_batches(args.count, BATCH, || fiber.switch())?;
        task.measure(args.count, || rust.finish(rust.submit()?))?;
        for (_, pool, kind) in &mut subtasks {
            kind.measure_batches(args.count, BATCH, || Ok(caller.call(pool.id(), BATCH)?))?;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    progress("");
    let mut kinds = vec![&switch, &task];
    kinds.extend(subtasks.iter().map(|(.., kind)| kind));
    let mut document = times::document(&kinds);
    for (name, _, subtask) in &subtasks {
        document.insert(format!("subtask_{name}_per_fiber"), json!(subtask.per(&switch)));
        document.insert(format!("subtask_{name}_per_task"), json!(subtask.per(&task)));
    }
    document.insert("samples".into(), json!(task.len()));
    document.insert("cores".into(), json!([cores.client, cores.worker]));
    if context.print_json(&Value::Object(document)) {
        return Ok(());
    }
    crate::context::print(&format!(
        "on core {}, {} samples of each kind, each the mean of {BATCH}; the client's tasks, from core \
         {}, one by one; in nanoseconds\n\n{}",
        cores.worker,
        task.len(),
        cores.client,
        times::table(&kinds, &[("per switch", &switch), ("per task", &task)])
    ));
    Ok(())
}
