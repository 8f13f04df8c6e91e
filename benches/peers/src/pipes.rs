//! What the system and two libraries have: an eventfd, a pipe, a socket, channels.

use std::os::fd::OwnedFd;

use crossbeam_channel::TryRecvError;
use ipc_channel::ipc::{self, IpcReceiver, IpcSender};
use rustix::event::EventfdFlags;
use rustix::io::{read, write};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::floor::Answerer;
use crate::measure::{bind, Cores, Peer};
use crate::Result;

/// A descriptor to write to, and one to read from.
pub(crate) struct Ends(OwnedFd, OwnedFd, #[expect(dead_code)] Answerer);

impl Peer for Ends {
    fn call(&mut self) -> Result<()> {
        write(&self.0, &1_u64.to_ne_bytes())?;
        read(&self.1, &mut [0_u8; 8])?;
        Ok(())
    }
}

/// Forks a process that answers to `there` in `back`.
fn answer(cores: Cores, there: [OwnedFd; 2], back: [OwnedFd; 2]) -> Result<Ends> {
    let ([hears, calls], [gets, says]) = (there, back);
    let answerer = Answerer::fork(cores, || loop {
        read(&hears, &mut [0_u8; 8])?;
        write(&says, &1_u64.to_ne_bytes())?;
    })?;
    Ok(Ends(calls, gets, answerer))
}

/// Two eventfds.
pub(crate) struct EventFd;

impl EventFd {
    pub(crate) fn start(cores: Cores) -> Result<Ends> {
        let make = || -> Result<[OwnedFd; 2]> {
            let fd = rustix::event::eventfd(0, EventfdFlags::empty())?;
            Ok([fd.try_clone()?, fd])
        };
        answer(cores, make()?, make()?)
    }
}

/// Two pipes.
pub(crate) struct Pipe;

impl Pipe {
    pub(crate) fn start(cores: Cores) -> Result<Ends> {
        let make = || rustix::pipe::pipe().map(|(reader, writer)| [reader, writer]);
        answer(cores, make()?, make()?)
    }
}

/// A Unix socket that keeps messages apart.
pub(crate) struct SeqPacket;

impl SeqPacket {
    pub(crate) fn start(cores: Cores) -> Result<Ends> {
        let (own, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::empty(),
            None,
        )?;
        answer(cores, [theirs.try_clone()?, own.try_clone()?], [own, theirs])
    }
}

/// Servo's channels between processes.
pub(crate) struct Channel(IpcSender<u64>, IpcReceiver<u64>, #[expect(dead_code)] Answerer);

impl Channel {
    pub(crate) fn start(cores: Cores) -> Result<Channel> {
        let ((calls, hears), (says, gets)) = (ipc::channel::<u64>()?, ipc::channel::<u64>()?);
        let answerer = Answerer::fork(cores, || loop {
            says.send(hears.recv()?)?;
        })?;
        Ok(Channel(calls, gets, answerer))
    }
}

impl Peer for Channel {
    fn call(&mut self) -> Result<()> {
        self.0.send(1)?;
        self.1.recv()?;
        Ok(())
    }
}

/// Channels between two threads of one process: no protection, and no copy.
pub(crate) struct Threads {
    calls: crossbeam_channel::Sender<u64>,
    gets: crossbeam_channel::Receiver<u64>,
}

/// What has the other thread sleep.
const REST: u64 = u64::MAX;

impl Threads {
    pub(crate) fn start(cores: Cores) -> Result<Threads> {
        let (calls, hears) = crossbeam_channel::bounded::<u64>(64);
        let (says, gets) = crossbeam_channel::bounded::<u64>(64);
        std::thread::spawn(move || {
            if let Err(why) = bind(cores.answerer) {
                return eprintln!("peers: {why}");
            }
            let mut rests = true;
            loop {
                let heard = match rests {
                    true => hears.recv().map_err(|_| TryRecvError::Disconnected),
                    false => hears.try_recv(),
                };
                match heard {
                    Ok(REST) => rests = true,
                    Ok(message) => {
                        rests = false;
                        let _ = says.send(message);
                    }
                    Err(TryRecvError::Empty) => std::hint::spin_loop(),
                    Err(TryRecvError::Disconnected) => return,
                }
            }
        });
        Ok(Threads { calls, gets })
    }
}

impl Peer for Threads {
    fn call(&mut self) -> Result<()> {
        self.calls.send(1)?;
        while self.gets.try_recv().is_err() {
            std::hint::spin_loop();
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        Ok(self.calls.send(REST)?)
    }
}
