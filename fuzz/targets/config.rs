//! The configuration file. For everything it refuses, the reader says how to fix it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(problems) = chimaera_config::File::parse("conf.yaml".as_ref(), bytes) {
        assert!(problems.0.iter().all(|problem| problem.position.is_some()));
        assert!(problems.0.iter().all(|problem| !problem.help.is_empty()));
    }
});
