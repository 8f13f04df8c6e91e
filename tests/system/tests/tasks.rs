//! `chimaera tasks` and `chimaera slow`, of loads that are known.

use std::time::{Duration, Instant};

use chimaera::Task;
use chimaera_tests::process::until;
use chimaera_tests::tasks::model;
use chimaera_tests::{connect, in_client, Options, Site, ValuePool};
use serde_json::Value;

const MS: u64 = 1_000_000;
const HOUR: u64 = 3_600_000 * MS;

const ONE_WORKER: &str = "workers: {low_latency: {count: 1}, standby: 0}\n";

fn list(site: &Site, more: &[&str]) -> Value {
    site.cli(&[&["tasks", "--json"], more].concat()).ok().json()
}

/// The tasks of a method in this state.
fn found(list: &Value, method: &str, state: &str) -> Vec<Value> {
    let is_it = |task: &&Value| task["method"] == method && task["state"] == state;
    list["tasks"].as_array().unwrap().iter().filter(is_it).cloned().collect()
}

fn only(list: &Value, method: &str, state: &str) -> Option<Value> {
    match &found(list, method, state)[..] {
        [one] => Some(one.clone()),
        _ => None,
    }
}

fn why(site: &Site, task: &Value) -> Vec<String> {
    let text = site.cli(&["tasks", "--why", task["id"].as_str().unwrap()]).ok().stdout;
    text.lines().map(|line| line.trim_start().to_owned()).collect()
}

/// What a task waits for is followed over another task and a lock to the task that holds it.
#[test]
fn a_chain_of_waits_is_followed_to_its_end() {
    in_client!(Options::new().model(), |site| {
        let (a, b) = ["a", "b"].map(|name| ValuePool::new(connect(), model::MODULE, name)).into();
        let begun = Instant::now();
        let holds = b.submit(model::LOCK, HOUR);
        until("it holds the lock", || {
            let all = list(site, &[]);
            only(&all, "kLock", "suspended").filter(|task| task["holds"][0].is_u64())
        });
        let calls = a.task(model::CALL, 7, model::LOCK.into());
        calls.other.set(b.id);
        let calls = calls.submit().unwrap();
        let all = until("it waits", || {
            let all = list(site, &[]);
            let waits = found(&all, "kLock", "suspended");
            let complete = all["silent"] == serde_json::json!([]);
            (complete && waits.len() == 2 && only(&all, "kCall", "suspended").is_some())
                .then_some(all)
        });
        assert_eq!((&all["suspended"], &all["queued"]), (&3.into(), &0.into()), "{all}");
        let call = only(&all, "kCall", "suspended").unwrap();
        let of = |holds: bool| {
            let locks = found(&all, "kLock", "suspended");
            locks.into_iter().find(|task| task["holds"][0].is_u64() == holds).unwrap()
        };
        let (holder, waiter) = (of(true), of(false));
        assert_eq!(call["waits_for"]["kind"], "task");
        assert_eq!(call["waits_for"]["id"], waiter["id"]);
        assert_eq!((&waiter["depth"], &waiter["root"]), (&1.into(), &call["root"]));
        assert_eq!(waiter["waits_for"]["kind"], "lock");
        assert_eq!(waiter["waits_for"]["number"], holder["holds"][0]);
        assert_eq!(holder["waits_for"]["kind"], "event");
        assert_eq!(holder["pid"], std::process::id());
        // The oldest is first, and no older than it can be.
        assert_eq!(all["tasks"][0]["id"], holder["id"]);
        let age = Duration::from_nanos(holder["age_ns"].as_u64().unwrap());
        let most = begun.elapsed() + Duration::from_secs(1);
        assert!(age <= most && age >= Duration::from_micros(1), "{age:?}");
        let lines = until("all answer", || {
            let lines = why(site, &call);
            (lines.len() == 5).then_some(lines)
        });
        let id = |task: &Value| task["id"].as_str().unwrap().to_owned();
        assert!(lines[0].starts_with(&format!("{}: kCall of pool 'a', session ", id(&call))));
        assert!(lines[1].starts_with(&format!("{}: kLock of pool 'b', session ", id(&waiter))));
        assert!(lines[2].starts_with("waits for lock ") && lines[2].ends_with(" of pool 'b'"));
        assert!(lines[3].starts_with(&format!("{}: kLock of pool 'b', session ", id(&holder))));
        assert_eq!(lines[4], "a time, an event, or its turn ends the wait");
        // Fewer of them.
        assert_eq!(list(site, &["--pool", "a"])["tasks"].as_array().map(Vec::len), Some(1));
        assert_eq!(list(site, &["-n", "2"])["tasks"].as_array().map(Vec::len), Some(2));
        let other = (call["session"].as_u64().unwrap() + 1000).to_string();
        assert_eq!(list(site, &["--session", &other])["tasks"].as_array().map(Vec::len), Some(0));
        let text = site.cli(&["tasks"]).ok().stdout;
        assert!(text.ends_with("3 tasks suspended, 0 queued\n"), "{text}");
        assert!(text.contains(&format!("which {} holds", id(&holder))), "{text}");
        // No such pool, and no such task.
        let failed = site.cli(&["tasks", "--pool", "nobody"]);
        assert!(failed.code == 1 && failed.stderr.contains("nobody"), "{failed:?}");
        let by_id = site.pool("a")["id"].as_str().unwrap().to_owned();
        assert_eq!(list(site, &["--pool", &by_id])["tasks"].as_array().map(Vec::len), Some(1));
        let failed = site.cli(&["tasks", "--why", "nobody"]);
        assert_eq!(failed.code, 1);
        assert!(failed.stderr.contains("has an ID that begins with 'nobody'"), "{failed:?}");
        drop((holds, calls));
    });
}

/// A task that keeps its worker busy is shown with what is queued behind it, although that worker does not
/// answer.
#[test]
fn what_waits_behind_a_busy_worker_is_shown() {
    in_client!(Options::new().model().config(ONE_WORKER), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "one");
        let sleeps = pool.submit(model::SLEEP, HOUR);
        until("it sleeps", || only(&list(site, &[]), "kSleep", "suspended"));
        // Those of high latency are queued before the first of them runs.
        let submit = || {
            let task = pool.task(model::ASK, 0, 0);
            task.base().set_high_latency();
            task.submit().unwrap()
        };
        let (runs, queued) = (submit(), submit());
        let all = until("one runs, and the other is queued", || {
            let all = list(site, &[]);
            only(&all, "kAsk", "running").and(only(&all, "kAsk", "queued")).map(|_| all)
        });
        let task = only(&all, "kAsk", "running").unwrap();
        assert_eq!((&task["id"], &task["pool"]), (&"worker-0".into(), &"one".into()));
        assert_eq!(task["pid"], std::process::id());
        assert_eq!((&all["suspended"], &all["queued"]), (&1.into(), &1.into()), "{all}");
        assert!(found(&all, "kSleep", "suspended").is_empty(), "nobody says so: {all}");
        assert_eq!(all["silent"][0]["worker"], 0);
        assert_eq!(why(site, &task)[1], "it runs, and keeps worker 0 busy");
        let behind = only(&all, "kAsk", "queued").unwrap();
        assert!(behind["age_ns"].as_u64() >= Some(1), "{behind}");
        let lines = why(site, &behind);
        assert!(lines[0].contains(": kAsk of pool 'one', session "), "{lines:?}");
        assert!(lines[1].starts_with("worker-0: kAsk of pool 'one'"), "{lines:?}");
        let text = site.cli(&["tasks"]).ok().stdout;
        assert!(text.contains("is busy: what is suspended on it"), "{text}");
        for asked in [queued, runs] {
            asked.cancel().unwrap();
            assert!(asked.wait().is_err());
        }
        drop(sleeps);
    });
}

/// The chain goes on in a module host, and from there back to the daemon.
#[test]
fn a_chain_goes_through_a_module_host() {
    in_client!(Options::new().model(), |site| {
        let create =
            ["pool", "create", "apart", "--module", model::MODULE, "--isolation", "process"];
        site.cli(&create).ok();
        let here = ValuePool::new(connect(), model::MODULE, "here");
        let apart = ValuePool { id: here.ipc.find_pool("apart").unwrap(), ..here };
        let calls = apart.task(model::CALL, HOUR, model::SLEEP.into());
        calls.other.set(here.id);
        let calls = calls.submit().unwrap();
        let all = until("it sleeps", || {
            let all = list(site, &[]);
            let is_there = found(&all, "kCall", "suspended").len() == 2;
            let sleeps = found(&all, "kSleep", "suspended")
                .iter()
                .any(|task| task["waits_for"]["kind"] == "event");
            (is_there && sleeps).then_some(all)
        });
        let host = site.pool("apart")["host"]["pid"].clone();
        let calls_of = |process: &Value| {
            let all = found(&all, "kCall", "suspended");
            all.into_iter().find(|task| task["process"] == *process).unwrap()
        };
        let of_daemon = |task: &&Value| task["process"] != host;
        let daemon = all["tasks"].as_array().unwrap().iter().find(of_daemon).unwrap();
        let first = calls_of(&daemon["process"]);
        assert_eq!(first["waits_for"]["kind"], "process");
        assert_eq!(first["waits_for"]["process"], host);
        let lines = why(site, &first);
        let has = |part: &str| lines.iter().any(|line| line.contains(part));
        assert!(has(&format!("itself in process {host}")), "{lines:?}");
        assert!(has(calls_of(&host)["id"].as_str().unwrap()), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("kSleep of pool 'here'")), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "a time, an event, or its turn ends the wait");
        drop(calls);
    });
}

/// What takes longer than the threshold is noted, although hardly any of it is in the sample; what does not, is
/// not.
#[test]
fn slow_tasks_are_noted() {
    in_client!(Options::new().model().config(ONE_WORKER), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "one");
        let slow = |more: &[&str]| site.cli(&[&["slow", "--json"], more].concat()).ok().json();
        assert_eq!(slow(&[])["threshold_ns"], 10 * MS);
        // A busy machine makes tasks slower.
        assert_eq!(slow(&["--threshold", "300"])["threshold_ns"], 300 * MS);
        for _ in 0..200 {
            pool.call(model::SLEEP, 0, 0);
        }
        for _ in 0..3 {
            pool.call(model::SLEEP, 400 * MS, 0);
        }
        pool.call(model::COMPUTE, 500 * MS, 0);
        let all = until("all are noted", || {
            let all = slow(&[]);
            (all["noted"].as_u64() >= Some(4)).then_some(all)
        });
        let of = |method: &str| {
            let tasks = all["tasks"].as_array().unwrap().iter();
            tasks.filter(|task| task["method"] == method).cloned().collect::<Vec<_>>()
        };
        let (sleeps, computes) = (of("kSleep"), of("kCompute"));
        assert_eq!((sleeps.len(), computes.len()), (3, 1), "{all}");
        for task in &sleeps {
            assert!(task["suspended_ns"].as_u64() >= Some(390 * MS), "{task}");
            assert!(task["total_ns"].as_u64() >= task["suspended_ns"].as_u64(), "{task}");
            assert_eq!((&task["pool"], &task["status"]), (&"one".into(), &0.into()));
        }
        assert!(computes[0]["running_ns"].as_u64() >= Some(450 * MS), "{all}");
        assert!(computes[0]["suspended_ns"] == 0, "{all}");
        // The slowest is first.
        assert_eq!(all["tasks"][0]["method"], "kCompute");
        let text = site.cli(&["slow", "-n", "1"]).ok().stdout;
        assert!(text.contains("kCompute") && !text.contains("kSleep"), "{text}");
        assert!(
            text.contains(
                "4 tasks of late took 300 ms or longer, of 4 noted since the start; a sample"
            ),
            "{text}"
        );
    });
}

/// With the switch, each task is measured, and counted as one.
#[test]
fn every_task_can_be_measured() {
    in_client!(Options::new().model(), |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "one");
        let slow = |more: &[&str]| site.cli(&[&["slow", "--json"], more].concat()).ok().json();
        let on = slow(&["--measure", "all", "--threshold", "0.001"]);
        assert_eq!(on["measures_all"], true);
        let before = on["noted"].as_u64().unwrap();
        const CALLS: u64 = 500;
        for _ in 0..CALLS {
            // Too short to be measured for that.
            pool.call(model::COMPUTE, 2_000, 0);
        }
        let noted = until("each is noted", || {
            let noted = slow(&[])["noted"].as_u64().unwrap() - before;
            (noted >= CALLS).then_some(noted)
        });
        assert!(noted < CALLS + 10, "no task twice: {noted}");
        let metrics = site.cli(&["metrics", "--json"]).ok().json();
        let mut pools = metrics["pools"].as_array().unwrap().iter();
        let one = pools.find(|pool| pool["name"] == "one").unwrap();
        let mut methods = one["methods"].as_array().unwrap().iter();
        let method = methods.find(|method| method["name"] == "kCompute").unwrap();
        assert_eq!(method["calls"], CALLS);
        let off = slow(&["--measure", "sample", "--threshold", "1000"]);
        assert_eq!(off["tasks"].as_array().map(Vec::len), Some(0), "none of them is as slow");
        assert_eq!(off["measures_all"], false);
        let before = off["noted"].as_u64().unwrap();
        for _ in 0..CALLS {
            pool.call(model::TICK, 0, 0);
        }
        assert_eq!(slow(&[])["noted"], before);
    });
}
