//! A module's description as JSON.

use chimaera_abi::CHI_MAX_FIELD_DEPTH;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::spelling::{parse_type, shown, spell_type};
use crate::types::{Body, Direction, Field, Struct, Type, TASK_HEADER};

/// The format of descriptions that this version writes and reads.
pub const FORMAT: u32 = 1;

/// The longest description, in bytes.
pub const MAX_DESCRIPTION: usize = 1 << 20;

/// The most levels on which structs are nested in structs.
const MAX_NESTING: u32 = 64;

/// The most strings and vectors in a task, those in elements of vectors counted once.
const MAX_PLACES: u64 = 65_536;

/// The largest numbers of structs, of tasks, and of fields in one of them.
const MAX_STRUCTS: usize = 1024;
const MAX_TASKS: usize = chimaera_abi::CHI_METHOD_LIMIT as usize;
const MAX_FIELDS: usize = 1024;

/// What a module says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// What the module is for.
    pub about: Option<String>,
    /// The structs that fields can be of; each may contain those before it.
    pub structs: Vec<Struct>,
    /// With what its pools are created, if it says so.
    pub params: Option<Params>,
    /// The tasks of its own methods.
    pub tasks: Vec<Described>,
}

/// The task of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The method's name, `kPut` for example.
    pub method: String,
    /// What the method does.
    pub doc: Option<String>,
    /// Its fields; `None` if the module does not describe them.
    pub body: Option<Body>,
}

/// The parameters of a module's pools.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// What they are for.
    pub doc: Option<String>,
    /// In order.
    pub fields: Vec<Param>,
}

/// A parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its type: that of a number, `bool`, `string`, or `pool` for the name of one.
    #[serde(rename = "type")]
    pub ty: String,
    /// A byte before the value says whether there is one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// The words for its numbers, if words are its values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<Word>,
    /// What it is if nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doc: Option<String>,
}

/// A word for a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// The word.
    pub name: String,
    /// The number.
    pub value: i128,
}

fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Serialize, Deserialize)]
struct File {
    format: u32,
    #[serde(default)]
    about: Option<String>,
    #[serde(default)]
    structs: Vec<StructEntry>,
    #[serde(default)]
    params: Option<ParamsEntry>,
    #[serde(default)]
    tasks: Vec<TaskEntry>,
}

#[derive(Serialize, Deserialize)]
struct StructEntry {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doc: Option<String>,
    fields: Vec<FieldEntry>,
}

#[derive(Serialize, Deserialize)]
struct ParamsEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doc: Option<String>,
    fields: Vec<Param>,
}

#[derive(Serialize, Deserialize)]
struct TaskEntry {
    method: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doc: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<FieldEntry>>,
}

#[derive(Serialize, Deserialize)]
struct FieldEntry {
    name: String,
    #[serde(rename = "type")]
    ty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dir: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doc: Option<String>,
}

impl FieldEntry {
    fn of(field: &Field, in_task: bool, structs: &[Struct]) -> FieldEntry {
        FieldEntry {
            name: field.name.clone(),
            ty: spell_type(&field.ty, structs),
            // Both ways is what it means if nothing is said.
            dir: (in_task && field.direction != Direction::InOut)
                .then(|| field.direction.name().to_owned()),
            doc: field.doc.clone(),
        }
    }

    fn all(body: &Body, in_task: bool, structs: &[Struct]) -> Vec<FieldEntry> {
        body.fields.iter().map(|field| FieldEntry::of(field, in_task, structs)).collect()
    }
}

impl Description {
    /// The task of the method with this name.
    pub fn task(&self, method: &str) -> Option<&Described> {
        self.tasks.iter().find(|task| task.method == method)
    }

    /// Its JSON in pieces, which are valid only together: short lines for generated code.
    pub fn to_json(&self) -> Vec<String> {
        let mut pieces = vec![format!("{{\"format\":{FORMAT}")];
        let mut entry = |name: &str, value: Json| pieces.push(format!(",\"{name}\":{value}"));
        if let Some(about) = &self.about {
            entry("about", Json::from(&about[..]));
        }
        if let Some(params) = &self.params {
            let params = ParamsEntry { doc: params.doc.clone(), fields: params.fields.clone() };
            entry("params", json(&params));
        }
        let structs = self.structs.iter().map(|found| {
            json(&StructEntry {
                name: found.name.clone(),
                doc: found.doc.clone(),
                fields: FieldEntry::all(&found.body, false, &self.structs),
            })
        });
        add_list(&mut pieces, "structs", structs);
        let tasks = self.tasks.iter().map(|task| {
            let fields = task.body.as_ref();
            json(&TaskEntry {
                method: task.method.clone(),
                doc: task.doc.clone(),
                fields: fields.map(|body| FieldEntry::all(body, true, &self.structs)),
            })
        });
        add_list(&mut pieces, "tasks", tasks);
        pieces.push("}".to_owned());
        pieces
    }

    /// Reads a description, which may come from anyone.
    ///
    /// # Errors
    /// Why it is none.
    pub fn from_json(text: &str) -> Result<Description, String> {
        // One that a module has is somewhat longer when it is written anew.
        if text.len() > 2 * MAX_DESCRIPTION {
            let length = text.len();
            return Err(format!("has {length} bytes, more than {MAX_DESCRIPTION}"));
        }
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if file.format != FORMAT {
            let format = file.format;
            return Err(format!("has format {format}; this version reads format {FORMAT}"));
        }
        if file.structs.len() > MAX_STRUCTS || file.tasks.len() > MAX_TASKS {
            return Err("has too many structs or tasks".to_owned());
        }
        let mut structs: Vec<Struct> = Vec::new();
        let mut extents: Vec<Extent> = Vec::new();
        for entry in file.structs {
            let is_taken = parse_type(&entry.name, &structs).is_ok();
            if !is_word(&entry.name) || is_taken {
                let name = shown(&entry.name);
                return Err(format!("the name of the struct '{name}' is malformed or not its own"));
            }
            let (body, extent) = read(entry.fields, 0, &structs, &extents)
                .map_err(|why| format!("struct {}: {why}", entry.name))?;
            if body.size == 0 {
                return Err(format!("struct {} is empty", entry.name));
            }
            let plain = body.fields.iter().all(|field| crate::types::is_plain(&field.ty, &structs));
            structs.push(Struct { name: entry.name, doc: entry.doc, body, plain });
            extents.push(Extent { structs: extent.structs + 1, ..extent });
        }
        let mut tasks: Vec<Described> = Vec::new();
        for entry in file.tasks {
            let method = entry.method;
            if !is_word(&method) || tasks.iter().any(|other| other.method == method) {
                let name = shown(&method);
                return Err(format!("the name of the method '{name}' is malformed or not its own"));
            }
            let body = entry.fields.map(|fields| read(fields, TASK_HEADER, &structs, &extents));
            let body = body.transpose().map_err(|why| format!("{method}: {why}"))?;
            let body = body.map(|(body, _)| body);
            tasks.push(Described { method, doc: entry.doc, body });
        }
        let params = file.params.map(|entry| Params { doc: entry.doc, fields: entry.fields });
        if let Some(params) = &params {
            for (index, param) in params.fields.iter().enumerate() {
                let name = shown(&param.name);
                let is_taken = params.fields[..index].iter().any(|other| other.name == param.name);
                if !is_word(&param.name) || !is_word(&param.ty) || is_taken {
                    return Err(format!("the parameter '{name}' is malformed or not its own"));
                }
                if param.words.len() > MAX_FIELDS
                    || !param.words.iter().all(|word| is_word(&word.name))
                {
                    return Err(format!("the words of the parameter '{name}' are malformed"));
                }
                if matches!(param.default, Some(Json::Array(_) | Json::Object(_))) {
                    return Err(format!("the default of the parameter '{name}' is no plain value"));
                }
            }
        }
        Ok(Description { about: file.about, structs, params, tasks })
    }
}

/// Structs of strings, numbers and lists have a JSON form.
fn json(value: &impl Serialize) -> Json {
    serde_json::to_value(value).unwrap_or_default()
}

fn add_list(pieces: &mut Vec<String>, name: &str, items: impl Iterator<Item = Json>) {
    pieces.push(format!(",\"{name}\":["));
    for (index, item) in items.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        pieces.push(format!("{comma}{item}"));
    }
    pieces.push("]".to_owned());
}

/// How far a type, or all fields of a struct, extend. Whoever walks through them is done soon.
#[derive(Clone, Copy, Default)]
struct Extent {
    /// The levels of structs.
    structs: u32,
    /// The levels of vectors, a string being one.
    vectors: u32,
    /// The number of strings and vectors.
    places: u64,
}

impl Extent {
    /// That of a type; `known` has those of the structs.
    fn of(ty: &Type, known: &[Extent]) -> Extent {
        match ty {
            Type::Scalar(_) | Type::Bool => Extent::default(),
            Type::String | Type::Bytes => Extent { structs: 0, vectors: 1, places: 1 },
            Type::Struct(index) => known[*index],
            Type::Array(of, _) => Extent::of(of, known),
            Type::Vector(of) => {
                let of = Extent::of(of, known);
                Extent { vectors: of.vectors + 1, places: of.places.saturating_add(1), ..of }
            }
        }
    }

    fn with(self, other: Extent) -> Extent {
        Extent {
            structs: self.structs.max(other.structs),
            vectors: self.vectors.max(other.vectors),
            places: self.places.saturating_add(other.places),
        }
    }
}

/// Reads the fields of a struct, or of a task after its header.
fn read(
    fields: Vec<FieldEntry>,
    start: u32,
    structs: &[Struct],
    known: &[Extent],
) -> Result<(Body, Extent), String> {
    if fields.len() > MAX_FIELDS {
        return Err(format!("{} fields, more than {MAX_FIELDS}", fields.len()));
    }
    let (mut body, mut extent) = (Body::new(start), Extent::default());
    for entry in fields {
        let name = shown(&entry.name);
        if !is_word(&entry.name) || body.field(&entry.name).is_some() {
            return Err(format!("the name of the field '{name}' is malformed or not its own"));
        }
        let ty = parse_type(&entry.ty, structs).map_err(|(why, _)| format!("{name}: {why}"))?;
        let direction = match entry.dir {
            None => Direction::InOut,
            Some(dir) => Direction::by_name(&dir)
                .ok_or_else(|| format!("{name}: '{}' is no direction", shown(&dir)))?,
        };
        extent = extent.with(Extent::of(&ty, known));
        body.push((entry.name, entry.doc), ty, direction, structs);
    }
    if extent.structs >= MAX_NESTING
        || extent.vectors > CHI_MAX_FIELD_DEPTH
        || extent.places > MAX_PLACES
    {
        return Err("structs or vectors are nested too deep, or there are too many".to_owned());
    }
    // Sizes that would wrap saturate.
    match body.size > i32::MAX as u32 {
        true => Err("too large".to_owned()),
        false => Ok((body, extent)),
    }
}

/// Whether a name consists of letters, digits and underscores, and is not long.
fn is_word(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"format":1,"about":"Keeps things.","params":{"fields":[
        {"name":"level","type":"i32","default":3,"doc":"How much"}]},
        "structs":[{"name":"Extent","fields":[{"name":"start","type":"u64"},
        {"name":"blocks","type":"u32"}]}],"tasks":[{"method":"kKeep","doc":"Keeps.","fields":[
        {"name":"key","type":"string","dir":"in"},{"name":"at","type":"vector<Extent>",
        "dir":"out","doc":"Where"},{"name":"pad","type":"u8[4]","dir":"skip"}]},
        {"method":"kOther"}]}"#;

    #[test]
    fn what_is_written_is_read_alike() {
        let read = Description::from_json(TEXT).unwrap();
        let task = read.task("kKeep").unwrap().body.as_ref().unwrap();
        assert_eq!(task.field("at").unwrap().offset, 64 + 40);
        assert_eq!(task.size, 64 + 40 + 40 + 8);
        assert!(read.task("kOther").unwrap().body.is_none());
        assert_eq!(Description::from_json(&read.to_json().concat()).unwrap(), read);
    }

    #[test]
    fn what_is_malformed_is_refused_with_a_reason() {
        let long = format!("{}{}", "u8", "[1]".repeat(1000));
        let cases = [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"format":2}"#, "has format 2; this version reads format 1"),
            (r#"{"format":1,"structs":[{"name":"S","fields":[]}]}"#, "struct S is empty"),
            (
                r#"{"format":1,"tasks":[{"method":"k","fields":[{"name":"a b","type":"u8"}]}]}"#,
                "the name of the field 'a b' is malformed",
            ),
            (
                r#"{"format":1,"tasks":[{"method":"k","fields":[{"name":"a","type":"T"}]}]}"#,
                "k: a: unknown type `T`",
            ),
            (
                r#"{"format":1,"tasks":[{"method":"k","fields":[{"name":"a","type":"u8","dir":"up"}]}]}"#,
                "'up' is no direction",
            ),
        ];
        for (text, why) in cases {
            let found = Description::from_json(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
        let text = format!(
            r#"{{"format":1,"tasks":[{{"method":"k","fields":[{{"name":"a","type":"{long}"}}]}}]}}"#
        );
        let found = Description::from_json(&text).unwrap_err();
        assert!(found.contains("a type of 3002 characters"), "{found}");
    }

    /// Each struct has two vectors of the one before: whoever walked through them all would not come to an end.
    #[test]
    fn what_is_nested_too_deep_is_refused() {
        for field in ["vector<S{of}>", "S{of}"] {
            let mut structs =
                vec![r#"{"name":"S0","fields":[{"name":"a","type":"string"}]}"#.to_owned()];
            for n in 1..70 {
                let ty = field.replace("{of}", &(n - 1).to_string());
                structs.push(format!(
                    r#"{{"name":"S{n}","fields":[{{"name":"a","type":"{ty}"}},{{"name":"b","type":"{ty}"}}]}}"#
                ));
            }
            let text = format!(r#"{{"format":1,"structs":[{}]}}"#, structs.join(","));
            let found = Description::from_json(&text).unwrap_err();
            assert!(found.contains("nested too deep, or there are too many"), "{found}");
        }
    }

    /// Each struct has 4096 of the one before.
    #[test]
    fn sizes_do_not_wrap() {
        let mut structs =
            vec![r#"{"name":"S0","fields":[{"name":"a","type":"u64[4096]"}]}"#.to_owned()];
        for n in 1..20 {
            let of = n - 1;
            structs.push(format!(
                r#"{{"name":"S{n}","fields":[{{"name":"a","type":"S{of}[4096]"}}]}}"#
            ));
        }
        let text = format!(r#"{{"format":1,"structs":[{}]}}"#, structs.join(","));
        let found = Description::from_json(&text).unwrap_err();
        assert!(found.contains("too large"), "{found}");
    }
}
