//! C code for the tasks that a module's YAML describes.

use minijinja::context;
use serde::Serialize;

use super::super::literal;
use super::super::view::{self, described, FieldView, Generated, LayoutView, MemberView};
use crate::model::{is_plain, Body, Field, Module, Struct, Type};
use crate::names::snake;
use crate::templates::fill;

/// `autogen/<mod>_c.h`.
pub(in crate::generate) fn header(module: &Module) -> Generated {
    let prefix = super::prefix(module);
    let c = C { prefix: &prefix, structs: &module.structs };
    let structs: Vec<_> = module.structs.iter().map(|found| c.structure(found)).collect();
    let tasks: Vec<_> = described(module)
        .map(|(_, method, doc, body)| {
            let snake = snake(&method.name);
            TaskView {
                name: format!("{prefix}_{snake}_task"),
                snake,
                doc,
                description: view::description(body, &module.structs),
                members: c.members(body),
                inputs: body.inputs().map(|field| c.field(field)).collect(),
            }
        })
        .collect();
    let layouts: Vec<_> = structs
        .iter()
        .map(|found| found.name.clone())
        .zip(module.structs.iter().map(|found| &found.body))
        .chain(
            tasks
                .iter()
                .map(|task| task.name.clone())
                .zip(described(module).map(|(_, _, _, body)| body)),
        )
        .map(|(name, body)| LayoutView::of(name, body))
        .collect();
    let params = module.params.as_ref().map(|params| {
        let fields: Vec<_> = params
            .fields()
            .map(|(field, default)| {
                context! {
                    default => literal::c(&field.ty, default),
                    ..minijinja::Value::from_serialize(c.field(field))
                }
            })
            .collect();
        context! { doc => params.doc(), fields }
    });
    let methods = super::methods(described(module).map(|(number, method, _, _)| (number, method)));
    let context = context! { params, structs, tasks, layouts, methods, ..view::module(module) };
    Generated {
        name: format!("{}_c.h", module.name),
        text: fill("generated/c/described.h", context),
    }
}

struct C<'m> {
    prefix: &'m str,
    structs: &'m [Struct],
}

/// The C spelling of a field's type.
#[derive(Serialize)]
struct Types {
    /// The type, without the length of an array.
    r#type: String,
    /// The length of an array.
    length: Option<u32>,
    /// The element type of a vector.
    item: Option<String>,
    /// The arguments that a caller passes for the field.
    parts: Vec<Part>,
    /// Whether setting it allocates memory, and so can fail.
    may_fail: bool,
}

/// A parameter of a function, or a member of a struct that is copied.
#[derive(Serialize)]
struct Part {
    /// Includes the space before the name, if there is one.
    r#type: String,
    name: String,
    /// The length of an array, with its brackets.
    length: String,
}

#[derive(Serialize)]
struct StructView<'m> {
    name: String,
    doc: String,
    plain: bool,
    members: Vec<MemberView<'m, Types>>,
    fields: Vec<FieldView<'m, Types>>,
}

#[derive(Serialize)]
struct TaskView<'m> {
    name: String,
    snake: String,
    doc: &'m str,
    description: String,
    members: Vec<MemberView<'m, Types>>,
    inputs: Vec<FieldView<'m, Types>>,
}

impl<'m> C<'m> {
    fn structure(&self, found: &'m Struct) -> StructView<'m> {
        StructView {
            name: self.struct_name(found),
            doc: found.doc.clone().unwrap_or_else(|| format!("The struct {}.", found.name)),
            plain: found.plain,
            members: self.members(&found.body),
            fields: found.body.fields.iter().map(|field| self.field(field)).collect(),
        }
    }

    fn struct_name(&self, found: &Struct) -> String {
        format!("{}_{}", self.prefix, snake(&found.name))
    }

    fn members(&self, body: &'m Body) -> Vec<MemberView<'m, Types>> {
        view::members(body, |field| self.field(field))
    }

    fn field(&self, field: &'m Field) -> FieldView<'m, Types> {
        let ty = &field.ty;
        let types = Types {
            r#type: self.name(ty),
            length: match ty {
                Type::Array(_, n) => Some(*n),
                _ => None,
            },
            item: match ty {
                Type::Vector(of) => Some(self.name(of)),
                _ => None,
            },
            parts: self.parts(field),
            may_fail: !is_plain(ty, self.structs),
        };
        FieldView::of(field, self.structs, types)
    }

    /// The C name of a type, without the length of an array.
    fn name(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => scalar.c_name(),
            Type::Bool => "uint8_t".into(),
            Type::Array(of, _) => self.name(of),
            Type::String => "chi_shm_string".into(),
            Type::Bytes | Type::Vector(_) => "chi_shm_vector".into(),
            Type::Struct(index) => self.struct_name(&self.structs[*index]),
        }
    }

    /// The type that a struct is copied from.
    fn value(&self, ty: &Type) -> String {
        let value = if is_plain(ty, self.structs) { "" } else { "_value" };
        format!("{}{value}", self.name(ty))
    }

    fn parts(&self, Field { name, ty, .. }: &Field) -> Vec<Part> {
        let part = |ty: String, name: String| Part { r#type: ty, name, length: String::new() };
        let one = |ty: String| part(ty, name.clone());
        let count = || part("uint64_t ".into(), format!("{name}_count"));
        match ty {
            Type::Scalar(_) => vec![one(format!("{} ", self.name(ty)))],
            Type::Bool => vec![one("bool ".into())],
            Type::Array(of, n) => {
                let part = one(format!("const {} ", self.name(of)));
                vec![Part { length: format!("[{n}]"), ..part }]
            }
            Type::String => vec![one("const char *".into())],
            Type::Bytes => {
                vec![one("const void *".into()), part("uint64_t ".into(), format!("{name}_size"))]
            }
            Type::Struct(_) => vec![one(format!("const {} *", self.value(ty)))],
            Type::Vector(of) => match &**of {
                Type::String => vec![one("const char *const *".into()), count()],
                Type::Bytes => vec![
                    one("const void *const *".into()),
                    part("const uint64_t *".into(), format!("{name}_sizes")),
                    count(),
                ],
                Type::Vector(inner) => vec![
                    one(format!("const {} *const *", self.name(inner))),
                    part("const uint64_t *".into(), format!("{name}_counts")),
                    count(),
                ],
                of => vec![one(format!("const {} *", self.value(of))), count()],
            },
        }
    }
}
