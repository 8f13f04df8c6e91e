//! The commands, one file each. They import `context`, `settings` and `table`.

pub(crate) mod call;
pub(crate) mod cluster;
pub(crate) mod compose;
pub(crate) mod config;
mod inspect;
pub(crate) mod list;
pub(crate) mod log;
pub(crate) mod logs;
pub(crate) mod metrics;
pub(crate) mod module;
pub(crate) mod modules;
mod offered;
mod policy;
pub(crate) mod pool;
pub(crate) mod repo;
mod repo_build;
mod repo_output;
mod repo_upgrade;
pub(crate) mod restart;
pub(crate) mod service;
pub(crate) mod sessions;
pub(crate) mod slow;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod tasks;
pub(crate) mod top;
