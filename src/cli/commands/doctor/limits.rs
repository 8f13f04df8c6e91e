//! Limits of the process, and of the machine.

use chimaera_runtime::Config;

use super::check::Check;
use crate::number::{bytes, counted};

/// What a session takes of descriptors: its socket, its process, its segment, and its doorbell.
const DESCRIPTORS_OF_SESSION: u64 = 4;
/// What a worker takes, and what a runtime takes besides.
const DESCRIPTORS_OF_WORKER: u64 = 4;
const DESCRIPTORS_KEPT: u64 = 64;
/// What a suspended task takes of mappings, and what all else does.
const MAPPINGS_OF_TASK: u64 = 2;
const MAPPINGS_KEPT: u64 = 4096;
/// With fewer addresses, there is hardly room for a client's segment.
const FEW_ADDRESSES: u64 = 8 << 30;

/// `process` is the running runtime, whose limits count; otherwise those of this process do, as a runtime that is
/// started from here has them.
pub(super) fn checks(config: &Config, process: Option<u32>) -> Vec<Check> {
    let limits = Limits::of(process);
    vec![
        descriptors(config, &limits),
        mappings(config),
        addresses(&limits),
        memlock(&limits),
        cores(config),
    ]
}

/// `/proc/PID/limits`, with the name of whose they are.
struct Limits {
    text: String,
    whose: String,
}

impl Limits {
    fn of(process: Option<u32>) -> Limits {
        let read =
            |process: String| std::fs::read_to_string(format!("/proc/{process}/limits")).ok();
        let running = process.and_then(|process| Some((read(process.to_string())?, process)));
        match running {
            Some((text, process)) => Limits { text, whose: format!("of process {process}") },
            None => Limits {
                text: read("self".to_owned()).unwrap_or_default(),
                whose: "of this process, which a runtime started from here has, too".to_owned(),
            },
        }
    }

    /// The soft limit of this name; `None` if there is none.
    fn soft(&self, name: &str) -> Option<u64> {
        let line = self.text.lines().find(|line| line.starts_with(name))?;
        line[name.len()..].split_whitespace().next()?.parse().ok()
    }
}

fn descriptors(config: &Config, limits: &Limits) -> Check {
    const WHAT: &str = "descriptors";
    let workers = (config.workers + config.standby_workers) as u64;
    let sessions = config.max_sessions as u64;
    let kept = DESCRIPTORS_KEPT + workers * DESCRIPTORS_OF_WORKER;
    let needed = kept + sessions * DESCRIPTORS_OF_SESSION;
    match limits.soft("Max open files") {
        Some(limit) if limit < kept + DESCRIPTORS_OF_SESSION => Check::failed(
            WHAT,
            format!("{limit} {}: too few for a single session", limits.whose),
            format!("`ulimit -n {needed}`, or LimitNOFILE={needed} in a unit, before it is started"),
        ),
        Some(limit) if limit < needed => Check::warning(
            WHAT,
            format!(
                "{limit} {}: enough for about {} of {sessions} sessions (limits.sessions)",
                limits.whose,
                limit.saturating_sub(kept) / DESCRIPTORS_OF_SESSION
            ),
            format!("`ulimit -n {needed}`, or LimitNOFILE={needed} in a unit, before it is started; or lower limits.sessions"),
        ),
        Some(limit) => Check::ok(WHAT, format!("{limit} {}", limits.whose)),
        None => Check::ok(WHAT, format!("no limit {}", limits.whose)),
    }
}

fn mappings(config: &Config) -> Check {
    const WHAT: &str = "mappings";
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    let Some(limit) = limit.ok().and_then(|text| text.trim().parse::<u64>().ok()) else {
        return Check::ok(WHAT, "the limit is unknown");
    };
    let tasks = config.max_suspended as u64;
    let needed = MAPPINGS_KEPT + tasks * MAPPINGS_OF_TASK;
    match limit < needed {
        true => Check::warning(
            WHAT,
            format!(
                "vm.max_map_count is {limit}: enough for about {} of {tasks} suspended tasks \
                 (limits.suspended_tasks)",
                limit.saturating_sub(MAPPINGS_KEPT) / MAPPINGS_OF_TASK
            ),
            format!("`sysctl vm.max_map_count={needed}`, or lower limits.suspended_tasks"),
        ),
        false => Check::ok(WHAT, format!("vm.max_map_count is {limit}")),
    }
}

fn addresses(limits: &Limits) -> Check {
    const WHAT: &str = "addresses";
    match limits.soft("Max address space") {
        Some(limit) if limit < FEW_ADDRESSES => Check::warning(
            WHAT,
            format!("{} {}", bytes(limit), limits.whose),
            "segments and stacks take addresses, though hardly any memory: `ulimit -v unlimited` before it is started",
        ),
        Some(limit) => Check::ok(WHAT, format!("{} {}", bytes(limit), limits.whose)),
        None => Check::ok(WHAT, "no limit"),
    }
}

/// Chimaera locks no memory itself: kernels before 5.12 count that of io_uring.
fn memlock(limits: &Limits) -> Check {
    const WHAT: &str = "locked memory";
    const RINGS: u64 = 1 << 20;
    let counts = super::kernel::version().is_some_and(|version| version < (5, 12));
    match limits.soft("Max locked memory") {
        Some(limit) if counts && limit < RINGS => Check::warning(
            WHAT,
            format!("{} {}", bytes(limit), limits.whose),
            "this kernel counts the rings of `chimaera:bdev`, which go without io_uring if they do not fit: \
             `ulimit -l 8192` before it is started",
        ),
        Some(limit) => Check::ok(WHAT, format!("{}, of which a runtime needs none", bytes(limit))),
        None => Check::ok(WHAT, "no limit"),
    }
}

fn cores(config: &Config) -> Check {
    const WHAT: &str = "cores";
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = config.workers;
    let found = format!("{cores}, for {}", counted(&workers.into(), "worker"));
    match cores {
        1 => Check::warning(
            WHAT,
            found,
            "clients and workers take turns on one core, and each task waits for that: give it two or more",
        ),
        _ if workers > cores => Check::warning(
            WHAT,
            found,
            "workers take turns on the cores: lower `workers`, unless their methods block",
        ),
        _ => Check::ok(WHAT, found),
    }
}
