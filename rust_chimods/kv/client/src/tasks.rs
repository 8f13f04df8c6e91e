//! The tasks of the module. `autogen/kv_tasks_c.h` and `autogen/kv_tasks.h`, for C and C++, are
//! generated from this file.

use std::cell::Cell;

use chimaera::{Pod, Serialize, ShmBytes, ShmString, ShmVec};

#[path = "../../autogen/kv_layouts.rs"]
mod layouts;

/// The size of a store, and its counters: with a path, since its file was opened, else since its pool
/// was created. The numbers are those of the whole pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Serialize)]
#[repr(C)]
pub struct Stats {
    /// Number of keys.
    pub keys: u64,
    /// Bytes of all keys and values. With a device, the values count as what memory holds of them.
    pub bytes: u64,
    /// The limit on `bytes`; `UINT64_MAX` for no limit.
    pub max_bytes: u64,
    /// Length of the file; 0 without a path. Replaced and deleted values leave free space in it,
    /// which is used again.
    pub file_bytes: u64,
    /// By how much the file was shortened since it was opened, and then already.
    pub compacted_bytes: u64,
    /// Transactions. Puts and deletes that arrive together share one.
    pub commits: u64,
    /// Those that were made durable.
    pub syncs: u64,
    /// How often the file was compacted.
    pub compactions: u64,
    /// How often a container lost its keys because one of its methods crashed, and began without any.
    /// Always 0 with a path.
    pub lost: u64,
}

/// `kPut`: stores a value under a key.
#[chimaera::task]
pub struct PutTask {
    /// In.
    #[chi(in)]
    pub key: ShmString,
    /// In.
    #[chi(in)]
    pub value: ShmBytes,
    /// Out: 1 if it replaced a value.
    #[chi(out)]
    pub replaced: Cell<u32>,
    #[chi(skip)]
    reserved: u32,
}

/// `kGet`: gets the value of a key.
#[chimaera::task]
pub struct GetTask {
    /// In.
    #[chi(in)]
    pub key: ShmString,
    /// Out.
    #[chi(out)]
    pub value: ShmBytes,
}

/// `kDelete`: deletes a key.
#[chimaera::task]
pub struct DeleteTask {
    /// In.
    #[chi(in)]
    pub key: ShmString,
    /// Out: 1 if the key existed.
    #[chi(out)]
    pub existed: Cell<u32>,
    #[chi(skip)]
    reserved: u32,
}

/// `kScan`: lists keys in order.
#[chimaera::task]
pub struct ScanTask {
    /// In: the prefix of the keys; empty for all keys.
    #[chi(in)]
    pub prefix: ShmString,
    /// In: maximum number of keys; 0 for all.
    #[chi(in)]
    pub limit: Cell<u64>,
    /// Out: the keys, in bytewise order.
    #[chi(out)]
    pub keys: ShmVec<ShmString>,
}

/// `kCount`: counts keys.
#[chimaera::task]
pub struct CountTask {
    /// Out.
    #[chi(out)]
    pub count: Cell<u64>,
}

/// `kFlush`: makes durable what was put and deleted before.
#[chimaera::task]
pub struct FlushTask {}

/// `kStats`: gets the size of the store and its counters.
#[chimaera::task]
pub struct StatsTask {
    /// Out.
    #[chi(out)]
    pub stats: Cell<Stats>,
}

/// `kCompact`: shortens the file as far as its contents allow.
#[chimaera::task]
pub struct CompactTask {
    /// Out: by how much it was shortened.
    #[chi(out)]
    pub bytes: Cell<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use chimaera::abi::{chi_field_layout, CHI_FIELD_STRING, CHI_FIELD_VECTOR};
    use chimaera::Task;

    fn kinds(fields: &[chi_field_layout]) -> Vec<(u32, u32, u32)> {
        fields.iter().map(|field| (field.offset_, field.kind_, field.elem_size_)).collect()
    }

    #[test]
    fn strings_and_vectors_are_declared() {
        assert_eq!(kinds(PutTask::FIELDS), [(64, CHI_FIELD_STRING, 1), (104, CHI_FIELD_VECTOR, 1)]);
        assert_eq!(
            kinds(ScanTask::FIELDS),
            [(64, CHI_FIELD_STRING, 1), (112, CHI_FIELD_VECTOR, 40)]
        );
        assert_eq!(ScanTask::FIELDS[1].n_elem_fields_, 1);
        assert!(CountTask::FIELDS.is_empty());
    }
}
