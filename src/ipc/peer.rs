//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::Pid;

/// The process that connected, or that listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process; `None` when it is in a PID namespace from which this one cannot be seen.
    pub pid: Option<Pid>,
    /// The user as which it acted.
    pub uid: u32,
}

impl Peer {
    /// The peer of a connected socket.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Peer> {
        let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
        let mut size = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: the descriptor is open, and both places live through the call and are as large as
        // it is told.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut found).cast(),
                &mut size,
            )
        };
        match result {
            0 => Ok(Peer { pid: Pid::from_raw(found.pid), uid: found.uid }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
