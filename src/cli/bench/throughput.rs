//! `chimaera bench throughput`.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{json, Value};

use super::daemon::Daemon;
use super::task::Pool;
use super::{bind, progress, Throughput};
use crate::{Context, Failed, Outcome};

#[derive(clap::Args)]
pub(crate) struct ClientArgs {
    /// The module to measure
    module: String,
    /// Tasks in flight
    depth: u32,
    /// For how long, in seconds
    seconds: f64,
    /// Send so many tasks instead, however long it takes
    #[arg(long)]
    tasks: Option<u64>,
}

/// A client process: it says that it is connected, waits for its input to end, then sends tasks for
/// the given time, and prints how many and in how many seconds.
pub(super) fn client(context: &Context, args: &ClientArgs) -> Outcome {
    chimaera_client_rs::init(chimaera_client_rs::Options {
        instance: Some(context.name.clone()),
        ..Default::default()
    })?;
    let pool = Pool::open(&args.module, "bench_throughput")?;
    println!("connected");
    std::io::stdout().flush()?;
    std::io::stdin().read_line(&mut String::new())?;
    let begin = Instant::now();
    let until = begin + Duration::from_secs_f64(args.seconds);
    let mut window = VecDeque::with_capacity(args.depth as usize);
    let mut done: u64 = 0;
    for _ in 0..args.depth {
        window.push_back(pool.submit()?);
    }
    let goes_on = |done: u64| match args.tasks {
        Some(tasks) => done + u64::from(args.depth) < tasks,
        None => !done.is_multiple_of(256) || Instant::now() < until,
    };
    while goes_on(done) {
        let oldest = window.pop_front().expect("the window is full");
        pool.finish(oldest)?;
        done += 1;
        window.push_back(pool.submit()?);
    }
    for task in window {
        pool.finish(task)?;
        done += 1;
    }
    println!("{done} {}", begin.elapsed().as_secs_f64());
    Ok(())
}

pub(super) fn run(context: &Context, args: &Throughput) -> Outcome {
    let cores = args.place.cores()?;
    // A single worker has a core to itself; several share with the clients what there is.
    let worker_core = (args.workers == 1).then_some(cores.worker);
    let daemon = Daemon::start(&args.place, args.workers, worker_core)?;
    if worker_core.is_some() {
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let others = (0..rustix::thread::CpuSet::MAX_CPU)
            .filter(|&core| allowed.is_set(core) && core != cores.worker);
        bind(others)?;
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
    crate::print(&text);
    Ok(())
}

fn measure(daemon: &Daemon, args: &Throughput, clients: u32, depth: u32) -> Result<f64, Failed> {
    let mut processes = Vec::new();
    for _ in 0..clients {
        let child = Command::new(std::env::current_exe()?)
            .args(["--name", &daemon.name, "bench", "client", &args.module])
            .args([depth.to_string(), args.seconds.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        processes.push(Process::new(child));
    }
    for process in &mut processes {
        process.line()?;
    }
    for process in &mut processes {
        drop(process.child.stdin.take());
    }
    let mut rate = 0.0;
    for process in &mut processes {
        let line = process.line()?;
        let mut numbers = line.split_whitespace().map(str::parse::<f64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(done)), Some(Ok(seconds))) => rate += done / seconds,
            _ => return Err(Failed::Message(format!("a client process said '{line}'"))),
        }
    }
    Ok(rate)
}

struct Process {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Process {
    fn new(mut child: Child) -> Process {
        let out = BufReader::new(child.stdout.take().expect("it was asked for"));
        Process { child, out }
    }

    fn line(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        if self.out.read_line(&mut line)? == 0 {
            return Err(Failed::Message("a client process failed; see above".into()));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
