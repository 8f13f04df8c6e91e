//! How far the saving or loading of a pool has come, for who watches it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What is being done with the states of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Stage {
    /// Its tasks have to end first.
    Waiting,
    /// The containers save their states.
    Saving,
    /// A file is written.
    Writing,
    /// A file is read.
    Reading,
    /// The containers load their states.
    Loading,
}

impl Stage {
    const ALL: [Stage; 5] =
        [Stage::Waiting, Stage::Saving, Stage::Writing, Stage::Reading, Stage::Loading];

    fn name(self) -> &'static str {
        match self {
            Stage::Waiting => "waiting",
            Stage::Saving => "saving",
            Stage::Writing => "writing",
            Stage::Reading => "reading",
            Stage::Loading => "loading",
        }
    }
}

/// The stage, and how many bytes have been through it. One side counts, and any may look.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    stage: AtomicU32,
    bytes: AtomicU64,
}

impl Meter {
    /// Begins a stage.
    pub(crate) fn begin(&self, stage: Stage) {
        self.bytes.store(0, Ordering::Relaxed);
        self.stage.store(stage as u32, Ordering::Relaxed);
    }

    /// Counts bytes.
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The name of the stage, and its bytes so far.
    pub(crate) fn read(&self) -> (&'static str, u64) {
        let stage = Stage::ALL[self.stage.load(Ordering::Relaxed) as usize];
        (stage.name(), self.bytes.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Image, SavedPool, Storage};
    use super::*;
    use crate::sys::Budget;

    #[test]
    fn bytes_are_counted_while_they_are_saved_written_and_read() {
        let meter = Arc::new(Meter::default());
        assert_eq!(meter.read(), ("waiting", 0));
        meter.begin(Stage::Saving);
        let storage = Storage::new(Budget::endless(), None);
        let mut image = Image::new("1", &storage, &meter);
        image.push(1, vec![7; 1000]).unwrap();
        image.push(2, vec![8; 24]).unwrap();
        assert_eq!(meter.read(), ("saving", 1024));
        meter.begin(Stage::Writing);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("saved");
        let text = |text: &str| text.to_owned();
        let (name, module, version) = (text("pool"), text("a:b"), text("1"));
        let saved = SavedPool { name, module, version, params: Vec::new(), images: vec![image] };
        saved.store(&file).unwrap();
        assert_eq!(meter.read(), ("writing", 1024));
        meter.begin(Stage::Reading);
        SavedPool::load(&file, &storage, &meter).unwrap();
        assert_eq!(meter.read(), ("reading", 1024));
    }
}
