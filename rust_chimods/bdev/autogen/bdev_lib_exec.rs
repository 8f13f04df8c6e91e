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

impl crate::Runtime {
    /// What the module says of its tasks.
    #[doc(hidden)]
    #[allow(dead_code)]
    pub(crate) const __CHIMAERA_DESCRIPTION: Option<&'static std::ffi::CStr> = chimaera::module::__private::description(
        concat!(
            "{\"format\":1",
            ",\"structs\":[",
            "{\"name\":\"Extent\",\"doc\":\"A contiguous range of blocks.\",\"fields\":[{\"name\":\"block\",\"type\":\"u64\",\"doc\":\"The first block.\"},{\"name\":\"count\",\"type\":\"u64\",\"doc\":\"Number of blocks, at least one.\"}]}",
            ",{\"name\":\"Stats\",\"doc\":\"The properties of a device, and its counters since its pool was created.\",\"fields\":[{\"name\":\"block_size\",\"type\":\"u64\",\"doc\":\"Block size in bytes.\"},{\"name\":\"blocks\",\"type\":\"u64\",\"doc\":\"Number of blocks.\"},{\"name\":\"free_blocks\",\"type\":\"u64\",\"doc\":\"Number of blocks that are not allocated.\"},{\"name\":\"engine\",\"type\":\"u64\",\"doc\":\"How blocks are transferred, an `Engine`.\"},{\"name\":\"reads\",\"type\":\"u64\",\"doc\":\"Reads that succeeded.\"},{\"name\":\"writes\",\"type\":\"u64\",\"doc\":\"Writes that succeeded.\"},{\"name\":\"flushes\",\"type\":\"u64\",\"doc\":\"Flushes that succeeded.\"},{\"name\":\"read_bytes\",\"type\":\"u64\",\"doc\":\"Bytes of successful reads.\"},{\"name\":\"written_bytes\",\"type\":\"u64\",\"doc\":\"Bytes of successful writes.\"},{\"name\":\"errors\",\"type\":\"u64\",\"doc\":\"Reads, writes and flushes that failed in the operating system.\"}]}",
            "]",
            ",\"tasks\":[",
            "{\"method\":\"kAllocate\",\"doc\":\"Allocates blocks.\",\"fields\":[{\"name\":\"count\",\"type\":\"u64\",\"dir\":\"in\",\"doc\":\"Number of blocks.\"},{\"name\":\"owner\",\"type\":\"u64\",\"dir\":\"in\",\"doc\":\"Who owns the blocks. 0 means nobody: they stay allocated until they are freed. Those of\\nan owner are free again when the owner is released, and when the device is opened again.\"},{\"name\":\"extents\",\"type\":\"vector<Extent>\",\"dir\":\"out\",\"doc\":\"The blocks, in as few extents as possible.\"}]}",
            ",{\"method\":\"kFree\",\"doc\":\"Frees blocks.\",\"fields\":[{\"name\":\"extents\",\"type\":\"vector<Extent>\",\"dir\":\"in\"}]}",
            ",{\"method\":\"kRead\",\"doc\":\"Reads blocks.\",\"fields\":[{\"name\":\"block\",\"type\":\"u64\",\"dir\":\"in\",\"doc\":\"The first block.\"},{\"name\":\"count\",\"type\":\"u64\",\"dir\":\"in\",\"doc\":\"Number of blocks.\"},{\"name\":\"data\",\"type\":\"bytes\",\"dir\":\"out\",\"doc\":\"Their bytes. If the field already points to enough space, such as a buffer that the\\ncaller attached, they are written there.\"}]}",
            ",{\"method\":\"kWrite\",\"doc\":\"Writes blocks.\",\"fields\":[{\"name\":\"block\",\"type\":\"u64\",\"dir\":\"in\",\"doc\":\"The first block.\"},{\"name\":\"data\",\"type\":\"bytes\",\"dir\":\"in\",\"doc\":\"Whole blocks.\"}]}",
            ",{\"method\":\"kFlush\",\"doc\":\"Makes completed writes, allocations and releases durable.\",\"fields\":[]}",
            ",{\"method\":\"kStats\",\"doc\":\"Gets the device's properties and counters.\",\"fields\":[{\"name\":\"stats\",\"type\":\"Stats\",\"dir\":\"out\"}]}",
            ",{\"method\":\"kGrow\",\"doc\":\"Adds blocks to a device in a file.\",\"fields\":[{\"name\":\"blocks\",\"type\":\"u64\",\"dir\":\"in\",\"doc\":\"The number of blocks that the device shall have; 0 means as many as its file has room\\nfor.\"},{\"name\":\"total\",\"type\":\"u64\",\"dir\":\"out\",\"doc\":\"The number of blocks that it has now.\"}]}",
            ",{\"method\":\"kRelease\",\"doc\":\"Frees the blocks of an owner.\",\"fields\":[{\"name\":\"owner\",\"type\":\"u64\",\"dir\":\"in\",\"doc\":\"The owner, which is not 0.\"},{\"name\":\"blocks\",\"type\":\"u64\",\"dir\":\"out\",\"doc\":\"The number of blocks that were freed.\"}]}",
            "]",
            "}",
            "\0",
        ),
    );
}
