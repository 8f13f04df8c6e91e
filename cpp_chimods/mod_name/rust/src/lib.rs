//! The Rust client of `example:mod_name`, a C++ ChiMod: a `cxx` bridge to its C++ client.
//!
//! It uses the IPC manager of the crate `chimaera`, so it shares the program's session and also
//! works inside methods of other modules.
//!
//! ```no_run
//! # fn main() -> chimaera::Result<()> {
//! let compressor = example_mod_name_client::Client::create("my_compressor")?;
//! let frame = compressor.compress(b"a text, a text, a text", 0)?;
//! assert_eq!(compressor.decompress(&frame, 1 << 20)?, b"a text, a text, a text");
//! # Ok(())
//! # }
//! ```

use chimaera::archive::params_to_bytes;
use chimaera::{DomainQuery, PoolId, Result, Serialize, Status};

// The bridge's own items; the public interface is below.
#[allow(missing_docs, unreachable_pub)]
#[cxx::bridge(namespace = "example::mod_name::bridge")]
mod ffi {
    #[derive(Clone, Copy)]
    struct Pool {
        major: u32,
        minor: u32,
    }

    #[derive(Clone, Copy)]
    struct Query {
        kind: u32,
        value: u32,
    }

    struct Reply {
        status: i32,
        message: String,
        pool: Pool,
        bytes: UniquePtr<CxxString>,
    }

    extern "Rust" {
        fn current_ipc() -> usize;
    }

    unsafe extern "C++" {
        include!("bridge.h");

        fn create(pool_name: &str) -> Reply;
        fn compress(pool: Pool, query: Query, data: &[u8], level: i32) -> Reply;
        fn decompress(pool: Pool, query: Query, data: &[u8], max_size: u64) -> Reply;
    }
}

/// The address of this thread's table; 0 if it has none.
fn current_ipc() -> usize {
    chimaera::ipc().map_or(0, |ipc| ipc.as_raw() as usize)
}

fn checked(reply: ffi::Reply) -> Result<ffi::Reply> {
    match reply.status {
        0 => Ok(reply),
        status => Err(Status::new(status, reply.message)),
    }
}

fn bytes(reply: &ffi::Reply) -> Vec<u8> {
    reply.bytes.as_ref().map_or_else(Vec::new, |bytes| bytes.as_bytes().to_vec())
}

/// The module's name.
pub const MODULE: &str = "example:mod_name";

/// The parameters of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Params {
    /// The zstd level of tasks that do not set one.
    pub level: i32,
}

impl Default for Params {
    fn default() -> Self {
        Params { level: 3 }
    }
}

/// A pool of the module, and the query that says which of its containers calls go to. It can be
/// copied and sent to other threads. Every function sends one task and waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    pool_id: PoolId,
    query: DomainQuery,
}

impl Client {
    /// Creates the pool, or finds the pool of this name. Errors: `CHI_NO_MODULE`, `CHI_EXISTS`, and
    /// those of the IPC manager.
    pub fn create(pool_name: &str) -> Result<Client> {
        let pool = checked(ffi::create(pool_name))?.pool;
        Ok(Client::from_pool(PoolId::new(pool.major, pool.minor)))
    }

    /// Creates the pool with parameters, or finds the pool of this name and parameters. Errors:
    /// also `CHI_INVALID` for a level that zstd does not have.
    pub fn create_with(pool_name: &str, params: Params) -> Result<Client> {
        let params = params_to_bytes(&params)?;
        chimaera::ipc()?.create_pool(MODULE, pool_name, &params).map(Client::from_pool)
    }

    /// A client for an existing pool with this id.
    pub fn from_pool(pool_id: PoolId) -> Client {
        Client { pool_id, query: DomainQuery::dynamic() }
    }

    /// A client for the same pool whose calls use this query instead of `DomainQuery::dynamic()`.
    #[must_use]
    pub fn with_query(self, query: DomainQuery) -> Client {
        Client { query, ..self }
    }

    /// The id of the pool.
    pub fn pool_id(&self) -> PoolId {
        self.pool_id
    }

    /// Compresses `data` into one zstd frame at `level` (0: the pool's). Error: `CHI_INVALID` for a
    /// level that zstd does not have.
    pub fn compress(&self, data: &[u8], level: i32) -> Result<Vec<u8>> {
        Ok(bytes(&checked(ffi::compress(self.pool(), self.query(), data, level))?))
    }

    /// Decompresses the zstd frames in `data`. Errors: `CHI_INVALID` if it is not zstd or damaged,
    /// `CHI_TOO_LARGE` for more than `max_size` bytes.
    pub fn decompress(&self, data: &[u8], max_size: u64) -> Result<Vec<u8>> {
        Ok(bytes(&checked(ffi::decompress(self.pool(), self.query(), data, max_size))?))
    }

    fn query(&self) -> ffi::Query {
        ffi::Query { kind: self.query.kind(), value: self.query.value() }
    }

    fn pool(&self) -> ffi::Pool {
        ffi::Pool { major: self.pool_id.major(), minor: self.pool_id.minor() }
    }
}
