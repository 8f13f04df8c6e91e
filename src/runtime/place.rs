//! Where a task runs: its lane, and the worker for a lane that has none.

use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use chimaera_abi::*;

use crate::about::{log_about, About};
use crate::aside::What;
use crate::container::{Container, ContainerLane, RecordPtr};
use crate::desk::Running;
use crate::lane::Entered;
use crate::method::Method;
use crate::record::Record;
use crate::route::module_failure;
use crate::shared::{LanePtr, Note};
use crate::worker::Worker;
use crate::Failure;

/// A task that is estimated to run for this long or longer, in nanoseconds, is worth a place of its
/// own: a few times what it takes to tell another worker that is awake.
const LONG_NS: u32 = 5_000;
/// What a monitor finds in place of its estimate.
const NO_ANSWER: u64 = u64::MAX;
/// Tasks about which a monitor is not asked that had no answer.
const ASK_AGAIN: u32 = 63;
/// Of so many tasks that a worker runs, one is measured.
const SAMPLE: u32 = 32;
/// One measurement counts for so much of the estimate.
const WEIGHT: u32 = 8;

impl Method {
    /// Takes a measurement of a run into account. One that is far off, because the worker was
    /// interrupted, counts as a few times the estimate.
    fn learn(&self, ns: u64) {
        let mean = self.mean_ns.load(Ordering::Relaxed);
        let ns = u32::try_from(ns).unwrap_or(u32::MAX).max(1);
        let mean = match mean {
            0 => ns,
            mean => {
                let ns = ns.min(mean.saturating_mul(4));
                (mean - mean / WEIGHT).saturating_add(ns / WEIGHT).max(1)
            }
        };
        self.mean_ns.store(mean, Ordering::Relaxed);
    }
}

impl Worker {
    /// Asks a method's monitor for the task's lane, or takes one of those for its latency.
    #[inline(always)]
    pub(crate) fn choose_lane(
        &self,
        record: &mut Record,
        container: &Container,
        method: &Method,
    ) -> Result<*const ContainerLane, Failure> {
        // SAFETY: the body is private, and has at least a header.
        let flags = unsafe { (*record.body()).task_flags_.bits_ };
        let only = container.only_lane();
        if !method.monitored && flags & CHI_TASK_HIGH_LATENCY == 0 && !only.is_null() {
            return Ok(only);
        }
        self.choose_among_lanes(record, container, method)
    }

    fn choose_among_lanes(
        &self,
        record: &mut Record,
        container: &Container,
        method: &Method,
    ) -> Result<*const ContainerLane, Failure> {
        // The replicas of a task for all containers are asked about.
        if method.monitored && !record.everywhere {
            let rctx = self.ask_monitor(record, container, method, CHI_MONITOR_LOCAL_SCHEDULE)?;
            self.ask_estimate(record, container, method)?;
            if !rctx.lane_.is_null() {
                return match container.own_lane(rctx.lane_) {
                    Some(lane) => Ok(lane),
                    None => Err(no_lane(container, method)),
                };
            }
        }
        let turn = self.lane_turn.get();
        self.lane_turn.set(turn.wrapping_add(1));
        // SAFETY: the body is private, and has at least a header.
        let flags = unsafe { (*record.body()).task_flags_.bits_ };
        Ok(container.any_lane(turn, flags & CHI_TASK_HIGH_LATENCY != 0))
    }

    /// Calls a method's monitor.
    #[inline]
    pub(crate) fn ask_monitor(
        &self,
        record: &mut Record,
        container: &Container,
        method: &Method,
        mode: u32,
    ) -> Result<chi_run_context, Failure> {
        let mut rctx = self.run_context(ptr::null_mut());
        if mode == CHI_MONITOR_EST_LOAD {
            rctx.est_ns_ = NO_ANSWER;
        }
        let own = ptr::from_mut(record);
        // SAFETY: the container is live and counted, the record the caller's, its body private and of the
        // method's layout.
        let status = self.aside(What::Monitor(own), || unsafe {
            let monitor = container.ops().monitor;
            monitor(container.object(), mode, method.number, (*own).body(), &mut rctx)
        });
        if status == CHI_OK {
            return Ok(rctx);
        }
        Err(module_failure(status, || {
            format!("the monitor of {} of pool '{}' failed", method.name, container.name())
        }))
    }

    /// Asks the monitor how long the task will run. One that gives no answer is asked about another task
    /// only after a while.
    fn ask_estimate(
        &self,
        record: &mut Record,
        container: &Container,
        method: &Method,
    ) -> Result<(), Failure> {
        let silent = method.silent.load(Ordering::Relaxed);
        if silent > 0 {
            method.silent.store(silent - 1, Ordering::Relaxed);
            return Ok(());
        }
        match self.ask_monitor(record, container, method, CHI_MONITOR_EST_LOAD)?.est_ns_ {
            NO_ANSWER => method.silent.store(ASK_AGAIN, Ordering::Relaxed),
            found => record.estimate = u32::try_from(found).unwrap_or(u32::MAX).max(1),
        }
        Ok(())
    }

    /// Puts a task into its lane. With `here`, it runs at once when the lane is free and the task is
    /// not expected to take long.
    #[inline]
    pub(crate) fn dispatch(&self, mut record: Box<Record>, lane: *const ContainerLane, here: bool) {
        // SAFETY: the lane belongs to the container, in which the task is counted.
        let lane = unsafe { &*lane };
        // SAFETY: a routed task has a method.
        let mean = unsafe { (*record.method).mean_ns.load(Ordering::Relaxed) };
        let estimate = if record.estimate != 0 { record.estimate } else { mean };
        if estimate >= LONG_NS || lane.high_latency {
            record.estimate = estimate.max(1);
            return self.place(record, lane);
        }
        match lane.turn.enter(self.index, here) {
            Entered::First if here => {
                if self.run(record) {
                    self.serve_on(lane, crate::worker::LANE_BATCH);
                }
            }
            _ => self.queue(record, lane),
        }
    }

    /// Queues a task that takes long, or may wait, in its lane; a lane without tasks goes to the worker
    /// that has the least to do.
    #[cold]
    fn place(&self, mut record: Box<Record>, lane: &ContainerLane) {
        let chosen = self.least_loaded(lane.high_latency);
        let entered = lane.turn.enter(chosen, false);
        let owner = match entered {
            Entered::First => chosen,
            Entered::Behind { owner } => owner,
        };
        let load = &self.shared.desks[owner as usize].load;
        load.fetch_add(record.estimate.into(), Ordering::Relaxed);
        record.charged = owner;
        self.queue(record, lane);
    }

    /// Queues a task that is counted in its lane, and has the lane's worker look for it. The lane may have
    /// gone to another worker since the task was counted, even if it is the only one there.
    fn queue(&self, record: Box<Record>, lane: &ContainerLane) {
        lane.queue.push(RecordPtr(Box::into_raw(record)));
        match lane.turn.whom_to_tell(self.index) {
            Some(owner) if owner == self.index => self.list(lane),
            Some(owner) => self.shared.mailboxes[owner as usize].send(Note::Lane(LanePtr(lane))),
            None => {}
        }
    }

    /// The worker of a lane's group with the least work, this one if there is no lesser.
    fn least_loaded(&self, high_latency: bool) -> u32 {
        let config = &self.shared.config;
        let low = config.workers - config.high_latency_workers;
        let group = match (high_latency, config.high_latency_workers) {
            (true, 1..) => low..config.workers,
            _ => 0..low,
        };
        let load = |worker: usize| self.shared.desks[worker].load.load(Ordering::Relaxed);
        let me = self.index as usize;
        let mut best = if group.contains(&me) { me } else { group.start };
        for worker in group {
            if load(worker) < load(best) {
                best = worker;
            }
        }
        best as u32
    }

    /// A task that was placed has ended.
    #[inline]
    pub(crate) fn uncharge(&self, record: &mut Record) {
        if record.estimate != 0 {
            let estimate = u64::from(std::mem::take(&mut record.estimate));
            if record.charged != Record::UNCHARGED {
                let load = &self.shared.desks[record.charged as usize].load;
                load.fetch_sub(estimate, Ordering::Relaxed);
                record.charged = Record::UNCHARGED;
            }
        }
    }

    /// Calls a method, and of some calls learns how long they take.
    #[inline]
    pub(crate) fn call(
        &self,
        record: &Record,
        container: &Container,
        method: &Method,
        rctx: &mut chi_run_context,
    ) -> chi_status {
        if self.traces {
            return self.call_traced(record, container, method, rctx);
        }
        let count = self.samples.get().wrapping_add(1);
        self.samples.set(count);
        if count.is_multiple_of(SAMPLE) || method.mean_ns.load(Ordering::Relaxed) == 0 {
            self.call_measured(record, container, method, rctx)
        } else {
            self.call_module(record, container, method, rctx)
        }
    }

    /// Calls a method, and writes to the log when it begins and ends.
    #[cold]
    fn call_traced(
        &self,
        record: &Record,
        container: &Container,
        method: &Method,
        rctx: &mut chi_run_context,
    ) -> chi_status {
        let worker = self.index;
        log_about!(trace, About::task(record), worker, "a task starts");
        let begin = Instant::now();
        let status = self.call_measured(record, container, method, rctx);
        let took = begin.elapsed();
        log_about!(trace, About::task(record), worker, status, ?took, "a task ends");
        status
    }

    #[inline(never)]
    fn call_measured(
        &self,
        record: &Record,
        container: &Container,
        method: &Method,
        rctx: &mut chi_run_context,
    ) -> chi_status {
        let begin = Instant::now();
        let status = self.call_module(record, container, method, rctx);
        if !record.suspended.get() {
            method.learn(begin.elapsed().as_nanos() as u64);
        }
        status
    }

    #[inline(always)]
    fn call_module(
        &self,
        record: &Record,
        container: &Container,
        method: &Method,
        rctx: &mut chi_run_context,
    ) -> chi_status {
        self.desk().show(record);
        self.desk().enter_module(Running::method(container.id.major_, method.number));
        // SAFETY: the container is live and counted, and the body private and of the method's layout.
        let status = unsafe {
            (container.ops().run)(container.object(), method.number, record.body(), rctx)
        };
        self.desk().leave_module();
        status
    }

    /// True when all that this worker can expect is so far away that it is not worth to stay awake.
    #[cold]
    pub(crate) fn must_wait_long(&self) -> bool {
        let spin = self.shared.config.spin.as_nanos() as u64;
        let mut others = self.shared.desks.iter().enumerate().filter_map(|(index, desk)| {
            let load = desk.load.load(Ordering::Relaxed);
            (index != self.index as usize && load > 0).then_some(load)
        });
        self.fibers.has_suspended()
            && others.next().is_some_and(|first| others.fold(first, u64::min) > spin)
    }
}

#[cold]
fn no_lane(container: &Container, method: &Method) -> Failure {
    Failure::new(
        CHI_INVALID,
        format!(
            "the monitor of {} of pool '{}' chose a lane that does not exist",
            method.name,
            container.name()
        ),
    )
}
