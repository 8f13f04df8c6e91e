//! What the pools of a module are created with.

use super::fields::{Body, Field, Scalar};

/// What the pools of a module are created with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Params {
    pub(crate) doc: Option<String>,
    /// Numbers, `bool` and `string` only.
    pub(crate) body: Body,
    /// One for each field.
    pub(crate) defaults: Vec<Value>,
}

impl Params {
    /// What the struct is.
    pub(crate) fn doc(&self) -> &str {
        self.doc.as_deref().unwrap_or("What a pool is created with.")
    }

    /// The fields, each with its default.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&Field, &Value)> {
        self.body.fields.iter().zip(&self.defaults)
    }
}

/// The value of a field without another.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Integer(i128),
    Float(f64),
    Bool(bool),
    /// Printable ASCII.
    Text(String),
}

/// The least and the greatest value of an integer.
pub(crate) fn range(scalar: Scalar) -> (i128, i128) {
    match scalar {
        Scalar::Unsigned(bits) => (0, (1 << bits) - 1),
        Scalar::Signed(bits) | Scalar::Float(bits) => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
    }
}
