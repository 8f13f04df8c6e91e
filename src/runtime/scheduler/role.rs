//! Which tasks a worker serves, and how a stand-by worker comes to rest.

#[cfg(all(loom, test))]
use loom::sync::atomic::{AtomicU8, Ordering};
#[cfg(not(all(loom, test)))]
use std::sync::atomic::{AtomicU8, Ordering};

/// Which tasks a worker serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Role {
    /// Low-latency tasks.
    LowLatency,
    /// High-latency tasks.
    HighLatency,
    /// None: all workers of low-latency tasks are blocked, and no further one may be. It reads what clients
    /// say, and ends what is cancelled.
    Attending,
    /// None: a stand-by worker that is not needed. Tasks that were suspended on it end there.
    Resting,
}

impl Role {
    /// The role of the workers of a group.
    pub(super) fn of(high_latency: bool) -> Role {
        if high_latency {
            Role::HighLatency
        } else {
            Role::LowLatency
        }
    }
}

/// The role of a worker. The watchdog changes those of stand-by workers.
pub(super) struct RoleWord(AtomicU8);

impl RoleWord {
    pub(super) fn new(role: Role) -> RoleWord {
        RoleWord(AtomicU8::new(role as u8))
    }

    pub(super) fn get(&self) -> Role {
        match self.0.load(Ordering::Acquire) {
            0 => Role::LowLatency,
            1 => Role::HighLatency,
            2 => Role::Attending,
            _ => Role::Resting,
        }
    }

    /// Makes a resting worker serve a group, or attend.
    pub(super) fn serve(&self, role: Role) {
        self.0.store(role as u8, Ordering::Release);
    }

    /// Puts the worker to rest, and then `tell`s it to give away its work. From then on, it passes
    /// on whatever was in transit to it.
    pub(super) fn rest(&self, tell: impl FnOnce()) {
        self.0.store(Role::Resting as u8, Ordering::Release);
        tell();
    }
}

#[cfg(all(loom, test))]
mod loom_tests {
    use super::super::gate::Gate;
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::{Arc, Mutex};
    use std::collections::VecDeque;

    enum Message {
        Ring,
        StealFromFirst,
        Rest,
    }

    /// A worker with rings, of which only the number matters.
    struct Worker {
        role: RoleWord,
        gate: Gate,
        rings: UnsafeCell<u32>,
        mailbox: Mutex<VecDeque<Message>>,
    }

    // SAFETY: this is what the models check: one thread at a time uses the rings.
    unsafe impl Sync for Worker {}
    // SAFETY: as above.
    unsafe impl Send for Worker {}

    impl Worker {
        fn new(role: Role, rings: u32) -> Arc<Worker> {
            Arc::new(Worker {
                role: RoleWord::new(role),
                gate: Gate::new(),
                rings: UnsafeCell::new(rings),
                mailbox: Mutex::default(),
            })
        }

        fn send(&self, message: Message) {
            self.mailbox.lock().unwrap().push_back(message);
        }

        fn add(&self, rings: u32) {
            // SAFETY: as above.
            self.rings.with_mut(|own| unsafe { *own += rings });
        }

        fn take(&self) -> u32 {
            // SAFETY: as above.
            self.rings.with_mut(|own| unsafe { std::mem::take(&mut *own) })
        }

        /// Reads the pending messages, as the stand-by worker of `first`.
        fn read(&self, first: &Worker) {
            loop {
                let message = self.mailbox.lock().unwrap().pop_front();
                match message {
                    None => return,
                    Some(Message::Ring) if self.role.get() == Role::Resting => {
                        first.send(Message::Ring);
                    }
                    Some(Message::Ring) => self.add(1),
                    Some(Message::StealFromFirst) => {
                        let mut stolen = 0;
                        first.gate.steal(|| stolen = first.take());
                        (0..stolen).for_each(|_| self.send(Message::Ring));
                    }
                    Some(Message::Rest) => {
                        (0..self.take()).for_each(|_| first.send(Message::Ring));
                    }
                }
            }
        }
    }

    /// A ring that is given to a stand-by worker that comes to rest meanwhile does not stay there.
    #[test]
    fn loom_a_ring_on_its_way_to_a_worker_that_comes_to_rest_is_passed_on() {
        loom::model(|| {
            let (first, standby) =
                (Worker::new(Role::LowLatency, 0), Worker::new(Role::LowLatency, 0));
            let control = {
                let (first, standby) = (first.clone(), standby.clone());
                loom::thread::spawn(move || match standby.role.get() {
                    Role::Resting => first.send(Message::Ring),
                    _ => standby.send(Message::Ring),
                })
            };
            let watchdog = {
                let standby = standby.clone();
                loom::thread::spawn(move || standby.role.rest(|| standby.send(Message::Rest)))
            };
            standby.read(&first);
            control.join().unwrap();
            standby.read(&first);
            watchdog.join().unwrap();
            standby.read(&first);
            assert_eq!(standby.take(), 0, "a worker that rests has kept a ring");
            assert_eq!(first.mailbox.lock().unwrap().len(), 1, "the ring is gone");
        });
    }

    /// A stand-by worker takes over from a worker that a method blocks, which comes back at any
    /// time, and then rests: in the end the first worker has its rings.
    #[test]
    fn loom_what_was_taken_over_comes_back() {
        loom::model(|| {
            let (first, standby) =
                (Worker::new(Role::LowLatency, 2), Worker::new(Role::Resting, 0));
            first.gate.leave(7);
            let relief = {
                let (first, standby) = (first.clone(), standby.clone());
                loom::thread::spawn(move || standby.read(&first))
            };
            let watchdog = {
                let standby = standby.clone();
                loom::thread::spawn(move || {
                    standby.role.serve(Role::LowLatency);
                    standby.send(Message::StealFromFirst);
                    standby.role.rest(|| standby.send(Message::Rest));
                })
            };
            first.gate.come_back();
            let kept = first.take();
            watchdog.join().unwrap();
            relief.join().unwrap();
            standby.read(&first);
            assert_eq!(standby.take(), 0, "a worker that rests has kept a ring");
            assert_eq!(kept + first.mailbox.lock().unwrap().len() as u32, 2);
        });
    }
}
