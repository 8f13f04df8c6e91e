//! Callers and their rights: who sends a request, and what only the owner of the runtime may do.

use std::io;
use std::os::fd::BorrowedFd;

use chimaera_abi::{chi_grant, CHI_DENIED, CHI_MAY_CALL, CHI_MAY_DESTROY, CHI_POOL_RESTRICTED};
use chimaera_ipc::instance;
use chimaera_ipc::peer::{self, Peer};

use crate::failure::Failure;

/// Users and groups, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Users.
    pub users: Vec<u32>,
    /// Groups, for all users that had one as primary or supplementary group when they connected.
    pub groups: Vec<u32>,
}

impl Accounts {
    /// Whether no user and no group is named.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty()
    }

    /// Whether this caller or one of its groups is named.
    pub(crate) fn name(&self, caller: &Caller) -> bool {
        self.users.contains(&caller.uid)
            || self.groups.iter().any(|group| caller.groups.contains(group))
    }

    /// Each account as a configuration writes it, by number.
    pub(crate) fn written(&self) -> Vec<String> {
        let groups = self.groups.iter().map(|group| format!("group:{group}"));
        self.users.iter().map(u32::to_string).chain(groups).collect()
    }
}

/// Who may use a pool, besides the owner of the runtime, root, and the user who created the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolAccess {
    /// Who may call it; `None` means all who may connect.
    pub call: Option<Accounts>,
    /// Who may destroy it.
    pub destroy: Accounts,
}

impl PoolAccess {
    /// The flags and grants of a `chi_create_with_task` that express this access.
    pub fn grants(&self) -> (u32, Vec<chi_grant>) {
        let mut all = Vec::new();
        let mut add = |right_, who: &Accounts| {
            for (is_group_, numbers) in [(0, &who.users), (1, &who.groups)] {
                all.extend(numbers.iter().map(|&number_| chi_grant { right_, is_group_, number_ }));
            }
        };
        self.call.iter().for_each(|who| add(CHI_MAY_CALL, who));
        add(CHI_MAY_DESTROY, &self.destroy);
        (if self.call.is_some() { CHI_POOL_RESTRICTED } else { 0 }, all)
    }

    /// The access that flags and grants of a `chi_create_with_task` express. `None` if this version
    /// cannot interpret them.
    pub(crate) fn granted(flags: u32, grants: &[chi_grant]) -> Option<PoolAccess> {
        let mut access = PoolAccess::default();
        if flags & CHI_POOL_RESTRICTED != 0 {
            access.call = Some(Accounts::default());
        }
        for grant in grants {
            let who = match grant.right_ {
                CHI_MAY_CALL => access.call.as_mut()?,
                CHI_MAY_DESTROY => &mut access.destroy,
                _ => return None,
            };
            match grant.is_group_ {
                0 => who.users.push(grant.number_),
                1 => who.groups.push(grant.number_),
                _ => return None,
            }
        }
        Some(access)
    }
}

/// The creator of a pool, and who else may use the pool. Never changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct PoolRights {
    /// The user who created it; `None` for the runtime itself and its modules.
    pub(crate) creator: Option<u32>,
    pub(crate) access: PoolAccess,
}

impl PoolRights {
    /// Whether only some of those who may connect may call the pool.
    pub(crate) fn restrict_calls(&self) -> bool {
        self.access.call.is_some()
    }

    fn is_its(&self, caller: &Caller) -> bool {
        caller.is_owner() || self.creator == Some(caller.uid)
    }

    /// Fails if this caller may not call the pool of this name.
    pub(crate) fn check_call(&self, pool: &str, caller: &Caller) -> Result<(), Failure> {
        let named = self.access.call.as_ref().is_none_or(|who| who.name(caller));
        if named || self.is_its(caller) {
            return Ok(());
        }
        let message = format!(
            "user {} may not call pool '{pool}': access.call of the pool names neither the user nor a \
             group of it",
            caller.uid
        );
        Err(Failure::new(CHI_DENIED, message))
    }

    /// Fails if this caller may not destroy the pool of this name.
    pub(crate) fn check_destroy(&self, pool: &str, caller: &Caller) -> Result<(), Failure> {
        if self.access.destroy.name(caller) || self.is_its(caller) {
            return Ok(());
        }
        let whose = match self.creator {
            Some(creator) => format!("was created by user {creator}"),
            None => "is the runtime's own".to_owned(),
        };
        let message = format!(
            "pool '{pool}' {whose}; only whoever created it, whom its access.destroy names, the owner of \
             the runtime and root may destroy it; this is user {}",
            caller.uid
        );
        Err(Failure::new(CHI_DENIED, message))
    }
}

/// A process that has connected, with its user and groups at that time.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// 0 if the process is in a PID namespace that is not visible from here.
    pub(crate) pid: i32,
    pub(crate) uid: u32,
    groups: Vec<u32>,
}

impl Caller {
    /// The same user, in this process.
    pub(crate) fn into_process(self, pid: i32) -> Caller {
        Caller { pid, ..self }
    }

    /// The peer of a connected socket.
    pub(crate) fn of(socket: BorrowedFd<'_>) -> io::Result<Caller> {
        let Peer { pid, uid } = Peer::of(socket)?;
        let pid = pid.map_or(0, |pid| pid.as_raw_nonzero().get());
        Ok(Caller { pid, uid, groups: peer::groups(socket)? })
    }

    /// This process.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn own() -> Caller {
        Caller { pid: 1, uid: instance::uid(), groups: Vec::new() }
    }

    /// Whether the caller is the user who owns the runtime, or root.
    pub(crate) fn is_owner(&self) -> bool {
        [instance::uid(), 0].contains(&self.uid)
    }

    /// Fails unless the caller is the owner or root. `what` is the action reserved for them, in
    /// words.
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

    #[test]
    fn rights_survive_the_way_to_the_runtime() {
        let some = Accounts { users: vec![1, 7], groups: vec![20] };
        for call in [None, Some(Accounts::default()), Some(some.clone())] {
            for destroy in [Accounts::default(), some.clone()] {
                let access = PoolAccess { call: call.clone(), destroy };
                let (flags, grants) = access.grants();
                assert_eq!(PoolAccess::granted(flags, &grants), Some(access));
            }
        }
        let call = chi_grant { right_: CHI_MAY_CALL, is_group_: 0, number_: 1 };
        assert_eq!(PoolAccess::granted(0, &[call]), None, "all may call it anyway");
        for odd in [chi_grant { right_: 3, ..call }, chi_grant { is_group_: 2, ..call }] {
            assert_eq!(PoolAccess::granted(CHI_POOL_RESTRICTED, &[odd]), None);
        }
        assert_eq!(some.written(), ["1", "7", "group:20"]);
    }

    #[test]
    fn a_pool_is_for_its_creator_the_owner_and_whom_it_names() {
        let caller = |uid, groups: &[u32]| Caller { pid: 1, uid, groups: groups.to_vec() };
        let owner = caller(instance::uid(), &[]);
        let group = |number| Accounts { users: Vec::new(), groups: vec![number] };
        let access = PoolAccess { call: Some(group(20)), destroy: group(30) };
        let rights = PoolRights { creator: Some(70_000), access };
        assert!(rights.restrict_calls());
        let may = |caller: &Caller| {
            (rights.check_call("p", caller).is_ok(), rights.check_destroy("p", caller).is_ok())
        };
        assert_eq!(may(&owner), (true, true));
        assert_eq!(may(&caller(70_000, &[])), (true, true));
        assert_eq!(may(&caller(70_001, &[20])), (true, false));
        assert_eq!(may(&caller(70_001, &[30])), (false, true));
        let open = PoolRights::default();
        assert!(!open.restrict_calls() && open.check_call("p", &caller(70_001, &[])).is_ok());
        assert!(open.check_destroy("p", &caller(70_001, &[])).is_err());
        let closed = PoolAccess { call: Some(Accounts::default()), ..PoolAccess::default() };
        let closed = PoolRights { creator: None, access: closed };
        assert!(closed.check_call("p", &caller(70_001, &[20])).is_err());
    }
}
