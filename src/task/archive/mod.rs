//! Values as bytes, for pool parameters and for tasks that go to another process, in the format of
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

mod in_place;
mod load;
mod params;
mod save;
mod state;
mod values;

pub use in_place::{
    load_elements, save_elements, SerializeElement, SerializeInPlace, TaskSerializers,
};
pub use load::LoadArchive;
#[doc(hidden)]
pub use params::set_from_text;
pub use params::{
    json_text, params_from_bytes, params_to_bytes, DescribedParam, FromText, PoolName, PoolParams,
    TextForm,
};
pub use save::SaveArchive;
pub use state::StateValue;
pub use values::Serialize;

use crate::status::Result;

/// How deep structs may be nested.
const MAX_DEPTH: u32 = 64;

/// Encodes a value. Errors: `CHI_INVALID` when structs are nested too deep.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    let mut archive = SaveArchive::new();
    value.save(&mut archive)?;
    Ok(archive.into_bytes())
}

/// Decodes a value from all of the bytes. Errors: `CHI_INVALID`, whose message says what is wrong
/// and where; `CHI_NO_SPACE`.
pub fn from_bytes<T: Serialize>(bytes: &[u8]) -> Result<T> {
    let mut archive = LoadArchive::new(bytes);
    let value = T::load(&mut archive)?;
    archive.finish()?;
    Ok(value)
}
