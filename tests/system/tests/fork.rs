//! Clients that fork and continue in the child.

use std::collections::BTreeMap;

use chimaera_tests::{artefacts, Daemon, Options, Output, Running, Vitals};
use rustix::process::Signal;

const RUST_CLIENT: &str = env!("CARGO_BIN_EXE_chi-test-fork");

/// The result of each call, and the order of the calls.
#[track_caller]
fn results(output: &Output) -> (Vec<&str>, BTreeMap<&str, &str>) {
    let lines = output.stdout.lines().map(|line| line.split_once(' ').expect("two words"));
    let lines: Vec<(&str, &str)> = lines.collect();
    (lines.iter().map(|(call, _)| *call).collect(), lines.into_iter().collect())
}

#[track_caller]
fn check(output: &Output, child: &[&str], parent: &[(&str, &str)]) {
    let (order, results) = results(output);
    let of_child = order.iter().take_while(|call| **call != "child").copied();
    assert_eq!(of_child.collect::<Vec<_>>(), child);
    for call in child {
        let expected = if *call == "is_initialized" { "false" } else { "CHI_FORKED" };
        assert_eq!(results[call], expected, "{call} in the child");
    }
    assert_eq!(results["child"], "0", "how the child ended");
    for (call, expected) in parent {
        assert_eq!(results[call], *expected, "{call} in the parent");
    }
}

#[test]
fn a_child_of_a_rust_client_is_told_that_it_is_one() {
    let daemon = Daemon::start(&Options::new().kv());
    let output = daemon.site().run(RUST_CLIENT, &["calls"]).ok();
    let child = "init describe stop_runtime create_pool find_pool destroy_pool alloc put new_task \
                 submit wait is_initialized";
    let child: Vec<&str> = child.split(' ').collect();
    let ok = |call| (call, "CHI_OK");
    check(&output, &child, &[ok("parent_submit"), ok("parent_wait"), ok("parent_count")]);
    assert_eq!(Vitals::settled(&daemon, 0).segments, 0);
}

#[test]
fn a_child_of_a_c_client_is_told_that_it_is_one() {
    let daemon = Daemon::start(&Options::new().kv());
    let output = daemon.site().run(artefacts::program("c_fork_client"), &[]).ok();
    let child = "init pool_create pool_find pool_destroy task_new submit try_submit wait alloc \
                 resolve task_message";
    let child: Vec<&str> = child.split(' ').collect();
    let ok = |call| (call, "CHI_OK");
    check(&output, &child, &[ok("parent_wait"), ("parent_count", "1"), ok("parent_calls")]);
    assert_eq!(Vitals::settled(&daemon, 0).segments, 0);
}

#[test]
fn a_child_does_not_keep_its_dead_parent_s_session() {
    let daemon = Daemon::start(&Options::new().kv());
    let mut client = Running::start(daemon.site().command(RUST_CLIENT).arg("stay"));
    assert_eq!(client.line().as_deref(), Some("ready"));
    let before = Vitals::settled(&daemon, 1);
    client.signal(Signal::KILL);
    assert_eq!(client.end(), -9);
    let after = Vitals::settled(&daemon, 0);
    assert!(after.fds < before.fds, "{before:?} before, {after:?} after");
    // The child stayed for the whole test.
    client.close();
    assert_eq!(client.line().as_deref(), Some("the child was there"));
}
