//! Readers: from the YAML files of a repo, and the Rust sources that they name, to the model. They
//! are strict: an unknown key is a problem. They go on to report all problems at once.

mod fields;
mod from_rust;
mod from_yaml;
mod methods;
mod module;
mod params;
mod repo;

pub(crate) use from_rust::{doc, foreign, name, named};
pub use module::parse as parse_module;
pub use repo::Repo;
