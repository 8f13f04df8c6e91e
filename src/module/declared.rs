//! Compares the container with `chimaera_mod.yaml` at compile time.

use chimaera_abi::{
    CHI_METHOD_CUSTOM, CHI_METHOD_DESTROY, CHI_METHOD_MIGRATE, CHI_METHOD_NODE_FAILURE,
    CHI_METHOD_RECOVER, CHI_METHOD_UPGRADE,
};

use crate::{Container, MethodEntry};

/// Checks that the container has exactly the methods that `chimaera_mod.yaml` declares. Generated
/// code calls it in a constant, once for each method, so that a difference does not compile.
///
/// ```
/// # use chimaera::module::{Declared, Init, LifeTask};
/// # #[chimaera::task]
/// # pub struct EmptyTask;
/// # pub struct Runtime;
/// # #[chimaera::container(name = "example:empty")]
/// # impl Runtime {
/// #     #[create]
/// #     fn create(_init: &Init<'_>) -> chimaera::Result<Self> {
/// #         Ok(Runtime)
/// #     }
/// #     #[method(10, name = "kEmpty")]
/// #     fn empty(&self, _task: &EmptyTask) {}
/// #     #[migrate]
/// #     fn migrate(&self, _task: &LifeTask) {}
/// # }
/// const _: () = {
///     let mut declared = Declared::<Runtime>::new();
///     declared.name("example:empty");
///     declared.method(0, "kCreate");
///     declared.method(1, "kDestroy");
///     declared.unsupported(2, "kNodeFailure");
///     declared.method(4, "kMigrate");
///     declared.method(10, "kEmpty");
///     declared.end();
/// };
/// # fn main() {}
/// ```
///
/// A method that the container does not have does not compile:
///
/// ```compile_fail
/// # use chimaera::module::{Declared, Init};
/// # pub struct Runtime;
/// # #[chimaera::container(name = "example:empty")]
/// # impl Runtime {
/// #     #[create]
/// #     fn create(_init: &Init<'_>) -> chimaera::Result<Self> {
/// #         Ok(Runtime)
/// #     }
/// # }
/// const _: () = {
///     let mut declared = Declared::<Runtime>::new();
///     declared.method(10, "kEmpty");
///     declared.end();
/// };
/// # fn main() {}
/// ```
///
/// Neither does one that is declared, but for which there is no function:
///
/// ```compile_fail
/// # use chimaera::module::{Declared, Init};
/// # pub struct Runtime;
/// # #[chimaera::container(name = "example:empty")]
/// # impl Runtime {
/// #     #[create]
/// #     fn create(_init: &Init<'_>) -> chimaera::Result<Self> {
/// #         Ok(Runtime)
/// #     }
/// # }
/// const _: () = {
///     let mut declared = Declared::<Runtime>::new();
///     declared.method(4, "kMigrate");
///     declared.end();
/// };
/// # fn main() {}
/// ```
pub struct Declared<C: Container> {
    found: usize,
    methods: &'static [MethodEntry<C>],
}

impl<C: Container> Declared<C> {
    /// Starts the comparison.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Declared { found: 0, methods: C::METHODS }
    }

    /// Checks the module's name.
    #[track_caller]
    pub const fn name(&mut self, name: &str) {
        assert!(
            same(C::NAME.to_bytes(), name.as_bytes()),
            "the container's name differs from the one in the repo's chimaera_mod.yaml"
        );
    }

    /// Checks that the pool parameters are a struct.
    #[track_caller]
    pub const fn params(&mut self) {
        assert!(
            C::PARAMS.is_some(),
            "chimaera_mod.yaml describes what a pool is created with: \
             write `#[create] fn create(init: &Init<'_>, params: Params) -> Result<Self>`"
        );
    }

    /// Checks a method that has a number.
    #[track_caller]
    pub const fn method(&mut self, number: u32, name: &str) {
        if let Some(entry) = find(self.methods, number) {
            assert!(
                !entry.idempotent,
                "the container says that this method is idempotent: say so in chimaera_mod.yaml, too, \
                 under `tasks`"
            );
        }
        self.checked(number, name);
    }

    #[track_caller]
    const fn checked(&mut self, number: u32, name: &str) {
        if number <= CHI_METHOD_DESTROY {
            // The container always has create and destroy.
            return;
        }
        let Some(entry) = self.take(number) else {
            lacks_life(number);
            panic!(
                "chimaera_mod.yaml has this method, but the container has no function for it: \
                 write one with #[method(..)] and the method's constant"
            );
        };
        assert!(
            entry.run.is_some(),
            "chimaera_mod.yaml has a number for this method, but the container declares it unsupported"
        );
        assert!(
            same(entry.name.to_bytes(), name.as_bytes()),
            "the container gives this number to another method: in #[method(..)], set `name = ` \
             to the name in chimaera_mod.yaml"
        );
    }

    /// Checks a method that has a number and is idempotent; others are not.
    #[track_caller]
    pub const fn idempotent(&mut self, number: u32, name: &str) {
        let Some(entry) = find(self.methods, number) else { return self.method(number, name) };
        assert!(
            entry.idempotent,
            "chimaera_mod.yaml says that this method is idempotent: write #[method(.., idempotent)]"
        );
        self.checked(number, name);
    }

    /// Checks a method that is -1 (unsupported); `number` is the one that callers use for it.
    #[track_caller]
    pub const fn unsupported(&mut self, number: u32, name: &str) {
        let Some(entry) = self.take(number) else {
            assert!(
                number < CHI_METHOD_CUSTOM,
                "chimaera_mod.yaml lists this method under `unsupported`: do the same in \
                 #[container(.., unsupported(kName = number))]"
            );
            return;
        };
        assert!(
            entry.run.is_none(),
            "chimaera_mod.yaml has -1 for this method, but the container runs it"
        );
        assert!(
            same(entry.name.to_bytes(), name.as_bytes()),
            "the container declares another method unsupported under this number"
        );
    }

    /// Ends the comparison: checks that the container has no other methods.
    #[track_caller]
    pub const fn end(&self) {
        assert!(
            self.found == self.methods.len(),
            "the container has a method that is not in chimaera_mod.yaml"
        );
    }

    const fn take(&mut self, number: u32) -> Option<&'static MethodEntry<C>> {
        let found = find(self.methods, number);
        if found.is_some() {
            self.found += 1;
        }
        found
    }
}

const fn find<C>(methods: &[MethodEntry<C>], number: u32) -> Option<&MethodEntry<C>> {
    let mut i = 0;
    while i < methods.len() {
        if methods[i].number == number {
            return Some(&methods[i]);
        }
        i += 1;
    }
    None
}

/// Says how to write one of the methods of a container's life.
#[track_caller]
const fn lacks_life(number: u32) {
    match number {
        CHI_METHOD_NODE_FAILURE => panic!(
            "chimaera_mod.yaml has kNodeFailure, but the container has no function for it: write \
             `#[node_failure] fn node_failure(&self, task: &LifeTask)`, or set it to -1"
        ),
        CHI_METHOD_RECOVER => panic!(
            "chimaera_mod.yaml has kRecover, but the container has no function for it: write \
             `#[recover] fn recover(&self, task: &LifeTask)`, or set it to -1"
        ),
        CHI_METHOD_MIGRATE => panic!(
            "chimaera_mod.yaml has kMigrate, but the container has no function for it: write \
             `#[migrate] fn migrate(&self, task: &LifeTask)`, or set it to -1"
        ),
        CHI_METHOD_UPGRADE => panic!(
            "chimaera_mod.yaml has kUpgrade, but the container has no function for it: write \
             `#[upgrade] fn upgrade(&self, task: &LifeTask)`, or set it to -1"
        ),
        _ => {}
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}
