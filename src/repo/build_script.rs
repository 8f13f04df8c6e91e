//! What the build scripts of modules in Rust call, so that none is built from stale code.
//!
//! ```no_run
//! // build.rs of a container's crate; that of a client's crate calls `client`.
//! chimaera_repo::build_script::runtime();
//! ```

use std::env;
use std::path::{Path, PathBuf};

use chimaera_yaml::Problems;

use crate::edit::{refresh, Mode};
use crate::model::Module;
use crate::names::{MODULE_FILE, REPO_FILE};
use crate::read::Repo;

/// Brings the generated code of the module that the crate belongs to up to date: that of the
/// `chimaera_mod.yaml` beside its `Cargo.toml` or in the directory above. Without one, as in a crate
/// that came from a registry, there is nothing to do. Problems end the build script.
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

/// What [`client`] does, and gives the library its name as the loader sees it.
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

/// Has the script run again when the file changes.
fn watch(path: &Path) {
    println!("cargo:rerun-if-changed={}", path.display());
}
