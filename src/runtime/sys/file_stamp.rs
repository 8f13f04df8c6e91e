//! Tells whether a file is still the one that was read.

use std::ffi::CStr;

/// Identifies the contents of a file, unless its times are set by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileStamp {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    /// When it was last modified, in nanoseconds since 1970.
    pub(crate) modified_ns: i128,
}

impl FileStamp {
    /// The stamp of the file at a path; `None` if it cannot be read.
    pub(crate) fn of(path: &CStr) -> Option<FileStamp> {
        // SAFETY: all zero is a valid `stat`.
        let mut found: libc::stat = unsafe { std::mem::zeroed() };
        // SAFETY: the path is a C string, and `found` lives until the call returns.
        (unsafe { libc::stat(path.as_ptr(), &mut found) } == 0).then(|| FileStamp::from(&found))
    }
}

impl From<&libc::stat> for FileStamp {
    fn from(found: &libc::stat) -> FileStamp {
        FileStamp {
            device: found.st_dev,
            inode: found.st_ino,
            size: found.st_size as u64,
            modified_ns: i128::from(found.st_mtime) * 1_000_000_000
                + i128::from(found.st_mtime_nsec),
        }
    }
}
