//! Chimaera's attributes and derives: `task`, `Pod`, `ShmElement`, `Serialize`, `SerializeInPlace`,
//! `PoolParams`, `FromText`, `State`, `container`. Use them as `chimaera::task` and so on. Their expansions
//! refer to `::chimaera`, or to the crate that `crate = path` names.

mod container;
mod element;
mod params;
mod serialize;
mod state;
mod task;

use proc_macro::TokenStream;

/// Makes a task of a struct with named fields.
///
/// The struct becomes `#[repr(C)]`, gets a [`TaskBase`](struct.TaskBase.html) before its own
/// fields, and implements [`Task`](trait.Task.html). Its fields must be
/// [`ShmElement`](trait.ShmElement.html)s: strings, vectors, and cells of plain data. Only the IPC
/// manager can make tasks.
///
/// ```
/// use std::cell::Cell;
/// use chimaera::{ShmBytes, ShmString, Task};
///
/// /// Puts a value under a key.
/// #[chimaera::task]
/// pub struct PutTask {
///     /// In.
///     pub key: ShmString,
///     /// In.
///     pub value: ShmBytes,
///     /// Out: 1 when the key had a value before, else 0.
///     pub replaced: Cell<u32>,
///     reserved: u32,
/// }
/// assert_eq!(PutTask::FIELDS[1].offset_, 64 + 40);
/// ```
///
/// When its fields have directions, the runtime can send the task to another process: `in` marks
/// inputs, `out` results, `inout` both, and `skip` fields that are not sent. Either all fields have
/// a direction or none has.
///
/// ```
/// # use std::cell::Cell;
/// # use chimaera::{ShmString, Task};
/// #[chimaera::task]
/// pub struct MeasureTask {
///     #[chi(in)]
///     pub name: ShmString,
///     #[chi(out)]
///     pub length: Cell<u32>,
///     #[chi(skip)]
///     reserved: u32,
/// }
/// assert!(MeasureTask::SERIALIZERS.is_some());
/// ```
///
/// A field whose type has no C layout, or for which some bytes are invalid, does not compile:
///
/// ```compile_fail
/// #[chimaera::task]
/// pub struct PutTask {
///     pub key: String,
/// }
/// ```
///
/// ```compile_fail
/// #[chimaera::task]
/// pub struct FlagTask {
///     pub flag: std::cell::Cell<bool>,
/// }
/// ```
///
/// Neither does moving a field out of a task:
///
/// ```compile_fail
/// # use chimaera::{NewTask, ShmString};
/// #[chimaera::task]
/// pub struct NameTask {
///     pub name: ShmString,
/// }
///
/// fn swap(a: &mut NewTask<NameTask>, b: &mut NewTask<NameTask>) {
///     std::mem::swap(&mut a.name, &mut b.name);
/// }
/// ```
#[proc_macro_attribute]
pub fn task(args: TokenStream, item: TokenStream) -> TokenStream {
    task::expand(args.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements [`Pod`](trait.Pod.html) for a `#[repr(C)]` struct of plain data.
#[proc_macro_derive(Pod, attributes(chimaera))]
pub fn pod(item: TokenStream) -> TokenStream {
    element::pod(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements [`ShmElement`](trait.ShmElement.html) for a `#[repr(C)]` struct that contains strings
/// or vectors, so that tasks can have vectors of it.
#[proc_macro_derive(ShmElement, attributes(chimaera))]
pub fn shm_element(item: TokenStream) -> TokenStream {
    element::shm_element(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements [`Serialize`](archive/trait.Serialize.html) for a struct, or for an enum without
/// data. A field with `#[chi(skip)]` is not written, and gets its type's default when the struct is
/// read. An enum needs a `#[repr(u8)]` or another integer type; reading a number that is not one of
/// its variants is an error.
#[proc_macro_derive(Serialize, attributes(chimaera, chi))]
pub fn serialize(item: TokenStream) -> TokenStream {
    serialize::values(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements [`SerializeInPlace`](archive/trait.SerializeInPlace.html) for a `#[repr(C)]` struct
/// that is used in tasks. The struct must also derive `ShmElement`. A field with `#[chi(skip)]` is
/// not sent.
#[proc_macro_derive(SerializeInPlace, attributes(chimaera, chi))]
pub fn serialize_in_place(item: TokenStream) -> TokenStream {
    serialize::in_place(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements [`PoolParams`](archive/trait.PoolParams.html) for a struct: makes it the parameters
/// of a module's pools, which can also be written as text. The struct must also derive `Default`
/// and `Serialize`.
#[proc_macro_derive(PoolParams, attributes(chimaera, chi))]
pub fn pool_params(item: TokenStream) -> TokenStream {
    params::params(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements [`FromText`](archive/trait.FromText.html) for an enum without data: its variants are
/// written in snake case, `very_small` for `VerySmall`.
#[proc_macro_derive(FromText, attributes(chimaera, chi))]
pub fn from_text(item: TokenStream) -> TokenStream {
    params::from_text(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Implements the trait `State` of the `module` crate for a container: the fields with a
/// `#[chi(field = 1)]`, each with another number, are saved and loaded, and the others are not
/// touched.
#[proc_macro_derive(State, attributes(chimaera, chi))]
pub fn state(item: TokenStream) -> TokenStream {
    state::derive(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a type with this `impl` block a module's container, and the crate a module: see the
/// `module` crate.
#[proc_macro_attribute]
pub fn container(args: TokenStream, item: TokenStream) -> TokenStream {
    container::expand(args.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
