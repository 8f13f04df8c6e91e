//! The flags that configure a runtime at start, and the resulting configuration.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use chimaera_config::{Flags, Settings};
use chimaera_yaml::Problems;
use clap_complete::engine::ArgValueCompleter;
use serde_json::json;

use crate::complete;
use crate::context::{complain, Context, Failed};
use crate::number::number;

#[derive(clap::Args, Default)]
#[group(id = "settings")]
pub(crate) struct Args {
    /// The configuration file [default: $CHI_SERVER_CONF, else chimaera/chimaera.yaml in
    /// $XDG_CONFIG_HOME (~/.config) or in /etc, if there is one]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Read no configuration file
    #[arg(long, conflicts_with = "config")]
    no_config: bool,
    /// Number of worker threads [default: one less than the number of cores, at least 1]
    #[arg(long, value_name = "N", value_parser = number::<u16>(1..=256))]
    workers: Option<u16>,
    /// A directory to scan for modules, before those of CHI_REPO_PATH, LD_LIBRARY_PATH and the
    /// configuration file; can be repeated
    #[arg(long = "modules", value_name = "DIR")]
    module_paths: Vec<PathBuf>,
    /// How long an idle worker polls for work before it sleeps, in microseconds [default: 50]
    #[arg(long, value_name = "US", value_parser = number::<u64>(0..=1_000_000))]
    spin_us: Option<u64>,
    /// Be a node of a cluster, which other nodes reach at this address
    #[arg(long, value_name = "HOST[:PORT]", value_parser = chimaera_config::address)]
    listen: Option<String>,
    /// Serve metrics over HTTP at this address, under /metrics; a port alone is one of localhost
    #[arg(long, value_name = "HOST[:PORT]", value_parser = chimaera_config::address)]
    metrics_listen: Option<String>,
    /// Join the cluster of the node at this address; can be repeated
    #[arg(long, value_name = "HOST[:PORT]", value_parser = chimaera_config::address)]
    join: Vec<String>,
    /// The hosts of the cluster, one in each line of a file; the first founds it
    #[arg(long, value_name = "FILE")]
    hosts: Option<PathBuf>,
    /// The file with the key of the cluster; the node that founds the cluster makes it
    #[arg(long, value_name = "FILE")]
    cluster_key: Option<PathBuf>,
    /// Log level, and behind commas those of single targets: `info,module=debug` [env: CHI_LOG=] [default: info]
    #[arg(long, value_name = "LEVEL", value_parser = chimaera_config::log_level,
          add = ArgValueCompleter::new(complete::levels))]
    log_level: Option<String>,
}

/// The log level. Each level includes those before it.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    /// The name of the level.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

impl Args {
    /// Loads the configuration, and prints its problems.
    pub(crate) fn load(&self, context: &Context) -> Result<Settings, Failed> {
        self.read(context).map_err(|found| misconfigured(context, &found))
    }

    /// The same without a file, and without the flags.
    pub(crate) fn defaults(context: &Context) -> Result<Settings, Failed> {
        Args { no_config: true, ..Args::default() }.load(context)
    }

    /// Loads the configuration.
    pub(crate) fn read(&self, context: &Context) -> Result<Settings, Problems> {
        let flags = Flags {
            config: self.config.clone(),
            no_config: self.no_config,
            name: context.named.clone(),
            workers: self.workers,
            spin: self.spin_us.map(Duration::from_micros),
            log_level: self.log_level.clone(),
            module_paths: self.module_paths.clone(),
            listen: self.listen.clone(),
            metrics_listen: self.metrics_listen.clone(),
            join: self.join.clone(),
            hosts: self.hosts.clone(),
            cluster_key: self.cluster_key.clone(),
        };
        Settings::load(&flags, &|name| std::env::var_os(name))
    }

    /// Arguments that give a service the same configuration, in another environment. Without a file, it looks for one itself,
    /// unless a flag says no.
    pub(crate) fn for_service(&self, settings: &Settings) -> Result<Vec<OsString>, std::io::Error> {
        let mut arguments = self.again(settings)?;
        match &settings.file {
            Some(file) => arguments[1] = std::path::absolute(file)?.into(),
            None if !self.no_config => drop(arguments.drain(..1)),
            None => {}
        }
        Ok(arguments)
    }

    /// Arguments that give another process in the same environment the same configuration.
    pub(crate) fn again(&self, settings: &Settings) -> Result<Vec<OsString>, std::io::Error> {
        let mut all: Vec<OsString> = match &settings.file {
            Some(file) => vec!["--config".into(), file.into()],
            None => vec!["--no-config".into()],
        };
        if let Some(workers) = self.workers {
            all.extend(["--workers".into(), workers.to_string().into()]);
        }
        if let Some(spin) = self.spin_us {
            all.extend(["--spin-us".into(), spin.to_string().into()]);
        }
        if let Some(level) = &self.log_level {
            all.extend(["--log-level".into(), level.into()]);
        }
        if let Some(listen) = &self.listen {
            all.extend(["--listen".into(), listen.into()]);
        }
        if let Some(listen) = &self.metrics_listen {
            all.extend(["--metrics-listen".into(), listen.into()]);
        }
        if let Some(file) = &self.cluster_key {
            all.extend(["--cluster-key".into(), std::path::absolute(file)?.into()]);
        }
        if let Some(file) = &self.hosts {
            all.extend(["--hosts".into(), std::path::absolute(file)?.into()]);
        }
        for seed in &self.join {
            all.extend(["--join".into(), seed.into()]);
        }
        for path in &self.module_paths {
            all.extend(["--modules".into(), std::path::absolute(path)?.into()]);
        }
        Ok(all)
    }
}

/// Prints the problems of a configuration.
pub(crate) fn misconfigured(context: &Context, found: &Problems) -> Failed {
    let error = found.to_string();
    context.print_json(&json!({ "status": "CHI_INVALID", "error": error, "problems": found }));
    complain(&found.to_string());
    Failed::Misconfigured
}
