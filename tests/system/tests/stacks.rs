//! Stacks: however deep a method recurses, whatever it calls there, and however large the frames
//! are of a library that it calls, its task ends with a fault or works correctly, and no other task
//! is affected.

use chimaera::abi::{CHI_FAULT, CHI_OK};
use chimaera::{Ipc, NewTask, Pending, PoolId};
use chimaera_tests::tasks::crash::{self, CrashTask};
use chimaera_tests::{connect, in_client, rounds, text_of, Call, Options};

const WAYS: [u64; 6] =
    [crash::PLAIN, crash::PRINTF, crash::MALLOC, crash::HOST, crash::LIBRARY, crash::CALLBACK];
/// Deeper than any stack.
const ENDLESS: u64 = 1 << 40;

fn task(ipc: Ipc, pool: PoolId, method: u32, mistake: u64, depth: u64) -> NewTask<CrashTask> {
    let task: NewTask<CrashTask> = ipc.task(pool, method);
    task.mistake.set(mistake);
    task.depth.set(depth);
    task
}

/// Suspended tasks, whose stacks are adjacent to those of other tasks.
struct Neighbours(Vec<Pending<CrashTask>>);

impl Neighbours {
    fn new(ipc: Ipc, count: u64) -> Neighbours {
        let pool = ipc.create_pool(crash::MODULE, "neighbours", b"").unwrap();
        let sleep = || task(ipc, pool, crash::SLEEP, 2_000_000_000, 0).submit().unwrap();
        Neighbours((0..count).map(|_| sleep()).collect())
    }

    /// Checks that they succeed.
    fn check(self) {
        for task in self.0 {
            assert_eq!(task.wait().unwrap().result.get(), 1);
        }
    }
}

/// Recurses in a pool of its own, and returns the status.
fn recurse(ipc: Ipc, way: u64, depth: u64) -> i32 {
    let pool = ipc.create_pool(crash::MODULE, "deep", b"").unwrap();
    let outcome = task(ipc, pool, crash::RECURSE, way, depth).call();
    let status = match outcome {
        Ok(_) => CHI_OK,
        outcome => {
            let (status, message) = text_of(outcome);
            assert_eq!(status, CHI_FAULT, "way {way}, depth {depth}: {message}");
            assert!(message.contains("overflowed its stack of 262144 bytes"), "{message}");
            status
        }
    };
    ipc.destroy_pool(pool).unwrap();
    status
}

#[test]
fn endless_recursion_ends_with_a_fault_whatever_it_calls() {
    in_client!(Options::new().crash(), |_| {
        let ipc = connect();
        let neighbours = Neighbours::new(ipc, 50);
        for _ in 0..rounds(5, 200) {
            for way in WAYS.iter().filter(|way| **way != crash::LIBRARY) {
                assert_eq!(recurse(ipc, *way, ENDLESS), CHI_FAULT, "way {way}");
            }
        }
        neighbours.check();
    });
}

/// At no depth does a task write where it must not: those that report success did succeed.
#[test]
fn recursion_of_any_depth_harms_nobody() {
    in_client!(Options::new().crash(), |_| {
        let ipc = connect();
        let neighbours = Neighbours::new(ipc, 50);
        for way in WAYS.iter().filter(|way| **way != crash::LIBRARY) {
            // Finds the depth at which the stack ends, to try every depth around it.
            let (mut fits, mut ends) = (0, 20_000);
            while ends - fits > 1 {
                let middle = (fits + ends) / 2;
                match recurse(ipc, *way, middle) {
                    CHI_OK => fits = middle,
                    _ => ends = middle,
                }
            }
            assert!(fits > 100, "way {way}: the stack ends at a depth of {ends}");
            for depth in fits.saturating_sub(20)..fits + 150 {
                recurse(ipc, *way, depth);
            }
        }
        neighbours.check();
    });
}

/// A library without stack probes, whose frame is larger than the whole stack, does not reach the
/// memory beyond.
#[test]
fn a_library_s_large_frame_does_not_jump_the_guard() {
    in_client!(Options::new().crash(), |_| {
        let ipc = connect();
        let neighbours = Neighbours::new(ipc, 200);
        for depth in [0, 1, 5, 10, ENDLESS] {
            assert_eq!(recurse(ipc, crash::LIBRARY, depth), CHI_FAULT, "depth {depth}");
        }
        neighbours.check();
    });
}

/// Where the stacks are of this many tasks that are suspended at the same time.
fn stacks(ipc: Ipc, pool: PoolId, count: usize) -> Vec<u64> {
    let ask = |_| task(ipc, pool, crash::STACK, 100_000_000, 0).submit().unwrap();
    let tasks: Vec<_> = (0..count).map(ask).collect();
    tasks.into_iter().map(|task| task.wait().unwrap().result.get()).collect()
}

/// A stack on which a task of this depth has run, and whether any of many later tasks used it.
fn is_used_again(ipc: Ipc, way: u64, depth: u64, status: i32) -> bool {
    let pool = ipc.create_pool(crash::MODULE, "later", b"").unwrap();
    assert_eq!(recurse(ipc, way, depth), status, "way {way}");
    let stack = task(ipc, pool, crash::STACK, 0, 1).call().unwrap().result.get();
    assert_ne!(stack, 0);
    // All tasks look at almost the same place of their stacks, and stacks are larger than this.
    let is_it = |address: u64| address.abs_diff(stack) < 100_000;
    let reused = (0..5).any(|_| stacks(ipc, pool, 300).into_iter().any(is_it));
    ipc.destroy_pool(pool).unwrap();
    reused
}

#[test]
fn a_stack_whose_guard_was_touched_is_not_used_again() {
    in_client!(Options::new().crash().workers(1), |_| {
        let ipc = connect();
        for way in WAYS {
            if way != crash::LIBRARY {
                assert!(is_used_again(ipc, way, 3, CHI_OK), "way {way}: stacks are pooled");
            }
            assert!(!is_used_again(ipc, way, ENDLESS, CHI_FAULT), "way {way}");
        }
    });
}

/// A suspended task takes two mappings.
#[test]
fn a_stack_takes_two_mappings() {
    in_client!(Options::new().crash(), |site| {
        let pid = site.status()["pid"].as_u64().unwrap();
        let maps = format!("/proc/{pid}/maps");
        let mappings = || std::fs::read_to_string(&maps).unwrap().lines().count();
        let ipc = connect();
        // Some stacks are there already, and the heaps of the threads grow.
        let before = mappings();
        let neighbours = Neighbours::new(ipc, 1000);
        while site.status()["tasks_suspended"].as_u64().unwrap() < 1000 {}
        let more = mappings() - before;
        assert!((1900..=2020).contains(&more), "{more} mappings for 1000 stacks");
        neighbours.check();
    });
}
