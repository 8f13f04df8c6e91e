//! The JSON Schemas of the two files, by which editors complete and check them.
//!
//! What they refuse, the readers refuse. A schema cannot say all that readers check: that a number is there
//! once, say, or that a name is no keyword. tests/agreement.rs holds both to that.

/// Of `chimaera_repo.yaml`.
pub const REPO_SCHEMA: &str = include_str!("schema/chimaera_repo.schema.json");
/// Of `chimaera_mod.yaml`.
pub const MODULE_SCHEMA: &str = include_str!("schema/chimaera_mod.schema.json");
