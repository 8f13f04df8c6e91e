//! Values in a store: redis, and a copy in memory.

use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::Commands;

use crate::measure::{bind, Cores, Peer};
use crate::Result;

/// A copy from one buffer to another.
pub(crate) struct Memcpy(Vec<u8>, Vec<u8>);

impl Memcpy {
    pub(crate) fn new(bytes: usize) -> Memcpy {
        Memcpy(vec![7; bytes], vec![0; bytes])
    }
}

impl Peer for Memcpy {
    fn call(&mut self) -> Result<()> {
        black_box(&mut self.1).copy_from_slice(black_box(&self.0));
        Ok(())
    }
}

/// A server of redis, without persistence.
pub(crate) struct Redis {
    child: Child,
    socket: PathBuf,
}

impl Redis {
    pub(crate) fn start(cores: Cores) -> Result<Redis> {
        let socket = std::env::temp_dir().join(format!("peers-{}.redis", std::process::id()));
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
            .arg(&socket);
        command.stdout(Stdio::null());
        bind(cores.answerer)?;
        let child = command.spawn().map_err(|error| {
            format!("redis-server does not start ({error}): install Debian's redis-server")
        })?;
        bind(cores.caller)?;
        let until = Instant::now() + Duration::from_secs(10);
        while !socket.exists() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Redis { child, socket })
    }

    pub(crate) fn client(&self, bytes: usize, is_put: bool) -> Result<RedisClient> {
        let client = redis::Client::open(format!("unix://{}", self.socket.display()))?;
        let mut connection = client.get_connection()?;
        let value = vec![7; bytes];
        connection.set::<_, _, ()>("key", &value[..])?;
        Ok(RedisClient { connection, value, is_put })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// A client of redis that puts a value, or gets it.
pub(crate) struct RedisClient {
    connection: redis::Connection,
    value: Vec<u8>,
    is_put: bool,
}

impl Peer for RedisClient {
    fn call(&mut self) -> Result<()> {
        if self.is_put {
            return Ok(self.connection.set("key", &self.value[..])?);
        }
        let value: Vec<u8> = self.connection.get("key")?;
        match value.len() == self.value.len() {
            true => Ok(()),
            false => Err("redis has another value".into()),
        }
    }
}
