//! What has happened of late, for all who look.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chimaera_metrics::Snapshot;

use crate::commands::top;
use crate::context::{Context, Failed};

/// How long a view is given again, instead of a new one: it is about as long a time, whoever asks how often.
const FRESH: Duration = Duration::from_millis(900);
/// The time of the first view.
const FIRST: Duration = Duration::from_millis(250);

/// The last two moments.
#[derive(Default)]
pub(super) struct Sampler(Mutex<Option<Moments>>);

struct Moments {
    before: Snapshot,
    now: Snapshot,
    at: Instant,
}

impl Sampler {
    /// What has happened between the last two moments, of which the last is about now.
    pub(super) fn view(&self, context: &Context) -> Result<top::View, Failed> {
        let mut moments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match moments.take() {
            Some(last) if last.at.elapsed() < FRESH => last,
            Some(last) => Moments { before: last.now, now: top::ask(context)?, at: Instant::now() },
            None => {
                let before = top::ask(context)?;
                std::thread::sleep(FIRST);
                Moments { before, now: top::ask(context)?, at: Instant::now() }
            }
        };
        let view = top::View::between(&next.before, &next.now);
        *moments = Some(next);
        Ok(view)
    }
}
