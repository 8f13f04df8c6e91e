//! Values as bytes, for pool parameters and for tasks on their way to another process: the format of
//! `docs/wire-format.md`.
//!
//! ```
//! use chimaera::Serialize;
//!
//! #[derive(Debug, PartialEq, Serialize)]
//! struct Limits {
//!     max_bytes: Option<u64>,
//!     tiers: Vec<String>,
//! }
//!
//! let limits = Limits { max_bytes: Some(4096), tiers: vec!["ram".into()] };
//! let bytes = chimaera::archive::to_bytes(&limits)?;
//! assert_eq!(bytes.len(), 9 + 8 + 8 + 3);
//! assert_eq!(chimaera::archive::from_bytes::<Limits>(&bytes)?, limits);
//!
//! let status = chimaera::archive::from_bytes::<Limits>(&bytes[..26]).unwrap_err();
//! assert_eq!(
//!     status.message(),
//!     "a length of 3 at byte 17 is more than the 1 bytes that remain"
//! );
//! # Ok::<(), chimaera::Status>(())
//! ```

mod load;
mod place;
mod save;
mod values;

pub use load::LoadArchive;
pub use place::{
    load_elements, save_elements, SerializeElement, SerializeInPlace, TaskSerializers,
};
pub use save::SaveArchive;
pub use values::Serialize;

use crate::{Result, Status};

/// How deep structs may lie in structs.
const MAX_DEPTH: u32 = 64;

/// A value as bytes. Errors: `CHI_INVALID` when structs lie too deep in structs.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut archive = SaveArchive::new();
    value.save(&mut archive)?;
    Ok(archive.into_bytes())
}

/// The value that all of the bytes are. Errors: `CHI_INVALID` with what is wrong and where,
/// `CHI_NO_SPACE`.
pub fn from_bytes<T: Serialize>(bytes: &[u8]) -> Result<T> {
    let mut archive = LoadArchive::new(bytes);
    let value = T::load(&mut archive)?;
    archive.finish()?;
    Ok(value)
}

/// The version of the format of parameters, their first byte.
const PARAMS_VERSION: u8 = 1;

/// The parameters of a pool as bytes: none when they are the defaults, else a byte that is 1, and the
/// value.
///
/// ```
/// use chimaera::archive::{params_from_bytes, params_to_bytes};
///
/// #[derive(Debug, Default, PartialEq, chimaera::Serialize)]
/// struct Params {
///     level: i32,
/// }
///
/// assert_eq!(params_to_bytes(&Params { level: 3 })?, [1, 3, 0, 0, 0]);
/// assert!(params_to_bytes(&Params::default())?.is_empty());
/// assert_eq!(params_from_bytes::<Params>(&[])?, Params { level: 0 });
/// # Ok::<(), chimaera::Status>(())
/// ```
pub fn params_to_bytes<P: Serialize + Default>(params: &P) -> Result<Vec<u8>> {
    let value = to_bytes(params)?;
    if value == to_bytes(&P::default())? {
        return Ok(Vec::new());
    }
    Ok([vec![PARAMS_VERSION], value].concat())
}

/// The parameters of a pool from bytes. Errors as [`from_bytes`].
pub fn params_from_bytes<P: Serialize + Default>(bytes: &[u8]) -> Result<P> {
    match bytes.first() {
        None => Ok(P::default()),
        Some(&PARAMS_VERSION) => from_bytes::<(u8, P)>(bytes).map(|(_, params)| params),
        Some(version) => Err(Status::invalid(format!(
            "the parameters begin with the byte {version}, where {PARAMS_VERSION}, the version of \
             their format, was expected"
        ))),
    }
    .map_err(|status| status.context("malformed pool parameters"))
}
