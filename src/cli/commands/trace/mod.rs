//! `chimaera trace`.

mod chrome;
mod otlp;
mod recorded;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_ipc::control::Request;
use chimaera_metrics::{Trace, TraceRequest, TraceWanted};
use clap_complete::ArgValueCompleter;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use self::recorded::Recorded;
use crate::complete;
use crate::context::{print, Context, Failed, Outcome};
use crate::number::{counted, number, seconds};
use crate::progress::rewrite;

/// How often to ask for what has been recorded.
const LOOK: Duration = Duration::from_millis(100);

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Record what happens to single tasks, for as long as it takes, and write it to a file
    ///
    /// By default it is JSON that https://ui.perfetto.dev and chrome://tracing open: what each worker runs, and each
    /// task, by pool, with its time in the ring of its client, in a lane, and its waits. Arrows lead from a method to the
    /// tasks that it submits.
    ///
    /// While a trace is recorded, every task is measured, which makes each some hundred nanoseconds slower. Tasks that
    /// began before, or have not ended at the end, are not in the file; nor what happens inside a module host or on another
    /// node: there the task waits. An interrupt (Ctrl-C) ends the recording early.
    Record(Args),
}

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to write the trace; `-` is standard output
    file: PathBuf,
    /// Only tasks for this pool, by name or id, and their subtasks
    #[arg(long, value_name = "POOL", add = ArgValueCompleter::new(complete::pools))]
    pool: Option<String>,
    /// Only tasks for this method of the pool, by name or number, and their subtasks
    #[arg(long, value_name = "METHOD", requires = "pool")]
    method: Option<String>,
    /// Only tasks of this session, by its number, and their subtasks
    #[arg(long, value_name = "SESSION")]
    session: Option<u64>,
    /// One of so many tasks, with its subtasks
    #[arg(long, value_name = "N", default_value = "1", value_parser = number::<u64>(1..=1_000_000_000))]
    every: u64,
    /// For how long to record
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    seconds: f64,
    /// End when so many tasks have been recorded
    #[arg(long, value_name = "N", default_value = "50000", value_parser = number::<usize>(1..=10_000_000))]
    tasks: usize,
    /// In which format to write it
    #[arg(long, value_name = "FORMAT", default_value = "chrome")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Trace Event Format, in JSON
    Chrome,
    /// OpenTelemetry, in lines of JSON, as the receiver `otlpjsonfile` of its collector reads them
    Otlp,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    let Command::Record(args) = command;
    if context.json && args.file == Path::new("-") {
        return Err(Failed::Usage("with --json, the trace needs a file of its own".into()));
    }
    let first = begin(context, &args)?;
    let recording = first.recording;
    // Before anything is recorded, lest that be in vain; and not before it can be.
    let mut file: Box<dyn Write> = match args.file == Path::new("-") {
        true => Box::new(io::stdout()),
        false => match File::create(&args.file) {
            Ok(file) => Box::new(file),
            Err(error) => {
                ask(context, &TraceRequest::End { recording })?;
                return Err(at(&args.file, &error));
            }
        },
    };
    let recorded = record(context, &args, first)?;
    let mut to = BufWriter::new(&mut file);
    let written = match args.format {
        Format::Chrome => chrome::write(&mut to, &recorded, &context.name),
        Format::Otlp => otlp::write(&mut to, &recorded, &context.name),
    };
    written.and_then(|()| to.flush()).map_err(|error| at(&args.file, &error))?;
    drop(to);
    tell(context, &args, &recorded);
    Ok(())
}

fn at(file: &Path, error: &io::Error) -> Failed {
    Failed::Message(format!("{}: {error}", file.display()))
}

fn begin(context: &Context, args: &Args) -> Result<Trace, Failed> {
    let wanted = TraceWanted {
        pool: args.pool.clone(),
        method: args.method.clone(),
        session: args.session,
        every: args.every,
    };
    ask(context, &TraceRequest::Begin(wanted))
}

/// Records until the time is over, there are enough tasks, or somebody interrupts it.
fn record(context: &Context, args: &Args, first: Trace) -> Result<Recorded, Failed> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let recording = first.recording;
    let mut recorded = Recorded::new(&first);
    recorded.add(first);
    let shows = !context.json && io::stderr().is_terminal();
    let (since, time) = (Instant::now(), Duration::from_secs_f64(args.seconds));
    while since.elapsed() < time
        && recorded.tasks.len() < args.tasks
        && !interrupted.load(Ordering::Relaxed)
    {
        std::thread::sleep(LOOK.min(time.saturating_sub(since.elapsed())));
        recorded.add(ask(context, &TraceRequest::Read { recording })?);
        if shows {
            rewrite(&format!("recording: {}", counted(&recorded.tasks.len().into(), "task")));
        }
    }
    if shows {
        rewrite("");
    }
    recorded.add(ask(context, &TraceRequest::End { recording })?);
    recorded.cut(args.tasks);
    Ok(recorded)
}

fn ask(context: &Context, request: &TraceRequest) -> Result<Trace, Failed> {
    let document = context.ask_with_text(Request::Trace, &serde_json::to_string(request)?)?;
    Trace::read(&document).map_err(Failed::Message)
}

/// Says what is in the file, and what is not.
fn tell(context: &Context, args: &Args, recorded: &Recorded) {
    let (tasks, waits) = (recorded.tasks.len(), recorded.waits());
    let document = json!({
        "file": args.file,
        "tasks": tasks,
        "waits": waits,
        "lost": recorded.lost,
        "open": recorded.open,
        "full": recorded.is_full,
        "seconds": recorded.until_ns as f64 / 1e9,
    });
    if context.print_json(&document) {
        return;
    }
    let mut text = format!(
        "{} and {} in {:.1} s",
        counted(&tasks.into(), "task"),
        counted(&waits.into(), "wait"),
        recorded.until_ns as f64 / 1e9
    );
    if recorded.open > 0 {
        text += &format!("; {} had not ended", counted(&recorded.open.into(), "task"));
    }
    text += "\n";
    if recorded.is_full {
        text +=
            &format!("there are {}, and it is full: see --tasks, --every, --pool\n", args.tasks);
    }
    if recorded.lost > 0 {
        let lost = recorded.lost;
        text += &format!(
            "{lost} tasks and waits were lost, because there were too many: see --every\n"
        );
    }
    match args.file == Path::new("-") {
        true => crate::context::complain(text.trim_end()),
        false => print(&text),
    }
}
