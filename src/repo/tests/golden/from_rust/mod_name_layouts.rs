//! Checks that the fields of the tasks of `example:mod_name` have the same offsets as in C and C++.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use super::{Entry, Extent, FirstTask, OtherTask};

const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Extent>() == 32);
    assert!(offset_of!(Extent, start) == 0);
    assert!(offset_of!(Extent, digest) == 8);
    assert!(offset_of!(Extent, reserved) == 28);
    assert!(size_of::<Entry>() == 120);
    assert!(offset_of!(Entry, name) == 0);
    assert!(offset_of!(Entry, extent) == 40);
    assert!(offset_of!(Entry, weights) == 72);
    assert!(offset_of!(Entry, flag) == 112);
    assert!(size_of::<FirstTask>() == 408);
    assert!(offset_of!(FirstTask, entry) == 64);
    assert!(offset_of!(FirstTask, entries) == 184);
    assert!(offset_of!(FirstTask, rows) == 224);
    assert!(offset_of!(FirstTask, blobs) == 264);
    assert!(offset_of!(FirstTask, r#type) == 304);
    assert!(offset_of!(FirstTask, cache) == 308);
    assert!(offset_of!(FirstTask, asked) == 316);
    assert!(offset_of!(FirstTask, node) == 328);
    assert!(offset_of!(FirstTask, extents) == 344);
    assert!(size_of::<OtherTask>() == 64);
};
