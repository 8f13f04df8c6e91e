//! Where a container keeps its files.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use chimaera_abi::{chi_directory, CHI_EXT_DIRECTORY, CHI_NO_SPACE, CHI_OK};
use chimaera_task::{Result, Status};

use crate::host::{extension_table, host};

/// The directory for the files of the container that is being created, or else that runs the current task;
/// none if its pool is not durable. It exists from before `kCreate` until the pool is destroyed, over all
/// restarts of the runtime, which then removes it with what is in it. `[worker]`
///
/// ```
/// use std::path::PathBuf;
///
/// /// Where the log goes: without a directory, nowhere.
/// fn log_file() -> chimaera::Result<Option<PathBuf>> {
///     Ok(chimaera::module::directory()?.map(|directory| directory.join("log")))
/// }
/// # assert_eq!(log_file().unwrap(), None);
/// ```
///
/// # Errors
/// `CHI_INVALID` if no container is being created or runs a task. A runtime without durable pools has none.
pub fn directory() -> Result<Option<PathBuf>> {
    static TABLE: OnceLock<Option<chi_directory>> = OnceLock::new();
    // SAFETY: the extension with this id is a `chi_directory`.
    let table = TABLE.get_or_init(|| unsafe { extension_table(CHI_EXT_DIRECTORY) });
    let Some(table) = table.as_ref() else { return Ok(None) };
    let host = host().map_or(std::ptr::null(), |host| host);
    let mut path = vec![0_u8; 256];
    loop {
        let mut length = 0;
        // SAFETY: the buffer has as many bytes as the call is told.
        let status =
            unsafe { (table.path)(host, path.as_mut_ptr().cast(), path.len() as u64, &mut length) };
        match status {
            CHI_OK => path.truncate(length as usize),
            CHI_NO_SPACE => {
                path.resize(length as usize + 1, 0);
                continue;
            }
            status => return Err(Status::new(status, "no container asks for its directory")),
        }
        return Ok((!path.is_empty()).then(|| OsString::from_vec(path).into()));
    }
}
