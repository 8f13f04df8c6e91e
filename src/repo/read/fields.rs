//! Reads fields: their names, types and directions.

use chimaera_yaml::{shown, text, Entry, Kind, Position, Report, Section, Text};

use chimaera_description::{parse_type, spell_type};

use crate::model::{is_plain, Body, Direction, Struct, Type, TASK_HEADER};
use crate::names;

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
    let found = Direction::by_name(&text).filter(|direction| *direction != Direction::Skip);
    if found.is_none() {
        let message = format!("`{}` is not a direction", shown(&text));
        report.add(at, message, "write `in`, `out` or `inout`");
    }
    found
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
    let ty = match parse_type(&text, structs).and_then(|ty| restrict(&ty, structs).map(|()| ty)) {
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

/// Refuses the types that tasks may have, but not those that a file describes: generated clients have no calls for
/// them.
fn restrict(ty: &Type, structs: &[Struct]) -> Result<(), (String, String)> {
    match ty {
        Type::Array(of, _) => match **of {
            Type::Scalar(_) | Type::Struct(_) => Ok(()),
            _ => Err((
                "an array of something other than numbers or plain structs".into(),
                "use a vector: `vector<string>`, for example".into(),
            )),
        },
        Type::Vector(of) => {
            let allowed = match &**of {
                Type::Vector(inner) => is_plain(inner, structs) && **inner != Type::Bool,
                Type::Bool | Type::Array(..) => false,
                _ => true,
            };
            match allowed {
                true => restrict(of, structs),
                false => Err((
                    format!("a vector of `{}`", spell_type(of, structs)),
                    "vectors hold numbers, strings, bytes, structs, and vectors of numbers or plain \
                     structs"
                        .into(),
                )),
            }
        }
        _ => Ok(()),
    }
}
