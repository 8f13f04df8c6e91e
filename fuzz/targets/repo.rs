//! The two YAML files of a module repo. If the readers accept them, code is generated from them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimaera_repo::fuzz(bytes));
