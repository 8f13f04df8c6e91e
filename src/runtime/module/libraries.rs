//! The objects that the dynamic linker has loaded, and which libraries a module brings with it.

use std::ffi::{c_char, c_int, c_void, CStr, CString, OsStr};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

use crate::sys::FileStamp;

/// The directories of libraries that only a package manager changes: it replaces files and never
/// overwrites them.
const SYSTEM: [&str; 4] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64"];

/// A library that a module brings with it: it links it, directly or not, from outside the system's
/// directories, or has loaded it from there in a constructor.
pub(crate) struct Library {
    /// Its path as the dynamic linker found it.
    pub(crate) path: PathBuf,
    /// The state of the file when it was loaded.
    pub(crate) stamp: FileStamp,
}

/// An object that the dynamic linker has loaded.
pub(super) struct Object {
    pub(super) base: usize,
    pub(super) range: Range<usize>,
    pub(super) path: PathBuf,
    /// The name by which others link it, if it has one.
    soname: Option<CString>,
    /// What it links.
    needed: Vec<CString>,
}

impl Object {
    /// Whether it is one of the system's libraries, by the directory in which its file really is.
    pub(super) fn is_system(&self) -> bool {
        let real = std::fs::canonicalize(&self.path);
        let real = real.as_deref().unwrap_or(&self.path);
        SYSTEM.iter().any(|directory| real.starts_with(directory))
    }

    /// Whether this is what an object links by a name. The dynamic linker compares names in the
    /// same way, so that of two libraries with one name only the first is loaded.
    fn is_called(&self, name: &CStr) -> bool {
        let name = name.to_bytes();
        self.soname.as_ref().is_some_and(|soname| soname.to_bytes() == name)
            || self.path.file_name().is_some_and(|file| file.as_bytes() == name)
            || self.path.as_os_str().as_bytes() == name
    }
}

impl Library {
    /// `None` if there is no such file: the program, and what the kernel provides, have no path.
    pub(super) fn of(object: &Object) -> Option<Library> {
        let path = CString::new(object.path.as_os_str().as_bytes()).ok()?;
        Some(Library { path: object.path.clone(), stamp: FileStamp::of(&path)? })
    }
}

/// Removes from `objects` the one that contains `address`, and those that it links, directly or
/// not, and returns them in this order.
pub(super) fn take_linked(objects: &mut Vec<Object>, address: usize) -> Vec<Object> {
    let mut take = |is_it: &dyn Fn(&Object) -> bool| {
        objects.iter().position(is_it).map(|found| objects.remove(found))
    };
    let mut taken = Vec::from_iter(take(&|object| object.range.contains(&address)));
    let mut next = 0;
    while let Some(object) = taken.get(next) {
        let found: Vec<_> =
            object.needed.iter().filter_map(|name| take(&|other| other.is_called(name))).collect();
        taken.extend(found);
        next += 1;
    }
    taken
}

/// All objects of the process, in the order in which they were loaded.
pub(super) fn objects() -> Vec<Object> {
    unsafe extern "C" fn note(
        info: *mut libc::dl_phdr_info,
        _size: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: the linker passes a valid description, and `data` as it was passed below.
        let (info, found) = unsafe { (&*info, &mut *data.cast::<Vec<Object>>()) };
        // SAFETY: the description is valid: its headers are mapped, and its name is null or a C
        // string.
        let (headers, path) = unsafe {
            let name = if info.dlpi_name.is_null() { c"" } else { CStr::from_ptr(info.dlpi_name) };
            (std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()), name)
        };
        let base = info.dlpi_addr as usize;
        // SAFETY: the call only returns a constant of the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD).map(|header| {
            let start = base + header.p_vaddr as usize;
            start & !(page - 1)..(start + header.p_memsz as usize).next_multiple_of(page)
        });
        if let Some(range) = loaded.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)) {
            // SAFETY: these are the headers of an object that the linker has loaded.
            let (soname, needed) = unsafe { names(base, headers) };
            let path = Path::new(OsStr::from_bytes(path.to_bytes())).to_owned();
            found.push(Object { base, range, path, soname, needed });
        }
        0
    }
    let mut found: Vec<Object> = Vec::new();
    // SAFETY: `note` has the required type, and is passed the list that it expects.
    unsafe { libc::dl_iterate_phdr(Some(note), ptr::from_mut(&mut found).cast()) };
    found
}

/// `Elf64_Dyn` of the ELF specification.
#[repr(C)]
struct Entry {
    tag: i64,
    value: u64,
}

const DT_NULL: i64 = 0;
const DT_NEEDED: i64 = 1;
const DT_STRTAB: i64 = 5;
const DT_STRSZ: i64 = 10;
const DT_SONAME: i64 = 14;

/// The name of an object, and the names of those that it links.
///
/// # Safety
/// `headers` must be those of an object that the linker has loaded at `base`.
unsafe fn names(base: usize, headers: &[libc::Elf64_Phdr]) -> (Option<CString>, Vec<CString>) {
    let Some(dynamic) = headers.iter().find(|header| header.p_type == libc::PT_DYNAMIC) else {
        return (None, Vec::new());
    };
    // SAFETY: by the caller's promise the linker has mapped this part, and has read it itself.
    let entries = unsafe {
        let first = (base + dynamic.p_vaddr as usize) as *const Entry;
        std::slice::from_raw_parts(first, dynamic.p_memsz as usize / size_of::<Entry>())
    };
    let entries = || entries.iter().take_while(|entry| entry.tag != DT_NULL);
    let find = |tag| entries().find(|entry| entry.tag == tag).map(|entry| entry.value as usize);
    let (Some(strings), Some(size)) = (find(DT_STRTAB), find(DT_STRSZ)) else {
        return (None, Vec::new());
    };
    // Some linkers store the address in memory there, others leave that in the file.
    let strings = if strings < base { base + strings } else { strings };
    let text = |entry: &Entry| {
        let offset = entry.value as usize;
        // SAFETY: the linker has mapped the table, whose last byte is zero.
        (offset < size)
            .then(|| unsafe { CStr::from_ptr((strings + offset) as *const c_char).to_owned() })
    };
    let soname = entries().find(|entry| entry.tag == DT_SONAME).and_then(text);
    (soname, entries().filter(|entry| entry.tag == DT_NEEDED).filter_map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_names_and_link_others() {
        let objects = objects();
        let libc = objects.iter().find(|object| object.is_called(c"libc.so.6")).unwrap();
        assert!(libc.range.contains(&(libc::strtol as *const () as usize)));
        assert_eq!(libc.soname.as_deref(), Some(c"libc.so.6"));
        assert!(libc.is_system());
        // The program itself.
        assert!(objects[0].needed.iter().any(|name| **name == *c"libc.so.6"));
    }
}
