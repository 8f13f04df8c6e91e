//! Things that do not fit: into a segment, a ring, a time limit. Each has a status, and nothing is
//! lost.

use std::time::{Duration, Instant};

use chimaera::abi::{
    CHI_BUSY, CHI_INVALID, CHI_NO_SPACE, CHI_RING_FULL, CHI_TIMEOUT, CHI_TOO_LARGE,
};
use chimaera::{Buffer, Done, Ipc, NewTask, Pending, PoolId, Status, WaitError};
use chimaera_kv_client as kv;
use chimaera_tests::tasks::throws::{self, EchoTask, NumberTask};
use chimaera_tests::{
    artefacts, bytes, connect, connect_with, in_client, process, text_of, Call, Options,
};

/// The smallest possible segment.
const SMALL: u64 = 4 << 20;
/// More tasks than a ring has slots.
const MANY: u64 = 5000;

fn throws_pool(ipc: Ipc) -> PoolId {
    ipc.create_pool(throws::MODULE, "throws", b"").unwrap()
}

/// Blocks the worker of this session.
fn sleep(ipc: Ipc, pool: PoolId, time: Duration) -> Pending<NumberTask> {
    let task = ipc.task::<NumberTask>(pool, throws::SLEEP);
    task.value.set(time.as_nanos() as u64);
    task.submit().unwrap()
}

fn echo(ipc: Ipc, pool: PoolId, data: &[u8]) -> Result<NewTask<EchoTask>, Status> {
    let task = ipc.task::<EchoTask>(pool, throws::ECHO);
    task.data.set(data)?;
    Ok(task)
}

/// Allocates buffers until there is no more room.
fn fill(ipc: Ipc, size: usize) -> Vec<Buffer> {
    let mut all = Vec::new();
    loop {
        match ipc.alloc(size) {
            Ok(buffer) => all.push(buffer),
            Err(status) => {
                assert_eq!(status.code(), CHI_NO_SPACE, "{status}");
                assert!(status.message().contains("cannot allocate"), "{status}");
                return all;
            }
        }
    }
}

#[test]
fn an_allocation_larger_than_the_segment() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect_with(SMALL);
        let pool = throws_pool(ipc);
        for size in [SMALL as usize, 1 << 30, 1 << 45, isize::MAX as usize, usize::MAX] {
            let (code, message) = text_of(ipc.alloc(size));
            assert_eq!(code, CHI_TOO_LARGE, "{size}: {message}");
            assert!(message.contains(&format!("cannot allocate {size} bytes")), "{message}");
        }
        let task = ipc.task::<EchoTask>(pool, throws::ECHO);
        assert_eq!(text_of(task.data.set(bytes(SMALL as usize))).0, CHI_TOO_LARGE);
        // The task itself is unchanged.
        task.data.set("small").unwrap();
        assert_eq!(task.call().unwrap().output.copy_to_vec().unwrap(), b"small");
    });
}

#[test]
fn a_larger_segment_holds_more() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect_with(512 << 20);
        let pool = throws_pool(ipc);
        let data = bytes(200 << 20);
        let done = echo(ipc, pool, &data).unwrap().call().unwrap();
        assert!(done.output.copy_to_vec().unwrap() == data);
    });
}

/// Full with buffers of any size, and empty again when they are freed, repeatedly.
#[test]
fn a_segment_full_of_buffers() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect_with(SMALL);
        let pool = throws_pool(ipc);
        for size in [100_000, 64, 1, 5000, 500_000] {
            let counts: Vec<usize> = (0..5).map(|_| fill(ipc, size).len()).collect();
            assert!(counts[0] > 0 && counts.iter().all(|n| *n == counts[0]), "{size}: {counts:?}");
        }
        // The data of a task finds no room, either; the task itself is not affected.
        let waiting = echo(ipc, pool, b"made before").unwrap();
        let full = fill(ipc, 64);
        assert_eq!(text_of(waiting.data.set(bytes(100_000))).0, CHI_NO_SPACE);
        assert_eq!(waiting.call().unwrap().output.copy_to_vec().unwrap(), b"made before");
        drop(full);
        let large = bytes(100_000);
        let done = echo(ipc, pool, &large).unwrap().call().unwrap();
        assert!(done.output.copy_to_vec().unwrap() == large);
    });
}

/// Full with tasks that are not deleted, and empty again when they are.
#[test]
fn a_segment_full_of_tasks() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect_with(SMALL);
        let pool = throws_pool(ipc);
        let mut counts = Vec::new();
        for _ in 0..3 {
            let mut made = Vec::new();
            let status = loop {
                let query = chimaera::DomainQuery::dynamic();
                match ipc.new_task::<EchoTask>(pool, query, throws::ECHO) {
                    Ok(task) => made.push(task),
                    Err(status) => break status,
                }
            };
            assert_eq!(status.code(), CHI_NO_SPACE, "{status}");
            counts.push(made.len());
            // All of them work.
            let pending: Vec<_> = made.into_iter().map(|task| task.submit().unwrap()).collect();
            for task in pending {
                assert!(task.wait().unwrap().output.is_empty());
            }
        }
        assert!(counts[0] > 1000 && counts.iter().all(|n| *n == counts[0]), "{counts:?}");
    });
}

/// The half of the segment for the results of methods can be full, too.
#[test]
fn a_segment_full_of_results() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect_with(SMALL);
        let pool = throws_pool(ipc);
        let data = bytes(40_000);
        let mut counts = Vec::new();
        for _ in 0..3 {
            let shared = ipc.alloc(data.len()).unwrap();
            shared.write_at(0, &data).unwrap();
            let mut kept: Vec<Done<EchoTask>> = Vec::new();
            let status = loop {
                let mut task = ipc.task::<EchoTask>(pool, throws::ECHO);
                task.attach(|task| &task.data, &shared).unwrap();
                match task.call() {
                    Ok(done) => kept.push(done),
                    Err(status) => break status,
                }
                assert!(kept.len() < 1000, "the results are stored elsewhere");
            };
            assert_eq!(status.code(), CHI_NO_SPACE, "{status}");
            for done in &kept {
                assert!(done.output.copy_to_vec().unwrap() == data);
            }
            counts.push(kept.len());
        }
        // A deleted result makes room for a new one immediately.
        assert!(counts[0] > 10 && counts.iter().all(|n| *n == counts[0]), "{counts:?}");
    });
}

/// A value that one client could put may be too large for another to get.
#[test]
fn a_result_larger_than_the_segment() {
    in_client!(Options::new().kv(), |site| {
        let large = ["fill", "key", "16777216"];
        site.run(artefacts::rust_client(), &large).ok();
        connect_with(SMALL);
        let kv = kv::Client::find("test_kv").unwrap();
        for _ in 0..10 {
            let (code, message) = text_of(kv.get_async("key").and_then(|get| get.wait().map(drop)));
            assert!([CHI_NO_SPACE, CHI_TOO_LARGE].contains(&code), "{code}: {message}");
            assert!(message.contains("segment"), "{message}");
        }
        // It can be read where the store has it.
        assert_eq!(kv.get_lease("key").unwrap().len(), 16_777_216);
        assert_eq!(kv.get("key").unwrap().len(), 16_777_216);
        kv.put("small", "value").unwrap();
        assert_eq!(kv.get("small").unwrap(), b"value");
    });
}

/// While the worker is busy, a ring fills up: `try_submit` reports that and returns the task,
/// `submit` waits for room, and in the end every task has its own result.
#[test]
fn a_full_ring_loses_nothing() {
    in_client!(Options::new().throws().workers(1), |_| {
        let ipc = connect();
        let pool = throws_pool(ipc);
        let sleeping = sleep(ipc, pool, Duration::from_secs(2));
        let mut pending = Vec::new();
        let mut full = 0;
        for number in 0..MANY {
            let task = echo(ipc, pool, &number.to_le_bytes()).unwrap();
            let submitted = match task.try_submit() {
                Ok(submitted) => submitted,
                Err(back) => {
                    assert!(back.is_ring_full(), "{back:?}");
                    assert!(back.status.message().contains("ring is full"), "{back:?}");
                    assert_eq!(back.status.code(), CHI_RING_FULL);
                    full += 1;
                    back.task.submit().unwrap()
                }
            };
            pending.push(submitted);
        }
        assert!(full > 0, "a ring holds more than {MANY} tasks");
        sleeping.wait().unwrap();
        for (number, task) in (0..MANY).zip(pending) {
            let output = task.wait().unwrap().output.copy_to_vec().unwrap();
            assert_eq!(output, number.to_le_bytes());
        }
    });
}

/// Results that are deleted while the ring is full are freed all the same.
#[test]
fn releases_get_through_a_full_ring() {
    in_client!(Options::new().throws().workers(1), |_| {
        let ipc = connect_with(SMALL);
        let pool = throws_pool(ipc);
        let data = bytes(10_000);
        for _ in 0..5 {
            let done: Vec<Done<EchoTask>> =
                (0..50).map(|_| echo(ipc, pool, &data).unwrap().call().unwrap()).collect();
            let sleeping = sleep(ipc, pool, Duration::from_secs(1));
            let mut pending = Vec::new();
            let back = loop {
                match ipc.task::<NumberTask>(pool, throws::YIELD).try_submit() {
                    Ok(submitted) => pending.push(submitted),
                    Err(back) => break back,
                }
            };
            assert!(back.is_ring_full(), "{back:?}");
            drop((done, back));
            sleeping.wait().unwrap();
            for task in pending {
                task.wait().unwrap();
            }
        }
        // There is room for as many results as before: nothing is held for the deleted ones.
        let done: Vec<_> =
            (0..100).map(|_| echo(ipc, pool, &data).unwrap().call().unwrap()).collect();
        assert_eq!(done.len(), 100);
    });
}

/// `submit` waits up to its timeout and then gives up; earlier submissions still run.
#[test]
fn a_ring_that_stays_full() {
    let config = "workers: {low_latency: {count: 1}, standby: 0}\n";
    in_client!(Options::new().throws().config(config), |_| {
        let ipc = connect();
        let pool = throws_pool(ipc);
        let sleeping = sleep(ipc, pool, Duration::from_secs(14));
        let mut pending = Vec::new();
        let failed = loop {
            match echo(ipc, pool, b"x").unwrap().submit() {
                Ok(submitted) => pending.push(submitted),
                Err(status) => break status,
            }
            // The worker that attends takes a limited number out of the ring.
            assert!(pending.len() < 100_000);
        };
        assert_eq!(failed.code(), CHI_RING_FULL, "{failed}");
        sleeping.wait().unwrap();
        for task in pending {
            assert_eq!(task.wait().unwrap().output.copy_to_vec().unwrap(), b"x");
        }
        assert!(echo(ipc, pool, b"y").unwrap().call().is_ok());
    });
}

#[test]
fn a_wait_with_a_bound_gives_the_task_back() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect();
        let pool = throws_pool(ipc);
        let mut task = sleep(ipc, pool, Duration::from_secs(3));
        let mut timeouts = 0;
        for bound in [0, 1, 1_000, 1_000_000, 20_000_000] {
            match task.wait_timeout(Duration::from_nanos(bound)) {
                Err(WaitError::Timeout(back)) => task = back,
                other => panic!("{bound} ns: {other:?}"),
            }
            timeouts += 1;
        }
        assert_eq!(timeouts, 5);
        assert!(!task.is_complete());
        task.wait().unwrap();
        // A timeout that is not reached has no effect.
        let task = sleep(ipc, pool, Duration::from_millis(1));
        task.wait_timeout(process::BOUND).unwrap();
    });
}

/// A task that is deleted in flight runs to its end, and its memory is freed.
#[test]
fn tasks_deleted_in_flight_give_their_memory_back() {
    in_client!(Options::new().throws().workers(1), |site| {
        let ipc = connect_with(SMALL);
        let pool = throws_pool(ipc);
        let room = fill(ipc, 1000).len();
        let tasks = || site.cli(&["status", "--json"]).ok().json()["tasks"].as_u64().unwrap();
        for _ in 0..3 {
            let before = tasks();
            let sleeping = sleep(ipc, pool, Duration::from_secs(1));
            let data = bytes(8_000);
            for _ in 0..50 {
                let task = echo(ipc, pool, &data).unwrap().submit().unwrap();
                match task.wait_timeout(Duration::ZERO) {
                    Err(WaitError::Timeout(task)) => drop(task),
                    other => panic!("the worker is asleep, but: {other:?}"),
                }
            }
            drop(sleeping);
            process::until("all of them have run", || (tasks() >= before + 51).then_some(()));
            // Creating any task frees the completed ones.
            drop(ipc.task::<NumberTask>(pool, throws::YIELD));
            assert_eq!(fill(ipc, 1000).len(), room);
        }
        // The runtime's half is free as well: each of these needs most of it.
        for _ in 0..20 {
            let data = bytes(500_000);
            let done = echo(ipc, pool, &data).unwrap().call().unwrap();
            assert!(done.output.copy_to_vec().unwrap() == data);
        }
    });
}

/// Misuse of a task's life cycle, through the C table that C programs use.
#[test]
fn tasks_are_submitted_once_and_waited_for_after_that() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect();
        let pool = throws_pool(ipc);
        let table = ipc.as_raw();
        let task = ipc.task::<NumberTask>(pool, throws::SLEEP);
        task.value.set(1_000_000_000);
        let raw = std::ptr::from_ref(&*task).cast_mut().cast();
        // SAFETY: the task is valid until it is dropped at the end, and only this test accesses it.
        unsafe {
            assert_eq!(((*table).wait)(table, raw, 0), CHI_INVALID);
            assert_eq!(((*table).enqueue)(table, raw), 0);
            assert_eq!(((*table).enqueue)(table, raw), CHI_BUSY);
            assert_eq!(((*table).try_enqueue)(table, raw), CHI_BUSY);
            assert_eq!(((*table).wait)(table, raw, 1), CHI_TIMEOUT);
            assert_eq!(((*table).wait)(table, raw, u64::MAX), 0);
            // It can be submitted again, and waiting for a completed task returns immediately.
            assert_eq!(((*table).enqueue)(table, raw), 0);
            assert_eq!(((*table).wait)(table, raw, u64::MAX), 0);
            assert_eq!(((*table).wait)(table, raw, 0), 0);
            let mut local = [0_u64; 8];
            let stack = local.as_mut_ptr().cast();
            assert_eq!(((*table).enqueue)(table, stack), CHI_INVALID);
            assert_eq!(((*table).wait)(table, stack, 0), CHI_INVALID);
            ((*table).del_task)(table, stack);
            ((*table).del_task)(table, std::ptr::null_mut());
        }
        let mut made = std::ptr::null_mut();
        for size in [0, 63, 16385, u32::MAX] {
            // SAFETY: `made` is valid for writing.
            let status = unsafe { ((*table).new_task)(table, size, &mut made) };
            assert_eq!(status, CHI_INVALID, "{size}");
        }
    });
}

/// More threads than a session has rings: the others get an error, and threads that end make room.
#[test]
fn more_threads_than_rings() {
    in_client!(Options::new().throws(), |_| {
        let ipc = connect();
        let pool = throws_pool(ipc);
        let call = || echo(ipc, pool, b"x").and_then(|task| task.submit()?.wait()).map(|_| ());
        let (all, gate) = (std::sync::Barrier::new(100), std::sync::Barrier::new(100));
        let outcomes: Vec<Result<(), Status>> = std::thread::scope(|scope| {
            let one = || {
                all.wait();
                let outcome = call();
                gate.wait();
                outcome
            };
            let threads: Vec<_> = (0..100).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert!(!refused.is_empty() && refused.len() < 100, "{} refused", refused.len());
        for status in &refused {
            assert_eq!(status.code(), CHI_NO_SPACE, "{status}");
            assert!(status.message().contains("thread limit (64 per session) reached"), "{status}");
        }
        let end = Instant::now() + process::BOUND;
        for _ in 0..200 {
            let outcome = std::thread::scope(|scope| scope.spawn(call).join().unwrap());
            outcome.unwrap_or_else(|status| panic!("{status}"));
            assert!(Instant::now() < end);
        }
    });
}
