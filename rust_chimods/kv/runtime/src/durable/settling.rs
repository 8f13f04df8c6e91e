//! Changes that have ended although their transaction is still being committed, because it need not last: whoever
//! reads waits until it is, and so sees them.

use std::collections::hash_map::RandomState;
use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chimaera::module::Event;
use chimaera::Result;

#[derive(Default)]
pub(super) struct Settling {
    /// Whether there are such changes: all that a read looks at otherwise.
    is_any: AtomicBool,
    changes: Mutex<Changes>,
    hasher: RandomState,
}

#[derive(Default)]
struct Changes {
    /// The hashes of their containers and keys. Two keys of one hash cost a wait, and nothing else.
    keys: HashSet<u64>,
    waiting: Vec<Arc<Event>>,
}

impl Settling {
    /// Changes of these keys of containers end now. Called before anybody is told.
    pub(super) fn begin<'k>(&self, keys: impl Iterator<Item = (u32, &'k [u8])>) {
        self.changes().keys.extend(keys.map(|key| self.hasher.hash_one(key)));
        self.is_any.store(true, Ordering::Release);
    }

    /// What was begun is committed, or never will be.
    pub(super) fn end(&self) {
        let mut changes = self.changes();
        self.is_any.store(false, Ordering::Release);
        changes.keys.clear();
        changes.waiting.drain(..).for_each(|event| event.set());
    }

    /// Waits until changes of this key of a container, or without one of any, that have ended are committed.
    /// Errors: `CHI_CANCELLED`.
    pub(super) fn wait_for(&self, key: Option<(u32, &[u8])>) -> Result<()> {
        if !self.is_any.load(Ordering::Acquire) {
            return Ok(());
        }
        let settled = {
            let mut changes = self.changes();
            let is_among = match key {
                Some(key) => changes.keys.contains(&self.hasher.hash_one(key)),
                None => self.is_any.load(Ordering::Relaxed),
            };
            if !is_among {
                return Ok(());
            }
            let settled = Arc::new(Event::new()?);
            changes.waiting.push(settled.clone());
            settled
        };
        settled.wait()
    }

    /// A panic between two statements leaves a set that costs a wait at most.
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::host::Module;

    /// Whether somebody who reads this waits until the changes are committed: nothing suspends a task here, so a
    /// wait ends at once, as if it had been cancelled.
    fn waits(changed: &[(u32, &[u8])], key: Option<(u32, &[u8])>) -> bool {
        let settling = Settling::default();
        settling.begin(changed.iter().copied());
        let waits = settling.wait_for(key).is_err();
        settling.end();
        settling.wait_for(key).unwrap();
        waits
    }

    #[test]
    fn who_reads_what_has_changed_waits() {
        let _module = Module::created();
        let changes: [(u32, &[u8]); 2] = [(1, b"a"), (1, b"b")];
        assert!(waits(&changes, Some((1, b"a"))));
        assert!(waits(&changes, Some((1, b"b"))));
        assert!(waits(&changes, None));
        assert!(!waits(&changes, Some((1, b"c"))));
        assert!(!waits(&changes, Some((0, b"a"))));
    }
}
