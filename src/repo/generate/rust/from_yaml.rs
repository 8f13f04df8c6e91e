//! The tasks that the YAML of a module describes, and a client for them, in Rust.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::super::view::{self, described, Generated};
use super::{doc, file, ident, layouts, number, params};
use crate::model::{is_plain, Body, Direction, Field, Member, Method, Module, Struct, Type};
use crate::names::{shouted, snake};

/// The longest array with a default.
const DEFAULT_ARRAY: u32 = 32;
/// A function with more arguments, `self` left out, is one that clippy warns of.
const MANY_ARGUMENTS: usize = 6;

/// `autogen/<mod>_described.rs`.
pub(in crate::generate) fn file_for(module: &Module) -> Generated {
    let rust = Rust { structs: &module.structs };
    let numbers = described(module).map(|(value, method, _, _)| {
        let (name, value) = (ident(&shouted(&method.name)), number(value));
        quote! { const #name: u32 = #value; }
    });
    let params = module.params.as_ref().map(params::structure);
    let structs = module.structs.iter().map(|found| rust.structure(found));
    let tasks = described(module).map(|(_, method, about, body)| rust.task(method, about, body));
    let results = described(module).map(|(_, method, _, body)| rust.result(method, body));
    let calls = described(module).map(|(_, method, about, body)| rust.calls(method, about, body));
    let client = client(module, calls);
    let layouts =
        layouts(module.structs.iter().map(|found| (found.name.clone(), &found.body)).chain(
            described(module).map(|(_, method, _, body)| (format!("{}Task", method.stem()), body)),
        ));
    let items = quote! {
        #![allow(dead_code, unused_imports, reason = "a program may use some of it only")]
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

/// The client, with the calls of methods.
fn client(module: &Module, calls: impl Iterator<Item = TokenStream>) -> TokenStream {
    let full_name = module.full_name();
    let about = doc(&format!(
        "A pool of `{full_name}`, and which of its containers calls are for. It may be copied, and be \
         used in an application and in another module's methods alike."
    ));
    let (ty, to_bytes) = match module.params {
        Some(_) => (
            quote! { &Params },
            quote! { let params = &chimaera::archive::params_to_bytes(params)?; },
        ),
        None => (quote! { &[u8] }, TokenStream::new()),
    };
    quote! {
        #about
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Client {
            pool_id: PoolId,
            query: DomainQuery,
        }
        impl Client {
            /// Creates the pool, or finds it when it exists. Errors: those of `Ipc::create_pool`.
            pub fn create(name: &str, params: #ty) -> Result<Self> {
                Client::create_with(name, params, PoolOptions::default())
            }
            /// Creates the pool as `options` say. Errors: those of `Ipc::create_pool_with`.
            pub fn create_with(name: &str, params: #ty, options: PoolOptions) -> Result<Self> {
                #to_bytes
                let ipc = chimaera::ipc()?;
                let id = ipc.create_pool_with(#full_name, name, params, options)?;
                Ok(Client::from_pool(id))
            }
            /// The client of a pool whose id is known.
            pub fn from_pool(pool_id: PoolId) -> Self {
                let query = DomainQuery::dynamic();
                Client { pool_id, query }
            }
            /// A client of the same pool whose calls carry this query, in place of
            /// `DomainQuery::dynamic()`.
            #[must_use]
            pub fn with_query(self, query: DomainQuery) -> Self {
                Client { query, ..self }
            }
            /// The pool.
            pub fn pool_id(&self) -> PoolId {
                self.pool_id
            }
            #(#calls)*
            fn task<T: Task>(&self, method: u32) -> Result<NewTask<T>> {
                chimaera::ipc()?.new_task(self.pool_id, self.query, method)
            }
        }
    }
}

struct Rust<'m> {
    structs: &'m [Struct],
}

impl Rust<'_> {
    fn is_plain(&self, ty: &Type) -> bool {
        is_plain(ty, self.structs)
    }

    /// A type in shared memory, in a vector or a plain struct.
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
    fn value(&self, ty: &Type) -> TokenStream {
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

    fn parameter(&self, ty: &Type) -> TokenStream {
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

    /// The members of a task, or of a struct. `cells` says that it is written through a shared reference.
    fn members(&self, body: &Body, is_task: bool, cells: bool) -> Vec<TokenStream> {
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
                    /// Zero.
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
    fn copies<'f>(&self, fields: impl Iterator<Item = &'f Field>) -> Vec<TokenStream> {
        let member = |field: &Field| {
            let (about, name) = (doc(&view::explain(field)), ident(&field.name));
            let ty = self.value(&field.ty);
            quote! { #about pub #name: #ty }
        };
        fields.map(member).collect()
    }

    fn has_default(&self, ty: &Type) -> bool {
        match ty {
            Type::Array(of, n) => *n <= DEFAULT_ARRAY && self.has_default(of),
            Type::Struct(index) => {
                self.structs[*index].body.fields.iter().all(|field| self.has_default(&field.ty))
            }
            _ => true,
        }
    }

    fn structure(&self, found: &Struct) -> TokenStream {
        let Struct { name, doc: about, body, plain } = found;
        let about = doc(&about.clone().unwrap_or_else(|| format!("A struct `{name}`.")));
        let has_default = body.fields.iter().all(|field| self.has_default(&field.ty));
        let default = has_default.then(|| quote! { Default, });
        let members = self.members(body, false, !plain);
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
        let copies = self.copies(body.fields.iter());
        let reads = body.fields.iter().map(|field| self.read(field, &quote! { from }));
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
                /// Copies shared memory.
                pub fn read(from: &#name) -> Result<Self> {
                    #(#reads)*
                    Ok(Self { #(#names),* })
                }
                /// Copies into an element of a vector.
                pub fn write(&self, to: &ElementMut<'_, #name>) -> Result<()> {
                    #(#writes)*
                    Ok(())
                }
                /// Copies into a struct that lies in a task itself.
                pub fn write_in_task(&self, to: &#name) -> Result<()> {
                    #(#writes_in_task)*
                    Ok(())
                }
            }
        }
    }

    fn task(&self, method: &Method, about: &str, body: &Body) -> TokenStream {
        let (about, name) = (doc(about), task_name(method));
        let members = self.members(body, true, true);
        quote! {
            #about
            #[chimaera::task]
            pub struct #name { #(#members),* }
        }
    }

    /// Statements that put an argument into a field of a task.
    fn write(&self, Field { name, ty, .. }: &Field) -> TokenStream {
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
    fn read(&self, Field { name, ty, .. }: &Field, from: &TokenStream) -> TokenStream {
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

    /// The struct of a method's results, when there are several.
    fn result(&self, method: &Method, body: &Body) -> Option<TokenStream> {
        if body.outputs().count() < 2 {
            return None;
        }
        let (about, name) = (doc(&format!("What `{}` returns.", method.name)), result_name(method));
        let copies = self.copies(body.outputs());
        Some(quote! {
            #about
            #[derive(Clone, Debug, PartialEq)]
            pub struct #name { #(#copies),* }
        })
    }

    fn calls(&self, method: &Method, about: &str, body: &Body) -> TokenStream {
        let (about, name) = (doc(about), snake(&method.name));
        let (call, call_async) = (ident(&name), format_ident!("{name}_async"));
        let inputs: Vec<TokenStream> = body
            .inputs()
            .map(|field| {
                let (name, ty) = (ident(&field.name), self.parameter(&field.ty));
                quote! { #name: #ty }
            })
            .collect();
        let passed = body.inputs().map(|field| ident(&field.name));
        let many = (inputs.len() > MANY_ARGUMENTS)
            .then(|| quote! { #[allow(clippy::too_many_arguments)] });
        let outputs: Vec<&Field> = body.outputs().collect();
        let names: Vec<Ident> = outputs.iter().map(|field| ident(&field.name)).collect();
        let reads = outputs.iter().map(|field| self.read(field, &quote! { done }));
        let done = if outputs.is_empty() { None } else { Some(quote! { let done = }) };
        let (returned, result) = match &outputs[..] {
            [] => (quote! { () }, quote! { () }),
            [one] => (self.value(&one.ty), quote! { #(#names)* }),
            _ => {
                let result = result_name(method);
                (quote! { #result }, quote! { #result { #(#names),* } })
            }
        };
        let submits =
            doc(&format!("Submits `{}`; its results are the fields of the task.", method.name));
        let (task, constant) = (task_name(method), ident(&shouted(&method.name)));
        let writes = body.inputs().map(|field| self.write(field));
        quote! {
            #about
            #many
            pub fn #call(&self, #(#inputs),*) -> Result<#returned> {
                let pending = self.#call_async(#(#passed),*)?;
                #done pending.wait()?;
                #(#reads)*
                Ok(#result)
            }
            #submits
            #many
            pub fn #call_async(&self, #(#inputs),*) -> Result<Pending<#task>> {
                let task: NewTask<#task> = self.task(#constant)?;
                #(#writes)*
                task.submit()
            }
        }
    }
}

/// A statement that sets a plain member.
fn set(ty: &Type, to: TokenStream, from: TokenStream) -> TokenStream {
    match ty {
        Type::Bool => quote! { #to.set(#from.into()); },
        _ => quote! { #to.set(#from); },
    }
}

/// The attribute that says which way the field of a task goes.
fn way(direction: Direction) -> TokenStream {
    match direction {
        Direction::In => quote! { #[chi(in)] },
        Direction::Out => quote! { #[chi(out)] },
        Direction::InOut => quote! { #[chi(inout)] },
    }
}

fn task_name(method: &Method) -> Ident {
    format_ident!("{}Task", method.stem())
}

fn result_name(method: &Method) -> Ident {
    format_ident!("{}Result", method.stem())
}

fn value_name(found: &Struct) -> Ident {
    format_ident!("{}Value", found.name)
}
