//! What a module says of its tasks, for `chi_module_descriptor.description`.

use chimaera_abi::CHI_METHOD_CUSTOM;
use chimaera_description::{Body, Described, Description, Param, Params, Struct, Type};
use serde_json::Value as Json;

use crate::model::{Module, RustTasks, Value};
use crate::read::foreign;

/// The description of a module, in pieces of JSON that are valid only together; `None` if there is nothing to say.
pub(super) fn pieces(module: &Module) -> Option<Vec<String>> {
    let description = of(module);
    let says = description.params.is_some() || !description.tasks.is_empty();
    says.then(|| description.to_json())
}

fn of(module: &Module) -> Description {
    let mut structs = module.structs.clone();
    let mut by_hand = Vec::new();
    if let Some(tasks) = &module.rust_tasks {
        by_hand = of_rust(tasks, &mut structs);
    }
    let methods = module.supported().filter(|(number, _)| *number >= CHI_METHOD_CUSTOM);
    let tasks = methods.map(|(_, method)| {
        let in_yaml = module.tasks.get(&method.name);
        let name = format!("{}Task", method.stem());
        let in_rust = by_hand.iter().find(|(found, ..)| *found == name);
        let doc = in_yaml.and_then(|task| task.doc.clone());
        Described {
            method: method.name.clone(),
            doc: doc.or_else(|| in_rust.and_then(|(_, doc, _)| doc.clone())),
            body: in_yaml
                .and_then(|task| task.body.clone())
                .or_else(|| in_rust.map(|(.., body)| body.clone())),
        }
    });
    let tasks = tasks.filter(|task| task.doc.is_some() || task.body.is_some()).collect();
    let params = module.params.as_ref().map(|params| Params {
        doc: params.doc.clone(),
        fields: params
            .fields()
            .map(|(field, default)| Param {
                name: field.name.clone(),
                ty: match params.is_pool(field) {
                    true => "pool".to_owned(),
                    false => chimaera_description::spell_type(&field.ty, &structs),
                },
                optional: false,
                words: Vec::new(),
                default: Some(json(default)),
                doc: field.doc.clone(),
            })
            .collect(),
    });
    Description { about: module.description.clone(), structs, params, tasks }
}

fn json(value: &Value) -> Json {
    match value {
        // 64 bits at most, with or without a sign.
        Value::Integer(value) => {
            i64::try_from(*value).map_or_else(|_| Json::from(*value as u64), Json::from)
        }
        Value::Float(value) => Json::from(*value),
        Value::Bool(value) => Json::from(*value),
        Value::Text(text) => Json::from(&text[..]),
    }
}

/// A task in Rust: its name, its documentation and its fields.
type RustTask = (String, Option<String>, Body);

/// Adds the structs that tasks in Rust use to `structs`, and returns the tasks.
fn of_rust(tasks: &RustTasks, structs: &mut Vec<Struct>) -> Vec<RustTask> {
    let foreign = foreign();
    // In the source, structs have the numbers in which they were read, after those of the contract.
    let mut numbers: Vec<Option<usize>> = vec![None; foreign.len() + tasks.structs.len()];
    let mut found = Vec::new();
    for (index, read) in tasks.structs.iter().enumerate() {
        let mut body = read.body.clone();
        for field in &mut body.fields {
            renumber(&mut field.ty, &mut numbers, &foreign, structs);
            field.doc = field.doc.as_deref().and_then(without_direction);
        }
        let doc = Some(read.doc.clone()).filter(|doc| !doc.is_empty());
        if read.is_task {
            found.push((read.name(), doc.as_deref().map(first_sentence), body));
        } else {
            structs.push(Struct { name: read.name(), doc, body, plain: read.plain });
            numbers[foreign.len() + index] = Some(structs.len() - 1);
        }
    }
    found
}

/// Replaces a struct's number in the source by that in `structs`, to which those of the contract are added when they are
/// used.
fn renumber(
    ty: &mut Type,
    numbers: &mut [Option<usize>],
    foreign: &[Struct],
    structs: &mut Vec<Struct>,
) {
    match ty {
        Type::Array(of, _) | Type::Vector(of) => renumber(of, numbers, foreign, structs),
        Type::Struct(index) => {
            let known = numbers[*index].unwrap_or_else(|| {
                structs.push(foreign[*index].clone());
                structs.len() - 1
            });
            numbers[*index] = Some(known);
            *index = known;
        }
        _ => {}
    }
}

/// The documentation of a field without the word for its direction with which it begins.
fn without_direction(doc: &str) -> Option<String> {
    let words = ["In and out", "Inout", "In", "Out"];
    let rest = words.iter().find_map(|word| doc.strip_prefix(word)?.strip_prefix([':', '.']));
    let rest = rest.unwrap_or(doc).trim();
    let mut letters = rest.chars();
    let first = letters.next()?;
    Some(first.to_uppercase().chain(letters).collect())
}

/// The first sentence of a documentation, without the method's name before it.
fn first_sentence(doc: &str) -> String {
    let doc = match doc.split_once(": ") {
        Some((name, rest)) if name.starts_with('`') => rest,
        _ => doc,
    };
    let sentence =
        doc.split_once(".\n").or_else(|| doc.split_once(". ")).map_or(doc, |(one, _)| one);
    let mut letters =
        sentence.trim_end_matches('.').split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(first) = letters.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
    letters + "."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documentation_is_made_short() {
        assert_eq!(first_sentence("`kPut`: stores a\nvalue. Or not."), "Stores a value.");
        assert_eq!(without_direction("Out: 1 if it existed."), Some("1 if it existed.".into()));
        assert_eq!(without_direction("In."), None);
        assert_eq!(without_direction("Inside."), Some("Inside.".into()));
    }
}
