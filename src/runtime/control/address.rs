//! The socket's place in the file system, by which clients find the runtime: programs that tidy up may remove it.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use crate::sys::Unshared;

/// Where a runtime listens, watched without polling.
pub(super) struct Address {
    socket: PathBuf,
    file: (u64, u64),
    events: Unshared,
    is_lost: bool,
}

impl Address {
    /// Watches a socket. `None` if the kernel cannot do it: the user may have used up its watches.
    pub(super) fn watch(socket: &Path) -> Option<Address> {
        let watch = || {
            let events = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
            let flags = WatchFlags::DELETE
                | WatchFlags::DELETE_SELF
                | WatchFlags::MOVED_FROM
                | WatchFlags::MOVED_TO
                | WatchFlags::MOVE_SELF
                | WatchFlags::ONLYDIR;
            inotify::add_watch(&events, socket.parent().unwrap_or(Path::new("/")), flags)?;
            let file = identity(socket)?;
            let events = Unshared::new(events);
            Ok(Address { socket: socket.to_owned(), file, events, is_lost: false })
        };
        let watched: std::io::Result<Address> = watch();
        watched
            .inspect_err(
                |error| tracing::debug!(%error, "cannot watch the directory of the socket"),
            )
            .ok()
    }

    /// Reads what has happened, and says so if the socket is not there any more.
    pub(super) fn look(&mut self) {
        let mut space = [const { MaybeUninit::uninit() }; 4096];
        let mut events = inotify::Reader::new(&self.events, &mut space);
        // Until there is nothing more to read.
        while events.next().is_ok() {}
        let is_lost = identity(&self.socket).ok() != Some(self.file);
        if is_lost && !self.is_lost {
            tracing::error!(
                socket = %self.socket.display(),
                "the socket was removed: this runtime serves those who are connected, and nobody else can \
                 reach it; SIGTERM stops it"
            );
        }
        self.is_lost = is_lost;
    }
}

impl AsFd for Address {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    let file = path.symlink_metadata()?;
    Ok((file.dev(), file.ino()))
}
