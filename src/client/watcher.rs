//! The thread that learns of the runtime's end: it sleeps until the session's socket hangs up, and
//! then ends the tasks in flight. A thread that waits or polls finds its task complete.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread::JoinHandle;
use std::time::Duration;

use chimaera_abi::*;
use chimaera_front::{Failure, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec};

use crate::session::{lock, Session};

/// The watcher's own calls need little stack, and it calls no code of the application. If it is the
/// last thread, though, the process's exit handlers run on its stack.
const STACK: usize = 256 * 1024;
/// How long the watcher stays after the last thread has stopped using the session.
const LINGER: Duration = Duration::from_secs(1);

/// A session's watcher, seen from the threads that it serves.
pub(crate) struct Watcher {
    /// The number of threads that use the session. At zero the watcher exits, because a process
    /// whose `main` called `pthread_exit` ends with its last thread.
    users: AtomicUsize,
    /// Signalled when the last of them has gone.
    bell: Arc<OwnedFd>,
    /// The process has closed the session's descriptors, whose numbers may be those of others by now.
    forsaken: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Watcher {
    pub(crate) fn new() -> Result<Watcher> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let bell = rustix::event::eventfd(0, flags)
            .map_err(|error| Failure::new(CHI_IO, format!("cannot make an eventfd: {error}")))?;
        let (users, bell) = (AtomicUsize::new(0), Arc::new(bell));
        Ok(Watcher { users, bell, forsaken: AtomicBool::new(false), thread: Mutex::default() })
    }

    /// The process has closed the session's descriptors: what the watcher waits for cannot come any more, and its own
    /// descriptor is neither used nor closed. False if that was known already.
    #[cold]
    pub(crate) fn forsake(&self) -> bool {
        let is_first = !self.forsaken.swap(true, Ordering::Relaxed);
        if is_first {
            std::mem::forget(self.bell.clone());
        }
        lock(&self.thread).take();
        is_first
    }

    /// Waits until the watcher of a session that was disconnected is gone.
    pub(crate) fn join(&self) {
        let thread = lock(&self.thread).take();
        // The watcher must not join itself, as it would when it is the last thread and the process
        // exits on it. The result is ignored because the watcher cannot panic.
        if let Some(thread) = thread.filter(|it| it.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

/// A thread's use of a session. While one exists, the watcher runs.
pub(crate) struct User(Arc<Session>);

impl User {
    pub(crate) fn new(session: Arc<Session>) -> Result<User> {
        session.watcher().users.fetch_add(1, Ordering::SeqCst);
        let user = User(session);
        let mut thread = lock(&user.watcher().thread);
        if thread.is_none() && !user.is_dead() {
            let started = start(user.0.clone()).map_err(|error| {
                let why = format!("cannot start the thread that watches the runtime: {error}");
                Failure::new(CHI_IO, why)
            });
            *thread = Some(started?);
        }
        drop(thread);
        Ok(user)
    }

    pub(crate) fn session(&self) -> &Arc<Session> {
        &self.0
    }
}

impl std::ops::Deref for User {
    type Target = Session;

    #[inline]
    fn deref(&self) -> &Session {
        &self.0
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let watcher = self.watcher();
        let is_last = watcher.users.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last && !watcher.forsaken.load(Ordering::Relaxed) {
            // It fails only when the counter is full, and then the watcher is signalled anyway.
            let _ = rustix::io::write(&watcher.bell, &1_u64.to_ne_bytes());
        }
    }
}

fn start(session: Arc<Session>) -> io::Result<JoinHandle<()>> {
    keep_loaded();
    let thread = std::thread::Builder::new().name("chi-watch".into()).stack_size(STACK);
    without_signals(|| thread.spawn(move || watch(&session)))
}

fn watch(session: &Session) {
    let watcher = session.watcher();
    loop {
        let alone = watcher.users.load(Ordering::SeqCst) == 0;
        let linger = Timespec { tv_sec: LINGER.as_secs() as i64, tv_nsec: 0 };
        let mut fds = [
            PollFd::new(session.socket(), PollFlags::RDHUP),
            PollFd::new(&watcher.bell, PollFlags::IN),
        ];
        let Ok(ready) = rustix::event::poll(&mut fds, alone.then_some(&linger)) else {
            // The kernel is out of memory at the moment.
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        if !fds[0].revents().is_empty() {
            return session.end();
        }
        // Having nothing to read is not an error.
        let _ = rustix::io::read(&watcher.bell, &mut [0_u8; 8]);
        if ready == 0 {
            let mut thread = lock(&watcher.thread);
            if watcher.users.load(Ordering::SeqCst) == 0 {
                *thread = None;
                return;
            }
        }
    }
}

/// Runs `f` with all signals blocked, which a thread that it starts inherits: signals are for the
/// application's own threads.
fn without_signals<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: a signal set is plain data, and both sets live through the calls. The C library
    // leaves out the signals that it needs itself.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let result = f();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        result
    }
}

/// Keeps the library that this code is in from being unloaded under the watcher.
fn keep_loaded() {
    static ONCE: Once = Once::new();
    // SAFETY: the address is in this library, and the name lives as long as the library.
    // If this fails, the code is part of the program itself and stays loaded.
    ONCE.call_once(|| unsafe {
        let mut found: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(keep_loaded as *const libc::c_void, &mut found) != 0 {
            let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
            libc::dlopen(found.dli_fname, flags);
        }
    });
}
