//! Descriptors that others send through a socket.

use std::os::fd::{AsRawFd, OwnedFd};

/// From the kernel's include/uapi/asm-generic/socket.h; libc does not have it yet.
pub(crate) const SO_PASSRIGHTS: libc::c_int = 83;

/// Makes the kernel refuse descriptors that are sent to a socket. Connections of a listening socket inherit this setting.
/// Kernels before 6.16 do not have it.
pub(crate) fn refuse_descriptors(socket: &OwnedFd) {
    set_option(socket, SO_PASSRIGHTS, &0_i32);
}

/// Sets an option of a socket, if the kernel supports it.
pub(crate) fn set_option<T>(socket: &OwnedFd, option: libc::c_int, value: &T) {
    let size = size_of::<T>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the value lives until the call returns.
    unsafe {
        let value = std::ptr::from_ref(value).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, option, value, size);
    }
}
