//! A module's global state: its descriptor, and the table from method numbers to methods.

use std::borrow::Cow;
use std::ffi::{c_char, c_void, CStr};
use std::ptr;
use std::sync::OnceLock;

use chimaera_abi::{
    chi_field_layout, chi_host, chi_method, chi_module_descriptor, chi_pool_id, CHI_ABI_MAJOR,
    CHI_ABI_MINOR, CHI_LANG_RUST, CHI_METHOD_CREATE, CHI_METHOD_DESTROY, CHI_METHOD_LIMIT,
    CHI_METHOD_MIGRATE, CHI_METHOD_NODE_FAILURE, CHI_METHOD_RECOVER, CHI_METHOD_UPGRADE,
    CHI_MODULE_MAGIC,
};
use chimaera_task::{CreateTask, DestroyTask, Status};

use crate::__private::cstr;
use crate::adapter::{identity, ContainerAdapter};
use crate::host::{accept, host, set_error, Acceptance};
use crate::method::SerializeFn;
use crate::panics::{catch, install_hook};
use crate::params::{canonicalize, describe, pools};
use crate::{Container, MethodEntry};

/// The methods, indexed by number.
pub(crate) struct Dispatch<C: 'static>(Vec<Option<&'static MethodEntry<C>>>);

impl<C: Container> Dispatch<C> {
    fn new() -> Self {
        let mut by_number = Vec::new();
        for entry in C::METHODS {
            let number = entry.number as usize;
            if by_number.len() <= number {
                by_number.resize(number + 1, None);
            }
            by_number[number] = Some(entry);
        }
        Dispatch(by_number)
    }

    /// The serialisers of a method's task, if it has any.
    pub(crate) fn serializer(&self, method: u32) -> Option<SerializeFn> {
        match method {
            CHI_METHOD_CREATE => inherited_create::<C>().serialize,
            CHI_METHOD_DESTROY => inherited_destroy::<C>().serialize,
            _ => self.entry(method)?.serialize,
        }
    }

    pub(crate) fn entry(&self, method: u32) -> Option<&'static MethodEntry<C>> {
        self.0.get(method as usize).copied().flatten()
    }
}

/// The state of a module, in a static that lives as long as the process. Its methods implement the
/// exported functions.
pub struct ModuleState<C: Container> {
    built: OnceLock<Built<C>>,
    description: Option<&'static CStr>,
}

struct Built<C: Container> {
    dispatch: Dispatch<C>,
    descriptor: chi_module_descriptor,
    /// The descriptor points to it.
    _description: Option<Cow<'static, CStr>>,
}

impl<C: Container> ModuleState<C> {
    /// Checks the module's declarations, at compile time. `description` is what it says of its tasks, as generated
    /// code has it.
    pub const fn new(description: Option<&'static CStr>) -> Self {
        const { check::<C>() };
        ModuleState { built: OnceLock::new(), description }
    }

    /// `get_module_name`.
    pub fn name(&self) -> *const c_char {
        C::NAME.as_ptr()
    }

    /// `chi_module`.
    ///
    /// # Safety
    ///
    /// `host` is null, or a table that is as long as its size says and lives as long as the
    /// process.
    pub unsafe fn module(&'static self, host: *const chi_host) -> *const chi_module_descriptor {
        // SAFETY: guaranteed by the caller.
        match unsafe { accept(host) } {
            Acceptance::Accepted => install_hook(),
            // The descriptor tells the runtime why it cannot work; nothing else is touched.
            Acceptance::OtherMajor => {}
            Acceptance::Malformed => return ptr::null(),
        }
        match catch(|| Ok(&self.built().descriptor)) {
            Ok(descriptor) => descriptor,
            Err(status) => {
                set_error(status.message());
                ptr::null()
            }
        }
    }

    /// `alloc_state` and `new_state`. For a Rust module they are the same: `init` only repeats what
    /// is already known.
    ///
    /// # Safety
    ///
    /// Both are null or valid, and the name is zero-terminated.
    pub unsafe fn make(
        &'static self,
        pool_id: *const chi_pool_id,
        pool_name: *const c_char,
    ) -> *mut c_void {
        let made = catch(|| {
            if host().is_none() {
                return Err(Status::invalid("chi_module has not accepted this runtime"));
            }
            // SAFETY: guaranteed by the caller.
            let identity = unsafe { identity(pool_id, pool_name) }?;
            Ok(ContainerAdapter::make(&self.built().dispatch, identity))
        });
        match made {
            Ok(container) => container.cast(),
            Err(status) => {
                set_error(status.message());
                ptr::null_mut()
            }
        }
    }

    fn built(&self) -> &Built<C> {
        self.built.get_or_init(|| {
            let methods: &'static [chi_method] = inherited::<C>()
                .iter()
                .chain(C::METHODS)
                .map(MethodEntry::to_raw)
                .collect::<Vec<_>>()
                .leak();
            let description = describe::<C>(self.description);
            let descriptor = chi_module_descriptor {
                magic: CHI_MODULE_MAGIC,
                size: size_of::<chi_module_descriptor>() as u32,
                abi_major: CHI_ABI_MAJOR,
                abi_minor: CHI_ABI_MINOR,
                language: CHI_LANG_RUST,
                sdk_version: const { cstr(concat!(env!("CARGO_PKG_VERSION"), "\0")) }.as_ptr(),
                name: C::NAME.as_ptr(),
                version: C::VERSION.as_ptr(),
                n_methods: methods.len() as u32,
                method_stride: size_of::<chi_method>() as u32,
                methods: methods.as_ptr(),
                field_stride: size_of::<chi_field_layout>() as u32,
                reserved: 0,
                params: C::PARAMS.is_some().then_some(canonicalize::<C>),
                pools: C::PARAMS.is_some().then_some(pools::<C>),
                description: description.as_deref().map_or(ptr::null(), CStr::as_ptr),
            };
            Built { dispatch: Dispatch::new(), descriptor, _description: description }
        })
    }
}

const fn inherited_create<C: Container>() -> MethodEntry<C> {
    MethodEntry::inherited::<CreateTask>(CHI_METHOD_CREATE, c"kCreate")
}

const fn inherited_destroy<C: Container>() -> MethodEntry<C> {
    MethodEntry::inherited::<DestroyTask>(CHI_METHOD_DESTROY, c"kDestroy")
}

/// The inherited methods that the module does not declare itself.
fn inherited<C: Container>() -> Vec<MethodEntry<C>> {
    let names: [(u32, &'static CStr); 4] = [
        (CHI_METHOD_NODE_FAILURE, c"kNodeFailure"),
        (CHI_METHOD_RECOVER, c"kRecover"),
        (CHI_METHOD_MIGRATE, c"kMigrate"),
        (CHI_METHOD_UPGRADE, c"kUpgrade"),
    ];
    let mut all = vec![inherited_create(), inherited_destroy()];
    for (number, name) in names {
        if !C::METHODS.iter().any(|entry| entry.number == number) {
            all.push(MethodEntry::unsupported(number, name));
        }
    }
    all
}

/// Rejects at compile time what the runtime would reject at load time.
const fn check<C: Container>() {
    let name = C::NAME.to_bytes();
    let (mut colons, mut i) = (0, 0);
    while i < name.len() {
        if name[i] == b':' {
            colons += 1;
            assert!(i > 0 && i + 1 < name.len(), "a module's name is \"repo:module\"");
        }
        i += 1;
    }
    assert!(colons == 1, "a module's name is \"repo:module\"");
    let mut i = 0;
    while i < C::METHODS.len() {
        let number = C::METHODS[i].number;
        assert!(
            number != CHI_METHOD_CREATE && number != CHI_METHOD_DESTROY,
            "kCreate (0) and kDestroy (1) are implemented by the container's create and destroy"
        );
        assert!(
            (number <= CHI_METHOD_UPGRADE) == C::METHODS[i].life || C::METHODS[i].run.is_none(),
            "kNodeFailure (2), kRecover (3), kMigrate (4) and kUpgrade (5) take a `&LifeTask`, and no \
             other method does: mark their functions #[node_failure], #[recover], #[migrate] and \
             #[upgrade]"
        );
        assert!(number < CHI_METHOD_LIMIT, "a method's number must be below CHI_METHOD_LIMIT");
        assert!(!C::METHODS[i].name.to_bytes().is_empty(), "a method has no name");
        let mut k = 0;
        while k < i {
            assert!(C::METHODS[k].number != number, "two methods have the same number");
            k += 1;
        }
        i += 1;
    }
}
