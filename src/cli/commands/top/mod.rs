//! `chimaera top`: what a runtime is doing, over and over.

mod screen;
mod tables;
mod view;

use std::io::{ErrorKind, IsTerminal};
use std::time::{Duration, Instant};

use chimaera_ipc::control::Request;
use chimaera_metrics::Snapshot;
use chimaera_runtime::log::displayed;
use serde_json::json;

use self::tables::Kind;
pub(crate) use self::view::View;
use crate::context::{try_print, Context, Failed, Outcome};
use crate::number::{bytes, counted, number, seconds};
use crate::table;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How often it looks, in seconds
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: f64,
    /// Print what is shown instead, each time; for scripts
    #[arg(short, long)]
    batch: bool,
    /// Print it so many times, as with --batch
    #[arg(short = 'n', long, value_name = "N", value_parser = number::<u64>(1..=u64::MAX))]
    count: Option<u64>,
}

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let interval = Duration::from_secs_f64(args.interval);
    // What is asked first fails with the reason, before the screen is taken.
    let first = ask(context)?;
    if args.batch || args.count.is_some() || context.json {
        return print_all(context, first, interval, args.count);
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let why = "this is no terminal: use --batch to print what would be shown";
        return Err(Failed::Usage(why.to_owned()));
    }
    let own = context.clone();
    screen::show(context.instance()?.name(), first, interval, move || ask(&own))
}

/// What there is at this moment.
pub(crate) fn ask(context: &Context) -> Result<Snapshot, Failed> {
    let document = context.ask(Request::Metrics, &[])?;
    Snapshot::read(&document).map_err(Failed::Message)
}

fn print_all(
    context: &Context,
    mut before: Snapshot,
    interval: Duration,
    count: Option<u64>,
) -> Outcome {
    let mut left = count;
    let mut next = Instant::now() + interval;
    while left != Some(0) {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let now = ask(context)?;
        // What was missed, because the runtime did not answer, is not made up for.
        next = (next + interval).max(Instant::now() + interval / 2);
        let view = View::between(&before, &now);
        let printed = match context.json {
            // Each is a document in a line of its own.
            true => try_print(&format!("{}\n", json!(view))),
            false => try_print(&displayed(&text(&view))),
        };
        match printed {
            // Nobody reads any more.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            printed => printed?,
        }
        before = now;
        left = left.map(|left| left - 1);
    }
    Ok(())
}

/// The line above the tables.
fn summary(view: &View) -> String {
    let runtime = &view.runtime;
    let lost = match runtime.log_lost {
        0 => String::new(),
        lost => format!(", {lost} lines of the log lost"),
    };
    format!(
        "up {:.0} s, process {}: CPU {:.0} %, {} resident, budget {} of {}; {}, {}, {} calls/s, {} \
         failed/s{lost}",
        runtime.uptime_s,
        runtime.pid,
        runtime.cpu * 100.0,
        bytes(runtime.resident_bytes),
        bytes(runtime.memory_used_bytes),
        bytes(runtime.memory_budget_bytes),
        counted(&json!(runtime.pools), "pool"),
        counted(&json!(runtime.sessions), "session"),
        tables::rate(runtime.calls_per_s),
        tables::rate(runtime.failures_per_s),
    )
}

fn text(view: &View) -> String {
    let mut text = format!("{}\n", summary(view));
    for kind in [Kind::Workers, Kind::Methods, Kind::Devices, Kind::Sessions, Kind::Nodes] {
        let rows = tables::rows(view, kind, kind.first_sort(), "");
        if !rows.is_empty() {
            text += "\n";
            text += &table::any_lines(&kind.heads(), rows).concat();
        }
    }
    text + "\n"
}
