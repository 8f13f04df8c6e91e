//! `chimaera call`: calls a method of a pool, by what its module says of its tasks.

mod inputs;
mod query;
mod raw;
mod target;

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::*;
use chimaera_description::{contents, decode, encode, spell_type, Body, Field, Value};
use clap_complete::engine::ArgValueCompleter;
use hdrhistogram::Histogram;
use serde_json::{json, Map, Value as Json};
use signal_hook::consts::{SIGINT, SIGTERM};

use self::inputs::{known, pair, Given, Pair};
use self::raw::{Address, RawTask};
use self::target::{Method, Target};
use crate::complete;
use crate::context::{Context, Failed, Outcome};
use crate::number::{number, seconds};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name or id of the pool
    #[arg(add = ArgValueCompleter::new(complete::pools))]
    pool: String,
    /// Method to call, with or without its k, or its number; without one, the methods are listed
    #[arg(add = ArgValueCompleter::new(complete::methods))]
    method: Option<String>,
    /// Values of the method's fields
    ///
    /// Numbers are decimal, or hexadecimal after 0x. Text and bytes are taken as they are. Elements of
    /// arrays and vectors are separated by commas, or a JSON list; of a vector, each may also be given
    /// on its own, by the same name. Structs are JSON objects. Bytes in JSON are text, or
    /// {"hex": "00ff"}.
    #[arg(
        value_name = "FIELD=VALUE",
        value_parser = pair,
        add = ArgValueCompleter::new(complete::fields)
    )]
    fields: Vec<Pair>,
    /// Read the value of a field from a file, or from standard input (-)
    ///
    /// Text, bytes and vectors of numbers are taken as the file has them, everything else as JSON.
    #[arg(
        long,
        value_name = "FIELD=PATH",
        value_parser = pair,
        add = ArgValueCompleter::new(complete::fields)
    )]
    file: Vec<Pair>,
    /// Write a result to a file, or to standard output (-), instead of showing it
    ///
    /// Text, bytes and vectors of numbers are written as they are, everything else as JSON.
    #[arg(
        long,
        value_name = "FIELD=PATH",
        value_parser = pair,
        add = ArgValueCompleter::new(complete::results)
    )]
    out: Vec<Pair>,
    /// Fields without a value are zero or empty
    #[arg(long)]
    zero: bool,
    /// Which containers: dynamic, local-id:N, local-hash:N, global-id:N, global-hash:N, global-bcast
    #[arg(long, default_value = "dynamic", value_parser = query::query)]
    query: chi_domain_query,
    /// How long each call may take, in seconds; then it is cancelled [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<f64>,
    /// Size of the memory that is shared with the runtime, one half for inputs and one for results, in MiB
    ///
    /// [default: 128, or what the inputs need]
    #[arg(long, value_name = "MIB", value_parser = number::<u64>(1..=1 << 20))]
    segment_mib: Option<u64>,
    /// Call it so often, one call after another, and show how long the calls took
    #[arg(long, value_name = "N", value_parser = number::<u64>(1..=1_000_000_000), conflicts_with = "periodic")]
    repeat: Option<u64>,
    /// Have it run again and again, at this interval in seconds, until Ctrl-C or the timeout
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    periodic: Option<f64>,
}

/// How long a call may take by default.
const BOUND: Duration = Duration::from_secs(60);
/// How long after its deadline, or its cancellation, a task may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether a signal has come.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(context: &Context, args: Args) -> Outcome {
    let target = Target::ask(context, &args.pool)?;
    let Some(wanted) = &args.method else {
        if !context.print_json(&target.to_json()) {
            crate::context::print(&target.shown());
        }
        return Ok(());
    };
    let method = target.method(wanted)?;
    let body = target.body(method)?;
    for (name, _) in &args.out {
        known(&body, &method.name, name, chimaera_description::Direction::In)?;
    }
    let given = Given { values: &args.fields, files: &args.file, zero: args.zero };
    let structs = &target.description().structs;
    let inputs = inputs::read(&body, structs, &method.name, &given)?;
    let files = open(&args.out, context)?;
    let call = Call::new(&target, method, &body, &inputs, files, &args)?;
    let needed: u64 = inputs.iter().map(|(_, value)| value.size()).sum();
    context.connect_with(segment_for(needed, args.segment_mib))?;
    match args.periodic {
        Some(_) => call.run_periodically(context),
        None => call.run(context, &args),
    }
}

/// A method that is called.
struct Call<'c> {
    target: &'c Target,
    method: &'c Method,
    body: &'c Body,
    inputs: &'c [(&'c Field, Value)],
    address: Address,
    /// How long a call may take.
    bound: Option<Duration>,
    /// The files for results, by fields.
    files: Vec<(String, String, File)>,
    stop: Arc<AtomicBool>,
}

/// A task that has ended.
struct Ended {
    status: chi_status,
    message: String,
    results: Map<String, Json>,
}

impl<'c> Call<'c> {
    fn new(
        target: &'c Target,
        method: &'c Method,
        body: &'c Body,
        inputs: &'c [(&'c Field, Value)],
        files: Vec<(String, String, File)>,
        args: &Args,
    ) -> Result<Call<'c>, Failed> {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bound = args.timeout.map(Duration::from_secs_f64);
        let (bound, kind) = match args.periodic {
            Some(period) => {
                let period = ns(Duration::from_secs_f64(period));
                (bound, (CHI_TASK_PERIODIC, period))
            }
            None => {
                let bound = bound.unwrap_or(BOUND);
                (Some(bound), (CHI_TASK_DEADLINE, ns(bound)))
            }
        };
        let address = Address {
            pool: target.id,
            method: method.number,
            query: args.query,
            layout: method.layout,
            bound: Some(kind),
        };
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // A second one ends the program at once.
            signal_hook::flag::register_conditional_default(signal, stop.clone())?;
            signal_hook::flag::register(signal, stop.clone())?;
        }
        Ok(Call { target, method, body, inputs, address, bound, files, stop })
    }

    fn task(&self) -> Result<RawTask, Failed> {
        let mut task =
            RawTask::new(self.method.task_bytes, self.address).map_err(Failed::Message)?;
        let mut copy = task.copy();
        let structs = &self.target.description().structs;
        for (field, value) in self.inputs {
            encode(field, value, structs, &mut copy, &mut task).map_err(|why| {
                let ty = spell_type(&field.ty, structs);
                let message = format!("field '{}' ({ty}): {why}", field.name);
                match task.has_failed() {
                    true => Failed::Message(message),
                    false => Failed::Usage(message),
                }
            })?;
        }
        task.fill(&copy);
        Ok(task)
    }

    /// Waits for a task's end, by `until` if there is one. Returns whether it has come by itself.
    fn wait(&self, task: &mut RawTask, until: Option<Instant>) -> Result<bool, Failed> {
        loop {
            let left = until.map_or(LOOK, |until| until.saturating_duration_since(Instant::now()));
            if task.wait(left.min(LOOK)).map_err(Failed::Message)? {
                return Ok(true);
            }
            if self.stop.load(Ordering::Relaxed)
                || until.is_some_and(|until| Instant::now() >= until)
            {
                break;
            }
        }
        task.cancel().map_err(Failed::Message)?;
        if task.wait(GRACE).map_err(Failed::Message)? {
            return Ok(false);
        }
        let (name, pool) = (&self.method.name, &self.target.name);
        let why = format!(
            "{name} of pool '{pool}' was cancelled, and has not ended within {} s; see `chimaera status`",
            GRACE.as_secs()
        );
        Err(Failed::Refused(CHI_TIMEOUT, why))
    }

    /// How a task has ended, with its results if it has succeeded, or was `stopped`. Those for files are written to them.
    fn ended(&self, task: &RawTask, stopped: bool, is_last: bool) -> Result<Ended, Failed> {
        let (status, message) = task.ended();
        let mut results = Map::new();
        if status == CHI_OK || stopped && status == CHI_CANCELLED {
            let copy = task.copy();
            let structs = &self.target.description().structs;
            for field in self.body.outputs() {
                let failed =
                    |why: String| Failed::Message(format!("field '{}': {why}", field.name));
                let file = self.files.iter().find(|(name, ..)| *name == field.name);
                if let Some((_, path, file)) = file.filter(|_| is_last) {
                    let bytes = match contents(field, &copy, task) {
                        Some(bytes) => bytes.map_err(failed)?,
                        None => {
                            let value = decode(field, structs, &copy, task).map_err(failed)?;
                            format!("{}\n", value.to_json()).into_bytes()
                        }
                    };
                    write(file, path, &bytes)
                        .map_err(|error| failed(format!("{path}: {error}")))?;
                } else if file.is_none() {
                    let value = decode(field, structs, &copy, task)
                        .map_err(|why| failed(format!("{why}: --out writes it to a file")))?;
                    results.insert(field.name.clone(), value.to_json());
                }
            }
        }
        Ok(Ended { status, message, results })
    }

    fn run(&self, context: &Context, args: &Args) -> Outcome {
        let count = args.repeat.unwrap_or(1);
        let mut times = Histogram::<u64>::new(3)?;
        let mut last = None;
        for index in 0..count {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Failed::Message(format!("interrupted after {index} of {count} calls")));
            }
            let mut task = self.task()?;
            let begin = Instant::now();
            task.submit().map_err(Failed::Message)?;
            let until = self.bound.map(|bound| begin + bound + GRACE);
            let by_itself = self.wait(&mut task, until)?;
            let took = begin.elapsed();
            times.record(took.as_nanos() as u64)?;
            let ended = self.ended(&task, false, index + 1 == count)?;
            if ended.status != CHI_OK {
                let which = match count {
                    1 => String::new(),
                    _ => format!("call {} of {count}: ", index + 1),
                };
                if !by_itself && self.stop.load(Ordering::Relaxed) {
                    return self.failed(context, &ended, &format!("{which}interrupted: "));
                }
                return self.failed(context, &ended, &which);
            }
            last = Some((ended, took));
        }
        let Some((ended, took)) = last else { return Ok(()) };
        let timing = match args.repeat {
            None => json!({ "ns": took.as_nanos() as u64 }),
            Some(_) => json!({
                "calls": count,
                "ns_p50": times.value_at_quantile(0.5),
                "ns_p99": times.value_at_quantile(0.99),
                "ns_max": times.max(),
            }),
        };
        self.succeeded(context, ended, timing);
        if args.repeat.is_some() && !context.json {
            let micro = |ns: u64| ns as f64 / 1e3;
            crate::context::print(&format!(
                "{count} calls: median {:.1} µs, 99 % within {:.1} µs, worst {:.1} µs\n",
                micro(times.value_at_quantile(0.5)),
                micro(times.value_at_quantile(0.99)),
                micro(times.max())
            ));
        }
        Ok(())
    }

    fn run_periodically(&self, context: &Context) -> Outcome {
        let mut task = self.task()?;
        let begin = Instant::now();
        task.submit().map_err(Failed::Message)?;
        let by_itself = self.wait(&mut task, self.bound.map(|bound| begin + bound))?;
        let ended = self.ended(&task, !by_itself, true)?;
        // That it was cancelled is how it ends.
        let was_stopped = !by_itself && ended.status == CHI_CANCELLED;
        if !was_stopped && ended.status != CHI_OK {
            return self.failed(context, &ended, "");
        }
        let took = begin.elapsed();
        self.succeeded(context, ended, json!({ "ns": took.as_nanos() as u64 }));
        if !context.json {
            crate::context::print(&format!("stopped after {:.1} s\n", took.as_secs_f64()));
        }
        Ok(())
    }

    fn succeeded(&self, context: &Context, ended: Ended, timing: Json) {
        let document = json!({
            "pool": self.target.name,
            "method": self.method.name,
            "status": status_name(ended.status),
            "results": ended.results,
            "took": timing,
        });
        if context.print_json(&document) {
            return;
        }
        for (name, value) in &ended.results {
            let value = match value {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            };
            crate::context::print(&format!("{name} = {value}\n"));
        }
    }

    /// Tells that a task has failed.
    fn failed(&self, context: &Context, ended: &Ended, before: &str) -> Outcome {
        let name = status_name(ended.status)
            .map_or_else(|| format!("status {}", ended.status), str::to_owned);
        let message = match ended.message.is_empty() {
            true => String::new(),
            false => format!(": {}", ended.message),
        };
        let text =
            format!("{before}{} of pool '{}': {name}{message}", self.method.name, self.target.name);
        if context.print_json(&json!({
            "pool": self.target.name,
            "method": self.method.name,
            "status": name,
            "code": ended.status,
            "message": ended.message,
            "error": text,
        })) {
            crate::context::complain(&format!("chimaera: {text}"));
            return Err(Failed::Told);
        }
        Err(Failed::Message(text))
    }
}

/// Opens the files for results, so that a call that cannot be told is not made. They keep their contents until then.
fn open(out: &[Pair], context: &Context) -> Result<Vec<(String, String, File)>, Failed> {
    let opened = out.iter().map(|(field, path)| {
        if path == "-" && context.json {
            let why = "standard output is for the JSON document: write it to a file";
            return Err(Failed::Usage(format!("--out {field}=-: {why}")));
        }
        let file = match &path[..] {
            "-" => {
                rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3).map(File::from).map_err(Into::into)
            }
            _ => File::options().write(true).create(true).truncate(false).open(path),
        };
        let failed = |error: io::Error| Failed::Message(format!("--out {field}={path}: {error}"));
        Ok((field.clone(), path.clone(), file.map_err(failed)?))
    });
    opened.collect()
}

/// Writes a result to a file, instead of what is in it. Standard output may be a file that others write to as well.
fn write(mut file: &File, path: &str, bytes: &[u8]) -> io::Result<()> {
    if path != "-" && file.metadata()?.is_file() {
        file.set_len(0)?;
    }
    file.write_all(bytes)
}

/// The size of the segment for inputs of so many bytes; 0 for the runtime's default, which suffices for most.
fn segment_for(needed: u64, asked_mib: Option<u64>) -> u64 {
    const USUAL: u64 = 32 << 20;
    match asked_mib {
        Some(mib) => mib << 20,
        None if needed <= USUAL => 0,
        // Half of it is for inputs.
        None => (3 * needed).next_multiple_of(1 << 20),
    }
}
