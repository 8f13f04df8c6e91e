//! The states of containers, as their successors read them: fields of bytes, in checksummed chunks. It
//! imports `sys` and `scheduler`.

mod archive;
mod file;
mod image;
mod meter;
mod storage;

pub(crate) use self::archive::{Loading, Saving};
pub(crate) use self::file::SavedPool;
pub(crate) use self::image::Image;
pub(crate) use self::meter::{Meter, Stage};
pub(crate) use self::storage::Storage;
