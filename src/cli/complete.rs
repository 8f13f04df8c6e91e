//! What the shell offers for arguments, as the running instance knows it: pools, modules, methods and their fields.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use chimaera_abi::{CHI_DESCRIBE_MODULES, CHI_DESCRIBE_POOLS};
use chimaera_ipc::control::{self, Request};
use chimaera_ipc::instance::{self, Instance};
use clap_complete::engine::CompletionCandidate;
use clap_complete::env::Shells;
use clap_complete::Shell;
use serde_json::Value;

use crate::method_name::is_meant;

/// The variable by which a shell asks, with its own name.
const VARIABLE: &str = "CHIMAERA_COMPLETE";

/// How long the instance may take to answer: somebody waits for each key.
const BOUND: Duration = Duration::from_secs(1);

/// If a shell asks what an argument may be, answers it and ends the process.
pub(crate) fn answer(program: fn() -> clap::Command) {
    clap_complete::CompleteEnv::with_factory(program).var(VARIABLE).complete();
}

/// The script with which a shell asks.
pub(crate) fn script(shell: Shell) -> std::io::Result<String> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let known = shells.completer(&shell.to_string());
    let known = known.ok_or_else(|| std::io::Error::other(format!("no script for {shell}")))?;
    known.write_registration(VARIABLE, "chimaera", "chimaera", "chimaera", &mut script)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// The log levels.
pub(crate) fn levels(current: &OsStr) -> Vec<CompletionCandidate> {
    let levels = ["error", "warn", "info", "debug", "trace"];
    matching(levels.into_iter().map(|level| (level.to_owned(), String::new())), current)
}

/// The names of the pools.
pub(crate) fn pools(current: &OsStr) -> Vec<CompletionCandidate> {
    let pools = ask(&Line::of_process(), Request::Describe, CHI_DESCRIBE_POOLS, "");
    let pools = pools.as_array().into_iter().flatten();
    matching(pools.map(|pool| (text(&pool["name"]), text(&pool["module"]))), current)
}

/// The names of the modules.
pub(crate) fn modules(current: &OsStr) -> Vec<CompletionCandidate> {
    let modules = ask(&Line::of_process(), Request::Describe, CHI_DESCRIBE_MODULES, "");
    let modules = modules["loaded"].as_array().into_iter().flatten();
    matching(modules.map(|module| (text(&module["name"]), text(&module["version"]))), current)
}

/// The methods of the pool that is called.
pub(crate) fn methods(current: &OsStr) -> Vec<CompletionCandidate> {
    let line = Line::of_process();
    let Some(pool) = line.call.first() else { return Vec::new() };
    let pool = ask(&line, Request::Pool, 0, pool);
    let methods = pool["methods"].as_array().into_iter().flatten();
    let callable = methods.filter(|method| {
        let number = method["number"].as_u64().unwrap_or_default();
        method["supported"] == true && number >= u64::from(chimaera_abi::CHI_METHOD_CUSTOM)
    });
    let with_docs = callable.map(|method| {
        let name = text(&method["name"]);
        let doc = task_of(&pool, &name).map_or(String::new(), |task| text(&task["doc"]));
        (name, doc)
    });
    let all: Vec<_> = with_docs.collect();
    // Who begins with a small letter means the name without its k.
    let is_short = !current.to_string_lossy().starts_with('k') && !current.is_empty();
    let short = |(name, doc): (String, String)| {
        let stem = name.strip_prefix('k').unwrap_or(&name).to_lowercase();
        (if is_short { stem } else { name }, doc)
    };
    matching(all.into_iter().map(short), current)
}

/// The inputs of the method that is called, each with `=`.
pub(crate) fn fields(current: &OsStr) -> Vec<CompletionCandidate> {
    fields_of(current, "out")
}

/// The results of the method that is called, each with `=`.
pub(crate) fn results(current: &OsStr) -> Vec<CompletionCandidate> {
    fields_of(current, "in")
}

fn fields_of(current: &OsStr, not: &str) -> Vec<CompletionCandidate> {
    let line = Line::of_process();
    let [pool, method, ..] = &line.call[..] else { return Vec::new() };
    let pool = ask(&line, Request::Pool, 0, pool);
    let methods = pool["methods"].as_array().into_iter().flatten();
    let mut named = methods.map(|one| (text(&one["name"]), one["number"].as_u64()));
    let found = named.find(|(name, number)| is_meant(name, number.unwrap_or_default(), method));
    let task = found.and_then(|(name, _)| task_of(&pool, &name));
    let fields = task.and_then(|task| task["fields"].as_array()).into_iter().flatten();
    let fields = fields.filter(|field| field["dir"] != not && field["dir"] != "skip");
    let shown = fields.map(|field| {
        let about = match text(&field["doc"]) {
            doc if doc.is_empty() => text(&field["type"]),
            doc => format!("{}: {doc}", text(&field["type"])),
        };
        (format!("{}=", text(&field["name"])), about)
    });
    matching(shown, current)
}

/// What the module of a pool says of a method's task.
fn task_of<'p>(pool: &'p Value, method: &str) -> Option<&'p Value> {
    let tasks = pool["description"]["tasks"].as_array()?;
    tasks.iter().find(|task| task["method"] == method)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn matching(
    all: impl Iterator<Item = (String, String)>,
    current: &OsStr,
) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let offered = all.filter(|(name, _)| name.starts_with(&*current));
    let with_help = offered.map(|(name, help)| {
        let help = help.lines().next().filter(|line| !line.is_empty()).map(str::to_owned);
        CompletionCandidate::new(name).help(help.map(Into::into))
    });
    with_help.collect()
}

/// Asks the instance. If it does not answer, there is nothing to offer.
fn ask(line: &Line, request: Request, word: u32, about: &str) -> Value {
    let Ok(instance) = Instance::new(Some(&line.instance)) else { return Value::Null };
    let answer = control::ask(&instance, request, &[word.into()], about, BOUND);
    answer.ok().and_then(|answer| serde_json::from_str(&answer).ok()).unwrap_or_default()
}

/// The command line that is being completed.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    instance: String,
    /// The arguments of `call` that are no options.
    call: Vec<String>,
}

impl Line {
    /// The one that the shell has passed to this process, behind `--`.
    fn of_process() -> Line {
        let words = std::env::args_os().skip_while(|word| word != "--").skip(2);
        let named = std::env::var_os(instance::NAME_VARIABLE);
        Line::of(words, named.and_then(|name| name.into_string().ok()))
    }

    fn of(words: impl Iterator<Item = OsString>, named: Option<String>) -> Line {
        let mut instance = named.unwrap_or_else(|| instance::DEFAULT_NAME.to_owned());
        let (mut plain, mut words) = (Vec::new(), words.filter_map(|word| word.into_string().ok()));
        while let Some(word) = words.next() {
            match word.split_once('=') {
                Some(("--name", name)) => name.clone_into(&mut instance),
                _ if word == "--name" => instance = words.next().unwrap_or(instance),
                _ if ["--json", "--zero"].contains(&&word[..]) => {}
                // The value of any other option.
                None if word.starts_with("--") => drop(words.next()),
                _ if word.starts_with("--") => {}
                _ => plain.push(word),
            }
        }
        let call = plain.into_iter().skip_while(|word| word != "call").skip(1).collect();
        Line { instance, call }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let read = |text: &str| Line::of(text.split(' ').map(OsString::from), None);
        let line = read("--name a call --json store --query global-id:3 put key=x");
        assert_eq!(line.instance, "a");
        assert_eq!(line.call, ["store", "put", "key=x"]);
        let line = read("call --name=b --timeout=5 store");
        assert_eq!((&line.instance[..], &line.call[..]), ("b", &["store".to_owned()][..]));
        assert_eq!(read("pool list").instance, instance::DEFAULT_NAME);
    }
}
