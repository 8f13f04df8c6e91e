//! From what was read to the text of files. Nothing here touches the disk.

mod cpp;
mod layout;
mod rust;

pub(crate) use layout::call;

use crate::module::{Language, Module};

/// What the first lines of every generated file say. A file without it was written by a person.
pub(crate) const MARKER: &str = "Generated from chimaera_mod.yaml; do not edit.";

/// A file in the directory `autogen` of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generated {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// The files that a module's `autogen` holds, by name.
pub(crate) fn files(module: &Module) -> Vec<Generated> {
    let mut files = match module.language {
        Language::Cpp => vec![cpp::methods(module), cpp::lib_exec(module)],
        Language::Rust => vec![rust::methods(module), rust::lib_exec(module)],
    };
    files.sort_by(|a, b| a.name.cmp(&b.name));
    files
}

/// `EXAMPLE_MOD_NAME_<what>_H_`.
fn guard(module: &Module, what: &str) -> String {
    format!("{}_{}_{what}_H_", module.namespace, module.name).to_uppercase()
}
