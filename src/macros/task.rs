//! `#[task]`.

use chimaera_task_shape::{self as shape, TaskStruct};
use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemStruct, Result, Type};

use crate::element::parts;
use crate::serialize;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let shape::TaskArguments { krate, description } = shape::task_arguments(args)?;
    let mut item: ItemStruct = syn::parse2(item)?;
    let declared = description.is_none();
    let description = description.unwrap_or_else(|| shape::fingerprint(&item.fields));
    let serializers = serialize::task(&krate, item.fields.iter_mut())?;
    let TaskStruct { item, own } = shape::task(item, &krate)?;
    let name = &item.ident;
    let types: Vec<&Type> = own.iter().map(|field| &field.ty).collect();
    let parts = parts(&krate, name, &own);
    Ok(quote! {
        // Fields that exist only for the layout are never read.
        #[allow(dead_code)]
        #item

        const _: () = {
            use #krate::__private as p;
            const DEPTH: u32 = p::deepest(&[#(<#types as #krate::ShmElement>::DEPTH),*]);
            const N: usize = 0 #(+ <#types as #krate::ShmElement>::FIELDS.len())*;
            const FIELDS: [p::chi_field_layout; N] = p::collect(&[#parts]);

            assert!(DEPTH <= p::CHI_MAX_FIELD_DEPTH, "vectors are nested too deep");
            assert!(
                ::core::mem::size_of::<#name>() <= p::CHI_MAX_TASK_SIZE as usize,
                "the task's struct is larger than CHI_MAX_TASK_SIZE: put bulk data into vectors"
            );
            assert!(::core::mem::align_of::<#name>() <= p::CHI_TASK_ALIGN as usize);
            assert!(!::core::mem::needs_drop::<#name>());
            assert!(::core::mem::offset_of!(#name, base) == 0);

            // SAFETY: `repr(C)` with the base first; all fields are `ShmElement`; `FIELDS` is
            // collected from theirs; the other facts are asserted above; the private `base`
            // prevents safe code from making one.
            #[automatically_derived]
            unsafe impl #krate::Task for #name {
                const FIELDS: &'static [p::chi_field_layout] = &FIELDS;
                const DESCRIPTION: u32 = #description;
                const DECLARED: bool = #declared;
                #serializers
                fn base(&self) -> &#krate::TaskBase {
                    &self.base
                }
            }
        };
    })
}
