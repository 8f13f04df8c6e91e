//! A trace, put together from what a runtime has returned bit by bit.

use std::collections::HashMap;

use chimaera_metrics::{Trace, TracedFor, TracedMethod, TracedTask, TracedWait};

/// A trace.
pub(super) struct Recorded {
    /// When it began, in nanoseconds since 1970.
    pub(super) began_unix_ns: u64,
    pub(super) until_ns: u64,
    /// The version of the runtime.
    pub(super) version: String,
    /// Each once.
    pub(super) methods: Vec<TracedMethod>,
    pub(super) tasks: Vec<TracedTask>,
    /// The waits of each task.
    waits: HashMap<u64, Vec<TracedWait>>,
    pub(super) lost: u64,
    /// How many tasks had begun, and not ended, at the end.
    pub(super) open: u64,
    /// There were more tasks than were to be recorded.
    pub(super) is_full: bool,
    known: HashMap<TracedMethod, u32>,
}

/// A time in which a task kept its worker busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) since_ns: u64,
    pub(super) until_ns: u64,
}

/// For how long a task was in each stage, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stages {
    /// `None` if that is unknown.
    pub(super) ring: Option<u64>,
    pub(super) lane: u64,
    pub(super) running: u64,
    pub(super) suspended: u64,
}

/// What a task waits for, in words; a task is what `task_in_words` says.
pub(super) fn waits_in_words(what: TracedFor, task_in_words: impl FnOnce(u64) -> String) -> String {
    match what {
        TracedFor::Time => "waits for a time".to_owned(),
        TracedFor::Event => "waits for an event".to_owned(),
        TracedFor::Lock => "waits for a lock".to_owned(),
        TracedFor::Process(process) => format!("is in process {process}"),
        TracedFor::Node => "is on another node".to_owned(),
        TracedFor::Task(number) => format!("waits for {}", task_in_words(number)),
    }
}

impl Recorded {
    /// One that begins as this one does.
    pub(super) fn new(first: &Trace) -> Recorded {
        Recorded {
            began_unix_ns: first.began_unix_ns,
            until_ns: 0,
            version: first.version.clone(),
            methods: Vec::new(),
            tasks: Vec::new(),
            waits: HashMap::new(),
            lost: 0,
            open: 0,
            is_full: false,
            known: HashMap::new(),
        }
    }

    /// Adds what has been recorded since.
    pub(super) fn add(&mut self, trace: Trace) {
        let numbers: Vec<u32> =
            trace.methods.into_iter().map(|method| self.number(method)).collect();
        self.tasks.extend(
            trace
                .tasks
                .into_iter()
                .map(|task| TracedTask { method: numbers[task.method as usize], ..task }),
        );
        for wait in trace.waits {
            self.waits.entry(wait.task).or_default().push(wait);
        }
        self.lost += trace.lost;
        self.open = trace.open;
        self.until_ns = trace.until_ns;
    }

    fn number(&mut self, method: TracedMethod) -> u32 {
        let next = self.methods.len() as u32;
        let methods = &mut self.methods;
        *self.known.entry(method).or_insert_with_key(|method| {
            methods.push(method.clone());
            next
        })
    }

    /// Leaves so many tasks, those that were submitted first, and puts everything in order.
    pub(super) fn cut(&mut self, most: usize) {
        self.tasks.sort_by_key(|task| (begin(task), task.id));
        self.is_full = self.tasks.len() >= most;
        self.tasks.truncate(most);
        self.waits.values_mut().for_each(|waits| waits.sort_by_key(|wait| wait.since_ns));
        let ended: std::collections::HashSet<u64> = self.tasks.iter().map(|task| task.id).collect();
        self.waits.retain(|task, _| ended.contains(task));
    }

    /// How many waits there are.
    pub(super) fn waits(&self) -> usize {
        self.waits.values().map(Vec::len).sum()
    }

    /// The waits of a task, one after the other.
    pub(super) fn waits_of(&self, task: &TracedTask) -> &[TracedWait] {
        self.waits.get(&task.id).map_or(&[], Vec::as_slice)
    }

    /// The times in which a task kept its worker busy.
    pub(super) fn segments(&self, task: &TracedTask) -> Vec<Segment> {
        let mut segments = Vec::new();
        let mut since_ns = task.started_ns;
        for wait in self.waits_of(task) {
            segments.push(Segment { since_ns, until_ns: wait.since_ns.max(since_ns) });
            since_ns = wait.until_ns;
        }
        segments.push(Segment { since_ns, until_ns: task.ended_ns.max(since_ns) });
        segments
    }

    /// For how long a task was in each stage.
    pub(super) fn stages(&self, task: &TracedTask) -> Stages {
        let segments = self.segments(task);
        let running = segments.iter().map(|segment| segment.until_ns - segment.since_ns).sum();
        let since_start = task.ended_ns.saturating_sub(task.started_ns);
        Stages {
            ring: task.submitted_ns.map(|at| task.accepted_ns.saturating_sub(at)),
            lane: task.started_ns.saturating_sub(task.accepted_ns),
            running,
            suspended: since_start.saturating_sub(running),
        }
    }

    /// The method of a task.
    pub(super) fn method(&self, task: &TracedTask) -> &TracedMethod {
        &self.methods[task.method as usize]
    }
}

/// When a task was submitted, as far as that is known.
pub(super) fn begin(task: &TracedTask) -> u64 {
    task.submitted_ns.unwrap_or(task.accepted_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(methods: &[&str]) -> Trace {
        let method =
            |name: &&str| TracedMethod { pool: "p".to_owned(), method: (*name).to_owned() };
        Trace { methods: methods.iter().map(method).collect(), ..Trace::default() }
    }

    #[test]
    fn methods_of_all_parts_are_told_apart_by_name() {
        let mut recorded = Recorded::new(&Trace::default());
        let task = |id, method| TracedTask { id, method, ..TracedTask::default() };
        recorded.add(Trace { tasks: vec![task(1, 0), task(2, 1)], ..trace(&["a", "b"]) });
        recorded.add(Trace { tasks: vec![task(3, 0)], ..trace(&["b"]) });
        recorded.cut(10);
        let names = |recorded: &Recorded| -> Vec<String> {
            recorded.tasks.iter().map(|task| recorded.method(task).method.clone()).collect()
        };
        assert_eq!(names(&recorded), ["a", "b", "b"]);
        assert_eq!((recorded.methods.len(), recorded.is_full), (2, false));
        recorded.cut(2);
        assert!(recorded.is_full);
        assert_eq!(names(&recorded), ["a", "b"]);
    }

    #[test]
    fn a_task_runs_before_between_and_after_its_waits() {
        let mut recorded = Recorded::new(&Trace::default());
        let task = TracedTask { id: 1, started_ns: 10, ended_ns: 100, ..TracedTask::default() };
        let wait = |since_ns, until_ns| TracedWait {
            task: 1,
            since_ns,
            until_ns,
            ..TracedWait::default()
        };
        let waits = vec![wait(60, 90), wait(20, 50)];
        recorded.add(Trace { tasks: vec![task.clone()], waits, ..trace(&["a"]) });
        recorded.cut(10);
        let want = [(10, 20), (50, 60), (90, 100)];
        let want = want.map(|(since_ns, until_ns)| Segment { since_ns, until_ns });
        assert_eq!(recorded.segments(&task), want);
        assert_eq!(recorded.waits(), 2);
    }
}
