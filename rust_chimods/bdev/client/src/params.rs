//! The parameters of a pool.

use chimaera::{FromText, PoolParams, Result, Serialize, Status};

/// The smallest block size in bytes.
pub const MIN_BLOCK_SIZE: u32 = 512;
/// The largest block size in bytes.
pub const MAX_BLOCK_SIZE: u32 = 1 << 24;
/// The number of blocks of a device in memory, unless its parameters set it.
pub const DEFAULT_BLOCKS: u64 = 16384;

/// How to access a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromText)]
#[repr(u8)]
pub enum Io {
    /// With `io_uring` if the operating system allows it, else like `Posix`.
    #[default]
    Auto = 0,
    /// With `io_uring`.
    Uring = 1,
    /// With `pread` and `pwrite`, on a few threads.
    Posix = 2,
}

/// The parameters of a device.
///
/// They can also be parsed from text, as given on a command line:
///
/// ```
/// use chimaera::PoolParams;
/// use chimaera_bdev_client::{Io, Params};
///
/// let params = Params::from_text("path=/dev/shm/disk,block_size=8192,io=uring")?;
/// let path = "/dev/shm/disk".to_owned();
/// assert_eq!(params, Params { path, block_size: 8192, io: Io::Uring, ..Params::default() });
/// # Ok::<(), chimaera::Status>(())
/// ```
///
/// With a path, the blocks are those of a regular file, which must exist and must not be in use by
/// another device. The file's contents persist, but the record of which blocks are allocated
/// belongs to the pool and ends with it. To keep blocks across restarts, also keep their numbers,
/// and allocate all blocks again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, PoolParams)]
pub struct Params {
    /// The absolute path of the file; empty for memory.
    pub path: String,
    /// Block size in bytes: a power of two, [`MIN_BLOCK_SIZE`] to [`MAX_BLOCK_SIZE`].
    pub block_size: u32,
    /// Number of blocks; 0 means as many as the file has, or [`DEFAULT_BLOCKS`] in memory.
    pub blocks: u64,
    /// How to access the file.
    pub io: Io,
    /// Bypass the page cache, if the file system supports it.
    pub direct: bool,
    /// A write completes only when its data is durable.
    pub sync: bool,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            path: String::new(),
            block_size: 4096,
            blocks: 0,
            io: Io::Auto,
            direct: false,
            sync: false,
        }
    }
}

impl Params {
    /// Refuses invalid parameters. Errors: `CHI_INVALID` with the reason.
    pub fn check(&self) -> Result<()> {
        let size = self.block_size;
        if !size.is_power_of_two() || !(MIN_BLOCK_SIZE..=MAX_BLOCK_SIZE).contains(&size) {
            return Err(Status::invalid(format!(
                "the block size {size} is not a power of two from {MIN_BLOCK_SIZE} to \
                 {MAX_BLOCK_SIZE}"
            )));
        }
        if self.path.is_empty() && (self.io != Io::Auto || self.direct || self.sync) {
            return Err(Status::invalid("io, direct and sync need a path"));
        }
        if !self.path.is_empty() && !self.path.starts_with('/') {
            let path = &self.path;
            return Err(Status::invalid(format!("the path \"{path}\" is not absolute")));
        }
        match self.blocks.checked_mul(size.into()).filter(|bytes| *bytes <= i64::MAX as u64) {
            Some(_) => Ok(()),
            None => {
                Err(Status::invalid(format!("{} blocks of {size} bytes are too many", self.blocks)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, why: &str) {
        let status = Params::from_text(text).unwrap().check().unwrap_err();
        assert!(status.message().contains(why), "{text}: {status}");
    }

    #[test]
    fn parameters_that_make_no_device_are_refused() {
        refused("sync=true", "io, direct and sync need a path");
        refused("path=x", "the path \"x\" is not absolute");
        refused("block_size=1000", "the block size 1000 is not a power of two");
        refused("block_size=256", "the block size 256 is not a power of two from 512");
        refused("blocks=9223372036854775807", "are too many");
    }
}
