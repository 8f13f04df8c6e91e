//! Modules at the edges of their lives: what runs before `chi_module` and after the runtime has
//! ended, and what happens when a loaded file changes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use chimaera_tests::{artefacts, Daemon, Options, Site};
use serde_json::{json, Value};

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
    let string =
        "a static constructor threw: a text that is longer than what a string keeps in itself";
    let cases = [
        ("throws_static", text),
        ("throws_static_int", number),
        ("throws_static_string", string),
        (
            "throws_static_literal",
            "a static constructor threw: an object of type char const* was thrown",
        ),
    ];
    for (module, why) in cases {
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

/// Overwrites a file as `cp` does: the inode stays.
fn overwrite(file: &Path, with: &[u8]) {
    let inode = fs::metadata(file).unwrap().ino();
    fs::write(file, with).unwrap();
    assert_eq!(fs::metadata(file).unwrap().ino(), inode);
}

/// The only module in the output of `chimaera modules --json`.
fn module(daemon: &Daemon) -> Value {
    daemon.cli(&["modules", "--json"]).ok().json()["loaded"][0].clone()
}

#[test]
fn a_loaded_file_may_be_overwritten() {
    let site = Site::new();
    let directory = site.path().join("own");
    fs::create_dir(&directory).unwrap();
    let (file, library) = (directory.join("libcrash.so"), directory.join("libcrash_library.so"));
    fs::copy(artefacts::test_module("crash"), &file).unwrap();
    fs::copy(artefacts::test_module("crash_library"), &library).unwrap();
    let options = Options::new().repo_path(directory.clone()).library_path(directory);
    let mut daemon = Daemon::start_at(site, &options);
    assert_eq!(module(&daemon)["changed"], json!([]));
    for file in [&library, &file] {
        overwrite(file, b"");
        overwrite(file, &[0xcc; 100_000]);
    }
    let changed = module(&daemon)["changed"].clone();
    assert_eq!(changed[0], json!({ "path": file, "how": "overwritten" }));
    assert_eq!(changed[1], json!({ "path": library, "how": "overwritten" }));
    // The loaded code and data are unchanged.
    daemon.cli(&["pool", "create", "fragile", "--module", "test:crash"]).ok();
    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    for name in ["libcrash.so", "libcrash_library.so"] {
        assert!(!maps.contains(&format!("/own/{name}")), "{maps}");
        assert!(maps.contains(&format!("/memfd:{name}")), "{maps}");
    }
    let another = file.with_extension("new");
    fs::write(&another, "another").unwrap();
    fs::rename(&another, &file).unwrap();
    assert_eq!(module(&daemon)["changed"][0]["how"], "replaced");
    fs::remove_file(&file).unwrap();
    assert_eq!(module(&daemon)["changed"][0]["how"], "removed");
    daemon.stop();
}

/// The last words do not take function names from a file that is not the one loaded.
#[test]
fn backtraces_say_which_file_has_changed() {
    let site = Site::new();
    let directory = site.path().join("own");
    fs::create_dir(&directory).unwrap();
    let file = directory.join("libstatics.so");
    fs::copy(artefacts::test_module("statics"), &file).unwrap();
    let mut daemon = Daemon::start_at(site, &Options::new().repo_path(directory));
    overwrite(&file, &fs::read(artefacts::test_module("crash")).unwrap());
    daemon.cli(&["pool", "create", "aborts", "--module", "test:statics"]);
    assert_ne!(daemon.end(), 0);
    let log = daemon.log();
    assert!(
        log.contains("(libstatics.so+0x") && log.contains(", which has changed since)"),
        "{log}"
    );
}
