//! What is generated for C.

pub(super) mod from_yaml;
