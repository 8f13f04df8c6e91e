//! The tasks of the module. Their layouts are fixed: clients of other languages mirror them.

use std::cell::Cell;

use chimaera::{ShmBytes, ShmString, ShmVec};

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
    use std::mem::{offset_of, size_of};

    /// What other languages rely on.
    #[test]
    fn layouts_are_fixed() {
        assert_eq!(size_of::<PutTask>(), 152);
        assert_eq!(offset_of!(PutTask, key), 64);
        assert_eq!(offset_of!(PutTask, value), 104);
        assert_eq!(offset_of!(PutTask, replaced), 144);
        assert_eq!(size_of::<GetTask>(), 144);
        assert_eq!(offset_of!(GetTask, value), 104);
        assert_eq!(size_of::<DeleteTask>(), 112);
        assert_eq!(offset_of!(DeleteTask, existed), 104);
        assert_eq!(size_of::<ScanTask>(), 152);
        assert_eq!(offset_of!(ScanTask, limit), 104);
        assert_eq!(offset_of!(ScanTask, keys), 112);
        assert_eq!(size_of::<CountTask>(), 72);
        assert_eq!(offset_of!(CountTask, count), 64);
    }

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
