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

use chimaera_abi::{chi_status, CHI_NO_SPACE};
use chimaera_ipc::control::Request;
use chimaera_metrics::{Trace, TraceRequest, TraceWanted};
use clap_complete::ArgValueCompleter;
use serde_json::json;
use signal_hook::consts::{SIGINT, SIGTERM};

use self::recorded::Recorded;
use crate::complete;
use crate::context::{failure, print, Context, Failed, Outcome};
use crate::method_name;
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
    /// came before, or have not ended at the end, are not in the file; nor what happens inside a module host or on another
    /// node: there the task waits. Of a client that sends many tasks at once, the time in the ring is known for one in some
    /// thirty. An interrupt (Ctrl-C) ends the recording early; so does the end of the runtime, and what was recorded until then
    /// is written.
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
    #[arg(long, value_name = "SESSION", value_parser = number::<u64>(1..=u64::MAX))]
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
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // A second one ends the program at once.
        signal_hook::flag::register_conditional_default(signal, interrupted.clone())?;
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let first = begin(context, &args)?;
    let recording = first.recording;
    // Before anything is recorded, lest that be in vain; and not before it can be.
    let mut file: Box<dyn Write> = match args.file == Path::new("-") {
        true => Box::new(io::stdout()),
        false => match File::create(&args.file) {
            Ok(file) => Box::new(file),
            Err(error) => {
                ask(context, &TraceRequest::End { recording, most: 0 })?;
                return Err(at(&args.file, &error));
            }
        },
    };
    let (recorded, failed) = record(context, &args, first, &interrupted);
    let shows = !context.json && io::stderr().is_terminal();
    if shows {
        rewrite(&format!("writing: {}", counted(&recorded.tasks.len().into(), "task")));
    }
    let mut to = BufWriter::new(&mut file);
    let written = match args.format {
        Format::Chrome => chrome::write(&mut to, &recorded, &context.name),
        Format::Otlp => otlp::write(&mut to, &recorded, &context.name),
    };
    written.and_then(|()| to.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull => {
            Failed::Refused(CHI_NO_SPACE, format!("{}: {error}", args.file.display()))
        }
        _ => at(&args.file, &error),
    })?;
    drop(to);
    if shows {
        rewrite("");
    }
    let failed = failed.and_then(Failed::parts);
    tell(context, &args, &recorded, failed.as_ref());
    match failed {
        None => Ok(()),
        Some(_) if context.json => Err(Failed::Told),
        Some((.., why)) => Err(Failed::Message(why)),
    }
}

fn at(file: &Path, error: &io::Error) -> Failed {
    Failed::Message(format!("{}: {error}", file.display()))
}

fn begin(context: &Context, args: &Args) -> Result<Trace, Failed> {
    let method = match (&args.pool, &args.method) {
        (Some(pool), Some(method)) => Some(number_of(context, pool, method)?),
        _ => None,
    };
    let wanted =
        TraceWanted { pool: args.pool.clone(), method, session: args.session, every: args.every };
    ask(context, &TraceRequest::Begin(wanted))
}

/// The number of the method that is meant, as text.
fn number_of(context: &Context, pool: &str, method: &str) -> Result<String, Failed> {
    let document = context.ask_with_text(Request::Pool, pool)?;
    let methods = document["methods"].as_array().into_iter().flatten();
    let methods: Vec<(&str, u64)> =
        methods.filter_map(|one| Some((one["name"].as_str()?, one["number"].as_u64()?))).collect();
    let found = method_name::find(pool, &methods, method).map_err(Failed::Usage)?;
    Ok(methods[found].1.to_string())
}

/// Records until the time is over, there are enough tasks, or somebody interrupts it. What fails ends it: what has been
/// recorded until then is there.
fn record(
    context: &Context,
    args: &Args,
    first: Trace,
    interrupted: &AtomicBool,
) -> (Recorded, Option<Failed>) {
    let recording = first.recording;
    let mut recorded = Recorded::new(&first);
    let shows = !context.json && io::stderr().is_terminal();
    let (since, time) = (Instant::now(), Duration::from_secs_f64(args.seconds));
    let mut failed = None;
    let mut is_cut = false;
    loop {
        let left = args.tasks.saturating_sub(recorded.tasks.len());
        let is_over = since.elapsed() >= time || left == 0 || interrupted.load(Ordering::Relaxed);
        let request = match is_over {
            true => TraceRequest::End { recording, most: left },
            false => {
                if !is_cut {
                    std::thread::sleep(LOOK.min(time.saturating_sub(since.elapsed())));
                }
                TraceRequest::Read { recording, most: left }
            }
        };
        match ask(context, &request) {
            Ok(trace) => {
                is_cut = trace.is_cut;
                recorded.add(trace);
            }
            Err(why) => {
                failed = Some(why);
                break;
            }
        }
        if is_over {
            break;
        }
        if shows {
            rewrite(&format!("recording: {}", counted(&recorded.tasks.len().into(), "task")));
        }
    }
    if shows {
        rewrite("");
    }
    recorded.cut(args.tasks);
    (recorded, failed)
}

fn ask(context: &Context, request: &TraceRequest) -> Result<Trace, Failed> {
    let document = context.ask_with_text(Request::Trace, &serde_json::to_string(request)?)?;
    Trace::read(&document).map_err(Failed::Message)
}

/// Says what is in the file, and what is not.
fn tell(
    context: &Context,
    args: &Args,
    recorded: &Recorded,
    failed: Option<&(u8, chi_status, String)>,
) {
    let (tasks, waits) = (recorded.tasks.len(), recorded.waits());
    let mut document = json!({
        "file": args.file,
        "tasks": tasks,
        "waits": waits,
        "lost": recorded.lost,
        "open": recorded.open,
        "full": recorded.is_full,
        "seconds": recorded.until_ns as f64 / 1e9,
    });
    if let Some((_, status, why)) = failed {
        let failure = failure(*status, why);
        document["status"] = failure["status"].clone();
        document["error"] = failure["error"].clone();
    }
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
    // What comes after the last one that was wanted is not missed.
    if recorded.lost > 0 && !recorded.is_full {
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
