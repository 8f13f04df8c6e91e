//! The life of containers in module hosts: their states go from one process to the next, and whatever fails
//! on the way, the old one serves on, or another one recovers the containers.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chimaera::abi::{CHI_FAULT, CHI_REASON_CRASHED, CHI_REASON_RESTARTED, CHI_VERSION};
use chimaera::{DomainQuery, NewTask, PoolOptions};
use chimaera_test_depends_client::{self as depends, ResultTask};
use chimaera_test_life_client::{self as life, Fail, KeyTask};
use chimaera_test_model_client as model;
use chimaera_tests::{
    artefacts, connect, in_client, in_client_that_may_end_it, process, text_of, Call, LifePool,
    Options, Output, Site, ValuePool,
};
use rustix::process::{kill_process, Pid, Signal};

fn isolated(options: Options, more: &str) -> Options {
    options.config(format!("workers: 2\nmodule_hosts:\n  modules: [\"test:life\"]\n{more}"))
}

/// The module in C++.
fn options() -> Options {
    isolated(Options::new().file(artefacts::test_module("life")), "  restarts: 100\n")
}

/// The same module in Rust.
fn rust_options() -> Options {
    isolated(Options::new().file(artefacts::rust_life(1)), "  restarts: 100\n")
}

/// Tests of the module in either language.
macro_rules! in_both_languages {
    ($($(#[$doc:meta])* fn $name:ident($site:ident) $body:block)*) => {
        mod cpp {
            use super::*;
            $($(#[$doc])* #[test] fn $name() { in_client!(options(), |$site| $body); })*
        }
        mod rust {
            use super::*;
            $($(#[$doc])* #[test] fn $name() { in_client!(rust_options(), |$site| $body); })*
        }
    };
}

/// The process that runs the pool.
fn host_of(site: &Site) -> i32 {
    let host = || site.pool("life")["host"]["pid"].as_u64();
    i32::try_from(process::until("a host runs", host)).unwrap()
}

fn runs(pid: i32) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

fn signal(pid: i32, signal: Signal) {
    // It may have ended.
    let _ = kill_process(Pid::from_raw(pid).unwrap(), signal);
}

fn migrate(site: &Site) -> Output {
    site.cli(&["pool", "migrate", "life", "--timeout", "2"])
}

fn upgrade(site: &Site, file: &Path) -> Output {
    let file = file.to_str().unwrap();
    site.cli(&["module", "upgrade", life::MODULE, file, "--timeout", "5"])
}

in_both_languages! {
    /// The containers of a host share a process, and go to another one together, with their states.
    fn all_containers_go_to_another_process(site) {
        let ipc = connect();
        let three = PoolOptions::default().containers(3);
        let pool = LifePool { ipc, id: ipc.create_pool_with(life::MODULE, "life", b"", three).unwrap() };
        (0..300).for_each(|i| {
            pool.add(&format!("key {i}"), 1);
        });
        let before: Vec<_> = (0..3).map(|number| pool.check(number)).collect();
        assert_eq!(before.iter().map(|one| one.count.get()).sum::<u64>(), 300);
        let old = host_of(site);
        let migrated = ["pool", "migrate", "life", "--container", "1", "--json"];
        assert_eq!(site.cli(&migrated).ok().json()["containers"], 3);
        let new = host_of(site);
        assert_ne!(new, old);
        for (number, before) in (0..).zip(&before) {
            let after = pool.check(number);
            assert_ne!(after.object.get(), before.object.get());
            assert_eq!(
                (after.count.get(), after.n_entries.get(), after.migrated.get()),
                (before.count.get(), before.n_entries.get(), 1)
            );
            assert_eq!(after.recovered.get(), 0);
        }
        process::until("the old process has ended", || (!runs(old)).then_some(()));
        assert_eq!(site.pool("life")["host"]["restarts"], 0);
    }

    /// Whatever fails, the old process goes on, with what its containers gave up.
    fn a_failure_leaves_the_old_process(site) {
        let ipc = connect();
        for (fail, text) in [
            ("load", "cannot load the state"),
            ("migrate", "kMigrate"),
            ("save", "cannot save its state"),
            ("hang_load", "has not ended"),
            ("crash_load", "ended: SIG"),
        ] {
            let pool = LifePool::new(ipc, &format!("fail={fail}"));
            pool.add("key", 5);
            let (before, host) = (pool.check(0), host_of(site));
            let failed = migrate(site);
            assert_eq!(failed.code, 1, "{fail}: {failed:?}");
            assert!(failed.stderr.contains(text), "{fail}: {failed:?}");
            let after = pool.check(0);
            assert_eq!(after.object.get(), before.object.get(), "{fail}");
            assert_eq!((after.resumed.get(), after.recovered.get()), (1, 0), "{fail}");
            assert_eq!(pool.add("key", 1), 6, "{fail}");
            assert_eq!(host_of(site), host, "{fail}");
            site.cli(&["pool", "destroy", "life"]).ok();
        }
    }

    /// A process whose containers cannot take back what they gave up is ended, and they are recovered.
    fn containers_that_cannot_resume_are_recovered(site) {
        const HANG_RESUME: u64 = 9;
        let ipc = connect();
        for (fail, why) in [(Fail::Resume as u64, "could not resume"), (HANG_RESUME, "did not go on")] {
            let pool = LifePool::new(ipc, "fail=load");
            if fail == HANG_RESUME && pool.check(0).language.get() == chimaera::abi::CHI_LANG_RUST {
                return;
            }
            pool.fail(fail);
            let host = host_of(site);
            assert_eq!(migrate(site).code, 1);
            pool.add("key", 1);
            let after = pool.check(0);
            assert_eq!((after.recovered.get(), after.reason.get()), (1, CHI_REASON_CRASHED));
            let text = after.message_text.to_string().unwrap();
            assert!(text.contains(why), "{text}");
            assert_ne!(host_of(site), host);
            site.cli(&["pool", "destroy", "life"]).ok();
        }
    }

    /// A process that does not answer is given up at the bound, and another one recovers the containers.
    fn a_process_that_does_not_answer_is_replaced(site) {
        let pool = LifePool::new(connect(), "");
        pool.add("key", 1);
        let host = host_of(site);
        signal(host, Signal::STOP);
        let at = Instant::now();
        let failed = migrate(site);
        assert_eq!(failed.code, 1, "{failed:?}");
        assert!(failed.stderr.contains("has not ended after 2.0"), "{failed:?}");
        assert!(at.elapsed() < Duration::from_secs(20), "{:?}", at.elapsed());
        assert_eq!(pool.add("key", 1), 1);
        assert_eq!(pool.check(0).recovered.get(), 1);
        assert!(!runs(host) && host_of(site) != host);
        migrate(site).ok();
        assert_eq!(pool.check(0).migrated.get(), 1);
    }

    /// The process may be killed at any moment of a change: the pool serves on, with its state or recovered,
    /// and no task is left without an end.
    fn a_process_that_is_killed_at_any_moment_leaves_a_pool_that_serves(site) {
        let pool = LifePool::new(connect(), "");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let mut ended = 0;
                while !over.load(Ordering::Relaxed) {
                    let task: NewTask<KeyTask> = pool.ipc.task(pool.id, life::ADD);
                    task.key.set("key").unwrap();
                    task.value.set(1);
                    if let Err(status) = task.call() {
                        assert_eq!(status.code(), CHI_FAULT, "{status}");
                    }
                    ended += 1;
                }
                ended
            });
            for round in 0..15_u64 {
                let host = host_of(site);
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(round * 8));
                    signal(host, Signal::KILL);
                });
                let output = migrate(site);
                assert!(output.code == 0 || !output.stderr.is_empty(), "{output:?}");
            }
            over.store(true, Ordering::Relaxed);
            assert!(load.join().unwrap() > 0);
        });
        pool.add("key", 1);
        process::until("its state is live", || (site.pool("life")["state"] == "live").then_some(()));
        migrate(site).ok();
        pool.add("key", 1);
    }

    /// A version that cannot be created, or is of another module, leaves the old one.
    fn a_version_that_fails_leaves_the_old_one(site) {
        let pool = LifePool::new(connect(), "fail=create");
        pool.add("key", 5);
        let before = pool.check(0);
        for (file, text) in [
            (artefacts::test_module("life_2"), "kCreate"),
            (artefacts::test_module("model"), "is the module"),
        ] {
            let failed = upgrade(site, &file);
            assert_eq!(failed.code, 1, "{failed:?}");
            assert!(failed.stderr.contains(text), "{failed:?}");
            let after = pool.check(0);
            assert_eq!((after.version.get(), after.object.get()), (1, before.object.get()));
        }
    }
}

/// From C++ to Rust and back, and a host that is lost afterwards has the version that the pool has.
#[test]
fn a_version_may_be_in_another_language() {
    in_client!(options(), |site| {
        let pool = LifePool::new(connect(), "");
        (0..1000).for_each(|i| {
            pool.add(&format!("key {}", i % 100), i);
        });
        let before = pool.check(0);
        for (file, version) in [
            (artefacts::rust_life(2), 2),
            (artefacts::test_module("life_2"), 2),
            (artefacts::rust_life(1), 1),
        ] {
            upgrade(site, &file).ok();
            let after = pool.check(0);
            assert_eq!((after.version.get(), after.count.get()), (version, before.count.get()));
            assert_eq!(after.n_entries.get(), before.n_entries.get());
            let modules = site.cli(&["modules", "--json"]).ok().json();
            let own = &modules["loaded"][0]["pools"][0];
            assert_eq!((&own["current"], &own["isolation"]), (&true.into(), &"process".into()));
        }
        upgrade(site, &artefacts::rust_life(2)).ok();
        signal(host_of(site), Signal::KILL);
        process::until("it is recovered", || {
            (site.pool("life")["host"]["restarts"] == 1).then_some(())
        });
        let after = pool.check(0);
        assert_eq!((after.version.get(), after.recovered.get()), (2, 1));
    });
}

/// Neither bounds the time nor the memory that the states take.
#[test]
fn the_limits_of_a_host_are_not_for_its_states() {
    let limits = "  kill_after: 4s\n  memory_limit: 130MiB\n";
    let options = Options::new().file(artefacts::rust_life(1));
    in_client!(isolated(options, limits), |site| {
        let pool = LifePool::new(connect(), "");
        pool.grow(60 << 20);
        let before = pool.check(0);
        site.cli(&["pool", "migrate", "life", "--timeout", "60"]).ok();
        let after = pool.check(0);
        assert_eq!(
            (after.blob_size.get(), after.blob_hash.get(), after.migrated.get()),
            (before.blob_size.get(), before.blob_hash.get(), 1)
        );
    });
}

/// Stops the last of the runtimes.
struct Stops<'s>(&'s Site);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.cli(&["stop", "--force"]);
    }
}

/// Over restarts, the states go to hosts of the new process.
macro_rules! outlive_a_restart {
    ($options:expr) => {
        let daemon = in_client_that_may_end_it!($options, |site| {
            let _stops = Stops(site);
            let pool = LifePool::new(connect(), "");
            (0..100).for_each(|i| {
                pool.add(&format!("key {i}"), i);
            });
            let before = pool.check(0);
            let mut host = host_of(site);
            for _ in 0..3 {
                let restarted = site.cli(&["restart", "--json"]).ok().json();
                assert!(restarted["state_bytes"].as_u64().unwrap() > 100, "{restarted}");
                let after = pool.check(0);
                assert_eq!(after.count.get(), before.count.get());
                assert_eq!(after.n_entries.get(), before.n_entries.get());
                assert_eq!((after.migrated.get(), after.reason.get()), (1, CHI_REASON_RESTARTED));
                let new = host_of(site);
                assert!(new != host && !runs(host));
                host = new;
            }
            let old = host;
            // One that cannot be saved: the old runtime goes on, with the old host.
            pool.fail(Fail::Save as u64);
            let failed = site.cli(&["restart", "--timeout", "10"]);
            assert_eq!(failed.code, 1, "{failed:?}");
            assert!(failed.stderr.contains("cannot save its state"), "{failed:?}");
            assert_eq!(host_of(site), old);
            assert_eq!(pool.check(0).count.get(), before.count.get());
        });
        if let Some(mut daemon) = daemon {
            daemon.end();
            assert!(!daemon.log().contains("ended badly"), "{}", daemon.log());
        }
    };
}

#[test]
fn pools_in_cpp_outlive_a_restart() {
    outlive_a_restart!(options());
}

#[test]
fn pools_in_rust_outlive_a_restart() {
    outlive_a_restart!(rust_options());
}

/// A pool whose module does not save its state is made anew by a restart that is told so, in a host of the new
/// process.
#[test]
fn a_module_without_state_begins_anew_in_a_new_host() {
    let options =
        Options::new().model().config("workers: 2\nmodule_hosts: {modules: [\"test:model\"]}\n");
    let daemon = in_client_that_may_end_it!(options, |site| {
        let _stops = Stops(site);
        let pool = ValuePool::new(connect(), model::MODULE, "life");
        assert_eq!(pool.call(model::TICK, 0, 0), 1);
        let host = host_of(site);
        let failed = site.cli(&["restart"]);
        assert!(failed.stderr.contains("does not save its state"), "{failed:?}");
        assert_eq!((pool.call(model::TICK, 0, 0), host_of(site)), (2, host));
        site.cli(&["restart", "--recover"]).ok();
        assert_eq!(connect().find_pool("life").unwrap(), pool.id);
        assert_eq!(pool.call(model::TICK, 0, 0), 1);
        assert!(host_of(site) != host && !runs(host));
    });
    if let Some(mut daemon) = daemon {
        daemon.end();
    }
}

/// What cannot be migrated says why, in whichever process it runs.
#[test]
fn a_module_without_state_is_not_migrated() {
    let options =
        Options::new().model().config("workers: 2\nmodule_hosts: {modules: [\"test:model\"]}\n");
    in_client!(options, |site| {
        connect().create_pool(model::MODULE, "life", b"").unwrap();
        let failed = migrate(site);
        assert!(failed.stderr.contains("does not save its state"), "{failed:?}");
    });
}

/// Sends from a module host a task of another pool, whose module is upgraded: by a client for the old version
/// until then, and by one for the new version from then on. The other one learns what is wrong.
fn send_over_an_upgrade(site: &Site, second: &Path) {
    let ipc = connect();
    let pool = LifePool::new(ipc, "");
    let create = ["pool", "create", "sender", "--module", depends::RUST, "--isolation", "process"];
    site.cli(&create).ok();
    let sender = ipc.find_pool("sender").unwrap();
    let send = |method: u32| -> chimaera::Result<u64> {
        let task: NewTask<ResultTask> =
            ipc.new_task(sender, DomainQuery::dynamic(), method).unwrap();
        task.call().map(|task| task.result.get())
    };
    let refused = |method: u32| {
        let (status, why) = text_of(send(method));
        assert_eq!(status, CHI_VERSION, "{why}");
        assert!(why.contains("another description of test:life kChanged"), "{why}");
    };
    assert_eq!(send(depends::SEND_OLD).unwrap(), 7);
    refused(depends::SEND_NEW);
    site.cli(&["module", "upgrade", life::MODULE, second.to_str().unwrap()]).ok();
    // The host is told, at once.
    let sent = process::until("the host knows", || send(depends::SEND_NEW).ok());
    assert_eq!(sent, 21);
    refused(depends::SEND_OLD);
    assert_eq!(pool.add("key", 1), 1);
    // A host that is started now has the new version from the start.
    let host = site.pool("sender")["host"]["pid"].as_u64().unwrap() as i32;
    signal(host, Signal::KILL);
    process::until("another one runs", || {
        (site.pool("sender")["host"]["restarts"] == 1).then_some(())
    });
    assert_eq!(process::until("it knows", || send(depends::SEND_NEW).ok()), 21);
    refused(depends::SEND_OLD);
}

#[test]
fn hosts_learn_of_versions_of_other_pools_in_cpp() {
    let options = Options::new().file(artefacts::test_module("life"));
    in_client!(options.file(artefacts::rust_depends()), |site| {
        send_over_an_upgrade(site, &artefacts::test_module("life_2"));
    });
}

#[test]
fn hosts_learn_of_versions_of_other_pools_in_rust() {
    let options = Options::new().file(artefacts::rust_life(1));
    in_client!(options.file(artefacts::rust_depends()), |site| {
        send_over_an_upgrade(site, &artefacts::rust_life(2));
    });
}
