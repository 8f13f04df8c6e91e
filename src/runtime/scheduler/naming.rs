//! Naming the tasks that keep a pool from being replaced.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mailbox::{Question, WorkerMessage};
use super::shared::Shared;
use crate::pool::Pool;
use crate::sys::lock;

/// How long the workers have to answer. Each does so in its next round; on a busy machine it may not get a
/// processor for a while.
const BOUND: Duration = Duration::from_secs(1);

/// What the workers say of the tasks in some pools. A worker that a method keeps busy is not waited for:
/// that method is shown by other means.
pub(crate) struct Naming {
    names: Question<Vec<String>>,
    /// How many answers there will be.
    asked: usize,
    until: Instant,
}

impl Naming {
    /// Asks the workers.
    pub(crate) fn ask(shared: &Shared, pools: &[Arc<Pool>]) -> Naming {
        let names = Question::default();
        let mut asked = 0;
        for worker in 0..shared.started() as u32 {
            if shared.run_queue(worker).busy_since().is_some() {
                continue;
            }
            for pool in pools {
                let message = WorkerMessage::DescribeTasks(pool.id, Arc::clone(&names));
                shared.mailbox(worker).send(message);
                asked += 1;
            }
        }
        Naming { names, asked, until: Instant::now() + BOUND }
    }

    /// The descriptions, once all workers have answered or the bound is over; until then `None`.
    pub(crate) fn take(&self) -> Option<Vec<String>> {
        let mut answers = lock(&self.names);
        let is_over = answers.workers >= self.asked || Instant::now() >= self.until;
        is_over.then(|| std::mem::take(&mut answers.found))
    }
}
