//! The container of `described:shelf`.

#[path = "../../autogen/shelf_lib_exec.rs"]
mod lib_exec;

use std::time::Duration;

use chimaera::abi::CHI_MODULE_STATUS;
use chimaera::module::Init;
use chimaera::{ipc, Pending, Result, Status};
use described_shelf_client::{
    EntryValue, FailTask, Method, NothingTask, Params, PauseTask, RelayTask, SettingsTask, SumTask,
    TurnTask,
};

/// The client of `described:parts`, a C++ module.
#[allow(unreachable_pub)]
#[path = "../../../parts/autogen/parts_described.rs"]
pub mod parts;

/// The container.
pub struct Runtime {
    params: Params,
}

#[chimaera::container(name = "described:shelf", unsupported(kOld = 15))]
impl Runtime {
    #[create]
    fn create(_init: &Init<'_>, params: Params) -> Result<Self> {
        Ok(Runtime { params })
    }

    #[method(Method::SETTINGS, name = "kSettings")]
    fn settings(&self, task: &SettingsTask) -> Result<()> {
        task.factor.set(self.params.factor);
        task.share.set(self.params.share);
        task.exact.set(self.params.exact.into());
        task.label.set(&self.params.label)?;
        task.note.set(&self.params.note)?;
        task.limit.set(self.params.limit);
        Ok(())
    }

    #[method(Method::SUM, name = "kSum")]
    fn sum(&self, task: &SumTask) -> Result<()> {
        let data = task.data.copy_to_vec()?;
        let block = task.block_size.get() as usize;
        if block == 0 {
            return Err(Status::invalid("the block size is 0"));
        }
        if task.exact.get() != 0 && data.len() % block != 0 {
            return Err(Status::invalid("the last block is not whole"));
        }
        let sum = |block: &[u8]| block.iter().map(|byte| u64::from(*byte)).sum();
        task.sums.set(&data.chunks(block).map(sum).collect::<Vec<u64>>())
    }

    #[method(Method::TURN, name = "kTurn")]
    fn turn(&self, task: &TurnTask) -> Result<()> {
        task.tiny.set(-task.tiny.get());
        task.wide.set(task.wide.get() * 2.0);
        task.flag.set((task.flag.get() == 0).into());
        task.digest.set(turned(&task.digest.get()).try_into().unwrap_or_default());
        task.text.set(turned(&task.text.copy_to_vec()?))?;
        task.data.set(turned(&task.data.copy_to_vec()?))?;
        let mut extent = task.extent.get();
        extent.start += 1;
        task.extent.set(extent);
        changed(EntryValue::read(&task.entry)?).write_in_task(&task.entry)?;
        task.extents.set(&turned(&task.extents.copy_to_vec()?))?;
        let words = task.words.copy_to_vecs(usize::MAX)?;
        task.words.set_all(&words.iter().map(|word| turned(word)).collect::<Vec<_>>())?;
        for index in 0..task.blobs.len() {
            let update = |blob: &chimaera::ElementMut<'_, chimaera::ShmBytes>| {
                blob.set_bytes(|blob| blob, turned(&blob.copy_to_vec()?))
            };
            task.blobs.update(index, update)?;
        }
        for index in 0..task.rows.len() {
            task.rows.update(index, |row| row.set_vec(|row| row, &turned(&row.copy_to_vec()?)))?;
        }
        for index in 0..task.entries.len() {
            task.entries.update(index, |entry| changed(EntryValue::read(entry)?).write(entry))?;
        }
        let [first, second] = task.pairs.get();
        task.pairs.set([second, first]);
        Ok(())
    }

    #[method(Method::PAUSE, name = "kPause")]
    fn pause(&self, task: &PauseTask) -> Result<()> {
        ipc()?.sleep(Duration::from_secs(task.seconds.get().into()))
    }

    #[method(Method::NOTHING, name = "kNothing")]
    fn nothing(&self, _task: &NothingTask) {}

    #[method(Method::FAIL, name = "kFail")]
    fn fail(&self, task: &FailTask) -> Result<()> {
        let why = task.why.to_string()?;
        if task.thrown.get() != 0 {
            panic!("{why}");
        }
        Err(Status::new(CHI_MODULE_STATUS, why))
    }

    #[method(Method::RELAY, name = "kRelay")]
    fn relay(&self, task: &RelayTask) -> Result<()> {
        let data = task.data.copy_to_vec()?;
        let other = parts::Client::create(&task.store.to_string()?, &parts::Params::default())?;
        let sums: Vec<Pending<parts::SumTask>> = (0..task.width.get())
            .map(|i| other.sum_async(&data, 1 + i, false))
            .collect::<Result<_>>()?;
        let mut firsts = Vec::new();
        for sum in sums {
            firsts.extend(sum.wait()?.sums.get(0));
        }
        task.sums.set(&firsts)?;
        match task.why.is_empty() {
            true => Ok(()),
            false => other.fail(false, &task.why.to_string()?),
        }
    }
}

fn turned<T: Copy>(items: &[T]) -> Vec<T> {
    items.iter().rev().copied().collect()
}

fn changed(mut entry: EntryValue) -> EntryValue {
    entry.name.push('!');
    entry.extent.blocks += 1;
    entry.data.reverse();
    entry.weights.push(1.0);
    entry.kind += 1;
    entry
}
