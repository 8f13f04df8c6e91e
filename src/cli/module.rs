//! `chimaera module`.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use chimaera_repo::{Added, Language, Source};
use chimaera_runtime::inspect;
use serde_json::{json, Value};

use crate::repo::problems;
use crate::{Context, Failed, Outcome};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a module, with one method that works, in a repo
    New {
        /// Its name, and that of its directory
        name: String,
        /// What to write it in
        #[arg(long)]
        lang: Lang,
        /// The repo
        #[arg(long, value_name = "DIR", default_value = ".")]
        repo: PathBuf,
        /// A checkout of Chimaera, from which a module in Rust takes its crates
        #[arg(long, value_name = "DIR", env = "CHIMAERA_SOURCE_DIR")]
        source: Option<PathBuf>,
    },
    /// Add a method to a module: its number, and where its author writes
    AddMethod {
        /// Its name, kCompress for example
        name: String,
        /// The module
        #[arg(long, value_name = "DIR", default_value = ".")]
        module: PathBuf,
    },
    /// Show a module's contract as a runtime sees it, and if it would be refused, why
    Inspect {
        /// The shared library
        file: PathBuf,
        /// Used by inspect: load the file in this process and print what it says
        #[arg(long, hide = true)]
        load: bool,
    },
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Lang {
    /// C++
    Cpp,
    /// Rust
    Rust,
}

pub(crate) fn run(context: &Context, command: Command) -> Outcome {
    match command {
        Command::New { name, lang, repo, source } => {
            let language = match lang {
                Lang::Cpp => Language::Cpp,
                Lang::Rust => Language::Rust,
            };
            let source = match source {
                Some(dir) => Source::Checkout(std::path::absolute(dir)?),
                None => Source::Registry,
            };
            let made = chimaera_repo::new_module(&repo, &name, language, &source)
                .map_err(|found| problems(context, &found))?;
            crate::repo::tell_written(context, &made);
            Ok(())
        }
        Command::AddMethod { name, module } => {
            let added = chimaera_repo::add_method(&module, &name)
                .map_err(|found| problems(context, &found))?;
            tell_added(context, &added);
            Ok(())
        }
        Command::Inspect { file, load: true } => {
            crate::print(&inspect::load(&file).to_string());
            Ok(())
        }
        Command::Inspect { file, load: false } => inspect_module(context, &file),
    }
}

fn tell_added(context: &Context, added: &Added) {
    let left: Vec<_> =
        added.left.iter().map(|(file, code)| json!({ "file": file, "code": code })).collect();
    let document = json!({
        "name": added.name, "number": added.number, "written": added.files, "left": left,
    });
    if context.print_json(&document) {
        return;
    }
    let mut text = format!("{} is method {}\n", added.name, added.number);
    for file in &added.files {
        text += &format!("wrote  {}\n", file.display());
    }
    for (file, code) in &added.left {
        text += &format!("left   {}, which needs this:\n{code}", file.display());
    }
    crate::print(&text);
}

fn inspect_module(context: &Context, file: &Path) -> Outcome {
    let mut document = inspect::read(file);
    if document["refused"].is_null() {
        let said = load_apart(file)?;
        // One that is refused on loading has no more to say than why.
        for (key, value) in said.as_object().into_iter().flatten() {
            document[key] = value.clone();
        }
    }
    let refused = document["refused"].as_str().map(str::to_owned);
    if !context.print_json(&document) {
        crate::print(&shown(&document));
    }
    match refused {
        None => Ok(()),
        Some(_) if context.json => Err(Failed::Told),
        Some(reason) => {
            Err(Failed::Message(format!("{} would be refused: {reason}", file.display())))
        }
    }
}

/// Loads a module in a process of its own, which it may end.
fn load_apart(file: &Path) -> Result<Value, Failed> {
    // The linker searches its own directories for a name without a slash.
    let file = std::path::absolute(file)?;
    let output = Process::new(std::env::current_exe()?)
        .args(["module", "inspect", "--load"])
        .arg(file)
        .stderr(Stdio::inherit())
        .output()?;
    Ok(match (output.status.signal(), serde_json::from_slice(&output.stdout)) {
        (None, Ok(said)) => said,
        (Some(signal), _) => {
            json!({ "refused": format!("loading it ends the process with signal {signal}") })
        }
        _ => json!({ "refused": "loading it ends the process" }),
    })
}

fn shown(document: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = format!("file      {}\n", text(&document["path"]));
    if !document["name"].is_null() {
        out += &format!(
            "module    {} {}\nlanguage  {}, SDK {}\nABI       {}\n",
            text(&document["name"]),
            text(&document["version"]),
            text(&document["language"]),
            text(&document["sdk_version"]),
            text(&document["abi"]),
        );
    }
    let symbols = document["symbols"].as_object().into_iter().flatten();
    // A file that exports none of them does not try to be a module.
    if symbols.clone().any(|(_, found)| found == true) {
        let symbols = symbols.map(|(name, found)| match found == true {
            true => name.clone(),
            false => format!("{name} (missing)"),
        });
        out += &format!("symbols   {}\n", symbols.collect::<Vec<_>>().join(", "));
    }
    let links: Vec<String> = document["links"].as_array().into_iter().flatten().map(text).collect();
    if !links.is_empty() {
        out += &format!("links     {}\n", links.join(", "));
    }
    for method in document["methods"].as_array().into_iter().flatten() {
        let what = match (method["supported"] == true, method["monitored"] == true) {
            (false, _) => "unsupported".to_owned(),
            (true, true) => format!("task of {} bytes, monitored", method["task_bytes"]),
            (true, false) => format!("task of {} bytes", method["task_bytes"]),
        };
        let number = method["number"].to_string();
        out += &format!("method    {number:>4}  {:<16}  {what}\n", text(&method["name"]));
    }
    out
}
