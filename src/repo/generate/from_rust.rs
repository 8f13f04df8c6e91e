//! C and C++ code for tasks that a module's author wrote in Rust: structs by cbindgen, and
//! assertions by which every compiler checks that the fields have the same offsets in all
//! languages.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};
use chimaera_yaml::{Problem, Problems};
use minijinja::context;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use rustix::fs::{memfd_create, MemfdFlags};
use serde::Serialize;
use syn::visit_mut::VisitMut;
use syn::{parse_quote, Ident, Visibility};

use super::view::{self, Generated, LayoutView};
use super::{c, rust};
use crate::model::{Field, Method, Module, RustStruct, RustTasks};
use crate::names::snake;
use crate::read::{doc, name as field_name, named};
use crate::templates::{comment_lines, fill, WIDTH};

/// The headers for C and C++, and the checks for Rust.
pub(super) fn files(module: &Module, tasks: &RustTasks) -> Result<Vec<Generated>, Problems> {
    let failed = |error: String| {
        Problems::from(Problem {
            file: module.dir.join(&tasks.file),
            position: None,
            message: format!("cbindgen cannot generate headers from this: {error}"),
            help: "move the structs that it names out of this file".into(),
        })
    };
    let structs = tasks.structs.iter().map(|found| (found.name(), &found.body));
    Ok(vec![
        c_header(module, tasks).map_err(failed)?,
        cpp_header(module, tasks).map_err(failed)?,
        rust::layouts_file(module, structs),
    ])
}

/// `autogen/<mod>_tasks_c.h`.
fn c_header(module: &Module, tasks: &RustTasks) -> Result<Generated, String> {
    let prefix = c::prefix(module);
    let name = |found: &str| format!("{prefix}_{}", snake(found));
    let mut source = TokenStream::new();
    for found in &tasks.structs {
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
                    ToC { tasks, name: &name }.visit_type_mut(&mut field.ty);
                }
            }
        }
        source.extend(documented(item, &found.doc));
    }
    let config = Config { language: Language::C, style: Style::Both, ..config() };
    let names = tasks.structs.iter().map(|found| name(&found.name()));
    let layouts: Vec<LayoutView<'_>> = tasks
        .structs
        .iter()
        .map(|found| LayoutView::of(name(&found.name()), &found.body))
        .collect();
    let context = context! {
        source => tasks.file,
        methods => c::methods(methods(module, tasks)),
        bindings => bindings(&source, names, config)?,
        layouts,
        ..view::module(module)
    };
    Ok(Generated {
        name: format!("{}_tasks_c.h", module.name),
        text: fill("generated/c/tasks_c.h", context),
    })
}

/// `autogen/<mod>_tasks.h`.
fn cpp_header(module: &Module, tasks: &RustTasks) -> Result<Generated, String> {
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
    for found in &tasks.structs {
        let name = found.name();
        let mut item = found.item.clone();
        // The common header of all tasks is a base class in C++.
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
        let struct_view = StructView::of(module, found);
        let body = fill("generated/cpp/struct_body.h", context! { struct => struct_view });
        if !body.trim().is_empty() {
            config.export.body.insert(name.clone(), body);
        }
        source.extend(documented(item, &found.doc));
    }
    let layouts: Vec<LayoutView<'_>> =
        tasks.structs.iter().map(|found| LayoutView::of(found.name(), &found.body)).collect();
    let context = context! {
        source => tasks.file,
        bindings => bindings(&source, tasks.structs.iter().map(RustStruct::name), config)?,
        layouts,
        ..view::module(module)
    };
    Ok(Generated {
        name: format!("{}_tasks.h", module.name),
        text: fill("generated/cpp/tasks.h", context),
    })
}

/// What a C++ struct needs besides its fields, for the template.
#[derive(Serialize)]
struct StructView<'m> {
    name: String,
    is_task: bool,
    /// The fingerprint of a task's declaration.
    description: String,
    plain: bool,
    /// The method that the task belongs to.
    method: Option<&'m str>,
    fields: Vec<FieldView<'m>>,
    sent: Option<SentView<'m>>,
}

#[derive(Serialize)]
struct FieldView<'m> {
    name: &'m str,
    shared: bool,
}

/// The names of the fields that are sent to other processes and back.
#[derive(Serialize)]
struct SentView<'m> {
    inputs: Vec<&'m str>,
    outputs: Vec<&'m str>,
}

impl<'m> StructView<'m> {
    fn of(module: &'m Module, found: &'m RustStruct) -> StructView<'m> {
        let name = found.name();
        let method = module.supported().find(|(_, method)| task_of(method) == name);
        let field =
            |field: &'m Field| FieldView { name: &field.name, shared: found.holds_shared(field) };
        let sent = found.sent.as_ref().map(|sent| SentView {
            inputs: view::names(sent.inputs()),
            outputs: view::names(sent.outputs()),
        });
        StructView {
            is_task: found.is_task,
            description: format!("{:#x}", found.description),
            plain: found.plain,
            method: method.map(|(_, method)| &method.name[..]),
            fields: found.body.fields.iter().map(field).collect(),
            sent,
            name,
        }
    }
}

/// The methods whose tasks are defined in the source.
fn methods<'m>(
    module: &'m Module,
    tasks: &'m RustTasks,
) -> impl Iterator<Item = (u32, &'m Method)> {
    module.supported().filter(|(_, method)| {
        let task = task_of(method);
        tasks.structs.iter().any(|found| found.is_task && found.name() == task)
    })
}

/// `kPut` → `PutTask`.
fn task_of(method: &Method) -> String {
    format!("{}Task", &method.name[1..])
}

/// Replaces Rust types with the names of their C counterparts.
struct ToC<'t, N> {
    tasks: &'t RustTasks,
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
                    word if self.tasks.structs.iter().any(|found| found.name() == word) => {
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

/// Strips `Cell`s and paths from types.
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

/// A struct for cbindgen, with its comments wrapped.
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

/// Runs cbindgen on these structs.
fn bindings(
    source: &TokenStream,
    names: impl Iterator<Item = String>,
    mut config: Config,
) -> Result<String, String> {
    // cbindgen omits types that no function uses, unless it is told to include them.
    config.export.include = names.collect();
    // cbindgen only reads files.
    let file = in_memory(source.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let bindings = Builder::new()
        .with_config(config)
        .with_src(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .generate()
        .map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    Ok(text.trim_matches('\n').to_owned() + "\n")
}

fn in_memory(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("tasks.rs", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file)
}
