//! The watchdog: a thread that looks after the workers while any of them is awake. If a method
//! keeps a worker busy, the watchdog makes an idle worker take over its work, or a stand-by worker
//! if methods keep a whole group busy, and logs the method. It also cleans up some time after tasks
//! have ended: it frees destroyed pools, and returns memory to the operating system.

use std::collections::hash_map::{Entry, HashMap};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::chi_task_node;

use super::deadlock::Search;
use super::mailbox::{ControlCommand, Mailbox, WorkerMessage};
use super::role::Role;
use super::run_queue::RunQueue;
use super::running::Running;
use super::shared::Shared;
use super::slow;
use super::standby;
use crate::log::{log_task, TaskContext};
use crate::sys::last_words;

/// The interval at which the workers are checked.
const TICK: Duration = Duration::from_millis(2);
/// How often to look for deadlocks, if tasks have begun unbounded waits.
const LOOK_FOR_CIRCLES: Duration = Duration::from_millis(200);
/// How often each user's limit on tasks in flight is redivided among its sessions.
const SHARE_TASKS: Duration = Duration::from_millis(10);
/// After this many ticks without parking, a worker is asked to share its work.
const OVERLOADED: u32 = 5;
/// Ticks after which a worker counts as blocked by a method that has not yielded: 10 ms.
/// High-latency tasks may take longer before others of their kind need another worker: a second.
const BLOCKED: u32 = 5;
const BLOCKED_HIGH_LATENCY: u32 = 500;
/// For how many ticks another worker of its group must have been unblocked before a stand-by worker
/// rests.
const QUIET: u32 = 50;
/// How long a task must have run to be reported again. After the last of these, it is reported each
/// time that period passes again.
const REPORT_AGAIN: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(10), Duration::from_secs(60)];
/// All later reports count as the same report.
const LAST_REPORT: u32 = REPORT_AGAIN.len() as u32 + 2;
/// The minimum interval between equal reports of one method, made for different tasks.
const SAME_REPORT: Duration = Duration::from_secs(10);
/// How often to check that the runtime's descriptors are open, while or after module code runs.
const CHECK_DESCRIPTORS: Duration = Duration::from_millis(100);
/// How often the memory of a module host is measured.
const CHECK_MEMORY: Duration = Duration::from_millis(10);
/// How long the control thread may take to notice that it has been told to stop.
const STOP_BOUND: Duration = Duration::from_secs(1);
/// After this many freed records, a megabyte or two, the allocator is asked to return memory to the
/// operating system.
const MANY_FREED: u64 = 2048;
/// The allocator is also asked after this many bytes charged to the memory budget have been freed.
const MUCH_FREED: u64 = 16 << 20;

/// What the watchdog knew of a worker at the previous tick.
#[derive(Clone, Copy)]
struct Seen {
    running: Running,
    /// The task's session, and its position in the tree of tasks.
    node: (u64, chi_task_node),
    tasks: u64,
    rounds: u64,
    parks: u64,
    /// When the worker began to run this.
    since: Instant,
    /// Ticks since `since`.
    ticks: u32,
    /// Ticks since the worker was last parked.
    awake: u32,
    /// How many of the due reports have been made or left out.
    reports: u32,
    /// Ticks since a method last kept the worker busy.
    quiet: u32,
}

/// When each report was last made, by the pool's slot, the method's number and the report's place
/// in a task's sequence of reports.
type Reported = HashMap<(u32, u32, u32), Instant>;

/// Watches until the runtime ends.
pub(crate) fn run(shared: &Arc<Shared>) {
    shared.watchdog.begin();
    let mut seen: Vec<Seen> = Vec::new();
    let mut reported = Reported::new();
    let (mut looked_at, mut looked) = (0, Instant::now());
    let mut search = Search::new();
    let (mut trimmed_at, mut most_used) = (0, 0);
    let mut shared_at = Instant::now();
    // When the descriptors were last checked, and whether module code may have run since.
    let (mut checked, mut unchecked) = (Instant::now(), false);
    let mut memory_at = Instant::now();
    while !shared.is_ending() {
        if unchecked && checked.elapsed() >= CHECK_DESCRIPTORS {
            (checked, unchecked) = (Instant::now(), false);
            check_descriptors(shared);
        }
        free_retired(shared);
        if shared.metrics.tracer.end_if_forgotten() {
            shared.tell_measured();
        }
        let is_pausing = shared.settle_worker_time();
        if shared_at.elapsed() >= SHARE_TASKS {
            shared.share_tasks();
            shared_at = Instant::now();
        }
        let waits = || shared.run_queues().iter().map(RunQueue::waits).sum::<u64>();
        let unknown = waits() != looked_at;
        let is_due = search.next().is_some_and(|at| at <= Instant::now());
        shared.metrics.coarse.set();
        if is_due || unknown && looked.elapsed() >= LOOK_FOR_CIRCLES {
            looked_at = waits();
            if search.look(shared) {
                looked_at = u64::MAX;
            }
            looked = Instant::now();
            continue;
        }
        let all_parked = || {
            shared.mailboxes().iter().all(Mailbox::is_parked)
                && !shared.is_ending()
                && !standby::is_serving(shared)
        };
        if all_parked() {
            let freed = shared.freed_records.load(Ordering::Relaxed);
            let used = shared.budget.all_used();
            if freed - trimmed_at >= MANY_FREED || most_used - used.min(most_used) >= MUCH_FREED {
                (trimmed_at, most_used) = (freed, used);
                trim();
            }
        }
        // While all workers are parked, suspended tasks may be in a deadlock, and a pool may be
        // waiting to be freed.
        let rest = if shared.pools.has_retired() || is_pausing {
            Some(TICK)
        } else {
            let due = search.next().map(|at| at.saturating_duration_since(Instant::now()));
            due.into_iter().chain(unknown.then_some(LOOK_FOR_CIRCLES)).min()
        };
        let check = unchecked.then_some(CHECK_DESCRIPTORS).into_iter();
        let check = check.chain(shared.metrics.tracer.rest());
        let slept = shared.watchdog.sleep(rest.into_iter().chain(check).min(), all_parked);
        unchecked = true;
        if slept {
            continue;
        }
        let before = Instant::now();
        shared.metrics.coarse.set();
        std::thread::park_timeout(TICK);
        shared.metrics.coarse.set();
        if memory_at.elapsed() >= CHECK_MEMORY {
            memory_at = Instant::now();
            check_memory(shared);
        }
        shared.sample_worker_time(before.elapsed());
        most_used = most_used.max(shared.budget.all_used());
        let known = seen.len() as u32;
        seen.extend((known..shared.started() as u32).map(|worker| look(shared, worker)));
        for (worker, seen) in (0..).zip(&mut seen) {
            tick(shared, worker, seen, &mut reported);
        }
        for group in [Role::LowLatency, Role::HighLatency] {
            relieve(shared, group, &seen);
        }
        attend(shared, &seen);
    }
    search.end();
}

/// Stops the runtime if it has lost a descriptor without which it is deaf.
fn check_descriptors(shared: &Shared) {
    // A runtime that ends closes its own, also when it has a successor.
    let ends = || shared.is_stopping() || shared.is_handed_over();
    let Some(lost) = shared.descriptors.find_lost().filter(|_| !ends()) else {
        return;
    };
    shared.set_broken(format!("a descriptor of the runtime was closed by other code: {lost}"));
    shared.command(ControlCommand::Stop);
    // The control thread may be deaf, too.
    let until = Instant::now() + STOP_BOUND;
    while !shared.is_stopping() && !shared.is_ending() {
        if Instant::now() >= until {
            if shared.config.daemon {
                tracing::error!("the control thread cannot be told to stop: the process ends now");
                shared.config.flush_log();
                last_words::give_up();
                // SAFETY: the function ends the process, whatever other threads do.
                unsafe { libc::_exit(1) }
            }
            return;
        }
        std::thread::sleep(TICK);
    }
}

/// Frees the pools that no worker can reach any more. Parked workers are woken for this, because
/// only the rounds that they count show that they have finished with a pool.
fn free_retired(shared: &Shared) {
    if shared.pools.has_retired() {
        for worker in shared.pools.free_retired(&shared.rounds()) {
            shared.mailbox(worker as u32).wake();
        }
    }
}

/// Makes the allocator return unused memory to the operating system. It keeps the memory of many
/// small blocks after they are freed, so an idle runtime would otherwise keep the memory of its
/// busiest time.
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

fn look(shared: &Shared, worker: u32) -> Seen {
    let line = &shared.page().lines[worker as usize];
    let queue = shared.run_queue(worker);
    Seen {
        running: queue.running(),
        node: queue.node(),
        tasks: line.tasks.load(Ordering::Relaxed),
        rounds: shared.mailbox(worker).rounds(),
        parks: line.parks.load(Ordering::Relaxed),
        since: Instant::now(),
        ticks: 0,
        awake: 0,
        reports: 0,
        quiet: 0,
    }
}

fn tick(shared: &Shared, worker: u32, seen: &mut Seen, reported: &mut Reported) {
    let now = look(shared, worker);
    let is_parked = shared.mailbox(worker).is_parked();
    let awake = if now.parks == seen.parks && !is_parked { seen.awake + 1 } else { 0 };
    if !is_parked {
        shared.run_queue(worker).set_doorbells_due();
    }
    let stuck = now.running != Running::RUNTIME
        && now.running == seen.running
        && now.tasks == seen.tasks
        && now.rounds == seen.rounds;
    if !stuck {
        if seen.reports > 0 {
            report(shared, seen, "no longer blocks its worker");
        }
        if seen.ticks > 0 {
            // One that has only been suspended is looked at when it ends.
            if now.tasks != seen.tasks {
                slow::note_busy(shared, seen.running, seen.node, seen.since.elapsed());
            }
            shared.run_queue(worker).busy.store(false, Ordering::Relaxed);
        }
        *seen = Seen { awake, quiet: seen.quiet.saturating_add(1), ..now };
        if awake >= OVERLOADED && awake.is_multiple_of(OVERLOADED) {
            if let Some(idle) = idle_worker(shared, worker) {
                shared.mailbox(worker).send(WorkerMessage::ShareWith { idle });
            }
        }
        return;
    }
    let bound = shared.config.kill_after().filter(|_| !is_bounded_by_daemon(seen));
    if let Some(bound) = bound.filter(|bound| seen.since.elapsed() >= *bound) {
        end_host(shared, &overstayed(shared, seen, bound));
    }
    if shared.run_queue(worker).has_lost_thread() {
        stop_without(shared, worker, seen);
    }
    seen.ticks += 1;
    seen.quiet = 0;
    seen.node = now.node;
    seen.awake = awake;
    let since = seen.since.saturating_duration_since(shared.start);
    shared.run_queue(worker).set_busy(since, seen.running, seen.tasks);
    // Sent again whenever messages are waiting, and at growing intervals in any case.
    if seen.ticks.is_power_of_two() || shared.mailbox(worker).has_messages() {
        if let Some(idle) = idle_worker(shared, worker) {
            shared.mailbox(idle).send(WorkerMessage::StealFrom { busy: worker });
        }
    }
    let Some(limit) = shared.config.long_task_warning else { return };
    if shared.run_queue(worker).has_lost_thread() {
        return;
    }
    let due = reports_due(seen.since.elapsed(), limit);
    if due > seen.reports {
        let Some((slot, number)) = seen.running.parts() else { return };
        let last = reported.entry((slot, number, due.min(LAST_REPORT)));
        if let Entry::Occupied(at) = &last {
            if at.get().elapsed() < SAME_REPORT {
                return;
            }
        }
        last.insert_entry(Instant::now());
        seen.reports = due;
        report(shared, seen, "has not yielded its worker; it should yield, or be split up");
    }
}

/// Stops the runtime, which has lost a worker: what is suspended on it will never end.
#[cold]
fn stop_without(shared: &Shared, worker: u32, seen: &Seen) {
    let (method, name) = named(shared, seen);
    let why = format!(
        "the thread of worker {worker} has ended inside {method} of pool '{name}', by a system call of a module's own"
    );
    if shared.hosts.daemon().is_some() {
        end_host(shared, &why);
    }
    let is_new = shared.broken().is_none();
    if is_new {
        shared.set_broken(why.clone());
    }
    if !shared.is_stopping() {
        shared.command(ControlCommand::Stop);
    }
    if is_new {
        // Last, because its file system may hang.
        last_words::note(&format!("{why}, in worker {worker}"));
    }
}

/// Whether a module host creates its pool, or saves its states, which may be large: the daemon bounds that.
fn is_bounded_by_daemon(seen: &Seen) -> bool {
    seen.running.is_creating()
}

/// How many reports should have been made of a task that has kept its worker for `time`, if the
/// first is due after `limit`.
fn reports_due(time: Duration, limit: Duration) -> u32 {
    if time < limit {
        return 0;
    }
    let [.., last] = REPORT_AGAIN;
    let again = REPORT_AGAIN.iter().filter(|&&at| limit < at && at <= time).count() as u32;
    let minutes = |time: Duration| (time.as_secs() / last.as_secs()) as u32;
    1 + again + minutes(time).saturating_sub(minutes(limit).max(1))
}

/// A parked worker of the same group. One of the other group is no help: on a worker for
/// low-latency tasks, a high-latency task would keep them waiting, and vice versa.
fn idle_worker(shared: &Shared, busy: u32) -> Option<u32> {
    // A resting stand-by worker receives little, and from either group.
    let role = match shared.run_queue(busy).role() {
        Role::Resting => Role::LowLatency,
        role => role,
    };
    (0..shared.started() as u32).find(|&worker| {
        worker != busy
            && shared.run_queue(worker).role() == role
            && shared.mailbox(worker).is_parked()
    })
}

/// Makes a stand-by worker serve a group whose workers are all blocked, or puts it to rest when it
/// is no longer needed.
fn relieve(shared: &Arc<Shared>, group: Role, seen: &[Seen]) {
    let serves = |worker: &u32| shared.run_queue(*worker).role() == group;
    let mut serving = (0..seen.len() as u32).filter(serves).peekable();
    if serving.peek().is_none() {
        return;
    }
    let serving: Vec<u32> = serving.collect();
    let of = |worker: &u32| &seen[*worker as usize];
    let blocked = match group {
        Role::HighLatency => BLOCKED_HIGH_LATENCY,
        _ => BLOCKED,
    };
    if serving.iter().all(|worker| of(worker).ticks >= blocked) {
        let Some(relief) = standby::call_up(shared, group) else { return };
        for busy in serving {
            shared.mailbox(relief).send(WorkerMessage::StealFrom { busy });
        }
        return;
    }
    let mut standby = serving.iter().rev().filter(|worker| shared.is_standby(**worker));
    // A stand-by worker that a method keeps busy stays until the method returns.
    let Some(&spare) = standby.find(|worker| of(worker).ticks == 0) else { return };
    let others = serving.iter().filter(|worker| **worker != spare);
    let quiet = others.max_by_key(|worker| of(worker).quiet);
    if let Some(&to) = quiet.filter(|worker| of(worker).quiet >= QUIET) {
        standby::rest(shared, spare, to);
    }
}

/// Makes a stand-by worker attend while methods block all workers of low-latency tasks, which read what
/// clients say.
fn attend(shared: &Arc<Shared>, seen: &[Seen]) {
    let serves = |worker: &u32| shared.run_queue(*worker).role() == Role::LowLatency;
    let serving = || (0..seen.len() as u32).filter(serves);
    let ticks = |worker: u32| seen[worker as usize].ticks;
    match serving().find(|worker| ticks(*worker) < BLOCKED) {
        // A round of the watchdog later than the last call for a stand-by worker, which then serves.
        None if serving().all(|worker| ticks(worker) > BLOCKED) => {
            // New clients' rings are given to blocked workers, too.
            if !serving().any(|worker| ticks(worker).is_multiple_of(BLOCKED)) {
                return;
            }
            let Some(attendant) = standby::attend(shared) else { return };
            for busy in serving() {
                shared.mailbox(attendant).send(WorkerMessage::StealFrom { busy });
            }
        }
        None => {}
        Some(to) => {
            if let Some(attendant) = standby::attendant(shared) {
                standby::rest(shared, attendant, to);
            }
        }
    }
}

/// Says that a method of a module host has kept its worker for too long.
#[cold]
fn overstayed(shared: &Shared, seen: &Seen, bound: Duration) -> String {
    let (method, name) = named(shared, seen);
    format!(
        "{method} of pool '{name}' has kept its worker for {bound:?} without yielding (kill_after)"
    )
}

/// The names of the method that a worker runs, and of its pool.
fn named(shared: &Shared, seen: &Seen) -> (String, String) {
    let unknown = || ("a method".to_owned(), String::new());
    seen.running.in_words(&shared.pools).unwrap_or_else(unknown)
}

/// Ends a module host that breaks one of its limits.
#[cold]
pub(crate) fn end_host(shared: &Shared, why: &str) -> ! {
    tracing::error!("{why}: the module host ends");
    shared.config.flush_log();
    if let Some(orders) = &shared.config.orders {
        // The daemon reads it as it reads the last words of a host that crashes. Without it, the log still
        // has the reason.
        let _ = std::fs::write(&orders.crash, why);
    }
    last_words::give_up();
    // SAFETY: the function ends the process, whatever other threads do.
    unsafe { libc::_exit(1) }
}

/// Ends a module host that uses more memory than it may.
fn check_memory(shared: &Shared) {
    let Some(most) = shared.config.host_memory() else { return };
    if shared.hosts.has_states() {
        // The states are in memory, too, for that time.
        return;
    }
    let used = crate::sys::own_memory().unwrap_or(0);
    if used > most {
        let why = format!("it uses {used} bytes of memory, more than its {most} (memory_limit)");
        end_host(shared, &why);
    }
}

#[cold]
fn report(shared: &Shared, seen: &Seen, what: &str) {
    let Some((method, pool)) = seen.running.in_words(&shared.pools) else { return };
    let took = seen.since.elapsed();
    let (pool, method) = (Some(&*pool), Some(&*method));
    let context = TaskContext { pool, method, ..TaskContext::default() };
    let (session, node) = seen.node;
    log_task!(warn, context.at(session, node), ?took, "a task {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_blocks_for_long_is_reported_again_and_again() {
        let due = |millis, limit| {
            reports_due(Duration::from_millis(millis), Duration::from_millis(limit))
        };
        let steps = [(99, 0), (100, 1), (999, 1), (1000, 2), (9999, 2), (10_000, 3), (59_999, 3)];
        for (millis, count) in steps {
            assert_eq!(due(millis, 100), count, "{millis}");
        }
        assert_eq!([60_000, 119_999, 120_000, 3_600_000].map(|at| due(at, 100)), [4, 4, 5, 63]);
        assert_eq!([999, 1000, 9999, 10_000].map(|at| due(at, 1000)), [0, 1, 1, 2]);
        assert_eq!([89_999, 90_000, 119_999, 120_000].map(|at| due(at, 90_000)), [0, 1, 1, 2]);
    }
}
