//! Generated files, and the view of the model that the templates of all languages share.

use minijinja::{context, Value};
use serde::Serialize;

use crate::model::{is_plain, Body, Direction, Field, Member, Method, Module, Struct, Type};

/// A line at the beginning of every generated file. A file without it was written by a person.
pub(crate) const MARKER: &str = "Generated from chimaera_mod.yaml; do not edit.";

/// A file in the `autogen` directory of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The methods whose tasks the YAML describes, by number, each with its documentation.
pub(super) fn described(module: &Module) -> impl Iterator<Item = (u32, &Method, &str, &Body)> {
    module.supported().filter_map(|(number, method)| {
        let task = module.tasks.get(&method.name)?;
        let doc = task.doc.as_deref().unwrap_or(&method.name);
        Some((number, method, doc, task.body.as_ref()?))
    })
}

/// The names that every file of a module uses.
pub(super) fn module(module: &Module) -> Value {
    let name = format!("{}_{}", module.namespace, module.name);
    context! {
        ns => module.namespace,
        mod => module.name,
        prefix => name.to_lowercase(),
        guard => name.to_uppercase(),
        marker => MARKER,
        has_params => module.params.is_some(),
    }
}

/// A field: what it is, and `types`, its spellings in one language.
#[derive(Serialize)]
pub(super) struct FieldView<'m, T> {
    name: &'m str,
    doc: String,
    kind: &'static str,
    direction: &'static str,
    #[serde(flatten)]
    types: T,
}

impl<'m, T> FieldView<'m, T> {
    pub(super) fn of(field: &'m Field, structs: &[Struct], types: T) -> Self {
        FieldView {
            name: &field.name,
            doc: explain(field),
            kind: kind(&field.ty, structs),
            direction: direction(field.direction),
            types,
        }
    }
}

/// A field, or the padding that fills a gap.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum MemberView<'m, T> {
    Field(FieldView<'m, T>),
    Gap { gap: bool, index: usize, bytes: u32 },
}

/// The fields and gaps of a body, in order.
pub(super) fn members<'m, T>(
    body: &'m Body,
    view: impl Fn(&'m Field) -> FieldView<'m, T>,
) -> Vec<MemberView<'m, T>> {
    let members = body.members().into_iter().map(|member| match member {
        Member::Field(field) => MemberView::Field(view(field)),
        Member::Gap { index, bytes } => MemberView::Gap { gap: true, index, bytes },
    });
    members.collect()
}

/// The offsets of a struct's fields, for the assertions in each language.
#[derive(Serialize)]
pub(super) struct LayoutView<'m> {
    name: String,
    size: u32,
    fields: Vec<PlaceView<'m>>,
}

#[derive(Serialize)]
struct PlaceView<'m> {
    name: &'m str,
    offset: u32,
}

impl<'m> LayoutView<'m> {
    pub(super) fn of(name: String, body: &'m Body) -> Self {
        let field_offset = |field: &'m Field| PlaceView { name: &field.name, offset: field.offset };
        let fields = body.fields.iter().map(field_offset).collect();
        LayoutView { name, size: body.size, fields }
    }
}

/// The fingerprint of a description, as a literal that is valid in all languages.
pub(super) fn description(body: &Body, structs: &[Struct]) -> String {
    format!("{:#x}", body.fingerprint(structs))
}

/// The names of fields.
pub(super) fn names<'m>(fields: impl Iterator<Item = &'m Field>) -> Vec<&'m str> {
    fields.map(|field| &field.name[..]).collect()
}

/// The kind of a type, which decides how values are copied in and out.
fn kind(ty: &Type, structs: &[Struct]) -> &'static str {
    match ty {
        Type::Scalar(_) => "scalar",
        Type::Bool => "bool",
        Type::Array(..) => "array",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Struct(index) if structs[*index].plain => "plain",
        Type::Struct(_) => "struct",
        Type::Vector(of) => match &**of {
            Type::String => "strings",
            Type::Bytes => "blobs",
            Type::Vector(_) => "vectors",
            of if is_plain(of, structs) => "plain_vector",
            _ => "structs",
        },
    }
}

/// The text of a field's comment.
pub(super) fn explain(field: &Field) -> String {
    match &field.doc {
        Some(doc) => format!("{}.", doc.trim_end_matches('.')),
        None => format!("`{}`.", field.name),
    }
}

/// The direction of a field, as stated in its comment.
pub(super) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "In",
        Direction::Out => "Out",
        Direction::InOut => "In and out",
        Direction::Skip => "Not sent",
    }
}
