//! Tasks other than simple calls: cancelled, periodic, fire-and-forget, late, many, long.

use std::time::{Duration, Instant};

use chimaera::abi::{
    CHI_CANCELLED, CHI_DEADLINE, CHI_DEADLOCK, CHI_FAILED, CHI_FAULT, CHI_INVALID, CHI_NO_POOL,
    CHI_OK,
};
use chimaera::{submit_all, wait_all, Ipc, NewTask, Pending, PoolId, Task};
use chimaera_tests::tasks::model::{self, ValueTask};
use chimaera_tests::{connect, in_client, rounds, text_of, Call, Options};

fn ns(time: Duration) -> u64 {
    time.as_nanos() as u64
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// A task that is not submitted yet.
fn task(pool: PoolId, method: u32, value: u64) -> NewTask<ValueTask> {
    let task: NewTask<ValueTask> = chimaera::ipc().unwrap().task(pool, method);
    task.value.set(value);
    task
}

fn pool(name: &str) -> (Ipc, PoolId) {
    let ipc = connect();
    (ipc, ipc.create_pool(model::MODULE, name, b"").unwrap())
}

fn ticks(pool: PoolId) -> u64 {
    task(pool, model::TICKS, 0).call().unwrap().result.get()
}

/// Waits for a condition that must come true within a minute.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let bound = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < bound, "{what}");
        std::thread::sleep(ms(1));
    }
}

#[test]
fn a_suspended_task_that_is_cancelled_ends_at_once_and_others_go_on() {
    in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("cancel");
        let hour = Duration::from_secs(3600);
        let others: Vec<_> =
            (0..20).map(|_| task(pool, model::SLEEP, ns(ms(300))).submit().unwrap()).collect();
        let tasks: Vec<_> =
            (0..20).map(|_| task(pool, model::SLEEP, ns(hour)).submit().unwrap()).collect();
        std::thread::sleep(ms(20));
        tasks.iter().for_each(|task| task.cancel().unwrap());
        for cancelled in tasks {
            let (status, message) = text_of(cancelled.wait());
            assert_eq!((status, message.as_str()), (CHI_CANCELLED, "the task was cancelled"));
        }
        assert!(wait_all(others).iter().all(Result::is_ok));
    });
}

#[test]
fn a_queued_task_that_is_cancelled_never_runs() {
    in_client!(Options::new().model().workers(1), |_| {
        let (_, pool) = pool("queued");
        // One lane: tasks behind the long one wait.
        let long = task(pool, model::COMPUTE, ns(ms(200)));
        long.width.set(1);
        let long = long.submit().unwrap();
        let queued: Vec<Pending<ValueTask>> = (0..10)
            .map(|_| {
                let tick = task(pool, model::TICK, 0);
                tick.width.set(1);
                tick.submit().unwrap()
            })
            .collect();
        queued.iter().step_by(2).for_each(|task| task.cancel().unwrap());
        let statuses: Vec<i32> = wait_all(queued)
            .into_iter()
            .map(|done| done.map_or_else(|s| s.code(), |_| CHI_OK))
            .collect();
        assert_eq!(statuses, [CHI_CANCELLED, CHI_OK].repeat(5));
        long.wait().unwrap();
        assert_eq!(ticks(pool), 5);
    });
}

#[test]
fn a_task_that_computes_sees_its_cancellation_when_it_asks() {
    in_client!(Options::new().model().workers(1), |_| {
        let (_, pool) = pool("ask");
        let asking = task(pool, model::ASK, 0).submit().unwrap();
        std::thread::sleep(ms(20));
        asking.cancel().unwrap();
        assert_eq!(text_of(asking.wait()).0, CHI_CANCELLED);
    });
}

/// However a cancellation races with the end of its task, the task ends once, in one of two ways.
#[test]
fn a_cancellation_races_with_the_completion() {
    in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("race");
        let mut ended = [0, 0];
        for round in 0..rounds(3000, 100_000) as u64 {
            let tick = task(pool, model::TICK, if round % 2 == 0 { 0 } else { round % 50 * 1000 });
            let tick = tick.submit().unwrap();
            for _ in 0..round % 7 * 20 {
                std::hint::spin_loop();
            }
            tick.cancel().unwrap();
            match tick.wait() {
                Ok(_) => ended[0] += 1,
                Err(status) if status.code() == CHI_CANCELLED => ended[1] += 1,
                Err(status) => panic!("{status}"),
            }
        }
        // A task that was cancelled in its sleep has not counted.
        assert_eq!(ticks(pool), ended[0]);
    });
}

#[test]
fn a_cancellation_goes_down_the_tree_of_subtasks() {
    in_client!(Options::new().model().workers(2), |_| {
        let (ipc, pool) = pool("tree");
        let other = ipc.create_pool(model::MODULE, "other", b"").unwrap();
        let call = task(pool, model::CALL, ns(Duration::from_secs(3600)));
        call.other.set(other);
        let call = call.submit().unwrap();
        std::thread::sleep(ms(20));
        call.cancel().unwrap();
        assert_eq!(text_of(call.wait()).0, CHI_CANCELLED);
        // No task is sleeping there any more, so the pool can be destroyed at once.
        ipc.destroy_pool(other).unwrap();
    });
}

#[test]
fn a_subtask_whose_pool_is_destroyed_ends_and_so_does_its_parent() {
    in_client!(Options::new().model().workers(2), |_| {
        let (ipc, pool) = pool("parent");
        let other = ipc.create_pool(model::MODULE, "other", b"").unwrap();
        let call = task(pool, model::CALL, ns(Duration::from_secs(3600)));
        call.other.set(other);
        let call = call.submit().unwrap();
        std::thread::sleep(ms(20));
        ipc.destroy_pool(other).unwrap();
        let (status, message) = text_of(call.wait());
        assert_eq!((status, message.as_str()), (CHI_CANCELLED, "the task's pool was destroyed"));
        let call = task(pool, model::CALL, 1);
        call.other.set(other);
        assert_eq!(text_of(call.call()).0, CHI_NO_POOL);
    });
}

#[test]
fn ten_thousand_queued_tasks_of_a_pool_that_is_destroyed_all_end() {
    in_client!(Options::new().model().workers(2), |_| {
        let (ipc, pool) = pool("many");
        let tasks: Vec<_> = (0..10_000)
            .map(|number| {
                let task = task(pool, model::COMPUTE, ns(ms(1)));
                task.width.set(1 + number % 8);
                task
            })
            .collect();
        let tasks = submit_all(tasks).unwrap();
        ipc.destroy_pool(pool).unwrap();
        let mut ended = [0, 0];
        for task in tasks {
            match task.wait() {
                Ok(_) => ended[0] += 1,
                Err(status) if [CHI_CANCELLED, CHI_NO_POOL].contains(&status.code()) => {
                    ended[1] += 1
                }
                Err(status) => panic!("{status}"),
            }
        }
        assert!(ended[1] > 0 && ended[0] + ended[1] == 10_000, "{ended:?}");
    });
}

#[test]
fn ten_thousand_tasks_are_suspended_on_one_worker() {
    in_client!(Options::new().model().workers(1), |_| {
        let (_, pool) = pool("suspended");
        let tasks = (0..10_000).map(|_| task(pool, model::SLEEP, ns(ms(500)))).collect();
        let tasks = submit_all(tasks).unwrap();
        // The worker serves other tasks in the meantime.
        assert_eq!(task(pool, model::TICK, 0).call().unwrap().result.get(), 1);
        assert!(wait_all(tasks).iter().all(Result::is_ok));
    });
}

#[test]
fn subtasks_to_any_depth() {
    in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("tree");
        for (depth, width) in [(1, 1), (3, 4), (200, 1), (2, 40)] {
            let tree = task(pool, model::TREE, depth);
            tree.width.set(width);
            assert_eq!(tree.call().unwrap().result.get(), width.pow(depth as u32));
        }
    });
}

#[test]
fn a_periodic_task_runs_until_it_is_cancelled() {
    in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("periodic");
        let tick = task(pool, model::TICK, 0);
        tick.base().set_period(Duration::from_micros(10));
        let begin = Instant::now();
        let tick = tick.submit().unwrap();
        until("it runs again and again", || ticks(pool) > 1000);
        assert!(!tick.is_complete());
        tick.cancel().unwrap();
        assert_eq!(text_of(tick.wait()).0, CHI_CANCELLED);
        let (count, most) = (ticks(pool), begin.elapsed().as_micros() / 10 + 1);
        assert!(u128::from(count) <= most, "{count} runs where {most} were due");
        std::thread::sleep(ms(20));
        assert_eq!(ticks(pool), count, "it is still running");
    });
}

#[test]
fn a_periodic_task_stops_when_it_is_dropped_fails_or_loses_its_pool() {
    in_client!(Options::new().model().workers(2), |_| {
        let (ipc, pool) = pool("periodic");
        let periodic = |pool, method, value| {
            let task = task(pool, method, value);
            task.base().set_period(ms(1));
            task.submit().unwrap()
        };
        let dropped = periodic(pool, model::TICK, 0);
        until("it runs", || ticks(pool) > 3);
        drop(dropped);
        let mut last = 0;
        until("it has stopped", || {
            std::thread::sleep(ms(10));
            ticks(pool) == std::mem::replace(&mut last, ticks(pool))
        });
        let failing = periodic(pool, model::FAIL, last + 5);
        assert_eq!(text_of(failing.wait()), (CHI_FAILED, "the last tick".into()));
        assert_eq!(ticks(pool), last + 5);
        let orphaned = periodic(pool, model::TICK, 0);
        until("it runs", || ticks(pool) > last + 8);
        ipc.destroy_pool(pool).unwrap();
        assert_eq!(text_of(orphaned.wait()).0, CHI_CANCELLED);
    });
}

/// Runs that are missed because of a long one are skipped.
#[test]
fn a_periodic_task_that_takes_longer_than_its_period() {
    in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("periodic");
        let tick = task(pool, model::TICK, ns(ms(10)));
        tick.base().set_period(ms(1));
        let begin = Instant::now();
        let tick = tick.submit().unwrap();
        until("it runs again", || ticks(pool) >= 5);
        tick.cancel().unwrap();
        assert_eq!(text_of(tick.wait()).0, CHI_CANCELLED);
        assert!(u128::from(ticks(pool)) <= begin.elapsed().as_millis() / 10);
    });
}

/// A worker that comes late to a periodic task leaves out the runs that it has missed, and does not catch up.
#[test]
fn runs_that_a_late_worker_misses_are_left_out() {
    const LATE: u64 = 300;
    let config = "workers: {low_latency: {count: 1}, standby: 0}\n";
    in_client!(Options::new().model().config(config), |_| {
        let (_, pool) = pool("periodic");
        let tick = task(pool, model::TICK, 0);
        tick.base().set_period(ms(1));
        let begin = Instant::now();
        let tick = tick.submit().unwrap();
        until("it runs", || ticks(pool) >= 3);
        // Nothing else runs on the only worker meanwhile.
        for _ in 0..rounds(3, 20) {
            let before = ticks(pool);
            task(pool, model::COMPUTE, ns(ms(LATE))).call().unwrap();
            until("it runs again", || ticks(pool) > before);
        }
        tick.cancel().unwrap();
        assert_eq!(text_of(tick.wait()).0, CHI_CANCELLED);
        let late = rounds(3, 20) as u64 * LATE;
        let most = begin.elapsed().as_millis() as u64 - late + 2 * rounds(3, 20) as u64;
        let count = ticks(pool);
        assert!(count <= most, "{count} runs where at most {most} were not missed");
    });
}

#[test]
fn a_period_that_cannot_be_is_refused() {
    in_client!(Options::new().model(), |_| {
        let (_, pool) = pool("periodic");
        let short = task(pool, model::TICK, 0);
        short.base().set_period(Duration::from_nanos(9_999));
        let (status, message) = text_of(short.call());
        assert_eq!(status, CHI_INVALID);
        assert_eq!(message, "a period of 9999 ns; it must be at least 10000 ns");
        let long = task(pool, model::TICK, 0);
        long.base().set_period(Duration::MAX);
        let (most, found) = (u64::MAX / 4, u64::MAX);
        let want = format!("a period of {found} ns; it must be at most {most} ns");
        assert_eq!(text_of(long.call()), (CHI_INVALID, want));
        let both = task(pool, model::TICK, 0);
        both.base().set_period(ms(1));
        both.base().set_deadline(ms(1));
        assert_eq!(text_of(both.call()).0, CHI_INVALID);
    });
}

#[test]
fn a_task_whose_deadline_passes_does_not_start_or_ends_early() {
    in_client!(Options::new().model().workers(1), |_| {
        let (_, pool) = pool("deadline");
        let sleep = task(pool, model::SLEEP, ns(Duration::from_secs(3600)));
        sleep.base().set_deadline(ms(20));
        let (status, message) = text_of(sleep.call());
        assert_eq!((status, message.as_str()), (CHI_DEADLINE, "the task's deadline has passed"));
        let long = task(pool, model::COMPUTE, ns(ms(50)));
        long.width.set(1);
        let long = long.submit().unwrap();
        let late = task(pool, model::TICK, 0);
        late.width.set(1);
        late.base().set_deadline(ms(1));
        assert_eq!(text_of(late.call()).0, CHI_DEADLINE);
        long.wait().unwrap();
        assert_eq!(ticks(pool), 0);
        let in_time = task(pool, model::TICK, 0);
        in_time.base().set_deadline(Duration::from_secs(3600));
        in_time.call().unwrap();
    });
}

#[test]
fn forgotten_tasks_run_and_are_freed_and_their_failures_are_logged() {
    let log = in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("forgotten");
        // More than the segment could hold at once.
        for _ in 0..200_000 {
            task(pool, model::TICK, 0).submit_and_forget().unwrap();
        }
        until("all have run", || ticks(pool) == 200_000);
        task(pool, model::FAIL, 0).submit_and_forget().unwrap();
        until("it has run", || ticks(pool) == 200_001);
        task(pool, model::SLEEP, 1).call().unwrap();
    });
    if let Some(log) = log {
        let line = log.lines().find(|line| line.contains("a fire-and-forget task failed"));
        let line = line.unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains("the last tick") && line.contains("kFail"), "{line}");
    }
}

/// A misbehaving monitor only affects its own task.
#[test]
fn a_monitor_that_throws_or_picks_a_lane_that_does_not_exist() {
    in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("monitor");
        for (value, status, why) in
            [(1, CHI_FAILED, "the monitor throws"), (2, CHI_INVALID, "a lane that does not exist")]
        {
            let found = text_of(task(pool, model::MONITORED, value).call());
            assert!(found.0 == status && found.1.contains(why), "{found:?}");
        }
        for lane in 0..20 {
            let task = task(pool, model::MONITORED, 3);
            task.width.set(lane);
            task.call().unwrap();
        }
    });
}

/// While one task computes for a second, the other worker serves the tasks of other lanes: those in
/// the same ring, those of new clients, and those queued for the busy worker.
#[test]
fn a_task_that_computes_for_long_delays_its_own_lane_only() {
    let log = in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("long");
        // Earlier tasks were short, so the runtime does not expect a long one.
        (0..100).for_each(|_| drop(task(pool, model::COMPUTE, 0).call().unwrap()));
        for _ in 0..rounds(2, 20) {
            let begin = Instant::now();
            let long = task(pool, model::COMPUTE, ns(Duration::from_secs(1)));
            long.width.set(1);
            let long = long.submit().unwrap();
            let own = task(pool, model::TICK, 0);
            own.width.set(1);
            let own = own.submit().unwrap();
            for number in 0..25 {
                let other = task(pool, model::TICK, 0);
                other.width.set(2 + number % 7);
                other.call().unwrap();
                std::thread::spawn(move || task(pool, model::TICKS, 0).call().map(drop))
                    .join()
                    .unwrap()
                    .unwrap();
            }
            // The long task serves as the clock: it must still be running.
            assert!(!long.is_complete(), "others waited for it, {:?}", begin.elapsed());
            assert!(!own.is_complete(), "a lane's tasks start in order");
            long.wait().unwrap();
            own.wait().unwrap();
        }
    });
    if let Some(log) = log {
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains("has not yielded its worker")).collect();
        // Reports are due after a tenth of a second and after a second, each once in ten seconds.
        assert!((1..=2 * (1 + rounds(2, 20) / 10)).contains(&lines.len()), "{log}");
        assert!(lines[0].contains("kCompute") && lines[0].contains("long"), "{log}");
    }
}

#[test]
fn a_method_that_overflows_its_stack_ends_with_a_fault() {
    let log = in_client!(Options::new().model().workers(2), |site| {
        let (ipc, pool) = pool("overflow");
        let other = ipc.create_pool(model::MODULE, "other", b"").unwrap();
        let sleeping = task(other, model::SLEEP, ns(ms(300))).submit().unwrap();
        for _ in 0..rounds(20, 2000) {
            let (status, message) = text_of(task(pool, model::OVERFLOW, 0).call());
            assert_eq!(status, CHI_FAULT);
            assert!(message.starts_with("kOverflow overflowed its stack of 262144"), "{message}");
            task(other, model::TICK, 0).call().unwrap();
            site.reset_pools();
            task(pool, model::TICK, 0).call().unwrap();
        }
        sleeping.wait().unwrap();
    });
    if let Some(log) = log {
        assert!(log.contains("overflowed its stack"), "{log}");
    }
}

#[test]
fn a_task_that_waits_for_its_own_end_is_told_so() {
    let log = in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("circle");
        for _ in 0..3 {
            let (status, message) = text_of(task(pool, model::OWN_END, 0).call());
            assert_eq!(status, CHI_DEADLOCK, "{message}");
            let (who, whom) = message.split_once(" waits for ").unwrap();
            assert!(who.contains("kOwnEnd of pool 'circle' (session "), "{message}");
            assert!(who.ends_with(whom), "{message}");
            task(pool, model::TICK, 0).call().unwrap();
        }
    });
    if let Some(log) = log {
        assert!(log.contains("in a circle"), "{log}");
    }
}

/// A circle on a worker that a method keeps busy while the watchdog looks is found when the worker is back.
#[test]
fn a_circle_on_a_busy_worker_is_found_later() {
    in_client!(Options::new().model().workers(1), |_| {
        let (_, pool) = pool("circle");
        let busy = task(pool, model::COMPUTE, ns(ms(600)));
        let waiting = submit_all(vec![task(pool, model::OWN_END, 0), busy]).unwrap();
        let mut ended = wait_all(waiting).into_iter();
        let (status, message) = text_of(ended.next().unwrap());
        assert_eq!(status, CHI_DEADLOCK, "{message}");
        ended.next().unwrap().unwrap();
    });
}

/// Lanes of one container run on different workers at the same time.
#[test]
fn lanes_of_one_container_run_at_once() {
    in_client!(Options::new().model().workers(2), |_| {
        let (_, pool) = pool("lanes");
        let asking: Vec<_> = [1, 2]
            .map(|lane| {
                let task = task(pool, model::ASK, 0);
                task.width.set(lane);
                task.submit().unwrap()
            })
            .into();
        // Both must be running: the cancelled one could not notice while queued behind the other.
        for asking in asking.into_iter().rev() {
            asking.cancel().unwrap();
            assert_eq!(text_of(asking.wait()).0, CHI_CANCELLED);
        }
    });
}

#[test]
fn a_task_of_high_latency_runs_too() {
    in_client!(Options::new().model().workers(1), |_| {
        let (_, pool) = pool("late");
        let tasks = (0..1000).map(|_| {
            let task = task(pool, model::TICK, 0);
            task.base().set_high_latency();
            task
        });
        let tasks = submit_all(tasks.collect()).unwrap();
        assert!(wait_all(tasks).iter().all(Result::is_ok));
        assert_eq!(ticks(pool), 1000);
    });
}

/// Sleeping and yielding in an application.
#[test]
fn an_application_sleeps_and_yields_by_the_same_calls() {
    in_client!(Options::new().model(), |_| {
        let (ipc, _) = pool("sleep");
        let begin = Instant::now();
        ipc.sleep(ms(5)).unwrap();
        assert!(begin.elapsed() >= ms(5));
        ipc.yield_now().unwrap();
    });
}
