//! Log lines of threads that are ending. Destructors of modules may log after the thread-locals
//! that writing a line needs are gone: destructors of static objects always do.

thread_local! {
    /// Dropped with the other thread-locals of this library, if it has been used before them.
    static ALIVE: Alive = const { Alive };
}

struct Alive;

impl Drop for Alive {
    fn drop(&mut self) {}
}

/// Whether this thread can still log. Must be called on the thread before it logs its first line;
/// otherwise the answer may be wrong while the thread ends.
pub(crate) fn can_log() -> bool {
    ALIVE.try_with(|_| ()).is_ok()
}

/// Logs on this thread or, if it is ending, on another. `log` must not depend on this thread.
pub(crate) fn log_anyway(log: impl FnOnce() + Send + 'static) {
    if can_log() {
        return log();
    }
    // A line that cannot be logged is lost.
    if let Ok(thread) = std::thread::Builder::new().name("chi-last-line".into()).spawn(log) {
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc::{channel, Sender};
    use std::thread::ThreadId;

    use super::*;

    struct AtEnd(Sender<Option<ThreadId>>);

    impl Drop for AtEnd {
        fn drop(&mut self) {
            let told = self.0.clone();
            log_anyway(move || told.send(Some(std::thread::current().id())).unwrap());
        }
    }

    thread_local! {
        static AT_END: RefCell<Option<AtEnd>> = const { RefCell::new(None) };
    }

    #[test]
    fn a_thread_that_is_ending_has_its_line_logged() {
        let (to, told) = channel();
        let thread = std::thread::spawn(move || {
            // Dropped after ALIVE, because it was first used before.
            AT_END.with(|at_end| *at_end.borrow_mut() = Some(AtEnd(to.clone())));
            assert!(can_log());
            log_anyway(move || to.send(None).unwrap());
        });
        let id = thread.thread().id();
        thread.join().unwrap();
        assert_eq!(told.recv(), Ok(None));
        assert_ne!(told.recv().unwrap().unwrap(), id);
    }
}
