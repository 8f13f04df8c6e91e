//! Arbitrary messages on the socket.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chimaera::abi::{CHI_ABI_MAJOR, CHI_ABI_MINOR};
use chimaera_ipc::wire::{self, Kind, Message, WIRE_VERSION};
use chimaera_tests::raw::{dial, say, Link, Random};
use serde_json::{json, Value};

const MAGIC: u32 = 0x4348_494d;

/// Sends to a peer that may be gone or may refuse the message, which does not matter here.
fn try_say(socket: &OwnedFd, bytes: &[u8]) {
    let _ = say(socket.as_fd(), bytes);
}

fn try_send(socket: &OwnedFd, kind: Kind, words: &[u64], fds: &[BorrowedFd<'_>]) {
    let _ = wire::send(socket.as_fd(), &Message::new(kind, words), fds);
}

fn hello(segment: u64) -> [u64; 4] {
    [WIRE_VERSION, CHI_ABI_MAJOR.into(), CHI_ABI_MINOR.into(), segment]
}

pub(crate) fn attack(seed: u64, rounds: u64) -> Value {
    let mut random = Random::new(seed);
    let mut refused = 0_u64;
    for _ in 0..rounds {
        let Ok(socket) = dial() else {
            refused += 1;
            continue;
        };
        let what = random.below(12);
        match what {
            0 => {}
            1 => try_say(&socket, &[]),
            2 => {
                for _ in 0..random.below(8) {
                    let len = random.below(2000) as usize;
                    try_say(&socket, &random.bytes(len));
                }
            }
            // The right magic, with any kind and any length.
            3 => {
                let mut bytes = MAGIC.to_le_bytes().to_vec();
                bytes.extend((random.below(8) as u32).to_le_bytes());
                let len = random.below(1200) as usize;
                bytes.extend(random.bytes(len));
                try_say(&socket, &bytes);
            }
            4 => {
                let len = 100_000;
                try_say(&socket, &random.bytes(len));
            }
            // Out of order.
            5 => try_send(&socket, Kind::Ring, &[], &[]),
            6 => try_send(&socket, Kind::Mapped, &[random.next()], &[]),
            7 => {
                let kinds = [
                    Kind::Hello,
                    Kind::Welcome,
                    Kind::Mapped,
                    Kind::Ring,
                    Kind::Refused,
                    Kind::Completions,
                    Kind::Published,
                ];
                for _ in 0..random.below(20) {
                    let words = [random.next(), random.next(), random.below(4), random.next()];
                    try_send(&socket, *random.pick(&kinds), &words, &[]);
                }
            }
            // A version and a size.
            8 => try_send(&socket, Kind::Hello, &[random.below(3), random.below(3), 0, 0], &[]),
            9 => try_send(&socket, Kind::Hello, &hello(random.next()), &[]),
            // With descriptors, which newer kernels refuse.
            10 => {
                let own = [socket.as_fd(), socket.as_fd()];
                try_send(&socket, Kind::Hello, &hello(0), &own);
                try_send(&socket, Kind::Hello, &hello(0), &own);
                try_send(&socket, Kind::Hello, &hello(0), &[]);
            }
            // A valid session, and then more of the same.
            _ => {
                if let Ok(link) = Link::open(0) {
                    for _ in 0..random.below(100) {
                        try_send(&link.socket, Kind::Ring, &[], &[]);
                    }
                    // Completion queues, most of them where none can be.
                    for _ in 0..random.below(30) {
                        let offset = match random.once_in(3) {
                            true => random.next(),
                            false => 64 * random.below(1 << 22),
                        };
                        let words = [random.below(18), offset, random.below(1 << 21)];
                        try_send(&link.socket, Kind::Completions, &words, &[]);
                    }
                    for _ in 0..random.below(30) {
                        try_send(
                            &link.socket,
                            Kind::Published,
                            &[random.below(2), random.next()],
                            &[],
                        );
                    }
                    let len = random.below(64) as usize;
                    try_say(&link.socket, &random.bytes(len));
                }
            }
        }
        // After some of these, the runtime waits for more and does not answer.
        if !matches!(what, 0..=2 | 7 | 11) && random.once_in(4) {
            let _ = wire::receive(socket.as_fd());
        }
    }
    json!({ "seed": seed, "rounds": rounds, "refused": refused })
}

/// Connects and sends nothing until standard input ends.
pub(crate) fn hold(count: u64) -> Value {
    let sockets: Vec<OwnedFd> = (0..count).filter_map(|_| dial().ok()).collect();
    println!("{}", json!({ "connected": sockets.len() }));
    // Reading ends with the input or with an error; either will do.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    json!({ "connected": sockets.len() })
}
