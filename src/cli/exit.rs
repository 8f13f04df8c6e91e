//! Replacements for the C library's functions that end a process. Modules call these instead, because the
//! dynamic linker searches the program first.

use std::ffi::c_int;

use chimaera_runtime::ends;

#[no_mangle]
extern "C" fn exit(code: c_int) -> ! {
    ends::exit(code)
}

#[no_mangle]
extern "C" fn quick_exit(code: c_int) -> ! {
    ends::quick_exit(code)
}

#[no_mangle]
extern "C" fn _exit(code: c_int) -> ! {
    ends::exit_at_once(code)
}

#[no_mangle]
extern "C" fn _Exit(code: c_int) -> ! {
    ends::exit_at_once(code)
}
