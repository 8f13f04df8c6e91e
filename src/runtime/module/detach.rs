//! Detaches loaded libraries from their files. The pages that the dynamic linker maps change when
//! the file is written to, and are lost when it is truncated, as by `cp`. So they are replaced, at
//! the same addresses, by a copy in memory that has no path. The linker, debuggers and backtraces
//! still know the library by its path, and `$ORIGIN` is its directory.

use std::collections::HashSet;
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

use super::libraries::{self, Library, Object};
use crate::sys::Frozen;

/// The objects and threads of the process before a library is loaded.
pub(super) struct Before {
    objects: HashSet<usize>,
    threads: HashSet<i32>,
}

/// A module that was loaded, unless its object is not known, and the libraries that it brings with
/// it.
pub(super) struct Loaded {
    module: Option<Object>,
    libraries: Vec<Object>,
}

impl Loaded {
    /// The libraries and the present state of their files.
    pub(super) fn libraries(&self) -> Vec<Library> {
        self.libraries.iter().filter_map(Library::of).collect()
    }
}

/// What is done about data that can be written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Data {
    /// They are copied: nobody writes to them.
    Still,
    /// They are copied while they are frozen: threads that constructors have started may be
    /// writing to them, and writes during the copy would be lost.
    Frozen,
    /// They stay in the file: a thread that blocks the signal would not survive a write to frozen
    /// data.
    Left,
}

impl Before {
    pub(super) fn now() -> Before {
        let objects = libraries::objects().iter().map(|object| object.base).collect();
        Before { objects, threads: threads().collect() }
    }

    /// The objects that were loaded since then with a module: the one that contains `address`, what
    /// that links, even if it was loaded before, and what constructors have loaded. If `alone` is
    /// not set, threads of modules run, which may be loading something else: then only what the
    /// module links.
    pub(super) fn loaded(&self, address: Option<usize>, alone: bool) -> Loaded {
        let mut others = libraries::objects();
        let mut linked =
            address.map_or_else(Vec::new, |at| libraries::take_linked(&mut others, at));
        others.retain(|object| alone && self.is_new(object));
        let module = (!linked.is_empty()).then(|| linked.remove(0));
        linked.append(&mut others);
        linked.retain(|object| !object.is_system());
        Loaded { module, libraries: linked }
    }

    fn is_new(&self, object: &Object) -> bool {
        !self.objects.contains(&object.base)
    }

    /// Detaches the module, and the libraries that were loaded since then.
    pub(super) fn detach(&self, loaded: &Loaded) -> io::Result<()> {
        let new = || threads().filter(|thread| !self.threads.contains(thread));
        let data = match new().next() {
            None => Data::Still,
            Some(_) if new().all(Frozen::is_survived_by) => Data::Frozen,
            Some(_) => Data::Left,
        };
        let libraries = loaded.libraries.iter().filter(|library| self.is_new(library));
        for object in loaded.module.iter().chain(libraries) {
            detach(object, data)?;
        }
        if data == Data::Left {
            return Err(io::Error::other("a thread of its constructors blocks SIGSEGV"));
        }
        Ok(())
    }
}

/// Replaces the readable mappings of the object's file by a copy.
fn detach(object: &Object, data: Data) -> io::Result<()> {
    let name = object.path.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name.chars().take(200).collect();
    let parts: Vec<_> = file_mappings(&object.range)?
        .into_iter()
        .filter(|part| part.protection & libc::PROT_READ != 0)
        .filter(|part| data != Data::Left || !part.is_written())
        .collect();
    let copy = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let written = parts.iter().filter(|part| data == Data::Frozen && part.is_written());
    let written: Vec<_> = written.map(|part| (part.range.clone(), part.protection)).collect();
    // Until this is dropped, other threads may wait for it, so nothing here may wait for them.
    // SAFETY: the kernel has just named these protections, and this thread does not write there.
    let _frozen = unsafe { Frozen::new(&written)? };
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

/// A mapped part of a file.
struct Mapping {
    range: Range<usize>,
    protection: c_int,
}

impl Mapping {
    fn is_written(&self) -> bool {
        self.protection & libc::PROT_WRITE != 0
    }

    /// Appends the contents to a file. The kernel reads them, so that a page that is missing
    /// because the mapped file was just truncated causes an error and not a fault.
    fn append_to(&self, file: &OwnedFd) -> io::Result<()> {
        let mut at = self.range.start;
        while at < self.range.end {
            // Not by the C library's function: for a module with the address sanitizer, that refuses what
            // lies between its variables.
            // SAFETY: the kernel checks whether the range can be read.
            let written = unsafe {
                libc::syscall(
                    libc::SYS_write,
                    file.as_raw_fd(),
                    at as *const c_void,
                    self.range.end - at,
                )
            };
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
        // A copy has replaced it already, and threads may be writing there.
        if words.next().is_some_and(|path| path.starts_with("/memfd:")) {
            continue;
        }
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

/// The threads of the process.
fn threads() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
