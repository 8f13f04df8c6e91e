//! `chimaera bench latency`.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{json, Value};

use super::daemon::Daemon;
use super::floor::Peer;
use super::task::{Pool, CPP, RUST};
use super::{bind, progress, Latency};
use crate::{Context, Failed, Outcome};

/// Round trips before those that count, to wake everything up.
const WARM_UP: u32 = 500;

/// One kind of round trip.
struct Kind {
    key: &'static str,
    label: &'static str,
    times: Histogram<u64>,
}

impl Kind {
    fn new(key: &'static str, label: &'static str) -> Result<Kind, Failed> {
        Ok(Kind { key, label, times: Histogram::new_with_bounds(1, 10_000_000_000, 3)? })
    }

    /// Measures `count` round trips after a warm-up. The end of one is the beginning of the next.
    fn measure(&mut self, count: u32, mut trip: impl FnMut() -> Outcome) -> Outcome {
        for _ in 0..WARM_UP {
            trip()?;
        }
        let mut last = Instant::now();
        for _ in 0..count {
            trip()?;
            let now = Instant::now();
            self.times.saturating_record((now - last).as_nanos() as u64);
            last = now;
        }
        Ok(())
    }

    fn at(&self, quantile: f64) -> u64 {
        self.times.value_at_quantile(quantile)
    }

    fn json(&self) -> Value {
        json!({ "p50": self.at(0.5), "p99": self.at(0.99), "p999": self.at(0.999) })
    }
}

pub(super) fn run(context: &Context, args: &Latency) -> Outcome {
    let cores = args.place.cores()?;
    let daemon = Daemon::start(&args.place, 1, Some(cores.worker))?;
    let mut peer = Peer::start(cores.worker)?;
    bind([cores.client])?;
    daemon.connect()?;
    let pools = [Pool::open(CPP, "bench_cpp")?, Pool::open(RUST, "bench_rust")?];
    let mut line = Kind::new("line_ns", "cache line")?;
    let mut ring = Kind::new("ring_ns", "bare ring")?;
    let mut tasks = [
        Kind::new("task_cpp_ns", "empty task, C++")?,
        Kind::new("task_rust_ns", "empty task, Rust")?,
    ];
    // The other processes share a core, and sleep while they are not meant.
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
        for (pool, kind) in pools.iter().zip(&mut tasks) {
            settle();
            kind.measure(args.count, || pool.finish(pool.submit()?))?;
        }
        settle();
    }
    progress("");
    let [cpp, rust] = &tasks;
    let ratio = |task: &Kind, floor: &Kind| task.at(0.5) as f64 / floor.at(0.5).max(1) as f64;
    let kinds = [&line, &ring, cpp, rust];
    let mut document = serde_json::Map::new();
    for kind in kinds {
        document.insert(kind.key.into(), kind.json());
    }
    for (name, task) in [("cpp", cpp), ("rust", rust)] {
        document.insert(format!("task_{name}_per_ring"), json!(ratio(task, &ring)));
        document.insert(format!("task_{name}_per_line"), json!(ratio(task, &line)));
    }
    document.insert("samples".into(), json!(line.times.len()));
    document.insert("cores".into(), json!([cores.client, cores.worker]));
    if context.print_json(&Value::Object(document)) {
        return Ok(());
    }
    let mut text = format!(
        "round trips between cores {} and {}, {} of each kind, in nanoseconds\n\n",
        cores.client,
        cores.worker,
        line.times.len()
    );
    text += &format!(
        "{:<18}{:>8}{:>8}{:>8}{:>12}{:>12}\n",
        "", "p50", "p99", "p99.9", "per ring", "per line"
    );
    for kind in kinds {
        text += &format!(
            "{:<18}{:>8}{:>8}{:>8}{:>12.2}{:>12.2}\n",
            kind.label,
            kind.at(0.5),
            kind.at(0.99),
            kind.at(0.999),
            ratio(kind, &ring),
            ratio(kind, &line)
        );
    }
    crate::print(&text);
    Ok(())
}
