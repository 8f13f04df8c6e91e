//! `chimaera bench`: the cost of a task, compared with that of operations of the bare machine.

mod bdev;
mod busy;
mod clients;
mod daemon;
mod device;
mod fairness;
mod floor;
mod hosts;
mod lanes;
mod latency;
mod pair;
mod relay;
mod remote;
mod scale;
mod sessions;
mod setup;
mod subtask;
mod task;
mod tcp;
mod throughput;
mod times;

use crate::context::{Context, Outcome};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Measure the round trip of an empty task, compared with a bounced cache line and a bare ring
    Latency(latency::Args),
    /// Measure tasks per second at several depths, with one or more client processes
    Throughput(throughput::Args),
    /// Measure the round trip of a subtask between containers, compared with a bare coroutine
    /// switch and an empty task from a client
    Subtask(subtask::Args),
    /// Measure an empty task with and without many idle containers and lanes
    Lanes(lanes::Args),
    /// Measure an empty task with and without many idle sessions
    Sessions(sessions::Args),
    /// Measure computing lanes on one worker and on two, compared with the same work in bare
    /// threads
    Scale(scale::Args),
    /// Measure clients with one task in flight, alone and while another client floods the runtime
    Fairness(fairness::Args),
    /// Measure a block device with several accesses in flight, in a file or, compared with memcpy,
    /// in memory
    Bdev(bdev::Args),
    /// Measure an empty task in a module host, a process of its own, compared with one in the
    /// runtime, with a bare ring, and with one through a third process
    Hosts(hosts::Args),
    /// Measure empty tasks and large values on another node, compared with those on one's own and with bare TCP
    Remote(remote::Args),
    /// The peer process of the floor measurements
    #[command(hide = true)]
    Peer(floor::PeerArgs),
    /// A process that passes entries on, or sends them back
    #[command(hide = true)]
    Relay(relay::RelayArgs),
    /// A process at an end of a bare connection
    #[command(hide = true)]
    Tcp(tcp::TcpArgs),
    /// A client process that keeps tasks in flight
    #[command(hide = true)]
    Client(clients::ClientArgs),
    /// A client process that makes one call, and then is idle
    #[command(hide = true)]
    Idle(sessions::IdleArgs),
    /// A client process with one task in flight
    #[command(hide = true)]
    Probe(clients::ProbeArgs),
    /// A client process that keeps lanes computing
    #[command(hide = true)]
    Load(clients::LoadArgs),
    /// A client process in which one method calls another
    #[command(hide = true)]
    Caller(clients::CallerArgs),
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::Latency(args) => latency::run(context, &args),
        Command::Throughput(args) => throughput::run(context, &args),
        Command::Subtask(args) => subtask::run(context, &args),
        Command::Lanes(args) => lanes::run(context, &args),
        Command::Sessions(args) => sessions::run(context, &args),
        Command::Idle(args) => sessions::idle(context, &args),
        Command::Scale(args) => scale::run(context, &args),
        Command::Fairness(args) => fairness::run(context, &args),
        Command::Bdev(args) => bdev::run(context, &args),
        Command::Hosts(args) => hosts::run(context, &args),
        Command::Remote(args) => remote::run(context, &args),
        Command::Peer(args) => floor::serve(&args),
        Command::Relay(args) => relay::serve(&args),
        Command::Tcp(args) => tcp::serve(&args),
        Command::Client(args) => clients::client(context, &args),
        Command::Probe(args) => clients::probe(context, &args),
        Command::Load(args) => clients::load(context, &args),
        Command::Caller(args) => clients::caller(context, &args),
    }
}
