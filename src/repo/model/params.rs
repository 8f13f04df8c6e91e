//! The parameters with which the pools of a module are created.

use chimaera_description::{Body, Field};

/// The parameters with which the pools of a module are created.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Params {
    pub(crate) doc: Option<String>,
    /// Numbers, `bool` and `string` only; `pool` is a `string`.
    pub(crate) body: Body,
    /// One for each field.
    pub(crate) defaults: Vec<Value>,
    /// The names of the fields that name pools. Their type is `string`.
    pub(crate) pools: Vec<String>,
}

impl Params {
    /// The documentation of the struct.
    pub(crate) fn doc(&self) -> &str {
        self.doc.as_deref().unwrap_or("The parameters of a pool.")
    }

    /// Whether a field names a pool.
    pub(crate) fn is_pool(&self, field: &Field) -> bool {
        self.pools.contains(&field.name)
    }

    /// The fields, each with its default.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&Field, &Value)> {
        self.body.fields.iter().zip(&self.defaults)
    }
}

/// The default value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Integer(i128),
    Float(f64),
    Bool(bool),
    /// Printable ASCII.
    Text(String),
}
