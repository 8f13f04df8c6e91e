//! How messages, and what is agreed on, are written down: numbers little-endian, counts before elements, a number before each
//! variant. A value has exactly one form, and what is read has been checked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::ids::{BootId, ContainerId, Epoch, Life, NodeId, PoolId};

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed message or record of the cluster")]
pub struct Malformed;

/// A value that can be written to bytes and read back.
pub(crate) trait Wire: Sized {
    /// Appends the value.
    fn put(&self, to: &mut Vec<u8>);

    /// Takes a value from the front.
    fn take(from: &mut &[u8]) -> Result<Self, Malformed>;
}

/// The bytes of a value.
pub(crate) fn to_bytes(value: &impl Wire) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.put(&mut bytes);
    bytes
}

/// The value that all of these bytes are.
pub(crate) fn from_bytes<T: Wire>(mut bytes: &[u8]) -> Result<T, Malformed> {
    let value = T::take(&mut bytes)?;
    if bytes.is_empty() {
        Ok(value)
    } else {
        Err(Malformed)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
                let (bytes, rest) = from.split_first_chunk().ok_or(Malformed)?;
                *from = rest;
                Ok(<$number>::from_le_bytes(*bytes))
            }
        }
    )*};
}

numbers!(u8, u32, u64, i64);

impl Wire for bool {
    fn put(&self, to: &mut Vec<u8>) {
        u8::from(*self).put(to);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }
}

/// Appends bytes behind their length.
pub(crate) fn put_bytes(bytes: &[u8], to: &mut Vec<u8>) {
    bytes.len().put(to);
    to.extend_from_slice(bytes);
}

/// Takes bytes from the front. Their length is checked before anything is allocated.
pub(crate) fn bytes_of<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = usize::take(from)?;
    let (bytes, rest) = from.split_at_checked(length).ok_or(Malformed)?;
    *from = rest;
    Ok(bytes)
}

impl Wire for String {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), to);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        String::from_utf8(bytes_of(from)?.to_vec()).map_err(|_| Malformed)
    }
}

impl Wire for Vec<u8> {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self, to);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(bytes_of(from)?.to_vec())
    }
}

/// In nanoseconds; what is longer than 584 years is that long.
impl Wire for Duration {
    fn put(&self, to: &mut Vec<u8>) {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX).put(to);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(Duration::from_nanos(u64::take(from)?))
    }
}

/// A count or a length.
impl Wire for usize {
    fn put(&self, to: &mut Vec<u8>) {
        (*self as u64).put(to);
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        usize::try_from(u64::take(from)?).map_err(|_| Malformed)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        if let Some(value) = self {
            value.put(to);
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        Ok(if bool::take(from)? { Some(T::take(from)?) } else { None })
    }
}

impl<K: Wire + Ord, V: Wire> Wire for BTreeMap<K, V> {
    fn put(&self, to: &mut Vec<u8>) {
        self.len().put(to);
        for (key, value) in self {
            key.put(to);
            value.put(to);
        }
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        let mut map = BTreeMap::new();
        for _ in 0..usize::take(from)? {
            let key = K::take(from)?;
            let is_next = map.last_key_value().is_none_or(|(last, _)| *last < key);
            if !is_next {
                return Err(Malformed);
            }
            map.insert(key, V::take(from)?);
        }
        Ok(map)
    }
}

impl<T: Wire + Ord> Wire for BTreeSet<T> {
    fn put(&self, to: &mut Vec<u8>) {
        self.len().put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
        let mut set = BTreeSet::new();
        for _ in 0..usize::take(from)? {
            let value = T::take(from)?;
            if set.last().is_some_and(|last| *last >= value) {
                return Err(Malformed);
            }
            set.insert(value);
        }
        Ok(set)
    }
}

/// Writes a struct as its fields, in the order given.
macro_rules! wire_struct {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::wire::Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                $($crate::wire::Wire::put(&self.$field, to);)*
            }

            fn take(from: &mut &[u8]) -> Result<Self, $crate::wire::Malformed> {
                Ok($name { $($field: $crate::wire::Wire::take(from)?),* })
            }
        }
    };
}

/// Writes an enum as the variant's number and its fields.
macro_rules! wire_enum {
    ($name:ident { $($number:literal => $variant:ident { $($field:ident),* }),* $(,)? }) => {
        impl $crate::wire::Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                match self {
                    $($name::$variant { $($field),* } => {
                        to.push($number);
                        $($crate::wire::Wire::put($field, to);)*
                    })*
                }
            }

            fn take(from: &mut &[u8]) -> Result<Self, $crate::wire::Malformed> {
                match <u8 as $crate::wire::Wire>::take(from)? {
                    $($number => Ok($name::$variant {
                        $($field: $crate::wire::Wire::take(from)?),*
                    }),)*
                    _ => Err($crate::wire::Malformed),
                }
            }
        }
    };
}

pub(crate) use {wire_enum, wire_struct};

macro_rules! names {
    ($($name:ident),*) => {$(
        impl Wire for $name {
            fn put(&self, to: &mut Vec<u8>) {
                self.0.put(to);
            }

            fn take(from: &mut &[u8]) -> Result<Self, Malformed> {
                Ok($name(Wire::take(from)?))
            }
        }
    )*};
}

names!(NodeId, BootId, PoolId, Epoch);
wire_struct!(Life { node, boot });
wire_struct!(ContainerId { pool, number });
