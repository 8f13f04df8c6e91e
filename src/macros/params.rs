//! `#[derive(PoolParams)]` and `#[derive(FromText)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{Attribute, Data, DeriveInput, Error, Expr, ExprLit, Fields, Lit, Member, Meta, Result};

use crate::serialize::{path, repr, sent, without_parameters};

/// `#[derive(PoolParams)]`.
pub(crate) fn params(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    without_parameters(&input)?;
    let krate = path(&input.attrs)?;
    let name = &input.ident;
    let named = match &input.data {
        Data::Struct(data) => sent(&data.fields)?,
        _ => return Err(Error::new_spanned(name, "the parameters of a pool must be a struct")),
    };
    let mut names = Vec::new();
    let mut members = Vec::new();
    let mut types = Vec::new();
    let mut docs = Vec::new();
    for (member, field) in named {
        let Member::Named(ident) = &member else {
            return Err(Error::new_spanned(field, "parameters must have names: name this field"));
        };
        names.push(ident.unraw().to_string());
        types.push(&field.ty);
        docs.push(documentation(&field.attrs));
        members.push(member);
    }
    let count = members.len();
    Ok(quote! {
        const _: () = {
            use #krate::__private as p;

            #[automatically_derived]
            impl p::PoolParams for #name {
                const NAMES: &'static [&'static str] = &[#(#names),*];

                fn set(
                    &mut self,
                    name: &str,
                    text: &str,
                ) -> ::core::option::Option<::core::result::Result<(), ::std::string::String>> {
                    let _ = text;
                    match name {
                        #(#names => ::core::option::Option::Some(
                            p::set_from_text(&mut self.#members, text),
                        ),)*
                        _ => ::core::option::Option::None,
                    }
                }

                fn pools(&self) -> ::std::vec::Vec<&str> {
                    let pools: [::core::option::Option<&str>; #count] =
                        [#(p::FromText::pool(&self.#members)),*];
                    pools.into_iter().flatten().collect()
                }

                fn described(&self) -> ::std::vec::Vec<p::DescribedParam> {
                    let all: [::core::option::Option<p::DescribedParam>; #count] = [#(
                        <#types as p::FromText>::FORM.map(|form| p::DescribedParam {
                            name: #names,
                            doc: #docs,
                            form,
                            value: p::FromText::to_json(&self.#members),
                        })
                    ),*];
                    let all: ::core::option::Option<::std::vec::Vec<_>> =
                        all.into_iter().collect();
                    all.unwrap_or_default()
                }
            }
        };
    })
}

/// `#[derive(FromText)]`.
pub(crate) fn from_text(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    without_parameters(&input)?;
    let krate = path(&input.attrs)?;
    let name = &input.ident;
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(name, "only an enum can be written as text"));
    };
    let mut variants = Vec::new();
    let mut words = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(
                variant,
                "a variant with data cannot be written as text",
            ));
        }
        words.push(snake(&variant.ident.unraw().to_string()));
        variants.push(&variant.ident);
    }
    let expected = format!("one of {}", words.join(", "));
    let (form, json) = match repr(&input) {
        Ok(repr) => (
            quote!(::core::option::Option::Some(p::TextForm {
                words: &[#((#words, Self::#variants as #repr as i128)),*],
                ..p::TextForm::of(::core::stringify!(#repr))
            })),
            quote!(p::json_text(match self { #(Self::#variants => #words,)* })),
        ),
        // Without a type, its values cannot be encoded.
        Err(_) => (quote!(::core::option::Option::None), quote!("null".into())),
    };
    Ok(quote! {
        const _: () = {
            use #krate::__private as p;

            #[automatically_derived]
            impl p::FromText for #name {
                fn from_text(text: &str) -> ::core::option::Option<Self> {
                    match text {
                        #(#words => ::core::option::Option::Some(Self::#variants),)*
                        _ => ::core::option::Option::None,
                    }
                }
                fn expected() -> ::std::string::String {
                    #expected.into()
                }
                const FORM: ::core::option::Option<p::TextForm> = #form;
                fn to_json(&self) -> ::std::string::String {
                    #json
                }
            }
        };
    })
}

/// The documentation of a field, in one line.
fn documentation(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(doc) if doc.path.is_ident("doc") => match &doc.value {
            Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => Some(line.value()),
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `VerySmall` → `very_small`.
fn snake(camel: &str) -> String {
    let mut word = String::new();
    for letter in camel.chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_names_is_refused() {
        let unnamed = params(quote!(
            struct P(u8);
        ));
        assert!(unnamed.unwrap_err().to_string().starts_with("parameters must have names"));
        let data = from_text(quote!(
            enum E {
                A(u8),
            }
        ));
        assert_eq!(data.unwrap_err().to_string(), "a variant with data cannot be written as text");
    }
}
