//! Questions whose answers take time to collect. Threads of their own do that, a few at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chimaera_abi::{CHI_INTERNAL, CHI_INVALID};
use chimaera_ipc::control::Request;
use chimaera_ipc::wire::Message;
use chimaera_metrics::Wanted;
use serde::Serialize;

use super::work::{in_thread, Slot};
use crate::admin::{snapshot, tasks};
use crate::failure::Failure;
use crate::scheduler::Shared;
use crate::sys::lock;

/// How often to look for answers.
const LOOK: Duration = Duration::from_millis(2);
/// How many answers are collected at the same time.
const MOST: usize = 2;
/// How many tasks are listed at most: a few times ten megabytes of text.
const MOST_TASKS: usize = 100_000;

/// A question.
enum Question {
    Metrics,
    Tasks(Wanted),
}

/// The connections that wait for an answer.
#[derive(Default)]
pub(super) struct Questions {
    waiting: VecDeque<(u64, Question)>,
    asked: Vec<(u64, Slot<String>)>,
}

/// Whether a message is a question of this kind.
pub(super) fn is_asked(message: &Message) -> bool {
    matches!(Request::of(message.words[0]), Some(Request::Metrics | Request::Tasks))
}

impl Questions {
    /// Begins to answer a question, or puts it behind others.
    pub(super) fn add(&mut self, client: u64, message: &Message) -> Result<(), Failure> {
        let question = match Request::of(message.words[0]) {
            Some(Request::Tasks) => {
                let wanted: Wanted = serde_json::from_str(&message.text).map_err(|error| {
                    Failure::new(CHI_INVALID, format!("which tasks are wanted: {error}"))
                })?;
                Question::Tasks(Wanted { most: wanted.most.min(MOST_TASKS), ..wanted })
            }
            _ => Question::Metrics,
        };
        self.waiting.push_back((client, question));
        Ok(())
    }

    /// When to look again.
    pub(super) fn next_look(&self) -> Option<Instant> {
        (!self.asked.is_empty()).then(|| Instant::now() + LOOK)
    }

    /// The answers that there are. Questions of clients that are gone are forgotten.
    pub(super) fn advance(
        &mut self,
        shared: &Arc<Shared>,
        is_there: impl Fn(u64) -> bool,
    ) -> Vec<(u64, Result<String, Failure>)> {
        let mut answers = Vec::new();
        self.asked.retain(|(client, slot)| match lock(slot).take() {
            None => true,
            Some(answer) => {
                answers.push((*client, answer));
                false
            }
        });
        self.waiting.retain(|(client, _)| is_there(*client));
        while self.asked.len() < MOST {
            let Some((client, question)) = self.waiting.pop_front() else { break };
            let theirs = shared.clone();
            match in_thread(move || answer(&theirs, question)) {
                Ok(slot) => self.asked.push((client, slot)),
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
    }
}

fn document(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::new(CHI_INTERNAL, format!("writing the answer: {error}")))
}
