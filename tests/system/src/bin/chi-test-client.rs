//! A Rust client, driven by the whole-system tests:
//!
//! ```text
//! chi-test-client [--instance NAME] COMMAND [ARGUMENT...] [-- COMMAND [ARGUMENT...]]...
//! ```
//!
//! It has the commands of `c_client`, prints the same lines, and uses the same pools. Only this
//! client has the commands for access rights: `stop`, `stop-by-method`, `create POOL`, `destroy
//! POOL`, `call POOL` and `call-by-method POOL`.

use std::process::ExitCode;

use chimaera::abi::{status_name, CHI_EXISTS, CHI_OK};
use chimaera::{DomainQuery, PoolId, Result, Status};
use chimaera_kv_client as kv;
use chimaera_test_rust_faults_client::{self as faults, SubcallTask};
use chimaera_tests::tasks::mod_name::{self, CompressTask, DecompressTask};
use chimaera_tests::tasks::throws::PlainTask;
use chimaera_tests::{bytes, Call};
use serde_json::{json, Map, Value};

const NO_METHOD: u32 = 999;

/// Why a command did not succeed.
enum Failed {
    /// The task or the call failed.
    Status(Status),
    /// The command is unknown, or its arguments are wrong.
    Usage,
}

impl From<Status> for Failed {
    fn from(status: Status) -> Failed {
        Failed::Status(status)
    }
}

impl From<std::num::ParseIntError> for Failed {
    fn from(_: std::num::ParseIntError) -> Failed {
        Failed::Usage
    }
}

fn compressor() -> Result<PoolId> {
    chimaera::ipc()?.create_pool(mod_name::MODULE, "test_compress", b"")
}

/// The store. A configuration may have created it, with other parameters.
fn store() -> Result<kv::Client> {
    match kv::Client::create("test_kv", kv::Params::default()) {
        Err(status) if status.code() == CHI_EXISTS => kv::Client::find("test_kv"),
        created => created,
    }
}

fn decompress(pool: PoolId, frame: &[u8], max_size: usize) -> Result<Vec<u8>> {
    let ipc = chimaera::ipc()?;
    let query = DomainQuery::dynamic();
    let task = ipc.new_task::<DecompressTask>(pool, query, mod_name::DECOMPRESS)?;
    task.max_size.set(max_size as u64);
    task.data.set(frame)?;
    task.call()?.output.copy_to_vec()
}

fn roundtrip(len: usize) -> Result<Value> {
    let (pool, sent) = (compressor()?, bytes(len));
    let query = DomainQuery::dynamic();
    let task = chimaera::ipc()?.new_task::<CompressTask>(pool, query, mod_name::COMPRESS)?;
    task.data.set(&sent)?;
    let frame = task.call()?.output.copy_to_vec()?;
    let again = decompress(pool, &frame, len)?;
    Ok(json!({ "bytes": len, "compressed": frame.len(), "equal": u8::from(again == sent) }))
}

fn plain(pool: PoolId, method: u32) -> Result<Value> {
    chimaera::ipc()?.task::<PlainTask>(pool, method).call()?;
    Ok(json!({}))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(words: &[&str]) -> Result<Value, Failed> {
    let found = match *words {
        ["roundtrip", len] => roundtrip(len.parse()?)?,
        ["corrupt"] => {
            decompress(compressor()?, b"this is not a zstd frame", 1000)?;
            json!({})
        }
        ["unknown-pool"] => plain(PoolId::new(60000, 60000), NO_METHOD)?,
        ["unknown-name"] => {
            chimaera::ipc()?.find_pool("nobody")?;
            json!({})
        }
        ["unknown-method"] => plain(compressor()?, NO_METHOD)?,
        ["no-module"] => {
            chimaera::ipc()?.create_pool("test:nothing", "test_none", b"")?;
            json!({})
        }
        ["put", key, value] => json!({ "replaced": u8::from(store()?.put(key, value)?) }),
        ["get", key] => json!({ "value": text(&store()?.get(key)?) }),
        ["fill", key, len] => {
            let replaced = store()?.put(key, bytes(len.parse()?))?;
            json!({ "replaced": u8::from(replaced) })
        }
        ["check", key, len] => {
            let equal = store()?.get(key)? == bytes(len.parse()?);
            json!({ "equal": u8::from(equal) })
        }
        ["delete", key] => json!({ "existed": u8::from(store()?.delete(key)?) }),
        ["scan", prefix, ref limit @ ..] if limit.len() < 2 => {
            let limit = limit.first().map_or(Ok(0), |limit| limit.parse())?;
            let keys = store()?.scan(prefix, limit)?;
            json!({ "keys": keys.iter().map(|key| text(key)).collect::<Vec<_>>() })
        }
        ["count"] => json!({ "count": store()?.count()? }),
        ["stop"] => {
            chimaera::client::stop_runtime()?;
            json!({})
        }
        ["stop-by-method"] => {
            let pool = chimaera::ipc()?.create_pool(faults::MODULE, "test_faults", b"")?;
            plain(pool, faults::Method::STOP)?
        }
        // Keeps the session until standard input ends.
        ["hold"] => {
            println!("connected");
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).expect("it can be read");
            json!({})
        }
        ["create", pool] => {
            kv::Client::create(pool, kv::Params::default())?;
            json!({})
        }
        ["destroy", pool] => {
            let ipc = chimaera::ipc()?;
            ipc.destroy_pool(ipc.find_pool(pool)?)?;
            json!({})
        }
        ["call", pool] => json!({ "count": kv::Client::find(pool)?.count()? }),
        ["call-by-method", pool] => {
            let ipc = chimaera::ipc()?;
            let faults = ipc.create_pool(faults::MODULE, "test_faults", b"")?;
            let task = ipc.task::<SubcallTask>(faults, faults::Method::SUBCALL);
            task.pool_name.set(pool)?;
            task.key.set("key")?;
            task.value.set(b"value")?;
            json!({ "found": text(&task.call()?.found.copy_to_vec()?) })
        }
        _ => return Err(Failed::Usage),
    };
    Ok(found)
}

fn print(command: &str, status: i32, message: &str, found: Value) {
    let mut line = Map::new();
    line.insert("command".into(), command.into());
    line.insert("status".into(), status.into());
    line.insert("name".into(), status_name(status).unwrap_or("CHI_STATUS").into());
    line.insert("message".into(), message.into());
    line.extend(found.as_object().cloned().unwrap_or_default());
    println!("{}", Value::from(line));
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut options = chimaera::client::Options::default();
    if let ["--instance", name, ..] = words[..] {
        options.instance = Some(name.to_owned());
        words.drain(..2);
    }
    if let Err(status) = chimaera::client::init(options) {
        print("connect", status.code(), status.message(), json!({}));
        return ExitCode::FAILURE;
    }
    for command in words.split(|word| *word == "--") {
        let name = command.first().copied().unwrap_or_default();
        match run(command) {
            Ok(found) => print(name, CHI_OK, "", found),
            Err(Failed::Status(status)) => print(name, status.code(), status.message(), json!({})),
            Err(Failed::Usage) => {
                eprintln!("unknown command or wrong arguments: {command:?}");
                return ExitCode::from(2);
            }
        }
    }
    chimaera::client::shutdown();
    ExitCode::SUCCESS
}
