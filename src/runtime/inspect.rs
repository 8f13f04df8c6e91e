//! Inspects a module file as a runtime would, without starting a runtime.

use std::fs::File;
use std::path::Path;

use object::elf;
use object::read::elf::{Dyn, FileHeader};
use object::read::{ReadCache, ReadRef};
use object::Endianness;
use serde_json::{json, Value};

use crate::admin::describe_module;
use crate::module::{exported, judge, Modules, Verdict, SYMBOLS};
use crate::runtime::services;

/// What can be read from the file without loading it: which symbols of the contract it exports,
/// what it links and, if a runtime would not even try to load it, why.
///
/// ```json
/// {
///   "path": "libexample_kv_runtime.so",
///   "symbols": { "chi_module": true, ... },
///   "soname": "libexample_kv_runtime.so",
///   "links": ["libc.so.6"],
///   "refused": null
/// }
/// ```
pub fn read(path: &Path) -> Value {
    let contents = File::open(path)
        .ok()
        .and_then(|file| contents(&ReadCache::new(file)).ok())
        .unwrap_or_default();
    let refused = match judge(path) {
        Verdict::Module => None,
        Verdict::Other(reason) | Verdict::Broken(reason) => Some(reason),
    };
    let symbols: serde_json::Map<_, _> = SYMBOLS
        .iter()
        .map(|symbol| ((*symbol).to_owned(), contents.symbols.contains(symbol).into()))
        .collect();
    json!({
        "path": path,
        "symbols": symbols,
        "soname": contents.soname,
        "links": contents.needed,
        "refused": refused,
    })
}

/// Loads the module and describes it, or returns `{"refused": why}`. The module's code runs in this
/// process and can end it.
pub fn load(path: &Path) -> Value {
    match Modules::new(services(true)).load_new(path) {
        Ok(module) => describe_module(&module),
        Err(reason) => json!({ "refused": reason }),
    }
}

#[derive(Default)]
struct Contents {
    symbols: Vec<&'static str>,
    soname: Option<String>,
    needed: Vec<String>,
}

fn contents<'data, R: ReadRef<'data>>(data: R) -> object::Result<Contents> {
    let header = elf::FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, data)?;
    let mut contents = Contents::default();
    let found = exported(&sections, endian, data)?;
    contents.symbols = SYMBOLS.into_iter().filter(|symbol| found.contains(symbol)).collect();
    let Some((entries, strings)) = sections.dynamic(endian, data)? else { return Ok(contents) };
    let strings = sections.strings(endian, data, strings)?;
    for entry in entries {
        let text =
            || entry.string(endian, strings).map(|b| String::from_utf8_lossy(b).into_owned());
        match entry.d_tag(endian) {
            elf::DT_NEEDED => contents.needed.push(text()?),
            elf::DT_SONAME => contents.soname = Some(text()?),
            _ => {}
        }
    }
    Ok(contents)
}
