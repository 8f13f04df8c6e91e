//! Large strings and vectors of tasks for an isolated pool stay in the segment of the client that sends them: the
//! module host maps it.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;

use chimaera::abi::{
    chi_pool_id, CHI_FAULT, CHI_INVALID, CHI_OK, CHI_SHM_OFFSET_BITS, CHI_TASK_HAS_BLOCKS,
    CHI_TASK_HOLD_SHIFT,
};
use chimaera::{Ipc, NewTask, PoolId};
use chimaera_bdev_client::{Client, Params};
use chimaera_ipc::ring::{Entry, Producer};
use chimaera_test_rust_faults_client::{self as faults, EchoTask, InvertTask};
use chimaera_tests::raw::{shapes, Link};
use chimaera_tests::{
    bytes, connect, connect_with, in_client, process, text_of, Call, Daemon, Options, Running, Site,
};
use rustix::process::{kill_process, Pid, Signal};

/// Options with pools of these modules in processes of their own.
fn isolated(options: Options, module: &str) -> Options {
    options
        .config(format!("workers: 2\nmodule_hosts: {{modules: [\"{module}\"], restarts: 100}}\n"))
}

/// The process that runs a pool.
fn host_of(site: &Site, pool: &str) -> i32 {
    let host = || site.pool(pool)["host"]["pid"].as_u64();
    i32::try_from(process::until("a host runs", host)).unwrap()
}

/// The parts of segments that a process has mapped: the file's number, the address, and what may be done there.
fn segments(pid: i32) -> Vec<(u64, String, String)> {
    // It may have ended.
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let parts = maps.lines().filter(|line| line.contains("chimaera-segment"));
    let words = parts.map(|line| line.split_whitespace().collect::<Vec<_>>());
    words.map(|word| (word[4].parse().unwrap(), word[0].into(), word[1].into())).collect()
}

/// The segment of a client, by its number.
fn segment_of(pid: i32) -> u64 {
    let all = segments(pid);
    assert_eq!(all.len(), 1, "{all:?}");
    all[0].0
}

fn has_mapped(pid: i32, segment: u64) -> bool {
    segments(pid).iter().any(|(number, ..)| *number == segment)
}

/// How many bytes of memory the segments have through which a host gets tasks.
fn link_bytes(host: i32) -> u64 {
    let held = std::fs::read_dir(format!("/proc/{host}/fd")).unwrap().map(|fd| fd.unwrap().path());
    let is_segment = |path: &std::path::PathBuf| {
        std::fs::read_link(path)
            .is_ok_and(|file| file.to_string_lossy().contains("chimaera-segment"))
    };
    held.filter(is_segment).map(|path| std::fs::metadata(path).unwrap().blocks() * 512).sum()
}

/// Calls `task` with more and more bytes until the host has mapped this process's segment, and nothing is copied.
fn until_lent(host: i32, mut task: impl FnMut(usize)) {
    let own = segment_of(process_id());
    let mut size = 16 << 10;
    process::until("the host has mapped the segment, and is sent references", || {
        // A copy of more bytes than ever before takes more memory.
        size += 64 << 10;
        let before = link_bytes(host);
        task(size);
        (has_mapped(host, own) && link_bytes(host) == before).then_some(())
    });
}

fn process_id() -> i32 {
    i32::try_from(std::process::id()).unwrap()
}

fn invert(ipc: Ipc, pool: PoolId, pause_ms: u64, data: &[u8]) -> NewTask<InvertTask> {
    let task: NewTask<InvertTask> = ipc.task(pool, faults::Method::INVERT);
    task.pause_ms.set(pause_ms);
    task.data.set(data).unwrap();
    task
}

fn inverted(data: &[u8]) -> Vec<u8> {
    data.iter().map(|byte| !byte).collect()
}

#[test]
fn blocks_are_written_from_and_read_into_the_client_s_memory() {
    in_client!(isolated(Options::new().bdev(), chimaera_bdev_client::MODULE), |site| {
        let ipc = connect();
        let params = Params { blocks: 10_000, ..Params::default() };
        let device = Client::create("ram", params).unwrap();
        device.allocate(10_000).unwrap();
        let host = host_of(site, "ram");
        let own = segment_of(process_id());
        // What is small is copied, and the segment is not lent for it.
        for block in 0..50 {
            device.write(block, bytes(4096)).unwrap();
            assert!(device.read(block, 1).unwrap() == bytes(4096));
        }
        assert!(!has_mapped(host, own));
        until_lent(host, |size| device.write(0, bytes(size / 4096 * 4096)).unwrap());
        // The rings are out of reach.
        let parts: Vec<String> =
            segments(host).into_iter().filter(|part| part.0 == own).map(|part| part.2).collect();
        assert_eq!(parts, ["---s", "rw-s"]);
        let before = link_bytes(host);
        let (from, to) = (ipc.alloc(8 << 20).unwrap(), ipc.alloc(8 << 20).unwrap());
        for round in 0..3_u8 {
            let data: Vec<u8> = bytes(8 << 20).iter().map(|byte| byte ^ round).collect();
            from.write_at(0, &data).unwrap();
            device.write_from(7, &from).unwrap().wait().unwrap();
            device.read_into(7, 2048, &to).unwrap().wait().unwrap();
            let mut found = vec![0; data.len()];
            to.copy_to(0, &mut found);
            assert!(found == data, "{round}");
        }
        let after = link_bytes(host);
        assert!(after < before + (1 << 20), "{before} {after}");
        // Results for which the client has no room are allocated, and copied.
        assert!(device.read(7, 2048).unwrap().len() == 8 << 20);
        assert_eq!(host_of(site, "ram"), host);
    });
}

#[test]
fn bytes_come_back_in_place_and_in_new_blocks() {
    in_client!(isolated(Options::new().rust_faults(), faults::MODULE), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "far", b"").unwrap();
        let host = host_of(site, "far");
        until_lent(host, |size| drop(invert(ipc, pool, 0, &bytes(size)).call().unwrap()));
        let least = 16 << 10;
        for len in [0, 1, 4096, least - 1, least, least + 1, 100_001, 3 << 20] {
            let data = bytes(len);
            let task = invert(ipc, pool, 0, &data).call().unwrap();
            assert!(task.data.copy_to_vec().unwrap() == inverted(&data), "{len}");
            // Again, with the same memory.
            let task = task.reuse().call().unwrap();
            assert!(task.data.copy_to_vec().unwrap() == data, "{len}");
            // Vectors inside a vector, large ones between small ones.
            let task = invert(ipc, pool, 0, &data);
            let parts = [&data[..], b"small", b"", &data, &data[..len / 2]];
            task.more.set_all(&parts).unwrap();
            let task = task.call().unwrap();
            let found = task.more.iter().map(|found| found.copy_to_vec().unwrap());
            assert!(found.zip(parts).all(|(found, part)| found == inverted(part)), "{len}");
            // The results are a new block; then they are the input of another task.
            let task: NewTask<EchoTask> = ipc.task(pool, faults::Method::ECHO);
            task.input.set(&data).unwrap();
            let echoed = task.call().unwrap();
            assert!(echoed.output.copy_to_vec().unwrap() == data, "{len}");
            assert!(echoed.input.copy_to_vec().unwrap() == data, "{len}");
            let again = echoed.reuse().call().unwrap();
            assert!(again.output.copy_to_vec().unwrap() == data, "{len}");
        }
        assert_eq!(host_of(site, "far"), host);
    });
}

/// The host goes on with the task of a client that is gone, and its memory stays there until the task has ended.
#[test]
fn memory_of_a_client_that_is_killed_stays_until_its_task_has_ended() {
    let daemon = Daemon::start(&isolated(Options::new().rust_faults(), faults::MODULE));
    let program = env!("CARGO_BIN_EXE_chi-test-mortal");
    let mut host = None;
    for _ in 0..3 {
        let mut command = daemon.site().command(program);
        let mut client = Running::start(command.args(["inverting", "1000"]));
        assert_eq!(client.line().as_deref(), Some("ready"));
        let found = host_of(daemon.site(), "inverting");
        assert_eq!(*host.get_or_insert(found), found, "the host has crashed");
        let segment = segment_of(client.pid() as i32);
        assert!(has_mapped(found, segment));
        client.signal(Signal::KILL);
        client.end();
        process::until("it is unmapped", || (!has_mapped(found, segment)).then_some(()));
    }
    assert_eq!(host_of(daemon.site(), "inverting"), host.unwrap());
    assert_eq!(daemon.site().pool("inverting")["host"]["restarts"], 0);
}

#[test]
fn another_host_maps_the_segments_again() {
    in_client!(isolated(Options::new().rust_faults(), faults::MODULE), |site| {
        let ipc = connect();
        let pool = ipc.create_pool(faults::MODULE, "far", b"").unwrap();
        for _ in 0..3 {
            let host = host_of(site, "far");
            until_lent(host, |size| {
                let task = invert(ipc, pool, 0, &bytes(size)).call().unwrap();
                assert!(task.data.copy_to_vec().unwrap() == inverted(&bytes(size)));
            });
            let data = ipc.alloc(1 << 20).unwrap();
            data.write_at(0, vec![7; 1 << 20]).unwrap();
            let mut task = invert(ipc, pool, 60_000, b"");
            task.attach(|task| &task.data, &data).unwrap();
            let lost = task.submit().unwrap();
            // What the method writes is seen at once.
            process::until("the method has begun", || {
                let mut first = [0];
                data.copy_to(0, &mut first);
                (first == [!7]).then_some(())
            });
            kill_process(Pid::from_raw(host).unwrap(), Signal::KILL).unwrap();
            let (status, message) = text_of(lost.wait());
            assert_eq!(status, CHI_FAULT, "{message}");
        }
        assert_eq!(site.pool("far")["host"]["restarts"], 3);
    });
}

/// A host without addresses for the segment gets copies, and the log says so once.
#[test]
fn a_host_that_cannot_map_a_segment_gets_copies() {
    let log = in_client!(isolated(Options::new().rust_faults(), faults::MODULE), |site| {
        let ipc = connect_with(4 << 30);
        let pool = ipc.create_pool(faults::MODULE, "far", b"").unwrap();
        let host = host_of(site, "far");
        let counts = std::fs::read_to_string(format!("/proc/{host}/statm")).unwrap();
        let pages: u64 = counts.split(' ').next().unwrap().parse().unwrap();
        // There is room for links of 1 GiB, but not for the client's segment.
        let most = pages * rustix::param::page_size() as u64 + (3 << 30);
        let limit = libc::rlimit { rlim_cur: most, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limit is valid, and a null pointer means not to return the old one.
        let done = unsafe { libc::prlimit(host, libc::RLIMIT_AS, &limit, std::ptr::null_mut()) };
        assert_eq!(done, 0);
        let own = segment_of(process_id());
        for _ in 0..30 {
            let task = invert(ipc, pool, 1, &bytes(100_000)).call().unwrap();
            assert!(task.data.copy_to_vec().unwrap() == inverted(&bytes(100_000)));
        }
        assert!(!has_mapped(host, own));
        assert_eq!(host_of(site, "far"), host);
    });
    let Some(log) = log else { return };
    assert_eq!(log.matches("cannot map a client's segment").count(), 1, "{log}");
}

/// A session without the client library, which sends what it likes to the C++ module.
struct Raw {
    link: Link,
    ring: Producer,
    pool: chi_pool_id,
}

const ECHO: shapes::Shape = shapes::THROWS[1];
const LARGE: u64 = 16 << 10;

impl Raw {
    fn new(pool: chi_pool_id) -> Raw {
        let link = Link::open(4 << 20).expect("the runtime accepts sessions");
        let (_, ring) = link.ring().expect("the runtime hands out rings");
        Raw { link, ring, pool }
    }

    /// Where its bytes are: behind its only task.
    fn bytes(&self) -> u64 {
        self.link.layout().client_arena + (64 << 10)
    }

    /// Calls the method with this vector. Returns the status.
    fn call(&mut self, vector: [u8; shapes::VECTOR]) -> i32 {
        let mut task = shapes::header(self.pool, ECHO.method);
        task.resize(ECHO.size.next_multiple_of(8), 0);
        let at = ECHO.parts[0].at;
        task[at..at + shapes::VECTOR].copy_from_slice(&vector);
        let offset = self.link.layout().client_arena;
        self.link.write(offset, &task);
        let (status, word) = self.link.call(&mut self.ring, offset).expect("the session is alive");
        if word & CHI_TASK_HAS_BLOCKS != 0 {
            let hold = word >> CHI_TASK_HOLD_SHIFT;
            assert!(self.ring.push(Entry::Release { hold }).is_ok(), "the ring is not full");
        }
        status
    }

    fn call_with_large_vector(&mut self) {
        assert_eq!(self.call(shapes::vector(self.bytes(), LARGE, LARGE)), CHI_OK);
    }

    fn segment(&self) -> u64 {
        rustix::fs::fstat(&self.link.memfd).unwrap().st_ino
    }
}

fn throws(site: &Site) -> chi_pool_id {
    let create = ["--json", "pool", "create", "--module", "test:throws_method", "far"];
    let id = site.cli(&create).ok().json()["id"].as_str().unwrap().to_owned();
    let (major, minor) = id.split_once('.').unwrap();
    chi_pool_id { major_: major.parse().unwrap(), minor_: minor.parse().unwrap() }
}

/// The numbers by which the runtime refers to segments mean nothing in a client's task.
#[test]
fn a_client_cannot_name_the_segment_of_another() {
    in_client!(isolated(Options::new().throws(), "test:throws_method"), |site| {
        let pool = throws(site);
        let host = host_of(site, "far");
        let (mut victim, mut other) = (Raw::new(pool), Raw::new(pool));
        for client in [&mut victim, &mut other] {
            process::until("the host has mapped the segment", || {
                client.call_with_large_vector();
                has_mapped(host, client.segment()).then_some(())
            });
        }
        let place = other.bytes();
        for number in [1, 2, 3, 1024, 0xffff] {
            for size in [8, LARGE] {
                let named = shapes::vector(place | number << CHI_SHM_OFFSET_BITS, size, size);
                assert_eq!(other.call(named), CHI_INVALID, "{number} {size}");
            }
        }
        other.call_with_large_vector();
        assert_eq!(host_of(site, "far"), host);
    });
}

/// A host has at most 1024 segments mapped. Other clients' bytes are copied, until there is room.
#[test]
fn a_host_maps_so_many_segments_and_no_more() {
    const MOST: usize = 1024;
    let limits = "workers: 2\nmodule_hosts: {modules: [\"test:throws_method\"]}\n\
                  limits: {sessions: 2000, per_process: {sessions: 2000}}\n";
    let log = in_client!(Options::new().throws().config(limits), |site| {
        let pool = throws(site);
        let host = host_of(site, "far");
        let mut clients: Vec<Raw> = (0..MOST + 5).map(|_| Raw::new(pool)).collect();
        let all = || segments(host).into_iter().map(|part| part.0).collect::<HashSet<u64>>();
        // Calls those whose segments are not mapped, and counts those that are.
        let call = |clients: &mut [Raw]| {
            let mapped = all();
            let rest = clients.iter_mut().filter(|client| !mapped.contains(&client.segment()));
            rest.map(Raw::call_with_large_vector).count();
            let mapped = all();
            clients.iter().filter(|client| mapped.contains(&client.segment())).count()
        };
        process::until("as many are mapped as may be", || {
            (call(&mut clients) == MOST).then_some(())
        });
        assert_eq!(call(&mut clients), MOST);
        // The first ones leave, and the last ones take their places.
        clients.drain(..10);
        process::until("the others are mapped", || {
            (call(&mut clients) == clients.len()).then_some(())
        });
        drop(clients);
        process::until("all are unmapped", || (segments(host).len() <= 16).then_some(()));
        assert_eq!(host_of(site, "far"), host);
    });
    let Some(log) = log else { return };
    assert_eq!(log.matches("has mapped as many segments as it may").count(), 1, "{log}");
}
