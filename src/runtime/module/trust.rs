//! Modules and libraries come only from where no other user could have put them.

use std::path::Path;

use crate::sys::trust;

/// The end of every refusal's message.
const RULE: &str = "; modules are loaded only from where no other user but root can write";

/// Returns a warning if `LD_LIBRARY_PATH` has an entry that depends on the working directory:
/// modules and the libraries that they link would be loaded from there.
pub fn library_path_warning() -> Option<String> {
    let value = std::env::var_os("LD_LIBRARY_PATH").filter(|value| !value.is_empty())?;
    let value = value.to_string_lossy();
    // The dynamic linker accepts both separators.
    let entry = value.split([':', ';']).find(|entry| !entry.starts_with('/'))?;
    let what = match entry {
        "" => "an empty entry, which means".to_owned(),
        entry => format!("the entry '{entry}', which depends on"),
    };
    Some(format!(
        "LD_LIBRARY_PATH has {what} the working directory: whoever can write there decides what modules \
         and libraries are loaded; use absolute paths"
    ))
}

/// Checks that modules may be loaded from a directory: nobody but its user and root can change what is in it.
///
/// # Errors
/// Who else can, and where.
pub fn check_directory(path: &Path) -> Result<(), String> {
    trust::check_directory(path).map_err(|why| why + RULE)
}

/// Checks a module's file, and all directories on its path.
///
/// # Errors
/// Who else can change it, and where; or it is not there.
pub fn check_file(path: &Path) -> Result<(), String> {
    trust::check_file(path).map_err(|why| why + RULE)
}
