//! The process's session: created by `init`, and replaced when its runtime has died and a new one
//! runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};

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
}

static PROCESS: Mutex<Process> =
    Mutex::new(Process { options: Options::new(), session: None, retired: Vec::new() });

/// Counts the sessions of the process. A thread that has seen another number must look at
/// `PROCESS`.
static EPOCH: AtomicU64 = AtomicU64::new(0);
static FORKED: AtomicBool = AtomicBool::new(false);
static REFUSED: AtomicBool = AtomicBool::new(false);

extern "C" fn after_fork_in_child() {
    FORKED.store(true, Ordering::Relaxed);
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
    // SAFETY: the handler only stores to an atomic, which is safe after a fork.
    AT_FORK.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(after_fork_in_child));
    });
    let mut process = lock();
    if process.session.as_ref().is_some_and(|session| !session.is_dead()) {
        return Ok(());
    }
    let session = connect(&options)?;
    process.options = options;
    let old = replace(&mut process, Some(session));
    process.retired.extend(old);
    process.retired.retain(|old| old.holds_tasks());
    drop(process);
    // This thread uses it from now on, and so it is watched.
    thread::with(|_, _| Ok(())).inspect_err(|_| shutdown())
}

fn connect(options: &Options) -> Result<Arc<Session>> {
    Ok(Arc::new(Session::new(connect::connect(options)?)?))
}

/// Ends the process's session. Tasks in flight are lost, and no task or buffer of the session may
/// be used afterwards. Does nothing without a session.
pub fn shutdown() {
    if check_fork().is_err() {
        return;
    }
    let mut process = lock();
    let mut over = std::mem::take(&mut process.retired);
    over.extend(replace(&mut process, None));
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

/// Fails in a child that was forked after `init`.
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
    let Some(session) = &process.session else {
        return Err(Failure::new(CHI_NOT_INITIALIZED, "not connected: call chi_init first"));
    };
    if session.is_dead() {
        let session = connect(&process.options)?;
        let old = replace(&mut process, Some(session));
        process.retired.extend(old);
        process.retired.retain(|old| old.holds_tasks());
    }
    let session = process.session.clone().expect("there is a session, by the check above");
    Ok((session, epoch()))
}

/// The current or earlier session whose segment contains an address, and the offset in it.
pub(crate) fn find(address: *const u8) -> Option<(Arc<Session>, u64)> {
    let process = lock();
    let mut all = process.session.iter().chain(&process.retired);
    all.find_map(|session| Some((session.clone(), session.mapping().offset_of(address)?)))
}

/// Puts another session in the place of the current one, and returns that.
fn replace(process: &mut Process, session: Option<Arc<Session>>) -> Option<Arc<Session>> {
    let old = std::mem::replace(&mut process.session, session);
    if let Some(old) = &old {
        old.disconnect();
    }
    EPOCH.fetch_add(1, Ordering::Release);
    old
}

fn lock() -> std::sync::MutexGuard<'static, Process> {
    // A panic under the lock leaves consistent values: every change is a single assignment.
    PROCESS.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
