//! The schemas and the readers agree: whatever a schema refuses, the reader refuses. What only the
//! reader refuses must be something that a schema cannot express, and is listed here.

use std::path::{Path, PathBuf};

use chimaera_repo::{parse_module, Problems, Repo, MODULE_SCHEMA, REPO_SCHEMA};
use chimaera_yaml::Report;
use jsonschema::Validator;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// Parts of the messages of problems that only the reader finds.
const ONLY_THE_READER: &[&str] = &[
    // Not a JSON document.
    "this is not valid YAML",
    "this `:` is inside unquoted text",
    "this bracket is inside unquoted text",
    "there is a tab in the indentation",
    "a `:` is missing in this line",
    "is given twice",
    "a second document",
    "is not valid UTF-8",
    // How a number is spelled.
    "starts with a zero",
    "is not a whole number",
    "the default is",
    // What a name means elsewhere.
    "is a keyword in",
    "a macro of",
    "already has a meaning",
    "is not a string in YAML",
    "cannot be used",
    "is not a valid struct name",
    "the generated code already has",
    "the generated clients already have",
    // Relations between the parts of a file.
    "already has on line",
    "would have the same name",
    "is already the name of another field",
    "would be the length of",
    "is also the name of generated code",
    "the generated code for",
    "has a task of its own already",
    "` is not supported",
    "there is no method",
    "is not a custom method that is -1",
    "unknown type `",
    "in a struct",
    "an array of something other",
    "a vector of",
    "the task of",
    // Files beside this one, which may determine the language of a module.
    "beside this file",
    "a module in C++ cannot have tasks in Rust",
    "a module in Rust must support",
];

struct Judges {
    schema: Validator,
    read: fn(&Path, &[u8]) -> Result<(), Problems>,
    /// A directory with a `CMakeLists.txt`.
    home: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
    OnlyByTheReader,
}

impl Judges {
    fn new(schema: &str, read: fn(&Path, &[u8]) -> Result<(), Problems>) -> Judges {
        let schema = jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap();
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("mod_name")).unwrap();
        std::fs::write(home.path().join("mod_name/CMakeLists.txt"), "").unwrap();
        Judges { schema, read, home }
    }

    fn modules() -> Judges {
        Judges::new(MODULE_SCHEMA, |dir, bytes| parse_module(dir, "example", bytes).map(drop))
    }

    fn repos() -> Judges {
        Judges::new(REPO_SCHEMA, |dir, bytes| Repo::parse(dir, bytes).map(drop))
    }

    /// The verdict of both on a document; they must agree.
    fn judge(&self, document: &[u8]) -> Verdict {
        let root = chimaera_yaml::parse(document, &mut Report::new(Path::new("")));
        let json = root.as_ref().map_or(Value::Null, chimaera_yaml::Node::json);
        let text = String::from_utf8_lossy(document);
        match (
            (self.read)(&self.home.path().join("mod_name"), document),
            self.schema.is_valid(&json),
        ) {
            (Ok(()), true) => Verdict::Good,
            (Err(_), false) => Verdict::Bad,
            (Ok(()), false) => {
                let why: Vec<String> =
                    self.schema.iter_errors(&json).map(|error| error.to_string()).collect();
                panic!("refused by the schema alone: {why:?}\n{text}\n{json}");
            }
            (Err(Problems(problems)), true) => {
                for problem in &problems {
                    let known = ONLY_THE_READER.iter().any(|part| problem.message.contains(part));
                    assert!(known, "refused by the reader alone: {problem}\n{text}\n{json}");
                }
                Verdict::OnlyByTheReader
            }
        }
    }

    /// Judges generated documents, of which some are valid and some are not.
    fn judge_many(&self, documents: impl Strategy<Value = String>) {
        let mut runner = TestRunner::deterministic();
        let mut verdicts = Vec::new();
        for _ in 0..4000 {
            let document = documents.new_tree(&mut runner).unwrap().current();
            verdicts.push(self.judge(document.as_bytes()));
        }
        for verdict in [Verdict::Good, Verdict::Bad] {
            let count = verdicts.iter().filter(|found| **found == verdict).count();
            assert!(count > 200, "{verdict:?}: {count}");
        }
    }
}

fn corpus() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files = ["good", "bad"].iter().flat_map(|kind| std::fs::read_dir(dir.join(kind)).unwrap());
    let files = files.map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect()
}

#[test]
fn on_the_corpus() {
    let (modules, repos) = (Judges::modules(), Judges::repos());
    for file in corpus() {
        let judges = if file.to_str().unwrap().ends_with(".repo.yaml") { &repos } else { &modules };
        let good = file.to_str().unwrap().contains("/good/");
        let verdict = judges.judge(&std::fs::read(&file).unwrap());
        assert_eq!(verdict == Verdict::Good, good, "{}", file.display());
    }
}

#[test]
fn on_documents_that_say_nothing() {
    for judges in [Judges::modules(), Judges::repos()] {
        for document in
            ["", "{}", "~", "null", "# nothing\n", "---\n", "[]", "\"\"", "0", "{}\n---\n{}"]
        {
            assert_ne!(judges.judge(document.as_bytes()), Verdict::Good, "{document}");
        }
    }
}

/// Scalars that schema and reader might interpret differently.
fn scalar() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "0",
        "1",
        "-1",
        "10",
        "11",
        "255",
        "256",
        "4095",
        "4096",
        "010",
        "+7",
        "0x1F",
        "0o17",
        "1.0",
        "1e1",
        "2.5",
        ".inf",
        ".nan",
        "18446744073709551615",
        "18446744073709551616",
        "true",
        "True",
        "false",
        "null",
        "Null",
        "~",
        "",
        "\"\"",
        "\" \"",
        "\"10\"",
        "\"true\"",
        "\"null\"",
        "yes",
        "x",
        "\"two words\"",
        "a_word",
        "_a",
        "a_",
        "INT_MAX",
        "Word",
        "größe",
        "\"a\\nb\"",
        "\"\\u0085\"",
    ]);
    words.prop_map(str::to_owned)
}

/// A value that is seldom valid.
fn other() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => scalar(),
        1 => Just("[]".to_owned()),
        1 => Just("{}".to_owned()),
        1 => scalar().prop_map(|item| format!("[{item}]")),
        1 => scalar().prop_map(|item| format!("{{a: {item}}}")),
    ]
}

/// One of these, or occasionally something else.
fn mostly(right: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        12 => prop::sample::select(right).prop_map(str::to_owned),
        1 => other(),
    ]
}

/// A map on one line, with some of these entries.
fn map(entries: Vec<(&'static str, BoxedStrategy<String>)>) -> impl Strategy<Value = String> {
    let count = entries.len();
    let values: Vec<_> = entries
        .into_iter()
        .map(|(key, value)| value.prop_map(move |value| format!("\"{key}\": {value}")))
        .collect();
    (values, prop::collection::vec(0..8_u8, count), 0..24_u8).prop_map(|(entries, kept, more)| {
        let entries = entries.iter().zip(kept).filter(|(_, kept)| *kept > 0);
        let mut entries: Vec<String> = entries.map(|(entry, _)| entry.clone()).collect();
        if more == 0 {
            entries.push("unknown: x".into());
        }
        format!("{{{}}}", entries.join(", "))
    })
}

/// A list on one line.
fn list(item: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    let whole =
        prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(", ")));
    prop_oneof![12 => whole, 1 => other()].boxed()
}

fn field(
    types: &'static [&'static str],
    more: Vec<(&'static str, BoxedStrategy<String>)>,
) -> BoxedStrategy<String> {
    let names = &["size", "name", "block_size", "a", "b2", "st_mtime", "pool", "Size", "reserved1"];
    let mut entries = vec![
        ("name", mostly(names).boxed()),
        ("type", mostly(types).boxed()),
        ("doc", mostly(&["words", "2024", "\"x\""]).boxed()),
    ];
    entries.extend(more);
    map(entries).boxed()
}

fn module() -> impl Strategy<Value = String> {
    const TYPES: &[&str] = &[
        "u8",
        "i64",
        "f32",
        "bool",
        "string",
        "bytes",
        "\"u8[3]\"",
        "\"u8[4096]\"",
        "\"u8[4097]\"",
        "\"u8[0]\"",
        "\"u8[+1]\"",
        "\"u8[007]\"",
        "\"bool[2]\"",
        "\"string[2]\"",
        "vector<u8>",
        "vector<bool>",
        "vector<bytes>",
        "vector<vector<u8>>",
        "vector<vector<bool>>",
        "vector<vector<string>>",
        "vector<vector<vector<u8>>>",
        "vector< u8 >",
        "vector <u8>",
        "\"vector<u8[3]>\"",
        "\"vector<u8>[3]\"",
        "\" u8\\t\"",
        "Plain",
        "\"Plain[2]\"",
        "u7",
    ];
    const PARAMS: &[&str] =
        &["u8", "i8", "u64", "i64", "f32", "f64", "bool", "string", "pool", "bytes"];
    let in_task = || field(TYPES, vec![("dir", mostly(&["in", "out", "inout"]).boxed())]);
    let task =
        move || map(vec![("doc", mostly(&["words"]).boxed()), ("fields", list(in_task()))]).boxed();
    let structs = map(vec![
        ("Plain", map(vec![("fields", list(field(TYPES, vec![])))]).boxed()),
        ("Method", map(vec![("fields", list(field(TYPES, vec![])))]).boxed()),
    ]);
    let default = field(PARAMS, vec![("default", scalar().boxed())]);
    let params = map(vec![("doc", mostly(&["words"]).boxed()), ("fields", list(default))]);
    map(vec![
        ("name", mostly(&["mod_name", "Mod2", "class"]).boxed()),
        ("description", mostly(&["words"]).boxed()),
        ("language", mostly(&["cpp", "rust"]).boxed()),
        ("kCreate", mostly(&["0", "-1"]).boxed()),
        ("kUpgrade", mostly(&["5", "-1"]).boxed()),
        ("kPut", mostly(&["10", "11", "4095"]).boxed()),
        ("kOld", mostly(&["-1", "13"]).boxed()),
        (
            "unsupported",
            prop_oneof![Just("{kOld: 12}".to_owned()), Just("{}".into()), other()].boxed(),
        ),
        ("rust_tasks", mostly(&["src/a.rs", "./a.rs", "a/../b.rs", "/a.rs", "a"]).boxed()),
        ("structs", prop_oneof![9 => structs, 1 => other()].boxed()),
        ("tasks", map(vec![("kPut", task())]).boxed()),
        ("params", prop_oneof![9 => params, 1 => other()].boxed()),
    ])
}

/// Only some of a module's keys, so that many documents are valid.
fn small_module() -> impl Strategy<Value = String> {
    map(vec![
        ("name", mostly(&["mod_name", "Mod2"]).boxed()),
        ("description", other().boxed()),
        ("kPut", other().boxed()),
    ])
}

fn one_default() -> impl Strategy<Value = String> {
    let types = prop::sample::select(vec![
        "u8", "i8", "u64", "i64", "f32", "f64", "bool", "string", "pool",
    ]);
    (types, scalar()).prop_map(|(ty, default)| {
        format!("{{params: {{fields: [{{name: size, type: {ty}, default: {default}}}]}}}}")
    })
}

fn one_type() -> impl Strategy<Value = String> {
    let ty = "(vector<){0,2} ?(u8|bool|string|bytes|Plain) ?>{0,2}(\\[[0-9]{1,4}\\])?";
    ty.prop_map(|ty| {
        format!(
            "{{kPut: 10, structs: {{Plain: {{fields: [{{name: a, type: u8}}]}}}}, \
             tasks: {{kPut: {{fields: [{{name: size, type: \"{ty}\", dir: in}}]}}}}}}"
        )
    })
}

#[test]
fn on_modules() {
    let judges = Judges::modules();
    judges.judge_many(prop_oneof![module(), small_module(), one_default(), one_type()]);
}

#[test]
fn on_repos() {
    Judges::repos().judge_many(map(vec![
        ("namespace", mostly(&["example", "my_repo", "a", "chi"]).boxed()),
        ("version", mostly(&["1.0.0", "0.12.3", "1.0", "01.0.0", "1.0.0000000"]).boxed()),
        ("description", other().boxed()),
    ]));
}
