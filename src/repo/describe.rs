//! Reading the sections `structs` and `tasks` of `chimaera_mod.yaml`.

use std::collections::BTreeMap;

use chimaera_abi::{CHI_MAX_TASK_SIZE, CHI_METHOD_CUSTOM};
use chimaera_yaml::{nearest, shown, text, Entry, Kind, Position, Report, Section, Text};

use crate::fields::{is_plain, parse, Body, Described, Direction, Struct, Type, TASK_HEADER};
use crate::module::Method;
use crate::names;

/// The longest name of a field: what is made of it still fits into a line.
const MAX_FIELD_NAME: usize = 20;

/// Names that a field of a task cannot have: the generated code has others of them.
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

/// Names that a call cannot have: clients in Rust have functions of these names.
const TAKEN_CALLS: &[&str] = &["create_with", "from_pool", "pool_id", "task", "with_query"];

/// The structs of the section `structs`.
pub(crate) fn read_structs(
    entry: Option<Entry>,
    with_params: bool,
    report: &mut Report,
) -> Vec<Struct> {
    let mut structs: Vec<Struct> = Vec::new();
    let Some(section) = entry.and_then(|entry| Section::open(entry.value, "`structs`", report))
    else {
        return structs;
    };
    for entry in section.into_entries() {
        let (name, at) = (entry.key, entry.at);
        let camel = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|b| b.is_ascii_alphanumeric());
        if !camel || names::refuse_name(&name).is_some() {
            report.add(
                at,
                format!("`{}` is no name of a struct", shown(&name)),
                "write words that begin with capitals, `FileExtent` for example",
            );
        } else if name.ends_with("Task")
            || ["Client", "Method", "Runtime"].contains(&&name[..])
            || with_params && ["Create", "Params", "ParamsDefault"].contains(&&name[..])
        {
            report.add(
                at,
                format!("the generated code has another `{name}`"),
                "choose another name",
            );
        }
        // What is made for a struct has these names: the copies in C++ and Rust, the functions in C.
        let made = |of: &str, other: &str| {
            of.strip_prefix(other).is_some_and(|rest| ["Value", "Set", "SetAll"].contains(&rest))
        };
        if let Some(other) =
            structs.iter().find(|other| made(&name, &other.name) || made(&other.name, &name))
        {
            report.add(
                at,
                format!("`{name}` would be the name of something made for `{}`", other.name),
                "choose another name",
            );
        }
        let what = format!("the struct `{}`", shown(&name));
        let Some(mut section) = Section::open(entry.value, what, report) else { continue };
        let doc = section.text("doc", report).map(|text| text.text);
        let fields = section.take("fields");
        section.close("", report);
        let body = read_fields(fields, at, false, &structs, report);
        let plain = body.fields.iter().all(|field| is_plain(&field.ty, &structs));
        if body.fields.is_empty() {
            report.add(at, format!("`{name}` has no fields"), "write some under `fields:`");
        }
        structs.push(Struct { name, doc, body, plain });
    }
    structs
}

/// The tasks of the section `tasks`, by the methods' names.
pub(crate) fn read_tasks(
    entry: Option<Entry>,
    methods: &[Method],
    structs: &[Struct],
    report: &mut Report,
) -> BTreeMap<String, Described> {
    let mut tasks = BTreeMap::new();
    let Some(section) = entry.and_then(|entry| Section::open(entry.value, "`tasks`", report))
    else {
        return tasks;
    };
    for entry in section.into_entries() {
        let (name, at) = (entry.key, entry.at);
        let custom = methods.iter().any(|m| {
            m.name == name && m.supported && m.number.is_some_and(|n| n >= CHI_METHOD_CUSTOM)
        });
        if !custom {
            let known: Vec<&str> = methods.iter().map(|method| &method.name[..]).collect();
            let help = match nearest(&name, &known) {
                Some(near) if near != name => format!("did you mean `{near}`?"),
                _ => "describe custom methods that have a number above".into(),
            };
            report.add(at, format!("no custom method `{}` is supported", shown(&name)), help);
        }
        if TAKEN_CALLS.contains(&&names::snake(&name)[..]) {
            report.add(
                at,
                format!("the generated clients have another `{}`", names::snake(&name)),
                "choose another name for the method",
            );
        }
        let what = format!("the task of `{}`", shown(&name));
        let Some(mut section) = Section::open(entry.value, what, report) else { continue };
        let doc = section.text("doc", report).map(|text| text.text);
        let fields = section.take("fields");
        section.close("", report);
        let body = fields.map(|fields| {
            let body = read_fields(Some(fields), at, true, structs, report);
            if body.size > CHI_MAX_TASK_SIZE {
                report.add(
                    at,
                    format!("the task of `{name}` has {} bytes", body.size),
                    format!("a task has at most {CHI_MAX_TASK_SIZE}: put bulk into vectors"),
                );
            }
            body
        });
        tasks.insert(name, Described { doc, body });
    }
    tasks
}

/// A list of fields, of a task or of a struct.
fn read_fields(
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
                "write a list, for fields have an order: `- {name: size, type: u64}`",
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

pub(crate) fn read_name(
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
        "has capitals".into()
    } else if TAKEN.contains(&&text[..]) || text.starts_with("reserved") {
        "is the name of something else in the generated code".into()
    } else if body.fields.iter().any(|other| other.name == text) {
        "is the name of two fields".into()
    } else if let Some(other) = body.fields.iter().find(|other| {
        // In C, an array of any length comes with its length.
        let counts = |a: &str, b: &str| {
            let lengths = ["_size", "_sizes", "_count", "_counts"];
            a.strip_prefix(b).is_some_and(|rest| lengths.contains(&rest))
        };
        counts(&text, &other.name) || counts(&other.name, &text)
    }) {
        format!("would be the length of `{}`, or the other way round, for C", other.name)
    } else {
        return Some(text);
    };
    report.add(
        at,
        format!("`{}` {why}", shown(&text)),
        "write another word in small letters, `block_size` for example",
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
            let message = format!("`{}` is no direction", shown(other));
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
    // A struct in a vector is written as a whole, with strings and vectors of plain data directly in it.
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
            "in structs lie plain structs, strings, bytes, and vectors of numbers or plain structs",
        );
        return None;
    }
    Some(ty)
}
