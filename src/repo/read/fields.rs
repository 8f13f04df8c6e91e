//! Reads fields: their names, types and directions.

use chimaera_yaml::{shown, text, Entry, Kind, Position, Report, Section, Text};

use crate::model::{is_plain, Body, Direction, Scalar, Struct, Type, MAX_ARRAY, TASK_HEADER};
use crate::names;

/// Characters allowed around the parts of a type.
const SPACES: [char; 2] = [' ', '\t'];

/// The longest field name allowed: names derived from it still fit into a line.
const MAX_FIELD_NAME: usize = 20;

/// Names that a field of a task cannot have because the generated code uses them itself.
const TAKEN: &[&str] = &[
    "alloc",
    "base",
    "dom_query",
    "done",
    "from",
    "item",
    "made",
    "mctx",
    "message",
    "method",
    "pending",
    "period_ns",
    "pool",
    "pool_id",
    "query",
    "result",
    "shared",
    "state",
    "status",
    "task",
    "task_flags",
    "task_node",
];

/// Reads the fields of a task or of a struct.
pub(super) fn read_fields(
    entry: Option<Entry>,
    owner: Position,
    in_task: bool,
    structs: &[Struct],
    report: &mut Report,
) -> Body {
    let mut body = Body::new(if in_task { TASK_HEADER } else { 0 });
    let Some(entry) = entry else {
        report.add(owner, "no `fields`", "list them: `fields: [{name: size, type: u64}]`");
        return body;
    };
    let items = match entry.value.kind {
        Kind::Sequence(items) => items,
        Kind::Refused => return body,
        _ => {
            report.add(
                entry.value.at,
                format!("`fields` is {}", entry.value.describe()),
                "write a list, because fields have an order: `- {name: size, type: u64}`",
            );
            return body;
        }
    };
    for item in items {
        let at = item.at;
        let Some(mut section) = Section::open(item, "a field", report) else { continue };
        let name = section.text("name", report);
        let ty = section.text("type", report);
        let direction = if in_task { section.take("dir") } else { None };
        let doc = section.text("doc", report).map(|text| text.text);
        section.close("", report);
        let name = read_name(name, at, &body, report);
        let direction = match direction {
            Some(entry) => read_direction(entry, report),
            None if !in_task => Some(Direction::In),
            None => {
                report.add(at, "a field without `dir`", "write `dir: in`, `out` or `inout`");
                None
            }
        };
        let ty = read_type(ty, at, in_task, structs, report);
        if let (Some(name), Some(ty), Some(direction)) = (name, ty, direction) {
            body.push((name, doc), ty, direction, structs);
        }
    }
    body
}

pub(super) fn read_name(
    name: Option<Text>,
    field: Position,
    body: &Body,
    report: &mut Report,
) -> Option<String> {
    let Some(Text { text, at }) = name else {
        report.add(field, "a field without `name`", "write `name: size`, for example");
        return None;
    };
    let why = if let Some(why) = names::refuse_name(&text) {
        why
    } else if text.len() > MAX_FIELD_NAME {
        format!("has {} characters, more than {MAX_FIELD_NAME}", text.len())
    } else if text.bytes().any(|b| b.is_ascii_uppercase()) {
        "contains capitals".into()
    } else if TAKEN.contains(&&text[..]) || text.starts_with("reserved") {
        "is used for something else in the generated code".into()
    } else if body.fields.iter().any(|other| other.name == text) {
        "is already the name of another field".into()
    } else if let Some(other) = body.fields.iter().find(|other| {
        // In C, data of variable length is passed together with its length.
        let counts = |a: &str, b: &str| {
            let lengths = ["_size", "_sizes", "_count", "_counts"];
            a.strip_prefix(b).is_some_and(|rest| lengths.contains(&rest))
        };
        counts(&text, &other.name) || counts(&other.name, &text)
    }) {
        format!("clashes in C with `{}`: one would be the length of the other", other.name)
    } else {
        return Some(text);
    };
    report.add(
        at,
        format!("`{}` {why}", shown(&text)),
        "write another lowercase word, `block_size` for example",
    );
    None
}

fn read_direction(entry: Entry, report: &mut Report) -> Option<Direction> {
    let Text { text, at } = text(entry, report)?;
    match &text[..] {
        "in" => Some(Direction::In),
        "out" => Some(Direction::Out),
        "inout" => Some(Direction::InOut),
        other => {
            let message = format!("`{}` is not a direction", shown(other));
            report.add(at, message, "write `in`, `out` or `inout`");
            None
        }
    }
}

fn read_type(
    ty: Option<Text>,
    field: Position,
    in_task: bool,
    structs: &[Struct],
    report: &mut Report,
) -> Option<Type> {
    let Some(Text { text, at }) = ty else {
        report.add(field, "a field without `type`", "write `type: u64`, for example");
        return None;
    };
    let ty = match parse(&text, structs) {
        Ok(ty) => ty,
        Err((message, help)) => {
            report.add(at, message, help);
            return None;
        }
    };
    // A struct in a vector is written as a whole, so its strings and vectors of plain data must be
    // direct members.
    let too_deep = !in_task
        && match &ty {
            Type::Struct(index) => !structs[*index].plain,
            Type::Vector(of) => !is_plain(of, structs),
            _ => false,
        };
    if too_deep {
        report.add(
            at,
            format!("`{}` in a struct", shown(&text)),
            "structs hold plain structs, strings, bytes, and vectors of numbers or plain structs",
        );
        return None;
    }
    Some(ty)
}

/// The type that `text` names, or an error message and how to fix it.
pub(super) fn parse(text: &str, structs: &[Struct]) -> Result<Type, (String, String)> {
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
        let of = parse(of, structs)?;
        return match (&of, is_plain(&of, structs)) {
            (Type::Scalar(_) | Type::Struct(_), true) => Ok(Type::Array(Box::new(of), n)),
            _ => Err((
                "an array of something other than numbers or plain structs".into(),
                "use a vector: `vector<string>`, for example".into(),
            )),
        };
    }
    if let Some(of) = text.strip_prefix("vector<").and_then(|text| text.strip_suffix('>')) {
        let of = parse(of, structs)?;
        let allowed = match &of {
            Type::Vector(inner) => is_plain(inner, structs) && **inner != Type::Bool,
            Type::Bool | Type::Array(..) => false,
            _ => true,
        };
        return match allowed {
            true => Ok(Type::Vector(Box::new(of))),
            false => Err((
                format!("a vector of `{}`", shown(text)),
                "vectors hold numbers, strings, bytes, structs, and vectors of numbers or plain \
                 structs"
                    .into(),
            )),
        };
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
