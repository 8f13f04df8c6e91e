//! `chimaera bench scale`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chimaera_bench_client::compute;
use serde_json::json;

use super::clients::Process;
use super::daemon::Daemon;
use super::{allowed_cores, bind, check_core, others, progress, two_cores, Modules};
use crate::{Context, Failed, Outcome};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long a task computes, in microseconds
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    task_us: u64,
    /// Lanes that compute
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=1024))]
    lanes: u32,
    /// Tasks in flight for each lane
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    depth: u32,
    /// Rounds; threads and workers, one and two, take turns in each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    #[command(flatten)]
    modules: Modules,
    /// The cores of the two workers [default: the last two]
    #[arg(long, num_args = 2, value_names = ["FIRST", "SECOND"])]
    cores: Option<Vec<usize>>,
}

/// Rates in tasks per second, of one and of two of a kind.
#[derive(Default)]
struct Rates {
    one: Vec<f64>,
    two: Vec<f64>,
}

fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

impl Rates {
    /// How many times as fast two are as one: the median of the rounds.
    fn speedup(&self) -> f64 {
        let rounds = self.one.iter().zip(&self.two);
        median(&rounds.map(|(one, two)| two / one).collect::<Vec<_>>())
    }
}

/// How many steps take so long here: by the shortest of some runs.
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

/// The same work in bare threads, one on each of these cores: tasks per second.
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
    let load = [
        args.lanes.to_string(),
        steps.to_string(),
        args.depth.to_string(),
        args.seconds.to_string(),
    ];
    let command: Vec<&str> =
        std::iter::once("load").chain(load.iter().map(String::as_str)).collect();
    let [one, two] = &daemons;
    let (mut one, mut two) = (Process::start(one, &command)?, Process::start(two, &command)?);
    let (mut bare, mut workers) = (Rates::default(), Rates::default());
    let measure = |process: &mut Process| {
        process.go()?;
        process.rate()
    };
    // One to wake everything up, and to learn how long the method takes.
    measure(&mut one)?;
    measure(&mut two)?;
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        bare.one.push(threads(&cores[..1], steps, args.seconds)?);
        workers.one.push(measure(&mut one)?);
        bare.two.push(threads(&cores, steps, args.seconds)?);
        workers.two.push(measure(&mut two)?);
    }
    progress("");
    let rows = [("threads", &bare), ("workers", &workers)];
    let mut document = serde_json::Map::new();
    for (name, rates) in rows {
        let rates = json!({
            "one_tasks_per_s": median(&rates.one),
            "two_tasks_per_s": median(&rates.two),
            "speedup": rates.speedup(),
        });
        document.insert(name.into(), rates);
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
         {:<12}{:>12}{:>12}{:>12}\n",
        args.lanes, args.task_us, cores[0], cores[0], cores[1], "", "one", "two", "speedup"
    );
    for (name, rates) in rows {
        text += &format!(
            "{name:<12}{:>12.0}{:>12.0}{:>12.2}\n",
            median(&rates.one),
            median(&rates.two),
            rates.speedup()
        );
    }
    crate::print(&text);
    Ok(())
}
