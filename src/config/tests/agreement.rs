//! The schema and the reader agree: the reader refuses everything that the schema refuses. What
//! only the reader refuses cannot be expressed in a schema, and is listed here.

use std::path::Path;

use chimaera_config::{default_file, schema, File, KEYS};
use chimaera_yaml::{Node, Problems, Report};
use jsonschema::Validator;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// Parts of the messages of problems that only the reader finds.
const ONLY_THE_READER: &[&str] = &[
    // Documents that JSON cannot express.
    "this is not valid YAML",
    "this `:` is inside unquoted text",
    "this bracket is inside unquoted text",
    "there is a tab in the indentation",
    "a `:` is missing in this line",
    "is given twice",
    "is not valid UTF-8",
    "anchors (",
    "aliases (",
    "tags (",
    "a second document",
    // The spelling of numbers.
    "starts with a zero",
    "is not a whole number",
    "is not a core number",
    "is not a valid instance name",
    "is not the name of a user or group",
    // Ranges of values with a unit.
    "is out of range",
    "is too large",
    // Rules that involve several parts of a file.
    "exceeds `segment.max`",
    "workers in all",
    "duplicate pool",
    // The length of a text in bytes.
    "is not a valid pool name",
    "is not a valid module name",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    Bad,
    OnlyByTheReader,
}

/// The verdict of both on a document; they must agree.
fn judge(schema: &Validator, document: &[u8]) -> Verdict {
    let root = chimaera_yaml::parse(document, &mut Report::new(Path::new("")));
    let json = root.as_ref().map_or(Value::Null, Node::json);
    let text = String::from_utf8_lossy(document);
    match (File::parse(Path::new("conf.yaml"), document), schema.is_valid(&json)) {
        (Ok(_), true) => Verdict::Good,
        (Err(_), false) => Verdict::Bad,
        (Ok(_), false) => {
            let why: Vec<String> =
                schema.iter_errors(&json).map(|error| error.to_string()).collect();
            panic!("only the schema refuses this: {why:?}\n{text}\n{json}");
        }
        (Err(Problems(problems)), true) => {
            for problem in &problems {
                let known = ONLY_THE_READER.iter().any(|part| problem.message.contains(part));
                assert!(known, "only the reader refuses this: {problem}\n{text}\n{json}");
            }
            Verdict::OnlyByTheReader
        }
    }
}

fn validator() -> Validator {
    jsonschema::validator_for(&schema()).unwrap()
}

#[test]
fn on_the_corpus_and_the_default_file() {
    let validator = validator();
    assert_eq!(judge(&validator, default_file().as_bytes()), Verdict::Good);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    for (kind, good) in [("good", true), ("bad", false)] {
        for entry in std::fs::read_dir(corpus.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "yaml") {
                let verdict = judge(&validator, &std::fs::read(&path).unwrap());
                assert_eq!(verdict == Verdict::Good, good, "{}", path.display());
            }
        }
    }
}

#[test]
fn on_documents_that_say_nothing() {
    let validator = validator();
    for document in
        ["", "{}", "~", "null", "# nothing\n", "---\n", "spin:\n", "segment:\n", "pools: []"]
    {
        let good = document != "spin:\n";
        let verdict = judge(&validator, document.as_bytes());
        assert_eq!(verdict == Verdict::Good, good, "{document}: {verdict:?}");
    }
    for document in ["[]", "\"\"", "0", "x"] {
        assert_eq!(judge(&validator, document.as_bytes()), Verdict::Bad, "{document}");
    }
}

/// Values that are valid for some key, or look as if they were.
fn scalar() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "0",
        "1",
        "3",
        "-1",
        "010",
        "+7",
        "0x1F",
        "1.0",
        "1e1",
        ".5",
        ".inf",
        "256",
        "65537",
        "1000000",
        "18446744073709551616",
        "true",
        "True",
        "null",
        "Null",
        "~",
        "",
        "\"\"",
        "\" \"",
        "\"3\"",
        "\"~\"",
        "50us",
        "1ms",
        "\"5 s\"",
        "\"5\\ts\"",
        "1.5s",
        "never",
        "never ",
        "1KiB",
        "256KiB",
        "1GiB",
        "999TiB",
        "5%",
        "\"50 %\"",
        "\"+50%\"",
        "101%",
        "info",
        "INFO",
        "debug",
        "default",
        "\"a b\"",
        "\"-a\"",
        "\".a\"",
        "a/b",
        "~/log",
        "\"a\\0b\"",
        "\"0-3\"",
        "\" 0 - 3 \"",
        "3-1",
        "0-1024",
        "0-99999999999999999999",
        "\"\\u0085\"",
        "\"\\ufeff\"",
        "größe",
        "alice",
        "group:staff",
        "group:",
        "\"a,b\"",
    ]);
    words.prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => scalar(),
        2 => prop::collection::vec(scalar(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
        1 => Just("{}".to_owned()),
        1 => scalar().prop_map(|item| format!("{{a: {item}}}")),
    ]
}

/// A document with one key, valid or not.
fn one_key() -> impl Strategy<Value = String> {
    let paths: Vec<&str> =
        KEYS.iter().map(|key| key.path).chain(["workers", "log", "lgo"]).collect();
    (prop::sample::select(paths), value()).prop_map(|(path, value)| {
        let depth = path.matches('.').count();
        format!("{}: {value}{}", path.replace('.', ": {"), "}".repeat(depth))
    })
}

fn params() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "params: x",
        "params: 5",
        "params: ~",
        "params: [a]",
        "params: {a: b, c: ~}",
        "params: {a: [b]}",
        "params: {\"a=b\": c}",
        "params: {\" a\": c}",
        "params: {\"\": c}",
        "params: {\"a b\": 1}",
        "params_base64: AA==",
        "params_base64: AB==",
        "params_base64: \"AA =\\n=\"",
        "params_base64: A",
        "params_base64: \"\"",
        "params_base64: \" \"",
        "params_base64: AAE=",
        "params_base64: AAAA",
        "params_base64: 1234",
        "params_base64: true",
        "params_base64: null",
        "params_base64: \"null\"",
        "params_base64: AA=A",
        "params_file: a",
        "params_file: \"\"",
        "params_file: ~",
        "params_file: \"~\"",
        "params_file: 5",
        "params_file: [a]",
        "params: x, params_file: a",
        "params_base64: AA==, params: x",
        "param: x",
        "containers: 2",
    ])
    .prop_map(str::to_owned)
}

/// A document with a pool or two.
fn pools() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => prop::sample::select(vec!["a", "\"\"", "\" \"", "admin", "\"a\\u0007\"", "\"a b\"", "5", "~"])
            .prop_map(str::to_owned),
        1 => (250..260_usize).prop_map(|length| "x".repeat(length)),
        1 => value(),
    ];
    let module = prop_oneof![
        6 => Just("chimaera:kv".to_owned()),
        1 => prop::sample::select(vec!["kv", ":kv", "a:", "a:b:c", "\":\"", "\" : \"", "a:5"])
            .prop_map(str::to_owned),
        1 => value(),
    ];
    let more = prop_oneof![
        Just(String::new()),
        params(),
        value().prop_map(|n| format!("containers: {n}"))
    ];
    let pool = (name, module, more).prop_map(|(name, module, more)| {
        let comma = if more.is_empty() { "" } else { ", " };
        format!("{{name: {name}, module: {module}{comma}{more}}}")
    });
    let pool = prop_oneof![9 => pool, 1 => value()];
    prop::collection::vec(pool, 0..3).prop_map(|pools| format!("pools: [{}]", pools.join(", ")))
}

#[test]
fn on_any_document() {
    let validator = validator();
    let mut runner = TestRunner::deterministic();
    for documents in [one_key().boxed(), pools().boxed()] {
        let mut verdicts = Vec::new();
        for _ in 0..6000 {
            let document = documents.new_tree(&mut runner).unwrap().current();
            verdicts.push(judge(&validator, document.as_bytes()));
        }
        for verdict in [Verdict::Good, Verdict::Bad] {
            let count = verdicts.iter().filter(|found| **found == verdict).count();
            assert!(count > 200, "{verdict:?}: {count}");
        }
    }
}
