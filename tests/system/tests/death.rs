//! Clients and daemons that are killed with `kill -9`.

use std::time::{Duration, SystemTime};

use chimaera_tests::raw::{seed, Random};
use chimaera_tests::tasks::model;
use chimaera_tests::{rounds, Daemon, Options, Running, Vitals};
use serde_json::Value;

/// Memory that the allocator may retain and that each worker keeps for reuse. Work moves between
/// workers, so one of them may run its first thousand tasks late.
const SLACK: u64 = 12 << 20;

fn options() -> Options {
    Options::new().kv().mod_name().throws()
}

/// Starts a client, and waits until it is ready.
#[track_caller]
fn start(daemon: &Daemon, args: &[&str]) -> Running {
    let mut command = daemon.site().command(env!("CARGO_BIN_EXE_chi-test-mortal"));
    let mut client = Running::start(command.args(args));
    assert_eq!(client.line().as_deref(), Some("ready"), "{args:?}");
    client
}

#[track_caller]
fn kill(client: &mut Running) {
    client.signal(rustix::process::Signal::KILL);
    assert_eq!(client.end(), -9);
}

/// Stops the neighbour, which must have been served without errors. Returns its rounds.
#[track_caller]
fn ask(neighbour: &mut Running) -> u64 {
    neighbour.close();
    let rounds = neighbour.line().and_then(|line| line.parse().ok());
    assert_eq!(neighbour.end(), 0, "the neighbour found an error");
    rounds.expect("it prints how often it was served")
}

/// Kills clients repeatedly while a neighbour uses the daemon.
#[track_caller]
fn killed_clients(args: &[&str], times: usize) {
    let daemon = Daemon::start(&options());
    let mut random = Random::new(seed());
    let mut neighbour = start(&daemon, &["neighbour"]);
    let mut one = || {
        let mut client = start(&daemon, args);
        std::thread::sleep(Duration::from_micros(random.below(3000)));
        kill(&mut client);
    };
    (0..times / 4 + 5).for_each(|_| one());
    let before = Vitals::settled(&daemon, 1);
    (0..times).for_each(|_| one());
    before.assert_no_more(&daemon, SLACK);
    assert!(ask(&mut neighbour) > 0, "the neighbour was not served");
}

#[test]
fn clients_killed_while_they_wait_leave_nothing_behind() {
    killed_clients(&["waiting"], rounds(100, 2000));
}

#[test]
fn clients_killed_while_they_submit_leave_nothing_behind() {
    killed_clients(&["submitting"], rounds(100, 2000));
}

#[test]
fn clients_killed_with_a_thousand_tasks_in_flight_leave_nothing_behind() {
    killed_clients(&["flight", "1000"], rounds(100, 1000));
}

#[test]
fn tasks_that_yield_for_ever_end_with_their_client() {
    let daemon = Daemon::start(&options());
    let mut client = start(&daemon, &["patient"]);
    kill(&mut client);
    assert_eq!(Vitals::settled(&daemon, 0).segments, 0);
}

/// The root task ends, and releases the segment, only after the subtasks that it waits for.
#[test]
fn tasks_that_wait_for_tasks_in_three_pools_end_with_their_client() {
    for module in [model::MODULE, model::RUST] {
        let daemon = Daemon::start(&Options::new().model());
        let one = || {
            let mut client = start(&daemon, &["spread", module]);
            kill(&mut client);
            Vitals::settled(&daemon, 0)
        };
        (0..10).for_each(|_| assert_eq!(one().segments, 0));
        let before = one();
        for _ in 0..rounds(20, 500) {
            assert_eq!(one().segments, 0);
        }
        before.assert_no_more(&daemon, SLACK);
    }
}

#[track_caller]
fn json(client: &mut Running) -> Value {
    let line = client.line().expect("it prints a line");
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

#[track_caller]
fn obey(client: &mut Running, order: &str) -> Value {
    client.say(order);
    json(client)
}

#[test]
fn clients_of_a_killed_daemon_are_told_and_find_its_successor() {
    let mut daemon = Daemon::start(&options());
    let mut clients: Vec<Running> = (0..4).map(|_| start(&daemon, &["patient"])).collect();
    daemon.kill();
    let killed = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    for client in &mut clients {
        let told = json(client);
        assert_eq!(told["name"], "CHI_UNAVAILABLE", "{told}");
        // The limit is one second; the rest is slack for a machine that is busy with other tests.
        assert!(told["ms"].as_u64().unwrap() < killed + 3000, "killed at {killed}, but {told}");
        let alone = obey(client, "call");
        assert_eq!(alone["name"], "CHI_UNAVAILABLE", "no runtime is running: {alone}");
    }
    let modules = daemon.site().path().join("modules");
    let successor = Daemon::start_at(daemon.site().clone(), &Options::new().repo_path(modules));
    for client in &mut clients {
        let called = obey(client, "call");
        assert_eq!(called["name"], "CHI_OK", "{called}");
        client.say("maps");
        assert_eq!(client.line().unwrap(), "2", "the old session's tasks still exist");
        let dropped = obey(client, "drop");
        assert_eq!(dropped["name"], "CHI_OK", "{dropped}");
        let called = obey(client, "call");
        assert_eq!(called["name"], "CHI_OK", "{called}");
        client.close();
        assert_eq!(client.end(), 0);
    }
    assert_eq!(Vitals::settled(&successor, 0).segments, 0);
}
