//! Checks that the fields of the tasks of `chimaera:bdev` have the same offsets as in C and C++.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use super::{
    AllocateTask, Extent, FlushTask, FreeTask, GrowTask, ReadTask, ReleaseTask, Stats,
    StatsTask, WriteTask,
};

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Extent>() == 16);
    assert!(offset_of!(Extent, block) == 0);
    assert!(offset_of!(Extent, count) == 8);
    assert!(size_of::<Stats>() == 80);
    assert!(offset_of!(Stats, block_size) == 0);
    assert!(offset_of!(Stats, blocks) == 8);
    assert!(offset_of!(Stats, free_blocks) == 16);
    assert!(offset_of!(Stats, engine) == 24);
    assert!(offset_of!(Stats, reads) == 32);
    assert!(offset_of!(Stats, writes) == 40);
    assert!(offset_of!(Stats, flushes) == 48);
    assert!(offset_of!(Stats, read_bytes) == 56);
    assert!(offset_of!(Stats, written_bytes) == 64);
    assert!(offset_of!(Stats, errors) == 72);
    assert!(size_of::<AllocateTask>() == 120);
    assert!(offset_of!(AllocateTask, count) == 64);
    assert!(offset_of!(AllocateTask, owner) == 72);
    assert!(offset_of!(AllocateTask, extents) == 80);
    assert!(size_of::<FreeTask>() == 104);
    assert!(offset_of!(FreeTask, extents) == 64);
    assert!(size_of::<ReadTask>() == 120);
    assert!(offset_of!(ReadTask, block) == 64);
    assert!(offset_of!(ReadTask, count) == 72);
    assert!(offset_of!(ReadTask, data) == 80);
    assert!(size_of::<WriteTask>() == 112);
    assert!(offset_of!(WriteTask, block) == 64);
    assert!(offset_of!(WriteTask, data) == 72);
    assert!(size_of::<FlushTask>() == 64);
    assert!(size_of::<StatsTask>() == 144);
    assert!(offset_of!(StatsTask, stats) == 64);
    assert!(size_of::<GrowTask>() == 80);
    assert!(offset_of!(GrowTask, blocks) == 64);
    assert!(offset_of!(GrowTask, total) == 72);
    assert!(size_of::<ReleaseTask>() == 80);
    assert!(offset_of!(ReleaseTask, owner) == 64);
    assert!(offset_of!(ReleaseTask, blocks) == 72);
};
