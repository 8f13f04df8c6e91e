//! The Rust types of fields, and how values are written to and read from fields.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::super::view;
use super::{doc, ident, number};
use crate::model::{is_plain, Body, Direction, Field, Member, Struct, Type};

/// The longest array for which Rust implements `Default`.
const DEFAULT_ARRAY: u32 = 32;

/// Spells the types of a module in Rust. `Type::Struct` is an index into `structs`.
pub(super) struct Rust<'m> {
    pub(super) structs: &'m [Struct],
}

impl Rust<'_> {
    fn is_plain(&self, ty: &Type) -> bool {
        is_plain(ty, self.structs)
    }

    /// The type in shared memory, in a vector or in a plain struct.
    fn name(&self, ty: &Type) -> TokenStream {
        match ty {
            Type::Scalar(scalar) => {
                let name = ident(&scalar.name());
                quote! { #name }
            }
            Type::Bool => quote! { u8 },
            Type::Array(of, n) => {
                let (of, n) = (self.name(of), number(*n));
                quote! { [#of; #n] }
            }
            Type::String => quote! { ShmString },
            Type::Bytes => quote! { ShmBytes },
            Type::Vector(of) => {
                let of = self.name(of);
                quote! { ShmVec<#of> }
            }
            Type::Struct(index) => {
                let name = ident(&self.structs[*index].name);
                quote! { #name }
            }
        }
    }

    /// The type of a private copy.
    pub(super) fn value(&self, ty: &Type) -> TokenStream {
        match ty {
            Type::Bool => quote! { bool },
            Type::String => quote! { String },
            Type::Bytes => quote! { Vec<u8> },
            Type::Vector(of) => {
                let of = self.value(of);
                quote! { Vec<#of> }
            }
            Type::Struct(index) if !self.structs[*index].plain => {
                let name = value_name(&self.structs[*index]);
                quote! { #name }
            }
            _ => self.name(ty),
        }
    }

    /// The type of an argument.
    pub(super) fn parameter(&self, ty: &Type) -> TokenStream {
        match ty {
            Type::String => quote! { &str },
            Type::Bytes => quote! { &[u8] },
            Type::Vector(of) => match &**of {
                Type::String => quote! { &[&str] },
                Type::Bytes => quote! { &[&[u8]] },
                of => {
                    let of = self.value(of);
                    quote! { &[#of] }
                }
            },
            Type::Struct(index) if !self.structs[*index].plain => {
                let name = value_name(&self.structs[*index]);
                quote! { &#name }
            }
            _ => self.value(ty),
        }
    }

    /// The members of a task or of a struct. With `cells`, they can be written through a shared
    /// reference.
    pub(super) fn members(&self, body: &Body, is_task: bool, cells: bool) -> Vec<TokenStream> {
        let celled = |ty: TokenStream| {
            if cells {
                quote! { Cell<#ty> }
            } else {
                ty
            }
        };
        let member = |member: Member<'_>| match member {
            Member::Gap { index, bytes } => {
                let (name, bytes) = (format_ident!("reserved{index}"), number(bytes));
                let ty = celled(quote! { [u8; #bytes] });
                quote! {
                    /// Padding; zero.
                    #[chi(skip)]
                    pub #name: #ty
                }
            }
            Member::Field(field) => {
                let flag = if field.ty == Type::Bool { " 0 or 1." } else { "" };
                let text = format!("{}{flag}", view::explain(field));
                let (about, way) = match is_task {
                    true => {
                        let direction = view::direction(field.direction);
                        (doc(&format!("{direction}: {text}")), way(field.direction))
                    }
                    false => (doc(&text), TokenStream::new()),
                };
                let name = ident(&field.name);
                let ty = match self.is_plain(&field.ty) {
                    true => celled(self.name(&field.ty)),
                    false => self.name(&field.ty),
                };
                quote! { #about #way pub #name: #ty }
            }
        };
        body.members().into_iter().map(member).collect()
    }

    /// The members of a struct of private copies.
    pub(super) fn copies<'f>(&self, fields: impl Iterator<Item = &'f Field>) -> Vec<TokenStream> {
        let member = |field: &Field| {
            let (about, name) = (doc(&view::explain(field)), ident(&field.name));
            let ty = self.value(&field.ty);
            quote! { #about pub #name: #ty }
        };
        fields.map(member).collect()
    }

    /// Whether a private copy of this type has a default.
    pub(super) fn has_default(&self, ty: &Type) -> bool {
        match ty {
            Type::Array(of, n) => *n <= DEFAULT_ARRAY && self.has_default(of),
            Type::Struct(index) => {
                self.structs[*index].body.fields.iter().all(|field| self.has_default(&field.ty))
            }
            _ => true,
        }
    }

    /// Statements that write an argument to a field of a task.
    pub(super) fn write(&self, Field { name, ty, .. }: &Field) -> TokenStream {
        let name = ident(name);
        let each = |write: TokenStream| {
            quote! {
                let shared = &task.#name;
                shared.resize(#name.len())?;
                for (index, item) in #name.iter().enumerate() {
                    shared.update(index, |to| #write)?;
                }
            }
        };
        match ty {
            Type::String | Type::Bytes => quote! { task.#name.set(#name)?; },
            Type::Vector(of) => match &**of {
                of if self.is_plain(of) => quote! { task.#name.set(#name)?; },
                Type::String | Type::Bytes => quote! { task.#name.set_all(#name)?; },
                Type::Struct(_) => each(quote! { item.write(to) }),
                _ => each(quote! { to.set_vec(|to| to, item) }),
            },
            Type::Struct(index) if !self.structs[*index].plain => quote! {
                let shared = &task.#name;
                #name.write_in_task(shared)?;
            },
            ty => set(ty, quote! { task.#name }, quote! { #name }),
        }
    }

    /// Statements that make a private copy of a field of `from`, under the field's name.
    pub(super) fn read(&self, Field { name, ty, .. }: &Field, from: &TokenStream) -> TokenStream {
        let name = ident(name);
        let from = quote! { #from.#name };
        let each = |copy: TokenStream| {
            quote! {
                let mut #name = Vec::new();
                for item in #from.iter() {
                    #name.push(#copy);
                }
            }
        };
        let copy = match ty {
            Type::String => quote! { #from.to_string()? },
            Type::Bytes => quote! { #from.copy_to_vec()? },
            Type::Vector(of) => match &**of {
                of if self.is_plain(of) => quote! { #from.copy_to_vec()? },
                Type::String => return each(quote! { item.to_string()? }),
                Type::Struct(_) => {
                    let value = self.value(of);
                    return each(quote! { #value::read(&item)? });
                }
                _ => return each(quote! { item.copy_to_vec()? }),
            },
            Type::Struct(index) if !self.structs[*index].plain => {
                let value = self.value(ty);
                quote! { #value::read(&#from)? }
            }
            Type::Bool => quote! { #from.get() != 0 },
            _ => quote! { #from.get() },
        };
        quote! { let #name = #copy; }
    }
}

/// A statement that sets a plain member.
pub(super) fn set(ty: &Type, to: TokenStream, from: TokenStream) -> TokenStream {
    match ty {
        Type::Bool => quote! { #to.set(#from.into()); },
        _ => quote! { #to.set(#from); },
    }
}

/// The attribute for the direction of a task's field.
fn way(direction: Direction) -> TokenStream {
    match direction {
        Direction::In => quote! { #[chi(in)] },
        Direction::Out => quote! { #[chi(out)] },
        Direction::InOut => quote! { #[chi(inout)] },
        Direction::Skip => quote! { #[chi(skip)] },
    }
}

/// The name of the private copy of a struct.
pub(super) fn value_name(found: &Struct) -> Ident {
    format_ident!("{}Value", found.name)
}
