//! Fills in and reads the fields of tasks.

use std::mem::offset_of;

use chimaera_abi::{chi_shm_vector, CHI_SHM_NULL};

use crate::spelling::spell_type;
use crate::types::{is_plain, size_and_align, Body, Field, Scalar, Struct, Type};
use crate::value::{expected, Value};

/// A block of a task.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Its shared pointer.
    pub shm: u64,
    /// Its address in this process.
    pub address: u64,
    /// Its size in bytes.
    pub capacity: u64,
}

/// The blocks of a task.
pub trait Memory {
    /// Copies bytes to a new block of the task. With `elements`, they contain strings or vectors.
    ///
    /// # Errors
    /// There is no memory.
    fn place(&mut self, bytes: &[u8], elements: bool) -> Result<Block, String>;

    /// A copy of so many bytes of the task's memory.
    ///
    /// # Errors
    /// They are not all there.
    fn read(&self, shm: u64, size: u64) -> Result<Vec<u8>, String>;
}

/// The most elements of a list that become values: one takes much more memory then.
const MAX_ELEMENTS: usize = 1 << 20;

/// The size of a string or vector in a task.
const DESCRIPTOR: usize = size_of::<chi_shm_vector>();

/// Writes the value of a field to a task, of which `task` is a copy, header included.
///
/// # Errors
/// The value is not one of the field's type, or there is no memory. The message begins with what is wrong where.
pub fn encode<M: Memory>(
    field: &Field,
    value: &Value,
    structs: &[Struct],
    task: &mut [u8],
    memory: &mut M,
) -> Result<(), String> {
    let (start, end) = (field.offset as usize, (field.offset + field.size) as usize);
    let mut encoder = Encoder { structs, memory };
    encoder.write(&field.ty, value, &mut task[start..end], field.offset)
}

/// Reads the value of a field of a task, of which `task` is a copy, header included.
///
/// # Errors
/// Its strings or vectors are malformed.
pub fn decode<M: Memory>(
    field: &Field,
    structs: &[Struct],
    task: &[u8],
    memory: &M,
) -> Result<Value, String> {
    let (start, end) = (field.offset as usize, (field.offset + field.size) as usize);
    read(&field.ty, structs, &task[start..end], memory)
}

/// The bytes of a field that is text, bytes or a vector of numbers, as they are. `None` for any other.
pub fn contents<M: Memory>(
    field: &Field,
    task: &[u8],
    memory: &M,
) -> Option<Result<Vec<u8>, String>> {
    let (start, end) = (field.offset as usize, (field.offset + field.size) as usize);
    let is_raw = match &field.ty {
        Type::String | Type::Bytes => true,
        Type::Vector(of) => matches!(**of, Type::Scalar(_)),
        _ => false,
    };
    is_raw.then(|| bytes_of(&task[start..end], memory))
}

struct Encoder<'e, M> {
    structs: &'e [Struct],
    memory: &'e mut M,
}

impl<M: Memory> Encoder<'_, M> {
    /// Writes a value to the bytes that are for it, `at` bytes from the beginning of the task; 0 inside an element.
    fn write(&mut self, ty: &Type, value: &Value, to: &mut [u8], at: u32) -> Result<(), String> {
        let unexpected =
            || format!("expected {}, found {}", expected(ty, self.structs), value.kind());
        match (ty, value) {
            (
                Type::Scalar(Scalar::Float(bits)),
                Value::Integer(_) | Value::Float(_) | Value::Text(_),
            ) => {
                let value = match value {
                    Value::Integer(value) => *value as f64,
                    Value::Float(value) => *value,
                    Value::Text(text) => text.parse().map_err(|_| unexpected())?,
                    _ => return Err(unexpected()),
                };
                match bits {
                    32 if value.is_finite() && (value as f32).is_infinite() => {
                        return Err(unexpected());
                    }
                    32 => to.copy_from_slice(&(value as f32).to_le_bytes()),
                    _ => to.copy_from_slice(&value.to_le_bytes()),
                }
            }
            (Type::Scalar(scalar), Value::Integer(value)) => {
                let (least, most) = scalar.range();
                if !(least..=most).contains(value) {
                    return Err(unexpected());
                }
                to.copy_from_slice(&value.to_le_bytes()[..to.len()]);
            }
            (Type::Bool, Value::Bool(value)) => to[0] = (*value).into(),
            (Type::Bool, Value::Integer(value @ (0 | 1))) => to[0] = *value as u8,
            (Type::String | Type::Bytes, Value::Text(text)) => {
                self.place(text.as_bytes(), false, to, at)?
            }
            (Type::String | Type::Bytes, Value::Bytes(bytes)) => {
                self.place(bytes, false, to, at)?
            }
            (Type::Bytes, Value::List(_)) => {
                let bytes = self.elements(&Type::Scalar(Scalar::Unsigned(8)), value)?;
                self.place(&bytes, false, to, at)?;
            }
            // What a file has.
            (Type::Vector(of), Value::Bytes(bytes)) if is_plain(of, self.structs) => {
                let size = size_and_align(of, self.structs).0;
                if bytes.len() % size as usize != 0 {
                    let (length, of) = (bytes.len(), spell_type(of, self.structs));
                    return Err(format!(
                        "{length} bytes are no number of {of}, of {size} bytes each"
                    ));
                }
                self.place(bytes, false, to, at)?;
            }
            (Type::Vector(of), Value::List(_)) => {
                let bytes = self.elements(of, value)?;
                self.place(&bytes, !is_plain(of, self.structs), to, at)?;
            }
            (Type::Array(of, n), Value::List(all)) => {
                if all.len() != *n as usize {
                    return Err(unexpected());
                }
                to.copy_from_slice(&self.elements(of, value)?);
            }
            (Type::Array(_, n), Value::Bytes(bytes)) if to.len() == *n as usize => {
                to.copy_from_slice(
                    bytes
                        .get(..to.len())
                        .filter(|_| bytes.len() == to.len())
                        .ok_or_else(unexpected)?,
                );
            }
            (Type::Struct(index), Value::Struct(values)) => {
                self.write_struct(&self.structs[*index].body, values, to, at)?;
            }
            _ => return Err(unexpected()),
        }
        Ok(())
    }

    fn write_struct(
        &mut self,
        body: &Body,
        values: &[(String, Value)],
        to: &mut [u8],
        at: u32,
    ) -> Result<(), String> {
        if let Some((name, _)) = values.iter().find(|(name, _)| body.field(name).is_none()) {
            let names: Vec<&str> = body.fields.iter().map(|field| &field.name[..]).collect();
            return Err(format!("no field '{name}'; there are {}", names.join(", ")));
        }
        for field in &body.fields {
            let name = &field.name;
            let value = values.iter().find(|(other, _)| other == name);
            let (_, value) = value.ok_or_else(|| format!("the field '{name}' is missing"))?;
            let (start, end) = (field.offset as usize, (field.offset + field.size) as usize);
            let at = if at == 0 { 0 } else { at + field.offset };
            self.write(&field.ty, value, &mut to[start..end], at)
                .map_err(|why| format!("{name}: {why}"))?;
        }
        Ok(())
    }

    /// The elements of a list, one after another.
    fn elements(&mut self, of: &Type, list: &Value) -> Result<Vec<u8>, String> {
        let Value::List(all) = list else { return Ok(Vec::new()) };
        let size = size_and_align(of, self.structs).0 as usize;
        let total = size.checked_mul(all.len()).ok_or("too long")?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(total).map_err(|_| format!("no memory for {total} bytes"))?;
        bytes.resize(total, 0);
        for (index, value) in all.iter().enumerate() {
            self.write(of, value, &mut bytes[index * size..(index + 1) * size], 0)
                .map_err(|why| format!("element {index}: {why}"))?;
        }
        Ok(bytes)
    }

    /// Puts bytes into a block, and what refers to it into `to`.
    fn place(
        &mut self,
        bytes: &[u8],
        elements: bool,
        to: &mut [u8],
        at: u32,
    ) -> Result<(), String> {
        let block = match bytes.is_empty() {
            true => Block { shm: CHI_SHM_NULL, address: 0, capacity: 0 },
            false => self.memory.place(bytes, elements)?,
        };
        let mut put = |offset: usize, value: u64| {
            to[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
        };
        put(offset_of!(chi_shm_vector, shm_), block.shm);
        put(offset_of!(chi_shm_vector, data_), block.address);
        put(offset_of!(chi_shm_vector, size_), bytes.len() as u64);
        put(offset_of!(chi_shm_vector, capacity_), block.capacity);
        // Together with the reserved word behind it.
        put(offset_of!(chi_shm_vector, offset_in_task_), at.into());
        Ok(())
    }
}

fn read<M: Memory>(
    ty: &Type,
    structs: &[Struct],
    from: &[u8],
    memory: &M,
) -> Result<Value, String> {
    Ok(match ty {
        Type::Scalar(scalar) => number(*scalar, from),
        Type::Bool => Value::Bool(from[0] != 0),
        Type::String => {
            let bytes = bytes_of(from, memory)?;
            String::from_utf8(bytes)
                .map_or_else(|error| Value::Bytes(error.into_bytes()), Value::Text)
        }
        Type::Bytes => Value::Bytes(bytes_of(from, memory)?),
        Type::Array(of, _) => list(of, structs, from, memory)?,
        Type::Vector(of) => list(of, structs, &bytes_of(from, memory)?, memory)?,
        Type::Struct(index) => {
            let fields = structs[*index].body.fields.iter();
            let values = fields.map(|field| {
                let (start, end) = (field.offset as usize, (field.offset + field.size) as usize);
                Ok((field.name.clone(), read(&field.ty, structs, &from[start..end], memory)?))
            });
            Value::Struct(values.collect::<Result<_, String>>()?)
        }
    })
}

fn list<M: Memory>(
    of: &Type,
    structs: &[Struct],
    from: &[u8],
    memory: &M,
) -> Result<Value, String> {
    let size = size_and_align(of, structs).0.max(1) as usize;
    let count = from.len() / size;
    if count > MAX_ELEMENTS {
        return Err(format!("{count} elements are more than the {MAX_ELEMENTS} that are shown"));
    }
    let elements = from.chunks_exact(size);
    elements
        .map(|element| read(of, structs, element, memory))
        .collect::<Result<_, _>>()
        .map(Value::List)
}

fn bytes_of<M: Memory>(from: &[u8], memory: &M) -> Result<Vec<u8>, String> {
    debug_assert_eq!(from.len(), DESCRIPTOR);
    let get = |offset: usize| {
        from[offset..offset + 8].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
    };
    match get(offset_of!(chi_shm_vector, size_)) {
        0 => Ok(Vec::new()),
        size => memory.read(get(offset_of!(chi_shm_vector, shm_)), size),
    }
}

fn number(scalar: Scalar, from: &[u8]) -> Value {
    let word = from.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    match scalar {
        Scalar::Float(32) => Value::Float(f32::from_bits(word as u32).into()),
        Scalar::Float(_) => Value::Float(f64::from_bits(word)),
        Scalar::Unsigned(_) => Value::Integer(word.into()),
        // The sign goes to the top, and back.
        Scalar::Signed(bits) => {
            Value::Integer((((word << (64 - bits)) as i64) >> (64 - bits)).into())
        }
    }
}
