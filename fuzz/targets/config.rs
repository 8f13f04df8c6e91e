//! The configuration file. The reader knows what to do about whatever it refuses.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(problems) = chimaera_config::File::parse("conf.yaml".as_ref(), bytes) {
        assert!(problems.0.iter().all(|problem| problem.position.is_some()));
        assert!(problems.0.iter().all(|problem| !problem.help.is_empty()));
    }
});
