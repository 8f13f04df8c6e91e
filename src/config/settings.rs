//! The effective configuration: the file, the environment and the command line, merged.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chimaera_ipc::status_page::MAX_WORKERS;
use chimaera_runtime::{
    Accounts, ClusterConfig, Config, Founding, HostLimits, MemoryLimit, ProcessLimits, UserLimits,
    UserQuota,
};
use chimaera_yaml::{Position, Problem, Problems};

use crate::accounts;
use crate::file::File;
use crate::find::find;
use crate::hosts::{own_address, resolve, Hosts, Job, MetricsAddress};
use crate::keys::{Key, Kind, Preset, KEYS};
use crate::pool::Pool;
use crate::value::{self, Value};

/// How many hosts a node asks to be let into the cluster.
const ASKED: usize = 8;

/// Looks up an environment variable; an empty variable counts as not set.
type Environment<'e> = &'e dyn Fn(&str) -> Option<OsString>;

/// The flags of the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--config`: the file, which must exist.
    pub config: Option<PathBuf>,
    /// `--no-config`: no file at all.
    pub no_config: bool,
    /// `--name`.
    pub name: Option<String>,
    /// `--workers`: 1 to 256.
    pub workers: Option<u16>,
    /// `--spin-us`.
    pub spin: Option<Duration>,
    /// `--log-level`.
    pub log_level: Option<String>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--metrics-listen`.
    pub metrics_listen: Option<String>,
    /// `--hosts`: a file.
    pub hosts: Option<PathBuf>,
    /// `--join`: addresses.
    pub join: Vec<String>,
    /// `--cluster-key`: a file.
    pub cluster_key: Option<PathBuf>,
    /// `--modules`, once for each use of the flag.
    pub module_paths: Vec<PathBuf>,
}

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The default.
    Default,
    /// The file.
    File(PathBuf, Position),
    /// An environment variable.
    Variable(&'static str),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => write!(f, "default"),
            Origin::File(path, at) => write!(f, "{}:{}", path.display(), at.line),
            Origin::Variable(name) | Origin::Flag(name) => write!(f, "{name}"),
        }
    }
}

/// The value of a key, and its origin.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The key.
    pub key: &'static Key,
    /// Its value.
    pub value: Value,
    /// Its origin.
    pub origin: Origin,
}

/// The effective configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The absolute path of the file that was read.
    pub file: Option<PathBuf>,
    /// The keys with one value each, in the order of [`KEYS`].
    pub values: Vec<Setting>,
    /// The directories with modules, in the order in which they are scanned.
    pub module_paths: Vec<(PathBuf, Origin)>,
    /// The pools to create at start, in order. They come only from the file.
    pub pools: Vec<Pool>,
    /// The job of a scheduler that the process belongs to.
    job: Job,
}

impl Settings {
    /// Finds and reads the file, and merges it with the environment and the flags. `environment`
    /// looks up a variable, like [`std::env::var_os`].
    pub fn load(
        flags: &Flags,
        environment: &dyn Fn(&str) -> Option<OsString>,
    ) -> Result<Settings, Problems> {
        let path = match flags.no_config {
            true => None,
            false => find(flags.config.as_deref(), environment),
        };
        let file = path.map(|path| File::read(&path)).transpose()?;
        let mut merge = Merge { said: BTreeMap::new(), problems: Vec::new() };
        if let Some(file) = &file {
            merge.file(file, flags);
        }
        merge.environment(environment);
        merge.flags(flags);
        if !merge.problems.is_empty() {
            return Err(Problems(merge.problems));
        }
        let values = merge.values();
        let module_paths = module_paths(flags, environment, file.as_ref());
        let (file, pools) = file.map_or((None, Vec::new()), |file| (Some(file.path), file.pools));
        Ok(Settings { file, values, module_paths, pools, job: Job::of(environment) })
    }

    fn get(&self, path: &str) -> &Value {
        let setting = self.values.iter().find(|setting| setting.key.path == path);
        &setting.expect("a path of the table").value
    }

    /// Whether a value is not the default.
    fn is_set(&self, path: &str) -> bool {
        let setting = self.values.iter().find(|setting| setting.key.path == path);
        setting.is_some_and(|setting| setting.origin != Origin::Default)
    }

    fn number(&self, path: &str) -> u64 {
        match self.get(path) {
            Value::Number(number) | Value::Size(number) | Value::Percent(number) => *number,
            other => unreachable!("{path} is {other:?}"),
        }
    }

    fn time(&self, path: &str) -> Option<Duration> {
        match self.get(path) {
            Value::Time(time) => *time,
            other => unreachable!("{path} is {other:?}"),
        }
    }

    fn text(&self, path: &str) -> &str {
        match self.get(path) {
            Value::Text(text) => text,
            other => unreachable!("{path} is {other:?}"),
        }
    }

    fn cores(&self, path: &str) -> Vec<usize> {
        match self.get(path) {
            Value::Cores(cores) => cores.clone(),
            other => unreachable!("{path} is {other:?}"),
        }
    }

    fn accounts(&self, path: &str) -> Option<Accounts> {
        match self.get(path) {
            Value::Accounts(names) => Some(accounts::numbers(names)),
            Value::Unset => None,
            other => unreachable!("{path} is {other:?}"),
        }
    }

    /// The instance's name.
    pub fn instance(&self) -> &str {
        self.text("instance")
    }

    /// What to log: `error`, `warn`, `info`, `debug` or `trace`.
    pub fn log_level(&self) -> &str {
        self.text("log.level")
    }

    /// The format of log lines: `text` or `json`.
    pub fn log_format(&self) -> &str {
        self.text("log.format")
    }

    /// The size in bytes before which the log file is rotated.
    pub fn log_max_size(&self) -> u64 {
        self.number("log.max_size")
    }

    /// How many rotated log files are kept.
    pub fn log_keep(&self) -> u32 {
        self.number("log.keep") as u32
    }

    /// The absolute path of the file to log to, when it is not the default.
    pub fn log_file(&self) -> Option<&Path> {
        match self.get("log.file") {
            Value::File(path) => Some(path),
            _ => None,
        }
    }

    fn per_user(&self) -> UserLimits {
        UserLimits {
            sessions: self.number("limits.per_user.sessions") as usize,
            segments: self.number("limits.per_user.segments"),
            pools: self.number("limits.per_user.pools") as u32,
            containers: self.number("limits.per_user.containers") as u32,
            tasks_in_flight: self.number("limits.per_user.tasks_in_flight") as usize,
            worker_time: self.number("limits.per_user.worker_time") as u32,
            ..UserLimits::default()
        }
    }

    fn hosts(&self) -> HostLimits {
        HostLimits {
            kill_after: self.time("module_hosts.kill_after"),
            memory: match self.get("module_hosts.memory_limit") {
                Value::Size(bytes) => Some(*bytes),
                _ => None,
            },
            restarts: self.number("module_hosts.restarts") as u32,
        }
    }

    /// Where metrics are to be served, if anywhere. The error is about the address.
    pub fn metrics(&self) -> Result<Option<MetricsAddress>, String> {
        match self.get("metrics.listen") {
            Value::Text(listen) => {
                let names = match self.get("metrics.names") {
                    Value::Addresses(names) => names.as_slice(),
                    _ => &[],
                };
                MetricsAddress::of(listen, names).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The cluster that the runtime is to be a node of, if any. The error is about an address, or a list of hosts.
    pub fn cluster(&self) -> Result<Option<ClusterConfig>, String> {
        let seeds: Vec<SocketAddr> = match self.get("cluster.seeds") {
            Value::Addresses(seeds) => {
                seeds.iter().map(|seed| resolve(seed)).collect::<Result<_, _>>()?
            }
            _ => Vec::new(),
        };
        let listen = match self.get("cluster.listen") {
            Value::Text(listen) => Some(resolve(listen)?),
            _ => None,
        };
        let key = match self.get("cluster.key") {
            Value::File(path) => Some(path.clone()),
            _ => None,
        };
        let place = match self.get("cluster.hosts") {
            Value::File(path) => Some(Hosts::read(path)?.place(listen)?),
            _ => {
                // Of a job only a cluster that others can reach is one, and only if nothing else says where it is.
                let wants = match listen {
                    Some(listen) => !listen.ip().is_loopback(),
                    None => key.is_some(),
                };
                let hosts = self.job.hosts().filter(|_| seeds.is_empty() && wants);
                hosts.transpose()?.map(|hosts| hosts.place(listen)).transpose()?
            }
        };
        let listen = match (listen, &place, seeds.first()) {
            (Some(listen), ..) => listen,
            (_, Some(place), _) => place.listen,
            (_, _, Some(seed)) => SocketAddr::new(own_address(*seed)?, 0),
            (None, None, None) => return Ok(None),
        };
        let file = |path| match self.get(path) {
            Value::File(path) => Some(path.clone()),
            _ => None,
        };
        let directory = match file("cluster.directory") {
            Some(path) => path,
            None => {
                let state = file("state_dir");
                let config = Config { state_directory: state, ..Config::default() };
                let own = place.as_ref().map_or("cluster".to_owned(), |place| place.directory());
                config.state_directory(self.instance())?.join(own)
            }
        };
        let name = match self.get("cluster.node") {
            Value::Text(name) => name.clone(),
            // Instances of one configuration have one name.
            _ => place.as_ref().map_or(self.instance(), |place| &place.name).to_owned(),
        };
        // The nodes of an earlier job may have kept their logs.
        let job = place.as_ref().and_then(|place| place.job.as_ref());
        let cluster = match (self.text("cluster.name"), job) {
            (cluster, Some(job)) if !self.is_set("cluster.name") => format!("{cluster}-{job}"),
            (cluster, _) => cluster.to_owned(),
        };
        let founding = match &place {
            None if seeds.is_empty() => Founding::AtOnce,
            None => Founding::Never,
            Some(place) if place.hosts == 1 => Founding::AtOnce,
            Some(place) if place.is_first => Founding::IfNoneOf(place.hosts),
            Some(_) => Founding::ByFirst,
        };
        let seeds = match place {
            None => seeds,
            // Any of them tells of the others; the one that founds the cluster has to ask all.
            Some(place) if place.is_first => place.others,
            Some(place) => place.others.into_iter().take(ASKED).collect(),
        };
        Ok(Some(ClusterConfig { cluster, name, listen, seeds, founding, key, directory }))
    }

    fn quotas(&self) -> Vec<UserQuota> {
        let Value::Quotas(quotas) = self.get("limits.users") else { return Vec::new() };
        let others = self.per_user();
        (0..).zip(quotas).map(|(index, quota)| quota.runtime(index, &others)).collect()
    }

    /// The configuration to start a runtime with.
    pub fn runtime(&self) -> Config {
        let high = self.number("workers.high_latency.count") as usize;
        let workers = self.number("workers.low_latency.count") as usize + high;
        Config {
            instance: Some(self.instance().to_owned()),
            workers,
            high_latency_workers: high,
            standby_workers: (self.number("workers.standby") as usize).min(MAX_WORKERS - workers),
            max_blocked_workers: self.number("workers.per_session") as usize,
            cores: self.cores("workers.low_latency.cores"),
            high_latency_cores: self.cores("workers.high_latency.cores"),
            module_paths: self.module_paths.iter().map(|(path, _)| path.clone()).collect(),
            spin: self.time("spin").expect("it is never `never`"),
            stack_size: self.number("stack_size") as usize,
            memory: match self.get("limits.memory") {
                Value::Size(bytes) => MemoryLimit::Bytes(*bytes),
                Value::Percent(share) => MemoryLimit::Percent(*share),
                _ => MemoryLimit::Auto,
            },
            max_suspended: self.number("limits.suspended_tasks") as usize,
            max_in_flight: self.number("limits.tasks_in_flight") as usize,
            default_segment: self.number("segment.default"),
            max_segment: self.number("segment.max"),
            runtime_share: self.number("segment.runtime_share"),
            max_sessions: self.number("limits.sessions") as usize,
            may_connect: self.accounts("access.connect").unwrap_or_default(),
            may_create: self.accounts("access.create"),
            max_pools: self.number("limits.pools") as u32,
            max_containers: self.number("limits.containers") as u32,
            per_user: self.per_user(),
            quotas: self.quotas(),
            per_process: ProcessLimits {
                sessions: self.number("limits.per_process.sessions") as usize,
                segments: self.number("limits.per_process.segments"),
                pools: self.number("limits.per_process.pools") as u32,
                containers: self.number("limits.per_process.containers") as u32,
                tasks_in_flight: self.number("limits.per_process.tasks_in_flight") as usize,
                worker_time: self.number("limits.per_process.worker_time") as u32,
            },
            max_rings: self.number("limits.rings"),
            long_task_warning: self.time("long_task_warning"),
            stop_grace: self.time("stop_grace").expect("it is never `never`"),
            state_directory: match self.get("state_dir") {
                Value::File(path) => Some(path.clone()),
                _ => None,
            },
            pools: self.pools.iter().map(|pool| pool.runtime(&self.hosts())).collect(),
            isolated_modules: match self.get("module_hosts.modules") {
                Value::Modules(names) => names.clone(),
                _ => Vec::new(),
            },
            hosts: self.hosts(),
            ..Config::default()
        }
    }
}

/// The values of keys so far; later values override earlier ones.
struct Merge {
    said: BTreeMap<&'static str, (Value, Origin)>,
    problems: Vec<Problem>,
}

impl Merge {
    fn file(&mut self, file: &File, flags: &Flags) {
        for (path, (value, at)) in &file.values {
            // The flag says how many workers there are, and of which kind.
            let of_group = path.starts_with("workers.low") || path.starts_with("workers.high");
            if !(of_group && flags.workers.is_some()) {
                let origin = Origin::File(file.path.clone(), *at);
                self.said.insert(path, (value.clone(), origin));
            }
        }
    }

    fn environment(&mut self, environment: Environment<'_>) {
        for key in KEYS.iter().filter(|key| key.kind != Kind::Directories) {
            for name in key.variables {
                let found = environment(name).map(|value| value.to_string_lossy().into_owned());
                if let Some(text) = found {
                    self.text(key, &text, name, Origin::Variable(name));
                }
            }
        }
    }

    fn flags(&mut self, flags: &Flags) {
        let workers = flags.workers.map(|workers| Value::Number(workers.into()));
        let spin = flags.spin.map(|spin| Value::Time(Some(spin)));
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| Value::File(absolute(path)));
        let (key_file, hosts) = (file(&flags.cluster_key), file(&flags.hosts));
        let join = (!flags.join.is_empty()).then(|| Value::Addresses(flags.join.clone()));
        for key in KEYS {
            let Some(flag) = key.flag else { continue };
            let text = match flag {
                "--name" => &flags.name,
                "--log-level" => &flags.log_level,
                "--listen" => &flags.listen,
                "--metrics-listen" => &flags.metrics_listen,
                _ => &None,
            };
            if let Some(text) = text {
                self.text(key, text, flag, Origin::Flag(flag));
            }
            let value = match flag {
                "--workers" => &workers,
                "--spin-us" => &spin,
                "--join" => &join,
                "--cluster-key" => &key_file,
                "--hosts" => &hosts,
                _ => &None,
            };
            if let Some(value) = value {
                self.said.insert(key.path, (value.clone(), Origin::Flag(flag)));
            }
        }
    }

    fn text(&mut self, key: &'static Key, text: &str, whose: &str, origin: Origin) {
        match value::scalar(key.kind, text) {
            Ok(value) => {
                self.said.insert(key.path, (value, origin));
            }
            Err((message, help)) => {
                self.problems.push(Problem { file: whose.into(), position: None, message, help })
            }
        }
    }

    /// The number of workers of a group: its count, or the default when none is set.
    fn count(&self, group: &str, otherwise: usize) -> (Value, Origin) {
        if let Some(said) = self.said.get(&*format!("{group}.count")) {
            return said.clone();
        }
        match self.said.get(&*format!("{group}.cores")) {
            Some((Value::Cores(cores), origin)) if !cores.is_empty() => {
                (Value::Number(cores.len() as u64), origin.clone())
            }
            _ => (Value::Number(otherwise as u64), Origin::Default),
        }
    }

    /// Lowers the default segment size to the configured maximum, if that is smaller.
    fn default_segment(&mut self) {
        let key = KEYS.iter().find(|key| key.path == "segment.default").map(preset);
        if let (Some(Value::Size(preset)), Some((Value::Size(most), origin))) =
            (key, self.said.get("segment.max"))
        {
            if *most < preset && !self.said.contains_key("segment.default") {
                let said = (Value::Size(*most), origin.clone());
                self.said.insert("segment.default", said);
            }
        }
    }

    /// Raises a default for the segments of several sessions to the size that one may have.
    fn default_segments(&mut self, path: &'static str) {
        let key = KEYS.iter().find(|key| key.path == path).map(preset);
        if let (Some(Value::Size(preset)), Some((Value::Size(most), origin))) =
            (key, self.said.get("segment.max"))
        {
            if *most > preset && !self.said.contains_key(path) {
                let said = (Value::Size(*most), origin.clone());
                self.said.insert(path, said);
            }
        }
    }

    fn values(mut self) -> Vec<Setting> {
        self.default_segment();
        self.default_segments("limits.per_process.segments");
        self.default_segments("limits.per_user.segments");
        let high = self.count("workers.high_latency", 0);
        let Value::Number(n) = high.0 else { unreachable!("a count is a number") };
        let rest = Config::default().workers.saturating_sub(n as usize).max(1);
        let low = self.count("workers.low_latency", rest);
        let Value::Number(all) = low.0 else { unreachable!("a count is a number") };
        let all = (Value::Number((all + n + 1).min(MAX_WORKERS as u64)), Origin::Default);
        let sessions = KEYS.iter().find(|key| key.path == "limits.sessions").map(preset);
        let sessions = self.said.get("limits.sessions").map(|said| said.0.clone()).or(sessions);
        let sessions = (sessions.expect("it is in the table"), Origin::Default);
        let single = |kind| !matches!(kind, Kind::Directories | Kind::Pools);
        let setting = |key: &'static Key| {
            let said = match key.path {
                "workers.low_latency.count" => Some(&low),
                "workers.high_latency.count" => Some(&high),
                "workers.per_session" => Some(self.said.get("workers.per_session").unwrap_or(&all)),
                "limits.per_user.sessions" => {
                    Some(self.said.get("limits.per_user.sessions").unwrap_or(&sessions))
                }
                path => self.said.get(path),
            };
            let (value, origin) = match said {
                Some(said) => said.clone(),
                None => (preset(key), Origin::Default),
            };
            Setting { key, value, origin }
        };
        KEYS.iter().filter(|key| single(key.kind)).map(setting).collect()
    }
}

/// The default value of a key.
pub(crate) fn preset(key: &Key) -> Value {
    match (key.preset, key.kind) {
        (Preset::Value(_), Kind::Accounts) => Value::Accounts(Vec::new()),
        (Preset::Value(_), Kind::Modules) => Value::Modules(Vec::new()),
        (Preset::Value(_), Kind::Addresses) => Value::Addresses(Vec::new()),
        (Preset::Value(_), Kind::Quotas) => Value::Quotas(Vec::new()),
        (Preset::Depends { .. }, Kind::Cores) => Value::Cores(Vec::new()),
        (Preset::Depends { .. }, _) => Value::Unset,
        (Preset::Value(text), Kind::Number { .. }) => {
            Value::Number(text.parse().expect("the table is right"))
        }
        (Preset::Value(text), kind) => value::scalar(kind, text).expect("the table is right"),
    }
}

/// The directories with modules: those of the flags, of the environment, of the file, and the one
/// that belongs to the program.
fn module_paths(
    flags: &Flags,
    environment: Environment<'_>,
    file: Option<&File>,
) -> Vec<(PathBuf, Origin)> {
    let key = KEYS.iter().find(|key| key.kind == Kind::Directories).expect("it is in the table");
    let flag = key.flag.expect("it has one");
    let mut paths: Vec<(PathBuf, Origin)> =
        flags.module_paths.iter().map(|path| (path.clone(), Origin::Flag(flag))).collect();
    for name in key.variables {
        let value = environment(name).unwrap_or_default();
        let found = std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty());
        paths.extend(found.map(|path| (path, Origin::Variable(name))));
    }
    if let Some(file) = file {
        let origin = |at: Position| Origin::File(file.path.clone(), at);
        paths.extend(file.module_paths.iter().map(|(path, at)| (path.clone(), origin(*at))));
    }
    paths.extend(Config::installed_modules().map(|path| (path, Origin::Default)));
    // Each directory is scanned once, whatever path leads to it.
    let mut seen = HashSet::new();
    paths.retain(|(path, _)| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    paths
}
