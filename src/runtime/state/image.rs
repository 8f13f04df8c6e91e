//! The state of one container: fields, each in chunks.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::sync::Arc;

use super::file::{array, bytes, invalid};
use super::meter::Meter;
use super::storage::{Place, Room, Storage};
use crate::failure::Failure;
use chimaera_abi::{CHI_INVALID, CHI_IO};

/// The largest chunk, in bytes.
pub(super) const CHUNK: usize = 1 << 20;

/// Bytes of a field. A field has one chunk or several, one after the other.
struct Chunk {
    field: u32,
    /// CRC-32C of the field's number, the length and the bytes.
    sum: u32,
    length: u32,
    place: Place,
}

fn sum_of(field: u32, bytes: &[u8]) -> u32 {
    let sum = crc32c::crc32c(&field.to_le_bytes());
    let sum = crc32c::crc32c_append(sum, &(bytes.len() as u32).to_le_bytes());
    crc32c::crc32c_append(sum, bytes)
}

/// The saved state of a container.
pub(crate) struct Image {
    /// The version of the module that saved it.
    pub(crate) version: String,
    chunks: Vec<Chunk>,
    room: Room,
    /// Counts the bytes that are appended, written and read.
    meter: Arc<Meter>,
}

impl Image {
    pub(super) fn new(version: &str, storage: &Storage, meter: &Arc<Meter>) -> Image {
        let (room, meter) = (storage.room(), meter.clone());
        Image { version: version.to_owned(), chunks: Vec::new(), room, meter }
    }

    /// Appends a chunk of at most [`CHUNK`] bytes. Errors: see [`Room::keep`].
    pub(super) fn push(&mut self, field: u32, bytes: Vec<u8>) -> Result<(), Failure> {
        let (sum, length) = (sum_of(field, &bytes), bytes.len() as u32);
        // Chunks may be empty, and many.
        let place = self.room.keep(bytes, size_of::<Chunk>())?;
        self.meter.add(length as usize);
        self.chunks.push(Chunk { field, sum, length, place });
        Ok(())
    }

    /// The bytes of a chunk, which may not be those that were saved.
    fn bytes_of<'i>(&'i self, chunk: &'i Chunk) -> io::Result<Cow<'i, [u8]>> {
        match &chunk.place {
            Place::Memory(bytes) => Ok(Cow::Borrowed(bytes)),
            Place::File(at) => {
                let mut bytes = vec![0; chunk.length as usize];
                self.room.read(*at, &mut bytes)?;
                Ok(Cow::Owned(bytes))
            }
        }
    }

    /// How many bytes its fields have together.
    pub(crate) fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.length)).sum()
    }

    /// Writes it: the number of chunks, then each with its field, length and checksum.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&(self.chunks.len() as u64).to_le_bytes())?;
        self.chunks.iter().try_for_each(|chunk| {
            to.write_all(&chunk.field.to_le_bytes())?;
            to.write_all(&chunk.length.to_le_bytes())?;
            to.write_all(&chunk.sum.to_le_bytes())?;
            to.write_all(&self.bytes_of(chunk)?)?;
            self.meter.add(chunk.length as usize);
            Ok(())
        })
    }

    /// Reads what `write` wrote. The bytes are not trusted.
    pub(super) fn read(
        from: &mut impl Read,
        version: &str,
        storage: &Storage,
        meter: &Arc<Meter>,
    ) -> Result<Image, Failure> {
        let mut image = Image::new(version, storage, meter);
        let count = u64::from_le_bytes(array(from)?);
        for at in 0..count {
            let [field, length, sum] =
                [array(from)?, array(from)?, array(from)?].map(u32::from_le_bytes);
            let bytes = bytes(from, length, CHUNK as u32, "a chunk")?;
            if sum_of(field, &bytes) != sum {
                let why =
                    format!("chunk {at}, of field {field}, is damaged: the checksum is another");
                return Err(invalid(why));
            }
            image.push(field, bytes)?;
        }
        Ok(image)
    }

    /// Reads it from its beginning.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader {
            image: self,
            chunks: self.chunks.iter(),
            field: 0,
            chunk: Cow::Borrowed(&[]),
            at: 0,
            left: 0,
        }
    }
}

/// Reads the fields of an image one after the other.
pub(crate) struct Reader<'i> {
    image: &'i Image,
    /// The chunks that have not been begun.
    chunks: std::slice::Iter<'i, Chunk>,
    /// The current field; 0 before the first.
    field: u32,
    /// The current chunk, and how many of its bytes have been read.
    chunk: Cow<'i, [u8]>,
    at: usize,
    /// How many bytes of the current field are left.
    left: u64,
}

impl<'i> Reader<'i> {
    /// How many bytes of the current field are left.
    pub(crate) fn remaining(&self) -> u64 {
        self.left
    }

    /// Goes to the next field, and returns its number; 0 at the end.
    pub(crate) fn next_field(&mut self) -> Result<u32, Failure> {
        let before = self.field;
        // A chunk of this field that has been begun is no longer among them.
        let rest = self.chunks.as_slice();
        let begin = rest.iter().position(|chunk| chunk.field != before).unwrap_or(rest.len());
        self.chunks = rest[begin..].iter();
        (self.chunk, self.at) = (Cow::Borrowed(&[][..]), 0);
        self.left = 0;
        let Some(first) = self.chunks.as_slice().first() else { return Ok(0) };
        if first.field <= before {
            return Err(Failure::new(
                CHI_INVALID,
                format!("the state has field {} behind field {before}", first.field),
            ));
        }
        self.field = first.field;
        let own = self.chunks.as_slice().iter().take_while(|chunk| chunk.field == first.field);
        self.left = own.map(|chunk| u64::from(chunk.length)).sum();
        Ok(self.field)
    }

    /// Reads `to.len()` bytes of the current field, or none if it has fewer.
    pub(crate) fn read(&mut self, mut to: &mut [u8]) -> Result<(), Failure> {
        if to.len() as u64 > self.left {
            return Err(Failure::new(
                CHI_INVALID,
                format!(
                    "field {} of the state ends {} bytes early",
                    self.field,
                    to.len() as u64 - self.left
                ),
            ));
        }
        self.left -= to.len() as u64;
        while !to.is_empty() {
            if self.at == self.chunk.len() {
                self.begin_chunk()?;
            }
            let count = to.len().min(self.chunk.len() - self.at);
            let (now, rest) = to.split_at_mut(count);
            now.copy_from_slice(&self.chunk[self.at..self.at + count]);
            self.at += count;
            to = rest;
        }
        Ok(())
    }

    /// Begins the next chunk of the field, whose bytes must be as they were saved.
    fn begin_chunk(&mut self) -> Result<(), Failure> {
        let next = self.chunks.next().expect("`left` counts the bytes of the chunks that follow");
        let field = self.field;
        let bytes = self.image.bytes_of(next).map_err(|error| {
            let message = format!("reading a chunk of field {field} of the state: {error}");
            Failure::new(CHI_IO, message)
        })?;
        if sum_of(next.field, &bytes) != next.sum {
            return Err(Failure::new(
                CHI_IO,
                format!("a chunk of field {field} of the state has another checksum than when it was saved"),
            ));
        }
        self.image.meter.add(bytes.len());
        (self.chunk, self.at) = (bytes, 0);
        Ok(())
    }
}
