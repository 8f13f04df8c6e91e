//! The encodings of a container's fields, which methods share.

use std::sync::atomic::{
    AtomicBool, AtomicI16, AtomicI32, AtomicI64, AtomicI8, AtomicU16, AtomicU32, AtomicU64,
    AtomicU8, Ordering,
};
use std::sync::{Mutex, RwLock};

use super::{LoadArchive, SaveArchive, Serialize};
use crate::status::{Result, Status};

/// A field of a container's state: a value that is [`Serialize`], an atomic, or a `Mutex` or a
/// `RwLock` around such a value. A lock is saved as what it contains.
///
/// Modules also have it for their own locks, `CoMutex` and `CoRwLock`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a container's state",
    label = "cannot be saved",
    note = "your own structs, and enums without data, need `#[derive(chimaera::Serialize)]`; what a successor makes anew is not part of the state"
)]
pub trait StateValue {
    /// Writes the field's value. Errors: those of the archive; `CHI_FAILED` for a poisoned lock.
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()>;

    /// Reads the field's value. Errors: `CHI_INVALID`, whose message says what is wrong and where;
    /// `CHI_NO_SPACE`.
    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()>;
}

impl<T: Serialize> StateValue for T {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        self.save(archive)
    }
    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        *self = T::load(archive)?;
        Ok(())
    }
}

macro_rules! atomics {
    ($($type:ty),*) => {$(
        impl StateValue for $type {
            fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
                self.load(Ordering::SeqCst).save(archive)
            }
            fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
                self.get_mut().load_value(archive)
            }
        }
    )*};
}

atomics!(
    AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicI8, AtomicI16, AtomicI32,
    AtomicI64
);

impl<T: StateValue> StateValue for Mutex<T> {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        self.lock().map_err(|_| poisoned())?.save_value(archive)
    }
    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        self.get_mut().map_err(|_| poisoned())?.load_value(archive)
    }
}

impl<T: StateValue> StateValue for RwLock<T> {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        self.read().map_err(|_| poisoned())?.save_value(archive)
    }
    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        self.get_mut().map_err(|_| poisoned())?.load_value(archive)
    }
}

fn poisoned() -> Status {
    Status::failed("the lock is poisoned: a method panicked while it held it")
}
