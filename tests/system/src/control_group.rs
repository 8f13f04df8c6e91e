//! Control groups that limit the memory of a daemon. Only root can create them, and not on every
//! system.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A control group inside that of this process. Removed when dropped, by which time its processes
/// must have ended.
#[derive(Debug)]
pub struct ControlGroup {
    directory: PathBuf,
}

impl ControlGroup {
    /// Creates a group whose processes may use `bytes` bytes of memory in total.
    ///
    /// # Errors
    /// Why no group can be created here.
    pub fn new(bytes: u64) -> Result<ControlGroup, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chi-test-{}-{number}", std::process::id());
        let (parent, limit) = parent()?;
        let directory = parent.join(name);
        let failed = |error: io::Error| format!("{}: {error}", directory.display());
        std::fs::create_dir(&directory).map_err(failed)?;
        let group = ControlGroup { directory: directory.clone() };
        std::fs::write(directory.join(limit), bytes.to_string()).map_err(failed)?;
        Ok(group)
    }

    /// Makes a program run in the group.
    pub(crate) fn admit(&self, command: &mut Command) -> io::Result<()> {
        let procs = OpenOptions::new().write(true).open(self.directory.join("cgroup.procs"))?;
        let join = move || {
            let mut procs: &File = &procs;
            procs.write_all(b"0")
        };
        // SAFETY: between fork and exec, `join` only writes to an open file.
        unsafe { command.pre_exec(join) };
        Ok(())
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // Removal fails if a process is still in the group, which then remains.
        let _ = std::fs::remove_dir(&self.directory);
    }
}

/// The group of this process in the hierarchy that limits memory, and the name of the limit.
fn parent() -> Result<(PathBuf, &'static str), String> {
    let own = std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
    let of = |start: &str| {
        let line = own
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(_, rest)| rest.starts_with(start)))?;
        line.splitn(3, ':').nth(2).map(|path| path.trim_start_matches('/'))
    };
    if let Some(group) = of("memory:") {
        return Ok((Path::new("/sys/fs/cgroup/memory").join(group), "memory.limit_in_bytes"));
    }
    let group = of(":").ok_or("this process is in no control group")?;
    let directory = Path::new("/sys/fs/cgroup").join(group);
    let control = directory.join("cgroup.subtree_control");
    let delegated = std::fs::read_to_string(&control);
    match delegated {
        Ok(controllers) if controllers.split_whitespace().any(|name| name == "memory") => {
            Ok((directory, "memory.max"))
        }
        Ok(_) => Err(format!("{} does not name memory", control.display())),
        Err(error) => Err(format!("{}: {error}", control.display())),
    }
}
