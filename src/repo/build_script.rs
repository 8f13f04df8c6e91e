//! The functions that the build scripts of Rust modules call, so that no module is built from stale
//! generated code.
//!
//! ```no_run
//! // In the build.rs of a container's crate; a client's crate calls `client` instead.
//! chimaera_repo::build_script::runtime();
//! ```

use std::env;
use std::path::{Path, PathBuf};

use chimaera_yaml::Problems;

use crate::edit::{refresh, Mode};
use crate::model::Module;
use crate::names::{MODULE_FILE, REPO_FILE};
use crate::read::Repo;

/// Regenerates the code of the module that the crate belongs to, if it is out of date. The module
/// is described by the `chimaera_mod.yaml` next to the crate's `Cargo.toml` or one directory up.
/// Without such a file, as in a crate from a registry, there is nothing to do. Problems end the
/// build script.
pub fn client() {
    let Some(dir) = module_dir() else { return };
    watch(&dir.join(MODULE_FILE));
    watch(&dir.join("..").join(REPO_FILE));
    watch(&dir.join("autogen"));
    let refreshed = Repo::open(&dir).and_then(|(_, modules)| {
        modules.iter().filter_map(Module::source).for_each(|source| watch(&source));
        refresh(&dir, Mode::Write)
    });
    if let Err(Problems(problems)) = refreshed {
        for problem in problems {
            eprintln!("{problem}");
        }
        std::process::exit(1);
    }
}

/// Does what [`client`] does, and sets the soname of the library.
pub fn runtime() {
    client();
    println!("cargo:rerun-if-changed=build.rs");
    let library = env::var("CARGO_PKG_NAME").unwrap_or_default().replace('-', "_");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,lib{library}.so");
}

fn module_dir() -> Option<PathBuf> {
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    [package.clone(), package.parent()?.to_owned()]
        .into_iter()
        .find(|dir| dir.join(MODULE_FILE).exists())
}

/// Tells cargo to rerun the script when `path` changes.
fn watch(path: &Path) {
    println!("cargo:rerun-if-changed={}", path.display());
}
