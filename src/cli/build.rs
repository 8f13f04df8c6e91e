//! Makes the program export the functions of `exit.rs` and `state_calls.rs`.

const SYMBOLS: [&str; 13] = [
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
    "sigaltstack",
    "pthread_create",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for symbol in SYMBOLS {
        println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }
}
