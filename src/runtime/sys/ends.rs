//! The C library's functions that end a process, in a program that is only a runtime and replaces them: a
//! module that calls one ends the process with last words, and not with an exit code that means success.
//! The program itself ends by returning from its main function, or with [`leave`].
//!
//! In a process in which no runtime has been started, they do what the C library's do.

use std::ffi::c_int;

use super::last_words;
use super::thread_state::Original;

/// The exit code of a daemon that was told to stop and has stopped, but has abandoned something. Whoever watches over it,
/// such as a service manager, need not start it anew.
pub const ABANDONED: c_int = 4;

static EXIT: Original = Original::new(c"exit");
static QUICK_EXIT: Original = Original::new(c"quick_exit");

/// Replaces `exit`, also when a module calls it in one of its own exit handlers. `[any thread]`
pub fn exit(code: c_int) -> ! {
    last_words::exit_is_called("exit", code);
    go_on(&EXIT, code)
}

/// Replaces `quick_exit`. `[any thread]`
pub fn quick_exit(code: c_int) -> ! {
    last_words::exit_is_called("quick_exit", code);
    go_on(&QUICK_EXIT, code)
}

/// Replaces `_exit` and `_Exit`. `[any thread]`
pub fn exit_at_once(code: c_int) -> ! {
    last_words::exit_is_called("_exit", code);
    end(code)
}

/// Ends the process at once, when the program itself wants that: without last words, and without destructors, which
/// must not run while threads still run code of modules. `[any thread]`
pub fn leave(code: c_int) -> ! {
    last_words::give_up();
    end(code)
}

fn go_on(function: &Original, code: c_int) -> ! {
    // SAFETY: it is one of the two functions above, which have this type.
    let function: extern "C" fn(c_int) -> ! = unsafe { std::mem::transmute(function.get()) };
    function(code)
}

fn end(code: c_int) -> ! {
    loop {
        // SAFETY: it has no preconditions.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    }
}
