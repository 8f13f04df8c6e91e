//! The Rust client of `written:press`, a C++ ChiMod: a `cxx` bridge to its C++ client.

use chimaera::{PoolId, Result, Status};

pub use ffi::{Entry, Extent, Turn};

// The bridge's own items; the public interface is below.
#[allow(missing_docs, unreachable_pub)]
#[cxx::bridge(namespace = "written::press::bridge")]
mod ffi {
    #[derive(Clone, Copy, Debug, Default)]
    struct Pool {
        major: u32,
        minor: u32,
    }

    struct Outcome {
        status: i32,
        message: String,
    }

    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    pub struct Extent {
        start: u64,
        blocks: u32,
        reserved: u32,
    }

    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Entry {
        name: String,
        extent: Extent,
        weights: Vec<f32>,
    }

    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Turn {
        text: String,
        words: Vec<String>,
        extents: Vec<Extent>,
        entry: Entry,
        entries: Vec<Entry>,
        total: u64,
    }

    extern "Rust" {
        fn current_ipc() -> usize;
    }

    unsafe extern "C++" {
        include!("bridge.h");

        type PendingTurn;

        fn create(pool_name: &str, pool: &mut Pool) -> Outcome;
        fn start_turn(pool: Pool, turn: &Turn, pending: &mut UniquePtr<PendingTurn>) -> Outcome;
        fn finish_turn(pending: &PendingTurn, turn: &mut Turn) -> Outcome;
        fn fail(pool: Pool, thrown: bool, why: &str) -> Outcome;
        fn relay(
            pool: Pool,
            store: &str,
            text: &str,
            width: u32,
            why: &str,
            answers: &mut Vec<String>,
        ) -> Outcome;
    }
}

/// The address of this thread's table; 0 if it has none.
fn current_ipc() -> usize {
    chimaera::ipc().map_or(0, |ipc| ipc.as_raw() as usize)
}

fn checked(outcome: ffi::Outcome) -> Result<()> {
    match outcome.status {
        0 => Ok(()),
        status => Err(Status::new(status, outcome.message)),
    }
}

/// A call of `kTurn` in flight. Dropping it deletes the task.
pub struct PendingTurn(cxx::UniquePtr<ffi::PendingTurn>);

impl PendingTurn {
    /// Waits for it.
    pub fn wait(self) -> Result<Turn> {
        let mut turn = Turn::default();
        checked(ffi::finish_turn(&self.0, &mut turn))?;
        Ok(turn)
    }
}

/// A pool of the module.
#[derive(Clone, Copy, Debug)]
pub struct Client(ffi::Pool);

impl Client {
    /// Creates the pool, or finds the pool of this name.
    pub fn create(pool_name: &str) -> Result<Client> {
        let mut pool = ffi::Pool::default();
        checked(ffi::create(pool_name, &mut pool))?;
        Ok(Client(pool))
    }

    /// The id of the pool.
    pub fn pool_id(&self) -> PoolId {
        PoolId::new(self.0.major, self.0.minor)
    }

    /// Changes every field.
    pub fn turn(&self, turn: &Turn) -> Result<Turn> {
        self.turn_async(turn)?.wait()
    }

    /// Like [`turn`](Self::turn), but returns without waiting for the result.
    pub fn turn_async(&self, turn: &Turn) -> Result<PendingTurn> {
        let mut pending = cxx::UniquePtr::null();
        checked(ffi::start_turn(self.0, turn, &mut pending))?;
        Ok(PendingTurn(pending))
    }

    /// Fails, with an unexpected exception if `thrown` is set.
    pub fn fail(&self, thrown: bool, why: &str) -> Result<()> {
        checked(ffi::fail(self.0, thrown, why))
    }

    /// Has the Rust module turn `text` in `width` concurrent calls, and then fail with `why` unless
    /// it is empty.
    pub fn relay(&self, store: &str, text: &str, width: u32, why: &str) -> Result<Vec<String>> {
        let mut answers = Vec::new();
        checked(ffi::relay(self.0, store, text, width, why, &mut answers))?;
        Ok(answers)
    }
}
