//! Properties that hold for every file.

use std::path::Path;

use chimaera_config::{File, Flags, Settings, KEYS};
use proptest::prelude::*;

/// A line with some key and some value, valid or not.
fn line() -> impl Strategy<Value = String> {
    let words: Vec<&str> = KEYS.iter().flat_map(|key| key.path.split('.')).collect();
    let value =
        "[0-9]{0,6}( ?([KMGT]i?B?|[nmu]?s|min|%))?|never|\\[[0-9, -]{0,9}\\]|[a-z/~: -]{0,9}";
    (0..3_usize, prop::sample::select(words), value)
        .prop_map(|(depth, word, value)| format!("{}{word}: {value}\n", "  ".repeat(depth)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = File::parse(Path::new("conf.yaml"), &bytes);
    }

    /// Every problem has a position in the file, and a good file, printed, is a good file again.
    #[test]
    fn problems_have_places_and_good_files_come_back(lines in prop::collection::vec(line(), 0..6)) {
        let text = lines.concat();
        match File::parse(Path::new("conf.yaml"), text.as_bytes()) {
            Err(problems) => {
                let last = text.lines().count() + 1;
                for problem in problems.0 {
                    prop_assert!(problem.position.unwrap().line <= last, "{problem}\n{text}");
                    prop_assert!(!problem.help.is_empty(), "{problem}\n{text}");
                }
            }
            Ok(_) => {
                let home = tempfile::tempdir().unwrap();
                let path = home.path().join("conf.yaml");
                std::fs::write(&path, &text).unwrap();
                let flags = Flags { config: Some(path), ..Flags::default() };
                let settings = Settings::load(&flags, &|_| None).unwrap();
                let again = File::parse(Path::new("again.yaml"), settings.yaml().as_bytes());
                prop_assert!(again.is_ok(), "{}\n{}", again.unwrap_err(), settings.yaml());
            }
        }
    }
}
