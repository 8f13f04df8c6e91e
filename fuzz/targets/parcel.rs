//! A task that comes back from a module host.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimaera_runtime::fuzzing::parcel_that_comes_back(bytes));
