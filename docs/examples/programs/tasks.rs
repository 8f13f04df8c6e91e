//! Tasks that are more than calls.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use chimaera::abi::{status_name, CHI_OK};
use chimaera::client::{self, Options};
use chimaera::{submit_all, wait_all, Completions, DomainQuery, NewTask, Result, Task};
use chimaera_kv_client::{Client, CountTask, Method, Params, PutTask};

fn count(store: Client) -> Result<NewTask<CountTask>> {
    chimaera::ipc()?.new_task(store.pool_id(), DomainQuery::dynamic(), Method::COUNT)
}

fn put(store: Client, key: &str) -> Result<NewTask<PutTask>> {
    let put: NewTask<PutTask> =
        chimaera::ipc()?.new_task(store.pool_id(), DomainQuery::dynamic(), Method::PUT)?;
    put.key.set(key)?;
    put.value.set("white")?;
    Ok(put)
}

fn show<T>(what: &str, ended: Result<T>) {
    let status = ended.map_or_else(|status| status.code(), |_| CHI_OK);
    println!("{what}: {}", status_name(status).unwrap_or("?"));
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    client::init(Options::default())?;
    let store = Client::create("waves", Params::default())?;

    // Many at once: one doorbell for all, and one wait.
    let puts: Result<Vec<_>> = (0..100).map(|i| put(store, &format!("wave/{i}"))).collect();
    let mut ended = wait_all(submit_all(puts?)?);
    show("the last of a batch", ended.pop().expect("a hundred"));

    // As they end: one thread for many, beside sockets, for the queue has a descriptor that can be polled.
    let (queue, stored) = (Completions::new(100)?, Arc::new(AtomicUsize::new(0)));
    for i in 0..100 {
        let (put, stored) = (put(store, &format!("tide/{i}"))?.submit()?, stored.clone());
        queue.add(put, move |ended| {
            stored.fetch_add(usize::from(ended.is_ok()), Ordering::Relaxed);
        })?;
    }
    while !queue.is_empty() {
        queue.run(None)?;
    }
    println!("one by one: {}", stored.load(Ordering::Relaxed));

    // A large value, read where the store has it: a put of another one does not change it.
    store.put("ocean", vec![b'w'; 1 << 20])?;
    let ocean = store.get_lease("ocean")?;
    store.put("ocean", "dry")?;
    println!("on lease: {} bytes", ocean.len());

    // Every millisecond, until it is cancelled.
    let periodic = count(store)?;
    periodic.base().set_period(Duration::from_millis(1));
    let periodic = periodic.submit()?;
    chimaera::ipc()?.sleep(Duration::from_millis(5))?;
    periodic.cancel()?;
    show("a periodic task that was cancelled", periodic.wait());

    // Useless after an hour, and in no hurry until then.
    let patient = count(store)?;
    patient.base().set_deadline(Duration::from_secs(3600));
    patient.base().set_high_latency();
    show("a task with a deadline", patient.call());

    // Nobody waits for it, and the runtime frees it.
    put(store, "foam")?.submit_and_forget()?;
    Ok(())
}
