//! The process's session: created by `init`, and replaced when its runtime has died and a new one
//! is running.

use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};

use chimaera_abi::*;
use chimaera_front::{Failure, Result};

use crate::options::Options;
use crate::session::Session;
use crate::{connect, thread};

struct Process {
    options: Options,
    session: Option<Arc<Session>>,
    /// Sessions whose runtime has stopped, but in whose segments the application still holds tasks.
    retired: Vec<Arc<Session>>,
    /// A thread is connecting, without holding the lock.
    connecting: bool,
    /// The number of attempts to connect so far.
    attempts: u64,
    /// Why the last attempt failed, if it did.
    failure: Option<Failure>,
}

/// The process's state, made anew in a forked child that may have a session of its own.
struct State {
    process: Mutex<Process>,
    connected: Condvar,
}

struct StateCell(UnsafeCell<ManuallyDrop<State>>);

// SAFETY: it is written only in a forked child, by its only thread.
unsafe impl Sync for StateCell {}

static STATE: StateCell = StateCell(UnsafeCell::new(ManuallyDrop::new(State::new())));

/// Counts the sessions of the process. A thread whose own number differs must look at `STATE`.
static EPOCH: AtomicU64 = AtomicU64::new(0);
/// There is a session.
static CONNECTED: AtomicBool = AtomicBool::new(false);
/// This process is a child of one that had a session when it forked.
static FORKED: AtomicBool = AtomicBool::new(false);
/// How often this process, or its parents, have forked: a child has another number than what it has copied.
static GENERATION: AtomicU32 = AtomicU32::new(0);
static REFUSED: AtomicBool = AtomicBool::new(false);

impl State {
    const fn new() -> State {
        let process = Process {
            options: Options::new(),
            session: None,
            retired: Vec::new(),
            connecting: false,
            attempts: 0,
            failure: None,
        };
        State { process: Mutex::new(process), connected: Condvar::new() }
    }
}

/// The process's state.
fn state() -> &'static State {
    // SAFETY: it is replaced only in a forked child, before anything there refers to it.
    unsafe { &*STATE.0.get() }
}

extern "C" fn after_fork_in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    if CONNECTED.load(Ordering::Relaxed) {
        FORKED.store(true, Ordering::Relaxed);
        return;
    }
    // The state copied from the parent is of no use: its addresses are not mapped here, and its
    // locks may be held by threads that do not exist here.
    thread::forget();
    // SAFETY: the child has only this thread, which is still inside fork and holds no reference to
    // the state.
    unsafe { STATE.0.get().write(ManuallyDrop::new(State::new())) };
}

/// Connects this process to a runtime. Calling it again while connected does nothing.
pub fn init(options: Options) -> Result<()> {
    check_fork()?;
    if REFUSED.load(Ordering::Relaxed) {
        return Err(Failure::new(
            CHI_DENIED,
            "chi_init is refused inside a runtime: modules use the IPC manager of their worker",
        ));
    }
    static AT_FORK: Once = Once::new();
    // SAFETY: the handler only stores to memory that belongs to the child alone.
    AT_FORK.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(after_fork_in_child));
    });
    let mut process = lock();
    loop {
        if process.session.as_ref().is_some_and(|session| !session.is_dead()) {
            return Ok(());
        }
        if !process.connecting {
            break;
        }
        process = wait_for_attempt(process);
    }
    let (mut process, session) = attempt(process, &options);
    process.options = options;
    process.take(session?);
    drop(process);
    // This thread uses the session from now on, so the watcher must run.
    thread::with(|_, _| Ok(())).inspect_err(|_| shutdown())
}

/// Ends the process's session. Tasks in flight are lost, and no task or buffer of the session may
/// be used afterwards. Does nothing without a session.
pub fn shutdown() {
    if check_fork().is_err() {
        return;
    }
    let mut process = lock();
    process.replace(None);
    let over = std::mem::take(&mut process.retired);
    drop(process);
    over.iter().for_each(|session| session.watcher().join());
}

/// True between a successful [`init`] and [`shutdown`].
pub fn is_initialized() -> bool {
    check_fork().is_ok() && lock().session.is_some()
}

/// Makes every later `init` of this process fail: it is a runtime.
pub(crate) fn refuse_init() {
    REFUSED.store(true, Ordering::Relaxed);
}

/// The current epoch.
#[inline]
pub(crate) fn epoch() -> u64 {
    EPOCH.load(Ordering::Acquire)
}

/// Of which process something is that was made now.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Fails in a child that was forked while there was a session.
#[inline]
pub(crate) fn check_fork() -> Result<()> {
    if FORKED.load(Ordering::Relaxed) {
        return Err(Failure::new(
            CHI_FORKED,
            "this process was forked after chi_init, and only the parent may use the session: fork \
             before chi_init, or exec in the child",
        ));
    }
    Ok(())
}

/// The session in which to make tasks. Reconnects when the runtime of the last one has stopped.
pub(crate) fn current() -> Result<(Arc<Session>, u64)> {
    check_fork()?;
    let mut process = lock();
    loop {
        let Some(session) = &process.session else { return Err(not_connected()) };
        if !session.is_dead() {
            return Ok((session.clone(), epoch()));
        }
        if process.connecting {
            let before = process.attempts;
            process = wait_for_attempt(process);
            // Another thread has just failed to connect: do not try again at once.
            match &process.failure {
                Some(failure) if process.attempts != before => return Err(failure.clone()),
                _ => continue,
            }
        }
        let options = process.options.clone();
        let (after, session) = attempt(process, &options);
        process = after;
        let session = session?;
        if process.session.is_none() {
            // The process has called `shutdown` meanwhile.
            session.disconnect();
            return Err(not_connected());
        }
        process.take(session);
    }
}

fn not_connected() -> Failure {
    Failure::new(CHI_NOT_INITIALIZED, "not connected: call chi_init first")
}

/// The current or earlier session whose segment contains an address, and the offset in it.
pub(crate) fn find(address: *const u8) -> Option<(Arc<Session>, u64)> {
    let process = lock();
    let mut all = process.session.iter().chain(&process.retired);
    all.find_map(|session| Some((session.clone(), session.mapping().offset_of(address)?)))
}

type Locked = MutexGuard<'static, Process>;

/// Tries to connect. A runtime may be slow to answer, so the lock is not held meanwhile; one thread
/// at a time tries.
fn attempt(mut process: Locked, options: &Options) -> (Locked, Result<Arc<Session>>) {
    process.connecting = true;
    drop(process);
    let made = connect::connect(options).and_then(Session::new).map(Arc::new);
    let mut process = lock();
    process.connecting = false;
    process.attempts += 1;
    process.failure = made.as_ref().err().cloned();
    state().connected.notify_all();
    (process, made)
}

/// Waits until the connecting thread has succeeded or failed.
fn wait_for_attempt(process: Locked) -> Locked {
    let before = process.attempts;
    let going_on = |process: &mut Process| process.connecting && process.attempts == before;
    state().connected.wait_while(process, going_on).unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Switches to a new session. The previous one stays as long as the application still has
    /// blocks in it.
    fn take(&mut self, session: Arc<Session>) {
        self.replace(Some(session));
        self.retired.retain(|old| old.holds_tasks());
    }

    fn replace(&mut self, session: Option<Arc<Session>>) {
        CONNECTED.store(session.is_some(), Ordering::Relaxed);
        if let Some(old) = std::mem::replace(&mut self.session, session) {
            old.disconnect();
            self.retired.push(old);
        }
        EPOCH.fetch_add(1, Ordering::Release);
    }
}

fn lock() -> Locked {
    // A panic under the lock leaves the state consistent: every change is one assignment.
    state().process.lock().unwrap_or_else(PoisonError::into_inner)
}
