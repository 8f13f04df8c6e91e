//! Serialized values, of parameters or of a task. Every value has exactly one encoding.
#![no_main]

use std::collections::BTreeMap;

use chimaera::archive::{from_bytes, params_to_bytes, to_bytes};
use chimaera::{DomainQuery, PoolId, PoolParams, Serialize};

#[derive(Serialize)]
#[repr(u8)]
enum Kind {
    First = 1,
    Second = 2,
}

#[derive(Serialize)]
struct Part {
    name: String,
    place: (u64, i32),
    kind: Kind,
}

#[derive(Serialize)]
struct Tree(Vec<Tree>, u8);

#[derive(Serialize)]
struct All {
    numbers: Vec<u32>,
    parts: Vec<Part>,
    found: Option<Vec<u8>>,
    weights: BTreeMap<String, f64>,
    rows: Vec<Vec<bool>>,
    tree: Tree,
    to: (PoolId, DomainQuery),
    digest: [u16; 4],
}

#[derive(Default, Serialize, PoolParams)]
struct Settings {
    level: i8,
    share: f32,
    limit: Option<u64>,
    exact: bool,
    name: String,
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(value) = from_bytes::<All>(bytes) {
        assert_eq!(to_bytes(&value).expect("what was read can be written"), bytes);
    }
    // The same holds for text: equal settings have one encoding.
    if let Ok(settings) = Settings::from_any(bytes) {
        let form = params_to_bytes(&settings).expect("what was read can be written");
        let again = Settings::from_any(&form).expect("what was written can be read");
        assert_eq!(params_to_bytes(&again).expect("as above"), form);
    }
});
