//! The path of a task inside the runtime, from top to bottom:
//!
//! ```text
//! accept   a client's submission: its header is copied from the segment into a private record
//! submit   or a method's: the record already exists
//! resolve  find the pool, the method and the container
//! admit    check whether the container takes it (`admission`)
//! place    copy the rest of its body, choose a lane, run at once or queue (`placement`)
//! run      check whether it may start, then call its method (`call`, `broadcast`)
//! complete report its outcome, release its locks, wake its waiter
//! ```

use std::mem;
use std::ptr;
use std::time::Instant;

use chimaera_abi::*;
use chimaera_ipc::ring::Submitted;

use super::about::About;
use super::admission::{admit, has_to_wait, Moment};
use super::broadcast;
use super::call::{call_method, module_failure, run_context};
use super::counting::count;
use super::deliver::deliver;
use super::hold;
use super::mailbox::WorkerMessage;
use super::placement::{choose_container, choose_lane, queue, queue_on_least_loaded, uncharge};
use super::run_queue::RunQueue;
use super::slow;
use super::traced;
use super::worker::Worker;
use crate::failure::Failure;
use crate::module::{Method, Module};
use crate::pool::{Container, ContainerLane, Entered, LanePtr, Pool, PoolMethod};
use crate::session::{Session, SuspendedAs, SuspendedAt, TaskRef};
use crate::task::marshal;
use crate::task::{
    destination, properties, CancelReason, NotTaken, Origin, Period, Record, Resting,
};

/// How many tasks are taken from one lane before the next lane is served.
pub(super) const LANE_BATCH: usize = 32;
/// A task with at least this estimated run time, in nanoseconds, is worth handing to another
/// worker: a few times the cost of notifying one that is awake.
const LONG_NS: u32 = 5_000;

// Accept ----------------------------------------------------------------------------------------------

/// Accepts a task that a client submitted, and starts it here if its lane is empty. A separate
/// function, so that `benches/instructions.py` can tell its instructions from the polling around
/// it.
///
/// Returns 0, or how many bytes the task needs at least; in that case it has not been accepted, because
/// other tasks are using the memory. With `at_last`, such a task is refused instead.
#[inline(never)]
pub(super) fn accept(
    worker: &Worker,
    session: TaskRef,
    offset: u64,
    submitted: Submitted,
    at_last: bool,
) -> u64 {
    let own: *const Session = &*session;
    let Some(mut record) = take(worker, session, offset) else { return 0 };
    // SAFETY: the record's origin keeps the session alive.
    let own = unsafe { &*own };
    if submitted.is_measured() {
        record.timing.accept(submitted, own.opened_ticks);
    }
    // SAFETY: the body is private and has at least a header.
    if unsafe { (*record.body()).state_ } & CHI_TASK_CANCEL != 0 {
        // None of its body needs to be copied.
        let Failure { status, message } = CancelReason::Asked.failure();
        complete(worker, record, status, &message);
        return 0;
    }
    let mut lacks = 0;
    let routed = route(worker, &mut record, |record, method| {
        if method.task_size == std::mem::size_of::<chi_task>() {
            return Ok(());
        }
        let taken = take_body(worker, record, own, offset, method);
        worker.copied.set(worker.copied.get().wrapping_add(record.copied));
        taken.map_err(|why| match why {
            NotTaken::Refused(failure) => failure,
            NotTaken::Lacks { bytes, why } => {
                lacks = if at_last { 0 } else { bytes };
                why
            }
        })
    });
    match routed {
        Ok(lane) => place(worker, record, lane, true),
        Err(_) if lacks > 0 => worker.recycle(record),
        Err(failure) => not_routed(worker, record, failure),
    }
    lacks
}

/// Completes the body of a task, and counts what came with it.
fn take_body(
    worker: &Worker,
    record: &mut Record,
    session: &Session,
    offset: u64,
    method: &PoolMethod,
) -> Result<(), NotTaken> {
    marshal::take_body(record, session, offset, method.task_size, &method.fields)?;
    let bytes = record.moved.saturating_add(method.bytes_in.into());
    method.metrics.take(worker.metrics(), bytes);
    session.metrics.take(worker.metrics(), bytes);
    Ok(())
}

/// A record for the task at this offset, with its header. `None`, and the session ends, if there can be
/// no task.
#[inline(always)]
fn take(worker: &Worker, session: TaskRef, offset: u64) -> Option<Box<Record>> {
    if !session.has_place_for_task(offset) {
        worker.shared.kill(&session, "the client submitted an offset that is not in its arena");
        return None;
    }
    let own: *const Session = &*session;
    let mut record = worker.spare.take(Origin::Client { session, offset });
    // SAFETY: the record's origin keeps the session alive.
    let own = unsafe { &*own };
    record.session = own.number;
    marshal::take_header(&mut record, own, offset);
    Some(record)
}

/// Ends a task that was postponed, before it is accepted, whatever its body says by now.
#[cold]
pub(super) fn end_postponed(worker: &Worker, session: TaskRef, offset: u64, why: Failure) {
    if let Some(record) = take(worker, session, offset) {
        complete(worker, record, why.status, &why.message);
    }
}

/// Accepts a task that another process has accepted and held. It has no lane until the tasks that are held
/// here are routed again.
#[cold]
pub(super) fn accept_held(worker: &Worker, session: TaskRef, offset: u64) {
    let Some(record) = take(worker, session, offset) else { return };
    if let Err((record, failure)) = hold::keep_anyway(worker, record) {
        refuse(worker, record, failure);
    }
}

/// Submits a task that was created inside the runtime. Its creator gives up the record until the
/// task is complete.
#[inline]
pub(crate) fn submit(worker: &Worker, mut record: Box<Record>) {
    worker.measure_internal(&mut record);
    match route(worker, &mut record, |_, _| Ok(())) {
        Ok(lane) => place(worker, record, lane, false),
        Err(failure) => not_routed(worker, record, failure),
    }
}

/// Ends a task that could not be routed, or keeps it if its pool holds its tasks.
#[cold]
fn not_routed(worker: &Worker, record: Box<Record>, failure: Failure) {
    let refused = match has_to_wait(&failure) {
        true => hold::keep(worker, record).err(),
        false => Some((record, failure)),
    };
    if let Some((record, failure)) = refused {
        refuse(worker, record, failure);
    }
}

/// Routes a task that was held, and that nobody else knows of any more. One that is between two runs goes on waiting for the next.
pub(super) fn route_again(worker: &Worker, mut record: Box<Record>) {
    worker.run_queue().entries().accept_held();
    let begun = record.period.as_ref().and_then(Period::begun);
    let routed = match (&record.origin, begun) {
        (Origin::Client { session, offset }, None) => {
            let (session, offset): (*const Session, u64) = (&**session, *offset);
            route(worker, &mut record, |record, method| {
                // SAFETY: the record's origin keeps the session alive.
                let session = unsafe { &*session };
                take_body(worker, record, session, offset, method).map_err(|why| match why {
                    NotTaken::Refused(failure) => failure,
                    NotTaken::Lacks { why, .. } => why,
                })
            })
        }
        (_, begun) => route(worker, &mut record, |_, method| match begun {
            Some(shape) if !method.takes(shape) => Err(Failure::new(
                CHI_VERSION,
                format!("the new version of the module has another description of {}", method.name),
            )),
            _ => Ok(()),
        }),
    };
    match (routed, record.period.as_ref().filter(|_| begun.is_some()).map(Period::due)) {
        (Ok(lane), Some(due)) => {
            record.lane = lane;
            keep_periodic(worker, record, due);
        }
        (Ok(lane), None) => place(worker, record, lane, false),
        (Err(failure), _) => not_routed(worker, record, failure),
    }
}

/// Submits again a periodic task that was waiting for its next run.
pub(super) fn run_again(worker: &Worker, number: u64) {
    let Some(mut record) = take_periodic(worker, number) else { return };
    // What is measured has been held, and goes on.
    if !record.timing.is_measured() {
        worker.measure_internal(&mut record);
    }
    if record.container.is_null() {
        // It was held: its deadline may have passed.
        return route_again(worker, record);
    }
    let lane = record.lane;
    place(worker, record, lane, true);
}

// Resolve, admit --------------------------------------------------------------------------------------

/// Resolves the task's container and method, admits the task, completes its body, and chooses its
/// lane. On success the task is counted in its container.
#[inline]
fn route(
    worker: &Worker,
    record: &mut Record,
    take_body: impl FnOnce(&mut Record, &PoolMethod) -> Result<(), Failure>,
) -> Result<*const ContainerLane, Failure> {
    let (pool, method) = enter(worker, record)?;
    // SAFETY: a pool and its methods live as long as a task is counted in one of its containers,
    // and this one is.
    let (pool, method) = unsafe { (&*pool, &*method) };
    let found = find_lane(worker, record, pool, method, take_body);
    match found {
        Ok(lane) => record.lane = lane,
        Err(_) => {
            // The body has not been checked completely, if at all, so none of it is returned.
            record.method = ptr::null();
            let container = std::mem::replace(&mut record.container, ptr::null());
            // SAFETY: the task is counted in the container until this call, which keeps it alive.
            unsafe { (*container).admission.leave() };
        }
    }
    found
}

/// Resolves and admits the task. Returns before module code runs, so that the table is not borrowed
/// then: that code may call `table` again.
#[inline]
fn enter(
    worker: &Worker,
    record: &mut Record,
) -> Result<(*const Pool, *const PoolMethod), Failure> {
    // SAFETY: the body is private and has at least a header.
    let (id, number, query, layout) = unsafe {
        let task = &mut *record.body();
        (task.pool_, task.method_, task.dom_query_, mem::replace(&mut task.status_, CHI_OK))
    };
    let table = worker.table();
    let pool = match table.get(id) {
        Some(pool) => pool,
        None => unknown_pool(worker, id)?,
    };
    if pool.restricted {
        may_call(record, pool)?;
    }
    let method = own_method(pool, number)?;
    if layout != method.unstated && !method.is_of(layout) {
        return Err(stale(pool.module(), method));
    }
    let container = destination(pool, query, method.monitored, &worker.next_container)?;
    if let Err(failure) = admit(worker, record, container, Moment::Entering) {
        // A task that is held is resolved again.
        // SAFETY: as above.
        unsafe { (*record.body()).status_ = layout };
        return Err(failure);
    }
    record.container = container;
    record.everywhere = query.kind_ == CHI_DOMAIN_GLOBAL_BCAST;
    Ok((pool, method))
}

/// Fails if the task comes from a client that may not call this pool. Tasks that methods send are
/// the modules' own responsibility.
#[inline(never)]
fn may_call(record: &Record, pool: &Pool) -> Result<(), Failure> {
    match &record.origin {
        Origin::Client { session, .. } => {
            session.check_call(pool.id, |caller| pool.rights.check_call(pool.name(), caller))
        }
        Origin::Internal => Ok(()),
    }
}

/// The method with this number, if tasks may call it.
#[inline]
fn own_method(pool: &Pool, number: u32) -> Result<&PoolMethod, Failure> {
    match pool.methods.get(number) {
        Some(method) if method.supported && number >= CHI_METHOD_CUSTOM => Ok(method),
        Some(method) => Err(unsupported(pool.module(), method)),
        None => Err(no_method(pool.module(), number)),
    }
}

/// Looks for a pool that this process does not know, if it is a module host.
#[cold]
fn unknown_pool(worker: &Worker, id: chi_pool_id) -> Result<&Pool, Failure> {
    let look = worker.shared.on_unknown_pool.get().ok_or_else(|| no_pool(worker, id))?;
    look(worker, id)?;
    worker.table().get(id).ok_or_else(|| no_pool(worker, id))
}

#[cold]
fn no_pool(worker: &Worker, id: chi_pool_id) -> Failure {
    if worker.shared.is_stopping() {
        return Failure::new(CHI_CANCELLED, "the runtime is stopping");
    }
    Failure::new(
        CHI_NO_POOL,
        format!("there is no pool {}.{}; it may have been destroyed", id.major_, id.minor_),
    )
}

#[cold]
fn no_method(module: &Module, number: u32) -> Failure {
    Failure::new(CHI_NO_METHOD, format!("the module {} has no method {number}", module.name))
}

#[cold]
fn unsupported(module: &Module, method: &Method) -> Failure {
    let Method { name, number, .. } = method;
    let module = &module.name;
    let why = if !method.supported {
        format!("the module {module} does not support {name} (method {number})")
    } else {
        format!("only the runtime itself calls {name} (method {number}) of module {module}")
    };
    Failure::new(CHI_UNSUPPORTED, why)
}

#[cold]
fn stale(module: &Module, method: &Method) -> Failure {
    let (module, name) = (&module.name, &method.name);
    Failure::new(
        CHI_VERSION,
        format!("client built from another description of {module} {name}; rebuild"),
    )
}

// Place -----------------------------------------------------------------------------------------------

#[inline]
fn find_lane(
    worker: &Worker,
    record: &mut Record,
    pool: &Pool,
    method: &PoolMethod,
    take_body: impl FnOnce(&mut Record, &PoolMethod) -> Result<(), Failure>,
) -> Result<*const ContainerLane, Failure> {
    record.method = method;
    take_body(record, method)?;
    properties::read(record)?;
    // SAFETY: the body is private and has at least a header.
    if method.monitored && unsafe { (*record.body()).dom_query_.kind_ } == CHI_DOMAIN_DYNAMIC {
        choose_container(worker, record, pool, method)?;
    }
    // SAFETY: the task is counted there.
    let container = unsafe { &*record.container };
    choose_lane(worker, record, container, method)
}

/// Puts a task into its lane. With `here`, it runs at once if the lane is empty and the task is not
/// expected to take long.
#[inline]
pub(super) fn place(
    worker: &Worker,
    mut record: Box<Record>,
    lane: *const ContainerLane,
    here: bool,
) {
    // SAFETY: the lane belongs to the container in which the task is counted, which keeps it alive.
    let lane = unsafe { &*lane };
    // SAFETY: a routed task has a method, which lives as long as the task is counted in its
    // container.
    let mean = unsafe { (*record.method).mean_ns() };
    let estimate = if record.estimate != 0 { record.estimate } else { mean };
    // Of 0, too, if nothing is known of the method yet.
    if estimate.wrapping_sub(1) >= LONG_NS - 1 || lane.high_latency {
        // There may be few of them, and those that take long cost nothing more thereby.
        record.timing.measure_anyway(matches!(record.origin, Origin::Internal));
        if estimate >= LONG_NS || lane.high_latency {
            record.estimate = estimate.max(1);
            return queue_on_least_loaded(worker, record, lane);
        }
    }
    let here = here && !worker.refuses(record.session);
    match lane.state.enter(worker.index, here) {
        Entered::First if here => {
            if run(worker, record) {
                serve_on(worker, lane, LANE_BATCH);
            }
        }
        _ => queue(worker, record, lane),
    }
}

/// Starts at most `most` tasks of a lane that was taken from the list.
#[inline]
pub(super) fn serve(worker: &Worker, lane: *const ContainerLane, most: usize) {
    // SAFETY: the container of a listed lane lives until this worker has counted a round after its
    // destruction.
    let lane = unsafe { &*lane };
    lane.unlist(worker.index);
    if lane.state.serve(worker.index) {
        serve_on(worker, lane, most);
    }
}

/// Starts at most `most` tasks of a lane that the caller is serving.
#[inline]
fn serve_on(worker: &Worker, lane: &ContainerLane, most: usize) {
    for _ in 0..most {
        let Some(handle) = lane.pop() else { break };
        // SAFETY: `queue` made the handle with `into_handle`, and it is popped only once.
        let record = unsafe { Record::from_handle(handle) };
        if worker.refuses(record.session) {
            if let Some(blocked) = who_may_run(worker, lane, record.session) {
                return hold_back(worker, lane, record, blocked);
            }
        }
        // SAFETY: a task in a lane has a method, which lives as long as the task is counted in its container.
        unsafe { &*record.method }.metrics.unqueue(worker.metrics());
        if record.client_asks_to_cancel() {
            record.cancel(CancelReason::Asked);
        }
        let long = record.estimate != 0;
        if !run(worker, record) {
            return;
        }
        // Other lanes and rings are waiting.
        if long {
            break;
        }
    }
    pass_on(worker, lane);
}

/// A worker that this session already blocks, to run the lane's next task once it is free. `None`
/// if there is none, or the lane cannot move because some of its tasks are suspended here. For an attendant,
/// any worker.
#[cold]
fn who_may_run(worker: &Worker, lane: &ContainerLane, session: u64) -> Option<u32> {
    if lane.state.has_suspended() {
        return None;
    }
    if worker.attends() {
        return worker.shared.least_loaded(lane.high_latency, |_, _| ());
    }
    let blocks = |(index, queue): &(u32, &RunQueue)| {
        *index != worker.index && queue.running_session() == Some(session)
    };
    (0..).zip(worker.shared.run_queues()).find(blocks).map(|(index, _)| index)
}

/// Stops serving a lane and hands it to a worker that is blocked by the session of its next task.
#[cold]
fn hold_back(worker: &Worker, lane: &ContainerLane, record: Box<Record>, blocked: u32) {
    let session = record.session;
    if lane.hand_over(blocked, record.into_handle(), session) {
        worker.shared.mailbox(blocked).send(WorkerMessage::Lane(LanePtr(lane)));
    }
}

/// Stops serving a lane, and lists it again if it still has tasks.
#[inline]
pub(super) fn pass_on(worker: &Worker, lane: &ContainerLane) {
    lane.state.stop_serving();
    if lane.has_queued() {
        worker.list(lane);
    }
}

// Run -------------------------------------------------------------------------------------------------

/// A measured task starts.
#[cold]
fn start_measured(worker: &Worker, record: &Record) {
    record.timing.start();
    let tracer = &worker.shared.metrics.tracer;
    if tracer.is_on() {
        traced::start(tracer, worker.index, record);
    }
}

/// Runs a task to its end. True if the caller still serves the lane: it still has tasks, and this
/// one was never suspended.
#[inline]
fn run(worker: &Worker, record: Box<Record>) -> bool {
    // SAFETY: a routed record has a container and a method; the task is counted in the container,
    // which keeps both alive.
    let (container, method) = unsafe { (&*record.container, &*record.method) };
    if record.timing.is_measured() {
        start_measured(worker, &record);
    }
    if let Err(failure) = admit(worker, &record, container, Moment::Starting) {
        return refuse(worker, record, failure);
    }
    let mut rctx = run_context(worker, record.lane.cast_mut().cast::<chi_lane>());
    let own = &*record as *const Record as *mut Record;
    worker.context().record.set(own);
    let failure = if record.everywhere {
        broadcast::run(worker, own, method, &mut rctx, submit).err()
    } else {
        match call_method(worker, &record, container, method, &mut rctx) {
            CHI_OK => None,
            status => Some(failure_of(&record, container, method, status)),
        }
    };
    worker.context().record.set(ptr::null_mut());
    match failure {
        None => complete(worker, record, CHI_OK, ""),
        Some(failure) => {
            let failure = explain(&record, failure);
            complete(worker, record, failure.status, &failure.message)
        }
    }
}

#[cold]
fn failure_of(
    record: &Record,
    container: &Container,
    method: &PoolMethod,
    status: chi_status,
) -> Failure {
    module_failure(record, status, || match (status, record.cancel_reason()) {
        // `explain` adds the reason.
        (CHI_CANCELLED | CHI_DEADLOCK, Some(_)) => String::new(),
        _ => {
            let (method, pool) = (&method.name, container.name());
            format!("{method} of pool '{pool}' failed with status {status}")
        }
    })
}

/// Adds the reason of the cancellation to the failure of a task that ended because it was
/// cancelled.
#[cold]
fn explain(record: &Record, failure: Failure) -> Failure {
    match (failure.status, record.cancel_reason()) {
        (CHI_CANCELLED | CHI_DEADLOCK, Some(reason)) => {
            let circle = record.texts.take_circle();
            reason.outcome(circle, Some(&failure.message), record.everywhere)
        }
        _ => failure,
    }
}

// Complete --------------------------------------------------------------------------------------------

/// Completes a task, counts it out and disposes of its record; a periodic task that is to run again
/// is kept instead. True if the caller still serves the lane.
#[inline]
pub(super) fn complete(
    worker: &Worker,
    record: Box<Record>,
    status: chi_status,
    message: &str,
) -> bool {
    match record.timing.is_measured() {
        true => complete_measured(worker, record, status, message),
        false => end(worker, record, status, message, || {}),
    }
}

/// Completes a task, and counts its time.
#[cold]
fn complete_measured(
    worker: &Worker,
    record: Box<Record>,
    status: chi_status,
    message: &str,
) -> bool {
    let tracer = &worker.shared.metrics.tracer;
    // It may not have started.
    if tracer.is_on() {
        traced::start(tracer, worker.index, &record);
    }
    let (timing, method, container) = (record.timing.clone(), record.method, record.container);
    let about = About::of(&record);
    end(worker, record, status, message, || {
        // SAFETY: the pointers are null for a task that was never routed; otherwise the task is still
        // counted in its container, which keeps itself and the method alive.
        let (container, method) = unsafe { (container.as_ref(), method.as_ref()) };
        let known = container.zip(method);
        if tracer.is_on() {
            traced::end(tracer, worker.index, known, &about, &timing, status);
        }
        let Some((container, method)) = known else { return };
        let took = method.metrics.measure(worker.metrics(), &timing);
        if took.known() >= worker.shared.metrics.slow.threshold_ns() {
            slow::note(worker, container, method, &about, &took, status);
        }
    })
}

/// Completes a task, and calls `delivered` once its outcome has been delivered.
#[inline(always)]
fn end(
    worker: &Worker,
    mut record: Box<Record>,
    status: chi_status,
    message: &str,
    delivered: impl FnOnce(),
) -> bool {
    let (container, lane) = (record.container, record.lane);
    let suspended = record.suspended.get();
    if !record.holdings.is_empty() {
        worker.release_locks(&record);
    }
    if suspended {
        record.forget_suspended(worker.own_coroutine());
        if record.timing.was_suspended_for_long(worker.about_now()) {
            slow::look_at_suspended(worker, &record, status);
        }
    }
    let kept = if record.period.is_some() && status == CHI_OK {
        end_run(worker, record)
    } else {
        uncharge(worker, &mut record);
        deliver(worker, record, status, message);
        None
    };
    delivered();
    // SAFETY: the task keeps both alive: it is counted in the lane until this call, and in the
    // container until `leave` below.
    let serves = unsafe { leave_lane(worker, lane, suspended) };
    match kept {
        Some(record) => keep_until_due(worker, record),
        None => {
            // SAFETY: the pointer is null for a task that was never routed; otherwise the task is
            // still counted in the container.
            if let Some(container) = unsafe { container.as_ref() } {
                container.admission.leave();
            }
        }
    }
    serves
}

/// Completes a task whose method has not been called, or is not called again. Returns the same as
/// `complete`.
#[cold]
pub(super) fn refuse(worker: &Worker, record: Box<Record>, failure: Failure) -> bool {
    // The module's `Del` runs for this task.
    worker.run_queue().show(record.session, record.node());
    complete(worker, record, failure.status, &failure.message)
}

/// Counts a task out of its lane. True if the caller still serves the lane.
///
/// # Safety
/// `lane` must be null if the task is in no lane, or else the lane in which it is counted, which
/// its container keeps alive.
#[inline(always)]
pub(super) unsafe fn leave_lane(
    worker: &Worker,
    lane: *const ContainerLane,
    suspended: bool,
) -> bool {
    // SAFETY: by the caller's promise.
    match unsafe { lane.as_ref() } {
        None => false,
        Some(lane) if suspended => {
            if lane.state.leave_suspended() && lane.has_queued() {
                worker.list(lane);
            }
            false
        }
        Some(lane) => lane.state.leave(),
    }
}

// Periodic tasks, between two runs ----------------------------------------------------------------------

/// Ends a successful run of a periodic task. Returns the task if it is to run again.
fn end_run(worker: &Worker, mut record: Box<Record>) -> Option<Box<Record>> {
    let reason = match record.look_for_cancellation() {
        None if worker.shared.is_stopping() && record.is_of_client() => CancelReason::Stopping,
        None => {
            count(worker, &record, CHI_OK);
            // The next run is charged again when it is placed, and sets its own messages.
            uncharge(worker, &mut record);
            record.texts.clear();
            record.timing.reset();
            return Some(record);
        }
        Some(reason) => reason,
    };
    let failure = reason.failure();
    uncharge(worker, &mut record);
    deliver(worker, record, failure.status, &failure.message);
    None
}

fn periodic_at(worker: u32, number: u64) -> SuspendedAt {
    SuspendedAt { worker, as_what: SuspendedAs::Periodic(number) }
}

/// Keeps a periodic task until its next run. It has already left its lane.
fn keep_until_due(worker: &Worker, mut record: Box<Record>) {
    let period = record.period.as_mut().expect("only a periodic task runs again");
    let at = period.next(Instant::now());
    record.suspended.set(false);
    record.leave_pool_that_is_held();
    keep_periodic(worker, record, at);
}

/// Keeps a periodic task until `at`.
pub(super) fn keep_periodic(worker: &Worker, record: Box<Record>, at: Instant) {
    let number = worker.run_queue().entries().periodic.number();
    record.note_suspended(periodic_at(worker.index, number));
    let reason = record.look_for_cancellation();
    worker.run_queue().entries().periodic.insert(Resting { number, at, record });
    if let Some(reason) = reason {
        stop_periodic(worker, number, reason);
    }
}

/// Removes a periodic task that is waiting for its next run. `None` if it has been stopped
/// meanwhile.
pub(super) fn take_periodic(worker: &Worker, number: u64) -> Option<Box<Record>> {
    let record = worker.run_queue().entries().periodic.take(number)?;
    record.forget_suspended(periodic_at(worker.index, number));
    Some(record)
}

/// Keeps a periodic task, or one that is held, that the worker `from` has kept so far.
pub(super) fn take_over_periodic(worker: &Worker, from: u32, task: Resting) {
    task.record.forget_suspended(periodic_at(from, task.number));
    keep_periodic(worker, task.record, task.at);
}

/// Ends a periodic task between two runs.
pub(super) fn stop_periodic(worker: &Worker, number: u64, reason: CancelReason) {
    let Some(mut record) = take_periodic(worker, number) else { return };
    let failure = reason.failure();
    // It is in no lane.
    record.lane = ptr::null();
    refuse(worker, record, failure);
}
