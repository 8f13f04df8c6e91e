//! What a container leaves to its successor, and what is in a copy of it.
//!
//! | field | what | when |
//! |---|---|---|
//! | 1 | where the rest is: a `u32`, see below | always |
//! | 2 | 1: keys and values, a map in order | in memory; in a copy, always |
//! | 3 | 2: the number of the store, a `u64`, and its path, a text | with a path |
//! | 4 | 3: the id of the device's pool | with a device |
//! | 5 | 3: keys and locations, a map in order | with a device |
//! | 6 | how often keys were lost, a `u64` | without a path |

use std::sync::Arc;

use chimaera::archive::{LoadArchive, SaveArchive, Serialize, StateValue};
use chimaera::module::{Published, State, StateReader, StateWriter};
use chimaera::{PoolId, Result, Status};
use chimaera_bdev_client::Extent;
use chimaera_kv_client::MAX_KEY_BYTES;

use crate::durable::Durable;
use crate::store::{Key, Store};
use crate::stored::{Location, Stored};
use crate::{Runtime, Values};

/// Field 1: keys and values are in the state.
const HERE: u32 = 1;
/// Field 1: they are in the file that the parameters name.
const IN_FILE: u32 = 2;
/// Field 1: the keys are in the state, the values on the device.
const ON_DEVICE: u32 = 3;

/// How many bytes of keys and values from a copy are written together.
const LOAD_BYTES: usize = 1 << 20;

impl State for Runtime {
    fn save(&self, state: &mut StateWriter<'_>) -> Result<()> {
        let copy = state.is_copy();
        match &self.values {
            Values::Memory(store, member) => {
                state.field(1, &HERE)?;
                state.field(2, &InMemory(store))?;
                state.field(6, &member.lost())
            }
            Values::Device(stored, member) => {
                if copy {
                    state.field(1, &HERE)?;
                    state.field(2, &FromDevice(stored))?;
                } else {
                    state.field(1, &ON_DEVICE)?;
                    state.field(4, &stored.device())?;
                    state.field(5, &Locations(stored))?;
                }
                state.field(6, &member.lost())
            }
            Values::File(durable) if copy => {
                state.field(1, &HERE)?;
                state.field(2, &InFile(durable, self.id))
            }
            Values::File(durable) => {
                state.field(1, &IN_FILE)?;
                state.field(3, &(durable.id()?, durable.path().to_owned()))
            }
        }
    }

    fn load(&mut self, state: &mut StateReader<'_>) -> Result<()> {
        let mut place = 0;
        state.field(1, &mut place)?;
        match (place, &self.values) {
            (HERE, Values::Memory(store, member)) => {
                state.field(2, &mut InMemory(store))?;
                let mut lost = 0;
                state.field(6, &mut lost)?;
                member.enter(lost)
            }
            (HERE, Values::Device(stored, _)) => {
                let loaded = state.field(2, &mut FromDevice(stored));
                if loaded.is_err() {
                    // Nobody else knows of the blocks.
                    stored.keys().clear();
                }
                loaded.map(drop)
            }
            (HERE, Values::File(durable)) => {
                if durable.count(Some(self.id))? > 0 {
                    return Err(Status::invalid(format!(
                        "the store in {} has keys already: move it away, or destroy the pool that \
                         uses it",
                        durable.path()
                    )));
                }
                state.field(2, &mut InFile(durable, self.id)).map(drop)
            }
            (IN_FILE, Values::File(share)) => {
                let (id, own) = (&mut (0u64, String::new()), share.id()?);
                state.field(3, id)?;
                if id.0 == own {
                    return Ok(());
                }
                share.remove_new_file();
                Err(Status::invalid(format!(
                    "{} is not the store that the container had in {}: put that there",
                    share.path(),
                    id.1
                )))
            }
            (ON_DEVICE, Values::Device(stored, member)) => {
                let mut device = PoolId::default();
                state.field(4, &mut device)?;
                if device != stored.device() {
                    return Err(Status::invalid(
                        "the device is another pool than the one that has the values",
                    ));
                }
                state.field(5, &mut Locations(stored))?;
                let mut lost = 0;
                state.field(6, &mut lost)?;
                member.enter(lost)
            }
            _ => Err(Status::invalid(format!(
                "the state, of kind {place}, is not one for a pool with these parameters"
            ))),
        }
    }
}

/// The keys and values of a store in memory.
struct InMemory<'a>(&'a Arc<Store>);

impl StateValue for InMemory<'_> {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        archive.put_length(self.0.len())?;
        self.0.for_each(|key, value| {
            put_bytes(archive, key)?;
            put_bytes(archive, value)
        })
    }

    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        each_key(archive, |archive, key| {
            let len = archive.get_length(1)?;
            let mut read = Ok(());
            let value = Published::with_len(len, |bytes| read = archive.get(bytes))?;
            read?;
            self.0.load(key, value);
            Ok(())
        })
    }
}

/// The keys and values of a store on a device.
struct FromDevice<'a>(&'a Stored);

impl StateValue for FromDevice<'_> {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        let keys = self.0.keys().keys();
        archive.put_length(keys.len())?;
        keys.iter().try_for_each(|key| {
            let gone = || Status::failed("a key is gone while the container is saved");
            put_bytes(archive, key)?;
            put_bytes(archive, &self.0.get(key)?.ok_or_else(gone)?)
        })
    }

    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        each_key(archive, |archive, key| self.0.put(key, get_bytes(archive)?).map(drop))
    }
}

/// The keys and values of a container in a file.
struct InFile<'a>(&'a Durable, u32);

impl StateValue for InFile<'_> {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        let archive = std::cell::RefCell::new(archive);
        self.0.each(
            self.1,
            |count| archive.borrow_mut().put_length(count as usize),
            |key, value| {
                put_bytes(&mut archive.borrow_mut(), key)?;
                put_bytes(&mut archive.borrow_mut(), value)
            },
        )
    }

    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        let (mut entries, mut bytes) = (Vec::new(), 0);
        each_key(archive, |archive, key| {
            let value = get_bytes(archive)?;
            bytes += key.len() + value.len();
            entries.push((key, value));
            if bytes < LOAD_BYTES {
                return Ok(());
            }
            bytes = 0;
            self.0.load(self.1, std::mem::take(&mut entries), false)
        })?;
        self.0.load(self.1, entries, true)
    }
}

/// The keys of a store on a device, and where their values are.
struct Locations<'a>(&'a Stored);

impl StateValue for Locations<'_> {
    fn save_value(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        archive.put_length(self.0.keys().len())?;
        self.0.keys().for_each(|key, location: &Arc<Location>| {
            let (extents, len, packed) = location.parts();
            put_bytes(archive, key)?;
            (len, packed).save(archive)?;
            archive.put_length(extents.len())?;
            extents.iter().try_for_each(|extent| (extent.block, extent.count).save(archive))
        })
    }

    fn load_value(&mut self, archive: &mut LoadArchive<'_>) -> Result<()> {
        each_key(archive, |archive, key| {
            let (len, packed) = archive.load()?;
            let extents: Vec<(u64, u64)> = archive.load()?;
            let extents = extents.into_iter().map(|(block, count)| Extent { block, count });
            let location = self.0.location(extents.collect(), len, packed)?;
            self.0.keys().load(key, Arc::new(location));
            Ok(())
        })
    }
}

fn put_bytes(archive: &mut SaveArchive<'_>, bytes: &[u8]) -> Result<()> {
    archive.put_length(bytes.len())?;
    archive.put(bytes)
}

fn get_bytes(archive: &mut LoadArchive<'_>) -> Result<Vec<u8>> {
    let len = archive.get_length(1)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len).map_err(|_| {
        Status::new(chimaera::abi::CHI_NO_SPACE, format!("out of memory for {len} bytes"))
    })?;
    bytes.resize(len, 0);
    archive.get(&mut bytes)?;
    Ok(bytes)
}

/// Reads a map: calls `f` for each key, to read what belongs to it. The bytes are not trusted.
fn each_key(
    archive: &mut LoadArchive<'_>,
    mut f: impl FnMut(&mut LoadArchive<'_>, Key) -> Result<()>,
) -> Result<()> {
    let count = archive.get_length(1)?;
    let mut last = Key::new();
    for _ in 0..count {
        let at = archive.position();
        let key = get_bytes(archive)?;
        if key <= last || key.len() > MAX_KEY_BYTES {
            return Err(Status::invalid(format!(
                "the key at byte {at} is not greater than the one before it, or is too long"
            )));
        }
        last.clone_from(&key);
        f(archive, key)?;
    }
    Ok(())
}
