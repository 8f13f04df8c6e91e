//! Makes the program export the functions of `exit.rs`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for symbol in ["_exit", "_Exit"] {
        println!("cargo:rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
    }
}
