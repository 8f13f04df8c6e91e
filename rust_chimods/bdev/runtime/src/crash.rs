//! Crashes at any moment, checked against a model of what was promised.

use std::collections::HashMap;

use chimaera::abi::{CHI_IO, CHI_NO_SPACE};
use chimaera_bdev_client::geometry::{Geometry, BLOCKS_PER_PAGE, PAGE};
use chimaera_bdev_client::{Extent, Params, CORRUPT};

use crate::map::Map;
use crate::testing::{Crash, Image, Random, Recorder};
use crate::volume::Volume;

const BLOCK: usize = 512;
/// Enough for three pages of the map.
const BLOCKS: u64 = 2 * BLOCKS_PER_PAGE + 100;

/// Seeds that have found a fault, in the code, a change to it, or the model.
const FAILED: [u64; 4] = [2, 10, 33, 59];

/// More in a soak, as in the system tests.
fn rounds(few: u64, many: u64) -> u64 {
    let percent = std::env::var("CHI_SOAK").ok().and_then(|text| text.parse::<u64>().ok());
    percent.map_or(few, |percent| few.max(many * percent / 100))
}

fn params(checksum: bool) -> Params {
    Params { path: "/disk".into(), block_size: BLOCK as u32, checksum, ..Params::default() }
}

/// A state that was flushed.
#[derive(Clone)]
struct Flushed {
    /// The moments between which the flush began and ended.
    from: usize,
    to: usize,
    blocks: u64,
    /// For each block, the number of its allocation; 0 if it is free.
    owners: Vec<u64>,
    /// Labels of contents, as far as they are known.
    contents: HashMap<u64, u64>,
}

/// A write of a block.
struct Write {
    /// The moment at which it began.
    began: usize,
    block: u64,
    owner: u64,
    label: u64,
}

/// A device under test, and the model.
struct Life {
    disk: Recorder,
    volume: Volume<Recorder>,
    map: Map,
    owners: Vec<u64>,
    contents: HashMap<u64, u64>,
    allocations: Vec<(u64, Vec<Extent>)>,
    writes: Vec<Write>,
    flushes: Vec<Flushed>,
    labels: u64,
}

/// The content of a block with a label.
fn content(label: u64) -> Vec<u8> {
    let mut random = Random(label);
    (0..BLOCK / 8).flat_map(|_| random.next().to_le_bytes()).collect()
}

impl Life {
    /// Opens a device whose state is known.
    fn new(image: Image, params: &Params, known: Option<(Vec<u64>, HashMap<u64, u64>)>) -> Life {
        let disk = Recorder::of(image);
        let (volume, map) = Volume::open(disk.clone(), params, 0).expect("it is in order");
        let (owners, contents) =
            known.unwrap_or_else(|| (vec![0; map.blocks() as usize], HashMap::new()));
        let mut allocations: HashMap<u64, Vec<Extent>> = HashMap::new();
        for (block, owner) in (0..).zip(&owners) {
            if *owner > 0 {
                allocations.entry(*owner).or_default().push(Extent { block, count: 1 });
            }
        }
        let mut allocations: Vec<_> = allocations.into_iter().collect();
        allocations.sort_unstable_by_key(|(owner, _)| *owner);
        let labels = 1 + owners.iter().chain(contents.values()).max().unwrap_or(&0);
        let opened = Flushed {
            from: 0,
            to: disk.moment(),
            blocks: map.blocks(),
            owners: owners.clone(),
            contents: contents.clone(),
        };
        let flushes = vec![opened];
        let writes = Vec::new();
        Life { disk, volume, map, owners, contents, allocations, writes, flushes, labels }
    }

    fn label(&mut self) -> u64 {
        self.labels += 1;
        self.labels
    }

    fn step(&mut self, random: &mut Random) {
        match random.below(12) {
            0 => self.flush().expect("the disk is in order"),
            1 | 2 => self.release(random),
            3 if random.below(8) == 0 => self.grow(random),
            3..=5 => self.allocate(random),
            _ => self.write(random),
        }
    }

    fn allocate(&mut self, random: &mut Random) {
        let free = self.map.free_blocks();
        let count = match random.below(6) {
            0 => free / 2,
            1 => free,
            _ => 1 + random.below(20),
        };
        if count == 0 || count > free {
            return;
        }
        let Some(extents) = self.map.allocate(count, 0).unwrap() else {
            self.flush().expect("the disk is in order");
            return;
        };
        let owner = self.label();
        for extent in &extents {
            for block in extent.block..extent.block + extent.count {
                assert_eq!(self.owners[block as usize], 0, "block {block} is given out twice");
                self.owners[block as usize] = owner;
            }
        }
        self.allocations.push((owner, extents));
    }

    fn release(&mut self, random: &mut Random) {
        if self.allocations.is_empty() {
            return;
        }
        let index = random.below(self.allocations.len() as u64) as usize;
        let (_, extents) = self.allocations.swap_remove(index);
        self.map.free(&extents).unwrap();
        for extent in extents {
            self.owners[extent.block as usize..(extent.block + extent.count) as usize].fill(0);
        }
    }

    fn write(&mut self, random: &mut Random) {
        if self.allocations.is_empty() {
            return;
        }
        let index = random.below(self.allocations.len() as u64) as usize;
        let (owner, extents) = &self.allocations[index];
        let (owner, extent) = (*owner, extents[random.below(extents.len() as u64) as usize]);
        let first = extent.block + random.below(extent.count.min(64));
        let count = (1 + random.below(5)).min(extent.block + extent.count - first);
        let began = self.disk.moment();
        let mut data = Vec::new();
        for block in first..first + count {
            let label = self.label();
            self.writes.push(Write { began, block, owner, label });
            self.contents.insert(block, label);
            data.extend(content(label));
        }
        self.volume.write(0, Extent { block: first, count }, &data).expect("the disk is in order");
    }

    fn flush(&mut self) -> chimaera::Result<()> {
        let from = self.disk.moment();
        let done = self.volume.flush(0, &self.map);
        if done.is_ok() {
            self.flushed(from);
        }
        done
    }

    fn flushed(&mut self, from: usize) {
        self.flushes.push(Flushed {
            from,
            to: self.disk.moment(),
            blocks: self.map.blocks(),
            owners: self.owners.clone(),
            contents: self.contents.clone(),
        });
    }

    fn grow(&mut self, random: &mut Random) {
        let from = self.disk.moment();
        let blocks = self.map.blocks() + 1 + random.below(BLOCKS_PER_PAGE / 4);
        if self.volume.grow(0, &self.map, blocks).is_ok() {
            self.owners.resize(blocks as usize, 0);
            self.flushed(from);
        }
    }

    /// Crashes at a moment, opens what is left, and compares it with what was promised. Returns it
    /// with its state.
    fn crash(
        &self,
        how: Crash,
        moment: usize,
        params: &Params,
        random: &mut Random,
    ) -> (Image, (Vec<u64>, HashMap<u64, u64>)) {
        let image = self.disk.crash(how, moment, random);
        let disk = Recorder::of(image.clone());
        let (volume, map) = Volume::open(disk, params, 0)
            .unwrap_or_else(|status| panic!("moment {moment}: {status}"));
        let found: Vec<bool> =
            (0..map.blocks()).map(|block| map.check(Extent { block, count: 1 }).is_ok()).collect();
        // The last flush that had ended counts, or one that was going on.
        let is = |flushed: &&Flushed| {
            flushed.blocks == map.blocks()
                && flushed.owners.iter().map(|owner| *owner > 0).eq(found.iter().copied())
        };
        let last = self.flushes.iter().rposition(|flushed| flushed.to <= moment).expect("opened");
        let candidates = self.flushes[last..].iter().take_while(|flushed| flushed.from < moment);
        let mut candidates = std::iter::once(&self.flushes[last]).chain(candidates);
        let flushed = candidates.find(is);
        let flushed = flushed.unwrap_or_else(|| panic!("moment {moment}: the map was never so"));

        let mut contents = HashMap::new();
        for block in (0..map.blocks()).filter(|block| found[*block as usize]) {
            // What a previous owner left is not known.
            let Some(then) = flushed.contents.get(&block).copied() else { continue };
            let owner = flushed.owners[block as usize];
            let since = self.writes.iter().filter(|write| {
                (flushed.from..moment).contains(&write.began)
                    && (write.block, write.owner) == (block, owner)
            });
            let labels: Vec<u64> =
                std::iter::once(then).chain(since.map(|write| write.label)).collect();
            let mut bytes = vec![0; BLOCK];
            let label = match volume.read(0, Extent { block, count: 1 }, &mut bytes) {
                // Blocks are as large as sectors here, so none is torn.
                Ok(()) => {
                    *labels.iter().find(|label| content(**label) == bytes).unwrap_or_else(|| {
                        panic!("moment {moment}: block {block} is none of {labels:?}")
                    })
                }
                Err(status) => {
                    assert_eq!(status.code(), CORRUPT, "{status}");
                    assert!(status.message().contains(&format!("block {block} ")), "{status}");
                    let allowed = labels.len() > 1 && how != Crash::Kill;
                    assert!(allowed, "moment {moment} of {how:?}: {status}");
                    continue;
                }
            };
            contents.insert(block, label);
        }
        (volume.disk().image(), (flushed.owners.clone(), contents))
    }
}

/// Returns the number of crashes.
fn run(seed: u64) -> u64 {
    let mut random = Random(seed);
    let params = params(random.below(2) == 0);
    let size = params.file_size(BLOCKS).unwrap();
    let mut life = Life::new(Image::of_size(size), &params, None);
    let mut crashes = 0;
    for _ in 0..4 {
        for _ in 0..1 + random.below(30) {
            life.step(&mut random);
        }
        let mut next = None;
        for _ in 0..5 {
            let how = [Crash::Kill, Crash::PowerCut, Crash::TornSuperblocks];
            let how = how[random.below(3) as usize];
            // What was before the device was opened is checked by its previous life.
            let least = life.flushes[0].to;
            let moment = least + random.below((life.disk.moment() - least) as u64 + 1) as usize;
            next = Some(life.crash(how, moment, &params, &mut random));
            crashes += 1;
        }
        let (image, known) = next.expect("there were crashes");
        life = Life::new(image, &params, Some(known));
    }
    crashes
}

#[test]
fn a_crash_leaves_the_last_flush() {
    let first: u64 = std::env::var("CHI_SEED").ok().and_then(|t| t.parse().ok()).unwrap_or(1);
    let mut crashes = 0;
    for seed in FAILED.into_iter().chain(first..first + rounds(60, 20_000)) {
        crashes +=
            std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("seed {seed} fails"));
    }
    println!("{crashes} crashes");
}

/// Two writes that were killed after their checksums, and before their data, leave a block as it was
/// before both.
#[test]
fn two_kills_between_a_checksum_and_its_block() {
    let params = params(true);
    let mut disk = Recorder::of(Image::of_size(params.file_size(10).unwrap()));
    let (mut volume, map) = Volume::open(disk.clone(), &params, 0).unwrap();
    map.allocate(1, 0).unwrap().unwrap();
    let extent = Extent { block: 0, count: 1 };
    volume.write(0, extent, &content(1)).unwrap();
    volume.flush(0, &map).unwrap();
    for label in 2..4 {
        volume.write(0, extent, &content(label)).unwrap();
        // Everything but the last write is there.
        disk = Recorder::of(disk.image_at(disk.moment() - 1));
        volume = Volume::open(disk.clone(), &params, 0).unwrap().0;
        let mut bytes = vec![0; BLOCK];
        volume.read(0, extent, &mut bytes).unwrap();
        assert!(bytes == content(1), "after write {label}");
    }
}

/// A crash while a device is made leaves an empty file, or a device without allocated blocks.
#[test]
fn a_crash_while_a_device_is_made_leaves_one_that_can_be_made() {
    for seed in 0..rounds(50, 2000) {
        let mut random = Random(seed);
        let params = params(seed % 2 == 0);
        let disk = Recorder::of(Image::of_size(params.file_size(BLOCKS).unwrap()));
        Volume::open(disk.clone(), &params, 0).unwrap();
        for moment in 0..=disk.moment() {
            for how in [Crash::Kill, Crash::PowerCut] {
                let disk = Recorder::of(disk.crash(how, moment, &mut random));
                let (_, map) = Volume::open(disk, &params, 0).unwrap();
                assert_eq!(map.free_blocks(), BLOCKS);
            }
        }
    }
}

/// A sequence with two flushes, whose writes and syncs fail one after the other.
#[test]
fn a_failed_write_loses_nothing_that_was_promised() {
    for checksum in [false, true] {
        for status in [CHI_NO_SPACE, CHI_IO] {
            for faulty in 0.. {
                let params = params(checksum);
                let size = params.file_size(BLOCKS).unwrap();
                let mut life = Life::new(Image::of_size(size), &params, None);
                let mut random = Random(faulty);
                life.map.allocate(BLOCKS - 50, 0).unwrap();
                let all = Extent { block: 0, count: BLOCKS - 50 };
                life.owners[..all.count as usize].fill(1);
                life.allocations.push((1, vec![all]));
                life.write(&mut random);
                life.flush().unwrap();
                life.disk.fail_after(faulty, status);
                life.map.free(&[Extent { block: 100, count: 10 }]).unwrap();
                life.owners[100..110].fill(0);
                let more = life.map.allocate(20, 0).unwrap().expect("50 blocks are free");
                assert_eq!(more, [Extent { block: BLOCKS - 50, count: 20 }]);
                life.owners[(BLOCKS - 50) as usize..(BLOCKS - 30) as usize].fill(2);
                let first = life.flush();
                if life.disk.is_faultless() {
                    first.unwrap();
                    assert!(faulty > 3, "there are writes and syncs to fail");
                    break;
                }
                let before = life.disk.moment();
                let second = life.flush();
                match (&first, &second) {
                    (Ok(()), _) => panic!("operation {faulty} failed, and the flush did not"),
                    (Err(refused), Ok(())) => assert_eq!(refused.code(), status),
                    // After a failed sync nothing is durable any more.
                    (Err(_), Err(again)) => {
                        assert_eq!(again.code(), CHI_IO, "{again}");
                        assert!(again.message().contains("an earlier flush failed"), "{again}");
                        assert_eq!(life.disk.moment(), before);
                        // The one that failed may count or not.
                        life.flushes.push(Flushed {
                            from: life.flushes[1].to,
                            to: usize::MAX,
                            blocks: life.map.blocks(),
                            owners: life.owners.clone(),
                            contents: life.contents.clone(),
                        });
                    }
                }
                for how in [Crash::Kill, Crash::PowerCut] {
                    for _ in 0..4 {
                        life.crash(how, life.disk.moment(), &params, &mut random);
                    }
                }
            }
        }
    }
}

/// A flipped bit is named, or harmless: it never changes which blocks are allocated, and with
/// checksums never what a block contains.
#[test]
fn flipped_bits_are_named_and_change_nothing() {
    let params = params(true);
    let size = params.file_size(BLOCKS).unwrap();
    let mut life = Life::new(Image::of_size(size), &params, None);
    let mut random = Random(3);
    let first = BLOCKS_PER_PAGE - 5;
    life.map.allocate(first + 10, 0).unwrap();
    life.map.free(&[Extent { block: 7, count: 1 }]).unwrap();
    let data: Vec<u8> = (1..=10).flat_map(content).collect();
    life.volume.write(0, Extent { block: first, count: 10 }, &data).unwrap();
    life.flush().unwrap();
    let image = life.disk.image();
    let geometry = Geometry::of(BLOCK as u64, BLOCKS, 0, true);
    let areas = [
        (0, 2 * PAGE),
        (Geometry::slot(0, 0), 6 * PAGE),
        (geometry.checksum_of(first), 10 * 8),
        (geometry.data().unwrap() + first * BLOCK as u64, 10 * BLOCK as u64),
    ];
    let (mut maps, mut blocks) = (0, 0);
    for (at, len) in areas {
        for _ in 0..rounds(100, 10_000) {
            let mut image = image.clone();
            image.flip(at * 8 + random.below(len * 8));
            let opened = Volume::open(Recorder::of(image.clone()), &params, 0);
            let (volume, map) = opened.unwrap_or_else(|status| {
                assert_eq!(status.code(), CORRUPT, "{status}");
                assert!(status.message().contains("the map of the disk is corrupt for blocks "));
                maps += 1;
                let params = Params { repair: true, ..params.clone() };
                let (volume, map) = Volume::open(Recorder::of(image), &params, 0).unwrap();
                // Blocks whose state is unknown are not given out.
                assert!(map.free_blocks() < BLOCKS - first - 10 + 1);
                volume.flush(0, &map).unwrap();
                let again = Volume::open(Recorder::of(volume.disk().image()), &params, 0).unwrap();
                assert_eq!(again.1.free_blocks(), map.free_blocks());
                again
            });
            map.check(Extent { block: 0, count: 7 }).unwrap();
            map.check(Extent { block: 8, count: first + 2 }).unwrap();
            for (index, block) in (first..first + 10).enumerate() {
                let mut bytes = vec![0; BLOCK];
                match volume.read(0, Extent { block, count: 1 }, &mut bytes) {
                    Ok(()) => assert!(bytes == content(index as u64 + 1)),
                    Err(status) => {
                        assert_eq!(status.code(), CORRUPT, "{status}");
                        let what = format!("block {block} of the disk (byte ");
                        assert!(status.message().contains(&what), "{status}");
                        blocks += 1;
                    }
                }
            }
        }
    }
    assert!(maps > 0 && blocks > 0, "{maps} maps and {blocks} blocks were corrupt");
}

#[test]
fn files_that_are_not_what_was_asked_for_are_refused() {
    let params = Params { blocks: 1000, ..params(false) };
    let size = params.file_size(1000).unwrap();
    let mut raw = Image::of_size(size);
    raw.write(size - 4, b"old!");
    let refused = |image: &Image, params: &Params, why: &str| {
        let disk = Recorder::of(image.clone());
        let status = Volume::open(disk.clone(), params, 0).err().expect("it is refused");
        assert!(status.message().contains(why), "{status}");
        assert_eq!(disk.moment(), 0, "nothing is written");
    };
    refused(&raw, &params, "has contents, but is not a device");
    refused(&Image::of_size(size - 1), &params, &format!("`truncate -s {size}`"));
    let overwrite = Params { overwrite: true, uuid: "1".repeat(32), ..params.clone() };
    let disk = Recorder::of(raw);
    let (volume, map) = Volume::open(disk.clone(), &overwrite, 0).unwrap();
    map.allocate(10, 0).unwrap();
    volume.flush(0, &map).unwrap();
    let device = disk.image();
    // Now it is a device, which nothing overwrites.
    let (_, map) = Volume::open(disk, &overwrite, 0).unwrap();
    assert_eq!(map.free_blocks(), 990);
    let asked = [
        (Params { block_size: 4096, ..params.clone() }, "with blocks of 512 bytes, not 4096"),
        (Params { uuid: "2".repeat(32), ..params.clone() }, "is device 11111111-1111-1111-1111-1"),
        (Params { checksum: true, ..params.clone() }, "is a device without checksums"),
        (
            Params { capacity: 1 << 20, ..params.clone() },
            "has room for 32640 blocks, not for 1048576",
        ),
        (
            Params { blocks: 1 << 20, ..params.clone() },
            "has room for 32640 blocks, not for 1048576",
        ),
    ];
    for (params, why) in asked {
        refused(&device, &params, why);
    }
    let mut future = device.clone();
    for copy in [0, PAGE] {
        let mut page = [0; 512];
        future.read(copy, &mut page);
        page[8] = 2;
        let sum = crc32c::crc32c(&page[..508]);
        page[508..].copy_from_slice(&sum.to_le_bytes());
        future.write(copy, &page);
    }
    refused(&future, &overwrite, "has format version 2, not 1");
    let mut ruined = device.clone();
    ruined.flip(20 * 8);
    ruined.flip((PAGE + 20) * 8);
    refused(&ruined, &overwrite, "both superblocks of the disk are corrupt");
    let mut short = device;
    short.size -= 1;
    refused(&short, &params, "has been truncated");
}
