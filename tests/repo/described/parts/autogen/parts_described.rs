//! The described tasks of `described:parts`, and a client for them.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]
#![allow(dead_code, unused_imports, reason = "a program may use only part of it")]

use std::cell::Cell;
use chimaera::{
    DomainQuery, ElementMut, NewTask, Pending, Pod, PoolId, PoolOptions, Result,
    ShmBytes, ShmElement, ShmString, ShmVec, Task,
};

const SUM: u32 = 10;
const TURN: u32 = 11;
const NOTHING: u32 = 12;
const FAIL: u32 = 13;
const RELAY: u32 = 14;
const SETTINGS: u32 = 16;
const PAUSE: u32 = 17;

/// What a pool is created with.
#[derive(Clone, Debug, PartialEq, chimaera::Serialize, chimaera::PoolParams)]
pub struct Params {
    /// A number.
    pub factor: i64,
    /// `share`.
    pub share: f32,
    /// `exact`.
    pub exact: bool,
    /// A text.
    pub label: String,
    /// `note`.
    pub note: String,
    /// `limit`.
    pub limit: u64,
    /// A pool on which it depends.
    pub beside: chimaera::PoolName,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            factor: -9223372036854775808,
            share: 0.25,
            exact: true,
            label: "the \"label\"".into(),
            note: String::new(),
            limit: 18446744073709551615,
            beside: "".into(),
        }
    }
}

/// A part of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, chimaera::Serialize)]
#[repr(C)]
pub struct Extent {
    /// Where it begins.
    pub start: u64,
    /// `blocks`.
    pub blocks: u32,
    /// `sparse`. 0 or 1.
    pub sparse: u8,
    /// Padding; zero.
    #[chi(skip)]
    pub reserved0: [u8; 3],
}

/// A named part.
#[derive(ShmElement, chimaera::SerializeInPlace)]
#[repr(C)]
pub struct Entry {
    /// Its name.
    pub name: ShmString,
    /// `extent`.
    pub extent: Cell<Extent>,
    /// `data`.
    pub data: ShmBytes,
    /// `weights`.
    pub weights: ShmVec<f32>,
    /// `kind`.
    pub kind: Cell<u8>,
    /// Padding; zero.
    #[chi(skip)]
    pub reserved0: Cell<[u8; 7]>,
}

/// A private copy of [`Entry`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryValue {
    /// Its name.
    pub name: String,
    /// `extent`.
    pub extent: Extent,
    /// `data`.
    pub data: Vec<u8>,
    /// `weights`.
    pub weights: Vec<f32>,
    /// `kind`.
    pub kind: u8,
}

impl EntryValue {
    /// Copies from shared memory.
    pub fn read(from: &Entry) -> Result<Self> {
        let name = from.name.to_string()?;
        let extent = from.extent.get();
        let data = from.data.copy_to_vec()?;
        let weights = from.weights.copy_to_vec()?;
        let kind = from.kind.get();
        Ok(Self {
            name,
            extent,
            data,
            weights,
            kind,
        })
    }
    /// Copies into an element of a vector.
    pub fn write(&self, to: &ElementMut<'_, Entry>) -> Result<()> {
        to.set_string(|to| &to.name, &self.name)?;
        to.extent.set(self.extent);
        to.set_bytes(|to| &to.data, &self.data)?;
        to.set_vec(|to| &to.weights, &self.weights)?;
        to.kind.set(self.kind);
        Ok(())
    }
    /// Copies into a struct that is itself a field of a task.
    pub fn write_in_task(&self, to: &Entry) -> Result<()> {
        to.name.set(&self.name)?;
        to.extent.set(self.extent);
        to.data.set(&self.data)?;
        to.weights.set(&self.weights)?;
        to.kind.set(self.kind);
        Ok(())
    }
}

/// Sums up the bytes of every block.
#[chimaera::task(description = 0xa4e2)]
pub struct SumTask {
    /// In: What to sum up.
    #[chi(in)]
    pub data: ShmBytes,
    /// In: Bytes of a block, not 0.
    #[chi(in)]
    pub block_size: Cell<u32>,
    /// In: Whether the last block must be whole. 0 or 1.
    #[chi(in)]
    pub exact: Cell<u8>,
    /// Padding; zero.
    #[chi(skip)]
    pub reserved0: Cell<[u8; 3]>,
    /// Out: A sum for every block.
    #[chi(out)]
    pub sums: ShmVec<u64>,
}

/// Gives everything back, some of it turned round.
#[chimaera::task(description = 0x65495)]
pub struct TurnTask {
    /// In and out: `tiny`.
    #[chi(inout)]
    pub tiny: Cell<i8>,
    /// Padding; zero.
    #[chi(skip)]
    pub reserved0: Cell<[u8; 7]>,
    /// In and out: `wide`.
    #[chi(inout)]
    pub wide: Cell<f64>,
    /// In and out: `flag`. 0 or 1.
    #[chi(inout)]
    pub flag: Cell<u8>,
    /// In and out: `digest`.
    #[chi(inout)]
    pub digest: Cell<[u8; 20]>,
    /// Padding; zero.
    #[chi(skip)]
    pub reserved1: Cell<[u8; 3]>,
    /// In and out: `text`.
    #[chi(inout)]
    pub text: ShmString,
    /// In and out: `data`.
    #[chi(inout)]
    pub data: ShmBytes,
    /// In and out: `extent`.
    #[chi(inout)]
    pub extent: Cell<Extent>,
    /// In and out: `entry`.
    #[chi(inout)]
    pub entry: Entry,
    /// In and out: `extents`.
    #[chi(inout)]
    pub extents: ShmVec<Extent>,
    /// In and out: `words`.
    #[chi(inout)]
    pub words: ShmVec<ShmString>,
    /// In and out: `blobs`.
    #[chi(inout)]
    pub blobs: ShmVec<ShmBytes>,
    /// In and out: `rows`.
    #[chi(inout)]
    pub rows: ShmVec<ShmVec<i16>>,
    /// In and out: `entries`.
    #[chi(inout)]
    pub entries: ShmVec<Entry>,
    /// In and out: `pairs`.
    #[chi(inout)]
    pub pairs: Cell<[Extent; 2]>,
}

/// Does nothing.
#[chimaera::task(description = 0x48de6)]
pub struct NothingTask {}

/// Fails.
#[chimaera::task(description = 0x6afe0)]
pub struct FailTask {
    /// In: Whether by what nobody expects. 0 or 1.
    #[chi(in)]
    pub thrown: Cell<u8>,
    /// Padding; zero.
    #[chi(skip)]
    pub reserved0: Cell<[u8; 7]>,
    /// In: `why`.
    #[chi(in)]
    pub why: ShmString,
}

/// Has the module in the other language sum up bytes, several times at once.
#[chimaera::task(description = 0x2e398)]
pub struct RelayTask {
    /// In: The name of the other module's pool.
    #[chi(in)]
    pub store: ShmString,
    /// In: `data`.
    #[chi(in)]
    pub data: ShmBytes,
    /// In: How many sums are under way at once.
    #[chi(in)]
    pub width: Cell<u32>,
    /// Padding; zero.
    #[chi(skip)]
    pub reserved0: Cell<[u8; 4]>,
    /// In: Makes the other module fail with this message, if not empty.
    #[chi(in)]
    pub why: ShmString,
    /// Out: `sums`.
    #[chi(out)]
    pub sums: ShmVec<u64>,
}

/// Says what the pool was created with.
#[chimaera::task(description = 0x6eb99)]
pub struct SettingsTask {
    /// Out: `factor`.
    #[chi(out)]
    pub factor: Cell<i64>,
    /// Out: `share`.
    #[chi(out)]
    pub share: Cell<f32>,
    /// Out: `exact`. 0 or 1.
    #[chi(out)]
    pub exact: Cell<u8>,
    /// Padding; zero.
    #[chi(skip)]
    pub reserved0: Cell<[u8; 3]>,
    /// Out: `label`.
    #[chi(out)]
    pub label: ShmString,
    /// Out: `note`.
    #[chi(out)]
    pub note: ShmString,
    /// Out: `limit`.
    #[chi(out)]
    pub limit: Cell<u64>,
}

/// Sleeps.
#[chimaera::task(description = 0x7719e)]
pub struct PauseTask {
    /// In: How long.
    #[chi(in)]
    pub seconds: Cell<u32>,
    /// Padding; zero.
    #[chi(skip)]
    pub reserved0: Cell<[u8; 4]>,
}

/// The results of `kTurn`.
#[derive(Clone, Debug, PartialEq)]
pub struct TurnResult {
    /// `tiny`.
    pub tiny: i8,
    /// `wide`.
    pub wide: f64,
    /// `flag`.
    pub flag: bool,
    /// `digest`.
    pub digest: [u8; 20],
    /// `text`.
    pub text: String,
    /// `data`.
    pub data: Vec<u8>,
    /// `extent`.
    pub extent: Extent,
    /// `entry`.
    pub entry: EntryValue,
    /// `extents`.
    pub extents: Vec<Extent>,
    /// `words`.
    pub words: Vec<String>,
    /// `blobs`.
    pub blobs: Vec<Vec<u8>>,
    /// `rows`.
    pub rows: Vec<Vec<i16>>,
    /// `entries`.
    pub entries: Vec<EntryValue>,
    /// `pairs`.
    pub pairs: [Extent; 2],
}

/// The results of `kSettings`.
#[derive(Clone, Debug, PartialEq)]
pub struct SettingsResult {
    /// `factor`.
    pub factor: i64,
    /// `share`.
    pub share: f32,
    /// `exact`.
    pub exact: bool,
    /// `label`.
    pub label: String,
    /// `note`.
    pub note: String,
    /// `limit`.
    pub limit: u64,
}

/// A pool of `described:parts`, and the query that says which of its containers calls go to.
/// It can be copied, and used in applications as well as in the methods of other modules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
    query: DomainQuery,
}

impl Client {
    /// Creates the pool, or finds it if it exists. Errors: those of `Ipc::create_pool`.
    pub fn create(name: &str, params: &Params) -> Result<Self> {
        Client::create_with(name, params, PoolOptions::default())
    }
    /// Creates the pool with these options. Errors: those of `Ipc::create_pool_with`.
    pub fn create_with(
        name: &str,
        params: &Params,
        options: PoolOptions,
    ) -> Result<Self> {
        let params = &chimaera::archive::params_to_bytes(params)?;
        let ipc = chimaera::ipc()?;
        let id = ipc.create_pool_with("described:parts", name, params, options)?;
        Ok(Client::from_pool(id))
    }
    /// A client for the existing pool of this name, whatever its parameters. Errors: `CHI_NO_POOL`;
    /// `CHI_INVALID` if the pool is of another module.
    pub fn find_pool(name: &str) -> Result<Self> {
        chimaera::ipc()?.find_pool_of("described:parts", name).map(Client::from_pool)
    }
    /// A client for an existing pool with this id.
    pub fn from_pool(pool_id: PoolId) -> Self {
        let query = DomainQuery::dynamic();
        Client { pool_id, query }
    }
    /// A client for the same pool whose calls use this query instead of
    /// `DomainQuery::dynamic()`.
    #[must_use]
    pub fn with_query(self, query: DomainQuery) -> Self {
        Client { query, ..self }
    }
    /// The id of the pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }
    /// Sums up the bytes of every block.
    pub fn sum(&self, data: &[u8], block_size: u32, exact: bool) -> Result<Vec<u64>> {
        let pending = self.sum_async(data, block_size, exact)?;
        let done = pending.wait()?;
        let sums = done.sums.copy_to_vec()?;
        Ok(sums)
    }
    /// Submits `kSum`; its results are the fields of the task.
    pub fn sum_async(
        &self,
        data: &[u8],
        block_size: u32,
        exact: bool,
    ) -> Result<Pending<SumTask>> {
        let task: NewTask<SumTask> = self.task(SUM)?;
        task.data.set(data)?;
        task.block_size.set(block_size);
        task.exact.set(exact.into());
        task.submit()
    }
    /// Gives everything back, some of it turned round.
    #[allow(clippy::too_many_arguments)]
    pub fn turn(
        &self,
        tiny: i8,
        wide: f64,
        flag: bool,
        digest: [u8; 20],
        text: &str,
        data: &[u8],
        extent: Extent,
        entry: &EntryValue,
        extents: &[Extent],
        words: &[&str],
        blobs: &[&[u8]],
        rows: &[Vec<i16>],
        entries: &[EntryValue],
        pairs: [Extent; 2],
    ) -> Result<TurnResult> {
        let pending = self
            .turn_async(
                tiny,
                wide,
                flag,
                digest,
                text,
                data,
                extent,
                entry,
                extents,
                words,
                blobs,
                rows,
                entries,
                pairs,
            )?;
        let done = pending.wait()?;
        let tiny = done.tiny.get();
        let wide = done.wide.get();
        let flag = done.flag.get() != 0;
        let digest = done.digest.get();
        let text = done.text.to_string()?;
        let data = done.data.copy_to_vec()?;
        let extent = done.extent.get();
        let entry = EntryValue::read(&done.entry)?;
        let extents = done.extents.copy_to_vec()?;
        let mut words = Vec::new();
        for item in done.words.iter() {
            words.push(item.to_string()?);
        }
        let mut blobs = Vec::new();
        for item in done.blobs.iter() {
            blobs.push(item.copy_to_vec()?);
        }
        let mut rows = Vec::new();
        for item in done.rows.iter() {
            rows.push(item.copy_to_vec()?);
        }
        let mut entries = Vec::new();
        for item in done.entries.iter() {
            entries.push(EntryValue::read(&item)?);
        }
        let pairs = done.pairs.get();
        Ok(TurnResult {
            tiny,
            wide,
            flag,
            digest,
            text,
            data,
            extent,
            entry,
            extents,
            words,
            blobs,
            rows,
            entries,
            pairs,
        })
    }
    /// Submits `kTurn`; its results are the fields of the task.
    #[allow(clippy::too_many_arguments)]
    pub fn turn_async(
        &self,
        tiny: i8,
        wide: f64,
        flag: bool,
        digest: [u8; 20],
        text: &str,
        data: &[u8],
        extent: Extent,
        entry: &EntryValue,
        extents: &[Extent],
        words: &[&str],
        blobs: &[&[u8]],
        rows: &[Vec<i16>],
        entries: &[EntryValue],
        pairs: [Extent; 2],
    ) -> Result<Pending<TurnTask>> {
        let task: NewTask<TurnTask> = self.task(TURN)?;
        task.tiny.set(tiny);
        task.wide.set(wide);
        task.flag.set(flag.into());
        task.digest.set(digest);
        task.text.set(text)?;
        task.data.set(data)?;
        task.extent.set(extent);
        let shared = &task.entry;
        entry.write_in_task(shared)?;
        task.extents.set(extents)?;
        task.words.set_all(words)?;
        task.blobs.set_all(blobs)?;
        let shared = &task.rows;
        shared.resize(rows.len())?;
        for (index, item) in rows.iter().enumerate() {
            shared.update(index, |to| to.set_vec(|to| to, item))?;
        }
        let shared = &task.entries;
        shared.resize(entries.len())?;
        for (index, item) in entries.iter().enumerate() {
            shared.update(index, |to| item.write(to))?;
        }
        task.pairs.set(pairs);
        task.submit()
    }
    /// Does nothing.
    pub fn nothing(&self) -> Result<()> {
        let pending = self.nothing_async()?;
        pending.wait()?;
        Ok(())
    }
    /// Submits `kNothing`; its results are the fields of the task.
    pub fn nothing_async(&self) -> Result<Pending<NothingTask>> {
        let task: NewTask<NothingTask> = self.task(NOTHING)?;
        task.submit()
    }
    /// Fails.
    pub fn fail(&self, thrown: bool, why: &str) -> Result<()> {
        let pending = self.fail_async(thrown, why)?;
        pending.wait()?;
        Ok(())
    }
    /// Submits `kFail`; its results are the fields of the task.
    pub fn fail_async(&self, thrown: bool, why: &str) -> Result<Pending<FailTask>> {
        let task: NewTask<FailTask> = self.task(FAIL)?;
        task.thrown.set(thrown.into());
        task.why.set(why)?;
        task.submit()
    }
    /// Has the module in the other language sum up bytes, several times at once.
    pub fn relay(
        &self,
        store: &str,
        data: &[u8],
        width: u32,
        why: &str,
    ) -> Result<Vec<u64>> {
        let pending = self.relay_async(store, data, width, why)?;
        let done = pending.wait()?;
        let sums = done.sums.copy_to_vec()?;
        Ok(sums)
    }
    /// Submits `kRelay`; its results are the fields of the task.
    pub fn relay_async(
        &self,
        store: &str,
        data: &[u8],
        width: u32,
        why: &str,
    ) -> Result<Pending<RelayTask>> {
        let task: NewTask<RelayTask> = self.task(RELAY)?;
        task.store.set(store)?;
        task.data.set(data)?;
        task.width.set(width);
        task.why.set(why)?;
        task.submit()
    }
    /// Says what the pool was created with.
    pub fn settings(&self) -> Result<SettingsResult> {
        let pending = self.settings_async()?;
        let done = pending.wait()?;
        let factor = done.factor.get();
        let share = done.share.get();
        let exact = done.exact.get() != 0;
        let label = done.label.to_string()?;
        let note = done.note.to_string()?;
        let limit = done.limit.get();
        Ok(SettingsResult {
            factor,
            share,
            exact,
            label,
            note,
            limit,
        })
    }
    /// Submits `kSettings`; its results are the fields of the task.
    pub fn settings_async(&self) -> Result<Pending<SettingsTask>> {
        let task: NewTask<SettingsTask> = self.task(SETTINGS)?;
        task.submit()
    }
    /// Sleeps.
    pub fn pause(&self, seconds: u32) -> Result<()> {
        let pending = self.pause_async(seconds)?;
        pending.wait()?;
        Ok(())
    }
    /// Submits `kPause`; its results are the fields of the task.
    pub fn pause_async(&self, seconds: u32) -> Result<Pending<PauseTask>> {
        let task: NewTask<PauseTask> = self.task(PAUSE)?;
        task.seconds.set(seconds);
        task.submit()
    }
    fn task<T: Task>(&self, method: u32) -> Result<NewTask<T>> {
        chimaera::ipc()?.new_task(self.pool_id, self.query, method)
    }
}

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Extent>() == 16);
    assert!(offset_of!(Extent, start) == 0);
    assert!(offset_of!(Extent, blocks) == 8);
    assert!(offset_of!(Extent, sparse) == 12);
    assert!(size_of::<Entry>() == 144);
    assert!(offset_of!(Entry, name) == 0);
    assert!(offset_of!(Entry, extent) == 40);
    assert!(offset_of!(Entry, data) == 56);
    assert!(offset_of!(Entry, weights) == 96);
    assert!(offset_of!(Entry, kind) == 136);
    assert!(size_of::<SumTask>() == 152);
    assert!(offset_of!(SumTask, data) == 64);
    assert!(offset_of!(SumTask, block_size) == 104);
    assert!(offset_of!(SumTask, exact) == 108);
    assert!(offset_of!(SumTask, sums) == 112);
    assert!(size_of::<TurnTask>() == 576);
    assert!(offset_of!(TurnTask, tiny) == 64);
    assert!(offset_of!(TurnTask, wide) == 72);
    assert!(offset_of!(TurnTask, flag) == 80);
    assert!(offset_of!(TurnTask, digest) == 81);
    assert!(offset_of!(TurnTask, text) == 104);
    assert!(offset_of!(TurnTask, data) == 144);
    assert!(offset_of!(TurnTask, extent) == 184);
    assert!(offset_of!(TurnTask, entry) == 200);
    assert!(offset_of!(TurnTask, extents) == 344);
    assert!(offset_of!(TurnTask, words) == 384);
    assert!(offset_of!(TurnTask, blobs) == 424);
    assert!(offset_of!(TurnTask, rows) == 464);
    assert!(offset_of!(TurnTask, entries) == 504);
    assert!(offset_of!(TurnTask, pairs) == 544);
    assert!(size_of::<NothingTask>() == 64);
    assert!(size_of::<FailTask>() == 112);
    assert!(offset_of!(FailTask, thrown) == 64);
    assert!(offset_of!(FailTask, why) == 72);
    assert!(size_of::<RelayTask>() == 232);
    assert!(offset_of!(RelayTask, store) == 64);
    assert!(offset_of!(RelayTask, data) == 104);
    assert!(offset_of!(RelayTask, width) == 144);
    assert!(offset_of!(RelayTask, why) == 152);
    assert!(offset_of!(RelayTask, sums) == 192);
    assert!(size_of::<SettingsTask>() == 168);
    assert!(offset_of!(SettingsTask, factor) == 64);
    assert!(offset_of!(SettingsTask, share) == 72);
    assert!(offset_of!(SettingsTask, exact) == 76);
    assert!(offset_of!(SettingsTask, label) == 80);
    assert!(offset_of!(SettingsTask, note) == 120);
    assert!(offset_of!(SettingsTask, limit) == 160);
    assert!(size_of::<PauseTask>() == 72);
    assert!(offset_of!(PauseTask, seconds) == 64);
};
