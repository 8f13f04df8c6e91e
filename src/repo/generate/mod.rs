//! Generates the text of files from the model: C and C++ through templates, Rust through `quote`.
//! Nothing here touches the disk.

mod c;
mod cpp;
mod description;
mod from_rust;
mod literal;
mod rust;
mod view;

use chimaera_yaml::Problems;

use crate::model::{Language, Module};
pub(crate) use view::{Generated, MARKER};

/// The files of a module's `autogen` directory, sorted by name.
///
/// Fails with the problems of the Rust source that defines the tasks.
pub(crate) fn files(module: &Module) -> Result<Vec<Generated>, Problems> {
    let mut files = match module.language {
        Language::Cpp => vec![cpp::dispatch::methods(module), cpp::dispatch::lib_exec(module)],
        Language::Rust => vec![rust::dispatch::methods(module), rust::dispatch::lib_exec(module)],
    };
    // Tasks that the YAML describes can be called from every language.
    let is_described = module.params.is_some() || view::described(module).next().is_some();
    if module.language == Language::Rust && (is_described || module.rust_tasks.is_some()) {
        files.push(cpp::dispatch::methods(module));
    }
    if is_described {
        files.push(c::from_yaml::header(module));
        files.extend(cpp::from_yaml::files(module));
        files.push(rust::from_yaml::file_for(module));
    }
    if let Some(tasks) = &module.rust_tasks {
        files.extend(from_rust::files(module, tasks)?);
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}
