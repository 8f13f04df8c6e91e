//! `#[derive(State)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Fields, Ident, Index, LitInt, Member, Result, Token,
};

use crate::serialize::path;

pub(crate) fn derive(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a container cannot be generic"));
    }
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "a state must be a struct"));
    };
    let krate = path(&input.attrs)?;
    let name = &input.ident;
    let fields = fields(&data.fields)?;
    if fields.is_empty() {
        return Err(Error::new_spanned(
            name,
            "no field is part of the state: give those that are their numbers, \
             `#[chi(field = 1)]` and so on",
        ));
    }
    let (numbers, members): (Vec<u32>, Vec<Member>) = fields.into_iter().unzip();
    Ok(quote! {
        #[automatically_derived]
        impl #krate::module::State for #name {
            fn save(&self, state: &mut #krate::module::StateWriter<'_>) -> #krate::Result<()> {
                #(state.field(#numbers, &self.#members)?;)*
                ::core::result::Result::Ok(())
            }
            fn load(&mut self, state: &mut #krate::module::StateReader<'_>) -> #krate::Result<()> {
                #(state.field(#numbers, &mut self.#members)?;)*
                ::core::result::Result::Ok(())
            }
        }
    })
}

/// The fields that have numbers, in ascending order.
fn fields(fields: &Fields) -> Result<Vec<(u32, Member)>> {
    let mut numbered = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let Some(literal) = number(&field.attrs)? else { continue };
        let number: u32 = literal.base10_parse()?;
        if number == 0 {
            return Err(Error::new(literal.span(), "the numbers of fields begin with 1"));
        }
        if numbered.iter().any(|(other, _)| *other == number) {
            return Err(Error::new(literal.span(), "another field has this number"));
        }
        let member = match &field.ident {
            Some(name) => Member::Named(name.clone()),
            None => Member::Unnamed(Index::from(index)),
        };
        numbered.push((number, member));
    }
    numbered.sort_by_key(|(number, _)| *number);
    Ok(numbered)
}

/// The number in `#[chi(field = 1)]`.
fn number(attrs: &[Attribute]) -> Result<Option<LitInt>> {
    let mut found = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("chi")) {
        let number = attr.parse_args_with(|input: ParseStream<'_>| {
            let word: Ident = input.parse()?;
            if word != "field" {
                return Err(Error::new(word.span(), "expected `field = 1` or another number"));
            }
            input.parse::<Token![=]>()?;
            input.parse::<LitInt>()
        })?;
        if found.replace(number).is_some() {
            return Err(Error::new(attr.span(), "one of these per field"));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: TokenStream) -> String {
        derive(item).unwrap_err().to_string()
    }

    #[test]
    fn fields_are_visited_by_their_numbers() {
        let expanded = derive(quote! {
            struct Runtime {
                #[chi(field = 7)]
                late: u64,
                #[chi(field = 2)]
                early: u64,
                other: u64,
            }
        });
        let expanded = expanded.unwrap().to_string();
        let at = |field: &str| expanded.find(field);
        assert!(at("early").unwrap() < at("late").unwrap());
        assert_eq!(at("other"), None);
    }

    #[test]
    fn mistakes_are_named() {
        let twice = quote!(
            struct R {
                #[chi(field = 1)]
                a: u64,
                #[chi(field = 1)]
                b: u64,
            }
        );
        assert_eq!(refusal(twice), "another field has this number");
        let zero = quote!(
            struct R {
                #[chi(field = 0)]
                a: u64,
            }
        );
        assert_eq!(refusal(zero), "the numbers of fields begin with 1");
        let other = quote!(
            struct R {
                #[chi(skip)]
                a: u64,
            }
        );
        assert_eq!(refusal(other), "expected `field = 1` or another number");
        assert!(refusal(quote!(
            struct R {
                a: u64,
            }
        ))
        .starts_with("no field is part of the state"));
        assert_eq!(
            refusal(quote!(
                enum R {
                    A,
                }
            )),
            "a state must be a struct"
        );
    }
}
