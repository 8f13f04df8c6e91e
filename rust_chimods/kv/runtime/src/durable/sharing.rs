//! The containers that share the file of a store: the first one opens it, the last one closes it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLockWriteGuard};
use std::time::{Duration, Instant};

use chimaera::abi::CHI_BUSY;
use chimaera::{Result, Status};

use super::committer::Committer;
use super::transaction::Change;
use super::{pause, Durable};

/// How long to wait for another container that is just opening or closing the file.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a file may take to be closed after code that used it has crashed.
const LEAVE_BOUND: Duration = Duration::from_secs(3);

/// The users of a file. Of a container there may be two for a while: it and its successor.
#[derive(Default)]
pub(super) struct Sharing {
    committer: Option<Arc<Committer>>,
    users: Vec<User>,
    /// The number of the store, since it was opened first.
    id: Option<u64>,
    /// The file is just being opened or closed.
    changing: bool,
}

impl Sharing {
    pub(super) fn committer(&self) -> Option<&Arc<Committer>> {
        self.committer.as_ref()
    }

    /// Takes users out. Returns what is to be closed if none are left.
    fn remove(&mut self, gone: impl Fn(&User) -> bool) -> Option<Arc<Committer>> {
        self.users.retain(|user| !gone(user));
        if self.users.is_empty() {
            self.committer.take()
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct User {
    container: u32,
    /// Different for each object.
    number: u64,
}

/// A container's share of the file. Dropping it gives it up.
pub(crate) struct Share {
    durable: Arc<Durable>,
    user: User,
    /// It has been given up.
    is_left: AtomicBool,
}

impl std::ops::Deref for Share {
    type Target = Durable;

    fn deref(&self) -> &Durable {
        &self.durable
    }
}

impl Share {
    /// Opens the file unless another container has. Errors: those of the file; `CHI_CANCELLED`.
    pub(crate) fn new(durable: Arc<Durable>, container: u32) -> Result<Share> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let user = User { container, number: NUMBERS.fetch_add(1, Ordering::Relaxed) };
        let share = Share { durable, user, is_left: AtomicBool::new(true) };
        share.join()?;
        Ok(share)
    }

    /// Takes the share again after `leave`. Errors: as for `new`; also if the file is another one now.
    pub(crate) fn join(&self) -> Result<()> {
        if !self.is_left.load(Ordering::SeqCst) {
            return Ok(());
        }
        let _changing = self.durable.begin_to_change()?;
        if self.durable.sharing_mut().committer.is_none() {
            self.open()?;
        }
        self.durable.sharing_mut().users.push(self.user);
        self.is_left.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn open(&self) -> Result<()> {
        let must_be = self.durable.sharing_mut().id;
        let Durable { params, containers, .. } = &*self.durable;
        let committer = Committer::start(params, *containers, must_be)?;
        let mut sharing = self.durable.sharing_mut();
        sharing.id = Some(committer.id());
        sharing.committer = Some(committer);
        Ok(())
    }

    /// Gives the share up. The last one writes what is left, and closes the file. Errors: those of that,
    /// but the share is given up nevertheless.
    pub(crate) fn leave(&self) -> Result<()> {
        if self.is_left.load(Ordering::SeqCst) {
            return Ok(());
        }
        let _changing = self.durable.begin_to_change()?;
        let last = self.durable.sharing_mut().remove(|user| *user == self.user);
        self.is_left.store(true, Ordering::SeqCst);
        last.map_or(Ok(()), |committer| committer.apply(Change::Close).map(drop))
    }

    /// Takes over the share of a predecessor that has crashed. If nobody else uses the file, it is opened
    /// anew, because the crash may have left it in any state in memory. Errors: as for `new`.
    pub(crate) fn take_over(&self) -> Result<()> {
        let _changing = self.durable.begin_to_change()?;
        let old = {
            let mut sharing = self.durable.sharing_mut();
            let is_crashed =
                |user: &User| user.container == self.user.container && *user != self.user;
            let had_one = sharing.users.iter().any(is_crashed);
            sharing.remove(is_crashed);
            if !had_one || sharing.users != [self.user] {
                return Ok(());
            }
            sharing.committer.take()
        };
        if let Some(old) = old {
            old.close_within(LEAVE_BOUND)?;
        }
        self.open()
    }

    /// Removes the file if this container created it, because it is not wanted after all.
    pub(crate) fn remove_new_file(&self) {
        if let Ok(committer) = self.durable.committer() {
            committer.remove_new();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(committer) = self.durable.sharing_mut().remove(|user| *user == self.user) {
            committer.end();
        }
    }
}

/// Being the one that opens or closes the file, until it is dropped.
struct Changing<'a>(&'a Durable);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.sharing_mut().changing = false;
    }
}

impl Durable {
    fn sharing_mut(&self) -> RwLockWriteGuard<'_, Sharing> {
        self.sharing.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_to_change(&self) -> Result<Changing<'_>> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let was_changing = std::mem::replace(&mut self.sharing_mut().changing, true);
            if !was_changing {
                return Ok(Changing(self));
            }
            if Instant::now() >= give_up {
                let path = &self.params.path;
                let text = format!("the store in {path} is still being opened or closed");
                return Err(Status::new(CHI_BUSY, text));
            }
            pause()?;
        }
    }
}
