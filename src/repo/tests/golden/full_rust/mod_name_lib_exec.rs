//! Checks that the container of `example:mod_name` implements exactly these methods.
//! Generated from chimaera_mod.yaml; do not edit.
//! kOlder is not supported and has no number.
#![cfg_attr(rustfmt, rustfmt_skip)]

use chimaera::module::Declared;

const _: () = {
    let mut declared = Declared::<crate::Runtime>::new();
    declared.name("example:mod_name");
    declared.method(0, "kCreate");
    declared.method(1, "kDestroy");
    declared.method(2, "kNodeFailure");
    declared.method(3, "kRecover");
    declared.method(4, "kMigrate");
    declared.method(5, "kUpgrade");
    declared.idempotent(10, "kFirst");
    declared.unsupported(11, "kOld");
    declared.method(4095, "kLast");
    declared.end();
};

impl crate::Runtime {
    /// What the module says of its tasks.
    #[doc(hidden)]
    #[allow(dead_code)]
    pub(crate) const __CHIMAERA_DESCRIPTION: Option<&'static std::ffi::CStr> = chimaera::module::__private::description(
        concat!(
            "{\"format\":1",
            ",\"about\":\"Says all that there is to say\"",
            ",\"structs\":[",
            "]",
            ",\"tasks\":[",
            "{\"method\":\"kLast\",\"doc\":\"Does the last thing\"}",
            "]",
            "}",
            "\0",
        ),
    );
}
