//! How the runtime treats tasks with a single defect each, and arbitrary messages on its socket.
//! The clients here speak the wire protocol themselves.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use chimaera::abi::*;
use chimaera_ipc::ring::{Entry, Producer};
use chimaera_ipc::wire::{self, Kind, Message, Received, WIRE_VERSION};
use chimaera_tests::process::until;
use chimaera_tests::raw::{dial, seed, shapes, Link, Random};
use chimaera_tests::tasks::model::{self, ValueTask};
use chimaera_tests::{artefacts, in_client, Daemon, Options, Running, Site, Vitals};
use shapes::{Field, Shape};

const SEGMENT: u64 = 4 << 20;
const ECHO: Shape = shapes::THROWS[1];
const SWAP: Shape = shapes::NESTED[0];

/// A session, one of its rings, and a pool.
struct Client {
    link: Link,
    ring: Producer,
    pool: chi_pool_id,
    field: Field,
}

impl Client {
    /// Opens a session, with the pool of a module.
    #[track_caller]
    fn new(site: &Site, module: &str, segment: u64) -> Client {
        let create = ["--json", "pool", "create", "--module", module, "the_pool"];
        let id = site.cli(&create).ok().json()["id"].as_str().unwrap().to_owned();
        let (major, minor) = id.split_once('.').unwrap();
        let pool = chi_pool_id { major_: major.parse().unwrap(), minor_: minor.parse().unwrap() };
        let link = Link::open(segment).expect("the runtime accepts sessions");
        let (_, ring) = link.ring().expect("the runtime hands out rings");
        let field = Field::of(&link);
        Client { link, ring, pool, field }
    }

    /// Writes a task of this shape whose string or vector number `part` is `vector`; the others are
    /// empty.
    fn write(&self, shape: &Shape, part: usize, vector: [u8; shapes::VECTOR]) {
        self.write_at(0, shape, part, vector);
    }

    /// Writes such a task at this place of 64.
    fn write_at(&self, place: u64, shape: &Shape, part: usize, vector: [u8; shapes::VECTOR]) {
        let mut task = shapes::header(self.pool, shape.method);
        task.resize(shape.size.next_multiple_of(8), 0);
        let at = shape.parts[part].at;
        task[at..at + shapes::VECTOR].copy_from_slice(&vector);
        self.link.write(self.field.slot(place), &task);
    }

    /// Writes and runs such a task. Returns its status.
    #[track_caller]
    fn status(&mut self, shape: &Shape, part: usize, vector: [u8; shapes::VECTOR]) -> i32 {
        self.write(shape, part, vector);
        self.call().expect("the session is alive").0
    }

    fn call(&mut self) -> Option<(i32, u32)> {
        self.link.call(&mut self.ring, self.field.slot(0))
    }
}

#[test]
fn a_task_outside_the_client_s_arena_ends_the_session() {
    in_client!(Options::new().throws(), |site| {
        let layout = *Client::new(site, "test:throws_method", SEGMENT).link.layout();
        let outside = [
            0,
            64,
            layout.ring(0),
            layout.client_arena - 64,
            layout.runtime_arena,
            layout.size - 64,
            layout.size,
            layout.size + 64,
            1 << 40,
            (1 << 46) - 64,
        ];
        for offset in outside {
            let mut client = Client::new(site, "test:throws_method", SEGMENT);
            client.link.submit(&mut client.ring, offset);
            assert!(client.link.is_ended(), "a task at {offset:#x} was accepted");
        }
        for offset in [layout.client_arena, layout.runtime_arena - 64] {
            let mut client = Client::new(site, "test:throws_method", SEGMENT);
            let nowhere = chi_pool_id { major_: 77, minor_: 0 };
            client.link.write(offset, &shapes::header(nowhere, 10));
            let done = client.link.call(&mut client.ring, offset);
            assert_eq!(done.map(|(status, _)| status), Some(CHI_NO_POOL), "{offset:#x}");
        }
    });
}

#[test]
fn entries_that_mean_nothing_end_the_session() {
    in_client!(Options::new().throws(), |site| {
        for kind in (0..16_u64).filter(|kind| !matches!(kind, 1..=3)) {
            let client = Client::new(site, "test:throws_method", SEGMENT);
            let slots = client.link.layout().ring(0) + 128;
            client.link.store(slots, 1 << 48 | kind << 44);
            client.link.knock();
            assert!(client.link.is_ended(), "an entry of kind {kind} was accepted");
        }
    });
}

#[test]
fn strings_and_vectors_outside_the_segment_are_refused() {
    in_client!(Options::new().throws(), |site| {
        let mut client = Client::new(site, "test:throws_method", SEGMENT);
        let layout = *client.link.layout();
        let (inside, end) = (client.field.farm, layout.size);
        let vector = shapes::vector;
        for wrong in [
            vector(1, 1, 64),
            vector(4096, 1, 64),
            vector(layout.client_arena - 1, 1, 64),
            vector(end - 63, 1, 64),
            vector(end, 1, 64),
            vector(end + 64, 0, 64),
            vector(inside, 65, 64),
            vector(inside, u64::MAX, 64),
            vector(inside, 64, u64::MAX),
            vector(inside, u64::MAX, u64::MAX),
            vector(inside, 1, u64::MAX - inside),
            vector(inside, 1, u64::MAX - inside + 1),
            vector(u64::MAX, 1, 64),
            vector(inside | 1 << CHI_SHM_OFFSET_BITS, 1, 64),
            vector(inside | 0xffff << CHI_SHM_OFFSET_BITS, 1, 64),
        ] {
            let words = wrong.chunks(8).map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
            let words: Vec<u64> = words.collect();
            for part in [0, 1] {
                let status = client.status(&ECHO, part, wrong);
                assert_eq!(status, CHI_INVALID, "part {part}: {words:x?}");
            }
        }
        // The last one is valid, whatever the rest of the struct contains.
        for right in
            [vector(end - 64, 64, 64), vector(layout.client_arena, 0, 0), vector(inside + 1, 7, 9)]
        {
            assert_eq!(client.status(&ECHO, 0, right), CHI_OK);
        }
    });
}

#[test]
fn strings_inside_vectors_are_checked_like_those_outside() {
    in_client!(Options::new().file(artefacts::test_module("nested")), |site| {
        let mut client = Client::new(site, "test:nested", SEGMENT);
        let (farm, size) = (client.field.farm, client.link.layout().size);
        let rows = shapes::vector(farm, 88, 88);
        let words = |client: &Client, at: u64, size: u64| {
            client.link.write(farm, &[0; 88]);
            client.link.write(farm + 48, &shapes::vector(at, size, size));
        };
        // A row whose words are in another block, and one whose only word is outside.
        words(&client, farm + 1024, 40);
        client.link.write(farm + 1024, &shapes::vector(farm + 2048, 5, 64));
        assert_eq!(client.status(&SWAP, 1, rows), CHI_OK);
        client.link.write(farm + 1024, &shapes::vector(size - 4, 5, 64));
        assert_eq!(client.status(&SWAP, 1, rows), CHI_INVALID);
        // Blocks of structs that are misaligned, overlap themselves, or are cut off.
        words(&client, farm + 1028, 40);
        assert_eq!(client.status(&SWAP, 1, rows), CHI_INVALID);
        assert_eq!(client.status(&SWAP, 1, shapes::vector(farm + 4, 88, 88)), CHI_INVALID);
        words(&client, farm + 48, 40);
        assert_eq!(client.status(&SWAP, 1, rows), CHI_OK);
        assert_eq!(client.status(&SWAP, 1, shapes::vector(farm, 87, 87)), CHI_OK);
    });
}

/// An endless number of rows in one block, each with words that do not exist.
#[test]
fn vectors_in_vectors_take_no_longer_than_their_bytes() {
    in_client!(Options::new().file(artefacts::test_module("nested")), |site| {
        let mut client = Client::new(site, "test:nested", 128 << 20);
        let rows = (60 << 20) / 88;
        for row in 0..rows {
            let at = client.field.farm + row * 88 + 48;
            client.link.write(at, &shapes::vector(client.field.farm, 8, 8));
        }
        let all = shapes::vector(client.field.farm, rows * 88, rows * 88);
        client.write(&SWAP, 1, all);
        let start = Instant::now();
        assert!(client.call().is_some());
        assert!(start.elapsed() < Duration::from_secs(20), "it took {:?}", start.elapsed());
    });
}

/// The runtime copies structs before their task runs. A client with many queued tasks must not make
/// it copy the same structs over and over.
#[test]
fn what_a_client_can_have_copied_is_bounded() {
    in_client!(Options::new().file(artefacts::test_module("nested")).workers(3), |site| {
        let client = Client::new(site, "test:nested", 128 << 20);
        let resident = || {
            let status = site.cli(&["--json", "status"]).ok().json();
            status["resident_bytes"].as_u64().expect("it is running")
        };
        // One row with as many empty words as there is room for.
        let words = (60 << 20) / 40;
        client.link.write(client.field.farm, &[0; 88]);
        let all = shapes::vector(client.field.farm + 1024, words * 40, words * 40);
        client.link.write(client.field.farm + 48, &all);
        client.write(&SWAP, 1, shapes::vector(client.field.farm, 88, 88));
        let before = resident();
        let mut rings = vec![client.ring];
        rings.extend((0..5).map(|_| client.link.ring().expect("there are more").1));
        for ring in &mut rings {
            for _ in 0..100 {
                let offset = client.field.slot(0);
                ring.push(Entry::Submit { offset }).expect("it has room");
            }
        }
        client.link.knock();
        let mut most = 0;
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            most = most.max(resident() - before);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(most > 30 << 20, "nothing was copied: {most}");
        // The segment's own pages count, too.
        assert!(most < 800 << 20, "the daemon grew by {most} bytes");
    });
}

/// A client's ring is full of small tasks that unfold into copies of 4 MB each. The only worker
/// turns to another client's task after each of them, not after a batch.
#[test]
fn work_in_a_round_is_bounded_in_bytes() {
    const TASKS: u64 = 60;
    /// How many small tasks the worker takes from a ring before it turns to the next one.
    const RING_BATCH: usize = 32;
    in_client!(Options::new().file(artefacts::test_module("nested")).workers(1), |site| {
        let (words, rows) = (1900, 52);
        let mut large = Client::new(site, "test:nested", 8 << 20);
        let block = large.field.farm + (rows * 88_u64).next_multiple_of(64);
        for row in 0..rows {
            let all = shapes::vector(block, words * 40, words * 40);
            large.link.write(large.field.farm + row * 88 + 48, &all);
        }
        let rows = shapes::vector(large.field.farm, rows * 88, rows * 88);
        for place in 0..TASKS {
            large.write_at(place, &SWAP, 1, rows);
        }
        let mut small = Client::new(site, "test:nested", SEGMENT);
        small.write(&SWAP, 1, shapes::vector(small.field.farm, 0, 0));
        for place in 0..TASKS {
            let offset = large.field.slot(place);
            large.ring.push(Entry::Submit { offset }).expect("it has room");
        }
        large.link.knock();
        large.link.wait(large.field.slot(0)).expect("the session is alive");
        assert_eq!(small.call().expect("the session is alive").0, CHI_OK);
        let is_over =
            |place: &u64| large.link.outcome(large.field.slot(*place)).0 & CHI_TASK_COMPLETE != 0;
        let over = (0..TASKS).filter(is_over).count();
        assert!(over < RING_BATCH - 2, "{over} of {TASKS} came first");
        for place in 0..TASKS {
            let ended = large.link.wait(large.field.slot(place)).expect("the session is alive").0;
            // The results are not released, so there is no room for all of them.
            assert!([CHI_OK, CHI_NO_SPACE].contains(&ended), "{ended}");
        }
    });
}

/// A task with more data than may be copied is refused; once it has been cancelled, none of its
/// data is read.
#[test]
fn a_task_that_was_cancelled_before_it_is_taken_costs_no_copy() {
    in_client!(Options::new().file(artefacts::test_module("nested")), |site| {
        let mut client = Client::new(site, "test:nested", 128 << 20);
        let words = (70 << 20) / 40;
        client.link.write(client.field.farm, &[0; 88]);
        let all = shapes::vector(client.field.farm + 1024, words * 40, words * 40);
        client.link.write(client.field.farm + 48, &all);
        let row = shapes::vector(client.field.farm, 88, 88);
        assert_eq!(client.status(&SWAP, 1, row), CHI_TOO_LARGE);
        client.write(&SWAP, 1, row);
        let offset = client.field.slot(0);
        let state = offset + std::mem::offset_of!(chi_task, status_) as u64;
        client.link.store(state, u64::from(CHI_TASK_IN_FLIGHT | CHI_TASK_CANCEL) << 32);
        client.link.submit(&mut client.ring, offset).expect("the session is alive");
        assert_eq!(client.link.wait(offset).expect("the session is alive").0, CHI_CANCELLED);
    });
}

#[test]
fn releases_of_what_is_not_held_change_nothing() {
    in_client!(Options::new().throws(), |site| {
        let mut client = Client::new(site, "test:throws_method", SEGMENT);
        let sent = client.field.farm;
        // One task, submitted many times at once: later completions overwrite the holds of earlier
        // ones.
        client.write(&ECHO, 0, shapes::vector(sent, 1000, 1000));
        for _ in 0..2000 {
            let offset = client.field.slot(0);
            client.link.submit(&mut client.ring, offset).expect("the session is alive");
        }
        // They all go through one lane, so when a task behind them has completed, so have they.
        let behind = client.field.slot(1);
        for word in 0..ECHO.size as u64 / 8 {
            let same = client.link.load(client.field.slot(0) + word * 8);
            client.link.store(behind + word * 8, same);
        }
        let (status, _) = client.link.call(&mut client.ring, behind).expect("the session is alive");
        assert!([CHI_OK, CHI_NO_SPACE].contains(&status), "{status}");
        // The runtime's arena has room for six answers of 256 KiB: they fit only if every hold was
        // released, and are disjoint only if none was released twice.
        let len = 256 << 10;
        client.write(&ECHO, 0, shapes::vector(sent, len, len));
        let task: Vec<u64> = (0..ECHO.size as u64 / 8)
            .map(|word| client.link.load(client.field.slot(0) + word * 8))
            .collect();
        for round in 0..200_u64 {
            // Releases each hold twice.
            for hold in (0..4200).map(|n| n / 2).chain([u32::MAX, 1 << 24, 1 << 31]) {
                while client.ring.push(Entry::Release { hold }).is_err() {
                    client.link.knock();
                    std::thread::yield_now();
                }
            }
            let mut seen = Vec::new();
            for slot in 0..4 {
                let at = client.field.slot(slot);
                for (index, word) in task.iter().enumerate() {
                    client.link.store(at + index as u64 * 8, *word);
                }
                let done = client.link.call(&mut client.ring, at);
                let (status, word) = done.expect("the session is alive");
                assert_eq!(status, CHI_OK, "round {round}, answer {slot}");
                assert!(word & CHI_TASK_HAS_BLOCKS != 0, "round {round}: {word:#x}");
                let output = client.link.load(at + ECHO.parts[1].at as u64);
                seen.push((word >> CHI_TASK_HOLD_SHIFT, output));
            }
            for (index, one) in seen.iter().enumerate() {
                for other in &seen[index + 1..] {
                    assert!(one.0 != other.0 && one.1 != other.1, "round {round}: {seen:x?}");
                }
            }
        }
    });
}

/// A cancellation that its task ignores, or that is sent again and again, does not affect others,
/// even while a worker does not read its messages.
#[test]
fn cancellations_of_what_is_not_to_be_cancelled_change_nothing() {
    in_client!(Options::new().model().workers(3), |site| {
        let mut client = Client::new(site, model::MODULE, SEGMENT);
        let resident = || {
            let status = site.cli(&["--json", "status"]).ok().json();
            status["resident_bytes"].as_u64().expect("it is running")
        };
        let submit = |client: &mut Client, slot: u64, method: u32, value: Duration| {
            let mut task = shapes::header(client.pool, method);
            task.extend((value.as_nanos() as u64).to_ne_bytes());
            task.resize(std::mem::size_of::<ValueTask>(), 0);
            client.link.write(client.field.slot(slot), &task);
            client
                .link
                .submit(&mut client.ring, client.field.slot(slot))
                .expect("the session is alive");
        };
        let cancel = |client: &mut Client, offset: u64| {
            while client.ring.push(Entry::Cancel { offset }).is_err() {
                client.link.knock();
                std::thread::yield_now();
            }
        };
        const SLEEPING: u64 = 60;
        for slot in 0..SLEEPING {
            submit(&mut client, slot, model::SLEEP, Duration::from_secs(3600));
        }
        submit(&mut client, SLEEPING, model::COMPUTE, Duration::from_secs(1));
        let before = resident();
        let mut most = 0;
        for round in 0..500_000 {
            let offset = client.field.slot(round % (SLEEPING + 4));
            cancel(&mut client, offset);
            if round % 50_000 == 0 {
                most = most.max(resident().saturating_sub(before));
            }
        }
        client.link.knock();
        assert!(most < 8 << 20, "the daemon grew by {most} bytes");
        client.link.wait(client.field.slot(SLEEPING)).expect("the session is alive");
        for slot in 0..SLEEPING {
            let state = client.field.slot(slot) + std::mem::offset_of!(chi_task, status_) as u64;
            let word = (client.link.load(state) >> 32) as u32;
            assert_eq!(word & CHI_TASK_COMPLETE, 0, "task {slot} has ended: {word:#x}");
        }
        // Tasks that check for cancellation are still cancelled after all that.
        for slot in 0..SLEEPING {
            let offset = client.field.slot(slot);
            let state = offset + std::mem::offset_of!(chi_task, status_) as u64;
            client.link.store(state, u64::from(CHI_TASK_IN_FLIGHT | CHI_TASK_CANCEL) << 32);
            cancel(&mut client, offset);
            client.link.knock();
            assert_eq!(client.link.wait(offset).expect("the session is alive").0, CHI_CANCELLED);
        }
        submit(&mut client, SLEEPING + 1, model::SLEEP, Duration::from_secs(3600));
        let offset = client.field.slot(SLEEPING + 1);
        let state = offset + std::mem::offset_of!(chi_task, status_) as u64;
        client.link.store(state, u64::from(CHI_TASK_IN_FLIGHT | CHI_TASK_CANCEL) << 32);
        cancel(&mut client, offset);
        client.link.knock();
        assert_eq!(client.link.wait(offset).expect("the session is alive").0, CHI_CANCELLED);
    });
}

/// Closing a descriptor can take as long as its sender likes, so the runtime accepts none.
#[test]
fn descriptors_are_not_taken() {
    in_client!(Options::new(), |site| {
        let socket = dial().expect("the runtime accepts connections");
        let hello = Message::new(Kind::Hello, &[WIRE_VERSION, CHI_ABI_MAJOR.into(), 0, 0]);
        let own = [socket.as_fd()];
        let sent = wire::send(socket.as_fd(), &hello, &own);
        let known = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("Linux tells");
        let mut version = known.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
        if (version.next(), version.next()) < (Some(6), Some(16)) {
            eprintln!("\n*** SKIPPED: Linux {} cannot refuse descriptors ***\n", known.trim());
            return;
        }
        let refused = sent.expect_err("the kernel refuses them");
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{refused}");
        wire::send(socket.as_fd(), &hello, &[]).expect("without them, it may speak");
        let answer = wire::receive(socket.as_fd()).expect("there is an answer");
        assert!(matches!(answer, Received::Message(welcome, fds)
            if welcome.kind == Kind::Welcome && fds.len() == 2));
        assert_eq!(site.cli(&["status"]).code, 0);
    });
}

#[test]
fn anything_on_the_socket_is_answered_or_hung_up_on() {
    let daemon = Daemon::start(&Options::new().kv().mod_name());
    let program = env!("CARGO_BIN_EXE_chi-test-attacker");
    let mut neighbour = Running::start(
        daemon.site().command(env!("CARGO_BIN_EXE_chi-test-mortal")).arg("neighbour"),
    );
    assert_eq!(neighbour.line().as_deref(), Some("ready"));
    let mut random = Random::new(seed());
    let mut attack = |rounds: &str| {
        let args = ["socket", &random.next().to_string(), rounds];
        let output = daemon.site().run(program, &args).ok();
        print!("{}", output.stdout);
    };
    attack("300");
    let before = Vitals::settled(&daemon, 1);
    attack("2000");
    before.assert_no_more(&daemon, 4 << 20);
    // Clients that connect and send nothing are disconnected, although they stay.
    let mut silent = Running::start(daemon.site().command(program).args(["silent", "200"]));
    assert_eq!(silent.line().as_deref(), Some("{\"connected\":200}"));
    // The last of them may still be in the socket's queue.
    until("all of them are let in", || (daemon.fds() > before.fds + 200).then_some(()));
    daemon.cli(&["--json", "pool", "list"]).ok();
    before.assert_no_more(&daemon, 4 << 20);
    silent.close();
    assert_eq!(silent.end(), 0);
    neighbour.close();
    assert!(neighbour.line().is_some());
    assert_eq!(neighbour.end(), 0, "the neighbour has found something wrong");
}
