//! The default values of parameters as literals in each language.

use crate::model::{Scalar, Type, Value};

/// A literal in C and C++.
pub(super) fn c(ty: &Type, value: &Value) -> String {
    match (value, ty) {
        (Value::Integer(value), Type::Scalar(scalar)) => match scalar {
            // In C, a minus sign is not part of a literal, and the magnitude of the minimum alone
            // is too large.
            Scalar::Signed(32 | 64) if *value == scalar.range().0 => format!("{} - 1", value + 1),
            Scalar::Unsigned(32 | 64) => format!("{value}u"),
            _ => value.to_string(),
        },
        (Value::Integer(value), _) => value.to_string(),
        (Value::Float(value), Type::Scalar(Scalar::Float(32))) => format!("{:?}f", *value as f32),
        (Value::Float(value), _) => format!("{value:?}"),
        (Value::Bool(value), _) => value.to_string(),
        (Value::Text(text), _) => c_text(text),
    }
}

/// Printable text as a literal in C and C++.
fn c_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Printable texts as literals in C and C++.
pub(super) fn c_texts(texts: Vec<String>) -> Vec<String> {
    texts.iter().map(|text| c_text(text)).collect()
}

/// A literal in Rust.
pub(super) fn rust(ty: &Type, value: &Value) -> String {
    match (value, ty) {
        (Value::Integer(value), _) => value.to_string(),
        (Value::Float(value), Type::Scalar(Scalar::Float(32))) => format!("{:?}", *value as f32),
        (Value::Float(value), _) => format!("{value:?}"),
        (Value::Bool(value), _) => value.to_string(),
        (Value::Text(text), _) if text.is_empty() => "String::new()".into(),
        (Value::Text(text), _) => format!("{text:?}.into()"),
    }
}
