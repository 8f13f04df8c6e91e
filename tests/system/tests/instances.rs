//! Instances: starting, stopping, and what they leave behind.

mod common;

use std::path::Path;
use std::time::{Duration, SystemTime};

use chimaera_tests::{artefacts, process, Daemon, Options, Output, Running, Site};
use common::{not_running, Background};
use rustix::process::Signal;
use serde_json::{json, Value};

/// A client that has received a first answer, then makes its worker sleep, and then sends another
/// task.
#[track_caller]
fn busy(site: &Site, nanoseconds: u64) -> Running {
    let mut command = site.command(artefacts::program("cpp_client"));
    command.args(["echo", "10", "--", "sleep", &nanoseconds.to_string(), "--", "echo", "10"]);
    let mut client = Running::start(&mut command);
    assert_eq!(line(&mut client)["equal"], 1, "its first task succeeds");
    process::until("the sleep", || {
        let pools = site.cli(&["pool", "list", "--json"]).ok().json();
        let own = pools.as_array()?.iter().find(|pool| pool["name"] == "test_throws")?;
        (own["tasks"] == 1).then_some(())
    });
    client
}

/// The client's next line.
#[track_caller]
fn line(client: &mut Running) -> Value {
    serde_json::from_str(&client.line().expect("it prints another line")).unwrap()
}

/// Checks the answer to a task sent after the runtime was told to stop.
#[track_caller]
fn too_late(answer: Value) {
    let name = answer["name"].as_str().unwrap();
    assert!(["CHI_CANCELLED", "CHI_UNAVAILABLE"].contains(&name), "{answer}");
}

/// The lock's file names its holder, but the lock holds without.
#[test]
fn a_file_system_without_room_prevents_no_start() {
    Daemon::start(&Options::new().file_size(0)).stop();
}

#[test]
fn a_second_start_under_the_same_name() {
    let daemon = Daemon::start(&Options::new().throws());
    let site = daemon.site();
    let mut client = busy(site, 1_000_000_000);
    let message = format!(
        "instance '{}' is already running (process {}); stop it or choose another name",
        site.name(),
        daemon.pid()
    );
    for arguments in [&["start"][..], &["start", "--daemon"]] {
        let output = site.cli(arguments);
        assert_eq!(output.code, 1, "{output:#?}");
        assert!(output.stderr.contains(&message), "{output:#?}");
        let output = site.cli(&[arguments, &["--json"]].concat());
        assert_eq!((output.code, &output.json()["error"]), (1, &json!(message)), "{output:#?}");
    }
    // The first one has not been disturbed, nor its log written to.
    assert!(!daemon.log().contains("already running"), "{}", daemon.log());
    assert_eq!(line(&mut client)["status"], 0);
    assert_eq!(line(&mut client)["equal"], 1);
    assert_eq!(client.end(), 0);
    assert_eq!(site.status()["pid"], daemon.pid());
    assert!(site.run(artefacts::program("cpp_client"), &["echo", "1"]).code == 0);
}

#[test]
fn of_starts_at_the_same_time_one_wins() {
    for _ in 0..5 {
        let site = Site::new();
        let outputs: Vec<Output> = std::thread::scope(|scope| {
            let start = || site.cli(&["start", "--daemon", "--workers", "1"]);
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let guard = Background(site.clone());
        let won = outputs.iter().filter(|output| output.code == 0).count();
        assert_eq!(won, 1, "{outputs:#?}");
        for output in outputs.iter().filter(|output| output.code != 0) {
            assert!(output.stderr.contains("is already running"), "{output:#?}");
        }
        assert_eq!(site.status()["running"], true);
        site.cli(&["modules"]).ok();
        drop(guard);
    }
}

#[test]
fn instances_side_by_side() {
    let first = Daemon::start(&Options::new().kv());
    let empty = Options::new();
    let mut second = Daemon::start_at(first.site().sibling("two"), &empty);
    let third = Daemon::start_at(first.site().sibling("3.b_c"), &empty);
    first.cli(&["pool", "create", "mine", "--module", "chimaera:kv"]).ok();
    assert_eq!(second.cli(&["pool", "create", "mine", "--module", "chimaera:kv"]).code, 1);
    let pids: Vec<Value> =
        [&first, &second, &third].map(|daemon| daemon.site().status()["pid"].clone()).to_vec();
    assert_eq!(pids, [first.pid(), second.pid(), third.pid()]);
    // Each command goes to the instance named in its arguments or environment.
    let mut command = second.site().command(artefacts::chimaera());
    let output = process::run(command.args(["pool", "list", "--json"])).ok();
    assert_eq!(output.json().as_array().unwrap().len(), 1, "{output:#?}");
    second.cli(&["stop"]).ok();
    assert_eq!(second.end(), 0);
    let absent = second.cli(&["status"]);
    let (first_name, third_name) = (first.site().name(), third.site().name());
    for part in [first_name, third_name, "choose one with --name", "CHI_INSTANCE names it"] {
        assert!(absent.stderr.contains(part), "{part} is not in {absent:#?}");
    }
    not_running(absent);
    assert_eq!(first.cli(&["pool", "list", "--json"]).ok().json().as_array().unwrap().len(), 2);
    third.cli(&["pool", "list"]).ok();
}

/// `kill -9` leaves a socket, a lock file and a status page behind.
#[test]
fn what_a_killed_daemon_leaves_behind() {
    let site = Site::new();
    for _ in 0..3 {
        let mut daemon = Daemon::start_at(site.clone(), &Options::new());
        let pid = daemon.pid();
        daemon.cli(&["modules"]).ok();
        daemon.kill();
        let old = site.status_page().expect("the page was not removed");
        assert!(site.socket().exists(), "the socket was not removed");
        not_running(site.cli(&["status"]));
        let daemon = Daemon::start_at(site.clone(), &Options::new());
        assert_ne!(daemon.pid(), pid);
        assert_eq!(site.status()["pid"], daemon.pid());
        let new = site.status_page().expect("it has a page");
        assert!(new != old && !old.exists(), "{} is left", old.display());
        daemon.cli(&["modules"]).ok();
    }
    assert!(site.status_page().is_none() && !site.socket().exists());
}

/// Lets a file seem to have been made an hour ago.
fn age(file: &Path) {
    let file = std::fs::File::options().write(true).open(file).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
}

/// Also if no instance of its name is started again.
#[test]
fn the_page_of_a_killed_daemon_goes_when_another_starts() {
    let mut killed = Daemon::start(&Options::new());
    let left = killed.site().status_page().unwrap();
    killed.signal(Signal::KILL);
    killed.end();
    let young = Daemon::start(&Options::new());
    assert!(left.exists(), "it may be that of an instance that is just starting");
    let kept = young.site().status_page().unwrap();
    [&left, &kept].into_iter().for_each(|page| age(page));
    let _another = Daemon::start(&Options::new());
    assert!(!left.exists());
    assert!(kept.exists(), "its daemon lives");
}

/// Any user may create any name in the directory of shared memory.
#[test]
fn a_squatted_name_of_a_status_page_prevents_no_start() {
    let site = Site::new();
    let seen = {
        let _daemon = Daemon::start_at(site.clone(), &Options::new());
        site.status_page().expect("it has a page")
    };
    std::fs::create_dir(&seen).expect("the name is free again");
    let daemon = Daemon::start_at(site.clone(), &Options::new());
    assert_eq!(site.status()["pid"], daemon.pid());
    std::fs::remove_dir(&seen).expect("nobody took it away");
    drop(daemon);
    assert!(std::fs::symlink_metadata(site.page_link()).is_err(), "the link is left");
}

/// Its opening would wait for a writer.
#[test]
fn a_pipe_in_place_of_the_page_holds_up_no_command() {
    let mut daemon = Daemon::start(&Options::new());
    let link = daemon.site().page_link();
    std::fs::remove_file(&link).expect("the daemon has made it");
    rustix::fs::mkfifoat(rustix::fs::CWD, &link, rustix::fs::Mode::RUSR).unwrap();
    let status = daemon.cli(&["status"]);
    assert_eq!(status.code, 1, "{status:?}");
    daemon.cli(&["stop"]).ok();
    assert_eq!(daemon.end(), 0);
}

/// Files in place of the socket or the page that the daemon did not create.
#[test]
fn other_things_in_the_places_of_its_files() {
    let site = Site::new();
    drop(Daemon::start_at(site.clone(), &Options::new()));
    std::fs::write(site.socket(), "this is not a socket").unwrap();
    drop(Daemon::start_at(site.clone(), &Options::new()));
    assert!(!site.socket().exists());
    // A directory cannot be a leftover: it is reported, and stays.
    std::fs::create_dir(site.socket()).unwrap();
    let output = site.cli(&["start"]);
    assert_eq!(output.code, 1, "{output:#?}");
    assert!(output.stderr.contains(site.socket().to_str().unwrap()), "{output:#?}");
    assert!(site.socket().is_dir() && site.status_page().is_none());
    std::fs::remove_dir(site.socket()).unwrap();
    drop(Daemon::start_at(site, &Options::new()));
}

#[test]
fn sigint_and_sigterm_end_it_in_order() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut daemon = Daemon::start(&Options::new().throws());
        let site = daemon.site().clone();
        let mut client = busy(&site, 1_000_000_000);
        daemon.signal(signal);
        assert_eq!(daemon.end(), 0, "{}", daemon.log());
        // The running task completed, and the later one did not run.
        let sleep = line(&mut client);
        assert_eq!((&sleep["command"], &sleep["status"]), (&json!("sleep"), &json!(0)), "{sleep}");
        too_late(line(&mut client));
        assert_eq!(client.end(), 0);
        let log = daemon.log();
        let order = ["received a signal to stop", "stopping", "pool destroyed", "stopped"];
        let places: Vec<_> = order.iter().map(|text| log.find(text)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}\n{log}");
        assert!(site.status_page().is_none() && !site.socket().exists());
    }
}

#[test]
fn stop_waits_for_what_runs() {
    let mut daemon = Daemon::start(&Options::new().throws());
    let mut client = busy(daemon.site(), 1_000_000_000);
    daemon.cli(&["stop"]).ok();
    assert_eq!(daemon.end(), 0);
    assert_eq!(line(&mut client)["status"], 0);
    too_late(line(&mut client));
}

/// A method that never returns is abandoned, and that is logged.
#[test]
fn a_method_that_never_returns_does_not_keep_it_from_ending() {
    let mut daemon = Daemon::start(&Options::new().throws());
    let mut client = busy(daemon.site(), 3_600_000_000_000);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 4);
    let log = daemon.log();
    assert!(log.contains("abandoned: pool") && log.contains("has not returned"), "{log}");
    assert_eq!(line(&mut client)["name"], "CHI_UNAVAILABLE");
    assert!(daemon.site().status_page().is_none() && !daemon.site().socket().exists());
    not_running(daemon.cli(&["status"]));
}

#[test]
fn all_instances_of_a_user_are_listed() {
    let mut crashed = Daemon::start(&Options::new());
    let site = crashed.site().sibling("-beside");
    let mut beside = Daemon::start_at(site, &Options::new().kv());
    beside.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
    let list = |site: &Site| site.cli(&["list", "--json"]).ok().json();
    let all = list(beside.site());
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    assert_eq!(
        (&all[0]["name"], &all[0]["state"]),
        (&crashed.site().name().into(), &"running".into())
    );
    assert_eq!((&all[1]["pools"], &all[1]["pid"]), (&2.into(), &beside.site().status()["pid"]));
    let text = beside.cli(&["list"]).ok().stdout;
    assert!(text.starts_with("INSTANCE") && text.lines().count() == 3, "{text}");
    crashed.signal(Signal::ABORT);
    crashed.end();
    let all = list(beside.site());
    assert_eq!((&all[0]["state"], &all[0]["pid"]), (&"crashed".into(), &Value::Null), "{all}");
    assert!(all[0]["last_crash"]["text"].as_str().unwrap().contains("SIGABRT"), "{all}");
    beside.stop();
    assert_eq!(list(beside.site()).as_array().unwrap().len(), 1);
}
