//! Checks that the container of `example:mod_name` implements exactly these methods.
//! Generated from chimaera_mod.yaml; do not edit.
#![cfg_attr(rustfmt, rustfmt_skip)]

use chimaera::module::Declared;

const _: () = {
    let mut declared = Declared::<crate::Runtime>::new();
    declared.name("example:mod_name");
    declared.method(0, "kCreate");
    declared.method(1, "kDestroy");
    declared.unsupported(2, "kNodeFailure");
    declared.unsupported(3, "kRecover");
    declared.unsupported(4, "kMigrate");
    declared.unsupported(5, "kUpgrade");
    declared.method(10, "kFirst");
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
            "{\"name\":\"Extent\",\"doc\":\"Where a part lies.\",\"fields\":[{\"name\":\"start\",\"type\":\"u64\"},{\"name\":\"digest\",\"type\":\"u8[20]\"},{\"name\":\"reserved\",\"type\":\"u32\"}]}",
            ",{\"name\":\"Entry\",\"fields\":[{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"extent\",\"type\":\"Extent\"},{\"name\":\"weights\",\"type\":\"vector<f32>\"},{\"name\":\"flag\",\"type\":\"u8\"}]}",
            ",{\"name\":\"PoolId\",\"fields\":[{\"name\":\"major\",\"type\":\"u32\"},{\"name\":\"minor\",\"type\":\"u32\"}]}",
            ",{\"name\":\"DomainQuery\",\"fields\":[{\"name\":\"kind\",\"type\":\"u32\"},{\"name\":\"value\",\"type\":\"u32\"}]}",
            ",{\"name\":\"TaskNode\",\"fields\":[{\"name\":\"root\",\"type\":\"u64\"},{\"name\":\"depth\",\"type\":\"u32\"},{\"name\":\"node\",\"type\":\"u32\"}]}",
            "]",
            ",\"tasks\":[",
            "{\"method\":\"kFirst\",\"doc\":\"What this struct is takes so many words that its comment does not fit into a line of a header, which has at most a hundred columns.\",\"fields\":[{\"name\":\"entry\",\"type\":\"Entry\",\"dir\":\"in\"},{\"name\":\"entries\",\"type\":\"vector<Entry>\"},{\"name\":\"rows\",\"type\":\"vector<vector<i16>>\",\"dir\":\"out\"},{\"name\":\"blobs\",\"type\":\"vector<bytes>\",\"dir\":\"in\"},{\"name\":\"type\",\"type\":\"u8\",\"dir\":\"in\"},{\"name\":\"cache\",\"type\":\"PoolId\",\"dir\":\"skip\"},{\"name\":\"asked\",\"type\":\"DomainQuery\",\"dir\":\"in\"},{\"name\":\"node\",\"type\":\"TaskNode\",\"dir\":\"in\"},{\"name\":\"extents\",\"type\":\"Extent[2]\",\"dir\":\"out\"}]}",
            "]",
            "}",
            "\0",
        ),
    );
}
