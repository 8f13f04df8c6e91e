//! The encodings of a task's fields, which are saved from and loaded into the task itself.

use std::cell::Cell;

use super::{LoadArchive, SaveArchive, Serialize};
use crate::shm::bytes::for_each_chunk;
use crate::shm::descriptor::{Descriptor, Kind};
use crate::shm::{Pod, ShmBytes, ShmElement, ShmString, ShmVec};
use crate::status::Result;

/// How many bytes are copied at a time.
const CHUNK: usize = 1024;

/// A field of a task that can be serialised: cells of plain data that is [`Serialize`], shared
/// strings and vectors, and structs of those. Derive it for such a struct, in addition to
/// [`ShmElement`](macro@crate::ShmElement).
///
/// ```
/// use chimaera::{SerializeInPlace, ShmElement, ShmString};
/// use std::cell::Cell;
///
/// #[derive(ShmElement, SerializeInPlace)]
/// #[repr(C)]
/// pub struct Entry {
///     pub name: ShmString,
///     pub size: Cell<u64>,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` in a task cannot be serialised",
    label = "cannot be sent to another process",
    note = "a pointer or a reference means nothing in another process: send what it points to, in a `ShmString`, a `ShmBytes` or a `ShmVec`",
    note = "a `Cell` of your own struct needs `#[derive(chimaera::Serialize)]` there; a struct with strings or vectors inside needs `#[derive(chimaera::SerializeInPlace)]`"
)]
pub trait SerializeInPlace {
    /// Writes the field's value. Errors: those of the archive.
    fn save_in_place(&self, archive: &mut SaveArchive<'_>) -> Result<()>;

    /// Reads the field's value. Errors: `CHI_INVALID`, whose message says what is wrong and where,
    /// and those of allocation.
    fn load_in_place(&self, archive: &mut LoadArchive<'_>) -> Result<()>;
}

/// An element of a [`ShmVec`] that can be serialised: plain data that is [`Serialize`], and types
/// that are [`SerializeInPlace`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` in a vector of a task cannot be serialised",
    note = "your own struct of plain data needs `#[derive(chimaera::Serialize)]`; a struct with strings or vectors inside needs `#[derive(chimaera::SerializeInPlace)]`"
)]
pub trait SerializeElement: ShmElement {
    /// Writes a length and all elements.
    #[doc(hidden)]
    fn save_elements(vector: &ShmVec<Self>, archive: &mut SaveArchive<'_>) -> Result<()>;

    /// Reads a length and that many elements.
    #[doc(hidden)]
    fn load_elements(vector: &ShmVec<Self>, archive: &mut LoadArchive<'_>) -> Result<()>;
}

/// The four serialisers of a task.
pub struct TaskSerializers<T> {
    /// Writes the inputs.
    pub save_in: fn(&T, &mut SaveArchive<'_>) -> Result<()>,
    /// Reads the inputs.
    pub load_in: fn(&T, &mut LoadArchive<'_>) -> Result<()>,
    /// Writes the results.
    pub save_out: fn(&T, &mut SaveArchive<'_>) -> Result<()>,
    /// Reads the results.
    pub load_out: fn(&T, &mut LoadArchive<'_>) -> Result<()>,
}

impl<T: Pod + Serialize> SerializeInPlace for Cell<T> {
    fn save_in_place(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        self.get().save(archive)
    }
    fn load_in_place(&self, archive: &mut LoadArchive<'_>) -> Result<()> {
        self.set(T::load(archive)?);
        Ok(())
    }
}

fn save_bytes(bytes: &Descriptor, archive: &mut SaveArchive<'_>) -> Result<()> {
    archive.put_length(bytes.len())?;
    let mut outcome = Ok(());
    for_each_chunk(bytes, |chunk| {
        if outcome.is_ok() {
            outcome = archive.put(chunk);
        }
    });
    outcome
}

fn load_bytes(bytes: &Descriptor, archive: &mut LoadArchive<'_>) -> Result<()> {
    let length = archive.get_length(1)?;
    bytes.reserve(archive.owner()?, length, Kind::Leaf)?;
    let mut chunk = [0; CHUNK];
    for at in (0..length).step_by(CHUNK) {
        let chunk = &mut chunk[..CHUNK.min(length - at)];
        archive.get(chunk)?;
        bytes.write(at, chunk)?;
    }
    Ok(())
}

macro_rules! vectors_of_bytes {
    ($($type:ty),*) => {$(
        impl SerializeInPlace for $type {
            fn save_in_place(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
                save_bytes(&self.0, archive)
            }
            fn load_in_place(&self, archive: &mut LoadArchive<'_>) -> Result<()> {
                load_bytes(&self.0, archive)
            }
        }

        impl SerializeElement for $type {
            fn save_elements(vector: &ShmVec<Self>, archive: &mut SaveArchive<'_>) -> Result<()> {
                save_elements(vector, archive)
            }
            fn load_elements(vector: &ShmVec<Self>, archive: &mut LoadArchive<'_>) -> Result<()> {
                load_elements(vector, archive)
            }
        }
    )*};
}

vectors_of_bytes!(ShmString, ShmBytes);

impl<T: SerializeElement> SerializeInPlace for ShmVec<T> {
    fn save_in_place(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        T::save_elements(self, archive)
    }
    fn load_in_place(&self, archive: &mut LoadArchive<'_>) -> Result<()> {
        T::load_elements(self, archive)
    }
}

impl<T: SerializeElement> SerializeElement for ShmVec<T> {
    fn save_elements(vector: &ShmVec<Self>, archive: &mut SaveArchive<'_>) -> Result<()> {
        save_elements(vector, archive)
    }
    fn load_elements(vector: &ShmVec<Self>, archive: &mut LoadArchive<'_>) -> Result<()> {
        load_elements(vector, archive)
    }
}

impl<T: Pod + Serialize> SerializeElement for T {
    fn save_elements(vector: &ShmVec<Self>, archive: &mut SaveArchive<'_>) -> Result<()> {
        vector.copy_to_vec()?.save(archive)
    }
    fn load_elements(vector: &ShmVec<Self>, archive: &mut LoadArchive<'_>) -> Result<()> {
        vector.set_for(archive.owner()?, &T::load_all(archive)?)
    }
}

/// Writes a length and all elements, one by one.
pub fn save_elements<T: ShmElement + SerializeInPlace>(
    vector: &ShmVec<T>,
    archive: &mut SaveArchive<'_>,
) -> Result<()> {
    archive.put_length(vector.len())?;
    vector.iter().try_for_each(|element| element.save_in_place(archive))
}

/// Reads a length and that many elements, one by one.
pub fn load_elements<T: ShmElement + SerializeInPlace>(
    vector: &ShmVec<T>,
    archive: &mut LoadArchive<'_>,
) -> Result<()> {
    let owner = archive.owner()?;
    let length = archive.get_length(1)?;
    vector.resize_for(owner, 0)?;
    // Grows step by step: a false length must not allocate more than the remaining bytes justify.
    let honest = (archive.remaining() as usize / size_of::<T>() + 1).min(length);
    let mut room = 0;
    for index in 0..length {
        if index == room {
            room = honest.max(2 * room).min(length);
            vector.resize_for(owner, room)?;
        }
        vector.update_for(owner, index, |element| element.load_in_place(archive))?;
    }
    Ok(())
}
