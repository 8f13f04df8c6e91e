//! `chimaera bench`: what a task costs, beside what the machine itself costs.

mod daemon;
mod floor;
mod latency;
mod task;
mod throughput;

use std::path::PathBuf;

use crate::{Context, Failed, Outcome};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Measure an empty task there and back, beside a bounced cache line and a bare ring
    Latency(Latency),
    /// Measure tasks per second at several depths, with one and with several client processes
    Throughput(Throughput),
    /// The other process of the floor measurements
    #[command(hide = true)]
    Peer(floor::PeerArgs),
    /// One client process of the throughput measurement
    #[command(hide = true)]
    Client(throughput::ClientArgs),
}

#[derive(clap::Args)]
pub(crate) struct Latency {
    /// Rounds; the kinds take turns in each
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
    /// Tasks in flight at a time; may be given several times
    #[arg(long = "depth", value_name = "N", default_values_t = [1, 16, 64],
          value_parser = clap::value_parser!(u32).range(1..=512))]
    depths: Vec<u32>,
    /// Client processes at a time; may be given several times
    #[arg(long = "clients", value_name = "N", default_values_t = [1, 2, 4],
          value_parser = clap::value_parser!(u32).range(1..=256))]
    clients: Vec<u32>,
    /// How long each measurement takes, in seconds
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// The module to measure
    #[arg(long, default_value = task::RUST)]
    module: String,
    /// The runtime's workers
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    #[command(flatten)]
    place: Place,
}

#[derive(clap::Args)]
struct Place {
    /// A directory with the modules example:empty and chimaera:empty, before those of CHI_REPO_PATH;
    /// may be given several times
    #[arg(long = "modules", value_name = "DIR")]
    modules: Vec<PathBuf>,
    /// The core of the client, and the core of the runtime's worker
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
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let cores: Vec<usize> =
            (0..rustix::thread::CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core)).collect();
        if let Some(given) = &self.cores {
            if let Some(absent) = given.iter().find(|core| !cores.contains(core)) {
                return Err(Failed::Message(format!(
                    "this process may not use core {absent}; it may use {cores:?}"
                )));
            }
            return Ok(Cores { client: given[0], worker: given[1] });
        }
        match cores[..] {
            [client, worker, ..] => Ok(Cores { client, worker }),
            _ => Err(Failed::Message("the measurement needs two cores".into())),
        }
    }
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
        Command::Peer(args) => floor::serve(&args),
        Command::Client(args) => throughput::client(context, &args),
    }
}

/// A line of progress on a terminal.
fn progress(text: &str) {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[K{text}");
    }
}
