//! What a device leaves to its successor, and what is in a copy of it.
//!
//! | field | what | when |
//! |---|---|---|
//! | 1 | where the blocks are: a `u32`, see below | always |
//! | 2 | block size and number of blocks, two `u64` | always |
//! | 3 | allocated blocks, a vector in order: first, count, owner, client, each a `u64`. 2: those with an owner | always |
//! | 4 | 1: contents, a vector in order: first block, a `u64`, and a vector of bytes. Others are zero | in memory; in a copy, always |
//! | 5 | 2: the UUID, the generation of the map, and the path | in a file |
//! | 6 | reads, writes, flushes, bytes read and written, errors, each a `u64` | always |

use chimaera::archive::{LoadArchive, SaveArchive, Serialize, StateValue};
use chimaera::module::{State, StateReader, StateWriter};
use chimaera::{Result, Status};
use chimaera_bdev_client::Extent;

use crate::bounce::Bounce;
use crate::disk::NO_WORKER;
use crate::format::Uuid;
use crate::map::Run;
use crate::volume::show;
use crate::{Backend, Device, Runtime};

/// Field 1: the blocks are in the state.
const HERE: u32 = 1;
/// Field 1: they are in the file that the parameters name.
const IN_FILE: u32 = 2;

/// The most bytes of one piece of contents, except that it has at least one block.
const PIECE: u64 = 1 << 20;

impl State for Runtime {
    fn save(&self, state: &mut StateWriter<'_>) -> Result<()> {
        let device = self.device()?;
        let map = device.map();
        let in_file = match &device {
            Device::File(volume, _) if !state.is_copy() => Some(volume),
            _ => None,
        };
        state.field(1, if in_file.is_some() { &IN_FILE } else { &HERE })?;
        state.field(2, &(self.block_size, map.blocks()))?;
        let runs = if in_file.is_some() { map.owned() } else { map.allocated() };
        state.field(3, &runs.iter().copied().map(parts).collect::<Vec<_>>())?;
        match (in_file, &self.backend) {
            (Some(volume), Backend::File(backing)) => {
                let path = backing.path().to_owned();
                state.field(5, &(*volume.uuid(), volume.generation(), path))?;
            }
            _ => state.field(4, &Contents { device, block_size: self.block_size })?,
        }
        state.field(6, &self.counters.save())
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<()> {
        let (mut place, mut size, mut runs) = (0, (0, 0), Vec::<(u64, u64, u64, u64)>::new());
        state.field(1, &mut place)?;
        state.field(2, &mut size)?;
        state.field(3, &mut runs)?;
        let (block_size, blocks) = size;
        let device = self.device()?;
        let map = device.map();
        if block_size != self.block_size {
            return Err(Status::invalid(format!(
                "the state has blocks of {block_size} bytes, and this device of {}",
                self.block_size
            )));
        }
        let runs: Vec<Run> = runs
            .into_iter()
            .map(|(block, count, owner, client)| {
                let extent = Extent { block, count };
                Run { extent, owner, client }
            })
            .collect();
        match (place, &device) {
            (HERE, Device::Ram(..)) => {
                if blocks > map.blocks() {
                    let own = map.blocks();
                    let text = format!("the state has {blocks} blocks, and this device {own}");
                    return Err(Status::invalid(text));
                }
                map.take(&runs)?;
                state.field(4, &mut Contents { device, block_size })?;
            }
            (HERE, Device::File(volume, _)) => {
                if map.free_blocks() != map.blocks() {
                    return Err(Status::invalid(format!(
                        "{} has allocated blocks already: give an empty file",
                        path_of(&self.backend)
                    )));
                }
                if blocks > map.blocks() {
                    volume.grow(NO_WORKER, map, blocks)?;
                }
                map.take(&runs)?;
                state.field(4, &mut Contents { device, block_size })?;
                // Only now does the file say that they are allocated: before, it is a new device.
                volume.flush(NO_WORKER, map)?;
            }
            (IN_FILE, Device::File(volume, _)) => {
                let mut id = (Uuid::default(), 0, String::new());
                state.field(5, &mut id)?;
                let (uuid, generation, path) = id;
                if uuid != *volume.uuid() || volume.generation() < generation {
                    return Err(Status::invalid(format!(
                        "{} is device {} (map {}), not {} (map {generation}), which was in {path}: \
                         put that there",
                        path_of(&self.backend),
                        show(volume.uuid()),
                        volume.generation(),
                        show(&uuid),
                    )));
                }
                map.take(&runs)?;
            }
            _ => {
                return Err(Status::invalid(format!(
                    "the state, of kind {place}, is not one for a pool with these parameters"
                )));
            }
        }
        let mut counters = [0; 6];
        state.field(6, &mut counters)?;
        self.counters.load(counters);
        Ok(())
    }
}

fn path_of(backend: &Backend) -> &str {
    match backend {
        Backend::File(backing) => backing.path(),
        Backend::Ram(..) => "the memory",
    }
}

fn parts(Run { extent, owner, client }: Run) -> (u64, u64, u64, u64) {
    (extent.block, extent.count, owner, client)
}

/// What the allocated blocks contain.
struct Contents<'a> {
    device: Device<'a>,
    block_size: u64,
}

impl Contents<'_> {
    /// The pieces that have to be saved.
    fn pieces(&self) -> Vec<Extent> {
        let most = (PIECE / self.block_size).max(1);
        let mut pieces = Vec::new();
        for Run { extent: Extent { block, count }, .. } in self.device.map().allocated() {
            let (at, len) = (block * self.block_size, count * self.block_size);
            let parts = match &self.device {
                Device::Ram(ram, _) => ram.written(at, len),
                Device::File(..) => vec![(at, len)],
            };
            for (at, len) in parts {
                let (first, end) = (at / self.block_size, (at + len) / self.block_size);
                let pieces_of = (first..end).step_by(most as usize);
                pieces
                    .extend(pieces_of.map(|block| Extent { block, count: most.min(end - block) }));
            }
        }
        pieces
    }
}

impl StateValue for Contents<'_> {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        let pieces = self.pieces();
        archive.put_length(pieces.len())?;
        for extent in pieces {
            let mut bytes = Bounce::new((extent.count * self.block_size) as usize)?;
            match &self.device {
                Device::Ram(ram, _) => ram.get(extent.block * self.block_size, bytes.bytes_mut()),
                Device::File(volume, _) => volume.read(NO_WORKER, extent, bytes.bytes_mut())?,
            }
            extent.block.save(archive)?;
            archive.put_length(bytes.bytes().len())?;
            archive.put(bytes.bytes())?;
        }
        Ok(())
    }

    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        let count = archive.get_length(17)?;
        for _ in 0..count {
            let (at, block) = (archive.position(), archive.load()?);
            let len = archive.get_length(1)? as u64;
            let most = PIECE.max(self.block_size);
            if len == 0 || len > most || !len.is_multiple_of(self.block_size) {
                let size = self.block_size;
                return Err(Status::invalid(format!(
                    "the contents at byte {at} have {len} bytes, not 1 to {most} in blocks of {size}"
                )));
            }
            let extent = Extent { block, count: len / self.block_size };
            self.device.map().check(extent)?;
            let mut bytes = Bounce::new(len as usize)?;
            archive.get(bytes.bytes_mut())?;
            match &self.device {
                Device::Ram(ram, _) => ram.put(block * self.block_size, bytes.bytes())?,
                Device::File(volume, _) => volume.write(NO_WORKER, extent, bytes.bytes())?,
            }
        }
        Ok(())
    }
}
