//! The parameters of a pool.

use chimaera::archive::{params_from_bytes, params_to_bytes};
use chimaera::{Result, Serialize, Status};

/// The smallest block in bytes.
pub const MIN_BLOCK_SIZE: u32 = 512;
/// The largest block in bytes.
pub const MAX_BLOCK_SIZE: u32 = 1 << 24;
/// How many blocks a device in memory has when its parameters do not say.
pub const DEFAULT_BLOCKS: u64 = 16384;

/// How a file is read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
/// As bytes it is the struct in Chimaera's wire format. A command line may also give it as text: the
/// fields that differ from the defaults, `NAME=VALUE`, between commas.
///
/// ```
/// use chimaera_bdev_client::Params;
///
/// let params = Params::parse(b"path=/dev/shm/disk,block_size=8192")?;
/// let path = "/dev/shm/disk".to_owned();
/// assert_eq!(params, Params { path, block_size: 8192, ..Params::default() });
/// assert_eq!(Params::parse(&params.to_bytes()?)?, params);
/// assert_eq!(Params::parse(b"")?, Params::default());
/// # Ok::<(), chimaera::Status>(())
/// ```
///
/// With a path the blocks are those of a regular file, which must exist and which no other device may
/// have: what it holds stays there, but which blocks are allocated is the pool's and goes with it.
/// Whoever keeps blocks over a restart keeps their numbers too, and allocates all blocks anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// As bytes, for creating the pool.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        params_to_bytes(self)
    }

    /// From bytes. Errors: `CHI_INVALID` with what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        // Text never begins with a byte like this, the version of the wire format.
        let params = match bytes {
            [] | [1, ..] => params_from_bytes(bytes)?,
            text => Params::from_text(text)?,
        };
        params.check()?;
        Ok(params)
    }

    fn from_text(text: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(text).map_err(|_| {
            Status::invalid("parameters that are neither Chimaera's format nor text")
        })?;
        let mut params = Params::default();
        for setting in text.trim_end().split(',') {
            let wrong = |what: &str| {
                let setting: String = setting.chars().take(64).collect();
                Status::invalid(format!("the parameter {setting:?} {what}"))
            };
            let (name, value) =
                setting.split_once('=').ok_or_else(|| wrong("is not NAME=VALUE"))?;
            match name {
                "path" => params.path = value.into(),
                "block_size" => {
                    params.block_size =
                        value.parse().map_err(|_| wrong("needs a number of bytes"))?;
                }
                "blocks" => {
                    params.blocks = value.parse().map_err(|_| wrong("needs a number of blocks"))?;
                }
                "io" => {
                    params.io = match value {
                        "auto" => Io::Auto,
                        "uring" => Io::Uring,
                        "posix" => Io::Posix,
                        _ => return Err(wrong("is none of auto, uring and posix")),
                    }
                }
                "direct" => {
                    params.direct = value.parse().map_err(|_| wrong("is not true or false"))?
                }
                "sync" => params.sync = value.parse().map_err(|_| wrong("is not true or false"))?,
                _ => {
                    return Err(wrong(
                        "is unknown; there are path, block_size, blocks, io, direct and sync",
                    ))
                }
            }
        }
        Ok(params)
    }

    fn check(&self) -> Result<()> {
        let size = self.block_size;
        if !size.is_power_of_two() || !(MIN_BLOCK_SIZE..=MAX_BLOCK_SIZE).contains(&size) {
            return Err(Status::invalid(format!(
                "blocks of {size} bytes; powers of two from {MIN_BLOCK_SIZE} to {MAX_BLOCK_SIZE} work"
            )));
        }
        if self.path.is_empty() && (self.io != Io::Auto || self.direct || self.sync) {
            return Err(Status::invalid("io, direct and sync are for devices with a path"));
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
        let status = Params::parse(text.as_bytes()).unwrap_err();
        assert!(status.message().contains(why), "{text}: {status}");
    }

    #[test]
    fn malformed_parameters_are_refused() {
        refused("blocks", "\"blocks\" is not NAME=VALUE");
        refused("blocks=many", "needs a number of blocks");
        refused("size=3", "is unknown");
        refused("path=/x,io=fast", "is none of auto, uring and posix");
        refused("path=/x,direct=1", "is not true or false");
        refused("sync=true", "are for devices with a path");
        refused("path=x", "the path \"x\" is not absolute");
        refused("block_size=1000", "blocks of 1000 bytes; powers of two");
        refused("block_size=256", "blocks of 256 bytes; powers of two");
        refused("blocks=9223372036854775807", "are too many");
    }
}
