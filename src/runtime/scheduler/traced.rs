//! What a worker records of tasks while a trace is being recorded.

use chimaera_abi::chi_status;
use chimaera_metrics::TracedFor;

use super::about::{About, FIRST_LINK};
use crate::coroutine::WaitsFor;
use crate::metrics::{Ends, Starts, Submitter, Timing, Tracer};
use crate::pool::{Container, PoolMethod};
use crate::sync::Far;
use crate::task::Record;

/// A measured task is submitted inside the runtime, by the `running` one if there is one.
#[cold]
pub(super) fn submit(running: Option<&Record>, record: &mut Record) {
    let submitter = running.map_or(Submitter::Nobody, |by| Submitter::Task(by.timing.trace()));
    record.timing.set_submitter(submitter);
}

/// A measured task starts, or ends without having started, on the worker with this index: gives it a number if it is among
/// those that are to be traced, unless that has been decided.
#[cold]
pub(super) fn start(tracer: &Tracer, worker: u32, record: &Record) {
    if record.timing.is_decided() {
        return;
    }
    let About { session, pool, method, .. } = About::of(record);
    let (accepted, submitter) = (record.timing.accepted(), record.timing.submitter());
    let task = Starts { pool, method, session, accepted, submitter };
    record.timing.set_trace(tracer.number(worker, task));
}

/// A measured task goes on, that has waited for this.
#[cold]
pub(super) fn waited(tracer: &Tracer, worker: u32, record: &Record, what: WaitsFor) {
    let what = match what {
        WaitsFor::Time => TracedFor::Time,
        WaitsFor::Anyone => TracedFor::Event,
        WaitsFor::Lock(_) => TracedFor::Lock,
        WaitsFor::Far(Far::Process(passage)) => TracedFor::Process(passage.process),
        WaitsFor::Far(Far::Node(_)) => TracedFor::Node,
        WaitsFor::Task(child) => {
            // SAFETY: the record lives until whoever waits for it, which is the caller, goes on.
            let child = unsafe { &*child };
            // Others may use the record of one that has not ended.
            let has_ended = child.completion.is_complete();
            TracedFor::Task(if has_ended { child.timing.trace() } else { 0 })
        }
    };
    tracer.waited(worker, &record.timing, what);
}

/// Records a measured task that has ended, if it is traced. One that could not be routed has no container and method.
#[cold]
pub(super) fn end(
    tracer: &Tracer,
    worker: u32,
    known: Option<(&Container, &PoolMethod)>,
    about: &About,
    timing: &Timing,
    status: chi_status,
) {
    let (container, method) = known.unzip();
    let task = Ends {
        timing,
        pool: about.pool,
        pool_name: container.map(Container::name),
        method: about.method,
        method_name: method.map(|method| &*method.name),
        session: if about.session < FIRST_LINK { about.session } else { 0 },
        node: about.node,
        status,
        bytes_in: method.map_or(0, |method| about.bytes_in(method)),
    };
    tracer.end(worker, &task);
}
