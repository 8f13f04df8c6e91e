//! The machine's floor without a runtime: the round trip of a cache line between two processes, and
//! of an entry through a bare pair of rings.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use chimaera_ipc::layout::Layout;
use chimaera_ipc::ring::{Consumer, Entry, Producer};
use chimaera_ipc::segment::{self, Mapping};

use super::setup::bind;
use crate::context::{Failed, Outcome};

#[derive(clap::Args)]
pub(crate) struct PeerArgs {
    /// The file descriptor of the segment
    fd: i32,
}

/// The rings of the segment: to the peer and back.
const THERE: u64 = 0;
const BACK: u64 = 1;

const LINE: u8 = b'l';
const RING: u8 = b'r';

/// The peer process. Between rounds it sleeps in a read, so that it takes no time from other
/// measurements.
pub(super) struct Peer {
    child: Child,
    mapping: Mapping,
    there: Producer,
    back: Consumer,
    turn: u64,
    position: u64,
}

fn word(mapping: &Mapping) -> &AtomicU64 {
    // SAFETY: the client's arena is aligned to a chunk and inside the segment.
    unsafe { mapping.double_word(mapping.layout().client_arena) }
}

impl Peer {
    pub(super) fn start(core: usize) -> Result<Peer, Failed> {
        let layout = Layout::of(0);
        let fd = segment::create(&layout)?;
        let mapping = Mapping::new(fd.as_fd(), layout)?;
        let number = fd.as_raw_fd();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "peer", &number.to_string()]).stdin(Stdio::piped());
        // SAFETY: both calls may be made between fork and exec; the descriptor is open.
        unsafe {
            command.pre_exec(move || {
                let fd = std::os::fd::BorrowedFd::borrow_raw(number);
                rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
                Ok(bind([core])?)
            });
        }
        let child = command.spawn()?;
        let there = Producer::new(mapping.ring(THERE));
        let back = Consumer::new(mapping.ring(BACK));
        Ok(Peer { child, mapping, there, back, turn: 0, position: 0 })
    }

    fn order(&mut self, what: u8, count: u32) -> Outcome {
        use std::io::Write;
        let mut order = [what, 0, 0, 0, 0];
        order[1..].copy_from_slice(&count.to_le_bytes());
        self.child.stdin.as_mut().expect("stdin is piped").write_all(&order)?;
        Ok(())
    }

    /// Prepares a round of `count` bounces.
    pub(super) fn start_line(&mut self, count: u32) -> Outcome {
        self.order(LINE, count)
    }

    /// Bounces the line once.
    #[inline]
    pub(super) fn bounce(&mut self) {
        let line = word(&self.mapping);
        line.store(self.turn + 1, Ordering::Release);
        self.turn += 2;
        while line.load(Ordering::Acquire) != self.turn {
            std::hint::spin_loop();
        }
    }

    /// Prepares a round of `count` echoes.
    pub(super) fn start_ring(&mut self, count: u32) -> Outcome {
        self.order(RING, count)
    }

    /// Sends one entry and waits for it to come back.
    #[inline]
    pub(super) fn echo(&mut self) {
        self.position += 1;
        let entry = Entry::Submit { offset: self.position % 1024 * 64 };
        self.there.push(entry).expect("the ring is empty");
        loop {
            if let Some(came) = self.back.pop() {
                assert_eq!(came, Some(entry), "the echo differs");
                self.back.show_progress();
                return;
            }
            std::hint::spin_loop();
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Closing its input ends the peer.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs the peer's side.
pub(super) fn serve(args: &PeerArgs) -> Outcome {
    // SAFETY: the parent process left the segment's descriptor open for this process alone.
    let fd = unsafe { OwnedFd::from_raw_fd(args.fd) };
    let mapping = Mapping::new(fd.as_fd(), Layout::of(0))?;
    let (mut there, mut back) =
        (Consumer::new(mapping.ring(THERE)), Producer::new(mapping.ring(BACK)));
    let line = word(&mapping);
    let mut turn = 0;
    let mut order = [0; 5];
    let mut input = std::io::stdin().lock();
    while input.read_exact(&mut order).is_ok() {
        let count = u32::from_le_bytes([order[1], order[2], order[3], order[4]]);
        for _ in 0..count {
            if order[0] == LINE {
                while line.load(Ordering::Acquire) != turn + 1 {
                    std::hint::spin_loop();
                }
                turn += 2;
                line.store(turn, Ordering::Release);
            } else {
                let entry = loop {
                    match there.pop() {
                        Some(entry) => break entry.expect("the other side writes valid entries"),
                        None => std::hint::spin_loop(),
                    }
                };
                there.show_progress();
                back.push(entry).expect("the ring is empty");
            }
        }
    }
    Ok(())
}
