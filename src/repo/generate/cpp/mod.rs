//! The code generated for C++.

pub(super) mod dispatch;
pub(super) mod from_yaml;
