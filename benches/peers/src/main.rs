//! Measures Chimaera beside others that pass messages between processes: the same round trip, in turns, on the same two
//! cores, each configured as its authors would.

mod chimaera_side;
mod floor;
mod grpc;
mod iceoryx;
mod measure;
mod pipes;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::chimaera_side::Access;
use crate::measure::{Cores, Group, Plan};

/// A failure, as text.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Measures Chimaera beside others that pass messages between processes
#[derive(Parser)]
struct Args {
    /// The program `chimaera`
    #[arg(long, default_value = "target/release/chimaera")]
    program: PathBuf,
    /// The directory with its modules
    #[arg(long, default_value = "build/modules")]
    modules: PathBuf,
    /// The cores of the callers and of those that answer
    #[arg(long, num_args = 2, value_names = ["CALLER", "ANSWERER"], default_values_t = [0, 1])]
    cores: Vec<usize>,
    /// How many rounds; in each, all are measured in turns
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Less of everything, for a first look: under three minutes
    #[arg(long)]
    quick: bool,
    /// Write what was measured to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("peers: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let cores = Cores { caller: args.cores[0], answerer: args.cores[1] };
    measure::check_quiet(cores)?;
    let rounds = if args.quick { 5 } else { args.rounds };
    iceoryx2::prelude::set_log_level(iceoryx2::prelude::LogLevel::Error);
    // Those that answer are forked before this process has threads.
    let line = floor::Line::start(cores)?;
    let ring = floor::Ring::start(cores)?;
    let futex = floor::Futex::start(cores)?;
    let eventfd = pipes::EventFd::start(cores)?;
    let pipe = pipes::Pipe::start(cores)?;
    let socket = pipes::SeqPacket::start(cores)?;
    let channel = pipes::Channel::start(cores)?;
    let shared = iceoryx::RequestResponse::start(cores)?;
    let event = iceoryx::Event::start(cores)?;
    let grpc = grpc::Grpc::start(cores)?;
    let redis = store::Redis::start(cores)?;
    let daemon = chimaera_side::Daemon::start(&args.program, &args.modules, cores)?;
    measure::bind(cores.caller)?;
    daemon.connect()?;
    let threads = pipes::Threads::start(cores)?;

    let mut groups = Vec::new();
    let mut awake = Group::new(
        "awake",
        "a round trip while both sides look for work",
        Plan { rounds, calls: if args.quick { 5_000 } else { 20_000 }, pause: Duration::ZERO },
    );
    awake.floor("bare ring", ring);
    awake.add("cache line", line);
    awake.add("Chimaera, C++ container", daemon.empty("example:empty")?);
    awake.add("Chimaera, Rust container", daemon.empty("chimaera:empty")?);
    awake.add("iceoryx2, request and response", shared);
    awake.add("crossbeam channel, two threads", threads);
    keep(&mut groups, awake.measure()?);

    let mut sleeping = Group::new(
        "asleep",
        "a round trip of those that sleep while they wait; Chimaera looks for 20 us first",
        Plan { rounds, calls: if args.quick { 1_000 } else { 4_000 }, pause: Duration::ZERO },
    );
    sleeping.floor("futex", futex);
    sleeping.add("Chimaera, C++ container", daemon.empty("example:empty")?);
    sleeping.add("eventfd", eventfd);
    sleeping.add("pipe", pipe);
    sleeping.add("seqpacket socket", socket);
    sleeping.add("ipc-channel", channel);
    sleeping.add("iceoryx2, event", event);
    sleeping.add("gRPC (tonic), Unix socket", grpc);
    let mut sleeping = sleeping.measure_and_keep()?;
    keep(&mut groups, sleeping.result());

    for (name, pause, calls) in [
        ("woken after 100 us", Duration::from_micros(100), 500),
        ("woken after 2 ms", Duration::from_millis(2), 100),
        ("woken after 100 ms", Duration::from_millis(100), 3),
    ] {
        let calls = if args.quick { (calls / 4).max(1) } else { calls };
        sleeping.again(
            name,
            "a round trip after a pause of both sides",
            Plan { rounds, calls, pause },
        )?;
        keep(&mut groups, sleeping.result());
    }

    for (name, bytes, calls) in
        [("100 B", 100, 4000), ("4 KiB", 4096, 4000), ("1 MiB", 1 << 20, 100)]
    {
        let calls = if args.quick { calls / 4 } else { calls };
        let plan = Plan { rounds, calls, pause: Duration::ZERO };
        for (is_put, what) in [(true, "put"), (false, "get")] {
            let mut group = Group::new(
                &format!("{what} of {name}"),
                "a value into a key-value store, or out of it",
                plan,
            );
            group.floor("memcpy", store::Memcpy::new(bytes));
            let access = if is_put { Access::Put } else { Access::Get };
            group.add("Chimaera, kv", daemon.store(bytes, access)?);
            if is_put {
                let from = Access::PutBuffer;
                group.add("Chimaera, kv, from a buffer", daemon.store(bytes, from)?);
            }
            if !is_put && bytes >= 1024 {
                group.add("Chimaera, kv, on lease", daemon.store(bytes, Access::Lease)?);
            }
            group.add("redis, Unix socket", redis.client(bytes, is_put)?);
            keep(&mut groups, group.measure()?);
        }
    }
    if let Some(path) = &args.json {
        let all: Vec<_> = groups.iter().map(measure::Measured::json).collect();
        let document = serde_json::json!({ "machine": measure::machine(), "groups": all });
        std::fs::write(path, format!("{document:#}\n"))?;
    }
    Ok(())
}

/// Shows what was measured, and keeps it.
fn keep(groups: &mut Vec<measure::Measured>, group: measure::Measured) {
    print!("{}", group.text());
    groups.push(group);
}
