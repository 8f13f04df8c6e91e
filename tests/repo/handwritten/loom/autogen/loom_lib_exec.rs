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

impl crate::Runtime {
    /// What the module says of its tasks.
    #[doc(hidden)]
    #[allow(dead_code)]
    pub(crate) const __CHIMAERA_DESCRIPTION: Option<&'static std::ffi::CStr> = chimaera::module::__private::description(
        concat!(
            "{\"format\":1",
            ",\"structs\":[",
            "{\"name\":\"Extent\",\"doc\":\"A range of blocks.\",\"fields\":[{\"name\":\"start\",\"type\":\"u64\",\"doc\":\"The first block.\"},{\"name\":\"blocks\",\"type\":\"u32\",\"doc\":\"Number of blocks.\"},{\"name\":\"reserved\",\"type\":\"u32\",\"doc\":\"Padding; zero.\"}]}",
            ",{\"name\":\"Entry\",\"doc\":\"A named range.\",\"fields\":[{\"name\":\"name\",\"type\":\"string\",\"doc\":\"Its name.\"},{\"name\":\"extent\",\"type\":\"Extent\",\"doc\":\"Its range.\"},{\"name\":\"weights\",\"type\":\"vector<f32>\",\"doc\":\"Its weights.\"}]}",
            "]",
            ",\"tasks\":[",
            "{\"method\":\"kTurn\",\"doc\":\"Changes every field.\",\"fields\":[{\"name\":\"text\",\"type\":\"string\"},{\"name\":\"words\",\"type\":\"vector<string>\"},{\"name\":\"extents\",\"type\":\"vector<Extent>\"},{\"name\":\"entry\",\"type\":\"Entry\"},{\"name\":\"entries\",\"type\":\"vector<Entry>\"},{\"name\":\"total\",\"type\":\"u64\"}]}",
            ",{\"method\":\"kFail\",\"doc\":\"Fails.\",\"fields\":[{\"name\":\"thrown\",\"type\":\"u32\",\"dir\":\"in\",\"doc\":\"1 to fail with a panic.\"},{\"name\":\"reserved\",\"type\":\"u32\",\"dir\":\"skip\"},{\"name\":\"why\",\"type\":\"string\",\"dir\":\"in\"}]}",
            ",{\"method\":\"kRelay\",\"doc\":\"Has the C++ module turn a text.\",\"fields\":[{\"name\":\"store\",\"type\":\"string\",\"dir\":\"in\",\"doc\":\"The name of the C++ module's pool.\"},{\"name\":\"text\",\"type\":\"string\",\"dir\":\"in\"},{\"name\":\"width\",\"type\":\"u32\",\"dir\":\"in\",\"doc\":\"Number of concurrent calls.\"},{\"name\":\"reserved\",\"type\":\"u32\",\"dir\":\"skip\"},{\"name\":\"why\",\"type\":\"string\",\"dir\":\"in\",\"doc\":\"The reason why the other module shall fail afterwards, if not empty.\"},{\"name\":\"answers\",\"type\":\"vector<string>\",\"dir\":\"out\"}]}",
            "]",
            "}",
            "\0",
        ),
    );
}
