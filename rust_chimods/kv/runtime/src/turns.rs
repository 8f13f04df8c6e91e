//! Changes of one key take effect in the order in which they began, also when they wait in between.

use std::collections::hash_map::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chimaera::module::Event;
use chimaera::Result;

/// The changes that have begun, by key.
#[derive(Default)]
pub(crate) struct Turns {
    begun: Mutex<HashMap<Vec<u8>, VecDeque<Begun>>>,
}

struct Begun {
    number: u64,
    /// Set when those before it have ended; none if it does not wait for that.
    next: Option<Arc<Event>>,
}

/// A change's place among those of its key. Dropping it ends the change.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    key: &'a [u8],
    number: u64,
}

impl Turns {
    /// Begins a change of a key.
    pub(crate) fn begin<'a>(&'a self, key: &'a [u8]) -> Turn<'a> {
        let mut begun = self.lock();
        let of_key = match begun.get_mut(key) {
            Some(of_key) => of_key,
            None => begun.entry(key.to_vec()).or_default(),
        };
        let number = of_key.back().map_or(0, |last| last.number + 1);
        of_key.push_back(Begun { number, next: None });
        Turn { turns: self, key, number }
    }

    /// A panic between two statements leaves the queues consistent.
    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, VecDeque<Begun>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Waits until the changes of the key that began earlier have ended. Errors: `CHI_CANCELLED`.
    pub(crate) fn wait(&self) -> Result<()> {
        // Auto-reset, and set at most once: when this change becomes the first.
        let turn = {
            let mut begun = self.turns.lock();
            let own = begun.get_mut(self.key).and_then(|of_key| match of_key.front() {
                Some(first) if first.number == self.number => None,
                _ => of_key.iter_mut().find(|begun| begun.number == self.number),
            });
            match own {
                None => return Ok(()),
                Some(own) => own.next.insert(Arc::new(Event::new()?)).clone(),
            }
        };
        turn.wait()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut begun = self.turns.lock();
        let Some(of_key) = begun.get_mut(self.key) else { return };
        let was_first = of_key.front().is_some_and(|first| first.number == self.number);
        of_key.retain(|begun| begun.number != self.number);
        match of_key.front() {
            None => drop(begun.remove(self.key)),
            Some(Begun { next: Some(next), .. }) if was_first => next.set(),
            Some(_) => {}
        }
    }
}
