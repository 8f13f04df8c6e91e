//! Answers to `chimaera log`.

use chimaera_abi::*;
use serde_json::json;

use crate::failure::Failure;
use crate::isolation::tell_log_level_to_all;
use crate::log::LogControl;
use crate::scheduler::Shared;

/// Sets the log level, also that of module hosts, unless `wanted` is empty, and returns the level.
pub(super) fn level(shared: &Shared, wanted: &str) -> Result<serde_json::Value, Failure> {
    let log = log(shared)?;
    if !wanted.is_empty() {
        log.set_level(wanted).map_err(|why| Failure::new(CHI_INVALID, why))?;
        tell_log_level_to_all(shared);
    }
    Ok(json!({ "level": log.level() }))
}

/// Reopens the log file.
pub(super) fn reopen(shared: &Shared) -> Result<serde_json::Value, Failure> {
    let path = log(shared)?.reopen().map_err(|why| {
        tracing::error!("{why}");
        Failure::new(CHI_IO, why)
    })?;
    Ok(json!({ "log": path }))
}

fn log(shared: &Shared) -> Result<&dyn LogControl, Failure> {
    let why = "the runtime is embedded in an application, which controls the log";
    shared.config.log.as_deref().ok_or_else(|| Failure::new(CHI_UNSUPPORTED, why))
}
