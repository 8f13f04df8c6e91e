//! Processes of other users, which only root can start.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The user "nobody".
pub const NOBODY: u32 = 65534;

/// Lets one test of a file at a time act as other users: a program that is being copied cannot be
/// run, and a child that another test forks meanwhile inherits the open copy. Returns `None`, with
/// a prominent notice, if this process may not switch users.
pub fn alone_as_root() -> Option<MutexGuard<'static, ()>> {
    static ALONE: Mutex<()> = Mutex::new(());
    if !rustix::process::geteuid().is_root() {
        eprintln!("\n*** SKIPPED: tests with a second user need root ***\n");
        return None;
    }
    Some(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Sets a file's permissions.
#[track_caller]
pub fn allow(path: impl AsRef<Path>, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
}

/// A copy of a program in a directory that all users can enter.
#[track_caller]
pub fn reachable(program: PathBuf, place: &Path) -> PathBuf {
    let copy = place.join(program.file_name().expect("it is a file"));
    std::fs::copy(program, &copy).expect("there is room");
    allow(&copy, 0o755);
    copy
}

/// Makes the command run as a user with these groups, the first of which is its primary group.
#[must_use]
pub fn as_user(mut command: Command, user: u32, groups: &[u32]) -> Command {
    let groups = groups.to_vec();
    let become_user = move || {
        // SAFETY: the calls take numbers, and a list that lives until they return.
        let results = unsafe {
            [
                libc::setgroups(groups.len() - 1, groups[1..].as_ptr()),
                libc::setresgid(groups[0], groups[0], groups[0]),
                libc::setresuid(user, user, user),
            ]
        };
        match results {
            [0, 0, 0] => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure makes system calls only, which may be made between fork and exec.
    unsafe { command.pre_exec(become_user) };
    command.current_dir("/");
    command
}

/// Makes the command run as the user "nobody".
#[must_use]
pub fn as_nobody(command: Command) -> Command {
    as_user(command, NOBODY, &[NOBODY])
}
