//! Gives the library its name as other programs see it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libchimaera_test_rust_conformance.so");
}
