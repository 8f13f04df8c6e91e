//! Values stored in the blocks of a device, compressed if there is a compressor.
//!
//! No lock is held during a transfer. A value is first written to new blocks, and only then does
//! its key refer to them: in the order in which the puts and deletes of the key began, however long
//! their transfers take. Blocks are freed when the key refers to others and their last reader has
//! finished.

use std::sync::Arc;

use chimaera::abi::CHI_NO_POOL;
use chimaera::{log_error, PoolId, Result, Status};
use chimaera_bdev_client as bdev;
use chimaera_kv_client::Params;
use example_mod_name_client as mod_name;

use crate::pool::Account;
use crate::store::{Store, Value};
use crate::turns::Turns;

/// The most bytes of one write or read. All pieces of a value are in flight together.
const PIECE: u64 = 256 << 10;

/// The owner of the blocks. Their keys are in memory, so nothing knows them once the device is opened
/// again: then they are free.
const OWNER: u64 = 1;

/// The keys, and the locations of their values.
pub(crate) struct Stored {
    keys: Arc<Store<Arc<Location>>>,
    turns: Turns,
    device: Part<bdev::Client>,
    block_size: u64,
    compressor: Option<Part<mod_name::Client>>,
}

/// A pool that the store is built on.
struct Part<C> {
    /// Its role in the store, for messages.
    role: &'static str,
    name: String,
    client: C,
}

impl<C> Part<C> {
    /// Finds the pool. Errors: `CHI_NO_POOL`; `CHI_INVALID` if it is not of this module.
    fn find(
        role: &'static str,
        module: &str,
        name: &str,
        client: impl FnOnce(PoolId) -> C,
    ) -> Result<Self> {
        let pool = chimaera::ipc()?.find_pool_of(module, name);
        let pool = pool.map_err(|status| status.context(format!("the store's {role}")))?;
        Ok(Part { role, name: name.to_owned(), client: client(pool) })
    }

    /// Calls the pool. When a pool is gone, the runtime only knows its number, so the error names
    /// it here.
    fn call<T>(&self, call: impl FnOnce(&C) -> Result<T>) -> Result<T> {
        call(&self.client).map_err(|status| match status.code() {
            CHI_NO_POOL => Status::new(
                CHI_NO_POOL,
                format!(
                    "pool '{}', the store's {}, is gone: destroy the store, and create both again",
                    self.name, self.role
                ),
            ),
            _ => status,
        })
    }
}

/// The location of a value. Dropping it frees the blocks.
pub(crate) struct Location {
    device: PoolId,
    extents: Vec<bdev::Extent>,
    /// Bytes of the value.
    len: usize,
    /// Bytes of the value as stored in the blocks.
    packed: usize,
}

impl Location {
    /// What another container needs to find the value: its blocks, its bytes, and those in the blocks.
    pub(crate) fn parts(&self) -> (&[bdev::Extent], u64, u64) {
        (&self.extents, self.len as u64, self.packed as u64)
    }
}

/// A container that ends without `kDestroy` has a successor, or is one that did not get that far: the
/// blocks belong to the other one.
impl Drop for Stored {
    fn drop(&mut self) {
        for location in self.keys.drain() {
            if let Some(mut location) = Arc::into_inner(location) {
                location.extents.clear();
            }
        }
    }
}

impl Value for Arc<Location> {
    fn len(&self) -> usize {
        size_of::<Location>() + size_of_val(self.extents.as_slice())
    }
}

impl Drop for Location {
    fn drop(&mut self) {
        if self.extents.is_empty() {
            return;
        }
        // Nothing waits for this task; it is deleted when it completes.
        if let Err(status) = bdev::Client::from_pool(self.device).free_async(&self.extents) {
            let n: u64 = self.extents.iter().map(|extent| extent.count).sum();
            log_error!("could not free {n} blocks: {}", status.message());
        }
    }
}

impl Stored {
    /// Finds the pools. Errors: `CHI_NO_POOL`; `CHI_INVALID` if one is of another module.
    pub(crate) fn new(params: &Params, account: Arc<Account>) -> Result<Stored> {
        let device = Part::find("device", bdev::MODULE, &params.device, bdev::Client::from_pool)?;
        let compressor = match params.compressor.as_str() {
            "" => None,
            name => {
                let client = mod_name::Client::from_pool;
                Some(Part::find("compressor", mod_name::MODULE, name, client)?)
            }
        };
        let stats = device.call(bdev::Client::stats);
        let stats = stats.map_err(|status| status.context("the store's device"))?;
        Ok(Stored {
            keys: Arc::new(Store::new(account)),
            turns: Turns::default(),
            device,
            block_size: stats.block_size,
            compressor,
        })
    }

    /// The number of the device's pool.
    pub(crate) fn device(&self) -> PoolId {
        self.device.client.pool_id()
    }

    /// The location of a value that a predecessor has stored. Errors: `CHI_INVALID` if the blocks are not
    /// as many as the value needs.
    pub(crate) fn location(
        &self,
        extents: Vec<bdev::Extent>,
        len: u64,
        packed: u64,
    ) -> Result<Location> {
        let room = extents.iter().try_fold(0u64, |sum, extent| sum.checked_add(extent.count));
        if room != Some(packed.div_ceil(self.block_size)) {
            return Err(Status::invalid(format!("{packed} bytes are in {room:?} blocks")));
        }
        let (len, packed) = (len as usize, packed as usize);
        Ok(Location { device: self.device(), extents, len, packed })
    }

    pub(crate) fn keys(&self) -> &Arc<Store<Arc<Location>>> {
        &self.keys
    }

    /// Stores a value. Returns whether it replaced one. Errors: `STORE_FULL`, and those of the
    /// device and the compressor.
    pub(crate) fn put(&self, key: Vec<u8>, value: Vec<u8>) -> Result<bool> {
        let turn = self.turns.begin(&key);
        let len = value.len();
        let packed = match &self.compressor {
            Some(compressor) => compressor.call(|zstd| zstd.compress(&value, 0))?,
            None => value,
        };
        let blocks = (packed.len() as u64).div_ceil(self.block_size);
        let extents = match blocks {
            0 => Vec::new(),
            _ => self.device.call(|device| device.allocate_for(OWNER, blocks))?,
        };
        let device = self.device.client.pool_id();
        let location = Location { device, extents, len, packed: packed.len() };
        self.device.call(|device| self.write(device, &location, packed))?;
        turn.wait()?;
        Ok(self.keys.put(key.clone(), Arc::new(location))?.is_some())
    }

    /// Returns the value, if there is one. Errors: those of the device and the compressor.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let Some(location) = self.keys.get(key) else { return Ok(None) };
        let packed = self.device.call(|device| self.read(device, &location))?;
        let value = match &self.compressor {
            Some(compressor) => {
                compressor.call(|zstd| zstd.decompress(&packed, location.len as u64))?
            }
            None => packed,
        };
        match value.len() == location.len {
            true => Ok(Some(value)),
            false => Err(Status::failed(format!(
                "a value of {} bytes was decompressed to {}",
                location.len,
                value.len()
            ))),
        }
    }

    /// Returns whether the key existed. Errors: `CHI_CANCELLED`.
    pub(crate) fn delete(&self, key: &[u8]) -> Result<bool> {
        let turn = self.turns.begin(key);
        turn.wait()?;
        Ok(self.keys.delete(key).is_some())
    }

    fn write(&self, device: &bdev::Client, location: &Location, mut packed: Vec<u8>) -> Result<()> {
        let room = packed.len().next_multiple_of(self.block_size as usize);
        packed.resize(room, 0);
        let mut writes = Vec::new();
        let mut rest = packed.as_slice();
        let mut outcome = Ok(());
        for extent in self.pieces(location) {
            let (piece, after) = rest.split_at((extent.count * self.block_size) as usize);
            rest = after;
            match device.write_async(extent.block, piece) {
                Ok(write) => writes.push(write),
                Err(status) => {
                    outcome = Err(status);
                    break;
                }
            }
        }
        // Waits for all of them, so that none is in flight when the blocks are freed.
        for write in writes {
            outcome = outcome.and(write.wait().map(drop));
        }
        outcome
    }

    fn read(&self, device: &bdev::Client, location: &Location) -> Result<Vec<u8>> {
        let pieces = self.pieces(location);
        let reads: Vec<_> =
            pieces.map(|extent| device.read_async(extent.block, extent.count)).collect();
        let mut packed =
            Vec::with_capacity(location.packed.next_multiple_of(self.block_size as usize));
        let mut outcome = Ok(());
        for read in reads {
            let bytes = read.and_then(|read| read.wait()?.data.copy_to_vec());
            outcome = outcome.and(bytes.map(|bytes| packed.extend(bytes)));
        }
        packed.truncate(location.packed);
        outcome.map(|()| packed)
    }

    /// The extents of a value, split into pieces.
    fn pieces<'a>(&self, location: &'a Location) -> impl Iterator<Item = bdev::Extent> + 'a {
        let most = (PIECE / self.block_size).max(1);
        location.extents.iter().flat_map(move |extent| {
            let end = extent.block + extent.count;
            (extent.block..end)
                .step_by(most as usize)
                .map(move |block| bdev::Extent { block, count: most.min(end - block) })
        })
    }
}
