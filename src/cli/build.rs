//! Makes the program export the functions of `exit.rs`, `signal_masks.rs` and `state_calls.rs`.

const SYMBOLS: [&str; 32] = [
    "exit",
    "quick_exit",
    "_exit",
    "_Exit",
    "pthread_sigmask",
    "sigprocmask",
    "uselocale",
    "setlocale",
    "umask",
    "chdir",
    "fchdir",
    "daemon",
    "sigaltstack",
    "pthread_create",
    "thrd_create",
    "sighold",
    "sigrelse",
    "sigblock",
    "sigsetmask",
    "ppoll",
    "__ppoll_chk",
    "pselect",
    "epoll_pwait",
    "epoll_pwait2",
    "sigsuspend",
    "pthread_attr_setsigmask_np",
    "setcontext",
    "swapcontext",
    "sigset",
    "sigpause",
    "timer_create",
    "timer_delete",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for symbol in SYMBOLS {
        println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }
}
