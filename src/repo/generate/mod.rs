//! From what was read to the text of files. Nothing here touches the disk.

mod c;
mod cpp;
mod from_rust;
mod layout;
mod params;
mod rust;
mod serializers;

pub(crate) use layout::{call, declaration};

use chimaera_yaml::Problems;

use crate::model::{Body, Field, Language, Method, Module};

/// What the first lines of every generated file say. A file without it was written by a person.
pub(crate) const MARKER: &str = "Generated from chimaera_mod.yaml; do not edit.";

/// What a compiler says of a struct that it lays out in another way.
const OTHER_SIZE: &str = "another size than in the other languages";
const OTHER_PLACE: &str = "lies elsewhere in the other languages";

/// A file in the directory `autogen` of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The files that a module's `autogen` holds, by name.
///
/// Problems: those of the source of hand-written tasks.
pub(crate) fn files(module: &Module) -> Result<Vec<Generated>, Problems> {
    let mut files = match module.language {
        Language::Cpp => vec![cpp::dispatch::methods(module), cpp::dispatch::lib_exec(module)],
        Language::Rust => vec![rust::dispatch::methods(module), rust::dispatch::lib_exec(module)],
    };
    // What is described is for callers in every language.
    let is_described = module.params.is_some() || described(module).next().is_some();
    if module.language == Language::Rust && (is_described || module.rust_tasks.is_some()) {
        files.push(cpp::dispatch::methods(module));
    }
    if is_described {
        files.push(c::from_yaml::header(module));
        files.push(cpp::from_yaml::tasks(module));
        files.push(cpp::client::header(module));
        files.push(rust::from_yaml::file(module));
    }
    if let Some(tasks) = &module.rust_tasks {
        files.extend(from_rust::files(module, tasks)?);
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// `EXAMPLE_MOD_NAME_<what>_H_`.
fn guard(module: &Module, what: &str) -> String {
    format!("{}_{}_{what}_H_", module.namespace, module.name).to_uppercase()
}

/// The methods whose tasks the file describes, by number, each with what it does.
fn described(module: &Module) -> impl Iterator<Item = (u32, &Method, &str, &Body)> {
    module.supported().filter_map(|(number, method)| {
        let task = module.tasks.get(&method.name)?;
        let doc = task.doc.as_deref().unwrap_or(&method.name);
        Some((number, method, doc, task.body.as_ref()?))
    })
}

/// What the comment of a field says.
fn explain(field: &Field, directed: bool, more: &str) -> String {
    let doc = match &field.doc {
        Some(doc) => doc.trim_end_matches('.').to_owned(),
        None => format!("`{}`", field.name),
    };
    match directed {
        true => format!("{}: {doc}.{more}", c::from_yaml::direction(field.direction)),
        false => format!("{doc}.{more}"),
    }
}
