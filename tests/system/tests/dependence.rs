//! Pools that depend on others: circles are refused, and who depends on a lost pool is told.

use std::time::{Duration, Instant};

use chimaera::abi::{CHI_FAULT, CHI_INVALID, CHI_NO_POOL, CHI_REASON_LOST, CHI_REASON_RECOVERED};
use chimaera::{DomainQuery, Ipc, NewTask, Pending, PoolId};
use chimaera_test_depends_client::{self as depends, CheckTask, PlainTask};
use chimaera_tests::{
    artefacts, connect, in_client, in_client_that_may_end_it, process, text_of, Call, Options, Site,
};
use serde_json::json;

/// Both modules.
fn options() -> Options {
    Options::new().file(artefacts::test_module("depends")).file(artefacts::rust_depends())
}

/// Tests of the module in either language.
macro_rules! in_both_languages {
    ($($(#[$doc:meta])* fn $name:ident($module:ident, $site:ident) $body:block)*) => {
        mod cpp {
            use super::*;
            $($(#[$doc])* #[test] fn $name() {
                in_client!(options(), |$site| { let $module = depends::CPP; $body });
            })*
        }
        mod rust {
            use super::*;
            $($(#[$doc])* #[test] fn $name() {
                in_client!(options(), |$site| { let $module = depends::RUST; $body });
            })*
        }
    };
}

/// What `kNodeFailure` of a container was told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    times: u32,
    reason: u32,
    lost: [u32; 2],
    node: u64,
    containers: String,
    name: String,
    message: String,
}

fn told_in(ipc: Ipc, pool: PoolId, container: u32) -> Told {
    let query = DomainQuery::local_id(container);
    let task: NewTask<CheckTask> = ipc.new_task(pool, query, depends::CHECK).unwrap();
    let task = task.call().unwrap();
    Told {
        times: task.told.get(),
        reason: task.reason.get(),
        lost: task.lost.get(),
        node: task.node.get(),
        containers: task.containers.to_string().unwrap(),
        name: task.name.to_string().unwrap(),
        message: task.message_text.to_string().unwrap(),
    }
}

fn told(ipc: Ipc, pool: PoolId) -> Told {
    told_in(ipc, pool, 0)
}

/// Waits until a container has been told so often.
fn until_told(ipc: Ipc, pool: PoolId, times: u32) -> Told {
    process::until("it is told", || Some(told(ipc, pool)).filter(|told| told.times >= times))
}

fn crash(ipc: Ipc, pool: PoolId) {
    let query = DomainQuery::local_id(0);
    let task: NewTask<PlainTask> = ipc.new_task(pool, query, depends::CRASH).unwrap();
    assert_eq!(text_of(task.call()).0, CHI_FAULT);
}

/// A task that runs for two seconds, and has begun: it has to end before its container is replaced.
fn submit_slow(ipc: Ipc, site: &Site, pool: PoolId, name: &str) -> Pending<PlainTask> {
    let slow: NewTask<PlainTask> = ipc.task(pool, depends::SLEEP);
    let slow = slow.submit().unwrap();
    process::until("it has begun", || (site.pool(name)["tasks"] == 1).then_some(()));
    slow
}

fn create(ipc: Ipc, module: &str, name: &str, params: &str) -> PoolId {
    ipc.create_pool(module, name, params.as_bytes()).unwrap()
}

in_both_languages! {
    /// A pool depends on those that its parameters name and those that it opens while it is created, and the
    /// program shows it.
    fn a_pool_depends_on_what_it_names_and_what_it_opens(module, site) {
        let ipc = connect();
        for name in ["named", "opened"] {
            create(ipc, depends::CPP, name, "");
        }
        create(ipc, module, "top", "on=named,opens=opened,creates=made,with=\"on=named\"");
        assert_eq!(site.pool("top")["depends_on"], json!(["made", "named", "opened"]));
        assert_eq!(site.pool("top")["dependants"], json!([]));
        assert_eq!(site.pool("named")["dependants"], json!(["made", "top"]));
        assert_eq!(site.pool("opened")["dependants"], json!(["top"]));
        let text = site.cli(&["pool", "show", "named"]).ok().stdout;
        assert!(text.ends_with("needed by: made, top\n"), "{text}");
        // A client that finds a pool depends on nothing, and neither does a method.
        ipc.find_pool("top").unwrap();
        assert_eq!(site.pool("top")["dependants"], json!([]));
        // What was opened is known by its id: a later pool with the name is another one. A parameter
        // names whichever there is.
        for name in ["opened", "named"] {
            ipc.destroy_pool(ipc.find_pool(name).unwrap()).unwrap();
            create(ipc, depends::RUST, name, "");
        }
        assert_eq!(site.pool("top")["depends_on"], json!(["made", "named"]));
        assert_eq!(site.pool("named")["dependants"], json!(["made", "top"]));
    }

    /// Circles are refused at once, and the message names the pools.
    fn a_circle_is_refused(module, site) {
        let ipc = connect();
        let refused = |name: &str, params: &str| {
            let before = Instant::now();
            let (status, message) = text_of(ipc.create_pool(module, name, params.as_bytes()));
            assert_eq!(status, CHI_INVALID, "{message}");
            assert!(before.elapsed() < Duration::from_secs(20), "it did not wait for itself");
            assert_eq!(text_of(ipc.find_pool(name)).0, CHI_NO_POOL);
            message
        };
        let why = "pool 'a' would depend on itself: 'a' on 'a'";
        assert_eq!(refused("a", "on=a"), why);
        assert!(refused("a", "opens=a").contains(why));

        // By name, also of a pool that is not there yet.
        create(ipc, module, "one", "on=three");
        create(ipc, depends::CPP, "two", "opens=one");
        let why = "pool 'three' would depend on itself: 'three' on 'two', 'two' on 'one', 'one' on 'three'";
        assert_eq!(refused("three", "on=two"), why);
        assert!(refused("three", "opens=two").contains(why));
        create(ipc, module, "three", "");

        // A pool that is being created, and one that it creates.
        let why = "pool 'inner' would depend on itself: 'inner' on 'outer', 'outer' on 'inner'";
        assert!(refused("outer", "creates=inner,with=\"on=outer\"").contains(why));
        assert!(refused("outer", "creates=inner,with=\"opens=outer\"").contains(why));
        assert_eq!(text_of(ipc.find_pool("inner")).0, CHI_NO_POOL);
        assert_eq!(site.pool("one")["depends_on"], json!(["three"]));
        // What is refused leaves nothing behind.
        create(ipc, module, "outer", "creates=inner");
        create(ipc, module, "a", "");
    }

    /// Who depends on a pool is told when it is in quarantine, and when it is over; nobody else is.
    fn dependants_are_told(module, site) {
        let ipc = connect();
        let disk = create(ipc, depends::RUST, "disk", "");
        site.cli(&["pool", "create", "top", "--module", module, "--params", "on=disk", "--containers", "3"]).ok();
        let top = ipc.find_pool("top").unwrap();
        let opener = create(ipc, module, "opener", "opens=disk");
        let above = create(ipc, module, "above", "on=top");
        let aside = create(ipc, module, "aside", "");
        crash(ipc, disk);
        let first = until_told(ipc, top, 1);
        assert_eq!((first.times, first.reason, first.node), (1, CHI_REASON_LOST, 0));
        assert_eq!((first.lost, &*first.name), ([disk.major(), disk.minor()], "disk"));
        assert!(first.message.starts_with("pool 'disk' is in quarantine: kCrash crashed: "), "{first:?}");
        until_told(ipc, opener, 1);
        for container in 1..3 {
            process::until("each is told", || (told_in(ipc, top, container).times == 1).then_some(()));
        }
        // Another crash of the same object is no other loss, and cannot be.
        let task: NewTask<PlainTask> = ipc.task(disk, depends::CRASH);
        assert_eq!(text_of(task.call()).0, CHI_FAULT);

        site.cli(&["pool", "reset", "disk"]).ok();
        let second = until_told(ipc, top, 2);
        assert_eq!((second.times, second.reason), (2, CHI_REASON_RECOVERED));
        assert_eq!(second.message, "pool 'disk' was reset");
        until_told(ipc, opener, 2);
        // A chain: each learns of what it depends on itself.
        assert_eq!(told(ipc, above).times, 0);
        crash(ipc, top);
        let (reason, name) = { let told = until_told(ipc, above, 1); (told.reason, told.name) };
        assert_eq!((reason, &*name), (CHI_REASON_LOST, "top"));
        assert_eq!(told(ipc, aside).times, 0);
        // The other containers of the pool that is lost in part are told as before.
        crash(ipc, disk);
        process::until("the rest is told", || (told_in(ipc, top, 1).times == 3).then_some(()));
    }

    /// What goes wrong in `kNodeFailure` concerns that container alone.
    fn a_failing_dependant_is_alone(module, site) {
        let ipc = connect();
        let disk = create(ipc, depends::CPP, "disk", "");
        let [throws, crashes, hangs, sound] = ["throw", "crash", "hang", "return"]
            .map(|then| create(ipc, module, then, &format!("on=disk,then={then}")));
        let above = create(ipc, module, "above", "on=crash");
        crash(ipc, disk);
        until_told(ipc, sound, 1);
        until_told(ipc, throws, 1);
        process::until("it is in quarantine", || {
            (site.pool("crash")["state"] == "quarantined").then_some(())
        });
        let why = until_told(ipc, above, 1).message;
        assert!(why.contains("pool 'crash' is in quarantine: kNodeFailure crashed"), "{why}");
        let task: NewTask<CheckTask> = ipc.task(crashes, depends::CHECK);
        assert_eq!(text_of(task.call()).0, CHI_FAULT);
        // One that hangs is in nobody's way, not even in that of its own pool.
        until_told(ipc, hangs, 1);
        assert_eq!(site.pool("hang")["tasks"], 1);
        site.cli(&["pool", "reset", "disk"]).ok();
        assert_eq!(until_told(ipc, sound, 2).reason, CHI_REASON_RECOVERED);
        until_told(ipc, hangs, 2);
        let before = Instant::now();
        ipc.destroy_pool(hangs).unwrap();
        assert!(before.elapsed() < Duration::from_secs(25), "it was not cancelled");
    }

    /// A container that is being replaced is told when that is over: the successor, if there is one.
    fn a_successor_is_told(module, site) {
        let ipc = connect();
        let disk = create(ipc, depends::CPP, "disk", "");
        let top = create(ipc, module, "top", "on=disk");
        let slow = submit_slow(ipc, site, top, "top");
        std::thread::scope(|scope| {
            let change = scope.spawn(|| site.cli(&["pool", "migrate", "top"]).ok());
            process::until("its tasks are held", || {
                (site.pool("top")["state"] == "draining").then_some(())
            });
            crash(ipc, disk);
            change.join().unwrap();
        });
        drop(slow.wait().unwrap());
        // The count goes over with the state.
        assert_eq!(until_told(ipc, top, 1).reason, CHI_REASON_LOST);
        assert_eq!(site.pool("top")["depends_on"], json!(["disk"]));
        site.cli(&["pool", "reset", "disk"]).ok();
        let last = until_told(ipc, top, 2);
        assert_eq!((last.times, last.reason), (2, CHI_REASON_RECOVERED));
    }

    /// Also what happens while nothing can be told is told in its order.
    fn a_successor_is_told_last_what_happened_last(module, site) {
        let ipc = connect();
        let disk = create(ipc, depends::CPP, "disk", "");
        let top = create(ipc, module, "top", "on=disk");
        let slow = submit_slow(ipc, site, top, "top");
        const TIMES: u32 = 5;
        std::thread::scope(|scope| {
            let change = scope.spawn(|| site.cli(&["pool", "migrate", "top"]).ok());
            process::until("its tasks are held", || {
                (site.pool("top")["state"] == "draining").then_some(())
            });
            for _ in 0..TIMES {
                crash(ipc, disk);
                site.cli(&["pool", "reset", "disk"]).ok();
            }
            assert_eq!(site.pool("top")["state"], "draining", "all that was before it could be told");
            change.join().unwrap();
        });
        drop(slow.wait().unwrap());
        let last = until_told(ipc, top, 2 * TIMES);
        assert_eq!((last.times, last.reason), (2 * TIMES, CHI_REASON_RECOVERED));
    }

    /// A pool on which others depend is destroyed by who insists, and they are told.
    fn a_pool_that_others_depend_on_is_destroyed_by_force(module, site) {
        let ipc = connect();
        let disk = create(ipc, module, "disk", "");
        let top = create(ipc, module, "top", "opens=disk");
        let refused = site.cli(&["pool", "destroy", "disk"]);
        let why = "pool 'disk' was not destroyed: 'top' depends on it; destroy it first, or destroy it anyway \
                   with `chimaera pool destroy disk --force`";
        assert!(refused.code == 1 && refused.stderr.contains(why), "{refused:?}");
        create(ipc, module, "other", "on=disk");
        let refused = site.cli(&["pool", "destroy", "disk"]);
        assert!(refused.stderr.contains("'other', 'top' depend on it; destroy them first"), "{refused:?}");
        site.cli(&["pool", "destroy", "other"]).ok();
        site.cli(&["pool", "destroy", "disk", "--force"]).ok();
        let gone = until_told(ipc, top, 1);
        assert_eq!((gone.reason, &*gone.message), (CHI_REASON_LOST, "pool 'disk' was destroyed"));
        assert_eq!(gone.lost, [disk.major(), disk.minor()]);
        // Programs may do as they like.
        let disk = create(ipc, module, "disk", "");
        let named = create(ipc, module, "named", "on=disk");
        ipc.destroy_pool(disk).unwrap();
        assert_eq!(until_told(ipc, named, 1).lost, [disk.major(), disk.minor()]);
        assert_eq!(told(ipc, top).times, 1, "it opened another");
    }
}

/// A `kNodeFailure` that does not end is cancelled, and its container goes on.
#[test]
fn coping_has_a_bound() {
    let log = in_client!(options(), |site| {
        let ipc = connect();
        let disk = create(ipc, depends::CPP, "disk", "");
        let tops = [depends::CPP, depends::RUST].map(|module| {
            let top = create(ipc, module, module, "on=disk,then=hang");
            (module, top)
        });
        crash(ipc, disk);
        for (module, top) in tops {
            until_told(ipc, top, 1);
            process::until("it is cancelled", || (site.pool(module)["tasks"] == 0).then_some(()));
            assert_eq!(told(ipc, top).times, 1);
        }
    });
    let Some(log) = log else { return };
    assert!(log.contains("kNodeFailure failed") && log.contains("deadline has passed"), "{log}");
}

/// Who depends on a pool whose module host is lost is told of that, and that it is back. Who depends on it
/// may be in a module host, too.
#[test]
fn the_loss_of_a_module_host_is_told() {
    in_client!(options(), |site| {
        let ipc = connect();
        for module in [depends::CPP, depends::RUST] {
            for isolation in ["none", "process"] {
                let isolated = ["--isolation", isolation];
                let new = |name: &str, params: &str, more: &[&str]| {
                    let args = ["pool", "create", name, "--module", module, "--params", params];
                    site.cli(&[&args[..], more].concat()).ok();
                    ipc.find_pool(name).unwrap()
                };
                let disk = new("disk", "then=return", &["--isolation", "process"]);
                let top = new("top", "on=disk", &isolated);
                let pid = site.pool("disk")["host"]["pid"].as_i64().unwrap();
                let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
                let first = until_told(ipc, top, 1);
                // The return may have been told by now.
                assert!(first.times == 2 || first.reason == CHI_REASON_LOST, "{first:?}");
                let last = until_told(ipc, top, 2);
                assert_eq!((last.times, last.reason, last.node), (2, CHI_REASON_RECOVERED, 0));
                assert_eq!((last.lost, &*last.name), ([disk.major(), disk.minor()], "disk"));
                assert!(last.message.starts_with("pool 'disk' is back: "), "{last:?}");
                ipc.destroy_pool(disk).unwrap();
                let gone = until_told(ipc, top, 3);
                assert_eq!(
                    (gone.reason, &*gone.message),
                    (CHI_REASON_LOST, "pool 'disk' was destroyed")
                );
                ipc.destroy_pool(top).unwrap();
            }
        }
    });
}

/// Who depends on a pool whose module host stays away is told that the pool is lost, and why, once; and of
/// its return when it is reset.
#[test]
fn a_module_host_that_stays_away_is_told() {
    let options = options().config("workers: 2\nmodule_hosts: {restarts: 0}\n");
    in_client!(options, |site| {
        let ipc = connect();
        for module in [depends::CPP, depends::RUST] {
            for isolation in ["none", "process"] {
                let new = |name: &str, params: &str, isolation: &str| {
                    let args = ["pool", "create", name, "--module", module, "--params", params];
                    site.cli(&[&args[..], &["--isolation", isolation]].concat()).ok();
                    ipc.find_pool(name).unwrap()
                };
                let disk = new("disk", "then=return", "process");
                let top = new("top", "on=disk", isolation);
                let pid = site.pool("disk")["host"]["pid"].as_i64().unwrap();
                let killed = rustix::process::Pid::from_raw(pid as i32).unwrap();
                rustix::process::kill_process(killed, rustix::process::Signal::KILL).unwrap();
                process::until("it is in quarantine", || {
                    (site.pool("disk")["state"] == "quarantined").then_some(())
                });
                let lost = until_told(ipc, top, 1);
                assert_eq!((lost.times, lost.reason, lost.node), (1, CHI_REASON_LOST, 0));
                assert_eq!((lost.lost, &*lost.name), ([disk.major(), disk.minor()], "disk"));
                let why = format!(
                    "pool 'disk' is lost: its module host (process {pid}) was killed by SIGKILL"
                );
                assert!(lost.message.starts_with(&why), "{lost:?}");
                site.cli(&["pool", "reset", "disk"]).ok();
                let last = until_told(ipc, top, 2);
                assert_eq!((last.times, last.reason), (2, CHI_REASON_RECOVERED));
                ipc.destroy_pool(top).unwrap();
                ipc.destroy_pool(disk).unwrap();
            }
        }
    });
}

/// Dependants that are destroyed at that moment are in nobody's way.
#[test]
fn dependants_may_be_destroyed_meanwhile() {
    in_client!(options(), |site| {
        let ipc = connect();
        for round in 0..20 {
            let disk = create(ipc, depends::RUST, "disk", "");
            let tops: Vec<_> = (0..4)
                .map(|i| {
                    let module = if i % 2 == 0 { depends::CPP } else { depends::RUST };
                    create(ipc, module, &format!("top {i}"), "on=disk,then=hang")
                })
                .collect();
            std::thread::scope(|scope| {
                scope.spawn(|| crash(ipc, disk));
                std::thread::sleep(Duration::from_micros(200 * round));
                tops.iter().for_each(|top| ipc.destroy_pool(*top).unwrap());
            });
            ipc.destroy_pool(disk).unwrap();
        }
        assert_eq!(site.cli(&["pool", "list", "--json"]).ok().json().as_array().unwrap().len(), 1);
    });
}

/// At the stop, dependants are destroyed before what they depend on, whichever was created first.
#[test]
fn dependants_are_destroyed_first_at_the_stop() {
    let daemon = in_client_that_may_end_it!(options(), |_| {
        let ipc = connect();
        create(ipc, depends::CPP, "first", "on=second");
        create(ipc, depends::RUST, "second", "");
        create(ipc, depends::RUST, "third", "");
    });
    let Some(mut daemon) = daemon else { return };
    daemon.stop();
    let log = daemon.log();
    let at = |name: &str| {
        let line = format!("pool destroyed pool={name:?}");
        log.find(&line).unwrap_or_else(|| panic!("no {line}: {log}"))
    };
    assert!(at("third") < at("first") && at("first") < at("second"), "{log}");
}

/// A failure of `kNodeFailure` is in the log.
#[test]
fn a_failure_to_cope_is_logged() {
    let log = in_client!(options(), |_| {
        let ipc = connect();
        let disk = create(ipc, depends::CPP, "disk", "");
        let tops = [depends::CPP, depends::RUST]
            .map(|module| create(ipc, module, module, "on=disk,then=throw"));
        crash(ipc, disk);
        tops.into_iter().for_each(|top| drop(until_told(ipc, top, 1)));
    });
    let Some(log) = log else { return };
    for module in [depends::CPP, depends::RUST] {
        let line = format!("kNodeFailure failed pool={module:?} container=0 lost=\"disk\" why=");
        assert!(log.contains(&line) && log.contains("it cannot do without"), "{log}");
    }
}
