//! What a volume needs of a file.

use chimaera::Result;

/// The two ways to access a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Blocks: as the parameters say, perhaps past the operating system's cache.
    Blocks,
    /// Superblocks, map and checksums: through the cache, so at any position and from any memory.
    Pages,
}

/// The worker is not known: for requests outside of tasks.
pub(crate) const NO_WORKER: u32 = u32::MAX;

/// A file of a device. Errors of all methods have the status and the message for the caller.
pub(crate) trait Disk {
    /// The file's name, for messages.
    fn name(&self) -> &str;

    /// Reads from position `at`, filling `to`.
    fn read(&self, worker: u32, part: Part, at: u64, to: &mut [u8]) -> Result<()>;

    /// Writes all of `from` at position `at`. What a failed write leaves there is unknown.
    fn write(&self, worker: u32, part: Part, at: u64, from: &[u8]) -> Result<()>;

    /// Makes completed writes durable.
    fn sync(&self, worker: u32) -> Result<()>;

    /// The size in bytes. Fails if the file has become shorter since the device uses it.
    fn size(&self) -> Result<u64>;

    /// The size in bytes of a file that has lost nothing of the device: also if it has become longer
    /// since. From now on, that counts.
    fn size_now(&self) -> Result<u64>;

    /// Extends the file with zeros, or shortens it.
    fn set_size(&self, size: u64) -> Result<()>;

    /// Reserves space on the disk for the file's bytes before position `end`, if the file system can
    /// do that.
    fn reserve(&self, end: u64) -> Result<()>;

    /// Whether anything was ever written to the file at or after position `from`.
    fn has_data(&self, from: u64) -> Result<bool>;
}
