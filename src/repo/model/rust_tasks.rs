//! The tasks that a module's author wrote in Rust.

use chimaera_yaml::Position;
use syn::ItemStruct;

use chimaera_description::{Body, Field};

/// The tasks that a module's author wrote in Rust, and the structs in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RustTasks {
    /// The file, as the YAML names it.
    pub(crate) file: String,
    /// In order of dependency: each struct after those it contains.
    pub(crate) structs: Vec<RustStruct>,
}

/// A struct that a module's author wrote in Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RustStruct {
    /// As Rust compiles it, without its attributes.
    pub(crate) item: ItemStruct,
    /// Its position in the source.
    pub(crate) at: Position,
    /// Its doc comment.
    pub(crate) doc: String,
    /// Whether it is a task, rather than part of one.
    pub(crate) is_task: bool,
    /// The fingerprint of its declaration; 0 for part of a task.
    pub(crate) description: u32,
    /// Its own fields; for a task, those after the header.
    pub(crate) body: Body,
    /// Whether it contains no strings or vectors.
    pub(crate) plain: bool,
    /// The fields that are sent to other processes; `None` if the author does not say.
    pub(crate) sent: Option<Body>,
    /// The names of the fields that are or contain strings or vectors.
    pub(crate) shared: Vec<String>,
}

impl RustStruct {
    /// Whether a field is or contains strings or vectors.
    pub(crate) fn holds_shared(&self, field: &Field) -> bool {
        self.shared.contains(&field.name)
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        self.item.ident.to_string()
    }
}
