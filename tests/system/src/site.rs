//! A private directory for instances.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::{artefacts, process, Output};

/// An instance's name and its private directory, which is removed with the last clone.
#[derive(Clone, Debug)]
pub struct Site {
    name: String,
    directory: PathBuf,
    _guard: Option<Arc<Guard>>,
}

/// The directory. Dropping it also removes the status pages that killed daemons left elsewhere.
#[derive(Debug)]
struct Guard(TempDir);

impl Drop for Guard {
    fn drop(&mut self) {
        let files = std::fs::read_dir(self.0.path().join("chimaera")).into_iter().flatten();
        for file in files.flatten().map(|file| file.path()) {
            if file.extension().is_some_and(|extension| extension == "page") {
                // The page does not exist if its daemon shut down cleanly.
                let _ = std::fs::read_link(file).and_then(std::fs::remove_file);
            }
        }
    }
}

impl Site {
    /// A fresh directory, and an instance name that no other test uses.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Site {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory =
            tempfile::Builder::new().prefix("chi").tempdir().expect("a place for files");
        // The daemon refuses a directory that others can write to.
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(directory.path(), private).expect("the directory is new");
        let name = format!("test-{}-{count}", std::process::id());
        let path = directory.path().to_owned();
        Site { name, directory: path, _guard: Some(Arc::new(Guard(directory))) }
    }

    /// The site in which [`in_client!`](crate::in_client) started this process.
    pub(crate) fn inherited() -> Site {
        let variable = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        let directory = PathBuf::from(variable("XDG_RUNTIME_DIR"));
        Site { name: variable("CHI_INSTANCE"), directory, _guard: None }
    }

    /// Another instance in the same directory, with `-suffix` appended to the name.
    pub fn sibling(&self, suffix: &str) -> Site {
        Site { name: format!("{}-{suffix}", self.name), ..self.clone() }
    }

    /// The instance's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory, which is `$XDG_RUNTIME_DIR` for everything that runs here.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// Creates a directory in it with links to files.
    pub fn directory_of(&self, name: &str, files: &[PathBuf]) -> PathBuf {
        let directory = self.directory.join(name);
        std::fs::create_dir(&directory).expect("the name is free");
        for file in files {
            let link = directory.join(file.file_name().expect("it is a file"));
            std::os::unix::fs::symlink(file, link).expect("the names differ");
        }
        directory
    }

    /// The instance's socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("chimaera").join(format!("{}.sock", self.name))
    }

    /// The link to the instance's status page.
    pub fn page_link(&self) -> PathBuf {
        self.directory.join("chimaera").join(format!("{}.page", self.name))
    }

    /// The file of the instance's status page, if it exists.
    pub fn status_page(&self) -> Option<PathBuf> {
        std::fs::read_link(self.page_link()).ok().filter(|page| page.exists())
    }

    /// The directory in which instances at this site keep the states of their pools.
    pub fn states(&self) -> PathBuf {
        self.directory.join("states")
    }

    /// The output of `chimaera status --json`.
    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        self.cli(&["status", "--json"]).json()
    }

    /// The CPU time that the daemon has used.
    #[track_caller]
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.status()["pid"]));
        let stat = stat.expect("it is running");
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        // User and system time are the fields 14 and 15, counted from 1, in hundredths of a second.
        let ticks = |field: usize| fields[field - 3].parse::<u64>().unwrap();
        Duration::from_millis((ticks(14) + ticks(15)) * 10)
    }

    /// A command whose environment refers to this instance and no other. Its configuration file, if
    /// any, is `config/chimaera/chimaera.yaml` in the directory.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        const FOREIGN: [&str; 6] = [
            "CHI_REPO_PATH",
            "CHI_LOG",
            "CHI_SERVER_CONF",
            "LD_LIBRARY_PATH",
            "CHI_RUNTIME_DIR",
            "CHI_OWNER",
        ];
        for name in FOREIGN {
            command.env_remove(name);
        }
        command.env("XDG_RUNTIME_DIR", &self.directory).env("CHI_INSTANCE", &self.name);
        command.env("XDG_CONFIG_HOME", self.directory.join("config"));
        command.env("STATE_DIRECTORY", self.states());
        command
    }

    /// Runs the program `chimaera` with these arguments on this instance.
    #[track_caller]
    pub fn cli(&self, args: &[&str]) -> Output {
        process::run(self.command(artefacts::chimaera()).args(["--name", &self.name]).args(args))
    }

    /// What `pool show` says of a pool.
    #[track_caller]
    pub fn pool(&self, name: &str) -> serde_json::Value {
        self.cli(&["pool", "show", name, "--json"]).ok().json()
    }

    /// Resets every pool that is in quarantine.
    #[track_caller]
    pub fn reset_pools(&self) {
        let pools = self.cli(&["pool", "list", "--json"]).ok().json();
        for pool in pools.as_array().expect("a list") {
            if pool["state"] == "quarantined" {
                let name = pool["name"].as_str().expect("a pool has a name");
                self.cli(&["pool", "reset", name]).ok();
            }
        }
    }

    /// Runs a client program on this instance with these arguments.
    #[track_caller]
    pub fn run(&self, program: impl AsRef<Path>, args: &[&str]) -> Output {
        process::run(self.command(program).args(args))
    }
}
