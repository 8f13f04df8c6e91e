//! `chimaera bench`: what a task costs, beside what the machine itself costs.

mod bdev;
mod clients;
mod daemon;
mod device;
mod fairness;
mod floor;
mod lanes;
mod latency;
mod scale;
mod subtask;
mod task;
mod throughput;
mod times;

use std::path::PathBuf;

use crate::{Context, Failed, Outcome};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Measure the round trip of an empty task, beside a bounced cache line and a bare ring
    Latency(Latency),
    /// Measure tasks per second at several depths, with one and several client processes
    Throughput(Throughput),
    /// Measure the round trip of a subtask between containers, beside a bare coroutine switch and an
    /// empty task from a client
    Subtask(subtask::Args),
    /// Measure an empty task with and without many idle containers and lanes beside it
    Lanes(lanes::Args),
    /// Measure computing lanes on one worker and on two, beside the same work in bare threads
    Scale(scale::Args),
    /// Measure clients with one task at a time, alone and beside a client that floods the runtime
    Fairness(fairness::Args),
    /// Measure a block device with reads and writes in flight, in a file, or in memory beside memcpy
    Bdev(bdev::Args),
    /// The other process of the floor measurements
    #[command(hide = true)]
    Peer(floor::PeerArgs),
    /// A client process with tasks in flight
    #[command(hide = true)]
    Client(clients::ClientArgs),
    /// A client process with one task at a time
    #[command(hide = true)]
    Probe(clients::ProbeArgs),
    /// A client process that has lanes compute
    #[command(hide = true)]
    Load(clients::LoadArgs),
    /// A client process that has a method call another
    #[command(hide = true)]
    Caller(clients::CallerArgs),
}

#[derive(clap::Args)]
pub(crate) struct Latency {
    /// Number of rounds; the kinds take turns in each
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Round trips of each kind in a round
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
pub(crate) struct Throughput {
    /// Tasks in flight at a time; can be repeated
    #[arg(long = "depth", value_name = "N", default_values_t = [1, 16, 64],
          value_parser = clap::value_parser!(u32).range(1..=512))]
    depths: Vec<u32>,
    /// Client processes at a time; can be repeated
    #[arg(long = "clients", value_name = "N", default_values_t = [1, 2, 4],
          value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: Vec<u32>,
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// The module to measure
    #[arg(long, default_value = task::RUST)]
    module: String,
    /// Number of the runtime's workers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
struct Modules {
    /// A directory with the modules example:empty, chimaera:empty, chimaera:bench and chimaera:bdev,
    /// scanned before those of CHI_REPO_PATH; can be repeated
    #[arg(long = "modules", value_name = "DIR")]
    directories: Vec<PathBuf>,
}

#[derive(clap::Args)]
struct Place {
    #[command(flatten)]
    modules: Modules,
    /// The cores of the client and of the runtime's worker
    #[arg(long, num_args = 2, value_names = ["CLIENT", "WORKER"])]
    cores: Option<Vec<usize>>,
}

/// The two cores of a measurement.
#[derive(Clone, Copy)]
struct Cores {
    client: usize,
    worker: usize,
}

impl Place {
    fn cores(&self) -> Result<Cores, Failed> {
        let [client, worker] = match &self.cores {
            Some(given) => [check_core(given[0])?, check_core(given[1])?],
            None => match allowed_cores()?[..] {
                [client, worker, ..] => [client, worker],
                _ => return Err(two_cores()),
            },
        };
        Ok(Cores { client, worker })
    }
}

fn two_cores() -> Failed {
    Failed::Message("this measurement needs two cores".into())
}

/// The cores that this process may use.
fn allowed_cores() -> Result<Vec<usize>, Failed> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect())
}

/// A core that was given, when this process may use it.
fn check_core(given: usize) -> Result<usize, Failed> {
    let cores = allowed_cores()?;
    match cores.contains(&given) {
        true => Ok(given),
        false => Err(Failed::Message(format!(
            "this process may not use core {given}; it may use {cores:?}"
        ))),
    }
}

/// The cores that this process may use besides these; all, when there are no others.
fn others(these: &[usize]) -> Result<Vec<usize>, Failed> {
    let cores = allowed_cores()?;
    let others: Vec<usize> = cores.iter().copied().filter(|core| !these.contains(core)).collect();
    Ok(if others.is_empty() { cores } else { others })
}

/// Binds the calling thread, and the processes that it starts, to cores.
fn bind(cores: impl IntoIterator<Item = usize>) -> rustix::io::Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    cores.into_iter().for_each(|core| set.set(core));
    rustix::thread::sched_setaffinity(None, &set)
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Latency(args) => latency::run(context, &args),
        Command::Throughput(args) => throughput::run(context, &args),
        Command::Subtask(args) => subtask::run(context, &args),
        Command::Lanes(args) => lanes::run(context, &args),
        Command::Scale(args) => scale::run(context, &args),
        Command::Fairness(args) => fairness::run(context, &args),
        Command::Bdev(args) => bdev::run(context, &args),
        Command::Peer(args) => floor::serve(&args),
        Command::Client(args) => clients::client(context, &args),
        Command::Probe(args) => clients::probe(context, &args),
        Command::Load(args) => clients::load(context, &args),
        Command::Caller(args) => clients::caller(context, &args),
    }
}

/// A line of progress on a terminal.
fn progress(text: &str) {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}
