//! Locks that suspend tasks, in modules of both languages.

use std::sync::Barrier;

use chimaera::abi::{CHI_CANCELLED, CHI_DEADLOCK, CHI_FAILED, CHI_INVALID, CHI_TIMEOUT};
use chimaera::{DomainQuery, Ipc, NewTask, Pending, PoolId, PoolOptions, Task};
use chimaera_test_locks_client::{How, Lock, LockTask, Method, CPP, LANES, RUST};
use chimaera_tests::process::until;
use chimaera_tests::{connect, in_client, Call, Daemon, Options, Running, Vitals};

const WORKERS: u16 = 4;

fn options() -> Options {
    Options::new().locks().workers(WORKERS)
}

/// A pool of one of the modules.
#[derive(Clone, Copy)]
struct Pool {
    ipc: Ipc,
    id: PoolId,
}

impl Pool {
    #[track_caller]
    fn new(module: &str, name: &str) -> Pool {
        let ipc = chimaera::ipc().unwrap();
        Pool { ipc, id: ipc.create_pool(module, name, b"").unwrap() }
    }

    fn task(&self, method: u32, lock: u32, number: u64) -> NewTask<LockTask> {
        let task: NewTask<LockTask> = self.ipc.task(self.id, method);
        task.lock.set(lock);
        task.number.set(number);
        task
    }

    #[track_caller]
    fn hold(&self, lock: u32, number: u64) -> Pending<LockTask> {
        self.task(Method::HOLD, lock, number).submit().unwrap()
    }

    #[track_caller]
    fn let_go(&self, number: u64) {
        self.task(Method::LET_GO, Lock::NONE, number).call().unwrap();
    }

    #[track_caller]
    fn notes(&self) -> String {
        self.task(Method::NOTES, Lock::NONE, 0).call().unwrap().text.to_string().unwrap()
    }

    #[track_caller]
    fn wait_for_notes(&self, notes: &str) {
        until(notes, || (self.notes() == notes).then_some(()));
    }

    #[track_caller]
    fn is_free(&self, lock: u32) -> bool {
        self.task(Method::TRY, lock, 0).call().unwrap().result.get() == 1
    }
}

/// Runs a test with a pool of each module.
fn in_both(test: impl Fn(Pool)) {
    connect();
    test(Pool::new(CPP, "cpp"));
    test(Pool::new(RUST, "rust"));
}

#[test]
fn roots_on_all_workers_exclude_each_other() {
    in_client!(options(), |_| in_both(|pool| {
        const TIMES: u64 = 100;
        for (round, lock) in (1..).zip([Lock::MUTEX, Lock::WRITE]) {
            std::thread::scope(|scope| {
                for lane in 0..8_u32 {
                    scope.spawn(move || {
                        let task = pool.task(Method::COUNT, lock, TIMES);
                        task.lane.set(lane);
                        let reader = pool.task(Method::COUNT, Lock::READ, TIMES);
                        reader.lane.set(lane);
                        let reader = (lock == Lock::WRITE).then(|| reader.submit().unwrap());
                        task.call().unwrap();
                        reader.map(|reader| reader.wait().unwrap());
                    });
                }
            });
            pool.task(Method::NEST, lock, 0).call().unwrap();
            let count = pool.task(Method::COUNT, lock, 1).call().unwrap().result.get();
            assert_eq!(count, round * (8 * TIMES + 2));
        }
    }));
}

#[test]
fn a_task_that_holds_a_lock_may_wait_for_another_that_takes_it() {
    in_client!(options(), |_| in_both(|pool| {
        // Threads have rings on different workers, and a task that stays in a lane keeps the lane
        // on its worker.
        let barrier = Barrier::new(LANES as usize);
        let busy: Vec<_> = std::thread::scope(|scope| {
            let barrier = &barrier;
            let stay = move |lane| {
                let task = pool.task(Method::HOLD, Lock::NONE, 1);
                task.lane.set(lane);
                let task = task.submit().unwrap();
                barrier.wait();
                task
            };
            let threads: Vec<_> = (0..LANES).map(|lane| scope.spawn(move || stay(lane))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        pool.wait_for_notes(&["1"; LANES as usize].join(","));
        for lock in [Lock::MUTEX, Lock::READ, Lock::WRITE, Lock::COMMON] {
            let nest = pool.task(Method::NEST, lock, u64::from(LANES) - 1).call().unwrap();
            let workers = nest.text.to_string().unwrap();
            let mut workers: Vec<&str> = workers.split(',').collect();
            assert_eq!(workers.len(), LANES as usize);
            workers.sort_unstable();
            assert_ne!(workers.first(), workers.last(), "several workers took part");
        }
        pool.let_go(1);
        busy.into_iter().for_each(|task| drop(task.wait().unwrap()));
        std::thread::scope(|scope| {
            for lane in 0..6 {
                scope.spawn(move || {
                    let nest = pool.task(Method::NEST, Lock::MUTEX, 5);
                    nest.lane.set(lane);
                    nest.call().unwrap();
                });
            }
        });
    }));
}

#[test]
fn roots_get_a_lock_in_the_order_in_which_they_asked() {
    in_client!(options(), |_| in_both(|pool| {
        // The tasks of one thread start on one worker, in order.
        let held: Vec<_> = (1..=6).map(|number| pool.hold(Lock::MUTEX, number)).collect();
        for (number, hold) in (1..).zip(held) {
            let notes: Vec<String> = (1..=number).map(|number: u64| number.to_string()).collect();
            pool.wait_for_notes(&notes.join(","));
            pool.let_go(number);
            hold.wait().unwrap();
        }
    }));
}

#[test]
fn a_client_cannot_say_that_its_tasks_are_of_one_root() {
    in_client!(options(), |_| in_both(|pool| {
        let first = pool.task(Method::HOLD, Lock::MUTEX, 1);
        let second = pool.task(Method::HOLD, Lock::MUTEX, 2);
        // SAFETY: neither task is submitted, so both belong to this thread.
        unsafe { (*second.base().as_ptr()).task_node_ = first.base().task_node() };
        let held = [first.submit().unwrap(), second.submit().unwrap()];
        pool.wait_for_notes("1");
        assert!(!pool.is_free(Lock::MUTEX));
        assert_eq!(pool.notes(), "1");
        pool.let_go(2);
        held.into_iter().for_each(|task| drop(task.wait().unwrap()));
        assert_eq!(pool.notes(), "1,2");
    }));
}

#[test]
fn readers_share_and_do_not_overtake_a_writer() {
    in_client!(options(), |_| in_both(|pool| {
        let (read, write) = (Lock::READ, Lock::WRITE);
        let held: Vec<_> = (1..)
            .zip([read, read, write, read, read, write])
            .map(|(number, lock)| pool.hold(lock, number))
            .collect();
        pool.wait_for_notes("1,2");
        assert!(!pool.is_free(read), "a waiting writer takes precedence");
        pool.let_go(1);
        assert!(!pool.is_free(write));
        pool.let_go(2);
        pool.wait_for_notes("1,2,3");
        pool.let_go(3);
        pool.wait_for_notes("1,2,3,4,5");
        pool.let_go(6);
        held.into_iter().for_each(|hold| drop(hold.wait().unwrap()));
        assert_eq!(pool.notes(), "1,2,3,4,5,6");
        assert!(pool.is_free(write));
    }));
}

#[test]
fn a_wait_has_a_bound_when_asked_for() {
    in_client!(options(), |_| in_both(|pool| {
        let held = pool.hold(Lock::MUTEX, 1);
        pool.wait_for_notes("1");
        let timed = |time| pool.task(Method::TIMED, Lock::MUTEX, time).call().map(drop);
        assert_eq!(timed(0).unwrap_err().code(), CHI_TIMEOUT);
        assert_eq!(timed(1_000_000).unwrap_err().code(), CHI_TIMEOUT);
        assert!(!pool.is_free(Lock::MUTEX));
        let patient = pool.task(Method::TIMED, Lock::MUTEX, 60_000_000_000).submit().unwrap();
        pool.let_go(1);
        held.wait().unwrap();
        patient.wait().unwrap();
        timed(0).unwrap();
    }));
}

#[test]
fn what_a_method_holds_at_its_end_is_given_back() {
    in_client!(options(), |site| {
        in_both(|pool| {
            for lock in [Lock::MUTEX, Lock::READ, Lock::WRITE] {
                for how in [How::THROW, How::LEAK] {
                    let task = pool.task(Method::HOLD, lock, 0);
                    task.how.set(how);
                    match task.call() {
                        Ok(_) => assert_eq!(how, How::LEAK),
                        Err(status) => assert_eq!((status.code(), how), (CHI_FAILED, How::THROW)),
                    }
                    let last = if lock == Lock::MUTEX { lock } else { Lock::WRITE };
                    assert!(pool.is_free(last));
                }
            }
        });
        let log = site.path().join(format!("{}.stderr", site.name()));
        let log = std::fs::read_to_string(log).unwrap();
        let warnings =
            log.lines().filter(|line| line.contains("the method ended while it held a lock"));
        let warnings: Vec<&str> = warnings.collect();
        assert_eq!(warnings.len(), 12, "{log}");
        for (warning, pool) in [(warnings[0], "cpp"), (warnings[11], "rust")] {
            assert!(warning.contains("WARN") && warning.contains("kHold"), "{warning}");
            assert!(warning.contains(pool), "{warning}");
        }
    });
}

#[test]
fn a_lock_that_the_task_does_not_have_cannot_be_given_back() {
    in_client!(options(), |_| {
        connect();
        let pool = Pool::new(CPP, "cpp");
        let task = pool.task(Method::HOLD, Lock::MUTEX, 0);
        task.how.set(How::TWICE);
        let status = task.call().map(drop).unwrap_err();
        assert_eq!(status.code(), CHI_INVALID, "{status}");
        assert!(pool.is_free(Lock::MUTEX));
    });
}

/// A client whose tasks take a lock in two pools, or wait for it.
fn start(daemon: &Daemon, number: u32) -> Running {
    let mut command = daemon.site().command(env!("CARGO_BIN_EXE_chi-test-mortal"));
    let mut client = Running::start(command.args(["locking", &number.to_string()]));
    assert_eq!(client.line().as_deref(), Some("ready"));
    client
}

fn kill(mut client: Running) {
    client.signal(rustix::process::Signal::KILL);
    assert_eq!(client.end(), -9);
}

#[test]
fn locks_of_killed_clients_are_free_again_and_waiting_ones_in_nobodys_way() {
    let daemon = Daemon::start(&options());
    let mut holder = start(&daemon, 1);
    assert_eq!(holder.line().as_deref(), Some("inside"));
    let waiting = start(&daemon, 2);
    let mut next = start(&daemon, 3);
    kill(waiting);
    // Its tasks have left the queue, while the lock is still held.
    assert_eq!(Vitals::settled(&daemon, 2).segments, 2);
    assert_eq!(next.try_line(), None);
    kill(holder);
    assert_eq!(next.line().as_deref(), Some("inside"));
    kill(next);
    assert_eq!(Vitals::settled(&daemon, 0).segments, 0);
}

#[test]
fn tasks_of_a_pool_that_is_destroyed_wait_no_longer() {
    in_client!(options(), |_| in_both(|pool| {
        let held = pool.hold(Lock::COMMON, 1);
        pool.wait_for_notes("1");
        let module = if pool.id == Pool::new(CPP, "cpp").id { CPP } else { RUST };
        let doomed = Pool::new(module, "doomed");
        let waiting: Vec<_> = (0..100).map(|_| doomed.hold(Lock::COMMON, 2)).collect();
        let other = pool.hold(Lock::COMMON, 2);
        doomed.ipc.destroy_pool(doomed.id).unwrap();
        for waiting in waiting {
            assert_eq!(waiting.wait().map(drop).unwrap_err().code(), CHI_CANCELLED);
        }
        pool.let_go(2);
        held.wait().unwrap();
        other.wait().unwrap();
        assert_eq!(pool.notes(), "1,2");
    }));
}

#[test]
fn a_lock_that_is_freed_ends_the_waits_for_it() {
    in_client!(options(), |_| {
        connect();
        let pool = Pool::new(CPP, "cpp");
        let hold = |number| {
            let task = pool.task(Method::HOLD, Lock::OWN, number);
            task.how.set(How::LEAK);
            task.submit().unwrap()
        };
        let held = hold(1);
        pool.wait_for_notes("1");
        let waiting = [hold(2), hold(3)];
        pool.task(Method::FREE, Lock::OWN, 0).call().unwrap();
        for waiting in waiting {
            assert_eq!(waiting.wait().map(drop).unwrap_err().code(), CHI_CANCELLED);
        }
        pool.let_go(1);
        held.wait().unwrap();
    });
}

#[test]
fn containers_may_take_locks_when_the_runtime_ends() {
    let mut daemon = Daemon::start(&options());
    kill(start(&daemon, 1));
    Vitals::settled(&daemon, 0);
    daemon.stop();
    assert!(!daemon.log().contains("while the runtime stops"), "{}", daemon.log());
}

#[test]
fn a_runtime_that_stops_waits_for_no_lock() {
    // The daemon must shut down cleanly at the end of the test.
    in_client!(options(), |_| in_both(|pool| {
        let held = pool.hold(Lock::MUTEX, 1);
        pool.wait_for_notes("1");
        std::mem::forget(held);
        std::mem::forget((2..50).map(|number| pool.hold(Lock::MUTEX, number)).collect::<Vec<_>>());
    }));
}

/// Two tasks take two locks in opposite orders: one of them gets an error and releases its lock,
/// and the other continues.
#[test]
fn tasks_that_wait_for_each_other_s_locks_are_told_so() {
    let log = in_client!(options(), |_| {
        connect();
        let pool = Pool::new(CPP, "crossed");
        // `how` of method 18 is the lock that is taken after the first one.
        let cross = |first, second, lane| {
            let task = pool.task(18, first, 50_000_000);
            task.how.set(second);
            task.lane.set(lane);
            task.submit().unwrap()
        };
        for _ in 0..3 {
            let tasks = [cross(Lock::MUTEX, Lock::WRITE, 0), cross(Lock::WRITE, Lock::MUTEX, 1)];
            let ends = tasks.map(|task| task.wait());
            let told: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
            assert_eq!(told.len(), 1, "{ends:?}");
            assert_eq!(told[0].code(), CHI_DEADLOCK, "{told:?}");
            let text = told[0].message();
            assert_eq!(text.matches("kCross of pool 'crossed'").count(), 2, "{text}");
            assert_eq!(text.matches("(session ").count(), 2, "{text}");
            assert_eq!(text.matches("of pool 'crossed' (session").count(), 2, "{text}");
            let locks = text.split("waits for lock ").skip(1);
            assert_eq!(
                locks.filter(|rest| rest.contains(" of pool 'crossed'")).count(),
                2,
                "{text}"
            );
        }
        assert!(pool.is_free(Lock::MUTEX) && pool.is_free(Lock::WRITE));
    });
    if let Some(log) = log {
        assert!(log.contains("tasks wait for each other in a circle"), "{log}");
    }
}

/// A broadcast cannot abandon its replicas, which use its memory: in a cycle that includes it,
/// another task gets the error.
#[test]
fn a_circle_that_leads_through_a_broadcast_is_broken_elsewhere() {
    let log = in_client!(Options::new().locks().workers(1), |_| {
        let ipc = connect();
        let containers = PoolOptions::default().containers(3);
        let id = ipc.create_pool_with(CPP, "everywhere", b"", containers).unwrap();
        // The method sleeps while holding `lock` and then takes `how`; number 19 does that in all
        // containers.
        let crossed = |method, container, lock, how, ms: u64| {
            let query = DomainQuery::local_id(container);
            let task: NewTask<LockTask> = ipc.new_task(id, query, method).unwrap();
            task.lock.set(lock);
            task.how.set(how);
            task.lane.set(container);
            task.number.set(ms * 1_000_000);
            task.submit().unwrap()
        };
        for _ in 0..3 {
            // Its stack is the first one, and is free again when the broadcast needs one: so the
            // watchdog finds the broadcast's wait before the others.
            let first = crossed(18, 2, Lock::NONE, Lock::NONE, 5);
            let tasks = [
                crossed(18, 0, Lock::MUTEX, Lock::COMMON, 30),
                crossed(19, 1, Lock::COMMON, Lock::MUTEX, 30),
            ];
            first.wait().unwrap();
            let ends = tasks.map(|task| task.wait());
            let told: Vec<_> = ends.iter().filter_map(|end| end.as_ref().err()).collect();
            assert!(told.len() == 1 && told[0].code() == CHI_DEADLOCK, "{ends:?}");
        }
    });
    if let Some(log) = log {
        let circle = log.lines().find(|line| line.contains("in a circle"));
        assert!(circle.is_some_and(|line| line.matches("'everywhere' (").count() >= 4), "{log}");
    }
}
