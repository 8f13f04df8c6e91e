//! Readers: from the YAML files of a repo, and the sources in Rust that they name, to the model.
//! Strict: what they do not know is a problem, and they go on to find all problems in one go.

mod fields;
mod from_rust;
mod from_yaml;
mod methods;
mod module;
mod params;
mod repo;

pub(crate) use from_rust::{doc, name, named};
pub use module::parse as parse_module;
pub use repo::Repo;
