//! Has the program export what modules are to find in it (`exit.rs`).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for symbol in ["_exit", "_Exit"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }
}
