//! What the system says of this process.

use chimaera_ipc::clock;
use rustix::process::{getrlimit, Resource};

use super::memory::resident;

/// What the system says of this process; 0 for what it does not say.
pub(crate) struct ProcessUse {
    /// Processor time, in nanoseconds.
    pub(crate) cpu_ns: u64,
    /// Resident memory, in bytes.
    pub(crate) resident_bytes: u64,
    /// Open descriptors.
    pub(crate) descriptors: u64,
    /// The limit on them.
    pub(crate) descriptors_limit: u64,
}

/// What the system says of this process now.
pub(crate) fn process_use() -> ProcessUse {
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, |all| all.count() as u64);
    ProcessUse {
        cpu_ns: clock::cpu_ns(),
        resident_bytes: resident().map_or(0, |(resident, _)| resident),
        // Without that of the directory.
        descriptors: open.saturating_sub(1),
        descriptors_limit: getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_it_is_known_here() {
        let first = process_use();
        assert!(first.cpu_ns > 0 && first.resident_bytes > 1 << 20);
        assert!((3..first.descriptors_limit).contains(&first.descriptors));
        let file = std::fs::File::open("/dev/null").unwrap();
        // Other tests open files, too.
        assert!((0..1000).any(|_| process_use().descriptors > first.descriptors));
        drop(file);
    }
}
