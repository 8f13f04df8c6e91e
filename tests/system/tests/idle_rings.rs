//! Rings that have been empty for a while rest until their doorbells ring. A ring and its doorbell
//! change workers together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chimaera::NewTask;
use chimaera_tests::tasks::throws::{self, EchoTask, NumberTask};
use chimaera_tests::{connect, in_client, process, Call, Daemon, Options, Running, Site};

/// Clients with one thread each, and so as many sessions and rings.
const CLIENTS: usize = 40;

fn client(site: &Site, arguments: &[&str]) -> Running {
    let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-mortal"));
    let mut client = Running::start(command.args(arguments));
    assert_eq!(client.line().as_deref(), Some("ready"));
    client
}

fn clients(site: &Site) -> Vec<Running> {
    (0..CLIENTS).map(|_| client(site, &["counting"])).collect()
}

/// Makes each client call the runtime.
#[track_caller]
fn all_are_served<'c>(clients: impl IntoIterator<Item = &'c mut Running>) {
    for client in clients {
        client.say("");
        assert_eq!(client.line().as_deref(), Some("0"));
    }
}

/// A client that has been idle for long is served, whether its worker sleeps or serves others.
#[test]
fn a_ring_at_rest_is_served_beside_busy_ones() {
    let daemon = Daemon::start(&Options::new().kv().mod_name().workers(1));
    let mut idle = clients(daemon.site());
    for _ in 0..3 {
        all_are_served(&mut idle);
    }
    // Its calls follow each other without a pause.
    let mut busy = client(daemon.site(), &["neighbour"]);
    for _ in 0..5 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        all_are_served(idle.iter_mut().rev());
    }
    // Clients that end while their rings rest leave nothing behind.
    let mut rest = idle.split_off(CLIENTS / 2);
    for mut client in idle {
        client.close();
        assert_eq!(client.end(), 0);
    }
    process::until("the sessions end", || {
        (daemon.site().status()["sessions"] == CLIENTS / 2 + 1).then_some(())
    });
    all_are_served(&mut rest);
    busy.close();
    assert_eq!(busy.end(), 0);
}

/// A method blocks the worker at which all rings rest: a stand-by worker takes over their
/// doorbells, and then returns them.
#[test]
fn rings_at_rest_change_their_worker() {
    let config = "workers: {low_latency: {count: 1}, standby: 1}\n";
    let daemon = Daemon::start(&Options::new().kv().throws().config(config));
    let mut idle = clients(daemon.site());
    all_are_served(&mut idle);
    let shows = |role: &str| {
        let status = daemon.site().status();
        (status["each_worker"][1]["standby"] == role).then_some(())
    };
    for round in 0..6 {
        let blocking = client(daemon.site(), &["blocking", &format!("block{round}"), "2"]);
        process::until("the stand-by worker serves", || shows("serving"));
        all_are_served(&mut idle);
        // One ends while its ring is at the other worker.
        idle.pop();
        all_are_served(&mut idle);
        drop(blocking);
        process::until("the stand-by worker rests", || shows("resting"));
        all_are_served(&mut idle);
    }
}

/// Busy rings go from worker to worker, alone and in take-overs, while the daemon cannot open another
/// descriptor: no session ends for that.
#[test]
fn rings_change_their_worker_without_a_descriptor() {
    let config = "workers: {low_latency: {count: 2}, standby: 1}\n";
    in_client!(Options::new().throws().config(config), |site| {
        let pool = connect().create_pool(throws::MODULE, "echo", b"").unwrap();
        let pid = site.status()["pid"].as_i64().expect("it is running");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let echo: NewTask<EchoTask> = connect().task(pool, throws::ECHO);
                        echo.submit().unwrap().wait().unwrap();
                    }
                });
            }
            for round in 0..8 {
                let block = connect().create_pool(throws::MODULE, &format!("block{round}"), b"");
                let task: NewTask<NumberTask> = connect().task(block.unwrap(), throws::SLEEP);
                task.value.set(300_000_000);
                let blocking = task.submit().unwrap();
                std::thread::sleep(Duration::from_millis(100));
                // The take-over may have freed one.
                process::leave_no_descriptors(pid as i32);
                drop(blocking.wait().unwrap());
                std::thread::sleep(Duration::from_millis(100));
            }
            over.store(true, Ordering::Relaxed);
        });
    });
}

/// When a client sends its next task, it releases the results of tasks that were dropped in flight.
/// These releases fill the ring while the worker sleeps: the worker is woken although there is no
/// room for the task.
#[test]
fn a_ring_that_is_full_of_releases_wakes_its_worker() {
    in_client!(Options::new().throws(), |site| {
        let pool = connect().create_pool(throws::MODULE, "echo", b"").unwrap();
        let echo = || {
            let task: NewTask<EchoTask> = connect().task(pool, throws::ECHO);
            task.data.set([7; 100]).unwrap();
            task.submit().unwrap()
        };
        for _ in 0..3 {
            drop((0..3000).map(|_| echo()).collect::<Vec<_>>());
            process::until("they have ended", || {
                let all = site.cli(&["sessions", "--json"]).ok().json();
                (all[0]["tasks_in_flight"] == 0).then_some(())
            });
            std::thread::sleep(std::time::Duration::from_millis(50));
            echo().wait().unwrap();
        }
    });
}
