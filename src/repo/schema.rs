//! The JSON Schemas of the two files, by which editors complete and check them.
//!
//! Whatever the schemas refuse, the readers refuse too. The readers also check what a schema cannot
//! express, such as that no number is used twice or that a name is not a keyword.
//! tests/agreement.rs verifies this.

/// The schema of `chimaera_repo.yaml`.
pub const REPO_SCHEMA: &str = include_str!("schema/chimaera_repo.schema.json");
/// The schema of `chimaera_mod.yaml`.
pub const MODULE_SCHEMA: &str = include_str!("schema/chimaera_mod.schema.json");
