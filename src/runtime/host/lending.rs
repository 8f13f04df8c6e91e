//! Lending the segments of clients to a module host: a large string or vector that lies in the segment of the
//! client which has sent the task is not copied into the link, but referred to where it is.
//!
//! A segment is lent to a host when a task of its client first needs it there, and a reference to it is sent
//! only once the host has said that it has mapped it. Until then, and if it cannot, bytes are copied: nobody
//! waits.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, Weak};

use chimaera_abi::{chi_shm_ptr, chi_shm_vector, CHI_SHM_OFFSET_BITS};
use chimaera_ipc::wire::{self, Kind, Message};

use super::peer::Peer;
use crate::session::{Borrower, Loan, LoanState, Session};
use crate::sys::lock;

/// How many segments a module host may have mapped: each takes one of the 4096 places for guarded segments in
/// its process.
pub(crate) const MOST_SEGMENTS: u16 = 1024;
/// How many bytes of addresses they may take together: a small part of the 2^47 that a process has.
const MOST_ADDRESSES: u64 = 1 << 44;
/// Strings and vectors with less room than this are copied: the copies cost less than a few faults on pages
/// that the host has not touched yet, and a client that sends nothing larger does not need to be mapped there.
const LEAST_REFERRED: u64 = 16 << 10;

/// How many messages about segments the host may have to answer: a host that does not listen must not find its
/// socket full of them.
const MOST_UNANSWERED: usize = 32;

/// A segment that a host may have mapped.
struct Lent {
    session: u64,
    addresses: u64,
    /// The host has reported a fault.
    has_faulted: bool,
}

#[derive(Default)]
struct Books {
    /// By number.
    lent: HashMap<u16, Lent>,
    addresses: u64,
    /// The questions by which segments have been offered. The host may have answered some.
    offers: Vec<u64>,
    /// Numbers of segments that the host has to be told to unmap.
    overdue: Vec<u16>,
    /// The questions by which it has been told to. It may have answered some.
    told: Vec<u64>,
    /// It gets no more segments, because it could not map one.
    refuses: bool,
    /// The log says that it has as many as it may have.
    is_full: bool,
}

/// What a module host has mapped, by the books of the daemon.
#[derive(Default)]
pub(super) struct Lending(Mutex<Books>);

impl Books {
    fn number_for(&mut self, pid: i32, addresses: u64) -> Option<u16> {
        let has_room = self.lent.len() < usize::from(MOST_SEGMENTS)
            && addresses <= MOST_ADDRESSES - self.addresses;
        if !has_room {
            if !std::mem::replace(&mut self.is_full, true) {
                let (segments, addresses) = (self.lent.len(), self.addresses >> 20);
                tracing::warn!(
                    pid,
                    segments,
                    mib = addresses,
                    "a module host has mapped as many segments as it may: large strings and vectors of further \
                     clients are copied until others have left"
                );
            }
            return None;
        }
        (1..=MOST_SEGMENTS).find(|number| !self.lent.contains_key(number))
    }

    /// Tells the host what it has to unmap, as far as it listens. What it was not told of keeps its number.
    fn tell(&mut self, peer: &Peer) {
        self.told.retain(|question| match peer.take_answer(*question) {
            Some(_) => {
                peer.forget(*question);
                false
            }
            None => true,
        });
        while let Some(&number) = self.overdue.last() {
            if self.told.len() >= MOST_UNANSWERED {
                return;
            }
            let question = peer.ask();
            let message = Message::new(Kind::TakeBack, &[question, number.into()]);
            if wire::send(peer.socket.as_fd(), &message, &[]).is_err() {
                peer.forget(question);
                return;
            }
            self.told.push(question);
            self.overdue.pop();
            let taken = self.lent.remove(&number);
            self.addresses -= taken.map_or(0, |lent| lent.addresses);
        }
    }

    fn refuse(&mut self, peer: &Peer, why: &str) {
        if !std::mem::replace(&mut self.refuses, true) {
            tracing::warn!(
                pid = peer.pid,
                why,
                "a module host cannot map a client's segment: large strings and vectors of further clients are \
                 copied"
            );
        }
    }
}

impl Borrower for Peer {
    fn is_gone(&self) -> bool {
        self.lost().is_some()
    }

    fn take_back(&self, loan: &Loan) {
        if self.is_gone() {
            return;
        }
        let mut books = lock(&self.lending.0);
        if loan.state() == LoanState::Offered {
            self.forget(loan.question);
        }
        books.overdue.push(loan.number);
        books.tell(self);
    }
}

impl Peer {
    /// The loan of a session's segment to this module host; begins it if there is none.
    fn loan_of(self: &Arc<Self>, session: &Session) -> Option<Arc<Loan>> {
        let loan = session.loan_to(Arc::as_ptr(self).cast(), || self.lend(session))?;
        if loan.state() == LoanState::Offered {
            if let Some(answer) = self.take_answer(loan.question) {
                self.forget(loan.question);
                loan.set_state(match answer {
                    Ok(_) => LoanState::Mapped,
                    Err(failure) => {
                        lock(&self.lending.0).refuse(self, &failure.message);
                        LoanState::Refused
                    }
                });
            }
        }
        Some(loan)
    }

    #[cold]
    fn lend(self: &Arc<Self>, session: &Session) -> Option<Arc<Loan>> {
        let mut books = lock(&self.lending.0);
        books.tell(self);
        if books.offers.len() >= MOST_UNANSWERED {
            // The clients of some may not have sent a task since.
            books.offers.retain(|question| self.is_open(*question));
        }
        if books.refuses || books.offers.len() >= MOST_UNANSWERED || self.is_gone() {
            return None;
        }
        let layout = *session.mapping.layout();
        let number = books.number_for(self.pid, layout.size)?;
        let question = self.ask();
        let words = [question, number.into(), layout.size, layout.share()];
        let offer = Message::new(Kind::Lend, &words);
        if let Err(error) = wire::send(self.socket.as_fd(), &offer, &[session.segment.as_fd()]) {
            self.forget(question);
            if error.kind() != std::io::ErrorKind::WouldBlock {
                books.refuse(self, &format!("it cannot be sent there: {error}"));
            }
            return None;
        }
        let (session, addresses) = (session.number, layout.size);
        books.lent.insert(number, Lent { session, addresses, has_faulted: false });
        books.addresses += addresses;
        books.offers.push(question);
        let own: Weak<Self> = Arc::downgrade(self);
        Some(Arc::new(Loan::new(own, number, question)))
    }

    /// Goes on telling the module host what it has to unmap, once it has answered something.
    pub(crate) fn go_on_taking_back(&self) {
        let mut books = lock(&self.lending.0);
        if !books.told.is_empty() || !books.overdue.is_empty() {
            books.tell(self);
        }
    }

    /// Notes a fault in the segment that has this number in the host. Returns its session, the first time.
    pub(crate) fn note_fault(&self, number: u64) -> Option<u64> {
        let number = u16::try_from(number).ok()?;
        let mut books = lock(&self.lending.0);
        let lent = books.lent.get_mut(&number)?;
        (!std::mem::replace(&mut lent.has_faulted, true)).then_some(lent.session)
    }
}

/// Whoever may lend what a task refers to.
pub(crate) struct Lender<'l> {
    /// The module host; `None` if the loan is known.
    host: Option<&'l Arc<Peer>>,
    session: &'l Session,
    loan: OnceCell<Option<Arc<Loan>>>,
}

impl<'l> Lender<'l> {
    /// For a task of this session, which is a client's, that is about to be sent to a module host.
    pub(crate) fn new(host: &'l Arc<Peer>, session: &'l Session) -> Lender<'l> {
        Lender { host: Some(host), session, loan: OnceCell::new() }
    }

    /// One whose segment has been mapped.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn of_loan(session: &'l Session, loan: Arc<Loan>) -> Lender<'l> {
        Lender { host: None, session, loan: OnceCell::from(Some(loan)) }
    }

    /// A reference to a string or vector, as methods see it, with `room` bytes; `None` if it has to be copied.
    #[inline]
    pub(super) fn refer(&self, vector: &chi_shm_vector, room: u64) -> Option<chi_shm_ptr> {
        match room >= LEAST_REFERRED {
            true => self.refer_to_large(vector, room),
            false => None,
        }
    }

    fn refer_to_large(&self, vector: &chi_shm_vector, room: u64) -> Option<chi_shm_ptr> {
        let mapping = &self.session.mapping;
        let start = mapping.offset_of(vector.data_.cast())?;
        let layout = mapping.layout();
        // What a method may not write is in the runtime's arena, from which the host knows it.
        let is_as_taken = vector.capacity_ > 0 || start >= layout.runtime_arena;
        if start < layout.client_arena || mapping.find(start, room).is_none() || !is_as_taken {
            return None;
        }
        let loan = self.loan.get_or_init(|| self.host?.loan_of(self.session));
        let loan = loan.as_ref().filter(|loan| loan.state() == LoanState::Mapped)?;
        Some(u64::from(loan.number) << CHI_SHM_OFFSET_BITS | start)
    }

    /// Whether a large string or vector had to be copied because the host has not answered.
    pub(crate) fn waits(&self) -> bool {
        let loan = self.loan.get().and_then(Option::as_ref);
        loan.is_some_and(|loan| loan.state() == LoanState::Offered)
    }

    /// What a task keeps that refers to the segment.
    pub(super) fn loan(&self) -> Option<Arc<Loan>> {
        self.loan.get().cloned().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use chimaera_abi::CHI_NO_SPACE;
    use chimaera_ipc::wire::Received;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    use super::*;
    use crate::failure::Failure;
    use crate::session::SessionRef;

    /// A daemon's end of the connection to a host, and the host's.
    fn peer() -> (Arc<Peer>, OwnedFd) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
                .unwrap();
        (Arc::new(Peer::of_daemon(ours, 1, 1)), theirs)
    }

    fn heard(socket: &OwnedFd) -> Option<(Message, usize)> {
        match wire::receive(socket.as_fd()) {
            Ok(Received::Message(message, fds)) => Some((message, fds.len())),
            _ => None,
        }
    }

    /// A vector of this size at the beginning of the client's arena.
    fn large(session: &Session, size: u64) -> chi_shm_vector {
        let at = session.mapping.layout().client_arena;
        // SAFETY: the arena is inside the segment.
        let data_ = unsafe { session.mapping.address(at) }.as_ptr().cast();
        let (size_, capacity_) = (size, size);
        chi_shm_vector { shm_: at, data_, size_, capacity_, offset_in_task_: 0, reserved_: 0 }
    }

    fn refer(peer: &Arc<Peer>, session: &SessionRef, size: u64) -> Option<chi_shm_ptr> {
        Lender::new(peer, session).refer(&large(session, size), size)
    }

    #[test]
    fn a_segment_is_lent_when_it_is_needed_and_taken_back_when_it_is_not() {
        let (peer, socket) = peer();
        let session = Session::without_client(5).unwrap();
        assert_eq!(refer(&peer, &session, LEAST_REFERRED - 1), None);
        assert!(heard(&socket).is_none());
        // It is offered once. Until the host has answered, bytes are copied.
        assert_eq!(refer(&peer, &session, LEAST_REFERRED), None);
        let (offer, descriptors) = heard(&socket).unwrap();
        assert_eq!((offer.kind, descriptors), (Kind::Lend, 1));
        let layout = *session.mapping.layout();
        let [question, number, size, share, ..] = offer.words;
        assert_eq!((number, size, share), (1, layout.size, layout.share()));
        let lender = Lender::new(&peer, &session);
        assert_eq!(lender.refer(&large(&session, 1 << 20), 1 << 20), None);
        assert!(lender.waits() && heard(&socket).is_none());
        drop(lender);
        peer.answered(question, Ok(None));
        let shm = refer(&peer, &session, LEAST_REFERRED).unwrap();
        assert_eq!(shm, 1 << CHI_SHM_OFFSET_BITS | layout.client_arena);
        assert_eq!([2, 1, 1].map(|number| peer.note_fault(number)), [None, Some(5), None]);
        // Only what lies inside the arenas.
        assert_eq!(refer(&peer, &session, layout.size - layout.client_arena + 1), None);
        // A task keeps it after the end of the session.
        let lender = Lender::new(&peer, &session);
        assert!(lender.refer(&large(&session, 1 << 20), 1 << 20).is_some());
        let task = lender.loan();
        drop(lender);
        drop(session);
        assert!(heard(&socket).is_none());
        drop(task);
        let (message, _) = heard(&socket).unwrap();
        assert_eq!((message.kind, message.words[1]), (Kind::TakeBack, 1));
        assert_eq!(peer.note_fault(1), None);
    }

    #[test]
    fn a_host_that_refuses_gets_no_more() {
        let (peer, socket) = peer();
        let (first, second) =
            (Session::without_client(1).unwrap(), Session::without_client(2).unwrap());
        assert_eq!(refer(&peer, &first, LEAST_REFERRED), None);
        let (offer, _) = heard(&socket).unwrap();
        peer.answered(offer.words[0], Err(Failure::new(CHI_NO_SPACE, "no")));
        for session in [&first, &second, &first] {
            assert_eq!(refer(&peer, session, LEAST_REFERRED), None);
            assert!(!Lender::new(&peer, session).waits());
        }
        assert!(heard(&socket).is_none());
        // Another process begins anew, and what the lost one had is of no interest.
        peer.lose("gone");
        let (next, socket) = self::peer();
        assert_eq!(refer(&next, &first, LEAST_REFERRED), None);
        assert_eq!(heard(&socket).unwrap().0.words[1], 1);
    }

    #[test]
    fn a_host_that_does_not_listen_is_not_told_more_and_more() {
        let (peer, socket) = peer();
        let sessions: Vec<SessionRef> =
            (0..100).map(|number| Session::without_client(number).unwrap()).collect();
        let referred = || {
            let all = sessions.iter();
            all.filter(|session| refer(&peer, session, 1 << 20).is_some()).count()
        };
        let heard_all = || std::iter::from_fn(|| heard(&socket)).collect::<Vec<_>>();
        assert_eq!([referred(), referred()], [0, 0]);
        let mut offers = heard_all();
        assert_eq!(offers.len(), MOST_UNANSWERED);
        let mut lent = 0;
        while !offers.is_empty() {
            lent += offers.len();
            for (offer, _) in offers {
                peer.answered(offer.words[0], Ok(None));
            }
            // The others are offered though the first ones are not asked for again.
            sessions[lent..].iter().for_each(|session| {
                assert!(refer(&peer, session, 1 << 20).is_none());
            });
            offers = heard_all();
        }
        assert_eq!(referred(), 100);
        drop(sessions);
        let mut count = 0;
        loop {
            let told = heard_all();
            assert!(told.len() <= MOST_UNANSWERED);
            if told.is_empty() {
                break;
            }
            count += told.len();
            for (message, _) in told {
                peer.answered(message.words[0], Ok(None));
            }
            peer.go_on_taking_back();
        }
        assert_eq!(count, 100);
    }

    #[test]
    fn segments_and_addresses_of_a_host_are_bounded() {
        let mut books = Books::default();
        let lend = |books: &mut Books, addresses| {
            let number = books.number_for(1, addresses)?;
            books.lent.insert(number, Lent { session: 1, addresses, has_faulted: false });
            books.addresses += addresses;
            Some(number)
        };
        for number in 1..=MOST_SEGMENTS {
            assert_eq!(lend(&mut books, 4 << 20), Some(number));
        }
        assert_eq!(lend(&mut books, 4 << 20), None);
        books.lent.remove(&7);
        books.addresses -= 4 << 20;
        assert_eq!(lend(&mut books, 4 << 20), Some(7));
        let mut books = Books::default();
        for number in 1..=16 {
            assert_eq!(lend(&mut books, 1 << 40), Some(number));
        }
        assert_eq!(lend(&mut books, 4 << 20), None);
    }
}
