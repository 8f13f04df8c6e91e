//! The clients of the runtime.

use std::sync::OnceLock;

use chimaera_abi::{
    chi_clients, CHI_CLIENT_GONE, CHI_CLIENT_THERE, CHI_EXT_CLIENTS, CHI_UNSUPPORTED,
};
use chimaera_task::{Result, Status};

use crate::host::{extension_table, host};

fn clients() -> Result<&'static chi_clients> {
    static CLIENTS: OnceLock<Option<chi_clients>> = OnceLock::new();
    // SAFETY: the extension with this id is a `chi_clients`.
    let clients = CLIENTS.get_or_init(|| unsafe { extension_table(CHI_EXT_CLIENTS) });
    clients.as_ref().ok_or_else(|| {
        let why = "this runtime does not tell which client has sent a task";
        Status::new(CHI_UNSUPPORTED, why)
    })
}

/// A client of the runtime: a session of a process. A client that connects again is another one.
///
/// A module that makes something for a client remembers who that is, and gives it back when the client is
/// gone, however that ended:
///
/// ```
/// use chimaera::module::Client;
///
/// struct Lease {
///     of: Option<Client>,
/// }
///
/// fn make() -> chimaera::Result<Lease> {
///     Ok(Lease { of: Client::sender()? })
/// }
///
/// /// To be called now and then, for example when there is no room.
/// fn is_over(lease: &Lease) -> bool {
///     lease.of.is_some_and(|client| client.is_gone())
/// }
/// # assert_eq!(make().err().unwrap().code(), chimaera::abi::CHI_UNSUPPORTED);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client(u64);

impl Client {
    /// The client that has sent the running task; none if a method or the runtime has. Errors:
    /// `CHI_UNSUPPORTED` in a runtime that does not tell. `[worker]`
    pub fn sender() -> Result<Option<Client>> {
        // SAFETY: the function may be called on any worker, and finds out by itself whether this is one.
        let number = unsafe { (clients()?.sender)(host_pointer()) };
        Ok(Client::from_number(number))
    }

    /// The client with this number; none for 0.
    pub fn from_number(number: u64) -> Option<Client> {
        (number != 0).then_some(Client(number))
    }

    /// Its number, which no other client has, also none of another runtime. It is never 0.
    pub fn number(self) -> u64 {
        self.0
    }

    /// Whether the client's session and all of its tasks have ended. False for a client of another
    /// runtime: it may have connected again. `[worker]`
    pub fn is_gone(self) -> bool {
        self.is(CHI_CLIENT_GONE)
    }

    /// Whether the client's session is open, or some of its tasks have not ended. `[worker]`
    pub fn is_there(self) -> bool {
        self.is(CHI_CLIENT_THERE)
    }

    fn is(self, what: u32) -> bool {
        // SAFETY: the function may be called from any thread.
        clients().is_ok_and(|table| unsafe { (table.is_there)(host_pointer(), self.0) } == what)
    }
}

fn host_pointer() -> *const chimaera_abi::chi_host {
    host().map_or(std::ptr::null(), |host| host)
}
