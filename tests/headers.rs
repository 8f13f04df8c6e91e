//! `include/chimaera/abi.h` is what `build.rs` generates; `make headers` refreshes it.
#![cfg(feature = "headers")]

use std::path::Path;

#[test]
fn committed_header_is_fresh() {
    let generated = std::fs::read_to_string(concat!(env!("OUT_DIR"), "/abi.h"))
        .expect("build.rs generated abi.h");
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/chimaera/abi.h");
    if std::env::var_os("CHI_REFRESH_HEADERS").is_some() {
        std::fs::write(&committed, &generated).expect("include/chimaera/abi.h is writable");
        return;
    }
    let current = std::fs::read_to_string(&committed).unwrap_or_default();
    assert!(current == generated, "include/chimaera/abi.h is stale: run `make headers`");
}
