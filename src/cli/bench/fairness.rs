//! `chimaera bench fairness`.

use serde_json::{json, Value};

use super::clients::Process;
use super::daemon::Daemon;
use super::setup::{allowed_cores, bind, check_core, others, progress, two_cores, Modules};
use super::task;
use super::times::{self, Kind};
use crate::context::{Context, Failed, Outcome};
use crate::number::{number, seconds};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of clients that keep one task in flight
    #[arg(long, default_value_t = 9, value_parser = number::<u32>(1..=255))]
    clients: u32,
    /// Tasks that the flooding client keeps in flight
    #[arg(long, default_value_t = 512, value_parser = number::<u32>(1..=100_000))]
    flood: u32,
    /// Number of rounds; each measures the clients alone and during the flood
    #[arg(long, default_value_t = 5, value_parser = number::<u32>(1..=u32::MAX))]
    rounds: u32,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    seconds: f64,
    /// The module to measure
    #[arg(long, default_value = task::RUST)]
    module: String,
    #[command(flatten)]
    modules: Modules,
    /// The core of the runtime's worker; the clients share the others [default: the last]
    #[arg(long, value_parser = number::<usize>(0..=1023))]
    core: Option<usize>,
}

/// The latencies of all clients together, and of each.
struct Times {
    all: Kind,
    each: Vec<Kind>,
}

impl Times {
    fn new(key: &'static str, label: &'static str, clients: u32) -> Result<Times, Failed> {
        let each = (0..clients).map(|_| Kind::new(key, label)).collect::<Result<_, _>>()?;
        Ok(Times { all: Kind::new(key, label)?, each })
    }

    fn measure(&mut self, clients: &mut [Process]) -> Outcome {
        clients.iter_mut().try_for_each(Process::go)?;
        for (client, times) in clients.iter_mut().zip(&mut self.each) {
            let line = client.line()?;
            times.add_line(&line)?;
            self.all.add_line(&line)?;
        }
        Ok(())
    }

    fn worst(&self) -> u64 {
        self.each.iter().map(|times| times.at(0.99)).max().unwrap_or(0)
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let worker = match (args.core, &allowed_cores()?[..]) {
        (Some(given), _) => check_core(given)?,
        (None, [_, .., last]) => *last,
        _ => return Err(two_cores()),
    };
    let daemon = Daemon::start(&args.modules, 1, Some(worker))?;
    let places = others(&[worker])?;
    bind(places.iter().copied())?;
    let seconds = args.seconds.to_string();
    let start = |_| Process::start(&daemon, &["probe", &args.module, &seconds]);
    let mut clients = (0..args.clients).map(start).collect::<Result<Vec<_>, _>>()?;
    let mut alone = Times::new("alone_ns", "alone", args.clients)?;
    let mut beside = Times::new("flooded_ns", "during the flood", args.clients)?;
    let flood_depth = args.flood.to_string();
    // Longer than the measurement, so that the flood does not end first.
    let flood_seconds = (args.seconds + 0.2).to_string();
    let mut flooded = 0.0;
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        alone.measure(&mut clients)?;
        let flood = ["client", &args.module, &flood_depth, &flood_seconds];
        let mut flood = Process::start(&daemon, &flood)?;
        flood.end();
        std::thread::sleep(std::time::Duration::from_millis(50));
        beside.measure(&mut clients)?;
        flooded += flood.rate()?;
    }
    progress("");
    let ratio = |f: fn(&Times) -> u64| f(&beside) as f64 / f(&alone).max(1) as f64;
    let kinds = [&alone.all, &beside.all];
    let mut document = times::document(&kinds);
    document.insert("p99_ratio".into(), json!(ratio(|times| times.all.at(0.99))));
    document.insert(
        "worst_p99_ns".into(),
        json!({ "alone": alone.worst(), "flooded": beside.worst() }),
    );
    document.insert("worst_p99_ratio".into(), json!(ratio(Times::worst)));
    document.insert("flood_tasks_per_s".into(), json!(flooded / f64::from(args.rounds)));
    document.insert("clients".into(), json!(args.clients));
    document.insert("samples".into(), json!(beside.all.len()));
    document.insert("cores".into(), json!({ "worker": worker, "clients": places }));
    if context.print_json(&Value::Object(document)) {
        return Ok(());
    }
    crate::context::print(&format!(
        "{} clients with one task at a time, alone and beside one with {} in flight ({:.0} tasks/s), on \
         cores {places:?}, the worker on core {worker}, in nanoseconds\n\n{}\n\
         p99 during the flood: {:.2} times the p99 alone; the worst client's: {:.2} times\n",
        args.clients,
        args.flood,
        flooded / f64::from(args.rounds),
        times::table(&kinds, &[("per alone", &alone.all)]),
        ratio(|times| times.all.at(0.99)),
        ratio(Times::worst)
    ));
    Ok(())
}
