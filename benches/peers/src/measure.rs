//! Measuring in turns, and what comes of it.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{json, Value};

use crate::Result;

/// The cores of the callers, and of those that answer.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) caller: usize,
    pub(crate) answerer: usize,
}

/// Something that is measured: one call, and its answer.
pub(crate) trait Peer {
    /// Begins a round: whoever answers may have slept until now.
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    /// Calls, and waits for the answer.
    fn call(&mut self) -> Result<()>;

    /// Ends a round: whoever answers sleeps, so that it takes no time from others.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How a group is measured.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) calls: usize,
    /// Before each call.
    pub(crate) pause: Duration,
}

struct Member {
    name: String,
    peer: Box<dyn Peer>,
    times: Histogram<u64>,
    /// The median of each round, in nanoseconds.
    medians: Vec<f64>,
}

/// What is measured in turns.
pub(crate) struct Group {
    name: String,
    what: String,
    plan: Plan,
    members: Vec<Member>,
}

impl Group {
    pub(crate) fn new(name: &str, what: &str, plan: Plan) -> Group {
        Group { name: name.into(), what: what.into(), plan, members: Vec::new() }
    }

    /// Adds what the others are compared with. It is the first.
    pub(crate) fn floor(&mut self, name: &str, peer: impl Peer + 'static) {
        assert!(self.members.is_empty(), "the floor is the first");
        self.add(name, peer);
    }

    pub(crate) fn add(&mut self, name: &str, peer: impl Peer + 'static) {
        self.members.push(Member {
            name: name.into(),
            peer: Box::new(peer),
            times: Histogram::new(3).expect("3 digits are possible"),
            medians: Vec::new(),
        });
    }

    pub(crate) fn measure(self) -> Result<Measured> {
        Ok(self.measure_and_keep()?.result())
    }

    pub(crate) fn measure_and_keep(mut self) -> Result<Group> {
        for round in 1..=self.plan.rounds {
            for member in &mut self.members {
                progress(&format!("{}: round {round}, {}", self.name, member.name));
                member.round(self.plan).map_err(|why| format!("{}: {why}", member.name))?;
            }
        }
        progress("");
        Ok(self)
    }

    /// Measures the same once more, in another way.
    pub(crate) fn again(&mut self, name: &str, what: &str, plan: Plan) -> Result<()> {
        (self.name, self.what, self.plan) = (name.into(), what.into(), plan);
        for member in &mut self.members {
            member.times.reset();
            member.medians.clear();
        }
        let group =
            Group { members: std::mem::take(&mut self.members), ..Group::new(name, what, plan) };
        *self = group.measure_and_keep()?;
        Ok(())
    }

    pub(crate) fn result(&self) -> Measured {
        let floor = &self.members[0].medians;
        let rows = self.members.iter().map(|member| {
            let mut ratios: Vec<f64> =
                member.medians.iter().zip(floor).map(|(own, floor)| own / floor).collect();
            ratios.sort_by(f64::total_cmp);
            Row {
                name: member.name.clone(),
                p50_ns: member.times.value_at_quantile(0.5),
                p99_ns: member.times.value_at_quantile(0.99),
                p999_ns: member.times.value_at_quantile(0.999),
                calls: member.times.len(),
                ratio: ratios[ratios.len() / 2],
                spread: (ratios[0], ratios[ratios.len() - 1]),
            }
        });
        Measured { name: self.name.clone(), what: self.what.clone(), rows: rows.collect() }
    }
}

impl Member {
    fn round(&mut self, plan: Plan) -> Result<()> {
        let mut round = Histogram::<u64>::new(3)?;
        self.peer.begin()?;
        // Caches and predictors of what was measured before are no matter of this.
        let warm_up = if plan.pause.is_zero() { (plan.calls / 10).max(1) } else { 1 };
        for number in 0..warm_up + plan.calls {
            if !plan.pause.is_zero() {
                std::thread::sleep(plan.pause);
            }
            let start = Instant::now();
            self.peer.call()?;
            let took = start.elapsed().as_nanos() as u64;
            if number >= warm_up {
                round.record(took.max(1))?;
            }
        }
        self.peer.end()?;
        self.medians.push(round.value_at_quantile(0.5) as f64);
        self.times.add(&round)?;
        Ok(())
    }
}

struct Row {
    name: String,
    p50_ns: u64,
    p99_ns: u64,
    p999_ns: u64,
    calls: u64,
    /// The median over the rounds of the median of a round by that of the floor in the same round.
    ratio: f64,
    /// The smallest and the largest.
    spread: (f64, f64),
}

/// What was measured of a group.
pub(crate) struct Measured {
    name: String,
    what: String,
    rows: Vec<Row>,
}

impl Measured {
    pub(crate) fn text(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let mut text = format!("\n{}: {}\n", self.name, self.what);
        let head =
            format!("{:width$} {:>10} {:>10} {:>10} {:>8}", "", "p50", "p99", "p99.9", "ratio");
        let _ = writeln!(text, "{head}  spread");
        for row in &self.rows {
            let _ = writeln!(
                text,
                "{:width$} {:>10} {:>10} {:>10} {:>8.2}  {:.2} to {:.2}",
                row.name,
                time(row.p50_ns),
                time(row.p99_ns),
                // A tail of few calls is not known.
                if row.calls >= 1000 { time(row.p999_ns) } else { "-".to_owned() },
                row.ratio,
                row.spread.0,
                row.spread.1
            );
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            json!({
                "name": row.name,
                "p50_ns": row.p50_ns,
                "p99_ns": row.p99_ns,
                "p999_ns": (row.calls >= 1000).then_some(row.p999_ns),
                "calls": row.calls,
                "ratio": row.ratio,
                "least_ratio": row.spread.0,
                "largest_ratio": row.spread.1,
            })
        });
        json!({ "name": self.name, "what": self.what, "rows": rows.collect::<Vec<_>>() })
    }
}

fn time(ns: u64) -> String {
    match ns as f64 {
        ns if ns < 1e4 => format!("{ns} ns"),
        ns if ns < 1e7 => format!("{:.1} us", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

/// Shows a line of progress if standard error is a terminal.
fn progress(text: &str) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() {
        // Failing to show progress is not an error.
        let _ = write!(terminal, "\r\x1b[K{text}");
    }
}

/// Binds this thread, and the threads and processes that it starts, to a core.
pub(crate) fn bind(core: usize) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| format!("this process may not use core {core}: {error}").into())
}

/// The busy and the whole time of a core so far, in ticks.
fn ticks(core: usize) -> Result<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name));
    let fields: Vec<u64> = line
        .ok_or_else(|| format!("there is no core {core}"))?
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    let all: u64 = fields.iter().sum();
    // The fourth and the fifth: idle, and waiting for a disk.
    Ok((all - fields[3] - fields[4], all))
}

/// The part of a core that others may use.
const QUIET: f64 = 0.05;

/// Fails if the cores are busy.
pub(crate) fn check_quiet(cores: Cores) -> Result<()> {
    let look =
        || Ok::<_, Box<dyn std::error::Error>>([ticks(cores.caller)?, ticks(cores.answerer)?]);
    let before = look()?;
    std::thread::sleep(Duration::from_secs(1));
    for ((before, after), core) in
        before.into_iter().zip(look()?).zip([cores.caller, cores.answerer])
    {
        let part = (after.0 - before.0) as f64 / (after.1 - before.1).max(1) as f64;
        if part > QUIET {
            let why = format!(
                "core {core} is {:.0} % busy: what is measured now would say nothing; end what runs there",
                part * 100.0
            );
            return Err(why.into());
        }
    }
    Ok(())
}

/// The machine, for those who compare.
pub(crate) fn machine() -> Value {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "processor": model.map(|(_, name)| name),
        "cores": std::thread::available_parallelism().map_or(0, |cores| cores.get()),
        "kernel": kernel.trim(),
    })
}
