//! What a container stores on its node.

use std::sync::OnceLock;

use chimaera_abi::{chi_storage, CHI_EXT_STORAGE, CHI_OK};
use chimaera_task::{Result, Status};

use crate::host::{extension_table, host};

/// Says that what the container that is being created stores is on this node, in a file or on a device, so that it is
/// worth nothing on another one. In a cluster, no other node makes the container when this one is lost, until a person
/// gives it up (`chimaera pool recover`), and to move it, a copy of its state is taken
/// ([`StateWriter::is_copy`](crate::StateWriter::is_copy)). Elsewhere it changes nothing. `[worker]`
///
/// ```
/// use std::fs::File;
///
/// use chimaera::module::set_storage_local;
///
/// fn open(path: &str) -> chimaera::Result<File> {
///     set_storage_local()?;
///     File::options().append(true).create(true).open(path).map_err(|error| {
///         chimaera::Status::new(chimaera::abi::CHI_IO, format!("{path}: {error}"))
///     })
/// }
/// # assert!(open("/nowhere/at/all").is_err());
/// ```
///
/// # Errors
/// `CHI_INVALID` if no container is being created: call it in the function that creates it.
pub fn set_storage_local() -> Result<()> {
    static TABLE: OnceLock<Option<chi_storage>> = OnceLock::new();
    // SAFETY: the extension with this id is a `chi_storage`.
    let table = TABLE.get_or_init(|| unsafe { extension_table(CHI_EXT_STORAGE) });
    // A runtime without it has no cluster that could move the container.
    let Some(table) = table.as_ref() else { return Ok(()) };
    let host = host().map_or(std::ptr::null(), |host| host);
    // SAFETY: the function may be called on any worker, and finds out by itself whether this is one.
    match unsafe { (table.set_local)(host) } {
        CHI_OK => Ok(()),
        status => Err(Status::new(status, "no container is being created that stores something")),
    }
}
