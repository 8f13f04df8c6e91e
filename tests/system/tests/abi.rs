//! Modules built against older minor versions of the ABI.

use std::path::PathBuf;

use chimaera_tests::{artefacts, Daemon, Options};
use serde_json::Value;

/// The minor versions kept in tests/abi, each with its module.
fn minors() -> Vec<(String, PathBuf)> {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../abi");
    let mut found: Vec<(String, PathBuf)> = std::fs::read_dir(kept)
        .expect("tests/abi exists")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with('v'))
        .map(|name| {
            let module = artefacts::test_module("nested");
            let built = module.parent().and_then(|dir| dir.parent()).expect("it has a directory");
            (name[1..].replace('_', "."), built.join(format!("abi_{name}/libnested.so")))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn modules_of_every_released_minor_load_and_run() {
    let minors = minors();
    assert!(minors.iter().any(|(minor, _)| minor == "1.0"), "{minors:?}");
    for (minor, module) in minors {
        let daemon = Daemon::start(&Options::new().file(module));
        let listed: Value = daemon.cli(&["modules", "--json"]).ok().json();
        assert_eq!(listed["loaded"][0]["abi"], minor, "{listed}");
        let output = daemon.site().run(artefacts::program("cpp_client"), &["nested"]);
        let line = output.ok().lines().remove(0);
        assert_eq!((&line["status"], &line["plain"]), (&0.into(), &"second".into()), "{line}");
    }
}
