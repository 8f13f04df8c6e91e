//! `chimaera bench`: what a task costs, beside what the machine itself costs.

mod bdev;
mod clients;
mod daemon;
mod device;
mod fairness;
mod floor;
mod lanes;
mod latency;
mod place;
mod scale;
mod subtask;
mod task;
mod throughput;
mod times;

use crate::context::{Context, Outcome};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Measure the round trip of an empty task, beside a bounced cache line and a bare ring
    Latency(latency::Args),
    /// Measure tasks per second at several depths, with one and several client processes
    Throughput(throughput::Args),
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
