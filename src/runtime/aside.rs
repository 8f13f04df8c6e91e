//! Module's code that runs beside methods: monitors, aggregations, pollers, and what drops a body's
//! attachments. It cannot wait, for there is no task that could be suspended; and when it overflows its
//! stack, that must end in a status, too.

use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::MutexGuard;

use chimaera_abi::*;

use crate::about::{log_about, About};
use crate::pollers::Target;
use crate::record::{Origin, Record};
use crate::throttle::Kind;
use crate::worker::Worker;

/// What runs.
#[derive(Clone, Copy)]
pub(crate) enum What {
    /// The monitor of a task that is being routed. Nobody else uses the record.
    Monitor(*mut Record),
    /// `Del` of a task that has ended.
    Del(*mut Record),
    /// The aggregation of the task that runs.
    Aggregation,
    /// A poller. The guard is its caller's.
    Poller(*mut ManuallyDrop<MutexGuard<'static, Option<Target>>>),
}

/// Something that runs, on the stack of whoever called it.
pub(crate) struct Aside {
    what: What,
    outer: *const Aside,
}

impl Worker {
    /// Calls module's code that runs beside a method.
    #[inline(always)]
    pub(crate) fn aside<R>(&self, what: What, f: impl FnOnce() -> R) -> R {
        let aside = &self.context().aside;
        let own = Aside { what, outer: aside.get() };
        aside.set(&own);
        let result = f();
        // The code cannot wait, so this is still the same fiber.
        aside.set(own.outer);
        result
    }

    /// True when the code that runs may be suspended, or be kept waiting at all.
    pub(crate) fn may_wait(&self) -> bool {
        self.context().aside.get().is_null()
    }

    /// Module's code beside methods has overflowed the stack of a fiber that is over: ends what it was
    /// for. True when there was such.
    ///
    /// # Safety
    /// `aside` must be null or what the fiber's context said; the fiber's stack must still be there, and
    /// must never run again.
    pub(crate) unsafe fn end_asides(&self, mut aside: *const Aside) -> bool {
        let any = !aside.is_null();
        // SAFETY: each lies in a frame of the stack.
        while let Some(found) = unsafe { aside.as_ref() } {
            match found.what {
                // SAFETY: the frames that owned the record are given up.
                What::Monitor(record) => self.end_routing(unsafe { Box::from_raw(record) }),
                // SAFETY: as above.
                What::Del(record) => self.end_dropping(unsafe { Box::from_raw(record) }),
                // It ends with its task.
                What::Aggregation => {}
                What::Poller(guard) => {
                    // SAFETY: as above; the guard is this thread's.
                    let mut target = unsafe { ManuallyDrop::take(&mut *guard) };
                    *target = None;
                    tracing::error!(
                        "a poller has overflowed its stack, and is not called any more"
                    );
                }
            }
            aside = found.outer;
        }
        any
    }

    fn end_routing(&self, mut record: Box<Record>) {
        let message = self.overflow_of(&record, "the monitor of ");
        // As for any task that could not be routed.
        record.method = ptr::null();
        let container = std::mem::replace(&mut record.container, ptr::null());
        self.finish(record, CHI_FAULT, &message);
        // SAFETY: the task was counted there until now.
        unsafe { (*container).leave() };
    }

    fn end_dropping(&self, record: Box<Record>) {
        let message = self.overflow_of(&record, "Del of ");
        let (container, lane, suspended) = (record.container, record.lane, record.suspended.get());
        match record.origin {
            // Its client knows how it ended.
            Origin::Client { .. } => self.recycle(record),
            Origin::Internal => self.finish_internal(record, CHI_FAULT, &message),
        }
        // SAFETY: the task is counted in the lane and the container until now.
        unsafe {
            if self.leave_lane(lane, suspended) {
                self.pass_on(&*lane);
            }
            (*container).leave();
        }
    }

    /// What is to be said, and says it in the log.
    pub(crate) fn overflow_of(&self, record: &Record, whose: &str) -> String {
        // SAFETY: null, or a method of a module, which is never unloaded.
        let method = unsafe { record.method.as_ref() }.map_or("", |method| method.name.as_str());
        let size = self.shared.config.stack_size;
        if let Some(left_out) = self.shared.throttle.pass(Kind::Overflowed, record) {
            let about = About::task(record);
            log_about!(
                error,
                about,
                left_out,
                "{whose}a task has overflowed its stack of {size} bytes"
            );
        }
        format!(
            "{whose}{method} overflowed its stack of {size} bytes; what it held is lost, and its container \
             may be damaged"
        )
    }
}
