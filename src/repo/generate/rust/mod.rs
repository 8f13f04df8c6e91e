//! The code generated for Rust.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::Item;

use super::view::{Generated, MARKER};
use crate::model::{Body, Module};
use crate::names::is_rust_keyword;
use crate::templates::comment_lines;

mod client;
pub(super) mod dispatch;
pub(super) mod from_yaml;
mod params;
mod types;

/// The longest line of a comment, without its indentation and `///`.
const COMMENT: usize = 90;

/// A file with these items, headed by a description.
fn file(about: &str, notes: &[String], items: TokenStream) -> String {
    let lines = [about.to_owned(), MARKER.to_owned()];
    let lines = lines.iter().chain(notes).map(|line| format!(" {line}"));
    let head = quote! { #(#![doc = #lines])* #![cfg_attr(rustfmt, rustfmt_skip)] };
    let syn::File { mut attrs, .. } = parsed(head);
    let mut parsed = parsed(items);
    attrs.append(&mut parsed.attrs);
    let mut text = prettyplease::unparse(&syn::File { shebang: None, attrs, items: Vec::new() });
    let mut before: Option<Item> = None;
    for item in parsed.items {
        // prettyplease puts no empty lines between items.
        let together = |before| {
            matches!(
                (before, &item),
                (&Some(Item::Use(_)), Item::Use(_)) | (&Some(Item::Const(_)), Item::Const(_))
            )
        };
        if !together(&before) {
            text.push('\n');
        }
        let file = syn::File { shebang: None, attrs: Vec::new(), items: vec![item.clone()] };
        text += &prettyplease::unparse(&file);
        before = Some(item);
    }
    text
}

/// Parses generated code. Tokens that are not valid Rust are a bug in the generator.
fn parsed(tokens: TokenStream) -> syn::File {
    let text = tokens.to_string();
    syn::parse2(tokens).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A doc comment for the item that follows.
fn doc(text: &str) -> TokenStream {
    let lines = comment_lines(text, COMMENT);
    let lines = lines.iter().map(|line| format!(" {line}"));
    quote! { #(#[doc = #lines])* }
}

/// An identifier, raw if the name is a keyword.
fn ident(name: &str) -> Ident {
    match is_rust_keyword(name) {
        true => Ident::new_raw(name, Span::call_site()),
        false => format_ident!("{name}"),
    }
}

/// A number literal without a suffix.
fn number(value: u32) -> proc_macro2::Literal {
    proc_macro2::Literal::u32_unsuffixed(value)
}

/// Assertions that all fields have the same offsets in Rust as in the other languages.
fn layouts<'b>(structs: impl Iterator<Item = (String, &'b Body)>) -> TokenStream {
    let asserts = structs.flat_map(|(name, body)| {
        let (name, size) = (ident(&name), number(body.size));
        let whole = quote! { assert!(size_of::<#name>() == #size); };
        let fields = body.fields.iter().map(|field| {
            let (field, offset) = (ident(&field.name), number(field.offset));
            quote! { assert!(offset_of!(#name, #field) == #offset); }
        });
        std::iter::once(whole).chain(fields).collect::<Vec<_>>()
    });
    quote! {
        const _: () = {
            use std::mem::{offset_of, size_of};
            #(#asserts)*
        };
    }
}

/// `autogen/<mod>_layouts.rs`: checks on structs of a Rust source, which includes it as a module.
pub(super) fn layouts_file<'b>(
    module: &Module,
    structs: impl Iterator<Item = (String, &'b Body)> + Clone,
) -> Generated {
    let mut names: Vec<String> = structs.clone().map(|(name, _)| name).collect();
    names.sort();
    let names = names.iter().map(|name| ident(name));
    let checks = layouts(structs);
    let about = format!(
        "Checks that the fields of the tasks of `{}` have the same offsets as in C and C++.",
        module.full_name()
    );
    Generated {
        name: format!("{}_layouts.rs", module.name),
        text: file(&about, &[], quote! { use super::{#(#names),*}; #checks }),
    }
}
