//! Descriptors that clients send although the runtime expects none.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::{channel, Sender};

use crate::sys::{set_option, SO_PASSRIGHTS};

/// Closes descriptors that clients may have sent, and sockets on which such descriptors may be
/// queued. Kernels from 6.16 on refuse them. Closing them can block for as long as the sender likes (`SO_LINGER`), so a separate
/// thread does it.
pub(super) struct Closer {
    is_needed: bool,
    thread: Option<Sender<OwnedFd>>,
    /// Descriptors still open because the thread could not be started.
    left: Vec<OwnedFd>,
}

impl Closer {
    /// Returns the closer for the connections of a listening socket.
    pub(super) fn new(listener: &OwnedFd) -> Closer {
        Closer { is_needed: receives(listener), thread: None, left: Vec::new() }
    }

    /// Closes a descriptor, now or soon.
    pub(super) fn close(&mut self, descriptor: OwnedFd) {
        if !self.is_needed {
            return drop(descriptor);
        }
        // The sender can undo this, and it fails for descriptors that are not sockets.
        let linger = libc::linger { l_onoff: 0, l_linger: 0 };
        set_option(&descriptor, libc::SO_LINGER, &linger);
        self.left.push(descriptor);
        if self.thread.is_none() {
            self.thread = start();
        }
        if let Some(thread) = &self.thread {
            // The thread does not end before this closer is dropped.
            self.left.drain(..).for_each(|descriptor| drop(thread.send(descriptor)));
        }
    }
}

/// Starts the thread. It is never joined: when a process ends, its descriptors are closed without
/// waiting.
fn start() -> Option<Sender<OwnedFd>> {
    let (sender, receiver) = channel();
    let close = move || receiver.into_iter().for_each(drop);
    std::thread::Builder::new().name("chi-closer".into()).spawn(close).ok()?;
    Some(sender)
}

/// Whether connections of a listening socket receive descriptors.
fn receives(listener: &OwnedFd) -> bool {
    let mut on: libc::c_int = 1;
    let mut size = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and both variables outlive the call and are as large as it is
    // told.
    let done = unsafe {
        let value = (&raw mut on).cast();
        libc::getsockopt(listener.as_raw_fd(), libc::SOL_SOCKET, SO_PASSRIGHTS, value, &mut size)
    };
    done != 0 || on != 0
}
