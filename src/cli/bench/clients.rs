//! The client processes of a measurement.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use chimaera::Pending;
use chimaera_bench_client as bench;

use super::daemon::{self, Daemon};
use super::task::{open_bench, Pool};
use super::times::Kind;
use crate::context::{print, Context, Failed, Outcome};
use crate::number::seconds;

#[derive(clap::Args)]
pub(crate) struct ClientArgs {
    /// The module to measure
    module: String,
    /// Tasks in flight
    depth: u32,
    /// Duration in seconds
    #[arg(value_parser = seconds)]
    seconds: f64,
    /// Send this many tasks instead, however long it takes
    #[arg(long)]
    tasks: Option<u64>,
}

/// A client process. It reports that it is connected, waits until its input ends, sends tasks for
/// the given time, and prints their number and the seconds that they took.
pub(super) fn client(context: &Context, args: &ClientArgs) -> Outcome {
    daemon::connect(&context.name)?;
    let pool = Pool::open(&args.module, "bench_throughput")?;
    on_each_line(|last| if last { flood(pool, args).map(Some) } else { Ok(None) })
}

/// Keeps tasks in flight. Returns the number of tasks and the seconds.
fn flood(pool: Pool, args: &ClientArgs) -> Result<String, Failed> {
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
    Ok(format!("{done} {}", begin.elapsed().as_secs_f64()))
}

#[derive(clap::Args)]
pub(crate) struct ProbeArgs {
    /// The module to measure
    module: String,
    /// Duration in seconds
    #[arg(value_parser = seconds)]
    seconds: f64,
    /// Pause before each task, in microseconds
    #[arg(long, default_value_t = 0)]
    pause_us: u64,
}

/// A client process that sends one task at a time. For each line of its input it prints the
/// latencies.
pub(super) fn probe(context: &Context, args: &ProbeArgs) -> Outcome {
    daemon::connect(&context.name)?;
    let pool = Pool::open(&args.module, "bench_probe")?;
    on_each_line(|last| {
        if last {
            return Ok(None);
        }
        let mut times = Kind::new("", "")?;
        let time = Duration::from_secs_f64(args.seconds);
        if args.pause_us == 0 {
            times.measure_for(time, || pool.finish(pool.submit()?))?;
            return Ok(Some(times.line()));
        }
        let until = Instant::now() + time;
        while Instant::now() < until {
            std::thread::sleep(Duration::from_micros(args.pause_us));
            let begin = Instant::now();
            pool.finish(pool.submit()?)?;
            times.record(begin.elapsed());
        }
        Ok(Some(times.line()))
    })
}

#[derive(clap::Args)]
pub(crate) struct LoadArgs {
    /// Number of computing lanes
    lanes: u32,
    /// Steps that each task computes
    steps: u64,
    /// Tasks in flight for each lane
    depth: u32,
    /// Duration in seconds
    #[arg(value_parser = seconds)]
    seconds: f64,
}

/// A client process that keeps lanes computing. For each line of its input it prints the number of
/// tasks and the seconds that they took.
pub(super) fn load(context: &Context, args: &LoadArgs) -> Outcome {
    daemon::connect(&context.name)?;
    let pool = open_bench("bench_load", 1, args.lanes)?;
    on_each_line(|last| if last { Ok(None) } else { compute(pool, args).map(Some) })
}

/// Keeps each lane busy independently, so that none waits for another. Returns the number of tasks
/// and the seconds.
fn compute(pool: bench::Client, args: &LoadArgs) -> Result<String, Failed> {
    let expected = bench::compute(args.steps);
    let begin = Instant::now();
    let until = begin + Duration::from_secs_f64(args.seconds);
    let submit = |lane| pool.compute_async(0, lane, args.steps);
    let mut lanes = Vec::new();
    for lane in 0..args.lanes {
        lanes.push((0..args.depth).map(|_| submit(lane)).collect::<Result<VecDeque<_>, _>>()?);
    }
    let mut done: u64 = 0;
    let mut now = begin;
    while now < until {
        for (lane, tasks) in (0..).zip(&mut lanes) {
            if tasks.front().is_some_and(|oldest| oldest.is_complete()) {
                let oldest = tasks.pop_front().expect("the queue is not empty");
                check_result(oldest, expected)?;
                done += 1;
                tasks.push_back(submit(lane)?);
            }
        }
        now = Instant::now();
    }
    // Tasks that end later do not count, because by then some lanes are idle.
    lanes.into_iter().flatten().try_for_each(|task| check_result(task, expected))?;
    Ok(format!("{done} {}", (now - begin).as_secs_f64()))
}

fn check_result(task: Pending<bench::ComputeTask>, expected: u64) -> Outcome {
    match task.wait()?.result.get() == expected {
        true => Ok(()),
        false => Err(Failed::Message("a task returned a wrong result".into())),
    }
}

#[derive(clap::Args)]
pub(crate) struct CallerArgs {
    /// The module of the empty tasks to call
    module: String,
    /// Number of calls
    count: u64,
}

/// A client process in which one method calls another.
pub(super) fn caller(context: &Context, args: &CallerArgs) -> Outcome {
    daemon::connect(&context.name)?;
    let callee = Pool::open(&args.module, "bench_callee")?;
    let caller = open_bench("bench_caller", 1, 1)?;
    print(&format!("{}\n", caller.call(callee.id(), args.count)?));
    Ok(())
}

/// Reports that the process is connected. Then calls `f` for each line of the input, and once more
/// with `true` at its end, and prints the results.
fn on_each_line(mut f: impl FnMut(bool) -> Result<Option<String>, Failed>) -> Outcome {
    print("connected\n");
    let mut line = String::new();
    loop {
        line.clear();
        let last = std::io::stdin().read_line(&mut line)? == 0;
        if let Some(answer) = f(last)? {
            print(&format!("{answer}\n"));
        }
        if last {
            return Ok(());
        }
    }
}

/// The measuring process's handle to a client process.
pub(super) struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts this program as the client process `command`, and waits until it is connected.
    pub(super) fn start(daemon: &Daemon, command: &[&str]) -> Result<Process, Failed> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--name", &daemon.name, "bench"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut process = Process { child, input, output };
        process.line()?;
        Ok(process)
    }

    /// Sends a line to the client's input.
    pub(super) fn go(&mut self) -> Outcome {
        self.input.as_mut().expect("its input is open").write_all(b"\n")?;
        Ok(())
    }

    /// Closes the client's input.
    pub(super) fn end(&mut self) {
        self.input = None;
    }

    /// Reads a line of the client's output.
    pub(super) fn line(&mut self) -> Result<String, Failed> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(Failed::Message("a client process failed; see above".into()));
        }
        Ok(line.trim_end().to_owned())
    }

    /// Reads the client's next line, a number of tasks and the seconds that they took. Returns
    /// tasks per second.
    pub(super) fn rate(&mut self) -> Result<f64, Failed> {
        let line = self.line()?;
        let mut numbers = line.split_whitespace().map(str::parse::<f64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(done)), Some(Ok(seconds))) => Ok(done / seconds),
            _ => Err(Failed::Message(format!("unexpected output from a client process: '{line}'"))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killing fails only if the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
