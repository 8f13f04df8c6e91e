//! `chimaera bench throughput`.

use serde_json::{json, Value};

use super::clients::Process;
use super::daemon::Daemon;
use super::setup::{bind, others, progress, Setup};
use crate::context::{Context, Failed, Outcome};
use crate::number::{number, seconds};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Tasks in flight; can be repeated
    #[arg(long = "depth", value_name = "N", default_values_t = [1, 16, 64],
          value_parser = number::<u32>(1..=512))]
    depths: Vec<u32>,
    /// Number of client processes; can be repeated
    #[arg(long = "clients", value_name = "N", default_values_t = [1, 2, 4],
          value_parser = number::<u32>(1..=256))]
    clients: Vec<u32>,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    seconds: f64,
    /// The module to measure
    #[arg(long, default_value = super::task::RUST)]
    module: String,
    /// Number of worker threads
    #[arg(long, default_value_t = 1, value_parser = number::<u16>(1..=256))]
    workers: u16,
    #[command(flatten)]
    setup: Setup,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let cores = args.setup.cores()?;
    // A single worker gets a core of its own; several share all cores with the clients.
    let worker_core = (args.workers == 1).then_some(cores.worker);
    let daemon = Daemon::start(&args.setup.modules, args.workers, worker_core)?;
    if worker_core.is_some() {
        bind(others(&[cores.worker])?)?;
    }
    let mut results = Vec::new();
    for &clients in &args.clients {
        for &depth in &args.depths {
            progress(&format!("{clients} clients at depth {depth}"));
            let rate = measure(&daemon, args, clients, depth)?;
            results.push(json!({ "clients": clients, "depth": depth, "tasks_per_s": rate }));
        }
    }
    progress("");
    if context.print_json(&Value::Array(results.clone())) {
        return Ok(());
    }
    let mut text = format!(
        "{} on {} worker(s)\n\n{:>8}{:>8}{:>16}\n",
        args.module, args.workers, "clients", "depth", "tasks/s"
    );
    for row in &results {
        text += &format!(
            "{:>8}{:>8}{:>16.0}\n",
            row["clients"].as_u64().unwrap_or(0),
            row["depth"].as_u64().unwrap_or(0),
            row["tasks_per_s"].as_f64().unwrap_or(0.0)
        );
    }
    crate::context::print(&text);
    Ok(())
}

fn measure(daemon: &Daemon, args: &Args, clients: u32, depth: u32) -> Result<f64, Failed> {
    let (depth, seconds) = (depth.to_string(), args.seconds.to_string());
    let command = ["client", &args.module, &depth, &seconds];
    let start = |_| Process::start(daemon, &command);
    let mut processes = (0..clients).map(start).collect::<Result<Vec<_>, _>>()?;
    processes.iter_mut().for_each(Process::end);
    processes.iter_mut().map(Process::rate).sum()
}
