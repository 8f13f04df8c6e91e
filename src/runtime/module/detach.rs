//! Detaches loaded libraries from their files. The pages that the dynamic linker maps change when
//! the file is written to, and are lost when it is truncated, as by `cp`. So they are replaced, at
//! the same addresses, by a copy in memory that has no path. The linker, debuggers and backtraces
//! still know the library by its path, and `$ORIGIN` is its directory.

use std::collections::HashSet;
use std::ffi::{c_int, c_void, CStr};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use rustix::fs::{MemfdFlags, SealFlags};

/// The directories of libraries that only a package manager changes: it replaces files and never
/// overwrites them.
const SYSTEM: [&str; 4] = ["/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"];

/// The objects and threads of the process before a library is loaded.
pub(super) struct Before {
    objects: HashSet<usize>,
    threads: usize,
}

/// An object that the dynamic linker has loaded.
struct Object {
    base: usize,
    range: Range<usize>,
    path: String,
}

impl Before {
    pub(super) fn now() -> Before {
        Before { objects: objects().iter().map(|object| object.base).collect(), threads: threads() }
    }

    /// Detaches the objects loaded since then: the one that contains `address`, and the libraries
    /// loaded with it, except those in `SYSTEM`.
    pub(super) fn detach_new(&self, address: usize) -> io::Result<()> {
        // Threads that constructors have started may be writing to their objects' data, and writes
        // during the copy would be lost.
        let data = threads() == self.threads;
        for object in objects() {
            let is_system = SYSTEM.iter().any(|directory| object.path.starts_with(directory));
            if object.range.contains(&address) || !is_system && !self.objects.contains(&object.base)
            {
                object.detach(data)?;
            }
        }
        Ok(())
    }
}

impl Object {
    /// Replaces the readable mappings of the file by a copy; writable ones only if `data` is set.
    fn detach(&self, data: bool) -> io::Result<()> {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let name: String = name.chars().take(200).collect();
        let parts: Vec<_> = file_mappings(&self.range)?
            .into_iter()
            .filter(|part| part.protection & libc::PROT_READ != 0)
            .filter(|part| data || part.protection & libc::PROT_WRITE == 0)
            .collect();
        let copy = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        for part in &parts {
            part.append_to(&copy)?;
        }
        rustix::fs::fcntl_add_seals(
            &copy,
            SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
        )?;
        let mut offset = 0;
        for part in &parts {
            part.replace(&copy, offset)?;
            offset += part.range.len();
        }
        Ok(())
    }
}

/// A mapped part of a file.
struct Mapping {
    range: Range<usize>,
    protection: c_int,
}

impl Mapping {
    /// Appends the contents to a file. The kernel reads them, so that a page that is missing
    /// because the mapped file was just truncated causes an error and not a fault.
    fn append_to(&self, file: &OwnedFd) -> io::Result<()> {
        let mut at = self.range.start;
        while at < self.range.end {
            // SAFETY: the kernel checks whether the range can be read.
            let written =
                unsafe { libc::write(file.as_raw_fd(), at as *const c_void, self.range.end - at) };
            match usize::try_from(written) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => at += written,
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        Ok(())
    }

    /// Maps the copy here, from `offset` on. Other threads see a single step.
    fn replace(&self, copy: &OwnedFd, offset: usize) -> io::Result<()> {
        // SAFETY: the file has the contents of the range, so no code sees a difference; it is
        // sealed against changes.
        let mapped = unsafe {
            libc::mmap(
                self.range.start as *mut c_void,
                self.range.len(),
                self.protection,
                libc::MAP_PRIVATE | libc::MAP_FIXED,
                copy.as_raw_fd(),
                offset as libc::off_t,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }
}

/// The private mappings of files in a range of addresses.
fn file_mappings(range: &Range<usize>) -> io::Result<Vec<Mapping>> {
    let mut found = Vec::new();
    for line in BufReader::new(File::open("/proc/self/maps")?).split(b'\n') {
        let line = line?;
        // The path may be any bytes; the fields before it are text.
        let line = String::from_utf8_lossy(&line);
        let mut words = line.split_ascii_whitespace();
        let (Some(addresses), Some(access), Some(inode)) =
            (words.next(), words.next(), words.nth(2))
        else {
            continue;
        };
        let address = |text| usize::from_str_radix(text, 16).ok();
        let Some((Some(start), Some(end))) =
            addresses.split_once('-').map(|(start, end)| (address(start), address(end)))
        else {
            continue;
        };
        if start < range.start || end > range.end || inode == "0" || !access.ends_with('p') {
            continue;
        }
        let flag = |letter, flag| if access.contains(letter) { flag } else { 0 };
        let protection =
            flag('r', libc::PROT_READ) | flag('w', libc::PROT_WRITE) | flag('x', libc::PROT_EXEC);
        found.push(Mapping { range: start..end, protection });
    }
    Ok(found)
}

fn objects() -> Vec<Object> {
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
            found.push(Object { base, range, path: path.to_string_lossy().into_owned() });
        }
        0
    }
    let mut found: Vec<Object> = Vec::new();
    // SAFETY: `note` has the required type, and is passed the list that it expects.
    unsafe { libc::dl_iterate_phdr(Some(note), ptr::from_mut(&mut found).cast()) };
    found
}

/// How many threads the process has.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}
