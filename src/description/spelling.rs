//! Types as files spell them.

use crate::types::{is_plain, Scalar, Struct, Type, MAX_ARRAY};

/// Characters allowed around the parts of a type.
const SPACES: [char; 2] = [' ', '\t'];

/// The longest spelling: no sensible type is longer, and the depth of the recursion is bounded by it.
const MAX_SPELLING: usize = 256;

/// The beginning of a text, for a message.
pub(crate) fn shown(text: &str) -> String {
    const MAX: usize = 60;
    let mut short: String = text.escape_debug().take(MAX).collect();
    if text.escape_debug().count() > MAX {
        short.push_str("...");
    }
    short
}

/// The type that `text` names, or an error message and how to fix it. Vectors may hold anything, arrays only what
/// needs no memory elsewhere.
///
/// # Errors
/// It names none, or one that a field cannot have.
pub fn parse_type(text: &str, structs: &[Struct]) -> Result<Type, (String, String)> {
    if text.len() > MAX_SPELLING {
        let message = format!("a type of {} characters", text.len());
        return Err((message, format!("write one of at most {MAX_SPELLING}")));
    }
    let text = text.trim_matches(SPACES);
    if let Some((of, n)) = text.strip_suffix(']').and_then(|text| text.rsplit_once('[')) {
        let n = digits(n.trim_matches(SPACES))
            .and_then(|n| n.parse().ok())
            .filter(|n| (1..=MAX_ARRAY).contains(n))
            .ok_or_else(|| {
                (
                    format!("an array of \"{n}\" elements", n = shown(n)),
                    format!("write a number from 1 to {MAX_ARRAY}, or use vector<{of}>"),
                )
            })?;
        let of = parse_type(of, structs)?;
        return match is_plain(&of, structs) {
            true => Ok(Type::Array(Box::new(of), n)),
            false => Err((
                "an array of something other than numbers or plain structs".into(),
                "use a vector: `vector<string>`, for example".into(),
            )),
        };
    }
    if let Some(of) = text.strip_prefix("vector<").and_then(|text| text.strip_suffix('>')) {
        return Ok(Type::Vector(Box::new(parse_type(of, structs)?)));
    }
    match text {
        "bool" => return Ok(Type::Bool),
        "string" => return Ok(Type::String),
        "bytes" => return Ok(Type::Bytes),
        _ => {}
    }
    if let Some(scalar) = Scalar::by_name(text) {
        return Ok(Type::Scalar(scalar));
    }
    if let Some(index) = structs.iter().position(|found| found.name == text) {
        return Ok(Type::Struct(index));
    }
    Err((
        format!("unknown type `{}`", shown(text)),
        "types are u8 to u64, i8 to i64, f32, f64, bool, string, bytes, vector<T>, T[N], and structs \
         that stand above"
            .into(),
    ))
}

/// The text, if it consists of digits only: Rust's parser would also accept a sign.
fn digits(text: &str) -> Option<&str> {
    text.bytes().all(|b| b.is_ascii_digit()).then_some(text)
}

/// The spelling of a type.
pub fn spell_type(ty: &Type, structs: &[Struct]) -> String {
    match ty {
        Type::Scalar(scalar) => scalar.name(),
        Type::Bool => "bool".to_owned(),
        Type::String => "string".to_owned(),
        Type::Bytes => "bytes".to_owned(),
        Type::Array(of, n) => format!("{}[{n}]", spell_type(of, structs)),
        Type::Vector(of) => format!("vector<{}>", spell_type(of, structs)),
        Type::Struct(index) => structs[*index].name.clone(),
    }
}
