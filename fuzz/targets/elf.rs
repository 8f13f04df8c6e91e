//! A file in a module directory.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chimaera_runtime::fuzzing::elf_file(bytes));
