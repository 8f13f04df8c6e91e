//! Which source determines a value.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chimaera_config::{candidates, Flags, Origin, Settings, Value, KEYS};
use chimaera_runtime::{Config, Founding, UserLimits};

/// A directory with a file, and an environment that refers to it.
struct Site {
    home: tempfile::TempDir,
    variables: Vec<(&'static str, OsString)>,
}

impl Site {
    /// With this file where it is looked for first.
    fn new(text: &str) -> Site {
        let home = tempfile::tempdir().unwrap();
        let variables = vec![("XDG_CONFIG_HOME", home.path().as_os_str().to_owned())];
        let site = Site { home, variables };
        site.write("chimaera/chimaera.yaml", text);
        site
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn with(mut self, name: &'static str, value: impl Into<OsString>) -> Site {
        self.variables.push((name, value.into()));
        self
    }

    fn try_load(&self, flags: &Flags) -> Result<Settings, String> {
        let environment = |name: &str| {
            let found = self.variables.iter().find(|variable| variable.0 == name);
            found.map(|variable| variable.1.clone())
        };
        Settings::load(flags, &environment).map_err(|problems| problems.to_string())
    }

    fn load(&self, flags: &Flags) -> Settings {
        self.try_load(flags).unwrap_or_else(|problems| panic!("{problems}"))
    }
}

/// The value and the origin of a key.
fn of(settings: &Settings, path: &str) -> (String, String) {
    let found = settings.values.iter().find(|setting| setting.key.path == path).unwrap();
    let origin = match &found.origin {
        Origin::File(file, at) => {
            format!("{}:{}:{}", file.file_name().unwrap().display(), at.line, at.column)
        }
        other => other.to_string(),
    };
    (found.value.yaml(), origin)
}

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.into(), origin.into())
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let text = "instance: filed\nlog:\n  level: warn\nspin: 1us\n";
    let site = Site::new(text).with("CHI_INSTANCE", "environed").with("CHI_LOG", "debug");
    let flags = Flags { name: Some("flagged".into()), ..Flags::default() };
    let settings = site.load(&flags);
    assert_eq!(of(&settings, "instance"), pair("flagged", "--name"));
    assert_eq!(of(&settings, "log.level"), pair("debug", "CHI_LOG"));
    assert_eq!(of(&settings, "spin"), pair("1us", "chimaera.yaml:4:7"));
    assert_eq!(of(&settings, "stack_size"), pair("256KiB", "default"));
    let flags = Flags { spin: Some(Duration::from_micros(7)), no_config: true, ..flags };
    let settings = site.load(&flags);
    assert_eq!(of(&settings, "spin"), pair("7us", "--spin-us"));
    assert_eq!(settings.file, None);
}

#[test]
fn the_file_that_is_named_must_be_there() {
    let site = Site::new("spin: 1us\n");
    let other = site.write("other.yaml", "spin: 2us\n");
    let spin = |settings: Settings| of(&settings, "spin").0;
    assert_eq!(spin(site.load(&Flags::default())), "1us");
    let site = site.with("CHI_SERVER_CONF", &other);
    assert_eq!(spin(site.load(&Flags::default())), "2us");
    let none = site.home.path().join("none.yaml");
    let flags = Flags { config: Some(none.clone()), ..Flags::default() };
    let why = site.try_load(&flags).unwrap_err();
    assert!(why.starts_with(&format!("{}: there is no such file", none.display())), "{why}");
    let site = Site::new("spin: 1us\n").with("CHI_SERVER_CONF", "");
    assert_eq!(spin(site.load(&Flags::default())), "1us");
}

#[test]
fn files_are_looked_for_where_xdg_says() {
    let look = |variables: &[(&str, &str)]| {
        candidates(&|name| {
            let found = variables.iter().find(|variable| variable.0 == name)?;
            Some(found.1.into())
        })
    };
    let etc = Path::new("/etc/chimaera/chimaera.yaml");
    let own = Path::new("/h/.config/chimaera/chimaera.yaml");
    assert_eq!(look(&[("HOME", "/h")]), [own, etc]);
    assert_eq!(look(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "relative")]), [own, etc]);
    let own = Path::new("/x/chimaera/chimaera.yaml");
    assert_eq!(look(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), [own, etc]);
    assert_eq!(look(&[]), [etc]);
}

#[test]
fn what_the_environment_and_the_command_line_say_is_checked() {
    let site = Site::new("").with("CHI_LOG", "loud");
    let flags = Flags { name: Some("a b".into()), ..Flags::default() };
    let why = site.try_load(&flags).unwrap_err();
    assert!(why.contains("CHI_LOG: \"loud\" is not a log level"), "{why}");
    assert!(why.contains("--name: \"a b\" is not a valid instance name"), "{why}");
    let site = Site::new("").with("CHI_LOG", "warn,module=debug,chimaera_cluster=off");
    let found = site.try_load(&Flags::default()).unwrap();
    assert_eq!(found.log_level(), "warn,module=debug,chimaera_cluster=off");
    let site = Site::new("").with("CHI_LOG", "warn,module");
    let why = site.try_load(&Flags::default()).unwrap_err();
    assert!(why.contains("\"module\" is not the level of a target"), "{why}");
}

#[test]
fn workers_and_their_cores() {
    let counts = |text: &str, flags: &Flags| {
        let runtime = Site::new(text).load(flags).runtime();
        (runtime.workers, runtime.high_latency_workers, runtime.cores, runtime.high_latency_cores)
    };
    let none = Vec::<usize>::new;
    let flags = Flags::default();
    assert_eq!(counts("workers: 5\n", &flags), (5, 0, none(), none()));
    let groups = "workers:\n  low_latency: {cores: 0-2}\n  high_latency: {cores: [3, 5]}\n";
    assert_eq!(counts(groups, &flags), (5, 2, vec![0, 1, 2], vec![3, 5]));
    let counted = "workers:\n  low_latency: {count: 1, cores: [0-2]}\n  high_latency: {count: 4}\n";
    assert_eq!(counts(counted, &flags), (5, 4, vec![0, 1, 2], none()));
    let high = "workers:\n  high_latency: {count: 200}\n";
    assert_eq!(counts(high, &flags), (201, 200, none(), none()));
    let flags = Flags { workers: Some(3), ..Flags::default() };
    assert_eq!(counts(groups, &flags), (3, 0, none(), none()));
}

#[test]
fn the_default_segment_follows_a_lower_maximum() {
    let settings = Site::new("segment: {max: 32MiB}\n").load(&Flags::default());
    assert_eq!(of(&settings, "segment.default"), pair("32MiB", "chimaera.yaml:1:16"));
    let settings = Site::new("segment: {max: 1GiB}\n").load(&Flags::default());
    assert_eq!(of(&settings, "segment.default"), pair("128MiB", "default"));
}

#[test]
fn directories_with_modules_come_in_order() {
    let site = Site::new("module_paths: [here, /c]\n")
        .with("CHI_REPO_PATH", "/a:/b")
        .with("LD_LIBRARY_PATH", ":/l");
    let flags = Flags { module_paths: vec!["/flag".into()], ..Flags::default() };
    let settings = site.load(&flags);
    let here = site.home.path().join("chimaera/here");
    let want: Vec<PathBuf> =
        ["/flag", "/a", "/b", "/l", here.to_str().unwrap(), "/c"].map(PathBuf::from).into();
    assert_eq!(settings.runtime().module_paths, want);
    let yaml = settings.yaml();
    assert!(yaml.contains("\"/b\"") && yaml.contains("# CHI_REPO_PATH"), "{yaml}");
}

/// A directory that several sources name is scanned once, where the first of them puts it.
#[test]
fn a_directory_that_several_name_is_there_once() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().display();
    let site = Site::new(&format!("module_paths: [\"{path}\", /c]\n"))
        .with("CHI_REPO_PATH", format!("/a:{path}/.:/a"));
    let want = ["/a".into(), here.path().join("."), "/c".into()];
    assert_eq!(site.load(&Flags::default()).runtime().module_paths, want);
}

#[test]
fn parameters_may_be_a_map() {
    let params =
        r#"{level: 3, exact: true, path: "/a b", name: 'a, "b" \c', blank: " x", none: ""}"#;
    let text = format!("pools:\n  - {{name: a, module: 'm:m', params: {params}}}\n");
    let pools = Site::new(&text).load(&Flags::default()).pools;
    let want = r#"level=3,exact=true,path=/a b,name="a, \"b\" \\c",blank=" x",none="#;
    assert_eq!(std::str::from_utf8(&pools[0].params).unwrap(), want);
}

#[test]
fn parameters_may_stand_in_a_file() {
    let text = "pools:\n  - {name: a, module: 'm:m', params_file: bytes}\n";
    let site = Site::new(text);
    let why = site.try_load(&Flags::default()).unwrap_err();
    assert!(why.contains("chimaera.yaml:2:43: cannot take the parameters from "), "{why}");
    assert!(why.contains("there is no such file"), "{why}");
    std::fs::write(site.home.path().join("chimaera/bytes"), b"\xff\0x").unwrap();
    let pools = site.load(&Flags::default()).pools;
    assert_eq!(pools[0].params, b"\xff\0x");
}

/// Setting one limit must not run into the default of another.
#[test]
fn limits_follow_those_that_they_depend_on() {
    let text = "segment: {max: 1TiB}\nlimits: {sessions: 3000}\n";
    let found = Site::new(text).load(&Flags::default()).runtime();
    assert_eq!((found.per_user.sessions, found.per_process.sessions), (3000, 64));
    assert_eq!((found.per_user.segments, found.per_process.segments), (1 << 40, 1 << 40));
    let limits = "{per_process: {segments: 1GiB}, per_user: {sessions: 5}}";
    let text = format!("segment: {{max: 1TiB}}\nlimits: {limits}\n");
    let found = Site::new(&text).load(&Flags::default()).runtime();
    assert_eq!((found.per_user.sessions, found.per_process.segments), (5, 1 << 30));
}

#[test]
fn a_quota_sets_some_limits_and_leaves_the_others() {
    let users = "[{who: [root, 7], sessions: 2, segments: 1GiB}, {who: \"group:9\", pools: 3}]";
    let text = format!("limits: {{per_user: {{sessions: 5, pools: 8}}, users: {users}}}\n");
    let found = Site::new(&text).load(&Flags::default()).runtime();
    let others = found.per_user.clone();
    let limits = |index: usize| found.quotas[index].limits.clone();
    assert_eq!((others.sessions, others.pools, &*others.key), (5, 8, "limits.per_user"));
    let key = "limits.users[0]".to_owned();
    assert_eq!(limits(0), UserLimits { key, sessions: 2, segments: 1 << 30, ..others.clone() });
    let key = "limits.users[1]".to_owned();
    assert_eq!(limits(1), UserLimits { key, pools: 3, ..others });
    let who = found.quotas.iter().map(|quota| (&quota.who.users[..], &quota.who.groups[..]));
    assert_eq!(who.collect::<Vec<_>>(), [(&[0, 7][..], &[][..]), (&[][..], &[9][..])]);
}

/// The defaults in the table are those of the runtime.
#[test]
fn defaults_are_those_of_the_runtime() {
    let flags = Flags { no_config: true, ..Flags::default() };
    let settings = Settings::load(&flags, &|_| None).unwrap();
    let (found, want) = (settings.runtime(), Config::default());
    assert_eq!(found.workers, want.workers);
    assert_eq!(found.high_latency_workers, want.high_latency_workers);
    assert_eq!((found.cores, found.high_latency_cores), (want.cores, want.high_latency_cores));
    assert_eq!(found.spin, want.spin);
    assert_eq!(found.stack_size, want.stack_size);
    assert_eq!(found.max_suspended, want.max_suspended);
    assert_eq!(found.max_in_flight, want.max_in_flight);
    assert_eq!(found.default_segment, want.default_segment);
    assert_eq!(found.max_segment, want.max_segment);
    assert_eq!(found.runtime_share, want.runtime_share);
    assert_eq!(found.max_sessions, want.max_sessions);
    assert_eq!(found.max_pools, want.max_pools);
    assert_eq!(found.max_containers, want.max_containers);
    assert_eq!((found.per_user, found.per_process), (want.per_user, want.per_process));
    assert_eq!(found.max_rings, want.max_rings);
    assert_eq!(found.may_connect, want.may_connect);
    assert_eq!(found.may_create, want.may_create);
    assert_eq!(found.quotas, want.quotas);
    assert_eq!(found.hosts, want.hosts);
    assert_eq!(found.state_directory, want.state_directory);
    assert_eq!(found.long_task_warning, want.long_task_warning);
    assert_eq!(settings.log_level(), "info");
    assert!(settings.values.iter().all(|setting| setting.origin == Origin::Default));
    assert_eq!(settings.values.iter().filter(|s| s.value == Value::Unset).count(), 10);
    assert_eq!(settings.cluster(), Ok(want.cluster));
    assert_eq!(settings.values.len() + 2, KEYS.len());
}

/// In a job of a scheduler, a node knows the others.
#[test]
fn a_job_says_who_the_nodes_are() {
    let key = Flags { cluster_key: Some("/shared/key".into()), ..Flags::default() };
    let job = |own: &str| {
        let site = Site::new("instance: here\n");
        site.with("SLURM_JOB_NODELIST", "127.0.0.[1-3]").with("SLURMD_NODENAME", own)
    };
    let cluster = job("127.0.0.2").load(&key).cluster().unwrap().unwrap();
    assert_eq!((&*cluster.name, cluster.founding), ("127.0.0.2", Founding::ByFirst));
    assert_eq!(cluster.listen, "127.0.0.2:4411".parse().unwrap());
    assert_eq!(cluster.seeds, ["127.0.0.1:4411", "127.0.0.3:4411"].map(|it| it.parse().unwrap()));
    let first = job("127.0.0.1").load(&key).cluster().unwrap().unwrap();
    assert_eq!(first.founding, Founding::IfNoneOf(3));
    // Nothing says that it is to be a cluster, or all is said already.
    assert_eq!(job("127.0.0.1").load(&Flags::default()).cluster(), Ok(None));
    let alone = Flags { listen: Some("127.0.0.1:1".into()), ..Flags::default() };
    let cluster = job("127.0.0.1").load(&alone).cluster().unwrap().unwrap();
    assert_eq!((cluster.founding, cluster.seeds.len()), (Founding::AtOnce, 0));
    let joins = Flags { join: vec!["127.0.0.9".into()], ..key.clone() };
    let cluster = job("127.0.0.1").load(&joins).cluster().unwrap().unwrap();
    assert_eq!((cluster.founding, &*cluster.name), (Founding::Never, "here"));
    // Jobs that follow each other are other clusters.
    let later = |id: &'static str| {
        let site = job("127.0.0.2").with("SLURM_JOB_ID", id);
        site.load(&key).cluster().unwrap().unwrap()
    };
    assert_eq!((&*later("7").cluster, &*later("8").cluster), ("cluster-7", "cluster-8"));
    assert!(later("7").directory.ends_with("here/cluster-job-7-127.0.0.2"));
    // Where a job was only allocated, its variables say nothing of this machine.
    let allocated = Site::new("").with("SLURM_JOB_NODELIST", "203.0.113.[1-3]");
    assert_eq!(allocated.load(&key).cluster(), Ok(None));
    // Others would look for it elsewhere.
    let at = |listen: &str| {
        let flags = Flags { listen: Some(listen.into()), ..key.clone() };
        job("127.0.0.2").load(&flags).cluster()
    };
    assert!(at("203.0.113.7").is_ok(), "a machine may call itself by a loopback address");
    let elsewhere = at("203.0.113.7:9").unwrap_err();
    assert!(elsewhere.contains("but it listens at 203.0.113.7:9"), "{elsewhere}");
    let malformed = Site::new("").with("SLURM_JOB_NODELIST", "n[1-");
    assert!(malformed
        .load(&key)
        .cluster()
        .unwrap_err()
        .contains("the nodes of the Slurm job: n[1-"));
}
