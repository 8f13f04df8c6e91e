//! Vectors in a task.

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Deref;

use chimaera_abi::{chi_field_layout, chi_shm_vector, chi_task, CHI_FIELD_VECTOR};

use super::descriptor::{fill_part, set_offset, Descriptor, Kind};
use super::string::{no_memory, too_much};
use crate::shm::{ipc, Pod, ShmBytes, ShmElement, ShmString};
use crate::status::{Result, Status};

/// A vector in a task: the C struct `chi_shm_vector`, a C++ `hipc::vector<T>`.
///
/// Like [`ShmBytes`], it does not own its block, and its contents are only ever copied. Elements of
/// plain data are read and written as values. An element that contains strings or vectors is read
/// as a private copy of its struct ([`Element`]), and written through the vector
/// ([`update`](Self::update), or [`set_all`](ShmVec::<ShmString>::set_all) for strings).
#[repr(transparent)]
pub struct ShmVec<T: ShmElement>(pub(crate) Descriptor, PhantomData<T>);

// SAFETY: the C struct, all zeroes of which are an empty vector; it has no constructor, `Clone` or
// destructor.
unsafe impl<T: ShmElement> ShmElement for ShmVec<T> {
    const FIELDS: &'static [chi_field_layout] = &[chi_field_layout {
        offset_: 0,
        kind_: CHI_FIELD_VECTOR,
        elem_size_: size_of::<T>() as u32,
        elem_align_: align_of::<T>() as u32,
        elem_fields_: if T::FIELDS.is_empty() { core::ptr::null() } else { T::FIELDS.as_ptr() },
        n_elem_fields_: T::FIELDS.len() as u32,
        reserved_: 0,
    }];
    const DEPTH: u32 = T::DEPTH + 1;
}

impl<T: ShmElement> ShmVec<T> {
    /// An element's size in bytes.
    const SIZE: usize = {
        assert!(size_of::<T>() > 0, "an element must have at least one byte");
        assert!(align_of::<T>() <= 64, "elements may be aligned to at most 64 bytes");
        size_of::<T>()
    };

    /// The contents of its blocks.
    const KIND: Kind = if T::FIELDS.is_empty() { Kind::Leaf } else { Kind::Elements };

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.0.len() / Self::SIZE
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes the number of elements. Existing elements are kept, new ones are zero: zero values,
    /// and empty strings and vectors. Errors as [`ShmBytes`].
    pub fn resize(&self, len: usize) -> Result<()> {
        self.resize_for(self.0.owner()?, len)
    }

    /// Like [`resize`](Self::resize), for a vector of the task `owner` that may be inside another
    /// vector.
    pub(crate) fn resize_for(&self, owner: *mut chi_task, len: usize) -> Result<()> {
        self.0.resize(owner, Self::bytes(len)?, Self::KIND)
    }

    /// A private copy of the struct of element `index`; `None` when there is no such element.
    pub fn element(&self, index: usize) -> Option<Element<'_, T>> {
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: the uninitialised `T` is `SIZE` bytes of memory, which `read` only writes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(copy.as_mut_ptr().cast(), Self::SIZE) };
        if index >= self.len() || self.0.read(index * Self::SIZE, bytes) < Self::SIZE {
            return None;
        }
        // The offset was written by the other side, and would be used to compute the task's
        // address.
        for field in T::FIELDS {
            // SAFETY: `FIELDS` lists descriptors inside a `T`, by the trait's contract.
            unsafe { set_offset(copy.as_mut_ptr().cast(), field, 0) };
        }
        // SAFETY: all bytes are initialised, and any bytes are valid for the plain fields of a `T`;
        // the pointers and lengths of its strings and vectors were checked together with the
        // vector.
        let copy = ManuallyDrop::new(unsafe { copy.assume_init() });
        Some(Element { copy, vector: PhantomData })
    }

    /// The elements as private copies of their structs, in order.
    pub fn iter(&self) -> impl Iterator<Item = Element<'_, T>> {
        (0..self.len()).map_while(|index| self.element(index))
    }

    /// Changes element `index`: `f` gets a private copy of it, which is written back afterwards.
    /// Its strings and vectors are written with the methods of [`ElementMut`].
    ///
    /// Errors: `CHI_INVALID` when there is no such element, or when this vector is itself inside a
    /// vector; and the error of `f`, which leaves the element unchanged.
    pub fn update(
        &self,
        index: usize,
        f: impl FnOnce(&ElementMut<'_, T>) -> Result<()>,
    ) -> Result<()> {
        self.update_for(self.0.owner()?, index, f)
    }

    /// Like [`update`](Self::update), for a vector of the task `owner` that may be inside another
    /// vector.
    pub(crate) fn update_for(
        &self,
        owner: *mut chi_task,
        index: usize,
        f: impl FnOnce(&ElementMut<'_, T>) -> Result<()>,
    ) -> Result<()> {
        let element = self.element(index).ok_or_else(|| {
            Status::invalid(format!("no element {index} in a vector of {}", self.len()))
        })?;
        let element = ElementMut { element, owner };
        f(&element)?;
        let copy: *const T = &*element;
        // SAFETY: `copy` is private memory of `SIZE` bytes.
        unsafe { self.0.write_raw(index * Self::SIZE, copy.cast(), Self::SIZE) }
    }

    fn bytes(len: usize) -> Result<usize> {
        len.checked_mul(Self::SIZE)
            .ok_or_else(|| Status::invalid(format!("{len} elements exceed the address space")))
    }
}

impl<T: Pod> ShmVec<T> {
    /// Element `index`; `None` when there is no such element.
    pub fn get(&self, index: usize) -> Option<T> {
        self.element(index).map(|element| *element)
    }

    /// A private copy. Errors: `CHI_NO_SPACE` when this process is out of memory.
    pub fn copy_to_vec(&self) -> Result<Vec<T>> {
        let len = self.len();
        let mut all = Vec::new();
        all.try_reserve_exact(len).map_err(|_| no_memory(len))?;
        let spare = &mut all.spare_capacity_mut()[..len];
        // SAFETY: `len` uninitialised elements are that many bytes of memory, which `read` only
        // writes.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast(), len * Self::SIZE) };
        let n = self.0.read(0, bytes) / Self::SIZE;
        // SAFETY: the first `n` elements are initialised, and any bytes are a valid `T`.
        unsafe { all.set_len(n) };
        Ok(all)
    }

    /// Replaces the contents with a copy of `elements`. Errors as [`ShmBytes`].
    pub fn set(&self, elements: &[T]) -> Result<()> {
        self.set_for(self.0.owner()?, elements)
    }

    /// Like [`set`](Self::set), for a vector of the task `owner` that may be inside another vector.
    pub(crate) fn set_for(&self, owner: *mut chi_task, elements: &[T]) -> Result<()> {
        self.0.set(owner, plain(elements))
    }

    /// Overwrites elements, starting at `index`. Errors: `CHI_INVALID` when they exceed the length.
    pub fn write_at(&self, index: usize, elements: &[T]) -> Result<()> {
        self.0.write(Self::bytes(index)?, plain(elements))
    }
}

/// Plain data as bytes.
fn plain<T: Pod>(elements: &[T]) -> &[u8] {
    // SAFETY: `Pod` has no padding, so all bytes of the elements are initialised.
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), size_of_val(elements)) }
}

impl ShmVec<ShmString> {
    /// Replaces the contents with copies of `strings`. Allocates one block for the structs and one
    /// for all bytes. Errors as [`ShmBytes`].
    pub fn set_all<S: AsRef<[u8]>>(&self, strings: &[S]) -> Result<()> {
        set_all(&self.0, strings)
    }

    /// Private copies of the strings, of at most `limit` bytes in total: the limit is needed
    /// because many strings of a malformed task can share the same bytes. Errors: `CHI_TOO_LARGE`
    /// beyond the limit, `CHI_NO_SPACE` when this process is out of memory.
    pub fn copy_to_vecs(&self, limit: usize) -> Result<Vec<Vec<u8>>> {
        let mut room = limit;
        let mut all = Vec::new();
        all.try_reserve_exact(self.len()).map_err(|_| no_memory(self.len()))?;
        for string in self.iter() {
            room = room.checked_sub(string.len()).ok_or_else(|| too_much(limit))?;
            all.push(string.copy_to_vec()?);
        }
        Ok(all)
    }

    /// Like [`copy_to_vecs`](Self::copy_to_vecs), as text. Errors: also `CHI_INVALID` when one is
    /// not UTF-8.
    pub fn to_strings(&self, limit: usize) -> Result<Vec<String>> {
        self.copy_to_vecs(limit)?.into_iter().map(|text| Ok(String::from_utf8(text)?)).collect()
    }
}

impl ShmVec<ShmBytes> {
    /// Replaces the contents with copies of `vectors`, like [`ShmVec::<ShmString>::set_all`].
    pub fn set_all<S: AsRef<[u8]>>(&self, vectors: &[S]) -> Result<()> {
        set_all(&self.0, vectors)
    }
}

/// Writes a vector of strings or of byte vectors; both have the same struct.
fn set_all<S: AsRef<[u8]>>(outer: &Descriptor, parts: &[S]) -> Result<()> {
    let owner = outer.owner()?;
    // `as_ref` is called only once for each part, so that the lengths in the sum and in the copy
    // agree.
    let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
    let total = parts.iter().map(|part| part.len()).sum();
    let block = ipc()?.alloc_for(owner, total)?;
    outer.reserve(owner, parts.len() * size_of::<chi_shm_vector>(), Kind::Elements)?;
    let mut at = 0;
    for (index, bytes) in parts.iter().enumerate() {
        // SAFETY: `at` is the sum of the lengths so far, so `at + bytes.len() <= total`, the size
        // of the new block; nothing refers to it yet.
        let vector = unsafe { fill_part(&block, at, bytes) };
        at += bytes.len();
        // SAFETY: the struct is private memory of that size.
        unsafe {
            let from = std::ptr::from_ref(&vector).cast();
            outer.write_raw(index * size_of::<chi_shm_vector>(), from, size_of_val(&vector))?;
        }
    }
    Ok(())
}

/// A private copy of an element's struct. The blocks of its strings and vectors are still shared,
/// and live as long as the vector's task.
pub struct Element<'a, T: ShmElement> {
    copy: ManuallyDrop<T>,
    vector: PhantomData<&'a ShmVec<T>>,
}

impl<T: ShmElement> Deref for Element<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.copy
    }
}

/// A private copy of an element's struct that is written back to the vector: see
/// [`ShmVec::update`]. Plain fields are cells; strings and vectors are written with the methods
/// here, whose argument `field` selects a field of the element.
pub struct ElementMut<'a, T: ShmElement> {
    element: Element<'a, T>,
    owner: *mut chi_task,
}

impl<T: ShmElement> Deref for ElementMut<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.element
    }
}

impl<T: ShmElement> ElementMut<'_, T> {
    /// Sets a string of the element. Errors as [`ShmBytes`].
    pub fn set_string(
        &self,
        field: impl FnOnce(&T) -> &ShmString,
        text: impl AsRef<[u8]>,
    ) -> Result<()> {
        self.mine(&field(self).0)?.set(self.owner, text.as_ref())
    }

    /// Sets a byte vector of the element. Errors as [`ShmBytes`].
    pub fn set_bytes(
        &self,
        field: impl FnOnce(&T) -> &ShmBytes,
        bytes: impl AsRef<[u8]>,
    ) -> Result<()> {
        self.mine(&field(self).0)?.set(self.owner, bytes.as_ref())
    }

    /// Sets a vector of the element. Errors as [`ShmBytes`].
    pub fn set_vec<U: Pod>(
        &self,
        field: impl FnOnce(&T) -> &ShmVec<U>,
        elements: &[U],
    ) -> Result<()> {
        self.mine(&field(self).0)?.set(self.owner, plain(elements))
    }

    /// Rejects a descriptor that is not in this element: its block would belong to the wrong task.
    fn mine<'d>(&self, descriptor: &'d Descriptor) -> Result<&'d Descriptor> {
        let start = std::ptr::from_ref::<T>(self).addr();
        let at = std::ptr::from_ref(descriptor).addr();
        if (start..start + size_of::<T>()).contains(&at) {
            Ok(descriptor)
        } else {
            Err(Status::invalid("not a field of this element"))
        }
    }
}
