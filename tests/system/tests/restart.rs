//! Restarts: a new process takes over the pools and the clients of a runtime.

use std::collections::VecDeque;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chimaera::abi::{CHI_CANCELLED, CHI_DEADLINE, CHI_REASON_RESTARTED};
use chimaera::Task;
use chimaera_test_life_client as life;
use chimaera_tests::{
    artefacts, connect, in_client_that_may_end_it, process, rounds, tally, text_of, Daemon,
    LifePool, Options, Output, Running, Site,
};
use rustix::process::{kill_process, Pid, Signal};
use serde_json::{json, Value};

/// The module in C++.
fn options() -> Options {
    Options::new().file(artefacts::test_module("life"))
}

/// The same module in Rust.
fn rust_options() -> Options {
    Options::new().file(artefacts::rust_life(1))
}

/// Stops the process that serves last.
struct Stops<'s>(&'s Site);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        let how = if std::thread::panicking() { &["stop", "--force"][..] } else { &["stop"] };
        let output = self.0.cli(how);
        if !std::thread::panicking() {
            output.ok();
        }
    }
}

/// Runs the rest of a test as a client of a daemon that is restarted in it, and whose process must end
/// cleanly.
macro_rules! with_restarts {
    ($options:expr, $body:expr) => {
        let daemon = in_client_that_may_end_it!($options, |site| {
            let _stops = Stops(site);
            let body: fn(&Site) = $body;
            body(site)
        });
        if let Some(mut daemon) = daemon {
            assert_eq!(daemon.end(), 0, "{}", daemon.log());
        }
    };
}

/// Tests of the module in either language.
macro_rules! in_both_languages {
    ($($(#[$doc:meta])* fn $name:ident($site:ident) $body:block)*) => {
        mod cpp {
            use super::*;
            $($(#[$doc])* #[test] fn $name() { with_restarts!(options(), |$site| $body); })*
        }
        mod rust {
            use super::*;
            $($(#[$doc])* #[test] fn $name() { with_restarts!(rust_options(), |$site| $body); })*
        }
    };
}

fn restart_with(site: &Site, more: &[&str]) -> Output {
    site.cli(&[&["restart", "--json"], more].concat())
}

/// Restarts, and returns what the program says.
fn restart(site: &Site) -> Value {
    let before = site.status()["pid"].clone();
    let done = restart_with(site, &[]).ok().json();
    let status = site.status();
    assert_eq!(status["pid"], done["pid"], "{status}");
    assert_ne!(status["pid"], before);
    done
}

/// A restart that does not happen. Returns why.
fn no_restart(site: &Site, more: &[&str]) -> String {
    let before = site.status()["pid"].clone();
    let output = restart_with(site, more);
    assert_eq!(output.code, 1, "{output:?}");
    assert_eq!(site.status()["pid"], before);
    assert!(!site.states().exists() || std::fs::read_dir(site.states()).unwrap().next().is_none());
    output.stderr
}

/// A program that does what a script says.
fn script(site: &Site, text: &str) -> String {
    let file = site.path().join("script");
    std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Calls `change` while threads keep tasks in flight, each of which must succeed. Returns how many
/// tasks there were.
fn under_load(pool: LifePool, change: impl FnOnce()) -> u64 {
    const THREADS: u64 = 4;
    const DEPTH: usize = 64;
    struct Ends<'b>(&'b AtomicBool);
    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = &AtomicBool::new(false);
    let client = move |thread: u64| {
        let (mut flying, mut sent) = (VecDeque::new(), 0);
        while !over.load(Ordering::Relaxed) || !flying.is_empty() {
            while flying.len() < DEPTH && !over.load(Ordering::Relaxed) {
                let method = if sent % 97 == 0 { life::SLOW } else { life::ADD };
                let task = pool.key(method, &format!("{thread} {}", sent % 10), 1, 2);
                flying.push_back(task.submit().unwrap());
                sent += 1;
            }
            if let Some(oldest) = flying.pop_front() {
                drop(oldest.wait().unwrap());
            }
        }
        sent
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || client(thread))).collect();
        let ends = Ends(over);
        change();
        drop(ends);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

in_both_languages! {
    /// Pools keep their ids, names and states, and clients their sessions.
    fn pools_and_clients_go_on(site) {
        let pool = LifePool::new(connect(), "");
        for i in 0..100 {
            pool.add(&format!("key {i}"), i);
        }
        pool.grow(3 << 20);
        let before = pool.check(0);
        for round in 0..3 {
            let done = restart(site);
            assert_eq!((&done["pools"], &done["sessions"]), (&json!(1), &json!(1)), "{done}");
            assert!(done["state_bytes"].as_u64().unwrap() > 3 << 20, "{done}");
            let after = pool.check(0);
            assert_eq!(after.count.get(), before.count.get() + round);
            assert_eq!(after.n_entries.get(), before.n_entries.get() + u64::from(round > 0));
            assert_eq!(
                (after.blob_size.get(), after.blob_hash.get()),
                (before.blob_size.get(), before.blob_hash.get())
            );
            assert_ne!(after.object.get(), before.object.get());
            assert_eq!((after.migrated.get(), after.reason.get()), (1, CHI_REASON_RESTARTED));
            pool.add("more", 1);
            assert_eq!(pool.ipc.find_pool("life").unwrap(), pool.id);
            let other = pool.ipc.create_pool(life::MODULE, "other", b"").unwrap();
            assert_ne!(other, pool.id);
            pool.ipc.destroy_pool(other).unwrap();
        }
        assert!(!site.states().exists() || std::fs::read_dir(site.states()).unwrap().next().is_none());
    }

    /// Every task that is sent while the runtime is restarted succeeds, exactly once.
    fn restarts_under_load_lose_no_task(site) {
        let pool = LifePool::new(connect(), "");
        let count = rounds(6, 100);
        let sent = under_load(pool, || {
            for _ in 0..count {
                restart(site);
            }
        });
        assert_eq!(pool.check(0).count.get(), sent);
        tally("tasks counted", sent);
    }

    /// Tasks in the pool end first; those that come meanwhile wait, in their order, and can be cancelled
    /// or late.
    fn tasks_end_or_wait(site) {
        let pool = LifePool::new(connect(), "");
        let slow = pool.submit_slow(site, 2000);
        let restarts = std::thread::scope(|scope| {
            let restarts = scope.spawn(|| restart(site));
            process::until("the pool is draining", || {
                let pool = site.pool("life");
                (pool["state"] == "draining").then_some(())
            });
            let held: Vec<_> = (1..100).map(|_| pool.key(life::ADD, "held", 1, 0).submit().unwrap()).collect();
            let cancelled = pool.key(life::ADD, "cancelled", 1, 0).submit().unwrap();
            cancelled.cancel().unwrap();
            assert_eq!(text_of(cancelled.wait()).0, CHI_CANCELLED);
            let late = pool.key(life::ADD, "late", 1, 0);
            late.base().set_deadline(Duration::from_millis(20));
            assert_eq!(text_of(late.call()).0, CHI_DEADLINE);
            for (number, task) in held.into_iter().enumerate() {
                assert_eq!(task.wait().unwrap().result.get(), number as u64 + 1);
            }
            restarts.join().unwrap()
        });
        assert!(restarts["pause_ms"].as_f64().unwrap() > 1.0, "{restarts}");
        assert_eq!(slow.wait().unwrap().result.get(), 1);
        assert_eq!(pool.check(0).count.get(), 100);
    }

    /// A periodic task goes on, and can be cancelled afterwards.
    fn a_periodic_task_goes_on(site) {
        let pool = LifePool::new(connect(), "");
        let every = pool.key(life::ADD, "every", 1, 0);
        every.base().set_period(Duration::from_millis(5));
        let every = every.submit().unwrap();
        for _ in 0..3 {
            let before = pool.check(0).count.get();
            restart(site);
            process::until("it runs", || (pool.check(0).count.get() > before + 2).then_some(()));
        }
        every.cancel().unwrap();
        assert_eq!(text_of(every.wait()).0, CHI_CANCELLED);
    }

    /// What the runtime holds for a client, until that releases it, is held by the new process.
    fn results_are_kept_until_they_are_released(site) {
        let pool = LifePool::new(connect(), "");
        let used = || {
            let sessions = site.cli(&["sessions", "--json"]).ok().json();
            sessions[0]["runtime_arena_used_bytes"].as_u64().unwrap_or_else(|| panic!("{sessions}"))
        };
        let kept: Vec<_> = (0..50).map(|_| pool.check(0)).collect();
        let texts = || kept.iter().map(|task| task.old_version.to_string().unwrap());
        let before: Vec<String> = texts().collect();
        restart(site);
        for _ in 0..100 {
            pool.check(0);
        }
        assert!(texts().eq(before));
        drop(kept);
        pool.add("key", 1);
        process::until("the results are released", || (used() == 0).then_some(()));
    }

    /// A state that cannot be saved, or loaded: the old process goes on, and says why.
    fn failures_leave_the_old_process(site) {
        for (fail, why) in [
            ("migrate", "the new process says"),
            ("load", "the new process says"),
            ("crash_load", "the new process"),
            ("save", "cannot save its state"),
        ] {
            let pool = LifePool::new(connect(), &format!("fail={fail}"));
            pool.add("key", 7);
            let sent = under_load(pool, || {
                let said = no_restart(site, &["--timeout", "10"]);
                assert!(said.contains(why), "{fail}: {said}");
            });
            let after = pool.check(0);
            assert_eq!(after.count.get(), sent + 7);
            assert!(after.resumed.get() > 0, "{fail}");
            pool.ipc.destroy_pool(pool.id).unwrap();
        }
    }
}

/// Programs that are not runtimes.
#[test]
fn a_wrong_program_changes_nothing() {
    with_restarts!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        pool.add("key", 1);
        let sleeps = script(site, "exec sleep 60");
        for (program, why) in [
            ("/nowhere/chimaera", "cannot start /nowhere/chimaera: No such file or directory"),
            ("/bin/false", "the new process has ended"),
            (&sleeps, "has not loaded its modules after 1.0"),
        ] {
            let said = no_restart(site, &["--program", program, "--timeout", "1"]);
            assert!(said.contains(why), "{said}");
            assert_eq!(pool.check(0).count.get(), 1);
        }
        let program = artefacts::chimaera();
        let wrapped = script(site, &format!("exec {} \"$@\"", program.display()));
        restart_with(site, &["--program", &wrapped]).ok();
        assert_eq!(pool.check(0).count.get(), 1);
    });
}

/// Tasks that do not end are named, and the runtime goes on.
#[test]
fn a_task_that_does_not_end_is_named() {
    with_restarts!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let slow = pool.submit_slow(site, 3000);
        let said = no_restart(site, &["--timeout", "1"]);
        assert!(said.contains("pool 'life'") && said.contains("kSlow"), "{said}");
        assert_eq!(slow.wait().unwrap().result.get(), 1);
        restart(site);
        assert_eq!(pool.check(0).count.get(), 1);
    });
}

/// A pool whose module does not save its state is named; it can be made anew.
#[test]
fn pools_without_state_are_made_anew_if_asked() {
    with_restarts!(options().mod_name(), |site| {
        let pool = LifePool::new(connect(), "");
        pool.add("key", 1);
        site.cli(&["pool", "create", "plain", "--module", "example:mod_name"]).ok();
        let id = pool.ipc.find_pool("plain").unwrap();
        let said = no_restart(site, &[]);
        assert!(said.contains("pool 'plain': the module example:mod_name does not save"), "{said}");
        assert!(said.contains("--recover"), "{said}");
        restart_with(site, &["--recover"]).ok();
        assert_eq!(pool.ipc.find_pool("plain").unwrap(), id);
        assert_eq!(pool.check(0).count.get(), 1);
    });
}

/// The service manager is told of the new main process.
#[test]
fn the_service_manager_is_told() {
    let daemon = {
        let site = Site::new();
        let socket = UnixDatagram::bind(site.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut command = options().command(&site);
        command.env("NOTIFY_SOCKET", site.path().join("notify"));
        let mut daemon = Daemon::run(site, command);
        let site = daemon.site().clone();
        let _stops = Stops(&site);
        let done = restart(&site);
        let mut told = String::new();
        while !told.contains("MAINPID=") {
            let mut bytes = [0; 100];
            let length = socket.recv(&mut bytes).unwrap();
            told += std::str::from_utf8(&bytes[..length]).unwrap();
        }
        assert!(told.contains(&format!("MAINPID={}\n", done["pid"])), "{told}");
        assert_eq!(daemon.end(), 0);
        daemon
    };
    assert!(daemon.log().contains("the new process serves"), "{}", daemon.log());
}

/// A module that was upgraded keeps its version.
#[test]
fn an_upgraded_module_keeps_its_version() {
    with_restarts!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        pool.add("key", 1);
        let file = artefacts::test_module("life_2");
        site.cli(&["module", "upgrade", life::MODULE, file.to_str().unwrap()]).ok();
        restart(site);
        let after = pool.check(0);
        assert_eq!((after.version.get(), after.count.get()), (2, 1));
    });
}

/// Of several restarts at the same time, one takes place; what would change pools meanwhile is refused,
/// and tells so.
#[test]
fn one_restart_at_a_time() {
    with_restarts!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let slow = pool.submit_slow(site, 1500);
        std::thread::scope(|scope| {
            let first = scope.spawn(|| restart_with(site, &[]));
            process::until("the first has begun", || {
                let pool = site.pool("life");
                (pool["state"] == "draining").then_some(())
            });
            for command in
                [&["restart"][..], &["pool", "migrate", "life"], &["pool", "destroy", "life"]]
            {
                let output = site.cli(command);
                assert_eq!(output.code, 1, "{output:?}");
                assert!(
                    output.stderr.contains("the runtime is restarting: try again"),
                    "{output:?}"
                );
            }
            first.join().unwrap().ok();
        });
        assert_eq!(slow.wait().unwrap().result.get(), 1);
        assert_eq!(pool.check(0).count.get(), 1);
    });
}

/// A runtime that is told to stop while it restarts stops, whichever process serves.
#[test]
fn a_restart_may_be_stopped() {
    let (mut given_up, mut restarted) = (0, 0);
    for round in 0..rounds(6, 100) {
        let mut daemon = Daemon::start(&options());
        let site = daemon.site().clone();
        site.cli(&["pool", "create", "life", "--module", life::MODULE]).ok();
        let restarting = std::thread::spawn({
            let site = site.clone();
            move || restart_with(&site, &[])
        });
        std::thread::sleep(Duration::from_millis(12 * round as u64 % 100));
        daemon.signal(Signal::TERM);
        match restarting.join().unwrap().code {
            0 => restarted += 1,
            _ => given_up += 1,
        }
        assert_eq!(daemon.end(), 0, "{}", daemon.log());
        // It was told before the other process served, or was no longer there.
        if site.cli(&["status"]).code == 0 {
            site.cli(&["stop"]).ok();
        }
    }
    println!("{given_up} restarts were given up, {restarted} took place");
}

/// Many clients, of which some end meanwhile, and some begin.
#[test]
fn many_clients_go_on() {
    with_restarts!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        let client = || Running::start(site.command(artefacts::rust_client()).arg("hold"));
        let mut clients: Vec<Running> = (0..40).map(|_| client()).collect();
        clients.iter_mut().for_each(|client| assert!(client.line().is_some()));
        for round in 0..3 {
            let done = std::thread::scope(|scope| {
                let restarts = scope.spawn(|| restart(site));
                for client in clients.drain(..10) {
                    client.signal(Signal::KILL);
                }
                restarts.join().unwrap()
            });
            assert!(done["sessions"].as_u64().unwrap() >= 31 - 10 * round, "{done}");
            assert_eq!(pool.add("key", 1), round + 1);
        }
        process::until("the sessions of the dead have ended", || {
            let sessions = site.cli(&["sessions", "--json"]).ok().json();
            (sessions.as_array().unwrap().len() == 11).then_some(())
        });
    });
}

/// The processes may be killed at any time: then there is one runtime with everything, or none.
#[test]
fn killed_processes_leave_one_runtime_or_none() {
    use chimaera_tests::raw::{seed, Random};
    let mut random = Random::new(seed());
    let (mut old, mut new, mut none) = (0, 0, 0);
    for _ in 0..rounds(10, 300) {
        let site = Site::new();
        let mut daemon = Daemon::start_at(site.clone(), &options());
        site.cli(&["pool", "create", "life", "--module", life::MODULE]).ok();
        let first = daemon.pid();
        let restarting = std::thread::spawn({
            let site = site.clone();
            move || restart_with(&site, &["--timeout", "5"])
        });
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        let kills_old = random.below(2) == 0;
        let child = || children(first).into_iter().next();
        match kills_old {
            true => kill(first),
            false => child().into_iter().for_each(kill),
        }
        tally("kills", 1);
        let output = restarting.join().unwrap();
        // Whatever has happened, it is decided within a bound, and what serves is whole.
        let serving = process::until("it is decided", || {
            let status = site.cli(&["status", "--json"]);
            match status.code {
                0 => Some(status.json()["pid"].as_u64()),
                3 if status.stdout.contains("starting") => None,
                3 => Some(None),
                _ => panic!("{status:?}"),
            }
        });
        match serving {
            Some(pid) => {
                let pool = site.pool("life");
                assert_eq!(pool["state"], "live", "{pool} {output:?}");
                match pid == u64::from(first) {
                    true => old += 1,
                    false => new += 1,
                }
                site.cli(&["stop"]).ok();
            }
            None => none += 1,
        }
        daemon.end();
    }
    println!("the old process served {old} times, the new one {new}, none {none}");
}

fn kill(pid: u32) {
    // It fails if the process has just ended.
    let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL);
}

/// The child processes of a process.
fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
    let lists = tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()
        })
        .collect()
}
