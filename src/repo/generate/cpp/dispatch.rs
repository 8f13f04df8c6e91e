//! The dispatch of a module in C++.

use std::fmt::Write;

use super::super::layout::{call, comment, WIDTH};
use super::super::{guard, Generated, MARKER};
use crate::model::{Method, Module};

/// `autogen/<mod>_methods.h`.
pub(crate) fn methods(module: &Module) -> Generated {
    let mut text = head(module, "The methods of", "METHODS", &[], &["chimaera/chimaera.h".into()]);
    text += "\n/* What needs no namespace of Chimaera's here; the module's own names go before these. */\n";
    text += "using namespace chi::names;\n";
    text += "\n/** The numbers of the methods that the module implements. */\nclass Method {\n public:\n";
    for (number, method) in module.supported() {
        if let Some(doc) = module.tasks.get(&method.name).and_then(|task| task.doc.as_ref()) {
            text += &comment(2, doc, "/**");
        }
        let _ = writeln!(text, "  CLS_CONST int {} = {number};", method.name);
    }
    text += "};\n";
    text += &foot(module, "METHODS");
    Generated { name: format!("{}_methods.h", module.name), text }
}

/// `autogen/<mod>_lib_exec.h`.
pub(crate) fn lib_exec(module: &Module) -> Generated {
    let name = &module.name;
    let mut includes = vec!["chimaera/chimaera.h".into(), format!("{name}_methods.h")];
    // Custom tasks are described, or their author writes them.
    let custom = || module.supported().filter(|(_, m)| !m.is_inherited());
    let is_described =
        |method: &Method| module.tasks.get(&method.name).is_some_and(|task| task.body.is_some());
    if module.params.is_some() || custom().any(|(_, method)| is_described(method)) {
        includes.push(format!("{name}_described_tasks.h"));
    }
    if !custom().all(|(_, method)| is_described(method)) || custom().next().is_none() {
        includes.push(format!("{name}/{name}_tasks.h"));
    }
    let standard: &[&str] = if module.params.is_some() { &["type_traits"] } else { &[] };
    let mut text = head(module, "The dispatch of", "LIB_EXEC", standard, &includes);
    let methods: Vec<Parts<'_>> = module.supported().map(|(_, method)| Parts::of(method)).collect();
    text.push('\n');
    for Parts { stem, task, .. } in &methods {
        text += &call(0, "CHI_METHOD_HOOKS(", &[stem, task], ");");
    }
    text += "
/** Runs a method of the container. */
template <typename RuntimeT>
void Run(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
";
    switch(&mut text, &methods, |Parts { stem, pointer, .. }| match *stem {
        "Create" => call(6, "return chi::RunCreate(", &["runtime", pointer, "rctx"], ");"),
        stem => call(6, &format!("return runtime.{stem}("), &[pointer, "rctx"], ");"),
    });
    text += "
/** Asks the monitor of a method, if it has one. */
template <typename RuntimeT>
void Monitor(RuntimeT &runtime, chi::MonitorModeId mode, chi::u32 method,
             hipc::FullPtr<chi::Task> task, chi::RunContext &rctx) {
";
    switch(&mut text, &methods, |Parts { hooks, pointer, .. }| {
        call(6, &format!("return {hooks}::Monitor("), &["runtime", "mode", pointer, "rctx"], ");")
    });
    text += "
/** Lets go of what a method attached to a task. */
template <typename RuntimeT>
void Del(RuntimeT &runtime, const hipc::MemContext &, chi::u32 method,
         hipc::FullPtr<chi::Task> task) {
";
    switch(&mut text, &methods, |Parts { hooks, pointer, .. }| {
        call(6, &format!("return {hooks}::Del("), &["runtime", pointer], ");")
    });
    text += "
/** Writes the inputs or the results of a task as bytes, or reads them. */
template <typename RuntimeT>
void Serialize(RuntimeT &, chi::SerializeMode mode, chi::u32 method, hipc::FullPtr<chi::Task> task,
               chi_archive &archive) {
";
    switch(&mut text, &methods, |Parts { pointer, .. }| {
        call(6, "return chi::SerializeTask(", &["mode", pointer, "archive"], ");")
    });
    text += "
/** Adds a replica's results to a broadcast's, if the module does that for the method. */
template <typename RuntimeT>
void Aggregate(RuntimeT &runtime, chi::u32 method, hipc::FullPtr<chi::Task> task,
               hipc::FullPtr<chi::Task> replica, chi::RunContext &rctx) {
";
    switch(&mut text, &methods, |Parts { hooks, pointer, replica, .. }| {
        call(
            6,
            &format!("return {hooks}::Aggregate("),
            &["runtime", pointer, replica, "rctx"],
            ");",
        )
    });
    text += "
/** Tells the runtime of the methods. */
template <typename RuntimeT>
void DescribeMethods(chi::MethodTable &table, const RuntimeT *) {
";
    if module.params.is_some() {
        text += "  static_assert(std::is_same_v<chi::ParamsOf<RuntimeT>, Params>,
                \"chimaera_mod.yaml describes what a pool is created with: the Runtime has one \"
                \"public Create(hipc::FullPtr<chi::CreateTask>, const Params &, chi::RunContext &)\");\n";
    }
    for method in &module.methods {
        let quoted = format!("\"{}\"", method.name);
        match (method.supported, method.number) {
            (true, _) => {
                let Parts { constant, task, hooks, .. } = Parts::of(method);
                text += &call(
                    2,
                    &format!("table.Add<{task}>("),
                    &[
                        &constant,
                        &quoted,
                        &format!("{hooks}::kMonitor"),
                        &format!("{hooks}::kDel"),
                        &format!("{hooks}::kAggregate"),
                    ],
                    ");",
                );
            }
            (false, Some(number)) => {
                text += &call(2, "table.AddUnsupported(", &[&number.to_string(), &quoted], ");");
            }
            (false, None) => {
                let _ = writeln!(text, "  // {} is not supported, and has no number.", method.name);
            }
        }
    }
    text += "}\n";
    text += &foot(module, "LIB_EXEC");
    Generated { name: format!("{name}_lib_exec.h"), text }
}

/// A method's name in the places where the dispatch needs it.
struct Parts<'m> {
    stem: &'m str,
    constant: String,
    task: String,
    pointer: String,
    replica: String,
    hooks: String,
}

impl Parts<'_> {
    fn of(method: &Method) -> Parts<'_> {
        let stem = method.stem();
        let inherited = method.is_inherited();
        let task = format!("{}{stem}Task", if inherited { "chi::" } else { "" });
        Parts {
            stem,
            constant: format!("Method::{}", method.name),
            pointer: format!("hipc::FullPtr<{task}>(task)"),
            replica: format!("hipc::FullPtr<{task}>(replica)"),
            hooks: format!("{stem}Hooks<RuntimeT>"),
            task,
        }
    }
}

fn switch(text: &mut String, methods: &[Parts<'_>], case: impl Fn(&Parts<'_>) -> String) {
    text.push_str("  switch (method) {\n");
    for method in methods {
        let _ = writeln!(text, "    case {}:", method.constant);
        text.push_str(&case(method));
    }
    text.push_str("    default:\n      chi::ThrowNoMethod(method);\n  }\n}\n");
}

pub(crate) fn head(
    module: &Module,
    what: &str,
    guarded: &str,
    standard: &[&str],
    includes: &[String],
) -> String {
    let what = format!("{what} {}.", module.full_name());
    // The marker stays in one piece.
    let title = match format!("/* {what} {MARKER} */") {
        line if line.len() <= WIDTH => line,
        _ => format!("/* {what}\n * {MARKER} */"),
    };
    let mut angled: String = standard.iter().map(|name| format!("#include <{name}>\n")).collect();
    if !angled.is_empty() {
        angled.push('\n');
    }
    let guard = guard(module, guarded);
    let mut includes = includes.to_vec();
    includes.sort();
    let includes: String =
        includes.iter().map(|include| format!("#include \"{include}\"\n")).collect();
    let namespace = format!("{}::{}", module.namespace, module.name);
    format!("{title}\n#ifndef {guard}\n#define {guard}\n\n{angled}{includes}\nnamespace {namespace} {{\n")
}

pub(crate) fn foot(module: &Module, guarded: &str) -> String {
    let namespace = format!("{}::{}", module.namespace, module.name);
    format!("\n}}  // namespace {namespace}\n\n#endif  // {}\n", guard(module, guarded))
}
