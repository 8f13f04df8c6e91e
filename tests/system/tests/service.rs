//! The runtime as a service: what a service manager is told, and `chimaera service`.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use chimaera_tests::{artefacts, process, Daemon, Options, Output, Site};

/// How often the manager wants to be told, in microseconds.
const WATCHDOG_USEC: u64 = 600_000;

/// A service manager's end.
struct Manager(UnixDatagram);

impl Manager {
    fn new(site: &Site) -> Manager {
        let socket = UnixDatagram::bind(site.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Manager(socket)
    }

    fn next(&self) -> String {
        let mut bytes = [0; 200];
        let length = self.0.recv(&mut bytes).expect("it is told in time");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    /// Waits until it is told this, and no other thing but those.
    fn wait_for(&self, part: &str, others: &[&str]) {
        loop {
            let told = self.next();
            match told.contains(part) {
                true => return,
                false => assert!(others.iter().any(|other| told.contains(other)), "{told:?}"),
            }
        }
    }
}

/// Starts a daemon as systemd does, which names the process that is to say that it is alive.
fn start(site: Site) -> Daemon {
    let direct = Options::new().model().command(&site);
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "WATCHDOG_PID=$$ exec \"$@\"", "sh"]).arg(direct.get_program());
    command.args(direct.get_args());
    for (name, value) in direct.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.env("NOTIFY_SOCKET", site.path().join("notify"));
    command.env("WATCHDOG_USEC", WATCHDOG_USEC.to_string());
    Daemon::run(site, command)
}

#[test]
fn the_manager_is_told_that_it_is_ready_alive_and_stopping() {
    let site = Site::new();
    let manager = Manager::new(&site);
    let mut daemon = start(site);
    manager.wait_for("READY=1\n", &[]);
    assert_eq!(daemon.cli(&["status"]).code, 0, "clients are let in by then");
    let begun = Instant::now();
    for _ in 0..4 {
        manager.wait_for("WATCHDOG=1\n", &[]);
    }
    // The first one comes at once, and the others are no more than asked for.
    assert!(
        begun.elapsed() >= Duration::from_micros(WATCHDOG_USEC / 3 * 2),
        "{:?}",
        begun.elapsed()
    );
    daemon.stop();
    manager.wait_for("STOPPING=1\n", &["WATCHDOG=1\n"]);
}

/// After a restart, the new main process says that it is alive, for it is the one that the manager listens to.
#[test]
fn the_successor_says_that_it_is_alive() {
    let site = Site::new();
    let manager = Manager::new(&site);
    let mut daemon = start(site);
    manager.wait_for("READY=1\n", &[]);
    let site = daemon.site().clone();
    let pid = site.cli(&["restart", "--json"]).ok().json()["pid"].clone();
    // Whichever of them is heard first.
    manager.wait_for(&format!("MAINPID={pid}\n"), &["WATCHDOG=1\n"]);
    assert_eq!(daemon.end(), 0);
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1\n", &[]);
    }
    site.cli(&["stop"]).ok();
    manager.wait_for("STOPPING=1\n", &["WATCHDOG=1\n"]);
}

/// A manager that does not listen does not hold the runtime up.
#[test]
fn a_manager_that_does_not_listen_holds_nothing_up() {
    let site = Site::new();
    let manager = Manager::new(&site);
    // Nothing more fits into its queue.
    let other = UnixDatagram::unbound().unwrap();
    other.set_nonblocking(true).unwrap();
    while other.send_to(b"X", site.path().join("notify")).is_ok() {}
    let mut daemon = start(site);
    assert_eq!(daemon.cli(&["status"]).code, 0);
    daemon.stop();
    drop(manager);
    let site = Site::new();
    // It is not there at all.
    let mut daemon = start(site);
    assert_eq!(daemon.cli(&["status"]).code, 0);
    daemon.stop();
}

fn service(site: &Site, config: &Path, args: &[&str]) -> Output {
    let mut command = site.command(artefacts::chimaera());
    command.args(["--name", site.name(), "service"]).args(args);
    process::run(command.env("XDG_CONFIG_HOME", config).env("CHI_REPO_PATH", "/some modules"))
}

#[test]
fn a_unit_is_written_and_removed() {
    let site = Site::new();
    let config = site.path().join("units");
    let file = config.join(format!("systemd/user/chimaera-{}.service", site.name()));
    let printed = service(&site, &config, &["install", "--print", "--spin-us", "7"]).ok().stdout;
    assert!(!file.exists());
    let name = site.name();
    for part in [
        "Type=notify\n".to_owned(),
        format!(" start --name {name} --spin-us 7\n"),
        format!(" restart --name {name}\n"),
        "Environment=\"CHI_REPO_PATH=/some modules\"\n".to_owned(),
    ] {
        assert!(printed.contains(&part), "{part}: {printed}");
    }
    let args = ["install", "--no-start", "--spin-us", "7", "--json"];
    let done = service(&site, &config, &args).ok().json();
    assert_eq!((&done["unit"], &done["started"]), (&file.to_str().into(), &false.into()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
    // A systemd that runs here does not know this directory.
    let output = service(&site, &config, &["uninstall", "--json"]);
    assert!(!file.exists());
    assert!(output.code == 0 || Path::new("/run/systemd/system").exists(), "{output:?}");
    let failed = service(&site, &config, &["uninstall"]);
    assert_eq!(failed.code, 1);
    assert!(failed.stderr.contains("is not installed"), "{failed:?}");
    // What somebody else has written stays.
    std::fs::write(&file, "[Unit]\n").unwrap();
    for args in [&["install", "--no-start"][..], &["uninstall"]] {
        let failed = service(&site, &config, args);
        assert_eq!(failed.code, 1);
        assert!(failed.stderr.contains("was not written by"), "{failed:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "[Unit]\n");
    }
}

#[test]
fn what_cannot_be_installed_is_refused() {
    let site = Site::new();
    let config = site.path().join("units");
    for (args, why) in [
        (&["install", "--print", "--system"][..], "--user"),
        (&["install", "--print", "--user", "root"], "--system"),
        (&["install", "--print", "--system", "--user", "nobody-at-all"], "nobody-at-all"),
        (&["install", "--print", "--modules", "/a\nb"], "control characters"),
    ] {
        let failed = service(&site, &config, args);
        assert_eq!(failed.code, 2, "{failed:?}");
        assert!(failed.stderr.contains(why), "{failed:?}");
    }
    if !Path::new("/run/systemd/system").exists() {
        let failed = service(&site, &config, &["install"]);
        assert_eq!(failed.code, 1);
        let why = "systemd does not run on this machine";
        assert!(failed.stderr.contains(why) && !config.exists(), "{failed:?}");
    }
}
