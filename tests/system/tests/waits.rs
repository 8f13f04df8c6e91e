//! Waits in methods, and other state of a task that must survive its suspension.

use std::time::Duration;

use chimaera::abi::CHI_FAILED;
use chimaera::{NewTask, Pending, Task};
use chimaera_tests::tasks::model::{self, ValueTask};
use chimaera_tests::{connect, in_client, process, text_of, Options, Site, ValuePool};

const MS: u64 = 1_000_000;

/// Coroutines are reused, and deadlines outlive the tasks that set them: no deadline may end the
/// wait of another task.
#[test]
fn a_deadline_that_has_outlived_its_task_ends_nobody_elses_wait() {
    in_client!(Options::new().model().workers(1), |_| {
        let pool = ValuePool::new(connect(), model::MODULE, "waits");
        let many = |time: u64, deadline: Option<Duration>| {
            let one = |_| {
                let task: NewTask<ValueTask> = pool.task(model::SLEEP, time, 0);
                if let Some(deadline) = deadline {
                    task.base().set_deadline(deadline);
                }
                task.submit().unwrap()
            };
            (0..600).map(one).collect::<Vec<Pending<ValueTask>>>()
        };
        let deadline = Duration::from_millis(1500);
        let first = many(100 * MS, Some(deadline));
        first.into_iter().for_each(|task| drop(task.wait().unwrap()));
        // These are asleep when the deadlines pass, and would be for an hour.
        let second = many(3_600_000 * MS, None);
        std::thread::sleep(deadline * 3 / 2);
        let early = second.iter().filter(|task| task.is_complete()).count();
        second.iter().for_each(|task| task.cancel().unwrap());
        assert_eq!(early, 0, "sleeps of an hour ended within seconds");
    });
}

/// A method keeps its own error message, whatever others report while it is suspended.
#[test]
fn the_words_of_a_method_that_sleeps_are_not_anothers() {
    in_client!(Options::new().model().workers(1), |_| {
        let pool = ValuePool::new(connect(), model::MODULE, "words");
        let cases = [(model::FAIL_LATE, "the words of "), (model::LAST_ERROR, "nobody ")];
        for (method, own) in cases {
            let tasks: Vec<_> = (0..20)
                .map(|number| pool.task(method, number, (40 - number) * MS).submit().unwrap())
                .collect();
            for (number, task) in tasks.into_iter().enumerate() {
                let (status, message) = text_of(task.wait());
                assert_eq!(status, CHI_FAILED);
                let want = format!("{own}{number}");
                assert!(
                    message.ends_with(&want) || message.contains(&format!("{want}'")),
                    "{want}: {message}"
                );
            }
        }
    });
}

/// The daemon's resident anonymous memory in bytes.
fn anonymous(site: &Site) -> u64 {
    let pid = &site.status()["pid"];
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is running");
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).expect("Linux reports it");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") * 1024
}

/// An idle runtime does not keep the memory that many concurrent tasks needed.
#[test]
fn memory_of_many_tasks_goes_back() {
    in_client!(Options::new().model().workers(1), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "many");
        // Some stacks and records are kept for later tasks.
        const KEPT: u64 = 8 << 20;
        let round = |count: usize| {
            let tasks: Vec<_> = (0..count).map(|_| pool.submit(model::SLEEP, 500 * MS)).collect();
            tasks.into_iter().for_each(|task| drop(task.wait().unwrap()));
        };
        round(500);
        let before = anonymous(site);
        round(15_000);
        process::until("memory goes back", || (anonymous(site) <= before + KEPT).then_some(()));
    });
}
