//! Options for connecting.

use std::time::Duration;

/// Options for connecting.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the runtime's instance; `None` means `$CHI_INSTANCE`, else `default`.
    pub instance: Option<String>,
    /// Size of the session's segment in bytes; 0 means the runtime's default. One half is for data
    /// that the client sends, the other for data that methods return.
    pub segment_size: u64,
    /// How long to wait for a runtime that is not running yet. Zero fails at once.
    pub connect_timeout: Duration,
}

impl Options {
    /// The defaults, for a static.
    pub(crate) const fn new() -> Options {
        Options { instance: None, segment_size: 0, connect_timeout: Duration::ZERO }
    }
}
