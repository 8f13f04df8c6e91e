//! The functions of the C library's that end a process at once, without its exit handlers. Modules that call them
//! find these: the program is the first place where the dynamic linker looks.

use std::ffi::c_int;

#[no_mangle]
extern "C" fn _exit(code: c_int) -> ! {
    chimaera_runtime::exit_at_once(code)
}

#[no_mangle]
extern "C" fn _Exit(code: c_int) -> ! {
    chimaera_runtime::exit_at_once(code)
}
