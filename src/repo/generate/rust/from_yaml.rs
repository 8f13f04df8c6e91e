//! Rust code for the tasks that a module's YAML describes, and a client for them.

use proc_macro2::{Literal, TokenStream};
use quote::quote;

use super::super::view::{described, description, Generated};
use super::types::{set, value_name, Rust};
use super::{client, doc, file, ident, layouts, number, params};
use crate::model::{Body, Method, Module, Struct, Type};
use crate::names::shouted;

/// `autogen/<mod>_described.rs`.
pub(in crate::generate) fn file_for(module: &Module) -> Generated {
    let rust = Rust { structs: &module.structs };
    let numbers = described(module).map(|(value, method, _, _)| {
        let (name, value) = (ident(&shouted(&method.name)), number(value));
        quote! { const #name: u32 = #value; }
    });
    let params = module.params.as_ref().map(params::structure);
    let structs = module.structs.iter().map(|found| structure(&rust, found));
    let tasks = described(module).map(|(_, method, about, body)| task(&rust, method, about, body));
    let results = described(module).map(|(_, method, _, body)| client::result(&rust, method, body));
    let calls =
        described(module).map(|(_, method, about, body)| client::calls(&rust, method, about, body));
    let client = client::client(module, calls);
    let layouts =
        layouts(module.structs.iter().map(|found| (found.name.clone(), &found.body)).chain(
            described(module).map(|(_, method, _, body)| (format!("{}Task", method.stem()), body)),
        ));
    let items = quote! {
        #![allow(dead_code, unused_imports, reason = "a program may use only part of it")]
        use std::cell::Cell;
        use chimaera::{
            DomainQuery, ElementMut, NewTask, Pending, Pod, PoolId, PoolOptions, Result, ShmBytes,
            ShmElement, ShmString, ShmVec, Task,
        };
        #(#numbers)*
        #params
        #(#structs)*
        #(#tasks)*
        #(#results)*
        #client
        #layouts
    };
    let about = format!("The described tasks of `{}`, and a client for them.", module.full_name());
    Generated { name: format!("{}_described.rs", module.name), text: file(&about, &[], items) }
}

/// A struct for fields of tasks, and its private copy.
fn structure(rust: &Rust<'_>, found: &Struct) -> TokenStream {
    let Struct { name, doc: about, body, plain } = found;
    let about = doc(&about.clone().unwrap_or_else(|| format!("The struct `{name}`.")));
    let has_default = body.fields.iter().all(|field| rust.has_default(&field.ty));
    let default = has_default.then(|| quote! { Default, });
    let members = rust.members(body, false, !plain);
    let name = ident(name);
    if *plain {
        return quote! {
            #about
            #[derive(Clone, Copy, Debug, #default PartialEq, Pod, chimaera::Serialize)]
            #[repr(C)]
            pub struct #name { #(#members),* }
        };
    }
    let value = value_name(found);
    let copy_of = doc(&format!("A private copy of [`{name}`]."));
    let copies = rust.copies(body.fields.iter());
    let reads = body.fields.iter().map(|field| rust.read(field, &quote! { from }));
    let names = body.fields.iter().map(|field| ident(&field.name));
    let writes = body.fields.iter().map(|field| {
        let name = ident(&field.name);
        let part = quote! { |to| &to.#name, &self.#name };
        match &field.ty {
            Type::String => quote! { to.set_string(#part)?; },
            Type::Bytes => quote! { to.set_bytes(#part)?; },
            Type::Vector(_) => quote! { to.set_vec(#part)?; },
            ty => set(ty, quote! { to.#name }, quote! { self.#name }),
        }
    });
    let writes_in_task = body.fields.iter().map(|field| {
        let name = ident(&field.name);
        match &field.ty {
            Type::String | Type::Bytes | Type::Vector(_) => {
                quote! { to.#name.set(&self.#name)?; }
            }
            ty => set(ty, quote! { to.#name }, quote! { self.#name }),
        }
    });
    quote! {
        #about
        #[derive(ShmElement, chimaera::SerializeInPlace)]
        #[repr(C)]
        pub struct #name { #(#members),* }
        #copy_of
        #[derive(Clone, Debug, #default PartialEq)]
        pub struct #value { #(#copies),* }
        impl #value {
            /// Copies from shared memory.
            pub fn read(from: &#name) -> Result<Self> {
                #(#reads)*
                Ok(Self { #(#names),* })
            }
            /// Copies into an element of a vector.
            pub fn write(&self, to: &ElementMut<'_, #name>) -> Result<()> {
                #(#writes)*
                Ok(())
            }
            /// Copies into a struct that is itself a field of a task.
            pub fn write_in_task(&self, to: &#name) -> Result<()> {
                #(#writes_in_task)*
                Ok(())
            }
        }
    }
}

fn task(rust: &Rust<'_>, method: &Method, about: &str, body: &Body) -> TokenStream {
    let (about, name) = (doc(about), client::task_name(method));
    let members = rust.members(body, true, true);
    let description: Literal =
        description(body, rust.structs).parse().expect("a number is a literal");
    quote! {
        #about
        #[chimaera::task(description = #description)]
        pub struct #name { #(#members),* }
    }
}
