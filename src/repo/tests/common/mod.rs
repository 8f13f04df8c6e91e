//! Repos for tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A repo in a temporary directory, which is removed with it.
pub(crate) struct Repo(TempDir);

impl Repo {
    pub(crate) fn new() -> Repo {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("chimaera_repo.yaml"), "namespace: example\n").unwrap();
        Repo(home)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Creates a module, or replaces its file.
    pub(crate) fn module(&self, name: &str, yaml: &str) -> PathBuf {
        let dir = self.path().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("chimaera_mod.yaml"), yaml).unwrap();
        dir
    }
}

/// The files of a directory and their contents.
pub(crate) fn contents(dir: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return BTreeMap::new() };
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// Compares with the files of `tests/golden/<name>`; `CHI_REFRESH_GOLDEN=1` rewrites them.
#[allow(dead_code)]
pub(crate) fn golden(name: &str, made: &BTreeMap<String, String>) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("CHI_REFRESH_GOLDEN").is_some() {
        std::fs::create_dir_all(&golden).unwrap();
        for (file, text) in made {
            std::fs::write(golden.join(file), text).unwrap();
        }
    }
    assert_eq!(*made, contents(&golden), "{name}");
}
