//! Who is at the other end of a Unix socket.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::process::Pid;

/// The process that connected or listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process; `None` when it is in a PID namespace from which this one cannot be seen.
    pub pid: Option<Pid>,
    /// Its effective user at that time.
    pub uid: u32,
}

impl Peer {
    /// The peer of a connected socket.
    pub fn of(socket: BorrowedFd<'_>) -> io::Result<Peer> {
        let found = credentials(socket)?;
        Ok(Peer { pid: Pid::from_raw(found.pid), uid: found.uid })
    }
}

/// The groups that the peer of a connected socket had when it connected: its primary group and the
/// supplementary ones.
pub fn groups(socket: BorrowedFd<'_>) -> io::Result<Vec<u32>> {
    let mut found: Vec<libc::gid_t> = vec![0; 32];
    loop {
        let mut size = size_of_val(&found[..]) as libc::socklen_t;
        // SAFETY: the descriptor is open, and `found` has room for `size` bytes.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                found.as_mut_ptr().cast(),
                &mut size,
            )
        };
        let count = size as usize / size_of::<libc::gid_t>();
        if result == 0 {
            found.truncate(count);
            break;
        }
        let error = io::Error::last_os_error();
        // The peer has more groups; `size` says how many bytes they need.
        if error.raw_os_error() != Some(libc::ERANGE) || count <= found.len() {
            return Err(error);
        }
        found.resize(count, 0);
    }
    found.push(credentials(socket)?.gid);
    Ok(found)
}

fn credentials(socket: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and both pointers outlive the call and have the sizes that
    // are passed.
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
        0 => Ok(found),
        _ => Err(io::Error::last_os_error()),
    }
}
