//! A Rust client for the tasks that a module's YAML describes.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};

use super::types::Rust;
use super::{doc, ident};
use crate::model::{Body, Field, Method, Module};
use crate::names::{shouted, snake};

/// clippy warns about functions with more arguments than this, not counting `self`.
const MANY_ARGUMENTS: usize = 6;

/// The client, with the functions that call its methods.
pub(super) fn client(module: &Module, calls: impl Iterator<Item = TokenStream>) -> TokenStream {
    let full_name = module.full_name();
    let about = doc(&format!(
        "A pool of `{full_name}`, and the query that says which of its containers calls go to. It \
         can be copied, and used in applications as well as in the methods of other modules."
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
            /// Creates the pool, or finds it if it exists. Errors: those of `Ipc::create_pool`.
            pub fn create(name: &str, params: #ty) -> Result<Self> {
                Client::create_with(name, params, PoolOptions::default())
            }
            /// Creates the pool with these options. Errors: those of `Ipc::create_pool_with`.
            pub fn create_with(name: &str, params: #ty, options: PoolOptions) -> Result<Self> {
                #to_bytes
                let ipc = chimaera::ipc()?;
                let id = ipc.create_pool_with(#full_name, name, params, options)?;
                Ok(Client::from_pool(id))
            }
            /// A client for the existing pool of this name, whatever its parameters. Errors: `CHI_NO_POOL`;
            /// `CHI_INVALID` if the pool is of another module.
            pub fn find_pool(name: &str) -> Result<Self> {
                chimaera::ipc()?.find_pool_of(#full_name, name).map(Client::from_pool)
            }
            /// A client for an existing pool with this id.
            pub fn from_pool(pool_id: PoolId) -> Self {
                let query = DomainQuery::dynamic();
                Client { pool_id, query }
            }
            /// A client for the same pool whose calls use this query instead of
            /// `DomainQuery::dynamic()`.
            #[must_use]
            pub fn with_query(self, query: DomainQuery) -> Self {
                Client { query, ..self }
            }
            /// The id of the pool.
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

/// The struct of a method's results, if there are several.
pub(super) fn result(rust: &Rust<'_>, method: &Method, body: &Body) -> Option<TokenStream> {
    if body.outputs().count() < 2 {
        return None;
    }
    let (about, name) = (doc(&format!("The results of `{}`.", method.name)), result_name(method));
    let copies = rust.copies(body.outputs());
    Some(quote! {
        #about
        #[derive(Clone, Debug, PartialEq)]
        pub struct #name { #(#copies),* }
    })
}

/// The client's functions that call a method.
pub(super) fn calls(rust: &Rust<'_>, method: &Method, about: &str, body: &Body) -> TokenStream {
    let (about, name) = (doc(about), snake(&method.name));
    let (call, call_async) = (ident(&name), format_ident!("{name}_async"));
    let inputs: Vec<TokenStream> = body
        .inputs()
        .map(|field| {
            let (name, ty) = (ident(&field.name), rust.parameter(&field.ty));
            quote! { #name: #ty }
        })
        .collect();
    let passed = body.inputs().map(|field| ident(&field.name));
    let many =
        (inputs.len() > MANY_ARGUMENTS).then(|| quote! { #[allow(clippy::too_many_arguments)] });
    let outputs: Vec<&Field> = body.outputs().collect();
    let names: Vec<Ident> = outputs.iter().map(|field| ident(&field.name)).collect();
    let reads = outputs.iter().map(|field| rust.read(field, &quote! { done }));
    let done = if outputs.is_empty() { None } else { Some(quote! { let done = }) };
    let (returned, result) = match &outputs[..] {
        [] => (quote! { () }, quote! { () }),
        [one] => (rust.value(&one.ty), quote! { #(#names)* }),
        _ => {
            let result = result_name(method);
            (quote! { #result }, quote! { #result { #(#names),* } })
        }
    };
    let submits =
        doc(&format!("Submits `{}`; its results are the fields of the task.", method.name));
    let (task, constant) = (task_name(method), ident(&shouted(&method.name)));
    let writes = body.inputs().map(|field| rust.write(field));
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

pub(super) fn task_name(method: &Method) -> Ident {
    format_ident!("{}Task", method.stem())
}

fn result_name(method: &Method) -> Ident {
    format_ident!("{}Result", method.stem())
}
