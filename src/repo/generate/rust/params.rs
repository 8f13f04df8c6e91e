//! The pool parameters of a module, in Rust.

use proc_macro2::TokenStream;
use quote::quote;
use syn::Expr;

use super::super::{literal, view};
use super::{doc, ident};
use crate::model::{Params, Type, Value};

/// The struct, and its defaults.
pub(super) fn structure(params: &Params) -> TokenStream {
    let about = doc(params.doc());
    let fields = params.body.fields.iter().map(|field| {
        let (about, name) = (doc(&view::explain(field)), ident(&field.name));
        let ty = match &field.ty {
            Type::Scalar(scalar) => ident(&scalar.name()),
            Type::Bool => ident("bool"),
            _ if params.is_pool(field) => return quote! { #about pub #name: chimaera::PoolName },
            _ => ident("String"),
        };
        quote! { #about pub #name: #ty }
    });
    let usual = params.defaults.iter().all(|default| match default {
        Value::Integer(value) => *value == 0,
        Value::Float(value) => *value == 0.0,
        Value::Bool(value) => !value,
        Value::Text(text) => text.is_empty(),
    });
    let derived = usual.then(|| quote! { Default, });
    let defaults = (!usual).then(|| {
        let values = params.fields().map(|(field, default)| {
            let name = ident(&field.name);
            let text = match default {
                Value::Text(text) if params.is_pool(field) => format!("{text:?}.into()"),
                _ => literal::rust(&field.ty, default),
            };
            let value: Expr =
                syn::parse_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            quote! { #name: #value }
        });
        quote! {
            impl Default for Params {
                fn default() -> Self {
                    Params { #(#values),* }
                }
            }
        }
    });
    quote! {
        #about
        #[derive(Clone, Debug, #derived PartialEq, chimaera::Serialize, chimaera::PoolParams)]
        pub struct Params { #(#fields),* }
        #defaults
    }
}
