//! Adds a method to a module: its line in the YAML, and stubs in the sources that the author
//! writes.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use chimaera_yaml::{read_file, shown, Position, Problem, Problems};
use minijinja::{context, Value};

use super::refresh::{refresh, Mode};
use super::scaffold::replace;
use super::text::SourceText;
use crate::model::{Language, Module};
use crate::names::{self, MODULE_FILE};
use crate::read::{parse_module, Repo};
use crate::templates::fill;

/// What was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The method's name.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// The files that were created or changed.
    pub files: Vec<PathBuf>,
    /// The files that could not be changed.
    pub left: Vec<Left>,
}

/// A file that was left unchanged: it cannot be read, or does not have the expected form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The file.
    pub file: PathBuf,
    /// Why it was left unchanged.
    pub reason: String,
    /// The code to add to it.
    pub code: String,
}

/// The advice for a directory that is not a module.
const WHICH: &str = "name the directory of a module with `--module DIR`";

/// Adds the method `name` to the module in `dir`. `name` is a method name such as `kCompress`, or a
/// word from which one can be derived.
pub fn add_method(dir: &Path, name: &str) -> Result<Added, Problems> {
    let file = dir.join(MODULE_FILE);
    if !dir.is_dir() {
        return Err(problem(dir, "there is no such directory", WHICH));
    }
    if !file.exists() {
        return Err(problem(&file, "there is no such file, so this is not a module", WHICH));
    }
    let (_, modules) = Repo::open(dir)?;
    let [module] = &modules[..] else {
        return Err(problem(dir, "this is a repo", WHICH));
    };
    let Some(name) = names::method_name_from(name) else {
        let why = names::refuse_method(name).unwrap_or_default();
        let help = names::method_name_help(name);
        let help = help.as_deref().unwrap_or("write `kCompress`, for example");
        return Err(problem(&file, &format!("`{}` {why}", shown(name)), help));
    };
    if let Some(other) = module.methods.iter().find(|other| other.name == name) {
        let message = format!("`{name}` already exists");
        return Err(Problem {
            position: Some(other.at),
            ..one(&file, &message, "choose another name")
        }
        .into());
    }
    let number = module.next_number();
    let mut text = SourceText::new(String::from_utf8_lossy(&read_file(&file, "")?).into_owned());
    let last = module.methods.iter().map(|method| method.at.line).max().unwrap_or(0);
    text.insert_lines(last, &format!("{name}: {number}"));
    // If the file describes the module's tasks, a description of this one is added.
    let described = !module.tasks.is_empty();
    if described {
        add_task(&mut text, &name);
    }
    // The original text parsed without problems, so any problem now means that the added lines do
    // not fit the form of the file.
    let fits =
        parse_module(dir, &module.namespace, text.as_str().as_bytes()).is_ok_and(|changed| {
            changed.methods.len() == module.methods.len() + 1
                && changed.tasks.contains_key(&name) == described
        });
    if !fits {
        let task = if described { ", and its task under `tasks:`" } else { "" };
        let help = format!("add the line `{name}: {number}`{task} by hand, and refresh");
        return Err(problem(&file, "the file does not list one method per line", &help));
    }
    let mut added = Added { name, number, files: Vec::new(), left: Vec::new() };
    // The code comes first: if one of its files cannot be written, the YAML is still unchanged.
    let mut edits = vec![container_edit(module, &added.name)];
    if !described {
        edits.extend(client_edits(module, &added.name));
    }
    for (path, edit) in edits {
        let path = dir.join(path);
        let mut source = match fs::read_to_string(&path) {
            Ok(text) => SourceText::new(text),
            Err(error) => {
                let reason = match error.kind() {
                    ErrorKind::NotFound => "there is no such file".to_owned(),
                    _ => format!("it cannot be read: {error}"),
                };
                added.left.push(Left { file: path, reason, code: edit.code });
                continue;
            }
        };
        let Some(at) = (edit.offset)(&source.normalized()) else {
            let reason = format!("it has no {}", edit.beside);
            added.left.push(Left { file: path, reason, code: edit.code });
            continue;
        };
        source.insert(at, &edit.code);
        if module.language == Language::Rust {
            import(&mut source, &format!("{}Task", &added.name[1..]));
        }
        replace(&path, source.as_str())?;
        if !added.files.contains(&path) {
            added.files.push(path);
        }
    }
    replace(&file, text.as_str())?;
    added.files.insert(0, file);
    added.files.extend(refresh(dir, Mode::Write)?.into_iter().map(|changed| changed.file));
    Ok(added)
}

/// Appends a task without fields to the section `tasks`.
fn add_task(text: &mut SourceText, method: &str) {
    let whole = text.normalized();
    let lines: Vec<&str> = whole.lines().collect();
    let start = lines.iter().position(|line| line.starts_with("tasks:"));
    let inside = |line: &&str| line.is_empty() || line.starts_with([' ', '#']);
    let mut end = start.map_or(lines.len(), |start| {
        start + 1 + lines[start + 1..].iter().take_while(|line| inside(line)).count()
    });
    while end > 0 && lines[end - 1].is_empty() {
        end -= 1;
    }
    text.insert_lines(end, &format!("  {method}:\n    fields: []"));
}

/// Code, and where to insert it in a file.
struct Edit {
    code: String,
    /// What `offset` looks for, for messages.
    beside: &'static str,
    offset: fn(&str) -> Option<usize>,
}

/// The stub in the container that runs the method.
fn container_edit(module: &Module, method: &str) -> (String, Edit) {
    match module.language {
        Language::Cpp => (
            format!("src/{}_runtime.cc", module.name),
            Edit {
                code: code("runtime.cc", method),
                beside: "`class Runtime` that begins and ends at the start of a line",
                offset: |text| end_of_class(text, "class Runtime"),
            },
        ),
        Language::Rust => (
            "runtime/src/lib.rs".into(),
            Edit {
                code: code("runtime.rs", method),
                beside: "`#[chimaera::container(...)]` at the start of a line",
                offset: |text| {
                    let start = text.find("\n#[chimaera::container(")?;
                    Some(start + text[start..].find("\n}\n")? + 1)
                },
            },
        ),
    }
}

/// The method's task, and the client's functions that call it.
fn client_edits(module: &Module, method: &str) -> [(String, Edit); 2] {
    let name = &module.name;
    let edit =
        |code: String, beside, offset: fn(&str) -> Option<usize>| Edit { code, beside, offset };
    match module.language {
        Language::Cpp => [
            (
                format!("include/{name}/{name}_tasks.h"),
                edit(
                    code("task.h", method),
                    "`}  // namespace ...`, the end of a namespace",
                    |text| text.rfind("\n}  // namespace "),
                ),
            ),
            (
                format!("include/{name}/{name}_client.h"),
                edit(
                    code("client.h", method),
                    "`class Client` that begins and ends at the start of a line",
                    |text| end_of_class(text, "class Client"),
                ),
            ),
        ],
        Language::Rust => [
            (
                "client/src/lib.rs".into(),
                edit(
                    code("task.rs", method),
                    "comment `/// A pool of the module.`, before which tasks go",
                    |text| text.find("\n/// A pool of the module."),
                ),
            ),
            (
                "client/src/lib.rs".into(),
                edit(code("client.rs", method), "`impl Client {` at the start of a line", |text| {
                    let start = text.find("\nimpl Client {")?;
                    let private = text[start..].find("\n\n    fn task<").map(|at| at + 1);
                    Some(start + private.or_else(|| text[start..].find("\n}\n").map(|at| at + 1))?)
                }),
            ),
        ],
    }
}

/// Adds a task to the names that the container's crate imports from the client's crate, keeping
/// them sorted.
fn import(source: &mut SourceText, task: &str) {
    const LIST: &str = "_client::{";
    let text = source.normalized();
    let Some(start) = text.find(LIST).map(|at| at + LIST.len()) else { return };
    let Some(end) = text[start..].find('}').map(|at| start + at) else { return };
    let mut at = start;
    for name in text[start..end].split_inclusive(',') {
        let word = name.trim_start();
        if !word.is_empty() && word > task {
            let offset = at + name.len() - word.len();
            return source.insert(offset, &format!("{task}, "));
        }
        at += name.len();
    }
    let last = text[start..end].trim_end();
    let item = match last.ends_with(',') {
        true => format!(" {task},"),
        false => format!(", {task}"),
    };
    source.insert(start + last.len(), &item);
}

/// The position before the first private member of a class, or before its end.
fn end_of_class(text: &str, class: &str) -> Option<usize> {
    let start = text.find(&format!("\n{class} "))?;
    let end = start + text[start..].find("\n};")?;
    let private = text[start..end].find("\n private:").map(|at| start + at);
    let offset = private.unwrap_or(end) + 1;
    // The code begins with an empty line, so insert it before an existing one.
    Some(if text[..offset].ends_with("\n\n") { offset - 1 } else { offset })
}

/// Renders a template for a method.
fn code(template: &str, method: &str) -> String {
    let stem = &method[1..];
    let snake = names::snake(method);
    let function =
        if names::is_rust_keyword(&snake) { format!("r#{snake}") } else { snake.clone() };
    // As wide as the name, to align continuation lines.
    let margin = " ".repeat(stem.len());
    let with: Value = context! { name => method, stem, snake, function, margin };
    fill(&format!("method/{template}"), with)
}

fn one(file: &Path, message: &str, help: &str) -> Problem {
    let (message, help) = (message.to_owned(), help.to_owned());
    Problem { file: file.to_owned(), position: None::<Position>, message, help }
}

fn problem(file: &Path, message: &str, help: &str) -> Problems {
    one(file, message, help).into()
}
