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

impl crate::Runtime {
    /// What the module says of its tasks.
    #[doc(hidden)]
    #[allow(dead_code)]
    pub(crate) const __CHIMAERA_DESCRIPTION: Option<&'static std::ffi::CStr> = chimaera::module::__private::description(
        concat!(
            "{\"format\":1",
            ",\"structs\":[",
            "{\"name\":\"Stats\",\"doc\":\"The size of a store, and its counters: with a path, since its file was opened, else since its pool\\nwas created. The numbers are those of the whole pool.\",\"fields\":[{\"name\":\"keys\",\"type\":\"u64\",\"doc\":\"Number of keys.\"},{\"name\":\"bytes\",\"type\":\"u64\",\"doc\":\"Bytes of all keys and values. With a device, the values count as what memory holds of them.\"},{\"name\":\"max_bytes\",\"type\":\"u64\",\"doc\":\"The limit on `bytes`; `UINT64_MAX` for no limit.\"},{\"name\":\"file_bytes\",\"type\":\"u64\",\"doc\":\"Length of the file; 0 without a path. Replaced and deleted values leave free space in it,\\nwhich is used again.\"},{\"name\":\"compacted_bytes\",\"type\":\"u64\",\"doc\":\"By how much the file was shortened since it was opened, and then already.\"},{\"name\":\"commits\",\"type\":\"u64\",\"doc\":\"Transactions. Puts and deletes that arrive together share one.\"},{\"name\":\"syncs\",\"type\":\"u64\",\"doc\":\"Those that were made durable.\"},{\"name\":\"compactions\",\"type\":\"u64\",\"doc\":\"How often the file was compacted.\"},{\"name\":\"lost\",\"type\":\"u64\",\"doc\":\"How often a container lost its keys because one of its methods crashed, and began without any.\\nAlways 0 with a path.\"}]}",
            "]",
            ",\"tasks\":[",
            "{\"method\":\"kPut\",\"doc\":\"Puts a value under a key.\",\"fields\":[{\"name\":\"key\",\"type\":\"string\",\"dir\":\"in\"},{\"name\":\"value\",\"type\":\"bytes\",\"dir\":\"in\"},{\"name\":\"replaced\",\"type\":\"u32\",\"dir\":\"out\",\"doc\":\"1 if it replaced a value.\"},{\"name\":\"reserved\",\"type\":\"u32\",\"dir\":\"skip\"}]}",
            ",{\"method\":\"kGet\",\"doc\":\"Gets the value of a key.\",\"fields\":[{\"name\":\"key\",\"type\":\"string\",\"dir\":\"in\"},{\"name\":\"value\",\"type\":\"bytes\",\"dir\":\"out\"}]}",
            ",{\"method\":\"kDelete\",\"doc\":\"Deletes a key.\",\"fields\":[{\"name\":\"key\",\"type\":\"string\",\"dir\":\"in\"},{\"name\":\"existed\",\"type\":\"u32\",\"dir\":\"out\",\"doc\":\"1 if the key existed.\"},{\"name\":\"reserved\",\"type\":\"u32\",\"dir\":\"skip\"}]}",
            ",{\"method\":\"kScan\",\"doc\":\"Lists keys in order.\",\"fields\":[{\"name\":\"prefix\",\"type\":\"string\",\"dir\":\"in\",\"doc\":\"The prefix of the keys; empty for all keys.\"},{\"name\":\"limit\",\"type\":\"u64\",\"dir\":\"in\",\"doc\":\"Maximum number of keys; 0 for all.\"},{\"name\":\"keys\",\"type\":\"vector<string>\",\"dir\":\"out\",\"doc\":\"The keys, in bytewise order.\"}]}",
            ",{\"method\":\"kCount\",\"doc\":\"Counts keys.\",\"fields\":[{\"name\":\"count\",\"type\":\"u64\",\"dir\":\"out\"}]}",
            ",{\"method\":\"kFlush\",\"doc\":\"Makes what was put and deleted durable.\",\"fields\":[]}",
            ",{\"method\":\"kStats\",\"doc\":\"Gets the size of the store and its counters.\",\"fields\":[{\"name\":\"stats\",\"type\":\"Stats\",\"dir\":\"out\"}]}",
            ",{\"method\":\"kCompact\",\"doc\":\"Shortens the file as far as its contents allow.\",\"fields\":[{\"name\":\"bytes\",\"type\":\"u64\",\"dir\":\"out\",\"doc\":\"By how much it was shortened.\"}]}",
            "]",
            "}",
            "\0",
        ),
    );
}
