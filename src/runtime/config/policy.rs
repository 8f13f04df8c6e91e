//! What a pool is created with besides its parameters and who may use it.

use chimaera_abi::{CHI_INVALID, CHI_POOL_ABORTS, CHI_POOL_DURABLE, CHI_POOL_ISOLATED};

use super::isolation::Isolation;
use crate::failure::Failure;

/// What happens when a method of a pool crashes, that is, causes a signal such as SIGSEGV or
/// overflows its stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnCrash {
    /// The task ends with `CHI_FAULT`, and its container takes no more tasks. If code other than
    /// the module's may be affected, the runtime ends instead.
    #[default]
    Quarantine,
    /// The runtime ends.
    Abort,
}

impl OnCrash {
    /// The policy's name in configurations and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            OnCrash::Quarantine => "quarantine",
            OnCrash::Abort => "abort",
        }
    }
}

/// What happens when a method of a pool crashes, where its containers run, and whether the next runtime
/// makes it anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) on_crash: OnCrash,
    pub(crate) isolation: Isolation,
    pub(crate) durable: bool,
}

impl Policy {
    /// The flags that stand for a policy.
    pub(crate) const FLAGS: u32 = CHI_POOL_ABORTS | CHI_POOL_ISOLATED | CHI_POOL_DURABLE;

    /// The policy that these flags, `CHI_POOL_*`, stand for. Others are left to the caller.
    ///
    /// # Errors
    /// They contradict each other.
    pub(crate) fn of_flags(flags: u32) -> Result<Policy, Failure> {
        let policy = Policy {
            on_crash: match flags & CHI_POOL_ABORTS {
                0 => OnCrash::Quarantine,
                _ => OnCrash::Abort,
            },
            isolation: match flags & CHI_POOL_ISOLATED {
                0 => Isolation::None,
                _ => Isolation::Process,
            },
            durable: flags & CHI_POOL_DURABLE != 0,
        };
        match (policy.isolation, policy.on_crash) {
            (Isolation::Process, OnCrash::Abort) => Err(Failure::new(
                CHI_INVALID,
                "a crash in a module host ends only that: a pool with a process of its own cannot \
                 have the crash policy `abort`",
            )),
            _ => Ok(policy),
        }
    }

    /// The flags that stand for this policy.
    pub(crate) fn flags(self) -> u32 {
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        flag(self.on_crash == OnCrash::Abort, CHI_POOL_ABORTS)
            | flag(self.isolation == Isolation::Process, CHI_POOL_ISOLATED)
            | flag(self.durable, CHI_POOL_DURABLE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_for_policies() {
        for flags in 0..=Policy::FLAGS {
            if flags & !Policy::FLAGS != 0 {
                continue;
            }
            match Policy::of_flags(flags) {
                Ok(policy) => assert_eq!(policy.flags(), flags),
                Err(_) => assert!(flags & CHI_POOL_ABORTS != 0 && flags & CHI_POOL_ISOLATED != 0),
            }
        }
    }
}
