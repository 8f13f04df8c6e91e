//! The C headers of the contract are up to date with what `build.rs` generates (`make headers`
//! refreshes them), and document everything that a caller needs to know about each function.
#![cfg(feature = "headers")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use chimaera_abi::{CHI_MODULE_STATUS, STATUSES};

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/chimaera").join(name)
}

/// The files of a directory that contains abi.h and abi/, by relative path.
fn headers(root: &Path) -> BTreeMap<String, String> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let mut found = BTreeMap::from([("abi.h".to_owned(), read(&root.join("abi.h")))]);
    for file in std::fs::read_dir(root.join("abi")).into_iter().flatten() {
        let path = file.expect("the directory is readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("names are UTF-8");
        found.insert(format!("abi/{name}"), read(&path));
    }
    found
}

fn generated() -> BTreeMap<String, String> {
    headers(Path::new(env!("OUT_DIR")))
}

#[test]
fn committed_headers_are_fresh() {
    let generated = generated();
    assert!(generated.len() > 10, "build.rs generated no headers");
    if std::env::var_os("CHI_REFRESH_HEADERS").is_some() {
        std::fs::create_dir_all(committed("abi")).expect("include/chimaera is writable");
        for name in headers(&committed("")).into_keys().filter(|name| !generated.contains_key(name))
        {
            std::fs::remove_file(committed(&name)).expect("include/chimaera/abi is writable");
        }
        for (name, text) in &generated {
            std::fs::write(committed(name), text).expect("include/chimaera is writable");
        }
        return;
    }
    let current = headers(&committed(""));
    for name in generated.keys().chain(current.keys()) {
        let fresh = current.get(name) == generated.get(name);
        assert!(fresh, "include/chimaera/{name} is out of date: run `make headers`");
    }
}

/// The installed C and C++ compilers, with the flags for strict checking.
fn compilers() -> Vec<(&'static str, &'static str, &'static str)> {
    let all = [
        ("gcc", "c", "-std=c11"),
        ("clang", "c", "-std=c11"),
        ("g++", "c++", "-std=c++17"),
        ("clang++", "c++", "-std=c++17"),
    ];
    let installed = |compiler: &str| {
        Command::new(compiler).arg("--version").stdout(Stdio::null()).status().is_ok()
    };
    all.into_iter().filter(|(compiler, ..)| installed(compiler)).collect()
}

#[test]
fn each_header_compiles_alone_as_c_and_as_cpp() {
    let compilers = compilers();
    assert!(!compilers.is_empty(), "no compiler for C is installed");
    let include = committed("").join("..");
    for name in generated().keys() {
        for &(compiler, language, standard) in &compilers {
            let mut command = Command::new(compiler);
            command.args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic", standard]);
            command.arg("-I").arg(&include).args(["-x", language, "-include"]);
            let status = command.arg(format!("chimaera/{name}")).arg("/dev/null").status();
            assert!(status.expect("the compiler runs").success(), "{name} with {compiler}");
        }
    }
}

/// A function of a header, or a pointer to one.
struct Function {
    name: String,
    comment: String,
    /// Everything before the name.
    result: String,
    /// Without the table, if the function is a member of one.
    arguments: Vec<String>,
}

/// The functions of a header, and the function pointers in its structs and types.
fn functions(header: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let (mut comment, mut code) = (String::new(), String::new());
    for line in header.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("//") {
            comment = if code.is_empty() { comment + text + "\n" } else { text.to_owned() };
            code.clear();
            continue;
        }
        let nothing = line.is_empty() || line.starts_with('#') || line.ends_with(['{', '}', '\\']);
        if nothing || line.starts_with('}') {
            (comment, code) = (String::new(), String::new());
            continue;
        }
        code = code + line + " ";
        if line.ends_with(';') {
            found.extend(function(&code, &comment));
            (comment, code) = (String::new(), String::new());
        }
    }
    found
}

fn function(code: &str, comment: &str) -> Option<Function> {
    let (result, rest) = code.split_once("(*").or_else(|| {
        let (before, _) = code.split_once('(')?;
        let name = before.rfind([' ', '*'])? + 1;
        Some(code.split_at(name))
    })?;
    let (name, arguments) = rest.split_once('(')?;
    let all =
        arguments.trim_end().trim_end_matches([';', ')']).split(',').map(|a| a.trim().to_owned());
    let tables =
        ["chi_ipc *ipc", "chi_host *host", "chi_archive *archive", "chi_container *container"];
    let own = |argument: &&String| !tables.iter().any(|table| argument.ends_with(table));
    Some(Function {
        name: name.trim_end_matches(')').to_owned(),
        comment: comment.to_owned(),
        result: result.trim_start_matches("typedef ").to_owned(),
        arguments: all.collect::<Vec<_>>().iter().filter(own).cloned().collect(),
    })
}

/// The points that a function's comment leaves out.
fn missing(function: &Function) -> Vec<&'static str> {
    let says = |label: &str| {
        function.comment.lines().any(|line| line.trim_start().starts_with(&format!("* {label}: ")))
    };
    let pointers = function.arguments.iter().any(|argument| argument.contains('*'));
    let result = function.result.contains('*');
    let thread = function.comment.lines().find(|line| line.trim_start().starts_with("* Thread: "));
    let tags = ["`[any thread]`", "`[worker]`", "`[loader]`"];
    let mut missing = Vec::new();
    if (pointers || result) && !says("Ownership") {
        missing.push("Ownership");
    }
    if (pointers || result) && !says("Null") {
        missing.push("Null");
    }
    if function.result.trim() == "chi_status" && !says("Errors") {
        missing.push("Errors");
    }
    if !thread.is_some_and(|line| tags.iter().any(|tag| line.contains(tag))) {
        missing.push("Thread");
    }
    missing
}

#[test]
fn every_function_says_ownership_null_errors_and_thread() {
    let (mut count, mut lacking) = (0, Vec::new());
    for (header, text) in generated() {
        for function in functions(&text) {
            count += 1;
            for label in missing(&function) {
                lacking.push(format!("{header}: {} does not say: {label}", function.name));
            }
        }
    }
    assert!(lacking.is_empty(), "{}", lacking.join("\n"));
    assert!(count > 90, "only {count} functions were found");
}

#[test]
fn a_function_that_says_too_little_is_found() {
    let header = "
// Does something.
//
// * Null: neither.
// * Thread: `[anywhere]`.
chi_status chi_do(const chi_task *task,
                  uint32_t n);

typedef struct chi_table {
  // Gives a number.
  //
  // * Thread: `[worker]`.
  uint64_t (*number)(const struct chi_host *host);

  // Gives an address.
  void *(*address)(const struct chi_host *host);
} chi_table;
";
    let functions = functions(header);
    let found: Vec<_> = functions.iter().map(|f| (f.name.as_str(), missing(f))).collect();
    let all = vec!["Ownership", "Null", "Thread"];
    let expected =
        [("chi_do", vec!["Ownership", "Errors", "Thread"]), ("number", vec![]), ("address", all)];
    assert_eq!(found, expected);
}

#[test]
fn every_status_of_the_header_has_a_name_and_a_text() {
    let header = &generated()["abi/status.h"];
    let defined = header.lines().filter_map(|line| line.strip_prefix("#define CHI_"));
    let numbers: BTreeMap<String, i32> = defined
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(name, number)| Some((format!("CHI_{name}"), number.parse().ok()?)))
        .filter(|(_, number)| *number < CHI_MODULE_STATUS)
        .collect();
    let listed: BTreeMap<String, i32> =
        STATUSES.iter().map(|&(number, name, _)| (name.to_owned(), number)).collect();
    assert_eq!(numbers, listed);
    assert_eq!(numbers.len(), 26);
    for &(_, name, text) in STATUSES {
        assert!(!text.is_empty());
        assert!(header.contains(&format!("  X({name}, \"{text}\")")), "{name}");
    }
}
