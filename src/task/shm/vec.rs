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
/// Like [`ShmBytes`], it owns nothing and is only ever copied from and to. Of plain data, elements are
/// values; with strings or vectors inside, an element is read as a private copy of its struct
/// ([`Element`]), and written through the vector ([`update`](Self::update), or
/// [`set_all`](ShmVec::<ShmString>::set_all) for strings).
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
        assert!(size_of::<T>() > 0, "an element has at least one byte");
        assert!(align_of::<T>() <= 64, "elements are aligned to 64 bytes at most");
        size_of::<T>()
    };

    /// What its blocks hold.
    const KIND: Kind = if T::FIELDS.is_empty() { Kind::Leaf } else { Kind::Elements };

    /// How many elements.
    pub fn len(&self) -> usize {
        self.0.len() / Self::SIZE
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes the number of elements. The first ones stay, new ones are zero: plain zeroes, empty
    /// strings and vectors. Errors as [`ShmBytes`].
    pub fn resize(&self, len: usize) -> Result<()> {
        self.resize_for(self.0.owner()?, len)
    }

    /// Like [`resize`](Self::resize), for a vector of the task `owner` that may lie in a vector.
    pub(crate) fn resize_for(&self, owner: *mut chi_task, len: usize) -> Result<()> {
        self.0.resize(owner, Self::bytes(len)?, Self::KIND)
    }

    /// A private copy of element `index`'s struct, if there is one.
    pub fn element(&self, index: usize) -> Option<Element<'_, T>> {
        let mut copy = MaybeUninit::<T>::uninit();
        // SAFETY: a `T` in place is `SIZE` bytes of memory, which `read` only writes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(copy.as_mut_ptr().cast(), Self::SIZE) };
        if index >= self.len() || self.0.read(index * Self::SIZE, bytes) < Self::SIZE {
            return None;
        }
        // The number comes from the other side, and would be taken for the way to the task.
        for field in T::FIELDS {
            // SAFETY: `FIELDS` lists descriptors inside a `T`, by the trait's contract.
            unsafe { set_offset(copy.as_mut_ptr().cast(), field, 0) };
        }
        // SAFETY: all bytes are filled, and any bytes are valid for the plain fields of a `T`; the
        // pointers and lengths of its strings and vectors were checked with the vector's own.
        let copy = ManuallyDrop::new(unsafe { copy.assume_init() });
        Some(Element { copy, vector: PhantomData })
    }

    /// The elements as private copies of their structs, in order.
    pub fn iter(&self) -> impl Iterator<Item = Element<'_, T>> {
        (0..self.len()).map_while(|index| self.element(index))
    }

    /// Changes element `index`: `f` gets a private copy of it, which then goes back. Strings and
    /// vectors in it are written with the methods of [`ElementMut`].
    ///
    /// Errors: `CHI_INVALID` when there is no such element or when the vector itself lies in a vector;
    /// whatever `f` returned, and then the element stays as it was.
    pub fn update(
        &self,
        index: usize,
        f: impl FnOnce(&ElementMut<'_, T>) -> Result<()>,
    ) -> Result<()> {
        self.update_for(self.0.owner()?, index, f)
    }

    /// Like [`update`](Self::update), for a vector of the task `owner` that may lie in a vector.
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
            .ok_or_else(|| Status::invalid(format!("{len} elements are more than memory holds")))
    }
}

impl<T: Pod> ShmVec<T> {
    /// Element `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<T> {
        self.element(index).map(|element| *element)
    }

    /// A private copy. Errors: `CHI_NO_SPACE` when this process has no memory for it.
    pub fn copy_to_vec(&self) -> Result<Vec<T>> {
        let len = self.len();
        let mut all = Vec::new();
        all.try_reserve_exact(len).map_err(|_| no_memory(len))?;
        let spare = &mut all.spare_capacity_mut()[..len];
        // SAFETY: `len` elements in place are so many bytes of memory, which `read` only writes.
        let bytes =
            unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast(), len * Self::SIZE) };
        let n = self.0.read(0, bytes) / Self::SIZE;
        // SAFETY: the first `n` elements are filled, and any bytes are a valid `T`.
        unsafe { all.set_len(n) };
        Ok(all)
    }

    /// Makes these be the elements. Errors as [`ShmBytes`].
    pub fn set(&self, elements: &[T]) -> Result<()> {
        self.set_for(self.0.owner()?, elements)
    }

    /// Like [`set`](Self::set), for a vector of the task `owner` that may lie in a vector.
    pub(crate) fn set_for(&self, owner: *mut chi_task, elements: &[T]) -> Result<()> {
        self.0.set(owner, plain(elements))
    }

    /// Writes elements from `index` on. Errors: `CHI_INVALID` when they do not fit into the length.
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
    /// Makes these be the strings, in one block for the structs and one for all the bytes. Errors as
    /// [`ShmBytes`].
    pub fn set_all<S: AsRef<[u8]>>(&self, strings: &[S]) -> Result<()> {
        set_all(&self.0, strings)
    }

    /// Private copies of the strings. Their sum is bounded by `limit` bytes, for many strings of a
    /// malformed task can share the same bytes. Errors: `CHI_TOO_LARGE` beyond the limit,
    /// `CHI_NO_SPACE` when this process has no memory for them.
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

    /// Like [`copy_to_vecs`](Self::copy_to_vecs), as text. Errors: also `CHI_INVALID` when one is not
    /// UTF-8.
    pub fn to_strings(&self, limit: usize) -> Result<Vec<String>> {
        self.copy_to_vecs(limit)?.into_iter().map(|text| Ok(String::from_utf8(text)?)).collect()
    }
}

impl ShmVec<ShmBytes> {
    /// Makes these be the byte vectors, as [`ShmVec::<ShmString>::set_all`].
    pub fn set_all<S: AsRef<[u8]>>(&self, vectors: &[S]) -> Result<()> {
        set_all(&self.0, vectors)
    }
}

/// Writes a vector of strings, or of byte vectors: the struct is the same.
fn set_all<S: AsRef<[u8]>>(outer: &Descriptor, parts: &[S]) -> Result<()> {
    let owner = outer.owner()?;
    // Asked once each, so that the lengths that are summed are the lengths that are written.
    let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
    let total = parts.iter().map(|part| part.len()).sum();
    let block = ipc()?.alloc_for(owner, total)?;
    outer.reserve(owner, parts.len() * size_of::<chi_shm_vector>(), Kind::Elements)?;
    let mut at = 0;
    for (index, bytes) in parts.iter().enumerate() {
        // SAFETY: `at` is the sum of the lengths so far, so `at + bytes.len() <= total`, the bytes
        // that the new block holds; nothing refers to it yet.
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

/// A private copy of an element's struct. What its strings and vectors point to is shared, and lives
/// as long as the vector's task.
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

/// A private copy of an element's struct that goes back into the vector: see [`ShmVec::update`]. Plain
/// fields are cells; strings and vectors have the methods here. `field` names one of the element.
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
    /// Makes this be the text of a string in the element. Errors as [`ShmBytes`].
    pub fn set_string(
        &self,
        field: impl FnOnce(&T) -> &ShmString,
        text: impl AsRef<[u8]>,
    ) -> Result<()> {
        self.mine(&field(self).0)?.set(self.owner, text.as_ref())
    }

    /// Makes these be the bytes of a vector of bytes in the element. Errors as [`ShmBytes`].
    pub fn set_bytes(
        &self,
        field: impl FnOnce(&T) -> &ShmBytes,
        bytes: impl AsRef<[u8]>,
    ) -> Result<()> {
        self.mine(&field(self).0)?.set(self.owner, bytes.as_ref())
    }

    /// Makes these be the elements of a vector in the element. Errors as [`ShmBytes`].
    pub fn set_vec<U: Pod>(
        &self,
        field: impl FnOnce(&T) -> &ShmVec<U>,
        elements: &[U],
    ) -> Result<()> {
        self.mine(&field(self).0)?.set(self.owner, plain(elements))
    }

    /// Refuses a descriptor that lies elsewhere: its block would belong to the wrong task.
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
