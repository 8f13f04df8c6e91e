//! Users and groups by their names.

use std::ffi::{c_char, c_int, CStr, CString};
use std::io;

/// Why a name cannot be resolved to a user or group.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no account with this name.
    #[error("there is no {kind} '{name}'")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The look-up failed.
    #[error("cannot look up the {kind} '{name}': {error}")]
    Io {
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// Why not.
        error: io::Error,
    },
}

/// The initial and the largest size of the buffer for an account's entry.
const ROOM: std::ops::RangeInclusive<usize> = 1 << 10..=1 << 24;

/// The number of the user with this name. A text of digits is the number itself.
///
/// # Errors
/// See [`Error`].
pub fn user(name: &str) -> Result<u32, Error> {
    let look_up = |name: *const c_char, buffer: &mut [u8]| {
        // SAFETY: all zero is a valid `passwd`.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: the name is a C string; the other pointers outlive the call, and the buffer has
        // the size that is passed.
        let code = unsafe {
            let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
            libc::getpwnam_r(name, &mut entry, start, size, &mut found)
        };
        (code, (!found.is_null()).then_some(entry.pw_uid))
    };
    number("user", name, look_up)
}

/// The number of the group with this name. A text of digits is the number itself.
///
/// # Errors
/// See [`Error`].
pub fn group(name: &str) -> Result<u32, Error> {
    let look_up = |name: *const c_char, buffer: &mut [u8]| {
        // SAFETY: all zero is a valid `group`.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: as in `user`.
        let code = unsafe {
            let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
            libc::getgrnam_r(name, &mut entry, start, size, &mut found)
        };
        (code, (!found.is_null()).then_some(entry.gr_gid))
    };
    number("group", name, look_up)
}

/// Whether a group is the private group of this user, which many systems create for each user: it
/// is the user's primary group, has the user's name, and has no other members.
pub fn is_private_group(group: u32, user: u32) -> bool {
    let mut buffer = vec![0_u8; *ROOM.end() >> 8];
    // SAFETY: all zero is a valid `passwd` and a valid `group`.
    let (mut of_user, mut of_group): (libc::passwd, libc::group) = unsafe { std::mem::zeroed() };
    let (start, size) = (buffer.as_mut_ptr().cast(), buffer.len());
    let mut found = std::ptr::null_mut();
    // SAFETY: the pointers outlive the call, and the buffer has the size that is passed.
    let code = unsafe { libc::getpwuid_r(user, &mut of_user, start, size, &mut found) };
    if code != 0 || found.is_null() || of_user.pw_gid != group {
        return false;
    }
    // SAFETY: the entry was found, so its name is a C string in the buffer.
    let name = unsafe { CStr::from_ptr(of_user.pw_name) }.to_owned();
    let mut found = std::ptr::null_mut();
    // SAFETY: as above; the user's entry is no longer used.
    let code = unsafe { libc::getgrgid_r(group, &mut of_group, start, size, &mut found) };
    if code != 0 || found.is_null() {
        return false;
    }
    // SAFETY: the entry was found, so its name is a C string, and its members are C strings in a list
    // that ends with null.
    unsafe {
        let mut members = (0..).map(|n| *of_group.gr_mem.add(n)).take_while(|name| !name.is_null());
        CStr::from_ptr(of_group.gr_name) == &*name
            && members.all(|member| CStr::from_ptr(member) == &*name)
    }
}

fn number(
    kind: &'static str,
    name: &str,
    look_up: impl Fn(*const c_char, &mut [u8]) -> (c_int, Option<u32>),
) -> Result<u32, Error> {
    let unknown = || Error::Unknown { kind, name: name.to_owned() };
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        // The largest number means no account at all.
        return name.parse().ok().filter(|&number| number != u32::MAX).ok_or_else(unknown);
    }
    let c_name = CString::new(name).map_err(|_| unknown())?;
    let mut buffer = vec![0; *ROOM.start()];
    loop {
        match look_up(c_name.as_ptr(), &mut buffer) {
            (_, Some(number)) => return Ok(number),
            (libc::ERANGE, None) if buffer.len() < *ROOM.end() => {
                buffer.resize(buffer.len() * 2, 0);
            }
            (libc::EINTR, None) => {}
            // Some account databases report a missing account as an error.
            (0 | libc::ENOENT | libc::ESRCH, None) => return Err(unknown()),
            (code, None) => {
                let error = io::Error::from_raw_os_error(code);
                return Err(Error::Io { kind, name: name.to_owned(), error });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(user("root").unwrap(), 0);
        assert_eq!(group("root").unwrap(), 0);
        assert!(is_private_group(0, 0) && !is_private_group(1, 0) && !is_private_group(0, 1));
        assert_eq!(user("4711").unwrap(), 4711);
        for name in ["", "no such user", "a\0b", "99999999999", "4294967295", "-1"] {
            assert!(matches!(user(name), Err(Error::Unknown { .. })), "{name}");
            assert!(matches!(group(name), Err(Error::Unknown { .. })), "{name}");
        }
    }
}
