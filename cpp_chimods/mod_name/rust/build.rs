//! Compiles the module's C++ client and the bridge to it.

fn main() {
    let sources = ["src/bridge.cc", "../src/mod_name_client.cc"];
    cxx_build::bridge("src/lib.rs")
        .files(sources)
        .include(chimaera::INCLUDE_DIR)
        .include("../include")
        .include("../autogen")
        .include("src")
        .std("c++17")
        // The client gets its table from the crate chimaera, like everything else in the program.
        .define("CHIMAERA_IPC_FUNCTION", "example_mod_name_bridge_ipc")
        .flag_if_supported("-fno-gnu-unique")
        .flag("-fvisibility=hidden")
        .compile("example_mod_name_client_bridge");
    for source in ["src/lib.rs", "src/bridge.h", "../include", "../autogen", chimaera::INCLUDE_DIR]
    {
        println!("cargo:rerun-if-changed={source}");
    }
    sources.iter().for_each(|source| println!("cargo:rerun-if-changed={source}"));
}
