//! A container that is made anew without its state is shown as recovering until it takes tasks.

use std::path::PathBuf;

use chimaera::abi::{CHI_FAULT, CHI_REASON_CRASHED};
use chimaera::{DomainQuery, NewTask, PoolId, PoolOptions};
use chimaera_test_life_client::{self as life, CheckTask, Fail, KeyTask, ValueTask};
use chimaera_tests::{artefacts, connect, in_client, process, text_of, LifePool, Options, Site};
use rustix::process::{kill_process, Pid, Signal};

/// Tests of the module in either language, the second of which takes the `restarts` of module hosts.
macro_rules! in_both_languages {
    ($($module:ident, $file:expr;)*) => {$(
        mod $module {
            use super::*;
            #[test]
            fn a_container_that_is_reset() {
                in_client!(Options::new().file($file), |site| reset_one(site));
            }
            /// However often a module host may be started again.
            #[test]
            fn a_pool_whose_module_host_is_lost() {
                in_client!(isolated($file, 1), |site| lose_host(site, 1));
            }
            #[test]
            fn a_pool_whose_module_host_stays_away() {
                in_client!(isolated($file, 0), |site| lose_host(site, 0));
            }
        }
    )*};
}

in_both_languages! {
    cpp, artefacts::test_module("life");
    rust, artefacts::rust_life(1);
}

fn isolated(file: PathBuf, restarts: u32) -> Options {
    let modules = format!("modules: [\"{}\"], restarts: {restarts}", life::MODULE);
    Options::new().file(file).config(format!("workers: 2\nmodule_hosts: {{{modules}}}\n"))
}

fn fail(pool: PoolId, container: u32, fail: Fail) {
    let query = DomainQuery::local_id(container);
    let task: NewTask<ValueTask> = connect().new_task(pool, query, life::FAIL).unwrap();
    task.value.set(fail as u64);
    task.call().unwrap();
}

fn check(pool: PoolId, container: u32) -> chimaera::Done<CheckTask> {
    LifePool { ipc: connect(), id: pool }.check(container)
}

fn until_it_is(site: &Site, state: &str) {
    process::until(state, || (site.pool("life")["state"] == state).then_some(()));
}

/// Resets the pool, and looks at it meanwhile.
fn reset(site: &Site) {
    std::thread::scope(|scope| {
        let reset = scope.spawn(|| site.cli(&["pool", "reset", "life"]).ok());
        until_it_is(site, "recovering");
        for command in [&["pool", "show", "life"][..], &["pool", "list"]] {
            let shown = site.cli(command).ok().stdout;
            assert!(shown.contains(" recovering"), "{shown}");
        }
        reset.join().unwrap();
    });
    until_it_is(site, "live");
}

fn reset_one(site: &Site) {
    let two = PoolOptions::default().containers(2);
    let ipc = connect();
    let pool = ipc.create_pool_with(life::MODULE, "life", b"fail=slow_recover", two).unwrap();
    // The first saves its state, and does not take it back when the second fails.
    fail(pool, 0, Fail::Resume);
    fail(pool, 1, Fail::Save);
    assert_eq!(site.cli(&["pool", "migrate", "life"]).code, 1);
    until_it_is(site, "quarantined");
    let object = check(pool, 1).object.get();
    std::thread::scope(|scope| {
        scope.spawn(|| reset(site));
        until_it_is(site, "recovering");
        let query = DomainQuery::local_id(0);
        let task: NewTask<KeyTask> = ipc.new_task(pool, query, life::ADD).unwrap();
        let (status, why) = text_of(task.call());
        assert!(status == CHI_FAULT && why.contains("is in quarantine: "), "{why}");
    });
    let checked = check(pool, 0);
    assert_eq!((checked.recovered.get(), checked.reason.get()), (1, CHI_REASON_CRASHED));
    assert_eq!(check(pool, 1).object.get(), object);
}

fn lose_host(site: &Site, restarts: u32) {
    let pool = LifePool::new(connect(), "fail=slow_recover").id;
    let kill = || {
        let host = site.pool("life")["host"]["pid"].as_i64().expect("it runs");
        kill_process(Pid::from_raw(host as i32).unwrap(), Signal::KILL).unwrap();
    };
    for _ in 0..restarts {
        kill();
        until_it_is(site, "recovering");
        assert_eq!(site.pool("life")["host"]["state"], "recovering");
        let status = site.cli(&["status"]).ok().stdout;
        assert!(status.contains("life: no process, recovering for "), "{status}");
        // Tasks wait for it.
        assert_eq!(check(pool, 0).recovered.get(), 1);
        assert_eq!(site.pool("life")["state"], "live");
    }
    kill();
    until_it_is(site, "quarantined");
    reset(site);
    let checked = check(pool, 0);
    assert_eq!((checked.recovered.get(), checked.reason.get()), (1, CHI_REASON_CRASHED));
}
