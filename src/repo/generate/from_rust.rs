//! The tasks that the author of a module in Rust writes, for C and C++: structs by cbindgen, and what
//! has every compiler check that their fields lie where the others have them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};
use chimaera_yaml::{Problem, Problems};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use rustix::fs::{memfd_create, MemfdFlags};
use syn::visit_mut::VisitMut;
use syn::{parse_quote, Ident, Visibility};

use super::c::from_yaml::{self as c_from_yaml, prefix};
use super::cpp::dispatch;
use super::cpp::from_yaml::{self as cpp_from_yaml, constructor, ALLOC};
use super::layout::{comment_lines, WIDTH};
use super::rust::{from_yaml as rust_from_yaml, layout as rust_layout};
use super::{serializers, Generated, MARKER};
use crate::model::{Body, Field, Method, Module, RustStruct, RustTasks};
use crate::names::{is_rust_keyword, snake};
use crate::read::{doc, name as field_name, named};

/// The headers for C and C++, and the checks for Rust.
pub(crate) fn files(module: &Module, written: &RustTasks) -> Result<Vec<Generated>, Problems> {
    let failed = |error: String| {
        Problems::from(Problem {
            file: module.dir.join(&written.file),
            position: None,
            message: format!("cbindgen made no headers of this: {error}"),
            help: "take the structs that it names out of this file".into(),
        })
    };
    Ok(vec![
        c(module, written).map_err(failed)?,
        cpp(module, written).map_err(failed)?,
        layouts(module, written),
    ])
}

/// `autogen/<mod>_tasks_c.h`.
fn c(module: &Module, written: &RustTasks) -> Result<Generated, String> {
    let prefix = prefix(module);
    let name = |found: &str| format!("{prefix}_{}", snake(found));
    let mut source = TokenStream::new();
    let mut asserts = String::new();
    for found in &written.structs {
        let mut item = found.item.clone();
        item.ident = format_ident!("{}", name(&found.name()));
        for field in named(&mut item) {
            match found.is_task && field_name(field) == chimaera_task_shape::BASE {
                true => {
                    field.ident = Some(format_ident!("task"));
                    field.ty = parse_quote!(chi_task);
                }
                false => {
                    field.ident = Some(format_ident!("{}_", field_name(field)));
                    let mut to_c = ToC { written, name: &name };
                    to_c.visit_type_mut(&mut field.ty);
                }
            }
        }
        source.extend(documented(item, &found.doc));
        asserts += &c_from_yaml::asserts(module, &name(&found.name()), &found.body);
    }
    let methods = methods(module, written).map(|(number, method)| (number, &method.name[..]));
    let what = format!("the tasks of {}", written.file);
    let mut text = c_from_yaml::head(module, "TASKS_C", &what, &[], methods);
    let config = Config { language: Language::C, style: Style::Both, ..config() };
    text.push('\n');
    text += &bindings(&source, written.structs.iter().map(|found| name(&found.name())), config)?;
    text += &c_from_yaml::foot(module, "TASKS_C", &asserts);
    Ok(Generated { name: format!("{}_tasks_c.h", module.name), text })
}

/// `autogen/<mod>_tasks.h`.
fn cpp(module: &Module, written: &RustTasks) -> Result<Generated, String> {
    let includes = ["chimaera/chimaera.h".to_owned(), format!("{}_methods.h", module.name)];
    let what = format!("The tasks of {} of", written.file);
    let mut text = dispatch::head(module, &what, "TASKS", &["cstddef"], &includes);
    let mut source = TokenStream::new();
    let mut config = Config { language: Language::Cxx, ..config() };
    let renamed = [
        ("ShmString", "hipc::string"),
        ("ShmBytes", "hipc::vector<char>"),
        ("ShmVec", "hipc::vector"),
        ("PoolId", "chi::PoolId"),
        ("DomainQuery", "chi::DomainQuery"),
        ("TaskNode", "chi::TaskNode"),
    ];
    config.export.rename =
        renamed.map(|(rust, cpp)| (rust.to_owned(), cpp.to_owned())).into_iter().collect();
    for found in &written.structs {
        let name = found.name();
        let mut item = found.item.clone();
        // What every task begins with is a base class here.
        let syn::Fields::Named(fields) = &mut item.fields else { continue };
        let own = std::mem::take(&mut fields.named).into_iter();
        fields.named = own.skip(usize::from(found.is_task)).collect();
        for field in named(&mut item) {
            field.ident = Some(format_ident!("{}_", field_name(field)));
            Bare.visit_type_mut(&mut field.ty);
        }
        if found.is_task {
            config.export.rename.insert(name.clone(), format!("{name} : public chi::Task"));
        }
        let mut body = constructors(module, found).unwrap_or_default();
        body += &match &found.sent {
            Some(sent) if found.is_task => serializers::cpp_task(sent),
            Some(sent) => serializers::cpp_struct(sent),
            None => String::new(),
        };
        if !body.is_empty() {
            config.export.body.insert(name.clone(), body);
        }
        source.extend(documented(item, &found.doc));
    }
    text.push('\n');
    text += &bindings(&source, written.structs.iter().map(RustStruct::name), config)?;
    let structs = written.structs.iter().map(|found| (found.name(), &found.body));
    text += &cpp_from_yaml::asserts(structs);
    text += &dispatch::foot(module, "TASKS");
    Ok(Generated { name: format!("{}_tasks.h", module.name), text })
}

/// What stands before the constructors of a struct.
const CONSTRUCTORS: &str = "  /** SHM default constructor */\n";

/// How a struct is made in C++; nothing for plain data.
fn constructors(module: &Module, found: &RustStruct) -> Option<String> {
    let name = found.name();
    let fields = &found.body.fields;
    let made = |argument: &str| -> Vec<String> {
        let one = |field: &Field| match found.holds_shared(field) {
            true => format!("{}_({argument})", field.name),
            false => format!("{}_()", field.name),
        };
        fields.iter().map(one).collect()
    };
    let explicit = format!("explicit {name}(");
    if !found.is_task {
        return (!found.plain).then(|| {
            let plainly = constructor(&format!("{name}("), &[], &made(""), "{}");
            CONSTRUCTORS.to_owned()
                + &plainly
                + &constructor(&explicit, &[ALLOC], &made("alloc"), "{}")
        });
    }
    let mut initialisers = vec!["chi::Task(alloc)".to_owned()];
    initialisers.extend(made("alloc"));
    let mut text = CONSTRUCTORS.to_owned();
    text += &constructor(&explicit, &[ALLOC], &initialisers, "{}");
    let method = module.supported().find(|(_, method)| task_of(method) == name);
    if let Some((_, method)) = method {
        let args = [
            ALLOC,
            "const chi::TaskNode &task_node",
            "const chi::PoolId &pool_id",
            "const chi::DomainQuery &dom_query",
        ];
        text += "\n  /** Emplace constructor */\n";
        text += &constructor(&format!("{name}("), &args, &[format!("{name}(alloc)")], "{");
        text += &format!(
            "    task_node_ = task_node;\n    pool_ = pool_id;\n    method_ = Method::{};\n    \
             dom_query_ = dom_query;\n  }}\n",
            method.name
        );
        text += "\n  /** Emplace constructor: `fill` gets the task, and sets its fields. */\n";
        text += "  template <typename Fill>\n";
        let args = [&args[..], &["Fill &&fill"]].concat();
        let made = [format!("{name}(alloc, task_node, pool_id, dom_query)")];
        text += &constructor(&format!("{name}("), &args, &made, "{");
        text += "    fill(*this);\n  }\n";
    }
    Some(text)
}

/// `autogen/<mod>_layouts.rs`.
fn layouts(module: &Module, written: &RustTasks) -> Generated {
    let raw = |body: &Body| {
        let mut body = body.clone();
        for field in &mut body.fields {
            if is_rust_keyword(&field.name) {
                field.name = format!("r#{}", field.name);
            }
        }
        body
    };
    let bodies: Vec<_> =
        written.structs.iter().map(|found| (found.name(), raw(&found.body))).collect();
    let mut names: Vec<&str> = bodies.iter().map(|(name, _)| &name[..]).collect();
    names.sort();
    let text = format!(
        "//! That the fields of the tasks of `{}` lie where C and C++ have them.\n//! {MARKER}\n\n\
         {}{}",
        module.full_name(),
        rust_layout::imports("super", &names),
        rust_from_yaml::asserts(bodies.iter().map(|(name, body)| (name.clone(), body)))
    );
    Generated { name: format!("{}_layouts.rs", module.name), text }
}

/// The methods whose tasks are written here.
fn methods<'m>(
    module: &'m Module,
    written: &'m RustTasks,
) -> impl Iterator<Item = (u32, &'m Method)> {
    module.supported().filter(|(_, method)| {
        let task = task_of(method);
        written.structs.iter().any(|found| found.is_task && found.name() == task)
    })
}

/// `kPut` → `PutTask`.
fn task_of(method: &Method) -> String {
    format!("{}Task", &method.name[1..])
}

/// What C calls a type.
struct ToC<'w, N> {
    written: &'w RustTasks,
    name: N,
}

impl<N: Fn(&str) -> String> VisitMut for ToC<'_, N> {
    fn visit_type_mut(&mut self, ty: &mut syn::Type) {
        Bare.visit_type_mut(ty);
        match ty {
            syn::Type::Array(array) => self.visit_type_mut(&mut array.elem),
            syn::Type::Path(path) => {
                let Some(last) = path.path.segments.last() else { return };
                let word = last.ident.to_string();
                let in_c = match &word[..] {
                    "ShmString" => "chi_shm_string".to_owned(),
                    "ShmBytes" | "ShmVec" => "chi_shm_vector".to_owned(),
                    "PoolId" => "chi_pool_id".to_owned(),
                    "DomainQuery" => "chi_domain_query".to_owned(),
                    "TaskNode" => "chi_task_node".to_owned(),
                    word if self.written.structs.iter().any(|found| found.name() == word) => {
                        (self.name)(word)
                    }
                    word => word.to_owned(),
                };
                let ident = Ident::new(&in_c, last.ident.span());
                *ty = parse_quote!(#ident);
            }
            _ => {}
        }
    }
}

/// Takes the cells off types, and the paths.
struct Bare;

impl VisitMut for Bare {
    fn visit_type_mut(&mut self, ty: &mut syn::Type) {
        syn::visit_mut::visit_type_mut(self, ty);
        let syn::Type::Path(path) = ty else { return };
        let Some(last) = path.path.segments.last() else { return };
        *ty = match &last.arguments {
            syn::PathArguments::AngleBracketed(list) if last.ident == "Cell" => {
                let of = &list.args;
                parse_quote!(#of)
            }
            _ => parse_quote!(#last),
        };
    }
}

/// A struct for cbindgen, with its comments in lines that are short enough.
fn documented(mut item: syn::ItemStruct, text: &str) -> TokenStream {
    item.vis = Visibility::Public(Default::default());
    for field in named(&mut item) {
        let lines = comment_lines(&doc(&field.attrs), WIDTH - 2 - "// ".len());
        let lines = lines.iter().map(|line| format!(" {line}"));
        field.attrs = vec![];
        field.attrs.extend(lines.map(|line| parse_quote!(#[doc = #line])));
        field.vis = Visibility::Public(Default::default());
    }
    let lines = comment_lines(text, WIDTH - "// ".len());
    let lines = lines.iter().map(|line| format!(" {line}"));
    quote!(#(#[doc = #lines])* #[repr(C)] #item)
}

fn config() -> Config {
    let mut config = Config {
        no_includes: true,
        documentation_style: DocumentationStyle::C99,
        line_length: WIDTH,
        ..Config::default()
    };
    config.structure.associated_constants_in_body = false;
    config
}

/// What cbindgen makes of these structs.
fn bindings(
    source: &TokenStream,
    names: impl Iterator<Item = String>,
    mut config: Config,
) -> Result<String, String> {
    // Nothing uses them but the includer.
    config.export.include = names.collect();
    // cbindgen reads files only.
    let file = in_memory(source.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let bindings = Builder::new()
        .with_config(config)
        .with_src(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .generate()
        .map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    // It puts an empty line before what follows no fields, and none between the two.
    let apart =
        |text: String, what: &str| text.replace(&format!(";\n{what}"), &format!(";\n\n{what}"));
    let text = apart(apart(text, CONSTRUCTORS), serializers::CPP_STRUCT).replace("{\n\n", "{\n");
    Ok(text.trim_matches('\n').to_owned() + "\n")
}

fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("tasks.rs", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}
