//! What has happened of late, for all who look.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chimaera_abi::{chi_status, CHI_FAILED};
use chimaera_metrics::Snapshot;

use crate::commands::top;
use crate::context::{Context, Failed};

/// How long a view is given again, instead of a new one: it is about as long a time, whoever asks how often.
const FRESH: Duration = Duration::from_millis(900);
/// After that long without anybody who looks, it begins anew.
const STALE: Duration = Duration::from_secs(5);
/// The time of the first view.
const FIRST: Duration = Duration::from_millis(250);

/// The last two moments, or why there is none.
#[derive(Default)]
pub(super) struct Sampler(Mutex<Last>);

#[derive(Default)]
enum Last {
    #[default]
    Nothing,
    Moments(Box<Moments>),
    /// Whoever has waited for the same answer need not wait for another one.
    Failed {
        at: Instant,
        status: chi_status,
        why: String,
    },
}

struct Moments {
    before: Snapshot,
    now: Snapshot,
    at: Instant,
}

impl Sampler {
    /// What has happened between the last two moments, of which the last is about now.
    pub(super) fn view(&self, context: &Context) -> Result<top::View, Failed> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match std::mem::take(&mut *last) {
            Last::Failed { at, status, why } if at.elapsed() < FRESH => {
                *last = Last::Failed { at, status, why: why.clone() };
                return Err(Failed::Refused(status, why));
            }
            Last::Moments(last) if last.at.elapsed() < FRESH => Ok(last),
            Last::Moments(last) if last.at.elapsed() < STALE => next(context, last.now),
            _ => top::ask(context).and_then(|before| {
                std::thread::sleep(FIRST);
                next(context, before)
            }),
        };
        let moments = match next {
            Ok(moments) => moments,
            Err(failed) => {
                let (_, status, why) = failed.parts().unwrap_or((1, CHI_FAILED, String::new()));
                *last = Last::Failed { at: Instant::now(), status, why: why.clone() };
                return Err(Failed::Refused(status, why));
            }
        };
        let view = top::View::between(&moments.before, &moments.now);
        *last = Last::Moments(moments);
        Ok(view)
    }
}

fn next(context: &Context, before: Snapshot) -> Result<Box<Moments>, Failed> {
    Ok(Box::new(Moments { before, now: top::ask(context)?, at: Instant::now() }))
}
