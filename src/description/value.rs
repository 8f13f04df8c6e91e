//! The values of fields, as people and programs write them.

use std::fmt::Write;

use serde_json::{Map, Number, Value as Json};

use crate::spelling::{shown, spell_type};
use crate::types::{Scalar, Struct, Type};

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An integer.
    Integer(i128),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// The elements of an array or vector.
    List(Vec<Value>),
    /// The fields of a struct.
    Struct(Vec<(String, Value)>),
}

/// The key under which JSON has bytes that are no text.
const HEX: &str = "hex";

impl Value {
    /// The value of a field of this type that a person writes so: numbers in decimal, or in hexadecimal after `0x`;
    /// text and bytes as they are; lists as JSON, or their elements separated by commas; structs as JSON.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn from_text(text: &str, ty: &Type, structs: &[Struct]) -> Result<Value, String> {
        let unexpected = || format!("expected {}, found '{}'", expected(ty, structs), shown(text));
        match ty {
            Type::Scalar(Scalar::Float(_)) => match text.trim().parse::<f64>() {
                // A number that is too large is not infinite.
                Ok(value) if value.is_finite() || !text.contains(|c: char| c.is_ascii_digit()) => {
                    Ok(Value::Float(value))
                }
                _ => Err(unexpected()),
            },
            Type::Scalar(_) => integer(text.trim()).map(Value::Integer).ok_or_else(unexpected),
            Type::Bool => match text.trim() {
                "true" | "1" => Ok(Value::Bool(true)),
                "false" | "0" => Ok(Value::Bool(false)),
                _ => Err(unexpected()),
            },
            Type::String => Ok(Value::Text(text.to_owned())),
            Type::Bytes => Ok(Value::Bytes(text.as_bytes().to_vec())),
            Type::Array(of, _) | Type::Vector(of) => {
                if text.trim_start().starts_with('[') {
                    return Value::from_json_text(text);
                }
                match &**of {
                    _ if text.is_empty() => Ok(Value::List(Vec::new())),
                    Type::Scalar(_) | Type::Bool | Type::String | Type::Bytes => text
                        .split(',')
                        .map(|one| Value::from_text(one, of, structs))
                        .collect::<Result<_, _>>()
                        .map(Value::List),
                    _ => Err(unexpected()),
                }
            }
            Type::Struct(_) => match text.trim_start().starts_with('{') {
                true => Value::from_json_text(text),
                false => Err(unexpected()),
            },
        }
    }

    /// The value that JSON has so. Bytes that are no text are `{"hex": "00ff"}`.
    ///
    /// # Errors
    /// It is `null`, or no hexadecimal.
    pub fn from_json(json: &Json) -> Result<Value, String> {
        Ok(match json {
            Json::Null => return Err("null is no value".to_owned()),
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => Value::Integer(value.into()),
                (_, Some(value), _) => Value::Integer(value.into()),
                (.., value) => Value::Float(value.unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(all) => {
                Value::List(all.iter().map(Value::from_json).collect::<Result<_, _>>()?)
            }
            Json::Object(map) => match (map.len(), map.get(HEX)) {
                (1, Some(Json::String(digits))) => Value::Bytes(
                    bytes(digits)
                        .ok_or_else(|| format!("'{}' is no hexadecimal", shown(digits)))?,
                ),
                _ => Value::Struct(
                    map.iter()
                        .map(|(name, value)| Ok((name.clone(), Value::from_json(value)?)))
                        .collect::<Result<_, String>>()?,
                ),
            },
        })
    }

    /// The value in a JSON text.
    ///
    /// # Errors
    /// It is no JSON, or as for [`from_json`](Self::from_json).
    pub fn from_json_text(text: &str) -> Result<Value, String> {
        let json: Json =
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        Value::from_json(&json)
    }

    /// Its JSON. Numbers that JSON lacks are text: `"NaN"`, `"inf"`.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => value.into(),
                (_, Ok(value)) => value.into(),
                _ => value.to_string().into(),
            },
            Value::Float(value) => {
                Number::from_f64(*value).map_or_else(|| value.to_string().into(), Json::Number)
            }
            Value::Bool(value) => (*value).into(),
            Value::Text(text) => text[..].into(),
            Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => Map::from_iter([(HEX.to_owned(), hex(bytes).into())]).into(),
            },
            Value::List(all) => all.iter().map(Value::to_json).collect(),
            Value::Struct(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), value.to_json()))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    /// Zero, empty, false, or all fields so.
    pub fn zero(ty: &Type, structs: &[Struct]) -> Value {
        match ty {
            Type::Scalar(Scalar::Float(_)) => Value::Float(0.0),
            Type::Scalar(_) => Value::Integer(0),
            Type::Bool => Value::Bool(false),
            Type::String => Value::Text(String::new()),
            Type::Bytes => Value::Bytes(Vec::new()),
            Type::Vector(_) => Value::List(Vec::new()),
            Type::Array(of, n) => Value::List(vec![Value::zero(of, structs); *n as usize]),
            Type::Struct(index) => {
                let fields = structs[*index].body.fields.iter();
                let zero =
                    |field: &crate::Field| (field.name.clone(), Value::zero(&field.ty, structs));
                Value::Struct(fields.map(zero).collect())
            }
        }
    }

    /// About how many bytes it takes in a task and its blocks.
    pub fn size(&self) -> u64 {
        const DESCRIPTOR: u64 = size_of::<chimaera_abi::chi_shm_vector>() as u64;
        match self {
            Value::Integer(_) | Value::Float(_) | Value::Bool(_) => 8,
            Value::Text(text) => DESCRIPTOR + text.len() as u64,
            Value::Bytes(bytes) => DESCRIPTOR + bytes.len() as u64,
            Value::List(all) => DESCRIPTOR + all.iter().map(Value::size).sum::<u64>(),
            Value::Struct(fields) => fields.iter().map(|(_, value)| value.size()).sum(),
        }
    }

    /// What it is, for a message.
    pub(crate) fn kind(&self) -> String {
        match self {
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Text(text) => format!("'{}'", shown(text)),
            Value::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Value::List(all) => format!("a list of {}", all.len()),
            Value::Struct(_) => "a struct".to_owned(),
        }
    }
}

/// What a field of this type takes, in words.
pub(crate) fn expected(ty: &Type, structs: &[Struct]) -> String {
    match ty {
        Type::Scalar(Scalar::Float(_)) => "a number".to_owned(),
        Type::Scalar(scalar) => {
            let (least, most) = scalar.range();
            format!("an integer from {least} to {most}")
        }
        Type::Bool => "true or false".to_owned(),
        Type::String => "text".to_owned(),
        Type::Bytes => "text or, in JSON, {\"hex\": \"00ff\"}".to_owned(),
        Type::Array(of, n) => format!("{n} of {}, as JSON", spell_type(of, structs)),
        Type::Vector(of) => format!("a list of {}, as JSON", spell_type(of, structs)),
        Type::Struct(index) => {
            let body = &structs[*index].body;
            let names: Vec<&str> = body.fields.iter().map(|field| &field.name[..]).collect();
            format!("JSON with the fields {}", names.join(", "))
        }
    }
}

fn integer(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    // Rust's parser would accept another sign.
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        _ if digits.contains(['+', '-']) => None,
        Some(digits) => u64::from_str_radix(digits, 16).ok().filter(|_| !digits.contains('+')),
        None => digits.parse().ok(),
    };
    Some(sign * i128::from(value?))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_type;

    fn read(text: &str, ty: &str) -> Result<Value, String> {
        Value::from_text(text, &parse_type(ty, &[]).unwrap(), &[])
    }

    #[test]
    fn text_has_the_form_of_its_type() {
        assert_eq!(read("0x10", "u8"), Ok(Value::Integer(16)));
        assert_eq!(read("-7", "i64"), Ok(Value::Integer(-7)));
        assert_eq!(read("18446744073709551615", "u64"), Ok(Value::Integer(u64::MAX.into())));
        assert_eq!(read("2.5", "f32"), Ok(Value::Float(2.5)));
        assert_eq!(read("7", "string"), Ok(Value::Text("7".into())));
        assert_eq!(read("", "vector<u8>"), Ok(Value::List(vec![])));
        let list = Value::List(vec![Value::Integer(1), Value::Integer(2)]);
        assert_eq!(read("1,2", "vector<u8>"), Ok(list.clone()));
        assert_eq!(read(" [1, 2]", "u8[2]"), Ok(list));
        for (text, ty) in [
            ("", "u8"),
            ("+1", "u8"),
            ("0x-1", "u8"),
            ("0x+1", "u8"),
            ("--1", "i8"),
            ("ten", "u64"),
            ("yes", "bool"),
            ("1,", "vector<u8>"),
            ("[1", "vector<u8>"),
            ("[null]", "vector<u8>"),
        ] {
            assert!(read(text, ty).is_err(), "{text} {ty}");
        }
    }

    #[test]
    fn json_keeps_what_it_can() {
        for value in [
            Value::Integer(i64::MIN.into()),
            Value::Integer(u64::MAX.into()),
            Value::Float(0.1),
            Value::Bool(true),
            Value::Text("a\u{0}b".into()),
            Value::Bytes(vec![0xff, 0]),
            Value::List(vec![Value::Struct(vec![("a".into(), Value::Integer(1))])]),
        ] {
            assert_eq!(Value::from_json(&value.to_json()), Ok(value));
        }
        assert_eq!(Value::Float(f64::NAN).to_json(), "NaN");
        assert!(Value::from_json(&serde_json::json!({ "hex": "0" })).is_err());
    }
}
