//! Module repos: reads the two YAML files of a repo, generates code from them, and creates modules.
//!
//! ```text
//! chimaera_repo.yaml ─┐
//!                     ├─ read ─► Repo, Module ─ generate ─► files ─ refresh ─► autogen/
//! chimaera_mod.yaml ──┘   │
//!                         └────► Problems, each with its file, line and column
//! ```
//!
//! Imports go one way: `names` and `model` import none of the others, `read` fills the model,
//! `generate` turns it into text, `edit` writes files.
//!
//! The readers are strict: an unknown key is a problem, and they go on to report all problems of a
//! repo at once. The generators are pure functions of the model, so their output is the same
//! everywhere; only [`refresh`] writes to the `autogen` directories.

pub mod build_script;
mod edit;
mod generate;
mod macros;
mod model;
mod names;
mod read;
mod reserved_words;
mod schema;
mod templates;

pub use chimaera_yaml::{Position, Problem, Problems};
pub use edit::{add_method, new_module, new_repo, refresh};
pub use edit::{Added, Change, Changed, Left, Mode, Tasks};
pub use model::{Language, Method, Module};
pub use names::{MODULE_FILE, REPO_FILE};
pub use read::{parse_module, Repo};
pub use schema::{MODULE_SCHEMA, REPO_SCHEMA};

/// Reads `bytes` as either file, and generates code in both languages for a module that is
/// accepted.
#[cfg(feature = "fuzzing")]
pub fn fuzz(bytes: &[u8]) {
    let dir = std::path::Path::new("repo/mod_name");
    let _ = Repo::parse(dir, bytes);
    if let Ok(mut module) = parse_module(dir, "example", bytes) {
        for language in [Language::Cpp, Language::Rust] {
            module.language = language;
            let _ = generate::files(&module);
        }
    }
}
