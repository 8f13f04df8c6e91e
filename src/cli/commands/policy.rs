//! The options that say the policy of a new pool.

use chimaera_abi::{CHI_POOL_ABORTS, CHI_POOL_DURABLE, CHI_POOL_ISOLATED};
use chimaera_runtime::{Isolation, OnCrash};
use serde_json::Value;

use crate::context::Failed;

/// What a new pool is created with besides its parameters.
#[derive(clap::Args)]
pub(crate) struct PolicyArgs {
    /// What happens when a method of the pool crashes
    ///
    /// A method crashes when it causes a signal such as SIGSEGV, or overflows its stack. With
    /// `quarantine`, the default, its task ends with CHI_FAULT, and its container takes no more
    /// tasks until the pool is reset; if code other than the module's may be affected, the
    /// runtime ends. With `abort`, the runtime ends.
    #[arg(long, value_name = "POLICY")]
    pub(crate) on_crash: Option<OnCrashArg>,
    /// Where the containers of the pool run
    ///
    /// With `process`, in a module host: a process of its own, which the runtime starts. If it
    /// crashes, the runtime and its other pools go on, and another one is started.
    #[arg(long, value_name = "WHERE")]
    pub(crate) isolation: Option<IsolationArg>,
    /// Makes the pool durable: the next runtime of the instance makes it anew
    ///
    /// Its definition is kept in state_dir until it is destroyed, also over a crash of the
    /// runtime or the machine. Its containers get back the states that they had when the runtime
    /// was stopped, if their module saves them; after a crash they have what the module keeps in
    /// files.
    #[arg(long)]
    pub(crate) durable: bool,
}

impl PolicyArgs {
    /// What was asked for, as `CHI_POOL_*`.
    pub(super) fn flags(&self) -> u32 {
        let on_crash = self.on_crash.map_or_else(OnCrash::default, OnCrash::from);
        let isolation = self.isolation.map_or_else(Isolation::default, Isolation::from);
        policy_flags(on_crash, isolation, self.durable)
    }

    /// Checks that the pool in `document`, which was created for these arguments, has the policy. A
    /// runtime that is older than the program may not know all of it, and does not say.
    pub(super) fn check_given(&self, document: &Value, instance: &str) -> Result<(), Failed> {
        let on_crash =
            self.on_crash.map(OnCrash::from).filter(|asked| *asked != OnCrash::default());
        let isolation =
            self.isolation.map(Isolation::from).filter(|asked| *asked != Isolation::default());
        let durable = self.durable.then_some(true);
        let lacks = |key: &str, asked: Option<Value>| asked.is_some_and(|it| document[key] != it);
        let lacking = [
            ("--on-crash", lacks("on_crash", on_crash.map(|it| it.name().into()))),
            ("--isolation", lacks("isolation", isolation.map(|it| it.name().into()))),
            ("--durable", lacks("durable", durable.map(Value::from))),
        ];
        let lacking: Vec<_> = lacking.iter().filter(|one| one.1).map(|one| one.0).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let name = document["name"].as_str().unwrap_or_default();
        let lacking = lacking.join(" and ");
        Err(Failed::Message(format!(
            "created '{name}', but without {lacking}: instance '{instance}' runs an older version, which \
             does not know that; `chimaera pool destroy {name}`, `chimaera restart`, and create it again"
        )))
    }
}

/// A crash policy, as a command-line argument.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum OnCrashArg {
    Quarantine,
    Abort,
}

impl From<OnCrashArg> for OnCrash {
    fn from(given: OnCrashArg) -> OnCrash {
        match given {
            OnCrashArg::Quarantine => OnCrash::Quarantine,
            OnCrashArg::Abort => OnCrash::Abort,
        }
    }
}

/// Where containers run, as a command-line argument.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum IsolationArg {
    None,
    Process,
}

impl From<IsolationArg> for Isolation {
    fn from(given: IsolationArg) -> Isolation {
        match given {
            IsolationArg::None => Isolation::None,
            IsolationArg::Process => Isolation::Process,
        }
    }
}

/// A policy, as `CHI_POOL_*`.
pub(super) fn policy_flags(on_crash: OnCrash, isolation: Isolation, durable: bool) -> u32 {
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    flag(on_crash == OnCrash::Abort, CHI_POOL_ABORTS)
        | flag(isolation == Isolation::Process, CHI_POOL_ISOLATED)
        | flag(durable, CHI_POOL_DURABLE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ALL: PolicyArgs = PolicyArgs {
        on_crash: Some(OnCrashArg::Abort),
        isolation: Some(IsolationArg::Process),
        durable: true,
    };

    fn why(asked: &PolicyArgs, document: &Value) -> String {
        match asked.check_given(document, "node") {
            Err(Failed::Message(why)) => why,
            _ => String::new(),
        }
    }

    #[test]
    fn a_runtime_that_does_not_say_the_policy_has_not_given_it() {
        let answer = json!({ "name": "copy", "file": "/saved", "state_bytes": 3 });
        let lacking = why(&ALL, &answer);
        assert!(
            lacking.starts_with(
                "created 'copy', but without --on-crash and --isolation and --durable: "
            ) && lacking.contains("instance 'node' runs an older version"),
            "{lacking}"
        );
        // It has what was not asked for, or is the default.
        let none = PolicyArgs { on_crash: None, isolation: None, durable: false };
        assert_eq!(why(&none, &answer), "");
        let plain = PolicyArgs {
            on_crash: Some(OnCrashArg::Quarantine),
            isolation: Some(IsolationArg::None),
            durable: false,
        };
        assert_eq!(why(&plain, &answer), "");
    }

    #[test]
    fn what_the_pool_has_is_compared_with_what_was_asked_for() {
        let answer = |on_crash: &str, isolation: &str, durable: bool| json!({ "name": "copy", "on_crash": on_crash, "isolation": isolation, "durable": durable });
        assert_eq!(why(&ALL, &answer("abort", "process", true)), "");
        let lacking = why(&ALL, &answer("abort", "process", false));
        assert!(lacking.contains("without --durable: "), "{lacking}");
        // The configuration may isolate a module.
        let plain = PolicyArgs { on_crash: None, isolation: None, durable: false };
        assert_eq!(why(&plain, &answer("quarantine", "process", false)), "");
    }
}
