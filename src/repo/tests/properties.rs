//! Properties of the generated code of any module: it is reproducible, compiles, and is stable
//! under the formatters.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use chimaera_repo::{refresh, Mode};
use common::{contents, Repo};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Methods by name, each with its number or -1.
fn methods() -> impl Strategy<Value = BTreeMap<String, i64>> {
    let name = "k[A-Z][a-z]{0,12}([A-Z][a-z0-9]{1,8}){0,2}"
        .prop_filter("taken", |name| !name.starts_with("kDel") && name.len() <= 40);
    let number = prop_oneof![4 => 10_i64..4096, 1 => Just(-1)];
    prop::collection::btree_map(name, number, 0..12).prop_map(|methods| {
        let mut seen = std::collections::HashSet::new();
        methods.into_iter().filter(|(_, n)| *n == -1 || seen.insert(*n)).collect()
    })
}

/// A section `tasks` for some of the methods.
fn tasks(methods: &BTreeMap<String, i64>) -> impl Strategy<Value = String> {
    let ty = prop::sample::select(vec![
        "u8",
        "u16",
        "u32",
        "u64",
        "i8",
        "i64",
        "f32",
        "f64",
        "bool",
        "string",
        "bytes",
        "u8[3]",
        "u32[16]",
        "vector<u64>",
        "vector<string>",
        "vector<bytes>",
        "vector<vector<u8>>",
        "Plain",
        "Rich",
        "Plain[2]",
        "vector<Plain>",
        "vector<Rich>",
    ]);
    let dir = prop::sample::select(vec!["in", "out", "inout"]);
    let doc = "([A-Za-z]{1,12} ){0,20}[a-z]{1,9}";
    let field = ("[a-z]{2,8}(_[a-z]{2,5}){0,2}", ty, dir, doc);
    let fields = prop::collection::vec(field, 0..7);
    let names: Vec<String> =
        methods.iter().filter(|(_, n)| **n >= 10).map(|(name, _)| name.clone()).collect();
    prop::collection::vec((fields, doc), names.len()).prop_map(move |all| {
        let mut yaml = "structs:\n  Plain:\n    fields: [{name: one, type: u64}, {name: flag, type: \
                        bool}]\n  Rich:\n    fields: [{name: text, type: string}, {name: one, type: \
                        Plain}, {name: many, type: vector<Plain>}]\n"
            .to_owned();
        yaml += if names.is_empty() { "" } else { "tasks:\n" };
        for (name, (fields, doc)) in names.iter().zip(all) {
            yaml += &format!("  {name}:\n    doc: \"{doc}\"\n    fields:\n");
            let mut seen = std::collections::HashSet::new();
            let mut list = String::new();
            for (field, ty, dir, doc) in fields {
                if seen.insert(field.clone()) {
                    list += &format!(
                        "      - {{name: {field}, type: \"{ty}\", dir: {dir}, doc: \"{doc}\"}}\n"
                    );
                }
            }
            yaml += if list.is_empty() { "      []\n" } else { &list };
        }
        yaml
    })
}

fn yaml(language: &str, methods: &BTreeMap<String, i64>) -> String {
    let mut yaml = format!("language: {language}\n");
    for (name, number) in methods {
        yaml += &format!("{name}: {number}\n");
    }
    yaml
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_second_refresh_changes_nothing(methods in methods(), language in "cpp|rust") {
        let repo = Repo::new();
        let module = repo.module("kv", &yaml(&language, &methods));
        // Names that are already taken are covered by another test.
        if refresh(repo.path(), Mode::Write).is_ok() {
            let first = contents(&module.join("autogen"));
            prop_assert_eq!(refresh(repo.path(), Mode::Write).unwrap(), []);
            std::fs::remove_dir_all(module.join("autogen")).unwrap();
            refresh(repo.path(), Mode::Write).unwrap();
            prop_assert_eq!(contents(&module.join("autogen")), first);
        }
    }

    #[test]
    fn no_text_makes_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = chimaera_repo::Repo::parse(Path::new("r"), &bytes);
        let _ = chimaera_repo::parse_module(Path::new("r/m"), "example", &bytes);
    }

    #[test]
    fn no_yaml_makes_a_reader_panic(text in "([ \\-:\\[\\]{}#&*!|>'\"%,?\n]|k[A-Z]|name|[0-9]|: |\n  )*") {
        let _ = chimaera_repo::Repo::parse(Path::new("r"), text.as_bytes());
        let _ = chimaera_repo::parse_module(Path::new("r/m"), "example", text.as_bytes());
    }
}

/// The generated files of many modules, with the repos that contain them.
fn generated(language: &str) -> (Vec<Repo>, Vec<PathBuf>) {
    let mut runner = TestRunner::deterministic();
    let mut repos = Vec::new();
    let mut files = Vec::new();
    for _ in 0..100 {
        let methods = methods().new_tree(&mut runner).unwrap().current();
        let tasks = tasks(&methods).new_tree(&mut runner).unwrap().current();
        let repo = Repo::new();
        let module = repo.module("a_name_of_a_module", &(yaml(language, &methods) + &tasks));
        if let Ok(changed) = refresh(&module, Mode::Write) {
            files.extend(changed.into_iter().map(|changed| changed.file));
            repos.push(repo);
        }
    }
    assert!(repos.len() > 50);
    (repos, files)
}

/// Whether the tool is installed; without it, the check is skipped.
fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        eprintln!("{tool} is not installed: skipping the check");
    }
    found
}

/// Generated headers compile in any program: those for C, and the first few for C++.
#[test]
fn headers_compile() {
    if !has("cc") || !has("c++") {
        return;
    }
    let (_repos, files) = generated("cpp");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include");
    let named = |end: &'static str| {
        files.iter().filter(move |file| file.to_str().is_some_and(|name| name.ends_with(end)))
    };
    let c = named("_c.h").map(|file| (file, "cc", "-std=c11"));
    let cpp = named("_client.h").take(3).map(|file| (file, "c++", "-std=c++17"));
    let mut compiled = 0;
    for (file, compiler, standard) in c.chain(cpp) {
        let output = Command::new(compiler)
            .args([standard, "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
            .args(["-Wno-unused-function", "-x", if compiler == "cc" { "c" } else { "c++" }])
            .arg("-I")
            .arg(&include)
            .arg("-I")
            .arg(file.parent().unwrap())
            .arg("-include")
            .arg(file)
            .arg("/dev/null")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{said}", std::fs::read_to_string(file).unwrap());
        compiled += 1;
    }
    assert!(compiled > 50);
}

#[test]
fn formatters_leave_cpp_alone() {
    if !has("clang-format") {
        return;
    }
    let (_repos, files) = generated("cpp");
    let style = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.clang-format");
    let output = Command::new("clang-format")
        .args(["--dry-run", "-Werror", &format!("--style=file:{}", style.display())])
        .args(files.iter().filter(|file| file.extension().is_some_and(|end| end == "h")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn formatters_leave_rust_alone() {
    if !has("rustfmt") {
        return;
    }
    let (_repos, files) = generated("rust");
    let output = Command::new("rustfmt")
        .args(["--check", "--edition", "2021"])
        .args(files.iter().filter(|file| file.extension().is_some_and(|end| end == "rs")))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
