//! Checks that the container of `chimaera:bdev` implements exactly these methods.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use chimaera::module::Declared;

const _: () = {
    let mut declared = Declared::<crate::Runtime>::new();
    declared.name("chimaera:bdev");
    declared.method(0, "kCreate");
    declared.method(1, "kDestroy");
    declared.unsupported(2, "kNodeFailure");
    declared.method(3, "kRecover");
    declared.unsupported(4, "kMigrate");
    declared.unsupported(5, "kUpgrade");
    declared.method(10, "kAllocate");
    declared.method(11, "kFree");
    declared.idempotent(12, "kRead");
    declared.method(13, "kWrite");
    declared.method(14, "kFlush");
    declared.idempotent(15, "kStats");
    declared.method(16, "kGrow");
    declared.method(17, "kRelease");
    declared.end();
};
