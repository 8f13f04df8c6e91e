//! `chimaera bench scale`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chimaera_bench_client::compute;
use serde_json::json;

use super::clients::Process;
use super::daemon::Daemon;
use super::setup::{allowed_cores, bind, check_core, others, progress, two_cores, Modules};
use crate::context::{Context, Failed, Outcome};
use crate::number::{number, seconds};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Computing time of a task, in microseconds
    #[arg(long, default_value_t = 50, value_parser = number::<u64>(1..=1_000_000))]
    task_us: u64,
    /// Number of computing lanes
    #[arg(long, default_value_t = 8, value_parser = number::<u32>(2..=1024))]
    lanes: u32,
    /// Tasks in flight for each lane
    #[arg(long, default_value_t = 16, value_parser = number::<u32>(1..=64))]
    depth: u32,
    /// Number of rounds; threads and workers, one and two, alternate in each, and the best round
    /// counts
    #[arg(long, default_value_t = 20, value_parser = number::<u32>(1..=u32::MAX))]
    rounds: u32,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 0.1, value_parser = seconds)]
    seconds: f64,
    #[command(flatten)]
    modules: Modules,
    /// The cores of the two workers [default: the last two]
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"])]
    cores: Option<Vec<usize>>,
}

/// Tasks per second of each round, with one and with two threads or workers.
#[derive(Default)]
struct Rates {
    one: Vec<f64>,
    two: Vec<f64>,
}

impl Rates {
    /// Applies `sum_up` to the rounds with one, and to those with two.
    fn of(&self, sum_up: fn(&[f64]) -> f64) -> Row {
        Row { one: sum_up(&self.one), two: sum_up(&self.two) }
    }
}

/// The maximum: other load on the machine can only lower a rate.
fn best(rates: &[f64]) -> f64 {
    rates.iter().copied().fold(0.0, f64::max)
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A row of the results.
struct Row {
    one: f64,
    two: f64,
}

impl Row {
    /// The throughput of two relative to one.
    fn speedup(&self) -> f64 {
        self.two / self.one
    }
}

/// Runs a client's load. Returns the tasks per second, and what the rate would have been if the
/// workers had never waited for a busy core.
fn load(client: &mut Process, daemon: &Daemon) -> Result<(f64, f64), Failed> {
    let before = daemon.core_time()?;
    client.go()?;
    let rate = client.rate()?;
    let after = daemon.core_time()?;
    let (ran, waited) = (after.ran - before.ran, after.waited - before.waited);
    Ok((rate, rate * (ran + waited) / ran))
}

/// The number of steps that takes `time` on this machine, calibrated by the shortest of several
/// runs.
fn steps_of(time: Duration) -> u64 {
    let probe = 200_000;
    let once = || {
        let begin = Instant::now();
        std::hint::black_box(compute(std::hint::black_box(probe)));
        begin.elapsed().as_nanos()
    };
    let best = (0..20).map(|_| once()).min().unwrap_or(1).max(1);
    ((u128::from(probe) * time.as_nanos() / best) as u64).max(1)
}

/// Does the work of the tasks in bare threads, one per core. Returns tasks per second.
fn threads(cores: &[usize], steps: u64, seconds: f64) -> Result<f64, Failed> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let thread = |core| {
            let over = &over;
            scope.spawn(move || -> rustix::io::Result<f64> {
                bind([core])?;
                let begin = Instant::now();
                let mut done = 0.0;
                while !over.load(Ordering::Relaxed) {
                    std::hint::black_box(compute(std::hint::black_box(steps)));
                    done += 1.0;
                }
                Ok(done / begin.elapsed().as_secs_f64())
            })
        };
        let threads: Vec<_> = cores.iter().map(|&core| thread(core)).collect();
        std::thread::sleep(Duration::from_secs_f64(seconds));
        over.store(true, Ordering::Relaxed);
        let rate = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
        Ok(threads.into_iter().map(rate).sum::<rustix::io::Result<f64>>()?)
    })
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let cores = match (&args.cores, &allowed_cores()?[..]) {
        (Some(given), _) => [check_core(given[0])?, check_core(given[1])?],
        (None, [.., first, second]) => [*first, *second],
        _ => return Err(two_cores()),
    };
    let steps = steps_of(Duration::from_micros(args.task_us));
    let daemons = [
        Daemon::start_pinned(&args.modules, &cores[..1])?,
        Daemon::start_pinned(&args.modules, &cores)?,
    ];
    bind(others(&cores)?)?;
    let numbers = [
        args.lanes.to_string(),
        steps.to_string(),
        args.depth.to_string(),
        args.seconds.to_string(),
    ];
    let command: Vec<&str> =
        std::iter::once("load").chain(numbers.iter().map(String::as_str)).collect();
    let [one, two] = &daemons;
    let (mut one, mut two) = (Process::start(one, &command)?, Process::start(two, &command)?);
    let (mut bare, mut workers) = (Rates::default(), Rates::default());
    let mut free = Rates::default();
    // A warm-up round, which also lets the runtimes learn how long the method takes.
    load(&mut one, &daemons[0])?;
    load(&mut two, &daemons[1])?;
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        bare.one.push(threads(&cores[..1], steps, args.seconds)?);
        let (rate, rate_if_free) = load(&mut one, &daemons[0])?;
        workers.one.push(rate);
        free.one.push(rate_if_free);
        bare.two.push(threads(&cores, steps, args.seconds)?);
        let (rate, rate_if_free) = load(&mut two, &daemons[1])?;
        workers.two.push(rate);
        free.two.push(rate_if_free);
    }
    progress("");
    let rows = [
        ("threads", "threads", bare.of(best)),
        ("workers", "workers", workers.of(best)),
        ("workers_if_free", "workers, cores free", free.of(median)),
    ];
    let mut document = serde_json::Map::new();
    for (key, _, row) in &rows {
        let row = json!({
            "one_tasks_per_s": row.one,
            "two_tasks_per_s": row.two,
            "speedup": row.speedup(),
        });
        document.insert((*key).into(), row);
    }
    document.insert("task_us".into(), json!(args.task_us));
    document.insert("lanes".into(), json!(args.lanes));
    document.insert("rounds".into(), json!(args.rounds));
    document.insert("cores".into(), json!(cores));
    if context.print_json(&document.into()) {
        return Ok(());
    }
    let mut text = format!(
        "{} lanes of tasks that compute for {} µs, on core {} and on cores {} and {}, in tasks/s\n\n\
         {:<22}{:>12}{:>12}{:>12}\n",
        args.lanes, args.task_us, cores[0], cores[0], cores[1], "", "one", "two", "speedup"
    );
    for (_, label, row) in &rows {
        text += &format!("{label:<22}{:>12.0}{:>12.0}{:>12.2}\n", row.one, row.two, row.speedup());
    }
    text += "\nThe best round of each; with cores free: the median round, had no worker waited for a core \
             that something else used.\n";
    crate::context::print(&text);
    Ok(())
}
