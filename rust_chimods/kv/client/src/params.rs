//! The parameters of a pool.

use chimaera::{PoolParams, Result, Serialize, Status};

/// What a store is created with.
///
/// With a device, which is a pool of `chimaera:bdev`, the values lie in blocks of it, and memory has only
/// the keys and where the values are. With a compressor as well, a pool of `example:mod_name`, they are
/// compressed. Both pools must exist, and stay as long as the store.
///
/// A command line may also say it as text:
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
    /// The most bytes that all keys and values together may have in memory; `None` for no limit.
    pub max_bytes: Option<u64>,
    /// The pool of `chimaera:bdev` that the values lie in; empty for memory.
    pub device: String,
    /// The pool of `example:mod_name` that compresses them; empty for none. Only with a device.
    pub compressor: String,
}

impl Params {
    /// Refuses what makes no store. Errors: `CHI_INVALID`.
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
