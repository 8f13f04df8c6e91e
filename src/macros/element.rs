//! `#[derive(Pod)]` and `#[derive(ShmElement)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, Field, Ident, Path, Result, Type};

use chimaera_task_shape::element;

pub(crate) fn pod(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let (krate, fields) = element(&input)?;
    let name = &input.ident;
    let types: Vec<&Type> = fields.iter().map(|field| &field.ty).collect();
    Ok(quote! {
        const _: () = {
            const fn pod<T: #krate::Pod>() {}
            #(pod::<#types>();)*
            assert!(
                ::core::mem::size_of::<#name>() == 0 #(+ ::core::mem::size_of::<#types>())*,
                "the struct has padding: add reserved fields where the layout leaves gaps"
            );

            // SAFETY: `repr(C)` and made of plain data without padding.
            #[automatically_derived]
            unsafe impl #krate::ShmElement for #name {
                const FIELDS: &'static [#krate::__private::chi_field_layout] = &[];
                const DEPTH: u32 = 0;
            }
            // SAFETY: as above.
            #[automatically_derived]
            unsafe impl #krate::Pod for #name {}
        };
    })
}

pub(crate) fn shm_element(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let (krate, fields) = element(&input)?;
    let name = &input.ident;
    let types: Vec<&Type> = fields.iter().map(|field| &field.ty).collect();
    let parts = parts(&krate, name, &fields);
    Ok(quote! {
        const _: () = {
            use #krate::__private as p;
            const N: usize = 0 #(+ <#types as #krate::ShmElement>::FIELDS.len())*;
            const FIELDS: [p::chi_field_layout; N] = p::collect(&[#parts]);
            assert!(
                N > 0,
                "the struct contains only plain data: use #[derive(Clone, Copy, Pod)]"
            );
            assert!(!::core::mem::needs_drop::<#name>());

            // SAFETY: `repr(C)`, all fields are `ShmElement`, at least one of which cannot be made
            // or moved; the list is made of theirs; no destructor, as asserted.
            #[automatically_derived]
            unsafe impl #krate::ShmElement for #name {
                const FIELDS: &'static [p::chi_field_layout] = &FIELDS;
                const DEPTH: u32 = p::deepest(&[#(<#types as #krate::ShmElement>::DEPTH),*]);
            }
        };
    })
}

/// Each field's offset, and the layouts of its strings and vectors.
pub(crate) fn parts(krate: &Path, name: &Ident, fields: &[Field]) -> TokenStream {
    let names = fields.iter().map(|field| &field.ident);
    let types = fields.iter().map(|field| &field.ty);
    quote!(#((
        ::core::mem::offset_of!(#name, #names),
        <#types as #krate::ShmElement>::FIELDS
    )),*)
}
