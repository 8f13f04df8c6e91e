//! Chimaera, as an application in Rust uses it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chimaera::client::{self, Options};
use chimaera::{Buffer, DomainQuery, PoolId};
use chimaera_empty_client::{EmptyTask, Method};
use chimaera_kv_client::{Client, Params};

use crate::measure::{bind, Cores, Peer};
use crate::Result;

/// How long a runtime may take to be ready.
const READY_BOUND: Duration = Duration::from_secs(10);

/// A runtime with one worker.
pub(crate) struct Daemon {
    child: Child,
    name: String,
}

impl Daemon {
    pub(crate) fn start(program: &Path, modules: &Path, cores: Cores) -> Result<Daemon> {
        let name = format!("peers-{}", std::process::id());
        let mut command = Command::new(program);
        command.args(["--name", &name, "start", "--no-config", "--workers", "1"]);
        let beside = program.parent().unwrap_or(Path::new("."));
        let path = std::env::join_paths([modules, beside])?;
        command.env("CHI_REPO_PATH", path).env("CHI_LOG", "error");
        command.stdout(Stdio::null()).stdin(Stdio::null());
        bind(cores.answerer)?;
        let child = command
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", program.display()));
        bind(cores.caller)?;
        Ok(Daemon { child: child?, name })
    }

    pub(crate) fn connect(&self) -> Result<()> {
        let options = Options {
            instance: Some(self.name.clone()),
            connect_timeout: READY_BOUND,
            ..Options::default()
        };
        Ok(client::init(options)?)
    }

    /// Empty tasks for a pool of this module.
    pub(crate) fn empty(&self, module: &str) -> Result<Empty> {
        Ok(Empty(chimaera::ipc()?.create_pool(module, module, &[])?))
    }

    /// Puts a value of a store, or gets it.
    pub(crate) fn store(&self, bytes: usize, access: Access) -> Result<Store> {
        let store = Client::create("store", Params::default())?;
        let value = vec![7; bytes];
        store.put("key", &value)?;
        let buffer = chimaera::ipc()?.alloc(bytes)?;
        buffer.write_at(0, &value)?;
        Ok(Store { store, value, buffer, access })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        client::shutdown();
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An empty task, made for each call and deleted after it.
pub(crate) struct Empty(PoolId);

impl Peer for Empty {
    fn call(&mut self) -> Result<()> {
        let task = chimaera::ipc()?.new_task::<EmptyTask>(
            self.0,
            DomainQuery::dynamic(),
            Method::EMPTY,
        )?;
        task.call()?;
        Ok(())
    }
}

/// What a client does with a value of a store.
pub(crate) enum Access {
    /// From memory of its own.
    Put,
    /// From shared memory.
    PutBuffer,
    /// Into memory of its own.
    Get,
    /// To read it where it is.
    Lease,
}

/// A value of a store in memory.
pub(crate) struct Store {
    store: Client,
    value: Vec<u8>,
    buffer: Buffer,
    access: Access,
}

impl Peer for Store {
    fn call(&mut self) -> Result<()> {
        let found = match self.access {
            Access::PutBuffer => {
                self.store.put_buffer("key", &self.buffer)?;
                return Ok(());
            }
            Access::Put => {
                self.store.put("key", &self.value)?;
                return Ok(());
            }
            Access::Get => self.store.get("key")?.len(),
            Access::Lease => self.store.get_lease("key")?.len(),
        };
        match found == self.value.len() {
            true => Ok(()),
            false => Err("the store has another value".into()),
        }
    }
}
