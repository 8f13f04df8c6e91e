//! The parameters of a pool.

use crate::geometry::Geometry;
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
/// With a path, the blocks are in a regular file, which must exist and must not be in use by another
/// device. An empty file, as `truncate` makes it, becomes a new device. A file that already is a
/// device is opened with its blocks, contents and allocations as they were at the last flush or
/// orderly end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, PoolParams)]
pub struct Params {
    /// The absolute path of the file; empty for memory.
    pub path: String,
    /// Block size in bytes: a power of two, [`MIN_BLOCK_SIZE`] to [`MAX_BLOCK_SIZE`].
    pub block_size: u32,
    /// Number of blocks; 0 means as many as the file has, or [`DEFAULT_BLOCKS`] in memory. A device
    /// in a file that has fewer grows to this number; one that has more keeps them.
    pub blocks: u64,
    /// How to access the file.
    pub io: Io,
    /// Bypass the page cache, if the file system supports it.
    pub direct: bool,
    /// A write completes only when its data is durable.
    pub sync: bool,
    /// Each block has a checksum. A block that does not match its checksum is never returned:
    /// reading it fails with [`CORRUPT`](crate::CORRUPT).
    pub checksum: bool,
    /// The number of blocks to which a new file can grow; 0 means four times as many as it has.
    pub capacity: u64,
    /// The UUID of the device, if the file must have a certain one, or for a new file; empty means
    /// any.
    pub uuid: String,
    /// A file that has contents but is not a device becomes one, and its contents are lost. Changes
    /// nothing for a file that already is a device.
    pub overwrite: bool,
    /// If the map of allocated blocks is corrupt, open the device nevertheless, and take the blocks
    /// whose state is unknown for allocated.
    pub repair: bool,
    /// Blocks with an owner are free again when the client that allocated them is gone.
    pub reclaim: bool,
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
            checksum: false,
            capacity: 0,
            uuid: String::new(),
            overwrite: false,
            repair: false,
            reclaim: false,
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
        let for_files = [self.direct, self.sync, self.checksum, self.overwrite, self.repair];
        let for_files = self.io != Io::Auto
            || for_files.contains(&true)
            || self.capacity != 0
            || !self.uuid.is_empty();
        if self.path.is_empty() && for_files {
            return Err(Status::invalid(
                "only blocks, block_size and reclaim are possible without a path",
            ));
        }
        if !self.uuid.is_empty() && self.uuid_bytes().is_none() {
            let uuid = &self.uuid;
            return Err(Status::invalid(format!(
                "\"{uuid}\" is not a UUID of 32 hexadecimal digits"
            )));
        }
        if !self.path.is_empty() && !self.path.starts_with('/') {
            let path = &self.path;
            return Err(Status::invalid(format!("the path \"{path}\" is not absolute")));
        }
        let most = self.blocks.max(self.capacity);
        match most.checked_mul(size.into()).filter(|bytes| *bytes <= i64::MAX as u64) {
            Some(_) => Ok(()),
            None => Err(Status::invalid(format!("{most} blocks of {size} bytes are too many"))),
        }
    }

    /// The bytes of the UUID, if one is set. Hyphens in it are ignored.
    pub fn uuid_bytes(&self) -> Option<[u8; 16]> {
        let digits: String = self.uuid.chars().filter(|char| *char != '-').collect();
        let number = u128::from_str_radix(&digits, 16).ok()?;
        (digits.len() == 32 && !digits.starts_with('+')).then(|| number.to_be_bytes())
    }

    /// The size of a new file for a device of these parameters with this many blocks: more than the
    /// blocks alone, because the file also says which of them are allocated. `None` if no file can
    /// be as large.
    pub fn file_size(&self, blocks: u64) -> Option<u64> {
        Geometry::of(self.block_size.into(), blocks, self.capacity, self.checksum).size(blocks)
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
        refused("sync=true", "only blocks, block_size and reclaim are possible without a path");
        refused("capacity=9", "only blocks, block_size and reclaim are possible without a path");
        refused("path=/x,uuid=12", "\"12\" is not a UUID of 32 hexadecimal digits");
        refused("path=x", "the path \"x\" is not absolute");
        refused("block_size=1000", "the block size 1000 is not a power of two");
        refused("block_size=256", "the block size 256 is not a power of two from 512");
        refused("blocks=9223372036854775807", "are too many");
        refused("path=/x,capacity=9223372036854775807", "are too many");
    }
}
