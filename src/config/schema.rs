//! The JSON Schema of the file, by which editors complete and check it.

use chimaera_abi::CHI_MAX_CONTAINERS;
use serde_json::{json, Map, Value};

use crate::keys::{Key, Kind, Preset, KEYS, LEVELS};
use crate::units::{Units, SIZES, TIMES};

/// The JSON Schema of the file. What it refuses, the reader refuses; ranges of what has a unit only the
/// reader checks.
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

fn property(key: &Key) -> Value {
    let mut schema = match key.kind {
        Kind::Number { least, most } => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Kind::Size { .. } => json!({ "type": "string", "pattern": with_unit(SIZES, false) }),
        Kind::Time { never, .. } => json!({ "type": "string", "pattern": with_unit(TIMES, never) }),
        Kind::Percent { .. } => json!({ "type": "string", "pattern": "^[0-9]+ *%$" }),
        // Readers of YAML take some names for numbers.
        Kind::Name => json!({ "type": ["string", "number", "boolean"] }),
        Kind::Level => json!({ "enum": LEVELS }),
        Kind::File => json!({ "type": "string", "minLength": 1 }),
        Kind::Directories => {
            json!({ "type": ["array", "string"], "items": { "type": "string", "minLength": 1 } })
        }
        Kind::Cores => json!({
            "type": ["array", "string", "integer"],
            "items": { "anyOf": [
                { "type": "integer", "minimum": 0, "maximum": 1023 },
                { "type": "string", "pattern": "^[0-9]+ *(- *[0-9]+)?$" },
            ]},
        }),
        Kind::Pools => json!({ "type": "array", "items": pool() }),
    };
    schema["description"] = key.doc.into();
    if let (Preset::Value(text), false) =
        (key.preset, matches!(key.kind, Kind::Directories | Kind::Pools))
    {
        let number = text.parse::<u64>().ok().map(Value::from);
        schema["default"] = number.unwrap_or_else(|| text.into());
    }
    schema
}

fn with_unit(units: Units, never: bool) -> String {
    let units: Vec<&str> = units.iter().map(|unit| unit.0).collect();
    let never = if never { "|^never$" } else { "" };
    format!("^[0-9]+ *({})${never}", units.join("|"))
}

fn pool() -> Value {
    let scalar = json!({ "type": ["string", "number", "boolean", "null"] });
    let params = json!({
        "type": ["string", "number", "boolean", "null", "object"],
        "additionalProperties": scalar,
        "description": "Parameters for the module: names and values, or a string.",
    });
    json!({
        "type": "object",
        "properties": {
            "name": { "type": ["string", "number", "boolean"], "description": "Its name: 1 to 255 bytes." },
            "module": {
                "type": "string",
                "pattern": "^[^:]+:[^:]+$",
                "description": "Its module, `repo:module`.",
            },
            "params": params,
            "params_base64": { "type": "string", "description": "Parameters for the module, in Base64." },
            "params_file": { "type": "string", "minLength": 1, "description": "A file with parameters for the module." },
            "containers": {
                "type": "integer",
                "minimum": 1,
                "maximum": CHI_MAX_CONTAINERS,
                "description": "Number of its containers.",
            },
        },
        "required": ["name", "module"],
        "additionalProperties": false,
    })
}
