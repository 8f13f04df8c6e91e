//! The described tasks of a module in C++.

use std::fmt::Write;

use super::super::layout::{self, call, comment, declaration};
use super::super::{self as generate, described, explain, params, serializers, Generated};
use super::dispatch;
use crate::model::{is_plain, Body, Direction, Field, Member, Module, Struct, Type};

/// `autogen/<mod>_described_tasks.h`.
pub(crate) fn tasks(module: &Module) -> Generated {
    let methods = format!("{}_methods.h", module.name);
    let standard = ["array", "cstddef", "string", "string_view", "vector"];
    let includes = ["chimaera/chimaera.h".to_owned(), methods];
    let mut text =
        dispatch::head(module, "The described tasks of", "DESCRIBED_TASKS", &standard, &includes);
    let cpp = Cpp { structs: &module.structs };
    if let Some(params) = &module.params {
        text += &params::cpp(params);
    }
    for found in &module.structs {
        text += &cpp.structure(found);
    }
    for (_, method, doc, body) in described(module) {
        text += &cpp.task(&method.name, doc, body);
    }
    let structs = module.structs.iter().map(|found| (found.name.clone(), &found.body));
    let tasks =
        described(module).map(|(_, method, _, body)| (format!("{}Task", &method.name[1..]), body));
    text += &asserts(structs.chain(tasks));
    text += &dispatch::foot(module, "DESCRIBED_TASKS");
    Generated { name: format!("{}_described_tasks.h", module.name), text }
}

/// The types of a module in C++.
pub(crate) struct Cpp<'m> {
    pub(crate) structs: &'m [Struct],
}

impl Cpp<'_> {
    /// The type of a member.
    fn name(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => format!("chi::{}", scalar.name()),
            Type::Bool => "chi::u8".into(),
            Type::Array(of, n) => format!("std::array<{}, {n}>", self.name(of)),
            Type::String => "hipc::string".into(),
            Type::Bytes => "hipc::vector<char>".into(),
            Type::Vector(of) => format!("hipc::vector<{}>", self.name(of)),
            Type::Struct(index) => self.structs[*index].name.clone(),
        }
    }

    /// The type of a private copy.
    pub(crate) fn value(&self, ty: &Type) -> String {
        match ty {
            Type::Bool => "bool".into(),
            Type::String | Type::Bytes => "std::string".into(),
            Type::Vector(of) => format!("std::vector<{}>", self.value(of)),
            Type::Struct(index) if !self.structs[*index].plain => {
                format!("{}Value", self.structs[*index].name)
            }
            _ => self.name(ty),
        }
    }

    /// The type of a parameter, up to its name.
    pub(crate) fn parameter(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(_) | Type::Bool => format!("{} ", self.value(ty)),
            Type::String | Type::Bytes => "std::string_view ".into(),
            _ => format!("const {} &", self.value(ty)),
        }
    }

    fn members(&self, body: &Body, is_task: bool) -> String {
        let mut text = String::new();
        for member in body.members() {
            match member {
                Member::Gap { index, bytes } => {
                    let _ = write!(
                        text,
                        "  /** Zero. */\n  std::array<chi::u8, {bytes}> reserved{index}_{{}};\n"
                    );
                }
                Member::Field(field) => {
                    let flag = if field.ty == Type::Bool { " 0 or 1." } else { "" };
                    text += &comment(2, &(explain(field, false, flag)), "/**");
                    let mark = match (is_task, field.direction) {
                        (false, _) => "",
                        (true, Direction::In) => "IN ",
                        (true, Direction::Out) => "OUT ",
                        (true, Direction::InOut) => "INOUT ",
                    };
                    let start = match &field.ty {
                        Type::Scalar(_) | Type::Bool => " = 0",
                        Type::Array(..) => "{}",
                        Type::Struct(index) if self.structs[*index].plain => "{}",
                        _ => "",
                    };
                    let _ =
                        writeln!(text, "  {mark}{} {}_{start};", self.name(&field.ty), field.name);
                }
            }
        }
        text
    }

    /// `, a_(alloc), b_(alloc)`, as parts.
    fn made_with_alloc(&self, body: &Body) -> Vec<String> {
        body.fields
            .iter()
            .filter(|field| !is_plain(&field.ty, self.structs))
            .map(|field| format!("{}_(alloc)", field.name))
            .collect()
    }

    fn structure(&self, found: &Struct) -> String {
        let Struct { name, doc, body, plain } = found;
        let doc = doc.clone().unwrap_or_else(|| format!("A struct {name}."));
        let mut text = format!("\n{}struct {name} {{\n", comment(0, &doc, "/**"));
        if *plain {
            text += &self.members(body, false);
            text += &serializers::cpp_struct(body);
            text += "};\n";
            return text;
        }
        let mut before = format!(
            "\n{}struct {name}Value {{\n",
            comment(0, &format!("A private copy of {name}."), "/**")
        );
        for field in &body.fields {
            before += &comment(2, &explain(field, false, ""), "/**");
            let start = match &field.ty {
                Type::Scalar(_) => " = 0",
                Type::Bool => " = false",
                Type::Array(..) | Type::Struct(_) => "{}",
                _ => "",
            };
            let _ = writeln!(before, "  {} {}{start};", self.value(&field.ty), field.name);
        }
        before += "};\n";
        text += &self.members(body, false);
        text += &format!("\n  {name}() = default;\n");
        text +=
            &constructor(&format!("explicit {name}("), &[ALLOC], &self.made_with_alloc(body), "{}");
        text +=
            "\n  /** Copies a value into shared memory, for the task that the struct lies in. */\n";
        text += &call(
            2,
            "void Assign(",
            &["hipc::Owner owner", &format!("const {name}Value &value")],
            ") {",
        );
        for field in &body.fields {
            text += &self.write(field, &format!("value.{}", field.name), "owner", true);
        }
        let _ = write!(text, "  }}\n\n  /** A private copy. */\n  {name}Value Value() const {{\n    {name}Value value;\n");
        for field in &body.fields {
            text +=
                &self.read(field, &format!("{}_", field.name), &format!("value.{}", field.name));
        }
        text += "    return value;\n  }\n";
        text += &serializers::cpp_struct(body);
        text += "};\n";
        before + &text
    }

    fn task(&self, method: &str, doc: &str, body: &Body) -> String {
        let name = format!("{}Task", &method[1..]);
        let mut text = format!("\n{}struct {name} : public chi::Task {{\n", comment(0, doc, "/**"));
        let members = self.members(body, true);
        if !members.is_empty() {
            text += &members;
            text.push('\n');
        }
        text += "  /** SHM default constructor */\n";
        let mut base = vec!["chi::Task(alloc)".to_owned()];
        base.extend(self.made_with_alloc(body));
        text += &constructor(&format!("explicit {name}("), &[ALLOC], &base, "{}");
        let mut args: Vec<String> = [
            ALLOC,
            "const chi::TaskNode &task_node",
            "const chi::PoolId &pool_id",
            "const chi::DomainQuery &dom_query",
        ]
        .map(str::to_owned)
        .into();
        args.extend(
            body.inputs().map(|field| format!("{}{}", self.parameter(&field.ty), field.name)),
        );
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        text += "\n  /** Emplace constructor */\n";
        text += &constructor(&format!("explicit {name}("), &args, &[format!("{name}(alloc)")], "{");
        let _ = write!(
            text,
            "    task_node_ = task_node;\n    pool_ = pool_id;\n    method_ = Method::{method};\n    \
             dom_query_ = dom_query;\n"
        );
        for field in body.inputs() {
            text += &self.write(field, &field.name, "alloc.owner()", false);
        }
        text += "  }\n";
        text += &serializers::cpp_task(body);
        text += "};\n";
        text
    }

    /// Statements that put `from` into a member. `owned` says that only the owner knows the task.
    fn write(&self, field: &Field, from: &str, owner: &str, owned: bool) -> String {
        let to = format!("{}_", field.name);
        let owner_first = if owned { vec![owner.to_owned()] } else { Vec::new() };
        let assign = || {
            let mut args = owner_first.clone();
            args.extend([format!("{from}.data()"), format!("{from}.size()")]);
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            call(4, &format!("{to}.assign("), &args, ");")
        };
        let each = |item: &str, statement: &str| {
            let mut text = call(4, &format!("{to}.reserve("), &[&format!("{from}.size()")], ");");
            let _ = write!(
                text,
                "    for (const {item} &item : {from}) {{\n      {statement}\n    }}\n"
            );
            text
        };
        match &field.ty {
            Type::Bool => format!("    {to} = {from} ? 1 : 0;\n"),
            Type::String if owned => call(4, &format!("{to}.assign("), &[owner, from], ");"),
            Type::Bytes => assign(),
            Type::Vector(of) => match &**of {
                of if is_plain(of, self.structs) => assign(),
                Type::String => each("std::string", &format!("{to}.emplace_back(item);")),
                Type::Struct(_) => {
                    each(&self.value(of), &format!("{to}.emplace_back().Assign({owner}, item);"))
                }
                _ => each(
                    &self.value(of),
                    &format!("{to}.emplace_back().assign({owner}, item.data(), item.size());"),
                ),
            },
            Type::Struct(index) if !self.structs[*index].plain => {
                call(4, &format!("{to}.Assign("), &[owner, from], ");")
            }
            _ => format!("    {to} = {from};\n"),
        }
    }

    /// Statements that put a private copy of the member `from` into `to`.
    pub(crate) fn read(&self, field: &Field, from: &str, to: &str) -> String {
        let each = |item: &str, copy: &str| {
            let mut text = call(4, &format!("{to}.reserve("), &[&format!("{from}.size()")], ");");
            let _ = write!(
                text,
                "    for (const {item} &item : {from}) {{\n      {to}.push_back({copy});\n    }}\n"
            );
            text
        };
        match &field.ty {
            Type::Vector(of) => match &**of {
                of if is_plain(of, self.structs) => format!("    {to} = {from}.CopyOut();\n"),
                Type::String => each("hipc::string", "item.str()"),
                Type::Bytes => each("hipc::vector<char>", "std::string(item.view())"),
                Type::Struct(_) => each(&self.name(of), "item.Value()"),
                _ => each(&self.name(of), "item.CopyOut()"),
            },
            ty => format!("    {to} = {};\n", self.copy(ty, from)),
        }
    }

    /// The private copy of a member that is no vector.
    pub(crate) fn copy(&self, ty: &Type, from: &str) -> String {
        match ty {
            Type::Bool => format!("{from} != 0"),
            Type::String => format!("{from}.str()"),
            Type::Bytes => format!("{from}.view()"),
            Type::Struct(index) if !self.structs[*index].plain => format!("{from}.Value()"),
            _ => from.to_owned(),
        }
    }
}

/// That this compiler places all fields as the others do, one line for each.
pub(crate) fn asserts<'b>(structs: impl Iterator<Item = (String, &'b Body)>) -> String {
    // What derives is no standard-layout type, for which alone offsetof is defined by the standard;
    // GCC and Clang define it for these too.
    let mut text = "\n// clang-format off\n#pragma GCC diagnostic push\n\
                    #pragma GCC diagnostic ignored \"-Winvalid-offsetof\"\n"
        .to_owned();
    for (name, body) in structs {
        let (size, place) = (generate::OTHER_SIZE, generate::OTHER_PLACE);
        let _ = writeln!(text, "static_assert(sizeof({name}) == {}, \"{size}\");", body.size);
        for Field { name: field, offset, .. } in &body.fields {
            let _ = writeln!(
                text,
                "static_assert(offsetof({name}, {field}_) == {offset}, \"{place}\");"
            );
        }
    }
    text + "#pragma GCC diagnostic pop\n// clang-format on\n"
}

pub(crate) const ALLOC: &str = "const hipc::CtxAllocator<CHI_ALLOC_T> &alloc";

/// A constructor with its initialisers: in one line if all fits, else below.
pub(crate) fn constructor(head: &str, args: &[&str], initialisers: &[String], end: &str) -> String {
    let line = format!("  {head}{}) : {} {end}\n", args.join(", "), initialisers.join(", "));
    if line.len() <= layout::WIDTH + 1 {
        return line;
    }
    let mut text = declaration(2, head, args, ")");
    let below = format!("      : {} {end}\n", initialisers.join(", "));
    if below.len() <= layout::WIDTH + 1 {
        return text + &below;
    }
    let _ = writeln!(text, "      : {} {end}", initialisers.join(",\n        "));
    text
}
