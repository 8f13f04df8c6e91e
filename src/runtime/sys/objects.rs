//! The shared objects of the process: which one an address belongs to. This is needed in signal
//! handlers, which must not call the dynamic linker.

use std::ffi::{CStr, CString};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::Mutex;

use super::{lock, FileStamp};

/// The owner of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The runtime itself, with the program or library that it is part of.
    Runtime,
    /// The C library or the dynamic linker, whose state the whole process depends on.
    System,
    /// A module.
    Module,
    /// Any other library.
    Library,
}

/// A shared object.
pub(crate) struct Object {
    pub(crate) owner: Owner,
    pub(crate) path: CString,
    /// The difference between addresses in memory and in the file.
    pub(super) bias: usize,
    /// The state of the file when the object was first seen.
    pub(crate) stamp: Option<FileStamp>,
    code: Vec<Range<usize>>,
    /// The ranges that are mapped from its file and cannot be written.
    constants: Vec<Range<usize>>,
}

impl Object {
    /// Whether the code at an address belongs to the object.
    pub(crate) fn has(&self, address: usize) -> bool {
        self.code.iter().any(|range| range.contains(&address))
    }

    /// Its code and constants.
    ///
    /// # Safety
    /// The object must not be unloaded while the slices are in use.
    pub(crate) unsafe fn constants(&self) -> impl Iterator<Item = &[u8]> {
        self.constants.iter().map(|range| {
            // SAFETY: the linker has mapped the range, and nothing writes there; by the caller's
            // promise it stays mapped.
            unsafe { std::slice::from_raw_parts(range.start as *const u8, range.len()) }
        })
    }
}

/// The objects that the last call of `look` found. Earlier lists are never freed, because a handler
/// may be reading them.
static OBJECTS: AtomicPtr<Vec<Object>> = AtomicPtr::new(ptr::null_mut());
/// An address in each module.
static MODULES: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// The known objects. `[any thread, signal handlers]`
pub(crate) fn all() -> &'static [Object] {
    // SAFETY: the pointer is null, or points to a list that is never freed or changed.
    unsafe { OBJECTS.load(Ordering::Acquire).as_ref() }.map_or(&[], Vec::as_slice)
}

/// The object whose code contains an address, if it is known. `[any thread, signal handlers]`
pub(crate) fn find(address: usize) -> Option<&'static Object> {
    all().iter().find(|object| object.has(address))
}

/// The owner of the object whose code contains an address. `[any thread, signal handlers]`
pub(crate) fn owner(address: usize) -> Option<Owner> {
    find(address).map(|object| object.owner)
}

/// Records that the object whose code contains `address` is a module.
pub(crate) fn add_module(address: usize) {
    lock(&MODULES).push(address);
    look();
}

/// Updates the list of objects. Must be called when objects may have been loaded.
pub(crate) fn look() {
    let modules = lock(&MODULES);
    // SAFETY: as in `all`.
    let known = unsafe { OBJECTS.load(Ordering::Acquire).as_ref() };
    let mut look = Look { modules: &modules, found: Vec::new() };
    // SAFETY: `note` has the required type, and gets the `Look` that it expects.
    unsafe { libc::dl_iterate_phdr(Some(note), ptr::from_mut(&mut look).cast()) };
    let known_stamp = |new: &Object| {
        let old = known?.iter().find(|old| old.bias == new.bias && old.path == new.path)?;
        Some(old.stamp)
    };
    for object in &mut look.found {
        object.stamp = known_stamp(object).unwrap_or_else(|| FileStamp::of(&object.path));
    }
    let identity = |object: &Object| (object.bias, object.owner);
    if known.is_none_or(|known| !known.iter().map(identity).eq(look.found.iter().map(identity))) {
        OBJECTS.store(Box::into_raw(Box::new(look.found)), Ordering::Release);
    }
}

struct Look<'a> {
    modules: &'a [usize],
    found: Vec<Object>,
}

/// Adds an object to the `Look` in `data`. Called by the dynamic linker for each loaded object.
unsafe extern "C" fn note(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the linker passes a valid description, and `data` as `look` passed it.
    let (info, look) = unsafe { (&*info, &mut *data.cast::<Look<'_>>()) };
    // SAFETY: the description is valid: its headers are mapped, and its name is null or a C string.
    let (headers, name) = unsafe {
        let name = if info.dlpi_name.is_null() { c"" } else { CStr::from_ptr(info.dlpi_name) };
        (std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()), name)
    };
    let segments = |fits: fn(u32) -> bool| -> Vec<Range<usize>> {
        let fits =
            |header: &&libc::Elf64_Phdr| header.p_type == libc::PT_LOAD && fits(header.p_flags);
        let range = |header: &libc::Elf64_Phdr| {
            let start = info.dlpi_addr as usize + header.p_vaddr as usize;
            start..start + header.p_memsz as usize
        };
        headers.iter().filter(fits).map(range).collect()
    };
    let code = segments(|flags| flags & libc::PF_X != 0);
    let constants = segments(|flags| flags & (libc::PF_R | libc::PF_W) == libc::PF_R);
    let has = |address: usize| code.iter().any(|range| range.contains(&address));
    // SAFETY: the call only reads the auxiliary vector.
    let linker = unsafe { libc::getauxval(libc::AT_BASE) } as usize;
    let system = [libc::malloc as *const () as usize, libc::dl_iterate_phdr as *const () as usize];
    let owner = if has(self::look as *const () as usize) {
        Owner::Runtime
    } else if system.into_iter().any(has) || linker != 0 && linker == info.dlpi_addr as usize {
        Owner::System
    } else if look.modules.iter().copied().any(has) {
        Owner::Module
    } else {
        Owner::Library
    };
    let path = if name.is_empty() && look.found.is_empty() {
        let program = std::env::current_exe().unwrap_or_default();
        CString::new(program.into_os_string().into_vec()).unwrap_or_default()
    } else {
        name.to_owned()
    };
    let bias = info.dlpi_addr as usize;
    look.found.push(Object { owner, path, bias, stamp: None, code, constants });
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_their_owners() {
        look();
        assert_eq!(owner(look as *const () as usize), Some(Owner::Runtime));
        assert_eq!(owner(libc::strtol as *const () as usize), Some(Owner::System));
        assert_eq!(owner(8), None);
        let own = find(look as *const () as usize).unwrap();
        assert_eq!(own.path.to_str().unwrap(), std::env::current_exe().unwrap().to_str().unwrap());
    }
}
