//! Checks that the fields of the tasks of `written:loom` have the same offsets as in C and C++.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use super::{Entry, Extent, FailTask, RelayTask, TurnTask};

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Extent>() == 16);
    assert!(offset_of!(Extent, start) == 0);
    assert!(offset_of!(Extent, blocks) == 8);
    assert!(offset_of!(Extent, reserved) == 12);
    assert!(size_of::<Entry>() == 96);
    assert!(offset_of!(Entry, name) == 0);
    assert!(offset_of!(Entry, extent) == 40);
    assert!(offset_of!(Entry, weights) == 56);
    assert!(size_of::<TurnTask>() == 328);
    assert!(offset_of!(TurnTask, text) == 64);
    assert!(offset_of!(TurnTask, words) == 104);
    assert!(offset_of!(TurnTask, extents) == 144);
    assert!(offset_of!(TurnTask, entry) == 184);
    assert!(offset_of!(TurnTask, entries) == 280);
    assert!(offset_of!(TurnTask, total) == 320);
    assert!(size_of::<FailTask>() == 112);
    assert!(offset_of!(FailTask, thrown) == 64);
    assert!(offset_of!(FailTask, reserved) == 68);
    assert!(offset_of!(FailTask, why) == 72);
    assert!(size_of::<RelayTask>() == 232);
    assert!(offset_of!(RelayTask, store) == 64);
    assert!(offset_of!(RelayTask, text) == 104);
    assert!(offset_of!(RelayTask, width) == 144);
    assert!(offset_of!(RelayTask, reserved) == 148);
    assert!(offset_of!(RelayTask, why) == 152);
    assert!(offset_of!(RelayTask, answers) == 192);
};
