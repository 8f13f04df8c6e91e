//! Published memory: results that clients read where a module has written them.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chimaera::abi::*;
use chimaera::{Lease, Task};
use chimaera_ipc::ring::{Entry, Producer};
use chimaera_ipc::wire::{self, Kind, Message, Received};
use chimaera_kv_client::{Client, GetTask, Method, Params};
use chimaera_tests::process::until;
use chimaera_tests::raw::{shapes, Link};
use chimaera_tests::tasks::published as module;
use chimaera_tests::{
    connect, connect_with, in_client, in_client_that_may_end_it, rounds, text_of, Options, Running,
    Site,
};
use rustix::process::{kill_process, Pid, Signal};

const MIB: usize = 1 << 20;

fn store() -> Client {
    Client::create("store", Params::default()).unwrap()
}

/// A value that no other one is like.
fn value(number: u64, len: usize) -> Vec<u8> {
    let words = (0..len as u64 / 8).flat_map(|at| (number << 32 | at).to_ne_bytes());
    words.chain(std::iter::repeat_n(7, len % 8)).collect()
}

/// The number of a value, if it is whole.
fn number_of(bytes: &[u8]) -> Option<u64> {
    let number = u64::from_ne_bytes(bytes.get(..8)?.try_into().ok()?) >> 32;
    (bytes == value(number, bytes.len())).then_some(number)
}

/// The bytes of published memory that the runtime has.
fn published(site: &Site) -> u64 {
    site.status()["memory"]["uses"]["published"].as_u64().unwrap()
}

/// How much memory this process has of what is published, in KiB.
fn mapped() -> u64 {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let (mut resident, mut is_published) = (0, false);
    for line in maps.lines() {
        // The first line of a mapping begins with its addresses, the others with a word.
        if line.split(' ').next().is_some_and(|first| first.contains('-')) {
            is_published = line.contains("memfd:chimaera-published");
        } else if let Some(rest) = line.strip_prefix("Rss:").filter(|_| is_published) {
            resident += rest.trim().trim_end_matches(" kB").parse::<u64>().unwrap();
        }
    }
    resident
}

/// How often this process has mapped published memory.
fn mappings() -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains("memfd:chimaera-published")).count()
}

/// A lease on the value of a key, once the client has mapped the memory.
#[track_caller]
fn lease(store: Client, key: &str) -> Lease<GetTask> {
    let leases = std::iter::repeat_with(|| store.get_lease(key).unwrap());
    leases.take(3).find(Lease::is_on_lease).expect("it is published")
}

#[test]
fn a_lease_outlives_what_becomes_of_the_value() {
    in_client!(Options::new().kv(), |site| {
        connect();
        let store = store();
        store.put("key", value(1, MIB)).unwrap();
        let first = store.get_lease("key").unwrap();
        assert!(!first.is_on_lease(), "the memory is mapped only afterwards");
        assert_eq!(number_of(&first), Some(1));
        let one = store.get_lease("key").unwrap();
        assert!(one.is_on_lease());
        let again = store.get_lease("key").unwrap();
        assert_eq!(one.as_ptr(), again.as_ptr(), "both are where the module has it");
        store.put("key", value(2, MIB)).unwrap();
        let two = lease(store, "key");
        assert_eq!((number_of(&one), number_of(&two)), (Some(1), Some(2)));
        assert!(store.delete("key").unwrap());
        for number in 3..40 {
            store.put("other", value(number, MIB)).unwrap();
        }
        assert_eq!((number_of(&one), number_of(&two)), (Some(1), Some(2)));
        site.cli(&["pool", "destroy", "store"]).ok();
        assert_eq!((number_of(&again), number_of(&two)), (Some(1), Some(2)));
        // What nobody has on lease is gone with the pool.
        assert!((2 * MIB as u64..4 * MIB as u64).contains(&published(site)), "{}", published(site));
        drop((one, again, two));
        // What was released is free, although the session ends at once.
        chimaera::client::shutdown();
        until("the memory is free", || (published(site) < MIB as u64).then_some(()));
    });
}

#[test]
fn other_ways_to_get_a_value_copy_it() {
    in_client!(Options::new().kv(), |_| {
        connect();
        let store = store();
        for (number, len) in [(1, 0), (2, 8), (3, 1016), (4, 1024), (5, 4096), (6, MIB)] {
            store.put("key", value(number, len)).unwrap();
            for _ in 0..3 {
                let found = store.get_lease("key").unwrap();
                assert_eq!(found[..], value(number, len), "{len} bytes");
                assert_eq!(store.get("key").unwrap(), value(number, len), "{len} bytes");
                let task = store.get_async("key").unwrap().wait().unwrap();
                assert_eq!(task.value.copy_to_vec().unwrap(), value(number, len), "{len} bytes");
                // It is the client's own, to write to.
                if len > 0 {
                    task.value.write_at(0, [9]).unwrap();
                }
            }
            assert_eq!(store.get_lease("key").unwrap().is_on_lease(), len >= 1024, "{len} bytes");
        }
    });
}

#[test]
fn what_is_on_lease_can_only_be_read() {
    in_client!(Options::new().kv(), |_| {
        let ipc = connect();
        let store = store();
        store.put("key", value(1, MIB)).unwrap();
        drop(lease(store, "key"));
        let task = ipc.new_task(store.pool_id(), chimaera::DomainQuery::dynamic(), Method::GET);
        let mut task: chimaera::NewTask<GetTask> = task.unwrap();
        task.key.set("key").unwrap();
        task.base().set_takes_leases();
        // A task that is submitted again takes what is there then.
        for number in 1..10 {
            store.put("key", value(number, MIB)).unwrap();
            let done = task.call().unwrap();
            for refused in [done.value.write_at(0, [1]), done.value.fill(0, 1, 1)] {
                let (status, why) = text_of(refused);
                assert_eq!(status, CHI_INVALID);
                assert!(why.contains("can only be read"), "{why}");
            }
            assert_eq!(number_of(&done.value.copy_to_vec().unwrap()), Some(number));
            task = done.reuse();
        }
        task.value.set("").unwrap();
        task.value.set("something else").unwrap();
        assert_eq!(task.call().unwrap().value.len(), MIB);
    });
}

/// A client has leases on as many bytes as its segment has; beyond that it gets copies, for which its segment must have
/// room.
#[test]
fn leases_have_a_limit() {
    in_client!(Options::new().kv(), |_| {
        connect_with(16 << 20);
        let store = store();
        store.put("key", value(1, MIB)).unwrap();
        drop(lease(store, "key"));
        let mut leases = Vec::new();
        for _ in 0..40 {
            leases.push(store.get_lease("key").unwrap());
        }
        let on_lease = leases.iter().filter(|lease| lease.is_on_lease()).count();
        assert!((14..=16).contains(&on_lease), "{on_lease} are on lease");
        assert!(leases.iter().all(|lease| number_of(lease) == Some(1)));
        leases.clear();
        assert!(store.get_lease("key").unwrap().is_on_lease());
    });
}

/// Readers never see anything else than a whole value that was put, however fast it is replaced.
#[test]
fn readers_and_writers_do_not_disturb_each_other() {
    in_client!(Options::new().kv().workers(2), |site| {
        connect();
        let store = store();
        let keys = ["a", "b", "c"];
        let put = |number: u64| {
            let len = 2000 + (number * 7919 % 100_000) as usize / 8 * 8;
            store.put(keys[number as usize % 3], value(number, len)).unwrap();
        };
        (0..3).for_each(put);
        let ends = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..3)
                .map(|reader| {
                    let (ends, keys) = (&ends, &keys);
                    scope.spawn(move || {
                        let (mut kept, mut on_lease) = (Vec::new(), 0);
                        for round in reader.. {
                            if ends.load(Ordering::Relaxed) {
                                return on_lease;
                            }
                            let lease = store.get_lease(keys[round % 3]).unwrap();
                            let number = number_of(&lease).expect("it is whole");
                            assert_eq!(number as usize % 3, round % 3);
                            on_lease += usize::from(lease.is_on_lease());
                            kept.push((lease, number));
                            if kept.len() > 20 {
                                let (lease, number) = kept.swap_remove(round % 20);
                                assert_eq!(number_of(&lease), Some(number), "it has not changed");
                            }
                        }
                        unreachable!()
                    })
                })
                .collect();
            (3..3 + rounds(2000, 200_000) as u64).for_each(put);
            ends.store(true, Ordering::Relaxed);
            let on_lease: usize = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
            assert!(on_lease > 100, "{on_lease}");
        });
        assert!(published(site) < 64 << 20, "{} bytes are kept", published(site));
    });
}

/// Without memory to publish, in a process of its own, or with a small budget, a store works as ever.
#[test]
fn what_cannot_be_published_is_copied() {
    let small = Options::new().kv().config("limits:\n  memory: 64MiB\n");
    in_client!(small, |site| {
        connect();
        let store = store();
        for number in 0..100 {
            store.put(format!("key{number}"), value(number, MIB)).unwrap();
        }
        for number in 0..100 {
            let found = store.get_lease(format!("key{number}")).unwrap();
            assert_eq!(number_of(&found), Some(number));
        }
        assert!((4 << 20..40 << 20).contains(&published(site)), "{}", published(site));
        assert!(lease(store, "key0").is_on_lease());
        assert!(!store.get_lease("key99").unwrap().is_on_lease());
    });
}

#[test]
fn a_store_in_a_process_of_its_own_copies() {
    let isolated =
        "pools:\n  - name: store\n    module: chimaera:kv\n    isolation: process\n".to_owned();
    in_client!(Options::new().kv().config(isolated), |_| {
        connect();
        let store = store();
        for number in 0..5 {
            store.put("key", value(number, MIB)).unwrap();
            let found = store.get_lease("key").unwrap();
            assert_eq!((found.is_on_lease(), number_of(&found)), (false, Some(number)));
        }
    });
}

/// Ends the session of this process, as if the connection were lost.
fn lose_the_session(store: Client) {
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        let is_socket =
            std::fs::read_link(&path).is_ok_and(|it| it.to_string_lossy().starts_with("socket:"));
        if is_socket {
            let number: i32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            // SAFETY: the call fails for whatever is not a socket any more.
            unsafe { libc::shutdown(number, libc::SHUT_RDWR) };
        }
    }
    // Both sides learn of it in their own time.
    std::thread::sleep(Duration::from_millis(100));
    until("there is another one", || store.count().ok());
}

/// The process may go on reading when its session has ended.
#[test]
fn a_lease_outlives_its_session() {
    in_client!(Options::new().kv(), |site| {
        connect();
        let store = store();
        let fill = |store: Client, numbers: std::ops::Range<u64>| {
            for number in numbers {
                store.put("key", value(number, MIB)).unwrap();
            }
        };
        fill(store, 1..2);
        let first = lease(store, "key");
        lose_the_session(store);
        fill(store, 2..40);
        assert_eq!(number_of(&first), Some(1));
        let second = lease(store, "key");
        lose_the_session(store);
        site.cli(&["pool", "destroy", "store"]).ok();
        let other = Client::create("other", Params::default()).unwrap();
        fill(other, 40..80);
        assert_eq!((number_of(&first), number_of(&second)), (Some(1), Some(39)));
        assert!(published(site) >= 3 * MIB as u64);
        // However often, it takes no more descriptors.
        let pid = site.status()["pid"].as_u64().unwrap();
        let descriptors = || std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let before = descriptors();
        for _ in 0..10 {
            std::mem::forget(lease(other, "key"));
            lose_the_session(other);
        }
        assert!(descriptors() <= before + 3, "{} after {before}", descriptors());
    });
}

#[test]
fn a_lease_outlives_a_runtime_that_stops() {
    let daemon = in_client_that_may_end_it!(Options::new().kv(), |site| {
        connect();
        let store = store();
        store.put("key", value(1, 5 * MIB)).unwrap();
        let before = lease(store, "key");
        site.cli(&["stop"]).ok();
        until("it has ended", || store.get("key").err());
        assert_eq!(number_of(&before), Some(1));
        assert_ne!(mappings(), 0);
        drop(before);
        until("it is unmapped", || (mappings() == 0).then_some(()));
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), 0, "{}", daemon.log());
    }
}

/// What an idle client has mapped does not keep the memory of a runtime that was killed.
#[test]
fn a_client_without_leases_unmaps_what_a_dead_runtime_had() {
    let daemon = in_client_that_may_end_it!(Options::new().kv(), |site| {
        connect();
        let store = store();
        store.put("key", value(1, 5 * MIB)).unwrap();
        drop(lease(store, "key"));
        assert_ne!(mappings(), 0);
        let pid = site.status()["pid"].as_i64().unwrap();
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
        until("it is unmapped", || (mappings() == 0).then_some(()));
    });
    if let Some(mut daemon) = daemon {
        daemon.end();
    }
}

#[test]
fn a_lease_outlives_the_runtime() {
    let daemon = in_client_that_may_end_it!(Options::new().kv(), |site| {
        connect();
        let store = store();
        store.put("key", value(1, MIB)).unwrap();
        let before = lease(store, "key");
        let pid = site.status()["pid"].as_i64().unwrap();
        kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
        until("it is gone", || store.get("key").err());
        assert_eq!(number_of(&before), Some(1));
    });
    if let Some(mut daemon) = daemon {
        daemon.end();
    }
}

#[test]
fn a_lease_outlives_a_restart() {
    struct Stops<'s>(&'s Site);
    impl Drop for Stops<'_> {
        fn drop(&mut self) {
            self.0.cli(&["stop"]);
        }
    }
    let daemon = in_client_that_may_end_it!(Options::new().kv(), |site| {
        let _stops = Stops(site);
        connect();
        let store = store();
        for number in 0..32 {
            store.put(format!("key{number}"), value(number, MIB)).unwrap();
        }
        let mut kept = Vec::new();
        for round in 0..3 {
            let leases: Vec<_> = (0..4).map(|at| lease(store, &format!("key{at}"))).collect();
            kept.extend(leases.into_iter().zip(0..));
            site.cli(&["restart"]).ok();
            store.put(format!("key{round}"), value(round, MIB)).unwrap();
            for (lease, number) in &kept {
                assert_eq!(number_of(lease), Some(*number), "after restart {round}");
            }
            // What was held before can be released now, and nothing else is.
            kept.truncate(5);
            let own: Vec<_> = (0..32).map(|at| store.get(format!("key{at}")).unwrap()).collect();
            assert!(own.iter().zip(0..).all(|(own, number)| number_of(own) == Some(number)));
        }
        for (lease, number) in kept {
            assert_eq!(number_of(&lease), Some(number));
        }
        // The memory of the runtimes before this one is not kept by what the client has mapped.
        let resident = mapped();
        assert!(resident < 64 << 10, "{resident} KiB");
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), 0, "{}", daemon.log());
    }
}

/// A module in C++ lends in every way there is; a client that takes leases and one that does not get the same.
#[test]
fn a_module_may_lend_in_many_ways() {
    in_client!(Options::new().published(), |_| {
        use module::ValueTask;
        let ipc = connect();
        let pool = ipc.create_pool(module::MODULE, "values", &[]).unwrap();
        let call = |method: u32, number: u64, input: &[u8], takes_leases: bool| {
            let query = chimaera::DomainQuery::dynamic();
            let task: chimaera::NewTask<ValueTask> = ipc.new_task(pool, query, method).unwrap();
            task.number.set(number);
            task.input.set(input).unwrap();
            if takes_leases {
                task.base().set_takes_leases();
            }
            task.call()
        };
        let big = value(1, 300_000);
        for (number, input) in [(1, &big[..]), (5, &value(5, 2000)), (6, b"small"), (7, b"")] {
            call(module::PUT, number, input, false).unwrap();
        }
        for round in 0..20 {
            let takes = round % 2 == 0;
            let got = call(module::GET, 1, &[], takes).unwrap();
            assert!(got.out.copy_to_vec().unwrap() == big);
            let is_leased = Lease::of(got, |task| &task.out).unwrap().is_on_lease();
            assert_eq!(is_leased, takes && round > 0, "round {round}");
            for small in [6, 7] {
                let got = call(module::GET, small, &[], takes).unwrap();
                assert_eq!(
                    got.out.copy_to_vec().unwrap(),
                    [&b"small"[..], b""][small as usize - 6]
                );
            }
            let relayed = call(module::RELAY, 1, &[], takes).unwrap();
            assert!(relayed.out.copy_to_vec().unwrap() == big);
            let parts = call(module::PARTS, 0, &[], takes).unwrap();
            let parts: Vec<_> = parts.parts.iter().map(|it| it.copy_to_vec().unwrap()).collect();
            assert_eq!(parts.len(), 4 + usize::from(round > 0));
            assert!(
                parts[0] == big
                    && parts.contains(&value(5, 2000))
                    && parts.contains(&b"small".to_vec())
            );
            let twice = call(module::TWICE, 1, b"another", takes).unwrap();
            assert_eq!(twice.out.copy_to_vec().unwrap(), b"another");
            let (status, why) = text_of(call(module::WRONG, 1, &[], takes).map(drop));
            assert_eq!(status, CHI_INTERNAL, "{why}");
            assert!(why.contains("alloc_elements"), "{why}");
            call(module::SEND, 1, &[], takes).unwrap();
            let sent = call(module::GET, 2, &[], takes).unwrap();
            assert!(sent.out.copy_to_vec().unwrap() == big);
        }
    });
}

/// A task that runs again and again does not keep what it got before.
#[test]
fn old_results_of_a_periodic_task_are_freed() {
    in_client!(Options::new().kv(), |site| {
        let ipc = connect();
        let store = store();
        store.put("key", value(0, MIB)).unwrap();
        drop(lease(store, "key"));
        let query = chimaera::DomainQuery::dynamic();
        let task: chimaera::NewTask<GetTask> =
            ipc.new_task(store.pool_id(), query, Method::GET).unwrap();
        task.key.set("key").unwrap();
        task.base().set_takes_leases();
        task.base().set_period(Duration::from_micros(20));
        let periodic = task.submit().unwrap();
        for number in 1..300 {
            store.put("key", value(number, if number % 2 == 0 { MIB } else { 100 })).unwrap();
            std::thread::sleep(Duration::from_micros(100));
        }
        assert!(published(site) < 60 << 20, "{} bytes are kept", published(site));
        periodic.cancel().unwrap();
        assert_eq!(text_of(periodic.wait().map(drop)).0, CHI_CANCELLED);
    });
}

// A client that speaks the protocol itself ---------------------------------------------------------------------------

const GET: usize = 144;
const VALUE_AT: usize = 104;

struct Raw {
    link: Link,
    ring: Producer,
    pool: chi_pool_id,
}

impl Raw {
    fn new(store: Client) -> Raw {
        let link = Link::open(16 << 20).unwrap();
        let (_, ring) = link.ring().unwrap();
        let pool = store.pool_id();
        Raw { link, ring, pool: chi_pool_id { major_: pool.major(), minor_: pool.minor() } }
    }

    fn slot(&self, number: u64) -> u64 {
        self.link.layout().client_arena + number * 256
    }

    /// Gets the value of a key with a name of 8 bytes, with this in place of the result. Returns the status, the state word,
    /// and the shared pointer, the address and the size of the result.
    fn get(
        &mut self,
        place: u64,
        key: &[u8; 8],
        value: [u8; shapes::VECTOR],
    ) -> (i32, u32, [u64; 3]) {
        let (at, key_at) = (self.slot(place), self.slot(1000 + place));
        self.link.write(key_at, key);
        let mut task = shapes::header(self.pool, Method::GET);
        task.resize(GET, 0);
        let flags = std::mem::offset_of!(chi_task, task_flags_);
        task[flags..flags + 4].copy_from_slice(&CHI_TASK_TAKES_LEASES.to_ne_bytes());
        task[64..64 + shapes::VECTOR].copy_from_slice(&shapes::vector(key_at, 8, 8));
        task[VALUE_AT..VALUE_AT + shapes::VECTOR].copy_from_slice(&value);
        self.link.write(at, &task);
        let (status, word) = self.link.call(&mut self.ring, at).expect("the session is alive");
        let field = |n: u64| self.link.load(at + VALUE_AT as u64 + n * 8);
        (status, word, [field(0), field(1), field(2)])
    }

    fn none() -> [u8; shapes::VECTOR] {
        shapes::vector(0, 0, 0)
    }

    fn release(&mut self, word: u32) {
        let _ = self.ring.push(Entry::Release { hold: word >> CHI_TASK_HOLD_SHIFT });
        if self.ring.must_ring() {
            self.link.knock();
        }
    }

    /// Says a message about published memory. The answer's words, and whether it came with a descriptor.
    fn say(&self, words: &[u64]) -> Result<([u64; 2], bool), String> {
        wire::send(self.link.socket.as_fd(), &Message::new(Kind::Published, words), &[]).unwrap();
        match wire::receive(self.link.socket.as_fd()).unwrap() {
            Received::Message(answer, fds) if answer.kind == Kind::Published => {
                Ok(([answer.words[0], answer.words[1]], !fds.is_empty()))
            }
            Received::Message(answer, _) => Err(answer.text),
            _ => Err("it has hung up".to_owned()),
        }
    }
}

/// A client whose segment is full has something on lease when the runtime restarts.
#[test]
fn a_restart_needs_no_room_for_leases() {
    let daemon = in_client_that_may_end_it!(Options::new().kv(), |site| {
        connect_with(4 << 20);
        let store = store();
        store.put("key", value(1, MIB)).unwrap();
        let kept = lease(store, "key");
        let query = chimaera::DomainQuery::dynamic();
        let get = || -> chimaera::Result<chimaera::Done<GetTask>> {
            let task: chimaera::NewTask<GetTask> =
                chimaera::ipc()?.new_task(store.pool_id(), query, Method::GET)?;
            task.key.set("key")?;
            task.call()
        };
        let mut copies = Vec::new();
        store.put("key", value(2, 60)).unwrap();
        while let Ok(copy) = get() {
            copies.push(copy);
        }
        assert!(copies.len() > 1000, "{}", copies.len());
        site.cli(&["restart"]).ok();
        assert_eq!(number_of(&kept), Some(1));
        drop(kept);
        for copy in copies.drain(..) {
            assert_eq!(copy.value.copy_to_vec().unwrap(), value(2, 60));
        }
        assert_eq!(store.get("key").unwrap(), value(2, 60));
        site.cli(&["stop"]).ok();
    });
    if let Some(mut daemon) = daemon {
        assert_eq!(daemon.end(), 0, "{}", daemon.log());
    }
}

/// Not a test of its own: a reader in another process, which is killed. It has 12 values of 1 MiB on lease, in two
/// sessions.
#[test]
#[ignore = "it is started by another test"]
fn reader() {
    connect();
    let store = Client::find("store").unwrap();
    let lease = |place: u64| self::lease(store, &format!("{:08}", place * 3));
    let mut leases: Vec<_> = (0..6).map(lease).collect();
    lose_the_session(store);
    leases.extend((6..12).map(lease));
    println!("ready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    assert!(leases.iter().zip(0..).all(|(lease, place)| number_of(lease) == Some(place * 3)));
    println!("read");
    std::io::stdin().read_line(&mut line).unwrap();
}

/// The death of a reader releases what it has on lease, also in sessions that have ended before.
#[test]
fn a_dead_reader_has_nothing_on_lease() {
    in_client!(Options::new().kv(), |site| {
        connect();
        let store = store();
        for round in 0..4 {
            for number in 0..40 {
                store.put(format!("{number:08}"), value(number, MIB)).unwrap();
            }
            let mut command = site.command(std::env::current_exe().unwrap());
            command.args(["reader", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
            let mut reader = Running::start(&mut command);
            until("it reads", || reader.line().filter(|line| line.contains("ready")));
            for number in 0..40 {
                store.delete(format!("{number:08}")).unwrap();
            }
            for number in 0..20 {
                store.put("other", value(number, MIB)).unwrap();
            }
            assert!(published(site) >= 12 * MIB as u64, "round {round}");
            reader.say("read");
            until("it has read", || reader.line().filter(|line| line == "read"));
            store.delete("other").unwrap();
            reader.signal(Signal::KILL);
            reader.end();
            until("what it had is free", || (published(site) < 17 << 20).then_some(()));
        }
    });
}

/// A client that names published memory gets a copy of what it has on lease, and nothing else; what it says about where
/// it has mapped memory only concerns itself.
#[test]
fn a_client_can_name_only_what_it_has() {
    in_client!(Options::new().kv(), |site| {
        connect();
        let store = store();
        store.put("the key!", value(1, MIB)).unwrap();
        let mut raw = Raw::new(store);
        // Nothing was offered.
        assert_eq!(raw.say(&[0, 0]).unwrap(), ([0, 0], false));
        assert!(raw.say(&[1, 4096]).unwrap_err().contains("no published memory"));
        let (_, word, [shm, _, size]) = raw.get(0, b"the key!", Raw::none());
        assert_eq!((word & CHI_TASK_PUBLISHED != 0, shm >> 62, size), (true, 0, MIB as u64));
        let ([number, bytes], true) = raw.say(&[0, 0]).unwrap() else { panic!("nothing is sent") };
        for odd in [1, 4097, u64::MAX, u64::MAX - 4095] {
            assert!(raw.say(&[1, odd]).is_err(), "{odd:#x}");
        }
        let base = 1 << 40;
        assert_eq!(raw.say(&[1, base]).unwrap(), ([0, 0], false));
        let (status, word, [shm, address, _]) = raw.get(1, b"the key!", Raw::none());
        let offset = shm & ((1 << CHI_SHM_OFFSET_BITS) - 1);
        assert_eq!((status, address), (CHI_OK, base + offset));
        // As the place of a result, it is only empty then; the runtime keeps count by holds.
        let named = |number: u64, offset: u64, size: u64, at: u64| {
            let shm = CHI_SHM_PUBLISHED << 62 | number << CHI_SHM_OFFSET_BITS | offset;
            let mut vector = shapes::vector(shm, size, size);
            vector[8..16].copy_from_slice(&at.to_ne_bytes());
            vector
        };
        let (status, _, [_, at, _]) = raw.get(2, b"the key!", named(number, offset, 100, address));
        assert_eq!((status, at), (CHI_OK, address));
        // As a key, of which the method gets a copy.
        let mut by_key = |vector: [u8; shapes::VECTOR]| {
            let at = raw.slot(3);
            let mut task = shapes::header(raw.pool, Method::DELETE);
            task.resize(112, 0);
            task[64..64 + shapes::VECTOR].copy_from_slice(&vector);
            raw.link.write(at, &task);
            raw.link.call(&mut raw.ring, at).expect("the session is alive").0
        };
        assert_eq!(by_key(named(number, offset, 8, address)), CHI_OK);
        for (number, offset, size, at) in [
            (number + 1, offset, 8, address),
            (0x3fff, offset, 8, address),
            (number, offset, 8, 0),
            (number, offset, 8, address + 1),
            (number, bytes - 4, 8, base + bytes - 4),
            (number, bytes, 8, base + bytes),
            (number, (1 << 48) - 1, 8, base + (1 << 48) - 1),
            (number, offset, u64::MAX, address),
        ] {
            let status = by_key(named(number, offset, size, at));
            assert!(
                [CHI_INVALID, CHI_TOO_LARGE].contains(&status),
                "{number} {offset:#x} {size} {at:#x}: {status}"
            );
        }
        // Twice, and of what it never had.
        for hold in [word, word, u32::MAX, word] {
            raw.release(hold);
        }
        let kept = lease(store, "the key!");
        for number in 2..30 {
            store.put("the key!", value(number, MIB)).unwrap();
        }
        assert_eq!(number_of(&kept), Some(1));
        assert!(published(site) < 64 << 20);
    });
}
