//! Runs the readers and the JSON Schemas on a corpus of good and bad files.
//!
//! The problems of a bad file are listed in the file beside it that ends in `.txt`;
//! `CHI_REFRESH_GOLDEN=1` rewrites these.

use std::path::{Path, PathBuf};

use chimaera_repo::{parse_module, Problems, Repo};

fn corpus(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    files
}

fn is_repo(file: &Path) -> bool {
    file.to_str().unwrap().ends_with(".repo.yaml")
}

/// Reads a file as if its directory contained a `CMakeLists.txt`.
fn read(file: &Path) -> Result<(), Problems> {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mod_name");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("CMakeLists.txt"), "").unwrap();
    let bytes = std::fs::read(file).unwrap();
    let read = match is_repo(file) {
        true => Repo::parse(&dir, &bytes).map(drop),
        false => parse_module(&dir, "example", &bytes).map(drop),
    };
    read.map_err(|mut problems| {
        for problem in &mut problems.0 {
            problem.file = problem.file.strip_prefix(home.path()).unwrap().to_owned();
        }
        problems
    })
}

#[test]
fn good_files_are_read() {
    for file in corpus("good") {
        if let Err(problems) = read(&file) {
            panic!("{}:\n{problems}", file.display());
        }
    }
}

#[test]
fn all_problems_of_bad_files_are_found() {
    for file in corpus("bad") {
        let problems = read(&file).expect_err(file.to_str().unwrap()).to_string() + "\n";
        let golden = file.with_extension("txt");
        if std::env::var_os("CHI_REFRESH_GOLDEN").is_some() {
            std::fs::write(&golden, &problems).unwrap();
        }
        let want = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(problems, want, "{}", file.display());
    }
}
