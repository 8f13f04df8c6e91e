//! The type of an unquoted scalar, by the core schema of YAML 1.2, which editors and other readers
//! use.

use crate::tree::{Kind, Node};

/// The type of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer,
    /// Another number.
    Float,
    /// A text.
    Text,
}

impl Node {
    /// Its type, if it is a scalar.
    pub fn meaning(&self) -> Option<Meaning> {
        match &self.kind {
            Kind::Scalar { text, plain: true } => Some(meaning(text)),
            Kind::Scalar { .. } => Some(Meaning::Text),
            _ => None,
        }
    }

    /// Whether it is null, as it is when the whole value is commented out.
    pub fn is_null(&self) -> bool {
        self.meaning() == Some(Meaning::Null)
    }
}

fn meaning(text: &str) -> Meaning {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |text: &str, is_digit: fn(&u8) -> bool| {
        !text.is_empty() && text.as_bytes().iter().all(is_digit)
    };
    let radix =
        |prefix, is_digit| text.strip_prefix(prefix).is_some_and(|text| all(text, is_digit));
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "true" | "True" | "TRUE" => Meaning::Bool(true),
        "false" | "False" | "FALSE" => Meaning::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Meaning::Float,
        _ if matches!(unsigned, ".inf" | ".Inf" | ".INF") => Meaning::Float,
        _ if all(unsigned, u8::is_ascii_digit)
            || radix("0x", u8::is_ascii_hexdigit)
            || radix("0o", |byte| (b'0'..=b'7').contains(byte)) =>
        {
            Meaning::Integer
        }
        // Rust parses all that YAML does, and words such as `inf` besides.
        _ if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && text.parse::<f64>().is_ok() =>
        {
            Meaning::Float
        }
        _ => Meaning::Text,
    }
}

#[cfg(feature = "json")]
impl Node {
    /// The node as JSON, as an editor passes it to a schema. A refused node is null.
    pub fn json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.kind {
            Kind::Scalar { text, .. } => match self.meaning() {
                Some(Meaning::Null) => Value::Null,
                Some(Meaning::Bool(value)) => value.into(),
                Some(Meaning::Integer) => match whole(text) {
                    Some(value) => serde_json::Number::from_i128(value)
                        .map_or_else(|| (value as f64).into(), Value::Number),
                    None => text.parse::<f64>().map_or_else(|_| text.clone().into(), Value::from),
                },
                // JSON has neither infinities nor NaN.
                Some(Meaning::Float) => match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => number.into(),
                    _ if text.starts_with('-') => f64::MIN.into(),
                    _ => f64::MAX.into(),
                },
                _ => text.clone().into(),
            },
            Kind::Sequence(items) => items.iter().map(Node::json).collect(),
            Kind::Mapping(entries) => {
                let pair = |entry: &crate::tree::Entry| (entry.key.clone(), entry.value.json());
                entries.iter().map(pair).collect::<serde_json::Map<_, _>>().into()
            }
            Kind::Refused => Value::Null,
        }
    }
}

/// The whole number that a text is in YAML, which may have leading zeros.
#[cfg(feature = "json")]
fn whole(text: &str) -> Option<i128> {
    let of = |prefix, radix| i128::from_str_radix(text.strip_prefix(prefix)?, radix).ok();
    of("0x", 16).or_else(|| of("0o", 8)).or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_without_quotes_mean_what_the_core_schema_says() {
        for (texts, want) in [
            (&["", "~", "null", "NULL"][..], Meaning::Null),
            (&["true", "True"], Meaning::Bool(true)),
            (&["FALSE"], Meaning::Bool(false)),
            (&["0", "-1", "+7", "007", "0x1F", "0o17", "99999999999999999999"], Meaning::Integer),
            (&["1.0", ".5", "-1.", "1e3", "1E-3", ".inf", "-.INF", ".NaN"], Meaning::Float),
            (
                &[
                    "nUll", "yes", "tRUE", "inf", "nan", "0x", "0o8", "1_000", "1.2.3", "-", ".",
                    "e3",
                ],
                Meaning::Text,
            ),
        ] {
            for text in texts {
                assert_eq!(meaning(text), want, "{text}");
            }
        }
    }
}
