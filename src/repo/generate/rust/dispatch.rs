//! The constants of a Rust module, and the declarations that tie its container to them.

use quote::quote;

use super::super::description;
use super::super::view::Generated;
use super::{doc, file, ident, number};
use crate::model::Module;
use crate::names::shouted;

/// `autogen/<mod>_methods.rs`, a module of the client's crate.
pub(in crate::generate) fn methods(module: &Module) -> Generated {
    let constants = module.supported().map(|(value, method)| {
        let about = match module.tasks.get(&method.name).and_then(|task| task.doc.as_deref()) {
            Some(about) => doc(&format!("`{}`: {about}", method.name)),
            None => doc(&format!("`{}`.", method.name)),
        };
        let (name, value) = (ident(&shouted(&method.name)), number(value));
        quote! { #about pub const #name: u32 = #value; }
    });
    let items = quote! {
        /// The numbers of the methods that the module implements.
        pub enum Method {}
        impl Method {
            #(#constants)*
        }
    };
    Generated {
        name: format!("{}_methods.rs", module.name),
        text: file(&format!("The methods of `{}`.", module.full_name()), &[], items),
    }
}

/// `autogen/<mod>_lib_exec.rs`, a module of the container's crate.
pub(in crate::generate) fn lib_exec(module: &Module) -> Generated {
    let full_name = module.full_name();
    let params = module.params.is_some().then(|| quote! { declared.params(); });
    let description = description::pieces(module).map(|pieces| {
        let about = doc("What the module says of its tasks.");
        quote! {
            impl crate::Runtime {
                #about
                #[doc(hidden)]
                #[allow(dead_code)]
                pub(crate) const __CHIMAERA_DESCRIPTION: Option<&'static std::ffi::CStr> =
                    chimaera::module::__private::description(concat!(#(#pieces,)* "\0"));
            }
        }
    });
    let methods = module.methods.iter().filter_map(|method| {
        let (name, value) = (&method.name, number(method.number?));
        Some(match method.supported {
            true if module.is_idempotent(method) => {
                quote! { declared.idempotent(#value, #name); }
            }
            true => quote! { declared.method(#value, #name); },
            false => quote! { declared.unsupported(#value, #name); },
        })
    });
    let items = quote! {
        use chimaera::module::Declared;
        const _: () = {
            let mut declared = Declared::<crate::Runtime>::new();
            declared.name(#full_name);
            #params
            #(#methods)*
            declared.end();
        };
        #description
    };
    let unnumbered = module.methods.iter().filter(|method| method.number.is_none());
    let notes: Vec<String> = unnumbered
        .map(|method| format!("{} is not supported and has no number.", method.name))
        .collect();
    let about =
        format!("Checks that the container of `{full_name}` implements exactly these methods.");
    Generated { name: format!("{}_lib_exec.rs", module.name), text: file(&about, &notes, items) }
}
