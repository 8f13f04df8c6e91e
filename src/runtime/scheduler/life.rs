//! Submits tasks whose methods only the runtime itself calls, and that run beside other tasks of their
//! container.

use std::ptr;

use chimaera_abi::*;

use super::admission::{admit, has_to_wait, Moment};
use super::path::place;
use super::worker::Worker;
use crate::failure::Failure;
use crate::pool::Pool;
use crate::task::{properties, Record};

/// Why a task was not submitted.
pub(crate) enum NotSubmitted {
    /// Tasks of the pool are held. It may be submitted later, to the pool that then has the name.
    Held,
    /// It never can be.
    Refused(Failure),
}

/// Submits a task to a container, with a method that the module supports. Its creator, a task of the
/// runtime's own, gives up the record until the task is complete, and gets it back if it is not submitted.
pub(crate) fn submit(
    worker: &Worker,
    record: Box<Record>,
    pool: &Pool,
    container: u32,
    number: u32,
) -> Result<(), (Box<Record>, NotSubmitted)> {
    let running = worker.run_queue().leave_module();
    let submitted = enter(worker, record, pool, container, number);
    worker.run_queue().enter_module(running);
    submitted
}

fn enter(
    worker: &Worker,
    mut record: Box<Record>,
    pool: &Pool,
    container: u32,
    number: u32,
) -> Result<(), (Box<Record>, NotSubmitted)> {
    let container = &*pool.containers()[container as usize];
    let method = pool.methods.get(number).filter(|method| method.supported);
    let method = method.expect("the caller looked for the method");
    if let Err(failure) = admit(worker, &record, container, Moment::Entering) {
        let why = match has_to_wait(&failure) {
            true => NotSubmitted::Held,
            false => NotSubmitted::Refused(failure),
        };
        return Err((record, why));
    }
    (record.container, record.method) = (container, method);
    // Always the same lane, so that such tasks start in order; no monitor is asked, whose crash would end the
    // creator, too.
    let lane = properties::read(&mut record).map(|()| ptr::from_ref(container.first_lane()));
    match lane {
        Ok(lane) => {
            record.lane = lane;
            record.completion.submit(false);
            // SAFETY: the body is private and has at least a header.
            unsafe { (*record.body()).state_ = CHI_TASK_IN_FLIGHT };
            place(worker, record, lane, false);
            Ok(())
        }
        Err(failure) => {
            (record.container, record.method) = (std::ptr::null(), std::ptr::null());
            container.admission.leave();
            Err((record, NotSubmitted::Refused(failure)))
        }
    }
}
