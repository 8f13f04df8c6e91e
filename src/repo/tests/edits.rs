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
