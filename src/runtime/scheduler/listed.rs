//! What workers are asked about their tasks, and what they say.

use std::sync::atomic::{AtomicBool, Ordering};

use chimaera_metrics::{Task, Wanted};

/// A question to the workers about their tasks.
pub(crate) struct Asked {
    pub(super) wanted: Wanted,
    /// A worker is looking into the lanes of those that are busy.
    behind_busy: AtomicBool,
}

impl Asked {
    pub(super) fn new(wanted: &Wanted) -> Asked {
        Asked { wanted: wanted.clone(), behind_busy: AtomicBool::new(false) }
    }

    /// Whether the caller is to look into the lanes of workers that are busy. True once.
    pub(super) fn looks_behind_busy(&self) -> bool {
        !self.behind_busy.swap(true, Ordering::Relaxed)
    }
}

/// What the workers say: their tasks, and who has answered.
pub(crate) type Listed = (Vec<Task>, Vec<u32>);
