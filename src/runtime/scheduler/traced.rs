//! What a worker records of tasks while a trace is being recorded.

use chimaera_abi::chi_status;
use chimaera_metrics::TracedFor;

use super::about::About;
use crate::coroutine::WaitsFor;
use crate::metrics::{Begins, Ends, Timing, Tracer};
use crate::pool::{Container, PoolMethod};
use crate::sync::Far;
use crate::task::{Origin, Record};

/// Traces a task that is measured from now on, on the worker with this index, if it is among those that are to be traced.
/// The `running` task has submitted it, unless a client has.
#[cold]
pub(super) fn begin(tracer: &Tracer, worker: u32, running: Option<&Record>, record: &mut Record) {
    let submitter = match record.origin {
        Origin::Internal => running,
        Origin::Client { .. } => None,
    };
    let (parent, _) = submitter.map_or((0, 0), |record| record.timing.trace());
    // SAFETY: the body is private and has at least a header.
    let (pool, method) = unsafe { ((*record.body()).pool_, (*record.body()).method_) };
    let (session, is_subtask) = (record.session, submitter.is_some());
    let task = Begins { pool, method, session, is_subtask, parent };
    let number = tracer.number(worker, task);
    record.timing.set_trace(number, parent);
}

/// A measured task goes on, that has waited for this. `for_a_time`: a timer would have ended the wait.
#[cold]
pub(super) fn waited(
    tracer: &Tracer,
    worker: u32,
    record: &Record,
    what: WaitsFor,
    for_a_time: bool,
) {
    let what = match what {
        WaitsFor::Anyone if for_a_time => TracedFor::Time,
        WaitsFor::Anyone => TracedFor::Event,
        WaitsFor::Lock(_) => TracedFor::Lock,
        WaitsFor::Far(Far::Process(passage)) => TracedFor::Process(passage.process),
        WaitsFor::Far(Far::Node(_)) => TracedFor::Node,
        // SAFETY: the record lives until whoever waits for it, which is the caller, goes on.
        WaitsFor::Task(child) => TracedFor::Task(unsafe { (*child).timing.trace().0 }),
    };
    tracer.waited(worker, &record.timing, what);
}

/// Records a measured task that has ended, if it is traced.
#[cold]
pub(super) fn end(
    tracer: &Tracer,
    worker: u32,
    container: &Container,
    method: &PoolMethod,
    about: &About,
    timing: &Timing,
    status: chi_status,
) {
    let task = Ends {
        timing,
        pool: container.id,
        pool_name: container.name(),
        method: method.number,
        method_name: &method.name,
        session: about.session,
        node: about.node,
        status,
        bytes_in: about.bytes_in(method),
    };
    tracer.end(worker, &task);
}
