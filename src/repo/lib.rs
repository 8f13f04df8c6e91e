//! Module repos: reads the two YAML files of a repo, generates code from them, makes new modules.
//!
//! ```text
//! chimaera_repo.yaml ─┐
//!                     ├─ read ─► Repo, Module ─ generate ─► files ─ refresh ─► autogen/
//! chimaera_mod.yaml ──┘   │
//!                         └────► Problems, each with its file, line and column
//! ```
//!
//! The readers are strict: what they do not know is a problem, and they go on to find all problems of
//! a repo in one go. The generators are pure functions of what was read, so their output is the same
//! everywhere; [`refresh`] is the only part that writes to the `autogen` directories.

mod add_method;
pub mod build_script;
mod describe;
mod fields;
mod generate;
mod methods;
mod module;
mod names;
mod params;
mod refresh;
mod repo;
mod scaffold;
mod schema;
mod words;
mod written;

pub use add_method::{add_method, Added};
pub use chimaera_yaml::{Position, Problem, Problems};
pub use module::{Language, Method, Module};
pub use refresh::{refresh, Change, Changed, Mode};
pub use repo::{Repo, MODULE_FILE, REPO_FILE};
pub use scaffold::{new_module, new_repo, Tasks};
pub use schema::{MODULE_SCHEMA, REPO_SCHEMA};

/// Reads `bytes` as either file, and generates the code of a module that is taken, in both languages.
#[cfg(feature = "fuzzing")]
pub fn fuzz(bytes: &[u8]) {
    let dir = std::path::Path::new("repo/mod_name");
    let _ = Repo::parse(dir, bytes);
    if let Ok(mut module) = Module::parse(dir, "example", bytes) {
        for language in [Language::Cpp, Language::Rust] {
            module.language = language;
            let _ = generate::files(&module);
        }
    }
}
