//! How a runtime stops: in order, within its bound, whatever modules do, and reporting what it
//! waits for.

use std::os::unix::process::CommandExt;
use std::time::Duration;

use chimaera::abi::{CHI_CANCELLED, CHI_NO_SPACE, CHI_UNAVAILABLE};
use chimaera::{NewTask, Pending};
use chimaera_tests::tasks::crash::{self, CrashTask};
use chimaera_tests::tasks::model::{self, ValueTask};
use chimaera_tests::tasks::throws::{self, NumberTask};
use chimaera_tests::{
    artefacts, connect, in_client_that_may_end_it, process, text_of, Call, Daemon, Options,
    Running, Site, ValuePool,
};
use rustix::io::Errno;
use rustix::net::{connect as connect_socket, socket_with};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Signal;

/// Long enough that no test waits for it to end.
const FOREVER: &str = "600";

fn options(grace: &str) -> Options {
    let config =
        format!("workers: {{low_latency: {{count: 1}}, standby: 2}}\nstop_grace: {grace}\n");
    Options::new().throws().config(config)
}

/// Creates a pool whose parameters say what it does in `kCreate` and `kDestroy`.
fn create(daemon: &Daemon, pool: &str, params: &str) {
    daemon.cli(&["pool", "create", pool, "--module", throws::MODULE, "--params", params]).ok();
}

/// Starts a client whose task blocks a worker for longer than the test takes.
fn block(daemon: &Daemon, pool: &str) -> Running {
    block_for(daemon, pool, FOREVER)
}

/// Starts a client whose task blocks a worker for `seconds` seconds.
fn block_for(daemon: &Daemon, pool: &str, seconds: &str) -> Running {
    let mut command = daemon.site().command(env!("CARGO_BIN_EXE_chi-test-mortal"));
    let mut client = Running::start(command.args(["blocking", pool, seconds]));
    assert_eq!(client.line().as_deref(), Some("ready"));
    process::until("the task blocks its worker", || {
        let status = daemon.site().status();
        let workers = status["each_worker"].as_array().unwrap();
        workers.iter().any(|worker| worker["running"]["pool"] == pool).then_some(())
    });
    client
}

/// Checks that the log contains all of these lines, in this order.
#[track_caller]
fn assert_order(log: &str, lines: &[&str]) {
    let places: Vec<_> = lines.iter().map(|line| log.find(line)).collect();
    assert!(places.iter().all(Option::is_some), "{lines:?} are at {places:?} in\n{log}");
    assert!(places.is_sorted(), "{lines:?} are at {places:?} in\n{log}");
}

/// A module's `kDestroy` writes its data to the pool below it, which still exists.
#[test]
fn layers_are_destroyed_from_the_top_and_may_flush() {
    let mut daemon = Daemon::start(&options("10s"));
    create(&daemon, "bottom", "");
    create(&daemon, "middle", "flush bottom");
    create(&daemon, "top", "flush middle");
    daemon.stop();
    assert_order(
        &daemon.log(),
        &[
            "flushed into middle",
            "pool destroyed pool=\"top\"",
            "flushed into bottom",
            "pool destroyed pool=\"middle\"",
            "pool destroyed pool=\"bottom\"",
        ],
    );
}

/// Methods and a `kDestroy` that do not return, without harm to anything else.
#[test]
fn a_stop_ends_by_its_bound_whatever_modules_do() {
    let mut daemon = Daemon::start(&options("2s"));
    create(&daemon, "bottom", "");
    create(&daemon, "top", "flush bottom");
    create(&daemon, "stuck", "stuck");
    let client = block(&daemon, "blocked");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 4);
    let log = daemon.log();
    assert_order(&log, &["flushed into bottom", "pool destroyed pool=\"bottom\""]);
    for left in [
        // The pool's destruction has been abandoned, or is about to be.
        "abandoned: pool 'blocked' is ",
        ", with 1 task in flight",
        "abandoned: pool 'stuck' is still being destroyed: its kDestroy has not ended",
        "with kSleep of pool 'blocked' for session",
    ] {
        assert!(log.contains(left), "{left} is not in\n{log}");
    }
    drop(client);
}

/// Whoever has it stopped is told what was abandoned.
#[test]
fn the_program_says_what_a_stop_has_abandoned() {
    let mut daemon = Daemon::start(&options("1s"));
    create(&daemon, "stuck", "stuck");
    let client = block(&daemon, "blocked");
    let stopped = daemon.cli(&["stop", "--json"]);
    assert_eq!(daemon.end(), 4);
    assert_eq!(stopped.code, 4, "{stopped:?}");
    assert!(stopped.stderr.contains("did not end in order"), "{stopped:?}");
    let document: serde_json::Value = serde_json::from_str(&stopped.stdout).unwrap();
    assert_eq!((&document["stopped"], &document["status"]), (&true.into(), &"CHI_FAILED".into()));
    let abandoned = document["abandoned"].to_string();
    for left in [
        "with kSleep of pool 'blocked' for session",
        "pool 'stuck' is still being destroyed: its kDestroy has not ended",
        "the thread chi-worker-0, whose method has not returned",
    ] {
        assert!(abandoned.contains(left), "{left} is not in {abandoned}");
    }
    drop(client);
}

/// A process that is killed while it stops has abandoned what it had.
#[test]
fn the_program_says_that_a_daemon_was_killed_while_it_stopped() {
    let mut daemon = Daemon::start(&options("600s"));
    let client = block(&daemon, "blocked");
    let mut command = daemon.site().command(artefacts::chimaera());
    command.args(["--name", daemon.site().name(), "stop", "--timeout", "60"]);
    let stopping = std::thread::spawn(move || process::run(&mut command));
    process::until("it is stopping", || daemon.log().contains("stopping").then_some(()));
    daemon.signal(Signal::KILL);
    daemon.end();
    let stopped = stopping.join().unwrap();
    assert_eq!(stopped.code, 4, "{stopped:?}");
    assert!(stopped.stdout.contains("its process ended without a word"), "{stopped:?}");
    drop(client);
}

/// A method may use all of the grace time: its pool is destroyed once it has returned.
#[test]
fn a_method_that_returns_within_the_grace_is_not_abandoned() {
    let mut daemon = Daemon::start(&options("8s"));
    create(&daemon, "other", "");
    let client = block_for(&daemon, "blocked", "7");
    daemon.stop();
    assert!(!daemon.log().contains("abandoned"), "{}", daemon.log());
    drop(client);
}

/// A pool that is created while the runtime stops is destroyed like any other.
#[test]
fn a_pool_that_is_being_created_at_the_stop_is_destroyed() {
    let mut daemon = Daemon::start(&options("10s"));
    let mut command = daemon.site().command(artefacts::chimaera());
    command.args(["--name", daemon.site().name(), "pool", "create", "late"]);
    let creating = Running::start(command.args(["--module", throws::MODULE, "--params", "slow"]));
    process::until("the status says which pool is being created", || {
        let status = daemon.site().status();
        let mut workers = status["each_worker"].as_array()?.iter();
        let running = workers.find_map(|worker| worker["running"].as_object())?;
        (running["pool"] == "late" && running["method"] == "kCreate").then_some(())
    });
    daemon.stop();
    let lines = ["pool created pool=\"late\"", "pool destroyed pool=\"late\""];
    assert_order(&daemon.log(), &lines);
    drop(creating);
}

#[test]
fn the_program_says_what_a_stop_waits_for_and_forces_it() {
    let mut daemon = Daemon::start(&options("600s"));
    let client = block(&daemon, "blocked");
    let obstacle =
        format!("with kSleep of pool 'blocked' for session 1 (process {})", client.pid());
    for seconds in ["1", "3"] {
        let waiting = daemon.cli(&["stop", "--timeout", seconds]);
        assert_eq!(waiting.code, 1, "{}", waiting.stderr);
        let still = format!("is still running after {seconds} s");
        for text in [&still, &obstacle, "chimaera stop --force"] {
            assert!(waiting.stderr.contains(text), "{text} is not in {}", waiting.stderr);
        }
        // It says so while it waits, too, with the time.
        let is_live = |line: &&str| {
            line.contains("waiting: worker 0 has been busy for ") && line.contains(&obstacle)
        };
        let live = waiting.stderr.lines().filter(is_live).count();
        assert!(seconds == "1" || live > 0, "{}", waiting.stderr);
    }
    let status = daemon.cli(&["status"]).ok().stdout;
    assert!(status.contains("stopping    for ") && status.contains(&obstacle), "{status}");
    let forced = daemon.cli(&["stop", "--force", "--json"]).ok().json();
    assert_eq!(forced["stopped"], true);
    let abandoned = forced["abandoned"].to_string();
    assert!(abandoned.contains(&obstacle), "{abandoned}");
    assert_eq!(daemon.end(), 4);
    assert!(daemon.log().contains("asked to stop by force"), "{}", daemon.log());
}

/// No worker is needed to stop a runtime.
#[test]
fn a_runtime_whose_every_worker_is_blocked_is_stopped() {
    let config = "workers: {low_latency: {count: 1}, standby: 0}\nstop_grace: 1s\n";
    let mut daemon = Daemon::start(&Options::new().throws().config(config));
    create(&daemon, "other", "");
    let client = block(&daemon, "blocked");
    let stopped = daemon.cli(&["stop"]);
    assert_eq!((stopped.code, daemon.end()), (4, 4), "{stopped:?}");
    let left = "with kSleep of pool 'blocked' for session";
    assert!(daemon.log().contains(left), "{}", daemon.log());
    assert!(stopped.stdout.contains(left), "{stopped:?}");
    drop(client);
}

#[test]
fn a_second_signal_forces_the_end() {
    let mut daemon = Daemon::start(&options("600s"));
    let client = block(&daemon, "blocked");
    daemon.signal(Signal::TERM);
    process::until("it is stopping", || daemon.log().contains(" stopping").then_some(()));
    assert!(daemon.is_alive());
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 4);
    assert!(daemon.log().contains("with kSleep of pool 'blocked'"), "{}", daemon.log());
    drop(client);
}

/// `--timeout` bounds everything, including the request.
#[test]
fn the_program_gives_up_on_a_runtime_that_does_not_answer() {
    let daemon = Daemon::start(&options("10s"));
    daemon.signal(Signal::STOP);
    let silent = daemon.cli(&["stop", "--timeout", "1"]);
    assert_eq!(silent.code, 1);
    assert!(silent.stderr.contains("did not answer within 1 s"), "{}", silent.stderr);
    daemon.signal(Signal::CONT);
}

/// Not even its backlog has room: the program has waited for that.
#[test]
fn the_program_gives_up_on_a_runtime_that_accepts_no_connection() {
    let mut daemon = Daemon::start(&options("10s"));
    daemon.signal(Signal::STOP);
    let state = format!("/proc/{}/status", daemon.pid());
    process::until("it has stopped", || {
        std::fs::read_to_string(&state).unwrap().contains("State:\tT").then_some(())
    });
    let address = SocketAddrUnix::new(daemon.site().socket()).unwrap();
    let mut waiting = Vec::new();
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let socket = socket_with(family, kind, flags, None).unwrap();
        match connect_socket(&socket, &address) {
            Ok(()) => waiting.push(socket),
            Err(error) => break assert_eq!(error, Errno::AGAIN),
        }
    }
    let silent = daemon.cli(&["stop", "--timeout", "1"]);
    assert_eq!(silent.code, 1, "{silent:?}");
    let why = "did not answer within 1 s; `chimaera stop --force` ends it at once";
    assert!(silent.stderr.contains(why), "{silent:?}");
    daemon.cli(&["stop", "--force", "--timeout", "1"]).ok();
    assert_eq!(daemon.end(), -libc::SIGKILL);
}

/// Its status page is there, but says nothing about now.
#[test]
fn the_status_of_a_runtime_that_does_not_answer_says_so() {
    let daemon = Daemon::start(&options("10s"));
    daemon.signal(Signal::STOP);
    let (text, json) = std::thread::scope(|scope| {
        let site = daemon.site().clone();
        let text = scope.spawn(move || site.cli(&["status"]));
        let json = daemon.cli(&["status", "--json"]);
        (text.join().expect("it ends"), json)
    });
    daemon.signal(Signal::CONT);
    assert_eq!((text.code, json.code), (1, 1), "{text:?} {json:?}");
    assert!(text.stdout.contains("workers"), "the page is shown: {text:?}");
    assert!(text.stderr.contains("did not answer within"), "{text:?}");
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json["running"], &json["answers"]), (&true.into(), &false.into()), "{json}");
    assert!(json["error"].as_str().unwrap().contains("did not answer within"), "{json}");
    let status = daemon.cli(&["status", "--json"]).ok().json();
    assert_eq!(status["answers"], true, "{status}");
}

#[test]
fn a_runtime_that_does_not_answer_is_killed_by_force() {
    let mut daemon = Daemon::start(&options("10s"));
    daemon.signal(Signal::STOP);
    let forced = daemon.cli(&["stop", "--force", "--timeout", "1", "--json"]).ok().json();
    assert_eq!(forced["stopped"], true, "{forced}");
    let why = "all work: the process did not answer, and was killed";
    assert_eq!(forced["abandoned"], serde_json::json!([why]));
    assert_eq!(daemon.end(), -9);
}

/// Has a module make a mistake that its task survives, in a daemon of one worker. Evaluates to the
/// daemon.
macro_rules! after {
    ($mistake:expr, $milliseconds:expr) => {{
        let options = options("3s").crash();
        let daemon = in_client_that_may_end_it!(options, |_| {
            let ipc = connect();
            let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
            let task: NewTask<CrashTask> = ipc.task(pool, crash::CRASH);
            task.mistake.set($mistake);
            task.depth.set($milliseconds);
            task.call().unwrap();
        });
        let Some(daemon) = daemon else { return };
        daemon
    }};
}

#[test]
fn a_destructor_of_a_thread_local_object_does_not_prevent_the_end() {
    let mut daemon = after!(crash::STUCK_AT_EXIT, 0);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 4);
    let why = "a destructor of a module's thread-local object has not returned";
    assert!(daemon.log().contains(why), "{}", daemon.log());
}

#[test]
fn a_destructor_of_a_static_object_does_not_prevent_the_end() {
    let mut daemon = after!(crash::STUCK_STATIC, 0);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 4);
    let log = daemon.log();
    let why = "a destructor or an exit handler of a module has not returned";
    assert_order(&log, &[" stopped", why]);
}

#[test]
fn the_program_waits_for_the_process_and_says_what_kept_it() {
    let mut daemon = after!(crash::STUCK_STATIC, 0);
    let hasty = daemon.cli(&["stop", "--timeout", "1"]);
    assert_eq!(hasty.code, 1, "{hasty:?}");
    assert!(hasty.stderr.contains("its process"), "{hasty:?}");
    assert_eq!(daemon.end(), 4);
    let mut daemon = after!(crash::STUCK_STATIC, 0);
    let stopped = daemon.cli(&["stop"]);
    assert_eq!(stopped.code, 4, "{stopped:?}");
    let why = "abandoned: a destructor or an exit handler of a module has not returned";
    assert!(stopped.stdout.contains(why), "{stopped:?}");
    assert!(!daemon.is_alive(), "the program says that it has stopped");
    assert_eq!(daemon.end(), 4);
}

/// Whatever the runtime has said before: the program looks whether its process has left last words.
#[test]
fn the_program_tells_of_a_crash_at_the_end() {
    let mut daemon = after!(crash::CRASH_STATIC, 0);
    let stopped = daemon.cli(&["stop"]);
    assert_eq!(stopped.code, 4, "{stopped:?}");
    assert!(stopped.stdout.contains("it crashed: "), "{stopped:?}");
    assert!(stopped.stdout.contains("last words: SIGSEGV at 0x8"), "{stopped:?}");
    assert_eq!(daemon.end(), -libc::SIGSEGV);
}

/// There are stacks for signals until the very end of a thread.
#[test]
fn a_stack_overflow_of_a_static_object_has_last_words() {
    overflows(&mut after!(crash::OVERFLOW_STATIC, 0), "in a thread that is no worker");
}

#[test]
fn a_stack_overflow_at_the_end_of_a_worker_has_last_words() {
    overflows(&mut after!(crash::OVERFLOW_AT_EXIT, 0), "which is starting or ending");
}

#[track_caller]
fn overflows(daemon: &mut Daemon, place: &str) {
    let stopped = daemon.cli(&["stop"]);
    assert_eq!(stopped.code, 4, "{stopped:?}");
    let crashed = stopped.stdout.contains("it crashed: ") && stopped.stdout.contains(place);
    assert!(crashed, "{stopped:?}");
    assert_eq!(daemon.end(), -libc::SIGSEGV);
}

/// What was left to do then was not done.
#[test]
fn an_exit_of_a_module_at_the_end_is_told() {
    is_told(&mut after!(crash::LEAVE_AT_EXIT, 0), "_exit");
}

#[test]
fn an_exit_in_a_handler_of_exit_is_told() {
    is_told(&mut after!(crash::EXIT_AT_EXIT, 0), "exit");
}

#[test]
fn a_quick_exit_in_a_handler_of_exit_is_told() {
    is_told(&mut after!(crash::QUICK_EXIT_AT_EXIT, 0), "quick_exit");
}

#[track_caller]
fn is_told(daemon: &mut Daemon, call: &str) {
    let stopped = daemon.cli(&["stop"]);
    assert_eq!(stopped.code, 4, "{stopped:?}");
    let words = format!("last words: {call}(0) was called");
    assert!(stopped.stdout.contains(&words), "{stopped:?}");
    assert_eq!(daemon.end(), 70);
}

/// Whoever starts a daemon may have blocked signals, as threads of many programs do.
#[test]
fn signals_that_were_blocked_at_the_start_work() {
    let site = Site::new();
    let mut command = Options::new().crash().workers(1).command(&site);
    // SAFETY: the function makes a system call on a set of its own.
    unsafe {
        command.pre_exec(|| {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&mut all);
            match libc::pthread_sigmask(libc::SIG_SETMASK, &all, std::ptr::null_mut()) {
                0 => Ok(()),
                error => Err(std::io::Error::from_raw_os_error(error)),
            }
        });
    }
    let mut daemon = Daemon::run(site, command);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 0);
}

/// What a pool could not do at its end is not passed over: it may have had data to write. The others are destroyed.
#[test]
fn a_pool_that_fails_at_its_end_is_told() {
    let mut daemon = Daemon::start(&options("3s").crash());
    for (pool, params) in [("below", ""), ("fails", "throw at the end"), ("above", "")] {
        let create = ["pool", "create", pool, "--module", crash::MODULE, "--params", params];
        daemon.cli(&create).ok();
    }
    let stopped = daemon.cli(&["stop"]);
    assert_eq!(stopped.code, 4, "{stopped:?}");
    let why = "abandoned: kDestroy of pool 'fails': it cannot flush";
    assert!(stopped.stdout.contains(why), "{stopped:?}");
    assert_eq!(daemon.end(), 4);
    let log = daemon.log();
    assert_eq!(log.matches("pool destroyed").count(), 3, "{log}");
}

#[test]
fn the_program_tells_of_a_crash_in_a_pools_end() {
    let daemon = in_client_that_may_end_it!(options("3s").crash(), |_| {
        connect().create_pool(crash::MODULE, "fragile", b"abort at the end").unwrap();
    });
    let Some(mut daemon) = daemon else { return };
    let stopped = daemon.cli(&["stop", "--json"]);
    assert_eq!(stopped.code, 4, "{stopped:?}");
    let abandoned = stopped.json()["abandoned"][0].as_str().unwrap().to_owned();
    let why = "last words: SIGABRT in kDestroy of pool 'fragile', module ";
    assert!(abandoned.contains(why), "{abandoned}");
    assert_eq!(daemon.end(), -libc::SIGABRT);
}

#[test]
fn the_program_tells_of_a_crash_at_the_end_in_json() {
    let mut daemon = after!(crash::CRASH_STATIC, 0);
    let stopped = daemon.cli(&["stop", "--json"]);
    assert_eq!(stopped.code, 4, "{stopped:?}");
    let abandoned = stopped.json()["abandoned"].to_string();
    assert!(abandoned.contains("last words: SIGSEGV at 0x8"), "{abandoned}");
    assert_eq!(daemon.end(), -libc::SIGSEGV);
}

/// The instance's name is free before the process has ended, and another may have crashed under it.
#[test]
fn a_crash_of_the_next_process_is_not_taken_for_that_of_the_last() {
    let daemon = in_client_that_may_end_it!(options("600s").crash(), |_| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        let task: NewTask<CrashTask> = ipc.task(pool, crash::CRASH);
        task.mistake.set(crash::STUCK_STATIC);
        task.call().unwrap();
    });
    let Some(mut daemon) = daemon else { return };
    let site = daemon.site().clone();
    let mut command = site.command(artefacts::chimaera());
    command.args(["--name", site.name(), "stop", "--timeout", "60"]);
    let stopping = std::thread::spawn(move || process::run(&mut command));
    process::until("the name is free", || (site.status()["running"] == false).then_some(()));
    let mut next = Daemon::start_at(site, &Options::new().workers(1));
    next.signal(Signal::ABORT);
    assert_eq!(next.end(), -libc::SIGABRT);
    daemon.signal(Signal::KILL);
    assert_eq!(daemon.end(), -libc::SIGKILL);
    let stopped = stopping.join().unwrap();
    assert!(!stopped.stdout.contains("it crashed"), "{stopped:?}");
}

/// It runs none of the runtime's code, and ends with the process.
#[test]
fn a_thread_of_a_module_that_never_ends_does_not_prevent_the_end() {
    let mut daemon = after!(crash::STUCK_THREAD, 0);
    daemon.stop();
    assert!(daemon.log().contains(" stopped"), "{}", daemon.log());
}

/// A subtask that has begun runs to its end, and the task that waits for it goes on.
#[test]
fn a_subtask_that_runs_at_the_stop_is_finished() {
    let daemon = in_client_that_may_end_it!(options("10s"), |site| {
        let ipc = connect();
        ipc.create_pool(throws::MODULE, "bottom", b"").unwrap();
        let pool = ipc.create_pool(throws::MODULE, "top", b"flush bottom").unwrap();
        let task: NewTask<NumberTask> = ipc.task(pool, throws::FLUSH);
        task.value.set(2_000_000_000);
        let task = task.submit().unwrap();
        process::until("it runs", || {
            let status = site.status();
            let workers = status["each_worker"].as_array().unwrap();
            workers.iter().any(|worker| worker["running"]["pool"] == "bottom").then_some(())
        });
        let stopping = Running::start(site.command(artefacts::chimaera()).arg("stop"));
        process::until("it is stopping", || {
            let status = site.cli(&["status", "--json"]);
            (status.code == 0 && status.json()["stopping"].is_object()).then_some(())
        });
        assert!(!task.is_complete(), "it was over before the stop");
        // Its method has returned, but its client had it cancelled, by the stop.
        let ended = task.wait().map(drop);
        assert!(ended.is_ok() || text_of(ended).0 == CHI_CANCELLED);
        drop(stopping);
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), 0, "{}", daemon.log());
    let log = daemon.log();
    // By the task, and then by its pool's kDestroy.
    assert_eq!(log.matches("flushed into bottom").count(), 2, "{log}");
    assert_order(&log, &[" stopping", "flushed into bottom", "pool destroyed pool=\"top\""]);
}

/// All addresses are taken by the stacks of suspended tasks, and others wait for a stack.
#[test]
fn a_worker_without_memory_for_stacks_stops() {
    let config = "workers: 1\nstack_size: 64MiB\n";
    let options = Options::new().model().config(config).addresses(8 << 30);
    let daemon = in_client_that_may_end_it!(options, |site| {
        let pool = ValuePool::new(connect(), model::MODULE, "full");
        let mut tasks = Vec::new();
        // The first that find no stack end at once; later ones wait for one.
        for _ in 0..3 {
            tasks.extend((0..300).map(|_| pool.submit(model::SLEEP, 3_600_000_000_000)));
            std::thread::sleep(Duration::from_millis(500));
        }
        let is_over = |task: &Pending<ValueTask>| task.is_complete();
        let (over, left): (Vec<_>, Vec<_>) = tasks.into_iter().partition(is_over);
        for task in over {
            let (status, message) = text_of(task.wait());
            assert_eq!(status, CHI_NO_SPACE, "{message}");
            assert!(message.contains("no memory for another task's stack"), "{message}");
        }
        let suspended = site.status()["tasks_suspended"].as_u64().unwrap() as usize;
        assert!((1..left.len()).contains(&suspended), "{suspended} of {}", left.len());
        site.cli(&["stop"]).ok();
        for task in left {
            let (status, message) = text_of(task.wait());
            let ways = [CHI_CANCELLED, CHI_UNAVAILABLE, CHI_NO_SPACE];
            assert!(ways.contains(&status), "{message}");
        }
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), 0, "{}", daemon.log());
    assert!(!daemon.log().contains("abandoned"), "{}", daemon.log());
}

#[test]
fn a_module_cannot_take_the_signals_that_stop_the_runtime() {
    let mut daemon = after!(crash::SIGNALS, 0);
    // Each is refused for both signals; that is as many lines as the log's limit lets pass.
    for function in ["signal", "sysv_signal", "sigset", "sigignore", "sigaction"] {
        let refused = format!(": {function} is refused: ");
        assert_eq!(daemon.log().matches(&refused).count(), 2, "{function}\n{}", daemon.log());
    }
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 0, "{}", daemon.log());
    assert!(daemon.log().contains(" stopped"), "{}", daemon.log());
}

/// A child that executes no program has copies of the daemon's descriptors.
#[test]
fn a_child_that_a_module_forks_does_not_stand_for_the_runtime() {
    let mut daemon = after!(crash::FORK, 60_000);
    let site = daemon.site().clone();
    daemon.kill();
    let status = site.cli(&["status"]);
    assert_eq!(status.code, 3, "{status:#?}");
    assert!(status.stderr.contains("is not running"), "{status:#?}");
    Daemon::start_at(site, &Options::new().workers(1)).stop();
}

/// Nobody has asked for that: it does not end like a daemon that its user has stopped.
#[test]
fn a_module_that_stops_the_runtime_by_a_signal_is_told() {
    let mut daemon = after!(crash::TERMINATE, 0);
    assert_eq!(daemon.end(), 1, "{}", daemon.log());
    assert!(
        daemon.log().contains("sent by a module or a library in this process"),
        "{}",
        daemon.log()
    );
    assert!(daemon.log().contains(" stopped"), "{}", daemon.log());
}

/// A SIGHUP that has only reopened the log is not what stops it.
#[test]
fn a_module_that_reopens_the_log_makes_no_stop_a_failure() {
    let options = Options::new().crash().config("log: {file: own.log}\n");
    let daemon = in_client_that_may_end_it!(options, |_| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        let task: NewTask<CrashTask> = ipc.task(pool, crash::CRASH);
        task.mistake.set(crash::HANG_UP);
        task.call().unwrap();
    });
    let Some(mut daemon) = daemon else { return };
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), 0);
}

#[test]
fn a_module_cannot_leave_the_runtime_by_daemon() {
    let mut daemon = after!(crash::DAEMON, 0);
    assert!(daemon.log().contains(": daemon is refused: "), "{}", daemon.log());
    daemon.stop();
}

/// The program's own descriptors, to be told the end with, are gone as well.
#[test]
fn a_runtime_without_descriptors_is_stopped() {
    let mut daemon = after!(crash::OPEN_ALL, 0);
    let stopped = daemon.cli(&["stop"]);
    assert_eq!((stopped.code, &stopped.stderr[..]), (0, ""), "{stopped:#?}\n{}", daemon.log());
    assert_eq!(daemon.end(), 0, "{}", daemon.log());
}
