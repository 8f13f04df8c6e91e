//! Tests of the container, driven through the C contract as a runtime drives it.

#[path = "../../../../src/task/tests/fake_ipc/mod.rs"]
mod fake_ipc;
#[path = "../../../../src/module/tests/host/mod.rs"]
pub(crate) mod host;

use chimaera::abi::*;
use chimaera::{NewTask, Result, Task};
use chimaera_kv_client::*;
use host::{context, lane_address, ops, Module, CONTAINER};

fn put(module: &Module, key: &[u8], value: &[u8]) -> Result<bool> {
    let task: NewTask<PutTask> = module.task(Method::PUT);
    task.key.set(key)?;
    task.value.set(value)?;
    Ok(task.call()?.replaced.get() != 0)
}

fn get(module: &Module, key: &[u8]) -> Result<Vec<u8>> {
    let task: NewTask<GetTask> = module.task(Method::GET);
    task.key.set(key)?;
    task.call()?.value.copy_to_vec()
}

fn scan(module: &Module, prefix: &[u8], limit: u64) -> Vec<Vec<u8>> {
    let task: NewTask<ScanTask> = module.task(Method::SCAN);
    task.prefix.set(prefix).unwrap();
    task.limit.set(limit);
    task.call().unwrap().keys.copy_to_vecs(usize::MAX).unwrap()
}

#[test]
fn values_of_all_sizes_come_back() {
    let module = Module::created();
    for size in [0, 1, 4096, 16 << 20] {
        let value: Vec<u8> = (0..size).map(|i| (i * 7) as u8).collect();
        let key = size.to_string();
        assert!(!put(&module, key.as_bytes(), &value).unwrap());
        assert!(get(&module, key.as_bytes()).unwrap() == value, "{size} bytes");
        assert!(put(&module, key.as_bytes(), b"").unwrap());
    }
    let task: NewTask<CountTask> = module.task(Method::COUNT);
    assert_eq!(task.call().unwrap().count.get(), 4);
}

#[test]
fn a_missing_key_is_named() {
    let module = Module::created();
    let status = get(&module, b"caf\xc3").unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (CHI_NOT_FOUND, "key \"caf\\xc3\" does not exist")
    );
    let status = get(&module, &[b'k'; 100]).unwrap_err();
    assert_eq!(status.message(), format!("key \"{}...\" does not exist", "k".repeat(64)));
}

#[test]
fn keys_have_bounds() {
    let module = Module::created();
    for n in [0, MAX_KEY_BYTES + 1] {
        let status = put(&module, &vec![b'k'; n], b"").unwrap_err();
        assert_eq!(status.message(), format!("a key has 1 to 4096 bytes, not {n}"));
    }
    put(&module, &[b'k'; MAX_KEY_BYTES], b"v").unwrap();
    assert_eq!(get(&module, &[b'k'; MAX_KEY_BYTES]).unwrap(), b"v");
    assert!(scan(&module, &[b'k'; MAX_KEY_BYTES + 1], 0).is_empty());
}

#[test]
fn scans_are_sorted_and_limited() {
    let module = Module::created();
    for key in ["b/2", "a", "b/1", "b/3", "c"] {
        put(&module, key.as_bytes(), b"").unwrap();
    }
    assert_eq!(scan(&module, b"b/", 0), [b"b/1", b"b/2", b"b/3"]);
    assert_eq!(scan(&module, b"", 2), [&b"a"[..], b"b/1"]);
    let task: NewTask<DeleteTask> = module.task(Method::DELETE);
    task.key.set("b/2").unwrap();
    let done = task.call().unwrap();
    assert_eq!(done.existed.get(), 1);
    assert_eq!(done.reuse().call().unwrap().existed.get(), 0);
    assert_eq!(scan(&module, b"b/", 9), [b"b/1", b"b/3"]);
}

#[test]
fn parameters_limit_the_store() {
    let module = Module::new();
    assert_eq!(module.create(b"max=1").unwrap_err().code(), CHI_INVALID);
    let params = Params { max_bytes: Some(4), ..Params::default() };
    module.create(&chimaera::archive::params_to_bytes(&params).unwrap()).unwrap();
    put(&module, b"a", b"123").unwrap();
    assert_eq!(put(&module, b"b", b"").unwrap_err().code(), STORE_FULL);
}

#[test]
fn keys_fall_to_lanes_by_their_hash() {
    let module = Module::created();
    let task: NewTask<GetTask> = module.task(Method::GET);
    let key = "k".repeat(3000);
    task.key.set(&key).unwrap();
    let mut ctx = context();
    // SAFETY: a live container, a task of the method's layout, a complete context.
    let status = unsafe {
        let task = task.base().as_ptr();
        (ops().monitor)(CONTAINER.get(), CHI_MONITOR_LOCAL_SCHEDULE, Method::GET, task, &mut ctx)
    };
    assert_eq!(status, CHI_OK);
    assert_eq!(
        ctx.lane_,
        lane_address((key_hash(key.as_bytes()) / host::CONTAINER_COUNT) as usize % 16)
    );
}
