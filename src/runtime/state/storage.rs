//! Where states are kept on their way: in memory, as long as there is room, and beyond that in a file.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::PathBuf;

use crate::failure::Failure;
use crate::scheduler::Shared;
use crate::sys::{Budget, Charge, Use};
use chimaera_abi::{CHI_IO, CHI_NO_SPACE};

/// What part of the memory budget the state of a container may take.
const PART: u64 = 4;

/// The memory, and the directory of the files.
#[derive(Clone)]
pub(crate) struct Storage {
    budget: &'static Budget,
    /// `None` if there can be no files.
    directory: Option<PathBuf>,
}

impl Storage {
    pub(crate) fn new(budget: &'static Budget, directory: Option<PathBuf>) -> Storage {
        Storage { budget, directory }
    }

    /// That of a runtime: the directory is the one for the states of its pools.
    pub(crate) fn of(shared: &Shared) -> Storage {
        Storage::new(shared.budget, shared.durable.state_directory())
    }

    /// A place for one state.
    pub(super) fn room(&self) -> Room {
        Room {
            storage: self.clone(),
            charge: self.budget.nothing(Use::Modules),
            file: None,
            end: 0,
        }
    }
}

/// Where bytes are.
pub(super) enum Place {
    Memory(Vec<u8>),
    /// In the file, from this offset on.
    File(u64),
}

/// The place for one state. Dropping it frees the memory and the space on the device.
pub(super) struct Room {
    storage: Storage,
    charge: Charge,
    /// A file without a name.
    file: Option<File>,
    end: u64,
}

impl Room {
    /// Keeps bytes, with `more` bytes that describe them. The calling thread waits until a file has taken
    /// them, if they go there.
    ///
    /// # Errors
    /// `CHI_NO_SPACE`: the memory has no room, and there is no file, or the device has none. `CHI_IO`.
    pub(super) fn keep(&mut self, bytes: Vec<u8>, more: usize) -> Result<Place, Failure> {
        let all = (bytes.len() + more) as u64;
        let most = self.storage.budget.limit() / PART;
        if self.file.is_none() && self.charge.bytes() + all <= most && self.charge.grow(all).is_ok()
        {
            return Ok(Place::Memory(bytes));
        }
        let charged = self.charge.grow(more as u64);
        charged.map_err(|why| Failure::new(CHI_NO_SPACE, why.to_string()))?;
        let at = self.end;
        let written = self.file().and_then(|file| file.write_all_at(&bytes, at));
        written.map_err(|error| self.failed(&error))?;
        self.end += bytes.len() as u64;
        Ok(Place::File(at))
    }

    /// Fills `to` with bytes of the file, from this offset on.
    pub(super) fn read(&self, at: u64, to: &mut [u8]) -> io::Result<()> {
        match &self.file {
            Some(file) => file.read_exact_at(to, at),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn file(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            let none = "there is no directory for files: set state_dir, or raise limits.memory";
            let directory = self
                .storage
                .directory
                .as_ref()
                .ok_or_else(|| io::Error::new(io::ErrorKind::StorageFull, none))?;
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            self.file = Some(tempfile::tempfile_in(directory)?);
        }
        Ok(self.file.as_ref().expect("it was just opened"))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        let status = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CHI_NO_SPACE,
            _ => CHI_IO,
        };
        let directory = self.storage.directory.as_ref().map(|path| path.display().to_string());
        let place = directory.unwrap_or_else(|| "beyond the memory budget".to_owned());
        Failure::new(status, format!("keeping the state: {place}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::MemorySource;

    fn small() -> &'static Budget {
        Budget::new(4 << 20, MemorySource::Configured, 4 << 20)
    }

    /// What does not fit into a quarter of the memory goes to a file, and comes back.
    #[test]
    fn what_is_too_large_for_the_memory_goes_to_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("not/yet");
        let mut room = Storage::new(small(), Some(state.clone())).room();
        let mut places = Vec::new();
        for byte in 0..100 {
            places.push(room.keep(vec![byte; 100_000], 16).unwrap());
        }
        assert!(room.charge.bytes() < 1 << 20);
        let in_memory = places.iter().filter(|place| matches!(place, Place::Memory(_))).count();
        assert!((8..=10).contains(&in_memory), "{in_memory}");
        for (byte, place) in (0..).zip(&places) {
            let mut bytes = vec![0; 100_000];
            match place {
                Place::Memory(kept) => bytes.clone_from(kept),
                Place::File(at) => room.read(*at, &mut bytes).unwrap(),
            }
            assert!(bytes.iter().all(|found| *found == byte), "{byte}");
        }
        assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0, "the file has no name");
    }

    #[test]
    fn without_a_directory_the_memory_is_the_limit() {
        let mut room = Storage::new(small(), None).room();
        let failed = (0..100).find_map(|_| room.keep(vec![0; 100_000], 16).err()).unwrap();
        assert_eq!(failed.status, CHI_NO_SPACE);
        assert!(failed.message.contains("set state_dir"), "{}", failed.message);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let mut room = Storage::new(small(), Some("/proc/none".into())).room();
        let failed = (0..100).find_map(|_| room.keep(vec![0; 100_000], 16).err()).unwrap();
        assert_eq!(failed.status, CHI_IO);
        assert!(failed.message.contains("/proc/none: "), "{}", failed.message);
    }
}
