//! How much memory is available to this process: the machine's memory, the limits of its control
//! groups, and its limit on address space.

use std::path::{Component, Path, PathBuf};

/// What limits a process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemorySource {
    /// The memory of the machine.
    Machine,
    /// A control group.
    ControlGroup,
    /// The limit on the process's address space, `ulimit -v`.
    Addresses,
    /// The configuration.
    Configured,
}

impl MemorySource {
    /// Its name in JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            MemorySource::Machine => "machine",
            MemorySource::ControlGroup => "cgroup",
            MemorySource::Addresses => "addresses",
            MemorySource::Configured => "configuration",
        }
    }
}

/// The smallest limit on this process's memory, in bytes, and which limit that is.
pub(crate) fn available() -> (u64, MemorySource) {
    let machine = (of_machine(), MemorySource::Machine);
    let group = of_control_groups(Path::new("/")).map(|bytes| (bytes, MemorySource::ControlGroup));
    // Half of it, because segments and stacks take address space, too.
    let addresses = address_limit().map(|bytes| (bytes / 2, MemorySource::Addresses));
    // Of equal limits the first counts: it is the one that can be changed.
    let all = addresses.into_iter().chain(group).chain([machine]);
    all.min_by_key(|(bytes, _)| *bytes).unwrap_or(machine)
}

fn of_machine() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit.max(1)))
}

/// The limit on this process's address space, in bytes.
fn address_limit() -> Option<u64> {
    limit_of(libc::RLIMIT_AS)
}

/// A limit of this process, such as `RLIMIT_AS`. `None` if there is none, and if a sandbox does not
/// let it be asked. `[any thread]`
pub(crate) fn limit_of(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call only writes the limit.
    let is_known = unsafe { libc::getrlimit(resource, &mut limit) } == 0;
    (is_known && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// Address space left for allocations that cannot report failure.
const KEPT_ADDRESSES: u64 = 32 << 20;

/// True if this process may map `bytes` and still allocate other memory. `[any thread]`
pub(crate) fn has_addresses_for(bytes: u64) -> bool {
    let Some(limit) = address_limit() else { return true };
    let mapped = || {
        let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
        let pages: u64 = pages.split(' ').next()?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    };
    let kept = KEPT_ADDRESSES.max(limit / 8);
    // Without `/proc` the use is unknown, and mapping itself fails at the limit.
    mapped().is_none_or(|mapped| mapped + bytes + kept <= limit)
}

/// The memory of this process that it shares with none, in bytes.
pub(crate) fn own_memory() -> Option<u64> {
    resident().map(|(resident, shared)| resident.saturating_sub(shared))
}

/// The resident memory of this process, and how much of it is shared, in bytes.
pub(super) fn resident() -> Option<(u64, u64)> {
    let counts = std::fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = counts.split_whitespace().skip(1).map(|count| count.parse::<u64>().ok());
    let (resident, shared) = (pages.next()??, pages.next()??);
    let page = rustix::param::page_size() as u64;
    Some((resident * page, shared * page))
}

/// The smallest limit, in bytes, of the control groups (version 1 or 2) of this process. `root` is
/// where `/proc` and the control groups are found.
fn of_control_groups(root: &Path) -> Option<u64> {
    let proc = root.join("proc/self");
    let own = std::fs::read_to_string(proc.join("cgroup")).ok()?;
    let mounts = std::fs::read_to_string(proc.join("mountinfo")).ok()?;
    mounts.lines().filter_map(Mount::of).filter_map(|mount| mount.limit(root, &own)).min()
}

/// A mounted hierarchy of control groups that limits memory.
struct Mount<'m> {
    /// The control group that is mounted.
    group: &'m str,
    mount_point: &'m str,
    is_v2: bool,
}

impl Mount<'_> {
    /// Reads a line of `mountinfo`.
    fn of(line: &str) -> Option<Mount<'_>> {
        let (mount, kind) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let (group, mount_point) = (mount.next()?, mount.next()?);
        let mut kind = kind.split(' ');
        let is_v2 = match kind.next()? {
            "cgroup2" => true,
            "cgroup" if kind.nth(1)?.split(',').any(|option| option == "memory") => false,
            _ => return None,
        };
        Some(Mount { group, mount_point, is_v2 })
    }

    /// The smallest limit of this process's group and of the groups around it. `own` is the
    /// contents of `/proc/self/cgroup`, which names the group.
    fn limit(&self, root: &Path, own: &str) -> Option<u64> {
        let group = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let is_its = match self.is_v2 {
                true => controllers.is_empty(),
                false => controllers.split(',').any(|name| name == "memory"),
            };
            is_its.then_some(path)
        })?;
        // Inside a container, the group may be outside the mounted tree; then only the mount's own
        // group can be read.
        let inside = Path::new(group).strip_prefix(self.group).unwrap_or(Path::new(""));
        let is_plain = inside.components().all(|part| matches!(part, Component::Normal(_)));
        let inside = if is_plain { inside } else { Path::new("") };
        let mount_point = root.join(self.mount_point.trim_start_matches('/'));
        let files: &[&str] =
            if self.is_v2 { &["memory.max", "memory.high"] } else { &["memory.limit_in_bytes"] };
        let groups = inside.ancestors().map(|group| mount_point.join(group));
        groups.flat_map(|group| files.iter().filter_map(move |file| read(group.join(file)))).min()
    }
}

/// Reads a limit; `None` if there is none.
fn read(file: PathBuf) -> Option<u64> {
    // Without a limit, version 1 has a number near the largest, and version 2 has `max`.
    let limit = std::fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (limit < 1 << 60).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system with these files.
    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n";
    const V1: &str = "30 23 0:27 / /proc rw - proc proc rw\n\
                      31 23 0:28 / /cg/cpu rw - cgroup cgroup rw,cpu\n\
                      32 23 0:29 / /cg/memory rw shared:1 - cgroup cgroup rw,memory\n";

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        of_control_groups(system(files).path())
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let unlimited = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("proc/self/mountinfo", V2),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.high", "max\n"),
        ];
        assert_eq!(limit(&unlimited), None);
        let with = |path, text| limit(&[&unlimited[..2], &[(path, text)]].concat());
        assert_eq!(with("sys/fs/cgroup/a/b/memory.max", "1000\n"), Some(1000));
        assert_eq!(with("sys/fs/cgroup/a/b/memory.high", "900\n"), Some(900));
        assert_eq!(with("sys/fs/cgroup/a/memory.max", "800\n"), Some(800));
        assert_eq!(with("sys/fs/cgroup/memory.max", "700\n"), Some(700));
        assert_eq!(with("sys/fs/cgroup/a/c/memory.max", "600\n"), None);
        assert_eq!(with("memory.max", "500\n"), None);
    }

    #[test]
    fn the_first_version_has_a_hierarchy_for_memory() {
        let files = [
            ("proc/self/cgroup", "4:memory:/a\n1:cpu:/b\n0::/\n"),
            ("proc/self/mountinfo", V1),
            ("cg/memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
            ("cg/memory/b/memory.limit_in_bytes", "100\n"),
        ];
        assert_eq!(limit(&files), None);
        let outer = ("cg/memory/memory.limit_in_bytes", "2000\n");
        assert_eq!(limit(&[&files[..], &[outer]].concat()), Some(2000));
        let inner = ("cg/memory/a/memory.limit_in_bytes", "1000\n");
        assert_eq!(limit(&[&files[..2], &[outer, inner]].concat()), Some(1000));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let mounted = "31 23 0:28 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        for own in ["0::/docker/x\n", "0::/\n", "0::/../../elsewhere\n", "0::/docker/y\n"] {
            let files = [
                ("proc/self/cgroup", own),
                ("proc/self/mountinfo", mounted),
                ("sys/fs/cgroup/memory.max", "1000\n"),
            ];
            assert_eq!(limit(&files), Some(1000), "{own}");
        }
        let inside = [
            ("proc/self/cgroup", "0::/docker/x/part\n"),
            ("proc/self/mountinfo", mounted),
            ("sys/fs/cgroup/part/memory.max", "900\n"),
        ];
        assert_eq!(limit(&inside), Some(900));
    }

    #[test]
    fn a_machine_without_control_groups_limits_nothing() {
        assert_eq!(limit(&[]), None);
        let (bytes, _) = available();
        assert!(bytes > 1 << 20, "{bytes}");
    }
}
