//! Tasks other than simple calls, from every side: C and C++ applications, modules of both
//! languages, workers of two groups, and the log.

use std::time::Duration;

use chimaera::abi::{
    CHI_BUSY, CHI_CANCELLED, CHI_DEADLINE, CHI_FAILED, CHI_FAULT, CHI_INVALID, CHI_NOT_FOUND,
    CHI_NO_POOL, CHI_NO_SPACE,
};
use chimaera::{submit_all, wait_all, NewTask, Task};
use chimaera_tests::process::until;
use chimaera_tests::tasks::model::{self, ValueTask, LANES};
use chimaera_tests::{artefacts, connect, in_client, rounds, text_of, Daemon, Options, ValuePool};

const HOUR: u64 = 3_600_000_000_000;
const MS: u64 = 1_000_000;

#[track_caller]
fn wait_for_ticks(pool: ValuePool, ticks: u64) {
    until("it ticks", || (pool.call(model::TICKS, 0, 0) >= ticks).then_some(()));
}

/// Runs a test with a pool of each module.
fn in_both(test: impl Fn(ValuePool)) {
    let ipc = connect();
    test(ValuePool::new(ipc, model::MODULE, "cpp"));
    test(ValuePool::new(ipc, model::RUST, "rust"));
}

#[test]
fn applications_in_c_and_cpp() {
    let daemon = Daemon::start(&Options::new().model());
    for client in ["c_model", "cpp_model"] {
        for module in [model::MODULE, model::RUST] {
            let output = daemon.site().run(artefacts::program(client), &[module]);
            let line = output.ok().lines().remove(0);
            assert_eq!(line["status"], 0, "{client} {module}: {line}");
        }
    }
}

#[test]
fn methods_that_sleep_yield_and_ask_are_cancelled() {
    in_client!(Options::new().model(), |_| in_both(|pool| {
        // ASK, which keeps its lane to itself, and SLEEP run in the first lane.
        let tasks = [(model::SLEEP, HOUR, 1), (model::YIELD, u64::MAX, 0), (model::ASK, 0, 1)];
        for (method, value, lane) in tasks {
            let task = pool.task(method, value, lane).submit().unwrap();
            // A later task of the same ring has been served, in the last lane, so this one has started.
            pool.call(model::TICK, 0, u64::from(LANES));
            assert!(!task.is_complete());
            task.cancel().unwrap();
            let (status, message) = text_of(task.wait());
            // The method's own message is appended.
            let own = if method == model::ASK { ": it asked" } else { "" };
            assert_eq!((status, message), (CHI_CANCELLED, format!("the task was cancelled{own}")));
        }
        pool.call(model::SLEEP, MS, 0);
        pool.call(model::YIELD, 1000, 0);
    }));
}

#[test]
fn methods_submit_many_and_wait_for_all() {
    in_client!(Options::new().model(), |_| in_both(|pool| {
        for (depth, width) in [(1, 1), (3, 4), (100, 1), (2, 40)] {
            assert_eq!(pool.call(model::TREE, depth, width), width.pow(depth as u32));
        }
        let call = pool.task(model::CALL, HOUR, 0);
        call.other.set(pool.id);
        let call = call.submit().unwrap();
        pool.call(model::TICK, 0, 1);
        call.cancel().unwrap();
        assert_eq!(text_of(call.wait()).0, CHI_CANCELLED, "and what it waits for");
    }));
}

#[test]
fn methods_that_overflow_their_stack() {
    let log = in_client!(Options::new().model(), |site| in_both(|pool| {
        let other = ValuePool::new(pool.ipc, model::MODULE, "other");
        let sleeping = other.submit(model::SLEEP, 50 * MS);
        for _ in 0..rounds(20, 2000) {
            let (status, message) = text_of(pool.task(model::OVERFLOW, 0, 0).call());
            assert_eq!(status, CHI_FAULT);
            assert!(message.starts_with("kOverflow overflowed its stack of 262144"), "{message}");
            site.reset_pools();
            pool.call(model::TICK, 0, 0);
        }
        sleeping.wait().unwrap();
    }));
    if let Some(log) = log {
        for pool in ["cpp", "rust"] {
            let said = format!("pool=\"{pool}\" method=\"kOverflow\" session=");
            let said = log.lines().any(|line| line.contains(&said) && line.contains("depth=0"));
            assert!(said, "{pool}: {log}");
        }
    }
}

#[test]
fn monitors_pick_lanes_and_estimate() {
    in_client!(Options::new().model(), |_| in_both(|pool| {
        for lane in 0..3 * u64::from(LANES) {
            pool.call(model::MONITORED, 3, lane);
        }
        // Tasks that are expected to be long, many of them in one lane, and some that are not.
        let tasks = (0..300).map(|n| pool.task(model::MONITORED, n % 2 * 3, n % 3 * 1_000_000));
        let tasks = submit_all(tasks.collect()).unwrap();
        assert!(wait_all(tasks).iter().all(Result::is_ok));
        let (status, message) = text_of(pool.task(model::MONITORED, 1, 0).call());
        assert!(status == CHI_FAILED && message.contains("the monitor throws"), "{message}");
        // In Rust, which cannot invent a lane, it is another pool's; the SDK detects that.
        ValuePool::new(pool.ipc, model::RUST, "other");
        let (status, message) = text_of(pool.task(model::MONITORED, 2, 0).call());
        let why = [(CHI_INVALID, "a lane that does not exist"), (CHI_FAILED, "a lane of pool")];
        let is = |(code, text): &(i32, &str)| status == *code && message.contains(text);
        assert!(why.iter().any(is), "{message}");
        let (status, message) = text_of(pool.task(model::MONITORED, 6, 0).call());
        assert_eq!(status, CHI_NOT_FOUND, "{message}");
        assert!(message.ends_with("queue 0 has no lane 99999"), "{message}");
        pool.call(model::MONITORED, 3, 0);
    }));
}

#[test]
fn monitors_that_overflow_their_stack_or_wait_cost_their_task() {
    in_client!(Options::new().model(), |site| in_both(|pool| {
        for _ in 0..rounds(20, 2000) {
            let (status, message) = text_of(pool.task(model::MONITORED, 4, 0).call());
            assert_eq!(status, CHI_FAULT, "{message}");
            assert!(message.starts_with("the monitor of kMonitored overflowed"), "{message}");
            site.reset_pools();
            // If a method sends the task, its frames are lost along with the monitor's.
            let call = pool.task(model::CALL, 4, u64::from(model::MONITORED));
            call.other.set(pool.id);
            let (status, message) = text_of(call.call());
            assert!(status == CHI_FAULT && message.starts_with("kCall overflowed"), "{message}");
            site.reset_pools();
            let (status, message) = text_of(pool.task(model::MONITORED, 5, 0).call());
            assert!([CHI_INVALID, CHI_FAILED].contains(&status), "{message}");
            assert!(message.contains("a monitor cannot wait"), "{message}");
            pool.call(model::MONITORED, 3, 0);
        }
        // Nothing is left in the pool.
        pool.ipc.destroy_pool(pool.id).unwrap();
    }));
}

#[test]
fn of_two_methods_that_wait_for_one_task_the_second_is_told() {
    in_client!(Options::new().model(), |_| {
        let pool = ValuePool::new(connect(), model::MODULE, "shared");
        let first = pool.submit(model::SHARE, HOUR);
        pool.call(model::TICK, 0, 0);
        let (status, message) = text_of(pool.task(model::SHARE, 0, 0).call());
        assert!(
            status == CHI_BUSY && message.contains("another method already waits"),
            "{message}"
        );
        first.cancel().unwrap();
        first.wait().unwrap();
    });
}

/// A chain of subtasks that is too long ends with a status, and others continue.
#[test]
fn a_chain_of_subtasks_ends_where_there_is_no_room_for_more() {
    let few = "workers: 2\nlimits: {suspended_tasks: 1000}\n";
    in_client!(Options::new().model().config(few), |_| {
        let pool = ValuePool::new(connect(), model::RUST, "chain");
        let sleeping = pool.submit(model::SLEEP, HOUR);
        for _ in 0..rounds(5, 100) {
            let (status, message) = text_of(pool.task(model::TREE, 3000, 1).call());
            assert!(
                status == CHI_NO_SPACE && message.contains("too many tasks are suspended"),
                "{message}"
            );
            pool.call(model::TREE, 50, 1);
        }
        assert!(!sleeping.is_complete());
        sleeping.cancel().unwrap();
        assert_eq!(text_of(sleeping.wait()).0, CHI_CANCELLED);
    });
}

/// A worker may have as many suspended tasks as the others leave available, not just its share of
/// the limit.
#[test]
fn room_for_suspended_tasks_is_shared_between_workers() {
    let few = "workers: 4\nlimits: {suspended_tasks: 1000}\n";
    in_client!(Options::new().model().config(few), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "many");
        // All in one lane, and so on one worker.
        let tasks: Vec<_> = (0..1000).map(|_| pool.submit(model::SLEEP, HOUR)).collect();
        let suspended = || site.status()["tasks_suspended"].as_u64().unwrap();
        until("more tasks are suspended than a quarter of the limit", || {
            (suspended() > 500).then_some(())
        });
        // The rest is held back, and keeps no worker awake.
        let before = site.cpu_time();
        std::thread::sleep(Duration::from_secs(1));
        let spent = site.cpu_time() - before;
        assert!(spent < Duration::from_millis(500), "a worker spins: {spent:?} in 1 s");
        tasks.iter().for_each(|task| task.cancel().unwrap());
        let ended = tasks.into_iter().map(|task| text_of(task.wait()).0);
        // Those that were in the lane already when the limit was reached have been refused.
        assert!(ended.into_iter().all(|status| matches!(status, CHI_CANCELLED | CHI_NO_SPACE)));
    });
}

/// However many of a client's tasks wait, and whatever limit they have reached, they can be
/// cancelled.
#[test]
fn tasks_of_a_client_that_is_at_its_limits_are_cancelled() {
    for limits in ["{tasks_in_flight: 256}", "{suspended_tasks: 64}"] {
        in_client!(
            Options::new().model().config(format!("workers: 1\nlimits: {limits}\n")),
            |_| {
                in_both(|pool| {
                    let sleeping: Vec<_> =
                        (0..900).map(|_| pool.submit(model::SLEEP, HOUR)).collect();
                    sleeping.iter().for_each(|task| task.cancel().unwrap());
                    for task in sleeping {
                        // Those that were queued in a lane when the limit was reached never start.
                        let (status, message) = text_of(task.wait());
                        assert!([CHI_CANCELLED, CHI_NO_SPACE].contains(&status), "{message}");
                    }
                    pool.call(model::TICK, 0, 0);
                });
            }
        );
    }
}

/// As many tasks as possible wait for their subtasks: others are still served.
#[test]
fn a_client_whose_subtasks_fill_the_runtime_leaves_room_for_others() {
    let few = "workers: 1\nlimits: {suspended_tasks: 600}\n";
    in_client!(Options::new().model().config(few), |site| in_both(|pool| {
        let calls: Vec<_> = (0..600)
            .map(|_| {
                let call = pool.task(model::CALL, HOUR, 0);
                call.other.set(pool.id);
                call.submit().unwrap()
            })
            .collect();
        site.cli(&["pool", "list"]).ok();
        calls.iter().for_each(|call| call.cancel().unwrap());
        for call in calls {
            let (status, message) = text_of(call.wait());
            assert!([CHI_CANCELLED, CHI_NO_SPACE].contains(&status), "{message}");
        }
    }));
}

/// Fills the runtime with a client's suspended tasks, and adds another one. They might all be waiting
/// for it, so it is not left without an answer.
fn a_task_without_room_has_an_answer(why: &str) {
    let pool = ValuePool::new(connect(), model::MODULE, "full");
    let mut sleeping = Vec::new();
    // Those that are in a lane already when there is no more room end at once. The next ones are
    // held back.
    for _ in 0..3 {
        let more: Vec<_> = (0..300).map(|_| pool.submit(model::SLEEP, HOUR)).collect();
        std::thread::sleep(Duration::from_millis(500));
        sleeping.extend(more);
    }
    let last = pool.submit(model::TICK, 0);
    std::thread::sleep(Duration::from_millis(500));
    assert!(!last.is_complete(), "it is not held back");
    let (status, message) = text_of(last.wait());
    assert!(status == CHI_NO_SPACE && message.contains(why), "{message}");
    // Nothing happens to those that are suspended.
    let (ended, suspended): (Vec<_>, Vec<_>) =
        sleeping.into_iter().partition(|task| task.is_complete());
    assert!(suspended.len() > 20, "{} of {}", suspended.len(), ended.len() + suspended.len());
    for task in ended {
        let (status, message) = text_of(task.wait());
        assert_eq!(status, CHI_NO_SPACE, "{message}");
    }
    suspended.iter().for_each(|task| task.cancel().unwrap());
    for task in suspended {
        assert_eq!(text_of(task.wait()).0, CHI_CANCELLED);
    }
    pool.call(model::TICK, 0, 0);
}

#[test]
fn a_task_for_which_too_many_are_suspended() {
    let few = "workers: 1\nlimits: {suspended_tasks: 64}\n";
    in_client!(Options::new().model().config(few), |_| {
        a_task_without_room_has_an_answer("raise limits.suspended_tasks (64)");
    });
}

#[test]
fn a_task_for_which_there_is_no_stack() {
    let large = "workers: 1\nstack_size: 64MiB\n";
    in_client!(Options::new().model().config(large).addresses(8 << 30), |_| {
        a_task_without_room_has_an_answer("no memory for another task's stack");
    });
}

#[test]
fn a_task_that_computes_sees_its_deadline_when_it_asks() {
    in_client!(Options::new().model(), |_| in_both(|pool| {
        let asking = pool.task(model::ASK, 0, 0);
        asking.base().set_deadline(Duration::from_millis(20));
        let (status, message) = text_of(asking.call());
        assert!(status == CHI_DEADLINE, "{message}");
    }));
}

#[test]
fn a_chain_of_subtasks_ends_where_there_is_no_memory_for_more() {
    let large = "workers: 1\nstack_size: 32MiB\n";
    let options = || Options::new().model().config(large).addresses(8 << 30);
    let log = in_client!(options(), |_| {
        let pool = ValuePool::new(connect(), model::RUST, "chain");
        for _ in 0..5 {
            let (status, message) = text_of(pool.task(model::TREE, 1000, 1).call());
            assert!(status == CHI_NO_SPACE && message.contains("no memory"), "{message}");
            pool.call(model::TREE, 50, 1);
        }
    });
    assert!(log.is_none_or(|log| log.contains("no memory for another task's stack")));
}

/// Tasks that wait, at any depth, for a task in a pool that is destroyed: it ends, and so do all of
/// them.
#[test]
fn methods_whose_subtasks_lose_their_pool() {
    in_client!(Options::new().model(), |_| in_both(|pool| {
        for module in [model::MODULE, model::RUST] {
            for _ in 0..rounds(5, 200) {
                let other = ValuePool::new(pool.ipc, module, "doomed");
                let calls: Vec<_> = (0..10)
                    .map(|_| {
                        let call = pool.task(model::CALL, HOUR, 0);
                        call.other.set(other.id);
                        call.submit().unwrap()
                    })
                    .collect();
                let going = pool.submit(model::SLEEP, HOUR);
                pool.ipc.destroy_pool(other.id).unwrap();
                for call in calls {
                    let (status, message) = text_of(call.wait());
                    assert!([CHI_CANCELLED, CHI_NO_POOL].contains(&status), "{message}");
                }
                assert!(!going.is_complete());
                going.cancel().unwrap();
                assert_eq!(text_of(going.wait()).0, CHI_CANCELLED);
            }
        }
    }));
}

#[test]
fn periodic_and_forgotten_tasks() {
    in_client!(Options::new().model(), |_| in_both(|pool| {
        let tick = pool.task(model::TICK, 0, 0);
        tick.base().set_period(Duration::from_micros(100));
        let tick = tick.submit().unwrap();
        wait_for_ticks(pool, 20);
        tick.cancel().unwrap();
        assert_eq!(text_of(tick.wait()).0, CHI_CANCELLED);
        let ticks = pool.call(model::TICKS, 0, 0);
        let failing = pool.task(model::FAIL, ticks + 5, 0);
        failing.base().set_period(Duration::from_micros(100));
        assert_eq!(text_of(failing.call()), (CHI_FAILED, "the last tick".into()));
        for _ in 0..1000 {
            let tick = pool.task(model::TICK, 0, 0);
            tick.base().set_high_latency();
            tick.submit_and_forget().unwrap();
        }
        wait_for_ticks(pool, ticks + 1005);
    }));
}

#[test]
fn a_task_that_waits_for_a_lock_is_cancelled_and_so_is_the_one_that_holds_it() {
    in_client!(Options::new().model(), |_| in_both(|pool| {
        let holder = pool.submit(model::LOCK, HOUR);
        wait_for_ticks(pool, 1);
        let waiting: Vec<_> = (0..10).map(|_| pool.submit(model::LOCK, 0)).collect();
        pool.call(model::YIELD, 10, 0);
        waiting.iter().step_by(2).for_each(|task| task.cancel().unwrap());
        let (cancelled, others): (Vec<_>, Vec<_>) =
            waiting.into_iter().enumerate().partition(|(number, _)| number % 2 == 0);
        for (_, task) in cancelled {
            assert_eq!(text_of(task.wait()).0, CHI_CANCELLED);
        }
        assert!(!holder.is_complete() && others.iter().all(|(_, task)| !task.is_complete()));
        assert_eq!(pool.call(model::TICKS, 0, 0), 1, "one that was cancelled got the lock");
        holder.cancel().unwrap();
        assert_eq!(text_of(holder.wait()).0, CHI_CANCELLED);
        for (_, task) in others {
            task.wait().unwrap();
        }
        assert_eq!(pool.call(model::TICKS, 0, 0), 6);
    }));
}

/// High-latency tasks run one after the other on the worker for them, and do not delay low-latency
/// tasks on the other worker, which does not take over high-latency tasks even when idle.
#[test]
fn groups_of_workers() {
    in_client!(Options::new().model().groups(1, 1), |_| in_both(|pool| {
        let late = || {
            let task = pool.task(model::COMPUTE, 500 * MS, 0);
            task.base().set_high_latency();
            task.submit().unwrap()
        };
        let (first, second) = (late(), late());
        for lane in 0..50 {
            assert_eq!(pool.call(model::COMPUTE, 0, 1 + lane % u64::from(LANES)), 0);
        }
        // The long tasks serve as the clock: one of them must still be running.
        assert!(!first.is_complete() || !second.is_complete());
        // Long enough for an idle worker to look for work.
        std::thread::sleep(Duration::from_millis(100));
        pool.call(model::TICK, 0, 0);
        assert!(!first.is_complete() || !second.is_complete());
        for task in [first, second] {
            assert_eq!(task.wait().unwrap().result.get(), 1);
        }
    }));
}

#[test]
fn the_status_shows_groups_and_suspended_tasks() {
    in_client!(Options::new().model().groups(1, 1), |site| in_both(|pool| {
        let of_each = |key: &str| {
            let workers = site.status()["each_worker"].take();
            workers.as_array().unwrap().iter().map(|one| one[key].clone()).collect::<Vec<_>>()
        };
        assert_eq!(of_each("group"), ["low_latency", "high_latency"]);
        let suspended = |want: [u64; 2]| {
            until("that many are suspended", || (of_each("tasks_suspended") == want).then_some(()));
            assert_eq!(site.status()["tasks_suspended"], want[0] + want[1]);
        };
        suspended([0, 0]);
        let sleeping: Vec<_> = (0..5)
            .map(|number| {
                let task = pool.task(model::SLEEP, HOUR, 0);
                if number < 2 {
                    task.base().set_high_latency();
                }
                task.submit().unwrap()
            })
            .collect();
        suspended([3, 2]);
        let text = site.cli(&["status"]).ok().stdout;
        assert!(text.contains("high latency, ") && text.contains(", 2 suspended\n"), "{text}");
        for task in sleeping {
            task.cancel().unwrap();
            assert_eq!(text_of(task.wait()).0, CHI_CANCELLED);
        }
        suspended([0, 0]);
    }));
}

/// The root number of a task that is not submitted yet.
fn root(task: &NewTask<ValueTask>) -> u64 {
    task.base().task_node().root_
}

/// The log lines that contain `text` and are about this method, pool and node.
fn about<'a>(log: &'a str, text: &str, pool: &str, method: &str, node: &str) -> Vec<&'a str> {
    let parts = [text, &format!("pool=\"{pool}\""), &format!("method=\"{method}\""), node];
    log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).collect()
}

#[test]
fn the_log_says_which_task_a_line_is_about() {
    let log = in_client!(Options::new().model(), |_| in_both(|pool| {
        let own = pool.task(model::LOG, 0, 0);
        let call = pool.task(model::CALL, 0, model::LOG.into());
        call.other.set(pool.id);
        let failing = pool.task(model::FAIL, 0, 0);
        let long = pool.task(model::COMPUTE, 400 * MS, 0);
        // The root numbers of clients start at the same value in each process.
        let first = root(&own);
        assert_eq!([root(&call), root(&failing), root(&long)], [first + 1, first + 2, first + 3]);
        own.call().unwrap();
        call.call().unwrap();
        failing.submit_and_forget().unwrap();
        long.call().unwrap();
    }));
    let Some(log) = log else { return };
    for pool in ["cpp", "rust"] {
        let own = about(&log, "a line", pool, "kLog", "depth=0");
        assert_eq!(own.len(), 1, "{log}");
        let session = own[0].split("session=").nth(1).and_then(|rest| rest.split(' ').next());
        let session = session.expect("a client's task names its session");
        let root = own[0].split("root=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        let root: u64 = root.parse().unwrap();
        let node = |after: u64, depth: u32| {
            format!("session={session} root={} depth={depth}", root + after)
        };
        assert_eq!(about(&log, "a line", pool, "kLog", &node(1, 1)).len(), 1, "{log}");
        assert_eq!(
            about(&log, "a fire-and-forget task failed", pool, "kFail", &node(2, 0)).len(),
            1,
            "{log}"
        );
        let long = about(&log, "has not yielded its worker", pool, "kCompute", &node(3, 0));
        assert_eq!(long.len(), 1, "{log}");
    }
}

#[test]
fn a_trace_has_every_task_from_its_start_to_its_end() {
    let options = Options::new().model().argument("--log-level").argument("trace");
    let log = in_client!(options, |_| in_both(|pool| {
        pool.call(model::TREE, 2, 3);
        assert_eq!(text_of(pool.task(model::FAIL, 0, 0).call()).0, CHI_FAILED);
    }));
    let Some(log) = log else { return };
    for pool in ["cpp", "rust"] {
        for (depth, tasks) in [(0, 1), (1, 3), (2, 9)] {
            let node = format!("depth={depth}");
            for text in ["a task started", "a task ended"] {
                let lines = about(&log, text, pool, "kTree", &node);
                assert_eq!(lines.len(), tasks, "{text} at {depth}: {log}");
            }
        }
        let failed = about(&log, "a task ended", pool, "kFail", "depth=0");
        let status = format!("status={CHI_FAILED} ");
        assert!(failed.len() == 1 && failed[0].contains(&status), "{log}");
    }
}
