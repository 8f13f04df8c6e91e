//! A module host that does not answer, because it was stopped, is named, and holds nothing up for good.

use std::time::Duration;

use chimaera::Pending;
use chimaera_test_life_client::{self as life, KeyTask};
use chimaera_tests::{
    artefacts, connect, in_client, in_client_that_may_end_it, process, LifePool, Options, Output,
    Site,
};
use rustix::process::{kill_process, Pid, Signal};

/// A runtime with the module in a process of its own, whose methods may take as long as they like.
fn options() -> Options {
    let config = format!("workers: 2\nmodule_hosts: {{modules: [\"{}\"]}}\n", life::MODULE);
    Options::new().file(artefacts::rust_life(1)).config(config)
}

fn host(site: &Site) -> Pid {
    let pid = site.pool("life")["host"]["pid"].as_i64().expect("it runs");
    Pid::from_raw(pid as i32).unwrap()
}

/// The pool, with a task in its host, which is then stopped.
fn stopped(site: &Site) -> (LifePool, Pending<KeyTask>, Pid) {
    let pool = LifePool::new(connect(), "");
    let task = pool.submit_slow(site, 3000);
    pool.add("key", 1);
    let host = host(site);
    process::pause(host);
    (pool, task, host)
}

fn is_silent(site: &Site) -> bool {
    site.pool("life")["host"]["silent_ms"].is_u64()
}

fn until_it_is_silent(site: &Site) {
    process::until("it is noticed", || is_silent(site).then_some(()));
}

fn refused(output: &Output) -> &str {
    assert_eq!(output.code, 1, "{output:?}");
    &output.stderr
}

#[test]
fn it_is_named_until_it_answers() {
    let daemon = in_client_that_may_end_it!(options(), |site| {
        for _ in 0..2 {
            let (pool, task, host) = stopped(site);
            until_it_is_silent(site);
            let state = &site.pool("life")["host"]["state"];
            assert_eq!(state, "running");
            let said = format!("process {host}, running for ");
            for command in [&["pool", "show", "life"][..], &["status"]] {
                let shown = site.cli(command).ok().stdout;
                let line = shown.lines().find(|line| line.contains(&said));
                let line = line.unwrap_or_else(|| panic!("{shown}"));
                assert!(line.contains("; has not answered for "), "{shown}");
            }
            kill_process(host, Signal::CONT).unwrap();
            task.wait().unwrap();
            process::until("it answers", || (!is_silent(site)).then_some(()));
            assert_eq!(pool.check(0).recovered.get(), 0);
        }
        site.cli(&["stop"]).ok();
    });
    let Some(mut daemon) = daemon else { return };
    daemon.end();
    let log = daemon.log();
    let lines = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    assert_eq!(lines("a module host does not answer"), 2, "{log}");
    assert_eq!(lines("a module host answers again"), 2, "{log}");
}

/// One that is stopped before it has had any task is waited for as well, and named.
#[test]
fn it_is_waited_for_from_its_first_task_on() {
    let daemon = in_client_that_may_end_it!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let host = host(site);
        process::pause(host);
        let task = pool.submit_slow(site, 1);
        until_it_is_silent(site);
        // Longer than anything else in a runtime waits for another process.
        std::thread::sleep(Duration::from_secs(11));
        assert!(!task.is_complete());
        kill_process(host, Signal::CONT).unwrap();
        task.wait().unwrap();
        assert_eq!(pool.check(0).recovered.get(), 0);
        site.cli(&["stop"]).ok();
    });
    if let Some(mut daemon) = daemon {
        daemon.end();
    }
}

/// With a bound for its methods, it is killed, and another one takes the task that waits for it.
#[test]
fn it_is_killed_before_its_first_task_if_methods_have_a_bound() {
    let modules = life::MODULE;
    let config =
        format!("workers: 2\nmodule_hosts: {{modules: [\"{modules}\"], kill_after: 500ms}}\n");
    let options = Options::new().file(artefacts::rust_life(1)).config(config);
    in_client!(options, |site| {
        let pool = LifePool::new(connect(), "");
        process::pause(host(site));
        let task = pool.submit_slow(site, 1);
        let why = task.wait().unwrap_err().to_string();
        assert!(why.contains("has not answered") && why.contains("kill_after"), "{why}");
        pool.add("key", 1);
        assert_eq!(pool.check(0).recovered.get(), 1);
    });
}

/// One that has left so many messages unread that it would miss the next one is ended.
#[test]
fn it_is_ended_if_it_would_miss_something() {
    let daemon = in_client_that_may_end_it!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let first = host(site);
        process::pause(first);
        let is_running = || std::fs::read_link(format!("/proc/{first}/exe")).is_ok();
        let told = (0..2000).take_while(|round| {
            let level = if round % 2 == 0 { "debug" } else { "info" };
            site.cli(&["log", "level", level]).ok();
            is_running()
        });
        let told = told.count();
        assert!((100..2000).contains(&told), "{told} messages");
        // Before its end is noticed, a task is told of it.
        if let Err(why) = pool.try_add("key", 1) {
            let why = why.to_string();
            assert!(why.contains("killed by SIGKILL"), "{why}");
            pool.add("key", 1);
        }
        assert_eq!(pool.check(0).recovered.get(), 1);
        assert_ne!(host(site), first);
        site.cli(&["stop"]).ok();
    });
    let Some(mut daemon) = daemon else { return };
    daemon.end();
    let log = daemon.log();
    assert!(log.contains("a message between it and its daemon was not taken"), "{log}");
}

/// Nothing waits for it beyond its bound.
#[test]
fn what_waits_for_it_ends() {
    let daemon = in_client_that_may_end_it!(options(), |site| {
        // A task of it is in the way of a destruction and of a saving, and the host is what is named.
        let (pool, task, first) = stopped(site);
        until_it_is_silent(site);
        let file = site.path().join("saved");
        let file = file.to_str().unwrap();
        let save = ["pool", "save", "life", file, "--timeout", "1"];
        let destroy = ["pool", "destroy", "life", "--timeout", "1"];
        let saved = site.cli(&save);
        assert!(refused(&saved).contains("pool 'life'"), "{saved:?}");
        let destroyed = site.cli(&destroy);
        let named =
            format!("the module host of pool 'life' (process {first}) has not answered for ");
        assert!(refused(&destroyed).contains(&named), "{destroyed:?}");
        kill_process(first, Signal::CONT).unwrap();
        // Whatever the destruction has cancelled.
        let _ = task.wait();
        process::until("nothing is in it", || (site.pool("life")["tasks"] == 0).then_some(()));
        pool.add("key", 1);

        // Without a task, it is asked for its state, and killed, because it does not go on.
        process::pause(first);
        refused(&site.cli(&save));
        assert_eq!(pool.check(0).recovered.get(), 1);
        assert_ne!(host(site), first);

        // It is killed at its own bound when its pool is destroyed; the command has another one.
        process::pause(host(site));
        let destroyed = site.cli(&destroy);
        assert!(refused(&destroyed).contains("its kDestroy has not ended"), "{destroyed:?}");
        process::until("it is gone", || {
            (site.cli(&["pool", "show", "life"]).code == 1).then_some(())
        });

        let (_, task, _) = stopped(site);
        std::mem::forget(task);
        site.cli(&["stop", "--timeout", "2"]);
    });
    if let Some(mut daemon) = daemon {
        daemon.end();
    }
}

/// A stop that has to kill a host is not in order, though nothing is left: it says so.
#[test]
fn a_stop_that_kills_it_says_so() {
    let daemon = in_client_that_may_end_it!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        pool.add("key", 1);
        process::pause(host(site));
        let stopped = site.cli(&["stop", "--timeout", "60"]);
        assert_eq!(stopped.code, 4, "{stopped:?}");
        let why =
            "abandoned: pool 'life' is destroyed, but not in order: its module host (process ";
        assert_eq!(stopped.stdout.matches(why).count(), 1, "{stopped:?}");
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), 4);
}
