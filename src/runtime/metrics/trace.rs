//! The recording of a trace. Each worker puts the tasks that end on it, and their waits, into a buffer of its own, from
//! which they are taken out now and then. Only measured tasks are traced, and all are measured meanwhile: a task that
//! is not measured costs nothing more than ever.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chimaera_abi::{chi_pool_id, chi_status, chi_task_node};
use chimaera_ipc::ticks;
use chimaera_metrics::{Trace, TracedFor, TracedMethod, TracedTask, TracedWait, TRACE_FORMAT};

use super::scale::Rate;
use super::timing::{Submitter, Timing};
use crate::sys::lock;

/// How many tasks, and how many waits, a worker keeps until they are taken out: some ten megabytes.
const KEPT: usize = 65_536;
/// How many tasks are taken out at a time, with their waits: some megabytes of text.
const TAKEN: usize = 20_000;
/// Who has not asked for that long has forgotten the recording, or is gone.
const FORGOTTEN: Duration = Duration::from_secs(5);
/// The number of a task has the recording's in the bits from here.
const RECORDING_SHIFT: u32 = 56;
/// And the worker's in those from here.
const WORKER_SHIFT: u32 = 44;
/// Any pool.
const ANY_POOL: u64 = u64::MAX;
/// Any method.
const ANY_METHOD: u32 = u32::MAX;

/// Which tasks begin a trace.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) pool: Option<chi_pool_id>,
    /// Of that pool.
    pub(crate) method: Option<u32>,
    pub(crate) session: Option<u64>,
    /// One of so many.
    pub(crate) every: u64,
}

/// The recording of a trace, if there is one.
pub(crate) struct Tracer {
    /// The number of the recording; 0 if there is none.
    recording: AtomicU64,
    /// When it began, in ticks.
    began: AtomicU64,
    pool: AtomicU64,
    method: AtomicU32,
    /// 0 for any.
    session: AtomicU64,
    every: AtomicU64,
    state: Mutex<State>,
    workers: Box<[Buffer]>,
}

struct State {
    last: u64,
    began: Began,
    /// When it was read the last time.
    read: Instant,
    /// How many tasks of earlier recordings have begun, and not ended.
    open_before: u64,
}

/// When the recording began, in two clocks.
#[derive(Clone, Copy)]
struct Began {
    ticks: u64,
    unix_ns: u64,
}

impl Began {
    fn now() -> Began {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Began { ticks: ticks::now(), unix_ns: unix.as_nanos() as u64 }
    }
}

/// What one worker records. It writes the numbers itself.
#[repr(align(64))]
#[derive(Default)]
struct Buffer {
    begun: AtomicU64,
    ended: AtomicU64,
    drawn: AtomicU64,
    recorded: Mutex<Recorded>,
}

#[derive(Default)]
struct Recorded {
    methods: Vec<TracedMethod>,
    known: HashMap<(u64, u32), u32>,
    tasks: Vec<TracedTask>,
    waits: Vec<TracedWait>,
    lost: u64,
}

/// What is known of a task when it starts.
#[derive(Clone, Copy)]
pub(crate) struct Starts {
    pub(crate) pool: chi_pool_id,
    pub(crate) method: u32,
    pub(crate) session: u64,
    /// When it was accepted, in ticks: what came before the recording is not in it.
    pub(crate) accepted: u64,
    pub(crate) submitter: Submitter,
}

/// What is known of a task at its end.
pub(crate) struct Ends<'a> {
    pub(crate) timing: &'a Timing,
    pub(crate) pool: chi_pool_id,
    /// `None` if there is no such pool.
    pub(crate) pool_name: Option<&'a str>,
    pub(crate) method: u32,
    /// `None` if that is unknown.
    pub(crate) method_name: Option<&'a str>,
    pub(crate) session: u64,
    pub(crate) node: chi_task_node,
    pub(crate) status: chi_status,
    pub(crate) bytes_in: u64,
}

fn number_of(pool: chi_pool_id) -> u64 {
    u64::from(pool.major_) << 32 | u64::from(pool.minor_)
}

fn add(counter: &AtomicU64) -> u64 {
    let next = counter.load(Ordering::Relaxed) + 1;
    counter.store(next, Ordering::Relaxed);
    next
}

impl Tracer {
    pub(super) fn new(workers: usize) -> Tracer {
        // Who has recorded in a runtime that ended meanwhile has another number.
        let last = ticks::now();
        let (began, read) = (Began::now(), Instant::now());
        Tracer {
            recording: AtomicU64::new(0),
            began: AtomicU64::new(0),
            pool: AtomicU64::new(ANY_POOL),
            method: AtomicU32::new(ANY_METHOD),
            session: AtomicU64::new(0),
            every: AtomicU64::new(1),
            state: Mutex::new(State { last, began, read, open_before: 0 }),
            workers: (0..workers).map(|_| Buffer::default()).collect(),
        }
    }

    /// Whether a trace is being recorded. `[any thread]`
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.recording.load(Ordering::Relaxed) != 0
    }

    /// How long a recording that is on may go on without being asked for: whoever watches has to look by then.
    pub(crate) fn rest(&self) -> Option<Duration> {
        self.is_on().then_some(FORGOTTEN)
    }

    /// Begins a recording, and returns its number; `None` if there is one already. The workers must be told to measure
    /// all tasks.
    pub(crate) fn begin(&self, filter: Filter) -> Option<u64> {
        let mut state = lock(&self.state);
        if self.is_on() {
            return None;
        }
        // Nobody puts anything there now: it looks under the same lock whether its recording is on.
        self.forget();
        self.pool.store(filter.pool.map_or(ANY_POOL, number_of), Ordering::Relaxed);
        self.method.store(filter.method.unwrap_or(ANY_METHOD), Ordering::Relaxed);
        self.session.store(filter.session.unwrap_or(0), Ordering::Relaxed);
        self.every.store(filter.every.max(1), Ordering::Relaxed);
        state.last += 1;
        state.open_before = self.begun_and_not_ended();
        state.began = Began::now();
        self.began.store(state.began.ticks, Ordering::Relaxed);
        state.read = Instant::now();
        self.recording.store(state.last, Ordering::Release);
        Some(state.last)
    }

    fn forget(&self) {
        self.workers.iter().for_each(|buffer| *lock(&buffer.recorded) = Recorded::default());
    }

    fn begun_and_not_ended(&self) -> u64 {
        // First those that have ended, lest one do so meanwhile that was not seen to begin.
        let sum = |of: fn(&Buffer) -> &AtomicU64| -> u64 {
            self.workers.iter().map(|buffer| of(buffer).load(Ordering::Relaxed)).sum()
        };
        let ended = sum(|buffer| &buffer.ended);
        sum(|buffer| &buffer.begun).saturating_sub(ended)
    }

    /// At most `most` of what was recorded since the last time; `None` if there is no such recording any more. With `end`, it
    /// ends, and the rest counts as lost; then the workers must be told.
    pub(crate) fn read(&self, recording: u64, most: usize, end: bool, rate: Rate) -> Option<Trace> {
        let (began, open_before) = {
            let mut state = lock(&self.state);
            if recording == 0 || self.recording.load(Ordering::Relaxed) != recording {
                return None;
            }
            state.read = Instant::now();
            if end {
                self.recording.store(0, Ordering::Relaxed);
            }
            (state.began, state.open_before)
        };
        let since = |ticks: u64| rate.ns(ticks.saturating_sub(began.ticks));
        let mut trace = Trace {
            format: TRACE_FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            recording,
            began_unix_ns: began.unix_ns,
            until_ns: since(ticks::now()),
            ..Trace::default()
        };
        let most = most.min(TAKEN);
        // Those of all workers, and none of one only.
        let share = most.div_ceil(self.workers.len().max(1));
        for (index, buffer) in self.workers.iter().enumerate() {
            let left = most.saturating_sub(trace.tasks.len());
            let fair = share * (index + 1);
            let room = fair.saturating_sub(trace.tasks.len()).min(left);
            let mut taken = lock(&buffer.recorded).take(room, end);
            let first = trace.methods.len() as u32;
            trace.methods.append(&mut taken.methods);
            trace.is_cut |= taken.is_cut;
            trace.lost += taken.lost;
            trace.tasks.extend(taken.tasks.into_iter().map(|task| TracedTask {
                method: task.method + first,
                // One from before the recording has no time in it.
                submitted_ns: task.submitted_ns.filter(|at| *at >= began.ticks).map(since),
                accepted_ns: since(task.accepted_ns),
                started_ns: since(task.started_ns),
                ended_ns: since(task.ended_ns),
                ..task
            }));
            trace.waits.extend(taken.waits.into_iter().map(|wait| TracedWait {
                since_ns: since(wait.since_ns),
                until_ns: since(wait.until_ns),
                ..wait
            }));
        }
        trace.open = self.begun_and_not_ended().saturating_sub(open_before);
        Some(trace)
    }

    /// Ends a recording that nobody asks for any more. Returns whether it did; then the workers must be told. Does nothing
    /// while somebody asks.
    pub(crate) fn end_if_forgotten(&self) -> bool {
        if !self.is_on() {
            return false;
        }
        let Ok(state) = self.state.try_lock() else { return false };
        let is_forgotten = self.is_on() && state.read.elapsed() >= FORGOTTEN;
        if is_forgotten {
            self.recording.store(0, Ordering::Relaxed);
            // The memory is needed no longer.
            self.forget();
        }
        is_forgotten
    }

    /// The number of a task that starts on this worker; 0 if it is not traced. `[this worker]`
    pub(crate) fn number(&self, worker: u32, task: Starts) -> u64 {
        let recording = self.recording.load(Ordering::Acquire);
        let is_earlier = task.accepted < self.began.load(Ordering::Relaxed);
        if recording == 0 || is_earlier || !self.wants(worker, task, recording) {
            return 0;
        }
        let number = add(&self.workers[worker as usize].begun);
        // So many tasks do not begin on a worker.
        let number = number & ((1 << WORKER_SHIFT) - 1);
        recording << RECORDING_SHIFT | u64::from(worker) << WORKER_SHIFT | number
    }

    fn wants(&self, worker: u32, task: Starts, recording: u64) -> bool {
        if let Submitter::Task(number) = task.submitter {
            if Tracer::is_of(number, recording) {
                return true;
            }
        }
        let pool = self.pool.load(Ordering::Relaxed);
        let method = self.method.load(Ordering::Relaxed);
        let session = self.session.load(Ordering::Relaxed);
        let matches = (pool == ANY_POOL || pool == number_of(task.pool))
            && (method == ANY_METHOD || method == task.method)
            && (session == 0 || session == task.session);
        if !matches {
            return false;
        }
        let every = self.every.load(Ordering::Relaxed);
        // A tree of tasks is traced as a whole or not at all, unless its pool was named.
        let is_part = matches!(task.submitter, Submitter::Task(_)) && pool == ANY_POOL;
        every <= 1 || !is_part && self.draw(worker).is_multiple_of(every)
    }

    /// A number that follows no pattern, lest it be always the same task of one that repeats.
    fn draw(&self, worker: u32) -> u64 {
        add(&self.workers[worker as usize].drawn).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
    }

    fn is_of(number: u64, recording: u64) -> bool {
        number != 0 && number >> RECORDING_SHIFT == recording & 0xff
    }

    /// Whether a task with this number is traced now.
    fn is_traced(&self, number: u64) -> bool {
        let recording = self.recording.load(Ordering::Relaxed);
        recording != 0 && Tracer::is_of(number, recording)
    }

    /// A task ends on this worker. `[this worker]`
    pub(crate) fn end(&self, worker: u32, task: &Ends<'_>) {
        let id = task.timing.trace();
        if id == 0 {
            return;
        }
        let parent = match task.timing.submitter() {
            Submitter::Task(number) => number,
            Submitter::Nobody => 0,
        };
        let buffer = &self.workers[worker as usize];
        // Also of those whose recording has ended.
        add(&buffer.ended);
        let mut recorded = lock(&buffer.recorded);
        if !self.is_traced(id) {
            return;
        }
        if recorded.tasks.len() >= KEPT {
            recorded.lost += 1;
            return;
        }
        let (submitted, accepted, started) = task.timing.moments();
        let method = recorded.method(task);
        recorded.tasks.push(TracedTask {
            id,
            parent,
            method,
            session: task.session,
            root: task.node.root_,
            depth: task.node.depth_,
            worker,
            status: task.status,
            bytes_in: task.bytes_in,
            // Of another unit until they are taken out.
            submitted_ns: (submitted != 0).then_some(submitted),
            accepted_ns: accepted,
            started_ns: started,
            ended_ns: ticks::now(),
        });
    }

    /// A task that waited on this worker since this moment, in ticks, goes on. `[this worker]`
    pub(crate) fn waited(&self, worker: u32, timing: &Timing, what: TracedFor) {
        let task = timing.trace();
        if !self.is_traced(task) {
            return;
        }
        let mut recorded = lock(&self.workers[worker as usize].recorded);
        if !self.is_traced(task) {
            return;
        }
        if recorded.waits.len() >= KEPT {
            recorded.lost += 1;
            return;
        }
        let (since_ns, until_ns) = (timing.since(), ticks::now());
        recorded.waits.push(TracedWait { task, since_ns, until_ns, what });
    }
}

impl Recorded {
    fn method(&mut self, task: &Ends<'_>) -> u32 {
        let next = self.methods.len() as u32;
        let methods = &mut self.methods;
        *self.known.entry((number_of(task.pool), task.method)).or_insert_with(|| {
            let pool = task.pool_name.map_or_else(|| shown(task.pool), str::to_owned);
            let method =
                task.method_name.map_or_else(|| format!("method {}", task.method), str::to_owned);
            methods.push(TracedMethod { pool, method });
            next
        })
    }

    /// Takes out at most so many tasks, the oldest ones, each with all of its waits. At the `end`, the rest is lost.
    fn take(&mut self, most: usize, end: bool) -> Taken {
        let rest = self.tasks.split_off(most.min(self.tasks.len()));
        let tasks = std::mem::replace(&mut self.tasks, rest);
        let taken: HashSet<u64> = tasks.iter().map(|task| task.id).collect();
        let (waits, rest) = std::mem::take(&mut self.waits)
            .into_iter()
            .partition(|wait| taken.contains(&wait.task));
        self.waits = rest;
        let left = self.tasks.len();
        let mut lost = std::mem::take(&mut self.lost);
        let methods = self.methods.clone();
        if end {
            lost += left as u64;
            *self = Recorded::default();
        } else if left == 0 {
            self.methods.clear();
            self.known.clear();
        }
        Taken { methods, tasks, waits, lost, is_cut: left > 0 }
    }
}

/// What was taken out.
struct Taken {
    methods: Vec<TracedMethod>,
    tasks: Vec<TracedTask>,
    waits: Vec<TracedWait>,
    lost: u64,
    /// There is more.
    is_cut: bool,
}

/// The id of a pool, as people write it.
fn shown(pool: chi_pool_id) -> String {
    format!("{}.{}", pool.major_, pool.minor_)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::sys::Budget;

    const POOL: chi_pool_id = chi_pool_id { major_: 3, minor_: 7 };

    fn starts(submitter: Submitter) -> Starts {
        Starts { pool: POOL, method: 10, session: 5, accepted: ticks::now(), submitter }
    }

    /// A task of this worker that starts and ends.
    fn run(tracer: &Tracer, worker: u32, submitter: Submitter) -> u64 {
        let mut timing = Timing::default();
        timing.submit(false);
        timing.set_submitter(submitter);
        timing.set_trace(tracer.number(worker, starts(submitter)));
        end(tracer, worker, &timing);
        timing.trace()
    }

    fn end(tracer: &Tracer, worker: u32, timing: &Timing) {
        let node = chi_task_node { root_: 1, depth_: 0, node_: 0 };
        let names = (Some("p"), Some("kGet"));
        let (pool_name, method_name) = names;
        let (pool, method, session, status, bytes_in) = (POOL, 10, 5, 0, 0);
        tracer.end(
            worker,
            &Ends { timing, pool, pool_name, method, method_name, session, node, status, bytes_in },
        );
    }

    fn metrics() -> Metrics {
        Metrics::new(2, Budget::endless())
    }

    #[test]
    fn what_is_too_much_for_one_answer_comes_with_the_next() {
        let metrics = metrics();
        let tracer = &metrics.tracer;
        let recording = tracer.begin(Filter::default()).unwrap();
        for worker in [0, 1, 1] {
            (0..100).for_each(|_| assert_ne!(run(tracer, worker, Submitter::Nobody), 0));
        }
        let mut ids = Vec::new();
        let mut cut = Vec::new();
        loop {
            let trace = metrics.read_trace(recording, 70, false).unwrap();
            assert!(trace.tasks.len() <= 70 && trace.lost == 0);
            assert!(trace.tasks.iter().all(|task| (task.method as usize) < trace.methods.len()));
            ids.extend(trace.tasks.iter().map(|task| task.id));
            cut.push(trace.is_cut);
            if !trace.is_cut {
                break;
            }
        }
        assert!(cut.len() >= 5);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 300);
        // What is left at the end is lost, and counted.
        (0..100).for_each(|_| assert_ne!(run(tracer, 0, Submitter::Nobody), 0));
        let last = metrics.read_trace(recording, 10, true).unwrap();
        assert_eq!((last.tasks.len() as u64 + last.lost, last.open), (100, 0));
        assert!(metrics.read_trace(recording, 10, false).is_none());
    }

    #[test]
    fn a_task_comes_with_all_of_its_waits() {
        let metrics = metrics();
        let tracer = &metrics.tracer;
        let recording = tracer.begin(Filter::default()).unwrap();
        for _ in 0..3 {
            let mut timing = Timing::default();
            timing.submit(false);
            timing.set_trace(tracer.number(0, starts(Submitter::Nobody)));
            (0..10).for_each(|_| tracer.waited(0, &timing, TracedFor::Lock));
            end(tracer, 0, &timing);
        }
        for left in [true, true, false] {
            let trace = metrics.read_trace(recording, 1, false).unwrap();
            assert_eq!((trace.tasks.len(), trace.waits.len(), trace.is_cut), (1, 10, left));
            assert!(trace.waits.iter().all(|wait| wait.task == trace.tasks[0].id));
        }
    }

    #[test]
    fn more_than_there_is_room_for_is_counted() {
        let metrics = metrics();
        let recording = metrics.tracer.begin(Filter::default()).unwrap();
        (0..KEPT + 12).for_each(|_| assert_ne!(run(&metrics.tracer, 1, Submitter::Nobody), 0));
        assert_eq!(metrics.read_trace(recording, 1, false).unwrap().lost, 12);
    }

    #[test]
    fn a_task_of_an_earlier_recording_is_in_no_later_one() {
        let metrics = metrics();
        let tracer = &metrics.tracer;
        let first = tracer.begin(Filter::default()).unwrap();
        let mut timing = Timing::default();
        timing.submit(false);
        timing.set_trace(tracer.number(0, starts(Submitter::Nobody)));
        assert_eq!(metrics.read_trace(first, 10, false).unwrap().open, 1);
        assert_eq!(metrics.read_trace(first, 10, true).unwrap().open, 1);
        assert!(metrics.read_trace(first, 10, true).is_none(), "it has ended");
        let before = ticks::now();
        let second = tracer.begin(Filter::default()).unwrap();
        assert!(tracer.begin(Filter::default()).is_none(), "there is one at a time");
        assert_ne!(first, second);
        let id = run(tracer, 1, Submitter::Nobody);
        assert_eq!(metrics.read_trace(second, 0, false).unwrap().open, 0);
        end(tracer, 1, &timing);
        let earlier = Starts { accepted: before, ..starts(Submitter::Nobody) };
        assert_eq!(tracer.number(1, earlier), 0, "it came before the recording");
        let trace = metrics.read_trace(second, 10, true).unwrap();
        assert_eq!(trace.tasks.iter().map(|task| task.id).collect::<Vec<_>>(), [id]);
        assert_eq!(trace.open, 0);
    }

    #[test]
    fn a_tree_of_tasks_is_traced_as_a_whole() {
        let metrics = metrics();
        let tracer = &metrics.tracer;
        tracer.begin(Filter { every: 4, ..Filter::default() }).unwrap();
        let mut traced = 0;
        for _ in 0..4000 {
            let root = run(tracer, 0, Submitter::Nobody);
            let child = run(tracer, 1, Submitter::Task(root));
            assert_eq!(child != 0, root != 0);
            traced += u64::from(root != 0);
        }
        assert!((700..1300).contains(&traced), "{traced} of 4000");
    }
}
