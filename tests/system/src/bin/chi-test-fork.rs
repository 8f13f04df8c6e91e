//! A Rust client that forks:
//!
//! ```text
//! chi-test-fork calls    prints the results of all calls in a child, then of some in the parent
//! chi-test-fork stay     prints "ready" once it has a child, which stays until standard input ends
//! ```

use std::io::Read;
use std::process::ExitCode;

use chimaera::abi::status_name;
use chimaera::client::{self, Options};
use chimaera::{DomainQuery, Ipc, NewTask, Pending, PoolId, Result};
use chimaera_kv_client as kv;
use chimaera_tests::{connect, Call};

fn name(status: i32) -> &'static str {
    status_name(status).unwrap_or("a status defined by the module")
}

fn print<T>(call: &str, result: Result<T>) {
    println!("{call} {}", result.map_or_else(|status| name(status.code()), |_| "CHI_OK"));
}

fn count(ipc: Ipc, pool: PoolId) -> Result<Pending<kv::CountTask>> {
    ipc.new_task::<kv::CountTask>(pool, DomainQuery::dynamic(), kv::Method::COUNT)?.submit()
}

/// Makes every call that a child could make, with the parent's tasks and with its own.
fn call_all(
    ipc: Ipc,
    store: kv::Client,
    task: NewTask<kv::CountTask>,
    sent: Pending<kv::CountTask>,
) {
    print("init", client::init(Options::default()));
    print("describe", client::describe(chimaera::abi::CHI_DESCRIBE_POOLS));
    print("stop_runtime", client::stop_runtime());
    print("create_pool", ipc.create_pool(kv::MODULE, "child", b""));
    print("find_pool", ipc.find_pool("fork"));
    print("destroy_pool", ipc.destroy_pool(store.pool_id()));
    print("alloc", ipc.alloc(64));
    print("put", store.put("key", "value"));
    print("new_task", count(ipc, store.pool_id()));
    print("submit", task.submit());
    print("wait", sent.wait());
    println!("is_initialized {}", client::is_initialized());
    client::shutdown();
}

fn calls() {
    let ipc = connect();
    let store = kv::Client::create("fork", kv::Params::default()).expect("the module is there");
    store.put("a", "b").expect("there is room");
    let task: NewTask<kv::CountTask> = ipc.task(store.pool_id(), kv::Method::COUNT);
    let sent = count(ipc, store.pool_id()).expect("the ring has room");
    // SAFETY: the process has one thread, so the child may do anything.
    let child = unsafe { libc::fork() };
    if child == 0 {
        call_all(ipc, store, task, sent);
        std::process::exit(0);
    }
    let mut ended = 0;
    // SAFETY: the child is this process's own, and `ended` is valid for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut ended, 0) }, child);
    println!("child {ended}");
    print("parent_submit", task.submit().and_then(Pending::wait).map(|_| ()));
    print("parent_wait", sent.wait().map(|done| assert_eq!(done.count.get(), 1)));
    for i in 0..100 {
        store.put(format!("{i}"), "value").expect("the session is unharmed");
    }
    print(
        "parent_count",
        count(ipc, store.pool_id()).and_then(Pending::wait).map(|done| {
            assert_eq!(done.count.get(), 101);
        }),
    );
}

fn stay() {
    let ipc = connect();
    let store = kv::Client::create("fork", kv::Params::default()).expect("the module is there");
    let sent = count(ipc, store.pool_id()).expect("the ring has room");
    // SAFETY: the process has one thread, so the child may do anything.
    let child = unsafe { libc::fork() };
    if child == 0 {
        std::mem::forget(sent);
        // Reading ends with the input or with an error; either stops it.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        println!("the child was there");
        std::process::exit(0);
    }
    println!("ready");
    loop {
        std::thread::park();
    }
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("calls") => calls(),
        Some("stay") => stay(),
        _ => return ExitCode::from(2),
    }
    ExitCode::SUCCESS
}
