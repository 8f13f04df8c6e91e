//! Where the containers of a pool run.

use std::time::Duration;

/// Where the containers of a pool run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// In the runtime's own process.
    #[default]
    None,
    /// In a process of their own, a module host.
    Process,
}

impl Isolation {
    /// The name in configurations and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::None => "none",
            Isolation::Process => "process",
        }
    }
}

/// What the module host of a pool may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// A method that keeps its worker for longer than this ends the host. `None` is no limit.
    pub kill_after: Option<Duration>,
    /// More memory than this, in bytes, ends the host. `None` is no limit.
    pub memory: Option<u64>,
    /// How often in a minute a host that has ended is started again, beyond which its pool is put in
    /// quarantine.
    pub restarts: u32,
}

impl Default for HostLimits {
    fn default() -> HostLimits {
        HostLimits { kill_after: None, memory: None, restarts: 5 }
    }
}
