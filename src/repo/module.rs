//! A module: a directory in a repo with `chimaera_mod.yaml`.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use chimaera_abi::CHI_METHOD_CUSTOM;
use chimaera_yaml::{read_file, shown, text, Entry, Position, Problems, Report, Section, Text};
use serde::Serialize;

use crate::describe;
use crate::fields::{Described, Struct};
use crate::methods;
use crate::names;
use crate::params::{self, Params};
use crate::repo::MODULE_FILE;
use crate::written::Written;

/// What a module is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// C++.
    Cpp,
    /// Rust.
    Rust,
}

/// A method of a module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method {
    /// Its name, `kCompress`.
    pub name: String,
    /// Its number; `None` for a custom method that is not supported and whose number nobody knows.
    pub number: Option<u32>,
    /// False for one that is `-1` in the file.
    pub supported: bool,
    /// Where it stands; at the beginning when the file does not mention it.
    pub(crate) at: Position,
}

/// A module, as its file describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Module {
    /// Its directory.
    pub dir: PathBuf,
    /// The namespace of its repo.
    pub namespace: String,
    /// Its name within the repo.
    pub name: String,
    /// Where the file gives the name, or begins.
    pub(crate) name_at: Position,
    /// What it is, in a line.
    pub description: Option<String>,
    /// What it is written in.
    pub language: Language,
    /// Its methods: the six inherited ones, custom ones by number, then those without a number.
    pub methods: Vec<Method>,
    /// What its pools are created with, when the file describes it.
    pub(crate) params: Option<Params>,
    /// The structs that lie in tasks.
    pub(crate) structs: Vec<Struct>,
    /// The tasks that the file describes, by the names of their methods.
    pub(crate) tasks: BTreeMap<String, Described>,
    /// The source of a module in Rust whose tasks other languages get, as the file names it.
    rust_tasks: Option<Text>,
    /// What is in that source.
    pub(crate) written: Option<Written>,
}

impl Module {
    /// Reads the file of the module in `dir`, of a repo with this namespace.
    pub fn read(dir: &Path, namespace: &str) -> Result<Module, Problems> {
        let file = dir.join(MODULE_FILE);
        let bytes = read_file(&file, "a module has one, with its methods: `kName: 10`")?;
        let mut module = Self::parse(dir, namespace, &bytes)?;
        if let Some(Text { text, .. }) = &module.rust_tasks {
            let source = dir.join(text);
            let bytes = read_file(&source, "`rust_tasks` in chimaera_mod.yaml says there is")?;
            let layouts = format!("{}_layouts.rs", module.name);
            let written = Written::parse(&source, text, &layouts, &bytes)?;
            module.refuse_twice(&source, &written)?;
            module.written = Some(written);
        }
        Ok(module)
    }

    /// The file beside this module's that its generated code comes from, too.
    pub(crate) fn source(&self) -> Option<PathBuf> {
        self.rust_tasks.as_ref().map(|file| self.dir.join(&file.text))
    }

    /// Refuses structs that both files have: other languages would have two of a name.
    fn refuse_twice(&self, source: &Path, written: &Written) -> Result<(), Problems> {
        let described = |name: &str| {
            let of_method = |method: &str| name.strip_suffix("Task") == Some(&method[1..]);
            self.params.is_some() && name == "Params"
                || self.structs.iter().any(|found| found.name == name)
                || self.tasks.iter().any(|(method, task)| task.body.is_some() && of_method(method))
        };
        let mut report = Report::new(source);
        for found in &written.structs {
            let name = found.name();
            if described(&name) {
                let message = format!("chimaera_mod.yaml describes a `{name}`, too");
                report.add(found.at, message, "keep one of the two");
            }
        }
        report.finish(())
    }

    /// Reads the text of the file of the module in `dir`, and no other file.
    pub fn parse(dir: &Path, namespace: &str, bytes: &[u8]) -> Result<Module, Problems> {
        let mut report = Report::new(&dir.join(MODULE_FILE));
        let module = read(dir, namespace, bytes, &mut report);
        report.finish(module)
    }

    /// `repo:module`.
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.namespace, self.name)
    }

    /// The methods that it runs, by number.
    pub fn supported(&self) -> impl Iterator<Item = (u32, &Method)> {
        self.methods
            .iter()
            .filter(|method| method.supported)
            .filter_map(|method| Some((method.number?, method)))
    }

    /// The first number after those of all custom methods.
    pub fn next_number(&self) -> u32 {
        let highest = self.methods.iter().filter_map(|method| method.number).max();
        highest.map_or(CHI_METHOD_CUSTOM, |highest| CHI_METHOD_CUSTOM.max(highest + 1))
    }
}

fn read(dir: &Path, namespace: &str, bytes: &[u8], report: &mut Report) -> Module {
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
        rust_tasks: None,
        written: None,
    };
    let section = match chimaera_yaml::parse(bytes, report) {
        Some(root) => Section::open(root, "a module", report),
        None if report.is_empty() => {
            report.add(
                Position::START,
                "the file is empty",
                "list the module's methods: `kCreate: 0`, `kDestroy: 1`, `kName: 10`",
            );
            None
        }
        None => None,
    };
    let Some(mut section) = section else { return module };
    read_name(&mut module, &mut section, report);
    module.description = section.text("description", report).map(|text| text.text);
    let language = section.take("language");
    let unsupported = section.take("unsupported");
    let params = section.take("params");
    let structs = section.take("structs");
    let tasks = section.take("tasks");
    let rust_tasks = section.text("rust_tasks", report);
    let entries = section.take_all(|entry| names::refuse_method(&entry.key).is_none());
    module.methods = methods::read(entries, unsupported, report);
    module.params = params::read(params, &module.methods, report);
    module.structs = describe::read_structs(structs, module.params.is_some(), report);
    module.tasks = describe::read_tasks(tasks, &module.methods, &module.structs, report);
    methods::refuse_names(&mut section, module.next_number(), report);
    section.close(" and methods: `kName: 10`", report);
    read_language(&mut module, language, report);
    if let Some(file) = &rust_tasks {
        check_rust_tasks(file, module.language, report);
    }
    module.rust_tasks = rust_tasks;
    module
}

/// Reports what cannot be the source of hand-written tasks.
fn check_rust_tasks(Text { text, at }: &Text, language: Language, report: &mut Report) {
    if language != Language::Rust {
        report.add(*at, "a module in C++ has no tasks in Rust", "leave `rust_tasks` out");
    }
    let inside = Path::new(text).components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || !text.ends_with(".rs") {
        report.add(
            *at,
            format!("\"{}\" is no source of the module's", shown(text)),
            "write its path from here, `client/src/tasks.rs` for example",
        );
    }
}

fn read_name(module: &mut Module, section: &mut Section, report: &mut Report) {
    let (name, at) = match section.take("name") {
        Some(entry) => match text(entry, report) {
            Some(Text { text, at }) => (text, at),
            None => return,
        },
        None => {
            let dir = std::path::absolute(&module.dir).unwrap_or_else(|_| module.dir.clone());
            let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (name, Position::START)
        }
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
            other => report.add(at, format!("\"{}\" is no language", shown(other)), HELP),
        }
    } else {
        let has = |files: &[&str]| files.iter().any(|file| module.dir.join(file).exists());
        let rust = has(&["Cargo.toml", "client/Cargo.toml", "runtime/Cargo.toml"]);
        let cpp = has(&["CMakeLists.txt", "src/CMakeLists.txt"]);
        module.language = match (cpp, rust) {
            (true, false) => Language::Cpp,
            (false, true) => Language::Rust,
            (true, true) => {
                let what = "both a CMakeLists.txt and a Cargo.toml lie beside this file";
                return report.add(Position::START, what, HELP);
            }
            (false, false) => {
                let what = "neither a CMakeLists.txt nor a Cargo.toml lies beside this file";
                return report.add(Position::START, what, HELP);
            }
        };
    }
    if module.language == Language::Rust {
        for method in &module.methods[..2.min(module.methods.len())] {
            if !method.supported {
                report.add(
                    method.at,
                    format!("a module in Rust cannot be without {}", method.name),
                    format!("write `{}: {}`", method.name, method.number.unwrap_or_default()),
                );
            }
        }
    }
}
