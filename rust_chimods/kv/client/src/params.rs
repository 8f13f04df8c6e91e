//! The parameters of a pool.

use chimaera::archive::{params_from_bytes, params_to_bytes};
use chimaera::{Result, Serialize, Status};

/// What a store is created with.
///
/// As bytes it is the struct in Chimaera's wire format; a command line may also give it as text:
/// nothing, or `max_bytes=NUMBER`, `device=POOL` and `compressor=POOL`, as many as apply, between commas.
///
/// With a device, which is a pool of `chimaera:bdev`, the values lie in blocks of it, and memory has only
/// the keys and where the values are. With a compressor as well, a pool of `example:mod_name`, they are
/// compressed. Both pools must exist, and stay as long as the store.
///
/// ```
/// use chimaera_kv_client::Params;
///
/// let params = Params { max_bytes: Some(4096), ..Params::default() };
/// assert_eq!(params.to_bytes()?[..10], [1, 1, 0, 0x10, 0, 0, 0, 0, 0, 0]);
/// assert_eq!(Params::parse(&params.to_bytes()?)?, params);
/// assert_eq!(Params::parse(b"max_bytes=4096")?, params);
/// assert_eq!(Params::parse(b"")?, Params::default());
/// # Ok::<(), chimaera::Status>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Params {
    /// The most bytes that all keys and values together may have in memory; `None` for no limit.
    pub max_bytes: Option<u64>,
    /// The pool of `chimaera:bdev` that the values lie in; empty for memory.
    pub device: String,
    /// The pool of `example:mod_name` that compresses them; empty for none. Only with a device.
    pub compressor: String,
}

impl Params {
    /// As bytes, for creating the pool.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        params_to_bytes(self)
    }

    /// From bytes. Errors: `CHI_INVALID`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        // Text never begins with a byte like this, the version of the wire format.
        let params = match bytes {
            [] | [1, ..] => params_from_bytes(bytes)?,
            text => Params::from_text(text)?,
        };
        if params.device.is_empty() && !params.compressor.is_empty() {
            return Err(Status::invalid(
                "a compressor without a device: values in memory stay as they are",
            ));
        }
        Ok(params)
    }

    fn from_text(text: &[u8]) -> Result<Self> {
        let mut params = Params::default();
        let set = |params: &mut Params, setting: &str| {
            let (name, value) = setting.split_once('=')?;
            match name {
                "max_bytes" => params.max_bytes = Some(value.parse().ok()?),
                "device" => params.device = value.into(),
                "compressor" => params.compressor = value.into(),
                _ => return None,
            }
            Some(())
        };
        let all = std::str::from_utf8(text).ok().and_then(|text| {
            text.trim_end().split(',').try_for_each(|setting| set(&mut params, setting))
        });
        let wrong = || {
            let got: String = String::from_utf8_lossy(text).chars().take(64).collect();
            Status::invalid(format!(
                "parameters {got:?}; expected nothing or max_bytes=NUMBER, device=POOL and \
                 compressor=POOL between commas"
            ))
        };
        all.map(|()| params).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_parameters_are_refused() {
        for bytes in [&b"max_bytes"[..], b"max_bytes=", b"max_bytes=-1", b"size=4", b"\xff"] {
            let status = Params::parse(bytes).unwrap_err();
            assert!(status.message().contains("expected nothing or max_bytes=NUMBER"));
        }
        let status = Params::parse(b"compressor=c").unwrap_err();
        assert!(status.message().contains("a compressor without a device"));
    }
}
