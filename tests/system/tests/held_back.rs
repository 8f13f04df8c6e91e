//! Submissions that are held back because too many tasks are suspended.

use std::time::Duration;

use chimaera::abi::{CHI_CANCELLED, CHI_NO_SPACE};
use chimaera_tests::process::{self, until};
use chimaera_tests::tasks::model;
use chimaera_tests::{connect, in_client, text_of, Options, Running, ValuePool};

const HOUR: u64 = 3_600_000_000_000;

/// What is held back behind one worker has taken all the room that the other left. The other's clients
/// still get their part of it, up to their worker's share.
#[test]
fn tasks_held_back_behind_one_worker_leave_room_for_those_of_another() {
    const LIMIT: u64 = 1000;
    let few = format!("workers: 2\nlimits: {{suspended_tasks: {LIMIT}}}\n");
    in_client!(Options::new().model().config(few), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "many");
        // All in one lane, and so on one worker.
        let tasks: Vec<_> = (0..2000).map(|_| pool.submit(model::SLEEP, HOUR)).collect();
        let suspended = || -> Vec<u64> {
            let status = site.status();
            let workers = status["each_worker"].as_array().unwrap();
            workers.iter().map(|worker| worker["tasks_suspended"].as_u64().unwrap()).collect()
        };
        let full = until("the worker has more than its share", || {
            suspended().iter().position(|count| *count > LIMIT * 6 / 10)
        });
        let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-mortal"));
        let mut other = Running::start(command.args(["suspended", "2000"]));
        assert_eq!(other.line().as_deref(), Some("ready"));
        until("the other worker has a share", || {
            (suspended()[1 - full] > LIMIT * 3 / 10).then_some(())
        });
        assert!(!tasks.iter().all(|task| task.is_complete()));
        other.signal(rustix::process::Signal::KILL);
        other.end();
        tasks.iter().for_each(|task| task.cancel().unwrap());
        let ended = tasks.into_iter().map(|task| text_of(task.wait()).0);
        assert!(ended.into_iter().all(|status| matches!(status, CHI_CANCELLED | CHI_NO_SPACE)));
    });
}

/// Nothing happens that could let them in, so workers and watchdog rest.
#[test]
fn what_is_held_back_keeps_nobody_awake() {
    let few = "workers: 2\nlimits: {suspended_tasks: 1000}\n";
    in_client!(Options::new().model().config(few), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "many");
        let tasks: Vec<_> = (0..20_000).map(|_| pool.submit(model::SLEEP, HOUR)).collect();
        until("they are suspended", || (site.pool("many")["tasks"].as_u64()? > 500).then_some(()));
        std::thread::sleep(Duration::from_secs(1));
        let daemon = site.status()["pid"].as_u64().unwrap() as u32;
        let before = process::switches(daemon);
        std::thread::sleep(Duration::from_secs(2));
        let awake = process::switches(daemon) - before;
        assert!(awake < 400, "{awake} times in 2 s");
        assert!(!tasks.iter().all(|task| task.is_complete()));
        tasks.iter().for_each(|task| task.cancel().unwrap());
        tasks.into_iter().for_each(|task| drop(task.wait()));
    });
}

/// However small the limit is, and whatever it comes from, one client cannot use all of it.
#[test]
fn one_client_leaves_room_for_others_whatever_the_limit_is() {
    for limit in ["suspended_tasks: 64", "suspended_tasks: 200", "memory: 16MiB", "memory: 32MiB"] {
        let few = format!("workers: 1\nlimits: {{{limit}}}\n");
        let log = in_client!(Options::new().model().config(few), |site| {
            let pool = ValuePool::new(connect(), model::MODULE, "many");
            let tasks: Vec<_> = (0..256).map(|_| pool.submit(model::SLEEP, HOUR)).collect();
            let suspended = || {
                let worker = &site.status()["each_worker"][0];
                worker["tasks_suspended"].as_u64().unwrap()
            };
            until("many are suspended", || (suspended() >= 16).then_some(()));
            for name in ["first", "second"] {
                site.cli(&["pool", "create", name, "--module", model::MODULE]).ok();
            }
            assert!(suspended() <= 225, "the limit holds");
            tasks.iter().for_each(|task| task.cancel().unwrap());
            let ended = tasks.into_iter().map(|task| text_of(task.wait()).0);
            assert!(ended.into_iter().all(|status| matches!(status, CHI_CANCELLED | CHI_NO_SPACE)));
        });
        if log.is_none() {
            // This is the client's process, which has one daemon.
            return;
        }
    }
}
