//! Backtraces: the calls that led to an instruction, found with the unwind tables, and the names of
//! their functions. Everything here is safe in a signal handler: it takes no lock and allocates no
//! memory. (The unwinder finds the tables with `_dl_find_object`, which may be called there.)

use std::ffi::{c_int, c_void};
use std::fmt::{self, Write};

use object::elf;
use object::read::elf::{FileHeader, Sym};
use object::Endianness;

use super::fault::Fault;
use super::objects::{self, Object};
use super::FileStamp;

/// A call on a stack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The interrupted instruction, or for a caller the instruction after its call.
    pub(crate) pc: usize,
    /// Whether the frame was interrupted at `pc`, rather than having made a call.
    pub(crate) interrupted: bool,
    /// The stack pointer once the callee has returned.
    pub(crate) sp: usize,
}

#[repr(C)]
pub(super) struct UnwindContext {
    _opaque: [u8; 0],
}

pub(super) type Visit = extern "C" fn(*mut UnwindContext, *mut c_void) -> c_int;

// The unwinder, which Rust's panics use, too:
// https://itanium-cxx-abi.github.io/cxx-abi/abi-eh.html, and GCC's extensions to it in unwind.h.
extern "C" {
    pub(super) fn _Unwind_Backtrace(visit: Visit, data: *mut c_void) -> c_int;
    fn _Unwind_GetIPInfo(context: *mut UnwindContext, before: *mut c_int) -> usize;
    pub(super) fn _Unwind_GetCFA(context: *mut UnwindContext) -> usize;
}

pub(super) const URC_NO_REASON: c_int = 0;
pub(super) const URC_NORMAL_STOP: c_int = 4;

/// Calls `visit` with each frame of the calling thread, innermost first, until it returns false.
/// True if it did; false if the walk reached the last frame, or one without unwind tables.
pub(super) fn walk<F: FnMut(Frame) -> bool>(mut visit: F) -> bool {
    extern "C" fn on_frame<F: FnMut(Frame) -> bool>(
        context: *mut UnwindContext,
        data: *mut c_void,
    ) -> c_int {
        let mut before = 0;
        // SAFETY: the unwinder passes a valid context, and `data` as `walk` passed it.
        let (visit, pc, sp) = unsafe {
            let pc = _Unwind_GetIPInfo(context, &mut before);
            (&mut *data.cast::<(F, bool)>(), pc, _Unwind_GetCFA(context))
        };
        visit.1 = !(visit.0)(Frame { pc, interrupted: before != 0, sp });
        if visit.1 {
            URC_NORMAL_STOP
        } else {
            URC_NO_REASON
        }
    }
    let mut state = (&mut visit, false);
    // SAFETY: the function has the required type, and gets the data that it expects.
    unsafe { _Unwind_Backtrace(on_frame::<&mut F>, std::ptr::from_mut(&mut state).cast()) };
    state.1
}

/// Like [`walk`], but starts at the interrupted code. If that was a call to an address without
/// code, starts at the call.
pub(crate) fn walk_from<F: FnMut(Frame) -> bool>(fault: &mut Fault, mut visit: F) -> bool {
    let saved = *fault.context();
    if fault.address() == Some(fault.pc()) && objects::find(fault.pc()).is_none() {
        fault.leave_callee();
    }
    let pc = fault.pc();
    let mut begun = false;
    let stopped = walk(|frame| {
        begun |= frame.interrupted && frame.pc == pc;
        !begun || visit(frame)
    });
    *fault.context() = saved;
    stopped
}

/// Walks once, so that the unwinder is not initialised in a signal handler.
pub(crate) fn prepare() {
    walk(|_| true);
}

/// Writes the function and the file of a frame.
pub(crate) fn describe(frame: Frame, out: &mut impl Write) -> fmt::Result {
    // If the call does not return, the next function may begin right after it.
    let pc = if frame.interrupted { frame.pc } else { frame.pc.wrapping_sub(1) };
    let Some(object) = objects::find(pc) else { return write!(out, "{:#x}", frame.pc) };
    let path = object.path.to_bytes();
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    let at = pc - object.bias;
    let mut told = Ok(());
    let is_same = with_symbol(object, at, |symbol, begin| {
        told = escape(symbol, out).and_then(|()| write!(out, "+{:#x} ", at - begin));
    });
    told?;
    out.write_str("(")?;
    escape(name, out)?;
    let changed = if is_same { "" } else { ", which has changed since" };
    write!(out, "+{:#x}{changed})", frame.pc - object.bias)
}

/// Writes bytes, with `?` in place of those that are not printable ASCII.
pub(super) fn escape(bytes: &[u8], out: &mut impl Write) -> fmt::Result {
    bytes.iter().try_for_each(|byte| match byte {
        b' '..=b'~' => out.write_char(char::from(*byte)),
        _ => out.write_char('?'),
    })
}

/// Calls `f` with the name and the address of the function at an address of an object's file, if it
/// is known. False if the file is not the one that was loaded.
fn with_symbol(object: &Object, at: usize, f: impl FnOnce(&[u8], usize)) -> bool {
    with_file(object, |data| {
        if let Ok(Some((name, begin))) = find_symbol(data, at as u64) {
            f(name, begin as usize);
        }
    })
}

/// The name and the address of the function that contains an address.
fn find_symbol(data: &[u8], at: u64) -> object::Result<Option<(&[u8], u64)>> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let mut best: Option<(&[u8], u64)> = None;
    for kind in [elf::SHT_SYMTAB, elf::SHT_DYNSYM] {
        let table = sections.symbols(endian, data, kind)?;
        for symbol in table.iter() {
            let (begin, size) = (symbol.st_value(endian), symbol.st_size(endian));
            let is_function = matches!(symbol.st_type(), elf::STT_FUNC | elf::STT_GNU_IFUNC);
            let is_there = begin <= at && at - begin < size.max(1);
            if is_function && is_there && best.is_none_or(|(_, other)| begin > other) {
                best = Some((symbol.name(endian, table.strings())?, begin));
            }
        }
        if best.is_some() {
            break;
        }
    }
    Ok(best)
}

/// Calls `f` with the contents of an object's file, if it can be read. False if the file is not the
/// one that was loaded.
fn with_file(object: &Object, f: impl FnOnce(&[u8])) -> bool {
    // SAFETY: a signal handler may make these calls. The descriptor and the mapping are made here,
    // and unmapped after their last use.
    unsafe {
        let fd = libc::open(object.path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        if fd < 0 {
            return true;
        }
        let mut found: libc::stat = std::mem::zeroed();
        let is_found = libc::fstat(fd, &mut found) == 0;
        let is_same = is_found && object.stamp.is_none_or(|own| own == FileStamp::from(&found));
        let len = if is_same { found.st_size as usize } else { 0 };
        let at = match len {
            0 => libc::MAP_FAILED,
            _ => libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_PRIVATE, fd, 0),
        };
        libc::close(fd);
        if at != libc::MAP_FAILED {
            f(std::slice::from_raw_parts(at.cast::<u8>(), len));
            libc::munmap(at, len);
        }
        is_same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn a_function_with_a_name(into: &mut String) {
        objects::look();
        walk(|frame| {
            describe(frame, into).unwrap();
            into.push('\n');
            true
        });
    }

    /// The test itself may be inlined into whatever calls tests.
    #[inline(never)]
    fn a_caller_with_a_name() -> String {
        let mut told = String::new();
        a_function_with_a_name(&mut told);
        told
    }

    #[test]
    fn a_walk_finds_its_callers_and_their_names() {
        let told = a_caller_with_a_name();
        assert!(told.contains("a_function_with_a_name"), "{told}");
        assert!(told.contains("a_caller_with_a_name"), "{told}");
    }
}
