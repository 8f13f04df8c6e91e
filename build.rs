//! Generates the C headers into `OUT_DIR` for `tests/headers.rs`, in a git checkout and with the
//! feature `headers` only: crates that depend on `chimaera` neither compile nor run cbindgen.

#[cfg(feature = "headers")]
#[path = "tools/headers.rs"]
mod headers;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "headers")]
    {
        let variable =
            |name| std::path::PathBuf::from(std::env::var_os(name).expect("cargo sets it"));
        println!("cargo:rerun-if-changed=tools/headers.rs");
        let root = variable("CARGO_MANIFEST_DIR");
        if root.join(".git").exists() {
            headers::generate(&root, &variable("OUT_DIR"));
        }
    }
}
