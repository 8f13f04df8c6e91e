//! Tasks of C++ modules, for Rust clients.

/// `example:mod_name`.
pub mod mod_name {
    use std::cell::Cell;

    use chimaera::ShmBytes;

    /// The module's name.
    pub const MODULE: &str = "example:mod_name";
    /// Method: `CompressTask`.
    pub const COMPRESS: u32 = 10;
    /// Method: `DecompressTask`.
    pub const DECOMPRESS: u32 = 11;

    /// Compresses bytes into one zstd frame.
    #[chimaera::task]
    pub struct CompressTask {
        /// In: the zstd level; 0 means 3.
        pub level: Cell<i32>,
        reserved: u32,
        /// In.
        pub data: ShmBytes,
        /// Out: the frame.
        pub output: ShmBytes,
    }

    /// Decompresses zstd frames.
    #[chimaera::task]
    pub struct DecompressTask {
        /// In: the limit for the decompressed bytes; more are refused.
        pub max_size: Cell<u64>,
        /// In: the frames.
        pub data: ShmBytes,
        /// Out.
        pub output: ShmBytes,
    }
}

/// `test:model`, and `test:rust_model`.
pub use chimaera_test_model_client as model;

/// `test:events`, and `test:rust_events`.
pub use chimaera_test_model_client::events;

/// `test:throws_method`.
pub mod throws {
    use std::cell::Cell;

    use chimaera::ShmBytes;

    /// The module's name.
    pub const MODULE: &str = "test:throws_method";
    /// Method: `PlainTask`; throws `std::runtime_error`.
    pub const THROW: u32 = 10;
    /// Method: `PlainTask`; throws 42.
    pub const THROW_INT: u32 = 11;
    /// Method: `NumberTask`; blocks its worker for this many nanoseconds.
    pub const SLEEP: u32 = 12;
    /// Method: `EchoTask`.
    pub const ECHO: u32 = 13;
    /// Method: `NumberTask`; yields this many times.
    pub const YIELD: u32 = 14;
    /// Method: declared as unsupported.
    pub const UNSUPPORTED: u32 = 15;

    /// A task without fields.
    #[chimaera::task]
    pub struct PlainTask;

    /// A task with a number.
    #[chimaera::task]
    pub struct NumberTask {
        /// In.
        pub value: Cell<u64>,
    }

    /// A task that returns its bytes.
    #[chimaera::task]
    pub struct EchoTask {
        /// In.
        pub data: ShmBytes,
        /// Out: the same bytes.
        pub output: ShmBytes,
    }
}
