//! Chimaera's attributes: `task`, `Pod`, `ShmElement`, `Serialize`, `SerializeInPlace`, `PoolParams`,
//! `FromText`, `container`. Use them as `chimaera::task` and so on; their output says `::chimaera`, or what
//! `crate = path` names.

mod container;
mod element;
mod params;
mod serialize;
mod task;

use proc_macro::TokenStream;

/// Makes a struct with named fields a task.
///
/// The struct becomes `#[repr(C)]`, gets a [`TaskBase`](struct.TaskBase.html) before its own fields,
/// and implements [`Task`](trait.Task.html). Its fields are [`ShmElement`](trait.ShmElement.html)s:
/// strings, vectors, and cells of plain data. Tasks are made by the IPC manager only.
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
///     /// Out: 1 when there was one before.
///     pub replaced: Cell<u32>,
///     reserved: u32,
/// }
/// assert_eq!(PutTask::FIELDS[1].offset_, 64 + 40);
/// ```
///
/// When its fields say which way they go, the runtime can send the task to another process: `in` is
/// what the caller gives, `out` what the method finds, `inout` both, and `skip` stays. Then every
/// field says so.
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
/// Anything without a C layout that all bytes are valid for is refused:
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
/// and so is making one by hand, or tearing one apart:
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

/// Makes a `#[repr(C)]` struct of plain data [`Pod`](trait.Pod.html).
#[proc_macro_derive(Pod, attributes(chimaera))]
pub fn pod(item: TokenStream) -> TokenStream {
    element::pod(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a `#[repr(C)]` struct with strings or vectors inside a
/// [`ShmElement`](trait.ShmElement.html), for vectors of it in tasks.
#[proc_macro_derive(ShmElement, attributes(chimaera))]
pub fn shm_element(item: TokenStream) -> TokenStream {
    element::shm_element(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Gives a struct, or an enum without data, a form in bytes: implements
/// [`Serialize`](archive/trait.Serialize.html). A field with `#[chi(skip)]` stays, and is its type's
/// default when it is read. An enum says which integer it is with `#[repr(u8)]` or the like; a number
/// that it does not have is refused.
#[proc_macro_derive(Serialize, attributes(chimaera, chi))]
pub fn serialize(item: TokenStream) -> TokenStream {
    serialize::values(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Gives a `#[repr(C)]` struct that lies in tasks a form in bytes: implements
/// [`SerializeInPlace`](archive/trait.SerializeInPlace.html). Goes with `ShmElement`. A field with
/// `#[chi(skip)]` stays.
#[proc_macro_derive(SerializeInPlace, attributes(chimaera, chi))]
pub fn serialize_in_place(item: TokenStream) -> TokenStream {
    serialize::in_place(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct the parameters of a module's pools, which a text can say, too: implements
/// [`PoolParams`](archive/trait.PoolParams.html). Goes with `Default` and `Serialize`.
#[proc_macro_derive(PoolParams, attributes(chimaera, chi))]
pub fn pool_params(item: TokenStream) -> TokenStream {
    params::params(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes an enum without data one that a text can say, by the names of its variants in small letters
/// (`very_small` for `VerySmall`): implements [`FromText`](archive/trait.FromText.html).
#[proc_macro_derive(FromText, attributes(chimaera, chi))]
pub fn from_text(item: TokenStream) -> TokenStream {
    params::from_text(item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes an `impl` block a module's container, and the crate a module: see the `module` crate.
#[proc_macro_attribute]
pub fn container(args: TokenStream, item: TokenStream) -> TokenStream {
    container::expand(args.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
