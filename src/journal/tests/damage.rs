//! Journals whose file was damaged. A program of its own: it silences what the database says in panics.

mod writes;

use std::path::Path;

use chimaera_journal::{Error, Journal};
use writes::Writes;

fn file(directory: &Path) -> std::path::PathBuf {
    directory.join("journal.redb")
}

/// Whatever is damaged, the log is the same or the file is refused by name.
#[test]
fn a_damaged_file_is_refused() {
    std::panic::set_hook(Box::new(|_| ()));
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(directory.path()).unwrap();
    let mut writes = Writes::new(5);
    for write in writes.by_ref().take(60) {
        journal.write(&write).unwrap();
    }
    drop(journal);
    let whole = std::fs::read(file(directory.path())).unwrap();
    let mut refused = 0;
    let mut check = |bytes: &[u8], what: &str| {
        std::fs::write(file(directory.path()), bytes).unwrap();
        match Journal::open(directory.path()) {
            Ok((_, found)) => assert!(found.disk == writes.disk, "another log after {what}"),
            Err(error @ (Error::Damaged { .. } | Error::Foreign { .. })) => {
                assert!(error.to_string().contains("journal.redb"), "{error}");
                refused += 1;
            }
            Err(error) => panic!("after {what}: {error}"),
        }
    };
    check(&whole, "nothing");
    let mut random = Writes::new(6);
    for count in 0..200 {
        let mut bytes = whole.clone();
        let at = match count % 4 {
            0 => random.below(320),
            _ => random.below(bytes.len() as u64),
        };
        let bit = random.below(8);
        // The byte that says which head is valid: the one damage that is not noticed.
        if at != 9 {
            bytes[at as usize] ^= 1 << bit;
            check(&bytes, &format!("bit {bit} of byte {at}"));
        }
        let mut bytes = whole.clone();
        let at = random.below(bytes.len() as u64 / 4096) as usize * 4096;
        bytes[at..at + 4096].fill(random.below(3) as u8);
        check(&bytes, &format!("page {at}"));
    }
    for _ in 0..40 {
        let length = random.below(whole.len() as u64) as usize;
        check(&whole[..length], &format!("{length} bytes"));
    }
    assert!(refused > 20, "{refused}");
}
