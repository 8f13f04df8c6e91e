//! Journals in real files.

mod writes;

use std::path::Path;

use chimaera_cluster::{Disk, Write};
use chimaera_journal::{Error, Journal};
use redb::TableDefinition;
use writes::Writes;

fn file(directory: &Path) -> std::path::PathBuf {
    directory.join("journal.redb")
}

#[test]
fn what_was_written_is_there_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut writes = Writes::new(1);
    let (mut journal, mut found) = Journal::open(directory.path()).unwrap();
    let node = found.node;
    for boot in 1..40 {
        assert_eq!((found.node, found.boot.0), (node, boot));
        assert_eq!(found.disk, writes.disk);
        for _ in 0..writes.below(30) {
            let count = 1 + writes.below(4) as usize;
            let some: Vec<Write> = writes.by_ref().take(count).collect();
            match &some[..] {
                [one] => journal.write(one).unwrap(),
                all => journal.write_all(all).unwrap(),
            }
        }
        drop(journal);
        (journal, found) = Journal::open(directory.path()).unwrap();
    }
}

#[test]
fn a_node_keeps_its_cluster_until_it_forgets_it() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, found) = Journal::open(directory.path()).unwrap();
    assert_eq!(found.cluster, None);
    assert!(found.disk.is_empty() && found.node.0 != 0 && found.node.0 >> 63 == 0);
    let disk = Disk::founded_by(found.life(), "one", "10.0.0.1:1");
    journal.found("blue", &disk).unwrap();
    assert!(matches!(journal.found("blue", &disk), Err(Error::OtherCluster { .. })));
    journal.set_cluster("blue").unwrap();
    let error = journal.set_cluster("red").unwrap_err();
    assert!(error.to_string().contains("of the cluster \"blue\", not \"red\""), "{error}");
    // That is no failure of the disk.
    journal.write(&Write::default()).unwrap();
    drop(journal);

    let (mut journal, again) = Journal::open(directory.path()).unwrap();
    assert_eq!((again.cluster.as_deref(), &again.disk), (Some("blue"), &disk));
    let fresh = journal.forget().unwrap();
    assert_ne!(fresh.node, found.node);
    journal.set_cluster("red").unwrap();
    drop(journal);

    let (_, last) = Journal::open(directory.path()).unwrap();
    assert_eq!((last.node, last.boot.0), (fresh.node, 2));
    assert_eq!(last.cluster.as_deref(), Some("red"));
    assert!(last.disk.is_empty());
}

#[test]
fn a_change_that_does_not_follow_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(directory.path()).unwrap();
    let mut writes = Writes::new(3);
    let gap = writes.by_ref().find(|write| write.entries.first().is_some_and(|e| e.index > 1));
    let error = journal.write(&gap.unwrap()).unwrap_err();
    assert!(matches!(error, Error::Gap { last: 0, .. }), "{error}");
    let after = journal.write(&Write::default()).unwrap_err();
    assert!(matches!(after, Error::Failed { .. }), "{after}");
    drop(journal);
    let (mut journal, found) = Journal::open(directory.path()).unwrap();
    assert_eq!(found.disk, Disk::default());
    journal.write(&Write::default()).unwrap();
}

#[test]
fn another_format_and_another_file_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(Journal::open(directory.path()).unwrap());
    let about: TableDefinition<'_, &str, u64> = TableDefinition::new("chimaera:journal");
    let database = redb::Database::open(file(directory.path())).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(about).unwrap().insert("format", 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Journal::open(directory.path()).unwrap_err();
    assert!(matches!(error, Error::Format { found: 1, .. }), "{error}");
    assert!(error.to_string().contains("format 1, and this version knows only 2"), "{error}");
    let database = redb::Database::open(file(directory.path())).unwrap();
    let read = database.begin_read().unwrap().open_table(about).unwrap();
    assert_eq!(read.get("boot").unwrap().unwrap().value(), 1, "what is refused is not changed");

    let other = tempfile::tempdir().unwrap();
    drop(redb::Database::create(file(other.path())).unwrap());
    assert!(matches!(Journal::open(other.path()), Err(Error::Foreign { .. })));
    std::fs::write(file(other.path()), "a letter, longer than a head".repeat(1000)).unwrap();
    assert!(matches!(Journal::open(other.path()), Err(Error::Foreign { .. })));
    std::fs::write(file(other.path()), "").unwrap();
    assert!(matches!(Journal::open(other.path()), Err(Error::Damaged { .. })));
    std::fs::remove_file(file(other.path())).unwrap();
    std::fs::create_dir(file(other.path())).unwrap();
    let error = Journal::open(other.path()).unwrap_err();
    assert!(error.to_string().contains("journal.redb"), "{error}");

    let nowhere = other.path().join("missing").join("directory");
    let error = Journal::open(&nowhere).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn a_draft_that_was_left_behind_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("journal.new"), "half of a journal").unwrap();
    drop(Journal::open(directory.path()).unwrap());
    assert!(!directory.path().join("journal.new").exists());
}
