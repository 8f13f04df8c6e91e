//! Finds the C++ runtime libraries of the process. A module usually shares libstdc++ with the
//! others; but it may have been linked with a copy of its own, or with another library, such as
//! libc++.

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;

use libloading::os::unix::{Library, RTLD_LAZY, RTLD_LOCAL};
use memchr::memmem;

use super::manager::ExceptionGlobals;
use crate::sys::objects;

/// The name of a type of the C++ ABI, which is in the memory of every C++ runtime library and of no
/// other object: others have it only as part of a symbol's name.
const INSIDE: &[u8] = b"\0N10__cxxabiv117__class_type_infoE\0";

/// Calls `add` with the exception globals of each C++ runtime library that can be found, after a
/// module has been loaded. `module` is an address in the module's code. `add` returns false if
/// there are too many.
///
/// # Errors
/// Why the module cannot be used: there are too many such libraries, or exceptions of its own C++
/// runtime library would be taken for those of another task when a task that has caught them waits.
pub(super) fn find(module: usize, add: fn(ExceptionGlobals) -> bool) -> Result<(), String> {
    objects::look();
    let Some(module) = objects::find(module) else { return Ok(()) };
    let mut is_found = false;
    let libraries = objects::all().iter().map(|object| opened(&object.path));
    // The program itself cannot be found by name.
    for library in libraries.flatten().chain([Library::this()]) {
        // SAFETY: the C++ ABI defines the type of the symbol.
        let found = unsafe { library.get::<ExceptionGlobals>(b"__cxa_get_globals") };
        let Ok(globals) = found else { continue };
        is_found |= module.has(*globals as usize);
        if !add(*globals) {
            let why = "there are too many C++ runtime libraries: link libstdc++ dynamically";
            return Err(why.into());
        }
    }
    // SAFETY: modules are never unloaded.
    let mut constants = unsafe { module.constants() };
    if !is_found && constants.any(|part| memmem::find(part, INSIDE).is_some()) {
        let why =
            "it has a C++ runtime library of its own (-static-libstdc++) and does not export \
                   __cxa_get_globals, by which its exceptions are kept apart between tasks: link \
                   libstdc++ dynamically, or export that function";
        return Err(why.into());
    }
    Ok(())
}

/// Opens an object that is already loaded.
fn opened(path: &CStr) -> Option<Library> {
    let flags = RTLD_LAZY | RTLD_LOCAL | libc::RTLD_NOLOAD;
    // SAFETY: this runs no code of the object.
    unsafe { Library::open(Some(OsStr::from_bytes(path.to_bytes())), flags) }.ok()
}
