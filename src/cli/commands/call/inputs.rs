//! The values of a task's fields, from the command line and from files.

use std::fs::File;
use std::io::{self, Read};

use chimaera_description::{spell_type, Body, Direction, Field, Struct, Type, Value};
use chimaera_yaml::nearest;

use crate::context::Failed;

/// The largest file whose contents can be an argument.
const MAX_FILE: u64 = 1 << 30;

/// `NAME=VALUE` on the command line.
pub(crate) type Pair = (String, String);

/// Splits `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<Pair, String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// What the user has said of a method's fields.
pub(super) struct Given<'g> {
    pub(super) values: &'g [Pair],
    pub(super) files: &'g [Pair],
    /// Inputs that nobody gives are zero or empty.
    pub(super) zero: bool,
}

/// The inputs of a method and their values, in order.
pub(super) fn read<'b>(
    body: &'b Body,
    structs: &[Struct],
    method: &str,
    given: &Given<'_>,
) -> Result<Vec<(&'b Field, Value)>, Failed> {
    let names = given.values.iter().chain(given.files).map(|(name, _)| name);
    for name in names {
        known(body, method, name, Direction::Out)?;
    }
    let mut inputs = Vec::new();
    let mut missing = Vec::new();
    for field in body.inputs() {
        match value(field, structs, given)? {
            Some(value) => inputs.push((field, value)),
            None if given.zero => inputs.push((field, Value::zero(&field.ty, structs))),
            None => missing.push(field),
        }
    }
    if missing.is_empty() {
        return Ok(inputs);
    }
    let missing: Vec<String> = missing
        .iter()
        .map(|field| {
            let doc = field.doc.as_deref().and_then(|doc| doc.lines().next());
            let doc = doc.map_or(String::new(), |doc| format!("  {doc}"));
            format!("\n  {}={}{doc}", field.name, spell_type(&field.ty, structs))
        })
        .collect();
    Err(Failed::Usage(format!(
        "{method} needs values for these fields, or --zero for zero and empty ones:{}",
        missing.concat()
    )))
}

/// The field with this name. It must not be of the direction `not`.
pub(super) fn known<'b>(
    body: &'b Body,
    method: &str,
    name: &str,
    not: Direction,
) -> Result<&'b Field, Failed> {
    let found = body.field(name).filter(|field| field.direction != Direction::Skip);
    match found {
        Some(field) if field.direction == not => {
            let is = if not == Direction::Out { "a result" } else { "an input" };
            Err(Failed::Usage(format!("'{name}' is {is} of {method}")))
        }
        Some(field) => Ok(field),
        None => {
            let fields: Vec<&str> = match not {
                Direction::Out => body.inputs().map(|field| &field.name[..]).collect(),
                _ => body.outputs().map(|field| &field.name[..]).collect(),
            };
            let help = match nearest(name, &fields) {
                Some(near) => format!("did you mean '{near}'?"),
                None if fields.is_empty() => "it has none".to_owned(),
                None => format!("it has {}", fields.join(", ")),
            };
            Err(Failed::Usage(format!("{method} has no field '{name}': {help}")))
        }
    }
}

/// What is given for a field. Of a vector, several values are its elements.
fn value(field: &Field, structs: &[Struct], given: &Given<'_>) -> Result<Option<Value>, Failed> {
    let name = &field.name;
    let wrong = |why: String| {
        Failed::Usage(format!("field '{name}' ({}): {why}", spell_type(&field.ty, structs)))
    };
    let texts = of(given.values, name);
    let files = of(given.files, name);
    match (&texts[..], &files[..]) {
        ([], []) => Ok(None),
        ([text], []) => Value::from_text(text, &field.ty, structs).map(Some).map_err(wrong),
        ([], [path]) => from_file(path, field, wrong).map(Some),
        (texts, []) => match &field.ty {
            Type::Vector(of) => texts
                .iter()
                .map(|text| Value::from_text(text, of, structs))
                .collect::<Result<_, _>>()
                .map(|all| Some(Value::List(all)))
                .map_err(wrong),
            _ => Err(wrong("is given more than once".to_owned())),
        },
        _ => Err(wrong("is given more than once".to_owned())),
    }
}

fn of<'p>(pairs: &'p [Pair], name: &str) -> Vec<&'p str> {
    pairs.iter().filter(|(other, _)| other == name).map(|(_, value)| &value[..]).collect()
}

/// The contents of a file: as they are for text, bytes and vectors of numbers, as JSON for everything else.
fn from_file(path: &str, field: &Field, wrong: impl Fn(String) -> Failed) -> Result<Value, Failed> {
    let failed =
        |error: io::Error| Failed::Message(format!("--file {}={path}: {error}", field.name));
    let bytes = contents(path).map_err(failed)?;
    let is_raw = match &field.ty {
        Type::String | Type::Bytes => true,
        Type::Vector(of) => matches!(**of, Type::Scalar(_)),
        _ => false,
    };
    if is_raw {
        return Ok(Value::Bytes(bytes));
    }
    let text = String::from_utf8(bytes).map_err(|error| wrong(format!("{path}: {error}")))?;
    Value::from_json_text(&text).map_err(|why| wrong(format!("{path}: {why}")))
}

fn contents(path: &str) -> io::Result<Vec<u8>> {
    let source: Box<dyn Read> = match path {
        "-" => Box::new(io::stdin()),
        _ => Box::new(File::open(path)?),
    };
    let mut bytes = Vec::new();
    source.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_FILE {
        true => Err(io::Error::other("has more than 1 GiB")),
        false => Ok(bytes),
    }
}
