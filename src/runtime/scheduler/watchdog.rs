//! The watchdog: a thread that watches the workers while any of them is awake. It has an idle
//! worker steal from one that a method keeps busy, and names that method in the log. It also does
//! what can only be done some time after tasks have ended: it frees destroyed pools and returns
//! memory to the operating system.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chimaera_abi::chi_task_node;

use super::deadlock;
use super::mailbox::{Mailbox, WorkerMessage};
use super::run_queue::{RunQueue, Running};
use super::shared::Shared;
use crate::log::{log_task, TaskContext};

/// The interval at which it checks the workers.
const TICK: Duration = Duration::from_millis(2);
/// How often it looks for deadlocks, if tasks have begun unbounded waits.
const LOOK_FOR_CIRCLES: Duration = Duration::from_millis(200);
/// After this many ticks without parking, a worker is asked to share its work.
const OVERLOADED: u32 = 5;
/// The minimum time between two warnings about the same method.
const WARN_AGAIN: Duration = Duration::from_secs(10);
/// After this many freed records, a megabyte or two, the allocator is asked to return memory to the
/// operating system.
const MANY_FREED: u64 = 2048;

/// What the watchdog knows of a worker from the previous tick.
#[derive(Clone, Copy)]
struct Seen {
    running: Running,
    /// The task's session, and its position in the tree of tasks.
    node: (u64, chi_task_node),
    tasks: u64,
    rounds: u64,
    parks: u64,
    /// Since when it has been running this.
    since: Instant,
    /// Ticks since `since`.
    ticks: u32,
    /// Ticks since it was last parked.
    awake: u32,
    warned: bool,
}

/// Runs the watchdog until the runtime ends.
pub(crate) fn run(shared: &Shared) {
    shared.watchdog.begin();
    let workers = 0..shared.run_queues.len();
    let mut seen: Vec<Seen> = workers.map(|worker| look(shared, worker)).collect();
    let mut warned: HashMap<(u32, u32), Instant> = HashMap::new();
    let (mut looked_at, mut looked) = (0, Instant::now());
    let mut trimmed_at = 0;
    while !shared.is_ending() {
        free_retired(shared);
        let waits = || shared.run_queues.iter().map(RunQueue::waits).sum::<u64>();
        let unknown = waits() != looked_at;
        if unknown && looked.elapsed() >= LOOK_FOR_CIRCLES {
            looked_at = waits();
            if deadlock::look(shared) {
                looked_at = u64::MAX;
            }
            looked = Instant::now();
            continue;
        }
        let all_parked = || shared.mailboxes.iter().all(Mailbox::is_parked) && !shared.is_ending();
        if all_parked() {
            let freed = shared.freed_records.load(Ordering::Relaxed);
            if freed - trimmed_at >= MANY_FREED {
                trimmed_at = freed;
                trim();
            }
        }
        // While all workers are parked, suspended tasks may be in a deadlock, and a pool may be
        // waiting to be freed.
        let rest = if shared.pools.has_retired() {
            Some(TICK)
        } else {
            unknown.then_some(LOOK_FOR_CIRCLES)
        };
        if shared.watchdog.sleep(rest, all_parked) {
            continue;
        }
        std::thread::park_timeout(TICK);
        for (worker, seen) in seen.iter_mut().enumerate() {
            tick(shared, worker, seen, &mut warned);
        }
    }
}

/// Frees the pools that no worker can reach any more. Parked workers are woken for this, because
/// only the rounds that they count show that they have finished with a pool.
fn free_retired(shared: &Shared) {
    if shared.pools.has_retired() {
        for worker in shared.pools.free_retired(&shared.rounds()) {
            shared.mailboxes[worker].wake();
        }
    }
}

/// Makes the allocator return unused memory to the operating system. It keeps what many small
/// blocks leave behind, so that otherwise an idle runtime would keep the memory of its busiest
/// time.
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn look(shared: &Shared, worker: usize) -> Seen {
    let line = &shared.page().lines[worker];
    Seen {
        running: shared.run_queues[worker].running(),
        node: shared.run_queues[worker].node(),
        tasks: line.tasks.load(Ordering::Relaxed),
        rounds: shared.mailboxes[worker].rounds(),
        parks: line.parks.load(Ordering::Relaxed),
        since: Instant::now(),
        ticks: 0,
        awake: 0,
        warned: false,
    }
}

fn tick(
    shared: &Shared,
    worker: usize,
    seen: &mut Seen,
    warned: &mut HashMap<(u32, u32), Instant>,
) {
    let now = look(shared, worker);
    let awake = if now.parks == seen.parks && !shared.mailboxes[worker].is_parked() {
        seen.awake + 1
    } else {
        0
    };
    let stuck = now.running != Running::RUNTIME
        && now.running == seen.running
        && now.tasks == seen.tasks
        && now.rounds == seen.rounds;
    if !stuck {
        if seen.warned {
            report(shared, seen, "has yielded its worker");
        }
        if seen.ticks > 0 {
            shared.run_queues[worker].busy.store(false, Ordering::Relaxed);
        }
        *seen = Seen { awake, ..now };
        if awake >= OVERLOADED && awake.is_multiple_of(OVERLOADED) {
            if let Some(idle) = idle_worker(shared, worker) {
                shared.mailboxes[worker].send(WorkerMessage::ShareWith { idle: idle as u32 });
            }
        }
        return;
    }
    seen.ticks += 1;
    seen.node = now.node;
    seen.awake = awake;
    shared.run_queues[worker].busy.store(true, Ordering::Relaxed);
    // Repeated when messages have arrived, and at growing intervals in any case.
    if seen.ticks.is_power_of_two() || shared.mailboxes[worker].has_messages() {
        if let Some(idle) = idle_worker(shared, worker) {
            shared.mailboxes[idle].send(WorkerMessage::StealFrom { busy: worker as u32 });
        }
    }
    let Some(limit) = shared.config.long_task_warning else { return };
    if !seen.warned && seen.since.elapsed() >= limit {
        let Some(parts) = seen.running.parts() else { return };
        if warned.get(&parts).is_none_or(|at| at.elapsed() >= WARN_AGAIN) {
            warned.insert(parts, Instant::now());
            seen.warned = true;
            report(shared, seen, "has not yielded its worker; it should yield, or be split up");
        }
    }
}

/// A parked worker of the same group. One of the other group must not help: high-latency tasks on a
/// low-latency worker would delay low-latency tasks, and the other way round.
fn idle_worker(shared: &Shared, busy: usize) -> Option<usize> {
    let high = shared.config.is_high_latency(busy);
    (0..shared.run_queues.len()).find(|&worker| {
        worker != busy
            && shared.config.is_high_latency(worker) == high
            && shared.mailboxes[worker].is_parked()
    })
}

#[cold]
fn report(shared: &Shared, seen: &Seen, what: &str) {
    let Some((slot, number)) = seen.running.parts() else { return };
    let table = shared.table();
    let Some(pool) = table.in_slot(slot) else { return };
    let method = pool.module().methods.get(number);
    let method = method.map_or("an unknown method", |method| method.name.as_str());
    let took = seen.since.elapsed();
    let (pool, method) = (Some(pool.name()), Some(method));
    let context = TaskContext { pool, method, ..TaskContext::default() };
    let (session, node) = seen.node;
    log_task!(warn, context.at(session, node), ?took, "a task {what}");
}
