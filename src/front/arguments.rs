//! Checks of the caller's arguments.

use std::ffi::{c_char, c_void, CStr};
use std::ptr::NonNull;

use chimaera_abi::*;

use crate::{Failure, Result};

/// Checks a pointer that must not be null.
#[inline]
pub(crate) fn non_null<T>(pointer: *mut T, argument: &str) -> Result<NonNull<T>> {
    NonNull::new(pointer).ok_or_else(|| Failure::null(argument))
}

/// Checks the size of a new task.
#[inline]
pub(crate) fn task_size(size: u32) -> Result<u32> {
    const LEAST: u32 = size_of::<chi_task>() as u32;
    match size {
        LEAST..=CHI_MAX_TASK_SIZE => Ok(size),
        _ => Err(bad_size(size)),
    }
}

#[cold]
fn bad_size(size: u32) -> Failure {
    Failure::new(CHI_INVALID, format!("a task has 64 to {CHI_MAX_TASK_SIZE} bytes, not {size}"))
}

/// The bytes of a C string.
///
/// # Safety
/// `text` must be null or a C string that outlives the result.
pub(crate) unsafe fn string<'a>(text: *const c_char, argument: &str) -> Result<&'a [u8]> {
    if text.is_null() {
        return Err(Failure::null(argument));
    }
    // SAFETY: by the caller's promise.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// The bytes of a parameter; the address may be null when there are none.
///
/// # Safety
/// `data` must be null or point to `len` bytes that outlive the result.
pub(crate) unsafe fn bytes<'a>(data: *const c_void, len: u64, argument: &str) -> Result<&'a [u8]> {
    // SAFETY: by the caller's promise.
    unsafe { array(data.cast(), len, argument) }
}

/// The elements of an array; the address may be null when there are none.
///
/// # Safety
/// `elements` must be null or point to `count` values that outlive the result.
pub(crate) unsafe fn array<'a, T>(
    elements: *const T,
    count: u64,
    argument: &str,
) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if elements.is_null() {
        return Err(Failure::null(argument));
    }
    if count > isize::MAX as u64 / size_of::<T>() as u64 {
        let why = format!("the argument '{argument}' cannot have {count} elements");
        return Err(Failure::new(CHI_INVALID, why));
    }
    // SAFETY: guaranteed by the caller; the size has been checked against the largest possible
    // allocation.
    Ok(unsafe { std::slice::from_raw_parts(elements, count as usize) })
}

/// The tasks of an array up to the first null pointer, and the failure for that pointer.
pub(crate) fn tasks(array: &[*mut chi_task]) -> (&[NonNull<chi_task>], Result<()>) {
    let count = array.iter().position(|task| task.is_null()).unwrap_or(array.len());
    // SAFETY: `NonNull` has the layout of a pointer, and these are not null.
    let tasks = unsafe { std::slice::from_raw_parts(array.as_ptr().cast(), count) };
    let rest = match count == array.len() {
        true => Ok(()),
        false => Err(Failure::null(&format!("tasks[{count}]"))),
    };
    (tasks, rest)
}
