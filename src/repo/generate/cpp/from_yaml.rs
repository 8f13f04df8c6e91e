//! C++ code for the tasks that a module's YAML describes, and a client for them.

use minijinja::{context, Value};
use serde::Serialize;

use super::super::literal;
use super::super::view::{self, described, FieldView, Generated, LayoutView, MemberView};
use crate::model::{is_plain, Body, Direction, Field, Method, Module, Struct, Type};
use crate::templates::fill;

/// `autogen/<mod>_described_tasks.h` and `autogen/<mod>_described_client.h`.
pub(in crate::generate) fn files(module: &Module) -> [Generated; 2] {
    let cpp = Cpp { structs: &module.structs };
    let structs: Vec<_> = module.structs.iter().map(|found| cpp.structure(found)).collect();
    let tasks: Vec<_> =
        described(module).map(|(_, method, doc, body)| cpp.task(method, doc, body)).collect();
    let layouts: Vec<_> = module
        .structs
        .iter()
        .map(|found| (found.name.clone(), &found.body))
        .chain(described(module).map(|(_, method, _, body)| (task_name(method), body)))
        .map(|(name, body)| LayoutView::of(name, body))
        .collect();
    let params = module.params.as_ref().map(|params| {
        let fields: Vec<_> = params
            .fields()
            .map(|(field, default)| {
                let default = literal::c(&field.ty, default);
                let view = Value::from_serialize(cpp.field(field));
                match params.is_pool(field) {
                    true => context! { default, value => "chi::PoolName", ..view },
                    false => context! { default, ..view },
                }
            })
            .collect();
        let names = view::names(params.body.fields.iter());
        context! { doc => params.doc(), fields, names }
    });
    let context = context! { params, structs, tasks, layouts, ..view::module(module) };
    let file = |what: &str| Generated {
        name: format!("{}_{what}", module.name),
        text: fill(&format!("generated/cpp/{what}"), context.clone()),
    };
    [file("described_tasks.h"), file("described_client.h")]
}

/// `kPut` → `PutTask`.
fn task_name(method: &Method) -> String {
    format!("{}Task", method.stem())
}

/// The C++ spellings of a field's type.
#[derive(Serialize)]
struct Types {
    /// As a member.
    r#type: String,
    /// As a private copy.
    value: String,
    /// As a parameter, up to its name.
    parameter: String,
    /// The element type of a vector.
    item: Option<String>,
    /// The element type of a private copy of it.
    item_value: Option<String>,
    /// The direction marker before the member of a task.
    mark: &'static str,
}

#[derive(Serialize)]
struct StructView<'m> {
    name: &'m str,
    doc: String,
    plain: bool,
    members: Vec<MemberView<'m, Types>>,
    fields: Vec<FieldView<'m, Types>>,
    names: Vec<&'m str>,
    /// The names of the fields that have shared memory of their own.
    shared: Vec<&'m str>,
}

#[derive(Serialize)]
struct TaskView<'m> {
    name: String,
    method: &'m str,
    stem: &'m str,
    doc: &'m str,
    description: String,
    members: Vec<MemberView<'m, Types>>,
    inputs: Vec<FieldView<'m, Types>>,
    outputs: Vec<FieldView<'m, Types>>,
    input_names: Vec<&'m str>,
    output_names: Vec<&'m str>,
    shared: Vec<&'m str>,
    /// The return type of a call.
    returned: String,
}

struct Cpp<'m> {
    structs: &'m [Struct],
}

impl<'m> Cpp<'m> {
    fn structure(&self, found: &'m Struct) -> StructView<'m> {
        let Struct { name, doc, body, plain } = found;
        StructView {
            name,
            doc: doc.clone().unwrap_or_else(|| format!("The struct {name}.")),
            plain: *plain,
            members: self.members(body),
            fields: body.fields.iter().map(|field| self.field(field)).collect(),
            names: view::names(body.fields.iter()),
            shared: self.shared(body),
        }
    }

    fn task(&self, method: &'m Method, doc: &'m str, body: &'m Body) -> TaskView<'m> {
        let outputs: Vec<&Field> = body.outputs().collect();
        let returned = match &outputs[..] {
            [] => "void".to_owned(),
            [one] => self.value(&one.ty),
            _ => format!("{}Result", method.stem()),
        };
        TaskView {
            name: task_name(method),
            method: &method.name,
            stem: method.stem(),
            doc,
            description: view::description(body, self.structs),
            members: self.members(body),
            inputs: body.inputs().map(|field| self.field(field)).collect(),
            outputs: body.outputs().map(|field| self.field(field)).collect(),
            input_names: view::names(body.inputs()),
            output_names: view::names(body.outputs()),
            shared: self.shared(body),
            returned,
        }
    }

    fn members(&self, body: &'m Body) -> Vec<MemberView<'m, Types>> {
        view::members(body, |field| self.field(field))
    }

    fn shared(&self, body: &'m Body) -> Vec<&'m str> {
        view::names(body.fields.iter().filter(|field| !is_plain(&field.ty, self.structs)))
    }

    fn field(&self, field: &'m Field) -> FieldView<'m, Types> {
        let of = match &field.ty {
            Type::Vector(of) => Some(of),
            _ => None,
        };
        let types = Types {
            r#type: self.name(&field.ty),
            value: self.value(&field.ty),
            parameter: self.parameter(&field.ty),
            item: of.map(|of| self.name(of)),
            item_value: of.map(|of| self.value(of)),
            mark: match field.direction {
                Direction::In => "IN ",
                Direction::Out => "OUT ",
                Direction::InOut => "INOUT ",
                Direction::Skip => "",
            },
        };
        FieldView::of(field, self.structs, types)
    }

    fn name(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => format!("chi::{}", scalar.name()),
            Type::Bool => "chi::u8".into(),
            Type::Array(of, n) => format!("std::array<{}, {n}>", self.name(of)),
            Type::String => "hipc::string".into(),
            Type::Bytes => "hipc::vector<char>".into(),
            Type::Vector(of) => format!("hipc::vector<{}>", self.name(of)),
            Type::Struct(index) => self.structs[*index].name.clone(),
        }
    }

    fn value(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "bool".into(),
            Type::String | Type::Bytes => "std::string".into(),
            Type::Vector(of) => format!("std::vector<{}>", self.value(of)),
            Type::Struct(index) if !self.structs[*index].plain => {
                format!("{}Value", self.structs[*index].name)
            }
            _ => self.name(ty),
        }
    }

    fn parameter(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(_) | Type::Bool => format!("{} ", self.value(ty)),
            Type::String | Type::Bytes => "std::string_view ".into(),
            _ => format!("const {} &", self.value(ty)),
        }
    }
}
