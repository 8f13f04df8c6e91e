//! Checks that the container of `chimaera:empty` implements exactly these methods.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use chimaera::module::Declared;

const _: () = {
    let mut declared = Declared::<crate::Runtime>::new();
    declared.name("chimaera:empty");
    declared.method(0, "kCreate");
    declared.method(1, "kDestroy");
    declared.unsupported(2, "kNodeFailure");
    declared.unsupported(3, "kRecover");
    declared.unsupported(4, "kMigrate");
    declared.unsupported(5, "kUpgrade");
    declared.method(10, "kEmpty");
    declared.end();
};

impl crate::Runtime {
    /// What the module says of its tasks.
    #[doc(hidden)]
    #[allow(dead_code)]
    pub(crate) const __CHIMAERA_DESCRIPTION: Option<&'static std::ffi::CStr> = chimaera::module::__private::description(
        concat!(
            "{\"format\":1",
            ",\"structs\":[",
            "]",
            ",\"tasks\":[",
            "{\"method\":\"kEmpty\",\"doc\":\"Does nothing.\"}",
            "]",
            "}",
            "\0",
        ),
    );
}
