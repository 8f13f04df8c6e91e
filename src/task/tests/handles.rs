//! Tasks, their life, and their strings and vectors, with an IPC manager that checks every call.

mod fake_ipc;

use std::cell::Cell;
use std::time::Duration;

use chimaera::abi::*;
use chimaera::{
    DomainQuery, NewTask, Pod, PoolId, PoolOptions, ShmBytes, ShmElement, ShmString, ShmVec,
    Status, Task, WaitError,
};
use chimaera_front::conformance::{check, Subject};
use fake_ipc::FakeIpc;

#[derive(Clone, Copy, Debug, PartialEq, Pod)]
#[repr(C)]
struct Extent {
    start: u64,
    blocks: u32,
    flags: u32,
}

#[derive(ShmElement)]
#[repr(C)]
struct Entry {
    id: Cell<u64>,
    name: ShmString,
    extents: ShmVec<Extent>,
}

/// One field of every kind.
#[chimaera::task]
struct AllTask {
    name: ShmString,
    bytes: ShmBytes,
    numbers: ShmVec<u32>,
    names: ShmVec<ShmString>,
    entries: ShmVec<Entry>,
    sum: Cell<u64>,
    code: Cell<i32>,
    reserved: u32,
}

/// The method: fails with `code` if that is set, else sums the numbers.
fn sum(task: *mut chi_task) -> (chi_status, String) {
    // SAFETY: all tasks of these tests are of this type, and in flight.
    let task = unsafe { &*task.cast::<AllTask>() };
    if task.code.get() != CHI_OK {
        return (task.code.get(), format!("told to fail for {}", task.name.to_string().unwrap()));
    }
    task.sum.set(task.numbers.copy_to_vec().unwrap().iter().map(|n| u64::from(*n)).sum());
    (CHI_OK, String::new())
}

fn new_task() -> NewTask<AllTask> {
    let (pool, query) = (PoolId::new(7, 1), DomainQuery::local_hash(9));
    chimaera::ipc().unwrap().new_task(pool, query, 10).unwrap()
}

#[test]
fn a_new_task_is_addressed_and_empty() {
    let _ipc = FakeIpc::new(sum);
    let task = new_task();
    assert_eq!(task.base().pool(), PoolId::new(7, 1));
    assert_eq!(task.base().domain_query(), DomainQuery::local_hash(9));
    assert_eq!(task.base().method(), 10);
    assert!(task.name.is_empty() && task.bytes.is_empty() && task.entries.is_empty());
    assert_eq!(task.name.to_string().unwrap(), "");
    assert_eq!(task.numbers.get(0), None);
}

#[test]
fn every_string_and_vector_is_declared() {
    let fields = AllTask::FIELDS;
    let got: Vec<_> = fields
        .iter()
        .map(|f| (f.offset_, f.kind_, f.elem_size_, f.elem_align_, f.n_elem_fields_))
        .collect();
    assert_eq!(
        got,
        [
            (64, CHI_FIELD_STRING, 1, 1, 0),
            (104, CHI_FIELD_VECTOR, 1, 1, 0),
            (144, CHI_FIELD_VECTOR, 4, 4, 0),
            (184, CHI_FIELD_VECTOR, 40, 8, 1),
            (224, CHI_FIELD_VECTOR, 88, 8, 2),
        ]
    );
    // SAFETY: the table is as long as its size says.
    let inner = unsafe {
        std::slice::from_raw_parts(fields[4].elem_fields_, fields[4].n_elem_fields_ as usize)
    };
    assert_eq!((inner[0].offset_, inner[0].kind_), (8, CHI_FIELD_STRING));
    assert_eq!((inner[1].offset_, inner[1].kind_, inner[1].elem_size_), (48, CHI_FIELD_VECTOR, 16));
}

#[test]
fn bytes_are_written_and_copied() {
    let _ipc = FakeIpc::new(sum);
    let task = new_task();
    let long: Vec<u8> = (0..5000u32).map(|i| i as u8).collect();
    task.bytes.set(&long).unwrap();
    assert_eq!(task.bytes.copy_to_vec().unwrap(), long);
    let mut part = [0; 4];
    assert_eq!(task.bytes.copy_to(4998, &mut part), 2);
    assert_eq!(part, [long[4998], long[4999], 0, 0]);
    assert_eq!(task.bytes.copy_to(5001, &mut part), 0);
    let mut pieces = Vec::new();
    task.bytes.for_each_chunk(|chunk| pieces.extend_from_slice(chunk));
    assert_eq!(pieces, long);

    task.bytes.write_at(1, [9, 9]).unwrap();
    task.bytes.resize(3).unwrap();
    task.bytes.resize(6).unwrap();
    assert_eq!(task.bytes.copy_to_vec().unwrap(), [0, 9, 9, 0, 0, 0]);
    for (at, n) in [(6, 1), (7, 0), (usize::MAX, 1), (5, 2)] {
        let status = task.bytes.write_at(at, vec![1; n]).unwrap_err();
        assert_eq!(status.code(), CHI_INVALID);
    }
    task.bytes.write_at(6, []).unwrap();
    task.bytes.set([]).unwrap();
    assert!(task.bytes.is_empty());
}

#[test]
fn a_string_is_checked_on_the_copy() {
    let _ipc = FakeIpc::new(sum);
    let task = new_task();
    task.name.set("käse").unwrap();
    assert_eq!(task.name.to_string().unwrap(), "käse");
    task.name.set([b'a', 0xff]).unwrap();
    assert_eq!(task.name.to_string().unwrap_err().code(), CHI_INVALID);
    assert_eq!(task.name.copy_to_vec().unwrap(), [b'a', 0xff]);
}

#[test]
fn plain_vectors_are_values() {
    let _ipc = FakeIpc::new(sum);
    let task = new_task();
    task.numbers.set(&[1, 2, 3]).unwrap();
    task.numbers.resize(5).unwrap();
    task.numbers.write_at(3, &[4]).unwrap();
    assert_eq!(task.numbers.copy_to_vec().unwrap(), [1, 2, 3, 4, 0]);
    assert_eq!(task.numbers.get(3), Some(4));
    assert_eq!(task.numbers.get(5), None);
    assert_eq!(task.numbers.write_at(4, &[1, 2]).unwrap_err().code(), CHI_INVALID);
    assert_eq!(task.numbers.write_at(usize::MAX, &[1]).unwrap_err().code(), CHI_INVALID);
    assert_eq!(task.numbers.resize(usize::MAX).unwrap_err().code(), CHI_INVALID);
}

#[test]
fn vectors_of_strings_are_written_whole() {
    let fake = FakeIpc::new(sum);
    let task = new_task();
    task.names.set_all(&["one", "", "three"]).unwrap();
    assert_eq!(fake.element_blocks(), 1);
    assert_eq!(task.names.to_strings(8).unwrap(), ["one", "", "three"]);
    assert_eq!(task.names.to_strings(7).unwrap_err().code(), CHI_TOO_LARGE);
    let status = task.names.element(0).unwrap().set("x").unwrap_err();
    assert_eq!(status.code(), CHI_INVALID, "{status}");
    task.names.set_all::<&str>(&[]).unwrap();
    assert!(task.names.is_empty());
}

#[test]
fn elements_with_strings_are_updated_through_their_vector() {
    let fake = FakeIpc::new(sum);
    let (task, other) = (new_task(), new_task());
    let extents = [Extent { start: 1, blocks: 2, flags: 3 }; 2];
    task.entries.resize(2).unwrap();
    assert_eq!(fake.element_blocks(), 1);
    task.entries
        .update(1, |entry| {
            entry.id.set(42);
            entry.set_string(|entry| &entry.name, "forty-two")?;
            entry.set_vec(|entry| &entry.extents, &extents)
        })
        .unwrap();
    let entry = task.entries.element(1).unwrap();
    assert_eq!(entry.id.get(), 42);
    assert_eq!(entry.name.to_string().unwrap(), "forty-two");
    assert_eq!(entry.extents.copy_to_vec().unwrap(), extents);
    assert!(task.entries.element(0).unwrap().name.is_empty());

    let failed = task.entries.update(1, |entry| {
        entry.id.set(43);
        Err(Status::failed("no"))
    });
    assert_eq!(failed.unwrap_err().message(), "no");
    assert_eq!(task.entries.element(1).unwrap().id.get(), 42);
    assert_eq!(task.entries.update(2, |_| Ok(())).unwrap_err().code(), CHI_INVALID);
    drop(other);
}

#[test]
fn a_call_gives_results_or_the_tasks_own_failure() {
    let _ipc = FakeIpc::new(sum);
    let task = new_task();
    task.numbers.set(&[1, 2, 3]).unwrap();
    let done = task.call().unwrap();
    assert_eq!(done.sum.get(), 6);
    let task = done.reuse();
    task.numbers.set(&[4]).unwrap();
    assert_eq!(task.submit().unwrap().wait().unwrap().sum.get(), 4);

    let task = new_task();
    task.name.set("you").unwrap();
    task.code.set(1007);
    let status = task.call().unwrap_err();
    assert_eq!((status.code(), status.message()), (1007, "told to fail for you"));
}

#[test]
fn a_full_ring_gives_the_task_back() {
    let fake = FakeIpc::new(sum);
    fake.ring_full(true);
    let back = new_task().try_submit().unwrap_err();
    assert!(back.is_ring_full());
    assert_eq!(back.status.message(), "the ring is full");
    fake.ring_full(false);
    back.task.try_submit().unwrap().wait().unwrap();
    fake.ring_full(true);
    assert_eq!(new_task().submit().unwrap_err().code(), CHI_RING_FULL);
}

#[test]
fn a_wait_that_times_out_gives_the_task_back() {
    let fake = FakeIpc::new(sum);
    fake.pause(true);
    let pending = new_task().submit().unwrap();
    assert!(!pending.is_complete());
    let Err(WaitError::Timeout(pending)) = pending.wait_timeout(Duration::from_millis(1)) else {
        panic!("it is held");
    };
    fake.finish();
    assert!(pending.is_complete());
    pending.wait_timeout(Duration::MAX).unwrap();
}

#[test]
fn a_task_dropped_in_flight_goes_at_its_completion() {
    let fake = FakeIpc::new(sum);
    fake.pause(true);
    drop(new_task().submit().unwrap());
    assert_eq!(fake.alive(), (1, 0));
    fake.finish();
    assert_eq!(fake.alive(), (0, 0));
}

#[test]
fn a_buffer_serves_many_tasks_and_outlives_them() {
    let fake = FakeIpc::new(sum);
    let ipc = chimaera::ipc().unwrap();
    let buffer = ipc.alloc(8).unwrap();
    buffer.write_at(0, b"shared!!").unwrap();
    assert_eq!(buffer.write_at(4, b"12345").unwrap_err().code(), CHI_INVALID);
    for _ in 0..2 {
        let mut task = new_task();
        task.attach(|task| &task.bytes, &buffer).unwrap();
        let done = task.call().unwrap();
        assert_eq!(done.bytes.copy_to_vec().unwrap(), b"shared!!");
    }
    // Dropped in flight, when no other clone exists: both stay until the task is complete.
    fake.pause(true);
    let mut task = new_task();
    task.attach(|task| &task.bytes, &buffer).unwrap();
    drop(task.submit().unwrap());
    drop(buffer);
    drop(ipc.alloc(1).unwrap());
    assert_eq!(fake.alive(), (1, 1));
    fake.finish();
    drop(ipc.alloc(0).unwrap());
    assert_eq!(fake.alive(), (0, 0));
}

#[test]
fn refusals_carry_the_managers_message() {
    let fake = FakeIpc::new(sum);
    let ipc = chimaera::ipc().unwrap();
    assert_eq!(ipc.create_pool("test:module", "abc", b"xy").unwrap(), PoolId::new(3, 3));
    assert_eq!(ipc.create_pool("no:module", "a", b"").unwrap_err().code(), CHI_NO_MODULE);
    let create = |n| {
        let options = PoolOptions::default().containers(n);
        ipc.create_pool_with("test:module", "abc", b"", options)
    };
    assert_eq!(create(5).unwrap(), PoolId::new(3, 5));
    let too_many = create(CHI_MAX_CONTAINERS + 1);
    assert_eq!(too_many.unwrap_err().code(), CHI_INVALID);
    assert_eq!(ipc.find_pool("a").unwrap_err().to_string(), "there is no pool 'a' (CHI_NO_POOL)");
    assert_eq!(ipc.find_pool("a\0b").unwrap_err().code(), CHI_INVALID);
    assert_eq!(ipc.destroy_pool(PoolId::new(1, 0)).unwrap_err().code(), CHI_DENIED);
    fake.unavailable();
    let query = DomainQuery::dynamic();
    let status = ipc.new_task::<AllTask>(PoolId::new(7, 1), query, 10).unwrap_err();
    assert_eq!(status.code(), CHI_UNAVAILABLE);
}

#[test]
fn handles_go_to_other_threads() {
    let _ipc = FakeIpc::new(sum);
    let task = new_task();
    task.numbers.set(&[5]).unwrap();
    let pending = task.submit().unwrap();
    let sum = std::thread::spawn(move || pending.wait().unwrap().sum.get()).join().unwrap();
    assert_eq!(sum, 5);
}

/// A task that succeeds, or fails when it is told to; its endless sibling never gets here.
fn conform(task: *mut chi_task) -> (chi_status, String) {
    // SAFETY: a submitted task belongs to the runner.
    match unsafe { (*task).method_ } {
        11 => (CHI_FAILED, "told to fail".to_owned()),
        _ => (CHI_OK, String::new()),
    }
}

#[test]
fn the_fake_conforms_to_the_contract() {
    let fake = FakeIpc::new(conform);
    fake.set_endless(12);
    let pool = chi_pool_id { major_: 7, minor_: 1 };
    let subject = Subject { ipc: &fake_ipc::IPC, pool, quick: 10, failing: 11, endless: 12 };
    // SAFETY: the table is a static, and this turn's.
    unsafe { check(subject) };
}
