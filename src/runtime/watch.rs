//! The watch: a thread that looks after the workers while any of them is awake. It has an idle worker
//! relieve one that a method keeps busy, and says in the log which method that is.

use std::collections::HashMap;
use std::sync::atomic::{fence, AtomicBool, Ordering};
use std::sync::OnceLock;
use std::thread::Thread;
use std::time::{Duration, Instant};

use chimaera_abi::chi_task_node;

use crate::about::{log_about, About};
use crate::deadlock;
use crate::desk::{Desk, Running};
use crate::shared::{Note, Shared};

/// How often it looks.
const TICK: Duration = Duration::from_millis(2);
/// How often it looks for tasks that wait for each other in a circle, when tasks have begun to wait.
const LOOK_FOR_CIRCLES: Duration = Duration::from_millis(200);
/// Ticks without a pause after which a worker is asked to share.
const OVERLOADED: u32 = 5;
/// A method is warned of once in so long a time.
const WARN_AGAIN: Duration = Duration::from_secs(10);

/// What wakes the watch.
#[derive(Default)]
pub(crate) struct Watch {
    thread: OnceLock<Thread>,
    asleep: AtomicBool,
}

impl Watch {
    /// A worker has woken up, or the runtime ends. `[any thread]`
    pub(crate) fn wake(&self) {
        // Either the watch sees the worker awake, or the worker the watch asleep.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::SeqCst) {
            if let Some(thread) = self.thread.get() {
                thread.unpark();
            }
        }
    }
}

/// What the watch remembers of a worker from one tick to the next.
#[derive(Clone, Copy)]
struct Seen {
    running: Running,
    /// The task's session, and its place in the tree of tasks.
    node: (u64, chi_task_node),
    tasks: u64,
    rounds: u64,
    parks: u64,
    /// Since when it has run what it runs.
    since: Instant,
    /// Ticks since then.
    ticks: u32,
    /// Ticks since it last slept.
    awake: u32,
    warned: bool,
}

/// Watches until the runtime ends.
pub(crate) fn run(shared: &Shared) {
    assert!(shared.watch.thread.set(std::thread::current()).is_ok(), "there is one watch");
    let mut seen: Vec<Seen> = (0..shared.desks.len()).map(|worker| look(shared, worker)).collect();
    let mut warned: HashMap<(u32, u32), Instant> = HashMap::new();
    let (mut looked_at, mut looked) = (0, Instant::now());
    while !shared.is_ending() {
        let waits = || shared.desks.iter().map(Desk::waits).sum::<u64>();
        let unknown = waits() != looked_at;
        if unknown && looked.elapsed() >= LOOK_FOR_CIRCLES {
            looked_at = waits();
            if deadlock::look(shared) {
                looked_at = u64::MAX;
            }
            looked = Instant::now();
            continue;
        }
        shared.watch.asleep.store(true, Ordering::SeqCst);
        if shared.mailboxes.iter().all(|mailbox| mailbox.is_parked()) && !shared.is_ending() {
            // Once all sleep, those that wait may wait for each other.
            if unknown {
                std::thread::park_timeout(LOOK_FOR_CIRCLES);
            } else {
                std::thread::park();
            }
            shared.watch.asleep.store(false, Ordering::SeqCst);
            continue;
        }
        shared.watch.asleep.store(false, Ordering::SeqCst);
        std::thread::park_timeout(TICK);
        for (worker, seen) in seen.iter_mut().enumerate() {
            tick(shared, worker, seen, &mut warned);
        }
    }
}

fn look(shared: &Shared, worker: usize) -> Seen {
    let line = &shared.page().lines[worker];
    Seen {
        running: shared.desks[worker].running(),
        node: shared.desks[worker].node(),
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
            report(shared, seen, "has given its worker up again");
        }
        if seen.ticks > 0 {
            shared.desks[worker].busy.store(false, Ordering::Relaxed);
        }
        *seen = Seen { awake, ..now };
        if awake >= OVERLOADED && awake.is_multiple_of(OVERLOADED) {
            if let Some(idle) = idle_worker(shared, worker) {
                shared.mailboxes[worker].send(Note::Share { with: idle as u32 });
            }
        }
        return;
    }
    seen.ticks += 1;
    seen.node = now.node;
    seen.awake = awake;
    shared.desks[worker].busy.store(true, Ordering::Relaxed);
    // Again when something has come in, and now and then in any case.
    if seen.ticks.is_power_of_two() || shared.mailboxes[worker].has_notes() {
        if let Some(idle) = idle_worker(shared, worker) {
            shared.mailboxes[idle].send(Note::Help { busy: worker as u32 });
        }
    }
    let Some(limit) = shared.config.long_task_warning else { return };
    if !seen.warned && seen.since.elapsed() >= limit {
        let Some(parts) = seen.running.parts() else { return };
        if warned.get(&parts).is_none_or(|at| at.elapsed() >= WARN_AGAIN) {
            warned.insert(parts, Instant::now());
            seen.warned = true;
            report(shared, seen, "keeps its worker; it should yield, or be split");
        }
    }
}

/// A worker of the same group that sleeps. One of the other group is no help: on a worker for tasks of
/// low latency, one of high latency would keep them waiting, and the other way round.
fn idle_worker(shared: &Shared, busy: usize) -> Option<usize> {
    let high = shared.config.is_high_latency(busy);
    (0..shared.desks.len()).find(|&worker| {
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
    let about = About { pool: Some(pool.name()), method: Some(method), ..About::default() };
    let (session, node) = seen.node;
    log_about!(warn, about.at(session, node), ?took, "a task {what}");
}
