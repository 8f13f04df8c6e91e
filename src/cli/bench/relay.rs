//! The machine's floor of a task that runs in a third process: an entry that one process passes on
//! through a second pair of rings, and back, without a runtime.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use chimaera_ipc::layout::Layout;
use chimaera_ipc::ring::{Consumer, Entry, Producer};
use chimaera_ipc::segment::{self, Mapping};

use crate::context::{Failed, Outcome};

/// The rings of a segment: to the other process and back.
pub(super) const THERE: u64 = 0;
pub(super) const BACK: u64 = 1;

/// Looks into empty rings between which a process keeps its core. Three processes may share two cores:
/// whoever has the next entry may be waiting for one.
const LOOKS: u32 = 16;

#[derive(clap::Args)]
pub(crate) struct RelayArgs {
    /// The file descriptor of the segment from which entries come
    from: RawFd,
    /// That of the segment through which they are passed on; without one, they are sent back
    to: Option<RawFd>,
}

/// Looks for something until it is there.
#[inline]
pub(super) fn until_found<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut looks = 0;
    loop {
        if let Some(found) = look() {
            return found;
        }
        looks += 1;
        if looks % LOOKS == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

/// An end of two rings.
pub(super) struct End {
    out: Producer,
    into: Consumer,
    // Dropped after the rings in it.
    _mapping: Mapping,
}

impl End {
    pub(super) fn new(fd: BorrowedFd<'_>, (out, into): (u64, u64)) -> Result<End, Failed> {
        let mapping = Mapping::new(fd, Layout::of(0))?;
        let (out, into) = (Producer::new(mapping.ring(out)), Consumer::new(mapping.ring(into)));
        Ok(End { out, into, _mapping: mapping })
    }

    /// The end in this process of a segment of which another process has the other end.
    pub(super) fn inherited(fd: RawFd, rings: (u64, u64)) -> Result<End, Failed> {
        // SAFETY: the parent process left the segment's descriptor open for this process alone.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        End::new(fd.as_fd(), rings)
    }

    #[inline]
    pub(super) fn send(&mut self, entry: Entry) {
        self.out.push(entry).expect("fewer entries are on their way than a ring holds");
    }

    /// The next entry, if there is one.
    #[inline]
    pub(super) fn look(&mut self) -> Option<Entry> {
        let entry = self.into.pop()?;
        self.into.show_progress();
        Some(entry.expect("the other side writes valid entries"))
    }
}

/// Two processes: one that passes entries on, and one that sends them back. Between rounds they sleep in
/// a read.
pub(super) struct Relay {
    children: [Child; 2],
    end: End,
    position: u64,
}

impl Relay {
    pub(super) fn start() -> Result<Relay, Failed> {
        let segments = [segment::create(&Layout::of(0))?, segment::create(&Layout::of(0))?];
        let [near, far] = [segments[0].as_raw_fd(), segments[1].as_raw_fd()];
        let children = [start("relay", &[near, far])?, start("relay", &[far])?];
        Ok(Relay { children, end: End::new(segments[0].as_fd(), (THERE, BACK))?, position: 0 })
    }

    /// Prepares a round of `count` entries.
    pub(super) fn start_round(&mut self, count: u32) -> Outcome {
        self.children.iter_mut().try_for_each(|child| order(child, count))
    }

    /// Sends one entry.
    #[inline]
    pub(super) fn send(&mut self) {
        self.position += 1;
        self.end.send(Entry::Submit { offset: self.position % 1024 * 64 });
    }

    /// Waits until one has come back.
    #[inline]
    pub(super) fn receive(&mut self) {
        until_found(|| self.end.look());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for child in &mut self.children {
            // Closing its input ends the process.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

/// Tells a process that `start` started to do something `count` times.
pub(super) fn order(child: &mut Child, count: u32) -> Outcome {
    Ok(child.stdin.as_mut().expect("stdin is piped").write_all(&count.to_le_bytes())?)
}

/// Starts the process `bench NAME` with these descriptors, which must be open.
pub(super) fn start(name: &str, descriptors: &[RawFd]) -> Result<Child, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", name]).args(descriptors.iter().map(RawFd::to_string));
    command.stdin(Stdio::piped());
    let descriptors = descriptors.to_vec();
    // SAFETY: the call may be made between fork and exec; the descriptors are open.
    unsafe {
        command.pre_exec(move || {
            for descriptor in &descriptors {
                let fd = BorrowedFd::borrow_raw(*descriptor);
                rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
            }
            Ok(())
        });
    }
    Ok(command.spawn()?)
}

/// Runs the side of one of the two processes.
pub(super) fn serve(args: &RelayArgs) -> Outcome {
    let mut from = End::inherited(args.from, (BACK, THERE))?;
    let mut to = args.to.map(|fd| End::inherited(fd, (THERE, BACK))).transpose()?;
    let mut count = [0; 4];
    let mut input = std::io::stdin().lock();
    while input.read_exact(&mut count).is_ok() {
        let mut left = u32::from_le_bytes(count);
        while left > 0 {
            until_found(|| match &mut to {
                None => {
                    let entry = from.look()?;
                    from.send(entry);
                    left -= 1;
                    Some(())
                }
                Some(to) => {
                    let there = from.look().map(|entry| to.send(entry));
                    let back = to.look().map(|entry| {
                        from.send(entry);
                        left -= 1;
                    });
                    there.or(back)
                }
            });
        }
    }
    Ok(())
}
