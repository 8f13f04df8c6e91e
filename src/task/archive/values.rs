//! The encodings of owned values.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use chimaera_abi::chi_task_node;

use super::{LoadArchive, SaveArchive};
use crate::ids::{DomainQuery, PoolId};
use crate::shm::string::no_memory;
use crate::status::{Result, Status};

/// A type that can be serialised, in the format of `docs/wire-format.md`: integers, floats, `bool`,
/// arrays, `String`, `Vec`, `Option`, `BTreeMap`, `HashMap`, tuples, [`PoolId`], [`DomainQuery`],
/// [`TaskNode`](crate::TaskNode), and the types that derive it: structs of such fields, and enums
/// without data that have a `#[repr]`.
///
/// The fields of a task are serialised according to the attributes `#[chi(in)]`, `#[chi(out)]` and
/// `#[chi(inout)]` of [`macro@crate::task`].
///
/// ```
/// use std::collections::BTreeMap;
/// use chimaera::Serialize;
///
/// #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
/// #[repr(u8)]
/// enum Policy {
///     #[default]
///     Oldest = 1,
///     Random = 2,
/// }
///
/// #[derive(Debug, Default, PartialEq, Serialize)]
/// struct Params {
///     policy: Policy,
///     weights: BTreeMap<String, f32>,
/// }
/// assert_eq!(chimaera::archive::to_bytes(&Params::default())?, [1, 0, 0, 0, 0, 0, 0, 0, 0]);
/// # Ok::<(), chimaera::Status>(())
/// ```
///
/// A pointer cannot be serialised:
///
/// ```compile_fail
/// #[derive(chimaera::Serialize)]
/// struct Params {
///     start: *const u8,
/// }
/// ```
///
/// ```compile_fail
/// type Place = *const u8;
/// #[derive(chimaera::Serialize)]
/// struct Params {
///     start: Place,
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be serialised",
    label = "cannot be sent to another process",
    note = "a pointer or a reference means nothing in another process: send what it points to, as a value, a `String` or a `Vec`",
    note = "your own structs, and enums without data, need `#[derive(chimaera::Serialize)]`"
)]
pub trait Serialize: Sized {
    /// Writes the value. Errors: those of the archive.
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()>;

    /// Reads a value. Errors: `CHI_INVALID`, whose message says what is wrong and where;
    /// `CHI_NO_SPACE`.
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self>;

    /// Writes values one after the other.
    #[doc(hidden)]
    fn save_all(values: &[Self], archive: &mut SaveArchive<'_>) -> Result<()> {
        values.iter().try_for_each(|value| value.save(archive))
    }

    /// Reads a length and that many values.
    #[doc(hidden)]
    fn load_all(archive: &mut LoadArchive<'_>) -> Result<Vec<Self>> {
        // Each element takes at least one byte, so that the remaining bytes limit the memory for a
        // length.
        const { assert!(size_of::<Self>() > 0, "the elements of a vector must not be empty") };
        let length = archive.get_length(1)?;
        // Reserves only a part at first: a false length must not allocate more than the remaining
        // bytes justify.
        let honest = (archive.remaining() as usize / size_of::<Self>() + 1).min(length);
        let mut values = Vec::new();
        values.try_reserve(honest).map_err(|_| no_memory(honest))?;
        for _ in 0..length {
            values.try_reserve(1).map_err(|_| no_memory(length))?;
            values.push(Self::load(archive)?);
        }
        Ok(values)
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
                archive.put(&self.to_le_bytes())
            }
            fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
                Ok(Self::from_le_bytes(archive.array()?))
            }
            fn load_all(archive: &mut LoadArchive<'_>) -> Result<Vec<Self>> {
                const SIZE: usize = size_of::<$type>();
                let length = archive.get_length(SIZE)?;
                let bytes = archive.take(length * SIZE)?;
                let number = |bytes: &[u8]| Self::from_le_bytes(bytes.try_into().expect("SIZE bytes"));
                Ok(bytes.chunks_exact(SIZE).map(number).collect())
            }
        }
    )*};
}

numbers!(u16, u32, u64, i8, i16, i32, i64, f32, f64);

impl Serialize for u8 {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        archive.put(&[*self])
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        Ok(archive.array::<1>()?[0])
    }
    fn save_all(values: &[Self], archive: &mut SaveArchive<'_>) -> Result<()> {
        archive.put(values)
    }
    fn load_all(archive: &mut LoadArchive<'_>) -> Result<Vec<Self>> {
        let length = archive.get_length(1)?;
        archive.take(length)
    }
}

impl Serialize for bool {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        archive.put(&[u8::from(*self)])
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        archive.get_bool()
    }
}

impl<T: Serialize, const N: usize> Serialize for [T; N] {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        T::save_all(self, archive)
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        let mut values = Vec::new();
        for _ in 0..N {
            values.push(T::load(archive)?);
        }
        match values.try_into() {
            Ok(array) => Ok(array),
            Err(_) => unreachable!("N values were taken"),
        }
    }
}

impl Serialize for String {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        archive.put_length(self.len())?;
        archive.put(self.as_bytes())
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        let length = archive.get_length(1)?;
        let at = archive.position();
        String::from_utf8(archive.take(length)?)
            .map_err(|_| Status::invalid(format!("the text at byte {at} is not UTF-8")))
    }
}

impl<T: Serialize> Serialize for Vec<T> {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        archive.put_length(self.len())?;
        T::save_all(self, archive)
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        T::load_all(archive)
    }
}

impl<T: Serialize> Serialize for Option<T> {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        self.is_some().save(archive)?;
        self.as_ref().map_or(Ok(()), |value| value.save(archive))
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        archive.get_bool()?.then(|| T::load(archive)).transpose()
    }
}

impl<K: Serialize + Ord, V: Serialize> Serialize for BTreeMap<K, V> {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        archive.put_length(self.len())?;
        self.iter().try_for_each(|(key, value)| {
            key.save(archive)?;
            value.save(archive)
        })
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        const { assert!(size_of::<(K, V)>() > 0, "the entries of a map must not be empty types") };
        let length = archive.get_length(1)?;
        let mut map = BTreeMap::new();
        for _ in 0..length {
            let at = archive.position();
            let key = K::load(archive)?;
            if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(Status::invalid(format!(
                    "the map key at byte {at} is not greater than the one before it"
                )));
            }
            map.insert(key, V::load(archive)?);
        }
        Ok(map)
    }
}

/// Like a `BTreeMap`: equal maps are equal bytes, in whatever order their entries are in memory.
impl<K, V, S> Serialize for HashMap<K, V, S>
where
    K: Serialize + Ord + Hash,
    V: Serialize,
    S: BuildHasher + Default,
{
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        let mut entries: Vec<(&K, &V)> = self.iter().collect();
        entries.sort_unstable_by(|a, b| a.0.cmp(b.0));
        archive.put_length(entries.len())?;
        entries.into_iter().try_for_each(|(key, value)| {
            key.save(archive)?;
            value.save(archive)
        })
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        Ok(BTreeMap::load(archive)?.into_iter().collect())
    }
}

macro_rules! tuples {
    ($(($($name:ident $index:tt),+))*) => {$(
        impl<$($name: Serialize),+> Serialize for ($($name,)+) {
            fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
                $(self.$index.save(archive)?;)+
                Ok(())
            }
            fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
                Ok(($($name::load(archive)?,)+))
            }
        }
    )*};
}

tuples!((A 0) (A 0, B 1) (A 0, B 1, C 2) (A 0, B 1, C 2, D 3));

impl Serialize for PoolId {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        (self.major(), self.minor()).save(archive)
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        let (major, minor) = archive.load()?;
        Ok(PoolId::new(major, minor))
    }
}

impl Serialize for DomainQuery {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        (self.kind(), self.value()).save(archive)
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        let (kind_, value_) = archive.load()?;
        Ok(chimaera_abi::chi_domain_query { kind_, value_ }.into())
    }
}

impl Serialize for chi_task_node {
    fn save(&self, archive: &mut SaveArchive<'_>) -> Result<()> {
        (self.root_, self.depth_, self.node_).save(archive)
    }
    fn load(archive: &mut LoadArchive<'_>) -> Result<Self> {
        let (root_, depth_, node_) = archive.load()?;
        Ok(chi_task_node { root_, depth_, node_ })
    }
}
