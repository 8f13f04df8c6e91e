//! Last words: whatever ends a daemon, its log and a crash file say what it was and whose code ran,
//! and its exit code is not that of success.

use chimaera::{Ipc, NewTask, PoolId};
use chimaera_test_rust_faults_client as faults;
use chimaera_tests::tasks::crash::{self, CrashTask};
use chimaera_tests::{connect, in_client_that_may_end_it, text_of, Call, Daemon, Options};
use rustix::process::Signal;

fn task(ipc: Ipc, pool: PoolId, method: u32, mistake: u64) -> NewTask<CrashTask> {
    let task: NewTask<CrashTask> = ipc.task(pool, method);
    task.mistake.set(mistake);
    task
}

/// Makes a mistake in the module of a fresh daemon. Evaluates to the daemon and its exit code, once
/// it has ended.
macro_rules! ended_by {
    ($method:expr, $mistake:expr) => {{
        let daemon = in_client_that_may_end_it!(Options::new().crash(), |_| {
            let ipc = connect();
            let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
            let (status, message) = text_of(task(ipc, pool, $method, $mistake).call());
            assert_eq!(status, chimaera::abi::CHI_UNAVAILABLE, "{message}");
        });
        let Some(mut daemon) = daemon else { return };
        let code = daemon.end();
        (daemon, code)
    }};
}

fn crash_file(daemon: &Daemon) -> String {
    let name = format!("{}.crash", daemon.site().name());
    let path = daemon.site().path().join("chimaera").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Checks that log and crash file report an end in kCrash of pool 'fragile'.
#[track_caller]
fn check_words(daemon: &Daemon, code: i32, what: &str, symbols: &[&str]) {
    assert_ne!(code, 0, "{}", daemon.log());
    for words in [daemon.log(), crash_file(daemon)] {
        let line = words.lines().find(|line| line.contains("last words"));
        let line = line.unwrap_or_else(|| panic!("no last words in {words}"));
        let known = ["kCrash of pool 'fragile'", "session 1", "root ", "task 0x", "libcrash.so"];
        for part in known.iter().chain([&what]) {
            assert!(line.contains(part), "{part} is missing in {line}");
        }
        for symbol in symbols {
            assert!(words.contains(symbol), "{symbol} is missing in {words}");
        }
    }
}

#[test]
fn of_an_abort() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::ABORT);
    assert_eq!(code, -libc::SIGABRT);
    check_words(&daemon, code, "SIGABRT", &["abort", "Runtime3Run"]);
}

#[test]
fn of_terminate() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::ABORTS[1]);
    check_words(&daemon, code, "SIGABRT", &["terminate", "Runtime3Run"]);
}

#[test]
fn of_a_throw_from_noexcept() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::ABORTS[2]);
    check_words(&daemon, code, "SIGABRT", &["Runtime3Run"]);
}

#[test]
fn of_a_throw_from_a_destructor() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::ABORTS[3]);
    check_words(&daemon, code, "SIGABRT", &["Runtime3Run"]);
}

#[test]
fn of_a_panic_while_panicking() {
    let daemon = in_client_that_may_end_it!(Options::new().rust_faults(), |_| {
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "fragile", b"").unwrap();
        let call = ipc.task::<faults::FaultTask>(pool, faults::Method::PANIC_TWICE);
        assert_eq!(text_of(call.call()).0, chimaera::abi::CHI_UNAVAILABLE);
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), -libc::SIGABRT);
    let words = crash_file(&daemon);
    assert!(words.contains("SIGABRT in kPanicTwice of pool 'fragile'"), "{words}");
}

#[test]
fn of_a_double_free() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::ABORTS[4]);
    check_words(&daemon, code, "SIGABRT", &["free", "Runtime3Run"]);
}

#[test]
fn of_a_pthread_exit() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::ABORTS[5]);
    check_words(&daemon, code, "SIGABRT", &["abort", "Guard"]);
}

#[test]
fn of_a_fault_in_the_c_library() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::LIBC_READ);
    assert_eq!(code, -libc::SIGSEGV);
    check_words(&daemon, code, "SIGSEGV at 0x0", &["Runtime3Run", "libc.so"]);
}

#[test]
fn of_an_exit_with_0() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::EXITS[0]);
    check_words(&daemon, code, "exit(0)", &["exit", "Runtime3Run"]);
}

#[test]
fn of_an_exit_with_7() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::EXITS[1]);
    assert_eq!(code, 7);
    check_words(&daemon, code, "exit(7)", &["exit", "Runtime3Run"]);
}

#[test]
fn of_a_quick_exit() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::EXITS[2]);
    check_words(&daemon, code, "quick_exit(0)", &["Runtime3Run"]);
}

#[test]
fn of_an_immediate_exit() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::EXITS[3]);
    check_words(&daemon, code, "_exit(0)", &["Runtime3Run"]);
}

#[test]
fn of_an_abort_in_a_poller() {
    let daemon = in_client_that_may_end_it!(Options::new().crash(), |_| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        // It adds the poller, which may be called before or after it has ended.
        if let Err(status) = task(ipc, pool, crash::POLLED, crash::ABORT).call() {
            assert_eq!(status.code(), chimaera::abi::CHI_UNAVAILABLE, "{}", status.message());
        }
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), -libc::SIGABRT);
    let words = crash_file(&daemon);
    let line = words.lines().find(|line| line.contains("last words")).expect("there are some");
    for part in ["SIGABRT in a poller of pool 'fragile', module ", "libcrash.so", ", worker "] {
        assert!(line.contains(part), "{part} is missing in {line}");
    }
}

/// A worker whose thread is gone can do nothing more, so the daemon stops, as far as that is possible.
#[test]
fn of_a_worker_that_a_system_call_ends() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::THREAD_EXIT);
    let log = daemon.log();
    assert_eq!(code, 1, "{log}");
    assert!(log.contains("has ended inside kCrash of pool 'fragile'"), "{log}");
    let words = crash_file(&daemon);
    let what = " ERROR last words: the thread of worker ";
    assert!(words.contains(what) && words.contains("kCrash of pool 'fragile'"), "{words}");
}

/// It is not said to be busy.
#[test]
fn of_a_worker_that_a_system_call_ends_while_others_run() {
    let config = "workers: 2\nstop_grace: 600s\n";
    let daemon = in_client_that_may_end_it!(Options::new().crash().config(config), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        let lost = task(ipc, pool, crash::CRASH, crash::THREAD_EXIT).submit().unwrap();
        let stop = site.cli(&["stop", "--timeout", "4"]);
        let why = "has ended in kCrash of pool 'fragile'";
        assert!(stop.code == 1 && stop.stderr.contains(why), "{stop:?}");
        let status = site.cli(&["status"]).ok().stdout;
        assert!(status.contains(why) && !status.contains(" s with kCrash"), "{status}");
        site.cli(&["stop", "--force"]);
        assert!(lost.wait().is_err());
    });
    let Some(mut daemon) = daemon else { return };
    assert_ne!(daemon.end(), 0);
}

/// The thread is not a worker's: the last words say which one it was.
#[test]
fn of_a_module_s_own_thread() {
    let (daemon, code) = ended_by!(crash::THREAD, crash::FAULTS[0].0);
    assert_eq!(code, -libc::SIGSEGV);
    let words = crash_file(&daemon);
    assert!(words.contains("SIGSEGV at 0x8"), "{words}");
    assert!(words.contains("libcrash.so"), "{words}");
    assert!(words.contains(" in a thread of a module or library, module "), "{words}");
    assert!(words.contains(" (crash-helper)"), "{words}");
    assert!(words.lines().next().unwrap().contains("libcrash.so, thread "), "{words}");
    assert!(daemon.log().contains("last words"), "{}", daemon.log());
}

#[test]
fn of_an_abort_in_a_destructor() {
    let mut daemon = Daemon::start(&Options::new().crash());
    let create = ["pool", "create", "fragile", "--module", crash::MODULE];
    daemon.cli(&[&create[..], &["--params", "abort in the destructor"]].concat()).ok();
    let destroyed = daemon.cli(&["pool", "destroy", "fragile"]);
    assert_eq!(destroyed.code, 3, "{destroyed:?}");
    assert!(destroyed.stderr.contains("has ended before it answered"), "{destroyed:?}");
    assert_eq!(daemon.end(), -libc::SIGABRT);
    let words = crash_file(&daemon);
    let what = "last words: SIGABRT in the destructor of a container of pool 'fragile', module ";
    assert!(words.contains(what), "{words}");
}

/// The first of them takes the runtime's handler off the C library's list.
#[test]
fn of_two_threads_that_exit_at_once() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::EXIT_TWICE);
    let words = crash_file(&daemon);
    assert!(
        code == 70 && words.contains("last words: exit(0) was called in a thread of"),
        "{words}"
    );
}

/// The kernel would end the process at once if the signal were blocked.
#[test]
fn of_a_thread_that_was_started_with_signals_blocked() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::BLOCKED_THREAD);
    let words = crash_file(&daemon);
    assert_eq!(code, -libc::SIGSEGV, "{words}");
    assert!(words.contains("last words: SIGSEGV at 0x8 in a thread of a module"), "{words}");
}

/// It must not end in the middle of its last words.
#[test]
fn of_a_thread_that_is_cancelled() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::CANCELLED_FAULT);
    let words = crash_file(&daemon);
    assert_eq!(code, -libc::SIGSEGV, "{words}");
    assert!(words.contains("last words: SIGSEGV at 0x8 in a thread of a module"), "{words}");
}

#[test]
fn of_a_fault_in_a_handler_that_blocks_all_signals() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::MASKED_HANDLER);
    assert_eq!(code, -libc::SIGSEGV);
    check_words(&daemon, code, "SIGSEGV at 0x8", &[]);
}

/// A test of each way to block the signal of a fault that ends the runtime.
macro_rules! of_faults_with_blocked_signals {
    ($($name:ident: $mistake:expr,)*) => {$(
        #[test]
        fn $name() {
            let (daemon, code) = ended_by!(crash::CRASH, $mistake);
            let words = crash_file(&daemon);
            assert_eq!(code, -libc::SIGSEGV, "{words}");
            assert!(words.contains("last words: SIGSEGV at 0x8 in "), "{words}");
        }
    )*};
}

of_faults_with_blocked_signals! {
    of_a_fault_in_ppoll: crash::PPOLL,
    of_a_fault_in_pselect: crash::PSELECT,
    of_a_fault_in_epoll_pwait: crash::EPOLL_PWAIT,
    of_a_fault_in_epoll_pwait2: crash::EPOLL_PWAIT2,
    of_a_fault_in_sigsuspend: crash::SIGSUSPEND,
    of_a_fault_in_sigpause: crash::SIGPAUSE,
    of_a_fault_in_a_thread_of_a_timer: crash::TIMER,
    of_a_thread_whose_attributes_block_signals: crash::BLOCKED_BY_ATTRIBUTES,
    of_a_context_that_blocks_signals: crash::BLOCKED_CONTEXT,
}

/// Checks the end by an overflow of a thread's stack.
macro_rules! ended_by_overflow {
    ($mistake:expr) => {
        let (daemon, code) = ended_by!(crash::CRASH, $mistake);
        let words = crash_file(&daemon);
        assert_eq!(code, -libc::SIGSEGV, "{words}");
        assert!(words.contains(" in a thread of a module") && words.contains("Endless"), "{words}");
    };
}

#[test]
fn of_a_stack_overflow_in_a_thread_of_a_module() {
    ended_by_overflow!(crash::OVERFLOW_THREAD);
}

#[test]
fn of_a_stack_overflow_in_a_thread_of_a_timer() {
    ended_by_overflow!(crash::OVERFLOW_TIMER);
}

#[test]
fn of_a_stack_overflow_in_a_thread_of_thrd_create() {
    ended_by_overflow!(crash::OVERFLOW_THRD);
}

/// It has the name of the worker that started it, and is not said to be that.
#[test]
fn of_a_module_s_own_thread_without_a_name() {
    let daemon = in_client_that_may_end_it!(Options::new().crash(), |_| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        let task = task(ipc, pool, crash::THREAD, crash::FAULTS[0].0);
        task.through.set(crash::UNNAMED);
        assert_eq!(text_of(task.call()).0, chimaera::abi::CHI_UNAVAILABLE);
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), -libc::SIGSEGV);
    let words = crash_file(&daemon);
    let (_, thread) = words
        .lines()
        .next()
        .and_then(|line| line.split_once(" in a thread of a module or library, module "))
        .and_then(|(_, rest)| rest.split_once(", thread "))
        .unwrap_or_else(|| panic!("{words}"));
    let (number, name) = thread.split_once(' ').unwrap();
    assert!(number.parse::<u32>().is_ok() && name.starts_with("(chi-worker-"), "{words}");
}

/// A destructor of a thread-local object runs when the worker is no more.
#[test]
fn of_a_fault_at_the_end_of_a_worker_s_thread() {
    let daemon = in_client_that_may_end_it!(Options::new().crash(), |_| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        task(ipc, pool, crash::CRASH, crash::CRASH_AT_EXIT).call().unwrap();
    });
    let Some(mut daemon) = daemon else { return };
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.end(), -libc::SIGSEGV);
    let words = crash_file(&daemon);
    let (_, thread) = words
        .lines()
        .next()
        .and_then(|line| line.split_once(" in the thread of worker "))
        .unwrap_or_else(|| panic!("{words}"));
    assert!(thread.contains(", which is starting or ending, module "), "{words}");
    assert!(thread.contains(" (chi-worker-"), "{words}");
}

#[test]
fn of_a_quit() {
    let (daemon, code) = ended_by!(crash::CRASH, crash::QUIT);
    assert_eq!(code, -libc::SIGQUIT);
    assert!(crash_file(&daemon).contains("last words: SIGQUIT"), "{}", crash_file(&daemon));
}

/// A signal that nobody handles, here that of a timer which a module has set.
#[test]
fn of_an_alarm() {
    let daemon = in_client_that_may_end_it!(Options::new().crash(), |_| {
        let ipc = connect();
        let pool = ipc.create_pool(crash::MODULE, "fragile", b"").unwrap();
        // The daemon may end before the task does.
        let _ = task(ipc, pool, crash::CRASH, crash::ALARM).call();
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), -libc::SIGALRM);
    assert!(crash_file(&daemon).contains("SIGALRM"), "{}", crash_file(&daemon));
    assert!(daemon.log().contains("last words: SIGALRM"), "{}", daemon.log());
}

/// In a JSON log, every line remains an object.
#[test]
fn of_a_log_in_json() {
    let mut daemon = Daemon::start(&Options::new().config("log: {format: json}\n"));
    daemon.signal(Signal::ABORT);
    assert_eq!(daemon.end(), -libc::SIGABRT);
    let lines: Vec<serde_json::Value> =
        daemon.log().lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let last = lines.last().unwrap();
    assert_eq!(
        (&last["level"], &last["target"]),
        (&"ERROR".into(), &"chimaera::last_words".into())
    );
    let message = last["message"].as_str().unwrap();
    assert!(message.starts_with("last words: SIGABRT sent by"), "{message}");
    assert!(message.contains("\n   0: "), "{message}");
    assert!(crash_file(&daemon).starts_with(last["timestamp"].as_str().unwrap()));
}

/// If a fault's signal was sent by a process, no instruction would raise it again.
#[test]
fn of_a_fault_that_was_sent() {
    for signal in [Signal::SEGV, Signal::BUS, Signal::FPE, Signal::ILL] {
        let mut daemon = Daemon::start(&Options::new());
        daemon.signal(signal);
        assert_eq!(daemon.end(), -signal.as_raw(), "{}", daemon.log());
        assert!(crash_file(&daemon).contains("sent by process"), "{}", daemon.log());
    }
}

/// There are last words for a signal that was sent, too, and `status` and the next start show them.
#[test]
fn are_shown_by_status_and_the_next_start() {
    let mut daemon = Daemon::start(&Options::new());
    daemon.signal(Signal::ABORT);
    assert_eq!(daemon.end(), -libc::SIGABRT);
    let words = crash_file(&daemon);
    let headline = words.lines().next().unwrap().to_owned();
    assert!(headline.contains("SIGABRT"), "{words}");
    let site = daemon.site().clone();
    let status = site.cli(&["status"]);
    assert_eq!(status.code, 3, "{status:#?}");
    assert!(status.stderr.contains(&headline), "{status:#?}");
    let status = site.status();
    assert_eq!(status["running"], false, "{status}");
    let text = status["last_crash"]["text"].as_str().unwrap();
    // The signal may have reached a thread that was just starting, with no calls of the program on
    // its stack.
    assert!(text.starts_with(&headline) && text.contains("\n   0: "), "{status}");

    let mut next = Daemon::start_at(site.clone(), &Options::new());
    assert!(next.log().contains(&format!("an earlier run crashed: {headline}")), "{}", next.log());
    assert_eq!(site.status()["last_crash"]["text"], status["last_crash"]["text"]);
    assert!(site.cli(&["status"]).stdout.contains("last crash"));
    next.stop();
    assert_eq!(site.status()["last_crash"], serde_json::Value::Null, "it stopped in order");

    let started = site.cli(&["start", "--daemon", "--workers", "1"]);
    assert_eq!(started.code, 0, "{started:#?}");
    assert!(!started.stderr.contains("crashed"), "{started:#?}");
    let pid = site.status()["pid"].as_i64().unwrap();
    let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
    rustix::process::kill_process(pid, Signal::ABORT).unwrap();
    while site.status()["running"] == true {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let started = site.cli(&["start", "--daemon", "--workers", "1"]);
    assert_eq!(started.code, 0, "{started:#?}");
    assert!(started.stderr.contains("an earlier run crashed"), "{started:#?}");
    assert_eq!(site.cli(&["stop"]).code, 0);
}
