//! The parameters of a pool.

use chimaera::archive::{params_from_bytes, params_to_bytes};
use chimaera::{Result, Serialize, Status};

/// What a store is created with.
///
/// As bytes it is the struct in Chimaera's wire format; a command line may also give it as text:
/// nothing, or `max_bytes=` and a decimal number.
///
/// ```
/// use chimaera_kv_client::Params;
///
/// let params = Params { max_bytes: Some(4096) };
/// assert_eq!(params.to_bytes()?, [1, 1, 0, 0x10, 0, 0, 0, 0, 0, 0]);
/// assert_eq!(Params::parse(&params.to_bytes()?)?, params);
/// assert_eq!(Params::parse(b"max_bytes=4096")?, params);
/// assert_eq!(Params::parse(b"")?, Params::default());
/// # Ok::<(), chimaera::Status>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Params {
    /// The most bytes that all keys and values together may have; `None` for no limit.
    pub max_bytes: Option<u64>,
}

impl Params {
    /// As bytes, for creating the pool.
    pub fn to_bytes(self) -> Result<Vec<u8>> {
        params_to_bytes(&self)
    }

    /// From bytes. Errors: `CHI_INVALID`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        // Text never begins with a byte like this, the version of the wire format.
        if matches!(bytes, [] | [1, ..]) {
            return params_from_bytes(bytes);
        }
        let max_bytes = bytes
            .strip_prefix(b"max_bytes=")
            .and_then(|number| std::str::from_utf8(number).ok())
            .and_then(|number| number.trim_end().parse().ok())
            .ok_or_else(|| {
                let got: String = String::from_utf8_lossy(bytes).chars().take(64).collect();
                Status::invalid(format!("parameters {got:?}; expected nothing or max_bytes=NUMBER"))
            })?;
        Ok(Params { max_bytes: Some(max_bytes) })
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
    }
}
