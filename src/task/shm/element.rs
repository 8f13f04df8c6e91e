//! The types that a task, or a vector in a task, may contain.

use std::cell::Cell;

use chimaera_abi::{chi_field_layout, chi_task_node};

use crate::ids::{DomainQuery, PoolId};

/// A type that may be a field of a task or an element of a [`ShmVec`](crate::ShmVec): plain data, a
/// [`Cell`] of it, a shared string or vector, or a `#[repr(C)]` struct of those.
///
/// Derive it for a struct with strings or vectors inside; plain data derives
/// [`Pod`](macro@crate::Pod).
///
/// ```
/// use chimaera::{ShmElement, ShmString};
/// use std::cell::Cell;
///
/// #[derive(ShmElement)]
/// #[repr(C)]
/// pub struct Entry {
///     pub name: ShmString,
///     pub size: Cell<u64>,
/// }
/// assert_eq!(Entry::FIELDS.len(), 1);
/// ```
///
/// # Safety
///
/// Every bit pattern is valid for the type's plain fields, and all zeroes are a valid value; the
/// layout is C's; it has no destructor; unless it is plain data, safe code can neither make nor
/// move a value of it; and `FIELDS` lists exactly the `chi_shm_string`s and `chi_shm_vector`s in
/// it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a task",
    label = "not a C type for which all bytes are valid",
    note = "fields of a task are integers and floats of a fixed size, arrays of them, `Cell`s of those, `ShmString`, `ShmBytes`, `ShmVec`, `PoolId`, `DomainQuery`",
    note = "for a flag use `Cell<u32>` with 0 and 1; for text `ShmString`; for your own struct `#[derive(Clone, Copy, Pod)]` or, with strings or vectors inside, `#[derive(ShmElement)]`"
)]
pub unsafe trait ShmElement: Sized + 'static {
    /// The layouts of its strings and vectors.
    const FIELDS: &'static [chi_field_layout];

    /// The nesting depth of its vectors; 0 for plain data.
    const DEPTH: u32;
}

/// Plain data: any bytes are a valid value, and there is no padding.
///
/// Implemented for the integers and floats of fixed size, arrays of `Pod`, [`PoolId`],
/// [`DomainQuery`], [`TaskNode`](crate::TaskNode); derived for structs of `Pod` fields.
///
/// ```
/// use chimaera::Pod;
///
/// #[derive(Clone, Copy, Pod)]
/// #[repr(C)]
/// pub struct Extent {
///     pub start: u64,
///     pub blocks: u32,
///     pub flags: u32,
/// }
/// ```
///
/// A struct with padding does not compile:
///
/// ```compile_fail
/// use chimaera::Pod;
///
/// #[derive(Clone, Copy, Pod)]
/// #[repr(C)]
/// pub struct Extent {
///     pub start: u64,
///     pub flags: u32,
/// }
/// ```
///
/// # Safety
///
/// Any bytes are a valid value, and the type has no padding.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data",
    note = "plain data are integers and floats of a fixed size, arrays of them, and structs with `#[derive(Clone, Copy, Pod)]`"
)]
pub unsafe trait Pod: ShmElement + Copy + Send + Sync {}

macro_rules! pod {
    ($($type:ty),*) => {$(
        // SAFETY: a C type without padding, for which any bytes are valid, and which contains no
        // strings or vectors.
        unsafe impl ShmElement for $type {
            const FIELDS: &'static [chi_field_layout] = &[];
            const DEPTH: u32 = 0;
        }
        // SAFETY: as above.
        unsafe impl Pod for $type {}
    )*};
}

pod!(u8, u16, u32, u64, i8, i16, i32, i64, f32, f64, PoolId, DomainQuery, chi_task_node);

// SAFETY: an array adds nothing between its elements.
unsafe impl<T: Pod, const N: usize> ShmElement for [T; N] {
    const FIELDS: &'static [chi_field_layout] = &[];
    const DEPTH: u32 = 0;
}
// SAFETY: as above.
unsafe impl<T: Pod, const N: usize> Pod for [T; N] {}

// SAFETY: `Cell<T>` has the layout of `T`, which is plain data.
unsafe impl<T: Pod> ShmElement for Cell<T> {
    const FIELDS: &'static [chi_field_layout] = &[];
    const DEPTH: u32 = 0;
}

/// A field's offset in its struct, and the layouts of its strings and vectors.
pub type Part = (usize, &'static [chi_field_layout]);

/// The layouts of a struct's strings and vectors, collected from its fields. `N` is their number.
pub const fn collect<const N: usize>(parts: &[Part]) -> [chi_field_layout; N] {
    let mut all = [chi_field_layout {
        offset_: 0,
        kind_: 0,
        elem_size_: 0,
        elem_align_: 0,
        elem_fields_: core::ptr::null(),
        n_elem_fields_: 0,
        reserved_: 0,
    }; N];
    let (mut n, mut part) = (0, 0);
    while part < parts.len() {
        let (offset, fields) = parts[part];
        let mut field = 0;
        while field < fields.len() {
            all[n] = fields[field];
            all[n].offset_ += offset as u32;
            n += 1;
            field += 1;
        }
        part += 1;
    }
    assert!(n == N);
    all
}

/// The maximum of the depths.
pub const fn deepest(depths: &[u32]) -> u32 {
    let (mut max, mut i) = (0, 0);
    while i < depths.len() {
        if depths[i] > max {
            max = depths[i];
        }
        i += 1;
    }
    max
}
