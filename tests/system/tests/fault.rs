//! Pages of a segment that cannot be accessed. A client cannot cause that (the seals prevent
//! truncating the segment), and a test cannot use up all memory. So for a runtime inside the test's
//! own process, pages of its mapping are replaced by pages beyond the end of a file: accessing them
//! raises SIGBUS, as a lack of memory does.

use std::os::fd::AsRawFd;

use chimaera::abi::{chi_pool_id, CHI_NO_POOL};
use chimaera_ipc::ring::Producer;
use chimaera_runtime::{Config, Runtime};
use chimaera_tests::raw::{shapes, Link};
use chimaera_tests::{in_client, Options};
use rustix::fs::MemfdFlags;

/// The runtime's mapping of a session's segment, as opposed to the client's.
fn runtime_s_mapping(link: &Link) -> *mut u8 {
    let inode = rustix::fs::fstat(&link.memfd).expect("it is open").st_ino.to_string();
    let maps = std::fs::read_to_string("/proc/self/maps").expect("it is readable");
    let mut starts = maps.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.get(4) == Some(&inode.as_str())).then(|| {
            let start = words[0].split('-').next().expect("a range");
            usize::from_str_radix(start, 16).expect("an address")
        })
    });
    let found = starts.find(|start| *start != link.mapping.base() as usize);
    found.expect("the runtime has also mapped it") as *mut u8
}

/// Removes the memory behind a range of the runtime's mapping.
fn take_memory(link: &Link, offset: u64, len: usize) {
    let nothing = rustix::fs::memfd_create("nothing", MemfdFlags::CLOEXEC).expect("there are more");
    let at = runtime_s_mapping(link).wrapping_add(offset as usize).cast();
    let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
    // SAFETY: the range is part of the runtime's mapping, which it only accesses with atomics and
    // raw copies, and whose contents it expects to change at any time.
    let mapped = unsafe { libc::mmap(at, len, prot, flags, nothing.as_raw_fd(), 0) };
    assert_eq!(mapped, at);
}

fn session() -> (Link, Producer) {
    let link = Link::open(0).expect("the runtime accepts sessions");
    let (_, ring) = link.ring().expect("the runtime hands out rings");
    (link, ring)
}

/// The outcome of a task for a pool that does not exist.
fn call(link: &Link, ring: &mut Producer) -> Option<i32> {
    let at = link.layout().client_arena;
    link.write(at, &shapes::header(chi_pool_id { major_: 77, minor_: 0 }, 10));
    link.call(ring, at).map(|(status, _)| status)
}

#[test]
fn a_fault_on_a_segment_s_page_ends_that_session_only() {
    in_client!(Options::new(), |_| {
        std::env::set_var("CHI_INSTANCE", "embedded");
        let config = Config { instance: Some("embedded".into()), workers: 2, ..Config::default() };
        let runtime = Runtime::start(config).expect("the name is free");
        let (neighbour, mut neighbour_s_ring) = session();
        for round in 0..20 {
            let (link, mut ring) = session();
            assert_eq!(call(&link, &mut ring), Some(CHI_NO_POOL));
            let arena = link.layout().client_arena;
            if round % 2 == 0 {
                // The page of the task itself: the runtime reads zeroes, and the client gets no
                // answer.
                take_memory(&link, arena, 4096);
                link.submit(&mut ring, arena);
            } else {
                // The page to which the runtime writes the message.
                take_memory(&link, link.layout().runtime_arena, 1 << 20);
                call(&link, &mut ring);
            }
            assert!(link.is_ended(), "round {round}: the session survived without its memory");
            let answer = call(&neighbour, &mut neighbour_s_ring);
            assert_eq!(answer, Some(CHI_NO_POOL), "round {round}: the neighbour");
        }
        assert!(neighbour.is_open());
        runtime.stop();
        runtime.wait();
    });
}
