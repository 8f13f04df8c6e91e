//! The recording of a trace. Each worker puts the tasks that end on it, and their waits, into a buffer of its own, from
//! which they are taken out now and then. Only measured tasks are traced, and all are measured meanwhile: a task that
//! is not measured costs nothing more than ever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chimaera_abi::{chi_pool_id, chi_status, chi_task_node};
use chimaera_ipc::ticks;
use chimaera_metrics::{Trace, TracedFor, TracedMethod, TracedTask, TracedWait, TRACE_FORMAT};

use super::scale::Rate;
use super::timing::Timing;
use crate::sys::lock;

/// How many tasks, and how many waits, a worker keeps until they are taken out: some ten megabytes.
const KEPT: usize = 65_536;
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

/// What is known of a task at its begin.
#[derive(Clone, Copy)]
pub(crate) struct Begins {
    pub(crate) pool: chi_pool_id,
    pub(crate) method: u32,
    pub(crate) session: u64,
    /// It is submitted by a method.
    pub(crate) is_subtask: bool,
    /// The number of the task that submits it, if that is traced; otherwise 0.
    pub(crate) parent: u64,
}

/// What is known of a task at its end.
pub(crate) struct Ends<'a> {
    pub(crate) timing: &'a Timing,
    pub(crate) pool: chi_pool_id,
    pub(crate) pool_name: &'a str,
    pub(crate) method: u32,
    pub(crate) method_name: &'a str,
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
        Tracer {
            recording: AtomicU64::new(0),
            pool: AtomicU64::new(ANY_POOL),
            method: AtomicU32::new(ANY_METHOD),
            session: AtomicU64::new(0),
            every: AtomicU64::new(1),
            state: Mutex::new(State { last: 0, began: Began::now(), read: Instant::now() }),
            workers: (0..workers).map(|_| Buffer::default()).collect(),
        }
    }

    /// Whether a trace is being recorded. `[any thread]`
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.recording.load(Ordering::Relaxed) != 0
    }

    /// Begins a recording, and returns its number; `None` if there is one already. The workers must be told to measure
    /// all tasks.
    pub(crate) fn begin(&self, filter: Filter) -> Option<u64> {
        let mut state = lock(&self.state);
        if self.is_on() {
            return None;
        }
        for buffer in &self.workers {
            *lock(&buffer.recorded) = Recorded::default();
            // Those of tasks that have not ended yet do not count in this one.
            buffer.ended.store(buffer.begun.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.pool.store(filter.pool.map_or(ANY_POOL, number_of), Ordering::Relaxed);
        self.method.store(filter.method.unwrap_or(ANY_METHOD), Ordering::Relaxed);
        self.session.store(filter.session.unwrap_or(0), Ordering::Relaxed);
        self.every.store(filter.every.max(1), Ordering::Relaxed);
        state.last += 1;
        state.began = Began::now();
        state.read = Instant::now();
        self.recording.store(state.last, Ordering::Release);
        Some(state.last)
    }

    /// What was recorded since the last time; `None` if there is no such recording any more. With `end`, it ends: then the
    /// workers must be told.
    pub(crate) fn read(&self, recording: u64, end: bool, rate: Rate) -> Option<Trace> {
        let mut state = lock(&self.state);
        if recording == 0 || self.recording.load(Ordering::Relaxed) != recording {
            return None;
        }
        state.read = Instant::now();
        if end {
            self.recording.store(0, Ordering::Relaxed);
        }
        let since = |ticks: u64| rate.ns(ticks.saturating_sub(state.began.ticks));
        let mut trace = Trace {
            format: TRACE_FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            recording,
            began_unix_ns: state.began.unix_ns,
            until_ns: since(ticks::now()),
            ..Trace::default()
        };
        let (mut begun, mut ended) = (0, 0);
        for buffer in &self.workers {
            // First, lest one that has ended meanwhile have ended before it began.
            ended += buffer.ended.load(Ordering::Relaxed);
            let recorded = std::mem::take(&mut *lock(&buffer.recorded));
            let first = trace.methods.len() as u32;
            trace.methods.extend(recorded.methods);
            trace.tasks.extend(recorded.tasks.into_iter().map(|task| TracedTask {
                method: task.method + first,
                submitted_ns: task.submitted_ns.map(since),
                accepted_ns: since(task.accepted_ns),
                started_ns: since(task.started_ns),
                ended_ns: since(task.ended_ns),
                ..task
            }));
            trace.waits.extend(recorded.waits.into_iter().map(|wait| TracedWait {
                since_ns: since(wait.since_ns),
                until_ns: since(wait.until_ns),
                ..wait
            }));
            trace.lost += recorded.lost;
        }
        for buffer in &self.workers {
            begun += buffer.begun.load(Ordering::Relaxed);
        }
        trace.open = begun.saturating_sub(ended);
        Some(trace)
    }

    /// Ends a recording that nobody asks for any more. Returns whether it did; then the workers must be told.
    pub(crate) fn end_if_forgotten(&self) -> bool {
        let is_forgotten = self.is_on() && lock(&self.state).read.elapsed() >= FORGOTTEN;
        if is_forgotten {
            self.recording.store(0, Ordering::Relaxed);
            // The memory is needed no longer.
            self.workers.iter().for_each(|buffer| *lock(&buffer.recorded) = Recorded::default());
        }
        is_forgotten
    }

    /// The number of a task that begins on this worker; 0 if it is not traced. `[this worker]`
    pub(crate) fn number(&self, worker: u32, task: Begins) -> u64 {
        let recording = self.recording.load(Ordering::Relaxed);
        if recording == 0 || !self.wants(worker, task, recording) {
            return 0;
        }
        let number = add(&self.workers[worker as usize].begun);
        // So many tasks do not begin on a worker.
        let number = number & ((1 << WORKER_SHIFT) - 1);
        recording << RECORDING_SHIFT | u64::from(worker) << WORKER_SHIFT | number
    }

    fn wants(&self, worker: u32, task: Begins, recording: u64) -> bool {
        if self.is_of(task.parent, recording) {
            return true;
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
        let is_part = task.is_subtask && pool == ANY_POOL;
        every <= 1 || !is_part && add(&self.workers[worker as usize].drawn).is_multiple_of(every)
    }

    fn is_of(&self, number: u64, recording: u64) -> bool {
        number != 0 && number >> RECORDING_SHIFT == recording & 0xff
    }

    /// Whether a task with this number is traced now.
    fn is_traced(&self, number: u64) -> bool {
        let recording = self.recording.load(Ordering::Relaxed);
        recording != 0 && self.is_of(number, recording)
    }

    /// A task ends on this worker. `[this worker]`
    pub(crate) fn end(&self, worker: u32, task: &Ends<'_>) {
        let (id, parent) = task.timing.trace();
        if !self.is_traced(id) {
            return;
        }
        let buffer = &self.workers[worker as usize];
        add(&buffer.ended);
        let mut recorded = lock(&buffer.recorded);
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
        let (task, _) = timing.trace();
        if !self.is_traced(task) {
            return;
        }
        let mut recorded = lock(&self.workers[worker as usize].recorded);
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
            let (pool, method) = (task.pool_name.to_owned(), task.method_name.to_owned());
            methods.push(TracedMethod { pool, method });
            next
        })
    }
}
