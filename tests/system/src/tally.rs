//! Counts that tests contribute to the report of a soak.

use std::io::Write;

/// Adds to a count. Does nothing outside a soak (`tools/soak`).
pub fn tally(what: &str, count: u64) {
    let Some(path) = std::env::var_os("CHI_TALLY") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    // A single write, because several processes may add at once.
    let added = file.and_then(|mut file| file.write_all(format!("{what} {count}\n").as_bytes()));
    added.expect("the soak has made the directory");
}
