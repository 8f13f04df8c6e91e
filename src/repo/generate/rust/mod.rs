//! What is generated for Rust.

pub(super) mod dispatch;
pub(super) mod from_yaml;
pub(super) mod layout;
