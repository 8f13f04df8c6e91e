//! `chimaera bench hosts`.

use std::time::Duration;

use chimaera_abi::CHI_POOL_ISOLATED;
use serde_json::{json, Value};

use super::busy::Busy;
use super::daemon::Daemon;
use super::floor::Peer;
use super::relay::Relay;
use super::setup::{allowed_cores, bind, progress, Setup};
use super::task::{Pool, RUST};
use super::times::{self, Kind, WARM_UP};
use crate::context::{Context, Outcome};
use crate::number::number;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of rounds; the kinds alternate in each
    #[arg(long, default_value_t = 20, value_parser = number::<u32>(1..=u32::MAX))]
    rounds: u32,
    /// Tasks of each kind in a round
    #[arg(long, default_value_t = 10_000, value_parser = number::<u32>(1000..=u32::MAX))]
    count: u32,
    #[command(flatten)]
    setup: Setup,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let cores = args.setup.cores()?;
    let all = allowed_cores()?;
    // Three processes share the cores as they would elsewhere: only the bare ring is bound to them.
    let daemon = Daemon::start(&args.setup.modules, 1, None)?;
    let mut peer = Peer::start(cores.worker)?;
    daemon.connect()?;
    let mut relay = Relay::start()?;
    let mut ring = Kind::new("ring_ns", "bare ring")?;
    let mut relayed = Busy {
        one: Kind::new("relay_ns", "bare relay")?,
        many: Kind::new("relay_64_ns", "bare relay, 64 at a time")?,
    };
    let pools =
        [Pool::open(RUST, "bench_here")?, Pool::open_with(RUST, "bench_there", CHI_POOL_ISOLATED)?];
    let mut here = Busy {
        one: Kind::new("here_ns", "in the runtime")?,
        many: Kind::new("here_64_ns", "in the runtime, 64 at a time")?,
    };
    let mut there = Busy {
        one: Kind::new("there_ns", "in a module host")?,
        many: Kind::new("there_64_ns", "in a module host, 64 at a time")?,
    };
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        bind([cores.client])?;
        peer.start_ring(args.count + WARM_UP)?;
        ring.measure(args.count, || {
            peer.echo();
            Ok(())
        })?;
        bind(all.iter().copied())?;
        relayed.measure_relay(&mut relay, args.count)?;
        for (tasks, pool) in [&mut here, &mut there].into_iter().zip(pools) {
            // Lets the one measured last fall asleep.
            std::thread::sleep(Duration::from_millis(1));
            tasks.measure(pool, args.count)?;
        }
    }
    progress("");
    let kinds =
        [&ring, &relayed.one, &here.one, &there.one, &relayed.many, &here.many, &there.many];
    let price = |here: &Kind, there: &Kind| {
        (there.at(0.5) as f64 - here.at(0.5) as f64) / ring.at(0.5).max(1) as f64
    };
    let (one, many) = (price(&here.one, &there.one), price(&here.many, &there.many));
    let (per_relay, many_per_relay) = (there.one.per(&relayed.one), there.many.per(&relayed.many));
    let mut document = times::document(&kinds);
    document.insert("price_in_rings".into(), json!(one));
    document.insert("price_64_in_rings".into(), json!(many));
    document.insert("there_per_relay".into(), json!(per_relay));
    document.insert("there_64_per_relay_64".into(), json!(many_per_relay));
    document.insert("samples".into(), json!(there.one.len()));
    document.insert("cores".into(), json!(all));
    if context.print_json(&Value::Object(document)) {
        return Ok(());
    }
    crate::context::print(&format!(
        "empty tasks of a pool in the runtime and of one in a module host, on the cores {all:?}, in \
         nanoseconds\n\n{}\nin a module host a task takes {one:.2} round trips of a bare ring more, \
         and {many:.2} with 64 at a time;\nit takes {per_relay:.2} times what a ring's entry takes \
         through three processes, and {many_per_relay:.2} times with 64 at a time\n",
        times::table(&kinds, &[("per ring", &ring)])
    ));
    Ok(())
}
