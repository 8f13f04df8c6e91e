//! How a runtime controls the log of its process.

use std::fmt;
use std::path::PathBuf;

use super::sink::OnLoss;

/// The log of a process. The runtime forwards the requests of `chimaera log`; the code that sets up
/// the log implements this trait. `[any thread]`
pub trait LogControl: fmt::Debug + Send + Sync {
    /// The level: `error`, `warn`, `info`, `debug` or `trace`.
    fn level(&self) -> String;

    /// Sets the level.
    ///
    /// # Errors
    /// Why the level cannot be set.
    fn set_level(&self, level: &str) -> Result<(), String>;

    /// Reopens the log file, because it was renamed or removed, and returns its path.
    ///
    /// # Errors
    /// Why the file cannot be reopened. The log continues as before.
    fn reopen(&self) -> Result<PathBuf, String>;

    /// Whether each line is a JSON object.
    fn is_json(&self) -> bool;

    /// Waits until all lines so far are written, but not for long: the process is about to end.
    fn flush(&self);

    /// Calls `tell` now, and after each line that is lost.
    fn on_loss(&self, tell: OnLoss);
}

/// Whether the start and the end of each task are logged.
#[inline]
pub(crate) fn shows_tasks() -> bool {
    tracing::Level::TRACE <= tracing::level_filters::LevelFilter::current()
}
