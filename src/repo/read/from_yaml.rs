//! Reads the sections `structs` and `tasks` of `chimaera_mod.yaml`.

use std::collections::BTreeMap;

use chimaera_abi::{CHI_MAX_TASK_SIZE, CHI_METHOD_CUSTOM};
use chimaera_yaml::{nearest, shown, Entry, Meaning, Report, Section};

use super::fields::read_fields;
use crate::model::{is_plain, Method, Struct, TaskFromYaml};
use crate::names;

/// Names that a call cannot have because clients in Rust have functions of these names.
const TAKEN_CALLS: &[&str] =
    &["create_with", "find_pool", "from_pool", "pool_id", "task", "with_query"];

/// The structs of the section `structs`.
pub(super) fn read_structs(
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
                format!("`{}` is not a valid struct name", shown(&name)),
                "write words that begin with capitals, `FileExtent` for example",
            );
        } else if name.ends_with("Task")
            || ["Client", "DescribedClient", "Method", "Runtime"].contains(&&name[..])
            || with_params && ["Create", "Params", "ParamsDefault"].contains(&&name[..])
        {
            report.add(
                at,
                format!("the generated code already has a `{name}`"),
                "choose another name",
            );
        }
        // Names derived from a struct: its copies in C++ and Rust, its functions in C.
        let made = |of: &str, other: &str| {
            of.strip_prefix(other).is_some_and(|rest| ["Value", "Set", "SetAll"].contains(&rest))
        };
        if let Some(other) =
            structs.iter().find(|other| made(&name, &other.name) || made(&other.name, &name))
        {
            report.add(
                at,
                format!("`{name}` is also the name of generated code for `{}`", other.name),
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

/// The tasks of the section `tasks`, by method name.
pub(super) fn read_tasks(
    entry: Option<Entry>,
    methods: &[Method],
    structs: &[Struct],
    report: &mut Report,
) -> BTreeMap<String, TaskFromYaml> {
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
            let shown = shown(&name);
            let (what, help) = match methods.iter().find(|method| method.name == name) {
                Some(method) if method.is_inherited() => (
                    format!("`{shown}` has a task of its own already"),
                    "describe the tasks of custom methods, whose numbers begin with 10".to_owned(),
                ),
                Some(_) => (
                    format!("`{shown}` is not supported"),
                    "give it a number above, from 10, or remove its task".to_owned(),
                ),
                None => (
                    format!("there is no method `{shown}`"),
                    nearest(&name, &known).map_or_else(
                        || format!("give it a number above: `{shown}: 10`"),
                        |near| format!("did you mean `{near}`?"),
                    ),
                ),
            };
            report.add(at, what, help);
        }
        if TAKEN_CALLS.contains(&&names::snake(&name)[..]) {
            report.add(
                at,
                format!("the generated clients already have a `{}`", names::snake(&name)),
                "choose another name for the method",
            );
        }
        // Names derived from a method.
        let made = |found: &&Struct| {
            found
                .name
                .strip_prefix(name.strip_prefix('k').unwrap_or(&name))
                .is_some_and(|rest| ["Result", "Hooks"].contains(&rest))
        };
        if let Some(other) = structs.iter().find(made) {
            report.add(
                at,
                format!(
                    "the generated code for `{}` also has the name `{}`",
                    shown(&name),
                    other.name
                ),
                "choose another name for the struct",
            );
        }
        let what = format!("the task of `{}`", shown(&name));
        let Some(mut section) = Section::open(entry.value, what, report) else { continue };
        let doc = section.text("doc", report).map(|text| text.text);
        let idempotent = section.take("idempotent");
        let idempotent = idempotent.is_some_and(|entry| read_bool(entry, report));
        let fields = section.take("fields");
        section.close("", report);
        let body = fields.map(|fields| {
            let body = read_fields(Some(fields), at, true, structs, report);
            if body.size > CHI_MAX_TASK_SIZE {
                report.add(
                    at,
                    format!("the task of `{name}` has {} bytes", body.size),
                    format!("the limit is {CHI_MAX_TASK_SIZE}: put bulk data into vectors"),
                );
            }
            body
        });
        tasks.insert(name, TaskFromYaml { doc, idempotent, body });
    }
    tasks
}

/// Reads `true` or `false`.
fn read_bool(entry: Entry, report: &mut Report) -> bool {
    match entry.value.meaning() {
        Some(Meaning::Bool(value)) => value,
        _ => {
            let what = format!("`{}` is {}", shown(&entry.key), entry.value.describe());
            report.add(entry.value.at, what, "write `true` or `false`");
            false
        }
    }
}
