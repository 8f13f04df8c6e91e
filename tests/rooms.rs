//! Reads the imports of this project's sources, and checks the order of its rooms: which crates may
//! depend on which, which rooms of the runtime may import which, and that no large import circles
//! exist. A re-exported name counts as an import of the file that defines it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;

/// The rooms of `src/runtime`, bottom up. Each may import those before it.
const RUNTIME: [&str; 26] = [
    "failure",
    "access",
    "sys",
    "log",
    "metrics",
    "config",
    "durable",
    "module",
    "published",
    "session",
    "sync",
    "pool",
    "task",
    "host",
    "coroutine",
    "scheduler",
    "state",
    "tables",
    "handover",
    "isolation",
    "admin",
    "cluster",
    "control",
    "runtime",
    "inspect",
    "fuzzing",
];

/// The crates in `src`, bottom up. Each may depend only on the crates listed with it, which come
/// before it.
const CRATES: [(&str, &[&str]); 22] = [
    ("src/abi", &[]),
    ("src/ipc", &["src/abi"]),
    ("src/description", &["src/abi"]),
    ("src/metrics", &[]),
    ("src/http", &[]),
    ("src/front", &["src/abi", "src/ipc"]),
    ("src/task/shape", &["src/abi"]),
    ("src/macros", &["src/task/shape"]),
    ("src/task", &["src/abi", "src/macros"]),
    ("src/module", &["src/abi", "src/task", "src/macros"]),
    ("src/client", &["src/abi", "src/ipc", "src/front"]),
    ("src/client/c", &["src/abi", "src/client"]),
    ("src/link", &["src/ipc"]),
    ("src/cluster", &[]),
    ("src/journal", &["src/cluster"]),
    (
        "src/runtime",
        &[
            "src/abi",
            "src/description",
            "src/ipc",
            "src/front",
            "src/link",
            "src/cluster",
            "src/journal",
            "src/metrics",
        ],
    ),
    (".", &["src/abi", "src/client", "src/module", "src/runtime", "src/task"]),
    ("src/runtime/c", &["src/abi", "src/runtime"]),
    ("src/yaml", &[]),
    ("src/config", &["src/abi", "src/ipc", "src/runtime", "src/yaml"]),
    ("src/repo", &["src/abi", "src/description", "src/task/shape", "src/yaml"]),
    (
        "src/cli",
        &[
            "src/abi",
            "src/description",
            "src/ipc",
            "src/client",
            "src/runtime",
            "src/metrics",
            "src/http",
            "src/config",
            "src/repo",
            "src/yaml",
        ],
    ),
];

/// The largest import circle allowed, in files.
const MAX_CIRCLE: usize = 3;

type Imports = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A crate's modules: the file of each, and the names that it re-exports.
struct Modules {
    files: BTreeMap<Vec<String>, PathBuf>,
    passed_on: BTreeMap<Vec<String>, Vec<String>>,
}

/// All paths that a file uses, from `crate`, `self` or `super`.
#[derive(Default)]
struct Paths {
    uses: Vec<(Vec<String>, bool)>,
    modules: Vec<String>,
}

impl Paths {
    fn tree(&mut self, prefix: &[String], tree: &syn::UseTree, public: bool) {
        let with = |name: String| prefix.iter().cloned().chain([name]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => {
                self.tree(&with(path.ident.to_string()), &path.tree, public);
            }
            syn::UseTree::Name(name) => self.uses.push((with(name.ident.to_string()), public)),
            syn::UseTree::Rename(name) => self.uses.push((with(name.ident.to_string()), public)),
            syn::UseTree::Glob(_) => self.uses.push((prefix.to_vec(), public)),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(prefix, item, public));
            }
        }
    }
}

impl Paths {
    fn tokens(&mut self, tokens: TokenStream) {
        let mut names: Vec<String> = Vec::new();
        // How many colons have followed the last name.
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.end_path(&mut names);
                    }
                    names.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' && !names.is_empty() => colons += 1,
                TokenTree::Group(group) => {
                    self.end_path(&mut names);
                    self.tokens(group.stream());
                }
                _ => self.end_path(&mut names),
            }
        }
        self.end_path(&mut names);
    }

    fn end_path(&mut self, names: &mut Vec<String>) {
        let path = std::mem::take(names);
        if path.len() > 1 {
            self.uses.push((path, false));
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree, !matches!(item.vis, syn::Visibility::Inherited));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(|attribute| attribute.path().is_ident("cfg"))
            && item.ident.to_string().ends_with("tests");
        match &item.content {
            None if !is_test => self.modules.push(item.ident.to_string()),
            Some(_) if !is_test => syn::visit::visit_item_mod(self, item),
            _ => {}
        }
    }

    /// A visibility is not an import.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    /// The arguments of a macro: whatever looks like a path in them.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if names.len() > 1 {
            self.uses.push((names, false));
        }
        syn::visit::visit_path(self, path);
    }
}

fn paths_of(file: &Path) -> Paths {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let mut paths = Paths::default();
    paths.visit_file(&parsed);
    paths
}

impl Modules {
    /// The modules of the crate whose root is this file.
    fn of(root: &Path) -> (Modules, BTreeMap<Vec<String>, Paths>) {
        let mut modules = Modules { files: BTreeMap::new(), passed_on: BTreeMap::new() };
        let mut found = BTreeMap::new();
        let mut open = vec![(Vec::new(), root.to_owned())];
        while let Some((name, file)) = open.pop() {
            let paths = paths_of(&file);
            let is_root = name.is_empty() || file.ends_with("mod.rs");
            let stem = file.file_stem().expect("a file has a name");
            let parent = file.parent().expect("a file has a parent");
            let directory = if is_root { parent.to_owned() } else { parent.join(stem) };
            for child in &paths.modules {
                let path = name.iter().cloned().chain([child.clone()]).collect::<Vec<_>>();
                let places =
                    [directory.join(format!("{child}.rs")), directory.join(child).join("mod.rs")];
                if let Some(place) = places.into_iter().find(|place| place.is_file()) {
                    open.push((path, place));
                }
            }
            modules.files.insert(name.clone(), file);
            found.insert(name, paths);
        }
        for (module, paths) in &found {
            for (path, _) in paths.uses.iter().filter(|(_, public)| *public) {
                let Some(target) = modules.absolute(module, path) else { continue };
                let name = target.last().expect("a path has a name").clone();
                let own = module.iter().cloned().chain([name]).collect();
                modules.passed_on.insert(own, target);
            }
        }
        (modules, found)
    }

    /// A path relative to the crate's root; `None` if it leads out of the crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let mut from = module.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => from.clear(),
            "self" => {}
            "super" => {
                from.pop()?;
            }
            first => {
                // A child module of this one, named without `self`.
                let child: Vec<_> = module.iter().cloned().chain([first.to_owned()]).collect();
                self.files.get(&child)?;
                return Some(module.iter().chain(path).cloned().collect());
            }
        }
        rest = &rest[1..];
        while rest.first().is_some_and(|name| name == "super") {
            from.pop()?;
            rest = &rest[1..];
        }
        from.extend(rest.iter().cloned());
        Some(from)
    }

    /// The file that defines what a path refers to.
    fn file_of(&self, path: &[String]) -> Option<&PathBuf> {
        let mut path = path.to_vec();
        // Names are re-exported a few times at most.
        for _ in 0..4 {
            let passed = (1..=path.len()).rev().find_map(|length| {
                let target = self.passed_on.get(&path[..length])?;
                (target[..] != path[..length]).then(|| [target, &path[length..]].concat())
            });
            match passed {
                Some(on) => path = on,
                None => break,
            }
        }
        (0..=path.len()).rev().find_map(|length| self.files.get(&path[..length]))
    }
}

/// The imports among the files of one crate.
fn imports(root: &Path) -> Imports {
    let (modules, found) = Modules::of(root);
    let mut imports = Imports::new();
    for (module, paths) in &found {
        let own = &modules.files[module];
        let into = imports.entry(own.clone()).or_default();
        let passes_on = own.ends_with("mod.rs") || own.ends_with("lib.rs");
        for (path, public) in &paths.uses {
            // A re-export is not an import of the file that contains it: its users import the
            // defining file.
            if *public && passes_on {
                continue;
            }
            let Some(absolute) = modules.absolute(module, path) else { continue };
            if let Some(file) = modules.file_of(&absolute).filter(|file| *file != own) {
                into.insert(file.clone());
            }
        }
    }
    imports
}

/// The files reachable from a file.
fn reached<'i>(imports: &'i Imports, from: &'i PathBuf) -> BTreeSet<&'i PathBuf> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if reached.insert(next) {
                open.push(next);
            }
        }
    }
    reached
}

/// The sets of files that import each other in circles.
fn circles(imports: &Imports) -> Vec<BTreeSet<&PathBuf>> {
    let reach: BTreeMap<_, _> = imports.keys().map(|file| (file, reached(imports, file))).collect();
    let mut circles: Vec<BTreeSet<&PathBuf>> = Vec::new();
    for (file, from_here) in &reach {
        let circle: BTreeSet<_> =
            from_here.iter().filter(|other| reach[**other].contains(*file)).copied().collect();
        if circle.len() > 1 && !circles.contains(&circle) {
            circles.push(circle);
        }
    }
    circles
}

fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The crates of this project in `src`, and the root crate.
fn crates() -> Vec<(&'static str, PathBuf)> {
    let exists = |(name, _): &(&'static str, _)| {
        let root = root().join(name);
        let places = [root.join("lib.rs"), root.join("main.rs"), root.join("src/lib.rs")];
        Some((*name, places.into_iter().find(|place| place.is_file())?))
    };
    CRATES.iter().filter_map(exists).collect()
}

#[test]
fn each_room_of_the_runtime_imports_only_those_below_it() {
    let runtime = root().join("src/runtime");
    let room_of = |file: &Path| -> Option<String> {
        let inside = file.strip_prefix(&runtime).ok()?;
        let first = inside.components().next()?.as_os_str().to_str()?;
        Some(first.trim_end_matches(".rs").to_owned())
    };
    let height = |room: &str| {
        let found = RUNTIME.iter().position(|other| *other == room);
        found.unwrap_or_else(|| panic!("the room '{room}' is not in the table of this test"))
    };
    let imports = imports(&runtime.join("lib.rs"));
    let mut wrong = Vec::new();
    for (file, imported) in imports.iter().filter(|(file, _)| !file.ends_with("lib.rs")) {
        let room = room_of(file).expect("it is in src/runtime");
        for other in imported {
            let below = room_of(other).expect("it is in src/runtime");
            if below != room && (below == "lib" || height(&below) >= height(&room)) {
                wrong.push(format!("{} imports {}", short(file), short(other)));
            }
        }
    }
    assert!(wrong.is_empty(), "a lower room imports a higher one:\n{}", wrong.join("\n"));
    let arrows: usize = imports.values().map(BTreeSet::len).sum();
    assert!(arrows > 100, "only {arrows} imports were found: this test fails to read them");
}

#[test]
fn no_files_import_each_other_in_a_large_circle() {
    let mut large = Vec::new();
    for (_, root) in crates() {
        let imports = imports(&root);
        for circle in circles(&imports) {
            if circle.len() > MAX_CIRCLE {
                let files: Vec<_> = circle.iter().map(|file| short(file)).collect();
                large.push(files.join(", "));
            }
        }
    }
    assert!(large.is_empty(), "import circles of more than {MAX_CIRCLE}:\n{}", large.join("\n"));
}

#[test]
fn crates_depend_only_on_those_below_them() {
    for (name, _) in crates() {
        let (_, allowed) = CRATES.iter().find(|(other, _)| *other == name).expect("in the table");
        let manifest = root().join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(&manifest).unwrap();
        let normal = text.split("\n[").filter(|part| {
            part.starts_with("dependencies") || part.starts_with("build-dependencies")
        });
        for line in normal.flat_map(str::lines) {
            let Some((_, path)) = line.split_once("path = \"") else { continue };
            let path = path.split('"').next().expect("a string ends");
            let target = manifest.parent().unwrap().join(path).canonicalize().unwrap();
            let target = short(&target);
            if target.starts_with("src") {
                assert!(allowed.contains(&target.as_str()), "{name} depends on {target}");
            }
        }
    }
}

/// Whether a type is a worker, or refers to one.
fn is_worker(of: &syn::Type) -> bool {
    match of {
        syn::Type::Reference(reference) => is_worker(&reference.elem),
        syn::Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| last.ident == "Worker")
        }
        _ => false,
    }
}

/// The methods of the worker, and the functions that take one, in a file.
#[derive(Default)]
struct Chapters {
    methods: usize,
    functions: usize,
}

impl<'ast> Visit<'ast> for Chapters {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !item.ident.to_string().ends_with("tests") {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.methods += usize::from(is_worker(&item.self_ty));
        syn::visit::visit_item_impl(self, item);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        let takes = |input: &syn::FnArg| match input {
            syn::FnArg::Typed(typed) => is_worker(&typed.ty),
            syn::FnArg::Receiver(_) => false,
        };
        self.functions += usize::from(signature.inputs.iter().any(takes));
        syn::visit::visit_signature(self, signature);
    }
}

/// State types know no worker: only the room of the workers, and those above it, name it. Its
/// methods are in one file.
#[test]
fn only_upper_rooms_take_a_worker() {
    let (modules, _) = Modules::of(&root().join("src/runtime/lib.rs"));
    let scheduler = RUNTIME.iter().position(|room| *room == "scheduler").unwrap();
    let (mut methods, mut lower, mut functions) = (Vec::new(), Vec::new(), 0);
    for file in modules.files.values() {
        let text = std::fs::read_to_string(file).unwrap();
        let mut found = Chapters::default();
        found.visit_file(&syn::parse_file(&text).unwrap());
        if found.methods > 0 {
            methods.push(short(file));
        }
        let room = short(file);
        let room = room.trim_start_matches("src/runtime/").split(['/', '.']).next().unwrap();
        let is_below = RUNTIME.iter().position(|other| *other == room) < Some(scheduler);
        if found.functions > 0 && is_below {
            lower.push(short(file));
        }
        functions += found.functions;
    }
    assert_eq!(methods, ["src/runtime/scheduler/worker.rs"]);
    assert!(lower.is_empty(), "these take a worker: {lower:?}");
    assert!(functions > 50, "only {functions} were found: this test fails to read them");
}

#[test]
fn paths_in_macros_are_imports() {
    let mut paths = Paths::default();
    let text = "fn f() { assert!(crate::a::b() && !(super::c::D == e), x::y(), \"g\"); }";
    paths.visit_file(&syn::parse_file(text).unwrap());
    let found: Vec<String> = paths.uses.iter().map(|(path, _)| path.join("::")).collect();
    assert_eq!(found, ["crate::a::b", "super::c::D", "x::y"]);
}

#[test]
fn a_circle_is_found() {
    let file = |name: &str| PathBuf::from(name);
    let imports: Imports =
        [("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["a", "d"]), ("d", vec![])]
            .into_iter()
            .map(|(from, to)| (file(from), to.into_iter().map(file).collect()))
            .collect();
    let found = circles(&imports);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0], [&file("a"), &file("b"), &file("c")].into_iter().collect());
}
