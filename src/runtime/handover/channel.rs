//! The channel between a runtime and its successor: messages over a socket pair (`SOCK_SEQPACKET`), with
//! descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::Serialize;

use super::document::Document;
use crate::sys::{open_sealed, write_sealed};
use chimaera_ipc::wire;

/// The longest message, in bytes: that of a failure.
const MOST: usize = 16 << 10;
/// How many descriptors a message can have.
const DESCRIPTORS: usize = 4;
/// How long to wait before sending again, while too many descriptors are on their way.
const LOOK: Duration = Duration::from_millis(2);

/// One end of the channel.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// A message with its descriptors.
#[derive(Debug)]
pub(crate) struct Received<T> {
    pub(crate) message: T,
    pub(crate) descriptors: Vec<OwnedFd>,
}

/// What has arrived.
#[derive(Debug)]
pub(crate) enum Heard<T> {
    Message(Received<T>),
    /// The other end is closed.
    End,
    Nothing,
}

impl Channel {
    /// The two ends.
    pub(crate) fn pair() -> io::Result<(Channel, Channel)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Channel(one), Channel(other)))
    }

    /// The end with this descriptor.
    pub(crate) fn from_descriptor(descriptor: OwnedFd) -> io::Result<Channel> {
        rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Channel(descriptor))
    }

    /// Sends a message, by `until`.
    pub(crate) fn send(
        &self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
        until: Instant,
    ) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        if bytes.len() > MOST || descriptors.len() > DESCRIPTORS {
            return Err(io::Error::other("a message is too long"));
        }
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                let pushed = control.push(SendAncillaryMessage::ScmRights(descriptors));
                assert!(pushed, "there is space for all descriptors");
            }
            let slices = [IoSlice::new(&bytes)];
            let flags = SendFlags::NOSIGNAL;
            match rustix::net::sendmsg(&self.0, &slices, &mut control, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => wire::ready(self.0.as_fd(), PollFlags::OUT, until)?,
                // The other end has not yet received those that were sent before.
                Err(Errno::TOOMANYREFS) if Instant::now() < until => std::thread::sleep(LOOK),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the next message, if there is one.
    pub(crate) fn take<T: DeserializeOwned>(&self) -> io::Result<Heard<T>> {
        let mut bytes = vec![0; MOST + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            )
        });
        let received = match received {
            Ok(received) => received,
            Err(Errno::AGAIN) => return Ok(Heard::Nothing),
            Err(Errno::CONNRESET) => return Ok(Heard::End),
            Err(error) => return Err(error.into()),
        };
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other("too many open files: raise the limit (ulimit -n)"));
        }
        if received.bytes == 0 {
            return Ok(Heard::End);
        }
        let message = serde_json::from_slice(&bytes[..received.bytes])?;
        Ok(Heard::Message(Received { message, descriptors }))
    }

    /// Waits for the next message, until `until`. `TimedOut` if none has arrived by then.
    pub(crate) fn wait<T: DeserializeOwned>(&self, until: Instant) -> io::Result<Heard<T>> {
        loop {
            match self.take()? {
                Heard::Nothing => wire::ready(self.0.as_fd(), PollFlags::IN, until)?,
                heard => return Ok(heard),
            }
        }
    }

    /// The descriptor of this end.
    pub(crate) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }
}

impl Document {
    /// Writes it to a sealed memfd, whatever its size.
    pub(crate) fn store(&self) -> io::Result<OwnedFd> {
        write_sealed("chimaera-handover", |file| Ok(serde_json::to_writer(file, self)?))
    }

    /// Reads what `store` has written.
    pub(crate) fn load(file: OwnedFd) -> io::Result<Document> {
        Ok(serde_json::from_reader(io::BufReader::new(open_sealed(file)?))?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::{SessionRecord, ToPredecessor, ToSuccessor};
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn messages_arrive_with_their_descriptors() {
        let (one, other) = Channel::pair().expect("there are descriptors");
        assert!(matches!(other.take::<ToSuccessor>(), Ok(Heard::Nothing)));
        let session = SessionRecord {
            number: 7,
            size: 1 << 20,
            share: 50,
            client_base: 1 << 40,
            age_ms: 3,
            rings: vec![(5, vec![64, 128])],
            held: vec![256],
            blocks: vec![(0, 64); 100_000],
            holds: vec![(3, vec![0])],
            queues: vec![(0, 4096, 64)],
            reserved: vec![4],
            published: 2,
        };
        let document = Document {
            next_session: 8,
            next_minor: 9,
            pools: Vec::new(),
            sessions: vec![session],
            greeting: 0,
            has_durable: true,
            clients: Some(7),
        };
        let stored = document.store().expect("there is memory");
        one.send(&ToSuccessor::Take, &[stored.as_fd()], soon()).expect("it is small");
        let Ok(Heard::Message(mut received)) = other.wait::<ToSuccessor>(soon()) else {
            panic!("nothing has arrived")
        };
        assert!(matches!(received.message, ToSuccessor::Take));
        let file = received.descriptors.pop().expect("one was sent");
        let read = Document::load(file).expect("it is valid");
        assert_eq!(read.sessions[0].blocks.len(), 100_000);
        assert_eq!(read.sessions[0].held, [256]);
        other.send(&ToPredecessor::Loaded, &[], soon()).expect("it is small");
        assert!(matches!(
            one.take::<ToPredecessor>(),
            Ok(Heard::Message(Received { message: ToPredecessor::Loaded, .. }))
        ));
        drop(one);
        assert!(matches!(other.take::<ToSuccessor>(), Ok(Heard::End)));
    }

    #[test]
    fn more_descriptors_may_be_sent_than_may_be_on_their_way() {
        let (one, other) = Channel::pair().expect("there are descriptors");
        let sends = std::thread::spawn(move || {
            for number in 0..3000 {
                let socket = one.descriptor().as_fd();
                one.send(&ToSuccessor::Session(number), &[socket; 4], soon()).expect("in time");
            }
        });
        for wanted in 0..3000 {
            match other.wait(soon()) {
                Ok(Heard::Message(Received {
                    message: ToSuccessor::Session(number),
                    descriptors,
                })) => {
                    assert_eq!((number, descriptors.len()), (wanted, 4));
                }
                found => panic!("{found:?}"),
            }
        }
        sends.join().expect("all were sent");
    }
}
