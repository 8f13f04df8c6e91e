//! The constants of a module in Rust, and what ties its container to them.

use std::fmt::Write;

use super::super::{Generated, MARKER};
use super::layout::rust_comment;
use crate::model::Module;
use crate::names::shouted;

/// `autogen/<mod>_methods.rs`, a module of the client's crate.
pub(crate) fn methods(module: &Module) -> Generated {
    let mut text = format!(
        "//! The methods of `{}`.\n//! {MARKER}\n\n\
         /// The numbers of the methods that the module implements.\npub enum Method {{}}\n\n\
         impl Method {{\n",
        module.full_name()
    );
    for (number, method) in module.supported() {
        let doc = module.tasks.get(&method.name).and_then(|task| task.doc.as_deref());
        text += &match doc {
            Some(doc) => rust_comment(4, &format!("`{}`: {doc}", method.name)),
            None => rust_comment(4, &format!("`{}`.", method.name)),
        };
        let _ = writeln!(text, "    pub const {}: u32 = {number};", shouted(&method.name));
    }
    text += "}\n";
    Generated { name: format!("{}_methods.rs", module.name), text }
}

/// `autogen/<mod>_lib_exec.rs`, a module of the container's crate.
pub(crate) fn lib_exec(module: &Module) -> Generated {
    let mut text = format!(
        "//! What the container of `{}` runs: anything else does not compile.\n//! {MARKER}\n\n\
         use chimaera::module::Declared;\n\n\
         const _: () = {{\n    let mut declared = Declared::<crate::Runtime>::new();\n    \
         declared.name(\"{0}\");\n",
        module.full_name()
    );
    if module.params.is_some() {
        text += "    declared.params();\n";
    }
    for method in &module.methods {
        let Some(number) = method.number else {
            let _ = writeln!(text, "    // {} is not supported, and has no number.", method.name);
            continue;
        };
        let what = if method.supported { "method" } else { "unsupported" };
        let _ = writeln!(text, "    declared.{what}({number}, \"{}\");", method.name);
    }
    text += "    declared.end();\n};\n";
    Generated { name: format!("{}_lib_exec.rs", module.name), text }
}
