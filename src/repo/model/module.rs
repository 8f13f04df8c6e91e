//! A module, as its files describe it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chimaera_abi::CHI_METHOD_CUSTOM;
use chimaera_yaml::{Position, Text};
use serde::Serialize;

use super::method::Method;
use super::params::Params;
use super::rust_tasks::RustTasks;
use chimaera_description::{Body, Struct};

/// The language of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// C++.
    Cpp,
    /// Rust.
    Rust,
}

/// A module, as its file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    /// Its directory.
    pub dir: PathBuf,
    /// The namespace of its repo.
    pub namespace: String,
    /// Its name within the repo.
    pub name: String,
    /// Where the file gives the name, or the beginning of the file.
    pub(crate) name_at: Position,
    /// A one-line description.
    pub description: Option<String>,
    /// Its language.
    pub language: Language,
    /// Its methods: the six inherited ones, custom ones by number, then those without a number.
    pub methods: Vec<Method>,
    /// The parameters of its pools, if the file describes them.
    pub(crate) params: Option<Params>,
    /// The structs used in tasks.
    pub(crate) structs: Vec<Struct>,
    /// The tasks that the file describes, by the names of their methods.
    pub(crate) tasks: BTreeMap<String, TaskFromYaml>,
    /// The Rust source whose tasks are exported to other languages, as named in the file.
    pub(crate) rust_source: Option<Text>,
    /// The contents of that source.
    pub(crate) rust_tasks: Option<RustTasks>,
}

impl Module {
    /// The other file, besides the YAML, from which its code is generated.
    pub(crate) fn source(&self) -> Option<PathBuf> {
        self.rust_source.as_ref().map(|file| self.dir.join(&file.text))
    }

    /// `repo:module`.
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.namespace, self.name)
    }

    /// Its supported methods, by number.
    pub fn supported(&self) -> impl Iterator<Item = (u32, &Method)> {
        self.methods
            .iter()
            .filter(|method| method.supported)
            .filter_map(|method| Some((method.number?, method)))
    }

    /// Whether tasks of this method may run twice.
    pub(crate) fn is_idempotent(&self, method: &Method) -> bool {
        self.tasks.get(&method.name).is_some_and(|task| task.idempotent)
    }

    /// The first number above those of all custom methods.
    pub fn next_number(&self) -> u32 {
        let highest = self.methods.iter().filter_map(|method| method.number).max();
        highest.map_or(CHI_METHOD_CUSTOM, |highest| CHI_METHOD_CUSTOM.max(highest + 1))
    }
}

/// A method's task, as the file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskFromYaml {
    pub(crate) doc: Option<String>,
    /// Whether the task may run twice.
    pub(crate) idempotent: bool,
    /// `None` if the file does not describe the fields.
    pub(crate) body: Option<Body>,
}
