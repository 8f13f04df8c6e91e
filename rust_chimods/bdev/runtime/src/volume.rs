//! A device in a file: its superblock, its map, its checksums and its blocks. See `format.rs` for
//! what is where, and in which order it is written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use chimaera::abi::{CHI_IO, CHI_NO_SPACE};
use chimaera::{log_error, log_info, Result, Status};
use chimaera_bdev_client::geometry::{Geometry, BLOCKS_PER_PAGE, CHECKSUM_BYTES, PAGE};
use chimaera_bdev_client::{Extent, Params, CORRUPT};

use crate::bounce::Bounce;
use crate::disk::{Disk, Part};
use crate::format::{self, Found, Page, Slot, SlotFound, Superblock, Uuid, WORDS_PER_PAGE};
use crate::map::{Change, Map};
use crate::ranges::{Claim, Ranges};
use crate::sums::{Entry, Sums};

/// The most bytes that opening reads at once.
const PIECE: usize = 1 << 20;

/// A device in a file.
pub(crate) struct Volume<D> {
    disk: D,
    uuid: Uuid,
    geometry: Geometry,
    /// Where the first block is.
    data: u64,
    sums: Option<Sums>,
    /// The blocks that requests use.
    ranges: Ranges,
    /// Held by the one commit that is going on.
    turn: Ranges,
    /// The number of commits that have begun, and the number of the last one that succeeded.
    begun: AtomicU64,
    succeeded: AtomicU64,
    committed: Mutex<Committed>,
    /// Why a sync failed.
    broken: OnceLock<String>,
}

/// What is in the file.
#[derive(Clone)]
struct Committed {
    blocks: u64,
    generation: u64,
    /// The highest generation of anything that was written.
    tried: u64,
    /// The slots of the map that are in use.
    slots: Vec<Slot>,
    /// The superblock (0 or 1) that says so, and is durable.
    good: u64,
    /// Whether the other one says something else.
    one_copy: bool,
}

/// A map as it was read from the file.
struct Loaded {
    words: Vec<u64>,
    slots: Vec<Slot>,
    /// Pages with a slot that was written later, but does not count.
    newer: Vec<u64>,
    /// Pages with a slot whose checksum is wrong.
    ruined: Vec<u64>,
    /// The highest generation of all slots.
    highest: u64,
}

impl<D: Disk> Volume<D> {
    /// Opens a device, or makes one of an empty file. Errors: `CHI_INVALID` for a file that is too
    /// small, is no device, or is another device than the parameters say; `CORRUPT`; those of the
    /// disk.
    pub(crate) fn open(disk: D, params: &Params, worker: u32) -> Result<(Volume<D>, Map)> {
        let size = disk.size()?;
        let mut copies = [Found::Nothing, Found::Nothing];
        if size >= 2 * PAGE {
            for (copy, found) in copies.iter_mut().enumerate() {
                *found = Superblock::find(&read_page(&disk, worker, copy as u64 * PAGE)?);
            }
        }
        let name = disk.name().to_owned();
        let mut candidates = Vec::new();
        for (copy, found) in copies.iter().enumerate() {
            match found {
                Found::Superblock(superblock) => candidates.push((copy as u64, *superblock)),
                Found::Other(why) => {
                    return Err(Status::invalid(format!(
                        "{name} {why}: open it with the version that made it"
                    )));
                }
                _ => {}
            }
        }
        if candidates.is_empty() {
            may_format(&disk, params, &copies)?;
            return Volume::format(disk, params, worker, size);
        }
        candidates.sort_by_key(|(_, superblock)| std::cmp::Reverse(superblock.generation));
        for (_, superblock) in &candidates {
            check_asked(&name, superblock, params)?;
        }
        let mut chosen = None;
        for (copy, superblock) in &candidates {
            let loaded = load(&disk, worker, superblock)?;
            if format::root_of(&loaded.slots) == superblock.root {
                chosen = Some((*copy, *superblock, loaded));
                break;
            }
        }
        let (good, superblock, loaded) = match chosen {
            Some(chosen) => chosen,
            None => {
                let (copy, superblock) = candidates[0];
                let loaded = load(&disk, worker, &superblock)?;
                (copy, superblock, repair(&name, loaded, params.repair)?)
            }
        };
        let one_copy = candidates.len() != 2 || candidates[0].1 != candidates[1].1;
        if one_copy {
            log_info!("{name} was not closed in order, or one of its superblocks is damaged");
        }
        let Superblock { uuid, geometry, blocks, generation, .. } = superblock;
        let map = Map::from_file(blocks, loaded.words)?;
        // Slots that do not count have to be written over before a generation in which they would.
        let again = loaded.newer.iter().map(|page| *page as usize);
        let again: Vec<_> = again.map(|page| Change { page, words: Vec::new() }).collect();
        map.changes_are_lost(&again);
        let highest = candidates.iter().map(|(_, superblock)| superblock.generation);
        let tried = highest.fold(loaded.highest.max(generation), u64::max);
        let slots = loaded.slots;
        let committed = Committed { blocks, generation, tried, slots, good, one_copy };
        let volume = Volume::new(disk, uuid, geometry, committed, &name)?;
        volume.check_size(size, blocks)?;
        volume.load_sums(worker, 0, blocks)?;
        if let Err(status) = volume.reserve(blocks) {
            log_info!("{}; its flushes need space", status.message());
        }
        if params.blocks > blocks {
            volume.grow(worker, &map, params.blocks)?;
        }
        Ok((volume, map))
    }

    /// Makes a device of a file, whose contents are lost.
    fn format(disk: D, params: &Params, worker: u32, size: u64) -> Result<(Volume<D>, Map)> {
        let name = disk.name().to_owned();
        let (block_size, capacity) = (params.block_size.into(), params.capacity);
        let blocks = match params.blocks {
            0 => Geometry::blocks_in(size, block_size, capacity, params.checksum),
            blocks => blocks,
        };
        let geometry = Geometry::of(block_size, blocks.max(1), capacity, params.checksum);
        let needed = geometry.size(blocks.max(1));
        if blocks == 0 || needed.is_none_or(|needed| needed > size) {
            return Err(Status::invalid(format!(
                "{name} has {size} bytes, too few for {} blocks of {block_size}: extend it with \
                 `truncate -s {}`",
                blocks.max(1),
                needed.unwrap_or(u64::MAX)
            )));
        }
        if disk.has_data(0)? {
            clear_for(&disk, worker, &geometry, size)?;
        }
        let uuid = match params.uuid_bytes() {
            Some(uuid) => uuid,
            None => new_uuid()?,
        };
        let slots = vec![Slot::default(); Geometry::pages(blocks) as usize];
        // The first commit writes both superblocks.
        let committed =
            Committed { blocks, generation: 0, tried: 0, slots, good: 1, one_copy: true };
        let volume = Volume::new(disk, uuid, geometry, committed, &name)?;
        volume.load_sums(worker, 0, blocks)?;
        let map = Map::from_file(blocks, Vec::new())?;
        volume.flush(worker, &map)?;
        volume.reserve(blocks)?;
        Ok((volume, map))
    }

    fn new(
        disk: D,
        uuid: Uuid,
        geometry: Geometry,
        committed: Committed,
        name: &str,
    ) -> Result<Volume<D>> {
        let data = geometry.data();
        let data = data.ok_or_else(|| Status::new(CORRUPT, format!("{name} has no such size")))?;
        log_info!(
            "{name} is device {}: {} of at most {} blocks of {}{}",
            show(&uuid),
            committed.blocks,
            geometry.capacity,
            geometry.block_size,
            if geometry.checksum { ", with checksums" } else { "" }
        );
        Ok(Volume {
            disk,
            uuid,
            geometry,
            data,
            sums: geometry.checksum.then(|| Sums::new(geometry.block_size)),
            ranges: Ranges::default(),
            turn: Ranges::default(),
            begun: AtomicU64::new(0),
            succeeded: AtomicU64::new(0),
            committed: Mutex::new(committed),
            broken: OnceLock::new(),
        })
    }

    pub(crate) fn disk(&self) -> &D {
        &self.disk
    }

    /// Whether the file is a device, perhaps a damaged one, so that opening it makes no new one.
    pub(crate) fn is_in(disk: &D, worker: u32) -> Result<bool> {
        for copy in [0, 1] {
            if disk.size()? < 2 * PAGE {
                return Ok(false);
            }
            let found = Superblock::find(&read_page(disk, worker, copy * PAGE)?);
            if !matches!(found, Found::Nothing | Found::Foreign) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn uuid(&self) -> &Uuid {
        &self.uuid
    }

    /// How many maps the file has had.
    pub(crate) fn generation(&self) -> u64 {
        self.committed().generation
    }

    /// Whether the blocks have checksums, and are read and written with `read` and `write`.
    pub(crate) fn has_sums(&self) -> bool {
        self.sums.is_some()
    }

    /// Where a block is.
    pub(crate) fn position(&self, block: u64) -> u64 {
        self.data + block * self.geometry.block_size
    }

    /// Claims blocks for reading.
    pub(crate) fn share(&self, extent: Extent) -> Result<Claim<'_>> {
        self.ranges.share(extent)
    }

    /// Claims blocks for writing.
    pub(crate) fn exclude(&self, extent: Extent) -> Result<Claim<'_>> {
        self.ranges.exclude(extent)
    }

    /// Reads blocks, and checks them. Errors: `CORRUPT`, and those of the disk.
    pub(crate) fn read(&self, worker: u32, extent: Extent, to: &mut [u8]) -> Result<()> {
        let _claim = self.share(extent)?;
        self.disk.read(worker, Part::Blocks, self.position(extent.block), to)?;
        let Some(sums) = &self.sums else { return Ok(()) };
        for (number, block) in (extent.block..).zip(to.chunks(self.geometry.block_size as usize)) {
            let (expected, found) = (sums.get(number), sums.of(block));
            if !expected.matches(found) {
                return Err(Status::new(
                    CORRUPT,
                    format!(
                        "block {number} of {} (byte {}) is corrupt: its checksum is {found:#010x}, \
                         not {:#010x}",
                        self.disk.name(),
                        self.position(number),
                        expected.written
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Writes blocks. Errors: those of the disk.
    pub(crate) fn write(&self, worker: u32, extent: Extent, from: &[u8]) -> Result<()> {
        let _claim = self.exclude(extent)?;
        let at = self.position(extent.block);
        let Some(sums) = &self.sums else {
            return self.disk.write(worker, Part::Blocks, at, from);
        };
        let mut bytes = Vec::with_capacity((extent.count * CHECKSUM_BYTES) as usize);
        let size = self.geometry.block_size as usize;
        for (number, block) in (extent.block..).zip(from.chunks(size)) {
            let before = self.settle(worker, sums, number)?;
            let entry = Entry { before, written: sums.of(block) };
            bytes.extend(entry.to_bytes());
            sums.set(number, entry);
        }
        let entries = self.geometry.checksum_of(extent.block);
        self.disk.write(worker, Part::Pages, entries, &bytes)?;
        self.disk.write(worker, Part::Blocks, at, from)?;
        for number in extent.block..extent.block + extent.count {
            sums.set(number, Entry::of(sums.get(number).written));
        }
        Ok(())
    }

    /// The checksum of a block's present content. If the last write was interrupted, that has to be
    /// found out.
    fn settle(&self, worker: u32, sums: &Sums, number: u64) -> Result<u32> {
        let entry = sums.get(number);
        if entry.is_settled() {
            return Ok(entry.written);
        }
        let mut block = Bounce::new(self.geometry.block_size as usize)?;
        self.disk.read(worker, Part::Blocks, self.position(number), block.bytes_mut())?;
        let found = sums.of(block.bytes());
        Ok(if entry.matches(found) { found } else { entry.written })
    }

    /// Makes completed writes, allocations and releases durable. Errors: those of the disk.
    pub(crate) fn flush(&self, worker: u32, map: &Map) -> Result<()> {
        let before = self.begun.load(Ordering::SeqCst);
        let _turn = self.turn.exclude(Extent { block: 0, count: 1 })?;
        if self.succeeded.load(Ordering::SeqCst) > before {
            // One that began after this was called has done it.
            return Ok(());
        }
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        self.commit(worker, map, None)?;
        self.succeeded.store(number, Ordering::SeqCst);
        Ok(())
    }

    /// Adds blocks at the end, up to `blocks`, or as many as the file has room for if it is 0.
    /// Extends the file if it is too small. Returns the new number of blocks. Errors: `CHI_INVALID`
    /// for fewer blocks than there are, `CHI_NO_SPACE` for more than the map has room for, and
    /// those of the disk.
    pub(crate) fn grow(&self, worker: u32, map: &Map, blocks: u64) -> Result<u64> {
        let _turn = self.turn.exclude(Extent { block: 0, count: 1 })?;
        let Geometry { block_size, capacity, .. } = self.geometry;
        let (name, now) = (self.disk.name(), map.blocks());
        // Extending a truncated file would turn what is lost into zeros.
        self.check_size(self.disk.size()?, now)?;
        let size = self.disk.size_now()?;
        let blocks = match blocks {
            0 => (size.saturating_sub(self.data) / block_size).clamp(now, capacity.max(now)),
            blocks => blocks,
        };
        if blocks < now {
            let text = format!("{name} has {now} blocks, and a device cannot shrink to {blocks}");
            return Err(Status::invalid(text));
        }
        if blocks > capacity {
            return Err(Status::new(
                CHI_NO_SPACE,
                format!(
                    "{name} has room for {capacity} blocks, not for {blocks}: the parameter \
                     capacity of a new file sets it"
                ),
            ));
        }
        let needed = self.geometry.size(blocks);
        let needed =
            needed.ok_or_else(|| Status::invalid(format!("{blocks} blocks are too many")))?;
        if size < needed {
            self.disk.set_size(needed)?;
        }
        if blocks > now {
            self.reserve(blocks)?;
            self.load_sums(worker, now, blocks)?;
            let done = self.commit(worker, map, Some(blocks));
            if self.committed().blocks == blocks {
                map.grow(blocks)?;
            }
            done?;
        }
        Ok(blocks)
    }

    /// Reserves space for the map and the checksums of this many blocks, so that a flush needs none.
    fn reserve(&self, blocks: u64) -> Result<()> {
        self.disk.reserve(match self.sums {
            Some(_) => self.geometry.checksum_of(blocks),
            None => Geometry::slot(Geometry::pages(blocks), 0),
        })
    }

    /// Fails if a file of this size has lost some of the device's blocks.
    fn check_size(&self, size: u64, blocks: u64) -> Result<()> {
        let needed = self.geometry.size(blocks).unwrap_or(u64::MAX);
        if size >= needed {
            return Ok(());
        }
        Err(Status::new(
            CHI_IO,
            format!(
                "{} has been truncated: it has {size} bytes, but its {blocks} blocks of {} need \
                 {needed}; after `truncate -s {needed}` what is lost reads as zeros",
                self.disk.name(),
                self.geometry.block_size
            ),
        ))
    }

    /// Writes what has changed.
    fn commit(&self, worker: u32, map: &Map, grow: Option<u64>) -> Result<()> {
        if let Some(why) = self.broken.get() {
            return Err(Status::new(
                CHI_IO,
                format!(
                    "{}: what was written before an earlier flush failed ({why}) may be lost; \
                     destroy the pool, and create it again",
                    self.disk.name()
                ),
            ));
        }
        let changes = map.take_changes()?;
        let mut next = self.committed().clone();
        let ended = self.write_changes(worker, &changes, &mut next, grow);
        match ended {
            Ok(()) => map.changes_are_durable(&changes),
            Err(_) => {
                map.changes_are_lost(&changes);
                let mut committed = self.committed();
                committed.tried = next.tried;
                committed.one_copy = true;
                return ended;
            }
        }
        if next.generation == self.committed().generation {
            return Ok(());
        }
        // The map in the file is the new one now. The second copy is for the case that a disk
        // forgets the first.
        let (good, page) = (next.good, self.superblock(&next).to_page());
        next.one_copy = true;
        *self.committed() = next;
        self.disk.write(worker, Part::Pages, (1 - good) * PAGE, &page)?;
        self.committed().one_copy = false;
        Ok(())
    }

    /// Writes changed pages, and, if anything has changed, a superblock.
    fn write_changes(
        &self,
        worker: u32,
        changes: &[Change],
        next: &mut Committed,
        grow: Option<u64>,
    ) -> Result<()> {
        let generation = next.tried + 1;
        for Change { page, words } in changes {
            next.tried = generation;
            let slot = &mut next.slots[*page];
            let (number, other) = (*page as u64, 1 - slot.number);
            let (bytes, sum) = format::to_slot(&self.uuid, number, generation, words);
            self.disk.write(worker, Part::Pages, Geometry::slot(number, other), &bytes)?;
            *slot = Slot { generation, sum, number: other };
        }
        self.sync(worker)?;
        if changes.is_empty() && grow.is_none() && !next.one_copy {
            return Ok(());
        }
        next.tried = generation;
        if let Some(blocks) = grow {
            next.slots.resize(Geometry::pages(blocks) as usize, Slot::default());
            next.blocks = blocks;
        }
        next.generation = generation;
        let other = 1 - next.good;
        let page = self.superblock(next).to_page();
        self.disk.write(worker, Part::Pages, other * PAGE, &page)?;
        self.sync(worker)?;
        next.good = other;
        Ok(())
    }

    fn superblock(&self, committed: &Committed) -> Superblock {
        Superblock {
            uuid: self.uuid,
            geometry: self.geometry,
            blocks: committed.blocks,
            generation: committed.generation,
            root: format::root_of(&committed.slots),
        }
    }

    /// Makes completed writes durable. If that fails, the operating system forgets which ones are
    /// not, so no later sync can be trusted.
    fn sync(&self, worker: u32) -> Result<()> {
        let done = self.disk.sync(worker);
        if let Err(status) = &done {
            let why = self.broken.get_or_init(|| status.message().to_owned());
            log_error!("{} is not durable any more: {why}", self.disk.name());
        }
        done
    }

    /// Reads the checksums of blocks.
    fn load_sums(&self, worker: u32, from: u64, to: u64) -> Result<()> {
        let Some(sums) = &self.sums else { return Ok(()) };
        let mut bytes = vec![0; PIECE];
        let mut next = from;
        while next < to {
            let n = (to - next).min(PIECE as u64 / CHECKSUM_BYTES);
            let piece = &mut bytes[..(n * CHECKSUM_BYTES) as usize];
            self.disk.read(worker, Part::Pages, self.geometry.checksum_of(next), piece)?;
            sums.load(next, piece)?;
            next += n;
        }
        Ok(())
    }

    fn committed(&self) -> MutexGuard<'_, Committed> {
        // Nothing panics with it half updated.
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses to make a device of a file that has contents, unless the parameters allow it, and of one
/// that was a device.
fn may_format(disk: &impl Disk, params: &Params, copies: &[Found; 2]) -> Result<()> {
    let name = disk.name();
    let empty_behind = || disk.has_data(2 * PAGE).map(|data| !data);
    match copies {
        [Found::Nothing, Found::Nothing] if empty_behind()? => Ok(()),
        // Making a device of an empty file was interrupted.
        [Found::Corrupt, Found::Nothing] if empty_behind()? => Ok(()),
        [Found::Corrupt, _] | [_, Found::Corrupt] => {
            Err(Status::new(CORRUPT, format!("both superblocks of {name} are corrupt")))
        }
        _ if params.overwrite => Ok(()),
        _ => Err(Status::invalid(format!(
            "{name} has contents, but is not a device: use an empty file (`truncate`), or lose the \
             contents with overwrite=true; to keep the blocks of a raw file, write them to a new \
             device"
        ))),
    }
}

/// Clears what is going to be the superblocks, the map and the checksums.
fn clear_for(disk: &impl Disk, worker: u32, geometry: &Geometry, size: u64) -> Result<()> {
    if geometry.checksum {
        // The first checksums are those of blocks of zeros.
        disk.set_size(0)?;
        disk.set_size(size)?;
    } else {
        let zeros = vec![0; PIECE];
        let end = geometry.data().unwrap_or(size);
        for at in (0..end).step_by(PIECE) {
            let n = (end - at).min(PIECE as u64);
            disk.write(worker, Part::Pages, at, &zeros[..n as usize])?;
        }
    }
    disk.sync(worker)
}

/// Refuses a device that is not what the parameters say.
fn check_asked(name: &str, superblock: &Superblock, params: &Params) -> Result<()> {
    let Superblock { uuid, geometry, .. } = superblock;
    let refused = |text: String| Err(Status::invalid(format!("{name} {text}")));
    if geometry.block_size != u64::from(params.block_size) {
        let (size, asked) = (geometry.block_size, params.block_size);
        return refused(format!("is a device with blocks of {size} bytes, not {asked}"));
    }
    if params.uuid_bytes().is_some_and(|asked| asked != *uuid) {
        return refused(format!("is device {}, not {}", show(uuid), params.uuid));
    }
    if params.checksum && !geometry.checksum {
        return refused("is a device without checksums: only a new one can have them".into());
    }
    if params.capacity > geometry.capacity {
        let (room, asked) = (geometry.capacity, params.capacity);
        return refused(format!("has room for {room} blocks, not for {asked}"));
    }
    Ok(())
}

fn read_page(disk: &impl Disk, worker: u32, at: u64) -> Result<Page> {
    let mut page = [0; PAGE as usize];
    disk.read(worker, Part::Pages, at, &mut page)?;
    Ok(page)
}

/// Reads the map that a superblock means, as far as there is one.
fn load(disk: &impl Disk, worker: u32, superblock: &Superblock) -> Result<Loaded> {
    let Superblock { uuid, blocks, generation, .. } = superblock;
    let pages = Geometry::pages(*blocks);
    let mut loaded = Loaded {
        words: Vec::new(),
        slots: Vec::new(),
        newer: Vec::new(),
        ruined: Vec::new(),
        highest: 0,
    };
    let n_words = pages as usize * WORDS_PER_PAGE;
    let none =
        || Status::new(CHI_NO_SPACE, format!("out of memory for the map of {blocks} blocks"));
    loaded.words.try_reserve_exact(n_words).map_err(|_| none())?;
    let pair = 2 * PAGE as usize;
    let mut bytes = vec![0; PIECE];
    let mut number = 0;
    while number < pages {
        let n = (pages - number).min((PIECE / pair) as u64);
        let piece = &mut bytes[..n as usize * pair];
        disk.read(worker, Part::Pages, Geometry::slot(number, 0), piece)?;
        for pair in piece.chunks_exact(pair) {
            let slots = pair.chunks_exact(PAGE as usize);
            let slots = slots.map(|slot| <&Page>::try_from(slot).expect("chunks have this size"));
            loaded.take(uuid, *generation, number, slots);
            number += 1;
        }
    }
    // The last page has room for more blocks than there are.
    loaded.words.truncate(blocks.div_ceil(64) as usize);
    Ok(loaded)
}

impl Loaded {
    /// Takes the slot of page `number` that counts in a generation.
    fn take<'a>(
        &mut self,
        uuid: &Uuid,
        generation: u64,
        number: u64,
        slots: impl Iterator<Item = &'a Page>,
    ) {
        let mut best: Option<(Slot, &Page)> = None;
        for (slot, page) in (0..).zip(slots) {
            match format::find_slot(uuid, number, page) {
                SlotFound::Page(of, sum) => {
                    self.highest = self.highest.max(of);
                    if of > generation {
                        self.newer.push(number);
                    } else if best.is_none_or(|(best, _)| best.generation < of) {
                        best = Some((Slot { generation: of, sum, number: slot }, page));
                    }
                }
                SlotFound::Nothing => {}
                SlotFound::Corrupt => self.ruined.push(number),
            }
        }
        match best {
            Some((slot, page)) => {
                self.slots.push(slot);
                self.words.extend(format::words_of(page));
            }
            None => {
                self.slots.push(Slot::default());
                self.words.resize(self.words.len() + WORDS_PER_PAGE, 0);
            }
        }
    }
}

/// Reports a corrupt map, or takes the blocks whose state is unknown for allocated.
fn repair(name: &str, mut loaded: Loaded, allowed: bool) -> Result<Loaded> {
    loaded.ruined.dedup();
    if loaded.ruined.is_empty() {
        // A page is missing, and nothing tells which.
        loaded.ruined = (0..loaded.slots.len() as u64).collect();
    }
    let ranges = loaded.ruined.iter().take(8).map(|page| {
        let first = page * BLOCKS_PER_PAGE;
        let bytes = Geometry::slot(*page, 0);
        format!("blocks {first} to {} (byte {bytes})", first + BLOCKS_PER_PAGE - 1)
    });
    let ranges = ranges.collect::<Vec<_>>().join(", ");
    let more = if loaded.ruined.len() > 8 { " and others" } else { "" };
    let what = format!("the map of {name} is corrupt for {ranges}{more}");
    if !allowed {
        let how = "with repair=true they count as allocated";
        return Err(Status::new(CORRUPT, format!("{what}: {how}")));
    }
    log_error!("{what}: they count as allocated");
    for page in &loaded.ruined {
        let from = *page as usize * WORDS_PER_PAGE;
        let to = loaded.words.len().min(from + WORDS_PER_PAGE);
        loaded.words[from..to].fill(u64::MAX);
    }
    loaded.newer.extend(&loaded.ruined);
    Ok(loaded)
}

fn new_uuid() -> Result<Uuid> {
    let mut uuid = [0; 16];
    let random = std::fs::File::open("/dev/urandom")
        .and_then(|mut file| std::io::Read::read_exact(&mut file, &mut uuid));
    random.map_err(|error| Status::new(CHI_IO, format!("no random numbers: {error}")))?;
    Ok(uuid)
}

pub(crate) fn show(uuid: &Uuid) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(*uuid));
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}
