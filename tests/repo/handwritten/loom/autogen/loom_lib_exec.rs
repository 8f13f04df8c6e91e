//! Checks that the container of `written:loom` implements exactly these methods.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use chimaera::module::Declared;

const _: () = {
    let mut declared = Declared::<crate::Runtime>::new();
    declared.name("written:loom");
    declared.method(0, "kCreate");
    declared.method(1, "kDestroy");
    declared.unsupported(2, "kNodeFailure");
    declared.unsupported(3, "kRecover");
    declared.unsupported(4, "kMigrate");
    declared.unsupported(5, "kUpgrade");
    declared.method(10, "kTurn");
    declared.method(11, "kFail");
    declared.method(12, "kRelay");
    declared.unsupported(13, "kOld");
    declared.end();
};
