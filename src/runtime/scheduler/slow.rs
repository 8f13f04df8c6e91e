//! Tasks that take long. Of those that are not measured, those that are suspended are noticed when they end, and the
//! watchdog notices those that keep their worker busy.

use std::time::Duration;

use chimaera_abi::{chi_status, chi_task_node};
use chimaera_metrics::SlowTask;

use super::about::About;
use super::running::Running;
use super::shared::Shared;
use super::worker::Worker;
use crate::metrics::Took;
use crate::pool::{Container, PoolMethod};
use crate::task::Record;

/// Notes a task that has taken long.
pub(super) fn note(
    worker: &Worker,
    container: &Container,
    method: &PoolMethod,
    about: &About,
    took: &Took,
    status: chi_status,
) {
    worker.shared.metrics.slow.note(SlowTask {
        total_ns: took.known(),
        ring_ns: took.ring,
        lane_ns: took.lane,
        running_ns: took.running,
        suspended_ns: took.suspended,
        bytes_in: about.bytes_in(method),
        ..about.task(container.name(), &method.name, Some(status))
    });
}

/// Notes a task that was suspended and is not measured, if it has taken long.
#[cold]
pub(super) fn look_at_suspended(worker: &Worker, record: &Record, status: chi_status) {
    let metrics = &worker.shared.metrics;
    let (time, _) = record.timing.ages(true);
    let time = metrics.ns(time);
    // SAFETY: the pointers are null, or point to the container in which the task is counted and to a method of
    // its pool.
    let (container, method) = unsafe { (record.container.as_ref(), record.method.as_ref()) };
    let Some((container, method)) = container.zip(method) else { return };
    if time >= metrics.slow.threshold_ns() {
        let about = About::of(record);
        let task = about.task(container.name(), &method.name, Some(status));
        let bytes_in = about.bytes_in(method);
        let of_time = SlowTask { total_ns: time, suspended_ns: time, is_about: true, ..task };
        metrics.slow.note(SlowTask { bytes_in, ..of_time });
    }
}

/// Notes a task that has kept a worker busy for this time, and no longer does, unless it was noted when it ended.
pub(super) fn note_busy(
    shared: &Shared,
    running: Running,
    of: (u64, chi_task_node),
    time: Duration,
) {
    let slow = &shared.metrics.slow;
    let time = time.as_nanos() as u64;
    if time < slow.threshold_ns() || !running.is_method() {
        return;
    }
    let Some((method, pool)) = running.in_words(&shared.pools) else { return };
    let (session, node) = of;
    let about = About::new(session, node);
    let task = about.task(&pool, &method, None);
    let task = SlowTask { total_ns: time, running_ns: time, is_about: true, ..task };
    slow.note_unless_known(task, |ticks| shared.metrics.ns(ticks));
}
