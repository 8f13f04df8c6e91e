//! Compiles the bridge to the module's C++ client.

fn main() {
    let includes = ["../include", "../autogen", "../..", "src", chimaera::INCLUDE_DIR];
    cxx_build::bridge("src/lib.rs")
        .file("src/bridge.cc")
        .includes(includes)
        .std("c++17")
        // The client gets its table from the crate chimaera, like everything else in the program.
        .define("CHIMAERA_IPC_FUNCTION", "written_press_bridge_ipc")
        .flag_if_supported("-fno-gnu-unique")
        .flag("-fvisibility=hidden")
        .compile("written_press_client_bridge");
    for source in ["src", "../include", "../autogen", "../../client.h", chimaera::INCLUDE_DIR] {
        println!("cargo:rerun-if-changed={source}");
    }
}
