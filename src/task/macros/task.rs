//! `#[task]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{parse_quote, Error, Field, Fields, ItemStruct, Path, Result, Type};

use crate::element::parts;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let krate = krate(args)?;
    let mut item: ItemStruct = syn::parse2(item)?;
    plain_generics(&item.generics, "a task")?;
    if let Some(repr) = item.attrs.iter().find(|attr| attr.path().is_ident("repr")) {
        return Err(Error::new_spanned(repr, "a task is `#[repr(C)]` already"));
    }
    if let Some(derive) = item.attrs.iter().find(|attr| attr.path().is_ident("derive")) {
        return Err(Error::new_spanned(
            derive,
            "a task derives nothing: it lives in one place and is never copied or compared whole",
        ));
    }
    if let Fields::Unit = item.fields {
        item.fields = Fields::Named(parse_quote!({}));
        item.semi_token = None;
    }
    let Fields::Named(fields) = &mut item.fields else {
        return Err(Error::new_spanned(&item.fields, "a task's fields have names"));
    };
    let own: Vec<Field> = fields.named.iter().cloned().collect();
    if let Some(base) = own.iter().find(|field| field.ident.as_ref().is_some_and(|i| i == "base")) {
        return Err(Error::new_spanned(base, "`base` is the name of what every task begins with"));
    }
    fields.named.insert(
        0,
        parse_quote! {
            #[doc = "What every task begins with."]
            base: #krate::TaskBase
        },
    );
    let name = &item.ident;
    let types: Vec<&Type> = own.iter().map(|field| &field.ty).collect();
    let parts = parts(&krate, name, &own);
    // Fields that are only there for the layout are never read.
    let attrs: TokenStream = quote!(#[repr(C)] #[allow(dead_code)]);
    Ok(quote! {
        #attrs
        #item

        const _: () = {
            use #krate::__private as p;
            const DEPTH: u32 = p::deepest(&[#(<#types as #krate::ShmElement>::DEPTH),*]);
            const N: usize = 0 #(+ <#types as #krate::ShmElement>::FIELDS.len())*;
            const FIELDS: [p::chi_field_layout; N] = p::collect(&[#parts]);

            assert!(DEPTH <= p::CHI_MAX_FIELD_DEPTH, "vectors lie too deep in vectors");
            assert!(
                ::core::mem::size_of::<#name>() <= p::CHI_MAX_TASK_SIZE as usize,
                "the task's struct is larger than CHI_MAX_TASK_SIZE; put data into vectors"
            );
            assert!(::core::mem::align_of::<#name>() <= p::CHI_TASK_ALIGN as usize);
            assert!(!::core::mem::needs_drop::<#name>());
            assert!(::core::mem::offset_of!(#name, base) == 0);

            // SAFETY: `repr(C)` with the base first; all fields are `ShmElement`; the list is made of
            // theirs; the other facts are asserted above; the private `base` keeps it from being made.
            #[automatically_derived]
            unsafe impl #krate::Task for #name {
                const FIELDS: &'static [p::chi_field_layout] = &FIELDS;
                fn base(&self) -> &#krate::TaskBase {
                    &self.base
                }
            }
        };
    })
}

/// The path to the crate `chimaera`: `crate = path` in `args`, or `::chimaera`.
pub(crate) fn krate(args: TokenStream) -> Result<Path> {
    let mut krate: Path = parse_quote!(::chimaera);
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("crate") {
            krate = meta.value()?.call(Path::parse_mod_style)?;
            Ok(())
        } else {
            Err(meta.error("expected `crate = path` or nothing"))
        }
    });
    syn::parse::Parser::parse2(parser, args)?;
    Ok(krate)
}

pub(crate) fn plain_generics(generics: &syn::Generics, what: &str) -> Result<()> {
    match generics.params.is_empty() {
        true => Ok(()),
        false => {
            Err(Error::new_spanned(generics, format!("{what} is a C struct, without parameters")))
        }
    }
}
