//! Modules at the edges of their lives: what runs before `chi_module` and after the runtime has ended, and
//! what becomes of a loaded file.

use chimaera_tests::{artefacts, Daemon, Options};

fn refused_because(daemon: &Daemon) -> Vec<String> {
    let document = daemon.cli(&["modules", "--json"]).ok().json();
    let refused = document["refused"].as_array().unwrap().iter();
    refused.map(|file| file["reason"].as_str().unwrap().to_owned()).collect()
}

/// How many lines of the log contain `text`.
fn lines(daemon: &Daemon, text: &str) -> usize {
    daemon.log().lines().filter(|line| line.contains(text)).count()
}

#[test]
fn static_objects_may_call_the_runtime() {
    let mut daemon = Daemon::start(&Options::new().file(artefacts::test_module("statics")));
    assert!(refused_because(&daemon).is_empty(), "{}", daemon.log());
    daemon.cli(&["pool", "create", "edges", "--module", "test:statics"]).ok();
    daemon.stop();
    let places = [
        "a static constructor",
        "a constructor on a worker",
        "a constructor on a thread",
        "a destructor on a thread",
        "the last destructor on a thread",
        "a destructor on a worker",
        "a static destructor",
    ];
    for place in places {
        assert_eq!(lines(&daemon, &format!("called in {place}")), 1, "{place}: {}", daemon.log());
    }
    // These are lines of the log, even when the thread is about to end.
    for place in &places[1..] {
        assert_eq!(
            lines(&daemon, &format!("WARN module: called in {place}")),
            1,
            "{}",
            daemon.log()
        );
    }
    assert_eq!(lines(&daemon, "locked"), 1, "{}", daemon.log());
    assert_eq!(lines(&daemon, "last words"), 0, "{}", daemon.log());
}

#[test]
fn a_static_constructor_that_throws_refuses_its_module() {
    let text = "a static constructor threw: the static constructor of test:throws_static throws";
    let number = "a static constructor threw: an object of type int was thrown";
    for (module, why) in [("throws_static", text), ("throws_static_int", number)] {
        let mut daemon = Daemon::start(&Options::new().file(artefacts::test_module(module)).kv());
        assert_eq!(refused_because(&daemon), [why]);
        daemon.cli(&["pool", "create", "store", "--module", "chimaera:kv"]).ok();
        daemon.stop();
        // The objects that existed are destroyed.
        for line in ["unwound", "the refused module ends"] {
            assert_eq!(lines(&daemon, line), 1, "{}", daemon.log());
        }
    }
}
