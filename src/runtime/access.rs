//! Who asks for something, and what the owner of the runtime has to be asked for.

use std::io;
use std::os::fd::BorrowedFd;

use chimaera_abi::CHI_DENIED;
use chimaera_ipc::instance;
use chimaera_ipc::peer::{self, Peer};

use crate::failure::Failure;

/// Users and groups, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Users.
    pub users: Vec<u32>,
    /// Groups: all who had one of them, as their own or as a further one, when they connected.
    pub groups: Vec<u32>,
}

impl Accounts {
    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// Whether it names this caller or one of its groups.
    pub(crate) fn name(&self, caller: &Caller) -> bool {
        self.users.contains(&caller.uid)
            || self.groups.iter().any(|group| caller.groups.contains(group))
    }
}

/// A process that has connected: the user as which it did, and the groups that it had then.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// 0 when it is in a PID namespace that cannot be seen from here.
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    groups: Vec<u32>,
}

impl Caller {
    /// The peer of a connected socket.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> io::Result<Caller> {
        let Peer { pid, uid } = Peer::of(socket)?;
        let pid = pid.map_or(0, |pid| pid.as_raw_nonzero().get());
        Ok(Caller { pid, uid, groups: peer::groups(socket)? })
    }

    /// This process itself.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn own() -> Caller {
        Caller { pid: 1, uid: instance::uid(), groups: Vec::new() }
    }

    /// Whether it is the user to whom the runtime belongs, or root.
    pub(crate) fn is_owner(&self) -> bool {
        [instance::uid(), 0].contains(&self.uid)
    }

    /// Fails unless it is the owner. `what` is what only the owner may do.
    pub(crate) fn must_be_owner(&self, what: &str) -> Result<(), Failure> {
        if self.is_owner() {
            return Ok(());
        }
        let (owner, uid) = (instance::uid(), self.uid);
        let message = format!(
            "only the owner of this runtime (user {owner}) and root may {what}; this is user {uid}"
        );
        Err(Failure::new(CHI_DENIED, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_names_all_who_have_it() {
        let caller = Caller { pid: 1, uid: 7, groups: vec![20, 30] };
        let accounts = |users: &[u32], groups: &[u32]| Accounts {
            users: users.to_vec(),
            groups: groups.to_vec(),
        };
        assert!(accounts(&[1, 7], &[]).name(&caller));
        assert!(accounts(&[], &[30]).name(&caller));
        assert!(!accounts(&[20, 30], &[7]).name(&caller), "users are no groups");
        assert!(!Accounts::default().name(&caller));
        assert!(Accounts::default().is_empty() && !accounts(&[], &[1]).is_empty());
    }
}
