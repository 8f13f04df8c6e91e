//! `chimaera doctor`.

use std::os::unix::fs::PermissionsExt;

use chimaera_tests::{artefacts, process, Daemon, Options, Output, Site};
use serde_json::Value;

/// Runs it, with this limit on descriptors.
fn doctor(site: &Site, descriptors: u32, args: &[&str]) -> Output {
    let script = format!("ulimit -n {descriptors} && exec \"$@\"");
    let mut command = site.command("/bin/sh");
    command.args(["-c", &script, "sh"]).arg(artefacts::chimaera());
    command.args(["--name", site.name(), "--json", "doctor", "--no-config"]).args(args);
    process::run(&mut command)
}

fn checks<'d>(document: &'d Value, what: &str) -> Vec<&'d Value> {
    let all = document["checks"].as_array().unwrap().iter();
    all.filter(|check| check["what"] == what).collect()
}

fn only<'d>(document: &'d Value, what: &str) -> &'d Value {
    let found = checks(document, what);
    assert_eq!(found.len(), 1, "{what}: {document:#}");
    found[0]
}

#[test]
fn what_is_too_little_is_named_with_what_to_do() {
    let site = Site::new();
    let none = doctor(&site, 40, &[]);
    let descriptors = only(&none.json(), "descriptors").clone();
    assert_eq!((none.code, &descriptors["state"]), (1, &"failed".into()), "{descriptors}");
    let few = doctor(&site, 200, &[]).ok().json();
    let descriptors = only(&few, "descriptors");
    assert_eq!(descriptors["state"], "warning");
    assert!(descriptors["found"].as_str().unwrap().starts_with("200 of this process"));
    assert!(descriptors["todo"].as_str().unwrap().contains("ulimit -n "), "{descriptors}");
    assert_eq!(only(&few, "modules")["state"], "warning", "there are none");
    assert!(few["warnings"].as_u64() >= Some(2) && few["failed"] == 0, "{few}");
    let modules = artefacts::test_module("nested");
    let directory = modules.parent().unwrap().to_str().unwrap();
    let found = doctor(&site, 200, &["--modules", directory]).ok().json();
    assert_eq!(only(&found, "modules")["state"], "ok", "{found:#}");
    assert!(only(&found, "instance")["found"].as_str().unwrap().contains("is not running"));
    // In words.
    let text = site.cli(&["doctor", "--no-config"]).ok().stdout;
    assert!(text.contains("warning  modules: 0 library files in 0 directories\n"), "{text}");
    assert!(text.lines().last().unwrap().starts_with("0 failed, "), "{text}");
}

#[test]
fn what_does_not_work_is_a_failure() {
    let site = Site::new();
    // Nobody can make a runtime's directory there.
    let file = site.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut command = site.command(artefacts::chimaera());
    command.args(["--name", site.name(), "--json", "doctor", "--no-config"]);
    let output = process::run(command.env("XDG_RUNTIME_DIR", &file));
    let document = output.json();
    assert_eq!((output.code, &only(&document, "sockets")["state"]), (1, &"failed".into()));
    // One that others can write to is not used.
    let open = site.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = site.command(artefacts::chimaera());
    command.args(["--name", site.name(), "--json", "doctor", "--no-config"]);
    let output = process::run(command.env("CHI_RUNTIME_DIR", &open));
    let document = output.json();
    assert_eq!((output.code, &only(&document, "sockets")["state"]), (1, &"failed".into()));
    assert_eq!(only(&document, "instance")["state"], "failed");
    // Modules from such a directory are not loaded, nor from one that is not there, but the runtime starts.
    let nowhere = site.path().join("nowhere");
    let args = ["--modules", open.to_str().unwrap(), "--modules", nowhere.to_str().unwrap()];
    let document = doctor(&site, 20000, &args).ok().json();
    for (check, directory) in checks(&document, "modules").iter().zip([&open, &nowhere]) {
        assert_eq!(check["state"], "warning");
        let found = check["found"].as_str().unwrap();
        assert!(found.starts_with(directory.to_str().unwrap()), "{found}");
    }
    // A configuration with a mistake is told, and the rest is checked nevertheless.
    let file = site.path().join("wrong.yaml");
    std::fs::write(&file, "workers: many\n").unwrap();
    let output = site.cli(&["doctor", "--config", file.to_str().unwrap(), "--json"]);
    let document = output.json();
    assert_eq!((output.code, &document["status"]), (1, &"CHI_FAILED".into()));
    let configuration = only(&document, "configuration");
    assert_eq!(configuration["state"], "failed");
    let found = configuration["found"].as_str().unwrap();
    assert!(found.contains("wrong.yaml:1:"), "{found}");
    assert_eq!(only(&document, "descriptors")["state"], "ok");
}

/// A running instance is looked at, too: its own limits, what its modules have become, and its pools.
#[test]
fn a_running_instance_is_looked_at() {
    let site = Site::new();
    let module = site.directory_of("own", &[]).join("libnested.so");
    std::fs::copy(artefacts::test_module("nested"), &module).unwrap();
    let daemon = Daemon::start(&Options::new().file(module.clone()));
    let site = daemon.site();
    let sound = doctor(site, 200, &[]).json();
    let of = format!("of process {}", daemon.pid());
    assert!(only(&sound, "descriptors")["found"].as_str().unwrap().contains(&of), "{sound:#}");
    let own = format!("it runs version {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(only(&sound, "instance")["found"], own);
    let loaded = site.cli(&["modules", "--json"]).ok().json();
    let path = loaded["loaded"][0]["path"].as_str().unwrap().to_owned();
    // Another file in its place.
    let other = format!("{path}.new");
    std::fs::copy(&path, &other).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&other, &path).unwrap();
    let changed = doctor(site, 200, &[]).json();
    let found: Vec<&str> =
        checks(&changed, "modules").iter().filter_map(|check| check["found"].as_str()).collect();
    let why = format!("{path} has been replaced since the runtime loaded it");
    assert!(found.iter().any(|found| found.contains(&why)), "{found:?}");
}
