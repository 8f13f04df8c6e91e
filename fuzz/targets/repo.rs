//! The two YAML files of a module repo. What the readers take, the generators make code of.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimaera_repo::fuzz(bytes));
