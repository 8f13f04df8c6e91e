//! Generates the C header into `OUT_DIR` for `tests/headers.rs`, in a git checkout with the feature
//! `headers`; a crate that depends on `chimaera` never runs, nor compiles, cbindgen.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "headers")]
    headers::generate();
}

#[cfg(feature = "headers")]
mod headers {
    use std::path::{Path, PathBuf};

    /// The files whose C items make the header, in its order.
    fn sources(root: &Path) -> Vec<PathBuf> {
        let abi = ["lib", "status", "shm", "task", "archive", "ipc", "module", "host", "admin"]
            .map(|name| root.join(format!("src/abi/{name}.rs")));
        let client = ["lib"].map(|name| root.join(format!("src/client/c/{name}.rs")));
        abi.into_iter().chain(client).filter(|path| path.exists()).collect()
    }

    pub(super) fn generate() {
        let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
        if !root.join(".git").exists() {
            return;
        }
        let config = root.join("cbindgen.toml");
        println!("cargo:rerun-if-changed={}", config.display());
        let mut builder = cbindgen::Builder::new()
            .with_config(cbindgen::Config::from_file(&config).expect("cbindgen.toml is readable"));
        for source in sources(&root) {
            println!("cargo:rerun-if-changed={}", source.display());
            builder = builder.with_src(source);
        }
        let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
        let bindings = builder.generate().expect("cbindgen reads src/abi and src/client/c");
        let mut header = Vec::new();
        bindings.write(&mut header);
        let header = String::from_utf8(header).expect("the sources are UTF-8");
        std::fs::write(out.join("abi.h"), without_safety(&header)).expect("OUT_DIR is writable");
    }

    /// Leaves out the sections `# Safety` of the comments, the last in theirs: they speak to Rust, and a
    /// C header says the same in its words.
    fn without_safety(header: &str) -> String {
        let mut kept: Vec<&str> = Vec::new();
        let mut leaving_out = false;
        for line in header.lines() {
            if line == "// # Safety" {
                leaving_out = true;
                kept.pop_if(|before| before.trim_end() == "//");
            }
            leaving_out &= line.starts_with("//");
            if !leaving_out {
                kept.push(line);
            }
        }
        kept.join("\n") + "\n"
    }
}
