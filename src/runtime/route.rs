//! The way of a task inside the runtime: from a ring or a method to its container and lane, through
//! its method, to its completion.

use std::ffi::c_void;
use std::ptr;
use std::sync::Arc;

use chimaera_abi::*;

use crate::cancel::Why;
use crate::container::{Container, ContainerLane, RecordPtr};
use crate::host;
use crate::marshal;
use crate::method::Method;
use crate::module::Module;
use crate::pool::Pool;
use crate::properties;
use crate::record::{Origin, Record};
use crate::session::Session;
use crate::shared::{LanePtr, Note};
use crate::worker::Worker;
use crate::Failure;

impl Worker {
    /// Takes a task in that a client submitted, and starts it here if its lane is free. A function of
    /// its own, so that `benches/instructions.py` can tell its instructions from the polling around it.
    #[inline(never)]
    pub(crate) fn take_in(&self, session: Arc<Session>, offset: u64) {
        let layout = *session.mapping.layout();
        let header = std::mem::size_of::<chi_task>() as u64;
        if offset < layout.client_arena || offset > layout.runtime_arena - header {
            self.kill(&session, "submitted something that is no task");
            return;
        }
        let own: *const Session = &*session;
        let mut record = self.record(Origin::Client { session, offset });
        // SAFETY: the record holds the session.
        let own = unsafe { &*own };
        record.session = own.number;
        marshal::take_header(&mut record, own, offset);
        // SAFETY: the body is private, and has at least a header.
        if unsafe { (*record.body()).state_ } & CHI_TASK_CANCEL != 0 {
            record.cancel(Why::Asked);
        }
        let routed = self.route(&mut record, |record, method| {
            marshal::take_body(record, own, offset, method.task_size, &method.fields)
        });
        match routed {
            Ok(lane) => self.dispatch(record, lane, true),
            Err(failure) => {
                self.finish(record, failure.status, &failure.message);
            }
        }
    }

    /// Sends a task on its way that a method made.
    pub(crate) fn submit_internal(&self, record: *mut Record) {
        // SAFETY: `ipc_table::enqueue` was given an idle task, and gives it up here.
        let mut record = unsafe { Box::from_raw(record) };
        match self.route(&mut record, |_, _| Ok(())) {
            Ok(lane) => self.dispatch(record, lane, false),
            Err(failure) => {
                self.finish(record, failure.status, &failure.message);
            }
        }
    }

    /// Finds the task's container and method, completes its body, and finds its lane. On success the
    /// task is counted in its container.
    #[inline]
    fn route(
        &self,
        record: &mut Record,
        take_body: impl FnOnce(&mut Record, &Method) -> Result<(), Failure>,
    ) -> Result<*const ContainerLane, Failure> {
        // SAFETY: the body is private, and has at least a header.
        let task = unsafe { &*record.body() };
        let (pool, number, query) = (task.pool_, task.method_, task.dom_query_);
        if self.shared.is_stopping() {
            return Err(Failure::new(CHI_CANCELLED, "the runtime is stopping"));
        }
        // The table is not borrowed any more when the module's code runs: it may come back here.
        let (pool, method): (*const Pool, *const Method) = {
            let table = self.table();
            let Some(pool) = table.get(pool) else { return Err(no_pool(pool)) };
            let method = own_method(pool.module(), number)?;
            let container = self.destination(pool, query, method.monitored)?;
            if !container.admit() {
                return Err(destroyed(container));
            }
            record.container = container;
            (pool, method)
        };
        // SAFETY: the pool stays as long as a task is counted in one of its containers, and a module is
        // never unloaded.
        let (pool, method) = unsafe { (&*pool, &*method) };
        let routed = self.route_in(record, pool, method, query, take_body);
        match routed {
            Ok(lane) => record.lane = lane,
            Err(_) => {
                // The body is not, or not wholly, checked, so none of it goes back.
                record.method = ptr::null();
                let container = std::mem::replace(&mut record.container, ptr::null());
                // SAFETY: the task is counted there until now.
                unsafe { (*container).leave() };
            }
        }
        routed
    }

    #[inline]
    fn route_in(
        &self,
        record: &mut Record,
        pool: &Pool,
        method: &Method,
        query: chi_domain_query,
        take_body: impl FnOnce(&mut Record, &Method) -> Result<(), Failure>,
    ) -> Result<*const ContainerLane, Failure> {
        record.method = method;
        take_body(record, method)?;
        properties::read(record)?;
        if query.kind_ == CHI_DOMAIN_DYNAMIC && method.monitored {
            self.ask_where(record, pool, method)?;
        } else {
            record.everywhere = query.kind_ == CHI_DOMAIN_GLOBAL_BCAST;
        }
        // SAFETY: the task is counted there.
        let container = unsafe { &*record.container };
        self.choose_lane(record, container, method)
    }

    /// Another worker queued a task in a lane that was this worker's at the time.
    pub(crate) fn told_of(&self, lane: *const ContainerLane) {
        // SAFETY: the task that was queued with this note keeps lane and container; should another
        // note have led to it already, the containers of the table this worker knows still do, for
        // a container is freed only after every worker has seen that it is gone.
        let lane = unsafe { &*lane };
        match lane.turn.told() {
            Some(owner) if owner != self.index => {
                let note = Note::Lane(LanePtr(lane));
                self.shared.mailboxes[owner as usize].send(note);
            }
            Some(_) if !lane.queue.is_empty() => self.list(lane),
            _ => {}
        }
    }

    /// Starts tasks, at most `most` of them, of a lane that stood on the list.
    pub(crate) fn serve(&self, lane: *const ContainerLane, most: usize) {
        // SAFETY: a listed lane's container is there until this worker has counted a round.
        let lane = unsafe { &*lane };
        lane.unlist(self.index);
        if lane.turn.serve(self.index) {
            self.serve_on(lane, most);
        }
    }

    /// Starts tasks of the lane, which this loop alone serves.
    pub(crate) fn serve_on(&self, lane: &ContainerLane, most: usize) {
        for _ in 0..most {
            let Some(RecordPtr(record)) = lane.queue.pop() else { break };
            // SAFETY: whoever takes a record out of a queue is its only user.
            let record = unsafe { Box::from_raw(record) };
            if record.client_asks_to_cancel() {
                record.cancel(Why::Asked);
            }
            let long = record.estimate != 0;
            if !self.run(record) {
                return;
            }
            // Others wait for their turn meanwhile.
            if long {
                break;
            }
        }
        lane.turn.stop_serving();
        if !lane.queue.is_empty() {
            self.list(lane);
        }
    }

    /// Runs a task to its end. True when the caller still serves the lane: it has tasks left, and this
    /// one was never suspended.
    #[inline]
    pub(crate) fn run(&self, record: Box<Record>) -> bool {
        // SAFETY: routed records have a container, in which they are counted, and a method.
        let (container, method) = unsafe { (&*record.container, &*record.method) };
        if !container.is_live() || self.shared.is_stopping() {
            let failure = destroyed(container);
            return self.finish(record, failure.status, &failure.message);
        }
        if record.is_orphan() {
            return self.finish(record, CHI_CANCELLED, "");
        }
        if let Some(why) = self.too_late(&record) {
            let failure = why.failure();
            return self.finish(record, failure.status, &failure.message);
        }
        if let Some(failure) = self.too_many(&record) {
            return self.finish(record, failure.status, &failure.message);
        }
        let lane = record.lane.cast_mut().cast::<chi_lane>();
        let mut rctx = self.run_context(lane);
        let own = &*record as *const Record as *mut Record;
        self.context().record.set(own);
        let status = if record.everywhere {
            self.broadcast(record.body(), container, method, &mut rctx)
        } else {
            self.call(&record, container, method, &mut rctx)
        };
        self.context().record.set(ptr::null_mut());
        if status == CHI_OK {
            return self.finish(record, CHI_OK, "");
        }
        let failure = match (status, record.why_cancelled()) {
            (CHI_CANCELLED | CHI_DEADLOCK, Some(why)) => {
                self.cancelled(&record, why, host::take_error().as_deref())
            }
            _ => module_failure(status, || {
                let (method, pool) = (&method.name, container.name());
                format!("{method} of pool '{pool}' failed with status {status}")
            }),
        };
        self.finish(record, failure.status, &failure.message)
    }

    pub(crate) fn run_context(&self, lane: *mut chi_lane) -> chi_run_context {
        chi_run_context {
            size: std::mem::size_of::<chi_run_context>() as u32,
            worker_id_: self.index,
            lane_: lane,
            runtime_: ptr::null_mut::<c_void>(),
            est_ns_: 0,
        }
    }
}

pub(crate) fn module_failure(status: chi_status, otherwise: impl FnOnce() -> String) -> Failure {
    Failure::new(status, host::take_error().unwrap_or_else(otherwise))
}

#[cold]
fn no_pool(id: chi_pool_id) -> Failure {
    Failure::new(
        CHI_NO_POOL,
        format!("there is no pool {}.{}; it may have been destroyed", id.major_, id.minor_),
    )
}

/// The method of this number, when tasks may name it.
#[inline]
fn own_method(module: &Module, number: u32) -> Result<&Method, Failure> {
    match module.methods.get(number) {
        Some(method) if method.supported && number >= CHI_METHOD_CUSTOM => Ok(method),
        Some(method) => Err(unsupported(module, method)),
        None => Err(no_method(module, number)),
    }
}

#[cold]
fn no_method(module: &Module, number: u32) -> Failure {
    Failure::new(CHI_NO_METHOD, format!("the module {} has no method {number}", module.name))
}

#[cold]
fn unsupported(module: &Module, method: &Method) -> Failure {
    let Method { name, number, .. } = method;
    let module = &module.name;
    Failure::new(
        CHI_UNSUPPORTED,
        if method.supported {
            format!("only the runtime itself calls {name} (method {number}) of module {module}")
        } else {
            format!("the module {module} does not support {name} (method {number})")
        },
    )
}

#[cold]
pub(crate) fn destroyed(container: &Container) -> Failure {
    Failure::new(
        CHI_CANCELLED,
        format!("pool '{}' was destroyed before the task ran", container.name()),
    )
}
