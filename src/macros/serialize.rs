//! `#[derive(Serialize)]`, `#[derive(SerializeInPlace)]`, and the directions of a task's fields.

use chimaera_task_shape::krate;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, Ident, Index, Member, Path, Result, Type,
};

/// `#[derive(Serialize)]`.
pub(crate) fn values(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    without_parameters(&input)?;
    let krate = path(&input.attrs)?;
    let name = &input.ident;
    let (save, load) = match &input.data {
        Data::Struct(data) => structure(&data.fields)?,
        Data::Enum(data) => {
            let variants = data.variants.iter().map(|variant| match variant.fields {
                Fields::Unit => Ok(&variant.ident),
                _ => Err(Error::new_spanned(
                    variant,
                    "a variant with data cannot be serialised: use a struct, with an `Option` for \
                     optional values",
                )),
            });
            enumeration(name, &repr(&input)?, &variants.collect::<Result<Vec<_>>>()?)
        }
        Data::Union(data) => {
            return Err(Error::new_spanned(
                data.union_token,
                "a union cannot be serialised: which of its fields is valid is unknown",
            ))
        }
    };
    Ok(quote! {
        const _: () = {
            use #krate::__private as p;

            #[automatically_derived]
            impl p::Serialize for #name {
                fn save(&self, archive: &mut p::SaveArchive<'_>) -> p::Result<()> {
                    #save
                }
                fn load(archive: &mut p::LoadArchive<'_>) -> p::Result<Self> {
                    #load
                }
            }
        };
    })
}

/// `#[derive(SerializeInPlace)]`.
pub(crate) fn in_place(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    without_parameters(&input)?;
    let krate = path(&input.attrs)?;
    let name = &input.ident;
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(name, "an element of a task must be a struct"));
    };
    let fields: Vec<&Field> = sent(&data.fields)?.into_iter().map(|(_, field)| field).collect();
    let (save, load) = (each(&krate, &fields, "save"), each(&krate, &fields, "load"));
    Ok(quote! {
        const _: () = {
            use #krate::__private as p;

            #[automatically_derived]
            impl p::SerializeInPlace for #name {
                fn save_in_place(&self, archive: &mut p::SaveArchive<'_>) -> p::Result<()> {
                    let this = self;
                    archive.nested(|archive| { #save })
                }
                fn load_in_place(&self, archive: &mut p::LoadArchive<'_>) -> p::Result<()> {
                    let this = self;
                    archive.nested(|archive| { #load })
                }
            }
            #[automatically_derived]
            impl p::SerializeElement for #name {
                fn save_elements(
                    vector: &p::ShmVec<Self>,
                    archive: &mut p::SaveArchive<'_>,
                ) -> p::Result<()> {
                    p::save_elements(vector, archive)
                }
                fn load_elements(
                    vector: &p::ShmVec<Self>,
                    archive: &mut p::LoadArchive<'_>,
                ) -> p::Result<()> {
                    p::load_elements(vector, archive)
                }
            }
        };
    })
}

/// The item `SERIALIZERS` of a task; nothing when no field has a direction. Removes the directions
/// from the fields.
pub(crate) fn task<'f>(
    krate: &Path,
    fields: impl Iterator<Item = &'f mut Field>,
) -> Result<TokenStream> {
    let mut all = Vec::new();
    for field in fields {
        let direction = direction(&field.attrs)?;
        field.attrs.retain(|attr| !attr.path().is_ident("chi"));
        all.push((direction, &*field));
    }
    if !all.is_empty() && all.iter().all(|(direction, _)| direction.is_none()) {
        return Ok(TokenStream::new());
    }
    let (mut ins, mut outs) = (Vec::new(), Vec::new());
    for (direction, field) in all {
        let Some(direction) = direction else {
            return Err(Error::new_spanned(
                field,
                "this field needs a direction, like the others: `#[chi(in)]`, `#[chi(out)]`, \
                 `#[chi(inout)]`, or `#[chi(skip)]` when it is not sent",
            ));
        };
        if direction != Direction::Skip {
            may_be_sent(&field.ty)?;
        }
        if matches!(direction, Direction::In | Direction::InOut) {
            ins.push(field);
        }
        if matches!(direction, Direction::Out | Direction::InOut) {
            outs.push(field);
        }
    }
    let function = |what: &str, fields: &[&Field]| {
        let body = each(krate, fields, what);
        quote!(|this, archive| { let _ = (this, &archive); #body })
    };
    let (save_in, load_in) = (function("save", &ins), function("load", &ins));
    let (save_out, load_out) = (function("save", &outs), function("load", &outs));
    Ok(quote! {
        const SERIALIZERS: ::core::option::Option<p::TaskSerializers<Self>> =
            ::core::option::Option::Some(p::TaskSerializers {
                save_in: #save_in,
                load_in: #load_in,
                save_out: #save_out,
                load_out: #load_out,
            });
    })
}

/// Calls for the fields of `this`, in place.
fn each(krate: &Path, fields: &[&Field], what: &str) -> TokenStream {
    let names = fields.iter().map(|field| &field.ident);
    let function = format_ident!("{what}_in_place");
    quote! {
        #(#krate::__private::SerializeInPlace::#function(&this.#names, archive)?;)*
        ::core::result::Result::Ok(())
    }
}

fn structure(fields: &Fields) -> Result<(TokenStream, TokenStream)> {
    let sent = sent(fields)?;
    let members: Vec<&Member> = sent.iter().map(|(member, _)| member).collect();
    let types = sent.iter().map(|(_, field)| &field.ty);
    let skipped: Vec<Member> = members_of(fields)
        .filter(|(member, _)| !members.contains(&member))
        .map(|(member, _)| member)
        .collect();
    let save = quote! {
        archive.nested(|archive| {
            let _ = &archive;
            #(p::Serialize::save(&self.#members, archive)?;)*
            ::core::result::Result::Ok(())
        })
    };
    let load = quote! {
        archive.nested(|archive| {
            let _ = &archive;
            ::core::result::Result::Ok(Self {
                #(#members: <#types as p::Serialize>::load(archive)?,)*
                #(#skipped: ::core::default::Default::default(),)*
            })
        })
    };
    Ok((save, load))
}

fn enumeration(name: &Ident, repr: &Ident, variants: &[&Ident]) -> (TokenStream, TokenStream) {
    let name = name.to_string();
    // A value of another type would need to be `Copy` to be cast.
    let save = quote! {
        let number = match self { #(Self::#variants => Self::#variants as #repr,)* };
        p::Serialize::save(&number, archive)
    };
    let load = quote! {
        let at = archive.position();
        let number = <#repr as p::Serialize>::load(archive)?;
        #(
            if number == Self::#variants as #repr {
                return ::core::result::Result::Ok(Self::#variants);
            }
        )*
        ::core::result::Result::Err(p::Status::invalid(::std::format!(
            "the number {number} at byte {at} is not a value of {}", #name
        )))
    };
    (save, load)
}

pub(crate) fn without_parameters(input: &DeriveInput) -> Result<()> {
    match input.generics.params.is_empty() {
        true => Ok(()),
        false => Err(Error::new_spanned(
            &input.generics,
            "a generic type cannot be serialised: both ends must know the concrete type",
        )),
    }
}

/// The integer type of an enum.
pub(crate) fn repr(input: &DeriveInput) -> Result<Ident> {
    const INTEGERS: [&str; 8] = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64"];
    input
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("repr"))
        .filter_map(|attr| attr.parse_args::<Ident>().ok())
        .find(|repr| INTEGERS.iter().any(|name| repr == name))
        .ok_or_else(|| {
            Error::new_spanned(
                &input.ident,
                "the enum needs an integer type of at most 64 bits, for example `#[repr(u8)]`",
            )
        })
}

/// The fields that are sent.
pub(crate) fn sent(fields: &Fields) -> Result<Vec<(Member, &Field)>> {
    let mut sent = Vec::new();
    for (member, field) in members_of(fields) {
        match direction(&field.attrs)? {
            Some(Direction::Skip) => {}
            Some(_) => {
                return Err(Error::new_spanned(
                    field,
                    "only fields of a task have directions; those of a struct are sent with it",
                ))
            }
            None => {
                may_be_sent(&field.ty)?;
                sent.push((member, field));
            }
        }
    }
    Ok(sent)
}

fn members_of(fields: &Fields) -> impl Iterator<Item = (Member, &Field)> {
    fields.iter().enumerate().map(|(index, field)| match &field.ident {
        Some(name) => (Member::Named(name.clone()), field),
        None => (Member::Unnamed(Index::from(index)), field),
    })
}

/// Rejects pointers that are visible in the syntax; the compiler rejects the others.
fn may_be_sent(ty: &Type) -> Result<()> {
    let what = match ty {
        Type::Ptr(_) => "a raw pointer",
        Type::Reference(_) => "a reference",
        Type::Group(group) => return may_be_sent(&group.elem),
        Type::Paren(paren) => return may_be_sent(&paren.elem),
        Type::Array(array) => return may_be_sent(&array.elem),
        _ => return Ok(()),
    };
    Err(Error::new_spanned(
        ty,
        format!(
            "{what} means nothing in another process: send what it points to, or leave the field \
             out with `#[chi(skip)]`"
        ),
    ))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
    InOut,
    Skip,
}

/// The direction in the `#[chi(..)]` of a field.
fn direction(attrs: &[Attribute]) -> Result<Option<Direction>> {
    let mut found = None;
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("chi")) {
        // `in` is a keyword.
        let word = attr.parse_args_with(Ident::parse_any)?;
        let direction = match &word.to_string()[..] {
            "in" => Direction::In,
            "out" => Direction::Out,
            "inout" => Direction::InOut,
            "skip" => Direction::Skip,
            _ => {
                return Err(Error::new_spanned(word, "expected `in`, `out`, `inout` or `skip`"));
            }
        };
        if found.replace(direction).is_some() {
            return Err(Error::new_spanned(attr, "one of these per field"));
        }
    }
    Ok(found)
}

/// The crate that `#[chimaera(crate = path)]` names.
pub(crate) fn path(attrs: &[Attribute]) -> Result<Path> {
    match attrs.iter().find(|attr| attr.path().is_ident("chimaera")) {
        Some(attr) => krate(attr.meta.require_list()?.tokens.clone()),
        None => krate(TokenStream::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::ItemStruct;

    fn refusal(item: TokenStream) -> String {
        values(item).unwrap_err().to_string()
    }

    fn task_refusal(mut item: ItemStruct) -> String {
        let krate = syn::parse_quote!(::chimaera);
        task(&krate, item.fields.iter_mut()).unwrap_err().to_string()
    }

    #[test]
    fn what_points_elsewhere_is_refused_in_words() {
        let pointer = refusal(quote!(
            struct P {
                start: [*const u8; 2],
            }
        ));
        assert!(pointer.starts_with("a raw pointer means nothing in another process"), "{pointer}");
        let reference = refusal(quote!(
            struct P {
                name: &'static str,
            }
        ));
        assert!(reference.starts_with("a reference means nothing in another"), "{reference}");
        let task = task_refusal(syn::parse_quote!(
            struct T {
                #[chi(in)]
                start: *mut u8,
            }
        ));
        assert!(task.starts_with("a raw pointer means nothing in another process"), "{task}");
    }

    #[test]
    fn a_field_may_stay_whatever_it_is() {
        values(quote!(
            struct P {
                name: String,
                #[chi(skip)]
                start: *const u8,
            }
        ))
        .unwrap();
    }

    #[test]
    fn a_task_says_it_of_every_field_or_of_none() {
        let item: ItemStruct = syn::parse_quote!(
            struct T {
                #[chi(out)]
                a: u8,
                b: u8,
            }
        );
        assert!(task_refusal(item).starts_with("this field needs a direction"));
        let wrong = task_refusal(syn::parse_quote!(
            struct T {
                #[chi(to)]
                a: u8,
            }
        ));
        assert_eq!(wrong, "expected `in`, `out`, `inout` or `skip`");
    }

    #[test]
    fn enums_say_their_integer_and_have_no_data() {
        let silent = refusal(quote!(
            enum E {
                A,
                B,
            }
        ));
        assert!(silent.starts_with("the enum needs an integer type"), "{silent}");
        let data = refusal(quote!(
            #[repr(u8)]
            enum E {
                A(u8),
            }
        ));
        assert!(data.starts_with("a variant with data cannot be serialised"), "{data}");
    }
}
