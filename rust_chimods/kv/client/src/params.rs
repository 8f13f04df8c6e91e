//! The parameters of a pool.

use chimaera::{FromText, PoolParams, Result, Serialize, Status};

/// When a store with a path makes durable what was put and deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, FromText)]
#[repr(u8)]
pub enum Sync {
    /// Before the put or delete ends.
    #[default]
    Always = 0,
    /// Before a later flush ends.
    Flush = 1,
    /// When its pool is destroyed or the runtime stops, as far as the operating system does it.
    None = 2,
}

/// The parameters of a store.
///
/// Without a path or a device, keys and values are in memory. With a path, they are in a file and
/// outlive the pool. With a device (a pool of `chimaera:bdev`), the values are stored in its blocks, and memory only
/// holds the keys and the locations of the values. With a compressor as well (a pool of
/// `example:mod_name`), the values are compressed. Both pools must exist, and must outlive the
/// store.
///
/// The parameters can also be parsed from text, as given on a command line:
///
/// ```
/// use chimaera::PoolParams;
/// use chimaera_kv_client::Params;
///
/// let params = Params::from_text("max_bytes=4096")?;
/// assert_eq!(params, Params { max_bytes: Some(4096), ..Params::default() });
/// # Ok::<(), chimaera::Status>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, PoolParams)]
pub struct Params {
    /// Limit for the bytes of all keys and values of the pool; `None` for no limit. With a device, the
    /// values count as what memory holds of them.
    pub max_bytes: Option<u64>,
    /// The pool of `chimaera:bdev` that stores the values; empty for memory.
    pub device: String,
    /// The pool of `example:mod_name` that compresses the values; empty for none. Requires a
    /// device.
    pub compressor: String,
    /// The absolute path of the file that keeps keys and values, or of a directory to keep it in;
    /// empty for none. The file is created if it does not exist.
    pub path: String,
    /// When what was put and deleted is durable. Requires a path.
    pub sync: Sync,
}

impl Params {
    /// Refuses invalid parameters. Errors: `CHI_INVALID`.
    pub fn check(&self) -> Result<()> {
        if self.device.is_empty() && !self.compressor.is_empty() {
            return Err(Status::invalid(
                "a compressor needs a device: values in memory are not compressed",
            ));
        }
        if !self.path.is_empty() && !self.device.is_empty() {
            return Err(Status::invalid("a store has a path or a device, not both"));
        }
        if self.path.is_empty() && self.sync != Sync::default() {
            return Err(Status::invalid("sync needs a path: values in memory are never durable"));
        }
        if !self.path.is_empty() && !self.path.starts_with('/') {
            return Err(Status::invalid(format!("the path '{}' is not absolute", self.path)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressor_needs_a_device() {
        let status = Params::from_text("compressor=c").unwrap().check().unwrap_err();
        assert!(status.message().contains("a compressor needs a device"));
        Params::from_text("compressor=c,device=d").unwrap().check().unwrap();
    }

    #[test]
    fn a_path_is_absolute_and_stands_alone() {
        for (text, why) in [
            ("path=/p,device=d", "a path or a device, not both"),
            ("sync=flush", "sync needs a path"),
            ("path=p", "the path 'p' is not absolute"),
        ] {
            let status = Params::from_text(text).unwrap().check().unwrap_err();
            assert!(status.message().contains(why), "{text}: {}", status.message());
        }
        let params = Params::from_text("path=/p,sync=none").unwrap();
        params.check().unwrap();
        assert_eq!(params.sync, Sync::None);
    }
}
