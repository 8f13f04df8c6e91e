//! Checks that the container of `described:shelf` implements exactly these methods.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use chimaera::module::Declared;

const _: () = {
    let mut declared = Declared::<crate::Runtime>::new();
    declared.name("described:shelf");
    declared.params();
    declared.method(0, "kCreate");
    declared.method(1, "kDestroy");
    declared.unsupported(2, "kNodeFailure");
    declared.unsupported(3, "kRecover");
    declared.unsupported(4, "kMigrate");
    declared.unsupported(5, "kUpgrade");
    declared.method(10, "kSum");
    declared.method(11, "kTurn");
    declared.method(12, "kNothing");
    declared.method(13, "kFail");
    declared.method(14, "kRelay");
    declared.unsupported(15, "kOld");
    declared.method(16, "kSettings");
    declared.end();
};
