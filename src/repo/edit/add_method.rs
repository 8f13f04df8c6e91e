//! Adding a method to a module: its line in the YAML, and the places where its author writes.

use std::fs;
use std::path::{Path, PathBuf};

use chimaera_yaml::{read_file, Position, Problem, Problems};

use super::refresh::{refresh, Mode};
use super::scaffold::replace;
use crate::generate::{call, declaration};
use crate::model::{Language, Module};
use crate::names::{self, MODULE_FILE};
use crate::read::{parse_module, Repo};

/// What was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The method's name.
    pub name: String,
    /// Its number.
    pub number: u32,
    /// The files that were made or changed.
    pub files: Vec<PathBuf>,
    /// Code for files that do not look as expected, and so were left alone.
    pub left: Vec<(PathBuf, String)>,
}

/// Adds the method `name`, `kCompress` or a word of which that is made, to the module in `dir`.
pub fn add_method(dir: &Path, name: &str) -> Result<Added, Problems> {
    let (_, modules) = Repo::open(dir)?;
    let file = dir.join(MODULE_FILE);
    let [module] = &modules[..] else {
        return Err(problem(&file, "there is no such file", "name the directory of a module"));
    };
    let Some(name) = names::method_name_from(name) else {
        let why = names::refuse_method(name).unwrap_or_else(|| "is no name of a method".into());
        return Err(problem(&file, &format!("`{name}` {why}"), "write `kCompress`, for example"));
    };
    if let Some(other) = module.methods.iter().find(|other| other.name == name) {
        let message = format!("there is a `{name}` already");
        return Err(Problem {
            position: Some(other.at),
            ..one(&file, &message, "choose another name")
        }
        .into());
    }
    let number = module.next_number();
    let text = String::from_utf8_lossy(&read_file(&file, "")?).into_owned();
    let mut text = with_method(&text, module, &format!("{name}: {number}"));
    // In a module whose file describes tasks, it describes this one too.
    let described = !module.tasks.is_empty();
    if described {
        text = with_task(&text, &name);
    }
    // The file was read before: what is wrong with it now is that the lines do not fit into its form.
    let fits = parse_module(dir, &module.namespace, text.as_bytes()).is_ok_and(|changed| {
        changed.methods.len() == module.methods.len() + 1
            && changed.tasks.contains_key(&name) == described
    });
    if !fits {
        let task = if described { ", and its task under `tasks:`" } else { "" };
        let help = format!("add the line `{name}: {number}`{task} by hand, and refresh");
        return Err(problem(&file, "the file has another form than one method per line", &help));
    }
    let mut added = Added { name, number, files: Vec::new(), left: Vec::new() };
    // The code first: when one of its files cannot be written, the YAML is as it was.
    let mut edits = vec![container_edit(module, &added.name)];
    if !described {
        edits.extend(client_edits(module, &added.name));
    }
    for (path, edit) in edits {
        let path = dir.join(path);
        let old = fs::read_to_string(&path).unwrap_or_default();
        match (edit.place)(&old) {
            Some(at) => {
                let mut new = format!("{}{}{}", &old[..at], edit.code, &old[at..]);
                if module.language == Language::Rust {
                    new = import(&new, &format!("{}Task", &added.name[1..]));
                }
                replace(&path, &new)?;
                if !added.files.contains(&path) {
                    added.files.push(path);
                }
            }
            None => added.left.push((path, edit.code)),
        }
    }
    replace(&file, &text)?;
    added.files.insert(0, file);
    added.files.extend(refresh(dir, Mode::Write)?.into_iter().map(|changed| changed.file));
    Ok(added)
}

/// The file's text with a line after that of the last method.
fn with_method(text: &str, module: &Module, line: &str) -> String {
    let last = module.methods.iter().map(|method| method.at.line).max().unwrap_or(0);
    let mut lines: Vec<&str> = text.lines().collect();
    lines.insert(last.min(lines.len()), line);
    lines.join("\n") + "\n"
}

/// The file's text with a task, of no fields yet, at the end of the section `tasks`.
fn with_task(text: &str, method: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let start = lines.iter().position(|line| line.starts_with("tasks:"));
    let inside = |line: &&str| line.is_empty() || line.starts_with([' ', '#']);
    let mut end = start.map_or(lines.len(), |start| {
        start + 1 + lines[start + 1..].iter().take_while(|line| inside(line)).count()
    });
    while end > 0 && lines[end - 1].is_empty() {
        end -= 1;
    }
    let task = format!("  {method}:\n    fields: []");
    lines.insert(end, &task);
    lines.join("\n") + "\n"
}

/// Code, and where in a file it goes.
struct Edit {
    code: String,
    place: fn(&str) -> Option<usize>,
}

/// Where a method runs.
fn container_edit(module: &Module, method: &str) -> (String, Edit) {
    match module.language {
        Language::Cpp => (
            format!("src/{}_runtime.cc", module.name),
            Edit { code: cpp_runtime(method), place: |text| end_of_class(text, "class Runtime") },
        ),
        Language::Rust => (
            "runtime/src/lib.rs".into(),
            Edit {
                code: rust_runtime(method),
                place: |text| {
                    let start = text.find("\n#[chimaera::container(")?;
                    Some(start + text[start..].find("\n}\n")? + 1)
                },
            },
        ),
    }
}

/// A method's task, and what calls it.
fn client_edits(module: &Module, method: &str) -> [(String, Edit); 2] {
    let name = &module.name;
    let edit = |code: String, place: fn(&str) -> Option<usize>| Edit { code, place };
    match module.language {
        Language::Cpp => [
            (
                format!("include/{name}/{name}_tasks.h"),
                edit(cpp_task(method), |text| text.rfind("\n}  // namespace ")),
            ),
            (
                format!("include/{name}/{name}_client.h"),
                edit(cpp_client(method), |text| end_of_class(text, "class Client")),
            ),
        ],
        Language::Rust => [
            (
                "client/src/lib.rs".into(),
                edit(rust_task(method), |text| text.find("\n/// A pool of the module.")),
            ),
            (
                "client/src/lib.rs".into(),
                edit(rust_client(method), |text| {
                    let start = text.find("\nimpl Client {")?;
                    let private = text[start..].find("\n\n    fn task<").map(|at| at + 1);
                    Some(start + private.or_else(|| text[start..].find("\n}\n").map(|at| at + 1))?)
                }),
            ),
        ],
    }
}

/// Adds a task to what a container's crate takes from its client's.
fn import(text: &str, task: &str) -> String {
    const LIST: &str = "_client::{";
    let listed = |text: &str| {
        let start = text.find(LIST)? + LIST.len();
        Some((start, start + text[start..].find('}')?))
    };
    let Some((start, end)) = listed(text) else { return text.to_owned() };
    let mut names: Vec<&str> = text[start..end].split(',').map(str::trim).collect();
    names.push(task);
    names.sort_unstable();
    format!("{}{}{}", &text[..start], names.join(", "), &text[end..])
}

/// Before the first private member of a class, or its end.
fn end_of_class(text: &str, class: &str) -> Option<usize> {
    let start = text.find(&format!("\n{class} "))?;
    let end = start + text[start..].find("\n};")?;
    let private = text[start..end].find("\n private:").map(|at| start + at);
    let place = private.unwrap_or(end) + 1;
    // Not below an empty line: the code brings its own.
    Some(if text[..place].ends_with("\n\n") { place - 1 } else { place })
}

fn cpp_task(method: &str) -> String {
    let stem = &method[1..];
    let constructor = declaration(
        2,
        &format!("explicit {stem}Task("),
        &["const hipc::CtxAllocator<CHI_ALLOC_T> &alloc"],
        ") : chi::Task(alloc) {}",
    );
    let emplace = declaration(
        2,
        &format!("explicit {stem}Task("),
        &[
            "const hipc::CtxAllocator<CHI_ALLOC_T> &alloc",
            "const chi::TaskNode &task_node",
            "const chi::PoolId &pool_id",
            "const chi::DomainQuery &dom_query",
        ],
        ")",
    );
    format!(
        "
/** The {stem}Task task. */
struct {stem}Task : public chi::Task {{
  /** SHM default constructor */
{constructor}
  /** Emplace constructor */
{emplace}      : chi::Task(alloc) {{
    // Initialize task
    task_node_ = task_node;
    pool_ = pool_id;
    method_ = Method::{method};
    task_flags_.SetBits(0);
    dom_query_ = dom_query;
  }}
}};
"
    )
}

fn cpp_client(method: &str) -> String {
    let stem = &method[1..];
    let args = ["const hipc::MemContext &mctx", "const chi::DomainQuery &dom_query"];
    let sync = declaration(2, &format!("void {stem}("), &args, ") const {");
    let asynchronous =
        declaration(2, &format!("hipc::FullPtr<{stem}Task> Async{stem}("), &args, ") const {");
    let made = call(
        4,
        &format!("chi::OwnedTask<{stem}Task> task("),
        &[&format!("Async{stem}(mctx, dom_query)")],
        ");",
    );
    let submitted = call(
        4,
        &format!("return CHI_IPC_MANAGER->SubmitTask<{stem}Task>("),
        &["mctx", "pool_id_", "dom_query"],
        ");",
    );
    format!(
        "
  /** Calls {method}. */
{sync}{made}    task->Wait();
    task->ThrowIfFailed();
  }}
  /** The caller owns the task. */
{asynchronous}{submitted}  }}
"
    )
}

fn cpp_runtime(method: &str) -> String {
    let stem = &method[1..];
    let head = call(
        2,
        &format!("void {stem}("),
        &[&format!("hipc::FullPtr<{stem}Task>"), "chi::RunContext &"],
        ") {}",
    );
    format!("\n  /** Runs {method}. */\n{head}")
}

fn rust_task(method: &str) -> String {
    format!("\n/// `{method}`.\n#[chimaera::task]\npub struct {}Task {{}}\n", &method[1..])
}

fn rust_client(method: &str) -> String {
    let (stem, name, constant) = (&method[1..], names::snake(method), names::shouted(method));
    let function = if names::is_rust_keyword(&name) { format!("r#{name}") } else { name.clone() };
    format!(
        "
    /// Calls `{method}`.
    pub fn {function}(&self) -> Result<()> {{
        self.{name}_async()?.wait()?;
        Ok(())
    }}

    /// See [`{name}`](Self::{name}).
    pub fn {name}_async(&self) -> Result<Pending<{stem}Task>> {{
        self.task::<{stem}Task>(Method::{constant})?.submit()
    }}
"
    )
}

fn rust_runtime(method: &str) -> String {
    let (stem, name, constant) = (&method[1..], names::snake(method), names::shouted(method));
    let function = if names::is_rust_keyword(&name) { format!("r#{name}") } else { name };
    format!(
        "
    /// Runs `{method}`.
    #[method(Method::{constant}, name = \"{method}\")]
    fn {function}(&self, _task: &{stem}Task) -> Result<()> {{
        Ok(())
    }}
"
    )
}

fn one(file: &Path, message: &str, help: &str) -> Problem {
    let (message, help) = (message.to_owned(), help.to_owned());
    Problem { file: file.to_owned(), position: None::<Position>, message, help }
}

fn problem(file: &Path, message: &str, help: &str) -> Problems {
    one(file, message, help).into()
}
