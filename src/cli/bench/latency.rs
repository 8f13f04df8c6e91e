//! `chimaera bench latency`.

use std::time::Duration;

use serde_json::{json, Value};

use super::daemon::Daemon;
use super::floor::Peer;
use super::setup::{bind, progress, Setup};
use super::task::{Pool, RUST};
use super::times::{self, Kind, WARM_UP};
use crate::context::{Context, Outcome};
use crate::number::number;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of rounds; the kinds alternate in each
    #[arg(long, default_value_t = 40, value_parser = number::<u32>(1..=u32::MAX))]
    rounds: u32,
    /// Round trips of each kind in a round
    #[arg(long, default_value_t = 5000, value_parser = number::<u32>(1..=u32::MAX))]
    count: u32,
    #[command(flatten)]
    setup: Setup,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let cores = args.setup.cores()?;
    let daemon = Daemon::start(&args.setup.modules, 1, Some(cores.worker))?;
    let mut peer = Peer::start(cores.worker)?;
    bind([cores.client])?;
    daemon.connect()?;
    let rust = Kind::new("task_rust_ns", "empty task, Rust")?;
    let mut tasks = vec![("rust", Pool::open(RUST, "bench_rust")?, rust)];
    if let Some(pool) = Pool::open_sample("bench_cpp")? {
        tasks.insert(0, ("cpp", pool, Kind::new("task_cpp_ns", "empty task, C++")?));
    }
    let mut line = Kind::new("line_ns", "cache line")?;
    let mut ring = Kind::new("ring_ns", "bare ring")?;
    // The runtime and the peer share a core: lets the one measured last fall asleep.
    let settle = || std::thread::sleep(Duration::from_millis(1));
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        peer.start_line(args.count + WARM_UP)?;
        line.measure(args.count, || {
            peer.bounce();
            Ok(())
        })?;
        peer.start_ring(args.count + WARM_UP)?;
        ring.measure(args.count, || {
            peer.echo();
            Ok(())
        })?;
        for (_, pool, kind) in &mut tasks {
            settle();
            kind.measure(args.count, || pool.finish(pool.submit()?))?;
        }
        settle();
    }
    progress("");
    let mut kinds = vec![&line, &ring];
    kinds.extend(tasks.iter().map(|(.., kind)| kind));
    let mut document = times::document(&kinds);
    for (name, _, task) in &tasks {
        document.insert(format!("task_{name}_per_ring"), json!(task.per(&ring)));
        document.insert(format!("task_{name}_per_line"), json!(task.per(&line)));
    }
    document.insert("samples".into(), json!(line.len()));
    document.insert("cores".into(), json!([cores.client, cores.worker]));
    if context.print_json(&Value::Object(document)) {
        return Ok(());
    }
    crate::context::print(&format!(
        "round trips between cores {} and {}, {} of each kind, in nanoseconds\n\n{}",
        cores.client,
        cores.worker,
        line.len(),
        times::table(&kinds, &[("per ring", &ring), ("per line", &line)])
    ));
    Ok(())
}
