//! What a daemon tells a module host to run: a JSON document in a memfd.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chimaera_abi::chi_pool_id;
use serde_json::{json, Value};

use super::isolation::HostLimits;

/// Why a pool is made anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// `CHI_REASON_*`.
    pub(crate) reason: u32,
    /// The reason, in words.
    pub(crate) text: String,
}

/// What a module host runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostOrders {
    pub(crate) instance: String,
    pub(crate) pool: chi_pool_id,
    pub(crate) name: String,
    pub(crate) module: String,
    /// The module's file.
    pub(crate) file: PathBuf,
    pub(crate) containers: u32,
    pub(crate) params: Vec<u8>,
    pub(crate) limits: HostLimits,
    /// The directory for the files of its containers, if the pool is durable.
    pub(crate) files: Option<PathBuf>,
    /// Where it leaves its last words.
    pub(crate) crash: PathBuf,
    /// Why the containers are made anew, if they are.
    pub(crate) begins: Option<Beginning>,
    /// How the log is written.
    pub(crate) log_level: String,
    pub(crate) log_json: bool,
    pub(crate) workers: usize,
    pub(crate) high_latency_workers: usize,
    pub(crate) standby_workers: usize,
    pub(crate) module_paths: Vec<PathBuf>,
    pub(crate) spin: Duration,
    pub(crate) stack_size: usize,
    pub(crate) max_suspended: usize,
    pub(crate) memory: u64,
    pub(crate) long_task_warning: Option<Duration>,
    pub(crate) stop_grace: Duration,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect();
    Some(digits?.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).unwrap_or(&0)).collect())
}

fn path(path: &Path) -> Value {
    hex(path.as_os_str().as_bytes()).into()
}

fn path_in(value: &Value) -> Option<PathBuf> {
    Some(OsString::from_vec(unhex(value.as_str()?)?).into())
}

fn time(time: Option<Duration>) -> Value {
    time.map(|time| time.as_nanos() as u64).into()
}

fn time_in(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_nanos)
}

impl HostOrders {
    /// The document.
    pub(crate) fn encode(&self) -> String {
        let paths: Vec<Value> = self.module_paths.iter().map(|it| path(it)).collect();
        json!({
            "instance": self.instance,
            "pool": [self.pool.major_, self.pool.minor_],
            "name": self.name,
            "module": self.module,
            "file": path(&self.file),
            "containers": self.containers,
            "params": hex(&self.params),
            "kill_after": time(self.limits.kill_after),
            "memory_limit": self.limits.memory,
            "restarts": self.limits.restarts,
            "files": self.files.as_deref().map(path),
            "crash": path(&self.crash),
            "begins": self.begins.as_ref().map(|begins| json!([begins.reason, begins.text])),
            "log_level": self.log_level,
            "log_json": self.log_json,
            "workers": self.workers,
            "high_latency_workers": self.high_latency_workers,
            "standby_workers": self.standby_workers,
            "module_paths": paths,
            "spin": time(Some(self.spin)),
            "stack_size": self.stack_size,
            "max_suspended": self.max_suspended,
            "memory": self.memory,
            "long_task_warning": time(self.long_task_warning),
            "stop_grace": time(Some(self.stop_grace)),
        })
        .to_string()
    }

    /// Reads the document. `None` if it is not one that this version writes.
    pub(crate) fn decode(text: &str) -> Option<HostOrders> {
        let all: Value = serde_json::from_str(text).ok()?;
        let number = |key: &str| all[key].as_u64();
        let count = |key: &str| usize::try_from(number(key)?).ok();
        let string = |key: &str| Some(all[key].as_str()?.to_owned());
        let small = |value: &Value| u32::try_from(value.as_u64()?).ok();
        let paths = all["module_paths"].as_array()?.iter().map(path_in).collect::<Option<_>>()?;
        let begins = match &all["begins"] {
            Value::Null => None,
            begins => {
                Some(Beginning { reason: small(&begins[0])?, text: begins[1].as_str()?.to_owned() })
            }
        };
        Some(HostOrders {
            instance: string("instance")?,
            pool: chi_pool_id { major_: small(&all["pool"][0])?, minor_: small(&all["pool"][1])? },
            name: string("name")?,
            module: string("module")?,
            file: path_in(&all["file"])?,
            containers: small(&all["containers"])?,
            params: unhex(all["params"].as_str()?)?,
            limits: HostLimits {
                kill_after: time_in(&all["kill_after"]),
                memory: number("memory_limit"),
                restarts: small(&all["restarts"])?,
            },
            files: match &all["files"] {
                Value::Null => None,
                files => Some(path_in(files)?),
            },
            crash: path_in(&all["crash"])?,
            begins,
            log_level: string("log_level")?,
            log_json: all["log_json"].as_bool()?,
            workers: count("workers")?,
            high_latency_workers: count("high_latency_workers")?,
            standby_workers: count("standby_workers")?,
            module_paths: paths,
            spin: time_in(&all["spin"])?,
            stack_size: count("stack_size")?,
            max_suspended: count("max_suspended")?,
            memory: number("memory")?,
            long_task_warning: time_in(&all["long_task_warning"]),
            stop_grace: time_in(&all["stop_grace"])?,
        })
    }

    /// The level of the log: `error`, `warn`, `info`, `debug` or `trace`.
    pub fn log_level(&self) -> &str {
        &self.log_level
    }

    /// Whether each line of the log is a JSON object.
    pub fn log_is_json(&self) -> bool {
        self.log_json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_arrive_as_they_were_given() {
        let orders = HostOrders {
            instance: "one".into(),
            pool: chi_pool_id { major_: 7, minor_: u32::MAX },
            name: "grün".into(),
            module: "a:b".into(),
            file: OsString::from_vec(vec![b'/', 0xff, b'x']).into(),
            containers: 3,
            params: vec![0, 1, 254, 255],
            limits: HostLimits {
                kill_after: Some(Duration::from_millis(1500)),
                memory: Some(1 << 33),
                restarts: 4,
            },
            crash: "/run/x.crash".into(),
            files: Some(PathBuf::from("/state/1.2/files")),
            begins: Some(Beginning { reason: 3, text: "it crashed".into() }),
            log_level: "debug".into(),
            log_json: true,
            workers: 2,
            high_latency_workers: 1,
            standby_workers: 4,
            module_paths: vec!["/a".into(), "/b c".into()],
            spin: Duration::from_micros(50),
            stack_size: 1 << 18,
            max_suspended: 1000,
            memory: 1 << 30,
            long_task_warning: None,
            stop_grace: Duration::from_secs(10),
        };
        assert_eq!(HostOrders::decode(&orders.encode()), Some(orders.clone()));
        let plain = HostOrders { begins: None, ..orders };
        assert_eq!(HostOrders::decode(&plain.encode()), Some(plain));
        assert_eq!(HostOrders::decode("{}"), None);
    }
}
