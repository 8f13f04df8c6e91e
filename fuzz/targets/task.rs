//! A task in a client's segment.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimaera_runtime::fuzzing::task_in_segment(bytes));
