//! A saved pool.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimaera_runtime::fuzzing::saved_pool(bytes));
