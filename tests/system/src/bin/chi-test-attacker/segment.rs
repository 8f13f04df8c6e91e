//! Tasks whose segment changes while they run.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chimaera::abi::*;
use chimaera_ipc::ring::{Entry, Producer};
use chimaera_ipc::wire::{self, Kind, Message};
use chimaera_tests::raw::{shapes, Link, Random};
use serde_json::{json, Value};
use shapes::{Field, Shape, VECTOR};

/// How long one session is attacked before the next is opened.
const SESSION: Duration = Duration::from_millis(400);

/// A pool to attack, and the tasks of its methods.
struct Target {
    pool: chi_pool_id,
    shapes: &'static [Shape],
}

/// The pools that the test has created, named after their modules.
const POOLS: [(&str, &[Shape]); 4] = [
    ("attacked_kv", shapes::KV),
    ("attacked_mod_name", shapes::MOD_NAME),
    ("attacked_nested", shapes::NESTED),
    ("attacked_throws", shapes::THROWS),
];

#[derive(Default)]
struct Counts {
    sessions: AtomicU64,
    ended: AtomicU64,
    submitted: AtomicU64,
    succeeded: AtomicU64,
    scribbled: AtomicU64,
    punched: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn attack(seed: u64, time: Duration, size: u64) -> Value {
    let until = Instant::now() + time;
    let mut random = Random::new(seed);
    let counts = Counts::default();
    while Instant::now() < until {
        let link = Link::open(size).expect("the runtime accepts another session");
        count(&counts.sessions);
        let field = Field::of(&link);
        let (_, mut ring) = link.ring().expect("the runtime gives a ring");
        let targets = find_pools(&link, &field, &mut ring, &counts);
        if random.once_in(2) {
            say_what_is_mapped(&mut random, &link);
        }
        let over = AtomicBool::new(false);
        let end = until.min(Instant::now() + SESSION);
        std::thread::scope(|scope| {
            let mut more = || Random::new(random.next());
            let (mut a, mut b, mut c) = (more(), more(), more());
            let (link, field, counts, over) = (&link, &field, &counts, &over);
            scope.spawn(move || scribble(&mut a, link, field, counts, over));
            scope.spawn(move || punch(&mut b, link, counts, over));
            scope.spawn(move || ring_bells(&mut c, link, over));
            submit(&mut random, link, field, &targets, &mut ring, counts, end);
            over.store(true, Ordering::Relaxed);
        });
        if !link.is_open() {
            count(&counts.ended);
        } else if random.once_in(2) {
            say_what_is_mapped(&mut random, &link);
            end_by_garbage(&mut random, &link);
        }
    }
    let shown = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    json!({
        "seed": seed,
        "sessions": shown(&counts.sessions),
        "ended": shown(&counts.ended),
        "submitted": shown(&counts.submitted),
        "succeeded": shown(&counts.succeeded),
        "scribbled": shown(&counts.scribbled),
        "punched": shown(&counts.punched),
    })
}

/// Says that published memory is mapped, most of the time where it could be.
fn say_what_is_mapped(random: &mut Random, link: &Link) {
    let mut words = [random.below(2), random.next()];
    for _ in 0..8 {
        let message = Message::new(Kind::Published, &words);
        if wire::send(link.socket.as_fd(), &message, &[]).is_err() {
            return;
        }
        let _ = wire::receive(link.socket.as_fd());
        words = match random.once_in(4) {
            true => [random.below(3), random.next() & !4095],
            false => [1, shapes::PUBLISHED_AT],
        };
    }
}

/// Finds the pools by name, and counts the valid tasks that succeed: without any, the attack would
/// have no target.
fn find_pools(link: &Link, field: &Field, ring: &mut Producer, counts: &Counts) -> Vec<Target> {
    let admin = chi_pool_id { major_: CHI_ADMIN_POOL_MAJOR, minor_: 0 };
    let mut targets = vec![Target { pool: admin, shapes: shapes::ADMIN }];
    for (name, shapes) in POOLS {
        let mut task = shapes::header(admin, CHI_ADMIN_FIND_POOL);
        task.extend(shapes::vector(field.farm, name.len() as u64, 64));
        task.extend([0; 8]);
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        link.write(field.farm, &bytes);
        link.write(field.slot(0), &task);
        let (status, _) = link.call(ring, field.slot(0)).expect("the session is alive");
        if status != CHI_OK {
            continue;
        }
        let id = link.load(field.slot(0) + 104);
        let pool = chi_pool_id { major_: id as u32, minor_: (id >> 32) as u32 };
        for shape in shapes {
            link.write(field.slot(1), &shapes::sound_task(link, field, pool, shape));
            let (status, _) = link.call(ring, field.slot(1)).expect("the session is alive");
            if status == CHI_OK {
                count(&counts.succeeded);
            }
        }
        targets.push(Target { pool, shapes });
    }
    targets
}

/// Submits odd tasks, some of them many times, and releases blocks that are not held.
fn submit(
    random: &mut Random,
    link: &Link,
    field: &Field,
    targets: &[Target],
    ring: &mut Producer,
    counts: &Counts,
    until: Instant,
) {
    while Instant::now() < until && link.is_open() {
        for _ in 0..16 {
            let target = random.pick(targets);
            let shape = random.pick(target.shapes);
            // Tasks for the admin pool have slots of their own: a header mixed from two tasks could
            // ask the runtime to stop, as any client may.
            let is_admin = target.pool.major_ == CHI_ADMIN_POOL_MAJOR;
            let own = field.slot(random.below(field.n_slots / 2) * 2 + u64::from(is_admin));
            let task = shapes::odd_task(random, link, field, own, target.pool, shape);
            link.write(own, &task);
            let times = if random.once_in(16) { 30 } else { 1 };
            for _ in 0..times {
                push(ring, Entry::Submit { offset: own }, until);
                count(&counts.submitted);
            }
            if random.once_in(4) {
                let hold = random.below(256) as u32;
                push(ring, Entry::Release { hold }, until);
                push(ring, Entry::Release { hold }, until);
            }
            if random.once_in(64) {
                push(ring, Entry::Release { hold: random.next() as u32 }, until);
            }
        }
        link.knock();
    }
    // Out of range, at the very end of the round, because this ends the session if it is still
    // alive.
    if random.once_in(4) {
        push(ring, Entry::Submit { offset: random.next() >> 20 << 6 }, until);
        link.knock();
    }
}

/// Pushes an entry if there is room: an attacker neither drains its completions nor waits. A ring
/// whose head it has overwritten looks full forever.
fn push(ring: &mut Producer, entry: Entry, until: Instant) {
    for _ in 0..1000 {
        if ring.push(entry).is_ok() || Instant::now() >= until {
            return;
        }
        std::thread::yield_now();
    }
}

/// Overwrites the segment, mostly the parts that are being read.
fn scribble(random: &mut Random, link: &Link, field: &Field, counts: &Counts, over: &AtomicBool) {
    let layout = *link.layout();
    while !over.load(Ordering::Relaxed) {
        count(&counts.scribbled);
        match random.below(8) {
            // Overwrites descriptors with others, half of them valid.
            0..=3 => {
                let at = field.farm + random.below(field.farm_len / 64) * 64;
                for row in 0..random.below(64) {
                    let at = at + row * VECTOR as u64;
                    if at + VECTOR as u64 <= field.farm + field.farm_len {
                        link.write(at, &shapes::odd_vector(random, link, field, field.slot(row)));
                    }
                }
            }
            // Words of tasks, except the number that tells a method how long to work.
            4 => {
                let slot = field.slot(random.next());
                let at = slot + *random.pick(&[0, 8, 24, 40, 48, 56, 72, 80, 88, 96, 112, 120]);
                link.store(at, random.next());
            }
            5 => {
                let slot = field.slot(random.next());
                link.scribble(random, slot + 72, 256);
            }
            // Both arenas.
            6 => {
                let behind = field.farm + field.farm_len;
                let at = behind + random.below(layout.size - behind);
                link.scribble(random, at, 4096);
            }
            // Ring headers and slots. An invalid entry ends the session, so this is rare.
            _ if random.once_in(2000) => {
                let at = random.below(layout.client_arena);
                link.scribble(random, at, 512);
            }
            _ => {
                let header = layout.ring(0) + random.below(2) * 64;
                link.store(header, random.next());
            }
        }
    }
}

/// Punches holes: one page, some, or all.
fn punch(random: &mut Random, link: &Link, counts: &Counts, over: &AtomicBool) {
    let size = link.layout().size;
    while !over.load(Ordering::Relaxed) {
        let (at, len) = match random.below(32) {
            0 => (0, size),
            1..=8 => (random.below(size / 4096) * 4096, 64 << 10),
            _ => (link.layout().client_arena + random.below(64) * 4096, 4096),
        };
        link.punch(at, len.min(size - at)).expect("the seals allow holes");
        count(&counts.punched);
        std::thread::sleep(Duration::from_micros(random.below(2000)));
    }
}

/// Fills the doorbell, empties it, and rings it for nothing.
fn ring_bells(random: &mut Random, link: &Link, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let much = if random.once_in(4) { u64::MAX - 1 } else { random.below(10) };
        // These fail when the doorbell is full or empty.
        let _ = rustix::io::write(&link.doorbell, &much.to_ne_bytes());
        if random.once_in(2) {
            let _ = rustix::io::read(&link.doorbell, &mut [0_u8; 8]);
        }
        std::thread::sleep(Duration::from_micros(random.below(500)));
    }
}

/// Fills a ring with mostly invalid entries, tagged with every lap, and waits for the session to
/// end.
fn end_by_garbage(random: &mut Random, link: &Link) {
    let Ok((index, _)) = link.ring() else { return };
    let slots = link.layout().ring(index) + 128;
    // The first lap is written last, because it is what the runtime looks for.
    for lap in (1..64_u64).rev() {
        for slot in 0..1024 {
            let kind = random.below(16) << 44;
            link.store(slots + slot * 8, lap << 48 | kind | random.below(1 << 44));
        }
        link.knock();
    }
    assert!(link.is_ended(), "a session survived a ring full of garbage");
}
