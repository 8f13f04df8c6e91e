//! How a process connects.

use std::time::Duration;

/// How to connect.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The runtime's instance; `None` takes `$CHI_INSTANCE`, or else `default`.
    pub instance: Option<String>,
    /// Bytes of the session's segment; 0 takes the runtime's default. Half of it is for what the
    /// client sends, half for what methods return.
    pub segment_size: u64,
    /// How long to wait for a runtime that is not there yet. Zero fails at once.
    pub connect_timeout: Duration,
}

impl Options {
    /// The defaults, for a static.
    pub(crate) const fn new() -> Options {
        Options { instance: None, segment_size: 0, connect_timeout: Duration::ZERO }
    }
}
