//! The described tasks of a module, for C.

use std::fmt::Write;

use super::layout::{assignment, call, comment, condition, declaration, WIDTH};
use super::{explain, guard, Generated, MARKER};
use crate::fields::{is_plain, Body, Direction, Field, Member, Struct, Type};
use crate::module::Module;
use crate::names::{shouted, snake};

/// `autogen/<mod>_c.h`.
pub(crate) fn header(module: &Module) -> Generated {
    let prefix = prefix(module);
    let described: Vec<_> = super::described(module).collect();
    let methods = described.iter().map(|(number, method, _, _)| (*number, &method.name[..]));
    let mut text = head(module, "C", "its described tasks", &["string.h"], methods);
    let shout = prefix.to_uppercase();
    let c = C { prefix, shout, structs: &module.structs };
    let mut asserts = String::new();
    for found in &module.structs {
        let doc = found.doc.clone().unwrap_or_else(|| format!("A struct {}.", found.name));
        let name = c.struct_name(found);
        text += &c.structure(&name, &doc, &found.body, false);
        asserts += &self::asserts(module, &name, &found.body);
    }
    for (_, method, doc, body) in &described {
        let stem = snake(&method.name);
        let name = format!("{}_{stem}_task", c.prefix);
        text += &c.structure(&name, doc, body, true);
        asserts += &self::asserts(module, &name, body);
        text += &c.constructor(&stem, &shouted(&method.name), body);
    }
    text += &foot(module, "C", &asserts);
    Generated { name: format!("{}_c.h", module.name), text }
}

/// What the names of a module begin with.
pub(crate) fn prefix(module: &Module) -> String {
    format!("{}_{}", module.namespace, module.name).to_lowercase()
}

/// The beginning of a header, up to the numbers of methods.
pub(crate) fn head<'m>(
    module: &Module,
    guarded: &str,
    what: &str,
    standard: &[&str],
    methods: impl Iterator<Item = (u32, &'m str)>,
) -> String {
    let guard = guard(module, guarded);
    let prefix = prefix(module);
    let shout = prefix.to_uppercase();
    let name = module.full_name();
    let mut text = match format!("/* {name} for C: {what}. {MARKER} */\n") {
        line if line.len() <= WIDTH + 1 => line,
        _ => format!("/* {name} for C: {what}.\n * {MARKER} */\n"),
    };
    let mut angled: String = standard.iter().map(|name| format!("#include <{name}>\n")).collect();
    if !angled.is_empty() {
        angled.push('\n');
    }
    let _ = write!(
        text,
        "#ifndef {guard}\n#define {guard}\n\n{angled}#include \"chimaera/abi.h\"\n\n\
         #ifdef __cplusplus\nextern \"C\" {{\n#define {shout}_ASSERT static_assert\n#else\n\
         #define {shout}_ASSERT _Static_assert\n#endif\n\n\
         /** The module's name. */\n#define {shout}_MODULE \"{name}\"\n"
    );
    for (number, method) in methods {
        let what = format!("Method {method} ({prefix}_{}_task).", snake(method));
        text += &comment(0, &what, "/**");
        let _ = writeln!(text, "#define {shout}_{} {number}", shouted(method));
    }
    text
}

/// The end of a header, with what `asserts` made.
pub(crate) fn foot(module: &Module, guarded: &str, asserts: &str) -> String {
    format!(
        "\n// clang-format off\n{asserts}// clang-format on\n\n#undef {}_ASSERT\n\
         #ifdef __cplusplus\n}}  // extern \"C\"\n#endif\n\n#endif  // {}\n",
        prefix(module).to_uppercase(),
        guard(module, guarded)
    )
}

/// What says that a compiler places the fields of a struct as the others do, one line for each.
pub(crate) fn asserts(module: &Module, name: &str, body: &Body) -> String {
    let assert = format!("{}_ASSERT", prefix(module).to_uppercase());
    let mut text =
        format!("{assert}(sizeof({name}) == {}, \"{}\");\n", body.size, super::OTHER_SIZE);
    for field in &body.fields {
        let _ = writeln!(
            text,
            "{assert}(offsetof({name}, {}_) == {}, \"{}\");",
            field.name,
            field.offset,
            super::OTHER_PLACE
        );
    }
    text
}

struct C<'m> {
    prefix: String,
    shout: String,
    structs: &'m [Struct],
}

impl C<'_> {
    fn struct_name(&self, found: &Struct) -> String {
        format!("{}_{}", self.prefix, snake(&found.name))
    }

    /// A type without the length of an array.
    fn name(&self, ty: &Type) -> String {
        match ty {
            Type::Scalar(scalar) => scalar.c_name(),
            Type::Bool => "uint8_t".into(),
            Type::Array(of, _) => self.name(of),
            Type::String => "chi_shm_string".into(),
            Type::Bytes | Type::Vector(_) => "chi_shm_vector".into(),
            Type::Struct(index) => self.struct_name(&self.structs[*index]),
        }
    }

    /// A struct.
    fn structure(&self, name: &str, doc: &str, body: &Body, is_task: bool) -> String {
        let mut text = format!("\n{}typedef struct {name} {{\n", comment(0, doc, "/**"));
        if is_task {
            text += "  /** The task. */\n  chi_task task;\n";
        }
        for member in body.members() {
            match member {
                Member::Gap { index, bytes } => {
                    let _ = write!(text, "  /** Zero. */\n  uint8_t reserved{index}_[{bytes}];\n");
                }
                Member::Field(field) => {
                    text += &comment(2, &explain(field, is_task, &self.element(&field.ty)), "/**");
                    let length = match field.ty {
                        Type::Array(_, n) => format!("[{n}]"),
                        _ => String::new(),
                    };
                    let _ = writeln!(text, "  {} {}_{length};", self.name(&field.ty), field.name);
                }
            }
        }
        let _ = writeln!(text, "}} {name};");
        text
    }

    /// What a vector holds, for its comment.
    fn element(&self, ty: &Type) -> String {
        match ty {
            Type::Vector(of) => format!(" Elements: {}.", self.name(of)),
            Type::Bool => " 0 or 1.".into(),
            _ => String::new(),
        }
    }

    /// The function that makes a task.
    fn constructor(&self, stem: &str, constant: &str, body: &Body) -> String {
        let name = format!("{}_{stem}", self.prefix);
        let mut args = vec!["chi_pool_id pool".to_owned(), "chi_domain_query query".to_owned()];
        let (mut plain, mut copied, mut left) = (String::new(), Vec::new(), Vec::new());
        for field in body.inputs() {
            let Field { name, ty, .. } = field;
            let to = format!("(*task)->{name}_");
            match ty {
                Type::Scalar(_) => {
                    args.push(format!("{} {name}", self.name(ty)));
                    let _ = writeln!(plain, "  {to} = {name};");
                }
                Type::Bool => {
                    args.push(format!("bool {name}"));
                    let _ = writeln!(plain, "  {to} = {name} ? 1 : 0;");
                }
                Type::Array(of, n) => {
                    args.push(format!("const {} {name}[{n}]", self.name(of)));
                    plain += &call(2, "memcpy(", &[&to, name, &format!("sizeof({to})")], ");");
                }
                Type::String => {
                    args.push(format!("const char *{name}"));
                    copied.push((
                        "chi_string_set(",
                        vec!["made".into(), format!("&{to}"), name.clone()],
                    ));
                }
                Type::Bytes => {
                    args.push(format!("const void *{name}"));
                    args.push(format!("uint64_t {name}_size"));
                    let parts =
                        vec!["made".into(), format!("&{to}"), name.clone(), format!("{name}_size")];
                    copied.push(("chi_vector_set(", parts));
                }
                Type::Vector(of) if is_plain(of, self.structs) => {
                    args.push(format!("const {} *{name}", self.name(of)));
                    args.push(format!("uint64_t {name}_count"));
                    let bytes = format!("{name}_count * sizeof(*{name})");
                    copied.push((
                        "chi_vector_set(",
                        vec!["made".into(), format!("&{to}"), name.clone(), bytes],
                    ));
                }
                Type::Struct(index) if self.structs[*index].plain => {
                    args.push(format!("const {} *{name}", self.name(ty)));
                    let _ = writeln!(plain, "  {to} = *{name};");
                }
                // Strings in vectors and structs are for the languages that can write them in a line.
                Type::Vector(_) | Type::Struct(_) => left.push(format!("`{name}_`")),
            }
        }
        args.push(format!("{name}_task **task"));
        let mut doc =
            "Makes a task of copies of the arguments. The caller submits it, and deletes it \
                       with `chi_task_delete`."
                .to_owned();
        if !left.is_empty() {
            let _ = write!(
                doc,
                " {} stay empty: strings in vectors and structs are for C++ and Rust.",
                left.join(", ")
            );
        }
        doc += " On an error, which is one of `chi_task_new` and `chi_vector_set`, there is no task. Any thread.";
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut text = format!("\n{}", comment(0, &doc, "/**"));
        text += &declaration(0, &format!("static inline chi_status {name}_new("), &args, ") {");
        text += "  chi_task *made = NULL;\n  *task = NULL;\n";
        let constant = format!("{}_{constant}", self.shout);
        text += &assignment(
            2,
            "chi_status status",
            "chi_task_new(",
            &["sizeof(**task)", "pool", "query", &constant, "&made"],
        );
        text += "  if (status != CHI_OK) return status;\n";
        let _ = writeln!(text, "  *task = ({name}_task *)(void *)made;");
        text += &plain;
        for (index, (function, parts)) in copied.iter().enumerate() {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            text += &match index {
                0 => assignment(2, "status", function, &parts),
                _ => condition(2, "if (status == CHI_OK)", "status", function, &parts),
            };
        }
        if !copied.is_empty() {
            text +=
                "  if (status != CHI_OK) {\n    chi_task_delete(made);\n    *task = NULL;\n  }\n";
        }
        text += "  return status;\n}\n";
        text
    }
}

/// Whether a field comes back.
pub(crate) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "In",
        Direction::Out => "Out",
        Direction::InOut => "In and out",
    }
}
