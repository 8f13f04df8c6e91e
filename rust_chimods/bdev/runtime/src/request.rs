//! A request to the operating system.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chimaera::module::Event;
use chimaera::Result;

use crate::disk::Part;

/// The operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    /// Makes completed writes durable.
    Sync,
}

/// One read, write or sync of the device's file.
pub(crate) struct Request {
    pub(crate) op: Op,
    pub(crate) part: Part,
    /// Position in the file.
    pub(crate) at: u64,
    /// Memory that stays valid until the request is finished.
    pub(crate) data: *mut u8,
    pub(crate) len: u32,
    /// The number of transferred bytes, or a negated error number.
    result: AtomicI32,
    finished: AtomicBool,
    /// Set last when the request is finished; by then the request itself may be gone.
    event: Arc<Event>,
}

// SAFETY: only the operating system accesses the raw memory; all other fields are `Sync`.
unsafe impl Sync for Request {}

impl Request {
    pub(crate) fn new(op: Op, part: Part, at: u64, data: *mut u8, len: u32) -> Result<Request> {
        Ok(Request {
            op,
            part,
            at,
            data,
            len,
            result: AtomicI32::new(0),
            finished: AtomicBool::new(false),
            event: Arc::new(Event::new()?),
        })
    }

    /// Stores the result and wakes the waiting task.
    ///
    /// # Safety
    ///
    /// `request` must have been handed over to the caller, who must call this once. The waiting
    /// task may free it at once.
    pub(crate) unsafe fn finish(request: *const Request, result: i32) {
        // SAFETY: the waiting task keeps the request valid until it is finished, which is the last
        // access here.
        let event = unsafe {
            let event = (*request).event.clone();
            (*request).result.store(result, Ordering::Relaxed);
            (*request).finished.store(true, Ordering::Release);
            event
        };
        event.set();
    }

    /// Suspends the task until the request is finished, even if the task is cancelled meanwhile,
    /// because the request's memory is in use until then. If the task cannot be suspended, the
    /// thread polls periodically and calls `help`.
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
