//! The symbols that a module exports.

/// Makes the crate a module with this container type, by exporting the five symbols of the
/// contract: `is_chimaera_task_`, `get_module_name`, `alloc_state`, `new_state` and `chi_module`.
/// Use it once, in a `cdylib`; [`macro@crate::container`] does so.
#[macro_export]
macro_rules! export_container {
    ($container:ty) => {
        #[allow(unsafe_code)]
        const _: () = {
            use $crate::__private as p;

            static MODULE: p::ModuleState<$container> = p::ModuleState::new({
                // The constant of the generated code, if there is any, hides the one of the trait.
                #[allow(unused_imports)]
                use p::NotDescribed as _;
                <$container>::__CHIMAERA_DESCRIPTION
            });

            #[allow(non_upper_case_globals, unreachable_pub)]
            #[no_mangle]
            pub static is_chimaera_task_: bool = true;

            #[allow(unreachable_pub)]
            #[no_mangle]
            pub extern "C" fn get_module_name() -> *const p::c_char {
                MODULE.name()
            }

            #[allow(unreachable_pub)]
            #[no_mangle]
            pub unsafe extern "C" fn alloc_state(
                pool_id: *const p::chi_pool_id,
                pool_name: *const p::c_char,
            ) -> *mut p::c_void {
                // SAFETY: the contract guarantees that the arguments are valid.
                unsafe { MODULE.make(pool_id, pool_name) }
            }

            #[allow(unreachable_pub)]
            #[no_mangle]
            pub unsafe extern "C" fn new_state(
                pool_id: *const p::chi_pool_id,
                pool_name: *const p::c_char,
            ) -> *mut p::c_void {
                // SAFETY: as above.
                unsafe { MODULE.make(pool_id, pool_name) }
            }

            #[allow(unreachable_pub)]
            #[no_mangle]
            pub unsafe extern "C" fn chi_module(
                host: *const p::chi_host,
            ) -> *const p::chi_module_descriptor {
                // SAFETY: as above.
                unsafe { MODULE.module(host) }
            }
        };
    };
}
