//! A disk for tests that remembers every write and sync, and what a crash would leave of them.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use chimaera::abi::{CHI_IO, CHI_NO_SPACE};
use chimaera::{Result, Status};
use chimaera_bdev_client::geometry::PAGE;

use crate::disk::{Disk, Part};

/// The bytes that a disk writes whole.
pub(crate) const SECTOR: u64 = 512;

type Sector = Rc<[u8; SECTOR as usize]>;

/// The contents of a file; sectors that are not there are zeros.
#[derive(Clone, Default)]
pub(crate) struct Image {
    pub(crate) size: u64,
    sectors: BTreeMap<u64, Sector>,
}

impl Image {
    pub(crate) fn of_size(size: u64) -> Image {
        Image { size, ..Image::default() }
    }

    pub(crate) fn write(&mut self, at: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let position = at + done as u64;
            let start = (position % SECTOR) as usize;
            let n = (SECTOR as usize - start).min(bytes.len() - done);
            let zeros = || Rc::new([0; SECTOR as usize]);
            let sector = self.sectors.entry(position / SECTOR).or_insert_with(zeros);
            Rc::make_mut(sector)[start..start + n].copy_from_slice(&bytes[done..done + n]);
            done += n;
        }
    }

    pub(crate) fn read(&self, at: u64, to: &mut [u8]) {
        to.fill(0);
        let end = at + to.len() as u64;
        for (number, sector) in self.sectors.range(at / SECTOR..end.div_ceil(SECTOR)) {
            let first = number * SECTOR;
            let (from, until) = (first.max(at), (first + SECTOR).min(end));
            to[(from - at) as usize..(until - at) as usize]
                .copy_from_slice(&sector[(from - first) as usize..(until - first) as usize]);
        }
    }

    pub(crate) fn flip(&mut self, bit: u64) {
        let mut byte = [0];
        self.read(bit / 8, &mut byte);
        self.write(bit / 8, &[byte[0] ^ 1 << (bit % 8)]);
    }
}

/// What was done to a disk.
#[derive(Clone)]
pub(crate) enum Op {
    Write(u64, Vec<u8>),
    SetSize(u64),
    Sync,
}

/// A number generator that gives the same numbers for the same seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64, by Steele, Lea and Flood.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// How a crash treats what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The process is killed: everything is there, but the last write perhaps only up to a sector.
    Kill,
    /// The power fails: any sectors of any unsynced writes are there.
    PowerCut,
    /// The same with a disk that does not write the sectors of superblocks as a whole.
    TornSuperblocks,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Rc<Inner>);

#[derive(Default)]
struct Inner {
    /// The contents before `log`.
    before: RefCell<Image>,
    now: RefCell<Image>,
    log: RefCell<Vec<Op>>,
    /// The number of writes and syncs that succeed before one fails, and with which status.
    fault: Cell<Option<(u64, i32)>>,
}

impl Recorder {
    pub(crate) fn of(image: Image) -> Recorder {
        let recorder = Recorder::default();
        recorder.0.before.replace(image.clone());
        recorder.0.now.replace(image);
        recorder
    }

    /// The contents, as programs see them.
    pub(crate) fn image(&self) -> Image {
        self.0.now.borrow().clone()
    }

    /// How much was done so far.
    pub(crate) fn moment(&self) -> usize {
        self.0.log.borrow().len()
    }

    pub(crate) fn fail_after(&self, operations: u64, status: i32) {
        self.0.fault.set(Some((operations, status)));
    }

    /// Whether the fault has not happened yet.
    pub(crate) fn is_faultless(&self) -> bool {
        self.0.fault.get().is_some()
    }

    /// The contents at a moment, as programs saw them.
    pub(crate) fn image_at(&self, moment: usize) -> Image {
        let mut image = self.0.before.borrow().clone();
        for op in &self.0.log.borrow()[..moment] {
            match op {
                Op::Write(at, bytes) => image.write(*at, bytes),
                Op::SetSize(size) => set_size(&mut image, *size),
                Op::Sync => {}
            }
        }
        image
    }

    /// The contents after a crash at a moment.
    pub(crate) fn crash(&self, how: Crash, moment: usize, random: &mut Random) -> Image {
        let mut image = self.0.before.borrow().clone();
        let log = &self.0.log.borrow()[..moment];
        let synced = log.iter().rposition(|op| matches!(op, Op::Sync)).map_or(0, |at| at + 1);
        for (number, op) in log.iter().enumerate() {
            let (at, bytes) = match op {
                Op::Write(at, bytes) => (*at, bytes),
                Op::SetSize(size) => {
                    set_size(&mut image, *size);
                    continue;
                }
                Op::Sync => continue,
            };
            // The pieces of the write that are there or not, each as a whole.
            let torn = how == Crash::TornSuperblocks && at < 2 * PAGE;
            let whole = if torn { 64 } else { SECTOR };
            let first = (whole - at % whole) as usize;
            let rest = bytes.get(first..).unwrap_or_default().chunks(whole as usize);
            let pieces: Vec<&[u8]> =
                std::iter::once(&bytes[..first.min(bytes.len())]).chain(rest).collect();
            let fate = random.below(4);
            let kept = random.below(pieces.len() as u64 + 1) as usize;
            let mut position = at;
            for (index, piece) in pieces.into_iter().enumerate() {
                let there = match how {
                    _ if number < synced => true,
                    Crash::Kill => number + 1 < log.len() || index < kept,
                    Crash::PowerCut | Crash::TornSuperblocks => {
                        fate == 0 || fate > 1 && random.below(2) == 0
                    }
                };
                if there {
                    image.write(position, piece);
                }
                position += piece.len() as u64;
            }
        }
        image
    }

    fn may(&self) -> Result<()> {
        match self.0.fault.get() {
            Some((0, status)) => {
                self.0.fault.set(None);
                Err(Status::new(status, "the disk refuses"))
            }
            Some((n, status)) => {
                self.0.fault.set(Some((n - 1, status)));
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn log(&self, op: Op) {
        self.0.log.borrow_mut().push(op);
    }
}

fn set_size(image: &mut Image, size: u64) {
    image.size = size;
    image.sectors.split_off(&size.div_ceil(SECTOR));
}

impl Disk for Recorder {
    fn name(&self) -> &str {
        "the disk"
    }

    fn read(&self, _: u32, _: Part, at: u64, to: &mut [u8]) -> Result<()> {
        let image = self.0.now.borrow();
        if at + to.len() as u64 > image.size {
            return Err(Status::new(CHI_IO, "beyond the end"));
        }
        image.read(at, to);
        Ok(())
    }

    fn write(&self, _: u32, _: Part, at: u64, from: &[u8]) -> Result<()> {
        let refused = self.may();
        // A write that fails may have done a part of its work.
        let done = if refused.is_ok() { from.len() } else { from.len() / 2 };
        let mut image = self.0.now.borrow_mut();
        if at + done as u64 > image.size {
            return Err(Status::new(CHI_NO_SPACE, "beyond the end"));
        }
        image.write(at, &from[..done]);
        self.log(Op::Write(at, from[..done].to_vec()));
        refused
    }

    fn sync(&self, _: u32) -> Result<()> {
        self.may()?;
        self.log(Op::Sync);
        Ok(())
    }

    fn size(&self) -> Result<u64> {
        Ok(self.0.now.borrow().size)
    }

    fn size_now(&self) -> Result<u64> {
        self.size()
    }

    fn set_size(&self, size: u64) -> Result<()> {
        set_size(&mut self.0.now.borrow_mut(), size);
        self.log(Op::SetSize(size));
        Ok(())
    }

    fn reserve(&self, _: u64) -> Result<()> {
        Ok(())
    }

    fn has_data(&self, from: u64) -> Result<bool> {
        let image = self.0.now.borrow();
        let mut sectors = image.sectors.range(from / SECTOR..);
        Ok(sectors.any(|(_, sector)| sector.iter().any(|byte| *byte != 0)))
    }
}
