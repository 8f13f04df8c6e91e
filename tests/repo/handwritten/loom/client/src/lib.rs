//! The client of `written:loom`.

#[path = "../../autogen/loom_methods.rs"]
mod methods;
mod tasks;

pub use methods::Method;
pub use tasks::{Entry, Extent, FailTask, RelayTask, TurnTask};

use chimaera::{DomainQuery, ElementMut, NewTask, Pending, PoolId, Result, Task};

/// The module's name.
pub const MODULE: &str = "written:loom";

/// A private copy of an [`Entry`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntryValue {
    /// Its name.
    pub name: String,
    /// Its range.
    pub extent: Extent,
    /// Its weights.
    pub weights: Vec<f32>,
}

impl EntryValue {
    fn read(from: &Entry) -> Result<Self> {
        let (name, weights) = (from.name.to_string()?, from.weights.copy_to_vec()?);
        Ok(EntryValue { name, extent: from.extent.get(), weights })
    }

    fn write(&self, to: &ElementMut<'_, Entry>) -> Result<()> {
        to.set_string(|to| &to.name, &self.name)?;
        to.extent.set(self.extent);
        to.set_vec(|to| &to.weights, &self.weights)
    }
}

/// The inputs and results of `kTurn`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Turn {
    /// A text.
    pub text: String,
    /// Words.
    pub words: Vec<String>,
    /// Parts.
    pub extents: Vec<Extent>,
    /// A named part.
    pub entry: EntryValue,
    /// Named parts.
    pub entries: Vec<EntryValue>,
    /// A number.
    pub total: u64,
}

impl Turn {
    /// Copies from a task.
    pub fn read(from: &TurnTask) -> Result<Self> {
        Ok(Turn {
            text: from.text.to_string()?,
            words: from.words.to_strings(usize::MAX)?,
            extents: from.extents.copy_to_vec()?,
            entry: EntryValue::read(&from.entry)?,
            entries: from
                .entries
                .iter()
                .map(|entry| EntryValue::read(&entry))
                .collect::<Result<_>>()?,
            total: from.total.get(),
        })
    }

    /// Copies to a task.
    pub fn write(&self, to: &TurnTask) -> Result<()> {
        to.text.set(&self.text)?;
        to.words.set_all(&self.words)?;
        to.extents.set(&self.extents)?;
        to.entry.name.set(&self.entry.name)?;
        to.entry.extent.set(self.entry.extent);
        to.entry.weights.set(&self.entry.weights)?;
        to.entries.resize(self.entries.len())?;
        for (index, entry) in self.entries.iter().enumerate() {
            to.entries.update(index, |to| entry.write(to))?;
        }
        to.total.set(self.total);
        Ok(())
    }
}

/// A pool of the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
}

impl Client {
    /// Creates the pool, or finds the pool of this name.
    pub fn create(name: &str) -> Result<Self> {
        Ok(Client { pool_id: chimaera::ipc()?.create_pool(MODULE, name, b"")? })
    }

    /// The id of the pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }

    /// Changes every field.
    pub fn turn(&self, turn: &Turn) -> Result<Turn> {
        Turn::read(&*self.turn_async(turn)?.wait()?)
    }

    /// Like [`turn`](Self::turn), but returns without waiting for the result.
    pub fn turn_async(&self, turn: &Turn) -> Result<Pending<TurnTask>> {
        let task: NewTask<TurnTask> = self.task(Method::TURN)?;
        turn.write(&task)?;
        task.submit()
    }

    /// Fails, with a panic if `thrown` is set.
    pub fn fail(&self, thrown: bool, why: &str) -> Result<()> {
        let task: NewTask<FailTask> = self.task(Method::FAIL)?;
        task.thrown.set(thrown.into());
        task.why.set(why)?;
        task.call()?;
        Ok(())
    }

    /// Has the C++ module turn `text` in `width` concurrent calls, and then fail with `why` unless
    /// it is empty.
    pub fn relay(&self, store: &str, text: &str, width: u32, why: &str) -> Result<Vec<String>> {
        let task: NewTask<RelayTask> = self.task(Method::RELAY)?;
        task.store.set(store)?;
        task.text.set(text)?;
        task.width.set(width);
        task.why.set(why)?;
        task.call()?.answers.to_strings(usize::MAX)
    }

    fn task<T: Task>(&self, method: u32) -> Result<NewTask<T>> {
        chimaera::ipc()?.new_task(self.pool_id, DomainQuery::dynamic(), method)
    }
}
