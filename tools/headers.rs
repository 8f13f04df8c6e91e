//! Generates the C headers of the contract. cbindgen reads src/abi and the client's C functions;
//! its output for each item goes into the header of the file that declares the item, in that file's
//! order.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;
use std::path::Path;

/// A header in include/chimaera/abi/.
struct Header {
    name: &'static str,
    /// The source file that declares its items.
    source: &'static str,
    /// Its subject, in one line.
    about: &'static str,
    /// The headers that it includes.
    needs: &'static [&'static str],
}

/// The headers, each after those that it includes.
const HEADERS: &[Header] = &[
    Header {
        name: "version",
        source: "src/abi/version.rs",
        about: "The version of the contract.",
        needs: &[],
    },
    Header {
        name: "status",
        source: "src/abi/status.rs",
        about: "Status codes: the outcome of a call or of a task.",
        needs: &[],
    },
    Header {
        name: "shm",
        source: "src/abi/shm.rs",
        about: "The contents of shared memory: pointers, buffers, strings and vectors.",
        needs: &[],
    },
    Header {
        name: "task",
        source: "src/abi/task.rs",
        about: "A task and its address.",
        needs: &["shm", "status"],
    },
    Header {
        name: "ipc",
        source: "src/abi/ipc.rs",
        about: "The IPC manager: the table through which all code creates and sends tasks.",
        needs: &["task"],
    },
    Header {
        name: "archive",
        source: "src/abi/archive.rs",
        about: "Archives: byte sinks and sources for serializing tasks.",
        needs: &["status"],
    },
    Header {
        name: "life",
        source: "src/abi/life.rs",
        about: "The life of a container: its state, and why it has a successor.",
        needs: &["archive", "task"],
    },
    Header {
        name: "container",
        source: "src/abi/container.rs",
        about: "A container: the functions that the runtime calls.",
        needs: &["life"],
    },
    Header {
        name: "locks",
        source: "src/abi/locks.rs",
        about: "The extension \"locks\": locks that suspend a task and not its worker.",
        needs: &["status"],
    },
    Header {
        name: "events",
        source: "src/abi/events.rs",
        about: "The extension \"events\": lets any thread wake a waiting task.",
        needs: &["status"],
    },
    Header {
        name: "pollers",
        source: "src/abi/pollers.rs",
        about: "The extension \"pollers\": callbacks that a worker polls between tasks.",
        needs: &["status"],
    },
    Header {
        name: "clients",
        source: "src/abi/clients.rs",
        about:
            "The extension \"clients\": which client sent a task, and whether it is still there.",
        needs: &["status"],
    },
    Header {
        name: "directory",
        source: "src/abi/directory.rs",
        about: "The extension \"directory\": where a container of a durable pool keeps its files.",
        needs: &["status"],
    },
    Header {
        name: "places",
        source: "src/abi/places.rs",
        about: "The extension \"places\": where the containers of a pool are.",
        needs: &["status"],
    },
    Header {
        name: "publishing",
        source: "src/abi/publishing.rs",
        about: "The extension \"publishing\": memory that containers write and clients read without copies.",
        needs: &["shm", "status"],
    },
    Header {
        name: "storage",
        source: "src/abi/storage.rs",
        about: "The extension \"storage\": what a container stores is on its node.",
        needs: &["status"],
    },
    Header {
        name: "host",
        source: "src/abi/host.rs",
        about: "The host: what the runtime offers containers besides sending tasks.",
        needs: &[
            "clients",
            "container",
            "directory",
            "events",
            "ipc",
            "locks",
            "places",
            "pollers",
            "publishing",
            "storage",
        ],
    },
    Header {
        name: "module",
        source: "src/abi/module.rs",
        about: "The symbols that a ChiMod exports.",
        needs: &["container", "host", "version"],
    },
    Header {
        name: "admin",
        source: "src/abi/admin.rs",
        about: "The tasks of the admin pool, which every runtime has.",
        needs: &["task"],
    },
    Header {
        name: "client",
        source: "src/client/c/lib.rs",
        about: "libchimaera_client: connecting, and shorthands of chi_ipc for programs in C.",
        needs: &["ipc"],
    },
    Header {
        name: "fields",
        source: "src/client/c/fields.rs",
        about: "libchimaera_client: filling in the strings and vectors of a task.",
        needs: &["task"],
    },
];

/// The one header that programs include.
const UMBRELLA: &str = "\
/* The C contract of Chimaera: types, status codes, and the tables of functions that modules and
 * clients are built on. Generated from src/abi and src/client/c by `make headers`; do not edit.
 *
 * Each subject has its own header. Strings are UTF-8. Nothing here throws. Every function documents
 * who owns its arguments and its result (Ownership), which pointers may be null (Null), which
 * statuses it returns besides CHI_OK (Errors), and which threads may call it (Thread):
 * [any thread], [worker] (a thread of the runtime that is running a method or a monitor), [loader]
 * (the thread that is loading a module or building a container). */
";

/// Writes the headers of the project at `root` to `out`: abi.h and the directory abi.
pub(crate) fn generate(root: &Path, out: &Path) {
    let config = root.join("cbindgen.toml");
    println!("cargo:rerun-if-changed={}", config.display());
    let config = cbindgen::Config::from_file(&config).expect("cbindgen.toml is readable");
    let mut builder = cbindgen::Builder::new().with_config(config);
    let mut sources = Vec::new();
    for header in HEADERS {
        let path = root.join(header.source);
        println!("cargo:rerun-if-changed={}", path.display());
        let source = std::fs::read_to_string(&path).expect("the sources are readable");
        let plain = out.join(format!("{}.rs", header.name));
        std::fs::write(&plain, declared(&source)).expect("OUT_DIR is writable");
        builder = builder.with_src(plain);
        sources.push(source);
    }
    let bindings = builder.generate().expect("cbindgen reads src/abi and src/client/c");
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).expect("the sources are UTF-8");
    let mut blocks = blocks(&text);

    let folder = out.join("abi");
    std::fs::create_dir_all(&folder).expect("OUT_DIR is writable");
    for (header, source) in HEADERS.iter().zip(&sources) {
        let text = header.text(source, &mut blocks);
        std::fs::write(folder.join(format!("{}.h", header.name)), text)
            .expect("OUT_DIR is writable");
    }
    assert!(blocks.is_empty(), "no header contains {:?}", blocks.keys());
    let includes: String = HEADERS
        .iter()
        .map(|header| format!("#include \"chimaera/abi/{}.h\"\n", header.name))
        .collect();
    std::fs::write(out.join("abi.h"), guarded("CHIMAERA_ABI_H_", UMBRELLA, &includes))
        .expect("OUT_DIR is writable");
}

/// The source in a form that cbindgen, which expands no macros, can read: each line `NAME = number,
/// "text";` of `statuses!` becomes a constant, and declarations of other files are left out.
fn declared(source: &str) -> String {
    let statuses = statuses(source);
    let lines = source.lines().filter(|line| !line.starts_with("pub mod "));
    let mut declared: String = lines.map(|line| format!("{line}\n")).collect();
    if !statuses.is_empty() {
        let begin = declared.find("macro_rules! statuses").expect("the list has its macro");
        let end = declared.find("\nstatuses! {\n").expect("the list is there");
        let list = declared.split_off(end + "\nstatuses! {\n".len());
        declared.truncate(declared[..begin].trim_end().rfind("\n\n").unwrap_or(begin));
        let (list, rest) = list.split_once("\n}\n").expect("the list ends");
        declared.push('\n');
        for line in list.lines().map(str::trim) {
            match status(line) {
                Some((name, number, _)) => {
                    writeln!(declared, "pub const {name}: i32 = {number};").expect("it is memory");
                }
                None => writeln!(declared, "{line}").expect("it is memory"),
            }
        }
        declared.push_str(rest);
    }
    declared
}

/// The name, number and text of a line of `statuses!`.
fn status(line: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = line.trim().split_once(" = ")?;
    let (number, text) = rest.split_once(", ")?;
    (name.starts_with("CHI_") && number.parse::<u32>().is_ok()).then_some((
        name,
        number,
        text.strip_suffix(';')?,
    ))
}

/// The names and texts of the list of statuses.
fn statuses(source: &str) -> Vec<(&str, &str)> {
    let list = source.split_once("\nstatuses! {\n").map_or("", |(_, list)| list);
    list.lines().filter_map(status).map(|(name, _, text)| (name, text)).collect()
}

/// cbindgen's output by item name: its comment and its declaration.
fn blocks(text: &str) -> HashMap<String, String> {
    let mut blocks = HashMap::new();
    let (mut block, mut depth) = (String::new(), 0);
    for line in text.lines().chain([""]) {
        if line.is_empty() && depth == 0 {
            if !block.is_empty() {
                blocks.insert(name(&block).to_owned(), without_safety(&block));
            }
            block.clear();
            continue;
        }
        if !line.trim_start().starts_with("//") {
            depth += line.matches('{').count();
            depth -= line.matches('}').count();
        }
        block.push_str(line);
        block.push('\n');
    }
    blocks
}

/// The name that a C declaration introduces.
fn name(block: &str) -> &str {
    let code = block.lines().find(|line| !line.starts_with("//")).expect("a block has code");
    let end =
        |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if let Some(rest) = code.strip_prefix("#define ") {
        return &rest[..end(rest)];
    }
    if let Some(rest) = code.strip_prefix("typedef struct ").filter(|rest| rest.ends_with('{')) {
        return &rest[..end(rest)];
    }
    if let Some((_, rest)) = code.split_once("(*").filter(|_| code.starts_with("typedef ")) {
        return &rest[..end(rest)];
    }
    let declared = match code.starts_with("typedef ") {
        true => code.trim_end_matches(';'),
        false => code.split_once('(').expect("a function has arguments").0,
    };
    declared.rsplit([' ', '*']).next().expect("there is a word")
}

/// Removes the section `# Safety` of a comment, which is its last: it addresses Rust code, and the
/// C comment says the same in its own terms.
fn without_safety(block: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut leaving_out = false;
    for line in block.lines() {
        if line == "// # Safety" {
            leaving_out = true;
            kept.pop_if(|before| before.trim_end() == "//");
        }
        leaving_out &= line.starts_with("//");
        if !leaving_out {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

/// Wraps a file in its include guard.
fn guarded(guard: &str, title: &str, body: &str) -> String {
    format!("{title}#ifndef {guard}\n#define {guard}\n\n{body}\n#endif  // {guard}\n")
}

impl Header {
    fn text(&self, source: &str, blocks: &mut HashMap<String, String>) -> String {
        let mut body =
            String::from("#include <stdbool.h>\n#include <stddef.h>\n#include <stdint.h>\n");
        if !self.needs.is_empty() {
            body.push('\n');
        }
        for need in self.needs {
            writeln!(body, "#include \"chimaera/abi/{need}.h\"").expect("it is memory");
        }
        let items = self.items(source, blocks);
        let named = self.named_before(&items);
        if !named.is_empty() {
            body.push('\n');
        }
        for name in named {
            writeln!(body, "struct {name};").expect("it is memory");
        }
        let functions = source.contains("#[no_mangle]");
        if functions {
            body.push_str("\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
        }
        for item in items {
            body.push('\n');
            body.push_str(&item);
        }
        if functions {
            body.push_str("\n#ifdef __cplusplus\n}  // extern \"C\"\n#endif\n");
        }
        let statuses = statuses(source);
        if !statuses.is_empty() {
            body.push_str("\n// `X(name, text)` for each status, to make tables of them.\n");
            body.push_str("#define CHI_STATUSES(X)");
            for (name, text) in statuses {
                write!(body, " \\\n  X({name}, {text})").expect("it is memory");
            }
            body.push('\n');
        }
        let about = self.about;
        let title = format!(
            "/* {about}\n * Generated from {} by `make headers`; do not edit. */\n",
            self.source
        );
        let guard = format!("CHIMAERA_ABI_{}_H_", self.name.to_uppercase());
        guarded(&guard, &title, &body)
    }

    /// The structs that an item refers to but that are declared later or in a later header.
    fn named_before<'a>(&self, items: &'a [String]) -> BTreeSet<&'a str> {
        let needed = self.needed();
        let mut known: BTreeSet<String> = HEADERS
            .iter()
            .filter(|header| needed.contains(header.name))
            .flat_map(|header| {
                let source = std::fs::read_to_string(header.source).expect("it was read before");
                let structs = source.lines().filter(|line| line.starts_with("pub struct "));
                structs.filter_map(declared_name).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let mut named = BTreeSet::new();
        for item in items {
            let code = item.lines().filter(|line| !line.trim_start().starts_with("//"));
            for (after, text) in
                code.flat_map(|line| line.split("struct ").skip(1).map(move |rest| (line, rest)))
            {
                let end =
                    text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
                let name = &text[..end];
                if after.starts_with("typedef struct ") && !after.contains("(*") {
                    known.insert(name.to_owned());
                } else if !known.contains(name) {
                    named.insert(name);
                }
            }
        }
        named
    }

    /// The headers that this one includes, directly or indirectly.
    fn needed(&self) -> BTreeSet<&'static str> {
        let mut needed: BTreeSet<&'static str> = self.needs.iter().copied().collect();
        for header in HEADERS.iter().rev() {
            if needed.contains(header.name) {
                needed.extend(header.needs);
            }
        }
        needed
    }

    /// The items that the source declares, in order: cbindgen's output, and what cbindgen does not
    /// support: strings and opaque structs.
    fn items(&self, source: &str, blocks: &mut HashMap<String, String>) -> Vec<String> {
        let mut items = Vec::new();
        let mut comment = String::new();
        let lines: Vec<&str> = source.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let line =
                line.strip_prefix("    ").filter(|line| status(line).is_some()).unwrap_or(line);
            if let Some(text) = line.strip_prefix("///") {
                writeln!(comment, "//{text}").expect("it is memory");
                continue;
            }
            let Some(name) = declared_name(line) else {
                if !line.starts_with("#[") {
                    comment.clear();
                }
                continue;
            };
            let opaque = lines.get(number + 1).is_some_and(|next| next.contains("_opaque:"));
            if let Some(text) = line.split_once(": &CStr = c").map(|(_, text)| text) {
                let text = text.trim_end_matches(';');
                items.push(format!("{comment}#define {name} {text}\n"));
            } else if opaque {
                blocks.remove(name);
                items.push(format!("{comment}typedef struct {name} {name};\n"));
            } else if let Some(block) = blocks.remove(name) {
                items.push(block);
            }
            comment.clear();
        }
        items
    }
}

/// The name of the item whose declaration begins on a line of Rust.
fn declared_name(line: &str) -> Option<&str> {
    if let Some((name, _, _)) = status(line) {
        return Some(name);
    }
    let rest =
        ["pub const ", "pub type ", "pub struct "].iter().find_map(|kind| line.strip_prefix(kind));
    let functions = ["pub extern \"C\" fn ", "pub unsafe extern \"C\" fn "];
    let rest = rest.or_else(|| functions.iter().find_map(|kind| line.strip_prefix(kind)))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(&rest[..end])
}
