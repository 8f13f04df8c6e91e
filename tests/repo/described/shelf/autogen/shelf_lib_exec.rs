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
    declared.method(17, "kPause");
    declared.end();
};

impl crate::Runtime {
    /// What the module says of its tasks.
    #[doc(hidden)]
    #[allow(dead_code)]
    pub(crate) const __CHIMAERA_DESCRIPTION: Option<&'static std::ffi::CStr> = chimaera::module::__private::description(
        concat!(
            "{\"format\":1",
            ",\"params\":{\"doc\":\"What a pool is created with.\",\"fields\":[{\"name\":\"factor\",\"type\":\"i64\",\"default\":-9223372036854775808,\"doc\":\"A number\"},{\"name\":\"share\",\"type\":\"f32\",\"default\":0.25},{\"name\":\"exact\",\"type\":\"bool\",\"default\":true},{\"name\":\"label\",\"type\":\"string\",\"default\":\"the \\\"label\\\"\",\"doc\":\"A text\"},{\"name\":\"note\",\"type\":\"string\",\"default\":\"\"},{\"name\":\"limit\",\"type\":\"u64\",\"default\":18446744073709551615},{\"name\":\"beside\",\"type\":\"pool\",\"default\":\"\",\"doc\":\"A pool on which it depends\"}]}",
            ",\"structs\":[",
            "{\"name\":\"Extent\",\"doc\":\"A part of a file.\",\"fields\":[{\"name\":\"start\",\"type\":\"u64\",\"doc\":\"Where it begins\"},{\"name\":\"blocks\",\"type\":\"u32\"},{\"name\":\"sparse\",\"type\":\"bool\"}]}",
            ",{\"name\":\"Entry\",\"doc\":\"A named part.\",\"fields\":[{\"name\":\"name\",\"type\":\"string\",\"doc\":\"Its name\"},{\"name\":\"extent\",\"type\":\"Extent\"},{\"name\":\"data\",\"type\":\"bytes\"},{\"name\":\"weights\",\"type\":\"vector<f32>\"},{\"name\":\"kind\",\"type\":\"u8\"}]}",
            "]",
            ",\"tasks\":[",
            "{\"method\":\"kSum\",\"doc\":\"Sums up the bytes of every block.\",\"fields\":[{\"name\":\"data\",\"type\":\"bytes\",\"dir\":\"in\",\"doc\":\"What to sum up\"},{\"name\":\"block_size\",\"type\":\"u32\",\"dir\":\"in\",\"doc\":\"Bytes of a block, not 0\"},{\"name\":\"exact\",\"type\":\"bool\",\"dir\":\"in\",\"doc\":\"Whether the last block must be whole\"},{\"name\":\"sums\",\"type\":\"vector<u64>\",\"dir\":\"out\",\"doc\":\"A sum for every block\"}]}",
            ",{\"method\":\"kTurn\",\"doc\":\"Gives everything back, some of it turned round.\",\"fields\":[{\"name\":\"tiny\",\"type\":\"i8\"},{\"name\":\"wide\",\"type\":\"f64\"},{\"name\":\"flag\",\"type\":\"bool\"},{\"name\":\"digest\",\"type\":\"u8[20]\"},{\"name\":\"text\",\"type\":\"string\"},{\"name\":\"data\",\"type\":\"bytes\"},{\"name\":\"extent\",\"type\":\"Extent\"},{\"name\":\"entry\",\"type\":\"Entry\"},{\"name\":\"extents\",\"type\":\"vector<Extent>\"},{\"name\":\"words\",\"type\":\"vector<string>\"},{\"name\":\"blobs\",\"type\":\"vector<bytes>\"},{\"name\":\"rows\",\"type\":\"vector<vector<i16>>\"},{\"name\":\"entries\",\"type\":\"vector<Entry>\"},{\"name\":\"pairs\",\"type\":\"Extent[2]\"}]}",
            ",{\"method\":\"kNothing\",\"doc\":\"Does nothing.\",\"fields\":[]}",
            ",{\"method\":\"kFail\",\"doc\":\"Fails.\",\"fields\":[{\"name\":\"thrown\",\"type\":\"bool\",\"dir\":\"in\",\"doc\":\"Whether by what nobody expects\"},{\"name\":\"why\",\"type\":\"string\",\"dir\":\"in\"}]}",
            ",{\"method\":\"kRelay\",\"doc\":\"Has the module in the other language sum up bytes, several times at once.\",\"fields\":[{\"name\":\"store\",\"type\":\"string\",\"dir\":\"in\",\"doc\":\"The name of the other module's pool\"},{\"name\":\"data\",\"type\":\"bytes\",\"dir\":\"in\"},{\"name\":\"width\",\"type\":\"u32\",\"dir\":\"in\",\"doc\":\"How many sums are under way at once\"},{\"name\":\"why\",\"type\":\"string\",\"dir\":\"in\",\"doc\":\"Makes the other module fail with this message, if not empty\"},{\"name\":\"sums\",\"type\":\"vector<u64>\",\"dir\":\"out\"}]}",
            ",{\"method\":\"kSettings\",\"doc\":\"Says what the pool was created with.\",\"fields\":[{\"name\":\"factor\",\"type\":\"i64\",\"dir\":\"out\"},{\"name\":\"share\",\"type\":\"f32\",\"dir\":\"out\"},{\"name\":\"exact\",\"type\":\"bool\",\"dir\":\"out\"},{\"name\":\"label\",\"type\":\"string\",\"dir\":\"out\"},{\"name\":\"note\",\"type\":\"string\",\"dir\":\"out\"},{\"name\":\"limit\",\"type\":\"u64\",\"dir\":\"out\"}]}",
            ",{\"method\":\"kPause\",\"doc\":\"Sleeps.\",\"fields\":[{\"name\":\"seconds\",\"type\":\"u32\",\"dir\":\"in\",\"doc\":\"How long\"}]}",
            "]",
            "}",
            "\0",
        ),
    );
}
