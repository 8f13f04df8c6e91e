//! A module host that breaks the rules, in the way that the name of its pool begins with; behind a dash it
//! has a seed. A daemon starts it instead of the program `chimaera`.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chimaera::abi::*;
use chimaera_ipc::layout::{Layout, DEFAULT_SHARE};
use chimaera_ipc::ring::{Consumer, Entry, Producer};
use chimaera_ipc::segment::{self, Mapping};
use chimaera_ipc::wire::{self, Kind, Message, Received};
use chimaera_tests::raw::Random;
use rustix::event::{eventfd, EventfdFlags};
use rustix::fs::{MemfdFlags, SealFlags};

/// How long it lives.
const LIFE: Duration = Duration::from_millis(400);
const SEGMENT: u64 = 16 << 20;

/// A link that the daemon has asked for.
struct Link {
    mapping: Mapping,
    bell: OwnedFd,
    submissions: Consumer,
    completions: Producer,
}

struct Host {
    socket: OwnedFd,
    how: String,
    random: Random,
    links: Vec<Link>,
    /// What the daemon has opened, and never used.
    taken: Vec<(Message, Vec<OwnedFd>)>,
}

fn main() {
    let socket = rustix::io::dup(rustix::stdio::stdin()).expect("standard input is open");
    let Ok(Received::Message(_, fds)) = wire::receive(socket.as_fd()) else { return };
    let mut orders = String::new();
    let memfd = fds.into_iter().next().expect("the orders come in a memfd");
    let mut file = File::from(memfd);
    std::io::Seek::rewind(&mut file).expect("it is a file");
    file.read_to_string(&mut orders).expect("they are text");
    let orders: serde_json::Value = serde_json::from_str(&orders).expect("they are JSON");
    let name = orders["name"].as_str().expect("the pool has a name");
    let (how, seed) = name.split_once('-').expect("a way and a seed");
    let random = Random::new(seed.parse().expect("a number"));
    rustix::io::ioctl_fionbio(&socket, true).expect("a socket can be asked without waiting");
    let mut host =
        Host { socket, how: how.to_owned(), random, links: Vec::new(), taken: Vec::new() };
    host.live();
}

impl Host {
    fn is(&self, how: &str) -> bool {
        self.how == how
    }

    fn say(&self, message: &Message, fds: &[BorrowedFd<'_>]) {
        // The daemon may have given up.
        let _ = wire::send(self.socket.as_fd(), message, fds);
    }

    fn live(&mut self) {
        match &*self.how {
            "dies" => return,
            "garbage" => {
                let bytes = self.random.bytes(100);
                let _ = rustix::net::send(&self.socket, &bytes, rustix::net::SendFlags::NOSIGNAL);
            }
            "refuses" => {
                let text = "x".repeat(1024);
                let refusal = Message::refused(CHI_OK, text.clone());
                self.say(&Message { words: [0, u64::MAX, 7, 7, 7, 7], ..refusal }, &[]);
            }
            _ => self.say(&Message::new(Kind::Ready, &[1]), &[]),
        }
        let until = Instant::now() + LIFE;
        while Instant::now() < until {
            if self.is("talks") {
                self.talk();
            }
            while let Ok(Received::Message(message, fds)) = wire::receive(self.socket.as_fd()) {
                match message.kind {
                    Kind::End => return,
                    Kind::Link if fds.is_empty() => self.open(message.words[0]),
                    Kind::Link => self.taken.push((message, fds)),
                    Kind::Save => self.save(message.words[0]),
                    Kind::Lend => self.borrow(&message),
                    Kind::Waits => self.tell_waits(message.words[0]),
                    _ => {}
                }
            }
            self.scribble_into_sessions();
            for at in 0..self.links.len() {
                self.serve(at);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Messages that nobody has asked for.
    fn talk(&mut self) {
        let kinds = [
            Kind::Ready,
            Kind::Done,
            Kind::Pool,
            Kind::Link,
            Kind::Refused,
            Kind::Orders,
            Kind::Hello,
            Kind::Resume,
            Kind::Lend,
            Kind::TakeBack,
            Kind::Faulted,
        ];
        let kind = *self.random.pick(&kinds);
        let words: Vec<u64> = (0..6)
            .map(|_| match self.random.below(3) {
                0 => self.random.next(),
                _ => self.random.below(8),
            })
            .collect();
        self.say(&Message::new(kind, &words).saying("a\0b"), &[]);
    }

    /// Opens a link that the daemon asks for.
    fn open(&mut self, worker: u64) {
        if self.is("dies_at_link") {
            std::process::exit(0);
        }
        if self.is("silent") {
            return;
        }
        let layout = Layout::divided(SEGMENT, DEFAULT_SHARE);
        let memfd = segment::create(&layout).expect("there is memory");
        let bell =
            || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd");
        let (doorbell, bell) = (bell(), bell());
        let mut answer = Message::new(Kind::Link, &[worker, layout.size, DEFAULT_SHARE]);
        if self.is("opens_wrongly") {
            let small = rustix::fs::memfd_create("small", MemfdFlags::CLOEXEC).unwrap();
            match self.random.below(7) {
                0 => answer.words[1] = self.random.next(),
                1 => answer.words[2] = self.random.next(),
                2 => answer.words[0] = self.random.next(),
                3 => return self.say(&answer, &[memfd.as_fd()]),
                4 => return self.say(&answer, &[small.as_fd(), doorbell.as_fd(), bell.as_fd()]),
                5 => return self.say(&answer, &[bell.as_fd(), memfd.as_fd(), bell.as_fd()]),
                _ => answer.words[1] = SEGMENT * 2,
            }
            return self.say(&answer, &[memfd.as_fd(), doorbell.as_fd(), bell.as_fd()]);
        }
        let mapping = Mapping::new(memfd.as_fd(), layout).expect("it is a segment");
        let submissions = Consumer::new(mapping.ring(0));
        let completions = Producer::new(mapping.ring(layout.rings - 1));
        self.say(&answer, &[memfd.as_fd(), doorbell.as_fd(), bell.as_fd()]);
        // A second one, which is one too many.
        self.say(&answer, &[memfd.as_fd(), doorbell.as_fd(), bell.as_fd()]);
        self.links.push(Link { mapping, bell, submissions, completions });
    }

    /// Says that it has mapped a segment, or that it cannot, or both, or nothing.
    fn borrow(&mut self, offer: &Message) {
        let done = Message::new(Kind::Done, &[offer.words[0], 0]);
        let failed = Message::new(Kind::Done, &[offer.words[0], u64::from(CHI_IO as u32)]);
        match &*self.how {
            "borrows" => self.say(&done, &[]),
            "borrows_nothing" => self.say(&failed.saying("x".repeat(1000)), &[]),
            "faults" => {
                self.say(&done, &[]);
                for number in [offer.words[1], offer.words[1] + 1, 0, u64::MAX] {
                    self.say(&Message::new(Kind::Faulted, &[number]), &[]);
                }
            }
            "lies" => {
                self.say(&done, &[]);
                self.say(&failed, &[]);
            }
            _ => {}
        }
    }

    /// Answers a question for the states with something else.
    fn save(&mut self, number: u64) {
        let (reader, _writer) = rustix::pipe::pipe().expect("a pipe");
        let memfd = rustix::fs::memfd_create("x", MemfdFlags::CLOEXEC).unwrap();
        match self.random.below(4) {
            0 => self.say(&Message::new(Kind::Done, &[number, 0]), &[]),
            1 => self.say(&Message::new(Kind::Done, &[number, 0]), &[reader.as_fd()]),
            2 => self.say(&Message::new(Kind::Done, &[number, 0]), &[memfd.as_fd()]),
            _ => self.say(&Message::new(Kind::Done, &[number + 1, 0]), &[]),
        }
    }

    /// Answers a question about waiting tasks with something else, or with tasks that wait for anything.
    fn tell_waits(&mut self, number: u64) {
        let memfd = |text: &[u8]| {
            let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
            let memfd = rustix::fs::memfd_create("x", flags).expect("there is memory");
            rustix::io::write(&memfd, text).expect("there is memory");
            let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
            rustix::fs::fcntl_add_seals(&memfd, seals).expect("it can be sealed");
            memfd
        };
        let (reader, _writer) = rustix::pipe::pipe().expect("a pipe");
        let answer = match self.random.below(4) {
            0 => reader,
            1 => memfd(&self.random.bytes(1000)),
            2 => memfd(&b"[".repeat(100_000)),
            _ => {
                let at = |random: &mut Random| {
                    let (worker, task) = (random.below(3), random.below(SEGMENT / 64) * 64);
                    serde_json::json!({"worker": worker, "task": task})
                };
                let mut chain = || {
                    let ends = serde_json::json!({
                        "came": at(&mut self.random),
                        "went": at(&mut self.random),
                    });
                    serde_json::json!({"ends": ends, "waits": 1})
                };
                let chains: Vec<_> = (0..1000).map(|_| chain()).collect();
                memfd(serde_json::json!({"Chains": chains}).to_string().as_bytes())
            }
        };
        self.say(&Message::new(Kind::Done, &[number, 0]), &[answer.as_fd()]);
    }

    /// Writes anything into the sessions that the daemon has opened for it.
    fn scribble_into_sessions(&mut self) {
        for (message, fds) in std::mem::take(&mut self.taken) {
            let [_, size, share, ..] = message.words;
            let layout = Layout::divided(size, share);
            let Ok(mapping) = Mapping::new(fds[0].as_fd(), layout) else { continue };
            for _ in 0..1000 {
                let at = self.random.below(layout.client_arena / 8) * 8;
                // SAFETY: the word is inside the segment, and aligned.
                let word = unsafe { mapping.double_word(at) };
                word.store(self.random.next(), Ordering::Relaxed);
            }
            let _ = rustix::io::write(&fds[1], &1_u64.to_ne_bytes());
        }
    }

    /// Takes tasks, and ends them in some way.
    fn serve(&mut self, at: usize) {
        let random = &mut self.random;
        let link = &mut self.links[at];
        let size = link.mapping.layout().size;
        while let Some(entry) = link.submissions.pop() {
            if self.how == "dies_at_task" {
                std::process::exit(1);
            }
            if self.how == "keeps" {
                continue;
            }
            let Some(Entry::Submit { offset }) = entry else { continue };
            if self.how == "lies" {
                for word in 1..40 {
                    let value = match random.below(6) {
                        0 => random.next(),
                        1 => random.below(size),
                        2 => random.below(size / 64) * 64,
                        3 => random.below(4096),
                        _ => continue,
                    };
                    // SAFETY: the daemon puts tasks inside the segment, aligned, and the arenas have more
                    // behind it.
                    let word = unsafe { link.mapping.double_word(offset + word * 8) };
                    word.store(value, Ordering::Relaxed);
                }
            }
            if self.how == "borrows" {
                // Only the results of a task that has succeeded are taken.
                let status = offset + std::mem::offset_of!(chi_task, status_) as u64;
                // SAFETY: as above.
                unsafe { link.mapping.word(status) }.store(CHI_OK as u32, Ordering::Relaxed);
                // SAFETY: as above.
                lie_about_references(random, |word| unsafe {
                    link.mapping.double_word(offset + word * 8)
                });
            }
            // SAFETY: as above.
            let state = unsafe {
                link.mapping.word(offset + std::mem::offset_of!(chi_task, state_) as u64)
            };
            let more = if self.how == "lies" { random.next() as u32 } else { 0 };
            state.store(CHI_TASK_COMPLETE | more, Ordering::Release);
            let _ = link.completions.push(Entry::Submit { offset });
            // Once more, and for a task that there never was.
            let _ = link.completions.push(Entry::Submit { offset });
            let offset = random.below(size / 64) * 64;
            let _ = link.completions.push(Entry::Submit { offset });
        }
        if self.how == "scribbles" {
            for _ in 0..10_000 {
                let at = random.below(size / 8) * 8;
                // SAFETY: the word is inside the segment, and aligned.
                let word = unsafe { link.mapping.double_word(at) };
                word.store(random.next(), Ordering::Relaxed);
            }
        }
        // It fails if the counter is full.
        let _ = rustix::io::write(&link.bell, &1_u64.to_ne_bytes());
    }
}

/// Changes the references of a task to the segment of its client. `word` is one of the task's.
fn lie_about_references<'t>(random: &mut Random, word: impl Fn(u64) -> &'t AtomicU64) {
    for at in (8..40).filter(|at| word(*at).load(Ordering::Relaxed) >> CHI_SHM_OFFSET_BITS != 0) {
        let (shm, size) = (word(at), word(at + 2));
        let found = shm.load(Ordering::Relaxed);
        if found >> CHI_SHM_OFFSET_BITS > 1024 {
            continue;
        }
        match random.below(8) {
            0 => shm.store(found ^ 1 << random.below(64), Ordering::Relaxed),
            1 => shm.store(random.next(), Ordering::Relaxed),
            2 => shm.store(found + (1 << CHI_SHM_OFFSET_BITS), Ordering::Relaxed),
            3 => size.store(random.next() >> random.below(64), Ordering::Relaxed),
            // In the place of another one.
            4 => word(8 + random.below(20)).store(found, Ordering::Relaxed),
            5 => size.store(random.below(20_000), Ordering::Relaxed),
            _ => {}
        }
    }
}
