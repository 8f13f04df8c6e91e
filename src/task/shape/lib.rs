//! The struct layouts that `#[chimaera::task]`, `#[derive(Pod)]` and `#[derive(ShmElement)]`
//! produce, and the structs that they reject.
//!
//! Both the macros and the generator of C headers use this crate, so that they agree on every
//! struct.

use chimaera_abi::{CHI_DECLARED_IN_RUST, CHI_TASK_LAYOUT_SIZE_SHIFT};
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    parse_quote, Attribute, Data, DeriveInput, Error, Field, Fields, Generics, Ident, ItemStruct,
    LitInt, Path, Result, Token,
};

/// The name of a task's first field, its header.
pub const BASE: &str = "base";

/// A task's struct.
#[derive(Clone)]
pub struct TaskStruct {
    /// The struct as it is compiled: `#[repr(C)]`, with [`BASE`] before its own fields.
    pub item: ItemStruct,
    /// Its own fields, in order.
    pub own: Vec<Field>,
}

/// Makes the struct of a task from the item under `#[chimaera::task]`. `krate` is the path to the
/// crate `chimaera`.
///
/// Errors: an item that cannot be a task, with its position in the source.
pub fn task(mut item: ItemStruct, krate: &Path) -> Result<TaskStruct> {
    plain_generics(&item.generics, "a task")?;
    if let Some(repr) = item.attrs.iter().find(|attr| attr.path().is_ident("repr")) {
        return Err(Error::new_spanned(repr, "a task is already `#[repr(C)]`: remove this"));
    }
    if let Some(derive) = item.attrs.iter().find(|attr| attr.path().is_ident("derive")) {
        return Err(Error::new_spanned(
            derive,
            "a task cannot derive traits: it never moves and is never copied or compared as a whole",
        ));
    }
    if let Fields::Unit = item.fields {
        item.fields = Fields::Named(parse_quote!({}));
        item.semi_token = None;
    }
    let Fields::Named(fields) = &mut item.fields else {
        return Err(Error::new_spanned(&item.fields, "a task's fields must have names"));
    };
    let own: Vec<Field> = fields.named.iter().cloned().collect();
    if let Some(base) = own.iter().find(|field| field.ident.as_ref().is_some_and(|i| i == BASE)) {
        return Err(Error::new_spanned(base, "`base` is reserved for the header of the task"));
    }
    fields.named.insert(
        0,
        parse_quote! {
            #[doc = "The header of the task."]
            base: #krate::TaskBase
        },
    );
    item.attrs.push(parse_quote!(#[repr(C)]));
    Ok(TaskStruct { item, own })
}

/// The fields of a struct under `#[derive(Pod)]` or `#[derive(ShmElement)]`, and the path to the
/// crate `chimaera`.
///
/// Errors: an item that cannot be an element of a task, with its position in the source.
pub fn element(input: &DeriveInput) -> Result<(Path, Vec<Field>)> {
    plain_generics(&input.generics, "an element")?;
    let mut path = krate(TokenStream::new())?;
    let mut repr_c = false;
    for attr in &input.attrs {
        if attr.path().is_ident("repr") {
            repr_c |= attr.parse_args::<Ident>().is_ok_and(|repr| repr == "C");
        } else if attr.path().is_ident("chimaera") {
            path = krate(attr.meta.require_list()?.tokens.clone())?;
        }
    }
    if !repr_c {
        return Err(Error::new_spanned(&input.ident, "an element of a task must be `#[repr(C)]`"));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok((path, fields.named.iter().cloned().collect())),
            other => Err(Error::new_spanned(other, "an element's fields must have names")),
        },
        _ => Err(Error::new_spanned(&input.ident, "an element of a task must be a struct")),
    }
}

/// The path to the crate `chimaera`: `crate = path` in `args`, or `::chimaera`.
pub fn krate(args: TokenStream) -> Result<Path> {
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

/// The arguments of `#[chimaera::task]`.
pub struct TaskArguments {
    /// The path to the crate `chimaera`.
    pub krate: Path,
    /// The fingerprint of the task's description in `chimaera_mod.yaml`; 0 if the task is compared with
    /// no other, `None` if it is not described there.
    pub description: Option<u32>,
}

/// The fingerprint of a task that its author declares: names, types and directions of its own fields, as they
/// are spelled. FNV-1a, folded to 17 bits, above the two that tell it from fingerprints of other languages.
///
/// Structs in the task are seen by their names only, because an attribute sees no other item.
pub fn fingerprint<'f>(own: impl IntoIterator<Item = &'f Field>) -> u32 {
    let mut text = String::new();
    for field in own {
        for attr in field.attrs.iter().filter(|attr| attr.path().is_ident("chi")) {
            spell(attr, &mut text);
        }
        spell(&field.ident, &mut text);
        text.push(':');
        spell(&field.ty, &mut text);
        text.push(';');
    }
    let hash = text
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    ((hash ^ hash >> 17) << 2 | CHI_DECLARED_IN_RUST) & ((1 << CHI_TASK_LAYOUT_SIZE_SHIFT) - 1)
}

/// Adds the tokens, without the blanks that compilers put between them in different ways.
fn spell(tokens: &impl ToTokens, text: &mut String) {
    let spelled = tokens.to_token_stream().to_string();
    text.extend(spelled.chars().filter(|c| !c.is_whitespace()));
}

/// Reads `crate = path` and `description = fingerprint`, both optional.
pub fn task_arguments(args: TokenStream) -> Result<TaskArguments> {
    let mut read = TaskArguments { krate: parse_quote!(::chimaera), description: None };
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("crate") {
            read.krate = meta.value()?.call(Path::parse_mod_style)?;
        } else if meta.path.is_ident("description") {
            read.description = Some(meta.value()?.parse::<LitInt>()?.base10_parse()?);
        } else {
            return Err(meta.error("expected `crate = path`, `description = number` or nothing"));
        }
        Ok(())
    });
    syn::parse::Parser::parse2(parser, args)?;
    Ok(read)
}

/// Whether `attr` is the attribute that makes a struct a task: `chimaera::task`, or `task` alone.
pub fn is_task_attribute(attr: &Attribute) -> bool {
    let path = attr.path();
    let last = path.segments.last().is_some_and(|last| last.ident == "task");
    last && path.segments.len() <= 2
}

/// Whether one of `attrs` derives `Pod` or `ShmElement`.
pub fn derives_element(attrs: &[Attribute]) -> bool {
    derives(attrs, &["Pod", "ShmElement"])
}

/// Whether one of `attrs` makes an element serialisable: derives `Serialize` or `SerializeInPlace`.
pub fn derives_bytes(attrs: &[Attribute]) -> bool {
    derives(attrs, &["Serialize", "SerializeInPlace"])
}

fn derives(attrs: &[Attribute], names: &[&str]) -> bool {
    let derived = attrs.iter().filter(|attr| attr.path().is_ident("derive")).flat_map(|attr| {
        attr.parse_args_with(syn::punctuated::Punctuated::<Path, Token![,]>::parse_terminated)
            .unwrap_or_default()
    });
    derived
        .filter_map(|path| Some(path.segments.last()?.ident.clone()))
        .any(|derived| names.iter().any(|name| derived == name))
}

fn plain_generics(generics: &Generics, what: &str) -> Result<()> {
    match generics.params.is_empty() {
        true => Ok(()),
        false => {
            let why = format!("{what} is a C struct and cannot have generic parameters");
            Err(Error::new_spanned(generics, why))
        }
    }
}
