//! The reader and the printers on good and bad files.
//!
//! The expected problems of a bad file are in the file of the same name with the extension `.txt`;
//! `CHI_REFRESH_GOLDEN=1` rewrites those.

use std::path::{Path, PathBuf};

use chimaera_config::{default_file, File, Flags, Settings, KEYS};
use serde_json::Value;

fn corpus(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind);
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// Loads a file, without environment and flags.
fn load(path: &Path) -> Settings {
    let flags = Flags { config: Some(path.to_owned()), ..Flags::default() };
    Settings::load(&flags, &|_| None).unwrap_or_else(|problems| panic!("{problems}"))
}

/// Loads a text as a file in its own directory, without environment and flags.
fn load_text(text: &str) -> Settings {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("conf.yaml");
    std::fs::write(&path, text).unwrap();
    load(&path)
}

/// Keys and values, without their origins.
fn values(settings: &Settings) -> Vec<(String, Value)> {
    let values = settings.json()["values"].take();
    let pair = |value: &Value| (value["key"].as_str().unwrap().to_owned(), value["value"].clone());
    values.as_array().unwrap().iter().map(pair).collect()
}

#[test]
fn all_problems_of_bad_files_are_found() {
    for file in corpus("bad") {
        let name = Path::new(file.file_name().unwrap());
        let bytes = std::fs::read(&file).unwrap();
        let problems = File::parse(name, &bytes).expect_err(file.to_str().unwrap());
        let problems = problems.to_string() + "\n";
        let golden = file.with_extension("txt");
        if std::env::var_os("CHI_REFRESH_GOLDEN").is_some() {
            std::fs::write(&golden, &problems).unwrap();
        }
        let want = std::fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(problems, want, "{}", file.display());
    }
}

#[test]
fn what_is_shown_of_a_good_file_means_the_same() {
    for file in corpus("good") {
        let settings = load(&file);
        let again = load_text(&settings.yaml());
        assert_eq!(values(&again), values(&settings), "{}", settings.yaml());
    }
}

#[test]
fn the_default_file_has_every_default() {
    let plain = Settings::load(&Flags { no_config: true, ..Flags::default() }, &|_| None).unwrap();
    assert_eq!(values(&load_text(&default_file())), values(&plain));
    for key in KEYS {
        let word = key.path.rsplit('.').next().unwrap();
        assert!(default_file().contains(&format!("{word}:")), "{}", key.path);
    }
}

/// The examples are comments; without the comment sign, they are a valid file as well.
#[test]
fn the_examples_of_the_default_file_are_right() {
    let key = |line: &str| {
        let word = line.split(':').next().unwrap_or_default();
        line.contains(": ")
            && !word.is_empty()
            && word.chars().all(|c| c == '_' || c.is_lowercase())
    };
    let text = default_file().replace("\npools: []\n", "\n");
    let mut in_pools = false;
    let lines = text.lines().map(|line| match line.trim_start().strip_prefix("# ") {
        Some(rest) => {
            in_pools |= rest == "pools:";
            let margin = &line[..line.len() - line.trim_start().len()];
            if in_pools || key(rest) {
                format!("{margin}{rest}\n")
            } else {
                String::new()
            }
        }
        None => format!("{line}\n"),
    });
    let text: String = lines.collect();
    let settings = load_text(&text);
    assert_eq!(settings.pools.len(), 1, "{text}");
    assert_eq!(settings.runtime().high_latency_cores, [4, 5], "{text}");
    assert!(settings.log_file().is_some(), "{text}");
}

#[test]
fn the_example_of_the_documentation_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, example) = text.split_once("```yaml\n").unwrap();
    let settings = load_text(example.split("```").next().unwrap());
    assert_eq!((settings.runtime().workers, settings.pools.len()), (5, 1));
}

#[test]
fn the_documentation_has_every_key() {
    const MARKS: [&str; 2] = ["<!-- keys -->\n", "<!-- end of keys -->\n"];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let begin = text.find(MARKS[0]).unwrap() + MARKS[0].len();
    let end = text.find(MARKS[1]).unwrap();
    if std::env::var_os("CHI_REFRESH_GOLDEN").is_some() {
        let fresh = format!("{}{}{}", &text[..begin], chimaera_config::table(), &text[end..]);
        std::fs::write(&path, fresh).unwrap();
    } else {
        assert_eq!(
            text[begin..end],
            chimaera_config::table(),
            "CHI_REFRESH_GOLDEN=1 writes it anew"
        );
    }
}
