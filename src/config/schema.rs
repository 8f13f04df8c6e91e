//! The JSON Schema of the file, with which editors complete and check it.

use chimaera_abi::CHI_MAX_CONTAINERS;
use serde_json::{json, Map, Value};

use crate::keys::{
    Key, Kind, Preset, FORMATS, KEYS, KILL_AFTER, LEVELS, MEMORY_LIMIT, RESTARTS, TARGET_LEVELS,
};
use crate::quota;
use crate::units::{Units, SIZES, TIMES};
use crate::value::MAX_CORES;

/// The JSON Schema of the file. The reader rejects everything that the schema rejects. It also
/// checks what a schema cannot express: ranges of values with a unit, rules for several keys,
/// missing files, and the spelling of numbers. A test checks that both agree.
pub fn schema() -> Value {
    let mut root = object();
    for key in KEYS {
        let mut words: Vec<&str> = key.path.split('.').collect();
        let last = words.pop().expect("a path has a word");
        let mut at = &mut root;
        for word in words {
            at = at["properties"]
                .as_object_mut()
                .expect("each object has it")
                .entry(word)
                .or_insert_with(|| json!({ "type": ["object", "null"], "properties": {}, "additionalProperties": false }));
        }
        at["properties"][last] = property(key);
    }
    let count = KEYS.iter().find(|key| key.path == "workers.low_latency.count").map(property);
    let groups = root["properties"]["workers"].take();
    root["properties"]["workers"] = json!({ "anyOf": [count, groups] });
    let mut whole = Map::new();
    whole.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    whole.insert("title".into(), json!("Configuration of a Chimaera runtime"));
    let Value::Object(root) = root else { unreachable!("it is an object") };
    whole.extend(root);
    whole["type"] = json!(["object", "null"]);
    Value::Object(whole)
}

fn object() -> Value {
    json!({ "type": "object", "properties": {}, "additionalProperties": false })
}

/// What the value of a key may be.
fn value(kind: Kind) -> Value {
    match kind {
        Kind::Number { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Size { .. } => json!({ "type": "string", "pattern": with_unit(SIZES, false) }),
        Kind::Time { never, .. } => json!({ "type": "string", "pattern": with_unit(TIMES, never) }),
        Kind::Percent { .. } => json!({ "type": "string", "pattern": PERCENT }),
        Kind::Memory { .. } => json!({ "anyOf": [
            { "const": "auto" },
            { "type": "string", "pattern": with_unit(SIZES, false) },
            { "type": "string", "pattern": PERCENT },
        ]}),
        // YAML readers take some names for numbers.
        Kind::Name => json!({
            "type": ["string", "number", "boolean"],
            "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,47}$",
            "minimum": 0,
        }),
        Kind::Level => {
            let (levels, targets) = (LEVELS.join("|"), TARGET_LEVELS.join("|"));
            let pattern = format!("^({levels})(,[A-Za-z0-9_:]+=({targets}))*$");
            json!({ "type": "string", "pattern": pattern })
        }
        Kind::Format => json!({ "enum": FORMATS }),
        Kind::File => file(),
        Kind::Directories => {
            json!({ "type": ["array", "string"], "items": file(), "pattern": FILE })
        }
        Kind::Accounts => accounts(),
        Kind::Modules => {
            let item = json!({ "type": "string", "pattern": MODULE, "maxLength": 255 });
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        Kind::Address => address(),
        Kind::Addresses => {
            let item = address();
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        Kind::Quotas => json!({ "type": "array", "items": quota() }),
        Kind::Cores => {
            let item = json!({ "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": MAX_CORES - 1 },
                { "type": "string", "pattern": CORES },
            ]});
            json!({ "anyOf": [item, { "type": "array", "items": item }] })
        }
        Kind::Pools => json!({ "type": "array", "items": pool() }),
    }
}

fn with(mut schema: Value, description: &str) -> Value {
    schema["description"] = description.into();
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = value(key.kind);
    schema["description"] = key.doc.into();
    if let (Preset::Value(text), false) = (
        key.preset,
        matches!(
            key.kind,
            Kind::Accounts
                | Kind::Modules
                | Kind::Addresses
                | Kind::Quotas
                | Kind::Directories
                | Kind::Pools
        ),
    ) {
        let number = text.parse::<u64>().ok().map(Value::from);
        schema["default"] = number.unwrap_or_else(|| text.into());
    }
    schema
}

fn with_unit(units: Units, never: bool) -> String {
    let units: Vec<&str> = units.iter().map(|unit| unit.0).collect();
    let never = if never { "|^never$" } else { "" };
    format!(r"^[0-9]+[ \t]*({})${never}", units.join("|"))
}

/// The name of a module.
const MODULE: &str = r"^[^:\x00-\x1f\x7f-\x9f]+:[^:\x00-\x1f\x7f-\x9f]+$";
const PERCENT: &str = r"^[0-9]+[ \t]*%$";
/// A text that is not blank and contains no zero byte.
const FILE: &str = r"^[^\x00]*[^\s\x00][^\x00]*$";
/// A core, or a range of cores.
const CORES: &str = concat!(
    r"^[ \t]*0*([0-9]{1,3}|10[01][0-9]|102[0-3])[ \t]*",
    r"(-[ \t]*0*([0-9]{1,3}|10[01][0-9]|102[0-3])[ \t]*)?$"
);
/// Base64, with white space anywhere.
const BASE64: &str = concat!(
    r"^(?=[\s\S]*[^ \t\r\n])[ \t\r\n]*(([A-Za-z0-9+/][ \t\r\n]*){4})*",
    r"([A-Za-z0-9+/][ \t\r\n]*[AQgw][ \t\r\n]*=[ \t\r\n]*=[ \t\r\n]*|",
    r"([A-Za-z0-9+/][ \t\r\n]*){2}[AEIMQUYcgkosw048][ \t\r\n]*=[ \t\r\n]*)?$"
);

/// A user or a group. YAML readers take some names for numbers.
fn account() -> Value {
    json!({
        "type": ["string", "number", "boolean"],
        "pattern": r"^(group:)?[A-Za-z0-9_][^\s\x00-\x1f\x7f-\x9f,:]*$",
        "minimum": 0,
    })
}

fn quota() -> Value {
    let limits = quota::limits().map(|(key, kind)| (key.to_owned(), value(kind)));
    let mut properties: Map<String, Value> = limits.collect();
    properties.insert("who".into(), accounts());
    json!({
        "type": "object",
        "properties": properties,
        "required": ["who"],
        "additionalProperties": false,
    })
}

fn accounts() -> Value {
    let item = account();
    json!({ "anyOf": [item, { "type": "array", "items": item }] })
}

fn address() -> Value {
    json!({ "type": "string", "pattern": r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253})(:[0-9]{1,5})?$" })
}

fn file() -> Value {
    json!({ "type": "string", "pattern": FILE })
}

fn pool() -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean", "null"] });
    let params = json!({
        "type": ["string", "number", "boolean", "null", "object"],
        "propertyNames": { "pattern": r#"^[^=,"\s]([^=,"]*[^=,"\s])?$"# },
        "additionalProperties": scalar,
        "description": "Parameters for the module: names and values, or a string.",
    });
    let both = |one: &str, other: &str| json!({ "required": [one, other] });
    json!({
        "type": "object",
        "properties": {
            "name": {
                "type": ["string", "number", "boolean"],
                "pattern": r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
                "maxLength": 255,
                "not": { "const": "admin" },
                "description": "Its name: 1 to 255 bytes.",
            },
            "module": {
                "type": "string",
                "pattern": MODULE,
                "maxLength": 255,
                "description": "Its module, `repo:module`.",
            },
            "params": params,
            "params_base64": {
                "type": "string",
                "pattern": BASE64,
                "description": "Parameters for the module, in Base64.",
            },
            "params_file": {
                "type": "string",
                "pattern": FILE,
                "description": "A file with parameters for the module.",
            },
            "containers": {
                "type": "integer",
                "minimum": 1,
                "maximum": CHI_MAX_CONTAINERS,
                "description": "Number of its containers.",
            },
            "nodes": {
                "type": "integer",
                "minimum": 1,
                "maximum": u32::MAX,
                "description": "Number of nodes of the cluster on which it is kept. Without it, on all.",
            },
            "on_crash": {
                "enum": ["quarantine", "abort"],
                "description": "What happens when one of its methods crashes.",
            },
            "isolation": {
                "enum": ["none", "process"],
                "description": "Where its containers run.",
            },
            "durable": {
                "type": "boolean",
                "description": "Whether the next runtime of the instance makes it anew, also after a crash.",
            },
            "kill_after": with(value(KILL_AFTER), "How long a method may keep its worker in its process."),
            "memory_limit": with(value(MEMORY_LIMIT), "How much memory its process may use."),
            "restarts": with(value(RESTARTS), "How often in a minute its process is started again."),
            "access": {
                "type": ["object", "null"],
                "properties": { "call": accounts(), "destroy": accounts() },
                "additionalProperties": false,
                "description": "Users and groups that may call it, and those that may destroy it.",
            },
        },
        "required": ["name", "module"],
        "not": { "anyOf": [
            both("params", "params_base64"),
            both("params", "params_file"),
            both("params_base64", "params_file"),
        ]},
        "additionalProperties": false,
    })
}
