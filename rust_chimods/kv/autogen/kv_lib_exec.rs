//! Checks that the container of `chimaera:kv` implements exactly these methods.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use chimaera::module::Declared;

const _: () = {
    let mut declared = Declared::<crate::Runtime>::new();
    declared.name("chimaera:kv");
    declared.method(0, "kCreate");
    declared.method(1, "kDestroy");
    declared.unsupported(2, "kNodeFailure");
    declared.method(3, "kRecover");
    declared.unsupported(4, "kMigrate");
    declared.unsupported(5, "kUpgrade");
    declared.method(10, "kPut");
    declared.idempotent(11, "kGet");
    declared.method(12, "kDelete");
    declared.idempotent(13, "kScan");
    declared.idempotent(14, "kCount");
    declared.method(15, "kFlush");
    declared.idempotent(16, "kStats");
    declared.method(17, "kCompact");
    declared.end();
};
