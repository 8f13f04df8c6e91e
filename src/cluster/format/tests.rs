use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use super::*;
use crate::agree::random_packet;
use crate::ids::{BootId, NodeId, PoolId};
use crate::sim::Sequence;
use crate::state::Command;

/// Counts what a thread allocates.
struct Counting;

thread_local!(static ALLOCATED: Cell<usize> = const { Cell::new(0) });

// SAFETY: all is left to the system's allocator; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        // SAFETY: the caller keeps to the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Decodes, and checks what that allocates on the way.
fn decode(bytes: &[u8]) -> Result<Message, Malformed> {
    let shared = Bytes::copy_from_slice(bytes);
    let before = ALLOCATED.get();
    let decoded = Message::decode(&shared);
    let allocated = ALLOCATED.get() - before;
    assert!(allocated <= 1024 + 16 * bytes.len(), "{allocated} for {} bytes", bytes.len());
    decoded
}

fn text(random: &mut Sequence) -> String {
    (0..random.below(20)).map(|_| ['a', 'ß', '語', '/'][random.below(4) as usize]).collect()
}

fn payload(random: &mut Sequence) -> Payload {
    (0..random.below(50)).map(|_| random.next() as u8).collect::<Vec<_>>().into()
}

fn life(random: &mut Sequence) -> Life {
    Life { node: NodeId(random.next()), boot: BootId(random.below(300)) }
}

fn place(random: &mut Sequence) -> Place {
    let (caller, server) = (life(random), life(random));
    Place { caller, server, slot: random.below(32) as u32, turn: random.next() }
}

fn container(random: &mut Sequence) -> ContainerId {
    ContainerId { pool: PoolId(random.below(9) as u32), number: random.next() as u32 }
}

fn epoch(random: &mut Sequence) -> Epoch {
    Epoch(random.next())
}

fn proposal(random: &mut Sequence) -> Proposal {
    let command = match random.below(7) {
        0 => Command::Enter { life: life(random), name: text(random), address: text(random) },
        1 => Command::DestroyPool { pool: PoolId(random.next() as u32) },
        2 => Command::Move { container: container(random), to: NodeId(random.next()) },
        3 => Command::CreatePool {
            name: text(random),
            module: text(random),
            params: payload(random).to_vec(),
            containers: random.below(1 << 15) as u32,
            nodes: random.next() as u32,
            flags: random.next() as u32,
        },
        4 => {
            let (container, epoch) = (container(random), epoch(random));
            Command::Refuse { container, epoch, why: text(random) }
        }
        5 => Command::Made { container: container(random), epoch: epoch(random) },
        _ => Command::Nothing {},
    };
    let (origin, number, floor) = (life(random), random.next(), random.next());
    Proposal { origin, number, floor, command }
}

fn verdict(random: &mut Sequence) -> Verdict {
    match random.below(8) {
        0 => Verdict::Working,
        1 => Verdict::Moved { owner: None, epoch: epoch(random) },
        2 => Verdict::Moved { owner: Some(life(random)), epoch: epoch(random) },
        3 => Verdict::Busy,
        4 => Verdict::NoSuchContainer,
        5 => Verdict::NotRun,
        6 => Verdict::MayHaveRun,
        _ => Verdict::Done(payload(random)),
    }
}

fn message(random: &mut Sequence) -> Message {
    match random.below(9) {
        0 => Message::Packet(random_packet(8, &mut |end| random.below(end))),
        1 => Message::Join {
            life: life(random),
            name: text(random),
            address: text(random),
            hops: random.below(4) as u8,
        },
        2 => Message::Propose(proposal(random)),
        3 => Message::Renew { life: life(random), number: random.next() },
        4 => {
            let (number, needs) = (random.next(), random.next());
            Message::Grant { life: life(random), number, needs }
        }
        5 => match random.below(3) {
            0 => Message::Removed { life: life(random) },
            1 => Message::Known { life: life(random), of_cluster: random.below(2) == 0 },
            _ => Message::NameTaken { life: life(random) },
        },
        6 => Message::Call(Call {
            place: place(random),
            container: container(random),
            epoch: epoch(random),
            remaining: (random.below(2) == 0).then(|| Duration::from_nanos(random.next())),
            payload: payload(random),
        }),
        7 => Message::Answer(Answer {
            place: place(random),
            epoch: epoch(random),
            verdict: verdict(random),
        }),
        _ => Message::Cancel(place(random)),
    }
}

#[test]
fn what_is_sent_is_what_comes() {
    let mut random = Sequence::new(1);
    for _ in 0..5_000 {
        let message = message(&mut random);
        let bytes = message.encode();
        assert_eq!(decode(&bytes), Ok(message.clone()));
        let mut head = Vec::new();
        let payload = message.encode_head(&mut head).cloned().unwrap_or_default();
        assert_eq!(bytes, [&head[..], &payload[..]].concat());
    }
}

/// A part of a message is none, but for one with a shorter payload.
#[test]
fn what_is_cut_off_is_noticed() {
    let mut random = Sequence::new(2);
    for _ in 0..500 {
        let message = message(&mut random);
        let mut bytes = Vec::new();
        let has_payload = message.encode_head(&mut bytes).is_some();
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), Err(Malformed), "{length} of {message:?}");
        }
        bytes.push(0);
        assert_eq!(decode(&bytes).is_ok(), has_payload);
    }
}

/// Whatever changes on the way, what is taken is a message of one form.
#[test]
fn changed_bytes_are_another_message_or_none() {
    let mut random = Sequence::new(3);
    for _ in 0..20_000 {
        let mut bytes = message(&mut random).encode();
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
        if let Ok(message) = decode(&bytes) {
            assert_eq!(message.encode(), bytes);
        }
    }
}

#[test]
fn noise_is_taken_or_refused() {
    let mut random = Sequence::new(4);
    for _ in 0..50_000 {
        let mut bytes: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
        if let Some(kind) = bytes.first_mut() {
            *kind %= 11;
        }
        if let Ok(message) = decode(&bytes) {
            assert_eq!(message.encode(), bytes);
        }
    }
}

#[test]
fn a_word_that_is_too_long_is_refused() {
    let packet = |padding: usize| Message::Packet(random_packet(padding, &mut |_| 0)).encode();
    let most = Message::MAX_WORD - packet(0).len();
    assert!(decode(&packet(most)).is_ok());
    assert_eq!(decode(&packet(most + 1)), Err(Malformed));

    let life = Life { node: NodeId(1), boot: BootId(1) };
    let join = |length: usize| {
        let (name, address) = ("a".repeat(length), String::new());
        Message::Join { life, name, address, hops: 0 }.encode()
    };
    assert!(decode(&join(255)).is_ok());
    assert_eq!(decode(&join(256)), Err(Malformed));
}
