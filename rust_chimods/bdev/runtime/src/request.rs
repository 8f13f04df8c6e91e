//! A request to the operating system, on its way.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chimaera::module::Event;
use chimaera::Result;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    /// Make what was written last.
    Sync,
}

/// One read, write or sync of the device's file.
pub(crate) struct Request {
    pub(crate) op: Op,
    /// Where in the file.
    pub(crate) at: u64,
    /// Memory that is there until the request is finished.
    pub(crate) data: *mut u8,
    pub(crate) len: u32,
    /// Bytes that were moved, or the negative number of an error.
    result: AtomicI32,
    finished: AtomicBool,
    /// Whoever finishes the request sets it last, when the request may be gone.
    event: Arc<Event>,
}

// SAFETY: the memory is raw bytes that only the operating system touches; everything else is `Sync`.
unsafe impl Sync for Request {}

impl Request {
    pub(crate) fn new(op: Op, at: u64, data: *mut u8, len: u32) -> Result<Request> {
        Ok(Request {
            op,
            at,
            data,
            len,
            result: AtomicI32::new(0),
            finished: AtomicBool::new(false),
            event: Arc::new(Event::new()?),
        })
    }

    /// Takes the outcome.
    ///
    /// # Safety
    ///
    /// `request` was handed over for this one call; whoever waits may free it at once.
    pub(crate) unsafe fn finish(request: *const Request, result: i32) {
        // SAFETY: the waiting task keeps the request until it is finished, which is the last that is seen
        // of it here.
        let event = unsafe {
            let event = (*request).event.clone();
            (*request).result.store(result, Ordering::Relaxed);
            (*request).finished.store(true, Ordering::Release);
            event
        };
        event.set();
    }

    /// Suspends the task until the request is finished, however much the task is cancelled meanwhile: its
    /// memory is in use until then. Where it cannot be suspended, the thread looks now and then, and
    /// calls `help`.
    pub(crate) fn wait(&self, help: impl Fn()) -> io::Result<usize> {
        while !self.finished.load(Ordering::Acquire) {
            if self.event.wait_uninterrupted().is_err() {
                help();
                thread::sleep(Duration::from_millis(1));
            }
        }
        match self.result.load(Ordering::Relaxed) {
            moved @ 0.. => Ok(moved as usize),
            error => Err(io::Error::from_raw_os_error(-error)),
        }
    }
}
