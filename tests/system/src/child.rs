//! Runs the body of a test in its own process.

use std::panic::Location;

use crate::{process, Daemon, Options, Site};

/// Set in the process of a client: the name of the test whose body it runs.
const VARIABLE: &str = "CHI_TEST_CHILD";

/// Runs the rest of a test as a client in its own process, against its own daemon:
///
/// ```ignore
/// #[test]
/// fn an_unknown_pool() {
///     in_client!(Options::new().kv(), |site| {
///         connect();
///         assert!(chimaera::ipc().unwrap().find_pool("nobody").is_err());
///         assert_eq!(site.cli(&["status"]).code, 0);
///     });
/// }
/// ```
///
/// The process is this test program again, running only this test. `site` is that of the daemon. A
/// panic in the process fails the test.
#[macro_export]
macro_rules! in_client {
    ($options:expr, $body:expr) => {{
        fn here() {}
        $crate::child::run(::std::any::type_name_of_val(&here), || $options, $body)
    }};
}

/// Like [`in_client!`](crate::in_client), for a test that may end the daemon: evaluates to the
/// daemon, or to `None` in the client's process.
#[macro_export]
macro_rules! in_client_that_may_end_it {
    ($options:expr, $body:expr) => {{
        fn here() {}
        $crate::child::run_to_the_end(::std::any::type_name_of_val(&here), || $options, $body)
    }};
}

#[doc(hidden)]
#[track_caller]
pub fn run(
    place: &str,
    options: impl FnOnce() -> Options,
    body: impl FnOnce(&Site),
) -> Option<String> {
    let mut daemon = run_to_the_end(place, options, body)?;
    assert!(daemon.is_alive(), "{}: the daemon has ended", Location::caller());
    // The log is written by a thread of its own, and whole once the daemon has ended.
    daemon.stop();
    Some(daemon.log())
}

#[doc(hidden)]
#[track_caller]
pub fn run_to_the_end(
    place: &str,
    options: impl FnOnce() -> Options,
    body: impl FnOnce(&Site),
) -> Option<Daemon> {
    // crate::path::to::test::here
    let test = place.split_once("::").and_then(|(_, path)| path.rsplit_once("::"));
    let test = test.expect("the macro is used in a function").0;
    if std::env::var(VARIABLE).is_ok_and(|name| name == test) {
        body(&Site::inherited());
        return None;
    }
    let mut daemon = Daemon::start(&options());
    let program = std::env::current_exe().expect("a process knows its program");
    let mut command = daemon.site().command(program);
    command.args([test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"]);
    let output = process::run(command.env(VARIABLE, test).env("RUST_BACKTRACE", "0"));
    assert!(
        output.code == 0 && output.stdout.contains("1 passed"),
        "{test} in a client of its own, {}:\n{}{}{}",
        Location::caller(),
        output.stdout,
        output.stderr,
        if daemon.is_alive() { "" } else { "the daemon has ended" },
    );
    Some(daemon)
}
