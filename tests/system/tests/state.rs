//! Methods that change the state of the thread or the process: other tasks on the worker are not
//! affected, and a method that waits has its own state afterwards.

use std::time::Duration;

use chimaera::abi::{CHI_FAILED, CHI_FAULT};
use chimaera::{Ipc, NewTask, PoolId};
use chimaera_tests::tasks::state::{self, StateTask};
use chimaera_tests::{artefacts, connect, in_client, in_client_that_may_end_it};
use chimaera_tests::{text_of, Call, Options};

/// Long enough for other tasks to run meanwhile.
const WHILE: Duration = Duration::from_millis(200);

#[derive(Clone, Copy)]
struct Pool {
    ipc: Ipc,
    id: PoolId,
}

impl Pool {
    fn of(module: &str, name: &str) -> Pool {
        let ipc = connect();
        Pool { ipc, id: ipc.create_pool(module, name, b"").unwrap() }
    }

    fn new() -> Pool {
        Pool::of(state::MODULE, "state")
    }

    fn task(self, method: u32, what: u64) -> NewTask<StateTask> {
        let task: NewTask<StateTask> = self.ipc.task(self.id, method);
        task.what.set(what);
        task.sleep.set(WHILE.as_nanos() as u64);
        task
    }

    #[track_caller]
    fn call(self, method: u32, what: u64) -> u64 {
        self.task(method, what).call().unwrap().result.get()
    }
}

/// The names of the modules, libc++ beside libstdc++ if this machine has it.
fn modules() -> impl Iterator<Item = &'static str> {
    let libcxx = artefacts::optional_test_module("state_libcxx");
    if libcxx.is_none() {
        eprintln!("skipped: the module with libc++ was not built");
    }
    [state::MODULE].into_iter().chain(libcxx.map(|_| state::LIBCXX))
}

/// A pool of each of these modules.
fn pools() -> Vec<Pool> {
    modules().map(|module| Pool::of(module, module)).collect()
}

/// One worker, so that all tasks share its thread.
fn options() -> Options {
    Options::new().state().workers(1)
}

/// What a method sets is not visible to later methods, nor to those that run while it waits, and is
/// still set after the wait.
#[track_caller]
fn check_is_its_own(pool: Pool, what: u64) {
    assert_eq!(pool.call(state::LOOK, what), 0, "{what} at the start");
    assert_eq!(pool.call(state::SET, what), 1, "{what}");
    assert_eq!(pool.call(state::LOOK, what), 0, "{what} after a method that set it");
    check_waits(pool, what);
}

#[track_caller]
fn check_waits(pool: Pool, what: u64) {
    let waiting = pool.task(state::KEEP, what).submit().unwrap();
    assert_eq!(pool.call(state::LOOK, what), 0, "{what} while a method waits that set it");
    assert_eq!(waiting.wait().unwrap().result.get(), 1, "{what} after a wait");
    let waiting = pool.task(state::LOOK, what);
    assert_eq!(waiting.call().unwrap().result.get(), 0, "{what} after a method that waited");
}

/// What another method sets while the first waits is not visible to the first.
#[track_caller]
fn check_waits_without(pool: Pool, what: u64, nothing: u64) {
    let waiting = pool.task(state::KEEP, nothing).submit().unwrap();
    assert_eq!(pool.call(state::SET, what), 1);
    drop(waiting.wait().unwrap());
    assert_eq!(pool.call(state::LOOK, what), 0);
}

/// The module's constructor has changed some of this state, on the thread that starts the workers.
#[test]
fn floating_point_control_is_a_task_s_own() {
    in_client!(options(), |_| {
        for pool in pools() {
            for what in state::FLOATING_POINT {
                check_is_its_own(pool, what);
                check_waits_without(pool, what, state::UNCAUGHT);
                // A monitor runs in the middle of the method.
                assert_eq!(pool.call(state::ASK, what), 1, "{what} after a monitor that was asked");
                assert_eq!(pool.call(state::LOOK, what), 0, "{what} after a monitor that set it");
            }
        }
    });
}

#[test]
fn blocked_signals_and_the_thread_s_locale_are_a_task_s_own() {
    in_client!(options(), |_| {
        for pool in pools() {
            for what in
                [state::SIGNALS, state::HELD_SIGNAL, state::SIGNAL_SET, state::THREAD_LOCALE]
            {
                check_is_its_own(pool, what);
                check_waits_without(pool, what, state::UNCAUGHT);
                assert_eq!(pool.call(state::ASK, what), 1, "{what} after a monitor that was asked");
                assert_eq!(pool.call(state::LOOK, what), 0, "{what} after a monitor that set it");
            }
            let waiting = pool.task(state::MASK, 0).submit().unwrap();
            assert_eq!(pool.call(state::LOOK, state::SIGNALS), 0);
            assert_eq!(waiting.wait().unwrap().result.get(), 0, "it has unblocked its own");
        }
    });
}

#[test]
fn errno_is_a_task_s_own_while_it_waits() {
    in_client!(options(), |_| {
        for pool in pools() {
            let waiting = pool.task(state::KEEP, state::ERRNO).submit().unwrap();
            assert_eq!(text_of(pool.task(state::SET, state::DIRECTORY).call()).0, CHI_FAILED);
            assert_eq!(pool.call(state::LOOK, state::ERRNO), 0, "the last call has set another");
            assert_eq!(waiting.wait().unwrap().result.get(), 1);
        }
    });
}

/// Its locale, its umask, its working directory, and the stacks on which workers handle signals.
#[test]
fn the_state_of_the_process_cannot_be_changed() {
    let log = in_client!(options(), |_| {
        let pool = Pool::new();
        for what in [state::LOCALE, state::DIRECTORY, state::SIGNAL_STACK] {
            let (status, message) = text_of(pool.task(state::SET, what).call());
            assert_eq!(status, CHI_FAILED, "{message}");
            assert_eq!(pool.call(state::LOOK, what), 0, "{what}");
        }
        assert_eq!(pool.call(state::SET, state::UMASK), 0);
        assert_eq!(pool.call(state::CHILD, 0), 1);
    });
    let Some(log) = log else { return };
    for function in ["setlocale", "chdir", "sigaltstack", "umask"] {
        let line = log.lines().find(|line| line.contains(&format!("{function} is refused")));
        let line = line.unwrap_or_else(|| panic!("{function} is not in {log}"));
        assert!(line.contains("pool=\"state\" method=\"kSet\""), "{line}");
    }
}

#[test]
fn what_a_crashed_method_has_set_is_gone() {
    in_client!(options(), |_| {
        let pool = Pool::new();
        let all = state::FLOATING_POINT.into_iter().chain([
            state::DIRECTION,
            state::SIGNALS,
            state::THREAD_LOCALE,
            state::UNCAUGHT,
        ]);
        for what in all {
            for module in modules() {
                let fragile = Pool::of(module, &format!("fragile {module} {what}"));
                let (status, message) = text_of(fragile.task(state::CRASH, what).call());
                assert_eq!(status, CHI_FAULT, "{message}");
                assert_eq!(pool.call(state::LOOK, what), 0, "{what}");
            }
        }
    });
}

#[test]
fn exceptions_that_are_caught_are_a_task_s_own() {
    in_client!(options(), |_| {
        let pools = [pools(), vec![Pool::of(state::OWN, "own")]].concat();
        // Of all pairs of libraries, too: each has its own record of what is caught.
        let pairs = pools.iter().flat_map(|first| pools.iter().map(move |second| (first, second)));
        for (pool, other) in pairs {
            // The first one's wait ends while the second one's exception is the latest one caught.
            let first = pool.task(state::CATCH, 11).submit().unwrap();
            let second = other.task(state::CATCH, 22);
            second.sleep.set(3 * WHILE.as_nanos() as u64);
            let second = second.submit().unwrap();
            assert_eq!(pool.call(state::LOOK, state::UNCAUGHT), 0);
            assert_eq!(first.wait().unwrap().result.get(), 11);
            assert_eq!(second.wait().unwrap().result.get(), 22);
        }
    });
}

#[test]
fn a_module_whose_exceptions_cannot_be_kept_apart_is_refused() {
    let options = options().file(artefacts::test_module("state_hidden"));
    in_client!(options, |site| {
        let modules = site.cli(&["modules", "--json"]).ok().json();
        let libcxx = artefacts::optional_test_module("state_libcxx");
        let loaded = 2 + usize::from(libcxx.is_some());
        assert_eq!(modules["loaded"].as_array().unwrap().len(), loaded, "{modules}");
        let [refused] = modules["refused"].as_array().unwrap().as_slice() else {
            panic!("{modules}")
        };
        let reason = refused["reason"].as_str().unwrap();
        assert!(reason.contains("C++ runtime library of its own (-static-libstdc++)"), "{reason}");
        assert!(reason.contains("link libstdc++ dynamically"), "{reason}");
    });
}

#[test]
fn what_a_method_throws_is_told() {
    in_client!(options(), |_| {
        for (pool, string) in
            pools().into_iter().zip(["std::__cxx11::basic_string", "std::__1::basic_string"])
        {
            let texts = ["text of a string", "text of a literal", "text of an array"];
            let thrown = |kind| text_of(pool.task(state::THROWN, kind).call());
            for (kind, text) in (0..).zip(texts) {
                assert_eq!(thrown(kind), (CHI_FAILED, text.to_owned()));
            }
            for (kind, name) in [(3, "char const*"), (4, string), (5, "int")] {
                let (status, message) = thrown(kind);
                assert_eq!(status, CHI_FAILED);
                let is_named = message.starts_with("an object of type ") && message.contains(name);
                assert!(is_named, "{message}");
            }
        }
    });
}

/// Such a daemon could not accept new clients, and would not show it.
#[test]
fn a_daemon_whose_socket_is_closed_says_so_and_stops() {
    let daemon = in_client_that_may_end_it!(options(), |_| {
        Pool::new().call(state::CLOSE, 0);
    });
    let Some(mut daemon) = daemon else { return };
    assert_eq!(daemon.end(), 1, "{}", daemon.log());
    let log = daemon.log();
    let said = "a descriptor of the runtime was closed by other code: the listening socket";
    assert!(log.contains(said), "{log}");
}

/// Such a daemon waits for what never comes.
macro_rules! a_daemon_that_is_deaf_ends {
    ($($name:ident: $what:expr;)*) => {$(
        #[test]
        fn $name() {
            let daemon = in_client_that_may_end_it!(options(), |_| {
                // As below.
                let _ = Pool::new().task(state::CLOSE, $what).call();
            });
            let Some(mut daemon) = daemon else { return };
            assert_ne!(daemon.end(), 0, "{}", daemon.log());
            let log = daemon.log();
            assert!(log.contains("a descriptor of the runtime was closed by other code: "), "{log}");
        }
    )*};
}

a_daemon_that_is_deaf_ends! {
    a_daemon_whose_epolls_are_others_says_so_and_ends: 2;
    a_daemon_whose_eventfds_are_others_says_so_and_ends: 3;
    a_daemon_whose_socket_is_shut_down_says_so_and_stops: 4;
}

/// Its other threads receive nothing either.
#[test]
fn a_daemon_whose_descriptors_are_all_closed_says_so_and_ends() {
    let daemon = in_client_that_may_end_it!(options(), |_| {
        // The client may notice that its session is gone before it has the outcome.
        let _ = Pool::new().task(state::CLOSE, 1).call();
    });
    let Some(mut daemon) = daemon else { return };
    assert_ne!(daemon.end(), 0, "{}", daemon.log());
    // Whichever thread notices first.
    assert!(daemon.log().contains("descriptor"), "{}", daemon.log());
}
