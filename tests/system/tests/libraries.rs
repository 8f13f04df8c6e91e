//! Libraries that modules bring with them: what happens when their files change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use chimaera_tests::{artefacts, Daemon, Options, Site};
use serde_json::{json, Value};

const LIBRARY: &str = "libbeside_library.so";
const INNER: &str = "libbeside_inner.so";
const PLUGIN: &str = "libbeside_plugin.so";

/// A directory of copies: these modules, in this order, and the libraries beside them.
fn modules(site: &Site, names: &[&str]) -> PathBuf {
    let directory = site.path().join("own");
    fs::create_dir(&directory).unwrap();
    for (number, name) in names.iter().enumerate() {
        fs::copy(artefacts::test_module(name), directory.join(format!("{number}.so"))).unwrap();
    }
    libraries(&directory);
    directory
}

/// Copies the libraries into a directory.
fn libraries(directory: &Path) {
    for name in ["beside_library", "beside_inner"] {
        let file = artefacts::test_module(name);
        fs::copy(&file, directory.join(file.file_name().unwrap())).unwrap();
    }
}

/// Overwrites a file as `cp` does: the inode stays.
fn overwrite(file: &Path) {
    let inode = fs::metadata(file).unwrap().ino();
    fs::write(file, b"").unwrap();
    fs::write(file, [0xcc; 100_000]).unwrap();
    assert_eq!(fs::metadata(file).unwrap().ino(), inode);
}

/// Makes a module call the library. Checks that it is this call's number, and nothing is damaged.
#[track_caller]
fn call(daemon: &Daemon, module: &str, number: u32) {
    daemon.cli(&["pool", "create", &format!("call{number}"), "--module", module]).ok();
    let said = format!("call {number} of the library, which is whole pool=");
    assert!(daemon.log().contains(&said), "{said} is not in\n{}", daemon.log());
}

/// The `changed` of each loaded module.
#[track_caller]
fn changed(daemon: &Daemon) -> Vec<Value> {
    let document = daemon.cli(&["modules", "--json"]).ok().json();
    let loaded = document["loaded"].as_array().unwrap().iter();
    loaded.map(|module| module["changed"].clone()).collect()
}

fn change(file: &Path, how: &str) -> Value {
    json!({ "path": file, "how": how })
}

#[test]
fn a_library_beside_a_module_may_be_overwritten() {
    let site = Site::new();
    let directory = modules(&site, &["beside"]);
    let (library, inner) = (directory.join(LIBRARY), directory.join(INNER));
    let mut daemon = Daemon::start_at(site, &Options::new().repo_path(directory.clone()));
    call(&daemon, "test:beside", 1);
    assert_eq!(changed(&daemon), [json!([])]);
    overwrite(&inner);
    assert_eq!(changed(&daemon), [json!([change(&inner, "overwritten")])]);
    overwrite(&library);
    let text = daemon.cli(&["modules"]).ok().stdout;
    for file in [&library, &inner] {
        let line = format!("    {} has been overwritten since it was loaded: ", file.display());
        assert!(text.contains(&line), "{line}\n{text}");
    }
    call(&daemon, "test:beside", 2);
    fs::rename(&inner, &library).unwrap();
    let [found] = changed(&daemon).try_into().unwrap();
    let mut found = found.as_array().unwrap().clone();
    found.sort_by_key(Value::to_string);
    let (removed, replaced) = (change(&inner, "removed"), change(&library, "replaced"));
    assert_eq!(found, [removed, replaced]);
    daemon.stop();
}

/// A daemon whose library does this in its constructor, and the directory of the files.
fn with_constructor(what: &str) -> (Daemon, PathBuf) {
    let site = Site::new();
    let directory = modules(&site, &["beside"]);
    fs::copy(artefacts::test_module("no_symbols"), directory.join(PLUGIN)).unwrap();
    let mut command = Options::new().repo_path(directory.clone()).command(&site);
    command.env("CHI_TEST_BESIDE", what);
    (Daemon::run(site, command), directory)
}

/// The data are copied while the thread writes to them.
#[test]
fn so_may_one_that_has_started_a_thread() {
    let (mut daemon, directory) = with_constructor("thread");
    call(&daemon, "test:beside", 1);
    [LIBRARY, INNER, "0.so"].iter().for_each(|name| overwrite(&directory.join(name)));
    call(&daemon, "test:beside", 2);
    daemon.stop();
}

/// The thread would not survive the copying of the data.
#[test]
fn a_library_whose_thread_blocks_all_signals_is_loaded_with_a_warning() {
    let (mut daemon, directory) = with_constructor("deaf thread");
    let why = "not protected against changes of its files while it runs";
    assert!(daemon.log().contains(why), "{}", daemon.log());
    call(&daemon, "test:beside", 1);
    let library = directory.join(LIBRARY);
    fs::remove_file(&library).unwrap();
    assert_eq!(changed(&daemon), [json!([change(&library, "removed")])]);
    call(&daemon, "test:beside", 2);
    daemon.stop();
}

/// The library loads another one, which nothing links.
#[test]
fn so_may_one_that_a_constructor_has_loaded() {
    let (mut daemon, directory) = with_constructor("plug-in");
    let plugin = directory.join(PLUGIN);
    assert_eq!(changed(&daemon), [json!([])]);
    overwrite(&plugin);
    assert_eq!(changed(&daemon), [json!([change(&plugin, "overwritten")])]);
    call(&daemon, "test:beside", 1);
    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    assert!(!maps.contains("/own/"), "{maps}");
    daemon.stop();
}

#[test]
fn modules_share_a_library() {
    let site = Site::new();
    let directory = modules(&site, &["beside", "beside_too"]);
    let library = directory.join(LIBRARY);
    let mut daemon = Daemon::start_at(site, &Options::new().repo_path(directory));
    call(&daemon, "test:beside", 1);
    overwrite(&library);
    call(&daemon, "test:beside_too", 2);
    call(&daemon, "test:beside", 3);
    let only = json!([change(&library, "overwritten")]);
    assert_eq!(changed(&daemon), [only.clone(), only]);
    daemon.stop();
}

/// The library was loaded with a module that is not there any more.
#[test]
fn a_library_stays_when_its_first_module_is_refused() {
    let site = Site::new();
    let directory = modules(&site, &["beside_throws", "beside"]);
    let library = directory.join(LIBRARY);
    let mut daemon = Daemon::start_at(site, &Options::new().repo_path(directory));
    overwrite(&library);
    // The refused module has made the first call.
    call(&daemon, "test:beside", 2);
    assert_eq!(changed(&daemon), [json!([change(&library, "overwritten")])]);
    daemon.stop();
}

/// A path that begins as the system's libraries do may lead anywhere.
#[test]
fn a_library_is_not_the_system_s_by_the_look_of_its_path() {
    let site = Site::new();
    let directory = site.path().join("own");
    fs::create_dir(&directory).unwrap();
    fs::copy(artefacts::test_module("beside"), directory.join("0.so")).unwrap();
    let elsewhere = site.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    libraries(&elsewhere);
    let path = PathBuf::from(format!("/usr/lib/../..{}", elsewhere.display()));
    let options = Options::new().repo_path(directory).library_path(path.clone());
    let mut daemon = Daemon::start_at(site, &options);
    call(&daemon, "test:beside", 1);
    overwrite(&elsewhere.join(LIBRARY));
    call(&daemon, "test:beside", 2);
    assert_eq!(changed(&daemon), [json!([change(&path.join(LIBRARY), "overwritten")])]);
    daemon.stop();
}

/// A module that is built with the address sanitizer is loaded, although the runtime copies all of its pages, in
/// which there is what no code of the module may read.
#[test]
fn a_module_with_the_address_sanitizer_is_loaded() {
    let Some(module) = artefacts::optional_test_module("sanitized") else {
        return eprintln!("skipped: the compiler has no address sanitizer");
    };
    let library = Command::new("gcc").arg("-print-file-name=libasan.so").output();
    let library = String::from_utf8(library.expect("the module was built").stdout).unwrap();
    let site = Site::new();
    let mut command = Options::new().file(module).command(&site);
    command.env("LD_PRELOAD", library.trim_end()).env("ASAN_OPTIONS", "detect_leaks=0");
    let mut daemon = Daemon::run(site, command);
    let output = daemon.site().run(artefacts::program("cpp_client"), &["nested"]);
    let line = output.ok().lines().remove(0);
    assert_eq!((&line["status"], &line["plain"]), (&0.into(), &"second".into()), "{line}");
    daemon.stop();
}
