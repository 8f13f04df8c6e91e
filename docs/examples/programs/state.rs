//! Counts words, and writes them to a journal, which can have only one writer.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::AtomicU64;
use std::sync::Mutex;

use chimaera::module::{Init, LifeTask};
use chimaera::{Result, Status};

/// The container. Only the fields with numbers are saved and loaded.
#[derive(chimaera::State)]
pub struct Runtime {
    #[chi(field = 1)]
    total: AtomicU64,
    #[chi(field = 2)]
    words: Mutex<BTreeMap<String, u64>>,
    // 3 and 4 were those of older versions.
    #[chi(field = 5)]
    longest: Mutex<String>,
    path: String,
    journal: Mutex<Option<File>>,
}

fn poisoned<T>(_: T) -> Status {
    Status::failed("a method panicked while it held the lock")
}

fn open(path: &str) -> Result<File> {
    Ok(File::options().append(true).create(true).open(path)?)
}

#[chimaera::container(name = "docs:words", state)]
impl Runtime {
    #[create]
    fn create(init: &Init<'_>) -> Result<Self> {
        let path = format!("{}.journal", init.pool_name());
        Ok(Runtime {
            total: AtomicU64::default(),
            words: Mutex::default(),
            longest: Mutex::default(),
            journal: Mutex::new(Some(open(&path)?)),
            path,
        })
    }

    // Called after the state has been saved: gives up what a successor needs.
    #[release]
    fn release(&self) -> Result<()> {
        *self.journal.lock().map_err(poisoned)? = None;
        Ok(())
    }

    // Called when the container goes on after all, even if it has given up nothing.
    #[resume]
    fn resume(&self) -> Result<()> {
        *self.journal.lock().map_err(poisoned)? = Some(open(&self.path)?);
        Ok(())
    }

    // Called on a successor that has another version than its predecessor.
    #[upgrade]
    fn upgrade(&self, task: &LifeTask) -> Result<()> {
        chimaera::log_info!("{} goes on from version {}", self.path, task.old_version());
        let mut longest = self.longest.lock().map_err(poisoned)?;
        if longest.is_empty() {
            // Version 1 had no field 5.
            let words = self.words.lock().map_err(poisoned)?;
            *longest = words.keys().max_by_key(|word| word.len()).cloned().unwrap_or_default();
        }
        Ok(())
    }
}
