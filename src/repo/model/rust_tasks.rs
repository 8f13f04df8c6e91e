//! The tasks that the author of a module in Rust wrote.

use chimaera_yaml::Position;
use syn::ItemStruct;

use super::fields::{Body, Field};

/// The tasks of a module that its author wrote in Rust, and the structs in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RustTasks {
    /// The file, as the YAML names it.
    pub(crate) file: String,
    /// By dependency: each after those that lie in it.
    pub(crate) structs: Vec<RustStruct>,
}

/// A struct that the author of a module wrote in Rust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RustStruct {
    /// As Rust compiles it, its attributes left out.
    pub(crate) item: ItemStruct,
    /// Where it stands.
    pub(crate) at: Position,
    /// What it is, from its comment.
    pub(crate) doc: String,
    /// Whether it is a task, rather than something that lies in one.
    pub(crate) is_task: bool,
    /// Its own fields: in a task without the base.
    pub(crate) body: Body,
    /// Without strings and vectors.
    pub(crate) plain: bool,
    /// The fields that are sent to other processes; `None` when the author does not say.
    pub(crate) sent: Option<Body>,
    /// The fields with strings or vectors in them.
    pub(crate) shared: Vec<String>,
}

impl RustStruct {
    /// Whether a field of it is, or holds, strings or vectors.
    pub(crate) fn holds_shared(&self, field: &Field) -> bool {
        self.shared.contains(&field.name)
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        self.item.ident.to_string()
    }
}
