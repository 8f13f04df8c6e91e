//! The times at which a task goes from stage to stage.

use std::cell::Cell;

use chimaera_ipc::ring::Submitted;
use chimaera_ipc::ticks;

use super::worker::Metrics;

/// What of a task's time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In a client's ring, until it is accepted.
    Ring,
    /// In a lane, until it starts.
    Lane,
    /// Running, without the time in which it is suspended, until its results have been delivered.
    Running,
    /// Suspended, if it ever is.
    Suspended,
    /// From the first of these to the last.
    Total,
}

impl Stage {
    /// How many there are.
    pub(super) const COUNT: usize = Stage::Total as usize + 1;
}

/// For which tasks a measured one stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum StandsFor {
    /// For all of its method since the last one that did: it was chosen at random.
    #[default]
    All,
    /// For itself: it was chosen because of the moment, or because it takes long.
    Itself,
}

/// The times of one task, in ticks.
#[derive(Clone, Default)]
pub(crate) struct Timing {
    /// When it was submitted; 0 if that is unknown.
    submitted: u64,
    pub(super) stands_for: StandsFor,
    /// When it was accepted; 0 if it is not measured.
    entered: u64,
    started: Cell<u64>,
    /// For how long it has been suspended, without the current time.
    suspended: Cell<u64>,
    /// Since when it is in a lane or suspended. Known of all tasks, about.
    since: Cell<u64>,
    /// Its number in the recording of a trace; 0 if it is not traced. Only known of those that are measured, from their start on.
    trace: Cell<u64>,
    /// It has been decided whether it is traced.
    is_decided: Cell<bool>,
    /// Who has submitted it, for the recording of a trace. Only known of those that are measured.
    submitter: Submitter,
}

/// Who has submitted a task, for the recording of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Submitter {
    /// A client, or the runtime itself.
    #[default]
    Nobody,
    /// The task with this number in the recording; 0 if that is not traced.
    Task(u64),
}

/// How long a task took, in nanoseconds.
pub(crate) struct Took {
    pub(crate) ring: Option<u64>,
    pub(crate) lane: u64,
    pub(crate) running: u64,
    pub(crate) suspended: u64,
    /// `None` if it is unknown when the task was submitted.
    pub(crate) total: Option<u64>,
}

impl Took {
    /// How long it took in all, as far as that is known.
    pub(crate) fn known(&self) -> u64 {
        self.total.unwrap_or_else(|| self.lane + self.running + self.suspended)
    }
}

impl Timing {
    /// Forgets what was measured: the task is not measured, unless one of the next calls says so.
    #[inline(always)]
    pub(crate) fn reset(&mut self) {
        self.entered = 0;
    }

    /// Measures a task that a client submitted. No task was submitted before `earliest`.
    #[cold]
    pub(crate) fn accept(&mut self, submitted: Submitted, earliest: u64) {
        let stands_for = if submitted.was_asked() { StandsFor::Itself } else { StandsFor::All };
        self.begin(stands_for);
        // What a client says is not to be believed.
        self.submitted = submitted.ticks().filter(|at| *at >= earliest).unwrap_or(0);
    }

    #[cold]
    fn begin(&mut self, stands_for: StandsFor) {
        // 0 would mean that it is not measured.
        self.entered = ticks::now().max(1);
        self.submitted = 0;
        self.stands_for = stands_for;
        self.started.set(self.entered);
        self.suspended.set(0);
        self.trace.set(0);
        self.is_decided.set(false);
        self.submitter = Submitter::Nobody;
    }

    /// A task that is measured is submitted inside the runtime.
    pub(crate) fn set_submitter(&mut self, submitter: Submitter) {
        self.submitter = submitter;
    }

    /// When a task that is measured was accepted, in ticks.
    pub(crate) fn accepted(&self) -> u64 {
        self.entered
    }

    /// Who has submitted it.
    pub(crate) fn submitter(&self) -> Submitter {
        self.submitter
    }

    /// Gives a task that is measured its number in the recording of a trace, or 0, once and for all.
    pub(crate) fn set_trace(&self, number: u64) {
        self.trace.set(number);
        self.is_decided.set(true);
    }

    /// Whether it has been decided if the task is traced.
    pub(crate) fn is_decided(&self) -> bool {
        self.is_decided.get()
    }

    /// Its number in the recording of a trace; 0 if it is not traced.
    pub(crate) fn trace(&self) -> u64 {
        if self.is_measured() {
            self.trace.get()
        } else {
            0
        }
    }

    /// When a task that is measured was submitted, if that is known, otherwise 0; when it was accepted; and when it
    /// started; in ticks.
    pub(super) fn moments(&self) -> (u64, u64, u64) {
        (self.submitted, self.entered, self.started.get())
    }

    /// Since when it is in a lane or suspended, in ticks.
    pub(super) fn since(&self) -> u64 {
        self.since.get()
    }

    /// Measures a task that is submitted inside the runtime at this moment. If it is `chosen` because of the moment, it
    /// does not stand for others.
    #[cold]
    pub(crate) fn submit(&mut self, chosen: bool) {
        self.begin(if chosen { StandsFor::Itself } else { StandsFor::All });
        self.submitted = self.entered;
    }

    /// Measures the task from now on, unless it is measured already: it may take long. `is_internal`: it was submitted
    /// inside the runtime at this moment.
    #[cold]
    pub(crate) fn measure_anyway(&mut self, is_internal: bool) {
        if !self.is_measured() {
            self.begin(StandsFor::Itself);
            if is_internal {
                self.submitted = self.entered;
            }
        }
    }

    /// Whether the task is measured.
    #[inline(always)]
    pub(crate) fn is_measured(&self) -> bool {
        self.entered != 0
    }

    /// A task that is measured starts.
    #[cold]
    pub(crate) fn start(&self) {
        self.started.set(ticks::now());
    }

    /// The task is put into the queue of a lane.
    #[inline(always)]
    pub(crate) fn queue(&self, about_now: u64) {
        self.since.set(about_now);
    }

    /// The task is suspended. `first`: it has not been before.
    #[inline(always)]
    pub(crate) fn suspend(&self, first: bool, about_now: u64) {
        if self.is_measured() {
            return self.since.set(ticks::now());
        }
        self.since.set(about_now);
        if first {
            self.started.set(about_now);
        }
    }

    /// A task that has just been suspended for the first time, and is not measured, began so many ticks ago.
    pub(crate) fn began_before(&self, ticks: u64) {
        if !self.is_measured() {
            self.started.set(self.since.get().saturating_sub(ticks));
        }
    }

    /// Whether a task that has been suspended began to be so before the last tick of the coarse clock, and is not measured.
    #[inline(always)]
    pub(crate) fn was_suspended_for_long(&self, about_now: u64) -> bool {
        !self.is_measured() && about_now > self.started.get()
    }

    /// For how long a task that is suspended, or else in a lane, has existed, as far as that is known, and for how long
    /// it has been there; in ticks.
    pub(crate) fn ages(&self, suspended: bool) -> (u64, u64) {
        let since = self.since.get();
        let begin = match (self.is_measured(), suspended) {
            (true, _) if self.submitted != 0 => self.submitted,
            (true, _) => self.entered,
            (false, true) => self.started.get(),
            (false, false) => since,
        };
        let now = ticks::now();
        (now.saturating_sub(begin), now.saturating_sub(since))
    }

    /// The task goes on.
    pub(crate) fn resume(&self) {
        let time = ticks::now().saturating_sub(self.since.get());
        self.suspended.set(self.suspended.get().saturating_add(time));
    }

    /// How long it took until now.
    pub(crate) fn took(&self, metrics: &Metrics) -> Took {
        let (started, suspended) = (self.started.get(), self.suspended.get());
        let begin = (self.submitted != 0).then_some(self.submitted);
        // The clocks of two cores may differ a little.
        let now = ticks::now().max(started);
        let rate = metrics.scale.rate();
        let ns = |ticks| rate.ns(ticks);
        Took {
            ring: begin.map(|begin| ns(self.entered.saturating_sub(begin))),
            lane: ns(started.saturating_sub(self.entered)),
            running: ns((now - started).saturating_sub(suspended)),
            suspended: ns(suspended),
            total: begin.map(|begin| ns(now.saturating_sub(begin))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Budget;

    #[test]
    fn stages_add_up_to_the_total() {
        let mut timing = Timing::default();
        timing.accept(Submitted::at(ticks::now(), false), 0);
        timing.start();
        timing.suspend(true, 0);
        timing.resume();
        let took = timing.took(&Metrics::new(1, Budget::endless()));
        let sum = took.ring.unwrap() + took.lane + took.running + took.suspended;
        // Each of them is rounded.
        assert!(took.total.unwrap().abs_diff(sum) <= 4);
    }

    #[test]
    fn no_client_makes_a_task_older_than_the_runtime() {
        let mut timing = Timing::default();
        let now = ticks::now();
        timing.accept(Submitted::at(now - 1000, true), now - 500);
        let metrics = Metrics::new(1, Budget::endless());
        let took = timing.took(&metrics);
        assert!(took.ring.is_none() && took.total.is_none());
        timing.accept(Submitted::at(u64::MAX, false), now);
        assert_eq!(timing.took(&metrics).ring, Some(0), "nor younger than now");
    }
}
