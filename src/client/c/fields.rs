//! Filling in the strings and vectors of a task.

use std::ffi::{c_char, c_void, CStr};
use std::ptr;

use chimaera_abi::*;
use chimaera_client_rs::{self as client, Failure};

use crate::chi_ipc_manager;

/// The type of `chi_ipc.alloc` and `chi_ipc.alloc_elements`.
type Alloc =
    unsafe extern "C" fn(*const chi_ipc, *mut chi_task, u64, *mut chi_buffer) -> chi_status;

/// Allocates a new block for `vector`, with `size` bytes in use.
///
/// # Safety
/// As `chi_vector_resize`; `alloc` is a function of the table `ipc`.
unsafe fn renew(
    ipc: *const chi_ipc,
    alloc: Alloc,
    task: *mut chi_task,
    vector: *mut chi_shm_vector,
    size: u64,
) -> chi_status {
    for (pointer, argument) in [(task.cast::<c_void>(), "task"), (vector.cast(), "vector")] {
        if pointer.is_null() {
            return client::keep_error(Failure::null(argument));
        }
    }
    let mut buffer = chi_buffer { shm_: CHI_SHM_NULL, data_: ptr::null_mut(), size_: 0 };
    // A vector outside the task's body is part of an element, and records no offset in the task.
    let distance = (vector as usize).wrapping_sub(task as usize);
    let offset = u32::try_from(distance).ok().filter(|offset| *offset < CHI_MAX_TASK_SIZE);
    // SAFETY: by the caller's promise.
    unsafe {
        let status = alloc(ipc, task, size, &mut buffer);
        if status == CHI_OK {
            *vector = chi_shm_vector {
                shm_: buffer.shm_,
                data_: buffer.data_,
                size_: size,
                capacity_: buffer.size_,
                offset_in_task_: offset.unwrap_or(0),
                reserved_: 0,
            };
        }
        status
    }
}

/// Resizes a vector of a task to `size` uninitialised bytes, in a new block; the old contents are
/// dropped. `vector` is in the body of `task`, or in an element of one of its vectors.
///
/// * Ownership: the block belongs to the task and is freed with it.
/// * Null: neither `task` nor `vector` may be null.
/// * Errors: those of `chi_alloc`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// `task` must be idle and not deleted, and `vector` one of its fields or of their elements'.
#[no_mangle]
pub unsafe extern "C" fn chi_vector_resize(
    task: *mut chi_task,
    vector: *mut chi_shm_vector,
    size: u64,
) -> chi_status {
    let ipc = chi_ipc_manager();
    // SAFETY: the table is valid; the rest is the caller's promise.
    unsafe { renew(ipc, (*ipc).alloc, task, vector, size) }
}

/// Resizes a vector of a task to `count` elements of `elem_size` bytes, in a new block, and zeroes
/// them: a zeroed element contains empty strings and vectors, which the other functions here can
/// then fill.
///
/// * Ownership: as `chi_vector_resize`.
/// * Null: neither `task` nor `vector` may be null.
/// * Errors: those of `chi_alloc`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_vector_resize`.
#[no_mangle]
pub unsafe extern "C" fn chi_vector_elements(
    task: *mut chi_task,
    vector: *mut chi_shm_vector,
    count: u64,
    elem_size: u64,
) -> chi_status {
    let ipc = chi_ipc_manager();
    // Saturating: a size that overflows is larger than any segment, so `alloc` refuses it.
    let size = count.saturating_mul(elem_size);
    // SAFETY: the table is valid; the rest is the caller's promise. After success the block holds
    // `size` bytes.
    unsafe {
        let status = renew(ipc, (*ipc).alloc_elements, task, vector, size);
        if status == CHI_OK && size > 0 {
            (*vector).data_.cast::<u8>().write_bytes(0, size as usize);
        }
        status
    }
}

/// Sets a vector of a task to a copy of the `size` bytes at `data`.
///
/// * Ownership: as `chi_vector_resize`; `data` is copied.
/// * Null: `data` may be null when `size` is 0; neither `task` nor `vector` may be null.
/// * Errors: those of `chi_alloc`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_vector_resize`; `data` must hold `size` bytes.
#[no_mangle]
pub unsafe extern "C" fn chi_vector_set(
    task: *mut chi_task,
    vector: *mut chi_shm_vector,
    data: *const c_void,
    size: u64,
) -> chi_status {
    // SAFETY: by the caller's promise; after success the vector's block holds `size` bytes.
    unsafe {
        let status = chi_vector_resize(task, vector, size);
        if status == CHI_OK && size > 0 {
            ptr::copy_nonoverlapping(data.cast::<u8>(), (*vector).data_.cast(), size as usize);
        }
        status
    }
}

/// Sets a string of a task to a copy of the C string `text`, without its terminating zero.
///
/// * Ownership: as `chi_vector_resize`; `text` is copied.
/// * Null: a null `text` means the empty string; neither `task` nor `string` may be null.
/// * Errors: those of `chi_alloc`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_vector_resize`; `text` must be null or a C string.
#[no_mangle]
pub unsafe extern "C" fn chi_string_set(
    task: *mut chi_task,
    string: *mut chi_shm_string,
    text: *const c_char,
) -> chi_status {
    // SAFETY: by the caller's promise.
    unsafe {
        let bytes = if text.is_null() { &[] } else { CStr::from_ptr(text).to_bytes() };
        let vector = &raw mut (*string).bytes_;
        chi_vector_set(task, vector, bytes.as_ptr().cast(), bytes.len() as u64)
    }
}

/// Sets a vector of strings to copies of the `count` C strings at `texts`.
///
/// * Ownership: as `chi_vector_resize`; the texts are copied.
/// * Null: a null text means the empty string; `texts` may be null when `count` is 0; neither
///   `task` nor `vector` may be null.
/// * Errors: those of `chi_alloc`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_vector_resize`; `texts` must hold `count` C strings or nulls.
#[no_mangle]
pub unsafe extern "C" fn chi_strings_set(
    task: *mut chi_task,
    vector: *mut chi_shm_vector,
    texts: *const *const c_char,
    count: u64,
) -> chi_status {
    // SAFETY: by the caller's promise; after success the vector's block holds `count` strings.
    unsafe {
        let mut status =
            chi_vector_elements(task, vector, count, size_of::<chi_shm_string>() as u64);
        let mut index = 0;
        while status == CHI_OK && index < count as usize {
            let string = (*vector).data_.cast::<chi_shm_string>().add(index);
            status = chi_string_set(task, string, *texts.add(index));
            index += 1;
        }
        status
    }
}

/// Sets a vector of vectors to copies of `count` arrays of plain elements: the array at `arrays[i]`
/// has `counts[i]` elements of `elem_size` bytes.
///
/// * Ownership: as `chi_vector_resize`; the arrays are copied.
/// * Null: an array without elements may be null; `arrays` and `counts` may be null when `count` is
///   0; neither `task` nor `vector` may be null.
/// * Errors: those of `chi_alloc`.
/// * Thread: `[any thread]`.
///
/// # Safety
/// As `chi_vector_resize`; `arrays` and `counts` must hold `count` entries, and `arrays[i]` must
/// point to `counts[i]` elements of `elem_size` bytes.
#[no_mangle]
pub unsafe extern "C" fn chi_vectors_set(
    task: *mut chi_task,
    vector: *mut chi_shm_vector,
    arrays: *const *const c_void,
    counts: *const u64,
    elem_size: u64,
    count: u64,
) -> chi_status {
    // SAFETY: by the caller's promise; after success the vector's block holds `count` vectors.
    unsafe {
        let mut status =
            chi_vector_elements(task, vector, count, size_of::<chi_shm_vector>() as u64);
        let mut index = 0;
        while status == CHI_OK && index < count as usize {
            let inner = (*vector).data_.cast::<chi_shm_vector>().add(index);
            let size = (*counts.add(index)).saturating_mul(elem_size);
            status = chi_vector_set(task, inner, *arrays.add(index), size);
            index += 1;
        }
        status
    }
}
