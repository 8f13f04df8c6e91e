//! The dispatch code of C++ modules.

use minijinja::{context, Value};

use super::super::view::{self, Generated};
use super::super::{description, literal};
use crate::model::{Method, Module};
use crate::templates::fill;

/// `autogen/<mod>_methods.h`.
pub(in crate::generate) fn methods(module: &Module) -> Generated {
    let methods: Vec<_> = module
        .supported()
        .map(|(number, method)| {
            let doc = module.tasks.get(&method.name).and_then(|task| task.doc.as_ref());
            context! { name => method.name, number, doc }
        })
        .collect();
    Generated {
        name: format!("{}_methods.h", module.name),
        text: fill("generated/cpp/methods.h", context! { methods, ..view::module(module) }),
    }
}

/// `autogen/<mod>_lib_exec.h`.
pub(in crate::generate) fn lib_exec(module: &Module) -> Generated {
    // Custom tasks are described in the YAML or written by the author.
    let custom = || module.supported().filter(|(_, method)| !method.is_inherited());
    let is_described =
        |method: &Method| module.tasks.get(&method.name).is_some_and(|task| task.body.is_some());
    let described = module.params.is_some() || custom().any(|(_, method)| is_described(method));
    let by_hand = custom().next().is_none() || !custom().all(|(_, method)| is_described(method));
    let view = |method| view(module, method);
    let methods: Vec<Value> = module.supported().map(|(_, method)| view(method)).collect();
    let all_methods: Vec<Value> = module.methods.iter().map(view).collect();
    let description = description::pieces(module).map(literal::c_texts);
    let context =
        context! { described, by_hand, methods, all_methods, description, ..view::module(module) };
    Generated {
        name: format!("{}_lib_exec.h", module.name),
        text: fill("generated/cpp/lib_exec.h", context),
    }
}

fn view(module: &Module, method: &Method) -> Value {
    let namespace = if method.is_inherited() { "chi::" } else { "" };
    context! {
        name => method.name,
        number => method.number,
        supported => method.supported,
        idempotent => module.is_idempotent(method),
        stem => method.stem(),
        task => format!("{namespace}{}Task", method.stem()),
    }
}
