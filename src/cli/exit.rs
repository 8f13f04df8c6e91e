//! Replacements for the C library's functions that end a process without its exit handlers. Modules
//! call these instead, because the dynamic linker searches the program first.

use std::ffi::c_int;

#[no_mangle]
extern "C" fn _exit(code: c_int) -> ! {
    chimaera_runtime::exit_at_once(code)
}

#[no_mangle]
extern "C" fn _Exit(code: c_int) -> ! {
    chimaera_runtime::exit_at_once(code)
}
