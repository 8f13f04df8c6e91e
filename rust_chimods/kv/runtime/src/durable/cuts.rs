//! Power cuts: what the store writes and syncs is recorded, and cut at arbitrary moments. After the
//! last sync, any of the writes may have reached the disk, whole or in part, or none.

use std::collections::BTreeMap;
use std::io;

use redb::{ReadableTable, StorageBackend};

use super::*;
use crate::durable::file::{check, database_over, lay_out, table, table_name};
use crate::store::Key;

const CONTAINERS: u32 = 2;

#[derive(Clone, Debug)]
pub(super) enum Op {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

/// A disk in memory that records what is done to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<(Vec<u8>, Vec<Op>)>>);

impl Disk {
    fn with<T>(&self, run: impl FnOnce(&mut Vec<u8>, &mut Vec<Op>) -> T) -> T {
        let mut disk = self.0.lock().unwrap();
        let (bytes, ops) = &mut *disk;
        run(bytes, ops)
    }

    fn ops(&self) -> usize {
        self.with(|_, ops| ops.len())
    }
}

fn write(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + data.len());
    bytes.resize(bytes.len().max(end), 0);
    bytes[start..end].copy_from_slice(data);
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|bytes, _| bytes.len() as u64))
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let range = offset as usize..offset as usize + len;
        let read = self.with(|bytes, _| bytes.get(range).map(<[u8]>::to_vec));
        read.ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|bytes, ops| {
            bytes.resize(len as usize, 0);
            // As the file does.
            ops.extend([Op::SetLen(len), Op::Sync]);
        });
        Ok(())
    }

    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        self.with(|_, ops| ops.push(Op::Sync));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|bytes, ops| {
            write(bytes, offset, data);
            ops.push(Op::Write(offset, data.to_vec()));
        });
        Ok(())
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % end as u64) as usize
    }
}

/// What the disk may hold after a cut before `ops[at]`.
fn cut(ops: &[Op], at: usize, random: &mut Random) -> Disk {
    let synced = ops[..at].iter().rposition(|op| matches!(op, Op::Sync)).unwrap_or(0);
    let mut image = Vec::new();
    for (n, op) in ops[..at].iter().enumerate() {
        let certain = n < synced;
        match op {
            Op::Write(offset, data) if certain => write(&mut image, *offset, data),
            Op::Write(offset, data) => match random.below(3) {
                0 => {}
                1 => write(&mut image, *offset, data),
                _ => {
                    for (n, sector) in data.chunks(512).enumerate() {
                        if random.below(2) == 0 {
                            write(&mut image, *offset + n as u64 * 512, sector);
                        }
                    }
                }
            },
            Op::SetLen(len) if certain || random.below(2) == 0 => image.resize(*len as usize, 0),
            Op::SetLen(_) | Op::Sync => {}
        }
    }
    Disk(Arc::new(Mutex::new((image, Vec::new()))))
}

pub(super) fn committer(disk: &Disk) -> Committer {
    let committer = Committer::new(&Params { path: "/disk".into(), ..Params::default() });
    let database = database_over(disk.clone()).unwrap();
    let opened = Opened::over("/disk".into(), database);
    *committer.opened.write().unwrap() = Some(opened);
    committer
}

fn commit(committer: &Committer, changes: &mut Vec<Change>, immediate: bool) {
    let (applied, _) = committer.apply_all(changes, CONTAINERS, |_| {}).unwrap();
    committer.commit(applied, immediate).unwrap();
}

type Model = BTreeMap<(u32, Key), Vec<u8>>;

fn contents(committer: &Committer) -> Model {
    let opened = committer.opened.read().unwrap();
    let transaction = opened.as_ref().unwrap().database.begin_read().unwrap();
    let mut model = Model::new();
    for container in 0..CONTAINERS {
        let keys = transaction.open_table(table(&table_name(container))).unwrap();
        for entry in keys.iter().unwrap() {
            let (key, value) = entry.unwrap();
            model.insert((container, key.value().to_vec()), value.value().to_vec());
        }
    }
    model
}

/// A recorded run of the store.
struct Run {
    ops: Vec<Op>,
    /// By commit, beginning with the empty store: the contents after it, the number of operations
    /// when it ended, and whether it was promised to last.
    commits: Vec<(Model, usize, bool)>,
}

fn run(random: &mut Random, immediate: impl Fn(usize) -> bool) -> Run {
    let disk = Disk::default();
    let database = database_over(disk.clone()).unwrap();
    lay_out(&database, CONTAINERS, 1).unwrap();
    drop(database);
    let committer = committer(&disk);
    let mut model = Model::new();
    let mut commits = vec![(Model::new(), disk.ops(), true)];
    for n in 0..60 {
        let mut changes: Vec<Change> = (0..1 + random.below(8))
            .map(|_| {
                let container = random.below(CONTAINERS as usize) as u32;
                let key = format!("{:02}", random.below(40)).into_bytes();
                let len = [10, 300, 6000][random.below(3)];
                match random.below(4) {
                    0 => Change::Delete { container, key },
                    _ => Change::Put { container, key, value: vec![n as u8; len] },
                }
            })
            .collect();
        commit(&committer, &mut changes, immediate(n));
        for change in changes {
            match change {
                Change::Put { container, key, value } => model.insert((container, key), value),
                Change::Delete { container, key } => model.remove(&(container, key)),
                Change::Load { .. } | Change::Flush | Change::Compact | Change::Close => None,
            };
        }
        commits.push((model.clone(), disk.ops(), immediate(n)));
    }
    assert_eq!(contents(&committer), model);
    let ops = disk.with(|_, ops| ops.clone());
    Run { ops, commits }
}

/// The seeds of cuts; add those that have ever failed.
fn seeds() -> impl Iterator<Item = u64> {
    let is_soak = std::env::var_os("CHI_SOAK").is_some_and(|share| !share.is_empty());
    (1..=if is_soak { 4000 } else { 100 }).map(|n| n * 0x9e37_79b9)
}

fn survives_cuts(immediate: impl Fn(usize) -> bool) {
    let mut random = Random(88_172_645_463_325_252);
    let Run { ops, commits } = run(&mut random, immediate);
    let begin = commits[0].1;
    for seed in seeds() {
        let mut random = Random(seed);
        let at = begin + random.below(ops.len() - begin);
        let committer = committer(&cut(&ops, at, &mut random));
        let found = contents(&committer);
        let promised = commits.iter().rposition(|(_, end, promised)| *promised && *end <= at);
        let promised = promised.expect("the empty store was");
        // The commit that the cut has interrupted may be there.
        let last = commits.iter().position(|(_, end, _)| *end > at).unwrap_or(commits.len() - 1);
        let is_there = commits[promised..=last].iter().any(|(model, ..)| *model == found);
        assert!(is_there, "seed {seed}, cut at {at} of {}: {promised} to {last}", ops.len());

        let bytes = check(
            &committer.opened.read().unwrap().as_ref().unwrap().database,
            Path::new("/disk"),
            CONTAINERS,
        );
        let expected: usize = found.iter().map(|((_, key), value)| key.len() + value.len()).sum();
        assert_eq!(bytes.unwrap().bytes, expected as u64, "seed {seed}");
        committer.bytes.store(expected as u64, Ordering::Relaxed);
        let again = Change::Put { container: 0, key: b"again".into(), value: b"value".into() };
        commit(&committer, &mut vec![again], true);
    }
}

#[test]
fn every_commit_survives_a_power_cut() {
    survives_cuts(|_| true);
}

#[test]
fn what_was_flushed_survives_a_power_cut() {
    survives_cuts(|n| n % 5 == 4);
}
