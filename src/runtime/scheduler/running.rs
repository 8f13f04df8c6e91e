//! What a worker is running.

use chimaera_abi::*;

use crate::pool::Registry;

/// Parts of a container's life that are no methods; the framework keeps their numbers, so no method of a module
/// has one of them.
pub(crate) const CONSTRUCTOR: u32 = CHI_METHOD_CUSTOM - 1;
pub(crate) const DESTRUCTOR: u32 = CHI_METHOD_CUSTOM - 2;
pub(crate) const SAVING: u32 = CHI_METHOD_CUSTOM - 3;
pub(crate) const LOADING: u32 = CHI_METHOD_CUSTOM - 4;
/// The framework has no number left for it; no method can have this one.
pub(crate) const RESUMING: u32 = CHI_METHOD_LIMIT + 1;

const _: () = assert!(LOADING > CHI_METHOD_UPGRADE);

/// What a worker is running, in one word: 0 for the runtime's own code, otherwise a pool and a
/// method or poller.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Running(pub(super) u32);

impl Running {
    const MODULE: u32 = 1 << 31;
    pub(super) const RUNTIME: Running = Running(0);
    const POLLER: u32 = 1 << 30;
    /// A monitor that places a task of a client.
    const PLACING: u32 = 1 << 29;

    /// A method, whose number is below 4096, of the pool in a slot, which is at most 65536.
    #[inline]
    pub(crate) fn method(slot: u32, method: u32) -> Running {
        Running(Running::MODULE | slot << 12 | method)
    }

    /// A part of the life of a container of the pool in a slot: a method, or one of the constants above.
    pub(crate) fn life(slot: u32, part: u32) -> Running {
        match part.checked_sub(CHI_METHOD_LIMIT) {
            // No poller has a number.
            Some(beyond) => Running(Running::poller(slot).0 | beyond),
            None => Running::method(slot, part),
        }
    }

    /// The monitor of a method, which places a task of a client.
    pub(super) fn placing(self) -> Running {
        Running(self.0 | Running::PLACING)
    }

    pub(super) fn is_placing(self) -> bool {
        self.0 & Running::PLACING != 0
    }

    /// Whether a method of a task runs, and neither a poller, nor a monitor, nor code of a container's life that is no
    /// method.
    pub(super) fn is_method(self) -> bool {
        let no_method = Running::POLLER | Running::PLACING;
        self.0 & Running::MODULE != 0
            && self.0 & no_method == 0
            && !matches!(self.0 & 0xfff, CONSTRUCTOR | DESTRUCTOR | SAVING | LOADING)
    }

    /// A poller of the pool in a slot.
    pub(super) fn poller(slot: u32) -> Running {
        Running(Running::MODULE | Running::POLLER | slot << 12)
    }

    /// What a module is running, and the name of its pool, which may be just being created.
    pub(crate) fn in_words(self, pools: &Registry) -> Option<(String, String)> {
        let (slot, number) = self.parts()?;
        let name = pools.name_in_slot(slot)?;
        if self.0 & Running::POLLER != 0 && number == 0 {
            return Some(("a poller".to_owned(), name));
        }
        let pool = pools.in_slot(slot);
        let method = pool.as_ref().and_then(|pool| pool.module().methods.get(number));
        let named = method.map(|method| method.name.as_str()).or_else(|| life_name(number));
        Some((named.unwrap_or("a method").to_owned(), name))
    }

    /// Whether a new container is being constructed.
    pub(super) fn is_creating(self) -> bool {
        self.parts().is_some_and(|(slot, number)| match slot {
            CHI_ADMIN_POOL_MAJOR => {
                matches!(number, CHI_ADMIN_CREATE_POOL | CHI_ADMIN_RESET_POOL)
            }
            _ => matches!(
                number,
                CONSTRUCTOR
                    | LOADING
                    | CHI_METHOD_CREATE
                    | CHI_METHOD_RECOVER
                    | CHI_METHOD_MIGRATE
                    | CHI_METHOD_UPGRADE
            ),
        })
    }

    /// The pool's slot and the method's number, which is 0 for pollers, or a part of a life.
    pub(crate) fn parts(self) -> Option<(u32, u32)> {
        let flags = Running::MODULE | Running::POLLER | Running::PLACING;
        let (slot, number) = ((self.0 & !flags) >> 12, self.0 & 0xfff);
        let beyond = self.0 & Running::POLLER != 0 && number != 0;
        (self.0 != 0).then_some((slot, if beyond { CHI_METHOD_LIMIT + number } else { number }))
    }
}

/// What a part of a container's life is called: a method that modules of all kinds have, or code that is no method.
pub(crate) fn life_name(number: u32) -> Option<&'static str> {
    Some(match number {
        CHI_METHOD_CREATE => "kCreate",
        CHI_METHOD_DESTROY => "kDestroy",
        CHI_METHOD_NODE_FAILURE => "kNodeFailure",
        CHI_METHOD_RECOVER => "kRecover",
        CHI_METHOD_MIGRATE => "kMigrate",
        CHI_METHOD_UPGRADE => "kUpgrade",
        CONSTRUCTOR => "the constructor of a container",
        DESTRUCTOR => "the destructor of a container",
        SAVING => "the saving of a state",
        LOADING => "the loading of a state",
        RESUMING => "the resumption of a container",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_method_fits_a_word() {
        let running = Running::method(65536, 4095);
        assert_eq!(running.parts(), Some((65536, 4095)));
        assert_eq!(Running::method(1, 0).parts(), Some((1, 0)));
        assert_eq!(Running::poller(65536).parts(), Some((65536, 0)));
        let placing = Running::method(65536, 4095).placing();
        assert!(placing.parts() == Some((65536, 4095)) && placing.is_placing());
        assert!(running.is_method() && !placing.is_method() && !Running::poller(1).is_method());
        assert!(!Running::life(1, CONSTRUCTOR).is_method());
        for part in [CONSTRUCTOR, RESUMING] {
            assert_eq!(Running::life(65536, part).parts(), Some((65536, part)));
        }
        assert_eq!(Running::RUNTIME.parts(), None);
    }
}
