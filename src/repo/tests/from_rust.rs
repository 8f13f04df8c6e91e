//! Tasks written in Rust: the headers generated from them, and the problems of bad ones.

mod common;

use chimaera_repo::{refresh, Mode};
use common::{contents, golden, Repo};

const YAML: &str = "language: rust\nkFirst: 10\nrust_tasks: src/tasks.rs\n";

/// A repo whose module `mod_name` has this source.
fn repo(yaml: &str, source: impl AsRef<[u8]>) -> Repo {
    let repo = Repo::new();
    let module = repo.module("mod_name", yaml);
    std::fs::create_dir(module.join("src")).unwrap();
    std::fs::write(module.join("src/tasks.rs"), source).unwrap();
    repo
}

/// The problems of the repo, one per line, with relative paths.
fn problems(repo: &Repo) -> String {
    let problems = refresh(repo.path(), Mode::Write).unwrap_err().to_string();
    problems.replace(&format!("{}/", repo.path().display()), "") + "\n"
}

#[test]
fn headers_are_made_as_they_should_and_again_the_same() {
    let repo = repo(YAML, include_str!("from_rust/good.rs"));
    assert_eq!(refresh(repo.path(), Mode::Write).unwrap().len(), 6);
    assert_eq!(refresh(repo.path(), Mode::Write).unwrap(), []);
    golden("from_rust", &contents(&repo.path().join("mod_name/autogen")));
}

#[test]
fn a_source_that_changed_makes_the_headers_stale() {
    let good = include_str!("from_rust/good.rs");
    let repo = repo(YAML, good);
    refresh(repo.path(), Mode::Write).unwrap();
    let source = repo.path().join("mod_name/src/tasks.rs");
    std::fs::write(&source, good.replace("flag: Cell<u8>", "flag: Cell<u16>")).unwrap();
    let stale: Vec<String> = refresh(repo.path(), Mode::Check)
        .unwrap()
        .iter()
        .map(|changed| changed.file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(stale, ["mod_name_lib_exec.rs", "mod_name_tasks.h", "mod_name_tasks_c.h"]);
}

#[test]
fn all_problems_of_a_source_are_found() {
    let text = problems(&repo(YAML, include_str!("from_rust/bad.rs")));
    golden("from_rust_bad", &[("problems.txt".to_owned(), text)].into());
}

#[test]
fn what_is_no_source_is_told() {
    let absent = Repo::new();
    absent.module("mod_name", YAML);
    assert!(problems(&absent).contains("mod_name/src/tasks.rs: there is no such file"));
    for (source, told) in [
        (&b"pub struct \xff;"[..], "write the file in UTF-8"),
        (b"pub struct {}", "tasks.rs:1:12: not valid Rust"),
        (b"mod layouts;\npub struct Plain;", "this file contains no tasks"),
        (
            b"mod layouts;\n#[derive(Clone, Copy, Pod)]\n#[repr(C)]\npub struct EIO { pub size: u64 }",
            "tasks.rs:4:12: `EIO` is, or may be, a macro of errno.h",
        ),
    ] {
        let found = problems(&repo(YAML, source));
        assert!(found.contains(told), "{found}");
    }
}

#[test]
fn a_struct_is_described_or_written_and_not_both() {
    let both = "tasks: {kFirst: {fields: [{name: size, type: u8, dir: in}]}}\n";
    let found = problems(&repo(&format!("{YAML}{both}"), include_str!("from_rust/good.rs")));
    assert!(found.contains("chimaera_mod.yaml describes a `FirstTask` too"), "{found}");
}
