//! Reads the tasks that a module's author writes in Rust, so that other languages can use them.
//!
//! `chimaera_task_shape` determines how the attributes transform a struct, here as in the compiler.
//! The offsets of the fields then follow from the rules of C, and every compiler checks them.

use std::path::Path;

use chimaera_task_shape::{self as shape, TaskStruct};
use chimaera_yaml::{Position, Problems, Report};
use proc_macro2::Span;
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, DeriveInput, Expr, Field, Fields, Ident, Item, ItemStruct, Lit};

use crate::model::{
    is_plain, Body, Direction, RustStruct, RustTasks, Scalar, Struct, Type, MAX_ARRAY, TASK_HEADER,
};
use crate::names;

/// Reads the Rust source `bytes` of `path`, which the YAML calls `file`. `layouts` is the name of
/// the generated module by which the Rust compiler checks the result.
pub(crate) fn parse(
    path: &Path,
    file: &str,
    layouts: &str,
    bytes: &[u8],
) -> Result<RustTasks, Problems> {
    let mut reader = Reader {
        report: Report::new(path),
        sources: Vec::new(),
        known: foreign(),
        open: Vec::new(),
        structs: Vec::new(),
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => match syn::parse_file(text) {
            Ok(source) => {
                reader.require_layouts(&source.items, file, layouts);
                reader.read(source.items);
            }
            Err(error) => {
                let message = format!("not valid Rust: {error}");
                reader.report.add(position(error.span()), message, MEND);
            }
        },
        Err(error) => {
            reader.report.add(Position::START, error.to_string(), "write the file in UTF-8");
        }
    }
    let Reader { report, structs, .. } = reader;
    report.finish(RustTasks { file: file.to_owned(), structs })
}

/// The structs of the contract that may be fields of a task.
pub(crate) fn foreign() -> Vec<Struct> {
    let of = |name: &str, fields: &[(&str, u32)]| {
        let mut body = Body::new(0);
        for (name, bits) in fields {
            let ty = Type::Scalar(Scalar::Unsigned(*bits));
            body.push(((*name).to_owned(), None), ty, Direction::InOut, &[]);
        }
        Struct { name: name.to_owned(), doc: None, body, plain: true }
    };
    vec![
        of("PoolId", &[("major", 32), ("minor", 32)]),
        of("DomainQuery", &[("kind", 32), ("value", 32)]),
        of("TaskNode", &[("root", 64), ("depth", 32), ("node", 32)]),
    ]
}

/// A struct of the source that has not been read yet.
enum Source {
    Task(ItemStruct),
    Element(ItemStruct),
}

impl Source {
    fn item(&self) -> &ItemStruct {
        let (Source::Task(item) | Source::Element(item)) = self;
        item
    }
}

struct Reader {
    report: Report,
    sources: Vec<Source>,
    /// All structs read so far, and those of the contract: `Type::Struct` is an index into this.
    known: Vec<Struct>,
    /// The structs being read, each nested in the one before.
    open: Vec<String>,
    structs: Vec<RustStruct>,
}

/// The fields of `chi_task`, from which tasks in C++ are derived.
const TAKEN: &[&str] = &[
    "dom_query",
    "message",
    "method",
    "period_ns",
    "pool",
    "state",
    "status",
    "task_flags",
    "task_node",
];

/// The advice for everything that Rust refuses as well.
const MEND: &str = "fix the source";

/// Something in the source that other languages cannot represent: where, what, and how to fix it.
type Refusal = (Span, String, String);

impl Reader {
    /// Requires that the source includes the module with which the compiler checks the offsets.
    fn require_layouts(&mut self, items: &[Item], file: &str, layouts: &str) {
        let there = items.iter().any(|item| match item {
            Item::Mod(module) => module.ident == "layouts" && module.content.is_none(),
            _ => false,
        });
        if !there {
            // The path from the directory of the file to that of the module.
            let up = "../".repeat(Path::new(file).components().count() - 1);
            self.report.add(
                Position::START,
                "the offsets of the tasks' fields are not checked",
                format!("add `#[path = \"{up}autogen/{layouts}\"]` and `mod layouts;`"),
            );
        }
    }

    fn read(&mut self, items: Vec<Item>) {
        for item in items {
            let Item::Struct(item) = item else { continue };
            if item.attrs.iter().any(shape::is_task_attribute) {
                self.sources.push(Source::Task(item));
            } else if shape::derives_element(&item.attrs) {
                self.sources.push(Source::Element(item));
            }
        }
        let names: Vec<String> =
            self.sources.iter().map(|source| source.item().ident.to_string()).collect();
        for name in &names {
            self.find(name);
        }
        if names.is_empty() {
            self.report.add(
                Position::START,
                "this file contains no tasks",
                "put `#[chimaera::task]` on a struct here, or take `rust_tasks` out of \
                 chimaera_mod.yaml",
            );
        }
    }

    /// The index of a struct among the known ones; reads it first if necessary.
    fn find(&mut self, name: &str) -> Option<usize> {
        if let Some(index) = self.known.iter().position(|known| known.name == name) {
            return Some(index);
        }
        let index = self.sources.iter().position(|source| source.item().ident == name)?;
        if self.open.iter().any(|open| open == name) {
            return None;
        }
        self.open.push(name.to_owned());
        // A struct that was refused is recorded as empty, so that its users are not refused as
        // well.
        let (doc, body, plain) = match self.read_struct(index) {
            Ok(read) => {
                let summary = (Some(read.doc.clone()), read.body.clone(), read.plain);
                self.structs.push(read);
                summary
            }
            Err(refusals) => {
                for (span, message, help) in refusals {
                    self.report.add(position(span), message, help);
                }
                (None, Body::opaque(0, 1), true)
            }
        };
        self.open.pop();
        self.known.push(Struct { name: name.to_owned(), doc, body, plain });
        Some(self.known.len() - 1)
    }

    fn read_struct(&mut self, index: usize) -> Result<RustStruct, Vec<Refusal>> {
        let refused = |error: syn::Error| {
            let of = |error: syn::Error| (error.span(), error.to_string(), MEND.to_owned());
            error.into_iter().map(of).collect::<Vec<Refusal>>()
        };
        let (mut item, own, is_task, description) = match &self.sources[index] {
            Source::Task(item) => {
                let attr = item.attrs.iter().find(|attr| shape::is_task_attribute(attr));
                let arguments = match attr.and_then(|attr| attr.meta.require_list().ok()) {
                    Some(list) => shape::task_arguments(list.tokens.clone()),
                    None => shape::task_arguments(Default::default()),
                };
                let arguments = arguments.map_err(refused)?;
                let mut item = item.clone();
                item.attrs.retain(|attr| !shape::is_task_attribute(attr));
                let TaskStruct { item, own } =
                    shape::task(item, &arguments.krate).map_err(refused)?;
                let description = arguments.description.unwrap_or_else(|| shape::fingerprint(&own));
                (item, own, true, description)
            }
            Source::Element(item) => {
                let (_, own) = shape::element(&DeriveInput::from(item.clone())).map_err(refused)?;
                (item.clone(), own, false, 0)
            }
        };
        let mut refusals: Vec<Refusal> = conditional(&item.attrs).collect();
        let mut body = Body::new(if is_task { TASK_HEADER } else { 0 });
        let says = match is_task {
            true => own.is_empty() || own.iter().any(|field| way(field).is_some()),
            false => shape::derives_bytes(&item.attrs),
        };
        let mut stay = Vec::new();
        for field in &own {
            refusals.extend(conditional(&field.attrs));
            if is_task && TAKEN.contains(&&name(field)[..]) {
                let message = format!("every task already has a field `{}`", name(field));
                refusals.push((field.span(), message, "choose another name".to_owned()));
            }
            match self.read_type(&field.ty) {
                Ok(ty) => {
                    let direction = match (way(field), is_task) {
                        (Some(Way::Goes(direction)), _) => direction,
                        (None, false) => Direction::InOut,
                        (None, true) if !says => Direction::InOut,
                        _ => {
                            stay.push(name(field));
                            Direction::Skip
                        }
                    };
                    let doc = Some(doc(&field.attrs)).filter(|doc| !doc.is_empty());
                    body.push((name(field), doc), ty, direction, &self.known);
                }
                Err(refusal) => refusals.push(refusal),
            }
        }
        let struct_name = item.ident.to_string();
        if let Some(why) = names::refuse_name(&struct_name) {
            let message = format!("`{struct_name}` {why}");
            refusals.push((item.ident.span(), message, "choose another name".to_owned()));
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let doc = doc(&item.attrs);
        item.attrs.clear();
        let at = position(item.ident.span());
        let shared: Vec<String> = body
            .fields
            .iter()
            .filter(|field| !is_plain(&field.ty, &self.known))
            .map(|field| field.name.clone())
            .collect();
        let sent = says.then(|| {
            let mut sent = body.clone();
            sent.fields.retain(|field| !stay.contains(&field.name));
            sent
        });
        let plain = shared.is_empty();
        Ok(RustStruct { item, at, doc, is_task, description, body, plain, sent, shared })
    }

    fn read_type(&mut self, ty: &syn::Type) -> Result<Type, Refusal> {
        let refuse = |message: String| {
            let help =
                "fields of tasks that other languages see are numbers of fixed size, arrays \
                        `[T; 20]` of them, `Cell`s of those, `ShmString`, `ShmBytes`, `ShmVec<T>`, \
                        `PoolId`, `DomainQuery`, `TaskNode`, and structs of this file";
            (ty.span(), message, help.to_owned())
        };
        match ty {
            syn::Type::Array(array) => {
                let of = self.read_type(&array.elem)?;
                let n = literal(&array.len).filter(|n| (1..=MAX_ARRAY).contains(n));
                match n {
                    Some(n) => Ok(Type::Array(Box::new(of), n)),
                    None => Err(refuse(format!(
                        "the length of an array must be 1 to {MAX_ARRAY}, in digits"
                    ))),
                }
            }
            syn::Type::Path(path) => {
                let Some(last) = path.path.segments.last() else {
                    return Err(refuse("not a type".into()));
                };
                let word = last.ident.to_string();
                let argument = match &last.arguments {
                    syn::PathArguments::AngleBracketed(list) => match list.args.first() {
                        Some(syn::GenericArgument::Type(of)) => Some(self.read_type(of)?),
                        _ => None,
                    },
                    _ => None,
                };
                match (&word[..], argument) {
                    ("Cell", Some(of)) => Ok(of),
                    ("ShmVec", Some(of)) => Ok(Type::Vector(Box::new(of))),
                    ("ShmString", None) => Ok(Type::String),
                    ("ShmBytes", None) => Ok(Type::Bytes),
                    (_, None) => match Scalar::by_name(&word) {
                        Some(scalar) => Ok(Type::Scalar(scalar)),
                        None => match self.find(&word) {
                            Some(index) => Ok(Type::Struct(index)),
                            None => Err(refuse(format!("`{word}` is unknown outside Rust"))),
                        },
                    },
                    _ => Err(refuse(format!("`{word}` is unknown outside Rust"))),
                }
            }
            _ => Err(refuse("this type cannot be part of a task".into())),
        }
    }
}

/// Refuses `#[cfg]`: with it, a struct differs from build to build.
fn conditional(attrs: &[Attribute]) -> impl Iterator<Item = Refusal> + '_ {
    let cfg = |attr: &&Attribute| attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr");
    attrs.iter().filter(cfg).map(|attr| {
        let message = "other languages cannot know whether this exists".to_owned();
        (attr.span(), message, "write the struct without `cfg`".to_owned())
    })
}

/// What a field's attribute says about sending it to other processes.
enum Way {
    Goes(Direction),
    Stays,
}

/// Reads `#[chi(..)]` on a field, which the attribute macro has already checked.
fn way(field: &Field) -> Option<Way> {
    let attr = field.attrs.iter().find(|attr| attr.path().is_ident("chi"))?;
    // `in` is a keyword.
    let word = attr.parse_args_with(Ident::parse_any).ok()?;
    Some(match &word.to_string()[..] {
        "in" => Way::Goes(Direction::In),
        "out" => Way::Goes(Direction::Out),
        "inout" => Way::Goes(Direction::InOut),
        _ => Way::Stays,
    })
}

fn literal(n: &Expr) -> Option<u32> {
    match n {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.base10_parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The text of a doc comment.
pub(crate) fn doc(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter(|attr| attr.path().is_ident("doc")).filter_map(|attr| {
        match &attr.meta.require_name_value().ok()?.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        }
    });
    lines.collect::<Vec<String>>().join("\n").trim().to_owned()
}

/// A field's name, without `r#`.
pub(crate) fn name(field: &Field) -> String {
    let name = field.ident.as_ref().map(|ident| ident.to_string()).unwrap_or_default();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}

/// The fields of a struct with names.
pub(crate) fn named(item: &mut ItemStruct) -> impl Iterator<Item = &mut Field> {
    match &mut item.fields {
        Fields::Named(fields) => Some(fields.named.iter_mut()),
        _ => None,
    }
    .into_iter()
    .flatten()
}

fn position(span: Span) -> Position {
    let start = span.start();
    Position { line: start.line.max(1), column: start.column + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chimaera_abi::{chi_domain_query, chi_pool_id, chi_task_node};

    #[test]
    fn structs_of_the_contract_have_their_size() {
        let sizes =
            [size_of::<chi_pool_id>(), size_of::<chi_domain_query>(), size_of::<chi_task_node>()];
        assert_eq!(
            foreign().iter().map(|found| found.body.size as usize).collect::<Vec<_>>(),
            sizes
        );
    }
}
