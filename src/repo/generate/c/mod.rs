//! The code generated for C.

use minijinja::{context, Value};

use crate::model::{Method, Module};
use crate::names::snake;

pub(super) mod from_yaml;

/// The prefix of all names of a module.
pub(super) fn prefix(module: &Module) -> String {
    format!("{}_{}", module.namespace, module.name).to_lowercase()
}

/// Methods and their numbers, for the constants.
pub(super) fn methods<'m>(methods: impl Iterator<Item = (u32, &'m Method)>) -> Vec<Value> {
    let view = |(number, method): (u32, &Method)| {
        context! { number, name => method.name, snake => snake(&method.name) }
    };
    methods.map(view).collect()
}
