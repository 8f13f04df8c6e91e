//! A client for the described tasks of a module, in C++.

use std::fmt::Write;

use super::super::layout::{assignment, call, comment, declaration, WIDTH};
use super::super::{described, explain, Generated};
use super::dispatch;
use super::from_yaml::Cpp;
use crate::model::{Body, Field, Module, Type};

/// `autogen/<mod>_described_client.h`.
pub(crate) fn header(module: &Module) -> Generated {
    let includes = ["chimaera/chimaera.h".to_owned(), format!("{}_described_tasks.h", module.name)];
    let standard = ["array", "string", "string_view", "vector"];
    let mut text = dispatch::head(module, "A client of", "DESCRIBED_CLIENT", &standard, &includes);
    let cpp = Cpp { structs: &module.structs };
    for (_, method, _, body) in described(module) {
        text += &cpp.result(&method.name, body);
    }
    let params = if module.params.is_some() { ", Params" } else { "" };
    let _ = write!(
        text,
        "
/** Calls the described methods of a pool. All calls throw chi::Error; any thread. */
class DescribedClient : public chi::PoolClient<DescribedClient{params}> {{
 public:
  /** The module's name. */
"
    );
    let constant = "static constexpr const char *kModule =";
    text += &match format!("  {constant} \"{}\";\n", module.full_name()) {
        line if line.len() <= WIDTH + 1 => line,
        _ => format!("  {constant}\n      \"{}\";\n", module.full_name()),
    };
    for (_, method, doc, body) in described(module) {
        text += &cpp.calls(&method.name, doc, body);
    }
    text += "};\n";
    text += &dispatch::foot(module, "DESCRIBED_CLIENT");
    Generated { name: format!("{}_described_client.h", module.name), text }
}

impl Cpp<'_> {
    /// The struct of a method's results, when there are several.
    fn result(&self, method: &str, body: &Body) -> String {
        if body.outputs().count() < 2 {
            return String::new();
        }
        let mut text = format!(
            "\n{}struct {}Result {{\n",
            comment(0, &format!("What {method} returns."), "/**"),
            &method[1..]
        );
        for field in body.outputs() {
            text += &comment(2, &explain(field, false, ""), "/**");
            let start = match &field.ty {
                Type::Scalar(_) => " = 0",
                Type::Bool => " = false",
                Type::Array(..) | Type::Struct(_) => "{}",
                _ => "",
            };
            let _ = writeln!(text, "  {} {}{start};", self.value(&field.ty), field.name);
        }
        text + "};\n"
    }

    fn calls(&self, method: &str, doc: &str, body: &Body) -> String {
        let stem = &method[1..];
        let mut args = vec![
            "const hipc::MemContext &mctx".to_owned(),
            "const chi::DomainQuery &dom_query".to_owned(),
        ];
        args.extend(
            body.inputs().map(|field| format!("{}{}", self.parameter(&field.ty), field.name)),
        );
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let inputs: Vec<&str> = body.inputs().map(|field| &field.name[..]).collect();
        let outputs: Vec<&Field> = body.outputs().collect();
        let returned = match &outputs[..] {
            [] => "void".to_owned(),
            [one] => self.value(&one.ty),
            _ => format!("{stem}Result"),
        };
        let mut text = format!("\n{}", comment(2, doc, "/**"));
        text += &declaration(2, &format!("{returned} {stem}("), &args, ") const {");
        let passed = [vec!["mctx", "dom_query"], inputs.clone()].concat();
        text += &assignment(4, "auto pending", &format!("Async{stem}("), &passed);
        let _ = write!(
            text,
            "    chi::OwnedTask<{stem}Task> task(pending);\n    task->Wait();\n    \
             task->ThrowIfFailed();\n"
        );
        match &outputs[..] {
            [] => {}
            [one] if !matches!(one.ty, Type::Vector(_)) => {
                let from = format!("task->{}_", one.name);
                let copy = match one.ty {
                    Type::Bytes => format!("std::string({from}.view())"),
                    _ => self.copy(&one.ty, &from),
                };
                let _ = writeln!(text, "    return {copy};");
            }
            [one] => {
                let _ = writeln!(text, "    {} result;", self.value(&one.ty));
                text += &self.read(one, &format!("task->{}_", one.name), "result");
                text += "    return result;\n";
            }
            _ => {
                let _ = writeln!(text, "    {stem}Result result;");
                for field in outputs {
                    text += &self.read(
                        field,
                        &format!("task->{}_", field.name),
                        &format!("result.{}", field.name),
                    );
                }
                text += "    return result;\n";
            }
        }
        text += "  }\n  /** The caller owns the task. */\n";
        text +=
            &declaration(2, &format!("hipc::FullPtr<{stem}Task> Async{stem}("), &args, ") const {");
        let passed = [vec!["mctx", "pool_id_", "dom_query"], inputs].concat();
        text +=
            &call(4, &format!("return CHI_IPC_MANAGER->SubmitTask<{stem}Task>("), &passed, ");");
        text + "  }\n"
    }
}
