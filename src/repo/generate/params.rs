//! The parameters of a module's pools, in all languages.

use std::fmt::Write;

use super::c::from_yaml::prefix;
use super::layout::{call, comment, declaration};
use super::rust::layout::{literal, rust_comment};
use super::{explain, serializers};
use crate::model::{range, Field, Module, Params, Scalar, Type, Value};

/// What the struct is, unless the file says.
const DOC: &str = "What a pool is created with.";

/// The fields, each with its default.
fn fields(params: &Params) -> impl Iterator<Item = (&Field, &Value)> {
    params.body.fields.iter().zip(&params.defaults)
}

fn doc(params: &Params) -> &str {
    params.doc.as_deref().unwrap_or(DOC)
}

/// The struct in C++.
pub(super) fn cpp(params: &Params) -> String {
    let mut text = format!("\n{}struct Params {{\n", comment(0, doc(params), "/**"));
    for (field, default) in fields(params) {
        let ty = match &field.ty {
            Type::Scalar(scalar) => format!("chi::{}", scalar.name()),
            Type::Bool => "bool".into(),
            _ => "std::string".into(),
        };
        let start = match default {
            Value::Text(text) if text.is_empty() => String::new(),
            default => format!(" = {}", c_literal(&field.ty, default)),
        };
        text += &comment(2, &explain(field, false, ""), "/**");
        let _ = writeln!(text, "  {ty} {}_{start};", field.name);
    }
    text += &serializers::cpp_struct(&params.body);
    text += "\n  /** Says what text calls the fields. */\n  template <typename Fields>\n  \
             void named(Fields &fields) {\n";
    for Field { name, .. } in &params.body.fields {
        let _ = writeln!(text, "    fields(\"{name}\", {name}_);");
    }
    text + "  }\n};\n"
}

/// The struct in C, its defaults, and what creates a pool.
pub(super) fn c(module: &Module, params: &Params) -> String {
    let prefix = prefix(module);
    let name = format!("{prefix}_params");
    let about = format!("{} Begin with {name}_default().", doc(params));
    let mut text = format!("\n{}typedef struct {name} {{\n", comment(0, &about, "/**"));
    let (mut defaults, mut puts) = (String::new(), String::new());
    for (field, default) in fields(params) {
        let (ty, more, put) = match &field.ty {
            Type::Scalar(scalar) => (scalar.c_name() + " ", "", None),
            Type::Bool => ("bool ".into(), "", None),
            _ => ("const char *".into(), " Borrowed; null is empty.", Some("chi_params_put_text(")),
        };
        text += &comment(2, &explain(field, false, more), "/**");
        let _ = writeln!(text, "  {ty}{}_;", field.name);
        let value = c_literal(&field.ty, default);
        let _ = writeln!(defaults, "  params.{}_ = {value};", field.name);
        let from = format!("params->{}_", field.name);
        puts += &match put {
            Some(put) => call(2, put, &["&bytes", &from], ");"),
            None => {
                let args = ["&bytes", &format!("&{from}"), &format!("sizeof({from})")];
                call(2, "chi_params_put(", &args, ");")
            }
        };
    }
    let _ = write!(
        text,
        "}} {name};\n\n/** The parameters of a pool of which nobody says more. Any thread. */\n\
         static inline {name} {name}_default(void) {{\n  {name} params;\n{defaults}  \
         return params;\n}}\n"
    );
    text += "\n";
    text += &comment(
        0,
        "Creates a pool with so many containers on this node, or finds it when it exists with the \
         same parameters, and stores its id. Errors: those of `chi_pool_create_with`, and \
         `CHI_NO_SPACE`. Any thread.",
        "/**",
    );
    let args = [
        "const char *pool_name",
        &format!("const {name} *params"),
        "uint32_t containers",
        "chi_pool_id *pool",
    ];
    text += &declaration(0, &format!("static inline chi_status {prefix}_create("), &args, ") {");
    text += "  chi_params bytes = chi_params_begin();\n";
    text += &puts;
    let shout = prefix.to_uppercase();
    let args = ["&bytes", &format!("{shout}_MODULE"), "pool_name", "containers", "pool"];
    text += &call(2, "return chi_params_create(", &args, ");");
    text + "}\n"
}

/// The struct in Rust.
pub(super) fn rust(params: &Params) -> String {
    let plain = params.defaults.iter().all(|default| match default {
        Value::Integer(value) => *value == 0,
        Value::Float(value) => *value == 0.0,
        Value::Bool(value) => !value,
        Value::Text(text) => text.is_empty(),
    });
    let mut text = format!("\n{}", rust_comment(0, doc(params)));
    let derived = if plain { "Default, " } else { "" };
    let _ = write!(
        text,
        "#[derive(Clone, Debug, {derived}PartialEq, chimaera::Serialize, chimaera::PoolParams)]\n\
         pub struct Params {{\n"
    );
    for field in &params.body.fields {
        let ty = match &field.ty {
            Type::Scalar(scalar) => scalar.name(),
            Type::Bool => "bool".into(),
            _ => "String".into(),
        };
        text += &rust_comment(4, &explain(field, false, ""));
        let _ = writeln!(text, "    pub {}: {ty},", field.name);
    }
    text += "}\n";
    if plain {
        return text;
    }
    let values: Vec<String> = fields(params)
        .map(|(field, default)| match default {
            Value::Text(text) if text.is_empty() => format!("{}: String::new()", field.name),
            Value::Text(text) => format!("{}: {text:?}.into()", field.name),
            Value::Integer(value) => format!("{}: {value}", field.name),
            Value::Float(value) => format!("{}: {}", field.name, float(&field.ty, *value)),
            Value::Bool(value) => format!("{}: {value}", field.name),
        })
        .collect();
    text += "\nimpl Default for Params {\n    fn default() -> Self {\n";
    text += &literal("Params", &values);
    text + "    }\n}\n"
}

/// A value in C and C++.
fn c_literal(ty: &Type, value: &Value) -> String {
    match value {
        Value::Integer(value) => {
            let least = match ty {
                Type::Scalar(scalar @ (Scalar::Signed(32) | Scalar::Signed(64))) => {
                    range(*scalar).0
                }
                _ => i128::MIN,
            };
            match ty {
                // A minus sign is no part of a number there.
                _ if *value == least => format!("{} - 1", value + 1),
                Type::Scalar(Scalar::Unsigned(32 | 64)) => format!("{value}u"),
                _ => value.to_string(),
            }
        }
        Value::Float(value) => match ty {
            Type::Scalar(Scalar::Float(32)) => float(ty, *value) + "f",
            _ => float(ty, *value),
        },
        Value::Bool(value) => value.to_string(),
        Value::Text(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// With a point or an exponent, in all languages alike.
fn float(ty: &Type, value: f64) -> String {
    match ty {
        Type::Scalar(Scalar::Float(32)) => format!("{:?}", value as f32),
        _ => format!("{value:?}"),
    }
}
