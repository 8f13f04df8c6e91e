//! The tasks of the module, for C and C++ too: `autogen/kv_tasks_c.h` and `autogen/kv_tasks.h` come from
//! this file.

use std::cell::Cell;

use chimaera::{ShmBytes, ShmString, ShmVec};

#[path = "../../autogen/kv_layouts.rs"]
mod layouts;

/// `kPut`: puts a value under a key.
#[chimaera::task]
pub struct PutTask {
    /// In.
    pub key: ShmString,
    /// In.
    pub value: ShmBytes,
    /// Out: 1 when it replaced a value.
    pub replaced: Cell<u32>,
    reserved: u32,
}

/// `kGet`: gets the value of a key.
#[chimaera::task]
pub struct GetTask {
    /// In.
    pub key: ShmString,
    /// Out.
    pub value: ShmBytes,
}

/// `kDelete`: deletes a key.
#[chimaera::task]
pub struct DeleteTask {
    /// In.
    pub key: ShmString,
    /// Out: 1 when the key was there.
    pub existed: Cell<u32>,
    reserved: u32,
}

/// `kScan`: lists keys in order.
#[chimaera::task]
pub struct ScanTask {
    /// In: what the keys begin with; empty for all.
    pub prefix: ShmString,
    /// In: how many keys at most; 0 for all.
    pub limit: Cell<u64>,
    /// Out: the keys, sorted by their bytes.
    pub keys: ShmVec<ShmString>,
}

/// `kCount`: counts keys.
#[chimaera::task]
pub struct CountTask {
    /// Out.
    pub count: Cell<u64>,
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
