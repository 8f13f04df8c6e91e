//! The described tasks of a module, and a client for them, in Rust.

use std::fmt::Write;

use super::super::{described, explain, params, serializers, Generated, MARKER};
use super::layout::{imports, returned_struct, rust_comment, signature, statement};
use crate::model::{is_plain, Body, Field, Member, Module, Struct, Type};
use crate::names::{is_rust_keyword, shouted, snake};

/// The longest array with a default.
const DEFAULT_ARRAY: u32 = 32;

/// `autogen/<mod>_described.rs`.
pub(crate) fn file(module: &Module) -> Generated {
    let rust = Rust { structs: &module.structs };
    let mut text = format!(
        "//! The described tasks of `{0}`, and a client for them.\n//! {MARKER}\n\n\
         // A program may use some of it only.\n#![allow(dead_code)]\n\n",
        module.full_name()
    );
    let mut code = String::new();
    if let Some(params) = &module.params {
        code += &params::rust(params);
    }
    for found in &module.structs {
        code += &rust.structure(found);
    }
    for (_, method, doc, body) in described(module) {
        code += &rust.task(&method.name, doc, body);
    }
    for (_, method, _, body) in described(module) {
        code += &rust.result(&method.name, body);
    }
    code += &client(module);
    for (_, method, doc, body) in described(module) {
        code += &rust.calls(&method.name, doc, body);
    }
    code += "
    fn task<T: Task>(&self, method: u32) -> Result<NewTask<T>> {
        chimaera::ipc()?.new_task(self.pool_id, self.query, method)
    }
}
";
    let structs = module.structs.iter().map(|found| (found.name.clone(), &found.body));
    let tasks =
        described(module).map(|(_, method, _, body)| (format!("{}Task", &method.name[1..]), body));
    code += &asserts(structs.chain(tasks));
    if code.contains("Cell<") {
        text += "use std::cell::Cell;\n\n";
    }
    let used: Vec<&str> = [
        "DomainQuery",
        "ElementMut",
        "NewTask",
        "Pending",
        "Pod",
        "PoolId",
        "PoolOptions",
        "Result",
        "ShmBytes",
        "ShmElement",
        "ShmString",
        "ShmVec",
        "Task",
    ]
    .into_iter()
    .filter(|name| {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        code.match_indices(name).any(|(at, _)| {
            !code[..at].ends_with(word) && !code[at + name.len()..].starts_with(word)
        })
    })
    .collect();
    text += &imports("chimaera", &used);
    for (number, method, _, _) in described(module) {
        let _ = write!(text, "\nconst {}: u32 = {number};", shouted(&method.name));
    }
    text.push('\n');
    text += &code;
    Generated { name: format!("{}_described.rs", module.name), text }
}

fn client(module: &Module) -> String {
    let (ty, to_bytes) = match module.params {
        Some(_) => {
            ("&Params", "        let params = &chimaera::archive::params_to_bytes(params)?;\n")
        }
        None => ("&[u8]", ""),
    };
    format!(
        "
/// A pool of `{0}`, and which of its containers calls are for. It may be copied, and be used in an
/// application and in another module's methods alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {{
    pool_id: PoolId,
    query: DomainQuery,
}}

impl Client {{
    /// Creates the pool, or finds it when it exists. Errors: those of `Ipc::create_pool`.
    pub fn create(name: &str, params: {ty}) -> Result<Self> {{
        Client::create_with(name, params, PoolOptions::default())
    }}

    /// Creates the pool as `options` say. Errors: those of `Ipc::create_pool_with`.
    pub fn create_with(name: &str, params: {ty}, options: PoolOptions) -> Result<Self> {{
{to_bytes}        let ipc = chimaera::ipc()?;
        let id = ipc.create_pool_with(\"{0}\", name, params, options)?;
        Ok(Client::from_pool(id))
    }}

    /// The client of a pool whose id is known.
    pub fn from_pool(pool_id: PoolId) -> Self {{
        let query = DomainQuery::dynamic();
        Client {{ pool_id, query }}
    }}

    /// A client of the same pool whose calls carry this query, in place of `DomainQuery::dynamic()`.
    #[must_use]
    pub fn with_query(self, query: DomainQuery) -> Self {{
        Client {{ query, ..self }}
    }}

    /// The pool.
    pub fn pool_id(&self) -> PoolId {{
        self.pool_id
    }}
",
        module.full_name()
    )
}

struct Rust<'m> {
    structs: &'m [Struct],
}

impl Rust<'_> {
    /// A type in shared memory, in a vector or a plain struct.
    fn name(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => scalar.name(),
            Type::Bool => "u8".into(),
            Type::Array(of, n) => format!("[{}; {n}]", self.name(of)),
            Type::String => "ShmString".into(),
            Type::Bytes => "ShmBytes".into(),
            Type::Vector(of) => format!("ShmVec<{}>", self.name(of)),
            Type::Struct(index) => self.structs[*index].name.clone(),
        }
    }

    /// The type of a member that is written through a shared reference.
    fn member(&self, ty: &Type) -> String {
        match is_plain(ty, self.structs) {
            true => format!("Cell<{}>", self.name(ty)),
            false => self.name(ty),
        }
    }

    /// The type of a private copy.
    fn value(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "bool".into(),
            Type::String => "String".into(),
            Type::Bytes => "Vec<u8>".into(),
            Type::Vector(of) => format!("Vec<{}>", self.value(of)),
            Type::Struct(index) if !self.structs[*index].plain => {
                format!("{}Value", self.structs[*index].name)
            }
            _ => self.name(ty),
        }
    }

    fn parameter(&self, ty: &Type) -> String {
        match ty {
            Type::String => "&str".into(),
            Type::Bytes => "&[u8]".into(),
            Type::Vector(of) => match &**of {
                Type::String => "&[&str]".into(),
                Type::Bytes => "&[&[u8]]".into(),
                of => format!("&[{}]", self.value(of)),
            },
            Type::Struct(index) if !self.structs[*index].plain => format!("&{}", self.value(ty)),
            _ => self.value(ty),
        }
    }

    fn members(&self, body: &Body, is_task: bool, cells: bool) -> String {
        let mut text = String::new();
        for member in body.members() {
            match member {
                Member::Gap { index, bytes } => {
                    let ty = format!("[u8; {bytes}]");
                    let ty = if cells { format!("Cell<{ty}>") } else { ty };
                    let _ = write!(
                        text,
                        "    /// Zero.\n{}    pub reserved{index}: {ty},\n",
                        serializers::RUST_GAP
                    );
                }
                Member::Field(field) => {
                    let flag = if field.ty == Type::Bool { " 0 or 1." } else { "" };
                    text += &rust_comment(4, &explain(field, is_task, flag));
                    if is_task {
                        text += serializers::rust_direction(field.direction);
                    }
                    let ty = if cells { self.member(&field.ty) } else { self.name(&field.ty) };
                    let _ = writeln!(text, "    pub {}: {ty},", field.name);
                }
            }
        }
        text
    }

    fn has_default(&self, ty: &Type) -> bool {
        match ty {
            Type::Array(of, n) => *n <= DEFAULT_ARRAY && self.has_default(of),
            Type::Struct(index) => {
                self.structs[*index].body.fields.iter().all(|field| self.has_default(&field.ty))
            }
            _ => true,
        }
    }

    fn structure(&self, found: &Struct) -> String {
        let Struct { name, doc, body, plain } = found;
        let doc = doc.clone().unwrap_or_else(|| format!("A struct `{name}`."));
        let default = match body.fields.iter().all(|field| self.has_default(&field.ty)) {
            true => "Default, ",
            false => "",
        };
        let mut text = format!("\n{}", rust_comment(0, &doc));
        if *plain {
            let _ = write!(
                text,
                "#[derive(Clone, Copy, Debug, {default}PartialEq, Pod, chimaera::Serialize)]\n#[repr(C)]\n\
                 pub struct {name} {{\n{}}}\n",
                self.members(body, false, false)
            );
            return text;
        }
        let _ = write!(
            text,
            "#[derive(ShmElement, chimaera::SerializeInPlace)]\n#[repr(C)]\npub struct {name} {{\n{}}}\n\n\
             /// A private copy of [`{name}`].\n#[derive(Clone, Debug, {default}PartialEq)]\n\
             pub struct {name}Value {{\n",
            self.members(body, false, true)
        );
        for field in &body.fields {
            text += &rust_comment(4, &explain(field, false, ""));
            let _ = writeln!(text, "    pub {}: {},", field.name, self.value(&field.ty));
        }
        let _ = write!(
            text,
            "}}\n\nimpl {name}Value {{\n    /// Copies shared memory.\n    \
             pub fn read(from: &{name}) -> Result<Self> {{\n"
        );
        for field in &body.fields {
            text += &self.read(field, &format!("from.{}", field.name));
        }
        text += &returned_struct("Self", body.fields.iter());
        let _ = write!(
            text,
            "    }}\n\n    /// Copies into an element of a vector.\n    \
             pub fn write(&self, to: &ElementMut<'_, {name}>) -> Result<()> {{\n"
        );
        for Field { name: field, ty, .. } in &body.fields {
            let part = format!("|to| &to.{field}, &self.{field}");
            text += &match ty {
                Type::String => format!("        to.set_string({part})?;\n"),
                Type::Bytes => format!("        to.set_bytes({part})?;\n"),
                Type::Vector(_) => format!("        to.set_vec({part})?;\n"),
                _ => self.set(ty, &format!("to.{field}"), &format!("self.{field}")),
            };
        }
        let _ = write!(
            text,
            "        Ok(())\n    }}\n\n    /// Copies into a struct that lies in a task itself.\n    \
             pub fn write_in_task(&self, to: &{name}) -> Result<()> {{\n"
        );
        for Field { name: field, ty, .. } in &body.fields {
            let (to, from) = (format!("to.{field}"), format!("self.{field}"));
            text += &match ty {
                Type::String | Type::Bytes | Type::Vector(_) => {
                    format!("        {to}.set(&{from})?;\n")
                }
                _ => self.set(ty, &to, &from),
            };
        }
        text + "        Ok(())\n    }\n}\n"
    }

    fn task(&self, method: &str, doc: &str, body: &Body) -> String {
        let members = self.members(body, true, true);
        let braces = if members.is_empty() { "{}\n".into() } else { format!("{{\n{members}}}\n") };
        format!(
            "\n{}#[chimaera::task]\npub struct {}Task {braces}",
            rust_comment(0, doc),
            &method[1..]
        )
    }

    /// A statement that sets a plain member.
    fn set(&self, ty: &Type, to: &str, from: &str) -> String {
        let from = if *ty == Type::Bool { format!("{from}.into()") } else { from.to_owned() };
        format!("        {to}.set({from});\n")
    }

    /// Statements that put an argument into a field of a task.
    fn write(&self, Field { name, ty, .. }: &Field) -> String {
        let to = format!("task.{name}");
        let each = |write: &str| {
            format!(
                "        let shared = &{to};\n        shared.resize({name}.len())?;\n        \
                 for (index, item) in {name}.iter().enumerate() {{\n            \
                 shared.update(index, |to| {write})?;\n        }}\n"
            )
        };
        match ty {
            Type::String | Type::Bytes => format!("        {to}.set({name})?;\n"),
            Type::Vector(of) => match &**of {
                of if is_plain(of, self.structs) => format!("        {to}.set({name})?;\n"),
                Type::String | Type::Bytes => format!("        {to}.set_all({name})?;\n"),
                Type::Struct(_) => each("item.write(to)"),
                _ => each("to.set_vec(|to| to, item)"),
            },
            Type::Struct(index) if !self.structs[*index].plain => {
                format!("        let shared = &{to};\n        {name}.write_in_task(shared)?;\n")
            }
            ty => self.set(ty, &to, name),
        }
    }

    /// Statements that make a private copy of a field under the field's name.
    fn read(&self, Field { name, ty, .. }: &Field, from: &str) -> String {
        let each = |copy: &str| {
            format!(
                "        let mut {name} = Vec::new();\n        for item in {from}.iter() {{\n            \
                 {name}.push({copy});\n        }}\n"
            )
        };
        let copy = match ty {
            Type::String => format!("{from}.to_string()?"),
            Type::Bytes => format!("{from}.copy_to_vec()?"),
            Type::Vector(of) => match &**of {
                of if is_plain(of, self.structs) => format!("{from}.copy_to_vec()?"),
                Type::String => return each("item.to_string()?"),
                Type::Struct(_) => return each(&format!("{}::read(&item)?", self.value(of))),
                _ => return each("item.copy_to_vec()?"),
            },
            Type::Struct(index) if !self.structs[*index].plain => {
                format!("{}::read(&{from})?", self.value(ty))
            }
            Type::Bool => format!("{from}.get() != 0"),
            _ => format!("{from}.get()"),
        };
        format!("        let {name} = {copy};\n")
    }

    /// The struct of a method's results, when there are several.
    fn result(&self, method: &str, body: &Body) -> String {
        if body.outputs().count() < 2 {
            return String::new();
        }
        let mut text = format!(
            "\n/// What `{method}` returns.\n#[derive(Clone, Debug, PartialEq)]\npub struct {}Result {{\n",
            &method[1..]
        );
        for field in body.outputs() {
            text += &rust_comment(4, &explain(field, false, ""));
            let _ = writeln!(text, "    pub {}: {},", field.name, self.value(&field.ty));
        }
        text + "}\n"
    }

    fn calls(&self, method: &str, doc: &str, body: &Body) -> String {
        let (stem, name) = (&method[1..], snake(method));
        let inputs: Vec<String> = body
            .inputs()
            .map(|field| format!("{}: {}", field.name, self.parameter(&field.ty)))
            .collect();
        let passed: Vec<&str> = body.inputs().map(|field| &field.name[..]).collect();
        let outputs: Vec<&Field> = body.outputs().collect();
        let returned = match &outputs[..] {
            [] => "()".to_owned(),
            [one] => self.value(&one.ty),
            _ => format!("{stem}Result"),
        };
        let function = if is_rust_keyword(&name) { format!("r#{name}") } else { name.clone() };
        let mut text = format!("\n{}", rust_comment(4, doc));
        text += &signature(&function, &inputs, &returned);
        text += &statement("let pending", &format!("self.{name}_async"), &passed);
        text += match outputs.is_empty() {
            true => "        pending.wait()?;\n",
            false => "        let done = pending.wait()?;\n",
        };
        for field in &outputs {
            text += &self.read(field, &format!("done.{}", field.name));
        }
        match &outputs[..] {
            [] => text += "        Ok(())\n",
            [one] => {
                let _ = writeln!(text, "        Ok({})", one.name);
            }
            many => {
                text += &returned_struct(&format!("{stem}Result"), many.iter().copied());
            }
        }
        let _ = write!(
            text,
            "    }}\n\n    /// Submits `{method}`; its results are the fields of the task.\n"
        );
        text += &signature(&format!("{name}_async"), &inputs, &format!("Pending<{stem}Task>"));
        let made = format!("let task: NewTask<{stem}Task>");
        text += &statement(&made, "self.task", &[&shouted(method)]);
        for field in body.inputs() {
            text += &self.write(field);
        }
        text + "        task.submit()\n    }\n"
    }
}

/// That this compiler places all fields as the others do.
pub(crate) fn asserts<'b>(structs: impl Iterator<Item = (String, &'b Body)>) -> String {
    let mut text = "\nconst _: () = {\n    use std::mem::{offset_of, size_of};\n".to_owned();
    for (name, body) in structs {
        let _ = writeln!(text, "    assert!(size_of::<{name}>() == {});", body.size);
        for Field { name: field, offset, .. } in &body.fields {
            let _ = writeln!(text, "    assert!(offset_of!({name}, {field}) == {offset});");
        }
    }
    text + "};\n"
}
