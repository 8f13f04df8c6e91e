//! A device whose blocks are in memory.

use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use chimaera::abi::CHI_NO_SPACE;
use chimaera::{Result, ShmBytes, Status};

/// Bytes of a chunk, unless a block is larger.
const CHUNK: usize = 1 << 20;

/// Chunks whose memory is allocated at the first write. Each has a lock, which is held for the
/// duration of a copy and never across a wait.
pub(crate) struct Ram {
    chunk: usize,
    chunks: Box<[RwLock<Vec<u8>>]>,
}

impl Ram {
    pub(crate) fn new(block_size: usize, blocks: u64) -> Result<Ram> {
        let chunk = CHUNK.max(block_size);
        let n = (blocks * block_size as u64).div_ceil(chunk as u64) as usize;
        let mut chunks = Vec::new();
        chunks.try_reserve_exact(n).map_err(|_| no_memory(n * size_of::<RwLock<Vec<u8>>>()))?;
        chunks.resize_with(n, RwLock::default);
        Ok(Ram { chunk, chunks: chunks.into() })
    }

    /// The chunk that contains a position.
    pub(crate) fn chunk_of(&self, at: u64) -> u32 {
        (at / self.chunk as u64) as u32
    }

    /// Copies from position `at`, filling `to`. Bytes that were never written are zero.
    pub(crate) fn read(&self, at: u64, to: &ShmBytes) -> Result<()> {
        self.each_part(at, to.len(), |chunk, start, done, n| {
            let chunk = chunk.read().unwrap_or_else(PoisonError::into_inner);
            match chunk.get(start..start + n) {
                Some(bytes) => to.write_at(done, bytes),
                None => to.fill(done, n, 0),
            }
        })
    }

    /// Copies all of `from` to position `at`. Errors: `CHI_NO_SPACE`.
    pub(crate) fn write(&self, at: u64, from: &ShmBytes) -> Result<()> {
        self.each_part(at, from.len(), |chunk, start, done, n| {
            let mut chunk = self.filled(chunk)?;
            from.copy_to(done, &mut chunk[start..start + n]);
            Ok(())
        })
    }

    /// The parts of these bytes that may be other than zero: their positions and lengths.
    pub(crate) fn written(&self, at: u64, len: u64) -> Vec<(u64, u64)> {
        let mut parts = Vec::new();
        let mut position = at;
        while position < at + len {
            let rest = self.chunk as u64 - position % self.chunk as u64;
            let n = rest.min(at + len - position);
            let chunk = self.chunks[self.chunk_of(position) as usize].read();
            if !chunk.unwrap_or_else(PoisonError::into_inner).is_empty() {
                parts.push((position, n));
            }
            position += n;
        }
        parts
    }

    /// Copies from position `at`, filling `to`, all of it in one chunk.
    pub(crate) fn get(&self, at: u64, to: &mut [u8]) {
        let start = (at % self.chunk as u64) as usize;
        let chunk = self.chunks[self.chunk_of(at) as usize].read();
        match chunk.unwrap_or_else(PoisonError::into_inner).get(start..start + to.len()) {
            Some(bytes) => to.copy_from_slice(bytes),
            None => to.fill(0),
        }
    }

    /// Copies all of `from` to position `at`. Errors: `CHI_NO_SPACE`.
    pub(crate) fn put(&self, at: u64, from: &[u8]) -> Result<()> {
        self.each_part(at, from.len(), |chunk, start, done, n| {
            let mut chunk = self.filled(chunk)?;
            chunk[start..start + n].copy_from_slice(&from[done..done + n]);
            Ok(())
        })
    }

    /// A chunk that has its memory.
    fn filled<'c>(&self, chunk: &'c RwLock<Vec<u8>>) -> Result<RwLockWriteGuard<'c, Vec<u8>>> {
        let mut chunk = chunk.write().unwrap_or_else(PoisonError::into_inner);
        if chunk.is_empty() {
            chunk.try_reserve_exact(self.chunk).map_err(|_| no_memory(self.chunk))?;
            chunk.resize(self.chunk, 0);
        }
        Ok(chunk)
    }

    /// Calls `f` for each chunk with the offset in it, the number of bytes before this part, and
    /// the length of the part.
    fn each_part(
        &self,
        at: u64,
        len: usize,
        f: impl Fn(&RwLock<Vec<u8>>, usize, usize, usize) -> Result<()>,
    ) -> Result<()> {
        let mut done = 0;
        while done < len {
            let position = at + done as u64;
            let start = (position % self.chunk as u64) as usize;
            let n = (self.chunk - start).min(len - done);
            f(&self.chunks[self.chunk_of(position) as usize], start, done, n)?;
            done += n;
        }
        Ok(())
    }
}

fn no_memory(bytes: usize) -> Status {
    Status::new(CHI_NO_SPACE, format!("out of memory for {bytes} bytes of blocks"))
}
