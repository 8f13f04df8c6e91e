//! The parameters of a pool.

use chimaera::{PoolParams, Result, Serialize, Status};

/// The parameters of a store.
///
/// With a device (a pool of `chimaera:bdev`), the values are stored in its blocks, and memory only
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
    /// Limit for the bytes of all keys and values in memory; `None` for no limit.
    pub max_bytes: Option<u64>,
    /// The pool of `chimaera:bdev` that stores the values; empty for memory.
    pub device: String,
    /// The pool of `example:mod_name` that compresses the values; empty for none. Requires a
    /// device.
    pub compressor: String,
}

impl Params {
    /// Refuses invalid parameters. Errors: `CHI_INVALID`.
    pub fn check(&self) -> Result<()> {
        if self.device.is_empty() && !self.compressor.is_empty() {
            return Err(Status::invalid(
                "a compressor needs a device: values in memory are not compressed",
            ));
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
}
