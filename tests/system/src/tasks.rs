//! Tasks of modules in C++, for clients in Rust.

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

    /// Makes one zstd frame of bytes.
    #[chimaera::task]
    pub struct CompressTask {
        /// In: zstd's level; 0 means 3.
        pub level: Cell<i32>,
        reserved: u32,
        /// In.
        pub data: ShmBytes,
        /// Out: the frame.
        pub output: ShmBytes,
    }

    /// The bytes of zstd frames.
    #[chimaera::task]
    pub struct DecompressTask {
        /// In: refuse to inflate beyond so many bytes.
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
    /// Method: `NumberTask`; blocks its worker for so many nanoseconds.
    pub const SLEEP: u32 = 12;
    /// Method: `EchoTask`.
    pub const ECHO: u32 = 13;
    /// Method: `NumberTask`; yields so many times.
    pub const YIELD: u32 = 14;
    /// Method: is declared as unsupported.
    pub const UNSUPPORTED: u32 = 15;

    /// A task of a method that takes nothing.
    #[chimaera::task]
    pub struct PlainTask;

    /// A task of a method that takes a number.
    #[chimaera::task]
    pub struct NumberTask {
        /// In.
        pub value: Cell<u64>,
    }

    /// A task that gets its bytes back.
    #[chimaera::task]
    pub struct EchoTask {
        /// In.
        pub data: ShmBytes,
        /// Out: the same bytes.
        pub output: ShmBytes,
    }
}
