//! Questions whose answers take time to collect. Threads of their own do that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::{CHI_INTERNAL, CHI_INVALID};
use chimaera_ipc::control::Request;
use chimaera_ipc::wire::Message;
use chimaera_metrics::{TraceRequest, Wanted};
use serde::Serialize;

use super::work::{in_thread, Slot};
use crate::access::Caller;
use crate::admin::{snapshot, tasks, trace};
use crate::failure::Failure;
use crate::scheduler::Shared;
use crate::sys::lock;

/// How often to look for answers.
const LOOK: Duration = Duration::from_millis(2);
/// How many tasks are listed at most: some megabytes of text, which a module host's answer has room for.
const MOST_TASKS: usize = 10_000;

/// A question.
enum Question {
    Metrics,
    Tasks(Wanted),
    Trace(TraceRequest),
}

/// The connections that wait for an answer.
#[derive(Default)]
pub(super) struct Questions {
    waiting: VecDeque<(u64, Question)>,
    asked: Vec<(u64, Kind, Slot<String>)>,
}

/// The kind of a question. At the same time, one of each is answered: who lists tasks does not hold up the metrics.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Metrics,
    Tasks,
    Trace,
}

impl Question {
    fn kind(&self) -> Kind {
        match self {
            Question::Metrics => Kind::Metrics,
            Question::Tasks(_) => Kind::Tasks,
            Question::Trace(_) => Kind::Trace,
        }
    }
}

/// Whether a message is a question of this kind.
pub(super) fn is_asked(message: &Message) -> bool {
    let request = Request::of(message.words[0]);
    matches!(request, Some(Request::Metrics | Request::Tasks | Request::Trace))
}

impl Questions {
    /// Begins to answer a question, or puts it behind others.
    pub(super) fn add(
        &mut self,
        client: u64,
        caller: &Caller,
        message: &Message,
    ) -> Result<(), Failure> {
        let question = match Request::of(message.words[0]) {
            Some(Request::Tasks) => {
                let wanted: Wanted = serde_json::from_str(&message.text).map_err(|error| {
                    Failure::new(CHI_INVALID, format!("which tasks are wanted: {error}"))
                })?;
                Question::Tasks(Wanted { most: wanted.most.min(MOST_TASKS), ..wanted })
            }
            Some(Request::Trace) => {
                caller.must_be_owner("record a trace")?;
                Question::Trace(serde_json::from_str(&message.text).map_err(|error| {
                    Failure::new(CHI_INVALID, format!("what is asked of the trace: {error}"))
                })?)
            }
            _ => Question::Metrics,
        };
        self.waiting.push_back((client, question));
        Ok(())
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        let is_waiting = !self.asked.is_empty() || !self.waiting.is_empty();
        is_waiting.then(|| Instant::now() + LOOK)
    }

    /// The answers that there are. Questions of clients that are gone are forgotten.
    pub(super) fn advance(
        &mut self,
        shared: &Arc<Shared>,
        is_there: impl Fn(u64) -> bool,
    ) -> Vec<(u64, Result<String, Failure>)> {
        let mut answers = Vec::new();
        self.asked.retain(|(client, _, slot)| match lock(slot).take() {
            None => true,
            Some(answer) => {
                answers.push((*client, answer));
                false
            }
        });
        self.waiting.retain(|(client, _)| is_there(*client));
        for kind in [Kind::Metrics, Kind::Tasks, Kind::Trace] {
            if self.asked.iter().any(|(_, asked, _)| *asked == kind) {
                continue;
            }
            let next = self.waiting.iter().position(|(_, question)| question.kind() == kind);
            let Some((client, question)) = next.and_then(|at| self.waiting.remove(at)) else {
                continue;
            };
            let theirs = shared.clone();
            match in_thread(move || answer(&theirs, question)) {
                Ok(slot) => self.asked.push((client, kind, slot)),
                Err(failure) => answers.push((client, Err(failure))),
            }
        }
        answers
    }
}

fn answer(shared: &Shared, question: Question) -> Result<String, Failure> {
    match question {
        Question::Metrics => document(&snapshot(shared)),
        Question::Tasks(wanted) => document(&tasks(shared, &wanted)),
        Question::Trace(request) => document(&trace(shared, &request)?),
    }
}

fn document(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::new(CHI_INTERNAL, format!("writing the answer: {error}")))
}
