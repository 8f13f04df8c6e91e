//! The limits of one client, one process and one user, and how usage is reported.

use std::time::Duration;

use chimaera::abi::{CHI_CANCELLED, CHI_NO_SPACE, CHI_UNAVAILABLE};
use chimaera::{NewTask, PoolId, PoolOptions, Status};
use chimaera_kv_client as kv;
use chimaera_tests::raw::{dial, Link};
use chimaera_tests::tasks::throws::{self, EchoTask, NumberTask};
use chimaera_tests::{
    connect, in_client, in_client_that_may_end_it, process, text_of, Call, Daemon, Options,
    Running, Site,
};
use serde_json::Value;

/// The smallest possible segment.
const SMALL: u64 = 4 << 20;

/// A client whose method blocks its worker for this many seconds.
fn blocking(site: &Site, pool: &str, seconds: &str) -> Running {
    let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-mortal"));
    let mut client = Running::start(command.args(["blocking", pool, seconds]));
    assert_eq!(client.line().as_deref(), Some("ready"));
    client
}

/// Why no session can be opened.
#[track_caller]
fn refusal(segment: u64) -> String {
    match Link::open(segment) {
        Ok(_) => panic!("the session was opened"),
        Err(error) => error.to_string(),
    }
}

fn sessions(site: &Site) -> Vec<Value> {
    let listed = site.cli(&["sessions", "--json"]).ok().json();
    listed.as_array().expect("a list").clone()
}

/// With its only worker blocked and no other to take over, the runtime lists the sessions and ends
/// the one that blocks it, whose place is free at once.
/// Nobody could be let in: what is left is kept back for the program.
#[test]
fn a_start_with_few_descriptors_is_warned_of() {
    let daemon = Daemon::start(&Options::new().descriptors(60));
    let warning = "no client will be let in: the runtime has almost no descriptors left";
    assert!(daemon.log().contains(warning), "{}", daemon.log());
    daemon.cli(&["pool", "list"]).ok();
}

#[test]
fn sessions_are_listed_and_ended_while_every_worker_is_blocked() {
    let config = "workers: {low_latency: {count: 1}, standby: 0}\nlimits: {sessions: 2}\n";
    in_client!(Options::new().throws().config(config), |site| {
        assert_eq!(sessions(site), Vec::<Value>::new());
        let mut first = blocking(site, "one", "5");
        let _second = Link::open(SMALL).unwrap();
        assert_eq!(refusal(SMALL), "session limit (2) reached: raise limits.sessions");
        let shown = sessions(site);
        assert_eq!(shown.len(), 2, "{shown:#?}");
        assert_eq!(shown[0]["pid"], first.pid(), "{shown:#?}");
        assert_eq!(shown[0]["uid"], rustix::process::geteuid().as_raw(), "{shown:#?}");
        assert_eq!(shown[0]["segment_bytes"], 128 << 20, "{shown:#?}");
        assert_eq!(shown[0]["tasks_in_flight"], 1, "{shown:#?}");
        assert_eq!(shown[0]["throttled"], false, "{shown:#?}");
        assert!(shown[0]["age_ms"].is_u64(), "{shown:#?}");
        assert_eq!(shown[1]["pid"], std::process::id(), "{shown:#?}");
        assert_eq!(shown[1]["tasks_in_flight"], 0, "{shown:#?}");
        let text = site.cli(&["sessions"]).ok().stdout;
        let mut lines = text.lines();
        let head = lines.next().unwrap();
        for column in ["SESSION", "PID", "USER", "SINCE", "SEGMENT", "IN FLIGHT", "THROTTLED"] {
            assert!(head.contains(column), "{text}");
        }
        let first_line = lines.next().unwrap();
        assert!(first_line.contains("s ago  128 MiB   0 B"), "{text}");

        let number = shown[0]["session"].to_string();
        let ended = site.cli(&["sessions", "kill", &number, "--json"]).ok().json();
        assert_eq!(ended["pid"], first.pid(), "{ended:#}");
        let left = sessions(site);
        assert_eq!(left.len(), 1, "{left:#?}");
        assert_eq!(left[0]["pid"], std::process::id(), "{left:#?}");
        assert!(first.ended().is_none(), "only the session ends, not its process");
        Link::open(SMALL).expect("there is room for another, although the method still runs");

        let again = site.cli(&["sessions", "kill", &number]);
        assert_eq!(again.code, 1, "{again:?}");
        assert!(again.stderr.contains(&format!("there is no session {number}")), "{again:?}");
        assert_eq!(site.status()["each_worker"][0]["running"]["method"], "kSleep");
    });
}

/// The client whose session is ended learns of it at once, and may reconnect.
#[test]
fn a_client_whose_session_is_ended_learns_of_it() {
    let config = "workers: {low_latency: {count: 1}, standby: 0}\n";
    in_client!(Options::new().throws().config(config), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(throws::MODULE, "one", b"").unwrap();
        let task: NewTask<NumberTask> = ipc.task(pool, throws::SLEEP);
        task.value.set(Duration::from_secs(3).as_nanos() as u64);
        let task = task.submit().unwrap();
        let own = sessions(site);
        assert_eq!(own.len(), 1, "{own:#?}");
        site.cli(&["sessions", "kill", &own[0]["session"].to_string()]).ok();
        let (code, message) = text_of(task.wait());
        assert_eq!(code, CHI_UNAVAILABLE, "{message}");
        assert!(message.contains("has ended this session"), "{message}");
        let again: NewTask<NumberTask> = connect().task(pool, throws::YIELD);
        again.call().unwrap();
        assert_eq!(sessions(site).len(), 1);
    });
}

/// A module learns which client has sent a task, and when that one is gone.
#[test]
fn a_module_in_cpp_knows_its_clients() {
    in_client!(Options::new().throws(), |site| {
        let pool = connect().create_pool(throws::MODULE, "one", b"").unwrap();
        let ask = |about: &[u8]| {
            let task: NewTask<EchoTask> = connect().task(pool, throws::SENDER);
            task.data.set(about).unwrap();
            let answer = task.call().unwrap().output.copy_to_vec().unwrap();
            u64::from_ne_bytes(answer.try_into().unwrap())
        };
        let (there, gone, neither) = (1, 2, 0);
        let first = ask(b"");
        assert_eq!(ask(b""), first);
        assert_eq!(ask(&first.to_ne_bytes()), there);
        assert_eq!(ask(&0_u64.to_ne_bytes()), neither);
        assert_eq!(ask(&(first ^ 1 << 63).to_ne_bytes()), neither, "a client of another runtime");
        let session = sessions(site)[0]["session"].to_string();
        site.cli(&["sessions", "kill", &session]).ok();
        let again = process::until("it is connected again", || {
            let task: NewTask<EchoTask> = connect().task(pool, throws::SENDER);
            task.call().is_ok().then(|| ask(b""))
        });
        assert_ne!(again, first);
        process::until("the first is gone", || (ask(&first.to_ne_bytes()) == gone).then_some(()));
        assert_eq!(ask(&again.to_ne_bytes()), there);
    });
}

/// Creates pools named `PREFIX0` and so on, with these numbers of containers.
fn pools(prefix: &str, counts: &[u32]) -> Vec<Result<PoolId, Status>> {
    let ipc = connect();
    let create = |(number, count): (usize, &u32)| {
        let options = PoolOptions::default().containers(*count);
        ipc.create_pool_with(throws::MODULE, &format!("{prefix}{number}"), b"", options)
    };
    counts.iter().enumerate().map(create).collect()
}

#[test]
fn containers_of_all_pools_are_limited_together() {
    let config = "limits: {containers: 10}\npools: [{name: own, module: \"test:throws_method\"}]\n";
    in_client!(Options::new().throws().config(config), |site| {
        let made = pools("a", &[4, 5]);
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        let over = "container limit (10) reached: raise limits.containers";
        for count in [1, 4096] {
            let (code, message) = text_of(pools("b", &[count]).remove(0));
            assert_eq!((code, &*message), (CHI_NO_SPACE, over));
        }
        // The command line reports the same, and an existing pool is still found.
        let refused = site.cli(&["pool", "create", "c", "--module", throws::MODULE]);
        assert!(refused.code == 1 && refused.stderr.contains(over), "{refused:?}");
        pools("a", &[4]).remove(0).unwrap();
        // A destroyed pool makes room at once; a failed creation takes none.
        site.cli(&["pool", "destroy", "a0"]).ok();
        for _ in 0..5 {
            assert!(pools("b", &[5])[0].is_err());
        }
        pools("d", &[4]).remove(0).unwrap();
        assert!(pools("e", &[1])[0].is_err());
    });
}

#[test]
fn pools_and_containers_of_a_user_are_limited() {
    let limits = "limits: {per_user: {pools: 3, containers: 8}}\n";
    let own = "pools: [{name: own, module: \"test:throws_method\", containers: 100}]\n";
    in_client!(Options::new().throws().config(format!("{limits}{own}")), |site| {
        // Only the user counts, not the process that creates them.
        site.cli(&["pool", "create", "first", "--module", throws::MODULE]).ok();
        let mut made = pools("a", &[9, 3, 4]).into_iter();
        let per_user = "container limit (8 per user) reached: raise limits.per_user.containers";
        assert_eq!(text_of(made.next().unwrap()), (CHI_NO_SPACE, per_user.to_owned()));
        assert!(made.all(|one| one.is_ok()));
        let (code, message) = text_of(pools("b", &[1]).remove(0));
        let pools = "pool limit (3 per user) reached: raise limits.per_user.pools";
        assert_eq!((code, &*message), (CHI_NO_SPACE, pools));
        site.cli(&["pool", "destroy", "first"]).ok();
        site.cli(&["pool", "create", "last", "--module", throws::MODULE]).ok();
    });
}

#[test]
fn pools_and_containers_of_a_process_are_limited() {
    let config = "limits: {per_process: {pools: 3, containers: 8}}\n";
    in_client!(Options::new().throws().config(config), |site| {
        let mut made = pools("a", &[9, 3, 4, 1]).into_iter();
        let containers =
            "container limit (8 per process) reached: raise limits.per_process.containers";
        assert_eq!(text_of(made.next().unwrap()), (CHI_NO_SPACE, containers.to_owned()));
        assert!(made.all(|one| one.is_ok()));
        let (code, message) = text_of(pools("b", &[1]).remove(0));
        let limit = "pool limit (3 per process) reached: raise limits.per_process.pools";
        assert_eq!((code, &*message), (CHI_NO_SPACE, limit));
        // Another process has limits of its own, and room is made by whoever destroys a pool.
        site.cli(&["pool", "create", "other", "--module", throws::MODULE]).ok();
        site.cli(&["pool", "destroy", "a1"]).ok();
        pools("c", &[3]).remove(0).unwrap();
    });
}

/// Opens a session once there is room for it again.
fn reopen(segment: u64) -> Link {
    process::until("there is room for a session", || Link::open(segment).ok())
}

#[test]
fn sessions_and_segments_of_a_process_are_limited() {
    let limits = "limits: {per_process: {sessions: 3, segments: 20MiB}}\n";
    let config = format!("segment: {{default: 4MiB, max: 32MiB}}\n{limits}");
    in_client!(Options::new().throws().config(config), |site| {
        let segments =
            "segment limit (20971520 bytes per process) reached: raise limits.per_process.segments";
        assert_eq!(refusal(5 * SMALL + 1), segments);
        let first = Link::open(2 * SMALL).unwrap();
        let _second = Link::open(2 * SMALL).unwrap();
        assert_eq!(refusal(2 * SMALL), segments);
        let _third = Link::open(SMALL).unwrap();
        let sessions = "session limit (3 per process) reached: raise limits.per_process.sessions";
        assert_eq!(refusal(SMALL), sessions);
        // Other processes have their own limit, and sessions that have ended make room.
        site.cli(&["pool", "create", "a", "--module", throws::MODULE]).ok();
        drop(first);
        drop(reopen(2 * SMALL));
    });
}

#[test]
fn sessions_and_segments_of_a_user_are_limited() {
    let limits = "limits: {per_user: {sessions: 3, segments: 16MiB}}\n";
    let config = format!("segment: {{default: 4MiB}}\n{limits}");
    in_client!(Options::new().throws().config(config), |site| {
        let mut other = blocking(site, "one", "0");
        let first = Link::open(2 * SMALL).unwrap();
        let segments =
            "segment limit (16777216 bytes per user) reached: raise limits.per_user.segments";
        assert_eq!(refusal(2 * SMALL), segments);
        let _second = Link::open(SMALL).unwrap();
        let sessions = "session limit (3 per user) reached: raise limits.per_user.sessions";
        assert_eq!(refusal(SMALL), sessions);
        let refused = site.cli(&["pool", "create", "a", "--module", throws::MODULE]);
        assert!(refused.code == 1 && refused.stderr.contains(sessions), "{refused:?}");
        // Requests need no session.
        assert_eq!(site.cli(&["pool", "list"]).code, 0);
        other.signal(rustix::process::Signal::KILL);
        other.end();
        drop(first);
        drop(reopen(3 * SMALL));
    });
}

#[test]
fn rings_of_a_session_are_limited() {
    in_client!(Options::new().config("limits: {rings: 2}\n"), |_| {
        let link = Link::open(SMALL).unwrap();
        let _rings = [link.ring().unwrap(), link.ring().unwrap()];
        let refused = link.ring().map(|_| ()).unwrap_err().to_string();
        let why =
            "thread limit (2 per session) reached: end a thread that has submitted tasks, or \
                   raise limits.rings";
        assert_eq!(refused, why);
        assert!(link.is_open());
    });
}

/// More threads than the default limit, as many as the segment has rings for.
#[test]
fn rings_of_a_session_may_be_many() {
    in_client!(Options::new().throws().config("limits: {rings: 1024}\n"), |_| {
        let link = Link::open(SMALL).unwrap();
        let _rings: Vec<_> = (0..64).map(|_| link.ring().unwrap()).collect();
        let refused = link.ring().map(|_| ()).unwrap_err().to_string();
        let why =
            "thread limit (64 per session) reached: end a thread that has submitted tasks, or \
                   open the session with a larger segment";
        assert_eq!(refused, why);
        let pool = connect().create_pool(throws::MODULE, "one", b"").unwrap();
        let all = std::sync::Barrier::new(300);
        std::thread::scope(|scope| {
            for _ in 0..300 {
                scope.spawn(|| {
                    connect().task::<NumberTask>(pool, throws::YIELD).call().unwrap();
                    // Each keeps its ring until all have one.
                    all.wait();
                    connect().task::<NumberTask>(pool, throws::YIELD).call().unwrap();
                });
            }
        });
    });
}

/// Clients have all sessions, and further connections on which they send nothing.
#[test]
fn the_program_is_answered_when_clients_have_all_sessions() {
    let limits = Options::new().config("limits: {sessions: 2}\n");
    let daemon = in_client_that_may_end_it!(limits, |site| {
        let _sessions = [Link::open(SMALL).unwrap(), Link::open(SMALL).unwrap()];
        for _ in 0..3 {
            let _silent: Vec<_> = (0..40).map(|_| dial()).collect();
            assert_eq!(sessions(site).len(), 2);
            assert_eq!(site.cli(&["pool", "list"]).code, 0);
            assert_eq!(site.status()["sessions"], 2);
        }
        let _silent: Vec<_> = (0..40).map(|_| dial()).collect();
        site.cli(&["stop"]).ok();
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), 0);
    }
}

/// Clients have all descriptors that they can get.
#[test]
fn the_program_is_answered_when_clients_have_all_descriptors() {
    let daemon = in_client_that_may_end_it!(Options::new(), |site| {
        let pid = site.status()["pid"].as_i64().unwrap() as i32;
        let limit = libc::rlimit { rlim_cur: 200, rlim_max: 200 };
        // SAFETY: the limit is valid, and a null pointer means not to return the old one.
        let set = unsafe { libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        let mut links = Vec::new();
        let refused = loop {
            match Link::open(SMALL) {
                Ok(link) => links.push(link),
                Err(error) => break error.to_string(),
            }
            assert!(links.len() < 64, "the limit is not reached");
        };
        let why =
            "the runtime has almost no descriptors left: raise its limit of 200 (`ulimit -n`)";
        assert_eq!(refused, why);
        let _silent: Vec<_> = (0..100).map(|_| dial()).collect();
        assert_eq!(sessions(site).len(), links.len());
        assert_eq!(site.cli(&["pool", "list"]).code, 0);
        assert_eq!(site.status()["sessions"], links.len());
        assert!(links.iter().all(Link::is_open));
        site.cli(&["stop"]).ok();
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), 0);
    }
}

/// Clients of one user try to have far more tasks in flight than the user may. Each is served; the
/// excess waits in their rings.
#[test]
fn tasks_of_a_user_in_flight_are_limited() {
    const LIMIT: u64 = 1000;
    /// The number of tasks that each client may always have in flight.
    const LEAST: u64 = 64;
    let config = format!("limits: {{per_user: {{tasks_in_flight: {LIMIT}}}}}\n");
    in_client!(Options::new().throws().config(config), |site| {
        let count = 4;
        let clients: Vec<_> = (0..count)
            .map(|_| {
                let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-mortal"));
                let mut client = Running::start(command.args(["crowd", "4000"]));
                assert_eq!(client.line().as_deref(), Some("ready"));
                client
            })
            .collect();
        let in_flight = |session: &Value| session["tasks_in_flight"].as_u64().unwrap();
        let mut shown = Vec::new();
        let full = || {
            let now = sessions(site);
            let all: u64 = now.iter().map(in_flight).sum();
            assert!(all <= LIMIT + count * LEAST, "{all}: {now:#?}");
            let full = all >= LIMIT && now.iter().all(|session| session["throttled"] == true);
            shown = now;
            full.then_some(())
        };
        process::until("the user has all that it may", full);
        assert!(shown.iter().all(|session| in_flight(session) >= LEAST), "{shown:#?}");
        // Another client is served: it has fewer tasks than every client may always have.
        let pool = connect().create_pool(throws::MODULE, "another", b"").unwrap();
        connect().task::<NumberTask>(pool, throws::YIELD).call().unwrap();
        // When the others end, the last client can use their share.
        let mut clients = clients;
        let last = clients.pop().expect("there are some");
        drop(clients);
        process::until("the last one has what the others leave", || {
            let now = sessions(site);
            let session = now.iter().find(|session| session["pid"] == last.pid()).expect("open");
            (in_flight(session) >= LIMIT * 9 / 10).then_some(())
        });
    });
}

/// Each process has a limit of its own.
#[test]
fn tasks_of_a_process_in_flight_are_limited() {
    const LIMIT: u64 = 500;
    let config = format!("limits: {{per_process: {{tasks_in_flight: {LIMIT}}}}}\n");
    in_client!(Options::new().throws().config(config), |site| {
        let clients: Vec<_> = (0..2)
            .map(|_| {
                let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-mortal"));
                let mut client = Running::start(command.args(["crowd", "4000"]));
                assert_eq!(client.line().as_deref(), Some("ready"));
                client
            })
            .collect();
        process::until("each process has all that it may", || {
            let now = sessions(site);
            let is_full = |client: &Running| {
                let session = now.iter().find(|session| session["pid"] == client.pid());
                let session = session.expect("open");
                let has = session["tasks_in_flight"].as_u64().unwrap();
                assert!(has <= LIMIT, "{session:#?}");
                has >= LIMIT * 9 / 10 && session["throttled"] == true
            };
            clients.iter().all(is_full).then_some(())
        });
    });
}

/// A client whose method has kept the only worker for longer than its share of the time is paused,
/// and so are the other clients of its user if the share is the user's.
fn pauses(site: &Site, others_go_on: bool) {
    let pool = connect().create_pool(throws::MODULE, "one", b"").unwrap();
    kv::Client::create("two", kv::Params::default()).unwrap();
    let is_paused = || {
        let all = sessions(site);
        let own = all.iter().find(|session| session["pid"] == std::process::id());
        own.expect("it is open")["throttled"] == true
    };
    assert!(!is_paused());
    let long: NewTask<NumberTask> = connect().task(pool, throws::SLEEP);
    long.value.set(Duration::from_millis(500).as_nanos() as u64);
    long.call().unwrap();
    let next = connect().task::<NumberTask>(pool, throws::YIELD).submit().unwrap();
    process::until("it is paused", || is_paused().then_some(()));
    // A task that waits in a ring ends at once when it is cancelled.
    let unwanted = connect().task::<NumberTask>(pool, throws::YIELD).submit().unwrap();
    unwanted.cancel().unwrap();
    assert_eq!(text_of(unwanted.wait()).0, CHI_CANCELLED);
    assert!(is_paused(), "it has ended with the pause");
    let mut command = site.command(env!("CARGO_BIN_EXE_chi-test-client"));
    let mut other = Running::start(command.args(["call", "two"]));
    let mut served = false;
    loop {
        let (done, others) = (next.is_complete(), other.ended().is_some());
        let paused = is_paused();
        assert!(!(done && paused), "it is served while it is paused");
        served |= others && paused;
        if done {
            break;
        }
    }
    assert_eq!(served, others_go_on);
    next.wait().unwrap();
    assert_eq!(other.end(), 0);
}

/// The limits of a runtime with one worker.
fn with_limits(limits: &str) -> Options {
    let config = format!("workers: {{low_latency: {{count: 1}}}}\nlimits: {{{limits}}}\n");
    Options::new().throws().kv().config(&config)
}

#[test]
fn worker_time_of_a_process_is_limited() {
    let options = with_limits("per_process: {worker_time: 20%}");
    in_client!(options, |site| pauses(site, true));
}

#[test]
fn worker_time_of_a_user_is_limited() {
    let options = with_limits("per_user: {worker_time: 20%}");
    in_client!(options, |site| pauses(site, false));
}

/// What a method takes counts after its client has gone, too: the user's next client is paused.
#[test]
fn worker_time_counts_after_its_client_has_gone() {
    in_client!(with_limits("per_user: {worker_time: 20%}"), |site| {
        let is_running = || site.status()["each_worker"][0]["running"]["method"] == "kSleep";
        let client = blocking(site, "one", "1");
        process::until("the method runs", || is_running().then_some(()));
        drop(client);
        process::until("the client has gone", || sessions(site).is_empty().then_some(()));
        process::until("the method has ended", || (!is_running()).then_some(()));
        connect();
        assert_eq!(sessions(site)[0]["throttled"], true);
        process::until("the segment of the other is gone", || {
            let pid = &site.status()["pid"];
            let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
            let segments = maps.lines().filter(|line| line.contains("chimaera-segment"));
            (segments.count() == 1).then_some(())
        });
    });
}

#[test]
fn worker_time_of_some_users_is_limited() {
    let user = rustix::process::geteuid().as_raw();
    let options = with_limits(&format!("users: [{{who: {user}, worker_time: 20%}}]"));
    in_client!(options, |site| pauses(site, false));
}
