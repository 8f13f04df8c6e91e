//! How whoever started a process learns how its runtime fares.

use std::fmt;

/// Whoever started the process, such as a service manager. `[any thread]`
pub trait ServiceManager: fmt::Debug + Send + Sync {
    /// The runtime has begun to stop. Returns within about a second.
    fn stopping(&self);

    /// Another process has taken everything over, and this one will end. Returns when that has been passed on, or within
    /// about a second.
    fn succeeded_by(&self, process: u32);
}
