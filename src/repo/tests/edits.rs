//! Edits to files that people wrote change only what they should, and keep the form of the file.

use std::path::{Path, PathBuf};

use chimaera_repo::{add_method, new_module, new_repo, refresh, Language, Mode, Tasks};

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A repo with a module of each kind.
fn repo(dir: &Path) {
    new_repo(dir, "example").unwrap();
    let crates = Some(Path::new("/chimaera"));
    for (language, by_hand, described) in
        [(Language::Cpp, "hand_cpp", "told_cpp"), (Language::Rust, "hand_rust", "told_rust")]
    {
        new_module(dir, by_hand, language, Tasks::ByHand, crates).unwrap();
        new_module(dir, described, language, Tasks::Described, crates).unwrap();
    }
}

#[test]
fn files_keep_the_ends_of_their_lines() {
    let home = tempfile::tempdir().unwrap();
    let (unix, windows) = (home.path().join("unix"), home.path().join("windows"));
    for dir in [&unix, &windows] {
        repo(dir);
    }
    for path in files(&windows) {
        std::fs::write(&path, text(&path).replace('\n', "\r\n")).unwrap();
    }
    assert_eq!(
        refresh(&windows, Mode::Check).unwrap(),
        [],
        "converted line endings do not count as a change"
    );
    for dir in [&unix, &windows] {
        for module in ["hand_cpp", "told_cpp", "hand_rust", "told_rust"] {
            let added = add_method(&dir.join(module), "Compress").unwrap();
            assert_eq!(added.left, [], "{module}");
        }
        new_module(dir, "late", Language::Cpp, Tasks::ByHand, None).unwrap();
    }
    let mut compared = 0;
    for path in files(&windows).iter().filter(|path| !path.to_str().unwrap().contains("/late/")) {
        let other = unix.join(path.strip_prefix(&windows).unwrap());
        assert_eq!(text(path), text(&other).replace('\n', "\r\n"), "{}", path.display());
        compared += 1;
    }
    assert!(compared > 40);
}

#[test]
fn a_mark_and_a_last_line_without_an_end_stay() {
    let home = tempfile::tempdir().unwrap();
    repo(home.path());
    let cmake = home.path().join("CMakeLists.txt");
    let yaml = home.path().join("told_cpp/chimaera_mod.yaml");
    let plain = home.path().join("hand_cpp/chimaera_mod.yaml");
    for file in [&cmake, &yaml, &plain] {
        std::fs::write(file, format!("\u{feff}{}", text(file).trim_end())).unwrap();
    }
    let before = [text(&cmake), text(&yaml), text(&plain)];
    add_method(&home.path().join("told_cpp"), "Compress").unwrap();
    add_method(&home.path().join("hand_cpp"), "Compress").unwrap();
    new_module(home.path(), "late", Language::Cpp, Tasks::ByHand, None).unwrap();
    assert_eq!(text(&cmake), format!("{}\nadd_subdirectory(late)", before[0]));
    let with_line = before[1].replace("kEcho: 10\n", "kEcho: 10\nkCompress: 11\n");
    assert_eq!(text(&yaml), format!("{with_line}\n  kCompress:\n    fields: []"));
    assert_eq!(text(&plain), format!("{}\nkCompress: 11", before[2]));
}

#[test]
fn lines_that_end_otherwise_than_most_stay_as_they_are() {
    let home = tempfile::tempdir().unwrap();
    repo(home.path());
    let file = home.path().join("hand_cpp/chimaera_mod.yaml");
    let before = text(&file).replacen('\n', "\r\n", 2);
    std::fs::write(&file, &before).unwrap();
    add_method(&home.path().join("hand_cpp"), "Compress").unwrap();
    assert_eq!(text(&file), format!("{before}kCompress: 11\n"));
}

#[test]
fn a_task_is_put_into_the_list_of_imports_as_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    repo(home.path());
    let module = home.path().join("hand_rust");
    let file = module.join("runtime/src/lib.rs");
    let list = |names: &str| format!("use example_hand_rust_client::{{{names}}};");
    let one = list("EchoTask, Method");
    assert!(text(&file).contains(&one));
    add_method(&module, "Compress").unwrap();
    assert!(text(&file).contains(&list("CompressTask, EchoTask, Method")), "{}", text(&file));
    let several = list("\n    CompressTask,\n    EchoTask,\n    Method,\n");
    let changed = text(&file).replace(&list("CompressTask, EchoTask, Method"), &several);
    std::fs::write(&file, changed).unwrap();
    add_method(&module, "Move").unwrap();
    add_method(&module, "Decompress").unwrap();
    let want = "\n    CompressTask,\n    DecompressTask, EchoTask,\n    Method, MoveTask,\n";
    assert!(text(&file).contains(&list(want)), "{}", text(&file));
}

/// The text of a refusal.
fn refusal<T: std::fmt::Debug>(result: Result<T, chimaera_repo::Problems>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn the_namespace_of_chimaera_is_for_its_own_modules() {
    let home = tempfile::tempdir().unwrap();
    for name in ["chimaera", "Chimaera", "CHIMAERA"] {
        let why = format!("the namespace \"{name}\" belongs to Chimaera's own modules");
        let dir = home.path().join(name);
        let found = refusal(new_repo(&dir, name));
        assert!(found.contains(&why), "{found}");
        assert!(!dir.exists());

        // In a file written or changed by hand.
        new_repo(&dir, "example").unwrap();
        std::fs::write(dir.join("chimaera_repo.yaml"), format!("namespace: {name}\n")).unwrap();
        let found = refusal(refresh(&dir, Mode::Write));
        assert!(found.contains(&why), "{found}");
    }
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rust_chimods");
    assert_eq!(refresh(&own, Mode::Check).unwrap(), []);
}

#[test]
fn a_module_is_not_put_where_a_tool_writes() {
    let home = tempfile::tempdir().unwrap();
    repo(home.path());
    for name in ["build", "target", "autogen", "cmake", "modules", "chimaera", "Build"] {
        let module = home.path().join(name);
        let found = refusal(new_module(home.path(), name, Language::Cpp, Tasks::ByHand, None));
        assert!(found.contains(&format!("\"{name}\" is the name of the directory")), "{found}");
        assert!(!module.exists());
    }
    std::fs::rename(home.path().join("hand_cpp"), home.path().join("build")).unwrap();
    let found = refusal(refresh(home.path(), Mode::Write));
    assert!(found.contains("the module's directory \"build\" is the name of"), "{found}");
}

#[test]
fn a_name_that_was_meant_to_be_a_method_name_is_not_guessed() {
    let home = tempfile::tempdir().unwrap();
    repo(home.path());
    let module = home.path().join("hand_cpp");
    let before = text(&module.join("chimaera_mod.yaml"));
    for (name, help) in [
        ("kchecksum", "did you mean `kChecksum`?"),
        ("kst_mtime", "did you mean `kStMtime`?"),
        ("kFoo Bar", "did you mean `kFooBar`?"),
        ("kSub-mit", "did you mean `kSubMit`?"),
        ("k", "write `kCompress`, for example"),
        ("kÄ", "write `kCompress`, for example"),
        ("Ändern", "write `kCompress`, for example"),
    ] {
        let found = refusal(add_method(&module, name));
        assert!(found.contains(&format!("`{name}` is not a valid method name")), "{found}");
        assert!(found.contains(help), "{found}");
    }
    assert_eq!(text(&module.join("chimaera_mod.yaml")), before);
}

#[test]
fn what_exists_already_is_said_to_exist() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("repo");
    repo(&dir);
    let found = refusal(new_repo(&dir, "example"));
    assert!(found.contains("the repo already exists"), "{found}");
    assert!(found.contains("`chimaera module new`"), "{found}");
    let found = refusal(new_module(&dir, "hand_cpp", Language::Cpp, Tasks::ByHand, None));
    assert!(found.contains("hand_cpp: the module already exists"), "{found}");
    assert!(found.contains("`chimaera module add-method`"), "{found}");
    std::fs::create_dir_all(dir.join("full/of/files")).unwrap();
    let found = refusal(new_module(&dir, "full", Language::Cpp, Tasks::ByHand, None));
    assert!(found.contains("the directory is not empty"), "{found}");
}

#[test]
fn a_directory_that_is_no_module_is_named() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("repo");
    repo(&dir);
    std::fs::create_dir(home.path().join("plain")).unwrap();
    for (path, why) in [
        (home.path().join("nope"), "nope: there is no such directory"),
        (home.path().join("plain"), "chimaera_mod.yaml: there is no such file"),
        (dir.clone(), "chimaera_mod.yaml: there is no such file"),
    ] {
        let found = refusal(add_method(&path, "kMove"));
        assert!(found.contains(why) && found.contains("`--module DIR`"), "{found}");
        assert!(!found.contains("chimaera_repo.yaml"), "{found}");
    }
    // Outside a repo.
    for found in [
        refusal(refresh(&home.path().join("plain"), Mode::Write)),
        refusal(new_module(&home.path().join("plain"), "m", Language::Cpp, Tasks::ByHand, None)),
    ] {
        assert!(found.contains("`chimaera repo new DIR --namespace NAME`"), "{found}");
        assert!(found.contains("--repo DIR"), "{found}");
    }
}

#[test]
fn a_source_that_is_left_alone_has_a_reason() {
    let home = tempfile::tempdir().unwrap();
    repo(home.path());
    let reasons = |module: &str| -> Vec<String> {
        let added = add_method(&home.path().join(module), "kMove").unwrap();
        let short = |left: &chimaera_repo::Left| {
            assert!(left.code.contains("Move"), "{}", left.code);
            let name = left.file.file_name().unwrap().to_string_lossy().into_owned();
            format!("{name}: {}", left.reason)
        };
        added.left.iter().map(short).collect()
    };
    std::fs::remove_file(home.path().join("told_cpp/src/told_cpp_runtime.cc")).unwrap();
    assert_eq!(reasons("told_cpp"), ["told_cpp_runtime.cc: there is no such file"]);
    std::fs::write(home.path().join("told_rust/runtime/src/lib.rs"), "// Odd.\n").unwrap();
    assert_eq!(
        reasons("told_rust"),
        ["lib.rs: it has no `#[chimaera::container(...)]` at the start of a line"]
    );
    std::fs::write(home.path().join("hand_cpp/include/hand_cpp/hand_cpp_client.h"), "").unwrap();
    assert_eq!(
        reasons("hand_cpp"),
        ["hand_cpp_client.h: it has no `class Client` that begins and ends at the start of a line"]
    );
}
