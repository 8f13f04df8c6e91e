//! The parameters of a pool.

use chimaera::{FromText, PoolParams, Result, Serialize, Status};

/// The smallest block in bytes.
pub const MIN_BLOCK_SIZE: u32 = 512;
/// The largest block in bytes.
pub const MAX_BLOCK_SIZE: u32 = 1 << 24;
/// How many blocks a device in memory has when its parameters do not say.
pub const DEFAULT_BLOCKS: u64 = 16384;

/// How a file is read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromText)]
#[repr(u8)]
pub enum Io {
    /// By `io_uring` where the operating system allows it, else as with `Posix`.
    #[default]
    Auto = 0,
    /// By `io_uring`.
    Uring = 1,
    /// By a few threads that read and write.
    Posix = 2,
}

/// What a device is created with.
///
/// A command line may also say it as text:
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
/// With a path the blocks are those of a regular file, which must exist and which no other device may
/// have: what it holds stays there, but which blocks are allocated is the pool's and goes with it.
/// Whoever keeps blocks over a restart keeps their numbers too, and allocates all blocks anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, PoolParams)]
pub struct Params {
    /// The file, by an absolute path; empty for memory.
    pub path: String,
    /// Bytes of a block: a power of two, [`MIN_BLOCK_SIZE`] to [`MAX_BLOCK_SIZE`].
    pub block_size: u32,
    /// How many blocks; 0 for as many as the file has, and [`DEFAULT_BLOCKS`] in memory.
    pub blocks: u64,
    /// How a file is read and written.
    pub io: Io,
    /// Past the operating system's cache, if the file system can.
    pub direct: bool,
    /// A write ends only when what it wrote will last.
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
    /// Refuses what makes no device. Errors: `CHI_INVALID` with what is wrong.
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
