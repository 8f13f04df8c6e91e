//! `chimaera bench sessions`.

use std::io::{BufRead, BufReader, PipeWriter};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use chimaera::client::{self, Options};
use chimaera_ipc::layout::MIN_SEGMENT;
use serde_json::{json, Value};

use super::clients::Process;
use super::daemon::Daemon;
use super::setup::{bind, progress, Setup};
use super::task::{Pool, RUST};
use super::times::{self, Kind};
use crate::context::{print, Context, Failed, Outcome};
use crate::number::{number, seconds};

/// How long a client pauses before each task that has to wake the worker, in microseconds.
const PAUSE_US: &str = "500";
/// The most rings of a session by the default configuration (`limits.rings`).
const MOST_RINGS: u32 = 64;
/// Bytes of stack of a thread that makes one call.
const STACK: usize = 64 << 10;
/// Enough sessions for the measuring clients, with some to spare.
const OTHERS: u32 = 16;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Number of idle sessions, each of a process of its own that has made one call
    #[arg(long, default_value_t = 2000, value_parser = number::<u32>(1..=16_384))]
    sessions: u32,
    /// Number of threads of each idle session that have made a call; each has a ring
    #[arg(long, default_value_t = 1, value_parser = number::<u32>(1..=MOST_RINGS))]
    rings: u32,
    /// Number of rounds; each measures with and without the idle sessions
    #[arg(long, default_value_t = 10, value_parser = number::<u32>(1..=u32::MAX))]
    rounds: u32,
    /// Duration of each measurement, in seconds
    #[arg(long, default_value_t = 0.2, value_parser = seconds)]
    seconds: f64,
    #[command(flatten)]
    setup: Setup,
}

/// A client process whose threads make one call each, and then are idle until its input ends.
#[derive(clap::Args)]
pub(crate) struct IdleArgs {
    /// The module to call
    module: String,
    /// Number of threads
    rings: u32,
}

pub(super) fn idle(context: &Context, args: &IdleArgs) -> Outcome {
    let instance = Some(context.name.clone());
    client::init(Options { instance, segment_size: MIN_SEGMENT, ..Options::default() })?;
    call(&args.module)?;
    std::thread::scope(|scope| {
        // Dropping these ends the threads.
        let mut until = Vec::new();
        for _ in 1..args.rings {
            let (called, has_called) = mpsc::channel();
            let (end, ended) = mpsc::channel::<()>();
            until.push(end);
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, move || {
                // Whoever waits for the call is there, and waits for an end without words.
                let _ = called.send(call(&args.module));
                let _ = ended.recv();
            })?;
            has_called.recv().expect("the thread sends before it ends")?;
        }
        print("idle\n");
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        Ok(())
    })
}

/// Makes one call, by which the calling thread gets its ring.
fn call(module: &str) -> Outcome {
    let pool = Pool::open(module, "bench_probe")?;
    pool.finish(pool.submit()?)
}

/// The idle client processes. They end when their input does.
struct Idle {
    children: Vec<Child>,
    input: Option<PipeWriter>,
}

impl Idle {
    /// Starts `count` processes, each after the previous one has made its call.
    fn start(daemon: &Daemon, count: u32, rings: u32) -> Result<Idle, Failed> {
        let (stdin, input) = std::io::pipe()?;
        let mut idle = Idle { children: Vec::new(), input: Some(input) };
        for number in 1..=count {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--name", &daemon.name, "bench", "idle", RUST, &rings.to_string()]);
            let mut child = command.stdin(stdin.try_clone()?).stdout(Stdio::piped()).spawn()?;
            let output = child.stdout.take().expect("it was asked for");
            idle.children.push(child);
            if BufReader::new(output).read_line(&mut String::new())? == 0 {
                let why = format!("idle session {number} of {count} failed; see above");
                return Err(Failed::Message(why));
            }
            progress(&format!("idle session {number} of {count}"));
        }
        Ok(idle)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.input = None;
        for child in &mut self.children {
            // Waiting fails only if the process has already been waited for.
            let _ = child.wait();
        }
    }
}

/// A runtime with one worker, and the clients that measure it: one sends task after task, the other
/// pauses before each, so that the worker has to be woken.
struct Measured {
    // Dropped in this order: the clients end before their runtime.
    hot: Process,
    woken: Process,
    daemon: Daemon,
}

impl Measured {
    fn start(args: &Args, core: usize) -> Result<Measured, Failed> {
        let sessions = args.sessions + OTHERS;
        let config = format!("workers: 1\nlimits: {{sessions: {sessions}}}\n");
        let daemon = Daemon::start_configured(&args.setup.modules, Some(core), &config)?;
        let seconds = args.seconds.to_string();
        let hot = Process::start(&daemon, &["probe", RUST, &seconds])?;
        let woken = Process::start(&daemon, &["probe", RUST, &seconds, "--pause-us", PAUSE_US])?;
        Ok(Measured { hot, woken, daemon })
    }

    fn measure(&mut self, hot: &mut Kind, woken: &mut Kind) -> Outcome {
        self.hot.go()?;
        hot.add_line(&self.hot.line()?)?;
        self.woken.go()?;
        woken.add_line(&self.woken.line()?)
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let cores = args.setup.cores()?;
    bind([cores.client])?;
    let mut alone = Measured::start(args, cores.worker)?;
    let mut crowded = Measured::start(args, cores.worker)?;
    let idle = Idle::start(&crowded.daemon, args.sessions, args.rings)?;
    let mut hot = Kind::new("without_ns", "task after task, without")?;
    let mut woken = Kind::new("woken_without_ns", "woken, without")?;
    let mut hot_with = Kind::new("with_ns", "task after task, with")?;
    let mut woken_with = Kind::new("woken_with_ns", "woken, with")?;
    for round in 0..args.rounds {
        progress(&format!("round {} of {}", round + 1, args.rounds));
        alone.measure(&mut hot, &mut woken)?;
        crowded.measure(&mut hot_with, &mut woken_with)?;
    }
    progress("");
    drop(idle);
    let mut document = times::document(&[&hot, &hot_with, &woken, &woken_with]);
    document.insert("with_per_without".into(), json!(hot_with.per(&hot)));
    document.insert("woken_with_per_woken_without".into(), json!(woken_with.per(&woken)));
    document.insert("sessions".into(), json!(args.sessions));
    document.insert("rings".into(), json!(args.rings));
    document.insert("samples".into(), json!(hot_with.len()));
    document.insert("cores".into(), json!([cores.client, cores.worker]));
    if context.print_json(&Value::Object(document)) {
        return Ok(());
    }
    let table = |kinds: &[&Kind; 2]| times::table(kinds, &[("per without", kinds[0])]);
    print(&format!(
        "empty tasks without and with {} idle sessions of {} rings each, between cores {} and {}, \
         in nanoseconds\n\n{}\n{}",
        args.sessions,
        args.rings,
        cores.client,
        cores.worker,
        table(&[&hot, &hot_with]),
        table(&[&woken, &woken_with])
    ));
    Ok(())
}
