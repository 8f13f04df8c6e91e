//! All keys of the file: their meaning, their valid values and their defaults.

use chimaera_ipc::layout::{MAX_SEGMENT, MIN_SEGMENT, MOST_RINGS, SHARES};
use chimaera_ipc::status_page::MAX_WORKERS;

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// Bytes: a whole number with a unit.
    Size {
        /// The smallest, in bytes.
        least: u64,
        /// The largest, in bytes.
        most: u64,
    },
    /// A time: a whole number with a unit.
    Time {
        /// The shortest, in nanoseconds.
        least: u64,
        /// The longest, in nanoseconds.
        most: u64,
        /// Or the word `never`.
        never: bool,
    },
    /// A whole percentage.
    Percent {
        /// The smallest.
        least: u64,
        /// The largest.
        most: u64,
    },
    /// An amount of memory: bytes, a whole percentage of what there is, or the word `auto`.
    Memory {
        /// The smallest, in bytes.
        least: u64,
        /// The largest, in bytes.
        most: u64,
    },
    /// The name of an instance.
    Name,
    /// A log level.
    Level,
    /// The form of the log's lines.
    Format,
    /// A file.
    File,
    /// A list of directories.
    Directories,
    /// A list of users and groups, `[alice, group:staff]`.
    Accounts,
    /// A list of modules, `[repo:module]`.
    Modules,
    /// A list of limits for users and groups.
    Quotas,
    /// Where a machine can be reached, `HOST[:PORT]`.
    Address,
    /// A list of such.
    Addresses,
    /// A list of cores, `[0, 2-3]`.
    Cores,
    /// A list of pools.
    Pools,
}

/// The default of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// This value, as it would be written in the file.
    Value(&'static str),
    /// A value that depends on other things.
    Depends {
        /// A description of the default, in words.
        how: &'static str,
        /// An example of a value, as it would be written in the file.
        example: &'static str,
    },
}

/// A key of the file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path: the words that lead to it, separated by dots.
    pub path: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// Its default.
    pub preset: Preset,
    /// The environment variables that set it.
    pub variables: &'static [&'static str],
    /// The flag of `chimaera start` that sets it.
    pub flag: Option<&'static str>,
    /// Its documentation, in sentences.
    pub doc: &'static str,
}

/// The log levels. Each includes those before it.
pub(crate) const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
/// Those of single targets.
pub(crate) const TARGET_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The formats of the log.
pub(crate) const FORMATS: [&str; 2] = ["text", "json"];

const fn key(path: &'static str, kind: Kind, preset: Preset, doc: &'static str) -> Key {
    Key { path, kind, preset, variables: &[], flag: None, doc }
}

/// The values of `kill_after`, of the section and of pools.
pub(crate) const KILL_AFTER: Kind =
    Kind::Time { least: 10_000_000, most: 86_400_000_000_000, never: true };
/// The values of `memory_limit`.
pub(crate) const MEMORY_LIMIT: Kind = Kind::Size { least: 64 << 20, most: 1 << 50 };
/// The values of `restarts`.
pub(crate) const RESTARTS: Kind = Kind::Number { least: 0, most: 1000 };

/// Every key, in the order of the documentation.
pub const KEYS: &[Key] = &[
    Key {
        variables: &["CHI_INSTANCE"],
        flag: Some("--name"),
        ..key(
            "instance",
            Kind::Name,
            Preset::Value("default"),
            "The name of the instance. Clients, and commands other than `start` and `compose`, \
             do not read this file: they need the same name in CHI_INSTANCE or `--name`.",
        )
    },
    Key {
        flag: Some("--workers"),
        ..key(
            "workers.low_latency.count",
            Kind::Number { least: 1, most: MAX_WORKERS as u64 },
            Preset::Depends {
                how: "as many as its `cores`; otherwise the cores that the process may use, less \
                      one, less the workers of the other group, and at least 1",
                example: "3",
            },
            "Number of workers for tasks of low latency, and for all tasks if there is no other \
             group. `workers: 3` is short for this. Both groups together have at most 256 workers. \
             The flag overrides everything that the file says about workers.",
        )
    },
    key(
        "workers.low_latency.cores",
        Kind::Cores,
        Preset::Depends { how: "none: the operating system chooses", example: "[0, 2-3]" },
        "The cores to pin this group's workers to, one core each, in turn.",
    ),
    key(
        "workers.high_latency.count",
        Kind::Number { least: 0, most: MAX_WORKERS as u64 - 1 },
        Preset::Depends {
            how: "as many as its `cores`; otherwise 0: there is one group",
            example: "1",
        },
        "Number of workers for tasks of high latency.",
    ),
    key(
        "workers.high_latency.cores",
        Kind::Cores,
        Preset::Depends { how: "none: the operating system chooses", example: "[4-5]" },
        "The cores to pin this group's workers to, one core each, in turn.",
    ),
    key(
        "workers.standby",
        Kind::Number { least: 0, most: MAX_WORKERS as u64 - 1 },
        Preset::Value("4"),
        "Maximum number of stand-by workers. One is started when methods have blocked all workers of a \
         group for 10 ms, or those for high latency for a second; it takes over what waits for them, \
         and rests when it is no longer needed. \
         With the workers of both groups at most 256.",
    ),
    key(
        "workers.per_session",
        Kind::Number { least: 1, most: MAX_WORKERS as u64 },
        Preset::Depends {
            how: "one more than there are workers in both groups",
            example: "2",
        },
        "Maximum number of workers, stand-by workers included, that the tasks of one client may block \
         at a time. Stand-by workers start no more of its tasks then.",
    ),
    Key {
        flag: Some("--spin-us"),
        ..key(
            "spin",
            Kind::Time { least: 0, most: 1_000_000_000, never: false },
            Preset::Value("50us"),
            "How long an idle worker looks for work before it sleeps. A longer time saves the next \
             task a wake-up and costs CPU time.",
        )
    },
    key(
        "stack_size",
        Kind::Size { least: 64 << 10, most: 64 << 20 },
        Preset::Value("256KiB"),
        "Stack size of a task. Only touched pages take memory.",
    ),
    key(
        "long_task_warning",
        Kind::Time { least: 1_000_000, most: 3_600_000_000_000, never: true },
        Preset::Value("100ms"),
        "A task that runs for longer than this without yielding its worker is reported in the log.",
    ),
    key(
        "stop_grace",
        Kind::Time { least: 100_000_000, most: 3_600_000_000_000, never: false },
        Preset::Value("10s"),
        "How long the runtime may take to stop. A tenth of it (200ms to 1s, and at most a quarter) is for its \
         threads and for exit handlers; before, tasks and pools may end. What has not ended by then is abandoned, and the exit \
         code is 4.",
    ),
    key(
        "segment.default",
        Kind::Size { least: MIN_SEGMENT, most: MAX_SEGMENT },
        Preset::Value("128MiB"),
        "Shared memory of a client that does not ask for a size. At most `segment.max`; if only \
         that is set, and is smaller, it applies here too.",
    ),
    key(
        "segment.max",
        Kind::Size { least: MIN_SEGMENT, most: MAX_SEGMENT },
        Preset::Value("64GiB"),
        "The most shared memory that a client can ask for.",
    ),
    key(
        "segment.runtime_share",
        Kind::Percent { least: *SHARES.start(), most: *SHARES.end() },
        Preset::Value("50%"),
        "The part of it that is for what the runtime and its modules allocate for the client, such \
         as results; the rest is for the client's tasks and what it sends.",
    ),
    key(
        "limits.sessions",
        Kind::Number { least: 1, most: 65536 },
        Preset::Value("1024"),
        "Maximum number of clients at a time. Each takes a few file descriptors of the process \
         (`ulimit -n`).",
    ),
    key(
        "limits.pools",
        Kind::Number { least: 2, most: 65536 },
        Preset::Value("65536"),
        "Maximum number of pools at a time, including the pool `admin`.",
    ),
    key(
        "limits.containers",
        Kind::Number { least: 1, most: 1 << 24 },
        Preset::Value("65536"),
        "Maximum number of containers in all pools together. Each takes about 8 KiB, and what its module \
         allocates.",
    ),
    key(
        "limits.memory",
        Kind::Memory { least: 16 << 20, most: 1 << 50 },
        Preset::Value("auto"),
        "The budget for what the runtime and its modules allocate for clients: copies and stacks of their \
         tasks, results, sessions, containers. `auto` is 50%; a percentage is one of the smallest of \
         the memory of the machine, the limits of the control groups that the process is in, and half of \
         `ulimit -v`. What modules allocate by themselves does not count, so leave room for it.",
    ),
    key(
        "limits.tasks_in_flight",
        Kind::Number { least: 256, most: 1_000_000 },
        Preset::Value("65536"),
        "Maximum number of tasks that one client has in flight; beyond it, further ones wait in \
         its rings.",
    ),
    key(
        "limits.rings",
        Kind::Number { least: 1, most: MOST_RINGS },
        Preset::Value("64"),
        "Maximum number of threads of one client that submit tasks; each has a ring of its own until it \
         ends. A segment has room for one ring for each 256 KiB, at least for 64.",
    ),
    key(
        "limits.suspended_tasks",
        Kind::Number { least: 64, most: 1_000_000 },
        Preset::Value("28000"),
        "Maximum number of suspended tasks on all workers together. From five sevenths of it on, \
         only clients with few tasks in flight (256, and at most a quarter of the limit) are served: \
         what others send waits in their rings, and ends with CHI_NO_SPACE if none of their client's \
         tasks ends for 10 s; what they have in lanes already ends with it at once. \
         Lower if `limits.memory` has no room for so many stacks. Subtasks may exceed it \
         by a sixteenth, and end with CHI_NO_SPACE beyond \
         that. Each takes a stack, and with it two of the mappings that Linux allows a process: \
         beyond 30000, raise vm.max_map_count.",
    ),
    key(
        "limits.per_process.sessions",
        Kind::Number { least: 1, most: 65536 },
        Preset::Value("64"),
        "Maximum number of sessions of one process at a time. A process has one, unless it has several \
         copies of the client library.",
    ),
    key(
        "limits.per_process.segments",
        Kind::Size { least: MIN_SEGMENT, most: 1 << 50 },
        Preset::Value("128GiB"),
        "The most shared memory that the sessions of one process have together. If it is not set, at \
         least `segment.max`.",
    ),
    key(
        "limits.per_process.pools",
        Kind::Number { least: 1, most: 65536 },
        Preset::Value("8192"),
        "Maximum number of pools that clients of one process have created. A pool that outlives its process \
         counts for the next one with that process id.",
    ),
    key(
        "limits.per_process.containers",
        Kind::Number { least: 1, most: 1 << 24 },
        Preset::Value("16384"),
        "Maximum number of containers of these pools.",
    ),
    key(
        "limits.per_process.tasks_in_flight",
        Kind::Number { least: 256, most: 100_000_000 },
        Preset::Value("131072"),
        "Maximum number of tasks in flight of one process, as `limits.per_user.tasks_in_flight` for one user.",
    ),
    key(
        "limits.per_process.worker_time",
        Kind::Percent { least: 1, most: 100 },
        Preset::Value("100%"),
        "The share of all workers' time that the methods of one process's tasks may take; more about it below \
         `limits.per_user.worker_time`.",
    ),
    key(
        "limits.per_user.sessions",
        Kind::Number { least: 1, most: 65536 },
        Preset::Depends { how: "as `limits.sessions`", example: "256" },
        "Maximum number of sessions of one user at a time.",
    ),
    key(
        "limits.per_user.segments",
        Kind::Size { least: MIN_SEGMENT, most: 1 << 50 },
        Preset::Value("1TiB"),
        "The most shared memory that the sessions of one user have together. If it is not set, at least \
         `segment.max`.",
    ),
    key(
        "limits.per_user.pools",
        Kind::Number { least: 1, most: 65536 },
        Preset::Value("16384"),
        "Maximum number of pools that the clients of one user have created. Those of `pools` in this file \
         are nobody's.",
    ),
    key(
        "limits.per_user.containers",
        Kind::Number { least: 1, most: 1 << 24 },
        Preset::Value("32768"),
        "Maximum number of containers in these pools together.",
    ),
    key(
        "limits.per_user.tasks_in_flight",
        Kind::Number { least: 256, most: 100_000_000 },
        Preset::Value("262144"),
        "Maximum number of tasks that the clients of one user have in flight together; beyond it, further \
         ones wait in their rings. A client may always have 64, even if others of its user have all.",
    ),
    key(
        "limits.per_user.worker_time",
        Kind::Percent { least: 1, most: 100 },
        Preset::Value("100%"),
        "The share of all workers' time that the methods of one user's tasks may take, whether or not others \
         need it. It is sampled, every 2 ms. Above it, the further tasks of these clients wait in their rings \
         until the average is right again, at most for a minute; tasks that have begun go on. Below 100%, a \
         client has at most 64 tasks in flight.",
    ),
    key(
        "limits.users",
        Kind::Quotas,
        Preset::Value("[]"),
        "Limits for single users and for the members of groups, in place of those in `limits.per_user`: \
         `[{who: [alice, group:staff], sessions: 8}]` gives alice and each member of staff eight sessions. \
         Keys that an item leaves out are those of `limits.per_user`. The first item that names a user or \
         a group of it counts.",
    ),
    key(
        "access.connect",
        Kind::Accounts,
        Preset::Value("[]"),
        "Users and groups that may connect, besides the user of the runtime and root. The runtime \
         then makes the directory of its instances one that others can enter. These clients set \
         CHI_RUNTIME_DIR to that directory, and CHI_OWNER to the user of the runtime.",
    ),
    key(
        "access.create",
        Kind::Accounts,
        Preset::Depends { how: "all who may connect", example: "[alice]" },
        "Those among them that may create pools; with `[]`, only the user of the runtime and root may. A \
         pool is destroyed by whoever created it, those whom its own `access` names, the user of the \
         runtime, and root.",
    ),
    Key {
        variables: &["CHI_REPO_PATH", "LD_LIBRARY_PATH"],
        flag: Some("--modules"),
        ..key(
            "module_paths",
            Kind::Directories,
            Preset::Value("[]"),
            "Directories to scan for modules. They do not replace those of the flag and the \
             variables but come after them; lib/chimaera/modules of the prefix that the program is \
             installed in comes last. The first file with a module's name wins. \
             Files that other users can write to, and directories of such files, are refused.",
        )
    },
    key(
        "state_dir",
        Kind::File,
        Preset::Depends {
            how: "`$STATE_DIRECTORY`, else /var/lib/chimaera for root, else chimaera in `$XDG_STATE_HOME` \
                  (~/.local/state)",
            example: "/var/lib/chimaera",
        },
        "The directory for the states of pools, in a directory for each instance. It is made when it is \
         needed.",
    ),
    key(
        "module_hosts.modules",
        Kind::Modules,
        Preset::Value("[]"),
        "Modules whose pools all run in processes of their own, `[repo:module]`, as a pool with \
         `isolation: process` does.",
    ),
    key(
        "module_hosts.kill_after",
        KILL_AFTER,
        Preset::Value("never"),
        "A method in such a process that keeps its worker for longer than this, without waiting or \
         yielding, ends the process. A pool may have a `kill_after` of its own.",
    ),
    key(
        "module_hosts.memory_limit",
        MEMORY_LIMIT,
        Preset::Depends { how: "none", example: "2GiB" },
        "More memory than this, not counting what it shares with others, ends such a process. It is \
         measured every 10 ms while tasks run. A pool may have a `memory_limit` of its own.",
    ),
    key(
        "module_hosts.restarts",
        RESTARTS,
        Preset::Value("5"),
        "How often in a minute such a process that has ended is started again. Beyond that, its pool is \
         put in quarantine. A pool may have its own `restarts`.",
    ),
    Key {
        flag: Some("--metrics-listen"),
        ..key(
            "metrics.listen",
            Kind::Address,
            Preset::Depends { how: "nowhere", example: "localhost:9464" },
            "Serves what is counted and measured over HTTP there, under `/metrics`, as OpenMetrics text. The port is 9464 \
             unless another is named; a port alone is one of `localhost`. Everybody who reaches the address may read it: \
             on the machine itself, all its users.",
        )
    },
    key(
        "metrics.names",
        Kind::Addresses,
        Preset::Value("[]"),
        "Names by which the server of metrics may be asked, besides its addresses, `localhost`, and, unless it listens on \
         the machine itself only, the machine's name and that in `metrics.listen`. Ports do not matter.",
    ),
    Key {
        flag: Some("--listen"),
        ..key(
            "cluster.listen",
            Kind::Address,
            Preset::Depends { how: "none: no cluster; with `cluster.seeds`, the address from which the first of them is reached, and any port", example: "10.0.0.1:4411" },
            "Makes the runtime a node of a cluster, which other nodes reach there. The name of an interface of the \
             machine stands for its address. The port is 4411 unless another is named; \
             0 stands for any free one. Addresses that other machines reach need `cluster.key`.",
        )
    },
    Key {
        flag: Some("--join"),
        ..key(
            "cluster.seeds",
            Kind::Addresses,
            Preset::Value("[]"),
            "Nodes to ask to be let into the cluster. Without any, and without `cluster.hosts`, the first start founds a \
             cluster. Once it is a member, a node finds the others by itself.",
        )
    },
    Key {
        flag: Some("--hosts"),
        ..key(
            "cluster.hosts",
            Kind::File,
            Preset::Depends { how: "the hosts of the job of Slurm or PBS, if the runtime is started in one, `cluster.seeds` is empty, and `cluster.listen` is an address that other machines reach, or is not set while `cluster.key` is; otherwise none", example: "/etc/chimaera/hosts" },
            "The hosts of the cluster, `HOST[:PORT]` in the first word of each line; the same file on each of them. The first \
             founds the cluster, once it hears from more than half of them and none knows of one. Each node listens where \
             the file says, if `cluster.listen` says nothing else, and is called as in the file, if `cluster.node` does not.",
        )
    },
    key(
        "cluster.name",
        Kind::Name,
        Preset::Value("cluster"),
        "The name of the cluster: nodes of another one are refused.",
    ),
    key(
        "cluster.node",
        Kind::Name,
        Preset::Depends { how: "the name of the instance", example: "node-1" },
        "What people call this node. No two nodes of a cluster have one name.",
    ),
    Key {
        flag: Some("--cluster-key"),
        ..key(
        "cluster.key",
        Kind::File,
        Preset::Depends { how: "none: only on one machine, of whose users all are trusted", example: "/etc/chimaera/cluster.key" },
        "The file with the cluster's key, which all nodes have a copy of: others are refused, and what they say to \
         each other is encrypted. The node that founds the cluster makes it if there is none.",
        )
    },
    key(
        "cluster.directory",
        Kind::File,
        Preset::Depends { how: "`cluster` in the directory of the instance in `state_dir`", example: "/var/lib/chimaera/node-1" },
        "The directory of the node's log of what the cluster has agreed on. A node that loses it is another node.",
    ),
    Key {
        variables: &["CHI_LOG"],
        flag: Some("--log-level"),
        ..key(
            "log.level",
            Kind::Level,
            Preset::Value("info"),
            "What to log: `error`, `warn`, `info`, `debug` or `trace`; each level includes those \
             before it. Behind commas may be levels of single targets, which can be `off`, too: \
             `info,module=debug`. `chimaera log level` changes it while the runtime is running.",
        )
    },
    key(
        "log.file",
        Kind::File,
        Preset::Depends {
            how: "standard error; with `--daemon`, NAME.log in the directory of the instances",
            example: "/var/log/chimaera.log",
        },
        "The file to append the log to. `chimaera log reopen` and SIGHUP reopen it.",
    ),
    key(
        "log.format",
        Kind::Format,
        Preset::Value("text"),
        "The format of log lines: `text`, or `json` for one object a line.",
    ),
    key(
        "log.max_size",
        Kind::Size { least: 64 << 10, most: 1 << 40 },
        Preset::Value("64MiB"),
        "The log file is rotated before it becomes larger than this. Standard error is not.",
    ),
    key(
        "log.keep",
        Kind::Number { least: 0, most: 1000 },
        Preset::Value("4"),
        "Number of rotated log files to keep: FILE.1, the newest, FILE.2, and so on. With 0, a full \
         log file is emptied.",
    ),
    key(
        "pools",
        Kind::Pools,
        Preset::Value("[]"),
        "Pools to create at start, in this order, before clients can connect. If one of them \
         cannot be created, the runtime does not start. `chimaera compose` takes the same list.",
    ),
];
