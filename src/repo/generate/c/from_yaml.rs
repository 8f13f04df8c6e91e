//! The described tasks of a module, for C.

use std::fmt::Write;

use super::super::layout::{assignment, call, comment, condition, declaration, WIDTH};
use super::super::{self as generate, explain, guard, params, Generated, MARKER};
use crate::model::{is_plain, Body, Direction, Field, Member, Module, Struct, Type};
use crate::names::{shouted, snake};

/// `autogen/<mod>_c.h`.
pub(crate) fn header(module: &Module) -> Generated {
    let prefix = prefix(module);
    let described: Vec<_> = generate::described(module).collect();
    let methods = described.iter().map(|(number, method, _, _)| (*number, &method.name[..]));
    let mut text = head(module, "C", "its described tasks", &["string.h"], methods);
    let shout = prefix.to_uppercase();
    let c = C { prefix, shout, structs: &module.structs };
    let mut asserts = String::new();
    if let Some(described) = &module.params {
        text += &params::c(module, described);
    }
    for found in &module.structs {
        let doc = found.doc.clone().unwrap_or_else(|| format!("A struct {}.", found.name));
        let name = c.struct_name(found);
        text += &c.structure(&name, &doc, &found.body, false);
        if !found.plain {
            text += &c.value(&name, &found.body);
            text += &c.setters(&name, &found.body);
        }
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
    let with_params = match module.params {
        Some(_) if guarded == "C" => "#include \"chimaera/params_c.h\"\n",
        _ => "",
    };
    let _ = write!(
        text,
        "#ifndef {guard}\n#define {guard}\n\n{angled}#include \"chimaera/abi.h\"\n{with_params}\n\
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
        format!("{assert}(sizeof({name}) == {}, \"{}\");\n", body.size, generate::OTHER_SIZE);
    for field in &body.fields {
        let _ = writeln!(
            text,
            "{assert}(offsetof({name}, {}_) == {}, \"{}\");",
            field.name,
            field.offset,
            generate::OTHER_PLACE
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

    /// The struct that a caller fills in, to be copied into one with strings and vectors.
    fn value(&self, name: &str, body: &Body) -> String {
        let doc = format!("What {name} is a copy of. Borrowed by the functions that take it.");
        let mut text = format!("\n{}typedef struct {name}_value {{\n", comment(0, &doc, "/**"));
        for field in &body.fields {
            text += &comment(2, &explain(field, false, ""), "/**");
            match &field.ty {
                Type::Array(of, n) => {
                    let _ = writeln!(text, "  {} {}[{n}];", self.name(of), field.name);
                }
                Type::Struct(_) => {
                    let _ = writeln!(text, "  {} {};", self.name(&field.ty), field.name);
                }
                _ => {
                    for member in self.parameters(field) {
                        let _ = writeln!(text, "  {member};");
                    }
                }
            }
        }
        text + &format!("}} {name}_value;\n")
    }

    /// The functions that copy values into such structs.
    fn setters(&self, name: &str, body: &Body) -> String {
        let doc =
            "Copies a value into a struct that lies in a task or in a vector of one. Errors: \
                   those of `chi_vector_set`. Any thread.";
        let mut text = format!("\n{}", comment(0, doc, "/**"));
        let value = format!("const {name}_value *from");
        let args = ["chi_task *task", &format!("{name} *to"), &value];
        text += &declaration(0, &format!("static inline chi_status {name}_set("), &args, ") {");
        let mut copies = Vec::new();
        for field in &body.fields {
            match self.copied("task", "to->", "from->", field) {
                Copied::Plainly(statement) => text += &statement,
                Copied::Called(head, parts) => copies.push((head, parts)),
            }
        }
        text += &sequence("chi_status status", &copies);
        text += "  return status;\n}\n";
        text += "\n/** Sets a vector of such structs to copies of values. Otherwise the same. */\n";
        let args = ["chi_task *task", "chi_shm_vector *vector", &value, "uint64_t count"];
        let head = format!("static inline chi_status {name}_set_all(");
        text += &declaration(0, &head, &args, ") {");
        let size = format!("sizeof({name})");
        let parts = ["task", "vector", "count", &size];
        text += &assignment(2, "chi_status status", "chi_vector_elements(", &parts);
        let _ = write!(
            text,
            "  {name} *to = ({name} *)vector->data_;\n  \
             for (uint64_t i = 0; status == CHI_OK && i < count; ++i) {{\n    \
             status = {name}_set(task, &to[i], &from[i]);\n  }}\n  return status;\n}}\n"
        );
        text
    }

    /// What a caller gives for a field: parameters of a function, or members of a value.
    fn parameters(&self, Field { name, ty, .. }: &Field) -> Vec<String> {
        let count = format!("uint64_t {name}_count");
        match ty {
            Type::Scalar(_) => vec![format!("{} {name}", self.name(ty))],
            Type::Bool => vec![format!("bool {name}")],
            Type::Array(of, n) => vec![format!("const {} {name}[{n}]", self.name(of))],
            Type::String => vec![format!("const char *{name}")],
            Type::Bytes => vec![format!("const void *{name}"), format!("uint64_t {name}_size")],
            Type::Struct(index) => {
                let value = if self.structs[*index].plain { "" } else { "_value" };
                vec![format!("const {}{value} *{name}", self.name(ty))]
            }
            Type::Vector(of) => match &**of {
                Type::String => vec![format!("const char *const *{name}"), count],
                Type::Bytes => vec![
                    format!("const void *const *{name}"),
                    format!("const uint64_t *{name}_sizes"),
                    count,
                ],
                Type::Vector(inner) => vec![
                    format!("const {} *const *{name}", self.name(inner)),
                    format!("const uint64_t *{name}_counts"),
                    count,
                ],
                of => {
                    let value = if is_plain(of, self.structs) { "" } else { "_value" };
                    vec![format!("const {}{value} *{name}", self.name(of)), count]
                }
            },
        }
    }

    /// How a field is set to what `parameters` says. `to` and `from` come before the names.
    fn copied(&self, task: &str, to: &str, from: &str, Field { name, ty, .. }: &Field) -> Copied {
        let (to, from) = (format!("{to}{name}_"), format!("{from}{name}"));
        let called = |function: &str, parts: &[&str]| {
            let mut all = vec![task.to_owned(), format!("&{to}")];
            all.extend(parts.iter().map(|part| part.to_string()));
            Copied::Called(format!("{function}("), all)
        };
        let (size, count) = (format!("{from}_size"), format!("{from}_count"));
        match ty {
            Type::Scalar(_) => Copied::Plainly(format!("  {to} = {from};\n")),
            Type::Bool => Copied::Plainly(format!("  {to} = {from} ? 1 : 0;\n")),
            Type::Array(..) => {
                Copied::Plainly(call(2, "memcpy(", &[&to, &from, &format!("sizeof({to})")], ");"))
            }
            Type::String => called("chi_string_set", &[&from]),
            Type::Bytes => called("chi_vector_set", &[&from, &size]),
            Type::Struct(index) if self.structs[*index].plain => {
                // A value holds it, a function is given its address.
                let at = if from.contains("->") { "" } else { "*" };
                Copied::Plainly(format!("  {to} = {at}{from};\n"))
            }
            Type::Struct(_) => called(&format!("{}_set", self.name(ty)), &[&from]),
            Type::Vector(of) => match &**of {
                of if is_plain(of, self.structs) => {
                    called("chi_vector_set", &[&from, &format!("{count} * sizeof(*{from})")])
                }
                Type::String => called("chi_strings_set", &[&from, &count]),
                Type::Bytes => {
                    called("chi_vectors_set", &[&from, &format!("{from}_sizes"), "1", &count])
                }
                Type::Struct(_) => called(&format!("{}_set_all", self.name(of)), &[&from, &count]),
                _ => {
                    let arrays = format!("(const void *const *){from}");
                    let (counts, each) = (format!("{from}_counts"), format!("sizeof(**{from})"));
                    called("chi_vectors_set", &[&arrays, &counts, &each, &count])
                }
            },
        }
    }

    /// The function that makes a task.
    fn constructor(&self, stem: &str, constant: &str, body: &Body) -> String {
        let name = format!("{}_{stem}", self.prefix);
        let mut args = vec!["chi_pool_id pool".to_owned(), "chi_domain_query query".to_owned()];
        let (mut plain, mut copies) = (String::new(), Vec::new());
        for field in body.inputs() {
            args.extend(self.parameters(field));
            match self.copied("made", "(*task)->", "", field) {
                Copied::Plainly(statement) => plain += &statement,
                Copied::Called(head, parts) => copies.push((head, parts)),
            }
        }
        args.push(format!("{name}_task **task"));
        let doc =
            "Makes a task of copies of the arguments. The caller submits it, and deletes it with \
                   `chi_task_delete`. On an error, which is one of `chi_task_new` and \
                   `chi_vector_set`, there is no task. Any thread.";
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut text = format!("\n{}", comment(0, doc, "/**"));
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
        text += &sequence("status", &copies);
        if !copies.is_empty() {
            text +=
                "  if (status != CHI_OK) {\n    chi_task_delete(made);\n    *task = NULL;\n  }\n";
        }
        text += "  return status;\n}\n";
        text
    }
}

/// How a field is set.
enum Copied {
    /// By a statement.
    Plainly(String),
    /// By a function that may fail, with these arguments.
    Called(String, Vec<String>),
}

/// One call after the other, until one fails. `status` is what the first one's status goes to.
fn sequence(status: &str, calls: &[(String, Vec<String>)]) -> String {
    let mut text = String::new();
    for (index, (head, parts)) in calls.iter().enumerate() {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        text += &match index {
            0 => assignment(2, status, head, &parts),
            _ => condition(2, "if (status == CHI_OK)", "status", head, &parts),
        };
    }
    text
}

/// Whether a field comes back.
pub(crate) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::In => "In",
        Direction::Out => "Out",
        Direction::InOut => "In and out",
    }
}
