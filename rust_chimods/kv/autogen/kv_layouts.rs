//! Checks that the fields of the tasks of `chimaera:kv` have the same offsets as in C and C++.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use super::{
    CompactTask, CountTask, DeleteTask, FlushTask, GetTask, PutTask, ScanTask, Stats,
    StatsTask,
};

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Stats>() == 72);
    assert!(offset_of!(Stats, keys) == 0);
    assert!(offset_of!(Stats, bytes) == 8);
    assert!(offset_of!(Stats, max_bytes) == 16);
    assert!(offset_of!(Stats, file_bytes) == 24);
    assert!(offset_of!(Stats, compacted_bytes) == 32);
    assert!(offset_of!(Stats, commits) == 40);
    assert!(offset_of!(Stats, syncs) == 48);
    assert!(offset_of!(Stats, compactions) == 56);
    assert!(offset_of!(Stats, lost) == 64);
    assert!(size_of::<PutTask>() == 152);
    assert!(offset_of!(PutTask, key) == 64);
    assert!(offset_of!(PutTask, value) == 104);
    assert!(offset_of!(PutTask, replaced) == 144);
    assert!(offset_of!(PutTask, reserved) == 148);
    assert!(size_of::<GetTask>() == 144);
    assert!(offset_of!(GetTask, key) == 64);
    assert!(offset_of!(GetTask, value) == 104);
    assert!(size_of::<DeleteTask>() == 112);
    assert!(offset_of!(DeleteTask, key) == 64);
    assert!(offset_of!(DeleteTask, existed) == 104);
    assert!(offset_of!(DeleteTask, reserved) == 108);
    assert!(size_of::<ScanTask>() == 152);
    assert!(offset_of!(ScanTask, prefix) == 64);
    assert!(offset_of!(ScanTask, limit) == 104);
    assert!(offset_of!(ScanTask, keys) == 112);
    assert!(size_of::<CountTask>() == 72);
    assert!(offset_of!(CountTask, count) == 64);
    assert!(size_of::<FlushTask>() == 64);
    assert!(size_of::<StatsTask>() == 136);
    assert!(offset_of!(StatsTask, stats) == 64);
    assert!(size_of::<CompactTask>() == 72);
    assert!(offset_of!(CompactTask, bytes) == 64);
};
