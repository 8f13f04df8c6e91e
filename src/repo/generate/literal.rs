//! The defaults of parameters, as each language writes values.

use crate::model::{range, Scalar, Type, Value};

/// In C and C++.
pub(super) fn c(ty: &Type, value: &Value) -> String {
    match (value, ty) {
        (Value::Integer(value), Type::Scalar(scalar)) => match scalar {
            // A minus sign is no part of a number there, and the number without it is too large.
            Scalar::Signed(32 | 64) if *value == range(*scalar).0 => format!("{} - 1", value + 1),
            Scalar::Unsigned(32 | 64) => format!("{value}u"),
            _ => value.to_string(),
        },
        (Value::Integer(value), _) => value.to_string(),
        (Value::Float(value), Type::Scalar(Scalar::Float(32))) => format!("{:?}f", *value as f32),
        (Value::Float(value), _) => format!("{value:?}"),
        (Value::Bool(value), _) => value.to_string(),
        (Value::Text(text), _) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
    }
}

/// In Rust.
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
