//! Reads `chimaera_mod.yaml`, and the Rust source that it names.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use chimaera_yaml::{
    read_file, shown, text, Entry, Kind, Node, Position, Problems, Report, Section, Text,
};

use super::{from_rust, from_yaml, methods, params};
use crate::model::{Language, Module, RustTasks};
use crate::names::{self, MODULE_FILE};

/// Reads the files of the module in `dir`, which belongs to a repo with this namespace.
pub(super) fn read(dir: &Path, namespace: &str) -> Result<Module, Problems> {
    let file = dir.join(MODULE_FILE);
    let bytes = read_file(&file, "a module has one, with its methods: `kName: 10`")?;
    let mut module = parse(dir, namespace, &bytes)?;
    if let Some(Text { text, .. }) = &module.rust_source {
        let source = dir.join(text);
        let bytes = read_file(&source, "`rust_tasks` in chimaera_mod.yaml names it")?;
        let layouts = format!("{}_layouts.rs", module.name);
        let tasks = from_rust::parse(&source, text, &layouts, &bytes)?;
        refuse_twice(&module, &source, &tasks)?;
        module.rust_tasks = Some(tasks);
    }
    Ok(module)
}

/// Parses the text of the file of the module in `dir`, and reads no other file.
pub fn parse(dir: &Path, namespace: &str, bytes: &[u8]) -> Result<Module, Problems> {
    let mut report = Report::new(&dir.join(MODULE_FILE));
    let module = read_all(dir, namespace, bytes, &mut report);
    report.finish(module)
}

/// Refuses structs that both files define: other languages would see two of the same name.
fn refuse_twice(module: &Module, source: &Path, rust_tasks: &RustTasks) -> Result<(), Problems> {
    let described = |name: &str| {
        let of_method = |method: &str| name.strip_suffix("Task") == Some(&method[1..]);
        module.params.is_some() && name == "Params"
            || module.structs.iter().any(|found| found.name == name)
            || module.tasks.iter().any(|(method, task)| task.body.is_some() && of_method(method))
    };
    let mut report = Report::new(source);
    for found in &rust_tasks.structs {
        let name = found.name();
        if described(&name) {
            let message = format!("chimaera_mod.yaml describes a `{name}` too");
            report.add(found.at, message, "keep one of the two");
        }
    }
    report.finish(())
}

fn read_all(dir: &Path, namespace: &str, bytes: &[u8], report: &mut Report) -> Module {
    let mut module = Module {
        dir: dir.to_owned(),
        namespace: namespace.to_owned(),
        name: String::new(),
        name_at: Position::START,
        description: None,
        language: Language::Cpp,
        methods: Vec::new(),
        params: None,
        structs: Vec::new(),
        tasks: BTreeMap::new(),
        rust_source: None,
        rust_tasks: None,
    };
    let section = match chimaera_yaml::parse(bytes, report) {
        Some(Node { kind: Kind::Mapping(entries), .. }) if entries.is_empty() => empty(report),
        Some(root) if !root.is_null() => Section::open(root, "a module", report),
        _ if report.is_empty() => empty(report),
        _ => None,
    };
    let Some(mut section) = section else { return module };
    read_name(&mut module, &mut section, report);
    module.description = section.text("description", report).map(|text| text.text);
    let language = section.take("language");
    let unsupported = section.take("unsupported");
    let params = section.take("params");
    let structs = section.take("structs");
    let tasks = section.take("tasks");
    let rust_source = section.text("rust_tasks", report);
    let entries = section.take_all(|entry| names::refuse_method(&entry.key).is_none());
    module.methods = methods::read(entries, unsupported, report);
    module.params = params::read(params, &module.methods, report);
    module.structs = from_yaml::read_structs(structs, module.params.is_some(), report);
    module.tasks = from_yaml::read_tasks(tasks, &module.methods, &module.structs, report);
    methods::refuse_names(&mut section, module.next_number(), report);
    section.close(" and methods: `kName: 10`", report);
    read_language(&mut module, language, report);
    if let Some(file) = &rust_source {
        check_rust_source(file, module.language, report);
    }
    module.rust_source = rust_source;
    module
}

/// Reports an empty file.
fn empty(report: &mut Report) -> Option<Section> {
    report.add(
        Position::START,
        "the file is empty",
        "list the module's methods: `kCreate: 0`, `kDestroy: 1`, `kName: 10`",
    );
    None
}

/// Reports a path that cannot be the Rust source of tasks.
fn check_rust_source(Text { text, at }: &Text, language: Language, report: &mut Report) {
    if language != Language::Rust {
        report.add(*at, "a module in C++ cannot have tasks in Rust", "remove `rust_tasks`");
    }
    let inside = Path::new(text).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || !text.ends_with(".rs") {
        report.add(
            *at,
            format!("\"{}\" is not a source file of the module", shown(text)),
            "write its path from here, `client/src/tasks.rs` for example",
        );
    }
}

fn read_name(module: &mut Module, section: &mut Section, report: &mut Report) {
    let dir = std::path::absolute(&module.dir).unwrap_or_else(|_| module.dir.clone());
    let dir = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(why) = names::refuse_directory(&dir) {
        let message = format!("the module's directory \"{}\" {why}", shown(&dir));
        report.add(Position::START, message, "rename the directory");
    }
    let (name, at) = match section.take("name") {
        Some(entry) => match text(entry, report) {
            Some(Text { text, at }) => (text, at),
            None => return,
        },
        None => (dir, Position::START),
    };
    module.name_at = at;
    if let Some(why) = names::refuse_name(&name) {
        report.add(
            at,
            format!("the module's name \"{}\" {why}", shown(&name)),
            "rename the directory, or say `name: WORD` with a word like `mod_name`",
        );
    }
    module.name = name;
}

fn read_language(module: &mut Module, entry: Option<Entry>, report: &mut Report) {
    const HELP: &str = "write `language: cpp` or `language: rust`";
    if let Some(entry) = entry {
        let Some(Text { text, at }) = text(entry, report) else { return };
        match &text[..] {
            "cpp" => module.language = Language::Cpp,
            "rust" => module.language = Language::Rust,
            other => {
                report.add(at, format!("\"{}\" is not a supported language", shown(other)), HELP)
            }
        }
    } else {
        let has = |files: &[&str]| files.iter().any(|file| module.dir.join(file).exists());
        let rust = has(&["Cargo.toml", "client/Cargo.toml", "runtime/Cargo.toml"]);
        let cpp = has(&["CMakeLists.txt", "src/CMakeLists.txt"]);
        module.language = match (cpp, rust) {
            (true, false) => Language::Cpp,
            (false, true) => Language::Rust,
            (true, true) => {
                let what = "there is both a CMakeLists.txt and a Cargo.toml beside this file";
                return report.add(Position::START, what, HELP);
            }
            (false, false) => {
                let what = "there is neither a CMakeLists.txt nor a Cargo.toml beside this file";
                return report.add(Position::START, what, HELP);
            }
        };
    }
    if module.language == Language::Rust {
        for method in &module.methods[..2.min(module.methods.len())] {
            if !method.supported {
                report.add(
                    method.at,
                    format!("a module in Rust must support {}", method.name),
                    format!("write `{}: {}`", method.name, method.number.unwrap_or_default()),
                );
            }
        }
    }
}
