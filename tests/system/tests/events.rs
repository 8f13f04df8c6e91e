//! Events set by threads of a module, and pollers, in both languages.

use std::time::Duration;

use chimaera::abi::{CHI_BUSY, CHI_CANCELLED, CHI_DEADLINE};
use chimaera::{submit_all, wait_all, Pending, Task};
use chimaera_tests::process::until;
use chimaera_tests::tasks::events;
use chimaera_tests::tasks::model::ValueTask;
use chimaera_tests::{connect, in_client, rounds, text_of};
use chimaera_tests::{Daemon, Options, Running, ValuePool, Vitals};

const HOUR: u64 = 3_600_000_000_000;
const MS: u64 = 1_000_000;
const MODULES: [&str; 2] = [events::MODULE, events::RUST];

/// A task that waits for the container's event.
#[track_caller]
fn start_waiting(pool: ValuePool, width: u64) -> Pending<ValueTask> {
    let task = pool.task(events::WAIT, 0, width).submit().unwrap();
    until_waiting(pool);
    task
}

#[track_caller]
fn until_waiting(pool: ValuePool) {
    until("it waits", || (pool.call(events::WAITING, 0, 0) == 1).then_some(()));
}

/// Runs a test with a pool of each module.
fn in_both(test: impl Fn(ValuePool)) {
    let ipc = connect();
    for module in MODULES {
        test(ValuePool::new(ipc, module, module));
    }
}

#[test]
fn a_thread_of_the_module_ends_a_wait() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        for width in 0..3 {
            assert_eq!(pool.call(events::SIGNALLED, 5 * MS, width), 1);
            // Many events, set at any time during the wait.
            for _ in 0..rounds(10, 1000) {
                let tasks = (0..50).map(|n| pool.task(events::SIGNALLED, n % 8 * 10_000, width));
                let ended = wait_all(submit_all(tasks.collect()).unwrap());
                assert!(ended.iter().all(|end| end.as_ref().is_ok_and(|t| t.result.get() == 1)));
            }
        }
    }));
}

#[test]
fn a_wait_with_a_bound_ends_in_time() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        assert_eq!(pool.call(events::TIMED, 0, 2 * MS), 0, "it is not set");
        assert_eq!(pool.call(events::TIMED, 0, 0), 0, "a wait of zero only looks");
        assert_eq!(pool.call(events::TIMED, MS, HOUR), 1);
        // Set before or after the wait begins.
        for _ in 0..rounds(1, 25) {
            let tasks = (0..200).map(|_| pool.task(events::TIMED, 200_000, 200_000)).collect();
            assert!(wait_all(submit_all(tasks).unwrap()).iter().all(Result::is_ok));
        }
    }));
}

#[test]
fn an_event_that_is_set_before_the_wait_ends_one_wait() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        assert_eq!(pool.call(events::EARLY, MS, 0), 0);
        // Also in another task, set by a task or by a thread.
        for width in 0..2 {
            pool.call(events::SET, 0, width);
            pool.call(events::WAIT, 0, 0);
            let waiting = start_waiting(pool, 0);
            assert!(!waiting.is_complete());
            pool.call(events::SET, 0, width);
            waiting.wait().unwrap();
        }
    }));
}

#[test]
fn one_task_at_a_time_waits_for_an_event() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        for width in 0..2 {
            let first = start_waiting(pool, 0);
            let (status, message) = text_of(pool.task(events::WAIT, 0, width).call());
            assert_eq!(
                (status, message.as_str()),
                (CHI_BUSY, "another task is already waiting for the event")
            );
            pool.call(events::SET, 0, 0);
            first.wait().unwrap();
        }
        // Of many concurrent waits, all but one are refused.
        let mut tasks =
            submit_all((0..50).map(|_| pool.task(events::WAIT, 0, 0)).collect()).unwrap();
        until("one is left", || {
            tasks.retain(|task| !task.is_complete());
            (tasks.len() == 1).then_some(())
        });
        pool.call(events::SET, 0, 0);
        tasks.remove(0).wait().unwrap();
    }));
}

#[test]
fn a_cancellation_and_a_deadline_end_a_wait() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        for _ in 0..rounds(50, 5000) {
            let waiting = pool.task(events::WAIT, 0, 0).submit().unwrap();
            waiting.cancel().unwrap();
            assert_eq!(text_of(waiting.wait()).0, CHI_CANCELLED);
        }
        let waiting = start_waiting(pool, 0);
        waiting.cancel().unwrap();
        assert_eq!(text_of(waiting.wait()), (CHI_CANCELLED, "the task was cancelled".into()));
        let late = pool.task(events::WAIT, 0, 0);
        late.base().set_deadline(Duration::from_millis(2));
        assert_eq!(text_of(late.call()).0, CHI_DEADLINE);
        // With a timeout of the wait, and with a deadline of the task.
        let late = pool.task(events::TIMED, 0, HOUR);
        late.base().set_deadline(Duration::from_millis(2));
        assert_eq!(text_of(late.call()).0, CHI_DEADLINE);
        // The event is unaffected.
        let waiting = start_waiting(pool, 0);
        pool.call(events::SET, 0, 1);
        waiting.wait().unwrap();
    }));
}

#[test]
fn a_cancellation_races_with_the_event() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        let mut set = 0;
        for round in 0..rounds(500, 20_000) {
            let waiting = pool.task(events::WAIT, 0, 0).submit().unwrap();
            let setting = pool.task(events::SET, 0, 0).submit().unwrap();
            if round % 2 == 0 {
                waiting.cancel().unwrap();
            }
            setting.wait().unwrap();
            match waiting.wait() {
                Ok(_) => set += 1,
                Err(status) => {
                    assert_eq!(status.code(), CHI_CANCELLED);
                    // The event is still set.
                    pool.call(events::WAIT, 0, 0);
                }
            }
        }
        assert!(set >= rounds(500, 20_000) / 2);
    }));
}

#[test]
fn nothing_but_the_event_ends_a_wait_without_interruption() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        for round in 0..2 {
            let start = || {
                let waiting = pool.task(events::WAIT, 0, 1);
                let deadline = if round == 0 { 1 } else { 3_600_000 };
                waiting.base().set_deadline(Duration::from_millis(deadline));
                waiting.submit().unwrap()
            };
            let mut waiting = start();
            until("it waits", || {
                // On a busy machine the deadline may pass before the method has begun to wait.
                if waiting.is_complete() {
                    waiting = start();
                }
                (pool.call(events::WAITING, 0, 0) == 1).then_some(())
            });
            waiting.cancel().unwrap();
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(pool.call(events::WAITING, 0, 0), 1);
            assert!(!waiting.is_complete());
            pool.call(events::SET, 0, round);
            // The method ignored the cancellation.
            waiting.wait().unwrap();
        }
    }));
}

#[test]
fn waits_end_with_their_pool() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        let waiting = start_waiting(pool, 0);
        pool.ipc.destroy_pool(pool.id).unwrap();
        assert_eq!(
            text_of(waiting.wait()),
            (CHI_CANCELLED, "the task's pool was destroyed".into())
        );
    }));
}

#[test]
fn a_runtime_that_stops_waits_for_no_event() {
    // The daemon must shut down cleanly at the end of the test.
    in_client!(Options::new().events(), |_| in_both(|pool| std::mem::forget(start_waiting(
        pool, 0
    ))));
}

#[test]
fn waits_end_with_their_client() {
    let daemon = Daemon::start(&Options::new().events());
    for module in MODULES {
        for _ in 0..rounds(10, 200) {
            let mut command = daemon.site().command(env!("CARGO_BIN_EXE_chi-test-mortal"));
            let mut client = Running::start(command.args(["event", module]));
            assert_eq!(client.line().as_deref(), Some("ready"));
            client.signal(rustix::process::Signal::KILL);
            assert_eq!(client.end(), -9);
            assert_eq!(Vitals::settled(&daemon, 0).segments, 0);
        }
    }
}

#[test]
fn a_poller_is_called_until_it_has_found_something() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        assert!(pool.call(events::POLL, 0, 0) >= 1);
        // Long enough for the worker to fall asleep, so that the descriptor has to wake it.
        assert!(pool.call(events::POLL, 50 * MS, 0) >= 1);
        for _ in 0..rounds(1, 25) {
            let tasks = (0..200).map(|n| pool.task(events::POLL, n % 20 * 100_000, 0)).collect();
            assert!(wait_all(submit_all(tasks).unwrap()).iter().all(Result::is_ok));
        }
        for _ in 0..5 {
            assert_eq!(pool.call(events::ARM, 2 * MS, 0), 1);
        }
    }));
}

/// Tasks wait for pollers on a worker that has no memory for another stack: the worker goes on
/// polling, so the tasks end.
#[test]
fn pollers_are_called_where_there_is_no_memory_for_another_stack() {
    let large = "workers: {low_latency: {count: 1}, standby: 0}\nstack_size: 64MiB\n";
    let options = || Options::new().events().config(large).addresses(6 << 30);
    let log = in_client!(options(), |_| {
        let pool = ValuePool::new(connect(), events::MODULE, "starving");
        // In this module, each task has a thread that writes to its descriptor.
        let tasks: Vec<_> = (0..600).map(|_| pool.submit(events::POLL, 500 * MS)).collect();
        let ended = tasks.into_iter().map(|task| task.wait());
        let (good, bad): (Vec<_>, Vec<_>) = ended.partition(Result::is_ok);
        assert!(good.len() > 20, "{} of {} succeeded", good.len(), good.len() + bad.len());
        assert!(pool.call(events::POLL, MS, 0) >= 1);
    });
    assert!(log.is_none_or(|log| log.contains("no memory for another task's stack")));
}

/// Only that poller fails; it is called again, and its failure is logged once.
#[test]
fn a_poller_that_throws_is_reported_and_called_again() {
    let log = in_client!(Options::new().events(), |_| in_both(|pool| {
        assert!(pool.call(events::POLL, 0, 4) > 4);
    }));
    if let Some(log) = log {
        let lines = log.lines().filter(|line| line.contains("a poller failed"));
        assert_eq!(lines.clone().count(), 2, "{log}");
        assert!(lines.into_iter().all(|line| line.contains("told to throw")), "{log}");
    }
}

#[test]
fn events_and_pollers_are_a_worker_s() {
    in_client!(Options::new().events(), |_| in_both(|pool| {
        assert_eq!(pool.call(events::ELSEWHERE, 0, 0), 0b11111);
    }));
}
