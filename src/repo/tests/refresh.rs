//! `refresh`: what it writes, what it leaves alone, and what it leaves behind when it is killed.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use chimaera_repo::{refresh, Change, Mode};
use common::{contents, golden, Repo};

const ONE: &str = "language: cpp\nkPut: 10\n";
const TWO: &str = "language: cpp\nkPut: 11\nkGet: 10\n";

#[test]
fn the_modules_of_this_project_are_up_to_date() {
    for repo in ["cpp_chimods", "rust_chimods", "tests/repo/described", "tests/repo/handwritten"] {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(repo);
        assert_eq!(refresh(&dir, Mode::Check).unwrap(), [], "{repo}");
    }
}

#[test]
fn everything_a_module_can_say_is_generated_as_it_should() {
    let yaml = include_str!("corpus/good/full.mod.yaml");
    for (language, name) in [("cpp", "full_cpp"), ("rust", "full_rust")] {
        let repo = Repo::new();
        let yaml = yaml.replace("language: cpp", &format!("language: {language}"));
        let module = repo.module("mod_name", &yaml);
        refresh(repo.path(), Mode::Write).unwrap();
        golden(name, &contents(&module.join("autogen")));
    }
}

#[test]
fn changes_are_told_and_a_second_time_there_are_none() {
    let repo = Repo::new();
    let module = repo.module("kv", ONE);
    let told = |mode| -> Vec<(String, Change)> {
        let name = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();
        let changed = refresh(repo.path(), mode).unwrap();
        changed.iter().map(|changed| (name(&changed.file), changed.change)).collect()
    };
    let created = [
        ("kv_lib_exec.h".to_owned(), Change::Created),
        ("kv_methods.h".to_owned(), Change::Created),
    ];
    assert_eq!(told(Mode::Check), created);
    assert!(!module.join("autogen").exists(), "a check writes nothing");
    assert_eq!(told(Mode::Write), created);
    assert_eq!(told(Mode::Write), []);
    assert_eq!(told(Mode::Check), []);

    // Only the constant changes: the dispatch uses names.
    repo.module("kv", "language: cpp\nkPut: 11\n");
    assert_eq!(told(Mode::Write), [("kv_methods.h".to_owned(), Change::Updated)]);

    repo.module("kv", "language: cpp\nname: other\nkPut: 11\n");
    assert_eq!(told(Mode::Write).len(), 4);
    assert!(!module.join("autogen/kv_methods.h").exists());
    assert_eq!(told(Mode::Check), []);
}

#[test]
fn files_that_a_person_wrote_stay() {
    let repo = Repo::new();
    let module = repo.module("kv", ONE);
    let autogen = module.join("autogen");
    std::fs::create_dir(&autogen).unwrap();
    std::fs::write(autogen.join("notes.txt"), "mine").unwrap();
    std::fs::write(autogen.join("kv_methods.h"), "").unwrap();
    refresh(&module, Mode::Write).unwrap();
    assert_eq!(contents(&autogen)["notes.txt"], "mine");
    assert_eq!(contents(&autogen).len(), 3);

    // A hand-written file with the name of a generated one is not overwritten, and nothing else is
    // changed.
    std::fs::write(autogen.join("kv_methods.h"), "mine").unwrap();
    let before = contents(&autogen);
    repo.module("kv", TWO);
    let problems = refresh(&module, Mode::Write).unwrap_err().to_string();
    assert!(problems.contains("kv_methods.h: this file was not generated"), "{problems}");
    assert_eq!(contents(&autogen), before);
}

#[test]
fn a_directory_among_the_files_is_no_hindrance() {
    let repo = Repo::new();
    let module = repo.module("kv", ONE);
    std::fs::create_dir_all(module.join("autogen/old")).unwrap();
    refresh(&module, Mode::Write).unwrap();
    repo.module("kv", TWO);
    refresh(&module, Mode::Write).unwrap();
    assert_eq!(refresh(&module, Mode::Check).unwrap(), []);
    assert!(module.join("autogen/old").is_dir());
}

/// A container without a kCreate is created without a call, and says so to the runtime.
#[test]
fn what_is_created_and_destroyed_without_a_call_is_not_dispatched() {
    for (lines, called) in [
        ("kPut: 10\n", true),
        ("kCreate: 0\nkDestroy: 1\nkPut: 10\n", true),
        ("kCreate: -1\nkDestroy: -1\nkPut: 10\n", false),
    ] {
        let repo = Repo::new();
        let module = repo.module("kv", &format!("language: cpp\n{lines}"));
        refresh(&module, Mode::Write).unwrap();
        let dispatch = &contents(&module.join("autogen"))["kv_lib_exec.h"];
        for (number, name) in ["kCreate", "kDestroy"].iter().enumerate() {
            assert_eq!(dispatch.contains(&format!("case Method::{name}:")), called, "{lines}");
            let unsupported = format!("table.AddUnsupported({number}, \"{name}\");");
            assert_eq!(dispatch.contains(&unsupported), !called, "{lines}");
        }
    }
    // In Rust, every container has them.
    let repo = Repo::new();
    let module = repo.module("kv", "language: rust\nkCreate: -1\nkPut: 10\n");
    let problems = refresh(&module, Mode::Write).unwrap_err().to_string();
    assert!(problems.contains("a module in Rust must support kCreate"), "{problems}");
}

#[test]
fn one_bad_module_stops_all() {
    let repo = Repo::new();
    let good = repo.module("good", ONE);
    repo.module("bad", "language: cpp\nkPut: 1\n");
    assert!(refresh(repo.path(), Mode::Write).is_err());
    assert!(!good.join("autogen").exists());
    refresh(&good, Mode::Write).unwrap();
}

#[test]
fn two_modules_cannot_have_one_name() {
    let repo = Repo::new();
    repo.module("a", ONE);
    repo.module("b", "language: cpp\nname: a\nkPut: 10\n");
    let problems = refresh(repo.path(), Mode::Check).unwrap_err().to_string();
    assert!(problems.contains("b/chimaera_mod.yaml:2:7: a second module with the name a"));
}

#[test]
fn who_stands_in_a_repo_is_told_where_it_is() {
    let repo = Repo::new();
    let inside = repo.module("kv", ONE).join("src");
    std::fs::create_dir(&inside).unwrap();
    let problems = refresh(&inside, Mode::Check).unwrap_err().to_string();
    let place = repo.path().canonicalize().unwrap();
    assert!(problems.contains("chimaera_repo.yaml: there is no such file"), "{problems}");
    assert!(problems.contains(&format!("the repo is {}", place.display())), "{problems}");
}

/// Not a test by itself: refreshes once, and prints the outcome.
#[test]
fn helper_that_refreshes_once() {
    let Some(dir) = std::env::var_os("CHI_TEST_REFRESH_ONCE") else { return };
    if let Err(problems) = refresh(Path::new(&dir), Mode::Write) {
        eprintln!("{problems}");
        std::process::exit(3);
    }
}

/// Refreshes in a shell after running `scene`. Returns the exit status and standard error.
fn refresh_under(scene: &str, dir: &Path) -> (Option<i32>, String) {
    let output = Command::new("sh")
        .args(["-c", &format!("{scene}; exec \"$@\""), "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "helper_that_refreshes_once", "--nocapture"])
        .env("CHI_TEST_REFRESH_ONCE", dir)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_refresh_that_cannot_write_leaves_the_old_files() {
    let repo = Repo::new();
    let module = repo.module("kv", ONE);
    refresh(repo.path(), Mode::Write).unwrap();
    let old = contents(&module.join("autogen"));
    repo.module("kv", TWO);
    // Limits file sizes to this many 512-byte blocks: either the signal kills the process, or the
    // write fails.
    for blocks in 0..6 {
        let (ended, _) = refresh_under(&format!("ulimit -f {blocks}"), repo.path());
        assert_eq!(ended, None, "{blocks} blocks: it was killed");
        assert_eq!(contents(&module.join("autogen")), old, "{blocks} blocks");
        let (ended, said) =
            refresh_under(&format!("trap '' XFSZ; ulimit -f {blocks}"), repo.path());
        assert_eq!(ended, Some(3), "{blocks} blocks: {said}");
        assert!(said.contains("kv/autogen: the generated files cannot be written"), "{said}");
        assert_eq!(contents(&module.join("autogen")), old, "{blocks} blocks");
        assert_eq!(scratch(&module), [""; 0], "{blocks} blocks");
    }
    assert_eq!(refresh_under("ulimit -f 1000", repo.path()).0, Some(0));
    assert_eq!(refresh(repo.path(), Mode::Check).unwrap(), []);
}

/// The scratch directories left in a module.
fn scratch(module: &Path) -> Vec<String> {
    std::fs::read_dir(module)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect()
}

/// Not a test by itself: refreshes repeatedly, for the next test to kill.
#[test]
fn helper_that_refreshes() {
    let Some(dir) = std::env::var_os("CHI_TEST_REFRESH_DIR") else { return };
    let module = Path::new(&dir).join("kv");
    let yaml = |text| {
        // Replaced atomically, as editors do.
        std::fs::write(module.join("new"), text).unwrap();
        std::fs::rename(module.join("new"), module.join("chimaera_mod.yaml")).unwrap();
        refresh(Path::new(&dir), Mode::Write).unwrap();
    };
    loop {
        yaml(ONE);
        yaml(TWO);
    }
}

#[test]
fn a_killed_refresh_leaves_the_old_files_or_the_new() {
    let repo = Repo::new();
    let autogen = repo.module("kv", TWO).join("autogen");
    refresh(repo.path(), Mode::Write).unwrap();
    let two = contents(&autogen);
    repo.module("kv", ONE);
    refresh(repo.path(), Mode::Write).unwrap();
    let one = contents(&autogen);
    assert!(one.iter().all(|(file, text)| two[file] != *text));

    // Kills it a little later each time; on a busy machine, until both states have been seen.
    let mut seen = [0; 2];
    let mut round = 0;
    while round < 60 || (seen.contains(&0) && round < 1000) {
        round += 1;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "helper_that_refreshes"])
            .env("CHI_TEST_REFRESH_DIR", repo.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(5_000 + 173 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let found = contents(&autogen);
        match [&one, &two].iter().position(|whole| **whole == found) {
            Some(which) => seen[which] += 1,
            None => panic!("round {round}: neither the old nor the new files: {:?}", found.keys()),
        }
    }
    assert!(seen.iter().all(|n| *n > 0), "killed in one state only: {seen:?}");

    refresh(repo.path(), Mode::Write).unwrap();
    assert_eq!(
        scratch(&repo.path().join("kv")),
        [""; 0],
        "leftovers of killed refreshes are swept"
    );
}
