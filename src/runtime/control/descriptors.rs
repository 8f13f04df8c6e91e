//! Descriptors that clients send although the runtime expects none.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::mpsc::{channel, Sender};

/// From the kernel's include/uapi/asm-generic/socket.h; libc does not have it yet.
const SO_PASSRIGHTS: libc::c_int = 83;

/// Makes the kernel refuse descriptors that clients of a listening socket send. Connections inherit that.
/// Kernels before 6.16 cannot; there, a [`Closer`] is for what is received.
pub(crate) fn refuse(socket: &OwnedFd) {
    set(socket, SO_PASSRIGHTS, &0_i32);
}

/// Has descriptors closed that clients may have sent, or that such descriptors may be queued at: closing them
/// can block for as long as the sender likes (`SO_LINGER`), so a thread of its own does it.
pub(super) struct Closer {
    is_needed: bool,
    thread: Option<Sender<OwnedFd>>,
    /// Those for which there was no thread to be had.
    left: Vec<OwnedFd>,
}

impl Closer {
    /// That for the connections of a listening socket.
    pub(super) fn new(listener: &OwnedFd) -> Closer {
        Closer { is_needed: receives(listener), thread: None, left: Vec::new() }
    }

    /// Closes a descriptor, soon.
    pub(super) fn close(&mut self, descriptor: OwnedFd) {
        if !self.is_needed {
            return drop(descriptor);
        }
        // The sender can prevent that this helps, and it fails for what is no socket.
        let linger = libc::linger { l_onoff: 0, l_linger: 0 };
        set(&descriptor, libc::SO_LINGER, &linger);
        self.left.push(descriptor);
        if self.thread.is_none() {
            self.thread = start();
        }
        if let Some(thread) = &self.thread {
            // The thread does not end before this does.
            self.left.drain(..).for_each(|descriptor| drop(thread.send(descriptor)));
        }
    }
}

/// Starts the thread, which nobody waits for: a process that ends closes without waiting.
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
    // SAFETY: the descriptor is open, and both places live through the call and are as large as it is told.
    let done = unsafe {
        let value = (&raw mut on).cast();
        libc::getsockopt(listener.as_raw_fd(), libc::SOL_SOCKET, SO_PASSRIGHTS, value, &mut size)
    };
    done != 0 || on != 0
}

/// Sets an option of a socket, if there is such an option.
fn set<T>(socket: &OwnedFd, option: libc::c_int, value: &T) {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value lives until the call returns.
    unsafe {
        let value = std::ptr::from_ref(value).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, size);
    }
}
