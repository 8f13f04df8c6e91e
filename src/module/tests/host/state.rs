//! The runtime's side of a container's state: its fields, in memory.

use std::ffi::c_void;

use chimaera::abi::*;

/// A number and bytes for each field.
pub(crate) type Fields = Vec<(u32, Vec<u8>)>;

/// A state in memory. The C struct is first, so that its functions find the rest.
#[repr(C)]
pub(crate) struct MemoryState {
    base: chi_state,
    archive: Archive,
    pub(crate) fields: Fields,
    /// The field after the current one.
    next: usize,
    taken: usize,
}

#[repr(C)]
struct Archive {
    base: chi_archive,
    state: *mut MemoryState,
}

impl MemoryState {
    /// A state with these fields, to read; or without any, to write.
    pub(crate) fn new(fields: Fields) -> Box<Self> {
        let mut state = Box::new(MemoryState {
            base: chi_state {
                size: size_of::<chi_state>() as u32,
                purpose: 0,
                archive: std::ptr::null_mut(),
                begin_field,
                next_field,
            },
            archive: Archive {
                base: chi_archive {
                    size: size_of::<chi_archive>() as u32,
                    reserved: 0,
                    write,
                    read,
                    remaining,
                },
                state: std::ptr::null_mut(),
            },
            fields,
            next: 0,
            taken: 0,
        });
        let address = &raw mut *state;
        state.archive.state = address;
        state.base.archive = (&raw mut state.archive).cast();
        state
    }

    /// The C struct.
    pub(crate) fn as_ptr(&mut self) -> *mut chi_state {
        (&raw mut *self).cast()
    }

    /// Only so much of the table of functions as `size` bytes cover.
    pub(crate) fn cut(mut self: Box<Self>, size: usize) -> Box<Self> {
        self.base.size = size as u32;
        self
    }
}

/// # Safety
///
/// `state` is the `base` of a `MemoryState` that nothing else uses.
unsafe fn of<'a>(state: *mut chi_state) -> &'a mut MemoryState {
    // SAFETY: guaranteed by the caller; the base is the first field.
    unsafe { &mut *state.cast() }
}

/// # Safety
///
/// `archive` is that of a `MemoryState` that nothing else uses.
unsafe fn behind<'a>(archive: *const chi_archive) -> &'a mut MemoryState {
    // SAFETY: guaranteed by the caller.
    unsafe { &mut *(*archive.cast::<Archive>()).state }
}

unsafe extern "C" fn begin_field(state: *mut chi_state, number: u32) -> chi_status {
    // SAFETY: by the contract.
    let state = unsafe { of(state) };
    if number <= state.fields.last().map_or(0, |(last, _)| *last) {
        return CHI_INVALID;
    }
    state.fields.push((number, Vec::new()));
    CHI_OK
}

unsafe extern "C" fn next_field(state: *mut chi_state, number: *mut u32) -> chi_status {
    // SAFETY: by the contract.
    let (state, number) = unsafe { (of(state), &mut *number) };
    *number = state.fields.get(state.next).map_or(0, |(number, _)| *number);
    state.next += 1;
    state.taken = 0;
    CHI_OK
}

unsafe extern "C" fn write(archive: *mut chi_archive, data: *const c_void, len: u64) -> chi_status {
    // SAFETY: by the contract, `len` bytes are there.
    let (state, bytes) =
        unsafe { (behind(archive), std::slice::from_raw_parts(data.cast::<u8>(), len as usize)) };
    let Some((_, field)) = state.fields.last_mut() else { return CHI_INVALID };
    field.extend_from_slice(bytes);
    CHI_OK
}

unsafe extern "C" fn read(archive: *mut chi_archive, data: *mut c_void, len: u64) -> chi_status {
    // SAFETY: by the contract.
    let state = unsafe { behind(archive) };
    let field = state.next.checked_sub(1).and_then(|current| state.fields.get(current));
    let Some((_, field)) = field else { return CHI_INVALID };
    let Some(bytes) = field.get(state.taken..state.taken + len as usize) else {
        return CHI_INVALID;
    };
    // SAFETY: by the contract, there is room for `len` bytes.
    unsafe { data.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    state.taken += bytes.len();
    CHI_OK
}

/// The most that it may say: all bytes of the state.
unsafe extern "C" fn remaining(archive: *const chi_archive) -> u64 {
    // SAFETY: by the contract.
    let state = unsafe { behind(archive) };
    state.fields.iter().map(|(_, field)| field.len() as u64 + 16).sum()
}
