//! `chimaera module inspect`: its output, and that it answers whatever the module does.

use std::path::Path;

use chimaera_tests::{artefacts, process, Site};
use serde_json::{json, Value};

/// Inspects a file that is accepted or refused.
fn inspect(file: &Path, end: &str, taken: bool) -> Value {
    let site = Site::new();
    let mut command = site.command(artefacts::chimaera());
    command.args(["--json", "module", "inspect", "--timeout"]);
    // Only a file that hangs gets a short limit.
    command.arg(if end.ends_with("hang") { "1" } else { "60" });
    command.arg(file).env("CHI_TEST_END", end);
    let output = process::run(&mut command);
    assert_eq!(output.code, i32::from(!taken), "{output:?}");
    output.json()
}

#[test]
fn modules_of_all_languages_are_shown() {
    for (file, name, language, method) in [
        (artefacts::cpp_module("example_mod_name"), "example:mod_name", "C++", "kCompress"),
        (artefacts::rust_module("chimaera_kv"), "chimaera:kv", "Rust", "kPut"),
        (artefacts::test_module("ends"), "test:ends", "C", "kNothing"),
    ] {
        let said = inspect(&file, "", true);
        assert_eq!(said["refused"], Value::Null, "{said}");
        assert_eq!((&said["name"], &said["language"]), (&json!(name), &json!(language)));
        assert!(said["symbols"].as_object().unwrap().values().all(|found| found == true));
        assert!(!said["links"].as_array().unwrap().is_empty());
        let methods = said["methods"].as_array().unwrap();
        let custom = methods.iter().find(|one| one["number"] == 10).unwrap();
        assert_eq!((&custom["name"], &custom["supported"]), (&json!(method), &json!(true)));
    }
}

#[test]
fn what_would_be_refused_is_told_with_the_reason() {
    for (file, reason) in [
        (artefacts::test_module("no_symbols"), "not a module: it exports no symbol"),
        (artefacts::test_module("abi_major"), "built for ABI 2.0"),
        ("/nowhere.so".into(), "cannot be read: No such file"),
    ] {
        let said = inspect(&file, "", false);
        assert!(said["refused"].as_str().unwrap().starts_with(reason), "{said}");
    }
}

#[test]
fn a_module_that_ends_its_process_or_hangs_is_told() {
    let file = artefacts::test_module("ends");
    for place in ["constructor", "chi_module", "name"] {
        for (how, reason) in [
            ("abort", "loading it kills the process with signal 6"),
            ("exit", "loading it ends the process with exit code 7"),
            ("hang", "loading it took longer than 1 s (--timeout)"),
        ] {
            let end = format!("{place} {how}");
            let said = inspect(&file, &end, false);
            assert_eq!(said["refused"], reason, "{end}");
            assert_eq!(said["symbols"]["chi_module"], true, "{end}");
        }
        // Output of the module itself is not part of the answer.
        assert_eq!(inspect(&file, &format!("{place} talk"), true)["name"], "test:ends");
    }
}
